//! Submitting tasks: what is taken, what is refused and why.
use std::sync::Arc;

use codec::Encode;

use crate::{
    app::App,
    domain::{
        FileId, OrganizationId, Priority, TaskId, TaskType, UserId, blake2b_256,
        capability::{self, Capability, LONGEST_MODEL},
        catalogue, routing,
        task::{DEFAULT_MINERS, MOST_MINERS},
    },
    error::{Error, Result},
    services::{
        accepting::{self, Accepted, Submission},
        drawing,
        files::{self, Hold, Received},
        quotas, roster, voices,
    },
    store::{
        self,
        files::Input,
        submissions::{InputFile, NewKey, NewTask},
    },
};

const LONGEST_ENTROPY: usize = 255;

/// What a user asks for, as it came.
#[derive(Debug)]
pub struct Asked {
    /// The type of the task.
    pub task_type: TaskType,
    /// What is to be worked on.
    pub content: Content,
    /// Its language; English unless it says so, but for translations.
    pub source_language: Option<String>,
    /// The language wanted, for translations.
    pub target_language: Option<String>,
    /// The voice wanted, for speech.
    pub voice_name: Option<String>,
    /// Everything that all types have.
    pub options: Options,
}

/// What is to be worked on.
#[derive(Debug)]
pub enum Content {
    /// A text.
    Text(String),
    /// A file that was received.
    File(Received),
}

/// What every task may be submitted with.
#[derive(Debug, Default)]
pub struct Options {
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
    /// The language of the input.
    pub source_language: String,
    /// The language wanted.
    pub target_language: Option<String>,
    /// The model asked for, or what is asked for without one.
    pub model_id: Option<String>,
    /// The file of the task; another one than was sent when the request is a repeated one.
    pub file: Option<FileId>,
    /// Characters of the text as it came.
    pub text_length: usize,
    /// Words, parted by white space.
    pub word_count: usize,
}

/// Accepts a task: checked, drawn for and durable.
///
/// # Errors
/// 422 for a field that is off, 413 for a text over the limit, 422 when nobody serves the language or the model. A file
/// of a refused task does not stay.
pub async fn submit(app: &App, owner: Owner, asked: Asked) -> Result<Taken> {
    let file = match &asked.content {
        Content::File(file) => Some(file.id),
        Content::Text(_) => None,
    };
    let done = checked(app, owner, asked).await;
    // A repeated request has its file already. After any other error the hold decides: what may be stored stays.
    let unused = match &done {
        Ok((_, is_new)) => !is_new,
        Err(error) => matches!(error, Error::KeyReused | Error::QuotaExceeded { .. }),
    };
    if let Some(file) = file.filter(|_| unused) {
        files::discard(app, file).await;
    }
    done.map(|(taken, _)| taken)
}

async fn checked(app: &App, owner: Owner, asked: Asked) -> Result<(Taken, bool)> {
    let Asked {
        task_type,
        content,
        source_language,
        target_language,
        voice_name,
        options,
    } = asked;
    let (source, target) = languages(task_type, source_language.as_deref(), target_language.as_deref())?;
    let (voice_name, voice_file) = voice(app, owner, voice_name).await?;
    let (raw_length, text, file) = match content {
        Content::Text(text) => (
            text.chars().count(),
            Some(checked_text(app, &text)?.to_owned()),
            None,
        ),
        Content::File(file) => (0, None, Some(file)),
    };
    let word_count = text.as_deref().map_or(0, |text| text.split_whitespace().count());
    let priority = priority(options.priority.as_deref())?;
    let required = miners(options.required_miner_count)?;
    let model = model(options.model_id.as_deref(), options.require_model)?;
    let entropy = entropy(options.idempotency_key.as_deref(), options.nonce.as_deref())?;
    let content = text
        .as_deref()
        .map(str::as_bytes)
        .or(file.as_ref().map(|file| &file.sha256[..]));
    let input_digest = input_digest(
        task_type,
        &source,
        target.as_ref(),
        voice_name.as_ref(),
        content.unwrap_or_default(),
    );
    let netuid = app.config.netuid;
    let request_digest = routing::request_digest(
        netuid,
        owner.organization.bytes(),
        entropy.as_bytes(),
        input_digest,
    );
    let file_id = file.as_ref().map(|file| file.id);
    let hold = file.as_ref().map(|file| Arc::clone(&file.hold));
    let audio_millis = file.as_ref().map_or(0, |file| file.audio_millis);
    let input_size = match (&text, &file) {
        (Some(text), _) => text.chars().count() as u64,
        (None, Some(file)) => file.size,
        (None, None) => 0,
    };
    let mut task = NewTask {
        task_id: TaskId::new(),
        netuid,
        organization_id: owner.organization,
        user_id: owner.user,
        task_type,
        priority,
        source_language: source.clone(),
        target_language: target.clone(),
        requested_model: model,
        require_model: options.require_model,
        required_miner_count: required,
        input_size,
        audio_millis,
        input_digest,
        request_digest,
        client_entropy: entropy.into_bytes(),
        voice_name,
        voice_file,
        text,
        file: file.map(InputFile::from),
    };
    let key = options.idempotency_key.map(|key| NewKey {
        organization_id: owner.organization,
        fingerprint: fingerprint(&task),
        key,
        task_id: task.task_id,
    });
    // After the fingerprint, which is of what was sent.
    let model = task
        .requested_model
        .take()
        .or_else(|| catalogue::default_for(task_type).map(|model| model.id.to_owned()));
    task.requested_model.clone_from(&model);
    let accepted = accept(app, task, key, hold).await?;
    let (assigned, file) = match accepted.assigned {
        Some(assigned) => (assigned, file_id),
        None => stored_before(app, accepted.task).await?,
    };
    let taken = Taken {
        task: accepted.task,
        assigned,
        file,
        source_language: source,
        target_language: target,
        model_id: model,
        text_length: raw_length,
        word_count,
    };
    Ok((taken, accepted.assigned.is_some()))
}

/// Refuses an organisation that has nothing left, before it sends a file. A request that is repeated under its key takes
/// nothing more.
///
/// # Errors
/// 429 with the quota.
pub async fn check_quota(
    app: &App,
    organization: OrganizationId,
    task_type: TaskType,
    key: Option<&str>,
) -> Result<()> {
    if let Some(key) = key
        && store::submissions::find_key(&app.db, organization, key)
            .await?
            .is_some()
    {
        return Ok(());
    }
    quotas::check(app, organization, task_type.input()).await
}

/// How many miners a task that was there before has, and its file.
async fn stored_before(app: &App, task: TaskId) -> Result<(usize, Option<FileId>)> {
    let file = match store::files::input(&app.db, task).await? {
        Some(Input::File(file)) => Some(file.file_id),
        Some(Input::Text(_)) | None => None,
    };
    Ok((store::tasks::drawn(&app.db, task).await?.len(), file))
}

async fn accept(app: &App, task: NewTask, key: Option<NewKey>, hold: Option<Arc<Hold>>) -> Result<Accepted> {
    if let Some(key) = &key {
        // A repeated request finds its task whoever is there now; a race is settled by the commit.
        if store::submissions::find_key(&app.db, key.organization_id, &key.key)
            .await?
            .is_some()
        {
            return accepting::repeated(app, key).await;
        }
    }
    let capability = task.capability();
    quotas::check_remembered(app, task.organization_id).await?;
    require_offer(app, &task, &capability)?;
    // Before anything is taken that would have to be given back.
    let place = app.accepting.place()?;
    let request = drawing::Request {
        task: task.task_id,
        digest: task.request_digest,
        client_entropy: !task.client_entropy.is_empty(),
        capability,
        input_size: task.input_size,
        input_bytes: task.input_bytes(),
        draw: 0,
        slots: (0..task.required_miner_count).map(|slot| (slot, 1)).collect(),
        earlier: drawing::Earlier::default(),
    };
    // Who comes later does not overtake those that wait for the same.
    let drawn = if app.roster.is_waiting(&request.capability) {
        None
    } else {
        drawing::draw(app, &request).await?
    };
    // From here on the task may be stored even if nobody waits for the answer any more.
    if let Some(hold) = hold {
        hold.keep();
    }
    place.submit(Submission { task, key, drawn }).await
}

/// BLAKE2b-256 of SCALE("violet/input/1", type, source language, target language, voice, content): what the draw is
/// tied to. The content is the text in UTF-8, or the SHA-256 of the file.
fn input_digest(
    task_type: TaskType,
    source: &str,
    target: Option<&String>,
    voice: Option<&String>,
    content: &[u8],
) -> [u8; 32] {
    blake2b_256(&[&("violet/input/1", task_type, source, target, voice, content).encode()])
}

/// What must be the same when a key is used again.
fn fingerprint(task: &NewTask) -> [u8; 32] {
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

/// The languages of a task of this type.
fn languages(
    task_type: TaskType,
    source: Option<&str>,
    target: Option<&str>,
) -> Result<(String, Option<String>)> {
    if !task_type.is_translation() {
        return Ok((language("source_language", source.unwrap_or("en"))?, None));
    }
    let given = |field, tag: Option<&str>| match tag {
        Some(tag) => language(field, tag),
        None => Err(Error::invalid(field, "is required")),
    };
    let source = given("source_language", source)?;
    let target = given("target_language", target)?;
    if source == target {
        return Err(Error::invalid(
            "target_language",
            "must differ from source_language",
        ));
    }
    Ok((source, Some(target)))
}

/// The voice that is asked for, and its sample.
async fn voice(app: &App, owner: Owner, name: Option<String>) -> Result<(Option<String>, Option<FileId>)> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => {
            let voice = voices::wanted(app, owner.organization, &name).await?;
            Ok((Some(name), voice.file_id))
        }
        None => Ok((None, None)),
    }
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
            match limits.text_shortest {
                1 => "must not be empty".into(),
                shortest => format!("must have at least {shortest} characters, has {length}"),
            },
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

fn model(model: Option<&str>, required: bool) -> Result<Option<String>> {
    match model.map(str::trim).filter(|model| !model.is_empty()) {
        None if required => Err(Error::invalid("model_id", "must be given with require_model")),
        model => Ok(model.map(ToOwned::to_owned)),
    }
}

/// Refuses what nobody could do, with what is served.
fn require_offer(app: &App, task: &NewTask, capability: &Capability) -> Result<()> {
    if let Some(model) = &task.requested_model {
        let known: Vec<&str> = catalogue::known(task.task_type).map(|model| model.id).collect();
        let served = roster::models(app, task.task_type);
        let is_known = known.contains(&model.as_str()) || served.contains(model);
        if model.len() > LONGEST_MODEL || !is_known {
            return Err(Error::invalid(
                "model_id",
                format!(
                    "is in no catalogue; known are {}, served are {}",
                    known.join(", "),
                    roster::listed(&served)
                ),
            ));
        }
    }
    roster::require_served(app, capability)?;
    let field = files::rules(app, task.task_type.input()).field;
    roster::require_room(app, capability, field, task.input_bytes())
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
    store::submissions::delete_old_keys(&app.db, life).await?;
    Ok(())
}
