//! Table `task_open`: what is still to do.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::{
    TaskId, TaskState, TaskType,
    capability::Capability,
    task::{Progress, Reason},
};

/// A live task, as drawing and sweeping see it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Open {
    pub task_id: TaskId,
    pub task_type: TaskType,
    pub source_language: String,
    pub target_language: Option<String>,
    pub required_model: Option<String>,
    pub required: i16,
    pub input_size: i64,
    pub input_bytes: i64,
    pub request_digest: Vec<u8>,
    pub client_entropy: bool,
    pub draws: i32,
    pub outstanding: i16,
    pub vacant: Vec<i16>,
    pub answered: i16,
    pub seen: bool,
    pub done: bool,
    pub age_seconds: f64,
    /// What it is ordered by among those that wait: a level of priority is worth a minute of waiting.
    pub turn: DateTime<Utc>,
}

impl Open {
    /// What the row says of the task's state.
    pub fn progress(&self) -> Progress {
        Progress {
            draws: u32::try_from(self.draws).unwrap_or(0),
            outstanding: u16::try_from(self.outstanding).unwrap_or(0),
            answered: u16::try_from(self.answered).unwrap_or(0),
            seen: self.seen,
            done: self.done,
        }
    }

    /// What its miners must be able to do.
    pub fn capability(&self) -> Capability {
        Capability {
            task_type: self.task_type,
            source_language: self.source_language.clone(),
            target_language: self.target_language.clone(),
            model: self.required_model.clone(),
        }
    }
}

/// What tasks that wait for a miner need, each once.
pub(crate) async fn waiting(db: impl PgExecutor<'_>, netuid: u16) -> Result<Vec<Capability>, sqlx::Error> {
    sqlx::query_as!(
        Capability,
        r#"
        select distinct task_type, source_language, target_language, required_model as model
        from task_open where netuid = $1 and (draws = 0 or vacant <> '{}')
        "#,
        i32::from(netuid),
    )
    .fetch_all(db)
    .await
}

/// The tasks that wait for a miner who can do one of these, in their turn, after `after`. Locked.
pub(crate) async fn lock_waiting(
    db: &mut PgConnection,
    netuid: u16,
    capabilities: &[Capability],
    after: (DateTime<Utc>, TaskId),
    limit: i64,
) -> Result<Vec<Open>, sqlx::Error> {
    let types: Vec<TaskType> = capabilities.iter().map(|wanted| wanted.task_type).collect();
    let sources: Vec<String> = capabilities
        .iter()
        .map(|wanted| wanted.source_language.clone())
        .collect();
    let targets: Vec<Option<String>> = capabilities
        .iter()
        .map(|wanted| wanted.target_language.clone())
        .collect();
    let models: Vec<Option<String>> = capabilities.iter().map(|wanted| wanted.model.clone()).collect();
    sqlx::query_as!(
        Open,
        r#"
        select o.task_id as "task_id: TaskId", o.task_type, o.source_language, o.target_language, o.required_model,
               o.required, o.input_size, o.input_bytes, o.request_digest, o.client_entropy, o.draws, o.outstanding,
               o.vacant, o.answered, o.seen, o.done_at is not null as "done!",
               extract(epoch from now() - o.accepted_at)::float8 as "age_seconds!", t.turn as "turn!"
        from task_open o
        join unnest($2::task_type[], $3::text[], $4::text[], $5::text[])
            as c(task_type, source_language, target_language, model)
            on c.task_type = o.task_type and c.source_language = o.source_language
               and c.target_language is not distinct from o.target_language
               and c.model is not distinct from o.required_model
        cross join lateral (
            select o.accepted_at - array_position(enum_range(null::task_priority), o.priority) * interval '60 s' as turn
        ) t
        where o.netuid = $1 and (o.draws = 0 or o.vacant <> '{}') and (t.turn, o.task_id) > ($6, $7)
        order by t.turn, o.task_id
        limit $8
        for update of o skip locked
        "#,
        i32::from(netuid),
        &types as &[TaskType],
        &sources,
        &targets as &[Option<String>],
        &models as &[Option<String>],
        after.0,
        after.1 as TaskId,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The tasks that waited too long: without any draw or answer for `pending_seconds`, or with vacant slots beside
/// answers for `vacant_seconds`. Locked.
pub(crate) async fn lock_overdue(
    db: &mut PgConnection,
    netuid: u16,
    pending_seconds: f64,
    vacant_seconds: f64,
    limit: i64,
) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as!(
        Open,
        r#"
        select task_id as "task_id: TaskId", task_type, source_language, target_language, required_model, required,
               input_size, input_bytes, request_digest, client_entropy, draws, outstanding, vacant, answered, seen,
               done_at is not null as "done!",
               extract(epoch from now() - accepted_at)::float8 as "age_seconds!", accepted_at as turn
        from task_open
        where netuid = $1 and (draws = 0 or vacant <> '{}')
          and (accepted_at <= now() - make_interval(secs => $2)
               or (answered > 0 and vacant_since <= now() - make_interval(secs => $3)))
        order by task_id
        limit $4
        for update skip locked
        "#,
        i32::from(netuid),
        pending_seconds,
        vacant_seconds,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Locks these live tasks; those that ended meanwhile are missing.
pub(crate) async fn lock(db: &mut PgConnection, tasks: &[TaskId]) -> Result<Vec<Open>, sqlx::Error> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| (*id).into()).collect();
    sqlx::query_as!(
        Open,
        r#"
        select task_id as "task_id: TaskId", task_type, source_language, target_language, required_model, required,
               input_size, input_bytes, request_digest, client_entropy, draws, outstanding, vacant, answered, seen,
               done_at is not null as "done!",
               extract(epoch from now() - accepted_at)::float8 as "age_seconds!", accepted_at as turn
        from task_open
        where task_id = any($1)
        order by task_id
        for update
        "#,
        &ids,
    )
    .fetch_all(db)
    .await
}

/// What a draw or the end of assignments leaves of a live task.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Left {
    pub draws: i32,
    /// Vacant slots included; at 0 the task is done.
    pub outstanding: i16,
    pub vacant: Vec<i16>,
}

/// Writes what is left of a live task.
pub(crate) async fn advance(db: &mut PgConnection, task: TaskId, left: &Left) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update task_open
        set draws = $2, outstanding = $3::smallint, vacant = $4::smallint[],
            vacant_since = case when cardinality($4::smallint[]) > 0 then coalesce(vacant_since, now()) end,
            done_at = case when $3::smallint = 0 then now() end
        where task_id = $1
        "#,
        task as TaskId,
        left.draws,
        left.outstanding,
        &left.vacant,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes the open row of a task; false when it ended already.
pub(crate) async fn remove(db: &mut PgConnection, task: TaskId) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("delete from task_open where task_id = $1", task as TaskId)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that a task ended without a settlement.
pub(crate) async fn end(
    db: &mut PgConnection,
    task: TaskId,
    state: TaskState,
    reason: Reason,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into task_ends (task_id, state, reason) values ($1, $2, $3)",
        task as TaskId,
        state as TaskState,
        reason as Reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many live tasks there are: waiting for a draw, and all.
pub(crate) async fn count(db: impl PgExecutor<'_>) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select count(*) filter (where draws = 0) as "pending!", count(*) as "open!" from task_open"#
    )
    .fetch_one(db)
    .await?;
    Ok((row.pending, row.open))
}
