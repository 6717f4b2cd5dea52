//! What the dendrite of the SDKs 9 and 10 signs: `nonce.dendrite_hotkey.axon_hotkey.uuid.computed_body_hash`.
//!
//! The SDKs' own receiver lets the unsigned headers `timeout` and `bt_header_dendrite_version` widen its window. Here
//! they are not read at all.

use sha3::{Digest as _, Sha3_256};

use super::headers::pick;
use super::{AuthError, Body, Claim, Covered, Parts, Scheme};

pub(super) const AXON: &str = "bt_header_axon_hotkey";
pub(super) const NONCE: &str = "bt_header_dendrite_nonce";
pub(super) const SIGNATURE: &str = "bt_header_dendrite_signature";

pub(super) fn read(headers: &[(&str, &[u8])]) -> Result<Claim, AuthError> {
    let [dendrite, axon, nonce, uuid, body_hash, signature] = pick(
        headers,
        [
            "bt_header_dendrite_hotkey",
            AXON,
            NONCE,
            "bt_header_dendrite_uuid",
            "computed_body_hash",
            SIGNATURE,
        ],
    )?;
    let (hotkey, receiver) = (dendrite.hotkey()?, axon.hotkey()?);
    let (nanos, signed_ns) = nonce.time(1)?;
    let uuid = uuid.uuid()?;
    Ok(Claim::of_text(
        Scheme::Synapse,
        hotkey,
        Parts {
            receiver: Some(receiver),
            signed_ns,
            unique: format!("{nanos}.{uuid}").into_bytes(),
            body: Covered::Sha3(body_hash.digest()?.to_owned()),
            signature: signature.signature()?,
            before: format!("{nanos}.{hotkey}.{receiver}.{uuid}."),
            after: String::new(),
        },
    ))
}

/// The claimed hash, if it covers this body: that of no field where there is no body, that of one field with the body
/// as its text where there is one. Of a body that is only declared nothing can be said.
pub(super) fn covering<'a>(claimed: &'a str, body: &Body<'_>) -> Result<&'a str, AuthError> {
    let covers = match body {
        _ if body.is_empty() => claimed == hex::encode(Sha3_256::digest(b"")),
        Body::Whole(bytes) => {
            let field = hex::encode(Sha3_256::digest(bytes));
            claimed == hex::encode(Sha3_256::digest(field))
        }
        Body::Declared(_) => false,
    };
    if covers {
        Ok(claimed)
    } else {
        Err(AuthError::Unbound)
    }
}
