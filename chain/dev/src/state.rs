//! State: trie nodes of all kept blocks in one store, and views of it at one root.
//!
//! A block's state is a root hash; blocks share the nodes they have in common. Runs the runtime over a view,
//! but knows no blocks: who may be discarded is decided by the node.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hash_db::{AsHashDB, HashDB, Hasher as _, Prefix};
use sp_core::H256;
use sp_core::storage::{StateVersion, Storage};
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{
    Backend as _, BackendTransaction, DBValue, DefaultError, Ext, IterArgs, LayoutV1, OverlayedChanges,
    TrieBackend, TrieBackendBuilder, TrieBackendStorage,
};
use sp_trie::TrieConfiguration as _;
use sp_trie::cache::{CacheSize, LocalTrieCache, SharedTrieCache};

use crate::runtime::upgrade;

/// The state version of the runtime's `system_version` 1.
pub(crate) const STATE_VERSION: StateVersion = StateVersion::V1;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The node of an empty trie; it is never stored.
const EMPTY_NODE: &[u8] = &[0];

/// Its hash, which is compared with at every read.
static EMPTY_ROOT: LazyLock<H256> = LazyLock::new(sp_trie::empty_trie_root::<LayoutV1<BlakeTwo256>>);

/// Bytes of memory for what was read of late: decoded nodes, and values by root and key.
const CACHED: CacheSize = CacheSize::new(64 << 20);

/// Trie nodes by prefixed hash, shared by all blocks.
#[derive(Clone)]
pub(crate) struct Nodes {
    table: Arc<RwLock<Table>>,
    /// Nodes are what their hash says, and values what their root does, so it never has to be told of anything.
    cache: SharedTrieCache<BlakeTwo256>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            table: Arc::default(),
            cache: SharedTrieCache::new(CACHED, None),
        }
    }
}

type Table = HashMap<Arc<[u8]>, Node, RandomState>;

struct Node {
    bytes: DBValue,
    /// How many of the kept blocks brought the node in, less the removals that are settled.
    holders: u32,
}

/// The nodes a block's state has and its parent's has not, and the other way round.
#[derive(Default)]
pub(crate) struct Difference {
    added: Vec<Arc<[u8]>>,
    removed: Vec<Arc<[u8]>>,
}

impl Nodes {
    /// Stores a genesis and gives its root.
    pub(crate) fn genesis(&self, storage: &Storage) -> H256 {
        let mut nodes = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // About as many nodes as the trie has.
        nodes.reserve(storage.top.len() * 3 / 2);
        // From the leaves up, each node once; the keys are in order.
        LayoutV1::<BlakeTwo256>::trie_build(&mut Building(&mut nodes), &storage.top)
    }

    /// Stores what a block added. What it removed stays until the block's [`Difference`] is settled.
    pub(crate) fn commit(&self, mut changes: BackendTransaction<BlakeTwo256>) -> Difference {
        let mut nodes = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut difference = Difference::default();
        for (key, (bytes, count)) in changes.drain() {
            let key: Arc<[u8]> = key.into();
            if count > 0 {
                let node = nodes.entry(Arc::clone(&key));
                node.or_insert(Node { bytes, holders: 0 }).holders += 1;
                difference.added.push(key);
            } else if count < 0 {
                difference.removed.push(key);
            }
        }
        difference
    }

    /// Drops what a block removed, given that its parent's state and those of its siblings are not needed.
    pub(crate) fn settle(&self, difference: &Difference) {
        self.release(&difference.removed);
    }

    /// Drops what a block added, given that its state and those of its descendants are not needed.
    pub(crate) fn undo(&self, difference: &Difference) {
        self.release(&difference.added);
    }

    fn release(&self, keys: &[Arc<[u8]>]) {
        let mut nodes = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if let Some(node) = nodes.get_mut(key) {
                node.holders -= 1;
                if node.holders == 0 {
                    nodes.remove(key);
                }
            }
        }
    }

    /// How many nodes are stored.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The state with the root.
    pub(crate) fn at(&self, root: H256) -> State {
        State {
            backend: TrieBackendBuilder::new_with_cache(self.clone(), root, self.cache.local_cache_trusted())
                .build(),
        }
    }
}

/// Takes the nodes of a trie that is made at once, without a table between.
struct Building<'a>(&'a mut Table);

impl HashDB<BlakeTwo256, DBValue> for Building<'_> {
    fn get(&self, hash: &H256, prefix: Prefix<'_>) -> Option<DBValue> {
        let key = sp_trie::prefixed_key::<BlakeTwo256>(hash, prefix);
        self.0.get(key.as_slice()).map(|node| node.bytes.clone())
    }

    fn contains(&self, hash: &H256, prefix: Prefix<'_>) -> bool {
        self.get(hash, prefix).is_some()
    }

    fn insert(&mut self, prefix: Prefix<'_>, value: &[u8]) -> H256 {
        let hash = BlakeTwo256::hash(value);
        self.emplace(hash, prefix, value.to_vec());
        hash
    }

    fn emplace(&mut self, hash: H256, prefix: Prefix<'_>, bytes: DBValue) {
        if bytes != EMPTY_NODE {
            let key = sp_trie::prefixed_key::<BlakeTwo256>(&hash, prefix);
            self.0.insert(key.into(), Node { bytes, holders: 1 });
        }
    }

    fn remove(&mut self, hash: &H256, prefix: Prefix<'_>) {
        let key = sp_trie::prefixed_key::<BlakeTwo256>(hash, prefix);
        self.0.remove(key.as_slice());
    }
}

impl AsHashDB<BlakeTwo256, DBValue> for Building<'_> {
    fn as_hash_db(&self) -> &dyn HashDB<BlakeTwo256, DBValue> {
        self
    }

    fn as_hash_db_mut<'a>(&'a mut self) -> &'a mut (dyn HashDB<BlakeTwo256, DBValue> + 'a) {
        self
    }
}

impl TrieBackendStorage<BlakeTwo256> for Nodes {
    fn get(&self, hash: &H256, prefix: (&[u8], Option<u8>)) -> Result<Option<DBValue>, DefaultError> {
        if *hash == *EMPTY_ROOT {
            return Ok(Some(EMPTY_NODE.to_vec()));
        }
        let key = sp_trie::prefixed_key::<BlakeTwo256>(hash, prefix);
        Ok(self
            .table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key.as_slice())
            .map(|node| node.bytes.clone()))
    }
}

/// What the runtime or the trie could not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("Exported method {0} is not found")]
    UnknownMethod(String),
    #[error("the runtime panicked in {0}")]
    Panicked(String),
    #[error("the state is not readable: {0}")]
    Unreadable(String),
}

/// The state of one block.
pub(crate) struct State {
    backend: TrieBackend<Nodes, BlakeTwo256, LocalTrieCache<BlakeTwo256>>,
}

impl State {
    /// The value under a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.backend.storage(key).map_err(StateError::Unreadable)
    }

    /// Up to `count` keys below the prefix, in order, after `start` if given.
    pub(crate) fn keys(
        &self,
        prefix: &[u8],
        start: Option<&[u8]>,
        count: usize,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let mut args = IterArgs::default();
        args.prefix = Some(prefix);
        args.start_at = start;
        args.start_at_exclusive = true;
        let keys = self.backend.keys(args).map_err(StateError::Unreadable)?;
        keys.take(count)
            .collect::<Result<_, _>>()
            .map_err(StateError::Unreadable)
    }

    /// The trie nodes that prove what is, or is not, under the keys.
    pub(crate) fn prove(&self, keys: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, StateError> {
        let nodes = self.backend.backend_storage().clone();
        let uncached: TrieBackend<Nodes, BlakeTwo256> =
            TrieBackendBuilder::new(nodes, *self.backend.root()).build();
        let proof = sp_state_machine::prove_read_on_trie_backend(&uncached, keys)
            .map_err(|error| StateError::Unreadable(error.to_string()))?;
        Ok(proof.into_iter_nodes().collect())
    }

    /// Every key with its value, in order.
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>, StateError> {
        let pairs = self
            .backend
            .pairs(IterArgs::default())
            .map_err(StateError::Unreadable)?;
        pairs.collect::<Result<_, _>>().map_err(StateError::Unreadable)
    }

    /// Calls a runtime API and forgets what it changed.
    pub(crate) fn call(&self, method: &str, arguments: &[u8]) -> Result<Vec<u8>, StateError> {
        let mut overlay = OverlayedChanges::default();
        let call = || self.run(&mut overlay, || upgrade::dispatch(method, arguments));
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(StateError::UnknownMethod(method.to_owned())),
            // FRAME panics on arguments it cannot decode.
            Err(_) => Err(StateError::Panicked(method.to_owned())),
        }
    }

    /// Runs native code over the state, gathering its changes.
    pub(crate) fn run<R>(&self, overlay: &mut OverlayedChanges<BlakeTwo256>, code: impl FnOnce() -> R) -> R {
        let mut ext = Ext::new(overlay, &self.backend, None);
        sp_externalities::set_and_run_with_externalities(&mut ext, code)
    }

    /// The new root and nodes after the changes.
    pub(crate) fn changes(
        &self,
        overlay: &mut OverlayedChanges<BlakeTwo256>,
    ) -> Result<(H256, BackendTransaction<BlakeTwo256>), StateError> {
        let changes = overlay
            .drain_storage_changes(&self.backend, STATE_VERSION)
            .map_err(StateError::Unreadable)?;
        Ok((changes.transaction_storage_root, changes.transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie that is made at once is the one that insertions make, long values and all.
    #[test]
    fn a_genesis_is_the_trie_of_its_values() {
        let mut storage = Storage::default();
        for i in 0..2_000_u32 {
            let key = sp_core::blake2_128(&i.to_le_bytes());
            let length = (i % 80) as usize;
            storage
                .top
                .insert(key[..=i as usize % 16].to_vec(), vec![7; length]);
        }
        let (once, one_by_one) = (Nodes::default(), Nodes::default());
        let root = once.genesis(&storage);
        let empty = one_by_one.at(*EMPTY_ROOT);
        let values = storage.top.iter();
        let values = values.map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        let (expected, nodes) = empty.backend.storage_root(values, STATE_VERSION);
        one_by_one.commit(nodes);
        assert_eq!((root, once.len()), (expected, one_by_one.len()));
        assert_eq!(
            once.at(root).pairs().unwrap(),
            one_by_one.at(expected).pairs().unwrap()
        );
    }
}
