//! Stake calls on subnets without a pool and with one.

use sp_state_machine::BasicExternalities;

use super::*;
use crate::genesis::{Genesis, public_key};
use crate::runtime::pallet::{TotalHotkeyAlpha, TransferToggle};
use crate::runtime::swap::{UNIT, price_in_rao};
use crate::runtime::{RuntimeOrigin, System, cheats, networks, stake_info};

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
    add(&mallory(), &account(hotkey), netuid, rao, None)
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
        assert_eq!(sell(9, 0), refused(Error::SubtokenDisabled));
        SubtokenEnabled::<Runtime>::insert(9, true);
        assert_eq!(sell(9, 0), refused(Error::SubnetNotExists));
        assert_eq!(sell(1, 0), refused(Error::AmountTooLow));
        assert_eq!(sell(1, LEAST - 1), refused(Error::AmountTooLow));
        assert_eq!(sell(1, LEAST + 1), Ok(()));
        assert_eq!(
            sell(1, LEAST),
            Ok(()),
            "no more than there is, which may be little"
        );
        assert_eq!(held("//Miner1", 1), 0);
        // Where the price has a limit, no more than there is may be asked for.
        let sell = |rao, price, partly| {
            let limit = Limit { price, partly };
            remove_within(&mallory(), &account("//Miner1"), 1, rao, limit)
        };
        assert_eq!(sell(1, UNIT, false), refused(Error::NotEnoughStakeToWithdraw));
        assert_eq!(buy("//Miner1", 1, 2 * LEAST), Ok(()));
        assert_eq!(sell(2 * LEAST, UNIT + 1, false), refused(Error::SlippageTooHigh));
        assert_eq!(sell(2 * LEAST, UNIT, false), Ok(()));
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
        let given = || SubtensorModule::transfer_stake(signed(), alice.clone(), first.clone(), 1, 1, ALPHA);
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

/// Runs over the development network with subnets 2 and 3, each with a pool of 1000 TAO: of 2000 alpha and of 500.
fn on_two_pools(test: impl FnOnce()) {
    on_two_subnets(|| {
        cheats::add_subnet(3, 10, &account("//Owner"), &account("//Owner//hot"));
        networks::open_pool(2, 1_000 * UNIT, 2_000 * UNIT);
        networks::open_pool(3, 1_000 * UNIT, 500 * UNIT);
        Balances::set_balance(&mallory(), 10_000 * UNIT);
        test();
    });
}

/// All TAO there is: on accounts, in pools, and paid for stake elsewhere.
fn all_tao() -> u64 {
    let subnets = SubnetTAO::<Runtime>::iter_values();
    Balances::total_issuance() + subnets.sum::<u64>()
}

fn limit(price: u64, partly: bool) -> Limit {
    Limit { price, partly }
}

#[test]
fn what_is_bought_and_sold_moves_the_price_and_makes_no_tao() {
    on_two_pools(|| {
        let (tao, balance, price) = (all_tao(), Balances::free_balance(mallory()), price_in_rao(2));
        assert_eq!(buy("//Miner1", 2, 100 * UNIT), Ok(()));
        // As the pool's own test reckons.
        assert_eq!(held("//Miner1", 2), 181_734_946_979);
        assert_eq!(Balances::free_balance(mallory()), balance - 100 * UNIT);
        assert!(price_in_rao(2) > price);
        // The fee alone is gone.
        assert_eq!(all_tao(), tao - 50_354_772);
        let told = Event::StakeAdded(
            mallory(),
            account("//Miner1"),
            100 * UNIT,
            181_734_946_979,
            2,
            50_354_772,
        );
        assert_eq!(System::events().pop().unwrap().event, told.into());
        let higher = price_in_rao(2);
        assert_eq!(
            remove(&mallory(), &account("//Miner1"), 2, 181_734_946_979),
            Ok(())
        );
        assert!(price_in_rao(2) < higher);
        let back = Balances::free_balance(mallory());
        assert_eq!(back, balance - 100 * UNIT + 99_903_887_024);
        assert_eq!(held("//Miner1", 2), 0);
        assert_eq!(all_tao(), tao - 50_354_772);
    });
}

/// Whatever is bought and sold again, in whatever pieces, is never more than before.
#[test]
fn nobody_gains_by_going_to_and_fro() {
    on_two_pools(|| {
        let mut balance = Balances::free_balance(mallory());
        for rao in [8_000_000, UNIT, 77 * UNIT + 7, 4_000 * UNIT] {
            for netuid in [2, 3] {
                assert_eq!(buy("//Miner1", netuid, rao), Ok(()));
                let held = held("//Miner1", netuid);
                for part in [held / 3, held - held / 3] {
                    assert_eq!(remove(&mallory(), &account("//Miner1"), netuid, part), Ok(()));
                }
                let now = Balances::free_balance(mallory());
                assert!(now < balance, "{rao} on {netuid}: {now}");
                balance = now;
            }
        }
    });
}

#[test]
fn a_limit_is_kept_or_nothing_is_done() {
    on_two_pools(|| {
        let add = |rao, limit| add(&mallory(), &account("//Miner1"), 2, rao, Some(limit));
        // Up to 0.605 there are 100 TAO and their fee to be paid.
        assert_eq!(
            add(101 * UNIT, limit(605_000_000, false)),
            refused(Error::SlippageTooHigh)
        );
        assert_eq!(add(99 * UNIT, limit(605_000_000, false)), Ok(()));
        assert!(Delegates::<Runtime>::contains_key(account("//Miner1")));
        let balance = Balances::free_balance(mallory());
        assert_eq!(add(500 * UNIT, limit(605_000_000, true)), Ok(()));
        let paid = balance - Balances::free_balance(mallory());
        assert!((UNIT..2 * UNIT).contains(&paid), "{paid}");
        assert!(price_in_rao(2).abs_diff(605_000_000) < 10);
        let beyond = swap::Error::<Runtime>::PriceLimitExceeded;
        assert_eq!(
            add(UNIT, limit(600_000_000, true)),
            Err(DispatchError::from(beyond))
        );
        let held = held("//Miner1", 2);
        let remove = |rao, limit| remove_within(&mallory(), &account("//Miner1"), 2, rao, limit);
        assert_eq!(
            remove(held, limit(550_000_000, false)),
            refused(Error::SlippageTooHigh)
        );
        assert_eq!(remove(held, limit(550_000_000, true)), Ok(()));
        assert!(price_in_rao(2).abs_diff(550_000_000) < 10);
        let left = super::shares::stake(&account("//Miner1"), &mallory(), 2);
        assert!(left > 0 && left < held);
        assert_eq!(
            remove_all_on(&mallory(), &account("//Miner1"), 2, Some(1)),
            Ok(())
        );
        assert_eq!(super::shares::stake(&account("//Miner1"), &mallory(), 2), 0);
        assert_eq!(
            remove_all_on(&mallory(), &account("//Miner1"), 9, None),
            refused(Error::SubnetNotExists)
        );
    });
}

#[test]
fn a_pool_is_not_emptied_and_takes_no_crumbs() {
    on_two_pools(|| {
        Balances::set_balance(&mallory(), 3_000_000 * UNIT);
        assert_eq!(
            buy("//Miner1", 2, 1_000_000 * UNIT + 1),
            refused(Error::InsufficientLiquidity)
        );
        // The least is so much beside its fee.
        assert_eq!(buy("//Miner1", 2, LEAST + 1_006), refused(Error::AmountTooLow));
        assert_eq!(buy("//Miner1", 2, LEAST + 1_008), Ok(()));
        SubnetAlphaIn::<Runtime>::insert(2, 999_999);
        assert_eq!(
            buy("//Miner1", 2, 2 * LEAST),
            refused(Error::InsufficientLiquidity)
        );
        SubnetTAO::<Runtime>::insert(2, 999_999);
        SubnetAlphaIn::<Runtime>::insert(2, 1_000_000);
        assert_eq!(
            remove(&mallory(), &account("//Miner1"), 2, LEAST),
            refused(Error::InsufficientLiquidity)
        );
    });
}

#[test]
fn stake_goes_from_pool_to_pool_at_both_prices() {
    on_two_pools(|| {
        assert_eq!(buy("//Miner1", 2, 100 * UNIT), Ok(()));
        let (tao, here, there) = (all_tao(), price_in_rao(2), price_in_rao(3));
        let signed = || RuntimeOrigin::signed(mallory());
        let hotkey = account("//Miner1");
        let swapped = SubtensorModule::swap_stake(signed(), hotkey.clone(), 2, 3, 100 * UNIT);
        assert_eq!(swapped, Ok(()));
        assert!(price_in_rao(2) < here && price_in_rao(3) > there);
        assert_eq!(all_tao(), tao, "its fee is paid in alpha");
        // About 58.6 TAO, at a price of 2 that rises: some 27.7 alpha.
        let got = held("//Miner1", 3);
        assert!((27 * UNIT..28 * UNIT).contains(&got), "{got}");
        // The price of one alpha in the other is below 0.25 now.
        let within = |rao, price, partly| {
            SubtensorModule::swap_stake_limit(signed(), hotkey.clone(), 2, 3, rao, price, partly)
        };
        assert_eq!(
            within(80 * UNIT, 250_000_000, false),
            refused(Error::SlippageTooHigh)
        );
        assert_eq!(
            within(80 * UNIT, 240_000_000, false),
            refused(Error::SlippageTooHigh)
        );
        assert_eq!(within(12 * UNIT, 240_000_000, false), Ok(()));
        let before = held("//Miner1", 2);
        assert_eq!(within(60 * UNIT, 235_000_000, true), Ok(()));
        let moved = before - held("//Miner1", 2);
        assert!((9 * UNIT..10 * UNIT).contains(&moved), "{moved}");
        // To another hotkey it goes as it is.
        let (tao, price) = (all_tao(), price_in_rao(2));
        let moved = SubtensorModule::move_stake(signed(), hotkey.clone(), account("//Miner2"), 2, 2, UNIT);
        assert_eq!(moved, Ok(()));
        assert_eq!(
            (held("//Miner2", 2), all_tao(), price_in_rao(2)),
            (UNIT, tao, price)
        );
        let crumb = SubtensorModule::move_stake(signed(), hotkey, account("//Miner2"), 2, 2, 100_000);
        assert_eq!(crumb, refused(Error::AmountTooLow));
    });
}

#[test]
fn all_stake_is_sold_at_once_or_goes_to_root() {
    on_two_pools(|| {
        for netuid in [0, 1, 2, 3] {
            assert_eq!(buy("//Miner1", netuid, 10 * UNIT), Ok(()));
        }
        let signed = || RuntimeOrigin::signed(mallory());
        let nobody = SubtensorModule::unstake_all(signed(), account("//Nobody"));
        assert_eq!(nobody, refused(Error::HotKeyAccountNotExists));
        assert_eq!(
            SubtensorModule::unstake_all_alpha(signed(), account("//Miner1")),
            Ok(())
        );
        assert_eq!([1, 2, 3].map(|netuid| held("//Miner1", netuid)), [0; 3]);
        let root = held("//Miner1", 0);
        assert!((39 * UNIT..40 * UNIT).contains(&root), "{root}");
        assert_eq!(
            SubtensorModule::unstake_all(signed(), account("//Miner1")),
            Ok(())
        );
        assert_eq!(held("//Miner1", 0), 0);
    });
}
