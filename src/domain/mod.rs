//! Values and rules: no I/O, no async, no clock. Time comes in as an argument.
pub mod access;
pub mod capability;
pub mod catalogue;
pub mod consensus;
pub mod enrolment;
mod ids;
pub mod lockout;
pub mod media;
pub mod neurons;
pub mod oidc;
pub mod performance;
pub mod quotas;
pub mod rates;
pub mod records;
pub mod routing;
pub mod scopes;
pub mod signing;
pub mod task;

pub use ids::{
    ApiKeyId, BatchId, FileId, IdentityId, InvitationId, NeuronKeyId, OrganizationId, SessionId, TaskId,
    UserId, VoiceId,
};
pub use task::{Priority, TaskState, TaskType};

use blake2::{Blake2b, Digest, digest::consts::U32};

/// BLAKE2b with 32 bytes of output over `parts` in order: the hash of every digest and seed of the routing rule.
pub fn blake2b_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Blake2b::<U32>::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
