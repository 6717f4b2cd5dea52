//! Files that miners upload for their answers.
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{head, lines, speech, status};
use crate::harness::{Neuron, World, samples};

#[tokio::test]
async fn a_miner_uploads_what_it_signed_and_nothing_else() {
    const LIMIT: usize = 100_000;
    let world = World::with(|config| config.tasks.answer_file_bytes = LIMIT as u64).await;
    let miners = world.versatile(1).await;
    let miner = &miners[0];
    let task = speech(&world.user().await, 1).await;
    let file = samples::wav(5000);

    miner
        .upload_as(&task, &file, &samples::wav(5002))
        .await
        .invalid("Content-Digest");
    miner
        .upload_as(&task, &file[..4000], &file)
        .await
        .problem(422, "/problems/invalid-value");
    miner.upload(&task, b"").await.invalid("body");
    miner
        .upload(&task, &samples::wav_of(6000, 5000))
        .await
        .invalid("body");
    for other in [
        b"not a sound".to_vec(),
        samples::png(),
        samples::mp3(),
        samples::mp4(),
    ] {
        let reply = miner.upload(&task, &other).await;
        reply.problem(415, "/problems/unsupported-media");
    }
    let large = miner.upload(&task, &samples::wav(LIMIT - 43)).await;
    assert!(large.problem(413, "/problems/too-large").contains("100000"));
    let target = format!("/api/v1/miner/files?task_id={task}");
    // Without the digest nothing says what was signed; without a signature that does not matter.
    for digest in [None, Some("sha-256=:AAAA:"), Some("md5=:AAAA:"), Some("nonsense")] {
        let digest = digest.map(|digest| ("content-digest", digest.to_owned()));
        let mut headers = miner.signed("POST", &target, &file);
        headers.extend(digest.clone());
        let reply = miner.send("POST", &target, file.clone(), &headers).await;
        let detail = reply.problem(400, "/problems/malformed-request");
        assert!(detail.starts_with("Content-Digest: "), "{detail}");
        let unsigned = Vec::from_iter(digest);
        let reply = miner.send("POST", &target, file.clone(), &unsigned).await;
        reply.problem(401, "/problems/unauthenticated");
    }
    let elsewhere = "/api/v1/miner/files?task_id=0192f0c1-2a3b-7c4d-8e5f-000000000001";
    let mut headers = miner.signed("POST", elsewhere, &file);
    headers.push(("content-digest", digest_of(&file)));
    miner
        .send("POST", &target, file.clone(), &headers)
        .await
        .problem(401, "/problems/unauthenticated");
    for other in [world.silent_miner(2), world.stranger()] {
        other
            .upload(&task, &file)
            .await
            .problem(403, "/problems/forbidden");
    }
    miner
        .upload("0192f0c1-2a3b-7c4d-8e5f-000000000001", &file)
        .await
        .problem(403, "/problems/forbidden");
    miner
        .upload("nonsense", &file)
        .await
        .problem(400, "/problems/malformed-request");
    assert_eq!(world.count("files").await, 0);
    world.stored(0).await;

    let uploaded = miner.upload(&task, &samples::wav(LIMIT - 44)).await.ok();
    assert_eq!(uploaded["file_size"], LIMIT);
    let receipt = miner
        .post_answer(&miner.answer_of(&task, &Neuron::spoken(&uploaded)))
        .await
        .ok();
    assert_eq!(receipt["used"], true);
    // The assignment is over, and with it the leave to upload.
    miner
        .upload(&task, &file)
        .await
        .problem(403, "/problems/forbidden");
    assert_eq!(world.objects(), [uploaded["file_id"].as_str().unwrap()]);
    world.end().await;
}

fn digest_of(file: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use sha2::{Digest as _, Sha256};
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(file)))
}

#[tokio::test]
async fn an_assignment_has_room_for_so_many_files() {
    const MOST: usize = 2;
    let world = World::with(|config| config.tasks.answer_files = 2).await;
    let miners = world.versatile(2).await;
    let (task, another) = (
        speech(&world.user().await, 2).await,
        speech(&world.user().await, 2).await,
    );
    // All at once: whoever comes too late is refused when its file is there already.
    let files: Vec<Vec<u8>> = (0..6).map(|number| samples::wav(90_000 + 2 * number)).collect();
    let replies = join_all(files.iter().map(|file| miners[0].upload(&task, file))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!(taken.len(), MOST);
    for reply in refused {
        let detail = reply.problem(409, "/problems/conflict");
        assert!(detail.contains("2 files"), "{detail}");
    }
    miners[0]
        .upload(&task, &files[0])
        .await
        .problem(409, "/problems/conflict");
    assert_eq!(world.count("files").await, 2);
    world.stored(MOST).await;
    // Neither another task nor another miner is concerned; what is there is still good for an answer.
    miners[0].upload(&another, &files[0]).await.ok();
    miners[1].upload(&task, &files[0]).await.ok();
    let uploaded = taken.into_iter().next().expect("two of them").ok();
    let body = miners[0].answer_of(&task, &Neuron::spoken(&uploaded));
    assert_eq!(miners[0].post_answer(&body).await.ok()["used"], true);
    world.end().await;
}

#[tokio::test]
async fn an_assignment_that_ends_while_its_file_arrives_takes_none() {
    let world = World::start().await;
    let miners = world.versatile(1).await;
    let task = speech(&world.user().await, 1).await;
    let file = samples::wav(90_000);
    let target = format!("/api/v1/miner/files?task_id={task}");
    let mut headers = miners[0].signed("POST", &target, &file);
    headers.push(("content-digest", digest_of(&file)));
    headers.push(("content-length", file.len().to_string()));
    let mut stream = head(&world, &target, &lines(&headers)).await;
    stream.write_all(&file[..50_000]).await.unwrap();
    world.stored(1).await;
    miners[0].refuse(&task).await;
    stream.write_all(&file[50_000..]).await.unwrap();
    assert_eq!(status(&mut stream).await, "403");
    assert_eq!(world.count("files").await, 0);
    world.stored(0).await;
    world.end().await;
}

#[tokio::test]
async fn an_answer_names_a_file_of_its_miner_and_its_task() {
    let world = World::start().await;
    let miners = world.versatile(2).await;
    let (task, another) = (
        speech(&world.user().await, 2).await,
        speech(&world.user().await, 2).await,
    );
    let user = world.user().await;
    let form = crate::harness::Multipart::new().file("audio_file", "a.wav", &samples::wav(3000));
    let sent = crate::harness::Reply::to(form.put(user.post("/api/v1/transcription")))
        .await
        .ok();
    let file = samples::wav(3000);
    let mine = miners[0].upload(&task, &file).await.ok();
    let of_another_task = miners[0].upload(&another, &file).await.ok();
    let of_another_miner = miners[1].upload(&task, &file).await.ok();
    let with = |id: &Value| {
        let mut output = Neuron::spoken(&mine);
        output["file_id"] = id.clone();
        output
    };
    for id in [
        &of_another_task["file_id"],
        &of_another_miner["file_id"],
        &sent["file_id"],
        &json!("0192f0c1-2a3b-7c4d-8e5f-000000000001"),
    ] {
        let body = miners[0].answer_of(&task, &with(id));
        miners[0].post_answer(&body).await.invalid("output");
    }
    // Of several uploads any will do.
    let again = miners[0].upload(&task, &samples::wav(4000)).await.ok();
    assert_ne!(again["file_id"], mine["file_id"]);
    let body = miners[0].answer_of(&task, &Neuron::spoken(&mine));
    assert_eq!(miners[0].post_answer(&body).await.ok()["used"], true);
    world.end().await;
}
