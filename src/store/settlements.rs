//! Tables `miner_consensus` and `task_ends`, as settling writes them.
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use violet_chain::Hotkey;

use crate::domain::{TaskId, TaskState, TaskType, task::Reason};

/// A task whose validators are frozen, with how far its judging is.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like what they say")]
pub struct Judged {
    pub task_id: TaskId,
    pub task_type: TaskType,
    pub seconds_since_done: f64,
    pub eligible_stake: i64,
    pub permitted_stake: i64,
    pub outstanding: i64,
}

/// The tasks after `after` that may be ready: all validators in, more than half of the stake in and patience over, or
/// too late.
pub(crate) async fn ready(
    db: impl PgExecutor<'_>,
    netuid: u16,
    after: TaskId,
    patience_seconds: f64,
    deadline_seconds: f64,
    limit: i64,
) -> Result<Vec<TaskId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select o.task_id as "task_id: TaskId"
        from task_open o
        cross join lateral (
            select coalesce(sum(stake), 0)::bigint as stake, count(*) filter (where not evaluated) as outstanding,
                   coalesce(sum(stake) filter (where evaluated), 0)::bigint as heard
            from task_juries j where j.task_id = o.task_id
        ) j
        where o.netuid = $1 and o.judged_by and o.task_id > $2
          and (j.outstanding = 0
               or (o.done_at <= now() - make_interval(secs => $3) and j.heard > j.stake - j.heard)
               or o.done_at <= now() - make_interval(secs => $4))
        order by o.task_id
        limit $5
        "#,
        i32::from(netuid),
        after as TaskId,
        patience_seconds,
        deadline_seconds,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Locks those of these tasks that still have a jury, but for what others have locked, and its rows.
pub(crate) async fn lock(db: &mut PgConnection, tasks: &[TaskId]) -> Result<Vec<Judged>, sqlx::Error> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| (*id).into()).collect();
    let locked: Vec<Uuid> = sqlx::query_scalar!(
        r#"
        select task_id from task_open where task_id = any($1) and judged_by
        order by task_id for update skip locked
        "#,
        &ids,
    )
    .fetch_all(&mut *db)
    .await?;
    sqlx::query!(
        "select from task_juries where task_id = any($1) order by task_id, validator for update",
        &locked
    )
    .fetch_all(&mut *db)
    .await?;
    sqlx::query_as!(
        Judged,
        r#"
        select o.task_id as "task_id: TaskId", o.task_type,
               extract(epoch from now() - o.done_at)::float8 as "seconds_since_done!",
               j.stake as "eligible_stake!", o.permitted_stake, j.outstanding as "outstanding!"
        from task_open o
        cross join lateral (
            select coalesce(sum(stake), 0)::bigint as stake, count(*) filter (where not evaluated) as outstanding
            from task_juries j where j.task_id = o.task_id
        ) j
        where o.task_id = any($1)
        order by o.task_id
        "#,
        &locked,
    )
    .fetch_all(db)
    .await
}

/// How a task ends by settlement.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct End {
    pub task_id: TaskId,
    pub state: TaskState,
    pub reason: Option<Reason>,
    pub best: Option<Hotkey>,
    pub eligible_stake: i64,
    pub permitted_stake: i64,
    pub consensus: Vec<(Hotkey, Option<u16>)>,
}

/// Ends tasks: their open rows and juries go, the end and the consensus of each answer stay.
pub(crate) async fn insert(db: &mut PgConnection, ends: &[End]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ends.iter().map(|end| end.task_id.into()).collect();
    let states: Vec<TaskState> = ends.iter().map(|end| end.state).collect();
    let reasons: Vec<Option<Reason>> = ends.iter().map(|end| end.reason).collect();
    let bests: Vec<Option<Vec<u8>>> = ends
        .iter()
        .map(|end| end.best.map(|hotkey| hotkey.0.to_vec()))
        .collect();
    let eligible: Vec<i64> = ends.iter().map(|end| end.eligible_stake).collect();
    let permitted: Vec<i64> = ends.iter().map(|end| end.permitted_stake).collect();
    sqlx::query!(
        r#"
        insert into task_ends (task_id, state, reason, best, eligible_stake, permitted_stake)
        select * from unnest($1::uuid[], $2::task_state[], $3::task_reason[], $4::bytea[], $5::bigint[], $6::bigint[])
        "#,
        &ids,
        &states as &[TaskState],
        &reasons as &[Option<Reason>],
        &bests as &[Option<Vec<u8>>],
        &eligible,
        &permitted,
    )
    .execute(&mut *db)
    .await?;
    let each = || {
        ends.iter().flat_map(|end| {
            end.consensus
                .iter()
                .map(move |(hotkey, score)| (end, hotkey, score))
        })
    };
    let tasks: Vec<Uuid> = each().map(|(end, _, _)| end.task_id.into()).collect();
    let hotkeys: Vec<Vec<u8>> = each().map(|(_, hotkey, _)| hotkey.0.to_vec()).collect();
    let scores: Vec<Option<i32>> = each().map(|(_, _, score)| score.map(i32::from)).collect();
    sqlx::query!(
        r#"
        insert into miner_consensus (task_id, hotkey, consensus)
        select * from unnest($1::uuid[], $2::bytea[], $3::int[])
        "#,
        &tasks,
        &hotkeys,
        &scores as &[Option<i32>],
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!("delete from task_juries where task_id = any($1)", &ids)
        .execute(&mut *db)
        .await?;
    sqlx::query!("delete from task_open where task_id = any($1)", &ids)
        .execute(db)
        .await?;
    Ok(())
}
