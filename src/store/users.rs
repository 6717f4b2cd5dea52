//! Table `users`: what logins need to know, and what changes.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::accounts::Role;
use crate::domain::{OrganizationId, UserId};

/// A user that may log in.
#[expect(missing_docs, reason = "named like the columns")]
pub struct Account {
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub email: String,
    pub full_name: Option<String>,
    pub role: Role,
    /// `None`: it comes by another issuer, and chose none yet.
    pub password_hash: Option<String>,
    pub email_verified_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// The active user with this address.
pub(crate) async fn by_email(db: impl PgExecutor<'_>, email: &str) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select user_id as "user_id: UserId", organization_id as "organization_id: OrganizationId", email, full_name,
               role, password_hash, email_verified_at, created_at
        from users where email = $1 and is_active
        "#,
        email,
    )
    .fetch_optional(db)
    .await
}

/// An active user.
pub(crate) async fn by_id(db: impl PgExecutor<'_>, user: UserId) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select user_id as "user_id: UserId", organization_id as "organization_id: OrganizationId", email, full_name,
               role, password_hash, email_verified_at, created_at
        from users where user_id = $1 and is_active
        "#,
        user as UserId,
    )
    .fetch_optional(db)
    .await
}

pub(crate) async fn set_password(
    db: impl PgExecutor<'_>,
    user: UserId,
    password_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users set password_hash = $2 where user_id = $1",
        user as UserId,
        password_hash,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Mail to the user's address reached it.
pub(crate) async fn verified(
    db: impl PgExecutor<'_>,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update users set email_verified_at = coalesce(email_verified_at, $2) where user_id = $1",
        user as UserId,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Locks a user, so that changes of its ways in come one after the other; tells whether it has a password.
pub(crate) async fn lock(db: impl PgExecutor<'_>, user: UserId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select password_hash is not null as "has!" from users where user_id = $1 for update"#,
        user as UserId,
    )
    .fetch_optional(db)
    .await?;
    Ok(found.unwrap_or(false))
}
