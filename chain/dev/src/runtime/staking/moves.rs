//! Stake that goes to another hotkey, coldkey or subnet.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_support::traits::fungible::Mutate as _;
use frame_support::traits::tokens::Preservation;
use sp_runtime::DispatchError;
use substrate_fixed::types::U64F64;

use super::{LEAST, LEAST_GIVEN, Limit, become_delegate, buy, most_within, sell};
use crate::runtime::pallet::{
    Error, Event, NetworksAdded, Owner, SubnetAlphaIn, SubnetTAO, SubtokenEnabled, TransferToggle,
};
use crate::runtime::swap::{self, Order, Terms, UNIT, has_pool, price};
use crate::runtime::{AccountId, Balances, Runtime, SubtensorModule, collateral, shares};

/// Where stake comes from or goes to.
pub struct Place<'a> {
    pub coldkey: &'a AccountId,
    pub hotkey: &'a AccountId,
    pub netuid: u16,
}

impl Place<'_> {
    fn stake(&self) -> u64 {
        shares::stake(self.hotkey, self.coldkey, self.netuid)
    }
}

/// Which call moves stake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To another hotkey.
    Hotkey,
    /// To another coldkey.
    Coldkey,
    /// To another subnet.
    Subnet,
}

impl Kind {
    /// What is less cannot go to another subnet.
    fn least(self) -> u64 {
        match self {
            Self::Coldkey => LEAST_GIVEN,
            Self::Hotkey | Self::Subnet => LEAST,
        }
    }
}

/// What is moved.
pub struct Move<'a> {
    pub kind: Kind,
    pub from: Place<'a>,
    pub to: Place<'a>,
    pub rao: u64,
    /// Of the price of the alpha that goes in that of the alpha that comes.
    pub limit: Option<Limit>,
}

/// Moves stake to another hotkey, coldkey or subnet (`transition_stake_across_positions`).
pub fn relocate(order: &Move<'_>) -> DispatchResult {
    let Move {
        kind, from, to, rao, ..
    } = order;
    let crosses = from.netuid != to.netuid;
    let most = match order.limit {
        Some(limit) if crosses => most_moved(from.netuid, to.netuid, limit.price)?,
        _ => *rao,
    };
    may_move(order, most)?;
    let rao = (*rao).min(most);
    let tao = if crosses {
        cross(*kind, from, to, rao)?
    } else {
        stay(from, to, rao)?
    };
    SubtensorModule::deposit_event(told(*kind, from, to, tao));
    Ok(())
}

/// What the chain checks, in its order (`validate_stake_transition`).
fn may_move(order: &Move<'_>, most: u64) -> Result<(), Error<Runtime>> {
    let Move {
        kind, from, to, rao, ..
    } = order;
    let same_keys = from.coldkey == to.coldkey && from.hotkey == to.hotkey;
    let crosses = from.netuid != to.netuid;
    ensure!(!same_keys || crosses, Error::SameNetuid);
    for place in [from, to] {
        ensure!(
            NetworksAdded::<Runtime>::get(place.netuid),
            Error::SubnetNotExists
        );
    }
    for place in [from, to] {
        ensure!(
            SubtokenEnabled::<Runtime>::get(place.netuid),
            Error::SubtokenDisabled
        );
    }
    for place in [from, to] {
        ensure!(
            Owner::<Runtime>::contains_key(place.hotkey),
            Error::HotKeyAccountNotExists
        );
    }
    ensure!(*rao <= from.stake(), Error::NotEnoughStakeToWithdraw);
    if crosses {
        let sold = swap::simulate(from.netuid, Order::Sell, *rao, Terms::any(Order::Sell))
            .map_err(|_| Error::InsufficientLiquidity)?;
        ensure!(sold.got > kind.least(), Error::AmountTooLow);
        ensure!(
            order.limit.is_none_or(|limit| limit.partly) || *rao <= most,
            Error::SlippageTooHigh
        );
    }
    if *kind == Kind::Coldkey {
        for place in [from, to] {
            ensure!(
                TransferToggle::<Runtime>::get(place.netuid),
                Error::TransferDisallowed
            );
        }
        ensure!(
            crosses || collateral::others_cover(from.coldkey, from.netuid, *rao),
            Error::StakeUnavailable
        );
    }
    collateral::stays_covered(from.coldkey, from.hotkey, from.netuid, *rao)
}

/// Sells it here and buys there. One of the two is without a fee.
fn cross(kind: Kind, from: &Place<'_>, to: &Place<'_>, rao: u64) -> Result<u64, DispatchError> {
    let with_fee = |with_fee, order| Terms {
        with_fee,
        ..Terms::any(order)
    };
    let pays_here = from.netuid != 0;
    let tao = sell(
        from.coldkey,
        from.hotkey,
        from.netuid,
        rao,
        with_fee(pays_here, Order::Sell),
    )?;
    if from.coldkey != to.coldkey {
        Balances::transfer(from.coldkey, to.coldkey, tao, Preservation::Expendable)?;
    }
    // What the price has left too little of stays TAO.
    if tao >= kind.least() {
        become_delegate(to.hotkey, to.coldkey);
        buy(
            to.coldkey,
            to.hotkey,
            to.netuid,
            tao,
            with_fee(!pays_here, Order::Buy),
        )?;
    }
    Ok(tao)
}

/// Gives it to others on the same subnet (`transfer_stake_within_subnet`). Gives what it is worth in TAO.
fn stay(from: &Place<'_>, to: &Place<'_>, rao: u64) -> Result<u64, DispatchError> {
    let worth: u64 = price(from.netuid)
        .saturating_mul(U64F64::from_num(rao))
        .saturating_to_num();
    ensure!(worth >= LEAST_GIVEN, Error::<Runtime>::AmountTooLow);
    shares::decrease(from.hotkey, from.coldkey, from.netuid, rao);
    become_delegate(to.hotkey, to.coldkey);
    shares::increase(to.hotkey, to.coldkey, to.netuid, rao);
    SubtensorModule::deposit_event(Event::StakeRemoved(
        from.coldkey.clone(),
        from.hotkey.clone(),
        worth,
        rao,
        from.netuid,
        0,
    ));
    SubtensorModule::deposit_event(Event::StakeAdded(
        to.coldkey.clone(),
        to.hotkey.clone(),
        worth,
        rao,
        to.netuid,
        0,
    ));
    Ok(worth)
}

fn told(kind: Kind, from: &Place<'_>, to: &Place<'_>, tao: u64) -> Event<Runtime> {
    match kind {
        Kind::Hotkey => Event::StakeMoved(
            from.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.hotkey.clone(),
            to.netuid,
            tao,
        ),
        Kind::Coldkey => Event::StakeTransferred(
            from.coldkey.clone(),
            to.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.netuid,
            tao,
        ),
        Kind::Subnet => Event::StakeSwapped(
            from.coldkey.clone(),
            from.hotkey.clone(),
            from.netuid,
            to.netuid,
            tao,
        ),
    }
}

/// As much alpha as can go until its price in the other alpha is the limit (`get_max_amount_move`).
fn most_moved(from: u16, to: u16, limit: u64) -> Result<u64, DispatchError> {
    match (has_pool(from), has_pool(to)) {
        (false, false) => Ok(if limit > UNIT { 0 } else { u64::MAX }),
        (false, true) => match (u128::from(UNIT) * u128::from(UNIT)).checked_div(limit.into()) {
            None => Ok(u64::MAX),
            // The price there is what the other way round the limit is of.
            Some(turned) => most_within(to, Order::Buy, u64::try_from(turned).unwrap_or(u64::MAX)),
        },
        (true, false) => most_within(from, Order::Sell, limit),
        (true, true) => Ok(most_between(from, to, limit)),
    }
}

fn most_between(from: u16, to: u16, limit: u64) -> u64 {
    let number = |rao: u64| U64F64::from_num(rao);
    let tao = [from, to].map(|netuid| number(SubnetTAO::<Runtime>::get(netuid)));
    let alpha = [from, to].map(|netuid| number(SubnetAlphaIn::<Runtime>::get(netuid)));
    if tao.iter().chain(&alpha).any(|side| *side == 0) {
        return 0;
    }
    let Some(current) = price(from).checked_div(price(to)) else {
        return 0;
    };
    if limit == 0 {
        return u64::MAX;
    }
    let limit = number(limit) / number(UNIT);
    if limit > current {
        return 0;
    }
    let both = tao[0].saturating_add(tao[1]);
    let part = |side: U64F64| side.checked_div(both).unwrap_or_default();
    let gets = alpha[1].saturating_mul(part(tao[0]));
    let gives = alpha[0].saturating_mul(part(tao[1]));
    let most = gets.checked_div(limit).unwrap_or_else(U64F64::max_value);
    most.saturating_sub(gives).saturating_to_num()
}
