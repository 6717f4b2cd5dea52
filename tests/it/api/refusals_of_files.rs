//! What the operations with files and voices refuse in their own way.
use serde_json::Value;

use super::{errors::Walk, operation::Operation};
use crate::harness::{Multipart, Reply, samples};

/// A recording of a task that goes on.
async fn recorded(walk: &Walk) -> String {
    let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(1000));
    let accepted = Reply::to(form.put(walk.user.post("/api/v1/transcription")))
        .await
        .ok();
    accepted["file_id"].as_str().unwrap().to_owned()
}

pub(super) async fn refuse(walk: &mut Walk, operation: &Operation) {
    if operation.path.contains("/voices") {
        return refuse_voices(walk, operation).await;
    }
    let file = recorded(walk).await;
    let target = operation.path.replace("{file_id}", &file);
    if operation.method == "DELETE" {
        walk.see_answer(operation, &target, "")
            .await
            .problem(409, "/problems/conflict");
        return;
    }
    if target.contains("/tts/") {
        let spoken = format!("update files set kind = 'tts' where file_id = '{file}'");
        walk.world.sql(&spoken).await;
    }
    for (name, value) in [("if-match", "\"other\""), ("range", "bytes=9999-")] {
        let request = walk.plain(&walk.world.server, operation, &target, "");
        let request = request.header("accept", "audio/*").header(name, value);
        let reply = Reply::to(request).await;
        walk.see(operation, &reply);
    }
}

async fn refuse_voices(walk: &mut Walk, operation: &Operation) {
    let alice = operation.path.replace("{voice_name}", "english_alice");
    if operation.method == "DELETE" {
        for target in [operation.target(), alice] {
            walk.see_answer(operation, &target, "").await;
        }
        return;
    }
    if operation.method == "GET" {
        return;
    }
    for (name, value) in [("voice_name", "english_alice"), ("language", "?")] {
        let form = Multipart::new()
            .file("audio_file", "a.wav", &samples::wav(1000))
            .field(name, value);
        let request = walk.plain(&walk.world.server, operation, &alice, "");
        let reply = Reply::to(form.put(request)).await;
        assert_ne!(reply.body["type"], Value::Null);
        walk.see(operation, &reply);
    }
}
