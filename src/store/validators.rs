//! Table `validator_agreement`, and what is known of validators.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use violet_chain::Hotkey;

use crate::domain::performance::Mean;

/// How well a validator agrees with the consensus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Over the answers that it scored.
    pub mean: Mean,
    /// Tasks with a verdict that it scored.
    pub tasks: i64,
}

/// What is known of a validator beside what the chain says.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like what they say")]
pub struct Known {
    pub hotkey: Hotkey,
    pub last_seen: Option<DateTime<Utc>>,
    /// Whether that was within a day.
    pub active: bool,
    pub agreement: Option<Agreement>,
}

/// The validators that were ever seen, or judged.
pub(crate) async fn known(db: impl PgExecutor<'_>, netuid: u16) -> Result<Vec<Known>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select hotkey as "hotkey!", s.last_seen as "last_seen?",
               coalesce(s.last_seen > now() - interval '24 hours', false) as "active!",
               a.fast as "fast?", a.slow as "slow?", a.tasks as "tasks?"
        from (select * from validator_seen where netuid = $1) s
        full join (select * from validator_agreement where netuid = $1) a using (hotkey)
        "#,
        i32::from(netuid),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let mean = row.fast.zip(row.slow).map(|(fast, slow)| Mean { fast, slow });
            Ok(Known {
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                last_seen: row.last_seen,
                active: row.active,
                agreement: mean.zip(row.tasks).map(|(mean, tasks)| Agreement { mean, tasks }),
            })
        })
        .collect()
}

/// Locks and reads the agreement of these validators; those without a row get a newcomer's.
pub(crate) async fn lock_agreements(
    db: &mut PgConnection,
    netuid: u16,
    hotkeys: &[Hotkey],
) -> Result<Vec<(Hotkey, Agreement)>, sqlx::Error> {
    let keys: Vec<Vec<u8>> = hotkeys.iter().map(|hotkey| hotkey.0.to_vec()).collect();
    // A row must exist to be locked: two replicas may see a newcomer at the same moment.
    sqlx::query!(
        r#"
        insert into validator_agreement (netuid, hotkey, fast, slow, tasks)
        select $1, hotkey, $3, $3, 0 from unnest($2::bytea[]) hotkey
        order by hotkey
        on conflict do nothing
        "#,
        i32::from(netuid),
        &keys,
        Mean::default().fast,
    )
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query!(
        r#"
        select hotkey, fast, slow, tasks from validator_agreement
        where netuid = $1 and hotkey = any($2)
        order by hotkey
        for update
        "#,
        i32::from(netuid),
        &keys,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let mean = Mean {
                fast: row.fast,
                slow: row.slow,
            };
            let tasks = row.tasks;
            Ok((
                Hotkey(super::bytes("hotkey", row.hotkey)?),
                Agreement { mean, tasks },
            ))
        })
        .collect()
}

/// Writes the agreement of validators whose rows are locked.
pub(crate) async fn put_agreements(
    db: &mut PgConnection,
    netuid: u16,
    rows: &[(Hotkey, Agreement)],
) -> Result<(), sqlx::Error> {
    let keys: Vec<Vec<u8>> = rows.iter().map(|(hotkey, _)| hotkey.0.to_vec()).collect();
    let column = |value: fn(&Agreement) -> i64| -> Vec<i64> {
        rows.iter().map(|(_, agreement)| value(agreement)).collect()
    };
    sqlx::query!(
        r#"
        update validator_agreement a set fast = s.fast, slow = s.slow, tasks = s.tasks
        from unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[]) as s(hotkey, fast, slow, tasks)
        where a.netuid = $1 and a.hotkey = s.hotkey
        "#,
        i32::from(netuid),
        &keys,
        &column(|agreement| agreement.mean.fast),
        &column(|agreement| agreement.mean.slow),
        &column(|agreement| agreement.tasks),
    )
    .execute(db)
    .await?;
    Ok(())
}
