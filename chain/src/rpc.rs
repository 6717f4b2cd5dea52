//! One WebSocket to one of several endpoints: connects again with backoff, passes on to the next endpoint when one
//! fails, and refuses an endpoint of another chain. It knows JSON-RPC and nothing of what is asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::de::DeserializeOwned;
use subxt::ext::jsonrpsee::core::client::{
    Client as WsClient, ClientT as _, Error as RpcError, Subscription, SubscriptionClientT as _,
};
use subxt::ext::jsonrpsee::core::params::ArrayParams;
use subxt::ext::jsonrpsee::ws_client::{PingConfig, WsClientBuilder};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::error::Error;

/// Delay before the second try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest delay between two rounds of connecting.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How often one request is tried. With the backoff that is 1.5 s of patience beyond the requests themselves.
const TRIES: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A metagraph is well below 1 MiB and metadata below 2 MiB; more is not an answer.
const MAX_RESPONSE: u32 = 16 << 20;

/// JSON-RPC codes by which public nodes refuse politely (policy, rate limit).
const REFUSALS: [i32; 2] = [-32004, -32005];

pub(crate) struct Link {
    endpoints: Vec<String>,
    genesis: OnceLock<String>,
    state: Mutex<State>,
}

struct State {
    client: Option<Arc<WsClient>>,
    /// The endpoint in use, or the one to try next.
    at: usize,
    failures: u32,
    retry_at: Instant,
}

impl Link {
    /// Connects to the first endpoint that answers.
    pub(crate) async fn connect(endpoints: &[String]) -> Result<Self, Error> {
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
            client: None,
            at: 0,
            failures: 0,
            retry_at: Instant::now(),
        };
        let link = Self {
            endpoints: endpoints.to_vec(),
            genesis: OnceLock::new(),
            state: Mutex::new(state),
        };
        link.client().await?;
        Ok(link)
    }

    /// The genesis hash of the first connection, as the node wrote it.
    pub(crate) fn genesis(&self) -> &str {
        self.genesis.get().map_or("", String::as_str)
    }

    /// The live connection, or a new one. Callers queue here while one of them connects; in a backoff all of them
    /// fail at once instead of waiting.
    async fn client(&self) -> Result<Arc<WsClient>, Error> {
        let mut state = self.state.lock().await;
        if let Some(client) = &state.client {
            if client.is_connected() {
                return Ok(Arc::clone(client));
            }
            warn!(endpoint = self.endpoints[state.at], "chain connection lost");
            state.client = None;
        }
        if Instant::now() < state.retry_at {
            return Err(Error::Unreachable {
                url: self.endpoints[state.at].clone(),
                source: None,
            });
        }
        let mut last = Error::NoEndpoint;
        for _ in 0..self.endpoints.len() {
            let url = &self.endpoints[state.at];
            match self.open(url).await {
                Ok(client) => {
                    info!(endpoint = url, "connected to the chain");
                    let client = Arc::new(client);
                    state.client = Some(Arc::clone(&client));
                    return Ok(client);
                }
                Err(error) => {
                    last = error;
                    state.at = (state.at + 1) % self.endpoints.len();
                }
            }
        }
        state.backoff();
        Err(last)
    }

    async fn open(&self, url: &str) -> Result<WsClient, Error> {
        let unreachable = |error: RpcError| Error::Unreachable {
            url: url.to_owned(),
            source: Some(error.into()),
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
        let mut params = ArrayParams::new();
        params.insert(0).expect("a number is JSON");
        let found: String = client
            .request("chain_getBlockHash", params)
            .await
            .map_err(unreachable)?;
        let expected = self.genesis.get_or_init(|| found.clone());
        if *expected == found {
            Ok(client)
        } else {
            Err(Error::OtherChain {
                url: url.to_owned(),
                expected: expected.clone(),
                found,
            })
        }
    }

    /// Gives up a connection that failed, unless another caller already did, and passes on to the next endpoint.
    async fn drop_client(&self, client: &Arc<WsClient>, polite: bool) {
        let mut state = self.state.lock().await;
        if !state
            .client
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, client))
        {
            return;
        }
        state.client = None;
        state.at = (state.at + 1) % self.endpoints.len();
        if polite {
            state.backoff();
        }
    }

    /// Asks, and asks again elsewhere when the connection fails. Every method used here only reads.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &ArrayParams,
    ) -> Result<T, Error> {
        let mut cause = None;
        for tried in 1.. {
            let error = match self.client().await {
                Err(error) => error,
                Ok(client) => match client.request(method, params.clone()).await {
                    Ok(answer) => {
                        self.state.lock().await.failures = 0;
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
            if tried == TRIES || !error.is_temporary() {
                return Err(error);
            }
            cause = Some(error);
            tokio::time::sleep(BACKOFF * 2_u32.pow(tried - 1)).await;
        }
        unreachable!("the last try returns")
    }

    /// A subscription on the live connection. It ends with the connection; the caller subscribes again.
    pub(crate) async fn subscribe<T: DeserializeOwned>(
        &self,
        method: &'static str,
        unsubscribe: &'static str,
    ) -> Result<Subscription<T>, Error> {
        let client = self.client().await?;
        match client.subscribe(method, ArrayParams::new(), unsubscribe).await {
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
        match error {
            RpcError::Call(answer) => {
                let (code, message) = (answer.code(), answer.message().to_owned());
                if message.contains("State already discarded") {
                    return Err(Error::StateDiscarded { method });
                }
                let error = Error::Rpc {
                    method,
                    code,
                    message,
                };
                if REFUSALS.contains(&code) {
                    warn!(method, code, "the chain endpoint refuses");
                    self.drop_client(client, true).await;
                    Ok(error)
                } else {
                    Err(error)
                }
            }
            RpcError::ParseError(error) => Err(Error::Response {
                method,
                source: error.into(),
            }),
            error => {
                warn!(method, %error, "chain request failed");
                self.drop_client(client, false).await;
                let url = self.endpoints[self.state.lock().await.at].clone();
                Ok(Error::Unreachable {
                    url,
                    source: Some(error.into()),
                })
            }
        }
    }
}

impl State {
    fn backoff(&mut self) {
        let delay = (BACKOFF * 2_u32.pow(self.failures.min(10))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Instant::now() + delay;
    }
}
