//! The Python SDKs as they come from their registry sign requests to a server.
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use violet_chain::auth::Scheme;

use crate::harness::World;

/// A Python with the packages of a list, made the first time.
fn interpreter(list: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python-sdk");
    let made = Command::new(script)
        .arg(list)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), "{list} could not be installed");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim_end())
}

/// Runs a script for miner 1 and gives what it prints.
async fn run(world: &World, list: &str, script: &str) -> Value {
    let miner = world.silent_miner(1);
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let (list, url) = (list.to_owned(), world.server.url());
    let run = move || {
        let python = interpreter(&list);
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(python)
            .arg(script)
            // The seed of the key with number 1.
            .args([&url, &format!("0x{}", "01".repeat(32))])
            .args([miner.receiver.to_string(), miner.uid.to_string()])
            // What they keep on disk must not meet another run's.
            .env("HOME", home.path())
            .env_remove("PYTHONPATH")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bittensor_11_signs_what_is_taken_here() {
    let world = World::with(|config| {
        // What is slow on a busy machine is not late.
        config.identity.signature_age_seconds = 600;
    })
    .await;
    let statuses = run(&world, "bittensor-11.3.0", "sdk11.py").await;
    let expected = json!({
        "heartbeat": 200, "replayed": 401, "mail": 200, "tampered body": 401, "tampered target": 401,
        "tampered method": 401, "for another": 401, "for nobody": 401,
    });
    assert_eq!(statuses, expected);
    world.on_roster(&world.server, &world.silent_miner(1)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dendrite_of_bittensor_10_signs_what_is_taken_where_it_is_on() {
    let world = World::with(|config| {
        config.identity.schemes.miner.push(Scheme::Synapse);
        config.identity.windows.synapse.age_seconds = 600;
    })
    .await;
    let statuses = run(&world, "bittensor-10.5.0", "sdk10.py").await;
    let expected = json!({
        "heartbeat": 200, "replayed": 401, "mail": 200, "tampered body": 401, "unsigned body": 401,
        "no signature": 401,
    });
    assert_eq!(statuses, expected);
    world.on_roster(&world.server, &world.silent_miner(1)).await;
    world.end().await;
}
