//! What is known of files: read, listed, counted and deleted by their owner; read by the neurons that work with them.
use serde_json::{Value, json};

use super::{id, speech, transcription, world_with_a_miner};
use crate::{
    accounts::Person,
    harness::{Multipart, Neuron, Reply, User, World, eventually, samples},
};

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

async fn stats(user: &User) -> Value {
    user.get("/api/v1/files/stats").await.ok()["stats"].clone()
}

/// Somebody who runs the platform, and logged in.
async fn operator(world: &World) -> Person {
    let operator = Person::new(world, "operator").await;
    world
        .sql("update users set role = 'admin' where email = 'operator@example.org'")
        .await;
    operator
}

#[tokio::test]
async fn a_file_is_described_or_sent_as_its_reader_asks() {
    let (world, user) = world_with_a_miner().await;
    let content = samples::wav(1000);
    let accepted = transcription(&user, &content).await.ok();
    let path = format!("/api/v1/files/{}", id(&accepted, "file_id"));
    let known = user.get(&path).await;
    assert_eq!(known.headers["vary"], "accept");
    let known = known.ok();
    for (name, value) in [
        ("file_id", accepted["file_id"].clone()),
        ("original_filename", "a.wav".into()),
        ("file_type", "audio".into()),
        ("content_type", "audio/wav".into()),
        ("file_size", content.len().into()),
        ("task_id", accepted["task_id"].clone()),
        ("hotkey", Value::Null),
    ] {
        assert_eq!(known[name], value, "{name}");
    }
    let link = known["public_url"].as_str().unwrap();
    let fetched = world.http.get(link).send().await.unwrap();
    assert_eq!(fetched.status(), 200);
    assert!(fetched.bytes().await.unwrap() == content);
    assert!(link.starts_with(&world.server.url()) && !known["expires_at"].is_null());
    let url = format!("{}{path}", world.server.url());
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("audio/*;q=0.5, */*", "application/json"),
        ("audio/*", "audio/wav"),
        ("application/octet-stream", "audio/wav"),
    ] {
        let request = world.http.get(&url).header("X-API-Key", &user.key);
        let reply = Reply::to(request.header("accept", accept)).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].to_str().ok()),
            (200, Some(kind)),
            "{accept}"
        );
    }
    let other = world.user().await;
    other.get(&path).await.problem(404, "/problems/not-found");
    Reply::to(world.http.get(&url))
        .await
        .problem(401, "/problems/unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn files_are_listed_by_type_to_their_owner_and_to_administrators() {
    let (world, user) = world_with_a_miner().await;
    let mut sent = Vec::new();
    for size in [1000, 1002, 1004] {
        let accepted = transcription(&user, &samples::wav(size)).await.ok();
        sent.push(id(&accepted, "file_id").to_owned());
    }
    sent.reverse();
    let form = Multipart::new().file("video_file", "a.mp4", &samples::mp4());
    Reply::to(form.put(user.post("/api/v1/video-transcription")))
        .await
        .ok();
    let ids = |page: &Value| -> Vec<String> {
        let files = page["files"].as_array().unwrap();
        assert_eq!(page["count"], files.len());
        files.iter().map(|file| id(file, "file_id").to_owned()).collect()
    };
    let all = user.get("/api/v1/files/list/audio").await.ok();
    assert_eq!((ids(&all), &all["next"]), (sent.clone(), &Value::Null));
    let first = user.get("/api/v1/files/list/audio?limit=2").await.ok();
    assert_eq!(ids(&first), sent[..2]);
    let next = format!("/api/v1/files/list/audio?limit=2&before={}", id(&first, "next"));
    let second = user.get(&next).await.ok();
    assert_eq!(
        (ids(&second), &second["next"]),
        (sent[2..].to_vec(), &Value::Null)
    );
    for (kind, count) in [
        ("video_transcription", 1),
        ("document_translation", 0),
        ("tts", 0),
        ("tts_speaker", 0),
    ] {
        let page = user.get(&format!("/api/v1/files/list/{kind}")).await.ok();
        assert_eq!(
            (&page["count"], &page["file_type"]),
            (&count.into(), &kind.into())
        );
    }
    let detail = user.get("/api/v1/files/list/pictures").await;
    let detail = detail.problem(400, "/problems/malformed-request");
    assert!(detail.contains("audio, video_transcription"), "{detail}");

    // Nobody else sees them, but who runs the platform.
    let other = world.user().await;
    assert_eq!(other.get("/api/v1/files/list/audio").await.ok()["count"], 0);
    let organization = user.get("/api/v1/usage").await.ok()["organization_id"].clone();
    let of = format!(
        "/api/v1/files/list/audio?organization_id={}",
        organization.as_str().unwrap()
    );
    assert_eq!(ids(&user.get(&of).await.ok()), sent);
    other.get(&of).await.problem(403, "/problems/forbidden");
    let operator = operator(&world).await;
    assert_eq!(ids(&operator.get(&of).await.ok()), sent);
    for path in ["", "/download"] {
        let path = format!("/api/v1/files/{}{path}", sent[0]);
        assert_eq!(operator.get(&path).await.status, 200, "{path}");
        // A key of theirs opens less than their login.
        user.with_key(&operator.key)
            .get(&path)
            .await
            .problem(404, "/problems/not-found");
    }
    world.end().await;
}

#[tokio::test]
async fn files_are_counted_by_type_and_until_they_are_deleted() {
    let (world, user) = world_with_a_miner().await;
    assert_eq!(
        stats(&user).await,
        json!({ "total_files": 0, "total_size_bytes": 0, "total_size_mb": 0.0, "storage_type": "local", "by_type": [] })
    );
    let first = transcription(&user, &samples::wav(1000)).await.ok();
    transcription(&user, &samples::wav(2000)).await.ok();
    let other = world.user().await;
    transcription(&other, &samples::wav(4000)).await.ok();
    let speaking = speech(&user, 1).await;
    let miner = world.silent_miner(1);
    miner.upload(&speaking, &samples::wav(500)).await.ok();
    let counted = stats(&user).await;
    assert_eq!(
        counted["by_type"],
        json!([
            { "file_type": "audio", "files": 2, "bytes": 3088 }, { "file_type": "tts", "files": 1, "bytes": 544 },
        ])
    );
    assert_eq!(
        (&counted["total_files"], &counted["total_size_bytes"]),
        (&3.into(), &3632.into())
    );
    let operator = operator(&world).await;
    let all = operator.get("/api/v1/admin/files/stats").await.ok();
    assert_eq!(all["stats"]["total_size_bytes"], 3632 + 4044);

    user.cancel(id(&first, "task_id")).await.ok();
    user.delete(&format!("/api/v1/files/{}", id(&first, "file_id")))
        .await
        .ok();
    let usage = user.get("/api/v1/usage").await.ok();
    assert_eq!(usage["stored_bytes"]["used"], 2044 + 544);
    assert_eq!(
        stats(&user).await["by_type"][0],
        json!({ "file_type": "audio", "files": 1, "bytes": 2044 })
    );
    world.end().await;
}

#[tokio::test]
async fn a_file_is_deleted_when_its_task_has_ended() {
    let (world, user) = world_with_a_miner().await;
    let accepted = transcription(&user, &samples::wav(1000)).await.ok();
    let (file, task) = (id(&accepted, "file_id"), id(&accepted, "task_id"));
    let path = format!("/api/v1/files/{file}");
    let link = user.get(&path).await.ok()["public_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let detail = user.delete(&path).await;
    let detail = detail.problem(409, "/problems/conflict");
    assert!(detail.contains("cancel"), "{detail}");
    assert_eq!(Reply::to(world.http.get(&link)).await.status, 200);

    world
        .user()
        .await
        .delete(&path)
        .await
        .problem(404, "/problems/not-found");
    user.cancel(task).await.ok();
    let gone = user.delete(&path).await.ok();
    assert_eq!((&gone["success"], &gone["file_id"]), (&true.into(), &file.into()));
    for path in [path.clone(), format!("{path}/download")] {
        user.get(&path).await.problem(404, "/problems/not-found");
    }
    Reply::to(world.http.get(&link))
        .await
        .problem(404, "/problems/not-found");
    user.delete(&path).await.problem(404, "/problems/not-found");
    // The task is still there, without its file.
    let shown = user.get(&format!("/api/v1/tasks/{task}")).await.ok();
    assert_eq!(
        (&shown["status"], &shown["input_file"]),
        (&"cancelled".into(), &Value::Null)
    );
    // And so are its bytes, for a moment.
    world.stored(0).await;
    eventually("nothing is left to remove", || async {
        (world.count("file_removals").await == 0).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn two_who_delete_a_file_free_it_once() {
    let (world, user) = world_with_a_miner().await;
    let accepted = transcription(&user, &samples::wav(1000)).await.ok();
    transcription(&user, &samples::wav(2000)).await.ok();
    user.cancel(id(&accepted, "task_id")).await.ok();
    let path = format!("/api/v1/files/{}", id(&accepted, "file_id"));
    let replies = futures_util::future::join_all((0..8).map(|_| user.delete(&path))).await;
    let deleted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(deleted, 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.problem(404, "/problems/not-found");
    }
    assert_eq!(stats(&user).await["total_size_bytes"], 2044);
    world.end().await;
}

#[tokio::test]
async fn neurons_read_what_they_work_with_and_nothing_else() {
    let world = World::start().await;
    let miners = world.versatile(2).await;
    let validator = world.validator(1).await;
    let user = world.user().await;
    let form = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(1000))
        .field("required_miner_count", "1");
    let accepted = Reply::to(form.put(user.post("/api/v1/transcription"))).await.ok();
    let (file, task) = (id(&accepted, "file_id"), id(&accepted, "task_id"));
    let uid = world.open_uids(task).await[0];
    let (working, idle): (Vec<&Neuron>, Vec<&Neuron>) = miners.iter().partition(|miner| miner.uid == uid);
    let (working, idle) = (working[0], idle[0]);
    let (path, download) = (
        format!("/api/v1/files/{file}"),
        format!("/api/v1/files/{file}/download"),
    );
    for path in [&path, &download] {
        assert_eq!(working.get(path).await.status, 200, "{path}");
        idle.get(path).await.problem(404, "/problems/not-found");
        // There is nothing to judge yet.
        validator.get(path).await.problem(404, "/problems/not-found");
        world
            .stranger()
            .get(path)
            .await
            .problem(403, "/problems/forbidden");
    }
    let enrolled = working.enrol(&world, "/api/v1/miner/authenticate").await.ok();
    let key = enrolled["api_key"].as_str().unwrap();
    assert_eq!(working.with_key(key, "GET", &download, "").await.status, 200);
    let target = format!("/api/v1/files/{UNKNOWN}/download");
    working
        .with_key(key, "GET", &target, "")
        .await
        .problem(404, "/problems/not-found");
    // Nobody deletes by a signature.
    let headers = working.signed("DELETE", &path, b"");
    working
        .send("DELETE", &path, Vec::new(), &headers)
        .await
        .problem(401, "/problems/unauthenticated");

    let answer = working.answer_of(task, &json!({ "transcript": "Hello." }));
    working.post_answer(&answer).await.ok();
    validator.offered(task).await;
    assert_eq!(validator.get(&download).await.status, 200);
    let enrolled = validator
        .enrol(&world, "/api/v1/validator/authenticate")
        .await
        .ok();
    let key = enrolled["api_key"].as_str().unwrap();
    assert_eq!(validator.with_key(key, "GET", &path, "").await.status, 200);
    // Whose work is done reads it no more.
    working.get(&download).await.problem(404, "/problems/not-found");
    user.cancel(task).await.ok();
    validator.get(&download).await.problem(404, "/problems/not-found");
    world.end().await;
}
