//! Senders that stop, announce too much, or are nobody: over a bare connection, to see when the server answers.
use tokio::io::AsyncWriteExt;

use super::{assert_nothing_stays, head, id, lines, speech, status, transcription, world_with_a_miner};
use crate::harness::{Multipart, User, World, eventually, samples};

const TARGET: &str = "/api/v1/transcription";

fn form_of(length: u64) -> Vec<String> {
    vec![
        format!("Content-Type: {}", Multipart::kind()),
        format!("Content-Length: {length}"),
    ]
}

fn by(user: &User, length: u64) -> Vec<String> {
    let mut headers = form_of(length);
    headers.push(format!("X-API-Key: {}", user.key));
    headers
}

#[tokio::test]
async fn who_is_refused_need_not_send_the_body() {
    let (world, user) = world_with_a_miner().await;
    for target in ["transcription", "document-translation", "video-transcription"] {
        let target = format!("/api/v1/{target}");
        let mut stranger = head(&world, &target, &form_of(1_000_000)).await;
        assert_eq!(status(&mut stranger).await, "401");
        let mut headers = form_of(1_000_000);
        headers.push("X-API-Key: not-a-key".into());
        let mut unknown = head(&world, &target, &headers).await;
        assert_eq!(status(&mut unknown).await, "401");
        let mut greedy = head(&world, &target, &by(&user, 10_000_000_000)).await;
        assert_eq!(status(&mut greedy).await, "413");
    }
    let upload = "/api/v1/miner/files?task_id=0192f0c1-2a3b-7c4d-8e5f-000000000001";
    let digest = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let length = "Content-Length: 1000000";
    let mut unsigned = head(&world, upload, &[digest.into(), length.into()]).await;
    assert_eq!(status(&mut unsigned).await, "401");
    // Signed by somebody, or for a task that is not theirs: still nothing is received.
    for (miner, wanted) in [(world.stranger(), "403"), (world.silent_miner(1), "403")] {
        let mut headers = vec![digest.to_owned(), length.to_owned()];
        headers.extend(lines(&miner.signed("POST", upload, b"")));
        let mut stream = head(&world, upload, &headers).await;
        assert_eq!(status(&mut stream).await, wanted);
    }
    // A limit is a limit for whoever could upload, too.
    let limit = world.config().tasks.answer_file_bytes;
    for (length, wanted) in [(10_000_000_000, "413"), (limit + 1, "413"), (limit, "403")] {
        let mut headers = vec![digest.to_owned(), format!("Content-Length: {length}")];
        headers.extend(lines(&world.silent_miner(1).signed("POST", upload, b"")));
        let mut stream = head(&world, upload, &headers).await;
        assert_eq!(status(&mut stream).await, wanted);
    }
    assert_nothing_stays(&world).await;
    world.end().await;
}

#[tokio::test]
async fn a_body_in_broken_chunks_is_malformed() {
    let (world, user) = world_with_a_miner().await;
    let file = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(100))
        .unfinished();
    let upload = "/api/v1/miner/files?task_id=0192f0c1-2a3b-7c4d-8e5f-000000000001";
    let key = format!("X-API-Key: {}", user.key);
    let kind = |kind: &str| format!("Content-Type: {kind}");
    let json = || (kind("application/json"), b"{\"a\":".to_vec());
    let form = |body: &[u8]| (kind(&Multipart::kind()), body.to_vec());
    for (target, (kind, begun)) in [
        (TARGET, form(&file)),
        (TARGET, form(&file[..file.len() - 50])),
        (TARGET, form(b"")),
        ("/api/v1/text-translation", form(&file)),
        ("/api/v1/text-translation", json()),
        (
            "/api/v1/text-translation",
            (kind("application/x-www-form-urlencoded"), b"text=a".to_vec()),
        ),
        ("/api/v1/auth/register", json()),
        ("/api/v1/miner/heartbeat", json()),
        ("/api/v1/validator/evaluations", json()),
    ] {
        let mut headers = vec![kind, "Transfer-Encoding: chunked".into()];
        if target.contains("/miner/") || target.contains("/validator/") {
            headers.extend(lines(&world.silent_miner(1).signed("POST", target, b"")));
        } else {
            headers.push(key.clone());
        }
        let mut stream = head(&world, target, &headers).await;
        let mut body = format!("{:x}\r\n", begun.len().max(1)).into_bytes();
        body.extend(if begun.is_empty() { b"-" } else { &begun[..] });
        body.extend(b"\r\nno length\r\n");
        stream.write_all(&body).await.unwrap();
        assert_eq!(status(&mut stream).await, "400", "{target}");
    }
    // The file of an answer, by who may upload it.
    let user_task = speech(&user, 1).await;
    let target = upload.replace("0192f0c1-2a3b-7c4d-8e5f-000000000001", &user_task);
    let digest = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let mut headers = vec![digest.into(), "Transfer-Encoding: chunked".into()];
    headers.extend(lines(&world.silent_miner(1).signed("POST", &target, b"")));
    let mut stream = head(&world, &target, &headers).await;
    stream.write_all(b"4\r\nRIFF\r\nno length\r\n").await.unwrap();
    assert_eq!(status(&mut stream).await, "400");
    assert_eq!(world.count("files").await, 0);
    world.stored(0).await;
    world.end().await;
}

#[tokio::test]
async fn a_sender_that_breaks_off_leaves_nothing() {
    let (world, user) = world_with_a_miner().await;
    let whole = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(100_000))
        .unfinished();

    // Within the file.
    let mut stream = head(&world, TARGET, &by(&user, 1_000_000)).await;
    stream.write_all(&whole[..90_000]).await.unwrap();
    assert!(world.stored(1).await[0].contains('#'));
    drop(stream);
    world.stored(0).await;

    // After the file, within the form: the file is there already, under its name.
    let mut stream = head(&world, TARGET, &by(&user, 1_000_000)).await;
    let begun = Multipart::new().field("priority", "high").unfinished();
    stream
        .write_all(&[&whole[..], &begun[..60]].concat())
        .await
        .unwrap();
    eventually("the file is finished", || async {
        world
            .objects()
            .iter()
            .any(|name| !name.contains('#'))
            .then_some(())
    })
    .await;
    drop(stream);
    world.stored(0).await;

    // A form that ends too early, by somebody who waits for the answer.
    let mut stream = head(&world, TARGET, &by(&user, whole.len() as u64)).await;
    stream.write_all(&whole).await.unwrap();
    assert_eq!(status(&mut stream).await, "400");
    assert_nothing_stays(&world).await;
    world.end().await;
}

#[tokio::test]
async fn a_sender_that_stalls_is_given_up_and_leaves_nothing() {
    let world = World::with(|config| config.server.upload_seconds = 1).await;
    world.versatile(1).await;
    let user = world.user().await;
    let whole = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(100_000))
        .unfinished();
    let begun = Multipart::new().field("priority", "high").unfinished();
    let sent = [&whole[..], &begun[..60]].concat();
    for sent in [&whole[..90_000], &sent[..]] {
        let mut stream = head(&world, TARGET, &by(&user, 1_000_000)).await;
        stream.write_all(sent).await.unwrap();
        world.stored(1).await;
        assert_eq!(status(&mut stream).await, "504");
        drop(stream);
        assert_nothing_stays(&world).await;
    }
    // Whoever sends in time is not concerned.
    let accepted = transcription(&user, &samples::wav(100_000)).await.ok();
    assert_eq!(world.objects(), [id(&accepted, "file_id")]);
    world.end().await;
}
