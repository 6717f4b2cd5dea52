//! What miners say of themselves.
use serde_json::{Value, json};

use crate::harness::{Neuron, World, eventually, translation};

const HEARTBEAT: &str = "/api/v1/miner/heartbeat";

#[tokio::test]
async fn a_heartbeat_must_make_sense() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let with = |pointer: &str, value: Value| {
        let mut body = Neuron::heartbeat_body();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let long = "x".repeat(256);
    for (pointer, value, field) in [
        ("/version", json!("a\0b"), "version"),
        ("/version", json!(long), "version"),
        ("/engines/0/engine", json!("a\0b"), "engines"),
        ("/engines/0/engine", json!(long), "engines"),
        ("/engines/0/model_id", json!("a\0b"), "engines"),
        ("/engines/0/model_id", json!(""), "engines"),
        ("/engines/0/model_id", json!(long), "engines"),
        ("/engines/0/languages", json!(["a\0b"]), "engines"),
        ("/engines/0/pairs", json!([["en", "e\0"]]), "engines"),
        ("/engines/0/pairs", json!([[long, "es"]]), "engines"),
        (
            "/engines",
            json!(vec![Neuron::heartbeat_body()["engines"][0].clone(); 257]),
            "engines",
        ),
    ] {
        let reply = miner.post(HEARTBEAT, &with(pointer, value)).await;
        assert_eq!(reply.status, 422, "{pointer}: {:?}", reply.body);
        reply.invalid(field);
    }
    for (pointer, value) in [
        ("/capacity", json!(-1)),
        ("/capacity", json!(70_000)),
        ("/engines", json!({})),
        ("/engines/0/task_type", json!("telepathy")),
        ("/engines/0/pairs", json!([["en"]])),
        ("/engines/0/max_input_bytes", json!(-1)),
        ("/engines/0/max_input_bytes", json!(1e30)),
    ] {
        let reply = miner.post(HEARTBEAT, &with(pointer, value)).await;
        reply.problem(422, "/problems/malformed-request");
    }
    assert_eq!(world.count("miner_status").await, 0);
    world.end().await;
}

#[tokio::test]
async fn the_last_heartbeat_is_what_counts() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    user.submit_raw(&translation(1)).await.ok();
    // It speaks another language now, and is full.
    miner
        .post(HEARTBEAT, &Neuron::heartbeat_of(0, &[("en", "fr")]))
        .await
        .ok();
    eventually("the new heartbeat is known", || async {
        (user.submit_raw(&translation(1)).await.status == 422).then_some(())
    })
    .await;
    let mut french = translation(1);
    french["target_language"] = "fr".into();
    let accepted = user.submit_raw(&french).await.ok();
    assert_eq!(accepted["auto_assigned"], false, "no place is free");
    miner
        .post(HEARTBEAT, &Neuron::heartbeat_of(8, &[("en", "fr")]))
        .await
        .ok();
    miner.receive(accepted["task_id"].as_str().unwrap()).await;
    world.end().await;
}

#[tokio::test]
async fn a_suspended_miner_is_not_drawn() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    world.sql("update miner_status set suspended_at = now()").await;
    eventually("both are suspended", || async {
        world
            .server
            .app
            .roster
            .miners()
            .values()
            .all(|miner| !miner.available)
            .then_some(())
    })
    .await;
    let accepted = user.submit_raw(&translation(2)).await.ok();
    assert_eq!(accepted["auto_assigned"], false);
    world.sql("update miner_status set suspended_at = null").await;
    miners[0].receive(accepted["task_id"].as_str().unwrap()).await;
    world.end().await;
}
