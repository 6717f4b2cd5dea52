//! Chains that are saved and go on, and chains that are the same each time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use serde_json::{Value, json};
use violet_devchain::{DevChain, Error, Genesis, Options, SPEC_VERSION, SavedError, spawn};

use crate::{UNIT, ask, connect, hex0x, key, snapshot, subnetwork_n};

/// A directory that is removed with its files.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("violet-devchain-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        Self(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn started(seed: Option<u64>, saved: Option<&Path>) -> Result<DevChain, Error> {
    let options = Options {
        block_time: Some(Duration::ZERO),
        seed,
        saved: saved.map(Path::to_owned),
        ..Options::default()
    };
    spawn(Genesis::default(), options).await
}

#[tokio::test]
async fn a_saved_chain_goes_on_and_may_be_forked() {
    let place = Place::new("goes-on");
    let file = place.0.join("chain");
    let chain = started(None, None).await.unwrap();
    chain.register(1, key("//New"), key("//New//cold")).unwrap();
    chain.set_stake(1, key("//New"), 5 * UNIT, 0).unwrap();
    chain.upgrade_runtime(SPEC_VERSION + 1, [""; 0]).unwrap();
    chain.stall_finality(true);
    chain.advance(2).unwrap();
    let (genesis, best, last) = (chain.genesis_hash(), chain.best(), chain.finalized());
    chain.save(&file).unwrap();
    chain.shutdown().await;

    let one = started(None, Some(&file)).await.unwrap();
    assert_eq!(
        (one.genesis_hash(), one.best(), one.finalized()),
        (genesis, best, last)
    );
    let client = connect(&one).await;
    let graph = snapshot(&client, None).await;
    assert_eq!(graph.total_stake.unwrap()[8], 5 * UNIT);
    let version = ask(&client, "state_getRuntimeVersion", rpc_params![]).await;
    assert_eq!(version["specVersion"], json!(SPEC_VERSION + 1));
    let block = ask(&client, "chain_getBlock", rpc_params![hex0x(last.hash)]).await;
    assert_eq!(block["block"]["extrinsics"].as_array().unwrap().len(), 1);
    // Its blocks are there, of its states the newest.
    let old = client
        .request::<Value, _>("state_getStorage", rpc_params![subnetwork_n(), hex0x(last.hash)])
        .await
        .unwrap_err();
    assert!(old.to_string().contains("State already discarded"), "{old}");

    // Another goes its own way from there.
    let other = started(None, Some(&file)).await.unwrap();
    other.set_stake(1, key("//New"), 6 * UNIT, 0).unwrap();
    assert_eq!(one.advance(1).unwrap().number, best.number + 1);
    assert_eq!((one.finalized(), other.finalized()), (one.best(), other.best()));
    assert_ne!(one.best().hash, other.best().hash);
    assert_eq!(snapshot(&client, None).await.total_stake.unwrap()[8], 5 * UNIT);
}

#[tokio::test]
async fn a_file_that_is_no_saved_chain_is_refused() {
    let place = Place::new("refused");
    let file = place.0.join("chain");
    let refused = async || match started(None, Some(&file)).await.err().unwrap() {
        Error::Saved(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(refused().await, SavedError::File { .. }));
    let chain = started(None, None).await.unwrap();
    chain.advance(3).unwrap();
    chain.save(&file).unwrap();
    let good = std::fs::read(&file).unwrap();
    assert!(started(None, Some(&file)).await.is_ok());

    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert!(matches!(refused().await, SavedError::NotAChain(_)));
    std::fs::write(&file, b"violet-devchain0").unwrap();
    assert!(matches!(refused().await, SavedError::NotAChain(_)));
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    // The last byte is of the last value; the 18th of the genesis' parent hash, after magic and count.
    changed(good.len() - 1);
    assert!(matches!(refused().await, SavedError::Damaged(_)));
    changed(18);
    assert!(matches!(refused().await, SavedError::Damaged(_)));
    let name = b":violet:metadata_hash";
    let at = good
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    // After the key comes the length of the hash, in one byte.
    changed(at + name.len() + 1);
    assert!(matches!(refused().await, SavedError::OtherRuntime));

    let nowhere = chain.save(&place.0.join("no/such/place")).unwrap_err();
    assert!(
        matches!(nowhere, Error::Saved(SavedError::File { .. })),
        "{nowhere}"
    );
}

#[tokio::test]
async fn the_same_seed_and_calls_make_the_same_blocks() {
    let play = async |seed: Option<u64>| {
        let chain = started(seed, None).await.unwrap();
        chain.advance(2).unwrap();
        let id = chain.snapshot();
        chain.set_permit(1, 0, true).unwrap();
        chain.stall_finality(true);
        chain.advance(3).unwrap();
        chain.reorganize(2).unwrap();
        let first = chain.best();
        chain.revert(id).unwrap();
        chain.set_permit(1, 0, true).unwrap();
        (chain.genesis_hash(), first, chain.best())
    };
    let (one, same, other) = (play(Some(5)).await, play(Some(5)).await, play(Some(6)).await);
    assert_eq!(one, same);
    assert_ne!(one.0, other.0, "a seed has its own genesis");
    let (clock, later) = (play(None).await, play(None).await);
    assert_eq!(clock.0, later.0);
    assert_ne!(clock.1, later.1, "without a seed the time is that of the clock");
}
