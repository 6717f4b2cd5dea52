//! The reference neurons of Violet: a miner that answers tasks and a validator that judges answers.
//!
//! They speak to the server over HTTP only, as anybody's neurons would, and hold no privilege over others.
//! Nothing here reads the environment or the chain: the caller gives the keys and the server's address.

/// The signed requests.
pub mod client;
/// Engines: an input becomes an output.
pub mod engines;
/// How close an answer is to what it should be.
pub mod judge;
/// The miner's loop.
pub mod miner;
/// The bytes that neurons sign.
pub mod signing;
/// The validator's loop.
pub mod validator;
/// Requests and answers as they are on the wire.
pub mod wire;
/// Fetching, working on several at once, remembering.
mod worklist;

pub use client::{ClientError, ServerClient};
pub use engines::{Catalogue, TaskType};
pub use miner::{Miner, MinerOptions};
pub use validator::{Validator, ValidatorOptions};
