//! Tasks that wait for a miner: nobody was drawn for them yet, or a slot of theirs fell vacant when nobody was free.
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    app::App,
    domain::{
        TaskId, TaskState,
        capability::Capability,
        task::{PENDING_LIMIT, Reason, VACANCY_LIMIT},
    },
    error::Result,
    services::{
        drawing::{self, Drawn, Earlier},
        hub::Topic,
        roster,
    },
    store::{
        self,
        open::{Left, Open},
    },
};

/// Tasks taken in one transaction.
const ROUND: i64 = 200;

/// Draws for the tasks that wait, most urgent first, and gives up what waited too long.
///
/// # Errors
/// When the database does not answer; the next call tries again.
pub async fn draw(app: &App) -> Result<()> {
    while give_up(app).await? == ROUND {}
    let looked = Instant::now();
    let waiting = store::open::waiting(&app.db, app.config.netuid).await?;
    // While nothing may be drawn there is no reason to look at each of them.
    let may_draw = app.snapshots.drawable().is_ok();
    let mut able: Vec<Capability> = waiting
        .iter()
        .filter(|wanted| may_draw && roster::has_room(app, wanted))
        .cloned()
        .collect();
    app.roster.now_waiting(waiting, looked);
    if able.is_empty() {
        return Ok(());
    }
    let mut after = (DateTime::UNIX_EPOCH, TaskId::from(uuid::Uuid::nil()));
    while !able.is_empty() {
        let Some(last) = round(app, &mut able, after).await? else {
            break;
        };
        after = last;
    }
    let looked = Instant::now();
    let waiting = store::open::waiting(&app.db, app.config.netuid).await?;
    app.roster.now_waiting(waiting, looked);
    Ok(())
}

/// One transaction: draws for the tasks after `after` that need one of `able`, from which it takes what has no room
/// left. Answers the last one while there may be more.
async fn round(
    app: &App,
    able: &mut Vec<Capability>,
    after: (DateTime<Utc>, TaskId),
) -> Result<Option<(DateTime<Utc>, TaskId)>> {
    let _one_of_few = app.redrawing().await?;
    let mut tx = app.db.begin().await?;
    let found = store::open::lock_waiting(&mut tx, app.config.netuid, able, after, ROUND).await?;
    let mut drawn: Vec<Drawn> = Vec::new();
    let mut given_up: Vec<TaskId> = Vec::new();
    for open in &found {
        let wanted = open.capability();
        if !able.contains(&wanted) {
            continue;
        }
        let (slots, earlier) = if open.draws == 0 {
            let required = u8::try_from(open.required).unwrap_or(1);
            ((0..required).map(|slot| (slot, 1)).collect(), Earlier::default())
        } else {
            let attempts = store::assignments::attempts(&mut tx, open.task_id, &open.vacant).await?;
            (attempts, drawing::earlier(&mut tx, open.task_id).await?)
        };
        let request = drawing::request_of(open, slots, earlier)?;
        let one = drawing::draw(app, &request).await?;
        let filled = one.as_ref().map_or(0, |one| one.assignments.len());
        let is_over =
            open.draws > 0 && !roster::may_come(app, &wanted, request.input_bytes, &request.earlier, filled);
        match one {
            Some(one) => {
                store::open::advance(&mut tx, open.task_id, &left(open, &one, is_over)).await?;
                drawn.push(one);
            }
            // Everybody who could come was drawn meanwhile.
            None if is_over => {
                give_up_slots(&mut tx, open).await?;
                given_up.push(open.task_id);
            }
            None => able.retain(|wanted| roster::has_room(app, wanted)),
        }
    }
    if !drawn.is_empty() {
        drawing::store(app, &mut tx, &drawn).await?;
    }
    tx.commit().await?;
    drawn.iter().for_each(|drawn| drawing::announce(app, drawn));
    tell(app, given_up);
    let is_full = i64::try_from(found.len()).is_ok_and(|found| found == ROUND);
    let last = found.last().map(|open| (open.turn, open.task_id));
    Ok(last.filter(|_| is_full))
}

/// What a draw leaves of a task that waited. Slots of a first draw that got nobody are not vacant: fewer miners are
/// enough then; and none is when nobody else can come.
fn left(open: &Open, drawn: &Drawn, is_over: bool) -> Left {
    let filled: Vec<i16> = drawn
        .assignments
        .iter()
        .map(|assignment| assignment.slot.into())
        .collect();
    let unfilled: Vec<i16> = open
        .vacant
        .iter()
        .copied()
        .filter(|slot| !filled.contains(slot))
        .collect();
    let (given_up, vacant) = if is_over {
        (unfilled.len(), Vec::new())
    } else {
        (0, unfilled)
    };
    let count = |number: usize| i16::try_from(number).unwrap_or(i16::MAX);
    Left {
        draws: open.draws + 1,
        outstanding: if open.draws == 0 {
            count(filled.len())
        } else {
            open.outstanding - count(given_up)
        },
        vacant,
    }
}

/// Gives up slots that waited too long; answers of how many tasks.
async fn give_up(app: &App) -> Result<i64> {
    let mut tx = app.db.begin().await?;
    let overdue = store::open::lock_overdue(
        &mut tx,
        app.config.netuid,
        PENDING_LIMIT.as_secs_f64(),
        VACANCY_LIMIT.as_secs_f64(),
        ROUND,
    )
    .await?;
    for open in &overdue {
        give_up_slots(&mut tx, open).await?;
    }
    tx.commit().await?;
    let count = i64::try_from(overdue.len()).unwrap_or(i64::MAX);
    tell(app, overdue.into_iter().map(|open| open.task_id).collect());
    Ok(count)
}

/// Gives up the slots of a locked task that nobody holds; it fails when nothing else is left of it.
async fn give_up_slots(tx: &mut PgConnection, open: &Open) -> Result<()> {
    let vacant = i16::try_from(open.vacant.len()).unwrap_or(i16::MAX);
    let outstanding = (open.outstanding - vacant).max(0);
    let reason = match (open.draws, outstanding, open.answered) {
        (0, ..) => Some(Reason::NoEligibleMiner),
        (_, 0, 0) => Some(Reason::NoAnswer),
        _ => None,
    };
    if let Some(reason) = reason {
        debug_assert!(open.progress().state().may_become(TaskState::Failed));
        store::open::remove(tx, open.task_id).await?;
        store::open::end(tx, open.task_id, TaskState::Failed, reason).await?;
    } else {
        let left = Left {
            draws: open.draws,
            outstanding,
            vacant: Vec::new(),
        };
        store::open::advance(tx, open.task_id, &left).await?;
    }
    Ok(())
}

/// Slots of these tasks were given up: some may be done now.
fn tell(app: &App, tasks: Vec<TaskId>) {
    if !tasks.is_empty() {
        app.hub.wake(Topic::Settling);
    }
    for task in tasks {
        app.hub.wake(Topic::Task(task));
    }
}
