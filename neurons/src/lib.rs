//! The reference neurons of Violet: a miner that answers tasks and a validator that judges answers.
//!
//! They speak to the server over HTTP, as anybody's neurons would, and hold no privilege over others. Nothing here reads
//! the environment: the caller gives the keys and the server's address, and that of a chain to a validator that is to
//! set weights there.

/// The signed requests.
pub mod client;
/// Engines: an input becomes an output.
pub mod engines;
/// How close an answer is to what it should be.
pub mod judge;
/// The miner's loop.
pub mod miner;
/// What a validator thinks of each miner.
mod scoreboard;
/// The bytes that neurons sign.
pub mod signing;
/// The validator's loop.
pub mod validator;
/// Weights on the chain.
mod weights;
/// Requests and answers as they are on the wire.
pub mod wire;
/// Fetching, working on several at once, remembering.
mod worklist;

pub use client::{ClientError, ServerClient};
pub use engines::{Catalogue, TaskType};
pub use miner::{Miner, MinerOptions};
pub use validator::{Validator, ValidatorOptions};
pub use weights::WeightsOptions;
