//! Object storage: bytes go in and out as streams, never whole through memory.
use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use moka::future::Cache;
use object_store::{
    ClientOptions, GetOptions, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, RetryConfig,
    WriteMultipart, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem, path::Path as Key, prefix::PrefixStore,
};
use url::Url;

use crate::settings::Storage;

/// Parts of a local file are written at this size; each upload has one in memory, and what arrived while it was written.
const LOCAL_PART: usize = 1024 * 1024;
/// The least that S3 takes for a part, but for the last.
const REMOTE_PART: usize = 5 * 1024 * 1024;
/// A storage that is silent for so long is given up, and asked again.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a request is tried again.
const RETRIES: Duration = Duration::from_secs(20);

/// What a probe writes and removes.
const PROBE: &str = "probe";
/// A probe's outcome is remembered for this long.
const PROBE_PERIOD: Duration = Duration::from_secs(5);
/// A probe that takes longer has failed: whoever asks whether the server is ready does not wait long.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// What may go wrong with object storage.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BlobError {
    #[error("storage.url must be a folder, or of s3://, gs:// or az://; not {0}")]
    Url(String),
    #[error("the folder for files cannot be made: {folder}")]
    Folder { folder: String, source: std::io::Error },
    #[error("object storage failed")]
    Store(#[from] object_store::Error),
}

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    kind: &'static str,
    part: usize,
    /// Whether it lists objects in the order of their keys.
    sorted: bool,
    /// Whether the last probe went well.
    probed: Cache<(), bool>,
}

fn not_probed() -> Cache<(), bool> {
    Cache::builder().time_to_live(PROBE_PERIOD).build()
}

impl Blobs {
    /// Opens the storage that the settings name.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(settings: &Storage) -> Result<Self, BlobError> {
        let location = settings.location();
        match Url::parse(&location) {
            Ok(url) if url.scheme() != "file" => Self::remote(&url, settings),
            _ => Self::folder(location.strip_prefix("file://").unwrap_or(&location)),
        }
    }

    /// A folder, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn folder(folder: &str) -> Result<Self, BlobError> {
        if folder.is_empty() || folder.contains("://") {
            return Err(BlobError::Url(folder.to_owned()));
        }
        std::fs::create_dir_all(Path::new(folder)).map_err(|source| BlobError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
        // Whoever was told that a file is accepted must find it after a power loss.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            kind: "local",
            part: LOCAL_PART,
            sorted: false,
            probed: not_probed(),
        })
    }

    /// A bucket or container; what the settings leave out, the usual variables of the environment say.
    fn remote(url: &Url, settings: &Storage) -> Result<Self, BlobError> {
        let unknown = || BlobError::Url(url.to_string());
        let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|_| unknown())?;
        let options = ClientOptions::new()
            // A large object takes as long as it takes; silence does not.
            .with_timeout_disabled()
            .with_read_timeout(SILENCE)
            .with_allow_http(settings.is_plain());
        let retry = RetryConfig {
            max_retries: 4,
            retry_timeout: RETRIES,
            ..RetryConfig::default()
        };
        let (kind, store): (_, Arc<dyn ObjectStore>) = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let mut builder = AmazonS3Builder::from_env().with_url(url.as_str());
                let own = &settings.s3;
                if !own.endpoint.is_empty() {
                    builder = builder.with_endpoint(own.endpoint.trim_end_matches('/'));
                }
                if !own.region().is_empty() {
                    builder = builder.with_region(own.region());
                }
                if !own.access_key_id.is_empty() {
                    builder = builder
                        .with_access_key_id(&own.access_key_id)
                        .with_secret_access_key(own.secret_access_key.reveal());
                }
                let store = builder.with_client_options(options).with_retry(retry).build()?;
                ("s3", Arc::new(store))
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
                let store = builder.with_client_options(options).with_retry(retry).build()?;
                ("gcs", Arc::new(store))
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
                let store = builder.with_client_options(options).with_retry(retry).build()?;
                ("azure", Arc::new(store))
            }
            _ => return Err(unknown()),
        };
        let store = if prefix.as_ref().is_empty() {
            store
        } else {
            Arc::new(PrefixStore::new(store, prefix))
        };
        Ok(Self {
            store,
            kind,
            part: REMOTE_PART,
            sorted: true,
            probed: not_probed(),
        })
    }

    /// Whether an object could be written and removed a moment ago.
    pub async fn works(&self) -> bool {
        let probe = async {
            match tokio::time::timeout(PROBE_PATIENCE, self.probe()).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "files cannot be stored");
                    false
                }
                Err(_) => false,
            }
        };
        self.probed.get_with((), probe).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.store
            .put(&Key::from(PROBE), Bytes::from_static(b"probe").into())
            .await?;
        self.remove(PROBE).await
    }

    /// Begins to write an object; nothing of it is visible until it is finished.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn write(&self, key: &str) -> Result<Writer, BlobError> {
        let mut writer = Writer {
            blobs: self.clone(),
            key: Key::from(key),
            begun: None,
            rest: BytesMut::new(),
        };
        if self.part == LOCAL_PART {
            writer.begin().await?;
        }
        Ok(writer)
    }

    /// Reads an object, or a range of its bytes.
    ///
    /// # Errors
    /// When the storage fails or has no such object.
    pub async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static, BlobError> {
        let options = GetOptions {
            range: range.map(Into::into),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&Key::from(key), options).await?;
        let stream: BoxStream<'static, _> = found.into_stream();
        Ok(stream.map(|chunk| chunk.map_err(BlobError::from)))
    }

    /// Removes an object; it is no error if there is none.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn remove(&self, key: &str) -> Result<(), BlobError> {
        match self.store.delete(&Key::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The first `most` objects below `folder` whose keys come after `after`, each with when it was last written.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn list(
        &self,
        folder: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, DateTime<Utc>)>, BlobError> {
        let folder = Key::from(folder);
        let mut listed = if after.is_empty() {
            self.store.list(Some(&folder))
        } else {
            self.store.list_with_offset(Some(&folder), &Key::from(after))
        };
        let mut first = BTreeMap::new();
        while let Some(object) = listed.try_next().await? {
            first.insert(object.location.to_string(), object.last_modified);
            if first.len() > most {
                first.pop_last();
                if self.sorted {
                    break;
                }
            }
        }
        Ok(first.into_iter().collect())
    }

    /// What it is: `local`, `s3`, `gcs` or `azure`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What and where it is, for people and for telling one storage from another.
    pub fn name(&self) -> String {
        self.store.to_string()
    }
}

/// An object that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    blobs: Blobs,
    key: Key,
    begun: Option<WriteMultipart>,
    /// What has come before it was begun: an object of one part is written at once.
    rest: BytesMut,
}

impl Writer {
    async fn begin(&mut self) -> Result<&mut WriteMultipart, BlobError> {
        let upload = self.blobs.store.put_multipart(&self.key).await?;
        let mut begun = WriteMultipart::new_with_chunk_size(upload, self.blobs.part);
        begun.write(&std::mem::take(&mut self.rest));
        Ok(self.begun.insert(begun))
    }

    /// Adds bytes; waits while as much as allowed is on its way.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn add(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let begun = match &mut self.begun {
            Some(begun) => begun,
            None if self.rest.len() + bytes.len() <= self.blobs.part => {
                self.rest.extend_from_slice(bytes);
                return Ok(());
            }
            None => self.begin().await?,
        };
        begun.wait_for_capacity(1).await?;
        begun.write(bytes);
        Ok(())
    }

    /// Makes the object visible, synced.
    ///
    /// # Errors
    /// When the storage fails; then there is no object.
    pub async fn finish(mut self) -> Result<(), BlobError> {
        if let Some(begun) = self.begun.take() {
            begun.finish().await?;
        } else {
            let whole = std::mem::take(&mut self.rest).freeze();
            self.blobs.store.put(&self.key, whole.into()).await?;
        }
        Ok(())
    }

    /// Gives it up; nothing stays.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn abort(mut self) -> Result<(), BlobError> {
        if let Some(begun) = self.begun.take() {
            begun.abort().await?;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (Some(begun), Ok(runtime)) = (self.begun.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        // Parts that nobody finishes would be stored, and paid for, until somebody looks.
        runtime.spawn(async move {
            if let Err(error) = begun.abort().await {
                tracing::warn!(%error, "an upload that was given up was not taken back");
            }
        });
    }
}
