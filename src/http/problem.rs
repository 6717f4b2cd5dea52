//! Errors as `application/problem+json` (RFC 9457). `detail` is a string, as the original's clients expect.
use std::any::Any;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

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
    /// The field that is wrong, by its name on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            retry_after: None,
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
                HeaderValue::from_static("X-API-Key, btauth"),
            );
        }
        response
    }
}

/// The error type of every handler.
#[derive(Debug)]
pub(crate) struct ApiError(Problem);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let problem = match error {
            Error::NotFound { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "/problems/not-found", "Not found", text)
            }
            Error::Conflict(_) => Problem::new(StatusCode::CONFLICT, "/problems/conflict", "Conflict", text),
            Error::Invalid { field, .. } => Problem {
                field: Some(field),
                ..Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "/problems/invalid-value",
                    "A value cannot be taken",
                    text,
                )
            },
            Error::TooLarge { field, .. } => Problem {
                field: Some(field),
                ..Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "/problems/too-large",
                    "Too large",
                    text,
                )
            },
            Error::UnsupportedMedia { field, .. } => Problem {
                field: Some(field),
                ..Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "/problems/unsupported-media",
                    "Not a file that is taken here",
                    text,
                )
            },
            Error::Malformed(_) => Problem::new(
                StatusCode::BAD_REQUEST,
                "/problems/malformed-request",
                "Malformed request",
                text,
            ),
            Error::Unauthenticated(_) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "/problems/unauthenticated",
                "Credentials are missing or not valid",
                text,
            ),
            Error::Forbidden(_) => {
                Problem::new(StatusCode::FORBIDDEN, "/problems/forbidden", "Not for you", text)
            }
            Error::NoEngine(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/no-engine",
                "Nobody serves this",
                text,
            ),
            Error::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/idempotency-key-reused",
                "The key belongs to another request",
                text,
            ),
            Error::Unavailable { after, .. } => Problem {
                retry_after: Some(after.as_secs().max(1)),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "/problems/unavailable",
                    "Not available right now",
                    text,
                )
            },
            Error::Internal(source) => {
                tracing::error!(error = %crate::error::Causes(source.as_ref()), "request failed");
                internal()
            }
        };
        Self(problem)
    }
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "/problems/internal",
        "Internal error",
        "the server failed; the x-request-id of this answer finds out why",
    )
}

impl ApiError {
    /// A request that is not even HTTP as this operation speaks it.
    pub(crate) fn malformed(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(
            status,
            "/problems/malformed-request",
            "Malformed request",
            detail,
        ))
    }
}

macro_rules! from_rejection {
    ($($rejection:ty),+) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                Self::malformed(rejection.status(), rejection.body_text())
            }
        }
    )+};
}
from_rejection!(JsonRejection, PathRejection, QueryRejection);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl utoipa::IntoResponses for ApiError {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder, ResponsesBuilder};
        let problem = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        ResponsesBuilder::new()
            .response(
                "default",
                ResponseBuilder::new()
                    .description("A problem: what is wrong, and what to do")
                    .content("application/problem+json", problem),
            )
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
    let title = status.canonical_reason().unwrap_or("Error");
    let (mut parts, _) = response.into_parts();
    let problem = Problem::new(status, "about:blank", title, title.to_lowercase()).into_response();
    let (problem_parts, body) = problem.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem_parts.headers);
    Response::from_parts(parts, body)
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "/problems/no-such-route",
        "No such route",
        "nothing is served here; /docs lists what is",
    )
}

pub(crate) fn from_panic(_: Box<dyn Any + Send>) -> Response {
    internal().into_response()
}
