//! State: trie nodes of all kept blocks in one store, and views of it at one root.
//!
//! A block's state is a root hash; blocks share the nodes they have in common. Runs the runtime over a view,
//! but knows no blocks: who may be discarded is decided by the node.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use sp_core::H256;
use sp_core::storage::{ChildInfo, StateVersion, Storage};
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{
    Backend as _, BackendTransaction, DBValue, DefaultError, Ext, IterArgs, LayoutV1, OverlayedChanges,
    TrieBackend, TrieBackendBuilder, TrieBackendStorage,
};

use crate::runtime::{self, BlockNumber};

/// The state version of the runtime's `system_version` 1.
pub(crate) const STATE_VERSION: StateVersion = StateVersion::V1;

/// The node of an empty trie; it is never stored.
const EMPTY_NODE: &[u8] = &[0];

/// Trie nodes by prefixed hash, shared by all blocks.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Arc<RwLock<Inner>>);

#[derive(Default)]
struct Inner {
    nodes: HashMap<Vec<u8>, DBValue>,
    /// The block that no longer has a node which its parent had.
    removed_at: HashMap<Vec<u8>, BlockNumber>,
    /// The same, by block.
    removed_by: HashMap<BlockNumber, HashSet<Vec<u8>>>,
}

impl Nodes {
    /// Stores a genesis and gives its root.
    pub(crate) fn genesis(&self, storage: &Storage) -> H256 {
        let empty =
            TrieBackendBuilder::new(self.clone(), sp_trie::empty_trie_root::<LayoutV1<BlakeTwo256>>());
        let top = storage
            .top
            .iter()
            .map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
        let children: [(&ChildInfo, std::iter::Empty<_>); 0] = [];
        let (root, nodes) = empty
            .build()
            .full_storage_root(top, children.into_iter(), STATE_VERSION);
        self.commit(0, nodes);
        root
    }

    /// Stores what a block added and remembers what it removed.
    pub(crate) fn commit(&self, number: BlockNumber, mut changes: BackendTransaction<BlakeTwo256>) {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        for (key, (node, count)) in changes.drain() {
            if count > 0 {
                // A node that comes back within the window outlives its removal.
                if let Some(block) = inner.removed_at.remove(&key)
                    && let Some(removed) = inner.removed_by.get_mut(&block)
                {
                    removed.remove(&key);
                }
                inner.nodes.insert(key, node);
            } else if count < 0 {
                inner.removed_by.entry(number).or_default().insert(key.clone());
                inner.removed_at.insert(key, number);
            }
        }
    }

    /// Drops the nodes that blocks before `number` had and it has not, given that their states are not needed.
    pub(crate) fn prune(&self, number: BlockNumber) {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        for key in inner.removed_by.remove(&number).into_iter().flatten() {
            inner.removed_at.remove(&key);
            inner.nodes.remove(&key);
        }
    }

    /// How many nodes are stored.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).nodes.len()
    }

    /// The state with the root.
    pub(crate) fn at(&self, root: H256) -> State {
        State {
            backend: TrieBackendBuilder::new(self.clone(), root).build(),
        }
    }
}

impl TrieBackendStorage<BlakeTwo256> for Nodes {
    fn get(&self, hash: &H256, prefix: (&[u8], Option<u8>)) -> Result<Option<DBValue>, DefaultError> {
        if *hash == sp_trie::empty_trie_root::<LayoutV1<BlakeTwo256>>() {
            return Ok(Some(EMPTY_NODE.to_vec()));
        }
        let key = sp_trie::prefixed_key::<BlakeTwo256>(hash, prefix);
        Ok(self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .nodes
            .get(&key)
            .cloned())
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
    backend: TrieBackend<Nodes, BlakeTwo256>,
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
        let proof = sp_state_machine::prove_read_on_trie_backend(&self.backend, keys)
            .map_err(|error| StateError::Unreadable(error.to_string()))?;
        Ok(proof.into_iter_nodes().collect())
    }

    /// Calls a runtime API and forgets what it changed.
    pub(crate) fn call(&self, method: &str, arguments: &[u8]) -> Result<Vec<u8>, StateError> {
        let mut overlay = OverlayedChanges::default();
        let call = || self.run(&mut overlay, || runtime::api::dispatch(method, arguments));
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
