//! Collateral: what a registration locks of a hotkey's stake, until the hotkey has earned it.
//!
//! A subnet with a share of it splits what a registration costs: that share buys stake which is locked, the rest is
//! burned. What the hotkey earns frees it, and fills it up to where the coldkey wants it to stay.

use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use scale_info::TypeInfo;
use sp_runtime::DispatchError;
use substrate_fixed::types::U64F64;

use super::pallet::{
    ColdkeyMinerCollateral, CollateralDrainRatio, CollateralLockShare, Error, Event, MinerCollateral,
    NetworksAdded, Owner, StakingHotkeys, SubnetAlphaOut, SubtokenEnabled,
};
use super::swap::{self, Order, Terms, UNIT};
use super::{AccountId, Runtime, SubtensorModule, coinbase, shares, staking};

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod collateral_items {
    /// What of the cost of a registration is locked, a part of 65535.
    #[pallet::storage]
    pub type CollateralLockShare<T> = StorageMap<_, Identity, u16, u16, ValueQuery>;
    /// How much is freed for an alpha that is earned.
    #[pallet::storage]
    pub type CollateralDrainRatio<T> = StorageMap<_, Identity, u16, U64F64, ValueQuery, DefaultDrainRatio>;
    /// By subnet, hotkey and coldkey.
    #[pallet::storage]
    pub type MinerCollateral<T> = StorageNMap<
        _,
        (
            NMapKey<Identity, u16>,
            NMapKey<Blake2_128Concat, AccountId32>,
            NMapKey<Blake2_128Concat, AccountId32>,
        ),
        MinerCollateralState,
        OptionQuery,
    >;
    /// Alpha rao that is locked on all hotkeys of a coldkey.
    #[pallet::storage]
    pub type ColdkeyMinerCollateral<T> =
        StorageDoubleMap<_, Identity, u16, Blake2_128Concat, AccountId32, u64, ValueQuery>;
}

/// The collateral of a coldkey on a hotkey, in rao of alpha.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct MinerCollateralState {
    pub locked: u64,
    /// As it was at the last registration.
    pub drain_ratio: U64F64,
    /// What is to stay locked.
    pub min_locked: u64,
    pub earned: u64,
}

/// The collateral of a hotkey's owner.
pub fn of(netuid: u16, hotkey: &AccountId) -> Option<MinerCollateralState> {
    MinerCollateral::<Runtime>::get((netuid, hotkey, Owner::<Runtime>::get(hotkey)))
}

fn locked(netuid: u16, hotkey: &AccountId, coldkey: &AccountId) -> u64 {
    MinerCollateral::<Runtime>::get((netuid, hotkey, coldkey)).map_or(0, |state| state.locked)
}

/// Refuses to take so much that what is left of the stake is less than what is locked
/// (`ensure_hotkey_covers_collateral`).
pub fn stays_covered(
    coldkey: &AccountId,
    hotkey: &AccountId,
    netuid: u16,
    rao: u64,
) -> Result<(), Error<Runtime>> {
    let stake = shares::stake(hotkey, coldkey, netuid);
    let free = stake.saturating_sub(locked(netuid, hotkey, coldkey));
    ensure!(rao <= free, Error::StakeUnavailable);
    Ok(())
}

/// Whether a coldkey that gives so much away keeps on all its hotkeys what is locked on them
/// (`ensure_transfer_respects_collateral`).
pub fn others_cover(coldkey: &AccountId, netuid: u16, rao: u64) -> bool {
    let hotkeys = StakingHotkeys::<Runtime>::get(coldkey);
    let all = hotkeys.iter().fold(0u64, |sum, hotkey| {
        sum.saturating_add(shares::stake(hotkey, coldkey, netuid))
    });
    rao <= all.saturating_sub(ColdkeyMinerCollateral::<Runtime>::get(netuid, coldkey))
}

/// What a registration takes.
pub struct Charge {
    /// Of it, what buys alpha that is burned.
    pub burned: u64,
    /// Of it, what buys stake that is locked.
    pub locked: u64,
}

impl Charge {
    pub fn sum(&self) -> u64 {
        self.burned.saturating_add(self.locked)
    }
}

/// What it takes where it costs so much: what is locked already counts by its moving price (`get_collateral_topup_tao`).
pub fn charge(netuid: u16, hotkey: &AccountId, coldkey: &AccountId, cost: u64) -> Charge {
    let share = U64F64::from_num(CollateralLockShare::<Runtime>::get(netuid)) / U64F64::from_num(u16::MAX);
    let required: u64 = U64F64::from_num(cost).saturating_mul(share).saturating_to_num();
    let there: u64 = U64F64::from_num(locked(netuid, hotkey, coldkey))
        .saturating_mul(coinbase::moving_price(netuid))
        .saturating_to_num();
    Charge {
        burned: cost.saturating_sub(required),
        locked: required.saturating_sub(there),
    }
}

/// Pays for a registration: all of it buys alpha, which is burned or locked (`pay_registration`).
pub fn pay(netuid: u16, hotkey: &AccountId, coldkey: &AccountId, charge: &Charge) -> DispatchResult {
    let sum = charge.sum();
    let bought = if sum == 0 {
        swap::Swapped::default()
    } else {
        let mut terms = Terms::any(Order::Buy);
        if charge.locked > 0 {
            terms.limit = most_paid(netuid)?;
        }
        staking::exchange_tao(coldkey, netuid, sum, terms)?
    };
    let part = u128::from(bought.got) * u128::from(charge.locked) / u128::from(sum.max(1));
    let lock = u64::try_from(part).unwrap_or(u64::MAX);
    let burned = bought.got.saturating_sub(lock);
    SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_sub(burned));
    if lock > 0 {
        shares::increase(hotkey, coldkey, netuid, lock);
        SubtensorModule::deposit_event(Event::StakeAdded(
            coldkey.clone(),
            hotkey.clone(),
            charge.locked,
            lock,
            netuid,
            bought.fee,
        ));
        credit(netuid, hotkey, coldkey, lock);
        told(netuid, hotkey, coldkey, lock);
    }
    MinerCollateral::<Runtime>::mutate_exists((netuid, hotkey, coldkey), |state| {
        if let Some(state) = state {
            state.drain_ratio = CollateralDrainRatio::<Runtime>::get(netuid);
        }
    });
    Ok(())
}

/// 5 per cent above the price (`collateral_purchase_limit_price`).
fn most_paid(netuid: u16) -> Result<u64, Error<Runtime>> {
    let above = swap::price(netuid).saturating_mul(U64F64::from_num(105)) / U64F64::from_num(100);
    let rao: u64 = above.saturating_mul(U64F64::from_num(UNIT)).saturating_to_num();
    ensure!(rao > 0, Error::InsufficientLiquidity);
    Ok(rao)
}

fn told(netuid: u16, hotkey: &AccountId, coldkey: &AccountId, rao: u64) {
    SubtensorModule::deposit_event(Event::CollateralLocked {
        netuid,
        hotkey: hotkey.clone(),
        locked: rao,
        total_locked: locked(netuid, hotkey, coldkey),
    });
}

/// Locks more.
fn credit(netuid: u16, hotkey: &AccountId, coldkey: &AccountId, rao: u64) {
    change(netuid, hotkey, coldkey, |state| {
        state.locked = state.locked.saturating_add(rao);
    });
}

/// Changes a collateral, makes it if there is none, and drops it if nothing is locked and nothing is to be.
fn change<R>(
    netuid: u16,
    hotkey: &AccountId,
    coldkey: &AccountId,
    with: impl FnOnce(&mut MinerCollateralState) -> R,
) -> R {
    let key = (netuid, hotkey, coldkey);
    let mut state = MinerCollateral::<Runtime>::get(key).unwrap_or_else(|| MinerCollateralState {
        locked: 0,
        drain_ratio: CollateralDrainRatio::<Runtime>::get(netuid),
        min_locked: 0,
        earned: 0,
    });
    let before = state.locked;
    let result = with(&mut state);
    ColdkeyMinerCollateral::<Runtime>::mutate_exists(netuid, coldkey, |sum| {
        let new = sum
            .unwrap_or_default()
            .saturating_sub(before)
            .saturating_add(state.locked);
        *sum = (new > 0).then_some(new);
    });
    if state.locked == 0 && state.min_locked == 0 {
        MinerCollateral::<Runtime>::remove(key);
    } else {
        MinerCollateral::<Runtime>::insert(key, state);
    }
    result
}

/// What a hotkey has earned frees what is locked, or locks what is missing of what is to be: at most so much of what its
/// owner gets (`settle_miner_collateral`). Gives how much of that is locked.
pub fn settle(netuid: u16, hotkey: &AccountId, owner: &AccountId, earned: u64, owners: u64) -> u64 {
    if earned == 0 || !MinerCollateral::<Runtime>::contains_key((netuid, hotkey, owner)) {
        return 0;
    }
    let taken = change(netuid, hotkey, owner, |state| {
        state.earned = state.earned.saturating_add(earned);
        let missing = state.min_locked.saturating_sub(state.locked);
        if missing > 0 {
            let taken = owners.min(missing);
            state.locked = state.locked.saturating_add(taken);
            return taken;
        }
        let freed: u64 = U64F64::from_num(earned)
            .saturating_mul(state.drain_ratio)
            .saturating_to_num();
        let most = state.locked.saturating_sub(state.min_locked);
        state.locked = state.locked.saturating_sub(freed.min(most));
        0
    });
    shares::increase(hotkey, owner, netuid, taken);
    taken
}

/// Puts a hotkey in the place of another.
pub fn move_hotkey(netuid: u16, old: &AccountId, new: &AccountId, coldkey: &AccountId) {
    if let Some(state) = MinerCollateral::<Runtime>::take((netuid, old, coldkey)) {
        MinerCollateral::<Runtime>::insert((netuid, new, coldkey), state);
    }
}

/// Puts a coldkey in the place of another.
pub fn move_coldkey(old: &AccountId, new: &AccountId) {
    let all = MinerCollateral::<Runtime>::iter().filter(|((_, _, coldkey), _)| coldkey == old);
    let all: Vec<_> = all.collect();
    for ((netuid, hotkey, _), state) in all {
        MinerCollateral::<Runtime>::remove((netuid, &hotkey, old));
        MinerCollateral::<Runtime>::insert((netuid, &hotkey, new), state);
        let sum = ColdkeyMinerCollateral::<Runtime>::take(netuid, old);
        ColdkeyMinerCollateral::<Runtime>::mutate(netuid, new, |all| *all = all.saturating_add(sum));
    }
}

/// What both calls check first.
fn owned(coldkey: &AccountId, hotkey: &AccountId) -> Result<(), Error<Runtime>> {
    ensure!(
        Owner::<Runtime>::contains_key(hotkey),
        Error::HotKeyAccountNotExists
    );
    ensure!(
        Owner::<Runtime>::get(hotkey) == *coldkey,
        Error::NonAssociatedColdKey
    );
    Ok(())
}

fn exists(netuid: u16) -> Result<(), Error<Runtime>> {
    ensure!(netuid != 0, Error::RegistrationNotPermittedOnRootSubnet);
    ensure!(NetworksAdded::<Runtime>::get(netuid), Error::SubnetNotExists);
    Ok(())
}

/// Locks more of a coldkey's stake on its hotkey; what it has not there is bought (`do_add_collateral`).
pub fn add(coldkey: &AccountId, netuid: u16, hotkey: &AccountId, rao: u64, limit: u64) -> DispatchResult {
    exists(netuid)?;
    ensure!(
        SubtokenEnabled::<Runtime>::get(netuid),
        Error::<Runtime>::SubtokenDisabled
    );
    owned(coldkey, hotkey)?;
    ensure!(rao > 0, Error::<Runtime>::AmountTooLow);
    let stake = shares::stake(hotkey, coldkey, netuid);
    let free = stake.saturating_sub(locked(netuid, hotkey, coldkey));
    let mut added = free.min(rao);
    let missing = rao - added;
    credit(netuid, hotkey, coldkey, added);
    if missing > 0 {
        let bought = buy(coldkey, netuid, hotkey, missing, limit)?;
        credit(netuid, hotkey, coldkey, bought);
        added = added.saturating_add(bought);
    }
    told(netuid, hotkey, coldkey, added);
    Ok(())
}

/// As much stake as the TAO buys that so much alpha is worth by its moving price.
fn buy(
    coldkey: &AccountId,
    netuid: u16,
    hotkey: &AccountId,
    rao: u64,
    limit: u64,
) -> Result<u64, DispatchError> {
    let price = coinbase::moving_price(netuid);
    ensure!(price > 0, Error::<Runtime>::InsufficientLiquidity);
    let tao: u64 = U64F64::from_num(rao).saturating_mul(price).saturating_to_num();
    if tao == 0 {
        return Ok(0);
    }
    staking::within_reach(netuid, Order::Buy, tao)?;
    staking::may_add(coldkey, hotkey, netuid, tao, tao, false)?;
    let most = staking::most_within(netuid, Order::Buy, limit)?;
    ensure!(tao <= most, Error::<Runtime>::SlippageTooHigh);
    let terms = Terms {
        limit,
        with_fee: true,
    };
    staking::buy(coldkey, hotkey, netuid, tao, terms)
}

/// Says how much is to stay locked on a coldkey's hotkey (`do_set_min_collateral`).
pub fn set_least(coldkey: &AccountId, netuid: u16, hotkey: &AccountId, rao: u64) -> DispatchResult {
    exists(netuid)?;
    owned(coldkey, hotkey)?;
    change(netuid, hotkey, coldkey, |state| state.min_locked = rao);
    SubtensorModule::deposit_event(Event::MinCollateralSet {
        netuid,
        hotkey: hotkey.clone(),
        min_locked: rao,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
