//! Setting weights in the way that the subnet asks for: plainly, by the hash of a commit and its reveal, or encrypted
//! until a time (timelocked, version 4). What the chain would refuse is refused here first, by the chain's own name of
//! the error, in the order in which it checks.

use codec::Encode as _;
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use subxt::ext::scale_value::Value;

use crate::client::Client;
use crate::error::Error;
use crate::extrinsic::{Call, numbers};
use crate::keys::Keypair;
use crate::mechanisms::index;
use crate::query::Query;
use crate::rules::{Rules, pending};
use crate::snapshot::PALLET;
use crate::submit::WriteError;
use crate::timelock;
use crate::types::{BlockRef, Hotkey, NetUid, Uid};

/// The version of commit-reveal that is timelocked.
pub(crate) const TIMELOCKED: u16 = 4;
/// Numbers of the salt of a hashed commit, as the SDKs take them.
const SALT: usize = 8;
/// The longest commit that the chain stores (`MAX_CRV3_COMMIT_SIZE_BYTES`).
const LONGEST_COMMIT: usize = 5_000;
/// What a block takes where the runtime does not say, in milliseconds.
const BLOCK_TIME: u64 = 12_000;

/// Weights of one mechanism of a subnet, each a part of 65535 of the greatest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    netuid: NetUid,
    mechanism: u8,
    values: Vec<(Uid, u16)>,
    version_key: u64,
    round: Option<u64>,
}

impl Weights {
    /// From scores of any scale: the greatest becomes 65535, the others their part of it, rounded to the nearest. What
    /// is not above zero gets no weight.
    pub fn from_scores(netuid: NetUid, scores: impl IntoIterator<Item = (Uid, f64)>) -> Self {
        let scores: Vec<(Uid, f64)> = scores
            .into_iter()
            .filter(|(_, score)| score.is_finite() && *score > 0.0)
            .collect();
        let greatest = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
        let mut values: Vec<(Uid, u16)> = scores
            .into_iter()
            .map(|(uid, score)| (uid, part(score / greatest)))
            .filter(|(_, value)| *value > 0)
            .collect();
        values.sort_unstable();
        Self {
            netuid,
            mechanism: 0,
            values,
            version_key: 0,
            round: None,
        }
    }

    /// On another mechanism than the first.
    #[must_use]
    pub fn on_mechanism(mut self, mechanism: u8) -> Self {
        self.mechanism = mechanism;
        self
    }

    /// With the version key of the subnet's validator software, 0 unless set.
    #[must_use]
    pub fn with_version_key(mut self, version_key: u64) -> Self {
        self.version_key = version_key;
        self
    }

    /// With uids of weight 0 until there are as many as this, for a subnet that asks for so many. They count as if they
    /// were not there.
    #[must_use]
    pub fn filled(mut self, least: usize, uids: impl IntoIterator<Item = Uid>) -> Self {
        for uid in uids {
            if self.values.len() >= least {
                break;
            }
            if self.values.iter().all(|(listed, _)| *listed != uid) {
                self.values.push((uid, 0));
            }
        }
        self.values.sort_unstable();
        self
    }

    /// Where they are timelocked: opened with the signature of this round of drand's quicknet, instead of the one that
    /// is due when the chain opens them.
    #[must_use]
    pub fn opened_with_round(mut self, round: u64) -> Self {
        self.round = Some(round);
        self
    }

    /// By uid.
    pub fn values(&self) -> &[(Uid, u16)] {
        &self.values
    }

    pub(crate) fn version_key(&self) -> u64 {
        self.version_key
    }

    fn uids(&self) -> Value {
        numbers(self.values.iter().map(|(uid, _)| uid.0))
    }

    fn numbers(&self) -> Value {
        numbers(self.values.iter().map(|(_, value)| *value))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of 1 times 65535 is a u16"
)]
fn part(of_greatest: f64) -> u16 {
    (of_greatest * f64::from(u16::MAX)).round() as u16
}

/// How weights are set on a subnet, by the chain's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsWay {
    /// At once.
    Plain,
    /// By a hash, revealed by who committed some epochs later.
    Hashed,
    /// Encrypted, opened by the chain some epochs later.
    Timelocked,
}

/// What was written, and read back from the final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsSet {
    /// They are the chain's weights now.
    Plain {
        /// The block that holds them.
        block: BlockRef,
    },
    /// Their hash is committed; [`Client::reveal_weights`] makes them count.
    Hashed(Commit),
    /// They are committed encrypted, and the chain opens them by itself.
    Timelocked {
        /// The block that holds them.
        block: BlockRef,
        /// The subnet's epoch of the commit.
        epoch: u64,
        /// The round of drand's quicknet whose signature opens them.
        round: u64,
    },
}

/// A hashed commit, with what is needed to reveal it. Nothing else remembers that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    netuid: NetUid,
    mechanism: u8,
    values: Vec<(Uid, u16)>,
    salt: Vec<u16>,
    version_key: u64,
    /// The block that holds it.
    pub block: BlockRef,
    /// The subnet's epoch of the commit.
    pub epoch: u64,
    /// The epoch in which it can be revealed, and in no other.
    pub reveal_epoch: u64,
}

impl Client {
    /// Sets the weights of the hotkey in the way that the subnet asks for, waits until they are final, and reads them
    /// back. Checks first what the chain would: [`WriteError::Refused`] has the chain's name of the error.
    pub async fn set_weights(&self, keypair: &Keypair, weights: &Weights) -> Result<WeightsSet, WriteError> {
        let block = self.finalized().await?;
        let hotkey = keypair.hotkey();
        let rules = self
            .weight_rules(weights.netuid, weights.mechanism, &hotkey, block)
            .await?;
        rules.check(weights).map_err(|(name, detail)| {
            let call = match rules.way() {
                WeightsWay::Plain => "set_weights",
                WeightsWay::Hashed => "commit_weights",
                WeightsWay::Timelocked => "commit_timelocked_weights",
            };
            WriteError::foretold(PALLET, call, name, detail)
        })?;
        match rules.way() {
            WeightsWay::Plain => self.set_plain(keypair, weights).await,
            WeightsWay::Hashed => self.commit_hash(keypair, weights, &rules).await,
            WeightsWay::Timelocked => self.commit_timelocked(keypair, weights, &rules).await,
        }
    }

    async fn set_plain(&self, keypair: &Keypair, weights: &Weights) -> Result<WeightsSet, WriteError> {
        let call = on_mechanism(
            ["set_weights", "set_mechanism_weights"],
            weights.netuid,
            weights.mechanism,
            [
                ("dests", weights.uids()),
                ("weights", weights.numbers()),
                ("version_key", Value::u128(weights.version_key.into())),
            ],
        );
        let block = self.submit(keypair, &call).await?.block;
        self.ensure_set(
            &call,
            keypair,
            (weights.netuid, weights.mechanism),
            &weights.values,
            block,
        )
        .await?;
        Ok(WeightsSet::Plain { block })
    }

    async fn commit_hash(
        &self,
        keypair: &Keypair,
        weights: &Weights,
        rules: &Rules,
    ) -> Result<WeightsSet, WriteError> {
        let hotkey = keypair.hotkey();
        let (netuid, mechanism) = (weights.netuid, weights.mechanism);
        let mut commit = Commit {
            netuid,
            mechanism,
            values: weights.values.clone(),
            salt: (0..SALT).map(|_| salt()).collect(),
            version_key: weights.version_key,
            block: rules.block,
            epoch: 0,
            reveal_epoch: 0,
        };
        let hash = commit.hash(&hotkey);
        let call = on_mechanism(
            ["commit_weights", "commit_mechanism_weights"],
            netuid,
            mechanism,
            [("commit_hash", Value::from_bytes(hash))],
        );
        let block = self.submit(keypair, &call).await?.block;
        let commits = pending(self, netuid, mechanism, &hotkey, block).await?;
        let stored = commits.into_iter().find(|stored| stored.0 == hash);
        let (_, epoch, ..) = stored.ok_or_else(|| read_back(&call, block))?;
        commit.block = block;
        commit.epoch = epoch;
        commit.reveal_epoch = epoch + rules.reveal_period;
        Ok(WeightsSet::Hashed(commit))
    }

    async fn commit_timelocked(
        &self,
        keypair: &Keypair,
        weights: &Weights,
        rules: &Rules,
    ) -> Result<WeightsSet, WriteError> {
        type Stored = Vec<([u8; 32], u64, Vec<u8>, u64)>;
        let hotkey = keypair.hotkey();
        let (netuid, mechanism) = (weights.netuid, weights.mechanism);
        let runtime = self.runtime(rules.block).await?;
        let block_time = runtime
            .constant::<u64>("Aura", "SlotDuration")
            .unwrap_or(BLOCK_TIME);
        let due = || rules.schedule.round(rules.reveal_period, rules.now, block_time);
        let round = weights.round.or_else(due).ok_or(WriteError::Unfit(
            "the subnet has no epochs, so timelocked weights are never opened",
        ))?;
        let sealed = timelock::seal_weights(round, &hotkey, &weights.values, weights.version_key)?;
        if sealed.len() > LONGEST_COMMIT {
            return Err(WriteError::Unfit(
                "the encrypted weights are longer than a commit may be",
            ));
        }
        let call = on_mechanism(
            ["commit_timelocked_weights", "commit_timelocked_mechanism_weights"],
            netuid,
            mechanism,
            [
                ("commit", Value::from_bytes(&sealed)),
                ("reveal_round", Value::u128(round.into())),
                ("commit_reveal_version", Value::u128(TIMELOCKED.into())),
            ],
        );
        let block = self.submit(keypair, &call).await?.block;

        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let epoch = query.one::<u64>(PALLET, "SubnetEpochIndex", (netuid.0,))?;
        let epoch = query.send(self, block).await?.value(&epoch)?;
        let mut query = Query::new(&runtime);
        let key = (index(netuid, mechanism), epoch);
        let stored = query.one::<Stored>(PALLET, "TimelockedWeightCommits", key)?;
        let stored = query.send(self, block).await?.value(&stored)?;
        let is_there = stored
            .iter()
            .any(|(who, _, bytes, at)| (who, bytes, at) == (&hotkey.0, &sealed, &round));
        if !is_there {
            return Err(read_back(&call, block));
        }
        Ok(WeightsSet::Timelocked { block, epoch, round })
    }

    /// Reveals a hashed commit of this hotkey in the one epoch in which that can be done, and reads the weights back.
    pub async fn reveal_weights(&self, keypair: &Keypair, commit: &Commit) -> Result<BlockRef, WriteError> {
        let (netuid, mechanism) = (commit.netuid, commit.mechanism);
        let uids = numbers(commit.values.iter().map(|(uid, _)| uid.0));
        let values = numbers(commit.values.iter().map(|(_, value)| *value));
        let call = on_mechanism(
            ["reveal_weights", "reveal_mechanism_weights"],
            netuid,
            mechanism,
            [
                ("uids", uids),
                ("values", values),
                ("salt", numbers(commit.salt.iter().copied())),
                ("version_key", Value::u128(commit.version_key.into())),
            ],
        );
        let head = self.finalized().await?;
        let rules = self
            .weight_rules(netuid, mechanism, &keypair.hotkey(), head)
            .await?;
        let refused = if rules.schedule.next_epoch() < commit.reveal_epoch {
            Some("RevealTooEarly")
        } else if rules.schedule.epoch > commit.reveal_epoch {
            Some("ExpiredWeightCommit")
        } else {
            None
        };
        if let Some(name) = refused {
            let detail = format!(
                "epoch {} at block {}, to be revealed in epoch {}",
                rules.schedule.epoch, head.number, commit.reveal_epoch
            );
            return Err(WriteError::foretold(call.pallet, call.name, name, detail));
        }
        let block = self.submit(keypair, &call).await?.block;
        self.ensure_set(&call, keypair, (netuid, mechanism), &commit.values, block)
            .await?;
        Ok(block)
    }

    /// The weights of a uid on a mechanism at a block.
    pub async fn weights(
        &self,
        netuid: NetUid,
        mechanism: u8,
        uid: Uid,
        block: BlockRef,
    ) -> Result<Vec<(Uid, u16)>, Error> {
        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let row = query.one::<Vec<(u16, u16)>>(PALLET, "Weights", (index(netuid, mechanism), uid.0))?;
        let row = query.send(self, block).await?.value(&row)?;
        Ok(row.into_iter().map(|(uid, value)| (Uid(uid), value)).collect())
    }

    async fn ensure_set(
        &self,
        call: &Call,
        keypair: &Keypair,
        (netuid, mechanism): (NetUid, u8),
        values: &[(Uid, u16)],
        block: BlockRef,
    ) -> Result<(), WriteError> {
        let uid = self.uid(netuid, &keypair.hotkey(), block).await?;
        let stored = match uid {
            Some(uid) => self.weights(netuid, mechanism, uid, block).await?,
            None => Vec::new(),
        };
        if stored == values {
            Ok(())
        } else {
            Err(read_back(call, block))
        }
    }

    /// The uid of a hotkey on a subnet at a block.
    pub async fn uid(&self, netuid: NetUid, hotkey: &Hotkey, block: BlockRef) -> Result<Option<Uid>, Error> {
        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let uid = query.one::<u16>(PALLET, "Uids", (netuid.0, hotkey.0))?;
        Ok(query.send(self, block).await?.option(&uid)?.map(Uid))
    }
}

impl Commit {
    /// As the chain hashes what is revealed.
    fn hash(&self, hotkey: &Hotkey) -> [u8; 32] {
        let uids: Vec<u16> = self.values.iter().map(|(uid, _)| uid.0).collect();
        let values: Vec<u16> = self.values.iter().map(|(_, value)| *value).collect();
        let index = index(self.netuid, self.mechanism);
        let revealed = (hotkey, index, uids, values, &self.salt, self.version_key);
        sp_core::blake2_256(&revealed.encode())
    }
}

/// The first mechanism has a call of its own; that for the others takes their number.
fn on_mechanism<const N: usize>(
    [first, others]: [&'static str; 2],
    netuid: NetUid,
    mechanism: u8,
    arguments: [(&'static str, Value); N],
) -> Call {
    let call = Call::new(PALLET, first, arguments).with("netuid", Value::u128(netuid.0.into()));
    if mechanism == 0 {
        call
    } else {
        call.named(others).with("mecid", Value::u128(mechanism.into()))
    }
}

fn read_back(call: &Call, block: BlockRef) -> WriteError {
    WriteError::ReadBack {
        call: call.item(),
        block,
    }
}

fn salt() -> u16 {
    let mut bytes = [0; 2];
    OsRng.fill_bytes(&mut bytes);
    u16::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(scores: &[(u16, f64)]) -> Vec<(u16, u16)> {
        let scores = scores.iter().map(|(uid, score)| (Uid(*uid), *score));
        let weights = Weights::from_scores(NetUid(1), scores);
        weights
            .values()
            .iter()
            .map(|(uid, value)| (uid.0, *value))
            .collect()
    }

    #[test]
    fn scores_become_parts_of_the_greatest() {
        assert_eq!(
            values(&[(3, 0.5), (1, 1.0), (2, 0.25)]),
            [(1, 65_535), (2, 16_384), (3, 32_768)]
        );
        assert_eq!(values(&[(0, 1e-9), (1, 3e-9)]), [(0, 21_845), (1, 65_535)]);
        // A part that rounds to nothing is none.
        assert_eq!(values(&[(0, 1.0), (1, 1.0 / 140_000.0)]), [(0, 65_535)]);
        let none = [(0, 0.0), (1, -1.0), (2, f64::NAN), (3, f64::INFINITY)];
        assert_eq!(values(&none), []);
        assert_eq!(values(&[]), []);
    }

    #[test]
    fn too_few_are_filled_up_with_zeros() {
        let weights = Weights::from_scores(NetUid(1), [(Uid(4), 1.0)]).filled(3, (0..9).map(Uid));
        assert_eq!(weights.values(), [(Uid(0), 0), (Uid(1), 0), (Uid(4), 65_535)]);
    }
}
