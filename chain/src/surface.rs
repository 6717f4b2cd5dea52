//! The surface: what of the chain is read, as a list that can be held against a runtime. It compares names and shapes;
//! it reads no values and says nothing about whether a node is honest.

use std::fmt;

use serde::{Deserialize, Serialize};
use subxt::Metadata;
use subxt::ext::frame_decode::runtime_apis::RuntimeApiTypeInfo as _;
use subxt::ext::frame_decode::storage::StorageTypeInfo as _;

use crate::client::Client;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::shape;
use crate::types::BlockRef;

/// The list of this version of the crate.
const BUNDLED: &str = include_str!("../../metadata/surface.toml");

/// A list that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the surface cannot be read")]
pub struct SurfaceError(#[source] Box<toml::de::Error>);

/// Every chain item that is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Storage entries.
    #[serde(default)]
    pub storage: Vec<StorageItem>,
    /// Methods of runtime APIs.
    #[serde(default)]
    pub api: Vec<ApiItem>,
}

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
    /// The oldest runtime known to have it.
    pub since: u32,
    /// Whether nothing can be read without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What happens when it is missing.
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
    /// Whether nothing can be read without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What happens when it is missing.
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

/// How an item stands in a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There, in the expected shape.
    Ok,
    /// Not there.
    Missing,
    /// There in another shape.
    Changed {
        /// The listed shape.
        expected: String,
        /// The runtime's.
        found: String,
    },
}

/// The finding for one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `Pallet.Entry`, `Api.method` or `Api.method.field`.
    pub item: String,
    /// How it stands.
    pub status: Status,
    /// Whether nothing can be read without it.
    pub required: bool,
    /// What happens when it is missing.
    pub without: String,
}

/// The findings for one runtime, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The runtime, as its own metadata says.
    pub spec_version: u32,
    /// One for each item and each field.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything required is there in the expected shape.
    pub fn is_ok(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.status == Status::Ok || !finding.required)
    }

    /// The findings that are not as they should be.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.status != Status::Ok)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Status::Ok => write!(f, "ok       {}", self.item),
            Status::Missing => write!(f, "MISSING  {} ({})", self.item, self.without),
            Status::Changed { expected, found } => {
                write!(f, "CHANGED  {}: {found} instead of {expected}", self.item)
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "runtime {}", self.spec_version)?;
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl Surface {
    /// The list of this version of the crate (`metadata/surface.toml`).
    pub fn bundled() -> Self {
        Self::parse(BUNDLED).expect("a test parses the bundled list")
    }

    /// Reads a list in the form of `metadata/surface.toml`.
    pub fn parse(text: &str) -> Result<Self, SurfaceError> {
        toml::from_str(text).map_err(|error| SurfaceError(Box::new(error)))
    }

    /// Holds the list against the runtime of a block.
    pub async fn check(&self, client: &Client, block: BlockRef) -> Result<Report, Error> {
        let runtime = client.runtime(block).await?;
        Ok(self.check_runtime(&runtime))
    }

    /// Holds the list against metadata in SCALE, bare or as `Metadata_metadata_at_version` wraps it. Metadata of
    /// version 14 describes no runtime API, hence all of them are missing there.
    pub fn check_metadata(&self, scale: &[u8]) -> Result<Report, Error> {
        Ok(self.check_runtime(&Runtime::from_metadata(scale)?))
    }

    fn check_runtime(&self, runtime: &Runtime) -> Report {
        let metadata = &runtime.metadata;
        let storage = self.storage.iter().map(|item| item.check(metadata));
        let api = self.api.iter().flat_map(|item| item.check(metadata));
        Report {
            spec_version: runtime.spec_version,
            findings: storage.chain(api).collect(),
        }
    }
}

fn compare(expected: String, found: String) -> Status {
    if expected == found {
        Status::Ok
    } else {
        Status::Changed { expected, found }
    }
}

impl StorageItem {
    fn check(&self, metadata: &Metadata) -> Finding {
        let status = match metadata.storage_info(&self.pallet, &self.entry) {
            Err(_) => Status::Missing,
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
                compare(
                    entry(expected.collect(), &self.value),
                    entry(found.collect(), &shape::name(types, info.value_id)),
                )
            }
        };
        Finding {
            item: format!("{}.{}", self.pallet, self.entry),
            status,
            required: self.required,
            without: self.without.clone(),
        }
    }
}

impl ApiItem {
    fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let name = format!("{}.{}", self.r#trait, self.method);
        let finding = |item, status| Finding {
            item,
            status,
            required: self.required,
            without: self.without.clone(),
        };
        let Ok(info) = metadata.runtime_api_info(&self.r#trait, &self.method) else {
            return vec![finding(name, Status::Missing)];
        };
        let types = metadata.types();
        let call = |inputs: Vec<String>, output: &str| format!("({}) -> {output}", inputs.join(", "));
        let inputs = info
            .inputs
            .iter()
            .map(|input| shape::name(types, input.id))
            .collect();
        let found = call(inputs, &shape::name(types, info.output_id));
        let head = compare(call(self.inputs.clone(), &self.output), found);

        let fields = self.fields.iter().map(|field| {
            let status = match shape::field(types, info.output_id, &field.name) {
                None => Status::Missing,
                Some((position, id)) => {
                    let numbered = |position: Option<usize>, name: &str| match position {
                        Some(position) => format!("{position}: {name}"),
                        None => name.to_owned(),
                    };
                    compare(
                        numbered(field.index.map(usize::from), &field.r#type),
                        numbered(field.index.map(|_| position), &shape::name(types, id)),
                    )
                }
            };
            finding(format!("{name}.{}", field.name), status)
        });
        std::iter::once(finding(name.clone(), head))
            .chain(fields)
            .collect()
    }
}
