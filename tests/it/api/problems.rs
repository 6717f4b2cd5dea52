//! Every kind of problem, made once, and what they say.
use std::collections::BTreeSet;

use serde_json::json;
use violet::server::Server;

use crate::harness::{
    Multipart, Neuron, Reply, SERVER, User, World, eventually, keypair, samples, translation,
};

/// The kinds that the code names.
fn named() -> BTreeSet<String> {
    let source = include_str!("../../../src/http/problem.rs");
    source
        .split('"')
        .filter(|text| text.starts_with("/problems/") && text.len() > "/problems/".len())
        .map(ToOwned::to_owned)
        .collect()
}

/// A request that waits for a lock for longer than the server allows.
async fn out_of_time(world: &World, user: &User) -> Reply {
    let mut config = world.config().clone();
    config.server.longest_wait_seconds = 0;
    config.server.request_seconds = 1;
    let hasty = Server::start(config, keypair(SERVER)).await.unwrap();
    let mut held = world.db.begin().await.unwrap();
    sqlx::raw_sql("lock table api_keys in access exclusive mode")
        .execute(&mut *held)
        .await
        .unwrap();
    let reply = user.at(&hasty).get("/api/v1/auth/verify-api-key").await;
    held.rollback().await.unwrap();
    hasty.stop().await;
    reply
}

/// More requests and more tasks than there may be.
async fn too_many(world: &World, user: &User) -> [Reply; 2] {
    let mut config = world.config().clone();
    config.limits.key_per_minute = 1;
    let strict = Server::start(config, keypair(SERVER)).await.unwrap();
    let requests = eventually("the limit is reached", || async {
        let reply = user.at(&strict).get("/api/v1/usage").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    strict.stop().await;
    world
        .sql("insert into organization_quotas (organization_id, daily_tasks) select organization_id, 0 from users")
        .await;
    let tasks = user.submit_raw(&translation(1)).await;
    world.sql("delete from organization_quotas").await;
    eventually("there is a quota again", || async {
        (user.submit_raw(&translation(1)).await.status == 200).then_some(())
    })
    .await;
    [requests, tasks]
}

/// The download of a file under a condition.
async fn part_of_a_file(world: &World, user: &User, name: &str, value: &str) -> Reply {
    let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(1000));
    let accepted = Reply::to(form.put(user.post("/api/v1/transcription"))).await.ok();
    let file = accepted["file_id"].as_str().unwrap();
    let url = format!("{}/api/v1/files/{file}/download", world.server.url());
    let request = world.http.get(url).header("X-API-Key", &user.key);
    Reply::to(request.header(name, value)).await
}

/// What is answered when something happens that should not: the caller learns nothing of the inside.
async fn broken(world: &World, user: &User, task: &str) -> [Reply; 2] {
    world.sql("alter table text_content rename to gone").await;
    let read = user.get(&format!("/api/v1/tasks/{task}")).await;
    let shown = read.body.to_string();
    assert!(
        !shown.contains("text_content") && !shown.contains("relation"),
        "{shown}"
    );
    let submitted = user.submit_raw(&translation(1)).await;
    world.sql("alter table gone rename to text_content").await;
    user.submit_raw(&translation(1)).await.ok();
    [read, submitted]
}

/// Two requests with one key.
async fn reused_key(user: &User) -> Reply {
    let with = |count| {
        let request = user.translate().header("Idempotency-Key", "key");
        Reply::to(request.json(&translation(count)))
    };
    with(1).await.ok();
    with(2).await
}

#[tokio::test]
async fn every_kind_of_problem_is_answered_to_somebody() {
    let world = World::start().await;
    world.miners(1).await;
    world.versatile(2).await;
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
    see(&reused_key(&user).await, 422, "/problems/idempotency-key-reused");
    let wrong = json!({ "email": "nobody@example.org", "password": "wrong horse" });
    let login = || Reply::to(world.http.post(format!("{url}/api/v1/auth/login")).json(&wrong));
    login().await.problem(401, "/problems/unauthenticated");
    world
        .sql("update login_attempts set next_at = now() + interval '1 hour'")
        .await;
    see(&login().await, 429, "/problems/too-many-requests");
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
    see(&wrong_method, 405, "/problems/method-not-allowed");
    assert_eq!(wrong_method.headers["allow"], "GET,HEAD");
    assert_eq!(wrong_method.body["detail"], "send GET or HEAD here");
    let nowhere = Reply::to(world.http.get(format!("{url}/docs/nothing"))).await;
    see(&nowhere, 404, "/problems/no-such-route");

    for (reply, status, kind) in [
        (
            part_of_a_file(&world, &user, "range", "bytes=1000000-").await,
            416,
            "/problems/range-not-satisfiable",
        ),
        (
            part_of_a_file(&world, &user, "if-match", "\"another\"").await,
            412,
            "/problems/precondition-failed",
        ),
    ] {
        see(&reply, status, kind);
    }

    see(&out_of_time(&world, &user).await, 504, "/problems/timeout");

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

    let [requests, tasks] = too_many(&world, &user).await;
    see(&requests, 429, "/problems/too-many-requests");
    see(&tasks, 429, "/problems/quota-exceeded");

    for reply in broken(&world, &user, &task).await {
        see(&reply, 500, "/problems/internal");
    }

    assert_eq!(seen, named());
    world.end().await;
}

#[tokio::test]
async fn of_many_languages_an_error_lists_some() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.silent_miner(1);
    let mut fields = translation(1);
    fields["target_language"] = "zu".into();
    for (count, shown) in [(20, ", en-aat"), (21, " and 1 more"), (26, " and 6 more")] {
        let tags: Vec<String> = ('a'..).take(count).map(|last| format!("aa{last}")).collect();
        let pairs: Vec<(&str, &str)> = tags.iter().map(|tag| ("en", tag.as_str())).collect();
        miner
            .post("/api/v1/miner/heartbeat", &Neuron::heartbeat_of(4, &pairs))
            .await
            .ok();
        eventually("all are listed where an error points to", || async {
            let network = user.get("/api/v1/network").await.ok();
            (network["served"][3]["languages"].as_array()?.len() == count).then_some(())
        })
        .await;
        let reply = user.submit_raw(&fields).await;
        let detail = reply.problem(422, "/problems/no-engine");
        assert!(detail.contains(shown), "{detail}");
        assert_eq!(count > 20, detail.contains("GET /api/v1/network"), "{detail}");
        assert!(!detail.contains("en-aau"), "{detail}");
    }
    world.end().await;
}
