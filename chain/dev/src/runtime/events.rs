//! Events of `SubtensorModule` at the indices of the chain, which has many more.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod events {
    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// There is a new subnet, of a kind.
        #[codec(index = 0)]
        NetworkAdded(u16, u16),
        /// A subnet is gone.
        #[codec(index = 1)]
        NetworkRemoved(u16),
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
        /// A delegate keeps less: coldkey, hotkey, part of 65535.
        #[codec(index = 65)]
        TakeDecreased(T::AccountId, T::AccountId, u16),
        /// A delegate keeps more.
        #[codec(index = 66)]
        TakeIncreased(T::AccountId, T::AccountId, u16),
        /// A hotkey will have these children, from an epoch after the block on.
        #[codec(index = 76)]
        SetChildrenScheduled(T::AccountId, u16, u64, Vec<(u64, T::AccountId)>),
        /// A hotkey has these children.
        #[codec(index = 77)]
        SetChildren(T::AccountId, u16, Vec<(u64, T::AccountId)>),
        /// A subnet says what it is.
        #[codec(index = 79)]
        SubnetIdentitySet(u16),
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
        /// A subnet's owner has this hotkey.
        #[codec(index = 95)]
        SubnetOwnerHotkeySet(u16, T::AccountId),
        /// A subnet was started, and emits from the block on.
        #[codec(index = 96)]
        FirstEmissionBlockNumberSet(u16, u64),
        /// A hotkey committed encrypted weights on a `netuid_index`, to be opened with the signature of a round.
        #[codec(index = 108)]
        TimelockedWeightsCommitted(T::AccountId, u16, H256, u64),
        /// They were opened and set.
        #[codec(index = 109)]
        TimelockedWeightsRevealed(u16, T::AccountId),
        /// What an epoch gave miners of a `netuid_index`, by uid.
        #[codec(index = 111)]
        IncentiveAlphaEmittedToMiners { netuid: u16, emissions: Vec<u64> },
        /// Nothing is left of a subnet that is gone.
        #[codec(index = 126)]
        NetworkDissolveCleanupCompleted { netuid: u16 },
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
        /// A subnet waits for room.
        #[codec(index = 141)]
        NetworkRegistrationQueued {
            coldkey: T::AccountId,
            hotkey: T::AccountId,
            mechid: u16,
            identity: Option<SubnetIdentityV3>,
            lock_amount: u64,
            median_subnet_alpha_price: U64F64,
            registration_block: u64,
        },
        /// Stake on a hotkey is locked as collateral.
        #[codec(index = 144)]
        CollateralLocked {
            netuid: u16,
            hotkey: T::AccountId,
            locked: u64,
            total_locked: u64,
        },
        /// So much is to stay locked on a hotkey.
        #[codec(index = 145)]
        MinCollateralSet {
            netuid: u16,
            hotkey: T::AccountId,
            min_locked: u64,
        },
    }
}
