//! The settings of accounts, mail and proxies, with what makes them valid; `src/config.rs` reads them with the others.
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::{config::ConfigError, domain::lockout::Patience};

/// A shorter secret could be guessed from one token.
const LEAST_SECRET: usize = 32;

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
