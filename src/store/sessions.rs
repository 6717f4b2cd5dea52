//! Tables `sessions`, `refresh_tokens` and `server_secrets`.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::domain::{OrganizationId, SessionId, UserId};

/// A session to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewSession<'a> {
    pub id: SessionId,
    pub user: UserId,
    pub organization: OrganizationId,
    pub at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: &'a str,
    pub user_agent: &'a str,
}

pub(crate) async fn insert(db: impl PgExecutor<'_>, new: &NewSession<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into sessions
            (session_id, user_id, organization_id, created_at, last_used_at, expires_at, address, user_agent)
        values ($1, $2, $3, $4, $4, $5, $6, $7)
        "#,
        new.id as SessionId,
        new.user as UserId,
        new.organization as OrganizationId,
        new.at,
        new.expires_at,
        new.address,
        new.user_agent,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends the sessions of a user that were not used for longest, so that `keep` are left.
pub(crate) async fn end_surplus(
    db: impl PgExecutor<'_>,
    user: UserId,
    keep: u16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update sessions set ended_at = $3 where session_id in (
            select session_id from sessions
            where user_id = $1 and ended_at is null and expires_at > $3
            order by last_used_at desc, session_id desc offset $2)
        "#,
        user as UserId,
        i64::from(keep),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn insert_token(
    db: impl PgExecutor<'_>,
    session: SessionId,
    hash: [u8; 32],
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into refresh_tokens (hash, session_id, created_at) values ($1, $2, $3)",
        &hash[..],
        session as SessionId,
        at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A refresh token that somebody sent, with its session.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Presented {
    pub session_id: SessionId,
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub expires_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub used_at: Option<DateTime<Utc>>,
    pub successor: Option<Vec<u8>>,
}

/// Finds a refresh token and locks its session: two that come at once are looked at one after the other.
pub(crate) async fn lock_presented(
    db: &mut PgConnection,
    hash: [u8; 32],
) -> Result<Option<Presented>, sqlx::Error> {
    // The lock first, so that the token is read as whoever held it before left it.
    sqlx::query!(
        r#"
        select session_id from sessions
        where session_id = (select session_id from refresh_tokens where hash = $1) for update
        "#,
        &hash[..],
    )
    .fetch_optional(&mut *db)
    .await?;
    sqlx::query_as!(
        Presented,
        r#"
        select s.session_id as "session_id: SessionId", s.user_id as "user_id: UserId",
               s.organization_id as "organization_id: OrganizationId", s.expires_at, s.ended_at,
               t.used_at, t.successor
        from refresh_tokens t join sessions s using (session_id) where t.hash = $1
        "#,
        &hash[..],
    )
    .fetch_optional(db)
    .await
}

/// Whether this token was not exchanged yet.
pub(crate) async fn is_unused(db: impl PgExecutor<'_>, hash: &[u8]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from refresh_tokens where hash = $1 and used_at is null) as "unused!""#,
        hash,
    )
    .fetch_one(db)
    .await
}

/// The token was exchanged for its successor; one that was already keeps the time of the first exchange.
pub(crate) async fn exchange(
    db: impl PgExecutor<'_>,
    hash: &[u8],
    successor: [u8; 32],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update refresh_tokens set used_at = coalesce(used_at, $3), successor = $2 where hash = $1",
        hash,
        &successor[..],
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The session was used, for this organisation.
pub(crate) async fn extend(
    db: impl PgExecutor<'_>,
    session: SessionId,
    organization: OrganizationId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update sessions set organization_id = $2, last_used_at = $3, expires_at = $4
        where session_id = $1 and ended_at is null
        "#,
        session as SessionId,
        organization as OrganizationId,
        now,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// From now on the session acts for this organisation.
pub(crate) async fn switch(
    db: impl PgExecutor<'_>,
    session: SessionId,
    organization: OrganizationId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update sessions set organization_id = $2 where session_id = $1 and ended_at is null",
        session as SessionId,
        organization as OrganizationId,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends one session of a user; tells whether there was one to end.
pub(crate) async fn end(
    db: impl PgExecutor<'_>,
    user: UserId,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        update sessions set ended_at = $3
        where session_id = $1 and user_id = $2 and ended_at is null and expires_at > $3
        "#,
        session as SessionId,
        user as UserId,
        now,
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all sessions of a user but `kept`.
pub(crate) async fn end_all(
    db: impl PgExecutor<'_>,
    user: UserId,
    kept: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query!(
        r#"
        update sessions set ended_at = $3
        where user_id = $1 and session_id is distinct from $2 and ended_at is null and expires_at > $3
        "#,
        user as UserId,
        kept as Option<SessionId>,
        now,
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected())
}

/// A session as its user sees it.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Session {
    pub session_id: SessionId,
    pub organization_id: OrganizationId,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: String,
    pub user_agent: String,
}

/// The sessions of a user that go on, the last used first.
pub(crate) async fn list(
    db: impl PgExecutor<'_>,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<Session>, sqlx::Error> {
    sqlx::query_as!(
        Session,
        r#"
        select session_id as "session_id: SessionId", organization_id as "organization_id: OrganizationId",
               created_at, last_used_at, expires_at, address, user_agent
        from sessions where user_id = $1 and ended_at is null and expires_at > $2
        order by last_used_at desc, session_id desc
        "#,
        user as UserId,
        now,
    )
    .fetch_all(db)
    .await
}

/// Forgets sessions that ended or expired before this, with their tokens; but for the last one of an identity, whose end
/// older tokens are refused by.
pub(crate) async fn delete_before(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from sessions s
        where (s.expires_at < $1 or s.ended_at < $1)
          and not exists (select from user_identities i where i.session_id = s.session_id)
        "#,
        before
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The secret of this name; `fresh` becomes it when there is none.
pub(crate) async fn secret(db: &mut PgConnection, name: &str, fresh: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query!(
        "insert into server_secrets (name, value) values ($1, $2) on conflict do nothing",
        name,
        fresh,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!("select value from server_secrets where name = $1", name)
        .fetch_one(db)
        .await
}
