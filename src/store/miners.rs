//! Tables `miner_status`, `miner_performance` and `validator_seen`.
use sqlx::{PgConnection, PgExecutor, types::Json};
use uuid::Uuid;
use violet_chain::Hotkey;

use crate::domain::{
    TaskType,
    capability::Offer,
    performance::{Mean, Performance},
};

/// What a heartbeat says.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Heartbeat<'a> {
    pub netuid: u16,
    pub hotkey: Hotkey,
    pub capacity: u16,
    pub load: u16,
    pub engines: &'a [Offer],
    pub version: &'a str,
}

pub(crate) async fn heartbeat(db: impl PgExecutor<'_>, beat: &Heartbeat<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into miner_status (netuid, hotkey, capacity, load, engines, version, beat_at)
        values ($1, $2, $3, $4, $5, $6, now())
        on conflict (netuid, hotkey) do update
        set capacity = excluded.capacity, load = excluded.load, engines = excluded.engines,
            version = excluded.version, last_seen = now(), beat_at = now()
        "#,
        i32::from(beat.netuid),
        &beat.hotkey.0[..],
        i32::from(beat.capacity),
        i32::from(beat.load),
        Json(beat.engines) as Json<&[Offer]>,
        beat.version,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes polls with these keys: of miners that said what they can do when they enrolled. It counts unless a heartbeat of
/// the last `ttl_seconds` says something else. Gives whom it is noted of.
pub(crate) async fn saw_polls(
    db: impl PgExecutor<'_>,
    netuid: u16,
    keys: &[Uuid],
    ttl_seconds: f64,
) -> Result<Vec<Hotkey>, sqlx::Error> {
    let hotkeys = sqlx::query_scalar!(
        r#"
        insert into miner_status as m (netuid, hotkey, capacity, load, engines, version)
        -- One row cannot be written twice: of two keys of a miner the newer one speaks.
        select distinct on (hotkey) $1, hotkey, capacity, 0, engines, ''
        from neuron_keys
        where neuron_key_id = any($2) and kind = 'miner' and netuid = $1 and engines is not null
        order by hotkey, neuron_key_id desc
        on conflict (netuid, hotkey) do update
        set capacity = excluded.capacity, load = excluded.load, engines = excluded.engines,
            version = excluded.version, last_seen = now()
        where coalesce(m.beat_at <= now() - make_interval(secs => $3), true)
        returning hotkey
        "#,
        i32::from(netuid),
        keys,
        ttl_seconds,
    )
    .fetch_all(db)
    .await?;
    hotkeys
        .into_iter()
        .map(|hotkey| super::bytes("hotkey", hotkey).map(Hotkey))
        .collect()
}

/// A miner that was heard of lately.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Status {
    pub hotkey: Hotkey,
    pub capacity: u16,
    /// Offers in JSON.
    pub engines: String,
    pub age_seconds: f64,
    pub suspended: bool,
    pub open: u16,
}

/// The miners heard of within `seconds`, with their open assignments.
pub(crate) async fn heard_of(
    db: impl PgExecutor<'_>,
    netuid: u16,
    seconds: f64,
) -> Result<Vec<Status>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select hotkey, capacity, engines::text as "engines!",
               extract(epoch from now() - last_seen)::float8 as "age_seconds!",
               suspended_at is not null as "suspended!",
               coalesce(a.open, 0) as "open!"
        from miner_status m
        left join (
            select hotkey, count(*) as open from task_assignments where netuid = $1 group by hotkey
        ) a using (hotkey)
        where netuid = $1 and last_seen > now() - make_interval(secs => $2)
        "#,
        i32::from(netuid),
        seconds,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Status {
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                capacity: u16::try_from(row.capacity).unwrap_or(0),
                engines: row.engines,
                age_seconds: row.age_seconds,
                suspended: row.suspended,
                open: u16::try_from(row.open).unwrap_or(u16::MAX),
            })
        })
        .collect()
}

/// Whose performance, and at what.
pub type Subject = (Hotkey, TaskType);

/// A row of `miner_performance`.
struct Remembered {
    hotkey: Vec<u8>,
    task_type: TaskType,
    success_fast: i64,
    success_slow: i64,
    speed_fast: i64,
    speed_slow: i64,
    quality_fast: i64,
    quality_slow: i64,
}

impl TryFrom<Remembered> for (Subject, Performance) {
    type Error = sqlx::Error;

    fn try_from(row: Remembered) -> Result<Self, sqlx::Error> {
        let mean = |fast, slow| Mean { fast, slow };
        let performance = Performance {
            success: mean(row.success_fast, row.success_slow),
            speed: mean(row.speed_fast, row.speed_slow),
            quality: mean(row.quality_fast, row.quality_slow),
        };
        Ok((
            (Hotkey(super::bytes("hotkey", row.hotkey)?), row.task_type),
            performance,
        ))
    }
}

/// What is remembered of all miners of a subnet.
pub(crate) async fn performances(
    db: impl PgExecutor<'_>,
    netuid: u16,
) -> Result<Vec<(Subject, Performance)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Remembered,
        r#"
        select hotkey, task_type, success_fast, success_slow, speed_fast, speed_slow, quality_fast, quality_slow
        from miner_performance where netuid = $1
        "#,
        i32::from(netuid),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Locks and reads what is remembered of `subjects`; those without a row get a newcomer's.
pub(crate) async fn lock_performances(
    db: &mut PgConnection,
    netuid: u16,
    subjects: &[Subject],
) -> Result<Vec<(Subject, Performance)>, sqlx::Error> {
    let (hotkeys, types) = columns(subjects);
    let new = Mean::default().fast;
    // A row must exist to be locked: two replicas may see a newcomer at the same moment.
    sqlx::query!(
        r#"
        insert into miner_performance
            (netuid, hotkey, task_type, success_fast, success_slow, speed_fast, speed_slow, quality_fast, quality_slow)
        select $1, hotkey, task_type, $4, $4, $4, $4, $4, $4
        from unnest($2::bytea[], $3::task_type[]) as s(hotkey, task_type)
        order by 2, 3
        on conflict do nothing
        "#,
        i32::from(netuid),
        &hotkeys,
        &types as &[TaskType],
        new,
    )
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query_as!(
        Remembered,
        r#"
        select hotkey, task_type, success_fast, success_slow, speed_fast, speed_slow, quality_fast, quality_slow
        from miner_performance
        where netuid = $1
          and (hotkey, task_type) in (select * from unnest($2::bytea[], $3::task_type[]))
        order by hotkey, task_type
        for update
        "#,
        i32::from(netuid),
        &hotkeys,
        &types as &[TaskType],
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

fn columns(subjects: &[Subject]) -> (Vec<Vec<u8>>, Vec<TaskType>) {
    subjects
        .iter()
        .map(|(hotkey, task_type)| (hotkey.0.to_vec(), *task_type))
        .unzip()
}

pub(crate) async fn put_performances(
    db: &mut PgConnection,
    netuid: u16,
    rows: &[(Subject, Performance)],
) -> Result<(), sqlx::Error> {
    let subjects: Vec<Subject> = rows.iter().map(|(subject, _)| *subject).collect();
    let (hotkeys, types) = columns(&subjects);
    let column = |value: fn(&Performance) -> i64| -> Vec<i64> {
        rows.iter().map(|(_, performance)| value(performance)).collect()
    };
    sqlx::query!(
        r#"
        insert into miner_performance
            (netuid, hotkey, task_type, success_fast, success_slow, speed_fast, speed_slow, quality_fast, quality_slow)
        select $1, * from unnest($2::bytea[], $3::task_type[], $4::bigint[], $5::bigint[], $6::bigint[],
                                 $7::bigint[], $8::bigint[], $9::bigint[])
        on conflict (netuid, hotkey, task_type) do update
        set success_fast = excluded.success_fast, success_slow = excluded.success_slow,
            speed_fast = excluded.speed_fast, speed_slow = excluded.speed_slow,
            quality_fast = excluded.quality_fast, quality_slow = excluded.quality_slow
        "#,
        i32::from(netuid),
        &hotkeys,
        &types as &[TaskType],
        &column(|performance| performance.success.fast),
        &column(|performance| performance.success.slow),
        &column(|performance| performance.speed.fast),
        &column(|performance| performance.speed.slow),
        &column(|performance| performance.quality.fast),
        &column(|performance| performance.quality.slow),
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn saw_validators(
    db: impl PgExecutor<'_>,
    netuid: u16,
    hotkeys: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into validator_seen (netuid, hotkey, last_seen)
        select $1, hotkey, now() from unnest($2::bytea[]) hotkey
        on conflict (netuid, hotkey) do update set last_seen = now()
        "#,
        i32::from(netuid),
        hotkeys,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The validators that made an authenticated request within a day.
pub(crate) async fn active_validators(
    db: impl PgExecutor<'_>,
    netuid: u16,
) -> Result<Vec<Hotkey>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "select hotkey from validator_seen where netuid = $1 and last_seen > now() - interval '24 hours'",
        i32::from(netuid),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|hotkey| super::bytes("hotkey", hotkey).map(Hotkey))
        .collect()
}
