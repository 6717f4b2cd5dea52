//! Sets a validator's weights on the chain: what it thinks of the miners, once a tempo or as often as the chain lets it.
//! A refusal is logged by the chain's name for it and tried again later; it never stops the validator.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use violet_chain::{
    BlockRef, Causes, Client, Commit, FinalizedHeads, Keypair, NetUid, Options, WeightTerms, Weights,
    WeightsSet, WriteError,
};

use crate::scoreboard::Scoreboard;

/// How long to wait before the chain is connected to again.
const AGAIN: Duration = Duration::from_secs(10);
/// For how many blocks a refusal is let rest; less where an epoch is shorter.
const REST: u64 = 25;

/// How a validator sets weights.
#[derive(Clone, Debug)]
pub struct WeightsOptions {
    /// The chain, and how to connect to it.
    pub chain: Options,
    /// The mechanism of the subnet whose miners are judged; the first is 0.
    pub mechanism: u8,
    /// The version of the validator, which the subnet's owner may ask to be at least that of the subnet.
    pub version_key: u64,
}

impl WeightsOptions {
    /// On the first mechanism, with version key 0.
    pub fn new(chain: Options) -> Self {
        Self {
            chain,
            mechanism: 0,
            version_key: 0,
        }
    }
}

/// What sets the weights of one validator.
pub(crate) struct Setter {
    pub(crate) options: WeightsOptions,
    pub(crate) keypair: Arc<Keypair>,
    pub(crate) netuid: NetUid,
    pub(crate) board: Arc<Scoreboard>,
}

impl Setter {
    /// Goes on until `stop` is cancelled, through every outage of the chain.
    pub(crate) async fn run(self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.go_on() => {}
        }
    }

    async fn go_on(&self) {
        let client = loop {
            match Client::with(self.options.chain.clone()).await {
                Ok(client) => break client,
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "no chain to set weights on");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let mut heads: FinalizedHeads = client.finalized_heads();
        let mut commit: Option<Commit> = None;
        let mut not_before = 0;
        loop {
            let head = heads.next().await;
            if let Some(committed) = commit.take() {
                commit = self.reveal(&client, committed).await;
            }
            // A block after a restart of a local chain may be lower.
            let now = u64::from(head.number);
            let waits = now < not_before && not_before - now <= 2 * (REST + u64::from(u16::MAX));
            if waits || self.board.is_empty() {
                continue;
            }
            match self.attend(&client, head).await {
                Ok((next, committed)) => {
                    not_before = next;
                    commit = committed.or(commit);
                }
                Err(error) => {
                    let refusal = error.refusal().unwrap_or_default();
                    let error = Causes(&error).to_string();
                    tracing::warn!(netuid = %self.netuid, block = now, refusal, error, "weights were not set");
                    not_before = now + REST;
                }
            }
        }
    }

    /// Sets weights if it is time. Gives the block from which on it is again, and what is to be revealed.
    async fn attend(&self, client: &Client, head: BlockRef) -> Result<(u64, Option<Commit>), WriteError> {
        let (netuid, mechanism) = (self.netuid, self.options.mechanism);
        let terms = client
            .weight_terms(netuid, mechanism, &self.keypair.hotkey(), head)
            .await?;
        let now = u64::from(head.number);
        let due = due(&terms);
        if now + 1 < due {
            return Ok((due.saturating_sub(1), None));
        }
        let snapshot = client.snapshot(netuid, head).await?;
        let own = self.keypair.hotkey();
        let scores = self.board.of(|hotkey| {
            let neuron = snapshot.by_hotkey(hotkey).filter(|_| *hotkey != own)?;
            Some(neuron.uid)
        });
        let weights = Weights::from_scores(netuid, scores)
            .on_mechanism(mechanism)
            .with_version_key(self.options.version_key);
        if weights.values().is_empty() {
            tracing::debug!(%netuid, block = now, "no miner has a score above zero");
            return Ok((now + 1, None));
        }
        let uids = snapshot.neurons.iter().map(|neuron| neuron.uid);
        let weights = weights.filled(terms.least.into(), uids);
        let set = match client.set_weights(&self.keypair, &weights).await {
            Ok(set) => set,
            Err(error) => {
                let refusal = error.refusal().unwrap_or_default();
                let rest = REST.min(terms.tempo.max(1));
                let error = Causes(&error).to_string();
                tracing::warn!(%netuid, block = now, refusal, error, "weights were not set");
                return Ok((now + rest, None));
            }
        };
        let given = shown(&weights);
        // Their block is the last update from now on.
        let next = |block: BlockRef| due_after(&terms, block.number.into());
        Ok(match set {
            WeightsSet::Plain { block } => {
                tracing::info!(%netuid, mechanism, block = block.number, weights = given, "weights set");
                (next(block), None)
            }
            WeightsSet::Timelocked { block, epoch, round } => {
                tracing::info!(
                    %netuid, mechanism, block = block.number, epoch, round, weights = given,
                    "weights committed, the chain opens them"
                );
                (next(block), None)
            }
            WeightsSet::Hashed(commit) => {
                let (block, reveal_epoch) = (commit.block.number, commit.reveal_epoch);
                tracing::info!(%netuid, mechanism, block, reveal_epoch, weights = given, "weights committed");
                (next(commit.block), Some(commit))
            }
        })
    }

    /// Reveals a commit if it is time. Gives it back if it is too early.
    async fn reveal(&self, client: &Client, commit: Commit) -> Option<Commit> {
        match client.reveal_weights(&self.keypair, &commit).await {
            Ok(block) => {
                tracing::info!(netuid = %self.netuid, block = block.number, "weights revealed");
                None
            }
            Err(error) if error.refusal() == Some("RevealTooEarly") => Some(commit),
            Err(error @ WriteError::Refused { .. }) => {
                let refusal = error.refusal().unwrap_or_default();
                tracing::warn!(netuid = %self.netuid, refusal, %error, "weights cannot be revealed");
                None
            }
            Err(error) => {
                tracing::warn!(netuid = %self.netuid, error = %Causes(&error), "weights are not revealed yet");
                Some(commit)
            }
        }
    }
}

/// The block in which weights are to be set next: a tempo after the last ones, or as soon as they are let.
fn due(terms: &WeightTerms) -> u64 {
    match terms.last_update {
        0 => 0,
        last => due_after(terms, last),
    }
}

fn due_after(terms: &WeightTerms, last: u64) -> u64 {
    let limit = match terms.last_update {
        0 => 0,
        before => terms.ready_at.saturating_sub(before),
    };
    last + terms.tempo.max(limit).max(1)
}

fn shown(weights: &Weights) -> String {
    let given = weights.values().iter().filter(|(_, value)| *value > 0);
    let given = given.map(|(uid, value)| format!("{uid}:{value}"));
    given.collect::<Vec<_>>().join(" ")
}
