//! Where a request comes from: the peer of its connection.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::request::Parts;

use crate::app::App;

/// The other end of the connection, set where connections are served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The peer; without a connection, as in a test of a router, nobody's.
pub(crate) fn client_address(parts: &Parts, _: &App) -> IpAddr {
    parts
        .extensions
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.0.ip().to_canonical()
        })
}
