//! Neurons that sign in another convention than `btauth/1`, written here from the conventions' own descriptions; and
//! what is remembered of neurons and of their requests.
use std::collections::HashMap;

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use violet::server::Server;
use violet_chain::{Keypair, auth::Scheme};

use crate::harness::{GOOD, Neuron, Reply, World, nonce, samples, sign, translation};

const HEARTBEAT: &str = "/api/v1/miner/heartbeat";
const JUDGE: &str = "/api/v1/validator/tasks?wait=0";
const SECOND: u64 = 1_000_000_000;
const OTHERS: [Scheme; 4] = [Scheme::Epistula2, Scheme::Chutes, Scheme::Fiber, Scheme::Synapse];

type Headers = Vec<(&'static str, String)>;

/// Who asks, and how.
struct Signer<'a> {
    neuron: &'a Neuron,
    scheme: Scheme,
    /// The group of operations.
    purpose: &'static str,
}

impl Signer<'_> {
    fn sign_text(&self, message: &str) -> String {
        let signature = hex::encode(self.neuron.keypair.sign(message.as_bytes()));
        if self.scheme == Scheme::Chutes {
            signature
        } else {
            format!("0x{signature}")
        }
    }

    /// The headers of a request that was signed at `at`, in nanoseconds, and never before.
    fn headers(&self, method: &str, target: &str, body: &[u8], at: u64) -> Headers {
        let (from, to) = (self.neuron.hotkey(), self.neuron.receiver);
        let sha256 = hex::encode(Sha256::digest(body));
        let uuid = uuid();
        match self.scheme {
            Scheme::Btauth1 => sign(&self.neuron.keypair, &to, method, target, body, at),
            Scheme::Epistula2 => {
                let millis = at / 1_000_000;
                vec![
                    ("Epistula-Version", "2".into()),
                    ("Epistula-Timestamp", millis.to_string()),
                    (
                        "Epistula-Request-Signature",
                        self.sign_text(&format!("{sha256}.{uuid}.{millis}.{to}")),
                    ),
                    ("Epistula-Uuid", uuid),
                    ("Epistula-Signed-By", from.to_string()),
                    ("Epistula-Signed-For", to.to_string()),
                ]
            }
            Scheme::Chutes => {
                let seconds = at / SECOND;
                let what = if body.is_empty() { self.purpose } else { &sha256 };
                vec![
                    ("X-Chutes-Hotkey", from.to_string()),
                    ("X-Chutes-Nonce", seconds.to_string()),
                    (
                        "X-Chutes-Signature",
                        self.sign_text(&format!("{from}:{seconds}:{what}")),
                    ),
                ]
            }
            Scheme::Fiber => {
                let nonce = format!("{at}_{}", &uuid[..8].replace('-', "x").to_uppercase()) + "0z";
                vec![
                    ("validator-hotkey", from.to_string()),
                    ("miner-hotkey", to.to_string()),
                    ("signature", self.sign_text(&format!("{nonce}:{to}:{sha256}"))),
                    ("nonce", nonce),
                ]
            }
            Scheme::Synapse => {
                let fields = if body.is_empty() {
                    String::new()
                } else {
                    sha3_256(body)
                };
                let hash = sha3_256(fields.as_bytes());
                vec![
                    ("name", "Heartbeat".into()),
                    ("timeout", "90000".into()),
                    ("bt_header_dendrite_version", "7001000".into()),
                    ("bt_header_dendrite_hotkey", from.to_string()),
                    ("bt_header_axon_hotkey", to.to_string()),
                    ("bt_header_dendrite_nonce", at.to_string()),
                    (
                        "bt_header_dendrite_signature",
                        self.sign_text(&format!("{at}.{from}.{to}.{uuid}.{hash}")),
                    ),
                    ("bt_header_dendrite_uuid", uuid),
                    ("computed_body_hash", hash),
                ]
            }
        }
    }

    async fn send(&self, method: &str, target: &str, body: &[u8], at: u64) -> Reply {
        let headers = self.headers(method, target, body, at);
        self.neuron.send(method, target, body.to_vec(), &headers).await
    }
}

fn sha3_256(bytes: &[u8]) -> String {
    hex::encode(<sha3::Sha3_256 as sha3::Digest>::digest(bytes))
}

fn uuid() -> String {
    let digits = hex::encode(rand::random::<[u8; 16]>());
    let (a, rest) = digits.split_at(8);
    format!(
        "{a}-{}-{}-{}-{}",
        &rest[..4],
        &rest[4..8],
        &rest[8..12],
        &rest[12..]
    )
}

fn miner(neuron: &Neuron, scheme: Scheme) -> Signer<'_> {
    Signer {
        neuron,
        scheme,
        purpose: "miner",
    }
}

fn body() -> Vec<u8> {
    Neuron::heartbeat_body().to_string().into_bytes()
}

/// Where all schemes are on, with windows other than that of `btauth/1`.
async fn open_world() -> World {
    let world = World::with(|config| {
        config.identity.schemes.miner = Scheme::ALL.to_vec();
        config.identity.schemes.validator = Scheme::ALL.to_vec();
        let windows = &mut config.identity.windows;
        for window in [
            &mut windows.epistula,
            &mut windows.chutes,
            &mut windows.fiber,
            &mut windows.synapse,
        ] {
            (window.age_seconds, window.ahead_seconds) = (1800, 600);
        }
    })
    .await;
    // The memory of requests begins with the server; what is dated back is from before.
    world.sql("update auth_nonce_epoch set began = 0").await;
    world
}

#[track_caller]
fn assert_refused(reply: &Reply, word: &str) {
    let detail = reply.problem(401, "/problems/unauthenticated");
    assert!(detail.contains(word), "{detail}");
}

#[tokio::test]
async fn a_neuron_works_with_any_scheme_that_is_on_and_each_request_counts_once() {
    let world = open_world().await;
    let user = world.user().await;
    let judge = world.validator(1).await;
    let neuron = world.silent_miner(1);
    let mail = format!("/api/v1/miners/{}/tasks?status=assigned&wait=0", neuron.uid);
    for scheme in Scheme::ALL {
        let miner = miner(&neuron, scheme);
        let headers = miner.headers("POST", HEARTBEAT, &body(), nonce());
        let send = |body: Vec<u8>| neuron.send("POST", HEARTBEAT, body, &headers);
        let word = if scheme == Scheme::Synapse {
            "does not cover the body"
        } else {
            "does not fit"
        };
        assert_refused(&send([&body()[..], b" "].concat()).await, word);
        assert_refused(&send(Vec::new()).await, word);
        // What was refused for its body has not spent anything.
        send(body()).await.ok();
        assert_refused(&send(body()).await, "seen before");
        world.on_roster(&world.server, &neuron).await;

        let task = user.submit(&translation(1)).await;
        let found = miner.send("GET", &mail, b"", nonce()).await.ok();
        assert_eq!(found[0]["task_id"], task.as_str(), "{scheme}");
        let answer = neuron.answer_body(&task, "Casa").to_string().into_bytes();
        let receipt = miner
            .send("POST", "/api/v1/miner/answers", &answer, nonce())
            .await;
        assert_eq!(receipt.ok()["used"], true, "{scheme}");

        let validator = Signer {
            neuron: &judge,
            scheme,
            purpose: "validator",
        };
        judge.offered(&task).await;
        let offered = validator.send("GET", JUDGE, b"", nonce()).await.ok();
        assert_eq!(offered["tasks"][0]["task_id"], task.as_str(), "{scheme}");
        let scores = judge.evaluation_body(&task, &[(neuron.hotkey(), Some(GOOD))]);
        let scores = scores.to_string().into_bytes();
        let receipt = validator
            .send("POST", "/api/v1/validator/evaluations", &scores, nonce())
            .await;
        assert_eq!(receipt.ok()["accepted"], true, "{scheme}");
        assert_eq!(user.ended(&task).await["status"], "approved", "{scheme}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_scheme_that_is_off_is_refused_by_its_name_and_that_of_its_setting() {
    let world = World::with(|config| {
        config.identity.schemes.miner.push(Scheme::Fiber);
    })
    .await;
    let (neuron, judge) = (world.silent_miner(1), world.validator(1).await);
    for scheme in OTHERS {
        let reply = miner(&neuron, scheme)
            .send("POST", HEARTBEAT, &body(), nonce())
            .await;
        if scheme == Scheme::Fiber {
            reply.ok();
        } else {
            let text = format!("{scheme} is switched off here");
            assert_refused(&reply, &text);
            assert_refused(&reply, "identity.schemes.miner has btauth/1, fiber");
        }
        let validator = Signer {
            neuron: &judge,
            scheme,
            purpose: "validator",
        };
        let reply = validator.send("GET", JUDGE, b"", nonce()).await;
        assert_refused(&reply, "identity.schemes.validator has btauth/1");
    }
    // Two at once are none, even if both are on.
    let mut both = miner(&neuron, Scheme::Fiber).headers("POST", HEARTBEAT, &body(), nonce());
    both.extend(neuron.signed("POST", HEARTBEAT, &body()));
    let reply = neuron.send("POST", HEARTBEAT, body(), &both).await;
    assert_refused(&reply, "headers of btauth/1 and of fiber");
    world.end().await;
}

#[tokio::test]
async fn each_scheme_has_a_window_of_its_own_on_both_sides() {
    let world = open_world().await;
    let neuron = world.silent_miner(1);
    for scheme in OTHERS {
        let miner = miner(&neuron, scheme);
        let at = async |at: u64| miner.send("POST", HEARTBEAT, &body(), at).await;
        at(nonce() - 1200 * SECOND).await.ok();
        at(nonce() + 500 * SECOND).await.ok();
        assert_refused(&at(nonce() - 1802 * SECOND).await, "too old");
        assert_refused(&at(nonce() + 1200 * SECOND).await, "future");
    }
    let btauth = miner(&neuron, Scheme::Btauth1);
    let reply = btauth
        .send("POST", HEARTBEAT, &body(), nonce() - 1200 * SECOND)
        .await;
    assert_refused(&reply, "too old");
    world.end().await;
}

#[tokio::test]
async fn a_request_that_is_for_another_or_from_another_is_refused() {
    let world = open_world().await;
    let neuron = world.silent_miner(1);
    let mut elsewhere = world.silent_miner(1);
    elsewhere.receiver = world.stranger().hotkey();
    let stranger = world.stranger();
    for scheme in OTHERS {
        // The form of Chutes that users send names no receiver.
        if scheme != Scheme::Chutes {
            let reply = miner(&elsewhere, scheme)
                .send("POST", HEARTBEAT, &body(), nonce())
                .await;
            assert_refused(&reply, "is not this server's hotkey");
        }
        let reply = miner(&stranger, scheme)
            .send("POST", HEARTBEAT, &body(), nonce())
            .await;
        let detail = reply.problem(403, "/problems/forbidden");
        assert!(detail.contains("not registered"), "{detail}");
        let mut headers = miner(&stranger, scheme).headers("POST", HEARTBEAT, &body(), nonce());
        let own = stranger.hotkey().to_string();
        for (_, value) in headers.iter_mut().filter(|(_, value)| *value == own) {
            *value = neuron.hotkey().to_string();
        }
        let reply = neuron.send("POST", HEARTBEAT, body(), &headers).await;
        assert_refused(&reply, "does not fit");
    }
    // A purpose is a group's: what reads a miner's mail does not read a validator's.
    let judge = world.validator(1).await;
    let reply = miner(&judge, Scheme::Chutes)
        .send("GET", JUDGE, b"", nonce())
        .await;
    assert_refused(&reply, "does not fit");
    world.end().await;
}

#[tokio::test]
async fn a_file_needs_a_scheme_that_signs_its_declared_digest() {
    let world = open_world().await;
    let neuron = world.versatile(1).await.remove(0);
    let user = world.user().await;
    let task = Reply::to(user.post("/api/v1/tts").json(&serde_json::json!({
        "text": "The house is big.", "required_miner_count": 1
    })))
    .await
    .ok();
    let task = task["task_id"].as_str().unwrap();
    neuron.receive(task).await;
    let (file, target) = (samples::wav(500), format!("/api/v1/miner/files?task_id={task}"));
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(&file));
    for scheme in OTHERS {
        let mut headers = miner(&neuron, scheme).headers("POST", &target, &file, nonce());
        headers.push(("content-digest", format!("sha-256=:{digest}:")));
        headers.push(("content-type", "audio/wav".into()));
        let reply = neuron.send("POST", &target, file.clone(), &headers).await;
        if scheme == Scheme::Synapse {
            assert_refused(&reply, "does not cover the body");
        } else {
            reply.ok();
        }
    }
    world.end().await;
}

#[tokio::test]
async fn of_one_request_at_two_replicas_at_once_one_counts() {
    let world = open_world().await;
    let other = world.replica().await;
    let neuron = world.silent_miner(1);
    for scheme in Scheme::ALL {
        let here = Signer {
            neuron: &neuron,
            scheme,
            purpose: "miner",
        };
        for _ in 0..5 {
            let headers = here.headers("POST", HEARTBEAT, &body(), nonce());
            let send = async |server: &Server| {
                let there = neuron.at(server);
                there.send("POST", HEARTBEAT, body(), &headers).await.status
            };
            let servers = [&world.server, &other, &world.server, &other];
            let statuses = join_all(servers.map(send)).await;
            let mut count = HashMap::new();
            statuses
                .into_iter()
                .for_each(|status| *count.entry(status).or_insert(0) += 1);
            assert_eq!(count, HashMap::from([(200, 1), (401, 3)]), "{scheme}");
        }
    }
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn only_who_is_registered_is_remembered_and_who_left_is_refused_at_once() {
    let world = World::start().await;
    let ring = &world.server.app.ring;
    let (neuron, judge) = (world.silent_miner(1), world.validator(1).await);
    assert!(!ring.has(neuron.hotkey()));
    neuron.heartbeat().await;
    assert!(ring.has(neuron.hotkey()) && ring.has(judge.hotkey()));
    assert_eq!(ring.count().await, 2);
    let nonces = world.count("auth_nonces").await;
    // Strangers with right signatures, each with a key of its own.
    let strangers: Vec<Neuron> = (0..300)
        .map(|_| {
            let mut stranger = world.stranger();
            stranger.keypair = fresh();
            stranger
        })
        .collect();
    let statuses = join_all(strangers.iter().map(async |stranger| {
        let headers = stranger.signed("POST", HEARTBEAT, &body());
        stranger.send("POST", HEARTBEAT, body(), &headers).await.status
    }))
    .await;
    assert!(statuses.iter().all(|status| *status == 403), "{statuses:?}");
    assert!(ring.has(neuron.hotkey()) && ring.has(judge.hotkey()));
    assert_eq!(ring.count().await, 2);
    assert_eq!(world.count("auth_nonces").await, nonces);

    // Being remembered admits nobody.
    world
        .chain
        .replace(1, neuron.uid, world.stranger().hotkey().0, [1; 32])
        .unwrap();
    world.next_snapshot().await;
    assert!(ring.has(neuron.hotkey()));
    let reply = neuron.post(HEARTBEAT, &Neuron::heartbeat_body()).await;
    let detail = reply.problem(403, "/problems/forbidden");
    assert!(detail.contains("not registered"), "{detail}");
    world.end().await;
}

fn fresh() -> Keypair {
    let seed = format!("0x{}", hex::encode(rand::random::<[u8; 32]>()));
    Keypair::from_uri(&seed, violet_chain::CryptoType::Sr25519).unwrap()
}
