//! Proved stake: asked of a real node, checked offline, and refused whatever is changed in it or in what a node answers.

use std::collections::BTreeSet;

use codec::{Decode as _, DecodeAll as _, Encode as _};
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::Value;
use sp_core::{Blake2Hasher, H256};
use sp_trie::{CompactProof, StorageProof};
use violet_chain::{
    BlockHash, BlockRef, Client, Error, Hotkey, NetUid, Options, ProofError, ProvedStakes, Rao, Snapshot,
    StakeProof, Uid,
};
use violet_devchain::{DevChain, Genesis, Neuron, Proofs};

use crate::gateway::{Fault, Gateway};
use crate::harness::state::{key, manual_chain, of_hotkey, of_subnet};

const NETUID: NetUid = NetUid(1);
const HALF: u64 = u64::MAX / 2;
/// Format, subnet, header, compact nodes.
type Parts = (String, u16, Vec<u8>, Vec<Vec<u8>>);

/// A subnet in which stake goes between neurons, and comes from a parent that is registered nowhere.
fn relate(chain: &DevChain) {
    let hotkey = |uri: &str| violet_devchain::public_key(uri).unwrap();
    let (miner, validator, stranger) = (hotkey("//Miner1"), hotkey("//Validator1"), hotkey("//Stranger"));
    let subnet = NETUID.0;
    let parents = vec![(HALF, validator), (u64::MAX, stranger)];
    for (at, value) in [
        (
            of_hotkey("ChildKeys", validator, subnet),
            vec![(HALF, miner)].encode(),
        ),
        (of_hotkey("ParentKeys", miner, subnet), parents.encode()),
        (
            of_hotkey("TotalHotkeyAlpha", stranger, subnet),
            1_000_u64.encode(),
        ),
        (of_hotkey("TotalHotkeyAlpha", stranger, 0), 500_u64.encode()),
    ] {
        chain.set_storage(&at, Some(&value)).unwrap();
    }
}

async fn start() -> (DevChain, Client, Snapshot) {
    let chain = manual_chain(Genesis::default()).await;
    relate(&chain);
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let block = client.finalized().await.unwrap();
    let snapshot = client.snapshot(NETUID, block).await.unwrap();
    (chain, client, snapshot)
}

fn parts(proof: &[u8]) -> Parts {
    Parts::decode_all(&mut &*proof).unwrap()
}

fn verify(bytes: &[u8], block: BlockHash) -> Result<ProvedStakes, ProofError> {
    StakeProof::from_bytes(bytes)?.verify(block)
}

#[tokio::test]
async fn a_proof_gives_the_stakes_of_the_snapshot_without_a_node() {
    let (chain, client, snapshot) = start().await;
    let block = snapshot.block;
    let (proof, proved) = client.prove_stake(NETUID, block).await.unwrap();
    let bytes = proof.to_bytes();
    drop((client, chain));

    assert_eq!((proof.netuid(), proof.block_hash()), (NETUID, block.hash));
    assert_eq!(verify(&bytes, block.hash).unwrap(), proved);
    assert_eq!((proved.netuid, proved.block), (NETUID, block));
    assert_eq!(proved.tao_weight, snapshot.tao_weight);
    assert_eq!(proved.differing(&snapshot), []);
    // A half of the validator's 50 000 alpha and all of the stranger's 1 000 rao, besides 1 000 of its own.
    let miner = proved.by_uid(Uid(0)).unwrap();
    assert_eq!(
        miner.stake.alpha,
        Rao(1_000_000_000_000 + 24_999_999_988_358 + 1_000)
    );
    assert!(bytes.len() < 8_000, "{}", bytes.len());

    let mut other = snapshot.clone();
    other.neurons[3].stake.0 += 1;
    other.neurons[5].hotkey = Hotkey([9; 32]);
    other.neurons[6].coldkey.0[0] ^= 1;
    other.neurons.pop();
    assert_eq!(proved.differing(&other), [3, 5, 6, 7].map(Uid));
    assert_eq!(proved.by_uid(Uid(8)), None);
}

#[tokio::test]
async fn every_byte_counts() {
    let (_chain, client, snapshot) = start().await;
    let block = snapshot.block.hash;
    let bytes = client
        .prove_stake(NETUID, snapshot.block)
        .await
        .unwrap()
        .0
        .to_bytes();
    verify(&bytes, block).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify(&changed, block).is_err(), "byte {at} of {}", bytes.len());
    }
    for length in (0..bytes.len()).step_by(7) {
        assert!(
            verify(&bytes[..length], block).is_err(),
            "the first {length} bytes"
        );
    }
    assert!(verify(&[&bytes[..], &[0]].concat(), block).is_err());
}

#[tokio::test]
async fn nodes_more_less_or_elsewhere_are_refused() {
    let (chain, client, snapshot) = start().await;
    let block = snapshot.block.hash;
    let (proof, _) = client.prove_stake(NETUID, snapshot.block).await.unwrap();
    let (version, netuid, header, nodes) = parts(&proof.to_bytes());
    let with = |netuid: u16, header: &[u8], nodes: &[Vec<u8>]| {
        verify(&(version.clone(), netuid, header, nodes).encode(), block)
    };
    with(netuid, &header, &nodes).unwrap();
    for at in 0..nodes.len() {
        let mut less = nodes.clone();
        let gone = less.remove(at);
        let found = with(netuid, &header, &less).unwrap_err();
        assert!(matches!(found, ProofError::Nodes), "without node {at}: {found:?}");
        for place in [0, at, nodes.len()] {
            let mut more = nodes.clone();
            more.insert(place, gone.clone());
            assert!(
                with(netuid, &header, &more).is_err(),
                "node {at} again at {place}"
            );
        }
    }
    let swapped: Vec<Vec<u8>> = nodes.iter().rev().cloned().collect();
    assert!(with(netuid, &header, &swapped).is_err());

    // True nodes of the same state that lead to something else.
    let node = WsClientBuilder::default().build(chain.ws_url()).await.unwrap();
    let other = format!("0x{}", hex::encode(of_subnet("Tempo", NETUID.0)));
    let params = rpc_params![[other], block.to_string()];
    let answer: Value = node.request("state_getReadProof", params).await.unwrap();
    let also = answer["proof"].as_array().unwrap().iter();
    let also = also.map(|node| hex::decode(&node.as_str().unwrap()[2..]).unwrap());
    let compact = CompactProof { encoded_nodes: nodes };
    let (needed, root) = compact.to_storage_proof::<Blake2Hasher>(None).unwrap();
    let all: BTreeSet<Vec<u8>> = needed.into_nodes().into_iter().chain(also).collect();
    let more = StorageProof::new(all)
        .into_compact_proof::<Blake2Hasher>(root)
        .unwrap();
    assert!(more.encoded_nodes.len() > compact.encoded_nodes.len());
    let found = with(netuid, &header, &more.encoded_nodes).unwrap_err();
    assert!(matches!(found, ProofError::Superfluous), "{found:?}");
    // Another subnet: its values are not there, although its absence might be.
    assert!(with(2, &header, &compact.encoded_nodes).is_err());
}

#[tokio::test]
async fn the_header_or_the_state_of_another_block_is_refused() {
    let (chain, client, snapshot) = start().await;
    let (first, _) = client.prove_stake(NETUID, snapshot.block).await.unwrap();
    let hotkey = snapshot.neurons[0].hotkey.0;
    chain.set_stake(NETUID.0, hotkey, 5, 5).unwrap();
    let later = client.finalized().await.unwrap();
    let (second, _) = client.prove_stake(NETUID, later).await.unwrap();

    let found = first.verify(later.hash).unwrap_err();
    assert!(
        matches!(found, ProofError::OtherBlock { expected, .. } if expected == later.hash),
        "{found:?}"
    );
    let (version, netuid, header, _) = parts(&first.to_bytes());
    let (_, _, later_header, later_nodes) = parts(&second.to_bytes());
    let foreign = (&version, netuid, &header, &later_nodes).encode();
    let found = verify(&foreign, snapshot.block.hash).unwrap_err();
    assert!(matches!(found, ProofError::Nodes), "{found:?}");
    // The header with the other's state root in it is no header of the block.
    let parent_and_number = 32 + 1;
    let root = parent_and_number..parent_and_number + 32;
    let mut forged = header.clone();
    forged[root.clone()].copy_from_slice(&later_header[root]);
    let found = verify(
        &(&version, netuid, &forged, &later_nodes).encode(),
        snapshot.block.hash,
    );
    assert!(matches!(found.unwrap_err(), ProofError::OtherBlock { .. }));
    let unknown = ("violet/stake-proof/2", netuid, &header, &later_nodes).encode();
    assert!(matches!(verify(&unknown, later.hash), Err(ProofError::Form(_))));
}

#[tokio::test]
async fn a_value_of_another_type_and_a_subnet_of_nobody_are_refused() {
    let (chain, client, _) = start().await;
    let at = key("TaoWeight", &[]);
    chain.set_storage(&at, Some(&[1, 2, 3])).unwrap();
    let block = client.finalized().await.unwrap();
    let error = client.prove_stake(NETUID, block).await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Proof {
                source: ProofError::Value("TaoWeight"),
                ..
            }
        ),
        "{error:?}"
    );
    chain.set_storage(&at, None).unwrap();
    let block = client.finalized().await.unwrap();
    let (_, proved) = client.prove_stake(NETUID, block).await.unwrap();
    let snapshot = client.snapshot(NETUID, block).await.unwrap();
    assert_eq!(proved.tao_weight, snapshot.tao_weight, "the runtime's default");
    assert_eq!(proved.differing(&snapshot), []);

    let error = client.prove_stake(NetUid(99), block).await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Proof {
                source: ProofError::Empty,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_node_that_forges_refuses_or_forgets_proves_nothing() {
    let (chain, _, snapshot) = start().await;
    let (way, archive) = (Gateway::to(&chain).await, Gateway::to(&chain).await);
    let client = Client::with(Options {
        endpoints: vec![way.url()],
        archive_endpoints: vec![archive.url()],
        ..Options::default()
    });
    let client = client.await.unwrap();
    let prove = || client.prove_stake(NETUID, snapshot.block);

    chain.give_proofs(Proofs::Forged);
    let error = prove().await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Proof {
                source: ProofError::Nodes,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.is_temporary());
    chain.give_proofs(Proofs::Refused);
    let error = prove().await.unwrap_err();
    assert!(matches!(error, Error::Rpc { code: -32601, .. }), "{error:?}");
    chain.give_proofs(Proofs::True);
    let (proof, _) = prove().await.unwrap();

    assert_eq!(archive.tries(), 0);
    way.set(Fault::Discarded);
    assert_eq!(prove().await.unwrap().0, proof);
    archive.set(Fault::Discarded);
    let error = prove().await.unwrap_err();
    assert!(matches!(error, Error::StateDiscarded { .. }), "{error:?}");
    let nowhere = BlockRef {
        number: 1,
        hash: BlockHash([7; 32]),
    };
    way.set(Fault::None);
    client.prove_stake(NETUID, nowhere).await.unwrap_err();
}

#[tokio::test]
async fn a_large_subnet_is_asked_for_in_pieces() {
    let neuron = |number: u16| Neuron {
        netuid: NETUID.0,
        hotkey: sp_core::blake2_256(&number.to_le_bytes()),
        coldkey: sp_core::blake2_256(&(number / 3).to_be_bytes()),
        alpha: 1_000 * u64::from(number),
        root: u64::from(number),
        validator_permit: false,
        axon: None,
    };
    // After one for the subnet and one for its hotkeys, five keys a neuron, 256 at a time.
    for (count, requests) in [(51, 2 + 1), (52, 2 + 2), (256, 2 + 5)] {
        let chain = manual_chain(Genesis {
            neurons: (0..count).map(neuron).collect(),
            ..Genesis::default()
        })
        .await;
        let way = Gateway::to(&chain).await;
        let client = Client::connect(&[way.url()]).await.unwrap();
        let block = client.finalized().await.unwrap();
        let (proof, proved) = client.prove_stake(NETUID, block).await.unwrap();
        assert_eq!(way.calls("state_getReadProof"), requests, "{count} neurons");
        let snapshot = client.snapshot(NETUID, block).await.unwrap();
        assert_eq!(snapshot.neurons.len(), usize::from(count));
        assert_eq!(proved.differing(&snapshot), []);
        // Stake, hotkey and owner are 72 bytes of a neuron.
        let size = proof.to_bytes().len();
        let expected = 72 * usize::from(count)..300 * usize::from(count);
        assert!(expected.contains(&size), "{count} neurons: {size}");
    }
}

/// Made by version 1 of the format: what was stored stays readable.
#[test]
fn a_proof_of_old_is_still_verified() {
    let bytes = include_bytes!("data/stakes-1.proof");
    let block: BlockHash = include_str!("data/stakes-1.block").trim().parse().unwrap();
    let proved = verify(bytes, block).unwrap();
    assert_eq!((proved.block.number, proved.neurons.len()), (4, 8));
    let miner = proved.neurons[0];
    assert_eq!(
        miner.stake.alpha,
        Rao(1_000_000_000_000 + 24_999_999_988_358 + 1_000)
    );
    let (_, _, header, _) = parts(bytes);
    let root = H256::decode(&mut &header[33..65]).unwrap();
    assert_ne!(root, H256::zero());
}
