//! Storage of `SubtensorModule` about how subnets come, go and are given TAO, as subtensor names, hashes, types and
//! defaults it.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod network_items {
    /// The least rao that a subnet costs.
    #[pallet::storage]
    pub type NetworkMinLockCost<T> = StorageValue<_, u64, ValueQuery, ConstU64<1_000_000_000_000>>;
    /// Rao that the last one cost.
    #[pallet::storage]
    pub type NetworkLastLockCost<T> = StorageValue<_, u64, ValueQuery, ConstU64<1_000_000_000_000>>;
    /// Blocks in which the next one comes to cost as much less as the last one cost.
    #[pallet::storage]
    pub type NetworkLockReductionInterval<T> = StorageValue<_, u64, ValueQuery, ConstU64<100_800>>;
    /// Blocks between two subnets that are registered.
    #[pallet::storage]
    pub type NetworkRateLimit<T> = StorageValue<_, u64, ValueQuery, ConstU64<7_200>>;
    /// Blocks before which a subnet does not make room for another.
    #[pallet::storage]
    pub type NetworkImmunityPeriod<T> = StorageValue<_, u64, ValueQuery, ConstU64<1_296_000>>;
    /// The block before which none is registered.
    #[pallet::storage]
    pub type NetworkRegistrationStartBlock<T> = StorageValue<_, u64, ValueQuery>;
    /// How many there may be beside root.
    #[pallet::storage]
    pub type SubnetLimit<T> = StorageValue<_, u16, ValueQuery, ConstU16<128>>;
    /// When something was last done that may not be done again soon.
    #[pallet::storage]
    pub type LastRateLimitedBlock<T> = StorageMap<_, Identity, RateLimitKey, u64, ValueQuery>;
    /// Blocks from a subnet's registration until it may be started.
    #[pallet::storage]
    pub type StartCallDelay<T> = StorageValue<_, u64, ValueQuery>;
    /// The first block in which a subnet emits; none before it is started.
    #[pallet::storage]
    pub type FirstEmissionBlockNumber<T> = StorageMap<_, Identity, u16, u64, OptionQuery>;
    /// Whether a subnet gets TAO. Sudo alone lets those have it that are registered.
    #[pallet::storage]
    pub type SubnetEmissionEnabled<T> = StorageMap<_, Identity, u16, bool, ValueQuery, ConstBool<true>>;
    /// Rao that a subnet cost its owner.
    #[pallet::storage]
    pub type SubnetLocked<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// How many subnets had this number.
    #[pallet::storage]
    pub type RegisteredSubnetCounter<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// Subnets that are gone, with what is left of them.
    #[pallet::storage]
    pub type DissolveCleanupQueue<T> = StorageValue<_, Vec<u16>, ValueQuery>;
    /// Subnets that wait for room.
    #[pallet::storage]
    pub type NetworkRegistrationQueue<T> = StorageValue<_, Vec<NetworkRegistrationInfo>, ValueQuery>;
    #[pallet::storage]
    pub type NetworkRegistrationLockId<T> = StorageValue<_, u32, ValueQuery>;
    /// Rao of TAO that a subnet gets in a block.
    #[pallet::storage]
    pub type BlockEmission<T> = StorageValue<_, u64, ValueQuery, ConstU64<1_000_000_000>>;
    /// How quickly the moving price follows the price.
    #[pallet::storage]
    pub type SubnetMovingAlpha<T> = StorageValue<_, I96F32, ValueQuery, DefaultMovingAlpha>;
    /// Blocks after its start in which a subnet's moving price comes to follow half as quickly as it ever does.
    #[pallet::storage]
    pub type EMAPriceHalvingBlocks<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<201_600>>;
    /// What root stake weighs beside a subnet's alpha, of both.
    #[pallet::storage]
    pub type RootProp<T> = StorageMap<_, Identity, u16, U64F64, ValueQuery>;
    /// Rao that bought alpha for the chain itself in the last block.
    #[pallet::storage]
    pub type SubnetExcessTao<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// Alpha rao that the chain has bought for itself.
    #[pallet::storage]
    pub type SubnetProtocolAlpha<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// Blocks until a delegate may keep more than before.
    #[pallet::storage]
    pub type TxDelegateTakeRateLimit<T> = StorageValue<_, u64, ValueQuery, ConstU64<216_000>>;
}
