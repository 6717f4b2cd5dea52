//! Tables `wallet_logins` and `wallet_sessions`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// Spends a challenge; tells whether it was still there to be spent.
pub(crate) async fn spend(
    db: impl PgExecutor<'_>,
    nonce: [u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query!(
        "insert into wallet_logins (nonce, expires_at) values ($1, $2) on conflict do nothing",
        &nonce[..],
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(spent.rows_affected() == 1)
}

pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
    public_key: [u8; 32],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into wallet_sessions (hash, public_key, created_at, expires_at) values ($1, $2, $3, $4)",
        &hash[..],
        &public_key[..],
        now,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whose session it is, if it goes on.
pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select public_key from wallet_sessions where hash = $1 and expires_at > $2",
        &hash[..],
        now,
    )
    .fetch_optional(db)
    .await?;
    found.map(|key| super::bytes("public_key", key)).transpose()
}

pub(crate) async fn delete(db: impl PgExecutor<'_>, hash: [u8; 32]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from wallet_sessions where hash = $1", &hash[..])
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets what is over.
pub(crate) async fn delete_expired(
    db: &mut sqlx::PgConnection,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from wallet_logins where expires_at < $1", now)
        .execute(&mut *db)
        .await?;
    sqlx::query!("delete from wallet_sessions where expires_at < $1", now)
        .execute(db)
        .await?;
    Ok(())
}
