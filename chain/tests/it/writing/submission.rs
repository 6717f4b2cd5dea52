//! The way of an extrinsic into a final block, with trouble on it.

use std::time::Duration;

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::Value;
use tokio::task::JoinSet;
use violet_chain::{Client, Refuser, WeightsSet, WriteError};
use violet_devchain::DevChain;

use super::{PATIENCE, VALIDATOR, eventually, start, stored, validator, weights};
use crate::gateway::Gateway;

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
