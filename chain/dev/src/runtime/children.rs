//! Children: parts of a hotkey's stake that count for others. They are asked for, and hold from the first epoch after a
//! cooldown on.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;

use super::pallet::{
    ChildKeys, Error, Event, NetworksAdded, Owner, ParentKeys, PendingChildKeyCooldown, PendingChildKeys,
    StakeThreshold, SubnetOwnerHotkey, TotalHotkeyAlpha, TransactionKeyLastBlock,
};
use super::{AccountId, Runtime, SubtensorModule};

/// Parts of `u64::MAX`, and who has them.
type Children = [(u64, AccountId)];

/// So many a hotkey may have on a subnet.
const MOST: usize = 5;

/// Blocks between two calls for one hotkey on one subnet, and the number by which they are told from other calls.
const PAUSE: u64 = 150;
const CALL: u16 = 0;

/// Asks for children instead of those that there are.
pub fn schedule(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    children: Vec<(u64, AccountId)>,
) -> DispatchResult {
    let now = SubtensorModule::now();
    let last = TransactionKeyLastBlock::<Runtime>::get((hotkey, netuid, CALL));
    ensure!(
        last == 0 || now.saturating_sub(last) >= PAUSE,
        Error::<Runtime>::TxRateLimitExceeded
    );
    ensure!(
        netuid != 0,
        Error::<Runtime>::RegistrationNotPermittedOnRootSubnet
    );
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        Owner::<Runtime>::contains_key(hotkey) && Owner::<Runtime>::get(hotkey) == *coldkey,
        Error::<Runtime>::NonAssociatedColdKey
    );
    let repeated = |i: usize| children[..i].iter().any(|(_, other)| *other == children[i].1);
    ensure!(
        !(0..children.len()).any(repeated),
        Error::<Runtime>::DuplicateChild
    );
    consistent(hotkey, netuid, &children)?;
    let stake: u64 = TotalHotkeyAlpha::<Runtime>::iter_prefix_values(hotkey).fold(0, u64::saturating_add);
    ensure!(
        children.is_empty()
            || stake >= StakeThreshold::<Runtime>::get()
            || SubnetOwnerHotkey::<Runtime>::get(netuid) == *hotkey,
        Error::<Runtime>::NotEnoughStakeToSetChildkeys
    );
    TransactionKeyLastBlock::<Runtime>::insert((hotkey, netuid, CALL), now);
    let from = now.saturating_add(PendingChildKeyCooldown::<Runtime>::get());
    PendingChildKeys::<Runtime>::insert(netuid, hotkey, (&children, from));
    SubtensorModule::deposit_event(Event::SetChildrenScheduled(
        hotkey.clone(),
        netuid,
        from,
        children,
    ));
    Ok(())
}

/// What holds whenever children are set.
fn consistent(hotkey: &AccountId, netuid: u16, children: &Children) -> Result<(), Error<Runtime>> {
    ensure!(
        children.iter().all(|(_, child)| child != hotkey),
        Error::InvalidChild
    );
    ensure!(children.len() <= MOST, Error::TooManyChildren);
    let whole = children
        .iter()
        .try_fold(0u64, |sum, (part, _)| sum.checked_add(*part));
    ensure!(whole.is_some(), Error::ProportionOverflow);
    let parents = ParentKeys::<Runtime>::get(hotkey, netuid);
    let both = |(_, child): &(u64, AccountId)| parents.iter().any(|(_, parent)| parent == child);
    ensure!(!children.iter().any(both), Error::ChildParentInconsistency);
    Ok(())
}

/// After an epoch: children whose cooldown is over hold from now on. What no longer can be is dropped.
pub fn apply(netuid: u16) {
    let now = SubtensorModule::now();
    let pending: Vec<_> = PendingChildKeys::<Runtime>::iter_prefix(netuid).collect();
    for (hotkey, (children, from)) in pending {
        if from >= now {
            continue;
        }
        PendingChildKeys::<Runtime>::remove(netuid, &hotkey);
        if consistent(&hotkey, netuid, &children).is_ok() {
            set(&hotkey, netuid, &children);
            SubtensorModule::deposit_event(Event::SetChildren(hotkey, netuid, children));
        }
    }
}

/// Replaces the children of a hotkey, on both sides.
fn set(hotkey: &AccountId, netuid: u16, children: &Children) {
    for (_, child) in ChildKeys::<Runtime>::take(hotkey, netuid) {
        with_parents(&child, netuid, |parents| {
            parents.retain(|(_, parent)| parent != hotkey);
        });
    }
    for (part, child) in children {
        with_parents(child, netuid, |parents| parents.push((*part, hotkey.clone())));
    }
    if !children.is_empty() {
        ChildKeys::<Runtime>::insert(hotkey, netuid, children.to_vec());
    }
}

fn with_parents(child: &AccountId, netuid: u16, change: impl FnOnce(&mut Vec<(u64, AccountId)>)) {
    let mut parents = ParentKeys::<Runtime>::get(child, netuid);
    change(&mut parents);
    if parents.is_empty() {
        ParentKeys::<Runtime>::remove(child, netuid);
    } else {
        ParentKeys::<Runtime>::insert(child, netuid, parents);
    }
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::{System, cheats, stake};

    const HALF: u64 = u64::MAX / 2;

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    /// Of the owner of the first validator.
    fn ask(netuid: u16, children: &[(u64, &str)]) -> DispatchResult {
        let children = children.iter().map(|(part, uri)| (*part, account(uri)));
        let (coldkey, hotkey) = (account("//Validator1//cold"), account("//Validator1"));
        schedule(&coldkey, &hotkey, netuid, children.collect())
    }

    fn at_block_1000(test: impl FnOnce()) {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            System::set_block_number(1_000);
            PendingChildKeyCooldown::<Runtime>::put(15);
            test();
        });
    }

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    #[test]
    fn children_hold_from_the_first_epoch_after_the_cooldown() {
        at_block_1000(|| {
            let before = stake::of(1, &account("//Miner1")).alpha;
            assert_eq!(ask(1, &[(HALF, "//Miner1"), (HALF, "//Miner2")]), Ok(()));
            System::set_block_number(1_015);
            cheats::run_epoch(1).unwrap();
            assert!(ChildKeys::<Runtime>::get(account("//Validator1"), 1).is_empty());
            System::set_block_number(1_016);
            cheats::run_epoch(1).unwrap();
            assert_eq!(ChildKeys::<Runtime>::get(account("//Validator1"), 1).len(), 2);
            let parents = ParentKeys::<Runtime>::get(account("//Miner1"), 1);
            assert_eq!(parents, [(HALF, account("//Validator1"))]);
            // A hair under one half of 50 000.
            let gained = stake::of(1, &account("//Miner1")).alpha - before;
            assert!(
                (24_999_999_980_000..25_000_000_000_000).contains(&gained),
                "{gained}"
            );
            // Another list takes the place of this one.
            System::set_block_number(1_150);
            assert_eq!(ask(1, &[(7, "//Miner3")]), Ok(()));
            System::set_block_number(1_166);
            cheats::run_epoch(1).unwrap();
            assert!(!ParentKeys::<Runtime>::contains_key(account("//Miner1"), 1));
            assert_eq!(ParentKeys::<Runtime>::get(account("//Miner3"), 1).len(), 1);
        });
    }

    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        at_block_1000(|| {
            assert_eq!(ask(0, &[]), refused(Error::RegistrationNotPermittedOnRootSubnet));
            assert_eq!(ask(9, &[]), refused(Error::SubnetNotExists));
            let stranger = schedule(&account("//Mallory"), &account("//Validator1"), 1, Vec::new());
            assert_eq!(stranger, refused(Error::NonAssociatedColdKey));
            let twice = [(1, "//Validator1"), (1, "//Validator1")];
            assert_eq!(ask(1, &twice), refused(Error::DuplicateChild));
            assert_eq!(ask(1, &twice[..1]), refused(Error::InvalidChild));
            let six = ["//1", "//2", "//3", "//4", "//5", "//6"].map(|uri| (1, uri));
            assert_eq!(ask(1, &six), refused(Error::TooManyChildren));
            let over = [(HALF + 2, "//1"), (HALF, "//2")];
            assert_eq!(ask(1, &over), refused(Error::ProportionOverflow));
            ParentKeys::<Runtime>::insert(account("//Validator1"), 1, vec![(1, account("//1"))]);
            assert_eq!(ask(1, &[(1, "//1")]), refused(Error::ChildParentInconsistency));
            StakeThreshold::<Runtime>::put(60_000_000_000_001);
            let much = refused(Error::NotEnoughStakeToSetChildkeys);
            assert_eq!(ask(1, &[(1, "//2")]), much);
            StakeThreshold::<Runtime>::put(60_000_000_000_000);
            assert_eq!(ask(1, &[(1, "//2")]), Ok(()));
            System::set_block_number(1_149);
            assert_eq!(ask(1, &[]), refused(Error::TxRateLimitExceeded));
            System::set_block_number(1_150);
            assert_eq!(ask(1, &[]), Ok(()));
        });
    }
}
