//! Tables `memberships` and `organizations`: who may do what where.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::accounts::Role;
use crate::domain::{OrganizationId, SessionId, UserId, access::OrganizationRole};

/// Whether somebody may act for an organisation, and as what.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Standing {
    pub platform: Role,
    /// `None`: no member.
    pub role: Option<OrganizationRole>,
    pub is_verified: bool,
}

/// The standing of a session's user in an organisation; nothing when session or account have ended. No other issuer
/// makes anybody an administrator of the platform.
pub(crate) async fn of_session(
    db: impl PgExecutor<'_>,
    session: SessionId,
    user: UserId,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"
        select case when exists (select from user_identities i where i.session_id = s.session_id) then 'client'
                    else u.role end as "platform!: Role",
               m.role as "role?", u.email_verified_at is not null as "is_verified!"
        from sessions s
        join users u using (user_id)
        left join memberships m on m.user_id = u.user_id and m.organization_id = $3
        where s.session_id = $1 and s.user_id = $2 and s.ended_at is null and s.expires_at > $4 and u.is_active
        "#,
        session as SessionId,
        user as UserId,
        organization as OrganizationId,
        now,
    )
    .fetch_optional(db)
    .await
}

/// The standing of a user in an organisation; nothing when the account was closed.
pub(crate) async fn of_user(
    db: impl PgExecutor<'_>,
    user: UserId,
    organization: OrganizationId,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"
        select u.role as platform, m.role as "role?", u.email_verified_at is not null as "is_verified!"
        from users u left join memberships m on m.user_id = u.user_id and m.organization_id = $2
        where u.user_id = $1 and u.is_active
        "#,
        user as UserId,
        organization as OrganizationId,
    )
    .fetch_optional(db)
    .await
}

/// An organisation, as one of its members sees it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Membership {
    pub organization_id: OrganizationId,
    pub name: String,
    pub slug: String,
    pub personal: bool,
    pub role: OrganizationRole,
    pub created_at: DateTime<Utc>,
}

/// The organisations of a user, its own first.
pub(crate) async fn list(db: impl PgExecutor<'_>, user: UserId) -> Result<Vec<Membership>, sqlx::Error> {
    sqlx::query_as!(
        Membership,
        r#"
        select o.organization_id as "organization_id: OrganizationId", o.name, o.slug, o.personal, m.role, o.created_at
        from memberships m join organizations o using (organization_id)
        where m.user_id = $1 order by not o.personal, o.name, o.organization_id
        "#,
        user as UserId,
    )
    .fetch_all(db)
    .await
}

/// An organisation to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewOrganization<'a> {
    pub id: OrganizationId,
    pub name: &'a str,
    pub slug: &'a str,
    pub owner: UserId,
}

pub(crate) async fn insert_organization(
    db: &mut PgConnection,
    new: &NewOrganization<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into organizations (organization_id, name, slug, personal) values ($1, $2, $3, false)",
        new.id as OrganizationId,
        new.name,
        new.slug,
    )
    .execute(&mut *db)
    .await?;
    insert(db, new.id, new.owner, OrganizationRole::Owner).await
}

/// Renames an organisation; what is `None` stays.
pub(crate) async fn rename(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    name: Option<&str>,
    slug: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        update organizations set name = coalesce($2, name), slug = coalesce($3, slug) where organization_id = $1
        "#,
        organization as OrganizationId,
        name,
        slug,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes somebody a member; who is one already keeps the role.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    user: UserId,
    role: OrganizationRole,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into memberships (organization_id, user_id, role) values ($1, $2, $3) on conflict do nothing",
        organization as OrganizationId,
        user as UserId,
        role as OrganizationRole,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A member, as the others see it.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Member {
    pub user_id: UserId,
    pub email: String,
    pub full_name: Option<String>,
    pub role: OrganizationRole,
    pub created_at: DateTime<Utc>,
}

pub(crate) async fn members(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<Vec<Member>, sqlx::Error> {
    sqlx::query_as!(
        Member,
        r#"
        select m.user_id as "user_id: UserId", u.email, u.full_name, m.role, m.created_at
        from memberships m join users u using (user_id)
        where m.organization_id = $1 order by m.role, u.email
        "#,
        organization as OrganizationId,
    )
    .fetch_all(db)
    .await
}

/// Whether the organisation is somebody's own; locks it, so that changes of its members come one after the other.
pub(crate) async fn lock(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        "select personal from organizations where organization_id = $1 for update",
        organization as OrganizationId,
    )
    .fetch_optional(db)
    .await
}

pub(crate) async fn role_of(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<OrganizationRole>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select role as "role: OrganizationRole" from memberships where organization_id = $1 and user_id = $2"#,
        organization as OrganizationId,
        user as UserId,
    )
    .fetch_optional(db)
    .await
}

pub(crate) async fn owners(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from memberships where organization_id = $1 and role = 'owner'"#,
        organization as OrganizationId,
    )
    .fetch_one(db)
    .await
}

pub(crate) async fn set_role(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    user: UserId,
    role: OrganizationRole,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update memberships set role = $3 where organization_id = $1 and user_id = $2",
        organization as OrganizationId,
        user as UserId,
        role as OrganizationRole,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes somebody out, with the keys and the open invitations that it made for the organisation.
pub(crate) async fn remove(
    db: &mut PgConnection,
    organization: OrganizationId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from memberships where organization_id = $1 and user_id = $2",
        organization as OrganizationId,
        user as UserId,
    )
    .execute(&mut *db)
    .await?;
    // A key of somebody who comes back shall not work again by itself.
    sqlx::query!(
        "update api_keys set revoked_at = $3 where organization_id = $1 and user_id = $2 and revoked_at is null",
        organization as OrganizationId,
        user as UserId,
        now,
    )
    .execute(&mut *db)
    .await?;
    // Nor shall whom it invited come in now.
    sqlx::query!(
        r#"
        update invitations set withdrawn_at = $3
        where organization_id = $1 and invited_by = $2 and accepted_at is null and withdrawn_at is null
        "#,
        organization as OrganizationId,
        user as UserId,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
