//! Errors as `application/problem+json` (RFC 9457). `detail` is a string, as the original's clients expect.
use std::any::Any;

use axum::{
    Json,
    extract::{
        path::ErrorKind,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// What every problem of one type has in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Stable, so a client can match on it.
    pub(super) name: &'static str,
    title: &'static str,
    /// For the description of the API.
    pub(super) meaning: &'static str,
}

/// Every type of problem, each a constant.
macro_rules! kinds {
    ($($constant:ident = $name:literal, $title:literal, $meaning:literal;)+) => {
        $(pub(super) const $constant: Kind = Kind { name: $name, title: $title, meaning: $meaning };)+
        pub(super) const KINDS: &[Kind] = &[$($constant),+];
    };
}

kinds! {
    CONFLICT = "/problems/conflict", "Conflict", "what is there already does not allow it";
    FORBIDDEN = "/problems/forbidden", "Not for you", "whoever sent this may not do it";
    INTERNAL = "/problems/internal", "Internal error", "the server failed";
    INVALID_VALUE = "/problems/invalid-value", "A value cannot be taken", "`field` names the value";
    KEY_REUSED = "/problems/idempotency-key-reused", "The key belongs to another request",
        "the `Idempotency-Key` came with another request before";
    MALFORMED = "/problems/malformed-request", "Malformed request", "the request is not of the form described here";
    METHOD_NOT_ALLOWED = "/problems/method-not-allowed", "Method not allowed", "`Allow` lists the methods";
    NO_ENGINE = "/problems/no-engine", "Nobody serves this", "no miner offers this language or model";
    NO_SUCH_ROUTE = "/problems/no-such-route", "No such route", "nothing is served at this path";
    NOT_FOUND = "/problems/not-found", "Not found", "nothing that you may see has this id";
    PRECONDITION_FAILED = "/problems/precondition-failed", "Not what you expect",
        "`If-Match` or `If-Unmodified-Since` name another version";
    QUOTA_EXCEEDED = "/problems/quota-exceeded", "A quota is used up",
        "`quota` names it, `limit` says how much it is, `resets_at` when a quota of a day begins anew";
    RANGE_NOT_SATISFIABLE = "/problems/range-not-satisfiable", "No such bytes", "it ends before `Range` begins";
    TIMEOUT = "/problems/timeout", "Out of time", "the request took longer than the server allows";
    TOO_MANY_REQUESTS = "/problems/too-many-requests", "Too many requests", "try again after `Retry-After` seconds";
    TOO_LARGE = "/problems/too-large", "Too large", "the body or a part of it is larger than its limit";
    UNAUTHENTICATED = "/problems/unauthenticated", "Credentials are missing or not valid",
        "the credentials are missing, not valid, or out of date";
    UNAVAILABLE = "/problems/unavailable", "Not available right now", "try again after `Retry-After` seconds";
    UNSUPPORTED_MEDIA = "/problems/unsupported-media", "Content of another kind",
        "the body or a file in it is of a kind that is not taken here";
}

/// What every failed request answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem; stable, so a client can match on it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same for every problem of this type.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// This case: what is wrong and what to do.
    detail: String,
    /// The field or parameter that is wrong, by its name on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// The quota that is used up, and how much it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// When a quota of a day begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.name,
            title: kind.title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            quota: None,
            limit: None,
            resets_at: None,
            retry_after: None,
        }
    }

    fn about(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("built from a StatusCode");
        let retry_after = self.retry_after;
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 asks for one; ours is named after the header that users send.
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer, X-API-Key, btauth"),
            );
        }
        response
    }
}

/// The error type of every handler.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Problem>);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let problem = match error {
            Error::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, &NOT_FOUND, text),
            Error::Conflict(_) => Problem::new(StatusCode::CONFLICT, &CONFLICT, text),
            Error::Invalid { field, .. } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &INVALID_VALUE, text).about(field)
            }
            Error::TooLarge { field, .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, &TOO_LARGE, text).about(field)
            }
            Error::UnsupportedMedia { field, .. } => {
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &UNSUPPORTED_MEDIA, text).about(field)
            }
            Error::Malformed(_) => Problem::new(StatusCode::BAD_REQUEST, &MALFORMED, text),
            Error::Unauthenticated(_) => Problem::new(StatusCode::UNAUTHORIZED, &UNAUTHENTICATED, text),
            Error::Forbidden(_) => Problem::new(StatusCode::FORBIDDEN, &FORBIDDEN, text),
            Error::NoEngine(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &NO_ENGINE, text),
            Error::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &KEY_REUSED, text),
            Error::TooMany { after, .. } => Problem {
                retry_after: Some(after.as_secs().max(1)),
                ..Problem::new(StatusCode::TOO_MANY_REQUESTS, &TOO_MANY_REQUESTS, text)
            },
            Error::QuotaExceeded {
                quota,
                limit,
                resets_at,
                after,
            } => Problem {
                quota: Some(quota.name()),
                limit: Some(limit),
                resets_at,
                retry_after: Some(after.as_secs().max(1)),
                ..Problem::new(StatusCode::TOO_MANY_REQUESTS, &QUOTA_EXCEEDED, text)
            },
            Error::Unavailable { after, .. } => Problem {
                retry_after: Some(after.as_secs().max(1)),
                ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, &UNAVAILABLE, text)
            },
            Error::Internal(source) => {
                tracing::error!(error = %crate::error::Causes(source.as_ref()), "request failed");
                internal()
            }
        };
        problem.into()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        &INTERNAL,
        "the server failed; the x-request-id of this answer finds out why",
    )
}

impl ApiError {
    /// A request that is not even HTTP as this operation speaks it.
    pub(crate) fn malformed(status: StatusCode, detail: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::PAYLOAD_TOO_LARGE => &TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => &UNSUPPORTED_MEDIA,
            _ => &MALFORMED,
        };
        Problem::new(status, kind, detail).into()
    }

    /// A condition of the request that does not hold.
    pub(super) fn precondition() -> Self {
        let detail = "this is not the version that If-Match or If-Unmodified-Since names";
        Problem::new(StatusCode::PRECONDITION_FAILED, &PRECONDITION_FAILED, detail).into()
    }

    /// A range of bytes that there are not.
    pub(super) fn unsatisfiable(length: u64) -> Self {
        let detail = format!("Range: there are {length} bytes");
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, &RANGE_NOT_SATISFIABLE, detail).into()
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).expect("built from a StatusCode")
    }

    /// A parameter of the path or the query that does not parse.
    pub(super) fn parameter(name: &str, query: bool) -> Self {
        let place = if query { "query" } else { "path" };
        let known = PARAMETERS.iter().find(|(known, _)| *known == name);
        let problem = known.map_or_else(
            || {
                let detail = format!("the {place} cannot be read; /docs describes it");
                Problem::new(StatusCode::BAD_REQUEST, &MALFORMED, detail)
            },
            |(name, what)| {
                let detail = format!("{name}: must be {what}, once in the {place}");
                Problem::new(StatusCode::BAD_REQUEST, &MALFORMED, detail).about(name)
            },
        );
        problem.into()
    }
}

/// What the parameters of paths and queries must be.
const PARAMETERS: &[(&str, &str)] = &[
    ("api_key", "an API key"),
    (
        "before",
        "where the page before ended: its `next`, or the id of its last item",
    ),
    ("block", "the number of a block or its hash"),
    ("event", "the name of an event"),
    ("exclude", "the ids of tasks parted by commas"),
    ("expires", "a Unix time in seconds"),
    ("file_id", "the id of a file, a UUID"),
    (
        "file_type",
        "audio, video_transcription, document_translation, tts or tts_speaker",
    ),
    ("identity_id", "the id of an identity, a UUID"),
    ("key_id", "the id of a key, a UUID"),
    ("invitation_id", "the id of an invitation, a UUID"),
    ("limit", "a whole number from 1 to 1000"),
    ("signature", "the one of the link"),
    ("since", "a time such as 2026-01-31T12:00:00Z"),
    ("organization_id", "the id of an organisation, a UUID"),
    ("outcome", "ok or refused"),
    ("session_id", "the id of a session, a UUID"),
    ("status", "assigned"),
    ("task_id", "the id of a task, a UUID"),
    (
        "task_type",
        "transcription, tts, summarization, text_translation, document_translation or video_transcription",
    ),
    ("until", "a time such as 2026-01-31T12:00:00Z"),
    ("uid", "a whole number from 0 to 65535"),
    ("user_id", "the id of a user, a UUID"),
    ("voice_name", "the name of a voice, in UTF-8"),
    ("wait", "a whole number of seconds from 0 to 60"),
];

/// What axum puts before the cause is about its own types.
fn cause(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, cause)| cause)
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        // A path that its handler does not fit.
        if rejection.status().is_server_error() {
            return Error::internal(rejection).into();
        }
        let name = match &rejection {
            PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
                ErrorKind::ParseErrorAtKey { key, .. }
                | ErrorKind::DeserializeError { key, .. }
                | ErrorKind::InvalidUtf8InPathParam { key } => key,
                // Of a number alone axum does not tell the name; one of them is in a path.
                ErrorKind::ParseError { .. } => "uid",
                _ => "",
            },
            _ => "",
        };
        Self::parameter(name, false)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let cause = cause(&text);
        // `wait: invalid digit …`, or a sentence about `wait`.
        let name = cause.split([':', '`']).find(|part| {
            let known = |(name, _): &(&str, _)| name == part;
            PARAMETERS.iter().any(known)
        });
        Self::parameter(name.unwrap_or_default(), true)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let detail = match (&rejection, status) {
            (JsonRejection::MissingJsonContentType(_), _) => {
                "send a JSON body as Content-Type application/json".into()
            }
            (_, StatusCode::PAYLOAD_TOO_LARGE) => "body: is longer than this operation takes".into(),
            (JsonRejection::BytesRejection(_), _) => "the body did not arrive whole".into(),
            _ => format!("JSON body: {}", cause(&rejection.body_text())),
        };
        Self::malformed(status, detail)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl utoipa::IntoResponses for ApiError {
    /// Marks an operation that answers problems; which ones is added when all operations are known.
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        use utoipa::openapi::{ResponseBuilder, ResponsesBuilder};
        ResponsesBuilder::new()
            .response("default", ResponseBuilder::new().description("Any other problem"))
            .build()
            .into()
    }
}

/// Gives a body to errors that axum and tower answer without one (405, 504, …).
pub(crate) async fn ensure_body(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let named = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    if !is_error || named {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let (problem_parts, body) = bare(status, &parts.headers).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem_parts.headers);
    Response::from_parts(parts, body)
}

/// The problem that a status alone means.
fn bare(status: StatusCode, headers: &HeaderMap) -> Problem {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = headers
                .get(header::ALLOW)
                .and_then(|allowed| allowed.to_str().ok());
            let methods = allowed.unwrap_or("another method").replace(',', " or ");
            Problem::new(status, &METHOD_NOT_ALLOWED, format!("send {methods} here"))
        }
        StatusCode::GATEWAY_TIMEOUT => Problem::new(
            status,
            &TIMEOUT,
            "the request took too long and was given up; send it again, or less at once",
        ),
        StatusCode::NOT_FOUND => Problem::new(status, &NO_SUCH_ROUTE, NOTHING_HERE),
        _ if status.is_server_error() => Problem {
            status: status.as_u16(),
            ..internal()
        },
        _ => {
            let reason = status.canonical_reason().unwrap_or("refused");
            Problem::new(status, &MALFORMED, reason.to_lowercase())
        }
    }
}

const NOTHING_HERE: &str = "nothing is served here; /docs lists what is";

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, &NO_SUCH_ROUTE, NOTHING_HERE)
}

pub(crate) fn from_panic(_: Box<dyn Any + Send>) -> Response {
    internal().into_response()
}
