//! Miners: heartbeats, mail, and the answers that they send.
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use violet_chain::{Hotkey, Neuron};

use crate::{
    app::App,
    domain::{
        TaskId,
        capability::{self, NAMES, Offer, is_name},
        performance::Performance,
        signing,
    },
    error::{Error, Result},
    services::{batch::Write, hub::Topic, identity::Caller, line::Line, outputs},
    store::{
        self,
        answers::{NewAnswer, Stored},
        assignments::Mail,
        miners::{Heartbeat, Subject},
    },
};

/// The most assignments that one poll answers.
const MAIL: i64 = 64;

/// What a miner's heartbeat is answered with.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// The miner's place in the metagraph.
    pub uid: u16,
    /// How long this heartbeat counts.
    pub ttl: Duration,
}

/// Takes a heartbeat in.
///
/// # Errors
/// 422 for a declaration that makes no sense.
pub async fn heartbeat(
    app: &App,
    caller: &Caller,
    capacity: u16,
    load: u16,
    engines: &[Offer],
    version: &str,
) -> Result<Beat> {
    capability::check(engines).map_err(|error| Error::invalid("engines", error))?;
    if !version.is_empty() && !is_name(version) {
        return Err(Error::invalid("version", NAMES));
    }
    store::miners::heartbeat(
        &app.db,
        &Heartbeat {
            netuid: app.config.netuid,
            hotkey: caller.neuron.hotkey,
            capacity,
            load,
            engines,
            version,
        },
    )
    .await?;
    let known = app.roster.miners();
    let is_news = known.get(&caller.neuron.hotkey).is_none_or(|known| {
        !known.available
            || known.capacity != capacity.min(app.rule.capacity_limit)
            || *known.offers != *engines
    });
    if is_news {
        // Tasks may be waiting for just this miner.
        app.hub.wake(Topic::Roster);
    }
    Ok(Beat {
        uid: caller.neuron.uid.0,
        ttl: Duration::from_secs(app.rule.heartbeat_ttl_seconds.into()),
    })
}

/// The open assignments of a miner but for those that it says it has; waits up to `wait` for the first.
///
/// # Errors
/// When the database does not answer.
pub async fn mail(app: &App, miner: &Neuron, without: &[TaskId], wait: Duration) -> Result<Vec<Mail>> {
    let waiter = app.hub.waiter(Topic::Miner(miner.hotkey));
    let found = waiter
        .until(wait.min(app.config.longest_wait()), || async {
            let mail = store::assignments::mail(
                &mut *app.db.acquire().await?,
                app.config.netuid,
                (miner.uid.0, miner.hotkey),
                without,
                MAIL,
            )
            .await?;
            Ok::<_, Error>((!mail.is_empty()).then_some(mail))
        })
        .await?
        .unwrap_or_default();
    Ok(found)
}

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    /// The task.
    pub task: TaskId,
    /// What the engine made.
    pub output: serde_json::Value,
    /// What ran.
    pub model_id: String,
    /// The program that ran it.
    pub engine: String,
    /// What the miner says it took, in seconds.
    pub claimed_seconds: Option<f64>,
    /// The digest that the miner signed. Whoever has a key may leave it out.
    pub digest: Option<[u8; 32]>,
    /// Its signature over [`signing::answer_message`], with the same exception.
    pub signature: Option<[u8; 64]>,
}

/// An answer that was checked, to be stored.
pub type Submitted = NewAnswer;

/// What a miner learns about its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It counts.
    Used {
        /// Whether it is the first of its task.
        first: bool,
    },
    /// It does not.
    Unused(Unused),
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unused {
    /// The assignment ended before it came.
    Late,
    /// One answer counts for each task and hotkey.
    AlreadyAnswered,
    /// The task was never this miner's.
    NotAssigned,
    /// The task ended before it came.
    TaskEnded,
}

/// Checks an answer and stores it.
///
/// # Errors
/// 404 for no such task, 422 for an output that is not one or a signature that is not the miner's.
pub async fn answer(app: &App, caller: &Caller, answer: Answer) -> Result<Receipt> {
    let hotkey = caller.neuron.hotkey;
    let standing = store::answers::standing(&app.db, answer.task, hotkey)
        .await?
        .ok_or(Error::NotFound { what: "task" })?;
    if standing.answered {
        return Ok(Receipt::Unused(Unused::AlreadyAnswered));
    }
    if !standing.assigned && !standing.ended {
        return Ok(Receipt::Unused(Unused::NotAssigned));
    }
    for (field, name) in [("engine", &answer.engine), ("model_id", &answer.model_id)] {
        if !is_name(name) {
            return Err(Error::invalid(field, NAMES));
        }
    }
    let canonical = canonical(&answer)?;
    let digest = signing::answer_digest(&canonical);
    let fits = answer
        .digest
        .map_or(caller.key.is_some(), |given| given == digest);
    if !fits {
        return Err(Error::invalid(
            "digest",
            "must be BLAKE2b-256 of the RFC 8785 form of {engine, model_id, output}",
        ));
    }
    let message = || signing::answer_message(app.config.netuid, answer.task, digest);
    let signature = caller.signature(answer.signature, message)?;
    outputs::check(app, standing.task_type, answer.task, hotkey, &answer.output).await?;
    let receipt = app
        .answering
        .submit(NewAnswer {
            task_id: answer.task,
            hotkey,
            uid: caller.neuron.uid.0,
            output: answer.output,
            engine: answer.engine,
            model_id: answer.model_id,
            digest,
            crypto: caller.crypto,
            signature,
            claimed_seconds: answer
                .claimed_seconds
                .filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
        })
        .await?;
    Ok(match receipt {
        Receipt::Unused(Unused::Late) if standing.task_ended => Receipt::Unused(Unused::TaskEnded),
        receipt => receipt,
    })
}

/// The RFC 8785 form of {engine, `model_id`, output}.
fn canonical(answer: &Answer) -> Result<Vec<u8>> {
    let Answer {
        output,
        model_id,
        engine,
        ..
    } = answer;
    let whole = serde_json::json!({ "engine": engine, "model_id": model_id, "output": output });
    serde_json_canonicalizer::to_vec(&whole)
        .map_err(|error| Error::invalid("output", format!("has no canonical form: {error}")))
}

/// Stores answers in groups, and what they say about their miners.
#[derive(Debug)]
pub struct Writer {
    /// For what follows.
    pub app: App,
    /// To the database.
    pub line: Line,
}

impl Write for Writer {
    type Item = Submitted;
    type Answer = Receipt;

    async fn write(&mut self, items: &[Submitted]) -> Result<Vec<Result<Receipt>>> {
        let app = &self.app;
        // One statement cannot take two answers of one miner to one task.
        let mut distinct: Vec<&Submitted> = items.iter().collect();
        distinct.sort_by_key(|item| (item.task_id, item.hotkey));
        distinct.dedup_by_key(|item| (item.task_id, item.hotkey));
        let distinct: Vec<Submitted> = distinct.into_iter().cloned().collect();

        let stored = match write(app, &mut self.line, &distinct).await {
            Ok(stored) => stored,
            // The connection may have died after the commit: what is stored tells.
            Err(error) => match store::answers::stored(&app.db, &distinct).await {
                Ok(stored) if stored.len() == distinct.len() => stored,
                _ => return Err(error),
            },
        };
        let firsts = firsts(items, &stored);

        let used: Vec<Hotkey> = stored
            .iter()
            .filter(|row| row.used)
            .map(|row| row.hotkey)
            .collect();
        app.roster.release(&used);
        for row in stored.iter().filter(|row| row.used) {
            app.hub.wake(Topic::Task(row.task_id));
            if row.done == Some(true) {
                app.hub.wake(Topic::Settling);
            }
        }
        // Places are free again.
        if !used.is_empty() && app.roster.any_waiting() {
            app.hub.wake(Topic::Drawing);
        }
        let mut by_key: HashMap<_, _> = stored
            .iter()
            .map(|row| ((row.task_id, row.hotkey), row))
            .collect();
        Ok(items
            .iter()
            .map(|item| {
                Ok(match by_key.remove(&(item.task_id, item.hotkey)) {
                    Some(row) if row.used => Receipt::Used {
                        first: firsts.contains(&(row.task_id, row.hotkey)),
                    },
                    Some(_) => Receipt::Unused(Unused::Late),
                    None => Receipt::Unused(Unused::AlreadyAnswered),
                })
            })
            .collect())
    }
}

/// Stores answers and what they say about their miners, in one transaction.
async fn write(app: &App, line: &mut Line, distinct: &[Submitted]) -> Result<Vec<Stored>> {
    let mut connection = line.take().await?;
    let mut tx = connection.begin().await?;
    let stored = store::answers::insert(&mut tx, distinct).await?;
    let mut changes: Changes = Vec::new();
    for row in stored.iter().filter(|row| row.used) {
        if let (Some(task_type), Some(size)) = (row.task_type, row.input_size) {
            let usual = task_type.usual_millis(u64::try_from(size).unwrap_or(0));
            let millis = u64::try_from(row.millis).unwrap_or(0);
            changes.push(((row.hotkey, task_type), Change::Answered { millis, usual }));
        }
    }
    remember(&mut tx, app.config.netuid, &changes).await?;
    tx.commit().await?;
    line.keep(connection);
    Ok(stored)
}

/// The answers that are the first of their task: of several in one batch the one that came first.
fn firsts(items: &[Submitted], stored: &[Stored]) -> HashSet<(TaskId, Hotkey)> {
    let mut new: HashMap<TaskId, i16> = HashMap::new();
    for row in stored.iter().filter(|row| row.used) {
        *new.entry(row.task_id).or_default() += 1;
    }
    let is_early: HashSet<(TaskId, Hotkey)> = stored
        .iter()
        .filter(|row| row.used && row.answered == new.get(&row.task_id).copied())
        .map(|row| (row.task_id, row.hotkey))
        .collect();
    let mut seen = HashSet::new();
    items
        .iter()
        .map(|item| (item.task_id, item.hotkey))
        .filter(|item| is_early.contains(item) && seen.insert(item.0))
        .collect()
}

/// What happened to a miner.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// It answered after so many milliseconds, where so many are usual.
    Answered { millis: u64, usual: u64 },
    /// It let an assignment go by.
    Missed,
    /// An answer of its was judged.
    Judged { consensus: u16 },
}

/// What happened to whom, in order.
pub(crate) type Changes = Vec<(Subject, Change)>;

/// Takes changes into the means of their miners, inside the caller's transaction.
pub(crate) async fn remember(tx: &mut PgConnection, netuid: u16, changes: &Changes) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut subjects: Vec<Subject> = changes.iter().map(|(subject, _)| *subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let mut known: HashMap<Subject, Performance> = store::miners::lock_performances(tx, netuid, &subjects)
        .await?
        .into_iter()
        .collect();
    for (subject, change) in changes {
        let performance = known.entry(*subject).or_default();
        *performance = match *change {
            Change::Answered { millis, usual } => performance.answered(millis, usual),
            Change::Missed => performance.missed(),
            Change::Judged { consensus } => performance.judged(consensus),
        };
    }
    let rows: Vec<(Subject, Performance)> = known.into_iter().collect();
    store::miners::put_performances(tx, netuid, &rows).await?;
    Ok(())
}
