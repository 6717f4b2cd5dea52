//! Tables `record_batches` and `routing_records`.
use sqlx::{PgConnection, PgExecutor};
use violet_chain::Hotkey;

use crate::domain::{
    BatchId, TaskId,
    records::{Record, RecordKind},
};

/// Records to be stored together, signed.
#[derive(Debug)]
pub struct Batch {
    /// Its name.
    pub id: BatchId,
    /// RFC 6962 root over the records' bytes.
    pub root: [u8; 32],
    /// The server's signature over id, root and size.
    pub signature: [u8; 64],
    /// In order.
    pub leaves: Vec<Leaf>,
}

/// One record of a batch.
#[derive(Debug)]
pub struct Leaf {
    /// What is recorded.
    pub record: Record,
    /// The task that it is about, for draws and settlements.
    pub task: Option<TaskId>,
    /// Its canonical bytes.
    pub body: Vec<u8>,
    /// BLAKE2b-256 of them, for a record that is about no task: it is named by its content.
    pub digest: Option<[u8; 32]>,
}

/// Whether what is named by its content is recorded already.
pub(crate) async fn is_recorded(db: impl PgExecutor<'_>, digest: [u8; 32]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from routing_records where digest = $1 and task_id is null) as "exists!""#,
        &digest[..],
    )
    .fetch_one(db)
    .await
}

/// Whether an insert failed because the same content is recorded already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("routing_records_by_digest")
}

/// A signed batch, a column each for its records.
pub(super) struct RecordColumns<'a> {
    pub(super) batch: BatchId,
    pub(super) root: &'a [u8],
    pub(super) size: i32,
    pub(super) server: Vec<u8>,
    pub(super) signature: &'a [u8],
    pub(super) indices: Vec<i32>,
    pub(super) kinds: Vec<RecordKind>,
    /// Of those that are named by them: what is about no task.
    pub(super) digests: Vec<Option<Vec<u8>>>,
    pub(super) tasks: Vec<Option<uuid::Uuid>>,
    pub(super) bodies: Vec<&'a [u8]>,
}

impl<'a> RecordColumns<'a> {
    /// Without a batch there are no records, and what names it is not stored.
    pub(super) fn of(signed: Option<(Hotkey, &'a Batch)>) -> Self {
        let leaves: &[Leaf] = signed.map_or(&[], |(_, batch)| &batch.leaves);
        let size = i32::try_from(leaves.len()).expect("batches have some hundred records");
        Self {
            batch: signed.map_or_else(BatchId::new, |(_, batch)| batch.id),
            root: signed.map_or(&[], |(_, batch)| &batch.root),
            size,
            server: signed.map_or_else(Vec::new, |(server, _)| server.0.to_vec()),
            signature: signed.map_or(&[], |(_, batch)| &batch.signature),
            indices: (0..size).collect(),
            kinds: leaves.iter().map(|leaf| leaf.record.kind()).collect(),
            digests: leaves.iter().map(|leaf| leaf.digest.map(Vec::from)).collect(),
            tasks: leaves.iter().map(|leaf| leaf.task.map(Into::into)).collect(),
            bodies: leaves.iter().map(|leaf| leaf.body.as_slice()).collect(),
        }
    }
}

/// Stores a signed batch.
pub(crate) async fn insert(db: &mut PgConnection, server: Hotkey, batch: &Batch) -> Result<(), sqlx::Error> {
    let log = RecordColumns::of(Some((server, batch)));
    sqlx::query!(
        r#"
        with b as (
            insert into record_batches (batch_id, root, size, server, signature) values ($1, $7, $8, $9, $10)
        )
        insert into routing_records (batch_id, leaf_index, kind, digest, task_id, body)
        select $1, * from unnest($2::int[], $3::record_kind[], $4::bytea[], $5::uuid[], $6::bytea[])
        "#,
        log.batch as BatchId,
        &log.indices,
        &log.kinds as &[RecordKind],
        &log.digests as &[Option<Vec<u8>>],
        &log.tasks as &[Option<uuid::Uuid>],
        &log.bodies as &[&[u8]],
        log.root,
        log.size,
        log.server,
        log.signature,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A record as it is stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Stored {
    pub batch_id: BatchId,
    pub leaf_index: i32,
    pub body: Vec<u8>,
}

/// The draws and the settlement of a task, oldest first.
pub(crate) async fn of_task(db: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"
        select batch_id as "batch_id: BatchId", leaf_index, body from routing_records
        where task_id = $1 order by batch_id, leaf_index
        "#,
        task as TaskId,
    )
    .fetch_all(db)
    .await
}

/// The record with this digest, of those that are named by their content.
pub(crate) async fn by_digest(
    db: impl PgExecutor<'_>,
    digest: [u8; 32],
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"
        select batch_id as "batch_id: BatchId", leaf_index, body from routing_records
        where digest = $1 and task_id is null
        "#,
        &digest[..],
    )
    .fetch_optional(db)
    .await
}

/// A batch as it is stored, with the bodies of all its records in order.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct StoredBatch {
    pub root: [u8; 32],
    pub server: [u8; 32],
    pub signature: [u8; 64],
    pub bodies: Vec<Vec<u8>>,
}

pub(crate) async fn batch(db: &mut PgConnection, id: BatchId) -> Result<StoredBatch, sqlx::Error> {
    let row = sqlx::query!(
        "select root, server, signature from record_batches where batch_id = $1",
        id as BatchId
    )
    .fetch_one(&mut *db)
    .await?;
    let bodies = sqlx::query_scalar!(
        "select body from routing_records where batch_id = $1 order by leaf_index",
        id as BatchId
    )
    .fetch_all(db)
    .await?;
    Ok(StoredBatch {
        root: super::bytes("root", row.root)?,
        server: super::bytes("server", row.server)?,
        signature: super::bytes("signature", row.signature)?,
        bodies,
    })
}
