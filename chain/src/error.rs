//! What can go wrong when the chain is read, as values: which item, at which runtime, and what lies beneath.

use std::error::Error as StdError;

use crate::proof::ProofError;
use crate::types::{BlockRef, NetUid};

/// A cause from a lower layer, kept for its message.
pub type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why the chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of endpoints is empty.
    #[error("no chain endpoint is configured")]
    NoEndpoint,
    /// An endpoint is not a WebSocket address.
    #[error("{url} is not a ws:// or wss:// address")]
    Endpoint {
        /// As configured.
        url: String,
    },
    /// No endpoint answers right now. Later calls try again, with backoff.
    #[error("no chain endpoint can be reached, last tried {url}")]
    Unreachable {
        /// The endpoint that failed last.
        url: String,
        /// Its failure, when this call tried it itself.
        #[source]
        source: Option<Source>,
    },
    /// An endpoint serves another chain than the first one did.
    #[error("{url} serves the chain with genesis {found}, not {expected}")]
    OtherChain {
        /// The endpoint.
        url: String,
        /// Genesis hash of the first connection.
        expected: String,
        /// What this endpoint said.
        found: String,
    },
    /// The node answered with an error.
    #[error("{method} failed: {message} ({code})")]
    Rpc {
        /// The JSON-RPC method.
        method: &'static str,
        /// JSON-RPC error code.
        code: i32,
        /// The node's words.
        message: String,
    },
    /// The node no longer has the state of that block; an archive node has.
    #[error("{method} failed: the node has discarded the state of that block")]
    StateDiscarded {
        /// The JSON-RPC method.
        method: &'static str,
    },
    /// The node's answer is not of the form that the method gives.
    #[error("the answer to {method} cannot be read")]
    Response {
        /// The JSON-RPC method.
        method: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// The runtime lacks something that is read.
    #[error("{item} is missing in runtime {spec_version}")]
    Missing {
        /// `Pallet.Entry`, `Api.method` or `Api.method.field`.
        item: String,
        /// The runtime.
        spec_version: u32,
    },
    /// An item is there but cannot be written or read in the shape that the runtime declares.
    #[error("{item} cannot be read as runtime {spec_version} declares it")]
    Decode {
        /// `Pallet.Entry` or `Api.method`.
        item: String,
        /// The runtime.
        spec_version: u32,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// Extrinsics of the runtime carry something that is not known here, so none can be signed.
    #[error("runtime {spec_version} has the transaction extension {name}, which is unknown and carries data")]
    Extension {
        /// As the metadata names it.
        name: String,
        /// The runtime.
        spec_version: u32,
    },
    /// The metadata of a runtime cannot be had or read.
    #[error("the metadata cannot be read")]
    Metadata(#[source] Source),
    /// The columns of one metagraph contradict each other or the block asked for.
    #[error("the metagraph of subnet {netuid} is inconsistent: {what}")]
    Inconsistent {
        /// The subnet.
        netuid: NetUid,
        /// Which column.
        what: &'static str,
    },
    /// What the node gave as a proof of stakes proves nothing, or not what was asked.
    #[error("the stakes of subnet {netuid} at block {} are not proved", block.number)]
    Proof {
        /// The subnet.
        netuid: NetUid,
        /// The block whose state was to be proved.
        block: BlockRef,
        /// Why not.
        #[source]
        source: ProofError,
    },
    /// The subnet does not exist at that block.
    #[error("subnet {netuid} does not exist at block {}", block.number)]
    NoSuchSubnet {
        /// The subnet.
        netuid: NetUid,
        /// Where it was looked for.
        block: BlockRef,
    },
}

impl Error {
    /// Whether trying again later may help: the connection or the node is at fault, not the question.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Rpc { .. } | Self::Response { .. }
        )
    }
}
