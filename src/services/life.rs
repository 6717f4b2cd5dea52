//! Time in which no server ran: deadlines of miners and validators, and what users wait for, are put off by it.
use std::time::Duration;

use crate::{app::App, error::Result, store};

/// How often a server notes that it runs.
pub const BEAT: Duration = Duration::from_secs(5);
/// Without a server for less than this nothing is put off: a restart is no pause, and notes come late on a busy machine.
const LEAST_PAUSE: Duration = Duration::from_secs(15);

/// Notes that a server runs.
///
/// # Errors
/// When the database does not answer.
pub async fn beat(app: &App) -> Result<()> {
    Ok(store::life::beat(&app.db, app.config.netuid).await?)
}

/// Puts everything off by the time in which no server ran, before this one starts to work.
///
/// # Errors
/// When the database does not answer.
pub async fn resume(app: &App) -> Result<()> {
    let netuid = app.config.netuid;
    let mut tx = app.db.begin().await?;
    if let Some(seconds) = store::life::silence(&mut tx, netuid).await?
        && seconds >= LEAST_PAUSE.as_secs_f64()
    {
        let assignments = store::life::resume(&mut tx, netuid, seconds).await?;
        tracing::info!(
            seconds,
            assignments,
            "no server ran for a while; deadlines are put off by it"
        );
    }
    store::life::beat(&mut *tx, netuid).await?;
    tx.commit().await?;
    Ok(())
}
