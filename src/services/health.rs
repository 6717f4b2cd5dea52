//! Whether the server can work, and the measuring that this rests on.
use std::time::Duration;

use violet_chain::{EndpointStats, Stats};

use crate::{
    app::{App, Clock},
    error::Result,
    store,
};

/// A clock further off than this is not trusted with deadlines.
const SKEW: Duration = Duration::from_secs(2);
/// What does not answer within this is not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the server needs to work, each with what is wrong.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether all of it is there.
    pub ready: bool,
    /// `ok`, or what is wrong.
    pub database: String,
    /// `ok`, or what is wrong.
    pub clock: String,
    /// `ok`, or what is wrong.
    pub snapshot: String,
    /// `ok`, or what is wrong.
    pub storage: String,
}

/// Looks at the database, the clock, the snapshot and the storage of files.
pub async fn check(app: &App) -> Readiness {
    let said = |problem: Result<()>| {
        problem
            .err()
            .map_or_else(|| "ok".to_owned(), |error| error.to_string())
    };
    let database = said(match tokio::time::timeout(PATIENCE, store::now(&app.db)).await {
        Ok(answer) => answer.map(|_| ()).map_err(Into::into),
        Err(_) => Err(crate::error::Error::Unavailable {
            reason: "the database does not answer",
            after: Duration::from_secs(2),
        }),
    });
    let clock = said_of_clock(app.clock.skew());
    let snapshot = said(app.snapshots.current().map(|_| ()));
    let storage = if app.blobs.works().await {
        "ok".to_owned()
    } else {
        "files cannot be stored".to_owned()
    };
    Readiness {
        ready: [&database, &clock, &snapshot, &storage]
            .iter()
            .all(|part| *part == "ok"),
        database,
        clock,
        snapshot,
        storage,
    }
}

fn said_of_clock(skew: Duration) -> String {
    if skew > SKEW {
        format!("{:.1} s off the database's", skew.as_secs_f64())
    } else {
        "ok".into()
    }
}

/// Measures how far the system's clock is from the database's.
///
/// # Errors
/// When the database does not answer.
pub async fn measure_clock(app: &App) -> Result<()> {
    let before = Clock::system();
    let database = store::now(&app.db).await?;
    app.clock.measure(before, database, Clock::system());
    Ok(())
}

fn tell_of_chain(stats: Stats) {
    let silent = stats.silent_for.map_or(f64::NAN, |silent| silent.as_secs_f64());
    metrics::gauge!("violet_chain_finalized_age_seconds").set(silent);
    metrics::counter!("violet_chain_received_bytes_total").absolute(stats.received_bytes);
    for (method, calls) in stats.calls {
        metrics::counter!("violet_chain_calls_total", "method" => method).absolute(calls);
    }
    for endpoint in stats.endpoints {
        let EndpointStats {
            name,
            reconnects,
            failures,
            refusals,
            finalized: _,
            behind,
        } = endpoint;
        metrics::counter!("violet_chain_reconnects_total", "endpoint" => name.clone()).absolute(reconnects);
        metrics::counter!("violet_chain_failures_total", "endpoint" => name.clone()).absolute(failures);
        metrics::counter!("violet_chain_refusals_total", "endpoint" => name.clone()).absolute(refusals);
        metrics::gauge!("violet_chain_lag_blocks", "endpoint" => name)
            .set(behind.map_or(f64::NAN, f64::from));
    }
}

/// Counts what is open, for the metrics.
///
/// # Errors
/// When the database does not answer.
pub async fn count(app: &App) -> Result<()> {
    if let Some(stats) = app.snapshots.chain_stats() {
        tell_of_chain(stats);
    }
    let (pending, open) = store::open::count(&app.db).await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    {
        metrics::gauge!("violet_tasks_pending").set(pending as f64);
        metrics::gauge!("violet_tasks_open").set(open as f64);
    }
    let miners = app.roster.miners();
    let available = miners.values().filter(|miner| miner.available).count();
    metrics::gauge!("violet_miners_available").set(u32::try_from(available).unwrap_or(u32::MAX));
    let age = app
        .snapshots
        .latest()
        .map_or(f64::NAN, |current| current.age(app.clock.now()).as_secs_f64());
    metrics::gauge!("violet_snapshot_age_seconds").set(age);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_off_by_two_seconds() {
        assert_eq!(said_of_clock(Duration::ZERO), "ok");
        assert_eq!(said_of_clock(Duration::from_secs(2)), "ok");
        assert_eq!(
            said_of_clock(Duration::from_micros(2_000_001)),
            "2.0 s off the database's"
        );
    }
}
