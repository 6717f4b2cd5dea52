//! Makes a small metadata file of a real one: only what `metadata/surface.toml` lists, rewritten as version 15. The
//! files in `tests/it/data/` are made with it.
//!
//! ```sh
//! cargo run -p violet-chain --example trim_metadata -- finney.scale trimmed.scale
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use codec::{Decode as _, Encode as _};
use scale_info::form::PortableForm;
use scale_info::{Path, PortableRegistry, PortableType, Type, TypeDef, TypeDefTuple};
use subxt::ext::frame_metadata::v15::{
    CustomMetadata, ExtrinsicMetadata, OuterEnums, PalletConstantMetadata, PalletMetadata,
    PalletStorageMetadata, RuntimeApiMetadata, RuntimeApiMethodMetadata, RuntimeApiMethodParamMetadata,
    RuntimeMetadataV15, StorageEntryMetadata, StorageEntryType,
};
use subxt::ext::frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use violet_chain::surface::Surface;

type Pallets = Vec<PalletMetadata<PortableForm>>;
type Apis = Vec<RuntimeApiMetadata<PortableForm>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: trim_metadata IN OUT");
        return ExitCode::FAILURE;
    };
    if let Err(error) = run(from, to) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(from: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(from)?;
    let start = bytes.windows(4).position(|window| window == b"meta");
    let start = start.ok_or("no metadata in it")?;
    let whole = RuntimeMetadataPrefixed::decode(&mut &bytes[start..])?;
    let (types, pallets, apis) = match whole.1 {
        RuntimeMetadata::V15(metadata) => (metadata.types, metadata.pallets, metadata.apis),
        RuntimeMetadata::V16(metadata) => {
            let pallets = metadata.pallets.into_iter().map(pallet_of_16).collect();
            let apis = metadata.apis.into_iter().map(api_of_16).collect();
            (metadata.types, pallets, apis)
        }
        _ => return Err("only versions 15 and 16 describe runtime APIs".into()),
    };
    let trimmed = trim(types, pallets, apis);
    let metadata = RuntimeMetadataPrefixed(whole.0, RuntimeMetadata::V15(trimmed));
    std::fs::write(to, metadata.encode())?;
    Ok(())
}

fn pallet_of_16(
    from: subxt::ext::frame_metadata::v16::PalletMetadata<PortableForm>,
) -> PalletMetadata<PortableForm> {
    let storage = from.storage.map(|storage| PalletStorageMetadata {
        prefix: storage.prefix,
        entries: storage
            .entries
            .into_iter()
            .map(|entry| StorageEntryMetadata {
                name: entry.name,
                modifier: entry.modifier,
                ty: entry.ty,
                default: entry.default,
                docs: Vec::new(),
            })
            .collect(),
    });
    let constants = from.constants.into_iter().map(|constant| PalletConstantMetadata {
        name: constant.name,
        ty: constant.ty,
        value: constant.value,
        docs: Vec::new(),
    });
    PalletMetadata {
        name: from.name,
        storage,
        calls: None,
        event: None,
        constants: constants.collect(),
        error: None,
        index: from.index,
        docs: Vec::new(),
    }
}

fn api_of_16(
    from: subxt::ext::frame_metadata::v16::RuntimeApiMetadata<PortableForm>,
) -> RuntimeApiMetadata<PortableForm> {
    let methods = from.methods.into_iter().map(|method| RuntimeApiMethodMetadata {
        name: method.name,
        inputs: method
            .inputs
            .into_iter()
            .map(|input| RuntimeApiMethodParamMetadata {
                name: input.name,
                ty: input.ty,
            })
            .collect(),
        output: method.output,
        docs: Vec::new(),
    });
    RuntimeApiMetadata {
        name: from.name,
        methods: methods.collect(),
        docs: Vec::new(),
    }
}

/// Drops what the surface does not list, then the types that nothing names any more.
fn trim(mut types: PortableRegistry, mut pallets: Pallets, mut apis: Apis) -> RuntimeMetadataV15 {
    let surface = Surface::bundled();
    for pallet in &mut pallets {
        (pallet.calls, pallet.event, pallet.error) = (None, None, None);
        pallet.docs.clear();
        pallet.constants.retain(|constant| constant.name == "Version");
        pallet
            .constants
            .iter_mut()
            .for_each(|constant| constant.docs.clear());
        let listed = |entry: &str| {
            let mut items = surface.storage.iter();
            items.any(|item| item.pallet == pallet.name && item.entry == entry)
        };
        if let Some(storage) = &mut pallet.storage {
            storage.entries.retain(|entry| listed(&entry.name));
            storage.entries.iter_mut().for_each(|entry| entry.docs.clear());
        }
    }
    pallets.retain(|pallet| surface.storage.iter().any(|item| item.pallet == pallet.name));
    for api in &mut apis {
        api.docs.clear();
        api.methods.retain(|method| {
            let mut items = surface.api.iter();
            items.any(|item| item.r#trait == api.name && item.method == method.name)
        });
        api.methods.iter_mut().for_each(|method| method.docs.clear());
    }
    apis.retain(|api| !api.methods.is_empty());

    // Where metadata must name a type that nobody asks for.
    let unit = u32::try_from(types.types.len()).unwrap_or(u32::MAX);
    let nothing = Type::new(
        Path::default(),
        Vec::new(),
        TypeDef::Tuple(TypeDefTuple::new_portable([])),
        Vec::new(),
    );
    types.types.push(PortableType {
        id: unit,
        ty: nothing,
    });
    let mut named = vec![unit];
    visit(&mut pallets, &mut apis, &mut |id| named.push(*id));
    let moved: BTreeMap<u32, u32> = types.retain(|id| named.contains(&id));
    visit(&mut pallets, &mut apis, &mut |id| *id = moved[id]);
    types.types.iter_mut().for_each(|ty| ty.ty.docs.clear());
    let unit = moved[&unit].into();
    RuntimeMetadataV15 {
        types,
        pallets,
        extrinsic: ExtrinsicMetadata {
            version: 4,
            address_ty: unit,
            call_ty: unit,
            signature_ty: unit,
            extra_ty: unit,
            signed_extensions: Vec::new(),
        },
        ty: unit,
        apis,
        outer_enums: OuterEnums {
            call_enum_ty: unit,
            event_enum_ty: unit,
            error_enum_ty: unit,
        },
        custom: CustomMetadata { map: BTreeMap::new() },
    }
}

/// Every type that an item names.
fn visit(pallets: &mut Pallets, apis: &mut Apis, with: &mut impl FnMut(&mut u32)) {
    for pallet in pallets {
        for constant in &mut pallet.constants {
            with(&mut constant.ty.id);
        }
        for entry in pallet.storage.iter_mut().flat_map(|storage| &mut storage.entries) {
            match &mut entry.ty {
                StorageEntryType::Plain(value) => with(&mut value.id),
                StorageEntryType::Map { key, value, .. } => {
                    with(&mut key.id);
                    with(&mut value.id);
                }
            }
        }
    }
    for method in apis.iter_mut().flat_map(|api| &mut api.methods) {
        with(&mut method.output.id);
        method.inputs.iter_mut().for_each(|input| with(&mut input.ty.id));
    }
}
