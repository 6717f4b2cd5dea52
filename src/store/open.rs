//! Table `task_open`: what is still to do.
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::{
    TaskId, TaskState, TaskType,
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
    pub answered: i16,
    pub seen: bool,
    pub done: bool,
    pub age_seconds: f64,
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
}

/// The tasks that nobody was drawn for, most urgent first; a level of priority is worth a minute of waiting. Locked.
pub(crate) async fn lock_pending(db: &mut PgConnection, limit: i64) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as!(
        Open,
        r#"
        select task_id as "task_id: TaskId", task_type, source_language, target_language, required_model, required,
               input_size, input_bytes, request_digest, client_entropy, draws, outstanding, answered, seen,
               done_at is not null as "done!",
               extract(epoch from now() - accepted_at)::float8 as "age_seconds!"
        from task_open
        where draws = 0
        order by accepted_at - (array_position(enum_range(null::task_priority), priority) * interval '60 s'), task_id
        limit $1
        for update skip locked
        "#,
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
               input_size, input_bytes, request_digest, client_entropy, draws, outstanding, answered, seen,
               done_at is not null as "done!",
               extract(epoch from now() - accepted_at)::float8 as "age_seconds!"
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

/// Writes what a draw or the end of assignments changed.
pub(crate) async fn advance(
    db: &mut PgConnection,
    task: TaskId,
    draws: i32,
    outstanding: i16,
    done: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update task_open set draws = $2, outstanding = $3, done_at = case when $4 then now() end
        where task_id = $1
        "#,
        task as TaskId,
        draws,
        outstanding,
        done,
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
