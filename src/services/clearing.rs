//! Removes from object storage what nobody has any more: the bytes of deleted files, and objects that no row names.
//!
//! A file's object is written before its row, so one without a row is either of an upload under way or of one that was
//! given up while nobody could take it back. Its id and its time say which: what is younger than a setting is left alone.
use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{app::App, domain::FileId, error::Result, services::files::FOLDER, store};

/// Objects in one round.
const ROUND: usize = 1000;

/// One round.
///
/// # Errors
/// When database or storage do not answer; the next round tries again.
pub async fn clear(app: &App) -> Result<()> {
    remove_due(app).await?;
    sweep(app).await
}

/// Removes the bytes of files that were deleted. Two replicas may try the same: gone is gone.
async fn remove_due(app: &App) -> Result<()> {
    let due = store::storage::due(&app.db, i64::try_from(ROUND).unwrap_or(i64::MAX)).await?;
    if due.is_empty() {
        return Ok(());
    }
    let mut removed: Vec<Uuid> = Vec::with_capacity(due.len());
    let mut failure = None;
    for (file, key) in due {
        match app.blobs.remove(&key).await {
            Ok(()) => removed.push(file.into()),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    store::storage::removed(&app.db, &removed).await?;
    count("deleted", removed.len());
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Looks at the next objects in storage and removes those without a row; one replica at a time. At the end it begins
/// anew.
async fn sweep(app: &App) -> Result<()> {
    let settings = &app.config.storage;
    let storage = app.blobs.name();
    #[expect(clippy::cast_precision_loss, reason = "seconds of a setting")]
    let every = settings.sweep_seconds as f64;
    let mut transaction = app.db.begin().await?;
    let Some(after) = store::storage::lock_sweep(&mut transaction, &storage, every).await? else {
        return Ok(());
    };
    let grace = i64::try_from(settings.orphan_seconds).unwrap_or(i64::MAX);
    let before = app.clock.now() - TimeDelta::try_seconds(grace).unwrap_or(TimeDelta::MAX);
    let listed = app.blobs.list(FOLDER, &after, ROUND).await?;
    let last = listed.last().map(|(key, _)| key.clone());
    let next = last.filter(|_| listed.len() == ROUND).unwrap_or_default();
    let old: Vec<(Uuid, String)> = listed
        .into_iter()
        .filter_map(|(key, written)| {
            let id = id_of(&key)?;
            (written < before && begun(id)? < before).then_some((id, key))
        })
        .collect();
    let ids: Vec<Uuid> = old.iter().map(|(id, _)| *id).collect();
    let known: HashSet<Uuid> = store::storage::known(&mut *transaction, &ids)
        .await?
        .into_iter()
        .collect();
    let orphans: Vec<(Uuid, String)> = old.into_iter().filter(|(id, _)| !known.contains(id)).collect();
    for (id, key) in &orphans {
        app.blobs.remove(key).await?;
        tracing::info!(file = %FileId::from(*id), "an object that no row names was removed");
    }
    store::storage::swept(&mut *transaction, &storage, &next).await?;
    transaction.commit().await?;
    count("orphan", orphans.len());
    Ok(())
}

/// The id in a key of ours; what others keep beside it is none of our business.
fn id_of(key: &str) -> Option<Uuid> {
    let id: Uuid = key.strip_prefix(FOLDER)?.strip_prefix('/')?.parse().ok()?;
    (id.get_version_num() == 7).then_some(id)
}

/// When an upload with this id began.
fn begun(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

fn count(why: &'static str, removed: usize) {
    metrics::counter!("violet_objects_removed_total", "why" => why).increment(removed as u64);
}
