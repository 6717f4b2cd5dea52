//! A local subtensor for development and tests: FRAME run natively behind JSON-RPC, no wasm, no Docker.
//!
//! [`spawn`] starts a chain from a [`Genesis`] on the loopback address; the [`DevChain`] it gives is stopped when
//! dropped, and has cheats for what a test cannot wait for, each also a JSON-RPC method (`dev_*`). Epochs run Yuma
//! consensus, by themselves where the genesis says so, else when asked. It has no peers, and keeps on disk only what
//! it is told to save.

mod controls;
mod devchain;
mod genesis;
mod genesis_state;
mod making;
mod node;
mod pool;
mod rpc;
mod runtime;
mod saved;
mod state;
mod tree;

pub use controls::Controls;
pub use devchain::{DevChain, Error, Head, Options, spawn};
pub use genesis::{Account, Fees, Genesis, GenesisError, Neuron, Subnet, public_key};
pub use node::UpgradeError;
pub use rpc::{Proofs, Refusal};
pub use runtime::SPEC_VERSION;
pub use runtime::cheats::CheatError;
pub use runtime::upgrade::Extension;
pub use saved::SavedError;
