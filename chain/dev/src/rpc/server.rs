//! The listener on the loopback address: WebSocket and HTTP on one port.
//!
//! It accepts connections itself rather than leaving it to jsonrpsee, to be able to cut and to refuse them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jsonrpsee::server::{
    HttpBody, HttpResponse, RandomStringIdProvider, Server, ServerConfig, ServerHandle, StopHandle,
    serve_with_graceful_shutdown, stop_channel,
};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Methods, RpcModule};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::refusal;
use crate::controls::Controls;

/// The metadata alone is half a megabyte of hex.
const MAX_BODY: u32 = 64 * 1024 * 1024;

/// How long to wait after the system would not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How clients are turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The connection is closed at once.
    Close,
    /// Every request, that for a WebSocket too, is answered with this HTTP status, as by a gateway: 403 or 429.
    Http(u16),
    /// Every call is answered with this JSON-RPC error, as by a gateway's policy: -32004 or -32005.
    Error(i32),
}

/// Whether connections may come in, and the means to cut those that have.
pub(crate) struct Gate(Mutex<Door>);

struct Door {
    refusal: Option<Refusal>,
    stop: StopHandle,
    /// Stops every connection since the last cut.
    connections: ServerHandle,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (stop, connections) = stop_channel();
        Self(Mutex::new(Door {
            refusal: None,
            stop,
            connections,
        }))
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        let (stop, connections) = stop_channel();
        let mut door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        door.stop = stop;
        let old = std::mem::replace(&mut door.connections, connections);
        if old.stop().is_err() {
            tracing::debug!("there were no connections to cut");
        }
    }

    /// Refuses new connections, or lets them in.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refusal = refusal;
    }

    /// What ends a connection that comes in now, and how it is refused.
    fn enter(&self) -> (StopHandle, Option<Refusal>) {
        let door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (door.stop.clone(), door.refusal)
    }
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, methods: Methods, controls: Arc<Controls>) {
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_BODY)
        .max_response_body_size(MAX_BODY)
        .max_connections(1_024)
        .max_subscriptions_per_connection(1_024)
        .set_id_provider(RandomStringIdProvider::new(16))
        .build();
    let services = Server::builder().set_config(config).to_service_builder();
    let mut connections = JoinSet::new();
    loop {
        let stream: TcpStream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (stop, refusal) = controls.gate.enter();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not turn off Nagle's algorithm");
        }
        let methods = match refusal {
            None => methods.clone(),
            Some(Refusal::Close) => continue,
            Some(Refusal::Http(status)) => {
                connections.spawn(async move {
                    ended(serve_with_graceful_shutdown(stream, TurnAway(status), stop.shutdown()).await);
                });
                continue;
            }
            Some(Refusal::Error(code)) => refusing(&methods, code),
        };
        let service = services.clone().build(methods, stop.clone());
        connections.spawn(async move {
            ended(serve_with_graceful_shutdown(stream, service, stop.shutdown()).await);
        });
    }
}

fn ended<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The same methods, each of which answers with the error.
fn refusing(methods: &Methods, code: i32) -> Methods {
    let mut module = RpcModule::new(());
    for name in methods.method_names() {
        let refused = move |_: jsonrpsee::types::Params<'_>, (): &(), _: &_| {
            Err::<(), ErrorObjectOwned>(refusal(code, "refused by the policy of this endpoint"))
        };
        module
            .register_method(name, refused)
            .expect("no two methods have one name");
    }
    module.into()
}

/// Answers every request with one HTTP status.
#[derive(Clone, Copy)]
struct TurnAway(u16);

impl<Request> tower::Service<Request> for TurnAway {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Ready<Result<HttpResponse, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        let mut response = HttpResponse::new(HttpBody::from("refused by this endpoint"));
        if let Ok(status) = self.0.try_into() {
            *response.status_mut() = status;
        }
        ready(Ok(response))
    }
}
