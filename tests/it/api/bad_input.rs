//! What is refused, with what, and that nothing is stored of it.
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{MODEL, Multipart, Reply, TEXT, User, World, translation};

/// Everything that accepting a task writes.
const TABLES: [&str; 5] = [
    "tasks",
    "text_content",
    "task_open",
    "task_assignments",
    "idempotency_keys",
];

async fn assert_nothing_stored(world: &World) {
    for table in TABLES {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

/// The ordinary fields with one changed.
fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut fields = translation(1);
    fields[field] = value.into();
    fields
}

async fn world_with_a_miner() -> (World, User) {
    let world = World::start().await;
    world.miners(1).await;
    let user = world.user().await;
    (world, user)
}

#[tokio::test]
async fn a_field_that_is_off_is_named() {
    let (world, user) = world_with_a_miner().await;
    for field in ["text", "source_language", "target_language"] {
        for missing in [Value::Null, json!("")] {
            user.submit_raw(&with(field, missing)).await.invalid(field);
        }
        user.submit_raw(&with(field, json!(["en"]))).await.invalid(field);
        user.submit_raw(&with(field, "a\0b")).await.invalid(field);
    }
    for blank in [" ", "\n\t", "\u{a0}"] {
        let reply = user.submit_raw(&with("text", blank)).await;
        assert_eq!(reply.invalid("text"), "text: must not be empty");
    }
    for tag in [
        "english",
        "EN",
        "e",
        "en_US",
        "en-",
        "1n",
        "en-waytoolong",
        "../../etc",
        "en;drop",
        "\u{fe}n",
    ] {
        user.submit_raw(&with("source_language", tag))
            .await
            .invalid("source_language");
        user.submit_raw(&with("target_language", tag))
            .await
            .invalid("target_language");
    }
    let same = user.submit_raw(&with("target_language", "en")).await;
    assert!(same.invalid("target_language").contains("differ"));
    for priority in ["", "highest", "URGENT", "1", "normal; drop table tasks"] {
        user.submit_raw(&with("priority", priority))
            .await
            .invalid("priority");
    }
    for count in [
        json!(0),
        json!(11),
        json!(255),
        json!(256),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!(""),
        json!(true),
    ] {
        user.submit_raw(&with("required_miner_count", count))
            .await
            .invalid("required_miner_count");
    }
    for flag in [json!("yes"), json!(1), json!("")] {
        user.submit_raw(&with("require_model", flag))
            .await
            .invalid("require_model");
    }
    assert_nothing_stored(&world).await;
    world.end().await;
}

#[tokio::test]
async fn what_nobody_serves_is_refused_with_what_is_served() {
    let (world, user) = world_with_a_miner().await;
    let long = "x".repeat(300);
    for model in ["no/such-model", "a\0b", &long] {
        let reply = user.submit_raw(&with("model_id", model)).await;
        assert!(reply.invalid("model_id").contains("t5-small"));
    }
    let mut exact = with("require_model", true);
    user.submit_raw(&exact).await.invalid("model_id");
    exact["model_id"] = "t5-small".into();
    let reply = user.submit_raw(&exact).await;
    let detail = reply.problem(422, "/problems/no-engine");
    assert!(detail.contains("t5-small") && detail.contains(MODEL), "{detail}");
    let reply = user.submit_raw(&with("target_language", "fr")).await;
    let detail = reply.problem(422, "/problems/no-engine");
    assert!(
        detail.contains("en to fr") && detail.contains("en-es"),
        "{detail}"
    );
    assert_nothing_stored(&world).await;

    // A preference for a model that nobody runs is only a preference, and the result says what ran.
    let task = user.submit(&with("model_id", "t5-small")).await;
    let miner = world.silent_miner(1);
    assert_eq!(miner.receive(&task).await["requested_model"], "t5-small");
    miner.answer(&task, "Casa").await;
    let result = user.result(&task).await;
    assert_eq!(
        (&result["requested_model"], &result["model_id"]),
        (&"t5-small".into(), &MODEL.into())
    );
    exact["model_id"] = MODEL.into();
    user.submit_raw(&exact).await.ok();
    world.end().await;
}

#[tokio::test]
async fn before_any_miner_came_nothing_is_served() {
    let world = World::start().await;
    let user = world.user().await;
    let reply = user.submit_raw(&translation(1)).await;
    assert!(
        reply
            .problem(422, "/problems/no-engine")
            .contains("served are none")
    );
    assert_nothing_stored(&world).await;
    world.end().await;
}

#[tokio::test]
async fn a_text_has_limits_in_characters_and_in_bytes() {
    let (world, user) = world_with_a_miner().await;
    for long in ["x".repeat(10_001), "\u{1f3e0}".repeat(4_097), "x".repeat(17_000)] {
        let reply = user.submit_raw(&with("text", long.as_str())).await;
        assert!(
            reply
                .problem(413, "/problems/too-large")
                .contains("10000 characters and 16384 bytes")
        );
        assert_eq!(reply.body["field"], "text");
        let form = [
            ("text", long.as_str()),
            ("source_language", "en"),
            ("target_language", "es"),
        ];
        Reply::to(user.translate().form(&form))
            .await
            .problem(413, "/problems/too-large");
    }
    // Longer than any text of the limit can be in this form.
    let huge = "x".repeat(200_000);
    Reply::to(user.translate().json(&with("text", huge.as_str())))
        .await
        .problem(413, "/problems/too-large");
    let form = Multipart::new().field("text", &huge);
    Reply::to(form.put(user.translate()))
        .await
        .problem(413, "/problems/too-large");
    // The same without a declared length.
    for kind in [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
    ] {
        let head = b"--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n".to_vec();
        let chunks = std::iter::once(head).chain((0..20).map(|_| vec![b'x'; 10_000]));
        let body =
            reqwest::Body::wrap_stream(futures_util::stream::iter(chunks.map(Ok::<_, std::io::Error>)));
        let request = user.translate().header("content-type", kind).body(body);
        Reply::to(request).await.problem(413, "/problems/too-large");
    }
    assert_nothing_stored(&world).await;

    for (text, length) in [
        ("x".repeat(10_000), 10_000),
        ("\u{1f3e0}".repeat(4_096), 4_096),
        // White space around it does not count against it.
        (format!("  {}\n", "x".repeat(10_000)), 10_003),
        ("x".into(), 1),
    ] {
        let accepted = user.submit_raw(&with("text", text.as_str())).await.ok();
        assert_eq!(accepted["text_length"], length);
    }
    world.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused_in_every_form() {
    let (world, user) = world_with_a_miner().await;
    let urlencoded = |body: &'static str| {
        user.translate()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let languages = "source_language=en&target_language=es";
    for body in [
        "text=%FF&source_language=en&target_language=es",
        "text=a%C3&source_language=en&target_language=es",
    ] {
        Reply::to(urlencoded(body)).await.invalid("text");
    }
    let raw_nul = "text=a%00b&source_language=en&target_language=es";
    Reply::to(urlencoded(raw_nul)).await.invalid("text");
    let multipart = |text: &[u8]| {
        Multipart::new()
            .field("text", text)
            .field("source_language", "en")
            .field("target_language", "es")
            .put(user.translate())
    };
    Reply::to(multipart(b"a\xffb")).await.invalid("text");
    Reply::to(multipart(b"a\0b")).await.invalid("text");
    let json = |body: Vec<u8>| {
        user.translate()
            .header("content-type", "application/json")
            .body(body)
    };
    let broken = b"{\"text\":\"\xff\",\"source_language\":\"en\",\"target_language\":\"es\"}".to_vec();
    Reply::to(json(broken))
        .await
        .problem(400, "/problems/malformed-request");
    for body in [
        "",
        "{",
        "[]",
        "\"text\"",
        "{\"text\":\"\\ud800\"}",
        "{\"text\": 1,}",
    ] {
        Reply::to(json(body.into()))
            .await
            .problem(400, "/problems/malformed-request");
    }
    let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    Reply::to(json(nested.into()))
        .await
        .problem(400, "/problems/malformed-request");

    // What is not asked for may hold anything.
    let body = "text=The+house&extra=%FF&source_language=en&target_language=es";
    Reply::to(urlencoded(body)).await.ok();
    assert!(body.ends_with(languages));
    let form = Multipart::new()
        .field("text", TEXT)
        .field("source_language", "en")
        .field("target_language", "es")
        // Only speech has a voice.
        .field("voice_name", "of nobody")
        .field("extra", b"\xff");
    Reply::to(form.put(user.translate())).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_body_of_another_kind_or_cut_off_is_refused() {
    let (world, user) = world_with_a_miner().await;
    for kind in ["text/plain", "application/octet-stream", "application/xml", ""] {
        let request = user.translate().header("content-type", kind).body("text=a");
        Reply::to(request)
            .await
            .problem(415, "/problems/unsupported-media");
    }
    Reply::to(user.translate().body("text=a"))
        .await
        .problem(415, "/problems/unsupported-media");
    let without = user
        .translate()
        .header("content-type", "multipart/form-data")
        .body("text=a");
    Reply::to(without)
        .await
        .problem(400, "/problems/malformed-request");
    let cut = user
        .translate()
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\nContent-Dis");
    Reply::to(cut).await.problem(400, "/problems/malformed-request");
    assert_nothing_stored(&world).await;
    world.end().await;
}

/// Sends only the head of a request, and reads the status of the answer.
async fn status_of_head(world: &World, head: &str) -> String {
    let mut stream = TcpStream::connect(world.server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    let read = stream.read_exact(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(60), read)
        .await
        .expect("answered unread")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

/// Headers of a stranger that are of their form and of now: that they fit nothing is seen when the body is there.
fn claim(world: &World, path: &str) -> Vec<String> {
    let headers = world.stranger().signed("POST", path, b"another body");
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_is_read() {
    let (world, user) = world_with_a_miner().await;
    let head = |path: &str, kind: &str, credentials: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: violet\r\n{credentials}\r\nContent-Type: {kind}\r\n\
             Content-Length: 10737418240\r\n\r\n"
        )
    };
    let key = format!("X-API-Key: {}", user.key);
    for kind in [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
    ] {
        let head = head("/api/v1/text-translation", kind, &key);
        assert_eq!(status_of_head(&world, &head).await, "HTTP/1.1 413");
    }
    for path in ["miner/heartbeat", "validator/evaluations", "auth/register"] {
        let path = format!("/api/v1/{path}");
        let head = head(&path, "application/json", &claim(&world, &path).join("\r\n"));
        assert_eq!(status_of_head(&world, &head).await, "HTTP/1.1 413", "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_json_body_that_is_cut_off_is_malformed_and_a_long_one_too_large() {
    const LIMIT: usize = 5_000;
    let world = World::with(|config| config.identity.signed_body_bytes = LIMIT).await;
    for path in ["miner/heartbeat", "validator/evaluations", "auth/register"] {
        let path = format!("/api/v1/{path}");
        // Half of what was announced, and nothing more will come.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: violet\r\nContent-Type: application/json\r\n{}\r\n\
             Content-Length: 100\r\n\r\n{{\"email\":",
            claim(&world, &path).join("\r\n")
        );
        let mut stream = TcpStream::connect(world.server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(answer.contains("did not arrive whole"), "{path}: {answer}");

        // Without a declared length the limit shows on the way.
        let sized = |bytes: usize| {
            let mut body = br#"{"email":"someone@example.org","password":"long enough 1"}"#.to_vec();
            body.resize(bytes, b' ');
            let pieces: Vec<std::io::Result<Vec<u8>>> =
                body.chunks(1000).map(|piece| Ok(piece.to_vec())).collect();
            let request = world
                .http
                .post(format!("{}{path}", world.server.url()))
                .header("content-type", "application/json");
            claim(&world, &path)
                .iter()
                .filter_map(|line| line.split_once(": "))
                .fold(request, |request, (name, value)| request.header(name, value))
                .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
        };
        let reply = Reply::to(sized(LIMIT + 1)).await;
        assert!(reply.problem(413, "/problems/too-large").contains("5000"));
        let whole = Reply::to(sized(LIMIT)).await;
        // The signature is none; an account needs none.
        let expected = if path.ends_with("register") { 200 } else { 401 };
        assert_eq!(whole.status, expected, "{path}: {:?}", whole.body);
    }
    world.end().await;
}

#[tokio::test]
async fn paths_and_queries_are_checked() {
    let (world, user) = world_with_a_miner().await;
    for (path, status) in [
        ("/api/v1/tasks/nonsense", 400),
        ("/api/v1/task/nonsense/status", 400),
        (
            "/api/v1/task/0192f0c1-2a3b-7c4d-8e5f-000000000001/status?wait=x",
            400,
        ),
        (
            "/api/v1/task/0192f0c1-2a3b-7c4d-8e5f-000000000001/status?wait=-1",
            400,
        ),
        (
            "/api/v1/task/0192f0c1-2a3b-7c4d-8e5f-000000000001/status?wait=61",
            400,
        ),
        ("/api/v1/tasks?limit=0", 400),
        ("/api/v1/tasks?limit=1001", 400),
        ("/api/v1/tasks?limit=x", 400),
        ("/api/v1/tasks?limit=70000", 400),
        ("/api/v1/tasks?before=x", 400),
        ("/api/v1/tasks?status=unheard-of", 400),
        ("/api/v1/tasks?status=", 400),
        ("/api/v1/neurons/1/history?before=x", 400),
    ] {
        user.get(path)
            .await
            .problem(status, "/problems/malformed-request");
    }
    let miner = world.silent_miner(1);
    for (path, status) in [
        ("/api/v1/miners/x/tasks", 400),
        ("/api/v1/miners/70000/tasks", 400),
    ] {
        miner
            .get(path)
            .await
            .problem(status, "/problems/malformed-request");
    }
    miner
        .get("/api/v1/miners/0/tasks?status=unheard-of")
        .await
        .invalid("status");
    world.end().await;
}
