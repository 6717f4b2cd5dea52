//! How failed logins slow down the next ones: first not at all, then by doubling waits, then by locks.
use std::time::Duration;

/// What is allowed to one account, or to one address that logins come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Failures without a wait.
    pub free: u32,
    /// From this one on it is a lock and no wait.
    pub lock_after: u32,
    /// The first lock, in seconds; each further failure doubles it.
    pub lock_seconds: u64,
    /// Longest lock, in seconds.
    pub longest_seconds: u64,
}

impl Patience {
    /// What is wrong with these numbers, if anything is.
    pub fn problem(&self) -> Option<&'static str> {
        if self.free == 0 {
            Some("free is 0: nobody could log in")
        } else if self.lock_after <= self.free {
            Some("lock_after is not above free")
        } else {
            None
        }
    }

    /// How long nobody may try again after this many failures.
    pub fn wait(&self, failures: u32) -> Duration {
        let doubled = |seconds: u64, times: u32| seconds.saturating_mul(1 << times.min(30));
        let seconds = if failures < self.free {
            0
        } else if failures < self.lock_after {
            doubled(1, failures - self.free).min(self.lock_seconds)
        } else {
            doubled(self.lock_seconds, failures - self.lock_after).min(self.longest_seconds)
        };
        Duration::from_secs(seconds)
    }

    /// Whether this failure is the first of those that lock.
    pub fn locks_at(&self, failures: u32) -> bool {
        failures == self.lock_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_become_locks() {
        let patience = Patience {
            free: 3,
            lock_after: 6,
            lock_seconds: 900,
            longest_seconds: 5000,
        };
        let waits: Vec<u64> = (0..11)
            .map(|failures| patience.wait(failures).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 900, 1800, 3600, 5000, 5000]);
        assert_eq!(patience.wait(u32::MAX).as_secs(), 5000);
        assert!(patience.locks_at(6) && !patience.locks_at(5) && !patience.locks_at(7));
        assert_eq!(patience.problem(), None);
        assert!(Patience { free: 0, ..patience }.problem().is_some());
        assert!(
            Patience {
                lock_after: 3,
                ..patience
            }
            .problem()
            .is_some()
        );
    }
}
