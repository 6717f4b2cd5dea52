//! Writes signs of life behind the requests that show them.
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    services::seeing::{self, Sight},
};

/// Signs that come this close together are written together.
const GATHER: Duration = Duration::from_millis(20);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The most that one transaction takes.
const LARGEST: usize = 1_000;

/// Until `stop`, and then what is still waiting.
pub(super) async fn run(app: App, mut sights: mpsc::Receiver<Sight>, stop: CancellationToken) {
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() {
            let received = tokio::select! {
                biased;
                received = sights.recv_many(&mut waiting, LARGEST) => received,
                () = stop.cancelled() => return,
            };
            if received == 0 {
                return;
            }
            if !stop.is_cancelled() {
                tokio::time::sleep(GATHER).await;
                while waiting.len() < LARGEST
                    && let Ok(sight) = sights.try_recv()
                {
                    waiting.push(sight);
                }
            }
        }
        match seeing::write(&app, &waiting).await {
            Ok(()) => waiting.clear(),
            Err(error) => {
                tracing::warn!(error = %crate::error::Causes(&error), "signs of life are written later");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}
