//! Requests that were seen: each signature counts once per cluster.
use std::collections::HashSet;

use violet_chain::auth::Scheme;

use crate::{
    app::App,
    error::Result,
    services::{batch::Write, enrolment::CHALLENGE_LIFE, line::Line},
    store,
};

/// Nanoseconds in a minute: the size of a bucket.
const BUCKET: i64 = 60_000_000_000;

/// A signed request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// Whose.
    pub public_key: [u8; 32],
    /// Nanoseconds since 1970, as signed.
    pub nanos: i64,
    /// What tells it from others of this key and minute.
    pub once: u64,
}

/// What the store says of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not there.
    First,
    /// It was.
    Again,
    /// It is older than the store, which a crash of the database emptied: nobody can tell.
    BeforeEpoch,
}

/// Stores nonces in groups.
#[derive(Debug)]
pub struct Writer {
    /// For the clock.
    pub app: App,
    /// To the database.
    pub line: Line,
}

impl Write for Writer {
    type Item = Nonce;
    type Answer = Seen;

    async fn write(&mut self, items: &[Nonce]) -> Result<Vec<Result<Seen>>> {
        let mut connection = self.line.take().await?;
        let now = i64::try_from(self.app.clock.now_nanos()).unwrap_or(i64::MAX);
        let epoch = store::nonces::epoch(&mut connection, now).await?;
        let buckets: Vec<i64> = items.iter().map(|item| item.nanos / BUCKET).collect();
        let keys: Vec<Vec<u8>> = items.iter().map(|item| item.public_key.to_vec()).collect();
        let nonces: Vec<i64> = items.iter().map(|item| item.once.cast_signed()).collect();
        let stored = store::nonces::insert(&mut connection, &buckets, &keys, &nonces).await?;
        self.line.keep(connection);
        let mut new: HashSet<(Vec<u8>, i64)> = stored.into_iter().collect();
        Ok(items
            .iter()
            .map(|item| {
                Ok(if item.nanos < epoch {
                    Seen::BeforeEpoch
                } else if new.remove(&(item.public_key.to_vec(), item.once.cast_signed())) {
                    Seen::First
                } else {
                    Seen::Again
                })
            })
            .collect())
    }
}

/// Begins the memory of requests, unless it has begun: what was signed before is refused.
///
/// # Errors
/// When the database does not answer.
pub async fn begin(app: &App) -> Result<()> {
    let mut connection = app.db.acquire().await?;
    let now = i64::try_from(app.clock.now_nanos()).unwrap_or(i64::MAX);
    store::nonces::epoch(&mut connection, now).await?;
    Ok(())
}

/// Forgets nonces that no window can reach any more.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(app: &App) -> Result<()> {
    let windows = Scheme::ALL.map(|scheme| app.config.identity.window(scheme));
    let longest = windows
        .iter()
        .map(|window| window.age_seconds + window.ahead_seconds);
    let window = longest.max().unwrap_or_default().max(CHALLENGE_LIFE.as_secs()) + 60;
    let before = app.clock.now_nanos().saturating_sub(window * 1_000_000_000);
    store::nonces::delete_before(&app.db, i64::try_from(before).unwrap_or(i64::MAX) / BUCKET).await?;
    Ok(())
}
