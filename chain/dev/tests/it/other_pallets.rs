//! What the runtime declares beside `SubtensorModule`, held against what subtensor declares.

use crate::surface::{B, I, T, metadata};

/// What there is of other pallets: entry, hashers, default in hex.
const OTHERS: &[(&str, &str, &[&str], Option<&str>)] = &[
    ("Commitments", "TimelockedIndex", &[], Some("00")),
    ("Commitments", "CommitmentOf", &[I, T], None),
    ("Commitments", "LastCommitment", &[I, T], None),
    ("Commitments", "RevealedCommitments", &[I, T], None),
    ("Commitments", "UsedSpaceOf", &[I, T], None),
    ("Commitments", "MaxSpace", &[], Some("1c0c0000")),
    ("Drand", "Pulses", &[B], None),
    ("Drand", "LastStoredRound", &[], Some("0000000000000000")),
    ("Swap", "FeeRate", &[T], Some("2100")),
    ("Swap", "SwapBalancer", &[T], Some("0000b2d3595bf006")),
    ("Swap", "PalSwapInitialized", &[T], Some("00")),
];

/// The Python SDK tells the outer call and event by paths of two, whose first is any.
#[tokio::test]
async fn types_have_the_chains_paths() {
    let metadata = metadata().await;
    let paths: Vec<String> = metadata
        .types()
        .types
        .iter()
        .map(|ty| ty.ty.path.segments.join("::"))
        .collect();
    for path in [
        "node_subtensor_runtime::RuntimeCall",
        "node_subtensor_runtime::RuntimeEvent",
        "pallet_subtensor::pallet::Call",
        "pallet_subtensor::pallet::Error",
        "pallet_subtensor::pallet::Event",
    ] {
        assert!(paths.iter().any(|ours| ours == path), "{path}");
    }
    let ours = paths.iter().find(|path| path.starts_with("violet"));
    assert_eq!(ours, None);
}

#[tokio::test]
async fn commitments_pulses_and_pools_are_declared_as_on_the_chain() {
    let metadata = metadata().await;
    for (pallet, name, hashers, default) in OTHERS {
        let pallet = metadata.pallet_by_name(pallet).unwrap();
        let entry = pallet.storage().unwrap().entry_by_name(name).expect(name);
        let ours: Vec<String> = entry.keys().map(|key| format!("{:?}", key.hasher)).collect();
        assert_eq!(ours, *hashers, "{name}");
        assert_eq!(
            entry.default_value().map(hex::encode).as_deref(),
            *default,
            "{name}"
        );
    }
    let errors = metadata.pallet_by_name("Swap").unwrap().error_variants().unwrap();
    let errors = errors.iter().map(|error| (error.name.as_str(), error.index));
    assert_eq!(
        errors.collect::<Vec<_>>(),
        [
            ("PriceLimitExceeded", 3),
            ("ReservesTooLow", 7),
            ("SwapInputTooLarge", 11)
        ]
    );
    let pallet = metadata.pallet_by_name("Commitments").unwrap();
    let call = pallet.call_variant_by_name("set_commitment").unwrap();
    let arguments: Vec<&str> = call
        .fields
        .iter()
        .filter_map(|field| field.name.as_deref())
        .collect();
    assert_eq!((call.index, arguments), (0, vec!["netuid", "info"]));
    let max_fields = pallet.constant_by_name("MaxFields").unwrap();
    assert_eq!(max_fields.value(), [3, 0, 0, 0]);
    let types = metadata.types();
    let data = types
        .types
        .iter()
        .find(|ty| ty.ty.path.ident().as_deref() == Some("Data"))
        .unwrap();
    let scale_info::TypeDef::Variant(data) = &data.ty.type_def else {
        panic!("not an enum")
    };
    let index = |name: &str| {
        data.variants
            .iter()
            .find(|variant| variant.name == name)
            .unwrap()
            .index
    };
    assert_eq!(
        [
            "None",
            "Raw0",
            "Raw128",
            "ShaThree256",
            "TimelockEncrypted",
            "BigRaw"
        ]
        .map(index),
        [0, 1, 129, 133, 134, 136]
    );
}

/// Constants at 424 and 461, the value in hex.
const CONSTANTS: &[(&str, &str, &str)] = &[
    ("Balances", "ExistentialDeposit", "f401000000000000"),
    ("Balances", "MaxLocks", "32000000"),
    ("Balances", "MaxReserves", "32000000"),
    ("SubtensorModule", "InitialMinStake", "80841e0000000000"),
    ("SubtensorModule", "InitialMinTransfer", "a086010000000000"),
    ("Swap", "MaxFeeRate", "1027"),
    ("Swap", "MinimumReserve", "40420f0000000000"),
    ("System", "BlockHashCount", "60090000"),
    ("System", "DbWeight", "40787d010000000000e1f50500000000"),
    ("System", "SS58Prefix", "2a00"),
    ("TransactionPayment", "OperationalFeeMultiplier", "05"),
];

/// The first of the weights is that of a block without anything, the second is the most of a block; then come, of each
/// class, the weight of an extrinsic without its call and the most of it.
const BLOCK_WEIGHTS: &str =
    "c2a0e766000b00409452a30313ffffffffffffffff2261c91900010bb837a1555d02136666666666";

#[tokio::test]
async fn constants_are_the_chains() {
    let metadata = metadata().await;
    for (pallet, name, value) in CONSTANTS {
        let pallet = metadata.pallet_by_name(pallet).unwrap();
        let constant = pallet.constant_by_name(name).expect(name);
        assert_eq!(hex::encode(constant.value()), *value, "{name}");
    }
    let system = metadata.pallet_by_name("System").unwrap();
    let weights = hex::encode(system.constant_by_name("BlockWeights").unwrap().value());
    assert!(weights.starts_with(BLOCK_WEIGHTS), "{weights}");
}
