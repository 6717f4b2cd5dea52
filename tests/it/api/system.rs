//! What is open to everybody, and what is logged.
use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::json;

use crate::harness::{MODEL, Reply, World};

#[tokio::test]
async fn health_readiness_and_the_subnet_are_public() {
    let world = World::start().await;
    let get = async |path: &str| Reply::to(world.http.get(format!("{}{path}", world.server.url()))).await;
    assert_eq!(get("/health").await.ok()["status"], "healthy");
    assert_eq!(
        get("/ready").await.ok(),
        json!({ "ready": true, "database": "ok", "clock": "ok", "snapshot": "ok", "storage": "ok" })
    );
    let network = get("/api/v1/network").await.ok();
    assert_eq!(network["netuid"], 1);
    assert_eq!(network["server_hotkey"], world.server.app.hotkey.to_string());
    assert_eq!(
        network["genesis_hash"],
        format!("0x{}", hex::encode(world.chain.genesis_hash()))
    );
    assert_eq!(
        (&network["snapshot"]["block"], &network["snapshot"]["neurons"]),
        (&0.into(), &9.into())
    );
    assert_eq!(
        network["served"][3],
        json!({ "task_type": "text_translation", "languages": [], "model_ids": [] })
    );
    world.miners(1).await;
    assert_eq!(
        get("/api/v1/network").await.ok()["served"][3],
        json!({ "task_type": "text_translation", "languages": ["en-es"], "model_ids": [MODEL] })
    );
    world.next_snapshot().await;
    assert_eq!(get("/api/v1/network").await.ok()["snapshot"]["block"], 2);
    world.end().await;
}

#[tokio::test]
async fn documents_and_metrics_need_no_other_host() {
    let world = World::start().await;
    let text = async |path: &str| {
        let response = world
            .http
            .get(format!("{}{path}", world.server.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    };
    assert!(text("/docs/").await.contains("swagger"));
    assert!(text("/").await.contains("swagger"), "the root leads to them");
    let served: serde_json::Value = serde_json::from_str(&text("/openapi.json").await).unwrap();
    assert_eq!(served, serde_json::to_value(violet::http::openapi()).unwrap());
    assert!(text("/metrics").await.contains("violet_"));
    world.end().await;
}

#[tokio::test]
async fn a_request_has_an_id_that_its_sender_may_choose() {
    let world = World::start().await;
    let url = format!("{}/health", world.server.url());
    let made = Reply::to(world.http.get(&url)).await;
    assert_eq!(made.headers["x-request-id"].len(), 36);
    let chosen = Reply::to(world.http.get(&url).header("X-Request-Id", "mine")).await;
    assert_eq!(chosen.headers["x-request-id"], "mine");
    world.end().await;
}

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// The server runs on the thread of the test, where the log is the test's.
#[tokio::test]
async fn an_error_is_logged_with_the_id_of_its_request_and_without_a_query() {
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _until_the_end = tracing::subscriber::set_default(logging);
    let world = World::start().await;
    let user = world.user().await;
    world.sql("alter table tasks rename to gone").await;
    let path = format!("/api/v1/task/{UNKNOWN}/status");
    // What is logged where is decided once, perhaps on the thread of a test without a log: decide again.
    user.get(&path).await;
    tracing::callsite::rebuild_interest_cache();
    let reply = user.get(&format!("{path}?wait=7")).await;
    reply.problem(500, "/problems/internal");
    let id = reply.headers["x-request-id"].to_str().unwrap();
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = logged
        .lines()
        .find(|line| line.contains("request failed") && line.contains(id))
        .expect(&logged);
    assert!(line.contains(&path), "{line}");
    assert!(!logged.contains("wait=7"), "{logged}");
    world.end().await;
}
