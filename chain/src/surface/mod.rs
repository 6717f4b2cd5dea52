//! The surface: what of the chain is read and called, as a list that can be held against a runtime. It compares names
//! and shapes; it reads no values and says nothing about whether a node is honest. The reader goes by the same verdict:
//! it reads a metagraph in the first [`Way`] of which everything is found.

mod items;
mod writing;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::types::BlockRef;

pub use items::{ApiItem, Field, StorageItem, StorageKey};
pub use writing::{Argument, CallItem, ConstantItem, ErrorItem, EventItem, ExtensionItem, ExtrinsicItem};

/// The list of this version of the crate.
const BUNDLED: &str = include_str!("../../../metadata/surface.toml");

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

/// Every chain item that is read or called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Storage entries.
    #[serde(default)]
    pub storage: Vec<StorageItem>,
    /// Methods of runtime APIs.
    #[serde(default)]
    pub api: Vec<ApiItem>,
    /// Constants of pallets.
    #[serde(default)]
    pub constant: Vec<ConstantItem>,
    /// Calls that are sent.
    #[serde(default)]
    pub call: Vec<CallItem>,
    /// Events that say what became of them.
    #[serde(default)]
    pub event: Vec<EventItem>,
    /// Errors that are foretold.
    #[serde(default)]
    pub error: Vec<ErrorItem>,
    /// The form of what is sent.
    pub extrinsic: Option<ExtrinsicItem>,
    /// What is signed beside the call.
    #[serde(default)]
    pub extension: Vec<ExtensionItem>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Storage,
    Api,
    Constant,
    Call,
    Event,
    Error,
    Extension,
}

/// Whether the list of this version of the crate has an item, by the name that a [`Finding`] gives it.
pub(crate) fn lists(kind: Kind, item: &str) -> bool {
    static LISTED: LazyLock<BTreeSet<(Kind, String)>> = LazyLock::new(|| Surface::bundled().items());
    LISTED.contains(&(kind, item.to_owned()))
}

/// Where debug assertions are on, as in tests: that an item is listed, so that it is looked for in every runtime.
pub(crate) fn expect_listed(kind: Kind, item: impl FnOnce() -> String) {
    if cfg!(debug_assertions) {
        let item = item();
        assert!(
            lists(kind, &item),
            "{item} ({kind:?}) is not in metadata/surface.toml"
        );
    }
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

/// The findings for one runtime: storage, then runtime APIs, then what only writing needs.
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
            findings: storage.chain(api).chain(self.check_writing(metadata)).collect(),
        }
    }

    /// Everything that is listed, as [`Finding`] names it.
    fn items(&self) -> BTreeSet<(Kind, String)> {
        let storage = self.storage.iter().map(|item| (Kind::Storage, item.name()));
        let api = self.api.iter().map(|item| (Kind::Api, item.name()));
        storage.chain(api).chain(self.items_of_writing()).collect()
    }
}
