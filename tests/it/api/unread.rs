//! Bodies that nobody asked for: whoever may not send one is told so before it is received.
use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::harness::{Multipart, World, samples};

/// What is declared.
const LARGE: usize = 256 * 1024 * 1024;
/// What may be under way in the system's buffers of both ends, at their largest.
const BUFFERS: usize = 32 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection on which a request has begun.
struct Begun {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Begun {
    async fn new(world: &World, method: &str, target: &str, headers: &[(&str, String)]) -> Self {
        let stream = TcpStream::connect(world.server.address).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: violet\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head += "\r\n";
        writer.write_all(head.as_bytes()).await.unwrap();
        Self { reader, writer }
    }

    /// What the server says until it closes the connection, or until it says to go on.
    async fn heard(&mut self) -> String {
        let mut heard = Vec::new();
        let listening = async {
            let mut bytes = [0; 4096];
            // A server that closes while something is unread may reset.
            while let Ok(read @ 1..) = self.reader.read(&mut bytes).await {
                heard.extend_from_slice(&bytes[..read]);
                if heard.starts_with(b"HTTP/1.1 100") {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }
}

fn declared(kind: &str) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", kind.to_owned()),
        ("Content-Length", LARGE.to_string()),
    ]
}

fn expecting(kind: &str) -> Vec<(&'static str, String)> {
    let mut headers = declared(kind);
    headers.push(("Expect", "100-continue".into()));
    headers
}

#[tokio::test]
async fn a_stranger_is_refused_before_its_body_on_every_route() {
    let world = World::start().await;
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut routes = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let target = path
                .replace("{task_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000001")
                .replace("{file_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000001")
                .replace("{key_id}", "0192f0c1-2a3b-7c4d-8e5f-000000000001")
                .replace("{uid}", "0")
                .replace("{block}", "0");
            let media = operation["requestBody"]["content"].as_object();
            let kinds: Vec<&str> = media.map_or(vec!["application/json"], |media| {
                media.keys().map(String::as_str).collect()
            });
            for kind in kinds {
                let kind = if kind.starts_with("multipart/") {
                    Multipart::kind()
                } else {
                    kind.to_owned()
                };
                let method = method.to_uppercase();
                for name in ["", "X-API-Key", "X-Bittensor-Signature"] {
                    let mut headers = expecting(&kind);
                    if !name.is_empty() {
                        headers.push((name, "0x00".into()));
                    }
                    let mut begun = Begun::new(&world, &method, &target, &headers).await;
                    // Not even asked to go on: the first that it hears is the answer.
                    let heard = begun.heard().await;
                    let status = heard.split(' ').nth(1).unwrap_or_default();
                    let refused = ["400", "401", "413"].contains(&status);
                    let is_public = method == "GET" && ["200", "404"].contains(&status);
                    assert!(refused || is_public, "{method} {target} {kind}: {heard}");
                    routes += 1;
                }
            }
        }
    }
    assert!(routes > 100, "{routes}");
    // Nor where there is no route, or no such method.
    for (method, target, status) in [("POST", "/api/v1/nothing", "404"), ("PUT", "/api/v1/tts", "405")] {
        let heard = Begun::new(&world, method, target, &expecting("application/json"))
            .await
            .heard()
            .await;
        assert_eq!(heard.split(' ').nth(1), Some(status), "{heard}");
    }
    world.end().await;
}

#[tokio::test]
async fn whoever_sends_all_the_same_is_cut_off() {
    let world = World::with(|config| config.keys.most = 2).await;
    let user = world.user().await;
    let idle = world.user().await;
    let hash = format!("sha256('{}')", idle.key);
    world
        .sql(&format!(
            "update api_keys set scopes = '{{}}' where hash = {hash}"
        ))
        .await;
    let key = |key: &str| ("X-API-Key", key.to_owned());
    let form = Multipart::kind();
    for (target, headers, status) in [
        ("/api/v1/transcription", declared(&form), "401"),
        (
            "/api/v1/transcription",
            [declared(&form), vec![key("violet_x")]].concat(),
            "401",
        ),
        (
            "/api/v1/transcription",
            [declared(&form), vec![key(&idle.key)]].concat(),
            "403",
        ),
        // Of a form's size, which is more than the largest file.
        (
            "/api/v1/document-translation",
            [declared(&form), vec![key(&user.key)]].concat(),
            "413",
        ),
        ("/api/v1/auth/register", declared("application/json"), "413"),
        ("/api/v1/miner/answers", declared("application/json"), "401"),
    ] {
        let Begun {
            mut reader,
            mut writer,
        } = Begun::new(&world, "POST", target, &headers).await;
        let sending = async {
            let piece = vec![b'a'; 64 * 1024];
            let mut sent = 0;
            while sent < LARGE && writer.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        };
        let hearing = async {
            let (mut heard, mut bytes) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = reader.read(&mut bytes).await {
                heard.extend_from_slice(&bytes[..read]);
            }
            String::from_utf8(heard).unwrap()
        };
        let both = async { tokio::join!(sending, hearing) };
        let (sent, heard) = tokio::time::timeout(PATIENCE, both).await.unwrap();
        assert_eq!(heard.split(' ').nth(1), Some(status), "{target}: {heard}");
        assert!(sent < BUFFERS, "{target}: {sent} bytes could be sent");
    }
    world.end().await;
}

#[tokio::test]
async fn whoever_may_send_is_asked_to_go_on() {
    let world = World::start().await;
    world.versatile(1).await;
    let user = world.user().await;
    let body = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(1000))
        .bytes();
    let headers = [
        ("Content-Type", Multipart::kind()),
        ("Content-Length", body.len().to_string()),
        ("Expect", "100-continue".into()),
        ("X-API-Key", user.key.clone()),
        ("Connection", "close".into()),
    ];
    let mut begun = Begun::new(&world, "POST", "/api/v1/transcription", &headers).await;
    assert!(begun.heard().await.starts_with("HTTP/1.1 100 Continue\r\n\r\n"));
    begun.writer.write_all(&body).await.unwrap();
    let heard = begun.heard().await;
    assert!(
        heard.contains("HTTP/1.1 200 OK") && heard.contains("task_id"),
        "{heard}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_limit_that_is_reached_is_told_before_the_body() {
    let world = World::with(|config| {
        config.limits.key_per_minute = 1;
        config.limits.address_per_minute = 1;
    })
    .await;
    let user = world.user().await;
    let target = "/api/v1/transcription";
    for with_key in [true, false] {
        let mut heard = String::new();
        // The first one may still be within the limit, and one more when a minute turns.
        for _ in 0..5 {
            let mut headers = expecting(&Multipart::kind());
            if with_key {
                headers.push(("X-API-Key", user.key.clone()));
            }
            heard = Begun::new(&world, "POST", target, &headers).await.heard().await;
            if heard.starts_with("HTTP/1.1 429") {
                break;
            }
        }
        assert!(
            heard.starts_with("HTTP/1.1 429") && heard.contains("retry-after: "),
            "{heard}"
        );
    }
    world.end().await;
}
