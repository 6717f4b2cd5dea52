//! Where a request comes from: the peer of its connection, or what a trusted proxy says of it.
//!
//! Whoever is not in `server.trusted_proxies` may write anything into `X-Forwarded-For`; it is not looked at then.
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;

use crate::{app::App, services::security::Origin};

/// The other end of the connection, set where connections are served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl FromRequestParts<App> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(origin(parts, app))
    }
}

pub(super) fn origin(parts: &Parts, app: &App) -> Origin {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Origin {
        address: client_address(parts, app),
        user_agent: text(header::USER_AGENT.as_str()).unwrap_or_default().to_owned(),
        request_id: text("x-request-id").map(ToOwned::to_owned),
    }
}

/// The peer, or behind trusted proxies the last hop that is none of them.
pub(crate) fn client_address(parts: &Parts, app: &App) -> IpAddr {
    // Without a connection, as in a test of a router, it is nobody's.
    let peer = parts
        .extensions
        .get::<Peer>()
        .map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    last_untrusted(peer, &parts.headers, &app.config.server.trusted_proxies.0)
}

fn last_untrusted(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let trusts = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = peer.to_canonical();
    if !trusts(client) {
        return client;
    }
    // Each proxy adds at the end the address that it was called from.
    let hops: Vec<&[u8]> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .collect();
    for hop in hops.into_iter().rev() {
        // What cannot be read was not written by a proxy of ours: the one that passed it on is as far as we know.
        let Some(address) = parse(hop) else {
            break;
        };
        client = address;
        if !trusts(client) {
            break;
        }
    }
    client
}

/// An address as proxies write it: bare, or with a port.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        last_untrusted(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        for (peer, forwarded, expected) in [
            // Nobody's word but a proxy's counts.
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            // What the caller wrote itself is before what the proxy added.
            ("10.0.0.1", vec!["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            // A proxy behind a proxy.
            ("10.0.0.1", vec!["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            // Ports, brackets, the other family.
            ("10.0.0.1", vec!["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", vec!["[2001:db8::7]:443"], "2001:db8::7"),
            ("fd00::1", vec!["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", vec!["::ffff:198.51.100.7"], "198.51.100.7"),
            // Nothing that could be read past.
            ("10.0.0.1", vec!["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec![""], "10.0.0.1"),
        ] {
            assert_eq!(
                found(peer, &forwarded, &proxies),
                expected,
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(found("10.0.0.1", &["198.51.100.7"], &[]), "10.0.0.1");
    }
}
