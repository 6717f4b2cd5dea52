//! Fees: none, or what the chain charges: a part of the weight of the call and of what every extrinsic costs, a rao for
//! each byte, and the tip. Calls of hotkeys are free there: weights, commitments, and where a neuron serves.
//!
//! Who has not enough TAO pays with the stake that the call would move, if it moves any: it is sold. What is paid is gone.

use codec::{Decode, Encode};
use frame_support::dispatch::DispatchInfo;
use frame_support::traits::IsSubType as _;
use frame_support::weights::{Weight, WeightToFee};
use pallet_transaction_payment::{FungibleAdapter, OnChargeTransaction};
use serde::Deserialize;
use sp_runtime::Perbill;
use sp_runtime::traits::PostDispatchInfoOf;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

use super::pallet::{Call, Event};
use super::swap::{self, Order, Terms};
use super::{AccountId, Balance, Balances, Runtime, RuntimeCall, SubtensorModule, shares};

/// What calls cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fees {
    /// Nothing but the tip.
    #[default]
    None,
    /// What the chain charges.
    Real,
}

/// Holds which of them it is.
const KEY: &[u8] = b":violet:fees";

/// Half a rao for 1000 picoseconds of weight.
const PER_TIME: Perbill = Perbill::from_parts(500_000);

// What the chain reckons for its calls, measured in July 2026, between versions 439 and 446 of its runtime.
pub const ADD_STAKE: Weight = reckoned(310_000_000, 8_727, 32, 16);
pub const REMOVE_STAKE: Weight = reckoned(299_000_000, 10_557, 30, 13);
pub const MOVE_STAKE: Weight = reckoned(110_000_000, 7_919, 20, 7);
pub const TRANSFER_STAKE: Weight = reckoned(142_000_000, 7_963, 21, 7);
pub const SWAP_STAKE: Weight = reckoned(388_000_000, 10_920, 49, 24);
pub const BURNED_REGISTER: Weight = reckoned(365_124_000, 6_148, 34, 29);
pub const SET_CHILDREN: Weight = reckoned(55_660_572, 9_951, 17, 2);
pub const SET_CHILDKEY_TAKE: Weight = reckoned(28_000_000, 4_498, 8, 2);
pub const ADD_STAKE_LIMIT: Weight = reckoned(395_000_000, 8_727, 32, 16);
pub const REMOVE_STAKE_LIMIT: Weight = reckoned(387_000_000, 10_591, 29, 13);
pub const SWAP_STAKE_LIMIT: Weight = reckoned(484_000_000, 11_077, 49, 24);
pub const REGISTER_NETWORK: Weight = reckoned(153_000_000, 9_947, 42, 48);
pub const START_CALL: Weight = reckoned(21_000_000, 4_583, 5, 2);
pub const DECREASE_TAKE: Weight = reckoned(16_000_000, 4_295, 3, 2);
pub const INCREASE_TAKE: Weight = reckoned(19_000_000, 4_388, 5, 2);
pub const ADD_COLLATERAL: Weight = reckoned(371_000_000, 8_542, 34, 17);
pub const SET_MIN_COLLATERAL: Weight = reckoned(21_000_000, 4_480, 4, 1);
pub const SERVE_AXON: Weight = reckoned(19_000_000, 4_293, 4, 1);

/// What checks of the chain's own add to every call.
const CHECKS: Weight = Weight::from_parts(60_000_000, 4_198);

/// Picoseconds, bytes of proof, and values read and written in the chain's database.
const fn reckoned(time: u64, proof: u64, reads: u64, writes: u64) -> Weight {
    Weight::from_parts(time + 25_000_000 * reads + 100_000_000 * writes, proof)
}

/// What calls cost from now on.
pub fn set(fees: Fees) {
    sp_io::storage::set(KEY, &fees.encode());
}

fn are_charged() -> bool {
    let stored = sp_io::storage::get(KEY).and_then(|value| Fees::decode(&mut &*value).ok());
    stored.unwrap_or_default() == Fees::Real
}

/// For weight.
pub struct ByTime;

impl WeightToFee for ByTime {
    type Balance = Balance;

    fn weight_to_fee(weight: &Weight) -> Balance {
        if are_charged() {
            PER_TIME * weight.ref_time()
        } else {
            0
        }
    }
}

/// For bytes.
pub struct ByLength;

impl WeightToFee for ByLength {
    type Balance = Balance;

    fn weight_to_fee(length: &Weight) -> Balance {
        if are_charged() { length.ref_time() } else { 0 }
    }
}

/// What the extensions of an extrinsic weigh. The chain reckons for its checks alone.
pub struct Extensions;

impl pallet_transaction_payment::WeightInfo for Extensions {
    fn charge_transaction_payment() -> Weight {
        CHECKS
    }
}

impl frame_system::ExtensionsWeightInfo for Extensions {
    fn check_genesis() -> Weight {
        Weight::zero()
    }
    fn check_mortality_mortal_transaction() -> Weight {
        Weight::zero()
    }
    fn check_mortality_immortal_transaction() -> Weight {
        Weight::zero()
    }
    fn check_non_zero_sender() -> Weight {
        Weight::zero()
    }
    fn check_nonce() -> Weight {
        Weight::zero()
    }
    fn check_spec_version() -> Weight {
        Weight::zero()
    }
    fn check_tx_version() -> Weight {
        Weight::zero()
    }
    fn check_weight() -> Weight {
        Weight::zero()
    }
    fn weight_reclaim() -> Weight {
        Weight::zero()
    }
}

/// Takes TAO, and stake where there is too little of it.
pub struct Charge;

type Tao = FungibleAdapter<Balances, ()>;

/// What was taken.
#[derive(Default)]
pub enum Taken {
    #[default]
    Nothing,
    Tao(<Tao as OnChargeTransaction<Runtime>>::LiquidityInfo),
    Stake {
        netuid: u16,
        alpha: u64,
        tao: u64,
    },
}

impl OnChargeTransaction<Runtime> for Charge {
    type Balance = Balance;
    type LiquidityInfo = Taken;

    fn withdraw_fee(
        who: &AccountId,
        call: &RuntimeCall,
        info: &DispatchInfo,
        fee: Balance,
        tip: Balance,
    ) -> Result<Taken, TransactionValidityError> {
        match <Tao as OnChargeTransaction<Runtime>>::withdraw_fee(who, call, info, fee, tip) {
            Ok(paid) => Ok(Taken::Tao(paid)),
            Err(error) => {
                let (hotkey, netuid) = moved(call).ok_or(error)?;
                // What is left, if it has become less since the call was let in.
                let alpha = swap::worth(netuid, fee).min(shares::stake(hotkey, who, netuid));
                let sold = swap::swap(netuid, Order::Sell, alpha, Terms::free(Order::Sell));
                let tao = sold.map_or(0, |sold| sold.got);
                if tao == 0 {
                    return Err(InvalidTransaction::Payment.into());
                }
                shares::decrease(hotkey, who, netuid, alpha);
                Ok(Taken::Stake { netuid, alpha, tao })
            }
        }
    }

    fn can_withdraw_fee(
        who: &AccountId,
        call: &RuntimeCall,
        info: &DispatchInfo,
        fee: Balance,
        tip: Balance,
    ) -> Result<(), TransactionValidityError> {
        <Tao as OnChargeTransaction<Runtime>>::can_withdraw_fee(who, call, info, fee, tip).or_else(|error| {
            match moved(call) {
                Some((hotkey, netuid)) if shares::stake(hotkey, who, netuid) >= swap::worth(netuid, fee) => {
                    Ok(())
                }
                _ => Err(error),
            }
        })
    }

    fn correct_and_deposit_fee(
        who: &AccountId,
        info: &DispatchInfo,
        post_info: &PostDispatchInfoOf<RuntimeCall>,
        fee: Balance,
        tip: Balance,
        taken: Taken,
    ) -> Result<(), TransactionValidityError> {
        match taken {
            Taken::Nothing => {}
            Taken::Tao(paid) => <Tao as OnChargeTransaction<Runtime>>::correct_and_deposit_fee(
                who, info, post_info, fee, tip, paid,
            )?,
            Taken::Stake { netuid, alpha, tao } => {
                SubtensorModule::deposit_event(Event::TransactionFeePaidWithAlpha {
                    who: who.clone(),
                    netuid,
                    alpha_fee: alpha,
                    tao_amount: tao,
                });
            }
        }
        Ok(())
    }
}

/// The stake that a call moves: its hotkey and subnet.
fn moved(call: &RuntimeCall) -> Option<(&AccountId, u16)> {
    match call.is_sub_type()? {
        Call::remove_stake { hotkey, netuid, .. }
        | Call::remove_stake_limit { hotkey, netuid, .. }
        | Call::remove_stake_full_limit { hotkey, netuid, .. } => Some((hotkey, *netuid)),
        Call::move_stake {
            origin_hotkey,
            origin_netuid,
            ..
        } => Some((origin_hotkey, *origin_netuid)),
        Call::transfer_stake {
            hotkey,
            origin_netuid,
            ..
        }
        | Call::swap_stake {
            hotkey,
            origin_netuid,
            ..
        }
        | Call::swap_stake_limit {
            hotkey,
            origin_netuid,
            ..
        } => Some((hotkey, *origin_netuid)),
        _ => None,
    }
}
