//! Settings: the embedded defaults, then a file, then the environment, into one validated value.
//!
//! The only reader of the environment.
use std::{path::Path, time::Duration};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;
use violet_chain::{BlockHash, auth::Scheme};

use crate::{
    domain::{TaskType, quotas::Quotas, rates::Limits, routing::Rule},
    issuers::Issuers,
    settings::{self, Accounts, Mail, Networks, R2, Storage},
};

pub(crate) const DEFAULTS: &str = include_str!("../config/default.toml");
/// With fewer connections those who hold one and need another could wait for each other.
const LEAST_CONNECTIONS: u32 = 4;
/// Seconds that `?wait=` may ask for.
const LONGEST_WAIT: u64 = 60;
/// What any convention allows is shorter; every request within it is remembered.
const LONGEST_WINDOW: u64 = 3600;

/// Every setting; `config/default.toml` says what each one means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Config {
    pub netuid: u16,
    pub server: Server,
    pub database: Database,
    pub chain: Chain,
    pub identity: Identity,
    pub keys: Keys,
    pub limits: Limits,
    pub quotas: Quotas,
    pub tasks: Tasks,
    pub routing: Routing,
    pub consensus: Consensus,
    pub storage: Storage,
    pub accounts: Accounts,
    pub mail: Mail,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub connections: usize,
    pub header_seconds: u64,
    pub trusted_proxies: Networks,
    pub longest_wait_seconds: u64,
    pub poll_seconds: u64,
    pub request_seconds: u64,
    pub upload_seconds: u64,
    pub drain_seconds: u64,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Database {
    pub url: String,
    pub connections: u32,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Database")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Chain {
    pub endpoints: Vec<String>,
    pub archive_endpoints: Vec<String>,
    pub genesis: Option<BlockHash>,
    pub silence_seconds: u64,
    pub snapshot_limit_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Identity {
    pub signature_age_seconds: u64,
    pub signature_ahead_seconds: u64,
    pub signed_body_bytes: usize,
    pub validator_stake_rao: u64,
    pub argon2_memory_kib: u32,
    pub argon2_passes: u32,
    pub argon2_lanes: u32,
    pub key_cache_seconds: u64,
    pub enrolment: bool,
    pub neuron_key_days: u32,
    pub schemes: Schemes,
    pub windows: Windows,
    pub oidc: Issuers,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Schemes {
    pub miner: Vec<Scheme>,
    pub validator: Vec<Scheme>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Windows {
    pub epistula: Window,
    pub chutes: Window,
    pub fiber: Window,
    pub synapse: Window,
}

/// How old and how far ahead a signature may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Window {
    pub age_seconds: u64,
    pub ahead_seconds: u64,
}

impl Identity {
    /// The window of a scheme.
    pub fn window(&self, scheme: Scheme) -> Window {
        match scheme {
            Scheme::Btauth1 => Window {
                age_seconds: self.signature_age_seconds,
                ahead_seconds: self.signature_ahead_seconds,
            },
            Scheme::Epistula2 => self.windows.epistula,
            Scheme::Chutes => self.windows.chutes,
            Scheme::Fiber => self.windows.fiber,
            Scheme::Synapse => self.windows.synapse,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        for (group, schemes) in [
            ("miner", &self.schemes.miner),
            ("validator", &self.schemes.validator),
        ] {
            if !schemes.contains(&Scheme::Btauth1) {
                return Err(ConfigError::Invalid(format!(
                    "identity.schemes.{group} lacks btauth/1, which is always on"
                )));
            }
        }
        if !(1..=3650).contains(&self.neuron_key_days) {
            return Err(ConfigError::Invalid(
                "identity.neuron_key_days is not from 1 to 3650".into(),
            ));
        }
        for scheme in Scheme::ALL {
            let Window {
                age_seconds,
                ahead_seconds,
            } = self.window(scheme);
            if age_seconds > LONGEST_WINDOW || ahead_seconds > LONGEST_WINDOW {
                return Err(ConfigError::Invalid(format!(
                    "the window of {scheme} under identity is longer than {LONGEST_WINDOW} s"
                )));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Keys {
    pub grace_seconds: u32,
    pub longest_days: u16,
    pub most: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Tasks {
    pub text_characters: usize,
    pub text_bytes: usize,
    pub text_shortest: usize,
    pub audio_bytes: u64,
    pub video_bytes: u64,
    pub document_bytes: u64,
    pub answer_file_bytes: u64,
    pub answer_files: u16,
    pub idempotency_seconds: u64,
    pub silence_seconds: u64,
    pub queue: usize,
    pub served_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Routing {
    pub stake: u32,
    pub performance: u32,
    pub floor: u32,
    pub capacity_limit: u16,
    pub snapshot_interval: u32,
    pub heartbeat_ttl_seconds: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each field once")]
pub struct Consensus {
    pub min_participation: u32,
    pub transcription: u16,
    pub tts: u16,
    pub summarization: u16,
    pub text_translation: u16,
    pub document_translation: u16,
    pub video_transcription: u16,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or a variable that does not parse; names it.
    #[error("settings")]
    Figment(#[from] Box<figment::Error>),
    /// Values that do not fit together.
    #[error("settings: {0}")]
    Invalid(String),
}

impl Config {
    /// Reads the defaults, then `file`, then `VIOLET_…` and the names that users of the original have set.
    ///
    /// # Errors
    /// Names the setting that is unknown, malformed or out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment
            .merge(Env::raw().only(&["DATABASE_URL"]).map(|_| "database.url".into()))
            .merge(Env::raw().filter_map(|name| {
                R2.iter()
                    .find(|(known, _)| name == *known)
                    .map(|(_, to)| (*to).into())
            }))
            .merge(
                Env::prefixed("VIOLET_")
                    .split("__")
                    .ignore(&["TEST_DATABASE_URL", "LOG"]),
            );
        Self::from_figment(&figment)
    }

    /// The defaults alone: what tests start from.
    ///
    /// # Panics
    /// Never: a test reads the embedded file.
    pub fn defaults() -> Self {
        Self::from_figment(&Figment::from(Toml::string(DEFAULTS))).expect("the embedded defaults are valid")
    }

    pub(crate) fn from_figment(figment: &Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(Box::new)?;
        config.rule().validate().map_err(ConfigError::Invalid)?;
        if config.tasks.text_shortest > config.tasks.text_characters {
            return Err(ConfigError::Invalid(
                "tasks.text_shortest is above tasks.text_characters".into(),
            ));
        }
        if config.server.longest_wait_seconds > LONGEST_WAIT {
            let text = format!("server.longest_wait_seconds is above {LONGEST_WAIT}");
            return Err(ConfigError::Invalid(text));
        }
        settings::check_counts(&config)?;
        let connections = config.database.connections;
        if connections < LEAST_CONNECTIONS {
            return Err(ConfigError::Invalid(format!(
                "database.connections is {connections}; at least {LEAST_CONNECTIONS} are needed"
            )));
        }
        if config.consensus.min_participation > 1_000_000 {
            return Err(ConfigError::Invalid(
                "consensus.min_participation is above 1000000, which is all".into(),
            ));
        }
        config.accounts.validate()?;
        config.mail.validate()?;
        config.storage.validate(config.server.upload_seconds)?;
        let silent = config.mail.smtp_url.reveal().is_empty() && !config.mail.log_links;
        if config.accounts.require_verified_email && silent {
            return Err(ConfigError::Invalid(
                "accounts.require_verified_email is set, but mail.smtp_url is empty".into(),
            ));
        }
        config.identity.validate()?;
        Ok(config)
    }

    /// The routing rule that these settings make.
    pub fn rule(&self) -> Rule {
        let Routing {
            stake,
            performance,
            floor,
            capacity_limit,
            snapshot_interval,
            heartbeat_ttl_seconds,
        } = self.routing;
        Rule {
            netuid: self.netuid,
            name: "stake-mix/1".into(),
            stake,
            performance,
            floor,
            capacity_limit,
            snapshot_interval,
            heartbeat_ttl_seconds,
        }
    }

    /// The least consensus that approves a task of this type.
    pub fn threshold(&self, task_type: TaskType) -> u16 {
        match task_type {
            TaskType::Transcription => self.consensus.transcription,
            TaskType::Tts => self.consensus.tts,
            TaskType::Summarization => self.consensus.summarization,
            TaskType::TextTranslation => self.consensus.text_translation,
            TaskType::DocumentTranslation => self.consensus.document_translation,
            TaskType::VideoTranscription => self.consensus.video_transcription,
        }
    }

    /// How to connect to the chain, for whoever does.
    pub fn chain_options(&self) -> violet_chain::Options {
        let chain = &self.chain;
        violet_chain::Options {
            endpoints: chain.endpoints.clone(),
            archive_endpoints: chain.archive_endpoints.clone(),
            genesis: chain.genesis,
            silence: Duration::from_secs(chain.silence_seconds),
        }
    }

    /// Longest that a request may be held.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs(self.server.longest_wait_seconds)
    }

    /// How long a miner may show no sign of life before it loses what it was assigned.
    pub fn silence(&self) -> Duration {
        Duration::from_secs(self.tasks.silence_seconds)
    }
}

/// Which log lines are shown: `VIOLET_LOG` (or `RUST_LOG`) in tracing's syntax, else `LOG_LEVEL`.
#[expect(
    clippy::disallowed_methods,
    reason = "this file is the reader of the environment"
)]
pub fn log_filter() -> Option<String> {
    ["VIOLET_LOG", "RUST_LOG", "LOG_LEVEL"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .map(|value| value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::defaults().server.port, 8000);
    }

    #[test]
    fn weights_that_do_not_add_up_are_refused() {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(("routing.stake", 1));
        let error = Config::from_figment(&figment).unwrap_err();
        assert!(error.to_string().contains("add up to 500001"), "{error}");
    }

    #[test]
    fn a_server_without_connections_is_refused() {
        let error = set("server.connections", 0).unwrap_err();
        assert!(error.to_string().contains("server.connections"), "{error}");
    }

    fn set(name: &str, value: u32) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::from(Toml::string(DEFAULTS)).merge((name, value)))
    }

    #[test]
    fn too_few_connections_to_the_database_are_refused() {
        for few in [0, 1, 3] {
            let error = set("database.connections", few).unwrap_err().to_string();
            let expected = format!("settings: database.connections is {few}; at least 4 are needed");
            assert_eq!(error, expected);
        }
        assert_eq!(set("database.connections", 4).unwrap().database.connections, 4);
    }

    #[test]
    fn a_participation_of_more_than_all_is_refused() {
        let error = set("consensus.min_participation", 1_000_001).unwrap_err();
        assert!(
            error.to_string().contains("consensus.min_participation"),
            "{error}"
        );
        set("consensus.min_participation", 1_000_000).unwrap();
    }

    #[test]
    fn a_chain_is_named_by_a_hash_and_may_be_silent_for_a_while() {
        let with = |genesis: &str| {
            let figment = Figment::from(Toml::string(DEFAULTS)).merge(("chain.genesis", genesis));
            Config::from_figment(&figment)
        };
        let finney = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03";
        let named = with(finney).unwrap().chain.genesis.unwrap();
        assert_eq!(named.to_string(), finney);
        assert!(with("finney").is_err());
        let error = set("chain.silence_seconds", 0).unwrap_err();
        assert!(error.to_string().contains("chain.silence_seconds"), "{error}");
    }

    #[test]
    fn schemes_are_known_by_name_and_one_is_always_on() {
        let with = |value: Vec<&str>| {
            let figment = Figment::from(Toml::string(DEFAULTS)).merge(("identity.schemes.validator", value));
            Config::from_figment(&figment)
        };
        let all: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
        let schemes = with(all.clone()).unwrap().identity.schemes;
        assert_eq!(
            (schemes.validator, schemes.miner),
            (Scheme::ALL.to_vec(), vec![Scheme::Btauth1])
        );
        let unknown = format!("{:?}", with(vec!["btauth/1", "epistula/1"]).unwrap_err());
        for name in all.iter().chain(&["epistula/1", "identity", "validator"]) {
            assert!(unknown.contains(name), "{unknown} lacks {name}");
        }
        let error = with(vec!["fiber"]).unwrap_err().to_string();
        let expected = "settings: identity.schemes.validator lacks btauth/1, which is always on";
        assert_eq!(error, expected);
    }

    #[test]
    fn keys_of_neurons_last_from_a_day_to_ten_years() {
        for bad in [0, 3651] {
            let error = set("identity.neuron_key_days", bad).unwrap_err().to_string();
            assert_eq!(error, "settings: identity.neuron_key_days is not from 1 to 3650");
        }
        for good in [1, 3650] {
            set("identity.neuron_key_days", good).unwrap();
        }
    }

    #[test]
    fn windows_have_a_limit() {
        for name in ["signature_age_seconds", "windows.fiber.ahead_seconds"] {
            let name = format!("identity.{name}");
            let error = set(&name, 3601).unwrap_err().to_string();
            assert!(error.contains("longer than 3600 s"), "{error}");
            set(&name, 3600).unwrap();
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(("server.prot", 1));
        let error = Config::from_figment(&figment).unwrap_err();
        assert!(format!("{error:?}").contains("prot"), "{error:?}");
    }
}
