//! The REST API: decodes, calls one service, encodes.
mod accounts;
mod audit;
mod files;
mod miners;
mod results;
mod submissions;
mod system;
mod tasks;
mod validators;

mod extract;
mod principal;
mod problem;
mod upload;

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, StatusCode, header},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a request may take on top of the longest wait.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Violet",
        description = "The gateway between ordinary users and a Bittensor subnet.\n\n\
            Users send an API key as `X-API-Key` (or `Authorization: Bearer`); `POST /api/v1/auth/register` gives \
            one. Miners and validators sign each request with their hotkey (`btauth/1`), for the receiver that \
            `GET /api/v1/network` names. Errors are `application/problem+json`.",
        license(name = "MIT", identifier = "MIT")
    ),
    components(schemas(problem::Problem))
)]
struct ApiDoc;

/// Routes and their description are built together, so they cannot drift apart.
fn routes(usual: Duration, uploads: Duration, largest: usize) -> OpenApiRouter<App> {
    let within = |limit| TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
    let receiving = OpenApiRouter::new()
        .merge(submissions::uploads())
        .merge(files::uploads())
        // Each has a limit of its own, enforced while the file is streamed; this bounds what is not the file.
        .layer(DefaultBodyLimit::max(largest))
        .layer(within(uploads));
    let api = OpenApiRouter::new()
        .merge(accounts::router())
        .merge(submissions::router())
        .merge(tasks::router())
        .merge(results::router())
        .merge(files::router())
        .merge(miners::router())
        .merge(validators::router())
        .merge(audit::router())
        .merge(system::router())
        .layer(within(usual))
        .merge(receiving);
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(system::root())
        .nest("/api/v1", api)
}

/// The API's description; needs no running service.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes(PATIENCE, PATIENCE, 0).into_openapi()
}

/// The service that answers requests.
pub fn router(app: App) -> Router {
    let uploads = Duration::from_secs(app.config.server.upload_seconds);
    let (router, openapi) = routes(
        app.config.longest_wait() + PATIENCE,
        uploads,
        upload::largest(&app),
    )
    .split_for_parts();

    // Within a stack the first layer is the outermost. Two stacks: one long one sends the compiler exponential.
    let guards = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(DefaultBodyLimit::max(app.config.identity.signed_body_bytes));
    let observability = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([
            header::AUTHORIZATION,
            API_KEY,
        ]))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(axum::middleware::map_response(problem::ensure_body));

    router
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi))
        .fallback(problem::no_such_route)
        .layer(guards)
        .layer(observability)
        .with_state(app)
}

/// `0x` and 128 hex digits.
fn signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
    let text = String::deserialize(deserializer)?;
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| D::Error::custom("signature: must be 0x and 128 hex digits"))
}
