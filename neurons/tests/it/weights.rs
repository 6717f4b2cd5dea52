//! A validator sets weights by its scores, on a real chain.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_chain::{Client, NetUid, Uid};
use violet_devchain::{DevChain, Genesis, Options};
use violet_neurons::{Catalogue, Validator, ValidatorOptions, WeightsOptions};

use crate::server::{Server, keypair};

/// The subnet that the server names.
const NETUID: NetUid = NetUid(7);
/// Validator 1 of the development network.
const VALIDATOR: Uid = Uid(4);
const PATIENCE: Duration = Duration::from_secs(120);

async fn chain() -> DevChain {
    let mut genesis = Genesis::default();
    genesis.subnets[0].netuid = NETUID.0;
    for neuron in &mut genesis.neurons {
        neuron.netuid = NETUID.0;
    }
    let options = Options {
        block_time: Some(Duration::from_millis(50)),
        ..Options::default()
    };
    violet_devchain::spawn(genesis, options).await.unwrap()
}

fn task(number: u8, answers: &[(&str, &str)]) -> Value {
    let answers: Vec<Value> = answers
        .iter()
        .map(|(uri, text)| {
            json!({"hotkey": keypair(uri).hotkey(), "uid": 0, "output": {"translated_text": text}, "model_id": "m",
                "engine": "e", "digest": "00", "seconds": 0.4, "usual_seconds": 0.4})
        })
        .collect();
    json!({"task_id": format!("0192f0c1-2a3b-7c4d-8e5f-0000000000{number:02}"), "task_type": "text_translation",
        "source_language": "en", "target_language": "es", "requested_model": null, "input_file": null,
        "input_text": {"text": "The house is red.", "source_language": "en", "target_language": "es"},
        "done_at": "2026-01-02T03:04:05Z", "deadline": null, "answers": answers})
}

async fn row(client: &Client) -> Vec<(u16, u16)> {
    let head = client.finalized().await.unwrap();
    let row = client.weights(NETUID, 0, VALIDATOR, head).await.unwrap();
    row.into_iter().map(|(uid, value)| (uid.0, value)).collect()
}

/// The weights once they are so.
async fn until(client: &Client, what: &str, is_so: impl Fn(&[(u16, u16)]) -> bool) -> Vec<(u16, u16)> {
    let waiting = async {
        loop {
            let row = row(client).await;
            if is_so(&row) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("it does not come about that {what}"))
}

#[tokio::test]
async fn weights_follow_the_scores() {
    let (chain, server) = (chain().await, Server::start("//Server").await);
    // At first the chain refuses, which stops nothing.
    chain.set_permit(NETUID.0, VALIDATOR.0, false).unwrap();
    chain.set_weight_rules(NETUID.0, false, 5).unwrap();
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let good = "La casa es roja.";
    server.give(task(
        1,
        &[("//Miner1", good), ("//Miner2", "Un perro"), ("//Stranger", good)],
    ));

    let options = ValidatorOptions {
        weights: Some(WeightsOptions::new(violet_chain::Options {
            endpoints: vec![chain.ws_url()],
            ..violet_chain::Options::default()
        })),
        ..ValidatorOptions::new(server.url(), keypair("//Validator1"), Catalogue::discover().await)
    };
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    jobs.spawn(Validator::new(options).run(stop.clone()));
    server.wait_for("/api/v1/validator/evaluations", 1).await;
    chain.set_permit(NETUID.0, VALIDATOR.0, true).unwrap();

    let first = until(&client, "weights are set", |row| !row.is_empty()).await;
    assert_eq!(first[0], (0, u16::MAX));
    assert!(
        first.len() == 2 && first[1].0 == 1 && first[1].1 < 45_000,
        "{first:?}"
    );

    // Another miner is as good, and the first one leaves the subnet.
    server.give(task(2, &[("//Miner3", good)]));
    chain.replace(NETUID.0, 0, [7; 32], [8; 32]).unwrap();
    let second = until(&client, "the weights follow", |row| {
        row.iter().any(|(uid, value)| (*uid, *value) == (2, u16::MAX))
    })
    .await;
    assert!(second.iter().all(|(uid, _)| *uid != 0), "{second:?}");

    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, jobs.join_next()).await;
    ended.expect("the validator stops").unwrap().unwrap().unwrap();
}
