//! One endpoint of a chain: its name for people, when it may be tried again, and what its failures mean.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use subxt::ext::jsonrpsee::client_transport::ws::{WsError, WsHandshakeError};
use subxt::ext::jsonrpsee::core::client::Error as RpcError;
use tokio::time::Instant;

/// Shortest and longest delay before an endpoint that failed is tried again, without jitter.
const FAILED: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
/// The same for one that refused: a public node that is asked to go easy does not forget it soon.
const REFUSED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];

/// A better endpoint is waited for this long before one that is behind is taken.
const SOON: Duration = Duration::from_secs(1);

/// JSON-RPC codes by which public nodes refuse politely (policy, rate limit).
const REFUSALS: [i32; 2] = [-32004, -32005];
/// The same as an HTTP status of the handshake.
const REFUSED_HANDSHAKES: [u16; 2] = [403, 429];
/// The same as the reason why a WebSocket is closed.
const POLICY_VIOLATION: u16 = 1008;

/// Delays that double, each longer by a part of itself that chance gives: servers that lost one node do not come
/// back to it at one moment.
pub(crate) fn delays([shortest, longest]: [Duration; 2]) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
}

/// Whether the node refuses to serve us, rather than being unable to.
pub(crate) fn is_refusal(error: &RpcError) -> bool {
    match error {
        RpcError::Call(answer) => REFUSALS.contains(&answer.code()),
        RpcError::Transport(cause) => {
            let status = match cause.downcast_ref::<WsHandshakeError>() {
                Some(WsHandshakeError::Rejected { status_code }) => Some(*status_code),
                _ => None,
            };
            let closed = match cause.downcast_ref::<WsError>() {
                Some(WsError::Closed(reason)) => Some(reason.code),
                _ => None,
            };
            status.is_some_and(|status| REFUSED_HANDSHAKES.contains(&status))
                || closed == Some(POLICY_VIOLATION)
        }
        RpcError::RestartNeeded(cause) => is_refusal(cause),
        _ => false,
    }
}

/// Scheme, host and port of an address: a path, a query or a name and password may hold a key.
pub(crate) fn public_name(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// An endpoint and how it behaved.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    failing: ExponentialBackoff,
    refusing: ExponentialBackoff,
    retry_at: Instant,
}

impl Endpoint {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            failing: delays(FAILED).build(),
            refusing: delays(REFUSED).build(),
            retry_at: Instant::now(),
        }
    }

    /// Whether it may be tried now.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.retry_at
    }

    /// Whether it is left alone, and may be tried again before long.
    pub(crate) fn is_due_soon(&self) -> bool {
        !self.is_due() && Instant::now() + SOON >= self.retry_at
    }

    /// It failed or refused: it is left alone for a while, longer each time.
    pub(crate) fn rest(&mut self, refused: bool) {
        let delays = if refused {
            &mut self.refusing
        } else {
            &mut self.failing
        };
        self.retry_at = Instant::now() + delays.next().unwrap_or(REFUSED[1]);
    }

    /// It answered.
    pub(crate) fn recovered(&mut self) {
        self.failing = delays(FAILED).build();
        self.refusing = delays(REFUSED).build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_limits_and_differ() {
        let mut twice = [delays(FAILED).build(), delays(FAILED).build()];
        let taken: Vec<[Duration; 2]> = (0..12)
            .map(|_| twice.each_mut().map(|delays| delays.next().unwrap()))
            .collect();
        for (exponent, pair) in (0..).zip(&taken) {
            let least = (FAILED[0] * 2_u32.pow(exponent)).min(FAILED[1]);
            for delay in pair {
                assert!((least..=2 * least).contains(delay), "{exponent}: {delay:?}");
            }
        }
        assert!(taken.iter().any(|[one, other]| one != other));
    }

    #[test]
    fn keys_in_an_address_are_not_told() {
        for (url, name) in [
            ("wss://node.example:443/v1/secret", "wss://node.example:443"),
            ("wss://me:secret@node.example?key=secret", "wss://node.example"),
            ("ws://[::1]:9944", "ws://[::1]:9944"),
        ] {
            assert_eq!(public_name(url), name);
        }
    }
}
