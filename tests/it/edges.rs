//! Limits in time and number, each from both sides; where it is a time, the rows are moved.
use serde_json::Value;
use violet::services::{roster, submitting};

use crate::harness::{Neuron, Reply, User, World, eventually, translation};

/// A server whose only miner has its only place taken for a day: what else is submitted waits.
async fn full() -> (World, User) {
    let world = World::with(|config| {
        config.tasks.silence_seconds = 86_400;
        config.routing.heartbeat_ttl_seconds = 86_400;
    })
    .await;
    let user = world.user().await;
    let miner = world.silent_miner(1);
    let heartbeat = Neuron::heartbeat_of(1, &[("en", "es")]);
    miner.post("/api/v1/miner/heartbeat", &heartbeat).await.ok();
    world.on_roster(&world.server, &miner).await;
    user.submit(&translation(1)).await;
    world
        .sql("update task_assignments set deadline = deadline + interval '1 day'")
        .await;
    // What was read while the draw was committed does not count it yet.
    for _ in 0..2 {
        roster::refresh(&world.server.app).await.unwrap();
    }
    (world, user)
}

#[tokio::test]
async fn a_task_waits_an_hour_for_a_miner_and_no_longer() {
    let (world, user) = full().await;
    let (near, over) = (
        user.submit(&translation(1)).await,
        user.submit(&translation(1)).await,
    );
    let old = |task: &str, minutes: u8| {
        format!(
            "update task_open set accepted_at = now() - interval '{minutes} min' where task_id = '{task}'"
        )
    };
    world
        .sql(&format!("{}; {}", old(&near, 50), old(&over, 60)))
        .await;
    let status = user.ended(&over).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_eligible_miner".into())
    );
    // They were looked at together.
    assert_eq!(user.status(&near).await["status"], "pending");
    world.end().await;
}

#[tokio::test]
async fn validators_have_a_quarter_of_an_hour() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validator = world.validator(1).await;
    let mut tasks = Vec::new();
    for minutes in [10, 15] {
        let task = user.submit(&translation(1)).await;
        miner.answer(&task, "Casa").await;
        validator.offered(&task).await;
        tasks.push((task, minutes));
    }
    let moved: Vec<String> = tasks
        .iter()
        .map(|(task, minutes)| {
            format!(
                "update task_open set done_at = now() - interval '{minutes} min' where task_id = '{task}'"
            )
        })
        .collect();
    world.sql(&moved.join("; ")).await;
    assert_eq!(user.ended(&tasks[1].0).await["reason"], "quorum");
    assert_eq!(user.status(&tasks[0].0).await["settled_at"], Value::Null);
    world.end().await;
}

#[tokio::test]
async fn a_validator_that_was_seen_within_a_day_may_judge() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let (near, over) = (world.validator(1).await, world.validator(2).await);
    let seen = |validator: &Neuron, hours: u8| {
        let hotkey = hex::encode(validator.hotkey().0);
        format!(
            "update validator_seen set last_seen = now() - interval '{hours} h' where hotkey = '\\x{hotkey}'"
        )
    };
    world
        .sql(&format!("{}; {}", seen(&near, 23), seen(&over, 24)))
        .await;
    let shown = user.get("/api/v1/validators").await.ok();
    let may: Vec<bool> = shown["validators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|validator| validator["may_judge"].as_bool().unwrap())
        .collect();
    assert_eq!(may, [true, false, false]);
    let task = user.submit(&translation(1)).await;
    miner.answer(&task, "Casa").await;
    let jury = eventually("the jury is frozen", || async {
        let jury: Vec<Vec<u8>> = sqlx::query_scalar("select validator from task_juries")
            .fetch_all(&world.db)
            .await
            .unwrap();
        (!jury.is_empty()).then_some(jury)
    })
    .await;
    assert_eq!(jury, [near.hotkey().0.to_vec()]);
    world.end().await;
}

#[tokio::test]
async fn what_was_offered_within_an_hour_is_taken() {
    let world = World::start().await;
    let user = world.user().await;
    world.miner(1).await;
    for (minutes, served) in [(50, true), (60, false)] {
        world
            .sql(&format!(
                "update miner_status set last_seen = now() - interval '{minutes} min',
                     beat_at = now() - interval '{minutes} min'"
            ))
            .await;
        roster::refresh(&world.server.app).await.unwrap();
        let reply = user.submit_raw(&translation(1)).await;
        if served {
            assert_eq!(reply.ok()["assigned_miner_count"], 0);
        } else {
            reply.problem(422, "/problems/no-engine");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_key_finds_its_task_for_a_day() {
    let world = World::start().await;
    let user = world.user().await;
    world.miner(1).await;
    let submit = async || {
        let request = user
            .translate()
            .header("Idempotency-Key", "key")
            .json(&translation(1));
        Reply::to(request).await.ok()["task_id"].clone()
    };
    let first = submit().await;
    let forget = async |hours: u8| {
        world
            .sql(&format!(
                "update idempotency_keys set created_at = now() - interval '{hours} h'"
            ))
            .await;
        submitting::forget_keys(&world.server.app).await.unwrap();
    };
    forget(23).await;
    assert_eq!(submit().await, first);
    forget(24).await;
    assert_ne!(submit().await, first);
    world.end().await;
}

/// A task of this priority, for one miner.
fn prioritised(priority: &str) -> Value {
    let mut fields = translation(1);
    fields["priority"] = priority.into();
    fields
}

#[tokio::test]
async fn a_low_task_precedes_an_urgent_one_that_came_four_minutes_later() {
    let (world, user) = full().await;
    let holder = world.silent_miner(1);
    let first = holder.mail(0).await[0]["task_id"].as_str().unwrap().to_owned();
    // Three levels lie between them, each worth a minute.
    let (old, younger) = (
        user.submit(&prioritised("low")).await,
        user.submit(&prioritised("low")).await,
    );
    let urgent = user.submit(&prioritised("urgent")).await;
    let aged = |task: &str, minutes: u8| {
        format!(
            "update task_open set accepted_at = accepted_at - interval '{minutes} min' where task_id = '{task}'"
        )
    };
    world
        .sql(&format!("{}; {}", aged(&old, 4), aged(&younger, 0)))
        .await;
    for task in [first, old, urgent, younger] {
        // One at a time: there is one place.
        assert_eq!(holder.receive(&task).await["task_id"], *task);
        assert_eq!(world.count("task_assignments").await, 1);
        holder.answer(&task, "Casa").await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_mailbox_is_in_the_order_of_priority_and_age() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let (old, younger) = (
        user.submit(&prioritised("low")).await,
        user.submit(&prioritised("low")).await,
    );
    let urgent = user.submit(&prioritised("urgent")).await;
    let order = async || -> Vec<String> {
        let mail = miner.mail(0).await;
        mail.iter()
            .map(|mail| mail["task_id"].as_str().unwrap().to_owned())
            .collect()
    };
    world
        .sql("update task_assignments set deadline = deadline + interval '1 day', assigned_at = now()")
        .await;
    assert_eq!(order().await, [urgent.clone(), old.clone(), younger.clone()]);
    let aged = |task: &str, minutes: u8| {
        format!(
            "update task_assignments set assigned_at = now() - interval '{minutes} min' where task_id = '{task}'"
        )
    };
    world
        .sql(&format!("{}; {}", aged(&old, 4), aged(&younger, 2)))
        .await;
    assert_eq!(order().await, [old, urgent, younger]);
    world.end().await;
}
