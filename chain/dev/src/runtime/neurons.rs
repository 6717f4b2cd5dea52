//! What the chain tells of single neurons.

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;

use super::pallet::{
    Active, Axons, Bonds, Consensus, Dividends, Emission, Incentive, Keys, LastUpdate, Owner, Prometheus,
    SubnetworkN, TotalHotkeyAlpha, ValidatorPermit, ValidatorTrust, Weights,
};
use super::types::{AxonInfo, PrometheusInfo};
use super::{AccountId, Runtime};

/// Uids and parts of 65535.
type Row = Vec<(Compact<u16>, Compact<u16>)>;

/// A neuron without its weights and bonds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct NeuronInfoLite {
    pub hotkey: AccountId,
    pub coldkey: AccountId,
    #[codec(compact)]
    pub uid: u16,
    #[codec(compact)]
    pub netuid: u16,
    pub active: bool,
    pub axon_info: AxonInfo,
    pub prometheus_info: PrometheusInfo,
    /// The coldkey, and all that is staked on the hotkey on this subnet.
    pub stake: Vec<(AccountId, Compact<u64>)>,
    #[codec(compact)]
    pub rank: u16,
    #[codec(compact)]
    pub emission: u64,
    #[codec(compact)]
    pub incentive: u16,
    #[codec(compact)]
    pub consensus: u16,
    #[codec(compact)]
    pub trust: u16,
    #[codec(compact)]
    pub validator_trust: u16,
    #[codec(compact)]
    pub dividends: u16,
    #[codec(compact)]
    pub last_update: u64,
    pub validator_permit: bool,
    #[codec(compact)]
    pub pruning_score: u16,
}

/// A neuron.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct NeuronInfo {
    pub hotkey: AccountId,
    pub coldkey: AccountId,
    #[codec(compact)]
    pub uid: u16,
    #[codec(compact)]
    pub netuid: u16,
    pub active: bool,
    pub axon_info: AxonInfo,
    pub prometheus_info: PrometheusInfo,
    pub stake: Vec<(AccountId, Compact<u64>)>,
    #[codec(compact)]
    pub rank: u16,
    #[codec(compact)]
    pub emission: u64,
    #[codec(compact)]
    pub incentive: u16,
    #[codec(compact)]
    pub consensus: u16,
    #[codec(compact)]
    pub trust: u16,
    #[codec(compact)]
    pub validator_trust: u16,
    #[codec(compact)]
    pub dividends: u16,
    #[codec(compact)]
    pub last_update: u64,
    pub validator_permit: bool,
    pub weights: Row,
    pub bonds: Row,
    #[codec(compact)]
    pub pruning_score: u16,
}

/// The columns of a subnet that neurons are told from, each read once.
struct Columns {
    netuid: u16,
    active: Vec<bool>,
    permit: Vec<bool>,
    emission: Vec<u64>,
    incentive: Vec<u16>,
    consensus: Vec<u16>,
    validator_trust: Vec<u16>,
    dividends: Vec<u16>,
    last_update: Vec<u64>,
}

impl Columns {
    fn of(netuid: u16) -> Self {
        Self {
            netuid,
            active: Active::<Runtime>::get(netuid),
            permit: ValidatorPermit::<Runtime>::get(netuid),
            emission: Emission::<Runtime>::get(netuid),
            incentive: Incentive::<Runtime>::get(netuid),
            consensus: Consensus::<Runtime>::get(netuid),
            validator_trust: ValidatorTrust::<Runtime>::get(netuid),
            dividends: Dividends::<Runtime>::get(netuid),
            last_update: LastUpdate::<Runtime>::get(netuid),
        }
    }

    fn neuron(&self, uid: u16) -> NeuronInfoLite {
        let netuid = self.netuid;
        let hotkey = Keys::<Runtime>::get(netuid, uid);
        let coldkey = Owner::<Runtime>::get(&hotkey);
        NeuronInfoLite {
            uid,
            netuid,
            active: cell(&self.active, uid),
            axon_info: Axons::<Runtime>::get(netuid, &hotkey).unwrap_or_default(),
            prometheus_info: Prometheus::<Runtime>::get(netuid, &hotkey).unwrap_or_default(),
            stake: vec![(
                coldkey.clone(),
                Compact(TotalHotkeyAlpha::<Runtime>::get(&hotkey, netuid)),
            )],
            // Gone from the chain's state; it answers so.
            rank: 0,
            trust: 0,
            pruning_score: u16::MAX,
            emission: cell(&self.emission, uid),
            incentive: cell(&self.incentive, uid),
            consensus: cell(&self.consensus, uid),
            validator_trust: cell(&self.validator_trust, uid),
            dividends: cell(&self.dividends, uid),
            last_update: cell(&self.last_update, uid),
            validator_permit: cell(&self.permit, uid),
            hotkey,
            coldkey,
        }
    }

    fn whole(&self, uid: u16) -> NeuronInfo {
        let lite = self.neuron(uid);
        NeuronInfo {
            hotkey: lite.hotkey,
            coldkey: lite.coldkey,
            uid,
            netuid: lite.netuid,
            active: lite.active,
            axon_info: lite.axon_info,
            prometheus_info: lite.prometheus_info,
            stake: lite.stake,
            rank: lite.rank,
            emission: lite.emission,
            incentive: lite.incentive,
            consensus: lite.consensus,
            trust: lite.trust,
            validator_trust: lite.validator_trust,
            dividends: lite.dividends,
            last_update: lite.last_update,
            validator_permit: lite.validator_permit,
            weights: row(&Weights::<Runtime>::get(self.netuid, uid)),
            bonds: row(&Bonds::<Runtime>::get(self.netuid, uid)),
            pruning_score: lite.pruning_score,
        }
    }
}

/// Neurons of a subnet without weights and bonds; none if there is no such subnet.
pub fn all_lite(netuid: u16) -> Vec<NeuronInfoLite> {
    let columns = Columns::of(netuid);
    uids(netuid).map(|uid| columns.neuron(uid)).collect()
}

/// A neuron without its weights and bonds.
pub fn lite(netuid: u16, uid: u16) -> Option<NeuronInfoLite> {
    uids(netuid)
        .contains(&uid)
        .then(|| Columns::of(netuid).neuron(uid))
}

/// Neurons of a subnet; none if there is no such subnet.
pub fn all(netuid: u16) -> Vec<NeuronInfo> {
    let columns = Columns::of(netuid);
    uids(netuid).map(|uid| columns.whole(uid)).collect()
}

/// A neuron.
pub fn one(netuid: u16, uid: u16) -> Option<NeuronInfo> {
    uids(netuid)
        .contains(&uid)
        .then(|| Columns::of(netuid).whole(uid))
}

fn uids(netuid: u16) -> std::ops::Range<u16> {
    0..SubnetworkN::<Runtime>::get(netuid)
}

/// A column may be shorter than its subnet.
fn cell<T: Copy + Default>(column: &[T], uid: u16) -> T {
    column.get(usize::from(uid)).copied().unwrap_or_default()
}

fn row(values: &[(u16, u16)]) -> Row {
    let values = values.iter().filter(|(_, value)| *value > 0);
    values
        .map(|(uid, value)| (Compact(*uid), Compact(*value)))
        .collect()
}
