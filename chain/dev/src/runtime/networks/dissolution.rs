//! Subnets that go: which is the next, who gets what is in its pool, and what becomes of its state.

use frame_support::ensure;
use frame_support::pallet_prelude::DispatchResult;
use frame_support::traits::fungible::Mutate as _;

use super::{found, is_full};
use crate::runtime::pallet::{
    Active, ActivityCutoffFactorMilli, AlphaDividendsPerSubnet, AlphaV2, Axons, BlockAtRegistration,
    BlocksSinceLastStep, Bonds, Burn, ChildKeys, ChildkeyTake, ColdkeyMinerCollateral, CollateralDrainRatio,
    CollateralLockShare, CommitRevealWeightsEnabled, Consensus, ConsensusByMechanism, DissolveCleanupQueue,
    Dividends, Emission, Error, Event, FirstEmissionBlockNumber, ImmunityPeriod, Incentive, IsNetworkMember,
    Keys, LastEpochBlock, LastHotkeyEmissionOnNetuid, LastMechansimStepBlock, LastUpdate, MaxAllowedUids,
    MaxBurn, MechanismCountCurrent, MechanismEmissionSplit, MinBurn, MinerCollateral, NetworkImmunityPeriod,
    NetworkRegisteredAt, NetworkRegistrationQueue, NetworksAdded, ParentKeys, PendingChildKeys,
    PendingEpochAt, PendingOwnerCut, PendingServerEmission, PendingValidatorEmission, Prometheus, RootProp,
    ServingRateLimit, StakeWeight, SubnetAlphaIn, SubnetAlphaInEmission, SubnetAlphaOut,
    SubnetAlphaOutEmission, SubnetEmissionEnabled, SubnetEpochIndex, SubnetExcessTao, SubnetIdentitiesV3,
    SubnetLocked, SubnetMechanism, SubnetMovingPrice, SubnetOwner, SubnetOwnerHotkey, SubnetProtocolAlpha,
    SubnetTAO, SubnetTaoInEmission, SubnetVolume, SubnetworkN, SubtokenEnabled, Tempo,
    TimelockedWeightCommits, TokenSymbol, TotalHotkeyAlpha, TotalHotkeySharesV2, TotalNetworks, TotalStake,
    TransactionKeyLastBlock, TransferToggle, Uids, ValidatorPermit, ValidatorTrust, WeightCommits, Weights,
    WeightsSetRateLimit, WeightsVersionKey, Yuma3On,
};
use crate::runtime::swap::{FeeRate, PalSwapInitialized, SwapBalancer};
use crate::runtime::weights::netuid_index;
use crate::runtime::{AccountId, Balances, Runtime, SubtensorModule, coinbase, shares, subnets};

/// The subnet that makes room for another: of those that are old enough the one with the least moving price, then the
/// oldest (`get_network_to_prune`).
pub fn to_prune() -> Option<u16> {
    let now = SubtensorModule::now();
    let period = NetworkImmunityPeriod::<Runtime>::get();
    let candidates = subnets::netuids().into_iter().filter(|netuid| *netuid != 0);
    let candidates = candidates.filter_map(|netuid| {
        let registered = NetworkRegisteredAt::<Runtime>::get(netuid);
        let is_immune = now < registered.saturating_add(period);
        (!is_immune).then(|| (coinbase::moving_price(netuid), registered, netuid))
    });
    candidates.min().map(|(_, _, netuid)| netuid)
}

/// Ends a subnet (`do_dissolve_network`). What is left of it goes at the end of the block.
pub fn dissolve(netuid: u16) -> DispatchResult {
    ensure!(
        netuid != 0 && NetworksAdded::<Runtime>::get(netuid),
        Error::<Runtime>::SubnetNotExists
    );
    NetworksAdded::<Runtime>::remove(netuid);
    TotalNetworks::<Runtime>::mutate(|total| *total = total.saturating_sub(1));
    let tao = SubnetTAO::<Runtime>::get(netuid);
    TotalStake::<Runtime>::mutate(|total| *total = total.saturating_sub(tao));
    DissolveCleanupQueue::<Runtime>::append(netuid);
    SubtensorModule::deposit_event(Event::NetworkRemoved(netuid));
    Ok(())
}

/// At the end of a block: clears away what is gone, and makes the subnet that waits. The chain takes as many blocks for
/// it as it needs.
pub fn settle() {
    for netuid in DissolveCleanupQueue::<Runtime>::take() {
        pay_out(netuid);
        forget(netuid);
        SubtensorModule::deposit_event(Event::NetworkDissolveCleanupCompleted { netuid });
    }
    while !is_full() {
        let next =
            NetworkRegistrationQueue::<Runtime>::mutate(|queue| (!queue.is_empty()).then(|| queue.remove(0)));
        let Some(next) = next else { return };
        found(next);
    }
}

/// All who have stake share what is in the pool by how much they have; the alpha of the chain itself counts too, and its
/// part is gone (`destroy_alpha_in_out_stakes`).
fn pay_out(netuid: u16) {
    let hotkeys: Vec<AccountId> = TotalHotkeyAlpha::<Runtime>::iter_keys()
        .filter_map(|(hotkey, of)| (of == netuid).then_some(hotkey))
        .collect();
    let mut stakes: Vec<(AccountId, AccountId, u64)> = Vec::new();
    for hotkey in hotkeys {
        let coldkeys: Vec<AccountId> = AlphaV2::<Runtime>::iter_key_prefix((&hotkey,))
            .filter_map(|(coldkey, of)| (of == netuid).then_some(coldkey))
            .collect();
        for coldkey in coldkeys {
            let stake = shares::stake(&hotkey, &coldkey, netuid);
            AlphaV2::<Runtime>::remove((&hotkey, &coldkey, netuid));
            stakes.push((hotkey.clone(), coldkey, stake));
        }
        TotalHotkeyAlpha::<Runtime>::remove(&hotkey, netuid);
        TotalHotkeySharesV2::<Runtime>::remove(&hotkey, netuid);
        LastHotkeyEmissionOnNetuid::<Runtime>::remove(&hotkey, netuid);
    }
    let mut own = u128::from(SubnetProtocolAlpha::<Runtime>::get(netuid));
    // So it is since the pool is counted at all; genesis was before.
    if NetworkRegisteredAt::<Runtime>::get(netuid) > 0 {
        own += u128::from(SubnetAlphaIn::<Runtime>::get(netuid));
    }
    let whole = stakes
        .iter()
        .fold(own, |sum, (_, _, stake)| sum + u128::from(*stake));
    let tao = u128::from(SubnetTAO::<Runtime>::get(netuid));
    let mut parts: Vec<(u128, AccountId, u128)> = Vec::new();
    for (_, coldkey, stake) in stakes {
        let product = tao * u128::from(stake);
        let rest = product.checked_rem(whole).unwrap_or_default();
        parts.push((rest, coldkey, product.checked_div(whole).unwrap_or_default()));
    }
    // What rounding leaves goes to whom it took most from.
    let rests = parts.iter().fold(0, |sum, (rest, ..)| sum + *rest);
    let left = usize::try_from(rests.checked_div(whole).unwrap_or_default()).unwrap_or_default();
    parts.sort_by_key(|(rest, ..)| std::cmp::Reverse(*rest));
    for (at, (_, coldkey, rao)) in parts.into_iter().enumerate() {
        let rao = rao + u128::from(at < left);
        // An account that would have less than the least is not made.
        let _ = Balances::mint_into(&coldkey, u64::try_from(rao).unwrap_or(u64::MAX));
    }
}

/// Takes everything away that is kept of a subnet.
fn forget(netuid: u16) {
    for (uid, hotkey) in Keys::<Runtime>::drain_prefix(netuid).collect::<Vec<_>>() {
        IsNetworkMember::<Runtime>::remove(&hotkey, netuid);
        BlockAtRegistration::<Runtime>::remove(netuid, uid);
    }
    forget_mechanisms(netuid);
    forget_relations(netuid);
    macro_rules! clear_below {
        ($($map:ident)*) => { $(let _ = $map::<Runtime>::clear_prefix(netuid, u32::MAX, None);)* };
    }
    clear_below!(Uids Axons Prometheus AlphaDividendsPerSubnet PendingChildKeys ColdkeyMinerCollateral);
    let _ = MinerCollateral::<Runtime>::clear_prefix((netuid,), u32::MAX, None);
    macro_rules! remove {
        ($($map:ident)*) => { $($map::<Runtime>::remove(netuid);)* };
    }
    remove!(
        SubnetworkN Active ValidatorPermit ValidatorTrust Consensus Dividends Emission StakeWeight
        SubnetOwner SubnetOwnerHotkey SubnetIdentitiesV3 TokenSymbol NetworkRegisteredAt SubnetLocked
        FirstEmissionBlockNumber SubnetEmissionEnabled SubtokenEnabled TransferToggle Tempo LastEpochBlock
        PendingEpochAt SubnetEpochIndex BlocksSinceLastStep LastMechansimStepBlock PendingServerEmission
        PendingValidatorEmission PendingOwnerCut SubnetMechanism SubnetTAO SubnetAlphaIn SubnetAlphaOut
        SubnetVolume SubnetAlphaInEmission SubnetAlphaOutEmission SubnetTaoInEmission SubnetMovingPrice
        SubnetExcessTao SubnetProtocolAlpha RootProp Burn MinBurn MaxBurn ImmunityPeriod MaxAllowedUids
        WeightsSetRateLimit WeightsVersionKey CommitRevealWeightsEnabled ActivityCutoffFactorMilli
        ServingRateLimit Yuma3On CollateralLockShare CollateralDrainRatio MechanismCountCurrent
        MechanismEmissionSplit FeeRate SwapBalancer PalSwapInitialized
    );
}

fn forget_mechanisms(netuid: u16) {
    for mechanism in 0..MechanismCountCurrent::<Runtime>::get(netuid) {
        let index = netuid_index(netuid, mechanism);
        LastUpdate::<Runtime>::remove(index);
        Incentive::<Runtime>::remove(index);
        ConsensusByMechanism::<Runtime>::remove(index);
        macro_rules! clear_below {
            ($($map:ident)*) => { $(let _ = $map::<Runtime>::clear_prefix(index, u32::MAX, None);)* };
        }
        clear_below!(Weights Bonds WeightCommits TimelockedWeightCommits);
    }
}

/// What is kept by hotkey first.
fn forget_relations(netuid: u16) {
    macro_rules! forget {
        ($($map:ident)*) => { $(
            let of: Vec<AccountId> = $map::<Runtime>::iter_keys()
                .filter_map(|(hotkey, of)| (of == netuid).then_some(hotkey))
                .collect();
            of.iter().for_each(|hotkey| $map::<Runtime>::remove(hotkey, netuid));
        )* };
    }
    forget!(ChildKeys ParentKeys ChildkeyTake);
    let calls: Vec<_> = TransactionKeyLastBlock::<Runtime>::iter_keys()
        .filter(|(_, of, _)| *of == netuid)
        .collect();
    calls.iter().for_each(TransactionKeyLastBlock::<Runtime>::remove);
}
