//! Receipts with proofs of the stakes at the blocks of their draws.
use serde_json::Value;
use violet::verify::{self, Outcome, Report};
use violet_chain::{ProvedStakes, StakeProof};

use super::{forgery::Forgery, publish, receipt, settled};
use crate::harness::{World, eventually};

/// Until the stakes at so many blocks are proved.
async fn proofs(world: &World, count: i64) {
    eventually("stakes are proved", || async {
        (world.count("stake_proofs").await == count).then_some(())
    })
    .await;
}

fn check_with(receipt: &Value, stakes: &[ProvedStakes]) -> Report {
    let receipt = serde_json::from_value(receipt.clone()).expect("a receipt");
    verify::receipt_with(&receipt, stakes)
}

async fn read(world: &World, path: &str) -> ProvedStakes {
    let url = format!("{}{path}", world.server.url());
    let bytes = world.http.get(url).send().await.unwrap().bytes().await.unwrap();
    let proof = StakeProof::from_bytes(&bytes).unwrap();
    proof.verify(proof.block_hash()).unwrap()
}

#[tokio::test]
async fn candidates_are_checked_against_the_state_of_the_chain() {
    let world = World::start().await;
    proofs(&world, 1).await;
    let (user, task) = settled(&world).await;
    publish(&world).await;
    let whole = receipt(&user, &task).await;
    let listed = whole["stake_proofs"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["block"]), (1, &Value::from(0)));
    let stakes = read(&world, listed[0]["path"].as_str().unwrap()).await;

    let said = |texts: &[String], what: &str| texts.iter().filter(|text| text.contains(what)).count();
    let without = check_with(&whole, &[]);
    assert!(without.is_sound(), "{without:?}");
    assert_eq!(said(&without.open, "check again with the proof of block 0"), 1);
    let of_judges = "the stakes of the 3 validators that judged are";
    assert_eq!(said(&without.open, of_judges), 1);
    let with = check_with(&whole, std::slice::from_ref(&stakes));
    assert!(with.is_sound(), "{with:?}");
    assert_eq!(said(&with.holds, "are in the state of block 0"), 3, "{with:?}");
    assert_eq!(said(&with.holds, of_judges), 1, "{with:?}");
    assert_eq!(said(&with.open, "compare stakes with the chain"), 0);
    assert_eq!(with.open.len(), without.open.len() - 1, "the judges'");

    // What only the state of the chain tells: the server signed all of it.
    let truth = Forgery::of(&whole);
    let lies: [&dyn Fn(&mut violet::domain::records::CandidateSet); 4] = [
        &|set| set.candidates[0].stake += 1,
        &|set| set.candidates[0].hotkey.0[0] ^= 1,
        &|set| set.candidates[0].coldkey.0[0] ^= 1,
        &|set| set.candidates.last_mut().unwrap().uid = 999,
    ];
    for lie in lies {
        let lying = truth.with(|it| it.change_sets(lie));
        let report = check_with(&lying, std::slice::from_ref(&stakes));
        assert_eq!(report.outcome(), Outcome::Broken);
        assert!(
            said(&report.broken, "are in the state of block 0") > 0,
            "{report:?}"
        );
    }
    // Of judges it tells that they have other stakes at this block: they are of one that is not named.
    let lying = truth.with(|it| {
        it.settlement().evaluations[0].stake += 1;
        it.settlement().eligible_stake += 1;
    });
    let report = check_with(&lying, std::slice::from_ref(&stakes));
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        said(&report.open, "that judged are in none of the proofs"),
        1,
        "{report:?}"
    );
    assert_eq!(said(&report.holds, of_judges), 0);
    // A proof of another block proves nothing here, once stakes have changed.
    let judge = truth.clone().settlement().evaluations[0].hotkey;
    world.chain.set_stake(1, judge.0, 1, 1).unwrap();
    for _ in 0..3 {
        world.next_snapshot().await;
    }
    proofs(&world, 2).await;
    let later = read(&world, "/api/v1/audit/bases/10/proof").await;
    let report = check_with(&whole, &[later]);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(said(&report.open, "was of no use"), 1);
    assert_eq!(said(&report.open, "that judged are in none of the proofs"), 1);
    assert_eq!(said(&report.holds, "are in the state of block"), 0);
    world.end().await;
}

/// `violet audit verify`: its words, and how it ends.
async fn verify_by_hand(arguments: &[&std::path::Path]) -> (Option<i32>, String, String) {
    let mut violet = tokio::process::Command::new(env!("CARGO_BIN_EXE_violet"));
    violet.args(["audit", "verify"]).args(&arguments[..1]);
    for proof in &arguments[1..] {
        violet.arg("--proof").arg(proof);
    }
    let output = violet.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_binary_checks_a_receipt_with_a_proof() {
    let world = World::start().await;
    proofs(&world, 1).await;
    let (user, task) = settled(&world).await;
    publish(&world).await;
    let whole = receipt(&user, &task).await;
    let url = format!("{}/api/v1/audit/bases/0/proof", world.server.url());
    let proof = world.http.get(url).send().await.unwrap().bytes().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [receipt, stakes] = ["receipt.json", "stakes.proof"].map(|name| folder.path().join(name));
    std::fs::write(&receipt, whole.to_string()).unwrap();
    std::fs::write(&stakes, &proof).unwrap();

    let (code, out, err) = verify_by_hand(&[&receipt]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let proved = "\n  ok     the stakes of the 3 validators that judged are in the state of block 0\n";
    assert!(!out.contains(proved), "{out}");
    let (code, out, err) = verify_by_hand(&[&receipt, &stakes]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(proved), "{out}");
    let candidates =
        "  ok     the stakes, hotkeys and owners of the 5 candidates of draw 0 are in the state of block 0\n";
    assert!(out.contains(candidates), "{out}");
    assert!(out.lines().last().unwrap().starts_with("verified: "), "{out}");

    let lying = Forgery::of(&whole).with(|it| it.change_sets(|set| set.candidates[0].stake += 1));
    std::fs::write(&receipt, lying.to_string()).unwrap();
    let (code, out, _) = verify_by_hand(&[&receipt, &stakes]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("\n  BROKEN the stakes, hotkeys and owners of the"),
        "{out}"
    );
    assert!(out.lines().last().unwrap().starts_with("FAILED: "), "{out}");
    // A proof that does not hold, and one that is none.
    std::fs::write(&receipt, whole.to_string()).unwrap();
    let mut bytes = proof.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    for (bytes, words) in [
        (bytes, "the proof does not hold"),
        (b"no".to_vec(), "not a proof of stakes"),
    ] {
        std::fs::write(&stakes, bytes).unwrap();
        let (code, _, err) = verify_by_hand(&[&receipt, &stakes]).await;
        assert_eq!(code, Some(1));
        assert!(err.contains(words) && err.contains("stakes.proof"), "{err}");
    }
    world.end().await;
}
