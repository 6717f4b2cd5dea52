//! Swaps of keys, as cheats: what the chain's `swap_hotkey` and `swap_coldkey` leave behind, without their costs, rate
//! limits and announcements.

use frame_support::traits::fungible::{Inspect as _, Mutate as _};
use frame_support::traits::tokens::{Fortitude, Preservation};
use frame_system::Pallet as System;

use super::cheats::CheatError;
use super::pallet::{
    Axons, ChildKeys, IsNetworkMember, Keys, MechanismCountCurrent, NetworksAdded, OwnedHotkeys, Owner,
    ParentKeys, SubnetOwner, SubnetOwnerHotkey, Uids, WeightCommits,
};
use super::{AccountId, Balances, Runtime, collateral, shares, weights};

/// Puts another hotkey in the place of one, on every subnet: uid, block of registration, permit, weights and bonds
/// stay; stake, axon, children, parents and commits go with it.
pub fn hotkey(old: &AccountId, new: &AccountId) -> Result<(), CheatError> {
    if !Owner::<Runtime>::contains_key(old) {
        return Err(CheatError::UnknownHotkey);
    }
    if Owner::<Runtime>::contains_key(new) {
        return Err(CheatError::KnownHotkey);
    }
    let coldkey = Owner::<Runtime>::take(old);
    Owner::<Runtime>::insert(new, &coldkey);
    OwnedHotkeys::<Runtime>::mutate(&coldkey, |hotkeys| put_in_place(hotkeys, old, new));
    shares::move_hotkey(old, new);
    // As at a registration: an account without a balance may sign.
    System::<Runtime>::inc_sufficients(new);
    let subnets: Vec<u16> = NetworksAdded::<Runtime>::iter_keys().collect();
    for netuid in subnets.into_iter().chain([0]) {
        on_subnet(netuid, old, new);
    }
    Ok(())
}

fn on_subnet(netuid: u16, old: &AccountId, new: &AccountId) {
    if let Some(uid) = Uids::<Runtime>::take(netuid, old) {
        Uids::<Runtime>::insert(netuid, new, uid);
        Keys::<Runtime>::insert(netuid, uid, new);
        IsNetworkMember::<Runtime>::remove(old, netuid);
        IsNetworkMember::<Runtime>::insert(new, netuid, true);
    }
    if Axons::<Runtime>::contains_key(netuid, old) {
        let axon = Axons::<Runtime>::take(netuid, old);
        Axons::<Runtime>::set(netuid, new, axon);
    }
    for mechanism in 0..MechanismCountCurrent::<Runtime>::get(netuid) {
        let index = weights::netuid_index(netuid, mechanism);
        if let Some(commits) = WeightCommits::<Runtime>::take(index, old) {
            WeightCommits::<Runtime>::insert(index, new, commits);
        }
    }
    collateral::move_hotkey(netuid, old, new, &Owner::<Runtime>::get(new));
    if SubnetOwnerHotkey::<Runtime>::get(netuid) == *old {
        SubnetOwnerHotkey::<Runtime>::insert(netuid, new);
    }
    let children = ChildKeys::<Runtime>::take(old, netuid);
    for (_, child) in &children {
        ParentKeys::<Runtime>::mutate(child, netuid, |parents| {
            put_in_place(parents.iter_mut().map(|(_, parent)| parent), old, new);
        });
    }
    if !children.is_empty() {
        ChildKeys::<Runtime>::insert(new, netuid, children);
    }
    let parents = ParentKeys::<Runtime>::take(old, netuid);
    for (_, parent) in &parents {
        ChildKeys::<Runtime>::mutate(parent, netuid, |children| {
            put_in_place(children.iter_mut().map(|(_, child)| child), old, new);
        });
    }
    if !parents.is_empty() {
        ParentKeys::<Runtime>::insert(new, netuid, parents);
    }
}

/// Gives everything that a coldkey has to another: hotkeys, subnets and balance.
pub fn coldkey(old: &AccountId, new: &AccountId) -> Result<(), CheatError> {
    let hotkeys = OwnedHotkeys::<Runtime>::take(old);
    if hotkeys.is_empty() {
        return Err(CheatError::UnknownColdkey);
    }
    for hotkey in hotkeys {
        Owner::<Runtime>::insert(&hotkey, new);
        OwnedHotkeys::<Runtime>::append(new, &hotkey);
    }
    shares::move_coldkey(old, new);
    collateral::move_coldkey(old, new);
    let subnets: Vec<u16> = SubnetOwner::<Runtime>::iter()
        .filter(|(_, owner)| owner == old)
        .map(|(netuid, _)| netuid)
        .collect();
    for netuid in subnets {
        SubnetOwner::<Runtime>::insert(netuid, new);
    }
    let all = Balances::reducible_balance(old, Preservation::Expendable, Fortitude::Polite);
    // The same account is the one case that fails, and then nothing is to be moved.
    let _ = Balances::transfer(old, new, all, Preservation::Expendable);
    Ok(())
}

fn put_in_place<'a>(keys: impl IntoIterator<Item = &'a mut AccountId>, old: &AccountId, new: &AccountId) {
    for key in keys {
        if key == old {
            *key = new.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::pallet::{BlockAtRegistration, ValidatorPermit};
    use crate::runtime::{cheats, stake};

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    fn on_the_development_network(test: impl FnOnce()) {
        let mut storage = Genesis::default().storage(None);
        BasicExternalities::execute_with_storage(&mut storage, test);
    }

    #[test]
    fn a_swapped_hotkey_has_what_the_old_one_had() {
        on_the_development_network(|| {
            let (old, new, child) = (account("//Validator1"), account("//New"), account("//Miner1"));
            let uid = Uids::<Runtime>::get(1, &old).unwrap();
            let owner = Owner::<Runtime>::get(&old);
            let held = shares::stake(&old, &owner, 1);
            assert!(held > 0);
            cheats::set_axon(1, &old, Some("127.0.0.1:9100".parse().unwrap())).unwrap();
            let half = u64::MAX / 2;
            ChildKeys::<Runtime>::insert(&old, 1, vec![(half, child.clone())]);
            ParentKeys::<Runtime>::insert(&child, 1, vec![(half, old.clone())]);
            let before = (
                stake::of(1, &old),
                stake::of(1, &child),
                BlockAtRegistration::<Runtime>::get(1, uid),
                ValidatorPermit::<Runtime>::get(1),
                Axons::<Runtime>::get(1, &old),
            );
            assert_eq!(hotkey(&old, &new), Ok(()));
            let after = (
                stake::of(1, &new),
                stake::of(1, &child),
                BlockAtRegistration::<Runtime>::get(1, uid),
                ValidatorPermit::<Runtime>::get(1),
                Axons::<Runtime>::get(1, &new),
            );
            assert_eq!(after, before);
            assert_eq!(stake::of(1, &old), stake::Stake::default());
            assert_eq!(
                (shares::stake(&old, &owner, 1), shares::stake(&new, &owner, 1)),
                (0, held)
            );
            assert_eq!(Keys::<Runtime>::get(1, uid), new);
            assert_eq!(
                (Uids::<Runtime>::get(1, &old), Uids::<Runtime>::get(1, &new)),
                (None, Some(uid))
            );
            assert!(!IsNetworkMember::<Runtime>::get(&old, 1));
            assert!(!Axons::<Runtime>::contains_key(1, &old));
            assert_eq!(Owner::<Runtime>::get(&new), owner);
            let owned = OwnedHotkeys::<Runtime>::get(&owner);
            assert!(owned.contains(&new) && !owned.contains(&old));
            assert_eq!(hotkey(&old, &account("//Newer")), Err(CheatError::UnknownHotkey));
            assert_eq!(hotkey(&new, &child), Err(CheatError::KnownHotkey));
        });
    }

    #[test]
    fn a_swapped_coldkey_leaves_nothing_to_the_old_one() {
        on_the_development_network(|| {
            let owner = SubnetOwner::<Runtime>::get(1);
            let hotkeys = OwnedHotkeys::<Runtime>::get(&owner);
            let new = account("//New");
            let held = |owner: &AccountId| -> u64 {
                hotkeys.iter().map(|hotkey| shares::stake(hotkey, owner, 1)).sum()
            };
            let all = held(&owner);
            assert!(all > 0);
            Balances::set_balance(&owner, 1_000_000_000);
            assert_eq!(coldkey(&owner, &new), Ok(()));
            assert_eq!(OwnedHotkeys::<Runtime>::get(&new), hotkeys);
            assert_eq!((held(&owner), held(&new)), (0, all));
            assert!(hotkeys.iter().all(|hotkey| Owner::<Runtime>::get(hotkey) == new));
            assert_eq!(SubnetOwner::<Runtime>::get(1), new);
            assert_eq!(
                (Balances::free_balance(&owner), Balances::free_balance(&new)),
                (0, 1_000_000_000)
            );
            assert_eq!(coldkey(&owner, &new), Err(CheatError::UnknownColdkey));
        });
    }
}
