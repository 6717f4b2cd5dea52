//! Follows the finalized head and keeps the snapshot in force. Reconnects for as long as it takes.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    error::{Causes, Result},
    services::snapshots,
};

const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) async fn run(app: App, stop: CancellationToken) {
    let mut pause = PAUSE;
    // The client lives on: after a failure the heads alone begin anew.
    loop {
        let followed = tokio::select! {
            () = stop.cancelled() => return,
            followed = follow(&app, &mut pause) => followed,
        };
        if let Err(error) = followed {
            tracing::warn!(error = %Causes(&error), pause_seconds = pause.as_secs(), "the chain cannot be followed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn follow(app: &App, pause: &mut Duration) -> Result<()> {
    let chain = snapshots::client(app).await?;
    let mut heads = chain.finalized_heads();
    loop {
        let head = heads.next().await;
        metrics::gauge!("violet_chain_finalized_block").set(f64::from(head.number));
        snapshots::follow(app, &chain, head).await?;
        *pause = PAUSE;
    }
}
