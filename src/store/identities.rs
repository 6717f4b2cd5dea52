//! Table `user_identities`: which subject of another issuer is which user.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::domain::{IdentityId, OrganizationId, SessionId, UserId};

/// An identity with its user and its session.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Found {
    pub identity_id: IdentityId,
    pub user_id: UserId,
    pub is_active: bool,
    pub newest_token: Option<DateTime<Utc>>,
    pub refused_until: Option<DateTime<Utc>>,
    pub session_id: Option<SessionId>,
    pub ended_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    /// For which the session acts, if its user is a member.
    pub acts_for: Option<OrganizationId>,
    /// The user's own.
    pub own: OrganizationId,
}

/// Whom an issuer's subject is.
pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    issuer: &str,
    subject: &str,
) -> Result<Option<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        r#"
        select i.identity_id as "identity_id: IdentityId", i.user_id as "user_id: UserId", u.is_active, i.newest_token,
               i.refused_until, s.session_id as "session_id?: SessionId", s.ended_at, s.expires_at as "expires_at?",
               m.organization_id as "acts_for?: OrganizationId", u.organization_id as "own: OrganizationId"
        from user_identities i
        join users u using (user_id)
        left join sessions s on s.session_id = i.session_id
        left join memberships m on m.organization_id = s.organization_id and m.user_id = i.user_id
        where i.issuer = $1 and i.subject = $2
        "#,
        issuer,
        subject,
    )
    .fetch_optional(db)
    .await
}

/// The same, once nobody else changes it.
pub(crate) async fn lock(
    db: &mut PgConnection,
    issuer: &str,
    subject: &str,
) -> Result<Option<Found>, sqlx::Error> {
    // The lock first, so that it is read as whoever held it before left it.
    sqlx::query!(
        "select identity_id from user_identities where issuer = $1 and subject = $2 for update",
        issuer,
        subject,
    )
    .fetch_optional(&mut *db)
    .await?;
    find(db, issuer, subject).await
}

/// An identity to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewIdentity<'a> {
    pub id: IdentityId,
    pub user: UserId,
    pub issuer: &'a str,
    pub subject: &'a str,
    pub email: Option<&'a str>,
    pub at: DateTime<Utc>,
}

/// Stores it; tells whether the subject was nobody's.
pub(crate) async fn insert(db: impl PgExecutor<'_>, new: &NewIdentity<'_>) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        r#"
        insert into user_identities (identity_id, user_id, issuer, subject, email, created_at)
        values ($1, $2, $3, $4, $5, $6) on conflict on constraint identity_is_unique do nothing
        "#,
        new.id as IdentityId,
        new.user as UserId,
        new.issuer,
        new.subject,
        new.email,
        new.at,
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// From now on its tokens act in this session, those that were issued after `refused_until`.
pub(crate) async fn set_session(
    db: impl PgExecutor<'_>,
    identity: IdentityId,
    session: SessionId,
    refused_until: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update user_identities set session_id = $2, refused_until = $3 where identity_id = $1",
        identity as IdentityId,
        session as SessionId,
        refused_until,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A token that was issued then was shown.
pub(crate) async fn saw_token(
    db: impl PgExecutor<'_>,
    identity: IdentityId,
    issued_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update user_identities set newest_token = greatest(newest_token, $2) where identity_id = $1",
        identity as IdentityId,
        issued_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An identity as its user sees it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Identity {
    pub identity_id: IdentityId,
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    pub created_at: DateTime<Utc>,
    pub newest_token: Option<DateTime<Utc>>,
}

/// The identities of a user, the oldest first.
pub(crate) async fn list(db: impl PgExecutor<'_>, user: UserId) -> Result<Vec<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        r#"
        select identity_id as "identity_id: IdentityId", issuer, subject, email, created_at, newest_token
        from user_identities where user_id = $1 order by created_at, identity_id
        "#,
        user as UserId,
    )
    .fetch_all(db)
    .await
}

/// Whether a session is that of an identity, and none that a password opened.
pub(crate) async fn has_session(db: impl PgExecutor<'_>, session: SessionId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from user_identities where session_id = $1) as "has!""#,
        session as SessionId,
    )
    .fetch_one(db)
    .await
}

/// Removes an identity of a user; tells its session.
pub(crate) async fn delete(
    db: impl PgExecutor<'_>,
    user: UserId,
    identity: IdentityId,
) -> Result<Option<SessionId>, sqlx::Error> {
    let session = sqlx::query_scalar!(
        r#"
        delete from user_identities where identity_id = $1 and user_id = $2
        returning session_id as "session_id: SessionId"
        "#,
        identity as IdentityId,
        user as UserId,
    )
    .fetch_optional(db)
    .await?;
    Ok(session.flatten())
}

/// Removes all identities of a user.
pub(crate) async fn delete_all(db: impl PgExecutor<'_>, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from user_identities where user_id = $1", user as UserId)
        .execute(db)
        .await?;
    Ok(())
}
