//! The JSON-RPC face over a real socket.

use std::time::Duration;

use codec::Encode as _;
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::rpc_params;
use serde_json::{Value, json};
use sp_core::H256;
use sp_runtime::generic::Header;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{StorageProof, read_proof_check};
use violet_devchain::{Genesis, Options, spawn};

use crate::{UNIT, ask, bytes, connect, hex0x, key, manual, post, snapshot, subnetwork_n};

type ChainHeader = Header<u32, BlakeTwo256>;

#[tokio::test]
async fn only_legacy_methods_are_listed() {
    let chain = manual().await;
    let methods = ask(&connect(&chain).await, "rpc_methods", rpc_params![]).await;
    let methods: Vec<&str> = methods["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    assert!(methods.contains(&"account_nextIndex"));
    assert!(methods.contains(&"state_getReadProof"));
    assert!(
        !methods.iter().any(|method| method.contains("_v1_")),
        "{methods:?}"
    );
}

#[tokio::test]
async fn heads_follow_one_another_and_hash_to_their_hashes() {
    let chain = manual().await;
    let client = connect(&chain).await;
    for (subscribe, unsubscribe) in [
        ("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads"),
        ("chain_subscribeNewHeads", "chain_unsubscribeNewHeads"),
        ("chain_subscribeAllHeads", "chain_unsubscribeAllHeads"),
    ] {
        let mut heads: Subscription<ChainHeader> = client
            .subscribe(subscribe, rpc_params![], unsubscribe)
            .await
            .unwrap();
        let first = heads.next().await.unwrap().unwrap();
        assert_eq!(
            first.hash().0,
            chain.finalized().hash,
            "the current head comes at once"
        );
        chain.advance(3).unwrap();
        let mut parent = first.hash();
        for _ in 0..3 {
            let header = heads.next().await.unwrap().unwrap();
            assert_eq!(header.parent_hash, parent);
            parent = H256(sp_core::blake2_256(&header.encode()));
            let hash = ask(&client, "chain_getBlockHash", rpc_params![header.number]).await;
            assert_eq!(hash, json!(parent), "a block's hash is blake2-256 of its header");
        }
        heads.unsubscribe().await.unwrap();
    }
}

#[tokio::test]
async fn a_block_is_made_every_interval() {
    let options = Options {
        port: 0,
        block_time: Some(Duration::from_millis(20)),
        ..Options::default()
    };
    let chain = spawn(Genesis::default(), options).await.unwrap();
    let client = connect(&chain).await;
    let mut heads: Subscription<ChainHeader> = client
        .subscribe(
            "chain_subscribeFinalizedHeads",
            rpc_params![],
            "chain_unsubscribeFinalizedHeads",
        )
        .await
        .unwrap();
    let first = heads.next().await.unwrap().unwrap().number;
    for number in first + 1..first + 5 {
        assert_eq!(heads.next().await.unwrap().unwrap().number, number);
    }
}

#[tokio::test]
async fn block_hashes_are_found_by_number_hex_and_list() {
    let chain = manual().await;
    let head = chain.advance(12).unwrap();
    let client = connect(&chain).await;
    let hash = json!(hex0x(head.hash));
    let genesis = json!(hex0x(chain.genesis_hash()));
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params![12]).await, hash);
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params!["0xc"]).await, hash);
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params![]).await, hash);
    assert_eq!(
        ask(&client, "chain_getHead", rpc_params![Value::Null]).await,
        hash
    );
    assert_eq!(ask(&client, "chain_getFinalizedHead", rpc_params![]).await, hash);
    assert_eq!(
        ask(&client, "chain_getBlockHash", rpc_params![json!([0, 12, 13])]).await,
        json!([genesis, hash, null])
    );
    let block = ask(&client, "chain_getBlock", rpc_params![&hash]).await;
    assert_eq!(block["block"]["header"]["number"], json!("0xc"));
    assert_eq!(
        block["block"]["extrinsics"].as_array().unwrap().len(),
        1,
        "the timestamp"
    );
    assert_eq!(
        ask(&client, "chain_getHeader", rpc_params![hex0x([7; 32])]).await,
        Value::Null
    );
}

#[tokio::test]
async fn storage_is_read_at_a_block() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let before = ask(&client, "chain_getHead", rpc_params![]).await;
    chain.register(1, key("//New"), key("//New//cold")).unwrap();
    let key = subnetwork_n();
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![&key]).await,
        json!(hex0x(9u16.encode()))
    );
    assert_eq!(
        ask(&client, "state_getStorageAt", rpc_params![&key, &before]).await,
        json!(hex0x(8u16.encode()))
    );
    let absent = hex0x(b"nothing");
    let changes = ask(
        &client,
        "state_queryStorageAt",
        rpc_params![[&key, &absent], &before],
    )
    .await;
    assert_eq!(
        changes,
        json!([{ "block": before, "changes": [[key, "0x0800"], [absent, null]] }])
    );
}

#[tokio::test]
async fn keys_come_in_pages() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let prefix = hex0x([crate::item("Keys"), 1u16.encode()].concat());
    let first = ask(&client, "state_getKeysPaged", rpc_params![&prefix, 5, &prefix]).await;
    let first = first.as_array().unwrap();
    assert_eq!(first.len(), 5);
    let rest = ask(
        &client,
        "state_getKeysPaged",
        rpc_params![&prefix, 5, first.last().unwrap()],
    )
    .await;
    let rest = rest.as_array().unwrap();
    assert_eq!(rest.len(), 3);
    assert!(first.last().unwrap().as_str() < rest[0].as_str());
    assert_eq!(
        rest[2],
        json!(hex0x(
            [crate::item("Keys"), 1u16.encode(), 7u16.encode()].concat()
        ))
    );
}

#[tokio::test]
async fn the_metagraph_holds_what_genesis_says() {
    let chain = manual().await;
    chain.advance(2).unwrap();
    let client = connect(&chain).await;
    let graph = snapshot(&client, None).await;
    assert_eq!((graph.netuid, graph.block, graph.fields_after), (1, Some(2), 3));
    let genesis = Genesis::default();
    assert_eq!(
        graph.hotkeys.unwrap(),
        genesis.neurons.iter().map(|n| n.hotkey).collect::<Vec<_>>()
    );
    assert_eq!(
        graph.permits.unwrap(),
        genesis
            .neurons
            .iter()
            .map(|n| n.validator_permit)
            .collect::<Vec<_>>()
    );
    let total = graph.total_stake.unwrap();
    assert_eq!(total[..4], [1_000 * UNIT, 4_000 * UNIT, 2_500 * UNIT, 500 * UNIT]);
    // 0.18 is 773094113 / 2^32 of 10 000 TAO of root beside 50 000 alpha.
    assert_eq!(
        total[4],
        50_000 * UNIT + u64::try_from((10_000 * u128::from(UNIT) * 773_094_113) >> 32).unwrap()
    );

    let method = "SubnetInfoRuntimeApi_get_selective_metagraph";
    let nowhere = ask(
        &client,
        "state_call",
        rpc_params![method, hex0x((2u16, vec![0u16]).encode())],
    )
    .await;
    assert_eq!(nowhere, json!("0x00"));
    let unprefixed = hex::encode((1u16, Vec::<u16>::from([7, 999])).encode());
    let graph = ask(&client, "state_call", rpc_params![method, unprefixed]).await;
    let graph = crate::columns(&bytes(&graph));
    assert_eq!(
        (graph.netuid, graph.block, graph.hotkeys),
        (0, Some(2), None),
        "only what was asked for"
    );
}

#[tokio::test]
async fn a_read_proof_proves() {
    let chain = manual().await;
    let head = chain.advance(1).unwrap();
    let client = connect(&chain).await;
    let header: ChainHeader = client
        .request("chain_getHeader", rpc_params![hex0x(head.hash)])
        .await
        .unwrap();
    let answer = ask(
        &client,
        "state_getReadProof",
        rpc_params![[subnetwork_n()], hex0x(head.hash)],
    )
    .await;
    assert_eq!(answer["at"], json!(hex0x(head.hash)));
    let nodes: Vec<Vec<u8>> = answer["proof"].as_array().unwrap().iter().map(bytes).collect();
    let key = bytes(&json!(subnetwork_n()));
    let check = |nodes: Vec<Vec<u8>>| {
        read_proof_check::<BlakeTwo256, _>(header.state_root, StorageProof::new(nodes), [&key])
            .map(|proven| proven.into_values().next().unwrap())
    };
    assert_eq!(check(nodes.clone()).unwrap(), Some(8u16.encode()));
    for i in 0..nodes.len() {
        let mut tampered = nodes.clone();
        let last = tampered[i].len() - 1;
        tampered[i][last] ^= 1;
        assert!(
            check(tampered).is_err(),
            "node {i} was changed and nobody noticed"
        );
    }
}

#[tokio::test]
async fn a_state_is_discarded_after_256_blocks() {
    let chain = manual().await;
    chain.advance(257).unwrap();
    let client = connect(&chain).await;
    let hash = |number: u32| ask(&client, "chain_getBlockHash", rpc_params![number]);
    let (genesis, kept) = (hash(0).await, hash(1).await);
    let kept = ask(&client, "state_getStorage", rpc_params![subnetwork_n(), kept]).await;
    assert_eq!(kept, json!("0x0800"));
    let gone = client
        .request::<Value, _>("state_getStorage", rpc_params![subnetwork_n(), &genesis])
        .await;
    let gone = gone.unwrap_err().to_string();
    assert!(
        gone.contains(&format!(
            "State already discarded for {}",
            genesis.as_str().unwrap()
        )),
        "{gone}"
    );
    assert_ne!(
        ask(&client, "chain_getHeader", rpc_params![&genesis]).await,
        Value::Null,
        "headers stay"
    );
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let refused = async |method: &str, params: jsonrpsee::core::params::ArrayParams| {
        client
            .request::<Value, _>(method, params)
            .await
            .unwrap_err()
            .to_string()
    };
    let unknown = refused("state_call", rpc_params!["Nobody_knows", "0x"]).await;
    assert!(
        unknown.contains("Exported method Nobody_knows is not found"),
        "{unknown}"
    );
    let block = refused("state_getStorage", rpc_params!["0x00", hex0x([9; 32])]).await;
    assert!(block.contains("UnknownBlock"), "{block}");
    let arguments = refused("state_call", rpc_params!["AccountNonceApi_account_nonce", "0x01"]).await;
    assert!(arguments.contains("Execution failed"), "{arguments}");
    let extrinsic = refused("author_submitExtrinsic", rpc_params!["0x1234"]).await;
    assert!(extrinsic.contains("invalid format"), "{extrinsic}");
    // It goes on after all that.
    assert_eq!(chain.advance(1).unwrap().number, 1);
}

#[tokio::test]
async fn the_node_introduces_itself() {
    let chain = manual().await;
    let client = connect(&chain).await;
    assert_eq!(
        ask(&client, "system_chain", rpc_params![]).await,
        json!("Bittensor")
    );
    assert_eq!(
        ask(&client, "system_properties", rpc_params![]).await["tokenSymbol"],
        json!("TAO")
    );
    let version = ask(&client, "state_getRuntimeVersion", rpc_params![Value::Null]).await;
    assert_eq!(version["specName"], json!("node-subtensor"));
    assert_eq!(version["specVersion"], json!(461));
    assert_eq!(version["transactionVersion"], json!(1));
    assert_eq!(version["stateVersion"], json!(1));
    let metadata = bytes(&ask(&client, "state_getMetadata", rpc_params![]).await);
    assert_eq!(&metadata[..4], b"meta");
    let versions = ask(
        &client,
        "state_call",
        rpc_params!["Metadata_metadata_versions", "0x"],
    )
    .await;
    assert_eq!(bytes(&versions), vec![14u32, 15, 16].encode().as_slice());
    let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    assert_eq!(
        ask(&client, "account_nextIndex", rpc_params![alice]).await,
        json!(0)
    );
}

#[tokio::test]
async fn batches_and_plain_http_are_served() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let mut batch = BatchRequestBuilder::new();
    batch.insert("chain_getHead", rpc_params![]).unwrap();
    batch.insert("system_health", rpc_params![]).unwrap();
    let answers = client.batch_request::<Value>(batch).await.unwrap();
    assert_eq!(answers.num_successful_calls(), 2);

    let call = |id: u32, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] });
    let answer = post(&chain, &call(1, "system_name")).await;
    assert!(answer.contains("Violet devchain"), "{answer}");
    let answer = post(
        &chain,
        &json!([
            call(1, "system_name"),
            call(2, "no_such"),
            call(3, "chain_getHead")
        ]),
    )
    .await;
    let answers: Vec<Value> = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(answers[0]["result"], json!("Violet devchain"));
    assert_eq!(answers[1]["error"]["code"], json!(-32601));
    assert_eq!(answers[2]["result"], json!(hex0x(chain.best().hash)));
}
