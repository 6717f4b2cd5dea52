//! Tables `organization_storage` and `organization_files`, the files of accepted tasks that are added to them, and
//! `file_removals` and `storage_sweeps`: what is to be removed.
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::submissions::{InputFile, NewTask};
use crate::domain::{FileId, OrganizationId, media::FileKind, quotas::Amounts};

/// What is added to what an organisation has stored, or taken from it.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Use {
    pub organization: Uuid,
    pub kind: FileKind,
    pub files: i64,
    pub bytes: i64,
}

/// Adds what organisations store, in one order. With a quota (of those that have none of their own) a constraint is
/// violated where that is too much; without, it is noted whatever there may be.
pub(crate) async fn add(
    db: impl PgExecutor<'_>,
    uses: &[Use],
    quota: Option<i64>,
) -> Result<(), sqlx::Error> {
    let organizations: Vec<Uuid> = uses.iter().map(|one| one.organization).collect();
    let kinds: Vec<FileKind> = uses.iter().map(|one| one.kind).collect();
    let files: Vec<i64> = uses.iter().map(|one| one.files).collect();
    let bytes: Vec<i64> = uses.iter().map(|one| one.bytes).collect();
    sqlx::query!(
        r#"
        with w as materialized (
            select * from unnest($1::uuid[], $2::file_kind[], $3::bigint[], $4::bigint[])
                as w(organization_id, kind, files, bytes)
        ), s as (
            insert into organization_storage as s (organization_id, bytes, byte_limit)
            select w.organization_id, sum(w.bytes)::bigint,
                   case when $6 then coalesce(max(q.stored_bytes), $5) else $7 end
            from w left join organization_quotas q using (organization_id)
            group by w.organization_id order by w.organization_id
            on conflict (organization_id) do update
            set bytes = s.bytes + excluded.bytes, byte_limit = excluded.byte_limit
            returning organization_id
        )
        insert into organization_files as f (organization_id, kind, files, bytes)
        select w.organization_id, w.kind, sum(w.files)::bigint, sum(w.bytes)::bigint
        from w join s using (organization_id)
        group by w.organization_id, w.kind order by w.organization_id, w.kind
        on conflict (organization_id, kind) do update
        set files = f.files + excluded.files, bytes = f.bytes + excluded.bytes
        "#,
        &organizations,
        &kinds as &[FileKind],
        &files,
        &bytes,
        quota.unwrap_or(i64::MAX),
        quota.is_some(),
        i64::MAX,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stores the files of tasks that have one.
///
/// What they use is added, where a constraint keeps the quotas.
pub(crate) async fn insert_files(
    db: &mut PgConnection,
    tasks: &[&NewTask],
    usual: Amounts,
) -> Result<(), sqlx::Error> {
    let with: Vec<(&NewTask, &InputFile)> = tasks
        .iter()
        .filter_map(|task| task.file.as_ref().map(|file| (*task, file)))
        .collect();
    if with.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = with.iter().map(|(_, file)| file.file_id.into()).collect();
    let organizations: Vec<Uuid> = with.iter().map(|(task, _)| task.organization_id.into()).collect();
    let tasks: Vec<Uuid> = with.iter().map(|(task, _)| task.task_id.into()).collect();
    let names: Vec<String> = with.iter().map(|(_, file)| file.file_name.clone()).collect();
    let types: Vec<String> = with.iter().map(|(_, file)| file.media_type.clone()).collect();
    let sizes: Vec<i64> = with
        .iter()
        .map(|(_, file)| i64::try_from(file.size).unwrap_or(i64::MAX))
        .collect();
    let digests: Vec<Vec<u8>> = with.iter().map(|(_, file)| file.sha256.to_vec()).collect();
    let keys: Vec<String> = with.iter().map(|(_, file)| file.object_key.clone()).collect();
    let kinds: Vec<FileKind> = with
        .iter()
        .map(|(task, _)| FileKind::of(task.task_type))
        .collect();
    sqlx::query!(
        r#"
        insert into files (file_id, organization_id, task_id, file_name, media_type, size, sha256, object_key, kind)
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bytea[],
                             $8::text[], $9::file_kind[])
        "#,
        &ids,
        &organizations,
        &tasks,
        &names,
        &types,
        &sizes,
        &digests,
        &keys,
        &kinds as &[FileKind],
    )
    .execute(&mut *db)
    .await?;
    let uses = organizations.iter().zip(&kinds).zip(&sizes);
    let uses: Vec<Use> = uses
        .map(|((organization, kind), size)| Use {
            organization: *organization,
            kind: *kind,
            files: 1,
            bytes: *size,
        })
        .collect();
    add(db, &uses, Some(usual.stored_bytes)).await
}

/// Notes the samples that tasks were submitted with.
pub(crate) async fn insert_voices(db: &mut PgConnection, tasks: &[&NewTask]) -> Result<(), sqlx::Error> {
    let with = |task: &&NewTask| Some((Uuid::from(task.task_id), Uuid::from(task.voice_file?)));
    let (tasks, files): (Vec<Uuid>, Vec<Uuid>) = tasks.iter().filter_map(with).unzip();
    if tasks.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into task_voices (task_id, file_id) select * from unnest($1::uuid[], $2::uuid[])",
        &tasks,
        &files,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Files and bytes of one kind.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Stored {
    pub kind: FileKind,
    pub files: i64,
    pub bytes: i64,
}

/// What an organisation has stored, or all of them together.
pub(crate) async fn stored(
    db: impl PgExecutor<'_>,
    organization: Option<OrganizationId>,
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"
        select kind, sum(files)::bigint as "files!", sum(bytes)::bigint as "bytes!" from organization_files
        where $1::uuid is null or organization_id = $1
        group by kind order by kind
        "#,
        organization as Option<OrganizationId>,
    )
    .fetch_all(db)
    .await
}

/// Puts an object on the list of those to be removed, in so many seconds.
pub(crate) async fn remove_later(
    db: impl PgExecutor<'_>,
    file: FileId,
    object_key: &str,
    seconds: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into file_removals (file_id, object_key, due_at) values ($1, $2, now() + make_interval(secs => $3))
        on conflict (file_id) do nothing
        "#,
        file as FileId,
        object_key,
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The objects that are due to be removed, but for the samples of tasks that go on. What is left of their rows goes now:
/// from here on nobody finds them, and the list alone says what is still to do.
pub(crate) async fn due(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<(FileId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with due as materialized (
            select r.file_id, r.object_key from file_removals r
            where r.due_at <= now()
              and not exists (
                  select from task_voices v join task_open o on o.task_id = v.task_id where v.file_id = r.file_id)
            order by r.due_at for update of r skip locked limit $1
        ), gone as (
            delete from files f using due where f.file_id = due.file_id
        )
        select file_id as "file_id: FileId", object_key from due
        "#,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.file_id, row.object_key))
        .collect())
}

/// Takes objects off the list.
pub(crate) async fn removed(db: impl PgExecutor<'_>, files: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from file_removals where file_id = any($1)", files)
        .execute(db)
        .await?;
    Ok(())
}

/// Takes the place of whoever looks through a storage; where the last one stopped. None while somebody else has it, or
/// had it less than `seconds` ago.
pub(crate) async fn lock_sweep(
    db: &mut PgConnection,
    storage: &str,
    seconds: f64,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query!(
        r#"
        insert into storage_sweeps (storage, after, swept_at) values ($1, '', to_timestamp(0)) on conflict do nothing
        "#,
        storage,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"
        select after from storage_sweeps
        where storage = $1 and swept_at <= now() - make_interval(secs => $2)
        for update skip locked
        "#,
        storage,
        seconds,
    )
    .fetch_optional(db)
    .await
}

/// Notes how far a storage was looked through.
pub(crate) async fn swept(db: impl PgExecutor<'_>, storage: &str, after: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update storage_sweeps set after = $2, swept_at = now() where storage = $1",
        storage,
        after,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of these that have a row, or are on the list already.
pub(crate) async fn known(db: impl PgExecutor<'_>, files: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select file_id as "file_id!" from files where file_id = any($1)
        union
        select file_id from file_removals where file_id = any($1)
        "#,
        files,
    )
    .fetch_all(db)
    .await
}
