//! Files over HTTP: fetched by their links into folders of their own, and sent from the disk.
//! Never holds a file in memory, never follows a redirect, and never signs a request for a link.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use crate::wire::File;

/// How long a server may be silent in the middle of a file.
const IDLE: Duration = Duration::from_secs(30);
/// Pieces in which files are read and written.
const PIECE_BYTES: usize = 256 << 10;
/// A slower line than this many bytes a second is given up.
const SLOWEST_BYTES_PER_SECOND: u64 = 512 << 10;
/// Links are short-lived, so there is no point in trying for long.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Why a file was not fetched. The texts name no address: they may be told to others.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The link is not a plain `http` address.
    #[error("the link to the file cannot be used")]
    Link,
    /// More than is taken.
    #[error("the file has {bytes} bytes, more than {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    /// Not connected, interrupted or too slow.
    #[error("the file could not be fetched")]
    Transport(#[source] reqwest::Error),
    /// Nothing came for half a minute.
    #[error("the file stopped coming")]
    Silence,
    /// The link answered something other than 200; a redirect too.
    #[error("the link to the file answered {0}")]
    Status(StatusCode),
    /// Another size or SHA-256 than was announced.
    #[error("the file is not the one that was announced")]
    Different,
    /// The file could not be written here.
    #[error("the file could not be stored")]
    Folder(#[source] std::io::Error),
}

impl FetchError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Silence => true,
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Link | Self::TooLarge { .. } | Self::Different | Self::Folder(_) => false,
        }
    }
}

/// Fetches files by their links.
#[derive(Clone, Debug)]
pub struct Fetcher {
    http: reqwest::Client,
    base: Url,
}

/// A fetched file in a folder of its own; both go when it is dropped.
#[derive(Debug)]
pub struct Fetched {
    _folder: TempDir,
    path: PathBuf,
}

impl Fetched {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Fetcher {
    /// `http` must follow no redirects; `base` is what links without a host are resolved against.
    pub(super) fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// One whose links lead nowhere unless they name a host.
    #[cfg(test)]
    pub(crate) fn from_nowhere() -> Self {
        let base = Url::parse("http://127.0.0.1:9").expect("an address");
        Self::new(reqwest::Client::new(), base)
    }

    /// Fetches `file` and compares its size and SHA-256 with what was announced. Tries up to three times where that
    /// may help. Dropping the future removes what has come so far.
    pub async fn fetch(&self, file: &File, limit: u64) -> Result<Fetched, FetchError> {
        if file.file_size > limit {
            let bytes = file.file_size;
            return Err(FetchError::TooLarge { bytes, limit });
        }
        let url = self.resolve(&file.download_url)?;
        let mut attempt = 1;
        loop {
            match self.attempt(url.clone(), file).await {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    tracing::debug!(file.id = file.file_id, %error, "fetching the file again");
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                fetched => return fetched,
            }
        }
    }

    /// A link may lead to another host than the server's (that is how it is offered behind a proxy or by a store);
    /// nothing of ours goes there, and bytes other than the announced ones are worth nothing to whoever sent us.
    fn resolve(&self, link: &str) -> Result<Url, FetchError> {
        let url = self.base.join(link).map_err(|_| FetchError::Link)?;
        let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        if plain { Ok(url) } else { Err(FetchError::Link) }
    }

    async fn attempt(&self, url: Url, file: &File) -> Result<Fetched, FetchError> {
        let response = within(self.http.get(url).send()).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        if response
            .content_length()
            .is_some_and(|length| length != file.file_size)
        {
            return Err(FetchError::Different);
        }
        let folder = tempfile::Builder::new().prefix("violet-input-").tempdir();
        let folder = folder.map_err(FetchError::Folder)?;
        let path = folder.path().join("file");
        let sha256 = write(response, &path, file.file_size).await?;
        if !hex::encode(sha256).eq_ignore_ascii_case(&file.sha256) {
            return Err(FetchError::Different);
        }
        Ok(Fetched {
            _folder: folder,
            path,
        })
    }
}

/// Writes the body to `path`, which must have exactly `size` bytes, and answers its SHA-256.
async fn write(mut response: Response, path: &Path, size: u64) -> Result<[u8; 32], FetchError> {
    let file = tokio::fs::File::create(path).await.map_err(FetchError::Folder)?;
    let mut file = tokio::io::BufWriter::with_capacity(PIECE_BYTES, file);
    let (mut sha256, mut left) = (Sha256::new(), size);
    while let Some(chunk) = within(response.chunk()).await? {
        left = left
            .checked_sub(chunk.len() as u64)
            .ok_or(FetchError::Different)?;
        sha256.update(&chunk);
        file.write_all(&chunk).await.map_err(FetchError::Folder)?;
    }
    file.flush().await.map_err(FetchError::Folder)?;
    if left > 0 {
        return Err(FetchError::Different);
    }
    Ok(sha256.finalize().into())
}

async fn within<T>(step: impl Future<Output = reqwest::Result<T>>) -> Result<T, FetchError> {
    let step = tokio::time::timeout(IDLE, step).await;
    step.map_err(|_| FetchError::Silence)?
        .map_err(FetchError::Transport)
}

/// A file on its way to the server.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    path: PathBuf,
    media_type: &'static str,
    size: u64,
    sha256: [u8; 32],
}

impl Upload {
    /// Reads the file once, for its SHA-256, which is signed before a byte is sent.
    pub(super) async fn of(path: &Path, media_type: &'static str) -> std::io::Result<Self> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let (sha256, size) = sha256(&path)?;
            Ok(Self {
                path,
                media_type,
                size,
                sha256,
            })
        });
        read.await.map_err(std::io::Error::other)?
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// What a slow line needs for it.
    pub(super) fn usual_time(&self) -> Duration {
        Duration::from_secs(self.size / SLOWEST_BYTES_PER_SECOND)
    }

    /// Adds the body and what describes it.
    pub(super) async fn put_on(&self, request: RequestBuilder) -> std::io::Result<RequestBuilder> {
        let file = tokio::fs::File::open(&self.path).await?;
        let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(self.sha256));
        let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, PIECE_BYTES));
        Ok(request
            .header(header::CONTENT_TYPE, self.media_type)
            .header(header::CONTENT_LENGTH, self.size)
            .header("Content-Digest", digest)
            .body(body))
    }
}

fn sha256(path: &Path) -> std::io::Result<([u8; 32], u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut sha256, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((sha256.finalize().into(), size)),
            read => {
                sha256.update(&piece[..read]);
                size += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn announced(bytes: &[u8], link: &str) -> File {
        File {
            file_id: "f".into(),
            file_type: "audio/wav".into(),
            file_size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)).to_uppercase(),
            download_url: link.into(),
        }
    }

    #[tokio::test]
    async fn a_fetched_file_is_whole_and_goes_with_its_value() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = bytes.clone();
        let app = axum::Router::new().fallback(async move || served);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await });

        let fetcher = Fetcher::from_nowhere();
        let link = format!("http://{address}/file?signature=s");
        let fetched = fetcher.fetch(&announced(&bytes, &link), 1_000_000).await.unwrap();
        let path = fetched.path().to_owned();
        assert!(std::fs::read(&path).unwrap() == bytes);
        drop(fetched);
        assert!(!path.parent().unwrap().exists());

        let refused = fetcher.fetch(&announced(&bytes, &link), 999_999).await;
        assert!(matches!(refused, Err(FetchError::TooLarge { .. })));
        let shorter = fetcher.fetch(&announced(&bytes[1..], &link), 1_000_000).await;
        assert!(matches!(shorter, Err(FetchError::Different)));
        let (digest, size) = {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            sha256(file.path()).unwrap()
        };
        assert_eq!((digest, size), (Sha256::digest(&bytes).into(), 1_000_000));
    }

    #[test]
    fn links_are_plain_addresses_from_the_server_s_root_or_whole() {
        let fetcher = Fetcher::from_nowhere();
        let resolved = |link: &str| fetcher.resolve(link).map(String::from).ok();
        assert_eq!(
            resolved("/api/v1/files/f/download?signature=a%2Bb").as_deref(),
            Some("http://127.0.0.1:9/api/v1/files/f/download?signature=a%2Bb")
        );
        assert_eq!(
            resolved("http://cdn.example:81/f").as_deref(),
            Some("http://cdn.example:81/f")
        );
        for odd in [
            "file:///etc/passwd",
            "https://cdn.example/f",
            "http://me:secret@cdn.example/f",
            "http://",
        ] {
            assert_eq!(resolved(odd), None, "{odd}");
        }
    }
}
