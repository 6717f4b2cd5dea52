//! Key pairs of neurons, their signatures, and the verifiable random function over a hotkey.
//!
//! Verification is strict: schnorrkel with context `substrate` and its marker bit, ed25519 without malleability,
//! and the message as it is. The `<Bytes>` wrapping of browser wallets is refused.

use std::fmt;

use codec::{Decode, Encode};
use ed25519_dalek::Signer as _;
use schnorrkel::vrf::{VRFInOut, VRFPreOut, VRFProof};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sp_core::Pair as _;
use sp_core::crypto::SecretStringError;

use crate::types::{CryptoType, Hotkey, hex_prefixed};

/// The signing context of Substrate.
const CONTEXT: &[u8] = b"substrate";

/// Why a key cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The secret URI, mnemonic or seed cannot be read. The text itself is never repeated.
    #[error("the secret is neither a seed nor a mnemonic with an optional path")]
    Uri(#[source] SecretStringError),
    /// Raw secret bytes of the wrong length or not a scalar.
    #[error("not the bytes of an {0} secret key")]
    Secret(CryptoType),
    /// Only sr25519 has a verifiable random function here.
    #[error("an {0} key has no verifiable random function")]
    NoVrf(CryptoType),
}

#[derive(Clone)]
enum Secret {
    Sr25519(Box<schnorrkel::Keypair>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A hotkey that can sign. Its `Debug` shows the public half only.
#[derive(Clone)]
pub struct Keypair {
    secret: Secret,
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Keypair({}, {}, secret not shown)",
            self.crypto(),
            self.hotkey()
        )
    }
}

impl Keypair {
    /// From a secret URI as Substrate writes it: `//Alice`, a mnemonic with an optional path and password, or a
    /// `0x` seed of 32 bytes. ed25519 takes hard derivation (`//`) only.
    pub fn from_uri(uri: &str, crypto: CryptoType) -> Result<Self, KeyError> {
        Ok(match crypto {
            CryptoType::Sr25519 => {
                let pair = sp_core::sr25519::Pair::from_string(uri, None).map_err(KeyError::Uri)?;
                Self::of_sr25519(pair.into())
            }
            CryptoType::Ed25519 => {
                let pair = sp_core::ed25519::Pair::from_string(uri, None).map_err(KeyError::Uri)?;
                Self::of_ed25519(&pair.seed())
            }
        })
    }

    /// From the bytes that a wallet keeps as `privateKey`: 64 for sr25519, in schnorrkel's own form (not the
    /// ed25519-like form of polkadot.js), and a seed of 32, or the seed and the public key, for ed25519.
    pub fn from_secret_bytes(bytes: &[u8], crypto: CryptoType) -> Result<Self, KeyError> {
        let refused = || KeyError::Secret(crypto);
        match crypto {
            CryptoType::Sr25519 if bytes.len() == 64 => {
                let secret = schnorrkel::SecretKey::from_bytes(bytes).map_err(|_| refused())?;
                Ok(Self::of_sr25519(secret.to_keypair()))
            }
            CryptoType::Ed25519 if bytes.len() == 32 || bytes.len() == 64 => {
                let seed: &[u8; 32] = bytes.first_chunk().ok_or_else(refused)?;
                Ok(Self::of_ed25519(seed))
            }
            _ => Err(refused()),
        }
    }

    /// Like [`Self::from_secret_bytes`] for the ed25519-like form of an sr25519 secret, whose scalar is multiplied
    /// by 8, as polkadot.js keeps it. Nothing in the bytes tells the forms apart: compare the address.
    pub(crate) fn from_scaled_secret_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let secret = schnorrkel::SecretKey::from_ed25519_bytes(bytes);
        Ok(Self::of_sr25519(
            secret
                .map_err(|_| KeyError::Secret(CryptoType::Sr25519))?
                .to_keypair(),
        ))
    }

    /// A new sr25519 key and its mnemonic of 12 words, which nothing else remembers.
    pub fn generate() -> (Self, String) {
        let (pair, mnemonic, _) = sp_core::sr25519::Pair::generate_with_phrase(None);
        (Self::of_sr25519(pair.into()), mnemonic)
    }

    fn of_sr25519(pair: schnorrkel::Keypair) -> Self {
        Self {
            secret: Secret::Sr25519(Box::new(pair)),
        }
    }

    fn of_ed25519(seed: &[u8; 32]) -> Self {
        Self {
            secret: Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed))),
        }
    }

    /// The public half.
    pub fn hotkey(&self) -> Hotkey {
        Hotkey(match &self.secret {
            Secret::Sr25519(pair) => pair.public.to_bytes(),
            Secret::Ed25519(key) => key.verifying_key().to_bytes(),
        })
    }

    /// How it signs.
    pub fn crypto(&self) -> CryptoType {
        match &self.secret {
            Secret::Sr25519(_) => CryptoType::Sr25519,
            Secret::Ed25519(_) => CryptoType::Ed25519,
        }
    }

    /// The secret bytes as a wallet file keeps them: 64 for sr25519, 32 for ed25519.
    pub(crate) fn secret_bytes(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Sr25519(pair) => pair.secret.to_bytes().to_vec(),
            Secret::Ed25519(key) => key.to_bytes().to_vec(),
        }
    }

    /// Signs the message as it is. sr25519 signatures are randomised: compare by verifying, never by bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &self.secret {
            Secret::Sr25519(pair) => pair.sign_simple(CONTEXT, message).to_bytes(),
            Secret::Ed25519(key) => key.sign(message).to_bytes(),
        }
    }

    /// Evaluates the verifiable random function of this key at `message`. The output depends on key, context and
    /// message alone; the proof is randomised.
    pub fn vrf(&self, context: &'static [u8], message: &[u8]) -> Result<VrfProof, KeyError> {
        let Secret::Sr25519(pair) = &self.secret else {
            return Err(KeyError::NoVrf(self.crypto()));
        };
        let (in_out, proof, _) = pair.vrf_sign(schnorrkel::signing_context(context).bytes(message));
        Ok(VrfProof {
            preout: in_out.to_preout().to_bytes(),
            proof: proof.to_bytes(),
        })
    }
}

/// The 32-byte seed behind a plain mnemonic; `None` if it is none.
pub(crate) fn seed_of(mnemonic: &str) -> Option<[u8; 32]> {
    sp_core::sr25519::Pair::from_phrase(mnemonic, None)
        .ok()
        .map(|(_, seed)| seed)
}

/// Whether `key` signed exactly these bytes. Bytes that are no key or no signature are a plain `false`.
pub fn verify(crypto: CryptoType, key: &Hotkey, message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::new(crypto, key).is_some_and(|key| key.verify(message, signature))
}

/// A public key that was decoded, for whoever verifies more than one signature of it: decoding is a tenth of the work.
#[derive(Clone, Debug)]
pub struct VerifyingKey(Public);

#[derive(Clone, Debug)]
enum Public {
    Sr25519(schnorrkel::PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl VerifyingKey {
    /// `None` when the bytes are no point of the curve, or of sr25519 the neutral one: its secret is zero, so that
    /// anybody signs for it, and accounts of that address are about.
    pub fn new(crypto: CryptoType, key: &Hotkey) -> Option<Self> {
        Some(Self(match crypto {
            CryptoType::Sr25519 if key.0 == [0; 32] => return None,
            CryptoType::Sr25519 => Public::Sr25519(schnorrkel::PublicKey::from_bytes(&key.0).ok()?),
            CryptoType::Ed25519 => Public::Ed25519(ed25519_dalek::VerifyingKey::from_bytes(&key.0).ok()?),
        }))
    }

    /// Whether it signed exactly these bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        match &self.0 {
            Public::Sr25519(key) => {
                // `from_bytes` refuses a signature without schnorrkel's marker bit.
                schnorrkel::Signature::from_bytes(signature)
                    .is_ok_and(|signature| key.verify_simple(CONTEXT, message, &signature).is_ok())
            }
            Public::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                key.verify_strict(message, &signature).is_ok()
            }
        }
    }
}

/// The verifiable random function of an sr25519 key at one point: the pre-output and the proof that it is right.
///
/// The transcript is `schnorrkel::signing_context(context).bytes(message)`, bound to the key (non-malleable).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
pub struct VrfProof {
    /// The compressed output point.
    #[serde(with = "hex_bytes")]
    pub preout: [u8; 32],
    /// Challenge and response.
    #[serde(with = "hex_bytes")]
    pub proof: [u8; 64],
}

impl VrfProof {
    /// The 32 output bytes if the proof is right for this key, context and message.
    pub fn verify(&self, key: &Hotkey, context: &[u8], message: &[u8]) -> Option<[u8; 32]> {
        let key = schnorrkel::PublicKey::from_bytes(&key.0).ok()?;
        let preout = VRFPreOut::from_bytes(&self.preout).ok()?;
        let proof = VRFProof::from_bytes(&self.proof).ok()?;
        let transcript = schnorrkel::signing_context(context).bytes(message);
        let (in_out, _) = key.vrf_verify(transcript, &preout, &proof).ok()?;
        Some(output(&in_out, context))
    }

    /// The same bytes without checking the proof, for who made it. `None` if the pre-output is no point.
    pub fn output(&self, key: &Hotkey, context: &[u8], message: &[u8]) -> Option<[u8; 32]> {
        let key = schnorrkel::PublicKey::from_bytes(&key.0).ok()?;
        let preout = VRFPreOut::from_bytes(&self.preout).ok()?;
        let transcript = schnorrkel::signing_context(context).bytes(message);
        Some(output(&preout.attach_input_hash(&key, transcript).ok()?, context))
    }
}

fn output(in_out: &VRFInOut, context: &[u8]) -> [u8; 32] {
    in_out.make_bytes(context)
}

/// Fixed byte arrays as `0x` and lower-case hex.
mod hex_bytes {
    use super::{Deserialize, Deserializer, Serializer, hex_prefixed};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("0x{}", hex::encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        hex_prefixed(&text)
            .ok_or_else(|| D::Error::custom("not 0x and lower-case hex digits of the right length"))
    }
}
