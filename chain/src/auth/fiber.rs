//! fiber with plain bodies: `nonce:miner_hotkey:sha256hex(body)`. The sender is `validator-hotkey`, the receiver
//! `miner-hotkey`, and unlike in fiber itself it is compared. Requests without a body sign the hash of nothing.

use super::headers::pick;
use super::{AuthError, Claim, Covered, Parts, Scheme};

pub(super) const MINER: &str = "miner-hotkey";
pub(super) const NONCE: &str = "nonce";
pub(super) const SIGNATURE: &str = "signature";

pub(super) fn read(headers: &[(&str, &[u8])]) -> Result<Claim, AuthError> {
    let [encrypted, validator, miner, nonce, signature] = pick(
        headers,
        ["symmetric-key-uuid", "validator-hotkey", MINER, NONCE, SIGNATURE],
    )?;
    if encrypted.is_there() {
        return Err(encrypted.malformed("is of encrypted bodies, which are not taken"));
    }
    let hotkey = validator.hotkey()?;
    let receiver = miner.hotkey()?;
    let (signed_ns, nonce) = nonce.stamped()?;
    Ok(Claim::of_text(
        Scheme::Fiber,
        hotkey,
        Parts {
            receiver: Some(receiver),
            signed_ns,
            unique: nonce.as_bytes().to_vec(),
            signature: signature.signature()?,
            before: format!("{nonce}:{receiver}:"),
            body: Covered::Sha256,
            after: String::new(),
        },
    ))
}
