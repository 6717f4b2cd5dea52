//! Submitting tasks, with the paths and fields of the original API.
use axum::{
    Json as Body,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderName},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::Fields,
    principal::{Client, May},
    problem::ApiError,
    upload::Upload,
};
use crate::{
    app::App,
    domain::{FileId, TaskId, TaskType, access::may},
    error::Error,
    services::{
        files::{self, Received},
        submitting::{self, Asked, Content, Options},
    },
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_KEY_SHOWN: &str = "Idempotency-Key";
const NONCE: HeaderName = HeaderName::from_static("violet-nonce");

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit_tts))
        .routes(routes!(submit_summarization))
        .routes(routes!(submit_text_translation))
}

/// The ones that receive files take longer than the others.
pub(super) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit_transcription))
        .routes(routes!(submit_document_translation))
        .routes(routes!(submit_video_transcription))
}

/// Fields that every task may have. Unknown fields are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct Common {
    /// low, normal (default), high or urgent.
    priority: Option<String>,
    /// A preference; the result names the model that really ran. Without it most types have one that is asked for.
    model_id: Option<String>,
    /// true: that model or none.
    require_model: Option<bool>,
    /// Miners to work on it, 1 to 10; 3 by default.
    #[schema(minimum = 1, maximum = 10)]
    required_miner_count: Option<u8>,
}

/// A recording to be transcribed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Upload` reads")]
struct Transcription {
    /// WAV, MP3, FLAC, OGG, M4A and the like, by content; at most 256 MiB by default.
    #[schema(content_media_type = "application/octet-stream", value_type = String, format = Binary)]
    audio_file: Vec<u8>,
    /// The language spoken; `en` by default.
    source_language: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A text to be spoken.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct Speech {
    /// At most 10,000 characters and 16,384 bytes of UTF-8 by default.
    text: String,
    /// Its language; `en` by default.
    source_language: Option<String>,
    /// The voice, such as `english_alice`.
    voice_name: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A text to be summarized.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct Summarization {
    /// At most 10,000 characters and 16,384 bytes of UTF-8 by default.
    text: String,
    /// Its language; `en` by default.
    source_language: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A text to be translated.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Fields` reads")]
struct TextTranslation {
    /// At most 10,000 characters and 16,384 bytes of UTF-8 by default.
    text: String,
    /// Its language, such as `en`.
    source_language: String,
    /// The language wanted; another one.
    target_language: String,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A document to be translated.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Upload` reads")]
struct DocumentTranslation {
    /// PDF, DOCX or text in UTF-8, by content; at most 50 MiB by default.
    #[schema(content_media_type = "application/octet-stream", value_type = String, format = Binary)]
    document_file: Vec<u8>,
    /// Its language, such as `en`.
    source_language: String,
    /// The language wanted; another one.
    target_language: String,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A video whose speech is to be transcribed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Upload` reads")]
struct VideoTranscription {
    /// MP4, `WebM`, MKV, AVI, MOV and the like, by content; at most 256 MiB by default.
    #[schema(content_media_type = "application/octet-stream", value_type = String, format = Binary)]
    video_file: Vec<u8>,
    /// The language spoken; `en` by default.
    source_language: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    common: Common,
}

/// A task that is stored. Fields that its type does not have are absent.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    success: bool,
    task_id: TaskId,
    /// The model asked for, or what is asked for without one.
    model_id: Option<String>,
    source_language: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_language: Option<String>,
    /// The language of the text; the one that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    detected_language: Option<String>,
    /// 1, because the language was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    language_confidence: Option<f64>,
    /// Characters of the text as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    text_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    word_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<FileId>,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    /// What its content is.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_format: Option<String>,
    /// Whether miners were drawn at once; otherwise the task waits for one.
    auto_assigned: bool,
    /// Miners drawn so far.
    assigned_miner_count: usize,
    message: &'static str,
}

fn header(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<String>, Error> {
    headers
        .get(name)
        .map(|value| value.to_str().map(ToOwned::to_owned))
        .transpose()
        .map_err(|_| Error::invalid(shown, "must be printable ASCII"))
}

fn options(headers: &HeaderMap, fields: &mut Fields) -> Result<Options, ApiError> {
    Ok(Options {
        priority: fields.optional("priority")?,
        model_id: fields.optional("model_id")?,
        require_model: fields.parsed("require_model", "true or false")?.unwrap_or(false),
        required_miner_count: fields.parsed("required_miner_count", "a number from 1 to 10")?,
        idempotency_key: header(headers, &IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_SHOWN)?,
        nonce: header(headers, &NONCE, "Violet-Nonce")?,
    })
}

async fn text_task(
    app: &App,
    client: Client,
    request: Request,
    task_type: TaskType,
    message: &'static str,
) -> Result<Body<Accepted>, ApiError> {
    let headers = request.headers().clone();
    let mut fields = Fields::from_request(request, app).await?;
    let asked = Asked {
        task_type,
        content: Content::Text(fields.required("text")?),
        source_language: fields.optional("source_language")?,
        target_language: fields.optional("target_language")?,
        voice_name: match task_type {
            TaskType::Tts => fields.optional("voice_name")?,
            _ => None,
        },
        options: options(&headers, &mut fields)?,
    };
    let taken = submitting::submit(app, client.owner(), asked).await?;
    let spoken = !task_type.is_translation();
    Ok(Body(Accepted {
        success: true,
        task_id: taken.task,
        model_id: taken.model_id,
        detected_language: spoken.then(|| taken.source_language.clone()),
        language_confidence: spoken.then_some(1.0),
        source_language: taken.source_language,
        target_language: taken.target_language,
        text_length: Some(taken.text_length),
        word_count: Some(taken.word_count),
        file_id: None,
        file_name: None,
        file_size: None,
        file_format: None,
        auto_assigned: taken.assigned > 0,
        assigned_miner_count: taken.assigned,
        message,
    }))
}

fn file_asked(
    headers: &HeaderMap,
    fields: &mut Fields,
    task_type: TaskType,
    file: Received,
) -> Result<Asked, ApiError> {
    Ok(Asked {
        task_type,
        content: Content::File(file),
        source_language: fields.optional("source_language")?,
        target_language: fields.optional("target_language")?,
        voice_name: None,
        options: options(headers, fields)?,
    })
}

async fn file_task(
    app: &App,
    client: Client,
    request: Request,
    task_type: TaskType,
    message: &'static str,
) -> Result<Body<Accepted>, ApiError> {
    let headers = request.headers().clone();
    let rules = files::rules(app, task_type.input());
    let key = header(&headers, &IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_SHOWN)?;
    submitting::check_quota(app, client.organization, task_type, key.as_deref()).await?;
    let Upload { mut fields, file } = Upload::receive(app, request, rules).await?;
    let received = file.clone();
    let asked = match file_asked(&headers, &mut fields, task_type, file) {
        Ok(asked) => asked,
        Err(error) => {
            files::discard(app, received.id).await;
            return Err(error);
        }
    };
    let taken = submitting::submit(app, client.owner(), asked).await?;
    Ok(Body(Accepted {
        success: true,
        task_id: taken.task,
        model_id: taken.model_id,
        source_language: taken.source_language,
        target_language: taken.target_language,
        detected_language: None,
        language_confidence: None,
        text_length: None,
        word_count: None,
        file_id: Some(taken.file.unwrap_or(received.id)),
        file_name: Some(received.name),
        file_size: Some(received.size),
        file_format: Some(received.media_type.to_owned()),
        auto_assigned: taken.assigned > 0,
        assigned_miner_count: taken.assigned,
        message,
    }))
}

/// Describes one operation: they differ in path, form, type and in what receives the form.
macro_rules! operations {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident($path:literal, $task_type:ident by $permission:ident $scope:literal, $form:ty, $message:literal, $($media:literal),+; $receive:ident);
    )+) => {$(
        $(#[doc = $doc])+
        #[utoipa::path(
            post, path = $path, tag = "tasks", security(("api_key" = [$scope])),
            params(
                ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request find its task"),
                ("Violet-Nonce" = Option<String>, Header, description = "Entropy of yours for the draw")
            ),
            request_body(content($(($form = $media)),+)),
            responses((status = 200, description = "Accepted and stored", body = Accepted), ApiError)
        )]
        async fn $name(
            State(app): State<App>,
            client: May<may::$permission>,
            request: Request,
        ) -> Result<Body<Accepted>, ApiError> {
            $receive(&app, *client, request, TaskType::$task_type, $message).await
        }
    )+};
}

operations! {
    /// Submit a recording to be transcribed.
    ///
    /// The file is streamed to storage; what it is decides its content, not its name.
    submit_transcription("/transcription", Transcription by SubmitTranscription "tasks:transcription", Transcription, "Transcription task submitted",
        "multipart/form-data"; file_task);
    /// Submit a text to be spoken.
    submit_tts("/tts", Tts by SubmitTts "tasks:tts", Speech, "TTS task submitted",
        "multipart/form-data", "application/x-www-form-urlencoded", "application/json"; text_task);
    /// Submit a text to be summarized.
    submit_summarization("/summarization", Summarization by SubmitSummarization "tasks:summarization", Summarization, "Summarization task submitted",
        "multipart/form-data", "application/x-www-form-urlencoded", "application/json"; text_task);
    /// Submit a text translation.
    ///
    /// `Idempotency-Key`: the same key and request find the same task. That key, or a `Violet-Nonce`, also ties the
    /// draw of miners to you, so that nobody can have tried several.
    submit_text_translation("/text-translation", TextTranslation by SubmitTextTranslation "tasks:text_translation", TextTranslation,
        "Text translation task submitted",
        "multipart/form-data", "application/x-www-form-urlencoded", "application/json"; text_task);
    /// Submit a document to be translated.
    submit_document_translation("/document-translation", DocumentTranslation by SubmitDocumentTranslation "tasks:document_translation", DocumentTranslation,
        "Document translation task submitted", "multipart/form-data"; file_task);
    /// Submit a video whose speech is to be transcribed.
    submit_video_transcription("/video-transcription", VideoTranscription by SubmitVideoTranscription "tasks:video_transcription", VideoTranscription,
        "Video transcription task submitted", "multipart/form-data"; file_task);
}
