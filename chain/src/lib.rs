//! A Bittensor subnet as plain values: reads subtensor, signs and verifies as its neurons do.
//!
//! This crate knows nothing of any product built on it, and it is the only one that knows subxt: no type of
//! subxt is in its interface. It reads the chain by name from the live metadata and refuses to guess.

pub mod auth;
pub mod btauth;
mod causes;
mod client;
mod commitments;
mod endpoint;
mod error;
mod extrinsic;
mod heads;
mod hyperparameters;
pub mod keys;
mod mechanisms;
mod outcome;
mod proof;
mod query;
mod rpc;
mod rules;
mod runtime;
mod serving;
mod shape;
mod snapshot;
mod stake;
mod stats;
mod submit;
pub mod surface;
mod timelock;
pub mod types;
pub mod wallet;
mod weights;

pub use causes::Causes;
pub use client::{Client, Options};
pub use commitments::Commitment;
pub use error::{Error, Source};
pub use heads::FinalizedHeads;
pub use hyperparameters::{Hyperparameter, Hyperparameters};
pub use keys::{KeyError, Keypair, VerifyingKey, VrfProof, verify};
pub use mechanisms::Mechanism;
pub use proof::{ProofError, ProvedNeuron, ProvedStakes, StakeProof};
pub use rules::WeightTerms;
pub use stake::{Holdings, Mismatch, StakeWeight};
pub use stats::{EndpointStats, Stats};
pub use submit::{Included, Refuser, WriteError};
pub use types::{
    Axon, BlockHash, BlockRef, Coldkey, CryptoType, Hotkey, NetUid, Neuron, ParseError, Rao, Snapshot, Uid,
};
pub use wallet::Wallet;
pub use weights::{Commit, Weights, WeightsSet, WeightsWay};
