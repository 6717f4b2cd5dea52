//! Transactions: those that wait for a block, and which block of the best chain holds the others.

use std::collections::HashMap;

use codec::Decode as _;
use sp_core::H256;
use sp_runtime::MultiAddress;
use sp_runtime::generic::Preamble;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::runtime::{AccountId, Nonce, UncheckedExtrinsic};
use crate::tree::{StoredBlock, Switch};

/// A transaction that waits.
#[derive(Clone)]
pub(crate) struct Pooled {
    pub(crate) hash: H256,
    pub(crate) bytes: Vec<u8>,
    /// Of two with one nonce the higher one is taken.
    pub(crate) priority: u64,
}

impl Pooled {
    /// Whose it is, and its nonce; `None` if nobody signed it.
    fn place(&self) -> Option<(AccountId, Nonce)> {
        let extrinsic = UncheckedExtrinsic::decode(&mut self.bytes.as_slice()).ok()?;
        let Preamble::Signed(MultiAddress::Id(account), _, extension) = extrinsic.preamble else {
            return None;
        };
        let (.., nonce, _, _, _) = extension;
        Some((account, nonce.0))
    }
}

/// Why a transaction does not take the place of one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLow {
    pub(crate) waiting: u64,
    pub(crate) offered: u64,
}

/// The transactions of a chain.
#[derive(Default)]
pub(crate) struct Pool {
    pub(crate) waiting: Vec<Pooled>,
    included: HashMap<H256, H256>,
    /// By which other one a transaction lost its place.
    usurped: HashMap<H256, H256>,
}

impl Pool {
    /// Whether it waits or is in a block of the best chain.
    pub(crate) fn knows(&self, hash: H256) -> bool {
        self.included.contains_key(&hash) || self.waits(hash)
    }

    pub(crate) fn waits(&self, hash: H256) -> bool {
        self.waiting.iter().any(|pooled| pooled.hash == hash)
    }

    /// The block of the best chain that holds it.
    pub(crate) fn block_of(&self, hash: H256) -> Option<H256> {
        self.included.get(&hash).copied()
    }

    /// Lets a transaction wait, in the place of another with its nonce if it has a higher priority than that.
    pub(crate) fn add(&mut self, pooled: Pooled) -> Result<(), TooLow> {
        let place = pooled.place();
        let mut waiting = self.waiting.iter_mut();
        let rival = waiting.find(|other| place.is_some() && other.place() == place);
        let Some(rival) = rival else {
            self.waiting.push(pooled);
            return Ok(());
        };
        if pooled.priority <= rival.priority {
            return Err(TooLow {
                waiting: rival.priority,
                offered: pooled.priority,
            });
        }
        self.usurped.insert(rival.hash, pooled.hash);
        *rival = pooled;
        Ok(())
    }

    /// The transaction that took the place of this one.
    pub(crate) fn usurper_of(&self, hash: H256) -> Option<H256> {
        self.usurped.get(&hash).copied()
    }

    /// How many transactions of the account are waiting.
    pub(crate) fn waiting_of(&self, account: &AccountId) -> u32 {
        let of_account = |pooled: &&Pooled| pooled.place().is_some_and(|(signer, _)| signer == *account);
        u32::try_from(self.waiting.iter().filter(of_account).count()).unwrap_or(u32::MAX)
    }

    /// Takes note of a block of the best chain.
    pub(crate) fn adopt(&mut self, block: &StoredBlock) {
        for transaction in transactions(block) {
            self.included.insert(transaction.hash, block.hash);
        }
    }

    /// Follows the best chain. What it lost waits again, before all others.
    pub(crate) fn follow(&mut self, switch: &Switch) {
        let mut waiting = Vec::new();
        for block in &switch.retracted {
            for transaction in transactions(block) {
                self.included.remove(&transaction.hash);
                waiting.push(transaction);
            }
        }
        for block in &switch.adopted {
            self.adopt(block);
        }
        waiting.append(&mut self.waiting);
        waiting.retain(|transaction| !self.included.contains_key(&transaction.hash));
        self.waiting = waiting;
    }
}

/// All but the timestamp, which comes first.
fn transactions(block: &StoredBlock) -> impl Iterator<Item = Pooled> {
    block.extrinsics.iter().skip(1).map(|bytes| Pooled {
        hash: BlakeTwo256::hash(bytes),
        bytes: bytes.clone(),
        priority: 0,
    })
}
