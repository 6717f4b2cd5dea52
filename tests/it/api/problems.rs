//! Every kind of problem, made once.
use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{Reply, World, translation};

/// The kinds that the code names.
fn named() -> BTreeSet<String> {
    let source = include_str!("../../../src/http/problem.rs");
    source
        .split('"')
        .filter(|text| text.starts_with("/problems/") || *text == "about:blank")
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn every_kind_of_problem_is_answered_to_somebody() {
    let world = World::start().await;
    world.miners(1).await;
    let user = world.user().await;
    let url = world.server.url();
    let mut seen = BTreeSet::new();
    let mut see = |reply: &Reply, status: u16, kind: &str| {
        reply.problem(status, kind);
        seen.insert(kind.to_owned());
    };
    let unknown = "0192f0c1-2a3b-7c4d-8e5f-000000000001";
    see(
        &user.get(&format!("/api/v1/tasks/{unknown}")).await,
        404,
        "/problems/not-found",
    );
    see(&user.get("/api/v1/nothing").await, 404, "/problems/no-such-route");
    see(
        &user.get("/api/v1/tasks/x").await,
        400,
        "/problems/malformed-request",
    );
    see(&user.submit_raw(&json!({})).await, 422, "/problems/invalid-value");
    let mut fields = translation(1);
    fields["text"] = "x".repeat(10_001).into();
    see(&user.submit_raw(&fields).await, 413, "/problems/too-large");
    fields = translation(1);
    fields["target_language"] = "fr".into();
    see(&user.submit_raw(&fields).await, 422, "/problems/no-engine");
    for count in [1, 2] {
        let request = user
            .translate()
            .header("Idempotency-Key", "key")
            .json(&translation(count));
        let reply = Reply::to(request).await;
        if count == 2 {
            see(&reply, 422, "/problems/idempotency-key-reused");
        }
    }
    let task = user.submit(&translation(1)).await;
    user.cancel(&task).await.ok();
    see(&user.cancel(&task).await, 409, "/problems/conflict");
    see(
        &Reply::to(world.http.get(format!("{url}/api/v1/tasks"))).await,
        401,
        "/problems/unauthenticated",
    );
    see(
        &world.stranger().get("/api/v1/validator/tasks").await,
        403,
        "/problems/forbidden",
    );
    let form = reqwest::multipart::Form::new().part(
        "audio_file",
        reqwest::multipart::Part::text("a text").file_name("speech.wav"),
    );
    let wrong_media = user.post("/api/v1/transcription").multipart(form);
    see(&Reply::to(wrong_media).await, 415, "/problems/unsupported-media");
    let wrong_method = Reply::to(world.http.delete(format!("{url}/health"))).await;
    see(&wrong_method, 405, "about:blank");
    assert!(wrong_method.headers.contains_key("allow"));

    let lost = world.lost_replica().await;
    see(
        &world
            .silent_miner(1)
            .at(&lost)
            .get("/api/v1/miners/0/tasks")
            .await,
        503,
        "/problems/unavailable",
    );
    lost.stop().await;

    // Something that should not happen: the caller learns nothing of the inside.
    world.sql("alter table text_content rename to gone").await;
    let reply = user.get(&format!("/api/v1/tasks/{task}")).await;
    see(&reply, 500, "/problems/internal");
    let shown = reply.body.to_string();
    assert!(
        !shown.contains("text_content") && !shown.contains("relation"),
        "{shown}"
    );
    let reply = user.submit_raw(&translation(1)).await;
    see(&reply, 500, "/problems/internal");
    world.sql("alter table gone rename to text_content").await;
    user.submit_raw(&translation(1)).await.ok();

    assert_eq!(seen, named());
    world.end().await;
}
