//! Table `files`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use violet_chain::Hotkey;

use crate::domain::{FileId, OrganizationId, TaskId};

/// A file to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewFile<'a> {
    pub file_id: FileId,
    pub file_name: &'a str,
    pub media_type: &'a str,
    pub size: u64,
    pub sha256: [u8; 32],
    pub object_key: &'a str,
}

/// A stored file.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct File {
    pub file_id: FileId,
    pub organization_id: OrganizationId,
    pub task_id: TaskId,
    pub hotkey: Option<Hotkey>,
    pub file_name: String,
    pub media_type: String,
    pub size: i64,
    pub sha256: [u8; 32],
    pub object_key: String,
    pub created_at: DateTime<Utc>,
}

/// Keeps an open assignment as it is until the end of the transaction, so that the files of its answer can be counted.
/// False when there is none.
pub(crate) async fn lock_assignment(
    db: impl PgExecutor<'_>,
    task: TaskId,
    miner: Hotkey,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query!(
        "select slot from task_assignments where task_id = $1 and hotkey = $2 for update",
        task as TaskId,
        &miner.0[..],
    )
    .fetch_optional(db)
    .await?;
    Ok(found.is_some())
}

/// How many files a miner has uploaded for its answer to a task.
pub(crate) async fn count_of_answer(
    db: impl PgExecutor<'_>,
    task: TaskId,
    miner: Hotkey,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from files where task_id = $1 and hotkey = $2"#,
        task as TaskId,
        &miner.0[..],
    )
    .fetch_one(db)
    .await
}

/// Stores a file of a miner's answer; it belongs to the owner of the task.
pub(crate) async fn insert_answer(
    db: impl PgExecutor<'_>,
    task: TaskId,
    miner: Hotkey,
    new: &NewFile<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into files
            (file_id, organization_id, task_id, hotkey, file_name, media_type, size, sha256, object_key)
        select $1, organization_id, task_id, $3, $4, $5, $6, $7, $8 from tasks where task_id = $2
        "#,
        new.file_id as FileId,
        task as TaskId,
        &miner.0[..],
        new.file_name,
        new.media_type,
        i64::try_from(new.size).unwrap_or(i64::MAX),
        &new.sha256[..],
        new.object_key,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn find(db: impl PgExecutor<'_>, id: FileId) -> Result<Option<File>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select organization_id as "organization_id: OrganizationId", task_id as "task_id: TaskId", hotkey, file_name,
               media_type, size, sha256, object_key, created_at
        from files where file_id = $1
        "#,
        id as FileId,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(File {
            file_id: id,
            organization_id: row.organization_id,
            task_id: row.task_id,
            hotkey: row
                .hotkey
                .map(|hotkey| super::bytes("hotkey", hotkey).map(Hotkey))
                .transpose()?,
            file_name: row.file_name,
            media_type: row.media_type,
            size: row.size,
            sha256: super::bytes("sha256", row.sha256)?,
            object_key: row.object_key,
            created_at: row.created_at,
        })
    })
    .transpose()
}

/// The input of a task: a text or a file.
#[derive(Clone, Debug)]
pub enum Input {
    /// A text, kept with the task.
    Text(String),
    /// A file in object storage.
    File(Reference),
}

/// What whoever fetches a file needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Reference {
    pub file_id: FileId,
    pub file_name: String,
    pub media_type: String,
    pub size: i64,
    pub sha256: [u8; 32],
}

impl From<File> for Reference {
    fn from(file: File) -> Self {
        Self {
            file_id: file.file_id,
            file_name: file.file_name,
            media_type: file.media_type,
            size: file.size,
            sha256: file.sha256,
        }
    }
}

/// The columns of an input, as queries that join it have them.
pub(crate) struct InputColumns {
    pub(crate) text: Option<String>,
    pub(crate) file_id: Option<FileId>,
    pub(crate) file_name: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) size: Option<i64>,
    pub(crate) sha256: Option<Vec<u8>>,
}

impl TryFrom<InputColumns> for Input {
    type Error = sqlx::Error;

    fn try_from(columns: InputColumns) -> Result<Self, sqlx::Error> {
        let InputColumns {
            text,
            file_id,
            file_name,
            media_type,
            size,
            sha256,
        } = columns;
        if let Some(text) = text {
            return Ok(Self::Text(text));
        }
        let missing = || sqlx::Error::ColumnNotFound("a task without an input".into());
        Ok(Self::File(Reference {
            file_id: file_id.ok_or_else(missing)?,
            file_name: file_name.ok_or_else(missing)?,
            media_type: media_type.ok_or_else(missing)?,
            size: size.ok_or_else(missing)?,
            sha256: super::bytes("sha256", sha256.ok_or_else(missing)?)?,
        }))
    }
}

/// The input of a task.
pub(crate) async fn input(db: impl PgExecutor<'_>, task: TaskId) -> Result<Option<Input>, sqlx::Error> {
    let row = sqlx::query_as!(
        InputColumns,
        r#"
        select c.text as "text?", f.file_id as "file_id?: FileId", f.file_name as "file_name?",
               f.media_type as "media_type?", f.size as "size?", f.sha256 as "sha256?"
        from tasks t
        left join text_content c on c.task_id = t.task_id
        left join files f on f.file_id = t.input_file_id
        where t.task_id = $1
        "#,
        task as TaskId,
    )
    .fetch_optional(db)
    .await?;
    row.map(TryInto::try_into).transpose()
}
