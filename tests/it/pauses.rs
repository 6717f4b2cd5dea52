//! Time in which no server ran counts against nobody.
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::harness::{GOOD, World, eventually, translation};

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Stops the server, lets `seconds` pass in the database, and starts another one.
async fn pause(world: World, seconds: u32) -> World {
    let db = world.db.clone();
    world
        .restart_after(async |chain| {
            let before = format!("- interval '{seconds} s'");
            for statement in [
                format!("update service_life set alive_at = now() {before}"),
                format!("update task_open set accepted_at = accepted_at {before}, done_at = done_at {before}"),
                format!(
                    "update task_assignments set assigned_at = assigned_at {before}, deadline = deadline {before},
                         silent_at = silent_at {before}"
                ),
            ] {
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&db).await.unwrap();
            }
            chain
        })
        .await
}

#[tokio::test]
async fn after_a_pause_everybody_has_the_time_that_was_left() {
    let world = World::start().await;
    let user = world.user().await;
    let validator = world.validator(1).await;
    let miner = world.miner(1).await;
    let (waiting, overdue) = (
        user.submit(&translation(1)).await,
        user.submit(&translation(1)).await,
    );
    let (judged, late) = (
        user.submit(&translation(1)).await,
        user.submit(&translation(1)).await,
    );
    for task in [&judged, &late] {
        assert_eq!(miner.answer(task, "Casa").await["used"], true);
        validator.offered(task).await;
    }
    // Two had seconds left when the pause began.
    world
        .sql(&format!(
            "update task_open set done_at = done_at - interval '14 min 55 s' where task_id = '{late}'"
        ))
        .await;
    world
        .sql(&format!(
            "update task_assignments set deadline = now() + interval '1 s' where task_id = '{overdue}'"
        ))
        .await;
    let world = pause(world, 7200).await;
    let user = user.at(&world.server);
    assert_eq!(user.ended(&overdue).await["status"], "failed");
    assert_eq!(user.ended(&late).await["reason"], "quorum");

    // The others were looked at with them.
    let (miner, validator) = (miner.at(&world.server), validator.at(&world.server));
    assert_eq!(miner.answer(&waiting, "Casa").await["used"], true);
    validator.judge(&judged, |_| Some(GOOD)).await;
    assert_eq!(user.ended(&judged).await["status"], "approved");
    world.end().await;
}

#[tokio::test]
async fn a_restart_is_no_pause() {
    let world = World::start().await;
    let user = world.user().await;
    world.miner(1).await;
    user.submit(&translation(1)).await;
    world
        .sql("update task_assignments set deadline = now() + interval '1 s'")
        .await;
    let world = pause(world, 5).await;
    eventually("the assignment expired", || async {
        (world.count("assignment_ends where outcome = 'expired'").await == 1).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_pause_before_the_answer_gives_validators_no_more_time() {
    let world = World::start().await;
    let user = world.user().await;
    let validator = world.validator(1).await;
    let miner = world.miner(1).await;
    let task = user.submit(&translation(1)).await;
    let world = pause(world, 7200).await;
    let (user, miner, validator) = (
        user.at(&world.server),
        miner.at(&world.server),
        validator.at(&world.server),
    );
    assert_eq!(miner.answer(&task, "Casa").await["used"], true);
    // The time of the pause is not the miner's.
    let seconds = user.result(&task).await["processing_time"].as_f64().unwrap();
    assert!((0.0..3600.0).contains(&seconds), "{seconds}");
    validator.offered(&task).await;
    world
        .sql("update task_open set done_at = done_at - interval '15 min'")
        .await;
    assert_eq!(user.ended(&task).await["reason"], "quorum");
    world.end().await;
}

#[tokio::test]
async fn validators_are_told_the_deadline_that_is_kept() {
    let world = World::start().await;
    let user = world.user().await;
    let validator = world.validator(1).await;
    let miner = world.miner(1).await;
    let task = user.submit(&translation(1)).await;
    assert_eq!(miner.answer(&task, "Casa").await["used"], true);
    let before = validator.offered(&task).await;
    let world = pause(world, 7200).await;
    let (user, validator) = (user.at(&world.server), validator.at(&world.server));
    let after = validator.offered(&task).await;
    // The pause made everything older by two hours, and nobody lost them.
    assert!(time(&after["deadline"]) >= time(&before["deadline"]));
    assert_eq!(
        time(&after["deadline"]) - time(&after["done_at"]),
        TimeDelta::minutes(15)
    );
    let kept: DateTime<Utc> = sqlx::query_scalar("select done_at from task_open")
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert_eq!(time(&after["done_at"]), kept);
    assert!(kept <= world.server.app.clock.now());

    // It goes on until then, and no longer.
    let until =
        |left: &str| format!("update task_open set done_at = now() - interval '15 min' + interval '{left}'");
    world.sql(&until("10 min")).await;
    let offered = validator.offered(&task).await;
    assert!(time(&offered["deadline"]) > world.server.app.clock.now());
    assert_eq!(user.status(&task).await["settled_at"], Value::Null);
    world.sql(&until("0 s")).await;
    assert_eq!(user.ended(&task).await["reason"], "quorum");
    world.end().await;
}
