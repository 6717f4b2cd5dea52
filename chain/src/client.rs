//! The client of one chain: blocks, metadata and snapshots. Every read of one operation is at one block; nothing is
//! cached but metadata, which belongs to a runtime and not to a block.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use codec::{Decode as _, Encode as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subxt::ext::jsonrpsee::core::params::ArrayParams;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::heads::FinalizedHeads;
use crate::rpc::{Link, Numbered};
use crate::runtime::Runtime;
use crate::snapshot;
use crate::stats::Stats;
use crate::surface::{Kind, expect_listed};
use crate::types::{BlockHash, BlockRef, NetUid, Snapshot};

/// The newest metadata format that is read; 14 is the oldest, and it describes no runtime API.
const METADATA_VERSIONS: std::ops::RangeInclusive<u32> = 14..=16;
/// How many runtimes are remembered. An upgrade needs two.
const RUNTIMES: usize = 4;
/// How long the connection to an archive node is kept for a next question.
const ARCHIVE_KEPT: Duration = Duration::from_secs(60);

/// A connection to a chain. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// `ws://` or `wss://` addresses of nodes, tried in order.
    pub endpoints: Vec<String>,
    /// Addresses of nodes that keep all states: asked for what the others have discarded, and connected to only then.
    pub archive_endpoints: Vec<String>,
    /// The hash of block 0; without it that of the first node that answers. A node with another one is not used.
    pub genesis: Option<BlockHash>,
    /// When no final block came for this long, the other endpoints are asked how far they are; at ten times this they
    /// are asked in any case.
    pub silence: Duration,
}

impl Default for Options {
    /// No endpoint, and a minute: five blocks of a public chain.
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            archive_endpoints: Vec::new(),
            genesis: None,
            silence: Duration::from_secs(60),
        }
    }
}

struct Inner {
    link: Link,
    archive: Option<Link>,
    silence: Duration,
    genesis: BlockHash,
    runtimes: Mutex<BTreeMap<u32, Arc<Runtime>>>,
    last_runtime: AtomicU32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("genesis", &self.inner.genesis)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the first of these `ws://` or `wss://` endpoints that answers. The others take over when it
    /// fails, refuses or falls behind; all of them must serve the same chain.
    pub async fn connect(endpoints: &[String]) -> Result<Self, Error> {
        Self::with(Options {
            endpoints: endpoints.to_vec(),
            ..Options::default()
        })
        .await
    }

    /// [`Self::connect`] with more to choose.
    pub async fn with(options: Options) -> Result<Self, Error> {
        let expected = options.genesis.map(|hash| hash.to_string());
        let link = Link::new(&options.endpoints, expected)?;
        link.connect().await?;
        let archive = if options.archive_endpoints.is_empty() {
            None
        } else {
            Some(Link::new(
                &options.archive_endpoints,
                Some(link.genesis().to_owned()),
            )?)
        };
        let inner = Inner {
            genesis: parse_hash("chain_getBlockHash", link.genesis())?,
            link,
            archive,
            silence: options.silence,
            runtimes: Mutex::default(),
            last_runtime: AtomicU32::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What was counted so far, over all clones.
    pub fn stats(&self) -> Stats {
        let mut stats = self.inner.link.stats();
        if let Some(archive) = &self.inner.archive {
            let of_archive = archive.stats();
            for (method, calls) in of_archive.calls {
                *stats.calls.entry(method).or_default() += calls;
            }
            stats.received_bytes += of_archive.received_bytes;
            stats
                .endpoints
                .extend(of_archive.endpoints.into_iter().map(|mut endpoint| {
                    endpoint.name.push_str(" (archive)");
                    endpoint
                }));
        }
        stats
    }

    /// The hash of block 0, which names the chain.
    pub fn genesis_hash(&self) -> BlockHash {
        self.inner.genesis
    }

    /// The newest finalized block.
    pub async fn finalized(&self) -> Result<BlockRef, Error> {
        let hash: BlockHash = self.ask("chain_getFinalizedHead", |_| ()).await?;
        let header: Option<Numbered> = self
            .ask("chain_getHeader", |params| insert(params, &hash.to_string()))
            .await?;
        let header = header.ok_or_else(|| Error::Response {
            method: "chain_getHeader",
            source: "the node does not know its finalized block".into(),
        })?;
        let number = header.number.0;
        Ok(BlockRef { number, hash })
    }

    /// The finalized block with this number; `None` when it is not finalized yet.
    pub async fn block_at(&self, number: u32) -> Result<Option<BlockRef>, Error> {
        // Asked first: the node answers for unfinalized numbers too, and that answer may change.
        let finalized = self.finalized().await?;
        if number >= finalized.number {
            return Ok((number == finalized.number).then_some(finalized));
        }
        let hash: Option<BlockHash> = self
            .ask("chain_getBlockHash", |params| insert(params, &number))
            .await?;
        Ok(hash.map(|hash| BlockRef { number, hash }))
    }

    /// Finalized blocks as they come, for as long as they are asked for.
    pub fn finalized_heads(&self) -> FinalizedHeads {
        FinalizedHeads::new(self.clone())
    }

    /// The version of the runtime that answers for the state of this block.
    pub async fn spec_version(&self, block: BlockRef) -> Result<u32, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            spec_version: u32,
        }
        let at = block.hash.to_string();
        let version: Version = self
            .ask("state_getRuntimeVersion", |params| insert(params, &at))
            .await?;
        Ok(version.spec_version)
    }

    /// The subnet at this block: one `get_selective_metagraph`, and one read of the scalars that it does not carry. A
    /// runtime without that call is read in the next [`Way`](crate::surface::Way) that it offers.
    ///
    /// Errors: [`Error::NoSuchSubnet`], [`Error::Missing`] when the runtime lacks what every way needs,
    /// [`Error::StateDiscarded`] for a block too old for the node, and what the connection may do.
    pub async fn snapshot(&self, netuid: NetUid, block: BlockRef) -> Result<Snapshot, Error> {
        let (snapshot, _) = snapshot::read(self, netuid, block).await?;
        Ok(snapshot)
    }

    /// The newest metadata of the runtime of this block, in SCALE (from the magic `meta` on).
    pub async fn metadata(&self, block: BlockRef) -> Result<Vec<u8>, Error> {
        let versions = self.call(block, "Metadata_metadata_versions", &[]).await?;
        let versions = Vec::<u32>::decode(&mut &*versions).map_err(|error| Error::Metadata(error.into()))?;
        let newest = versions
            .into_iter()
            .filter(|version| METADATA_VERSIONS.contains(version))
            .max();
        let newest =
            newest.ok_or_else(|| Error::Metadata("no version between 14 and 16 is offered".into()))?;
        let opaque = self
            .call(block, "Metadata_metadata_at_version", &newest.encode())
            .await?;
        let opaque =
            Option::<Vec<u8>>::decode(&mut &*opaque).map_err(|error| Error::Metadata(error.into()))?;
        opaque.ok_or_else(|| Error::Metadata("an offered version is absent".into()))
    }

    /// The runtime of this block, its metadata fetched once per version.
    pub(crate) async fn runtime(&self, block: BlockRef) -> Result<Arc<Runtime>, Error> {
        let spec_version = self.spec_version(block).await?;
        self.runtime_of(spec_version, block).await
    }

    /// The runtime that was asked for last; `None` before the first.
    pub(crate) async fn last_runtime(&self) -> Option<Arc<Runtime>> {
        let last = self.inner.last_runtime.load(Ordering::Relaxed);
        self.inner.runtimes.lock().await.get(&last).map(Arc::clone)
    }

    /// The runtime of this version, which is that of this block.
    pub(crate) async fn runtime_of(&self, spec_version: u32, block: BlockRef) -> Result<Arc<Runtime>, Error> {
        // Held while fetching, so that who comes meanwhile waits for the same metadata instead of asking too.
        let mut runtimes = self.inner.runtimes.lock().await;
        self.inner.last_runtime.store(spec_version, Ordering::Relaxed);
        if let Some(runtime) = runtimes.get(&spec_version) {
            return Ok(Arc::clone(runtime));
        }
        let runtime = Arc::new(Runtime::new(spec_version, &self.metadata(block).await?)?);
        tracing::info!(spec_version, block = block.number, "metadata of a new runtime");
        runtimes.insert(spec_version, Arc::clone(&runtime));
        while runtimes.len() > RUNTIMES {
            runtimes.pop_first();
        }
        Ok(runtime)
    }

    /// Calls a runtime API by its full name with encoded arguments.
    pub(crate) async fn call(&self, block: BlockRef, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Error> {
        expect_listed(Kind::Api, || name.replacen('_', ".", 1));
        let arguments = format!("0x{}", hex::encode(arguments));
        let at = block.hash.to_string();
        let answer: String = self
            .ask("state_call", |params| {
                insert(params, name);
                insert(params, &arguments);
                insert(params, &at);
            })
            .await?;
        parse_hex("state_call", &answer)
    }

    /// The stored bytes under these keys at one block, in the order of the keys.
    pub(crate) async fn stored(
        &self,
        block: BlockRef,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        const METHOD: &str = "state_queryStorageAt";
        #[derive(Deserialize)]
        struct ChangeSet {
            changes: Vec<(String, Option<String>)>,
        }
        let keys: Vec<String> = keys.iter().map(|key| format!("0x{}", hex::encode(key))).collect();
        let at = block.hash.to_string();
        let sets: Vec<ChangeSet> = self
            .ask(METHOD, |params| {
                insert(params, &keys);
                insert(params, &at);
            })
            .await?;
        let changes: BTreeMap<String, Option<String>> =
            sets.into_iter().flat_map(|set| set.changes).collect();
        keys.iter()
            .map(|key| {
                let value = changes.get(key).ok_or_else(|| Error::Response {
                    method: METHOD,
                    source: "a key that was asked for is absent".into(),
                })?;
                value.as_deref().map(|value| parse_hex(METHOD, value)).transpose()
            })
            .collect()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.inner.link
    }

    pub(crate) fn silence(&self) -> Duration {
        self.inner.silence
    }

    /// Closes the connection to an archive node that is not needed any more.
    pub(crate) async fn rest(&self) {
        if let Some(archive) = &self.inner.archive {
            archive.close_after(ARCHIVE_KEPT).await;
        }
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        fill: impl FnOnce(&mut ArrayParams),
    ) -> Result<T, Error> {
        let mut params = ArrayParams::new();
        fill(&mut params);
        match (
            self.inner.link.request(method, &params).await,
            &self.inner.archive,
        ) {
            (Err(Error::StateDiscarded { .. }), Some(archive)) => archive.request(method, &params).await,
            (answer, _) => answer,
        }
    }
}

pub(crate) fn insert<T: serde::Serialize + ?Sized>(params: &mut ArrayParams, value: &T) {
    params
        .insert(value)
        .expect("texts, numbers and lists of texts are JSON");
}

pub(crate) fn parse_hex(method: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(digits).map_err(|error| Error::Response {
        method,
        source: error.into(),
    })
}

fn parse_hash(method: &'static str, text: &str) -> Result<BlockHash, Error> {
    text.parse()
        .map_err(|error: crate::types::ParseError| Error::Response {
            method,
            source: error.into(),
        })
}
