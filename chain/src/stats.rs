//! What a client counts about its endpoints, for whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::public_name;

/// What a client did and saw since it was made; see [`crate::Client::stats`].
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Number of the newest block that a subscription gave as final.
    pub finalized: Option<u32>,
    /// How long ago that was.
    pub silent_for: Option<Duration>,
    /// Requests, by JSON-RPC method; each try counts.
    pub calls: BTreeMap<&'static str, u64>,
    /// Bytes of answers and notifications, without what the protocols put around them.
    pub received_bytes: u64,
    /// The endpoints as configured, then those of archive nodes.
    pub endpoints: Vec<EndpointStats>,
}

/// One endpoint.
#[derive(Clone, Debug, Default)]
pub struct EndpointStats {
    /// Scheme, host and port; with a number where two have the same.
    pub name: String,
    /// Connections to it in place of one that was lost or given up.
    pub reconnects: u64,
    /// How often it could not be reached, broke off or served another chain.
    pub failures: u64,
    /// How often it refused: HTTP 403 or 429, WebSocket 1008, JSON-RPC -32004 or -32005.
    pub refusals: u64,
    /// Its newest final block when it was last asked.
    pub finalized: Option<u32>,
    /// By how many blocks that was behind the newest of all endpoints.
    pub behind: Option<u32>,
}

/// The same while it is counted.
pub(crate) struct Counters(Mutex<Counted>);

struct Counted {
    stats: Stats,
    heard_at: Option<Instant>,
}

impl Counters {
    pub(crate) fn new<'a>(urls: impl Iterator<Item = &'a String>) -> Self {
        let mut stats = Stats::default();
        for url in urls {
            let name = public_name(url);
            let same = |other: &&EndpointStats| other.name.split('#').next() == Some(&*name);
            let name = match stats.endpoints.iter().filter(same).count() {
                0 => name,
                before => format!("{name}#{}", before + 1),
            };
            stats.endpoints.push(EndpointStats {
                name,
                ..EndpointStats::default()
            });
        }
        let heard_at = None;
        Self(Mutex::new(Counted { stats, heard_at }))
    }

    pub(crate) fn read(&self) -> Stats {
        let counted = self.lock();
        Stats {
            silent_for: counted.heard_at.map(|at| at.elapsed()),
            ..counted.stats.clone()
        }
    }

    pub(crate) fn called(&self, method: &'static str) {
        *self.lock().stats.calls.entry(method).or_default() += 1;
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.lock().stats.received_bytes += bytes as u64;
    }

    /// A subscription gave this block.
    pub(crate) fn heard(&self, number: u32) {
        let mut counted = self.lock();
        counted.stats.finalized = Some(number);
        counted.heard_at = Some(Instant::now());
    }

    /// The newest block that was heard of; 0 when none was.
    pub(crate) fn last_heard(&self) -> u32 {
        self.lock().stats.finalized.unwrap_or_default()
    }

    pub(crate) fn reconnected(&self, endpoint: usize) {
        self.lock().stats.endpoints[endpoint].reconnects += 1;
    }

    pub(crate) fn failed(&self, endpoint: usize, refused: bool) {
        let mut counted = self.lock();
        let endpoint = &mut counted.stats.endpoints[endpoint];
        if refused {
            endpoint.refusals += 1;
        } else {
            endpoint.failures += 1;
        }
        endpoint.behind = None;
    }

    /// An endpoint is at `height`, and the furthest one at `newest`.
    pub(crate) fn measured(&self, endpoint: usize, height: u32, newest: u32) {
        let mut counted = self.lock();
        let endpoint = &mut counted.stats.endpoints[endpoint];
        endpoint.finalized = Some(height);
        endpoint.behind = Some(newest.saturating_sub(height));
    }

    pub(crate) fn name(&self, endpoint: usize) -> String {
        self.lock().stats.endpoints[endpoint].name.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_one_host_have_names_of_their_own() {
        let urls = ["wss://a/1", "wss://a/2", "wss://b", "wss://a"].map(str::to_owned);
        let stats = Counters::new(urls.iter()).read();
        let names: Vec<&str> = stats.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
        assert_eq!(names, ["wss://a", "wss://a#2", "wss://b", "wss://a#3"]);
    }
}
