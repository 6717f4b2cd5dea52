//! Answers in the forms of the original system's miners, which know a key and sign nothing.
use axum::{
    Json as Body,
    extract::{FromRequest, Request, State},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::auth;

use super::{
    extract::Fields,
    principal::{self, Credential},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{TaskId, enrolment::NeuronKind},
    error::Error,
    services::{
        answering::{Receipt, Unused},
        identity::Caller,
        responding::{self, Outcome, Response},
    },
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit_response))
        .routes(routes!(submit_text_translation_result))
        .routes(routes!(submit_document_translation_result))
        .routes(routes!(submit_video_transcription_result))
}

/// A registered miner with a key, and the form that it sent. A signed request says nothing about each answer in a form,
/// so that signatures are not taken here.
struct KeyedForm(Caller, Fields);

impl FromRequest<App> for KeyedForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let credential = principal::credential(&parts, app, NeuronKind::Miner).await?;
        if matches!(credential, Credential::Signature(..)) {
            let text = "send a miner's key as X-API-Key; who signs answers at /api/v1/miner/answers";
            return Err(Error::Unauthenticated(text.into()).into());
        }
        let caller = credential.admit(&parts, app, auth::Body::EMPTY).await?;
        // Percent-encoding takes three bytes for one.
        let limit = 3 * app.config.identity.signed_body_bytes;
        let fields = Fields::within(Request::from_parts(parts, body), limit).await?;
        Ok(Self(caller, fields))
    }
}

/// Who answers what. Unknown fields are ignored, and so are the scores that a miner gives itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct Common {
    task_id: TaskId,
    /// The caller's own.
    miner_uid: u16,
    /// What the miner says it took, in seconds; stored and never used.
    processing_time: Option<f64>,
    /// What ran; what the miner declared for tasks of this type unless it says so.
    model_id: Option<String>,
    /// The program that ran it, likewise.
    engine: Option<String>,
    /// Compared with the key's, if it is there.
    hotkey: Option<String>,
    /// Compared with the key's, if it is there.
    coldkey_address: Option<String>,
}

/// An answer to a task with a text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct ResponseForm {
    /// JSON with `transcript`, `summary` or `translated_text`, among whatever else; or that text itself.
    response_data: String,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A translation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct TranslationForm {
    translated_text: String,
    /// Comes back as it is.
    source_language: Option<String>,
    /// Comes back as it is.
    target_language: Option<String>,
    /// JSON that comes back as it is, for documents.
    metadata: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// What is said in a video.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct TranscriptForm {
    transcript: String,
    /// 0 to 1.
    confidence: Option<f64>,
    /// `en` by default.
    language: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// What became of an answer. Members that only one of the forms has are absent from the others.
#[derive(Debug, Serialize, ToSchema)]
struct Posted {
    /// Whether it counts.
    success: bool,
    message: String,
    task_id: TaskId,
    miner_uid: u16,
    /// Whether it counts.
    used: bool,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Unused>,
    #[serde(flatten)]
    #[schema(inline)]
    echo: Echo,
}

/// What a form said about its output.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Echo {
    /// Characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    translated_text_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    /// Characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
}

/// Refuses a form that names somebody else than the caller.
fn check_identity(caller: &Caller, fields: &mut Fields) -> Result<u16, ApiError> {
    let uid: Option<u16> = fields.parsed("miner_uid", "a uid")?;
    let uid = uid.ok_or_else(|| Error::invalid("miner_uid", "is required"))?;
    let neuron = &caller.neuron;
    if uid != neuron.uid.0 {
        let text = format!("uid {uid} is not yours; yours is {}", neuron.uid);
        return Err(Error::Forbidden(text).into());
    }
    for (name, own) in [
        ("hotkey", neuron.hotkey.to_string()),
        ("coldkey_address", neuron.coldkey.to_string()),
    ] {
        if fields.optional(name)?.is_some_and(|said| said != own) {
            let text = format!("{name}: Miner credentials do not match the provided API key");
            return Err(Error::Forbidden(text).into());
        }
    }
    Ok(uid)
}

async fn respond(
    app: &App,
    caller: &Caller,
    mut fields: Fields,
    data: Value,
    echo: Echo,
) -> Result<Body<Posted>, ApiError> {
    let miner_uid = check_identity(caller, &mut fields)?;
    let task: Option<TaskId> = fields.parsed("task_id", "the id of a task")?;
    let task_id = task.ok_or_else(|| Error::invalid("task_id", "is required"))?;
    let response = Response {
        task: task_id,
        data,
        model_id: fields.optional("model_id")?,
        engine: fields.optional("engine")?,
        claimed_seconds: fields.parsed("processing_time", "a number of seconds")?,
    };
    let (used, reason, message) = match responding::respond(app, caller, response).await? {
        Outcome::Answered(Receipt::Used { .. }) => (true, None, "Response recorded"),
        Outcome::Answered(Receipt::Unused(reason)) => (false, Some(reason), "Response not used"),
        Outcome::GivenBack(true) => (false, None, "Task given back"),
        Outcome::GivenBack(false) => (false, Some(Unused::NotAssigned), "Response not used"),
    };
    metrics::counter!("violet_answers_total", "used" => used.to_string()).increment(1);
    Ok(Body(Posted {
        success: used,
        message: message.to_owned(),
        task_id,
        miner_uid,
        used,
        reason,
        echo,
    }))
}

/// Answer a task with a text, as miners of the original system do.
///
/// For who works with a key; nothing is signed, and the receipt says so. One answer counts for each task and hotkey, and
/// it is final. With the `status` `completed_broken_file` the task is given back, and another miner is drawn.
#[utoipa::path(
    post, path = "/miner/response", tag = "miners", security(("neuron_key" = [])),
    request_body(content = ResponseForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What became of it", body = Posted),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not-found"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_response(
    State(app): State<App>,
    KeyedForm(caller, mut fields): KeyedForm,
) -> Result<Body<Posted>, ApiError> {
    let data = responding::data(&fields.required("response_data")?);
    respond(&app, &caller, fields, data, Echo::default()).await
}

async fn translation(
    app: &App,
    KeyedForm(caller, mut fields): KeyedForm,
    of_document: bool,
) -> Result<Body<Posted>, ApiError> {
    let text = fields.required("translated_text")?;
    let metadata = fields.optional("metadata")?;
    let echo = Echo {
        translated_text_length: Some(text.chars().count()),
        source_language: Some(fields.optional("source_language")?.unwrap_or_default()),
        target_language: Some(fields.optional("target_language")?.unwrap_or_default()),
        metadata: of_document.then(|| {
            let read = metadata.and_then(|text| serde_json::from_str(&text).ok());
            read.unwrap_or_else(|| json!({}))
        }),
        ..Echo::default()
    };
    let data = json!({ "translated_text": text });
    respond(app, &caller, fields, data, echo).await
}

/// Answer a text translation, as miners of the original system do.
#[utoipa::path(
    post, path = "/miner/text-translation/upload-result", tag = "miners", security(("neuron_key" = [])),
    request_body(content = TranslationForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What became of it", body = Posted),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not-found"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_text_translation_result(
    State(app): State<App>,
    form: KeyedForm,
) -> Result<Body<Posted>, ApiError> {
    translation(&app, form, false).await
}

/// Answer a document translation, as miners of the original system do.
#[utoipa::path(
    post, path = "/miner/document-translation/upload-result", tag = "miners", security(("neuron_key" = [])),
    request_body(content = TranslationForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What became of it", body = Posted),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not-found"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_document_translation_result(
    State(app): State<App>,
    form: KeyedForm,
) -> Result<Body<Posted>, ApiError> {
    translation(&app, form, true).await
}

/// Answer a video transcription, as miners of the original system do.
#[utoipa::path(
    post, path = "/miner/video-transcription/upload-result", tag = "miners", security(("neuron_key" = [])),
    request_body(content = TranscriptForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What became of it", body = Posted),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not-found"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_video_transcription_result(
    State(app): State<App>,
    KeyedForm(caller, mut fields): KeyedForm,
) -> Result<Body<Posted>, ApiError> {
    let text = fields.required("transcript")?;
    let language = fields.optional("language")?.unwrap_or_else(|| "en".to_owned());
    let confidence: f64 = fields.parsed("confidence", "0 to 1")?.unwrap_or_default();
    let data = json!({ "transcript": text, "language": language, "confidence": confidence });
    let echo = Echo {
        transcript_length: Some(text.chars().count()),
        confidence: Some(confidence),
        language: Some(language),
        ..Echo::default()
    };
    respond(&app, &caller, fields, data, echo).await
}
