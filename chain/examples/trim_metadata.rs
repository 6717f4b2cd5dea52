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
    CustomMetadata, ExtrinsicMetadata, OuterEnums, PalletCallMetadata, PalletConstantMetadata,
    PalletErrorMetadata, PalletEventMetadata, PalletMetadata, PalletStorageMetadata, RuntimeApiMetadata,
    RuntimeApiMethodMetadata, RuntimeApiMethodParamMetadata, RuntimeMetadataV15, SignedExtensionMetadata,
    StorageEntryMetadata, StorageEntryType,
};
use subxt::ext::frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};
use violet_chain::surface::Surface;

type Pallets = Vec<PalletMetadata<PortableForm>>;
type Apis = Vec<RuntimeApiMetadata<PortableForm>>;
type Extensions = Vec<SignedExtensionMetadata<PortableForm>>;

/// What is taken of a file.
struct Whole {
    types: PortableRegistry,
    pallets: Pallets,
    apis: Apis,
    /// The outer enum of events.
    events: u32,
    extensions: Extensions,
}

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
    let parts = match whole.1 {
        RuntimeMetadata::V15(metadata) => Whole {
            types: metadata.types,
            pallets: metadata.pallets,
            apis: metadata.apis,
            events: metadata.outer_enums.event_enum_ty.id,
            extensions: metadata.extrinsic.signed_extensions,
        },
        RuntimeMetadata::V16(metadata) => Whole {
            pallets: metadata.pallets.into_iter().map(pallet_of_16).collect(),
            apis: metadata.apis.into_iter().map(api_of_16).collect(),
            types: metadata.types,
            events: metadata.outer_enums.event_enum_ty.id,
            extensions: metadata
                .extrinsic
                .transaction_extensions
                .into_iter()
                .map(extension_of_16)
                .collect(),
        },
        _ => return Err("only versions 15 and 16 describe runtime APIs".into()),
    };
    let trimmed = trim(parts);
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
        calls: from.calls.map(|calls| PalletCallMetadata { ty: calls.ty }),
        event: from.event.map(|event| PalletEventMetadata { ty: event.ty }),
        constants: constants.collect(),
        error: from.error.map(|error| PalletErrorMetadata { ty: error.ty }),
        index: from.index,
        docs: Vec::new(),
    }
}

fn extension_of_16(
    from: subxt::ext::frame_metadata::v16::TransactionExtensionMetadata<PortableForm>,
) -> SignedExtensionMetadata<PortableForm> {
    SignedExtensionMetadata {
        identifier: from.identifier,
        ty: from.ty,
        additional_signed: from.implicit,
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
fn trim(whole: Whole) -> RuntimeMetadataV15 {
    let Whole {
        mut types,
        mut pallets,
        mut apis,
        events,
        mut extensions,
    } = whole;
    let surface = Surface::bundled();
    let with_events = |pallet: &str| surface.event.iter().any(|item| item.pallet == pallet);
    keep_variants(&mut types, events, with_events);
    for pallet in &mut pallets {
        trim_pallet(&surface, pallet, &mut types);
    }
    pallets.retain(|pallet| {
        let stored = pallet.storage.iter().any(|storage| !storage.entries.is_empty());
        stored || pallet.calls.is_some() || pallet.error.is_some() || !pallet.constants.is_empty()
    });
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
    visit(&mut pallets, &mut apis, &mut extensions, &mut |id| {
        named.push(*id);
    });
    let moved: BTreeMap<u32, u32> = types.retain(|id| named.contains(&id));
    visit(&mut pallets, &mut apis, &mut extensions, &mut |id| {
        *id = moved[id];
    });
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
            signed_extensions: extensions,
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

/// Drops what is not listed of a pallet.
fn trim_pallet(surface: &Surface, pallet: &mut PalletMetadata<PortableForm>, types: &mut PortableRegistry) {
    let name = pallet.name.clone();
    pallet.docs.clear();
    let constants = &surface.constant;
    pallet.constants.retain(|constant| {
        let mut items = constants.iter();
        items.any(|item| item.pallet == name && item.constant == constant.name)
    });
    for constant in &mut pallet.constants {
        constant.docs.clear();
    }
    if let Some(storage) = &mut pallet.storage {
        storage.entries.retain(|entry| {
            let mut items = surface.storage.iter();
            items.any(|item| item.pallet == name && item.entry == entry.name)
        });
        storage.entries.iter_mut().for_each(|entry| entry.docs.clear());
    }
    let listed = |call: &str| {
        let mut items = surface.call.iter();
        items.any(|item| item.pallet == name && item.call == call)
    };
    pallet
        .calls
        .take_if(|calls| !keep_variants(types, calls.ty.id, listed));
    let listed = |event: &str| {
        let mut items = surface.event.iter();
        items.any(|item| item.pallet == name && item.event == event)
    };
    pallet
        .event
        .take_if(|event| !keep_variants(types, event.ty.id, listed));
    let listed = |error: &str| {
        let items = surface.error.iter().filter(|item| item.pallet == name);
        items.flat_map(|item| &item.errors).any(|listed| listed == error)
    };
    pallet
        .error
        .take_if(|errors| !keep_variants(types, errors.ty.id, listed));
}

/// Drops variants of an enum; whether any is left.
fn keep_variants(types: &mut PortableRegistry, id: u32, kept: impl Fn(&str) -> bool) -> bool {
    let ty = types.types.get_mut(id as usize).map(|ty| &mut ty.ty.type_def);
    let Some(TypeDef::Variant(variants)) = ty else {
        return false;
    };
    variants.variants.retain(|variant| kept(&variant.name));
    for variant in &mut variants.variants {
        variant.docs.clear();
        variant.fields.iter_mut().for_each(|field| field.docs.clear());
    }
    !variants.variants.is_empty()
}

/// Every type that an item names.
fn visit(
    pallets: &mut Pallets,
    apis: &mut Apis,
    extensions: &mut Extensions,
    with: &mut impl FnMut(&mut u32),
) {
    for extension in extensions {
        with(&mut extension.ty.id);
        with(&mut extension.additional_signed.id);
    }
    for pallet in pallets {
        if let Some(calls) = &mut pallet.calls {
            with(&mut calls.ty.id);
        }
        if let Some(event) = &mut pallet.event {
            with(&mut event.ty.id);
        }
        if let Some(error) = &mut pallet.error {
            with(&mut error.ty.id);
        }
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
