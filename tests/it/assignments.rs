//! Assignments that bring no answer, and tasks that nobody can be drawn for.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sqlx::AssertSqlSafe;
use violet::{
    domain::records::{Draw, Record},
    services::roster,
};

use crate::harness::{Neuron, World, eventually, translation};

/// The draws of a task as they are recorded, oldest first.
async fn draws(world: &World, task: &str) -> Vec<Draw> {
    let bodies: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select body from routing_records where task_id = '{task}' and kind = 'draw'"
    )))
    .fetch_all(&world.db)
    .await
    .unwrap();
    let mut draws: Vec<Draw> = bodies
        .iter()
        .map(|body| match Record::from_bytes(body).unwrap() {
            Record::Draw(draw) => draw,
            other => panic!("{other:?}"),
        })
        .collect();
    draws.sort_by_key(|draw| draw.draw);
    draws
}

/// The miner that has the task open, apart from those.
async fn holder<'a>(world: &World, miners: &'a [Neuron], task: &str, apart_from: &[u16]) -> &'a Neuron {
    let uid = eventually("somebody else is drawn", || async {
        world
            .open_uids(task)
            .await
            .into_iter()
            .find(|uid| !apart_from.contains(uid))
    })
    .await;
    miners
        .iter()
        .find(|miner| miner.uid == uid)
        .expect("one of those")
}

async fn outcome(world: &World, task: &str, miner: &Neuron) -> String {
    let query = format!(
        "select outcome::text from assignment_ends where task_id = '{task}' and uid = {}",
        miner.uid
    );
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(&world.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_silent_miner_is_replaced_and_one_that_shows_life_is_not() {
    // A server that just started gives everybody this time.
    let world = World::with(|config| config.tasks.silence_seconds = 10).await;
    let user = world.user().await;
    let miners = world.miners(3).await;
    let task = user.submit(&translation(2)).await;
    world
        .sql("update task_assignments set silent_at = now() + interval '1 hour'")
        .await;
    let drawn = world.open_uids(&task).await;
    let [alive, silent] = [0, 1].map(|slot| &miners[usize::from(drawn[slot])]);
    let other = miners
        .iter()
        .find(|miner| !drawn.contains(&miner.uid))
        .expect("a third one");
    alive.heartbeat().await;
    let moved = world
        .sql("update task_assignments set silent_at = now() - interval '1 s'")
        .await;
    assert_eq!(moved, 2);
    other.receive(&task).await;
    assert_eq!(outcome(&world, &task, silent).await, "silent");
    assert!(!silent.has(&task).await);
    assert!(alive.has(&task).await);

    let status = user.status(&task).await;
    assert_eq!(status["assigned_miners"], serde_json::json!([0, 1, 2]));
    assert_eq!(status["assigned_miner_count"], 2);
    world.end().await;
}

#[tokio::test]
async fn a_refused_task_goes_to_another_miner_at_once() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let task = user.submit(&translation(1)).await;
    let first = holder(&world, &miners, &task, &[]).await;
    assert_eq!(first.refuse(&task).await["released"], true);
    assert_eq!(outcome(&world, &task, first).await, "refused");
    let second = holder(&world, &miners, &task, &[]).await;
    assert_ne!(first.uid, second.uid);
    assert_eq!(first.refuse(&task).await["released"], false);
    second.answer(&task, "Casa").await;
    assert_eq!(user.ended(&task).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn an_expired_assignment_is_replaced() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let task = user.submit(&translation(1)).await;
    let first = holder(&world, &miners, &task, &[]).await;
    first.receive(&task).await;
    world
        .sql("update task_assignments set deadline = now() - interval '1 s'")
        .await;
    let second = holder(&world, &miners, &task, &[first.uid]).await;
    assert_eq!(outcome(&world, &task, first).await, "expired");
    second.answer(&task, "Casa").await;
    assert_eq!(user.ended(&task).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn slots_that_expire_together_are_drawn_together() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(5).await;
    let task = user.submit(&translation(3)).await;
    let first = world.open_uids(&task).await;
    assert_eq!(first.len(), 3);
    world
        .sql("update task_assignments set deadline = now() - interval '1 s' where slot > 0")
        .await;
    let now = eventually("both are replaced", || async {
        let now = world.open_uids(&task).await;
        (now.len() == 3 && now[1] != first[1]).then_some(now)
    })
    .await;
    assert_eq!(now[0], first[0]);
    let all: BTreeSet<u16> = first.iter().chain(&now).copied().collect();
    assert_eq!(all, (0..5).collect(), "everybody once");
    let draws = draws(&world, &task).await;
    assert_eq!(draws.iter().map(|draw| draw.draw).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        (&draws[1].slots, &draws[1].chosen),
        (&vec![1, 2], &now[1..].to_vec())
    );
    for uid in now {
        miners[usize::from(uid)].answer(&task, "Casa").await;
    }
    assert_eq!(user.ended(&task).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn a_slot_has_three_draws_and_then_the_task_fails() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(4).await;
    let task = user.submit(&translation(1)).await;
    for _ in 0..3 {
        holder(&world, &miners, &task, &[]).await.refuse(&task).await;
    }
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_answer".into())
    );
    assert_eq!(status["assigned_miners"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&status["assigned_miner_count"], &status["verified"]),
        (&0.into(), &false.into())
    );
    assert_eq!(user.result(&task).await["available"], false);
    assert_eq!(draws(&world, &task).await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn a_task_with_some_answers_is_done_when_nobody_is_left_for_the_others() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let task = user.submit(&translation(2)).await;
    miners[0].answer(&task, "Casa").await;
    assert_eq!(miners[1].refuse(&task).await["released"], true);
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"done".into(), &"quorum".into())
    );
    world.end().await;
}

#[tokio::test]
async fn nobody_to_ask_leaves_a_task_pending_until_a_miner_comes() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    world
        .sql("update miner_status set last_seen = now() - interval '301 s'")
        .await;
    eventually("the heartbeat is too old", || async {
        (!world.server.app.roster.miners()[&miner.hotkey()].available).then_some(())
    })
    .await;
    let accepted = user.submit_raw(&translation(1)).await.ok();
    assert_eq!(accepted["auto_assigned"], false);
    let task = accepted["task_id"].as_str().unwrap();
    assert_eq!(user.status(task).await["status"], "pending");
    miner.heartbeat().await;
    miner.receive(task).await;
    assert_eq!(miner.answer(task, "Casa").await["used"], true);

    // One that waited too long fails.
    world
        .sql("update miner_status set last_seen = now() - interval '301 s'")
        .await;
    eventually("the heartbeat is too old", || async {
        (!world.server.app.roster.miners()[&miner.hotkey()].available).then_some(())
    })
    .await;
    let task = user.submit(&translation(1)).await;
    world
        .sql("update task_open set accepted_at = now() - interval '3601 s' where draws = 0")
        .await;
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_eligible_miner".into())
    );
    world.end().await;
}

#[tokio::test]
async fn a_full_miner_gets_no_more_and_the_most_urgent_task_next() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.silent_miner(1);
    miner
        .post(
            "/api/v1/miner/heartbeat",
            &Neuron::heartbeat_of(1, &[("en", "es")]),
        )
        .await
        .ok();
    world.on_roster(&world.server, &miner).await;
    let prioritised = |priority: &str| {
        let mut fields = translation(1);
        fields["priority"] = priority.into();
        fields
    };
    let first = user.submit(&prioritised("low")).await;
    // What was read while the draw was committed does not count it yet.
    roster::refresh(&world.server.app).await.unwrap();
    roster::refresh(&world.server.app).await.unwrap();
    let low = user.submit(&prioritised("low")).await;
    let urgent = user.submit(&prioritised("urgent")).await;
    assert_eq!(user.status(&low).await["status"], "pending");
    for task in [first, urgent, low] {
        assert_eq!(miner.receive(&task).await["task_id"], task.as_str());
        assert_eq!(world.count("task_assignments").await, 1);
        miner.answer(&task, "Casa").await;
    }
    world.end().await;
}

#[tokio::test]
async fn fewer_miners_than_wanted_are_enough() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let accepted = user.submit_raw(&translation(10)).await.ok();
    assert_eq!(accepted["assigned_miner_count"], 2);
    let task = accepted["task_id"].as_str().unwrap();
    let status = user.status(task).await;
    assert_eq!(
        (&status["required_miner_count"], &status["assigned_miner_count"]),
        (&10.into(), &2.into())
    );
    for miner in &miners {
        miner.answer(task, "Casa").await;
    }
    assert_eq!(user.ended(task).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn many_refusals_at_once_do_not_starve_each_other() {
    // Each needs a connection for its transaction, and another for what it draws.
    let world = World::with(|config| config.database.connections = 4).await;
    let user = world.user().await;
    let miners = world.miners(6).await;
    let mut assigned = Vec::new();
    for _ in 0..12 {
        let task = user.submit(&translation(1)).await;
        let uid = world.open_uids(&task).await[0];
        assigned.push((task, uid));
    }
    let started = Instant::now();
    let refused = assigned
        .iter()
        .map(|(task, uid)| miners[usize::from(*uid)].refuse(task));
    for refused in join_all(refused).await {
        assert_eq!(refused["released"], true);
    }
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
    for (task, uid) in assigned {
        assert_ne!(world.open_uids(&task).await, [uid]);
    }
    world.end().await;
}

#[tokio::test]
async fn whatever_happens_at_the_same_moment_every_task_ends_once() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(4).await;
    for round in 0..12 {
        let task = user.submit(&translation(2)).await;
        // At once, or in its turn when the one before left a slot vacant.
        let uids = eventually("two are drawn", || async {
            Some(world.open_uids(&task).await).filter(|uids| uids.len() == 2)
        })
        .await;
        let [one, two] = [uids[0], uids[1]].map(|uid| &miners[usize::from(uid)]);
        let expire = format!("update task_assignments set deadline = now() where task_id = '{task}'");
        let (_, _, cancelled, ()) = tokio::join!(
            one.answer(&task, "Casa"),
            two.refuse(&task),
            async {
                match round % 3 {
                    0 => Some(user.cancel(&task).await.status),
                    _ => None,
                }
            },
            async {
                if round % 3 == 1 {
                    world.sql(&expire).await;
                }
            },
        );
        assert!(matches!(cancelled, None | Some(200 | 409)), "{cancelled:?}");
        eventually("the task ends", || async {
            // Whoever was drawn instead.
            for uid in world.open_uids(&task).await {
                miners[usize::from(uid)].answer(&task, "Hogar").await;
            }
            (!user.status(&task).await["settled_at"].is_null()).then_some(())
        })
        .await;
        let status = user.ended(&task).await;
        assert_eq!(
            status["status"] == "cancelled",
            cancelled == Some(200),
            "{status}"
        );
    }
    for table in ["task_open", "task_assignments", "task_juries"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    assert_eq!(world.count("task_ends").await, 12);
    world.end().await;
}
