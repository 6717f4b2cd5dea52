//! Accepting tasks: task, draw and assignments are durable before anybody is told, many in one commit.
use std::collections::{HashMap, HashSet};

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    app::App,
    domain::TaskId,
    error::{Error, Result},
    services::{
        batch::Write,
        drawing::{self, Drawn},
        hub::Topic,
        line::Line,
        quotas,
    },
    store::{
        self,
        submissions::{NewKey, NewTask, Terms},
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
    /// To the database.
    pub line: Line,
}

impl Write for Writer {
    type Item = Submission;
    type Answer = Accepted;

    async fn write(&mut self, items: &[Submission]) -> Result<Vec<Result<Accepted>>> {
        let app = &self.app;
        let (written, mut refused) = match write(app, &mut self.line, items).await {
            Ok(done) => done,
            // The connection may have died after the commit: the ids tell.
            Err(error) => {
                let ids: Vec<TaskId> = items.iter().map(|item| item.task.task_id).collect();
                match store::submissions::stored(&app.db, &ids).await {
                    Ok(stored) if !stored.is_empty() => (stored.into_iter().collect(), HashMap::new()),
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
            } else if let Some(refusal) = refused.remove(&item.task.task_id) {
                answers.push(Err(refusal));
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

/// The tasks that were stored, and those that were refused.
type Written = (HashSet<TaskId>, HashMap<TaskId, Error>);

/// Stores what is new in one transaction; answers which tasks are.
async fn write(app: &App, line: &mut Line, items: &[Submission]) -> Result<Written> {
    let mut connection = line.take().await?;
    let written = match write_all(app, &mut connection, items).await {
        Ok(new) => (new, HashMap::new()),
        Err(error) if quotas::is_exceeded(&error) => write_what_may_be(app, &mut connection, items).await?,
        Err(error) => return Err(error.into()),
    };
    line.keep(connection);
    Ok(written)
}

/// Stores what is new, if all of it is within the quotas.
async fn write_all(
    app: &App,
    connection: &mut PgConnection,
    items: &[Submission],
) -> Result<HashSet<TaskId>, sqlx::Error> {
    let keys: Vec<&NewKey> = items.iter().filter_map(|item| item.key.as_ref()).collect();
    if keys.is_empty() && items.iter().all(|item| item.task.is_text_alone()) {
        // One statement is a transaction: nothing else has to go with it.
        let all: Vec<&Submission> = items.iter().collect();
        store(app, connection, &all).await?;
        return Ok(items.iter().map(|item| item.task.task_id).collect());
    }
    let mut tx = connection.begin().await?;
    let new = new_ones(&mut tx, items).await?;
    store_whole(app, &mut tx, &new).await?;
    tx.commit().await?;
    Ok(new.iter().map(|item| item.task.task_id).collect())
}

/// Stores what is new and within the quotas, in the order in which it came.
async fn write_what_may_be(
    app: &App,
    connection: &mut PgConnection,
    items: &[Submission],
) -> Result<Written> {
    let mut tx = connection.begin().await?;
    let mut new = new_ones(&mut tx, items).await?;
    let tasks: Vec<&NewTask> = new.iter().map(|item| &item.task).collect();
    let refused = quotas::refuse(app, &mut tx, &tasks).await?;
    new.retain(|item| !refused.contains_key(&item.task.task_id));
    let gone: Vec<Uuid> = refused.keys().map(|id| (*id).into()).collect();
    store::submissions::delete_keys(&mut *tx, &gone).await?;
    store_whole(app, &mut tx, &new).await?;
    tx.commit().await?;
    Ok((new.iter().map(|item| item.task.task_id).collect(), refused))
}

/// Those whose key, if they have one, was not there before.
async fn new_ones<'a>(
    db: &mut PgConnection,
    items: &'a [Submission],
) -> Result<Vec<&'a Submission>, sqlx::Error> {
    let keys: Vec<&NewKey> = items.iter().filter_map(|item| item.key.as_ref()).collect();
    let new_keys: HashSet<TaskId> = if keys.is_empty() {
        HashSet::new()
    } else {
        let new = store::submissions::insert_keys(db, &keys).await?;
        new.into_iter().collect()
    };
    let is_new = |item: &&Submission| item.key.is_none() || new_keys.contains(&item.task.task_id);
    Ok(items.iter().filter(is_new).collect())
}

/// Stores tasks with their first draws and their files.
async fn store_whole(app: &App, db: &mut PgConnection, new: &[&Submission]) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    store(app, db, new).await?;
    let tasks: Vec<&NewTask> = new.iter().map(|item| &item.task).collect();
    store::storage::insert_voices(db, &tasks).await?;
    store::storage::insert_files(db, &tasks, quotas::usual(app)).await
}

/// Stores tasks with their first draws.
async fn store(app: &App, db: &mut PgConnection, new: &[&Submission]) -> Result<(), sqlx::Error> {
    let tasks: Vec<&NewTask> = new.iter().map(|item| &item.task).collect();
    let counts: Vec<i16> = new
        .iter()
        .map(|item| item.drawn.as_ref().map_or(0, |drawn| drawn.assignments.len()))
        .map(|count| i16::try_from(count).unwrap_or(i16::MAX))
        .collect();
    let drawn = new.iter().filter_map(|item| item.drawn.as_ref());
    let (assignments, batch) = drawing::to_store(app, drawn);
    let records = batch.as_ref().map(|batch| (app.hotkey, batch));
    let terms = Terms {
        netuid: app.config.netuid,
        silence_seconds: drawing::silence_seconds(app),
        usual: quotas::usual(app),
    };
    store::submissions::insert_tasks(db, terms, &tasks, &counts, &assignments, records).await
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
