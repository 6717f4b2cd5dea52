//! Files: downloads by their owner or by a link, and the uploads of miners.
use axum::{
    Json as Body,
    body::Body as Stream,
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::auth;

use super::{
    extract::{Path, Query, check_declared_length},
    limiting::Tally,
    principal::{self, May},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{FileId, TaskId, access::may, enrolment::NeuronKind},
    error::Error,
    services::files::{self, Reader},
    store::files::Reference,
};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(download_file))
}

/// The ones that receive files take longer than the others.
pub(super) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(upload_answer_file))
}

/// Where this server is reached, as the caller reached it.
#[derive(Clone, Debug)]
pub(super) struct Base(String);

impl FromRequestParts<App> for Base {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        // Behind a balancer that ends TLS the scheme is what it says.
        let scheme = match header("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        Ok(Self(
            header(header::HOST.as_str()).map_or_else(String::new, |host| format!("{scheme}://{host}")),
        ))
    }
}

impl Base {
    /// A link to a file that works for a while.
    pub(super) fn link(&self, app: &App, id: FileId) -> String {
        format!("{}{}", self.0, files::link(app, id))
    }
}

/// A file of a task, with a link that works for a while and needs no key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileLink {
    file_id: FileId,
    file_name: String,
    /// What its content is.
    file_type: String,
    /// Bytes.
    file_size: i64,
    /// Hex.
    sha256: String,
    pub(super) download_url: String,
}

impl FileLink {
    pub(super) fn new(app: &App, base: &Base, file: Reference) -> Self {
        let Reference {
            file_id,
            file_name,
            media_type,
            size,
            sha256,
        } = file;
        Self {
            file_id,
            file_name,
            file_type: media_type,
            file_size: size,
            sha256: hex::encode(sha256),
            download_url: base.link(app, file_id),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Link {
    /// Unix time in seconds; with `signature` instead of a key.
    expires: Option<u64>,
    /// Made by the server.
    signature: Option<String>,
}

/// Who may ask for a file: its owner by key, or anybody with a link.
struct Permitted(Reader);

impl FromRequestParts<App> for Permitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(link) = Query::<Link>::from_request_parts(parts, app).await?;
        Ok(Self(match link {
            Link {
                expires: Some(expires),
                signature: Some(signature),
            } => Reader::Link { expires, signature },
            Link { .. } => Reader::Owner(
                May::<may::ReadFiles>::from_request_parts(parts, app)
                    .await?
                    .organization,
            ),
        }))
    }
}

/// Download a file, with the key of its owner or by a link.
#[utoipa::path(
    get, path = "/files/{file_id}/download", tag = "files", security(("api_key" = ["files:read"]), ()),
    params(("file_id" = FileId, Path), Link),
    responses(
        (status = 200, description = "Its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        ApiError
    )
)]
async fn download_file(
    State(app): State<App>,
    Permitted(reader): Permitted,
    tally: Tally,
    Path(id): Path<FileId>,
) -> Result<Response, ApiError> {
    let file = files::find(&app, id, &reader).await?;
    // Whoever has a link is no stranger.
    tally.recognised(&app).await;
    let bytes = files::open(&app, &file).await?;
    let mut response = Stream::from_stream(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.size));
    let text = |text: String| HeaderValue::try_from(text).map_err(Error::internal);
    headers.insert(header::CONTENT_TYPE, text(file.media_type)?);
    headers.insert(header::ETAG, text(format!("\"{}\"", hex::encode(file.sha256)))?);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
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
    Ok(response)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ForTask {
    /// An open assignment of the caller.
    task_id: TaskId,
}

#[derive(Debug, Serialize, ToSchema)]
struct Uploaded {
    file_id: FileId,
    /// Hex.
    sha256: String,
    /// Bytes.
    file_size: u64,
}

/// Upload a file of an answer: WAV, at most 64 MiB by default, and at most 4 of them for an assignment.
///
/// `Content-Digest: sha-256=:…:` (RFC 9530) declares the body that the signature covers; signature, nonce and
/// assignment are checked before the body is read, the body against its digest while it is.
#[utoipa::path(
    post, path = "/miner/files", tag = "miners", security(("btauth" = []), ("neuron_key" = [])),
    params(ForTask, ("Content-Digest" = String, Header, description = "sha-256=:base64:")),
    request_body(content = Vec<u8>, content_type = "audio/wav"),
    responses(
        (status = 200, description = "Stored", body = Uploaded),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn upload_answer_file(State(app): State<App>, request: Request) -> Result<Body<Uploaded>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let declared = parts
        .headers
        .get(CONTENT_DIGEST)
        .and_then(|value| value.to_str().ok());
    // A stranger learns nothing about the form of the request.
    let credential = principal::credential(&parts, &app, NeuronKind::Miner).await?;
    let digest = declared.and_then(sha256_of).ok_or_else(|| {
        ApiError::malformed(
            StatusCode::BAD_REQUEST,
            "Content-Digest: is required, as sha-256=:base64 of 32 bytes:",
        )
    })?;
    let declared = auth::Body::Declared(digest);
    let caller = credential.admit(&parts, &app, declared).await?;
    let limit = usize::try_from(app.config.tasks.answer_file_bytes).unwrap_or(usize::MAX);
    check_declared_length(&parts.headers, limit)?;
    let Query(ForTask { task_id }) = Query::<ForTask>::from_request_parts(&mut parts, &app).await?;
    let stream = body.into_data_stream();
    let received = files::receive_answer(&app, caller.neuron.hotkey, task_id, digest, stream).await?;
    Ok(Body(Uploaded {
        file_id: received.id,
        sha256: hex::encode(received.sha256),
        file_size: received.size,
    }))
}

/// The SHA-256 of a Content-Digest header.
fn sha256_of(header: &str) -> Option<[u8; 32]> {
    let value = header
        .split(',')
        .find_map(|item| item.trim().strip_prefix("sha-256=:"))?;
    STANDARD.decode(value.strip_suffix(':')?).ok()?.try_into().ok()
}
