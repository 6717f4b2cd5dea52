//! Documents from elsewhere by HTTPS: small ones, soon, and from the address that was asked and no other.
//!
//! Not with reqwest: its TLS is switched on for all clients of the workspace or for none.
use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// The largest document, in bytes.
pub const LARGEST: usize = 256 * 1024;

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FetchError {
    #[error("{0}")]
    Address(&'static str),
    #[error("it cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("it leads elsewhere ({0}); set the address that it leads to")]
    Elsewhere(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    #[error("it broke off")]
    BrokeOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
}

/// A document, and how long it is said to stay as it is.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its bytes.
    pub bytes: Bytes,
    /// As it came.
    pub cache_control: Option<String>,
    /// How long a cache on the way has had it.
    pub age: Option<String>,
}

/// Checks an address: HTTPS, or plain HTTP on this machine, or anywhere with `plain`.
///
/// # Errors
/// What is wrong with it.
pub fn check(address: &str, plain: bool) -> Result<Uri, &'static str> {
    let uri: Uri = address.parse().map_err(|_| "is no address such as https://…")?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() || authority.contains('@') || address.contains('#') {
        return Err("must have a host, and neither a user nor a fragment");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if plain || is_here(uri.host().unwrap_or_default()) => Ok(uri),
        Some("http") => Err("must be https:// (or http:// on this machine, or with allow_http)"),
        _ => Err("must begin with https://"),
    }
}

fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Gets documents.
#[derive(Clone, Debug)]
pub struct Https(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Https {
    /// Believes the certificates that the system does.
    pub fn new() -> Self {
        let provider = ring::default_provider();
        match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider) {
            Ok(connector) => Self::with(connector.https_or_http().enable_http1().build()),
            Err(error) => {
                tracing::warn!(%error, "the system has no root certificates: no HTTPS server will be believed");
                Self::trusting(RootCertStore::empty())
            }
        }
    }

    /// Believes what these certificates have signed, and nothing else.
    fn trusting(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        Self::with(connector.https_or_http().enable_http1().build())
    }

    fn with(connector: HttpsConnector<HttpConnector>) -> Self {
        // Documents are asked for rarely: a connection that is kept would be a dead one then.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self(client)
    }

    /// Gets a document within this time. Redirections are not followed.
    ///
    /// # Errors
    /// Why it could not be had.
    pub async fn get(&self, address: &str, plain: bool, within: Duration) -> Result<Document, FetchError> {
        let uri = check(address, plain).map_err(FetchError::Address)?;
        tokio::time::timeout(within, self.receive(uri))
            .await
            .map_err(|_| FetchError::TooSlow(within))?
    }

    async fn receive(&self, uri: Uri) -> Result<Document, FetchError> {
        let request = Request::get(uri)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("violet/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| FetchError::BrokeOff(error.into()))?;
        let response = self.0.request(request).await.map_err(FetchError::Unreachable)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Elsewhere(status));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status));
        }
        let text = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(ToOwned::to_owned)
        };
        let (cache_control, age) = (text(header::CACHE_CONTROL), text(header::AGE));
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let bytes = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                FetchError::TooLarge
            } else {
                FetchError::BrokeOff(error)
            }
        })?;
        Ok(Document {
            bytes: bytes.to_bytes(),
            cache_control,
            age,
        })
    }
}

impl Default for Https {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A server whose certificate is for `name`, and that certificate.
    async fn server(name: &str) -> (u16, RootCertStore, AbortOnDropHandle<()>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who does not believe the certificate goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAge: 7\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let handle = AbortOnDropHandle::new(tokio::spawn(serving));
        (port, roots, handle)
    }

    #[tokio::test]
    async fn a_server_is_believed_by_its_certificate() {
        let (port, roots, _serving) = server("localhost").await;
        let address = format!("https://localhost:{port}/keys");
        let believing = Https::trusting(roots.clone());
        let document = believing.get(&address, false, LONG).await.unwrap();
        assert_eq!(
            (&document.bytes[..], document.age.as_deref()),
            (&b"{}"[..], Some("7"))
        );
        // Not by who does not know whose it is, and not for another name.
        for (client, address) in [
            (Https::trusting(RootCertStore::empty()), address.clone()),
            (Https::new(), address),
            (believing, format!("https://127.0.0.1:{port}/keys")),
        ] {
            let error = client.get(&address, false, LONG).await.unwrap_err();
            assert!(matches!(error, FetchError::Unreachable(_)), "{error:?}");
            assert!(format!("{error:?}").contains("InvalidCertificate"), "{error:?}");
        }
    }

    #[test]
    fn addresses_are_encrypted_or_of_this_machine() {
        for good in [
            "https://example.org",
            "https://example.org:8443/a/b?c=d",
            "http://localhost:9/a",
            "http://127.0.0.1",
            "http://127.9.9.9:80/",
            "http://[::1]:80/",
        ] {
            check(good, false).unwrap();
        }
        for bad in [
            "",
            "example.org",
            "/keys",
            "ftp://example.org",
            "file:///etc/passwd",
            "https://",
            "https://user@example.org",
            "https://example.org/#a",
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "http://127.0.0.1@example.org",
            "http://10.0.0.1",
            "http://[::2]",
            "https://exa mple.org",
        ] {
            assert!(check(bad, false).is_err(), "{bad}");
        }
        check("http://example.org", true).unwrap();
        assert!(check("ftp://example.org", true).is_err());
    }
}
