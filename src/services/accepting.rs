//! Accepting tasks: task, draw and assignments are durable before anybody is told, many in one commit.
use std::collections::HashSet;

use sqlx::PgConnection;

use crate::{
    app::App,
    domain::TaskId,
    error::{Error, Result},
    services::{
        batch::Write,
        drawing::{self, Drawn},
        hub::Topic,
    },
    store::{
        self,
        submissions::{NewKey, NewTask},
    },
};

/// A task that was checked and drawn for, to be stored.
#[derive(Debug)]
pub struct Submission {
    /// The task.
    pub task: NewTask,
    /// The client's key with what was asked under it.
    pub key: Option<NewKey>,
    /// Its first draw; `None` when nobody is eligible.
    pub drawn: Option<Drawn>,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The task: the one that is stored under the key, when there was one.
    pub task: TaskId,
    /// Miners drawn; `None` when the task was there before.
    pub assigned: Option<usize>,
}

/// Writes submissions in groups.
#[derive(Debug)]
pub struct Writer {
    /// For the database and the signing key.
    pub app: App,
}

impl Write for Writer {
    type Item = Submission;
    type Answer = Accepted;

    async fn write(&mut self, items: &[Submission]) -> Result<Vec<Result<Accepted>>> {
        let app = &self.app;
        let written = match write(app, items).await {
            Ok(new) => new,
            // The connection may have died after the commit: the ids tell.
            Err(error) => {
                let ids: Vec<TaskId> = items.iter().map(|item| item.task.task_id).collect();
                match store::submissions::stored(&app.db, &ids).await {
                    Ok(stored) if !stored.is_empty() => stored.into_iter().collect(),
                    _ => return Err(error),
                }
            }
        };
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            if written.contains(&item.task.task_id) {
                metrics::counter!("violet_tasks_accepted_total", "task_type" => item.task.task_type.name())
                    .increment(1);
                if let Some(drawn) = &item.drawn {
                    drawing::hand_over(app, drawn);
                } else {
                    app.roster.waits(item.task.capability());
                    app.hub.wake(Topic::Drawing);
                }
                let assigned = item.drawn.as_ref().map_or(0, |drawn| drawn.assignments.len());
                answers.push(Ok(Accepted {
                    task: item.task.task_id,
                    assigned: Some(assigned),
                }));
            } else {
                answers.push(match &item.key {
                    // A first try was stored after all, and only its answer was lost.
                    Some(key) => repeated(app, key).await.map(|found| match &item.drawn {
                        Some(drawn) if found.task == item.task.task_id => Accepted {
                            task: found.task,
                            assigned: Some(drawn.assignments.len()),
                        },
                        None if found.task == item.task.task_id => Accepted {
                            task: found.task,
                            assigned: Some(0),
                        },
                        _ => found,
                    }),
                    None => Err(Error::internal("a submission was not stored")),
                });
            }
        }
        Ok(answers)
    }
}

/// Stores what is new in one transaction; answers which tasks are.
async fn write(app: &App, items: &[Submission]) -> Result<HashSet<TaskId>> {
    let keys: Vec<&NewKey> = items.iter().filter_map(|item| item.key.as_ref()).collect();
    let all: Vec<&Submission> = items.iter().collect();
    if keys.is_empty() && items.iter().all(|item| item.task.file.is_none()) {
        // One statement is a transaction: nothing else has to go with it.
        store(app, &mut *app.writing.acquire().await?, &all).await?;
        return Ok(items.iter().map(|item| item.task.task_id).collect());
    }
    let mut tx = app.writing.begin().await?;
    let new_keys: HashSet<TaskId> = if keys.is_empty() {
        HashSet::new()
    } else {
        store::submissions::insert_keys(&mut tx, &keys)
            .await?
            .into_iter()
            .collect()
    };
    let new: Vec<&Submission> = all
        .into_iter()
        .filter(|item| item.key.is_none() || new_keys.contains(&item.task.task_id))
        .collect();
    if !new.is_empty() {
        store(app, &mut tx, &new).await?;
        let tasks: Vec<&NewTask> = new.iter().map(|item| &item.task).collect();
        store::submissions::insert_files(&mut tx, &tasks).await?;
    }
    tx.commit().await?;
    Ok(new.iter().map(|item| item.task.task_id).collect())
}

/// Stores tasks with their first draws.
async fn store(app: &App, db: &mut PgConnection, new: &[&Submission]) -> Result<()> {
    let tasks: Vec<&NewTask> = new.iter().map(|item| &item.task).collect();
    let counts: Vec<i16> = new
        .iter()
        .map(|item| item.drawn.as_ref().map_or(0, |drawn| drawn.assignments.len()))
        .map(|count| i16::try_from(count).unwrap_or(i16::MAX))
        .collect();
    let drawn = new.iter().filter_map(|item| item.drawn.as_ref());
    let (assignments, batch) = drawing::to_store(app, drawn);
    let records = batch.as_ref().map(|batch| (app.hotkey, batch));
    store::submissions::insert_tasks(db, app.config.netuid, &tasks, &counts, &assignments, records).await?;
    Ok(())
}

/// The task that is stored under a key, if the same was asked.
///
/// # Errors
/// 422 when something else was.
pub(crate) async fn repeated(app: &App, key: &NewKey) -> Result<Accepted> {
    match store::submissions::find_key(&app.db, key.organization_id, &key.key).await? {
        Some((task, fingerprint)) if fingerprint == key.fingerprint => Ok(Accepted { task, assigned: None }),
        Some(_) => Err(Error::KeyReused),
        None => Err(Error::internal("a key is neither new nor there")),
    }
}
