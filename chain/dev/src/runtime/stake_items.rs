//! Storage of `SubtensorModule` about stake, as subtensor names, hashes, types and defaults it.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod stake_items {
    /// Rao staked on a hotkey by all coldkeys: alpha, or TAO on netuid 0.
    #[pallet::storage]
    pub type TotalHotkeyAlpha<T> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Identity, u16, u64, ValueQuery>;
    /// What a child has from its parents: parts of `u64::MAX` of each parent's stake.
    #[pallet::storage]
    pub type ParentKeys<T> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        AccountId32,
        Identity,
        u16,
        Vec<(u64, AccountId32)>,
        ValueQuery,
    >;
    /// What a parent gives to its children.
    #[pallet::storage]
    pub type ChildKeys<T> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        AccountId32,
        Identity,
        u16,
        Vec<(u64, AccountId32)>,
        ValueQuery,
    >;
    /// The weight of root TAO, a part of `u64::MAX`; 0.0527 unless set.
    #[pallet::storage]
    pub type TaoWeight<T> = StorageValue<_, u64, ValueQuery, ConstU64<971_718_665_099_567_868>>;
    /// The stake weight in rao below which a validator does not count.
    #[pallet::storage]
    pub type StakeThreshold<T> = StorageValue<_, u64, ValueQuery>;
    /// The share of a coldkey in what a hotkey has on a subnet.
    #[pallet::storage]
    pub type AlphaV2<T> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, AccountId32>,
            NMapKey<Blake2_128Concat, AccountId32>,
            NMapKey<Identity, u16>,
        ),
        SafeFloat,
        ValueQuery,
    >;
    /// All shares in what a hotkey has on a subnet.
    #[pallet::storage]
    pub type TotalHotkeySharesV2<T> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Identity, u16, SafeFloat, ValueQuery>;
    /// The hotkeys on which a coldkey has had stake.
    #[pallet::storage]
    pub type StakingHotkeys<T> = StorageMap<_, Blake2_128Concat, AccountId32, Vec<AccountId32>, ValueQuery>;
    /// What a hotkey's owner keeps of its dividends, a part of 65535.
    #[pallet::storage]
    pub type Delegates<T> = StorageMap<_, Blake2_128Concat, AccountId32, u16, ValueQuery, ConstU16<11_796>>;
    /// Rao paid for stake on all subnets.
    #[pallet::storage]
    pub type TotalStake<T> = StorageValue<_, u64, ValueQuery>;
    /// Children that were asked for, and the block after which they may hold.
    #[pallet::storage]
    pub type PendingChildKeys<T> = StorageDoubleMap<
        _,
        Identity,
        u16,
        Blake2_128Concat,
        AccountId32,
        (Vec<(u64, AccountId32)>, u64),
        ValueQuery,
    >;
    /// What a hotkey keeps of the dividends of its parents on a subnet, a part of 65535.
    #[pallet::storage]
    pub type ChildkeyTake<T> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Identity, u16, u16, ValueQuery>;
    /// The most that it may keep.
    #[pallet::storage]
    pub type MaxChildkeyTake<T> = StorageValue<_, u16, ValueQuery, ConstU16<11_796>>;
    /// Blocks until it may keep more than before.
    #[pallet::storage]
    pub type TxChildkeyTakeRateLimit<T> = StorageValue<_, u64, ValueQuery, ConstU64<216_000>>;
    /// The least and the most that a delegate keeps.
    #[pallet::storage]
    pub type MinDelegateTake<T> = StorageValue<_, u16, ValueQuery>;
    #[pallet::storage]
    pub type MaxDelegateTake<T> = StorageValue<_, u16, ValueQuery, ConstU16<11_796>>;
    /// Blocks until children may hold.
    #[pallet::storage]
    pub type PendingChildKeyCooldown<T> = StorageValue<_, u64, ValueQuery, ConstU64<7_200>>;
    /// When a call of a kind was last made for a hotkey on a subnet.
    #[pallet::storage]
    pub type TransactionKeyLastBlock<T> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, AccountId32>,
            NMapKey<Identity, u16>,
            NMapKey<Identity, u16>,
        ),
        u64,
        ValueQuery,
    >;
    /// Alpha rao that the owner gets at the next epoch.
    #[pallet::storage]
    pub type PendingOwnerCut<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
}
