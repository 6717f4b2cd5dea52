//! Table `voices`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::{FileId, OrganizationId, VoiceId};

/// A voice, with what is known of its sample.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Voice {
    pub voice_id: VoiceId,
    /// None: for everybody.
    pub organization_id: Option<OrganizationId>,
    pub voice_name: String,
    pub display_name: String,
    pub language: String,
    pub file_id: Option<FileId>,
    pub file_name: Option<String>,
    pub media_type: Option<String>,
    pub size: Option<i64>,
    pub object_key: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The first voices that an organisation may ask for, or the one of a name, in the order of their names.
pub(crate) async fn of(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: Option<&str>,
    limit: i64,
) -> Result<Vec<Voice>, sqlx::Error> {
    sqlx::query_as!(
        Voice,
        r#"
        select v.voice_id as "voice_id: VoiceId", v.organization_id as "organization_id: OrganizationId",
               v.voice_name, v.display_name, v.language, v.file_id as "file_id: FileId", f.file_name as "file_name?",
               f.media_type as "media_type?", f.size as "size?", f.object_key as "object_key?",
               v.created_at, v.updated_at
        from voices v
        left join files f on f.file_id = v.file_id
        where (v.organization_id = $1 or v.organization_id is null) and ($2::text is null or v.voice_name = $2)
        order by v.voice_name limit $3
        "#,
        organization as OrganizationId,
        name,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Locks the voice of an organisation that has this name.
pub(crate) async fn lock(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: &str,
) -> Result<Option<(VoiceId, Option<FileId>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select voice_id as "voice_id: VoiceId", file_id as "file_id: FileId" from voices
        where organization_id = $1 and voice_name = $2 for update
        "#,
        organization as OrganizationId,
        name,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.voice_id, row.file_id)))
}

/// How many voices an organisation has made.
pub(crate) async fn count(db: impl PgExecutor<'_>, organization: OrganizationId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from voices where organization_id = $1"#,
        organization as OrganizationId,
    )
    .fetch_one(db)
    .await
}

pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: &str,
    (display_name, language): (&str, &str),
    file: FileId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into voices (voice_id, organization_id, voice_name, display_name, language, file_id)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        VoiceId::new() as VoiceId,
        organization as OrganizationId,
        name,
        display_name,
        language,
        file as FileId,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Changes what is given.
pub(crate) async fn update(
    db: impl PgExecutor<'_>,
    voice: VoiceId,
    display_name: Option<&str>,
    language: Option<&str>,
    file: Option<FileId>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update voices
        set display_name = coalesce($2, display_name), language = coalesce($3, language),
            file_id = coalesce($4, file_id), updated_at = now()
        where voice_id = $1
        "#,
        voice as VoiceId,
        display_name,
        language,
        file as Option<FileId>,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn delete(db: impl PgExecutor<'_>, voice: VoiceId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from voices where voice_id = $1", voice as VoiceId)
        .execute(db)
        .await?;
    Ok(())
}
