//! Following change: who is registered as of the last snapshot, and what happened to whom since the one before.
//!
//! What follows from it happens elsewhere: requests are checked against the snapshot (`identity`), candidates come from
//! it (`roster`), assignments of who is no longer there end (`sweeping`), and each new jury is chosen from it
//! (`settling`). A jury that was chosen stays as it is.
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use violet_chain::{BlockHash, Neuron, Snapshot};

use crate::{
    app::App,
    domain::neurons::{self, Change, Changed, Kind, State},
    error::Result,
    store::{
        self,
        neurons::{Head, Recorded},
    },
};

/// The most lines in the log about one snapshot.
const MOST_LINES: usize = 32;

fn state_of(neuron: &Neuron) -> State {
    State {
        uid: neuron.uid.0,
        hotkey: neuron.hotkey,
        coldkey: neuron.coldkey,
        registered_at: neuron.registered_at,
        validator_permit: neuron.validator_permit,
        axon: neuron
            .axon
            .map(|axon| std::net::SocketAddr::new(axon.ip, axon.port).to_string()),
    }
}

/// Records what changed since the last snapshot that any server recorded, unless that was this one or a later one.
/// Before the snapshot is in force: whoever is drawn with it is known to be registered.
///
/// # Errors
/// When the database does not answer; then nothing is recorded, and the next snapshot is compared with the same one.
pub(crate) async fn record(
    app: &App,
    genesis: BlockHash,
    snapshot: &Snapshot,
    block_at: DateTime<Utc>,
) -> Result<()> {
    let netuid = app.config.netuid;
    let head = Head {
        genesis: genesis.0,
        block: snapshot.block.number,
        block_hash: snapshot.block.hash.0,
        block_at,
    };
    let now: Vec<State> = snapshot.neurons.iter().map(state_of).collect();
    let mut tx = app.db.begin().await?;
    let last = store::neurons::lock_head(&mut tx, netuid, &head).await?;
    if last.is_some_and(|last| last.block_at >= block_at) {
        return Ok(());
    }
    let known = store::neurons::all(&mut *tx, netuid).await?;
    // Of another chain, or of a local one before it began again, there is nothing to compare with.
    let changes = last
        .filter(|last| last.genesis == head.genesis && last.block < head.block)
        .map(|last| (last, neurons::changes(&known, last.block, &now)));
    let was: BTreeMap<u16, &State> = known.iter().map(|state| (state.uid, state)).collect();
    let is: BTreeSet<u16> = now.iter().map(|state| state.uid).collect();
    let others: Vec<&State> = now
        .iter()
        .filter(|state| was.get(&state.uid) != Some(state))
        .collect();
    let gone: Vec<u16> = was.keys().filter(|uid| !is.contains(uid)).copied().collect();
    if !(others.is_empty() && gone.is_empty()) {
        store::neurons::put(&mut tx, netuid, &others, &gone).await?;
    }
    if let Some((last, changes)) = changes.as_ref().filter(|(_, changes)| !changes.is_empty()) {
        store::neurons::record(&mut tx, netuid, last, &head, changes).await?;
    }
    store::neurons::move_head(&mut tx, netuid, &head).await?;
    tx.commit().await?;
    let changes = changes.map(|(_, changes)| changes).unwrap_or_default();
    tell(snapshot.block.number, &changes);
    Ok(())
}

/// In the log and in the metrics.
fn tell(block: u32, changes: &[Changed]) {
    for kind in Kind::ALL {
        let count = changes
            .iter()
            .filter(|changed| changed.change.kind() == *kind)
            .count();
        metrics::counter!("violet_neuron_changes_total", "kind" => kind.name()).increment(count as u64);
    }
    for changed in changes.iter().take(MOST_LINES) {
        let Changed {
            uid,
            hotkey,
            coldkey,
            change,
        } = changed;
        let kind = change.kind().name();
        match change {
            Change::Registered {
                instead_of: Some(other),
            } => {
                tracing::info!(block, uid, %hotkey, %coldkey, instead_of = %other, "neuron {kind}");
            }
            Change::Deregistered {
                replaced_by: Some(other),
            } => {
                tracing::info!(block, uid, %hotkey, %coldkey, replaced_by = %other, "neuron {kind}");
            }
            Change::HotkeySwapped { from } => {
                tracing::info!(block, uid, %hotkey, %coldkey, %from, "neuron {kind}");
            }
            Change::ColdkeySwapped { from } => {
                tracing::info!(block, uid, %hotkey, %coldkey, %from, "neuron {kind}");
            }
            Change::AxonChanged { from, to } => {
                let (from, to) = (from.as_deref(), to.as_deref());
                tracing::info!(block, uid, %hotkey, %coldkey, from, to, "neuron {kind}");
            }
            _ => tracing::info!(block, uid, %hotkey, %coldkey, "neuron {kind}"),
        }
    }
    let more = changes.len().saturating_sub(MOST_LINES);
    if more > 0 {
        tracing::info!(block, changes = more, "and more changes of neurons");
    }
}

/// One page of what happened to a uid, newest first; `before` is the last id of the previous page.
///
/// # Errors
/// When the database does not answer.
pub async fn history(app: &App, uid: u16, before: Option<i64>, limit: u16) -> Result<Vec<Recorded>> {
    Ok(store::neurons::history(&app.db, app.config.netuid, uid, before, limit.into()).await?)
}
