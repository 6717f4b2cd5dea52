//! Swaps against cases that were reckoned by hand.

use sp_runtime::DispatchError;
use sp_state_machine::BasicExternalities;

use super::*;
use crate::runtime::networks;
use crate::runtime::pallet::NetworksAdded;

const TAO: u64 = 1_000 * UNIT;
const ALPHA: u64 = 2_000 * UNIT;

/// Runs over a subnet with 1000 TAO and 2000 alpha in its pool, and another without one.
fn with_a_pool(test: impl FnOnce()) {
    BasicExternalities::default().execute_with(|| {
        for netuid in [0, 1, 2] {
            NetworksAdded::<Runtime>::insert(netuid, true);
        }
        networks::open_pool(1, TAO, ALPHA);
        test();
    });
}

fn buying(rao: u64, terms: Terms) -> Result<Swapped, DispatchError> {
    simulate(1, Order::Buy, rao, terms).map_err(Into::into)
}

fn selling(rao: u64, terms: Terms) -> Result<Swapped, DispatchError> {
    simulate(1, Order::Sell, rao, terms).map_err(Into::into)
}

fn refused(error: Error<Runtime>) -> Result<Swapped, DispatchError> {
    Err(error.into())
}

fn up_to(limit: u64) -> Terms {
    Terms {
        limit,
        with_fee: true,
    }
}

#[test]
fn a_pool_gives_what_keeps_its_product() {
    with_a_pool(|| {
        assert_eq!(price_in_rao(1), 500_000_000);
        // The fee is 33 of 65535, cut: 50 354 772.26. Of the rest t there are 2000 * t / (1000 + t) alpha.
        let bought = swap(1, Order::Buy, 100 * UNIT, Terms::any(Order::Buy)).unwrap();
        let expected = Swapped {
            paid: 99_949_645_228,
            got: 181_734_946_979,
            fee: 50_354_772,
        };
        assert_eq!(bought, expected);
        assert_eq!(SubnetTAO::<Runtime>::get(1), TAO + 99_949_645_228);
        assert_eq!(SubnetAlphaIn::<Runtime>::get(1), ALPHA - 181_734_946_979);
        assert_eq!(SubnetAlphaOut::<Runtime>::get(1), 181_734_946_979);
        assert_eq!(SubnetVolume::<Runtime>::get(1), u128::from(100 * UNIT));
        assert_eq!(price_in_rao(1), 604_944_611);
        let sold = swap(1, Order::Sell, 181_734_946_979, Terms::any(Order::Sell)).unwrap();
        let expected = Swapped {
            paid: 181_643_434_761,
            got: 99_903_887_024,
            fee: 91_512_218,
        };
        assert_eq!(sold, expected);
        // The fee is burned: that alpha is out, and nobody's.
        assert_eq!(SubnetAlphaOut::<Runtime>::get(1), 91_512_218);
        let product = |tao: u64, alpha: u64| u128::from(tao) * u128::from(alpha);
        let now = product(SubnetTAO::<Runtime>::get(1), SubnetAlphaIn::<Runtime>::get(1));
        let off = now.abs_diff(product(TAO, ALPHA));
        assert!(off < u128::from(TAO + ALPHA) * 2, "{off}");
        assert!(PalSwapInitialized::<Runtime>::get(1));
    });
}

/// As subnet 1 of the main network answered at block 9 240 388.
#[test]
fn the_fee_is_the_chains() {
    BasicExternalities::default().execute_with(|| {
        assert_eq!((fee(1, UNIT), fee(1, 10 * UNIT)), (503_547, 5_035_477));
        FeeRate::<Runtime>::insert(1, 0);
        assert_eq!(fee(1, UNIT), 0);
    });
}

#[test]
fn a_swap_stops_at_its_limit() {
    with_a_pool(|| {
        // 0.605 is 1.21 times the price, so a tenth of the TAO goes in and an eleventh of the alpha comes out.
        let bought = buying(500 * UNIT, up_to(605_000_000)).unwrap();
        let expected = Swapped {
            paid: 99_999_999_999,
            got: 181_818_181_816,
            fee: 50_380_141,
        };
        assert_eq!(bought, expected);
        // The same the other way: a tenth of the alpha goes in.
        let sold = selling(500 * UNIT, up_to(413_223_141)).unwrap();
        assert_eq!((sold.paid, sold.got), (199_999_998_657, 90_909_090_354));
        // What stays within the limit is not cut.
        assert_eq!(
            buying(99 * UNIT, up_to(605_000_000)),
            buying(99 * UNIT, Terms::any(Order::Buy))
        );
        for at in [500_000_000, 499_999_999] {
            assert_eq!(buying(UNIT, up_to(at)), refused(Error::PriceLimitExceeded));
        }
        for at in [500_000_000, 500_000_001] {
            assert_eq!(selling(UNIT, up_to(at)), refused(Error::PriceLimitExceeded));
        }
    });
}

#[test]
fn a_pool_refuses_what_it_cannot_do() {
    with_a_pool(|| {
        let free = Terms::free(Order::Buy);
        assert!(buying(1_000 * TAO, free).is_ok());
        assert_eq!(buying(1_000 * TAO + 1, free), refused(Error::SwapInputTooLarge));
        // A rao buys two, and of alpha one would buy half a rao of TAO.
        assert_eq!(buying(1, free).unwrap().got, 2);
        assert_eq!(
            selling(1, Terms::free(Order::Sell)),
            refused(Error::ReservesTooLow)
        );
        SubnetAlphaIn::<Runtime>::insert(1, LEAST_RESERVE);
        assert!(buying(UNIT, up_to(MOST_PRICE * 2)).is_ok());
        SubnetAlphaIn::<Runtime>::insert(1, LEAST_RESERVE - 1);
        assert_eq!(
            buying(UNIT, up_to(MOST_PRICE * 2)),
            refused(Error::ReservesTooLow)
        );
    });
}

#[test]
fn without_a_pool_one_is_one() {
    with_a_pool(|| {
        for netuid in [0, 2] {
            let swapped = swap(netuid, Order::Buy, UNIT, Terms::any(Order::Buy)).unwrap();
            assert_eq!((swapped.paid, swapped.got, swapped.fee), (UNIT, UNIT, 0));
            assert_eq!(price_in_rao(netuid), UNIT);
        }
        // The price of subnet 2 is 1, of subnet 1 a half.
        assert_eq!(median_price(), 0.75);
        NetworksAdded::<Runtime>::insert(3, true);
        assert_eq!(median_price(), 1);
        assert_eq!((worth(1, UNIT), worth(2, UNIT)), (2 * UNIT, UNIT));
    });
    BasicExternalities::default().execute_with(|| assert_eq!(median_price(), 1));
}
