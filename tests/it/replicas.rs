//! Several servers on one database, and one that is stopped in the middle.
use std::time::{Duration, Instant};

use crate::harness::{GOOD, Neuron, World, translation};

/// Where who waits must be woken.
async fn world() -> World {
    World::with(|config| config.server.poll_seconds = 3_600).await
}

const HEARTBEAT: &str = "/api/v1/miner/heartbeat";

/// Much less than a held request waits, where none looks by itself.
const SOON: Duration = Duration::from_secs(30);
/// For a held request to arrive before what it waits for; an early wake-up makes the test easier, not wrong.
const SETTLE_DOWN: Duration = Duration::from_millis(300);

/// Runs what waits, then what it waits for; how long the first took after the second.
async fn after<T>(waiting: impl Future<Output = T>, acting: impl Future<Output = ()>) -> (T, Duration) {
    let ((found, at), acted) = tokio::join!(async { (waiting.await, Instant::now()) }, async {
        tokio::time::sleep(SETTLE_DOWN).await;
        acting.await;
        Instant::now()
    });
    (found, at.saturating_duration_since(acted))
}

#[tokio::test]
async fn two_servers_share_the_work_and_wake_each_other() {
    let world = world().await;
    let other = world.replica().await;
    let user = world.user().await;
    let miner = world.silent_miner(1).at(&other);
    miner.heartbeat().await;
    world.on_roster(&world.server, &miner).await;
    let validator = world.validator(1).await;

    // Submitted at one, fetched at the other.
    let mut task = String::new();
    let (mail, took) = after(miner.mail(60), async {
        task = user.submit(&translation(1)).await;
    })
    .await;
    assert_eq!(mail[0]["task_id"], task.as_str());
    assert!(took < SOON, "{took:?}");

    // Answered at the other, read and judged at the first.
    let path = format!("/api/v1/text-translation/{task}/result?wait=60");
    let reading = async { tokio::join!(user.get(&path), validator.judgeable(60)) };
    let ((result, offered), took) = after(reading, async { _ = miner.answer(&task, "Casa").await }).await;
    assert_eq!(result.ok()["translated_text"], "Casa");
    assert_eq!(offered[0]["task_id"], task.as_str());
    assert!(took < SOON, "{took:?}");

    let there = user.at(&other);
    let (status, took) = after(there.ended(&task), async {
        _ = validator.judge(&task, |_| Some(GOOD)).await;
    })
    .await;
    assert_eq!(status["status"], "approved");
    assert!(took < SOON, "{took:?}");

    // A request counts once, wherever it is sent.
    let body = Neuron::heartbeat_body().to_string().into_bytes();
    let headers = miner.signed("POST", HEARTBEAT, &body);
    miner.send("POST", HEARTBEAT, body.clone(), &headers).await.ok();
    let replay = miner
        .at(&world.server)
        .send("POST", HEARTBEAT, body, &headers)
        .await;
    assert!(
        replay
            .problem(401, "/problems/unauthenticated")
            .contains("seen before")
    );
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_crowd_at_two_servers_gets_every_task_done_once() {
    let world = World::start().await;
    let other = world.replica().await;
    let user = world.user().await;
    let there = user.at(&other);
    let miners = world.miners(3).await;
    world.on_roster(&other, &miners[0]).await;
    for _ in 0..3 {
        let request = translation(1);
        let (one, two, three, four) = tokio::join!(
            user.submit(&request),
            there.submit(&request),
            user.submit(&request),
            there.submit(&request)
        );
        for task in [one, two, three, four] {
            let uid = world.open_uids(&task).await[0];
            let miner = &miners[usize::from(uid)];
            let there = miner.at(&other);
            let (a, b) = tokio::join!(miner.answer(&task, "Casa"), there.answer(&task, "Casa"));
            assert!((a["used"] == true) != (b["used"] == true), "{a} {b}");
        }
    }
    assert_eq!(world.count("tasks").await, 12);
    assert_eq!(world.count("miner_responses where used").await, 12);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let world = World::start().await;
    let user = world.user().await;
    world.validator(1).await;
    world.miners(2).await;
    let task = user.submit(&translation(2)).await;
    world.silent_miner(1).answer(&task, "Casa").await;

    let world = world.restart().await;
    let user = user.at(&world.server);
    assert_eq!(user.result(&task).await["translated_text"], "Casa");
    let second = world.silent_miner(2);
    second.receive(&task).await;
    assert_eq!(second.answer(&task, "Hogar").await["used"], true);
    world.validator(1).await.judge(&task, |_| Some(GOOD)).await;
    assert_eq!(user.ended(&task).await["status"], "approved");
    // Who was heard of before is still known.
    assert_eq!(
        user.submit_raw(&translation(2)).await.ok()["assigned_miner_count"],
        2
    );
    world.end().await;
}

#[tokio::test]
async fn a_stop_answers_those_who_wait() {
    let world = world().await;
    let user = world.user().await;
    world.miners(1).await;
    let task = user.submit(&translation(1)).await;
    let replica = world.replica().await;
    let there = user.at(&replica);
    let path = format!("/api/v1/text-translation/{task}/result?wait=60");
    let (reply, took) = after(there.get(&path), replica.stop()).await;
    assert_eq!(reply.ok()["available"], false);
    assert!(took < SOON, "{took:?}");
    world.end().await;
}
