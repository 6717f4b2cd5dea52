//! Storage of `SubtensorModule` by neuron, as subtensor names, hashes, types and defaults it.
//!
//! A `netuid_index` is `mechanism * 4096 + netuid`, so for the first mechanism it is the netuid.

/// Imported by the pallet.
#[frame_support::pallet_macros::pallet_section]
mod neuron_items {
    /// How many uids a subnet has.
    #[pallet::storage]
    pub type SubnetworkN<T> = StorageMap<_, Identity, u16, u16, ValueQuery>;
    /// The hotkey of a uid.
    #[pallet::storage]
    pub type Keys<T> =
        StorageDoubleMap<_, Identity, u16, Identity, u16, AccountId32, ValueQuery, ZeroAccount>;
    /// The uid of a hotkey.
    #[pallet::storage]
    pub type Uids<T> = StorageDoubleMap<_, Identity, u16, Blake2_128Concat, AccountId32, u16, OptionQuery>;
    /// Whether a hotkey is registered on a subnet.
    #[pallet::storage]
    pub type IsNetworkMember<T> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId32, Identity, u16, bool, ValueQuery>;
    /// Whether each uid was active at the last epoch.
    #[pallet::storage]
    pub type Active<T> = StorageMap<_, Identity, u16, Vec<bool>, ValueQuery>;
    /// Whether each uid may set weights on others.
    #[pallet::storage]
    pub type ValidatorPermit<T> = StorageMap<_, Identity, u16, Vec<bool>, ValueQuery>;
    /// Parts of 65535.
    #[pallet::storage]
    pub type ValidatorTrust<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// Parts of 65535.
    #[pallet::storage]
    pub type Consensus<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// Parts of 65535.
    #[pallet::storage]
    pub type Dividends<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// Parts of 65535, by `netuid_index`.
    #[pallet::storage]
    pub type Incentive<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// The block each uid last set weights or was registered at, by `netuid_index`.
    #[pallet::storage]
    pub type LastUpdate<T> = StorageMap<_, Identity, u16, Vec<u64>, ValueQuery>;
    /// Alpha rao per epoch.
    #[pallet::storage]
    pub type Emission<T> = StorageMap<_, Identity, u16, Vec<u64>, ValueQuery>;
    /// The block a uid was taken at.
    #[pallet::storage]
    pub type BlockAtRegistration<T> = StorageDoubleMap<_, Identity, u16, Identity, u16, u64, ValueQuery>;
    /// Where a hotkey serves.
    #[pallet::storage]
    pub type Axons<T> =
        StorageDoubleMap<_, Identity, u16, Blake2_128Concat, AccountId32, AxonInfo, OptionQuery>;
    /// The coldkey of a hotkey.
    #[pallet::storage]
    pub type Owner<T> = StorageMap<_, Blake2_128Concat, AccountId32, AccountId32, ValueQuery, ZeroAccount>;
    /// The hotkeys of a coldkey.
    #[pallet::storage]
    pub type OwnedHotkeys<T> = StorageMap<_, Blake2_128Concat, AccountId32, Vec<AccountId32>, ValueQuery>;
    /// The weights a uid set, by `netuid_index`.
    #[pallet::storage]
    pub type Weights<T> = StorageDoubleMap<_, Identity, u16, Identity, u16, Vec<(u16, u16)>, ValueQuery>;

    /// The bonds of a uid, by `netuid_index`: parts of 65535.
    #[pallet::storage]
    pub type Bonds<T> = StorageDoubleMap<_, Identity, u16, Identity, u16, Vec<(u16, u16)>, ValueQuery>;
    /// The part of all stake that the last epoch counted for each uid, of 65535.
    #[pallet::storage]
    pub type StakeWeight<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// `Consensus` of one mechanism, by `netuid_index`.
    #[pallet::storage]
    pub type ConsensusByMechanism<T> = StorageMap<_, Identity, u16, Vec<u16>, ValueQuery>;
    /// Commits not yet revealed, by `netuid_index`, the oldest first.
    #[pallet::storage]
    pub type WeightCommits<T> = StorageDoubleMap<
        _,
        Twox64Concat,
        u16,
        Twox64Concat,
        AccountId32,
        VecDeque<WeightCommit>,
        OptionQuery,
    >;
}
