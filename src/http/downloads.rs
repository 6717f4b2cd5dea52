//! Files as they are handed out: to their owner, to neurons that work with them, and by links.
use std::time::SystemTime;

use axum::{
    Json,
    body::Body as Stream,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use headers::{ETag, HeaderMapExt as _, LastModified};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    API_KEY,
    conditions::{self, Answer},
    extract::{Path, Query},
    files::{Base, Metadata},
    limiting::Tally,
    principal::{self, May},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{
        FileId,
        access::may,
        enrolment::NeuronKind,
        media::{FileKind, TEXT},
    },
    error::Error,
    services::{
        downloads::{self, Reader},
        enrolment,
    },
    store::files::File,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_file))
        .routes(routes!(download_file))
        .routes(routes!(download_speech))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Signed {
    /// Unix time in seconds; with `signature` instead of a key.
    expires: Option<u64>,
    /// Made by the server.
    signature: Option<String>,
}

/// Who may ask for a file: its owner, a neuron that works with it, or anybody with a link.
struct Permitted(Reader);

impl FromRequestParts<App> for Permitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(link) = Query::<Signed>::from_request_parts(parts, app).await?;
        if let Signed {
            expires: Some(expires),
            signature: Some(signature),
        } = link
        {
            return Ok(Self(Reader::Link { expires, signature }));
        }
        let key = parts.headers.get(API_KEY).and_then(|key| key.to_str().ok());
        let kind = match key {
            Some(key) => enrolment::kind_of(key),
            None => principal::is_signed(parts).then_some(NeuronKind::Miner),
        };
        if let Some(kind) = kind {
            let caller = principal::neuron(parts, app, kind).await?;
            return Ok(Self(Reader::Neuron(Box::new(caller))));
        }
        let client = May::<may::ReadFiles>::from_request_parts(parts, app).await?;
        Ok(Self(if client.is_administrator() {
            Reader::Administrator
        } else {
            Reader::Owner(client.organization)
        }))
    }
}

/// Read what is known of a file, or its bytes where `Accept` asks for something else than JSON.
#[utoipa::path(
    get, path = "/files/{file_id}", tag = "files",
    security(("api_key" = ["files:read"]), ("btauth" = []), ("neuron_key" = []), ()),
    params(("file_id" = FileId, Path), Signed),
    responses(
        (
            status = 200, description = "What is known of it, or its bytes",
            content((Metadata = "application/json"), (Vec<u8> = "application/octet-stream"))
        ),
        (status = 206, description = "The bytes of `Range`", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "It is the one that `If-None-Match` or `If-Modified-Since` names"),
        (status = 412, description = "precondition-failed"),
        (status = 416, description = "range-not-satisfiable"),
        ApiError
    )
)]
async fn get_file(
    State(app): State<App>,
    Permitted(reader): Permitted,
    tally: Tally,
    base: Base,
    Path(id): Path<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = found(&app, id, &reader, &tally).await?;
    let mut response = if asks_for_bytes(&headers) {
        send(&app, &method, &headers, file).await?
    } else {
        Json(Metadata::new(&app, &base, file)).into_response()
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// Download a file: by its owner, by the neurons that work with it, or by a link. `HEAD` tells the same without it.
#[utoipa::path(
    get, path = "/files/{file_id}/download", tag = "files",
    security(("api_key" = ["files:read"]), ("btauth" = []), ("neuron_key" = []), ()),
    params(("file_id" = FileId, Path), Signed),
    responses(
        (status = 200, description = "Its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The bytes of `Range`", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "It is the one that `If-None-Match` or `If-Modified-Since` names"),
        (status = 412, description = "precondition-failed"),
        (status = 416, description = "range-not-satisfiable"),
        ApiError
    )
)]
async fn download_file(
    State(app): State<App>,
    Permitted(reader): Permitted,
    tally: Tally,
    Path(id): Path<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = found(&app, id, &reader, &tally).await?;
    send(&app, &method, &headers, file).await
}

/// Download speech that a miner made.
#[utoipa::path(
    get, path = "/tts/audio/{file_id}", tag = "files",
    security(("api_key" = ["files:read"]), ("btauth" = []), ("neuron_key" = []), ()),
    params(("file_id" = FileId, Path), Signed),
    responses(
        (status = 200, description = "Its bytes", body = Vec<u8>, content_type = "audio/wav"),
        (status = 206, description = "The bytes of `Range`", body = Vec<u8>, content_type = "audio/wav"),
        (status = 304, description = "It is the one that `If-None-Match` or `If-Modified-Since` names"),
        (status = 412, description = "precondition-failed"),
        (status = 416, description = "range-not-satisfiable"),
        ApiError
    )
)]
async fn download_speech(
    State(app): State<App>,
    Permitted(reader): Permitted,
    tally: Tally,
    Path(id): Path<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = found(&app, id, &reader, &tally).await?;
    if file.kind != FileKind::Tts {
        return Err(Error::NotFound { what: "speech" }.into());
    }
    send(&app, &method, &headers, file).await
}

async fn found(app: &App, id: FileId, reader: &Reader, tally: &Tally) -> Result<File, ApiError> {
    let file = downloads::find(app, id, reader).await?;
    // Whoever has a link is no stranger.
    tally.recognised(app).await;
    Ok(file)
}

/// Whether a request takes anything but JSON.
fn asks_for_bytes(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let json = ["*/*", "application/*", "application/json"];
    accepted.is_some_and(|accepted| {
        !accepted
            .split(',')
            .filter_map(|one| one.split(';').next())
            .any(|kind| json.contains(&kind.trim().to_ascii_lowercase().as_str()))
    })
}

/// A file, or as much of it as is asked for.
async fn send(app: &App, method: &Method, headers: &HeaderMap, file: File) -> Result<Response, ApiError> {
    let length = u64::try_from(file.size).unwrap_or(0);
    let tag: ETag = format!("\"{}\"", hex::encode(file.sha256))
        .parse()
        .map_err(Error::internal)?;
    let modified = SystemTime::from(file.created_at);
    let answer = conditions::weigh(method, headers, &tag, modified, length);
    let mut response = match &answer {
        Answer::Failed => return Err(ApiError::precondition()),
        Answer::Unsatisfiable => {
            let mut response = ApiError::unsatisfiable(length).into_response();
            let range = text(format!("bytes */{length}"))?;
            response.headers_mut().insert(header::CONTENT_RANGE, range);
            return Ok(response);
        }
        Answer::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Answer::Whole if method == Method::HEAD => Stream::empty().into_response(),
        Answer::Whole => Stream::from_stream(downloads::open(app, &file, None).await?).into_response(),
        Answer::Part(range) => {
            let bytes = downloads::open(app, &file, Some(range.clone())).await?;
            (StatusCode::PARTIAL_CONTENT, Stream::from_stream(bytes)).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.typed_insert(tag);
    headers.typed_insert(LastModified::from(modified));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    let sent = match answer {
        Answer::Whole => length,
        Answer::Part(range) => {
            let span = text(format!("bytes {}-{}/{length}", range.start, range.end - 1))?;
            headers.insert(header::CONTENT_RANGE, span);
            range.end - range.start
        }
        _ => return Ok(response),
    };
    describe(headers, file, sent)?;
    Ok(response)
}

/// What a file is, for whoever is sent it.
fn describe(headers: &mut HeaderMap, file: File, sent: u64) -> Result<(), ApiError> {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = if file.media_type == TEXT {
        // It was found to be, to its end.
        format!("{TEXT}; charset=utf-8")
    } else {
        file.media_type
    };
    headers.insert(header::CONTENT_TYPE, text(kind)?);
    // Whatever a file is, a browser that follows a link shall not run it as a page of ours.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let name = percent_encoding::utf8_percent_encode(&file.file_name, percent_encoding::NON_ALPHANUMERIC);
    headers.insert(
        header::CONTENT_DISPOSITION,
        text(format!("attachment; filename*=UTF-8''{name}"))?,
    );
    Ok(())
}

fn text(text: String) -> Result<HeaderValue, ApiError> {
    Ok(HeaderValue::try_from(text).map_err(Error::internal)?)
}
