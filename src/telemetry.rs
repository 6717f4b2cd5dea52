//! Logs and metrics: for people on a terminal, JSON otherwise; Prometheus when asked.
use std::{io::IsTerminal, sync::OnceLock, time::Duration};

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The `metrics` crate has one recorder for the process; this is the way to read it.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// How long requests took; the only histogram.
const REQUESTS: &str = "violet_http_request_seconds";
/// In seconds. A request that waits for a result may take a minute and more.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// Starts logging to standard error; a second call does nothing.
pub fn start_logging(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Only a second call in one process (a test) can fail, and the first one's logging goes on.
    let _ = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// Starts counting.
pub fn start_metrics() {
    let _ = handle();
}

/// Sums up what was measured, until `stop`: a histogram keeps each value until then.
pub async fn keep_up(stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        handle().run_upkeep();
    }
}

/// The counters in the text format of Prometheus.
pub fn render_metrics() -> String {
    handle().render()
}

fn handle() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUESTS.into()), BUCKETS)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        // Fails only if another recorder was set before: then it has the counters, and ours stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        handle
    })
}

/// What is counted.
const COUNTERS: &[(&str, &str)] = &[
    (
        "violet_tasks_accepted_total",
        "Tasks that this replica stored, by type",
    ),
    (
        "violet_tasks_refused_total",
        "Tasks that were beyond a quota of their organisation, by quota",
    ),
    (
        "violet_requests_refused_total",
        "Requests that were too many, by whose limit it was: key, organization, hotkey or address",
    ),
    ("violet_draws_total", "Draws of miners that this replica stored"),
    ("violet_answers_total", "Answers of miners, by whether they count"),
    (
        "violet_evaluations_total",
        "Evaluations of validators, by whether they count",
    ),
    (
        "violet_tasks_settled_total",
        "Tasks that this replica settled, by the state they ended in",
    ),
    (
        "violet_security_events_total",
        "Security events that this replica noted, by name and outcome",
    ),
    (
        "violet_logins_held_back_total",
        "Attempts that this replica refused because they came too soon after failures",
    ),
    (
        "violet_oidc_tokens_refused_total",
        "Tokens of an issuer that do not hold, by issuer and what is wrong",
    ),
    (
        "violet_oidc_fetches_total",
        "How often an issuer was asked for its keys, by issuer and outcome",
    ),
    ("violet_mails_sent_total", "Mails that the mail server took"),
    ("violet_mails_failed_total", "Tries to send a mail that failed"),
    (
        "violet_objects_removed_total",
        "Objects that this replica removed from storage, by why: deleted, or orphan",
    ),
    (
        "violet_neuron_changes_total",
        "Changes of the subnet's neurons that this replica recorded, by kind",
    ),
    (
        "violet_stake_proofs_total",
        "Proofs of a snapshot's stakes, by what became of them: stored, failed, or differs from the metagraph",
    ),
    (
        "violet_chain_calls_total",
        "Requests to nodes of the chain, by JSON-RPC method",
    ),
    (
        "violet_chain_reconnects_total",
        "Connections to a node in place of one that was lost or given up",
    ),
    (
        "violet_chain_failures_total",
        "How often a node could not be reached, broke off or served another chain",
    ),
    (
        "violet_chain_refusals_total",
        "How often a node refused: HTTP 403 or 429, WebSocket 1008, JSON-RPC -32004 or -32005",
    ),
];

/// Says what each metric is; ARCHITECTURE.md lists them.
fn describe() {
    metrics::describe_histogram!(
        REQUESTS,
        Unit::Seconds,
        "Requests that were answered, by route, method and status, and how long that took"
    );
    for (name, text) in COUNTERS {
        metrics::describe_counter!(*name, Unit::Count, *text);
    }
    // There from the start: what never happened is 0 and not unknown.
    for name in [
        "violet_logins_held_back_total",
        "violet_mails_sent_total",
        "violet_mails_failed_total",
    ] {
        metrics::counter!(name).increment(0);
    }
    for (name, text) in [
        ("violet_tasks_open", "Tasks that have not ended"),
        ("violet_tasks_pending", "Tasks that wait for their first draw"),
        ("violet_miners_available", "Miners whose heartbeat counts"),
        ("violet_snapshot_block", "Block of the metagraph in force"),
        (
            "violet_chain_finalized_block",
            "Last finalized block that this replica has seen",
        ),
        (
            "violet_chain_lag_blocks",
            "By how many finalized blocks a node was behind the others when last asked; NaN if it did not answer",
        ),
    ] {
        metrics::describe_gauge!(name, Unit::Count, text);
    }
    metrics::describe_counter!(
        "violet_chain_received_bytes_total",
        Unit::Bytes,
        "Bytes of answers and notifications of nodes, without what the protocols put around them"
    );
    metrics::describe_gauge!(
        "violet_chain_finalized_age_seconds",
        Unit::Seconds,
        "Time since a finalized block was heard of; NaN before the first"
    );
    metrics::describe_gauge!(
        "violet_snapshot_age_seconds",
        Unit::Seconds,
        "Age of the metagraph's block; NaN without a metagraph"
    );
}
