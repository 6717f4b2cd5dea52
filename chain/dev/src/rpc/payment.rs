//! `payment_*`: what an extrinsic would cost.

use codec::{Decode as _, Encode as _};
use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::Params;
use pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo;
use serde_json::json;

use super::{Answer, Arguments, refusal};
use crate::node::Node;
use crate::runtime::Balance;

/// Substrate's code for an extrinsic that could not be decoded.
const UNDECODABLE: i32 = 8001;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("payment_queryInfo", |params, node, _| info(&params, node))?;
    Ok(())
}

fn info(params: &Params<'_>, node: &Node) -> Answer {
    let mut arguments = Arguments::of(params);
    let extrinsic = arguments.bytes()?;
    let state = node.state(arguments.block()?)?;
    if let Err(error) = crate::runtime::UncheckedExtrinsic::decode(&mut extrinsic.as_slice()) {
        return Err(refusal(
            UNDECODABLE,
            format_args!("Unable to query dispatch info.: {error}"),
        ));
    }
    let length = u32::try_from(extrinsic.len()).unwrap_or(u32::MAX);
    let answer = state.call(
        "TransactionPaymentApi_query_info",
        &[extrinsic, length.encode()].concat(),
    )?;
    let info = RuntimeDispatchInfo::<Balance>::decode(&mut answer.as_slice())
        .expect("the answer is encoded by the same runtime");
    Ok(json!({
        "weight": info.weight,
        "class": info.class,
        "partialFee": info.partial_fee.to_string(),
    }))
}
