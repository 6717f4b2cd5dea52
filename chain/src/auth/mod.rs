//! Signed requests in every convention that is taken: `btauth/1` and, for a server that wants them, four others.
//!
//! | scheme | binds method and target | body | receiver | time | signature |
//! | --- | --- | --- | --- | --- | --- |
//! | `btauth/1` | yes | SHA-256 | yes | ns | `0x` hex |
//! | `epistula/2` | no | SHA-256 | when one is named | ms | `0x` hex |
//! | `chutes` | no | SHA-256; without a body a purpose | in the form `X-Chutes-Validator`, `-Miner` | s | bare hex |
//! | `fiber` (plain) | no | SHA-256 | yes | ns | `0x` hex |
//! | `synapse` (SDK 9 and 10) | no | SHA3-256, of one form only | yes | ns | `0x` hex |
//!
//! Which one a request uses is told by its headers; those of two are refused. A scheme that does not bind the receiver
//! lets whoever saw a request to another server send it here, once, within the window; one that does not bind method
//! and target lets it be sent to another route with the same body. That is theirs; the rest is ours and the same for
//! all: the window is the receiver's on both sides, headers have one spelling, none is given twice, addresses have
//! prefix 42, a message is not wrapped, nothing unsigned steers a check, and the body is always covered.
//!
//! The last is no matter of course for `synapse`: an SDK signs of the body only the fields that a class lists, which
//! by default are none. Taken are a request without a body, whose `computed_body_hash` is that of no field, and one
//! whose hash is that of a single field with the raw body as its text: hex SHA3-256 of the hex SHA3-256 of the body.
//!
//! The order of checks is shape, receiver, window ([`Claim::check`]), signature ([`Claim::verify`]). The replay store is
//! the caller's: (public key, [`Claim::signed_ns`], [`Claim::once`]), recorded after the signature.

mod chutes;
mod epistula;
mod fiber;
mod headers;
mod synapse;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::btauth::{self, EMPTY_BODY_SHA256, RequestLine, Rules};
use crate::keys::VerifyingKey;
use crate::types::{CryptoType, Hotkey};

/// A convention of signing requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// The official one since bittensor 11.
    #[serde(rename = "btauth/1")]
    Btauth1,
    /// Epistula, version 2.
    #[serde(rename = "epistula/2")]
    Epistula2,
    /// The headers of Chutes.
    #[serde(rename = "chutes")]
    Chutes,
    /// fiber with plain bodies.
    #[serde(rename = "fiber")]
    Fiber,
    /// The headers that the dendrite of the SDKs 9 and 10 puts on a synapse.
    #[serde(rename = "synapse")]
    Synapse,
}

/// The headers of a scheme that errors name.
struct Names {
    /// Beginnings by which a request is known to use it, in lower case.
    marks: &'static [&'static str],
    receiver: &'static str,
    time: &'static str,
    signature: &'static str,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Btauth1,
        Self::Epistula2,
        Self::Chutes,
        Self::Fiber,
        Self::Synapse,
    ];

    /// Its name in settings and errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Btauth1 => "btauth/1",
            Self::Epistula2 => "epistula/2",
            Self::Chutes => "chutes",
            Self::Fiber => "fiber",
            Self::Synapse => "synapse",
        }
    }

    /// Whether method and target are signed.
    pub const fn binds_target(self) -> bool {
        matches!(self, Self::Btauth1)
    }

    const fn names(self) -> Names {
        match self {
            Self::Btauth1 => Names {
                marks: &["x-bittensor-"],
                receiver: "X-Bittensor-Receiver",
                time: "X-Bittensor-Nonce",
                signature: "X-Bittensor-Signature",
            },
            Self::Epistula2 => Names {
                marks: &["epistula-"],
                receiver: epistula::SIGNED_FOR,
                time: epistula::TIMESTAMP,
                signature: epistula::SIGNATURE,
            },
            Self::Chutes => Names {
                marks: &["x-chutes-"],
                receiver: chutes::MINER,
                time: chutes::NONCE,
                signature: chutes::SIGNATURE,
            },
            // `nonce` and `signature` are anybody's words.
            Self::Fiber => Names {
                marks: &["validator-hotkey", "miner-hotkey", "symmetric-key-uuid"],
                receiver: fiber::MINER,
                time: fiber::NONCE,
                signature: fiber::SIGNATURE,
            },
            Self::Synapse => Names {
                marks: &["bt_header_"],
                receiver: synapse::AXON,
                time: synapse::NONCE,
                signature: synapse::SIGNATURE,
            },
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        let found = Self::ALL.into_iter().find(|scheme| scheme.as_str() == text);
        found.ok_or(UnknownScheme)
    }
}

/// Not the name of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scheme: btauth/1, epistula/2, chutes, fiber or synapse")]
pub struct UnknownScheme;

/// Why a request is not believed. All of them are 401 on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No header of any scheme.
    #[error("the request carries no X-Bittensor headers")]
    Missing,
    /// Headers of two schemes: which one counts must not depend on who reads them.
    #[error("the request carries headers of {0} and of {1}: send those of one")]
    Mixed(Scheme, Scheme),
    /// `btauth/1` that is not of its form.
    #[error(transparent)]
    Btauth(btauth::AuthError),
    /// A header is absent, given twice or not of its form.
    #[error("{header} {what}")]
    Malformed {
        /// Which.
        header: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Signed for somebody else, or for nobody where somebody must be named.
    #[error("{0} is not this server's hotkey")]
    WrongReceiver(&'static str),
    /// Older than the window; the text names the header.
    #[error("{0} is too old")]
    Stale(&'static str),
    /// Ahead of the window; the text names the header.
    #[error("{0} lies in the future")]
    Future(&'static str),
    /// The signature does not cover the body in a way that can be checked.
    #[error(
        "computed_body_hash does not cover the body: it must be that of one field, the raw body as its text"
    )]
    Unbound,
    /// The signature is not the hotkey's over this request; the text names the header.
    #[error("{0} does not fit the request")]
    BadSignature(&'static str),
}

/// What is known of the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The SHA-256 that it is declared to have, to be compared when it is read.
    Declared([u8; 32]),
}

impl Body<'_> {
    /// No body.
    pub const EMPTY: Self = Self::Whole(&[]);

    /// Its SHA-256, declared or computed.
    pub fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Whole([]) => EMPTY_BODY_SHA256,
            Self::Whole(bytes) => Sha256::digest(bytes).into(),
            Self::Declared(digest) => *digest,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Whole([]) | Self::Declared(EMPTY_BODY_SHA256))
    }
}

/// A request as it came: what schemes sign of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method as on the wire (`POST`).
    pub method: &'a str,
    /// Path and query, percent-encoded exactly as on the wire.
    pub target: &'a str,
    /// The body.
    pub body: Body<'a>,
    /// What `chutes` signs in place of the hash where there is no body. The receiver's own word; no header says it.
    pub purpose: &'a str,
}

/// What the headers of a request claim; worth nothing before [`Claim::check`] and [`Claim::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// In which convention.
    pub scheme: Scheme,
    /// Who says to send this.
    pub hotkey: Hotkey,
    /// How it says to sign. Schemes but `btauth/1` know sr25519 only.
    pub crypto: CryptoType,
    /// For whom; `None` when the sender bound no receiver.
    pub receiver: Option<Hotkey>,
    /// When it was signed, Unix time in nanoseconds, as finely as the scheme tells.
    pub signed_ns: u64,
    /// With hotkey and time, what must never come again. Of `btauth/1` the nonce, else 64 bits of a hash of what its
    /// sender made unique. Only the holder of the key can choose it, since it is signed: two of its own requests that
    /// it made collide are one to the store, and nobody else's.
    pub once: u64,
    signature: [u8; 64],
    message: Message,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    Btauth(btauth::Claim),
    /// A text with the body's digest somewhere in it.
    Around {
        before: String,
        body: Covered,
        after: String,
    },
}

/// What a text says of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Covered {
    Sha256,
    Sha256OrPurpose,
    /// `computed_body_hash` as it was sent.
    Sha3(String),
}

impl Claim {
    /// Reads the claim from the headers of a request. Names are compared without case; unknown ones are passed over.
    ///
    /// # Errors
    /// Headers of no scheme, of two, or not of their form.
    pub fn read(headers: &[(&str, &[u8])]) -> Result<Self, AuthError> {
        let used: Vec<Scheme> = Scheme::ALL
            .into_iter()
            .filter(|scheme| is_marked(*scheme, headers))
            .collect();
        match used[..] {
            [] => Err(AuthError::Missing),
            [Scheme::Btauth1] => {
                let claim =
                    btauth::Claim::from_headers(headers.iter().copied()).map_err(AuthError::Btauth)?;
                Ok(claim.into())
            }
            [Scheme::Epistula2] => epistula::read(headers),
            [Scheme::Chutes] => chutes::read(headers),
            [Scheme::Fiber] => fiber::read(headers),
            [Scheme::Synapse] => synapse::read(headers),
            [one, other, ..] => Err(AuthError::Mixed(one, other)),
        }
    }

    /// Whether it is for this receiver, and from within the window: all that can be said without the body.
    ///
    /// # Errors
    /// The first of receiver and window that does not hold.
    pub fn check(&self, rules: &Rules) -> Result<(), AuthError> {
        let names = self.scheme.names();
        let named = match self.receiver {
            Some(receiver) => receiver == rules.receiver,
            None => matches!(self.scheme, Scheme::Epistula2 | Scheme::Chutes),
        };
        if !named {
            return Err(AuthError::WrongReceiver(names.receiver));
        }
        let age = rules.now_ns.saturating_sub(self.signed_ns);
        if u128::from(age) > rules.max_age.as_nanos() {
            return Err(AuthError::Stale(names.time));
        }
        let ahead = self.signed_ns.saturating_sub(rules.now_ns);
        if u128::from(ahead) > rules.max_ahead.as_nanos() {
            return Err(AuthError::Future(names.time));
        }
        Ok(())
    }

    /// The bytes that are signed for this request.
    ///
    /// # Errors
    /// [`AuthError::Unbound`] when they would not cover the body.
    pub fn message(&self, request: &Request<'_>) -> Result<String, AuthError> {
        let (before, body, after) = match &self.message {
            Message::Btauth(claim) => {
                return Ok(claim.message(&RequestLine {
                    method: request.method,
                    target: request.target,
                    body_sha256: request.body.sha256(),
                }));
            }
            Message::Around { before, body, after } => (before, body, after),
        };
        let body = match body {
            Covered::Sha256OrPurpose if request.body.is_empty() => request.purpose.to_owned(),
            Covered::Sha256 | Covered::Sha256OrPurpose => hex::encode(request.body.sha256()),
            Covered::Sha3(claimed) => synapse::covering(claimed, &request.body)?.to_owned(),
        };
        Ok(format!("{before}{body}{after}"))
    }

    /// Whether `key`, the decoded key of [`Self::hotkey`], signed this request. After [`Self::check`]; replay,
    /// registration, permit and stake are still to be checked then.
    ///
    /// # Errors
    /// When it did not, or what it signed leaves the body open.
    pub fn verify(&self, request: &Request<'_>, key: &VerifyingKey) -> Result<(), AuthError> {
        let message = self.message(request)?;
        if key.verify(message.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(self.bad_signature())
        }
    }

    /// The error of a key that is none, or of a signature that is another's.
    pub fn bad_signature(&self) -> AuthError {
        AuthError::BadSignature(self.scheme.names().signature)
    }

    /// A claim of a scheme with a text of its own.
    fn of_text(scheme: Scheme, signer: Hotkey, parts: Parts) -> Self {
        let Parts {
            receiver,
            signed_ns,
            unique,
            signature,
            before,
            body,
            after,
        } = parts;
        let digest = Sha256::new()
            .chain_update(scheme.as_str())
            .chain_update([0])
            .chain_update(unique)
            .finalize();
        let mut once = [0; 8];
        once.copy_from_slice(&digest[..8]);
        Self {
            scheme,
            hotkey: signer,
            crypto: CryptoType::Sr25519,
            receiver,
            signed_ns,
            once: u64::from_le_bytes(once),
            signature,
            message: Message::Around { before, body, after },
        }
    }
}

/// What the schemes with a text of their own differ in.
struct Parts {
    receiver: Option<Hotkey>,
    signed_ns: u64,
    /// What its sender made unique.
    unique: Vec<u8>,
    signature: [u8; 64],
    before: String,
    body: Covered,
    after: String,
}

impl From<btauth::Claim> for Claim {
    fn from(claim: btauth::Claim) -> Self {
        let btauth::Claim {
            hotkey,
            crypto,
            receiver,
            nonce,
            signature,
        } = claim;
        Self {
            scheme: Scheme::Btauth1,
            hotkey,
            crypto,
            receiver,
            signed_ns: nonce,
            once: nonce,
            signature,
            message: Message::Btauth(claim),
        }
    }
}

fn is_marked(scheme: Scheme, headers: &[(&str, &[u8])]) -> bool {
    let marks = scheme.names().marks;
    headers.iter().any(|(name, _)| {
        marks.iter().any(|mark| {
            name.get(..mark.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(mark))
        })
    })
}
