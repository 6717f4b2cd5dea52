//! What a subnet asks of those who set weights, read from storage at one block, and the chain's checks of it.

use crate::client::Client;
use crate::error::Error;
use crate::mechanisms::index;
use crate::query::{Query, Slot};
use crate::runtime::Runtime;
use crate::snapshot::PALLET;
use crate::timelock::Schedule;
use crate::types::{BlockRef, Hotkey, NetUid, Uid};
use crate::weights::{TIMELOCKED, Weights, WeightsWay};

/// How many hashed commits a hotkey may have to reveal.
const MOST_COMMITS: usize = 10;
const TIMELOCKED_CALL: &str = "commit_timelocked_weights";

/// Hash, epoch and block of a commit, and a number that the chain no longer uses.
pub(crate) type StoredCommit = ([u8; 32], u64, u64, u64);

/// The state that decides whether and how a hotkey may set weights on a mechanism.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Rules {
    pub(crate) netuid: NetUid,
    pub(crate) block: BlockRef,
    /// The block's own time in milliseconds.
    pub(crate) now: u64,
    pub(crate) exists: bool,
    pub(crate) mechanism_exists: bool,
    pub(crate) neurons: u16,
    pub(crate) uid: Option<Uid>,
    pub(crate) is_owner: bool,
    pub(crate) has_permit: bool,
    pub(crate) stake: u64,
    pub(crate) stake_threshold: u64,
    pub(crate) version_key: u64,
    pub(crate) least: u16,
    pub(crate) rate_limit: u64,
    pub(crate) last_update: u64,
    pub(crate) commit_reveal: bool,
    pub(crate) commit_reveal_version: u16,
    pub(crate) has_timelock: bool,
    pub(crate) reveal_period: u64,
    pub(crate) commits: usize,
    pub(crate) schedule: Schedule,
}

impl Rules {
    pub(crate) fn way(&self) -> WeightsWay {
        if !self.commit_reveal {
            WeightsWay::Plain
        } else if self.commit_reveal_version == TIMELOCKED && self.has_timelock {
            WeightsWay::Timelocked
        } else {
            WeightsWay::Hashed
        }
    }

    /// The first block that is late enough after the last weights or commit.
    pub(crate) fn ready_at(&self) -> u64 {
        match self.last_update {
            0 => 0,
            last => last.saturating_add(self.rate_limit),
        }
    }

    /// The chain's checks in its order, those of a reveal included: one that fails then is told to nobody. The error is
    /// the chain's name and what was compared.
    pub(crate) fn check(&self, weights: &Weights) -> Result<(), (&'static str, String)> {
        let no = |name, detail| Err((name, detail));
        let values = weights.values();
        let netuid = self.netuid;
        if netuid.0 == 0 {
            return no("CanNotSetRootNetworkWeights", String::new());
        }
        if !self.exists || !self.mechanism_exists {
            return no("MechanismDoesNotExist", format!("on subnet {netuid}"));
        }
        if values.len() > usize::from(self.neurons) {
            let detail = format!("{} weights, {} neurons", values.len(), self.neurons);
            return no("UidsLengthExceedUidsInSubNet", detail);
        }
        let Some(uid) = self.uid else {
            return no("HotKeyNotRegisteredInSubNet", format!("on subnet {netuid}"));
        };
        if !self.is_owner && self.stake < self.stake_threshold {
            let detail = format!("{} rao of {}", self.stake, self.stake_threshold);
            return no("NotEnoughStakeToSetWeights", detail);
        }
        if weights.version_key() < self.version_key {
            let detail = format!("{}, the subnet's is {}", weights.version_key(), self.version_key);
            return no("IncorrectWeightVersionKey", detail);
        }
        // It is included in the next block at the earliest.
        let next = u64::from(self.block.number) + 1;
        if next < self.ready_at() {
            let name = match self.way() {
                WeightsWay::Plain => "SettingWeightsTooFast",
                WeightsWay::Hashed | WeightsWay::Timelocked => "CommittingWeightsTooFast",
            };
            return no(name, format!("not before block {}", self.ready_at()));
        }
        if self.way() == WeightsWay::Hashed && self.commits >= MOST_COMMITS {
            return no("TooManyUnrevealedCommits", format!("{}", self.commits));
        }
        let only_itself = values.len() == 1 && values[0].0 == uid;
        if !only_itself && !self.is_owner && !self.has_permit {
            return no("NeuronNoValidatorPermit", format!("uid {uid}"));
        }
        if values.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return no("DuplicateUids", String::new());
        }
        if let Some((uid, _)) = values.iter().find(|(uid, _)| uid.0 >= self.neurons) {
            return no("UidVecContainInvalidOne", format!("uid {uid}"));
        }
        let least = self.least.min(self.neurons);
        if !only_itself && values.len() < usize::from(least) {
            return no("WeightVecLengthIsLow", format!("{} of {least}", values.len()));
        }
        Ok(())
    }
}

/// Slots of the question that decides; what a runtime does not have is none.
struct Slots {
    now: Option<Slot<u64>>,
    exists: Slot<bool>,
    mechanisms: Option<Slot<u8>>,
    neurons: Slot<u16>,
    uid: Slot<u16>,
    owner: Slot<[u8; 32]>,
    permits: Slot<Vec<bool>>,
    threshold: Slot<u64>,
    version_key: Slot<u64>,
    least: Slot<u16>,
    rate_limit: Slot<u64>,
    last_update: Slot<Vec<u64>>,
    commit_reveal: Slot<bool>,
    commit_reveal_version: Option<Slot<u16>>,
    reveal_period: Option<Slot<u64>>,
    commits: Option<Slot<Vec<StoredCommit>>>,
    tempo: Slot<u16>,
    epoch: Option<Slot<u64>>,
    last_epoch_block: Option<Slot<u64>>,
    pending_epoch_at: Option<Slot<u64>>,
    blocks_since_last_step: Option<Slot<u64>>,
}

fn ask(
    query: &mut Query<'_>,
    runtime: &Runtime,
    netuid: NetUid,
    index: u16,
    hotkey: &Hotkey,
) -> Result<Slots, Error> {
    fn maybe<T>(
        query: &mut Query<'_>,
        runtime: &Runtime,
        entry: &'static str,
        netuid: NetUid,
    ) -> Result<Option<Slot<T>>, Error> {
        let there = runtime.has_storage(PALLET, entry);
        there.then(|| query.one(PALLET, entry, (netuid.0,))).transpose()
    }
    let has = |entry| runtime.has_storage(PALLET, entry);
    Ok(Slots {
        now: runtime
            .has_storage("Timestamp", "Now")
            .then(|| query.one("Timestamp", "Now", ()))
            .transpose()?,
        exists: query.one(PALLET, "NetworksAdded", (netuid.0,))?,
        mechanisms: maybe(query, runtime, "MechanismCountCurrent", netuid)?,
        neurons: query.one(PALLET, "SubnetworkN", (netuid.0,))?,
        uid: query.one(PALLET, "Uids", (netuid.0, hotkey.0))?,
        owner: query.one(PALLET, "SubnetOwnerHotkey", (netuid.0,))?,
        permits: query.one(PALLET, "ValidatorPermit", (netuid.0,))?,
        threshold: query.one(PALLET, "StakeThreshold", ())?,
        version_key: query.one(PALLET, "WeightsVersionKey", (netuid.0,))?,
        least: query.one(PALLET, "MinAllowedWeights", (netuid.0,))?,
        rate_limit: query.one(PALLET, "WeightsSetRateLimit", (netuid.0,))?,
        last_update: query.one(PALLET, "LastUpdate", (index,))?,
        commit_reveal: query.one(PALLET, "CommitRevealWeightsEnabled", (netuid.0,))?,
        commit_reveal_version: has("CommitRevealWeightsVersion")
            .then(|| query.one(PALLET, "CommitRevealWeightsVersion", ()))
            .transpose()?,
        reveal_period: maybe(query, runtime, "RevealPeriodEpochs", netuid)?,
        commits: has("WeightCommits")
            .then(|| query.one(PALLET, "WeightCommits", (index, hotkey.0)))
            .transpose()?,
        tempo: query.one(PALLET, "Tempo", (netuid.0,))?,
        epoch: maybe(query, runtime, "SubnetEpochIndex", netuid)?,
        last_epoch_block: maybe(query, runtime, "LastEpochBlock", netuid)?,
        pending_epoch_at: maybe(query, runtime, "PendingEpochAt", netuid)?,
        blocks_since_last_step: maybe(query, runtime, "BlocksSinceLastStep", netuid)?,
    })
}

impl Client {
    /// Everything of one block, in one question and those of the stake.
    pub(crate) async fn weight_rules(
        &self,
        netuid: NetUid,
        mechanism: u8,
        hotkey: &Hotkey,
        block: BlockRef,
    ) -> Result<Rules, Error> {
        let runtime = self.runtime(block).await?;
        let stake = self.stake_weights(netuid, block, &[*hotkey]).await?;
        let mut query = Query::new(&runtime);
        let slots = ask(&mut query, &runtime, netuid, index(netuid, mechanism), hotkey)?;
        let answer = query.send(self, block).await?;
        let number = |slot: &Option<Slot<u64>>| slot.as_ref().map_or(Ok(0), |slot| answer.value(slot));
        let uid = answer.option(&slots.uid)?;
        let at = usize::from(uid.unwrap_or(u16::MAX));
        let mechanisms = slots.mechanisms.map_or(Ok(1), |slot| answer.value(&slot))?;
        let commits = slots.commits.map_or(Ok(None), |slot| answer.option(&slot))?;
        Ok(Rules {
            netuid,
            block,
            now: number(&slots.now)?,
            exists: answer.value(&slots.exists)?,
            mechanism_exists: mechanism < mechanisms,
            neurons: answer.value(&slots.neurons)?,
            uid: uid.map(Uid),
            is_owner: answer.value(&slots.owner)? == hotkey.0,
            has_permit: answer.value(&slots.permits)?.get(at).copied().unwrap_or_default(),
            stake: stake.first().map_or(0, |stake| stake.total.0),
            stake_threshold: answer.value(&slots.threshold)?,
            version_key: answer.value(&slots.version_key)?,
            least: answer.value(&slots.least)?,
            rate_limit: answer.value(&slots.rate_limit)?,
            last_update: answer
                .value(&slots.last_update)?
                .get(at)
                .copied()
                .unwrap_or_default(),
            commit_reveal: answer.value(&slots.commit_reveal)?,
            commit_reveal_version: slots
                .commit_reveal_version
                .map_or(Ok(0), |slot| answer.value(&slot))?,
            has_timelock: runtime.has_call(PALLET, TIMELOCKED_CALL),
            reveal_period: slots.reveal_period.map_or(Ok(1), |slot| answer.value(&slot))?,
            commits: commits.map_or(0, |commits| commits.len()),
            schedule: Schedule {
                block: block.number.into(),
                tempo: answer.value(&slots.tempo)?.into(),
                epoch: number(&slots.epoch)?,
                last_epoch_block: number(&slots.last_epoch_block)?,
                pending_epoch_at: number(&slots.pending_epoch_at)?,
                blocks_since_last_step: number(&slots.blocks_since_last_step)?,
            },
        })
    }

    /// How a hotkey's weights are set on a mechanism, when it may set them next, and how many there must be.
    pub async fn weight_terms(
        &self,
        netuid: NetUid,
        mechanism: u8,
        hotkey: &Hotkey,
        block: BlockRef,
    ) -> Result<WeightTerms, Error> {
        let rules = self.weight_rules(netuid, mechanism, hotkey, block).await?;
        Ok(WeightTerms {
            block,
            way: rules.way(),
            tempo: rules.schedule.tempo,
            last_update: rules.last_update,
            ready_at: rules.ready_at(),
            least: rules.least.min(rules.neurons),
            version_key: rules.version_key,
            epoch: rules.schedule.epoch,
        })
    }
}

/// When and how weights may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightTerms {
    /// As of this block.
    pub block: BlockRef,
    /// How.
    pub way: WeightsWay,
    /// Blocks from one epoch to the next.
    pub tempo: u64,
    /// The block of the last weights or commit; 0 if there was none.
    pub last_update: u64,
    /// The first block that is late enough after them.
    pub ready_at: u64,
    /// How many uids the weights must name, those of weight 0 included.
    pub least: u16,
    /// The least version key that the subnet takes.
    pub version_key: u64,
    /// The subnet's epoch.
    pub epoch: u64,
}

/// The hashed commits of a hotkey that wait.
pub(crate) async fn pending(
    client: &Client,
    netuid: NetUid,
    mechanism: u8,
    hotkey: &Hotkey,
    block: BlockRef,
) -> Result<Vec<StoredCommit>, Error> {
    let runtime = client.runtime(block).await?;
    let mut query = Query::new(&runtime);
    let key = (index(netuid, mechanism), hotkey.0);
    let slot = query.one::<Vec<StoredCommit>>(PALLET, "WeightCommits", key)?;
    Ok(query
        .send(client, block)
        .await?
        .option(&slot)?
        .unwrap_or_default())
}
