//! `SubtensorModule`: storage, calls, events and errors as subtensor names, hashes, types and defaults them.
//!
//! What is declared here behaves; what does not behave is not declared. Stake moves by the node's cheats. What
//! a call checks and does is in `weights`, `registration` and `serving`, what an epoch does in `epoch`.

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
#[frame_support::pallet]
mod inner {
    use std::collections::VecDeque;

    use frame_support::pallet_prelude::*;
    use frame_support::traits::{ConstBool, ConstI16, ConstU8, ConstU16, ConstU64};
    use frame_system::pallet_prelude::*;
    use sp_core::H256;
    use sp_runtime::AccountId32;
    use substrate_fixed::types::U64F64;

    use crate::runtime::types::{AxonInfo, WeightCommit};
    use crate::runtime::{epoch, registration, serving, weights};

    /// The time a call is reckoned to take.
    const CALL_TIME: u64 = 100_000_000;

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
    /// The weight of root TAO, a part of `u64::MAX`; 0.0527 unless set.
    #[pallet::storage]
    pub type TaoWeight<T> = StorageValue<_, u64, ValueQuery, ConstU64<971_718_665_099_567_868>>;
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
    pub type Tempo<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<360>>;
    #[pallet::storage]
    pub type BlocksSinceLastStep<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// The name is the chain's.
    #[pallet::storage]
    pub type LastMechansimStepBlock<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// The block of the last epoch.
    #[pallet::storage]
    pub type LastEpochBlock<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// The block an epoch was put off to; 0 if none was.
    #[pallet::storage]
    pub type PendingEpochAt<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// How many epochs there were.
    #[pallet::storage]
    pub type SubnetEpochIndex<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    #[pallet::storage]
    pub type MaxEpochsPerBlock<T> = StorageValue<_, u8, ValueQuery, ConstU8<2>>;
    /// Alpha rao that miners get at the next epoch.
    #[pallet::storage]
    pub type PendingServerEmission<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// Alpha rao that validators get at the next epoch.
    #[pallet::storage]
    pub type PendingValidatorEmission<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    /// Parts of 1 000 000 of a bond that stay from epoch to epoch.
    #[pallet::storage]
    pub type BondsMovingAverage<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<900_000>>;
    #[pallet::storage]
    pub type BondsPenalty<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<65_535>>;
    #[pallet::storage]
    pub type LiquidAlphaOn<T> = StorageMap<_, Blake2_128Concat, u16, bool, ValueQuery>;
    #[pallet::storage]
    pub type Yuma3On<T> = StorageMap<_, Blake2_128Concat, u16, bool, ValueQuery>;
    #[pallet::storage]
    pub type AlphaValues<T> = StorageMap<_, Identity, u16, (u16, u16), ValueQuery, DefaultAlphaValues>;
    #[pallet::storage]
    pub type AlphaSigmoidSteepness<T> = StorageMap<_, Identity, u16, i16, ValueQuery, ConstI16<1_000>>;
    #[pallet::storage]
    pub type Kappa<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<32_767>>;
    #[pallet::storage]
    pub type ImmunityPeriod<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<4_096>>;
    #[pallet::storage]
    pub type MaxAllowedUids<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<256>>;
    #[pallet::storage]
    pub type MaxAllowedValidators<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<128>>;
    #[pallet::storage]
    pub type MinAllowedWeights<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<1_024>>;
    #[pallet::storage]
    pub type NetworkRegistrationAllowed<T> = StorageMap<_, Identity, u16, bool, ValueQuery, ConstBool<true>>;
    /// Rao that a registration costs now.
    #[pallet::storage]
    pub type Burn<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<100_000_000>>;
    #[pallet::storage]
    pub type MinBurn<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<500_000>>;
    #[pallet::storage]
    pub type MaxBurn<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<100_000_000_000>>;
    /// Blocks in which the cost falls to its half.
    #[pallet::storage]
    pub type BurnHalfLife<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<360>>;
    /// What a registration makes of the cost.
    #[pallet::storage]
    pub type BurnIncreaseMult<T> = StorageMap<_, Identity, u16, U64F64, ValueQuery, DefaultBurnIncrease>;
    /// How many uids that may be taken away there are left when one is.
    #[pallet::storage]
    pub type MinNonImmuneUids<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<10>>;
    /// How many uids of the owner are never taken away.
    #[pallet::storage]
    pub type ImmuneOwnerUidsLimit<T> = StorageMap<_, Identity, u16, u16, ValueQuery, ConstU16<1>>;
    #[pallet::storage]
    pub type WeightsVersionKey<T> = StorageMap<_, Identity, u16, u64, ValueQuery>;
    #[pallet::storage]
    pub type WeightsSetRateLimit<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<100>>;
    #[pallet::storage]
    pub type CommitRevealWeightsEnabled<T> = StorageMap<_, Identity, u16, bool, ValueQuery, ConstBool<true>>;
    #[pallet::storage]
    pub type CommitRevealWeightsVersion<T> = StorageValue<_, u16, ValueQuery, ConstU16<4>>;
    #[pallet::storage]
    pub type RevealPeriodEpochs<T> = StorageMap<_, Twox64Concat, u16, u64, ValueQuery, ConstU64<1>>;
    /// Thousandths of a tempo after which a silent uid is inactive.
    #[pallet::storage]
    pub type ActivityCutoffFactorMilli<T> = StorageMap<_, Identity, u16, u32, ValueQuery, ConstU32<13_889>>;
    /// Blocks between two `serve_axon` of one hotkey.
    #[pallet::storage]
    pub type ServingRateLimit<T> = StorageMap<_, Identity, u16, u64, ValueQuery, ConstU64<50>>;
    #[pallet::storage]
    pub type MechanismCountCurrent<T> = StorageMap<_, Twox64Concat, u16, u8, ValueQuery, ConstU8<1>>;
    /// Parts of 65535 of the emission, one for each mechanism; even if there are none.
    #[pallet::storage]
    pub type MechanismEmissionSplit<T> = StorageMap<_, Twox64Concat, u16, Vec<u16>, OptionQuery>;
    /// Bytes of UTF-8.
    #[pallet::storage]
    pub type TokenSymbol<T> = StorageMap<_, Identity, u16, Vec<u8>, ValueQuery, DefaultTokenSymbol>;

    // The indices are those of the chain, which has many more of each.

    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// A uid set weights on a mechanism, named by its `netuid_index`.
        #[codec(index = 5)]
        WeightsSet(u16, u16),
        /// A hotkey took a uid of a subnet.
        #[codec(index = 7)]
        NeuronRegistered(u16, u16, T::AccountId),
        /// A hotkey said where it serves on a subnet.
        #[codec(index = 29)]
        AxonServed(u16, T::AccountId),
        /// A hotkey committed to weights on a `netuid_index` by their hash.
        #[codec(index = 86)]
        WeightsCommitted(T::AccountId, u16, H256),
        /// A hotkey revealed the weights of the hash.
        #[codec(index = 87)]
        WeightsRevealed(T::AccountId, u16, H256),
        /// What an epoch gave miners of a `netuid_index`, by uid.
        #[codec(index = 111)]
        IncentiveAlphaEmittedToMiners { netuid: u16, emissions: Vec<u64> },
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

        /// Takes a uid of a subnet for a hotkey; the signing coldkey pays.
        #[pallet::call_index(7)]
        #[pallet::weight((Weight::from_parts(CALL_TIME, 0), DispatchClass::Normal, Pays::Yes))]
        pub fn burned_register(origin: OriginFor<T>, netuid: u16, hotkey: T::AccountId) -> DispatchResult {
            registration::burned(&ensure_signed(origin)?, netuid, &hotkey)
        }

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
