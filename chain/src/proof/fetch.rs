//! Asking a node for a proof of stakes. Nothing that it answers is believed: every value is read through the trie nodes,
//! from the state root of the header that has the block's hash.

use codec::Encode as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use sp_core::Blake2Hasher;
use sp_trie::StorageProof;

use super::{Header, ProofError, ProvedStakes, StakeProof, header, layout, trie};
use crate::client::{Client, insert, parse_hex};
use crate::error::Error;
use crate::types::{BlockHash, BlockRef, NetUid};

/// How many keys one request asks for: 40 kB of it. On a chain with a million accounts the answer is some hundred kB.
const KEYS: usize = 256;

impl Client {
    /// The stakes of a subnet at this block with their proof, which was verified.
    ///
    /// Four rounds, in requests of 256 keys at most: the subnet; its hotkeys; for each its owner, stake, parents and
    /// children; the stake of parents elsewhere. A node that has discarded the state gives way to an archive node.
    ///
    /// Errors: [`Error::Proof`] when the node's answer does not hold, [`Error::Missing`] and [`Error::Decode`] when the
    /// runtime keeps stake in another way, [`Error::StateDiscarded`], and what the connection may do.
    pub async fn prove_stake(
        &self,
        netuid: NetUid,
        block: BlockRef,
    ) -> Result<(StakeProof, ProvedStakes), Error> {
        let wrong = |source| Error::Proof {
            netuid,
            block,
            source,
        };
        layout::check(&*self.runtime(block).await?)?;
        let header_bytes = self.header(block).await?;
        let (_, root) = header(&header_bytes).map_err(wrong)?;
        let mut gathered = layout::Gathered::new(netuid);
        let mut used = trie::Nodes::default();
        loop {
            let keys = gathered.wanted().map_err(wrong)?;
            if keys.is_empty() {
                break;
            }
            for keys in keys.chunks(KEYS) {
                let nodes = self.read_proof(block, keys).await?;
                // Only the nodes that lead to a value are kept, whatever else came.
                let db = StorageProof::new(nodes).into_memory_db::<Blake2Hasher>();
                let values = trie::read(&db, root, keys, &mut used).map_err(wrong)?;
                gathered.extend(keys.to_vec(), values);
            }
        }
        let proof = StakeProof {
            netuid,
            header: header_bytes,
            nodes: trie::compact(used, root).map_err(wrong)?,
        };
        // As anybody will do it with what is stored.
        let proved = proof.verify(block.hash).map_err(wrong)?;
        if proved.block != block {
            return Err(Error::Inconsistent {
                netuid,
                what: "the block of this hash has another number",
            });
        }
        Ok((proof, proved))
    }

    /// The header of a block in SCALE, which has the block's hash.
    async fn header(&self, block: BlockRef) -> Result<Vec<u8>, Error> {
        const METHOD: &str = "chain_getHeader";
        let at = block.hash.to_string();
        let header: Option<Box<RawValue>> = self.ask(METHOD, |params| insert(params, &at)).await?;
        let wrong = |source| Error::Response {
            method: METHOD,
            source,
        };
        let header = header.ok_or_else(|| wrong("the node does not know the block".into()))?;
        let header: Header = serde_json::from_str(header.get()).map_err(|error| wrong(error.into()))?;
        let bytes = header.encode();
        let found = BlockHash(sp_core::blake2_256(&bytes));
        if found != block.hash {
            let expected = block.hash;
            return Err(wrong(ProofError::OtherBlock { expected, found }.into()));
        }
        Ok(bytes)
    }

    /// The trie nodes from the state root to these keys, as the node gives them.
    async fn read_proof(&self, block: BlockRef, keys: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        const METHOD: &str = "state_getReadProof";
        #[derive(Deserialize)]
        struct ReadProof {
            proof: Vec<String>,
        }
        let keys: Vec<String> = keys.iter().map(|key| format!("0x{}", hex::encode(key))).collect();
        let at = block.hash.to_string();
        let answer: ReadProof = self
            .ask(METHOD, |params| {
                insert(params, &keys);
                insert(params, &at);
            })
            .await?;
        answer.proof.iter().map(|node| parse_hex(METHOD, node)).collect()
    }
}
