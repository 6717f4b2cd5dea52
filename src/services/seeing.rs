//! Signs of life: which mail was handed to its miner, which miners with a key poll, which validators are there, which
//! keys are used. Noted behind the requests that show them, many in one transaction; a crash loses what was seen in the
//! last moments, and the next request shows it again.
use std::{collections::BTreeSet, pin::pin, time::Duration};

use tokio::sync::mpsc;
use uuid::Uuid;
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{ApiKeyId, NeuronKeyId, TaskId},
    error::Result,
    services::{hub::Topic, identity::Caller, keys},
    store,
};

/// Signs that may wait to be written.
const WAITING: usize = 100_000;

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A miner was handed this mail. Without any sign an assignment ends sooner.
    Mail(TaskId, Hotkey),
    /// A miner polls with this key: that is its heartbeat.
    Poll(NeuronKeyId),
    /// A validator made an authenticated request: only those seen within a day judge.
    Validator(Hotkey),
    /// A key was used.
    Key(ApiKeyId),
}

/// The side that requests note them on.
#[derive(Debug)]
pub struct Sights(mpsc::Sender<Sight>);

impl Sights {
    /// The two sides.
    pub fn new() -> (Self, mpsc::Receiver<Sight>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Notes it, to be written soon.
    pub fn note(&self, sight: Sight) {
        // When too much is waiting this one is lost, and a later one of the same neuron counts as well.
        let _ = self.0.try_send(sight);
    }
}

/// Does what a miner asked for, which may be to wait, and takes it for a sign of life for as long as that lasts when the
/// miner did so with a key.
pub async fn polling<T>(app: &App, caller: &Caller, work: impl Future<Output = T>) -> T {
    let Some(key) = caller.key else {
        return work.await;
    };
    let again = Duration::from_secs(app.rule.heartbeat_ttl_seconds.into()) / 3;
    let mut work = pin!(work);
    loop {
        app.sights.note(Sight::Poll(key));
        if let Ok(done) = tokio::time::timeout(again, &mut work).await {
            return done;
        }
    }
}

/// Writes what was seen.
///
/// # Errors
/// When the database does not answer; then nothing was written.
pub async fn write(app: &App, seen: &[Sight]) -> Result<()> {
    let mut mail = BTreeSet::new();
    let mut polls = BTreeSet::new();
    let mut validators = BTreeSet::new();
    let mut used = BTreeSet::new();
    for sight in seen {
        match *sight {
            Sight::Mail(task, hotkey) => mail.insert((task, hotkey)),
            Sight::Poll(key) => polls.insert(Uuid::from(key)),
            Sight::Validator(hotkey) => validators.insert(hotkey),
            Sight::Key(id) => used.insert(id),
        };
    }
    let mail: Vec<(TaskId, Hotkey)> = mail.into_iter().collect();
    let validators: Vec<Vec<u8>> = validators.into_iter().map(|hotkey| hotkey.0.to_vec()).collect();
    let polls: Vec<Uuid> = polls.into_iter().collect();
    let mut tx = app.db.begin().await?;
    let polled = if polls.is_empty() {
        Vec::new()
    } else {
        let ttl = f64::from(app.rule.heartbeat_ttl_seconds);
        store::miners::saw_polls(&mut *tx, app.config.netuid, &polls, ttl).await?
    };
    if !validators.is_empty() {
        store::miners::saw_validators(&mut *tx, app.config.netuid, &validators).await?;
    }
    if !used.is_empty() {
        let used: Vec<_> = used.into_iter().map(Into::into).collect();
        keys::note_use(&mut tx, &used).await?;
    }
    let moved = if mail.is_empty() {
        Vec::new()
    } else {
        store::assignments::seen(&mut tx, &mail).await?
    };
    tx.commit().await?;
    let known = app.roster.miners();
    let is_news = |hotkey| known.get(hotkey).is_none_or(|miner| !miner.available);
    if polled.iter().any(is_news) {
        // Tasks may be waiting for just this miner.
        app.hub.wake(Topic::Roster);
    }
    moved.into_iter().for_each(|task| app.hub.wake(Topic::Task(task)));
    Ok(())
}
