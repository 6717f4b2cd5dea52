//! A miner or validator as anybody would write one from the description of the API: signs its requests, and makes the
//! bytes of answers and evaluations itself.
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blake2::{Blake2b, digest::consts::U32};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use violet::server::Server;
use violet_chain::{
    CryptoType, Hotkey, Keypair,
    btauth::{self, RequestLine},
};

use super::{Reply, World, eventually};

pub(crate) const MODEL: &str = "test/en-es";
const ENGINE: &str = "test";
const NETUID: u16 = 1;

static LAST_NONCE: AtomicU64 = AtomicU64::new(0);

/// The key with this number: plain seeds, since deriving from a phrase takes long without optimisation.
pub(crate) fn keypair(number: u8) -> Keypair {
    let seed = format!("0x{}", hex::encode([number; 32]));
    Keypair::from_uri(&seed, CryptoType::Sr25519).expect("32 bytes are a seed")
}

/// Now in nanoseconds, and never the same twice.
pub(crate) fn nonce() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970")
        .as_nanos();
    let now = u64::try_from(now).expect("it is earlier than 2554");
    let last = LAST_NONCE.fetch_max(now, Ordering::Relaxed);
    if last < now {
        now
    } else {
        LAST_NONCE.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The headers that sign a request for `receiver`.
pub(crate) fn sign(
    keypair: &Keypair,
    receiver: &Hotkey,
    method: &str,
    target: &str,
    body: &[u8],
    nonce: u64,
) -> Vec<(&'static str, String)> {
    let body_sha256 = Sha256::digest(body).into();
    btauth::sign(
        keypair,
        &RequestLine {
            method,
            target,
            body_sha256,
        },
        receiver,
        nonce,
    )
}

pub(crate) fn signature_text(signature: &[u8; 64]) -> String {
    format!("0x{}", hex::encode(signature))
}

fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    <Blake2b<U32> as blake2::Digest>::digest(bytes).into()
}

fn task_bytes(task: &str) -> Vec<u8> {
    hex::decode(task.replace('-', "")).expect("a UUID is hex and dashes")
}

pub(crate) struct Neuron {
    pub(crate) keypair: Keypair,
    pub(crate) uid: u16,
    pub(crate) receiver: Hotkey,
    http: Client,
    url: String,
}

impl Neuron {
    pub(crate) fn new(world: &World, number: u8, uid: u16) -> Self {
        Self {
            keypair: keypair(number),
            uid,
            receiver: world.server.app.hotkey,
            http: world.http.clone(),
            url: world.server.url(),
        }
    }

    /// The same neuron at another replica.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self {
            keypair: self.keypair.clone(),
            uid: self.uid,
            receiver: self.receiver,
            http: self.http.clone(),
            url: server.url(),
        }
    }

    pub(crate) fn hotkey(&self) -> Hotkey {
        self.keypair.hotkey()
    }

    /// Sends a request with exactly these headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        body: Vec<u8>,
        headers: &[(&'static str, String)],
    ) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .http
            .request(method, format!("{}{target}", self.url))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        Reply::to(request).await
    }

    pub(crate) fn signed(&self, method: &str, target: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        sign(&self.keypair, &self.receiver, method, target, body, nonce())
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        let headers = self.signed("GET", target, b"");
        self.send("GET", target, Vec::new(), &headers).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Reply {
        let body = body.to_string().into_bytes();
        let headers = self.signed("POST", target, &body);
        self.send("POST", target, body, &headers).await
    }

    pub(crate) fn heartbeat_body() -> Value {
        Self::heartbeat_of(4, &[("en", "es")])
    }

    pub(crate) fn heartbeat_of(capacity: u16, pairs: &[(&str, &str)]) -> Value {
        json!({ "capacity": capacity, "load": 0, "version": "test/1", "engines": [{
            "engine": ENGINE, "model_id": MODEL, "task_type": "text_translation", "languages": [], "pairs": pairs,
            "max_input_bytes": 16384,
        }] })
    }

    /// A heartbeat that offers every type of task: those with one language in English, translations to Spanish.
    pub(crate) fn heartbeat_of_all() -> Value {
        let engines: Vec<Value> = [
            "transcription",
            "tts",
            "summarization",
            "text_translation",
            "document_translation",
            "video_transcription",
        ]
        .into_iter()
        .map(|task_type| {
            json!({
                "engine": ENGINE, "model_id": MODEL, "task_type": task_type, "languages": ["en"],
                "pairs": [["en", "es"]], "max_input_bytes": 1 << 30,
            })
        })
        .collect();
        json!({ "capacity": 32, "load": 0, "version": "test/1", "engines": engines })
    }

    /// Uploads a file of an answer, signed over and declared as `declared`.
    pub(crate) async fn upload_as(&self, task: &str, file: &[u8], declared: &[u8]) -> Reply {
        let target = format!("/api/v1/miner/files?task_id={task}");
        let mut headers = self.signed("POST", &target, declared);
        let digest = STANDARD.encode(Sha256::digest(declared));
        headers.push(("content-digest", format!("sha-256=:{digest}:")));
        headers.push(("content-type", "audio/wav".into()));
        self.send("POST", &target, file.to_vec(), &headers).await
    }

    /// Uploads a file of an answer.
    pub(crate) async fn upload(&self, task: &str, file: &[u8]) -> Reply {
        self.upload_as(task, file, file).await
    }

    /// The output of a speech task whose file was uploaded.
    pub(crate) fn spoken(uploaded: &Value) -> Value {
        json!({ "file_id": uploaded["file_id"], "media_type": "audio/wav", "sha256": uploaded["sha256"] })
    }

    /// Says that this miner is there.
    pub(crate) async fn heartbeat(&self) -> Value {
        self.post("/api/v1/miner/heartbeat", &Self::heartbeat_body())
            .await
            .ok()
    }

    /// The ids of the open assignments.
    pub(crate) async fn mail(&self, wait: u64) -> Vec<Value> {
        let target = format!("/api/v1/miners/{}/tasks?status=assigned&wait={wait}", self.uid);
        self.get(&target)
            .await
            .ok()
            .as_array()
            .expect("a bare array")
            .clone()
    }

    /// Waits for the assignment to this task.
    pub(crate) async fn receive(&self, task: &str) -> Value {
        eventually("the miner gets its assignment", || async {
            self.mail(2)
                .await
                .into_iter()
                .find(|mail| mail["task_id"] == task)
        })
        .await
    }

    /// Whether this miner has the task open.
    pub(crate) async fn has(&self, task: &str) -> bool {
        self.mail(0).await.iter().any(|mail| mail["task_id"] == task)
    }

    /// A right answer with any output, by any engine.
    pub(crate) fn answer_by(&self, task: &str, engine: &str, model: &str, output: &Value) -> Value {
        // RFC 8785: members in order, no white space; texts and small numbers are written like everywhere.
        let (engine_json, model_json) = (Value::from(engine), Value::from(model));
        let canonical = format!(r#"{{"engine":{engine_json},"model_id":{model_json},"output":{output}}}"#);
        let digest = blake2b_256(canonical.as_bytes());
        let message = [
            &b"violet/answer/1"[..],
            &NETUID.to_le_bytes(),
            &task_bytes(task),
            &digest,
        ]
        .concat();
        json!({
            "task_id": task, "output": output, "model_id": model, "engine": engine, "processing_time": 0.25,
            "digest": hex::encode(digest), "signature": signature_text(&self.keypair.sign(&message)),
        })
    }

    pub(crate) fn answer_of(&self, task: &str, output: &Value) -> Value {
        self.answer_by(task, ENGINE, MODEL, output)
    }

    pub(crate) fn answer_body(&self, task: &str, text: &str) -> Value {
        self.answer_of(task, &json!({ "translated_text": text }))
    }

    pub(crate) async fn post_answer(&self, body: &Value) -> Reply {
        self.post("/api/v1/miner/answers", body).await
    }

    /// Answers and gives the receipt.
    pub(crate) async fn answer(&self, task: &str, text: &str) -> Value {
        self.post_answer(&self.answer_body(task, text)).await.ok()
    }

    pub(crate) async fn refuse(&self, task: &str) -> Value {
        let refusal = json!({ "task_id": task, "reason": "no engine here" });
        self.post("/api/v1/miner/refusals", &refusal).await.ok()
    }

    pub(crate) async fn judgeable(&self, wait: u64) -> Vec<Value> {
        let page = self
            .get(&format!("/api/v1/validator/tasks?wait={wait}"))
            .await
            .ok();
        assert_eq!(page["success"], true);
        let tasks = page["tasks"].as_array().expect("a list of tasks").clone();
        assert_eq!(page["count"], tasks.len());
        tasks
    }

    /// Waits until this validator is offered the task.
    pub(crate) async fn offered(&self, task: &str) -> Value {
        eventually("the validator is offered the task", || async {
            self.judgeable(2)
                .await
                .into_iter()
                .find(|offered| offered["task_id"] == task)
        })
        .await
    }

    pub(crate) fn evaluation_body(&self, task: &str, scores: &[(Hotkey, Option<u16>)]) -> Value {
        let mut ordered = scores.to_vec();
        ordered.sort_by_key(|(hotkey, _)| hotkey.0);
        // SCALE of Vec<([u8; 32], Option<u16>)>: a compact length, then key, tag and little-endian score.
        let mut scale = vec![u8::try_from(ordered.len() << 2).expect("fewer than 64 answers")];
        for (hotkey, score) in &ordered {
            scale.extend(hotkey.0);
            match score {
                None => scale.push(0),
                Some(score) => {
                    scale.push(1);
                    scale.extend(score.to_le_bytes());
                }
            }
        }
        let digest = blake2b_256(&scale);
        let message = [
            &b"violet/evaluation/1"[..],
            &NETUID.to_le_bytes(),
            &task_bytes(task),
            &digest,
        ]
        .concat();
        let scores: Vec<Value> = scores
            .iter()
            .map(|(hotkey, score)| json!({ "hotkey": hotkey, "score": score }))
            .collect();
        json!({ "task_id": task, "scores": scores, "signature": signature_text(&self.keypair.sign(&message)) })
    }

    pub(crate) async fn evaluate(&self, task: &str, scores: &[(Hotkey, Option<u16>)]) -> Value {
        self.post_evaluation(&self.evaluation_body(task, scores))
            .await
            .ok()
    }

    pub(crate) async fn post_evaluation(&self, body: &Value) -> Reply {
        self.post("/api/v1/validator/evaluations", body).await
    }

    /// Waits for the task and judges each answer by its text.
    pub(crate) async fn judge(&self, task: &str, score: impl Fn(&str) -> Option<u16>) -> Value {
        let offered = self.offered(task).await;
        let scores: Vec<(Hotkey, Option<u16>)> = offered["answers"]
            .as_array()
            .expect("a list of answers")
            .iter()
            .map(|answer| {
                let hotkey = answer["hotkey"]
                    .as_str()
                    .expect("a hotkey")
                    .parse()
                    .expect("an address");
                let text = answer["output"]["translated_text"]
                    .as_str()
                    .expect("a translation");
                (hotkey, score(text))
            })
            .collect();
        self.evaluate(task, &scores).await
    }
}
