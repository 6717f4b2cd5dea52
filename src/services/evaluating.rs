//! Validators: the finished tasks that wait for them, and their evaluations.
use std::{collections::BTreeSet, time::Duration};

use sqlx::Connection as _;
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{TaskId, signing},
    error::{Error, Result},
    services::{batch::Write, hub::Topic, identity::Caller, line::Line, outputs},
    store::{
        self,
        answers::Answer,
        evaluations::{Finished, NewEvaluation, Score},
        files::Reference,
    },
};

/// The most tasks that one poll answers.
const PAGE: i64 = 32;
/// A poll answers no further task once the outputs of those before it have more bytes than this.
const PAGE_BYTES: usize = 4 << 20;
const LONGEST_COMMENT: usize = 2000;

/// A finished task with its answers.
#[derive(Debug)]
pub struct ToJudge {
    /// The task.
    pub task: Finished,
    /// In the order of arrival.
    pub answers: Vec<Judged>,
}

/// An answer to be judged.
#[derive(Debug)]
pub struct Judged {
    /// The answer.
    pub answer: Answer,
    /// Its file, when it has one.
    pub file: Option<Reference>,
}

/// The oldest tasks that a validator has not judged, as many as are read at a time; waits up to `wait` for the first.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting_for(app: &App, validator: Hotkey, wait: Duration) -> Result<Vec<ToJudge>> {
    let waiter = app.hub.waiter(Topic::Validator(validator));
    let found = waiter
        .until(wait.min(app.config.longest_wait()), || async {
            let tasks = store::evaluations::waiting_for(&app.db, validator, PAGE).await?;
            Ok::<_, Error>((!tasks.is_empty()).then_some(tasks))
        })
        .await?
        .unwrap_or_default();
    let mut all = Vec::with_capacity(found.len());
    let mut bytes = 0;
    for task in found {
        if bytes > PAGE_BYTES {
            break;
        }
        let mut answers = Vec::new();
        for answer in store::answers::of_task(&app.db, task.task_id).await? {
            let file = match outputs::file(task.task_type, &answer.output) {
                Some(id) => store::files::find(&app.db, id).await?.map(Into::into),
                None => None,
            };
            bytes += size(&answer.output)?;
            answers.push(Judged { answer, file });
        }
        all.push(ToJudge { task, answers });
    }
    Ok(all)
}

/// Bytes of an output as it is sent.
fn size(output: &serde_json::Value) -> Result<usize> {
    let sent = serde_json::to_vec(output).map_err(Error::internal)?;
    Ok(sent.len())
}

/// An evaluation, as it came.
#[derive(Debug)]
pub struct Evaluation {
    /// The task.
    pub task: TaskId,
    /// One for each answer.
    pub scores: Vec<Score>,
    /// The validator's signature over [`signing::evaluation_message`]. Whoever has a key may leave it out.
    pub signature: Option<[u8; 64]>,
}

/// An evaluation that was checked, to be stored.
pub type Submitted = NewEvaluation;

/// What a validator learns about its evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It counts.
    Accepted {
        /// Whether it took the place of an earlier one.
        replaced: bool,
    },
    /// It does not.
    Refused(Refused),
}

/// Why an evaluation does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The task is settled, or not done yet, or this validator was not on its list when it was done.
    NotAJudge,
    /// The task was settled while this came in.
    Settled,
}

/// Checks an evaluation and stores it.
///
/// # Errors
/// 422 when the scores are not one for each answer, or the signature is not the validator's.
pub async fn evaluate(app: &App, caller: &Caller, mut evaluation: Evaluation) -> Result<Receipt> {
    let validator = caller.neuron.hotkey;
    if !store::evaluations::may_judge(&app.db, evaluation.task, validator).await? {
        return Ok(Receipt::Refused(Refused::NotAJudge));
    }
    let scored: BTreeSet<Hotkey> = evaluation.scores.iter().map(|score| score.hotkey).collect();
    let answered: BTreeSet<Hotkey> = store::answers::of_task(&app.db, evaluation.task)
        .await?
        .iter()
        .map(|answer| answer.hotkey)
        .collect();
    if scored != answered || scored.len() != evaluation.scores.len() {
        return Err(Error::invalid(
            "scores",
            "must have exactly one entry for each answer of the task",
        ));
    }
    for score in &evaluation.scores {
        let comment = score.comment.as_deref().unwrap_or_default();
        if comment.len() > LONGEST_COMMENT || comment.contains('\0') {
            return Err(Error::invalid(
                "comment",
                format!("must have at most {LONGEST_COMMENT} bytes and no NUL character"),
            ));
        }
    }
    evaluation.scores.sort_by_key(|score| score.hotkey);
    let signed: Vec<_> = evaluation
        .scores
        .iter()
        .map(|score| (score.hotkey, score.score))
        .collect();
    let message = || signing::evaluation_message(app.config.netuid, evaluation.task, &signed);
    let signature = caller.signature(evaluation.signature, message)?;
    app.evaluating
        .submit(NewEvaluation {
            task_id: evaluation.task,
            validator,
            scores: evaluation.scores,
            crypto: caller.crypto,
            signature,
        })
        .await
}

/// Stores evaluations in groups.
#[derive(Debug)]
pub struct Writer {
    /// For what follows.
    pub app: App,
    /// To the database.
    pub line: Line,
}

impl Write for Writer {
    type Item = Submitted;
    type Answer = Receipt;

    async fn write(&mut self, items: &[Submitted]) -> Result<Vec<Result<Receipt>>> {
        let app = &self.app;
        // One statement cannot replace a row twice: the last of a validator's evaluations of a task is the one.
        let mut distinct: Vec<&Submitted> = items.iter().rev().collect();
        distinct.sort_by_key(|item| (item.task_id, item.validator));
        distinct.dedup_by_key(|item| (item.task_id, item.validator));
        let distinct: Vec<Submitted> = distinct.into_iter().cloned().collect();
        let mut connection = self.line.take().await?;
        let mut tx = connection.begin().await?;
        let stored = store::evaluations::insert(&mut tx, &distinct).await?;
        tx.commit().await?;
        self.line.keep(connection);
        if !stored.is_empty() {
            app.hub.wake(Topic::Settling);
        }
        Ok(items
            .iter()
            .map(|item| {
                let row = stored
                    .iter()
                    .find(|row| row.task_id == item.task_id && row.validator == item.validator);
                Ok(
                    row.map_or(Receipt::Refused(Refused::Settled), |row| Receipt::Accepted {
                        replaced: row.replaced,
                    }),
                )
            })
            .collect())
    }
}
