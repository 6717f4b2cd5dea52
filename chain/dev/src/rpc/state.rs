//! `state_*`: storage, proofs and runtime calls at a block.

use codec::Decode as _;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::Params;
use jsonrpsee::{RpcModule, SubscriptionMessage};
use serde_json::{Value, json};

use super::{Answer, Arguments, INVALID_PARAMS, from_hex, refusal, to_hex};
use crate::node::Node;
use crate::runtime::VERSION;
use crate::state::StateError;

/// As many keys as Substrate gives in one page.
const MOST_KEYS: usize = 1_000;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("state_getStorage", |params, node, _| storage(&params, node))?;
    module.register_alias("state_getStorageAt", "state_getStorage")?;
    module.register_method("state_queryStorageAt", |params, node, _| query(&params, node))?;
    module.register_method("state_getKeysPaged", |params, node, _| keys(&params, node))?;
    module.register_alias("state_getKeysPagedAt", "state_getKeysPaged")?;
    module.register_method("state_getReadProof", |params, node, _| prove(&params, node))?;
    module.register_method("state_call", |params, node, _| call(&params, node))?;
    module.register_alias("state_callAt", "state_call")?;
    module.register_method("state_getMetadata", |params, node, _| metadata(&params, node))?;
    module.register_method("state_getRuntimeVersion", |params, node, _| {
        node.state(Arguments::of(&params).block()?)?;
        Answer::Ok(runtime_version())
    })?;
    module.register_alias("chain_getRuntimeVersion", "state_getRuntimeVersion")?;
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        // The runtime of a chain stays the same, so the first message is the last.
        |_, pending, _, _| async move {
            let sink = pending.accept().await?;
            let message =
                SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), &runtime_version())?;
            sink.send(message).await?;
            sink.closed().await;
            Ok::<_, jsonrpsee::core::SubscriptionError>(())
        },
    )?;
    Ok(())
}

fn storage(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let key = arguments.bytes()?;
    let state = node.state(arguments.block()?)?;
    Ok(json!(state.get(&key)?.map(to_hex)))
}

fn query(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let keys = arguments.byte_list()?;
    let hash = arguments.block()?.unwrap_or_else(|| node.best().hash);
    let state = node.state(Some(hash))?;
    let changes = keys
        .iter()
        .map(|key| Ok(json!([to_hex(key), state.get(key)?.map(to_hex)])))
        .collect::<Result<Vec<Value>, StateError>>()?;
    Ok(json!([{ "block": hash, "changes": changes }]))
}

fn keys(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let prefix = arguments
        .optional::<String>()?
        .map(|text| from_hex(&text))
        .transpose()?
        .unwrap_or_default();
    let count: usize = arguments.next()?;
    let start = arguments
        .optional::<String>()?
        .map(|text| from_hex(&text))
        .transpose()?;
    if count > MOST_KEYS {
        return Err(refusal(
            4002,
            format_args!("count exceeds maximum value. value: {count}, max: {MOST_KEYS}"),
        ));
    }
    let state = node.state(arguments.block()?)?;
    let keys = state.keys(&prefix, start.as_deref(), count)?;
    Ok(keys.iter().map(to_hex).collect())
}

fn prove(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let keys = arguments.byte_list()?;
    let hash = arguments.block()?.unwrap_or_else(|| node.best().hash);
    let proof = node.state(Some(hash))?.prove(&keys)?;
    let proof: Vec<String> = proof.iter().map(to_hex).collect();
    Ok(json!({ "at": hash, "proof": proof }))
}

fn call(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let method: String = arguments.next()?;
    let data = arguments.bytes()?;
    let state = node.state(arguments.block()?)?;
    Ok(json!(to_hex(state.call(&method, &data)?)))
}

/// The metadata as the runtime gives it, without the length in front.
fn metadata(params: &Params<'_>, node: &Node) -> Answer {
    let state = node.state(Arguments::of(params).block()?)?;
    let opaque = state.call("Metadata_metadata", &[])?;
    let metadata =
        Vec::<u8>::decode(&mut opaque.as_slice()).map_err(|error| refusal(INVALID_PARAMS, error))?;
    Ok(json!(to_hex(metadata)))
}

fn runtime_version() -> Value {
    let mut version = json!(VERSION);
    version["stateVersion"] = json!(VERSION.system_version);
    version
}
