//! Time in which no server ran counts against nobody.
use crate::harness::{GOOD, World, eventually, translation};

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
