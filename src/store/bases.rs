//! Tables `bases` and `missed_snapshots`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use violet_chain::VrfProof;

/// The randomness of one snapshot.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Base {
    pub netuid: u16,
    pub genesis: [u8; 32],
    pub block: u32,
    pub block_hash: [u8; 32],
    pub block_at: DateTime<Utc>,
    pub proof: VrfProof,
    pub output: [u8; 32],
    pub record: [u8; 32],
}

/// Stores a base; the first one of a block stays.
pub(crate) async fn insert(db: impl PgExecutor<'_>, base: &Base) -> Result<(), sqlx::Error> {
    let Base {
        netuid,
        genesis,
        block,
        block_hash,
        block_at,
        proof,
        output,
        record,
    } = base;
    sqlx::query!(
        r#"
        insert into bases (netuid, genesis, block, block_hash, block_at, preout, proof, output, record)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing
        "#,
        i32::from(*netuid),
        &genesis[..],
        i64::from(*block),
        &block_hash[..],
        block_at,
        &proof.preout[..],
        &proof.proof[..],
        &output[..],
        &record[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many seconds ago the first base of a block later than `block_at` was made, by whichever server.
pub(crate) async fn replaced(
    db: impl PgExecutor<'_>,
    netuid: u16,
    block_at: DateTime<Utc>,
) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select extract(epoch from now() - min(made_at))::float8 from bases where netuid = $1 and block_at > $2"#,
        i32::from(netuid),
        block_at,
    )
    .fetch_one(db)
    .await
}

/// The number of the block of the last base of this chain before `block_at`.
pub(crate) async fn before(
    db: impl PgExecutor<'_>,
    netuid: u16,
    genesis: [u8; 32],
    block_at: DateTime<Utc>,
) -> Result<Option<u32>, sqlx::Error> {
    let block = sqlx::query_scalar!(
        r#"
        select block from bases where netuid = $1 and genesis = $2 and block_at < $3 order by block_at desc limit 1
        "#,
        i32::from(netuid),
        &genesis[..],
        block_at,
    )
    .fetch_optional(db)
    .await?;
    Ok(block.and_then(|block| u32::try_from(block).ok()))
}

/// The proof of the base with this record, once there are two of later blocks and the first of these was made so many
/// seconds ago: from then on everybody may know it.
pub(crate) async fn revealed(
    db: impl PgExecutor<'_>,
    record: [u8; 32],
    seconds: f64,
) -> Result<Option<VrfProof>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select preout, proof from bases b
        where record = $1
          and (select count(*) from (select from bases later
                                     where later.netuid = b.netuid and later.block_at > b.block_at limit 2) two) = 2
          and exists (select from bases later
                      where later.netuid = b.netuid and later.block_at > b.block_at
                        and later.made_at <= now() - make_interval(secs => $2))
        "#,
        &record[..],
        seconds,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(VrfProof {
            preout: super::bytes("preout", row.preout)?,
            proof: super::bytes("proof", row.proof)?,
        })
    })
    .transpose()
}

/// Notes that the multiples of the interval from `first` to `last` were not taken.
pub(crate) async fn miss(
    db: impl PgExecutor<'_>,
    netuid: u16,
    first: u32,
    last: u32,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into missed_snapshots (netuid, block, last_block, reason) values ($1, $2, $3, $4)
        on conflict (netuid, block) do update
        set last_block = greatest(missed_snapshots.last_block, excluded.last_block)
        "#,
        i32::from(netuid),
        i64::from(first),
        i64::from(last),
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}
