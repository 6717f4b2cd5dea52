//! The chain itself: it makes blocks, takes transactions, and moves finality.
//!
//! One producer: a block extends the best one, unless a cheat forks it, and is final at once, unless finality is
//! stalled. Knows nothing of JSON-RPC.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use codec::{Decode as _, Encode as _};
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash as _, Header as _};
use sp_runtime::transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError};
use tokio::sync::watch;

use crate::genesis::Genesis;
use crate::making::{self, BuildError};
use crate::pool::{Pool, Pooled, TooLow};
use crate::runtime::cheats::CheatError;
use crate::runtime::upgrade::{self, Upgrade};
use crate::runtime::{AccountId, BlockNumber, Header, UncheckedExtrinsic};
use crate::saved::{Saved, SavedError};
use crate::state::{Nodes, State, StateError};
use crate::tree::{Beside, BlockError, Cursor, Following, StoredBlock, Tree};

/// Where the time of a seeded chain begins, in milliseconds since 1970.
const SEEDED_START: u64 = 1_700_000_000_000;
/// How far the time of a seeded chain moves with each block: the real chain's slot.
const SEEDED_STEP: u64 = 12_000;

/// Where a transaction is.
pub(crate) enum TransactionState {
    Pending,
    Included {
        block: H256,
        is_final: bool,
    },
    /// Another one with its nonce took its place.
    Usurped(H256),
    /// It will never be included.
    Gone,
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("the extrinsic is not decodable")]
    Undecodable(#[source] codec::Error),
    #[error("the transaction is in the pool or in a block already")]
    Known(H256),
    #[error("{0:?}")]
    Invalid(TransactionValidityError),
    #[error("one with the same nonce waits with a priority of {}, this has {}", .0.waiting, .0.offered)]
    TooLow(TooLow),
    #[error("the transaction could not be checked")]
    Check(#[from] StateError),
}

/// Why the runtime stayed as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Clients keep metadata by spec version.
    #[error("the spec version must be higher than {0}")]
    NotNewer(u32),
    /// Neither a storage item, nor a constant, nor a runtime API, nor a method of one.
    #[error("the runtime has no {0} that could be withheld")]
    NoSuchItem(String),
}

/// A chain in memory.
pub(crate) struct Node {
    chain: Mutex<Chain>,
    nodes: Nodes,
    news: watch::Sender<()>,
}

struct Chain {
    tree: Tree,
    pool: Pool,
    finality_stalled: bool,
    /// Milliseconds since 1970 of the newest block, on whatever fork it is.
    timestamp: u64,
    /// Time goes by the count of blocks and not by the clock.
    seeded: bool,
}

impl Node {
    pub(crate) fn new(genesis: &Genesis, seed: Option<u64>) -> Self {
        let nodes = Nodes::default();
        let state_root = nodes.genesis(&genesis.storage(seed));
        let extrinsics_root = BlakeTwo256::ordered_trie_root(Vec::new(), crate::state::STATE_VERSION);
        let header = Header::new(0, extrinsics_root, state_root, H256::zero(), Default::default());
        let block = StoredBlock {
            hash: header.hash(),
            header,
            extrinsics: Vec::new(),
        };
        let timestamp = seed.map_or(0, |_| SEEDED_START);
        Self::with(Tree::new(nodes.clone(), vec![block], 0), nodes, timestamp, seed)
    }

    /// Goes on where a saved chain stopped.
    pub(crate) fn load(file: &Path, seed: Option<u64>) -> Result<Self, SavedError> {
        let saved = Saved::read(file)?;
        let nodes = Nodes::default();
        let (blocks, finalized, timestamp) = saved.restore(&nodes)?;
        let tree = Tree::new(nodes.clone(), blocks, finalized);
        Ok(Self::with(tree, nodes, timestamp, seed))
    }

    fn with(tree: Tree, nodes: Nodes, timestamp: u64, seed: Option<u64>) -> Self {
        let mut pool = Pool::default();
        for block in tree.best_chain() {
            pool.adopt(block);
        }
        let chain = Chain {
            tree,
            pool,
            finality_stalled: false,
            timestamp,
            seeded: seed.is_some(),
        };
        Self {
            chain: Mutex::new(chain),
            nodes,
            news: watch::Sender::new(()),
        }
    }

    /// Writes the best chain and its state to a file.
    pub(crate) fn save(&self, file: &Path) -> Result<(), SavedError> {
        let chain = self.chain();
        let state = self.nodes.at(*chain.tree.best().header.state_root());
        let blocks = chain.tree.best_chain();
        let saved = Saved::new(blocks, chain.tree.finalized().number(), chain.timestamp, &state)?;
        drop(chain);
        saved.write(file)
    }

    /// Word of new heads and of transactions that left the pool.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(crate) fn best(&self) -> Arc<StoredBlock> {
        Arc::clone(self.chain().tree.best())
    }

    pub(crate) fn finalized(&self) -> Arc<StoredBlock> {
        Arc::clone(self.chain().tree.finalized())
    }

    pub(crate) fn by_number(&self, number: BlockNumber) -> Option<Arc<StoredBlock>> {
        self.chain().tree.by_number(number).cloned()
    }

    pub(crate) fn by_hash(&self, hash: H256) -> Option<Arc<StoredBlock>> {
        self.chain().tree.by_hash(hash).cloned()
    }

    /// The state after the block, the best one by default.
    pub(crate) fn state(&self, hash: Option<H256>) -> Result<State, BlockError> {
        self.chain().tree.state(hash)
    }

    /// The head now, and the place after it.
    pub(crate) fn cursor(&self, following: Following) -> (Arc<StoredBlock>, Cursor) {
        self.chain().tree.cursor(following)
    }

    /// The heads since the cursor, which moves on.
    pub(crate) fn heads_since(&self, cursor: &mut Cursor) -> Vec<Arc<StoredBlock>> {
        self.chain().tree.news(cursor)
    }

    pub(crate) fn pending(&self) -> Vec<Vec<u8>> {
        let chain = self.chain();
        let waiting = chain.pool.waiting.iter();
        waiting.map(|pooled| pooled.bytes.clone()).collect()
    }

    /// How many transactions of the account are waiting.
    pub(crate) fn pending_of(&self, account: &AccountId) -> u32 {
        self.chain().pool.waiting_of(account)
    }

    pub(crate) fn transaction(&self, hash: H256) -> TransactionState {
        let chain = self.chain();
        let block = chain.pool.block_of(hash);
        if let Some(block) = block.and_then(|block| chain.tree.by_hash(block)) {
            TransactionState::Included {
                block: block.hash,
                is_final: block.number() <= chain.tree.finalized().number(),
            }
        } else if chain.pool.waits(hash) {
            TransactionState::Pending
        } else if let Some(usurper) = chain.pool.usurper_of(hash) {
            TransactionState::Usurped(usurper)
        } else {
            TransactionState::Gone
        }
    }

    /// Takes a transaction into the pool if the runtime holds it valid, now or after others.
    pub(crate) fn submit(&self, bytes: Vec<u8>) -> Result<H256, SubmitError> {
        let extrinsic =
            UncheckedExtrinsic::decode(&mut bytes.as_slice()).map_err(SubmitError::Undecodable)?;
        let hash = BlakeTwo256::hash(&bytes);
        let mut chain = self.chain();
        if chain.pool.knows(hash) {
            return Err(SubmitError::Known(hash));
        }
        let best = chain.tree.best();
        let state = self.nodes.at(*best.header.state_root());
        let arguments = (TransactionSource::External, extrinsic, best.hash).encode();
        let answer = state.call("TaggedTransactionQueue_validate_transaction", &arguments)?;
        let validity = TransactionValidity::decode(&mut answer.as_slice())
            .expect("the answer is encoded by the same runtime");
        let priority = validity.map_err(SubmitError::Invalid)?.priority;
        let pooled = Pooled {
            hash,
            bytes,
            priority,
        };
        chain.pool.add(pooled).map_err(SubmitError::TooLow)?;
        // Whoever watches one that lost its place is told.
        self.news.send_replace(());
        Ok(hash)
    }

    /// Makes a block that holds `change` and then what is in the pool. An error of `change` makes none.
    pub(crate) fn build<R>(&self, change: impl FnOnce() -> Result<R, CheatError>) -> Result<R, BuildError> {
        let mut chain = self.chain();
        let parent = Arc::clone(chain.tree.best());
        let state = self.nodes.at(*parent.header.state_root());
        let timestamp = chain.next_timestamp();
        let made = making::make(&state, &parent, timestamp, chain.pool.waiting.clone(), change)?;
        let difference = self.nodes.commit(made.changes);
        chain.timestamp = timestamp;
        chain.pool.waiting = made.later;
        let switch = chain.tree.import(made.block, difference, true);
        chain.pool.follow(&switch);
        chain.finalize();
        self.news.send_replace(());
        Ok(made.result)
    }

    /// Makes empty blocks beside the newest `depth`, one more than those, so that they become the best chain.
    /// Gives how many could be replaced if finality forbids so many.
    pub(crate) fn reorganize(&self, depth: u32) -> Result<Result<(), u32>, BuildError> {
        let mut chain = self.chain();
        let best = chain.tree.best().number();
        let open = best - chain.tree.finalized().number();
        if depth == 0 || depth > open {
            return Ok(Err(open));
        }
        let parent = chain.tree.by_number(best - depth).cloned();
        let mut parent = parent.expect("the best chain has all numbers up to its head");
        for left in (0..=depth).rev() {
            let state = self.nodes.at(*parent.header.state_root());
            let timestamp = chain.next_timestamp();
            let made = making::make(&state, &parent, timestamp, Vec::new(), || Ok(()))?;
            chain.timestamp = timestamp;
            let (hash, difference) = (made.block.hash, self.nodes.commit(made.changes));
            let switch = chain.tree.import(made.block, difference, left == 0);
            chain.pool.follow(&switch);
            parent = Arc::clone(chain.tree.by_hash(hash).expect("it was imported"));
        }
        chain.finalize();
        self.news.send_replace(());
        Ok(Ok(()))
    }

    /// Lets finality stand still, or catch up.
    pub(crate) fn stall_finality(&self, stalled: bool) {
        let mut chain = self.chain();
        chain.finality_stalled = stalled;
        chain.finalize();
        self.news.send_replace(());
    }

    /// Keeps the states of so many blocks behind the finalized one, from now on.
    pub(crate) fn keep_states(&self, count: u32) {
        self.chain().tree.keep_states(count);
    }

    /// Remembers the chain and its pool.
    pub(crate) fn snapshot(&self) -> u64 {
        let mut chain = self.chain();
        let beside = Beside {
            pool: chain.pool.waiting.clone(),
            timestamp: chain.timestamp,
        };
        chain.tree.snapshot(beside)
    }

    /// Makes the chain and its pool what they were. `false` if there is no such snapshot.
    pub(crate) fn revert(&self, id: u64) -> bool {
        let mut chain = self.chain();
        let Some((switch, beside)) = chain.tree.revert(id) else {
            return false;
        };
        chain.pool.follow(&switch);
        chain.pool.waiting = beside.pool;
        chain.timestamp = beside.timestamp;
        self.news.send_replace(());
        true
    }

    /// Makes a block from which on the runtime has another version and lacks some items.
    pub(crate) fn upgrade(&self, upgrade: &Upgrade) -> Result<Result<(), UpgradeError>, BuildError> {
        let state = self.state(None).expect("the best block has its state");
        let mut overlay = Default::default();
        let (now, items) = state.run(&mut overlay, || (Upgrade::current(), upgrade::items()));
        let spec_version = now.map_or(crate::SPEC_VERSION, |now| now.spec_version);
        if upgrade.spec_version <= spec_version {
            return Ok(Err(UpgradeError::NotNewer(spec_version)));
        }
        if let Some(unknown) = upgrade.withheld.iter().find(|name| !items.contains(*name)) {
            return Ok(Err(UpgradeError::NoSuchItem(unknown.clone())));
        }
        let enact = || {
            upgrade.enact();
            Ok(())
        };
        self.build(enact).map(Ok)
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    /// Later than all blocks before, so no two blocks are the same.
    fn next_timestamp(&self) -> u64 {
        if self.seeded {
            self.timestamp + SEEDED_STEP
        } else {
            now().max(self.timestamp + 1)
        }
    }

    fn finalize(&mut self) {
        if !self.finality_stalled {
            self.tree.finalize();
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::KEPT_STATES;

    #[test]
    fn pruning_keeps_what_kept_states_need_and_no_more() {
        let node = Node::new(&Genesis::default(), None);
        for _ in 0..KEPT_STATES + 40 {
            node.build(|| Ok(())).unwrap();
        }
        let settled = node.nodes.len();
        for _ in 0..200 {
            node.build(|| Ok(())).unwrap();
        }
        let grown = node.nodes.len();
        // `BlockHash` grows by an entry a block, so a little growth is right.
        assert!(grown < settled + 1_000, "{settled} nodes became {grown}");

        let best = node.best().number();
        for number in [best - KEPT_STATES, best - 100, best] {
            let block = node.by_number(number).unwrap();
            let state = node.state(Some(block.hash)).unwrap();
            let keys = state.keys(&[], None, usize::MAX).unwrap();
            assert!(keys.len() > 100, "block {number} has {} keys", keys.len());
            for key in keys {
                assert!(state.get(&key).unwrap().is_some());
            }
        }
        let old = node.by_number(best - KEPT_STATES - 1).unwrap().hash;
        assert!(matches!(node.state(Some(old)), Err(BlockError::Discarded(hash)) if hash == old));
    }

    #[test]
    fn states_since_finality_stalled_are_kept() {
        let node = Node::new(&Genesis::default(), None);
        node.stall_finality(true);
        for _ in 0..KEPT_STATES + 10 {
            node.build(|| Ok(())).unwrap();
        }
        let genesis = node.by_number(0).unwrap().hash;
        assert!(node.state(Some(genesis)).is_ok());
        node.stall_finality(false);
        assert!(node.state(Some(genesis)).is_err());
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let node = Node::new(&Genesis::default(), None);
        let before = node.nodes.len();
        let failed = node.build(|| -> Result<(), _> {
            crate::runtime::cheats::set_stake_threshold(1);
            Err(CheatError::UnknownSubnet(9))
        });
        assert!(failed.is_err());
        assert_eq!((node.best().number(), node.nodes.len()), (0, before));
    }

    #[test]
    fn headers_commit_to_their_extrinsics() {
        let node = Node::new(&Genesis::default(), None);
        node.build(|| Ok(())).unwrap();
        let block = node.best();
        let root =
            BlakeTwo256::ordered_trie_root(block.extrinsics.clone(), sp_core::storage::StateVersion::V0);
        assert_eq!(root, block.header.extrinsics_root);
    }

    #[test]
    fn snapshots_and_forks_leave_no_nodes_behind() {
        let node = Node::new(&Genesis::default(), Some(1));
        node.keep_states(0);
        let set = |rao| {
            let change = || {
                crate::runtime::cheats::set_stake_threshold(rao);
                Ok(())
            };
            node.build(change).unwrap();
        };
        let straight = {
            let other = Node::new(&Genesis::default(), Some(1));
            other.keep_states(0);
            for _ in 0..8 {
                other.build(|| Ok(())).unwrap();
            }
            other.nodes.len()
        };
        for _ in 0..3 {
            node.build(|| Ok(())).unwrap();
        }
        let id = node.snapshot();
        node.stall_finality(true);
        (1..=3).for_each(set);
        assert_eq!(node.reorganize(4).unwrap(), Err(3));
        assert_eq!(node.reorganize(0).unwrap(), Err(3));
        assert_eq!(node.reorganize(2).unwrap(), Ok(()));
        node.stall_finality(false);
        (1..=3).for_each(set);
        assert!(node.nodes.len() > straight, "the snapshot holds on to its states");
        assert!(node.revert(id));
        assert!(!node.revert(id), "a snapshot is used up");
        for _ in 0..5 {
            node.build(|| Ok(())).unwrap();
        }
        assert_eq!((node.best().number(), node.nodes.len()), (8, straight));
    }
}
