//! Stake calls: what the chain checks, in its order, and how stake moves. The price is fixed: 1 TAO is 1 alpha, without
//! a fee for the exchange, as on the chain's subnets without a pool.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_support::traits::fungible::{Inspect as _, Mutate as _};
use frame_support::traits::tokens::{Fortitude, Precision, Preservation};

use super::pallet::{
    Error, Event, NetworksAdded, Owner, SubnetAlphaOut, SubnetTAO, SubnetVolume, SubtokenEnabled, TotalStake,
    TransferToggle,
};
use super::{AccountId, Balances, Runtime, SubtensorModule, shares};

/// Less than so many rao may not be moved.
pub const LEAST: u64 = 2_000_000;

/// Rao of alpha per alpha, on every subnet.
pub const PRICE: u64 = 1_000_000_000;

/// Where stake comes from or goes to.
pub struct Place<'a> {
    pub coldkey: &'a AccountId,
    pub hotkey: &'a AccountId,
    pub netuid: u16,
}

/// Which call moves stake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// To another hotkey.
    Hotkey,
    /// To another coldkey.
    Coldkey,
    /// To another subnet.
    Subnet,
}

/// Buys stake on a hotkey.
pub fn add(coldkey: &AccountId, hotkey: &AccountId, netuid: u16, rao: u64) -> DispatchResult {
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        SubtokenEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::SubtokenDisabled
    );
    ensure!(rao >= LEAST, Error::<Runtime>::AmountTooLow);
    let balance = Balances::reducible_balance(coldkey, Preservation::Preserve, Fortitude::Polite);
    ensure!(balance >= rao, Error::<Runtime>::NotEnoughBalanceToStake);
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::<Runtime>::HotKeyAccountNotExists
    );
    Balances::burn_from(
        coldkey,
        rao,
        Preservation::Preserve,
        Precision::Exact,
        Fortitude::Polite,
    )?;
    shares::increase(hotkey, coldkey, netuid, rao);
    bought(netuid, rao);
    SubtensorModule::deposit_event(Event::StakeAdded(
        coldkey.clone(),
        hotkey.clone(),
        rao,
        rao,
        netuid,
        0,
    ));
    Ok(())
}

/// Sells stake on a hotkey.
pub fn remove(coldkey: &AccountId, hotkey: &AccountId, netuid: u16, rao: u64) -> DispatchResult {
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(rao > 0, Error::<Runtime>::AmountTooLow);
    let held = shares::stake(hotkey, coldkey, netuid);
    ensure!(rao <= held, Error::<Runtime>::NotEnoughStakeToWithdraw);
    ensure!(rao == held || rao >= LEAST, Error::<Runtime>::AmountTooLow);
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::<Runtime>::HotKeyAccountNotExists
    );
    shares::decrease(hotkey, coldkey, netuid, rao);
    sold(netuid, rao);
    Balances::mint_into(coldkey, rao)?;
    SubtensorModule::deposit_event(Event::StakeRemoved(
        coldkey.clone(),
        hotkey.clone(),
        rao,
        rao,
        netuid,
        0,
    ));
    Ok(())
}

/// Moves stake to another hotkey, coldkey or subnet.
pub fn relocate(kind: Move, from: &Place<'_>, to: &Place<'_>, rao: u64) -> DispatchResult {
    let same_keys = from.coldkey == to.coldkey && from.hotkey == to.hotkey;
    ensure!(
        !same_keys || from.netuid != to.netuid,
        Error::<Runtime>::SameNetuid
    );
    for place in [from, to] {
        ensure!(
            NetworksAdded::<Runtime>::get(place.netuid),
            Error::<Runtime>::SubnetNotExists
        );
    }
    for place in [from, to] {
        ensure!(
            SubtokenEnabled::<Runtime>::get(place.netuid),
            Error::<Runtime>::SubtokenDisabled
        );
    }
    for place in [from, to] {
        ensure!(
            Owner::<Runtime>::contains_key(place.hotkey),
            Error::<Runtime>::HotKeyAccountNotExists
        );
    }
    let held = shares::stake(from.hotkey, from.coldkey, from.netuid);
    ensure!(rao <= held, Error::<Runtime>::NotEnoughStakeToWithdraw);
    let crosses = from.netuid != to.netuid;
    ensure!(!crosses || rao > LEAST, Error::<Runtime>::AmountTooLow);
    if kind == Move::Coldkey {
        for place in [from, to] {
            ensure!(
                TransferToggle::<Runtime>::get(place.netuid),
                Error::<Runtime>::TransferDisallowed
            );
        }
    }
    shares::decrease(from.hotkey, from.coldkey, from.netuid, rao);
    shares::increase(to.hotkey, to.coldkey, to.netuid, rao);
    if crosses {
        sold(from.netuid, rao);
        bought(to.netuid, rao);
    }
    SubtensorModule::deposit_event(told(kind, from, to, rao));
    Ok(())
}

fn told(kind: Move, from: &Place<'_>, to: &Place<'_>, rao: u64) -> Event<Runtime> {
    match kind {
        Move::Hotkey => Event::StakeMoved(
            from.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.hotkey.clone(),
            to.netuid,
            rao,
        ),
        Move::Coldkey => Event::StakeTransferred(
            from.coldkey.clone(),
            to.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.netuid,
            rao,
        ),
        Move::Subnet => Event::StakeSwapped(
            from.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.netuid,
            rao,
        ),
    }
}

/// A hotkey's stake was set, without anybody who paid or was paid.
pub fn adjusted(netuid: u16, before: u64, after: u64) {
    match after.checked_sub(before) {
        Some(0) => {}
        Some(more) => bought(netuid, more),
        None => sold(netuid, before - after),
    }
}

/// What a subnet sold.
fn bought(netuid: u16, rao: u64) {
    SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_add(rao));
    SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_add(rao));
    SubnetVolume::<Runtime>::mutate(netuid, |volume| *volume = volume.saturating_add(rao.into()));
    TotalStake::<Runtime>::mutate(|tao| *tao = tao.saturating_add(rao));
}

/// What a subnet bought back.
pub fn sold(netuid: u16, rao: u64) {
    SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_sub(rao));
    SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_sub(rao));
    SubnetVolume::<Runtime>::mutate(netuid, |volume| *volume = volume.saturating_add(rao.into()));
    TotalStake::<Runtime>::mutate(|tao| *tao = tao.saturating_sub(rao));
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::pallet::TotalHotkeyAlpha;
    use crate::runtime::{RuntimeOrigin, System, cheats, stake_info};

    const ALPHA: u64 = 1_000_000_000;

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    /// Runs over the development network with a second subnet.
    fn on_two_subnets(test: impl FnOnce()) {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            System::set_block_number(1);
            cheats::add_subnet(2, 10, &account("//Owner"), &account("//Owner//hot"));
            test();
        });
    }

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    fn mallory() -> AccountId {
        account("//Mallory")
    }

    fn buy(hotkey: &str, netuid: u16, rao: u64) -> DispatchResult {
        add(&mallory(), &account(hotkey), netuid, rao)
    }

    fn held(hotkey: &str, netuid: u16) -> u64 {
        shares::stake(&account(hotkey), &mallory(), netuid)
    }

    #[test]
    fn genesis_gives_all_stake_to_owners() {
        on_two_subnets(|| {
            let staked = stake_info::of_coldkey(&account("//Validator1//cold"));
            let staked: Vec<_> = staked
                .iter()
                .map(|info| (info.netuid, info.stake / ALPHA))
                .collect();
            assert_eq!(staked, [(0, 10_000), (1, 50_000)]);
            assert!(stake_info::of_coldkey(&mallory()).is_empty());
        });
    }

    #[test]
    fn stake_is_bought_and_sold_at_one_for_one() {
        on_two_subnets(|| {
            let balance = Balances::free_balance(mallory());
            let (total, out) = (
                TotalHotkeyAlpha::<Runtime>::get(account("//Miner1"), 1),
                SubnetAlphaOut::<Runtime>::get(1),
            );
            assert_eq!(buy("//Miner1", 1, 3 * ALPHA), Ok(()));
            assert_eq!(Balances::free_balance(mallory()), balance - 3 * ALPHA);
            assert_eq!(held("//Miner1", 1), 3 * ALPHA);
            assert_eq!(
                TotalHotkeyAlpha::<Runtime>::get(account("//Miner1"), 1),
                total + 3 * ALPHA
            );
            assert_eq!(SubnetAlphaOut::<Runtime>::get(1), out + 3 * ALPHA);
            let event = Event::StakeAdded(mallory(), account("//Miner1"), 3 * ALPHA, 3 * ALPHA, 1, 0);
            assert_eq!(System::events().pop().unwrap().event, event.into());
            assert_eq!(remove(&mallory(), &account("//Miner1"), 1, ALPHA), Ok(()));
            assert_eq!(held("//Miner1", 1), 2 * ALPHA);
            assert_eq!(remove(&mallory(), &account("//Miner1"), 1, 2 * ALPHA), Ok(()));
            assert_eq!(Balances::free_balance(mallory()), balance);
            assert_eq!(TotalHotkeyAlpha::<Runtime>::get(account("//Miner1"), 1), total);
        });
    }

    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        on_two_subnets(|| {
            assert_eq!(buy("//Nobody", 9, 1), refused(Error::SubnetNotExists));
            SubtokenEnabled::<Runtime>::insert(2, false);
            assert_eq!(buy("//Nobody", 2, 1), refused(Error::SubtokenDisabled));
            assert_eq!(buy("//Nobody", 1, LEAST - 1), refused(Error::AmountTooLow));
            let all = Balances::free_balance(mallory());
            assert_eq!(buy("//Nobody", 1, all), refused(Error::NotEnoughBalanceToStake));
            assert_eq!(buy("//Nobody", 1, LEAST), refused(Error::HotKeyAccountNotExists));
            assert_eq!(buy("//Miner1", 1, 2 * LEAST), Ok(()));
            let sell = |netuid, rao| remove(&mallory(), &account("//Miner1"), netuid, rao);
            assert_eq!(sell(9, 0), refused(Error::SubnetNotExists));
            assert_eq!(sell(1, 0), refused(Error::AmountTooLow));
            assert_eq!(sell(1, 2 * LEAST + 1), refused(Error::NotEnoughStakeToWithdraw));
            assert_eq!(sell(1, LEAST - 1), refused(Error::AmountTooLow));
            assert_eq!(sell(1, LEAST + 1), Ok(()));
            assert_eq!(sell(1, LEAST - 1), Ok(()), "all that is left may be little");
        });
    }

    #[test]
    fn stake_goes_to_another_hotkey_coldkey_or_subnet() {
        on_two_subnets(|| {
            assert_eq!(buy("//Miner1", 1, 9 * ALPHA), Ok(()));
            let signed = || RuntimeOrigin::signed(mallory());
            let (first, second) = (account("//Miner1"), account("//Miner2"));
            let moved = SubtensorModule::move_stake(signed(), first.clone(), second.clone(), 1, 1, 2 * ALPHA);
            assert_eq!(moved, Ok(()));
            assert_eq!((held("//Miner1", 1), held("//Miner2", 1)), (7 * ALPHA, 2 * ALPHA));
            assert_eq!(
                SubtensorModule::swap_stake(signed(), second.clone(), 1, 2, 2 * ALPHA),
                Ok(())
            );
            assert_eq!((held("//Miner2", 1), held("//Miner2", 2)), (0, 2 * ALPHA));
            assert_eq!(SubnetTAO::<Runtime>::get(2), 2 * ALPHA);
            let alice = account("//Alice");
            let given =
                || SubtensorModule::transfer_stake(signed(), alice.clone(), first.clone(), 1, 1, ALPHA);
            assert_eq!(given(), Ok(()));
            assert_eq!(
                (held("//Miner1", 1), shares::stake(&first, &alice, 1)),
                (6 * ALPHA, ALPHA)
            );
            let told = Event::StakeTransferred(mallory(), alice.clone(), first.clone(), 1, 1, ALPHA);
            assert_eq!(System::events().pop().unwrap().event, told.into());
            TransferToggle::<Runtime>::insert(1, false);
            assert_eq!(given(), refused(Error::TransferDisallowed));
            let nowhere = SubtensorModule::swap_stake(signed(), first.clone(), 1, 1, ALPHA);
            assert_eq!(nowhere, refused(Error::SameNetuid));
            let little = SubtensorModule::swap_stake(signed(), first.clone(), 1, 2, LEAST);
            assert_eq!(little, refused(Error::AmountTooLow));
            let much = SubtensorModule::swap_stake(signed(), first, 1, 2, 7 * ALPHA);
            assert_eq!(much, refused(Error::NotEnoughStakeToWithdraw));
        });
    }
}
