//! A metagraph from storage, for runtimes without a call that gives one; `get_neurons_lite` helps where it is there.
//! Stake weight is computed here. Each round of questions is one request (for more than 1000 keys a few).

use scale_decode::DecodeAsType;

use super::{At, AxonInfo, Columns, PALLET, ScalarSlots, Scalars};
use crate::error::Error;
use crate::query::{Answer, Query, Slot};
use crate::stake;

const API: &str = "NeuronInfoRuntimeApi";
const LITE: &str = "get_neurons_lite";

/// What is wanted of `NeuronInfoLite`. Its own `stake` is without what is inherited and without root stake.
#[derive(DecodeAsType)]
struct NeuronLite {
    hotkey: [u8; 32],
    coldkey: [u8; 32],
    uid: u16,
    active: bool,
    axon_info: AxonInfo,
    emission: u64,
    incentive: u16,
    consensus: u16,
    dividends: u16,
    last_update: u64,
    validator_permit: bool,
}

/// Where what belongs to the subnet is in an answer.
struct SubnetSlots {
    scalars: ScalarSlots,
    block: Slot<u32>,
    exists: Slot<bool>,
    owner_hotkey: Slot<[u8; 32]>,
    owner_coldkey: Slot<[u8; 32]>,
    tempo: Slot<u16>,
    weights_version: Slot<u64>,
    commit_reveal: Slot<bool>,
}

impl SubnetSlots {
    fn ask(query: &mut Query<'_>, at: At<'_>) -> Result<Self, Error> {
        let netuid = || (at.netuid.0,);
        Ok(Self {
            scalars: ScalarSlots::ask(query)?,
            block: query.one("System", "Number", ())?,
            exists: query.one(PALLET, "NetworksAdded", netuid())?,
            owner_hotkey: query.one(PALLET, "SubnetOwnerHotkey", netuid())?,
            owner_coldkey: query.one(PALLET, "SubnetOwner", netuid())?,
            tempo: query.one(PALLET, "Tempo", netuid())?,
            weights_version: query.one(PALLET, "WeightsVersionKey", netuid())?,
            commit_reveal: query.one(PALLET, "CommitRevealWeightsEnabled", netuid())?,
        })
    }

    /// The subnet with no neuron in it yet.
    fn read(&self, answer: &Answer<'_>, at: At<'_>) -> Result<(Columns, Scalars), Error> {
        if !answer.value(&self.exists)? {
            return Err(Error::NoSuchSubnet {
                netuid: at.netuid,
                block: at.block,
            });
        }
        let columns = Columns {
            netuid: at.netuid.0,
            owner_hotkey: answer.value(&self.owner_hotkey)?,
            owner_coldkey: answer.value(&self.owner_coldkey)?,
            block: answer.value(&self.block)?.into(),
            tempo: answer.value(&self.tempo)?,
            weights_version: answer.value(&self.weights_version)?,
            commit_reveal_weights_enabled: answer.value(&self.commit_reveal)?,
            hotkeys: Vec::new(),
            coldkeys: Vec::new(),
            axons: Vec::new(),
            active: Vec::new(),
            validator_permit: Vec::new(),
            last_update: Vec::new(),
            emission: Vec::new(),
            dividends: Vec::new(),
            incentives: Vec::new(),
            consensus: Vec::new(),
            block_at_registration: Vec::new(),
            alpha_stake: Vec::new(),
            tao_stake: Vec::new(),
            total_stake: Vec::new(),
        };
        Ok((columns, self.scalars.read(answer)?))
    }
}

/// By `get_neurons_lite` and, for what it lacks, storage: two or three rounds.
pub(super) async fn lite(at: At<'_>) -> Result<(Columns, Scalars), Error> {
    let (name, arguments) = at.runtime.api_input(API, LITE, (at.netuid.0,))?;
    let mut query = Query::new(at.runtime);
    let slots = SubnetSlots::ask(&mut query, at)?;
    let (neurons, answer) = tokio::try_join!(
        at.client.call(at.block, &name, &arguments),
        query.send(at.client, at.block)
    )?;
    let (mut columns, scalars) = slots.read(&answer, at)?;
    let mut neurons: Vec<NeuronLite> = at.runtime.api_output(API, LITE, &neurons)?;
    neurons.sort_by_key(|neuron| neuron.uid);
    let in_order = (0_u16..).zip(&neurons).all(|(uid, neuron)| neuron.uid == uid);
    if !in_order {
        return Err(Error::Inconsistent {
            netuid: at.netuid,
            what: "a uid is absent or given twice",
        });
    }
    for neuron in neurons {
        columns.hotkeys.push(neuron.hotkey);
        columns.coldkeys.push(neuron.coldkey);
        columns.axons.push(neuron.axon_info);
        columns.active.push(neuron.active);
        columns.validator_permit.push(neuron.validator_permit);
        columns.last_update.push(neuron.last_update);
        columns.emission.push(neuron.emission);
        columns.dividends.push(neuron.dividends);
        columns.incentives.push(neuron.incentive);
        columns.consensus.push(neuron.consensus);
    }

    let mut query = Query::new(at.runtime);
    let registered = query.many(PALLET, "BlockAtRegistration", uids(at, columns.hotkeys.len()))?;
    let hotkeys = std::mem::take(&mut columns.hotkeys);
    let (answer, stakes) = tokio::try_join!(
        query.send(at.client, at.block),
        stakes(at, &hotkeys, scalars.tao_weight)
    )?;
    columns.block_at_registration = answer.all(&registered)?;
    columns.hotkeys = hotkeys;
    Ok((with_stakes(columns, &stakes), scalars))
}

/// From storage alone: four or five rounds.
pub(super) async fn alone(at: At<'_>) -> Result<(Columns, Scalars), Error> {
    let netuid = || (at.netuid.0,);
    let mut query = Query::new(at.runtime);
    let slots = SubnetSlots::ask(&mut query, at)?;
    let count = query.one::<u16>(PALLET, "SubnetworkN", netuid())?;
    let active = query.one(PALLET, "Active", netuid())?;
    let validator_permit = query.one(PALLET, "ValidatorPermit", netuid())?;
    let emission = query.one(PALLET, "Emission", netuid())?;
    let dividends = query.one(PALLET, "Dividends", netuid())?;
    let consensus = query.one(PALLET, "Consensus", netuid())?;
    // Both are by `mechanism * 4096 + netuid`, which for the first mechanism is the netuid.
    let incentives = query.one(PALLET, "Incentive", netuid())?;
    let last_update = query.one(PALLET, "LastUpdate", netuid())?;
    let answer = query.send(at.client, at.block).await?;
    let (columns, scalars) = slots.read(&answer, at)?;
    let count = usize::from(answer.value(&count)?);
    let columns = Columns {
        active: answer.value(&active)?,
        validator_permit: answer.value(&validator_permit)?,
        emission: answer.value(&emission)?,
        dividends: answer.value(&dividends)?,
        consensus: answer.value(&consensus)?,
        incentives: answer.value(&incentives)?,
        last_update: answer.value(&last_update)?,
        ..columns
    };

    let mut query = Query::new(at.runtime);
    let keys = query.many::<[u8; 32], _>(PALLET, "Keys", uids(at, count))?;
    let hotkeys = query.send(at.client, at.block).await?.all(&keys)?;

    let mut query = Query::new(at.runtime);
    let owners = query.many(PALLET, "Owner", hotkeys.iter().map(|hotkey| (*hotkey,)))?;
    let axons = query.many(
        PALLET,
        "Axons",
        hotkeys.iter().map(|hotkey| (at.netuid.0, *hotkey)),
    )?;
    let registered = query.many(PALLET, "BlockAtRegistration", uids(at, count))?;
    let (answer, stakes) = tokio::try_join!(
        query.send(at.client, at.block),
        stakes(at, &hotkeys, scalars.tao_weight)
    )?;
    let axons: Vec<Option<AxonInfo>> = answer.options(&axons)?;
    let columns = Columns {
        coldkeys: answer.all(&owners)?,
        axons: axons.into_iter().map(Option::unwrap_or_default).collect(),
        block_at_registration: answer.all(&registered)?,
        hotkeys,
        ..columns
    };
    Ok((with_stakes(columns, &stakes), scalars))
}

fn uids(at: At<'_>, count: usize) -> impl Iterator<Item = (u16, u16)> {
    (0..=u16::MAX).take(count).map(move |uid| (at.netuid.0, uid))
}

async fn stakes(at: At<'_>, hotkeys: &[[u8; 32]], tao_weight: u64) -> Result<Vec<stake::StakeWeight>, Error> {
    stake::read(at.client, at.runtime, (at.netuid, at.block), hotkeys, tao_weight).await
}

fn with_stakes(columns: Columns, stakes: &[stake::StakeWeight]) -> Columns {
    Columns {
        alpha_stake: stakes.iter().map(|stake| stake.alpha.0).collect(),
        tao_stake: stakes.iter().map(|stake| stake.tao.0).collect(),
        total_stake: stakes.iter().map(|stake| stake.total.0).collect(),
        ..columns
    }
}
