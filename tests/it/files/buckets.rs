//! Files in a bucket of S3, at a real server for it.
use reqwest::{Method, header};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{head, id, speech, transcription};
use crate::harness::{Bucket, GOOD, Multipart, Neuron, Reply, User, World, eventually, samples};

async fn world_in(bucket: &Bucket) -> (World, User) {
    let world = World::with(|config| {
        bucket.put(config);
        config.storage.sweep_seconds = 1;
    })
    .await;
    world.versatile(1).await;
    let user = world.user().await;
    (world, user)
}

/// Waits until there are so many objects, and nothing that is half written.
async fn settled(bucket: &Bucket, objects: usize) {
    eventually("the bucket has the right number of objects", || async {
        (bucket.objects().len() == objects && bucket.parts() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_task_lives_over_a_bucket() {
    let bucket = Bucket::start().await;
    let (world, user) = world_in(&bucket).await;
    let miner = world.silent_miner(1);
    let validator = world.validator(1).await;
    assert_eq!(
        Reply::to(world.http.get(format!("{}/ready", world.server.url())))
            .await
            .ok()["storage"],
        "ok"
    );

    // A recording goes in and out.
    let content = samples::wav(100_000);
    let form = Multipart::new()
        .file("audio_file", "a.wav", &content)
        .field("required_miner_count", "1");
    let accepted = Reply::to(form.put(user.post("/api/v1/transcription"))).await.ok();
    assert_eq!(bucket.objects(), [id(&accepted, "file_id")]);
    let mail = miner.receive(id(&accepted, "task_id")).await;
    let link = mail["input_file"]["download_url"].as_str().unwrap();
    let fetched = world.http.get(link).send().await.unwrap();
    assert_eq!(fetched.status(), 200);
    assert!(fetched.bytes().await.unwrap() == content);
    let part = world
        .http
        .get(link)
        .header(header::RANGE, "bytes=500-1499")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.unwrap() == content[500..1500]);

    // Speech is made, judged and listened to.
    let task = speech(&user, 1).await;
    let sound = samples::wav(20_000);
    let uploaded = miner.upload(&task, &sound).await.ok();
    miner
        .post_answer(&miner.answer_of(&task, &Neuron::spoken(&uploaded)))
        .await
        .ok();
    let offered = validator.offered(&task).await;
    let file = offered["answers"][0]["file"]["download_url"].as_str().unwrap();
    assert!(world.http.get(file).send().await.unwrap().bytes().await.unwrap() == sound);
    validator.evaluate(&task, &[(miner.hotkey(), Some(GOOD))]).await;
    assert_eq!(user.ended(&task).await["status"], "approved");
    let result = user.get(&format!("/api/v1/tts/{task}/result")).await.ok();
    let audio = world
        .http
        .get(result["audio_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert!(audio.bytes().await.unwrap() == sound);
    let stats = user.get("/api/v1/files/stats").await.ok();
    assert_eq!(
        (&stats["stats"]["storage_type"], &stats["stats"]["total_files"]),
        (&"s3".into(), &2.into())
    );

    // And both go when they are deleted.
    user.cancel(id(&accepted, "task_id")).await.ok();
    for file in [&accepted, &uploaded] {
        user.delete(&format!("/api/v1/files/{}", id(file, "file_id")))
            .await
            .ok();
    }
    settled(&bucket, 0).await;
    world.end().await;
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_one_that_breaks_off_leaves_none() {
    const LARGE: usize = 12_000_000;
    let bucket = Bucket::start().await;
    let (world, user) = world_in(&bucket).await;
    let content = samples::wav(LARGE);
    let accepted = transcription(&user, &content).await.ok();
    settled(&bucket, 1).await;
    let url = format!(
        "{}/api/v1/files/{}/download",
        world.server.url(),
        id(&accepted, "file_id")
    );
    let get = |range: &str| {
        let request = world
            .http
            .request(Method::GET, &url)
            .header("X-API-Key", &user.key);
        request.header(header::RANGE, range.to_owned()).send()
    };
    let whole = get("").await.unwrap();
    assert_eq!(whole.headers()["content-length"], content.len().to_string());
    assert!(whole.bytes().await.unwrap() == content);
    // Over the end of a part.
    let span = 5 * 1024 * 1024 - 10..5 * 1024 * 1024 + 10;
    let part = get(&format!("bytes={}-{}", span.start, span.end - 1))
        .await
        .unwrap();
    assert!(part.bytes().await.unwrap() == content[span]);

    // Whoever goes away in the middle, and whoever sends what is refused in the end.
    let begun = Multipart::new()
        .file("audio_file", "a.wav", &content)
        .unfinished();
    let headers = vec![
        format!("Content-Type: {}", Multipart::kind()),
        format!("Content-Length: {}", begun.len()),
        format!("X-API-Key: {}", user.key),
    ];
    let mut stream = head(&world, "/api/v1/transcription", &headers).await;
    stream.write_all(&begun[..11_000_000]).await.unwrap();
    eventually("parts are stored", || async {
        (bucket.parts() > 0).then_some(())
    })
    .await;
    drop(stream);
    settled(&bucket, 1).await;
    let promised = samples::wav_of(u32::try_from(LARGE + 2).unwrap(), LARGE);
    transcription(&user, &promised).await.invalid("audio_file");
    let form = Multipart::new()
        .file("audio_file", "a.wav", &content)
        .field("source_language", "de");
    Reply::to(form.put(user.post("/api/v1/transcription")))
        .await
        .problem(422, "/problems/no-engine");
    settled(&bucket, 1).await;
    assert_eq!(world.count("files").await, 1);
    world.end().await;
}

#[tokio::test]
async fn a_storage_that_is_away_is_told_and_waited_for() {
    let bucket = Bucket::start().await;
    let (world, user) = world_in(&bucket).await;
    let accepted = transcription(&user, &samples::wav(1000)).await.ok();
    let download = format!("/api/v1/files/{}/download", id(&accepted, "file_id"));
    let ready = || Reply::to(world.http.get(format!("{}/ready", world.server.url())));
    bucket.refuse(true);
    transcription(&user, &samples::wav(1000))
        .await
        .problem(503, "/problems/unavailable");
    user.get(&download).await.problem(503, "/problems/unavailable");
    // What needs no bytes goes on.
    assert_eq!(
        user.get(&format!("/api/v1/files/{}", id(&accepted, "file_id")))
            .await
            .status,
        200
    );
    // What was found is believed for some seconds.
    let unready = eventually("it is not ready", || async {
        let reply = ready().await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert_eq!((unready.status, &unready.body["ready"]), (503, &json!(false)));
    assert!(
        unready.body["storage"]
            .as_str()
            .unwrap()
            .starts_with("files cannot be stored")
    );
    assert_eq!(
        (&unready.body["database"], world.count("files").await),
        (&json!("ok"), 1)
    );

    bucket.refuse(false);
    assert_eq!(user.get(&download).await.status, 200);
    transcription(&user, &samples::wav(1000)).await.ok();
    let again = eventually("it is ready again", || async {
        let reply = ready().await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(again.body["storage"], "ok");
    settled(&bucket, 2).await;
    world.end().await;
}

#[tokio::test]
async fn objects_without_a_row_go_from_a_bucket_too() {
    let bucket = Bucket::start().await;
    let (world, user) = world_in(&bucket).await;
    transcription(&user, &samples::wav(1000)).await.ok();
    let kept = bucket.objects();
    let old = bucket.plant(super::clearing::OLD, b"nobody's");
    super::clearing::age(&old);
    bucket.plant("0192f0c1-2a3b-7c4d-8e5f-0000000000ff", b"just written");
    eventually("the old one is gone", || async { (!old.exists()).then_some(()) }).await;
    assert_eq!(bucket.objects().len(), kept.len() + 1);
    world.end().await;
}

#[tokio::test]
async fn links_lead_to_a_public_bucket_where_that_is_wanted() {
    let bucket = Bucket::start().await;
    let world = World::with(|config| {
        bucket.put(config);
        config.storage.public_url = "https://files.example.org/kept/".into();
    })
    .await;
    world.versatile(1).await;
    let user = world.user().await;
    let link = async |world: &World, user: &User| {
        let accepted = transcription(user, &samples::wav(1000)).await.ok();
        let file = id(&accepted, "file_id").to_owned();
        let mail = world.silent_miner(1).receive(id(&accepted, "task_id")).await;
        (
            mail["input_file"]["download_url"].as_str().unwrap().to_owned(),
            file,
        )
    };
    // An address alone, which users of the original have set, opens nothing.
    let (private, _) = link(&world, &user).await;
    assert!(
        private.starts_with(&world.server.url()) && private.contains("signature="),
        "{private}"
    );
    let mut config = world.config().clone();
    config.storage.public_links = true;
    let other = violet::server::Server::start(config, crate::harness::keypair(crate::harness::SERVER))
        .await
        .unwrap();
    other.app.snapshots.first().await;
    world.on_roster(&other, &world.silent_miner(1)).await;
    let accepted = transcription(&user.at(&other), &samples::wav(1000)).await.ok();
    let file = id(&accepted, "file_id");
    let known = user.at(&other).get(&format!("/api/v1/files/{file}")).await.ok();
    assert_eq!(
        known["public_url"],
        format!("https://files.example.org/kept/files/{file}")
    );
    assert!(known["expires_at"].is_null());
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn the_variables_of_the_original_name_a_bucket() {
    let (bucket, world) = tokio::join!(Bucket::start(), World::start());
    let user = world.user().await;
    let (folder, port) = (super::memory::wallet().await, super::memory::free_port());
    let mut server = super::memory::start(&world, folder.path(), port, "", &bucket.variables());
    let user = super::memory::answering(&user, port).await;
    let form = Multipart::new()
        .file("audio_file", "bob.wav", &samples::wav(1000))
        .field("voice_name", "bob");
    let made = Reply::to(form.put(user.post("/api/v1/voices"))).await.ok();
    assert_eq!(bucket.objects_below(""), [id(&made["voice"], "file_id")]);
    let link = made["voice"]["public_url"].as_str().unwrap();
    assert_eq!(Reply::to(world.http.get(link)).await.status, 200);
    world.stored(0).await;
    server.kill().await.unwrap();
    world.end().await;
}
