//! The runtime: stock FRAME pallets and our `SubtensorModule`, run natively.
//!
//! What a client sees on the wire (pallet indices, address, signature, transaction extensions, storage keys)
//! equals subtensor's. There is no consensus in it: the node alone decides when a block is made.

#![expect(
    unreachable_pub,
    reason = "FRAME's macros write `pub` items and ask for `pub` types"
)]

pub(crate) mod apis;
mod calls;
pub(crate) mod cheats;
pub(crate) mod childkey_take;
pub(crate) mod children;
pub(crate) mod coinbase;
pub(crate) mod collateral;
pub(crate) mod commitments;
pub(crate) mod delegate_take;
pub(crate) mod delegates;
pub(crate) mod drand;
pub(crate) mod epoch;
mod errors;
mod events;
pub(crate) mod fees;
pub(crate) mod hyperparameters;
pub(crate) mod metagraph;
mod network_items;
pub(crate) mod networks;
mod neuron_items;
pub(crate) mod neurons;
pub(crate) mod pallet;
pub(crate) mod payout;
pub(crate) mod registration;
pub(crate) mod serving;
pub(crate) mod shares;
pub(crate) mod stake;
pub(crate) mod stake_info;
mod stake_items;
pub(crate) mod staking;
mod subnet_items;
pub(crate) mod subnets;
pub(crate) mod swap;
pub(crate) mod swaps;
pub(crate) mod timelocked;
pub(crate) mod types;
pub(crate) mod upgrade;
pub(crate) mod weights;
pub(crate) mod yuma;

use std::borrow::Cow;
use std::collections::BTreeMap;

use frame_support::traits::{ConstU8, ConstU16, ConstU32, ConstU64, Everything};
use frame_support::weights::Weight;
use frame_support::weights::constants::RocksDbWeight;
use frame_support::{construct_runtime, derive_impl, parameter_types};
use sp_api::impl_runtime_apis;
use sp_core::OpaqueMetadata;
use sp_runtime::traits::{BlakeTwo256, Block as BlockT, One};
use sp_runtime::transaction_validity::{TransactionSource, TransactionValidity};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode, MultiAddress, MultiSignature, Perbill, generic,
};
use sp_version::RuntimeVersion;

use delegates::{DelegateInfo, Delegated};
use hyperparameters::{HyperparamEntry, SubnetHyperparams, SubnetHyperparamsV2};
use metagraph::{Metagraph, SelectiveMetagraph};
use neurons::{NeuronInfo, NeuronInfoLite};
use stake_info::{SimSwapResult, StakeAvailability, StakeInfo, SubnetPrice};
use subnets::{DynamicInfo, SubnetInfo, SubnetInfov2, SubnetState};

pub type AccountId = sp_runtime::AccountId32;
pub type Balance = u64;
pub type BlockNumber = u32;
pub type Nonce = u32;
pub type Hash = sp_core::H256;
pub type Address = MultiAddress<AccountId, ()>;
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, MultiSignature, TxExtension>;

/// Subtensor's own four extensions are zero bytes on the wire, so this tuple encodes like its thirteen.
pub type TxExtension = (
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
);

pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// The runtime version whose wire format this runtime follows.
pub const SPEC_VERSION: u32 = 461;

pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("node-subtensor"),
    impl_name: Cow::Borrowed("node-subtensor"),
    authoring_version: 1,
    spec_version: SPEC_VERSION,
    impl_version: 1,
    apis: RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

construct_runtime!(
    pub enum Runtime {
        System: frame_system = 0,
        Timestamp: pallet_timestamp = 2,
        Balances: pallet_balances = 5,
        TransactionPayment: pallet_transaction_payment = 6,
        SubtensorModule: pallet = 7,
        Utility: pallet_utility = 11,
        Sudo: pallet_sudo = 12,
        Commitments: commitments = 18,
        Drand: drand = 26,
        Swap: swap = 28,
    }
);

parameter_types! {
    pub BlockWeights: frame_system::limits::BlockWeights =
        frame_system::limits::BlockWeights::with_sensible_defaults(
            Weight::from_parts(4_000_000_000_000, u64::MAX),
            Perbill::from_percent(75),
        );
    pub BlockLength: frame_system::limits::BlockLength =
        frame_system::limits::BlockLength::max_with_normal_ratio(10 * 1024 * 1024, Perbill::from_percent(75));
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type AccountData = pallet_balances::AccountData<Balance>;
    type AccountId = AccountId;
    type BaseCallFilter = Everything;
    type Block = Block;
    type BlockHashCount = ConstU32<2400>;
    type BlockLength = BlockLength;
    type BlockWeights = BlockWeights;
    type DbWeight = RocksDbWeight;
    type ExtensionsWeightInfo = fees::Extensions;
    type Hash = Hash;
    type Lookup = sp_runtime::traits::AccountIdLookup<AccountId, ()>;
    type MaxConsumers = ConstU32<16>;
    type Nonce = Nonce;
    type SS58Prefix = ConstU16<42>;
    type Version = upgrade::Version;
}

impl pallet_timestamp::Config for Runtime {
    // Blocks made by hand follow one another within a millisecond.
    type MinimumPeriod = ConstU64<1>;
    type Moment = u64;
    type OnTimestampSet = ();
    type WeightInfo = ();
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU64<500>;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type RuntimeEvent = RuntimeEvent;
}

parameter_types! {
    pub FeeMultiplier: pallet_transaction_payment::Multiplier = One::one();
}

impl pallet_transaction_payment::Config for Runtime {
    type FeeMultiplierUpdate = pallet_transaction_payment::ConstFeeMultiplier<FeeMultiplier>;
    type LengthToFee = fees::ByLength;
    type OnChargeTransaction = fees::Charge;
    type OperationalFeeMultiplier = ConstU8<5>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = fees::Extensions;
    type WeightToFee = fees::ByTime;
}

impl pallet::Config for Runtime {}

impl commitments::Config for Runtime {
    type FieldDeposit = commitments::NoDeposit;
    type InitialDeposit = commitments::NoDeposit;
    type MaxFields = ConstU32<3>;
}

impl drand::Config for Runtime {}

impl swap::Config for Runtime {}

impl pallet_utility::Config for Runtime {
    type PalletsOrigin = OriginCaller;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
}

impl pallet_sudo::Config for Runtime {
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
}

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            <upgrade::Version as sp_core::Get<RuntimeVersion>>::get()
        }
        fn execute_block(block: Block) {
            Executive::execute_block(block);
        }
        fn initialize_block(header: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }
        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }
        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }
        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }
        fn inherent_extrinsics(data: sp_inherents::InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }
        fn check_inherents(block: Block, data: sp_inherents::InherentData) -> sp_inherents::CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            tx: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, tx, block_hash)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance> for Runtime {
        fn query_info(
            uxt: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(uxt, len)
        }
        fn query_fee_details(
            uxt: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> pallet_transaction_payment::FeeDetails<Balance> {
            TransactionPayment::query_fee_details(uxt, len)
        }
        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }
        fn query_length_to_fee(len: u32) -> Balance {
            TransactionPayment::length_to_fee(len)
        }
    }

    impl apis::SubnetInfoRuntimeApi<Block> for Runtime {
        fn get_subnet_info(netuid: u16) -> Option<SubnetInfo> {
            subnets::info(netuid)
        }
        fn get_subnets_info() -> Vec<Option<SubnetInfo>> {
            subnets::each(subnets::info)
        }
        fn get_subnet_info_v2(netuid: u16) -> Option<SubnetInfov2> {
            subnets::info_v2(netuid)
        }
        fn get_subnets_info_v2() -> Vec<Option<SubnetInfov2>> {
            subnets::each(subnets::info_v2)
        }
        fn get_subnet_hyperparams(netuid: u16) -> Option<SubnetHyperparams> {
            hyperparameters::first(netuid)
        }
        fn get_subnet_hyperparams_v2(netuid: u16) -> Option<SubnetHyperparamsV2> {
            hyperparameters::second(netuid)
        }
        fn get_subnet_hyperparams_v3(netuid: u16) -> Option<Vec<HyperparamEntry>> {
            hyperparameters::third(netuid)
        }
        fn get_all_dynamic_info() -> Vec<Option<DynamicInfo>> {
            subnets::each(subnets::dynamic)
        }
        fn get_dynamic_info(netuid: u16) -> Option<DynamicInfo> {
            subnets::dynamic(netuid)
        }
        fn get_all_metagraphs() -> Vec<Option<Metagraph>> {
            subnets::each(metagraph::full)
        }
        fn get_metagraph(netuid: u16) -> Option<Metagraph> {
            metagraph::full(netuid)
        }
        fn get_all_mechagraphs() -> Vec<Option<Metagraph>> {
            metagraph::all_mechanisms()
        }
        fn get_mechagraph(netuid: u16, mecid: u8) -> Option<Metagraph> {
            metagraph::mechanism_full(netuid, mecid)
        }
        fn get_subnet_state(netuid: u16) -> Option<SubnetState> {
            subnets::state(netuid)
        }
        fn get_selective_metagraph(netuid: u16, metagraph_indexes: Vec<u16>) -> Option<SelectiveMetagraph> {
            metagraph::selective(netuid, &metagraph_indexes)
        }
        fn get_selective_mechagraph(netuid: u16, subid: u8, metagraph_indexes: Vec<u16>)
            -> Option<SelectiveMetagraph> {
            metagraph::mechanism_selective(netuid, subid, &metagraph_indexes)
        }
        fn get_next_epoch_start_block(netuid: u16) -> Option<u64> {
            subnets::next_epoch(netuid)
        }
        fn get_subnet_to_prune() -> Option<u16> {
            networks::to_prune()
        }
        fn get_block_emission() -> u64 {
            coinbase::block_emission()
        }
    }

    impl apis::NeuronInfoRuntimeApi<Block> for Runtime {
        fn get_neurons(netuid: u16) -> Vec<NeuronInfo> {
            neurons::all(netuid)
        }
        fn get_neuron(netuid: u16, uid: u16) -> Option<NeuronInfo> {
            neurons::one(netuid, uid)
        }
        fn get_neurons_lite(netuid: u16) -> Vec<NeuronInfoLite> {
            neurons::all_lite(netuid)
        }
        fn get_neuron_lite(netuid: u16, uid: u16) -> Option<NeuronInfoLite> {
            neurons::lite(netuid, uid)
        }
    }

    impl apis::StakeInfoRuntimeApi<Block> for Runtime {
        fn get_stake_info_for_coldkey(coldkey_account: AccountId) -> Vec<StakeInfo> {
            stake_info::of_coldkey(&coldkey_account)
        }
        fn get_stake_info_for_coldkeys(coldkey_accounts: Vec<AccountId>) -> Vec<(AccountId, Vec<StakeInfo>)> {
            let infos = |coldkey: AccountId| {
                let staked = stake_info::of_coldkey(&coldkey);
                (coldkey, staked)
            };
            coldkey_accounts.into_iter().map(infos).collect()
        }
        fn get_stake_info_for_hotkey_coldkey_netuid(
            hotkey_account: AccountId,
            coldkey_account: AccountId,
            netuid: u16,
        ) -> Option<StakeInfo> {
            stake_info::at(&hotkey_account, &coldkey_account, netuid)
        }
        fn get_stake_availability_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
            netuids: Option<Vec<u16>>,
        ) -> BTreeMap<AccountId, BTreeMap<u16, StakeAvailability>> {
            stake_info::availability(coldkey_accounts, netuids)
        }
    }

    impl apis::DelegateInfoRuntimeApi<Block> for Runtime {
        fn get_delegates() -> Vec<DelegateInfo> {
            delegates::all()
        }
        fn get_delegate(delegate_account: AccountId) -> Option<DelegateInfo> {
            delegates::one(&delegate_account)
        }
        fn get_delegated(delegatee_account: AccountId) -> Vec<Delegated> {
            delegates::of(&delegatee_account)
        }
    }

    impl apis::SwapRuntimeApi<Block> for Runtime {
        fn current_alpha_price(netuid: u16) -> u64 {
            stake_info::price(netuid)
        }
        fn current_alpha_price_all() -> Vec<SubnetPrice> {
            stake_info::prices()
        }
        fn sim_swap_tao_for_alpha(netuid: u16, tao: u64) -> SimSwapResult {
            stake_info::bought_with(netuid, tao)
        }
        fn sim_swap_alpha_for_tao(netuid: u16, alpha: u64) -> SimSwapResult {
            stake_info::sold_for(netuid, alpha)
        }
    }

    impl apis::SubnetRegistrationRuntimeApi<Block> for Runtime {
        fn get_network_registration_cost() -> u64 {
            networks::cost()
        }
    }
}
