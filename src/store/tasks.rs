//! Table `tasks` with what is joined to it when somebody reads a task.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use violet_chain::Hotkey;

use crate::domain::{
    OrganizationId, Priority, TaskId, TaskState, TaskType,
    task::{Progress, Reason},
};

/// A task, as its owner reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Task {
    pub task_id: TaskId,
    pub organization_id: OrganizationId,
    pub task_type: TaskType,
    pub priority: Priority,
    pub source_language: String,
    pub target_language: Option<String>,
    pub requested_model: Option<String>,
    pub require_model: bool,
    pub required_miner_count: u8,
    /// In the units of its type.
    pub input_size: u64,
    pub accepted_at: DateTime<Utc>,
    pub state: TaskState,
    /// Present once the task ended.
    pub end: Option<End>,
    /// Miners drawn so far and not replaced, with how far each is.
    pub answered: u16,
    pub outstanding: u16,
    pub done_at: Option<DateTime<Utc>>,
}

/// How a task ended.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct End {
    pub reason: Option<Reason>,
    pub best: Option<Hotkey>,
    pub eligible_stake: i64,
    pub permitted_stake: i64,
    pub at: DateTime<Utc>,
}

struct Row {
    task_id: TaskId,
    organization_id: OrganizationId,
    task_type: TaskType,
    priority: Priority,
    source_language: String,
    target_language: Option<String>,
    requested_model: Option<String>,
    require_model: bool,
    required_miner_count: i16,
    input_size: i64,
    accepted_at: DateTime<Utc>,
    draws: Option<i32>,
    outstanding: Option<i16>,
    answered: i64,
    seen: Option<bool>,
    done_at: Option<DateTime<Utc>>,
    end_state: Option<TaskState>,
    end_reason: Option<Reason>,
    best: Option<Vec<u8>>,
    eligible_stake: Option<i64>,
    permitted_stake: Option<i64>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Task {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let answered = u16::try_from(row.answered).unwrap_or(u16::MAX);
        let progress = Progress {
            draws: row.draws.and_then(|draws| u32::try_from(draws).ok()).unwrap_or(0),
            outstanding: row
                .outstanding
                .and_then(|count| u16::try_from(count).ok())
                .unwrap_or(0),
            answered,
            seen: row.seen.unwrap_or(false),
            done: row.done_at.is_some(),
        };
        let end = match row.ended_at {
            None => None,
            Some(at) => Some(End {
                reason: row.end_reason,
                best: row
                    .best
                    .map(|best| super::bytes("best", best).map(Hotkey))
                    .transpose()?,
                eligible_stake: row.eligible_stake.unwrap_or(0),
                permitted_stake: row.permitted_stake.unwrap_or(0),
                at,
            }),
        };
        Ok(Self {
            task_id: row.task_id,
            organization_id: row.organization_id,
            task_type: row.task_type,
            priority: row.priority,
            source_language: row.source_language,
            target_language: row.target_language,
            requested_model: row.requested_model,
            require_model: row.require_model,
            required_miner_count: u8::try_from(row.required_miner_count).unwrap_or(0),
            input_size: u64::try_from(row.input_size).unwrap_or(0),
            accepted_at: row.accepted_at,
            state: row.end_state.unwrap_or_else(|| progress.state()),
            end,
            answered,
            outstanding: progress.outstanding,
            done_at: row.done_at,
        })
    }
}

pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    task: TaskId,
) -> Result<Option<Task>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select t.task_id as "task_id: TaskId", t.organization_id as "organization_id: OrganizationId", t.task_type,
               t.priority, t.source_language, t.target_language, t.requested_model, t.require_model,
               t.required_miner_count, t.input_size, t.accepted_at,
               o.draws as "draws?", (o.outstanding - cardinality(o.vacant))::smallint as "outstanding?", o.seen as "seen?", o.done_at as "done_at?",
               (select count(*) from miner_responses r where r.task_id = t.task_id and r.used) as "answered!",
               e.state as "end_state?: TaskState", e.reason as "end_reason?: Reason", e.best as "best?",
               e.eligible_stake as "eligible_stake?", e.permitted_stake as "permitted_stake?",
               e.ended_at as "ended_at?"
        from tasks t
        left join task_open o on o.task_id = t.task_id
        left join task_ends e on e.task_id = t.task_id
        where t.organization_id = $1 and t.task_id = $2
        "#,
        organization as OrganizationId,
        task as TaskId,
    )
    .fetch_optional(db)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// One page, newest first; `before` is the last id of the previous page.
pub(crate) async fn page(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    before: Option<TaskId>,
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select t.task_id as "task_id: TaskId", t.organization_id as "organization_id: OrganizationId", t.task_type,
               t.priority, t.source_language, t.target_language, t.requested_model, t.require_model,
               t.required_miner_count, t.input_size, t.accepted_at,
               o.draws as "draws?", (o.outstanding - cardinality(o.vacant))::smallint as "outstanding?", o.seen as "seen?", o.done_at as "done_at?",
               (select count(*) from miner_responses r where r.task_id = t.task_id and r.used) as "answered!",
               e.state as "end_state?: TaskState", e.reason as "end_reason?: Reason", e.best as "best?",
               e.eligible_stake as "eligible_stake?", e.permitted_stake as "permitted_stake?",
               e.ended_at as "ended_at?"
        from tasks t
        left join task_open o on o.task_id = t.task_id
        left join task_ends e on e.task_id = t.task_id
        where t.organization_id = $1 and ($2::uuid is null or t.task_id < $2)
        order by t.task_id desc
        limit $3
        "#,
        organization as OrganizationId,
        before as Option<TaskId>,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// One page of those in a state, newest first. What is live is few; what ended is found from its owner's newest, or from
/// the index of what is rare.
pub(crate) async fn page_in(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    state: TaskState,
    before: Option<TaskId>,
    limit: i64,
) -> Result<Vec<Task>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        with found as materialized (
            (select o.task_id
             from task_open o
             where o.organization_id = $1 and ($3::uuid is null or o.task_id < $3)
               and $2 = case when o.done_at is not null then 'done'
                             when o.answered > 0 then 'completed'
                             when o.seen then 'in_progress'
                             when o.draws > 0 then 'assigned'
                             else 'pending' end::task_state
             order by o.task_id desc
             limit $4)
            union all
            (select t.task_id
             from tasks t join task_ends e on e.task_id = t.task_id
             where t.organization_id = $1 and ($3::uuid is null or t.task_id < $3) and e.state = $2
             order by t.task_id desc
             limit $4)
        )
        select t.task_id as "task_id: TaskId", t.organization_id as "organization_id: OrganizationId", t.task_type,
               t.priority, t.source_language, t.target_language, t.requested_model, t.require_model,
               t.required_miner_count, t.input_size, t.accepted_at,
               o.draws as "draws?", (o.outstanding - cardinality(o.vacant))::smallint as "outstanding?", o.seen as "seen?", o.done_at as "done_at?",
               (select count(*) from miner_responses r where r.task_id = t.task_id and r.used) as "answered!",
               e.state as "end_state?: TaskState", e.reason as "end_reason?: Reason", e.best as "best?",
               e.eligible_stake as "eligible_stake?", e.permitted_stake as "permitted_stake?",
               e.ended_at as "ended_at?"
        from tasks t
        left join task_open o on o.task_id = t.task_id
        left join task_ends e on e.task_id = t.task_id
        where t.task_id in (select task_id from found)
        order by t.task_id desc
        limit $4
        "#,
        organization as OrganizationId,
        state as TaskState,
        before as Option<TaskId>,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The uids drawn for a task, with how each assignment stands.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Drawn {
    pub uid: i32,
    pub hotkey: Hotkey,
    pub standing: String,
}

pub(crate) async fn drawn(db: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<Drawn>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select uid as "uid!", hotkey as "hotkey!",
               case when seen_at is null then 'assigned' else 'in_progress' end as "standing!"
        from task_assignments where task_id = $1
        union all
        select uid, hotkey, 'answered' from miner_responses where task_id = $1 and used
        union all
        select uid, hotkey, outcome::text from assignment_ends where task_id = $1
        order by 1
        "#,
        task as TaskId,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Drawn {
                uid: row.uid,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                standing: row.standing,
            })
        })
        .collect()
}

/// What ties a task's draws to its request, for a receipt.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Request {
    pub netuid: i32,
    pub organization_id: OrganizationId,
    pub client_entropy: Vec<u8>,
    pub input_digest: Vec<u8>,
    pub request_digest: Vec<u8>,
}

pub(crate) async fn request(db: impl PgExecutor<'_>, task: TaskId) -> Result<Option<Request>, sqlx::Error> {
    sqlx::query_as!(
        Request,
        r#"
        select netuid, organization_id as "organization_id: OrganizationId", client_entropy, input_digest,
               request_digest
        from tasks where task_id = $1
        "#,
        task as TaskId,
    )
    .fetch_optional(db)
    .await
}
