//! What is open to everybody.
use serde_json::json;

use crate::harness::{Reply, World};

#[tokio::test]
async fn health_readiness_and_the_subnet_are_public() {
    let world = World::start().await;
    let get = async |path: &str| Reply::to(world.http.get(format!("{}{path}", world.server.url()))).await;
    assert_eq!(get("/health").await.ok()["status"], "healthy");
    assert_eq!(
        get("/ready").await.ok(),
        json!({ "ready": true, "database": "ok", "clock": "ok", "snapshot": "ok" })
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
