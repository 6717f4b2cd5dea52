//! What several tests need: metadata to change, a node that serves it, and the state of a dev chain to write to.

pub(crate) mod metadata;
pub(crate) mod node;
pub(crate) mod state;
