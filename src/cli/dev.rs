//! `violet dev`: everything on one machine, real parts only.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use violet_chain::{CryptoType, Keypair, wallet::Wallet};
use violet_devchain::DevChain;
use violet_neurons::{Catalogue, Miner, MinerOptions, Validator, ValidatorOptions};

use super::{Failure, demo, load, print, stop_signal};
use crate::{config::Config, postgres::PrivateCluster, server::Server};

const MINERS: usize = 4;
const VALIDATORS: usize = 3;
/// Snapshots come more often than on a real chain, whose blocks take twelve times as long.
const SNAPSHOT_INTERVAL: u32 = 5;

/// How long neurons may go on with what they have in hand after Ctrl-C.
const GRACE: Duration = Duration::from_secs(2);

/// Database, chain, server, 4 miners and 3 validators, until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where the database and the server's key are kept.
    #[arg(long, default_value = ".violet")]
    state: PathBuf,
    /// Where the server listens.
    #[arg(long)]
    port: Option<u16>,
    /// Where the chain listens.
    #[arg(long, default_value_t = 9944)]
    chain_port: u16,
    /// Submit real input, and print what becomes of it.
    #[arg(long)]
    demo: bool,
    /// End after the demo, with a status that tells whether it went well.
    #[arg(long, requires = "demo")]
    exit: bool,
}

/// What runs, in the order in which it was started.
struct Running {
    cluster: Option<PrivateCluster>,
    chain: DevChain,
    server: Option<Server>,
    neurons: TaskTracker,
    stop_neurons: CancellationToken,
}

impl Dev {
    /// With `--demo` only what is wrong is logged between the lines of the story.
    pub(super) fn log_filter(&self) -> &'static str {
        if self.demo {
            "warn"
        } else {
            "info,sqlx=warn,hyper=warn"
        }
    }

    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let stop = stop_signal()?;
        let mut config = load(file)?;
        config.server.port = self.port.unwrap_or(config.server.port);
        if config.storage.url.is_empty() {
            config.storage.url = std::path::absolute(self.state.join("files"))?
                .to_string_lossy()
                .into_owned();
        }
        config.routing.snapshot_interval = SNAPSHOT_INTERVAL;
        std::fs::create_dir_all(&self.state).map_err(|error| {
            format!(
                "{}: {error}; choose another folder with --state",
                self.state.display()
            )
        })?;
        let keypair = server_key(&self.state)?;

        let mut running = tokio::select! {
            started = self.start(config, keypair) => started?,
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
        };
        let url = running.server.as_ref().map(Server::url).unwrap_or_default();
        let hotkey = running
            .server
            .as_ref()
            .map(|server| server.app.hotkey.to_string());
        print(&format!(
            "Violet is up: {url}  (API: {url}/docs, chain: {}, hotkey: {})",
            running.chain.ws_url(),
            hotkey.unwrap_or_default()
        ));

        let mut code = ExitCode::SUCCESS;
        if self.demo {
            let told = tokio::select! {
                told = demo::run(&url) => Some(told),
                () = stop.cancelled() => None,
            };
            if let Some(Err(error)) = told {
                super::print_error(&*error);
                code = ExitCode::FAILURE;
            }
        }
        if !self.exit {
            if !stop.is_cancelled() {
                print("Ctrl-C stops it.");
            }
            stop.cancelled().await;
        }
        print("Stopping.");
        running.stop().await;
        Ok(code)
    }

    async fn start(&self, mut config: Config, keypair: Keypair) -> Result<Running, Failure> {
        let options = violet_devchain::Options {
            port: self.chain_port,
            ..Default::default()
        };
        let chain = violet_devchain::spawn(violet_devchain::Genesis::default(), options)
            .await
            .map_err(|error| format!("{error}; --chain-port chooses another port"))?;
        config.chain.endpoints = vec![chain.ws_url()];
        let cluster = if config.database.url.is_empty() {
            let cluster = PrivateCluster::start(&self.state).await?;
            cluster.create_database("violet").await?;
            config.database.url = cluster.url("violet");
            Some(cluster)
        } else {
            None
        };
        let mut running = Running {
            cluster,
            chain,
            server: None,
            neurons: TaskTracker::new(),
            stop_neurons: CancellationToken::new(),
        };
        match Server::start(config, keypair).await {
            Ok(server) => running.server = Some(server),
            Err(error) => {
                running.stop().await;
                return Err(error.into());
            }
        }
        running.start_neurons().await?;
        Ok(running)
    }
}

impl Running {
    async fn start_neurons(&self) -> Result<(), Failure> {
        let url = self.server.as_ref().map(Server::url).unwrap_or_default();
        let catalogue = Catalogue::discover().await;
        for number in 1..=MINERS {
            let keypair = Keypair::from_uri(&format!("//Miner{number}"), CryptoType::Sr25519)?;
            let options = MinerOptions::new(url.clone(), keypair, catalogue.clone());
            let miner = Miner::new(MinerOptions {
                grace: GRACE,
                ..options
            });
            let stop = self.stop_neurons.clone();
            self.neurons.spawn(async move {
                if let Err(error) = miner.run(stop).await {
                    tracing::error!(number, error = %crate::error::Causes(&error), "miner stopped");
                }
            });
        }
        for number in 1..=VALIDATORS {
            let keypair = Keypair::from_uri(&format!("//Validator{number}"), CryptoType::Sr25519)?;
            let options = ValidatorOptions::new(url.clone(), keypair, catalogue.clone());
            let validator = Validator::new(ValidatorOptions {
                grace: GRACE,
                ..options
            });
            let stop = self.stop_neurons.clone();
            self.neurons.spawn(async move {
                if let Err(error) = validator.run(stop).await {
                    tracing::error!(number, error = %crate::error::Causes(&error), "validator stopped");
                }
            });
        }
        Ok(())
    }

    async fn stop(&mut self) {
        // The neurons first: they need the server to finish or give back what they have in hand.
        self.stop_neurons.cancel();
        self.neurons.close();
        if tokio::time::timeout(Duration::from_secs(15), self.neurons.wait())
            .await
            .is_err()
        {
            tracing::warn!("stopped with neurons at work");
        }
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        if let Some(cluster) = self.cluster.take()
            && let Err(error) = cluster.stop().await
        {
            tracing::warn!(error = %crate::error::Causes(&error), "the database did not stop by itself");
        }
    }
}

/// The server's own hotkey: made on the first start, kept in the state folder like any wallet.
fn server_key(state: &Path) -> Result<Keypair, Failure> {
    let wallet = Wallet::new(Some(&state.join("wallets")), "violet", "server")?;
    if wallet.hotkey_file().exists() {
        return Ok(wallet.keypair()?);
    }
    Ok(wallet.create()?.0)
}
