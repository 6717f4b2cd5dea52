//! Voices: made of a sample, changed, deleted, and handed to the miners of the tasks that ask for them.
use serde_json::{Value, json};

use crate::harness::{Multipart, Reply, User, World, eventually, samples};

async fn world() -> (World, User) {
    let world = World::with(|config| config.storage.voice_bytes = 100_000).await;
    world.versatile(1).await;
    let user = world.user().await;
    (world, user)
}

fn sample(size: usize, fields: &[(&str, &str)]) -> Multipart {
    let form = Multipart::new().file("audio_file", "bob.wav", &samples::wav(size));
    fields
        .iter()
        .fold(form, |form, (name, value)| form.field(name, value))
}

async fn create(user: &User, name: &str, size: usize) -> Reply {
    let form = sample(
        size,
        &[("voice_name", name), ("display_name", "Bob"), ("language", "de")],
    );
    Reply::to(form.put(user.post("/api/v1/voices"))).await
}

async fn change(user: &User, name: &str, form: Multipart) -> Reply {
    Reply::to(form.put(user.put(&format!("/api/v1/voices/{name}")))).await
}

/// The names of the voices, with their sizes.
async fn listed(user: &User) -> Vec<(String, Value)> {
    let all = user.get("/api/v1/voices").await.ok();
    let voices = all["voices"].as_array().unwrap();
    assert_eq!(
        (&all["success"], &all["count"]),
        (&true.into(), &voices.len().into())
    );
    let of = |voice: &Value| {
        (
            voice["voice_name"].as_str().unwrap().to_owned(),
            voice["file_size"].clone(),
        )
    };
    voices.iter().map(of).collect()
}

async fn speak(user: &User, voice: &str) -> Reply {
    let fields = json!({ "text": "Hello.", "voice_name": voice, "required_miner_count": 1 });
    Reply::to(user.post("/api/v1/tts").json(&fields)).await
}

/// A task in this voice, and the sample as its miner fetches it.
async fn sample_of(world: &World, user: &User, voice: &str) -> (String, String, Vec<u8>) {
    let task = speak(user, voice).await.ok()["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mail = world.silent_miner(1).receive(&task).await;
    assert_eq!(
        (&mail["voice_name"], &mail["source_language"]),
        (&voice.into(), &"en".into())
    );
    let link = mail["speaker_wav_url"].as_str().unwrap().to_owned();
    let file = &mail["voice_file"];
    let fetched = world.http.get(&link).send().await.unwrap();
    assert_eq!(fetched.status(), 200);
    let bytes = fetched.bytes().await.unwrap().to_vec();
    assert_eq!(file["file_size"], bytes.len());
    (task, link, bytes)
}

#[tokio::test]
async fn there_is_a_voice_from_the_start_and_it_stays() {
    let (world, user) = world().await;
    let all = user.get("/api/v1/voices").await.ok();
    let alice = &all["voices"][0];
    assert_eq!(
        (
            &alice["voice_name"],
            &alice["language"],
            &alice["shared"],
            &all["count"]
        ),
        (&"english_alice".into(), &"en".into(), &true.into(), &1.into())
    );
    let task = speak(&user, "english_alice").await.ok()["task_id"].clone();
    let mail = world.silent_miner(1).receive(task.as_str().unwrap()).await;
    assert_eq!(
        (&mail["voice_name"], &mail["speaker_wav_url"]),
        (&"english_alice".into(), &Value::Null)
    );
    let refused = speak(&user, "nobody").await;
    assert!(refused.invalid("voice_name").contains("english_alice"));

    create(&user, "english_alice", 1000)
        .await
        .problem(409, "/problems/conflict");
    change(&user, "english_alice", sample(1000, &[]))
        .await
        .problem(409, "/problems/conflict");
    user.delete("/api/v1/voices/english_alice")
        .await
        .problem(409, "/problems/conflict");
    assert_eq!(listed(&user).await.len(), 1);
    world.stored(0).await;
    world.end().await;
}

#[tokio::test]
async fn a_voice_is_made_of_a_sample_which_its_miners_get() {
    let (world, user) = world().await;
    let made = create(&user, "bob", 1000).await.ok();
    let voice = &made["voice"];
    for (name, value) in [
        ("voice_name", json!("bob")),
        ("display_name", json!("Bob")),
        ("language", json!("de")),
        ("file_name", json!("bob.wav")),
        ("file_size", json!(1044)),
        ("file_type", json!("audio/wav")),
        ("shared", json!(false)),
    ] {
        assert_eq!(voice[name], value, "{name}");
    }
    assert_eq!(
        Reply::to(world.http.get(voice["public_url"].as_str().unwrap()))
            .await
            .status,
        200
    );
    assert_eq!(
        listed(&user).await,
        [
            ("bob".to_owned(), json!(1044)),
            ("english_alice".to_owned(), Value::Null)
        ]
    );
    // The task has a language of its own, whatever the voice speaks.
    let (_, _, bytes) = sample_of(&world, &user, "bob").await;
    assert!(bytes == samples::wav(1000));
    // It counts among the files.
    let files = user.get("/api/v1/files/list/tts_speaker").await.ok();
    assert_eq!(
        (&files["count"], &files["files"][0]["file_id"]),
        (&1.into(), &voice["file_id"])
    );
    let path = format!("/api/v1/files/{}", voice["file_id"].as_str().unwrap());
    let detail = user.delete(&path).await;
    assert!(detail.problem(409, "/problems/conflict").contains("voice"));

    create(&user, "bob", 2000)
        .await
        .problem(409, "/problems/conflict");
    // Nobody else has it, or may change it; they may have one of the same name.
    let other = world.user().await;
    assert_eq!(listed(&other).await.len(), 1);
    speak(&other, "bob").await.invalid("voice_name");
    change(&other, "bob", sample(3000, &[]))
        .await
        .problem(404, "/problems/not-found");
    other
        .delete("/api/v1/voices/bob")
        .await
        .problem(404, "/problems/not-found");
    other.get(&path).await.problem(404, "/problems/not-found");
    create(&other, "bob", 3000).await.ok();
    let (_, _, bytes) = sample_of(&world, &other, "bob").await;
    assert!(bytes == samples::wav(3000));
    world.stored(2).await;
    world.end().await;
}

#[tokio::test]
async fn a_voice_is_changed_and_tasks_keep_the_sample_they_have() {
    let (world, user) = world().await;
    create(&user, "bob the 2nd", 1000).await.ok();
    let target = "/api/v1/voices/bob%20the%202nd";
    let renamed = Reply::to(user.put(target).json(&json!({ "display_name": "Robert" })))
        .await
        .ok();
    assert_eq!(
        (&renamed["voice"]["display_name"], &renamed["voice"]["language"]),
        (&"Robert".into(), &"de".into())
    );
    let form = user
        .put(target)
        .header("content-type", "application/x-www-form-urlencoded");
    let renamed = Reply::to(form.body("language=en-GB")).await.ok();
    assert_eq!(
        (&renamed["voice"]["display_name"], &renamed["voice"]["language"]),
        (&"Robert".into(), &"en-GB".into())
    );
    assert_eq!(renamed["voice"]["file_size"], 1044);

    let (first, old, bytes) = sample_of(&world, &user, "bob the 2nd").await;
    assert!(bytes == samples::wav(1000));
    // What is refused leaves the sample that there is.
    for form in [
        sample(200_000, &[]),
        Multipart::new().file("audio_file", "a.wav", b"no sound"),
    ] {
        let refused = change(&user, "bob%20the%202nd", form).await;
        assert!([413, 415].contains(&refused.status), "{:?}", refused.body);
    }
    assert_eq!(Reply::to(world.http.get(&old)).await.status, 200);
    let changed = change(&user, "bob%20the%202nd", sample(2000, &[])).await.ok();
    assert_eq!(
        (&changed["voice"]["file_size"], &changed["voice"]["display_name"]),
        (&2044.into(), &"Robert".into())
    );
    let (second, _, bytes) = sample_of(&world, &user, "bob the 2nd").await;
    assert!(bytes == samples::wav(2000));
    assert_eq!(user.get("/api/v1/usage").await.ok()["stored_bytes"]["used"], 2044);

    // Deleted, it is asked for in vain; who has it goes on.
    user.delete(target).await.ok();
    user.delete(target).await.problem(404, "/problems/not-found");
    speak(&user, "bob the 2nd").await.invalid("voice_name");
    assert_eq!(user.get("/api/v1/usage").await.ok()["stored_bytes"]["used"], 0);
    assert_eq!(user.get("/api/v1/files/list/tts_speaker").await.ok()["count"], 0);
    let all_due = "update file_removals set due_at = now()";
    assert_eq!(world.sql(all_due).await, 2);
    for task in [&first, &second] {
        violet::services::clearing::clear(&world.server.app)
            .await
            .unwrap();
        let mail = world.silent_miner(1).receive(task).await;
        let link = mail["speaker_wav_url"].as_str().unwrap();
        assert_eq!(Reply::to(world.http.get(link)).await.status, 200);
    }
    user.cancel(&first).await.ok();
    world.stored(1).await;
    Reply::to(world.http.get(&old))
        .await
        .problem(404, "/problems/not-found");
    user.cancel(&second).await.ok();
    world.stored(0).await;
    eventually("no row is left", || async {
        (world.count("files").await + world.count("file_removals").await == 0).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_deleted_voice_stays_while_somebody_may_be_asking_for_it() {
    let (world, user) = world().await;
    create(&user, "bob", 1000).await.ok();
    user.delete("/api/v1/voices/bob").await.ok();
    violet::services::clearing::clear(&world.server.app)
        .await
        .unwrap();
    assert_eq!(world.objects().len(), 1);
    let due: bool = sqlx::query_scalar("select due_at > now() + interval '1 hour' from file_removals")
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert!(due);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_sample_or_no_name_is_refused_and_leaves_nothing() {
    let (world, user) = world().await;
    let post = async |form: Multipart| Reply::to(form.put(user.post("/api/v1/voices"))).await;
    let with = |file: &[u8]| {
        let form = Multipart::new().file("audio_file", "a.wav", file);
        form.field("voice_name", "bob")
    };
    let large = post(with(&samples::wav(100_000))).await;
    large.problem(413, "/problems/too-large");
    for file in [samples::png(), samples::pdf(), b"RIFF".to_vec()] {
        post(with(&file))
            .await
            .problem(415, "/problems/unsupported-media");
    }
    post(with(&samples::wav_of(2000, 1000)))
        .await
        .invalid("audio_file");
    post(with(b"")).await.invalid("audio_file");
    post(Multipart::new().field("voice_name", "bob"))
        .await
        .invalid("audio_file");
    post(sample(1000, &[])).await.invalid("voice_name");
    let long = "a".repeat(101);
    for name in ["", " bob", "bob ", "a/b", "../bob", "a\nb", "a%b", &long] {
        post(sample(1000, &[("voice_name", name)]))
            .await
            .invalid("voice_name");
    }
    let long = "a".repeat(201);
    for (field, value) in [
        ("display_name", ""),
        ("display_name", &long),
        ("language", "English"),
    ] {
        post(sample(1000, &[("voice_name", "bob"), (field, value)]))
            .await
            .invalid(field);
    }
    let missing = user.get("/api/v1/voices/bob").await;
    missing.problem(405, "/problems/method-not-allowed");
    world.stored(0).await;
    assert_eq!((world.count("files").await, listed(&user).await.len()), (0, 1));
    post(with(&samples::wav(99_956))).await.ok();
    world.end().await;
}

#[tokio::test]
async fn voices_made_at_once_keep_names_numbers_and_quotas() {
    let world = World::with(|config| {
        config.storage.voices = 3;
        config.quotas.stored_bytes = 4 * 1044;
    })
    .await;
    let user = world.user().await;
    let made = async |names: Vec<String>| {
        let making = names.iter().map(|name| create(&user, name, 1000));
        let replies = futures_util::future::join_all(making).await;
        replies
            .iter()
            .filter(|reply| reply.status != 200)
            .for_each(|reply| {
                reply.problem(409, "/problems/conflict");
            });
        replies.iter().filter(|reply| reply.status == 200).count()
    };
    assert_eq!(made(vec!["bob".into(); 6]).await, 1);
    assert_eq!(
        made((0..6).map(|number| format!("voice {number}")).collect()).await,
        2
    );
    assert_eq!(listed(&user).await.len(), 4);
    world.stored(3).await;
    // Below the number of voices, the bytes decide: at the limit, and above it.
    user.delete("/api/v1/voices/bob").await.ok();
    let large = create(&user, "large", 2 * 1044 - 43).await;
    assert_eq!(
        large.problem(429, "/problems/quota-exceeded"),
        large.body["detail"]
    );
    assert_eq!(large.body["quota"], "stored_bytes");
    create(&user, "large", 2 * 1044 - 44).await.ok();
    change(&user, "large", sample(2 * 1044 - 43, &[]))
        .await
        .problem(429, "/problems/quota-exceeded");
    world.end().await;
}
