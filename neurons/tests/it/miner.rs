//! What the server sees of a miner.

use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_chain::{CryptoType, NetUid, verify};
use violet_neurons::miner::MinerError;
use violet_neurons::signing::{answer_digest, answer_message};
use violet_neurons::{Catalogue, Miner, MinerOptions, TaskType};

use crate::server::{Server, keypair};

const ANSWERS: &str = "/api/v1/miner/answers";
const REFUSALS: &str = "/api/v1/miner/refusals";
const HEARTBEATS: &str = "/api/v1/miner/heartbeat";

pub(crate) struct Running {
    jobs: JoinSet<Result<(), MinerError>>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.jobs.join_next()).await;
        ended.expect("the miner stops").unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn start(url: String) -> Running {
    start_with_grace(url, Duration::from_secs(1)).await
}

async fn start_with_grace(url: String, grace: Duration) -> Running {
    let mut options = MinerOptions::new(url, keypair("//Miner"), Catalogue::discover().await);
    options.capacity = 2;
    options.grace = grace;
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    jobs.spawn(Miner::new(options).run(stop.clone()));
    Running { jobs, stop }
}

/// With a minute from now on.
pub(crate) fn task(number: u32, target_language: &str) -> Value {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    json!({"task_id": format!("0192f0c1-2a3b-7c4d-8e5f-{number:012}"), "task_type": "text_translation",
        "status": "assigned", "priority": "normal", "source_language": "en", "target_language": target_language,
        "model_id": null, "requested_model": null, "require_model": false, "input_file": null,
        "input_text": {"text": "The house is red.", "source_language": "en", "target_language": target_language},
        "assigned_at": now, "deadline": now + Duration::from_secs(60)})
}

#[tokio::test]
async fn answers_are_right_signed_and_given_once() {
    let server = Server::start("//Server").await;
    let miner = start(server.url()).await;
    for number in 0..5 {
        server.give(task(number, "es"));
    }
    let answers = server.wait_for(ANSWERS, 5).await;
    for answer in &answers {
        let body = &answer.body;
        assert_eq!(body["output"], json!({"translated_text": "La casa es roja."}));
        assert_eq!(
            (&body["engine"], &body["model_id"]),
            (&json!("apertium"), &json!("apertium/eng-spa"))
        );
        assert!(body["processing_time"].as_f64().unwrap() > 0.0);
        let digest = answer_digest("apertium", "apertium/eng-spa", &body["output"]).unwrap();
        assert_eq!(body["digest"], hex::encode(digest));
        let message = answer_message(
            NetUid(7),
            body["task_id"].as_str().unwrap().parse().unwrap(),
            &digest,
        );
        let signature = hex::decode(body["signature"].as_str().unwrap().trim_start_matches("0x")).unwrap();
        assert_eq!(answer.sender, keypair("//Miner").hotkey());
        assert!(verify(
            CryptoType::Sr25519,
            &answer.sender,
            &message,
            &signature.try_into().unwrap()
        ));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.seen(ANSWERS).len(), 5);
    miner.stop().await;
}

#[tokio::test]
async fn heartbeats_offer_every_type() {
    let server = Server::start("//Server").await;
    let miner = start(server.url()).await;
    let heartbeat = server.wait_for(HEARTBEATS, 2).await.remove(0).body;
    assert_eq!(heartbeat["capacity"], 2);
    let engines = heartbeat["engines"].as_array().unwrap();
    for task_type in TaskType::ALL {
        let offered = engines
            .iter()
            .any(|engine| engine["task_type"] == task_type.as_str());
        assert!(offered, "{task_type}");
    }
    let spanish = engines
        .iter()
        .find(|engine| engine["model_id"] == "apertium/eng-spa")
        .unwrap();
    assert_eq!(spanish["pairs"], json!([["en", "es"]]));
    miner.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let server = Server::start("//Server").await;
    let miner = start(server.url()).await;
    server.give(task(1, "zh"));
    let mut exact = task(2, "es");
    exact["requested_model"] = json!("neural/best");
    exact["require_model"] = json!(true);
    server.give(exact);
    let mut empty = task(3, "es");
    empty["input_text"]["text"] = json!(" ");
    server.give(empty);
    let refusals = server.wait_for(REFUSALS, 3).await;
    let mut reasons: Vec<_> = refusals
        .iter()
        .map(|refusal| refusal.body["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "no engine here for this task",
            "no engine here for this task",
            "the input is empty"
        ]
    );
    assert!(server.seen(ANSWERS).is_empty());
    miner.stop().await;
}

#[tokio::test]
async fn troubles_of_the_server_are_outlived() {
    let server = Server::start("//Server").await;
    server.trouble(HEARTBEATS, StatusCode::SERVICE_UNAVAILABLE);
    server.trouble(ANSWERS, StatusCode::TOO_MANY_REQUESTS);
    server.trouble(ANSWERS, StatusCode::BAD_GATEWAY);
    let started = Instant::now();
    let miner = start(server.url()).await;
    server.give(task(1, "es"));
    server.wait_for(ANSWERS, 1).await;
    assert!(
        started.elapsed() > Duration::from_secs(2),
        "Retry-After was not honoured, twice 1 s"
    );
    miner.stop().await;
}

#[tokio::test]
async fn an_invalid_answer_is_given_up_and_refused() {
    let server = Server::start("//Server").await;
    server.trouble(ANSWERS, StatusCode::UNPROCESSABLE_ENTITY);
    let miner = start(server.url()).await;
    server.give(task(1, "es"));
    server.wait_for(REFUSALS, 1).await;
    assert!(server.seen(ANSWERS).is_empty());
    miner.stop().await;
}

#[tokio::test]
async fn the_server_may_start_late_and_come_back_with_another_key() {
    let place = Server::start("//Server").await;
    let address = place.address;
    drop(place);
    let miner = start(format!("http://{address}")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let first = Server::start_at("//Server", address).await;
    first.wait_for(HEARTBEATS, 1).await;
    drop(first);
    let second = Server::start_at("//Other", address).await;
    second.give(task(1, "es"));
    second.wait_for(ANSWERS, 1).await;
    miner.stop().await;
}

#[tokio::test]
async fn what_is_in_hand_is_excluded_and_the_poll_is_held() {
    let server = Server::start("//Server").await;
    server.give(long_task(1));
    let (started, miner) = (Instant::now(), start(server.url()).await);
    server.wait_for(ANSWERS, 1).await;
    // The server holds a poll for 2 s.
    let allowed = 3 + started.elapsed().as_secs() / 2;
    assert!(
        (server.polls() as u64) <= allowed,
        "{} polls, {allowed} allowed",
        server.polls()
    );
    let excluded = server.excluded();
    assert!(excluded[0].is_empty());
    assert_eq!(excluded[1], [long_task(1)["task_id"].as_str().unwrap()]);
    assert_eq!(server.seen(ANSWERS).len(), 1);
    miner.stop().await;
}

fn long_task(number: u32) -> Value {
    let mut long = task(number, "es");
    long["input_text"]["text"] = json!("The old teacher reads a long book about the city. ".repeat(300));
    long
}

#[tokio::test]
async fn a_stop_finishes_within_the_grace_what_is_in_hand() {
    let server = Server::start("//Server").await;
    server.give(long_task(1));
    let miner = start_with_grace(server.url(), Duration::from_secs(30)).await;
    server.wait_for_poll().await;
    miner.stop().await;
    assert_eq!((server.seen(ANSWERS).len(), server.seen(REFUSALS).len()), (1, 0));
}

#[tokio::test]
async fn a_stop_without_grace_gives_back_what_is_in_hand() {
    let server = Server::start("//Server").await;
    server.give(long_task(1));
    let miner = start_with_grace(server.url(), Duration::ZERO).await;
    server.wait_for_poll().await;
    miner.stop().await;
    assert!(server.seen(ANSWERS).is_empty());
    let refusals = server.seen(REFUSALS);
    assert_eq!(
        (refusals.len(), &refusals[0].body["reason"]),
        (1, &json!("the miner is stopping"))
    );
}

#[tokio::test]
async fn what_a_miner_had_in_hand_when_it_died_is_delivered_to_its_successor() {
    let server = Server::start("//Server").await;
    server.give(long_task(1));
    let first = start(server.url()).await;
    server.wait_for_poll().await;
    drop(first);
    assert!(server.seen(ANSWERS).is_empty() && server.seen(REFUSALS).is_empty());
    let polls = server.excluded().len();
    let second = start(server.url()).await;
    server.wait_for(ANSWERS, 1).await;
    assert!(server.excluded()[polls].is_empty());
    second.stop().await;
}

#[tokio::test]
async fn what_is_late_already_is_not_worked_on() {
    let server = Server::start("//Server").await;
    let mut late = long_task(1);
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    late["assigned_at"] = json!(now - Duration::from_secs(60));
    late["deadline"] = json!(now + Duration::from_millis(300));
    server.give(late);
    let miner = start(server.url()).await;
    let refusals = server.wait_for(REFUSALS, 1).await;
    assert_eq!(refusals[0].body["reason"], "out of time");
    miner.stop().await;
}

#[tokio::test]
async fn nothing_to_offer_and_nonsense_for_an_address_are_errors() {
    let options = MinerOptions::new("http://127.0.0.1:9", keypair("//Miner"), Catalogue::default());
    assert!(matches!(
        Miner::new(options).run(CancellationToken::new()).await,
        Err(MinerError::NoEngine)
    ));
    let options = MinerOptions::new("localhost:8000", keypair("//Miner"), Catalogue::discover().await);
    let refused = Miner::new(options).run(CancellationToken::new()).await;
    assert!(matches!(refused, Err(MinerError::Server { .. })));
}

#[tokio::test]
async fn a_miner_without_a_server_stops_when_told() {
    let place = Server::start("//Server").await;
    let url = place.url();
    drop(place);
    let miner = start(url).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    miner.stop().await;
}
