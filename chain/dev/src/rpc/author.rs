//! `author_*` and nonces: extrinsics on their way into a block.

use std::sync::Arc;

use codec::Encode as _;
use jsonrpsee::core::{RegisterMethodError, SubscriptionError};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink};
use serde_json::{Value, json};
use sp_core::H256;
use sp_core::crypto::Ss58Codec as _;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

use super::{Answer, Arguments, INVALID_PARAMS, refusal, to_hex};
use crate::node::{Node, SubmitError, TransactionState};
use crate::runtime::AccountId;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("author_submitExtrinsic", |params, node, _| {
        let hash = node.submit(Arguments::of(&params).bytes()?)?;
        Answer::Ok(json!(hash))
    })?;
    module.register_method("author_pendingExtrinsics", |_, node, _| {
        Answer::Ok(node.pending().iter().map(to_hex).collect())
    })?;
    module.register_subscription(
        "author_submitAndWatchExtrinsic",
        "author_extrinsicUpdate",
        "author_unwatchExtrinsic",
        |params, pending, node, _| submit_and_watch(params, pending, node),
    )?;
    module.register_method("account_nextIndex", |params, node, _| next_index(&params, node))?;
    module.register_alias("system_accountNextIndex", "account_nextIndex")?;
    Ok(())
}

async fn submit_and_watch(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
) -> Result<(), SubscriptionError> {
    // Before the submission, or the block that holds the extrinsic could go by unseen.
    let mut news = node.news();
    let submitted = Arguments::of(&params)
        .bytes()
        .and_then(|bytes| node.submit(bytes).map_err(ErrorObjectOwned::from));
    let hash: H256 = match submitted {
        Ok(hash) => hash,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let sink = pending.accept().await?;
    tell(&sink, json!("ready")).await?;
    let mut told: Option<H256> = None;
    loop {
        let state = node.transaction(hash);
        let holder = match &state {
            TransactionState::Included { block, .. } => Some(*block),
            TransactionState::Pending | TransactionState::Usurped(_) | TransactionState::Gone => None,
        };
        if told != holder {
            if let Some(block) = told {
                tell(&sink, json!({ "retracted": block })).await?;
            }
            if let Some(block) = holder {
                tell(&sink, json!({ "inBlock": block })).await?;
            }
            told = holder;
        }
        match state {
            TransactionState::Pending | TransactionState::Included { is_final: false, .. } => {}
            TransactionState::Included {
                block,
                is_final: true,
            } => {
                return tell(&sink, json!({ "finalized": block })).await;
            }
            TransactionState::Usurped(by) => return tell(&sink, json!({ "usurped": by })).await,
            TransactionState::Gone => return tell(&sink, json!("invalid")).await,
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            changed = news.changed() => changed?,
        }
    }
}

async fn tell(sink: &SubscriptionSink, status: Value) -> Result<(), SubscriptionError> {
    sink.send(SubscriptionMessage::new(
        sink.method_name(),
        sink.subscription_id(),
        &status,
    )?)
    .await?;
    Ok(())
}

/// The nonce an account signs with next, what waits in the pool included.
fn next_index(params: &Params<'_>, node: &Node) -> Answer {
    let text: String = Arguments::of(params).next()?;
    let account = AccountId::from_ss58check(&text).map_err(|error| {
        refusal(
            INVALID_PARAMS,
            format_args!("the account is not an ss58 address: {error:?}"),
        )
    })?;
    let answer = node
        .state(None)?
        .call("AccountNonceApi_account_nonce", &account.encode())?;
    let nonce = <[u8; 4]>::try_from(answer.as_slice()).map_or(0, u32::from_le_bytes);
    Ok(json!(nonce + node.pending_of(&account)))
}

impl From<SubmitError> for ErrorObjectOwned {
    fn from(error: SubmitError) -> Self {
        // Substrate's codes and wording.
        match error {
            SubmitError::Undecodable(error) => {
                refusal(1001, format_args!("Extrinsic has invalid format: {error}"))
            }
            SubmitError::Known(hash) => Self::owned(1013, "Transaction Already Imported", Some(to_hex(hash))),
            SubmitError::Invalid(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => {
                Self::owned(1010, "Invalid Transaction", Some(format!("Custom error: {code}")))
            }
            SubmitError::Invalid(TransactionValidityError::Invalid(reason)) => {
                let reason: &'static str = reason.into();
                Self::owned(1010, "Invalid Transaction", Some(reason))
            }
            SubmitError::Invalid(TransactionValidityError::Unknown(reason)) => {
                let reason: &'static str = reason.into();
                Self::owned(1011, "Unknown Transaction Validity", Some(reason))
            }
            SubmitError::TooLow(priority) => Self::owned(
                1014,
                format!(
                    "Priority is too low: ({} vs {})",
                    priority.waiting, priority.offered
                ),
                Some(
                    "The transaction has too low priority to replace another transaction already in the pool.",
                ),
            ),
            SubmitError::Check(error) => Self::from(error),
        }
    }
}
