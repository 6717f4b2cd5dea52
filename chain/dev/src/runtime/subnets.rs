//! What the chain tells of subnets, beside their metagraph.

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;

use super::metagraph::{
    Graph, MAX_WEIGHTS_LIMIT, compact, moving_price, name, pending_emission, registrations,
};
use super::pallet::{
    Active, BlocksSinceLastStep, Burn, Consensus, Difficulty, Dividends, Emission, ImmunityPeriod, Incentive,
    Kappa, LastEpochBlock, LastHotkeyEmissionOnNetuid, LastMechansimStepBlock, LastUpdate, MaxAllowedUids,
    MaxAllowedValidators, MinAllowedWeights, NetworkRegisteredAt, NetworksAdded, Owner, PendingEpochAt, Rho,
    ScalingLawPower, SubnetAlphaIn, SubnetAlphaInEmission, SubnetAlphaOut, SubnetAlphaOutEmission,
    SubnetIdentitiesV3, SubnetOwner, SubnetOwnerHotkey, SubnetTAO, SubnetTaoInEmission, SubnetVolume,
    SubnetworkN, Tempo, TokenSymbol, ValidatorPermit,
};
use super::types::{FixedI128, SubnetIdentityV3};
use super::{AccountId, Runtime};

/// Makes the two structs: the second ends with an identity and names one field otherwise.
macro_rules! infos {
    ($netuid:ident; $($name:ident: $type:ty = $value:expr;)*) => {
        /// A subnet, by the first version.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct SubnetInfo {
            $(pub $name: $type,)*
            pub emission_values: Compact<u64>,
            pub burn: Compact<u64>,
            pub owner: AccountId,
        }

        /// A subnet, by the second version.
        #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
        pub struct SubnetInfov2 {
            $(pub $name: $type,)*
            pub emission_value: Compact<u64>,
            pub burn: Compact<u64>,
            pub owner: AccountId,
            pub identity: Option<SubnetIdentityV3>,
        }

        /// A subnet, by the first version; `None` if there is no such.
        pub fn info($netuid: u16) -> Option<SubnetInfo> {
            NetworksAdded::<Runtime>::get($netuid).then(|| SubnetInfo {
                $($name: $value,)*
                emission_values: Compact(0),
                burn: Burn::<Runtime>::get($netuid).into(),
                owner: SubnetOwner::<Runtime>::get($netuid),
            })
        }

        /// A subnet, by the second version.
        pub fn info_v2($netuid: u16) -> Option<SubnetInfov2> {
            NetworksAdded::<Runtime>::get($netuid).then(|| SubnetInfov2 {
                $($name: $value,)*
                emission_value: Compact(0),
                burn: Burn::<Runtime>::get($netuid).into(),
                owner: SubnetOwner::<Runtime>::get($netuid),
                identity: SubnetIdentitiesV3::<Runtime>::get($netuid),
            })
        }
    };
}

infos! {
    netuid;
    netuid: Compact<u16> = netuid.into();
    rho: Compact<u16> = Rho::<Runtime>::get(netuid).into();
    kappa: Compact<u16> = Kappa::<Runtime>::get(netuid).into();
    difficulty: Compact<u64> = Difficulty::<Runtime>::get(netuid).into();
    immunity_period: Compact<u16> = ImmunityPeriod::<Runtime>::get(netuid).into();
    max_allowed_validators: Compact<u16> = MaxAllowedValidators::<Runtime>::get(netuid).into();
    min_allowed_weights: Compact<u16> = MinAllowedWeights::<Runtime>::get(netuid).into();
    max_weights_limit: Compact<u16> = MAX_WEIGHTS_LIMIT.into();
    scaling_law_power: Compact<u16> = ScalingLawPower::<Runtime>::get(netuid).into();
    subnetwork_n: Compact<u16> = SubnetworkN::<Runtime>::get(netuid).into();
    max_allowed_uids: Compact<u16> = MaxAllowedUids::<Runtime>::get(netuid).into();
    blocks_since_last_step: Compact<u64> = BlocksSinceLastStep::<Runtime>::get(netuid).into();
    tempo: Compact<u16> = Tempo::<Runtime>::get(netuid).into();
    network_modality: Compact<u16> = 0.into();
    network_connect: Vec<[u16; 2]> = Vec::new();
}

/// A subnet's price and emission.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DynamicInfo {
    #[codec(compact)]
    pub netuid: u16,
    pub owner_hotkey: AccountId,
    pub owner_coldkey: AccountId,
    pub subnet_name: Vec<Compact<u8>>,
    pub token_symbol: Vec<Compact<u8>>,
    #[codec(compact)]
    pub tempo: u16,
    #[codec(compact)]
    pub last_step: u64,
    #[codec(compact)]
    pub blocks_since_last_step: u64,
    #[codec(compact)]
    pub emission: u64,
    #[codec(compact)]
    pub alpha_in: u64,
    #[codec(compact)]
    pub alpha_out: u64,
    #[codec(compact)]
    pub tao_in: u64,
    #[codec(compact)]
    pub alpha_out_emission: u64,
    #[codec(compact)]
    pub alpha_in_emission: u64,
    #[codec(compact)]
    pub tao_in_emission: u64,
    #[codec(compact)]
    pub pending_alpha_emission: u64,
    #[codec(compact)]
    pub pending_root_emission: u64,
    #[codec(compact)]
    pub subnet_volume: u128,
    #[codec(compact)]
    pub network_registered_at: u64,
    pub subnet_identity: Option<SubnetIdentityV3>,
    pub moving_price: FixedI128,
}

/// The columns of a subnet without its settings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SubnetState {
    #[codec(compact)]
    pub netuid: u16,
    pub hotkeys: Vec<AccountId>,
    pub coldkeys: Vec<AccountId>,
    pub active: Vec<bool>,
    pub validator_permit: Vec<bool>,
    pub pruning_score: Vec<Compact<u16>>,
    pub last_update: Vec<Compact<u64>>,
    pub emission: Vec<Compact<u64>>,
    pub dividends: Vec<Compact<u16>>,
    pub incentives: Vec<Compact<u16>>,
    pub consensus: Vec<Compact<u16>>,
    pub trust: Vec<Compact<u16>>,
    pub rank: Vec<Compact<u16>>,
    pub block_at_registration: Vec<Compact<u64>>,
    pub alpha_stake: Vec<Compact<u64>>,
    pub tao_stake: Vec<Compact<u64>>,
    pub total_stake: Vec<Compact<u64>>,
    /// Of each subnet, by uid of this one.
    pub emission_history: Vec<Vec<Compact<u64>>>,
}

/// Every subnet by its number, in order; `None` stands for numbers that are free.
pub fn each<T>(of: impl Fn(u16) -> Option<T>) -> Vec<Option<T>> {
    let last = netuids().last().copied().unwrap_or_default();
    (0..=last).map(of).collect()
}

/// The numbers of all subnets, in order.
pub fn netuids() -> Vec<u16> {
    let added = NetworksAdded::<Runtime>::iter().filter_map(|(netuid, added)| added.then_some(netuid));
    let mut netuids: Vec<u16> = added.collect();
    netuids.sort_unstable();
    netuids
}

/// A subnet's price and emission; `None` if there is no such.
pub fn dynamic(netuid: u16) -> Option<DynamicInfo> {
    NetworksAdded::<Runtime>::get(netuid).then(|| DynamicInfo {
        netuid,
        owner_hotkey: SubnetOwnerHotkey::<Runtime>::get(netuid),
        owner_coldkey: SubnetOwner::<Runtime>::get(netuid),
        subnet_name: compact(name(netuid)),
        token_symbol: compact(TokenSymbol::<Runtime>::get(netuid)),
        tempo: Tempo::<Runtime>::get(netuid),
        last_step: LastMechansimStepBlock::<Runtime>::get(netuid),
        blocks_since_last_step: BlocksSinceLastStep::<Runtime>::get(netuid),
        // The chain says 0 of this and of what is pending for root.
        emission: 0,
        alpha_in: SubnetAlphaIn::<Runtime>::get(netuid),
        alpha_out: SubnetAlphaOut::<Runtime>::get(netuid),
        tao_in: SubnetTAO::<Runtime>::get(netuid),
        alpha_out_emission: SubnetAlphaOutEmission::<Runtime>::get(netuid),
        alpha_in_emission: SubnetAlphaInEmission::<Runtime>::get(netuid),
        tao_in_emission: SubnetTaoInEmission::<Runtime>::get(netuid),
        pending_alpha_emission: pending_emission(netuid),
        pending_root_emission: 0,
        subnet_volume: SubnetVolume::<Runtime>::get(netuid),
        network_registered_at: NetworkRegisteredAt::<Runtime>::get(netuid),
        subnet_identity: SubnetIdentitiesV3::<Runtime>::get(netuid),
        moving_price: moving_price(netuid),
    })
}

/// The columns of a subnet; `None` if there is no such.
pub fn state(netuid: u16) -> Option<SubnetState> {
    let graph = Graph::of(netuid, 0)?;
    let emitted = |subnet: u16| {
        graph.each(|hotkey| Compact(LastHotkeyEmissionOnNetuid::<Runtime>::get(hotkey, subnet)))
    };
    Some(SubnetState {
        netuid,
        hotkeys: graph.hotkeys().to_vec(),
        coldkeys: graph.each(|hotkey| Owner::<Runtime>::get(hotkey)),
        active: Active::<Runtime>::get(netuid),
        validator_permit: ValidatorPermit::<Runtime>::get(netuid),
        pruning_score: Vec::new(),
        last_update: compact(LastUpdate::<Runtime>::get(netuid)),
        emission: compact(Emission::<Runtime>::get(netuid)),
        dividends: compact(Dividends::<Runtime>::get(netuid)),
        incentives: compact(Incentive::<Runtime>::get(netuid)),
        consensus: compact(Consensus::<Runtime>::get(netuid)),
        trust: Vec::new(),
        rank: Vec::new(),
        block_at_registration: registrations(netuid),
        alpha_stake: graph.stake(|stake| stake.alpha),
        tao_stake: graph.stake(|stake| stake.tao),
        total_stake: graph.stake(|stake| stake.total),
        emission_history: netuids().into_iter().map(emitted).collect(),
    })
}

/// The block at which the next epoch is due by the schedule; `None` if there are none.
pub fn next_epoch(netuid: u16) -> Option<u64> {
    let tempo = u64::from(Tempo::<Runtime>::get(netuid));
    let next = LastEpochBlock::<Runtime>::get(netuid).saturating_add(tempo);
    let pending = PendingEpochAt::<Runtime>::get(netuid);
    (tempo != 0).then(|| if pending > 0 { next.min(pending) } else { next })
}
