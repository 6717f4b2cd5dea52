//! Stake calls: what the chain checks, in its order, and how stake is bought and sold. On a subnet with a pool it is at
//! the pool's price; elsewhere 1 TAO is 1 alpha, without a fee.
//!
//! TAO in a pool, or paid for stake on a subnet without one, is on no account: `SubnetTAO` alone holds it. What swaps
//! cost is burned, because no author is known who would get it.

mod moves;
#[cfg(test)]
mod tests;

pub use moves::{Kind, Move, Place, relocate};

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_support::traits::fungible::{Inspect as _, Mutate as _};
use frame_support::traits::tokens::{Fortitude, Precision, Preservation};
use sp_runtime::DispatchError;

use super::pallet::{
    Delegates, Error, Event, NetworksAdded, Owner, SubnetAlphaIn, SubnetAlphaOut, SubnetTAO, SubnetVolume,
    SubtokenEnabled, TotalStake,
};
use super::swap::{self, Order, Swapped, Terms, has_pool};
use super::{AccountId, Balances, Runtime, SubtensorModule, collateral, shares, subnets};

/// Less than so many rao may not be staked or moved.
pub const LEAST: u64 = 2_000_000;

/// Less than so many rao may not be given to another coldkey.
pub const LEAST_GIVEN: u64 = 100_000;

/// What goes into a pool at once is at most so many times what is there.
const MOST_INPUT: u64 = 1_000;

/// A limit of the price in rao, and whether a part may be done if not all of it stays within.
#[derive(Clone, Copy)]
pub struct Limit {
    pub price: u64,
    pub partly: bool,
}

/// What a coldkey can spend and keep its account.
pub fn spendable(coldkey: &AccountId) -> u64 {
    Balances::reducible_balance(coldkey, Preservation::Preserve, Fortitude::Polite)
}

/// Buys stake on a hotkey (`do_add_stake`, `do_add_stake_limit`).
pub fn add(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    limit: Option<Limit>,
) -> DispatchResult {
    within_reach(netuid, Order::Buy, rao)?;
    let most = match limit {
        Some(limit) => most_within(netuid, Order::Buy, limit.price)?,
        None => rao,
    };
    may_add(
        coldkey,
        hotkey,
        netuid,
        rao,
        most,
        limit.is_some_and(|limit| limit.partly),
    )?;
    if limit.is_some() {
        become_delegate(hotkey, coldkey);
    }
    let terms = terms(Order::Buy, limit);
    buy(coldkey, hotkey, netuid, rao.min(most), terms)?;
    Ok(())
}

/// Sells stake on a hotkey (`do_remove_stake`).
pub fn remove(coldkey: &AccountId, hotkey: &AccountId, netuid: u16, rao: u64) -> DispatchResult {
    ensure!(
        SubtokenEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::SubtokenDisabled
    );
    // A fee may have been paid with a part of it.
    let rao = rao.min(shares::stake(hotkey, coldkey, netuid));
    within_reach(netuid, Order::Sell, rao)?;
    may_remove(coldkey, hotkey, netuid, rao, rao, false)?;
    sell(coldkey, hotkey, netuid, rao, Terms::any(Order::Sell))?;
    Ok(())
}

/// Sells stake on a hotkey for a price that is not below the limit (`do_remove_stake_limit`).
pub fn remove_within(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    limit: Limit,
) -> DispatchResult {
    within_reach(netuid, Order::Sell, rao)?;
    let most = most_within(netuid, Order::Sell, limit.price)?;
    may_remove(coldkey, hotkey, netuid, rao, most, limit.partly)?;
    sell(
        coldkey,
        hotkey,
        netuid,
        rao.min(most),
        terms(Order::Sell, Some(limit)),
    )?;
    Ok(())
}

/// Sells all of a coldkey's stake on a hotkey on a subnet (`do_remove_stake_full_limit`).
pub fn remove_all_on(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    limit: Option<u64>,
) -> DispatchResult {
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    let rao = shares::stake(hotkey, coldkey, netuid);
    match limit {
        Some(price) => remove_within(coldkey, hotkey, netuid, rao, Limit { price, partly: false }),
        None => remove(coldkey, hotkey, netuid, rao),
    }
}

/// Sells all of a coldkey's stake on a hotkey, as far as it can be sold (`do_unstake_all`). With `to_root`, all but what
/// is on root, and the TAO is staked there (`do_unstake_all_alpha`).
pub fn remove_all(coldkey: &AccountId, hotkey: &AccountId, to_root: bool) -> DispatchResult {
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::<Runtime>::HotKeyAccountNotExists
    );
    let mut got: u64 = 0;
    for netuid in subnets::netuids() {
        let rao = shares::stake(hotkey, coldkey, netuid);
        let is_sold = SubtokenEnabled::<Runtime>::get(netuid)
            && (netuid != 0 || !to_root)
            && may_remove(coldkey, hotkey, netuid, rao, rao, false).is_ok();
        if is_sold {
            let tao = sell(coldkey, hotkey, netuid, rao, Terms::any(Order::Sell))?;
            got = got.saturating_add(tao);
        }
    }
    if to_root {
        buy(coldkey, hotkey, 0, got, Terms::any(Order::Buy))?;
    }
    Ok(())
}

fn terms(order: Order, limit: Option<Limit>) -> Terms {
    match limit {
        Some(limit) => Terms {
            limit: limit.price,
            with_fee: true,
        },
        None => Terms::any(order),
    }
}

/// Refuses what no pool takes (`ensure_add_stake_input_within_swap_limit` and its like for selling).
pub fn within_reach(netuid: u16, order: Order, rao: u64) -> Result<(), Error<Runtime>> {
    ensure!(
        !has_pool(netuid) || rao <= most_input(netuid, order),
        Error::InsufficientLiquidity
    );
    Ok(())
}

fn most_input(netuid: u16, order: Order) -> u64 {
    let there = match order {
        Order::Buy => SubnetTAO::<Runtime>::get(netuid),
        Order::Sell => SubnetAlphaIn::<Runtime>::get(netuid),
    };
    there.saturating_mul(MOST_INPUT)
}

/// As much as can be paid until the price is the limit (`get_max_amount_add`, `get_max_amount_remove`).
pub fn most_within(netuid: u16, order: Order, price: u64) -> Result<u64, DispatchError> {
    if !has_pool(netuid) {
        let is_met = match order {
            Order::Buy => price >= swap::UNIT,
            Order::Sell => price <= swap::UNIT,
        };
        return Ok(if is_met { u64::MAX } else { 0 });
    }
    let terms = Terms {
        limit: price,
        with_fee: true,
    };
    let most = swap::simulate(netuid, order, most_input(netuid, order), terms)?;
    Ok(most.spent())
}

/// What the chain checks before stake is bought (`validate_add_stake`).
pub fn may_add(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    most: u64,
    partly: bool,
) -> Result<(), Error<Runtime>> {
    ensure!(NetworksAdded::<Runtime>::get(netuid), Error::SubnetNotExists);
    ensure!(SubtokenEnabled::<Runtime>::get(netuid), Error::SubtokenDisabled);
    let any = Terms::any(Order::Buy);
    let fee = swap::simulate(netuid, Order::Buy, LEAST, any).map_or(0, |least| least.fee);
    ensure!(rao >= LEAST.saturating_add(fee), Error::AmountTooLow);
    ensure!(partly || rao <= most, Error::SlippageTooHigh);
    let rao = rao.min(most);
    ensure!(spendable(coldkey) >= rao, Error::NotEnoughBalanceToStake);
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::HotKeyAccountNotExists
    );
    let swapped = swap::simulate(netuid, Order::Buy, rao, any).map_err(|_| Error::InsufficientLiquidity)?;
    ensure!(swapped.paid >= LEAST, Error::AmountTooLow);
    ensure!(swapped.got > 0, Error::InsufficientLiquidity);
    Ok(())
}

/// What the chain checks before stake is sold (`validate_remove_stake`).
fn may_remove(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    most: u64,
    partly: bool,
) -> Result<(), Error<Runtime>> {
    ensure!(NetworksAdded::<Runtime>::get(netuid), Error::SubnetNotExists);
    ensure!(rao > 0, Error::AmountTooLow);
    let held = shares::stake(hotkey, coldkey, netuid);
    ensure!(rao <= held, Error::NotEnoughStakeToWithdraw);
    let swapped = swap::simulate(netuid, Order::Sell, rao, Terms::any(Order::Sell))
        .map_err(|_| Error::InsufficientLiquidity)?;
    ensure!(rao == held || swapped.got >= LEAST, Error::AmountTooLow);
    ensure!(partly || rao <= most, Error::SlippageTooHigh);
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::HotKeyAccountNotExists
    );
    collateral::stays_covered(coldkey, hotkey, netuid, rao)
}

/// Buys stake for what a coldkey can spare of so much TAO (`stake_into_subnet`). Gives how much stake it is.
pub fn buy(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    terms: Terms,
) -> Result<u64, DispatchError> {
    let rao = rao.min(spendable(coldkey));
    let Swapped { got, fee, .. } = exchange_tao(coldkey, netuid, rao, terms)?;
    ensure!(got > 0, Error::<Runtime>::AmountTooLow);
    shares::increase(hotkey, coldkey, netuid, got);
    SubtensorModule::deposit_event(Event::StakeAdded(
        coldkey.clone(),
        hotkey.clone(),
        rao,
        got,
        netuid,
        fee,
    ));
    Ok(got)
}

/// Takes TAO of a coldkey for alpha that is nobody's yet. What the pool does not take stays.
pub fn exchange_tao(
    coldkey: &AccountId,
    netuid: u16,
    rao: u64,
    terms: Terms,
) -> Result<Swapped, DispatchError> {
    let swapped = swap::swap(netuid, Order::Buy, rao, terms)?;
    Balances::burn_from(
        coldkey,
        swapped.spent(),
        Preservation::Preserve,
        Precision::Exact,
        Fortitude::Polite,
    )?;
    Ok(swapped)
}

/// Sells stake (`unstake_from_subnet`). Gives how much TAO the coldkey has got.
pub fn sell(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
    terms: Terms,
) -> Result<u64, DispatchError> {
    collateral::stays_covered(coldkey, hotkey, netuid, rao)?;
    let swapped = swap::swap(netuid, Order::Sell, rao, terms)?;
    shares::decrease(hotkey, coldkey, netuid, swapped.spent());
    Balances::mint_into(coldkey, swapped.got)?;
    SubtensorModule::deposit_event(Event::StakeRemoved(
        coldkey.clone(),
        hotkey.clone(),
        swapped.got,
        swapped.paid,
        netuid,
        swapped.fee,
    ));
    Ok(swapped.got)
}

/// On whom others have staked is a delegate (`maybe_become_delegate`).
fn become_delegate(hotkey: &AccountId, coldkey: &AccountId) {
    if Owner::<Runtime>::get(hotkey) != *coldkey && !Delegates::<Runtime>::contains_key(hotkey) {
        Delegates::<Runtime>::insert(hotkey, Delegates::<Runtime>::get(hotkey));
    }
}

/// A hotkey's stake was set, without anybody who paid or was paid.
pub fn adjusted(netuid: u16, before: u64, after: u64) {
    let (more, less) = (after.saturating_sub(before), before.saturating_sub(after));
    SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| {
        *alpha = alpha.saturating_add(more).saturating_sub(less);
    });
    if more == less || has_pool(netuid) {
        return;
    }
    let moved = more.saturating_add(less);
    SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_add(more).saturating_sub(less));
    SubnetVolume::<Runtime>::mutate(netuid, |volume| *volume = volume.saturating_add(moved.into()));
    TotalStake::<Runtime>::mutate(|tao| *tao = tao.saturating_add(more).saturating_sub(less));
}
