//! The settings of accounts, mail, storage and proxies, with what makes them valid; `src/config.rs` reads them with the others.
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::{
    config::{Config, ConfigError},
    domain::lockout::Patience,
};

/// A shorter secret could be guessed from one token.
const LEAST_SECRET: usize = 32;

/// More places than anybody has memory for.
const MOST_PLACES: usize = 1_000_000_000;

/// Refuses what would stop the server, keep it busy with nothing, or refuse everybody.
pub(crate) fn check_counts(config: &Config) -> Result<(), ConfigError> {
    let Config {
        server,
        chain,
        identity,
        tasks,
        ..
    } = config;
    for (name, value) in [
        ("server.connections", server.connections as u64),
        ("server.header_seconds", server.header_seconds),
        ("server.poll_seconds", server.poll_seconds),
        ("server.request_seconds", server.request_seconds),
        ("server.upload_seconds", server.upload_seconds),
        ("chain.silence_seconds", chain.silence_seconds),
        ("chain.snapshot_limit_seconds", chain.snapshot_limit_seconds),
        ("identity.argon2_memory_kib", identity.argon2_memory_kib.into()),
        ("identity.argon2_passes", identity.argon2_passes.into()),
        ("identity.argon2_lanes", identity.argon2_lanes.into()),
        ("identity.signed_body_bytes", identity.signed_body_bytes as u64),
        ("tasks.queue", tasks.queue as u64),
        ("tasks.served_seconds", tasks.served_seconds),
        ("tasks.silence_seconds", tasks.silence_seconds),
    ] {
        if value == 0 {
            return Err(ConfigError::Invalid(format!("{name} is 0")));
        }
    }
    for (name, places) in [
        ("server.connections", server.connections),
        ("tasks.queue", tasks.queue),
    ] {
        if places > MOST_PLACES {
            return Err(ConfigError::Invalid(format!("{name} is above {MOST_PLACES}")));
        }
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Accounts {
    pub access_seconds: u64,
    pub refresh_seconds: u64,
    pub refresh_grace_seconds: u64,
    pub sessions: u16,
    pub token_secret: Hidden,
    pub standing_cache_seconds: u64,
    pub require_verified_email: bool,
    pub verify_seconds: u64,
    pub reset_seconds: u64,
    pub invitation_seconds: u64,
    pub wallet_challenge_seconds: u64,
    pub wallet_seconds: u64,
    pub public_url: String,
    pub forget_failures_seconds: u64,
    pub login_per_account: Patience,
    pub login_per_address: Patience,
    pub mails_per_address: Patience,
}

impl Accounts {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (name, patience) in [
            ("login_per_account", &self.login_per_account),
            ("login_per_address", &self.login_per_address),
            ("mails_per_address", &self.mails_per_address),
        ] {
            if let Some(problem) = patience.problem() {
                return Err(ConfigError::Invalid(format!("accounts.{name}.{problem}")));
            }
        }
        let secret = self.token_secret.reveal().len();
        if secret != 0 && secret < LEAST_SECRET {
            return Err(ConfigError::Invalid(format!(
                "accounts.token_secret has {secret} characters; at least {LEAST_SECRET} are needed"
            )));
        }
        if self.sessions == 0 {
            return Err(ConfigError::Invalid("accounts.sessions is 0".into()));
        }
        if self.standing_cache_seconds > 2 {
            return Err(ConfigError::Invalid(
                "accounts.standing_cache_seconds is above 2: who was shut out must be out by then".into(),
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Mail {
    pub smtp_url: Hidden,
    pub from: String,
    pub log_links: bool,
    pub attempts: i32,
}

impl Mail {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let url = self.smtp_url.reveal();
        // The reason is not told: it could repeat the password.
        if !url.is_empty() && lettre::SmtpTransport::from_url(url).is_err() {
            return Err(ConfigError::Invalid(
                "mail.smtp_url is none: smtps://user:password@host, smtp://host:port?tls=required".into(),
            ));
        }
        self.from
            .parse::<lettre::message::Mailbox>()
            .map(|_| ())
            .map_err(|error| ConfigError::Invalid(format!("mail.from: {error}")))
    }
}

/// Names that users of the original have set, and what they are here.
pub(crate) const R2: [(&str, &str); 5] = [
    ("R2_ACCESS_KEY_ID", "storage.s3.access_key_id"),
    ("R2_SECRET_ACCESS_KEY", "storage.s3.secret_access_key"),
    ("R2_BUCKET_NAME", "storage.s3.bucket"),
    ("R2_ENDPOINT_URL", "storage.s3.endpoint"),
    ("R2_PUBLIC_URL", "storage.public_url"),
];
/// What may come between the end of an upload and the row that names it, in seconds.
const LEAST_GRACE: u64 = 300;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Storage {
    pub url: String,
    pub link_seconds: u64,
    pub public_links: bool,
    pub public_url: String,
    pub orphan_seconds: u64,
    pub sweep_seconds: u64,
    pub voice_bytes: u64,
    pub voices: u16,
    pub s3: S3,
}

/// A bucket of S3 or what speaks like it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct S3 {
    pub bucket: String,
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Hidden,
}

impl S3 {
    /// The region that requests are signed for; empty: what the environment says.
    pub fn region(&self) -> &str {
        if self.region.is_empty() && self.endpoint.contains(".r2.cloudflarestorage.com") {
            return "auto";
        }
        &self.region
    }
}

impl Storage {
    /// Where files are kept: the address that is set, or the bucket.
    pub fn location(&self) -> String {
        if self.url.is_empty() && !self.s3.bucket.is_empty() {
            return format!("s3://{}", self.s3.bucket);
        }
        self.url.clone()
    }

    /// Whether it is reached without TLS: on this machine, or behind something that has it.
    pub fn is_plain(&self) -> bool {
        self.s3.endpoint.starts_with("http://")
    }

    pub(crate) fn validate(&self, upload_seconds: u64) -> Result<(), ConfigError> {
        let least = upload_seconds.saturating_add(LEAST_GRACE);
        if self.orphan_seconds < least {
            return Err(ConfigError::Invalid(format!(
                "storage.orphan_seconds is {}; uploads may take until {least}",
                self.orphan_seconds
            )));
        }
        if self.sweep_seconds == 0 {
            return Err(ConfigError::Invalid("storage.sweep_seconds is 0".into()));
        }
        if self.public_links && self.public_url.is_empty() {
            return Err(ConfigError::Invalid(
                "storage.public_links is set, but storage.public_url is empty".into(),
            ));
        }
        if self.s3.access_key_id.is_empty() != self.s3.secret_access_key.reveal().is_empty() {
            return Err(ConfigError::Invalid(
                "storage.s3.access_key_id and storage.s3.secret_access_key go together".into(),
            ));
        }
        Ok(())
    }
}

/// A text that no log shows.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// A text to be hidden.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"…\"" })
    }
}

/// Networks of addresses, each written as one address or with the length of its prefix.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Networks(pub Vec<IpNet>);

impl TryFrom<Vec<String>> for Networks {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let parsed = texts.into_iter().map(|text| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("`{text}` is no address and no network"))
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format as _, Toml},
    };

    use super::*;
    use crate::config::{Config, DEFAULTS};

    fn set(name: &str, value: u32) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::from(Toml::string(DEFAULTS)).merge((name, value)))
    }

    fn with(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let figment = values
            .iter()
            .fold(Figment::from(Toml::string(DEFAULTS)), |figment, (name, value)| {
                figment.merge(((*name).to_owned(), *value))
            });
        Config::from_figment(&figment)
    }

    #[test]
    fn what_needs_one_at_least_is_refused_with_none() {
        for name in [
            "server.connections",
            "server.header_seconds",
            "server.poll_seconds",
            "server.request_seconds",
            "server.upload_seconds",
            "chain.silence_seconds",
            "chain.snapshot_limit_seconds",
            "identity.argon2_memory_kib",
            "identity.argon2_passes",
            "identity.argon2_lanes",
            "identity.signed_body_bytes",
            "tasks.queue",
            "tasks.served_seconds",
            "tasks.silence_seconds",
        ] {
            let error = set(name, 0).unwrap_err().to_string();
            assert_eq!(error, format!("settings: {name} is 0"));
            set(name, 1).unwrap();
        }
        for name in ["server.connections", "tasks.queue"] {
            set(name, 1_000_000_000).unwrap();
            let error = set(name, 1_000_000_001).unwrap_err().to_string();
            assert_eq!(error, format!("settings: {name} is above 1000000000"));
        }
    }

    #[test]
    fn secrets_are_long_enough_and_never_shown() {
        let short = with(&[("accounts.token_secret", &"x".repeat(31))]).unwrap_err();
        assert!(short.to_string().contains("has 31 characters"), "{short}");
        let secret = "do-not-show-this-do-not-show-this";
        let url = "smtps://user:do-not-show-this@mail.example.org";
        let config = with(&[("accounts.token_secret", secret), ("mail.smtp_url", url)]).unwrap();
        assert_eq!(config.accounts.token_secret.reveal(), secret);
        assert!(!format!("{config:?}").contains("do-not-show-this"));
        let broken = with(&[("mail.smtp_url", "http://user:do-not-show-this@host")]).unwrap_err();
        assert!(!format!("{broken:?} {broken}").contains("do-not-show-this"));
        assert!(with(&[("mail.from", "nobody")]).is_err());
    }

    #[test]
    fn verified_addresses_need_mail() {
        let require = |log: bool| {
            let figment = Figment::from(Toml::string(DEFAULTS))
                .merge(("accounts.require_verified_email", true))
                .merge(("mail.log_links", log));
            Config::from_figment(&figment)
        };
        assert!(require(false).is_err());
        require(true).unwrap();
    }

    #[test]
    fn who_is_shut_out_is_out_within_two_seconds() {
        set("accounts.standing_cache_seconds", 2).unwrap();
        let error = set("accounts.standing_cache_seconds", 3).unwrap_err();
        assert!(error.to_string().contains("standing_cache_seconds"), "{error}");
        set("accounts.sessions", 1).unwrap();
        assert!(set("accounts.sessions", 0).is_err());
        assert!(set("accounts.login_per_account.free", 8).is_err());
    }

    #[test]
    fn a_bucket_is_a_place_to_keep_files_in() {
        let secret = "do-not-show-this";
        let config = with(&[
            ("storage.s3.bucket", "violet"),
            ("storage.s3.endpoint", "https://1234.r2.cloudflarestorage.com"),
            ("storage.s3.access_key_id", "someone"),
            ("storage.s3.secret_access_key", secret),
        ])
        .unwrap();
        assert_eq!(config.storage.location(), "s3://violet");
        assert_eq!(config.storage.s3.region(), "auto");
        assert!(!format!("{config:?}").contains(secret));
        // What is set by its own name comes first.
        let both = with(&[("storage.s3.bucket", "violet"), ("storage.url", "file:///files")]).unwrap();
        assert_eq!(both.storage.location(), "file:///files");
        assert_eq!(both.storage.s3.region(), "");
        for name in ["storage.s3.access_key_id", "storage.s3.secret_access_key"] {
            let error = with(&[(name, secret)]).unwrap_err();
            assert!(error.to_string().contains("go together"), "{error}");
            assert!(!error.to_string().contains(secret));
        }
    }

    #[test]
    fn an_upload_is_no_orphan_before_it_can_have_ended() {
        let upload = u32::try_from(Config::defaults().server.upload_seconds).unwrap();
        set("storage.orphan_seconds", upload + 300).unwrap();
        let error = set("storage.orphan_seconds", upload + 299).unwrap_err();
        assert!(error.to_string().contains("storage.orphan_seconds"), "{error}");
        assert!(set("storage.sweep_seconds", 0).is_err());
    }

    #[test]
    fn public_links_need_an_address() {
        let publish = |url: &str| {
            let figment = Figment::from(Toml::string(DEFAULTS))
                .merge(("storage.public_links", true))
                .merge(("storage.public_url", url));
            Config::from_figment(&figment)
        };
        assert!(publish("").is_err());
        publish("https://files.example.org").unwrap();
    }

    #[test]
    fn proxies_are_addresses_or_networks() {
        let proxies = |texts: &[&str]| {
            let figment = Figment::from(Toml::string(DEFAULTS)).merge(("server.trusted_proxies", texts));
            Config::from_figment(&figment).map(|config| config.server.trusted_proxies.0)
        };
        assert_eq!(
            proxies(&["10.0.0.0/8", "192.0.2.1", "fd00::/8"]).unwrap().len(),
            3
        );
        assert!(proxies(&["proxy.example.org"]).is_err());
        assert!(proxies(&["10.0.0.0/33"]).is_err());
    }
}
