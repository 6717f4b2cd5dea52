//! Table `neuron_keys`.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, types::Json};
use violet_chain::{CryptoType, Hotkey};

use crate::domain::{NeuronKeyId, capability::Offer, enrolment::NeuronKind};

/// A key of a neuron; the key itself is not stored.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NeuronKey {
    pub neuron_key_id: NeuronKeyId,
    pub kind: NeuronKind,
    pub netuid: u16,
    pub uid: u16,
    pub hotkey: Hotkey,
    pub crypto: CryptoType,
    pub registered_at: i64,
    pub network: String,
    pub prefix: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What a miner says of itself when it enrols.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Assignments that it takes at once.
    pub capacity: u16,
    /// What it can do.
    pub engines: Vec<Offer>,
}

struct Row {
    neuron_key_id: NeuronKeyId,
    kind: NeuronKind,
    netuid: i32,
    uid: i32,
    hotkey: Vec<u8>,
    crypto: String,
    registered_at: i64,
    network: String,
    prefix: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for NeuronKey {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            neuron_key_id: row.neuron_key_id,
            kind: row.kind,
            netuid: small("netuid", row.netuid)?,
            uid: small("uid", row.uid)?,
            hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
            crypto: super::decode("crypto", &row.crypto)?,
            registered_at: row.registered_at,
            network: row.network,
            prefix: row.prefix,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

fn small(column: &'static str, value: i32) -> Result<u16, sqlx::Error> {
    value.try_into().map_err(|error| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: Box::new(error),
    })
}

/// Waits for whoever else changes the keys of this hotkey, until the caller's transaction ends.
pub(crate) async fn lock(db: &mut PgConnection, hotkey: Hotkey) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 12))",
        &hotkey.0[..]
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    new: &NeuronKey,
    declared: Option<&Declared>,
    hash: [u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into neuron_keys
            (neuron_key_id, kind, netuid, uid, hotkey, crypto, registered_at, network, prefix, hash, created_at,
             expires_at, capacity, engines)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        "#,
        new.neuron_key_id as NeuronKeyId,
        new.kind as NeuronKind,
        i32::from(new.netuid),
        i32::from(new.uid),
        &new.hotkey.0[..],
        new.crypto.as_str(),
        new.registered_at,
        new.network,
        new.prefix,
        &hash[..],
        new.created_at,
        new.expires_at,
        declared.map(|declared| i32::from(declared.capacity)),
        declared.map(|declared| Json(&declared.engines[..])) as Option<Json<&[Offer]>>,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The key with this hash, unless it was revoked.
pub(crate) async fn find(db: impl PgExecutor<'_>, hash: [u8; 32]) -> Result<Option<NeuronKey>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select neuron_key_id as "neuron_key_id: NeuronKeyId", kind as "kind: NeuronKind", netuid, uid, hotkey, crypto,
            registered_at, network, prefix, created_at, expires_at
        from neuron_keys where hash = $1 and revoked_at is null
        "#,
        &hash[..],
    )
    .fetch_optional(db)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// The keys of a hotkey that were not revoked and have not expired, newest first.
pub(crate) async fn of_hotkey(
    db: impl PgExecutor<'_>,
    netuid: u16,
    hotkey: Hotkey,
    now: DateTime<Utc>,
) -> Result<Vec<NeuronKey>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select neuron_key_id as "neuron_key_id: NeuronKeyId", kind as "kind: NeuronKind", netuid, uid, hotkey, crypto,
            registered_at, network, prefix, created_at, expires_at
        from neuron_keys
        where netuid = $1 and hotkey = $2 and revoked_at is null and expires_at > $3
        order by neuron_key_id desc
        "#,
        i32::from(netuid),
        &hotkey.0[..],
        now,
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Revokes a key of this hotkey; whether there was one.
pub(crate) async fn revoke(
    db: impl PgExecutor<'_>,
    hotkey: Hotkey,
    id: NeuronKeyId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        update neuron_keys set revoked_at = now()
        where neuron_key_id = $1 and hotkey = $2 and revoked_at is null
        "#,
        id as NeuronKeyId,
        &hotkey.0[..],
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
