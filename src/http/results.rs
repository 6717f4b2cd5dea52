//! Results, one path for each type of task.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Path, Query, Wait},
    files::Base,
    principal::{Client, May},
    problem::ApiError,
    tasks::{Response, Status, seconds},
};
use crate::{
    app::App,
    domain::{TaskId, TaskState, TaskType, access::may, task::Reason},
    error::Error,
    services::{
        outputs,
        tasks::{self, Until, Whole},
    },
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_transcription_result))
        .routes(routes!(get_tts_result))
        .routes(routes!(get_summarization_result))
        .routes(routes!(get_text_translation_result))
        .routes(routes!(get_document_translation_result))
        .routes(routes!(get_video_transcription_result))
}

/// The result of a task, or how far it is. Fields that its type does not have are absent, and so is what is not known.
#[derive(Debug, Serialize, ToSchema)]
struct TaskResult {
    /// Whether there is an answer.
    success: bool,
    task_id: TaskId,
    status: TaskState,
    task_type: TaskType,
    /// Whether there is an answer.
    available: bool,
    /// Of a transcription.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<String>,
    /// Of a transcription: the language that the engine found.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Of a transcription: what the engine says, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Of a transcription: `{"word", "start", "end", "confidence"?}`, where the engine gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<serde_json::Value>,
    /// Of speech: a link that works for a while and needs no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_url: Option<String>,
    /// Of a summarization.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// Of a summarization, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_text_length: Option<u64>,
    /// Of a summarization, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_length: Option<u64>,
    /// Of a summarization: summary to original, with two decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression_ratio: Option<f64>,
    /// Of a translation.
    #[serde(skip_serializing_if = "Option::is_none")]
    translated_text: Option<String>,
    source_language: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_language: Option<String>,
    /// The model asked for, or what is asked for without one.
    requested_model: Option<String>,
    /// The model that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    /// The program that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    miner_uid: Option<i32>,
    /// Seconds from assignment to arrival, measured by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    processing_time: Option<f64>,
    /// The validators' consensus, 0 to 1; once judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_score: Option<f64>,
    /// One half at what is usual for such an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    speed_score: Option<f64>,
    /// Once ended: whether validators with more than half of the stake agreed on a verdict.
    verified: Option<bool>,
    /// Why it failed, or why there is no verdict.
    reason: Option<Reason>,
    created_at: DateTime<Utc>,
    progress: Progress,
}

#[derive(Debug, Serialize, ToSchema)]
struct Progress {
    /// How many were drawn; the status names them.
    assigned_miners: usize,
    miner_responses: usize,
    required_miner_count: u8,
}

impl TaskResult {
    fn new(app: &App, base: &Base, whole: &Whole) -> Self {
        let Whole { task, answers, .. } = whole;
        let status = Status::from(whole);
        let best = whole.best();
        let response = best.map(|answer| Response::new(task.task_type, task.input_size, answer));
        let member = |name: &str| best.and_then(|answer| answer.output.get(name));
        let text = |name: &str| {
            member(name)
                .and_then(|value| value.as_str())
                .map(ToOwned::to_owned)
        };
        let summary = text("summary");
        let summary_length = summary.as_ref().map(|summary| summary.chars().count() as u64);
        #[expect(clippy::cast_precision_loss, reason = "lengths of texts")]
        let compression_ratio = summary_length
            .map(|length| (100.0 * length as f64 / task.input_size.max(1) as f64).round() / 100.0);
        Self {
            success: best.is_some(),
            task_id: task.task_id,
            status: task.state,
            task_type: task.task_type,
            available: best.is_some(),
            transcript: text("transcript"),
            language: text("language"),
            confidence: member("confidence").and_then(serde_json::Value::as_f64),
            words: member("words").cloned(),
            audio_url: best
                .and_then(|answer| outputs::file(task.task_type, &answer.output))
                .map(|id| base.link(app, id)),
            original_text_length: summary.as_ref().map(|_| task.input_size),
            summary,
            summary_length,
            compression_ratio,
            translated_text: text("translated_text"),
            source_language: task.source_language.clone(),
            target_language: task.target_language.clone(),
            requested_model: task.requested_model.clone(),
            model_id: best.map(|answer| answer.model_id.clone()),
            engine: best.map(|answer| answer.engine.clone()),
            miner_uid: best.map(|answer| answer.uid),
            processing_time: best.map(seconds),
            accuracy_score: response.as_ref().and_then(|response| response.accuracy_score),
            speed_score: response.as_ref().map(|response| response.speed_score),
            verified: status.verified,
            reason: status.reason,
            created_at: task.accepted_at,
            progress: Progress {
                assigned_miners: status.assigned_miners.len(),
                miner_responses: answers.len(),
                required_miner_count: task.required_miner_count,
            },
        }
    }
}

async fn result(
    app: &App,
    client: Client,
    base: &Base,
    id: TaskId,
    task_type: TaskType,
    wait: &Wait,
) -> Result<Body<TaskResult>, ApiError> {
    // Before any waiting: a task of another type is not found here.
    if tasks::get(app, client.organization, id).await?.task_type != task_type {
        return Err(Error::NotFound {
            what: "task of this type",
        }
        .into());
    }
    let whole = tasks::read(app, client.organization, id, Until::Answered, wait.duration()).await?;
    Ok(Body(TaskResult::new(app, base, &whole)))
}

/// Describes one operation: they differ in path and type only.
macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $name:ident($path:literal, $task_type:ident);)+) => {$(
        $(#[doc = $doc])+
        #[utoipa::path(
            get, path = $path, tag = "tasks", security(("api_key" = ["tasks:read"])), params(("task_id" = TaskId, Path), Wait),
            responses((status = 200, description = "The result, or how far it is", body = TaskResult), ApiError)
        )]
        async fn $name(
            State(app): State<App>,
            client: May<may::ReadTasks>,
            base: Base,
            Path(id): Path<TaskId>,
            Query(wait): Query<Wait>,
        ) -> Result<Body<TaskResult>, ApiError> {
            result(&app, *client, &base, id, TaskType::$task_type, &wait).await
        }
    )+};
}

operations! {
    /// Read the result of a transcription; `wait` holds the answer until there is one.
    ///
    /// The first valid answer is there before the validators have judged; later it is the judged best.
    get_transcription_result("/transcription/{task_id}/result", Transcription);
    /// Read the result of a speech task; `wait` holds the answer until there is one.
    get_tts_result("/tts/{task_id}/result", Tts);
    /// Read the result of a summarization; `wait` holds the answer until there is one.
    get_summarization_result("/summarization/{task_id}/result", Summarization);
    /// Read the result of a text translation; `wait` holds the answer until there is one.
    get_text_translation_result("/text-translation/{task_id}/result", TextTranslation);
    /// Read the result of a document translation; `wait` holds the answer until there is one.
    get_document_translation_result("/document-translation/{task_id}/result", DocumentTranslation);
    /// Read the result of a video transcription; `wait` holds the answer until there is one.
    get_video_transcription_result("/video-transcription/{task_id}/result", VideoTranscription);
}
