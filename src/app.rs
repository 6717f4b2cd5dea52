//! What the running service is made of; made once, passed everywhere.
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use violet_chain::{Hotkey, KeyError, Keypair};

use crate::{
    blobs::Blobs,
    config::Config,
    domain::routing::Rule,
    error::{Error, Result},
    services::{
        accepting, answering,
        batch::{self, Batcher, Inbox},
        downloads::Links,
        enrolment::Enrolment,
        evaluating,
        hub::{Hub, Topic},
        identity::KeyRing,
        keys::KeyCache,
        limiting::Rates,
        nonces,
        oidc::Issuers,
        quotas::Exhausted,
        roster::Roster,
        seeing::{Sight, Sights},
        snapshots::Snapshots,
        standing::Standings,
        tokens::Tokens,
        wallets::Seal,
    },
};

/// A cheap handle to everything that services need.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// The parts of a running service.
#[derive(Debug)]
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// The routing rule that they make.
    pub rule: Rule,
    /// Connections for reading and for rare writes.
    pub db: PgPool,
    /// The connections of the group writers: theirs alone, so that a commit waits for no reader.
    pub writing: PgPool,
    /// The one source of time.
    pub clock: Arc<Clock>,
    /// The server's own hotkey: receiver of signed requests, signer of records.
    pub keypair: Keypair,
    /// Its public half.
    pub hotkey: Hotkey,
    /// Where the bytes of files are.
    pub blobs: Blobs,
    /// Makes and checks links to files.
    pub links: Links,
    /// When this process began.
    pub started: Instant,
    /// A name of this process, by which it knows its own wake-ups.
    pub replica: String,
    /// Wake-ups.
    pub hub: Arc<Hub>,
    /// The metagraph and the randomness in force.
    pub snapshots: Snapshots,
    /// Miners that can be drawn.
    pub roster: Roster,
    /// Permits for [`App::redrawing`].
    redraws: Semaphore,
    /// API keys looked up lately.
    pub keys: KeyCache,
    /// Who had used up a quota a moment ago.
    pub exhausted: Exhausted,
    /// How often everybody has asked lately.
    pub rates: Rates,
    /// Members and sessions looked up lately.
    pub standings: Standings,
    /// The key of access tokens.
    pub tokens: Tokens,
    /// Issuers whose tokens are taken.
    pub issuers: Issuers,
    /// The key of wallet challenges.
    pub wallet_seal: Seal,
    /// Public keys of neurons.
    pub ring: KeyRing,
    /// Challenges and keys of neurons.
    pub enrolment: Enrolment,
    /// Group commit of submissions.
    pub accepting: Batcher<accepting::Submission, accepting::Accepted>,
    /// Group commit of answers.
    pub answering: Batcher<answering::Submitted, answering::Receipt>,
    /// Group commit of evaluations.
    pub evaluating: Batcher<evaluating::Submitted, evaluating::Receipt>,
    /// Group commit of nonces.
    pub nonces: Batcher<nonces::Nonce, nonces::Seen>,
    /// Signs of life, written behind.
    pub sights: Sights,
}

/// The other ends of the queues in [`Parts`]; the workers empty them.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the other end of the field of the same name")]
pub struct Inboxes {
    pub accepting: Inbox<accepting::Submission, accepting::Accepted>,
    pub answering: Inbox<answering::Submitted, answering::Receipt>,
    pub evaluating: Inbox<evaluating::Submitted, evaluating::Receipt>,
    pub nonces: Inbox<nonces::Nonce, nonces::Seen>,
    pub sights: mpsc::Receiver<Sight>,
    pub outbox: mpsc::Receiver<Topic>,
}

impl App {
    /// Puts a service together; nothing runs yet.
    ///
    /// # Errors
    /// When the server's key is not sr25519: links and bases need its VRF.
    pub fn new(
        config: Config,
        db: PgPool,
        writing: PgPool,
        blobs: Blobs,
        keypair: Keypair,
    ) -> Result<(Self, Inboxes), KeyError> {
        let (hub, outbox) = Hub::new(Duration::from_secs(config.server.poll_seconds));
        let size = config.tasks.queue;
        let (accepting, accepting_inbox) = batch::queue(size);
        let (answering, answering_inbox) = batch::queue(size);
        let (evaluating, evaluating_inbox) = batch::queue(size);
        let (nonces, nonces_inbox) = batch::queue(size);
        let (sights, sights_inbox) = Sights::new();
        let clock = Arc::new(Clock::default());
        let app = Self(Arc::new(Parts {
            rule: config.rule(),
            hotkey: keypair.hotkey(),
            links: Links::new(&keypair)?,
            enrolment: Enrolment::new(&keypair)?,
            keypair,
            blobs,
            started: Instant::now(),
            replica: uuid::Uuid::now_v7().simple().to_string(),
            hub: Arc::new(hub),
            snapshots: Snapshots::new(
                Duration::from_secs(config.chain.snapshot_limit_seconds),
                Arc::clone(&clock),
            ),
            clock,
            roster: Roster::default(),
            redraws: Semaphore::new(
                usize::try_from(config.database.connections / 4)
                    .unwrap_or(1)
                    .max(1),
            ),
            keys: KeyCache::new(Duration::from_secs(config.identity.key_cache_seconds)),
            exhausted: Exhausted::default(),
            rates: Rates::new(config.limits),
            standings: Standings::new(Duration::from_secs(config.accounts.standing_cache_seconds)),
            tokens: Tokens::default(),
            issuers: Issuers::new(&config.identity.oidc.0),
            wallet_seal: Seal::default(),
            ring: KeyRing::default(),
            accepting,
            answering,
            evaluating,
            nonces,
            sights,
            db,
            writing,
            config,
        }));
        let inboxes = Inboxes {
            accepting: accepting_inbox,
            answering: answering_inbox,
            evaluating: evaluating_inbox,
            nonces: nonces_inbox,
            sights: sights_inbox,
            outbox,
        };
        Ok((app, inboxes))
    }
}

impl App {
    /// Leave to draw within a transaction. Such a draw may need a second connection, to record its candidates: if all
    /// connections were held by those who wait for a second one, nobody would go on.
    ///
    /// # Errors
    /// Never: the permits are not withdrawn.
    pub async fn redrawing(&self) -> Result<SemaphorePermit<'_>> {
        self.redraws.acquire().await.map_err(Error::internal)
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The one source of time: the system's, corrected to the database's, so that all replicas agree. A test moves it.
#[derive(Debug, Default)]
pub struct Clock {
    offset_micros: AtomicI64,
    moved_micros: AtomicI64,
}

impl Clock {
    /// The time now, as the database would tell it.
    pub fn now(&self) -> DateTime<Utc> {
        let correction =
            self.offset_micros.load(Ordering::Relaxed) + self.moved_micros.load(Ordering::Relaxed);
        Self::system() + TimeDelta::microseconds(correction)
    }

    /// Nanoseconds since 1970.
    pub fn now_nanos(&self) -> u64 {
        u64::try_from(self.now().timestamp_nanos_opt().unwrap_or(i64::MAX)).unwrap_or(0)
    }

    /// Takes a measurement: what the database said between two looks at the system's clock. It changes the correction
    /// only as far as it contradicts it: one that took long says little.
    pub fn measure(&self, before: DateTime<Utc>, database: DateTime<Utc>, after: DateTime<Utc>) {
        let micros = |time: TimeDelta| time.num_microseconds().unwrap_or(i64::MAX);
        let (least, most) = (micros(database - after), micros(database - before));
        let offset = self.offset_micros.load(Ordering::Relaxed).min(most).max(least);
        self.offset_micros.store(offset, Ordering::Relaxed);
    }

    /// How far the system's clock is from the database's.
    pub fn skew(&self) -> Duration {
        Duration::from_micros(self.offset_micros.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Moves time, for a test.
    pub fn advance(&self, by: TimeDelta) {
        self.moved_micros
            .fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }

    /// The system's own time, uncorrected.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system clock"
    )]
    pub fn system() -> DateTime<Utc> {
        Utc::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_corrects_the_clock_as_far_as_it_can_tell() {
        let clock = Clock::default();
        let at = |micros: i64| DateTime::from_timestamp_micros(1_800_000_000_000_000 + micros).unwrap();
        let skews = [
            // Anywhere between the two looks.
            ((0, 0, 900), 0),
            ((0, 900, 900), 0),
            // Behind both, before both.
            ((0, 5_900, 900), 5_000),
            ((0, 6_400, 900), 5_500),
            // One that took three seconds contradicts nothing.
            ((0, 6_000, 3_000_000), 5_500),
            ((0, -7_000, 100), 7_000),
        ];
        for ((before, database, after), skew) in skews {
            clock.measure(at(before), at(database), at(after));
            assert_eq!(clock.skew(), Duration::from_micros(skew), "{database}");
        }
    }
}
