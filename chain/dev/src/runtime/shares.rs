//! Whose stake is on a hotkey: each coldkey has a share of what the hotkey has on a subnet, so that what the hotkey is
//! given reaches all of them by one number.

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::U256;

use super::pallet::{AlphaV2, StakingHotkeys, TotalHotkeyAlpha, TotalHotkeySharesV2};
use super::{AccountId, Runtime};

/// The bounds of a mantissa that is not 0: above the first, up to the second.
const LEAST: u128 = 100_000_000_000_000_000_000;
const MOST: u128 = 10 * LEAST;

/// Beyond so many powers of ten the smaller of two numbers adds nothing to the larger.
const REACH: u32 = 40;

/// `mantissa * 10^exponent`, as the chain keeps shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct SafeFloat {
    pub mantissa: u128,
    pub exponent: i64,
}

impl SafeFloat {
    fn of(mantissa: U256, exponent: i64) -> Self {
        let (mut mantissa, mut exponent) = (mantissa, exponent);
        if mantissa.is_zero() {
            return Self::default();
        }
        while mantissa > U256::from(MOST) {
            mantissa /= 10;
            exponent += 1;
        }
        while mantissa <= U256::from(LEAST) {
            mantissa *= 10;
            exponent -= 1;
        }
        Self {
            mantissa: mantissa.as_u128(),
            exponent,
        }
    }

    fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Both with the exponent of the smaller one, or nothing if that is out of reach.
    fn aligned(self, other: Self) -> Option<(U256, U256, i64)> {
        let exponent = self.exponent.min(other.exponent);
        let raised = |float: Self| {
            let by = u32::try_from(float.exponent - exponent)
                .ok()
                .filter(|by| *by <= REACH)?;
            Some(U256::from(float.mantissa) * U256::exp10(by as usize))
        };
        Some((raised(self)?, raised(other)?, exponent))
    }

    fn plus(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        match self.aligned(other) {
            Some((ours, theirs, exponent)) => Self::of(ours + theirs, exponent),
            None if self.exponent > other.exponent => self,
            None => other,
        }
    }

    /// At least 0.
    fn minus(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return self;
        }
        match self.aligned(other) {
            Some((ours, theirs, exponent)) => Self::of(ours.saturating_sub(theirs), exponent),
            None if self.exponent > other.exponent => self,
            None => Self::default(),
        }
    }

    /// This times `n / d`.
    fn scaled(self, n: u64, d: u64) -> Self {
        let product = U256::from(self.mantissa) * U256::from(n) * U256::from(MOST);
        Self::of(product / U256::from(d.max(1)), self.exponent - 21)
    }

    /// `value` times this over the whole, floored.
    fn part_of(self, value: u64, whole: Self) -> u64 {
        if self.is_zero() || whole.is_zero() {
            return 0;
        }
        let (mut above, mut below) = (
            U256::from(value) * U256::from(self.mantissa),
            U256::from(whole.mantissa),
        );
        let by = self.exponent - whole.exponent;
        let power = |by: i64| u32::try_from(by).ok().filter(|by| *by <= REACH);
        match (power(by), power(-by)) {
            (Some(by), _) => above *= U256::exp10(by as usize),
            (None, Some(by)) => below *= U256::exp10(by as usize),
            (None, None) if by < 0 => return 0,
            (None, None) => return value,
        }
        u64::try_from(above / below).unwrap_or(u64::MAX).min(value)
    }
}

impl From<u64> for SafeFloat {
    fn from(value: u64) -> Self {
        Self::of(U256::from(value), 0)
    }
}

/// What a coldkey has on a hotkey, in rao of alpha, or of TAO on root.
pub fn stake(hotkey: &AccountId, coldkey: &AccountId, netuid: u16) -> u64 {
    let share = AlphaV2::<Runtime>::get((hotkey, coldkey, netuid));
    let whole = TotalHotkeySharesV2::<Runtime>::get(hotkey, netuid);
    share.part_of(TotalHotkeyAlpha::<Runtime>::get(hotkey, netuid), whole)
}

/// Gives a coldkey more on a hotkey.
pub fn increase(hotkey: &AccountId, coldkey: &AccountId, netuid: u16, rao: u64) {
    if rao == 0 {
        return;
    }
    let total = TotalHotkeyAlpha::<Runtime>::get(hotkey, netuid);
    let whole = TotalHotkeySharesV2::<Runtime>::get(hotkey, netuid);
    let share = if whole.is_zero() || total == 0 {
        SafeFloat::from(rao)
    } else {
        whole.scaled(rao, total)
    };
    AlphaV2::<Runtime>::mutate((hotkey, coldkey, netuid), |own| *own = own.plus(share));
    TotalHotkeySharesV2::<Runtime>::insert(hotkey, netuid, whole.plus(share));
    TotalHotkeyAlpha::<Runtime>::insert(hotkey, netuid, total.saturating_add(rao));
    StakingHotkeys::<Runtime>::mutate(coldkey, |hotkeys| {
        if !hotkeys.contains(hotkey) {
            hotkeys.push(hotkey.clone());
        }
    });
}

/// Takes from what a coldkey has on a hotkey, at most all of it.
pub fn decrease(hotkey: &AccountId, coldkey: &AccountId, netuid: u16, rao: u64) {
    let total = TotalHotkeyAlpha::<Runtime>::get(hotkey, netuid);
    let whole = TotalHotkeySharesV2::<Runtime>::get(hotkey, netuid);
    let own = AlphaV2::<Runtime>::get((hotkey, coldkey, netuid));
    let held = stake(hotkey, coldkey, netuid);
    let (rao, share) = if rao >= held {
        (held, own)
    } else {
        (rao, whole.scaled(rao, total))
    };
    let left = own.minus(share);
    let whole = whole.minus(share);
    if left.is_zero() || rao == held {
        AlphaV2::<Runtime>::remove((hotkey, coldkey, netuid));
    } else {
        AlphaV2::<Runtime>::insert((hotkey, coldkey, netuid), left);
    }
    if whole.is_zero() {
        TotalHotkeySharesV2::<Runtime>::remove(hotkey, netuid);
    } else {
        TotalHotkeySharesV2::<Runtime>::insert(hotkey, netuid, whole);
    }
    TotalHotkeyAlpha::<Runtime>::insert(hotkey, netuid, total.saturating_sub(rao));
}

/// Sets what all coldkeys have on a hotkey together. Their shares stay; if there are none, the owner has all.
pub fn set(hotkey: &AccountId, owner: Option<&AccountId>, netuid: u16, rao: u64) {
    let none = TotalHotkeySharesV2::<Runtime>::get(hotkey, netuid).is_zero();
    match owner {
        Some(owner) if none && rao > 0 => {
            TotalHotkeyAlpha::<Runtime>::remove(hotkey, netuid);
            increase(hotkey, owner, netuid, rao);
        }
        _ => TotalHotkeyAlpha::<Runtime>::insert(hotkey, netuid, rao),
    }
}

/// Puts a hotkey in the place of another, for all who have stake on it.
pub fn move_hotkey(old: &AccountId, new: &AccountId) {
    let shares: Vec<_> = AlphaV2::<Runtime>::drain_prefix((old.clone(),)).collect();
    for ((coldkey, netuid), share) in shares {
        AlphaV2::<Runtime>::insert((new, &coldkey, netuid), share);
        StakingHotkeys::<Runtime>::mutate(&coldkey, |hotkeys| {
            hotkeys.retain(|hotkey| hotkey != old);
            if !hotkeys.contains(new) {
                hotkeys.push(new.clone());
            }
        });
    }
    let wholes: Vec<_> = TotalHotkeySharesV2::<Runtime>::drain_prefix(old).collect();
    for (netuid, whole) in wholes {
        TotalHotkeySharesV2::<Runtime>::insert(new, netuid, whole);
    }
    let totals: Vec<_> = TotalHotkeyAlpha::<Runtime>::drain_prefix(old).collect();
    for (netuid, total) in totals {
        TotalHotkeyAlpha::<Runtime>::insert(new, netuid, total);
    }
}

/// Gives all that a coldkey has on hotkeys to another.
pub fn move_coldkey(old: &AccountId, new: &AccountId) {
    for hotkey in StakingHotkeys::<Runtime>::take(old) {
        let netuids: Vec<u16> = TotalHotkeyAlpha::<Runtime>::iter_key_prefix(&hotkey).collect();
        for netuid in netuids {
            let share = AlphaV2::<Runtime>::take((&hotkey, old, netuid));
            if !share.is_zero() {
                AlphaV2::<Runtime>::mutate((&hotkey, new, netuid), |own| *own = own.plus(share));
            }
        }
        StakingHotkeys::<Runtime>::mutate(new, |hotkeys| {
            if !hotkeys.contains(&hotkey) {
                hotkeys.push(hotkey);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::new([n; 32])
    }

    #[test]
    fn numbers_are_kept_as_the_chain_keeps_them() {
        let one = SafeFloat::from(1);
        assert_eq!((one.mantissa, one.exponent), (MOST, -21));
        let float = SafeFloat::from(1_234_567_890);
        assert_eq!(
            (float.mantissa, float.exponent),
            (123_456_789_000_000_000_000, -11)
        );
        assert_eq!(SafeFloat::from(0), SafeFloat::default());
        assert_eq!(SafeFloat::from(5).plus(SafeFloat::from(7)), SafeFloat::from(12));
        assert_eq!(SafeFloat::from(12).minus(SafeFloat::from(7)), SafeFloat::from(5));
        assert_eq!(
            SafeFloat::from(7).minus(SafeFloat::from(12)),
            SafeFloat::default()
        );
        assert_eq!(
            SafeFloat::from(10)
                .scaled(1, 4)
                .part_of(u64::MAX, SafeFloat::from(5)),
            u64::MAX / 2
        );
    }

    #[test]
    fn what_a_hotkey_is_given_reaches_its_stakers_by_their_shares() {
        BasicExternalities::default().execute_with(|| {
            let (hotkey, first, second) = (account(1), account(2), account(3));
            increase(&hotkey, &first, 1, 3_000_000_007);
            increase(&hotkey, &second, 1, 1_000_000_000);
            assert_eq!(stake(&hotkey, &first, 1), 3_000_000_007);
            assert_eq!(stake(&hotkey, &second, 1), 1_000_000_000);
            TotalHotkeyAlpha::<Runtime>::insert(&hotkey, 1, 8_000_000_014);
            assert_eq!(stake(&hotkey, &first, 1), 6_000_000_014);
            assert_eq!(stake(&hotkey, &second, 1), 2_000_000_000);
            // Who comes now gets what it pays, and takes nothing from the others.
            increase(&hotkey, &account(4), 1, 500);
            assert_eq!(stake(&hotkey, &account(4), 1), 500);
            assert_eq!(stake(&hotkey, &first, 1), 6_000_000_014);
            decrease(&hotkey, &first, 1, 14);
            assert_eq!(stake(&hotkey, &first, 1), 6_000_000_000);
            decrease(&hotkey, &first, 1, u64::MAX);
            assert_eq!(stake(&hotkey, &first, 1), 0);
            assert!(!AlphaV2::<Runtime>::contains_key((&hotkey, &first, 1)));
            assert_eq!(TotalHotkeyAlpha::<Runtime>::get(&hotkey, 1), 2_000_000_500);
            assert_eq!(stake(&hotkey, &second, 1), 2_000_000_000);
            assert_eq!(stake(&hotkey, &second, 2), 0);
        });
    }

    #[test]
    fn stake_that_is_set_is_the_owners_unless_others_share_it() {
        BasicExternalities::default().execute_with(|| {
            let (hotkey, owner, other) = (account(1), account(2), account(3));
            set(&hotkey, Some(&owner), 1, 1_000);
            assert_eq!(stake(&hotkey, &owner, 1), 1_000);
            increase(&hotkey, &other, 1, 1_000);
            set(&hotkey, Some(&owner), 1, 500);
            assert_eq!(stake(&hotkey, &owner, 1), 250);
            assert_eq!(stake(&hotkey, &other, 1), 250);
            set(&hotkey, None, 2, 7);
            assert_eq!(TotalHotkeyAlpha::<Runtime>::get(&hotkey, 2), 7);
        });
    }
}
