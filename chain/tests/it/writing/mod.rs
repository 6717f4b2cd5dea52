//! Writing to a real chain over the wire: the checks before, the way into a final block, and what is read back.

mod publishing;
mod submission;
mod weights;

use std::time::{Duration, Instant};

use codec::Encode as _;
use violet_chain::{BlockRef, Client, CryptoType, Keypair, NetUid, Uid, Weights, WriteError};
use violet_devchain::{DevChain, Genesis, Options};

use crate::harness::state::{key, of_subnet};

const PATIENCE: Duration = Duration::from_secs(120);
const NETUID: NetUid = NetUid(1);
/// Validator 1 of the development network.
const VALIDATOR: Uid = Uid(4);

/// A chain that makes blocks at this pace (zero: when asked), and a client of it.
async fn start(block_time: Duration) -> (DevChain, Client) {
    let options = Options {
        block_time: Some(block_time),
        ..Options::default()
    };
    let chain = violet_devchain::spawn(Genesis::default(), options).await.unwrap();
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    (chain, client)
}

/// One that goes on by itself.
async fn running() -> (DevChain, Client) {
    start(Duration::from_millis(200)).await
}

fn hotkey(uri: &str) -> Keypair {
    Keypair::from_uri(uri, CryptoType::Sr25519).unwrap()
}

fn validator() -> Keypair {
    hotkey("//Validator1")
}

fn weights(scores: &[(u16, f64)]) -> Weights {
    Weights::from_scores(NETUID, scores.iter().map(|(uid, score)| (Uid(*uid), *score)))
}

async fn stored(client: &Client, mechanism: u8, uid: Uid) -> Vec<(u16, u16)> {
    let head = client.finalized().await.unwrap();
    stored_at(client, mechanism, uid, head).await
}

async fn stored_at(client: &Client, mechanism: u8, uid: Uid, block: BlockRef) -> Vec<(u16, u16)> {
    let row = client.weights(NETUID, mechanism, uid, block).await.unwrap();
    row.into_iter().map(|(uid, value)| (uid.0, value)).collect()
}

/// The chain's name of the error.
fn refusal<T: std::fmt::Debug>(written: Result<T, WriteError>) -> String {
    let error = written.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).to_owned()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "it does not come about that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sets a plain value of the subnet.
fn set<T: codec::Encode>(chain: &DevChain, entry: &str, value: T) {
    chain
        .set_storage(&of_subnet(entry, NETUID.0), Some(&value.encode()))
        .unwrap();
}

/// Sets one whose key is hashed by `Twox64Concat`.
fn set_twox<T: codec::Encode>(chain: &DevChain, entry: &str, value: T) {
    let netuid = NETUID.0.encode();
    let hashed = [&sp_core::twox_64(&netuid)[..], &netuid].concat();
    chain
        .set_storage(&key(entry, &hashed), Some(&value.encode()))
        .unwrap();
}
