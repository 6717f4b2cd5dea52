//! A local subtensor for development and tests: FRAME run natively behind JSON-RPC, no wasm, no Docker.
//!
//! [`spawn`] starts a chain from a [`Genesis`] on the loopback address; the [`DevChain`] it gives is stopped when
//! dropped, and has cheats for what a test cannot wait for. Epochs run Yuma consensus, by themselves where the
//! genesis says so, else when asked. It keeps nothing on disk and has no peers.

mod devchain;
mod genesis;
mod genesis_state;
mod node;
mod rpc;
mod runtime;
mod state;

pub use devchain::{DevChain, Error, Head, Options, spawn};
pub use genesis::{Account, Genesis, GenesisError, Neuron, Subnet, public_key};
pub use runtime::SPEC_VERSION;
pub use runtime::cheats::CheatError;
