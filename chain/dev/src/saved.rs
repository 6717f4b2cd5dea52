//! A chain in a file: the blocks of its best chain and the newest state.
//!
//! Neither older states, nor forks, nor the pool are saved. What is read is checked: each block names its
//! parent, and the newest header commits to the state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codec::{Decode, DecodeAll as _, Encode};
use sp_core::H256;
use sp_core::storage::Storage;
use sp_runtime::traits::Header as _;

use crate::genesis_state::{METADATA_HASH_KEY, metadata_hash};
use crate::runtime::{BlockNumber, Header};
use crate::state::{Nodes, Pair, State, StateError};
use crate::tree::StoredBlock;

/// What such a file begins with, the version of the format last.
const MAGIC: [u8; 16] = *b"violet-devchain1";

/// Why a chain was not saved or not loaded.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file could not be read or written.
    #[error("{}", file.display())]
    File { file: PathBuf, source: io::Error },
    /// The file holds something else, or only a part.
    #[error("{} is not a saved chain", .0.display())]
    NotAChain(PathBuf),
    /// The blocks and the state do not belong together.
    #[error("the saved chain is damaged: {0}")]
    Damaged(String),
    /// The program has changed since, and with it what the state means.
    #[error("the chain was saved by a program with another runtime; start a new one")]
    OtherRuntime,
}

#[derive(Encode, Decode)]
pub(crate) struct Saved {
    magic: [u8; 16],
    blocks: Vec<(Header, Vec<Vec<u8>>)>,
    finalized: BlockNumber,
    timestamp: u64,
    state: Vec<Pair>,
}

impl Saved {
    pub(crate) fn new<'a>(
        blocks: impl Iterator<Item = &'a Arc<StoredBlock>>,
        finalized: BlockNumber,
        timestamp: u64,
        state: &State,
    ) -> Result<Self, SavedError> {
        let state = state.pairs().map_err(damaged)?;
        Ok(Self {
            magic: MAGIC,
            blocks: blocks
                .map(|block| (block.header.clone(), block.extrinsics.clone()))
                .collect(),
            finalized,
            timestamp,
            state,
        })
    }

    pub(crate) fn read(file: &Path) -> Result<Self, SavedError> {
        let bytes = std::fs::read(file).map_err(|source| failed(file, source))?;
        match Self::decode_all(&mut bytes.as_slice()) {
            Ok(saved) if saved.magic == MAGIC => Ok(saved),
            _ => Err(SavedError::NotAChain(file.to_owned())),
        }
    }

    /// Writes a new file and puts it in the place of the old one.
    pub(crate) fn write(&self, file: &Path) -> Result<(), SavedError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let written = std::fs::write(&new, self.encode()).and_then(|()| std::fs::rename(&new, file));
        written.map_err(|source| failed(file, source))
    }

    /// Stores the state and gives the blocks, the number of the finalized one, and the time of the newest.
    pub(crate) fn restore(self, nodes: &Nodes) -> Result<(Vec<StoredBlock>, BlockNumber, u64), SavedError> {
        let mut parent = H256::zero();
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for (number, (header, extrinsics)) in (0..).zip(self.blocks) {
            if *header.parent_hash() != parent || *header.number() != number {
                return Err(damaged(format_args!("block {number} does not follow its parent")));
            }
            let hash = header.hash();
            parent = hash;
            blocks.push(StoredBlock {
                header,
                hash,
                extrinsics,
            });
        }
        let storage = Storage {
            top: self.state.into_iter().collect(),
            ..Storage::default()
        };
        if storage.top.get(METADATA_HASH_KEY).map(Vec::as_slice) != Some(&metadata_hash()) {
            return Err(SavedError::OtherRuntime);
        }
        let root = blocks.last().map(|block| *block.header.state_root());
        if root != Some(nodes.genesis(&storage)) {
            return Err(damaged("the newest block commits to another state"));
        }
        if self.finalized as usize >= blocks.len() {
            return Err(damaged("a block is final that is not there"));
        }
        Ok((blocks, self.finalized, self.timestamp))
    }
}

fn failed(file: &Path, source: io::Error) -> SavedError {
    SavedError::File {
        file: file.to_owned(),
        source,
    }
}

fn damaged(reason: impl std::fmt::Display) -> SavedError {
    SavedError::Damaged(reason.to_string())
}

impl From<StateError> for SavedError {
    fn from(error: StateError) -> Self {
        damaged(error)
    }
}
