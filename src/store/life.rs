//! Table `service_life`: when a server last ran.
use sqlx::{PgConnection, PgExecutor};

/// Notes that a server runs.
pub(crate) async fn beat(db: impl PgExecutor<'_>, netuid: u16) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into service_life (netuid, alive_at) values ($1, clock_timestamp())
        on conflict (netuid) do update set alive_at = clock_timestamp()
        "#,
        i32::from(netuid),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Seconds since a server last ran; `None` before the first. Locks the row, so that of several that start one is first.
pub(crate) async fn silence(db: &mut PgConnection, netuid: u16) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select extract(epoch from clock_timestamp() - alive_at)::float8 as "seconds!"
        from service_life where netuid = $1 for update
        "#,
        i32::from(netuid),
    )
    .fetch_optional(db)
    .await
}

/// Gives the last `seconds` back to everybody who had time left when they began: what runs is moved, to now at the
/// latest. Answers to how many assignments.
pub(crate) async fn resume(db: &mut PgConnection, netuid: u16, seconds: f64) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        update task_open
        set accepted_at = accepted_at + least(p.pause, p.now - accepted_at),
            vacant_since = vacant_since + least(p.pause, p.now - vacant_since),
            done_at = done_at + least(p.pause, p.now - done_at)
        from (select make_interval(secs => $2) as pause, clock_timestamp() as now) p
        where netuid = $1
        "#,
        i32::from(netuid),
        seconds,
    )
    .execute(&mut *db)
    .await?;
    let assignments = sqlx::query!(
        r#"
        update task_assignments
        set assigned_at = assigned_at + least(p.pause, p.now - assigned_at),
            deadline = deadline + p.pause, silent_at = silent_at + p.pause
        from (select make_interval(secs => $2) as pause, clock_timestamp() as now) p
        where netuid = $1 and deadline > p.now - p.pause
        "#,
        i32::from(netuid),
        seconds,
    )
    .execute(db)
    .await?;
    Ok(assignments.rows_affected())
}
