//! `Idempotency-Key`: a repeated request finds its task.
use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use crate::harness::{Multipart, Reply, User, World, eventually, translation};

async fn submit(user: &User, key: &str, fields: &Value) -> Reply {
    Reply::to(user.translate().header("Idempotency-Key", key).json(fields)).await
}

fn task(accepted: &Value) -> &str {
    accepted["task_id"].as_str().unwrap()
}

#[tokio::test]
async fn the_same_request_finds_its_task_and_another_is_refused() {
    let world = World::start().await;
    world.miners(2).await;
    let user = world.user().await;
    let first = submit(&user, "key-1", &translation(2)).await.ok();
    let again = submit(&user, "key-1", &translation(2)).await.ok();
    assert_eq!(again, first);
    // However it is encoded.
    let form = Multipart::new()
        .field("text", "The house is big.")
        .field("source_language", "en")
        .field("target_language", "es")
        .field("required_miner_count", "2");
    let request = form.put(user.translate().header("Idempotency-Key", "key-1"));
    assert_eq!(task(&Reply::to(request).await.ok()), task(&first));

    for (field, value) in [
        ("text", Value::from("Another house.")),
        ("required_miner_count", 1.into()),
        ("priority", "high".into()),
        ("model_id", "t5-small".into()),
    ] {
        let mut other = translation(2);
        other[field] = value;
        submit(&user, "key-1", &other)
            .await
            .problem(422, "/problems/idempotency-key-reused");
    }
    assert_ne!(
        task(&submit(&user, "key-2", &translation(2)).await.ok()),
        task(&first)
    );
    // Keys are each organisation's own.
    let other = world.user().await;
    assert_ne!(
        task(&submit(&other, "key-1", &translation(2)).await.ok()),
        task(&first)
    );
    assert_eq!(world.count("tasks").await, 3);

    // Also after the end, and after the miners are gone.
    user.cancel(task(&first)).await.ok();
    world.sql("delete from miner_status").await;
    eventually("nobody is known to serve it", || async {
        world.server.app.roster.miners().is_empty().then_some(())
    })
    .await;
    assert_eq!(
        task(&submit(&user, "key-1", &translation(2)).await.ok()),
        task(&first)
    );
    world.end().await;
}

#[tokio::test]
async fn twenty_at_once_make_one_task() {
    let world = World::start().await;
    world.miners(3).await;
    let other = world.replica().await;
    let user = world.user().await;
    let there = user.at(&other);
    let request = translation(2);
    let replies = join_all(
        (0..20).map(|number| submit(if number % 2 == 0 { &user } else { &there }, "one-key", &request)),
    )
    .await;
    let tasks: BTreeSet<String> = replies
        .into_iter()
        .map(|reply| task(&reply.ok()).to_owned())
        .collect();
    assert_eq!(tasks.len(), 1);
    assert_eq!(world.count("tasks").await, 1);
    assert_eq!(world.count("task_assignments").await, 2);
    assert_eq!(world.count("routing_records where kind = 'draw'").await, 1);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn keys_and_nonces_have_a_form() {
    let world = World::start().await;
    world.miners(1).await;
    let user = world.user().await;
    for header in ["Idempotency-Key", "Violet-Nonce"] {
        for value in ["", "a b", &"x".repeat(256), "schlüssel"] {
            let request = user.translate().header(header, value).json(&translation(1));
            Reply::to(request).await.invalid(header);
        }
    }
    assert_eq!(world.count("tasks").await, 0);
    submit(&user, &"x".repeat(255), &translation(1)).await.ok();
    // A nonce promises nothing: the same again is another task.
    for _ in 0..2 {
        Reply::to(user.translate().header("Violet-Nonce", "n").json(&translation(1)))
            .await
            .ok();
    }
    assert_eq!(world.count("tasks").await, 3);
    world.end().await;
}
