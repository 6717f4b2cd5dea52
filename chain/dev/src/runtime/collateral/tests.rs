//! Collateral from its lock to its end.

use sp_state_machine::BasicExternalities;

use super::*;
use crate::genesis::{Genesis, public_key};
use crate::runtime::pallet::{Burn, Uids};
use crate::runtime::{Balances, RuntimeOrigin, System, networks, registration};

fn account(uri: &str) -> AccountId {
    AccountId::new(public_key(uri).unwrap())
}

fn refused(error: Error<Runtime>) -> DispatchResult {
    Err(error.into())
}

/// Runs where a registration costs 65.535 TAO and locks 32768 parts of 65535 of it, which are cut: over a subnet
/// without a pool, in which a TAO is an alpha.
fn with_a_share(test: impl FnOnce()) {
    BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
        System::set_block_number(1);
        CollateralLockShare::<Runtime>::insert(1, 32_768);
        Burn::<Runtime>::insert(1, 65_535_000_000);
        test();
    });
}

/// Locked, to be locked, earned.
fn state(hotkey: &str) -> Option<(u64, u64, u64)> {
    let state = of(1, &account(hotkey))?;
    Some((state.locked, state.min_locked, state.earned))
}

fn sell(rao: u64) -> DispatchResult {
    staking::remove(&account("//Mallory"), &account("//New"), 1, rao)
}

#[test]
fn a_registration_locks_its_share() {
    with_a_share(|| {
        let (mallory, new) = (account("//Mallory"), account("//New"));
        let balance = Balances::free_balance(&mallory);
        let out = SubnetAlphaOut::<Runtime>::get(1);
        assert_eq!(registration::burned(&mallory, 1, &new), Ok(()));
        assert_eq!(balance - Balances::free_balance(&mallory), 65_535_000_000);
        assert_eq!(state("//New"), Some((32_767_999_999, 0, 0)));
        assert_eq!(shares::stake(&new, &mallory, 1), 32_767_999_999);
        assert_eq!(SubnetAlphaOut::<Runtime>::get(1), out + 32_767_999_999);
        assert_eq!(
            ColdkeyMinerCollateral::<Runtime>::get(1, &mallory),
            32_767_999_999
        );
        // Nothing of it can be sold or given away; what is staked beside it can.
        assert_eq!(sell(32_767_999_999), refused(Error::StakeUnavailable));
        assert_eq!(staking::add(&mallory, &new, 1, 5_000_000, None), Ok(()));
        assert_eq!(sell(5_000_001), refused(Error::StakeUnavailable));
        assert_eq!(sell(5_000_000), Ok(()));
        let given = SubtensorModule::transfer_stake(
            RuntimeOrigin::signed(mallory.clone()),
            account("//Alice"),
            new.clone(),
            1,
            1,
            5_000_000,
        );
        assert_eq!(given, refused(Error::StakeUnavailable));
        // Who was pruned has it still, and pays so much less for the next uid.
        let uid = Uids::<Runtime>::get(1, &new).unwrap();
        registration::take_over(1, uid, &account("//Other"), &account("//Alice"));
        Burn::<Runtime>::insert(1, 65_535_000_000);
        let balance = Balances::free_balance(&mallory);
        assert_eq!(registration::burned(&mallory, 1, &new), Ok(()));
        assert_eq!(balance - Balances::free_balance(&mallory), 32_767_000_001);
        assert_eq!(state("//New"), Some((32_767_999_999, 0, 0)));
    });
}

#[test]
fn what_is_earned_frees_it_or_fills_it_up() {
    with_a_share(|| {
        let (mallory, new) = (account("//Mallory"), account("//New"));
        assert_eq!(registration::burned(&mallory, 1, &new), Ok(()));
        let earn = |rao| settle(1, &new, &mallory, rao, rao);
        assert_eq!(earn(768_000_000), 0);
        assert_eq!(state("//New"), Some((31_999_999_999, 0, 768_000_000)));
        CollateralDrainRatio::<Runtime>::insert(1, U64F64::from_num(2));
        assert_eq!(earn(1_000_000_000), 0, "the ratio is that of the registration");
        assert_eq!(state("//New"), Some((30_999_999_999, 0, 1_768_000_000)));
        let least = |rao| {
            SubtensorModule::set_min_collateral(RuntimeOrigin::signed(mallory.clone()), 1, new.clone(), rao)
        };
        assert_eq!(least(31_500_000_000), Ok(()));
        assert_eq!(earn(200_000_000), 200_000_000);
        assert_eq!(earn(400_000_000), 300_000_001);
        assert_eq!(
            state("//New"),
            Some((31_500_000_000, 31_500_000_000, 2_368_000_000))
        );
        assert_eq!(shares::stake(&new, &mallory, 1), 33_268_000_000);
        assert_eq!(earn(u64::MAX / 4), 0, "no lower than that");
        assert_eq!(state("//New").unwrap().0, 31_500_000_000);
        assert_eq!(least(0), Ok(()));
        assert_eq!(earn(32_000_000_000), 0);
        assert_eq!(state("//New"), None);
        assert_eq!(ColdkeyMinerCollateral::<Runtime>::get(1, &mallory), 0);
    });
}

#[test]
fn more_is_locked_of_stake_that_there_is_and_of_stake_that_is_bought() {
    with_a_share(|| {
        networks::open_pool(1, 1_000 * UNIT, 1_000 * UNIT);
        let (owner, hotkey) = (account("//Mallory"), account("//New"));
        registration::append(1, &hotkey, &owner);
        let signed = |uri: &str| RuntimeOrigin::signed(account(uri));
        let ask = |coldkey: &str, netuid, hotkey: &str, rao, limit| {
            SubtensorModule::add_collateral(signed(coldkey), netuid, account(hotkey), rao, limit)
        };
        for (coldkey, netuid, hotkey, rao, error) in [
            (
                "//Alice",
                0,
                "//Nobody",
                0,
                Error::RegistrationNotPermittedOnRootSubnet,
            ),
            ("//Alice", 9, "//Nobody", 0, Error::SubnetNotExists),
            ("//Alice", 1, "//Nobody", 0, Error::HotKeyAccountNotExists),
            ("//Alice", 1, "//New", 0, Error::NonAssociatedColdKey),
            ("//Mallory", 1, "//New", 0, Error::AmountTooLow),
            // Nobody has said yet what the price was of late.
            ("//Mallory", 1, "//New", 1, Error::InsufficientLiquidity),
        ] {
            assert_eq!(ask(coldkey, netuid, hotkey, rao, UNIT), refused(error));
        }
        SubtokenEnabled::<Runtime>::insert(1, false);
        assert_eq!(
            ask("//Alice", 1, "//Nobody", 0, UNIT),
            refused(Error::SubtokenDisabled)
        );
        SubtokenEnabled::<Runtime>::insert(1, true);
        crate::runtime::pallet::SubnetMovingPrice::<Runtime>::insert(
            1,
            substrate_fixed::types::I96F32::from_num(1),
        );
        assert_eq!(staking::add(&owner, &hotkey, 1, 2 * UNIT, None), Ok(()));
        let stake = shares::stake(&hotkey, &owner, 1);
        assert_eq!(ask("//Mallory", 1, "//New", UNIT, UNIT), Ok(()));
        assert_eq!(state("//New"), Some((UNIT, 0, 0)));
        assert_eq!(shares::stake(&hotkey, &owner, 1), stake);
        // 3 TAO buy less than 3 alpha, and are not spent if the price is to stay.
        assert_eq!(
            ask("//Mallory", 1, "//New", stake - UNIT + 3 * UNIT, 1_004_100_000),
            refused(Error::SlippageTooHigh)
        );
        let limit = 1_100_000_000;
        let rao = stake - UNIT + 3 * UNIT;
        // The refused one has left nothing behind, as the dispatch of a call rolls it back; here nothing does.
        MinerCollateral::<Runtime>::remove((1, &hotkey, &owner));
        ColdkeyMinerCollateral::<Runtime>::remove(1, &owner);
        assert_eq!(ask("//Mallory", 1, "//New", rao + UNIT, limit), Ok(()));
        let (locked, ..) = state("//New").unwrap();
        assert_eq!(locked, shares::stake(&hotkey, &owner, 1));
        assert!((stake + 2 * UNIT..stake + 3 * UNIT).contains(&locked), "{locked}");
    });
}
