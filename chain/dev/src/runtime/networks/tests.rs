//! What a subnet costs, what it begins with, and which goes for it.

use sp_state_machine::BasicExternalities;
use substrate_fixed::types::I96F32;

use super::*;
use crate::genesis::{Genesis, public_key};
use crate::runtime::pallet::{
    AlphaV2, BlockAtRegistration, IsNetworkMember, Keys, LastUpdate, NetworkImmunityPeriod,
    SubnetMovingPrice, SubnetProtocolAlpha, TotalHotkeyAlpha, Uids,
};
use crate::runtime::swap::UNIT;
use crate::runtime::{RuntimeOrigin, System, cheats, metagraph, shares};

/// What the first subnet costs.
const FIRST: u64 = 1_000 * UNIT;

fn account(uri: &str) -> AccountId {
    AccountId::new(public_key(uri).unwrap())
}

fn at_block_100(test: impl FnOnce()) {
    BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
        System::set_block_number(100);
        test();
    });
}

fn found_by(coldkey: &str, hotkey: &str) -> DispatchResult {
    SubtensorModule::register_network(RuntimeOrigin::signed(account(coldkey)), account(hotkey))
}

fn refused(error: Error<Runtime>) -> DispatchResult {
    Err(error.into())
}

fn told(event: &Event<Runtime>) -> bool {
    let events = System::events();
    events.iter().any(|told| told.event == event.clone().into())
}

/// All TAO there is: on accounts, in pools, and paid for stake elsewhere.
fn all_tao() -> u64 {
    Balances::total_issuance() + SubnetTAO::<Runtime>::iter_values().sum::<u64>()
}

#[test]
fn the_next_subnet_costs_twice_as_much_and_less_with_each_block() {
    at_block_100(|| {
        assert_eq!(cost(), FIRST);
        NetworkLastLockCost::<Runtime>::put(4 * FIRST);
        LastRateLimitedBlock::<Runtime>::insert(RateLimitKey::NetworkLastRegistered, 100);
        assert_eq!(cost(), 8 * FIRST);
        // In 100 800 blocks it is what the last one cost: each takes the cut quotient of both.
        System::set_block_number(100 + 50_400);
        assert_eq!(cost(), 8 * FIRST - 4 * FIRST / 100_800 * 50_400);
        System::set_block_number(100 + 100_800);
        assert_eq!(cost(), 8 * FIRST - 4 * FIRST / 100_800 * 100_800);
        System::set_block_number(100 + 1_000_000);
        assert_eq!(cost(), FIRST, "no less than the least");
    });
}

#[test]
fn a_subnet_begins_with_its_owner_and_a_pool() {
    at_block_100(|| {
        let (balance, tao) = (Balances::free_balance(account("//Alice")), all_tao());
        assert_eq!(found_by("//Alice", "//Alice//hot"), Ok(()));
        assert_eq!(balance - Balances::free_balance(account("//Alice")), FIRST);
        assert_eq!(all_tao(), tao);
        assert!(told(&Event::NetworkAdded(2, 1)));
        assert_eq!(SubnetOwner::<Runtime>::get(2), account("//Alice"));
        assert_eq!(SubnetOwnerHotkey::<Runtime>::get(2), account("//Alice//hot"));
        assert_eq!(Uids::<Runtime>::get(2, account("//Alice//hot")), Some(0));
        assert_eq!(TotalNetworks::<Runtime>::get(), 3);
        assert_eq!(TokenSymbol::<Runtime>::get(2), "β".as_bytes());
        assert_eq!(SubnetLocked::<Runtime>::get(2), FIRST);
        // The one other subnet has a price of 1.
        assert_eq!(SubnetTAO::<Runtime>::get(2), FIRST);
        assert_eq!(SubnetAlphaIn::<Runtime>::get(2), FIRST);
        assert_eq!(swap::price_in_rao(2), UNIT);
        let graph = metagraph::full(2).unwrap();
        assert_eq!((graph.tempo.0, graph.max_uids.0, graph.burn.0), (360, 256, UNIT));
        assert_eq!((graph.tao_in.0, graph.network_registered_at.0), (FIRST, 100));
        assert!(graph.commit_reveal_weights_enabled);
        assert!(!SubtokenEnabled::<Runtime>::get(2));
        assert!(!SubnetEmissionEnabled::<Runtime>::get(2));
        // The next has the next number, costs twice as much, and its alpha the middle of 0.5 and 1.
        NetworkRateLimit::<Runtime>::put(0);
        SubnetAlphaIn::<Runtime>::insert(2, 2 * FIRST);
        assert_eq!(found_by("//Alice", "//Alice//hot2"), Ok(()));
        assert_eq!(SubnetTAO::<Runtime>::get(3), 2 * FIRST);
        assert_eq!(swap::price_in_rao(3), 750_000_000);
    });
}

#[test]
fn the_first_check_that_fails_gives_the_error() {
    at_block_100(|| {
        NetworkRegistrationStartBlock::<Runtime>::put(101);
        assert_eq!(
            found_by("//Nobody", "//Miner1"),
            refused(Error::NonAssociatedColdKey)
        );
        assert_eq!(
            found_by("//Nobody", "//New"),
            refused(Error::SubNetRegistrationDisabled)
        );
        NetworkRegistrationStartBlock::<Runtime>::put(100);
        SubnetLimit::<Runtime>::put(1);
        let last = RateLimitKey::NetworkLastRegistered;
        System::set_block_number(10_000);
        LastRateLimitedBlock::<Runtime>::insert(&last, 2_801);
        assert_eq!(
            found_by("//Nobody", "//New"),
            refused(Error::NetworkTxRateLimitExceeded)
        );
        LastRateLimitedBlock::<Runtime>::insert(&last, 2_800);
        let long = SubnetIdentityV3 {
            subnet_name: vec![b'x'; 257],
            ..identity()
        };
        let named = |identity: &SubnetIdentityV3| {
            let origin = RuntimeOrigin::signed(account("//Nobody"));
            SubtensorModule::register_network_with_identity(origin, account("//New"), Some(identity.clone()))
        };
        assert_eq!(named(&long), refused(Error::InvalidIdentity));
        // The one subnet is too young to make room.
        assert_eq!(named(&identity()), refused(Error::SubnetLimitReached));
        SubnetLimit::<Runtime>::put(2);
        assert_eq!(named(&identity()), refused(Error::CannotAffordLockCost));
        // What stays must be the existential deposit of 500 rao.
        let least = cost() + 500;
        Balances::set_balance(&account("//Nobody"), least - 1);
        assert_eq!(named(&identity()), refused(Error::CannotAffordLockCost));
        Balances::set_balance(&account("//Nobody"), least);
        assert_eq!(named(&identity()), Ok(()));
        assert_eq!(SubnetIdentitiesV3::<Runtime>::get(2), Some(identity()));
        assert!(told(&Event::SubnetIdentitySet(2)));
    });
}

fn identity() -> SubnetIdentityV3 {
    SubnetIdentityV3 {
        subnet_name: vec![b'x'; 256],
        github_repo: Vec::new(),
        subnet_contact: Vec::new(),
        subnet_url: Vec::new(),
        discord: Vec::new(),
        description: Vec::new(),
        logo_url: Vec::new(),
        additional: Vec::new(),
    }
}

#[test]
fn its_owner_starts_it_once() {
    at_block_100(|| {
        assert_eq!(found_by("//Alice", "//Alice//hot"), Ok(()));
        StartCallDelay::<Runtime>::put(10);
        let start = |coldkey: &str, netuid| {
            SubtensorModule::start_call(RuntimeOrigin::signed(account(coldkey)), netuid)
        };
        assert_eq!(start("//Mallory", 9), refused(Error::SubnetNotExists));
        assert_eq!(start("//Mallory", 2), Err(DispatchError::BadOrigin));
        System::set_block_number(109);
        assert_eq!(start("//Alice", 2), refused(Error::StartCallNotReady));
        System::set_block_number(110);
        assert_eq!(start("//Alice", 2), Ok(()));
        assert!(told(&Event::FirstEmissionBlockNumberSet(2, 111)));
        assert!(SubtokenEnabled::<Runtime>::get(2));
        assert_eq!(
            start("//Alice", 2),
            refused(Error::FirstEmissionBlockNumberAlreadySet)
        );
    });
}

/// Of subnets 1 to 3, the third has the lowest price of late and is too young; of the two others the second is older.
#[test]
fn the_cheapest_that_is_old_enough_makes_room() {
    at_block_100(|| {
        NetworkImmunityPeriod::<Runtime>::put(1_000);
        for netuid in [2, 3] {
            cheats::add_subnet(netuid, 10, &account("//Owner"), &account("//Owner//hot"));
            open_pool(netuid, FIRST, FIRST);
        }
        NetworkRegisteredAt::<Runtime>::insert(1, 5);
        NetworkRegisteredAt::<Runtime>::insert(2, 4);
        NetworkRegisteredAt::<Runtime>::insert(3, 101);
        SubnetMovingPrice::<Runtime>::insert(2, I96F32::from_num(1));
        System::set_block_number(1_003);
        assert_eq!(to_prune(), None);
        System::set_block_number(1_100);
        assert_eq!(to_prune(), Some(2), "equal, and older");
        SubnetMovingPrice::<Runtime>::insert(2, I96F32::from_num(1.5));
        assert_eq!(to_prune(), Some(1));
        System::set_block_number(1_101);
        assert_eq!(to_prune(), Some(3));
    });
}

#[test]
fn who_has_stake_on_a_subnet_that_goes_shares_its_pool() {
    at_block_100(|| {
        NetworkImmunityPeriod::<Runtime>::put(0);
        SubnetLimit::<Runtime>::put(2);
        cheats::add_subnet(2, 10, &account("//Owner"), &account("//Owner//hot"));
        open_pool(2, FIRST, 200);
        registration::append(2, &account("//Miner1"), &account("//Miner1//cold"));
        shares::increase(&account("//Miner1"), &account("//Bob"), 2, 300);
        shares::increase(&account("//Miner2"), &account("//Carol"), 2, 400);
        SubnetProtocolAlpha::<Runtime>::insert(2, 100);
        let tao = all_tao();
        assert_eq!(found_by("//Alice", "//Alice//hot"), Ok(()));
        // It is gone at once, and the new one comes at the end of the block.
        assert!(told(&Event::NetworkRemoved(2)));
        assert_eq!(DissolveCleanupQueue::<Runtime>::get(), [2]);
        assert_eq!(NetworkRegistrationQueue::<Runtime>::get()[0].lock_amount, FIRST);
        assert!(metagraph::full(2).is_none());
        settle();
        // Three, four and three tenths: the last are the pool's and the chain's own, and gone with it.
        let has = |uri: &str| Balances::free_balance(account(uri));
        assert_eq!((has("//Bob"), has("//Carol")), (300 * UNIT, 400 * UNIT));
        assert_eq!(all_tao(), tao - 300 * UNIT);
        assert!(told(&Event::NetworkDissolveCleanupCompleted { netuid: 2 }));
        assert!(told(&Event::NetworkAdded(2, 1)));
        assert!(NetworkRegistrationQueue::<Runtime>::get().is_empty());
        // Nothing is left of the old one.
        assert_eq!(Keys::<Runtime>::iter_prefix(2).count(), 1);
        assert_eq!(Keys::<Runtime>::get(2, 0), account("//Alice//hot"));
        assert_eq!(BlockAtRegistration::<Runtime>::get(2, 0), 100);
        assert_eq!(LastUpdate::<Runtime>::get(2), [100]);
        assert!(!IsNetworkMember::<Runtime>::get(account("//Miner1"), 2));
        assert_eq!(TotalHotkeyAlpha::<Runtime>::get(account("//Miner1"), 2), 0);
        assert!(!AlphaV2::<Runtime>::contains_key((
            account("//Miner2"),
            account("//Carol"),
            2
        )));
        assert_eq!(SubnetProtocolAlpha::<Runtime>::get(2), 0);
        assert_eq!(RegisteredSubnetCounter::<Runtime>::get(2), 1);
        assert_eq!(TotalNetworks::<Runtime>::get(), 3);
    });
}
