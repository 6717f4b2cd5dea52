//! What becomes of validators' evaluations.
use serde_json::{Value, json};

use crate::harness::{BAD, GOOD, Neuron, User, World, translation};

/// Two answered miners; the task waits for the three validators.
async fn to_judge(world: &World) -> (User, Vec<Neuron>, Vec<Neuron>, String) {
    let user = world.user().await;
    let miners = world.miners(2).await;
    let validators = world.validators().await;
    let task = user.submit(&translation(2)).await;
    for miner in &miners {
        miner.answer(&task, "Casa").await;
    }
    validators[0].offered(&task).await;
    (user, miners, validators, task)
}

#[tokio::test]
async fn a_validator_is_offered_what_it_needs_and_nothing_of_the_others() {
    let world = World::start().await;
    let (user, miners, validators, task) = to_judge(&world).await;
    let offered = validators[1].offered(&task).await;
    assert_eq!(offered["input_text"]["text"], "The house is big.");
    assert_eq!(
        (&offered["source_language"], &offered["target_language"]),
        (&"en".into(), &"es".into())
    );
    let answer = &offered["answers"][0];
    assert_eq!(answer["hotkey"], miners[0].hotkey().to_string());
    assert_eq!(answer["output"], json!({ "translated_text": "Casa" }));
    assert_eq!(answer["digest"], miners[0].answer_body(&task, "Casa")["digest"]);
    assert!(answer["seconds"].as_f64().unwrap() >= 0.0 && answer["usual_seconds"].as_f64().unwrap() > 0.0);

    validators[0].judge(&task, |_| Some(12_345)).await;
    let again = validators[1].offered(&task).await;
    assert_eq!(again, offered, "another's evaluation shows nowhere");
    let status = user.status(&task).await;
    let whole = format!(
        "{} {} {}",
        user.result(&task).await,
        user.responses(&task).await,
        status
    );
    assert!(!whole.contains("accuracy_score"), "{whole}");
    let has = |tasks: Vec<Value>| tasks.iter().any(|offered| offered["task_id"] == task.as_str());
    assert!(
        !has(validators[0].judgeable(0).await),
        "who has judged is not asked again"
    );
    world.end().await;
}

#[tokio::test]
async fn an_evaluation_is_complete_and_signed() {
    let world = World::start().await;
    let (_, miners, validators, task) = to_judge(&world).await;
    let (one, two) = (miners[0].hotkey(), miners[1].hotkey());
    let judge = &validators[0];
    for scores in [
        vec![],
        vec![(one, Some(GOOD))],
        vec![(one, Some(GOOD)), (judge.hotkey(), Some(GOOD))],
        vec![(one, Some(GOOD)), (two, Some(GOOD)), (judge.hotkey(), None)],
        vec![(one, Some(GOOD)), (two, Some(GOOD)), (two, Some(GOOD))],
    ] {
        judge
            .post_evaluation(&judge.evaluation_body(&task, &scores))
            .await
            .invalid("scores");
    }
    let right = judge.evaluation_body(&task, &[(one, Some(GOOD)), (two, None)]);
    let mut changed = right.clone();
    changed["scores"][1]["score"] = BAD.into();
    judge.post_evaluation(&changed).await.invalid("signature");
    let mut stolen = right.clone();
    stolen["signature"] =
        validators[1].evaluation_body(&task, &[(one, Some(GOOD)), (two, None)])["signature"].clone();
    judge.post_evaluation(&stolen).await.invalid("signature");
    let mut long = right.clone();
    long["scores"][0]["comment"] = "x".repeat(2001).into();
    judge.post_evaluation(&long).await.invalid("comment");
    for (pointer, value) in [
        ("/scores/0/score", json!(65_536)),
        ("/scores/0/score", json!(-1)),
        ("/scores/0/score", json!(0.5)),
        ("/scores/0/hotkey", json!("0x00")),
        ("/scores/0/parts", json!({ "accuracy": 1, "beauty": 2 })),
        ("/signature", json!("0x")),
    ] {
        let mut malformed = right.clone();
        // A member that is not there yet is added.
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        malformed.pointer_mut(parent).unwrap()[member] = value;
        judge
            .post_evaluation(&malformed)
            .await
            .problem(422, "/problems/malformed-request");
    }
    assert_eq!(world.count("evaluations").await, 0);
    let mut whole = right;
    whole["scores"][0]["parts"] = json!({ "accuracy": 1, "speed": 2, "quality": 3 });
    whole["scores"][0]["comment"] = "good".into();
    assert_eq!(
        judge.post_evaluation(&whole).await.ok(),
        json!({ "accepted": true, "replaced": false })
    );
    world.end().await;
}

#[tokio::test]
async fn an_evaluation_can_be_replaced_until_the_end_and_not_after() {
    let world = World::start().await;
    let (user, _, validators, task) = to_judge(&world).await;
    let [one, two, three] = &validators[..] else {
        panic!("three validators")
    };
    let offered = two.offered(&task).await;
    one.judge(&task, |_| Some(BAD)).await;
    let keys: Vec<_> = [0, 1]
        .map(|index| {
            offered["answers"][index]["hotkey"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .into();
    let scores = |score| keys.iter().map(|key| (*key, Some(score))).collect::<Vec<_>>();
    assert_eq!(
        one.evaluate(&task, &scores(GOOD)).await,
        json!({ "accepted": true, "replaced": true })
    );
    two.evaluate(&task, &scores(BAD)).await;
    three.evaluate(&task, &scores(BAD)).await;
    // By stake the first decides, and its last word counts.
    assert_eq!(user.ended(&task).await["status"], "approved");
    let result = user.result(&task).await;
    assert_eq!(result["accuracy_score"], f64::from(GOOD) / 65_535.0);
    let late = one.evaluate(&task, &scores(BAD)).await;
    assert_eq!(late["accepted"], false);
    assert_eq!(world.count("task_juries").await, 0);
    assert_eq!(user.status(&task).await["status"], "approved");
    world.end().await;
}

#[tokio::test]
async fn who_was_not_there_when_the_task_was_done_does_not_judge() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(1).await;
    let (one, two) = (world.validator(1).await, world.validator(2).await);
    let task = user.submit(&translation(1)).await;
    let scores = [(miners[0].hotkey(), Some(GOOD))];
    let refused = json!({ "accepted": false, "reason": "not_a_judge" });
    assert_eq!(one.evaluate(&task, &scores).await, refused, "nothing is done yet");
    miners[0].answer(&task, "Casa").await;
    one.offered(&task).await;
    let three = world.validator(3).await;
    assert_eq!(three.evaluate(&task, &scores).await, refused);
    one.evaluate(&task, &scores).await;
    two.evaluate(&task, &scores).await;
    let status = user.ended(&task).await;
    assert_eq!(status["status"], "approved");
    let participation = status["participation"].as_f64().unwrap();
    assert!((participation - 80.0 / 95.0).abs() < 0.01, "{participation}");
    world.end().await;
}

#[tokio::test]
async fn stake_decides_and_not_heads() {
    for (big, small, expected) in [(GOOD, 0, "approved"), (0, GOOD, "rejected")] {
        let world = World::start().await;
        let (user, _, validators, task) = to_judge(&world).await;
        validators[1].judge(&task, |_| Some(small)).await;
        validators[2].judge(&task, |_| Some(small)).await;
        validators[0].judge(&task, |_| Some(big)).await;
        assert_eq!(user.ended(&task).await["status"], expected);
        let result = user.result(&task).await;
        assert_eq!(result["accuracy_score"], f64::from(big) / 65_535.0);
        world.end().await;
    }
}

#[tokio::test]
async fn stake_is_that_of_the_moment_when_the_task_was_done() {
    let world = World::start().await;
    let (user, _, validators, task) = to_judge(&world).await;
    // Somebody becomes great afterwards; who lost the permit keeps what is promised but cannot send it.
    world
        .chain
        .set_stake(1, validators[2].hotkey().0, 900_000_000_000_000, 0)
        .unwrap();
    world.next_snapshot().await;
    validators[2].judge(&task, |_| Some(0)).await;
    validators[1].judge(&task, |_| Some(0)).await;
    validators[0].judge(&task, |_| Some(GOOD)).await;
    assert_eq!(user.ended(&task).await["status"], "approved");
    world.end().await;
}
