//! Assignments that end without an answer: expired, silent, refused, or of a miner that is gone. A replacement is drawn
//! while the slot has draws left. When nobody is free at that moment, but somebody may be later, the slot stays vacant
//! ([`super::waiting`]). When nothing is outstanding the task is done, or failed.
use std::collections::BTreeMap;

use sqlx::{PgConnection, Postgres, Transaction};
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{
        OrganizationId, TaskId, TaskState,
        task::{DRAWS_PER_SLOT, PENDING_LIMIT, Reason},
    },
    error::{Error, Result},
    services::{
        answering::{self, Change, Changes},
        drawing::{self, Drawn},
        hub::Topic,
        roster,
    },
    store::{
        self,
        assignments::{Ended, Outcome},
        open::{Left, Open},
    },
};

/// Assignments taken in one round.
const ROUND: i64 = 500;

/// Ends what is overdue.
///
/// # Errors
/// When the database does not answer; the next round tries again.
pub async fn sweep(app: &App) -> Result<()> {
    // Nobody can be drawn for what ends before the first snapshot, and nobody can say whether somebody may come.
    if app.snapshots.latest().is_none() {
        return Ok(());
    }
    loop {
        let _one_of_few = app.redrawing().await?;
        let mut tx = app.db.begin().await?;
        let life = f64::from(app.rule.heartbeat_ttl_seconds);
        // While no server was up, nobody could show a sign of life: everybody gets the time to do it.
        let silent = app.started.elapsed() >= app.config.silence();
        let ended = store::assignments::take_overdue(&mut tx, app.config.netuid, silent, life, ROUND).await?;
        let is_full = i64::try_from(ended.len()).is_ok_and(|ended| ended == ROUND);
        if !ended.is_empty() {
            tracing::info!(assignments = ended.len(), "assignments ended without an answer");
            conclude(app, tx, ended, None).await?;
        }
        if !is_full {
            return Ok(());
        }
    }
}

/// Ends one assignment that its miner refuses; false when it has none.
///
/// # Errors
/// When the database does not answer.
pub async fn refuse(app: &App, task: TaskId, hotkey: Hotkey, reason: &str) -> Result<bool> {
    let _one_of_few = app.redrawing().await?;
    let mut tx = app.db.begin().await?;
    let Some(ended) = store::assignments::take_refused(&mut tx, task, hotkey).await? else {
        return Ok(false);
    };
    let reason: String = reason.chars().filter(|c| *c != '\0').take(500).collect();
    conclude(app, tx, vec![ended], Some(&reason)).await?;
    Ok(true)
}

/// Withdraws a task of its owner: whatever comes later is kept and not used.
///
/// # Errors
/// 404 for no task of this owner, 409 when it has ended.
pub async fn cancel(app: &App, organization: OrganizationId, task: TaskId) -> Result<()> {
    let found = store::tasks::find(&app.db, organization, task)
        .await?
        .ok_or(Error::NotFound { what: "task" })?;
    let ended = |state: TaskState| Error::Conflict(format!("the task is {} already", state.name()));
    if !found.state.may_become(TaskState::Cancelled) || found.end.is_some() {
        return Err(ended(found.state));
    }
    let mut tx = app.db.begin().await?;
    // The same order as an answer takes: first the mail, then the open row.
    let mut withdrawn = store::assignments::take_withdrawn(&mut tx, task).await?;
    if !store::open::remove(&mut tx, task).await? {
        return Err(Error::Conflict("the task has just ended".into()));
    }
    // A draw that held the open row may have added some. Without that row none comes any more.
    withdrawn.extend(store::assignments::take_withdrawn(&mut tx, task).await?);
    store::assignments::insert_ends(&mut tx, &withdrawn, None).await?;
    store::evaluations::discharge(&mut tx, task).await?;
    store::open::end(&mut tx, task, TaskState::Cancelled, Reason::Cancelled).await?;
    tx.commit().await?;
    app.roster.release(withdrawn.iter().map(|ended| &ended.hotkey));
    app.hub.wake(Topic::Task(task));
    if app.roster.any_waiting() {
        app.hub.wake(Topic::Drawing);
    }
    Ok(())
}

/// Records the ends, draws replacements, and moves the tasks on.
async fn conclude(
    app: &App,
    mut tx: Transaction<'_, Postgres>,
    ended: Vec<Ended>,
    detail: Option<&str>,
) -> Result<()> {
    store::assignments::insert_ends(&mut tx, &ended, detail).await?;
    let mut by_task: BTreeMap<TaskId, Vec<&Ended>> = BTreeMap::new();
    for end in &ended {
        by_task.entry(end.task_id).or_default().push(end);
    }
    let tasks: Vec<TaskId> = by_task.keys().copied().collect();
    let open = store::open::lock(&mut tx, &tasks).await?;
    let mut changes: Changes = Vec::new();
    let mut drawn: Vec<Drawn> = Vec::new();
    for task in &open {
        let ends = &by_task[&task.task_id];
        let its_own = |end: &&&Ended| !matches!(end.outcome, Outcome::Withdrawn | Outcome::Deregistered);
        for end in ends.iter().filter(its_own) {
            changes.push(((end.hotkey, task.task_type), Change::Missed));
        }
        drawn.extend(replace(app, &mut tx, task, ends).await?);
    }
    answering::remember(&mut tx, app.config.netuid, &changes).await?;
    if !drawn.is_empty() {
        drawing::store(app, &mut tx, &drawn).await?;
    }
    tx.commit().await?;
    app.roster.release(ended.iter().map(|end| &end.hotkey));
    drawn.iter().for_each(|drawn| drawing::announce(app, drawn));
    tasks.into_iter().for_each(|task| app.hub.wake(Topic::Task(task)));
    app.hub.wake(Topic::Settling);
    // Places are free again.
    if app.roster.any_waiting() {
        app.hub.wake(Topic::Drawing);
    }
    Ok(())
}

/// Draws for the slots of `ends` that have draws left, and writes what became of the task.
async fn replace(app: &App, tx: &mut PgConnection, open: &Open, ends: &[&Ended]) -> Result<Option<Drawn>> {
    let mut slots: Vec<(u8, u8)> = ends
        .iter()
        .map(|end| {
            (
                u8::try_from(end.slot).unwrap_or(0),
                u8::try_from(end.attempt).unwrap_or(u8::MAX),
            )
        })
        .filter(|(_, attempt)| *attempt < DRAWS_PER_SLOT)
        .map(|(slot, attempt)| (slot, attempt + 1))
        .collect();
    slots.sort_unstable();
    let mut drawn = None;
    let mut vacant = Vec::new();
    if !slots.is_empty() || !open.vacant.is_empty() {
        let earlier = drawing::earlier(tx, open.task_id).await?;
        let request = drawing::request_of(open, slots, earlier)?;
        if !request.slots.is_empty() {
            drawn = drawing::draw(app, &request).await?;
        }
        let filled = drawn.as_ref().map_or(0, |drawn| drawn.assignments.len());
        vacant = vacancies(app, open, &request, filled);
    }
    let filled = drawn.as_ref().map_or(0, |drawn| drawn.assignments.len());
    let count = |number: usize| i16::try_from(number).unwrap_or(i16::MAX);
    let held = (open.outstanding - count(ends.len()) - count(open.vacant.len())).max(0);
    let outstanding = held + count(filled) + count(vacant.len());
    if outstanding == 0 && open.answered == 0 {
        debug_assert!(open.progress().state().may_become(TaskState::Failed));
        store::open::remove(tx, open.task_id).await?;
        store::open::end(tx, open.task_id, TaskState::Failed, Reason::NoAnswer).await?;
    } else {
        let left = Left {
            draws: open.draws + i32::from(drawn.is_some()),
            outstanding,
            vacant,
        };
        store::open::advance(tx, open.task_id, &left).await?;
    }
    Ok(drawn)
}

/// The slots that stay vacant, those that were before and those of a draw that got nobody: somebody else serves this and
/// may be free in time. When the last who could come was drawn, none does, however long it has been vacant.
fn vacancies(app: &App, open: &Open, request: &drawing::Request, filled: usize) -> Vec<i16> {
    let drawing::Request {
        capability,
        input_bytes,
        slots,
        earlier,
        ..
    } = request;
    // A draw with places left took everybody who was free; who it took cannot come again.
    let may_come = open.age_seconds < PENDING_LIMIT.as_secs_f64()
        && roster::may_come(app, capability, *input_bytes, earlier, filled);
    if !may_come {
        return Vec::new();
    }
    app.roster.waits(capability.clone());
    let left = slots.iter().skip(filled).map(|(slot, _)| i16::from(*slot));
    open.vacant.iter().copied().chain(left).collect()
}
