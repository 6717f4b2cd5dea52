//! What the server sees of a validator.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_chain::{CryptoType, Hotkey, NetUid, verify};
use violet_neurons::signing::{evaluation_digest, evaluation_message};
use violet_neurons::{Catalogue, Validator, ValidatorOptions};

use crate::server::{Server, keypair};

const EVALUATIONS: &str = "/api/v1/validator/evaluations";

#[tokio::test]
async fn evaluations_are_complete_and_signed() {
    let server = Server::start("//Server").await;
    server.trouble(EVALUATIONS, StatusCode::SERVICE_UNAVAILABLE);
    let answer = |number: u8, text: &str| {
        json!({"hotkey": Hotkey([number; 32]), "uid": number, "output": {"translated_text": text}, "model_id": "m",
            "engine": "e", "digest": "00", "seconds": 0.4, "usual_seconds": 0.4})
    };
    server.give(
        json!({"task_id": "0192f0c1-2a3b-7c4d-8e5f-000000000001", "task_type": "text_translation",
        "source_language": "en", "target_language": "es", "requested_model": null, "input_file": null,
        "input_text": {"text": "The house is red.", "source_language": "en", "target_language": "es"},
        "done_at": "2026-01-02T03:04:05Z", "deadline": null,
        "answers": [answer(9, "La casa es roja."), answer(5, "Un perro")]}),
    );
    server.give(
        json!({"task_id": "0192f0c1-2a3b-7c4d-8e5f-000000000002", "task_type": "summarization",
        "source_language": "zh", "target_language": null, "requested_model": null, "input_file": null,
        "input_text": {"text": "Text."}, "answers": [answer(4, "whatever")]}),
    );

    let options = ValidatorOptions::new(server.url(), keypair("//Validator"), Catalogue::discover().await);
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    jobs.spawn(Validator::new(options).run(stop.clone()));

    let evaluations = server.wait_for(EVALUATIONS, 2).await;
    for evaluation in &evaluations {
        let body = &evaluation.body;
        let scores = body["scores"].as_array().unwrap().iter();
        let scores = scores.map(|score| {
            let given = score["score"].as_u64().map(|score| u16::try_from(score).unwrap());
            (
                score["hotkey"].as_str().unwrap().parse::<Hotkey>().unwrap(),
                given,
            )
        });
        let scores: Vec<_> = scores.collect();
        if body["task_id"].as_str().unwrap().ends_with('1') {
            assert_eq!(scores[0], (Hotkey([9; 32]), Some(u16::MAX)));
            assert!(
                scores[1].0 == Hotkey([5; 32]) && scores[1].1.unwrap() < 40_000,
                "{scores:?}"
            );
        } else {
            assert_eq!(scores, [(Hotkey([4; 32]), None)]);
        }
        let task_id = body["task_id"].as_str().unwrap().parse().unwrap();
        let message = evaluation_message(NetUid(7), task_id, &evaluation_digest(scores));
        let signature = hex::decode(body["signature"].as_str().unwrap().trim_start_matches("0x")).unwrap();
        assert_eq!(evaluation.sender, keypair("//Validator").hotkey());
        assert!(verify(
            CryptoType::Sr25519,
            &evaluation.sender,
            &message,
            &signature.try_into().unwrap()
        ));
    }

    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), jobs.join_next()).await;
    ended.expect("the validator stops").unwrap().unwrap().unwrap();
    assert_eq!(server.seen(EVALUATIONS).len(), 2);
}
