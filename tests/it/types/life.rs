//! Each type of task from its form to its verdict, with the fields that it has and without those that it has not.
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{GOOD, MODEL, Multipart, Neuron, Reply, User, World, samples};

/// Every member of a result that some types have and others have not.
const OWN: [&str; 10] = [
    "transcript",
    "language",
    "confidence",
    "words",
    "audio_url",
    "summary",
    "original_text_length",
    "summary_length",
    "compression_ratio",
    "translated_text",
];
/// What is never an output, whatever the type.
const NEVER: [&str; 5] = ["{}", "[]", "null", "\"text\"", r#"{"output_data":"text"}"#];
const TEXT: &str = "The old house by the sea is big, and nobody lives there.";

/// What a miner is to work on.
enum Input {
    Text,
    File {
        field: &'static str,
        name: &'static str,
        media_type: &'static str,
        content: Vec<u8>,
    },
}

/// One type of task.
struct Type {
    path: &'static str,
    name: &'static str,
    input: Input,
    target: Option<&'static str>,
    /// Members of the answer to a submission, besides those of all types.
    accepted: &'static [&'static str],
    /// Outputs that are refused.
    bad: Vec<Value>,
    /// Members of a result that only this type has.
    result: Value,
}

impl Type {
    fn form(&self) -> Multipart {
        let mut form = match &self.input {
            Input::Text => Multipart::new().field("text", TEXT),
            Input::File {
                field, name, content, ..
            } => Multipart::new().file(field, name, content),
        };
        if let Some(target) = self.target {
            form = form
                .field("source_language", "en")
                .field("target_language", target);
        }
        form.field("required_miner_count", "2")
    }

    fn check_accepted(&self, accepted: &Value) {
        for field in [
            "success",
            "task_id",
            "auto_assigned",
            "message",
            "source_language",
        ] {
            assert!(!accepted[field].is_null(), "{field}: {accepted}");
        }
        // These may be null, but are there.
        assert!(accepted.get("model_id").is_some(), "{accepted}");
        for field in [
            "target_language",
            "detected_language",
            "language_confidence",
            "text_length",
            "word_count",
            "file_id",
            "file_name",
            "file_size",
            "file_format",
        ] {
            let wanted = self.accepted.contains(&field);
            assert_eq!(accepted.get(field).is_some(), wanted, "{field}: {accepted}");
        }
        assert_eq!(
            (&accepted["success"], &accepted["source_language"]),
            (&json!(true), &json!("en"))
        );
        match &self.input {
            Input::Text => {
                assert_eq!(accepted["text_length"], TEXT.len());
                assert_eq!(accepted["word_count"], 12);
            }
            Input::File { name, content, .. } => {
                assert_eq!(accepted["file_name"], *name);
                assert_eq!(accepted["file_size"], content.len());
            }
        }
    }

    /// The input as a miner or validator gets it.
    async fn check_input(&self, world: &World, offered: &Value) {
        assert_eq!(offered["task_type"], self.name);
        assert_eq!(offered["source_language"], "en");
        assert_eq!(offered["target_language"], json!(self.target));
        match &self.input {
            Input::Text => {
                assert_eq!(offered["input_text"]["text"], TEXT);
                assert_eq!(offered["input_file"], Value::Null);
            }
            Input::File {
                name,
                media_type,
                content,
                ..
            } => {
                assert_eq!(offered["input_text"], Value::Null);
                let file = &offered["input_file"];
                assert_eq!(file["file_name"], *name);
                check_file(world, file, media_type, content).await;
            }
        }
    }

    fn result_path(&self, task: &str) -> String {
        format!("/api/v1/{}/{task}/result", self.path)
    }
}

/// A file as it is described, and its bytes by the link: no key, no signature.
async fn check_file(world: &World, file: &Value, media_type: &str, content: &[u8]) {
    assert_eq!(
        (&file["file_type"], &file["file_size"]),
        (&media_type.into(), &content.len().into())
    );
    assert_eq!(file["sha256"], hex::encode(Sha256::digest(content)));
    let url = file["download_url"].as_str().unwrap();
    assert!(url.starts_with(&world.server.url()), "{url}");
    let response = world.http.get(url).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &media_type.parse().unwrap())
    );
    assert!(
        response.bytes().await.unwrap() == content,
        "other bytes than were sent"
    );
}

async fn refuses(miner: &Neuron, task: &str, output: &Value) {
    let answer = miner.post_answer(&miner.answer_of(task, output)).await;
    assert_eq!(answer.status, 422, "{output}: {:?}", answer.body);
    answer.invalid("output");
}

/// Submits; two miners work on it; the validators see it and agree.
async fn live(kind: &Type, make: impl AsyncFn(&World, &Neuron, &str) -> Value) {
    let world = World::start().await;
    let miners = world.versatile(2).await;
    let validators = world.validators().await;
    let user = world.user().await;
    let request = kind.form().put(user.post(&format!("/api/v1/{}", kind.path)));
    let accepted = Reply::to(request).await.ok();
    kind.check_accepted(&accepted);
    let task = accepted["task_id"].as_str().unwrap();
    for other in [
        "transcription",
        "tts",
        "summarization",
        "text-translation",
        "document-translation",
        "video-transcription",
    ] {
        if other != kind.path {
            let reply = user.get(&format!("/api/v1/{other}/{task}/result")).await;
            reply.problem(404, "/problems/not-found");
        }
    }
    let waiting = user.get(&kind.result_path(task)).await.ok();
    assert_eq!(
        (&waiting["success"], &waiting["available"]),
        (&json!(false), &json!(false))
    );
    assert!(
        OWN.iter().all(|member| waiting.get(member).is_none()),
        "{waiting}"
    );

    for miner in &miners {
        kind.check_input(&world, &miner.receive(task).await).await;
    }
    let never = NEVER.iter().map(|json| serde_json::from_str(json).unwrap());
    for output in kind.bad.iter().cloned().chain(never) {
        refuses(&miners[0], task, &output).await;
    }
    let mut outputs = Vec::new();
    for miner in &miners {
        let output = make(&world, miner, task).await;
        let mut more = output.clone();
        more["unknown"] = 1.into();
        refuses(miner, task, &more).await;
        let receipt = miner.post_answer(&miner.answer_of(task, &output)).await.ok();
        assert_eq!(receipt["used"], true);
        outputs.push(output);
    }
    for validator in &validators {
        let offered = validator.offered(task).await;
        kind.check_input(&world, &offered).await;
        let mut scores = Vec::new();
        for (miner, output) in miners.iter().zip(&outputs) {
            let answer = offered["answers"]
                .as_array()
                .unwrap()
                .iter()
                .find(|answer| answer["hotkey"] == json!(miner.hotkey()))
                .unwrap();
            assert_eq!((&answer["output"], &answer["model_id"]), (output, &json!(MODEL)));
            match output.get("file_id") {
                None => assert_eq!(answer["file"], Value::Null),
                Some(id) => {
                    assert_eq!(answer["file"]["file_id"], *id);
                    check_file(&world, &answer["file"], "audio/wav", &speech_of(miner)).await;
                }
            }
            scores.push((miner.hotkey(), Some(if miner.uid == 0 { GOOD } else { GOOD - 1 })));
        }
        validator.evaluate(task, &scores).await;
    }
    assert_eq!(user.ended(task).await["status"], "approved");
    check_result(kind, &world, &user, task).await;
    world.end().await;
}

/// What this miner says when it speaks.
fn speech_of(miner: &Neuron) -> Vec<u8> {
    samples::wav(20_000 + 2 * usize::from(miner.uid))
}

/// The result has what its type has, and nothing that others have.
async fn check_result(kind: &Type, world: &World, user: &User, task: &str) {
    let result = user.get(&kind.result_path(task)).await.ok();
    assert_eq!(
        (&result["success"], &result["available"], &result["status"]),
        (&json!(true), &json!(true), &json!("approved"))
    );
    assert_eq!(
        (&result["task_type"], &result["miner_uid"]),
        (&json!(kind.name), &json!(0))
    );
    assert_eq!(
        (&result["model_id"], &result["engine"]),
        (&json!(MODEL), &json!("test"))
    );
    for member in ["processing_time", "accuracy_score", "speed_score"] {
        assert!(result[member].is_number(), "{member}: {result}");
    }
    assert_eq!(result["source_language"], "en");
    assert_eq!(result.get("target_language").is_some(), kind.target.is_some());
    for member in OWN {
        let (found, wanted) = (result.get(member), kind.result.get(member));
        if member == "audio_url" && wanted.is_some() {
            let url = found.unwrap().as_str().unwrap();
            let response = world.http.get(url).send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "audio/wav");
            let bytes = response.bytes().await.unwrap();
            assert!(bytes == samples::wav(20_000), "other bytes than were uploaded");
        } else {
            assert_eq!(found, wanted, "{member}");
        }
    }
}

/// Outputs that are no transcripts.
fn bad_transcripts() -> Vec<Value> {
    let word = |start: u8, end: u8| json!({ "transcript": "a", "words": [{ "word": "a", "start": start, "end": end }] });
    let confidence = |value: Value| json!({ "transcript": "a", "confidence": value });
    vec![
        json!({ "text": "a" }),
        json!({ "summary": "a" }),
        json!({ "transcript": null }),
        json!({ "transcript": ["a"] }),
        json!({ "transcript": "a\0b" }),
        confidence(json!(1.5)),
        confidence(json!(-0.1)),
        confidence(json!("1")),
        word(2, 1),
        json!({ "transcript": "a", "words": [{ "word": "a", "start": 0 }] }),
        json!({ "transcript": "a", "words": [{ "word": "a", "start": 0, "end": 1, "probability": 1 }] }),
        json!({ "transcript": "a", "words": [{ "word": "a", "start": 0, "end": 1, "confidence": 1.5 }] }),
        json!({ "transcript": "a", "words": "a" }),
        json!({ "transcript": "a", "words": [["a", 0, 1]] }),
        json!(["a"]),
    ]
}

#[tokio::test]
async fn a_transcription() {
    let output = json!({
        "confidence": 0.5, "language": "en", "transcript": "hello there",
        "words": [
            { "confidence": 1, "end": 0.25, "start": 0, "word": "hello" },
            { "end": 0.25, "start": 0.25, "word": "there" },
        ],
    });
    let kind = Type {
        path: "transcription",
        name: "transcription",
        input: Input::File {
            field: "audio_file",
            name: "audio.wav",
            media_type: "audio/wav",
            content: samples::wav(40_000),
        },
        target: None,
        accepted: &["file_id", "file_name", "file_size", "file_format"],
        bad: bad_transcripts(),
        result: output.clone(),
    };
    live(&kind, async |_, _, _| output.clone()).await;
}

#[tokio::test]
async fn a_video_transcription_without_speech() {
    let kind = Type {
        path: "video-transcription",
        name: "video_transcription",
        input: Input::File {
            field: "video_file",
            name: "holiday.mp4",
            media_type: "video/mp4",
            content: samples::mp4(),
        },
        target: None,
        accepted: &["file_id", "file_name", "file_size", "file_format"],
        bad: bad_transcripts(),
        result: json!({ "transcript": "" }),
    };
    live(&kind, async |_, _, _| json!({ "transcript": "" })).await;
}

#[tokio::test]
async fn speech() {
    let kind = Type {
        path: "tts",
        name: "tts",
        input: Input::Text,
        target: None,
        accepted: &[
            "detected_language",
            "language_confidence",
            "text_length",
            "word_count",
        ],
        bad: vec![
            json!({ "audio": "UklGRg==" }),
            json!({ "transcript": "a" }),
            json!({ "file_id": "0192f0c1-2a3b-7c4d-8e5f-000000000001", "media_type": "audio/wav", "sha256": "00".repeat(32) }),
            json!({ "file_id": "speech.wav", "media_type": "audio/wav", "sha256": "00".repeat(32) }),
        ],
        result: json!({ "audio_url": true }),
    };
    live(&kind, async |_, miner, task| {
        let file = speech_of(miner);
        let uploaded = miner.upload(task, &file).await.ok();
        assert_eq!(uploaded["file_size"], file.len());
        let good = Neuron::spoken(&uploaded);
        for (member, value) in [
            ("media_type", "audio/mpeg"),
            (
                "sha256",
                "0000000000000000000000000000000000000000000000000000000000000000",
            ),
            ("sha256", "00"),
        ] {
            let mut bad = good.clone();
            bad[member] = value.into();
            refuses(miner, task, &bad).await;
        }
        good
    })
    .await;
}

#[tokio::test]
async fn a_summarization() {
    let kind = Type {
        path: "summarization",
        name: "summarization",
        input: Input::Text,
        target: None,
        accepted: &[
            "detected_language",
            "language_confidence",
            "text_length",
            "word_count",
        ],
        bad: vec![
            json!({ "summary": "" }),
            json!({ "summary": " \n" }),
            json!({ "summary": 1 }),
            json!({ "translated_text": "a" }),
        ],
        result: json!({
            "summary": "A big old hóuse", "original_text_length": 56, "summary_length": 15, "compression_ratio": 0.27,
        }),
    };
    live(&kind, async |_, _, _| json!({ "summary": "A big old hóuse" })).await;
}

fn bad_translations() -> Vec<Value> {
    vec![
        json!({ "translated_text": "" }),
        json!({ "translated_text": "\t" }),
        json!({ "translated_text": ["a"] }),
        json!({ "summary": "a" }),
    ]
}

#[tokio::test]
async fn a_text_translation() {
    let kind = Type {
        path: "text-translation",
        name: "text_translation",
        input: Input::Text,
        target: Some("es"),
        accepted: &["target_language", "text_length", "word_count"],
        bad: bad_translations(),
        result: json!({ "translated_text": "La casa" }),
    };
    live(&kind, async |_, _, _| json!({ "translated_text": "La casa" })).await;
}

#[tokio::test]
async fn a_document_translation() {
    let kind = Type {
        path: "document-translation",
        name: "document_translation",
        input: Input::File {
            field: "document_file",
            name: "letter.docx",
            media_type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            content: samples::docx(),
        },
        target: Some("es"),
        accepted: &[
            "target_language",
            "file_id",
            "file_name",
            "file_size",
            "file_format",
        ],
        bad: bad_translations(),
        result: json!({ "translated_text": "Estimada señora" }),
    };
    live(
        &kind,
        async |_, _, _| json!({ "translated_text": "Estimada señora" }),
    )
    .await;
}
