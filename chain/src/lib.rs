//! A Bittensor subnet as plain values: reads subtensor, signs and verifies as its neurons do.
//!
//! This crate knows nothing of any product built on it, and it is the only one that knows subxt: no type of
//! subxt is in its interface. It reads the chain by name from the live metadata and refuses to guess.

pub mod btauth;
mod causes;
mod client;
mod endpoint;
mod error;
mod heads;
mod hyperparameters;
pub mod keys;
mod mechanisms;
mod proof;
mod query;
mod rpc;
mod runtime;
mod shape;
mod snapshot;
mod stake;
mod stats;
pub mod surface;
pub mod types;
pub mod wallet;

pub use causes::Causes;
pub use client::{Client, Options};
pub use error::{Error, Source};
pub use heads::FinalizedHeads;
pub use hyperparameters::{Hyperparameter, Hyperparameters};
pub use keys::{KeyError, Keypair, VrfProof, verify};
pub use mechanisms::Mechanism;
pub use proof::{ProofError, ProvedNeuron, ProvedStakes, StakeProof};
pub use stake::{Holdings, Mismatch, StakeWeight};
pub use stats::{EndpointStats, Stats};
pub use types::{
    Axon, BlockHash, BlockRef, Coldkey, CryptoType, Hotkey, NetUid, Neuron, ParseError, Rao, Snapshot, Uid,
};
pub use wallet::Wallet;
