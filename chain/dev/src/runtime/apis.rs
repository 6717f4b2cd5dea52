//! What subtensor answers on being called: its own runtime APIs, as far as this chain has them.

use std::collections::BTreeMap;

use super::AccountId;
use super::delegates::{DelegateInfo, Delegated};
use super::hyperparameters::{HyperparamEntry, SubnetHyperparams, SubnetHyperparamsV2};
use super::metagraph::{Metagraph, SelectiveMetagraph};
use super::neurons::{NeuronInfo, NeuronInfoLite};
use super::stake_info::{SimSwapResult, StakeAvailability, StakeInfo, SubnetPrice};
use super::subnets::{DynamicInfo, SubnetInfo, SubnetInfov2, SubnetState};

sp_api::decl_runtime_apis! {
    /// What subtensor tells of subnets.
    #[api_version(2)]
    pub trait SubnetInfoRuntimeApi {
        /// A subnet, by the first version of the answer.
        fn get_subnet_info(netuid: u16) -> Option<SubnetInfo>;
        /// All subnets by number.
        fn get_subnets_info() -> Vec<Option<SubnetInfo>>;
        /// A subnet, by the second version of the answer.
        fn get_subnet_info_v2(netuid: u16) -> Option<SubnetInfov2>;
        /// All subnets by number.
        fn get_subnets_info_v2() -> Vec<Option<SubnetInfov2>>;
        /// Hyperparameters, by the first version of the answer.
        fn get_subnet_hyperparams(netuid: u16) -> Option<SubnetHyperparams>;
        /// Hyperparameters, by the second version of the answer.
        fn get_subnet_hyperparams_v2(netuid: u16) -> Option<SubnetHyperparamsV2>;
        /// Hyperparameters by name.
        fn get_subnet_hyperparams_v3(netuid: u16) -> Option<Vec<HyperparamEntry>>;
        /// Price and emission of all subnets by number.
        fn get_all_dynamic_info() -> Vec<Option<DynamicInfo>>;
        /// Price and emission of a subnet.
        fn get_dynamic_info(netuid: u16) -> Option<DynamicInfo>;
        /// Metagraphs of all subnets by number.
        fn get_all_metagraphs() -> Vec<Option<Metagraph>>;
        /// Everything about a subnet.
        fn get_metagraph(netuid: u16) -> Option<Metagraph>;
        /// Everything about each mechanism of each subnet.
        fn get_all_mechagraphs() -> Vec<Option<Metagraph>>;
        /// Everything about a mechanism of a subnet.
        fn get_mechagraph(netuid: u16, mecid: u8) -> Option<Metagraph>;
        /// The columns of a subnet.
        fn get_subnet_state(netuid: u16) -> Option<SubnetState>;
        /// What is asked for of a subnet's metagraph. `None` if there is no such subnet.
        fn get_selective_metagraph(netuid: u16, metagraph_indexes: Vec<u16>) -> Option<SelectiveMetagraph>;
        /// The same of a mechanism.
        fn get_selective_mechagraph(netuid: u16, subid: u8, metagraph_indexes: Vec<u16>)
            -> Option<SelectiveMetagraph>;
        /// The block at which the next epoch is due.
        fn get_next_epoch_start_block(netuid: u16) -> Option<u64>;
        /// The subnet that makes room for another.
        fn get_subnet_to_prune() -> Option<u16>;
        /// Rao of TAO that a block brings.
        fn get_block_emission() -> u64;
    }

    /// What subtensor tells of neurons.
    pub trait NeuronInfoRuntimeApi {
        /// All neurons of a subnet.
        fn get_neurons(netuid: u16) -> Vec<NeuronInfo>;
        /// A neuron.
        fn get_neuron(netuid: u16, uid: u16) -> Option<NeuronInfo>;
        /// All neurons of a subnet without weights and bonds.
        fn get_neurons_lite(netuid: u16) -> Vec<NeuronInfoLite>;
        /// A neuron without its weights and bonds.
        fn get_neuron_lite(netuid: u16, uid: u16) -> Option<NeuronInfoLite>;
    }

    /// What subtensor tells of stake.
    pub trait StakeInfoRuntimeApi {
        /// Everything that a coldkey has staked.
        fn get_stake_info_for_coldkey(coldkey_account: AccountId) -> Vec<StakeInfo>;
        /// The same of several.
        fn get_stake_info_for_coldkeys(coldkey_accounts: Vec<AccountId>) -> Vec<(AccountId, Vec<StakeInfo>)>;
        /// What a coldkey has on a hotkey on a subnet.
        fn get_stake_info_for_hotkey_coldkey_netuid(
            hotkey_account: AccountId,
            coldkey_account: AccountId,
            netuid: u16,
        ) -> Option<StakeInfo>;
        /// How much of the stake of coldkeys is not locked.
        fn get_stake_availability_for_coldkeys(
            coldkey_accounts: Vec<AccountId>,
            netuids: Option<Vec<u16>>,
        ) -> BTreeMap<AccountId, BTreeMap<u16, StakeAvailability>>;
    }

    /// What subtensor tells of delegates.
    pub trait DelegateInfoRuntimeApi {
        /// All of them.
        fn get_delegates() -> Vec<DelegateInfo>;
        /// One of them.
        fn get_delegate(delegate_account: AccountId) -> Option<DelegateInfo>;
        /// What a coldkey has on them.
        fn get_delegated(delegatee_account: AccountId) -> Vec<Delegated>;
    }

    /// What subtensor tells of prices.
    pub trait SwapRuntimeApi {
        /// Rao of TAO for an alpha.
        fn current_alpha_price(netuid: u16) -> u64;
        /// The same of all subnets.
        fn current_alpha_price_all() -> Vec<SubnetPrice>;
        /// What a subnet would give for TAO.
        fn sim_swap_tao_for_alpha(netuid: u16, tao: u64) -> SimSwapResult;
        /// What a subnet would give for its alpha.
        fn sim_swap_alpha_for_tao(netuid: u16, alpha: u64) -> SimSwapResult;
    }

    /// What subtensor tells of what subnets cost.
    pub trait SubnetRegistrationRuntimeApi {
        /// Rao that the next one costs.
        fn get_network_registration_cost() -> u64;
    }
}
