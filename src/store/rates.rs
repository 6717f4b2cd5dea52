//! Table `rates`.
use sqlx::PgExecutor;

/// Adds what was used; answers what all replicas used so far, in the order of what was given, each subject once.
pub(crate) async fn add(
    db: impl PgExecutor<'_>,
    subjects: &[Vec<u8>],
    stretches: &[i64],
    amounts: &[i64],
) -> Result<Vec<(Vec<u8>, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        insert into rates as r (subject, stretch, used)
        select * from unnest($1::bytea[], $2::bigint[], $3::bigint[])
        -- In one order, so that two replicas do not wait for each other.
        order by 1, 2
        on conflict (subject, stretch) do update set used = r.used + excluded.used
        returning subject, used
        "#,
        subjects,
        stretches,
        amounts,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.used)).collect())
}

/// Forgets what counts no more.
pub(crate) async fn delete_before(db: impl PgExecutor<'_>, stretch: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from rates where stretch < $1", stretch)
        .execute(db)
        .await?;
    Ok(())
}
