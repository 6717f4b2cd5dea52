//! Methods that fewer clients call.

use codec::Encode as _;
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use serde_json::{Value, json};
use subxt::Metadata;
use subxt::config::DefaultExtrinsicParamsBuilder;

use crate::subxt_client::{client, serve_axon, signer};
use crate::{UNIT, ask, bytes, connect, hex0x, item, key, manual, subnetwork_n};

#[tokio::test]
async fn every_listed_name_is_served() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let methods = ask(&wire, "rpc_methods", rpc_params![]).await;
    let methods: Vec<&str> = methods["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in [
        "account_nextIndex",
        "author_pendingExtrinsics",
        "author_submitAndWatchExtrinsic",
        "author_submitExtrinsic",
        "author_unwatchExtrinsic",
        "chain_getBlock",
        "chain_getBlockHash",
        "chain_getFinalisedHead",
        "chain_getFinalizedHead",
        "chain_getHead",
        "chain_getHeader",
        "chain_getRuntimeVersion",
        "chain_subscribeAllHeads",
        "chain_subscribeFinalisedHeads",
        "chain_subscribeFinalizedHeads",
        "chain_subscribeNewHead",
        "chain_subscribeNewHeads",
        "chain_subscribeRuntimeVersion",
        "chain_unsubscribeAllHeads",
        "chain_unsubscribeFinalisedHeads",
        "chain_unsubscribeFinalizedHeads",
        "chain_unsubscribeNewHead",
        "chain_unsubscribeNewHeads",
        "chain_unsubscribeRuntimeVersion",
        "payment_queryInfo",
        "rpc_methods",
        "state_call",
        "state_callAt",
        "state_getKeysPaged",
        "state_getKeysPagedAt",
        "state_getMetadata",
        "state_getReadProof",
        "state_getRuntimeVersion",
        "state_getStorage",
        "state_getStorageAt",
        "state_getStorageHash",
        "state_getStorageHashAt",
        "state_getStorageSize",
        "state_getStorageSizeAt",
        "state_queryStorageAt",
        "state_subscribeRuntimeVersion",
        "state_subscribeStorage",
        "state_unsubscribeRuntimeVersion",
        "state_unsubscribeStorage",
        "subscribe_newHead",
        "system_accountNextIndex",
        "system_chain",
        "system_chainType",
        "system_health",
        "system_name",
        "system_nodeRoles",
        "system_peers",
        "system_properties",
        "system_syncState",
        "system_version",
        "unsubscribe_newHead",
    ] {
        assert!(methods.contains(&name), "{name}");
    }
    for name in methods {
        if let Err(error) = wire.request::<Value, _>(name, rpc_params![]).await {
            assert!(!error.to_string().contains("MethodNotFound"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn metadata_comes_in_three_versions() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let at = async |version: u32| {
        let params = rpc_params!["Metadata_metadata_at_version", hex0x(version.encode())];
        bytes(&ask(&wire, "state_call", params).await)
    };
    for version in [14u32, 15, 16] {
        let answer = at(version).await;
        let magic = answer.windows(4).position(|window| window == b"meta").unwrap();
        assert_eq!(u32::from(answer[magic + 4]), version);
        let metadata = Metadata::decode_from(&answer[magic..]).unwrap();
        assert_eq!(
            metadata.pallet_by_name("SubtensorModule").unwrap().call_index(),
            7
        );
    }
    assert_eq!(at(13).await, [0], "no more than those");
    assert_eq!(at(17).await, [0]);
}

#[tokio::test]
async fn a_value_has_a_hash_and_a_size() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let before = json!(hex0x(chain.best().hash));
    chain.register(1, key("//New"), key("//New//cold")).unwrap();
    let hash = |value: u16| json!(hex0x(sp_core::blake2_256(&value.encode())));
    for name in ["state_getStorageHash", "state_getStorageHashAt"] {
        assert_eq!(ask(&wire, name, rpc_params![subnetwork_n()]).await, hash(9));
        assert_eq!(
            ask(&wire, name, rpc_params![subnetwork_n(), &before]).await,
            hash(8)
        );
        assert_eq!(ask(&wire, name, rpc_params!["0x00"]).await, Value::Null);
    }
    assert_eq!(
        ask(&wire, "state_getStorageSize", rpc_params![subnetwork_n()]).await,
        json!(2)
    );
    assert_eq!(
        ask(&wire, "state_getStorageSize", rpc_params!["0x00"]).await,
        Value::Null
    );
}

#[tokio::test]
async fn storage_is_followed() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let threshold = hex0x(item("StakeThreshold"));
    let mut changes: Subscription<Value> = wire
        .subscribe(
            "state_subscribeStorage",
            rpc_params![[subnetwork_n(), threshold.clone()]],
            "state_unsubscribeStorage",
        )
        .await
        .unwrap();
    let first = changes.next().await.unwrap().unwrap();
    assert_eq!(first["block"], json!(hex0x(chain.genesis_hash())));
    assert_eq!(first["changes"].as_array().unwrap().len(), 2, "all at first");
    assert_eq!(first["changes"][0], json!([subnetwork_n(), "0x0800"]));
    chain.advance(3).unwrap();
    chain.set_stake_threshold(5).unwrap();
    let block = json!(hex0x(chain.best().hash));
    let next = changes.next().await.unwrap().unwrap();
    let expected = json!({ "block": block, "changes": [[threshold, hex0x(5u64.encode())]] });
    assert_eq!(next, expected, "only what changed, when it did");
    let refused = wire
        .subscribe::<Value, _>(
            "state_subscribeStorage",
            rpc_params![["zz"]],
            "state_unsubscribeStorage",
        )
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("InvalidParams"), "{refused}");
}

#[tokio::test]
async fn a_fee_is_told_before() {
    let chain = manual().await;
    let (wire, client) = (connect(&chain).await, client(&chain).await);
    let params = DefaultExtrinsicParamsBuilder::new().immortal().nonce(0).build();
    let mut tx = client.tx().await.unwrap();
    let signed = tx
        .create_signed(&serve_axon(0x0808_0808, 9_100), &signer("//Miner1"), params)
        .await
        .unwrap();
    let info = ask(&wire, "payment_queryInfo", rpc_params![hex0x(signed.encoded())]).await;
    assert!(
        info["partialFee"].as_str().unwrap().parse::<u64>().is_ok(),
        "{info}"
    );
    assert!(info["weight"]["ref_time"].is_u64(), "{info}");
    let refused = wire
        .request::<Value, _>("payment_queryInfo", rpc_params!["0x1234"])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("8001"), "{refused}");
}

#[tokio::test]
async fn the_cheats_are_methods() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let head = ask(&wire, "dev_advance", rpc_params![3]).await;
    assert_eq!(head, json!({ "number": 3, "hash": hex0x(chain.best().hash) }));
    let new = rpc_params![1, "//New", "//New//cold"];
    assert_eq!(ask(&wire, "dev_register", new).await, json!(8));
    ask(&wire, "dev_setStake", rpc_params![1, "//New", 3 * UNIT, UNIT]).await;
    ask(&wire, "dev_setPermit", rpc_params![1, 8, true]).await;
    ask(&wire, "dev_setAxon", rpc_params![1, "//New", "127.0.0.1:9100"]).await;
    ask(&wire, "dev_setAxon", rpc_params![1, "//New", Value::Null]).await;
    ask(&wire, "dev_setStakeThreshold", rpc_params![7]).await;
    ask(
        &wire,
        "dev_replace",
        rpc_params![1, 4, "//Newer", "//Newer//cold"],
    )
    .await;
    ask(&wire, "dev_swapHotkey", rpc_params!["//New", "//Swapped"]).await;
    ask(
        &wire,
        "dev_swapColdkey",
        rpc_params!["//New//cold", "//Other//cold"],
    )
    .await;
    let graph = crate::snapshot(&wire, None).await;
    assert!(graph.permits.unwrap()[8]);
    let hotkeys = graph.hotkeys.unwrap();
    assert_eq!((hotkeys[4], hotkeys[8]), (key("//Newer"), key("//Swapped")));
    ask(&wire, "dev_stallFinality", rpc_params![true]).await;
    let stalled = chain.finalized();
    ask(&wire, "dev_advance", rpc_params![]).await;
    assert_eq!(chain.finalized(), stalled);
    let head = ask(&wire, "dev_reorganize", rpc_params![1]).await;
    assert_eq!(head["number"], json!(stalled.number + 2));
    ask(&wire, "dev_pruneStates", rpc_params![0]).await;
    for (method, params, code) in [
        ("dev_setPermit", rpc_params![1, 99, true], "5001"),
        ("dev_reorganize", rpc_params![9], "5001"),
        ("dev_swapHotkey", rpc_params!["//New", "//Newest"], "5001"),
        ("dev_swapColdkey", rpc_params!["//New//cold", "//Newest"], "5001"),
        ("dev_register", rpc_params![1, "nobody", "//New"], "InvalidParams"),
        ("dev_refuse", rpc_params!["loudly", 5], "InvalidParams"),
        ("dev_advance", rpc_params![100_001], "InvalidParams"),
    ] {
        let refused = wire.request::<Value, _>(method, params).await.unwrap_err();
        assert!(refused.to_string().contains(code), "{method}: {refused}");
    }
    ask(&wire, "dev_dropConnections", rpc_params![]).await;
    tokio::time::timeout(std::time::Duration::from_secs(60), wire.on_disconnect())
        .await
        .unwrap();
}

/// Of two with the same nonce the pool keeps the one with the higher priority, and tells who watches the other.
#[tokio::test]
async fn a_higher_tip_takes_the_place_of_a_transaction() {
    let chain = manual().await;
    let (wire, client) = (connect(&chain).await, client(&chain).await);
    let signed = async |tip: u128| {
        let remark = subxt::dynamic::transaction("System", "remark", (vec![7u8],));
        let params = DefaultExtrinsicParamsBuilder::new().immortal().nonce(0).tip(tip);
        let mut tx = client.tx().await.unwrap();
        let signed = tx
            .create_signed(&remark, &signer("//Mallory"), params.build())
            .await;
        hex0x(signed.unwrap().encoded())
    };
    let mut watched: Subscription<Value> = wire
        .subscribe(
            "author_submitAndWatchExtrinsic",
            rpc_params![signed(5).await],
            "author_unwatchExtrinsic",
        )
        .await
        .unwrap();
    assert_eq!(watched.next().await.unwrap().unwrap(), json!("ready"));
    let refused = wire
        .request::<Value, _>("author_submitExtrinsic", rpc_params![signed(4).await])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("1014") && refused.contains("Priority is too low"),
        "{refused}"
    );
    let higher = signed(6).await;
    let hash = ask(&wire, "author_submitExtrinsic", rpc_params![&higher]).await;
    assert_eq!(watched.next().await.unwrap().unwrap(), json!({ "usurped": hash }));
    assert_eq!(
        ask(&wire, "author_pendingExtrinsics", rpc_params![]).await,
        json!([higher])
    );
    chain.advance(1).unwrap();
    let block = ask(&wire, "chain_getBlock", rpc_params![]).await;
    assert_eq!(block["block"]["extrinsics"][1], json!(higher));
}

#[tokio::test]
async fn answers_may_say_more_than_is_stored() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let before = crate::snapshot(&wire, None).await.total_stake.unwrap();
    ask(&wire, "dev_misstateStake", rpc_params![1, 4, 7]).await;
    let said = crate::snapshot(&wire, None).await.total_stake.unwrap();
    assert_eq!(said[4], before[4] + 7);
    assert_eq!((&said[..4], &said[5..]), (&before[..4], &before[5..]));
    ask(&wire, "dev_misstateStake", rpc_params![1, 4, 0]).await;
    assert_eq!(crate::snapshot(&wire, None).await.total_stake.unwrap(), before);
    let unknown = wire
        .request::<Value, _>("dev_misstateStake", rpc_params![1, 99, 1])
        .await;
    assert!(unknown.unwrap_err().to_string().contains("5001"));
}
