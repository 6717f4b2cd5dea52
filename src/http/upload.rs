//! A form with a file: the texts are collected, the file is streamed to object storage as it arrives.
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};
use futures_util::Stream;

use super::{extract::Fields, problem::ApiError};
use crate::{
    app::App,
    error::Error,
    services::files::{self, Received, Rules},
};

/// What the texts of a form may have together, in bytes.
const TEXTS: usize = 64 * 1024;
/// What a part counts besides its name and its text.
const PART: usize = 64;
/// What a multipart form may have around its file: texts, headers of parts, and what belongs to no part.
const AROUND: u64 = 128 * 1024;
/// The most that the parser of forms is given at once.
const PIECE: usize = 64 * 1024;

/// The largest body that any operation with a file may have.
pub(super) fn largest(app: &App) -> usize {
    let limits = &app.config.tasks;
    let file = limits
        .audio_bytes
        .max(limits.video_bytes)
        .max(limits.document_bytes)
        .max(limits.answer_file_bytes)
        .max(app.config.storage.voice_bytes);
    usize::try_from(file.saturating_add(2 * AROUND)).unwrap_or(usize::MAX)
}

/// The texts of a form and the file that was received with them.
pub(super) struct Upload {
    pub(super) fields: Fields,
    pub(super) file: Received,
}

impl Upload {
    /// Receives a form whose file follows `rules`. What is refused leaves nothing behind.
    pub(super) async fn receive(app: &App, request: Request, rules: Rules) -> Result<Self, ApiError> {
        match receive(app, request, rules).await? {
            (fields, Some(file)) => Ok(Self { fields, file }),
            (_, None) => Err(Error::invalid(rules.field, "is required, as a file of the form").into()),
        }
    }
}

/// Receives a form that may have a file, which follows `rules`. What is refused leaves nothing behind.
pub(super) async fn receive(
    app: &App,
    request: Request,
    rules: Rules,
) -> Result<(Fields, Option<Received>), ApiError> {
    let (kind, declared) = {
        let text = |name| {
            request
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_ascii_lowercase)
        };
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        (text(header::CONTENT_TYPE).unwrap_or_default(), length)
    };
    refuse_early(rules, &kind, declared)?;
    let tap = Arc::new(Tap::default());
    let request = request.map(|body| Body::from_stream(Tapped::new(body, tap.clone())));
    let mut parts = Multipart::from_request(request, app)
        .await
        .map_err(|rejection| ApiError::malformed(rejection.status(), rejection.body_text()))?;
    let mut received = None;
    let collected = collect(app, &mut parts, &tap, rules, &mut received).await;
    match (collected, received) {
        (Ok(fields), file) => Ok((Fields::new(fields), file)),
        (Err(error), received) => {
            if let Some(file) = received {
                files::discard(app, file.id).await;
            }
            Err(error)
        }
    }
}

/// What can be told from the headers, before anything is received.
fn refuse_early(rules: Rules, kind: &str, declared: Option<u64>) -> Result<(), ApiError> {
    let Rules { field, limit, .. } = rules;
    if !kind.starts_with("multipart/form-data") {
        return Err(ApiError::malformed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send multipart/form-data with a part named {field}"),
        ));
    }
    if declared.is_some_and(|length| length > limit + AROUND) {
        return Err(Error::TooLarge {
            field,
            detail: format!("must have at most {limit} bytes"),
        }
        .into());
    }
    Ok(())
}

async fn collect(
    app: &App,
    parts: &mut Multipart,
    tap: &Tap,
    rules: Rules,
    received: &mut Option<Received>,
) -> Result<HashMap<String, Vec<u8>>, ApiError> {
    let mut fields = HashMap::new();
    let mut texts = 0;
    let mut limit = AROUND;
    loop {
        tap.open(limit);
        let Some(mut part) = parts.next_field().await.map_err(|error| tap.problem(&error))? else {
            return Ok(fields);
        };
        let name = part.name().map(ToOwned::to_owned);
        texts += name.as_ref().map_or(0, String::len) + PART;
        if texts > TEXTS {
            return Err(too_many());
        }
        if name.as_deref() == Some(rules.field) {
            if received.is_some() {
                return Err(Error::invalid(rules.field, "must be given once").into());
            }
            // The file has a limit of its own.
            tap.open(u64::MAX);
            let file_name = part.file_name().unwrap_or("file").to_owned();
            let file = files::receive(app, rules, &file_name, part).await?;
            limit += file.size;
            *received = Some(file);
            continue;
        }
        if part.file_name().is_some() {
            let detail = format!(
                "the file of the form must be given under this name, not as {name:?}",
                name = name.unwrap_or_default()
            );
            return Err(Error::invalid(rules.field, detail).into());
        }
        let mut value = Vec::new();
        loop {
            tap.open(limit);
            let Some(chunk) = part.chunk().await.map_err(|error| tap.problem(&error))? else {
                break;
            };
            texts += chunk.len();
            if texts > TEXTS {
                return Err(too_many());
            }
            value.extend_from_slice(&chunk);
        }
        // A part without a name is no field, and counts like one.
        if let Some(name) = name {
            fields.insert(name, value);
        }
    }
}

fn too_many() -> ApiError {
    too_large(format!(
        "must have at most {TEXTS} bytes of fields besides the file"
    ))
}

fn too_large(detail: String) -> ApiError {
    Error::TooLarge {
        field: "body",
        detail,
    }
    .into()
}

/// What the reader of a form and the body that feeds it share.
#[derive(Debug, Default)]
struct Tap {
    /// How much may be given in all, so far.
    limit: AtomicU64,
    /// The parser has looked at all that it was given, and wants more.
    wanted: AtomicBool,
    /// It wanted more than may be given.
    exceeded: AtomicBool,
}

impl Tap {
    /// Lets the body give up to `limit` bytes in all, from its beginning, and no more of them than are needed.
    fn open(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
        self.wanted.store(false, Relaxed);
    }

    fn problem(&self, error: &MultipartError) -> ApiError {
        if self.exceeded.load(Relaxed) {
            return too_large(format!("must have at most {AROUND} bytes around its file"));
        }
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large("is longer than this operation takes".into()),
            // To axum a body that breaks off is an error of the server.
            _ => ApiError::malformed(
                StatusCode::BAD_REQUEST,
                format!("multipart body: {}", error.body_text()),
            ),
        }
    }
}

/// A body that gives the parser of forms only what it needs.
///
/// The parser takes whatever is ready before it looks at any of it, and keeps what it finds no end of: a whole upload,
/// if that comes faster than it is written. "Nothing yet" is what makes it look. If it then does not find enough, it
/// polls again, and is given another piece.
struct Tapped {
    body: BodyDataStream,
    tap: Arc<Tap>,
    /// What has arrived and was not given yet.
    rest: Bytes,
    given: u64,
}

impl Tapped {
    fn new(body: Body, tap: Arc<Tap>) -> Self {
        Self {
            body: body.into_data_stream(),
            tap,
            rest: Bytes::new(),
            given: 0,
        }
    }
}

impl Stream for Tapped {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.tap.wanted.swap(true, Relaxed) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(arrived)) => self.rest = arrived,
                end => return Poll::Ready(end),
            }
        }
        if self.given >= self.tap.limit.load(Relaxed) {
            self.tap.exceeded.store(true, Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new("too much besides the file"))));
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.given += length as u64;
        self.tap.wanted.store(false, Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}
