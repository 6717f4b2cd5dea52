//! Requests and answers as they are on the wire between neurons and the server.
//! Unknown fields are ignored, so that a newer server can be talked to. Nothing here decides anything.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use violet_chain::{Hotkey, NetUid, Uid};

use crate::engines::{Input, Output, Profile, TaskType, Wanted};

/// The task types whose inputs and outputs have a form on the wire here. Nothing else is offered or taken.
pub const SERVED: [TaskType; 1] = [TaskType::TextTranslation];

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
    #[serde(default)]
    pub input_text: Option<InputText>,
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
        require_model: task.require_model,
    }
}

/// The input of a translation; `None` when the task is no text translation or lacks the text or a language.
pub fn translation_input(task: &Task) -> Option<Input> {
    if task.task_type != TaskType::TextTranslation {
        return None;
    }
    let wanted = wanted(task);
    Some(Input::Translation {
        text: task.input_text.as_ref()?.text.clone(),
        source_language: wanted.language?.to_owned(),
        target_language: wanted.target_language?.to_owned(),
    })
}

/// The `output` of an answer; `None` for what has no form on the wire here (see [`SERVED`]).
pub fn output(output: &Output) -> Option<Value> {
    match output {
        Output::Translation { translated_text } => Some(json!({ "translated_text": translated_text })),
        Output::Speech(_) | Output::Transcript(_) | Output::Summary { .. } => None,
    }
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
    pub answers: Vec<AnswerToJudge>,
}

/// One miner's answer.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerToJudge {
    pub hotkey: Hotkey,
    pub output: Value,
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
