//! The REST API: decodes, calls one service, encodes.
mod accounts;
mod api_keys;
mod audit;
mod client_address;
mod conditions;
mod describing;
mod downloads;
mod enrolment;
mod files;
mod identities;
mod limiting;
mod miners;
mod models;
mod neurons;
mod organizations;
mod passwords;
mod responses;
mod results;
mod security_events;
mod serving;
mod sessions;
mod submissions;
mod system;
mod tasks;
mod usage;
mod validators;
mod voices;
mod wallets;

mod extract;
mod principal;
mod problem;
mod upload;

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IntoDeserializer as _},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tracing::Span;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

pub use serving::{Limits, serve};

use crate::app::App;

/// Longest id of a request that its sender may choose. It goes into logs and events, which are kept.
const LONGEST_REQUEST_ID: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Violet",
        description = "The gateway between ordinary users and a Bittensor subnet.\n\n\
            Users send an API key as `X-API-Key` (or `Authorization: Bearer`); `POST /api/v1/auth/register` gives \
            one. Or they log in at `/api/v1/auth/login` and send the access token as `Authorization: Bearer`; \
            tokens of OIDC issuers that the server takes do the same. \
            Miners and validators sign each request with their hotkey (`btauth/1`), for the receiver that \
            `GET /api/v1/network` names; those that cannot are given a key for one signature \
            (`POST /api/v1/miner/authenticate`).\n\n\
            Requests are limited by key, organisation, hotkey, or address. Every answer below `/api/` says where its \
            sender stands: `RateLimit-Policy` and `RateLimit` for each limit, `RateLimit-Limit`, `-Remaining` and \
            `-Reset` for the nearest one. Too many get 429 with `Retry-After`.\n\n\
            Errors are `application/problem+json`; each operation lists its own by status and `type`. Besides these a \
            path answers `/problems/no-such-route` (404) where nothing is, and `/problems/method-not-allowed` (405).",
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
        .merge(voices::uploads())
        // Each has a limit of its own, enforced while the file is streamed; this bounds what is not the file.
        .layer(DefaultBodyLimit::max(largest))
        .layer(within(uploads));
    let api = OpenApiRouter::new()
        .merge(accounts::router())
        .merge(api_keys::router())
        .merge(sessions::router())
        .merge(identities::router())
        .merge(passwords::router())
        .merge(organizations::router())
        .merge(security_events::router())
        .merge(wallets::router())
        .merge(submissions::router())
        .merge(tasks::router())
        .merge(results::router())
        .merge(downloads::router())
        .merge(files::router())
        .merge(voices::router())
        .merge(miners::router())
        .merge(validators::router())
        .merge(neurons::router())
        .merge(enrolment::router())
        .merge(responses::router())
        .merge(audit::router())
        .merge(system::router())
        .merge(models::router())
        .merge(usage::router())
        .layer(within(usual))
        .merge(receiving);
    let mut all = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(system::root())
        .nest("/api/v1", api);
    describing::complete(all.get_openapi_mut());
    all
}

/// The API's description; needs no running service.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes(Duration::ZERO, Duration::ZERO, 0).into_openapi()
}

/// The service that answers requests.
pub fn router(app: App) -> Router {
    let settings = &app.config.server;
    let usual = app.config.longest_wait() + Duration::from_secs(settings.request_seconds);
    let uploads = Duration::from_secs(settings.upload_seconds);
    let (router, openapi) = routes(usual, uploads, upload::largest(&app)).split_for_parts();

    // Within a stack the first layer is the outermost. Two stacks: one long one sends the compiler exponential.
    let guards = ServiceBuilder::new()
        .layer(axum::middleware::from_fn(measure))
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(axum::middleware::from_fn_with_state(app.clone(), limiting::limit))
        .layer(DefaultBodyLimit::max(app.config.identity.signed_body_bytes));
    let observability = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([
            header::AUTHORIZATION,
            API_KEY,
        ]))
        .map_request(with_a_fit_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(named))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(axum::middleware::map_response(problem::ensure_body));

    let answering = router
        // Otherwise the page asks a validator on another host for its opinion, except where the server is local.
        .merge(
            SwaggerUi::new("/docs")
                .url("/openapi.json", openapi)
                .config(utoipa_swagger_ui::Config::default().validator_url("none")),
        )
        // What a browser asks for first.
        .route("/", axum::routing::get(system::show_documents))
        // Where the links in mails lead.
        .route("/account", axum::routing::get(system::show_account))
        .fallback(problem::no_such_route)
        .layer(guards)
        .with_state(app);
    // Around the whole router, not around each route: only there an answer is as it goes out, with its Allow header.
    Router::new().fallback_service(answering).layer(observability)
}

/// Takes away an id that is none: the request gets one of ours.
fn with_a_fit_id(mut request: Request) -> Request {
    let is_fit = request.headers().get(REQUEST_ID).is_none_or(|id| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(fits)
    });
    if !is_fit {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// What every line of the log about a request says: the id that its answer has, and no query, which may be a link's.
fn named(request: &Request) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    // Of this level, so that it is there whenever an error is logged.
    tracing::error_span!("request", id, method = %request.method(), path = request.uri().path())
}

/// Counts and times requests by their route: a path has ids, and a stranger may make up any path and method.
async fn measure(request: Request, next: Next) -> Response {
    let route = match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str().to_owned(),
        None => "unmatched".to_owned(),
    };
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    let labels = [
        ("route", route),
        ("method", method.to_owned()),
        ("status", status),
    ];
    metrics::histogram!("violet_http_request_seconds", &labels).record(started.elapsed());
    response
}

/// `0x` and 128 hex digits, if it is there.
fn some_signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 64]>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| signature(text.into_deserializer())).transpose()
}

/// `0x` and 128 hex digits.
fn signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
    let text = String::deserialize(deserializer)?;
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| D::Error::custom("signature: must be 0x and 128 hex digits"))
}
