//! Subnets that are registered: what one costs, what it begins with, and which makes room for it.

#![expect(
    clippy::cast_possible_truncation,
    reason = "what the derive of an enum writes"
)]

mod dissolution;
#[cfg(test)]
mod tests;

pub use dissolution::{settle, to_prune};

use codec::{Decode, DecodeWithMemTracking, Encode};
use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_support::traits::fungible::Mutate as _;
use frame_support::traits::tokens::{Fortitude, Precision, Preservation};
use scale_info::TypeInfo;
use sp_runtime::DispatchError;
use substrate_fixed::types::U64F64;

use super::pallet::{
    Burn, DissolveCleanupQueue, Error, Event, FirstEmissionBlockNumber, ImmunityPeriod, Kappa,
    LastEpochBlock, LastRateLimitedBlock, MaxAllowedUids, MaxAllowedValidators, MinAllowedWeights,
    NetworkLastLockCost, NetworkLockReductionInterval, NetworkMinLockCost, NetworkRateLimit,
    NetworkRegisteredAt, NetworkRegistrationAllowed, NetworkRegistrationLockId, NetworkRegistrationQueue,
    NetworkRegistrationStartBlock, NetworksAdded, Owner, RegisteredSubnetCounter, StartCallDelay,
    SubnetAlphaIn, SubnetAlphaOut, SubnetEmissionEnabled, SubnetIdentitiesV3, SubnetLimit, SubnetLocked,
    SubnetMechanism, SubnetOwner, SubnetOwnerHotkey, SubnetTAO, SubnetVolume, SubnetworkN, SubtokenEnabled,
    Tempo, TokenSymbol, TotalNetworks, TotalStake, Yuma3On,
};
use super::types::SubnetIdentityV3;
use super::{AccountId, Balances, Runtime, SubtensorModule, coinbase, registration, staking, subnets, swap};

/// The one kind of subnet that is registered: with a pool.
const DYNAMIC: u16 = 1;

/// Blocks per epoch of a new subnet.
const TEMPO: u16 = 360;

/// Rao that a uid of a new subnet costs.
const BURN: u64 = 1_000_000_000;

/// What may not be done again soon. The chain has more of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum RateLimitKey {
    /// A subnet was registered.
    #[codec(index = 2)]
    NetworkLastRegistered,
    /// A delegate's take was changed.
    #[codec(index = 5)]
    LastTxBlockDelegateTake(AccountId),
}

/// A subnet that waits for room.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct NetworkRegistrationInfo {
    pub coldkey: AccountId,
    pub hotkey: AccountId,
    pub mechid: u16,
    pub identity: Option<SubnetIdentityV3>,
    /// Rao that it costs. The chain locks them until then; here they are taken at once.
    pub lock_amount: u64,
    /// The price that its alpha begins with.
    pub median_subnet_alpha_price: U64F64,
    pub registration_block: u64,
    pub lock_id: u32,
}

/// Rao that the next subnet costs: twice what the last one did, less with each block, until it is the least
/// (`get_network_lock_cost`).
pub fn cost() -> u64 {
    let last = NetworkLastLockCost::<Runtime>::get();
    let at = LastRateLimitedBlock::<Runtime>::get(RateLimitKey::NetworkLastRegistered);
    let times = if at == 0 { 1 } else { 2 };
    let passed = SubtensorModule::now().saturating_sub(at);
    let fallen = last
        .checked_div(reduction_interval())
        .unwrap_or_default()
        .saturating_mul(passed);
    let cost = last.saturating_mul(times).saturating_sub(fallen);
    cost.max(NetworkMinLockCost::<Runtime>::get())
}

/// It is shorter where a block brings less TAO than at first (`get_lock_reduction_interval`).
fn reduction_interval() -> u64 {
    let interval = u128::from(NetworkLockReductionInterval::<Runtime>::get());
    let part = interval * u128::from(coinbase::block_emission()) / u128::from(swap::UNIT);
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Registers a subnet (`do_register_network`).
pub fn register(
    coldkey: &AccountId,
    hotkey: &AccountId,
    identity: Option<SubnetIdentityV3>,
) -> DispatchResult {
    ensure!(
        !Owner::<Runtime>::contains_key(hotkey) || Owner::<Runtime>::get(hotkey) == *coldkey,
        Error::<Runtime>::NonAssociatedColdKey
    );
    let now = SubtensorModule::now();
    ensure!(
        now >= NetworkRegistrationStartBlock::<Runtime>::get(),
        Error::<Runtime>::SubNetRegistrationDisabled
    );
    let last = LastRateLimitedBlock::<Runtime>::get(RateLimitKey::NetworkLastRegistered);
    ensure!(
        last == 0 || now.saturating_sub(last) >= NetworkRateLimit::<Runtime>::get(),
        Error::<Runtime>::NetworkTxRateLimitExceeded
    );
    ensure!(
        identity.as_ref().is_none_or(is_valid),
        Error::<Runtime>::InvalidIdentity
    );
    let full = is_full();
    // A subnet that is gone makes room for one that waits.
    let waits = full
        && DissolveCleanupQueue::<Runtime>::get().len() > NetworkRegistrationQueue::<Runtime>::get().len();
    let pruned = if full && !waits {
        Some(to_prune().ok_or(Error::<Runtime>::SubnetLimitReached)?)
    } else {
        None
    };
    let cost = cost();
    ensure!(
        staking::spendable(coldkey) >= cost,
        Error::<Runtime>::CannotAffordLockCost
    );
    if let Some(netuid) = pruned {
        dissolution::dissolve(netuid)?;
    }
    Balances::burn_from(
        coldkey,
        cost,
        Preservation::Preserve,
        Precision::Exact,
        Fortitude::Polite,
    )?;
    let info = NetworkRegistrationInfo {
        coldkey: coldkey.clone(),
        hotkey: hotkey.clone(),
        mechid: DYNAMIC,
        identity,
        lock_amount: cost,
        median_subnet_alpha_price: swap::median_price(),
        registration_block: now,
        lock_id: NetworkRegistrationLockId::<Runtime>::get(),
    };
    if full {
        queue(info)
    } else {
        found(info);
        Ok(())
    }
}

fn queue(info: NetworkRegistrationInfo) -> DispatchResult {
    let next = info
        .lock_id
        .checked_add(1)
        .ok_or(Error::<Runtime>::LockIdOverFlow)?;
    NetworkRegistrationLockId::<Runtime>::put(next);
    NetworkRegistrationQueue::<Runtime>::append(&info);
    SubtensorModule::deposit_event(Event::NetworkRegistrationQueued {
        coldkey: info.coldkey,
        hotkey: info.hotkey,
        mechid: info.mechid,
        identity: info.identity,
        lock_amount: info.lock_amount,
        median_subnet_alpha_price: info.median_subnet_alpha_price,
        registration_block: info.registration_block,
    });
    Ok(())
}

/// What each field of an identity may have at most (`is_valid_subnet_identity`).
fn is_valid(identity: &SubnetIdentityV3) -> bool {
    identity.subnet_name.len() <= 256
        && identity.github_repo.len() <= 1024
        && identity.subnet_contact.len() <= 1024
        && identity.subnet_url.len() <= 1024
        && identity.discord.len() <= 256
        && identity.description.len() <= 1024
        && identity.logo_url.len() <= 1024
        && identity.additional.len() <= 1024
}

/// Whether there are as many subnets as there may be, with those of which something is left.
fn is_full() -> bool {
    let there = subnets::netuids()
        .into_iter()
        .filter(|netuid| *netuid != 0)
        .count();
    let gone = DissolveCleanupQueue::<Runtime>::get().len();
    there.saturating_add(gone) >= usize::from(SubnetLimit::<Runtime>::get())
}

fn free_netuid() -> u16 {
    let gone = DissolveCleanupQueue::<Runtime>::get();
    let is_free = |netuid: &u16| !NetworksAdded::<Runtime>::get(netuid) && !gone.contains(netuid);
    (1..u16::MAX).find(is_free).unwrap_or(u16::MAX)
}

/// Makes the subnet (`set_new_network_state`): its owner has its first uid, what it cost is in its pool, and there is as
/// much alpha beside that as makes the price the middle of the others'.
fn found(info: NetworkRegistrationInfo) {
    let netuid = free_netuid();
    let now = SubtensorModule::now();
    begin(netuid, TEMPO);
    NetworkLastLockCost::<Runtime>::put(info.lock_amount);
    LastRateLimitedBlock::<Runtime>::insert(RateLimitKey::NetworkLastRegistered, now);
    registration::append_all(netuid, &[(info.hotkey.clone(), info.coldkey.clone())]);
    NetworkRegisteredAt::<Runtime>::insert(netuid, now);
    RegisteredSubnetCounter::<Runtime>::mutate(netuid, |count| *count = count.saturating_add(1));
    TokenSymbol::<Runtime>::insert(netuid, symbol(netuid));
    SubnetLocked::<Runtime>::insert(netuid, info.lock_amount);
    let alpha = U64F64::from_num(info.lock_amount).checked_div(info.median_subnet_alpha_price);
    open_pool(
        netuid,
        info.lock_amount,
        alpha.map_or(0, U64F64::saturating_to_num),
    );
    SubnetOwner::<Runtime>::insert(netuid, &info.coldkey);
    SubnetOwnerHotkey::<Runtime>::insert(netuid, &info.hotkey);
    SubtensorModule::deposit_event(Event::SubnetOwnerHotkeySet(netuid, info.hotkey));
    if let Some(identity) = info.identity {
        SubnetIdentitiesV3::<Runtime>::insert(netuid, identity);
        SubtensorModule::deposit_event(Event::SubnetIdentitySet(netuid));
    }
    SubnetEmissionEnabled::<Runtime>::insert(netuid, false);
    SubtensorModule::deposit_event(Event::NetworkAdded(netuid, info.mechid));
}

/// What every new subnet begins with (`init_new_network`).
fn begin(netuid: u16, tempo: u16) {
    SubnetworkN::<Runtime>::insert(netuid, 0);
    NetworksAdded::<Runtime>::insert(netuid, true);
    Tempo::<Runtime>::insert(netuid, tempo);
    let ahead = u64::from(netuid % tempo.max(1));
    LastEpochBlock::<Runtime>::insert(netuid, SubtensorModule::now().saturating_sub(ahead));
    TotalNetworks::<Runtime>::mutate(|total| *total = total.saturating_add(1));
    NetworkRegistrationAllowed::<Runtime>::insert(netuid, true);
    MaxAllowedUids::<Runtime>::insert(netuid, 256);
    MaxAllowedValidators::<Runtime>::insert(netuid, 64);
    MinAllowedWeights::<Runtime>::insert(netuid, 1);
    ImmunityPeriod::<Runtime>::insert(netuid, 5_000);
    Yuma3On::<Runtime>::insert(netuid, true);
    Burn::<Runtime>::insert(netuid, BURN);
    Kappa::<Runtime>::insert(netuid, 32_767);
}

/// Gives a subnet a pool with so much in it. What it had without one is no more.
pub fn open_pool(netuid: u16, tao: u64, alpha: u64) {
    let before = SubnetTAO::<Runtime>::get(netuid);
    SubnetMechanism::<Runtime>::insert(netuid, DYNAMIC);
    SubnetTAO::<Runtime>::insert(netuid, tao);
    SubnetAlphaIn::<Runtime>::insert(netuid, alpha);
    if !SubnetAlphaOut::<Runtime>::contains_key(netuid) {
        SubnetAlphaOut::<Runtime>::insert(netuid, 0);
    }
    SubnetVolume::<Runtime>::insert(netuid, 0);
    TotalStake::<Runtime>::mutate(|total| *total = total.saturating_sub(before).saturating_add(tao));
}

/// The letter that a subnet's alpha is called by: the one of its number, or the first that is free. The chain knows
/// more letters than these.
fn symbol(netuid: u16) -> Vec<u8> {
    let letters = ('α'..='ω').filter(|letter| *letter != 'ς');
    let letters: Vec<Vec<u8>> = letters.map(|letter| letter.to_string().into_bytes()).collect();
    let taken: Vec<Vec<u8>> = TokenSymbol::<Runtime>::iter_values().collect();
    let is_free = |letter: &&Vec<u8>| !taken.contains(letter);
    let own = letters.get(usize::from(netuid.saturating_sub(1)));
    let letter = own.filter(is_free).or_else(|| letters.iter().find(is_free));
    letter.map_or_else(|| "Τ".as_bytes().to_vec(), Clone::clone)
}

/// Lets a subnet emit from the next block on, and its alpha be bought (`do_start_call`).
pub fn start(coldkey: &AccountId, netuid: u16) -> DispatchResult {
    ensure!(
        NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    ensure!(
        SubnetOwner::<Runtime>::get(netuid) == *coldkey,
        DispatchError::BadOrigin
    );
    ensure!(
        !FirstEmissionBlockNumber::<Runtime>::contains_key(netuid),
        Error::<Runtime>::FirstEmissionBlockNumberAlreadySet
    );
    let registered = NetworkRegisteredAt::<Runtime>::get(netuid);
    let now = SubtensorModule::now();
    ensure!(
        now >= registered.saturating_add(StartCallDelay::<Runtime>::get()),
        Error::<Runtime>::StartCallNotReady
    );
    let first = now.saturating_add(1);
    FirstEmissionBlockNumber::<Runtime>::insert(netuid, first);
    SubtokenEnabled::<Runtime>::insert(netuid, true);
    SubtensorModule::deposit_event(Event::FirstEmissionBlockNumberSet(netuid, first));
    Ok(())
}
