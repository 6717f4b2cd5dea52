//! Tables `auth_nonces` and `auth_nonce_epoch`.
use sqlx::PgConnection;

/// When the store of nonces began, in nanoseconds since 1970; begins one if a crash of the database emptied it.
pub(crate) async fn epoch(db: &mut PgConnection, now_nanos: i64) -> Result<i64, sqlx::Error> {
    let found = sqlx::query_scalar!("select began from auth_nonce_epoch")
        .fetch_optional(&mut *db)
        .await?;
    if let Some(began) = found {
        return Ok(began);
    }
    sqlx::query!(
        "insert into auth_nonce_epoch (began) values ($1) on conflict do nothing",
        now_nanos
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!("select began from auth_nonce_epoch")
        .fetch_one(db)
        .await
}

/// Stores nonces; answers those that were not there before, by their place in the arrays.
pub(crate) async fn insert(
    db: &mut PgConnection,
    buckets: &[i64],
    keys: &[Vec<u8>],
    nonces: &[i64],
) -> Result<Vec<(Vec<u8>, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        insert into auth_nonces (bucket, public_key, nonce)
        select * from unnest($1::bigint[], $2::bytea[], $3::bigint[])
        on conflict do nothing
        returning public_key, nonce
        "#,
        buckets,
        keys,
        nonces,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.public_key, row.nonce)).collect())
}

pub(crate) async fn delete_before(db: impl sqlx::PgExecutor<'_>, bucket: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query!("delete from auth_nonces where bucket < $1", bucket)
        .execute(db)
        .await?
        .rows_affected())
}
