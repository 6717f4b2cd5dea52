//! What the runtime declares, held against what subtensor declares.
//!
//! The table is written from subtensor's own metadata at spec version 461: a client that computes a storage key,
//! reads a default or names a call by index for one must be right for the other.

mod names;
mod storage;

use subxt::{ArcMetadata, OnlineClient, SubstrateConfig};

use self::names::{ARGUMENTS, CALLS, ERRORS, EVENTS, GRAPH};
use self::storage::STORAGE;
use crate::manual;

pub(crate) const I: &str = "Identity";
pub(crate) const B: &str = "Blake2_128Concat";
pub(crate) const T: &str = "Twox64Concat";
const PALLETS: &[(&str, u8)] = &[
    ("System", 0),
    ("Timestamp", 2),
    ("Balances", 5),
    ("TransactionPayment", 6),
    ("SubtensorModule", 7),
    ("Utility", 11),
    ("Sudo", 12),
    ("Commitments", 18),
    ("Drand", 26),
    ("Swap", 28),
];

pub(crate) async fn metadata() -> ArcMetadata {
    let chain = manual().await;
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.ws_url())
        .await
        .unwrap();
    api.at_current_block().await.unwrap().metadata()
}

#[tokio::test]
async fn storage_is_named_hashed_and_defaulted_as_on_the_chain() {
    let metadata = metadata().await;
    let pallet = metadata.pallet_by_name("SubtensorModule").unwrap();
    let entries = pallet.storage().unwrap().entries();
    let ours: Vec<(String, Vec<String>, Option<String>)> = entries
        .iter()
        .map(|entry| {
            let hashers = entry.keys().map(|key| format!("{:?}", key.hasher)).collect();
            (
                entry.name().to_owned(),
                hashers,
                entry.default_value().map(hex::encode),
            )
        })
        .collect();
    for (name, hashers, default) in STORAGE {
        let (_, our_hashers, our_default) = ours.iter().find(|(ours, ..)| ours == name).expect(name);
        assert_eq!(our_hashers, hashers, "{name}");
        assert_eq!(our_default.as_deref(), *default, "{name}");
    }
    assert_eq!(ours.len(), STORAGE.len(), "an entry is not in the table");
}

#[tokio::test]
async fn pallets_calls_events_and_errors_have_the_chains_indices() {
    let metadata = metadata().await;
    for (name, index) in PALLETS {
        assert_eq!(
            metadata.pallet_by_name(name).expect(name).call_index(),
            *index,
            "{name}"
        );
    }
    let pallet = metadata.pallet_by_name("SubtensorModule").unwrap();
    let indices = |variants: &[scale_info::Variant<scale_info::form::PortableForm>]| -> Vec<(String, u8)> {
        variants
            .iter()
            .map(|variant| (variant.name.clone(), variant.index))
            .collect()
    };
    let named = |expected: &[(&str, u8)]| -> Vec<(String, u8)> {
        expected
            .iter()
            .map(|(name, index)| ((*name).to_owned(), *index))
            .collect()
    };
    let mut calls = indices(pallet.call_variants().unwrap());
    calls.sort_by_key(|(_, index)| *index);
    assert_eq!(calls, named(CALLS));
    assert_eq!(indices(pallet.event_variants().unwrap()), named(EVENTS));
    assert_eq!(indices(pallet.error_variants().unwrap()), named(ERRORS));
}

#[tokio::test]
async fn calls_have_the_chains_arguments() {
    let metadata = metadata().await;
    let pallet = metadata.pallet_by_name("SubtensorModule").unwrap();
    for (name, arguments) in ARGUMENTS {
        let call = pallet.call_variant_by_name(name).expect(name);
        let ours: Vec<&str> = call
            .fields
            .iter()
            .map(|field| field.name.as_deref().unwrap())
            .collect();
        assert_eq!(ours, *arguments, "{name}");
    }
}

#[tokio::test]
async fn the_selective_metagraph_has_the_chains_fields() {
    let metadata = metadata().await;
    let types = metadata.types();
    let graph = types
        .types
        .iter()
        .find(|ty| ty.ty.path.ident().as_deref() == Some("SelectiveMetagraph"))
        .unwrap();
    let scale_info::TypeDef::Composite(graph) = &graph.ty.type_def else {
        panic!("not a struct")
    };
    let names: Vec<&str> = graph
        .fields
        .iter()
        .map(|field| field.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, GRAPH);
}
