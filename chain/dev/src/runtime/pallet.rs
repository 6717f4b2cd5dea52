//! `SubtensorModule`: storage, calls, events and errors as subtensor names, hashes, types and defaults them.
//!
//! What is declared here behaves; what does not behave is not declared. Registration, stake and permits move
//! by the node's cheats, and there is no epoch.

pub use self::inner::*;

#[expect(
    clippy::cast_possible_truncation,
    clippy::if_not_else,
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "what the FRAME macros write; the arguments of a call are the chain's"
)]
#[frame_support::pallet]
mod inner {
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_runtime::AccountId32;

    use crate::runtime::types::AxonInfo;

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId32> {}

    /// What an owner or a hotkey is when there is none.
    #[pallet::type_value]
    pub fn ZeroAccount() -> AccountId32 {
        AccountId32::new([0; 32])
    }
    #[pallet::type_value]
    pub fn DefaultTempo() -> u16 {
        360
    }
    #[pallet::type_value]
    pub fn DefaultKappa() -> u16 {
        32_767
    }
    #[pallet::type_value]
    pub fn DefaultImmunityPeriod() -> u16 {
        4_096
    }
    #[pallet::type_value]
    pub fn DefaultMaxAllowedUids() -> u16 {
        256
    }
    #[pallet::type_value]
    pub fn DefaultMaxAllowedValidators() -> u16 {
        128
    }
    #[pallet::type_value]
    pub fn DefaultMinAllowedWeights() -> u16 {
        1_024
    }
    #[pallet::type_value]
    pub fn DefaultWeightsSetRateLimit() -> u64 {
        100
    }
    #[pallet::type_value]
    pub fn DefaultServingRateLimit() -> u64 {
        50
    }
    #[pallet::type_value]
    pub fn DefaultActivityCutoffFactorMilli() -> u32 {
        13_889
    }
    #[pallet::type_value]
    pub fn DefaultRevealPeriodEpochs() -> u64 {
        1
    }
    #[pallet::type_value]
    pub fn DefaultCommitRevealWeightsVersion() -> u16 {
        4
    }
    #[pallet::type_value]
    pub fn DefaultMechanismCount() -> u8 {
        1
    }
    /// 0.0527 of `u64::MAX`.
    #[pallet::type_value]
    pub fn DefaultTaoWeight() -> u64 {
        971_718_665_099_567_868
    }
    #[pallet::type_value]
    pub fn DefaultTrue() -> bool {
        true
    }
    #[pallet::type_value]
    pub fn DefaultTokenSymbol() -> Vec<u8> {
        b"\xf0\x9d\x9c\x8f".to_vec()
    }

    // Neurons. A `netuid_index` is `mechanism * 4096 + netuid`, so for the first mechanism it is the netuid.

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

    // Stake.

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
    /// The weight of root TAO, a part of `u64::MAX`.
    #[pallet::storage]
    pub type TaoWeight<T> = StorageValue<_, u64, ValueQuery, DefaultTaoWeight>;
    /// The stake weight in rao below which a validator does not count.
    #[pallet::storage]
    pub type StakeThreshold<T> = StorageValue<_, u64, ValueQuery>;

    // Subnets.

    #[pallet::storage]
    pub type TotalNetworks<T> = StorageValue<_, u16, ValueQuery>;
    #[pallet::storage]
    pub type NetworksAdded<T> = StorageMap<_, Identity, u16, bool, ValueQuery>;
    #[pallet::storage]
    pub type NetworkRegisteredAt<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    #[pallet::storage]
    pub type SubnetOwner<T> = StorageMap<_, Identity, u16, AccountId32, ValueQuery, ZeroAccount>;
    #[pallet::storage]
    pub type SubnetOwnerHotkey<T> = StorageMap<_, Identity, u16, AccountId32, ValueQuery, ZeroAccount>;
    /// Blocks per epoch.
    #[pallet::storage]
    pub type Tempo<T> = StorageMap<_, Identity, u16, u16, ValueQuery, DefaultTempo>;
    #[pallet::storage]
    pub type BlocksSinceLastStep<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// The name is the chain's.
    #[pallet::storage]
    pub type LastMechansimStepBlock<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    #[pallet::storage]
    pub type Kappa<T> = StorageMap<_, Identity, u16, u16, ValueQuery, DefaultKappa>;
    #[pallet::storage]
    pub type ImmunityPeriod<T> = StorageMap<_, Identity, u16, u16, ValueQuery, DefaultImmunityPeriod>;
    #[pallet::storage]
    pub type MaxAllowedUids<T> = StorageMap<_, Identity, u16, u16, ValueQuery, DefaultMaxAllowedUids>;
    #[pallet::storage]
    pub type MaxAllowedValidators<T> =
        StorageMap<_, Identity, u16, u16, ValueQuery, DefaultMaxAllowedValidators>;
    #[pallet::storage]
    pub type MinAllowedWeights<T> = StorageMap<_, Identity, u16, u16, ValueQuery, DefaultMinAllowedWeights>;
    #[pallet::storage]
    pub type WeightsVersionKey<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    #[pallet::storage]
    pub type WeightsSetRateLimit<T> =
        StorageMap<_, Identity, u16, u64, ValueQuery, DefaultWeightsSetRateLimit>;
    #[pallet::storage]
    pub type CommitRevealWeightsEnabled<T> = StorageMap<_, Identity, u16, bool, ValueQuery, DefaultTrue>;
    #[pallet::storage]
    pub type CommitRevealWeightsVersion<T> =
        StorageValue<_, u16, ValueQuery, DefaultCommitRevealWeightsVersion>;
    #[pallet::storage]
    pub type RevealPeriodEpochs<T> =
        StorageMap<_, Twox64Concat, u16, u64, ValueQuery, DefaultRevealPeriodEpochs>;
    /// Thousandths of a tempo after which a silent uid is inactive.
    #[pallet::storage]
    pub type ActivityCutoffFactorMilli<T> =
        StorageMap<_, Identity, u16, u32, ValueQuery, DefaultActivityCutoffFactorMilli>;
    /// Blocks between two `serve_axon` of one hotkey.
    #[pallet::storage]
    pub type ServingRateLimit<T> = StorageMap<_, Identity, u16, u64, ValueQuery, DefaultServingRateLimit>;
    #[pallet::storage]
    pub type MechanismCountCurrent<T> =
        StorageMap<_, Twox64Concat, u16, u8, ValueQuery, DefaultMechanismCount>;
    /// Bytes of UTF-8.
    #[pallet::storage]
    pub type TokenSymbol<T> = StorageMap<_, Identity, u16, Vec<u8>, ValueQuery, DefaultTokenSymbol>;

    // The indices are those of the chain, which has many more of each.

    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hotkey took a uid of a subnet.
        #[codec(index = 7)]
        NeuronRegistered(u16, u16, T::AccountId),
        /// A hotkey said where it serves on a subnet.
        #[codec(index = 29)]
        AxonServed(u16, T::AccountId),
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The ip type is neither 4 nor 6.
        #[codec(index = 1)]
        InvalidIpType,
        /// The address is the highest of its kind or the loopback one.
        #[codec(index = 2)]
        InvalidIpAddress,
        /// The port is 0.
        #[codec(index = 3)]
        InvalidPort,
        /// The hotkey has no uid on the subnet.
        #[codec(index = 6)]
        HotKeyNotRegisteredInNetwork,
        /// The last `serve_axon` of the hotkey is too recent.
        #[codec(index = 31)]
        ServingRateLimitExceeded,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            let subnets: Vec<u16> = NetworksAdded::<T>::iter()
                .filter_map(|(n, added)| added.then_some(n))
                .collect();
            for netuid in subnets {
                BlocksSinceLastStep::<T>::mutate(netuid, |blocks| *blocks = blocks.saturating_add(1));
            }
            Weight::zero()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Says where the signing hotkey serves on a subnet.
        #[pallet::call_index(4)]
        #[pallet::weight((Weight::from_parts(33_000_000, 0), DispatchClass::Normal, Pays::No))]
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
            ensure!(
                Uids::<T>::contains_key(netuid, &hotkey),
                Error::<T>::HotKeyNotRegisteredInNetwork
            );
            ensure!(port != 0, Error::<T>::InvalidPort);
            ensure!(ip_type == 4 || ip_type == 6, Error::<T>::InvalidIpType);
            ensure!(servable(ip_type, ip), Error::<T>::InvalidIpAddress);
            let block = Self::now();
            let last = Axons::<T>::get(netuid, &hotkey).map_or(0, |axon| axon.block);
            ensure!(
                last == 0 || block.saturating_sub(last) >= ServingRateLimit::<T>::get(netuid),
                Error::<T>::ServingRateLimitExceeded
            );
            let axon = AxonInfo {
                block,
                version,
                ip,
                port,
                ip_type,
                protocol,
                placeholder1,
                placeholder2,
            };
            Axons::<T>::insert(netuid, &hotkey, axon);
            Self::deposit_event(Event::AxonServed(netuid, hotkey));
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The block being made, or the last one made.
        pub fn now() -> u64 {
            use sp_runtime::SaturatedConversion as _;
            frame_system::Pallet::<T>::block_number().saturated_into()
        }
    }

    /// Whether the chain lets an axon serve at the address. Zero is let through.
    fn servable(ip_type: u8, ip: u128) -> bool {
        const LOOPBACK_4: u128 = 0x7f00_0001;
        const LOOPBACK_6: u128 = 1;
        match ip_type {
            4 => ip < u128::from(u32::MAX) && ip != LOOPBACK_4,
            _ => ip != u128::MAX && ip != LOOPBACK_6,
        }
    }
}
