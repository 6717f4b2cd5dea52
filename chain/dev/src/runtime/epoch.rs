//! Epochs: when one is due, what Yuma is given, and where its outcome is stored.
//!
//! What they pay out is in `payout`.

use std::collections::BTreeMap;

use substrate_fixed::types::U64F64;

use super::metagraph::activity_cutoff;
use super::pallet::{
    Active, AlphaSigmoidSteepness, AlphaValues, BlockAtRegistration, BlocksSinceLastStep, Bonds,
    BondsMovingAverage, BondsPenalty, CommitRevealWeightsEnabled, Consensus, ConsensusByMechanism, Dividends,
    Emission, Event, Incentive, Kappa, Keys, LastEpochBlock, LastMechansimStepBlock, LastUpdate,
    LiquidAlphaOn, MaxAllowedValidators, MaxEpochsPerBlock, MechanismCountCurrent, MechanismEmissionSplit,
    NetworksAdded, PendingEpochAt, PendingServerEmission, PendingValidatorEmission, StakeThreshold,
    StakeWeight, SubnetEpochIndex, SubnetOwnerHotkey, SubnetworkN, TaoWeight, Tempo, Uids, ValidatorPermit,
    ValidatorTrust, Weights, Yuma3On,
};
use super::payout::Earned;
use super::timelocked::first_commits;
use super::weights::{first_commit, netuid_index};
use super::yuma::{BondRules, Epoch, LiquidAlpha, Outcome, Uid};
use super::{AccountId, Runtime, SubtensorModule, children, coinbase, payout, stake};

/// Whether epochs run by themselves; no item of the chain's.
const EPOCHS_KEY: &[u8] = b":violet:epochs";

/// An epoch runs after so many blocks whatever the schedule says.
const LONGEST_TEMPO: u64 = 50_400;

/// Lets epochs run by themselves or not.
pub fn enable(enabled: bool) {
    if enabled {
        sp_io::storage::set(EPOCHS_KEY, &[1]);
    } else {
        sp_io::storage::clear(EPOCHS_KEY);
    }
}

/// What happens at the start of each block.
pub fn step() {
    let mut subnets: Vec<u16> = NetworksAdded::<Runtime>::iter()
        .filter_map(|(netuid, added)| added.then_some(netuid))
        .collect();
    subnets.sort_unstable();
    for netuid in &subnets {
        BlocksSinceLastStep::<Runtime>::mutate(netuid, |blocks| *blocks = blocks.saturating_add(1));
    }
    if !sp_io::storage::exists(EPOCHS_KEY) {
        return;
    }
    let now = SubtensorModule::now();
    let mut left = MaxEpochsPerBlock::<Runtime>::get();
    subnets.retain(|netuid| *netuid != 0);
    coinbase::step(&subnets);
    for netuid in subnets.iter().copied() {
        if !is_due(netuid) {
            continue;
        }
        if let Some(fewer) = left.checked_sub(1) {
            left = fewer;
            run(netuid);
        } else {
            PendingEpochAt::<Runtime>::insert(netuid, now + 1);
            SubtensorModule::deposit_event(Event::EpochDeferred {
                netuid,
                from_block: now,
                to_block: now + 1,
            });
        }
    }
    coinbase::after(&subnets);
}

/// Whether an epoch is to run in this block.
fn is_due(netuid: u16) -> bool {
    let tempo = u64::from(Tempo::<Runtime>::get(netuid));
    let now = SubtensorModule::now();
    let pending = PendingEpochAt::<Runtime>::get(netuid);
    let put_off = pending > 0 && now >= pending;
    let overdue = BlocksSinceLastStep::<Runtime>::get(netuid) > LONGEST_TEMPO;
    let elapsed = now.saturating_sub(LastEpochBlock::<Runtime>::get(netuid)) >= tempo;
    tempo != 0 && (put_off || overdue || elapsed)
}

/// The epoch that a commit or a reveal in this block belongs to.
pub fn current(netuid: u16) -> u64 {
    let runs_by_itself = sp_io::storage::exists(EPOCHS_KEY);
    let ahead = u64::from(runs_by_itself && is_due(netuid));
    SubnetEpochIndex::<Runtime>::get(netuid).saturating_add(ahead)
}

/// The uid that has a permit whatever it has staked.
pub fn owner_uid(netuid: u16) -> Option<u16> {
    Uids::<Runtime>::get(netuid, SubnetOwnerHotkey::<Runtime>::get(netuid))
}

/// Runs an epoch of a subnet in this block.
pub fn run(netuid: u16) {
    let now = SubtensorModule::now();
    BlocksSinceLastStep::<Runtime>::insert(netuid, 0);
    LastEpochBlock::<Runtime>::insert(netuid, now);
    PendingEpochAt::<Runtime>::insert(netuid, 0);
    SubnetEpochIndex::<Runtime>::mutate(netuid, |index| *index = index.saturating_add(1));
    let emission = PendingServerEmission::<Runtime>::take(netuid)
        .saturating_add(PendingValidatorEmission::<Runtime>::take(netuid));

    let mut whole: Option<Outcome> = None;
    let mut earned: Vec<Earned> = Vec::new();
    for (mechanism, part) in (0u8..).zip(split(netuid, emission)) {
        let outcome = epoch(netuid, mechanism, part).run();
        write_mechanism(netuid_index(netuid, mechanism), &outcome);
        earned.extend(earnings(netuid, &outcome));
        // Without emission the first mechanism counts for all.
        let weight = U64F64::from_num(part)
            .checked_div(U64F64::from_num(emission))
            .unwrap_or_else(|| U64F64::from_num(u8::from(mechanism == 0)));
        whole = Some(match whole {
            None => scaled(&outcome, weight),
            Some(whole) => added(whole, &outcome, weight),
        });
    }
    if let Some(whole) = whole {
        write_subnet(netuid, whole);
    }
    payout::pay(netuid, &earned);
    LastMechansimStepBlock::<Runtime>::insert(netuid, now);
    children::apply(netuid);
}

/// What a mechanism gave the hotkeys of a subnet.
fn earnings(netuid: u16, outcome: &Outcome) -> impl Iterator<Item = Earned> {
    let both = outcome.server_emission.iter().zip(&outcome.validator_emission);
    (0u16..)
        .zip(both)
        .map(move |(uid, (incentive, dividends))| Earned {
            hotkey: Keys::<Runtime>::get(netuid, uid),
            incentive: *incentive,
            dividends: *dividends,
        })
}

/// The emission of each mechanism; what rounding leaves goes to the first.
fn split(netuid: u16, emission: u64) -> Vec<u64> {
    let mechanisms = usize::from(MechanismCountCurrent::<Runtime>::get(netuid)).max(1);
    let parts = MechanismEmissionSplit::<Runtime>::get(netuid).filter(|parts| parts.len() == mechanisms);
    let mut shares: Vec<u64> = match parts {
        Some(parts) => parts
            .iter()
            .map(|part| u128::from(emission) * u128::from(*part) / u128::from(u16::MAX))
            .map(|share| u64::try_from(share).unwrap_or(u64::MAX))
            .collect(),
        None => vec![emission / mechanisms as u64; mechanisms],
    };
    let given: u64 = shares.iter().sum();
    shares[0] += emission.saturating_sub(given);
    shares
}

/// What Yuma looks at, read from the state.
fn epoch(netuid: u16, mechanism: u8, emission: u64) -> Epoch {
    let block = SubtensorModule::now();
    let tempo = u64::from(Tempo::<Runtime>::get(netuid));
    let last_tempo = match LastMechansimStepBlock::<Runtime>::get(netuid) {
        0 => block.saturating_sub(tempo),
        last => last.saturating_add(1),
    };
    let (low, high) = AlphaValues::<Runtime>::get(netuid);
    let liquid = LiquidAlpha {
        low,
        high,
        steepness: AlphaSigmoidSteepness::<Runtime>::get(netuid),
    };
    Epoch {
        block,
        last_tempo,
        activity_cutoff: activity_cutoff(netuid),
        kappa: Kappa::<Runtime>::get(netuid),
        max_validators: MaxAllowedValidators::<Runtime>::get(netuid),
        stake_threshold: StakeThreshold::<Runtime>::get(),
        owner: owner_uid(netuid),
        bond_rules: BondRules {
            yuma3: Yuma3On::<Runtime>::get(netuid),
            penalty: BondsPenalty::<Runtime>::get(netuid),
            moving_average: BondsMovingAverage::<Runtime>::get(netuid),
            liquid: LiquidAlphaOn::<Runtime>::get(netuid).then_some(liquid),
        },
        emission,
        uids: uids(netuid, netuid_index(netuid, mechanism)),
    }
}

fn uids(netuid: u16, index: u16) -> Vec<Uid> {
    let tao_weight = TaoWeight::<Runtime>::get();
    let permits = ValidatorPermit::<Runtime>::get(netuid);
    let updates = LastUpdate::<Runtime>::get(index);
    let commits = CommitRevealWeightsEnabled::<Runtime>::get(netuid);
    let sealed = if commits {
        first_commits(index)
    } else {
        BTreeMap::new()
    };
    let uid = |uid: u16| {
        let hotkey: AccountId = Keys::<Runtime>::get(netuid, uid);
        let position = usize::from(uid);
        Uid {
            stake: stake::weighted(netuid, &hotkey, tao_weight).exact(tao_weight),
            permit: permits.get(position).copied().unwrap_or_default(),
            last_update: updates.get(position).copied().unwrap_or_default(),
            registered: BlockAtRegistration::<Runtime>::get(netuid, uid),
            first_commit: if commits {
                let sealed = sealed.get(&hotkey).copied();
                first_commit(netuid, index, &hotkey)
                    .into_iter()
                    .chain(sealed)
                    .min()
            } else {
                None
            },
            weights: Weights::<Runtime>::get(index, uid),
            bonds: Bonds::<Runtime>::get(index, uid),
        }
    };
    (0..SubnetworkN::<Runtime>::get(netuid)).map(uid).collect()
}

fn write_mechanism(index: u16, outcome: &Outcome) {
    Incentive::<Runtime>::insert(index, &outcome.incentive);
    ConsensusByMechanism::<Runtime>::insert(index, &outcome.consensus);
    for (uid, bonds) in (0u16..).zip(&outcome.bonds) {
        Bonds::<Runtime>::insert(index, uid, bonds);
    }
    SubtensorModule::deposit_event(Event::IncentiveAlphaEmittedToMiners {
        netuid: index,
        emissions: outcome.server_emission.clone(),
    });
}

fn write_subnet(netuid: u16, outcome: Outcome) {
    Active::<Runtime>::insert(netuid, outcome.active);
    Emission::<Runtime>::insert(netuid, outcome.emission);
    Consensus::<Runtime>::insert(netuid, outcome.consensus);
    Dividends::<Runtime>::insert(netuid, outcome.dividends);
    ValidatorTrust::<Runtime>::insert(netuid, outcome.validator_trust);
    ValidatorPermit::<Runtime>::insert(netuid, outcome.permits);
    StakeWeight::<Runtime>::insert(netuid, outcome.stake_weight);
}

/// The first mechanism's part of what is kept for the subnet.
fn scaled(outcome: &Outcome, weight: U64F64) -> Outcome {
    let zero = Outcome {
        stake_weight: vec![0; outcome.stake_weight.len()],
        consensus: vec![0; outcome.consensus.len()],
        validator_trust: vec![0; outcome.validator_trust.len()],
        dividends: vec![0; outcome.dividends.len()],
        emission: vec![0; outcome.emission.len()],
        ..outcome.clone()
    };
    added(zero, outcome, weight)
}

/// Parts add up by weight, flags by or.
fn added(mut whole: Outcome, outcome: &Outcome, weight: U64F64) -> Outcome {
    add_parts(&mut whole.stake_weight, &outcome.stake_weight, weight);
    add_parts(&mut whole.consensus, &outcome.consensus, weight);
    add_parts(&mut whole.validator_trust, &outcome.validator_trust, weight);
    add_parts(&mut whole.dividends, &outcome.dividends, weight);
    for (sum, rao) in whole.emission.iter_mut().zip(&outcome.emission) {
        let rao = U64F64::from_num(*rao).saturating_mul(weight);
        *sum = U64F64::from_num(*sum).saturating_add(rao).saturating_to_num();
    }
    or(&mut whole.active, &outcome.active);
    or(&mut whole.permits, &outcome.permits);
    whole
}

fn add_parts(sums: &mut [u16], parts: &[u16], weight: U64F64) {
    for (sum, part) in sums.iter_mut().zip(parts) {
        let part = U64F64::from_num(*part).saturating_mul(weight);
        *sum = U64F64::from_num(*sum).saturating_add(part).saturating_to_num();
    }
}

fn or(flags: &mut [bool], others: &[bool]) {
    flags
        .iter_mut()
        .zip(others)
        .for_each(|(flag, other)| *flag |= *other);
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::Genesis;
    use crate::runtime::System;
    use crate::runtime::cheats;

    /// Runs over the development network, whose tempo is 10, with epochs.
    fn with_epochs(test: impl FnOnce()) {
        let genesis = Genesis {
            epochs: true,
            ..Genesis::default()
        };
        BasicExternalities::execute_with_storage(&mut genesis.storage(None), test);
    }

    /// Begins the blocks up to the number.
    fn up_to(number: u32) {
        for block in System::block_number() + 1..=number {
            System::set_block_number(block);
            step();
        }
    }

    fn epochs(netuid: u16) -> u64 {
        SubnetEpochIndex::<Runtime>::get(netuid)
    }

    #[test]
    fn an_epoch_runs_every_tempo() {
        with_epochs(|| {
            up_to(9);
            assert_eq!(epochs(1), 0);
            assert_eq!(BlocksSinceLastStep::<Runtime>::get(1), 9);
            up_to(10);
            assert_eq!(epochs(1), 1);
            assert_eq!(LastEpochBlock::<Runtime>::get(1), 10);
            assert_eq!(LastMechansimStepBlock::<Runtime>::get(1), 10);
            assert_eq!(BlocksSinceLastStep::<Runtime>::get(1), 0);
            up_to(30);
            assert_eq!((epochs(1), epochs(0)), (3, 0));
            Tempo::<Runtime>::insert(1, 0);
            up_to(60);
            assert_eq!(epochs(1), 3);
        });
    }

    #[test]
    fn epochs_that_are_off_run_when_asked() {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            up_to(40);
            assert_eq!(epochs(1), 0);
            run(1);
            assert_eq!((epochs(1), LastEpochBlock::<Runtime>::get(1)), (1, 40));
        });
    }

    /// Of four subnets that are due, two run and two wait for the next block.
    #[test]
    fn too_many_epochs_are_put_off() {
        with_epochs(|| {
            let owner = AccountId::new([1; 32]);
            for netuid in 2..=4 {
                cheats::add_subnet(netuid, 10, &owner, &owner);
            }
            up_to(9);
            let done = || [1, 2, 3, 4].map(epochs);
            assert_eq!(done(), [0; 4]);
            up_to(10);
            assert_eq!(done(), [1, 1, 0, 0]);
            assert_eq!(PendingEpochAt::<Runtime>::get(3), 11);
            // A commit made now belongs to the epoch that is due.
            System::set_block_number(11);
            assert_eq!([1, 3].map(current), [1, 1]);
            System::set_block_number(10);
            up_to(11);
            assert_eq!(done(), [1; 4]);
            assert_eq!(PendingEpochAt::<Runtime>::get(3), 0);
            let put_off = |netuid| Event::EpochDeferred {
                netuid,
                from_block: 10,
                to_block: 11,
            };
            let events: Vec<_> = System::events().into_iter().map(|record| record.event).collect();
            assert!(events.contains(&put_off(3).into()) && events.contains(&put_off(4).into()));
            assert!(!events.contains(&put_off(2).into()));
        });
    }

    /// Both validators with a vote say the same of two miners.
    #[test]
    fn an_epoch_writes_what_yuma_finds() {
        with_epochs(|| {
            up_to(5);
            for uid in [4, 5, 6] {
                cheats::set_weights(1, 0, uid, &[(0, 3), (1, 1)]).unwrap();
            }
            up_to(10);
            assert_eq!(Incentive::<Runtime>::get(1)[..3], [49_151, 16_383, 0]);
            assert_eq!(Consensus::<Runtime>::get(1)[..2], [49_151, 16_383]);
            assert_eq!(
                ConsensusByMechanism::<Runtime>::get(1),
                Consensus::<Runtime>::get(1)
            );
            // Miner 4 has too little stake; the owner has a permit whatever it has.
            let permits = ValidatorPermit::<Runtime>::get(1);
            assert_eq!(permits, [true, true, true, false, true, true, true, true]);
            // Miners have permits now, but had none when weights were counted.
            let trust = ValidatorTrust::<Runtime>::get(1);
            assert_eq!(trust, [0, 0, 0, 0, 65_535, 65_535, 65_535, 0]);
            assert_eq!(Bonds::<Runtime>::get(1, 4), [(0, 4_915), (1, 1_638)]);
            let dividends: u32 = Dividends::<Runtime>::get(1).into_iter().map(u32::from).sum();
            assert!((65_530..=65_535).contains(&dividends), "{dividends}");
            // Ten blocks of 820004578 rao, all but what is floored away.
            let emitted: u64 = Emission::<Runtime>::get(1).into_iter().sum();
            assert!(
                (8_200_045_760..=8_200_045_780).contains(&emitted),
                "{emitted} rao"
            );
            assert_eq!(PendingServerEmission::<Runtime>::get(1), 0);
            up_to(11);
            assert_eq!(PendingServerEmission::<Runtime>::get(1), 410_002_289);
            assert_eq!(Active::<Runtime>::get(1), [true; 8]);
        });
    }

    #[test]
    fn mechanisms_count_by_their_part_of_the_emission() {
        with_epochs(|| {
            MechanismCountCurrent::<Runtime>::insert(1, 2);
            LastUpdate::<Runtime>::insert(4_097, vec![0; 8]);
            MechanismEmissionSplit::<Runtime>::insert(1, vec![16_384, 49_151]);
            up_to(5);
            for uid in [4, 5, 6] {
                cheats::set_weights(1, 0, uid, &[(0, 1)]).unwrap();
                cheats::set_weights(1, 1, uid, &[(1, 1)]).unwrap();
            }
            up_to(10);
            assert_eq!(Incentive::<Runtime>::get(1)[..2], [65_535, 0]);
            assert_eq!(Incentive::<Runtime>::get(4_097)[..2], [0, 65_535]);
            assert_eq!(Consensus::<Runtime>::get(1)[..2], [16_384, 49_150]);
            assert_eq!(Bonds::<Runtime>::get(4_097, 4), [(1, 6_553)]);
        });
        BasicExternalities::default().execute_with(|| {
            MechanismCountCurrent::<Runtime>::insert(1, 3);
            assert_eq!(split(1, 11), [5, 3, 3]);
            MechanismEmissionSplit::<Runtime>::insert(1, vec![65_535]);
            assert_eq!(
                split(1, 12),
                [4, 4, 4],
                "a split of another length does not count"
            );
        });
    }
}
