//! The reference miner and validator with a real engine, against the real server.
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_neurons::{Catalogue, Miner, MinerOptions, Validator, ValidatorOptions};

use crate::harness::{Multipart, Reply, User, World, eventually, translation};

const SPOKEN: &str = "The weather is nice today and we will go to the park after lunch.";

/// Waits for the verdict on a task of one miner, however slow the machine is.
async fn approved(world: &World, user: &User, task: &str) {
    world
        .sql("update task_assignments set deadline = deadline + interval '1 day'")
        .await;
    for _ in 0..10 {
        let status = user
            .get(&format!("/api/v1/task/{task}/status?wait=60"))
            .await
            .ok();
        if !status["settled_at"].is_null() {
            assert_eq!(status["status"], "approved", "{status}");
            return;
        }
    }
    panic!("no verdict on {task}");
}

/// A text is spoken; gives the sound.
async fn speaks(world: &World, user: &User) -> Vec<u8> {
    let fields = json!({ "text": SPOKEN, "required_miner_count": 1 });
    let accepted = Reply::to(user.post("/api/v1/tts").json(&fields)).await.ok();
    let task = accepted["task_id"].as_str().unwrap();
    approved(world, user, task).await;
    let result = user.get(&format!("/api/v1/tts/{task}/result")).await.ok();
    assert!(
        result["model_id"].as_str().unwrap().starts_with("flite/"),
        "{result}"
    );
    let link = result["audio_url"].as_str().unwrap();
    let sound = world.http.get(link).send().await.unwrap().bytes().await.unwrap();
    assert!(sound.starts_with(b"RIFF"));
    sound.to_vec()
}

/// The same sound is written down, with nearly the same words.
async fn writes_down(world: &World, user: &User, wav: Vec<u8>) {
    let form = Multipart::new()
        .file("audio_file", "speech.wav", &wav)
        .field("required_miner_count", "1");
    let accepted = Reply::to(form.put(user.post("/api/v1/transcription"))).await.ok();
    let task = accepted["task_id"].as_str().unwrap();
    approved(world, user, task).await;
    let result = user
        .get(&format!("/api/v1/transcription/{task}/result"))
        .await
        .ok();
    let words = |text: &str| -> Vec<String> {
        let plain = text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), " ");
        plain.split_whitespace().map(ToOwned::to_owned).collect()
    };
    let (said, heard) = (words(SPOKEN), words(result["transcript"].as_str().unwrap()));
    // Of the words that were said, less than a fifth.
    assert!(changes(&said, &heard) * 5 < said.len(), "{heard:?}");
}

/// The fewest words to change, leave out or put in.
fn changes(said: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (index, word) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (place, other) in heard.iter().enumerate() {
            let changed = diagonal + usize::from(word != other);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[heard.len()]
}

#[tokio::test]
async fn apertium_translates_flite_speaks_and_pocketsphinx_listens() {
    let world = World::start().await;
    let user = world.user().await;
    let catalogue = Catalogue::discover().await;
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    let mut hotkeys = Vec::new();
    for number in [1, 2] {
        let neuron = world.silent_miner(number);
        hotkeys.push(neuron.hotkey());
        let miner = Miner::new(MinerOptions::new(
            world.server.url(),
            neuron.keypair,
            catalogue.clone(),
        ));
        let stop = stop.clone();
        jobs.spawn(async move { miner.run(stop).await.unwrap() });
    }
    let keypair = world.validator(1).await.keypair;
    let validator = Validator::new(ValidatorOptions::new(world.server.url(), keypair, catalogue));
    let stopped = stop.clone();
    jobs.spawn(async move { Box::pin(validator.run(stopped)).await.unwrap() });
    for hotkey in &hotkeys {
        eventually("a miner is on the roster", || async {
            world
                .server
                .app
                .roster
                .miners()
                .contains_key(hotkey)
                .then_some(())
        })
        .await;
    }

    let task = user.submit(&translation(2)).await;
    let path = format!("/api/v1/text-translation/{task}/result?wait=20");
    let result = user.get(&path).await.ok();
    assert_eq!(result["translated_text"], "La casa es grande.");
    assert_eq!(result["model_id"], "apertium/eng-spa");
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["miner_responses"]),
        (&"approved".into(), &2.into())
    );

    let wav = speaks(&world, &user).await;
    writes_down(&world, &user, wav).await;

    stop.cancel();
    let ended = async {
        while let Some(ended) = jobs.join_next().await {
            ended.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .expect("they stop when asked");
    world.end().await;
}
