//! What the chain tells of stake: who has how much where, and what it costs.

use std::collections::BTreeMap;

use codec::{Decode, Encode};
use scale_info::TypeInfo;
use substrate_fixed::types::U64F64;

use super::pallet::{ColdkeyMinerCollateral, Emission, NetworksAdded, StakingHotkeys, Uids};
use super::swap::{self, Order, Terms};
use super::{AccountId, Runtime, shares, subnets};

/// What a coldkey has on a hotkey on a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StakeInfo {
    pub hotkey: AccountId,
    pub coldkey: AccountId,
    #[codec(compact)]
    pub netuid: u16,
    #[codec(compact)]
    pub stake: u64,
    #[codec(compact)]
    pub locked: u64,
    #[codec(compact)]
    pub emission: u64,
    #[codec(compact)]
    pub tao_emission: u64,
    #[codec(compact)]
    pub drain: u64,
    pub is_registered: bool,
}

/// The price of a subnet's alpha, in rao.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SubnetPrice {
    pub netuid: u16,
    pub price: u64,
}

/// Everything that a coldkey has staked.
pub fn of_coldkey(coldkey: &AccountId) -> Vec<StakeInfo> {
    let netuids = subnets::netuids();
    let hotkeys = StakingHotkeys::<Runtime>::get(coldkey);
    let places = hotkeys
        .iter()
        .flat_map(|hotkey| netuids.iter().map(move |netuid| (hotkey, *netuid)));
    places
        .map(|(hotkey, netuid)| info(hotkey, coldkey, netuid))
        .filter(|info| info.stake > 0)
        .collect()
}

/// What a coldkey has on a hotkey on a subnet.
pub fn at(hotkey: &AccountId, coldkey: &AccountId, netuid: u16) -> Option<StakeInfo> {
    NetworksAdded::<Runtime>::get(netuid).then(|| info(hotkey, coldkey, netuid))
}

fn info(hotkey: &AccountId, coldkey: &AccountId, netuid: u16) -> StakeInfo {
    let uid = Uids::<Runtime>::get(netuid, hotkey);
    let emission = uid.and_then(|uid| Emission::<Runtime>::get(netuid).get(usize::from(uid)).copied());
    StakeInfo {
        hotkey: hotkey.clone(),
        coldkey: coldkey.clone(),
        netuid,
        stake: shares::stake(hotkey, coldkey, netuid),
        emission: emission.unwrap_or_default(),
        is_registered: uid.is_some(),
        // The chain says 0 of each.
        locked: 0,
        tao_emission: 0,
        drain: 0,
    }
}

/// The price on a subnet, in rao; 0 if there is no such.
pub fn price(netuid: u16) -> u64 {
    if NetworksAdded::<Runtime>::get(netuid) {
        swap::price_in_rao(netuid)
    } else {
        0
    }
}

/// The price on each subnet.
pub fn prices() -> Vec<SubnetPrice> {
    let price = |netuid| SubnetPrice {
        netuid,
        price: swap::price_in_rao(netuid),
    };
    subnets::netuids().into_iter().map(price).collect()
}

/// What a swap would come to: what is paid and got, what it costs, and how much less is got than the price says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SimSwapResult {
    pub tao_amount: u64,
    pub alpha_amount: u64,
    pub tao_fee: u64,
    pub alpha_fee: u64,
    pub tao_slippage: u64,
    pub alpha_slippage: u64,
}

/// What a subnet would give for TAO; zeros if it cannot.
pub fn bought_with(netuid: u16, tao: u64) -> SimSwapResult {
    let Some(swapped) = simulated(netuid, Order::Buy, tao) else {
        return SimSwapResult::default();
    };
    SimSwapResult {
        tao_amount: swapped.paid,
        alpha_amount: swapped.got,
        tao_fee: swapped.fee,
        alpha_slippage: swap::worth(netuid, swapped.paid).saturating_sub(swapped.got),
        ..SimSwapResult::default()
    }
}

/// What a subnet would give for its alpha.
pub fn sold_for(netuid: u16, alpha: u64) -> SimSwapResult {
    let Some(swapped) = simulated(netuid, Order::Sell, alpha) else {
        return SimSwapResult::default();
    };
    let expected: u64 = swap::price(netuid)
        .saturating_mul(U64F64::from_num(swapped.paid))
        .saturating_to_num();
    SimSwapResult {
        tao_amount: swapped.got,
        alpha_amount: swapped.paid,
        alpha_fee: swapped.fee,
        tao_slippage: expected.saturating_sub(swapped.got),
        ..SimSwapResult::default()
    }
}

fn simulated(netuid: u16, order: Order, rao: u64) -> Option<swap::Swapped> {
    let exists = NetworksAdded::<Runtime>::get(netuid);
    exists.then(|| swap::simulate(netuid, order, rao, Terms::any(order)).ok())?
}

/// What a coldkey has on a subnet, and how much of it is not locked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StakeAvailability {
    #[codec(compact)]
    pub total: u64,
    #[codec(compact)]
    pub locked: u64,
    #[codec(compact)]
    pub available: u64,
}

/// What each coldkey has on each subnet, or on those that are named, where it has any.
pub fn availability(
    coldkeys: Vec<AccountId>,
    netuids: Option<Vec<u16>>,
) -> BTreeMap<AccountId, BTreeMap<u16, StakeAvailability>> {
    let netuids = netuids.unwrap_or_else(subnets::netuids);
    let of = |coldkey: &AccountId, netuid: u16| {
        let hotkeys = StakingHotkeys::<Runtime>::get(coldkey);
        let total = hotkeys.iter().fold(0u64, |sum, hotkey| {
            sum.saturating_add(shares::stake(hotkey, coldkey, netuid))
        });
        let locked = ColdkeyMinerCollateral::<Runtime>::get(netuid, coldkey).min(total);
        (total > 0).then(|| StakeAvailability {
            total,
            locked,
            available: total - locked,
        })
    };
    let all = |coldkey: AccountId| {
        let there = netuids
            .iter()
            .filter_map(|netuid| Some((*netuid, of(&coldkey, *netuid)?)));
        let there = there.collect();
        (coldkey, there)
    };
    coldkeys.into_iter().map(all).collect()
}
