//! The listener on the loopback address: WebSocket and HTTP on one port.
//!
//! It accepts connections itself rather than leaving it to jsonrpsee, to be able to cut and to refuse them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsonrpsee::Methods;
use jsonrpsee::server::{
    RandomStringIdProvider, Server, ServerConfig, ServerHandle, StopHandle, serve_with_graceful_shutdown,
    stop_channel,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The metadata alone is half a megabyte of hex.
const MAX_BODY: u32 = 64 * 1024 * 1024;

/// How long to wait after the system would not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whether connections may come in, and the means to cut those that have.
pub(crate) struct Gate(Mutex<Door>);

struct Door {
    refusing: bool,
    stop: StopHandle,
    /// Stops every connection since the last cut.
    connections: ServerHandle,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (stop, connections) = stop_channel();
        Self(Mutex::new(Door {
            refusing: false,
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

    /// Lets new connections in or not.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refusing = refusing;
    }

    /// What ends a connection that comes in now. `None` if it may not.
    fn enter(&self) -> Option<StopHandle> {
        let door = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!door.refusing).then(|| door.stop.clone())
    }
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, methods: Methods, gate: std::sync::Arc<Gate>) {
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
        let Some(stop) = gate.enter() else { continue };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not turn off Nagle's algorithm");
        }
        let service = services.clone().build(methods.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = serve_with_graceful_shutdown(stream, service, stop.shutdown()).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}
