//! Tables `api_keys` and `api_keys_rotated`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::accounts::Role;
use crate::domain::{ApiKeyId, OrganizationId, UserId};

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
    /// Names of permissions; `None` is all but managing.
    pub scopes: Option<&'a [String]>,
    pub expires_at: Option<DateTime<Utc>>,
}

pub(crate) async fn insert(db: impl PgExecutor<'_>, new: &NewKey<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into api_keys (api_key_id, organization_id, user_id, prefix, hash, name, scopes, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        new.id as ApiKeyId,
        new.organization as OrganizationId,
        new.user as UserId,
        new.prefix,
        &new.hash[..],
        new.name,
        new.scopes as Option<&[String]>,
        new.expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A key that works, as its secret finds it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Found {
    pub api_key_id: ApiKeyId,
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    pub role: Role,
    pub name: String,
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// Of a secret that was replaced: until when it works.
    pub valid_until: Option<DateTime<Utc>>,
}

/// The key with this secret, the present one or one that was replaced, unless it was revoked or its maker is closed.
/// Whether it has expired is for the caller to say.
pub(crate) async fn find(db: impl PgExecutor<'_>, hash: [u8; 32]) -> Result<Option<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        r#"
        select k.api_key_id as "api_key_id: ApiKeyId", k.user_id as "user_id: UserId",
               k.organization_id as "organization_id: OrganizationId", u.role, k.name, k.scopes, k.expires_at,
               k.last_used_at, secret.valid_until
        from (
            select api_key_id, null::timestamptz as valid_until from api_keys where hash = $1
            union all
            select api_key_id, valid_until from api_keys_rotated where hash = $1
        ) secret
        join api_keys k using (api_key_id)
        join users u using (user_id)
        where k.revoked_at is null and u.is_active
        "#,
        &hash[..],
    )
    .fetch_optional(db)
    .await
}

/// A key as its organisation sees it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Listed {
    pub api_key_id: ApiKeyId,
    pub user_id: UserId,
    pub prefix: String,
    pub name: String,
    pub scopes: Option<Vec<String>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The keys of an organisation that were not revoked, newest first; those made before `before`, or one of them.
pub(crate) async fn list(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    before: Option<ApiKeyId>,
    limit: u16,
) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"
        select api_key_id as "api_key_id: ApiKeyId", user_id as "user_id: UserId", prefix, name, scopes, created_at,
               expires_at, last_used_at, revoked_at
        from api_keys
        where organization_id = $1 and revoked_at is null and ($2::uuid is null or api_key_id < $2)
        order by api_key_id desc limit $3
        "#,
        organization as OrganizationId,
        before as Option<ApiKeyId>,
        i64::from(limit),
    )
    .fetch_all(db)
    .await
}

/// A key of an organisation, revoked or not.
pub(crate) async fn read(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: ApiKeyId,
) -> Result<Option<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"
        select api_key_id as "api_key_id: ApiKeyId", user_id as "user_id: UserId", prefix, name, scopes, created_at,
               expires_at, last_used_at, revoked_at
        from api_keys where organization_id = $1 and api_key_id = $2
        "#,
        organization as OrganizationId,
        id as ApiKeyId,
    )
    .fetch_optional(db)
    .await
}

/// How many keys of an organisation work. Locks the organisation, so that nobody makes one meanwhile.
pub(crate) async fn count_locked(
    db: &mut sqlx::PgConnection,
    organization: OrganizationId,
) -> Result<i64, sqlx::Error> {
    sqlx::query!(
        "select from organizations where organization_id = $1 for no key update",
        organization as OrganizationId
    )
    .fetch_optional(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from api_keys
        where organization_id = $1 and revoked_at is null and (expires_at is null or expires_at > now())
        "#,
        organization as OrganizationId
    )
    .fetch_one(db)
    .await
}

/// Revokes a key; whether it was not before.
pub(crate) async fn revoke(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: ApiKeyId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        update api_keys set revoked_at = now()
        where organization_id = $1 and api_key_id = $2 and revoked_at is null
        "#,
        organization as OrganizationId,
        id as ApiKeyId,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Revokes all keys that a user made.
pub(crate) async fn revoke_all(db: impl PgExecutor<'_>, user: UserId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update api_keys set revoked_at = now() where user_id = $1 and revoked_at is null",
        user as UserId,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives a key a new secret; the old one works for `grace` seconds more. Whether there is such a key that works.
pub(crate) async fn rotate(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: ApiKeyId,
    prefix: &str,
    hash: [u8; 32],
    grace: f64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        with old as (
            -- Of two rotations at once the second one waits here and then replaces the secret of the first.
            select api_key_id, hash from api_keys
            where organization_id = $1 and api_key_id = $2 and revoked_at is null for update
        ), kept as (
            insert into api_keys_rotated (hash, api_key_id, valid_until)
            select hash, api_key_id, now() + make_interval(secs => $5) from old
        )
        update api_keys k set prefix = $3, hash = $4 from old where k.api_key_id = old.api_key_id
        "#,
        organization as OrganizationId,
        id as ApiKeyId,
        prefix,
        &hash[..],
        grace,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that keys were used, each at most once in `rest` seconds.
pub(crate) async fn used(db: impl PgExecutor<'_>, ids: &[Uuid], rest: f64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with stale as (
            select api_key_id from api_keys
            where api_key_id = any($1)
              and (last_used_at is null or last_used_at < now() - make_interval(secs => $2))
            order by api_key_id for no key update skip locked
        )
        update api_keys k set last_used_at = now() from stale where k.api_key_id = stale.api_key_id
        "#,
        ids,
        rest,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets replaced secrets that do not work any more.
pub(crate) async fn forget_rotated(db: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from api_keys_rotated where valid_until < now()")
        .execute(db)
        .await?;
    Ok(())
}
