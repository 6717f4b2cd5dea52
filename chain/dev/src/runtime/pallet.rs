//! `SubtensorModule`: storage, calls, events and errors as subtensor names, hashes, types and defaults them.
//!
//! What is declared here behaves, but for what `subnet_items` names. What a call checks and does is in `weights`,
//! `registration`, `staking`, `children` and `serving`, what an epoch does in `epoch`.

use frame_support::pallet_macros::import_section;

pub use self::inner::*;

#[expect(
    clippy::cast_possible_truncation,
    clippy::if_not_else,
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "what the FRAME macros write; the arguments of a call are the chain's"
)]
#[import_section(super::calls::calls)]
#[import_section(super::collateral::collateral_items)]
#[import_section(super::errors::errors)]
#[import_section(super::events::events)]
#[import_section(super::network_items::network_items)]
#[import_section(super::neuron_items::neuron_items)]
#[import_section(super::stake_items::stake_items)]
#[import_section(super::subnet_items::subnet_items)]
#[import_section(super::timelocked::timelocked_storage)]
#[frame_support::pallet]
mod inner {
    use std::collections::VecDeque;

    use frame_support::pallet_prelude::*;
    use frame_support::traits::{ConstBool, ConstI16, ConstU8, ConstU16, ConstU64};
    use frame_system::pallet_prelude::*;
    use sp_core::H256;
    use sp_runtime::AccountId32;
    use substrate_fixed::types::{I96F32, U64F64};

    use crate::runtime::collateral::MinerCollateralState;
    use crate::runtime::networks::{NetworkRegistrationInfo, RateLimitKey};
    use crate::runtime::shares::SafeFloat;
    use crate::runtime::staking::{self, Kind, Limit, Move, Place};
    use crate::runtime::types::{
        AxonInfo, ChainIdentityV2, EpochConsensus, PrometheusInfo, SealedWeights, SubnetIdentityV3,
        WeightCommit,
    };
    use crate::runtime::{
        childkey_take, children, collateral, delegate_take, epoch, fees, networks, registration, serving,
        timelocked, weights,
    };

    /// The time that a call without a fee is reckoned to take.
    const CALL_TIME: u64 = 100_000_000;

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId32> {}

    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// Less than so many rao may not be moved.
        #[pallet::constant_name(InitialMinStake)]
        fn least_stake() -> u64 {
            staking::LEAST
        }
        /// Less than so many rao may not be given to another coldkey.
        #[pallet::constant_name(InitialMinTransfer)]
        fn least_transfer() -> u64 {
            staking::LEAST_GIVEN
        }
    }

    /// What an owner or a hotkey is when there is none.
    #[pallet::type_value]
    pub fn ZeroAccount() -> AccountId32 {
        AccountId32::new([0; 32])
    }
    /// Low and high, parts of 65535.
    #[pallet::type_value]
    pub fn DefaultAlphaValues() -> (u16, u16) {
        (45_875, 58_982)
    }
    /// 1.26
    #[pallet::type_value]
    pub fn DefaultBurnIncrease() -> U64F64 {
        U64F64::from_bits(0x1_428f_5c28_f5c2_9000)
    }
    /// 1
    #[pallet::type_value]
    pub fn DefaultDrainRatio() -> U64F64 {
        U64F64::from_num(1)
    }
    /// 0.000003
    #[pallet::type_value]
    pub fn DefaultMovingAlpha() -> I96F32 {
        I96F32::from_bits(0x3255)
    }
    #[pallet::type_value]
    pub fn DefaultTokenSymbol() -> Vec<u8> {
        b"\xf0\x9d\x9c\x8f".to_vec()
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            registration::step();
            timelocked::step();
            epoch::step();
            Weight::zero()
        }

        fn on_idle(_: BlockNumberFor<T>, _: Weight) -> Weight {
            networks::settle();
            Weight::zero()
        }
    }

    impl<T: Config> Pallet<T> {
        /// The block being made, or the last one made.
        pub fn now() -> u64 {
            use sp_runtime::SaturatedConversion as _;
            frame_system::Pallet::<T>::block_number().saturated_into()
        }
    }
}
