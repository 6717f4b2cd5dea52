//! Reading tasks: an owner sees its own, and waits for them if it likes.
use std::time::Duration;

use crate::{
    app::App,
    domain::{OrganizationId, TaskId, TaskState},
    error::{Error, Result},
    services::hub::Topic,
    store::{self, answers::Answer, files::Input, tasks::Drawn},
};

pub use crate::store::tasks::{End, Task};

/// A task with what its miners did.
#[derive(Debug)]
pub struct Whole {
    /// The task.
    pub task: Task,
    /// The miners drawn for it, with how each stands.
    pub drawn: Vec<Drawn>,
    /// The answers that count, in the order of arrival.
    pub answers: Vec<Answer>,
}

impl Whole {
    /// The answer to show: the judged best, else the one that came first.
    pub fn best(&self) -> Option<&Answer> {
        let judged = self.task.end.as_ref().and_then(|end| end.best);
        judged
            .and_then(|best| self.answers.iter().find(|answer| answer.hotkey == best))
            .or_else(|| self.answers.first())
    }
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A first answer, or the end.
    Answered,
    /// The end.
    Ended,
}

/// A task of this owner.
///
/// # Errors
/// 404 for no such task, also when it is somebody else's.
pub async fn get(app: &App, organization: OrganizationId, task: TaskId) -> Result<Task> {
    store::tasks::find(&app.db, organization, task)
        .await?
        .ok_or(Error::NotFound { what: "task" })
}

/// A task with everything about it; waits up to `wait` for `until`.
///
/// # Errors
/// 404 for no such task.
pub async fn read(
    app: &App,
    organization: OrganizationId,
    id: TaskId,
    until: Until,
    wait: Duration,
) -> Result<Whole> {
    let mut task = get(app, organization, id).await?;
    let reached = |task: &Task| task.end.is_some() || (until == Until::Answered && task.answered > 0);
    if !wait.is_zero() && !reached(&task) {
        let waiter = app.hub.waiter(Topic::Task(id));
        let found = waiter
            .until(wait.min(app.config.longest_wait()), || async {
                let task = get(app, organization, id).await?;
                Ok::<_, Error>(reached(&task).then_some(task))
            })
            .await?;
        task = match found {
            Some(task) => task,
            None => get(app, organization, id).await?,
        };
    }
    let drawn = store::tasks::drawn(&app.db, id).await?;
    let answers = store::answers::of_task(&app.db, id).await?;
    Ok(Whole { task, drawn, answers })
}

/// One page of this owner's tasks, newest first: of all, or of those in a state.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    app: &App,
    organization: OrganizationId,
    state: Option<TaskState>,
    before: Option<TaskId>,
    limit: u16,
) -> Result<Vec<Task>> {
    let limit = limit.into();
    Ok(match state {
        None => store::tasks::page(&app.db, organization, before, limit).await?,
        Some(state) => store::tasks::page_in(&app.db, organization, state, before, limit).await?,
    })
}

/// What a task was submitted with.
///
/// # Errors
/// When the database does not answer.
pub async fn input(app: &App, task: TaskId) -> Result<Option<Input>> {
    Ok(store::files::input(&app.db, task).await?)
}
