//! Endpoints that are no chain: wrong addresses, closed ports, and servers that speak something else.

use std::error::Error as _;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use violet_chain::{Client, Error};

async fn connect(endpoints: &[&str]) -> Error {
    let endpoints: Vec<String> = endpoints.iter().map(|&url| url.to_owned()).collect();
    let outcome = tokio::time::timeout(Duration::from_secs(60), Client::connect(&endpoints)).await;
    outcome.expect("it gives up").expect_err("there is no chain")
}

#[tokio::test]
async fn list_without_a_websocket_address_is_refused() {
    assert!(matches!(connect(&[]).await, Error::NoEndpoint));
    for url in ["http://127.0.0.1:9944", "127.0.0.1:9944", ""] {
        assert!(matches!(connect(&[url]).await, Error::Endpoint { .. }), "{url}");
    }
}

#[tokio::test]
async fn closed_port_is_unreachable_and_keeps_its_cause() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = connect(&[
        &format!("ws://127.0.0.1:{port}"),
        &format!("wss://127.0.0.1:{port}"),
    ])
    .await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.source().is_some() && error.is_temporary());
}

#[tokio::test]
async fn server_that_refuses_the_handshake_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Over TLS the same answer is no handshake at all.
    for scheme in ["ws", "wss"] {
        let url = format!("{scheme}://{address}");
        let endpoints = [url.as_str()];
        let error = tokio::select! {
            error = connect(&endpoints) => error,
            () = refuse(&listener) => unreachable!("it refuses for ever"),
        };
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
}

async fn refuse(listener: &TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    }
}
