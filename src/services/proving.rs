//! Proofs of the stakes that draws rest on: fetched once per tempo, beside everything else, and kept for whoever checks
//! a receipt. Whatever becomes of it, drawing goes on.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};
use violet_chain::{BlockHash, ParseError, Snapshot};

use crate::{
    app::App,
    error::{Error, Result},
    services::snapshots,
    store,
};

/// Counts what became of proofs.
const COUNTER: &str = "violet_stake_proofs_total";
/// Verified, equal to the snapshot, and stored.
const STORED: &str = "stored";
/// The node did not give one, or gave one that does not hold.
const FAILED: &str = "failed";
/// It holds, but the same node's metagraph says something else.
const DIFFERS: &str = "differs";

/// A block, by number or by hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockName {
    /// The latest one with this number, should the chain have begun again.
    Number(u32),
    /// Exactly this one.
    Hash(BlockHash),
}

impl FromStr for BlockName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse()
            .map(Self::Number)
            .or_else(|_| text.parse().map(Self::Hash))
    }
}

impl<'de> Deserialize<'de> for BlockName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = BlockName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a block or its hash")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockName, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

/// Shows the counters from the beginning.
pub fn begin() {
    for outcome in [STORED, FAILED, DIFFERS] {
        metrics::counter!(COUNTER, "outcome" => outcome).increment(0);
    }
}

/// Fetches the proof of the snapshot in force and stores it with its base, if the last one is a tempo old.
///
/// # Errors
/// When the node does not give a proof that holds, or one of other stakes than its metagraph; and when the database does
/// not answer.
pub async fn prove(app: &App) -> Result<()> {
    let Some(current) = app.snapshots.latest() else {
        return Ok(());
    };
    let snapshot = &current.snapshot;
    let chain = snapshots::client(app).await?;
    let last = store::proofs::last(&app.db, snapshot.netuid.0, chain.genesis_hash().0).await?;
    if snapshot.neurons.is_empty() || !is_due(last, snapshot) {
        return Ok(());
    }
    let count = |outcome| metrics::counter!(COUNTER, "outcome" => outcome).increment(1);
    let (proof, proved) = chain
        .prove_stake(snapshot.netuid, snapshot.block)
        .await
        .map_err(|error| {
            count(FAILED);
            Error::internal(error)
        })?;
    let differing = proved.differing(snapshot);
    if let Some(first) = differing.first() {
        count(DIFFERS);
        let (block, uids) = (snapshot.block.number, differing.len());
        return Err(Error::internal(format!(
            "the state of block {block} has other neurons or stakes than the node's metagraph, at {uids} uids from {first}"
        )));
    }
    let bytes = proof.to_bytes();
    if store::proofs::insert(&app.db, snapshot.netuid.0, snapshot.block.hash.0, &bytes).await? {
        count(STORED);
        let (block, bytes) = (snapshot.block.number, bytes.len());
        tracing::info!(block, bytes, "the stakes of the subnet are proved");
    }
    Ok(())
}

/// Whether the stakes at this snapshot are to be proved, when those of the block `last` are.
fn is_due(last: Option<u32>, snapshot: &Snapshot) -> bool {
    let tempo = u32::from(snapshot.tempo.max(1));
    // A block before the last one is that of a local chain that began again.
    last.is_none_or(|last| {
        snapshot
            .block
            .number
            .checked_sub(last)
            .is_none_or(|age| age >= tempo)
    })
}

/// The proof that is stored for a block: its hash, and the bytes as violet-chain reads them.
///
/// # Errors
/// 404 when there is none.
pub async fn find(app: &App, block: BlockName) -> Result<(BlockHash, Vec<u8>)> {
    let netuid = app.config.netuid;
    let found = match block {
        BlockName::Number(number) => store::proofs::by_number(&app.db, netuid, number).await?,
        BlockName::Hash(hash) => store::proofs::by_hash(&app.db, netuid, hash.0).await?,
    };
    let (hash, proof) = found.ok_or(Error::NotFound {
        what: "proof of that block's stakes",
    })?;
    Ok((BlockHash(hash), proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_named_by_number_or_hash() {
        let name = |text: &str| text.parse::<BlockName>();
        assert_eq!(name("4294967295"), Ok(BlockName::Number(u32::MAX)));
        let hash = format!("0x{}", "ab".repeat(32));
        assert_eq!(name(&hash), Ok(BlockName::Hash(BlockHash([0xab; 32]))));
        for wrong in ["", "-1", "4294967296", "0xab", "x"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
