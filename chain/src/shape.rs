//! Types of a runtime as short text, so that shapes can be compared: newtypes read as what is inside, `Compact<T>` as
//! T. It describes; it decodes nothing.

use scale_info::form::PortableForm;
use scale_info::{PortableRegistry, Type, TypeDef, TypeDefPrimitive};

/// Newtypes nest a few levels at most; a deeper type is a cycle.
const DEPTH: u32 = 16;

/// The name of a type, as `metadata/surface.toml` writes it.
pub(crate) fn name(types: &PortableRegistry, id: u32) -> String {
    name_at(types, id, DEPTH)
}

fn name_at(types: &PortableRegistry, id: u32, depth: u32) -> String {
    let (Some(ty), Some(depth)) = (types.resolve(id), depth.checked_sub(1)) else {
        return "?".to_owned();
    };
    let inner = |id: u32| name_at(types, id, depth);
    let last = ty.path.segments.last().map(String::as_str);
    match &ty.type_def {
        TypeDef::Composite(composite) => match (last, composite.fields.as_slice()) {
            (Some("AccountId32"), _) => "AccountId32".to_owned(),
            (_, [field]) => inner(field.ty.id),
            (Some(last), _) => last.to_owned(),
            (None, _) => "{..}".to_owned(),
        },
        TypeDef::Variant(_) => match (last, option(ty)) {
            (_, Some(some)) => format!("Option<{}>", inner(some)),
            (Some(last), None) => last.to_owned(),
            (None, None) => "enum".to_owned(),
        },
        TypeDef::Sequence(sequence) => format!("Vec<{}>", inner(sequence.type_param.id)),
        TypeDef::Array(array) => format!("[{}; {}]", inner(array.type_param.id), array.len),
        TypeDef::Tuple(tuple) => {
            let parts: Vec<String> = tuple.fields.iter().map(|field| inner(field.id)).collect();
            format!("({})", parts.join(", "))
        }
        TypeDef::Compact(compact) => inner(compact.type_param.id),
        TypeDef::BitSequence(_) => "BitVec".to_owned(),
        TypeDef::Primitive(primitive) => self::primitive(primitive).to_owned(),
    }
}

fn primitive(primitive: &TypeDefPrimitive) -> &'static str {
    match primitive {
        TypeDefPrimitive::Bool => "bool",
        TypeDefPrimitive::Char => "char",
        TypeDefPrimitive::Str => "str",
        TypeDefPrimitive::U8 => "u8",
        TypeDefPrimitive::U16 => "u16",
        TypeDefPrimitive::U32 => "u32",
        TypeDefPrimitive::U64 => "u64",
        TypeDefPrimitive::U128 => "u128",
        TypeDefPrimitive::U256 => "u256",
        TypeDefPrimitive::I8 => "i8",
        TypeDefPrimitive::I16 => "i16",
        TypeDefPrimitive::I32 => "i32",
        TypeDefPrimitive::I64 => "i64",
        TypeDefPrimitive::I128 => "i128",
        TypeDefPrimitive::I256 => "i256",
    }
}

/// The inside of an `Option`.
fn option(ty: &Type<PortableForm>) -> Option<u32> {
    let TypeDef::Variant(variants) = &ty.type_def else {
        return None;
    };
    let is_option = ty.path.segments.last().is_some_and(|last| last == "Option");
    let some = variants.variants.iter().find(|variant| variant.name == "Some")?;
    is_option.then_some(some.fields.first()?.ty.id)
}

/// A field by its dotted path: its position in its struct and its type. Options and lists on the way are entered.
pub(crate) fn field(types: &PortableRegistry, id: u32, path: &str) -> Option<(usize, u32)> {
    let mut found = None;
    let mut id = id;
    for name in path.split('.') {
        let fields = fields(types, id)?;
        let position = fields
            .iter()
            .position(|(field, _)| field.as_deref() == Some(name))?;
        id = fields[position].1;
        found = Some((position, id));
    }
    found
}

type Fields = Vec<(Option<String>, u32)>;

/// The fields of the struct within a type.
fn fields(types: &PortableRegistry, mut id: u32) -> Option<Fields> {
    for _ in 0..DEPTH {
        let ty = types.resolve(id)?;
        id = match &ty.type_def {
            TypeDef::Composite(composite) => {
                return Some(
                    composite
                        .fields
                        .iter()
                        .map(|field| (field.name.clone(), field.ty.id))
                        .collect(),
                );
            }
            TypeDef::Sequence(sequence) => sequence.type_param.id,
            TypeDef::Compact(compact) => compact.type_param.id,
            _ => option(ty)?,
        };
    }
    None
}
