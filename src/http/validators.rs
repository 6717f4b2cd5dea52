//! What validators call, signed by the hotkey or with a key: finished tasks, and their evaluations. And who they are, for users.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::Hotkey;

use super::{
    extract::{Query, Wait},
    files::{Base, FileLink},
    principal::{May, Validator, ValidatorJson},
    problem::ApiError,
    some_signature,
};
use crate::{
    app::App,
    domain::{TaskId, TaskType, access::may, consensus, performance},
    services::{
        evaluating::{self, Evaluation, Judged, Receipt, Refused, ToJudge},
        validators,
    },
    store::{
        evaluations::{Parts, Score},
        files::Input,
    },
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_validator_tasks))
        .routes(routes!(submit_evaluation))
        .routes(routes!(list_validators))
}

#[derive(Debug, Serialize, ToSchema)]
struct Finished {
    success: bool,
    count: usize,
    tasks: Vec<Task>,
}

/// A finished task that this validator has not judged.
#[derive(Debug, Serialize, ToSchema)]
struct Task {
    task_id: TaskId,
    task_type: TaskType,
    source_language: String,
    target_language: Option<String>,
    requested_model: Option<String>,
    /// The input, when it is a text.
    input_text: Option<InputText>,
    /// The input, when it is a file.
    input_file: Option<FileLink>,
    done_at: DateTime<Utc>,
    /// Later evaluations do not count.
    deadline: DateTime<Utc>,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize, ToSchema)]
struct InputText {
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    #[schema(value_type = String)]
    hotkey: Hotkey,
    uid: i32,
    output: serde_json::Value,
    model_id: String,
    engine: String,
    digest: String,
    /// The file of the answer, when it has one.
    file: Option<FileLink>,
    /// From assignment to arrival, measured by the server.
    seconds: f64,
    /// What is usual for such an input.
    usual_seconds: f64,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a task")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

impl Task {
    fn new(app: &App, base: &Base, to_judge: ToJudge) -> Self {
        let ToJudge { task, answers } = to_judge;
        let usual = task
            .task_type
            .usual_millis(u64::try_from(task.input_size).unwrap_or(0));
        let (input_text, input_file) = match task.input {
            Input::Text(text) => (Some(InputText { text }), None),
            Input::File(file) => (None, Some(FileLink::new(app, base, file))),
        };
        Self {
            task_id: task.task_id,
            task_type: task.task_type,
            source_language: task.source_language,
            target_language: task.target_language,
            requested_model: task.requested_model,
            input_text,
            input_file,
            done_at: task.done_at,
            deadline: task.done_at + consensus::DEADLINE,
            answers: answers
                .into_iter()
                .map(|Judged { answer, file }| Answer {
                    hotkey: answer.hotkey,
                    uid: answer.uid,
                    output: answer.output,
                    model_id: answer.model_id,
                    engine: answer.engine,
                    digest: hex::encode(answer.digest),
                    file: file.map(|file| FileLink::new(app, base, file)),
                    seconds: seconds(answer.millis),
                    usual_seconds: seconds(i64::try_from(usual).unwrap_or(i64::MAX)),
                })
                .collect(),
        }
    }
}

/// Read the finished tasks that wait for this validator; `wait` holds the answer until there is one.
#[utoipa::path(
    get, path = "/validator/tasks", tag = "validators", security(("btauth" = []), ("neuron_key" = [])), params(Wait),
    responses(
        (
            status = 200, body = Finished,
            description = "Finished tasks, oldest first: 32 at most, and none after those whose outputs exceed 4 MiB"
        ),
        ApiError
    )
)]
async fn list_validator_tasks(
    State(app): State<App>,
    Validator(caller): Validator,
    base: Base,
    Query(wait): Query<Wait>,
) -> Result<Body<Finished>, ApiError> {
    let tasks = evaluating::waiting_for(&app, caller.neuron.hotkey, wait.duration()).await?;
    let tasks: Vec<Task> = tasks
        .into_iter()
        .map(|task| Task::new(&app, &base, task))
        .collect();
    Ok(Body(Finished {
        success: true,
        count: tasks.len(),
        tasks,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEvaluation {
    task_id: TaskId,
    /// One for each answer of the task.
    scores: Vec<NewScore>,
    /// The hotkey's signature over "violet/evaluation/1" ‖ netuid (2 bytes, little-endian) ‖ task id (16 bytes) ‖
    /// BLAKE2b-256 of SCALE `Vec<([u8; 32], Option<u16>)>` in the order of the hotkeys; 0x and 128 hex digits. Only who
    /// sends a key in place of a signed request may leave it out; then the record says `"authenticated_by": "key"`.
    #[serde(default, deserialize_with = "some_signature")]
    #[schema(value_type = Option<String>)]
    signature: Option<[u8; 64]>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewScore {
    /// The miner whose answer it is.
    #[schema(value_type = String)]
    hotkey: Hotkey,
    /// 0 to 65535; null abstains.
    score: Option<u16>,
    /// What it is made of.
    parts: Option<Parts>,
    /// In words.
    comment: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EvaluationReceipt {
    /// Whether it counts.
    accepted: bool,
    /// Whether it took the place of an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<bool>,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Refused>,
}

/// Judge the answers of a finished task. Replaceable until the task is settled; hidden from others until then.
#[utoipa::path(
    post, path = "/validator/evaluations", tag = "validators", security(("btauth" = []), ("neuron_key" = [])), request_body = NewEvaluation,
    responses(
        (status = 200, description = "What became of it", body = EvaluationReceipt),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_evaluation(
    State(app): State<App>,
    ValidatorJson(caller, new): ValidatorJson<NewEvaluation>,
) -> Result<Body<EvaluationReceipt>, ApiError> {
    let NewEvaluation {
        task_id,
        scores,
        signature,
    } = new;
    let scores = scores
        .into_iter()
        .map(
            |NewScore {
                 hotkey,
                 score,
                 parts,
                 comment,
             }| Score {
                hotkey,
                score,
                parts,
                comment,
            },
        )
        .collect();
    let receipt = evaluating::evaluate(
        &app,
        &caller,
        Evaluation {
            task: task_id,
            scores,
            signature,
        },
    )
    .await?;
    let accepted = matches!(receipt, Receipt::Accepted { .. });
    metrics::counter!("violet_evaluations_total", "accepted" => accepted.to_string()).increment(1);
    Ok(Body(match receipt {
        Receipt::Accepted { replaced } => EvaluationReceipt {
            accepted,
            replaced: Some(replaced),
            reason: None,
        },
        Receipt::Refused(reason) => EvaluationReceipt {
            accepted,
            replaced: None,
            reason: Some(reason),
        },
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct ValidatorList {
    success: bool,
    count: usize,
    validators: Vec<ValidatorState>,
}

/// A hotkey with a validator permit.
#[derive(Debug, Serialize, ToSchema)]
struct ValidatorState {
    #[schema(value_type = String)]
    hotkey: Hotkey,
    uid: u16,
    /// The chain's total stake, in rao.
    stake: u64,
    /// Whether it would judge a task that is done now: stake above the thresholds, and seen within a day.
    may_judge: bool,
    /// Its last request, signed or with a key.
    last_seen: Option<DateTime<Utc>>,
    /// How near its scores have been to the consensus lately, 0 to 1; it begins at one half. Null before the first verdict
    /// on a task that it scored.
    agreement: Option<f64>,
    /// Tasks with a verdict that it scored.
    tasks_judged: i64,
}

impl From<validators::Validator> for ValidatorState {
    #[expect(clippy::cast_precision_loss, reason = "a number of 33 bits")]
    fn from(validator: validators::Validator) -> Self {
        let validators::Validator {
            hotkey,
            uid,
            stake,
            may_judge,
            last_seen,
            agreement,
        } = validator;
        Self {
            hotkey,
            uid,
            stake,
            may_judge,
            last_seen,
            agreement: agreement.map(|agreement| agreement.mean.value() as f64 / performance::ONE as f64),
            tasks_judged: agreement.map_or(0, |agreement| agreement.tasks),
        }
    }
}

/// List everybody with a validator permit: who may judge, and how well each agrees with the consensus.
#[utoipa::path(
    get, path = "/validators", tag = "validators", security(("api_key" = ["network:read"])),
    responses((status = 200, description = "In uid order", body = ValidatorList), ApiError)
)]
async fn list_validators(
    State(app): State<App>,
    _client: May<may::ReadNetwork>,
) -> Result<Body<ValidatorList>, ApiError> {
    let validators: Vec<ValidatorState> = validators::all(&app).await?.into_iter().map(Into::into).collect();
    Ok(Body(ValidatorList {
        success: true,
        count: validators.len(),
        validators,
    }))
}
