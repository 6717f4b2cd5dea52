//! Setting weights: plainly, or by a commit and its reveal.
//!
//! The checks are the chain's, in its order; the first that fails gives the error.

use std::collections::{BTreeSet, VecDeque};

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use substrate_fixed::types::I32F32;

use super::pallet::{
    CommitRevealWeightsEnabled, Error, Event, LastUpdate, MechanismCountCurrent, MinAllowedWeights,
    NetworksAdded, RevealPeriodEpochs, StakeThreshold, SubnetworkN, Uids, ValidatorPermit, WeightCommits,
    Weights, WeightsSetRateLimit, WeightsVersionKey,
};
use super::types::WeightCommit;
use super::{AccountId, Runtime, SubtensorModule, epoch, stake};

/// Mechanisms are stored this far apart.
const MECHANISM_STRIDE: u16 = 4_096;

/// How many commits a hotkey may have to reveal.
pub const MOST_COMMITS: usize = 10;

/// Where the rows of a mechanism are stored.
pub fn netuid_index(netuid: u16, mechanism: u8) -> u16 {
    u16::from(mechanism)
        .saturating_mul(MECHANISM_STRIDE)
        .saturating_add(netuid)
}

/// Sets weights where no commit is asked for.
pub fn set(
    hotkey: &AccountId,
    netuid: u16,
    mechanism: u8,
    uids: &[u16],
    values: &[u16],
    version_key: u64,
) -> DispatchResult {
    ensure!(
        !CommitRevealWeightsEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::CommitRevealEnabled
    );
    write(hotkey, netuid, mechanism, uids, values, version_key)?;
    Ok(())
}

/// Remembers the hash of weights to be revealed `RevealPeriodEpochs` epochs later.
pub fn commit(hotkey: &AccountId, netuid: u16, mechanism: u8, hash: H256) -> DispatchResult {
    ensure_mechanism(netuid, mechanism)?;
    ensure!(
        CommitRevealWeightsEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::CommitRevealDisabled
    );
    let uid = uid(hotkey, netuid)?;
    let index = netuid_index(netuid, mechanism);
    ensure!(
        is_rested(netuid, index, uid),
        Error::<Runtime>::CommittingWeightsTooFast
    );
    let mut commits = WeightCommits::<Runtime>::get(index, hotkey).unwrap_or_default();
    drop_expired(netuid, &mut commits);
    ensure!(
        commits.len() < MOST_COMMITS,
        Error::<Runtime>::TooManyUnrevealedCommits
    );
    let block = SubtensorModule::now();
    commits.push_back((hash, epoch::current(netuid), block, 0));
    WeightCommits::<Runtime>::insert(index, hotkey, commits);
    SubtensorModule::deposit_event(Event::WeightsCommitted(hotkey.clone(), index, hash));
    touch(index, uid, block);
    Ok(())
}

/// Sets the weights of a commit and forgets it and all older ones.
pub fn reveal(
    hotkey: &AccountId,
    netuid: u16,
    mechanism: u8,
    uids: &[u16],
    values: &[u16],
    salt: &[u16],
    version_key: u64,
) -> DispatchResult {
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        CommitRevealWeightsEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::CommitRevealDisabled
    );
    let index = netuid_index(netuid, mechanism);
    let mut commits =
        WeightCommits::<Runtime>::get(index, hotkey).ok_or(Error::<Runtime>::NoWeightsCommitFound)?;
    let expired = drop_expired(netuid, &mut commits);
    let hash = BlakeTwo256::hash_of(&(hotkey, index, uids, values, salt, version_key));
    let Some(position) = commits.iter().position(|commit| commit.0 == hash) else {
        let error = if expired.contains(&hash) {
            Error::<Runtime>::ExpiredWeightCommit
        } else if commits.is_empty() {
            Error::NoWeightsCommitFound
        } else {
            Error::InvalidRevealCommitHashNotMatch
        };
        return Err(error.into());
    };
    let period = RevealPeriodEpochs::<Runtime>::get(netuid);
    ensure!(
        epoch::current(netuid) == commits[position].1.saturating_add(period),
        Error::<Runtime>::RevealTooEarly
    );
    commits.drain(..=position);
    if commits.is_empty() {
        WeightCommits::<Runtime>::remove(index, hotkey);
    } else {
        WeightCommits::<Runtime>::insert(index, hotkey, commits);
    }
    write(hotkey, netuid, mechanism, uids, values, version_key)?;
    SubtensorModule::deposit_event(Event::WeightsRevealed(hotkey.clone(), index, hash));
    Ok(())
}

/// The block of the hotkey's oldest commit that can still be revealed.
pub fn first_commit(netuid: u16, index: u16, hotkey: &AccountId) -> Option<u64> {
    let mut commits = WeightCommits::<Runtime>::get(index, hotkey)?;
    drop_expired(netuid, &mut commits);
    commits.front().map(|commit| commit.2)
}

/// What is common to plain weights and revealed ones.
pub fn write(
    hotkey: &AccountId,
    netuid: u16,
    mechanism: u8,
    uids: &[u16],
    values: &[u16],
    version_key: u64,
) -> Result<(), Error<Runtime>> {
    ensure!(netuid != 0, Error::CanNotSetRootNetworkWeights);
    ensure!(uids.len() == values.len(), Error::WeightVecNotEqualSize);
    ensure_mechanism(netuid, mechanism)?;
    let n = SubnetworkN::<Runtime>::get(netuid);
    ensure!(uids.len() <= usize::from(n), Error::UidsLengthExceedUidsInSubNet);
    let uid = uid(hotkey, netuid)?;
    let is_owner = epoch::owner_uid(netuid) == Some(uid);
    ensure!(
        is_owner || stake::of(netuid, hotkey).total >= StakeThreshold::<Runtime>::get(),
        Error::NotEnoughStakeToSetWeights
    );
    ensure!(
        version_key >= WeightsVersionKey::<Runtime>::get(netuid),
        Error::IncorrectWeightVersionKey
    );
    let index = netuid_index(netuid, mechanism);
    let plain = !CommitRevealWeightsEnabled::<Runtime>::get(netuid);
    ensure!(
        !plain || is_rested(netuid, index, uid),
        Error::SettingWeightsTooFast
    );
    let only_itself = *uids == [uid];
    let permits = ValidatorPermit::<Runtime>::get(netuid);
    let has_permit = permits.get(usize::from(uid)).copied().unwrap_or_default();
    ensure!(
        only_itself || is_owner || has_permit,
        Error::NeuronNoValidatorPermit
    );
    let distinct: BTreeSet<&u16> = uids.iter().collect();
    ensure!(distinct.len() == uids.len(), Error::DuplicateUids);
    ensure!(uids.iter().all(|uid| *uid < n), Error::UidVecContainInvalidOne);
    let least = MinAllowedWeights::<Runtime>::get(netuid).min(n);
    ensure!(
        only_itself || uids.len() >= usize::from(least),
        Error::WeightVecLengthIsLow
    );
    store(index, uid, uids, values);
    if plain {
        touch(index, uid, SubtensorModule::now());
    }
    SubtensorModule::deposit_event(Event::WeightsSet(index, uid));
    Ok(())
}

/// Stores a row as the chain scales it. Zeros are kept.
pub fn store(index: u16, uid: u16, uids: &[u16], values: &[u16]) {
    let row: Vec<(u16, u16)> = uids.iter().copied().zip(upscale(values)).collect();
    Weights::<Runtime>::insert(index, uid, row);
}

/// Notes that a uid did something on a mechanism.
pub fn touch(index: u16, uid: u16, block: u64) {
    LastUpdate::<Runtime>::mutate(index, |column| {
        let n = usize::from(uid) + 1;
        if column.len() < n {
            column.resize(n, 0);
        }
        column[usize::from(uid)] = block;
    });
}

/// The greatest value becomes 65535, the others in proportion, rounded to the nearest in the chain's `I32F32`.
fn upscale(values: &[u16]) -> Vec<u16> {
    let fixed = I32F32::from_num::<u16>;
    let greatest = values.iter().copied().max().unwrap_or_default();
    if greatest == 0 {
        return values.to_vec();
    }
    let (full, divisor) = (fixed(u16::MAX), fixed(greatest));
    let upscaled = |value: &u16| {
        // Above half of the range the product would overflow, so the factor is cut off first.
        let scaled = if greatest > 32_768 {
            fixed(*value) * (full / divisor)
        } else {
            fixed(*value) * full / divisor
        };
        scaled.round().saturating_to_num()
    };
    values.iter().map(upscaled).collect()
}

pub fn uid(hotkey: &AccountId, netuid: u16) -> Result<u16, Error<Runtime>> {
    Uids::<Runtime>::get(netuid, hotkey).ok_or(Error::HotKeyNotRegisteredInSubNet)
}

pub fn ensure_mechanism(netuid: u16, mechanism: u8) -> Result<(), Error<Runtime>> {
    let exists =
        NetworksAdded::<Runtime>::get(netuid) && mechanism < MechanismCountCurrent::<Runtime>::get(netuid);
    ensure!(exists, Error::MechanismDoesNotExist);
    Ok(())
}

/// Whether the last weights or commit of the uid are long enough ago.
pub fn is_rested(netuid: u16, index: u16, uid: u16) -> bool {
    let column = LastUpdate::<Runtime>::get(index);
    let last = column.get(usize::from(uid)).copied().unwrap_or_default();
    let since = SubtensorModule::now().saturating_sub(last);
    last == 0 || since >= WeightsSetRateLimit::<Runtime>::get(netuid)
}

/// Takes the commits off the front that can no longer be revealed and gives their hashes.
fn drop_expired(netuid: u16, commits: &mut VecDeque<WeightCommit>) -> Vec<H256> {
    let now = epoch::current(netuid);
    let period = RevealPeriodEpochs::<Runtime>::get(netuid);
    let mut hashes = Vec::new();
    while let Some(commit) = commits.front() {
        if now <= commit.1.saturating_add(period) {
            break;
        }
        hashes.push(commit.0);
        commits.pop_front();
    }
    hashes
}

#[cfg(test)]
mod tests {
    use codec::Encode as _;
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::{RuntimeOrigin, System, pallet};

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    fn origin(uri: &str) -> RuntimeOrigin {
        RuntimeOrigin::signed(account(uri))
    }

    /// Runs over the development network at block 1000. Validators have the uids 4 to 6, the owner 7.
    fn at_block_1000(test: impl FnOnce()) {
        let mut storage = Genesis::default().storage(None);
        BasicExternalities::execute_with_storage(&mut storage, || {
            System::set_block_number(1_000);
            test();
        });
    }

    fn set(uri: &str, netuid: u16, uids: &[u16], values: &[u16], version_key: u64) -> DispatchResult {
        SubtensorModule::set_weights(origin(uri), netuid, uids.to_vec(), values.to_vec(), version_key)
    }

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    /// Each request passes the checks before the one that it fails.
    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        at_block_1000(|| {
            CommitRevealWeightsEnabled::<Runtime>::insert(0, false);
            CommitRevealWeightsEnabled::<Runtime>::insert(9, false);
            assert_eq!(
                set("//Mallory", 2, &[], &[], 0),
                refused(Error::CommitRevealEnabled)
            );
            assert_eq!(
                set("//Mallory", 0, &[0], &[], 0),
                refused(Error::CanNotSetRootNetworkWeights)
            );
            assert_eq!(
                set("//Mallory", 9, &[0], &[], 0),
                refused(Error::WeightVecNotEqualSize)
            );
            assert_eq!(
                set("//Mallory", 9, &[0], &[1], 0),
                refused(Error::MechanismDoesNotExist)
            );
            assert_eq!(
                set("//Mallory", 1, &[0; 9], &[1; 9], 0),
                refused(Error::UidsLengthExceedUidsInSubNet)
            );
            assert_eq!(
                set("//Mallory", 1, &[0; 8], &[1; 8], 0),
                refused(Error::HotKeyNotRegisteredInSubNet)
            );
            WeightsVersionKey::<Runtime>::insert(1, 5);
            // 500 alpha of the 1000 that are asked for.
            assert_eq!(
                set("//Miner4", 1, &[0; 8], &[1; 8], 4),
                refused(Error::NotEnoughStakeToSetWeights)
            );
            assert_eq!(
                set("//Miner3", 1, &[0; 8], &[1; 8], 4),
                refused(Error::IncorrectWeightVersionKey)
            );
            touch(1, 2, 901);
            assert_eq!(
                set("//Miner3", 1, &[0; 8], &[1; 8], 5),
                refused(Error::SettingWeightsTooFast)
            );
            touch(1, 2, 900);
            assert_eq!(
                set("//Miner3", 1, &[0; 8], &[1; 8], 5),
                refused(Error::NeuronNoValidatorPermit)
            );
            assert_eq!(
                set("//Validator1", 1, &[0; 8], &[1; 8], 5),
                refused(Error::DuplicateUids)
            );
            assert_eq!(
                set("//Validator1", 1, &[8], &[1], 5),
                refused(Error::UidVecContainInvalidOne)
            );
            MinAllowedWeights::<Runtime>::insert(1, 3);
            assert_eq!(
                set("//Validator1", 1, &[0, 1], &[1, 1], 5),
                refused(Error::WeightVecLengthIsLow)
            );
            assert_eq!(set("//Validator1", 1, &[0, 1, 2], &[1, 1, 1], 5), Ok(()));
        });
    }

    #[test]
    fn a_uid_may_weigh_itself_and_an_owner_others() {
        at_block_1000(|| {
            MinAllowedWeights::<Runtime>::insert(1, 3);
            assert_eq!(set("//Miner3", 1, &[2], &[1], 0), Ok(()));
            assert_eq!(
                set("//Miner2", 1, &[2], &[1], 0),
                refused(Error::NeuronNoValidatorPermit)
            );
            StakeThreshold::<Runtime>::put(u64::MAX);
            assert_eq!(set("//Owner//hot", 1, &[0, 1, 2], &[1, 2, 3], 0), Ok(()));
        });
    }

    #[test]
    fn weights_are_stored_scaled_and_noted() {
        at_block_1000(|| {
            assert_eq!(set("//Validator2", 1, &[2, 0, 1], &[1, 2, 3], 0), Ok(()));
            assert_eq!(
                Weights::<Runtime>::get(1, 5),
                [(2, 21_845), (0, 43_690), (1, 65_535)]
            );
            assert_eq!(LastUpdate::<Runtime>::get(1)[5], 1_000);
            let events = System::events();
            let expected: pallet::Event<Runtime> = Event::WeightsSet(1, 5);
            assert_eq!(events.last().unwrap().event, expected.into());
        });
        assert_eq!(upscale(&[0, 0]), [0, 0]);
        assert_eq!(upscale(&[0, 1]), [0, 65_535]);
        assert_eq!(upscale(&[1, 65_535]), [1, 65_535]);
        // 1.5 · 65535 / 50000 … rounded to the nearest: 1.3107, 2.6214.
        assert_eq!(upscale(&[1, 2, 50_000]), [1, 3, 65_535]);
    }

    #[test]
    fn a_second_mechanism_has_rows_and_a_clock_of_its_own() {
        at_block_1000(|| {
            let set = |mechanism| {
                SubtensorModule::set_mechanism_weights(
                    origin("//Validator1"),
                    1,
                    mechanism,
                    vec![0],
                    vec![1],
                    0,
                )
            };
            assert_eq!(set(1), refused(Error::MechanismDoesNotExist));
            MechanismCountCurrent::<Runtime>::insert(1, 2);
            assert_eq!(set(1), Ok(()));
            assert_eq!(set(1), refused(Error::SettingWeightsTooFast));
            assert_eq!(set(0), Ok(()));
            assert_eq!(Weights::<Runtime>::get(4_097, 4), [(0, 65_535)]);
            assert_eq!(LastUpdate::<Runtime>::get(4_097)[4], 1_000);
        });
    }

    /// What the chain hashes, written out.
    fn hash_of(uri: &str, values: &[u16]) -> H256 {
        let parts = [
            account(uri).encode(),
            1u16.encode(),
            vec![0u16, 1].encode(),
            values.encode(),
            vec![9u16, 9].encode(),
            7u64.encode(),
        ];
        H256(sp_core::blake2_256(&parts.concat()))
    }

    fn commit(uri: &str, values: &[u16]) -> DispatchResult {
        SubtensorModule::commit_weights(origin(uri), 1, hash_of(uri, values))
    }

    fn reveal(uri: &str, values: &[u16]) -> DispatchResult {
        SubtensorModule::reveal_weights(origin(uri), 1, vec![0, 1], values.to_vec(), vec![9, 9], 7)
    }

    #[test]
    fn commits_are_revealed_in_their_epoch_only() {
        at_block_1000(|| {
            let v = "//Validator1";
            assert_eq!(commit(v, &[1, 2]), refused(Error::CommitRevealDisabled));
            assert_eq!(reveal(v, &[1, 2]), refused(Error::CommitRevealDisabled));
            CommitRevealWeightsEnabled::<Runtime>::insert(1, true);
            WeightsSetRateLimit::<Runtime>::insert(1, 0);
            assert_eq!(reveal(v, &[1, 2]), refused(Error::NoWeightsCommitFound));
            assert_eq!(
                commit("//Mallory", &[1, 2]),
                refused(Error::HotKeyNotRegisteredInSubNet)
            );
            assert_eq!(commit(v, &[1, 2]), Ok(()));
            assert_eq!(LastUpdate::<Runtime>::get(1)[4], 1_000);
            assert_eq!(reveal(v, &[1, 2]), refused(Error::RevealTooEarly));
            epoch::run(1);
            assert_eq!(
                reveal(v, &[2, 1]),
                refused(Error::InvalidRevealCommitHashNotMatch)
            );
            System::set_block_number(1_001);
            assert_eq!(reveal(v, &[1, 2]), Ok(()));
            assert_eq!(Weights::<Runtime>::get(1, 4), [(0, 32_768), (1, 65_535)]);
            // The clock stands where the commit set it.
            assert_eq!(LastUpdate::<Runtime>::get(1)[4], 1_000);
            assert_eq!(reveal(v, &[1, 2]), refused(Error::NoWeightsCommitFound));

            assert_eq!(commit(v, &[3, 4]), Ok(()));
            epoch::run(1);
            epoch::run(1);
            assert_eq!(reveal(v, &[3, 4]), refused(Error::ExpiredWeightCommit));
        });
    }

    #[test]
    fn commits_are_limited_in_number_and_in_time() {
        at_block_1000(|| {
            let v = "//Validator1";
            CommitRevealWeightsEnabled::<Runtime>::insert(1, true);
            touch(1, 4, 901);
            assert_eq!(commit(v, &[0, 0]), refused(Error::CommittingWeightsTooFast));
            touch(1, 4, 900);
            assert_eq!(commit(v, &[0, 0]), Ok(()));
            WeightsSetRateLimit::<Runtime>::insert(1, 0);
            for value in 1..10 {
                assert_eq!(commit(v, &[value, 0]), Ok(()));
            }
            assert_eq!(commit(v, &[10, 0]), refused(Error::TooManyUnrevealedCommits));
            assert_eq!(
                SubtensorModule::set_weights(origin(v), 1, vec![0], vec![1], 0),
                refused(Error::CommitRevealEnabled)
            );
            assert_eq!(first_commit(1, 1, &account(v)), Some(1_000));
            // Revealing one forgets those before it.
            epoch::run(1);
            assert_eq!(reveal(v, &[8, 0]), Ok(()));
            assert_eq!(WeightCommits::<Runtime>::get(1, account(v)).unwrap().len(), 1);
        });
    }
}
