//! What miners call: heartbeat, mail, answers and refusals. Signed by the hotkey, or with a key.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Path, Query, Wait},
    files::{Base, FileLink},
    principal::{Miner, MinerJson},
    problem::ApiError,
    some_signature,
};
use crate::{
    app::App,
    domain::{Priority, TaskId, TaskState, TaskType, capability::Offer},
    error::Error,
    services::{
        answering::{self, Answer, Receipt, Unused},
        seeing::{self, Sight},
        sweeping,
    },
    store::{assignments::Mail, files::Input},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(send_heartbeat))
        .routes(routes!(list_miner_tasks))
        .routes(routes!(submit_answer))
        .routes(routes!(refuse_task))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Heartbeat {
    /// Assignments that it takes at once.
    capacity: u16,
    /// Assignments that it works on.
    #[serde(default)]
    load: u16,
    /// What it can do.
    engines: Vec<Offer>,
    /// The program and its version.
    #[serde(default)]
    version: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Beat {
    uid: u16,
    /// A heartbeat counts for this long.
    ttl_seconds: u64,
    /// When to send the next one.
    interval_seconds: u64,
}

/// Say what this miner can do and that it is there.
#[utoipa::path(
    post, path = "/miner/heartbeat", tag = "miners", security(("btauth" = []), ("neuron_key" = [])), request_body = Heartbeat,
    responses(
        (status = 200, description = "Noted", body = Beat),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn send_heartbeat(
    State(app): State<App>,
    MinerJson(caller, beat): MinerJson<Heartbeat>,
) -> Result<Body<Beat>, ApiError> {
    let Heartbeat {
        capacity,
        load,
        engines,
        version,
    } = beat;
    let noted = answering::heartbeat(&app, &caller, capacity, load, &engines, &version).await?;
    let ttl_seconds = noted.ttl.as_secs();
    Ok(Body(Beat {
        uid: noted.uid,
        ttl_seconds,
        interval_seconds: (ttl_seconds / 3).max(1),
    }))
}

/// An assignment of this miner.
#[derive(Debug, Serialize, ToSchema)]
struct Assignment {
    task_id: TaskId,
    task_type: TaskType,
    /// Of the assignment, whatever the task's state.
    status: TaskState,
    priority: Priority,
    source_language: String,
    target_language: Option<String>,
    /// The model asked for.
    model_id: Option<String>,
    /// The model asked for.
    requested_model: Option<String>,
    require_model: bool,
    /// The voice wanted, for speech.
    voice_name: Option<String>,
    /// The sample of that voice, when it has one: a link that works for a while and needs no key.
    speaker_wav_url: Option<String>,
    /// The same, with what it is.
    voice_file: Option<FileLink>,
    /// The input, when it is a text.
    input_text: Option<InputText>,
    /// The input, when it is a file.
    input_file: Option<InputFile>,
    assigned_at: DateTime<Utc>,
    /// An answer later than this does not count.
    deadline: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct InputText {
    text: String,
    source_language: String,
    target_language: Option<String>,
}

/// A file to work on. Miners of the original system fetch a `public_url` of the store `r2`.
#[derive(Debug, Serialize, ToSchema)]
struct InputFile {
    #[serde(flatten)]
    #[schema(inline)]
    file: FileLink,
    /// `r2`, wherever it is: what tells those miners that there is a link.
    storage_location: &'static str,
    /// The same as `download_url`.
    public_url: String,
}

impl From<FileLink> for InputFile {
    fn from(file: FileLink) -> Self {
        Self {
            storage_location: "r2",
            public_url: file.download_url.clone(),
            file,
        }
    }
}

impl Assignment {
    fn new(app: &App, base: &Base, mail: Mail) -> Self {
        let Mail {
            task_id,
            task_type,
            priority,
            source_language,
            target_language,
            requested_model,
            require_model,
            voice_name,
            voice_file,
            input,
            assigned_at,
            deadline,
        } = mail;
        let (input_text, input_file) = match input {
            Input::Text(text) => (
                Some(InputText {
                    text,
                    source_language: source_language.clone(),
                    target_language: target_language.clone(),
                }),
                None,
            ),
            Input::File(file) => (None, Some(FileLink::new(app, base, file).into())),
        };
        Self {
            task_id,
            task_type,
            status: TaskState::Assigned,
            priority,
            source_language,
            target_language,
            model_id: requested_model.clone(),
            requested_model,
            require_model,
            voice_name,
            speaker_wav_url: voice_file.as_ref().map(|file| base.link(app, file.file_id)),
            voice_file: voice_file.map(|file| FileLink::new(app, base, file)),
            input_text,
            input_file,
            assigned_at,
            deadline,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// `assigned`, or what earlier APIs called it: distributed, processing. In any other state of a task a miner has
    /// nothing open.
    #[serde(default = "assigned")]
    status: String,
    /// Tasks that the miner has in hand, parted by commas; they are not delivered again.
    #[serde(default)]
    exclude: String,
}

fn assigned() -> String {
    "assigned".into()
}

/// Read the open assignments of this miner; `wait` holds the answer until there is one.
///
/// With a key that was given to a miner that said what it can do, this is a heartbeat that says the same, for as long as
/// it waits.
#[utoipa::path(
    get, path = "/miners/{uid}/tasks", tag = "miners", security(("btauth" = []), ("neuron_key" = [])),
    params(("uid" = u16, Path, description = "The caller's own"), Filter, Wait),
    responses(
        (status = 200, description = "Open assignments, most urgent first", body = [Assignment]),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn list_miner_tasks(
    State(app): State<App>,
    Miner(caller): Miner,
    base: Base,
    Path(uid): Path<u16>,
    Query(filter): Query<Filter>,
    Query(wait): Query<Wait>,
) -> Result<Body<Vec<Assignment>>, ApiError> {
    if caller.neuron.uid.0 != uid {
        return Err(
            Error::Forbidden(format!("uid {uid} is not yours; yours is {}", caller.neuron.uid)).into(),
        );
    }
    match filter.status.as_str() {
        "assigned" | "distributed" | "processing" => {}
        name if TaskState::named(name).is_some() => return Ok(Body(Vec::new())),
        _ => return Err(Error::invalid("status", "must be a state of a task, such as assigned").into()),
    }
    let hotkey = caller.neuron.hotkey;
    let without: Vec<TaskId> = filter
        .exclude
        .split(',')
        .filter(|id| !id.is_empty())
        .map(|id| {
            id.parse()
                .map_err(|_| Error::invalid("exclude", "must be task ids parted by commas"))
        })
        .collect::<Result<_, _>>()?;
    let mail = answering::mail(&app, &caller.neuron, &without, wait.duration());
    let mail = seeing::polling(&app, &caller, mail).await?;
    for mail in &mail {
        app.sights.note(Sight::Mail(mail.task_id, hotkey));
    }
    Ok(Body(
        mail.into_iter()
            .map(|mail| Assignment::new(&app, &base, mail))
            .collect(),
    ))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAnswer {
    task_id: TaskId,
    /// `{"transcript", "language"?, "confidence"?, "words"?}`, `{"summary"}`, `{"translated_text"}`, or
    /// `{"file_id", "sha256", "media_type"}` of a file that was uploaded before.
    output: serde_json::Value,
    /// What ran.
    model_id: String,
    /// The program that ran it.
    engine: String,
    /// What the miner says it took, in seconds; stored and never used.
    processing_time: Option<f64>,
    /// BLAKE2b-256 of the RFC 8785 form of `{engine, model_id, output}`, 64 hex digits. Only who sends a key in place of
    /// a signed request may leave it out.
    #[serde(default, deserialize_with = "digest")]
    #[schema(value_type = Option<String>)]
    digest: Option<[u8; 32]>,
    /// The hotkey's signature over "violet/answer/1" ‖ netuid (2 bytes, little-endian) ‖ task id (16 bytes) ‖ digest;
    /// 0x and 128 hex digits. Only who sends a key in place of a signed request may leave it out; then the record says
    /// `"authenticated_by": "key"`.
    #[serde(default, deserialize_with = "some_signature")]
    #[schema(value_type = Option<String>)]
    signature: Option<[u8; 64]>,
}

/// 64 hex digits, if it is there.
fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Some)
        .ok_or_else(|| D::Error::custom("digest: must be 64 hex digits"))
}

#[derive(Debug, Serialize, ToSchema)]
struct AnswerReceipt {
    /// Whether it counts.
    used: bool,
    /// Whether it is the first of its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<bool>,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Unused>,
}

/// Answer a task. One answer counts for each task and hotkey, and it is final.
#[utoipa::path(
    post, path = "/miner/answers", tag = "miners", security(("btauth" = []), ("neuron_key" = [])), request_body = NewAnswer,
    responses(
        (status = 200, description = "What became of it", body = AnswerReceipt),
        (status = 404, description = "not-found"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn submit_answer(
    State(app): State<App>,
    MinerJson(caller, new): MinerJson<NewAnswer>,
) -> Result<Body<AnswerReceipt>, ApiError> {
    let NewAnswer {
        task_id,
        output,
        model_id,
        engine,
        processing_time,
        digest,
        signature,
    } = new;
    let answer = Answer {
        task: task_id,
        output,
        model_id,
        engine,
        claimed_seconds: processing_time,
        digest,
        signature,
    };
    let receipt = answering::answer(&app, &caller, answer).await?;
    let used = matches!(receipt, Receipt::Used { .. });
    metrics::counter!("violet_answers_total", "used" => used.to_string()).increment(1);
    Ok(Body(match receipt {
        Receipt::Used { first } => AnswerReceipt {
            used,
            first: Some(first),
            reason: None,
        },
        Receipt::Unused(reason) => AnswerReceipt {
            used,
            first: None,
            reason: Some(reason),
        },
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refusal {
    task_id: TaskId,
    /// In words, for the task's owner.
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Released {
    /// Whether the assignment was open until now.
    released: bool,
}

/// Give an assignment back that this miner cannot do; another miner is drawn.
#[utoipa::path(
    post, path = "/miner/refusals", tag = "miners", security(("btauth" = []), ("neuron_key" = [])), request_body = Refusal,
    responses((status = 200, description = "Whether there was one", body = Released), ApiError)
)]
async fn refuse_task(
    State(app): State<App>,
    MinerJson(caller, refusal): MinerJson<Refusal>,
) -> Result<Body<Released>, ApiError> {
    let Refusal { task_id, reason } = refusal;
    let released = sweeping::refuse(&app, task_id, caller.neuron.hotkey, &reason).await?;
    Ok(Body(Released { released }))
}
