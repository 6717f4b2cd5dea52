//! `violet chain`: looks at a node, runs a local chain, or writes to one.
#[cfg(feature = "dev-chain")]
use std::time::Duration;
use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use violet_chain::{
    BlockRef, Client, Hyperparameters, Mechanism, Mismatch, NetUid, Options, Snapshot,
    surface::{Surface, Way},
};

use crate::config::Config;

#[cfg(feature = "dev-chain")]
use super::stop_signal;
use super::{Failure, chain_writing, print, prove::Prove};
#[cfg(feature = "dev-chain")]
use crate::server::StartError;

#[derive(Debug, Subcommand)]
pub(crate) enum Chain {
    /// Run a local chain.
    #[cfg(feature = "dev-chain")]
    Dev(Dev),
    /// Print the metagraph of a subnet.
    Metagraph(Metagraph),
    /// Print the hyperparameters of a subnet.
    Hyperparameters(Hyper),
    /// Check every chain item that is read against a node or a metadata file.
    Doctor(Doctor),
    /// Save a node's metadata.
    Metadata(Metadata),
    /// Save a proof of the stakes of a subnet, which `violet audit` checks without a node.
    Prove(Prove),
    /// Print the weights that validators have set.
    Weights(chain_writing::ShowWeights),
    /// Set the weights of a hotkey.
    SetWeights(chain_writing::SetWeights),
    /// Say where a hotkey serves.
    ServeAxon(chain_writing::ServeAxon),
    /// Publish some bytes of a hotkey.
    Commit(chain_writing::Commit),
}

impl Chain {
    /// Whether it runs until it is stopped.
    pub(super) fn runs_on(&self) -> bool {
        #[cfg(feature = "dev-chain")]
        if let Self::Dev(_) = self {
            return true;
        }
        false
    }
}

/// What is read: a subnet in the state of a final block.
#[derive(Debug, Args)]
pub(super) struct Place {
    #[command(flatten)]
    endpoint: Endpoint,
    /// The subnet.
    #[arg(long, default_value_t = 1)]
    netuid: u16,
    /// Number of a final block, the newest by default. Nodes discard states after some hundred blocks; archive nodes
    /// have them all.
    #[arg(long, value_name = "NUMBER")]
    block: Option<u32>,
}

impl Place {
    /// Connects to the node and finds the block.
    pub(super) async fn open(&self, config: Option<&Path>) -> Result<(Client, NetUid, BlockRef), Failure> {
        let client = self.endpoint.connect(config).await?;
        let block = match self.block {
            None => client.finalized().await?,
            Some(number) => {
                let block = client.block_at(number).await?;
                block.ok_or_else(|| format!("block {number} is not final yet"))?
            }
        };
        Ok((client, NetUid(self.netuid), block))
    }
}

#[derive(Debug, Args)]
pub(super) struct Endpoint {
    /// WebSocket address of a node; those of the settings by default (`chain.endpoints`).
    #[arg(long = "subtensor.chain_endpoint", visible_alias = "url", alias = "endpoint")]
    endpoint: Option<String>,
}

impl Endpoint {
    pub(super) async fn connect(&self, config: Option<&Path>) -> Result<Client, Failure> {
        Ok(Client::with(self.options(config)?).await?)
    }

    /// A node that is named here may be of any chain; those of the settings are of the chain that the settings name.
    pub(super) fn options(&self, config: Option<&Path>) -> Result<Options, Failure> {
        Ok(match &self.endpoint {
            Some(endpoint) => Options {
                endpoints: vec![endpoint.clone()],
                ..Options::default()
            },
            None => Config::load(config)?.chain_options(),
        })
    }
}

impl Chain {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        match self {
            #[cfg(feature = "dev-chain")]
            Self::Dev(dev) => dev.run().await,
            Self::Metagraph(metagraph) => metagraph.run(config).await,
            Self::Hyperparameters(hyper) => hyper.run(config).await,
            Self::Doctor(doctor) => doctor.run(config).await,
            Self::Metadata(metadata) => metadata.run(config).await,
            Self::Prove(prove) => prove.run(config).await,
            Self::Weights(weights) => weights.run(config).await,
            Self::SetWeights(weights) => weights.run(config).await,
            Self::ServeAxon(axon) => axon.run(config).await,
            Self::Commit(commit) => commit.run(config).await,
        }
    }
}

/// A local chain: blocks each second, gone when it stops unless a state file is named.
#[cfg(feature = "dev-chain")]
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where to listen.
    #[arg(long, default_value_t = 9944)]
    chain_port: u16,
    /// A genesis file; a subnet with 4 miners and 3 validators by default.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// Milliseconds between blocks, instead of the genesis'; 0 makes blocks only when asked (`dev_advance`).
    #[arg(long, value_name = "MS")]
    block_time: Option<u64>,
    /// The same calls make the same blocks: time goes by the count of blocks instead of the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes on from this file if it exists, and saves the chain to it when it stops.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Begins where a saved chain stopped; the file is only read.
    #[arg(long, value_name = "FILE", conflicts_with = "genesis")]
    fork_from: Option<PathBuf>,
}

#[cfg(feature = "dev-chain")]
impl Dev {
    async fn run(self) -> Result<ExitCode, Failure> {
        let genesis = match &self.genesis {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("{}: {error}", file.display()))?
                .parse()?,
            None => violet_devchain::Genesis::default(),
        };
        let resumed = self.state.clone().filter(|file| file.exists());
        let options = violet_devchain::Options {
            port: self.chain_port,
            block_time: self.block_time.map(Duration::from_millis),
            seed: self.seed,
            saved: resumed.or(self.fork_from),
        };
        let stop = stop_signal()?;
        let chain = dev_chain_with(genesis, options).await?;
        print(&format!(
            "{} genesis 0x{}",
            chain.ws_url(),
            hex::encode(chain.genesis_hash())
        ));
        stop.cancelled().await;
        if let Some(file) = &self.state {
            // No block after the last that is saved.
            chain.set_block_time(Duration::ZERO);
            chain.save(file)?;
        }
        chain.shutdown().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts a local chain on this port; the refusal of one in use reads like that of the server's.
#[cfg(feature = "dev-chain")]
pub(super) async fn dev_chain(
    genesis: violet_devchain::Genesis,
    port: u16,
) -> Result<violet_devchain::DevChain, Failure> {
    let options = violet_devchain::Options {
        port,
        ..Default::default()
    };
    dev_chain_with(genesis, options).await
}

#[cfg(feature = "dev-chain")]
async fn dev_chain_with(
    genesis: violet_devchain::Genesis,
    options: violet_devchain::Options,
) -> Result<violet_devchain::DevChain, Failure> {
    match violet_devchain::spawn(genesis, options).await {
        Err(violet_devchain::Error::Listen { address, source }) => Err(StartError::Listen {
            address: address.to_string(),
            option: "--chain-port",
            source,
        }
        .into()),
        spawned => Ok(spawned?),
    }
}

/// Prints a metagraph.
#[derive(Debug, Args)]
pub(crate) struct Metagraph {
    #[command(flatten)]
    place: Place,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Incentive and last update of this mechanism, where the subnet has several.
    #[arg(long, value_name = "NUMBER")]
    mechanism: Option<u8>,
    /// Recompute every stake from storage (alpha, root, parents, children) and compare; fails when one differs.
    #[arg(long)]
    verify: bool,
}

/// One mechanism of a subnet, which must have it.
pub(super) async fn mechanism(
    client: &Client,
    netuid: NetUid,
    id: u8,
    head: BlockRef,
) -> Result<Mechanism, Failure> {
    let mechanisms = client.mechanisms(netuid, head).await?;
    let found = mechanisms.into_iter().find(|mechanism| mechanism.id == id);
    Ok(found.ok_or_else(|| format!("subnet {netuid} has no mechanism {id} at block {}", head.number))?)
}

impl Metagraph {
    async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (client, netuid, head) = self.place.open(config).await?;
        let (mut snapshot, way) = client.snapshot_and_way(netuid, head).await?;
        if let Some(id) = self.mechanism {
            let mechanism = mechanism(&client, netuid, id, head).await?;
            for neuron in &mut snapshot.neurons {
                let uid = usize::from(neuron.uid.0);
                neuron.incentive = mechanism.incentives.get(uid).copied().unwrap_or_default();
                neuron.last_update = mechanism.last_update.get(uid).copied().unwrap_or_default();
            }
        }
        print(&if self.json {
            serde_json::to_string_pretty(&snapshot)?
        } else {
            table(&snapshot)
        });
        if !self.verify {
            return Ok(ExitCode::SUCCESS);
        }
        if !way.has_the_chains_stake() {
            say(&no_stake_to_verify(way));
            return Ok(ExitCode::FAILURE);
        }
        let wrong = client.verify_stake(&snapshot).await?;
        say(&verdict(&snapshot, &wrong));
        Ok(if wrong.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// To standard error, so that what was printed stays readable by a program.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn no_stake_to_verify(way: Way) -> String {
    format!(
        "the metagraph was read by {way}: its stake is computed from storage already, there is no other to compare"
    )
}

/// What a comparison of stakes came to.
fn verdict(snapshot: &Snapshot, wrong: &[Mismatch]) -> String {
    if wrong.is_empty() {
        return format!(
            "the stake of all {} neurons is what storage says",
            snapshot.neurons.len()
        );
    }
    let mut text = format!(
        "the stake of {} of {} neurons is not what storage says",
        wrong.len(),
        snapshot.neurons.len()
    );
    for Mismatch {
        uid, given, computed, ..
    } in wrong
    {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nuid {}: {} rao given, {} computed (alpha {} and {}, root {} and {})",
            uid.0,
            given.total.0,
            computed.total.0,
            given.alpha.0,
            computed.alpha.0,
            given.tao.0,
            computed.tao.0
        );
    }
    text
}

/// Prints hyperparameters.
#[derive(Debug, Args)]
pub(crate) struct Hyper {
    #[command(flatten)]
    place: Place,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Hyper {
    async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (client, netuid, head) = self.place.open(config).await?;
        let read = client.hyperparameters(netuid, head).await?;
        print(&if self.json {
            serde_json::to_string_pretty(&read)?
        } else {
            listing(&read)
        });
        Ok(ExitCode::SUCCESS)
    }
}

fn listing(read: &Hyperparameters) -> String {
    let mut text = format!(
        "subnet {} at block {} ({}), version {}",
        read.netuid, read.block.number, read.block.hash, read.version
    );
    for (name, value) in &read.values {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name:<32}  {value}");
    }
    text
}

fn table(snapshot: &Snapshot) -> String {
    let mut text = format!(
        "subnet {} at block {} ({})\n{:>5}  {:<48}  {:>20}  {:>6}  {:>9}  {:>9}",
        snapshot.netuid,
        snapshot.block.number,
        snapshot.block.hash,
        "uid",
        "hotkey",
        "stake (rao)",
        "permit",
        "incentive",
        "dividends"
    );
    for neuron in &snapshot.neurons {
        let permit = if neuron.validator_permit { "yes" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:>5}  {:<48}  {:>20}  {permit:>6}  {:>9}  {:>9}",
            neuron.uid.0, neuron.hotkey, neuron.stake.0, neuron.incentive, neuron.dividends
        );
    }
    text
}

/// Checks a node or a metadata file.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    endpoint: Endpoint,
    /// A metadata file (SCALE, version 14, 15 or 16) instead of a node.
    #[arg(long, alias = "file", value_name = "FILE", conflicts_with = "endpoint")]
    metadata: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let surface = Surface::bundled();
        let report = if let Some(file) = &self.metadata {
            let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            surface.check_metadata(&bytes)?
        } else {
            let client = self.endpoint.connect(config).await?;
            let head = client.finalized().await?;
            surface.check(&client, head).await?
        };
        print(&if self.json {
            serde_json::to_string_pretty(&report)?
        } else {
            report.to_string()
        });
        Ok(if report.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Saves metadata.
#[derive(Debug, Args)]
pub(crate) struct Metadata {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Where to write it.
    #[arg(long, default_value = "metadata.scale")]
    output: PathBuf,
}

impl Metadata {
    async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let client = self.endpoint.connect(config).await?;
        let bytes = client.metadata(client.finalized().await?).await?;
        std::fs::write(&self.output, &bytes)
            .map_err(|error| format!("{}: {error}", self.output.display()))?;
        print(&format!("{} bytes in {}", bytes.len(), self.output.display()));
        Ok(ExitCode::SUCCESS)
    }
}
