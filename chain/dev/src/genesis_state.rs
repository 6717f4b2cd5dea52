//! The state a genesis describes.

use sp_core::storage::Storage;
use sp_runtime::BuildStorage as _;
use sp_state_machine::BasicExternalities;

use crate::genesis::Genesis;
use crate::runtime::pallet::{
    Delegates, NetworksAdded, Owner, SubnetworkN, SubtokenEnabled, TaoWeight, TotalHotkeyAlpha,
    TotalNetworks, ValidatorPermit,
};
use crate::runtime::{
    AccountId, BalancesConfig, Runtime, RuntimeGenesisConfig, SudoConfig, cheats, fees, registration, shares,
    staking, upgrade,
};

/// Holds the hash of the metadata, so that a chain with another runtime has another genesis hash: clients keep
/// metadata on disk by genesis hash and spec version.
pub(crate) const METADATA_HASH_KEY: &[u8] = b":violet:metadata_hash";

/// Holds the seed, so that chains with different ones have different genesis hashes.
const SEED_KEY: &[u8] = b":violet:seed";

/// The hash that names the runtime of this program.
pub(crate) fn metadata_hash() -> [u8; 32] {
    let metadata = upgrade::unchanged_metadata(14).expect("there is a version 14");
    sp_core::blake2_256(&metadata)
}

impl Genesis {
    /// The state; the same for the same genesis, seed and runtime.
    pub(crate) fn storage(&self, seed: Option<u64>) -> Storage {
        let balances = self
            .accounts
            .iter()
            .map(|entry| (AccountId::new(entry.account), entry.balance));
        let config = RuntimeGenesisConfig {
            balances: BalancesConfig {
                balances: balances.collect(),
                ..BalancesConfig::default()
            },
            sudo: SudoConfig {
                key: Some(AccountId::new(self.sudo)),
            },
            ..RuntimeGenesisConfig::default()
        };
        let mut storage = config.build_storage().expect("a checked genesis can be built");
        BasicExternalities::execute_with_storage(&mut storage, || {
            sp_io::storage::set(METADATA_HASH_KEY, &metadata_hash());
            if let Some(seed) = seed {
                sp_io::storage::set(SEED_KEY, &seed.to_le_bytes());
            }
            self.write_subnets();
        });
        storage
    }

    fn write_subnets(&self) {
        TaoWeight::<Runtime>::put(self.tao_weight);
        cheats::set_stake_threshold(self.stake_threshold);
        cheats::set_epochs(self.epochs);
        fees::set(self.fees);
        // Root is a subnet without neurons here.
        NetworksAdded::<Runtime>::insert(0, true);
        SubtokenEnabled::<Runtime>::insert(0, true);
        SubnetworkN::<Runtime>::insert(0, 0);
        TotalNetworks::<Runtime>::put(1);
        for subnet in &self.subnets {
            let (coldkey, hotkey) = (
                AccountId::new(subnet.owner_coldkey),
                AccountId::new(subnet.owner_hotkey),
            );
            cheats::add_subnet(subnet.netuid, subnet.tempo, &coldkey, &hotkey);
        }
        for subnet in &self.subnets {
            self.write_neurons(subnet.netuid);
        }
    }

    /// Each column is written once, so that a chain of thousands begins at once.
    fn write_neurons(&self, netuid: u16) {
        let neurons: Vec<_> = self
            .neurons
            .iter()
            .filter(|neuron| neuron.netuid == netuid)
            .collect();
        let keys = neurons
            .iter()
            .map(|neuron| (AccountId::new(neuron.hotkey), AccountId::new(neuron.coldkey)));
        let keys: Vec<_> = keys.collect();
        registration::append_all(netuid, &keys);
        let permits: Vec<bool> = neurons.iter().map(|neuron| neuron.validator_permit).collect();
        ValidatorPermit::<Runtime>::insert(netuid, permits);
        let mut staked = [(netuid, 0u64, 0u64), (0, 0, 0)];
        for (neuron, (hotkey, _)) in neurons.iter().zip(&keys) {
            for ((netuid, before, after), rao) in staked.iter_mut().zip([neuron.alpha, neuron.root]) {
                let held = TotalHotkeyAlpha::<Runtime>::get(hotkey, *netuid);
                if held != rao {
                    shares::set(hotkey, Some(&Owner::<Runtime>::get(hotkey)), *netuid, rao);
                    *before = before.saturating_add(held);
                    *after = after.saturating_add(rao);
                }
            }
            if neuron.root > 0 {
                // Who has stake on root was registered there, and is a delegate since.
                Delegates::<Runtime>::insert(hotkey, Delegates::<Runtime>::get(hotkey));
            }
            if neuron.axon.is_some() {
                let written = cheats::set_axon(netuid, hotkey, neuron.axon);
                written.expect("it was registered above");
            }
        }
        for (netuid, before, after) in staked {
            staking::adjusted(netuid, before, after);
        }
    }
}
