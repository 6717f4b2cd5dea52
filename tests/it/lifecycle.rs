//! A text translation from submission to verdict.
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{BAD, GOOD, MODEL, Multipart, Reply, User, World, eventually, translation};

const GREAT: &str = "La casa es grande.";

fn state(status: &Value) -> &str {
    status["status"].as_str().expect("a state")
}

#[tokio::test]
async fn a_task_is_assigned_worked_on_completed_done_and_approved() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(3).await;
    let validators = world.validators().await;

    let accepted = user.submit_raw(&translation(3)).await.ok();
    let task = accepted["task_id"].as_str().unwrap();
    assert_eq!(accepted["success"], true);
    assert_eq!(accepted["auto_assigned"], true);
    assert_eq!(accepted["assigned_miner_count"], 3);
    assert_eq!(
        (&accepted["text_length"], &accepted["word_count"]),
        (&17.into(), &4.into())
    );

    let status = user.status(task).await;
    assert_eq!(state(&status), "assigned");
    assert_eq!(status["assigned_miners"], serde_json::json!([0, 1, 2]));
    assert_eq!(user.result(task).await["available"], false);

    let mail = miners[0].receive(task).await;
    assert_eq!(mail["status"], "assigned");
    assert_eq!(mail["input_text"]["text"], "The house is big.");
    assert_eq!(
        (&mail["source_language"], &mail["target_language"]),
        (&"en".into(), &"es".into())
    );
    // It is noted a moment after the miner was handed it.
    eventually("the task is in progress", || async {
        (state(&user.status(task).await) == "in_progress").then_some(())
    })
    .await;

    // The first answer is there for the user before the others have come.
    let receipt = miners[0].answer(task, GREAT).await;
    assert_eq!(
        (&receipt["used"], &receipt["first"]),
        (&true.into(), &true.into())
    );
    let result = user.result(task).await;
    assert_eq!(result["translated_text"], GREAT);
    assert_eq!(result["status"], "completed");
    assert_eq!(result["progress"]["miner_responses"], 1);
    assert!(miners[1].has(task).await);

    assert_eq!(miners[1].answer(task, "Casa.").await["first"], false);
    assert_eq!(state(&user.status(task).await), "completed");
    miners[2].answer(task, "La casa.").await;
    assert_eq!(state(&user.status(task).await), "done");

    let score = |text: &str| Some(if text == GREAT { GOOD } else { 30_000 });
    for validator in &validators {
        let receipt = validator.judge(task, score).await;
        assert_eq!(
            (&receipt["accepted"], &receipt["replaced"]),
            (&true.into(), &false.into())
        );
    }
    let status = user.ended(task).await;
    assert_eq!(state(&status), "approved");
    assert_eq!(
        (&status["verified"], &status["reason"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(status["participation"], 1.0);
    let result = user.result(task).await;
    assert_eq!(result["accuracy_score"], f64::from(GOOD) / 65_535.0);
    world.end().await;
}

#[tokio::test]
async fn the_judged_best_is_shown_even_if_it_came_last_and_a_low_consensus_rejects() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let validators = world.validators().await;

    let task = user.submit(&translation(2)).await;
    miners[0].answer(&task, "first").await;
    miners[1].answer(&task, "second").await;
    assert_eq!(user.result(&task).await["translated_text"], "first");
    for validator in &validators {
        validator
            .judge(&task, |text| Some(if text == "second" { BAD + 1 } else { BAD }))
            .await;
    }
    let status = user.ended(&task).await;
    assert_eq!((state(&status), &status["verified"]), ("rejected", &true.into()));
    let result = user.result(&task).await;
    assert_eq!(
        (&result["translated_text"], &result["miner_uid"]),
        (&"second".into(), &1.into())
    );
    world.end().await;
}

/// Submits for one miner and lets it answer.
async fn answered(world: &World, user: &User) -> String {
    let miner = world.miner(1).await;
    let task = user.submit(&translation(1)).await;
    miner.answer(&task, GREAT).await;
    task
}

#[track_caller]
fn assert_unverified(status: &Value, reason: &str) {
    assert_eq!((state(status), &status["verified"]), ("done", &false.into()));
    assert_eq!(status["reason"], reason);
}

#[tokio::test]
async fn without_validators_a_task_stays_unverified() {
    let world = World::start().await;
    let user = world.user().await;
    let task = answered(&world, &user).await;
    let status = user.ended(&task).await;
    assert_unverified(&status, "quorum");
    assert_eq!(status["participation"], 0.0);
    assert_eq!(user.result(&task).await["translated_text"], GREAT);
    world.end().await;
}

#[tokio::test]
async fn without_a_quorum_in_time_a_task_stays_unverified() {
    let world = World::start().await;
    let user = world.user().await;
    let validators = world.validators().await;
    let task = answered(&world, &user).await;
    // Two of three, with less than half of the stake.
    for validator in &validators[1..] {
        validator.judge(&task, |_| Some(GOOD)).await;
    }
    validators[0].offered(&task).await;
    world
        .sql("update task_open set done_at = done_at - interval '61 s'")
        .await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(
        user.status(&task).await["settled_at"].is_null(),
        "there is no quorum after a minute"
    );
    world
        .sql("update task_open set done_at = done_at - interval '15 min'")
        .await;
    assert_unverified(&user.ended(&task).await, "quorum");
    assert!(user.result(&task).await.get("accuracy_score").is_none());
    world.end().await;
}

#[tokio::test]
async fn a_quorum_waits_a_minute_for_the_others() {
    let world = World::start().await;
    let user = world.user().await;
    let validators = world.validators().await;
    let task = answered(&world, &user).await;
    validators[0].judge(&task, |_| Some(GOOD)).await;
    validators[1].offered(&task).await;
    assert_eq!(state(&user.status(&task).await), "done");
    world
        .sql("update task_open set done_at = done_at - interval '61 s'")
        .await;
    assert_eq!(state(&user.ended(&task).await), "approved");
    world.end().await;
}

#[tokio::test]
async fn abstentions_of_half_of_the_stake_leave_a_task_unverified() {
    let world = World::start().await;
    let user = world.user().await;
    let validators = world.validators().await;
    let task = answered(&world, &user).await;
    for (number, validator) in validators.iter().enumerate() {
        validator.judge(&task, |_| (number > 0).then_some(GOOD)).await;
    }
    assert_unverified(&user.ended(&task).await, "abstained");
    world.end().await;
}

#[tokio::test]
async fn forms_and_json_mean_the_same() {
    let world = World::start().await;
    let user = world.user().await;
    world.miners(1).await;
    let text = "¿Qué? 100% & más + \u{1f3e0}";
    let fields = [
        ("text", text),
        ("source_language", "en"),
        ("target_language", "es"),
        ("priority", "high"),
        ("required_miner_count", "2"),
        ("model_id", MODEL),
        ("require_model", "true"),
        ("of_a_later_version", "ignored"),
    ];
    let multipart = fields
        .iter()
        .fold(Multipart::new(), |form, (name, value)| form.field(name, value));
    let json: Value = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let mut typed = json.clone();
    typed["required_miner_count"] = 2.into();
    typed["require_model"] = true.into();
    typed["of_a_later_version"] = serde_json::json!({ "nested": [1] });
    let mut seen = Vec::new();
    for request in [
        multipart.put(user.translate()),
        user.translate().form(&fields),
        user.translate().json(&json),
        user.translate().json(&typed),
    ] {
        let accepted = Reply::to(request).await.ok();
        let id = accepted["task_id"].as_str().unwrap();
        let mut task = user.get(&format!("/api/v1/tasks/{id}")).await.ok();
        assert_eq!(task["input_text"]["text"], text);
        task["task_id"] = Value::Null;
        task["created_at"] = Value::Null;
        seen.push((
            accepted["text_length"].clone(),
            accepted["word_count"].clone(),
            task,
        ));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    assert_eq!(seen[0].2["priority"], "high");
    assert_eq!(seen[0].2["required_miner_count"], 2);
    assert_eq!(seen[0].2["require_model"], true);
    world.end().await;
}

#[tokio::test]
async fn a_held_request_is_answered_as_soon_as_there_is_an_answer() {
    let world = World::with(|config| config.server.poll_seconds = 3_600).await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    world.validator(1).await;
    let task = user.submit(&translation(2)).await;
    let path = format!("/api/v1/text-translation/{task}/result?wait=60");
    let held = user.get(&path);
    let answering = async {
        // Time for the held request to arrive; an early answer would make this test easier, not wrong.
        tokio::time::sleep(Duration::from_millis(300)).await;
        miners[0].answer(&task, GREAT).await;
        Instant::now()
    };
    let ((result, read_at), answered_at) =
        tokio::join!(async { (held.await.ok(), Instant::now()) }, answering);
    assert_eq!(result["translated_text"], GREAT);
    assert!(read_at.saturating_duration_since(answered_at) < Duration::from_secs(30));

    // Waiting for the end goes on meanwhile, and ends with the time given.
    let started = Instant::now();
    let status = user.get(&format!("/api/v1/task/{task}/status?wait=1")).await.ok();
    assert_eq!(state(&status), "completed");
    assert!(started.elapsed() >= Duration::from_secs(1));
    world.end().await;
}
