//! Types of a runtime as short text, so that shapes can be compared: newtypes read as what is inside, `Compact<T>` as
//! T, structs and enums by no name, since only their fields matter. It describes; it decodes nothing.

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
    match &ty.type_def {
        TypeDef::Composite(composite) => match composite.fields.as_slice() {
            [] => "()".to_owned(),
            [field] => inner(field.ty.id),
            _ => "struct".to_owned(),
        },
        // Which variants there are is not looked at: a newer runtime may append some.
        TypeDef::Variant(_) => match option(ty) {
            Some(some) => format!("Option<{}>", inner(some)),
            None => "enum".to_owned(),
        },
        TypeDef::Sequence(sequence) => format!("Vec<{}>", inner(sequence.type_param.id)),
        TypeDef::Array(array) => format!("[{}; {}]", inner(array.type_param.id), array.len),
        TypeDef::Tuple(tuple) => {
            if let [field] = tuple.fields.as_slice() {
                return inner(field.id);
            }
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

/// Whether values of the type have no bytes.
pub(crate) fn is_empty(types: &PortableRegistry, id: u32) -> bool {
    let Some(ty) = types.resolve(id) else {
        return false;
    };
    match &ty.type_def {
        TypeDef::Composite(composite) => composite.fields.iter().all(|field| is_empty(types, field.ty.id)),
        TypeDef::Tuple(tuple) => tuple.fields.iter().all(|field| is_empty(types, field.id)),
        TypeDef::Array(array) => array.len == 0,
        _ => false,
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
                if let [field] = composite.fields.as_slice()
                    && field.name.is_none()
                {
                    id = field.ty.id;
                    continue;
                }
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
