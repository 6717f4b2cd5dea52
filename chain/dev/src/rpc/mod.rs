//! The JSON-RPC face: the legacy methods of a Substrate node, no newer ones, so that clients stay on them; and the
//! cheats.
//!
//! Every method decodes, asks the node and encodes. Nothing here changes the chain but a submitted extrinsic and a
//! cheat.

mod author;
mod chain;
mod dev;
mod payment;
mod server;
mod state;
mod system;

use std::sync::Arc;

use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::{ErrorObjectOwned, Params, ParamsSequence};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sp_core::H256;

use crate::controls::Controls;
use crate::node::Node;
use crate::state::StateError;
use crate::tree::BlockError;

pub use server::Refusal;
pub(crate) use server::{Gate, serve};
pub use state::Proofs;

/// What a method answers.
type Answer = Result<Value, ErrorObjectOwned>;

/// Substrate's code for what the client could not do.
const CLIENT_ERROR: i32 = 4003;
/// JSON-RPC's code for parameters that are none.
const INVALID_PARAMS: i32 = -32602;

/// All methods over a chain.
pub(crate) fn module(controls: &Arc<Controls>) -> RpcModule<Node> {
    let mut module = RpcModule::from_arc(Arc::clone(&controls.node));
    register(&mut module, controls).expect("no two methods have one name");
    module
}

fn register(module: &mut RpcModule<Node>, controls: &Arc<Controls>) -> Result<(), RegisterMethodError> {
    chain::register(module, controls)?;
    dev::register(module, controls)?;
    payment::register(module)?;
    state::register(module, controls)?;
    author::register(module)?;
    system::register(module)?;
    let mut names: Vec<&'static str> = module.method_names().collect();
    names.push("rpc_methods");
    names.sort_unstable();
    let answer = json!({ "methods": names });
    module.register_method("rpc_methods", move |_, _, _| Answer::Ok(answer.clone()))?;
    Ok(())
}

/// The parameters of a call, one after another.
struct Arguments<'a>(ParamsSequence<'a>);

impl<'a> Arguments<'a> {
    fn of(params: &'a Params<'_>) -> Self {
        Self(params.sequence())
    }

    fn next<T: DeserializeOwned>(&mut self) -> Result<T, ErrorObjectOwned> {
        self.0.next::<Value>().and_then(|value| {
            serde_json::from_value(value)
                .map_err(|error| ErrorObjectOwned::from(refusal(INVALID_PARAMS, error)))
        })
    }

    /// `None` if the parameter is null or absent.
    fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ErrorObjectOwned> {
        let value = self.0.optional_next::<Value>()?;
        value
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| refusal(INVALID_PARAMS, error))
    }

    /// Bytes in hex.
    fn bytes(&mut self) -> Result<Vec<u8>, ErrorObjectOwned> {
        from_hex(&self.next::<String>()?)
    }

    /// Lists of bytes in hex.
    fn byte_list(&mut self) -> Result<Vec<Vec<u8>>, ErrorObjectOwned> {
        self.next::<Vec<String>>()?
            .iter()
            .map(|text| from_hex(text))
            .collect()
    }

    /// A block's hash, or `None` for the best block.
    fn block(&mut self) -> Result<Option<H256>, ErrorObjectOwned> {
        self.optional::<String>()?.map(|text| hash(&text)).transpose()
    }
}

fn hash(text: &str) -> Result<H256, ErrorObjectOwned> {
    let bytes = from_hex(text)?;
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| refusal(INVALID_PARAMS, "a hash has 32 bytes"))?;
    Ok(H256(bytes))
}

/// The prefix may be missing: some clients leave it out.
fn from_hex(text: &str) -> Result<Vec<u8>, ErrorObjectOwned> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|error| refusal(INVALID_PARAMS, error))
}

fn to_hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn refusal(code: i32, message: impl std::fmt::Display) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message.to_string(), None::<()>)
}

impl From<BlockError> for ErrorObjectOwned {
    fn from(error: BlockError) -> Self {
        refusal(CLIENT_ERROR, format_args!("Client error: UnknownBlock: {error}"))
    }
}

impl From<StateError> for ErrorObjectOwned {
    fn from(error: StateError) -> Self {
        // Clients look for this wording to tell an API the runtime does not have.
        refusal(
            CLIENT_ERROR,
            format_args!("Client error: Execution failed: Other: {error}"),
        )
    }
}
