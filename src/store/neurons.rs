//! Tables `neuron_heads`, `neurons` and `neuron_history`: who is registered, and what changed.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use violet_chain::{Coldkey, Hotkey};

use crate::domain::neurons::{Change, Changed, Kind, State};

/// A snapshot whose neurons are known.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Head {
    pub genesis: [u8; 32],
    pub block: u32,
    pub block_hash: [u8; 32],
    pub block_at: DateTime<Utc>,
}

/// Locks the last snapshot whose changes were recorded. When there is none, `first` becomes it, and `None` is the
/// answer. Whoever else wants it waits until the transaction ends.
pub(crate) async fn lock_head(
    db: &mut PgConnection,
    netuid: u16,
    first: &Head,
) -> Result<Option<Head>, sqlx::Error> {
    // A row must exist to be locked: two replicas may see the first snapshot at the same moment.
    let inserted = sqlx::query!(
        r#"
        insert into neuron_heads (netuid, genesis, block, block_hash, block_at) values ($1, $2, $3, $4, $5)
        on conflict do nothing
        "#,
        i32::from(netuid),
        &first.genesis[..],
        i64::from(first.block),
        &first.block_hash[..],
        first.block_at,
    )
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let row = sqlx::query!(
        "select genesis, block, block_hash, block_at from neuron_heads where netuid = $1 for update",
        i32::from(netuid),
    )
    .fetch_one(db)
    .await?;
    Ok(Some(Head {
        genesis: super::bytes("genesis", row.genesis)?,
        block: u32::try_from(row.block).unwrap_or(0),
        block_hash: super::bytes("block_hash", row.block_hash)?,
        block_at: row.block_at,
    }))
}

/// The changes up to this snapshot are recorded.
pub(crate) async fn move_head(db: &mut PgConnection, netuid: u16, head: &Head) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update neuron_heads set genesis = $2, block = $3, block_hash = $4, block_at = $5 where netuid = $1",
        i32::from(netuid),
        &head.genesis[..],
        i64::from(head.block),
        &head.block_hash[..],
        head.block_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The neurons of the last snapshot, in uid order.
pub(crate) async fn all(db: impl PgExecutor<'_>, netuid: u16) -> Result<Vec<State>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select uid, hotkey, coldkey, registered_at, validator_permit, axon from neurons where netuid = $1 order by uid
        "#,
        i32::from(netuid),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(State {
                uid: u16::try_from(row.uid).unwrap_or(u16::MAX),
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                coldkey: Coldkey(super::bytes("coldkey", row.coldkey)?),
                registered_at: u64::try_from(row.registered_at).unwrap_or(0),
                validator_permit: row.validator_permit,
                axon: row.axon,
            })
        })
        .collect()
}

/// Writes the neurons that are new or not as they were, and takes out the uids that are gone.
pub(crate) async fn put(
    db: &mut PgConnection,
    netuid: u16,
    neurons: &[&State],
    gone: &[u16],
) -> Result<(), sqlx::Error> {
    let gone: Vec<i32> = gone.iter().map(|uid| i32::from(*uid)).collect();
    sqlx::query!(
        "delete from neurons where netuid = $1 and uid = any($2)",
        i32::from(netuid),
        &gone,
    )
    .execute(&mut *db)
    .await?;
    let uids: Vec<i32> = neurons.iter().map(|state| i32::from(state.uid)).collect();
    let hotkeys: Vec<Vec<u8>> = neurons.iter().map(|state| state.hotkey.0.to_vec()).collect();
    let coldkeys: Vec<Vec<u8>> = neurons.iter().map(|state| state.coldkey.0.to_vec()).collect();
    let registered: Vec<i64> = neurons
        .iter()
        .map(|state| i64::try_from(state.registered_at).unwrap_or(i64::MAX))
        .collect();
    let permits: Vec<bool> = neurons.iter().map(|state| state.validator_permit).collect();
    let axons: Vec<Option<String>> = neurons.iter().map(|state| state.axon.clone()).collect();
    sqlx::query!(
        r#"
        insert into neurons (netuid, uid, hotkey, coldkey, registered_at, validator_permit, axon)
        select $1, * from unnest($2::int[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bool[], $7::text[])
        on conflict (netuid, uid) do update
        set hotkey = excluded.hotkey, coldkey = excluded.coldkey, registered_at = excluded.registered_at,
            validator_permit = excluded.validator_permit, axon = excluded.axon
        "#,
        i32::from(netuid),
        &uids,
        &hotkeys,
        &coldkeys,
        &registered,
        &permits,
        &axons as &[Option<String>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The columns of a change that not every kind has.
#[derive(Default)]
struct Particulars {
    other_hotkey: Option<Hotkey>,
    former_coldkey: Option<Coldkey>,
    former_axon: Option<String>,
    axon: Option<String>,
}

impl From<&Change> for Particulars {
    fn from(change: &Change) -> Self {
        match change {
            Change::Registered { instead_of: other } | Change::Deregistered { replaced_by: other } => Self {
                other_hotkey: *other,
                ..Self::default()
            },
            Change::HotkeySwapped { from } => Self {
                other_hotkey: Some(*from),
                ..Self::default()
            },
            Change::ColdkeySwapped { from } => Self {
                former_coldkey: Some(*from),
                ..Self::default()
            },
            Change::PermitGained | Change::PermitLost => Self::default(),
            Change::AxonChanged { from, to } => Self {
                former_axon: from.clone(),
                axon: to.clone(),
                ..Self::default()
            },
        }
    }
}

/// Records what changed between two snapshots.
pub(crate) async fn record(
    db: &mut PgConnection,
    netuid: u16,
    from: &Head,
    to: &Head,
    changes: &[Changed],
) -> Result<(), sqlx::Error> {
    let uids: Vec<i32> = changes.iter().map(|changed| i32::from(changed.uid)).collect();
    let kinds: Vec<Kind> = changes.iter().map(|changed| changed.change.kind()).collect();
    let hotkeys: Vec<Vec<u8>> = changes.iter().map(|changed| changed.hotkey.0.to_vec()).collect();
    let coldkeys: Vec<Vec<u8>> = changes.iter().map(|changed| changed.coldkey.0.to_vec()).collect();
    let particulars: Vec<Particulars> = changes
        .iter()
        .map(|changed| Particulars::from(&changed.change))
        .collect();
    let others: Vec<Option<Vec<u8>>> = particulars
        .iter()
        .map(|each| each.other_hotkey.map(|hotkey| hotkey.0.to_vec()))
        .collect();
    let former_coldkeys: Vec<Option<Vec<u8>>> = particulars
        .iter()
        .map(|each| each.former_coldkey.map(|coldkey| coldkey.0.to_vec()))
        .collect();
    let former_axons: Vec<Option<String>> = particulars.iter().map(|each| each.former_axon.clone()).collect();
    let axons: Vec<Option<String>> = particulars.into_iter().map(|each| each.axon).collect();
    // Block 0 has no time.
    let from_at = (from.block_at > DateTime::UNIX_EPOCH).then_some(from.block_at);
    sqlx::query!(
        r#"
        insert into neuron_history
            (netuid, genesis, from_block, from_at, block, block_hash, block_at,
             uid, change, hotkey, coldkey, other_hotkey, former_coldkey, former_axon, axon, place)
        select $1, $2, $3, $4, $5, $6, $7, c.*
        from unnest($8::int[], $9::neuron_change[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[],
                    $14::text[], $15::text[]) with ordinality as c
        order by c.ordinality
        "#,
        i32::from(netuid),
        &to.genesis[..],
        i64::from(from.block),
        from_at,
        i64::from(to.block),
        &to.block_hash[..],
        to.block_at,
        &uids,
        &kinds as &[Kind],
        &hotkeys,
        &coldkeys,
        &others as &[Option<Vec<u8>>],
        &former_coldkeys as &[Option<Vec<u8>>],
        &former_axons as &[Option<String>],
        &axons as &[Option<String>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A recorded change.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Recorded {
    pub change_id: i64,
    pub kind: Kind,
    pub hotkey: Hotkey,
    pub coldkey: Coldkey,
    pub other_hotkey: Option<Hotkey>,
    pub former_coldkey: Option<Coldkey>,
    pub former_axon: Option<String>,
    pub axon: Option<String>,
    pub from_block: i64,
    pub from_at: Option<DateTime<Utc>>,
    pub block: i64,
    pub block_at: DateTime<Utc>,
}

/// One page of what happened to a uid on the chain that is followed, newest first; `before` is the last id of the
/// previous page.
pub(crate) async fn history(
    db: impl PgExecutor<'_>,
    netuid: u16,
    uid: u16,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select h.change_id, h.change as "change: Kind", h.hotkey, h.coldkey, h.other_hotkey, h.former_coldkey,
               h.former_axon, h.axon, h.from_block, h.from_at, h.block, h.block_at
        from neuron_history h
        join neuron_heads n on n.netuid = h.netuid and n.genesis = h.genesis
        where h.netuid = $1 and h.uid = $2 and ($3::bigint is null or h.change_id < $3)
        order by h.change_id desc
        limit $4
        "#,
        i32::from(netuid),
        i32::from(uid),
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let other = row.other_hotkey.map(|key| super::bytes("other_hotkey", key));
            let former = row.former_coldkey.map(|key| super::bytes("former_coldkey", key));
            Ok(Recorded {
                change_id: row.change_id,
                kind: row.change,
                hotkey: Hotkey(super::bytes("hotkey", row.hotkey)?),
                coldkey: Coldkey(super::bytes("coldkey", row.coldkey)?),
                other_hotkey: other.transpose()?.map(Hotkey),
                former_coldkey: former.transpose()?.map(Coldkey),
                former_axon: row.former_axon,
                axon: row.axon,
                from_block: row.from_block,
                from_at: row.from_at,
                block: row.block,
                block_at: row.block_at,
            })
        })
        .collect()
}
