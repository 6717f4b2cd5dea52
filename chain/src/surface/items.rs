//! What a snapshot and everything else that is read needs: storage entries and methods of runtime APIs.

use scale_info::PortableRegistry;
use serde::Deserialize;
use subxt::Metadata;
use subxt::ext::frame_decode::runtime_apis::RuntimeApiTypeInfo as _;
use subxt::ext::frame_decode::storage::StorageTypeInfo as _;

use super::{Finding, Status, Way};
use crate::shape;

/// A storage entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageItem {
    /// The pallet's name.
    pub pallet: String,
    /// The entry's name.
    pub entry: String,
    /// Hashers and types of its keys, outermost first; empty for a plain value.
    pub keys: Vec<StorageKey>,
    /// The type of its value.
    pub value: String,
    /// The fields of the value that are read.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// The ways of reading a metagraph that need it.
    #[serde(default)]
    pub ways: Vec<Way>,
    /// For an item of no way: whether nothing can be read without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What is lost when it is missing or changed.
    pub without: String,
}

/// One key of a storage map.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageKey {
    /// `Identity`, `Twox64Concat`, `Blake2_128Concat` …
    pub hasher: String,
    /// The type of the key.
    pub r#type: String,
}

/// A method of a runtime API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiItem {
    /// The trait's name.
    pub r#trait: String,
    /// The method's name.
    pub method: String,
    /// The types of its arguments.
    pub inputs: Vec<String>,
    /// The type of its answer.
    pub output: String,
    /// The fields of the answer that are read.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// The ways of reading a metagraph that need it.
    #[serde(default)]
    pub ways: Vec<Way>,
    /// For an item of no way: whether nothing can be read without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What is lost when it is missing or changed.
    pub without: String,
}

/// A field of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its position in the struct, where it is asked for by number.
    pub index: Option<u16>,
    /// Its name; a dot leads into an optional struct or the elements of a list.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

const fn yes() -> bool {
    true
}

pub(super) fn compare(expected: String, found: String) -> Status {
    if expected == found {
        Status::Found
    } else {
        Status::Changed { expected, found }
    }
}

/// The fields of a struct, one status for each that is listed.
fn compare_fields(types: &PortableRegistry, id: u32, listed: &[Field]) -> Vec<(String, Status)> {
    let numbered = |position: Option<usize>, name: &str| match position {
        Some(position) => format!("{position}: {name}"),
        None => name.to_owned(),
    };
    let status = |field: &Field| match shape::field(types, id, &field.name) {
        None => Status::Missing,
        Some((position, id)) => compare(
            numbered(field.index.map(usize::from), &field.r#type),
            numbered(field.index.map(|_| position), &shape::name(types, id)),
        ),
    };
    listed
        .iter()
        .map(|field| (field.name.clone(), status(field)))
        .collect()
}

/// The findings for an item and its fields.
fn findings(item: String, head: Status, fields: Vec<(String, Status)>, of: &Finding) -> Vec<Finding> {
    let finding = |item, status| Finding {
        item,
        status,
        ..of.clone()
    };
    let fields = fields
        .into_iter()
        .map(|(field, status)| finding(format!("{item}.{field}"), status));
    let mut all: Vec<Finding> = fields.collect();
    all.insert(0, finding(item, head));
    all
}

impl StorageItem {
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.pallet, self.entry)
    }

    pub(super) fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let (head, fields) = match metadata.storage_info(&self.pallet, &self.entry) {
            Err(_) => (Status::Missing, Vec::new()),
            Ok(info) => {
                let types = metadata.types();
                let found = info
                    .keys
                    .iter()
                    .map(|key| format!("{:?} {}", key.hasher, shape::name(types, key.key_id)));
                let expected = self
                    .keys
                    .iter()
                    .map(|key| format!("{} {}", key.hasher, key.r#type));
                let entry = |keys: Vec<String>, value: &str| format!("({}) -> {value}", keys.join(", "));
                let head = compare(
                    entry(expected.collect(), &self.value),
                    entry(found.collect(), &shape::name(types, info.value_id)),
                );
                (head, compare_fields(types, info.value_id, &self.fields))
            }
        };
        findings(self.name(), head, fields, &self.finding())
    }

    /// What all findings for it have in common.
    fn finding(&self) -> Finding {
        Finding {
            item: String::new(),
            status: Status::Missing,
            ways: self.ways.clone(),
            required: self.required,
            without: self.without.clone(),
        }
    }
}

impl ApiItem {
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.r#trait, self.method)
    }

    pub(super) fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let (head, fields) = match metadata.runtime_api_info(&self.r#trait, &self.method) {
            Err(_) if metadata.runtime_api_traits().len() == 0 => (Status::Untold, Vec::new()),
            Err(_) => (Status::Missing, Vec::new()),
            Ok(info) => {
                let types = metadata.types();
                let call = |inputs: Vec<String>, output: &str| format!("({}) -> {output}", inputs.join(", "));
                let inputs = info
                    .inputs
                    .iter()
                    .map(|input| shape::name(types, input.id))
                    .collect();
                let found = call(inputs, &shape::name(types, info.output_id));
                let head = compare(call(self.inputs.clone(), &self.output), found);
                (head, compare_fields(types, info.output_id, &self.fields))
            }
        };
        findings(self.name(), head, fields, &self.finding())
    }

    /// What all findings for it have in common.
    fn finding(&self) -> Finding {
        Finding {
            item: String::new(),
            status: Status::Missing,
            ways: self.ways.clone(),
            required: self.required,
            without: self.without.clone(),
        }
    }
}
