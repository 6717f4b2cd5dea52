//! Settling: freezes who may judge a finished task, and ends it when its consensus is final.
use std::time::Duration;

use sqlx::{Postgres, Transaction};
use uuid::Uuid;
use violet_chain::{Hotkey, Snapshot};

use crate::{
    app::App,
    domain::{
        TaskId, TaskState,
        consensus::{self, DEADLINE, Judging, PATIENCE, Scored, Verdict},
        records::{self, Authentication, Digest, Record},
        task::Reason,
    },
    error::{Causes, Error, Result},
    services::{
        answering::{self, Change, Changes},
        hub::Topic,
        recording, snapshots,
        validators::{self, Compared, Verdicts},
    },
    store::{
        self,
        answers::Answer,
        evaluations::Evaluation,
        settlements::{End, Judged},
    },
};

/// Tasks taken in one transaction.
const ROUND: i64 = 200;

/// Freezes the validators of tasks that are done: permit and stake by the snapshot, seen within a day. Where they are
/// too few for a verdict, the task ends.
///
/// # Errors
/// When the database or the snapshot is away; the next call tries again.
pub async fn freeze(app: &App) -> Result<()> {
    Step::Freeze.all(app).await
}

/// Ends the tasks whose verdict is final or that nobody will judge any more.
///
/// # Errors
/// When the database does not answer; the next call tries again.
pub async fn settle(app: &App) -> Result<()> {
    Step::Settle.all(app).await
}

#[derive(Clone, Copy)]
enum Step {
    Freeze,
    Settle,
}

impl Step {
    /// The next tasks that may be ready for it.
    async fn find(self, app: &App, after: TaskId) -> Result<Vec<TaskId>> {
        let (db, netuid) = (&app.db, app.config.netuid);
        let (patience, deadline) = (PATIENCE.as_secs_f64(), DEADLINE.as_secs_f64());
        Ok(match self {
            Self::Freeze => store::evaluations::unjudged(db, netuid, after, ROUND).await?,
            Self::Settle => store::settlements::ready(db, netuid, after, patience, deadline, ROUND).await?,
        })
    }

    async fn take(self, app: &App, tasks: &[TaskId]) -> Result<()> {
        match self {
            Self::Freeze => freeze_these(app, tasks).await,
            Self::Settle => settle_these(app, tasks).await,
        }
    }

    async fn all(self, app: &App) -> Result<()> {
        let mut after = TaskId::from(Uuid::nil());
        loop {
            let tasks = self.find(app, after).await?;
            let Some(last) = tasks.last() else {
                return Ok(());
            };
            after = *last;
            match self.take(app, &tasks).await {
                // One bad task does not keep the others.
                Err(error @ Error::Internal(_)) => {
                    tracing::warn!(error = %Causes(&error), "a round failed; its tasks are taken one by one");
                    for task in &tasks {
                        if let Err(error) = self.take(app, std::slice::from_ref(task)).await {
                            tracing::error!(%task, error = %Causes(&error), "a task cannot be settled");
                        }
                    }
                }
                result => result?,
            }
            if i64::try_from(tasks.len()).is_ok_and(|tasks| tasks < ROUND) {
                return Ok(());
            }
        }
    }
}

async fn freeze_these(app: &App, tasks: &[TaskId]) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let tasks = store::evaluations::lock_unjudged(&mut tx, tasks).await?;
    if tasks.is_empty() {
        return Ok(());
    }
    let snapshot = app.snapshots.current()?.snapshot;
    let seen = store::miners::active_validators(&mut *tx, app.config.netuid).await?;
    let validators: Vec<(Hotkey, i64)> = snapshot
        .neurons
        .iter()
        .filter(|neuron| snapshots::may_judge(app, &snapshot, neuron) && seen.contains(&neuron.hotkey))
        .map(|neuron| (neuron.hotkey, i64::try_from(neuron.stake.0).unwrap_or(i64::MAX)))
        .collect();
    let permitted = permitted_stake(&snapshot);
    store::evaluations::freeze(&mut tx, &tasks, &validators, permitted).await?;
    let eligible = validators.iter().map(|(_, stake)| amount(*stake)).sum();
    let least = app.config.consensus.min_participation;
    if !consensus::participates(eligible, amount(permitted), least) {
        // In the same transaction: nobody has been asked.
        return end(app, tx, &tasks, |_, _| Verdict::NoQuorum).await;
    }
    tx.commit().await?;
    for (validator, _) in &validators {
        app.hub.wake(Topic::Validator(*validator));
    }
    tasks.into_iter().for_each(|task| app.hub.wake(Topic::Task(task)));
    Ok(())
}

async fn settle_these(app: &App, tasks: &[TaskId]) -> Result<()> {
    let tx = app.db.begin().await?;
    end(app, tx, tasks, verdict).await
}

/// Ends those of these tasks whose verdict is not to wait.
async fn end(
    app: &App,
    mut tx: Transaction<'_, Postgres>,
    tasks: &[TaskId],
    verdict: fn(&Judged, &[Evaluation]) -> Verdict,
) -> Result<()> {
    let ready = store::settlements::lock(&mut tx, tasks).await?;
    let now = u64::try_from(app.clock.now().timestamp_millis()).unwrap_or(0);
    let mut settled = Vec::new();
    for judged in &ready {
        let evaluations = store::evaluations::of_task(&mut *tx, judged.task_id).await?;
        let verdict = verdict(judged, &evaluations);
        if verdict != Verdict::Wait {
            let answers = store::answers::of_task(&mut *tx, judged.task_id).await?;
            settled.push(decide(app, judged, &answers, &evaluations, verdict, now));
        }
    }
    if settled.is_empty() {
        return Ok(());
    }
    let mut ends = Vec::with_capacity(settled.len());
    let mut changes: Changes = Vec::new();
    let mut verdicts: Verdicts = Vec::new();
    let mut records = Vec::with_capacity(settled.len());
    for Settled {
        end,
        record,
        judged,
        compared,
    } in settled
    {
        for (hotkey, consensus) in &end.consensus {
            if let Some(consensus) = *consensus {
                changes.push(((*hotkey, judged.task_type), Change::Judged { consensus }));
            }
        }
        verdicts.extend(compared);
        records.push((record, Some(end.task_id)));
        ends.push(end);
    }
    store::settlements::insert(&mut tx, &ends).await?;
    answering::remember(&mut tx, app.config.netuid, &changes).await?;
    validators::remember(&mut tx, app.config.netuid, &verdicts).await?;
    if let Some(batch) = recording::sign(app, records) {
        store::records::insert(&mut tx, app.hotkey, &batch).await?;
    }
    tx.commit().await?;
    for end in &ends {
        metrics::counter!("violet_tasks_settled_total", "state" => end.state.name()).increment(1);
        app.hub.wake(Topic::Task(end.task_id));
    }
    Ok(())
}

/// Stake of everybody with a validator permit: what participation is measured against.
fn permitted_stake(snapshot: &Snapshot) -> i64 {
    let all: u64 = snapshot
        .neurons
        .iter()
        .filter(|neuron| neuron.validator_permit)
        .map(|neuron| neuron.stake.0)
        .fold(0, u64::saturating_add);
    i64::try_from(all).unwrap_or(i64::MAX)
}

/// Stake as it is stored.
fn amount(stake: i64) -> u128 {
    u128::try_from(stake).unwrap_or(0)
}

struct Settled {
    judged: Judged,
    end: End,
    record: Record,
    /// What each validator scored, when there is a verdict.
    compared: Verdicts,
}

fn verdict(judged: &Judged, evaluations: &[Evaluation]) -> Verdict {
    let scored_stake = evaluations
        .iter()
        .filter(|evaluation| evaluation.scores.iter().any(|score| score.score.is_some()))
        .map(|evaluation| amount(evaluation.stake))
        .sum();
    Judging {
        eligible_stake: amount(judged.eligible_stake),
        scored_stake,
        outstanding: usize::try_from(judged.outstanding).unwrap_or(usize::MAX),
        since_done: Duration::from_secs_f64(judged.seconds_since_done.max(0.0)),
    }
    .verdict()
}

/// How a task ends with this verdict, which is not to wait.
fn decide(
    app: &App,
    judged: &Judged,
    answers: &[Answer],
    evaluations: &[Evaluation],
    verdict: Verdict,
    now: u64,
) -> Settled {
    let threshold = app.config.threshold(judged.task_type);
    let (state, reason, consensus) = match verdict {
        Verdict::Wait | Verdict::NoQuorum => {
            (TaskState::Done, Some(Reason::Quorum), vec![None; answers.len()])
        }
        Verdict::Abstained => (
            TaskState::Done,
            Some(Reason::Abstained),
            vec![None; answers.len()],
        ),
        Verdict::Final => {
            let medians = medians(answers, evaluations);
            let approved = medians.iter().flatten().any(|consensus| *consensus >= threshold);
            (
                if approved {
                    TaskState::Approved
                } else {
                    TaskState::Rejected
                },
                None,
                medians,
            )
        }
    };
    let record = Record::Settlement(records::Settlement {
        netuid: app.config.netuid,
        task: judged.task_id.bytes(),
        outcome: state,
        reason,
        threshold,
        eligible_stake: amount(judged.eligible_stake),
        answers: answers
            .iter()
            .zip(&consensus)
            .map(|(answer, consensus)| records::Answer {
                hotkey: answer.hotkey,
                digest: Digest(answer.digest),
                authentication: Authentication::new(answer.crypto, answer.signature),
                consensus: *consensus,
            })
            .collect(),
        evaluations: evaluations
            .iter()
            .map(|evaluation| records::Evaluation {
                hotkey: evaluation.validator,
                stake: u64::try_from(evaluation.stake).unwrap_or(0),
                scores: answers
                    .iter()
                    .map(|answer| score_of(evaluation, answer.hotkey))
                    .collect(),
                authentication: Authentication::new(evaluation.crypto, evaluation.signature),
            })
            .collect(),
        at: now,
    });
    let compared = evaluations
        .iter()
        .map(|evaluation| (evaluation.validator, compared(evaluation, answers, &consensus)))
        .collect();
    let end = End {
        task_id: judged.task_id,
        state,
        reason,
        best: best(answers, &consensus),
        eligible_stake: judged.eligible_stake,
        permitted_stake: judged.permitted_stake,
        consensus: answers
            .iter()
            .map(|answer| answer.hotkey)
            .zip(consensus)
            .collect(),
    };
    Settled {
        judged: *judged,
        end,
        record,
        compared,
    }
}

/// A validator's scores beside the consensus, where there is one.
fn compared(evaluation: &Evaluation, answers: &[Answer], consensus: &[Option<u16>]) -> Vec<Compared> {
    let each = answers.iter().zip(consensus);
    each.filter_map(|(answer, consensus)| {
        Some(Compared {
            score: score_of(evaluation, answer.hotkey)?,
            consensus: (*consensus)?,
        })
    })
    .collect()
}

fn score_of(evaluation: &Evaluation, miner: Hotkey) -> Option<u16> {
    evaluation
        .scores
        .iter()
        .find(|score| score.hotkey == miner)
        .and_then(|score| score.score)
}

/// The consensus on each answer.
fn medians(answers: &[Answer], evaluations: &[Evaluation]) -> Vec<Option<u16>> {
    answers
        .iter()
        .map(|answer| {
            let scores: Vec<Scored> = evaluations
                .iter()
                .filter_map(|evaluation| {
                    let score = score_of(evaluation, answer.hotkey)?;
                    Some(Scored {
                        score,
                        stake: u64::try_from(evaluation.stake).unwrap_or(0),
                    })
                })
                .collect();
            consensus::weighted_median(&scores)
        })
        .collect()
}

/// The answer with the highest consensus; of equals, and without a verdict, the one that came first.
fn best(answers: &[Answer], consensus: &[Option<u16>]) -> Option<Hotkey> {
    let mut best: Option<(Option<u16>, Hotkey)> = None;
    for (answer, consensus) in answers.iter().zip(consensus) {
        if best.is_none_or(|(highest, _)| *consensus > highest) {
            best = Some((*consensus, answer.hotkey));
        }
    }
    best.map(|(_, hotkey)| hotkey)
}
