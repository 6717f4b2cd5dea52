//! Hyperparameters of a subnet, by the newest of the chain's three methods that the runtime has. What a runtime adds
//! comes along by its name: nothing is listed here.

use std::fmt;

use scale_decode::DecodeAsType;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use subxt::ext::scale_value::{Composite, Primitive, Value, ValueDef};

use crate::client::Client;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::types::{BlockRef, NetUid};

const API: &str = "SubnetInfoRuntimeApi";
/// Version and method, the newest first. Version 3 is a list of names and values, the older ones are structs.
const METHODS: [(u8, &str); 3] = [
    (3, "get_subnet_hyperparams_v3"),
    (2, "get_subnet_hyperparams_v2"),
    (1, "get_subnet_hyperparams"),
];

/// The hyperparameters of a subnet at a block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hyperparameters {
    /// Which subnet.
    pub netuid: NetUid,
    /// The block whose state this is.
    pub block: BlockRef,
    /// The runtime that answered.
    pub spec_version: u32,
    /// Which of the chain's methods answered: 3, 2 or 1.
    pub version: u8,
    /// Names and values, in the chain's order. Amounts are in rao, times in blocks, and parts (`kappa`, `alpha_high`,
    /// `alpha_low`, `max_weights_limit`) of 65535.
    #[serde(serialize_with = "as_map")]
    pub values: Vec<(String, Hyperparameter)>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// A switch.
    Bool(bool),
    /// A count, an amount or a part.
    Integer(u128),
    /// A fixed-point number.
    Fixed(f64),
    /// A kind that is not known here, as text.
    Other(String),
}

impl Hyperparameters {
    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&Hyperparameter> {
        let mut values = self.values.iter();
        values.find(|(listed, _)| listed == name).map(|(_, value)| value)
    }
}

impl fmt::Display for Hyperparameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => f.pad(if *value { "true" } else { "false" }),
            Self::Integer(value) => fmt::Display::fmt(value, f),
            Self::Fixed(value) => fmt::Display::fmt(value, f),
            Self::Other(value) => f.pad(value),
        }
    }
}

fn as_map<S: Serializer>(values: &[(String, Hyperparameter)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(values.len()))?;
    for (name, value) in values {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

impl Client {
    /// The hyperparameters of a subnet at a block: one call.
    pub async fn hyperparameters(&self, netuid: NetUid, block: BlockRef) -> Result<Hyperparameters, Error> {
        let runtime = self.runtime(block).await?;
        let has = |(_, method): &(u8, &str)| runtime.has_api(API, method);
        let (version, method) = METHODS
            .into_iter()
            .find(has)
            .ok_or_else(|| runtime.missing(format!("{API}.{}", METHODS[0].1)))?;
        let (name, arguments) = runtime.api_input(API, method, (netuid.0,))?;
        let answer = self.call(block, &name, &arguments).await?;
        let values = decode(&runtime, version, method, &answer)?;
        let values = values.ok_or(Error::NoSuchSubnet { netuid, block })?;
        Ok(Hyperparameters {
            netuid,
            block,
            spec_version: runtime.spec_version,
            version,
            values,
        })
    }
}

/// Names and values of an answer.
type Values = Vec<(String, Hyperparameter)>;

fn decode(runtime: &Runtime, version: u8, method: &str, answer: &[u8]) -> Result<Option<Values>, Error> {
    #[derive(DecodeAsType)]
    struct Entry {
        name: Vec<u8>,
        value: Value,
    }
    if version == 3 {
        let entries: Option<Vec<Entry>> = runtime.api_output(API, method, answer)?;
        let pair = |entry: Entry| {
            (
                String::from_utf8_lossy(&entry.name).into_owned(),
                plain(&entry.value),
            )
        };
        return Ok(entries.map(|entries| entries.into_iter().map(pair).collect()));
    }
    let fields: Option<Value> = runtime.api_output(API, method, answer)?;
    let pairs = |fields: Value| match fields.value {
        ValueDef::Composite(Composite::Named(fields)) => fields
            .into_iter()
            .map(|(name, value)| (name, plain(&value)))
            .collect(),
        _ => Vec::new(),
    };
    Ok(fields.map(pairs))
}

/// A value without its wrapping: newtypes and the variants of the chain's `HyperparamValue` hold one thing each.
fn plain(value: &Value) -> Hyperparameter {
    match &value.value {
        ValueDef::Primitive(Primitive::Bool(value)) => Hyperparameter::Bool(*value),
        ValueDef::Primitive(Primitive::U128(value)) => Hyperparameter::Integer(*value),
        ValueDef::Composite(Composite::Named(fields)) => match fields.as_slice() {
            [(name, bits)] if name == "bits" => fixed(bits),
            [(_, inner)] => plain(inner),
            _ => Hyperparameter::Other(value.to_string()),
        },
        ValueDef::Composite(Composite::Unnamed(fields)) => match fields.as_slice() {
            [inner] => plain(inner),
            _ => Hyperparameter::Other(value.to_string()),
        },
        ValueDef::Variant(variant) => {
            let mut inner = variant.values.values();
            match (inner.next(), inner.next()) {
                (Some(inner), None) => plain(inner),
                _ => Hyperparameter::Other(value.to_string()),
            }
        }
        _ => Hyperparameter::Other(value.to_string()),
    }
}

/// A fixed-point number by its bits. Subtensor has two kinds here: `I32F32` in an `i64`, and `U64F64` in a `u128`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a number to look at; the chain's own steps are finer than anybody sets them"
)]
fn fixed(bits: &Value) -> Hyperparameter {
    match &bits.value {
        ValueDef::Primitive(Primitive::I128(bits)) => Hyperparameter::Fixed(*bits as f64 / 2_f64.powi(32)),
        ValueDef::Primitive(Primitive::U128(bits)) => Hyperparameter::Fixed(*bits as f64 / 2_f64.powi(64)),
        _ => Hyperparameter::Other(bits.to_string()),
    }
}
