//! `violet user` and `violet key`, beside a server on the same database.
use std::process::{Output, Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::harness::{Reply, World, eventually, translation};

/// Runs `violet` on the database of `world`, with this on its standard input.
async fn violet(world: &World, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_violet"))
        .args(arguments)
        .env("DATABASE_URL", &world.config().database.url)
        // Hashing is not what is tested.
        .env("VIOLET_IDENTITY__ARGON2_MEMORY_KIB", "8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Who refuses for another reason may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    child.wait_with_output().await.unwrap()
}

/// The one line that it prints.
#[track_caller]
fn line(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    out.strip_suffix('\n').expect("a whole line").to_owned()
}

#[track_caller]
fn assert_refused(output: &Output, word: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let err = String::from_utf8_lossy(&output.stderr);
    let last = err.lines().last().unwrap_or_default();
    assert!(last.starts_with("violet: ") && last.contains(word), "{err}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[tokio::test]
async fn users_and_keys_made_by_hand_submit_tasks() {
    let world = World::start().await;
    world.miners(1).await;
    let password = "correct horse\n";
    let first = line(&violet(&world, &["user", "create", "Me@example.org"], password).await);
    let admin = ["user", "create", "admin@example.org", "--admin"];
    let admin = line(&violet(&world, &admin, password).await);
    let second = ["key", "create", "me@example.org", "--name", "second"];
    let second = line(&violet(&world, &second, "").await);

    let mut owners = Vec::new();
    for key in [&first, &second, &admin] {
        let asked = |method, path| {
            let url = format!("{}/api/v1/{path}", world.server.url());
            world.http.request(method, url).header("X-API-Key", key)
        };
        let task = asked(reqwest::Method::POST, "text-translation").json(&translation(1));
        Reply::to(task).await.ok();
        let verified = Reply::to(asked(reqwest::Method::GET, "auth/verify-api-key")).await;
        owners.push(verified.ok()["user_id"].clone());
    }
    assert!(owners[0] == owners[1] && owners[0] != owners[2], "{owners:?}");
    assert_eq!(world.count("tasks").await, 3);
    assert_eq!(world.count("users where role = 'admin'").await, 1);
    assert_eq!(world.count("api_keys where name = 'second'").await, 1);

    keys_are_bounded_listed_and_revoked(&world).await;
    quotas_are_set(&world, &first).await;

    let again = violet(&world, &["user", "create", "me@example.org"], password).await;
    assert_refused(&again, "registered already");
    let weak = violet(&world, &["user", "create", "other@example.org"], "short\n").await;
    assert_refused(&weak, "password");
    let unknown = violet(&world, &["key", "create", "nobody@example.org"], "").await;
    assert_refused(&unknown, "user");
    assert_eq!(world.count("users").await, 2);
    assert_eq!(world.count("api_keys").await, 4);

    passwords_are_changed_and_events_told(&world, password).await;
    world.end().await;
}

/// Another password, and the log as lines.
async fn passwords_are_changed_and_events_told(world: &World, password: &str) {
    let login = |password: &'static str| {
        let credentials = serde_json::json!({ "email": "me@example.org", "password": password });
        let request = world
            .http
            .post(format!("{}/api/v1/auth/login", world.server.url()));
        Reply::to(request.json(&credentials))
    };
    login("correct horse").await.ok();
    let changed = violet(world, &["user", "password", "me@example.org"], "battery staple\n").await;
    assert!(line(&changed).contains("changed"));
    login("correct horse")
        .await
        .problem(401, "/problems/unauthenticated");
    login("battery staple").await.ok();
    let unknown = violet(world, &["user", "password", "nobody@example.org"], password).await;
    assert_refused(&unknown, "user");
    let exported = violet(world, &["audit", "security-events"], "").await;
    let lines: Vec<serde_json::Value> = String::from_utf8(exported.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<&str> = lines
        .iter()
        .rev()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    let expected = [
        "user.registered",
        "user.registered",
        "key.made",
        "key.made",
        "key.revoked",
        "login",
        "password.reset",
        "login",
        "login",
    ];
    assert_eq!(told, expected);
    let logins = violet(world, &["audit", "security-events", "--event", "login"], "").await;
    assert_eq!(String::from_utf8(logins.stdout).unwrap().lines().count(), 3);
}

async fn keys_are_bounded_listed_and_revoked(world: &World) {
    let me = "me@example.org";
    let key = async |more: &[&str]| violet(world, &[&["key"], more].concat(), "").await;
    let scopes = ["create", me, "--scope", "keys:manage", "--scope", "read"];
    let made = line(
        &key(&[
            &scopes[..],
            &["--expires-at", "2030-01-01T00:00:00Z", "--name", "third"],
        ]
        .concat())
        .await,
    );
    let listing = || {
        let url = format!("{}/api/v1/auth/api-keys", world.server.url());
        Reply::to(world.http.get(url).header("X-API-Key", &made))
    };
    let listed = listing().await.ok();
    let id = listed["keys"][0]["api_key_id"].as_str().unwrap();
    assert_eq!(listed["keys"][0]["name"], "third");

    let output = key(&["list", me]).await;
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let first = lines.lines().next().unwrap();
    for part in [
        id,
        &made[..13],
        "expires 2030-01-01T00:00:00Z",
        "third",
        "keys:manage",
    ] {
        assert!(first.contains(part), "{lines}");
    }
    assert!(!lines.contains(&made[13..]), "{lines}");

    assert_refused(&key(&["create", me, "--scope", "fly"]).await, "tasks:tts");
    assert_refused(
        &key(&["create", me, "--expires-at", "2020-01-01T00:00:00Z"]).await,
        "future",
    );
    assert_refused(&key(&["revoke", "admin@example.org", id]).await, "API key");
    assert!(line(&key(&["revoke", me, id]).await).contains("third"));
    eventually("the server refuses the key", || async {
        (listing().await.status == 401).then_some(())
    })
    .await;
}

async fn quotas_are_set(world: &World, secret: &str) {
    let quota = async |more: &[&str]| violet(world, &[&["quota"], more].concat(), "").await;
    line(&quota(&["set", "me@example.org", "--daily-characters", "0"]).await);
    let shown = String::from_utf8(quota(&["show", "me@example.org"]).await.stdout).unwrap();
    assert!(shown.contains("daily_characters  34 of 0"), "{shown}");
    assert!(shown.contains("concurrent_tasks  2 of 2000"), "{shown}");
    let url = format!("{}/api/v1/text-translation", world.server.url());
    let task = world
        .http
        .post(url)
        .header("X-API-Key", secret)
        .json(&translation(1));
    Reply::to(task).await.problem(429, "/problems/quota-exceeded");
    assert_refused(&quota(&["show", "nobody@example.org"]).await, "user");
}
