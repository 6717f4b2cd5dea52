//! Users, their sessions and organisations, and what is kept of what they do.
mod lockout;
mod mail;
mod oidc;
mod organizations;
mod security;
mod sessions;
mod wallets;

pub(crate) use organizations::team;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use violet::server::Server;

use crate::harness::{Reply, World};

pub(crate) const PASSWORD: &str = "correct horse";

/// Somebody who registered and logged in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    http: reqwest::Client,
    url: String,
    pub(crate) email: String,
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

impl Person {
    pub(crate) async fn register(world: &World, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let url = world.server.url();
        let new = json!({ "email": email, "password": PASSWORD, "full_name": name });
        let registered = Reply::to(world.http.post(format!("{url}/api/v1/auth/register")).json(&new))
            .await
            .ok();
        Self {
            http: world.http.clone(),
            url,
            email,
            id: text(&registered["user_id"]),
            key: text(&registered["api_key"]),
            access: String::new(),
            refresh: String::new(),
        }
    }

    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let mut person = Self::register(world, name).await;
        let tokens = person.log_in(PASSWORD).await.ok();
        person.take(&tokens);
        person
    }

    /// From now on it has these tokens.
    pub(crate) fn take(&mut self, tokens: &Value) {
        self.access = text(&tokens["access_token"]);
        self.refresh = text(&tokens["refresh_token"]);
    }

    /// The same with another login.
    pub(crate) async fn elsewhere(&self) -> Self {
        let mut other = self.clone();
        other.take(&self.log_in(PASSWORD).await.ok());
        other
    }

    pub(crate) fn at(&self, server: &Server) -> Self {
        Self {
            url: server.url(),
            ..self.clone()
        }
    }

    pub(crate) async fn log_in(&self, password: &str) -> Reply {
        let credentials = json!({ "email": self.email, "password": password });
        self.open("/api/v1/auth/login", &credentials).await
    }

    /// A request without credentials.
    pub(crate) async fn open(&self, target: &str, body: &Value) -> Reply {
        Reply::to(self.http.post(format!("{}{target}", self.url)).json(body)).await
    }

    pub(crate) async fn exchange(&self, refresh: &str) -> Reply {
        let body = json!({ "refresh_token": refresh });
        self.open("/api/v1/auth/token/refresh", &body).await
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{target}", self.url))
            .bearer_auth(&self.access)
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        Reply::to(self.request(Method::GET, target)).await
    }

    pub(crate) async fn send(&self, method: Method, target: &str, body: &Value) -> Reply {
        Reply::to(self.request(method, target).json(body)).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Reply {
        self.send(Method::POST, target, body).await
    }

    /// Whether its access token works.
    pub(crate) async fn is_in(&self) -> bool {
        let reply = self.get("/api/v1/auth/me").await;
        if reply.status != 200 {
            reply.problem(401, "/problems/unauthenticated");
        }
        reply.status == 200
    }
}

/// The events of this name in the log, with their outcomes, oldest first.
pub(crate) async fn events(world: &World, name: &str) -> Vec<String> {
    sqlx::query_scalar("select outcome from security_events where event = $1 order by event_id")
        .bind(name)
        .fetch_all(&world.db)
        .await
        .unwrap()
}
