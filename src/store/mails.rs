//! Tables `mails` and `mail_tokens`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::UserId;

/// What a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "mail_purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// A link that shows that the address is the user's.
    VerifyEmail,
    /// A link that lets choose another password.
    ResetPassword,
    /// A link that makes a member.
    Invitation,
    /// Word that the password was changed.
    PasswordChanged,
}

/// A mail that is to be sent.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Waiting {
    pub mail_id: uuid::Uuid,
    pub purpose: Purpose,
    pub recipient: String,
    pub about: Option<uuid::Uuid>,
    pub attempts: i32,
}

/// Queues a mail, unless the same one waits.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    purpose: Purpose,
    recipient: &str,
    about: Option<uuid::Uuid>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into mails (mail_id, purpose, recipient, about, created_at, next_at) values ($1, $2, $3, $4, $5, $5)
        on conflict do nothing
        "#,
        uuid::Uuid::now_v7(),
        purpose as Purpose,
        recipient,
        about,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes mails that are due. Whoever takes one has until `again` to send it; then it is due again.
pub(crate) async fn take(
    db: impl PgExecutor<'_>,
    limit: i64,
    now: DateTime<Utc>,
    again: DateTime<Utc>,
) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"
        update mails set attempts = attempts + 1, next_at = $3
        where mail_id in (
            select mail_id from mails where next_at <= $2 order by next_at limit $1 for update skip locked)
        returning mail_id, purpose as "purpose: Purpose", recipient, about, attempts
        "#,
        limit,
        now,
        again,
    )
    .fetch_all(db)
    .await
}

/// The mail is to be tried again then.
pub(crate) async fn postpone(
    db: impl PgExecutor<'_>,
    mail: uuid::Uuid,
    until: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("update mails set next_at = $2 where mail_id = $1", mail, until)
        .execute(db)
        .await?;
    Ok(())
}

/// The mail was sent, or never will be.
pub(crate) async fn delete(db: impl PgExecutor<'_>, mail: uuid::Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from mails where mail_id = $1", mail)
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn insert_token(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
    purpose: Purpose,
    user: UserId,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into mail_tokens (hash, purpose, user_id, expires_at) values ($1, $2, $3, $4)",
        &hash[..],
        purpose as Purpose,
        user as UserId,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Spends a token: whose it was, if it still counted.
pub(crate) async fn spend(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        update mail_tokens set used_at = $3
        where hash = $1 and purpose = $2 and used_at is null and expires_at > $3
        returning user_id as "user_id: UserId"
        "#,
        &hash[..],
        purpose as Purpose,
        now,
    )
    .fetch_optional(db)
    .await
}

/// No token for this purpose counts any more.
pub(crate) async fn spend_all(
    db: impl PgExecutor<'_>,
    user: UserId,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mail_tokens set used_at = $3 where user_id = $1 and purpose = $2 and used_at is null",
        user as UserId,
        purpose as Purpose,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn delete_tokens_before(
    db: impl PgExecutor<'_>,
    before: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from mail_tokens where expires_at < $1", before)
        .execute(db)
        .await?;
    Ok(())
}
