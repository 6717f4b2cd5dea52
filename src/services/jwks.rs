//! The keys of issuers: fetched when they are needed, kept as long as the issuer says, and asked for again when a token
//! names one that is not known.
//!
//! Requests do not fetch: they wake a worker, of which each issuer has one, and wait for its round. So one request is under
//! way at a time, whoever goes away meanwhile, and a flood of unknown keys makes no flood at the issuer.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use tokio::sync::{Notify, watch};

use crate::{
    app::App,
    domain::oidc::{self, Issuer},
    error::{Error, Result},
    https::{Document, FetchError, Https},
    services::lockout::seconds,
};

/// Keys of one issuer that are looked at.
const MOST: usize = 100;
/// Shorter RSA keys are broken, longer ones are not taken by the crate that checks signatures. In bits.
const RSA: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Where issuers describe themselves, after their name.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A key that signs tokens.
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Whether a set has the key of a token.
enum Found {
    Key(DecodingKey),
    /// One of this name is there, for other algorithms.
    Misfit,
    No,
}

/// What an issuer published.
struct Set {
    keys: Vec<Key>,
    fresh_until: DateTime<Utc>,
}

impl Set {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm);
        let Some(id) = id else {
            // Where there is but one, there is nothing to name.
            let mut fitting = self.keys.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Found::Key(key.key.clone()),
                _ => Found::No,
            };
        };
        let mut named = self
            .keys
            .iter()
            .filter(|key| key.id.as_deref() == Some(id))
            .peekable();
        let is_known = named.peek().is_some();
        match named.find(fits) {
            Some(key) => Found::Key(key.key.clone()),
            None if is_known => Found::Misfit,
            None => Found::No,
        }
    }
}

/// What is known of an issuer's keys.
#[derive(Default)]
struct State {
    set: Option<Arc<Set>>,
    /// No sooner are they asked for again.
    next_at: Option<DateTime<Utc>>,
    is_fetching: bool,
    /// Whether the last time ended badly.
    failed: bool,
}

/// The keys of an issuer.
pub(super) struct Keys {
    state: Mutex<State>,
    wanted: Notify,
    /// Told of each round that ended.
    rounds: watch::Sender<()>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Default for Keys {
    fn default() -> Self {
        let wanted = Notify::new();
        // The first ones are there before anybody asks, or the log says why not.
        wanted.notify_one();
        Self {
            state: Mutex::default(),
            wanted,
            rounds: watch::Sender::new(()),
        }
    }
}

/// What is to be done about a token's key.
enum Look {
    Key(DecodingKey),
    Misfit,
    Unknown,
    Unreachable,
    /// Wait for the next round.
    Ask,
}

impl Keys {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(
        &self,
        issuer: &Issuer,
        (id, algorithm): (Option<&str>, Algorithm),
        now: DateTime<Utc>,
        has_asked: bool,
    ) -> Look {
        let state = self.state();
        let may_ask = !has_asked && (state.is_fetching || is_due(&state, issuer, now));
        let stale = seconds(issuer.stale_seconds);
        let set = state.set.as_ref().filter(|set| now < set.fresh_until + stale);
        let is_fresh = set.is_some_and(|set| now < set.fresh_until);
        // While an issuer is away, one request at a time finds out whether it is back; the others go on.
        let is_good = is_fresh || !may_ask || (state.failed && state.is_fetching);
        match set.map(|set| set.find(id, algorithm)) {
            Some(Found::Key(key)) if is_good => Look::Key(key),
            Some(Found::Misfit) if is_good => Look::Misfit,
            _ if may_ask => Look::Ask,
            Some(Found::No) if !state.failed => Look::Unknown,
            _ => Look::Unreachable,
        }
    }
}

/// Whether the keys may be asked for. A clock that was set back holds nobody up.
fn is_due(state: &State, issuer: &Issuer, now: DateTime<Utc>) -> bool {
    let gap = seconds(issuer.refetch_seconds);
    state.next_at.is_none_or(|next| next <= now || next - now > gap)
}

/// Why there is no key for a token.
pub(super) enum NoKey {
    /// The issuer has none of this name.
    Unknown,
    /// It is for another algorithm.
    Misfit,
    /// It is not known, since the issuer cannot be asked.
    Unreachable(Error),
}

/// The key of this name, for this algorithm.
pub(super) async fn key(
    app: &App,
    issuer: &Issuer,
    keys: &Keys,
    wanted: (Option<&str>, Algorithm),
) -> Result<DecodingKey, NoKey> {
    let mut rounds = keys.rounds.subscribe();
    let mut looked = keys.look(issuer, wanted, app.clock.now(), false);
    if matches!(looked, Look::Ask) {
        keys.wanted.notify_one();
        // A round takes no longer than this; then what there is has to do.
        let patience = Duration::from_secs(issuer.timeout_seconds + 1);
        let _ = tokio::time::timeout(patience, rounds.changed()).await;
        looked = keys.look(issuer, wanted, app.clock.now(), true);
    }
    match looked {
        Look::Key(key) => Ok(key),
        Look::Misfit => Err(NoKey::Misfit),
        Look::Unknown => Err(NoKey::Unknown),
        Look::Unreachable | Look::Ask => Err(NoKey::Unreachable(Error::Unavailable {
            reason: "the keys of this token's issuer cannot be read",
            after: Duration::from_secs(issuer.refetch_seconds),
        })),
    }
}

/// A round: whatever becomes of it, it ends, and those who wait are told.
struct Round<'a>(&'a Keys);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.0.state().is_fetching = false;
        self.0.rounds.send_replace(());
    }
}

/// Waits until the keys are wanted, and fetches them if it is time.
pub(super) async fn round(app: &App, https: &Https, issuer: &Issuer, keys: &Keys) {
    keys.wanted.notified().await;
    let began = app.clock.now();
    {
        let mut state = keys.state();
        if !is_due(&state, issuer, began) {
            return;
        }
        state.is_fetching = true;
        state.next_at = Some(began + seconds(issuer.refetch_seconds));
    }
    let round = Round(keys);
    let within = Duration::from_secs(issuer.timeout_seconds);
    let fetched = tokio::time::timeout(within, fetch(https, issuer, within))
        .await
        .unwrap_or(Err(Unusable::Fetch {
            address: issuer.issuer.clone(),
            source: FetchError::TooSlow(within),
        }));
    let outcome = if fetched.is_ok() { "ok" } else { "failed" };
    let labels = [("issuer", issuer.name.clone()), ("outcome", outcome.to_owned())];
    metrics::counter!("violet_oidc_fetches_total", &labels).increment(1);
    let mut state = keys.state();
    state.failed = fetched.is_err();
    match fetched {
        Ok((read, document)) => {
            if read.is_empty() {
                tracing::warn!(issuer = %issuer.name, "the issuer has no key that tokens could be signed with");
            }
            let fresh = oidc::freshness(document.cache_control.as_deref(), document.age.as_deref());
            state.set = Some(Arc::new(Set {
                keys: read,
                fresh_until: began + fresh,
            }));
        }
        Err(error) => {
            let error = crate::error::Causes(&error).to_string();
            tracing::warn!(issuer = %issuer.name, error, "the keys of an issuer of tokens cannot be read");
        }
    }
    drop(state);
    drop(round);
}

/// Why an issuer's keys are not known.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{address}")]
    Fetch { address: String, source: FetchError },
    #[error("{address} is not what it should be")]
    Content {
        address: String,
        source: serde_json::Error,
    },
    #[error("{address} is of the issuer `{found}`, not of the one that is set")]
    Another { address: String, found: String },
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Published {
    /// Each is looked at alone: one of a kind that nobody knows shall not hide the others.
    keys: Vec<serde_json::Value>,
}

async fn fetch(https: &Https, issuer: &Issuer, within: Duration) -> Result<(Vec<Key>, Document), Unusable> {
    let address = match &issuer.jwks_url {
        Some(address) => address.clone(),
        None => discover(https, issuer, within).await?,
    };
    let document = get(https, &address, issuer, within).await?;
    let published: Published = parse(&address, &document)?;
    let keys = published.keys.into_iter().take(MOST).filter_map(read).collect();
    Ok((keys, document))
}

async fn discover(https: &Https, issuer: &Issuer, within: Duration) -> Result<String, Unusable> {
    let address = format!("{}{DISCOVERY}", issuer.issuer.trim_end_matches('/'));
    let document = get(https, &address, issuer, within).await?;
    let Discovered {
        issuer: found,
        jwks_uri,
    } = parse(&address, &document)?;
    if found == issuer.issuer {
        Ok(jwks_uri)
    } else {
        Err(Unusable::Another { address, found })
    }
}

async fn get(https: &Https, address: &str, issuer: &Issuer, within: Duration) -> Result<Document, Unusable> {
    let got = https.get(address, issuer.allow_http, within).await;
    got.map_err(|source| Unusable::Fetch {
        address: address.to_owned(),
        source,
    })
}

fn parse<'a, T: Deserialize<'a>>(address: &str, document: &'a Document) -> Result<T, Unusable> {
    serde_json::from_slice(&document.bytes).map_err(|source| Unusable::Content {
        address: address.to_owned(),
        source,
    })
}

/// A published key, if it is a public one for signatures.
fn read(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if RSA.contains(&bits(&key.n)?) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        // Above all none that is shared.
        _ => return None,
    };
    let said = common.key_algorithm;
    let algorithms: Vec<Algorithm> = fitting
        .iter()
        .copied()
        .filter(|one| said.is_none_or(|said| said == KeyAlgorithm::from(*one)))
        .collect();
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(&jwk).ok()?,
    })
}

/// The length of a number in base64.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let leading = usize::try_from(bytes[first].leading_zeros()).ok()?;
    Some((bytes.len() - first) * 8 - leading)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize) -> String {
        let mut number = vec![0xff; bits / 8];
        number.insert(0, 0);
        URL_SAFE_NO_PAD.encode(number)
    }

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        let key = |n: &str| json!({ "kty": "RSA", "kid": "a", "n": n, "e": "AQAB" });
        let strong = key(&rsa(2048));
        let mut for_signatures = strong.clone();
        for_signatures["use"] = "sig".into();
        for_signatures["key_ops"] = json!(["verify"]);
        let mut limited = strong.clone();
        limited["alg"] = "RS256".into();
        for (value, algorithms) in [
            (strong.clone(), 6),
            (for_signatures.clone(), 6),
            (limited, 1),
            (key(&rsa(4096)), 6),
            (
                json!({ "kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate }),
                1,
            ),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": coordinate }), 1),
        ] {
            assert_eq!(
                read(value.clone()).map(|key| key.algorithms.len()),
                Some(algorithms),
                "{value}"
            );
        }
        let mut for_secrets = strong.clone();
        for_secrets["use"] = "enc".into();
        let mut for_making = for_signatures;
        for_making["key_ops"] = json!(["sign"]);
        for value in [
            key(&rsa(1024)),
            key(&rsa(2040)),
            key(&rsa(8192)),
            key("?"),
            for_secrets,
            for_making,
            json!({ "kty": "oct", "kid": "a", "k": coordinate }),
            json!({ "kty": "EC", "crv": "P-521", "x": coordinate, "y": coordinate }),
            json!({ "kty": "new" }),
            json!({}),
            json!("key"),
        ] {
            assert!(read(value.clone()).is_none(), "{value}");
        }
        // One that says to be for something else is for nothing here.
        let mut misfit = strong;
        misfit["alg"] = "ES256".into();
        assert!(read(misfit).is_some_and(|key| key.algorithms.is_empty()));
    }
}
