//! Blocks and forks: which chain is best, what is final, which states are kept, and what a snapshot holds on to.
//!
//! Bookkeeping alone: it runs no runtime and knows the pool only as what a snapshot keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sp_core::H256;
use sp_runtime::traits::Header as _;

use crate::pool::Pooled;
use crate::runtime::{BlockNumber, Header};
use crate::state::{Difference, Nodes, State};

/// How many states behind the finalized one are kept, unless a cheat says otherwise.
pub(crate) const KEPT_STATES: BlockNumber = 256;

/// A block as clients see it.
pub(crate) struct StoredBlock {
    pub(crate) header: Header,
    pub(crate) hash: H256,
    pub(crate) extrinsics: Vec<Vec<u8>>,
}

impl StoredBlock {
    pub(crate) fn number(&self) -> BlockNumber {
        *self.header.number()
    }
}

/// Why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    #[error("Header was not found in the database: {0:?}")]
    Unknown(H256),
    #[error("State already discarded for {0:?}")]
    Discarded(H256),
}

/// Which heads a client follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    /// Every block, those of forks included.
    All,
    /// Every block that was the best one when it came.
    Best,
    /// The blocks that finality was moved to; those below become final unsaid.
    Finalized,
}

/// How far a client has read.
pub(crate) struct Cursor {
    following: Following,
    next: usize,
}

/// What left the best chain and what came to it, the lowest first.
#[derive(Default)]
pub(crate) struct Switch {
    pub(crate) retracted: Vec<Arc<StoredBlock>>,
    pub(crate) adopted: Vec<Arc<StoredBlock>>,
}

/// What a snapshot brings back beside blocks.
#[derive(Clone)]
pub(crate) struct Beside {
    pub(crate) pool: Vec<Pooled>,
    /// Milliseconds since 1970 of the newest block.
    pub(crate) timestamp: u64,
}

struct Snapshot {
    best_chain: Vec<H256>,
    finalized: BlockNumber,
    oldest_state: BlockNumber,
    beside: Beside,
}

struct Entry {
    block: Arc<StoredBlock>,
    /// Until the parent's state is discarded.
    difference: Option<Difference>,
}

/// All blocks of a chain.
pub(crate) struct Tree {
    nodes: Nodes,
    entries: HashMap<H256, Entry>,
    /// By number, from genesis.
    best_chain: Vec<H256>,
    /// Blocks beside the best chain, parents first.
    forks: Vec<H256>,
    finalized: BlockNumber,
    /// The oldest block of the best chain whose state is kept.
    oldest_state: BlockNumber,
    kept_states: BlockNumber,
    snapshots: BTreeMap<u64, Snapshot>,
    snapshots_taken: u64,
    /// Every block as it came, and whether it was the best one then.
    arrivals: Vec<(Arc<StoredBlock>, bool)>,
    /// Every block that finality was moved to.
    finalities: Vec<Arc<StoredBlock>>,
}

impl Tree {
    /// A chain of these blocks, the newest of which has its state in `nodes`.
    pub(crate) fn new(nodes: Nodes, blocks: Vec<StoredBlock>, finalized: BlockNumber) -> Self {
        let blocks: Vec<Arc<StoredBlock>> = blocks.into_iter().map(Arc::new).collect();
        let best = blocks.last().expect("a chain has a genesis block");
        let arrivals = vec![(Arc::clone(best), true)];
        let finalities = vec![Arc::clone(&blocks[finalized as usize])];
        let oldest_state = best.number();
        let entry = |block: &Arc<StoredBlock>| Entry {
            block: Arc::clone(block),
            difference: None,
        };
        Self {
            nodes,
            best_chain: blocks.iter().map(|block| block.hash).collect(),
            entries: blocks.iter().map(|block| (block.hash, entry(block))).collect(),
            forks: Vec::new(),
            finalized,
            oldest_state,
            kept_states: KEPT_STATES,
            snapshots: BTreeMap::new(),
            snapshots_taken: 0,
            arrivals,
            finalities,
        }
    }

    pub(crate) fn best(&self) -> &Arc<StoredBlock> {
        let hash = self.best_chain.last().expect("a chain has a genesis block");
        &self.entries[hash].block
    }

    pub(crate) fn finalized(&self) -> &Arc<StoredBlock> {
        &self.entries[&self.best_chain[self.finalized as usize]].block
    }

    /// A block of the best chain.
    pub(crate) fn by_number(&self, number: BlockNumber) -> Option<&Arc<StoredBlock>> {
        let hash = self.best_chain.get(number as usize)?;
        Some(&self.entries[hash].block)
    }

    pub(crate) fn by_hash(&self, hash: H256) -> Option<&Arc<StoredBlock>> {
        self.entries.get(&hash).map(|entry| &entry.block)
    }

    /// The best chain from genesis.
    pub(crate) fn best_chain(&self) -> impl Iterator<Item = &Arc<StoredBlock>> {
        self.best_chain.iter().map(|hash| &self.entries[hash].block)
    }

    /// The state after a block, the best one by default.
    pub(crate) fn state(&self, hash: Option<H256>) -> Result<State, BlockError> {
        let block = match hash {
            Some(hash) => self.by_hash(hash).ok_or(BlockError::Unknown(hash))?,
            None => self.best(),
        };
        if block.number() < self.oldest_state {
            return Err(BlockError::Discarded(block.hash));
        }
        Ok(self.nodes.at(*block.header.state_root()))
    }

    /// Adds a block. If it is the best one, its ancestors become the best chain.
    pub(crate) fn import(&mut self, block: StoredBlock, difference: Difference, best: bool) -> Switch {
        let block = Arc::new(block);
        self.arrivals.push((Arc::clone(&block), best));
        let entry = Entry {
            block: Arc::clone(&block),
            difference: Some(difference),
        };
        self.entries.insert(block.hash, entry);
        if !best {
            self.forks.push(block.hash);
            return Switch::default();
        }
        let mut chain = Vec::new();
        let mut newest = block;
        while !self.is_on_best_chain(&newest) {
            let parent = self.entries[newest.header.parent_hash()].block.clone();
            chain.push(newest.hash);
            newest = parent;
        }
        chain.reverse();
        let mut best_chain = self.best_chain[..=newest.number() as usize].to_vec();
        best_chain.extend(chain);
        self.switch(best_chain)
    }

    /// Makes everything up to the best block final.
    pub(crate) fn finalize(&mut self) {
        let best = Arc::clone(self.best());
        if self.finalized == best.number() {
            return;
        }
        self.finalized = best.number();
        self.finalities.push(best);
        for hash in std::mem::take(&mut self.forks) {
            let block = &self.entries[&hash].block;
            let orphaned = !self.entries.contains_key(block.header.parent_hash());
            if self.is_pinned(block) || (block.number() > self.finalized && !orphaned) {
                self.forks.push(hash);
            } else {
                self.forget(hash);
            }
        }
        self.discard_states();
    }

    /// Keeps the states of so many blocks behind the finalized one, from now on.
    pub(crate) fn keep_states(&mut self, count: BlockNumber) {
        self.kept_states = count;
        self.discard_states();
    }

    /// Remembers the chain as it is. Its states are kept until it is reverted to.
    pub(crate) fn snapshot(&mut self, beside: Beside) -> u64 {
        self.snapshots_taken += 1;
        let snapshot = Snapshot {
            best_chain: self.best_chain.clone(),
            finalized: self.finalized,
            oldest_state: self.oldest_state,
            beside,
        };
        self.snapshots.insert(self.snapshots_taken, snapshot);
        self.snapshots_taken
    }

    /// Makes the chain what it was, what was final included. Snapshots since then are forgotten, and this one.
    pub(crate) fn revert(&mut self, id: u64) -> Option<(Switch, Beside)> {
        let snapshot = self.snapshots.remove(&id)?;
        self.snapshots.split_off(&id);
        let switch = self.switch(snapshot.best_chain);
        for hash in std::mem::take(&mut self.forks) {
            if self.is_pinned(&self.entries[&hash].block) {
                self.forks.push(hash);
            } else {
                self.forget(hash);
            }
        }
        self.finalized = snapshot.finalized;
        self.arrivals.push((Arc::clone(self.best()), true));
        self.finalities.push(Arc::clone(self.finalized()));
        Some((switch, snapshot.beside))
    }

    /// The head now, and the place after it.
    pub(crate) fn cursor(&self, following: Following) -> (Arc<StoredBlock>, Cursor) {
        let (head, next) = match following {
            Following::All | Following::Best => (self.best(), self.arrivals.len()),
            Following::Finalized => (self.finalized(), self.finalities.len()),
        };
        (Arc::clone(head), Cursor { following, next })
    }

    /// The heads since the cursor, which moves on.
    pub(crate) fn news(&self, cursor: &mut Cursor) -> Vec<Arc<StoredBlock>> {
        if cursor.following == Following::Finalized {
            let news = self.finalities[cursor.next..].to_vec();
            cursor.next = self.finalities.len();
            return news;
        }
        let wanted = |(_, best): &&(_, bool)| *best || cursor.following == Following::All;
        let news = self.arrivals[cursor.next..].iter().filter(wanted);
        let news = news.map(|(block, _)| Arc::clone(block)).collect();
        cursor.next = self.arrivals.len();
        news
    }

    fn is_on_best_chain(&self, block: &StoredBlock) -> bool {
        self.best_chain.get(block.number() as usize) == Some(&block.hash)
    }

    fn is_pinned(&self, block: &StoredBlock) -> bool {
        let on_its_chain =
            |snapshot: &Snapshot| snapshot.best_chain.get(block.number() as usize) == Some(&block.hash);
        self.snapshots.values().any(on_its_chain)
    }

    fn switch(&mut self, best_chain: Vec<H256>) -> Switch {
        let old = std::mem::replace(&mut self.best_chain, best_chain);
        let common = old.iter().zip(&self.best_chain);
        let common = common.take_while(|(one, other)| one == other).count();
        let blocks = |hashes: &[H256]| -> Vec<Arc<StoredBlock>> {
            hashes
                .iter()
                .map(|hash| Arc::clone(&self.entries[hash].block))
                .collect()
        };
        let switch = Switch {
            retracted: blocks(&old[common..]),
            adopted: blocks(&self.best_chain[common..]),
        };
        let best_chain = &self.best_chain[common..];
        self.forks.retain(|hash| !best_chain.contains(hash));
        self.forks.extend_from_slice(&old[common..]);
        switch
    }

    fn forget(&mut self, hash: H256) {
        if let Some(difference) = self.entries.remove(&hash).and_then(|entry| entry.difference) {
            self.nodes.undo(&difference);
        }
    }

    fn discard_states(&mut self) {
        let needed = self.snapshots.values().map(|snapshot| snapshot.oldest_state);
        let oldest = needed.min().unwrap_or(BlockNumber::MAX);
        let oldest = oldest.min(self.finalized.saturating_sub(self.kept_states));
        while self.oldest_state < oldest {
            self.oldest_state += 1;
            let hash = self.best_chain[self.oldest_state as usize];
            let entry = self.entries.get_mut(&hash).expect("the best chain is stored");
            if let Some(difference) = entry.difference.take() {
                self.nodes.settle(&difference);
            }
        }
    }
}
