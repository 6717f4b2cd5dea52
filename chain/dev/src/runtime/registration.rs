//! Registration: what it costs, who pays, and whose uid is taken.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_system::Pallet as System;
use substrate_fixed::types::U64F64;

use super::cheats::put;
use super::pallet::{
    Active, Axons, BlockAtRegistration, Bonds, Burn, BurnHalfLife, BurnIncreaseMult, Consensus, Dividends,
    Emission, Error, Event, ImmuneOwnerUidsLimit, ImmunityPeriod, Incentive, IsNetworkMember, Keys,
    LastUpdate, MaxAllowedUids, MaxBurn, MechanismCountCurrent, MinBurn, MinNonImmuneUids,
    NetworkRegistrationAllowed, NetworksAdded, OwnedHotkeys, Owner, SubnetOwner, SubnetOwnerHotkey,
    SubnetworkN, Uids, ValidatorPermit, ValidatorTrust, Weights,
};
use super::{AccountId, Runtime, SubtensorModule, collateral, staking, weights};

/// One half and one with 32 fractional bits.
const HALF: u64 = 1 << 31;
const ONE: u64 = 1 << 32;

/// Lets the cost of every subnet fall by a block.
pub fn step() {
    let subnets: Vec<u16> = NetworksAdded::<Runtime>::iter_keys().collect();
    for netuid in subnets {
        let burn = Burn::<Runtime>::get(netuid);
        let factor = if SubtensorModule::now() > 1 {
            decay(BurnHalfLife::<Runtime>::get(netuid))
        } else {
            ONE
        };
        let new = within_bounds(netuid, times(burn, factor));
        if new != burn {
            Burn::<Runtime>::insert(netuid, new);
        }
    }
}

/// Takes a uid for a hotkey and burns what it costs.
pub fn burned(coldkey: &AccountId, netuid: u16, hotkey: &AccountId) -> DispatchResult {
    ensure!(
        netuid != 0,
        Error::<Runtime>::RegistrationNotPermittedOnRootSubnet
    );
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        NetworkRegistrationAllowed::<Runtime>::get(netuid),
        Error::<Runtime>::SubNetRegistrationDisabled
    );
    ensure!(
        !Uids::<Runtime>::contains_key(netuid, hotkey),
        Error::<Runtime>::HotKeyAlreadyRegisteredInSubNet
    );
    let cost = Burn::<Runtime>::get(netuid);
    let charge = collateral::charge(netuid, hotkey, coldkey, cost);
    ensure!(
        staking::spendable(coldkey) >= charge.sum(),
        Error::<Runtime>::NotEnoughBalanceToStake
    );
    ensure!(
        !Owner::<Runtime>::contains_key(hotkey) || Owner::<Runtime>::get(hotkey) == *coldkey,
        Error::<Runtime>::NonAssociatedColdKey
    );
    let has_room = SubnetworkN::<Runtime>::get(netuid) < MaxAllowedUids::<Runtime>::get(netuid);
    let pruned = if has_room {
        None
    } else {
        Some(prunable(netuid).ok_or(Error::<Runtime>::NoNeuronIdAvailable)?)
    };
    collateral::pay(netuid, hotkey, coldkey, &charge)?;
    match pruned {
        None => append(netuid, hotkey, coldkey),
        Some(uid) => take_over(netuid, uid, hotkey, coldkey),
    }
    let raised = U64F64::from_num(cost).saturating_mul(BurnIncreaseMult::<Runtime>::get(netuid));
    let raised = raised.saturating_to_num::<u64>().max(cost);
    Burn::<Runtime>::insert(netuid, within_bounds(netuid, raised));
    Ok(())
}

/// The same, if it costs no more than so many rao (`do_register_limit`).
pub fn burned_within(coldkey: &AccountId, netuid: u16, hotkey: &AccountId, most: u64) -> DispatchResult {
    ensure!(
        netuid != 0,
        Error::<Runtime>::RegistrationNotPermittedOnRootSubnet
    );
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        Burn::<Runtime>::get(netuid) <= most,
        Error::<Runtime>::RegistrationPriceLimitExceeded
    );
    burned(coldkey, netuid, hotkey)
}

/// The uid that a newcomer takes on a full subnet: of those that are not immune, or of all if there are few, the
/// one with the least emission, then the oldest, then the lowest.
fn prunable(netuid: u16) -> Option<u16> {
    let stay = owners_uids(netuid);
    let emission = Emission::<Runtime>::get(netuid);
    let period = u64::from(ImmunityPeriod::<Runtime>::get(netuid));
    let candidates = (0..SubnetworkN::<Runtime>::get(netuid)).filter(|uid| !stay.contains(uid));
    let (immune, free): (Vec<_>, Vec<_>) = candidates
        .map(|uid| {
            let earned = emission.get(usize::from(uid)).copied().unwrap_or_default();
            (earned, BlockAtRegistration::<Runtime>::get(netuid, uid), uid)
        })
        .partition(|(_, block, _)| SubtensorModule::now().saturating_sub(*block) < period);
    let enough = free.len() > usize::from(MinNonImmuneUids::<Runtime>::get(netuid));
    let worst = if enough { free } else { immune };
    worst.into_iter().min().map(|(_, _, uid)| uid)
}

/// The uids of the owner that nobody takes: the subnet's owner hotkey, then those the owner took first.
fn owners_uids(netuid: u16) -> Vec<u16> {
    let limit = usize::from(ImmuneOwnerUidsLimit::<Runtime>::get(netuid));
    let owned = OwnedHotkeys::<Runtime>::get(SubnetOwner::<Runtime>::get(netuid));
    let mut owned: Vec<(u64, u16)> = owned
        .iter()
        .filter_map(|hotkey| Uids::<Runtime>::get(netuid, hotkey))
        .map(|uid| (BlockAtRegistration::<Runtime>::get(netuid, uid), uid))
        .collect();
    owned.sort_unstable();
    let mut uids: Vec<u16> = owned.into_iter().map(|(_, uid)| uid).take(limit).collect();
    let first = Uids::<Runtime>::get(netuid, SubnetOwnerHotkey::<Runtime>::get(netuid));
    if let Some(first) = first.filter(|first| !uids.contains(first)) {
        uids.insert(0, first);
        uids.truncate(limit);
    }
    uids
}

fn within_bounds(netuid: u16, rao: u64) -> u64 {
    let at_least = rao.max(MinBurn::<Runtime>::get(netuid));
    at_least.min(MaxBurn::<Runtime>::get(netuid))
}

/// The greatest factor with 32 fractional bits that makes at most a half in so many blocks.
fn decay(half_life: u16) -> u64 {
    if half_life == 0 {
        return ONE;
    }
    let (mut low, mut high) = (0, ONE);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if power(middle, half_life) > HALF {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

fn power(mut base: u64, mut exponent: u16) -> u64 {
    let mut result = ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

fn times(value: u64, factor: u64) -> u64 {
    let product = (u128::from(value) * u128::from(factor)) >> 32;
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// Gives a hotkey the next uid.
pub fn append(netuid: u16, hotkey: &AccountId, coldkey: &AccountId) {
    let uid = SubnetworkN::<Runtime>::get(netuid);
    append_all(netuid, &[(hotkey.clone(), coldkey.clone())]);
    SubtensorModule::deposit_event(Event::NeuronRegistered(netuid, uid, hotkey.clone()));
}

/// Gives hotkeys of coldkeys the next uids, without telling. Each column is written once.
pub fn append_all(netuid: u16, keys: &[(AccountId, AccountId)]) {
    let uid = SubnetworkN::<Runtime>::get(netuid);
    let uids = uid..u16::MAX;
    let more = keys.len();
    SubnetworkN::<Runtime>::insert(netuid, uids.clone().nth(more).unwrap_or(u16::MAX));
    Active::<Runtime>::mutate(netuid, |column| extend(column, more, true));
    ValidatorPermit::<Runtime>::mutate(netuid, |column| extend(column, more, false));
    ValidatorTrust::<Runtime>::mutate(netuid, |column| extend(column, more, 0));
    Consensus::<Runtime>::mutate(netuid, |column| extend(column, more, 0));
    Dividends::<Runtime>::mutate(netuid, |column| extend(column, more, 0));
    Emission::<Runtime>::mutate(netuid, |column| extend(column, more, 0));
    for index in mechanisms(netuid) {
        Incentive::<Runtime>::mutate(index, |column| extend(column, more, 0));
        LastUpdate::<Runtime>::mutate(index, |column| extend(column, more, SubtensorModule::now()));
    }
    for (uid, (hotkey, coldkey)) in uids.zip(keys) {
        occupy(netuid, uid, hotkey, coldkey);
    }
}

fn extend<T: Clone>(column: &mut Vec<T>, more: usize, value: T) {
    column.resize(column.len() + more, value);
}

/// Gives a taken uid to another hotkey.
pub fn take_over(netuid: u16, uid: u16, hotkey: &AccountId, coldkey: &AccountId) {
    let old = Keys::<Runtime>::get(netuid, uid);
    Uids::<Runtime>::remove(netuid, &old);
    IsNetworkMember::<Runtime>::remove(&old, netuid);
    Axons::<Runtime>::remove(netuid, &old);
    ValidatorPermit::<Runtime>::mutate(netuid, |column| put(column, uid, false));
    ValidatorTrust::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Consensus::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Dividends::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Emission::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    for index in mechanisms(netuid) {
        Incentive::<Runtime>::mutate(index, |column| put(column, uid, 0));
        LastUpdate::<Runtime>::mutate(index, |column| put(column, uid, SubtensorModule::now()));
        forget_rows(netuid, index, uid);
    }
    occupy(netuid, uid, hotkey, coldkey);
    SubtensorModule::deposit_event(Event::NeuronRegistered(netuid, uid, hotkey.clone()));
}

/// Takes a uid out of the weights of a mechanism. Bonds to it go at the next epoch.
fn forget_rows(netuid: u16, index: u16, uid: u16) {
    Weights::<Runtime>::remove(index, uid);
    Bonds::<Runtime>::remove(index, uid);
    for row in 0..SubnetworkN::<Runtime>::get(netuid) {
        Weights::<Runtime>::mutate_exists(index, row, |weights| {
            let weights = weights.iter_mut().flatten();
            weights
                .filter(|(to, _)| *to == uid)
                .for_each(|(_, weight)| *weight = 0);
        });
    }
}

/// What append and replace have in common.
fn occupy(netuid: u16, uid: u16, hotkey: &AccountId, coldkey: &AccountId) {
    Keys::<Runtime>::insert(netuid, uid, hotkey);
    Uids::<Runtime>::insert(netuid, hotkey, uid);
    IsNetworkMember::<Runtime>::insert(hotkey, netuid, true);
    BlockAtRegistration::<Runtime>::insert(netuid, uid, SubtensorModule::now());
    // A hotkey keeps the coldkey of its first registration.
    if !Owner::<Runtime>::contains_key(hotkey) {
        Owner::<Runtime>::insert(hotkey, coldkey);
        OwnedHotkeys::<Runtime>::append(coldkey, hotkey);
        // Subtensor's nonce check lets an account without a balance sign; FRAME's asks for a reference.
        System::<Runtime>::inc_sufficients(hotkey);
    }
}

/// Where the rows of each mechanism of a subnet are stored.
fn mechanisms(netuid: u16) -> impl Iterator<Item = u16> {
    let mechanisms = 0..MechanismCountCurrent::<Runtime>::get(netuid);
    mechanisms.map(move |mechanism| weights::netuid_index(netuid, mechanism))
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::{Balances, RuntimeOrigin, System as Chain};

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    /// Runs over the development network at block 10 000, where nobody is immune any more.
    fn at_block_10_000(test: impl FnOnce()) {
        let mut storage = Genesis::default().storage(None);
        BasicExternalities::execute_with_storage(&mut storage, || {
            Chain::set_block_number(10_000);
            test();
        });
    }

    fn register(coldkey: &str, netuid: u16, hotkey: &str) -> DispatchResult {
        let origin = RuntimeOrigin::signed(account(coldkey));
        SubtensorModule::burned_register(origin, netuid, account(hotkey))
    }

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    #[test]
    fn a_coldkey_pays_for_the_next_uid() {
        at_block_10_000(|| {
            let before = Balances::free_balance(account("//Mallory"));
            assert_eq!(register("//Mallory", 1, "//New"), Ok(()));
            assert_eq!(Uids::<Runtime>::get(1, account("//New")), Some(8));
            assert_eq!(Owner::<Runtime>::get(account("//New")), account("//Mallory"));
            assert_eq!(LastUpdate::<Runtime>::get(1)[8], 10_000);
            let paid = before - Balances::free_balance(account("//Mallory"));
            assert_eq!(paid, 100_000_000);
            // Up by 26 per cent, within the bounds.
            assert_eq!(Burn::<Runtime>::get(1), 126_000_000);
            MaxBurn::<Runtime>::insert(1, 130_000_000);
            assert_eq!(register("//Mallory", 1, "//Newer"), Ok(()));
            assert_eq!(Burn::<Runtime>::get(1), 130_000_000);
        });
    }

    /// Each request passes the checks before the one that it fails.
    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        at_block_10_000(|| {
            assert_eq!(
                register("//Nobody", 0, "//Miner1"),
                refused(Error::RegistrationNotPermittedOnRootSubnet)
            );
            assert_eq!(
                register("//Nobody", 9, "//Miner1"),
                refused(Error::SubnetNotExists)
            );
            NetworkRegistrationAllowed::<Runtime>::insert(1, false);
            assert_eq!(
                register("//Nobody", 1, "//Miner1"),
                refused(Error::SubNetRegistrationDisabled)
            );
            NetworkRegistrationAllowed::<Runtime>::insert(1, true);
            assert_eq!(
                register("//Nobody", 1, "//Miner1"),
                refused(Error::HotKeyAlreadyRegisteredInSubNet)
            );
            super::super::cheats::add_subnet(2, 10, &account("//Owner"), &account("//Owner//hot"));
            // What stays must be the existential deposit of 500 rao.
            let balance = Balances::free_balance(account("//Mallory"));
            MaxBurn::<Runtime>::insert(2, u64::MAX);
            Burn::<Runtime>::insert(2, balance - 499);
            assert_eq!(
                register("//Mallory", 2, "//Miner1"),
                refused(Error::NotEnoughBalanceToStake)
            );
            Burn::<Runtime>::insert(2, balance - 500);
            assert_eq!(
                register("//Mallory", 2, "//Miner1"),
                refused(Error::NonAssociatedColdKey)
            );
            MaxAllowedUids::<Runtime>::insert(2, 0);
            assert_eq!(
                register("//Mallory", 2, "//New"),
                refused(Error::NoNeuronIdAvailable)
            );
            MaxAllowedUids::<Runtime>::insert(2, 1);
            assert_eq!(register("//Mallory", 2, "//New"), Ok(()));
            assert_eq!(Balances::free_balance(account("//Mallory")), 500);
        });
    }

    #[test]
    fn a_full_subnet_loses_who_earns_least() {
        at_block_10_000(|| {
            MaxAllowedUids::<Runtime>::insert(1, 8);
            // The owner's uid 7 stays. With seven others and ten that must be left, nobody may be taken.
            assert_eq!(
                register("//Mallory", 1, "//New"),
                refused(Error::NoNeuronIdAvailable)
            );
            MinNonImmuneUids::<Runtime>::insert(1, 7);
            assert_eq!(prunable(1), None);
            MinNonImmuneUids::<Runtime>::insert(1, 6);
            assert_eq!(prunable(1), Some(0), "of equals the lowest");
            Emission::<Runtime>::insert(1, vec![5, 4, 3, 3, 9, 9, 9, 0]);
            assert_eq!(prunable(1), Some(2));
            BlockAtRegistration::<Runtime>::insert(1, 2, 1);
            assert_eq!(prunable(1), Some(3), "the older of equals");
            assert_eq!(register("//Mallory", 1, "//New"), Ok(()));
            assert_eq!(Keys::<Runtime>::get(1, 3), account("//New"));
            assert_eq!(Uids::<Runtime>::get(1, account("//Miner4")), None);
            // The newcomer is immune, so six are left, and it is the only one to take.
            assert_eq!(prunable(1), Some(3));
            MinNonImmuneUids::<Runtime>::insert(1, 5);
            assert_eq!(prunable(1), Some(2));
            // Immune for 5000 blocks.
            BlockAtRegistration::<Runtime>::insert(1, 2, 5_001);
            assert_eq!(prunable(1), Some(3));
            BlockAtRegistration::<Runtime>::insert(1, 2, 5_000);
            assert_eq!(prunable(1), Some(2));
        });
    }

    #[test]
    fn the_cost_halves_in_its_half_life() {
        at_block_10_000(|| {
            for _ in 0..360 {
                step();
            }
            let cost = Burn::<Runtime>::get(1);
            assert!((49_999_000..=50_000_000).contains(&cost), "{cost}");
            MinBurn::<Runtime>::insert(1, 50_000_000);
            step();
            assert_eq!(Burn::<Runtime>::get(1), 50_000_000);
            MinBurn::<Runtime>::insert(1, 1);
            BurnHalfLife::<Runtime>::insert(1, 0);
            step();
            assert_eq!(Burn::<Runtime>::get(1), 50_000_000);
            BurnHalfLife::<Runtime>::insert(1, 1);
            step();
            assert_eq!(Burn::<Runtime>::get(1), 25_000_000);
        });
    }
}
