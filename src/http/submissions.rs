//! Submitting tasks, with the paths and fields of the original API.
use axum::{
    Json as Body,
    extract::State,
    http::{HeaderMap, HeaderName},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{extract::Fields, principal::Client, problem::ApiError};
use crate::{
    app::App,
    domain::TaskId,
    error::Error,
    services::submitting::{self, TextTask},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const NONCE: HeaderName = HeaderName::from_static("violet-nonce");

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(submit_text_translation))
}

/// A text to be translated. Unknown fields are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct TextTranslation {
    /// The text: at most 10,000 characters and 16,384 bytes of UTF-8 by default.
    text: String,
    /// Its language, such as `en`.
    source_language: String,
    /// The language wanted; another one.
    target_language: String,
    /// low, normal (default), high or urgent.
    priority: Option<String>,
    /// A preference; the result names the model that really ran.
    model_id: Option<String>,
    /// true: that model or none.
    require_model: Option<bool>,
    /// Miners to work on it, 1 to 10; 3 by default.
    #[schema(minimum = 1, maximum = 10)]
    required_miner_count: Option<u8>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TextTranslationAccepted {
    success: bool,
    task_id: TaskId,
    /// The model asked for.
    model_id: Option<String>,
    source_language: String,
    target_language: String,
    /// Characters of the text as it came.
    text_length: usize,
    word_count: usize,
    /// Whether miners were drawn at once; otherwise the task waits for one.
    auto_assigned: bool,
    /// Miners drawn so far.
    assigned_miner_count: usize,
    message: &'static str,
}

/// Submit a text translation.
///
/// `Idempotency-Key`: the same key and request find the same task. That key, or a `Violet-Nonce`, also ties the draw
/// of miners to you, so that nobody can have tried several.
#[utoipa::path(
    post, path = "/text-translation", tag = "tasks",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request find its task"),
        ("Violet-Nonce" = Option<String>, Header, description = "Entropy of yours for the draw")
    ),
    request_body(content(
        (TextTranslation = "multipart/form-data"),
        (TextTranslation = "application/x-www-form-urlencoded"),
        (TextTranslation = "application/json")
    )),
    responses((status = 200, description = "Accepted and stored", body = TextTranslationAccepted), ApiError)
)]
async fn submit_text_translation(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Body<TextTranslationAccepted>, ApiError> {
    let asked = TextTask {
        text: fields.required("text")?,
        source_language: fields.required("source_language")?,
        target_language: fields.required("target_language")?,
        priority: fields.optional("priority")?,
        model_id: fields.optional("model_id")?,
        require_model: fields.parsed("require_model", "true or false")?.unwrap_or(false),
        required_miner_count: fields.parsed("required_miner_count", "a number from 1 to 10")?,
        idempotency_key: header(&headers, &IDEMPOTENCY_KEY, "Idempotency-Key")?,
        nonce: header(&headers, &NONCE, "Violet-Nonce")?,
    };
    let model_id = asked.model_id.clone();
    let (source_language, target_language) = (asked.source_language.clone(), asked.target_language.clone());
    let taken = submitting::text_translation(&app, client.owner(), asked).await?;
    Ok(Body(TextTranslationAccepted {
        success: true,
        task_id: taken.task,
        model_id,
        source_language,
        target_language,
        text_length: taken.text_length,
        word_count: taken.word_count,
        auto_assigned: taken.assigned > 0,
        assigned_miner_count: taken.assigned,
        message: "Text translation task submitted",
    }))
}

fn header(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<String>, Error> {
    headers
        .get(name)
        .map(|value| value.to_str().map(ToOwned::to_owned))
        .transpose()
        .map_err(|_| Error::invalid(shown, "must be printable ASCII"))
}
