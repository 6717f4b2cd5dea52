//! Table `login_attempts`.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// The failures that count against somebody or something.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Attempts {
    pub subject: String,
    pub failures: i32,
    pub last_at: DateTime<Utc>,
    pub next_at: DateTime<Utc>,
}

/// Locks the rows of these subjects, in order; makes those that are missing.
pub(crate) async fn lock(
    db: &mut PgConnection,
    subjects: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<Attempts>, sqlx::Error> {
    sqlx::query!(
        r#"
        insert into login_attempts (subject, failures, last_at, next_at)
        select subject, 0, $2, $2 from unnest($1::text[]) as subject order by subject
        on conflict do nothing
        "#,
        subjects,
        now,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_as!(
        Attempts,
        r#"
        select subject, failures, last_at, next_at from login_attempts
        where subject = any($1) order by subject for update
        "#,
        subjects,
    )
    .fetch_all(db)
    .await
}

pub(crate) async fn set(db: impl PgExecutor<'_>, attempts: &Attempts) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update login_attempts set failures = $2, last_at = $3, next_at = $4 where subject = $1",
        attempts.subject,
        attempts.failures,
        attempts.last_at,
        attempts.next_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn forget(db: impl PgExecutor<'_>, subject: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from login_attempts where subject = $1", subject)
        .execute(db)
        .await?;
    Ok(())
}

/// Takes one failure back.
pub(crate) async fn take_back(
    db: impl PgExecutor<'_>,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update login_attempts set failures = greatest(failures - 1, 0), next_at = least(next_at, $2)
        where subject = $1
        "#,
        subject,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn delete_before(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from login_attempts where last_at < $1 and next_at < $1",
        before
    )
    .execute(db)
    .await?;
    Ok(())
}
