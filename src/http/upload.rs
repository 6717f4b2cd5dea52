//! A form with a file: the texts are collected, the file is streamed to object storage as it arrives.
use std::collections::HashMap;

use axum::{
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};

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
/// What a multipart form may have around its file.
const AROUND: u64 = 128 * 1024;

/// The largest body that any operation with a file may have.
pub(super) fn largest(app: &App) -> usize {
    let limits = &app.config.tasks;
    let file = limits
        .audio_bytes
        .max(limits.video_bytes)
        .max(limits.document_bytes)
        .max(limits.answer_file_bytes);
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
        let field = rules.field;
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
        let mut parts = Multipart::from_request(request, app)
            .await
            .map_err(|rejection| ApiError::malformed(rejection.status(), rejection.body_text()))?;
        let mut received = None;
        let collected = collect(app, &mut parts, rules, &mut received).await;
        match (collected, received) {
            (Ok(fields), Some(file)) => Ok(Self {
                fields: Fields::new(fields),
                file,
            }),
            (Ok(_), None) => Err(Error::invalid(field, "is required, as a file of the form").into()),
            (Err(error), received) => {
                if let Some(file) = received {
                    files::discard(app, file.id).await;
                }
                Err(error)
            }
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
    rules: Rules,
    received: &mut Option<Received>,
) -> Result<HashMap<String, Vec<u8>>, ApiError> {
    let malformed = |error: &MultipartError| {
        ApiError::malformed(error.status(), format!("multipart body: {}", error.body_text()))
    };
    let mut fields = HashMap::new();
    let mut texts = 0;
    while let Some(mut part) = parts.next_field().await.map_err(|error| malformed(&error))? {
        let Some(name) = part.name().map(ToOwned::to_owned) else {
            continue;
        };
        texts += name.len() + PART;
        if texts > TEXTS {
            return Err(too_many());
        }
        if name == rules.field {
            if received.is_some() {
                return Err(Error::invalid(rules.field, "must be given once").into());
            }
            let file_name = part.file_name().unwrap_or("file").to_owned();
            *received = Some(files::receive(app, rules, &file_name, part).await?);
            continue;
        }
        let mut value = Vec::new();
        while let Some(chunk) = part.chunk().await.map_err(|error| malformed(&error))? {
            texts += chunk.len();
            if texts > TEXTS {
                return Err(too_many());
            }
            value.extend_from_slice(&chunk);
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

fn too_many() -> ApiError {
    let detail = format!("must have at most {TEXTS} bytes of fields besides the file");
    Error::TooLarge {
        field: "body",
        detail,
    }
    .into()
}
