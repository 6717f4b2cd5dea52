//! Tables `organizations` and `users`.
use sqlx::{PgConnection, PgExecutor};

use crate::domain::{OrganizationId, UserId, access::OrganizationRole};

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
    /// argon2id in PHC form, unless it comes by another issuer.
    pub password_hash: Option<&'a str>,
    /// How it wants to be called.
    pub full_name: Option<&'a str>,
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
        r#"
        insert into users (user_id, organization_id, email, password_hash, role, full_name)
        values ($1, $2, $3, $4, $5, $6)
        "#,
        new.user as UserId,
        new.organization as OrganizationId,
        new.email,
        new.password_hash,
        new.role as Role,
        new.full_name,
    )
    .execute(&mut *db)
    .await?;
    super::memberships::insert(db, new.organization, new.user, OrganizationRole::Owner).await
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
