//! Files: what is taken and refused, who may fetch them, and that nothing stays of what came to nothing.
mod answers;
mod broken;
mod downloads;
mod memory;
mod uploads;

use reqwest::RequestBuilder;
use serde_json::Value;

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
