//! Wake-ups between replicas: one `NOTIFY` for everything that happened within a few milliseconds.
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    services::{hub::Topic, waking},
};

/// Wake-ups that are this close go together.
const GATHER: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the other replicas what was woken here.
pub(super) async fn tell(app: App, mut outbox: mpsc::Receiver<Topic>, stop: CancellationToken) {
    let mut topics = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            received = outbox.recv_many(&mut topics, 10_000) => if received == 0 { return },
        }
        tokio::time::sleep(GATHER).await;
        while let Ok(topic) = outbox.try_recv() {
            topics.push(topic);
        }
        if let Err(error) = waking::tell(&app, topics.drain(..)).await {
            // Their poll finds it a moment later.
            tracing::debug!(error = %crate::error::Causes(&error), "the other replicas were not told");
        }
    }
}

/// Wakes here what the other replicas woke.
pub(super) async fn listen(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = waking::listen(&app) => if let Err(error) = heard {
                tracing::debug!(error = %crate::error::Causes(&error), "cannot listen to the other replicas");
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
