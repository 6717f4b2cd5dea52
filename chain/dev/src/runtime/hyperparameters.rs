//! Hyperparameters of a subnet, in the three ways in which the chain tells them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "what the derive of an enum writes"
)]

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;

use super::Runtime;
use super::metagraph::{MAX_WEIGHTS_LIMIT, activity_cutoff};
use super::pallet::{
    ActivityCutoffFactorMilli, AdjustmentAlpha, AdjustmentInterval, AlphaSigmoidSteepness, AlphaValues,
    BondsMovingAverage, BondsResetOn, BurnHalfLife, BurnIncreaseMult, CommitRevealWeightsEnabled, Difficulty,
    ImmunityPeriod, Kappa, LiquidAlphaOn, MaxAllowedValidators, MaxBurn, MaxDifficulty,
    MaxRegistrationsPerBlock, MinAllowedWeights, MinBurn, MinChildkeyTake, MinChildkeyTakePerSubnet,
    MinDifficulty, NetworkRegistrationAllowed, NetworksAdded, OwnerCutAutoLockEnabled, OwnerCutEnabled,
    RevealPeriodEpochs, Rho, ServingRateLimit, SubtokenEnabled, TargetRegistrationsPerInterval, Tempo,
    TransferToggle, WeightsSetRateLimit, WeightsVersionKey, Yuma3On,
};
use super::types::{FixedI64, FixedU128};

/// There are no positions of users in pools.
const USER_LIQUIDITY: bool = false;

/// Makes the two structs: the second has the fields of the first and more.
macro_rules! structs {
    (
        $netuid:ident;
        first { $($(#[$attribute:meta])* $name:ident: $type:ty = $value:expr;)* }
        second { $($(#[$more_attribute:meta])* $more:ident: $more_type:ty = $more_value:expr;)* }
    ) => {
        /// The first version.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct SubnetHyperparams {
            $($(#[$attribute])* pub $name: $type,)*
        }

        /// The second version.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct SubnetHyperparamsV2 {
            $($(#[$attribute])* pub $name: $type,)*
            $($(#[$more_attribute])* pub $more: $more_type,)*
        }

        /// By the first version; `None` if there is no such subnet.
        pub fn first($netuid: u16) -> Option<SubnetHyperparams> {
            NetworksAdded::<Runtime>::get($netuid).then(|| SubnetHyperparams { $($name: $value,)* })
        }

        /// By the second version.
        pub fn second($netuid: u16) -> Option<SubnetHyperparamsV2> {
            NetworksAdded::<Runtime>::get($netuid).then(|| SubnetHyperparamsV2 {
                $($name: $value,)*
                $($more: $more_value,)*
            })
        }
    };
}

structs! {
    netuid;
    first {
        #[codec(compact)] rho: u16 = Rho::<Runtime>::get(netuid);
        #[codec(compact)] kappa: u16 = Kappa::<Runtime>::get(netuid);
        #[codec(compact)] immunity_period: u16 = ImmunityPeriod::<Runtime>::get(netuid);
        #[codec(compact)] min_allowed_weights: u16 = MinAllowedWeights::<Runtime>::get(netuid);
        #[codec(compact)] max_weights_limit: u16 = MAX_WEIGHTS_LIMIT;
        #[codec(compact)] tempo: u16 = Tempo::<Runtime>::get(netuid);
        #[codec(compact)] min_difficulty: u64 = MinDifficulty::<Runtime>::get(netuid);
        #[codec(compact)] max_difficulty: u64 = MaxDifficulty::<Runtime>::get(netuid);
        #[codec(compact)] weights_version: u64 = WeightsVersionKey::<Runtime>::get(netuid);
        #[codec(compact)] weights_rate_limit: u64 = WeightsSetRateLimit::<Runtime>::get(netuid);
        #[codec(compact)] adjustment_interval: u16 = AdjustmentInterval::<Runtime>::get(netuid);
        #[codec(compact)] activity_cutoff: u64 = activity_cutoff(netuid);
        registration_allowed: bool = NetworkRegistrationAllowed::<Runtime>::get(netuid);
        #[codec(compact)] target_regs_per_interval: u16 =
            TargetRegistrationsPerInterval::<Runtime>::get(netuid);
        #[codec(compact)] min_burn: u64 = MinBurn::<Runtime>::get(netuid);
        #[codec(compact)] max_burn: u64 = MaxBurn::<Runtime>::get(netuid);
        #[codec(compact)] bonds_moving_avg: u64 = BondsMovingAverage::<Runtime>::get(netuid);
        #[codec(compact)] max_regs_per_block: u16 = MaxRegistrationsPerBlock::<Runtime>::get(netuid);
        #[codec(compact)] serving_rate_limit: u64 = ServingRateLimit::<Runtime>::get(netuid);
        #[codec(compact)] max_validators: u16 = MaxAllowedValidators::<Runtime>::get(netuid);
        #[codec(compact)] adjustment_alpha: u64 = AdjustmentAlpha::<Runtime>::get(netuid);
        #[codec(compact)] difficulty: u64 = Difficulty::<Runtime>::get(netuid);
        #[codec(compact)] commit_reveal_period: u64 = RevealPeriodEpochs::<Runtime>::get(netuid);
        commit_reveal_weights_enabled: bool = CommitRevealWeightsEnabled::<Runtime>::get(netuid);
        #[codec(compact)] alpha_high: u16 = AlphaValues::<Runtime>::get(netuid).1;
        #[codec(compact)] alpha_low: u16 = AlphaValues::<Runtime>::get(netuid).0;
        liquid_alpha_enabled: bool = LiquidAlphaOn::<Runtime>::get(netuid);
    }
    second {
        alpha_sigmoid_steepness: FixedI64 = steepness(netuid);
        #[codec(compact)] yuma_version: u16 = yuma_version(netuid);
        subnet_is_active: bool = SubtokenEnabled::<Runtime>::get(netuid);
        transfers_enabled: bool = TransferToggle::<Runtime>::get(netuid);
        bonds_reset_enabled: bool = BondsResetOn::<Runtime>::get(netuid);
        user_liquidity_enabled: bool = USER_LIQUIDITY;
    }
}

/// A hyperparameter of the third version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct HyperparamEntry {
    pub name: Vec<u8>,
    pub value: HyperparamValue,
}

/// Its value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub enum HyperparamValue {
    Bool(bool),
    U16(Compact<u16>),
    U32(Compact<u32>),
    U64(Compact<u64>),
    U128(Compact<u128>),
    TaoBalance(Compact<u64>),
    I32F32(FixedI64),
    U64F64(FixedU128),
}

/// By the third version.
pub fn third(netuid: u16) -> Option<Vec<HyperparamEntry>> {
    use HyperparamValue::{Bool, I32F32, TaoBalance, U16, U32, U64, U64F64};
    if !NetworksAdded::<Runtime>::get(netuid) {
        return None;
    }
    let (low, high) = AlphaValues::<Runtime>::get(netuid);
    let increase = FixedU128 {
        bits: BurnIncreaseMult::<Runtime>::get(netuid).to_bits(),
    };
    let children = MinChildkeyTake::<Runtime>::get().max(MinChildkeyTakePerSubnet::<Runtime>::get(netuid));
    let u16 = |value: u16| U16(Compact(value));
    let u64 = |value: u64| U64(Compact(value));
    let rao = |value: u64| TaoBalance(Compact(value));
    let entries = [
        ("kappa", u16(Kappa::<Runtime>::get(netuid))),
        ("immunity_period", u16(ImmunityPeriod::<Runtime>::get(netuid))),
        (
            "min_allowed_weights",
            u16(MinAllowedWeights::<Runtime>::get(netuid)),
        ),
        ("max_weights_limit", u16(MAX_WEIGHTS_LIMIT)),
        ("tempo", u16(Tempo::<Runtime>::get(netuid))),
        ("weights_version", u64(WeightsVersionKey::<Runtime>::get(netuid))),
        (
            "weights_rate_limit",
            u64(WeightsSetRateLimit::<Runtime>::get(netuid)),
        ),
        ("activity_cutoff", u64(activity_cutoff(netuid))),
        (
            "activity_cutoff_factor",
            U32(Compact(ActivityCutoffFactorMilli::<Runtime>::get(netuid))),
        ),
        (
            "registration_allowed",
            Bool(NetworkRegistrationAllowed::<Runtime>::get(netuid)),
        ),
        (
            "target_regs_per_interval",
            u16(TargetRegistrationsPerInterval::<Runtime>::get(netuid)),
        ),
        ("min_burn", rao(MinBurn::<Runtime>::get(netuid))),
        ("max_burn", rao(MaxBurn::<Runtime>::get(netuid))),
        ("burn_half_life", u16(BurnHalfLife::<Runtime>::get(netuid))),
        ("burn_increase_mult", U64F64(increase)),
        (
            "bonds_moving_avg",
            u64(BondsMovingAverage::<Runtime>::get(netuid)),
        ),
        (
            "max_regs_per_block",
            u16(MaxRegistrationsPerBlock::<Runtime>::get(netuid)),
        ),
        (
            "serving_rate_limit",
            u64(ServingRateLimit::<Runtime>::get(netuid)),
        ),
        (
            "max_validators",
            u16(MaxAllowedValidators::<Runtime>::get(netuid)),
        ),
        (
            "commit_reveal_period",
            u64(RevealPeriodEpochs::<Runtime>::get(netuid)),
        ),
        (
            "commit_reveal_weights_enabled",
            Bool(CommitRevealWeightsEnabled::<Runtime>::get(netuid)),
        ),
        ("alpha_high", u16(high)),
        ("alpha_low", u16(low)),
        (
            "liquid_alpha_enabled",
            Bool(LiquidAlphaOn::<Runtime>::get(netuid)),
        ),
        ("alpha_sigmoid_steepness", I32F32(steepness(netuid))),
        ("yuma_version", u16(yuma_version(netuid))),
        ("subnet_is_active", Bool(SubtokenEnabled::<Runtime>::get(netuid))),
        ("transfers_enabled", Bool(TransferToggle::<Runtime>::get(netuid))),
        ("bonds_reset_enabled", Bool(BondsResetOn::<Runtime>::get(netuid))),
        ("user_liquidity_enabled", Bool(USER_LIQUIDITY)),
        ("owner_cut_enabled", Bool(OwnerCutEnabled::<Runtime>::get(netuid))),
        (
            "owner_cut_auto_lock_enabled",
            Bool(OwnerCutAutoLockEnabled::<Runtime>::get(netuid)),
        ),
        ("min_childkey_take", u16(children)),
    ];
    let entry = |(name, value): (&str, HyperparamValue)| HyperparamEntry {
        name: name.as_bytes().to_vec(),
        value,
    };
    Some(entries.into_iter().map(entry).collect())
}

/// A whole number.
fn steepness(netuid: u16) -> FixedI64 {
    FixedI64 {
        bits: i64::from(AlphaSigmoidSteepness::<Runtime>::get(netuid)) << 32,
    }
}

fn yuma_version(netuid: u16) -> u16 {
    if Yuma3On::<Runtime>::get(netuid) { 3 } else { 2 }
}
