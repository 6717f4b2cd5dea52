//! The runtime as it says it is: its version and its metadata, which a cheat may change in the middle of a run.
//!
//! Both are kept in the state, so every block answers as the runtime it was made with.

use std::collections::BTreeSet;

use codec::{Decode, Encode};
use scale_info::meta_type;
use serde::Deserialize;
use sp_core::{Get, OpaqueMetadata};
use sp_metadata_ir::frame_metadata::RuntimeMetadata;
use sp_metadata_ir::{MetadataIR, TransactionExtensionMetadataIR};
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
    /// One extension of extrinsics more than it has.
    pub(crate) extension: Option<Extension>,
}

/// An extension of extrinsics that no client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extension {
    /// `CheckNothing`, which carries no data: extrinsics stay as they are.
    Empty,
    /// `ChargeSomething`, which asks for a number in the extrinsic. None can be made for such a runtime here.
    Data,
}

impl Extension {
    fn metadata(self) -> TransactionExtensionMetadataIR {
        let (identifier, ty) = match self {
            Self::Empty => ("CheckNothing", meta_type::<()>()),
            Self::Data => ("ChargeSomething", meta_type::<u64>()),
        };
        TransactionExtensionMetadataIR {
            identifier,
            ty,
            implicit: meta_type::<()>(),
        }
    }
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
        let extensions = &mut metadata.extrinsic.extensions;
        extensions.extend(self.extension.map(Extension::metadata));
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
    let upgrade = Upgrade::current();
    let version = match method {
        "Metadata_metadata" => 14,
        "Metadata_metadata_at_version" => match u32::decode(&mut &*arguments) {
            Ok(version) => version,
            Err(_) => return api::dispatch(method, arguments),
        },
        _ if upgrade.as_ref().is_some_and(|upgrade| upgrade.withholds(method)) => return None,
        _ => return api::dispatch(method, arguments),
    };
    let metadata = upgrade.map_or_else(Runtime::metadata_ir, |upgrade| upgrade.metadata());
    let metadata = as_the_chains(metadata, version).map(OpaqueMetadata::new);
    Some(match method {
        "Metadata_metadata" => metadata?.encode(),
        _ => metadata.encode(),
    })
}

/// The metadata of the runtime of this program, whatever a state says.
pub(crate) fn unchanged_metadata(version: u32) -> Option<Vec<u8>> {
    as_the_chains(Runtime::metadata_ir(), version)
}

/// Metadata in which types have the paths that they have on the chain: clients know calls, events and errors by them.
/// `None` if there is no such version.
fn as_the_chains(metadata: MetadataIR, version: u32) -> Option<Vec<u8>> {
    let mut metadata = sp_metadata_ir::into_version(metadata, version)?;
    let types = match &mut metadata.1 {
        RuntimeMetadata::V14(metadata) => &mut metadata.types,
        RuntimeMetadata::V15(metadata) => &mut metadata.types,
        RuntimeMetadata::V16(metadata) => &mut metadata.types,
        _ => return None,
    };
    for ty in &mut types.types {
        rename(&mut ty.ty.path.segments);
    }
    Some(metadata.encode())
}

fn rename(path: &mut Vec<String>) {
    let ours: Vec<&str> = module_path!().split("::").take(2).collect();
    if !path.iter().map(String::as_str).take(2).eq(ours) {
        return;
    }
    let rest = path.split_off(2);
    *path = match rest.as_slice() {
        [name] => vec!["node_subtensor_runtime".to_owned(), name.clone()],
        // Macros put the pallet into a module of its own.
        [rest @ .., name] => {
            let modules = rest.iter().filter(|module| *module != "inner").cloned();
            let modules = std::iter::once("pallet_subtensor".to_owned()).chain(modules);
            modules.chain([name.clone()]).collect()
        }
        [] => rest,
    };
}

/// The version of the block being run.
pub struct Version;

impl Get<RuntimeVersion> for Version {
    fn get() -> RuntimeVersion {
        Upgrade::current().map_or(VERSION, |upgrade| upgrade.applied())
    }
}
