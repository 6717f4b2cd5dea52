//! Files that users send: what they may be, how large, and under which names.
use futures_util::stream;
use serde_json::json;

use super::{assert_nothing_stays, id, transcribe, transcription, world_with_a_miner};
use crate::harness::{Multipart, Reply, User, World, samples};

/// Submits a document with its languages.
async fn document(user: &User, file: &[u8]) -> Reply {
    let form = Multipart::new()
        .file("document_file", "a", file)
        .field("source_language", "en")
        .field("target_language", "es");
    Reply::to(form.put(user.post("/api/v1/document-translation"))).await
}

/// A WAV whose sound follows notes of this length.
fn wav_with_notes(notes: usize, declared: u32, bytes: usize) -> Vec<u8> {
    let mut file = samples::wav_of(declared, bytes);
    let sound = file.split_off(36);
    file.extend(b"LIST");
    file.extend(u32::try_from(notes).unwrap().to_le_bytes());
    file.extend(vec![b'd'; notes.next_multiple_of(2)]);
    [file, sound].concat()
}

async fn video(user: &User, file: &[u8]) -> Reply {
    let form = Multipart::new().file("video_file", "a.mp4", file);
    Reply::to(form.put(user.post("/api/v1/video-transcription"))).await
}

#[tokio::test]
async fn a_file_of_another_kind_or_an_empty_or_truncated_one_is_refused() {
    let (world, user) = world_with_a_miner().await;
    transcription(&user, b"").await.invalid("audio_file");
    video(&user, b"").await.invalid("video_file");
    document(&user, b"").await.invalid("document_file");
    let text = "Dear Sir or Madam, ".repeat(1000).into_bytes();
    let latin_1 = [&text[..], b"d\xe9j\xe0 vu"].concat();
    for (reply, field) in [
        (transcription(&user, &text).await, "audio_file"),
        (transcription(&user, &samples::png()).await, "audio_file"),
        (transcription(&user, b"a").await, "audio_file"),
        (video(&user, &samples::png()).await, "video_file"),
        (video(&user, &samples::wav(100)).await, "video_file"),
        (video(&user, &text).await, "video_file"),
        (
            document(&user, &samples::zip(&["readme.txt"])).await,
            "document_file",
        ),
        (
            document(&user, &samples::zip(&["[Content_Types].xml", "xl/workbook.xml"])).await,
            "document_file",
        ),
        (document(&user, &samples::wav(100)).await, "document_file"),
        (document(&user, b"d\xe9j\xe0 vu").await, "document_file"),
        // Cut within a character, or in another encoding after a long and plain beginning.
        (document(&user, b"caf\xe9").await, "document_file"),
        (document(&user, &latin_1).await, "document_file"),
        (document(&user, b"a\0b").await, "document_file"),
    ] {
        reply.problem(415, "/problems/unsupported-media");
        assert_eq!(reply.body["field"], field);
    }
    for (declared, bytes) in [(101, 100), (50_001, 50_000), (1 << 30, 0)] {
        for file in [
            samples::wav_of(declared, bytes),
            wav_with_notes(20_001, declared, bytes),
            // No sound at all.
            wav_with_notes(20_001, declared, bytes)[..20_000].to_vec(),
        ] {
            let reply = transcription(&user, &file).await;
            assert!(reply.invalid("audio_file").contains("truncated"));
        }
    }
    transcription(&user, &samples::wav(100)[..40])
        .await
        .invalid("audio_file");
    assert_nothing_stays(&world).await;
    world.end().await;
}

#[tokio::test]
async fn content_decides_what_a_file_is() {
    let (world, user) = world_with_a_miner().await;
    // Programs that write to a pipe do not know the length.
    for declared in [0, u32::MAX] {
        transcription(&user, &samples::wav_of(declared, 1000)).await.ok();
        transcription(&user, &wav_with_notes(20_001, declared, 1000))
            .await
            .ok();
    }
    for (reply, format) in [
        (transcription(&user, &samples::wav(100)).await, "audio/wav"),
        (
            transcription(&user, &wav_with_notes(200_001, 3000, 3000)).await,
            "audio/wav",
        ),
        (transcription(&user, &samples::mp3()).await, "audio/mpeg"),
        (transcription(&user, &samples::mp4()).await, "video/mp4"),
        (video(&user, &samples::mp4()).await, "video/mp4"),
        (document(&user, &samples::pdf()).await, "application/pdf"),
        (
            document(&user, &samples::docx()).await,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (document(&user, "déjà vu".as_bytes()).await, "text/plain"),
        (document(&user, "ä".repeat(10_001).as_bytes()).await, "text/plain"),
        (document(&user, b"a").await, "text/plain"),
    ] {
        assert_eq!(reply.ok()["file_format"], format);
    }
    assert_eq!(world.objects().len(), 14);
    world.end().await;
}

#[tokio::test]
async fn a_form_has_one_file_before_or_after_its_fields() {
    let (world, user) = world_with_a_miner().await;
    let file = samples::wav(100);
    let missing = Multipart::new().field("source_language", "en");
    Reply::to(missing.put(transcribe(&user)))
        .await
        .invalid("audio_file");
    let elsewhere = Multipart::new().file("video_file", "a.wav", &file);
    Reply::to(elsewhere.put(transcribe(&user)))
        .await
        .invalid("audio_file");
    let twice = Multipart::new()
        .file("audio_file", "a.wav", &file)
        .file("audio_file", "b.wav", &file);
    Reply::to(twice.put(transcribe(&user)))
        .await
        .invalid("audio_file");
    let long = Multipart::new()
        .file("audio_file", "a.wav", &file)
        .field("note", "x".repeat(70_000));
    Reply::to(long.put(transcribe(&user)))
        .await
        .problem(413, "/problems/too-large");
    for kind in [
        "application/json",
        "application/x-www-form-urlencoded",
        "audio/wav",
    ] {
        let request = transcribe(&user).header("content-type", kind).body(file.clone());
        Reply::to(request)
            .await
            .problem(415, "/problems/unsupported-media");
    }
    let unbounded = transcribe(&user)
        .header("content-type", "multipart/form-data")
        .body(file.clone());
    Reply::to(unbounded)
        .await
        .problem(400, "/problems/malformed-request");
    assert_nothing_stays(&world).await;

    let fields = |form: Multipart| form.field("priority", "high").field("required_miner_count", "1");
    let after = fields(Multipart::new().file("audio_file", "a.wav", &file));
    let before = fields(Multipart::new()).file("audio_file", "a.wav", &file);
    for form in [after, before] {
        let accepted = Reply::to(form.put(transcribe(&user))).await.ok();
        let task = user
            .get(&format!("/api/v1/tasks/{}", id(&accepted, "task_id")))
            .await
            .ok();
        assert_eq!(
            (&task["priority"], &task["required_miner_count"]),
            (&json!("high"), &json!(1))
        );
    }
    world.end().await;
}

#[tokio::test]
async fn what_is_around_a_file_has_a_limit() {
    let (world, user) = world_with_a_miner().await;
    let file = samples::wav(300_000);
    let many = |count: usize| (0..count).fold(Multipart::new(), |form, _| form.field("note", "x"));
    let submit = async |before: &[u8], form: Multipart| {
        let body = [before, &form.bytes()].concat();
        // Without a declared length: what is sent decides.
        let pieces: Vec<std::io::Result<Vec<u8>>> =
            body.chunks(30_000).map(|piece| Ok(piece.to_vec())).collect();
        let request = transcribe(&user)
            .header("content-type", Multipart::kind())
            .body(reqwest::Body::wrap_stream(stream::iter(pieces)));
        Reply::to(request).await
    };
    let with_file = |form: Multipart| form.file("audio_file", "a.wav", &file);
    // What belongs to no part, long values, many parts: each before and after the file.
    for (before, form) in [
        (100_000, with_file(Multipart::new())),
        (0, with_file(Multipart::new().field("note", "x".repeat(60_000)))),
        (0, with_file(Multipart::new()).field("note", "x".repeat(60_000))),
        (0, with_file(many(900))),
        (
            0,
            (0..900).fold(with_file(Multipart::new()), |form, _| form.field("note", "x")),
        ),
    ] {
        let accepted = submit(&vec![b' '; before], form).await.ok();
        assert_eq!(accepted["file_size"], file.len());
    }
    for (before, form) in [
        (250_000, with_file(Multipart::new())),
        (0, with_file(Multipart::new().field("note", "x".repeat(70_000)))),
        (0, with_file(Multipart::new()).field("note", "x".repeat(70_000))),
        (0, with_file(many(1100))),
        (
            0,
            (0..1100).fold(with_file(Multipart::new()), |form, _| form.field("note", "x")),
        ),
    ] {
        submit(&vec![b' '; before], form)
            .await
            .problem(413, "/problems/too-large");
    }
    assert_eq!(world.stored(5).await.len(), 5);
    world.end().await;
}

#[tokio::test]
async fn the_limit_is_the_last_size_that_is_taken() {
    const LIMIT: usize = 150_000;
    let world = World::with(|config| config.tasks.audio_bytes = LIMIT as u64).await;
    world.versatile(1).await;
    let user = world.user().await;
    let chunked = |form: Multipart| {
        let pieces: Vec<std::io::Result<Vec<u8>>> = form
            .bytes()
            .chunks(10_000)
            .map(|piece| Ok(piece.to_vec()))
            .collect();
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        transcribe(&user)
            .header("content-type", Multipart::kind())
            .body(body)
    };
    // The header of a WAV has 44 bytes.
    let form = |size: usize| Multipart::new().file("audio_file", "a.wav", &samples::wav(size - 44));
    for request in [form(LIMIT).put(transcribe(&user)), chunked(form(LIMIT))] {
        assert_eq!(Reply::to(request).await.ok()["file_size"], LIMIT);
    }
    for request in [form(LIMIT + 1).put(transcribe(&user)), chunked(form(LIMIT + 1))] {
        let reply = Reply::to(request).await;
        let detail = reply.problem(413, "/problems/too-large");
        assert!(detail.contains("150000"), "{detail}");
        assert_eq!(reply.body["field"], "audio_file");
    }
    // The others have limits of their own.
    let video = Multipart::new().file("video_file", "a.mp4", &[samples::mp4(), vec![0; LIMIT]].concat());
    Reply::to(video.put(user.post("/api/v1/video-transcription")))
        .await
        .ok();
    assert_eq!(world.stored(3).await.len(), 3);
    assert_eq!(world.count("files").await, 3);
    world.end().await;
}

#[tokio::test]
async fn a_name_is_only_shown() {
    let (world, user) = world_with_a_miner().await;
    let long = "n".repeat(900);
    for (sent, shown) in [
        ("../../etc/passwd", "../../etc/passwd"),
        ("C:\\music\\a.wav", "C:\\music\\a.wav"),
        ("say \\\"hi\\\".wav", "say \"hi\".wav"),
        ("über 你好 🏠.wav", "über 你好 🏠.wav"),
        ("a\tb.wav", "ab.wav"),
        ("", ""),
        (&long[..], &long[..500]),
    ] {
        let form = Multipart::new().file("audio_file", sent, &samples::wav(100));
        let accepted = Reply::to(form.put(transcribe(&user))).await.ok();
        assert_eq!(accepted["file_name"], shown);
        let file = user
            .get(&format!("/api/v1/files/{}/download", id(&accepted, "file_id")))
            .await;
        assert_eq!(file.status, 200);
        let encoded = file.headers["content-disposition"].to_str().unwrap();
        let encoded = encoded.strip_prefix("attachment; filename*=UTF-8''").unwrap();
        let decoded = percent_encoding::percent_decode_str(encoded);
        assert_eq!(decoded.decode_utf8().unwrap(), shown);
    }
    // Objects are named after their ids, in one folder.
    for object in world.objects() {
        assert_eq!(object.len(), 36, "{object}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_repeated_request_finds_its_task_and_leaves_no_second_file() {
    let (world, user) = world_with_a_miner().await;
    let submit = async |file: &[u8], name: &str, key: &str| {
        let form = Multipart::new().file("audio_file", name, file);
        Reply::to(form.put(transcribe(&user).header("Idempotency-Key", key))).await
    };
    let file = samples::wav(30_000);
    let first = submit(&file, "a.wav", "key-1").await.ok();
    let again = submit(&file, "a.wav", "key-1").await.ok();
    assert_eq!(again, first);
    // At the same moment, with a new key: one task, and every answer says so.
    let (one, two, three) = tokio::join!(
        submit(&file, "a.wav", "key-2"),
        submit(&file, "a.wav", "key-2"),
        submit(&file, "a.wav", "key-2")
    );
    let (one, two, three) = (one.ok(), two.ok(), three.ok());
    assert_eq!(
        (&one["task_id"], &one["file_id"]),
        (&two["task_id"], &two["file_id"])
    );
    assert_eq!(
        (&one["task_id"], &one["file_id"]),
        (&three["task_id"], &three["file_id"])
    );
    submit(&samples::wav(30_002), "a.wav", "key-1")
        .await
        .problem(422, "/problems/idempotency-key-reused");
    let mut objects = world.stored(2).await;
    objects.sort();
    let mut ids = [id(&first, "file_id"), id(&one, "file_id")];
    ids.sort_unstable();
    assert_eq!(objects, ids);
    assert_eq!(world.count("files").await, 2);
    world.end().await;
}

#[tokio::test]
async fn a_refused_task_leaves_no_file() {
    let (world, user) = world_with_a_miner().await;
    for (field, value, kind) in [
        ("source_language", "English", "/problems/invalid-value"),
        ("source_language", "de", "/problems/no-engine"),
        ("model_id", "openai/nonsense", "/problems/invalid-value"),
        ("priority", "soon", "/problems/invalid-value"),
        ("required_miner_count", "11", "/problems/invalid-value"),
        ("required_miner_count", "many", "/problems/invalid-value"),
        ("require_model", "perhaps", "/problems/invalid-value"),
        ("require_model", "true", "/problems/invalid-value"),
    ] {
        let form = Multipart::new()
            .file("audio_file", "a.wav", &samples::wav(100))
            .field(field, value);
        Reply::to(form.put(transcribe(&user))).await.problem(422, kind);
    }
    let form = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(100))
        .field("source_language", b"\xff");
    Reply::to(form.put(transcribe(&user)))
        .await
        .invalid("source_language");
    let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(100));
    let request = form.put(transcribe(&user).header("Idempotency-Key", "with space"));
    Reply::to(request).await.invalid("Idempotency-Key");
    document(&user, b"a").await.ok();
    let same = Multipart::new()
        .file("document_file", "a", b"a")
        .field("source_language", "en")
        .field("target_language", "en");
    Reply::to(same.put(user.post("/api/v1/document-translation")))
        .await
        .invalid("target_language");
    assert_eq!(world.stored(1).await.len(), 1);
    assert_eq!(world.count("files").await, 1);
    world.end().await;
}

#[tokio::test]
async fn a_file_under_another_name_is_told_where_it_belongs() {
    let (world, user) = world_with_a_miner().await;
    let form = Multipart::new().file("file", "a.wav", &samples::wav(200_000));
    let reply = Reply::to(form.put(transcribe(&user))).await;
    let detail = reply.problem(422, "/problems/invalid-value");
    assert!(
        detail.starts_with("audio_file: ") && detail.contains("\"file\""),
        "{detail}"
    );
    assert_nothing_stays(&world).await;
    world.end().await;
}
