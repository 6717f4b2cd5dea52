//! What the owner of a hotkey keeps of the dividends of all who staked on it.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;

use super::networks::RateLimitKey;
use super::pallet::{
    Delegates, Error, Event, LastRateLimitedBlock, MaxDelegateTake, MinDelegateTake, Owner,
    TxDelegateTakeRateLimit,
};
use super::{AccountId, Runtime, SubtensorModule};

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

/// What a delegate keeps now; `None` of what is none.
fn current(hotkey: &AccountId) -> Option<u16> {
    Delegates::<Runtime>::contains_key(hotkey).then(|| Delegates::<Runtime>::get(hotkey))
}

fn last_change(hotkey: &AccountId) -> RateLimitKey {
    RateLimitKey::LastTxBlockDelegateTake(hotkey.clone())
}

/// Keeps less, at once (`do_decrease_take`).
pub fn decrease(coldkey: &AccountId, hotkey: &AccountId, take: u16) -> DispatchResult {
    owned(coldkey, hotkey)?;
    ensure!(
        current(hotkey).is_none_or(|current| take < current),
        Error::<Runtime>::DelegateTakeTooLow
    );
    ensure!(
        take >= MinDelegateTake::<Runtime>::get(),
        Error::<Runtime>::DelegateTakeTooLow
    );
    Delegates::<Runtime>::insert(hotkey, take);
    LastRateLimitedBlock::<Runtime>::insert(last_change(hotkey), SubtensorModule::now());
    SubtensorModule::deposit_event(Event::TakeDecreased(coldkey.clone(), hotkey.clone(), take));
    Ok(())
}

/// Keeps more, after a pause (`do_increase_take`).
pub fn increase(coldkey: &AccountId, hotkey: &AccountId, take: u16) -> DispatchResult {
    owned(coldkey, hotkey)?;
    ensure!(
        current(hotkey).is_none_or(|current| take > current),
        Error::<Runtime>::DelegateTakeTooLow
    );
    ensure!(
        take <= MaxDelegateTake::<Runtime>::get(),
        Error::<Runtime>::DelegateTakeTooHigh
    );
    let now = SubtensorModule::now();
    let last = LastRateLimitedBlock::<Runtime>::get(last_change(hotkey));
    let pause = TxDelegateTakeRateLimit::<Runtime>::get();
    ensure!(
        pause == 0 || last == 0 || now.saturating_sub(last) > pause,
        Error::<Runtime>::DelegateTxRateLimitExceeded
    );
    LastRateLimitedBlock::<Runtime>::insert(last_change(hotkey), now);
    Delegates::<Runtime>::insert(hotkey, take);
    SubtensorModule::deposit_event(Event::TakeIncreased(coldkey.clone(), hotkey.clone(), take));
    Ok(())
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::{RuntimeOrigin, System};

    const OWNER: &str = "//Validator1//cold";

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    fn less(coldkey: &str, hotkey: &str, take: u16) -> DispatchResult {
        SubtensorModule::decrease_take(RuntimeOrigin::signed(account(coldkey)), account(hotkey), take)
    }

    fn more(coldkey: &str, hotkey: &str, take: u16) -> DispatchResult {
        SubtensorModule::increase_take(RuntimeOrigin::signed(account(coldkey)), account(hotkey), take)
    }

    fn refused(error: Error<Runtime>) -> DispatchResult {
        Err(error.into())
    }

    fn at_block(number: u32, test: impl FnOnce()) {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            System::set_block_number(number);
            test();
        });
    }

    #[test]
    fn the_first_check_that_fails_gives_the_error() {
        at_block(1_000, || {
            for call in [less, more] {
                assert_eq!(
                    call(OWNER, "//Nobody", 20_000),
                    refused(Error::HotKeyAccountNotExists)
                );
                assert_eq!(
                    call("//Mallory", "//Validator1", 20_000),
                    refused(Error::NonAssociatedColdKey)
                );
                // It is 11796 now, and that is neither less nor more.
                assert_eq!(
                    call(OWNER, "//Validator1", 11_796),
                    refused(Error::DelegateTakeTooLow)
                );
            }
            MinDelegateTake::<Runtime>::put(100);
            assert_eq!(
                less(OWNER, "//Validator1", 99),
                refused(Error::DelegateTakeTooLow)
            );
            assert_eq!(
                more(OWNER, "//Validator1", 11_797),
                refused(Error::DelegateTakeTooHigh)
            );
            // A hotkey that is no delegate has none to compare with, and is one then.
            assert_eq!(current(&account("//Miner1")), None);
            assert_eq!(more("//Miner1//cold", "//Miner1", 500), Ok(()));
            assert_eq!(current(&account("//Miner1")), Some(500));
        });
    }

    #[test]
    fn more_is_taken_after_thirty_days_and_less_at_once() {
        at_block(1_000, || {
            assert_eq!(less(OWNER, "//Validator1", 100), Ok(()));
            let event = Event::TakeDecreased(account(OWNER), account("//Validator1"), 100);
            assert_eq!(System::events().pop().unwrap().event, event.into());
            assert_eq!(less(OWNER, "//Validator1", 50), Ok(()));
            System::set_block_number(217_000);
            assert_eq!(
                more(OWNER, "//Validator1", 60),
                refused(Error::DelegateTxRateLimitExceeded)
            );
            System::set_block_number(217_001);
            assert_eq!(more(OWNER, "//Validator1", 60), Ok(()));
            let event = Event::TakeIncreased(account(OWNER), account("//Validator1"), 60);
            assert_eq!(System::events().pop().unwrap().event, event.into());
            assert_eq!(current(&account("//Validator1")), Some(60));
            TxDelegateTakeRateLimit::<Runtime>::put(0);
            assert_eq!(more(OWNER, "//Validator1", 61), Ok(()));
        });
    }
}
