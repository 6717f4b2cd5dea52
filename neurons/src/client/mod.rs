//! Signed HTTP requests to the server, with typed refusals and patient repetition.
//! Repeats only what is harmless to repeat, which by contract is every request of a neuron: reading, heartbeats,
//! and answers, files, refusals and evaluations, which count once.

mod backoff;
mod files;

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use violet_chain::btauth::{self, RequestLine};
use violet_chain::{Causes, Hotkey, Keypair, NetUid};

pub(crate) use self::backoff::Backoff;
pub use self::files::{FetchError, Fetched, Fetcher};

use self::files::Upload;
use crate::wire::Network;

/// The largest answer of the server that is read.
const MAX_RESPONSE_BYTES: usize = 32 << 20;
/// For a request that is answered at once.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long the server is asked to hold a poll.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(25);
/// Signed requests older than 10 s or more than 2 s ahead are refused by convention; warn well before.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(1);

/// What the server said in `application/problem+json`, or the bare status.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub detail: String,
}

/// Why a request gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the server cannot be used.
    #[error("{0:?} is not the http address of a server")]
    Address(String),
    /// No whole answer: not connected, interrupted or too slow.
    #[error("no answer from the server")]
    Transport(#[source] reqwest::Error),
    /// The server refused.
    #[error("the server refused ({status}): {} {}", problem.title, problem.detail)]
    Refused {
        status: StatusCode,
        problem: Problem,
        retry_after: Option<Duration>,
    },
    /// The answer is larger than we read.
    #[error("the server's answer is larger than {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
    /// The answer is not what the contract says.
    #[error("the server's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The request could not be written.
    #[error("the request cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The file that was to be sent cannot be read.
    #[error("the file to be sent cannot be read")]
    File(#[source] std::io::Error),
}

impl ClientError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

/// Whom requests are signed for; learnt from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Receiver {
    hotkey: Hotkey,
    netuid: NetUid,
}

/// What a request carries.
#[derive(Clone, Debug)]
enum Payload {
    Nothing,
    Json(Vec<u8>),
    File(Upload),
}

impl Payload {
    fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Nothing => btauth::EMPTY_BODY_SHA256,
            Self::Json(body) => Sha256::digest(body).into(),
            Self::File(upload) => upload.sha256(),
        }
    }
}

/// A server, and the key that speaks to it.
#[derive(Debug)]
pub struct ServerClient {
    base: Url,
    http: reqwest::Client,
    keypair: Arc<Keypair>,
    receiver: RwLock<Receiver>,
    last_nonce: AtomicU64,
    /// Our clock less the server's, in milliseconds, when it was last asked.
    skew_ms: AtomicI64,
}

impl ServerClient {
    /// Like [`Self::connect`], again and again until the server answers; `None` when `stop` was cancelled first.
    pub(crate) async fn connect_patiently(
        server: &str,
        keypair: &Arc<Keypair>,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, ClientError> {
        let (mut backoff, mut said) = (Backoff::default(), false);
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                connected = Self::connect(server, Arc::clone(keypair)) => connected,
            };
            let pause = match connected {
                Err(error) if error.is_passing() => {
                    let pause = backoff.pause(&error);
                    // Said once; it may last for hours.
                    if !std::mem::replace(&mut said, true) {
                        tracing::info!(error = %Causes(&error), server, "waiting for the server");
                    }
                    pause
                }
                connected => return connected.map(Some),
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks the server at `server` (e.g. `http://127.0.0.1:8000`) who it is. One attempt.
    pub async fn connect(server: &str, keypair: Arc<Keypair>) -> Result<Self, ClientError> {
        let base = base(server)?;
        // Redirects would carry a signature for one address to another.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let http = http.build().map_err(ClientError::Transport)?;
        let (receiver, skew) = ask(&http, &base).await?;
        Ok(Self {
            base,
            http,
            keypair,
            receiver: RwLock::new(receiver),
            last_nonce: AtomicU64::new(0),
            skew_ms: AtomicI64::new(skew.num_milliseconds()),
        })
    }

    /// The subnet that the server serves.
    pub fn netuid(&self) -> NetUid {
        self.receiver().netuid
    }

    /// The key that signs.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// How long it is until `moment` by the server's clock; nothing when it has passed.
    pub fn time_until(&self, moment: DateTime<Utc>) -> Duration {
        let skew = TimeDelta::milliseconds(self.skew_ms.load(Ordering::Relaxed));
        let servers_now = DateTime::<Utc>::from(SystemTime::now()) - skew;
        (moment - servers_now).to_std().unwrap_or_default()
    }

    /// Fetches what this server links to.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.http.clone(), self.base.clone())
    }

    /// Asks again who the server is, and tells whether that has changed.
    async fn has_moved(&self) -> bool {
        let before = self.receiver();
        match ask(&self.http, &self.base).await {
            Ok((now, skew)) => {
                self.skew_ms.store(skew.num_milliseconds(), Ordering::Relaxed);
                *self.receiver.write().unwrap_or_else(PoisonError::into_inner) = now;
                now != before
            }
            Err(error) => {
                tracing::debug!(%error, "the server does not say who it is");
                false
            }
        }
    }

    fn receiver(&self) -> Receiver {
        *self.receiver.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// `GET target` (path and query), which the server may hold as a long poll. One attempt.
    pub async fn poll<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        self.send(Method::GET, target, &Payload::Nothing, LONG_POLL + TIMEOUT)
            .await
    }

    /// `POST target` with a JSON body. One attempt.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        target: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.send(Method::POST, target, &json(body)?, TIMEOUT).await
    }

    /// `POST target` until it is answered for good, or `patience` is over; each attempt is signed anew.
    pub async fn post_patiently<B: Serialize, T: DeserializeOwned>(
        &self,
        target: &str,
        body: &B,
        patience: Duration,
    ) -> Result<T, ClientError> {
        self.patiently(target, &json(body)?, TIMEOUT, patience).await
    }

    /// Like [`Self::post_patiently`], with the bytes of a file, streamed from the disk; answers the file's SHA-256 too.
    /// The file must not change meanwhile.
    pub async fn upload_patiently<T: DeserializeOwned>(
        &self,
        target: &str,
        file: &Path,
        media_type: &'static str,
        patience: Duration,
    ) -> Result<(T, [u8; 32]), ClientError> {
        let upload = Upload::of(file, media_type).await.map_err(ClientError::File)?;
        let (timeout, sha256) = (TIMEOUT + upload.usual_time(), upload.sha256());
        let payload = Payload::File(upload);
        let answer = self.patiently(target, &payload, timeout, patience).await?;
        Ok((answer, sha256))
    }

    async fn patiently<T: DeserializeOwned>(
        &self,
        target: &str,
        payload: &Payload,
        timeout: Duration,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let (started, mut backoff) = (Instant::now(), Backoff::default());
        loop {
            match self.send(Method::POST, target, payload, timeout).await {
                Err(error) if error.is_passing() => {
                    let pause = backoff.pause(&error);
                    if started.elapsed() + pause > patience {
                        return Err(error);
                    }
                    tracing::debug!(target, %error, pause_ms = pause.as_millis(), "trying again");
                    tokio::time::sleep(pause).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends once; a second time when the server turns out to sign with another key than it did (after a restart
    /// with a new wallet, every request would be refused for ever).
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        payload: &Payload,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        match self.attempt(method.clone(), target, payload, timeout).await {
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) && self.has_moved().await => {
                self.attempt(method, target, payload, timeout).await
            }
            answer => answer,
        }
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        payload: &Payload,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let url = self
            .base
            .join(target)
            .map_err(|_| ClientError::Address(target.to_owned()))?;
        // What is signed is what the URL library will send, not what we wrote.
        let sent_target = url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        );
        let line = RequestLine {
            method: method.as_str(),
            target: &sent_target,
            body_sha256: payload.sha256(),
        };
        let signed = btauth::sign(&self.keypair, &line, &self.receiver().hotkey, self.nonce());
        let mut request = self.http.request(method, url).timeout(timeout);
        request = match payload {
            Payload::Nothing => request,
            Payload::Json(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
            Payload::File(upload) => upload.put_on(request).await.map_err(ClientError::File)?,
        };
        for (name, value) in signed {
            request = request.header(name, value);
        }
        answer(request.send().await.map_err(ClientError::Transport)?).await
    }

    /// Unix time in nanoseconds, and larger than every nonce before.
    fn nonce(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX - 1);
        let next = |last: u64| now.max(last + 1);
        let last = self
            .last_nonce
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        last.map_or(now, next)
    }
}

fn json<B: Serialize>(body: &B) -> Result<Payload, ClientError> {
    serde_json::to_vec(body)
        .map(Payload::Json)
        .map_err(ClientError::Unwritable)
}

fn base(server: &str) -> Result<Url, ClientError> {
    let address = || ClientError::Address(server.to_owned());
    let base = Url::parse(server).map_err(|_| address())?;
    let plain = base.scheme() == "http" && base.path() == "/" && base.query().is_none();
    if plain { Ok(base) } else { Err(address()) }
}

/// Who the server is, and our clock less its.
async fn ask(http: &reqwest::Client, base: &Url) -> Result<(Receiver, TimeDelta), ClientError> {
    let url = base
        .join("/api/v1/network")
        .map_err(|_| ClientError::Address(base.to_string()))?;
    let response = http
        .get(url)
        .timeout(TIMEOUT)
        .send()
        .await
        .map_err(ClientError::Transport)?;
    let network: Network = answer(response).await?;
    let skew = DateTime::<Utc>::from(SystemTime::now()) - network.server_time;
    if skew.abs() > CLOCK_TOLERANCE {
        tracing::warn!(
            skew_ms = skew.num_milliseconds(),
            "our clock differs from the server's"
        );
    }
    let receiver = Receiver {
        hotkey: network.server_hotkey,
        netuid: network.netuid,
    };
    Ok((receiver, skew))
}

async fn answer<T: DeserializeOwned>(mut response: Response) -> Result<T, ClientError> {
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Transport)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(ClientError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(ClientError::Unreadable);
    }
    // A proxy in between may refuse in its own words.
    let problem = serde_json::from_slice(&body).unwrap_or_default();
    Err(ClientError::Refused {
        status,
        problem,
        retry_after: retry_after.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn refused(status: u16, retry_after: Option<u64>) -> ClientError {
        ClientError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            problem: Problem::default(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn only_troubles_pass() {
        for status in [429, 500, 502, 503, 504] {
            assert!(refused(status, None).is_passing(), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 422] {
            assert!(!refused(status, None).is_passing(), "{status}");
        }
    }

    #[test]
    fn a_server_is_a_plain_http_address() {
        for good in ["http://127.0.0.1:8000", "http://violet.example/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "violet.example:8000",
            "https://violet.example",
            "http://a/path",
            "http://a/?q",
            "ftp://a",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn nonces_rise_even_within_one_tick() {
        let client = ServerClient {
            base: base("http://127.0.0.1:9").unwrap(),
            http: reqwest::Client::new(),
            keypair: Arc::new(Keypair::from_uri("//Miner", violet_chain::CryptoType::Sr25519).unwrap()),
            receiver: RwLock::new(Receiver {
                hotkey: Hotkey([1; 32]),
                netuid: NetUid(1),
            }),
            last_nonce: AtomicU64::new(0),
            skew_ms: AtomicI64::new(0),
        };
        let nonces: Vec<_> = (0..1000).map(|_| client.nonce()).collect();
        assert!(nonces.is_sorted_by(|a, b| a < b));
    }
}
