//! What every block brings: TAO and alpha into the pools of subnets that are started, alpha for those who work on them,
//! and the moving price by which subnets share the TAO.

use substrate_fixed::types::{I96F32, U64F64, U96F32};

use super::pallet::{
    BlockEmission, EMAPriceHalvingBlocks, FirstEmissionBlockNumber, NetworkRegistrationAllowed,
    OwnerCutEnabled, PendingOwnerCut, PendingServerEmission, PendingValidatorEmission, RootProp,
    SubnetAlphaIn, SubnetAlphaInEmission, SubnetAlphaOut, SubnetAlphaOutEmission, SubnetEmissionEnabled,
    SubnetExcessTao, SubnetMovingAlpha, SubnetMovingPrice, SubnetProtocolAlpha, SubnetTAO,
    SubnetTaoInEmission, SubtokenEnabled, TaoWeight, TotalStake,
};
use super::swap::{self, Order, Terms, UNIT, has_pool};
use super::{Balances, Runtime, SubtensorModule};

/// Of TAO, and of the alpha of each subnet, there will be so many rao.
const SUPPLY: u64 = 21_000_000 * UNIT;

/// The owner's part of what a subnet emits, of 65535.
const OWNER_CUT: u64 = 11_796;

/// What a block brings where there are so many rao: half as much whenever half of what was left has come
/// (`get_block_emission_for_issuance`).
fn emission(issued: u64, at_first: u64) -> u64 {
    let Some(left) = SUPPLY.checked_sub(issued).filter(|left| *left > 0) else {
        return 0;
    };
    at_first >> (SUPPLY / left).ilog2()
}

/// Rao of TAO that this block brings. What is in pools is on no account.
pub fn block_emission() -> u64 {
    let issued = Balances::total_issuance().saturating_add(TotalStake::<Runtime>::get());
    emission(issued, BlockEmission::<Runtime>::get())
}

/// The price by which a subnet is compared with others (`get_moving_alpha_price`).
pub fn moving_price(netuid: u16) -> U64F64 {
    if has_pool(netuid) {
        U64F64::saturating_from_num(SubnetMovingPrice::<Runtime>::get(netuid))
    } else {
        U64F64::from_num(1)
    }
}

/// Whether a subnet emits (`get_subnets_to_emit_to`). Those without a pool need no start.
fn emits(netuid: u16) -> bool {
    !has_pool(netuid)
        || FirstEmissionBlockNumber::<Runtime>::contains_key(netuid)
            && SubtokenEnabled::<Runtime>::get(netuid)
            && NetworkRegistrationAllowed::<Runtime>::get(netuid)
}

/// What happens in each block where epochs run: before them.
pub fn step(netuids: &[u16]) {
    let emitting: Vec<u16> = netuids.iter().copied().filter(|netuid| emits(*netuid)).collect();
    let pools: Vec<u16> = emitting
        .iter()
        .copied()
        .filter(|netuid| has_pool(*netuid))
        .collect();
    let tao = block_emission();
    for (netuid, share) in shares(&pools) {
        let part = U64F64::from_num(tao).saturating_mul(share).saturating_to_num();
        inject(netuid, part);
    }
    for netuid in emitting {
        accrue(netuid);
    }
}

/// And after them.
pub fn after(netuids: &[u16]) {
    for netuid in netuids.iter().copied() {
        if has_pool(netuid) && emits(netuid) {
            follow(netuid);
            RootProp::<Runtime>::insert(netuid, U64F64::saturating_from_num(root_proportion(netuid)));
        }
    }
}

/// How subnets with pools share the TAO of a block: by their moving prices, if it is let to them. The chain counts too
/// what miners do not get.
fn shares(pools: &[u16]) -> Vec<(u16, U64F64)> {
    let price = |netuid: u16| {
        if SubnetEmissionEnabled::<Runtime>::get(netuid) {
            moving_price(netuid)
        } else {
            U64F64::from_num(0)
        }
    };
    let all = pools.iter().fold(U64F64::from_num(0), |sum, netuid| {
        sum.saturating_add(price(*netuid))
    });
    let share = |netuid: u16| price(netuid).checked_div(all).unwrap_or_default();
    pools.iter().map(|netuid| (*netuid, share(*netuid))).collect()
}

/// Alpha of a subnet that there is.
fn alpha_issued(netuid: u16) -> u64 {
    SubnetAlphaIn::<Runtime>::get(netuid).saturating_add(SubnetAlphaOut::<Runtime>::get(netuid))
}

fn alpha_emission(netuid: u16) -> u64 {
    if has_pool(netuid) {
        emission(alpha_issued(netuid), UNIT)
    } else {
        UNIT
    }
}

/// What root stake weighs beside the alpha of a subnet, of both.
fn root_proportion(netuid: u16) -> U96F32 {
    let weight = U96F32::from_num(TaoWeight::<Runtime>::get()) / U96F32::from_num(u64::MAX);
    let root = U96F32::from_num(SubnetTAO::<Runtime>::get(0)).saturating_mul(weight);
    let both = root.saturating_add(U96F32::from_num(alpha_issued(netuid)));
    root.checked_div(both).unwrap_or_default()
}

/// Puts TAO into a pool, with alpha at its price beside it: at most the part of root in the alpha of the block. What TAO
/// is left then buys alpha for the chain itself (`compute_subnet_emission_terms`,
/// `inject_pool_liquidity_and_swap_excess`).
fn inject(netuid: u16, tao: u64) {
    let number = U96F32::from_num(tao);
    let price = U96F32::saturating_from_num(swap::price(netuid));
    let mut alpha_in = number.checked_div(price).unwrap_or_default();
    let mut tao_in = number;
    let most = root_proportion(netuid).saturating_mul(U96F32::from_num(alpha_emission(netuid)));
    if alpha_in > most {
        alpha_in = most;
        tao_in = most.saturating_mul(price);
    }
    let excess: u64 = number.saturating_sub(tao_in).saturating_to_num();
    SubnetExcessTao::<Runtime>::insert(netuid, 0);
    if excess > 0
        && let Ok(bought) = swap::swap(netuid, Order::Buy, excess, Terms::free(Order::Buy))
    {
        SubnetProtocolAlpha::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_add(bought.got));
        SubnetExcessTao::<Runtime>::insert(netuid, bought.paid);
    }
    let (tao_in, alpha_in): (u64, u64) = (tao_in.saturating_to_num(), alpha_in.saturating_to_num());
    SubnetTaoInEmission::<Runtime>::insert(netuid, tao_in);
    SubnetAlphaInEmission::<Runtime>::insert(netuid, alpha_in);
    SubnetTAO::<Runtime>::mutate(netuid, |tao| *tao = tao.saturating_add(tao_in));
    SubnetAlphaIn::<Runtime>::mutate(netuid, |alpha| *alpha = alpha.saturating_add(alpha_in));
    TotalStake::<Runtime>::mutate(|total| *total = total.saturating_add(tao_in));
}

/// Miners and validators share what the owner does not take.
fn accrue(netuid: u16) {
    let emitted = alpha_emission(netuid);
    let cut = if OwnerCutEnabled::<Runtime>::get(netuid) {
        emitted * OWNER_CUT / u64::from(u16::MAX)
    } else {
        0
    };
    SubnetAlphaOut::<Runtime>::mutate(netuid, |rao| *rao = rao.saturating_add(emitted));
    SubnetAlphaOutEmission::<Runtime>::insert(netuid, emitted);
    PendingOwnerCut::<Runtime>::mutate(netuid, |rao| *rao = rao.saturating_add(cut));
    let rest = emitted - cut;
    let servers = rest / 2;
    PendingServerEmission::<Runtime>::mutate(netuid, |rao| *rao = rao.saturating_add(servers));
    PendingValidatorEmission::<Runtime>::mutate(netuid, |rao| *rao = rao.saturating_add(rest - servers));
}

/// Lets the moving price follow the price, of which no more than 1 counts: the quicker, the longer ago the start is
/// (`update_moving_price`).
fn follow(netuid: u16) {
    let started = FirstEmissionBlockNumber::<Runtime>::get(netuid).unwrap_or_default();
    let since = SubtensorModule::now().saturating_sub(started.saturating_sub(1));
    let both = since.saturating_add(EMAPriceHalvingBlocks::<Runtime>::get(netuid));
    let part = U64F64::from_num(since).checked_div(U64F64::from_num(both));
    let quickness = U64F64::saturating_from_num(SubnetMovingAlpha::<Runtime>::get());
    let new = quickness.saturating_mul(part.unwrap_or_default());
    let one = U64F64::from_num(1);
    let comes = new.saturating_mul(swap::price(netuid).min(one));
    let stays = one.saturating_sub(new).saturating_mul(moving_price(netuid));
    let moved = I96F32::saturating_from_num(comes.saturating_add(stays));
    SubnetMovingPrice::<Runtime>::insert(netuid, moved);
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::Genesis;
    use crate::runtime::{System, cheats};

    /// Runs at block 100 over subnet 1 with 1000 TAO and 2000 alpha in its pool, and so much TAO on root that it weighs
    /// as much as that alpha.
    fn with_a_pool(test: impl FnOnce()) {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            System::set_block_number(100);
            cheats::set_pool(1, 1_000 * UNIT, 2_000 * UNIT).unwrap();
            SubnetAlphaOut::<Runtime>::insert(1, 0);
            TaoWeight::<Runtime>::put(u64::MAX);
            SubnetTAO::<Runtime>::insert(0, 2_000 * UNIT);
            SubnetMovingPrice::<Runtime>::insert(1, I96F32::from_num(0.5));
            test();
        });
    }

    #[test]
    fn a_block_brings_half_as_much_after_each_half() {
        let half = SUPPLY / 2;
        assert_eq!(emission(0, UNIT), UNIT);
        assert_eq!(emission(half - 1, UNIT), UNIT);
        assert_eq!(emission(half, UNIT), UNIT / 2);
        assert_eq!(emission(half + half / 2, UNIT), UNIT / 4);
        assert_eq!((emission(SUPPLY, UNIT), emission(u64::MAX, UNIT)), (0, 0));
    }

    #[test]
    fn tao_comes_into_the_pool_with_alpha_at_its_price_and_buys_with_the_rest() {
        with_a_pool(|| {
            // Root weighs a half, so half an alpha comes, with a quarter of a TAO at a price of a half.
            let before = swap::price_in_rao(1);
            inject(1, UNIT);
            assert_eq!(SubnetAlphaInEmission::<Runtime>::get(1), UNIT / 2);
            assert_eq!(SubnetTaoInEmission::<Runtime>::get(1), UNIT / 4);
            // Three quarters of a TAO bought what 1000 and 2000 give for them: 2000 * 0.75 / 1000.75.
            assert_eq!(SubnetExcessTao::<Runtime>::get(1), UNIT / 4 * 3);
            let bought = SubnetProtocolAlpha::<Runtime>::get(1);
            assert!(bought.abs_diff(1_498_875_843) <= 3, "{bought}");
            assert_eq!(SubnetTAO::<Runtime>::get(1), 1_001 * UNIT);
            assert_eq!(SubnetAlphaIn::<Runtime>::get(1), 2_000 * UNIT - bought + UNIT / 2);
            assert!(swap::price_in_rao(1) > before);
            // So little that all of it fits leaves the price.
            let before = swap::price_in_rao(1);
            inject(1, UNIT / 10);
            assert_eq!(SubnetTaoInEmission::<Runtime>::get(1), UNIT / 10);
            assert_eq!(SubnetExcessTao::<Runtime>::get(1), 0);
            assert!(swap::price_in_rao(1).abs_diff(before) <= 1);
        });
    }

    #[test]
    fn subnets_share_by_their_moving_prices_if_they_may() {
        with_a_pool(|| {
            for (netuid, price) in [(2, 1.5), (3, 2.0)] {
                let owner = super::super::AccountId::new([1; 32]);
                cheats::add_subnet(netuid, 10, &owner, &owner);
                cheats::set_pool(netuid, UNIT, UNIT).unwrap();
                SubnetMovingPrice::<Runtime>::insert(netuid, I96F32::from_num(price));
            }
            SubnetEmissionEnabled::<Runtime>::insert(3, false);
            let shared = shares(&[1, 2, 3]);
            let share = |at: usize| shared[at].1;
            let quarters = [1, 3, 0].map(|of| U64F64::from_num(of) / 4);
            assert_eq!([share(0), share(1), share(2)], quarters);
            // One that is not let, or not started, gets no TAO; the former works on.
            let out = |netuid| SubnetAlphaOut::<Runtime>::get(netuid);
            FirstEmissionBlockNumber::<Runtime>::remove(2);
            step(&[1, 2, 3]);
            assert_eq!([1, 2, 3].map(SubnetTaoInEmission::<Runtime>::get)[1..], [0, 0]);
            assert_eq!((out(2), out(3)), (0, UNIT));
            assert_eq!(PendingOwnerCut::<Runtime>::get(3), 179_995_422);
        });
    }

    #[test]
    fn the_moving_price_follows_the_price_slowly() {
        with_a_pool(|| {
            // Started at 100; 201 600 blocks on it follows half as quickly as 0.000003, or 12885 of 2^32.
            System::set_block_number(99 + 201_600);
            SubnetAlphaIn::<Runtime>::insert(1, 1_000 * UNIT);
            follow(1);
            let moved = SubnetMovingPrice::<Runtime>::get(1).to_num::<f64>();
            let expected = 0.5 + 0.5 * 12_885.0 / 2f64.powi(32) / 2.0;
            assert!((moved - expected).abs() < 1e-9, "{moved}");
            // A price above 1 counts as 1.
            SubnetAlphaIn::<Runtime>::insert(1, UNIT);
            SubnetMovingPrice::<Runtime>::insert(1, I96F32::from_num(1));
            follow(1);
            assert!(SubnetMovingPrice::<Runtime>::get(1) <= 1);
        });
    }
}
