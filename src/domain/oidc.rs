//! Tokens of other issuers (OIDC): what is asked of an issuer's settings, what a token must say to be believed, and how
//! long an issuer's keys stay fresh.
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

const LONGEST_SKEW: u64 = 300;
const LONGEST_REFETCH: u64 = 3600;
const LONGEST_STALE: u64 = 7 * 86_400;
const LONGEST_TIMEOUT: u64 = 30;
const LONGEST_NAME: usize = 40;
/// What OIDC allows, in bytes.
const LONGEST_SUBJECT: usize = 255;
const LONGEST_FULL_NAME: usize = 200;
/// How long keys are fresh, in seconds: whatever the issuer says, and when it says nothing.
const LEAST_FRESH: u64 = 60;
const MOST_FRESH: u64 = 86_400;
const USUALLY_FRESH: u64 = 600;

/// An issuer whose tokens are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Issuer {
    pub name: String,
    pub issuer: String,
    #[serde(deserialize_with = "one_or_more")]
    pub audience: Vec<String>,
    pub jwks_url: Option<String>,
    pub algorithms: Vec<Algorithm>,
    pub clock_skew_seconds: u64,
    pub create_accounts: bool,
    pub require_verified_email: bool,
    pub allow_http: bool,
    pub refetch_seconds: u64,
    pub stale_seconds: u64,
    pub timeout_seconds: u64,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            name: String::new(),
            issuer: String::new(),
            audience: Vec::new(),
            jwks_url: None,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            clock_skew_seconds: 60,
            create_accounts: false,
            require_verified_email: true,
            allow_http: false,
            refetch_seconds: 10,
            stale_seconds: 86_400,
            timeout_seconds: 5,
        }
    }
}

impl Issuer {
    /// What is wrong with its settings, but for addresses: the setting, and why.
    pub fn problem(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.chars().all(plain) {
            return Some(format!(
                "name must be 1 to {LONGEST_NAME} small letters, digits and hyphens"
            ));
        }
        if self.issuer.is_empty() {
            return Some("issuer is required: exactly what the tokens have as `iss`".into());
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return Some("audience is required: one or more of what the tokens have as `aud`".into());
        }
        if self.algorithms.is_empty() {
            return Some("algorithms is empty".into());
        }
        let shared = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        if let Some(shared) = self.algorithms.iter().find(|one| shared.contains(one)) {
            return Some(format!(
                "algorithms has {shared:?}: whoever can check such a signature can make one"
            ));
        }
        for (name, value, least, most) in [
            ("clock_skew_seconds", self.clock_skew_seconds, 0, LONGEST_SKEW),
            ("refetch_seconds", self.refetch_seconds, 1, LONGEST_REFETCH),
            ("stale_seconds", self.stale_seconds, 0, LONGEST_STALE),
            ("timeout_seconds", self.timeout_seconds, 1, LONGEST_TIMEOUT),
        ] {
            if !(least..=most).contains(&value) {
                return Some(format!("{name} is {value}, not from {least} to {most}"));
            }
        }
        None
    }
}

/// One text, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        More(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::More(more) => more,
    })
}

/// `true`, which some issuers write as a text. Whatever else is there is no.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value == true || value == "true")
}

/// Seconds since 1970, which may have a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Number")]
struct Seconds(i64);

impl TryFrom<serde_json::Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        let text = number.to_string();
        let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
        let exact = !text.contains(['e', 'E']);
        let parsed = whole.parse().ok().filter(|_| exact);
        parsed
            .filter(|seconds| DateTime::from_timestamp(*seconds, 0).is_some())
            .map(Self)
            .ok_or("is no time")
    }
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "one_or_more")]
    aud: Vec<String>,
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    nbf: Option<Seconds>,
    email: Option<String>,
    #[serde(default, deserialize_with = "truth")]
    email_verified: bool,
    name: Option<String>,
    events: Option<IgnoredAny>,
}

/// Somebody whom an issuer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As the issuer knows it.
    pub subject: String,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// What the issuer has as its address.
    pub email: Option<String>,
    /// Whether the issuer found out that it is its address.
    pub is_verified: bool,
    /// How it wants to be called.
    pub full_name: Option<String>,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Refusal {
    Issuer,
    Event,
    Audience,
    Expired,
    NotYet,
    Future,
    Subject,
}

impl Refusal {
    /// Its name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Event => "event",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Future => "future",
            Self::Subject => "subject",
        }
    }

    /// What follows "this token".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Issuer => "is of another issuer than it said",
            Self::Event => "tells of an event; it is no login",
            Self::Audience => "was issued for somebody else: its `aud` or `azp` is none of ours",
            Self::Expired => "is over; get another from its issuer",
            Self::NotYet => "does not count yet: see its `nbf`",
            Self::Future => "was issued in the future: see its `iat`",
            Self::Subject => "has no `sub` of 1 to 255 bytes",
        }
    }
}

impl Claims {
    /// Who shows the token, whose signature holds, if it is for us and counts now.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check(self, issuer: &Issuer, now: DateTime<Utc>) -> Result<Known, Refusal> {
        if self.iss != issuer.issuer {
            return Err(Refusal::Issuer);
        }
        // A logout token, for one, has the same issuer, audience and subject as a login.
        if self.events.is_some() {
            return Err(Refusal::Event);
        }
        let ours = |audience: &String| issuer.audience.contains(audience);
        let is_for_us = match self.aud.as_slice() {
            [one] => ours(one),
            several => several.iter().any(ours) && self.azp.as_ref().is_some_and(ours),
        };
        if !is_for_us {
            return Err(Refusal::Audience);
        }
        let skew = i64::try_from(issuer.clock_skew_seconds).unwrap_or(0);
        let now = now.timestamp();
        if self.exp.0.saturating_add(skew) <= now {
            return Err(Refusal::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf.0 > now.saturating_add(skew)) {
            return Err(Refusal::NotYet);
        }
        if self.iat.0 > now.saturating_add(skew) {
            return Err(Refusal::Future);
        }
        let bounded = (1..=LONGEST_SUBJECT).contains(&self.sub.len());
        if !bounded || self.sub.chars().any(char::is_control) {
            return Err(Refusal::Subject);
        }
        let full_name = self.name.map(|name| name.trim().to_owned()).filter(|name| {
            let length = name.chars().count();
            (1..=LONGEST_FULL_NAME).contains(&length) && !name.chars().any(char::is_control)
        });
        Ok(Known {
            subject: self.sub,
            issued_at: DateTime::from_timestamp(self.iat.0, 0).ok_or(Refusal::Future)?,
            is_verified: self.email_verified && self.email.is_some(),
            email: self.email,
            full_name,
        })
    }
}

/// How long keys stay fresh that came with these headers, within bounds.
pub fn freshness(cache_control: Option<&str>, age: Option<&str>) -> TimeDelta {
    let directives: Vec<String> = cache_control
        .unwrap_or_default()
        .split(',')
        .map(|directive| directive.trim().to_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|directive| directive == name);
    let told = directives
        .iter()
        .find_map(|directive| directive.strip_prefix("max-age="))
        .and_then(|seconds| seconds.trim_matches('"').parse::<u64>().ok());
    let seconds = if has("no-store") || has("no-cache") {
        0
    } else {
        told.map_or(USUALLY_FRESH, |told| {
            // So long ago did a cache on the way get it.
            let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            told.saturating_sub(age)
        })
    };
    let seconds = seconds.clamp(LEAST_FRESH, MOST_FRESH);
    TimeDelta::seconds(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn issuer() -> Issuer {
        Issuer {
            name: "one".into(),
            issuer: "https://issuer.example.org".into(),
            audience: vec!["violet".into(), "violet-app".into()],
            ..Issuer::default()
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://issuer.example.org", "sub": "s", "aud": "violet", "iat": NOW - 10, "exp": NOW + 3600,
        })
    }

    fn check(change: impl FnOnce(&mut Value)) -> Result<Known, Option<Refusal>> {
        let mut claims = claims();
        change(&mut claims);
        let claims: Claims = serde_json::from_value(claims).map_err(|_| None)?;
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        claims.check(&issuer(), now).map_err(Some)
    }

    #[test]
    fn times_count_with_the_skew_and_no_further() {
        for (claim, good, bad, refusal) in [
            ("exp", json!(NOW - 59), json!(NOW - 60), Refusal::Expired),
            ("exp", json!(1_800_000_000.5), json!(-1), Refusal::Expired),
            ("nbf", json!(NOW + 60), json!(NOW + 61), Refusal::NotYet),
            ("iat", json!(NOW + 60), json!(NOW + 61), Refusal::Future),
        ] {
            check(|claims| claims[claim] = good).unwrap();
            assert_eq!(check(|claims| claims[claim] = bad), Err(Some(refusal)), "{claim}");
        }
        for claim in ["exp", "iat", "nbf"] {
            for nonsense in [json!("1800000000"), json!(1e300), json!([NOW]), json!(true)] {
                assert_eq!(
                    check(|claims| claims[claim] = nonsense.clone()),
                    Err(None),
                    "{claim} {nonsense}"
                );
            }
        }
        for missing in ["iss", "sub", "aud", "exp", "iat"] {
            let without = |claims: &mut Value| _ = claims.as_object_mut().unwrap().remove(missing);
            assert_eq!(check(without), Err(None), "{missing}");
        }
    }

    #[test]
    fn a_token_is_for_us_or_refused() {
        let aud = |aud: Value, azp: Value| {
            check(|claims| {
                claims["aud"] = aud;
                claims["azp"] = azp;
            })
        };
        let refused = Err(Some(Refusal::Audience));
        aud(json!(["violet"]), Value::Null).unwrap();
        aud(json!("violet-app"), json!("phone")).unwrap();
        aud(json!(["other", "violet"]), json!("violet-app")).unwrap();
        assert_eq!(aud(json!("other"), Value::Null), refused);
        assert_eq!(aud(json!("Violet"), Value::Null), refused);
        assert_eq!(aud(json!([]), json!("violet")), refused);
        // Of several it is told who asked for it, and that is us.
        assert_eq!(aud(json!(["other", "violet"]), Value::Null), refused);
        assert_eq!(aud(json!(["other", "violet"]), json!("other")), refused);
        assert_eq!(aud(json!(["other", "another"]), json!("violet")), refused);
        let slash = check(|claims| claims["iss"] = "https://issuer.example.org/".into());
        assert_eq!(slash, Err(Some(Refusal::Issuer)));
        let logout = check(|claims| claims["events"] = json!({ "logout": {} }));
        assert_eq!(logout, Err(Some(Refusal::Event)));
    }

    #[test]
    fn subjects_are_bounded_and_addresses_verified_in_so_many_words() {
        for (subject, holds) in [
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            (String::new(), false),
            ("a\nb".into(), false),
        ] {
            let found = check(|claims| claims["sub"] = subject.into());
            assert_eq!(found.is_ok(), holds, "{found:?}");
        }
        for (verified, holds) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            let known = check(|claims| {
                claims["email"] = "a@example.org".into();
                claims["email_verified"] = verified.clone();
            });
            assert_eq!(known.unwrap().is_verified, holds, "{verified}");
        }
        assert!(
            !check(|claims| claims["email_verified"] = true.into())
                .unwrap()
                .is_verified
        );
        assert!(!check(|_| {}).unwrap().is_verified);
        let named = |name: &str| check(|claims| claims["name"] = name.into()).unwrap().full_name;
        assert_eq!(named(" Ada ").as_deref(), Some("Ada"));
        assert_eq!(
            (named("a\nb"), named(" "), named(&"x".repeat(201))),
            (None, None, None)
        );
    }

    #[test]
    fn keys_are_fresh_as_long_as_the_issuer_says_within_bounds() {
        for (cache_control, age, seconds) in [
            (None, None, 600),
            (Some("public, max-age=20000, must-revalidate"), None, 20_000),
            (Some("Max-Age=\"3600\""), Some("600"), 3000),
            (Some("max-age=3600"), Some("4000"), 60),
            (Some("max-age=0"), None, 60),
            (Some("no-store, max-age=3600"), None, 60),
            (Some("no-cache"), None, 60),
            (Some("max-age=99999999"), None, 86_400),
            (Some("max-age=-1"), None, 600),
        ] {
            let found = freshness(cache_control, age).num_seconds();
            assert_eq!(found, seconds, "{cache_control:?} {age:?}");
        }
    }
}
