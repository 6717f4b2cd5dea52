//! `violet miner` and `violet validator`: the reference neurons, as an operator runs them.
use std::process::ExitCode;

use clap::Args;
use violet_neurons::{Catalogue, MinerOptions, ValidatorOptions};

use super::{Failure, WalletArgs, stop_signal};

/// The reference miner, with the engines that are installed on this machine.
#[derive(Debug, Args)]
pub(crate) struct Miner {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    server: String,
    /// Assignments worked on at once.
    #[arg(long, default_value_t = 4)]
    capacity: usize,
    #[command(flatten)]
    wallet: WalletArgs,
}

impl Miner {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let keypair = self.wallet.open()?.keypair()?;
        let catalogue = Catalogue::discover().await;
        let options = MinerOptions {
            capacity: self.capacity,
            ..MinerOptions::new(self.server, keypair, catalogue)
        };
        violet_neurons::Miner::new(options).run(stop_signal()?).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The reference validator.
#[derive(Debug, Args)]
pub(crate) struct Validator {
    /// The server.
    #[arg(long, alias = "proxy_server_url", default_value = "http://127.0.0.1:8000")]
    server: String,
    #[command(flatten)]
    wallet: WalletArgs,
}

impl Validator {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let keypair = self.wallet.open()?.keypair()?;
        let catalogue = Catalogue::discover().await;
        let options = ValidatorOptions::new(self.server, keypair, catalogue);
        violet_neurons::Validator::new(options)
            .run(stop_signal()?)
            .await?;
        Ok(ExitCode::SUCCESS)
    }
}
