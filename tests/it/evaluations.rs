//! What becomes of validators' evaluations.
use serde_json::{Value, json};

use violet::verify;

use crate::harness::{BAD, GOOD, Neuron, User, World, eventually, translation};

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
    // Bytes, not characters.
    long["scores"][0]["comment"] = "é".repeat(1001).into();
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
    whole["scores"][0]["comment"] = "é".repeat(1000).into();
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
    let status = user.ended(&task).await;
    assert_eq!(status["status"], "approved");
    assert_eq!(status["participation"], 1.0, "of what was permitted then");
    world.end().await;
}

#[tokio::test]
async fn with_too_little_participation_nobody_is_asked_and_the_task_ends_at_once() {
    // 80 of 95 may judge.
    for (least, verified) in [(830_000, true), (850_000, false)] {
        let world = World::with(|config| config.consensus.min_participation = least).await;
        let user = world.user().await;
        let miners = world.miners(1).await;
        let validators = [world.validator(1).await, world.validator(2).await];
        let task = user.submit(&translation(1)).await;
        miners[0].answer(&task, "Casa").await;
        if verified {
            for validator in &validators {
                validator.judge(&task, |_| Some(GOOD)).await;
            }
        }
        let status = user.ended(&task).await;
        assert_eq!(status["verified"], verified, "{status}");
        let participation = status["participation"].as_f64().unwrap();
        assert!((participation - 80.0 / 95.0).abs() < 0.01, "{participation}");
        if !verified {
            assert_eq!(
                (&status["status"], &status["reason"]),
                (&"done".into(), &"quorum".into())
            );
            assert_eq!(validators[0].judgeable(0).await, Vec::<Value>::new());
            let scores = [(miners[0].hotkey(), Some(GOOD))];
            assert_eq!(validators[0].evaluate(&task, &scores).await["accepted"], false);
        }
        assert_eq!(
            world.count("task_open").await + world.count("task_juries").await,
            0
        );
        let receipt = user.get(&format!("/api/v1/audit/tasks/{task}")).await.ok();
        let report = verify::receipt(&serde_json::from_value(receipt).unwrap());
        assert!(report.broken.is_empty(), "{report:?}");
        // In words that fit one.
        for word in ["draw 0 had 1 candidate,", "of 1 answer each is signed"] {
            assert!(report.holds.iter().any(|what| what.contains(word)), "{report:?}");
        }
        world.end().await;
    }
}

/// What the mean is after these values: from one half, with half-lives of 20 and 500.
fn mean(values: &[f64]) -> f64 {
    let half_life = |tasks: f64| {
        let gain = 1.0 - (-1.0 / tasks).exp2();
        values
            .iter()
            .fold(0.5, |mean, value| mean + (value - mean) * gain)
    };
    0.8 * half_life(20.0) + 0.2 * half_life(500.0)
}

#[tokio::test]
async fn agreement_with_the_consensus_is_kept_and_shown() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let (one, two) = (world.validator(1).await, world.validator(2).await);
    let shown = async || {
        let list = user.get("/api/v1/validators").await.ok();
        assert_eq!((&list["success"], &list["count"]), (&true.into(), &3.into()));
        list["validators"].as_array().unwrap().clone()
    };
    let all = shown().await;
    for (validator, (seen, uid)) in all.iter().zip([(true, 6), (true, 7), (false, 8)]) {
        assert_eq!(validator["uid"], uid);
        assert_eq!(validator["may_judge"], seen, "{validator}");
        assert_eq!(validator["last_seen"].is_string(), seen, "{validator}");
        assert_eq!(validator["tasks_judged"], 0);
        assert_eq!(validator["agreement"], Value::Null);
    }
    assert_eq!(all[0]["hotkey"], one.hotkey().to_string());
    let stake = |index: usize| all[index]["stake"].as_u64().unwrap();
    assert!(stake(0) > stake(1) && stake(1) > stake(2) && stake(2) > 0);

    let three = world.validator(3).await;
    let task = async || {
        let task = user.submit(&translation(2)).await;
        miners[0].answer(&task, "Casa").await;
        miners[1].answer(&task, "Coche").await;
        one.offered(&task).await;
        task
    };
    let scores = |first, second| [(miners[0].hotkey(), first), (miners[1].hotkey(), second)];
    let judged = task().await;
    two.evaluate(&judged, &scores(Some(GOOD), Some(0))).await;
    three.evaluate(&judged, &scores(None, None)).await;
    one.evaluate(&judged, &scores(Some(GOOD), Some(GOOD))).await;
    assert_eq!(user.ended(&judged).await["status"], "approved");
    let agrees = |all: &[Value], index: usize, values: &[f64], tasks: u64| {
        let validator = &all[index];
        assert_eq!(validator["tasks_judged"], tasks, "{validator}");
        let agreement = validator["agreement"].as_f64().unwrap();
        assert!((agreement - mean(values)).abs() < 1e-6, "{validator} {values:?}");
    };
    let far = 1.0 - f64::from(GOOD) / 65_535.0;
    let all = shown().await;
    agrees(&all, 0, &[1.0, 1.0], 1);
    agrees(&all, 1, &[1.0, far], 1);
    assert_eq!(
        (&all[2]["agreement"], &all[2]["tasks_judged"]),
        (&Value::Null, &0.into())
    );
    assert_eq!(all[2]["may_judge"], true);

    // Without a verdict there is nothing to agree with.
    let unjudged = task().await;
    for validator in [&one, &three] {
        validator.evaluate(&unjudged, &scores(None, None)).await;
    }
    two.evaluate(&unjudged, &scores(Some(GOOD), Some(0))).await;
    assert_eq!(user.ended(&unjudged).await["reason"], "abstained");
    assert_eq!(shown().await[1]["tasks_judged"], 1);

    // Only what was scored counts.
    let judged = task().await;
    two.evaluate(&judged, &scores(None, Some(0))).await;
    three.evaluate(&judged, &scores(Some(0), None)).await;
    one.evaluate(&judged, &scores(Some(GOOD), Some(GOOD))).await;
    user.ended(&judged).await;
    let all = shown().await;
    agrees(&all, 0, &[1.0; 4], 2);
    agrees(&all, 1, &[1.0, far, far], 2);
    agrees(&all, 2, &[far], 1);
    world.end().await;
}

#[tokio::test]
async fn many_large_answers_come_in_pages_that_can_be_worked_off() {
    // The most that a text may have: six of these are above 4 MiB, and so are three times two.
    const LARGEST: usize = 48 * 16_384;
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(6).await;
    let validator = world.validator(1).await;
    let large = "x".repeat(LARGEST);
    let mut tasks = Vec::new();
    for count in [6, 2, 2, 2, 1, 1] {
        let task = user.submit(&translation(count)).await;
        let text = if count == 1 { "Casa" } else { &large };
        for uid in world.open_uids(&task).await {
            let answered = miners[usize::from(uid)].answer(&task, text).await;
            assert_eq!(answered["used"], true);
        }
        tasks.push(task);
    }
    for task in &tasks {
        eventually("validators are frozen", || async {
            let frozen = format!("task_juries where task_id = '{task}'");
            (world.count(&frozen).await == 1).then_some(())
        })
        .await;
    }
    // The first alone is too much for a page, and comes all the same; the small ones come together.
    for page in [&tasks[..1], &tasks[1..4], &tasks[4..]] {
        let offered = validator.judgeable(0).await;
        let ids: Vec<&str> = offered
            .iter()
            .map(|task| task["task_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, page);
        for task in offered {
            let answers = task["answers"].as_array().unwrap().iter();
            let hotkeys = answers.map(|answer| answer["hotkey"].as_str().unwrap().parse().unwrap());
            let scores: Vec<_> = hotkeys.map(|hotkey| (hotkey, Some(GOOD))).collect();
            let id = task["task_id"].as_str().unwrap();
            assert_eq!(validator.evaluate(id, &scores).await["accepted"], true);
        }
    }
    assert_eq!(validator.judgeable(0).await, Vec::<Value>::new());
    for task in &tasks {
        assert_eq!(user.ended(task).await["status"], "approved");
    }
    world.end().await;
}
