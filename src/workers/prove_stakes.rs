//! Has the stakes of a snapshot proved when a tempo is over. A node that fails is asked again later, for the snapshot
//! that is in force then.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{app::App, error::Causes, services::proving};

const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

pub(super) async fn run(app: App, stop: CancellationToken) {
    proving::begin();
    let mut snapshots = app.snapshots.changes();
    let mut pause = PAUSE;
    loop {
        let proved = tokio::select! {
            () = stop.cancelled() => return,
            proved = proving::prove(&app) => proved,
        };
        let failed = proved.err();
        if let Some(error) = &failed {
            tracing::warn!(error = %Causes(error), pause_seconds = pause.as_secs(), "stakes are not proved");
        }
        let next = async {
            if failed.is_some() {
                tokio::time::sleep(pause).await;
            } else {
                // The sender lives as long as the app.
                let _ = snapshots.changed().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
        pause = if failed.is_some() {
            (2 * pause).min(LONGEST_PAUSE)
        } else {
            PAUSE
        };
    }
}
