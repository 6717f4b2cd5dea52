//! Changes of state no extrinsic may make here: what a registration, a stake or an epoch would have written.
//!
//! All of it runs inside a block being made, or inside the genesis, and leaves nothing behind on an error.

use std::net::{IpAddr, SocketAddr};

use frame_system::Pallet as System;

use super::pallet::{
    Active, Axons, BlockAtRegistration, CommitRevealWeightsEnabled, Consensus, Dividends, Emission, Event,
    ImmunityPeriod, Incentive, IsNetworkMember, Kappa, Keys, LastUpdate, MaxAllowedUids,
    MaxAllowedValidators, MinAllowedWeights, NetworkRegisteredAt, NetworksAdded, OwnedHotkeys, Owner,
    StakeThreshold, SubnetOwner, SubnetOwnerHotkey, SubnetworkN, Tempo, TotalHotkeyAlpha, TotalNetworks,
    Uids, ValidatorPermit, ValidatorTrust, Weights, WeightsSetRateLimit,
};
use super::types::AxonInfo;
use super::{AccountId, Runtime, SubtensorModule};

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
    /// The hotkey has no uid on the subnet.
    #[error("the hotkey is not registered on subnet {0}")]
    NotRegistered(u16),
    /// The hotkey has a uid on the subnet.
    #[error("the hotkey is registered on subnet {0} already")]
    AlreadyRegistered(u16),
    /// Every uid of the subnet is taken.
    #[error("subnet {0} is full")]
    Full(u16),
    /// The chain never replaces the owner's hotkey.
    #[error("uid {uid} of subnet {netuid} is the owner's")]
    OwnersUid { netuid: u16, uid: u16 },
}

/// Adds a subnet with the parameters the chain gives a new one. Commit-reveal is off: there is no drand here.
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
    SubnetworkN::<Runtime>::insert(netuid, uid + 1);
    Active::<Runtime>::mutate(netuid, |column| column.push(true));
    ValidatorPermit::<Runtime>::mutate(netuid, |column| column.push(false));
    ValidatorTrust::<Runtime>::mutate(netuid, |column| column.push(0));
    Consensus::<Runtime>::mutate(netuid, |column| column.push(0));
    Dividends::<Runtime>::mutate(netuid, |column| column.push(0));
    Emission::<Runtime>::mutate(netuid, |column| column.push(0));
    Incentive::<Runtime>::mutate(netuid, |column| column.push(0));
    LastUpdate::<Runtime>::mutate(netuid, |column| column.push(SubtensorModule::now()));
    occupy(netuid, uid, hotkey, coldkey);
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
    Uids::<Runtime>::remove(netuid, &old);
    IsNetworkMember::<Runtime>::remove(&old, netuid);
    Axons::<Runtime>::remove(netuid, &old);
    ValidatorPermit::<Runtime>::mutate(netuid, |column| put(column, uid, false));
    ValidatorTrust::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Consensus::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Dividends::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Emission::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    Incentive::<Runtime>::mutate(netuid, |column| put(column, uid, 0));
    LastUpdate::<Runtime>::mutate(netuid, |column| put(column, uid, SubtensorModule::now()));
    Weights::<Runtime>::remove(netuid, uid);
    for row in 0..SubnetworkN::<Runtime>::get(netuid) {
        Weights::<Runtime>::mutate_exists(netuid, row, |weights| {
            let weights = weights.iter_mut().flatten();
            weights
                .filter(|(to, _)| *to == uid)
                .for_each(|(_, weight)| *weight = 0);
        });
    }
    occupy(netuid, uid, hotkey, coldkey);
    Ok(())
}

/// Sets what is staked on a hotkey, registered or not, in rao.
pub fn set_stake(netuid: u16, hotkey: &AccountId, alpha: u64, root: u64) -> Result<(), CheatError> {
    known(netuid)?;
    TotalHotkeyAlpha::<Runtime>::insert(hotkey, netuid, alpha);
    TotalHotkeyAlpha::<Runtime>::insert(hotkey, 0, root);
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

/// What append and replace have in common.
fn occupy(netuid: u16, uid: u16, hotkey: &AccountId, coldkey: &AccountId) {
    Keys::<Runtime>::insert(netuid, uid, hotkey);
    Uids::<Runtime>::insert(netuid, hotkey, uid);
    IsNetworkMember::<Runtime>::insert(hotkey, netuid, true);
    BlockAtRegistration::<Runtime>::insert(netuid, uid, SubtensorModule::now());
    // A hotkey keeps the coldkey of its first registration.
    if !Owner::<Runtime>::contains_key(hotkey) {
        Owner::<Runtime>::insert(hotkey, coldkey);
        OwnedHotkeys::<Runtime>::append(coldkey, hotkey);
        // Subtensor's nonce check lets an account without a balance sign; FRAME's asks for a reference.
        System::<Runtime>::inc_sufficients(hotkey);
    }
    SubtensorModule::deposit_event(Event::NeuronRegistered(netuid, uid, hotkey.clone()));
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

/// The columns of a subnet are as long as it has uids, because only this module writes them.
fn put<T>(column: &mut [T], uid: u16, value: T) {
    if let Some(cell) = column.get_mut(usize::from(uid)) {
        *cell = value;
    }
}
