//! What became of an extrinsic in its block, by the events of that block: done, or refused with the chain's own name of
//! the error. Nothing is told by index.

use subxt::ext::scale_value::scale::decode_as_type;
use subxt::ext::scale_value::{Composite, Primitive, Value, ValueDef};

use crate::client::Client;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::surface::{Kind, expect_listed};
use crate::types::BlockRef;

/// An error of the chain, named as its metadata names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// Whether the extrinsic at this place of the block did what it should. `parent` is the block before: its runtime ran
/// this one.
pub(crate) async fn read(
    client: &Client,
    parent: BlockRef,
    block: BlockRef,
    index: u32,
) -> Result<Result<(), Named>, Error> {
    const ITEM: &str = "System.Events";
    let runtime = client.runtime(parent).await?;
    let key = runtime.storage_key("System", "Events", ())?;
    let stored = client.stored(block, &[key]).await?;
    let bytes = stored.into_iter().next().flatten().unwrap_or_default();
    let events = runtime
        .metadata
        .pallet_by_name("System")
        .and_then(|pallet| pallet.storage())
        .and_then(|storage| storage.entry_by_name("Events"))
        .ok_or_else(|| runtime.missing(ITEM.into()))?;
    let events = decode_as_type(&mut &*bytes, events.value_ty(), runtime.metadata.types())
        .map_err(|error| runtime.decode_error(ITEM.into(), error))?
        .remove_context();
    let ended = elements(&events)
        .filter(|record| applies_to(record, index))
        .find_map(|record| ending(&runtime, record));
    ended.ok_or_else(|| {
        let wrong = format!(
            "nothing is said of the extrinsic {index} of block {}",
            block.number
        );
        runtime.decode_error(ITEM.into(), wrong)
    })
}

fn applies_to(record: &Value, index: u32) -> bool {
    let phase = field(record, "phase").and_then(variant);
    phase.is_some_and(|(name, values)| {
        name == "ApplyExtrinsic" && values.values().next().and_then(number) == Some(index.into())
    })
}

/// What the event says of the end of its extrinsic, if it does.
fn ending(runtime: &Runtime, record: &Value) -> Option<Result<(), Named>> {
    let (pallet, event) = field(record, "event").and_then(variant)?;
    let (name, values) = event.values().next().and_then(variant)?;
    match (pallet, name) {
        ("System", "ExtrinsicSuccess") => {
            expect_listed(Kind::Event, || format!("{pallet}.{name}"));
            Some(Ok(()))
        }
        ("System", "ExtrinsicFailed") => {
            expect_listed(Kind::Event, || format!("{pallet}.{name}"));
            Some(Err(named(runtime, values.values().next())))
        }
        _ => None,
    }
}

/// A dispatch error by name: that of the pallet's error, or of the kind.
fn named(runtime: &Runtime, error: Option<&Value>) -> Named {
    let unnamed = |name: &str| Named {
        name: name.to_owned(),
        detail: String::new(),
    };
    let Some((kind, values)) = error.and_then(variant) else {
        return unnamed("ExtrinsicFailed");
    };
    let inner = values.values().next();
    if kind != "Module" {
        return unnamed(inner.and_then(variant).map_or(kind, |(name, _)| name));
    }
    let of_pallet = || {
        let index = u8::try_from(field(inner?, "index").and_then(number)?).ok()?;
        // Four bytes, the first of which is the variant.
        let error = elements(field(inner?, "error")?).next().and_then(number)?;
        let pallet = runtime.metadata.pallet_by_error_index(index)?;
        let variant = pallet.error_variant_by_index(u8::try_from(error).ok()?)?;
        Some(Named {
            name: variant.name.clone(),
            detail: variant.docs.join(" ").trim().to_owned(),
        })
    };
    of_pallet().unwrap_or_else(|| unnamed("Module"))
}

pub(crate) fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    match &of.value {
        ValueDef::Composite(Composite::Named(fields)) => {
            let mut fields = fields.iter();
            fields.find(|(listed, _)| listed == name).map(|(_, value)| value)
        }
        _ => None,
    }
}

pub(crate) fn variant(of: &Value) -> Option<(&str, &Composite<()>)> {
    match &of.value {
        ValueDef::Variant(variant) => Some((&variant.name, &variant.values)),
        _ => None,
    }
}

pub(crate) fn elements(of: &Value) -> impl Iterator<Item = &Value> {
    match &of.value {
        ValueDef::Composite(composite) => Some(composite.values()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// A number, with or without a newtype around it.
pub(crate) fn number(of: &Value) -> Option<u128> {
    match &of.value {
        ValueDef::Primitive(Primitive::U128(number)) => Some(*number),
        ValueDef::Composite(composite) if composite.len() == 1 => composite.values().next().and_then(number),
        _ => None,
    }
}
