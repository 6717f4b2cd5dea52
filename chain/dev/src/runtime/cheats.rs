//! Changes of state no extrinsic may make here: what a registration, a stake or an epoch would have written.
//!
//! All of it runs inside a block being made, or inside the genesis, and leaves nothing behind on an error.

use std::net::{IpAddr, SocketAddr};

use codec::{Decode as _, Encode as _};

use super::pallet::{
    Axons, CommitRevealWeightsEnabled, FirstEmissionBlockNumber, ImmunityPeriod, Kappa, Keys, LastEpochBlock,
    MaxAllowedUids, MaxAllowedValidators, MechanismCountCurrent, MinAllowedWeights,
    NetworkPowRegistrationAllowed, NetworkRegisteredAt, NetworksAdded, Owner, StakeThreshold,
    SubnetEmissionEnabled, SubnetOwner, SubnetOwnerHotkey, SubnetworkN, SubtokenEnabled, Tempo,
    TotalHotkeyAlpha, TotalNetworks, Uids, ValidatorPermit, WeightsSetRateLimit, Yuma3On,
};
use super::types::AxonInfo;
use super::{
    AccountId, Runtime, SubtensorModule, drand, epoch, networks, registration, shares, staking, weights,
};

/// The protocol number the Python SDK serves with.
const AXON_PROTOCOL: u8 = 4;

/// Why a cheat changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheatError {
    /// There is no such subnet.
    #[error("there is no subnet {0}")]
    UnknownSubnet(u16),
    /// The subnet has fewer uids.
    #[error("subnet {netuid} has no uid {uid}")]
    UnknownUid { netuid: u16, uid: u16 },
    /// The subnet has fewer mechanisms.
    #[error("subnet {netuid} has no mechanism {mechanism}")]
    UnknownMechanism { netuid: u16, mechanism: u8 },
    /// The hotkey has no uid on the subnet.
    #[error("the hotkey is not registered on subnet {0}")]
    NotRegistered(u16),
    /// The hotkey has a uid on the subnet.
    #[error("the hotkey is registered on subnet {0} already")]
    AlreadyRegistered(u16),
    /// Every uid of the subnet is taken.
    #[error("subnet {0} is full")]
    Full(u16),
    /// Longer than the chain stores.
    #[error("a signature has 144 bytes at most")]
    LongSignature,
    /// The chain never replaces the owner's hotkey.
    #[error("uid {uid} of subnet {netuid} is the owner's")]
    OwnersUid { netuid: u16, uid: u16 },
    /// Nobody owns the hotkey.
    #[error("the hotkey was never registered")]
    UnknownHotkey,
    /// A hotkey that is somebody's takes nobody's place.
    #[error("the hotkey that is to take its place is somebody's already")]
    KnownHotkey,
    /// The coldkey owns no hotkey.
    #[error("the coldkey owns no hotkey")]
    UnknownColdkey,
}

/// Adds a subnet with the parameters the chain gives a new one. Commit-reveal is off: rounds of drand come by a cheat
/// alone.
pub fn add_subnet(netuid: u16, tempo: u16, owner_coldkey: &AccountId, owner_hotkey: &AccountId) {
    NetworksAdded::<Runtime>::insert(netuid, true);
    TotalNetworks::<Runtime>::mutate(|total| *total = total.saturating_add(1));
    NetworkRegisteredAt::<Runtime>::insert(netuid, SubtensorModule::now());
    SubnetworkN::<Runtime>::insert(netuid, 0);
    Tempo::<Runtime>::insert(netuid, tempo);
    SubnetOwner::<Runtime>::insert(netuid, owner_coldkey);
    SubnetOwnerHotkey::<Runtime>::insert(netuid, owner_hotkey);
    Kappa::<Runtime>::insert(netuid, 32_767);
    MaxAllowedUids::<Runtime>::insert(netuid, 256);
    MaxAllowedValidators::<Runtime>::insert(netuid, 64);
    MinAllowedWeights::<Runtime>::insert(netuid, 1);
    ImmunityPeriod::<Runtime>::insert(netuid, 5_000);
    WeightsSetRateLimit::<Runtime>::insert(netuid, 100);
    CommitRevealWeightsEnabled::<Runtime>::insert(netuid, false);
    Yuma3On::<Runtime>::insert(netuid, true);
    SubtokenEnabled::<Runtime>::insert(netuid, true);
    NetworkPowRegistrationAllowed::<Runtime>::insert(netuid, false);
    // Spreads the epochs of subnets over the blocks of a tempo.
    let ahead = u64::from(netuid.checked_rem(tempo).unwrap_or_default());
    LastEpochBlock::<Runtime>::insert(netuid, SubtensorModule::now().saturating_sub(ahead));
}

/// Gives the hotkey the next uid, as a registration on a subnet with room does.
pub fn register(netuid: u16, hotkey: &AccountId, coldkey: &AccountId) -> Result<u16, CheatError> {
    known(netuid)?;
    let uid = SubnetworkN::<Runtime>::get(netuid);
    if Uids::<Runtime>::contains_key(netuid, hotkey) {
        return Err(CheatError::AlreadyRegistered(netuid));
    }
    if uid >= MaxAllowedUids::<Runtime>::get(netuid) {
        return Err(CheatError::Full(netuid));
    }
    registration::append(netuid, hotkey, coldkey);
    Ok(uid)
}

/// Gives a taken uid to another hotkey, as a registration on a full subnet does.
pub fn replace(netuid: u16, uid: u16, hotkey: &AccountId, coldkey: &AccountId) -> Result<(), CheatError> {
    known_uid(netuid, uid)?;
    let old = Keys::<Runtime>::get(netuid, uid);
    if old == SubnetOwnerHotkey::<Runtime>::get(netuid) {
        return Err(CheatError::OwnersUid { netuid, uid });
    }
    if Uids::<Runtime>::contains_key(netuid, hotkey) {
        return Err(CheatError::AlreadyRegistered(netuid));
    }
    registration::take_over(netuid, uid, hotkey, coldkey);
    Ok(())
}

/// Holds what answers say of a stake beyond what is stored: netuid, uid and rao.
const MISSTATED_KEY: &[u8] = b":violet:misstated";

/// Lets answers about a subnet say so many rao of alpha more on a uid.
pub fn misstate_stake(netuid: u16, uid: u16, rao: u64) -> Result<(), CheatError> {
    known_uid(netuid, uid)?;
    if rao == 0 {
        sp_io::storage::clear(MISSTATED_KEY);
    } else {
        sp_io::storage::set(MISSTATED_KEY, &(netuid, uid, rao).encode());
    }
    Ok(())
}

/// The uid of a subnet of which answers say more, and how much.
pub fn misstated(netuid: u16) -> Option<(u16, u64)> {
    let stored = sp_io::storage::get(MISSTATED_KEY)?;
    let (of, uid, rao) = <(u16, u16, u64)>::decode(&mut &*stored).ok()?;
    (of == netuid).then_some((uid, rao))
}

/// Sets what is staked on a hotkey, registered or not, in rao.
pub fn set_stake(netuid: u16, hotkey: &AccountId, alpha: u64, root: u64) -> Result<(), CheatError> {
    known(netuid)?;
    let owner = Owner::<Runtime>::contains_key(hotkey).then(|| Owner::<Runtime>::get(hotkey));
    for (netuid, rao) in [(netuid, alpha), (0, root)] {
        staking::adjusted(netuid, TotalHotkeyAlpha::<Runtime>::get(hotkey, netuid), rao);
        shares::set(hotkey, owner.as_ref(), netuid, rao);
    }
    Ok(())
}

/// Gives a uid a validator permit or takes it.
pub fn set_permit(netuid: u16, uid: u16, permit: bool) -> Result<(), CheatError> {
    known_uid(netuid, uid)?;
    ValidatorPermit::<Runtime>::mutate(netuid, |column| put(column, uid, permit));
    Ok(())
}

/// Sets the stake weight in rao below which a validator does not count.
pub fn set_stake_threshold(rao: u64) {
    StakeThreshold::<Runtime>::put(rao);
}

/// Sets the weights of a uid as the chain would store them, with none of its checks.
pub fn set_weights(netuid: u16, mechanism: u8, uid: u16, weights: &[(u16, u16)]) -> Result<(), CheatError> {
    known_uid(netuid, uid)?;
    if mechanism >= MechanismCountCurrent::<Runtime>::get(netuid) {
        return Err(CheatError::UnknownMechanism { netuid, mechanism });
    }
    let (uids, values): (Vec<u16>, Vec<u16>) = weights.iter().copied().unzip();
    uids.iter().try_for_each(|uid| known_uid(netuid, *uid))?;
    let index = weights::netuid_index(netuid, mechanism);
    weights::store(index, uid, &uids, &values);
    weights::touch(index, uid, SubtensorModule::now());
    Ok(())
}

/// Runs an epoch of a subnet, due or not.
pub fn run_epoch(netuid: u16) -> Result<(), CheatError> {
    known(netuid)?;
    epoch::run(netuid);
    Ok(())
}

/// Lets epochs run by themselves, each when it is due, or not.
pub fn set_epochs(enabled: bool) {
    epoch::enable(enabled);
}

/// Gives a subnet a pool with so many rao of TAO and of its alpha in it, and starts it.
pub fn set_pool(netuid: u16, tao: u64, alpha: u64) -> Result<(), CheatError> {
    known(netuid)?;
    networks::open_pool(netuid, tao, alpha);
    SubtokenEnabled::<Runtime>::insert(netuid, true);
    SubnetEmissionEnabled::<Runtime>::insert(netuid, true);
    if !FirstEmissionBlockNumber::<Runtime>::contains_key(netuid) {
        FirstEmissionBlockNumber::<Runtime>::insert(netuid, SubtensorModule::now());
    }
    Ok(())
}

/// Brings a round of the randomness beacon, which opens what was encrypted for it.
pub fn pulse(round: u64, signature: &[u8]) -> Result<(), CheatError> {
    drand::store(round, signature)
        .then_some(())
        .ok_or(CheatError::LongSignature)
}

/// Lets a subnet take weights by commits alone, or at once; and how many blocks there must be between two.
pub fn set_weight_rules(netuid: u16, commit_reveal: bool, rate_limit: u64) -> Result<(), CheatError> {
    known(netuid)?;
    CommitRevealWeightsEnabled::<Runtime>::insert(netuid, commit_reveal);
    WeightsSetRateLimit::<Runtime>::insert(netuid, rate_limit);
    Ok(())
}

/// Writes any value of the state, or takes it away.
pub fn set_storage(key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => sp_io::storage::set(key, value),
        None => sp_io::storage::clear(key),
    }
}

/// Sets where a registered hotkey serves, at any address; `None` takes the axon away.
pub fn set_axon(netuid: u16, hotkey: &AccountId, at: Option<SocketAddr>) -> Result<(), CheatError> {
    known(netuid)?;
    if !Uids::<Runtime>::contains_key(netuid, hotkey) {
        return Err(CheatError::NotRegistered(netuid));
    }
    match at {
        Some(at) => Axons::<Runtime>::insert(netuid, hotkey, axon(at)),
        None => Axons::<Runtime>::remove(netuid, hotkey),
    }
    Ok(())
}

fn axon(at: SocketAddr) -> AxonInfo {
    let (ip, ip_type) = match at.ip() {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 4),
        IpAddr::V6(ip) => (u128::from(ip), 6),
    };
    let block = SubtensorModule::now();
    AxonInfo {
        block,
        ip,
        port: at.port(),
        ip_type,
        protocol: AXON_PROTOCOL,
        ..AxonInfo::default()
    }
}

fn known(netuid: u16) -> Result<(), CheatError> {
    let exists = netuid != 0 && NetworksAdded::<Runtime>::get(netuid);
    exists.then_some(()).ok_or(CheatError::UnknownSubnet(netuid))
}

fn known_uid(netuid: u16, uid: u16) -> Result<(), CheatError> {
    known(netuid)?;
    let exists = uid < SubnetworkN::<Runtime>::get(netuid);
    exists.then_some(()).ok_or(CheatError::UnknownUid { netuid, uid })
}

/// The columns of a subnet are as long as it has uids, because only registrations and epochs add to them.
pub(super) fn put<T>(column: &mut [T], uid: u16, value: T) {
    if let Some(cell) = column.get_mut(usize::from(uid)) {
        *cell = value;
    }
}
