//! Storing accepted tasks: `tasks`, `text_content`, `task_open`, `task_assignments`, `idempotency_keys`.
use std::collections::BTreeMap;

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;
use violet_chain::Hotkey;

use super::records::{Batch, RecordColumns};
use crate::domain::{
    BatchId, FileId, OrganizationId, Priority, TaskId, TaskType, UserId, capability::Capability,
    quotas::Amounts, records::RecordKind,
};

/// A task to be stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewTask {
    pub task_id: TaskId,
    pub netuid: u16,
    pub organization_id: OrganizationId,
    pub user_id: UserId,
    pub task_type: TaskType,
    pub priority: Priority,
    pub source_language: String,
    pub target_language: Option<String>,
    pub requested_model: Option<String>,
    pub require_model: bool,
    pub required_miner_count: u8,
    pub input_size: u64,
    /// How long its sound is, if it has some.
    pub audio_millis: u64,
    pub input_digest: [u8; 32],
    pub request_digest: [u8; 32],
    pub client_entropy: Vec<u8>,
    pub voice_name: Option<String>,
    /// The sample of the voice, when it has one.
    pub voice_file: Option<FileId>,
    /// The input, when it is a text.
    pub text: Option<String>,
    /// The input, when it is a file.
    pub file: Option<InputFile>,
}

/// A file of a task to be stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct InputFile {
    pub file_id: FileId,
    pub file_name: String,
    pub media_type: String,
    pub size: u64,
    pub sha256: [u8; 32],
    pub object_key: String,
}

impl NewTask {
    /// What engines compare their limit with.
    pub fn input_bytes(&self) -> u64 {
        let text = self.text.as_ref().map(|text| text.len() as u64);
        text.or_else(|| self.file.as_ref().map(|file| file.size))
            .unwrap_or(0)
    }

    /// Whether it is stored with its rows alone, without a file or a sample.
    pub fn is_text_alone(&self) -> bool {
        self.file.is_none() && self.voice_file.is_none()
    }

    /// What it uses of quotas.
    pub fn amounts(&self) -> Amounts {
        let characters = if self.text.is_some() { self.input_size } else { 0 };
        let stored = self.file.as_ref().map_or(0, |file| file.size);
        Amounts::of_task(characters, self.audio_millis, stored)
    }

    /// What its miners must be able to do.
    pub fn capability(&self) -> Capability {
        Capability {
            task_type: self.task_type,
            source_language: self.source_language.clone(),
            target_language: self.target_language.clone(),
            model: self.requested_model.clone().filter(|_| self.require_model),
        }
    }
}

/// An assignment to be stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewAssignment {
    pub task_id: TaskId,
    pub hotkey: Hotkey,
    pub uid: u16,
    pub slot: u8,
    pub attempt: u8,
    pub deadline_seconds: f64,
}

/// An `Idempotency-Key` with what was asked under it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewKey {
    pub organization_id: OrganizationId,
    pub key: String,
    pub fingerprint: [u8; 32],
    pub task_id: TaskId,
}

/// Stores keys; answers the tasks whose key was new.
pub(crate) async fn insert_keys(db: &mut PgConnection, keys: &[&NewKey]) -> Result<Vec<TaskId>, sqlx::Error> {
    let organizations: Vec<Uuid> = keys.iter().map(|key| key.organization_id.into()).collect();
    let names: Vec<String> = keys.iter().map(|key| key.key.clone()).collect();
    let fingerprints: Vec<Vec<u8>> = keys.iter().map(|key| key.fingerprint.to_vec()).collect();
    let tasks: Vec<Uuid> = keys.iter().map(|key| key.task_id.into()).collect();
    sqlx::query_scalar!(
        r#"
        insert into idempotency_keys (organization_id, key, fingerprint, task_id)
        select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[])
        -- In one order, so that two writers with the same keys do not wait for each other.
        order by 1, 2
        on conflict do nothing
        returning task_id as "task_id: TaskId"
        "#,
        &organizations,
        &names,
        &fingerprints,
        &tasks,
    )
    .fetch_all(db)
    .await
}

/// The task and the fingerprint under a key.
pub(crate) async fn find_key(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    key: &str,
) -> Result<Option<(TaskId, [u8; 32])>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select task_id as "task_id: TaskId", fingerprint from idempotency_keys
        where organization_id = $1 and key = $2
        "#,
        organization as OrganizationId,
        key,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok((row.task_id, super::bytes("fingerprint", row.fingerprint)?)))
        .transpose()
}

pub(crate) async fn delete_old_keys(db: impl PgExecutor<'_>, seconds: f64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from idempotency_keys where created_at < now() - make_interval(secs => $1)",
        seconds
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Which of these tasks are stored: how an ambiguous commit is resolved.
pub(crate) async fn stored(db: impl PgExecutor<'_>, tasks: &[TaskId]) -> Result<Vec<TaskId>, sqlx::Error> {
    let ids: Vec<Uuid> = tasks.iter().map(|id| (*id).into()).collect();
    sqlx::query_scalar!(
        r#"select task_id as "task_id: TaskId" from tasks where task_id = any($1)"#,
        &ids
    )
    .fetch_all(db)
    .await
}

/// What holds for all tasks of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) netuid: u16,
    /// How long a miner may show no sign of life.
    pub(crate) silence_seconds: f64,
    /// The quotas of those who have none of their own.
    pub(crate) usual: Amounts,
}

/// Stores tasks with their texts and open rows, the assignments of their first draws, and the records of these, and adds
/// what they use: all in one statement, which is a transaction of its own unless it is part of another. `drawn` says how
/// many miners each task was drawn. A quota that would be exceeded is a violated constraint.
#[expect(
    clippy::too_many_lines,
    reason = "one statement, with a column for each field"
)]
pub(crate) async fn insert_tasks(
    db: &mut PgConnection,
    terms: Terms,
    tasks: &[&NewTask],
    drawn: &[i16],
    assignments: &[NewAssignment],
    records: Option<(Hotkey, &Batch)>,
) -> Result<(), sqlx::Error> {
    let uses = UseColumns::of(tasks);
    let mail = AssignmentColumns::of(assignments);
    let log = RecordColumns::of(records);
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.task_id.into()).collect();
    let organizations: Vec<Uuid> = tasks.iter().map(|task| task.organization_id.into()).collect();
    let users: Vec<Uuid> = tasks.iter().map(|task| task.user_id.into()).collect();
    let types: Vec<TaskType> = tasks.iter().map(|task| task.task_type).collect();
    let priorities: Vec<Priority> = tasks.iter().map(|task| task.priority).collect();
    let sources: Vec<&str> = tasks.iter().map(|task| task.source_language.as_str()).collect();
    let targets: Vec<Option<&str>> = tasks.iter().map(|task| task.target_language.as_deref()).collect();
    let models: Vec<Option<&str>> = tasks.iter().map(|task| task.requested_model.as_deref()).collect();
    let exact: Vec<bool> = tasks.iter().map(|task| task.require_model).collect();
    let required: Vec<i16> = tasks
        .iter()
        .map(|task| i16::from(task.required_miner_count))
        .collect();
    let sizes: Vec<i64> = tasks
        .iter()
        .map(|task| i64::try_from(task.input_size).unwrap_or(i64::MAX))
        .collect();
    let inputs: Vec<&[u8]> = tasks.iter().map(|task| &task.input_digest[..]).collect();
    let requests: Vec<&[u8]> = tasks.iter().map(|task| &task.request_digest[..]).collect();
    let entropies: Vec<&[u8]> = tasks.iter().map(|task| task.client_entropy.as_slice()).collect();
    let texts: Vec<Option<&str>> = tasks.iter().map(|task| task.text.as_deref()).collect();
    let voices: Vec<Option<&str>> = tasks.iter().map(|task| task.voice_name.as_deref()).collect();
    let bytes: Vec<i64> = tasks
        .iter()
        .map(|task| i64::try_from(task.input_bytes()).unwrap_or(i64::MAX))
        .collect();
    let files: Vec<Option<Uuid>> = tasks
        .iter()
        .map(|task| task.file.as_ref().map(|file| file.file_id.into()))
        .collect();
    sqlx::query!(
        r#"
        with src as materialized (
            select * from unnest(
                $1::uuid[], $3::uuid[], $4::uuid[], $5::task_type[], $6::task_priority[], $7::text[],
                $8::text[], $9::text[], $10::bool[], $11::smallint[], $12::bigint[], $13::bytea[], $14::bytea[],
                $15::bytea[], $16::text[], $17::smallint[], $18::text[], $19::bigint[], $20::uuid[])
            as s(task_id, organization_id, user_id, task_type, priority, source_language, target_language,
                 requested_model, require_model, required, input_size, input_digest, request_digest,
                 client_entropy, text, drawn, voice_name, input_bytes, input_file_id)
        ), t as (
            insert into tasks (task_id, netuid, organization_id, user_id, task_type, priority, source_language,
                               target_language, requested_model, require_model, required_miner_count, input_size,
                               input_digest, request_digest, client_entropy, voice_name, input_file_id)
            select task_id, $2, organization_id, user_id, task_type, priority, source_language,
                   target_language, requested_model, require_model, required, input_size,
                   input_digest, request_digest, client_entropy, voice_name, input_file_id from src
        ), c as (
            insert into text_content (task_id, text) select task_id, text from src where text is not null
        ), a as (
            insert into task_assignments (task_id, hotkey, netuid, uid, slot, attempt, deadline, silent_at)
            select task_id, hotkey, $2, uid, slot, 1,
                   now() + make_interval(secs => deadline), now() + make_interval(secs => $21)
            from unnest($22::uuid[], $23::bytea[], $24::int[], $25::smallint[], $26::float8[])
                as s(task_id, hotkey, uid, slot, deadline)
        ), b as (
            insert into record_batches (batch_id, root, size, server, signature)
            select $27, $28, $29, $30, $31 where $29 > 0
        ), r as (
            insert into routing_records (batch_id, leaf_index, kind, digest, task_id, body)
            select $27, * from unnest($32::int[], $33::record_kind[], $34::bytea[], $35::uuid[], $36::bytea[])
        ), w as materialized (
            select w.*, coalesce(q.concurrent_tasks, $41) as most_open, coalesce(q.daily_tasks, $42) as most_tasks,
                   coalesce(q.daily_characters, $43) as most_characters,
                   coalesce(q.daily_audio_seconds * 1000, $44) as most_audio
            from unnest($37::uuid[], $38::bigint[], $39::bigint[], $40::bigint[])
                as w(organization_id, tasks, characters, audio_millis)
            left join organization_quotas q using (organization_id)
        ), o as (
            -- In one order, and the days of an organisation after its row here, so that two writers that have the same
            -- organisations do not wait for each other.
            insert into organization_open as o (organization_id, open_tasks, task_limit)
            select organization_id, tasks, most_open from w order by 1
            on conflict (organization_id) do update
            set open_tasks = o.open_tasks + excluded.open_tasks, task_limit = excluded.task_limit
            returning organization_id
        ), d as (
            insert into organization_days as d (organization_id, day, tasks, characters, audio_millis, task_limit,
                                                character_limit, audio_limit)
            select organization_id, (now() at time zone 'utc')::date, tasks, characters, audio_millis, most_tasks,
                   most_characters, most_audio
            from o join w using (organization_id) order by 1
            on conflict (organization_id, day) do update
            set tasks = d.tasks + excluded.tasks, characters = d.characters + excluded.characters,
                audio_millis = d.audio_millis + excluded.audio_millis, task_limit = excluded.task_limit,
                character_limit = excluded.character_limit, audio_limit = excluded.audio_limit
        )
        insert into task_open (task_id, netuid, task_type, priority, source_language, target_language,
                               required_model, required, input_size, input_bytes, request_digest, client_entropy,
                               draws, outstanding, organization_id)
        select task_id, $2, task_type, priority, source_language, target_language,
               case when require_model then requested_model end, required, input_size, input_bytes, request_digest,
               client_entropy <> '', (drawn > 0)::int, drawn, organization_id from src
        "#,
        &ids,
        i32::from(terms.netuid),
        &organizations,
        &users,
        &types as &[TaskType],
        &priorities as &[Priority],
        &sources as &[&str],
        &targets as &[Option<&str>],
        &models as &[Option<&str>],
        &exact,
        &required,
        &sizes,
        &inputs as &[&[u8]],
        &requests as &[&[u8]],
        &entropies as &[&[u8]],
        &texts as &[Option<&str>],
        drawn,
        &voices as &[Option<&str>],
        &bytes,
        &files as &[Option<Uuid>],
        terms.silence_seconds,
        &mail.ids,
        &mail.hotkeys as &[&[u8]],
        &mail.uids,
        &mail.slots,
        &mail.deadlines,
        log.batch as BatchId,
        log.root,
        log.size,
        log.server,
        log.signature,
        &log.indices,
        &log.kinds as &[RecordKind],
        &log.digests as &[Option<Vec<u8>>],
        &log.tasks as &[Option<Uuid>],
        &log.bodies as &[&[u8]],
        &uses.organizations,
        &uses.tasks,
        &uses.characters,
        &uses.audio,
        terms.usual.concurrent_tasks,
        terms.usual.daily_tasks,
        terms.usual.daily_characters,
        terms.usual.daily_audio_millis,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What organisations use, a column each.
#[derive(Default)]
struct UseColumns {
    organizations: Vec<Uuid>,
    tasks: Vec<i64>,
    characters: Vec<i64>,
    audio: Vec<i64>,
}

impl UseColumns {
    fn of(tasks: &[&NewTask]) -> Self {
        let mut uses: BTreeMap<Uuid, Amounts> = BTreeMap::new();
        for task in tasks {
            let used = uses.entry(task.organization_id.into()).or_default();
            *used = used.plus(task.amounts());
        }
        let mut columns = Self::default();
        for (organization, used) in uses {
            columns.organizations.push(organization);
            columns.tasks.push(used.daily_tasks);
            columns.characters.push(used.daily_characters);
            columns.audio.push(used.daily_audio_millis);
        }
        columns
    }
}

/// Forgets the keys of tasks that were not stored after all.
pub(crate) async fn delete_keys(db: impl PgExecutor<'_>, tasks: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from idempotency_keys where task_id = any($1)", tasks)
        .execute(db)
        .await?;
    Ok(())
}

/// Stores assignments; deadlines run from this commit.
pub(crate) async fn insert_assignments(
    db: &mut PgConnection,
    netuid: u16,
    silence_seconds: f64,
    assignments: &[NewAssignment],
) -> Result<(), sqlx::Error> {
    let mail = AssignmentColumns::of(assignments);
    let attempts: Vec<i16> = assignments.iter().map(|a| i16::from(a.attempt)).collect();
    sqlx::query!(
        r#"
        insert into task_assignments (task_id, hotkey, netuid, uid, slot, attempt, deadline, silent_at)
        select task_id, hotkey, $1, uid, slot, attempt,
               now() + make_interval(secs => deadline), now() + make_interval(secs => $2)
        from unnest($3::uuid[], $4::bytea[], $5::int[], $6::smallint[], $7::smallint[], $8::float8[])
            as s(task_id, hotkey, uid, slot, attempt, deadline)
        "#,
        i32::from(netuid),
        silence_seconds,
        &mail.ids,
        &mail.hotkeys as &[&[u8]],
        &mail.uids,
        &mail.slots,
        &attempts,
        &mail.deadlines,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Assignments, a column each.
struct AssignmentColumns<'a> {
    ids: Vec<Uuid>,
    hotkeys: Vec<&'a [u8]>,
    uids: Vec<i32>,
    slots: Vec<i16>,
    deadlines: Vec<f64>,
}

impl<'a> AssignmentColumns<'a> {
    fn of(assignments: &'a [NewAssignment]) -> Self {
        Self {
            ids: assignments.iter().map(|a| a.task_id.into()).collect(),
            hotkeys: assignments.iter().map(|a| &a.hotkey.0[..]).collect(),
            uids: assignments.iter().map(|a| i32::from(a.uid)).collect(),
            slots: assignments.iter().map(|a| i16::from(a.slot)).collect(),
            deadlines: assignments.iter().map(|a| a.deadline_seconds).collect(),
        }
    }
}
