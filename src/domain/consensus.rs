//! How validators' scores become one: the stake-weighted median, and when it is final.
use std::time::Duration;

/// A verdict waits this long after the last answer for the validators that are not in yet.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Without a quorum by then, a task stays unverified.
pub const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// One validator's score of one answer, with the stake that stood behind it when the task was done.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// 0..=65535.
    pub score: u16,
    /// `total_stake` of the chain, in rao.
    pub stake: u64,
}

/// The consensus of one answer: `max { v among the scores : 2 · Σ stake of scores < v ≤ Σ stake }`.
///
/// This is κ = ½ of the chain's own epoch (`weighted_median` in pallet-subtensor): validators that together hold
/// less than half of the scoring stake cannot push it outside the range of the others' scores. `None` when nobody
/// with stake scored.
pub fn weighted_median(scores: &[Scored]) -> Option<u16> {
    let total: u128 = scores.iter().map(|scored| u128::from(scored.stake)).sum();
    if total == 0 {
        return None;
    }
    scores
        .iter()
        .map(|scored| scored.score)
        .filter(|&value| {
            let below: u128 = scores
                .iter()
                .filter(|other| other.score < value)
                .map(|other| u128::from(other.stake))
                .sum();
            2 * below <= total
        })
        .max()
}

/// Whether those who may judge hold enough of all permitted stake for a verdict: `least` parts of a million, or more.
pub fn participates(eligible_stake: u128, permitted_stake: u128, least: u32) -> bool {
    eligible_stake * 1_000_000 >= permitted_stake * u128::from(least)
}

/// How far the judging of a task is.
#[derive(Clone, Copy, Debug)]
pub struct Judging {
    /// Stake of all validators that may judge this task, in rao.
    pub eligible_stake: u128,
    /// Stake of those that scored at least one answer.
    pub scored_stake: u128,
    /// Validators that have neither scored nor abstained.
    pub outstanding: usize,
    /// Time since the last assignment ended.
    pub since_done: Duration,
}

/// What follows from [`Judging`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More may still come.
    Wait,
    /// More than half of the eligible stake scored: the medians are final.
    Final,
    /// All are in and those that scored hold half of the stake or less.
    Abstained,
    /// Too few scored in time.
    NoQuorum,
}

impl Judging {
    /// Final with more than half of the eligible stake, once all are in or [`PATIENCE`] has passed.
    pub fn verdict(self) -> Verdict {
        let quorum = 2 * self.scored_stake > self.eligible_stake;
        if quorum && (self.outstanding == 0 || self.since_done >= PATIENCE) {
            Verdict::Final
        } else if self.eligible_stake == 0 {
            Verdict::NoQuorum
        } else if self.outstanding == 0 && !quorum {
            Verdict::Abstained
        } else if self.since_done >= DEADLINE {
            Verdict::NoQuorum
        } else {
            Verdict::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(scores: &[(u16, u64)]) -> Option<u16> {
        let scored: Vec<_> = scores
            .iter()
            .map(|&(score, stake)| Scored { score, stake })
            .collect();
        weighted_median(&scored)
    }

    #[test]
    fn hand_computed_medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[(9, 0)]), None);
        assert_eq!(median(&[(7, 1)]), Some(7));
        // Half below 20: 2·1 ≤ 2, so the higher of two equals wins, as in the chain's epoch.
        assert_eq!(median(&[(10, 1), (20, 1)]), Some(20));
        assert_eq!(median(&[(10, 2), (20, 1)]), Some(10));
        assert_eq!(median(&[(10, 1), (20, 1), (30, 1)]), Some(20));
        assert_eq!(median(&[(0, 50), (40_000, 30), (60_000, 20)]), Some(40_000));
        assert_eq!(median(&[(0, 51), (40_000, 30), (60_000, 20)]), Some(0));
        assert_eq!(median(&[(65_535, u64::MAX), (65_535, u64::MAX)]), Some(65_535));
    }

    #[test]
    fn order_and_scale_do_not_matter() {
        let scores = [(5, 3), (900, 8), (40, 4), (40, 6), (65_535, 2)];
        let expected = median(&scores);
        let mut turned = scores;
        for _ in 0..scores.len() {
            turned.rotate_left(1);
            assert_eq!(median(&turned), expected);
            let scaled: Vec<_> = turned
                .iter()
                .map(|&(score, stake)| (score, stake * 1_000_000_007))
                .collect();
            assert_eq!(median(&scaled), expected);
        }
    }

    #[test]
    fn less_than_half_of_the_stake_cannot_leave_the_range_of_the_others() {
        let honest = [(30_000, 26), (31_000, 15), (33_000, 10)];
        for attack in [0u16, 1, 29_999, 33_001, 65_535] {
            for stake in [1u64, 25, 50] {
                let mut scores = honest.to_vec();
                scores.push((attack, stake));
                let consensus = median(&scores).unwrap();
                assert!(
                    (30_000..=33_000).contains(&consensus),
                    "{attack} with {stake} gave {consensus}"
                );
            }
        }
        let agreed = [(30_000, 26), (30_000, 25)];
        for attack in [0u16, 65_535] {
            let mut scores = agreed.to_vec();
            scores.push((attack, 50));
            assert_eq!(median(&scores), Some(30_000));
        }
    }

    #[test]
    fn participation_is_compared_exactly() {
        let most = u128::from(u64::MAX);
        for (eligible, permitted, least, enough) in [
            (0, 0, 0, true),
            (0, 100, 0, true),
            (0, 100, 1, false),
            (80, 95, 842_105, true),
            (80, 95, 842_106, false),
            (1, 2, 500_000, true),
            (1, 2, 500_001, false),
            (99, 100, 1_000_000, false),
            (100, 100, 1_000_000, true),
            (most, most, 1_000_000, true),
            (most - 1, most, 1_000_000, false),
        ] {
            assert_eq!(
                participates(eligible, permitted, least),
                enough,
                "{eligible} of {permitted} with {least}"
            );
        }
    }

    #[test]
    fn a_verdict_needs_more_than_half_of_the_stake() {
        let judging = Judging {
            eligible_stake: 100,
            scored_stake: 50,
            outstanding: 1,
            since_done: Duration::ZERO,
        };
        assert_eq!(judging.verdict(), Verdict::Wait);
        let quorum = Judging {
            scored_stake: 51,
            ..judging
        };
        assert_eq!(quorum.verdict(), Verdict::Wait);
        assert_eq!(
            Judging {
                outstanding: 0,
                ..quorum
            }
            .verdict(),
            Verdict::Final
        );
        let late = PATIENCE.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(
            Judging {
                since_done: late,
                ..quorum
            }
            .verdict(),
            Verdict::Wait
        );
        assert_eq!(
            Judging {
                since_done: PATIENCE,
                ..quorum
            }
            .verdict(),
            Verdict::Final
        );
        assert_eq!(
            Judging {
                since_done: PATIENCE,
                ..judging
            }
            .verdict(),
            Verdict::Wait
        );
        assert_eq!(
            Judging {
                since_done: DEADLINE,
                ..judging
            }
            .verdict(),
            Verdict::NoQuorum
        );
        assert_eq!(
            Judging {
                outstanding: 0,
                ..judging
            }
            .verdict(),
            Verdict::Abstained
        );
        assert_eq!(
            Judging {
                eligible_stake: 0,
                scored_stake: 0,
                ..judging
            }
            .verdict(),
            Verdict::NoQuorum
        );
    }
}
