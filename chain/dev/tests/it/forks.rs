//! Re-orgs that finality never sees, and snapshots.

use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClient;
use serde_json::{Value, json};
use subxt::config::DefaultExtrinsicParamsBuilder;
use violet_devchain::Error;

use crate::subxt_client::{client, serve_axon, signer};
use crate::{UNIT, ask, connect, hex0x, key, manual, snapshot, subnetwork_n};

async fn follow(client: &WsClient, subscribe: &str, unsubscribe: &str) -> Subscription<Value> {
    let mut heads: Subscription<Value> = client
        .subscribe(subscribe, rpc_params![], unsubscribe)
        .await
        .unwrap();
    heads.next().await.unwrap().unwrap();
    heads
}

async fn numbers(heads: &mut Subscription<Value>, count: usize) -> Vec<String> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let head = heads.next().await.unwrap().unwrap();
        numbers.push(head["number"].as_str().unwrap().to_owned());
    }
    numbers
}

#[tokio::test]
async fn the_best_chain_is_replaced_and_finality_never_saw_it() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let mut best = follow(&client, "chain_subscribeNewHead", "chain_unsubscribeNewHead").await;
    let mut all = follow(&client, "chain_subscribeAllHeads", "chain_unsubscribeAllHeads").await;
    let mut last = follow(
        &client,
        "chain_subscribeFinalisedHeads",
        "chain_unsubscribeFinalisedHeads",
    )
    .await;
    chain.advance(1).unwrap();
    chain.stall_finality(true);
    chain.set_stake(1, key("//Miner1"), 7 * UNIT, 0).unwrap();
    let lost = chain.advance(1).unwrap();
    let head = chain.reorganize(2).unwrap();
    assert_eq!((head.number, chain.finalized().number), (4, 1));
    assert_eq!(numbers(&mut best, 4).await, ["0x1", "0x2", "0x3", "0x4"]);
    assert_eq!(
        numbers(&mut all, 6).await,
        ["0x1", "0x2", "0x3", "0x2", "0x3", "0x4"]
    );

    // The stake is what it was, but the block that changed it can still be read.
    let stake = async |at: Option<&Value>| snapshot(&client, at).await.total_stake.unwrap()[0];
    assert_eq!(stake(None).await, 1_000 * UNIT);
    assert_eq!(stake(Some(&json!(hex0x(lost.hash)))).await, 7 * UNIT);
    let third = ask(&client, "chain_getBlockHash", rpc_params![3]).await;
    assert_ne!(third, json!(hex0x(lost.hash)));

    // Once the other branch is final, this one is gone.
    chain.stall_finality(false);
    assert_eq!(numbers(&mut last, 2).await, ["0x1", "0x4"]);
    assert_eq!(
        ask(&client, "chain_getHeader", rpc_params![hex0x(lost.hash)]).await,
        Value::Null
    );
    assert_eq!(stake(None).await, 1_000 * UNIT);
}

#[tokio::test]
async fn what_is_final_is_not_replaced() {
    let chain = manual().await;
    chain.advance(3).unwrap();
    let refused = chain.reorganize(1).unwrap_err();
    assert!(matches!(refused, Error::Final { depth: 1, open: 0 }), "{refused}");
    chain.stall_finality(true);
    chain.advance(2).unwrap();
    let refused = chain.reorganize(3).unwrap_err();
    assert!(matches!(refused, Error::Final { depth: 3, open: 2 }), "{refused}");
    assert_eq!(chain.best().number, 5);
    assert_eq!(chain.reorganize(2).unwrap().number, 6);
}

#[tokio::test]
async fn a_transaction_of_a_lost_block_is_included_again() {
    let chain = manual().await;
    let (wire, client) = (connect(&chain).await, client(&chain).await);
    chain.advance(1).unwrap();
    chain.stall_finality(true);
    let params = DefaultExtrinsicParamsBuilder::new().immortal().nonce(0).build();
    let axon = serve_axon(0x0808_0808, 9_100);
    let mut tx = client.tx().await.unwrap();
    let signed = tx
        .create_signed(&axon, &signer("//Miner1"), params)
        .await
        .unwrap();
    let mut statuses: Subscription<Value> = wire
        .subscribe(
            "author_submitAndWatchExtrinsic",
            rpc_params![hex0x(signed.encoded())],
            "author_unwatchExtrinsic",
        )
        .await
        .unwrap();
    let mut status = async || statuses.next().await.unwrap().unwrap();
    assert_eq!(status().await, json!("ready"));
    let lost = json!(hex0x(chain.advance(1).unwrap().hash));
    assert_eq!(status().await, json!({ "inBlock": lost }));
    chain.reorganize(1).unwrap();
    assert_eq!(status().await, json!({ "retracted": lost }));
    assert_eq!(
        ask(&wire, "author_pendingExtrinsics", rpc_params![]).await,
        json!([hex0x(signed.encoded())])
    );
    let found = json!(hex0x(chain.advance(1).unwrap().hash));
    assert_eq!(status().await, json!({ "inBlock": found }));
    chain.stall_finality(false);
    assert_eq!(status().await, json!({ "finalized": found }));
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let before = chain.advance(2).unwrap();
    let first = ask(&client, "dev_snapshot", rpc_params![]).await;
    chain.register(1, key("//New"), key("//New//cold")).unwrap();
    let second = ask(&client, "dev_snapshot", rpc_params![]).await;
    let gone = chain.advance(300).unwrap();
    let mut last = follow(
        &client,
        "chain_subscribeFinalizedHeads",
        "chain_unsubscribeFinalizedHeads",
    )
    .await;
    let head = ask(&client, "dev_revert", rpc_params![&first]).await;
    assert_eq!(head, json!({ "number": 2, "hash": hex0x(before.hash) }));
    assert_eq!((chain.best(), chain.finalized()), (before, before));
    assert_eq!(
        numbers(&mut last, 1).await,
        ["0x2"],
        "clients are told that it went back"
    );
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![subnetwork_n()]).await,
        json!("0x0800")
    );
    assert_eq!(
        ask(&client, "chain_getHeader", rpc_params![hex0x(gone.hash)]).await,
        Value::Null
    );
    // The later snapshot went with the blocks it was taken of, and this one is used up.
    for snapshot in [second, first] {
        let refused = client
            .request::<Value, _>("dev_revert", rpc_params![&snapshot])
            .await
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains(&format!("there is no snapshot {snapshot}")),
            "{refused}"
        );
    }
    assert_eq!(chain.advance(1).unwrap().number, 3);
}
