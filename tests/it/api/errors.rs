//! Every error that the description of the API names for an operation is made here, and none that it does not name.
use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use violet::server::Server;

use super::failing::{break_the_database, exceed};
use crate::harness::{Multipart, Neuron, Reply, TEXT, User, World, samples};

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";
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

    fn takes(&self, media: &str) -> bool {
        self.description["requestBody"]["content"].get(media).is_some()
    }

    fn parameters(&self, place: &str) -> Vec<&str> {
        let all = self.description["parameters"].as_array().into_iter().flatten();
        all.filter(|one| one["in"] == place)
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    /// A form with a file of this operation.
    fn file_field(&self) -> Option<&'static str> {
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
            .replace("{key_id}", UNKNOWN)
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
    miner: Neuron,
    validator: Neuron,
    pub(super) seen: BTreeMap<Named, String>,
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
        })
        .await;
        let miner = world.versatile(1).await.remove(0);
        let idle = world.user().await;
        world.sql("update api_keys set scopes = '{}'").await;
        Self {
            user: crate::keys::manager(&world).await,
            idle,
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
    fn plain(&self, server: &Server, operation: &Operation, target: &str, kind: &str) -> RequestBuilder {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let request = self
            .world
            .http
            .request(method, format!("{}{target}", server.url()));
        let request = if operation.asks_for("api_key") {
            request.header("X-API-Key", &self.user.key)
        } else {
            request
        };
        if kind.is_empty() {
            request
        } else {
            request.header("content-type", kind)
        }
    }

    async fn see_answer(&mut self, operation: &Operation, target: &str, body: impl Into<Vec<u8>>) -> Reply {
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

async fn signed(neuron: &Neuron, operation: &Operation, target: &str, body: Vec<u8>) -> Reply {
    let headers = neuron.signed(&operation.method, target, &body);
    if operation.takes("audio/wav") {
        let task = target.split("task_id=").nth(1).unwrap_or_default();
        return neuron.upload(task, &body).await;
    }
    neuron.send(&operation.method, target, body, &headers).await
}

fn form(operation: &Operation, fields: &[(&str, &str)]) -> Multipart {
    let form = match operation.file_field() {
        Some(field) => {
            let file = match field {
                "audio_file" => samples::wav(1000),
                "video_file" => samples::mp4(),
                _ => TEXT.into(),
            };
            Multipart::new().file(field, "a", &file)
        }
        None => Multipart::new().field("text", TEXT),
    };
    fields
        .iter()
        .fold(form, |form, (name, value)| form.field(name, value))
}

pub(super) fn languages(operation: &Operation, target: &'static str) -> Vec<(&'static str, &'static str)> {
    if operation.path.ends_with("-translation") {
        vec![("source_language", "en"), ("target_language", target)]
    } else if target == "es" {
        vec![("source_language", "en")]
    } else {
        vec![("source_language", target)]
    }
}

/// Nobody, somebody else, parameters and bodies that do not parse, and ids that nothing has.
async fn ask_wrongly(walk: &mut Walk, operation: &Operation) {
    let target = operation.target();
    let stranger = walk.world.stranger();
    if operation.asks_for("api_key") || operation.asks_for("btauth") {
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
    if operation.asks_for("api_key") && !operation.path.ends_with("/verify-api-key") {
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
        let free = ["api_key", "exclude", "signature", "status"].contains(&name);
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
    if ["_id}", "{block}"].iter().any(|id| operation.path.contains(id)) {
        walk.see_answer(operation, &target, "").await;
    }
}

#[track_caller]
fn assert_parameter(reply: &Reply, name: &str) {
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

/// What each of these refuses in its own way.
async fn refuse_in_particular(walk: &mut Walk, operation: &Operation) {
    let target = operation.target();
    match operation.path.as_str() {
        "/api/v1/auth/register" => {
            let new = |password: &str| json!({ "email": "a@example.org", "password": password }).to_string();
            walk.see_answer(operation, &target, new("short")).await;
            walk.send(&walk.world.server, operation, &target, new("long enough").into())
                .await
                .ok();
            walk.see_answer(operation, &target, new("long enough")).await;
        }
        "/api/v1/auth/api-keys" if operation.method == "POST" => {
            for name in ["", "a name"] {
                let new = json!({ "name": name }).to_string();
                walk.see_answer(operation, &target, new).await;
            }
        }
        "/api/v1/auth/api-keys/{key_id}/rotate" => {
            let made =
                "insert into api_keys (api_key_id, organization_id, user_id, prefix, hash, name, revoked_at)
                select '0192f0c1-2a3b-7c4d-8e5f-000000000009', organization_id, user_id, '', '', '', now()
                from api_keys where 'keys:manage' = any(scopes)";
            walk.world.sql(made).await;
            let target = target.replace("000000000001", "000000000009");
            walk.see_answer(operation, &target, "").await;
        }
        "/api/v1/auth/generate-api-key" => {
            let emails =
                "select email from users join api_keys using (user_id) where 'keys:manage' = any(scopes)";
            let own: String = sqlx::query_scalar(emails)
                .fetch_one(&walk.world.db)
                .await
                .unwrap();
            for email in ["x", &own] {
                let asked = json!({ "email": email }).to_string();
                walk.see_answer(operation, &target, asked).await;
            }
        }
        "/api/v1/tasks/{task_id}/cancel" => {
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            walk.user.cancel(&task).await.ok();
            let again = walk.user.cancel(&task).await;
            walk.see(operation, &again);
        }
        "/api/v1/miner/heartbeat" => {
            let mut body = Neuron::heartbeat_body();
            body["version"] = "x".repeat(300).into();
            walk.see_answer(operation, &target, body.to_string()).await;
        }
        "/api/v1/miners/{uid}/tasks" => {
            walk.see_answer(operation, &format!("{target}?status=done"), "")
                .await;
        }
        "/api/v1/miner/answers" => {
            let unknown = walk.miner.answer_body(UNKNOWN, "Casa");
            walk.see_answer(operation, &target, unknown.to_string()).await;
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            let mut wrong = walk.miner.answer_body(&task, "Casa");
            wrong["digest"] = "00".repeat(32).into();
            walk.see_answer(operation, &target, wrong.to_string()).await;
        }
        "/api/v1/validator/evaluations" => {
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            walk.miner.answer(&task, "Casa").await;
            walk.validator.offered(&task).await;
            let empty = walk.validator.evaluation_body(&task, &[]);
            walk.see_answer(operation, &target, empty.to_string()).await;
        }
        "/api/v1/miner/files" => {
            let spoken = Reply::to(walk.user.post("/api/v1/tts").json(&json!({
                "text": TEXT, "required_miner_count": 1
            })))
            .await
            .ok();
            let task = spoken["task_id"].as_str().unwrap().to_owned();
            let [file, long] = [1000, 100_000].map(samples::wav);
            for file in [vec![], samples::mp3(), long] {
                let reply = walk.miner.upload(&task, &file).await;
                walk.see(operation, &reply);
            }
            walk.miner.upload(&task, &file).await.ok();
            let second = walk.miner.upload(&task, &file).await;
            walk.see(operation, &second);
            let reply = walk.miner.upload("x", b"").await;
            assert_parameter(&reply, "task_id");
            walk.see(operation, &reply);
            let reply = walk
                .miner
                .upload(&format!("{UNKNOWN}&task_id={UNKNOWN}"), b"")
                .await;
            assert_parameter(&reply, "task_id");
        }
        _ => {}
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
        refuse_in_particular(&mut walk, operation).await;
    }
    exceed(&mut walk, &operations).await;
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
