//! The chain itself: blocks, the transaction pool, finality and which states are still kept.
//!
//! One producer, no forks: a block extends the best one, and is final at once unless finality is stalled.
//! Knows nothing of JSON-RPC.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use codec::{Decode as _, Encode as _};
use sp_core::H256;
use sp_runtime::MultiAddress;
use sp_runtime::generic::Preamble;
use sp_runtime::traits::{BlakeTwo256, Hash as _, Header as _};
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidity, TransactionValidityError,
};
use sp_state_machine::OverlayedChanges;
use tokio::sync::watch;

use crate::genesis::Genesis;
use crate::runtime::cheats::CheatError;
use crate::runtime::{AccountId, BlockNumber, Executive, Header, RuntimeCall, UncheckedExtrinsic};
use crate::state::{Nodes, State, StateError};

/// How many states behind the finalized one are kept.
pub(crate) const KEPT_STATES: BlockNumber = 256;

/// The newest blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) best: BlockNumber,
    pub(crate) finalized: BlockNumber,
    /// How many transactions were thrown out of the pool, so that who watches one looks again.
    pub(crate) rejections: u64,
}

/// A block as clients see it.
#[derive(Clone)]
pub(crate) struct StoredBlock {
    pub(crate) header: Header,
    pub(crate) hash: H256,
    pub(crate) extrinsics: Vec<Vec<u8>>,
    /// False for a block that became final only because a later one did: subscribers are not told of it.
    pub(crate) announced_final: bool,
}

/// Where a transaction is.
pub(crate) enum TransactionState {
    Pending,
    Included(BlockNumber, H256),
    /// It will never be included.
    Gone,
}

/// Why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    #[error("Header was not found in the database: {0:?}")]
    Unknown(H256),
    #[error("State already discarded for {0:?}")]
    Discarded(H256),
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
    #[error("the transaction could not be checked")]
    Check(#[from] StateError),
}

/// Why no block was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Cheat(#[from] CheatError),
    #[error("the changes of the block could not be stored")]
    Store(#[from] StateError),
}

/// A chain in memory.
pub(crate) struct Node {
    chain: Mutex<Chain>,
    nodes: Nodes,
    heads: watch::Sender<Heads>,
}

struct Chain {
    /// By number, from genesis.
    blocks: Vec<StoredBlock>,
    numbers: HashMap<H256, BlockNumber>,
    included: HashMap<H256, BlockNumber>,
    finalized: BlockNumber,
    finality_stalled: bool,
    /// The oldest block whose state is kept.
    oldest_state: BlockNumber,
    /// Milliseconds since 1970 of the best block.
    timestamp: u64,
    pool: Vec<Pooled>,
    rejections: u64,
}

#[derive(Clone)]
struct Pooled {
    hash: H256,
    bytes: Vec<u8>,
}

/// What became of a transaction that was tried.
enum Applied {
    Included,
    Later,
    Never(TransactionValidityError),
}

impl Node {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let nodes = Nodes::default();
        let state_root = nodes.genesis(&genesis.storage());
        let extrinsics_root = BlakeTwo256::ordered_trie_root(Vec::new(), crate::state::STATE_VERSION);
        let header = Header::new(0, extrinsics_root, state_root, H256::zero(), Default::default());
        let hash = header.hash();
        let block = StoredBlock {
            header,
            hash,
            extrinsics: Vec::new(),
            announced_final: true,
        };
        let chain = Chain {
            blocks: vec![block],
            numbers: HashMap::from([(hash, 0)]),
            included: HashMap::new(),
            finalized: 0,
            finality_stalled: false,
            oldest_state: 0,
            timestamp: 0,
            pool: Vec::new(),
            rejections: 0,
        };
        let heads = watch::Sender::new(chain.heads());
        Self {
            chain: Mutex::new(chain),
            nodes,
            heads,
        }
    }

    /// The newest blocks, and word of newer ones.
    pub(crate) fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.subscribe()
    }

    pub(crate) fn best(&self) -> StoredBlock {
        self.chain().best().clone()
    }

    pub(crate) fn finalized(&self) -> StoredBlock {
        let chain = self.chain();
        chain.blocks[chain.finalized as usize].clone()
    }

    pub(crate) fn by_number(&self, number: BlockNumber) -> Option<StoredBlock> {
        self.chain().blocks.get(number as usize).cloned()
    }

    pub(crate) fn by_hash(&self, hash: H256) -> Option<StoredBlock> {
        let chain = self.chain();
        chain
            .numbers
            .get(&hash)
            .map(|number| chain.blocks[*number as usize].clone())
    }

    /// The state after the block, the best one by default.
    pub(crate) fn state(&self, hash: Option<H256>) -> Result<State, BlockError> {
        let chain = self.chain();
        let number = match hash {
            Some(hash) => *chain.numbers.get(&hash).ok_or(BlockError::Unknown(hash))?,
            None => chain.best_number(),
        };
        let block = &chain.blocks[number as usize];
        if number < chain.oldest_state {
            return Err(BlockError::Discarded(block.hash));
        }
        Ok(self.nodes.at(*block.header.state_root()))
    }

    pub(crate) fn pending(&self) -> Vec<Vec<u8>> {
        self.chain()
            .pool
            .iter()
            .map(|pooled| pooled.bytes.clone())
            .collect()
    }

    /// How many transactions of the account are waiting.
    pub(crate) fn pending_of(&self, account: &AccountId) -> u32 {
        let chain = self.chain();
        let of_account = |pooled: &&Pooled| {
            let extrinsic = UncheckedExtrinsic::decode(&mut pooled.bytes.as_slice());
            let preamble = extrinsic.map(|extrinsic| extrinsic.preamble);
            matches!(preamble, Ok(Preamble::Signed(MultiAddress::Id(id), _, _)) if id == *account)
        };
        u32::try_from(chain.pool.iter().filter(of_account).count()).unwrap_or(u32::MAX)
    }

    pub(crate) fn transaction(&self, hash: H256) -> TransactionState {
        let chain = self.chain();
        if let Some(number) = chain.included.get(&hash) {
            TransactionState::Included(*number, chain.blocks[*number as usize].hash)
        } else if chain.pool.iter().any(|pooled| pooled.hash == hash) {
            TransactionState::Pending
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
        if chain.included.contains_key(&hash) || chain.pool.iter().any(|pooled| pooled.hash == hash) {
            return Err(SubmitError::Known(hash));
        }
        let best = chain.best();
        let state = self.nodes.at(*best.header.state_root());
        let arguments = (TransactionSource::External, extrinsic, best.hash).encode();
        let answer = state.call("TaggedTransactionQueue_validate_transaction", &arguments)?;
        let validity = TransactionValidity::decode(&mut answer.as_slice())
            .expect("the answer is encoded by the same runtime");
        validity.map_err(SubmitError::Invalid)?;
        chain.pool.push(Pooled { hash, bytes });
        Ok(hash)
    }

    /// Lets finality stand still, or catch up.
    pub(crate) fn stall_finality(&self, stalled: bool) {
        let mut chain = self.chain();
        chain.finality_stalled = stalled;
        self.finalize(&mut chain);
        self.heads.send_replace(chain.heads());
    }

    /// Makes a block that holds `change` and then what is in the pool. An error of `change` makes none.
    pub(crate) fn build<R>(&self, change: impl FnOnce() -> Result<R, CheatError>) -> Result<R, BuildError> {
        let mut chain = self.chain();
        let parent = chain.best().clone();
        let number = *parent.header.number() + 1;
        let timestamp = now().max(chain.timestamp + 1);
        let pool = chain.pool.clone();

        let state = self.nodes.at(*parent.header.state_root());
        let mut overlay = OverlayedChanges::default();
        let made = state.run(&mut overlay, || {
            let header = Header::new(
                number,
                H256::zero(),
                H256::zero(),
                parent.hash,
                Default::default(),
            );
            Executive::initialize_block(&header);
            let result = change()?;
            let mut extrinsics = vec![set_timestamp(timestamp)];
            let outcome = apply_all(pool, &mut extrinsics);
            Ok::<_, CheatError>((result, extrinsics, outcome, Executive::finalize_block()))
        });
        let (result, extrinsics, outcome, header) = made?;
        let (root, nodes) = state.changes(&mut overlay)?;
        debug_assert_eq!(root, *header.state_root(), "the header commits to the state");
        self.nodes.commit(number, nodes);

        let hash = header.hash();
        tracing::debug!(number, %hash, extrinsics = extrinsics.len(), "made a block");
        chain.timestamp = timestamp;
        chain.rejections += outcome.rejected;
        chain.pool = outcome.later;
        chain
            .included
            .extend(outcome.included.iter().map(|transaction| (*transaction, number)));
        chain.numbers.insert(hash, number);
        chain.blocks.push(StoredBlock {
            header,
            hash,
            extrinsics,
            announced_final: false,
        });
        self.finalize(&mut chain);
        self.heads.send_replace(chain.heads());
        Ok(result)
    }

    fn finalize(&self, chain: &mut Chain) {
        let best = chain.best_number();
        if chain.finality_stalled || chain.finalized == best {
            return;
        }
        chain.finalized = best;
        chain.blocks[best as usize].announced_final = true;
        while chain.oldest_state + KEPT_STATES < chain.finalized {
            chain.oldest_state += 1;
            self.nodes.prune(chain.oldest_state);
        }
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    fn best(&self) -> &StoredBlock {
        self.blocks.last().expect("there is always a genesis block")
    }

    fn best_number(&self) -> BlockNumber {
        *self.best().header.number()
    }

    fn heads(&self) -> Heads {
        Heads {
            best: self.best_number(),
            finalized: self.finalized,
            rejections: self.rejections,
        }
    }
}

/// What became of the pool.
#[derive(Default)]
struct Outcome {
    included: Vec<H256>,
    later: Vec<Pooled>,
    rejected: u64,
}

/// Tries the pool until nothing more fits, so that nonces may have come in any order.
fn apply_all(mut pool: Vec<Pooled>, extrinsics: &mut Vec<Vec<u8>>) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let before = outcome.included.len();
        for pooled in std::mem::take(&mut pool) {
            match apply(&pooled.bytes) {
                Applied::Included => {
                    outcome.included.push(pooled.hash);
                    extrinsics.push(pooled.bytes);
                }
                Applied::Later => pool.push(pooled),
                Applied::Never(reason) => {
                    tracing::debug!(hash = %pooled.hash, ?reason, "dropped a transaction");
                    outcome.rejected += 1;
                }
            }
        }
        if outcome.included.len() == before {
            outcome.later = pool;
            return outcome;
        }
    }
}

fn apply(bytes: &[u8]) -> Applied {
    let Ok(extrinsic) = UncheckedExtrinsic::decode(&mut &*bytes) else {
        return Applied::Never(InvalidTransaction::Call.into());
    };
    sp_io::storage::start_transaction();
    match Executive::apply_extrinsic(extrinsic) {
        Ok(_) => {
            sp_io::storage::commit_transaction();
            Applied::Included
        }
        Err(error) => {
            sp_io::storage::rollback_transaction();
            match error {
                TransactionValidityError::Invalid(
                    InvalidTransaction::Future | InvalidTransaction::ExhaustsResources,
                ) => Applied::Later,
                error => Applied::Never(error),
            }
        }
    }
}

/// Applies the one inherent and gives its bytes.
fn set_timestamp(timestamp: u64) -> Vec<u8> {
    let call = RuntimeCall::Timestamp(pallet_timestamp::Call::set { now: timestamp });
    let extrinsic = UncheckedExtrinsic::new_bare(call);
    let bytes = extrinsic.encode();
    let applied = Executive::apply_extrinsic(extrinsic);
    debug_assert!(
        matches!(applied, Ok(Ok(()))),
        "the timestamp moves on: {applied:?}"
    );
    bytes
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_keeps_what_kept_states_need_and_no_more() {
        let node = Node::new(&Genesis::default());
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

        let best = node.best().header.number;
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
        let node = Node::new(&Genesis::default());
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
        let node = Node::new(&Genesis::default());
        let before = node.nodes.len();
        let failed = node.build(|| -> Result<(), _> {
            crate::runtime::cheats::set_stake_threshold(1);
            Err(CheatError::UnknownSubnet(9))
        });
        assert!(failed.is_err());
        assert_eq!((node.heads().borrow().best, node.nodes.len()), (0, before));
    }

    #[test]
    fn headers_commit_to_their_extrinsics() {
        let node = Node::new(&Genesis::default());
        node.build(|| Ok(())).unwrap();
        let block = node.best();
        let root = BlakeTwo256::ordered_trie_root(block.extrinsics, sp_core::storage::StateVersion::V0);
        assert_eq!(root, block.header.extrinsics_root);
    }
}
