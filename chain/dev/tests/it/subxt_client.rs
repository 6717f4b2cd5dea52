//! The client everybody uses: subxt connects, reads, follows and submits.

use std::time::Duration;

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use scale_decode::DecodeAsType;
use sp_core::{Pair as _, sr25519};
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::utils::{AccountId32, MultiSignature};
use subxt::{OnlineClient, SubstrateConfig, dynamic};
use violet_devchain::{DevChain, Genesis, Options, spawn};

use crate::{UNIT, ask, connect, hex0x, key, manual};

/// What we want of a metagraph; subxt finds it by name.
#[derive(Debug, DecodeAsType)]
struct Graph {
    netuid: u16,
    block: Option<u64>,
    tempo: Option<u16>,
    owner_coldkey: Option<AccountId32>,
    hotkeys: Option<Vec<AccountId32>>,
    coldkeys: Option<Vec<AccountId32>>,
    axons: Option<Vec<Axon>>,
    validator_permit: Option<Vec<bool>>,
    alpha_stake: Option<Vec<u64>>,
    tao_stake: Option<Vec<u64>>,
    commit_reveal_weights_enabled: Option<bool>,
}

#[derive(Debug, PartialEq, DecodeAsType)]
struct Axon {
    ip: u128,
    port: u16,
}

pub(crate) struct Signer(sr25519::Pair);

impl subxt::tx::Signer<SubstrateConfig> for Signer {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.public().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload).0)
    }
}

pub(crate) fn signer(uri: &str) -> Signer {
    Signer(sr25519::Pair::from_string(uri, None).unwrap())
}

pub(crate) async fn client(chain: &DevChain) -> OnlineClient<SubstrateConfig> {
    OnlineClient::from_insecure_url(chain.ws_url()).await.unwrap()
}

/// A chain that makes a block every few milliseconds, so that a submitted extrinsic becomes final.
async fn quick() -> DevChain {
    spawn(
        Genesis::default(),
        Options {
            port: 0,
            block_time: Some(Duration::from_millis(20)),
            ..Options::default()
        },
    )
    .await
    .unwrap()
}

/// Netuid, version, ip, port, kind of ip, protocol and two placeholders.
pub(crate) type ServeAxon = subxt::tx::DynamicPayload<(u16, u32, u128, u16, u8, u8, u8, u8)>;

pub(crate) fn serve_axon(ip: u128, port: u16) -> ServeAxon {
    dynamic::transaction("SubtensorModule", "serve_axon", (1, 1, ip, port, 4, 4, 0, 0))
}

#[tokio::test]
async fn reads_storage_and_the_metagraph() {
    let chain = manual().await;
    chain.advance(4).unwrap();
    let at = client(&chain).await.at_current_block().await.unwrap();
    assert_eq!((at.block_number(), at.spec_version()), (4, 461));
    assert_eq!(at.block_hash().0, chain.finalized().hash);

    let n = dynamic::storage::<(u16,), u16>("SubtensorModule", "SubnetworkN");
    assert_eq!(at.storage().fetch(n, (1u16,)).await.unwrap().decode().unwrap(), 8);
    let keys = dynamic::storage::<(u16, u16), AccountId32>("SubtensorModule", "Keys");
    let mut keys = at.storage().iter(keys, (1u16,)).await.unwrap();
    let mut found = 0;
    while let Some(entry) = keys.next().await {
        let entry = entry.unwrap();
        assert_eq!(entry.key().unwrap().decode().unwrap(), (1, found));
        found += 1;
    }
    assert_eq!(found, 8);

    let wanted: Vec<u16> = vec![0, 6, 7, 8, 46, 52, 53, 55, 57, 67, 68];
    let call = dynamic::runtime_api_call::<_, Option<Graph>>(
        "SubnetInfoRuntimeApi",
        "get_selective_metagraph",
        (1u16, wanted),
    );
    let graph = at.runtime_apis().call(call).await.unwrap().unwrap();
    assert_eq!((graph.netuid, graph.block, graph.tempo), (1, Some(4), Some(10)));
    assert_eq!(graph.owner_coldkey, Some(AccountId32(key("//Owner"))));
    assert_eq!(graph.hotkeys.unwrap()[6], AccountId32(key("//Validator3")));
    assert_eq!(graph.coldkeys.unwrap()[6], AccountId32(key("//Validator3//cold")));
    assert_eq!(graph.axons.unwrap()[0], Axon { ip: 0, port: 0 });
    assert_eq!(
        graph
            .validator_permit
            .unwrap()
            .iter()
            .filter(|permit| **permit)
            .count(),
        3
    );
    assert_eq!(graph.alpha_stake.unwrap()[6], 20_000 * UNIT);
    assert_eq!(graph.tao_stake.unwrap()[6], 5_000 * UNIT);
    assert_eq!(graph.commit_reveal_weights_enabled, Some(false));
}

#[tokio::test]
async fn follows_final_blocks() {
    let chain = manual().await;
    let api = client(&chain).await;
    let mut blocks = api.stream_blocks().await.unwrap();
    chain.advance(3).unwrap();
    let mut last = None;
    while last != Some(3) {
        let number = blocks.next().await.unwrap().unwrap().number();
        assert!(last.is_none_or(|last| number == last + 1));
        last = Some(number);
    }
}

#[tokio::test]
async fn a_hotkey_serves_its_axon() {
    let chain = quick().await;
    let api = client(&chain).await;
    let tx = serve_axon(0x7f00_0002, 8_091);
    let events = api
        .tx()
        .await
        .unwrap()
        .sign_and_submit_then_watch_default(&tx, &signer("//Miner2"))
        .await
        .unwrap()
        .wait_for_finalized_success()
        .await
        .unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.unwrap().event_name() == "AxonServed")
    );
    let at = api.at_current_block().await.unwrap();
    let axons = dynamic::storage::<(u16, AccountId32), Axon>("SubtensorModule", "Axons");
    let axon = at
        .storage()
        .fetch(axons, (1u16, AccountId32(key("//Miner2"))))
        .await
        .unwrap();
    assert_eq!(
        axon.decode().unwrap(),
        Axon {
            ip: 0x7f00_0002,
            port: 8_091
        }
    );
}

#[tokio::test]
async fn serve_axon_is_refused_as_on_the_chain() {
    let chain = quick().await;
    let api = client(&chain).await;
    let refused = async |uri: &str, ip: u128, port: u16| {
        let params = DefaultExtrinsicParamsBuilder::new().mortal(64).build();
        let progress = api.tx().await.unwrap();
        let mut progress = progress;
        let submitted = progress
            .sign_and_submit_then_watch(&serve_axon(ip, port), &signer(uri), params)
            .await;
        let error = submitted
            .unwrap()
            .wait_for_finalized_success()
            .await
            .err()
            .map(|error| error.to_string());
        error.unwrap_or_default()
    };
    let error = refused("//Miner1", 0x7f00_0001, 80).await;
    assert!(error.contains("InvalidIpAddress"), "{error}");
    let error = refused("//Miner1", 1, 0).await;
    assert!(error.contains("InvalidPort"), "{error}");
    let error = refused("//Mallory", 1, 80).await;
    assert!(error.contains("HotKeyNotRegisteredInNetwork"), "{error}");
    assert_eq!(refused("//Miner1", 1, 80).await, "");
    let error = refused("//Miner1", 1, 80).await;
    assert!(error.contains("ServingRateLimitExceeded"), "{error}");
}

#[tokio::test]
async fn sudo_and_batches_are_stock() {
    let chain = quick().await;
    let api = client(&chain).await;
    let key: Vec<u8> = crate::item("StakeThreshold");
    let set_storage = dynamic::transaction(
        "System",
        "set_storage",
        (vec![(key, 77u64.to_le_bytes().to_vec())],),
    );
    let data = api.tx().await.unwrap().call_data(&set_storage).unwrap();
    // `Sudo.sudo` and `Utility.batch_all` hold a call as its bytes.
    let call = [vec![12, 0], data].concat();
    let call = api.tx().await.unwrap().from_call_data_bytes(&call).unwrap();
    let mut client = api.tx().await.unwrap();
    let events = client
        .sign_and_submit_then_watch_default(&call, &signer("//Alice"))
        .await
        .unwrap();
    events.wait_for_finalized_success().await.unwrap();
    let at = api.at_current_block().await.unwrap();
    let threshold = dynamic::storage::<(), u64>("SubtensorModule", "StakeThreshold");
    assert_eq!(
        at.storage().fetch(threshold, ()).await.unwrap().decode().unwrap(),
        77
    );

    let mut client = api.tx().await.unwrap();
    let refused = client
        .sign_and_submit_then_watch_default(&call, &signer("//Mallory"))
        .await
        .unwrap();
    let refused = refused
        .wait_for_finalized_success()
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("RequireSudo"), "{refused}");

    // Of a batch that fails, nothing stays.
    let good = api.tx().await.unwrap().call_data(&serve_axon(1, 80)).unwrap();
    let bad = api.tx().await.unwrap().call_data(&serve_axon(1, 0)).unwrap();
    let batch = [vec![11, 2, 2 << 2], good, bad].concat();
    let batch = api.tx().await.unwrap().from_call_data_bytes(&batch).unwrap();
    let mut client = api.tx().await.unwrap();
    let failed = client
        .sign_and_submit_then_watch_default(&batch, &signer("//Miner1"))
        .await
        .unwrap();
    let failed = failed
        .wait_for_finalized_success()
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(failed.contains("InvalidPort"), "{failed}");
    let at = api.at_current_block().await.unwrap();
    let axons = dynamic::storage::<(u16, AccountId32), Axon>("SubtensorModule", "Axons");
    let axon = at
        .storage()
        .try_fetch(axons, (1u16, AccountId32(crate::key("//Miner1"))))
        .await
        .unwrap();
    assert!(axon.is_none());
}

#[tokio::test]
async fn nonces_may_come_in_any_order() {
    let chain = manual().await;
    let api = client(&chain).await;
    let mallory = signer("//Mallory");
    let rpc = connect(&chain).await;
    let address = sp_core::crypto::Ss58Codec::to_ss58check(&mallory.0.public());
    for nonce in [1, 0] {
        let remark = dynamic::transaction("System", "remark", (vec![7u8],));
        let params = DefaultExtrinsicParamsBuilder::new()
            .immortal()
            .nonce(nonce)
            .build();
        let signed = api
            .tx()
            .await
            .unwrap()
            .create_signed(&remark, &mallory, params)
            .await
            .unwrap();
        let submit = rpc_params![hex0x(signed.encoded())];
        ask(&rpc, "author_submitExtrinsic", submit.clone()).await;
        let again = rpc
            .request::<serde_json::Value, _>("author_submitExtrinsic", submit)
            .await
            .unwrap_err();
        assert!(again.to_string().contains("Already Imported"), "{again}");
    }
    let pending = ask(&rpc, "author_pendingExtrinsics", rpc_params![]).await;
    assert_eq!(pending.as_array().unwrap().len(), 2);
    assert_eq!(
        ask(&rpc, "account_nextIndex", rpc_params![&address]).await,
        serde_json::json!(2)
    );
    chain.advance(1).unwrap();
    let block = ask(&rpc, "chain_getBlock", rpc_params![]).await;
    assert_eq!(block["block"]["extrinsics"].as_array().unwrap().len(), 3);
    assert_eq!(
        ask(&rpc, "account_nextIndex", rpc_params![&address]).await,
        serde_json::json!(2)
    );
    let remark = dynamic::transaction("System", "remark", (vec![7u8],));
    let params = DefaultExtrinsicParamsBuilder::new().immortal().nonce(0).build();
    let mut client = api.tx().await.unwrap();
    let stale = client.create_signed(&remark, &mallory, params).await.unwrap();
    let stale =
        rpc.request::<serde_json::Value, _>("author_submitExtrinsic", rpc_params![hex0x(stale.encoded())]);
    let stale = stale.await.unwrap_err().to_string();
    assert!(stale.contains("1010") && stale.contains("outdated"), "{stale}");
}
