//! Registration and weights over the wire, and the epochs they lead to.

use std::time::Duration;

use codec::{Decode, Encode as _};
use jsonrpsee::rpc_params;
use sp_core::{Pair as _, sr25519};
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::tx::{DynamicPayload, Payload};
use subxt::utils::{AccountId32, MultiSignature};
use subxt::{OnlineClient, SubstrateConfig, dynamic};
use violet_devchain::{CheatError, DevChain, Error, Genesis, Options, spawn};

use crate::{ask, bytes, connect, hex0x, item, key, manual};

struct Signer(sr25519::Pair);

impl subxt::tx::Signer<SubstrateConfig> for Signer {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.public().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload).0)
    }
}

/// The development network with or without epochs, a block made every few milliseconds.
async fn quick(epochs: bool) -> DevChain {
    let genesis = Genesis {
        epochs,
        ..Genesis::default()
    };
    let options = Options {
        block_time: Some(Duration::from_millis(20)),
        ..Options::default()
    };
    spawn(genesis, options).await.unwrap()
}

type Vote = DynamicPayload<(u16, Vec<u16>, Vec<u16>, u64)>;

fn set_weights(uids: &[u16], values: &[u16]) -> Vote {
    let arguments = (1, uids.to_vec(), values.to_vec(), 0);
    dynamic::transaction("SubtensorModule", "set_weights", arguments)
}

/// Sends a call and waits until it is final; the error if it failed, and the names of its events if not.
async fn send(chain: &DevChain, uri: &str, call: &impl Payload) -> Result<Vec<String>, String> {
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.ws_url())
        .await
        .unwrap();
    let signer = Signer(sr25519::Pair::from_string(uri, None).unwrap());
    let params = DefaultExtrinsicParamsBuilder::new().immortal().build();
    let mut client = api.tx().await.unwrap();
    let submitted = client.sign_and_submit_then_watch(call, &signer, params).await;
    let events = submitted.unwrap().wait_for_finalized_success().await;
    let events = events.map_err(|error| error.to_string())?;
    Ok(events
        .iter()
        .map(|event| event.unwrap().event_name().to_owned())
        .collect())
}

/// The value of a map of subnet 1, the hashed keys given.
async fn stored<T: Decode>(chain: &DevChain, name: &str, keys: &[u8]) -> T {
    let client = connect(chain).await;
    let key = hex0x([&item(name), keys].concat());
    let value = ask(&client, "state_getStorage", rpc_params![key]).await;
    T::decode(&mut bytes(&value).as_slice()).unwrap()
}

fn subnet() -> Vec<u8> {
    1u16.encode()
}

#[tokio::test]
async fn signed_weights_become_incentives() {
    let chain = quick(true).await;
    for uri in ["//Validator1", "//Validator2", "//Validator3"] {
        let events = send(&chain, uri, &set_weights(&[0, 2], &[1, 3])).await.unwrap();
        assert!(events.contains(&"WeightsSet".to_owned()), "{events:?}");
    }
    let row: Vec<(u16, u16)> = stored(&chain, "Weights", &(1u16, 4u16).encode()).await;
    assert_eq!(row, [(0, 21_845), (2, 65_535)]);
    let voted = chain.best().number;
    while chain.best().number < voted + 11 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let incentive: Vec<u16> = stored(&chain, "Incentive", &subnet()).await;
    assert_eq!(incentive, [16_383, 0, 49_151, 0, 0, 0, 0, 0]);
    let dividends: Vec<u16> = stored(&chain, "Dividends", &subnet()).await;
    assert!(dividends[4] > dividends[5] && dividends[5] > dividends[6] && dividends[6] > 0);
}

#[tokio::test]
async fn a_hotkey_is_registered_by_its_coldkey() {
    let chain = quick(false).await;
    let register = |uri| {
        let arguments = (1u16, AccountId32(key(uri)));
        dynamic::transaction("SubtensorModule", "burned_register", arguments)
    };
    let events = send(&chain, "//Mallory", &register("//New")).await.unwrap();
    assert!(events.contains(&"NeuronRegistered".to_owned()), "{events:?}");
    assert_eq!(stored::<u16>(&chain, "SubnetworkN", &subnet()).await, 9);
    let hotkey: [u8; 32] = stored(&chain, "Keys", &(1u16, 8u16).encode()).await;
    assert_eq!(hotkey, key("//New"));
    let error = send(&chain, "//Mallory", &register("//New")).await;
    assert!(error.is_err_and(|error| error.contains("HotKeyAlreadyRegisteredInSubNet")));
}

#[tokio::test]
async fn weights_are_refused_by_name() {
    let chain = quick(false).await;
    // However slow this machine is, the limit is not over.
    let rate_limit = [item("WeightsSetRateLimit"), subnet()].concat();
    chain.set_storage(&rate_limit, Some(&u64::MAX.encode())).unwrap();
    let error = send(&chain, "//Miner2", &set_weights(&[0], &[1])).await;
    assert!(error.is_err_and(|error| error.contains("NeuronNoValidatorPermit")));
    let error = send(&chain, "//Mallory", &set_weights(&[0], &[1])).await;
    assert!(error.is_err_and(|error| error.contains("HotKeyNotRegisteredInSubNet")));
    send(&chain, "//Validator1", &set_weights(&[0], &[1]))
        .await
        .unwrap();
    let error = send(&chain, "//Validator1", &set_weights(&[0], &[1])).await;
    assert!(error.is_err_and(|error| error.contains("SettingWeightsTooFast")));
    let commit_reveal = [item("CommitRevealWeightsEnabled"), subnet()].concat();
    chain.set_storage(&commit_reveal, Some(&true.encode())).unwrap();
    let error = send(&chain, "//Validator1", &set_weights(&[0], &[1])).await;
    assert!(error.is_err_and(|error| error.contains("CommitRevealEnabled")));
}

#[tokio::test]
async fn a_commit_is_revealed_an_epoch_later() {
    let chain = quick(false).await;
    let commit_reveal = [item("CommitRevealWeightsEnabled"), subnet()].concat();
    chain.set_storage(&commit_reveal, Some(&true.encode())).unwrap();
    let (uids, values, salt) = (vec![0u16, 1], vec![5u16, 10], vec![1u16, 2, 3]);
    let hotkey = key("//Validator1");
    let hash = sp_core::blake2_256(&(hotkey, 1u16, &uids, &values, &salt, 0u64).encode());
    let commit = dynamic::transaction("SubtensorModule", "commit_weights", (1u16, hash));
    let events = send(&chain, "//Validator1", &commit).await.unwrap();
    assert!(events.contains(&"WeightsCommitted".to_owned()), "{events:?}");
    let reveal = (1u16, uids, values, salt, 0u64);
    let reveal = dynamic::transaction("SubtensorModule", "reveal_weights", reveal);
    let error = send(&chain, "//Validator1", &reveal).await;
    assert!(error.is_err_and(|error| error.contains("RevealTooEarly")));
    chain.run_epoch(1).unwrap();
    let events = send(&chain, "//Validator1", &reveal).await.unwrap();
    assert!(events.contains(&"WeightsRevealed".to_owned()), "{events:?}");
    let row: Vec<(u16, u16)> = stored(&chain, "Weights", &(1u16, 4u16).encode()).await;
    assert_eq!(row, [(0, 32_768), (1, 65_535)]);
}

#[tokio::test]
async fn an_epoch_runs_when_asked() {
    let chain = manual().await;
    chain.advance(30).unwrap();
    let incentive: Vec<u16> = stored(&chain, "Incentive", &subnet()).await;
    assert_eq!(incentive, [0; 8], "no epoch runs unasked");
    for uid in 4..=6 {
        chain.set_weights(1, 0, uid, &[(3, 7)]).unwrap();
    }
    chain.run_epoch(1).unwrap();
    let incentive: Vec<u16> = stored(&chain, "Incentive", &subnet()).await;
    assert_eq!(incentive, [0, 0, 0, 65_535, 0, 0, 0, 0]);

    chain.set_epochs(true).unwrap();
    let epochs: u64 = stored(&chain, "SubnetEpochIndex", &subnet()).await;
    chain.advance(10).unwrap();
    let later: u64 = stored(&chain, "SubnetEpochIndex", &subnet()).await;
    assert_eq!((epochs, later), (1, 2));
    chain.set_epochs(false).unwrap();
    chain.advance(30).unwrap();
    assert_eq!(stored::<u64>(&chain, "SubnetEpochIndex", &subnet()).await, 2);
}

#[tokio::test]
async fn weights_that_cannot_be_make_no_block() {
    let chain = manual().await;
    let refused = |result: Result<(), Error>| match result.unwrap_err() {
        Error::Cheat(error) => error,
        other => panic!("{other}"),
    };
    let unknown = |uid| CheatError::UnknownUid { netuid: 1, uid };
    assert_eq!(refused(chain.set_weights(1, 0, 8, &[])), unknown(8));
    assert_eq!(refused(chain.set_weights(1, 0, 0, &[(9, 1)])), unknown(9));
    assert_eq!(
        refused(chain.set_weights(1, 1, 0, &[])),
        CheatError::UnknownMechanism {
            netuid: 1,
            mechanism: 1
        }
    );
    assert_eq!(refused(chain.run_epoch(9)), CheatError::UnknownSubnet(9));
    assert_eq!(chain.best().number, 0);
}
