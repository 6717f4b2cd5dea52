//! The runtime as it says it is: its version and its metadata, which a cheat may change in the middle of a run.
//!
//! Both are kept in the state, so every block answers as the runtime it was made with.

use std::collections::BTreeSet;

use codec::{Decode, Encode};
use sp_core::{Get, OpaqueMetadata};
use sp_metadata_ir::MetadataIR;
use sp_runtime::DigestItem;
use sp_version::RuntimeVersion;

use super::{Runtime, VERSION, api};

/// Holds what was changed; absent until then.
pub(crate) const UPGRADE_KEY: &[u8] = b":violet:upgrade";

/// What a changed runtime says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Upgrade {
    pub(crate) spec_version: u32,
    /// Items it no longer has: `Pallet.StorageItem`, `Pallet.Constant`, `RuntimeApi` or `RuntimeApi.method`.
    pub(crate) withheld: BTreeSet<String>,
}

impl Upgrade {
    /// What the block being run has. `None` outside a block, and before the first change.
    pub(crate) fn current() -> Option<Self> {
        let value = sp_externalities::with_externalities(|ext| ext.storage(UPGRADE_KEY))??;
        Self::decode(&mut value.as_slice()).ok()
    }

    /// The version in a state, given its value under [`UPGRADE_KEY`].
    pub(crate) fn version(stored: Option<&[u8]>) -> RuntimeVersion {
        let upgrade = stored.and_then(|mut value| Self::decode(&mut value).ok());
        upgrade.map_or(VERSION, |upgrade| upgrade.applied())
    }

    /// Makes the block being made the first with this runtime.
    pub(crate) fn enact(&self) {
        sp_io::storage::set(UPGRADE_KEY, &self.encode());
        frame_system::Pallet::<Runtime>::deposit_log(DigestItem::RuntimeEnvironmentUpdated);
    }

    fn applied(&self) -> RuntimeVersion {
        let gone = |id: &[u8; 8]| {
            self.withheld
                .iter()
                .any(|name| sp_core::blake2_64(name.as_bytes()) == *id)
        };
        let apis = VERSION.apis.iter().filter(|(id, _)| !gone(id));
        RuntimeVersion {
            spec_version: self.spec_version,
            apis: apis.copied().collect::<Vec<_>>().into(),
            ..VERSION
        }
    }

    fn withholds(&self, method: &str) -> bool {
        let Some((api, method)) = method.split_once('_') else {
            return false;
        };
        self.withheld.contains(api) || self.withheld.contains(&format!("{api}.{method}"))
    }

    fn metadata(&self) -> MetadataIR {
        let mut metadata = Runtime::metadata_ir();
        for pallet in &mut metadata.pallets {
            let kept = |item: &str| !self.withheld.contains(&format!("{}.{item}", pallet.name));
            if let Some(storage) = &mut pallet.storage {
                storage.entries.retain(|entry| kept(entry.name));
            }
            pallet.constants.retain(|constant| kept(constant.name));
        }
        metadata.apis.retain(|api| !self.withheld.contains(api.name));
        for api in &mut metadata.apis {
            api.methods
                .retain(|method| !self.withheld.contains(&format!("{}.{}", api.name, method.name)));
        }
        metadata
    }
}

/// The names that [`Upgrade::withheld`] may hold: all but the APIs that the node itself needs.
pub(crate) fn items() -> BTreeSet<String> {
    let metadata = Runtime::metadata_ir();
    let mut names = BTreeSet::new();
    for pallet in &metadata.pallets {
        let entries = pallet.storage.iter().flat_map(|storage| &storage.entries);
        names.extend(entries.map(|entry| format!("{}.{}", pallet.name, entry.name)));
        let constants = pallet.constants.iter();
        names.extend(constants.map(|constant| format!("{}.{}", pallet.name, constant.name)));
    }
    for api in &metadata.apis {
        if matches!(api.name, "Core" | "Metadata" | "BlockBuilder") {
            continue;
        }
        names.insert(api.name.to_owned());
        names.extend(
            api.methods
                .iter()
                .map(|method| format!("{}.{}", api.name, method.name)),
        );
    }
    names
}

/// Calls a runtime API. `None` if the runtime of this state does not have it.
pub(crate) fn dispatch(method: &str, arguments: &[u8]) -> Option<Vec<u8>> {
    let Some(upgrade) = Upgrade::current() else {
        return api::dispatch(method, arguments);
    };
    match method {
        "Metadata_metadata" => {
            let metadata = sp_metadata_ir::into_v14(upgrade.metadata());
            Some(OpaqueMetadata::new(metadata.encode()).encode())
        }
        "Metadata_metadata_at_version" => {
            let Ok(version) = u32::decode(&mut &*arguments) else {
                return api::dispatch(method, arguments);
            };
            let metadata = sp_metadata_ir::into_version(upgrade.metadata(), version);
            Some(
                metadata
                    .map(|metadata| OpaqueMetadata::new(metadata.encode()))
                    .encode(),
            )
        }
        _ if upgrade.withholds(method) => None,
        _ => api::dispatch(method, arguments),
    }
}

/// The version of the block being run.
pub struct Version;

impl Get<RuntimeVersion> for Version {
    fn get() -> RuntimeVersion {
        Upgrade::current().map_or(VERSION, |upgrade| upgrade.applied())
    }
}
