//! `system_*`: what the node says of itself.

use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use serde_json::json;

use super::Answer;
use crate::node::Node;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    // Every Bittensor network has this name; only the genesis hash tells them apart.
    module.register_method("system_chain", |_, _, _| "Bittensor")?;
    module.register_method("system_chainType", |_, _, _| "Development")?;
    module.register_method("system_name", |_, _, _| "Violet devchain")?;
    module.register_method("system_version", |_, _, _| env!("CARGO_PKG_VERSION"))?;
    module.register_method("system_properties", |_, _, _| {
        Answer::Ok(json!({ "ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO" }))
    })?;
    module.register_method("system_nodeRoles", |_, _, _| Answer::Ok(json!(["Authority"])))?;
    module.register_method("system_peers", |_, _, _| Answer::Ok(json!([])))?;
    module.register_method("system_syncState", |_, node, _| {
        let best = node.best().number();
        Answer::Ok(json!({ "startingBlock": 0, "currentBlock": best, "highestBlock": best }))
    })?;
    module.register_method("system_health", |_, _, _| {
        Answer::Ok(json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false }))
    })?;
    Ok(())
}
