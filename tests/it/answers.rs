//! What becomes of miners' answers.
use serde_json::{Value, json};

use crate::harness::{MODEL, World, eventually, signature_text, translation};

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

#[track_caller]
fn assert_unused(receipt: &Value, reason: &str) {
    assert_eq!(*receipt, json!({ "used": false, "reason": reason }));
}

#[tokio::test]
async fn an_answer_must_be_what_its_miner_signed_and_of_the_right_form() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let miner = &miners[0];
    let task = user.submit(&translation(2)).await;

    let mut wrong = miner.answer_body(&task, "Casa");
    wrong["output"]["translated_text"] = "Coche".into();
    miner.post_answer(&wrong).await.invalid("digest");
    let mut wrong = miner.answer_body(&task, "Casa");
    wrong["engine"] = "another".into();
    miner.post_answer(&wrong).await.invalid("digest");
    let mut wrong = miner.answer_body(&task, "Casa");
    wrong["signature"] = miners[1].answer_body(&task, "Casa")["signature"].clone();
    miner.post_answer(&wrong).await.invalid("signature");
    let mut wrong = miner.answer_body(&task, "Casa");
    wrong["signature"] = miner.answer_body(UNKNOWN, "Casa")["signature"].clone();
    miner.post_answer(&wrong).await.invalid("signature");
    wrong["signature"] = signature_text(&[0; 64]).into();
    miner.post_answer(&wrong).await.invalid("signature");

    for output in [
        json!({}),
        json!([]),
        json!(["Casa"]),
        json!([{ "translated_text": "Casa" }]),
        json!("Casa"),
        json!({ "text": "Casa" }),
        json!({ "translated_text": 1 }),
        json!({ "translated_text": null }),
        json!({ "translated_text": " \n " }),
        json!({ "translated_text": "Casa\0" }),
        json!({ "extra": 1, "translated_text": "Casa" }),
        json!({ "translated_text": "x".repeat(48 * 16384 + 1) }),
    ] {
        miner
            .post_answer(&miner.answer_of(&task, &output))
            .await
            .invalid("output");
    }
    for (field, value) in [
        ("signature", json!("0x00")),
        ("signature", json!("")),
        ("digest", json!("00")),
        ("task_id", json!("not a task")),
        ("processing_time", json!("fast")),
        ("unknown", json!(1)),
        ("engine", json!(null)),
    ] {
        let mut malformed = miner.answer_body(&task, "Casa");
        malformed[field] = value;
        miner
            .post_answer(&malformed)
            .await
            .problem(422, "/problems/malformed-request");
    }
    miner
        .post_answer(&miner.answer_body(UNKNOWN, "Casa"))
        .await
        .problem(404, "/problems/not-found");
    // Names go to the database, which takes no NUL; they are signed along, so the signature is right.
    for (field, name) in [
        ("model_id", "a\0b"),
        ("engine", "a\0b"),
        ("engine", ""),
        ("model_id", &"x".repeat(256)),
    ] {
        let mut named = [("engine", "test"), ("model_id", MODEL)];
        named.iter_mut().find(|(other, _)| *other == field).unwrap().1 = name;
        let [(_, engine), (_, model)] = named;
        let body = miner.answer_by(&task, engine, model, &json!({ "translated_text": "Casa" }));
        miner.post_answer(&body).await.invalid(field);
    }
    assert_eq!(world.count("miner_responses").await, 0);
    // None of this used the assignment up.
    assert_eq!(
        miner.answer(&task, "Casa").await,
        json!({ "used": true, "first": true })
    );
    world.end().await;
}

#[tokio::test]
async fn only_miners_that_were_drawn_answer_and_each_once() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let task = user.submit(&translation(2)).await;
    assert_unused(&world.silent_miner(3).answer(&task, "Casa").await, "not_assigned");
    let validator = world.validator(1).await;
    assert_unused(&validator.answer(&task, "Casa").await, "not_assigned");

    // At the same moment, in whatever order: one of them counts.
    let (one, two) = tokio::join!(miners[0].answer(&task, "Casa"), miners[0].answer(&task, "Hogar"));
    let used = [&one, &two]
        .iter()
        .filter(|receipt| receipt["used"] == true)
        .count();
    assert_eq!(used, 1, "{one} {two}");
    assert_unused(&miners[0].answer(&task, "Hogar").await, "already_answered");
    assert!(!miners[0].has(&task).await);
    assert_eq!(
        user.responses(&task).await["task_summary"]["total_responses_received"],
        1
    );
    world.end().await;
}

#[tokio::test]
async fn a_late_answer_is_kept_and_neither_used_nor_shown() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let task = user.submit(&translation(2)).await;
    let moved = world
        .sql("update task_assignments set deadline = now() - interval '1 s' where uid = 0")
        .await;
    assert_eq!(moved, 1);
    assert_unused(&miners[0].answer(&task, "late").await, "late");
    assert!(!miners[0].has(&task).await);
    assert_eq!(world.count("miner_responses where not used").await, 1);
    assert_eq!(user.result(&task).await["available"], false);

    assert_eq!(miners[1].answer(&task, "in time").await["first"], true);
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["miner_responses"], &status["status"]),
        (&1.into(), &"done".into())
    );
    let responses = user.responses(&task).await;
    assert_eq!(responses["responses"].as_array().unwrap().len(), 1);
    assert_eq!(
        responses["best_response"]["response_data"]["translated_text"],
        "in time"
    );
    assert_unused(&miners[0].answer(&task, "again").await, "already_answered");
    world.end().await;
}

#[tokio::test]
async fn an_answer_after_the_end_does_not_revive_a_task() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;

    let task = user.submit(&translation(2)).await;
    assert_eq!(
        user.cancel(&task).await.ok(),
        json!({ "success": true, "task_id": task, "status": "cancelled" })
    );
    assert_unused(&miners[0].answer(&task, "Casa").await, "task_ended");
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"cancelled".into(), &"cancelled".into())
    );
    assert_eq!(status["miner_responses"], 0);
    assert!(
        user.cancel(&task)
            .await
            .problem(409, "/problems/conflict")
            .contains("cancelled")
    );
    assert_eq!(world.count("task_assignments").await, 0);

    // With an answer that was there before: it stays readable.
    let task = user.submit(&translation(2)).await;
    miners[0].answer(&task, "Casa").await;
    user.cancel(&task).await.ok();
    assert_unused(&miners[1].answer(&task, "Hogar").await, "task_ended");
    let result = user.result(&task).await;
    assert_eq!(
        (&result["status"], &result["translated_text"]),
        (&"cancelled".into(), &"Casa".into())
    );

    // A task that failed meanwhile.
    let task = user.submit(&translation(2)).await;
    world
        .sql("update task_assignments set deadline = now() - interval '1 s'")
        .await;
    eventually("the task fails", || async {
        (user.status(&task).await["status"] == "failed").then_some(())
    })
    .await;
    assert_unused(&miners[0].answer(&task, "Casa").await, "task_ended");
    assert_eq!(user.ended(&task).await["status"], "failed");
    assert_eq!(user.cancel(&task).await.status, 409);
    world.end().await;
}

#[tokio::test]
async fn of_answers_that_come_together_one_is_the_first() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(3).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(user.submit(&translation(3)).await);
    }
    for task in &tasks {
        eventually("all are drawn", || async {
            (world.open_uids(task).await.len() == 3).then_some(())
        })
        .await;
    }
    let answers = tasks
        .iter()
        .flat_map(|task| miners.iter().map(move |miner| miner.answer(task, "Casa")));
    let receipts = futures_util::future::join_all(answers).await;
    for of_task in receipts.chunks(miners.len()) {
        let firsts = of_task.iter().filter(|receipt| receipt["first"] == true);
        assert_eq!(firsts.count(), 1, "{of_task:?}");
        assert!(of_task.iter().all(|receipt| receipt["used"] == true));
    }
    world.end().await;
}
