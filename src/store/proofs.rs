//! Table `stake_proofs`.
use sqlx::PgExecutor;

/// Stores the proof of a base's block; the first one stays. `false` if nothing was stored, as without such a base.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    netuid: u16,
    block_hash: [u8; 32],
    proof: &[u8],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        insert into stake_proofs (netuid, block_hash, proof)
        select netuid, block_hash, $3 from bases where netuid = $1 and block_hash = $2
        on conflict do nothing
        "#,
        i32::from(netuid),
        &block_hash[..],
        proof,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The number of the latest block of this chain whose stakes are proved.
pub(crate) async fn last(
    db: impl PgExecutor<'_>,
    netuid: u16,
    genesis: [u8; 32],
) -> Result<Option<u32>, sqlx::Error> {
    let block = sqlx::query_scalar!(
        r#"
        select b.block from stake_proofs p join bases b using (netuid, block_hash)
        where netuid = $1 and b.genesis = $2 order by b.block_at desc limit 1
        "#,
        i32::from(netuid),
        &genesis[..],
    )
    .fetch_optional(db)
    .await?;
    Ok(block.and_then(|block| u32::try_from(block).ok()))
}

/// Hash of a block with its proof.
pub(crate) type Found = ([u8; 32], Vec<u8>);

/// The proof of the block with this hash.
pub(crate) async fn by_hash(
    db: impl PgExecutor<'_>,
    netuid: u16,
    block_hash: [u8; 32],
) -> Result<Option<Found>, sqlx::Error> {
    let proof = sqlx::query_scalar!(
        "select proof from stake_proofs where netuid = $1 and block_hash = $2",
        i32::from(netuid),
        &block_hash[..],
    )
    .fetch_optional(db)
    .await?;
    Ok(proof.map(|proof| (block_hash, proof)))
}

/// The proof of the latest block with this number.
pub(crate) async fn by_number(
    db: impl PgExecutor<'_>,
    netuid: u16,
    block: u32,
) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select block_hash, p.proof from stake_proofs p join bases b using (netuid, block_hash)
        where netuid = $1 and b.block = $2 order by b.block_at desc limit 1
        "#,
        i32::from(netuid),
        i64::from(block),
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok((super::bytes("block_hash", row.block_hash)?, row.proof)))
        .transpose()
}

/// A proof that a receipt may be checked with.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct OfBase {
    /// Digest of the base's record.
    pub record: [u8; 32],
    pub block: u32,
    pub block_hash: [u8; 32],
    /// Bytes of the proof.
    pub size: u32,
}

/// The proofs that there are for bases with these records, in the order of their blocks.
pub(crate) async fn of_bases(
    db: impl PgExecutor<'_>,
    records: &[Vec<u8>],
) -> Result<Vec<OfBase>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select b.record, b.block, block_hash, octet_length(p.proof) as "size!"
        from bases b join stake_proofs p using (netuid, block_hash)
        where b.record = any($1) order by b.block_at
        "#,
        records,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(OfBase {
                record: super::bytes("record", row.record)?,
                block: u32::try_from(row.block).unwrap_or_default(),
                block_hash: super::bytes("block_hash", row.block_hash)?,
                size: u32::try_from(row.size).unwrap_or_default(),
            })
        })
        .collect()
}
