//! The selective metagraph: every column asked for, read from one state.
//!
//! A field nothing on this chain feeds is `None` even when asked for, rather than an invented value.

use std::cell::OnceCell;

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;

use super::pallet::{
    Active, ActivityCutoffFactorMilli, AlphaValues, Axons, BlockAtRegistration, BlocksSinceLastStep,
    BondsMovingAverage, Burn, CommitRevealWeightsEnabled, Consensus, Dividends, Emission, ImmunityPeriod,
    Incentive, Kappa, Keys, LastMechansimStepBlock, LastUpdate, LiquidAlphaOn, MaxAllowedUids,
    MaxAllowedValidators, MaxBurn, MinAllowedWeights, MinBurn, NetworkRegisteredAt,
    NetworkRegistrationAllowed, NetworksAdded, Owner, PendingServerEmission, PendingValidatorEmission,
    RevealPeriodEpochs, ServingRateLimit, StakeThreshold, SubnetOwner, SubnetOwnerHotkey, SubnetworkN, Tempo,
    TokenSymbol, ValidatorPermit, WeightsSetRateLimit, WeightsVersionKey,
};
use super::stake::{self, Stake};
use super::types::{AxonInfo, ChainIdentityV2, Commitment, FixedI128, SubnetIdentityV3};
use super::{AccountId, Runtime, SubtensorModule};

/// The chain's getter says so whatever is stored.
const MAX_WEIGHTS_LIMIT: u16 = u16::MAX;

/// All fields in the chain's order. Field `n` is filled if the request names index `n`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SelectiveMetagraph {
    #[codec(compact)]
    pub netuid: u16,
    pub name: Option<Vec<Compact<u8>>>,
    pub symbol: Option<Vec<Compact<u8>>>,
    #[expect(clippy::option_option, reason = "asked for or not, and there or not")]
    pub identity: Option<Option<SubnetIdentityV3>>,
    pub network_registered_at: Option<Compact<u64>>,
    pub owner_hotkey: Option<AccountId>,
    pub owner_coldkey: Option<AccountId>,
    pub block: Option<Compact<u64>>,
    pub tempo: Option<Compact<u16>>,
    pub last_step: Option<Compact<u64>>,
    pub blocks_since_last_step: Option<Compact<u64>>,
    pub subnet_emission: Option<Compact<u64>>,
    pub alpha_in: Option<Compact<u64>>,
    pub alpha_out: Option<Compact<u64>>,
    pub tao_in: Option<Compact<u64>>,
    pub alpha_out_emission: Option<Compact<u64>>,
    pub alpha_in_emission: Option<Compact<u64>>,
    pub tao_in_emission: Option<Compact<u64>>,
    pub pending_alpha_emission: Option<Compact<u64>>,
    pub pending_root_emission: Option<Compact<u64>>,
    pub subnet_volume: Option<Compact<u128>>,
    pub moving_price: Option<FixedI128>,
    pub rho: Option<Compact<u16>>,
    pub kappa: Option<Compact<u16>>,
    pub min_allowed_weights: Option<Compact<u16>>,
    pub max_weights_limit: Option<Compact<u16>>,
    pub weights_version: Option<Compact<u64>>,
    pub weights_rate_limit: Option<Compact<u64>>,
    pub activity_cutoff: Option<Compact<u64>>,
    pub max_validators: Option<Compact<u16>>,
    pub num_uids: Option<Compact<u16>>,
    pub max_uids: Option<Compact<u16>>,
    pub burn: Option<Compact<u64>>,
    pub difficulty: Option<Compact<u64>>,
    pub registration_allowed: Option<bool>,
    pub pow_registration_allowed: Option<bool>,
    pub immunity_period: Option<Compact<u16>>,
    pub min_difficulty: Option<Compact<u64>>,
    pub max_difficulty: Option<Compact<u64>>,
    pub min_burn: Option<Compact<u64>>,
    pub max_burn: Option<Compact<u64>>,
    pub adjustment_alpha: Option<Compact<u64>>,
    pub adjustment_interval: Option<Compact<u16>>,
    pub target_regs_per_interval: Option<Compact<u16>>,
    pub max_regs_per_block: Option<Compact<u16>>,
    pub serving_rate_limit: Option<Compact<u64>>,
    pub commit_reveal_weights_enabled: Option<bool>,
    pub commit_reveal_period: Option<Compact<u64>>,
    pub liquid_alpha_enabled: Option<bool>,
    pub alpha_high: Option<Compact<u16>>,
    pub alpha_low: Option<Compact<u16>>,
    pub bonds_moving_avg: Option<Compact<u64>>,
    pub hotkeys: Option<Vec<AccountId>>,
    pub coldkeys: Option<Vec<AccountId>>,
    pub identities: Option<Vec<Option<ChainIdentityV2>>>,
    pub axons: Option<Vec<AxonInfo>>,
    pub active: Option<Vec<bool>>,
    pub validator_permit: Option<Vec<bool>>,
    pub pruning_score: Option<Vec<Compact<u16>>>,
    pub last_update: Option<Vec<Compact<u64>>>,
    pub emission: Option<Vec<Compact<u64>>>,
    pub dividends: Option<Vec<Compact<u16>>>,
    pub incentives: Option<Vec<Compact<u16>>>,
    pub consensus: Option<Vec<Compact<u16>>>,
    pub trust: Option<Vec<Compact<u16>>>,
    pub rank: Option<Vec<Compact<u16>>>,
    pub block_at_registration: Option<Vec<Compact<u64>>>,
    pub alpha_stake: Option<Vec<Compact<u64>>>,
    pub tao_stake: Option<Vec<Compact<u64>>>,
    pub total_stake: Option<Vec<Compact<u64>>>,
    pub tao_dividends_per_hotkey: Option<Vec<(AccountId, Compact<u64>)>>,
    pub alpha_dividends_per_hotkey: Option<Vec<(AccountId, Compact<u64>)>>,
    pub validators: Option<Vec<Compact<u16>>>,
    pub commitments: Option<Vec<Commitment>>,
    pub collateral_locked: Option<Vec<Compact<u64>>>,
    pub collateral_min: Option<Vec<Compact<u64>>>,
    pub collateral_earned: Option<Vec<Compact<u64>>>,
}

/// The columns of a subnet that `indexes` names; an index nobody knows is passed over, as the chain does.
pub fn selective(netuid: u16, indexes: &[u16]) -> Option<SelectiveMetagraph> {
    if !NetworksAdded::<Runtime>::get(netuid) {
        return None;
    }
    let mut graph = SelectiveMetagraph::default();
    let uids = Uids {
        netuid,
        hotkeys: OnceCell::new(),
        stakes: OnceCell::new(),
    };
    for &index in indexes {
        fill(&mut graph, netuid, &uids, index);
    }
    Some(graph)
}

/// What several columns are made from, read when the first of them is.
struct Uids {
    netuid: u16,
    hotkeys: OnceCell<Vec<AccountId>>,
    stakes: OnceCell<Vec<Stake>>,
}

impl Uids {
    fn hotkeys(&self) -> &[AccountId] {
        self.hotkeys.get_or_init(|| {
            let uids = 0..SubnetworkN::<Runtime>::get(self.netuid);
            uids.map(|uid| Keys::<Runtime>::get(self.netuid, uid)).collect()
        })
    }

    fn stakes(&self) -> &[Stake] {
        self.stakes.get_or_init(|| {
            self.hotkeys()
                .iter()
                .map(|hotkey| stake::of(self.netuid, hotkey))
                .collect()
        })
    }

    fn column(&self, part: impl Fn(&Stake) -> u64) -> Vec<Compact<u64>> {
        self.stakes().iter().map(|stake| Compact(part(stake))).collect()
    }

    fn axons(&self) -> Vec<AxonInfo> {
        let axon = |hotkey| Axons::<Runtime>::get(self.netuid, hotkey).unwrap_or_default();
        self.hotkeys().iter().map(axon).collect()
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
}

fn fill(graph: &mut SelectiveMetagraph, netuid: u16, uids: &Uids, index: u16) {
    match index {
        // The one field without an option: 0 unless asked for.
        0 => graph.netuid = netuid,
        2 => graph.symbol = Some(compact(TokenSymbol::<Runtime>::get(netuid))),
        4 => graph.network_registered_at = Some(Compact(NetworkRegisteredAt::<Runtime>::get(netuid))),
        5 => graph.owner_hotkey = Some(SubnetOwnerHotkey::<Runtime>::get(netuid)),
        6 => graph.owner_coldkey = Some(SubnetOwner::<Runtime>::get(netuid)),
        7 => graph.block = Some(Compact(SubtensorModule::now())),
        8 => graph.tempo = Some(Compact(Tempo::<Runtime>::get(netuid))),
        9 => graph.last_step = Some(Compact(LastMechansimStepBlock::<Runtime>::get(netuid))),
        10 => graph.blocks_since_last_step = Some(Compact(BlocksSinceLastStep::<Runtime>::get(netuid))),
        11 => graph.subnet_emission = Some(Compact(0)),
        18 => graph.pending_alpha_emission = Some(Compact(pending_emission(netuid))),
        23 => graph.kappa = Some(Compact(Kappa::<Runtime>::get(netuid))),
        24 => graph.min_allowed_weights = Some(Compact(MinAllowedWeights::<Runtime>::get(netuid))),
        25 => graph.max_weights_limit = Some(Compact(MAX_WEIGHTS_LIMIT)),
        26 => graph.weights_version = Some(Compact(WeightsVersionKey::<Runtime>::get(netuid))),
        27 => graph.weights_rate_limit = Some(Compact(WeightsSetRateLimit::<Runtime>::get(netuid))),
        28 => graph.activity_cutoff = Some(Compact(activity_cutoff(netuid))),
        29 => graph.max_validators = Some(Compact(MaxAllowedValidators::<Runtime>::get(netuid))),
        30 => graph.num_uids = Some(Compact(SubnetworkN::<Runtime>::get(netuid))),
        31 => graph.max_uids = Some(Compact(MaxAllowedUids::<Runtime>::get(netuid))),
        32 => graph.burn = Some(Compact(Burn::<Runtime>::get(netuid))),
        34 => graph.registration_allowed = Some(NetworkRegistrationAllowed::<Runtime>::get(netuid)),
        36 => graph.immunity_period = Some(Compact(ImmunityPeriod::<Runtime>::get(netuid))),
        39 => graph.min_burn = Some(Compact(MinBurn::<Runtime>::get(netuid))),
        40 => graph.max_burn = Some(Compact(MaxBurn::<Runtime>::get(netuid))),
        45 => graph.serving_rate_limit = Some(Compact(ServingRateLimit::<Runtime>::get(netuid))),
        46 => graph.commit_reveal_weights_enabled = Some(CommitRevealWeightsEnabled::<Runtime>::get(netuid)),
        47 => graph.commit_reveal_period = Some(Compact(RevealPeriodEpochs::<Runtime>::get(netuid))),
        48 => graph.liquid_alpha_enabled = Some(LiquidAlphaOn::<Runtime>::get(netuid)),
        49 => graph.alpha_high = Some(Compact(AlphaValues::<Runtime>::get(netuid).1)),
        50 => graph.alpha_low = Some(Compact(AlphaValues::<Runtime>::get(netuid).0)),
        51 => graph.bonds_moving_avg = Some(Compact(BondsMovingAverage::<Runtime>::get(netuid))),
        52 => graph.hotkeys = Some(uids.hotkeys().to_vec()),
        53 => graph.coldkeys = Some(uids.hotkeys().iter().map(Owner::<Runtime>::get).collect()),
        55 => graph.axons = Some(uids.axons()),
        56 => graph.active = Some(Active::<Runtime>::get(netuid)),
        57 => graph.validator_permit = Some(ValidatorPermit::<Runtime>::get(netuid)),
        58 => graph.pruning_score = Some(Vec::new()),
        59 => graph.last_update = Some(compact(LastUpdate::<Runtime>::get(netuid))),
        60 => graph.emission = Some(compact(Emission::<Runtime>::get(netuid))),
        61 => graph.dividends = Some(compact(Dividends::<Runtime>::get(netuid))),
        62 => graph.incentives = Some(compact(Incentive::<Runtime>::get(netuid))),
        63 => graph.consensus = Some(compact(Consensus::<Runtime>::get(netuid))),
        64 => graph.trust = Some(Vec::new()),
        65 => graph.rank = Some(Vec::new()),
        66 => graph.block_at_registration = Some(registrations(netuid)),
        67 => graph.alpha_stake = Some(uids.column(|stake| stake.alpha)),
        68 => graph.tao_stake = Some(uids.column(|stake| stake.tao)),
        69 => graph.total_stake = Some(uids.column(|stake| stake.total)),
        72 => graph.validators = Some(uids.validators()),
        _ => {}
    }
}

fn registrations(netuid: u16) -> Vec<Compact<u64>> {
    (0..SubnetworkN::<Runtime>::get(netuid))
        .map(|uid| Compact(BlockAtRegistration::<Runtime>::get(netuid, uid)))
        .collect()
}

fn pending_emission(netuid: u16) -> u64 {
    let validators = PendingValidatorEmission::<Runtime>::get(netuid);
    PendingServerEmission::<Runtime>::get(netuid).saturating_add(validators)
}

/// Blocks after which a silent uid is inactive.
pub fn activity_cutoff(netuid: u16) -> u64 {
    let factor = u64::from(ActivityCutoffFactorMilli::<Runtime>::get(netuid));
    (factor * u64::from(Tempo::<Runtime>::get(netuid)) / 1_000).max(1)
}

fn compact<T>(values: Vec<T>) -> Vec<Compact<T>> {
    values.into_iter().map(Compact).collect()
}
