//! `serve_axon`: what the chain checks before it believes where a hotkey serves.

use frame_support::ensure;

use super::pallet::{Axons, Error, Event, ServingRateLimit, Uids};
use super::types::AxonInfo;
use super::{AccountId, Runtime, SubtensorModule};

/// Stores the axon of a registered hotkey.
pub fn serve(netuid: u16, hotkey: &AccountId, axon: AxonInfo) -> Result<(), Error<Runtime>> {
    ensure!(
        Uids::<Runtime>::contains_key(netuid, hotkey),
        Error::HotKeyNotRegisteredInNetwork
    );
    ensure!(axon.port != 0, Error::InvalidPort);
    ensure!(axon.ip_type == 4 || axon.ip_type == 6, Error::InvalidIpType);
    ensure!(servable(axon.ip_type, axon.ip), Error::InvalidIpAddress);
    let last = Axons::<Runtime>::get(netuid, hotkey).map_or(0, |axon| axon.block);
    ensure!(
        last == 0 || axon.block.saturating_sub(last) >= ServingRateLimit::<Runtime>::get(netuid),
        Error::ServingRateLimitExceeded
    );
    Axons::<Runtime>::insert(netuid, hotkey, axon);
    SubtensorModule::deposit_event(Event::AxonServed(netuid, hotkey.clone()));
    Ok(())
}

/// Whether the chain lets an axon serve at the address. Zero is let through.
fn servable(ip_type: u8, ip: u128) -> bool {
    const LOOPBACK_4: u128 = 0x7f00_0001;
    const LOOPBACK_6: u128 = 1;
    match ip_type {
        4 => ip < u128::from(u32::MAX) && ip != LOOPBACK_4,
        _ => ip != u128::MAX && ip != LOOPBACK_6,
    }
}
