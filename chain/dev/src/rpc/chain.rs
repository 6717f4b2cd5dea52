//! `chain_*`: blocks, headers and heads.

use std::sync::Arc;

use jsonrpsee::core::{RegisterMethodError, SubscriptionError};
use jsonrpsee::types::Params;
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionMessage};
use serde_json::{Value, json};

use super::{Answer, Arguments, INVALID_PARAMS, refusal, to_hex};
use crate::node::{Heads, Node};

/// Which head a subscription follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Following {
    Best,
    Finalized,
}

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("chain_getBlockHash", |params, node, _| block_hash(&params, node))?;
    module.register_alias("chain_getHead", "chain_getBlockHash")?;
    module.register_method("chain_getHeader", |params, node, _| header(&params, node))?;
    module.register_method("chain_getBlock", |params, node, _| block(&params, node))?;
    module.register_method("chain_getFinalizedHead", |_, node, _| {
        Answer::Ok(json!(node.finalized().hash))
    })?;
    module.register_alias("chain_getFinalisedHead", "chain_getFinalizedHead")?;
    for (subscribe, notification, unsubscribe, following) in [
        (
            "chain_subscribeNewHeads",
            "chain_newHead",
            "chain_unsubscribeNewHeads",
            Following::Best,
        ),
        // Without forks, all heads are the best ones.
        (
            "chain_subscribeAllHeads",
            "chain_allHead",
            "chain_unsubscribeAllHeads",
            Following::Best,
        ),
        (
            "chain_subscribeFinalizedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalizedHeads",
            Following::Finalized,
        ),
    ] {
        module.register_subscription(
            subscribe,
            notification,
            unsubscribe,
            move |_, pending, node, _| follow(pending, node, following),
        )?;
    }
    Ok(())
}

/// The hash of the best block, of one number or of a list of them.
fn block_hash(params: &Params<'_>, node: &Node) -> Answer {
    match Arguments::of(params).optional::<Value>()? {
        None => Ok(json!(node.best().hash)),
        Some(Value::Array(numbers)) => numbers
            .iter()
            .map(|number| block_hash_at(number, node))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from),
        Some(number) => block_hash_at(&number, node),
    }
}

fn block_hash_at(number: &Value, node: &Node) -> Answer {
    let number = match number {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    };
    let number = number.ok_or_else(|| refusal(INVALID_PARAMS, "a block number is a number or hex"))?;
    let block = u32::try_from(number)
        .ok()
        .and_then(|number| node.by_number(number));
    Ok(json!(block.map(|block| block.hash)))
}

fn header(params: &Params<'_>, node: &Node) -> Answer {
    let block = match Arguments::of(params).block()? {
        Some(hash) => node.by_hash(hash),
        None => Some(node.best()),
    };
    Ok(json!(block.map(|block| block.header)))
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

/// Sends the current header at once and then each newer one, none left out but those that became final only
/// because a later one did.
async fn follow(
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    following: Following,
) -> Result<(), SubscriptionError> {
    let number = |heads: &Heads| match following {
        Following::Best => heads.best,
        Following::Finalized => heads.finalized,
    };
    let mut heads = node.heads();
    let sink = pending.accept().await?;
    let mut next = number(&heads.borrow_and_update());
    loop {
        let newest = number(&heads.borrow_and_update());
        while next <= newest {
            let block = node.by_number(next).expect("blocks up to a head are stored");
            next += 1;
            if following == Following::Finalized && !block.announced_final {
                continue;
            }
            let message =
                SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), &block.header)?;
            sink.send(message).await?;
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = heads.changed() => changed?,
        }
    }
}
