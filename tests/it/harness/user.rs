//! A registered user with an API key.
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use violet::server::Server;

use super::{Reply, World};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) const TEXT: &str = "The house is big.";

/// What every test submits unless it is about something else: `count` miners translate a text.
pub(crate) fn translation(count: u8) -> Value {
    json!({ "text": TEXT, "source_language": "en", "target_language": "es", "required_miner_count": count })
}

pub(crate) struct User {
    http: Client,
    url: String,
    pub(crate) key: String,
}

impl User {
    pub(crate) async fn register(world: &World) -> Self {
        let (http, url) = (world.http.clone(), world.server.url());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let new = json!({ "email": format!("user{number}@example.org"), "password": "correct horse" });
        let registered = Reply::to(http.post(format!("{url}/api/v1/auth/register")).json(&new))
            .await
            .ok();
        let key = registered["api_key"].as_str().expect("a key is shown").to_owned();
        Self { http, url, key }
    }

    /// The same user at another replica.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self {
            http: self.http.clone(),
            url: server.url(),
            key: self.key.clone(),
        }
    }

    /// The same user at a server in a process of its own.
    pub(crate) fn at_url(&self, url: String) -> Self {
        Self {
            http: self.http.clone(),
            url,
            key: self.key.clone(),
        }
    }

    /// Whoever has this key, at the same server.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self {
            http: self.http.clone(),
            url: self.url.clone(),
            key: key.to_owned(),
        }
    }

    pub(crate) fn post(&self, target: &str) -> RequestBuilder {
        self.http
            .post(format!("{}{target}", self.url))
            .header("X-API-Key", &self.key)
    }

    pub(crate) fn put(&self, target: &str) -> RequestBuilder {
        self.http
            .put(format!("{}{target}", self.url))
            .header("X-API-Key", &self.key)
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        Reply::to(
            self.http
                .get(format!("{}{target}", self.url))
                .header("X-API-Key", &self.key),
        )
        .await
    }

    pub(crate) async fn delete(&self, target: &str) -> Reply {
        Reply::to(
            self.http
                .delete(format!("{}{target}", self.url))
                .header("X-API-Key", &self.key),
        )
        .await
    }

    /// A request for a text translation, still without a body.
    pub(crate) fn translate(&self) -> RequestBuilder {
        self.post("/api/v1/text-translation")
    }

    pub(crate) async fn submit_raw(&self, fields: &Value) -> Reply {
        Reply::to(self.translate().json(fields)).await
    }

    /// Submits and gives the task's id.
    pub(crate) async fn submit(&self, fields: &Value) -> String {
        let accepted = self.submit_raw(fields).await.ok();
        accepted["task_id"]
            .as_str()
            .expect("an accepted task has an id")
            .to_owned()
    }

    pub(crate) async fn status(&self, task: &str) -> Value {
        self.get(&format!("/api/v1/task/{task}/status")).await.ok()
    }

    /// The status once the task has ended.
    pub(crate) async fn ended(&self, task: &str) -> Value {
        let status = self
            .get(&format!("/api/v1/task/{task}/status?wait=60"))
            .await
            .ok();
        assert!(!status["settled_at"].is_null(), "not ended in time: {status}");
        status
    }

    pub(crate) async fn result(&self, task: &str) -> Value {
        self.get(&format!("/api/v1/text-translation/{task}/result"))
            .await
            .ok()
    }

    pub(crate) async fn responses(&self, task: &str) -> Value {
        self.get(&format!("/api/v1/task/{task}/responses")).await.ok()
    }

    pub(crate) async fn cancel(&self, task: &str) -> Reply {
        Reply::to(self.post(&format!("/api/v1/tasks/{task}/cancel"))).await
    }
}
