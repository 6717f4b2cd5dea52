//! What may be done to a running chain that no extrinsic may: the cheats, as library calls.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sp_core::H256;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::devchain::{Error, Head};
use crate::making::BuildError;
use crate::node::Node;
use crate::rpc::{Gate, Proofs, Refusal};
use crate::runtime::AccountId;
use crate::runtime::cheats::{self, CheatError};
use crate::runtime::fees::{self, Fees};
use crate::runtime::swaps;
use crate::runtime::upgrade::{Extension, Upgrade};
use crate::tree::StoredBlock;

/// The cheats of a running chain.
///
/// Every one that changes state makes a block that holds the change, so it can be read when the method returns.
pub struct Controls {
    pub(crate) node: Arc<Node>,
    pub(crate) gate: Gate,
    pace: watch::Sender<Duration>,
    claimed_genesis: RwLock<Option<H256>>,
    proofs: RwLock<Proofs>,
    errands: Mutex<JoinSet<()>>,
}

impl Controls {
    pub(crate) fn new(node: Node, block_time: Duration) -> Self {
        Self {
            node: Arc::new(node),
            gate: Gate::new(),
            pace: watch::Sender::new(block_time),
            claimed_genesis: RwLock::new(None),
            proofs: RwLock::default(),
            errands: Mutex::new(JoinSet::new()),
        }
    }

    /// The time between blocks, and word of its change.
    pub(crate) fn pace(&self) -> watch::Receiver<Duration> {
        self.pace.subscribe()
    }

    /// What to say the genesis hash is, if not the truth.
    pub(crate) fn claimed_genesis(&self) -> Option<H256> {
        *self
            .claimed_genesis
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How proofs of storage are given.
    pub(crate) fn proofs(&self) -> Proofs {
        *self.proofs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something after a while, unless the chain is gone by then.
    pub(crate) fn later(&self, wait: Duration, act: impl FnOnce() + Send + 'static) {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        while errands.try_join_next().is_some() {}
        errands.spawn(async move {
            tokio::time::sleep(wait).await;
            act();
        });
    }

    /// The hash that names the chain, whatever it claims.
    pub fn genesis_hash(&self) -> [u8; 32] {
        let genesis = self.node.by_number(0);
        genesis.expect("there is always a genesis block").hash.0
    }

    /// The newest block of the best chain.
    pub fn best(&self) -> Head {
        head(&self.node.best())
    }

    /// The newest final block.
    pub fn finalized(&self) -> Head {
        head(&self.node.finalized())
    }

    /// Makes `n` blocks now and gives the newest.
    pub fn advance(&self, n: u32) -> Result<Head, Error> {
        for _ in 0..n {
            self.cheat(|| Ok(()))?;
        }
        Ok(self.best())
    }

    /// Makes a block at this interval from now on; zero makes one only when asked.
    pub fn set_block_time(&self, block_time: Duration) {
        self.pace.send_replace(block_time);
    }

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

    /// Puts another hotkey in the place of one on every subnet. The neurons keep uid, registration and permit.
    pub fn swap_hotkey(&self, old: [u8; 32], new: [u8; 32]) -> Result<(), Error> {
        self.cheat(|| swaps::hotkey(&AccountId::new(old), &AccountId::new(new)))
    }

    /// Gives everything that a coldkey has to another.
    pub fn swap_coldkey(&self, old: [u8; 32], new: [u8; 32]) -> Result<(), Error> {
        self.cheat(|| swaps::coldkey(&AccountId::new(old), &AccountId::new(new)))
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

    /// Lets calls cost nothing, or what the chain charges.
    pub fn set_fees(&self, fees: Fees) -> Result<(), Error> {
        self.cheat(|| {
            fees::set(fees);
            Ok(())
        })
    }

    /// Brings a round of drand's quicknet with its signature, which opens what was encrypted for it.
    pub fn pulse(&self, round: u64, signature: &[u8]) -> Result<(), Error> {
        self.cheat(|| cheats::pulse(round, signature))
    }

    /// Lets a subnet take weights by commits alone, or at once; and how many blocks there must be between two.
    pub fn set_weight_rules(&self, netuid: u16, commit_reveal: bool, rate_limit: u64) -> Result<(), Error> {
        self.cheat(|| cheats::set_weight_rules(netuid, commit_reveal, rate_limit))
    }

    /// Gives a subnet a pool with so many rao of TAO and of its alpha in it, and starts it.
    pub fn set_pool(&self, netuid: u16, tao_rao: u64, alpha_rao: u64) -> Result<(), Error> {
        self.cheat(|| cheats::set_pool(netuid, tao_rao, alpha_rao))
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

    /// Replaces the newest `depth` blocks by `depth + 1` empty others. Transactions of the former wait again.
    ///
    /// What is final stays: stall finality and make blocks before. Gives the new best block.
    pub fn reorganize(&self, depth: u32) -> Result<Head, Error> {
        let outcome = self.node.reorganize(depth).map_err(failed)?;
        outcome.map_err(|open| Error::Final { depth, open })?;
        Ok(self.best())
    }

    /// Makes a block from which on the runtime says it has a higher version, and has not the items named, each as
    /// `Pallet.StorageItem`, `Pallet.Constant`, `RuntimeApi` or `RuntimeApi.method`. Gives that block.
    ///
    /// Earlier blocks are answered for with what they had. An item withheld before is back unless named again.
    pub fn upgrade_runtime(
        &self,
        spec_version: u32,
        withheld: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Head, Error> {
        self.upgrade(&Upgrade {
            spec_version,
            withheld: withheld.into_iter().map(Into::into).collect::<BTreeSet<_>>(),
            extension: None,
        })
    }

    /// Makes a block from which on the runtime says it has a higher version, and one extension of extrinsics more.
    /// What was withheld is back. Gives that block.
    pub fn add_extension(&self, spec_version: u32, extension: Extension) -> Result<Head, Error> {
        self.upgrade(&Upgrade {
            spec_version,
            withheld: BTreeSet::new(),
            extension: Some(extension),
        })
    }

    fn upgrade(&self, upgrade: &Upgrade) -> Result<Head, Error> {
        self.node.upgrade(upgrade).map_err(failed)??;
        Ok(self.best())
    }

    /// Lets the runtime's answers about a subnet say more than is stored: so many rao of alpha on a uid. Epochs and
    /// checks go by what is stored. 0 is honest again.
    pub fn misstate_stake(&self, netuid: u16, uid: u16, rao: u64) -> Result<(), Error> {
        self.cheat(|| cheats::misstate_stake(netuid, uid, rao))
    }

    /// Keeps the states of so many blocks behind the finalized one, from now on; 256 unless set.
    pub fn prune_states(&self, kept: u32) {
        self.node.keep_states(kept);
    }

    /// Remembers the chain as it is, what waits for a block included, and gives a number to revert by.
    ///
    /// Its states are kept until it is reverted to, so a chain that is never grows.
    pub fn snapshot(&self) -> u64 {
        self.node.snapshot()
    }

    /// Makes the chain what it was, finality included: clients see it go back. Snapshots taken since are
    /// forgotten, and this one. Gives the best block.
    pub fn revert(&self, snapshot: u64) -> Result<Head, Error> {
        if !self.node.revert(snapshot) {
            return Err(Error::UnknownSnapshot(snapshot));
        }
        Ok(self.best())
    }

    /// Gives another hash than the true one for block 0; `None` is honest again.
    pub fn claim_genesis(&self, hash: Option<[u8; 32]>) {
        let mut claimed = self
            .claimed_genesis
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *claimed = hash.map(H256);
    }

    /// Gives proofs of storage in this way from now on.
    pub fn give_proofs(&self, proofs: Proofs) {
        *self.proofs.write().unwrap_or_else(PoisonError::into_inner) = proofs;
    }

    /// Writes the best chain and its newest state to a file that [`Options::saved`](crate::Options::saved) takes.
    pub fn save(&self, file: &Path) -> Result<(), Error> {
        Ok(self.node.save(file)?)
    }

    /// Closes every connection; clients may connect again.
    pub fn drop_connections(&self) {
        self.gate.cut();
    }

    /// While refusing, closes every connection and lets no new one in.
    pub fn refuse(&self, refusing: bool) {
        self.refuse_with(refusing.then_some(Refusal::Close));
    }

    /// Refuses in this way until told `None`. Closes every connection, so that open ones are refused too.
    pub fn refuse_with(&self, refusal: Option<Refusal>) {
        self.gate.refuse(refusal);
        self.gate.cut();
    }

    fn cheat<R>(&self, change: impl FnOnce() -> Result<R, CheatError>) -> Result<R, Error> {
        self.node.build(change).map_err(failed)
    }
}

fn failed(error: BuildError) -> Error {
    match error {
        BuildError::Cheat(error) => Error::Cheat(error),
        BuildError::Store(error) => Error::Block(error.to_string()),
    }
}

fn head(block: &StoredBlock) -> Head {
    Head {
        number: block.number(),
        hash: block.hash.0,
    }
}
