//! Random secrets that are handed out once and kept as hashes.
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A secret in clear: given to one caller, never stored, never logged.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A fresh one of 256 bits. The prefix tells what it is, so that a scanner for leaked secrets can find it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn random(prefix: &str) -> Result<Self> {
        let bytes: [u8; 32] = random()?;
        Ok(Self(format!("{prefix}{}", hex::encode(bytes))))
    }

    pub(crate) fn of(text: String) -> Self {
        Self(text)
    }

    /// The text to show.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is kept of a secret of ours. It has 256 bits, so a slow hash would buy nothing.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The hash of what somebody sent, if it has the form of such a secret.
pub(crate) fn hash_of_form(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(prefix)?;
    (digits.len() == 64).then(|| hash(text))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    rand::TryRngCore::try_fill_bytes(&mut OsRng, &mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}
