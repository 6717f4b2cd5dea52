//! A small server that speaks the neurons' side of the contract: checks every signature and digest, hands out what it
//! was given, and keeps what it is told. It routes nothing and stores nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use violet_chain::btauth::{Claim, RequestLine, Rules};
use violet_chain::{CryptoType, Hotkey, Keypair};

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) sender: Hotkey,
}

#[derive(Default)]
struct Inner {
    tasks: Vec<Value>,
    /// Ids that were answered, refused or evaluated: no longer handed out.
    closed: HashSet<String>,
    seen: Vec<Seen>,
    nonces: HashSet<(Hotkey, u64)>,
    /// What the next requests to a path get instead of an answer.
    troubles: VecDeque<(&'static str, StatusCode)>,
    polls: usize,
    /// The `exclude` of each poll.
    excluded: Vec<Vec<String>>,
    /// By id: what is at the link, which may differ from what was announced.
    files: HashMap<String, (StatusCode, Bytes)>,
    /// Ids whose link was followed.
    fetched: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Ends with the last copy.
    _running: Arc<JoinSet<()>>,
}

pub(crate) fn keypair(uri: &str) -> Keypair {
    Keypair::from_uri(uri, CryptoType::Sr25519).unwrap()
}

impl Server {
    pub(crate) async fn start(uri: &str) -> Self {
        Self::start_at(uri, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(uri: &str, address: SocketAddr) -> Self {
        // A server that was just dropped may still hold the port for a moment.
        let mut listener = tokio::net::TcpListener::bind(address).await;
        for _ in 0..500 {
            if listener.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            listener = tokio::net::TcpListener::bind(address).await;
        }
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let (identity, inner) = (keypair(uri).hotkey(), Arc::<Mutex<Inner>>::default());
        let app = Router::new()
            .fallback(handle)
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state((identity, Arc::clone(&inner)));
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            inner,
            _running: Arc::new(running),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn give(&self, task: Value) {
        self.inner.lock().unwrap().tasks.push(task);
    }

    /// A file with a link, as tasks and answers name it. `there` is what the link gives.
    pub(crate) fn file_with(&self, announced: &[u8], there: (StatusCode, Bytes)) -> Value {
        let mut inner = self.inner.lock().unwrap();
        let id = format!("file-{}", inner.files.len());
        inner.files.insert(id.clone(), there);
        describe(&id, announced)
    }

    pub(crate) fn file(&self, bytes: &[u8]) -> Value {
        self.file_with(bytes, (StatusCode::OK, Bytes::copy_from_slice(bytes)))
    }

    /// A file that a miner has sent.
    pub(crate) fn sent(&self, id: &str) -> (Bytes, Value) {
        let bytes = self.inner.lock().unwrap().files[id].1.clone();
        let described = describe(id, &bytes);
        (bytes, described)
    }

    pub(crate) fn fetched(&self) -> Vec<String> {
        self.inner.lock().unwrap().fetched.clone()
    }

    pub(crate) fn excluded(&self) -> Vec<Vec<String>> {
        self.inner.lock().unwrap().excluded.clone()
    }

    /// The next request to `path` is refused with `status` (and `Retry-After: 1` where that is usual).
    pub(crate) fn trouble(&self, path: &'static str, status: StatusCode) {
        self.inner.lock().unwrap().troubles.push_back((path, status));
    }

    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.inner
            .lock()
            .unwrap()
            .seen
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    pub(crate) fn polls(&self) -> usize {
        self.inner.lock().unwrap().polls
    }

    /// Waits until a poll was answered, and a moment for the work to begin.
    pub(crate) async fn wait_for_poll(&self) {
        while self.polls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    /// Waits until `path` was called `count` times with success.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Seen> {
        for _ in 0..600 {
            let seen = self.seen(path);
            if seen.len() >= count {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} was called {} times, not {count}", self.seen(path).len());
    }
}

fn describe(id: &str, bytes: &[u8]) -> Value {
    json!({"file_id": id, "file_name": "name.bin", "file_type": "application/octet-stream", "file_size": bytes.len(),
        "sha256": hex::encode(Sha256::digest(bytes)),
        "download_url": format!("/api/v1/files/{id}/download?expires=1&signature=s")})
}

type Shared = (Hotkey, Arc<Mutex<Inner>>);

/// Closes each connection, so that none outlives its server.
async fn handle(state: State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = answer(state, method, uri, headers, body).await;
    response
        .headers_mut()
        .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

async fn answer(
    State((identity, inner)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    if uri.path() == "/api/v1/network" {
        let time = chrono::DateTime::<chrono::Utc>::from(UNIX_EPOCH + now);
        return Json(
            json!({"netuid": 7, "server_hotkey": identity, "genesis_hash": "0x00", "snapshot": null,
            "server_time": time}),
        )
        .into_response();
    }
    if let Some(rest) = uri.path().strip_prefix("/api/v1/files/") {
        let signed = headers
            .keys()
            .any(|name| name.as_str().starts_with("x-bittensor"));
        if signed
            || headers.contains_key(header::AUTHORIZATION)
            || uri.query() != Some("expires=1&signature=s")
        {
            return problem(
                StatusCode::BAD_REQUEST,
                "a link is followed as it is, and without credentials",
            );
        }
        return give(&mut inner.lock().unwrap(), rest.trim_end_matches("/download"));
    }
    let target = uri.path_and_query().unwrap().as_str();
    let line = RequestLine {
        method: method.as_str(),
        target,
        body_sha256: Sha256::digest(&body).into(),
    };
    let rules = Rules {
        receiver: identity,
        now_ns: u64::try_from(now.as_nanos()).unwrap(),
        max_age: Duration::from_secs(10),
        max_ahead: Duration::from_secs(2),
    };
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let Ok(claim) = Claim::from_headers(pairs) else {
        return problem(StatusCode::UNAUTHORIZED, "no claim");
    };
    if let Err(error) = claim.verify(&line, &rules) {
        return problem(StatusCode::UNAUTHORIZED, &error.to_string());
    }
    if !inner.lock().unwrap().nonces.insert((claim.hotkey, claim.nonce)) {
        return problem(StatusCode::UNAUTHORIZED, "replay");
    }
    let trouble = {
        let mut inner = inner.lock().unwrap();
        let hit = inner
            .troubles
            .front()
            .is_some_and(|(path, _)| *path == uri.path());
        if hit { inner.troubles.pop_front() } else { None }
    };
    if let Some((_, status)) = trouble {
        return problem(status, "trouble");
    }
    if method == Method::GET {
        return deliver(&inner, &uri).await;
    }
    if uri.path() == "/api/v1/miner/files" {
        return receive(&mut inner.lock().unwrap(), &uri, &headers, body, claim.hotkey);
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut inner = inner.lock().unwrap();
    if let Some(task_id) = body["task_id"].as_str() {
        inner.closed.insert(task_id.to_owned());
    }
    let answer = match uri.path() {
        "/api/v1/miner/heartbeat" => json!({"uid": 3, "ttl_seconds": 30, "interval_seconds": 1}),
        "/api/v1/miner/answers" => json!({"used": true, "first": true}),
        "/api/v1/miner/refusals" => json!({"released": true}),
        "/api/v1/validator/evaluations" => json!({"accepted": true, "replaced": false}),
        _ => return problem(StatusCode::NOT_FOUND, "no such path"),
    };
    inner.seen.push(Seen {
        path: uri.path().to_owned(),
        body,
        sender: claim.hotkey,
    });
    Json(answer).into_response()
}

fn give(inner: &mut Inner, id: &str) -> Response {
    inner.fetched.push(id.to_owned());
    match inner.files.get(id).cloned() {
        Some((status, _)) if status.is_redirection() => (
            status,
            [(
                header::LOCATION,
                "/api/v1/files/file-0/download?expires=1&signature=s",
            )],
        )
            .into_response(),
        Some(there) => there.into_response(),
        None => problem(StatusCode::NOT_FOUND, "no such file"),
    }
}

/// Takes a file for a task that is open, when it is what its headers say.
fn receive(inner: &mut Inner, uri: &Uri, headers: &HeaderMap, body: Bytes, sender: Hotkey) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let sha256 = Sha256::digest(&body);
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256));
    let length = body.len().to_string();
    let task = uri.query().and_then(|query| query.strip_prefix("task_id="));
    let open = |id: &str| !inner.closed.contains(id) && inner.tasks.iter().any(|task| task["task_id"] == id);
    if header("content-digest") != Some(digest)
        || header("content-length") != Some(length)
        || header("content-type").as_deref() != Some("audio/wav")
        || !body.starts_with(b"RIFF")
        || !task.is_some_and(open)
    {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "not what the headers say");
    }
    let id = format!("file-{}", inner.files.len());
    let receipt = json!({"file_id": id, "sha256": hex::encode(sha256), "file_size": body.len()});
    inner.files.insert(id, (StatusCode::OK, body));
    inner.seen.push(Seen {
        path: uri.path().to_owned(),
        body: receipt.clone(),
        sender,
    });
    Json(receipt).into_response()
}

/// Holds the poll for a while, then hands out every task that is neither closed nor excluded.
async fn deliver(inner: &Mutex<Inner>, uri: &Uri) -> Response {
    let path = uri.path();
    let parameters = uri.query().unwrap_or_default().split('&');
    let mut excluded = parameters.filter_map(|parameter| parameter.strip_prefix("exclude="));
    let excluded: Vec<_> = excluded
        .next()
        .into_iter()
        .flat_map(|ids| ids.split(','))
        .collect();
    {
        let mut inner = inner.lock().unwrap();
        inner.polls += 1;
        inner
            .excluded
            .push(excluded.iter().map(ToString::to_string).collect());
    }
    for _ in 0..20 {
        let open: Vec<_> = {
            let inner = inner.lock().unwrap();
            let open = |task: &&Value| {
                let id = task["task_id"].as_str().unwrap();
                !inner.closed.contains(id) && !excluded.contains(&id)
            };
            inner.tasks.iter().filter(open).cloned().collect()
        };
        if !open.is_empty() {
            return match path {
                "/api/v1/miners/3/tasks" => Json(Value::Array(open)).into_response(),
                "/api/v1/validator/tasks" => {
                    Json(json!({"success": true, "count": open.len(), "tasks": open})).into_response()
                }
                _ => problem(StatusCode::NOT_FOUND, "no such path"),
            };
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let empty = if path.contains("validator") {
        json!({"success": true, "count": 0, "tasks": []})
    } else {
        json!([])
    };
    Json(empty).into_response()
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body =
        json!({"type": "about:blank", "title": "refused", "status": status.as_u16(), "detail": detail});
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, 1.into());
    }
    response
}
