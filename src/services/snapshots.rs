//! The metagraph that decisions rest on, and the randomness made from its block.
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use codec::Encode;
use tokio::sync::watch;
use violet_chain::{BlockHash, BlockRef, Client, NetUid, Neuron, Snapshot, Stats};

use crate::{
    app::{App, Clock},
    domain::{
        blake2b_256,
        records::{self, Digest, Record},
    },
    error::{Error, Result},
    services::{neurons, recording},
    store,
};

/// The context of the VRF, and of the bytes made from it (design: base).
pub const VRF_CONTEXT: &[u8] = b"violet/base/1";

/// Nothing is drawn with a base any more when that of a later block is this old.
pub const REPLACED_AFTER: Duration = Duration::from_secs(5);
/// How long a look at the database's bases is good for: who cannot look does not draw.
const LOOK_GOOD_FOR: Duration = Duration::from_secs(8);
/// A base is not published before that of a later block is this old: by then no server draws with it, neither one that
/// saw the later one nor one whose last look was just before.
pub const PUBLISHED_AFTER: Duration = Duration::from_secs(10);
/// A block that is further ahead of the clock is worth a line in the log.
const AHEAD: TimeDelta = TimeDelta::seconds(5);

/// A snapshot and the base that draws use while it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The metagraph.
    pub snapshot: Arc<Snapshot>,
    /// The base: nobody but this server knows it until two snapshots later.
    pub base: [u8; 32],
    /// Digest of the record that commits to it.
    pub record: Digest,
    /// The block's own time; at genesis, which has none, when it was read.
    pub at: DateTime<Utc>,
    look: Look,
}

/// What the database said of later bases.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    /// How old the first of them was.
    replaced: Option<Duration>,
}

impl InForce {
    /// How old the block is.
    pub fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.at).to_std().unwrap_or_default()
    }
}

/// The latest snapshot, for everybody who decides something.
#[derive(Debug)]
pub struct Snapshots {
    current: watch::Sender<Option<InForce>>,
    chain: OnceLock<Client>,
    clock: Arc<Clock>,
    limit: Duration,
}

impl Snapshots {
    /// None yet; one whose block is older than `limit` is not used.
    pub fn new(limit: Duration, clock: Arc<Clock>) -> Self {
        Self {
            current: watch::Sender::new(None),
            chain: OnceLock::new(),
            clock,
            limit,
        }
    }

    /// The snapshot in force.
    ///
    /// # Errors
    /// 503 when there is none yet or when it is too old: nothing is guessed from an old one.
    pub fn current(&self) -> Result<InForce> {
        let current = self
            .latest()
            .ok_or_else(|| unavailable("no snapshot of the subnet yet"))?;
        if current.age(self.clock.now()) > self.limit {
            return Err(unavailable("the snapshot of the subnet is too old"));
        }
        Ok(current)
    }

    /// The snapshot in force, if its base may still be drawn with.
    ///
    /// # Errors
    /// 503 like [`Self::current`], and when a base of a later block was made: this one may be public soon.
    pub fn drawable(&self) -> Result<InForce> {
        let current = self.current()?;
        let since = current.look.at.elapsed();
        if since > LOOK_GOOD_FOR {
            return Err(unavailable("the database was not asked for later bases"));
        }
        if current
            .look
            .replaced
            .is_some_and(|age| age + since > REPLACED_AFTER)
        {
            return Err(unavailable("the base of a later block is in force"));
        }
        Ok(current)
    }

    /// The latest one, whatever its age.
    pub fn latest(&self) -> Option<InForce> {
        self.current.borrow().clone()
    }

    /// Which chain this is, once it was reached.
    pub fn genesis(&self) -> Option<BlockHash> {
        self.chain.get().map(Client::genesis_hash)
    }

    /// What the client of the chain counted; nothing before the chain was reached.
    pub fn chain_stats(&self) -> Option<Stats> {
        self.chain.get().map(Client::stats)
    }

    /// Word of each one that comes into force.
    pub fn changes(&self) -> watch::Receiver<Option<InForce>> {
        self.current.subscribe()
    }

    /// Waits for the first one.
    pub async fn first(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.current.subscribe().wait_for(Option::is_some).await;
    }
}

fn unavailable(reason: &'static str) -> Error {
    Error::Unavailable {
        reason,
        after: Duration::from_secs(5),
    }
}

/// The client of the chain: connected once, and the only one of this process. It holds on to the chain that it found.
///
/// # Errors
/// When no endpoint of the chain answers.
pub async fn client(app: &App) -> Result<Client> {
    if let Some(chain) = app.snapshots.chain.get() {
        return Ok(chain.clone());
    }
    let chain = Client::with(app.config.chain_options())
        .await
        .map_err(Error::internal)?;
    Ok(app.snapshots.chain.get_or_init(|| chain).clone())
}

/// Takes the snapshot of the newest block that is a multiple of the interval, if there is a later one than the last.
/// Multiples that no server took are recorded with the reason.
///
/// # Errors
/// When the chain or the database does not answer; the next call tries again.
pub async fn follow(app: &App, chain: &Client, head: BlockRef) -> Result<()> {
    let interval = app.rule.snapshot_interval;
    let number = head.number - head.number % interval;
    let last = app.snapshots.latest().map(|current| current.snapshot);
    if last.as_ref().is_some_and(|last| last.block.number == number) {
        return Ok(());
    }
    let block = if number == head.number {
        head
    } else {
        chain
            .block_at(number)
            .await
            .map_err(Error::internal)?
            .ok_or_else(|| {
                Error::internal(format!(
                    "the node does not know block {number} below its finalized head"
                ))
            })?
    };
    let snapshot = chain
        .snapshot(NetUid(app.config.netuid), block)
        .await
        .map_err(Error::internal)?;
    // A smaller number is that of a node that lags, or of a local chain that began again; the time tells.
    if last
        .as_ref()
        .is_some_and(|last| snapshot.timestamp <= last.timestamp)
    {
        tracing::debug!(block = number, "an earlier block than that of the snapshot");
        return Ok(());
    }
    let reason = if last.is_some() {
        "a later block was final first"
    } else {
        "no server was following the chain"
    };
    note_missed(app, chain, &snapshot, reason).await?;
    install(app, chain, snapshot).await
}

/// The block's own time.
fn time_of(snapshot: &Snapshot) -> Result<DateTime<Utc>> {
    i64::try_from(snapshot.timestamp)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .ok_or_else(|| Error::internal("a block of a time that no calendar has"))
}

/// Records the multiples between the last base of this chain, by whichever server, and this snapshot: one row, however
/// long it was.
async fn note_missed(app: &App, chain: &Client, snapshot: &Snapshot, reason: &str) -> Result<()> {
    let interval = app.rule.snapshot_interval;
    let netuid = app.config.netuid;
    let number = snapshot.block.number;
    let before = store::bases::before(&app.db, netuid, chain.genesis_hash().0, time_of(snapshot)?).await?;
    let Some(first) = before.and_then(|block| (block / interval + 1).checked_mul(interval)) else {
        return Ok(());
    };
    if first < number {
        let last = number - interval;
        tracing::warn!(first, last, reason, "snapshots were missed");
        store::bases::miss(&app.db, netuid, first, last, reason).await?;
    }
    Ok(())
}

/// Puts a snapshot in force: makes its base, or takes the one that another replica made, and records it.
async fn install(app: &App, chain: &Client, snapshot: Snapshot) -> Result<()> {
    let netuid = app.config.netuid;
    let message = vrf_message(netuid, snapshot.block);
    let proof = app.keypair.vrf(VRF_CONTEXT, &message).map_err(Error::internal)?;
    let base = proof
        .verify(&app.hotkey, VRF_CONTEXT, &message)
        .ok_or_else(|| Error::internal("the server's own VRF does not verify"))?;
    let commitment = blake2b_256(&[&base]);
    let record = Record::Base(records::Base {
        netuid,
        block: snapshot.block.number,
        block_hash: snapshot.block.hash,
        server: app.hotkey,
        commitment: Digest(commitment),
    });
    let block_at = time_of(&snapshot)?;
    neurons::record(app, chain.genesis_hash(), &snapshot, block_at).await?;
    let look = look(app, block_at).await?;
    // Who comes this late makes no base: it would never be drawn with.
    if look.replaced.is_none_or(|age| age < REPLACED_AFTER) {
        recording::record_once(app, &record).await?;
        store::bases::insert(
            &app.db,
            &store::bases::Base {
                netuid,
                genesis: chain.genesis_hash().0,
                block: snapshot.block.number,
                block_hash: snapshot.block.hash.0,
                block_at,
                proof,
                output: base,
                record: record.digest().0,
            },
        )
        .await?;
    }
    let now = app.clock.now();
    let at = if snapshot.timestamp == 0 { now } else { block_at };
    if at - now > AHEAD {
        tracing::warn!(
            block = snapshot.block.number,
            seconds = (at - now).num_seconds(),
            "the snapshot's block is ahead of the clock"
        );
    }
    metrics::gauge!("violet_snapshot_block").set(f64::from(snapshot.block.number));
    tracing::debug!(
        block = snapshot.block.number,
        neurons = snapshot.neurons.len(),
        "snapshot in force"
    );
    app.snapshots.current.send_replace(Some(InForce {
        snapshot: Arc::new(snapshot),
        base,
        record: record.digest(),
        at,
        look,
    }));
    Ok(())
}

async fn look(app: &App, block_at: DateTime<Utc>) -> Result<Look> {
    // From before the question: what is made meanwhile counts as not seen.
    let at = Instant::now();
    let age = store::bases::replaced(&app.db, app.config.netuid, block_at).await?;
    Ok(Look {
        at,
        replaced: age.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
    })
}

/// Looks whether a server made the base of a later block than ours: then ours is not drawn with much longer.
///
/// # Errors
/// When the database does not answer; without a look for a while nothing is drawn.
pub async fn watch_bases(app: &App) -> Result<()> {
    let Some(seen) = app.snapshots.latest() else {
        return Ok(());
    };
    let look = look(app, time_of(&seen.snapshot)?).await?;
    app.snapshots.current.send_if_modified(|current| {
        // A new snapshot meanwhile has had a look of its own.
        if let Some(current) = current.as_mut().filter(|current| current.record == seen.record) {
            if current.look.replaced.is_none() && look.replaced.is_some() {
                tracing::debug!(
                    block = current.snapshot.block.number,
                    "another server has the base of a later block"
                );
            }
            current.look = look;
        }
        false
    });
    Ok(())
}

/// What the VRF is made of: SCALE of (netuid, block hash).
pub fn vrf_message(netuid: u16, block: BlockRef) -> Vec<u8> {
    (netuid, block.hash).encode()
}

/// Whether `neuron` may judge: permit, and at least the chain's threshold and ours.
pub fn may_judge(app: &App, snapshot: &Snapshot, neuron: &Neuron) -> bool {
    neuron.validator_permit
        && neuron.stake >= snapshot.stake_threshold
        && neuron.stake.0 >= app.config.identity.validator_stake_rao
}
