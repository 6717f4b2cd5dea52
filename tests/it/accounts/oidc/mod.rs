//! Tokens of other issuers: which count, whose they are, and how long.
mod keys;
mod people;
mod tokens;

use serde_json::Value;
use violet::{config::Config, domain::oidc, issuers::Issuers};

use super::Person;
use crate::harness::{Issuer, SigningKey, World};

const ME: &str = "/api/v1/auth/me";

/// Whoever shows this token.
fn bearer(world: &World, token: &str) -> Person {
    Person {
        http: world.http.clone(),
        url: world.server.url(),
        email: String::new(),
        id: String::new(),
        key: String::new(),
        access: token.to_owned(),
        refresh: String::new(),
    }
}

/// A world that takes the tokens of one issuer, after a change of its settings.
async fn world_with(issuer: &Issuer, change: impl FnOnce(&mut oidc::Issuer, &mut Config)) -> World {
    let mut settings = issuer.settings("tests");
    World::with(|config| {
        change(&mut settings, config);
        config.identity.oidc = Issuers(vec![settings]);
    })
    .await
}

/// Claims with one of them changed; null takes it away.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// An issuer with one key, and that key.
async fn issuer() -> (Issuer, SigningKey) {
    let key = SigningKey::ec("first");
    (Issuer::open(&[&key]).await, key)
}
