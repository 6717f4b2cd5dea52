//! Every error that the description of the API names for an operation is made here, and none that it does not name.
use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use violet::{issuers::Issuers, server::Server};

use super::{
    failing::{break_the_database, exceed},
    operation::{Named, Operation, operations},
    refusals::{self, form, languages, signed},
};
use crate::{
    accounts::Person,
    harness::{Issuer, Multipart, Neuron, Reply, SigningKey, User, World},
};

const LIMIT: u64 = 100_000;
const SIGNED_LIMIT: usize = 8192;

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
    /// Its tokens are taken.
    pub(super) issuer: (Issuer, SigningKey),
    seen: BTreeMap<Named, String>,
}

impl Walk {
    async fn start() -> Self {
        let key = SigningKey::ec("a");
        let issuer = Issuer::open(&[&key]).await;
        let world = World::with(|config| {
            config.identity.oidc = Issuers(vec![issuer.settings("tests")]);
            let tasks = &mut config.tasks;
            (tasks.audio_bytes, tasks.video_bytes) = (LIMIT, LIMIT);
            (tasks.document_bytes, tasks.answer_file_bytes) = (LIMIT, LIMIT);
            config.tasks.answer_files = 1;
            config.identity.signed_body_bytes = SIGNED_LIMIT;
            config.storage.voice_bytes = LIMIT;
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
            issuer: (issuer, key),
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
        if operation.asks_for("btauth") && !operation.asks_for("api_key") {
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
        let body = operation.body_of_nobody();
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
        // Names are whatever they are.
        let wrong = if name == "voice_name" {
            &["%FF"][..]
        } else {
            &["x", "%FF"]
        };
        for wrong in wrong {
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
        if !operation.parameters("header").contains(&"Idempotency-Key") {
            return;
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
