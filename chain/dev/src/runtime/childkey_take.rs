//! What a child keeps of the dividends that it earns with the stake of others' hotkeys.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;

use super::pallet::{
    ChildkeyTake, Error, Event, MaxChildkeyTake, MinChildkeyTake, MinChildkeyTakePerSubnet, NetworksAdded,
    Owner, TransactionKeyLastBlock, TxChildkeyTakeRateLimit,
};
use super::{AccountId, Runtime, SubtensorModule};

/// The number by which calls of this kind are told from others in `TransactionKeyLastBlock`.
const CALL: u16 = 1;

/// The part of 65535 that a hotkey keeps on a subnet.
pub fn of(hotkey: &AccountId, netuid: u16) -> u16 {
    ChildkeyTake::<Runtime>::get(hotkey, netuid).max(least(netuid))
}

fn least(netuid: u16) -> u16 {
    MinChildkeyTake::<Runtime>::get().max(MinChildkeyTakePerSubnet::<Runtime>::get(netuid))
}

/// Sets it. More is taken after a pause only, less at once.
pub fn set(coldkey: &AccountId, hotkey: &AccountId, netuid: u16, take: u16) -> DispatchResult {
    ensure!(
        Owner::<Runtime>::contains_key(hotkey) && Owner::<Runtime>::get(hotkey) == *coldkey,
        Error::<Runtime>::NonAssociatedColdKey
    );
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        (least(netuid)..=MaxChildkeyTake::<Runtime>::get()).contains(&take),
        Error::<Runtime>::InvalidChildkeyTake
    );
    let now = SubtensorModule::now();
    let last = TransactionKeyLastBlock::<Runtime>::get((hotkey, netuid, CALL));
    let pause = TxChildkeyTakeRateLimit::<Runtime>::get();
    ensure!(
        take <= of(hotkey, netuid) || last == 0 || now.saturating_sub(last) >= pause,
        Error::<Runtime>::TxChildkeyTakeRateLimitExceeded
    );
    TransactionKeyLastBlock::<Runtime>::insert((hotkey, netuid, CALL), now);
    ChildkeyTake::<Runtime>::insert(hotkey, netuid, take);
    SubtensorModule::deposit_event(Event::ChildKeyTakeSet(hotkey.clone(), take));
    Ok(())
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::System;

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    fn ask(coldkey: &str, netuid: u16, take: u16) -> DispatchResult {
        set(&account(coldkey), &account("//Miner1"), netuid, take)
    }

    const OWNER: &str = "//Miner1//cold";

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            System::set_block_number(1_000);
            assert_eq!(ask("//Mallory", 9, 0), refused(Error::NonAssociatedColdKey));
            assert_eq!(ask(OWNER, 9, 20_000), refused(Error::SubnetNotExists));
            // 18 per cent at most.
            assert_eq!(ask(OWNER, 1, 11_797), refused(Error::InvalidChildkeyTake));
            MinChildkeyTakePerSubnet::<Runtime>::insert(1, 50);
            assert_eq!(of(&account("//Miner1"), 1), 50);
            assert_eq!(ask(OWNER, 1, 49), refused(Error::InvalidChildkeyTake));
            assert_eq!(ask(OWNER, 1, 11_000), Ok(()));
            let event = Event::ChildKeyTakeSet(account("//Miner1"), 11_000);
            assert_eq!(System::events().pop().unwrap().event, event.into());
            assert_eq!(of(&account("//Miner1"), 1), 11_000);
            // 30 days: more has to wait, from the last change on, and less has not.
            System::set_block_number(2_000);
            assert_eq!(ask(OWNER, 1, 10_000), Ok(()));
            System::set_block_number(217_999);
            assert_eq!(
                ask(OWNER, 1, 10_001),
                refused(Error::TxChildkeyTakeRateLimitExceeded)
            );
            System::set_block_number(218_000);
            assert_eq!(ask(OWNER, 1, 10_001), Ok(()));
        });
    }
}
