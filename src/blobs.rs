//! Object storage: bytes go in and out as streams, never whole through memory.
use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use object_store::{
    ObjectStore, ObjectStoreExt as _, WriteMultipart, local::LocalFileSystem, path::Path as Key,
};

/// Parts are written at this size; each upload has one in memory, and what arrived while it was written.
const PART: usize = 1024 * 1024;

/// What may go wrong with object storage.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BlobError {
    #[error("storage.url must be a folder, not {0}")]
    Url(String),
    #[error("the folder for files cannot be made: {folder}")]
    Folder { folder: String, source: std::io::Error },
    #[error("object storage failed")]
    Store(#[from] object_store::Error),
}

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<dyn ObjectStore>);

impl Blobs {
    /// Opens the storage that `url` names: `file:///a/folder` or the path of a folder, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(url: &str) -> Result<Self, BlobError> {
        let folder = url.strip_prefix("file://").unwrap_or(url);
        if folder.is_empty() || folder.contains("://") {
            return Err(BlobError::Url(url.to_owned()));
        }
        std::fs::create_dir_all(Path::new(folder)).map_err(|source| BlobError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
        // Whoever was told that a file is accepted must find it after a power loss.
        Ok(Self(Arc::new(
            LocalFileSystem::new_with_prefix(folder)?.with_fsync(true),
        )))
    }

    /// Begins to write an object; nothing of it is visible until it is finished.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn write(&self, key: &str) -> Result<Writer, BlobError> {
        let upload = self.0.put_multipart(&Key::from(key)).await?;
        Ok(Writer(WriteMultipart::new_with_chunk_size(upload, PART)))
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When the storage fails or has no such object.
    pub async fn read(
        &self,
        key: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static, BlobError> {
        let stream: BoxStream<'static, _> = self.0.get(&Key::from(key)).await?.into_stream();
        Ok(stream.map(|chunk| chunk.map_err(BlobError::from)))
    }

    /// Removes an object; it is no error if there is none.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn remove(&self, key: &str) -> Result<(), BlobError> {
        match self.0.delete(&Key::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object that is being written.
#[derive(Debug)]
pub struct Writer(WriteMultipart);

impl Writer {
    /// Adds bytes; waits while as much as allowed is on its way.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn add(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.0.wait_for_capacity(1).await?;
        self.0.write(bytes);
        Ok(())
    }

    /// Makes the object visible, synced.
    ///
    /// # Errors
    /// When the storage fails; then there is no object.
    pub async fn finish(self) -> Result<(), BlobError> {
        self.0.finish().await?;
        Ok(())
    }

    /// Gives it up; nothing stays.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn abort(self) -> Result<(), BlobError> {
        Ok(self.0.abort().await?)
    }
}
