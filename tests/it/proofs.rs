//! Proved stakes: fetched once per tempo beside everything else, kept, handed out to anybody, and never waited for.
use sqlx::AssertSqlSafe;
use violet::services::proving;
use violet_chain::StakeProof;
use violet_devchain::Proofs;

use crate::harness::{Reply, World, eventually, translation};

/// The blocks whose stakes are proved, in order.
async fn proved(world: &World) -> Vec<i64> {
    sqlx::query_scalar(AssertSqlSafe(
        "select block from stake_proofs join bases using (netuid, block_hash) order by block".to_owned(),
    ))
    .fetch_all(&world.db)
    .await
    .unwrap()
}

/// Waits until exactly these are.
async fn are_proved(world: &World, blocks: &[i64]) {
    eventually("the stakes of these blocks are proved", || async {
        (proved(world).await == blocks).then_some(())
    })
    .await;
}

async fn get(world: &World, block: &str) -> reqwest::Response {
    let url = format!("{}/api/v1/audit/bases/{block}/proof", world.server.url());
    world.http.get(url).send().await.unwrap()
}

#[tokio::test]
async fn the_stakes_of_the_first_base_are_proved_and_then_once_per_tempo() {
    let world = World::start().await;
    are_proved(&world, &[0]).await;
    let snapshot = world.server.app.snapshots.latest().unwrap().snapshot;
    assert_eq!((snapshot.block.number, snapshot.tempo), (0, 10));

    // Nobody is asked who they are.
    let answer = get(&world, "0").await;
    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/octet-stream");
    let name = format!("stakes-1-{}.proof", snapshot.block.hash);
    assert!(headers["content-disposition"].to_str().unwrap().contains(&name));
    let bytes = answer.bytes().await.unwrap();
    let proof = StakeProof::from_bytes(&bytes).unwrap();
    let stakes = proof.verify(snapshot.block.hash).unwrap();
    assert_eq!(stakes.differing(&snapshot), []);
    let by_hash = get(&world, &snapshot.block.hash.to_string()).await;
    assert_eq!(by_hash.bytes().await.unwrap(), bytes);
    for unknown in ["2", &format!("0x{}", "00".repeat(32))] {
        let url = format!("{}/api/v1/audit/bases/{unknown}/proof", world.server.url());
        Reply::to(world.http.get(url))
            .await
            .problem(404, "/problems/not-found");
    }

    // Four snapshots on it is not due yet, whoever asks; at the fifth a tempo is over.
    for _ in 0..4 {
        world.next_snapshot().await;
    }
    proving::prove(&world.server.app).await.unwrap();
    assert_eq!(proved(&world).await, [0]);
    world.next_snapshot().await;
    are_proved(&world, &[0, 10]).await;
    // What is stored goes with its base.
    world.sql("delete from bases where block = 0").await;
    assert_eq!(proved(&world).await, [10]);
    world.end().await;
}

#[tokio::test]
async fn a_node_without_proofs_hinders_nothing() {
    let world = World::start().await;
    are_proved(&world, &[0]).await;
    let user = world.user().await;
    world.miners(1).await;
    for proofs in [Proofs::Refused, Proofs::Forged] {
        world.chain.give_proofs(proofs);
        for _ in 0..5 {
            world.next_snapshot().await;
        }
        let error = proving::prove(&world.server.app).await.unwrap_err();
        let text = violet::error::Causes(&error).to_string();
        let expected = match proofs {
            Proofs::Refused => "Method not found",
            _ => "the trie nodes do not lead from the block's state root",
        };
        assert!(text.contains(expected), "{text}");
        let accepted = user.submit_raw(&translation(1)).await.ok();
        assert_eq!(accepted["assigned_miner_count"], 1, "{proofs:?}");
        assert_eq!(proved(&world).await, [0], "{proofs:?}");
    }
    let metrics = reqwest::get(format!("{}/metrics", world.server.url()))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for outcome in ["stored", "failed"] {
        let name = format!("violet_stake_proofs_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let count: u64 = line.expect("it is counted").parse().unwrap();
        assert!(count > 0, "{outcome}");
    }

    world.chain.give_proofs(Proofs::True);
    proving::prove(&world.server.app).await.unwrap();
    are_proved(&world, &[0, 20]).await;
    world.end().await;
}

/// The proof holds, and the same node's metagraph says something else: it is not stored.
#[tokio::test]
async fn a_metagraph_of_other_stakes_than_are_stored_is_not_proved() {
    let world = World::start().await;
    are_proved(&world, &[0]).await;
    let user = world.user().await;
    world.miners(1).await;
    let snapshot = world.server.app.snapshots.latest().unwrap().snapshot;
    let uid = snapshot.neurons.last().unwrap().uid;
    world.chain.misstate_stake(snapshot.netuid.0, uid.0, 1).unwrap();
    for _ in 0..5 {
        world.next_snapshot().await;
    }
    let error = proving::prove(&world.server.app).await.unwrap_err();
    let text = violet::error::Causes(&error).to_string();
    let expected = format!("has other neurons or stakes than the node's metagraph, at 1 uids from {uid}");
    assert!(text.contains(&expected), "{text}");
    assert_eq!(proved(&world).await, [0]);
    let accepted = user.submit_raw(&translation(1)).await.ok();
    assert_eq!(accepted["assigned_miner_count"], 1, "drawing goes on");
    let metrics = reqwest::get(format!("{}/metrics", world.server.url()))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let name = "violet_stake_proofs_total{outcome=\"differs\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let count: u64 = line.expect("it is counted").parse().unwrap();
    assert!(count > 0);

    world.chain.misstate_stake(snapshot.netuid.0, uid.0, 0).unwrap();
    world.next_snapshot().await;
    eventually("the next one is proved", || async {
        (proved(&world).await.len() == 2).then_some(())
    })
    .await;
    world.end().await;
}
