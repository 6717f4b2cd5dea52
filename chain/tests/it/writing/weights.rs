//! Weights in each of the three ways.

use codec::Encode as _;
use violet_chain::{CryptoType, Keypair, NetUid, Refuser, Uid, Weights, WeightsSet, WeightsWay, WriteError};
use violet_devchain::DevChain;

use super::{
    NETUID, VALIDATOR, eventually, hotkey, refusal, running, set, set_twox, stored, stored_at, validator,
    weights,
};
use crate::gateway::Gateway;
use crate::harness::state::key;

/// The signatures of two rounds of drand's quicknet: 1000 as in the tests of `timelock` 0.3.0 and of subtensor, 123 as
/// in those of `drand-verify` 0.6.2.
const ROUND_1000: &str =
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";
const ROUND_123: &str =
    "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92";

fn pulse(chain: &DevChain, round: u64, signature: &str) {
    chain.pulse(round, &hex::decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn plain_weights_are_the_chains_when_they_are_set() {
    let (chain, client) = running().await;
    let given = weights(&[(0, 0.2), (1, 0.8), (2, 0.0)]);
    let set = client.set_weights(&validator(), &given).await.unwrap();
    let WeightsSet::Plain { block } = set else {
        panic!("{set:?}")
    };
    let expected = [(0, 16_384), (1, 65_535)];
    assert_eq!(stored_at(&client, 0, VALIDATOR, block).await, expected);
    assert_eq!(
        refusal(client.set_weights(&validator(), &given).await),
        "SettingWeightsTooFast"
    );

    // Another mechanism has rows of its own, and a key of another kind signs as well.
    set_twox(&chain, "MechanismCountCurrent", 2_u8);
    let ed25519 = Keypair::from_uri("//Another", CryptoType::Ed25519).unwrap();
    let uid = chain.register(NETUID.0, ed25519.hotkey().0, [9; 32]).unwrap();
    chain
        .set_stake(NETUID.0, ed25519.hotkey().0, 9_000_000_000_000, 0)
        .unwrap();
    chain.set_permit(NETUID.0, uid, true).unwrap();
    let given = weights(&[(3, 1.0)]).on_mechanism(1);
    // Its registration counts as an update.
    chain.set_weight_rules(NETUID.0, false, 0).unwrap();
    client.set_weights(&ed25519, &given).await.unwrap();
    assert_eq!(stored(&client, 1, Uid(uid)).await, [(3, 65_535)]);
    assert_eq!(stored(&client, 0, Uid(uid)).await, []);
}

#[tokio::test]
async fn what_the_chain_would_refuse_is_not_sent() {
    let (chain, _) = running().await;
    let way = Gateway::to(&chain).await;
    let client = violet_chain::Client::connect(&[way.url()]).await.unwrap();
    let one = || weights(&[(0, 1.0)]);
    let many = |count: u16| weights(&(0..count).map(|uid| (uid, 1.0)).collect::<Vec<_>>());
    set(&chain, "WeightsVersionKey", 5_u64);
    set(&chain, "MinAllowedWeights", 3_u16);
    let versioned = |weights: Weights| weights.with_version_key(5);
    for (name, uri, given) in [
        (
            "CanNotSetRootNetworkWeights",
            "//Validator1",
            Weights::from_scores(NetUid(0), [(Uid(0), 1.0)]),
        ),
        (
            "MechanismDoesNotExist",
            "//Validator1",
            Weights::from_scores(NetUid(9), [(Uid(0), 1.0)]),
        ),
        ("MechanismDoesNotExist", "//Validator1", one().on_mechanism(1)),
        ("UidsLengthExceedUidsInSubNet", "//Validator1", many(9)),
        ("HotKeyNotRegisteredInSubNet", "//Mallory", one()),
        ("NotEnoughStakeToSetWeights", "//Miner4", one()),
        (
            "IncorrectWeightVersionKey",
            "//Validator1",
            one().with_version_key(4),
        ),
        ("NeuronNoValidatorPermit", "//Miner3", versioned(many(4))),
        (
            "UidVecContainInvalidOne",
            "//Validator1",
            versioned(weights(&[(8, 1.0)])),
        ),
        ("WeightVecLengthIsLow", "//Validator1", versioned(many(2))),
    ] {
        let error = client.set_weights(&hotkey(uri), &given).await.unwrap_err();
        assert_eq!(error.refusal(), Some(name), "{error}");
        assert!(
            matches!(
                error,
                WriteError::Refused {
                    by: Refuser::Check,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert_eq!(way.calls("author_submitAndWatchExtrinsic"), 0);
    // What is just enough is taken: three of three, a weight on oneself alone, and one filled up with zeros.
    client
        .set_weights(&validator(), &versioned(many(3)))
        .await
        .unwrap();
    client
        .set_weights(&hotkey("//Miner3"), &versioned(weights(&[(2, 1.0)])))
        .await
        .unwrap();
    let filled = versioned(one()).filled(3, (0..8).map(Uid));
    client
        .set_weights(&hotkey("//Validator2"), &filled)
        .await
        .unwrap();
    assert_eq!(stored(&client, 0, Uid(5)).await, [(0, 65_535), (1, 0), (2, 0)]);
}

#[tokio::test]
async fn hashed_weights_are_revealed_in_their_epoch() {
    let (chain, client) = running().await;
    chain.set_weight_rules(NETUID.0, true, 0).unwrap();
    let version = key("CommitRevealWeightsVersion", &[]);
    chain.set_storage(&version, Some(&2_u16.encode())).unwrap();
    let head = client.finalized().await.unwrap();
    let terms = client
        .weight_terms(NETUID, 0, &validator().hotkey(), head)
        .await
        .unwrap();
    assert_eq!(terms.way, WeightsWay::Hashed);

    let given = weights(&[(0, 1.0), (3, 0.5)]);
    let set = client.set_weights(&validator(), &given).await.unwrap();
    let WeightsSet::Hashed(commit) = set else {
        panic!("{set:?}")
    };
    assert_eq!((commit.epoch, commit.reveal_epoch), (0, 1));
    assert_eq!(stored(&client, 0, VALIDATOR).await, []);
    assert_eq!(
        refusal(client.reveal_weights(&validator(), &commit).await),
        "RevealTooEarly"
    );
    chain.run_epoch(NETUID.0).unwrap();
    // It is bound to who committed.
    assert_eq!(
        refusal(client.reveal_weights(&hotkey("//Validator2"), &commit).await),
        "NoWeightsCommitFound"
    );
    let block = client.reveal_weights(&validator(), &commit).await.unwrap();
    assert_eq!(
        stored_at(&client, 0, VALIDATOR, block).await,
        [(0, 65_535), (3, 32_768)]
    );

    let set = client.set_weights(&validator(), &given).await.unwrap();
    let WeightsSet::Hashed(late) = set else {
        panic!("{set:?}")
    };
    chain.run_epoch(NETUID.0).unwrap();
    chain.run_epoch(NETUID.0).unwrap();
    assert_eq!(
        refusal(client.reveal_weights(&validator(), &late).await),
        "ExpiredWeightCommit"
    );
    chain.set_weight_rules(NETUID.0, true, 10_000).unwrap();
    assert_eq!(
        refusal(client.set_weights(&validator(), &given).await),
        "CommittingWeightsTooFast"
    );
}

#[tokio::test]
async fn timelocked_weights_open_with_the_signature_of_their_round() {
    let (chain, client) = running().await;
    chain.set_weight_rules(NETUID.0, true, 0).unwrap();
    let given = weights(&[(1, 1.0), (2, 0.25)]).opened_with_round(1_000);
    let set = client.set_weights(&validator(), &given).await.unwrap();
    assert!(
        matches!(
            set,
            WeightsSet::Timelocked {
                epoch: 0,
                round: 1_000,
                ..
            }
        ),
        "{set:?}"
    );
    // On another mechanism, by another hotkey, for a round whose signature will be a wrong one.
    set_twox(&chain, "MechanismCountCurrent", 2_u8);
    let wrong = weights(&[(1, 1.0)]).opened_with_round(1_001);
    client.set_weights(&hotkey("//Validator2"), &wrong).await.unwrap();
    let other = weights(&[(3, 1.0)]).opened_with_round(1_000).on_mechanism(1);
    client.set_weights(&validator(), &other).await.unwrap();

    chain.run_epoch(NETUID.0).unwrap();
    chain.advance(2).unwrap();
    assert_eq!(stored(&client, 0, VALIDATOR).await, [], "the pulse is not there");
    pulse(&chain, 1_000, ROUND_1000);
    pulse(&chain, 1_001, ROUND_123);
    chain.advance(2).unwrap();
    assert_eq!(stored(&client, 0, VALIDATOR).await, [(1, 65_535), (2, 16_384)]);
    assert_eq!(stored(&client, 1, VALIDATOR).await, [(3, 65_535)]);
    assert_eq!(stored(&client, 0, Uid(5)).await, []);

    // A round that is over cannot lock anything.
    let late = weights(&[(1, 1.0)]).opened_with_round(999);
    assert_eq!(
        refusal(client.set_weights(&validator(), &late).await),
        "InvalidRevealRound"
    );
}

#[tokio::test]
async fn the_round_is_in_the_future_and_its_epoch_opens_the_weights() {
    const QUICKNET: u64 = 1_692_803_367;
    let (chain, client) = running().await;
    chain.set_epochs(true).unwrap();
    // Epochs are more than the chain needs to include the commit.
    set(&chain, "Tempo", 1_000_u16);
    chain.set_weight_rules(NETUID.0, true, 0).unwrap();
    let set = client
        .set_weights(&validator(), &weights(&[(1, 1.0)]))
        .await
        .unwrap();
    let WeightsSet::Timelocked { block, epoch, round } = set else {
        panic!("{set:?}")
    };
    let timestamp = client.snapshot(NETUID, block).await.unwrap().timestamp / 1000;
    let opened = QUICKNET + 3 * round;
    // In a tempo of blocks of 12 seconds, and no more than three blocks later.
    assert!(
        (timestamp..timestamp + 12 * 1_010).contains(&opened),
        "{opened} is not after {timestamp}"
    );
    // Once the tempo is over, the next epoch is the one that would open them.
    set_tempo_over(&chain);
    eventually("the next epoch runs", async || {
        let head = client.finalized().await.unwrap();
        let hotkey = validator().hotkey();
        let terms = client.weight_terms(NETUID, 0, &hotkey, head).await.unwrap();
        terms.epoch == epoch + 1
    })
    .await;
}

fn set_tempo_over(chain: &DevChain) {
    let best = u64::from(chain.best().number);
    set(chain, "PendingEpochAt", best + 1);
}
