//! A running chain as its user holds it: where it listens, how far it is, and the cheats.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sp_runtime::traits::Header as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::genesis::{Genesis, GenesisError};
use crate::node::{BuildError, Node, StoredBlock};
use crate::rpc::{self, Gate};
use crate::runtime::AccountId;
use crate::runtime::cheats::{self, CheatError};

/// How a chain is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Instead of the genesis' `block_time_ms`; zero makes a block only when asked.
    pub block_time: Option<Duration>,
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
    /// The cheat names something that is not there.
    #[error(transparent)]
    Cheat(#[from] CheatError),
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

/// A running chain. Dropping it stops it.
pub struct DevChain {
    node: Arc<Node>,
    gate: Arc<Gate>,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

/// Starts a fresh chain from the genesis; it listens when this returns.
pub async fn spawn(genesis: Genesis, options: Options) -> Result<DevChain, Error> {
    genesis.check()?;
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let failed = |source| Error::Listen {
        address: wanted,
        source,
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;

    let node = Arc::new(Node::new(&genesis));
    let gate = Arc::new(Gate::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(rpc::serve(
        listener,
        rpc::module(Arc::clone(&node)).into(),
        Arc::clone(&gate),
    ));
    let block_time = options
        .block_time
        .unwrap_or(Duration::from_millis(genesis.block_time_ms));
    if !block_time.is_zero() {
        tasks.spawn(produce(Arc::clone(&node), block_time));
    }
    tracing::info!(%address, block_time_ms = block_time.as_millis(), "the dev chain is running");
    Ok(DevChain {
        node,
        gate,
        address,
        tasks,
    })
}

async fn produce(node: Arc<Node>, block_time: Duration) {
    let mut ticks = tokio::time::interval(block_time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick is at once; genesis is the block of that moment.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = node.build(|| Ok(())) {
            tracing::error!(%error, "could not make a block");
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

    /// The hash that names the chain.
    pub fn genesis_hash(&self) -> [u8; 32] {
        self.node
            .by_number(0)
            .expect("there is always a genesis block")
            .hash
            .0
    }

    /// The newest block.
    pub fn best(&self) -> Head {
        head(&self.node.best())
    }

    /// The newest final block.
    pub fn finalized(&self) -> Head {
        head(&self.node.finalized())
    }

    /// Stops listening and making blocks, and waits for both.
    pub async fn shutdown(mut self) {
        self.gate.cut();
        self.tasks.shutdown().await;
    }

    /// Makes `n` blocks now and gives the newest.
    pub fn advance(&self, n: u32) -> Result<Head, Error> {
        for _ in 0..n {
            self.cheat(|| Ok(()))?;
        }
        Ok(self.best())
    }

    // Every cheat below makes a block that holds the change, so it can be read when the method returns.

    /// Sets what is staked on a hotkey, registered or not, in rao of alpha and of root TAO.
    pub fn set_stake(
        &self,
        netuid: u16,
        hotkey: [u8; 32],
        alpha_rao: u64,
        root_rao: u64,
    ) -> Result<(), Error> {
        self.cheat(|| cheats::set_stake(netuid, &AccountId::new(hotkey), alpha_rao, root_rao))
    }

    /// Gives a uid a validator permit or takes it.
    pub fn set_permit(&self, netuid: u16, uid: u16, permit: bool) -> Result<(), Error> {
        self.cheat(|| cheats::set_permit(netuid, uid, permit))
    }

    /// Registers a hotkey on a subnet with room and gives its uid.
    pub fn register(&self, netuid: u16, hotkey: [u8; 32], coldkey: [u8; 32]) -> Result<u16, Error> {
        self.cheat(|| cheats::register(netuid, &AccountId::new(hotkey), &AccountId::new(coldkey)))
    }

    /// Gives a taken uid to another hotkey, which is how a neuron is deregistered.
    pub fn replace(&self, netuid: u16, uid: u16, hotkey: [u8; 32], coldkey: [u8; 32]) -> Result<(), Error> {
        self.cheat(|| cheats::replace(netuid, uid, &AccountId::new(hotkey), &AccountId::new(coldkey)))
    }

    /// Sets the stake weight in rao below which a validator does not count.
    pub fn set_stake_threshold(&self, rao: u64) -> Result<(), Error> {
        self.cheat(|| {
            cheats::set_stake_threshold(rao);
            Ok(())
        })
    }

    /// Sets the weights of a uid on a mechanism as the chain would store them, with none of its checks.
    pub fn set_weights(
        &self,
        netuid: u16,
        mechanism: u8,
        uid: u16,
        weights: &[(u16, u16)],
    ) -> Result<(), Error> {
        self.cheat(|| cheats::set_weights(netuid, mechanism, uid, weights))
    }

    /// Runs an epoch of a subnet, due or not.
    pub fn run_epoch(&self, netuid: u16) -> Result<(), Error> {
        self.cheat(|| cheats::run_epoch(netuid))
    }

    /// Lets epochs run by themselves, each when it is due, or not.
    pub fn set_epochs(&self, enabled: bool) -> Result<(), Error> {
        self.cheat(|| {
            cheats::set_epochs(enabled);
            Ok(())
        })
    }

    /// Writes any value of the state, or takes it away.
    pub fn set_storage(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        self.cheat(|| {
            cheats::set_storage(key, value);
            Ok(())
        })
    }

    /// Sets where a registered hotkey serves, the loopback address allowed; `None` takes its axon away.
    pub fn set_axon(&self, netuid: u16, hotkey: [u8; 32], at: Option<SocketAddr>) -> Result<(), Error> {
        self.cheat(|| cheats::set_axon(netuid, &AccountId::new(hotkey), at))
    }

    /// While stalled, blocks go on but none becomes final. Afterwards the best one does at once, and clients
    /// that follow final heads are told of it alone.
    pub fn stall_finality(&self, stalled: bool) {
        self.node.stall_finality(stalled);
    }

    /// Closes every connection; clients may connect again.
    pub fn drop_connections(&self) {
        self.gate.cut();
    }

    /// While refusing, closes every connection and lets no new one in.
    pub fn refuse(&self, refusing: bool) {
        self.gate.refuse(refusing);
        if refusing {
            self.gate.cut();
        }
    }

    fn cheat<R>(&self, change: impl FnOnce() -> Result<R, CheatError>) -> Result<R, Error> {
        self.node.build(change).map_err(|error| match error {
            BuildError::Cheat(error) => Error::Cheat(error),
            BuildError::Store(error) => Error::Block(error.to_string()),
        })
    }
}

fn head(block: &StoredBlock) -> Head {
    Head {
        number: *block.header.number(),
        hash: block.hash.0,
    }
}
