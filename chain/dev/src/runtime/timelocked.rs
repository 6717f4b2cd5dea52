//! Weights committed encrypted: kept until the epoch in which they are due, and opened as soon as the pulse of their
//! round is there. What cannot be opened or set then is dropped without a word, as on the chain.

use std::collections::BTreeMap;

use codec::Decode;
use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::drand::{LastStoredRound, Pulses, open};
use super::pallet::{
    CommitRevealWeightsEnabled, CommitRevealWeightsVersion, Error, Event, MechanismCountCurrent,
    NetworksAdded, RevealPeriodEpochs, TimelockedWeightCommits,
};
use super::types::SealedWeights;
use super::weights::{MOST_COMMITS, ensure_mechanism, is_rested, netuid_index, touch, uid as uid_of, write};
use super::{AccountId, Runtime, SubtensorModule, epoch};

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod timelocked_storage {
    /// Weights committed encrypted, by `netuid_index` and epoch, the oldest first.
    #[pallet::storage]
    pub type TimelockedWeightCommits<T> = StorageDoubleMap<
        _,
        Twox64Concat,
        u16,
        Twox64Concat,
        u64,
        VecDeque<(AccountId32, u64, SealedWeights, u64)>,
        ValueQuery,
    >;
}

/// What is encrypted.
#[derive(Decode)]
struct Payload {
    hotkey: Vec<u8>,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// The same in its older form.
#[derive(Decode)]
struct OldPayload {
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// Keeps encrypted weights until their epoch.
pub fn commit(
    hotkey: &AccountId,
    netuid: u16,
    mechanism: u8,
    sealed: SealedWeights,
    round: u64,
    version: u16,
) -> DispatchResult {
    ensure_mechanism(netuid, mechanism)?;
    ensure!(
        CommitRevealWeightsEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::CommitRevealDisabled
    );
    ensure!(
        CommitRevealWeightsVersion::<Runtime>::get() == version,
        Error::<Runtime>::IncorrectCommitRevealVersion
    );
    let uid = uid_of(hotkey, netuid)?;
    let index = netuid_index(netuid, mechanism);
    ensure!(
        is_rested(netuid, index, uid),
        Error::<Runtime>::CommittingWeightsTooFast
    );
    ensure!(
        round >= LastStoredRound::<Runtime>::get(),
        Error::<Runtime>::InvalidRevealRound
    );
    let now = SubtensorModule::now();
    let hash = BlakeTwo256::hash(&sealed);
    TimelockedWeightCommits::<Runtime>::try_mutate(index, epoch::current(netuid), |commits| {
        let of_hotkey = commits.iter().filter(|commit| commit.0 == *hotkey).count();
        ensure!(
            of_hotkey < MOST_COMMITS,
            Error::<Runtime>::TooManyUnrevealedCommits
        );
        commits.push_back((hotkey.clone(), now, sealed, round));
        Ok::<_, Error<Runtime>>(())
    })?;
    SubtensorModule::deposit_event(Event::TimelockedWeightsCommitted(
        hotkey.clone(),
        index,
        hash,
        round,
    ));
    touch(index, uid, now);
    Ok(())
}

/// What happens at the start of each block, before epochs run.
pub fn step() {
    let subnets: Vec<u16> = NetworksAdded::<Runtime>::iter()
        .filter_map(|(netuid, added)| added.then_some(netuid))
        .collect();
    for netuid in subnets {
        for mechanism in 0..MechanismCountCurrent::<Runtime>::get(netuid) {
            reveal(netuid, mechanism);
        }
    }
}

/// Opens the commits that are due; those without a pulse stay for the rest of the epoch.
fn reveal(netuid: u16, mechanism: u8) {
    let index = netuid_index(netuid, mechanism);
    let mut epochs: Vec<u64> = TimelockedWeightCommits::<Runtime>::iter_key_prefix(index).collect();
    if epochs.is_empty() {
        return;
    }
    epochs.sort_unstable();
    let period = RevealPeriodEpochs::<Runtime>::get(netuid);
    let Some(due) = epoch::current(netuid).checked_sub(period) else {
        return;
    };
    for epoch in epochs.into_iter().take_while(|epoch| *epoch <= due) {
        let mut commits = TimelockedWeightCommits::<Runtime>::take(index, epoch);
        if epoch < due {
            continue;
        }
        commits.retain(|(hotkey, _, sealed, round)| {
            let Some(pulse) = Pulses::<Runtime>::get(round) else {
                return true;
            };
            if apply(hotkey, netuid, mechanism, sealed, &pulse.signature).is_some() {
                SubtensorModule::deposit_event(Event::TimelockedWeightsRevealed(index, hotkey.clone()));
            }
            false
        });
        if !commits.is_empty() {
            TimelockedWeightCommits::<Runtime>::insert(index, epoch, commits);
        }
    }
}

fn apply(
    hotkey: &AccountId,
    netuid: u16,
    mechanism: u8,
    sealed: &SealedWeights,
    signature: &[u8],
) -> Option<()> {
    let opened = open(sealed, signature)?;
    let payload = match Payload::decode(&mut &*opened) {
        Ok(payload) if payload.hotkey.len() == 32 => {
            let of_hotkey = AsRef::<[u8]>::as_ref(hotkey) == payload.hotkey.as_slice();
            of_hotkey.then_some(OldPayload {
                uids: payload.uids,
                values: payload.values,
                version_key: payload.version_key,
            })?
        }
        _ => OldPayload::decode(&mut &*opened).ok()?,
    };
    let OldPayload {
        uids,
        values,
        version_key,
    } = payload;
    write(hotkey, netuid, mechanism, &uids, &values, version_key).ok()
}

/// The block of each hotkey's oldest commit that is kept.
pub fn first_commits(index: u16) -> BTreeMap<AccountId, u64> {
    let mut first = BTreeMap::new();
    for (hotkey, block, ..) in TimelockedWeightCommits::<Runtime>::iter_prefix_values(index).flatten() {
        let oldest = first.entry(hotkey).or_insert(block);
        *oldest = block.min(*oldest);
    }
    first
}
