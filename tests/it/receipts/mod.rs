//! Receipts: they verify without the server, and whatever is changed in one shows.
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use violet::{
    domain::records::{Record, Settlement},
    verify::{self, Outcome, Report},
};

use crate::harness::{BAD, GOOD, Reply, SERVER, User, World, keypair, signature_text, translation};

mod by_key;
mod forgeries;
mod forgery;
mod stakes;

/// A settled task with five candidates of whom two were drawn twice over.
async fn settled(world: &World) -> (User, String) {
    let user = world.user().await;
    let miners = world.miners(5).await;
    let validators = world.validators().await;
    let request = user
        .translate()
        .header("Idempotency-Key", "some-entropy")
        .json(&translation(2));
    let task = Reply::to(request).await.ok()["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let drawn = world.open_uids(&task).await;
    miners[usize::from(drawn[0])].refuse(&task).await;
    for uid in world.open_uids(&task).await {
        miners[usize::from(uid)]
            .answer(&task, &format!("Casa {uid}"))
            .await;
    }
    for validator in &validators {
        validator.judge(&task, |_| Some(GOOD)).await;
    }
    assert_eq!(user.ended(&task).await["status"], "approved");
    (user, task)
}

/// Makes the bases older than they are.
async fn age_bases(world: &World, seconds: u32) {
    let statement = format!("update bases set made_at = made_at - interval '{seconds} seconds'");
    world.sql(&statement).await;
}

/// Until the base in force now is public.
async fn publish(world: &World) {
    world.next_snapshot().await;
    world.next_snapshot().await;
    age_bases(world, 10).await;
}

async fn receipt(user: &User, task: &str) -> Value {
    user.get(&format!("/api/v1/audit/tasks/{task}")).await.ok()
}

fn check(receipt: &Value) -> Report {
    verify::receipt(&serde_json::from_value(receipt.clone()).expect("a receipt"))
}

#[track_caller]
fn assert_broken(receipt: &Value, word: &str) {
    let report = check(receipt);
    assert_eq!(report.outcome(), Outcome::Broken, "{word}");
    assert!(
        report.broken.iter().any(|what| what.contains(word)),
        "{word}: {:?}",
        report.broken
    );
}

/// Nothing is broken, and exactly this is missing.
#[track_caller]
fn assert_incomplete(receipt: &Value, missing: &[&str]) {
    let report = check(receipt);
    assert_eq!(report.outcome(), Outcome::Incomplete, "{report:?}");
    assert!(!report.is_sound());
    assert_eq!(report.missing.len(), missing.len(), "{report:?}");
    for (said, expected) in report.missing.iter().zip(missing) {
        assert!(said.contains(expected), "{expected}: {report:?}");
    }
}

/// Where the first record of this kind is in the receipt.
fn find(receipt: &Value, kind: &str) -> (&'static str, usize) {
    for list in ["records", "named"] {
        let all = receipt[list].as_array().unwrap();
        if let Some(index) = all.iter().position(|record| record["kind"] == kind) {
            return (list, index);
        }
    }
    panic!("the receipt has no {kind}")
}

fn record(receipt: &Value, kind: &str) -> Record {
    let (list, index) = find(receipt, kind);
    Record::from_bytes(&hex::decode(receipt[list][index]["body"].as_str().unwrap()).unwrap()).unwrap()
}

/// The receipt with a record put in the place of the first of its kind.
fn forged(receipt: &Value, kind: &str, record: &Record) -> Value {
    let mut receipt = receipt.clone();
    let (list, index) = find(&receipt, kind);
    receipt[list][index]["body"] = hex::encode(record.to_bytes()).into();
    receipt[list][index]["digest"] = hex::encode(record.digest().0).into();
    receipt[list][index]["decoded"] = json!(record);
    receipt
}

/// The same, signed by the server as a batch of its own: a server that lies.
fn forged_and_signed(receipt: &Value, kind: &str, record: &Record) -> Value {
    let mut forged = forged(receipt, kind, record);
    let (list, index) = find(&forged, kind);
    let proof = &mut forged[list][index]["proof"];
    // RFC 6962: the root of one leaf is its hash. The batch: "violet/batch/1", its id, the root, the size.
    let root: [u8; 32] = Sha256::digest([&[0], &record.to_bytes()[..]].concat()).into();
    let id = hex::decode(proof["batch_id"].as_str().unwrap().replace('-', "")).unwrap();
    let message = [&b"violet/batch/1"[..], &id, &root, &1u32.to_le_bytes()].concat();
    proof["size"] = 1.into();
    proof["leaf_index"] = 0.into();
    proof["path"] = json!([]);
    proof["root"] = hex::encode(root).into();
    proof["signature"] = signature_text(&keypair(SERVER).sign(&message)).into();
    forged
}

#[tokio::test]
async fn a_receipt_verifies_once_the_base_is_published() {
    let world = World::start().await;
    let (user, task) = settled(&world).await;
    let early = receipt(&user, &task).await;
    assert_eq!(early["revealed"], json!([]));
    assert_incomplete(&early, &["not published", "not published"]);
    world.next_snapshot().await;
    assert_eq!(
        receipt(&user, &task).await["revealed"],
        json!([]),
        "one later snapshot is not enough"
    );
    world.next_snapshot().await;
    assert_eq!(
        receipt(&user, &task).await["revealed"],
        json!([]),
        "other servers may still draw with it"
    );
    age_bases(&world, 6).await;
    assert_eq!(receipt(&user, &task).await["revealed"], json!([]), "six seconds");
    age_bases(&world, 4).await;

    let receipt = receipt(&user, &task).await;
    let report = check(&receipt);
    assert!(report.is_sound(), "{report:?}");
    let open = [
        "is the server's hotkey",
        "that no evaluation is missing, the stake of those who might have judged, and the threshold of 19660",
        "the stakes of the 3 validators that judged are the server's statement",
        "compare it with the chain",
        "who was skipped, are the server's statement",
    ];
    assert_eq!(report.open.len(), open.len(), "{report:?}");
    for (said, expected) in report.open.iter().zip(open) {
        assert!(said.contains(expected), "{report:?}");
    }
    let kinds = |list: &str| -> Vec<Value> {
        receipt[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["kind"].clone())
            .collect()
    };
    assert_eq!(kinds("records"), ["draw", "draw", "settlement"]);
    for word in [
        "draw 0 computed anew",
        "draw 1 computed anew",
        "medians computed anew",
    ] {
        assert!(
            report.holds.iter().any(|what| what.contains(word)),
            "{word}: {report:?}"
        );
    }
    assert_eq!(receipt["request"]["client_entropy"], hex::encode("some-entropy"));
    // The signatures in it are those that the neurons made.
    let Record::Settlement(Settlement {
        answers, evaluations, ..
    }) = record(&receipt, "settlement")
    else {
        panic!("not a settlement")
    };
    assert_eq!((answers.len(), evaluations.len()), (2, 3));

    let other = world.user().await;
    other
        .get(&format!("/api/v1/audit/tasks/{task}"))
        .await
        .problem(404, "/problems/not-found");
    world.end().await;
}

#[tokio::test]
async fn a_draw_without_entropy_of_the_client_is_said_to_be_weaker() {
    let world = World::start().await;
    let user = world.user().await;
    world.miners(1).await;
    let task = user.submit(&translation(1)).await;
    let report = check(&receipt(&user, &task).await);
    assert!(report.broken.is_empty(), "{report:?}");
    assert!(
        report.open.iter().any(|what| what.contains("not grinding-proof")),
        "{report:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_receipt_that_withholds_something_is_incomplete() {
    let world = World::start().await;
    let (user, task) = settled(&world).await;
    publish(&world).await;
    let whole = receipt(&user, &task).await;
    assert!(check(&whole).is_sound());
    let withheld = |change: &dyn Fn(&mut Value)| {
        let mut receipt = whole.clone();
        change(&mut receipt);
        receipt
    };
    // Both draws rest on one base.
    assert_incomplete(
        &withheld(&|it| it["revealed"] = json!([])),
        &["the base of block", "the base of block"],
    );
    assert_incomplete(
        &withheld(&|it| _ = it["records"].as_array_mut().unwrap().pop()),
        &["the settlement"],
    );
    assert_incomplete(
        &withheld(&|it| {
            for list in ["records", "named", "revealed"] {
                it[list] = json!([]);
            }
        }),
        &["a draw", "the settlement"],
    );
    // What is broken stays broken.
    let lie = withheld(&|it| {
        it["revealed"] = json!([]);
        it["request"]["netuid"] = json!(2);
    });
    assert_broken(&lie, "draw 0 is this task's");

    // Before the end of a task.
    let task = user.submit(&translation(2)).await;
    assert_incomplete(&receipt(&user, &task).await, &["not published", "the settlement"]);
    world.end().await;
}

#[tokio::test]
async fn whatever_is_changed_in_a_receipt_is_found() {
    let world = World::start().await;
    let (user, task) = settled(&world).await;
    publish(&world).await;
    let receipt = receipt(&user, &task).await;
    assert!(check(&receipt).is_sound());

    // By somebody who is not the server.
    let Record::Draw(draw) = record(&receipt, "draw") else {
        panic!("not a draw")
    };
    let mut other = draw.clone();
    other.chosen[0] = (0..5).find(|uid| !draw.chosen.contains(uid)).unwrap();
    let draw_of_others = Record::Draw(other);
    assert_broken(&forged(&receipt, "draw", &draw_of_others), "signed batch");
    let Record::Settlement(settlement) = record(&receipt, "settlement") else {
        panic!("not a settlement")
    };
    let mut other = settlement.clone();
    other.evaluations[0].scores[0] = Some(BAD);
    let other_score = Record::Settlement(other);
    assert_broken(&forged(&receipt, "settlement", &other_score), "signed batch");
    let Record::CandidateSet(set) = record(&receipt, "candidate_set") else {
        panic!("not a set")
    };
    let mut other = set.clone();
    other.candidates[0].stake *= 1000;
    let other_stake = Record::CandidateSet(other);
    assert_broken(&forged(&receipt, "candidate_set", &other_stake), "signed batch");

    // By the server itself, which can sign anything.
    assert_broken(
        &forged_and_signed(&receipt, "draw", &draw_of_others),
        "computed anew",
    );
    assert_broken(
        &forged_and_signed(&receipt, "settlement", &other_score),
        "signed by its validator",
    );
    assert_broken(
        &forged_and_signed(&receipt, "candidate_set", &other_stake),
        "names a candidate set",
    );
    let mut other = settlement.clone();
    other.answers[0].consensus = Some(GOOD + 1);
    assert_broken(
        &forged_and_signed(&receipt, "settlement", &Record::Settlement(other)),
        "medians",
    );
    let mut other = settlement.clone();
    other.outcome = violet::domain::TaskState::Rejected;
    assert_broken(
        &forged_and_signed(&receipt, "settlement", &Record::Settlement(other)),
        "outcome",
    );
    let mut other = settlement.clone();
    other.answers[0].digest.0[0] ^= 1;
    assert_broken(
        &forged_and_signed(&receipt, "settlement", &Record::Settlement(other)),
        "by its miner",
    );
    let mut other = settlement;
    other.task[0] ^= 1;
    assert_broken(
        &forged_and_signed(&receipt, "settlement", &Record::Settlement(other)),
        "this task's",
    );
    let mut other = draw;
    other.request.0[0] ^= 1;
    assert_broken(
        &forged_and_signed(&receipt, "draw", &Record::Draw(other)),
        "tied to its request",
    );

    // What carries the records.
    let changed = |pointer: &str, value: Value| {
        let mut receipt = receipt.clone();
        *receipt.pointer_mut(pointer).unwrap() = value;
        receipt
    };
    let zeros = || Value::from("00".repeat(32));
    assert_broken(&changed("/records/0/proof/root", zeros()), "signed batch");
    assert_broken(&changed("/named/0/proof/root", zeros()), "signed by the server");
    let signature = signature_text(&keypair(7).sign(b"whatever"));
    assert_broken(
        &changed("/records/0/proof/signature", signature.into()),
        "signed by the server",
    );
    let somebody = keypair(7).hotkey().to_string();
    assert_broken(
        &changed("/records/0/proof/server", somebody.into()),
        "one hotkey signed them all",
    );
    assert_broken(&changed("/request/input_digest", zeros()), "tied to its request");
    assert_broken(
        &changed("/request/client_entropy", "00".into()),
        "tied to its request",
    );
    assert_broken(&changed("/records/0/body", "00".into()), "canonical SCALE");
    assert_broken(&changed("/named", json!([])), "names a candidate set");
    let proof = Value::from("11".repeat(64));
    assert_broken(&changed("/revealed/0/proof", proof), "VRF");
    world.end().await;
}
