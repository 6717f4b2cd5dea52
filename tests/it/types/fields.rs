//! What submissions of each type take: the documented requests, languages, voices and models.
use serde_json::{Value, json};

use crate::harness::{MODEL, Multipart, Reply, User, World, samples};

/// Name and content of a file of a form.
type File<'a> = Option<(&'a str, &'a [u8])>;
/// Names and values of the other fields.
type Texts<'a> = [(&'a str, &'a str)];

const WHISPER: &[&str] = &[
    "openai/whisper-tiny",
    "openai/whisper-base",
    "openai/whisper-small",
    "openai/whisper-medium",
    "openai/whisper-large",
    "openai/whisper-large-v2",
];
const SPEAKERS: &[&str] = &[
    "tts_models/multilingual/multi-dataset/xtts_v2",
    "tts_models/multilingual/multi-dataset/your_tts",
    "tts_models/en/ljspeech/tacotron2-DDC",
    "tts_models/en/vctk/vits",
];
const SUMMARIZERS: &[&str] = &[
    "facebook/bart-large-cnn",
    "facebook/bart-base",
    "google/pegasus-xsum",
    "t5-small",
];
const TRANSLATORS: &[&str] = &[
    "facebook/mbart-large-50-many-to-many-mmt",
    "t5-small",
    "Helsinki-NLP/opus-mt-en-es",
    "Helsinki-NLP/opus-mt-en-fr",
    "Helsinki-NLP/opus-mt-en-de",
    "Helsinki-NLP/opus-mt-en-zh",
];

/// Sends a form of these texts, and a file if there is one.
async fn send(user: &User, path: &str, file: File<'_>, fields: &Texts<'_>) -> Reply {
    let form = file.iter().fold(Multipart::new(), |form, (name, content)| {
        form.file(name, "file.of.any.name", content)
    });
    let form = fields
        .iter()
        .fold(form, |form, (name, value)| form.field(name, value));
    Reply::to(form.put(user.post(&format!("/api/v1/{path}")))).await
}

#[tokio::test]
async fn the_documented_requests_are_taken_as_they_are_printed() {
    let world = World::start().await;
    world.versatile(1).await;
    let user = world.user().await;
    let (wav, pdf, mp4) = (samples::wav(100), samples::pdf(), samples::mp4());
    let cases: [(&str, File<'_>, &Texts<'_>); 6] = [
        (
            "transcription",
            Some(("audio_file", &wav)),
            &[
                ("source_language", "en"),
                ("model_id", "openai/whisper-tiny"),
                ("priority", "normal"),
            ],
        ),
        (
            "tts",
            None,
            &[
                ("text", "Hello, this is a test"),
                ("source_language", "en"),
                ("voice_name", "english_alice"),
                ("model_id", "tts_models/multilingual/multi-dataset/xtts_v2"),
                ("priority", "normal"),
            ],
        ),
        (
            "summarization",
            None,
            &[
                ("text", "Your long text here..."),
                ("source_language", "en"),
                ("model_id", "facebook/bart-large-cnn"),
                ("priority", "normal"),
            ],
        ),
        (
            "text-translation",
            None,
            &[
                ("text", "Hello, world"),
                ("source_language", "en"),
                ("target_language", "es"),
                ("model_id", "facebook/mbart-large-50-many-to-many-mmt"),
                ("priority", "normal"),
            ],
        ),
        (
            "document-translation",
            Some(("document_file", &pdf)),
            &[
                ("source_language", "en"),
                ("target_language", "es"),
                ("model_id", "facebook/mbart-large-50-many-to-many-mmt"),
                ("priority", "normal"),
            ],
        ),
        ("video-transcription", Some(("video_file", &mp4)), &[]),
    ];
    for (path, file, fields) in cases {
        let accepted = send(&user, path, file, fields).await.ok();
        assert_eq!(accepted["auto_assigned"], true, "{path}");
        let task = accepted["task_id"].as_str().unwrap();
        let stored = user.get(&format!("/api/v1/tasks/{task}")).await.ok();
        let model = fields
            .iter()
            .find(|(name, _)| *name == "model_id")
            .map(|(_, model)| *model);
        assert_eq!(accepted["model_id"], json!(model));
        assert_eq!(
            (&stored["priority"], &stored["source_language"]),
            (&json!("normal"), &json!("en"))
        );
        let result = user.get(&format!("/api/v1/{path}/{task}/result")).await.ok();
        assert_eq!(
            (&result["available"], &result["requested_model"]),
            (&json!(false), &json!(model))
        );
        let mail = world.silent_miner(1).receive(task).await;
        assert_eq!(
            (&mail["model_id"], &mail["require_model"]),
            (&json!(model), &json!(false))
        );
        let voice = if path == "tts" {
            json!("english_alice")
        } else {
            Value::Null
        };
        assert_eq!(mail["voice_name"], voice);
    }
    world.end().await;
}

#[tokio::test]
async fn languages_voices_and_models_are_checked_for_each_type() {
    let world = World::start().await;
    world.versatile(3).await;
    let user = world.user().await;
    let (wav, pdf, mp4) = (samples::wav(100), samples::pdf(), samples::mp4());
    let text = ("text", "Hello, this is a test");
    let pair = [("source_language", "en"), ("target_language", "es")];
    let cases: [(&str, File<'_>, &Texts<'_>, &[&str]); 6] = [
        ("transcription", Some(("audio_file", &wav)), &[], WHISPER),
        ("video-transcription", Some(("video_file", &mp4)), &[], WHISPER),
        ("tts", None, &[text], SPEAKERS),
        ("summarization", None, &[text], SUMMARIZERS),
        ("text-translation", None, &[text, pair[0], pair[1]], TRANSLATORS),
        (
            "document-translation",
            Some(("document_file", &pdf)),
            &pair,
            TRANSLATORS,
        ),
    ];
    for (path, file, fields, models) in cases {
        let with = async |more: &Texts<'_>| {
            let mut fields: Vec<(&str, &str)> = fields.iter().chain(more).copied().collect();
            fields.push(("required_miner_count", "1"));
            send(&user, path, file, &fields).await
        };
        let accepted = with(&[]).await.ok();
        // As in the original: two types ask for no model unless their owner does.
        let usual = match path {
            "video-transcription" | "document-translation" => Value::Null,
            _ => json!(models[0]),
        };
        assert_eq!(
            (&accepted["source_language"], &accepted["model_id"]),
            (&json!("en"), &usual)
        );
        let task = accepted["task_id"].as_str().unwrap();
        let result = user.get(&format!("/api/v1/{path}/{task}/result")).await.ok();
        assert_eq!(result["requested_model"], usual);
        let stored = user.get(&format!("/api/v1/tasks/{task}")).await.ok();
        assert_eq!(
            (&stored["model_id"], &stored["require_model"]),
            (&usual, &json!(false))
        );
        for model in models {
            assert_eq!(with(&[("model_id", model)]).await.ok()["model_id"], *model);
        }
        let unknown = with(&[("model_id", "nobody/knows")]).await;
        let detail = unknown.invalid("model_id");
        assert!(detail.contains(models[0]) && detail.contains(MODEL), "{detail}");
        // A model of another type is none of this.
        let other = if path == "tts" {
            "facebook/bart-base"
        } else {
            "tts_models/en/vctk/vits"
        };
        with(&[("model_id", other)]).await.invalid("model_id");
        let required = [("model_id", models[0]), ("require_model", "true")];
        let unserved = with(&required).await;
        let detail = unserved.problem(422, "/problems/no-engine");
        assert!(detail.contains(MODEL), "{detail}");
        let served = with(&[("model_id", MODEL), ("require_model", "true")]).await.ok();
        assert_eq!(served["assigned_miner_count"], 1);
        with(&[("require_model", "true")]).await.invalid("model_id");
        with(&[("source_language", "de")])
            .await
            .problem(422, "/problems/no-engine");
    }
    let speak = async |voice: &str| send(&user, "tts", None, &[text, ("voice_name", voice)]).await;
    speak("english_alice").await.ok();
    let detail = speak("english_bob").await;
    assert!(detail.invalid("voice_name").contains("english_alice"));
    for path in ["text-translation", "document-translation"] {
        for missing in [&pair[..1], &pair[1..]] {
            let file = (path == "document-translation").then_some(("document_file", &pdf[..]));
            let fields: Vec<(&str, &str)> = missing.iter().copied().chain([text]).collect();
            assert_eq!(send(&user, path, file, &fields).await.status, 422, "{path}");
        }
    }
    world.end().await;
}
