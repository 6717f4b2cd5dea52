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
    let with = check_with(&whole, std::slice::from_ref(&stakes));
    assert!(with.is_sound(), "{with:?}");
    assert_eq!(said(&with.holds, "are in the state of block 0"), 2, "{with:?}");
    assert_eq!(
        said(&with.open, "compare stakes with the chain"),
        1,
        "the judges'"
    );
    assert_eq!(with.open.len(), without.open.len());

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
    // A proof of another block proves nothing here.
    for _ in 0..3 {
        world.next_snapshot().await;
    }
    proofs(&world, 2).await;
    let later = read(&world, "/api/v1/audit/bases/10/proof").await;
    let report = check_with(&whole, &[later]);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(said(&report.open, "was of no use"), 1);
    assert_eq!(said(&report.holds, "are in the state of block"), 0);
    world.end().await;
}
