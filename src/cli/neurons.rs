//! `violet miner` and `violet validator`: the reference neurons, as an operator runs them.
use std::{path::Path, process::ExitCode};

use clap::Args;
use violet_neurons::{Catalogue, MinerOptions, ValidatorOptions, WeightsOptions};

use super::{Failure, WalletArgs, chain::Endpoint, stop_signal};

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
    #[command(flatten)]
    endpoint: Endpoint,
    /// Set weights on the chain by the scores that were given, once a tempo or as often as the subnet lets; the default.
    #[arg(long, overrides_with = "no_set_weights")]
    set_weights: bool,
    /// Set no weights, and connect to no chain.
    #[arg(long, overrides_with = "set_weights")]
    no_set_weights: bool,
    /// The mechanism to set weights on, where the subnet has several.
    #[arg(long, default_value_t = 0)]
    mechanism: u8,
    /// The version of the validator to set weights with, if the subnet asks for one.
    #[arg(long, default_value_t = 0)]
    version_key: u64,
}

impl Validator {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let keypair = self.wallet.open()?.keypair()?;
        let weights = if self.no_set_weights && !self.set_weights {
            None
        } else {
            Some(WeightsOptions {
                mechanism: self.mechanism,
                version_key: self.version_key,
                ..WeightsOptions::new(self.endpoint.options(config)?)
            })
        };
        let catalogue = Catalogue::discover().await;
        let options = ValidatorOptions {
            weights,
            ..ValidatorOptions::new(self.server, keypair, catalogue)
        };
        Box::pin(violet_neurons::Validator::new(options).run(stop_signal()?)).await?;
        Ok(ExitCode::SUCCESS)
    }
}
