//! Growing pauses between attempts. Decides how long, never whether.

use std::time::Duration;

use super::ClientError;

/// Growing pauses with jitter, so that many neurons do not come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);
    /// After a refusal that will not pass by itself, e.g. a missing permit.
    const LONGEST_REFUSED: Duration = Duration::from_secs(30);
    /// A server that asks for more patience than this gets this.
    const LONGEST_ASKED: Duration = Duration::from_secs(60);

    /// The pause after a failure: twice the last one, at most 5 s (30 s after a lasting refusal), the upper half of
    /// it random; or what the server asked for with a little on top.
    pub(crate) fn pause(&mut self, error: &ClientError) -> Duration {
        let longest = if error.is_passing() {
            Self::LONGEST
        } else {
            Self::LONGEST_REFUSED
        };
        let full = Self::FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(longest);
        self.failures += 1;
        let jittered = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        match error.retry_after() {
            Some(asked) => asked.min(Self::LONGEST_ASKED) + jittered.min(Self::FIRST),
            None => jittered,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..20).map(|_| backoff.pause(&refused(500, None))).collect();
        assert!(pauses[0] >= Duration::from_millis(125) && pauses[0] <= Duration::from_millis(250));
        assert!(pauses[19] >= Duration::from_millis(2500) && pauses[19] <= Duration::from_secs(5));
        assert!((0..20).map(|_| backoff.pause(&refused(403, None))).max().unwrap() > Duration::from_secs(15));
        backoff.reset();
        assert!(backoff.pause(&refused(500, None)) <= Duration::from_millis(250));
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_within_reason() {
        let pause = |seconds| Backoff::default().pause(&refused(429, Some(seconds)));
        assert!(pause(7) >= Duration::from_secs(7) && pause(7) < Duration::from_secs(8));
        assert!(pause(86_400) < Duration::from_secs(61));
    }
}
