//! `violet migrate`, `user`, `key` and `wallet`.
use std::{io::Read as _, path::Path, process::ExitCode};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use sqlx::postgres::PgPoolOptions;
use violet_chain::Keypair;

use super::{Failure, WalletArgs, load, print};
use crate::{
    app::App,
    blobs::Blobs,
    config::Config,
    domain::{
        ApiKeyId,
        access::{Grant, OrganizationRole},
    },
    server::{StartError, check_database},
    services::{
        accounts::{self, Registration},
        keys::{self, Maker, Wish},
        passwords,
        security::Origin,
    },
    store::{accounts::Role, api_keys::Listed},
};

pub(super) async fn migrate(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = load(file)?;
    let migrated = crate::MIGRATOR.run(&connect(&config).await?).await;
    migrated.map_err(StartError::from)?;
    print("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn connect(config: &Config) -> Result<sqlx::PgPool, Failure> {
    if config.database.url.is_empty() {
        return Err("no database: set DATABASE_URL (or database.url)".into());
    }
    check_database(&config.database.url).await?;
    Ok(PgPoolOptions::new()
        .max_connections(2)
        .connect(&config.database.url)
        .await?)
}

/// An application without workers, for one call of a service.
pub(super) async fn app(file: Option<&Path>) -> Result<App, Failure> {
    let config = load(file)?;
    let db = connect(&config).await?;
    // Nothing is signed and no file is kept here; a server's own key stays where it is.
    let folder = std::env::temp_dir();
    let (app, _inboxes) = App::new(
        config,
        db.clone(),
        db,
        Blobs::folder(&folder.to_string_lossy())?,
        Keypair::generate().0,
    )?;
    Ok(app)
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make a user; the password is read from standard input. The only way to make an admin.
    Create(CreateUser),
    /// Give a user another password, read from standard input; ends its sessions.
    Password {
        /// The e-mail address.
        email: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateUser {
    /// The e-mail address.
    email: String,
    /// An administrator of the platform.
    #[arg(long)]
    admin: bool,
}

impl User {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let mut password = String::new();
        std::io::stdin().read_to_string(&mut password)?;
        let CreateUser { email, admin } = match self {
            Self::Create(new) => new,
            Self::Password { email } => {
                passwords::set(&app(file).await?, &email, password.trim_end_matches('\n')).await?;
                print("the password is changed, and the sessions have ended");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let role = if admin { Role::Admin } else { Role::Client };
        let app = app(file).await?;
        let new = Registration {
            email: &email,
            password: password.trim_end_matches('\n'),
            full_name: None,
            role,
            // By whoever runs this.
            is_verified: true,
        };
        let registered = accounts::register(&app, &Origin::local(), new).await?;
        print(registered.key.reveal());
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make another API key for a user; it is shown once.
    Create(CreateKey),
    /// List the keys of a user's organisation that were not revoked: id, beginning, expiry, last use, name, scopes.
    List(KeysOf),
    /// Revoke a key; servers refuse it within 2 seconds.
    Revoke(RevokeKey),
}

#[derive(Debug, Args)]
pub(crate) struct CreateKey {
    /// The e-mail address of the user.
    email: String,
    /// What the key is for.
    #[arg(long, default_value = "command line")]
    name: String,
    /// A permission such as `tasks:read`, or a bundle such as `tasks`; may be repeated. Without, all but managing.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Option<Vec<String>>,
    /// When it stops working, such as 2030-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(crate) struct KeysOf {
    /// The e-mail address of the user.
    email: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeKey {
    /// The e-mail address of a user of the organisation.
    email: String,
    /// The id of the key.
    key_id: ApiKeyId,
}

/// Keys that are listed at once.
const PAGE: u16 = 1000;

impl Key {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let app = app(file).await?;
        match self {
            Self::Create(CreateKey {
                email,
                name,
                scopes,
                expires_at,
            }) => {
                let user = accounts::find(&app, &email).await?;
                let maker = Maker {
                    user: user.user_id,
                    organization: user.organization_id,
                    grant: Grant::of(OrganizationRole::Owner),
                    until: None,
                };
                let wish = Wish {
                    name,
                    scopes,
                    expires_at,
                };
                print(
                    keys::make(&app, maker, &Origin::local(), wish)
                        .await?
                        .secret
                        .reveal(),
                );
            }
            Self::List(KeysOf { email }) => {
                let organization = accounts::find(&app, &email).await?.organization_id;
                let mut before = None;
                loop {
                    let listed = keys::list(&app, organization, before, PAGE).await?;
                    listed.iter().for_each(|key| print(&line(key)));
                    before = match listed.last() {
                        Some(last) if listed.len() == usize::from(PAGE) => Some(last.api_key_id),
                        _ => break,
                    };
                }
            }
            Self::Revoke(RevokeKey { email, key_id }) => {
                let organization = accounts::find(&app, &email).await?.organization_id;
                let revoked = keys::revoke(&app, organization, None, &Origin::local(), key_id).await?;
                print(&format!("{} ({}) is revoked", revoked.prefix, revoked.name));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(key: &Listed) -> String {
    let time = |at: Option<DateTime<Utc>>| {
        at.map_or_else(
            || "never".to_owned(),
            |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
        )
    };
    format!(
        "{}  {}…  expires {}  last used {}  {}  {}",
        key.api_key_id,
        key.prefix,
        time(key.expires_at),
        time(key.last_used_at),
        key.name,
        key.scope().names().join(",")
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Make a hotkey; its mnemonic is shown once.
    Create(WalletArgs),
    /// Print the address of a hotkey.
    Show(WalletArgs),
}

impl WalletCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Create(wallet) => {
                let wallet = wallet.open()?;
                let (keypair, mnemonic) = wallet.create()?;
                print(&format!("{}\n{mnemonic}", keypair.hotkey()));
            }
            Self::Show(wallet) => print(&wallet.open()?.keypair()?.hotkey().to_string()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
