//! How well a miner has done lately, as integers, so that a log recomputes to the same numbers.
//!
//! Success, speed and quality are exponentially weighted means with a fast and a slow half-life; their mix and the
//! formula over them are fixed. A newcomer starts at one half in each.

/// One, in the fixed-point scale of the means.
pub const ONE: i64 = 1 << 32;

/// `1 − 2^(−1/20)` in 2^30ths: half of what is remembered is younger than 20 tasks.
const FAST_GAIN: i64 = 36_575_588;
/// `1 − 2^(−1/500)` in 2^30ths: half of what is remembered is younger than 500 tasks.
const SLOW_GAIN: i64 = 1_487_491;

/// An exponentially weighted mean of values between 0 and [`ONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// Half-life of 20 tasks.
    pub fast: i64,
    /// Half-life of 500 tasks.
    pub slow: i64,
}

impl Default for Mean {
    fn default() -> Self {
        Self {
            fast: ONE / 2,
            slow: ONE / 2,
        }
    }
}

impl Mean {
    /// Takes one more value in; it is held between 0 and [`ONE`].
    #[must_use]
    pub fn with(self, value: i64) -> Self {
        let value = value.clamp(0, ONE);
        // |value − mean| ≤ 2^32 and gains are below 2^30, so the product fits.
        let step = |mean: i64, gain: i64| mean + (((value - mean) * gain) >> 30);
        Self {
            fast: step(self.fast, FAST_GAIN),
            slow: step(self.slow, SLOW_GAIN),
        }
    }

    /// Four fifths of the fast mean and one fifth of the slow one.
    pub fn value(self) -> i64 {
        (4 * self.fast + self.slow) / 5
    }
}

/// What is remembered of a hotkey for one type of task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Performance {
    /// Answered in time (one) or not (zero).
    pub success: Mean,
    /// Speed of its answers.
    pub speed: Mean,
    /// Consensus of its answers.
    pub quality: Mean,
}

impl Performance {
    /// A valid answer arrived after `millis`; `usual` is usual for such an input.
    #[must_use]
    pub fn answered(self, millis: u64, usual: u64) -> Self {
        Self {
            success: self.success.with(ONE),
            speed: self.speed.with(speed(millis, usual)),
            ..self
        }
    }

    /// An assignment ended without an answer.
    #[must_use]
    pub fn missed(self) -> Self {
        Self {
            success: self.success.with(0),
            ..self
        }
    }

    /// An answer got this consensus (0..=65535).
    #[must_use]
    pub fn judged(self, consensus: u16) -> Self {
        Self {
            quality: self.quality.with(i64::from(consensus) * ONE / 65_535),
            ..self
        }
    }

    /// success² · quality · (½ + ½·speed), in parts per million.
    pub fn parts_per_million(self) -> u32 {
        let mul = |a: i128, b: i128| (a * b) >> 32;
        let success = i128::from(self.success.value());
        let factor = i128::midpoint(i128::from(ONE), i128::from(self.speed.value()));
        let product = mul(
            mul(mul(success, success), i128::from(self.quality.value())),
            factor,
        );
        u32::try_from((product * 1_000_000) >> 32).expect("each factor is at most one")
    }
}

/// `usual / (usual + taken)`: one half at what is usual, towards one when faster, towards zero when slower.
pub fn speed(millis: u64, usual: u64) -> i64 {
    let (taken, usual) = (u128::from(millis), u128::from(usual.max(1)));
    i64::try_from((usual << 32) / (usual + taken)).expect("the quotient is at most one")
}

/// How near a validator's score is to the consensus: one when they are equal, zero when they are as far apart as can be.
pub fn agreement(score: u16, consensus: u16) -> i64 {
    ONE - i64::from(score.abs_diff(consensus)) * ONE / 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gains_are_the_half_lives() {
        for (gain, tasks) in [(FAST_GAIN, 20.0), (SLOW_GAIN, 500.0)] {
            let exact = (1.0 - (-1.0f64 / tasks).exp2()) * f64::from(1 << 30);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let gain = gain as f64;
            assert!((gain - exact).abs() <= 1.0, "{gain} against {exact}");
        }
        let mut mean = Mean { fast: 0, slow: 0 };
        for _ in 0..20 {
            mean = mean.with(ONE);
        }
        assert!((mean.fast - ONE / 2).abs() < ONE / 100_000);
    }

    #[test]
    fn a_newcomer_starts_in_the_middle_and_stays_in_range() {
        let new = Performance::default();
        // ¼ · ½ · ¾
        assert_eq!(new.parts_per_million(), 93_750);
        let mut best = new;
        let mut worst = new;
        for _ in 0..10_000 {
            best = best.answered(0, 1000).judged(65_535);
            worst = worst.missed().judged(0);
        }
        assert!(best.parts_per_million() > 999_000 && best.parts_per_million() <= 1_000_000);
        assert_eq!(worst.parts_per_million(), 0);
        assert!(worst.answered(10, 1000).success.value() > 0);
    }

    #[test]
    fn agreement_is_one_minus_the_distance() {
        assert_eq!(agreement(12_345, 12_345), ONE);
        assert_eq!((agreement(0, 65_535), agreement(65_535, 0)), (0, 0));
        // 13107 is a fifth of 65535.
        for (score, consensus) in [(13_107, 0), (0, 13_107), (65_535, 52_428)] {
            assert_eq!(agreement(score, consensus), ONE - ONE / 5);
        }
        assert!(agreement(1, 0) < ONE);
    }

    #[test]
    fn speed_is_one_half_at_what_is_usual() {
        assert_eq!(speed(700, 700), ONE / 2);
        assert_eq!(speed(0, 700), ONE);
        assert!(speed(1400, 700) < speed(700, 700));
        assert!(speed(u64::MAX, 1) >= 0);
    }
}
