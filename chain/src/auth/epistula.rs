//! Epistula, version 2: `sha256hex(body).uuid.timestamp.signed_for`, the last part empty when nobody is named.
//!
//! Looked at is the signature of the request. The interval signatures (`Epistula-Secret-Signature-0` to `-2`) are passed
//! over: three incompatible forms of them are about, and none covers the request.

use super::headers::pick;
use super::{AuthError, Claim, Covered, Parts, Scheme};

pub(super) const SIGNED_FOR: &str = "Epistula-Signed-For";
pub(super) const TIMESTAMP: &str = "Epistula-Timestamp";
pub(super) const SIGNATURE: &str = "Epistula-Request-Signature";
const MILLISECOND: u64 = 1_000_000;

pub(super) fn read(headers: &[(&str, &[u8])]) -> Result<Claim, AuthError> {
    let [version, signed_by, signed_for, uuid, timestamp, signature] = pick(
        headers,
        [
            "Epistula-Version",
            "Epistula-Signed-By",
            SIGNED_FOR,
            "Epistula-Uuid",
            TIMESTAMP,
            SIGNATURE,
        ],
    )?;
    if version.bytes()? != b"2" {
        return Err(version.malformed("is not 2"));
    }
    let hotkey = signed_by.hotkey()?;
    let receiver = if signed_for.is_there() {
        Some(signed_for.hotkey()?)
    } else {
        None
    };
    let uuid = uuid.uuid()?;
    let (millis, signed_ns) = timestamp.time(MILLISECOND)?;
    let named = receiver.map_or_else(String::new, |receiver| receiver.to_string());
    Ok(Claim::of_text(
        Scheme::Epistula2,
        hotkey,
        Parts {
            receiver,
            signed_ns,
            unique: format!("{uuid}.{millis}").into_bytes(),
            signature: signature.signature()?,
            before: String::new(),
            body: Covered::Sha256,
            after: format!(".{uuid}.{millis}.{named}"),
        },
    ))
}
