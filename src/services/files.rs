//! Files: received as streams while they are hashed, counted and looked at. [`super::downloads`] hands them out.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest, Sha256};
use violet_chain::Hotkey;

use crate::{
    app::App,
    blobs::{BlobError, Blobs, Writer},
    domain::{
        FileId, TaskId,
        media::{self, FileKind, HEAD, WholeText, WholeWav},
        task::InputKind,
    },
    error::{Causes, Error, Result},
    store::{self, files::NewFile, storage::Use, submissions::InputFile},
};

const LONGEST_NAME: usize = 500;
/// When to try again while object storage does not answer.
const SOON: Duration = Duration::from_secs(5);

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Store(object_store::Error::NotFound { .. }) => Self::internal(error),
            BlobError::Store(_) => {
                tracing::error!(error = %Causes(&error), "object storage failed");
                Self::Unavailable {
                    reason: "object storage does not answer",
                    after: SOON,
                }
            }
            _ => Self::internal(error),
        }
    }
}

/// A file that was received and synced; no row names it yet.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its id, and the key of its object.
    pub id: FileId,
    /// As its owner named it; for display only.
    pub name: String,
    /// What its content is.
    pub media_type: &'static str,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// How long its sound is, as far as its beginning tells; otherwise an estimate by size.
    pub audio_millis: u64,
    /// Removes it when the request is given up before a row names it.
    pub hold: Arc<Hold>,
}

/// Removes a file when it is dropped, unless the file was kept: a request that is given up (its sender went away or
/// took too long) runs no code that could.
#[derive(Debug)]
pub struct Hold {
    blobs: Blobs,
    id: FileId,
    kept: AtomicBool,
}

impl Hold {
    /// From now on somebody else answers for the file.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if *self.kept.get_mut() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (blobs, id) = (self.blobs.clone(), self.id);
            runtime.spawn(async move { remove(&blobs, id).await });
        }
    }
}

impl Received {
    /// Where its bytes are.
    pub fn object_key(&self) -> String {
        object_key(self.id)
    }

    /// Its size as the database has it.
    pub(crate) fn bytes(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX)
    }

    /// Its row.
    pub(crate) fn to_store<'a>(&'a self, object_key: &'a str) -> NewFile<'a> {
        NewFile {
            file_id: self.id,
            file_name: &self.name,
            media_type: self.media_type,
            size: self.size,
            sha256: self.sha256,
            object_key,
        }
    }
}

impl From<Received> for InputFile {
    fn from(file: Received) -> Self {
        Self {
            file_id: file.id,
            object_key: file.object_key(),
            file_name: file.name,
            media_type: file.media_type.to_owned(),
            size: file.size,
            sha256: file.sha256,
        }
    }
}

/// Where objects are, under their ids.
pub(crate) const FOLDER: &str = "files";

pub(crate) fn object_key(id: FileId) -> String {
    format!("{FOLDER}/{id}")
}

/// What is taken, under which name it was sent, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What it must be.
    pub kind: InputKind,
    /// The name of the field.
    pub field: &'static str,
    /// The most bytes.
    pub limit: u64,
}

/// The rules for inputs of this kind.
pub fn rules(app: &App, kind: InputKind) -> Rules {
    let limits = &app.config.tasks;
    match kind {
        InputKind::Audio => Rules {
            kind,
            field: "audio_file",
            limit: limits.audio_bytes,
        },
        InputKind::Video => Rules {
            kind,
            field: "video_file",
            limit: limits.video_bytes,
        },
        InputKind::Document => Rules {
            kind,
            field: "document_file",
            limit: limits.document_bytes,
        },
        InputKind::Text => Rules {
            kind,
            field: "text",
            limit: 0,
        },
    }
}

/// Receives a file. What is refused leaves nothing behind.
///
/// # Errors
/// 413 over the limit, 415 for another kind of content, 422 for an empty or truncated file, 400 when the sender stops.
pub async fn receive<E: std::fmt::Display>(
    app: &App,
    rules: Rules,
    name: &str,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Received> {
    let id = FileId::new();
    let mut writer = app.blobs.write(&object_key(id)).await?;
    match take(&mut writer, rules, body).await {
        Ok(Taken {
            media_type,
            size,
            sha256,
            audio_millis,
        }) => {
            let hold = finish(app, id, writer).await?;
            let name: String = name
                .chars()
                .filter(|c| !c.is_control())
                .take(LONGEST_NAME)
                .collect();
            Ok(Received {
                id,
                name,
                media_type,
                size,
                sha256,
                audio_millis,
                hold: Arc::new(hold),
            })
        }
        Err(error) => {
            // The refusal is what the sender must hear; an unfinished object is not visible anyway.
            if let Err(failure) = writer.abort().await {
                tracing::warn!(error = %Causes(&failure), "an unfinished upload was not removed");
            }
            Err(error)
        }
    }
}

/// Makes a file visible. On a task of its own: a request that is given up meanwhile would leave a file without a hold.
async fn finish(app: &App, id: FileId, writer: Writer) -> Result<Hold> {
    let hold = Hold {
        blobs: app.blobs.clone(),
        id,
        kept: AtomicBool::new(false),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the request waits for it; one that was given up has promised nothing"
    )]
    let finished = tokio::spawn(async move { writer.finish().await.map(|()| hold) });
    Ok(finished.await.map_err(Error::internal)??)
}

struct Taken {
    media_type: &'static str,
    size: u64,
    sha256: [u8; 32],
    audio_millis: u64,
}

async fn take<E: std::fmt::Display>(
    writer: &mut Writer,
    rules: Rules,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Taken> {
    let Rules { kind, field, limit } = rules;
    let mut body = std::pin::pin!(body);
    let mut head: Vec<u8> = Vec::with_capacity(HEAD);
    let mut hasher = Sha256::new();
    let mut size = 0u64;
    let mut media_type = None;
    let mut text = (kind == InputKind::Document).then(WholeText::default);
    let mut sound = (kind == InputKind::Audio).then(WholeWav::default);
    while let Some(chunk) = body.next().await {
        let chunk =
            chunk.map_err(|error| Error::Malformed(format!("{field}: did not arrive whole: {error}")))?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(Error::TooLarge {
                field,
                detail: format!("must have at most {limit} bytes"),
            });
        }
        hasher.update(&chunk);
        head.extend(chunk.iter().take(HEAD - head.len().min(HEAD)));
        if media_type.is_none() && head.len() >= HEAD {
            media_type = Some(recognised(kind, field, &head)?);
        }
        if let Some(text) = &mut text {
            text.add(&chunk);
        }
        if let Some(sound) = &mut sound {
            sound.add(&chunk);
        }
        writer.add(&chunk).await?;
    }
    if size == 0 {
        return Err(Error::invalid(field, "is empty"));
    }
    let media_type = match media_type {
        Some(media_type) => media_type,
        None => recognised(kind, field, &head)?,
    };
    if media_type == media::TEXT && !text.is_some_and(|text| text.holds()) {
        return Err(unsupported(kind, field, "is not UTF-8 to its end"));
    }
    if media_type == media::WAV && !sound.is_some_and(|sound| sound.holds()) {
        return Err(Error::invalid(
            field,
            "is truncated: it has less sound than it promises, or none",
        ));
    }
    Ok(Taken {
        media_type,
        size,
        audio_millis: media::millis(kind, media_type, &head, size),
        sha256: hasher.finalize().into(),
    })
}

fn recognised(kind: InputKind, field: &'static str, head: &[u8]) -> Result<&'static str> {
    media::recognise(kind, head).map_err(|what| unsupported(kind, field, &what))
}

fn unsupported(kind: InputKind, field: &'static str, what: &str) -> Error {
    Error::UnsupportedMedia {
        field,
        detail: format!("must be {}; this one {what}", media::accepted(kind)),
    }
}

/// Removes a file that came to nothing.
pub async fn discard(app: &App, id: FileId) {
    remove(&app.blobs, id).await;
}

async fn remove(blobs: &Blobs, id: FileId) {
    if let Err(error) = blobs.remove(&object_key(id)).await {
        tracing::warn!(file = %id, error = %Causes(&error), "a refused file was not removed");
    }
}

/// Receives a file of a miner's answer, whose digest the miner signed.
///
/// # Errors
/// 403 without an open assignment, 409 when that has all files that it may have, 422 when it is not what was signed,
/// and what [`receive`] refuses.
pub async fn receive_answer<E: std::fmt::Display>(
    app: &App,
    miner: Hotkey,
    task: TaskId,
    signed: [u8; 32],
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Received> {
    let not_open = || Error::Forbidden("this task is not open for you".into());
    let most = app.config.tasks.answer_files;
    let enough = || {
        Error::Conflict(format!(
            "this assignment has {most} files, and may have no more; answer with one of them"
        ))
    };
    let standing = store::answers::standing(&app.db, task, miner).await?;
    if !standing.is_some_and(|standing| standing.assigned) {
        return Err(not_open());
    }
    if store::files::count_of_answer(&app.db, task, miner).await? >= i64::from(most) {
        return Err(enough());
    }
    let rules = Rules {
        kind: InputKind::Audio,
        field: "body",
        limit: app.config.tasks.answer_file_bytes,
    };
    let received = receive(app, rules, "answer.wav", body).await?;
    if received.sha256 != signed {
        discard(app, received.id).await;
        return Err(Error::invalid("Content-Digest", "does not fit the body"));
    }
    if received.media_type != media::WAV {
        discard(app, received.id).await;
        return Err(Error::UnsupportedMedia {
            field: "body",
            detail: format!("must be WAV; this one is {}", received.media_type),
        });
    }
    let key = received.object_key();
    let new = received.to_store(&key);
    let mut transaction = app.db.begin().await?;
    // Again, and for good: the assignment may have ended, and other uploads may have been faster.
    if !store::files::lock_assignment(&mut *transaction, task, miner).await? {
        return Err(not_open());
    }
    if store::files::count_of_answer(&mut *transaction, task, miner).await? >= i64::from(most) {
        return Err(enough());
    }
    let organization = store::files::insert_answer(&mut *transaction, task, miner, &new).await?;
    if let Some(organization) = organization {
        // Whose task it is did not send it, so it is counted and never refused.
        let added = Use {
            organization: organization.into(),
            kind: FileKind::Tts,
            files: 1,
            bytes: received.bytes(),
        };
        store::storage::add(&mut *transaction, &[added], None).await?;
    }
    // From here on the row may be there even if nobody waits for it any more.
    received.hold.keep();
    transaction.commit().await?;
    Ok(received)
}
