//! Files: what is taken and refused, who may fetch them, and that nothing stays of what came to nothing.
mod answers;
mod broken;
mod buckets;
mod clearing;
mod downloads;
mod managing;
mod memory;
mod ranges;
mod room;
mod uploads;

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Multipart, Reply, User, World};

/// A server whose miner does everything, and a user of it.
async fn world_with_a_miner() -> (World, User) {
    let world = World::start().await;
    world.versatile(1).await;
    let user = world.user().await;
    (world, user)
}

/// A request for a transcription, still without a body.
fn transcribe(user: &User) -> RequestBuilder {
    user.post("/api/v1/transcription")
}

/// Submits a recording.
async fn transcription(user: &User, file: &[u8]) -> Reply {
    let form = Multipart::new().file("audio_file", "a.wav", file);
    Reply::to(form.put(transcribe(user))).await
}

fn id<'a>(accepted: &'a Value, name: &str) -> &'a str {
    accepted[name].as_str().expect("an id")
}

/// Fails when anything is left of what was refused.
async fn assert_nothing_stays(world: &World) {
    assert_eq!(world.count("files").await, 0);
    assert_eq!(world.count("tasks").await, 0);
    // A file that was begun is removed in the background.
    world.stored(0).await;
}

/// Submits a text to be spoken by so many miners; gives the task.
async fn speech(user: &User, count: u8) -> String {
    let fields = json!({ "text": "Hello.", "required_miner_count": count });
    let accepted = Reply::to(user.post("/api/v1/tts").json(&fields)).await.ok();
    id(&accepted, "task_id").to_owned()
}

/// A request of which nothing but the head is sent.
async fn head(world: &World, target: &str, headers: &[String]) -> TcpStream {
    let mut stream = TcpStream::connect(world.server.address).await.unwrap();
    let headers = headers.join("\r\n");
    let head = format!("POST {target} HTTP/1.1\r\nHost: violet\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Headers as they are on the wire.
fn lines(headers: &[(&'static str, String)]) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

/// The status that is answered to what was sent so far.
async fn status(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(60), stream.read_exact(&mut answer))
        .await
        .expect("it is answered without the rest")
        .unwrap();
    String::from_utf8(answer).unwrap().split_off(9)
}
