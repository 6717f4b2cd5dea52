//! `violet migrate`, `user`, `key` and `wallet`.
use std::{io::Read as _, path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use sqlx::postgres::PgPoolOptions;
use violet_chain::Keypair;

use super::{Failure, WalletArgs, load, print};
use crate::{
    app::App, blobs::Blobs, config::Config, server::check_database, services::accounts, store::accounts::Role,
};

pub(super) async fn migrate(file: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = load(file)?;
    crate::MIGRATOR.run(&connect(&config).await?).await?;
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
async fn app(file: Option<&Path>) -> Result<App, Failure> {
    let config = load(file)?;
    let db = connect(&config).await?;
    // Nothing is signed and no file is kept here; a server's own key stays where it is.
    let folder = std::env::temp_dir();
    let (app, _inboxes) = App::new(
        config,
        db.clone(),
        db,
        Blobs::open(&folder.to_string_lossy())?,
        Keypair::generate().0,
    )?;
    Ok(app)
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make a user; the password is read from standard input. The only way to make an admin.
    Create(CreateUser),
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
        let Self::Create(CreateUser { email, admin }) = self;
        let mut password = String::new();
        std::io::stdin().read_to_string(&mut password)?;
        let role = if admin { Role::Admin } else { Role::Client };
        let app = app(file).await?;
        let registered = accounts::register(&app, &email, password.trim_end_matches('\n'), role).await?;
        print(registered.key.reveal());
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make another API key for a user; it is shown once.
    Create(CreateKey),
}

#[derive(Debug, Args)]
pub(crate) struct CreateKey {
    /// The e-mail address of the user.
    email: String,
    /// What the key is for.
    #[arg(long, default_value = "command line")]
    name: String,
}

impl Key {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let Self::Create(CreateKey { email, name }) = self;
        let key = accounts::make_key(&app(file).await?, &email, &name).await?;
        print(key.reveal());
        Ok(ExitCode::SUCCESS)
    }
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
