//! Drawing miners for a task by the rule.
use std::{collections::BTreeSet, sync::PoisonError};

use sqlx::PgConnection;
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{
        TaskId,
        capability::Capability,
        records::{self, Digest, Record},
        routing::{self, Excluded},
    },
    error::{Error, Result},
    services::{
        hub::Topic,
        recording,
        roster::{self, Reserved},
    },
    store::{self, open::Open, records::Batch, submissions::NewAssignment},
};

/// What a draw is for.
#[derive(Debug)]
pub struct Request {
    /// The task.
    pub task: TaskId,
    /// Ties the draw to the user's request.
    pub digest: [u8; 32],
    /// Whether the client put entropy of its own into it.
    pub client_entropy: bool,
    /// What miners must be able to do.
    pub capability: Capability,
    /// In the units of its type.
    pub input_size: u64,
    /// In bytes: engines have limits.
    pub input_bytes: u64,
    /// How many draws the task had before.
    pub draw: u32,
    /// The slots to fill, with the number of this attempt at each.
    pub slots: Vec<(u8, u8)>,
    /// Who was drawn for the task before.
    pub earlier: Earlier,
}

/// Who was drawn for a task before.
#[derive(Debug, Default)]
pub struct Earlier {
    /// By the rule: their uids, and the owners who come last.
    pub excluded: Excluded,
    /// Who they were. One that has another uid by now is passed over.
    pub hotkeys: BTreeSet<Hotkey>,
}

impl Earlier {
    /// Whether this is one of them, or has the uid of one.
    pub fn has(&self, uid: u16, hotkey: &Hotkey) -> bool {
        self.excluded.uids.contains(&uid) || self.hotkeys.contains(hotkey)
    }
}

/// A draw that is not committed yet; the miners' places are reserved for as long as it lives.
#[derive(Debug)]
pub struct Drawn {
    /// What is recorded of it.
    pub record: Record,
    /// One for each slot that got a miner: the first slots of the request.
    pub assignments: Vec<NewAssignment>,
    reserved: Reserved,
}

/// Draws miners for `request`; `None` when nobody is eligible.
///
/// # Errors
/// When the database does not answer. Without a snapshot whose base is still secret nobody is eligible.
pub async fn draw(app: &App, request: &Request) -> Result<Option<Drawn>> {
    let Ok(in_force) = app.snapshots.drawable() else {
        return Ok(None);
    };
    let frozen = roster::candidates(app, &in_force, &request.capability).await?;
    let seed = routing::draw_seed(in_force.base, request.digest, request.draw);
    let miners = app.roster.miners();

    let _one_at_a_time = app.roster.drawing.lock().unwrap_or_else(PoisonError::into_inner);
    let skipped: BTreeSet<u16> = frozen
        .candidates
        .iter()
        .filter(|candidate| {
            let moved = request.earlier.hotkeys.contains(&candidate.hotkey)
                && !request.earlier.excluded.uids.contains(&candidate.uid);
            moved
                || miners.get(&candidate.hotkey).is_none_or(|miner| {
                    !miner.available
                        || miner.free() == 0
                        || !miner.takes(&request.capability, request.input_bytes)
                })
        })
        .map(|candidate| candidate.uid)
        .collect();
    let excluded = Excluded {
        uids: request.earlier.excluded.uids.union(&skipped).copied().collect(),
        coldkeys: request.earlier.excluded.coldkeys.clone(),
    };
    let chosen = routing::draw(
        seed,
        &frozen.candidates,
        &frozen.weights,
        &excluded,
        request.slots.len(),
    );
    if chosen.is_empty() {
        return Ok(None);
    }
    let deadline = request
        .capability
        .task_type
        .deadline(request.input_size)
        .as_secs_f64();
    let reserved = Reserved::of(
        chosen
            .iter()
            .filter_map(|&index| miners.get(&frozen.candidates[index].hotkey)),
    );
    let assignments = chosen
        .iter()
        .zip(&request.slots)
        .map(|(&index, &(slot, attempt))| {
            let candidate = &frozen.candidates[index];
            NewAssignment {
                task_id: request.task,
                hotkey: candidate.hotkey,
                uid: candidate.uid,
                slot,
                attempt,
                deadline_seconds: deadline,
            }
        })
        .collect();
    let record = Record::Draw(records::Draw {
        netuid: app.config.netuid,
        task: request.task.bytes(),
        draw: request.draw,
        request: Digest(request.digest),
        client_entropy: request.client_entropy,
        base: in_force.record,
        candidate_set: frozen.digest,
        slots: request.slots.iter().map(|(slot, _)| *slot).collect(),
        skipped: skipped.into_iter().collect(),
        chosen: chosen.iter().map(|&index| frozen.candidates[index].uid).collect(),
        at: u64::try_from(app.clock.now().timestamp_millis()).unwrap_or(0),
    });
    Ok(Some(Drawn {
        record,
        assignments,
        reserved,
    }))
}

/// The assignments of draws, and their records signed.
pub(crate) fn to_store<'a>(
    app: &App,
    drawn: impl IntoIterator<Item = &'a Drawn>,
) -> (Vec<NewAssignment>, Option<Batch>) {
    let mut assignments = Vec::new();
    let mut records = Vec::new();
    for one in drawn {
        let task = one.assignments.first().map(|first| first.task_id);
        assignments.extend(one.assignments.iter().cloned());
        records.push((one.record.clone(), task));
    }
    (assignments, recording::sign(app, records))
}

/// How long a miner may show no sign of life.
#[expect(clippy::cast_precision_loss, reason = "seconds of a setting")]
pub(crate) fn silence_seconds(app: &App) -> f64 {
    app.config.tasks.silence_seconds as f64
}

/// Stores draws with their records inside the caller's transaction.
pub(crate) async fn store(app: &App, tx: &mut PgConnection, drawn: &[Drawn]) -> Result<()> {
    let (assignments, batch) = to_store(app, drawn);
    store::submissions::insert_assignments(tx, app.config.netuid, silence_seconds(app), &assignments).await?;
    if let Some(batch) = batch {
        store::records::insert(tx, app.hotkey, &batch).await?;
    }
    Ok(())
}

/// A draw was committed: its miners have the work, and are woken.
pub fn hand_over(app: &App, drawn: &Drawn) {
    drawn.reserved.keep();
    metrics::counter!("violet_draws_total").increment(1);
    for assignment in &drawn.assignments {
        app.hub.wake(Topic::Miner(assignment.hotkey));
    }
}

/// A draw for a task that somebody may be waiting for was committed.
pub fn announce(app: &App, drawn: &Drawn) {
    hand_over(app, drawn);
    if let Some(first) = drawn.assignments.first() {
        app.hub.wake(Topic::Task(first.task_id));
    }
}

/// The request of a live task's next draw.
pub(crate) fn request_of(open: &Open, slots: Vec<(u8, u8)>, earlier: Earlier) -> Result<Request> {
    Ok(Request {
        task: open.task_id,
        digest: open
            .request_digest
            .clone()
            .try_into()
            .map_err(|_| Error::internal("a digest of another size"))?,
        client_entropy: open.client_entropy,
        capability: open.capability(),
        input_size: u64::try_from(open.input_size).unwrap_or(0),
        input_bytes: u64::try_from(open.input_bytes).unwrap_or(0),
        draw: u32::try_from(open.draws).unwrap_or(0),
        slots,
        earlier,
    })
}

/// Who was drawn for a task before, as its records say it.
pub(crate) async fn earlier(tx: &mut PgConnection, task: TaskId) -> Result<Earlier> {
    let Earlier {
        mut excluded,
        mut hotkeys,
    } = Earlier::default();
    for stored in store::records::of_task(&mut *tx, task).await? {
        let Record::Draw(draw) = Record::from_bytes(&stored.body).map_err(Error::internal)? else {
            continue;
        };
        let set = store::records::by_digest(&mut *tx, draw.candidate_set.0)
            .await?
            .ok_or_else(|| Error::internal("a draw names a candidate set that is not recorded"))?;
        let Record::CandidateSet(set) = Record::from_bytes(&set.body).map_err(Error::internal)? else {
            return Err(Error::internal(
                "a draw names something that is not a candidate set",
            ));
        };
        for uid in &draw.chosen {
            excluded.uids.insert(*uid);
            let chosen = set.candidates.iter().find(|candidate| candidate.uid == *uid);
            excluded
                .coldkeys
                .extend(chosen.map(|candidate| candidate.coldkey));
            hotkeys.extend(chosen.map(|candidate| candidate.hotkey));
        }
    }
    Ok(Earlier { excluded, hotkeys })
}
