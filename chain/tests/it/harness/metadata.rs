//! Real metadata, made small by `examples/trim_metadata.rs`, and changes to it as a runtime upgrade would make them.

use codec::{Decode as _, Encode as _};
use scale_info::form::PortableForm;
use scale_info::{
    Field, Path, PortableType, Type, TypeDef, TypeDefComposite, TypeDefPrimitive, TypeDefSequence, Variant,
};
use subxt::ext::frame_metadata::v15::{
    RuntimeApiMethodMetadata, RuntimeMetadataV15, SignedExtensionMetadata, StorageEntryMetadata,
    StorageEntryType,
};
use subxt::ext::frame_metadata::{META_RESERVED, RuntimeMetadata, RuntimeMetadataPrefixed};

/// Metadata that a test may change.
#[derive(Clone)]
pub(crate) struct Fixture(pub(crate) RuntimeMetadataV15);

/// What subtensor declared at this runtime: finney at 365 and 424, a localnet at 461.
pub(crate) fn fixture(spec_version: u32) -> Fixture {
    let bytes: &[u8] = match spec_version {
        365 => include_bytes!("../data/metadata-365.scale"),
        424 => include_bytes!("../data/metadata-424.scale"),
        461 => include_bytes!("../data/metadata-461.scale"),
        _ => unreachable!("there is no file of it"),
    };
    let RuntimeMetadata::V15(metadata) = RuntimeMetadataPrefixed::decode(&mut &*bytes).unwrap().1 else {
        unreachable!("the files are of version 15");
    };
    Fixture(metadata)
}

impl Fixture {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        RuntimeMetadataPrefixed(META_RESERVED, RuntimeMetadata::V15(self.0.clone())).encode()
    }

    pub(crate) fn without_api(mut self, method: &str) -> Self {
        for api in &mut self.0.apis {
            api.methods.retain(|listed| listed.name != method);
        }
        self
    }

    pub(crate) fn without_entry(mut self, entry: &str) -> Self {
        for pallet in &mut self.0.pallets {
            let entries = &mut pallet.storage.as_mut().unwrap().entries;
            entries.retain(|listed| listed.name != entry);
        }
        self
    }

    pub(crate) fn without_constant(mut self, constant: &str) -> Self {
        for pallet in &mut self.0.pallets {
            pallet.constants.retain(|listed| listed.name != constant);
        }
        self
    }

    /// Without a call, an event or an error of a pallet.
    pub(crate) fn without_variant(mut self, pallet: &str, variant: &str) -> Self {
        let mut pallets = self.0.pallets.iter();
        let pallet = pallets.find(|listed| listed.name == pallet).unwrap();
        let calls = pallet.calls.as_ref().map(|calls| calls.ty.id);
        let events = pallet.event.as_ref().map(|event| event.ty.id);
        let errors = pallet.error.as_ref().map(|error| error.ty.id);
        for id in [calls, events, errors].into_iter().flatten() {
            let ty = &mut self.0.types.types[usize::try_from(id).unwrap()].ty;
            if let TypeDef::Variant(variants) = &mut ty.type_def {
                variants.variants.retain(|listed| listed.name != variant);
            }
        }
        self
    }

    pub(crate) fn without_extension(mut self, extension: &str) -> Self {
        let extensions = &mut self.0.extrinsic.signed_extensions;
        extensions.retain(|listed| listed.identifier != extension);
        self
    }

    pub(crate) fn with_extension(mut self, identifier: &str, ty: u32, additional_signed: u32) -> Self {
        self.0.extrinsic.signed_extensions.push(SignedExtensionMetadata {
            identifier: identifier.to_owned(),
            ty: ty.into(),
            additional_signed: additional_signed.into(),
        });
        self
    }

    pub(crate) fn entry(&mut self, name: &str) -> &mut StorageEntryMetadata<PortableForm> {
        let pallets = self.0.pallets.iter_mut();
        let mut entries = pallets.flat_map(|pallet| &mut pallet.storage.as_mut().unwrap().entries);
        entries.find(|entry| entry.name == name).unwrap()
    }

    pub(crate) fn method(&self, name: &str) -> &RuntimeApiMethodMetadata<PortableForm> {
        let mut methods = self.0.apis.iter().flat_map(|api| &api.methods);
        methods.find(|method| method.name == name).unwrap()
    }

    /// The type of the value of an entry.
    pub(crate) fn value(&mut self, entry: &str) -> &mut u32 {
        match &mut self.entry(entry).ty {
            StorageEntryType::Plain(value) | StorageEntryType::Map { value, .. } => &mut value.id,
        }
    }

    pub(crate) fn add(&mut self, ty: Type<PortableForm>) -> u32 {
        let id = u32::try_from(self.0.types.types.len()).unwrap();
        self.0.types.types.push(PortableType { id, ty });
        id
    }

    pub(crate) fn primitive(&mut self, primitive: TypeDefPrimitive) -> u32 {
        self.add(Type::new(
            Path::default(),
            Vec::new(),
            TypeDef::Primitive(primitive),
            Vec::new(),
        ))
    }

    pub(crate) fn list_of(&mut self, id: u32) -> u32 {
        let list = TypeDefSequence {
            type_param: id.into(),
        };
        self.add(Type::new(
            Path::default(),
            Vec::new(),
            TypeDef::Sequence(list),
            Vec::new(),
        ))
    }

    /// A newtype around another type, as an upgrade may put one around every integer.
    pub(crate) fn newtype(&mut self, id: u32) -> u32 {
        let inner = Field {
            name: None,
            ..field("", id)
        };
        let newtype = TypeDefComposite { fields: vec![inner] };
        self.add(Type::new(
            Path::default(),
            Vec::new(),
            TypeDef::Composite(newtype),
            Vec::new(),
        ))
    }

    /// The fields of the struct with this name.
    pub(crate) fn fields(&mut self, name: &str) -> &mut Vec<Field<PortableForm>> {
        match &mut self.named(name).type_def {
            TypeDef::Composite(composite) => &mut composite.fields,
            _ => unreachable!("{name} is a struct"),
        }
    }

    pub(crate) fn field(&mut self, name: &str, field: &str) -> &mut Field<PortableForm> {
        let mut fields = self.fields(name).iter_mut();
        fields
            .find(|listed| listed.name.as_deref() == Some(field))
            .unwrap()
    }

    /// The variants of the enum with this name.
    pub(crate) fn variants(&mut self, name: &str) -> &mut Vec<Variant<PortableForm>> {
        match &mut self.named(name).type_def {
            TypeDef::Variant(variants) => &mut variants.variants,
            _ => unreachable!("{name} is an enum"),
        }
    }

    fn named(&mut self, name: &str) -> &mut Type<PortableForm> {
        let mut types = self.0.types.types.iter_mut();
        let found = types.find(|ty| ty.ty.path.segments.last().is_some_and(|last| last == name));
        &mut found.unwrap().ty
    }
}

/// A field of a struct.
pub(crate) fn field(name: &str, id: u32) -> Field<PortableForm> {
    Field {
        name: Some(name.to_owned()),
        ty: id.into(),
        type_name: None,
        docs: Vec::new(),
    }
}
