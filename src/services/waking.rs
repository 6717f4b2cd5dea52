//! Passing wake-ups between replicas through the database.
use std::collections::HashSet;

use crate::{app::App, error::Result, services::hub::Topic, store};

/// PostgreSQL takes less than 8000 bytes in one payload.
const LARGEST: usize = 7000;

/// Tells the other replicas what was woken here.
///
/// # Errors
/// When the database does not answer.
pub async fn tell(app: &App, topics: impl Iterator<Item = Topic>) -> Result<()> {
    let topics: HashSet<Topic> = topics.collect();
    let mut payload = app.replica.clone();
    for name in topics.into_iter().map(Topic::name) {
        if payload.len() + name.len() >= LARGEST {
            store::wake::notify(&app.db, &payload).await?;
            payload.truncate(app.replica.len());
        }
        payload.push(',');
        payload.push_str(&name);
    }
    if payload.len() > app.replica.len() {
        store::wake::notify(&app.db, &payload).await?;
    }
    Ok(())
}

/// Wakes here what other replicas woke, until the connection fails.
///
/// # Errors
/// When it fails.
pub async fn listen(app: &App) -> Result<()> {
    let mut listener = store::wake::listen(&app.db).await?;
    loop {
        let payload = store::wake::heard(&mut listener).await?;
        let mut names = payload.split(',');
        // Our own wake-ups come back to us too.
        if names.next() == Some(app.replica.as_str()) {
            continue;
        }
        names
            .filter_map(Topic::from_name)
            .for_each(|topic| app.hub.wake_here(topic));
    }
}
