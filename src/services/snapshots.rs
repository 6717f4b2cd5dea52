//! The metagraph that decisions rest on, and the randomness made from its block.
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use codec::Encode;
use tokio::sync::watch;
use violet_chain::{BlockHash, BlockRef, Client, NetUid, Neuron, Snapshot};

use crate::{
    app::App,
    domain::{
        blake2b_256,
        records::{self, Digest, Record},
    },
    error::{Error, Result},
    services::recording,
    store,
};

/// The context of the VRF, and of the bytes made from it (design: base).
pub const VRF_CONTEXT: &[u8] = b"violet/base/1";

/// A snapshot and the base that draws use while it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The metagraph.
    pub snapshot: Arc<Snapshot>,
    /// The base: nobody but this server knows it until two snapshots later.
    pub base: [u8; 32],
    /// Digest of the record that commits to it.
    pub record: Digest,
    /// When this process got it.
    pub taken: Instant,
}

/// The latest snapshot, for everybody who decides something.
#[derive(Debug)]
pub struct Snapshots {
    current: watch::Sender<Option<InForce>>,
    genesis: OnceLock<BlockHash>,
    limit: Duration,
}

impl Snapshots {
    /// None yet; one older than `limit` is not used.
    pub fn new(limit: Duration) -> Self {
        Self {
            current: watch::Sender::new(None),
            genesis: OnceLock::new(),
            limit,
        }
    }

    /// The snapshot in force.
    ///
    /// # Errors
    /// 503 when there is none yet or when it is too old: nothing is guessed from an old one.
    pub fn current(&self) -> Result<InForce> {
        let unavailable = |reason| Error::Unavailable {
            reason,
            after: Duration::from_secs(5),
        };
        let current = self
            .latest()
            .ok_or_else(|| unavailable("no snapshot of the subnet yet"))?;
        if current.taken.elapsed() > self.limit {
            return Err(unavailable("the snapshot of the subnet is too old"));
        }
        Ok(current)
    }

    /// The latest one, whatever its age.
    pub fn latest(&self) -> Option<InForce> {
        self.current.borrow().clone()
    }

    /// Which chain this is, once it was reached.
    pub fn genesis(&self) -> Option<BlockHash> {
        self.genesis.get().copied()
    }

    /// Waits for the first one.
    pub async fn first(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.current.subscribe().wait_for(Option::is_some).await;
    }
}

/// Takes the snapshot of the newest block that is a multiple of the interval, if there is a newer one than the last.
/// Multiples that were passed over meanwhile are recorded with the reason.
///
/// # Errors
/// When the chain or the database does not answer; the next call tries again.
pub async fn follow(app: &App, chain: &Client, head: BlockRef) -> Result<()> {
    app.snapshots.genesis.get_or_init(|| chain.genesis_hash());
    let interval = app.rule.snapshot_interval;
    let number = head.number - head.number % interval;
    let last = app
        .snapshots
        .latest()
        .map(|current| current.snapshot.block.number);
    if last.is_some_and(|last| last >= number) {
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
    if let Some(last) = last {
        for missed in (last + interval..number).step_by(usize::try_from(interval).unwrap_or(usize::MAX)) {
            tracing::warn!(block = missed, "a snapshot was missed");
            store::bases::miss(
                &app.db,
                app.config.netuid,
                missed,
                "a later block was final first",
            )
            .await?;
        }
    }
    install(app, snapshot).await
}

/// Puts a snapshot in force: makes its base, or takes the one that another replica made, and records it.
async fn install(app: &App, snapshot: Snapshot) -> Result<()> {
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
    recording::record_once(app, &record).await?;
    store::bases::insert(
        &app.db,
        &store::bases::Base {
            netuid,
            block: snapshot.block.number,
            block_hash: snapshot.block.hash.0,
            proof,
            output: base,
            record: record.digest().0,
        },
    )
    .await?;
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
        taken: Instant::now(),
    }));
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
