//! A running chain as its user holds it: where it listens, and that it stops.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::controls::Controls;
use crate::genesis::{Genesis, GenesisError};
use crate::node::{Node, UpgradeError};
use crate::rpc;
use crate::runtime::cheats::CheatError;
use crate::saved::SavedError;

/// How a chain is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Instead of the genesis' `block_time_ms`; zero makes a block only when asked.
    pub block_time: Option<Duration>,
    /// Time goes by the count of blocks instead of the clock, and the genesis hash depends on this, so the same
    /// calls make the same blocks.
    pub seed: Option<u64>,
    /// Goes on where this saved chain stopped, instead of from the genesis. The file is only read.
    pub saved: Option<PathBuf>,
}

/// Why a chain did not start or a cheat did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The genesis names something that cannot be.
    #[error("the genesis was refused")]
    Genesis(#[from] GenesisError),
    /// The port is taken, or there are no sockets left.
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// The chain could not be saved, or a saved one not be loaded.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The cheat names something that is not there.
    #[error(transparent)]
    Cheat(#[from] CheatError),
    /// The runtime cannot become that.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// Final blocks cannot be replaced.
    #[error("{depth} blocks cannot be replaced: {open} are not final")]
    Final { depth: u32, open: u32 },
    /// It was never taken, or was forgotten by a revert.
    #[error("there is no snapshot {0}")]
    UnknownSnapshot(u64),
    /// A block could not be stored; the chain is where it was.
    #[error("could not make a block: {0}")]
    Block(String),
}

/// A block's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub number: u32,
    pub hash: [u8; 32],
}

/// A running chain with its [`Controls`]. Dropping it stops it.
pub struct DevChain {
    controls: Arc<Controls>,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

/// Starts a chain from the genesis, or a saved one; it listens when this returns.
pub async fn spawn(genesis: Genesis, options: Options) -> Result<DevChain, Error> {
    genesis.check()?;
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let failed = |source| Error::Listen {
        address: wanted,
        source,
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;

    let block_time = options
        .block_time
        .unwrap_or(Duration::from_millis(genesis.block_time_ms));
    let node = match &options.saved {
        Some(file) => Node::load(file, options.seed)?,
        None => Node::new(&genesis, options.seed),
    };
    let controls = Arc::new(Controls::new(node, block_time));
    let mut tasks = JoinSet::new();
    tasks.spawn(rpc::serve(
        listener,
        rpc::module(&controls).into(),
        Arc::clone(&controls),
    ));
    tasks.spawn(produce(Arc::clone(&controls), controls.pace()));
    tracing::info!(%address, block_time_ms = block_time.as_millis(), "the dev chain is running");
    Ok(DevChain {
        controls,
        address,
        tasks,
    })
}

/// Makes blocks at the pace set, for ever.
async fn produce(controls: Arc<Controls>, mut pace: watch::Receiver<Duration>) {
    loop {
        let block_time = *pace.borrow_and_update();
        let changed = async |pace: &mut watch::Receiver<Duration>| {
            // The sender is held by the controls, and those by this task.
            let _ = pace.changed().await;
        };
        if block_time.is_zero() {
            changed(&mut pace).await;
            continue;
        }
        let mut ticks = tokio::time::interval(block_time);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick is at once; the newest block is that of this moment.
        ticks.tick().await;
        loop {
            tokio::select! {
                () = changed(&mut pace) => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = controls.node.build(|| Ok(())) {
                tracing::error!(%error, "could not make a block");
            }
        }
    }
}

impl DevChain {
    /// Where it listens, as `ws://127.0.0.1:port`. HTTP is served on the same port.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and making blocks, and waits for both.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        // An open connection holds the methods, and those the controls, so it would not end by itself.
        self.controls.gate.cut();
    }
}

impl Deref for DevChain {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}
