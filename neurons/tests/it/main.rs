//! The miner and the validator against a server that speaks the contract on a real port, with real engines.

#![expect(clippy::unwrap_used, reason = "what is missing here fails the test")]

mod files;
mod miner;
mod server;
mod validator;
mod weights;
