//! Tables `task_assignments` and `assignment_ends`: mail addressed to miners, and how it ended unanswered.
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use violet_chain::Hotkey;

use super::files::{Input, InputColumns, Reference};
use crate::domain::{FileId, Priority, TaskId, TaskType};

/// How an assignment ended that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "assignment_outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Its deadline passed.
    Expired,
    /// The miner showed no sign of life.
    Silent,
    /// The miner said that it cannot.
    Refused,
    /// The task ended first.
    Withdrawn,
    /// The hotkey is no longer at its uid: it left the subnet, or was swapped for another.
    Deregistered,
}

/// An assignment, as its miner reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Mail {
    pub task_id: TaskId,
    pub task_type: TaskType,
    pub priority: Priority,
    pub source_language: String,
    pub target_language: Option<String>,
    pub requested_model: Option<String>,
    pub require_model: bool,
    pub voice_name: Option<String>,
    /// The sample of the voice.
    pub voice_file: Option<Reference>,
    pub input: Input,
    pub assigned_at: DateTime<Utc>,
    pub deadline: DateTime<Utc>,
}

/// The open assignments of a miner but for those in `without`, most urgent first.
pub(crate) async fn mail(
    db: &mut PgConnection,
    netuid: u16,
    miner: (u16, Hotkey),
    without: &[TaskId],
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    let without: Vec<Uuid> = without.iter().map(|id| (*id).into()).collect();
    // Most who ask have none: planning what is read below takes longer than this.
    let has_some = sqlx::query_scalar!(
        r#"
        select exists (
            select from task_assignments
            where netuid = $1 and uid = $2 and hotkey = $3 and deadline > now() and task_id <> all($4)
        ) as "has_some!"
        "#,
        i32::from(netuid),
        i32::from(miner.0),
        &miner.1.0[..],
        &without,
    )
    .fetch_one(&mut *db)
    .await?;
    if !has_some {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"
        select a.task_id as "task_id: TaskId", t.task_type, t.priority, t.source_language, t.target_language,
               t.requested_model, t.require_model, t.voice_name, a.assigned_at, a.deadline,
               c.text as "text?", f.file_id as "file_id?: FileId", f.file_name as "file_name?",
               f.media_type as "media_type?", f.size as "size?", f.sha256 as "sha256?",
               s.file_id as "sample_id?: FileId", s.file_name as "sample_name?", s.media_type as "sample_type?",
               s.size as "sample_size?", s.sha256 as "sample_sha256?"
        from task_assignments a
        join tasks t on t.task_id = a.task_id
        left join text_content c on c.task_id = a.task_id
        left join files f on f.file_id = t.input_file_id
        left join task_voices v on v.task_id = a.task_id
        left join files s on s.file_id = v.file_id
        where a.netuid = $2 and a.uid = $5 and a.hotkey = $1 and a.deadline > now() and a.task_id <> all($4)
        order by a.assigned_at - (array_position(enum_range(null::task_priority), t.priority) * interval '60 s'),
                 a.task_id
        limit $3
        "#,
        &miner.1.0[..],
        i32::from(netuid),
        limit,
        &without,
        i32::from(miner.0),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Mail {
                task_id: row.task_id,
                task_type: row.task_type,
                priority: row.priority,
                source_language: row.source_language,
                target_language: row.target_language,
                requested_model: row.requested_model,
                require_model: row.require_model,
                voice_name: row.voice_name,
                voice_file: InputColumns {
                    text: None,
                    file_id: row.sample_id,
                    file_name: row.sample_name,
                    media_type: row.sample_type,
                    size: row.sample_size,
                    sha256: row.sample_sha256,
                }
                .file()?,
                assigned_at: row.assigned_at,
                deadline: row.deadline,
                input: InputColumns {
                    text: row.text,
                    file_id: row.file_id,
                    file_name: row.file_name,
                    media_type: row.media_type,
                    size: row.size,
                    sha256: row.sha256,
                }
                .try_into()?,
            })
        })
        .collect()
}

/// Notes that miners were handed their mail.
pub(crate) async fn seen(
    db: &mut PgConnection,
    mail: &[(TaskId, Hotkey)],
) -> Result<Vec<TaskId>, sqlx::Error> {
    let ids: Vec<Uuid> = mail.iter().map(|(task, _)| (*task).into()).collect();
    let hotkeys: Vec<Vec<u8>> = mail.iter().map(|(_, hotkey)| hotkey.0.to_vec()).collect();
    sqlx::query!(
        r#"
        with locked as (
            select a.task_id, a.hotkey
            from task_assignments a
            join unnest($1::uuid[], $2::bytea[]) as s(task_id, hotkey) using (task_id, hotkey)
            where a.seen_at is null
            order by a.task_id, a.hotkey
            for update of a
        )
        update task_assignments a set seen_at = now() from locked l
        where a.task_id = l.task_id and a.hotkey = l.hotkey
        "#,
        &ids,
        &hotkeys,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"
        with locked as (
            select task_id from task_open where task_id = any($1) and not seen order by task_id for update
        )
        update task_open o set seen = true from locked l where o.task_id = l.task_id
        returning o.task_id as "task_id: TaskId"
        "#,
        &ids,
    )
    .fetch_all(db)
    .await
}

/// An assignment that was taken out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Ended {
    pub task_id: TaskId,
    pub hotkey: Hotkey,
    pub uid: i32,
    pub slot: i16,
    pub attempt: i16,
    pub outcome: Outcome,
}

/// Takes out assignments whose miner is no longer at its uid in the last snapshot of any server, whose deadline has
/// passed, or whose miner showed no sign of life: none since it was assigned, or none for `life_seconds`; whether that
/// is looked at says `silent`.
pub(crate) async fn take_overdue(
    db: &mut PgConnection,
    netuid: u16,
    silent: bool,
    life_seconds: f64,
    limit: i64,
) -> Result<Vec<Ended>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        delete from task_assignments a
        using (
            select o.task_id, o.hotkey,
                   case when n.uid is null and h.netuid is not null then 'deregistered'::assignment_outcome
                        when o.deadline <= now() then 'expired' else 'silent' end as outcome
            from task_assignments o
            left join miner_status m on m.netuid = o.netuid and m.hotkey = o.hotkey
            left join neurons n on n.netuid = o.netuid and n.uid = o.uid and n.hotkey = o.hotkey
            -- Before the first snapshot nobody is known, and nobody is gone.
            left join neuron_heads h on h.netuid = o.netuid
            where o.netuid = $1
              and ((n.uid is null and h.netuid is not null)
                   or o.deadline <= now()
                   or ($2 and o.silent_at <= now()
                       and coalesce(greatest(o.seen_at, m.last_seen), '-infinity')
                           <= greatest(o.assigned_at, now() - make_interval(secs => $3))))
            order by o.task_id, o.hotkey
            limit $4
            for update of o skip locked
        ) overdue
        where a.task_id = overdue.task_id and a.hotkey = overdue.hotkey
        returning a.task_id as "task_id: TaskId", a.hotkey, a.uid, a.slot, a.attempt,
                  overdue.outcome as "outcome!: Outcome"
        "#,
        i32::from(netuid),
        silent,
        life_seconds,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Ended {
                task_id: row.task_id,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                uid: row.uid,
                slot: row.slot,
                attempt: row.attempt,
                outcome: row.outcome,
            })
        })
        .collect()
}

/// Takes out one assignment that its miner refuses.
pub(crate) async fn take_refused(
    db: &mut PgConnection,
    task: TaskId,
    hotkey: Hotkey,
) -> Result<Option<Ended>, sqlx::Error> {
    let row = sqlx::query!(
        "delete from task_assignments where task_id = $1 and hotkey = $2 returning uid, slot, attempt",
        task as TaskId,
        &hotkey.0[..],
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Ended {
        task_id: task,
        hotkey,
        uid: row.uid,
        slot: row.slot,
        attempt: row.attempt,
        outcome: Outcome::Refused,
    }))
}

/// Takes out all assignments of a task that its owner withdrew, but for what is locked: whoever has it (an answer, for
/// instance) finds the open row gone.
pub(crate) async fn take_withdrawn(db: &mut PgConnection, task: TaskId) -> Result<Vec<Ended>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with locked as (
            select task_id, hotkey from task_assignments where task_id = $1 order by hotkey for update skip locked
        )
        delete from task_assignments a using locked l
        where a.task_id = l.task_id and a.hotkey = l.hotkey
        returning a.hotkey, a.uid, a.slot, a.attempt
        "#,
        task as TaskId,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Ended {
                task_id: task,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                uid: row.uid,
                slot: row.slot,
                attempt: row.attempt,
                outcome: Outcome::Withdrawn,
            })
        })
        .collect()
}

/// Vacant slots of a task, each with the number of its next attempt.
pub(crate) async fn attempts(
    db: &mut PgConnection,
    task: TaskId,
    vacant: &[i16],
) -> Result<Vec<(u8, u8)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select v.slot as "slot!", 1 + count(e.hotkey) as "attempt!"
        from unnest($2::smallint[]) as v(slot)
        left join assignment_ends e on e.task_id = $1 and e.slot = v.slot
        group by v.slot
        order by v.slot
        "#,
        task as TaskId,
        vacant,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                u8::try_from(row.slot).unwrap_or(0),
                u8::try_from(row.attempt).unwrap_or(u8::MAX),
            )
        })
        .collect())
}

/// Records how assignments ended.
pub(crate) async fn insert_ends(
    db: &mut PgConnection,
    ended: &[Ended],
    detail: Option<&str>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ended.iter().map(|end| end.task_id.into()).collect();
    let hotkeys: Vec<Vec<u8>> = ended.iter().map(|end| end.hotkey.0.to_vec()).collect();
    let uids: Vec<i32> = ended.iter().map(|end| end.uid).collect();
    let slots: Vec<i16> = ended.iter().map(|end| end.slot).collect();
    let outcomes: Vec<Outcome> = ended.iter().map(|end| end.outcome).collect();
    sqlx::query!(
        r#"
        insert into assignment_ends (task_id, hotkey, uid, slot, outcome, detail)
        select *, $6 from unnest($1::uuid[], $2::bytea[], $3::int[], $4::smallint[], $5::assignment_outcome[])
        "#,
        &ids,
        &hotkeys,
        &uids,
        &slots,
        &outcomes as &[Outcome],
        detail,
    )
    .execute(db)
    .await?;
    Ok(())
}
