//! Where the emission of an epoch goes: the owner's cut to the owner, incentive to miners, dividends to all whose stake
//! a validator counts with.
//!
//! The chain gives a part of the dividends to root stake in other ways; here all of it is alpha of the subnet.

use std::collections::BTreeMap;

use super::pallet::{
    AlphaDividendsPerSubnet, ChildKeys, Delegates, Owner, ParentKeys, PendingOwnerCut, SubnetOwner,
    SubnetOwnerHotkey, TaoWeight, TotalHotkeyAlpha, TotalHotkeySharesV2,
};
use super::{AccountId, Runtime, childkey_take, collateral, shares};

/// What an epoch found for a uid, in rao.
pub struct Earned {
    pub hotkey: AccountId,
    pub incentive: u64,
    pub dividends: u64,
}

/// Pays out an epoch of a subnet.
pub fn pay(netuid: u16, earned: &[Earned]) {
    let owner = SubnetOwner::<Runtime>::get(netuid);
    let owner_hotkey = SubnetOwnerHotkey::<Runtime>::get(netuid);
    let cut = PendingOwnerCut::<Runtime>::take(netuid);
    shares::increase(&owner_hotkey, &owner, netuid, cut);
    for one in earned {
        let coldkey = Owner::<Runtime>::get(&one.hotkey);
        // What the owner would earn as a miner is burned.
        if coldkey != owner && one.hotkey != owner_hotkey {
            let taken = collateral::settle(netuid, &one.hotkey, &coldkey, one.incentive, one.incentive);
            shares::increase(&one.hotkey, &coldkey, netuid, one.incentive - taken);
        }
    }
    let mut dividends: BTreeMap<AccountId, u64> = BTreeMap::new();
    for one in earned.iter().filter(|one| one.dividends > 0) {
        for (hotkey, rao) in split(netuid, &one.hotkey, one.dividends) {
            let sum = dividends.entry(hotkey).or_default();
            *sum = sum.saturating_add(rao);
        }
    }
    let _ = AlphaDividendsPerSubnet::<Runtime>::clear_prefix(netuid, u32::MAX, None);
    for (hotkey, rao) in dividends {
        let take = part(
            rao,
            u128::from(Delegates::<Runtime>::get(&hotkey)),
            u128::from(u16::MAX),
        );
        let rest = rao - take;
        let coldkey = Owner::<Runtime>::get(&hotkey);
        let locked = collateral::settle(netuid, &hotkey, &coldkey, rao, take);
        AlphaDividendsPerSubnet::<Runtime>::insert(netuid, &hotkey, rest);
        if TotalHotkeySharesV2::<Runtime>::contains_key(&hotkey, netuid) {
            TotalHotkeyAlpha::<Runtime>::mutate(&hotkey, netuid, |all| *all = all.saturating_add(rest));
            shares::increase(&hotkey, &coldkey, netuid, take - locked);
        } else {
            shares::increase(&hotkey, &coldkey, netuid, rao - locked);
        }
    }
}

/// The dividends of a hotkey by whose stake they were earned with: its own, or that of its parents. Of those that others
/// own, it keeps a part.
fn split(netuid: u16, hotkey: &AccountId, rao: u64) -> Vec<(AccountId, u64)> {
    let parents = ParentKeys::<Runtime>::get(hotkey, netuid);
    let given = ChildKeys::<Runtime>::get(hotkey, netuid);
    let given = given
        .iter()
        .fold(0u64, |sum, (part, _)| sum.saturating_add(*part));
    let own = counted(netuid, hotkey, u64::MAX - given);
    let parts: Vec<(AccountId, u128)> = parents
        .into_iter()
        .map(|(part, parent)| {
            let counted = counted(netuid, &parent, part);
            (parent, counted)
        })
        .collect();
    let whole = parts.iter().fold(own, |sum, (_, counted)| sum + counted);
    let take = childkey_take::of(hotkey, netuid);
    let owner = Owner::<Runtime>::get(hotkey);
    let mut shared: Vec<(AccountId, u64)> = parts
        .into_iter()
        .map(|(parent, counted)| {
            let earned = part(rao, counted, whole);
            let taken = if Owner::<Runtime>::get(&parent) == owner {
                0
            } else {
                part(earned, u128::from(take), u128::from(u16::MAX))
            };
            (parent, earned - taken)
        })
        .collect();
    let gone = shared.iter().map(|(_, rao)| rao).sum();
    // The hotkey has what it takes, and what rounding leaves.
    shared.push((hotkey.clone(), rao.saturating_sub(gone)));
    shared
}

/// What a part of a hotkey's stake counts, in rao.
fn counted(netuid: u16, hotkey: &AccountId, proportion: u64) -> u128 {
    let whole = u128::from(u64::MAX);
    let root = u128::from(TotalHotkeyAlpha::<Runtime>::get(hotkey, 0));
    let weighted = root * u128::from(TaoWeight::<Runtime>::get()) / whole;
    let stake = u128::from(TotalHotkeyAlpha::<Runtime>::get(hotkey, netuid)) + weighted;
    stake.min(whole) * u128::from(proportion) / whole
}

/// `rao * numerator / denominator`, floored; 0 of nothing.
fn part(rao: u64, numerator: u128, denominator: u128) -> u64 {
    let product = sp_core::U256::from(rao) * sp_core::U256::from(numerator);
    let quotient = product.checked_div(denominator.into()).unwrap_or_default();
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::pallet::ChildkeyTake;

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    fn earned(uri: &str, incentive: u64, dividends: u64) -> Earned {
        Earned {
            hotkey: account(uri),
            incentive,
            dividends,
        }
    }

    fn on_subnet(uri: &str) -> u64 {
        TotalHotkeyAlpha::<Runtime>::get(account(uri), 1)
    }

    #[test]
    fn everybody_gets_what_is_due() {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            let before = ["//Miner1", "//Validator1", "//Owner//hot"].map(on_subnet);
            shares::increase(
                &account("//Validator1"),
                &account("//Mallory"),
                1,
                50_000_000_000_000,
            );
            PendingOwnerCut::<Runtime>::insert(1, 18);
            pay(
                1,
                &[
                    earned("//Miner1", 500, 0),
                    earned("//Validator1", 0, 1_000_000),
                    earned("//Owner//hot", 700, 0),
                ],
            );
            assert_eq!(on_subnet("//Miner1"), before[0] + 500);
            assert_eq!(
                on_subnet("//Owner//hot"),
                before[2] + 18,
                "its incentive is burned"
            );
            assert_eq!(on_subnet("//Validator1"), before[1] + 50_000_001_000_000);
            // 18 per cent are the owner's, the rest is shared evenly: both have 50 000.
            let rest = 1_000_000 - 179_995;
            let told = AlphaDividendsPerSubnet::<Runtime>::get(1, account("//Validator1"));
            assert_eq!(told, rest);
            let staker = shares::stake(&account("//Validator1"), &account("//Mallory"), 1);
            assert_eq!(staker, 50_000_000_000_000 + rest / 2);
            pay(1, &[]);
            assert_eq!(AlphaDividendsPerSubnet::<Runtime>::iter_prefix(1).count(), 0);
        });
    }

    #[test]
    fn parents_share_by_what_they_lend() {
        BasicExternalities::default().execute_with(|| {
            let (child, parent) = (account("//1"), account("//2"));
            TaoWeight::<Runtime>::put(u64::MAX);
            TotalHotkeyAlpha::<Runtime>::insert(&child, 1, 100);
            TotalHotkeyAlpha::<Runtime>::insert(&parent, 1, 200);
            TotalHotkeyAlpha::<Runtime>::insert(&parent, 0, 400);
            ParentKeys::<Runtime>::insert(&child, 1, vec![(u64::MAX / 2, parent.clone())]);
            // 100 of its own beside a hair under 300, so 299.
            assert_eq!(
                split(1, &child, 399),
                [(parent.clone(), 299), (child.clone(), 100)]
            );
            // A tenth of what is not its owner's.
            ChildkeyTake::<Runtime>::insert(&child, 1, 6_554);
            assert_eq!(
                split(1, &child, 399),
                [(parent.clone(), 299), (child.clone(), 100)]
            );
            Owner::<Runtime>::insert(&parent, account("//4"));
            assert_eq!(split(1, &child, 399), [(parent, 270), (child, 129)]);
            assert_eq!(split(1, &account("//3"), 7), [(account("//3"), 7)]);
        });
    }
}
