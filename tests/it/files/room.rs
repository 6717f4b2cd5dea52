//! The quota of stored bytes: kept exactly, at two servers, and freed by deleting.
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::{id, speech, transcription};
use crate::harness::{Reply, User, World, samples};

/// Of a WAV with a thousand bytes of sound.
const SIZE: i64 = 1044;

async fn world(bytes: i64) -> (World, User) {
    let world = World::with(|config| {
        config.quotas.stored_bytes = u64::try_from(bytes).unwrap();
        config.routing.capacity_limit = 1000;
    })
    .await;
    world.versatile(1).await;
    let user = world.user().await;
    (world, user)
}

#[track_caller]
fn exceeded(reply: &Reply, limit: i64) {
    let detail = reply.problem(429, "/problems/quota-exceeded");
    assert!(detail.contains(&limit.to_string()), "{detail}");
    let body = &reply.body;
    assert_eq!(
        (&body["quota"], &body["limit"], &body["resets_at"]),
        (&"stored_bytes".into(), &limit.into(), &Value::Null)
    );
}

async fn stored(user: &User) -> Value {
    user.get("/api/v1/usage").await.ok()["stored_bytes"]["used"].clone()
}

#[tokio::test]
async fn bytes_are_counted_exactly_by_two_servers() {
    let (world, user) = world(5 * SIZE).await;
    let other = world.replica().await;
    world.on_roster(&other, &world.silent_miner(1)).await;
    let both = [user.with_key(&user.key), user.at(&other)];
    let accepted = AtomicUsize::new(0);
    let file = samples::wav(1000);
    let sending = both
        .iter()
        .flat_map(|user| (0..8).map(move |_| user))
        .map(|user| {
            let (accepted, file) = (&accepted, &file);
            async move {
                let reply = transcription(user, file).await;
                if reply.status == 200 {
                    accepted.fetch_add(1, Ordering::Relaxed);
                } else {
                    exceeded(&reply, 5 * SIZE);
                }
            }
        });
    futures_util::future::join_all(sending).await;
    assert_eq!(accepted.into_inner(), 5);
    assert_eq!(
        (stored(&user).await, world.count("files").await),
        ((5 * SIZE).into(), 5)
    );
    // Nothing stays of what was refused.
    world.stored(5).await;
    // Texts take no storage, and nobody else is touched.
    user.submit(&crate::harness::translation(1)).await;
    transcription(&world.user().await, &file).await.ok();
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_is_deleted_makes_room() {
    let (world, user) = world(2 * SIZE).await;
    let first = transcription(&user, &samples::wav(1000)).await.ok();
    // One byte too many, and not.
    exceeded(&transcription(&user, &samples::wav(1001)).await, 2 * SIZE);
    transcription(&user, &samples::wav(1000)).await.ok();
    exceeded(&transcription(&user, &samples::wav(1)).await, 2 * SIZE);
    user.cancel(id(&first, "task_id")).await.ok();
    // A task that has ended keeps its file.
    exceeded(&transcription(&user, &samples::wav(1)).await, 2 * SIZE);
    user.delete(&format!("/api/v1/files/{}", id(&first, "file_id")))
        .await
        .ok();
    transcription(&user, &samples::wav(1000)).await.ok();
    assert_eq!(stored(&user).await, 2 * SIZE);

    // An organisation may have a quota of its own, above or below.
    let own = |bytes: i64| {
        format!(
            "insert into organization_quotas (organization_id, stored_bytes) select organization_id, {bytes}
             from organizations on conflict (organization_id) do update set stored_bytes = excluded.stored_bytes"
        )
    };
    world.sql(&own(3 * SIZE)).await;
    transcription(&user, &samples::wav(1000)).await.ok();
    exceeded(&transcription(&user, &samples::wav(1)).await, 3 * SIZE);
    world.sql(&own(SIZE)).await;
    exceeded(&transcription(&user, &samples::wav(1)).await, SIZE);
    world.end().await;
}

#[tokio::test]
async fn answers_are_counted_and_never_refused() {
    let (world, user) = world(SIZE).await;
    let task = speech(&user, 1).await;
    transcription(&user, &samples::wav(1000)).await.ok();
    let miner = world.silent_miner(1);
    let uploaded = miner.upload(&task, &samples::wav(2000)).await.ok();
    let answer = miner.answer_of(&task, &crate::harness::Neuron::spoken(&uploaded));
    assert_eq!(miner.post_answer(&answer).await.ok()["used"], true);
    assert_eq!(stored(&user).await, SIZE + 2044);
    exceeded(&transcription(&user, &samples::wav(1)).await, SIZE);
    // Deleting frees what there is, whatever the quota says.
    user.ended(&task).await;
    user.delete(&format!("/api/v1/files/{}", id(&uploaded, "file_id")))
        .await
        .ok();
    assert_eq!(stored(&user).await, SIZE);
    world.end().await;
}
