//! The way of an extrinsic into a final block, with trouble on it.

use std::time::Duration;

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::Value;
use tokio::task::JoinSet;
use violet_chain::{Client, Error, Refuser, WeightsSet, WriteError};
use violet_devchain::{DevChain, Extension};

use super::{NETUID, PATIENCE, VALIDATOR, eventually, start, stored, validator, weights};
use crate::gateway::{Fault, Gateway};
use crate::harness::state::{remark, rival, transfer_to};

const SUBMIT: &str = "author_submitAndWatchExtrinsic";

/// A chain that makes a block when asked, a gateway to it, and weights on their way through that.
struct Way {
    chain: DevChain,
    gateway: Gateway,
    client: Client,
    node: WsClient,
    setting: JoinSet<Result<WeightsSet, WriteError>>,
}

impl Way {
    async fn new() -> Self {
        let (chain, _) = start(Duration::ZERO).await;
        let gateway = Gateway::to(&chain).await;
        let client = Client::connect(&[gateway.url()]).await.unwrap();
        let node = WsClientBuilder::default().build(chain.ws_url()).await.unwrap();
        let setting = JoinSet::new();
        Self {
            chain,
            gateway,
            client,
            node,
            setting,
        }
    }

    fn set_weights(&mut self) {
        let client = self.client.clone();
        self.setting
            .spawn(async move { client.set_weights(&validator(), &weights(&[(0, 1.0)])).await });
    }

    async fn is_waiting(&self) {
        eventually("the extrinsic waits in the pool", async || {
            let pending: Vec<Value> = self.request("author_pendingExtrinsics").await;
            pending.len() == 1
        })
        .await;
    }

    async fn request<T: serde::de::DeserializeOwned>(&self, method: &str) -> T {
        self.node.request(method, rpc_params![]).await.unwrap()
    }

    async fn done(&mut self) -> Result<WeightsSet, WriteError> {
        let done = tokio::time::timeout(PATIENCE, self.setting.join_next()).await;
        done.expect("it comes to an end").unwrap().unwrap()
    }

    /// How many extrinsics of the validator are in blocks.
    async fn nonce(&self) -> u32 {
        let account = validator().hotkey().to_string();
        self.node
            .request("system_accountNextIndex", rpc_params![account])
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn what_the_pool_drops_is_sent_anew() {
    let mut way = Way::new().await;
    let before = way.chain.snapshot();
    way.set_weights();
    way.is_waiting().await;
    // The pool forgets it.
    way.chain.revert(before).unwrap();
    way.is_waiting().await;
    assert!(way.gateway.calls(SUBMIT) >= 2);
    way.chain.advance(1).unwrap();
    let set = way.done().await.unwrap();
    assert!(matches!(set, WeightsSet::Plain { .. }), "{set:?}");
    assert_eq!(stored(&way.client, 0, VALIDATOR).await, [(0, 65_535)]);
    assert_eq!(way.nonce().await, 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_meanwhile_costs_nothing() {
    for included_meanwhile in [false, true] {
        let mut way = Way::new().await;
        way.set_weights();
        way.is_waiting().await;
        let connections = way.gateway.tries();
        way.chain.drop_connections();
        way.node = WsClientBuilder::default()
            .build(way.chain.ws_url())
            .await
            .unwrap();
        if !included_meanwhile {
            eventually("it is connected again", async || {
                way.gateway.tries() > connections
            })
            .await;
        }
        way.chain.advance(1).unwrap();
        let set = way.done().await.unwrap();
        assert!(matches!(set, WeightsSet::Plain { .. }), "{set:?}");
        way.chain.advance(2).unwrap();
        assert_eq!(way.nonce().await, 1, "it was included once");
    }
}

/// The request gets lost, or its answer does: which of both is not known here, and the nonce decides.
#[tokio::test]
async fn a_connection_that_is_cut_at_the_submission_costs_nothing() {
    for passed_on in [false, true] {
        let mut way = Way::new().await;
        way.gateway.set(Fault::CutAt {
            method: SUBMIT,
            passed_on,
        });
        way.set_weights();
        eventually("it was cut", async || way.gateway.calls(SUBMIT) > 0).await;
        way.gateway.set(Fault::None);
        // Sent again if it has not arrived, and once at most.
        way.is_waiting().await;
        way.chain.advance(1).unwrap();
        let set = way.done().await.unwrap();
        assert!(matches!(set, WeightsSet::Plain { .. }), "{set:?}");
        way.chain.advance(2).unwrap();
        assert_eq!(way.nonce().await, 1, "it was included once");
        assert_eq!(stored(&way.client, 0, VALIDATOR).await, [(0, 65_535)]);
    }
}

/// Somebody else with the same key was quicker, or offers the node more.
#[tokio::test]
async fn one_that_another_takes_the_place_of_is_signed_anew() {
    let mut way = Way::new().await;
    // A tip takes money.
    rival(&way.chain, "//Alice", 0, 0, &transfer_to("//Validator1"))
        .await
        .unwrap();
    way.chain.advance(1).unwrap();
    way.set_weights();
    way.is_waiting().await;
    let first: Vec<String> = way.request("author_pendingExtrinsics").await;
    rival(&way.chain, "//Validator1", 0, 1_000, &remark())
        .await
        .unwrap();
    let second: Vec<String> = way.request("author_pendingExtrinsics").await;
    assert_eq!(second.len(), 1);
    assert_ne!(first, second, "it has the place of the other");
    way.chain.advance(1).unwrap();
    assert_eq!(way.nonce().await, 1);
    assert_eq!(stored(&way.client, 0, VALIDATOR).await, []);
    way.is_waiting().await;
    way.chain.advance(1).unwrap();
    let set = way.done().await.unwrap();
    assert!(matches!(set, WeightsSet::Plain { .. }), "{set:?}");
    assert_eq!(stored(&way.client, 0, VALIDATOR).await, [(0, 65_535)]);
    assert_eq!(way.nonce().await, 2);
}

#[tokio::test]
async fn an_extension_that_is_unknown_is_left_out_if_it_carries_nothing() {
    let mut way = Way::new().await;
    way.chain.add_extension(9_999, Extension::Empty).unwrap();
    way.set_weights();
    way.is_waiting().await;
    way.chain.advance(1).unwrap();
    way.done().await.unwrap();
    assert_eq!(stored(&way.client, 0, VALIDATOR).await, [(0, 65_535)]);

    way.chain.set_weight_rules(1, false, 0).unwrap();
    way.chain.add_extension(10_000, Extension::Data).unwrap();
    let sent = way.gateway.calls(SUBMIT);
    way.set_weights();
    let error = way.done().await.unwrap_err();
    let WriteError::Chain(Error::Extension { name, spec_version }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((name.as_str(), *spec_version), ("ChargeSomething", 10_000));
    assert_eq!(way.gateway.calls(SUBMIT), sent, "nothing was sent");
    // Nothing is wrong with reading.
    let head = way.client.finalized().await.unwrap();
    way.client.snapshot(NETUID, head).await.unwrap();
}

#[tokio::test]
async fn it_is_not_done_before_it_is_final() {
    let mut way = Way::new().await;
    way.chain.stall_finality(true);
    way.set_weights();
    way.is_waiting().await;
    way.chain.advance(1).unwrap();
    // Another chain of blocks takes it back, and it waits again.
    way.chain.reorganize(1).unwrap();
    way.is_waiting().await;
    assert!(way.setting.try_join_next().is_none());
    let best = way.chain.advance(1).unwrap();
    way.chain.stall_finality(false);
    let set = way.done().await.unwrap();
    let WeightsSet::Plain { block } = set else {
        panic!("{set:?}")
    };
    assert_eq!(block.hash.0, best.hash);
}

#[tokio::test]
async fn what_a_block_refuses_has_the_chains_name() {
    let mut way = Way::new().await;
    way.set_weights();
    way.is_waiting().await;
    // The change comes before it in the same block.
    way.chain.set_stake_threshold(u64::MAX).unwrap();
    let error = way.done().await.unwrap_err();
    assert_eq!(error.refusal(), Some("NotEnoughStakeToSetWeights"), "{error}");
    assert!(
        matches!(
            error,
            WriteError::Refused {
                by: Refuser::Block,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn it_is_signed_anew_when_the_runtime_changes_meanwhile() {
    let mut way = Way::new().await;
    way.set_weights();
    way.is_waiting().await;
    // The block of the upgrade takes nothing that was signed for the runtime before.
    way.chain.upgrade_runtime(9_999, [] as [&str; 0]).unwrap();
    assert_eq!(way.nonce().await, 0);
    way.is_waiting().await;
    way.chain.advance(1).unwrap();
    way.done().await.unwrap();
    assert_eq!(stored(&way.client, 0, VALIDATOR).await, [(0, 65_535)]);
}
