//! Tables `organization_open`, `organization_days` and `organization_quotas`, with what `organization_storage` says. What is accepted is added by the statement
//! that stores it (`submissions::insert_tasks`), where constraints keep the quotas.
use chrono::NaiveDate;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::{OrganizationId, quotas::Amounts};

/// The constraints that are violated when a quota is exceeded.
pub(crate) const CONSTRAINTS: [&str; 5] = [
    "open_tasks_within_quota",
    "tasks_within_quota",
    "characters_within_quota",
    "audio_within_quota",
    "bytes_within_quota",
];

/// Where an organisation stands.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Standing {
    pub organization_id: OrganizationId,
    pub used: Amounts,
    pub limits: Amounts,
}

/// Locks what organisations use, in one order, with rows where there are none; then counts their open tasks anew. What
/// is accepted elsewhere waits until the end of the transaction.
pub(crate) async fn lock(
    db: &mut PgConnection,
    organizations: &[Uuid],
    usual: Amounts,
) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query!(
        r#"
        insert into organization_open (organization_id, open_tasks, task_limit)
        select *, 0, $2 from unnest($1::uuid[]) order by 1
        on conflict (organization_id) do update set open_tasks = organization_open.open_tasks
        "#,
        organizations,
        i64::MAX,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        r#"
        insert into organization_days (organization_id, day, tasks, characters, audio_millis, task_limit,
                                       character_limit, audio_limit)
        select o, (now() at time zone 'utc')::date, 0, 0, 0, $2, $2, $2 from unnest($1::uuid[]) o order by 1
        on conflict (organization_id, day) do update set tasks = organization_days.tasks
        "#,
        organizations,
        i64::MAX,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        r#"
        insert into organization_storage (organization_id, bytes, byte_limit)
        select *, 0, $2 from unnest($1::uuid[]) order by 1
        on conflict (organization_id) do update set bytes = organization_storage.bytes, byte_limit = $2
        "#,
        organizations,
        i64::MAX,
    )
    .execute(&mut *db)
    .await?;
    // A statement of its own: it sees what those committed who had the locks before.
    sqlx::query!(
        r#"
        update organization_open u
        set open_tasks = (select count(*) from task_open t where t.organization_id = u.organization_id),
            task_limit = $2
        where u.organization_id = any($1)
        "#,
        organizations,
        i64::MAX,
    )
    .execute(&mut *db)
    .await?;
    read(db, organizations, usual).await
}

/// Where organisations stand, as far as is counted: open tasks may be fewer.
pub(crate) async fn read(
    db: impl PgExecutor<'_>,
    organizations: &[Uuid],
    usual: Amounts,
) -> Result<Vec<Standing>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select o as "organization_id!: OrganizationId",
               coalesce(u.open_tasks, 0) as "open_tasks!", coalesce(d.tasks, 0) as "tasks!",
               coalesce(d.characters, 0) as "characters!", coalesce(d.audio_millis, 0) as "audio_millis!",
               coalesce(q.concurrent_tasks, $2) as "most_open!", coalesce(q.daily_tasks, $3) as "most_tasks!",
               coalesce(q.daily_characters, $4) as "most_characters!",
               coalesce(q.daily_audio_seconds * 1000, $5) as "most_audio!",
               coalesce(s.bytes, 0) as "bytes!", coalesce(q.stored_bytes, $6) as "most_bytes!"
        from unnest($1::uuid[]) o
        left join organization_open u on u.organization_id = o
        left join organization_days d on d.organization_id = o and d.day = (now() at time zone 'utc')::date
        left join organization_storage s on s.organization_id = o
        left join organization_quotas q on q.organization_id = o
        "#,
        organizations,
        usual.concurrent_tasks,
        usual.daily_tasks,
        usual.daily_characters,
        usual.daily_audio_millis,
        usual.stored_bytes,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Standing {
            organization_id: row.organization_id,
            used: Amounts {
                concurrent_tasks: row.open_tasks,
                daily_tasks: row.tasks,
                daily_characters: row.characters,
                daily_audio_millis: row.audio_millis,
                stored_bytes: row.bytes,
            },
            limits: Amounts {
                concurrent_tasks: row.most_open,
                daily_tasks: row.most_tasks,
                daily_characters: row.most_characters,
                daily_audio_millis: row.most_audio,
                stored_bytes: row.most_bytes,
            },
        })
        .collect())
}

/// Tasks of an organisation that have not ended.
pub(crate) async fn count_open(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from task_open where organization_id = $1"#,
        organization as OrganizationId
    )
    .fetch_one(db)
    .await
}

/// What an organisation used on a day.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Day {
    pub day: NaiveDate,
    pub tasks: i64,
    pub characters: i64,
    pub audio_millis: i64,
}

/// The last days on which an organisation used something, newest first.
pub(crate) async fn days(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    limit: u16,
) -> Result<Vec<Day>, sqlx::Error> {
    sqlx::query_as!(
        Day,
        r#"
        select day, tasks, characters, audio_millis from organization_days
        where organization_id = $1 order by day desc limit $2
        "#,
        organization as OrganizationId,
        i64::from(limit),
    )
    .fetch_all(db)
    .await
}

/// Quotas of one organisation in place of the settings; `None` is the setting.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Override {
    pub concurrent_tasks: Option<i64>,
    pub daily_tasks: Option<i64>,
    pub daily_characters: Option<i64>,
    pub daily_audio_seconds: Option<i64>,
    pub stored_bytes: Option<i64>,
}

pub(crate) async fn set(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    quotas: Override,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into organization_quotas (organization_id, concurrent_tasks, daily_tasks, daily_characters,
                                         daily_audio_seconds, stored_bytes)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (organization_id) do update
        set concurrent_tasks = excluded.concurrent_tasks, daily_tasks = excluded.daily_tasks,
            daily_characters = excluded.daily_characters, daily_audio_seconds = excluded.daily_audio_seconds,
            stored_bytes = excluded.stored_bytes
        "#,
        organization as OrganizationId,
        quotas.concurrent_tasks,
        quotas.daily_tasks,
        quotas.daily_characters,
        quotas.daily_audio_seconds,
        quotas.stored_bytes,
    )
    .execute(db)
    .await?;
    Ok(())
}
