//! API keys: how they look, how they are stored, and whom they stand for.
use std::time::Duration;

use moka::future::Cache;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::{
    app::App,
    domain::{ApiKeyId, OrganizationId, UserId},
    error::{Error, Result},
    store::{
        self,
        accounts::{KeyOwner, NewKey},
    },
};

/// Keys start with this, so that a scanner for leaked secrets can find them.
const PREFIX: &str = "violet_";
/// What is kept in clear, to recognise a key by.
const SHOWN: usize = PREFIX.len() + 6;
const LARGEST_CACHE: u64 = 100_000;

/// Keys looked up lately, by hash.
#[derive(Debug)]
pub struct KeyCache(Cache<[u8; 32], KeyOwner>);

impl KeyCache {
    /// Remembers each for at most `life`: a revoked key works no longer than that.
    pub fn new(life: Duration) -> Self {
        Self(
            Cache::builder()
                .max_capacity(LARGEST_CACHE)
                .time_to_live(life)
                .build(),
        )
    }
}

/// A key, in clear: shown once, never stored, never logged.
pub struct Secret(String);

impl Secret {
    fn generate() -> Result<Self> {
        let mut bytes = [0u8; 32];
        rand::TryRngCore::try_fill_bytes(&mut OsRng, &mut bytes).map_err(Error::internal)?;
        Ok(Self(format!("{PREFIX}{}", hex::encode(bytes))))
    }

    /// The text to show.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Makes a key for a user.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn create(
    db: &mut PgConnection,
    organization: OrganizationId,
    user: UserId,
    name: &str,
) -> Result<Secret> {
    let secret = Secret::generate()?;
    let id = ApiKeyId::new();
    store::accounts::insert_key(
        db,
        &NewKey {
            id,
            organization,
            user,
            prefix: &secret.0[..SHOWN],
            hash: hash(&secret.0),
            name,
        },
    )
    .await?;
    Ok(secret)
}

/// Whom a key stands for.
///
/// # Errors
/// 401 when it is none of ours, was revoked, or belongs to an account that is closed.
pub async fn authenticate(app: &App, key: &str) -> Result<KeyOwner> {
    let refused = || {
        Error::Unauthenticated(
            "an API key is required and this one is not valid; send yours as X-API-Key".to_owned(),
        )
    };
    // Whatever does not even look like a key need not reach the database.
    if !key.starts_with(PREFIX) || key.len() != PREFIX.len() + 64 {
        return Err(refused());
    }
    let hash = hash(key);
    if let Some(owner) = app.keys.0.get(&hash).await {
        return Ok(owner);
    }
    let owner = store::accounts::find_key(&app.db, hash)
        .await?
        .ok_or_else(refused)?;
    app.keys.0.insert(hash, owner).await;
    Ok(owner)
}
