//! `violet user` and `violet key`, beside a server on the same database.
use std::process::{Output, Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::harness::{Reply, World, translation};

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

    let again = violet(&world, &["user", "create", "me@example.org"], password).await;
    assert_refused(&again, "registered already");
    let weak = violet(&world, &["user", "create", "other@example.org"], "short\n").await;
    assert_refused(&weak, "password");
    let unknown = violet(&world, &["key", "create", "nobody@example.org"], "").await;
    assert_refused(&unknown, "user");
    assert_eq!(world.count("users").await, 2);
    assert_eq!(world.count("api_keys").await, 3);
    world.end().await;
}
