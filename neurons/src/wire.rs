//! Requests and answers as they are on the wire between neurons and the server.
//! Unknown fields are ignored, so that a newer server can be talked to. Nothing here decides anything.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use violet_chain::{Hotkey, NetUid, Uid};

use crate::engines::{Input, Output, Profile, TaskType, Transcript, Wanted};

/// The task types whose inputs and outputs have a form on the wire here. Nothing else is offered or taken.
pub const SERVED: [TaskType; 6] = TaskType::ALL;
/// What spoken answers are sent as.
pub const SPEECH_MEDIA_TYPE: &str = "audio/wav";
/// The largest file that the server takes from a miner.
pub const MAX_UPLOAD_BYTES: u64 = 64 << 20;
/// A longer transcript goes without the places of its words, which are optional and ten times its size.
const MAX_PLACED_WORDS: usize = 5000;

/// `GET /api/v1/network`: whom to sign for.
#[derive(Clone, Debug, Deserialize)]
pub struct Network {
    pub netuid: NetUid,
    /// The receiver of every signed request.
    pub server_hotkey: Hotkey,
    /// Null until the server has reached its chain.
    pub genesis_hash: Option<String>,
    /// For the difference between the clocks.
    pub server_time: DateTime<Utc>,
}

/// One engine as a heartbeat offers it.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub engine: String,
    pub model_id: String,
    pub task_type: TaskType,
    pub languages: Vec<String>,
    pub pairs: Vec<(String, String)>,
    pub max_input_bytes: u64,
}

impl From<&Profile> for Offer {
    fn from(profile: &Profile) -> Self {
        // The quality tier stays here: it orders our own engines and is not asked for.
        let Profile {
            engine,
            model_id,
            task_type,
            languages,
            pairs,
            max_input_bytes,
            quality_tier: _,
        } = profile;
        Self {
            engine: engine.clone(),
            model_id: model_id.clone(),
            task_type: *task_type,
            languages: languages.clone(),
            pairs: pairs.clone(),
            max_input_bytes: *max_input_bytes,
        }
    }
}

/// `POST /api/v1/miner/heartbeat`.
#[derive(Clone, Debug, Serialize)]
pub struct Heartbeat {
    /// How many assignments are worked on at the same time at most.
    pub capacity: usize,
    /// How many are worked on now.
    pub load: usize,
    pub engines: Vec<Offer>,
    pub version: &'static str,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HeartbeatAnswer {
    pub uid: Uid,
    /// How long the heartbeat is believed.
    pub ttl_seconds: u64,
    /// When the next one is expected.
    pub interval_seconds: u64,
}

/// The text of a task.
#[derive(Clone, Debug, Deserialize)]
pub struct InputText {
    pub text: String,
    #[serde(default)]
    pub source_language: Option<String>,
    #[serde(default)]
    pub target_language: Option<String>,
}

/// A file that can be fetched for a while.
#[derive(Clone, Debug, Deserialize)]
pub struct File {
    pub file_id: String,
    /// The media type, as the server found it.
    pub file_type: String,
    /// In bytes.
    pub file_size: u64,
    /// Hex.
    pub sha256: String,
    /// Absolute, or from the server's root.
    pub download_url: String,
}

/// A task as its miner or its judge sees it: what is to be worked on.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    pub task_id: Uuid,
    pub task_type: TaskType,
    #[serde(default)]
    pub source_language: Option<String>,
    #[serde(default)]
    pub target_language: Option<String>,
    #[serde(default)]
    pub requested_model: Option<String>,
    #[serde(default)]
    pub require_model: bool,
    /// For speech: a wish.
    #[serde(default)]
    pub voice_name: Option<String>,
    #[serde(default)]
    pub input_text: Option<InputText>,
    #[serde(default)]
    pub input_file: Option<File>,
}

/// What is asked of a catalogue for `task`.
pub fn wanted(task: &Task) -> Wanted<'_> {
    let text = task.input_text.as_ref();
    Wanted {
        task_type: task.task_type,
        language: text
            .and_then(|text| text.source_language.as_deref())
            .or(task.source_language.as_deref()),
        target_language: text
            .and_then(|text| text.target_language.as_deref())
            .or(task.target_language.as_deref()),
        model_id: task.requested_model.as_deref(),
        voice: task.voice_name.as_deref(),
        require_model: task.require_model,
    }
}

/// The input of `task` for an engine of this profile; `file` is where its input file lies now. `None` when the task
/// lacks what its type needs: a text, a file, or the languages of a translation. A task without a language is taken
/// for English where the engine knows English.
pub fn input(task: &Task, profile: &Profile, file: Option<&Path>) -> Option<Input> {
    let wanted = wanted(task);
    let language = || {
        let usual = || {
            let english = profile.languages.iter().find(|language| *language == "en");
            english.or_else(|| profile.languages.first()).cloned()
        };
        wanted.language.map(str::to_owned).or_else(usual)
    };
    let text = || Some(task.input_text.as_ref()?.text.clone());
    let file = || file.map(Path::to_owned);
    Some(match task.task_type {
        TaskType::TextTranslation => Input::Translation {
            text: text()?,
            source_language: wanted.language?.to_owned(),
            target_language: wanted.target_language?.to_owned(),
        },
        TaskType::DocumentTranslation => Input::Document {
            document: file()?,
            source_language: wanted.language?.to_owned(),
            target_language: wanted.target_language?.to_owned(),
        },
        TaskType::Tts => Input::Speech {
            text: text()?,
            language: language()?,
        },
        TaskType::Transcription => Input::Transcription {
            audio: file()?,
            language: language()?,
        },
        TaskType::VideoTranscription => Input::Video {
            video: file()?,
            language: language()?,
        },
        TaskType::Summarization => Input::Summary {
            text: text()?,
            language: language()?,
            max_sentences: None,
        },
    })
}

/// The `output` of an answer; `None` for speech, whose file has to be sent first (see [`speech_output`]).
pub fn output(output: &Output) -> Option<Value> {
    match output {
        Output::Translation { translated_text } => Some(json!({ "translated_text": translated_text })),
        Output::Summary { summary } => Some(json!({ "summary": summary })),
        Output::Transcript(transcript) => Some(transcript_output(transcript)),
        Output::Speech(_) => None,
    }
}

/// Places in seconds from the beginning.
fn transcript_output(transcript: &Transcript) -> Value {
    let Transcript {
        transcript,
        language,
        confidence,
        words,
    } = transcript;
    // Whole numbers of a size that a double holds exactly.
    let seconds = |millis: u64| f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0;
    let mut output = json!({ "transcript": transcript, "language": language });
    if let Some(confidence) = confidence {
        output["confidence"] = json!(confidence);
    }
    if words.len() <= MAX_PLACED_WORDS {
        let words = words.iter().map(|word| {
            json!({ "word": word.word, "start": seconds(word.start_ms), "end": seconds(word.end_ms),
                "confidence": word.confidence })
        });
        output["words"] = words.collect();
    }
    output
}

/// The `output` of an answer whose speech was sent.
pub fn speech_output(sent: &SentFile) -> Value {
    json!({ "file_id": sent.file_id, "sha256": sent.sha256, "media_type": SPEECH_MEDIA_TYPE })
}

/// What became of `POST /api/v1/miner/files`.
#[derive(Clone, Debug, Deserialize)]
pub struct SentFile {
    pub file_id: String,
    /// Hex.
    pub sha256: String,
    pub file_size: u64,
}

/// One element of `GET /api/v1/miners/{uid}/tasks`.
#[derive(Clone, Debug, Deserialize)]
pub struct Assignment {
    #[serde(flatten)]
    pub task: Task,
    pub assigned_at: DateTime<Utc>,
    pub deadline: DateTime<Utc>,
}

/// `POST /api/v1/miner/answers`.
#[derive(Clone, Debug, Serialize)]
pub struct Answer<'a> {
    pub task_id: Uuid,
    pub output: &'a Value,
    pub model_id: &'a str,
    pub engine: &'a str,
    /// Seconds of work.
    pub processing_time: f64,
    /// Hex.
    pub digest: String,
    /// `0x` and hex.
    pub signature: String,
}

/// What became of an answer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerReceipt {
    pub used: bool,
    #[serde(default)]
    pub first: bool,
    #[serde(default)]
    pub reason: Option<String>,
}

/// `POST /api/v1/miner/refusals`.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal<'a> {
    pub task_id: Uuid,
    pub reason: &'a str,
}

/// What became of a refusal.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RefusalReceipt {
    pub released: bool,
}

/// `GET /api/v1/validator/tasks`.
#[derive(Clone, Debug, Deserialize)]
pub struct JudgeTasks {
    pub tasks: Vec<JudgeTask>,
}

/// A finished task with its answers.
#[derive(Clone, Debug, Deserialize)]
pub struct JudgeTask {
    #[serde(flatten)]
    pub task: Task,
    /// When it is settled without us.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
    pub answers: Vec<AnswerToJudge>,
}

/// One miner's answer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerToJudge {
    pub hotkey: Hotkey,
    pub output: Value,
    /// What the output refers to, for speech.
    #[serde(default)]
    pub file: Option<File>,
    pub model_id: String,
    pub engine: String,
    /// From the assignment's commit to the answer's arrival.
    pub seconds: f64,
    /// What is usual for such an input; absent when nothing is known yet.
    #[serde(default)]
    pub usual_seconds: Option<f64>,
}

/// Parts of a score, each 0..65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parts {
    pub accuracy: u16,
    pub speed: u16,
    pub quality: u16,
}

/// What a validator says of one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    pub hotkey: Hotkey,
    /// 0..65535; `None` abstains.
    pub score: Option<u16>,
    pub parts: Option<Parts>,
    pub comment: Option<String>,
}

/// `POST /api/v1/validator/evaluations`.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation<'a> {
    pub task_id: Uuid,
    pub scores: &'a [Score],
    /// `0x` and hex.
    pub signature: String,
}

/// What became of an evaluation.
#[derive(Clone, Debug, Deserialize)]
pub struct EvaluationReceipt {
    pub accepted: bool,
    #[serde(default)]
    pub replaced: bool,
    #[serde(default)]
    pub reason: Option<String>,
}

/// A signature as it is written on the wire.
pub fn signature_text(signature: &[u8; 64]) -> String {
    format!("0x{}", hex::encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_news_are_ignored() {
        let json = r#"{"task_id":"0192f0c1-2a3b-7c4d-8e5f-60718293a4b5","task_type":"text_translation",
            "status":"assigned","priority":"normal","source_language":"en","target_language":"es",
            "model_id":null,"requested_model":null,"require_model":false,"input_file":null,
            "input_text":{"text":"Hello","source_language":"en","target_language":"es"},"news":[1],
            "assigned_at":"2026-01-02T03:04:05.678Z","deadline":"2026-01-02T03:05:05.678Z"}"#;
        let assignment: Assignment = serde_json::from_str(json).unwrap();
        assert_eq!(assignment.task.task_type, TaskType::TextTranslation);
        assert_eq!(assignment.task.input_text.unwrap().text, "Hello");
        assert_eq!((assignment.deadline - assignment.assigned_at).num_seconds(), 60);
    }

    fn task(json: Value) -> Task {
        serde_json::from_value(json).unwrap()
    }

    fn profile(task_type: TaskType, languages: &[&str]) -> Profile {
        Profile {
            engine: "e".into(),
            model_id: "e/m".into(),
            task_type,
            languages: languages.iter().map(ToString::to_string).collect(),
            pairs: Vec::new(),
            max_input_bytes: 1,
            quality_tier: crate::engines::QualityTier::Rule,
        }
    }

    #[test]
    fn each_type_has_its_input() {
        let id = "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5";
        let file = json!({"file_id": "f", "file_name": "a.wav", "file_type": "audio/wav", "file_size": 5,
            "sha256": "00", "download_url": "/api/v1/files/f/download?expires=1&signature=s"});
        let place = Path::new("/tmp/file");
        for task_type in SERVED {
            let full = task(
                json!({"task_id": id, "task_type": task_type, "source_language": "en",
                "target_language": "es", "voice_name": "slt", "input_text": {"text": "Hello"}, "input_file": file}),
            );
            assert_eq!(wanted(&full).voice, Some("slt"));
            let full = input(&full, &profile(task_type, &["en"]), Some(place)).unwrap();
            assert_eq!(full.task_type(), task_type);
            let bare = task(
                json!({"task_id": id, "task_type": task_type, "source_language": "en",
                "target_language": "es", "input_text": null, "input_file": null}),
            );
            assert_eq!(input(&bare, &profile(task_type, &["en"]), None), None);
        }
        let silent = task(json!({"task_id": id, "task_type": "tts", "input_text": {"text": "Hello"}}));
        let language = |offered: &[&str]| match input(&silent, &profile(TaskType::Tts, offered), None) {
            Some(Input::Speech { language, .. }) => language,
            other => panic!("{other:?}"),
        };
        assert_eq!(language(&["af", "en"]), "en");
        assert_eq!(language(&["af", "de"]), "af");
    }

    #[test]
    fn a_transcript_has_seconds_and_no_empty_confidence() {
        let word = crate::engines::Word {
            word: "hello".into(),
            start_ms: 150,
            end_ms: 1020,
            confidence: 0.5,
        };
        let mut transcript = Transcript {
            transcript: "hello".into(),
            language: "en".into(),
            confidence: Some(0.5),
            words: vec![word],
        };
        assert_eq!(
            transcript_output(&transcript),
            json!({"transcript": "hello", "language": "en", "confidence": 0.5,
                "words": [{"word": "hello", "start": 0.15, "end": 1.02, "confidence": 0.5}]})
        );
        transcript.words = vec![transcript.words[0].clone(); MAX_PLACED_WORDS + 1];
        transcript.confidence = None;
        let json = transcript_output(&transcript);
        assert_eq!(json, json!({"transcript": "hello", "language": "en"}));
    }

    #[test]
    fn an_abstention_is_written_as_null() {
        let score = Score {
            hotkey: Hotkey([1; 32]),
            score: None,
            parts: None,
            comment: None,
        };
        let json = serde_json::to_value(score).unwrap();
        assert!(json["score"].is_null() && json["parts"].is_null() && json["comment"].is_null());
    }
}
