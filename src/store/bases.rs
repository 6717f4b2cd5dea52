//! Tables `bases` and `missed_snapshots`.
use sqlx::PgExecutor;
use violet_chain::VrfProof;

/// The randomness of one snapshot.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Base {
    pub netuid: u16,
    pub block: u32,
    pub block_hash: [u8; 32],
    pub proof: VrfProof,
    pub output: [u8; 32],
    pub record: [u8; 32],
}

/// Stores a base; the first one of a block stays.
pub(crate) async fn insert(db: impl PgExecutor<'_>, base: &Base) -> Result<(), sqlx::Error> {
    let Base {
        netuid,
        block,
        block_hash,
        proof,
        output,
        record,
    } = base;
    sqlx::query!(
        r#"
        insert into bases (netuid, block, block_hash, preout, proof, output, record)
        values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing
        "#,
        i32::from(*netuid),
        i64::from(*block),
        &block_hash[..],
        &proof.preout[..],
        &proof.proof[..],
        &output[..],
        &record[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The proof of the base with this record, once two later ones were made: from then on everybody may know it.
pub(crate) async fn revealed(
    db: impl PgExecutor<'_>,
    record: [u8; 32],
) -> Result<Option<VrfProof>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select preout, proof from bases b
        where record = $1
          and (select count(*) from (select from bases later
                                     where later.netuid = b.netuid and later.made_at > b.made_at limit 2) two) = 2
        "#,
        &record[..],
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

pub(crate) async fn miss(
    db: impl PgExecutor<'_>,
    netuid: u16,
    block: u32,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into missed_snapshots (netuid, block, reason) values ($1, $2, $3) on conflict do nothing",
        i32::from(netuid),
        i64::from(block),
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}
