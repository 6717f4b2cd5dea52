//! How often somebody may ask: at most so many requests a minute, counted in a window that slides.
//!
//! Time is cut into stretches of a minute. What counts now is what was used in this stretch, and of the one before the
//! part that the minute still covers, as if it had been spread evenly. Several replicas count for themselves and tell each
//! other; none lets more through than `limit / SHARE` without having told.
use std::time::Duration;

/// A stretch, in milliseconds; the window is as long.
pub const STRETCH: u64 = 60_000;
/// The part of a limit that a replica may let through before it tells the others.
const SHARE: u64 = 16;

/// How many requests a minute there may be. 0: as many as they like.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Limits {
    pub key_per_minute: u64,
    pub organization_per_minute: u64,
    pub hotkey_per_minute: u64,
    pub address_per_minute: u64,
}

/// What may be let through before it is told.
pub fn share(limit: u64) -> i64 {
    i64::try_from(limit / SHARE).unwrap_or(i64::MAX).max(1)
}

/// Where somebody stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub limit: u64,
    /// Requests that would be let through now.
    pub remaining: u64,
    /// Until there is more room.
    pub reset: Duration,
}

/// What somebody used lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// The stretch that the numbers are of.
    stretch: u64,
    /// Used in the stretch before.
    before: u64,
    /// Used in this one by all replicas, as far as was told.
    told: u64,
    /// Used in this one here, and not told yet; below 0 when more was taken back.
    untold: i64,
    /// The part of it that is being told just now.
    telling: i64,
}

/// What a counter says to one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the limit.
    Within,
    /// It is, as far as is known here; but first the others must be told what was used.
    TellFirst,
    /// It is not, until so much time has passed.
    Beyond(Duration),
}

impl Counter {
    /// Begins a new stretch when it is time.
    pub fn turn(&mut self, now: u64) {
        let stretch = now / STRETCH;
        if stretch <= self.stretch {
            return;
        }
        let used = self.here();
        *self = Self {
            stretch,
            before: if stretch == self.stretch + 1 { used } else { 0 },
            ..Self::default()
        };
    }

    /// Used in this stretch, as far as is known here.
    fn here(&self) -> u64 {
        self.told.saturating_add_signed(self.untold)
    }

    /// What counts at this time, after its [`turn`](Self::turn).
    fn counts(&self, now: u64) -> u64 {
        let left = STRETCH - (now % STRETCH);
        self.before.saturating_mul(left).div_ceil(STRETCH) + self.here()
    }

    /// Whether one more may be let through.
    pub fn verdict(&self, limit: u64, now: u64) -> Verdict {
        if self.counts(now) >= limit {
            return Verdict::Beyond(self.wait(limit, now));
        }
        if self.untold >= share(limit) {
            return Verdict::TellFirst;
        }
        Verdict::Within
    }

    /// Counts one that is let through.
    pub fn count(&mut self) {
        self.untold += 1;
    }

    /// Takes one back that turned out not to count, if the stretch is still the one in which it did.
    pub fn give_back(&mut self, counted_at: u64) {
        if counted_at / STRETCH == self.stretch {
            self.untold -= 1;
        }
    }

    /// Where its owner stands.
    pub fn standing(&self, limit: u64, now: u64) -> Standing {
        let remaining = limit.saturating_sub(self.counts(now));
        let reset = match remaining {
            0 => self.wait(limit, now),
            _ => Duration::from_millis(STRETCH - now % STRETCH),
        };
        Standing {
            limit,
            remaining,
            reset,
        }
    }

    /// How long until one more is within the limit, if nothing else comes.
    fn wait(&self, limit: u64, now: u64) -> Duration {
        let most = limit.saturating_sub(1);
        let left = STRETCH - now % STRETCH;
        let here = self.here();
        // How much of a stretch must be over until `used` in the one before it leaves room.
        let over = |used: u64, room: u64| STRETCH - (room.saturating_mul(STRETCH) / used.max(1)).min(STRETCH);
        let millis = if here <= most {
            over(self.before, most - here).saturating_sub(STRETCH - left)
        } else {
            left + over(here, most)
        };
        Duration::from_millis(millis.max(1))
    }

    /// Whether there is something to tell: soon enough that nobody has to wait for it, or whatever there is.
    pub fn is_due(&self, limit: u64, all: bool) -> bool {
        let fresh = self.untold - self.telling;
        fresh != 0 && (2 * fresh >= share(limit) || (all && self.told > 0))
    }

    /// What is to be told now: the stretch, and how much.
    pub fn tell(&mut self) -> (u64, i64) {
        let fresh = self.untold - self.telling;
        self.telling += fresh;
        (self.stretch, fresh)
    }

    /// It was told: all replicas together used so much.
    pub fn was_told(&mut self, stretch: u64, amount: i64, total: u64) {
        if stretch == self.stretch {
            self.untold -= amount;
            self.telling -= amount;
            self.told = total;
        }
    }

    /// It could not be told, and is to be told again.
    pub fn was_not_told(&mut self, stretch: u64, amount: i64) {
        if stretch == self.stretch {
            self.telling -= amount;
        }
    }

    /// Whether it says nothing any more.
    pub fn is_over(&self, now: u64) -> bool {
        self.stretch + 1 < now / STRETCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1000 * STRETCH;

    /// How many of `asked` are let through at once.
    fn asks(counter: &mut Counter, limit: u64, now: u64, asked: u64) -> u64 {
        let mut through = 0;
        counter.turn(now);
        for _ in 0..asked {
            loop {
                match counter.verdict(limit, now) {
                    Verdict::Within => {
                        counter.count();
                        through += 1;
                    }
                    Verdict::TellFirst => {
                        let (stretch, amount) = counter.tell();
                        let total = counter.told.saturating_add_signed(amount);
                        counter.was_told(stretch, amount, total);
                        continue;
                    }
                    Verdict::Beyond(_) => {}
                }
                break;
            }
        }
        through
    }

    #[test]
    fn a_minute_s_worth_is_let_through_and_then_what_slides_out() {
        for limit in [1, 2, 10, 15, 16, 17, 300, 6000] {
            let mut counter = Counter::default();
            assert_eq!(asks(&mut counter, limit, NOW, limit + 5), limit, "{limit}");
            // The minute covers all of it until the stretch is over, and half of it in the middle of the next.
            assert_eq!(asks(&mut counter, limit, NOW + STRETCH - 1, 1), 0, "{limit}");
            let half = asks(&mut counter, limit, NOW + STRETCH + STRETCH / 2, limit);
            assert_eq!(half, limit / 2, "{limit}");
            // Two stretches later nothing is left.
            assert_eq!(
                asks(&mut counter, limit, NOW + 9 * STRETCH, limit + 5),
                limit,
                "{limit}"
            );
        }
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_is_let_through_and_not_before() {
        for limit in [1, 2, 10, 300] {
            for (first, second) in [(limit, 0), (limit / 2, limit), (limit, limit)] {
                let mut counter = Counter::default();
                asks(&mut counter, limit, NOW, first);
                let now = NOW + STRETCH + 12_345;
                asks(&mut counter, limit, now, second);
                while asks(&mut counter, limit, now, 1) == 1 {}
                let Verdict::Beyond(wait) = counter.verdict(limit, now) else {
                    panic!("{limit} {first} {second}");
                };
                let wait = u64::try_from(wait.as_millis()).unwrap();
                assert!(wait <= 2 * STRETCH, "{limit} {first} {second}: {wait}");
                let mut sooner = counter;
                let early = (now + wait).saturating_sub(2 + STRETCH / 500);
                if early > now {
                    assert_eq!(
                        asks(&mut sooner, limit, early, 1),
                        0,
                        "{limit} {first} {second}: {wait}"
                    );
                }
                assert_eq!(
                    asks(&mut counter, limit, now + wait + 1, 1),
                    1,
                    "{limit} {first} {second}: {wait}"
                );
            }
        }
    }

    #[test]
    fn replicas_together_let_little_more_through_than_one() {
        for replicas in [2, 3, 8] {
            for limit in [10, 100, 6000] {
                let mut counters = vec![Counter::default(); replicas];
                let (mut total, mut through) = (0, 0);
                for _ in 0..2 * limit {
                    for counter in &mut counters {
                        counter.turn(NOW);
                        match counter.verdict(limit, NOW) {
                            Verdict::Within => {
                                counter.count();
                                through += 1;
                            }
                            Verdict::TellFirst => {
                                let (stretch, amount) = counter.tell();
                                total += amount;
                                counter.was_told(stretch, amount, total.unsigned_abs());
                            }
                            Verdict::Beyond(_) => {}
                        }
                    }
                }
                let most = limit + replicas as u64 * share(limit).unsigned_abs();
                assert!(
                    through >= limit && through <= most,
                    "{replicas} {limit}: {through}"
                );
            }
        }
    }

    #[test]
    fn what_could_not_be_told_is_told_again_and_what_is_given_back_is_not() {
        let mut counter = Counter::default();
        asks(&mut counter, 160, NOW, 7);
        counter.give_back(NOW);
        assert!(counter.is_due(160, false));
        let (stretch, amount) = counter.tell();
        assert_eq!(amount, 6);
        assert!(!counter.is_due(160, true));
        counter.was_not_told(stretch, amount);
        assert_eq!(counter.tell(), (stretch, 6));
        counter.was_told(stretch, 6, 50);
        assert_eq!(counter.standing(160, NOW).remaining, 110);
        // What is taken back after it was told is told as well.
        counter.give_back(NOW);
        assert_eq!(counter.standing(160, NOW).remaining, 111);
        assert!(counter.is_due(160, true));
        assert_eq!(counter.tell(), (stretch, -1));
        counter.was_told(stretch, -1, 49);
        assert_eq!(counter.standing(160, NOW).remaining, 111);
        // Not in another stretch than it was counted in.
        counter.give_back(NOW - 1);
        assert_eq!(counter.standing(160, NOW).remaining, 111);
        assert!(!counter.is_over(NOW + STRETCH) && counter.is_over(NOW + 2 * STRETCH));
    }
}
