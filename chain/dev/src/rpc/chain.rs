//! `chain_*`: blocks, headers and heads.

use std::sync::Arc;

use jsonrpsee::core::{RegisterMethodError, SubscriptionError};
use jsonrpsee::types::Params;
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionMessage};
use serde_json::{Value, json};

use super::{Answer, Arguments, INVALID_PARAMS, refusal, to_hex};
use crate::controls::Controls;
use crate::node::Node;
use crate::tree::Following;

/// A subscription with its notification and its end, the other names of both, and what it follows.
type Heads = (
    [&'static str; 3],
    &'static [&'static str],
    &'static [&'static str],
    Following,
);

const HEADS: [Heads; 3] = [
    (
        [
            "chain_subscribeNewHeads",
            "chain_newHead",
            "chain_unsubscribeNewHeads",
        ],
        &["chain_subscribeNewHead", "subscribe_newHead"],
        &["chain_unsubscribeNewHead", "unsubscribe_newHead"],
        Following::Best,
    ),
    (
        [
            "chain_subscribeAllHeads",
            "chain_allHead",
            "chain_unsubscribeAllHeads",
        ],
        &[],
        &[],
        Following::All,
    ),
    (
        [
            "chain_subscribeFinalizedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalizedHeads",
        ],
        &["chain_subscribeFinalisedHeads"],
        &["chain_unsubscribeFinalisedHeads"],
        Following::Finalized,
    ),
];

pub(super) fn register(
    module: &mut RpcModule<Node>,
    controls: &Arc<Controls>,
) -> Result<(), RegisterMethodError> {
    let shared = Arc::clone(controls);
    module.register_method("chain_getBlockHash", move |params, _, _| {
        block_hash(&params, &shared)
    })?;
    module.register_alias("chain_getHead", "chain_getBlockHash")?;
    module.register_method("chain_getHeader", |params, node, _| header(&params, node))?;
    module.register_method("chain_getBlock", |params, node, _| block(&params, node))?;
    module.register_method("chain_getFinalizedHead", |_, node, _| {
        Answer::Ok(json!(node.finalized().hash))
    })?;
    module.register_alias("chain_getFinalisedHead", "chain_getFinalizedHead")?;
    for ([subscribe, notification, unsubscribe], aliases, end_aliases, following) in HEADS {
        module.register_subscription(
            subscribe,
            notification,
            unsubscribe,
            move |_, pending, node, _| follow(pending, node, following),
        )?;
        for alias in aliases {
            module.register_alias(alias, subscribe)?;
        }
        for alias in end_aliases {
            module.register_alias(alias, unsubscribe)?;
        }
    }
    Ok(())
}

/// The hash of the best block, of one number or of a list of them.
fn block_hash(params: &Params<'_>, controls: &Controls) -> Answer {
    match Arguments::of(params).optional::<Value>()? {
        None => Ok(json!(controls.node.best().hash)),
        Some(Value::Array(numbers)) => numbers
            .iter()
            .map(|number| block_hash_at(number, controls))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from),
        Some(number) => block_hash_at(&number, controls),
    }
}

fn block_hash_at(number: &Value, controls: &Controls) -> Answer {
    let number = match number {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    };
    let number = number.ok_or_else(|| refusal(INVALID_PARAMS, "a block number is a number or hex"))?;
    if let (0, Some(claimed)) = (number, controls.claimed_genesis()) {
        return Ok(json!(claimed));
    }
    let block = u32::try_from(number)
        .ok()
        .and_then(|number| controls.node.by_number(number));
    Ok(json!(block.map(|block| block.hash)))
}

fn header(params: &Params<'_>, node: &Node) -> Answer {
    let block = match Arguments::of(params).block()? {
        Some(hash) => node.by_hash(hash),
        None => Some(node.best()),
    };
    Ok(json!(block.map(|block| json!(block.header))))
}

fn block(params: &Params<'_>, node: &Node) -> Answer {
    let block = match Arguments::of(params).block()? {
        Some(hash) => node.by_hash(hash),
        None => Some(node.best()),
    };
    Ok(json!(block.map(|block| {
        let extrinsics: Vec<String> = block.extrinsics.iter().map(to_hex).collect();
        json!({ "block": { "header": block.header, "extrinsics": extrinsics }, "justifications": null })
    })))
}

/// Sends the current header at once and then each newer one.
async fn follow(
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    following: Following,
) -> Result<(), SubscriptionError> {
    let mut news = node.news();
    let (head, mut cursor) = node.cursor(following);
    let sink = pending.accept().await?;
    let mut heads = vec![head];
    loop {
        for head in heads {
            let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), &head.header)?;
            sink.send(message).await?;
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = news.changed() => changed?,
        }
        heads = node.heads_since(&mut cursor);
    }
}
