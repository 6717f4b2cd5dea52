//! Every error that the description of the API names for an operation is made here, and none that it does not name.
use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use violet::server::Server;

use super::{
    failing::{break_the_database, exceed},
    refusals::{self, form, languages, signed},
};
use crate::{
    accounts::Person,
    harness::{Multipart, Neuron, Reply, User, World},
};

pub(super) const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";
const LIMIT: u64 = 100_000;
const SIGNED_LIMIT: usize = 8192;
/// Method, path, status, type.
type Named = (String, String, u16, String);

/// An operation as the description has it.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    description: Value,
}

fn operations() -> Vec<Operation> {
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                description: operation.clone(),
            });
        }
    }
    all
}

impl Operation {
    /// The errors that it names.
    pub(super) fn named(&self) -> Vec<Named> {
        let mut all = Vec::new();
        for (status, response) in self.description["responses"].as_object().unwrap() {
            let problem = &response["content"]["application/problem+json"];
            if problem.is_null() || status == "default" {
                continue;
            }
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
            let text = response["description"].as_str().unwrap();
            let kinds = text.split('`').filter(|part| part.starts_with("/problems/"));
            let before = all.len();
            all.extend(kinds.map(|kind| self.error(status.parse().unwrap(), kind)));
            assert!(all.len() > before, "{} {status} names no type", self.path);
        }
        all
    }

    pub(super) fn error(&self, status: u16, kind: &str) -> Named {
        (self.method.clone(), self.path.clone(), status, kind.to_owned())
    }

    pub(super) fn asks_for(&self, scheme: &str) -> bool {
        let all = self.description["security"].as_array();
        all.is_some_and(|all| all.iter().any(|one| one.get(scheme).is_some()))
    }

    /// Keys may do it, if they have a permission.
    fn asks_keys_for_a_permission(&self) -> bool {
        let all = self.description["security"].as_array().into_iter().flatten();
        all.flat_map(|one| one["api_key"].as_array())
            .any(|all| !all.is_empty())
    }

    pub(super) fn takes(&self, media: &str) -> bool {
        self.description["requestBody"]["content"].get(media).is_some()
    }

    fn parameters(&self, place: &str) -> Vec<&str> {
        let all = self.description["parameters"].as_array().into_iter().flatten();
        all.filter(|one| one["in"] == place)
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    /// A form with a file of this operation.
    pub(super) fn file_field(&self) -> Option<&'static str> {
        match self.path.as_str() {
            "/api/v1/transcription" => Some("audio_file"),
            "/api/v1/document-translation" => Some("document_file"),
            "/api/v1/video-transcription" => Some("video_file"),
            _ => None,
        }
    }

    fn is_form(&self) -> bool {
        self.takes("multipart/form-data")
    }

    /// Its path with ids that nothing has.
    pub(super) fn target(&self) -> String {
        let target = self
            .path
            .replace("{task_id}", UNKNOWN)
            .replace("{file_id}", UNKNOWN)
            .replace("{invitation_id}", UNKNOWN)
            .replace("{key_id}", UNKNOWN)
            .replace("{session_id}", UNKNOWN)
            .replace("{user_id}", UNKNOWN)
            .replace("{uid}", "0")
            .replace("{block}", "4000000000");
        assert!(!target.contains('{'), "{target} has an unknown parameter");
        if self.path == "/api/v1/miner/files" {
            return format!("{target}?task_id={UNKNOWN}");
        }
        target
    }
}

/// A server, everybody who may ask it something, and what was answered.
pub(super) struct Walk {
    pub(super) world: World,
    pub(super) user: User,
    /// Somebody whose key may do nothing.
    idle: User,
    pub(super) miner: Neuron,
    pub(super) validator: Neuron,
    /// Owns a team, which it acts for, and runs the platform.
    pub(super) person: Person,
    /// The token of a wallet.
    pub(super) wallet: String,
    seen: BTreeMap<Named, String>,
}

impl Walk {
    async fn start() -> Self {
        let world = World::with(|config| {
            let tasks = &mut config.tasks;
            (tasks.audio_bytes, tasks.video_bytes) = (LIMIT, LIMIT);
            (tasks.document_bytes, tasks.answer_file_bytes) = (LIMIT, LIMIT);
            config.tasks.answer_files = 1;
            config.identity.signed_body_bytes = SIGNED_LIMIT;
            config.keys.most = 1;
            config.mail.log_links = true;
        })
        .await;
        let miner = world.versatile(1).await.remove(0);
        let idle = world.user().await;
        world.sql("update api_keys set scopes = '{}'").await;
        Self {
            user: crate::keys::manager(&world).await,
            idle,
            person: refusals::operator(&world).await,
            wallet: refusals::wallet(&world).await,
            validator: world.validator(1).await,
            miner,
            seen: BTreeMap::new(),
            world,
        }
    }

    pub(super) fn see(&mut self, operation: &Operation, reply: &Reply) {
        let kind = reply.body["type"].as_str().unwrap_or_default().to_owned();
        let detail = reply.problem(reply.status, &kind).to_owned();
        for leak in ["deserialize", "Cannot parse", "`Uuid`", "rejection"] {
            assert!(!detail.contains(leak), "{operation:?}: {detail}");
        }
        self.seen.insert(operation.error(reply.status, &kind), detail);
    }

    /// A request of whoever may send it.
    pub(super) async fn send(
        &self,
        server: &Server,
        operation: &Operation,
        target: &str,
        body: Vec<u8>,
    ) -> Reply {
        if operation.asks_for("btauth") {
            let neuron = if operation.path.starts_with("/api/v1/validator") {
                self.validator.at(server)
            } else {
                self.miner.at(server)
            };
            return signed(&neuron, operation, target, body).await;
        }
        let kind = if operation.file_field().is_some() {
            Multipart::kind()
        } else {
            "application/json".into()
        };
        Reply::to(self.plain(server, operation, target, &kind).body(body)).await
    }

    /// A request of the user, still without a body.
    pub(super) fn plain(
        &self,
        server: &Server,
        operation: &Operation,
        target: &str,
        kind: &str,
    ) -> RequestBuilder {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let request = self
            .world
            .http
            .request(method, format!("{}{target}", server.url()));
        let request = if operation.asks_for("api_key") {
            request.header("X-API-Key", &self.user.key)
        } else if operation.asks_for("session") {
            request.bearer_auth(&self.person.access)
        } else if operation.asks_for("wallet") {
            request.bearer_auth(&self.wallet)
        } else {
            request
        };
        if kind.is_empty() {
            request
        } else {
            request.header("content-type", kind)
        }
    }

    pub(super) async fn see_answer(
        &mut self,
        operation: &Operation,
        target: &str,
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let reply = self
            .send(&self.world.server, operation, target, body.into())
            .await;
        self.see(operation, &reply);
        reply
    }

    /// Submits to an operation with a form.
    pub(super) async fn submit(&self, operation: &Operation, fields: &[(&str, &str)], key: &str) -> Reply {
        let request = self
            .plain(&self.world.server, operation, &operation.path, "")
            .header("Idempotency-Key", key);
        Reply::to(form(operation, fields).put(request)).await
    }
}

/// Nobody, somebody else, parameters and bodies that do not parse, and ids that nothing has.
async fn ask_wrongly(walk: &mut Walk, operation: &Operation) {
    let target = operation.target();
    let stranger = walk.world.stranger();
    let schemes = ["api_key", "btauth", "session", "wallet"];
    if schemes.iter().any(|scheme| operation.asks_for(scheme)) {
        let nobody = stranger
            .send(&operation.method, &target, b"{}".to_vec(), &[])
            .await;
        walk.see(operation, &nobody);
    }
    if operation.asks_for("btauth") {
        let body = if operation.method == "GET" { "" } else { "{}" };
        let reply = signed(&stranger, operation, &target, body.into()).await;
        walk.see(operation, &reply);
    }
    if operation.asks_keys_for_a_permission() {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let url = format!("{}{target}", walk.world.server.url());
        let request = walk.world.http.request(method, url);
        let reply = Reply::to(request.header("X-API-Key", &walk.idle.key)).await;
        walk.see(operation, &reply);
    }
    for name in operation.parameters("path") {
        for wrong in ["x", "%FF"] {
            let target = operation.path.replace(&format!("{{{name}}}"), wrong);
            let reply = walk.see_answer(operation, &target, "").await;
            assert_parameter(&reply, name);
        }
    }
    for name in operation.parameters("query") {
        let base = target.split('?').next().unwrap();
        // Texts are whatever they are; twice is too often for all.
        let free = ["api_key", "event", "exclude", "outcome", "signature", "status"].contains(&name);
        for query in [format!("{name}=x"), format!("{name}=1&{name}=1")] {
            if (free && query.ends_with('x')) || operation.takes("audio/wav") {
                continue;
            }
            let reply = walk.see_answer(operation, &format!("{base}?{query}"), "").await;
            assert_parameter(&reply, name);
        }
    }
    if operation.takes("application/json") {
        walk.see_answer(operation, &target, "{").await;
    } else if operation.is_form() {
        walk.see_answer(operation, &target, "--").await;
    }
    let found = ["_id}", "{block}"].iter().any(|id| operation.path.contains(id));
    if found && operation.method != "PATCH" {
        walk.see_answer(operation, &target, "").await;
    }
}

#[track_caller]
pub(super) fn assert_parameter(reply: &Reply, name: &str) {
    let detail = reply.problem(400, "/problems/malformed-request");
    assert!(detail.starts_with(&format!("{name}: must be ")), "{detail}");
    assert_eq!(reply.body["field"], name, "{detail}");
}

/// Bodies that are too large, of another kind, or say what cannot be.
async fn send_wrongly(walk: &mut Walk, operation: &Operation) {
    let target = operation.target();
    if operation.is_form() {
        let large = match operation.file_field() {
            Some(field) => Multipart::new().file(field, "a", &vec![b'a'; 300_000]),
            None => Multipart::new().field("text", "x".repeat(10_001)),
        };
        let languages_of = |target| languages(operation, target);
        let large = languages_of("es")
            .iter()
            .fold(large, |form, (name, value)| form.field(name, value));
        let request = walk.plain(&walk.world.server, operation, &target, "");
        let replies = [
            Reply::to(large.put(request)).await,
            Reply::to(
                walk.plain(&walk.world.server, operation, &target, "text/plain")
                    .body("x"),
            )
            .await,
            walk.submit(operation, &[("source_language", "?")], "one").await,
            walk.submit(operation, &languages_of("fr"), "two").await,
        ];
        for reply in &replies {
            walk.see(operation, reply);
        }
        let mut fields = languages_of("es");
        walk.submit(operation, &fields, &operation.path).await.ok();
        fields.push(("priority", "low"));
        let reused = walk.submit(operation, &fields, &operation.path).await;
        walk.see(operation, &reused);
    } else if operation.takes("application/json") {
        let large = json!({ "x": "x".repeat(SIGNED_LIMIT) }).to_string();
        walk.see_answer(operation, &target, large).await;
        walk.see_answer(operation, &target, "{}").await;
        if !operation.asks_for("btauth") {
            let request = walk.plain(&walk.world.server, operation, &target, "text/plain");
            let reply = Reply::to(request.body("{}")).await;
            walk.see(operation, &reply);
        }
    }
}

#[tokio::test]
async fn each_error_that_an_operation_names_is_answered_and_no_other() {
    let operations = operations();
    let named: BTreeSet<Named> = operations.iter().flat_map(Operation::named).collect();
    assert!(named.len() > 150, "{named:#?}");
    let mut walk = Walk::start().await;
    for operation in &operations {
        ask_wrongly(&mut walk, operation).await;
        send_wrongly(&mut walk, operation).await;
        refusals::refuse(&mut walk, operation).await;
    }
    exceed(&mut walk, &operations).await;
    refusals::refuse_unverified(&mut walk, &operations).await;
    break_the_database(&mut walk, &operations).await;
    let seen: BTreeSet<Named> = walk.seen.keys().cloned().collect();
    let never: Vec<_> = named.difference(&seen).collect();
    assert!(never.is_empty(), "named, but not answered: {never:#?}");
    let unnamed: Vec<_> = walk
        .seen
        .iter()
        .filter(|(error, _)| !named.contains(*error))
        .collect();
    assert!(unnamed.is_empty(), "answered, but not named: {unnamed:#?}");
    walk.world.end().await;
}
