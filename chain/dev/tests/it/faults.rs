//! What a bad node does: it turns clients away, forgets states, and lies.

use std::time::Duration;

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::{Value, json};
use violet_devchain::Refusal;

use crate::{ask, connect, eventually, hex0x, manual, post, subnetwork_n};

#[tokio::test]
async fn clients_are_refused_by_http_status() {
    let chain = manual().await;
    let open = connect(&chain).await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "system_name" });
    for status in [403u16, 429] {
        chain.refuse_with(Some(Refusal::Http(status)));
        let handshake = WsClientBuilder::default()
            .build(chain.ws_url())
            .await
            .unwrap_err();
        assert!(
            format!("{handshake:?}").contains(&status.to_string()),
            "{handshake:?}"
        );
        let answer = post(&chain, &call).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    tokio::time::timeout(Duration::from_secs(60), open.on_disconnect())
        .await
        .unwrap();
    chain.refuse_with(None);
    assert!(post(&chain, &call).await.starts_with("HTTP/1.1 200 "));
    connect(&chain).await;
}

#[tokio::test]
async fn calls_and_subscriptions_are_refused_by_policy() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let asked = ask(
        &client,
        "dev_refuse",
        rpc_params![json!({ "error": -32_005 }), 60_000],
    )
    .await;
    assert_eq!(asked, Value::Null, "it is answered before it is so");
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    let client = connect(&chain).await;
    for method in ["system_name", "chain_subscribeNewHeads", "dev_advance"] {
        let refused = client
            .request::<Value, _>(method, rpc_params![])
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("-32005"), "{method}: {refused}");
    }
    chain.refuse_with(None);
    assert_eq!(chain.best().number, 0);
    eventually(async || {
        let client = connect(&chain).await;
        client
            .request::<Value, _>("system_name", rpc_params![])
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_refusal_by_call_ends_by_itself() {
    let chain = manual().await;
    let client = connect(&chain).await;
    ask(&client, "dev_refuse", rpc_params!["close", 200]).await;
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    assert!(WsClientBuilder::default().build(chain.ws_url()).await.is_err());
    eventually(async || WsClientBuilder::default().build(chain.ws_url()).await.is_ok()).await;
}

#[tokio::test]
async fn states_are_pruned_on_demand() {
    let chain = manual().await;
    let client = connect(&chain).await;
    chain.advance(20).unwrap();
    chain.prune_states(4);
    let read = async |number: u32| {
        let hash = ask(&client, "chain_getBlockHash", rpc_params![number]).await;
        let read = client.request::<Value, _>("state_getStorage", rpc_params![subnetwork_n(), &hash]);
        read.await.map_err(|error| (error.to_string(), hash))
    };
    assert_eq!(read(16).await, Ok(json!("0x0800")));
    let (error, hash) = read(15).await.unwrap_err();
    let expected = format!("State already discarded for {}", hash.as_str().unwrap());
    assert!(error.contains("4003") && error.contains(&expected), "{error}");
    // One block more, one state less.
    ask(&client, "dev_advance", rpc_params![]).await;
    assert!(read(16).await.is_err());
    assert!(read(17).await.is_ok());
}

#[tokio::test]
async fn it_lies_about_its_genesis() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let (truth, lie) = (json!(hex0x(chain.genesis_hash())), json!(hex0x([7; 32])));
    ask(&client, "dev_claimGenesis", rpc_params![&lie]).await;
    let first = async || ask(&client, "chain_getBlockHash", rpc_params![0]).await;
    assert_eq!(first().await, lie);
    ask(&client, "dev_claimGenesis", rpc_params![Value::Null]).await;
    assert_eq!(first().await, truth);
}

#[tokio::test]
async fn it_refuses_and_forges_proofs() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let give = async |how: &str| ask(&client, "dev_giveProofs", rpc_params![how]).await;
    let proof = async || {
        let keys = [subnetwork_n()];
        let read = client.request::<Value, _>("state_getReadProof", rpc_params![keys]);
        read.await.map(|answer| answer["proof"].clone())
    };
    let honest = proof().await.unwrap();
    give("forged").await;
    let forged = proof().await.unwrap();
    let same = honest.as_array().unwrap().iter().zip(forged.as_array().unwrap());
    assert_eq!(same.filter(|(one, other)| one != other).count(), 1);
    give("refused").await;
    assert!(
        proof()
            .await
            .unwrap_err()
            .to_string()
            .contains("Method not found")
    );
    give("true").await;
    assert_eq!(proof().await.unwrap(), honest);
}

#[tokio::test]
async fn the_block_time_is_set_while_it_runs() {
    let chain = manual().await;
    let client = connect(&chain).await;
    ask(&client, "dev_setBlockTime", rpc_params![10]).await;
    eventually(async || chain.best().number >= 5).await;
    ask(&client, "dev_setBlockTime", rpc_params![0]).await;
    // A block may have been on its way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopped = chain.best();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(chain.best(), stopped);
}
