//! `violet dev`: everything on one machine, real parts only.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use violet_chain::{CryptoType, Keypair, wallet::Wallet};
use violet_devchain::{DevChain, Genesis};
use violet_neurons::{Catalogue, Miner, MinerOptions, Validator, ValidatorOptions, WeightsOptions};

use super::{Failure, chain::dev_chain, demo, load, print, stop_signal};
use crate::{
    config::Config,
    postgres::{PostgresError, PrivateCluster},
    server::{Server, StartError},
};

const MINERS: usize = 4;
const VALIDATORS: usize = 3;
/// Snapshots come more often than on a real chain, whose blocks take twelve times as long.
const SNAPSHOT_INTERVAL: u32 = 5;

/// The subnet of the development network, and after how many blocks weights may be set on it again.
const NETUID: u16 = 1;
const WEIGHTS_INTERVAL: u64 = 20;
/// More than its miners have: its epochs give a permit to whoever has this stake weight, in rao.
const STAKE_THRESHOLD: u64 = 10_000_000_000_000;

/// How long the first heartbeats may take: after that it is up without them.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(20);
/// How long neurons may go on with what they have in hand after Ctrl-C.
const GRACE: Duration = Duration::from_secs(2);

/// Database, chain, server, 4 miners and 3 validators, until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where the database, the files and the server's key are kept.
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
#[derive(Default)]
struct Running {
    chain: Option<DevChain>,
    cluster: Option<PrivateCluster>,
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
        // There is no mail server here, and nobody but who started this reads its log.
        config.mail.log_links = true;
        config.accounts.public_url = format!("http://localhost:{}", config.server.port);
        if config.storage.location().is_empty() {
            config.storage.url = std::path::absolute(self.state.join("files"))?
                .to_string_lossy()
                .into_owned();
        }
        config.routing.snapshot_interval = SNAPSHOT_INTERVAL;

        let mut running = Running::default();
        let started = tokio::select! {
            started = self.start(config, &mut running) => Some(started),
            () = stop.cancelled() => None,
        };
        let ended = match started {
            Some(Ok(())) => self.attend(&mut running, &stop).await,
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        if matches!(&ended, Err(error) if error.is::<PostgresError>()) {
            // Nobody can finish anything without a database.
            let _ = tokio::time::timeout(GRACE, running.stop()).await;
        } else {
            running.stop().await;
        }
        ended.map(|()| ExitCode::SUCCESS)
    }

    async fn start(&self, mut config: Config, running: &mut Running) -> Result<(), Failure> {
        // Both ports before anything is made: one in use should leave no trace. The server's is held until it is taken.
        let held = hold(&config).await?;
        let genesis = Genesis {
            epochs: true,
            stake_threshold: STAKE_THRESHOLD,
            ..Genesis::default()
        };
        let chain = dev_chain(genesis, self.chain_port).await?;
        chain.set_weight_rules(NETUID, false, WEIGHTS_INTERVAL)?;
        config.chain.endpoints = vec![chain.ws_url()];
        running.chain = Some(chain);

        let unusable = |error: Failure| {
            let state = self.state.display();
            format!("the state folder {state} cannot be used: {error}; choose another with --state")
        };
        std::fs::create_dir_all(&self.state).map_err(|error| unusable(error.into()))?;
        let keypair = server_key(&self.state).map_err(unusable)?;
        if config.database.url.is_empty() {
            print(&format!(
                "Starting: PostgreSQL in {}, a chain, the server, {MINERS} miners, {VALIDATORS} validators.",
                self.state.display()
            ));
            let cluster = running.cluster.insert(PrivateCluster::start(&self.state).await?);
            cluster.create_database("violet").await?;
            config.database.url = cluster.url("violet");
        } else {
            print(&format!(
                "Starting: a chain, the server, {MINERS} miners, {VALIDATORS} validators; with {}, as set by \
                 DATABASE_URL or database.url, and no PostgreSQL of its own.",
                database(&config.database.url)
            ));
        }
        drop(held);
        running.server = Some(Server::start(config, keypair).await?);
        running.start_neurons().await?;
        if tokio::time::timeout(HEARTBEAT_PATIENCE, running.miners_are_known())
            .await
            .is_err()
        {
            tracing::warn!(
                "not all miners have sent a heartbeat; `make setup` installs engines that are missing"
            );
        }
        Ok(())
    }

    /// Says that it is up, and stays until it is asked to stop, the demo is over, or the database is gone.
    async fn attend(&self, running: &mut Running, stop: &CancellationToken) -> Result<(), Failure> {
        let (Some(server), Some(chain)) = (&running.server, &running.chain) else {
            return Err("the server does not run".into());
        };
        let url = server.url();
        print(&format!(
            "Violet is up: {url}\n  API     {url}/docs\n  chain   {}\n  hotkey  {} (the server's, which receipts name)",
            chain.ws_url(),
            server.app.hotkey,
        ));
        let attended = tokio::select! {
            ended = self.show(&url, stop) => ended,
            error = running.database_ended() => Err(error.into()),
        };
        print("Stopping.");
        attended
    }

    /// Tells the story if that is wished, and waits for the end.
    async fn show(&self, url: &str, stop: &CancellationToken) -> Result<(), Failure> {
        let mut told = Ok(());
        if self.demo {
            tokio::select! {
                all = demo::run(url) => told = all,
                () = stop.cancelled() => {}
            }
            if self.exit {
                return told;
            }
            if let Err(error) = &told {
                super::print_error(&**error);
            }
        }
        if !stop.is_cancelled() {
            print("Ctrl-C stops it.");
        }
        stop.cancelled().await;
        // It was printed when it was known.
        told.map_err(|_| "the demo failed".into())
    }
}

impl Running {
    /// Comes back when work can be handed in: all miners have said what they do.
    async fn miners_are_known(&self) {
        let known = || match &self.server {
            Some(server) => {
                let miners = server.app.roster.miners();
                miners.values().filter(|miner| miner.available).count()
            }
            None => 0,
        };
        while known() < MINERS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Comes back only when the private cluster ended without being asked.
    async fn database_ended(&mut self) -> PostgresError {
        match &mut self.cluster {
            Some(cluster) => cluster.ended().await,
            None => std::future::pending().await,
        }
    }

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
        let chain = violet_chain::Options {
            endpoints: self.chain.iter().map(DevChain::ws_url).collect(),
            ..violet_chain::Options::default()
        };
        for number in 1..=VALIDATORS {
            let keypair = Keypair::from_uri(&format!("//Validator{number}"), CryptoType::Sr25519)?;
            let options = ValidatorOptions::new(url.clone(), keypair, catalogue.clone());
            let validator = Validator::new(ValidatorOptions {
                grace: GRACE,
                weights: Some(WeightsOptions::new(chain.clone())),
                ..options
            });
            let stop = self.stop_neurons.clone();
            self.neurons.spawn(async move {
                if let Err(error) = Box::pin(validator.run(stop)).await {
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
        if let Some(chain) = self.chain.take() {
            chain.shutdown().await;
        }
    }
}

/// Takes the server's address as the server will.
async fn hold(config: &Config) -> Result<TcpListener, Failure> {
    let address = format!("{}:{}", config.server.host, config.server.port);
    let listener = TcpListener::bind(&address).await;
    Ok(listener.map_err(|source| StartError::Listen {
        address,
        option: "--port",
        source,
    })?)
}

/// Which database an address means, without the password that may be in it.
fn database(url: &str) -> String {
    match url.parse::<PgConnectOptions>() {
        Ok(options) => format!(
            "the database {} on {}",
            options.get_database().unwrap_or(options.get_username()),
            options.get_host()
        ),
        Err(_) => "a database".into(),
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
