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
#[import_section(super::errors::errors)]
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

    use crate::runtime::shares::SafeFloat;
    use crate::runtime::staking::{self, Move, Place};
    use crate::runtime::types::{
        AxonInfo, ChainIdentityV2, EpochConsensus, PrometheusInfo, SealedWeights, SubnetIdentityV3,
        WeightCommit,
    };
    use crate::runtime::{childkey_take, children, epoch, fees, registration, serving, timelocked, weights};

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
    #[pallet::type_value]
    pub fn DefaultTokenSymbol() -> Vec<u8> {
        b"\xf0\x9d\x9c\x8f".to_vec()
    }

    // The indices are those of the chain, which has many more of each.

    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// A coldkey paid rao for stake on a hotkey: coldkey, hotkey, TAO, alpha, netuid, fee.
        #[codec(index = 2)]
        StakeAdded(T::AccountId, T::AccountId, u64, u64, u16, u64),
        /// A coldkey got rao for stake on a hotkey.
        #[codec(index = 3)]
        StakeRemoved(T::AccountId, T::AccountId, u64, u64, u16, u64),
        /// Stake went to another hotkey: coldkey, from hotkey and netuid, to hotkey and netuid, TAO.
        #[codec(index = 4)]
        StakeMoved(T::AccountId, T::AccountId, u16, T::AccountId, u16, u64),
        /// A uid set weights on a mechanism, named by its `netuid_index`.
        #[codec(index = 5)]
        WeightsSet(u16, u16),
        /// A hotkey took a uid of a subnet.
        #[codec(index = 7)]
        NeuronRegistered(u16, u16, T::AccountId),
        /// A hotkey said where it serves on a subnet.
        #[codec(index = 29)]
        AxonServed(u16, T::AccountId),
        /// A child keeps this part of 65535 of what it earns for its parents.
        #[codec(index = 49)]
        ChildKeyTakeSet(T::AccountId, u16),
        /// A hotkey will have these children, from an epoch after the block on.
        #[codec(index = 76)]
        SetChildrenScheduled(T::AccountId, u16, u64, Vec<(u64, T::AccountId)>),
        /// A hotkey has these children.
        #[codec(index = 77)]
        SetChildren(T::AccountId, u16, Vec<(u64, T::AccountId)>),
        /// A hotkey committed to weights on a `netuid_index` by their hash.
        #[codec(index = 86)]
        WeightsCommitted(T::AccountId, u16, H256),
        /// A hotkey revealed the weights of the hash.
        #[codec(index = 87)]
        WeightsRevealed(T::AccountId, u16, H256),
        /// Stake went to another coldkey: from, to, hotkey, from netuid, to netuid, TAO.
        #[codec(index = 92)]
        StakeTransferred(T::AccountId, T::AccountId, T::AccountId, u16, u16, u64),
        /// Stake went to another subnet: coldkey, hotkey, from, to, TAO.
        #[codec(index = 93)]
        StakeSwapped(T::AccountId, T::AccountId, u16, u16, u64),
        /// A hotkey committed encrypted weights on a `netuid_index`, to be opened with the signature of a round.
        #[codec(index = 108)]
        TimelockedWeightsCommitted(T::AccountId, u16, H256, u64),
        /// They were opened and set.
        #[codec(index = 109)]
        TimelockedWeightsRevealed(u16, T::AccountId),
        /// What an epoch gave miners of a `netuid_index`, by uid.
        #[codec(index = 111)]
        IncentiveAlphaEmittedToMiners { netuid: u16, emissions: Vec<u64> },
        /// A fee was paid with stake.
        #[codec(index = 128)]
        TransactionFeePaidWithAlpha {
            who: T::AccountId,
            netuid: u16,
            alpha_fee: u64,
            tao_amount: u64,
        },
        /// An epoch was put off because too many were due.
        #[codec(index = 137)]
        EpochDeferred {
            netuid: u16,
            from_block: u64,
            to_block: u64,
        },
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            registration::step();
            timelocked::step();
            epoch::step();
            Weight::zero()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the weights of the signing hotkey's uid on the first mechanism of a subnet.
        #[pallet::call_index(0)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn set_weights(
            origin: OriginFor<T>,
            netuid: u16,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::set(&hotkey, netuid, 0, &dests, &weights, version_key)
        }

        /// Sets the weights of the signing hotkey's uid on a mechanism of a subnet.
        #[pallet::call_index(119)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn set_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            dests: Vec<u16>,
            weights: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::set(&hotkey, netuid, mecid, &dests, &weights, version_key)
        }

        /// Commits the signing hotkey to weights by their hash.
        #[pallet::call_index(96)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_weights(origin: OriginFor<T>, netuid: u16, commit_hash: H256) -> DispatchResult {
            weights::commit(&ensure_signed(origin)?, netuid, 0, commit_hash)
        }

        /// Commits the signing hotkey to weights on a mechanism by their hash.
        #[pallet::call_index(115)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            commit_hash: H256,
        ) -> DispatchResult {
            weights::commit(&ensure_signed(origin)?, netuid, mecid, commit_hash)
        }

        /// Reveals and sets the weights of a commit.
        #[pallet::call_index(97)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn reveal_weights(
            origin: OriginFor<T>,
            netuid: u16,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::reveal(&hotkey, netuid, 0, &uids, &values, &salt, version_key)
        }

        /// Reveals and sets the weights of a commit on a mechanism.
        #[pallet::call_index(116)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn reveal_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            uids: Vec<u16>,
            values: Vec<u16>,
            salt: Vec<u16>,
            version_key: u64,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            weights::reveal(&hotkey, netuid, mecid, &uids, &values, &salt, version_key)
        }

        /// Commits the signing hotkey to encrypted weights, which the chain opens itself.
        #[pallet::call_index(113)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_timelocked_weights(
            origin: OriginFor<T>,
            netuid: u16,
            commit: SealedWeights,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            timelocked::commit(&who, netuid, 0, commit, reveal_round, commit_reveal_version)
        }

        /// Commits the signing hotkey to encrypted weights on a mechanism.
        #[pallet::call_index(118)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::No))]
        pub fn commit_timelocked_mechanism_weights(
            origin: OriginFor<T>,
            netuid: u16,
            mecid: u8,
            commit: SealedWeights,
            reveal_round: u64,
            commit_reveal_version: u16,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            timelocked::commit(&who, netuid, mecid, commit, reveal_round, commit_reveal_version)
        }

        /// Takes a uid of a subnet for a hotkey; the signing coldkey pays.
        #[pallet::call_index(7)]
        #[pallet::weight((fees::BURNED_REGISTER, DispatchClass::Normal, Pays::Yes))]
        pub fn burned_register(origin: OriginFor<T>, netuid: u16, hotkey: T::AccountId) -> DispatchResult {
            registration::burned(&ensure_signed(origin)?, netuid, &hotkey)
        }

        /// Buys stake on a hotkey; the signing coldkey pays rao.
        #[pallet::call_index(2)]
        #[pallet::weight((fees::ADD_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn add_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_staked: u64,
        ) -> DispatchResult {
            staking::add(&ensure_signed(origin)?, &hotkey, netuid, amount_staked)
        }

        /// Sells the signing coldkey's stake on a hotkey.
        #[pallet::call_index(3)]
        #[pallet::weight((fees::REMOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn remove_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            amount_unstaked: u64,
        ) -> DispatchResult {
            staking::remove(&ensure_signed(origin)?, &hotkey, netuid, amount_unstaked)
        }

        /// Moves the signing coldkey's stake to another hotkey.
        #[pallet::call_index(85)]
        #[pallet::weight((fees::MOVE_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn move_stake(
            origin: OriginFor<T>,
            origin_hotkey: T::AccountId,
            destination_hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let coldkey = &ensure_signed(origin)?;
            let from = Place {
                coldkey,
                hotkey: &origin_hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey,
                hotkey: &destination_hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(Move::Hotkey, &from, &to, alpha_amount)
        }

        /// Gives the signing coldkey's stake to another coldkey.
        #[pallet::call_index(86)]
        #[pallet::weight((fees::TRANSFER_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn transfer_stake(
            origin: OriginFor<T>,
            destination_coldkey: T::AccountId,
            hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let hotkey = &hotkey;
            let from = Place {
                coldkey: &ensure_signed(origin)?,
                hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey: &destination_coldkey,
                hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(Move::Coldkey, &from, &to, alpha_amount)
        }

        /// Moves the signing coldkey's stake to another subnet.
        #[pallet::call_index(87)]
        #[pallet::weight((fees::SWAP_STAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn swap_stake(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            origin_netuid: u16,
            destination_netuid: u16,
            alpha_amount: u64,
        ) -> DispatchResult {
            let (coldkey, hotkey) = (&ensure_signed(origin)?, &hotkey);
            let from = Place {
                coldkey,
                hotkey,
                netuid: origin_netuid,
            };
            let to = Place {
                coldkey,
                hotkey,
                netuid: destination_netuid,
            };
            staking::relocate(Move::Subnet, &from, &to, alpha_amount)
        }

        /// Gives parts of a hotkey's stake to children, after a cooldown.
        #[pallet::call_index(67)]
        #[pallet::weight((fees::SET_CHILDREN, DispatchClass::Normal, Pays::Yes))]
        pub fn set_children(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            children: Vec<(u64, T::AccountId)>,
        ) -> DispatchResult {
            children::schedule(&ensure_signed(origin)?, &hotkey, netuid, children)
        }

        /// Sets what a hotkey keeps of the dividends of its parents on a subnet.
        #[pallet::call_index(75)]
        #[pallet::weight((fees::SET_CHILDKEY_TAKE, DispatchClass::Normal, Pays::Yes))]
        pub fn set_childkey_take(
            origin: OriginFor<T>,
            hotkey: T::AccountId,
            netuid: u16,
            take: u16,
        ) -> DispatchResult {
            childkey_take::set(&ensure_signed(origin)?, &hotkey, netuid, take)
        }

        /// Sets that cooldown, in blocks.
        #[pallet::call_index(109)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Operational, Pays::No))]
        pub fn set_pending_childkey_cooldown(origin: OriginFor<T>, cooldown: u64) -> DispatchResult {
            ensure_root(origin)?;
            PendingChildKeyCooldown::<T>::put(cooldown);
            Ok(())
        }

        /// Says where the signing hotkey serves on a subnet.
        #[pallet::call_index(4)]
        #[pallet::weight((fees::SERVE_AXON, DispatchClass::Normal, Pays::No))]
        pub fn serve_axon(
            origin: OriginFor<T>,
            netuid: u16,
            version: u32,
            ip: u128,
            port: u16,
            ip_type: u8,
            protocol: u8,
            placeholder1: u8,
            placeholder2: u8,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            let axon = AxonInfo {
                block: Self::now(),
                version,
                ip,
                port,
                ip_type,
                protocol,
                placeholder1,
                placeholder2,
            };
            Ok(serving::serve(netuid, &hotkey, axon)?)
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
