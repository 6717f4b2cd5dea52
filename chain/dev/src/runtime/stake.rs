//! Stake weight as the chain's epoch and metagraph compute it, in whole numbers.
//!
//! The chain uses `U96F32` and `I64F64`. Every value here is held as the same bits (32 fractional ones) in a
//! `u128`, and every division and product floors where the fixed-point type does, so results are equal bit by
//! bit. Products are of a `u64` and a fraction of at most 1, so nothing overflows.

use substrate_fixed::types::I64F64;

use super::AccountId;
use super::Runtime;
use super::pallet::{ChildKeys, ParentKeys, TaoWeight, TotalHotkeyAlpha};

/// Fractional bits of `U96F32`.
const FRACTION: u32 = 32;

/// The most that `I64F64` holds.
const MAX: u64 = i64::MAX.unsigned_abs();

/// A hotkey's stake weight on one subnet, in rao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stake {
    /// Alpha, after what goes to children and comes from parents.
    pub alpha: u64,
    /// Root stake, likewise, before weighting.
    pub tao: u64,
    /// Alpha plus weighted root stake.
    pub total: u64,
}

impl Stake {
    /// `total` with its fraction, as an epoch takes it.
    pub fn exact(&self, tao_weight: u64) -> I64F64 {
        let bits = total_bits(self.alpha, self.tao, tao_weight) << (64 - FRACTION);
        I64F64::from_bits(i128::try_from(bits).unwrap_or(i128::MAX))
    }
}

/// Stake weight of a hotkey from the state.
pub fn of(netuid: u16, hotkey: &AccountId) -> Stake {
    weighted(netuid, hotkey, TaoWeight::<Runtime>::get())
}

/// The same for a known weight of root TAO.
pub fn weighted(netuid: u16, hotkey: &AccountId, tao_weight: u64) -> Stake {
    let own = |key: &AccountId, subnet: u16| TotalHotkeyAlpha::<Runtime>::get(key, subnet);
    // Both kinds of stake follow the relations of the subnet, not those of root.
    let children = ChildKeys::<Runtime>::get(hotkey, netuid);
    let parents = ParentKeys::<Runtime>::get(hotkey, netuid);
    let inherit = |subnet: u16| {
        inherited(
            own(hotkey, subnet),
            children.iter().map(|(proportion, _)| *proportion),
            parents
                .iter()
                .map(|(proportion, parent)| (*proportion, own(parent, subnet))),
        )
    };
    let (alpha, tao) = (inherit(netuid), inherit(0));
    Stake {
        alpha,
        tao,
        total: total(alpha, tao, tao_weight),
    }
}

/// `n / u64::MAX` with 32 fractional bits, floored.
fn fraction(n: u64) -> u128 {
    (u128::from(n) << FRACTION) / u128::from(u64::MAX)
}

/// Own stake less the children's part plus the part of each parent's stake.
fn inherited(
    own: u64,
    children: impl Iterator<Item = u64>,
    parents: impl Iterator<Item = (u64, u64)>,
) -> u64 {
    let given: u128 = children
        .map(|proportion| u128::from(own) * fraction(proportion))
        .sum();
    let received: u128 = parents
        .map(|(proportion, stake)| u128::from(stake) * fraction(proportion))
        .sum();
    let bits = (u128::from(own) << FRACTION).saturating_sub(given) + received;
    u64::try_from(bits >> FRACTION).unwrap_or(u64::MAX)
}

/// Alpha plus weighted root stake; the chain's `I64F64` saturates at `i64::MAX`.
fn total(alpha: u64, tao: u64, tao_weight: u64) -> u64 {
    let bits = total_bits(alpha, tao, tao_weight);
    u64::try_from(bits >> FRACTION).unwrap_or(MAX).min(MAX)
}

/// The same with 32 fractional bits, before it saturates.
fn total_bits(alpha: u64, tao: u64, tao_weight: u64) -> u128 {
    let weighted = u128::from(tao.min(MAX)) * fraction(tao_weight);
    (u128::from(alpha.min(MAX)) << FRACTION) + weighted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = u64::MAX / 2;

    #[test]
    fn own_stake_alone_is_unchanged() {
        assert_eq!(inherited(1_000, [].into_iter(), [].into_iter()), 1_000);
        assert_eq!(inherited(u64::MAX, [].into_iter(), [].into_iter()), u64::MAX);
    }

    #[test]
    fn a_whole_proportion_moves_everything() {
        assert_eq!(inherited(1_000, [u64::MAX].into_iter(), [].into_iter()), 0);
        assert_eq!(
            inherited(0, [].into_iter(), [(u64::MAX, 1_000)].into_iter()),
            1_000
        );
    }

    #[test]
    fn a_proportion_is_floored_to_32_bits() {
        // u64::MAX / 2 is a hair under one half: 2^31 - 1 of 2^32.
        assert_eq!(fraction(HALF), (1 << 31) - 1);
        // The child's part 1000 * (2^31 - 1) / 2^32 is a hair under 500, so the parent keeps a hair over 500 …
        assert_eq!(inherited(1_000, [HALF].into_iter(), [].into_iter()), 500);
        // … and the child gets 499.
        assert_eq!(inherited(0, [].into_iter(), [(HALF, 1_000)].into_iter()), 499);
        // Floors are taken once, at the end: two such parts sum to 999.9…, not to 998.
        assert_eq!(
            inherited(0, [].into_iter(), [(HALF, 1_000), (HALF, 1_000)].into_iter()),
            999
        );
    }

    #[test]
    fn children_cannot_make_it_negative() {
        assert_eq!(
            inherited(1_000, [u64::MAX, HALF].into_iter(), [(u64::MAX, 7)].into_iter()),
            7
        );
    }

    #[test]
    fn root_stake_counts_by_its_weight() {
        assert_eq!(total(1_000, 500, 0), 1_000);
        assert_eq!(total(1_000, 500, u64::MAX), 1_500);
        // 0.18 of u64::MAX is floored to 773094113 / 2^32; 100 TAO of root weigh 17.999999998… TAO.
        let weight = 3_320_413_933_267_719_290;
        assert_eq!(fraction(weight), 773_094_113);
        assert_eq!(total(0, 100_000_000_000, weight), 17_999_999_993);
    }

    /// A child on subnet 1 has half of its parent's alpha and half of its parent's root stake.
    #[test]
    fn both_kinds_of_stake_follow_the_relations_of_the_subnet() {
        let (parent, child) = (AccountId::new([1; 32]), AccountId::new([2; 32]));
        sp_state_machine::BasicExternalities::default().execute_with(|| {
            TaoWeight::<Runtime>::put(HALF);
            for (key, netuid, rao) in [
                (&parent, 1, 1_000),
                (&parent, 0, 4_000),
                (&child, 1, 10),
                (&child, 0, 100),
                (&parent, 2, 7),
            ] {
                TotalHotkeyAlpha::<Runtime>::insert(key, netuid, rao);
            }
            ChildKeys::<Runtime>::insert(&parent, 1, vec![(HALF, child.clone())]);
            ParentKeys::<Runtime>::insert(&child, 1, vec![(HALF, parent.clone())]);
            // A relation on root itself counts nowhere.
            ParentKeys::<Runtime>::insert(&child, 0, vec![(u64::MAX, parent.clone())]);

            // Halves are a hair under one half: 499.9… and 1999.9… go over, the parent keeps 500.0… and 2000.0….
            let given = of(1, &parent);
            assert_eq!(
                given,
                Stake {
                    alpha: 500,
                    tao: 2_000,
                    total: 500 + 999
                }
            );
            let received = of(1, &child);
            assert_eq!(
                received,
                Stake {
                    alpha: 10 + 499,
                    tao: 100 + 1_999,
                    total: 509 + 1_049
                }
            );
            // On subnet 2 there are no relations.
            assert_eq!(
                of(2, &parent),
                Stake {
                    alpha: 7,
                    tao: 4_000,
                    total: 7 + 1_999
                }
            );
        });
    }

    #[test]
    fn saturates_like_the_chain() {
        assert_eq!(total(u64::MAX, 0, 0), i64::MAX.unsigned_abs());
        assert_eq!(total(u64::MAX, u64::MAX, u64::MAX), i64::MAX.unsigned_abs());
    }
}
