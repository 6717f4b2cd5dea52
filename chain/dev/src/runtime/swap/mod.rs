//! `Swap`: the pools in which a subnet's alpha is bought and sold, and what its price is.
//!
//! The chain weighs the two sides of a pool. What it puts in comes at the pool's price, so both weigh a half but for
//! rounding; here they do so exactly, and a swap leaves the product of the sides as it is. Products and quotients are
//! cut where the chain's fixed-point numbers are. Subnets without a pool buy and sell at 1 TAO.

pub use self::inner::*;

use frame_support::ensure;
use sp_core::U256;
use substrate_fixed::types::U64F64;

use super::pallet::{SubnetAlphaIn, SubnetAlphaOut, SubnetMechanism, SubnetTAO, SubnetVolume, TotalStake};
use super::{Runtime, subnets};

/// Rao of a TAO or an alpha.
pub const UNIT: u64 = 1_000_000_000;

/// Prices in rao that nobody's limit is beyond: what a swap without a limit has.
pub const LEAST_PRICE: u64 = 1_000;
pub const MOST_PRICE: u64 = 1_000_000_000_000_000;

/// A side of a pool with less than so many rao gives nothing.
const LEAST_RESERVE: u64 = 1_000_000;

/// What goes in at once is at most so many times what is there.
const MOST_INPUT: u64 = 1_000;

/// The chain reckons powers in parts of this.
const SCALE: u64 = 1_000_000_000_000_000_000;

#[expect(
    clippy::cast_possible_truncation,
    clippy::if_not_else,
    clippy::unnecessary_wraps,
    reason = "what the FRAME macros write"
)]
#[frame_support::pallet]
mod inner {
    use frame_support::pallet_prelude::*;
    use frame_support::traits::ConstU16;
    use sp_runtime::Perquintill;

    /// How much the two sides of a pool weigh.
    #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct Balancer {
        /// The weight of TAO; alpha has the rest.
        pub quote: Perquintill,
    }

    impl Default for Balancer {
        fn default() -> Self {
            Self {
                quote: Perquintill::from_percent(50),
            }
        }
    }

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// The most that a fee may be, a part of 65535.
        #[pallet::constant_name(MaxFeeRate)]
        fn most_fee() -> u16 {
            10_000
        }
        /// A side of a pool with less than so many rao gives nothing.
        #[pallet::constant_name(MinimumReserve)]
        fn least_reserve() -> u64 {
            super::LEAST_RESERVE
        }
    }

    /// What a swap costs, a part of 65535 of what is paid.
    #[pallet::storage]
    pub type FeeRate<T> = StorageMap<_, Twox64Concat, u16, u16, ValueQuery, ConstU16<33>>;
    #[pallet::storage]
    pub type SwapBalancer<T> = StorageMap<_, Twox64Concat, u16, Balancer, ValueQuery>;
    /// Whether a subnet's pool was used.
    #[pallet::storage]
    pub type PalSwapInitialized<T> = StorageMap<_, Twox64Concat, u16, bool, ValueQuery>;

    /// The indices are those of the chain, which has more.
    #[pallet::error]
    pub enum Error<T> {
        /// The price is beyond the limit already.
        #[codec(index = 3)]
        PriceLimitExceeded,
        /// There is too little in the pool, or too little is paid for it to give anything.
        #[codec(index = 7)]
        ReservesTooLow,
        /// So much more is paid than there is in the pool.
        #[codec(index = 11)]
        SwapInputTooLarge,
    }
}

/// What is paid, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// TAO for alpha.
    Buy,
    /// Alpha for TAO.
    Sell,
}

/// What a swap comes to, in rao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swapped {
    /// What the pool takes; the rest of what was offered stays with who offered it.
    pub paid: u64,
    /// What the pool gives.
    pub got: u64,
    /// In what is paid, and beside it. It is burned here: the chain gives it to the author of the block.
    pub fee: u64,
}

impl Swapped {
    /// All that is gone of what was offered.
    pub fn spent(&self) -> u64 {
        self.paid.saturating_add(self.fee)
    }
}

/// Under which conditions a swap is made.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Rao for an alpha; beyond it the swap stops.
    pub limit: u64,
    pub with_fee: bool,
}

impl Terms {
    /// At any price.
    pub fn any(order: Order) -> Self {
        let limit = match order {
            Order::Buy => MOST_PRICE,
            Order::Sell => LEAST_PRICE,
        };
        Self {
            limit,
            with_fee: true,
        }
    }

    /// At any price, without a fee.
    pub fn free(order: Order) -> Self {
        Self {
            with_fee: false,
            ..Self::any(order)
        }
    }
}

/// Whether a subnet has a pool. Root has none.
pub fn has_pool(netuid: u16) -> bool {
    netuid != 0 && SubnetMechanism::<Runtime>::get(netuid) == 1
}

/// TAO for an alpha (`current_price`).
pub fn price(netuid: u16) -> U64F64 {
    if has_pool(netuid) {
        Pool::of(netuid).price()
    } else {
        U64F64::from_num(1)
    }
}

/// The same in rao.
pub fn price_in_rao(netuid: u16) -> u64 {
    price(netuid)
        .saturating_mul(U64F64::from_num(UNIT))
        .saturating_to_num()
}

/// How much alpha is worth so much TAO, at the price that is (`get_alpha_amount_for_tao`).
pub fn worth(netuid: u16, tao: u64) -> u64 {
    let alpha = U64F64::from_num(tao).checked_div(price(netuid));
    alpha.map_or(0, U64F64::saturating_to_num)
}

/// The middle of the prices of all subnets but root (`get_median_subnet_alpha_price`); 1 if there are none.
pub fn median_price() -> U64F64 {
    let others = subnets::netuids().into_iter().filter(|netuid| *netuid != 0);
    let mut prices: Vec<U64F64> = others.map(price).filter(|price| *price > 0).collect();
    prices.sort_unstable();
    let half = prices.len() / 2;
    match prices.get(half) {
        None => U64F64::from_num(1),
        Some(upper) if prices.len() % 2 == 1 => *upper,
        Some(upper) => prices[half - 1].saturating_add(*upper) / U64F64::from_num(2),
    }
}

/// As much of what is paid as a fee takes (`calculate_fee_amount`).
fn fee(netuid: u16, amount: u64) -> u64 {
    let rate = U64F64::from_num(FeeRate::<Runtime>::get(netuid)) / U64F64::from_num(u16::MAX);
    U64F64::from_num(amount).saturating_mul(rate).saturating_to_num()
}

/// What is in a pool.
#[derive(Clone, Copy)]
struct Pool {
    tao: u64,
    alpha: u64,
}

impl Pool {
    fn of(netuid: u16) -> Self {
        Self {
            tao: SubnetTAO::<Runtime>::get(netuid),
            alpha: SubnetAlphaIn::<Runtime>::get(netuid),
        }
    }

    fn price(self) -> U64F64 {
        let price = U64F64::from_num(self.tao).checked_div(U64F64::from_num(self.alpha));
        price.unwrap_or_default()
    }

    /// The side that is paid into, and the other.
    fn sides(self, order: Order) -> (u64, u64) {
        match order {
            Order::Buy => (self.tao, self.alpha),
            Order::Sell => (self.alpha, self.tao),
        }
    }

    /// What it gives (`convert_deltas`).
    fn gives(self, order: Order, paid: u64) -> u64 {
        let (into, from) = self.sides(order);
        let all = into.saturating_add(paid);
        if all == 0 {
            return from;
        }
        let left = u128::from(into) * u128::from(SCALE) / u128::from(all);
        let left = U64F64::from_num(left) / U64F64::from_num(SCALE);
        let gone = U64F64::from_num(1).saturating_sub(left);
        U64F64::from_num(from).saturating_mul(gone).saturating_to_num()
    }

    fn after(self, order: Order, paid: u64) -> Self {
        let got = self.gives(order, paid);
        match order {
            Order::Buy => Self {
                tao: self.tao.saturating_add(paid),
                alpha: self.alpha.saturating_sub(got),
            },
            Order::Sell => Self {
                tao: self.tao.saturating_sub(got),
                alpha: self.alpha.saturating_add(paid),
            },
        }
    }

    /// What has to be paid until the price is the limit (`calculate_quote_delta_in`, `calculate_base_delta_in`).
    fn reaches(self, order: Order, limit: U64F64) -> u64 {
        let price = self.price();
        let (above, below) = match order {
            Order::Buy => (limit, price),
            Order::Sell => (price, limit),
        };
        let squared = U256::from(above.to_bits()) * U256::from(SCALE) * U256::from(SCALE);
        let Some(squared) = squared.checked_div(U256::from(below.to_bits())) else {
            return 0;
        };
        let root = u64::try_from(squared.integer_sqrt()).unwrap_or(u64::MAX);
        let more = U64F64::from_num(root) / U64F64::from_num(SCALE);
        let more = more.saturating_sub(U64F64::from_num(1));
        let (into, _) = self.sides(order);
        U64F64::from_num(into).saturating_mul(more).saturating_to_num()
    }
}

/// What a swap would come to (`swap_inner`).
pub fn simulate(netuid: u16, order: Order, amount: u64, terms: Terms) -> Result<Swapped, Error<Runtime>> {
    if !has_pool(netuid) {
        return Ok(Swapped {
            paid: amount,
            got: amount,
            fee: 0,
        });
    }
    let pool = Pool::of(netuid);
    let (into, from) = pool.sides(order);
    let mut taken = if terms.with_fee { fee(netuid, amount) } else { 0 };
    let mut paid = amount.saturating_sub(taken);
    ensure!(paid <= into.saturating_mul(MOST_INPUT), Error::SwapInputTooLarge);
    ensure!(from >= LEAST_RESERVE && into > 0, Error::ReservesTooLow);
    let limit = U64F64::from_num(terms.limit) / U64F64::from_num(UNIT);
    let target = pool.after(order, paid).price();
    let (allowed, stays_within) = match order {
        Order::Buy => (pool.price() < limit, target <= limit),
        Order::Sell => (pool.price() > limit, target >= limit),
    };
    ensure!(allowed, Error::PriceLimitExceeded);
    if !stays_within {
        paid = pool.reaches(order, limit);
        let rate = if terms.with_fee {
            u64::from(FeeRate::<Runtime>::get(netuid))
        } else {
            0
        };
        let rest = u64::from(u16::MAX).saturating_sub(rate);
        let rate = U64F64::from_num(rate).checked_div(U64F64::from_num(rest));
        let rate = rate.unwrap_or_default();
        taken = U64F64::from_num(paid).saturating_mul(rate).saturating_to_num();
    }
    let got = pool.gives(order, paid);
    ensure!(paid == 0 || got > 0, Error::ReservesTooLow);
    Ok(Swapped {
        paid,
        got,
        fee: taken,
    })
}

/// Swaps: what is in the pool moves, and what hotkeys have together (`swap_tao_for_alpha`, `swap_alpha_for_tao`). Whose
/// TAO and whose alpha it is, is the caller's to write.
pub fn swap(netuid: u16, order: Order, amount: u64, terms: Terms) -> Result<Swapped, Error<Runtime>> {
    let swapped = simulate(netuid, order, amount, terms)?;
    if has_pool(netuid) && !PalSwapInitialized::<Runtime>::get(netuid) {
        SwapBalancer::<Runtime>::insert(netuid, Balancer::default());
        PalSwapInitialized::<Runtime>::insert(netuid, true);
    }
    let Swapped { paid, got, .. } = swapped;
    let tao = match order {
        Order::Buy => {
            SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_add(paid));
            SubnetAlphaIn::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_sub(got));
            SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_add(got));
            TotalStake::<Runtime>::mutate(|tao| *tao = tao.saturating_add(swapped.spent()));
            swapped.spent()
        }
        Order::Sell => {
            SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_sub(got));
            // Without a pool what is sold is gone, so that what is bought next is not taken from it.
            if has_pool(netuid) {
                SubnetAlphaIn::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_add(paid));
            }
            SubnetAlphaOut::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_sub(paid));
            TotalStake::<Runtime>::mutate(|tao| *tao = tao.saturating_sub(got));
            got
        }
    };
    SubnetVolume::<Runtime>::mutate(netuid, |volume| *volume = volume.saturating_add(tao.into()));
    Ok(swapped)
}

#[cfg(test)]
mod tests;
