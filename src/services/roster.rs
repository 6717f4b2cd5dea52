//! The miners that can be drawn: who was heard of, what they can do, and how much of it is free.
//!
//! Read from the database twice a second; between reads this process counts its own draws and answers.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use violet_chain::{BlockHash, Hotkey, Snapshot};

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
    services::{drawing::Earlier, recording, snapshots::InForce},
    store,
};

/// Candidates are frozen at most this often for each capability.
const FROZEN_FOR: Duration = Duration::from_secs(1);
/// Capabilities whose candidates are remembered.
const MOST_FROZEN: u64 = 10_000;

/// The places of one miner that are taken.
#[derive(Debug, Default)]
struct Places {
    /// Open assignments when the database was read, less those that ended here since.
    counted: AtomicI64,
    /// Drawn here and not committed yet.
    reserved: AtomicI64,
    /// Committed here since the reading of the database began.
    stored: AtomicI64,
}

impl Places {
    fn taken(&self) -> u16 {
        let taken = self.counted.load(Ordering::Relaxed)
            + self.reserved.load(Ordering::Relaxed)
            + self.stored.load(Ordering::Relaxed);
        // Below zero when what ended was not counted yet.
        u16::try_from(taken.max(0)).unwrap_or(u16::MAX)
    }
}

/// A miner that was heard of.
#[derive(Debug)]
pub struct Miner {
    /// Who.
    pub hotkey: Hotkey,
    /// What its engines do.
    pub offers: Arc<Vec<Offer>>,
    /// Assignments it takes at once: what it declared, up to the rule's limit.
    pub capacity: u16,
    /// Whether its heartbeat is fresh and it is not suspended.
    pub available: bool,
    /// The offers as they were read: nothing is parsed again while it stays the same.
    declared: String,
    places: Arc<Places>,
    performance: HashMap<TaskType, Performance>,
}

impl Miner {
    /// Assignments it can take right now.
    pub fn free(&self) -> u16 {
        self.capacity.saturating_sub(self.places.taken())
    }

    /// Whether an engine of its does tasks of this capability.
    pub fn serves(&self, capability: &Capability) -> bool {
        self.offers.iter().any(|offer| offer.serves(capability))
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

/// Places that a draw took. Given back when it is dropped, unless the draw was committed.
#[derive(Debug)]
pub struct Reserved {
    places: Vec<Arc<Places>>,
    kept: AtomicBool,
}

impl Reserved {
    /// Takes a place of each.
    pub fn of<'a>(miners: impl Iterator<Item = &'a Arc<Miner>>) -> Self {
        let places: Vec<Arc<Places>> = miners.map(|miner| Arc::clone(&miner.places)).collect();
        for places in &places {
            places.reserved.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            places,
            kept: AtomicBool::new(false),
        }
    }

    /// The draw was committed.
    pub fn keep(&self) {
        if self.kept.swap(true, Ordering::Relaxed) {
            return;
        }
        for places in &self.places {
            // Never fewer taken than there are, not even for a moment.
            places.stored.fetch_add(1, Ordering::Relaxed);
            places.reserved.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            for places in &self.places {
                places.reserved.fetch_sub(1, Ordering::Relaxed);
            }
        }
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
}

type Miners = Arc<BTreeMap<Hotkey, Arc<Miner>>>;

/// Everything this process knows of miners.
#[derive(Debug)]
pub struct Roster {
    miners: RwLock<Miners>,
    /// By the snapshot that they come from.
    frozen: Cache<(BlockHash, Capability), Arc<Frozen>>,
    /// What tasks wait for, and since when this process knows.
    waiting: Mutex<HashMap<Capability, Instant>>,
    refreshing: tokio::sync::Mutex<()>,
    /// Held while a draw looks at what is free and takes it.
    pub drawing: Mutex<()>,
}

impl Default for Roster {
    fn default() -> Self {
        Self {
            miners: RwLock::default(),
            frozen: Cache::builder()
                .max_capacity(MOST_FROZEN)
                .time_to_live(FROZEN_FOR)
                .build(),
            waiting: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            drawing: Mutex::default(),
        }
    }
}

impl Roster {
    /// The miners heard of within the time that makes a language count as served.
    pub fn miners(&self) -> Miners {
        Arc::clone(&self.miners.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Assignments of these miners ended.
    pub fn release<'a>(&self, hotkeys: impl IntoIterator<Item = &'a Hotkey>) {
        let miners = self.miners();
        for hotkey in hotkeys {
            if let Some(miner) = miners.get(hotkey) {
                miner.places.counted.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether tasks wait for a miner with this capability: who comes later waits behind them.
    pub fn is_waiting(&self, capability: &Capability) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.contains_key(capability)
    }

    /// Whether any task waits for a miner.
    pub fn any_waiting(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        !waiting.is_empty()
    }

    /// A task waits for this, from now on.
    pub fn waits(&self, capability: Capability) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(capability, Instant::now());
    }

    /// What the database said at `looked` that tasks wait for.
    pub fn now_waiting(&self, all: Vec<Capability>, looked: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // What came during the look may be missing in what it saw.
        waiting.retain(|_, since| *since >= looked);
        waiting.extend(all.into_iter().map(|capability| (capability, looked)));
    }
}

/// Reads the miners anew.
///
/// # Errors
/// When the database does not answer; what is known stays.
pub async fn refresh(app: &App) -> Result<()> {
    let _one_at_a_time = app.roster.refreshing.lock().await;
    let netuid = app.config.netuid;
    let known = app.roster.miners();
    // What was committed before the reading began is in what it reads.
    let stored_before: HashMap<Hotkey, i64> = known
        .iter()
        .map(|(hotkey, miner)| (*hotkey, miner.places.stored.load(Ordering::Relaxed)))
        .collect();
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
    let mut miners = BTreeMap::new();
    for status in heard {
        let known = known.get(&status.hotkey);
        let same = known.filter(|known| known.declared == status.engines);
        let offers = match same {
            Some(known) => Arc::clone(&known.offers),
            // One that cannot be read must not keep the others off the roster.
            None => match serde_json::from_str(&status.engines) {
                Ok(offers) => Arc::new(offers),
                Err(error) => {
                    tracing::error!(hotkey = %status.hotkey, %error, "the offers of a miner cannot be read");
                    continue;
                }
            },
        };
        let miner = Miner {
            hotkey: status.hotkey,
            offers,
            capacity: status.capacity.min(app.rule.capacity_limit),
            available: !status.suspended && status.age_seconds < f64::from(app.rule.heartbeat_ttl_seconds),
            declared: status.engines,
            places: known.map(|known| Arc::clone(&known.places)).unwrap_or_default(),
            performance: performances.remove(&status.hotkey).unwrap_or_default(),
        };
        let before = stored_before.get(&miner.hotkey).copied().unwrap_or(0);
        miners.insert(miner.hotkey, (Arc::new(miner), i64::from(status.open), before));
    }
    let _no_draw_meanwhile = app.roster.drawing.lock().unwrap_or_else(PoisonError::into_inner);
    for (miner, open, before) in miners.values() {
        miner.places.counted.store(*open, Ordering::Relaxed);
        miner.places.stored.fetch_sub(*before, Ordering::Relaxed);
    }
    let miners = miners
        .into_iter()
        .map(|(hotkey, (miner, _, _))| (hotkey, miner))
        .collect();
    *app.roster.miners.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(miners);
    Ok(())
}

/// The candidates for `capability`, recorded; frozen anew when the last are a second old or of another snapshot.
///
/// # Errors
/// When the database does not answer.
pub async fn candidates(app: &App, in_force: &InForce, capability: &Capability) -> Result<Arc<Frozen>> {
    let key = (in_force.snapshot.block.hash, capability.clone());
    let frozen = app.roster.frozen.try_get_with(key, async {
        let (frozen, record) = freeze(&app.rule, &in_force.snapshot, &app.roster.miners(), capability);
        if !frozen.candidates.is_empty() {
            recording::record_once(app, &record).await?;
        }
        Ok::<_, Error>(Arc::new(frozen))
    });
    frozen.await.map_err(|error| Error::shared(&error))
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
            (miner.available && miner.serves(capability) && free > 0).then(|| Candidate {
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
    };
    (frozen, record)
}

/// Whether somebody who is available and serves `capability` has a free place.
pub fn has_room(app: &App, capability: &Capability) -> bool {
    app.roster
        .miners()
        .values()
        .any(|miner| miner.available && miner.free() > 0 && miner.serves(capability))
}

/// Whether more than `taken` registered miners that were not drawn before were heard of lately with an engine for this,
/// free or not. Without a snapshot nobody can tell, so there may be.
pub fn may_come(app: &App, capability: &Capability, input_bytes: u64, drawn: &Earlier, taken: usize) -> bool {
    let Some(in_force) = app.snapshots.latest() else {
        return true;
    };
    let miners = app.roster.miners();
    let able = in_force.snapshot.neurons.iter().filter(|neuron| {
        !drawn.has(neuron.uid.0, &neuron.hotkey)
            && miners
                .get(&neuron.hotkey)
                .is_some_and(|miner| miner.takes(capability, input_bytes))
    });
    able.count() > taken
}

/// What somebody offered lately for this type of task: the pairs or languages.
pub fn served(app: &App, task_type: TaskType) -> Vec<String> {
    let miners = app.roster.miners();
    let mut all: Vec<String> = miners
        .values()
        .flat_map(|miner| miner.offers.iter())
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
        .flat_map(|miner| miner.offers.iter())
        .filter(|offer| offer.task_type == task_type)
        .map(|offer| offer.model_id.clone())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether somebody offered `capability` lately, free or not.
fn is_served(app: &App, capability: &Capability) -> bool {
    app.roster.miners().values().any(|miner| miner.serves(capability))
}

/// The largest input that somebody who offered `capability` lately takes, in bytes.
fn largest(app: &App, capability: &Capability) -> u64 {
    let miners = app.roster.miners();
    let offers = miners.values().flat_map(|miner| miner.offers.iter());
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

/// Most names in a sentence.
const MOST_LISTED: usize = 20;

/// Names in a sentence; a caller that wants all of them looks at the network.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [first @ .., _] if first.len() < MOST_LISTED => names.join(", "),
        _ => format!(
            "{} and {} more (GET /api/v1/network lists all)",
            names[..MOST_LISTED].join(", "),
            names.len() - MOST_LISTED
        ),
    }
}
