//! Files: what their owner lists, counts and deletes, and the uploads of miners. `src/http/downloads.rs` hands them out.
use axum::{
    Json as Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, StatusCode, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::auth;

use super::{
    extract::{Page, Path, Query, check_declared_length},
    principal::{self, Administrator, May},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{FileId, OrganizationId, TaskId, access::may, enrolment::NeuronKind, media::FileKind},
    error::Error,
    services::{
        downloads::{self, Link},
        files,
    },
    store::{
        files::{File, Reference},
        storage::Stored,
    },
};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_file_stats))
        .routes(routes!(get_all_file_stats))
        .routes(routes!(list_files))
        .routes(routes!(delete_file))
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
    /// A link to a file that works for a while, and how long; unless the bucket is public.
    pub(super) fn link_until(&self, app: &App, id: FileId) -> (String, Option<DateTime<Utc>>) {
        match downloads::link(app, id) {
            Link::Path(path, until) => (format!("{}{path}", self.0), Some(until)),
            Link::Public(url) => (url, None),
        }
    }

    /// A link to a file that works for a while.
    pub(super) fn link(&self, app: &App, id: FileId) -> String {
        self.link_until(app, id).0
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

/// What is known of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Metadata {
    file_id: FileId,
    /// As its owner named it.
    original_filename: String,
    file_type: FileKind,
    /// What its content is.
    content_type: String,
    /// Bytes.
    file_size: i64,
    /// Hex.
    sha256: String,
    /// Null for the sample of a voice.
    task_id: Option<TaskId>,
    /// The miner that made it, for the file of an answer.
    #[schema(value_type = Option<String>)]
    hotkey: Option<violet_chain::Hotkey>,
    created_at: DateTime<Utc>,
    /// A link that needs no key.
    public_url: String,
    /// When the link ends.
    expires_at: Option<DateTime<Utc>>,
}

impl Metadata {
    pub(super) fn new(app: &App, base: &Base, file: File) -> Self {
        let (public_url, expires_at) = base.link_until(app, file.file_id);
        Self {
            file_id: file.file_id,
            original_filename: file.file_name,
            file_type: file.kind,
            content_type: file.media_type,
            file_size: file.size,
            sha256: hex::encode(file.sha256),
            task_id: file.task_id,
            hotkey: file.hotkey,
            created_at: file.created_at,
            public_url,
            expires_at,
        }
    }
}

/// Files and bytes of one kind.
#[derive(Debug, Serialize, ToSchema)]
struct KindStats {
    file_type: FileKind,
    files: i64,
    bytes: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    total_files: i64,
    total_size_bytes: i64,
    total_size_mb: f64,
    /// `local`, `s3`, `gcs` or `azure`.
    storage_type: &'static str,
    by_type: Vec<KindStats>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileStats {
    success: bool,
    stats: Stats,
}

impl FileStats {
    fn new(app: &App, stored: &[Stored]) -> Self {
        let bytes = stored.iter().map(|one| one.bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let megabytes = (bytes as f64 / 1024.0 / 1024.0 * 100.0).round() / 100.0;
        Self {
            success: true,
            stats: Stats {
                total_files: stored.iter().map(|one| one.files).sum(),
                total_size_bytes: bytes,
                total_size_mb: megabytes,
                storage_type: app.blobs.kind(),
                by_type: stored
                    .iter()
                    .map(|one| KindStats {
                        file_type: one.kind,
                        files: one.files,
                        bytes: one.bytes,
                    })
                    .collect(),
            },
        }
    }
}

/// Read how many files your organisation has stored, and how large they are.
#[utoipa::path(
    get, path = "/files/stats", tag = "files", security(("api_key" = ["files:read"])),
    responses((status = 200, description = "In all, and by type", body = FileStats), ApiError)
)]
async fn get_file_stats(
    State(app): State<App>,
    client: May<may::ReadFiles>,
) -> Result<Body<FileStats>, ApiError> {
    let stored = downloads::stored(&app, Some(client.organization)).await?;
    Ok(Body(FileStats::new(&app, &stored)))
}

/// Read how many files all organisations have stored. For administrators of the platform.
#[utoipa::path(
    get, path = "/admin/files/stats", tag = "administration", security(("session" = ["admin"])),
    responses((status = 200, description = "In all, and by type", body = FileStats), ApiError)
)]
async fn get_all_file_stats(
    State(app): State<App>,
    _who: Administrator,
) -> Result<Body<FileStats>, ApiError> {
    let stored = downloads::stored(&app, None).await?;
    Ok(Body(FileStats::new(&app, &stored)))
}

#[derive(Debug, Deserialize)]
struct OfType {
    file_type: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfWhom {
    /// Your own by default; another one's for administrators of the platform who logged in.
    organization_id: Option<OrganizationId>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Files {
    success: bool,
    file_type: FileKind,
    files: Vec<Metadata>,
    count: usize,
    /// What to send as `before` for the next page; null when this is the last.
    next: Option<FileId>,
}

/// List the files of one type, newest first.
#[utoipa::path(
    get, path = "/files/list/{file_type}", tag = "files", security(("api_key" = ["files:read"])),
    params(("file_type" = FileKind, Path), OfWhom, Page<FileId>),
    responses((status = 200, description = "A page of files", body = Files), ApiError)
)]
async fn list_files(
    State(app): State<App>,
    client: May<may::ReadFiles>,
    base: Base,
    Path(OfType { file_type }): Path<OfType>,
    Query(OfWhom { organization_id }): Query<OfWhom>,
    Query(page): Query<Page<FileId>>,
) -> Result<Body<Files>, ApiError> {
    let file_type = FileKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == file_type)
        .ok_or_else(|| ApiError::parameter("file_type", false))?;
    let organization = organization_id.unwrap_or(client.organization);
    if organization != client.organization && !client.is_administrator() {
        return Err(Error::Forbidden("files of other organisations are for administrators".into()).into());
    }
    let limit = page.limit();
    let mut files = downloads::list(&app, organization, file_type, page.before, limit + 1).await?;
    let is_last = files.len() <= usize::from(limit);
    files.truncate(limit.into());
    Ok(Body(Files {
        success: true,
        file_type,
        count: files.len(),
        next: files.last().map(|last| last.file_id).filter(|_| !is_last),
        files: files
            .into_iter()
            .map(|file| Metadata::new(&app, &base, file))
            .collect(),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    success: bool,
    file_id: FileId,
    message: &'static str,
}

/// Delete a file of a task that has ended. Links to it end with it; its bytes are removed soon.
#[utoipa::path(
    delete, path = "/files/{file_id}", tag = "files", security(("api_key" = ["files:delete"])),
    params(("file_id" = FileId, Path)),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 409, description = "conflict"),
        ApiError
    )
)]
async fn delete_file(
    State(app): State<App>,
    client: May<may::DeleteFiles>,
    Path(file_id): Path<FileId>,
) -> Result<Body<Deleted>, ApiError> {
    downloads::delete(&app, client.organization, file_id).await?;
    Ok(Body(Deleted {
        success: true,
        file_id,
        message: "File deleted",
    }))
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
