//! Tokens of other issuers (OIDC): which issuer one is of, and whether it holds.
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Validation, errors::ErrorKind};
use moka::future::Cache;
use serde::Deserialize;

use super::jwks::{self, Keys, NoKey};
use crate::{
    app::App,
    domain::oidc::{self, Claims, Known},
    error::{Error, Result},
    https::Https,
};

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;
/// What tokens of logins say to be, if they say it: those for other purposes are signed with the same keys.
const KINDS: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];
/// A login that does not lead in is noted once in this time.
const QUIET: Duration = Duration::from_secs(60);
const MOST_NOTED: u64 = 10_000;

/// An issuer whose tokens are taken, with its keys.
#[derive(Debug)]
pub struct Issuer {
    /// Its settings.
    pub settings: oidc::Issuer,
    keys: Keys,
}

/// All of them.
#[derive(Debug)]
pub struct Issuers {
    all: Vec<Issuer>,
    /// What was noted lately of logins that do not lead in.
    noted: Cache<(String, String), ()>,
}

impl Issuers {
    /// Nothing is fetched yet.
    pub fn new(settings: &[oidc::Issuer]) -> Self {
        let issuer = |settings: &oidc::Issuer| Issuer {
            settings: settings.clone(),
            keys: Keys::default(),
        };
        Self {
            all: settings.iter().map(issuer).collect(),
            noted: Cache::builder()
                .max_capacity(MOST_NOTED)
                .time_to_live(QUIET)
                .build(),
        }
    }

    /// All issuers.
    pub fn all(&self) -> &[Issuer] {
        &self.all
    }

    /// Whether it is time to note that this subject was refused.
    pub(super) async fn is_to_be_noted(&self, issuer: &Issuer, subject: &str) -> bool {
        let key = (issuer.settings.name.clone(), subject.to_owned());
        self.noted.entry(key).or_insert(()).await.is_fresh()
    }
}

#[derive(Deserialize)]
struct Said {
    iss: String,
}

/// The issuer that a token says to be of. Nothing is checked: it only decides who checks it.
pub fn issuer<'a>(app: &'a App, token: &str) -> Option<&'a Issuer> {
    if app.issuers.all.is_empty() || token.len() > LONGEST {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Said { iss } = serde_json::from_slice(&claims).ok()?;
    app.issuers
        .all
        .iter()
        .find(|issuer| issuer.settings.issuer == iss)
}

/// Who shows a token of this issuer.
///
/// # Errors
/// 401 with what is wrong with it; 503 when the issuer's keys are not known and cannot be asked for.
pub async fn verify(app: &App, issuer: &Issuer, token: &str) -> Result<Known> {
    let Issuer { settings, keys } = issuer;
    let refused = |reason: &'static str, text: &str| {
        let labels = [("issuer", settings.name.clone()), ("reason", reason.to_owned())];
        metrics::counter!("violet_oidc_tokens_refused_total", &labels).increment(1);
        Error::Unauthenticated(format!("this token {text}"))
    };
    let header = jsonwebtoken::decode_header(token).map_err(|_| {
        refused(
            "header",
            "has a header that cannot be read, or an algorithm that is not taken",
        )
    })?;
    let is_login = header
        .typ
        .as_ref()
        .is_none_or(|kind| KINDS.contains(&kind.to_lowercase().as_str()));
    if !is_login || header.crit.is_some() {
        return Err(refused(
            "header",
            "is of a kind that is not taken: see its `typ` and `crit`",
        ));
    }
    if !settings.algorithms.contains(&header.alg) {
        return Err(refused(
            "algorithm",
            "is signed with an algorithm that is not taken of its issuer",
        ));
    }
    let key = jwks::key(app, settings, keys, (header.kid.as_deref(), header.alg))
        .await
        .map_err(|why| match why {
            NoKey::Unknown => refused(
                "key",
                "is signed with a key that its issuer does not have: see its `kid`",
            ),
            NoKey::Misfit => refused("algorithm", "is signed with a key that is for another algorithm"),
            NoKey::Unreachable(error) => error,
        })?;
    let mut rules = Validation::new(header.alg);
    // What it says is looked at below, by our clock.
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    let claims: Claims = jsonwebtoken::decode(token, &key, &rules)
        .map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => refused(
                "claims",
                "lacks one of `iss`, `sub`, `aud`, `exp` and `iat`, or has one of another form",
            ),
            _ => refused("signature", "is not signed by its issuer"),
        })?
        .claims;
    claims
        .check(settings, app.clock.now())
        .map_err(|refusal| refused(refusal.name(), refusal.text()))
}

/// Keeps the keys of an issuer, for as long as somebody wants to know them.
pub async fn keep_keys(app: &App, issuer: &Issuer) {
    let https = Https::new();
    loop {
        jwks::round(app, &https, &issuer.settings, &issuer.keys).await;
    }
}
