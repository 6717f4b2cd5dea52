//! Logs and metrics: for people on a terminal, JSON otherwise; Prometheus when asked.
use std::{io::IsTerminal, sync::OnceLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The `metrics` crate has one recorder for the process; this is the way to read it.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

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

/// The counters in the text format of Prometheus.
pub fn render_metrics() -> String {
    handle().render()
}

fn handle() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Fails only if another recorder was set before: then it has the counters, and ours stays empty.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
