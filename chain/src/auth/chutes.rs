//! The headers of Chutes: `hotkey:nonce:what` by users, `miner:validator:nonce:what` by validators, who name the
//! receiver. `what` is the hex SHA-256 of the body, or where there is none a word for the purpose.
//!
//! The nonce is in seconds, so a sender may honestly sign one text twice in a second. What must not come again is
//! therefore the signature: nobody but the key's holder can make another one of the same text.

use super::headers::pick;
use super::{AuthError, Claim, Covered, Parts, Scheme};

pub(super) const MINER: &str = "X-Chutes-Miner";
pub(super) const NONCE: &str = "X-Chutes-Nonce";
pub(super) const SIGNATURE: &str = "X-Chutes-Signature";
const SECOND: u64 = 1_000_000_000;

pub(super) fn read(headers: &[(&str, &[u8])]) -> Result<Claim, AuthError> {
    let [user, validator, miner, nonce, signature] = pick(
        headers,
        ["X-Chutes-Hotkey", "X-Chutes-Validator", MINER, NONCE, SIGNATURE],
    )?;
    let (hotkey, receiver) = if validator.is_there() || miner.is_there() {
        if user.is_there() {
            return Err(user.malformed("is of another form than X-Chutes-Validator and X-Chutes-Miner"));
        }
        (validator.hotkey()?, Some(miner.hotkey()?))
    } else {
        (user.hotkey()?, None)
    };
    let (seconds, signed_ns) = nonce.time(SECOND)?;
    let signature = signature.bare_signature()?;
    let before = match receiver {
        Some(receiver) => format!("{receiver}:{hotkey}:{seconds}:"),
        None => format!("{hotkey}:{seconds}:"),
    };
    Ok(Claim::of_text(
        Scheme::Chutes,
        hotkey,
        Parts {
            receiver,
            signed_ns,
            unique: signature.to_vec(),
            signature,
            before,
            body: Covered::Sha256OrPurpose,
            after: String::new(),
        },
    ))
}
