//! `btauth/1`, the signed requests of bittensor 11: what a sender writes and what a receiver believes.
//!
//! Stricter than the Python verifier, each on purpose: version exactly `1`; a nonce of plain digits; `0x` and 128
//! lower-case hex digits; addresses with prefix 42 in their one spelling; no header twice; no wrapped message;
//! `X-Bittensor-Crypto` absent (which is sr25519), `sr25519` or `ed25519`. No unsigned header steers anything.
//! The replay store is the caller's: (hotkey, nonce), recorded after [`Claim::verify`], kept for at least
//! `max_age + max_ahead`.

use std::time::Duration;

use crate::keys::{self, Keypair};
use crate::types::{CryptoType, Hotkey, hex_prefixed};

/// SHA-256 of nothing: the digest of an empty body.
pub const EMPTY_BODY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

const PREFIX: &str = "x-bittensor-";

/// What of a request is signed besides who, to whom and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method as on the wire (`POST`).
    pub method: &'a str,
    /// Path and query, percent-encoded exactly as on the wire.
    pub target: &'a str,
    /// SHA-256 of the raw body.
    pub body_sha256: [u8; 32],
}

/// What the `X-Bittensor-*` headers of a request claim; worth nothing before [`Claim::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who says to send this.
    pub hotkey: Hotkey,
    /// How it says to sign.
    pub crypto: CryptoType,
    /// For whom; `None` when the sender bound no receiver.
    pub receiver: Option<Hotkey>,
    /// Unix time in nanoseconds, and unique per sender.
    pub nonce: u64,
    /// Over the eight lines of `btauth/1`.
    pub signature: [u8; 64],
}

/// What a receiver holds a claim against. Nothing of it comes from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The receiver's own hotkey.
    pub receiver: Hotkey,
    /// Now, Unix time in nanoseconds.
    pub now_ns: u64,
    /// How old a nonce may be, inclusive; 10 s by convention.
    pub max_age: Duration,
    /// How far ahead a nonce may be, inclusive; 2 s by convention.
    pub max_ahead: Duration,
}

/// Why a request is not believed. All of them are 401 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `X-Bittensor-*` header at all.
    #[error("the request carries no X-Bittensor headers")]
    Missing,
    /// A header is absent, given twice or not of its form; the text names it.
    #[error("{0}")]
    Malformed(&'static str),
    /// Signed for somebody else, or for nobody.
    #[error("X-Bittensor-Receiver is not this server's hotkey")]
    WrongReceiver,
    /// Older than the window.
    #[error("X-Bittensor-Nonce is too old")]
    Stale,
    /// Ahead of the window.
    #[error("X-Bittensor-Nonce lies in the future")]
    Future,
    /// The signature is not the hotkey's over this request.
    #[error("X-Bittensor-Signature does not fit the request")]
    BadSignature,
}

/// The headers of the scheme, in the order in which they are looked at.
#[derive(Clone, Copy, Default)]
struct Raw<'a> {
    version: Option<&'a [u8]>,
    hotkey: Option<&'a [u8]>,
    receiver: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    crypto: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

fn text(value: &[u8], error: AuthError) -> Result<&str, AuthError> {
    std::str::from_utf8(value).map_err(|_| error)
}

impl Claim {
    /// Reads the claim from the headers of a request. Names are compared without case; headers of other schemes
    /// and reserved ones (`X-Bittensor-Randomness` …) are passed over.
    ///
    /// Errors: [`AuthError::Missing`] when there is no `X-Bittensor-*` header at all, otherwise
    /// [`AuthError::Malformed`].
    pub fn from_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, AuthError> {
        use AuthError::Malformed;

        let mut raw = Raw::default();
        let mut any = false;
        for (name, value) in headers {
            if !name
                .get(..PREFIX.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
            {
                continue;
            }
            any = true;
            let (place, twice) = match name[PREFIX.len()..].to_ascii_lowercase().as_str() {
                "version" => (&mut raw.version, "X-Bittensor-Version is given twice"),
                "hotkey" => (&mut raw.hotkey, "X-Bittensor-Hotkey is given twice"),
                "receiver" => (&mut raw.receiver, "X-Bittensor-Receiver is given twice"),
                "nonce" => (&mut raw.nonce, "X-Bittensor-Nonce is given twice"),
                "crypto" => (&mut raw.crypto, "X-Bittensor-Crypto is given twice"),
                "signature" => (&mut raw.signature, "X-Bittensor-Signature is given twice"),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Malformed(twice));
            }
        }
        if !any {
            return Err(AuthError::Missing);
        }

        match raw.version {
            None => return Err(Malformed("X-Bittensor-Version is missing")),
            Some(b"1") => {}
            Some(_) => return Err(Malformed("X-Bittensor-Version is not 1")),
        }
        let crypto = match raw.crypto {
            None | Some(b"sr25519") => CryptoType::Sr25519,
            Some(b"ed25519") => CryptoType::Ed25519,
            Some(_) => return Err(Malformed("X-Bittensor-Crypto is neither sr25519 nor ed25519")),
        };
        let hotkey = address(
            raw.hotkey.ok_or(Malformed("X-Bittensor-Hotkey is missing"))?,
            Malformed("X-Bittensor-Hotkey is not an SS58 address with prefix 42"),
        )?;
        let receiver = raw
            .receiver
            .map(|value| {
                address(
                    value,
                    Malformed("X-Bittensor-Receiver is not an SS58 address with prefix 42"),
                )
            })
            .transpose()?;
        let nonce = nonce(raw.nonce.ok_or(Malformed("X-Bittensor-Nonce is missing"))?)?;
        let signature = signature(
            raw.signature
                .ok_or(Malformed("X-Bittensor-Signature is missing"))?,
        )?;
        Ok(Self {
            hotkey,
            crypto,
            receiver,
            nonce,
            signature,
        })
    }

    /// Whether the claim holds for this request here and now: receiver, then window, then signature.
    ///
    /// Replay, registration, permit and stake are still to be checked, in this order.
    pub fn verify(&self, request: &RequestLine<'_>, rules: &Rules) -> Result<(), AuthError> {
        if self.receiver != Some(rules.receiver) {
            return Err(AuthError::WrongReceiver);
        }
        let age = rules.now_ns.saturating_sub(self.nonce);
        if u128::from(age) > rules.max_age.as_nanos() {
            return Err(AuthError::Stale);
        }
        let ahead = self.nonce.saturating_sub(rules.now_ns);
        if u128::from(ahead) > rules.max_ahead.as_nanos() {
            return Err(AuthError::Future);
        }
        let message = self.message(request);
        if keys::verify(self.crypto, &self.hotkey, message.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(AuthError::BadSignature)
        }
    }

    /// What its sender signs of this request.
    pub(crate) fn message(&self, request: &RequestLine<'_>) -> String {
        message(
            self.crypto,
            request,
            self.nonce,
            &self.hotkey,
            self.receiver.as_ref(),
        )
    }
}

fn address(value: &[u8], error: AuthError) -> Result<Hotkey, AuthError> {
    text(value, error)?.parse().map_err(|_| error)
}

/// Plain digits without a leading zero, so that one nonce has one spelling.
fn nonce(value: &[u8]) -> Result<u64, AuthError> {
    let error = AuthError::Malformed("X-Bittensor-Nonce is not a number of nanoseconds in plain digits");
    let plain = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    if !plain {
        return Err(error);
    }
    text(value, error)?.parse().map_err(|_| error)
}

fn signature(value: &[u8]) -> Result<[u8; 64], AuthError> {
    // An empty signature was once taken for any hotkey by a verifier of this ecosystem: never let it through.
    if value.is_empty() || value == b"0x" {
        return Err(AuthError::Malformed("X-Bittensor-Signature is empty"));
    }
    let error = AuthError::Malformed("X-Bittensor-Signature is not 0x and 128 lower-case hex digits");
    hex_prefixed(text(value, error)?).ok_or(error)
}

/// The eight signed lines, without a newline at the end.
fn message(
    crypto: CryptoType,
    request: &RequestLine<'_>,
    nonce: u64,
    hotkey: &Hotkey,
    receiver: Option<&Hotkey>,
) -> String {
    let RequestLine {
        method,
        target,
        body_sha256,
    } = request;
    let body = hex::encode(body_sha256);
    let receiver = receiver.map_or_else(|| "-".to_owned(), Hotkey::to_string);
    format!("btauth/1\n{crypto}\n{method}\n{target}\n{body}\n{nonce}\n{hotkey}\n{receiver}")
}

/// The headers that make a request `keypair`'s, for `receiver` alone. `nonce` is Unix time in nanoseconds and must
/// never be used twice by one hotkey.
pub fn sign(
    keypair: &Keypair,
    request: &RequestLine<'_>,
    receiver: &Hotkey,
    nonce: u64,
) -> Vec<(&'static str, String)> {
    let (hotkey, crypto) = (keypair.hotkey(), keypair.crypto());
    let message = message(crypto, request, nonce, &hotkey, Some(receiver));
    let signature = keypair.sign(message.as_bytes());
    let mut headers = vec![
        ("X-Bittensor-Version", "1".to_owned()),
        ("X-Bittensor-Hotkey", hotkey.to_string()),
        ("X-Bittensor-Receiver", receiver.to_string()),
        ("X-Bittensor-Nonce", nonce.to_string()),
        ("X-Bittensor-Signature", format!("0x{}", hex::encode(signature))),
    ];
    if crypto != CryptoType::Sr25519 {
        headers.push(("X-Bittensor-Crypto", crypto.to_string()));
    }
    headers
}
