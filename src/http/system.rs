//! Health, metrics, and what neurons need to know before they can sign.
use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::{BlockHash, Hotkey};

use super::problem::ApiError;
use crate::{
    app::App,
    domain::TaskType,
    services::{
        health::{self, Readiness},
        roster,
    },
    telemetry,
};

pub(super) fn root() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
        .routes(routes!(get_metrics))
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_network))
}

#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `healthy`: the process answers. Whether it can work is `/ready`.
    status: &'static str,
    version: &'static str,
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/health", tag = "system",
    responses((status = 200, description = "It does", body = Health))
)]
async fn get_health() -> Body<Health> {
    Body(Health {
        status: "healthy",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Whether the server can work: database, clock, snapshot and storage of files.
#[utoipa::path(
    get, path = "/ready", tag = "system",
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot; the part that fails says why", body = Readiness)
    )
)]
async fn get_readiness(State(app): State<App>) -> (StatusCode, Body<Readiness>) {
    let readiness = health::check(&app).await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Body(readiness))
}

/// Counters and gauges in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain"))
)]
async fn get_metrics() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        telemetry::render_metrics(),
    )
}

/// The subnet that this server works for.
#[derive(Debug, Serialize, ToSchema)]
struct Network {
    netuid: u16,
    /// Receiver of signed requests.
    #[schema(value_type = String)]
    server_hotkey: Hotkey,
    /// Which chain; null until it was reached.
    #[schema(value_type = Option<String>)]
    genesis_hash: Option<BlockHash>,
    /// The metagraph in force.
    snapshot: Option<SnapshotInForce>,
    /// What miners offered lately, for each type of task.
    served: Vec<Served>,
    server_time: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Served {
    task_type: TaskType,
    /// Languages; pairs such as `en-es` for translations.
    languages: Vec<String>,
    model_ids: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SnapshotInForce {
    block: u32,
    #[schema(value_type = String)]
    hash: BlockHash,
    age_seconds: f64,
    neurons: usize,
}

/// Read which subnet this is and whom to sign requests for.
#[utoipa::path(
    get, path = "/network", tag = "system",
    responses((status = 200, description = "The subnet", body = Network), ApiError)
)]
async fn get_network(State(app): State<App>) -> Body<Network> {
    Body(Network {
        netuid: app.config.netuid,
        server_hotkey: app.hotkey,
        genesis_hash: app.snapshots.genesis(),
        snapshot: app.snapshots.latest().map(|current| SnapshotInForce {
            block: current.snapshot.block.number,
            hash: current.snapshot.block.hash,
            age_seconds: current.age(app.clock.now()).as_secs_f64(),
            neurons: current.snapshot.neurons.len(),
        }),
        served: TaskType::ALL
            .iter()
            .map(|&task_type| Served {
                task_type,
                languages: roster::served(&app, task_type),
                model_ids: roster::models(&app, task_type),
            })
            .collect(),
        server_time: app.clock.now(),
    })
}

/// Where people start.
pub(super) async fn show_documents() -> Redirect {
    Redirect::temporary("/docs/")
}

/// The page that the links in mails lead to. It is no part of the API, but calls it.
pub(super) async fn show_account() -> impl IntoResponse {
    let headers = [
        // What is in the page, and no page around it.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
             form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(include_str!("account.html")))
}
