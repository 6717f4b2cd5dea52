//! Tells the other replicas how much was asked here: soon when it is much, now and then when it is little.
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{app::App, services::limiting};

/// Little is told this often.
const PERIOD: Duration = Duration::from_millis(500);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(app: App, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let all = tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => true,
            () = app.rates.due() => false,
        };
        if let Err(error) = limiting::share(&app, all).await {
            tracing::warn!(error = %crate::error::Causes(&error), "limits are kept by this replica alone");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}
