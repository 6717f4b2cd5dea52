//! The reference miner and validator with a real engine, against the real server.
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_neurons::{Catalogue, Miner, MinerOptions, Validator, ValidatorOptions};

use crate::harness::{World, eventually, translation};

#[tokio::test]
async fn apertium_translates_and_is_approved() {
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
