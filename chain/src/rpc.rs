//! One WebSocket to one of several endpoints: connects again with backoff, passes on to the next endpoint when one
//! fails, refuses or is behind, and refuses an endpoint of another chain. It knows JSON-RPC and nothing of what is
//! asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::BackoffBuilder as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use subxt::ext::jsonrpsee::core::client::{
    Client as WsClient, ClientT as _, Error as RpcError, Subscription, SubscriptionClientT as _,
};
use subxt::ext::jsonrpsee::core::params::ArrayParams;
use subxt::ext::jsonrpsee::ws_client::{PingConfig, WsClientBuilder};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::endpoint::{Endpoint, delays, is_refusal};
use crate::error::Error;
use crate::stats::{Counters, Stats};

/// Shortest and longest delay between the tries of one request, without jitter.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(800)];
/// How often one request is tried again. With the delays that is at least 1.5 s of patience beyond the requests.
const RETRIES: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that takes longer to say how far it is cannot be relied on.
const HEIGHT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A metagraph is well below 1 MiB and metadata below 2 MiB; more is not an answer.
const MAX_RESPONSE: u32 = 16 << 20;
/// Nodes hear of a final block one after another: an endpoint that is no further behind than this is well.
pub(crate) const LAG: u32 = 5;

pub(crate) struct Link {
    genesis: OnceLock<String>,
    pub(crate) counters: Counters,
    state: Mutex<State>,
}

struct State {
    endpoints: Vec<Endpoint>,
    client: Option<Arc<WsClient>>,
    /// The endpoint in use, or the one to try next.
    at: usize,
    /// The newest final block of which an endpoint told.
    newest: u32,
    connected_before: bool,
    used: Instant,
}

/// A connection to an endpoint of this chain, and its newest final block.
struct Opened {
    client: WsClient,
    height: u32,
}

/// Why there is none.
struct Closed {
    error: Error,
    refused: bool,
}

impl Link {
    /// Connects when it is first asked. `genesis` is the chain's, if that is known.
    pub(crate) fn new(endpoints: &[String], genesis: Option<String>) -> Result<Self, Error> {
        if endpoints.is_empty() {
            return Err(Error::NoEndpoint);
        }
        if let Some(url) = endpoints
            .iter()
            .find(|url| !url.starts_with("ws://") && !url.starts_with("wss://"))
        {
            return Err(Error::Endpoint { url: url.clone() });
        }
        let state = State {
            endpoints: endpoints.iter().cloned().map(Endpoint::new).collect(),
            client: None,
            at: 0,
            newest: 0,
            connected_before: false,
            used: Instant::now(),
        };
        Ok(Self {
            genesis: genesis.map_or_else(OnceLock::new, OnceLock::from),
            counters: Counters::new(endpoints.iter()),
            state: Mutex::new(state),
        })
    }

    /// Connects to the first endpoint that answers, unless it is far behind another one.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        self.client().await.map(|_| ())
    }

    /// The genesis hash of the chain, as the node wrote it.
    pub(crate) fn genesis(&self) -> &str {
        self.genesis.get().map_or("", String::as_str)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// The live connection, or a new one. Callers queue here while one of them connects; while every endpoint is left
    /// alone all of them fail at once instead of waiting.
    async fn client(&self) -> Result<Arc<WsClient>, Error> {
        let mut state = self.state.lock().await;
        state.used = Instant::now();
        if let Some(client) = state.client.clone() {
            if client.is_connected() {
                return Ok(client);
            }
            self.give_up(&mut state, &client.on_disconnect().await);
        }
        let newest = state.newest.max(self.counters.last_heard());
        let mut last = None;
        let mut behind: Option<(usize, Opened)> = None;
        for _ in 0..state.endpoints.len() {
            let at = state.at;
            state.at = (at + 1) % state.endpoints.len();
            if !state.endpoints[at].is_due() {
                continue;
            }
            match self.open(at, &state.endpoints[at].url).await {
                Ok(opened) if opened.height.saturating_add(LAG) >= newest => {
                    return Ok(self.use_from_now(&mut state, at, opened));
                }
                Ok(opened) => {
                    if behind
                        .as_ref()
                        .is_none_or(|(_, best)| opened.height > best.height)
                    {
                        behind = Some((at, opened));
                    }
                }
                Err(closed) => last = Some(self.note(&mut state, at, closed)),
            }
        }
        // A node that is behind is better than none, and a chain that began again has no other.
        let soon = state.endpoints.iter().any(Endpoint::is_due_soon);
        if let Some((at, opened)) = behind.filter(|_| !soon) {
            state.newest = opened.height;
            return Ok(self.use_from_now(&mut state, at, opened));
        }
        Err(last.unwrap_or_else(|| Error::Unreachable {
            url: self.counters.name(state.at),
            source: None,
        }))
    }

    fn use_from_now(&self, state: &mut State, at: usize, opened: Opened) -> Arc<WsClient> {
        let endpoint = self.counters.name(at);
        info!(endpoint, finalized = opened.height, "connected to the chain");
        if state.connected_before {
            self.counters.reconnected(at);
        }
        let client = Arc::new(opened.client);
        state.connected_before = true;
        state.at = at;
        state.newest = state.newest.max(opened.height);
        state.client = Some(Arc::clone(&client));
        self.counters.measured(at, opened.height, state.newest);
        client
    }

    fn note(&self, state: &mut State, at: usize, closed: Closed) -> Error {
        self.counters.failed(at, closed.refused);
        state.endpoints[at].rest(closed.refused);
        closed.error
    }

    /// Gives up the connection in use because of this failure, and passes on to the next endpoint.
    fn give_up(&self, state: &mut State, error: &RpcError) {
        let refused = is_refusal(error);
        let endpoint = self.counters.name(state.at);
        warn!(endpoint, refused, %error, "chain connection given up");
        self.counters.failed(state.at, refused);
        let at = state.at;
        state.endpoints[at].rest(refused);
        state.at = (at + 1) % state.endpoints.len();
        state.client = None;
    }

    async fn open(&self, at: usize, url: &str) -> Result<Opened, Closed> {
        let unreachable = |error: RpcError| Closed {
            refused: is_refusal(&error),
            error: Error::Unreachable {
                url: self.counters.name(at),
                source: Some(error.into()),
            },
        };
        let client = WsClientBuilder::new()
            .max_response_size(MAX_RESPONSE)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(REQUEST_TIMEOUT)
            .set_tcp_no_delay(true)
            // Finds a connection that died without a word; its subscription then ends.
            .enable_ws_ping(PingConfig::new())
            .build(url)
            .await
            .map_err(unreachable)?;
        let mut first = ArrayParams::new();
        first.insert(0).expect("a number is JSON");
        let found: String = self
            .ask(&client, "chain_getBlockHash", first)
            .await
            .map_err(unreachable)?;
        let expected = self.genesis.get_or_init(|| found.clone());
        if *expected != found {
            return Err(Closed {
                refused: false,
                error: Error::OtherChain {
                    url: self.counters.name(at),
                    expected: expected.clone(),
                    found,
                },
            });
        }
        let height = self.height(&client).await.map_err(unreachable)?;
        Ok(Opened { client, height })
    }

    /// The number of the newest final block.
    async fn height(&self, client: &WsClient) -> Result<u32, RpcError> {
        let hash: String = self
            .ask(client, "chain_getFinalizedHead", ArrayParams::new())
            .await?;
        let mut params = ArrayParams::new();
        params.insert(hash).expect("a text is JSON");
        let header: Numbered = self.ask(client, "chain_getHeader", params).await?;
        Ok(header.number.0)
    }

    /// Asks once, and counts it.
    async fn ask<T: DeserializeOwned>(
        &self,
        client: &WsClient,
        method: &'static str,
        params: ArrayParams,
    ) -> Result<T, RpcError> {
        self.counters.called(method);
        let answer: Box<RawValue> = client.request(method, params).await?;
        self.counters.received(answer.get().len());
        Ok(serde_json::from_str(answer.get())?)
    }

    /// Asks the other endpoints how far they are, each over a connection of its own that is closed at once, and goes
    /// over to the furthest if that is more than `lag` blocks ahead of `known`. `true` if heads must be subscribed to
    /// again: at another endpoint, or at this one, which is ahead of what it told.
    pub(crate) async fn look(&self, known: u32, lag: u32) -> bool {
        let Ok(client) = self.client().await else {
            return true;
        };
        let (at, others) = {
            let state = self.state.lock().await;
            let others: Vec<(usize, String)> = (0..)
                .zip(&state.endpoints)
                .filter(|(index, endpoint)| *index != state.at && endpoint.is_due())
                .map(|(index, endpoint)| (index, endpoint.url.clone()))
                .collect();
            (state.at, others)
        };
        let opening = futures_util::future::join_all(
            others
                .iter()
                .map(async |(index, url)| (*index, self.open(*index, url).await)),
        );
        let own = async {
            let answer = tokio::time::timeout(HEIGHT_TIMEOUT, self.height(&client));
            answer.await.unwrap_or(Err(RpcError::RequestTimeout))
        };
        let (own, opened) = tokio::join!(own, opening);

        let mut state = self.state.lock().await;
        let mut found = Vec::new();
        for (index, outcome) in opened {
            match outcome {
                Ok(opened) => found.push((index, opened)),
                Err(closed) => {
                    let error = self.note(&mut state, index, closed);
                    warn!(%error, "a chain endpoint cannot take over");
                }
            }
        }
        let in_use = state
            .client
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &client));
        if !in_use {
            return true;
        }
        let own = match own {
            Ok(height) => height,
            Err(error) => {
                self.give_up(&mut state, &error);
                return true;
            }
        };
        let heights = found.iter().map(|(_, opened)| opened.height);
        let newest = heights.chain([own, known]).max().unwrap_or(known);
        state.newest = state.newest.max(newest);
        self.counters.measured(at, own, newest);
        for (index, opened) in &found {
            self.counters.measured(*index, opened.height, newest);
        }
        let furthest = found.into_iter().max_by_key(|(_, opened)| opened.height);
        match furthest {
            Some((index, opened)) if opened.height > own.max(known).saturating_add(lag) => {
                let endpoint = self.counters.name(at);
                warn!(endpoint, finalized = own, newest, "the chain endpoint is behind");
                self.use_from_now(&mut state, index, opened);
                true
            }
            _ => own > known.saturating_add(lag),
        }
    }

    /// Closes a connection that nobody used for so long.
    pub(crate) async fn close_after(&self, unused: Duration) {
        let mut state = self.state.lock().await;
        if state.used.elapsed() >= unused {
            state.client = None;
        }
    }

    /// Asks, and asks again elsewhere when the connection fails. Every method used here only reads.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &ArrayParams,
    ) -> Result<T, Error> {
        let mut cause = None;
        let mut delays = delays(RETRY).with_max_times(RETRIES).build();
        loop {
            let error = match self.client().await {
                Err(error) => error,
                Ok(client) => match self.ask(&client, method, params.clone()).await {
                    Ok(answer) => {
                        self.answered(&client).await;
                        return Ok(answer);
                    }
                    Err(error) => self.failed(&client, method, error).await?,
                },
            };
            // A call that only met the backoff knows no reason; an earlier try of the same request may.
            let error = match (error, cause.take()) {
                (Error::Unreachable { source: None, .. }, Some(earlier)) => earlier,
                (error, _) => error,
            };
            match delays.next() {
                Some(delay) if error.is_temporary() => tokio::time::sleep(delay).await,
                _ => return Err(error),
            }
            cause = Some(error);
        }
    }

    async fn answered(&self, client: &Arc<WsClient>) {
        let mut state = self.state.lock().await;
        let at = state.at;
        if state
            .client
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, client))
        {
            state.endpoints[at].recovered();
        }
    }

    /// Sends an extrinsic, once, and watches it. Whether it arrived is unknown after a temporary error.
    pub(crate) async fn watch<T: DeserializeOwned>(
        &self,
        extrinsic: &[u8],
    ) -> Result<Subscription<T>, Error> {
        let mut params = ArrayParams::new();
        let text = format!("0x{}", hex::encode(extrinsic));
        params.insert(text).expect("a text is JSON");
        self.subscribe(
            "author_submitAndWatchExtrinsic",
            params,
            "author_unwatchExtrinsic",
        )
        .await
    }

    /// A subscription on the live connection. It ends with the connection; the caller subscribes again.
    pub(crate) async fn subscribe<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: ArrayParams,
        unsubscribe: &'static str,
    ) -> Result<Subscription<T>, Error> {
        let client = self.client().await?;
        self.counters.called(method);
        match client.subscribe(method, params, unsubscribe).await {
            Ok(subscription) => Ok(subscription),
            Err(error) => Err(self
                .failed(&client, method, error)
                .await
                .unwrap_or_else(|error| error)),
        }
    }

    /// `Ok` for a failure that another try may cure, `Err` for an answer that will stay the same.
    async fn failed(
        &self,
        client: &Arc<WsClient>,
        method: &'static str,
        error: RpcError,
    ) -> Result<Error, Error> {
        if !matches!(error, RpcError::Call(_) | RpcError::ParseError(_)) || is_refusal(&error) {
            let mut state = self.state.lock().await;
            let current = state.client.as_ref();
            // Another caller may have given it up already.
            if current.is_some_and(|current| Arc::ptr_eq(current, client)) {
                self.give_up(&mut state, &error);
            }
        }
        match error {
            RpcError::Call(answer) => {
                let temporary = is_refusal(&RpcError::Call(answer.clone()));
                let (code, mut message) = (answer.code(), answer.message().to_owned());
                // Why a transaction is invalid is said there.
                let data = answer
                    .data()
                    .and_then(|data| serde_json::from_str::<String>(data.get()).ok());
                if let Some(data) = data {
                    message = format!("{message}: {data}");
                }
                if message.contains("State already discarded") {
                    return Err(Error::StateDiscarded { method });
                }
                let error = Error::Rpc {
                    method,
                    code,
                    message,
                };
                if temporary { Ok(error) } else { Err(error) }
            }
            RpcError::ParseError(error) => Err(Error::Response {
                method,
                source: error.into(),
            }),
            error => Ok(Error::Unreachable {
                url: self.counters.name(self.state.lock().await.at),
                source: Some(error.into()),
            }),
        }
    }
}

/// A header, of which only the number is of interest.
#[derive(Deserialize)]
pub(crate) struct Numbered {
    pub(crate) number: Number,
}

/// A block's number, in hex.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Number(pub(crate) u32);

impl TryFrom<String> for Number {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix("0x");
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or("the number of a block is not hex")
    }
}
