//! Connections: a caller that says nothing is cut off, and those beyond the limit wait their turn.
use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Reply, World};

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: violet\r\n\r\n";

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.server.address).await.unwrap()
}

/// The next bytes, if any come within `patience`; empty when the connection ends.
async fn next(stream: &mut TcpStream, patience: Duration) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(patience, stream.read(&mut bytes))
        .await
        .ok()?
        // A server that closes while something is unread may reset.
        .unwrap_or(0);
    bytes.truncate(read);
    Some(bytes)
}

async fn answered(stream: &mut TcpStream) -> bool {
    let bytes = next(stream, Duration::from_secs(60)).await;
    bytes.is_some_and(|bytes| bytes.starts_with(b"HTTP/1.1 200"))
}

#[tokio::test]
async fn a_caller_that_does_not_finish_its_headers_is_cut_off() {
    let world = World::with(|config| config.server.header_seconds = 6).await;
    let started = Instant::now();
    let mut silent = connect(&world).await;
    let mut slow = connect(&world).await;
    slow.write_all(&REQUEST[..30]).await.unwrap();
    let mut drops = connect(&world).await;
    drops.write_all(&REQUEST[..10]).await.unwrap();

    // In time, in two parts; then the same connection again.
    let mut good = connect(&world).await;
    good.write_all(&REQUEST[..20]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    good.write_all(&REQUEST[20..]).await.unwrap();
    assert!(answered(&mut good).await);
    good.write_all(REQUEST).await.unwrap();
    assert!(answered(&mut good).await);
    // A byte now and then does not help.
    drops.write_all(&REQUEST[10..11]).await.unwrap();

    for stream in [&mut silent, &mut slow, &mut drops] {
        let end = next(stream, Duration::from_secs(60)).await.expect("cut off");
        assert!(!end.starts_with(b"HTTP/1.1 200"), "{end:?}");
        let elapsed = started.elapsed();
        assert!(elapsed > Duration::from_millis(5500), "too early: {elapsed:?}");
        assert!(elapsed < Duration::from_secs(40), "too late: {elapsed:?}");
    }
    // One that is kept open without a request as well.
    let end = next(&mut good, Duration::from_secs(60)).await;
    assert_eq!(end, Some(Vec::new()));

    // Whoever was heard may be held for longer.
    let user = world.user().await;
    world.miners(1).await;
    let task = user.submit(&crate::harness::translation(1)).await;
    let held = Instant::now();
    user.get(&format!("/api/v1/task/{task}/status?wait=7")).await.ok();
    assert!(held.elapsed() >= Duration::from_secs(7));
    world.end().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_served_when_others_leave() {
    let world = World::with(|config| {
        config.server.connections = 3;
        config.server.header_seconds = 60;
    })
    .await;
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&world).await;
        stream.write_all(REQUEST).await.unwrap();
        assert!(answered(&mut stream).await, "up to the limit all are served");
        first.push(stream);
    }
    let mut beyond = connect(&world).await;
    beyond.write_all(REQUEST).await.unwrap();
    assert_eq!(next(&mut beyond, Duration::from_millis(500)).await, None);
    first.pop();
    assert!(answered(&mut beyond).await, "there is a place now");
    drop((first, beyond));
    world.end().await;
}

#[tokio::test]
async fn headers_have_a_limit() {
    let world = World::start().await;
    let with = async |bytes: usize| {
        let request = world.http.get(format!("{}/health", world.server.url()));
        Reply::to(request.header("X-Filler", "x".repeat(bytes)))
            .await
            .status
    };
    assert_eq!(with(32 * 1024).await, 200);
    assert_eq!(with(65 * 1024).await, 431);
    world.end().await;
}

#[tokio::test]
async fn a_stop_waits_for_no_connection_without_a_request() {
    let world = World::with(|config| {
        config.server.header_seconds = 60;
        config.server.drain_seconds = 300;
    })
    .await;
    let mut kept = connect(&world).await;
    kept.write_all(REQUEST).await.unwrap();
    assert!(answered(&mut kept).await);
    let silent = connect(&world).await;
    // It is accepted once somebody who came later was answered.
    world.user().await;
    let started = Instant::now();
    world.end().await;
    assert!(started.elapsed() < Duration::from_secs(100));
    drop((kept, silent));
}
