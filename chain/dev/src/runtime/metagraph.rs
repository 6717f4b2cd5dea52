//! The metagraph of a subnet, whole and selective: every column asked for, read from one state.
//!
//! One list says for both what a field is and where it comes from.

use std::cell::OnceCell;

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;

use super::collateral::{self, MinerCollateralState};
use super::pallet::{
    Active, ActivityCutoffFactorMilli, AdjustmentAlpha, AdjustmentInterval, AlphaDividendsPerSubnet,
    AlphaValues, Axons, BlockAtRegistration, BlocksSinceLastStep, BondsMovingAverage, Burn,
    CommitRevealWeightsEnabled, Consensus, Difficulty, Dividends, Emission, IdentitiesV2, ImmunityPeriod,
    Incentive, Kappa, Keys, LastMechansimStepBlock, LastUpdate, LiquidAlphaOn, MaxAllowedUids,
    MaxAllowedValidators, MaxBurn, MaxDifficulty, MaxRegistrationsPerBlock, MechanismCountCurrent,
    MinAllowedWeights, MinBurn, MinDifficulty, NetworkPowRegistrationAllowed, NetworkRegisteredAt,
    NetworkRegistrationAllowed, NetworksAdded, Owner, PendingServerEmission, PendingValidatorEmission,
    RevealPeriodEpochs, Rho, ServingRateLimit, StakeThreshold, SubnetAlphaIn, SubnetAlphaInEmission,
    SubnetAlphaOut, SubnetAlphaOutEmission, SubnetIdentitiesV3, SubnetMovingPrice, SubnetOwner,
    SubnetOwnerHotkey, SubnetTAO, SubnetTaoInEmission, SubnetVolume, SubnetworkN, TaoWeight,
    TargetRegistrationsPerInterval, Tempo, TokenSymbol, ValidatorPermit, WeightsSetRateLimit,
    WeightsVersionKey,
};
use super::stake::{self, Stake};
use super::types::{AxonInfo, ChainIdentityV2, Commitment, FixedI128, SubnetIdentityV3};
use super::weights::netuid_index;
use super::{AccountId, Runtime, SubtensorModule, cheats, commitments, subnets};

/// The chain's getter says so whatever is stored.
pub const MAX_WEIGHTS_LIMIT: u16 = u16::MAX;

type Each<T> = Vec<Compact<T>>;

/// Makes the two structs, in the chain's order of fields, and what fills them. A field is asked for by its number.
macro_rules! metagraphs {
    (
        $graph:ident;
        both { $($index:literal $name:ident: $type:ty = $value:expr;)* }
        selective { $($only_index:literal $only:ident: $only_type:ty = $only_value:expr;)* }
        last { $($last_index:literal $last:ident: $last_type:ty = $last_value:expr;)* }
    ) => {
        /// Everything about a subnet.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct Metagraph {
            #[codec(compact)]
            pub netuid: u16,
            $(pub $name: $type,)*
            $(pub $last: $last_type,)*
        }

        /// What was asked for.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct SelectiveMetagraph {
            #[codec(compact)]
            pub netuid: u16,
            $(pub $name: Option<$type>,)*
            $(pub $only: Option<$only_type>,)*
            $(pub $last: Option<$last_type>,)*
        }

        impl Metagraph {
            fn read($graph: &Graph) -> Self {
                Self {
                    netuid: $graph.index,
                    $($name: $value,)*
                    $($last: $last_value,)*
                }
            }
        }

        impl SelectiveMetagraph {
            /// Fills a field; a number nobody knows is passed over, as on the chain.
            fn fill(&mut self, $graph: &Graph, index: u16) {
                match index {
                    // The one field without an option: 0 unless asked for.
                    0 => self.netuid = $graph.netuid,
                    $($index => self.$name = Some($value),)*
                    $($only_index => self.$only = Some($only_value),)*
                    $($last_index => self.$last = Some($last_value),)*
                    _ => {}
                }
            }
        }
    };
}

metagraphs! {
    graph;
    both {
        1 name: Each<u8> = compact(name(graph.netuid));
        2 symbol: Each<u8> = compact(TokenSymbol::<Runtime>::get(graph.netuid));
        3 identity: Option<SubnetIdentityV3> = SubnetIdentitiesV3::<Runtime>::get(graph.netuid);
        4 network_registered_at: Compact<u64> = NetworkRegisteredAt::<Runtime>::get(graph.netuid).into();
        5 owner_hotkey: AccountId = SubnetOwnerHotkey::<Runtime>::get(graph.netuid);
        6 owner_coldkey: AccountId = SubnetOwner::<Runtime>::get(graph.netuid);
        7 block: Compact<u64> = SubtensorModule::now().into();
        8 tempo: Compact<u16> = Tempo::<Runtime>::get(graph.netuid).into();
        9 last_step: Compact<u64> = LastMechansimStepBlock::<Runtime>::get(graph.netuid).into();
        10 blocks_since_last_step: Compact<u64> = BlocksSinceLastStep::<Runtime>::get(graph.netuid).into();
        // The chain says 0.
        11 subnet_emission: Compact<u64> = 0.into();
        12 alpha_in: Compact<u64> = SubnetAlphaIn::<Runtime>::get(graph.netuid).into();
        13 alpha_out: Compact<u64> = SubnetAlphaOut::<Runtime>::get(graph.netuid).into();
        14 tao_in: Compact<u64> = SubnetTAO::<Runtime>::get(graph.netuid).into();
        15 alpha_out_emission: Compact<u64> = SubnetAlphaOutEmission::<Runtime>::get(graph.netuid).into();
        16 alpha_in_emission: Compact<u64> = SubnetAlphaInEmission::<Runtime>::get(graph.netuid).into();
        17 tao_in_emission: Compact<u64> = SubnetTaoInEmission::<Runtime>::get(graph.netuid).into();
        18 pending_alpha_emission: Compact<u64> = pending_emission(graph.netuid).into();
        // The chain says 0.
        19 pending_root_emission: Compact<u64> = 0.into();
        20 subnet_volume: Compact<u128> = SubnetVolume::<Runtime>::get(graph.netuid).into();
        21 moving_price: FixedI128 = moving_price(graph.netuid);
        22 rho: Compact<u16> = Rho::<Runtime>::get(graph.netuid).into();
        23 kappa: Compact<u16> = Kappa::<Runtime>::get(graph.netuid).into();
        24 min_allowed_weights: Compact<u16> = MinAllowedWeights::<Runtime>::get(graph.netuid).into();
        25 max_weights_limit: Compact<u16> = MAX_WEIGHTS_LIMIT.into();
        26 weights_version: Compact<u64> = WeightsVersionKey::<Runtime>::get(graph.netuid).into();
        27 weights_rate_limit: Compact<u64> = WeightsSetRateLimit::<Runtime>::get(graph.netuid).into();
        28 activity_cutoff: Compact<u64> = activity_cutoff(graph.netuid).into();
        29 max_validators: Compact<u16> = MaxAllowedValidators::<Runtime>::get(graph.netuid).into();
        30 num_uids: Compact<u16> = SubnetworkN::<Runtime>::get(graph.netuid).into();
        31 max_uids: Compact<u16> = MaxAllowedUids::<Runtime>::get(graph.netuid).into();
        32 burn: Compact<u64> = Burn::<Runtime>::get(graph.netuid).into();
        33 difficulty: Compact<u64> = Difficulty::<Runtime>::get(graph.netuid).into();
        34 registration_allowed: bool = NetworkRegistrationAllowed::<Runtime>::get(graph.netuid);
        35 pow_registration_allowed: bool = NetworkPowRegistrationAllowed::<Runtime>::get(graph.netuid);
        36 immunity_period: Compact<u16> = ImmunityPeriod::<Runtime>::get(graph.netuid).into();
        37 min_difficulty: Compact<u64> = MinDifficulty::<Runtime>::get(graph.netuid).into();
        38 max_difficulty: Compact<u64> = MaxDifficulty::<Runtime>::get(graph.netuid).into();
        39 min_burn: Compact<u64> = MinBurn::<Runtime>::get(graph.netuid).into();
        40 max_burn: Compact<u64> = MaxBurn::<Runtime>::get(graph.netuid).into();
        41 adjustment_alpha: Compact<u64> = AdjustmentAlpha::<Runtime>::get(graph.netuid).into();
        42 adjustment_interval: Compact<u16> = AdjustmentInterval::<Runtime>::get(graph.netuid).into();
        43 target_regs_per_interval: Compact<u16> =
            TargetRegistrationsPerInterval::<Runtime>::get(graph.netuid).into();
        44 max_regs_per_block: Compact<u16> = MaxRegistrationsPerBlock::<Runtime>::get(graph.netuid).into();
        45 serving_rate_limit: Compact<u64> = ServingRateLimit::<Runtime>::get(graph.netuid).into();
        46 commit_reveal_weights_enabled: bool = CommitRevealWeightsEnabled::<Runtime>::get(graph.netuid);
        47 commit_reveal_period: Compact<u64> = RevealPeriodEpochs::<Runtime>::get(graph.netuid).into();
        48 liquid_alpha_enabled: bool = LiquidAlphaOn::<Runtime>::get(graph.netuid);
        49 alpha_high: Compact<u16> = AlphaValues::<Runtime>::get(graph.netuid).1.into();
        50 alpha_low: Compact<u16> = AlphaValues::<Runtime>::get(graph.netuid).0.into();
        51 bonds_moving_avg: Compact<u64> = BondsMovingAverage::<Runtime>::get(graph.netuid).into();
        52 hotkeys: Vec<AccountId> = graph.hotkeys().to_vec();
        53 coldkeys: Vec<AccountId> = graph.each(|hotkey| Owner::<Runtime>::get(hotkey));
        54 identities: Vec<Option<ChainIdentityV2>> =
            graph.each(|hotkey| IdentitiesV2::<Runtime>::get(Owner::<Runtime>::get(hotkey)));
        55 axons: Vec<AxonInfo> =
            graph.each(|hotkey| Axons::<Runtime>::get(graph.netuid, hotkey).unwrap_or_default());
        56 active: Vec<bool> = Active::<Runtime>::get(graph.netuid);
        57 validator_permit: Vec<bool> = ValidatorPermit::<Runtime>::get(graph.netuid);
        // Gone from the chain's state; the column stays, and is empty.
        58 pruning_score: Each<u16> = Vec::new();
        59 last_update: Each<u64> = compact(LastUpdate::<Runtime>::get(graph.index));
        60 emission: Each<u64> = compact(Emission::<Runtime>::get(graph.netuid));
        61 dividends: Each<u16> = compact(Dividends::<Runtime>::get(graph.netuid));
        62 incentives: Each<u16> = compact(Incentive::<Runtime>::get(graph.index));
        63 consensus: Each<u16> = compact(Consensus::<Runtime>::get(graph.netuid));
        // The same.
        64 trust: Each<u16> = Vec::new();
        65 rank: Each<u16> = Vec::new();
        66 block_at_registration: Each<u64> = registrations(graph.netuid);
        67 alpha_stake: Each<u64> = graph.stake(|stake| stake.alpha);
        68 tao_stake: Each<u64> = graph.stake(|stake| stake.tao);
        69 total_stake: Each<u64> = graph.stake(|stake| stake.total);
        // The chain says 0 of each.
        70 tao_dividends_per_hotkey: Vec<(AccountId, Compact<u64>)> =
            graph.each(|hotkey| (hotkey.clone(), Compact(0)));
        71 alpha_dividends_per_hotkey: Vec<(AccountId, Compact<u64>)> = graph.dividends();
    }
    selective {
        72 validators: Each<u16> = graph.validators();
        73 commitments: Vec<Commitment> = commitments::of(graph.netuid);
    }
    last {
        74 collateral_locked: Each<u64> = graph.collateral(|state| state.locked);
        75 collateral_min: Each<u64> = graph.collateral(|state| state.min_locked);
        76 collateral_earned: Each<u64> = graph.collateral(|state| state.earned);
    }
}

/// Everything about a subnet.
pub fn full(netuid: u16) -> Option<Metagraph> {
    mechanism_full(netuid, 0)
}

/// The same, with what a mechanism has of its own, and under its `netuid_index`.
pub fn mechanism_full(netuid: u16, mechanism: u8) -> Option<Metagraph> {
    Graph::of(netuid, mechanism).map(|graph| Metagraph::read(&graph))
}

/// Every mechanism of every subnet.
pub fn all_mechanisms() -> Vec<Option<Metagraph>> {
    let of = |netuid: u16| {
        let mechanisms = 0..MechanismCountCurrent::<Runtime>::get(netuid);
        mechanisms.map(move |mechanism| mechanism_full(netuid, mechanism))
    };
    subnets::netuids().into_iter().flat_map(of).collect()
}

/// What `indexes` names of a subnet.
pub fn selective(netuid: u16, indexes: &[u16]) -> Option<SelectiveMetagraph> {
    let graph = Graph::of(netuid, 0)?;
    let mut answer = SelectiveMetagraph::default();
    indexes.iter().for_each(|index| answer.fill(&graph, *index));
    Some(answer)
}

/// The same, with what a mechanism has of its own; its netuid is told always.
pub fn mechanism_selective(netuid: u16, mechanism: u8, indexes: &[u16]) -> Option<SelectiveMetagraph> {
    let graph = Graph::of(netuid, mechanism)?;
    let mut answer = SelectiveMetagraph {
        netuid,
        ..SelectiveMetagraph::default()
    };
    indexes.iter().for_each(|index| answer.fill(&graph, *index));
    Some(answer)
}

/// A mechanism of a subnet, and what several columns are made from, read when the first of them is.
pub struct Graph {
    netuid: u16,
    index: u16,
    hotkeys: OnceCell<Vec<AccountId>>,
    stakes: OnceCell<Vec<Stake>>,
}

impl Graph {
    /// `None` if there is no such subnet, or it has no such mechanism.
    pub fn of(netuid: u16, mechanism: u8) -> Option<Self> {
        let exists = NetworksAdded::<Runtime>::get(netuid)
            && mechanism < MechanismCountCurrent::<Runtime>::get(netuid);
        exists.then(|| Self {
            netuid,
            index: netuid_index(netuid, mechanism),
            hotkeys: OnceCell::new(),
            stakes: OnceCell::new(),
        })
    }

    pub fn hotkeys(&self) -> &[AccountId] {
        self.hotkeys.get_or_init(|| {
            let uids = 0..SubnetworkN::<Runtime>::get(self.netuid);
            uids.map(|uid| Keys::<Runtime>::get(self.netuid, uid)).collect()
        })
    }

    /// Something of each hotkey, by uid.
    pub fn each<T>(&self, of: impl Fn(&AccountId) -> T) -> Vec<T> {
        self.hotkeys().iter().map(of).collect()
    }

    fn stakes(&self) -> &[Stake] {
        self.stakes.get_or_init(|| {
            let tao_weight = TaoWeight::<Runtime>::get();
            let mut stakes = self.each(|hotkey| stake::weighted(self.netuid, hotkey, tao_weight));
            if let Some((uid, rao)) = cheats::misstated(self.netuid)
                && let Some(stake) = stakes.get_mut(usize::from(uid))
            {
                stake.alpha = stake.alpha.saturating_add(rao);
                stake.total = stake.total.saturating_add(rao);
            }
            stakes
        })
    }

    pub fn stake(&self, part: impl Fn(&Stake) -> u64) -> Vec<Compact<u64>> {
        self.stakes().iter().map(|stake| Compact(part(stake))).collect()
    }

    /// Something of what the owner of each hotkey has locked on it.
    fn collateral(&self, part: impl Fn(&MinerCollateralState) -> u64) -> Vec<Compact<u64>> {
        self.each(|hotkey| Compact(collateral::of(self.netuid, hotkey).map_or(0, |state| part(&state))))
    }

    /// Permit holders whose stake weight is above the threshold, the smallest stake first.
    fn validators(&self) -> Vec<Compact<u16>> {
        let threshold = StakeThreshold::<Runtime>::get();
        let permits = ValidatorPermit::<Runtime>::get(self.netuid);
        let mut holders: Vec<(u64, u16)> = (0u16..)
            .zip(self.stakes().iter().zip(permits))
            .filter(|(_, (stake, permit))| *permit && stake.total > threshold)
            .map(|(uid, (stake, _))| (stake.total, uid))
            .collect();
        holders.sort_by_key(|(total, _)| *total);
        holders.into_iter().map(|(_, uid)| Compact(uid)).collect()
    }

    /// What the stake of hotkeys was given at the last epoch, of those that were given any.
    fn dividends(&self) -> Vec<(AccountId, Compact<u64>)> {
        let given = AlphaDividendsPerSubnet::<Runtime>::iter_prefix(self.netuid);
        given.map(|(hotkey, rao)| (hotkey, Compact(rao))).collect()
    }
}

/// What a subnet is called: as it says, or as the chain calls those that say nothing and are in no list of names.
pub fn name(netuid: u16) -> Vec<u8> {
    let own = SubnetIdentitiesV3::<Runtime>::get(netuid).map(|identity| identity.subnet_name);
    own.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let name: &[u8] = if netuid == 0 { b"root" } else { b"unknown" };
        name.to_vec()
    })
}

pub fn moving_price(netuid: u16) -> FixedI128 {
    FixedI128 {
        bits: SubnetMovingPrice::<Runtime>::get(netuid).to_bits(),
    }
}

pub fn registrations(netuid: u16) -> Vec<Compact<u64>> {
    (0..SubnetworkN::<Runtime>::get(netuid))
        .map(|uid| Compact(BlockAtRegistration::<Runtime>::get(netuid, uid)))
        .collect()
}

pub fn pending_emission(netuid: u16) -> u64 {
    let validators = PendingValidatorEmission::<Runtime>::get(netuid);
    PendingServerEmission::<Runtime>::get(netuid).saturating_add(validators)
}

/// Blocks after which a silent uid is inactive.
pub fn activity_cutoff(netuid: u16) -> u64 {
    let factor = u64::from(ActivityCutoffFactorMilli::<Runtime>::get(netuid));
    (factor * u64::from(Tempo::<Runtime>::get(netuid)) / 1_000).max(1)
}

pub fn compact<T>(values: Vec<T>) -> Vec<Compact<T>> {
    values.into_iter().map(Compact).collect()
}
