//! Status, answers, results and withdrawal of tasks.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Page, Path, Query, Wait},
    files::{Base, FileLink},
    principal::May,
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{Priority, TaskId, TaskState, TaskType, access::may, performance, task::Reason},
    services::{
        sweeping,
        tasks::{self, Until, Whole},
    },
    store::{answers::Answer, files::Input},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_task_status))
        .routes(routes!(get_task_responses))
        .routes(routes!(list_tasks))
        .routes(routes!(get_task))
        .routes(routes!(cancel_task))
}

/// Where a task is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    task_id: TaskId,
    status: TaskState,
    task_type: TaskType,
    priority: Priority,
    created_at: DateTime<Utc>,
    /// The uids drawn for it.
    pub(super) assigned_miners: Vec<i32>,
    /// Valid answers so far.
    miner_responses: usize,
    required_miner_count: u8,
    /// Miners that have it or answered it.
    assigned_miner_count: usize,
    /// When it ended.
    settled_at: Option<DateTime<Utc>>,
    /// Once ended: whether validators with more than half of the stake agreed on a verdict.
    pub(super) verified: Option<bool>,
    /// Why it failed, or why there is no verdict.
    pub(super) reason: Option<Reason>,
    /// Part of all permitted stake that might judge it, 0 to 1; once ended.
    participation: Option<f64>,
}

fn fraction(score: i32) -> f64 {
    f64::from(score) / 65_535.0
}

impl From<&Whole> for Status {
    fn from(whole: &Whole) -> Self {
        let Whole { task, drawn, answers } = whole;
        let end = task.end.as_ref();
        let standing = drawn
            .iter()
            .filter(|drawn| matches!(drawn.standing.as_str(), "assigned" | "in_progress" | "answered"));
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
        let participation = end
            .filter(|end| end.permitted_stake > 0)
            .map(|end| end.eligible_stake as f64 / end.permitted_stake as f64);
        Self {
            task_id: task.task_id,
            status: task.state,
            task_type: task.task_type,
            priority: task.priority,
            created_at: task.accepted_at,
            assigned_miners: drawn.iter().map(|drawn| drawn.uid).collect(),
            miner_responses: answers.len(),
            required_miner_count: task.required_miner_count,
            assigned_miner_count: standing.count(),
            settled_at: end.map(|end| end.at),
            verified: end.map(|_| matches!(task.state, TaskState::Approved | TaskState::Rejected)),
            reason: end.and_then(|end| end.reason),
            participation,
        }
    }
}

/// Read where a task is; `wait` holds the answer until the task has ended.
#[utoipa::path(
    get, path = "/task/{task_id}/status", tag = "tasks", security(("api_key" = ["tasks:read"])), params(("task_id" = TaskId, Path), Wait),
    responses((status = 200, description = "Where it is", body = Status), ApiError)
)]
async fn get_task_status(
    State(app): State<App>,
    client: May<may::ReadTasks>,
    Path(id): Path<TaskId>,
    Query(wait): Query<Wait>,
) -> Result<Body<Status>, ApiError> {
    let whole = tasks::read(&app, client.organization, id, Until::Ended, wait.duration()).await?;
    Ok(Body((&whole).into()))
}

/// What shows that an answer is its miner's.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AuthenticatedBy {
    /// The signature of its hotkey, which anybody can check.
    Signature,
    /// A key that the server gave it; others have the server's word for it.
    Key,
}

/// A miner's answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Response {
    miner_uid: i32,
    #[schema(value_type = String)]
    hotkey: violet_chain::Hotkey,
    response_data: serde_json::Value,
    /// What ran.
    engine: String,
    /// What ran.
    model_id: String,
    /// Seconds from assignment to arrival, measured by the server.
    processing_time: f64,
    submitted_at: DateTime<Utc>,
    /// The validators' consensus, 0 to 1; once judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy_score: Option<f64>,
    /// One half at what is usual for such an input.
    pub(super) speed_score: f64,
    /// BLAKE2b-256 of the canonical answer, which the miner signed if it signs.
    digest: String,
    authenticated_by: AuthenticatedBy,
    /// The miner's signature, where it authenticates the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

impl Response {
    pub(super) fn new(task_type: TaskType, size: u64, answer: &Answer) -> Self {
        let millis = u64::try_from(answer.millis).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a fraction for people to read")]
        let speed = performance::speed(millis, task_type.usual_millis(size)) as f64 / performance::ONE as f64;
        Self {
            miner_uid: answer.uid,
            hotkey: answer.hotkey,
            response_data: answer.output.clone(),
            engine: answer.engine.clone(),
            model_id: answer.model_id.clone(),
            processing_time: seconds(answer),
            submitted_at: answer.received_at,
            accuracy_score: answer.consensus.map(fraction),
            speed_score: speed,
            digest: hex::encode(answer.digest),
            authenticated_by: match answer.signature {
                Some(_) => AuthenticatedBy::Signature,
                None => AuthenticatedBy::Key,
            },
            signature: answer
                .signature
                .map(|signature| format!("0x{}", hex::encode(signature))),
        }
    }
}

pub(super) fn seconds(answer: &Answer) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a task")]
    let millis = answer.millis as f64;
    millis / 1000.0
}

/// The answers of a task.
#[derive(Debug, Serialize, ToSchema)]
struct Responses {
    task_id: TaskId,
    task_type: TaskType,
    status: TaskState,
    created_at: DateTime<Utc>,
    /// The judged best, until then the first.
    best_response: Option<Response>,
    /// In the order of arrival.
    responses: Vec<Response>,
    task_summary: Summary,
}

#[derive(Debug, Serialize, ToSchema)]
struct Summary {
    total_responses_received: usize,
    required_miner_count: u8,
    task_priority: Priority,
}

/// Read the answers of a task; `wait` holds the answer until there is one.
#[utoipa::path(
    get, path = "/task/{task_id}/responses", tag = "tasks", security(("api_key" = ["tasks:read"])), params(("task_id" = TaskId, Path), Wait),
    responses((status = 200, description = "Its answers", body = Responses), ApiError)
)]
async fn get_task_responses(
    State(app): State<App>,
    client: May<may::ReadTasks>,
    Path(id): Path<TaskId>,
    Query(wait): Query<Wait>,
) -> Result<Body<Responses>, ApiError> {
    let whole = tasks::read(&app, client.organization, id, Until::Answered, wait.duration()).await?;
    let Whole { task, answers, .. } = &whole;
    let response = |answer: &Answer| Response::new(task.task_type, task.input_size, answer);
    Ok(Body(Responses {
        task_id: task.task_id,
        task_type: task.task_type,
        status: task.state,
        created_at: task.accepted_at,
        best_response: whole.best().map(response),
        responses: answers.iter().map(response).collect(),
        task_summary: Summary {
            total_responses_received: answers.len(),
            required_miner_count: task.required_miner_count,
            task_priority: task.priority,
        },
    }))
}

/// A task in a list.
#[derive(Debug, Serialize, ToSchema)]
struct Task {
    task_id: TaskId,
    task_type: TaskType,
    status: TaskState,
    priority: Priority,
    source_language: String,
    target_language: Option<String>,
    model_id: Option<String>,
    require_model: bool,
    required_miner_count: u8,
    actual_miner_count: u16,
    created_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_text: Option<InputText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_file: Option<FileLink>,
}

#[derive(Debug, Serialize, ToSchema)]
struct InputText {
    text: String,
    source_language: String,
}

impl From<&tasks::Task> for Task {
    fn from(task: &tasks::Task) -> Self {
        Self {
            task_id: task.task_id,
            task_type: task.task_type,
            status: task.state,
            priority: task.priority,
            source_language: task.source_language.clone(),
            target_language: task.target_language.clone(),
            model_id: task.requested_model.clone(),
            require_model: task.require_model,
            required_miner_count: task.required_miner_count,
            actual_miner_count: task.answered + task.outstanding,
            created_at: task.accepted_at,
            completed_at: task.end.as_ref().map(|end| end.at).or(task.done_at),
            input_text: None,
            input_file: None,
        }
    }
}

/// Which tasks of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those in this state: pending, assigned (or distributed), `in_progress` (or processing), completed, done,
    /// approved, rejected, failed or cancelled.
    #[serde(default, deserialize_with = "state")]
    #[param(value_type = Option<String>)]
    status: Option<TaskState>,
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TaskState>, D::Error> {
    let name = String::deserialize(deserializer)?;
    TaskState::named(&name)
        .map(Some)
        .ok_or_else(|| D::Error::custom("status: no such state of a task"))
}

/// List your tasks, newest first.
#[utoipa::path(
    get, path = "/tasks", tag = "tasks", security(("api_key" = ["tasks:read"])), params(Filter, Page<TaskId>),
    responses((status = 200, description = "A page of tasks", body = [Task]), ApiError)
)]
async fn list_tasks(
    State(app): State<App>,
    client: May<may::ReadTasks>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page<TaskId>>,
) -> Result<Body<Vec<Task>>, ApiError> {
    let found = tasks::list(
        &app,
        client.organization,
        filter.status,
        page.before,
        page.limit(),
    )
    .await?;
    Ok(Body(found.iter().map(Task::from).collect()))
}

/// Read a task with its input.
#[utoipa::path(
    get, path = "/tasks/{task_id}", tag = "tasks", security(("api_key" = ["tasks:read"])), params(("task_id" = TaskId, Path)),
    responses((status = 200, description = "The task", body = Task), ApiError)
)]
async fn get_task(
    State(app): State<App>,
    client: May<may::ReadTasks>,
    base: Base,
    Path(id): Path<TaskId>,
) -> Result<Body<Task>, ApiError> {
    let task = tasks::get(&app, client.organization, id).await?;
    let mut shown = Task::from(&task);
    match tasks::input(&app, id).await? {
        Some(Input::Text(text)) => {
            shown.input_text = Some(InputText {
                text,
                source_language: task.source_language.clone(),
            });
        }
        Some(Input::File(file)) => shown.input_file = Some(FileLink::new(&app, &base, file)),
        None => {}
    }
    Ok(Body(shown))
}

#[derive(Debug, Serialize, ToSchema)]
struct Cancelled {
    success: bool,
    task_id: TaskId,
    status: TaskState,
}

/// Withdraw a task that has not ended. What miners answer later is kept and not used.
#[utoipa::path(
    post, path = "/tasks/{task_id}/cancel", tag = "tasks", security(("api_key" = ["tasks:cancel"])), params(("task_id" = TaskId, Path)),
    responses(
        (status = 200, description = "It is cancelled", body = Cancelled),
        (status = 409, description = "conflict"),
        ApiError
    )
)]
async fn cancel_task(
    State(app): State<App>,
    client: May<may::CancelTasks>,
    Path(id): Path<TaskId>,
) -> Result<Body<Cancelled>, ApiError> {
    sweeping::cancel(&app, client.organization, id).await?;
    Ok(Body(Cancelled {
        success: true,
        task_id: id,
        status: TaskState::Cancelled,
    }))
}
