//! Tables `organizations`, `users` and `api_keys`.
use sqlx::{PgConnection, PgExecutor};

use crate::domain::{ApiKeyId, OrganizationId, UserId};

/// What a user may do on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "user_role", rename_all = "snake_case")]
pub enum Role {
    /// Submits tasks and reads its own.
    Client,
    /// Runs the platform; made on the command line only.
    Admin,
}

/// A user to be stored with its personal organisation.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Its id.
    pub user: UserId,
    /// The id of its personal organisation.
    pub organization: OrganizationId,
    /// Lower-cased.
    pub email: &'a str,
    /// argon2id in PHC form.
    pub password_hash: &'a str,
    /// What it may do.
    pub role: Role,
}

pub(crate) async fn insert_user(db: &mut PgConnection, new: &NewUser<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into organizations (organization_id, name, personal) values ($1, $2, true)",
        new.organization as OrganizationId,
        new.email,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "insert into users (user_id, organization_id, email, password_hash, role) values ($1, $2, $3, $4, $5)",
        new.user as UserId,
        new.organization as OrganizationId,
        new.email,
        new.password_hash,
        new.role as Role,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A user, as found by e-mail.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct User {
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub role: Role,
}

pub(crate) async fn find_by_email(db: impl PgExecutor<'_>, email: &str) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as!(
        User,
        r#"
        select user_id as "user_id: UserId", organization_id as "organization_id: OrganizationId", role
        from users where email = $1 and is_active
        "#,
        email
    )
    .fetch_optional(db)
    .await
}

/// A key to be stored; the key itself is not.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewKey<'a> {
    pub id: ApiKeyId,
    pub organization: OrganizationId,
    pub user: UserId,
    pub prefix: &'a str,
    pub hash: [u8; 32],
    pub name: &'a str,
}

pub(crate) async fn insert_key(db: impl PgExecutor<'_>, new: &NewKey<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into api_keys (api_key_id, organization_id, user_id, prefix, hash, name)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        new.id as ApiKeyId,
        new.organization as OrganizationId,
        new.user as UserId,
        new.prefix,
        &new.hash[..],
        new.name,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whom a key stands for.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct KeyOwner {
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub role: Role,
}

pub(crate) async fn find_key(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
) -> Result<Option<KeyOwner>, sqlx::Error> {
    sqlx::query_as!(
        KeyOwner,
        r#"
        select k.user_id as "user_id: UserId", k.organization_id as "organization_id: OrganizationId", u.role
        from api_keys k join users u using (user_id)
        where k.hash = $1 and k.revoked_at is null and u.is_active
        "#,
        &hash[..],
    )
    .fetch_optional(db)
    .await
}
