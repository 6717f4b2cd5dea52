//! What the chain tells of stake: who has how much where, and what it costs.

use codec::{Decode, Encode};
use scale_info::TypeInfo;

use super::pallet::{Emission, NetworksAdded, StakingHotkeys, Uids};
use super::staking::PRICE;
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
        PRICE
    } else {
        0
    }
}

/// The price on each subnet.
pub fn prices() -> Vec<SubnetPrice> {
    let price = |netuid| SubnetPrice { netuid, price: PRICE };
    subnets::netuids().into_iter().map(price).collect()
}
