//! Tasks that wait for a miner: nobody was drawn for them yet, or a slot of theirs fell vacant when nobody was free.
use std::time::Instant;

use chrono::{DateTime, Utc};

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
        let Some(one) = drawing::draw(app, &request).await? else {
            able.retain(|wanted| roster::has_room(app, wanted));
            continue;
        };
        store::open::advance(&mut tx, open.task_id, &left(open, &one)).await?;
        drawn.push(one);
    }
    if !drawn.is_empty() {
        drawing::store(app, &mut tx, &drawn).await?;
    }
    tx.commit().await?;
    drawn.iter().for_each(|drawn| drawing::announce(app, drawn));
    let is_full = i64::try_from(found.len()).is_ok_and(|found| found == ROUND);
    let last = found.last().map(|open| (open.turn, open.task_id));
    Ok(last.filter(|_| is_full))
}

/// What a draw leaves of a task that waited. Slots of a first draw that got nobody are not vacant: fewer miners are
/// enough then.
fn left(open: &Open, drawn: &Drawn) -> Left {
    let filled: Vec<i16> = drawn
        .assignments
        .iter()
        .map(|assignment| assignment.slot.into())
        .collect();
    let vacant = open.vacant.iter().copied();
    Left {
        draws: open.draws + 1,
        outstanding: if open.draws == 0 {
            i16::try_from(filled.len()).unwrap_or(i16::MAX)
        } else {
            open.outstanding
        },
        vacant: vacant.filter(|slot| !filled.contains(slot)).collect(),
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
        let vacant = i16::try_from(open.vacant.len()).unwrap_or(i16::MAX);
        let outstanding = (open.outstanding - vacant).max(0);
        let reason = match (open.draws, outstanding, open.answered) {
            (0, ..) => Some(Reason::NoEligibleMiner),
            (_, 0, 0) => Some(Reason::NoAnswer),
            _ => None,
        };
        if let Some(reason) = reason {
            debug_assert!(open.progress().state().may_become(TaskState::Failed));
            store::open::remove(&mut tx, open.task_id).await?;
            store::open::end(&mut tx, open.task_id, TaskState::Failed, reason).await?;
        } else {
            let left = Left {
                draws: open.draws,
                outstanding,
                vacant: Vec::new(),
            };
            store::open::advance(&mut tx, open.task_id, &left).await?;
        }
    }
    tx.commit().await?;
    for open in &overdue {
        app.hub.wake(Topic::Task(open.task_id));
    }
    if !overdue.is_empty() {
        app.hub.wake(Topic::Settling);
    }
    Ok(i64::try_from(overdue.len()).unwrap_or(i64::MAX))
}
