//! Table `files`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use violet_chain::Hotkey;

use crate::domain::{FileId, OrganizationId, TaskId, media::FileKind};

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
    /// None: the sample of a voice.
    pub task_id: Option<TaskId>,
    pub hotkey: Option<Hotkey>,
    pub kind: FileKind,
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

/// Stores a file of a miner's answer; it belongs to the owner of the task, which is answered.
pub(crate) async fn insert_answer(
    db: impl PgExecutor<'_>,
    task: TaskId,
    miner: Hotkey,
    new: &NewFile<'_>,
) -> Result<Option<OrganizationId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        insert into files
            (file_id, organization_id, task_id, hotkey, file_name, media_type, size, sha256, object_key, kind)
        select $1, organization_id, task_id, $3, $4, $5, $6, $7, $8, $9 from tasks where task_id = $2
        returning organization_id as "organization_id: OrganizationId"
        "#,
        new.file_id as FileId,
        task as TaskId,
        &miner.0[..],
        new.file_name,
        new.media_type,
        i64::try_from(new.size).unwrap_or(i64::MAX),
        &new.sha256[..],
        new.object_key,
        FileKind::Tts as FileKind,
    )
    .fetch_optional(db)
    .await
}

/// Stores the sample of a voice.
pub(crate) async fn insert_sample(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    new: &NewFile<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into files (file_id, organization_id, file_name, media_type, size, sha256, object_key, kind)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        new.file_id as FileId,
        organization as OrganizationId,
        new.file_name,
        new.media_type,
        i64::try_from(new.size).unwrap_or(i64::MAX),
        &new.sha256[..],
        new.object_key,
        FileKind::TtsSpeaker as FileKind,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the row of a file of an organisation out, unless its task goes on or a voice has it. False when it stays.
pub(crate) async fn delete(
    db: impl PgExecutor<'_>,
    id: FileId,
    organization: OrganizationId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        delete from files f
        where file_id = $1 and organization_id = $2 and kind <> 'tts_speaker'
          and not exists (select from task_open o where o.task_id = f.task_id)
        "#,
        id as FileId,
        organization as OrganizationId,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The files of one kind of an organisation, newest first.
pub(crate) async fn page(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    kind: FileKind,
    before: Option<FileId>,
    limit: i64,
) -> Result<Vec<File>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select file_id as "file_id: FileId", organization_id as "organization_id: OrganizationId",
               task_id as "task_id: TaskId", hotkey, kind, file_name, media_type, size, sha256, object_key, created_at
        from files f
        where organization_id = $1 and kind = $2 and ($3::uuid is null or file_id < $3)
          and not exists (select from file_removals r where r.file_id = f.file_id)
        order by file_id desc limit $4
        "#,
        organization as OrganizationId,
        kind as FileKind,
        before as Option<FileId>,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Whether a neuron works with a file now: as a miner of its task, or as one of those who judge it.
pub(crate) async fn is_worked_on(
    db: impl PgExecutor<'_>,
    file: &File,
    neuron: Hotkey,
    judges: bool,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
                   select from task_assignments a
                   left join task_voices v on v.task_id = a.task_id
                   where a.hotkey = $2 and (a.task_id = $1 and ($5::bytea is null or $5 = $2) or v.file_id = $3)
               )
               or $4 and exists (
                   select from task_juries j
                   left join task_voices v on v.task_id = j.task_id
                   where j.validator = $2 and (j.task_id = $1 or v.file_id = $3)
               ) as "works!"
        "#,
        file.task_id as Option<TaskId>,
        &neuron.0[..],
        file.file_id as FileId,
        judges,
        file.hotkey.map(|hotkey| hotkey.0.to_vec()),
    )
    .fetch_one(db)
    .await
}

/// A row of `files`.
struct Row {
    file_id: FileId,
    organization_id: OrganizationId,
    task_id: Option<TaskId>,
    hotkey: Option<Vec<u8>>,
    kind: FileKind,
    file_name: String,
    media_type: String,
    size: i64,
    sha256: Vec<u8>,
    object_key: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for File {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            file_id: row.file_id,
            organization_id: row.organization_id,
            task_id: row.task_id,
            hotkey: row
                .hotkey
                .map(|hotkey| super::bytes("hotkey", hotkey).map(Hotkey))
                .transpose()?,
            kind: row.kind,
            file_name: row.file_name,
            media_type: row.media_type,
            size: row.size,
            sha256: super::bytes("sha256", row.sha256)?,
            object_key: row.object_key,
            created_at: row.created_at,
        })
    }
}

pub(crate) async fn find(db: impl PgExecutor<'_>, id: FileId) -> Result<Option<File>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select file_id as "file_id: FileId", organization_id as "organization_id: OrganizationId",
               task_id as "task_id: TaskId", hotkey, kind, file_name, media_type, size, sha256, object_key, created_at
        from files where file_id = $1
        "#,
        id as FileId,
    )
    .fetch_optional(db)
    .await?;
    row.map(TryInto::try_into).transpose()
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

impl InputColumns {
    /// The file, if there is one.
    pub(crate) fn file(self) -> Result<Option<Reference>, sqlx::Error> {
        let Self {
            file_id: Some(file_id),
            file_name: Some(file_name),
            media_type: Some(media_type),
            size: Some(size),
            sha256: Some(sha256),
            ..
        } = self
        else {
            return Ok(None);
        };
        let sha256 = super::bytes("sha256", sha256)?;
        Ok(Some(Reference {
            file_id,
            file_name,
            media_type,
            size,
            sha256,
        }))
    }
}

impl TryFrom<InputColumns> for Input {
    type Error = sqlx::Error;

    fn try_from(mut columns: InputColumns) -> Result<Self, sqlx::Error> {
        if let Some(text) = columns.text.take() {
            return Ok(Self::Text(text));
        }
        let missing = || sqlx::Error::ColumnNotFound("a task without an input".into());
        Ok(Self::File(columns.file()?.ok_or_else(missing)?))
    }
}

/// The input of a task; none when its owner has deleted the file.
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
    row.filter(|row| row.text.is_some() || row.file_id.is_some())
        .map(TryInto::try_into)
        .transpose()
}
