//! Tables `task_juries` and `evaluations`.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, types::Json};
use uuid::Uuid;
use violet_chain::{CryptoType, Hotkey};

use super::files::{Input, InputColumns};
use crate::domain::{FileId, TaskId, TaskType};

/// One answer's score by one validator, as it is stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Score {
    /// The miner whose answer it is.
    pub hotkey: Hotkey,
    /// 0..=65535, or an abstention.
    pub score: Option<u16>,
    /// What the score is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What a score is made of, each 0..=65535.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named like what they say")]
pub struct Parts {
    #[serde(default)]
    pub accuracy: Option<u16>,
    #[serde(default)]
    pub speed: Option<u16>,
    #[serde(default)]
    pub quality: Option<u16>,
}

/// The tasks after `after` that are done and whose validators are not frozen yet.
pub(crate) async fn unjudged(
    db: impl PgExecutor<'_>,
    netuid: u16,
    after: TaskId,
    limit: i64,
) -> Result<Vec<TaskId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select task_id as "task_id: TaskId" from task_open
        where netuid = $1 and done_at is not null and not judged_by and task_id > $2
        order by task_id limit $3
        "#,
        i32::from(netuid),
        after as TaskId,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Locks those of these tasks that are still done and without a jury, but for what others have locked.
pub(crate) async fn lock_unjudged(
    db: &mut PgConnection,
    tasks: &[TaskId],
) -> Result<Vec<TaskId>, sqlx::Error> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| (*id).into()).collect();
    sqlx::query_scalar!(
        r#"
        select task_id as "task_id: TaskId" from task_open
        where task_id = any($1) and done_at is not null and not judged_by
        order by task_id for update skip locked
        "#,
        &ids,
    )
    .fetch_all(db)
    .await
}

/// Freezes the validators that may judge these tasks, and what their stake is a part of.
pub(crate) async fn freeze(
    db: &mut PgConnection,
    tasks: &[TaskId],
    validators: &[(Hotkey, i64)],
    permitted_stake: i64,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| (*id).into()).collect();
    let (hotkeys, stakes): (Vec<Vec<u8>>, Vec<i64>) = validators
        .iter()
        .map(|(hotkey, stake)| (hotkey.0.to_vec(), *stake))
        .unzip();
    sqlx::query!(
        r#"
        insert into task_juries (task_id, validator, stake)
        select t.task_id, v.hotkey, v.stake
        from unnest($1::uuid[]) as t(task_id)
        cross join unnest($2::bytea[], $3::bigint[]) as v(hotkey, stake)
        "#,
        &ids,
        &hotkeys,
        &stakes,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update task_open set judged_by = true, permitted_stake = $2 where task_id = any($1)",
        &ids,
        permitted_stake,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A finished task, as a validator reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Finished {
    pub task_id: TaskId,
    pub task_type: TaskType,
    pub source_language: String,
    pub target_language: Option<String>,
    pub requested_model: Option<String>,
    pub input_size: i64,
    pub input: Input,
    pub done_at: DateTime<Utc>,
}

/// The tasks that a validator may judge and has not judged, oldest first.
pub(crate) async fn waiting_for(
    db: impl PgExecutor<'_>,
    validator: Hotkey,
    limit: i64,
) -> Result<Vec<Finished>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", t.task_type, t.source_language, t.target_language, t.requested_model,
               t.input_size, o.done_at as "done_at!",
               c.text as "text?", f.file_id as "file_id?: FileId", f.file_name as "file_name?",
               f.media_type as "media_type?", f.size as "size?", f.sha256 as "sha256?"
        from task_juries j
        join task_open o on o.task_id = j.task_id
        join tasks t on t.task_id = j.task_id
        left join text_content c on c.task_id = j.task_id
        left join files f on f.file_id = t.input_file_id
        where j.validator = $1 and not j.evaluated
        order by j.task_id
        limit $2
        "#,
        &validator.0[..],
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Finished {
                task_id: row.task_id,
                task_type: row.task_type,
                source_language: row.source_language,
                target_language: row.target_language,
                requested_model: row.requested_model,
                input_size: row.input_size,
                done_at: row.done_at,
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

/// An evaluation to be stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewEvaluation {
    pub task_id: TaskId,
    pub validator: Hotkey,
    pub scores: Vec<Score>,
    pub crypto: CryptoType,
    /// None when it came with a key.
    pub signature: Option<[u8; 64]>,
}

/// What became of an evaluation: whether it took the place of an earlier one.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like what they say")]
pub struct Stored {
    pub task_id: TaskId,
    pub validator: Hotkey,
    pub replaced: bool,
}

/// Stores evaluations of validators that are on the task's list while it is not settled; others are missing from what
/// is returned.
pub(crate) async fn insert(
    db: &mut PgConnection,
    evaluations: &[NewEvaluation],
) -> Result<Vec<Stored>, sqlx::Error> {
    let ids: Vec<Uuid> = evaluations.iter().map(|e| e.task_id.into()).collect();
    let validators: Vec<Vec<u8>> = evaluations.iter().map(|e| e.validator.0.to_vec()).collect();
    let scores: Vec<Json<&[Score]>> = evaluations.iter().map(|e| Json(&e.scores[..])).collect();
    let cryptos: Vec<String> = evaluations.iter().map(|e| e.crypto.to_string()).collect();
    let signatures: Vec<Option<Vec<u8>>> = evaluations.iter().map(|e| e.signature.map(Vec::from)).collect();
    let rows = sqlx::query!(
        r#"
        with src as materialized (
            select * from unnest($1::uuid[], $2::bytea[], $3::jsonb[], $4::text[], $5::bytea[])
            as s(task_id, validator, scores, crypto, signature)
        ), before as (
            select j.task_id, j.validator, j.evaluated from task_juries j join src s
            on j.task_id = s.task_id and j.validator = s.validator
            order by 1, 2 for update of j
        ), marked as (
            update task_juries j set evaluated = true from before b
            where j.task_id = b.task_id and j.validator = b.validator and not b.evaluated
        ), stored as (
            insert into evaluations (task_id, validator, scores, crypto, signature)
            select s.task_id, s.validator, s.scores, s.crypto, s.signature
            from src s join before b on b.task_id = s.task_id and b.validator = s.validator
            on conflict (task_id, validator) do update
            set scores = excluded.scores, crypto = excluded.crypto, signature = excluded.signature,
                received_at = now()
            returning task_id, validator
        )
        select b.task_id as "task_id: TaskId", b.validator, b.evaluated
        from stored s join before b on b.task_id = s.task_id and b.validator = s.validator
        "#,
        &ids,
        &validators,
        &scores as &[Json<&[Score]>],
        &cryptos,
        &signatures as &[Option<Vec<u8>>],
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Stored {
                task_id: row.task_id,
                validator: Hotkey(super::bytes("validator", row.validator)?),
                replaced: row.evaluated,
            })
        })
        .collect()
}

/// Whether a validator is on the list of a task that is not settled.
pub(crate) async fn may_judge(
    db: impl PgExecutor<'_>,
    task: TaskId,
    validator: Hotkey,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from task_juries where task_id = $1 and validator = $2) as "exists!""#,
        task as TaskId,
        &validator.0[..],
    )
    .fetch_one(db)
    .await
}

/// A stored evaluation, with the stake behind it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Evaluation {
    pub validator: Hotkey,
    pub stake: i64,
    pub scores: Vec<Score>,
    pub crypto: CryptoType,
    /// None when it came with a key.
    pub signature: Option<[u8; 64]>,
}

/// The evaluations of a task that is being settled, in the order of the validators' hotkeys.
pub(crate) async fn of_task(db: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<Evaluation>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select e.validator, j.stake, e.scores as "scores: Json<Vec<Score>>", e.crypto, e.signature
        from evaluations e join task_juries j on j.task_id = e.task_id and j.validator = e.validator
        where e.task_id = $1
        order by e.validator
        "#,
        task as TaskId,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Evaluation {
                validator: Hotkey(super::bytes("validator", row.validator)?),
                stake: row.stake,
                scores: row.scores.0,
                crypto: super::decode("crypto", &row.crypto)?,
                signature: super::some_bytes("signature", row.signature)?,
            })
        })
        .collect()
}

/// Nobody needs to judge this task any more.
pub(crate) async fn discharge(db: &mut PgConnection, task: TaskId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from task_juries where task_id = $1", task as TaskId)
        .execute(db)
        .await?;
    Ok(())
}
