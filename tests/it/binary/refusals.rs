//! `violet dev` where it cannot be: it says so at once, and leaves nothing behind. And where it may be elsewhere.
use std::{fs, net::TcpListener, path::PathBuf};

use super::{Violet, folder};
use crate::harness::Database;

#[tokio::test]
async fn a_port_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = folder();
    let state = folder.path().join("state");
    let state_name = state.to_str().unwrap();
    for (option, ports) in [
        ("--port", ["--port", &port, "--chain-port", "0"]),
        ("--chain-port", ["--port", "0", "--chain-port", &port]),
    ] {
        let arguments = [&["dev", "--state", state_name][..], &ports].concat();
        let refused = Violet::start(&arguments, &[]);
        let refusal = refused.refuses().await;
        assert!(
            refusal.contains(&format!(
                "cannot listen on {address}; choose another with {option}:"
            )),
            "{refusal}"
        );
        assert!(!state.exists(), "{option}");
    }
    let refusal = Violet::start(&["chain", "dev", "--chain-port", &port], &[])
        .refuses()
        .await;
    assert!(refusal.contains("choose another with --chain-port:"), "{refusal}");
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Nobody can make these; root could make one in any other folder.
    for state in [file.join("state"), file, PathBuf::from("/proc/violet")] {
        let refusal = Violet::dev(&state).refuses().await;
        let begin = format!("violet: the state folder {} cannot be used: ", state.display());
        assert!(refusal.starts_with(&begin), "{refusal}");
        assert!(refusal.ends_with("choose another with --state"), "{refusal}");
    }
}

#[tokio::test]
async fn dev_says_when_it_uses_another_database() {
    let database = Database::create().await;
    let folder = folder();
    let state = folder.path().to_str().unwrap();
    let mut dev = Violet::start(
        &["dev", "--state", state, "--port", "0", "--chain-port", "0"],
        &[("DATABASE_URL", &database.url())],
    );
    dev.up().await;
    let out = dev.out();
    let line = out.lines().next().unwrap();
    assert!(
        line.contains(&format!("the database {}", database.name())),
        "{out}"
    );
    assert!(line.contains("DATABASE_URL"), "{out}");
    assert!(!folder.path().join("postgres").exists());
    dev.interrupted().await;
    database.delete().await;
}
