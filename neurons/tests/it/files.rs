//! All six types from the assignment to the score, with real files over HTTP.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use violet_chain::Hotkey;
use violet_neurons::engines::{Input, Output, Wanted};
use violet_neurons::{Catalogue, TaskType, Validator, ValidatorOptions};

use crate::miner::{start, task};
use crate::server::{Seen, Server, keypair};

const ANSWERS: &str = "/api/v1/miner/answers";
const FILES: &str = "/api/v1/miner/files";
const REFUSALS: &str = "/api/v1/miner/refusals";
const EVALUATIONS: &str = "/api/v1/validator/evaluations";

const SENTENCE: &str = "The president said that the government will help the old man go home.";
const STORY: &str = "The harbour of the town was built by fishermen. My aunt likes green tea. Fishermen still use the old \
    harbour every morning. In summer the harbour of the town is full of visitors who watch the fishermen. Nobody knows \
    why the clock stopped! Visitors of the town buy fish at the harbour.";

async fn speech(text: &str) -> Vec<u8> {
    let wanted = Wanted {
        task_type: TaskType::Tts,
        language: Some("en"),
        target_language: None,
        model_id: None,
        require_model: false,
        voice: None,
    };
    let catalogue = Catalogue::discover().await;
    let engine = catalogue.find(&wanted).expect("flite is needed");
    let input = Input::Speech {
        text: text.into(),
        language: "en".into(),
    };
    let Output::Speech(speech) = engine.run(&input).await.unwrap() else {
        panic!("speech was asked for")
    };
    std::fs::read(speech.path()).unwrap()
}

fn typed(number: u32, task_type: TaskType, input: (&str, Value)) -> Value {
    let mut task = task(number, "es");
    task["task_type"] = json!(task_type);
    task["input_text"] = Value::Null;
    if !matches!(
        task_type,
        TaskType::TextTranslation | TaskType::DocumentTranslation
    ) {
        task["target_language"] = Value::Null;
    }
    task[input.0] = input.1;
    task
}

fn text(text: &str) -> (&'static str, Value) {
    (
        "input_text",
        json!({"text": text, "source_language": "en", "target_language": null}),
    )
}

/// One task of each type, numbered from 1.
async fn one_of_each(server: &Server) -> Vec<Value> {
    let spoken = server.file(&speech(SENTENCE).await);
    let document = server.file(b"The house is red.\n\nThe garden is green.\n");
    let mut translated = text("The house is red.");
    translated.1["target_language"] = json!("es");
    let mut voiced = typed(2, TaskType::Tts, text(SENTENCE));
    voiced["voice_name"] = json!("rms");
    vec![
        typed(1, TaskType::Transcription, ("input_file", spoken.clone())),
        voiced,
        typed(3, TaskType::Summarization, text(STORY)),
        typed(4, TaskType::TextTranslation, translated),
        typed(5, TaskType::DocumentTranslation, ("input_file", document)),
        typed(6, TaskType::VideoTranscription, ("input_file", spoken)),
    ]
}

fn of_task(seen: &[Seen], number: usize) -> &Value {
    let ending = number.to_string();
    let mut seen = seen.iter().map(|seen| &seen.body);
    seen.find(|body| body["task_id"].as_str().unwrap().ends_with(&ending))
        .unwrap()
}

#[tokio::test]
async fn each_type_is_answered_and_its_answer_judged_best() {
    let server = Server::start("//Server").await;
    let tasks = one_of_each(&server).await;
    tasks.iter().cloned().for_each(|task| server.give(task));
    let miner = start(server.url()).await;
    let answers = server.wait_for(ANSWERS, 6).await;
    miner.stop().await;
    assert!(server.seen(REFUSALS).is_empty());

    let outputs: Vec<_> = (1..=6)
        .map(|number| of_task(&answers, number)["output"].clone())
        .collect();
    let words = outputs[0]["words"].as_array().unwrap();
    assert!(
        outputs[0]["transcript"].as_str().unwrap().contains("president"),
        "{}",
        outputs[0]
    );
    assert!(
        words
            .iter()
            .all(|word| word["end"].as_f64() > word["start"].as_f64())
    );
    assert_eq!(outputs[5]["transcript"], outputs[0]["transcript"]);
    assert_eq!(of_task(&answers, 2)["model_id"], "flite/rms");
    let (sent, described) = server.sent(outputs[1]["file_id"].as_str().unwrap());
    assert_eq!(
        outputs[1],
        json!({"file_id": described["file_id"], "sha256": described["sha256"], "media_type": "audio/wav"})
    );
    assert!(sent.starts_with(b"RIFF") && server.seen(FILES).len() == 1);
    assert!(STORY.contains(outputs[2]["summary"].as_str().unwrap().split('.').next().unwrap()));
    assert_eq!(outputs[3], json!({"translated_text": "La casa es roja."}));
    assert!(
        outputs[4]["translated_text"]
            .as_str()
            .unwrap()
            .starts_with("La casa es roja.\n\nEl")
    );

    // The same tasks for a judge: our answer, and one that is not worth much.
    let judges = Server::start("//Server").await;
    let described = judges.file(&sent);
    let noise = judges.file(&speech("Green fish never drink cold tea before a long winter night.").await);
    let poor = [
        json!({"transcript": "nothing of the kind was ever heard in these parts of the world"}),
        json!({"file_id": noise["file_id"], "sha256": noise["sha256"], "media_type": "audio/wav"}),
        json!({"summary": "The stock market of the moon fell."}),
        json!({"translated_text": "xxxx"}),
        json!({"translated_text": "xxxx"}),
        json!({"transcript": ""}),
    ];
    for (mut task, (good, poor)) in one_of_each(&judges)
        .await
        .into_iter()
        .zip(outputs.iter().zip(&poor))
    {
        let answer = |number: u8, output: &Value, file: &Value| {
            let file = if output.get("file_id").is_some() {
                file
            } else {
                &Value::Null
            };
            json!({"hotkey": Hotkey([number; 32]), "uid": number, "output": output, "file": file, "model_id": "m",
                "engine": "e", "digest": "00", "seconds": 0.4, "usual_seconds": 0.4})
        };
        task["answers"] = json!([answer(1, good, &described), answer(2, poor, &noise)]);
        judges.give(task);
    }
    let options = ValidatorOptions::new(judges.url(), keypair("//Validator"), Catalogue::discover().await);
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    jobs.spawn(Validator::new(options).run(stop.clone()));
    let evaluations = judges.wait_for(EVALUATIONS, 6).await;
    stop.cancel();
    jobs.join_next().await.unwrap().unwrap().unwrap();
    for number in 1..=6 {
        let scores = &of_task(&evaluations, number)["scores"];
        let score = |index: usize| {
            scores[index]["score"]
                .as_u64()
                .expect("a score, not an abstention")
        };
        // Another voice than the judge's own is heard a little differently.
        let least = if number == 2 { 45_000 } else { 58_000 };
        assert!(score(0) > least && score(1) < 25_000, "{number}: {scores}");
        assert_eq!(scores[0]["parts"]["speed"], 65_535);
    }
}

#[tokio::test]
async fn inputs_that_cannot_be_had_or_read_are_refused_with_the_reason() {
    let server = Server::start("//Server").await;
    let bytes = b"The house is red.";
    let sound = server.file(bytes);
    let other = (StatusCode::OK, Bytes::from_static(b"The house is bad."));
    let longer = (StatusCode::OK, Bytes::from_static(b"The house is red and long."));
    let file = |there| server.file_with(bytes, there);
    let mut large = server.file(bytes);
    large["file_size"] = json!(1_u64 << 40);
    let mut foreign = server.file(bytes);
    foreign["download_url"] = json!("file:///etc/hostname");
    let cases = [
        (sound, "the input cannot be read as sound"),
        (file(other), "the file is not the one that was announced"),
        (file(longer), "the file is not the one that was announced"),
        (
            file((StatusCode::FOUND, Bytes::new())),
            "the link to the file answered 302 Found",
        ),
        (
            file((StatusCode::FORBIDDEN, Bytes::new())),
            "the link to the file answered 403 Forbidden",
        ),
        (large, "the file has 1099511627776 bytes, more than 104857600"),
        (foreign, "the link to the file cannot be used"),
        (Value::Null, "the input is not one that this miner takes"),
    ];
    for (number, (file, _)) in (1..).zip(&cases) {
        server.give(typed(
            number,
            TaskType::Transcription,
            ("input_file", file.clone()),
        ));
    }
    let miner = start(server.url()).await;
    let refusals = server.wait_for(REFUSALS, cases.len()).await;
    for (number, (_, reason)) in cases.iter().enumerate() {
        assert_eq!(of_task(&refusals, number + 1)["reason"], *reason);
    }
    assert!(server.seen(ANSWERS).is_empty());
    // The redirect was not followed: the first file was fetched for its own task only.
    assert_eq!(server.fetched().iter().filter(|id| *id == "file-0").count(), 1);
    miner.stop().await;
}

#[tokio::test]
async fn speech_that_is_not_taken_is_refused_and_trouble_is_outlived() {
    let server = Server::start("//Server").await;
    server.trouble(FILES, StatusCode::SERVICE_UNAVAILABLE);
    server.give(typed(1, TaskType::Tts, text("Good morning.")));
    let miner = start(server.url()).await;
    server.wait_for(ANSWERS, 1).await;
    assert_eq!(server.seen(FILES).len(), 1);
    server.trouble(FILES, StatusCode::UNPROCESSABLE_ENTITY);
    server.give(typed(2, TaskType::Tts, text("Good morning.")));
    let refusals = server.wait_for(REFUSALS, 1).await;
    assert_eq!(refusals[0].body["reason"], "the speech could not be sent");
    miner.stop().await;
}

#[tokio::test]
async fn a_file_other_than_the_signed_one_is_not_judged() {
    let server = Server::start("//Server").await;
    let file = server.file(&speech("Good morning.").await);
    let mut task = typed(1, TaskType::Tts, text("Good morning."));
    let answer = |number: u8, output: &Value, file: &Value| {
        json!({"hotkey": Hotkey([number; 32]), "uid": number, "output": output, "file": file, "model_id": "m",
            "engine": "e", "digest": "00", "seconds": 0.4, "usual_seconds": null})
    };
    let signed = json!({"file_id": file["file_id"], "sha256": "00".repeat(32), "media_type": "audio/wav"});
    let garbage = server.file(b"no sound");
    let unreadable =
        json!({"file_id": garbage["file_id"], "sha256": garbage["sha256"], "media_type": "audio/wav"});
    task["answers"] = json!([
        answer(1, &signed, &file),
        answer(2, &unreadable, &garbage),
        answer(3, &signed, &Value::Null)
    ]);
    server.give(task);
    let options = ValidatorOptions::new(server.url(), keypair("//Validator"), Catalogue::discover().await);
    let (stop, mut jobs) = (CancellationToken::new(), JoinSet::new());
    jobs.spawn(Validator::new(options).run(stop.clone()));
    let evaluation = server.wait_for(EVALUATIONS, 1).await.remove(0).body;
    stop.cancel();
    jobs.join_next().await.unwrap().unwrap().unwrap();
    let scores: Vec<_> = (0..3)
        .map(|index| evaluation["scores"][index]["score"].clone())
        .collect();
    assert_eq!(scores, [Value::Null, json!(0), json!(0)], "{evaluation}");
}
