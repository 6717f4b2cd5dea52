//! No operation answers a stranger, unless it is on the list here.
use reqwest::Method;
use serde_json::json;

use crate::harness::{Neuron, Reply, World};

/// Open to everybody, on purpose.
const PUBLIC: &[(&str, &str)] = &[
    ("get", "/api/v1/audit/bases/{block}/proof"),
    ("get", "/api/v1/network"),
    ("get", "/health"),
    ("get", "/metrics"),
    ("get", "/ready"),
    ("post", "/api/v1/auth/password-reset/confirm"),
    ("post", "/api/v1/auth/password-reset/request"),
    ("post", "/api/v1/auth/register"),
    ("post", "/api/v1/auth/verify-email/confirm"),
    ("post", "/api/v1/auth/verify-email/request"),
    ("post", "/api/v1/auth/wallet/challenge"),
];
/// Open to everybody, to say who they are; nothing at all is no answer to that.
const LOGINS: &[(&str, &str)] = &[
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/auth/token"),
    ("post", "/api/v1/auth/token/refresh"),
    ("post", "/api/v1/auth/wallet/login"),
];
/// For who logged in, with a password or with a wallet: `tests/it/access.rs` shows that keys do not do it.
const LOGGED_IN: [&str; 2] = ["session", "wallet"];
/// For neurons without credentials yet: what they say about themselves is asked to be signed.
const ENROLMENT: &[(&str, &str)] = &[
    ("post", "/api/v1/miner/authenticate"),
    ("post", "/api/v1/validator/authenticate"),
];
/// For neurons, who sign, and have no key in place of it.
const SIGNED_ALWAYS: &[(&str, &str)] = &[
    ("delete", "/api/v1/neurons/keys/{key_id}"),
    ("get", "/api/v1/neurons/keys"),
];
/// For neurons, who sign or have a key.
const SIGNED: &[(&str, &str)] = &[
    ("get", "/api/v1/miners/{uid}/tasks"),
    ("get", "/api/v1/validator/tasks"),
    ("post", "/api/v1/miner/answers"),
    ("post", "/api/v1/miner/files"),
    ("post", "/api/v1/miner/heartbeat"),
    ("post", "/api/v1/miner/refusals"),
    ("post", "/api/v1/validator/evaluations"),
];
/// For miners with a key: they sign nothing.
const KEYED: &[(&str, &str)] = &[
    ("post", "/api/v1/miner/document-translation/upload-result"),
    ("post", "/api/v1/miner/response"),
    ("post", "/api/v1/miner/text-translation/upload-result"),
    ("post", "/api/v1/miner/video-transcription/upload-result"),
];
/// For users, for neurons that work with a file, or for whoever has a link.
const LINKED: &[(&str, &str)] = &[
    ("get", "/api/v1/files/{file_id}"),
    ("get", "/api/v1/files/{file_id}/download"),
    ("get", "/api/v1/tts/audio/{file_id}"),
];
/// All of them together with those for users: a new operation has to be thought about here.
const OPERATIONS: usize = 96;

const LISTS: [&[(&str, &str)]; 7] = [PUBLIC, LOGINS, ENROLMENT, SIGNED_ALWAYS, SIGNED, KEYED, LINKED];

fn operations() -> Vec<(String, String)> {
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            all.push((method.clone(), path.clone()));
        }
    }
    all.sort();
    all
}

/// A real path for a described one.
fn filled(path: &str) -> String {
    let path = path
        .replace("{task_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000001")
        .replace("{file_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000002")
        .replace("{invitation_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000003")
        .replace("{session_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000004")
        .replace("{user_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000005")
        .replace("{key_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000006")
        .replace("{identity_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000007")
        .replace("{file_type}", "audio")
        .replace("{voice_name}", "english_alice")
        .replace("{uid}", "0")
        .replace("{block}", "0");
    assert!(
        !path.contains('{'),
        "{path} has a parameter that this test does not know"
    );
    path
}

fn is_in(list: &[(&str, &str)], (method, path): &(String, String)) -> bool {
    list.contains(&(method, path))
}

#[tokio::test]
async fn no_operation_answers_a_stranger() {
    let world = World::start().await;
    let operations = operations();
    assert_eq!(operations.len(), OPERATIONS, "{operations:#?}");
    let listed = operations
        .iter()
        .filter(|one| LISTS.iter().any(|list| is_in(list, one)))
        .count();
    assert_eq!(
        listed,
        LISTS.iter().map(|list| list.len()).sum::<usize>(),
        "the lists here name operations that do not exist"
    );

    let user = world.user().await;
    let miner = world.silent_miner(1);
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    for operation in &operations {
        // What permission one asks for is looked at where roles are.
        let described = &description["paths"][&operation.1][&operation.0]["security"];
        let schemes: Vec<Vec<&String>> = described
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one.as_object().unwrap().keys().collect())
            .collect();
        let logged_in = LOGGED_IN.iter().any(|scheme| schemes == [vec![scheme]]);
        let expected: &[&[&str]] = if is_in(PUBLIC, operation) || is_in(LOGINS, operation) {
            &[]
        } else if is_in(SIGNED, operation) {
            &[&["btauth"], &["neuron_key"]]
        } else if is_in(SIGNED_ALWAYS, operation) {
            &[&["btauth"]]
        } else if is_in(KEYED, operation) {
            &[&["neuron_key"]]
        } else if is_in(ENROLMENT, operation) {
            &[&[], &["neuron_key"]]
        } else if is_in(LINKED, operation) {
            &[&["api_key"], &["btauth"], &["neuron_key"], &[]]
        } else {
            &[&["api_key"]]
        };
        assert!(logged_in || schemes == expected, "{operation:?}: {described}");
        let (method, path) = operation;
        let (target, method) = (filled(path), method.to_uppercase());
        let request = || {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = world
                .http
                .request(method, format!("{}{target}", world.server.url()));
            // With a body, so that nothing else can be wrong first.
            if operation.0 == "get" {
                request
            } else {
                request.json(&json!({}))
            }
        };
        let status = Reply::to(request()).await.status;
        if is_in(LOGINS, operation) || is_in(ENROLMENT, operation) {
            // A body that says nothing gets nothing; what else may happen there has tests of its own.
            assert_eq!(status, 422, "{operation:?}");
            continue;
        }
        if is_in(PUBLIC, operation) {
            assert_ne!(status, 401, "{operation:?} is on the list of what is public");
            continue;
        }
        assert_eq!(status, 401, "{operation:?}");
        for (name, value) in [
            ("X-API-Key", "garbage".to_owned()),
            ("X-API-Key", format!("violet_{}", "0".repeat(64))),
            ("X-API-Key", format!("violet_miner_{}", "0".repeat(64))),
            ("X-API-Key", format!("violet_validator_{}", "0".repeat(64))),
            ("X-API-Key", String::new()),
            ("Authorization", "Bearer garbage".to_owned()),
            ("Authorization", format!("Basic {}", user.key)),
            ("X-Bittensor-Hotkey", miner.hotkey().to_string()),
        ] {
            let reply = Reply::to(request().header(name, value)).await;
            reply.problem(401, "/problems/unauthenticated");
        }
        // Credentials of the other kind.
        if [SIGNED, SIGNED_ALWAYS, KEYED]
            .iter()
            .any(|list| is_in(list, operation))
        {
            let reply = Reply::to(request().header("X-API-Key", &user.key)).await;
            reply.problem(401, "/problems/unauthenticated");
        } else if !is_in(LINKED, operation) {
            let body = if operation.0 == "get" {
                Vec::new()
            } else {
                b"{}".to_vec()
            };
            let headers = miner.signed(&method, &target, &body);
            miner
                .send(&method, &target, body, &headers)
                .await
                .problem(401, "/problems/unauthenticated");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_stranger_learns_nothing_before_it_is_known() {
    let world = World::start().await;
    // Not even that a path's parameter or a body is malformed.
    for target in ["/api/v1/tasks/nonsense", "/api/v1/task/nonsense/status?wait=x"] {
        Reply::to(world.http.get(format!("{}{target}", world.server.url())))
            .await
            .problem(401, "/problems/unauthenticated");
    }
    let stranger = world.stranger();
    let reply = stranger
        .send("POST", "/api/v1/miner/heartbeat", b"{".to_vec(), &[])
        .await;
    reply.problem(401, "/problems/unauthenticated");
    let headers = stranger.signed("POST", "/api/v1/miner/answers", b"{");
    let reply = stranger
        .send("POST", "/api/v1/miner/answers", b"{".to_vec(), &headers)
        .await;
    reply.problem(403, "/problems/forbidden");
    let registered = world.silent_miner(1);
    let headers = registered.signed("POST", "/api/v1/miner/answers", b"{");
    let reply = registered
        .send("POST", "/api/v1/miner/answers", b"{".to_vec(), &headers)
        .await;
    reply.problem(400, "/problems/malformed-request");
    let mut body = Neuron::heartbeat_body();
    body["mood"] = "good".into();
    let reply = registered.post("/api/v1/miner/heartbeat", &body).await;
    reply.problem(422, "/problems/malformed-request");
    world.end().await;
}
