//! The surface: what of the chain is read, as a list that can be held against a runtime. It compares names and shapes;
//! it reads no values and says nothing about whether a node is honest. The reader goes by the same verdict: it reads a
//! metagraph in the first [`Way`] of which everything is found.

use std::fmt;

use scale_info::PortableRegistry;
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

/// A way to read a metagraph, the cheapest first. One of them suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `get_selective_metagraph`: one call that answers what is asked for and no more.
    Selective,
    /// `get_metagraph`: one call that answers everything.
    Full,
    /// `get_neurons_lite` for the neurons, storage for the subnet, and stake weight computed here.
    Lite,
    /// Storage for everything, and stake weight computed here.
    Storage,
}

impl Way {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Selective, Self::Full, Self::Lite, Self::Storage];

    /// Whether stake weight is the chain's own answer, and not computed here from storage.
    pub const fn has_the_chains_stake(self) -> bool {
        matches!(self, Self::Selective | Self::Full)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Selective => "get_selective_metagraph",
            Self::Full => "get_metagraph",
            Self::Lite => "get_neurons_lite and storage",
            Self::Storage => "storage alone",
        })
    }
}

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

/// How an item stands in a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There, in the expected shape.
    Found,
    /// Not there.
    Missing,
    /// There in another shape.
    Changed {
        /// The listed shape.
        expected: String,
        /// The runtime's.
        found: String,
    },
    /// Not told by this metadata: version 14 describes no runtime API.
    Untold,
}

/// The finding for one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `Pallet.Entry`, `Api.method` or `Api.method.field`.
    pub item: String,
    /// How it stands.
    pub status: Status,
    /// The ways of reading a metagraph that need it.
    pub ways: Vec<Way>,
    /// For an item of no way: whether nothing can be read without it.
    pub required: bool,
    /// What is lost when it is missing or changed.
    pub without: String,
}

/// The findings for one runtime, in the order of the list: storage, then runtime APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The runtime, as its own metadata says.
    pub spec_version: u32,
    /// One for each item and each field.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The ways of reading a metagraph of which everything is found, the cheapest first. A list that names no way has
    /// none to lose.
    pub fn ways(&self) -> Vec<Way> {
        let whole = |way: &Way| {
            let mut items = self.findings.iter().filter(|finding| finding.ways.contains(way));
            items.clone().next().is_some() && items.all(|finding| finding.status == Status::Found)
        };
        Way::ALL.into_iter().filter(whole).collect()
    }

    /// Whether a snapshot can be read: everything required is there in the expected shape, and one way at least is
    /// whole.
    pub fn is_ok(&self) -> bool {
        self.vital().next().is_none()
    }

    /// The findings that keep a snapshot from being read.
    pub fn vital(&self) -> impl Iterator<Item = &Finding> {
        let no_way = self.ways().is_empty();
        self.problems().filter(move |finding| {
            if finding.ways.is_empty() {
                finding.required
            } else {
                no_way
            }
        })
    }

    /// The findings that are not as they should be.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| !matches!(finding.status, Status::Found | Status::Untold))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (item, without) = (&self.item, &self.without);
        match &self.status {
            Status::Found => write!(f, "found    {item}"),
            Status::Missing => write!(f, "MISSING  {item} ({without})"),
            Status::Changed { expected, found } => {
                write!(f, "CHANGED  {item}: {found} instead of {expected} ({without})")
            }
            Status::Untold => write!(f, "untold   {item} (this metadata describes no runtime API)"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "runtime {}", self.spec_version)?;
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))?;
        if let Some(way) = self.ways().first() {
            writeln!(f, "a metagraph is read by {way}")?;
        } else {
            writeln!(f, "a metagraph cannot be read in any way")?;
        }
        match self.vital().count() {
            0 => write!(f, "nothing vital is gone"),
            count => {
                let items: Vec<&str> = self.vital().map(|finding| finding.item.as_str()).collect();
                write!(f, "VITAL: {count} gone or changed: {}", items.join(", "))
            }
        }
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
    /// version 14 describes no runtime API, hence nothing is told of them there.
    pub fn check_metadata(&self, scale: &[u8]) -> Result<Report, Error> {
        Ok(self.check_runtime(&Runtime::from_metadata(scale)?))
    }

    pub(crate) fn check_runtime(&self, runtime: &Runtime) -> Report {
        let metadata = &runtime.metadata;
        let storage = self.storage.iter().flat_map(|item| item.check(metadata));
        let api = self.api.iter().flat_map(|item| item.check(metadata));
        Report {
            spec_version: runtime.spec_version,
            findings: storage.chain(api).collect(),
        }
    }
}

fn compare(expected: String, found: String) -> Status {
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
    fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let name = format!("{}.{}", self.pallet, self.entry);
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
        findings(name, head, fields, &self.finding())
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
    fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let name = format!("{}.{}", self.r#trait, self.method);
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
        findings(name, head, fields, &self.finding())
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
