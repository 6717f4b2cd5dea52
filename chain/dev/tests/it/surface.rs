//! What the runtime declares, held against what subtensor declares.
//!
//! The table is written from subtensor's own metadata at spec version 461: a client that computes a storage key,
//! reads a default or names a call by index for one must be right for the other.

use subxt::{ArcMetadata, OnlineClient, SubstrateConfig};

use crate::manual;

pub(crate) const I: &str = "Identity";
pub(crate) const B: &str = "Blake2_128Concat";
pub(crate) const T: &str = "Twox64Concat";
const ZERO_ACCOUNT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Name, hashers, default in hex (`None` for an entry that may be absent), size of a plain value.
const STORAGE: &[(&str, &[&str], Option<&str>)] = &[
    ("SubnetworkN", &[I], Some("0000")),
    ("Keys", &[I, I], Some(ZERO_ACCOUNT)),
    ("Uids", &[I, B], None),
    ("IsNetworkMember", &[B, I], Some("00")),
    ("Active", &[I], Some("00")),
    ("ValidatorPermit", &[I], Some("00")),
    ("ValidatorTrust", &[I], Some("00")),
    ("Consensus", &[I], Some("00")),
    ("Dividends", &[I], Some("00")),
    ("Incentive", &[I], Some("00")),
    ("LastUpdate", &[I], Some("00")),
    ("Emission", &[I], Some("00")),
    ("BlockAtRegistration", &[I, I], Some("0000000000000000")),
    ("Axons", &[I, B], None),
    ("Owner", &[B], Some(ZERO_ACCOUNT)),
    ("OwnedHotkeys", &[B], Some("00")),
    ("Weights", &[I, I], Some("00")),
    ("Bonds", &[I, I], Some("00")),
    ("StakeWeight", &[I], Some("00")),
    ("ConsensusByMechanism", &[I], Some("00")),
    ("WeightCommits", &[T, T], None),
    ("TimelockedWeightCommits", &[T, T], Some("00")),
    ("TotalHotkeyAlpha", &[B, I], Some("0000000000000000")),
    ("ParentKeys", &[B, I], Some("00")),
    ("ChildKeys", &[B, I], Some("00")),
    ("TaoWeight", &[], Some("fc62e03efa3c7c0d")),
    ("StakeThreshold", &[], Some("0000000000000000")),
    ("TotalNetworks", &[], Some("0000")),
    ("NetworksAdded", &[I], Some("00")),
    ("NetworkRegisteredAt", &[I], Some("0000000000000000")),
    ("SubnetOwner", &[I], Some(ZERO_ACCOUNT)),
    ("SubnetOwnerHotkey", &[I], Some(ZERO_ACCOUNT)),
    // 360, as on the main network; a chain built for fast blocks has 10.
    ("Tempo", &[I], Some("6801")),
    ("BlocksSinceLastStep", &[I], Some("0000000000000000")),
    ("LastMechansimStepBlock", &[I], Some("0000000000000000")),
    ("LastEpochBlock", &[I], Some("0000000000000000")),
    ("PendingEpochAt", &[I], Some("0000000000000000")),
    ("SubnetEpochIndex", &[I], Some("0000000000000000")),
    // 2, as on the main network; a chain built for fast blocks has 32.
    ("MaxEpochsPerBlock", &[], Some("02")),
    ("PendingServerEmission", &[I], Some("0000000000000000")),
    ("PendingValidatorEmission", &[I], Some("0000000000000000")),
    ("BondsMovingAverage", &[I], Some("a0bb0d0000000000")),
    ("BondsPenalty", &[I], Some("ffff")),
    ("LiquidAlphaOn", &[B], Some("00")),
    ("Yuma3On", &[B], Some("00")),
    ("AlphaValues", &[I], Some("33b366e6")),
    ("AlphaSigmoidSteepness", &[I], Some("e803")),
    ("Kappa", &[I], Some("ff7f")),
    ("ImmunityPeriod", &[I], Some("0010")),
    ("MaxAllowedUids", &[I], Some("0001")),
    ("MaxAllowedValidators", &[I], Some("8000")),
    ("MinAllowedWeights", &[I], Some("0004")),
    ("NetworkRegistrationAllowed", &[I], Some("01")),
    ("Burn", &[I], Some("00e1f50500000000")),
    ("MinBurn", &[I], Some("20a1070000000000")),
    ("MaxBurn", &[I], Some("00e8764817000000")),
    ("BurnHalfLife", &[I], Some("6801")),
    ("BurnIncreaseMult", &[I], Some("0090c2f5285c8f420100000000000000")),
    ("MinNonImmuneUids", &[I], Some("0a00")),
    ("ImmuneOwnerUidsLimit", &[I], Some("0100")),
    ("WeightsVersionKey", &[I], Some("0000000000000000")),
    ("WeightsSetRateLimit", &[I], Some("6400000000000000")),
    ("CommitRevealWeightsEnabled", &[I], Some("01")),
    ("CommitRevealWeightsVersion", &[], Some("0400")),
    ("RevealPeriodEpochs", &[T], Some("0100000000000000")),
    ("ActivityCutoffFactorMilli", &[I], Some("41360000")),
    ("ServingRateLimit", &[I], Some("3200000000000000")),
    ("MechanismCountCurrent", &[T], Some("01")),
    ("MechanismEmissionSplit", &[T], None),
    ("TokenSymbol", &[I], Some("10f09d9c8f")),
    // Younger than 461: so it is at 475.
    ("SubnetEpochConsensus", &[I], Some("00")),
    ("SubnetIdentitiesV3", &[B], None),
    ("SubtokenEnabled", &[I], Some("00")),
    ("TransferToggle", &[I], Some("01")),
    ("OwnerCutEnabled", &[I], Some("01")),
    ("SubnetMechanism", &[I], Some("0000")),
    ("SubnetTAO", &[I], Some("0000000000000000")),
    ("SubnetAlphaOut", &[I], Some("0000000000000000")),
    ("SubnetVolume", &[I], Some("00000000000000000000000000000000")),
    ("SubnetAlphaOutEmission", &[I], Some("0000000000000000")),
    ("AlphaDividendsPerSubnet", &[I, B], Some("0000000000000000")),
    ("MinChildkeyTake", &[], Some("0000")),
    ("MinChildkeyTakePerSubnet", &[I], Some("0000")),
    ("SubnetAlphaIn", &[I], Some("0000000000000000")),
    ("SubnetAlphaInEmission", &[I], Some("0000000000000000")),
    ("SubnetTaoInEmission", &[I], Some("0000000000000000")),
    (
        "SubnetMovingPrice",
        &[I],
        Some("00000000000000000000000000000000"),
    ),
    ("Rho", &[I], Some("0a00")),
    ("ScalingLawPower", &[I], Some("3200")),
    ("MaxWeightsLimit", &[I], Some("ffff")),
    ("BondsResetOn", &[I], Some("00")),
    ("OwnerCutAutoLockEnabled", &[I], Some("00")),
    ("NetworkPowRegistrationAllowed", &[I], Some("01")),
    ("Difficulty", &[I], Some("8096980000000000")),
    ("MinDifficulty", &[I], Some("8096980000000000")),
    ("MaxDifficulty", &[I], Some("ffffffffffffff3f")),
    ("AdjustmentAlpha", &[I], Some("0000000000000000")),
    ("AdjustmentInterval", &[I], Some("6400")),
    ("TargetRegistrationsPerInterval", &[I], Some("0200")),
    ("MaxRegistrationsPerBlock", &[I], Some("0100")),
    ("IdentitiesV2", &[B], None),
    ("Prometheus", &[I, B], None),
    ("LastHotkeyEmissionOnNetuid", &[B, I], Some("0000000000000000")),
    (
        "AlphaV2",
        &[B, B, I],
        Some("000000000000000000000000000000000000000000000000"),
    ),
    (
        "TotalHotkeySharesV2",
        &[B, I],
        Some("000000000000000000000000000000000000000000000000"),
    ),
    ("StakingHotkeys", &[B], Some("00")),
    ("Delegates", &[B], Some("142e")),
    ("TotalStake", &[], Some("0000000000000000")),
    ("PendingChildKeys", &[I, B], Some("000000000000000000")),
    // 7200, as on the main network; a chain built for fast blocks has 15.
    ("PendingChildKeyCooldown", &[], Some("201c000000000000")),
    ("TransactionKeyLastBlock", &[B, I, I], Some("0000000000000000")),
    ("PendingOwnerCut", &[I], Some("0000000000000000")),
    ("ChildkeyTake", &[B, I], Some("0000")),
    ("MaxChildkeyTake", &[], Some("142e")),
    // 216 000, as on the main network; a chain built for fast blocks has 5.
    ("TxChildkeyTakeRateLimit", &[], Some("c04b030000000000")),
    ("MinDelegateTake", &[], Some("0000")),
    ("MaxDelegateTake", &[], Some("142e")),
];

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
];

const CALLS: &[(&str, u8)] = &[
    ("set_weights", 0),
    ("add_stake", 2),
    ("remove_stake", 3),
    ("serve_axon", 4),
    ("burned_register", 7),
    ("set_children", 67),
    ("set_childkey_take", 75),
    ("move_stake", 85),
    ("transfer_stake", 86),
    ("swap_stake", 87),
    ("commit_weights", 96),
    ("reveal_weights", 97),
    ("set_pending_childkey_cooldown", 109),
    ("commit_timelocked_weights", 113),
    ("commit_mechanism_weights", 115),
    ("reveal_mechanism_weights", 116),
    ("commit_timelocked_mechanism_weights", 118),
    ("set_mechanism_weights", 119),
];

const EVENTS: &[(&str, u8)] = &[
    ("StakeAdded", 2),
    ("StakeRemoved", 3),
    ("StakeMoved", 4),
    ("WeightsSet", 5),
    ("NeuronRegistered", 7),
    ("AxonServed", 29),
    ("ChildKeyTakeSet", 49),
    ("SetChildrenScheduled", 76),
    ("SetChildren", 77),
    ("WeightsCommitted", 86),
    ("WeightsRevealed", 87),
    ("StakeTransferred", 92),
    ("StakeSwapped", 93),
    ("TimelockedWeightsCommitted", 108),
    ("TimelockedWeightsRevealed", 109),
    ("IncentiveAlphaEmittedToMiners", 111),
    ("TransactionFeePaidWithAlpha", 128),
    ("EpochDeferred", 137),
];

const ERRORS: &[(&str, u8)] = &[
    ("InvalidIpType", 1),
    ("InvalidIpAddress", 2),
    ("InvalidPort", 3),
    ("HotKeyNotRegisteredInSubNet", 4),
    ("HotKeyAccountNotExists", 5),
    ("HotKeyNotRegisteredInNetwork", 6),
    ("NonAssociatedColdKey", 7),
    ("NotEnoughStakeToWithdraw", 9),
    ("NotEnoughStakeToSetWeights", 10),
    ("NotEnoughStakeToSetChildkeys", 11),
    ("NotEnoughBalanceToStake", 12),
    ("NeuronNoValidatorPermit", 15),
    ("WeightVecNotEqualSize", 16),
    ("DuplicateUids", 17),
    ("UidVecContainInvalidOne", 18),
    ("WeightVecLengthIsLow", 19),
    ("HotKeyAlreadyRegisteredInSubNet", 21),
    ("SettingWeightsTooFast", 29),
    ("IncorrectWeightVersionKey", 30),
    ("ServingRateLimitExceeded", 31),
    ("UidsLengthExceedUidsInSubNet", 32),
    ("SubNetRegistrationDisabled", 37),
    ("RegistrationNotPermittedOnRootSubnet", 42),
    ("CanNotSetRootNetworkWeights", 47),
    ("NoNeuronIdAvailable", 48),
    ("NoWeightsCommitFound", 51),
    ("InvalidRevealCommitHashNotMatch", 52),
    ("CommitRevealEnabled", 53),
    ("CommitRevealDisabled", 54),
    ("InvalidChild", 60),
    ("DuplicateChild", 61),
    ("ProportionOverflow", 62),
    ("TooManyChildren", 63),
    ("TxRateLimitExceeded", 64),
    ("InvalidChildkeyTake", 71),
    ("TxChildkeyTakeRateLimitExceeded", 72),
    ("MechanismDoesNotExist", 74),
    ("SubnetNotExists", 76),
    ("TooManyUnrevealedCommits", 77),
    ("ExpiredWeightCommit", 78),
    ("RevealTooEarly", 79),
    ("CommittingWeightsTooFast", 81),
    ("AmountTooLow", 82),
    ("TransferDisallowed", 85),
    ("SubtokenDisabled", 94),
    ("SameNetuid", 97),
    ("IncorrectCommitRevealVersion", 111),
    ("InvalidRevealRound", 112),
    ("ChildParentInconsistency", 123),
];

/// The arguments of calls, for clients that compose them by name.
const ARGUMENTS: &[(&str, &[&str])] = &[
    ("burned_register", &["netuid", "hotkey"]),
    ("add_stake", &["hotkey", "netuid", "amount_staked"]),
    ("remove_stake", &["hotkey", "netuid", "amount_unstaked"]),
    (
        "move_stake",
        &[
            "origin_hotkey",
            "destination_hotkey",
            "origin_netuid",
            "destination_netuid",
            "alpha_amount",
        ],
    ),
    (
        "transfer_stake",
        &[
            "destination_coldkey",
            "hotkey",
            "origin_netuid",
            "destination_netuid",
            "alpha_amount",
        ],
    ),
    (
        "swap_stake",
        &["hotkey", "origin_netuid", "destination_netuid", "alpha_amount"],
    ),
    ("set_children", &["hotkey", "netuid", "children"]),
    ("set_childkey_take", &["hotkey", "netuid", "take"]),
    ("set_weights", &["netuid", "dests", "weights", "version_key"]),
    (
        "set_mechanism_weights",
        &["netuid", "mecid", "dests", "weights", "version_key"],
    ),
    ("commit_weights", &["netuid", "commit_hash"]),
    ("commit_mechanism_weights", &["netuid", "mecid", "commit_hash"]),
    (
        "reveal_weights",
        &["netuid", "uids", "values", "salt", "version_key"],
    ),
    (
        "reveal_mechanism_weights",
        &["netuid", "mecid", "uids", "values", "salt", "version_key"],
    ),
    (
        "commit_timelocked_weights",
        &["netuid", "commit", "reveal_round", "commit_reveal_version"],
    ),
    (
        "commit_timelocked_mechanism_weights",
        &[
            "netuid",
            "mecid",
            "commit",
            "reveal_round",
            "commit_reveal_version",
        ],
    ),
];

const GRAPH: &[&str] = &[
    "netuid",
    "name",
    "symbol",
    "identity",
    "network_registered_at",
    "owner_hotkey",
    "owner_coldkey",
    "block",
    "tempo",
    "last_step",
    "blocks_since_last_step",
    "subnet_emission",
    "alpha_in",
    "alpha_out",
    "tao_in",
    "alpha_out_emission",
    "alpha_in_emission",
    "tao_in_emission",
    "pending_alpha_emission",
    "pending_root_emission",
    "subnet_volume",
    "moving_price",
    "rho",
    "kappa",
    "min_allowed_weights",
    "max_weights_limit",
    "weights_version",
    "weights_rate_limit",
    "activity_cutoff",
    "max_validators",
    "num_uids",
    "max_uids",
    "burn",
    "difficulty",
    "registration_allowed",
    "pow_registration_allowed",
    "immunity_period",
    "min_difficulty",
    "max_difficulty",
    "min_burn",
    "max_burn",
    "adjustment_alpha",
    "adjustment_interval",
    "target_regs_per_interval",
    "max_regs_per_block",
    "serving_rate_limit",
    "commit_reveal_weights_enabled",
    "commit_reveal_period",
    "liquid_alpha_enabled",
    "alpha_high",
    "alpha_low",
    "bonds_moving_avg",
    "hotkeys",
    "coldkeys",
    "identities",
    "axons",
    "active",
    "validator_permit",
    "pruning_score",
    "last_update",
    "emission",
    "dividends",
    "incentives",
    "consensus",
    "trust",
    "rank",
    "block_at_registration",
    "alpha_stake",
    "tao_stake",
    "total_stake",
    "tao_dividends_per_hotkey",
    "alpha_dividends_per_hotkey",
    "validators",
    "commitments",
    "collateral_locked",
    "collateral_min",
    "collateral_earned",
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
