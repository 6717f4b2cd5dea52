//! `state_*`: storage, proofs and runtime calls at a block.

use std::sync::Arc;

use codec::Decode as _;
use jsonrpsee::core::{RegisterMethodError, SubscriptionError};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink};
use serde::Deserialize;
use serde_json::{Value, json};
use sp_core::H256;

use super::{Answer, Arguments, INVALID_PARAMS, from_hex, refusal, to_hex};
use crate::controls::Controls;
use crate::node::Node;
use crate::runtime::upgrade::{UPGRADE_KEY, Upgrade};
use crate::state::{State, StateError};
use crate::tree::Following;

/// As many keys as Substrate gives in one page.
const MOST_KEYS: usize = 1_000;
/// JSON-RPC's code for a method that a node does not serve.
const METHOD_NOT_FOUND: i32 = -32601;

/// How proofs of storage are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proofs {
    /// As they are.
    #[default]
    True,
    /// Not at all, as by a gateway that does not pass the method on.
    Refused,
    /// With a bit of one trie node flipped.
    Forged,
}

pub(super) fn register(
    module: &mut RpcModule<Node>,
    controls: &Arc<Controls>,
) -> Result<(), RegisterMethodError> {
    module.register_method("state_getStorage", |params, node, _| storage(&params, node))?;
    module.register_alias("state_getStorageAt", "state_getStorage")?;
    module.register_method("state_getStorageHash", |params, node, _| {
        let value = stored(&params, node)?;
        Answer::Ok(json!(value.map(|value| H256(sp_core::blake2_256(&value)))))
    })?;
    module.register_alias("state_getStorageHashAt", "state_getStorageHash")?;
    module.register_method("state_getStorageSize", |params, node, _| {
        let value = stored(&params, node)?;
        Answer::Ok(json!(value.map(|value| value.len())))
    })?;
    module.register_alias("state_getStorageSizeAt", "state_getStorageSize")?;
    module.register_method("state_queryStorageAt", |params, node, _| query(&params, node))?;
    module.register_method("state_getKeysPaged", |params, node, _| keys(&params, node))?;
    module.register_alias("state_getKeysPagedAt", "state_getKeysPaged")?;
    let shared = Arc::clone(controls);
    module.register_method("state_getReadProof", move |params, node, _| {
        prove(&params, node, shared.proofs())
    })?;
    module.register_method("state_call", |params, node, _| call(&params, node))?;
    module.register_alias("state_callAt", "state_call")?;
    module.register_method("state_getMetadata", |params, node, _| metadata(&params, node))?;
    module.register_method("state_getRuntimeVersion", |params, node, _| {
        Ok::<_, ErrorObjectOwned>(runtime_version(&node.state(Arguments::of(&params).block()?)?)?)
    })?;
    module.register_alias("chain_getRuntimeVersion", "state_getRuntimeVersion")?;
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        |_, pending, node, _| follow_version(pending, node),
    )?;
    module.register_alias("chain_subscribeRuntimeVersion", "state_subscribeRuntimeVersion")?;
    module.register_alias(
        "chain_unsubscribeRuntimeVersion",
        "state_unsubscribeRuntimeVersion",
    )?;
    module.register_subscription(
        "state_subscribeStorage",
        "state_storage",
        "state_unsubscribeStorage",
        |params, pending, node, _| follow_storage(params, pending, node),
    )?;
    Ok(())
}

fn stored(params: &Params<'_>, node: &Node) -> Result<Option<Vec<u8>>, ErrorObjectOwned> {
    let mut arguments = Arguments::of(params);
    let key = arguments.bytes()?;
    Ok(node.state(arguments.block()?)?.get(&key)?)
}

fn storage(params: &Params<'_>, node: &Node) -> Answer {
    Ok(json!(stored(params, node)?.map(to_hex)))
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

fn prove(params: &Params<'_>, node: &Node, proofs: Proofs) -> Answer {
    if proofs == Proofs::Refused {
        return Err(refusal(METHOD_NOT_FOUND, "Method not found"));
    }
    let mut arguments = Arguments::of(params);
    let keys = arguments.byte_list()?;
    let hash = arguments.block()?.unwrap_or_else(|| node.best().hash);
    let mut proof = node.state(Some(hash))?.prove(&keys)?;
    if proofs == Proofs::Forged
        && let Some(last) = proof.last_mut().and_then(|node| node.last_mut())
    {
        *last ^= 1;
    }
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

fn runtime_version(state: &State) -> Result<Value, StateError> {
    let version = Upgrade::version(state.get(UPGRADE_KEY)?.as_deref());
    let mut shown = json!(version);
    shown["stateVersion"] = json!(version.system_version);
    Ok(shown)
}

/// Sends the version of the best block at once and then whenever it has another.
async fn follow_version(pending: PendingSubscriptionSink, node: Arc<Node>) -> Result<(), SubscriptionError> {
    let mut news = node.news();
    let sink = pending.accept().await?;
    let mut told = Value::Null;
    loop {
        let version = node.state(None).map(|state| runtime_version(&state));
        if let Ok(Ok(version)) = version
            && version != told
        {
            send(&sink, &version).await?;
            told = version;
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = news.changed() => changed?,
        }
    }
}

/// Sends the values at once and then, with each best block that has others, those.
async fn follow_storage(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
) -> Result<(), SubscriptionError> {
    let keys = match Arguments::of(&params).byte_list() {
        Ok(keys) => keys,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let mut news = node.news();
    let (head, mut cursor) = node.cursor(Following::Best);
    let sink = pending.accept().await?;
    let mut told: Option<Vec<Option<Vec<u8>>>> = None;
    let mut heads = vec![head];
    loop {
        for head in heads {
            // A state may be discarded by the time its turn comes; the next one makes up for it.
            let Ok(state) = node.state(Some(head.hash)) else {
                continue;
            };
            let values: Vec<Option<Vec<u8>>> =
                keys.iter().map(|key| state.get(key)).collect::<Result<_, _>>()?;
            let changed = |i: usize| told.as_ref().is_none_or(|told| told[i] != values[i]);
            let changes: Vec<Value> = (0..keys.len())
                .filter(|i| changed(*i))
                .map(|i| json!([to_hex(&keys[i]), values[i].as_ref().map(to_hex)]))
                .collect();
            if told.is_none() || !changes.is_empty() {
                send(&sink, &json!({ "block": head.hash, "changes": changes })).await?;
            }
            told = Some(values);
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = news.changed() => changed?,
        }
        heads = node.heads_since(&mut cursor);
    }
}

async fn send(sink: &SubscriptionSink, value: &Value) -> Result<(), SubscriptionError> {
    let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), value)?;
    Ok(sink.send(message).await?)
}
