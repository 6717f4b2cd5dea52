//! Table `miner_responses`.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use violet_chain::{CryptoType, Hotkey};

use crate::domain::{TaskId, TaskType};

/// An answer to be stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewAnswer {
    pub task_id: TaskId,
    pub hotkey: Hotkey,
    pub uid: u16,
    pub output: serde_json::Value,
    pub engine: String,
    pub model_id: String,
    pub digest: [u8; 32],
    pub crypto: CryptoType,
    /// None when it came with a key.
    pub signature: Option<[u8; 64]>,
    pub claimed_seconds: Option<f64>,
}

/// What became of an answer.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Stored {
    pub task_id: TaskId,
    pub hotkey: Hotkey,
    pub used: bool,
    pub millis: i64,
    pub task_type: Option<TaskType>,
    pub input_size: Option<i64>,
    /// Answers of the task after this commit.
    pub answered: Option<i16>,
    pub done: Option<bool>,
}

/// Stores answers: takes out their assignments, counts them, and notes which tasks are done. An answer whose
/// assignment is gone is kept and not used; one that is there already is missing from what is returned.
pub(crate) async fn insert(db: &mut PgConnection, answers: &[NewAnswer]) -> Result<Vec<Stored>, sqlx::Error> {
    let ids: Vec<Uuid> = answers.iter().map(|a| a.task_id.into()).collect();
    let hotkeys: Vec<Vec<u8>> = answers.iter().map(|a| a.hotkey.0.to_vec()).collect();
    let uids: Vec<i32> = answers.iter().map(|a| i32::from(a.uid)).collect();
    let outputs: Vec<serde_json::Value> = answers.iter().map(|a| a.output.clone()).collect();
    let engines: Vec<String> = answers.iter().map(|a| a.engine.clone()).collect();
    let models: Vec<String> = answers.iter().map(|a| a.model_id.clone()).collect();
    let digests: Vec<Vec<u8>> = answers.iter().map(|a| a.digest.to_vec()).collect();
    let cryptos: Vec<String> = answers.iter().map(|a| a.crypto.to_string()).collect();
    let signatures: Vec<Option<Vec<u8>>> = answers.iter().map(|a| a.signature.map(Vec::from)).collect();
    let claims: Vec<Option<f64>> = answers.iter().map(|a| a.claimed_seconds).collect();
    let rows = sqlx::query!(
        r#"
        with src as materialized (
            select * from unnest($1::uuid[], $2::bytea[], $3::int[], $4::jsonb[], $5::text[], $6::text[], $7::bytea[],
                                 $8::text[], $9::bytea[], $10::float8[])
            as s(task_id, hotkey, uid, output, engine, model_id, digest, crypto, signature, claimed_seconds)
        ), locked as materialized (
            -- In one order everywhere, so that nobody waits in a circle: mail by task and miner, then open rows by task.
            select a.task_id, a.hotkey
            from task_assignments a join src s on a.task_id = s.task_id and a.hotkey = s.hotkey
            where a.deadline > now()
            order by a.task_id, a.hotkey
            for update of a
        ), mail as (
            delete from task_assignments a using locked l
            where a.task_id = l.task_id and a.hotkey = l.hotkey
            returning a.task_id, a.hotkey, a.assigned_at
        ), live as materialized (
            select o.task_id, g.n
            from task_open o
            join (select task_id, count(*)::smallint as n from mail group by task_id) g on g.task_id = o.task_id
            order by o.task_id
            for update of o
        ), counted as (
            update task_open o
            set answered = o.answered + l.n, outstanding = o.outstanding - l.n, seen = true,
                done_at = case when o.outstanding - l.n <= 0 then now() end
            from live l
            where o.task_id = l.task_id
            returning o.task_id, o.task_type, o.input_size, o.answered, o.done_at
        ), stored as (
            insert into miner_responses (task_id, hotkey, uid, output, engine, model_id, digest, crypto, signature,
                                         claimed_seconds, millis, used)
            select s.task_id, s.hotkey, s.uid, s.output, s.engine, s.model_id, s.digest, s.crypto, s.signature,
                   s.claimed_seconds,
                   coalesce((extract(epoch from clock_timestamp() - m.assigned_at) * 1000)::bigint, 0),
                   -- Mail of a task that has just ended is no longer wanted.
                   c.task_id is not null
            from src s
            left join mail m on m.task_id = s.task_id and m.hotkey = s.hotkey
            left join counted c on c.task_id = m.task_id
            on conflict do nothing
            returning task_id, hotkey, used, millis
        )
        select s.task_id as "task_id: TaskId", s.hotkey, s.used, s.millis, c.task_type as "task_type?: TaskType",
               c.input_size as "input_size?", c.answered as "answered?", (c.done_at is not null) as "done?"
        from stored s left join counted c on c.task_id = s.task_id and s.used
        "#,
        &ids,
        &hotkeys,
        &uids,
        &outputs,
        &engines,
        &models,
        &digests,
        &cryptos,
        &signatures as &[Option<Vec<u8>>],
        &claims as &[Option<f64>],
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Stored {
                task_id: row.task_id,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                used: row.used,
                millis: row.millis,
                task_type: row.task_type,
                input_size: row.input_size,
                answered: row.answered,
                done: row.done,
            })
        })
        .collect()
}

/// Which of these answers are stored, with the same digest: how an ambiguous commit is resolved.
pub(crate) async fn stored(
    db: impl PgExecutor<'_>,
    answers: &[NewAnswer],
) -> Result<Vec<Stored>, sqlx::Error> {
    let ids: Vec<Uuid> = answers.iter().map(|answer| answer.task_id.into()).collect();
    let hotkeys: Vec<Vec<u8>> = answers.iter().map(|answer| answer.hotkey.0.to_vec()).collect();
    let digests: Vec<Vec<u8>> = answers.iter().map(|answer| answer.digest.to_vec()).collect();
    let rows = sqlx::query!(
        r#"
        select r.task_id as "task_id: TaskId", r.hotkey, r.used, r.millis, o.answered as "answered?",
               (o.done_at is not null) as "done?"
        from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as s(task_id, hotkey, digest)
        join miner_responses r using (task_id, hotkey, digest)
        left join task_open o using (task_id)
        "#,
        &ids,
        &hotkeys,
        &digests,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Stored {
                task_id: row.task_id,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                used: row.used,
                millis: row.millis,
                task_type: None,
                input_size: None,
                answered: row.answered,
                done: row.done,
            })
        })
        .collect()
}

/// What a miner has to do with a task.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like what it says")]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Standing {
    pub task_type: TaskType,
    pub assigned: bool,
    pub ended: bool,
    pub answered: bool,
    pub task_ended: bool,
}

pub(crate) async fn standing(
    db: impl PgExecutor<'_>,
    task: TaskId,
    hotkey: Hotkey,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"
        select task_type,
               exists (select from task_assignments a where a.task_id = $1 and a.hotkey = $2) as "assigned!",
               exists (select from assignment_ends e where e.task_id = $1 and e.hotkey = $2) as "ended!",
               exists (select from miner_responses r where r.task_id = $1 and r.hotkey = $2) as "answered!",
               exists (select from task_ends e where e.task_id = $1) as "task_ended!"
        from tasks where task_id = $1
        "#,
        task as TaskId,
        &hotkey.0[..],
    )
    .fetch_optional(db)
    .await
}

/// A stored answer.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Answer {
    pub hotkey: Hotkey,
    pub uid: i32,
    pub output: serde_json::Value,
    pub engine: String,
    pub model_id: String,
    pub digest: [u8; 32],
    pub crypto: CryptoType,
    /// None when it came with a key.
    pub signature: Option<[u8; 64]>,
    pub millis: i64,
    pub received_at: DateTime<Utc>,
    /// Once the task is settled.
    pub consensus: Option<i32>,
}

/// The answers of a task that count, in the order of arrival.
pub(crate) async fn of_task(db: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<Answer>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select r.hotkey, r.uid, r.output, r.engine, r.model_id, r.digest, r.crypto, r.signature, r.millis,
               r.received_at, c.consensus as "consensus?"
        from miner_responses r left join miner_consensus c on c.task_id = r.task_id and c.hotkey = r.hotkey
        where r.task_id = $1 and r.used
        order by r.received_at, r.millis, r.hotkey
        "#,
        task as TaskId,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Answer {
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                uid: row.uid,
                output: row.output,
                engine: row.engine,
                model_id: row.model_id,
                digest: super::bytes("digest", row.digest)?,
                crypto: super::decode("crypto", &row.crypto)?,
                signature: super::some_bytes("signature", row.signature)?,
                millis: row.millis,
                received_at: row.received_at,
                consensus: row.consensus,
            })
        })
        .collect()
}
