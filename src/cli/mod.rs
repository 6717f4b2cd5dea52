//! The commands; each calls services like any face.
mod audit;
mod chain;
mod chain_writing;
#[cfg(feature = "dev-chain")]
mod demo;
#[cfg(feature = "dev-chain")]
mod dev;
mod neurons;
mod prove;
mod quota;
#[cfg(feature = "dev-chain")]
mod samples;
mod security_events;
mod serve;
#[cfg(feature = "dev-chain")]
mod story;
mod upkeep;

use std::{
    error::Error,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use violet_chain::wallet::Wallet;

use crate::verify::counted;

/// What a command may fail with; printed with its causes.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The gateway between ordinary users and a Bittensor subnet.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// A file of settings on top of the defaults (config/default.toml).
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on one machine: database, chain, server, 4 miners, 3 validators.
    #[cfg(feature = "dev-chain")]
    Dev(dev::Dev),
    /// The server: API and workers.
    Serve(serve::Serve),
    /// The reference miner.
    Miner(neurons::Miner),
    /// The reference validator.
    Validator(neurons::Validator),
    /// Look at a chain, or run a local one.
    #[command(subcommand)]
    Chain(chain::Chain),
    /// Check what the server recorded.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the API's description.
    Openapi,
    /// Make users, and give them other passwords.
    #[command(subcommand)]
    User(upkeep::User),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Key(upkeep::Key),
    /// Look at what organisations use, and give them quotas of their own.
    #[command(subcommand)]
    Quota(quota::QuotaCommand),
    /// Make hotkeys.
    #[command(subcommand)]
    Wallet(upkeep::WalletCommand),
}

impl Cli {
    /// What is logged, unless told otherwise: all that a service does, and only warnings of a command that prints an
    /// answer or, as `dev --demo`, a story.
    pub fn log_filter(&self) -> String {
        #[cfg(feature = "dev-chain")]
        if let Command::Dev(dev) = &self.command {
            return crate::config::log_filter().unwrap_or_else(|| dev.log_filter().into());
        }
        let runs_on = match &self.command {
            Command::Serve(_) | Command::Miner(_) | Command::Validator(_) => true,
            Command::Chain(chain) => chain.runs_on(),
            _ => false,
        };
        crate::config::log_filter().unwrap_or_else(|| if runs_on { "info" } else { "warn" }.into())
    }
}

/// Runs a command.
///
/// # Errors
/// What the command fails with.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let config = cli.config.as_deref();
    match cli.command {
        #[cfg(feature = "dev-chain")]
        Command::Dev(dev) => dev.run(config).await,
        Command::Serve(serve) => serve.run(config).await,
        Command::Miner(miner) => miner.run().await,
        Command::Validator(validator) => Box::pin(validator.run(config)).await,
        Command::Chain(chain) => chain.run(config).await,
        Command::Audit(audit) => audit.run(config).await,
        Command::Migrate => upkeep::migrate(config).await,
        Command::Openapi => {
            print(&crate::http::openapi().to_pretty_json()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::User(user) => user.run(config).await,
        Command::Key(key) => key.run(config).await,
        Command::Quota(quota) => quota.run(config).await,
        Command::Wallet(wallet) => wallet.run(),
    }
}

/// Which key is ours.
#[derive(Clone, Debug, Args)]
struct WalletArgs {
    /// Where wallets are; `~/.bittensor/wallets` by default.
    #[arg(long = "wallet.path", value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// The wallet.
    #[arg(long = "wallet.name", value_name = "NAME", default_value = "default")]
    name: String,
    /// Its hotkey.
    #[arg(long = "wallet.hotkey", value_name = "NAME", default_value = "default")]
    hotkey: String,
}

impl WalletArgs {
    fn open(&self) -> Result<Wallet, Failure> {
        Ok(Wallet::new(self.path.as_deref(), &self.name, &self.hotkey)?)
    }
}

/// The one way to standard output. A reader that went away is no reason to fail.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints an error with its causes.
pub fn print_error(error: &(dyn Error + 'static)) {
    let _ = writeln!(
        std::io::stderr().lock(),
        "violet: {}",
        crate::error::Causes(error)
    );
}

/// A token that is cancelled by Ctrl-C or a request to terminate.
fn stop_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = token.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process and promises nothing"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(token)
}

/// Reads the settings.
fn load(file: Option<&Path>) -> Result<crate::config::Config, Failure> {
    Ok(crate::config::Config::load(file)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_well_formed() {
        super::Cli::command().debug_assert();
    }
}
