//! Fetches work, does several pieces of it at once, and remembers what it has done.
//! Knows neither miners nor validators. The server may deliver a piece again until it is done with; what is in hand
//! or done here is passed over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::{Backoff, ClientError, LONG_POLL};
use violet_chain::Causes;

/// The pause before the next poll when the last one came back at once with nothing new: this, and twice as long each
/// time, up to the longest.
const NOTHING_NEW: Duration = Duration::from_millis(200);
const NOTHING_NEW_LONGEST: Duration = Duration::from_secs(1);
/// A poll that took less was not held by the server.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long a piece that failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// For the words of farewell after the grace.
const FAREWELL: Duration = Duration::from_secs(3);
/// How many done pieces are remembered.
const REMEMBERED: usize = 10_000;

/// What became of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Never look at it again.
    Done,
    /// If it is delivered again later, start over.
    Again,
}

/// Something that has to be worked on.
pub(crate) trait Piece: Send + 'static {
    /// What it is remembered by.
    fn id(&self) -> Uuid;
}

/// Where pieces come from and what is done with them.
pub(crate) trait Trade: Send + Sync + 'static {
    type Piece: Piece;

    /// Waits for work as the server sees fit, but not much longer than `wait`. The pieces of `known` are in hand, or
    /// left alone for the moment: they need not be delivered.
    fn fetch(
        &self,
        known: Vec<Uuid>,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Self::Piece>, ClientError>> + Send;

    /// Does one piece. When `abandon` is cancelled, it has a few seconds to say goodbye.
    fn work(&self, piece: Self::Piece, abandon: CancellationToken) -> impl Future<Output = Outcome> + Send;
}

/// Bounds of a worklist.
pub(crate) struct Bounds {
    /// Pieces at the same time, at least 1.
    pub(crate) capacity: usize,
    /// How long pieces in hand may still take after the stop.
    pub(crate) grace: Duration,
}

/// Works until `stop` is cancelled, then finishes what is in hand within the grace. `load` shows how many pieces
/// are in hand. Dropping the future abandons everything at once.
pub(crate) async fn work_off<T: Trade>(
    trade: Arc<T>,
    bounds: &Bounds,
    load: &AtomicUsize,
    stop: &CancellationToken,
) {
    let capacity = bounds.capacity.max(1);
    let abandon = CancellationToken::new();
    let mut memory = Memory::default();
    let mut jobs: JoinSet<Outcome> = JoinSet::new();
    // At most one poll; in a set of its own, so that a job's end does not interrupt it.
    let mut polls: JoinSet<Fetched<T>> = JoinSet::new();
    let mut backoff = Backoff::default();
    let mut pause = Duration::ZERO;
    loop {
        load.store(jobs.len(), Ordering::Relaxed);
        if polls.is_empty() && jobs.len() < capacity {
            let (known, wait) = memory.known();
            polls.spawn(fetch(Arc::clone(&trade), pause, known, wait));
        }
        let fetched = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = jobs.join_next_with_id() => {
                if memory.ended(ended) == Outcome::Again {
                    // The poll that is out excludes it for longer than it is to be left alone.
                    polls.abort_all();
                }
                continue;
            }
            Some(fetched) = polls.join_next() => fetched,
        };
        pause = match fetched {
            Ok((at_once, Ok(pieces))) => {
                backoff.reset();
                let in_hand = jobs.len();
                for piece in pieces {
                    if jobs.len() < capacity && memory.is_new(piece.id()) {
                        let (id, trade, abandon) = (piece.id(), Arc::clone(&trade), abandon.clone());
                        let job = jobs.spawn(async move { trade.work(piece, abandon).await });
                        memory.in_hand(job.id(), id);
                    }
                }
                if at_once && jobs.len() == in_hand {
                    (pause * 2).clamp(NOTHING_NEW, NOTHING_NEW_LONGEST)
                } else {
                    Duration::ZERO
                }
            }
            Ok((_, Err(error))) => {
                let pause = backoff.pause(&error);
                let pause_ms = pause.as_millis();
                tracing::warn!(
                    error = %Causes(&error),
                    pause_ms,
                    "no work fetched"
                );
                pause
            }
            Err(error) if error.is_cancelled() => pause,
            Err(error) => {
                tracing::error!(%error, "fetching broke");
                LEFT_ALONE
            }
        };
    }
    drop(polls);
    farewell(jobs, &abandon, bounds.grace).await;
    load.store(0, Ordering::Relaxed);
}

/// Whether the poll came back at once, and with what.
type Fetched<T> = (bool, Result<Vec<<T as Trade>::Piece>, ClientError>);

async fn fetch<T: Trade>(trade: Arc<T>, pause: Duration, known: Vec<Uuid>, wait: Duration) -> Fetched<T> {
    tokio::time::sleep(pause).await;
    let started = Instant::now();
    let fetched = trade.fetch(known, wait).await;
    (started.elapsed() < AT_ONCE, fetched)
}

/// Lets jobs finish within the grace, then asks them to end, then ends them.
async fn farewell(mut jobs: JoinSet<Outcome>, abandon: &CancellationToken, grace: Duration) {
    if tokio::time::timeout(grace, async { while jobs.join_next().await.is_some() {} })
        .await
        .is_ok()
    {
        return;
    }
    tracing::info!(jobs = jobs.len(), "work in hand is abandoned");
    abandon.cancel();
    let ended = tokio::time::timeout(FAREWELL, async { while jobs.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        jobs.shutdown().await;
    }
}

/// What is in hand, what is done, and what is left alone for a while; bounded.
#[derive(Default)]
struct Memory {
    working: HashMap<Id, Uuid>,
    /// `None`: for good.
    passed_over: HashMap<Uuid, Option<Instant>>,
    oldest_first: VecDeque<Uuid>,
}

impl Memory {
    fn is_new(&self, id: Uuid) -> bool {
        let passed_over = match self.passed_over.get(&id) {
            None => false,
            Some(None) => true,
            Some(Some(until)) => Instant::now() < *until,
        };
        !passed_over && !self.working.values().any(|&working| working == id)
    }

    fn in_hand(&mut self, job: Id, id: Uuid) {
        self.working.insert(job, id);
    }

    /// What need not be delivered now, and how long that stays so at least: all of it for a long poll, unless
    /// something is only left alone for a moment.
    fn known(&self) -> (Vec<Uuid>, Duration) {
        let now = Instant::now();
        let left_alone = self
            .passed_over
            .iter()
            .filter_map(|(&id, until)| Some((id, until.as_ref()?.checked_duration_since(now)?)));
        let (mut known, mut wait): (Vec<_>, _) = (self.working.values().copied().collect(), LONG_POLL);
        for (id, time) in left_alone {
            known.push(id);
            wait = wait.min(time);
        }
        (known, wait)
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Outcome {
        let (job, outcome) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a piece of work broke");
            (error.id(), Outcome::Again)
        });
        let Some(id) = self.working.remove(&job) else {
            return outcome;
        };
        let until = match outcome {
            Outcome::Done => None,
            Outcome::Again => Some(Instant::now() + LEFT_ALONE),
        };
        if self.passed_over.insert(id, until).is_none() {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.passed_over.remove(&oldest);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_alone_is_known_for_a_moment_and_what_is_done_is_not_named() {
        let mut memory = Memory::default();
        let mut jobs: JoinSet<Outcome> = JoinSet::new();
        let [done, again, working] = [1, 2, 3].map(Uuid::from_u128);
        for (id, outcome) in [(done, Outcome::Done), (again, Outcome::Again)] {
            let job = jobs.spawn(async move { outcome });
            memory.in_hand(job.id(), id);
            assert_eq!(memory.known(), (vec![id], LONG_POLL));
            memory.ended(jobs.join_next_with_id().await.unwrap());
        }
        let job = jobs.spawn(std::future::pending());
        memory.in_hand(job.id(), working);
        let (known, wait) = memory.known();
        assert_eq!(known, [working, again]);
        assert!(wait <= LEFT_ALONE && wait > LEFT_ALONE / 2, "{wait:?}");
        assert!(
            !memory.is_new(done)
                && !memory.is_new(again)
                && !memory.is_new(working)
                && memory.is_new(Uuid::from_u128(4))
        );
    }
}
