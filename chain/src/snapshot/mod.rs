//! A subnet at one block, in the cheapest way that its runtime offers (`surface::Way`): from one call, or from storage.
//! Columns shorter than the subnet read as zero, as the chain itself reads them; fields that a newer runtime appends
//! are passed over.

mod calls;
mod storage;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use scale_decode::DecodeAsType;

use crate::client::Client;
use crate::error::Error;
use crate::query::{Answer, Query, Slot};
use crate::runtime::Runtime;
use crate::surface::{Status, Way};
use crate::types::{Axon, BlockRef, Coldkey, Hotkey, NetUid, Neuron, Rao, Snapshot, Uid};

pub(crate) const PALLET: &str = "SubtensorModule";
/// The time of a block: pallet and entry.
const TIME: (&str, &str) = ("Timestamp", "Now");

/// A metagraph as columns, by the names of the chain's `Metagraph`. Compact integers and newtypes decode into plain
/// ones.
#[derive(Clone, Debug, DecodeAsType)]
struct Columns {
    netuid: u16,
    owner_hotkey: [u8; 32],
    owner_coldkey: [u8; 32],
    block: u64,
    tempo: u16,
    weights_version: u64,
    commit_reveal_weights_enabled: bool,
    hotkeys: Vec<[u8; 32]>,
    coldkeys: Vec<[u8; 32]>,
    axons: Vec<AxonInfo>,
    active: Vec<bool>,
    validator_permit: Vec<bool>,
    last_update: Vec<u64>,
    emission: Vec<u64>,
    dividends: Vec<u16>,
    incentives: Vec<u16>,
    consensus: Vec<u16>,
    block_at_registration: Vec<u64>,
    alpha_stake: Vec<u64>,
    tao_stake: Vec<u64>,
    total_stake: Vec<u64>,
}

/// What is wanted of `AxonInfo`.
#[derive(Clone, Copy, Debug, Default, DecodeAsType)]
struct AxonInfo {
    ip: u128,
    port: u16,
    ip_type: u8,
    protocol: u8,
}

/// What is read, and from whom.
#[derive(Clone, Copy)]
struct At<'a> {
    client: &'a Client,
    runtime: &'a Runtime,
    netuid: NetUid,
    block: BlockRef,
}

impl Client {
    /// As [`Client::snapshot`], with the way in which it was read.
    pub async fn snapshot_and_way(&self, netuid: NetUid, block: BlockRef) -> Result<(Snapshot, Way), Error> {
        read(self, netuid, block).await
    }
}

/// Reads the snapshot in the first way that is whole, all at `block`. A way whose answer lacks what the runtime declares
/// (a column no longer filled, say), or whose call fails within the runtime, gives way to the next.
pub(crate) async fn read(client: &Client, netuid: NetUid, block: BlockRef) -> Result<(Snapshot, Way), Error> {
    let (runtime, mut early) = begin(client, netuid, block).await?;
    let at = At {
        client,
        runtime: &runtime,
        netuid,
        block,
    };
    let mut failure = None;
    for way in runtime.surface().ways() {
        let read = match way {
            Way::Selective => match early.take() {
                Some(early) => early,
                None => Box::pin(calls::selective(at)).await,
            },
            // Rarely taken, and large: not a part of every caller's future.
            Way::Full => Box::pin(calls::full(at)).await,
            Way::Lite => Box::pin(storage::lite(at)).await,
            Way::Storage => Box::pin(storage::alone(at)).await,
        };
        match read {
            Ok((columns, scalars)) => {
                return Ok((
                    assemble(runtime.spec_version, netuid, block, &columns, scalars)?,
                    way,
                ));
            }
            Err(error) if is_of_the_runtime(&error) => {
                tracing::warn!(%way, %error, "the metagraph cannot be read in this way");
                failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| no_way(&runtime)))
}

/// The runtime of the block. It is nearly always that of the block before, so the metagraph is asked for by it beside the
/// version, and not after: what it says counts if that is so.
async fn begin(
    client: &Client,
    netuid: NetUid,
    block: BlockRef,
) -> Result<(Arc<Runtime>, Option<Result<(Columns, Scalars), Error>>), Error> {
    let Some(runtime) = client.last_runtime().await else {
        return Ok((client.runtime(block).await?, None));
    };
    if runtime.surface().ways().first() != Some(&Way::Selective) {
        return Ok((client.runtime(block).await?, None));
    }
    let at = At {
        client,
        runtime: &runtime,
        netuid,
        block,
    };
    let (version, early) = tokio::join!(client.spec_version(block), Box::pin(calls::selective(at)));
    let version = version?;
    if version == runtime.spec_version {
        return Ok((runtime, Some(early)));
    }
    Ok((client.runtime_of(version, block).await?, None))
}

/// Whether it is the runtime that cannot answer in this way, and not the connection, the node or the question.
fn is_of_the_runtime(error: &Error) -> bool {
    match error {
        Error::Missing { .. } | Error::Decode { .. } => true,
        // A node's words for a call that traps in the runtime, or that it does not have whatever its metadata says.
        Error::Rpc { message, .. } => message.contains("Execution failed"),
        _ => false,
    }
}

/// The first thing that the cheapest way lacks.
fn no_way(runtime: &Runtime) -> Error {
    let mut findings = runtime.surface().findings.iter();
    let lacking =
        findings.find(|finding| finding.status != Status::Found && finding.ways.contains(&Way::Selective));
    runtime.missing(lacking.map_or_else(|| "the metagraph".to_owned(), |finding| finding.item.clone()))
}

/// What is read beside the metagraph.
#[derive(Clone, Copy)]
struct Scalars {
    stake_threshold: Rao,
    tao_weight: u64,
    timestamp: u64,
}

/// Where the scalars are in an answer.
struct ScalarSlots {
    stake_threshold: Slot<u64>,
    tao_weight: Slot<u64>,
    timestamp: Slot<u64>,
}

impl ScalarSlots {
    fn ask(query: &mut Query<'_>) -> Result<Self, Error> {
        Ok(Self {
            stake_threshold: query.one(PALLET, "StakeThreshold", ())?,
            tao_weight: query.one(PALLET, "TaoWeight", ())?,
            timestamp: query.one(TIME.0, TIME.1, ())?,
        })
    }

    fn read(&self, answer: &Answer<'_>) -> Result<Scalars, Error> {
        Ok(Scalars {
            stake_threshold: Rao(answer.value(&self.stake_threshold)?),
            tao_weight: answer.value(&self.tao_weight)?,
            timestamp: answer.value(&self.timestamp)?,
        })
    }
}

fn assemble(
    spec_version: u32,
    netuid: NetUid,
    block: BlockRef,
    from: &Columns,
    scalars: Scalars,
) -> Result<Snapshot, Error> {
    let inconsistent = |what| Error::Inconsistent { netuid, what };
    if from.netuid != netuid.0 {
        return Err(inconsistent("it is of another subnet"));
    }
    if from.block != u64::from(block.number) {
        return Err(inconsistent("it is of another block"));
    }
    if from.coldkeys.len() != from.hotkeys.len() {
        return Err(inconsistent("hotkeys and coldkeys differ in number"));
    }
    if from.hotkeys.len() > usize::from(u16::MAX) {
        return Err(inconsistent("more neurons than uids"));
    }

    let neurons = (0_u16..)
        .zip(from.hotkeys.iter().zip(&from.coldkeys))
        .map(|(uid, (&hotkey, &coldkey))| {
            let i = usize::from(uid);
            Neuron {
                uid: Uid(uid),
                hotkey: Hotkey(hotkey),
                coldkey: Coldkey(coldkey),
                stake: Rao(cell(&from.total_stake, i)),
                alpha_stake: Rao(cell(&from.alpha_stake, i)),
                tao_stake: Rao(cell(&from.tao_stake, i)),
                validator_permit: cell(&from.validator_permit, i),
                active: cell(&from.active, i),
                registered_at: cell(&from.block_at_registration, i),
                last_update: cell(&from.last_update, i),
                incentive: cell(&from.incentives, i),
                dividends: cell(&from.dividends, i),
                consensus: cell(&from.consensus, i),
                emission: cell(&from.emission, i),
                axon: from.axons.get(i).and_then(serving),
            }
        })
        .collect();

    Ok(Snapshot {
        netuid,
        block,
        spec_version,
        tempo: from.tempo,
        owner_hotkey: Hotkey(from.owner_hotkey),
        owner_coldkey: Coldkey(from.owner_coldkey),
        stake_threshold: scalars.stake_threshold,
        tao_weight: scalars.tao_weight,
        timestamp: scalars.timestamp,
        commit_reveal: from.commit_reveal_weights_enabled,
        weights_version: from.weights_version,
        neurons,
    })
}

fn cell<T: Copy + Default>(column: &[T], at: usize) -> T {
    column.get(at).copied().unwrap_or_default()
}

/// The address of a neuron that serves; an axon of zeros is how the chain says that it does not.
fn serving(axon: &AxonInfo) -> Option<Axon> {
    if axon.ip == 0 || axon.port == 0 {
        return None;
    }
    let ip = match axon.ip_type {
        4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(axon.ip).ok()?)),
        6 => IpAddr::V6(Ipv6Addr::from(axon.ip)),
        _ => return None,
    };
    Some(Axon {
        ip,
        port: axon.port,
        protocol: axon.protocol,
    })
}

#[cfg(test)]
mod tests;
