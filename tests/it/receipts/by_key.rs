//! Receipts of tasks whose neurons signed nothing: they verify, and say what rests on the server's word.
use serde_json::{Value, json};
use violet::{
    domain::records::{Answer, Authentication, Evaluation, Record, Settlement, Signed},
    verify::Outcome,
};

use super::{assert_broken, check, forgery::Forgery, publish, receipt, settled};
use crate::{
    harness::{BAD, GOOD, Keyed, Multipart, Neuron, Reply, World, samples, translation},
    keys_alone::{MINER, VALIDATOR},
};

/// What a receipt says of its settlement.
fn decoded(receipt: &Value) -> &Value {
    let records = receipt["records"].as_array().unwrap();
    &records.last().unwrap()["decoded"]
}

#[tokio::test]
async fn neurons_with_nothing_but_keys_bring_a_task_to_its_verdict() {
    let world = World::start().await;
    let user = world.user().await;
    let beat = Neuron::heartbeat_of_all();
    let declared = json!({ "engines": beat["engines"], "capacity": 4 });
    let miner = world.silent_miner(1).keyed(&world, MINER, &declared).await;
    let judge = world
        .validator(1)
        .await
        .keyed(&world, VALIDATOR, &json!({}))
        .await;
    miner.there(&world).await;

    let file = samples::wav(3000);
    let form = Multipart::new().file("audio_file", "a.wav", &file);
    let form = form.field("required_miner_count", "1");
    let accepted = Reply::to(form.put(user.post("/api/v1/transcription"))).await.ok();
    let task = accepted["task_id"].as_str().unwrap();
    let mail = miner.receive(task).await;
    // The link needs no key.
    let link = mail["input_file"]["download_url"].as_str().unwrap();
    let fetched = world.http.get(link).send().await.unwrap();
    assert_eq!(fetched.bytes().await.unwrap(), file);
    let answer = Keyed::unsigned(task, &json!({ "transcript": "hello" }));
    assert_eq!(miner.answer(&answer).await.ok()["used"], true);

    let offered = judge.offered(task).await;
    assert_eq!(offered["answers"][0]["output"]["transcript"], "hello");
    let hotkey = &offered["answers"][0]["hotkey"];
    let scores = json!({ "task_id": task, "scores": [{ "hotkey": hotkey, "score": GOOD }] });
    assert_eq!(judge.evaluate(&scores).await.ok()["accepted"], true);
    assert_eq!(user.ended(task).await["status"], "approved");

    publish(&world).await;
    let receipt = receipt(&user, task).await;
    let settlement = decoded(&receipt);
    for one in [&settlement["answers"][0], &settlement["evaluations"][0]] {
        assert_eq!(one["authenticated_by"], "key");
        assert!(one.get("signature").is_none(), "{one}");
    }
    let report = check(&receipt);
    assert_eq!(report.outcome(), Outcome::Verified, "{report:?}");
    for (noun, neuron) in [("answer", &miner), ("evaluation", &judge)] {
        let said = format!("1 {noun} authenticated by key: not provable to others");
        let hotkey = neuron.neuron.hotkey().to_string();
        let mut open = report.open.iter();
        assert!(
            open.any(|what| what.starts_with(&said) && what.contains(&hotkey)),
            "{report:?}"
        );
    }
    assert!(
        !report.holds.iter().any(|what| what.contains("is signed by its")),
        "nothing is claimed to be checked that is not there: {report:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_signed_is_told_from_what_came_with_a_key() {
    let world = World::start().await;
    let user = world.user().await;
    let beat = Neuron::heartbeat_body();
    let declared = json!({ "engines": beat["engines"] });
    let keyed = world.silent_miner(1).keyed(&world, MINER, &declared).await;
    keyed.there(&world).await;
    let signing = world.miner(2).await;
    let judge = world.validator(1).await;
    let other = world
        .validator(2)
        .await
        .keyed(&world, VALIDATOR, &json!({}))
        .await;
    let task = user.submit(&translation(2)).await;
    keyed.receive(&task).await;
    let answer = Keyed::unsigned(&task, &json!({ "translated_text": "Casa" }));
    assert_eq!(keyed.answer(&answer).await.ok()["used"], true);
    signing.receive(&task).await;
    signing.answer(&task, "Casa grande").await;
    let offered = other.offered(&task).await;
    let scores: Vec<Value> = offered["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| {
            json!({
                "hotkey": answer["hotkey"], "score": GOOD,
            })
        })
        .collect();
    other
        .evaluate(&json!({ "task_id": task, "scores": scores }))
        .await
        .ok();
    judge.judge(&task, |_| Some(GOOD)).await;
    assert_eq!(user.ended(&task).await["status"], "approved");
    publish(&world).await;

    let receipt = receipt(&user, &task).await;
    let report = check(&receipt);
    assert!(report.is_sound(), "{report:?}");
    for said in [
        "of 1 signed answer each is signed by its miner",
        "of 1 signed evaluation each is signed by its validator",
    ] {
        assert!(report.holds.iter().any(|what| what == said), "{said}: {report:?}");
    }
    let open = |report: &violet::verify::Report, count: usize, noun: &str| {
        let said = format!("{count} {noun} authenticated by key");
        report.open.iter().any(|what| what.starts_with(&said))
    };
    assert!(
        open(&report, 1, "answer") && open(&report, 1, "evaluation"),
        "{report:?}"
    );

    // What is signed cannot be changed, and what came with a key shows as what it is.
    let truth = Forgery::of(&receipt);
    let place = |it: &mut Forgery, key: bool| {
        let mut answers = it.settlement().answers.iter();
        answers
            .position(|answer| (answer.authentication == Authentication::Key) == key)
            .unwrap()
    };
    let signed = truth.with(|it| {
        let at = place(it, false);
        it.settlement().answers[at].digest.0[0] ^= 1;
    });
    assert_broken(&signed, "of 1 signed answer each is signed by its miner");
    let unsigned = truth.with(|it| {
        let at = place(it, true);
        it.settlement().answers[at].digest.0[0] ^= 1;
    });
    assert!(
        check(&unsigned).is_sound(),
        "the server's word is all that there is"
    );
    // A server that leaves a signature out says so by that.
    let left_out = truth.with(|it| {
        let at = place(it, false);
        it.settlement().answers[at].authentication = Authentication::Key;
    });
    assert!(open(&check(&left_out), 2, "answers"));
    // The verdict follows from the scores, whoever vouches for them.
    let scored = truth.with(|it| {
        let end = it.settlement();
        let heaviest = end.evaluations.iter_mut().max_by_key(|one| one.stake).unwrap();
        heaviest.scores.fill(Some(BAD));
        heaviest.authentication = Authentication::Key;
    });
    assert_broken(&scored, "the consensus");
    world.end().await;
}

fn signed(authentication: &Authentication) -> Signed {
    match authentication {
        Authentication::Signature { signature } => Signed {
            signature: signature.clone(),
        },
        Authentication::Key => panic!("not signed"),
    }
}

/// The same as it was recorded when there was nothing but signatures.
fn older(settlement: &Settlement) -> Settlement<Signed> {
    let answer = |one: &Answer| Answer {
        hotkey: one.hotkey,
        digest: one.digest,
        authentication: signed(&one.authentication),
        consensus: one.consensus,
    };
    let evaluation = |one: &Evaluation| Evaluation {
        hotkey: one.hotkey,
        stake: one.stake,
        scores: one.scores.clone(),
        authentication: signed(&one.authentication),
    };
    Settlement {
        netuid: settlement.netuid,
        task: settlement.task,
        outcome: settlement.outcome,
        reason: settlement.reason,
        threshold: settlement.threshold,
        eligible_stake: settlement.eligible_stake,
        answers: settlement.answers.iter().map(answer).collect(),
        evaluations: settlement.evaluations.iter().map(evaluation).collect(),
        at: settlement.at,
    }
}

#[tokio::test]
async fn a_receipt_from_before_there_were_keys_verifies_as_it_did() {
    let world = World::start().await;
    let (user, task) = settled(&world).await;
    publish(&world).await;
    let truth = Forgery::of(&receipt(&user, &task).await);
    let with = |change: &dyn Fn(&mut Settlement<Signed>)| {
        truth.with(|it| {
            let mut old = older(it.settlement());
            change(&mut old);
            *it.records.last_mut().unwrap() = Record::SignedSettlement(old);
        })
    };
    let receipt = with(&|_| {});
    let shown = decoded(&receipt);
    assert_eq!(shown["kind"], "settlement");
    assert!(shown["answers"][0].get("authenticated_by").is_none(), "{shown}");
    let report = check(&receipt);
    assert!(report.is_sound(), "{report:?}");
    let said = "of 3 evaluations each is signed by its validator";
    assert!(report.holds.iter().any(|what| what == said), "{report:?}");
    let lie = with(&|old| old.answers[0].digest.0[0] ^= 1);
    assert_broken(&lie, "each is signed by its miner");
    // Two settlements are one too many, of whatever age.
    let twice = truth.with(|it| {
        let old = Record::SignedSettlement(older(it.settlement()));
        it.records.push(old);
    });
    assert_broken(&twice, "one settlement after them");
    world.end().await;
}
