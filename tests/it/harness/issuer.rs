//! An issuer of OIDC tokens: it signs, and publishes its keys over HTTP, well or badly.
use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use p256::pkcs8::EncodePrivateKey as _;
use rsa::{pkcs1::EncodeRsaPrivateKey as _, rand_core::OsRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use violet::{app::Clock, domain::oidc};

/// For whom its tokens are.
pub(crate) const AUDIENCE: &str = "violet-tests";

/// A key that an issuer signs with.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl SigningKey {
    /// One of two RSA keys: they are slow to make.
    pub(crate) fn rsa(id: &str, number: usize) -> Self {
        static MADE: [OnceLock<EncodingKey>; 2] = [OnceLock::new(), OnceLock::new()];
        let private = MADE[number].get_or_init(|| {
            let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
            EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes())
        });
        Self {
            id: id.into(),
            algorithm: Algorithm::RS256,
            private: private.clone(),
        }
    }

    /// A fresh one on P-256.
    pub(crate) fn ec(id: &str) -> Self {
        let key = p256::SecretKey::random(&mut OsRng);
        Self {
            id: id.into(),
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes()),
        }
    }

    /// What is published of it: without `alg`, as many issuers do it.
    pub(crate) fn public(&self) -> Value {
        let key = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        let mut key = serde_json::to_value(key).unwrap();
        key.as_object_mut().unwrap().remove("alg");
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            kid: Some(self.id.clone()),
            ..Header::new(self.algorithm)
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// The header says what it likes, as long as the key can sign in that way.
    pub(crate) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }
}

/// How an issuer answers when it is asked for its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Well,
    Away,
    /// Never.
    Slow,
    /// With more than anybody reads.
    Large,
    /// They are there.
    Elsewhere(String),
    /// It calls itself so.
    Another(String),
    Nonsense,
}

struct Published {
    url: String,
    keys: Mutex<Vec<Value>>,
    cache_control: Mutex<String>,
    manner: Mutex<Manner>,
    asked: AtomicUsize,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    published: Arc<Published>,
    _serving: AbortOnDropHandle<()>,
}

impl Issuer {
    /// Publishes these keys.
    pub(crate) async fn open(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let published = Arc::new(Published {
            url: url.clone(),
            keys: Mutex::default(),
            cache_control: Mutex::new("public, max-age=3600".into()),
            manner: Mutex::default(),
            asked: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(publish))
            .with_state(Arc::clone(&published));
        let serving = async move {
            _ = axum::serve(listener, router).await;
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        let issuer = Self {
            url,
            published,
            _serving: serving,
        };
        issuer.publish(keys);
        issuer
    }

    /// From now on it has these keys.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        *self.published.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    /// From now on its keys are to be kept so long, in seconds.
    pub(crate) fn keep(&self, seconds: u32) {
        *self.published.cache_control.lock().unwrap() = format!("max-age={seconds}");
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.published.manner.lock().unwrap() = manner;
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.published.asked.load(Ordering::SeqCst)
    }

    /// Settings with which its tokens are taken, and make accounts.
    pub(crate) fn settings(&self, name: &str) -> oidc::Issuer {
        oidc::Issuer {
            name: name.into(),
            issuer: self.url.clone(),
            audience: vec![AUDIENCE.into()],
            create_accounts: true,
            ..oidc::Issuer::default()
        }
    }

    /// What it says of somebody.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        let now = Clock::system().timestamp();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 3600,
            "email": format!("{subject}@example.org"), "email_verified": true, "name": subject,
        })
    }
}

async fn describe(State(published): State<Arc<Published>>) -> Response {
    let manner = published.manner.lock().unwrap().clone();
    let issuer = match manner {
        Manner::Another(issuer) => issuer,
        _ => published.url.clone(),
    };
    let description = json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", published.url) });
    axum::Json(description).into_response()
}

async fn publish(State(published): State<Arc<Published>>) -> Response {
    published.asked.fetch_add(1, Ordering::SeqCst);
    let manner = published.manner.lock().unwrap().clone();
    let keys = published.keys.lock().unwrap().clone();
    let cache_control = published.cache_control.lock().unwrap().clone();
    let mut body = json!({ "keys": keys });
    match manner {
        Manner::Away => return StatusCode::BAD_GATEWAY.into_response(),
        Manner::Slow => std::future::pending::<()>().await,
        Manner::Large => body["padding"] = "x".repeat(300_000).into(),
        Manner::Elsewhere(url) => {
            return (StatusCode::FOUND, [(header::LOCATION, format!("{url}/keys"))]).into_response();
        }
        Manner::Nonsense => return "<html>".into_response(),
        Manner::Well | Manner::Another(_) => {}
    }
    ([(header::CACHE_CONTROL, cache_control)], axum::Json(body)).into_response()
}
