//! Submitting tasks: what is taken, what is refused and why.
use crate::{
    app::App,
    domain::{
        OrganizationId, Priority, TaskId, TaskType, UserId, blake2b_256,
        capability::{self, LONGEST_MODEL},
        routing::{self, Excluded},
        task::{DEFAULT_MINERS, MOST_MINERS},
    },
    error::{Error, Result},
    services::{accepting::Submission, drawing, roster},
    store::submissions::{NewKey, NewTask},
};

const LONGEST_ENTROPY: usize = 255;

/// What a user asks for, as it came.
#[derive(Debug, Default)]
pub struct TextTask {
    /// The text.
    pub text: String,
    /// Its language.
    pub source_language: String,
    /// The language wanted.
    pub target_language: String,
    /// low, normal, high or urgent.
    pub priority: Option<String>,
    /// A preference, or the only model that will do.
    pub model_id: Option<String>,
    /// Whether `model_id` is the only one that will do.
    pub require_model: bool,
    /// 1..=10.
    pub required_miner_count: Option<u8>,
    /// Makes a repeated request find its task, and ties the draw to the client.
    pub idempotency_key: Option<String>,
    /// Ties the draw to the client without the promise of the key.
    pub nonce: Option<String>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The organisation that will own the task.
    pub organization: OrganizationId,
    /// The user whose key it is.
    pub user: UserId,
}

/// A task that was accepted.
#[derive(Debug)]
pub struct Taken {
    /// Its id.
    pub task: TaskId,
    /// Miners drawn for it so far.
    pub assigned: usize,
    /// Characters of the text as it came.
    pub text_length: usize,
    /// Words, parted by white space.
    pub word_count: usize,
}

/// Accepts a text translation: checked, drawn for and durable.
///
/// # Errors
/// 422 for a field that is off, 413 for a text over the limit, 422 when nobody serves the pair or the model.
pub async fn text_translation(app: &App, owner: Owner, asked: TextTask) -> Result<Taken> {
    let task_type = TaskType::TextTranslation;
    let source = language("source_language", &asked.source_language)?;
    let target = language("target_language", &asked.target_language)?;
    if source == target {
        return Err(Error::invalid(
            "target_language",
            "must differ from source_language",
        ));
    }
    let text = checked_text(app, &asked.text)?;
    let priority = priority(asked.priority.as_deref())?;
    let required = miners(asked.required_miner_count)?;
    let model = model(app, task_type, asked.model_id.as_deref(), asked.require_model)?;
    let entropy = entropy(asked.idempotency_key.as_deref(), asked.nonce.as_deref())?;
    let wanted = drawing::capability(
        task_type,
        &source,
        Some(&target),
        model.as_ref().filter(|_| asked.require_model),
    );
    require_served(app, &wanted)?;

    let input_digest = input_digest(task_type, &source, Some(&target), text);
    let netuid = app.config.netuid;
    let request_digest = routing::request_digest(
        netuid,
        owner.organization.bytes(),
        entropy.as_bytes(),
        input_digest,
    );
    let task = NewTask {
        task_id: TaskId::new(),
        netuid,
        organization_id: owner.organization,
        user_id: owner.user,
        task_type,
        priority,
        source_language: source,
        target_language: Some(target),
        requested_model: model,
        require_model: asked.require_model,
        required_miner_count: required,
        input_size: text.chars().count() as u64,
        input_digest,
        request_digest,
        client_entropy: entropy.into_bytes(),
        text: text.to_owned(),
    };
    let text_length = asked.text.chars().count();
    let word_count = text.split_whitespace().count();
    let key = asked.idempotency_key.map(|key| NewKey {
        organization_id: owner.organization,
        fingerprint: fingerprint(&task),
        key,
        task_id: task.task_id,
    });
    let accepted = accept(app, task, key, wanted).await?;
    let assigned = match accepted.assigned {
        Some(assigned) => assigned,
        None => crate::store::tasks::drawn(&app.db, accepted.task).await?.len(),
    };
    Ok(Taken {
        task: accepted.task,
        assigned,
        text_length,
        word_count,
    })
}

async fn accept(
    app: &App,
    task: NewTask,
    key: Option<NewKey>,
    capability: capability::Capability,
) -> Result<crate::services::accepting::Accepted> {
    if let Some(key) = &key {
        // A repeated request is told apart before anything is drawn for it; a race is settled by the commit.
        if crate::store::submissions::find_key(&app.db, key.organization_id, &key.key)
            .await?
            .is_some()
        {
            return crate::services::accepting::repeated(app, key).await;
        }
    }
    let request = drawing::Request {
        task: task.task_id,
        digest: task.request_digest,
        client_entropy: !task.client_entropy.is_empty(),
        capability,
        input_size: task.input_size,
        draw: 0,
        slots: (0..task.required_miner_count).map(|slot| (slot, 1)).collect(),
        earlier: Excluded::default(),
    };
    let drawn = drawing::draw(app, &request).await?;
    app.accepting.submit(Submission { task, key, drawn }).await
}

/// BLAKE2b-256 of SCALE("violet/input/1", type, source language, target language, text): what the draw is tied to.
fn input_digest(task_type: TaskType, source: &str, target: Option<&String>, text: &str) -> [u8; 32] {
    use codec::Encode;
    blake2b_256(&[&("violet/input/1", task_type, source, target, text).encode()])
}

/// What must be the same when a key is used again.
fn fingerprint(task: &NewTask) -> [u8; 32] {
    use codec::Encode;
    let NewTask {
        priority,
        requested_model,
        require_model,
        required_miner_count,
        input_digest,
        ..
    } = task;
    blake2b_256(&[&(
        "violet/fingerprint/1",
        input_digest,
        *priority as u8,
        requested_model,
        require_model,
        required_miner_count,
    )
        .encode()])
}

fn checked_text<'a>(app: &App, text: &'a str) -> Result<&'a str> {
    let limits = &app.config.tasks;
    if let Some(at) = text.chars().position(|c| c == '\0') {
        return Err(Error::invalid(
            "text",
            format!("has a NUL character at position {at}; remove it"),
        ));
    }
    let trimmed = text.trim();
    let length = trimmed.chars().count();
    if length < limits.text_shortest {
        return Err(Error::invalid(
            "text",
            format!(
                "must have at least {} characters, has {length}",
                limits.text_shortest
            ),
        ));
    }
    if length > limits.text_characters || trimmed.len() > limits.text_bytes {
        return Err(Error::TooLarge {
            field: "text",
            detail: format!(
                "must have at most {} characters and {} bytes, has {length} and {}",
                limits.text_characters,
                limits.text_bytes,
                trimmed.len()
            ),
        });
    }
    Ok(trimmed)
}

fn language(field: &'static str, tag: &str) -> Result<String> {
    let tag = tag.trim();
    if capability::is_language(tag) {
        return Ok(tag.to_owned());
    }
    let shown: String = tag.chars().take(20).collect();
    Err(Error::invalid(
        field,
        format!("must be a language tag such as en or pt-BR, not {shown:?}"),
    ))
}

fn priority(name: Option<&str>) -> Result<Priority> {
    name.map_or(Ok(Priority::default()), |name| {
        name.parse()
            .map_err(|()| Error::invalid("priority", "must be low, normal, high or urgent"))
    })
}

fn miners(count: Option<u8>) -> Result<u8> {
    let count = count.unwrap_or(DEFAULT_MINERS);
    if (1..=MOST_MINERS).contains(&count) {
        return Ok(count);
    }
    Err(Error::invalid(
        "required_miner_count",
        format!("must be 1 to {MOST_MINERS}, not {count}"),
    ))
}

fn model(app: &App, task_type: TaskType, model: Option<&str>, required: bool) -> Result<Option<String>> {
    let Some(model) = model.map(str::trim).filter(|model| !model.is_empty()) else {
        return if required {
            Err(Error::invalid("model_id", "must be given with require_model"))
        } else {
            Ok(None)
        };
    };
    let served = roster::models(app, task_type);
    let known = model.len() <= LONGEST_MODEL
        && (capability::known_models(task_type).contains(&model)
            || served.iter().any(|other| other == model));
    if !known {
        return Err(Error::invalid(
            "model_id",
            format!(
                "is in no catalogue; known are {}, served are {}",
                capability::known_models(task_type).join(", "),
                listed(&served)
            ),
        ));
    }
    Ok(Some(model.to_owned()))
}

fn require_served(app: &App, wanted: &capability::Capability) -> Result<()> {
    if roster::is_served(app, wanted) {
        return Ok(());
    }
    let what = match (&wanted.model, &wanted.target_language) {
        (Some(model), _) => format!(
            "model_id: nobody serves {model} for these languages; served models are {}",
            listed(&roster::models(app, wanted.task_type))
        ),
        (None, Some(target)) => format!(
            "nobody serves {} from {} to {target}; served are {}",
            wanted.task_type.name(),
            wanted.source_language,
            listed(&roster::served(app, wanted.task_type))
        ),
        (None, None) => format!(
            "nobody serves {} in {}; served are {}",
            wanted.task_type.name(),
            wanted.source_language,
            listed(&roster::served(app, wanted.task_type))
        ),
    };
    Err(Error::NoEngine(what))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// The key or nonce of the client: 1 to 255 printable ASCII characters; the key wins.
fn entropy(key: Option<&str>, nonce: Option<&str>) -> Result<String> {
    let (field, value) = match (key, nonce) {
        (Some(key), _) => ("Idempotency-Key", key),
        (None, Some(nonce)) => ("Violet-Nonce", nonce),
        (None, None) => return Ok(String::new()),
    };
    if (1..=LONGEST_ENTROPY).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(value.to_owned());
    }
    Err(Error::invalid(
        field,
        format!("must be 1 to {LONGEST_ENTROPY} printable ASCII characters without spaces"),
    ))
}

/// Forgets idempotency keys whose time is over.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_keys(app: &App) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a setting")]
    let life = app.config.tasks.idempotency_seconds as f64;
    crate::store::submissions::delete_old_keys(&app.db, life).await?;
    Ok(())
}
