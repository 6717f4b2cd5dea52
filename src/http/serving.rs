//! Connections: how many at once, how long a caller may take to say what it wants, and how they end.
use std::{io::ErrorKind, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::client_address::Peer;

/// What strangers may take of the server before they have asked for anything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Longest from the begin of a connection, or from the last answer, to the end of a request's headers.
    pub headers: Duration,
}

/// Largest headers of a request with its first line, in bytes.
const HEADER_BYTES: usize = 64 * 1024;
/// How long nothing is accepted after the system refused, for want of file descriptors for instance.
const RESPITE: Duration = Duration::from_millis(500);

/// Serves until `stop`, then finishes what is under way; `tracker` knows of each connection.
///
/// HTTP/1.1 alone: a proxy speaks it, and one request at a time for each connection is a limit that needs no other.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_header_size(HEADER_BYTES);
    let accepting = async {
        loop {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let (stream, peer) = accept(&listener).await;
            let connection = converse(http.clone(), stream, peer, router.clone(), stop.clone());
            tracker.spawn(async move {
                connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The caller went away before its turn came.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn converse(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    // An answer is written at once: nothing is gained by waiting for more. A connection that is gone shows later.
    let _ = stream.set_nodelay(true);
    let named = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let service = TowerToHyperService::new(named);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
