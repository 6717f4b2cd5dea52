//! Tasks that wait for a miner, the places of miners, and work that goes wrong in company.
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use violet::{
    domain::{TaskId, TaskType, capability::Capability},
    services::{drawing, roster},
};

use crate::harness::{Multipart, Neuron, Reply, User, World, eventually, samples, translation};

/// Miner `number` with `capacity` places, able to translate these pairs.
async fn miner(world: &World, number: u8, capacity: u16, pairs: &[(&str, &str)]) -> Neuron {
    let miner = world.silent_miner(number);
    declare(&miner, capacity, pairs).await;
    world.on_roster(&world.server, &miner).await;
    miner
}

async fn declare(miner: &Neuron, capacity: u16, pairs: &[(&str, &str)]) {
    miner
        .post("/api/v1/miner/heartbeat", &Neuron::heartbeat_of(capacity, pairs))
        .await
        .ok();
}

fn to(target: &str) -> serde_json::Value {
    let mut fields = translation(1);
    fields["target_language"] = target.into();
    fields
}

fn free(world: &World, miner: &Neuron) -> u16 {
    world.server.app.roster.miners()[&miner.hotkey()].free()
}

async fn state(user: &User, task: &str) -> String {
    user.status(task).await["status"].as_str().unwrap().to_owned()
}

/// Waits until the miners hold just this task.
async fn held(world: &World, task: &str) -> u16 {
    eventually("somebody is drawn for the task", || async {
        world.open_uids(task).await.first().copied()
    })
    .await
}

#[tokio::test]
async fn tasks_that_nobody_can_do_do_not_hold_up_the_others() {
    let world = World::start().await;
    let user = world.user().await;
    let gone = miner(&world, 1, 4, &[("en", "fr")]).await;
    let worker = miner(&world, 2, 1, &[("en", "es")]).await;
    world
        .sql("update miner_status set last_seen = now() - interval '301 s' where capacity = 4")
        .await;
    eventually("the one is gone", || async {
        (!world.server.app.roster.miners()[&gone.hotkey()].available).then_some(())
    })
    .await;
    let first = user.submit(&to("es")).await;
    // More than one round takes, and all of them older.
    let stuck = user.submit(&to("fr")).await;
    world
        .sql(&format!(
            "insert into task_open
             select (jsonb_populate_record(o, jsonb_build_object(
                        'task_id', gen_random_uuid(), 'accepted_at', o.accepted_at + interval '1 ms'))).*
             from task_open o, generate_series(1, 450) where o.task_id = '{stuck}'"
        ))
        .await;
    let second = user.submit(&to("es")).await;
    assert_eq!(state(&user, &second).await, "pending");
    worker.answer(&first, "Casa").await;
    assert_eq!(held(&world, &second).await, worker.uid);

    // When somebody comes who can, they have their turn; a round that has begun goes on where it is.
    declare(&gone, 4, &[("en", "fr")]).await;
    let taken = format!("task_assignments where uid = {}", gone.uid);
    eventually("those that waited are drawn for", || async {
        (world.count(&taken).await == 4).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn who_comes_later_does_not_overtake() {
    let world = World::start().await;
    let user = world.user().await;
    let worker = miner(&world, 1, 1, &[("en", "es")]).await;
    let first = user.submit(&to("es")).await;
    let second = user.submit(&to("es")).await;
    assert_eq!(state(&user, &second).await, "pending");
    // There is another place now, and nobody was drawn for it yet.
    world.sql("update miner_status set capacity = 2").await;
    roster::refresh(&world.server.app).await.unwrap();
    let third = user.submit_raw(&to("es")).await.ok();
    assert_eq!(third["auto_assigned"], false);
    let third = third["task_id"].as_str().unwrap();
    assert_eq!(held(&world, &second).await, worker.uid);
    assert_eq!(state(&user, third).await, "pending");
    for task in [&first, &second, third] {
        held(&world, task).await;
        worker.answer(task, "Casa").await;
    }
    // Nobody waits any more, so the next is drawn for at once.
    eventually("nothing waits", || async {
        (!world.server.app.roster.any_waiting()).then_some(())
    })
    .await;
    assert_eq!(user.submit_raw(&to("es")).await.ok()["auto_assigned"], true);
    world.end().await;
}

/// Two miners with one place each, and a task in the hands of each.
async fn two_busy_miners() -> (World, User, [(Neuron, String); 2]) {
    let world = World::start().await;
    let user = world.user().await;
    let miners = [
        miner(&world, 1, 1, &[("en", "es")]).await,
        miner(&world, 2, 1, &[("en", "es")]).await,
    ];
    let [one, two] = [user.submit(&to("es")).await, user.submit(&to("es")).await];
    let (of_one, of_two) = (held(&world, &one).await, held(&world, &two).await);
    assert_ne!(of_one, of_two);
    let [a, b] = miners;
    let (first, second) = if a.uid == of_one { (a, b) } else { (b, a) };
    (world, user, [(first, one), (second, two)])
}

#[tokio::test]
async fn a_slot_stays_vacant_until_somebody_is_free() {
    let (world, user, [(first, task), (second, other)]) = two_busy_miners().await;
    assert_eq!(first.refuse(&task).await["released"], true);
    // Its next place goes to nobody else: the slot is for the one that was not drawn for it yet.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(world.open_uids(&task).await.is_empty());
    assert_eq!(state(&user, &task).await, "assigned");
    let whole = user.get(&format!("/api/v1/tasks/{task}")).await.ok();
    assert_eq!(whole["actual_miner_count"], 0);
    second.answer(&other, "Casa").await;
    assert_eq!(held(&world, &task).await, second.uid);
    let attempt = format!("task_assignments where task_id = '{task}' and slot = 0 and attempt = 2");
    assert_eq!(world.count(&attempt).await, 1);
    assert_eq!(world.count("task_open where vacant <> '{}'").await, 0);
    second.answer(&task, "Casa").await;
    assert_eq!(user.ended(&task).await["status"], "done");
    world.end().await;
}

#[tokio::test]
async fn a_vacant_slot_is_given_up_once_everybody_who_could_come_was_drawn() {
    let (world, user, [(first, other), (second, task_of_second)]) = two_busy_miners().await;
    second.answer(&task_of_second, "Casa").await;
    let third = miner(&world, 3, 1, &[("en", "es")]).await;
    // Candidates are frozen for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut fields = to("es");
    fields["required_miner_count"] = 2.into();
    let task = user.submit(&fields).await;
    let mut drawn = world.open_uids(&task).await;
    drawn.sort_unstable();
    assert_eq!(drawn, [second.uid, third.uid]);

    // Both slots wait for the one that is busy.
    second.refuse(&task).await;
    third.refuse(&task).await;
    let vacant = format!("task_open where task_id = '{task}' and cardinality(vacant) = 2");
    assert_eq!(world.count(&vacant).await, 1);
    first.answer(&other, "Casa").await;
    // It fills one of them, and for the other nobody is left.
    assert_eq!(held(&world, &task).await, first.uid);
    first.refuse(&task).await;
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_answer".into())
    );
    world.end().await;
}

#[tokio::test]
async fn a_vacant_slot_is_given_up_in_the_end() {
    let (world, user, [(first, task), (second, other)]) = two_busy_miners().await;
    first.refuse(&task).await;
    let back = |seconds: u32| {
        format!("update task_open set accepted_at = now() - interval '{seconds} s' where task_id = '{task}'")
    };
    world.sql(&back(3_000)).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(state(&user, &task).await, "assigned");
    world.sql(&back(3_601)).await;
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_answer".into())
    );

    // Beside an answer it keeps the verdict waiting, so it waits shorter.
    first.refuse(&other).await;
    let third = miner(&world, 3, 1, &[("en", "es")]).await;
    // Candidates are frozen for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut fields = to("es");
    fields["required_miner_count"] = 2.into();
    let task = user.submit(&fields).await;
    let drawn = world.open_uids(&task).await;
    assert_eq!(drawn.len(), 2, "{drawn:?}");
    let (answers, refuses) = if drawn[0] == third.uid {
        (&third, &first)
    } else {
        (&first, &third)
    };
    answers.answer(&task, "Casa").await;
    refuses.refuse(&task).await;
    let since = |seconds: u32| {
        format!("update task_open set vacant_since = now() - interval '{seconds} s' where task_id = '{task}'")
    };
    assert_eq!(world.sql(&since(10)).await, 1);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(state(&user, &task).await, "completed");
    world.sql(&since(61)).await;
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"done".into(), &"quorum".into())
    );
    assert_eq!(second.answer(&other, "Casa").await["used"], true);
    world.end().await;
}

#[tokio::test]
async fn a_miner_that_died_after_it_took_a_task_loses_it() {
    // A server that just started gives everybody this time.
    let world = World::with(|config| config.tasks.silence_seconds = 10).await;
    let user = world.user().await;
    let miners = [
        miner(&world, 1, 1, &[("en", "es")]).await,
        miner(&world, 2, 1, &[("en", "es")]).await,
    ];
    let task = user.submit(&to("es")).await;
    let uid = held(&world, &task).await;
    let holder = miners.iter().find(|miner| miner.uid == uid).unwrap();
    holder.receive(&task).await;
    eventually("it was seen to have it", || async {
        (world.count("task_assignments where seen_at is not null").await == 1).then_some(())
    })
    .await;
    let hotkey = hex::encode(holder.hotkey().0);
    let silent_for = |seconds: u32| {
        format!(
            "update task_assignments set assigned_at = now() - interval '600 s', silent_at = now() - interval '500 s',
                    seen_at = now() - interval '{seconds} s';
             update miner_status set last_seen = now() - interval '{seconds} s' where hotkey = '\\x{hotkey}'"
        )
    };
    world.sql(&silent_for(200)).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(world.open_uids(&task).await, [uid]);
    world.sql(&silent_for(301)).await;
    eventually("another one has it", || async {
        world.open_uids(&task).await.into_iter().find(|now| *now != uid)
    })
    .await;
    assert_eq!(world.count("assignment_ends where outcome = 'silent'").await, 1);
    world.end().await;
}

#[tokio::test]
async fn places_that_are_taken_stay_taken_when_the_roster_is_read() {
    let world = World::start().await;
    let worker = miner(&world, 1, 3, &[("en", "es")]).await;
    let app = &world.server.app;
    let request = drawing::Request {
        task: TaskId::new(),
        digest: [7; 32],
        client_entropy: false,
        capability: Capability {
            task_type: TaskType::TextTranslation,
            source_language: "en".into(),
            target_language: Some("es".into()),
            model: None,
        },
        input_size: 10,
        input_bytes: 10,
        draw: 0,
        slots: vec![(0, 1)],
        earlier: drawing::Earlier::default(),
    };
    let drawn = drawing::draw(app, &request)
        .await
        .unwrap()
        .expect("there is room");
    assert_eq!(free(&world, &worker), 2);
    roster::refresh(app).await.unwrap();
    assert_eq!(free(&world, &worker), 2, "no row says so yet");
    drop(drawn);
    assert_eq!(free(&world, &worker), 3);

    let user = world.user().await;
    let task = user.submit(&to("es")).await;
    for _ in 0..3 {
        assert_eq!(free(&world, &worker), 2);
        roster::refresh(app).await.unwrap();
    }
    worker.answer(&task, "Casa").await;
    for _ in 0..3 {
        assert_eq!(free(&world, &worker), 3);
        roster::refresh(app).await.unwrap();
    }
    world.end().await;
}

#[tokio::test]
async fn a_task_that_ended_takes_its_mail_with_it() {
    let world = World::start().await;
    let user = world.user().await;
    let worker = miner(&world, 1, 4, &[("en", "es")]).await;
    let task = user.submit(&to("es")).await;
    user.cancel(&task).await.ok();
    assert_eq!(world.count("task_assignments").await, 0);
    assert_eq!(worker.answer(&task, "Casa").await["used"], false);

    // Between the end of a task and that of its mail.
    let task = user.submit(&to("es")).await;
    world
        .sql(&format!("delete from task_open where task_id = '{task}'"))
        .await;
    assert_eq!(worker.answer(&task, "Casa").await["used"], false);
    assert_eq!(world.count("miner_responses where used").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_bad_task_does_not_keep_the_others_from_being_settled() {
    let world = World::start().await;
    let user = world.user().await;
    let worker = miner(&world, 1, 4, &[("en", "es")]).await;
    let bad = user.submit(&to("es")).await;
    let good = user.submit(&to("es")).await;
    // It cannot end twice.
    world
        .sql(&format!(
            "insert into task_ends (task_id, state, reason) values ('{bad}', 'failed', 'no_answer')"
        ))
        .await;
    for task in [&bad, &good] {
        worker.post_answer(&worker.answer_body(task, "Casa")).await.ok();
    }
    let status = user.ended(&good).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"done".into(), &"quorum".into())
    );
    assert_eq!(
        world.count(&format!("task_open where task_id = '{bad}'")).await,
        1
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_refused_because_too_much_waits_leaves_nothing_behind() {
    let world = World::with(|config| config.tasks.queue = 1).await;
    let user = world.user().await;
    let worker = world.versatile(1).await.remove(0);
    let capacity = free(&world, &worker);
    // The writers wait for this table.
    let mut blocking = world.db.begin().await.unwrap();
    sqlx::raw_sql("lock table tasks in access exclusive mode")
        .execute(&mut *blocking)
        .await
        .unwrap();
    let submit = &|| {
        let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(64_000));
        let request = form.put(user.post("/api/v1/transcription"));
        Reply::to(request)
    };
    let mut asked = FuturesUnordered::new();
    asked.push(submit());
    tokio::select! {
        _ = asked.next() => panic!("the table is locked"),
        () = eventually("the writer has it", || async {
            (world.count("pg_locks where relation = 'tasks'::regclass and not granted").await > 0).then_some(())
        }) => {}
    }
    // One more is in the queue, and the others find no place.
    asked.extend((0..5).map(|_| submit()));
    for _ in 0..4 {
        assert_eq!(asked.next().await.unwrap().status, 503);
    }
    blocking.rollback().await.unwrap();
    while let Some(reply) = asked.next().await {
        assert_eq!(reply.status, 200);
    }
    world.stored(2).await;
    assert_eq!(world.count("tasks").await, 2);
    assert_eq!(free(&world, &worker), capacity - 2);
    world.end().await;
}
