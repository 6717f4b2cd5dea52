//! The state trie of one block as far as some nodes of it go: reading values, and the compact form of what was read.

use std::collections::BTreeSet;

use sp_core::{Blake2Hasher, H256};
use sp_trie::{CompactProof, LayoutV1, MemoryDB, Recorder, StorageProof, Trie as _, TrieDBBuilder};

use super::ProofError;

/// Reads both state versions; 1 is that of the chain.
type Layout = LayoutV1<Blake2Hasher>;

/// Encoded trie nodes, each once.
pub(super) type Nodes = BTreeSet<Vec<u8>>;

/// The values under these keys, `None` for what is proved absent; notes the nodes that lead to them.
pub(super) fn read(
    db: &MemoryDB<Blake2Hasher>,
    root: H256,
    keys: &[Vec<u8>],
    used: &mut Nodes,
) -> Result<Vec<Option<Vec<u8>>>, ProofError> {
    let mut recorder = Recorder::<Layout>::new();
    let values = {
        let trie = TrieDBBuilder::<Layout>::new(db, &root)
            .with_recorder(&mut recorder)
            .build();
        let values = keys
            .iter()
            .map(|key| trie.get(key).map_err(|_| ProofError::Nodes));
        values.collect::<Result<_, _>>()?
    };
    used.extend(recorder.drain().into_iter().map(|visited| visited.data));
    Ok(values)
}

/// Nodes in the order of the trie, without the hashes that follow from other nodes.
pub(super) fn compact(nodes: Nodes, root: H256) -> Result<CompactProof, ProofError> {
    StorageProof::new(nodes)
        .into_compact_proof::<Blake2Hasher>(root)
        .map_err(|_| ProofError::Nodes)
}
