//! `violet dev`: what it accepted is kept, whatever ends it, and nothing else stays.
use std::{
    fs,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{ENOUGH, PATIENCE, SOON, User, Violet, assert_nothing_left, descendants, folder, postgres};
use crate::harness::{TEXT, eventually};

/// Runs `violet audit verify` on this receipt: its status and its last line.
async fn verified(receipt: &Value) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("receipt.json");
    fs::write(&file, receipt.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_violet"))
        .args(["audit", "verify"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (
        output.status.code(),
        text.lines().last().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn what_dev_accepted_outlives_ctrl_c_and_nothing_else_does() {
    let folder = folder();
    let state = folder.path().join("state");
    let mut first = Violet::dev(&state);
    let url = first.up().await;
    let user = User::register(&url).await;
    let ready = user.http.get(format!("{url}/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let task = user.submit(&url, 3).await;
    let translated = user.result(&url, &task).await;
    assert!(translated.contains("casa"), "{TEXT} became {translated}");
    let ended = user.end(&url, &task).await;
    assert_eq!(ended["status"], "approved", "{ended}");

    // The randomness of the draw is published a while after it.
    let path = format!("/api/v1/audit/tasks/{task}");
    let started = Instant::now();
    let mut receipt = loop {
        let receipt = user.get(&url, &path).await;
        if receipt["revealed"] != json!([]) {
            break receipt;
        }
        assert!(started.elapsed() < PATIENCE, "the base is not published");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (code, verdict) = verified(&receipt).await;
    assert!(verdict.starts_with("verified: "), "{verdict}");
    assert_eq!(code, Some(0));
    let mut early = receipt.clone();
    early["revealed"] = json!([]);
    let (code, verdict) = verified(&early).await;
    assert!(verdict.starts_with("incomplete: 1 missing, "), "{verdict}");
    assert_eq!(code, Some(3));
    receipt["request"]["netuid"] = 2.into();
    let (code, verdict) = verified(&receipt).await;
    assert!(verdict.starts_with("FAILED: "), "{verdict}");
    assert_eq!(code, Some(1));

    // One at a time on one state.
    let refusal = Violet::dev(&state).refuses().await;
    assert!(
        refusal.contains(&format!("another violet (process {})", first.pid)),
        "{refusal}"
    );

    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(user.submit(&url, 3).await);
    }
    // Engines are at work, and one of them is a process.
    let started = eventually("an engine runs", || async {
        Some(descendants(first.pid)).filter(|all| {
            let engine = |pid: &Pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name != "postgres\n")
            };
            all.iter().any(engine)
        })
    })
    .await;
    assert!(started.contains(&postgres(&state)));
    first.interrupted().await;
    assert_nothing_left(&state, &started);

    let mut second = Violet::dev(&state);
    let url = second.up().await;
    assert_eq!(user.result(&url, &task).await, translated);
    for task in &open {
        assert_eq!(user.result(&url, task).await, translated);
    }
    let started = descendants(second.pid);
    second.interrupted().await;
    assert_nothing_left(&state, &started);
}

#[tokio::test]
async fn what_dev_accepted_outlives_a_kill_of_it_and_of_its_database() {
    let folder = folder();
    let state = folder.path().join("state");
    let mut dev = Violet::dev(&state);
    let url = dev.up().await;
    let user = User::register(&url).await;
    let mut accepted = user
        .submit_until_it_ends(&url, || kill(dev.pid, Signal::SIGKILL).unwrap())
        .await;
    assert!(accepted.len() >= ENOUGH, "{accepted:?}");
    dev.ends(SOON).await;
    let orphan = postgres(&state);

    let mut dev = Violet::dev(&state);
    let url = dev.up().await;
    assert_ne!(postgres(&state), orphan);
    let killed = postgres(&state);
    let more = user
        .submit_until_it_ends(&url, || kill(killed, Signal::SIGKILL).unwrap())
        .await;
    accepted.extend(more);
    // It says so and ends, rather than staying without a database.
    let status = dev.ends(PATIENCE).await;
    assert_eq!(status.code(), Some(1), "{}", dev.err());
    assert!(dev.err().contains("PostgreSQL ended by itself"), "{}", dev.err());

    let mut dev = Violet::dev(&state);
    let url = dev.up().await;
    for task in &accepted {
        assert!(user.result(&url, task).await.contains("casa"));
    }
    let started = descendants(dev.pid);
    dev.interrupted().await;
    assert_nothing_left(&state, &started);
}
