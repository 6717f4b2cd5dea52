//! Parts of files, and files that the reader has already: over HTTP, by key and by link.
use reqwest::{Method, Response, header::HeaderMap};

use super::{id, speech, transcription, world_with_a_miner};
use crate::harness::{Multipart, Reply, User, World, samples};

/// A recording that was submitted, and how to ask for it.
struct Kept {
    world: World,
    user: User,
    content: Vec<u8>,
    url: String,
}

impl Kept {
    async fn new() -> Self {
        let (world, user) = world_with_a_miner().await;
        let content = samples::wav(300_000);
        let accepted = transcription(&user, &content).await.ok();
        let url = format!(
            "{}/api/v1/files/{}/download",
            world.server.url(),
            id(&accepted, "file_id")
        );
        Self {
            world,
            user,
            content,
            url,
        }
    }

    async fn ask(&self, method: Method, headers: &[(&str, &str)]) -> Response {
        let mut request = self.world.http.request(method, &self.url);
        request = request.header("X-API-Key", &self.user.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
        let response = self.ask(Method::GET, headers).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn a_range_is_a_part_of_the_file() {
    let kept = Kept::new().await;
    let length = kept.content.len();
    let last = length - 1;
    for (range, part) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=100-70000".into(), 100..70_001),
        (format!("bytes={last}-"), last..length),
        ("bytes=299000-99999999999999999999999".into(), 299_000..length),
        ("bytes=-10".into(), length - 10..length),
        (format!("bytes=-{}", length + 1), 0..length),
    ] {
        let (status, headers, bytes) = kept.get(&[("range", &range)]).await;
        assert_eq!(status, 206, "{range}");
        let span = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(headers["content-range"], span, "{range}");
        assert_eq!(headers["content-length"], part.len().to_string(), "{range}");
        assert_eq!(headers["content-type"], "audio/wav", "{range}");
        assert!(bytes == kept.content[part], "{range}");
    }
    // Several, and what is none, are answered with all.
    for range in ["bytes=0-1,5-6", "bytes=5-4", "seconds=0-1"] {
        let (status, headers, bytes) = kept.get(&[("range", range)]).await;
        assert_eq!(
            (status, headers["accept-ranges"].to_str().ok()),
            (200, Some("bytes")),
            "{range}"
        );
        assert!(
            !headers.contains_key("content-range") && bytes == kept.content,
            "{range}"
        );
    }
    for range in [format!("bytes={length}-"), "bytes=-0".into()] {
        let request = kept.world.http.get(&kept.url).header("X-API-Key", &kept.user.key);
        let reply = Reply::to(request.header("range", &range)).await;
        reply.problem(416, "/problems/range-not-satisfiable");
        assert_eq!(
            reply.headers["content-range"],
            format!("bytes */{length}"),
            "{range}"
        );
    }
    kept.world.end().await;
}

#[tokio::test]
async fn what_the_reader_has_is_not_sent_again() {
    let kept = Kept::new().await;
    let (_, headers, _) = kept.get(&[]).await;
    let tag = headers["etag"].to_str().unwrap();
    let modified = headers["last-modified"].to_str().unwrap();
    for condition in [
        ("if-none-match", tag),
        ("if-none-match", "*"),
        ("if-modified-since", modified),
    ] {
        let (status, headers, bytes) = kept.get(&[condition, ("range", "bytes=0-9")]).await;
        assert_eq!((status, bytes.len()), (304, 0), "{condition:?}");
        assert_eq!(headers["etag"], tag);
        assert_eq!(headers["cache-control"], "private, no-cache");
    }
    for (condition, status) in [
        (("if-none-match", "\"other\""), 200),
        (("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), 200),
        (("if-match", tag), 200),
        (("if-unmodified-since", modified), 200),
    ] {
        let (found, _, bytes) = kept.get(&[condition]).await;
        assert!(found == status && bytes == kept.content, "{condition:?}: {found}");
    }
    for condition in [
        ("if-match", "\"other\""),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let request = kept.world.http.get(&kept.url).header("X-API-Key", &kept.user.key);
        Reply::to(request.header(condition.0, condition.1))
            .await
            .problem(412, "/problems/precondition-failed");
    }
    // The rest of what was begun, or all of it when it is another file.
    for (known, expected) in [(tag, 206), (modified, 206), ("\"other\"", 200)] {
        let (status, _, bytes) = kept.get(&[("if-range", known), ("range", "bytes=100000-")]).await;
        let rest = if expected == 206 { 100_000 } else { 0 };
        assert!(
            status == expected && bytes == kept.content[rest..],
            "{known}: {status}"
        );
    }
    kept.world.end().await;
}

#[tokio::test]
async fn head_tells_what_get_would_send() {
    let kept = Kept::new().await;
    let (_, expected, _) = kept.get(&[]).await;
    let answer = kept.ask(Method::HEAD, &[("range", "bytes=0-0")]).await;
    assert_eq!(answer.status(), 200);
    for name in [
        "accept-ranges",
        "content-disposition",
        "content-length",
        "content-type",
        "etag",
        "last-modified",
        "x-content-type-options",
    ] {
        assert_eq!(answer.headers()[name], expected[name], "{name}");
    }
    assert!(answer.bytes().await.unwrap().is_empty());
    let tag = expected["etag"].to_str().unwrap();
    assert_eq!(
        kept.ask(Method::HEAD, &[("if-none-match", tag)]).await.status(),
        304
    );
    assert_eq!(
        kept.ask(Method::HEAD, &[("if-match", "\"other\"")])
            .await
            .status(),
        412
    );
    // Nothing is read for it: a file whose bytes are gone is still described.
    for object in kept.world.object_paths() {
        std::fs::remove_file(object).unwrap();
    }
    assert_eq!(kept.ask(Method::HEAD, &[]).await.status(), 200);
    assert_eq!(kept.ask(Method::GET, &[]).await.status(), 500);
    kept.world.end().await;
}

#[tokio::test]
async fn speech_is_played_from_where_one_likes() {
    let world = World::start().await;
    let miner = world.versatile(1).await.remove(0);
    let user = world.user().await;
    let task = speech(&user, 1).await;
    let sound = samples::wav(50_000);
    let uploaded = miner.upload(&task, &sound).await.ok();
    miner
        .post_answer(&miner.answer_of(&task, &crate::harness::Neuron::spoken(&uploaded)))
        .await
        .ok();
    let result = user.get(&format!("/api/v1/tts/{task}/result?wait=60")).await.ok();
    let link = result["audio_url"].as_str().unwrap();
    let response = world
        .http
        .get(link)
        .header("range", "bytes=-1000")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 206);
    assert!(response.bytes().await.unwrap() == sound[sound.len() - 1000..]);

    let path = format!("/api/v1/tts/audio/{}", id(&uploaded, "file_id"));
    let reply = user.get(&path).await;
    assert_eq!(
        (reply.status, reply.headers["content-type"].to_str().ok()),
        (200, Some("audio/wav"))
    );
    assert_eq!(reply.headers["content-length"], sound.len().to_string());
    world
        .user()
        .await
        .get(&path)
        .await
        .problem(404, "/problems/not-found");
    // What was sent in is no speech.
    let sent = transcription(&user, &samples::wav(1000)).await.ok();
    user.get(&format!("/api/v1/tts/audio/{}", id(&sent, "file_id")))
        .await
        .problem(404, "/problems/not-found");
    world.end().await;
}

#[tokio::test]
async fn texts_say_how_they_are_written() {
    let (world, user) = world_with_a_miner().await;
    let form = Multipart::new()
        .file("document_file", "a.txt", "Grüße".as_bytes())
        .field("source_language", "en")
        .field("target_language", "es");
    let accepted = Reply::to(form.put(user.post("/api/v1/document-translation")))
        .await
        .ok();
    let reply = user
        .get(&format!("/api/v1/files/{}/download", id(&accepted, "file_id")))
        .await;
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    world.end().await;
}
