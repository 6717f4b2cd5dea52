//! The miners that can be drawn: who was heard of, what they can do, and how much of it is free.
//!
//! Read from the database twice a second; between reads this process counts its own draws and answers.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use violet_chain::{Hotkey, Snapshot};

use crate::{
    app::App,
    domain::{
        TaskType,
        capability::{Capability, Offer},
        performance::Performance,
        records::{self, Digest, Record},
        routing::{self, Candidate, Rule},
    },
    error::{Error, Result},
    services::{recording, snapshots::InForce},
    store,
};

/// Candidates are frozen at most this often for each capability.
const FROZEN_FOR: Duration = Duration::from_secs(1);

/// A miner that was heard of.
#[derive(Debug)]
pub struct Miner {
    /// Who.
    pub hotkey: Hotkey,
    /// What its engines do.
    pub offers: Vec<Offer>,
    /// Assignments it takes at once: what it declared, up to the rule's limit.
    pub capacity: u16,
    /// Whether its heartbeat is fresh and it is not suspended.
    pub available: bool,
    open: AtomicU16,
    performance: HashMap<TaskType, Performance>,
}

impl Miner {
    /// Assignments it can take right now.
    pub fn free(&self) -> u16 {
        self.capacity.saturating_sub(self.open.load(Ordering::Relaxed))
    }

    /// One more assignment is on its way to it.
    pub fn reserve(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// An assignment ended, or did not come to be.
    pub fn release(&self) {
        // A refresh may have counted it already; below zero there is nothing.
        let _ = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| open.checked_sub(1));
    }

    /// Whether an engine of its does tasks of this capability with an input of so many bytes.
    pub fn takes(&self, capability: &Capability, input_bytes: u64) -> bool {
        self.offers
            .iter()
            .any(|offer| offer.serves(capability) && input_bytes <= offer.max_input_bytes)
    }

    fn performance(&self, task_type: TaskType) -> Performance {
        self.performance.get(&task_type).copied().unwrap_or_default()
    }
}

/// A candidate set that was recorded.
#[derive(Debug)]
pub struct Frozen {
    /// What it is named by.
    pub digest: Digest,
    /// In uid order.
    pub candidates: Vec<Candidate>,
    /// One for each.
    pub weights: Vec<u128>,
    block: u32,
    at: Instant,
}

/// Everything this process knows of miners.
#[derive(Debug, Default)]
pub struct Roster {
    miners: RwLock<Arc<BTreeMap<Hotkey, Arc<Miner>>>>,
    frozen: Mutex<HashMap<Capability, Arc<Frozen>>>,
    freezing: tokio::sync::Mutex<()>,
    /// Held while a draw looks at what is free and takes it.
    pub drawing: Mutex<()>,
}

impl Roster {
    /// The miners heard of within the time that makes a language count as served.
    pub fn miners(&self) -> Arc<BTreeMap<Hotkey, Arc<Miner>>> {
        Arc::clone(&self.miners.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Assignments of these miners ended.
    pub fn release<'a>(&self, hotkeys: impl IntoIterator<Item = &'a Hotkey>) {
        let miners = self.miners();
        for hotkey in hotkeys {
            if let Some(miner) = miners.get(hotkey) {
                miner.release();
            }
        }
    }
}

/// Reads the miners anew.
///
/// # Errors
/// When the database does not answer; what is known stays.
pub async fn refresh(app: &App) -> Result<()> {
    let netuid = app.config.netuid;
    #[expect(clippy::cast_precision_loss, reason = "seconds of a setting")]
    let served = app.config.tasks.served_seconds as f64;
    let heard = store::miners::heard_of(&app.db, netuid, served).await?;
    let mut performances: HashMap<Hotkey, HashMap<TaskType, Performance>> = HashMap::new();
    for ((hotkey, task_type), performance) in store::miners::performances(&app.db, netuid).await? {
        performances
            .entry(hotkey)
            .or_default()
            .insert(task_type, performance);
    }
    let miners = heard
        .into_iter()
        .map(|status| {
            let miner = Miner {
                hotkey: status.hotkey,
                offers: status.engines,
                capacity: status.capacity.min(app.rule.capacity_limit),
                available: !status.suspended
                    && status.age_seconds < f64::from(app.rule.heartbeat_ttl_seconds),
                open: AtomicU16::new(status.open),
                performance: performances.remove(&status.hotkey).unwrap_or_default(),
            };
            (miner.hotkey, Arc::new(miner))
        })
        .collect();
    *app.roster.miners.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(miners);
    Ok(())
}

/// The candidates for `capability`, recorded; frozen anew when the last are a second old or of another snapshot.
///
/// # Errors
/// When the database does not answer.
pub async fn candidates(app: &App, in_force: &InForce, capability: &Capability) -> Result<Arc<Frozen>> {
    let block = in_force.snapshot.block.number;
    let fresh = || {
        let frozen = app.roster.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        frozen
            .get(capability)
            .filter(|frozen| frozen.block == block && frozen.at.elapsed() < FROZEN_FOR)
            .cloned()
    };
    if let Some(frozen) = fresh() {
        return Ok(frozen);
    }
    let _one_at_a_time = app.roster.freezing.lock().await;
    if let Some(frozen) = fresh() {
        return Ok(frozen);
    }
    let (frozen, record) = freeze(&app.rule, &in_force.snapshot, &app.roster.miners(), capability);
    if !frozen.candidates.is_empty() {
        recording::record_once(app, &record).await?;
    }
    let frozen = Arc::new(frozen);
    let mut all = app.roster.frozen.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, old| old.at.elapsed() < 10 * FROZEN_FOR);
    all.insert(capability.clone(), Arc::clone(&frozen));
    Ok(frozen)
}

fn freeze(
    rule: &Rule,
    snapshot: &Snapshot,
    miners: &BTreeMap<Hotkey, Arc<Miner>>,
    capability: &Capability,
) -> (Frozen, Record) {
    let candidates: Vec<Candidate> = snapshot
        .neurons
        .iter()
        .filter_map(|neuron| {
            let miner = miners.get(&neuron.hotkey)?;
            let free = miner.free();
            let able = miner.offers.iter().any(|offer| offer.serves(capability));
            (miner.available && able && free > 0).then(|| Candidate {
                uid: neuron.uid.0,
                hotkey: neuron.hotkey,
                coldkey: neuron.coldkey,
                stake: neuron.stake.0,
                performance: miner.performance(capability.task_type).parts_per_million(),
                free,
                capacity: miner.capacity,
            })
        })
        .collect();
    let record = Record::CandidateSet(records::CandidateSet {
        netuid: rule.netuid,
        rule: Record::Rule(rule.clone()).digest(),
        block: snapshot.block.number,
        capability: capability.clone(),
        candidates: candidates.clone(),
    });
    let frozen = Frozen {
        digest: record.digest(),
        weights: routing::weights(rule, &candidates),
        candidates,
        block: snapshot.block.number,
        at: Instant::now(),
    };
    (frozen, record)
}

/// What somebody offered lately for this type of task: the pairs or languages, for an error that helps.
fn served(app: &App, task_type: TaskType) -> Vec<String> {
    let miners = app.roster.miners();
    let mut all: Vec<String> = miners
        .values()
        .flat_map(|miner| &miner.offers)
        .filter(|offer| offer.task_type == task_type)
        .flat_map(|offer| {
            let pairs = offer.pairs.iter().map(|(from, to)| format!("{from}-{to}"));
            offer.languages.iter().cloned().chain(pairs).collect::<Vec<_>>()
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The models that somebody offered lately for this capability, or for the type when `languages` do not matter.
pub fn models(app: &App, task_type: TaskType) -> Vec<String> {
    let miners = app.roster.miners();
    let mut all: Vec<String> = miners
        .values()
        .flat_map(|miner| &miner.offers)
        .filter(|offer| offer.task_type == task_type)
        .map(|offer| offer.model_id.clone())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether somebody offered `capability` lately, free or not.
fn is_served(app: &App, capability: &Capability) -> bool {
    app.roster
        .miners()
        .values()
        .any(|miner| miner.offers.iter().any(|offer| offer.serves(capability)))
}

/// The largest input that somebody who offered `capability` lately takes, in bytes.
fn largest(app: &App, capability: &Capability) -> u64 {
    let miners = app.roster.miners();
    let offers = miners.values().flat_map(|miner| &miner.offers);
    offers
        .filter(|offer| offer.serves(capability))
        .map(|offer| offer.max_input_bytes)
        .max()
        .unwrap_or(0)
}

/// The error that helps whoever asks for what nobody offers.
///
/// # Errors
/// 422 with what is served.
pub fn require_served(app: &App, wanted: &Capability) -> Result<()> {
    if is_served(app, wanted) {
        return Ok(());
    }
    let what = match (&wanted.model, &wanted.target_language) {
        (Some(model), _) => format!(
            "model_id: nobody serves {model} for these languages; served models are {}",
            listed(&models(app, wanted.task_type))
        ),
        (None, Some(target)) => format!(
            "nobody serves {} from {} to {target}; served are {}",
            wanted.task_type.name(),
            wanted.source_language,
            listed(&served(app, wanted.task_type))
        ),
        (None, None) => format!(
            "nobody serves {} in {}; served are {}",
            wanted.task_type.name(),
            wanted.source_language,
            listed(&served(app, wanted.task_type))
        ),
    };
    Err(Error::NoEngine(what))
}

/// Refuses at once what no engine would take, rather than let it wait for one.
///
/// # Errors
/// 413 with the largest input that is taken.
pub fn require_room(app: &App, wanted: &Capability, field: &'static str, bytes: u64) -> Result<()> {
    let largest = largest(app, wanted);
    if bytes <= largest {
        return Ok(());
    }
    Err(Error::TooLarge {
        field,
        detail: format!("has {bytes} bytes; nobody who serves this takes more than {largest}"),
    })
}

/// Names in a sentence.
pub fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
