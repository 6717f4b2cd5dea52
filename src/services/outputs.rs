//! What an answer must look like, for each type of task. An answer that does not is refused before it is stored.
use serde::Deserialize;
use serde_json::Value;
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::{FileId, TaskId, TaskType},
    error::{Error, Result},
    store,
};

/// The largest text that an answer may have, for each byte of the limit of a text.
const GROWTH: usize = 48;
/// The most words that a transcript may be given with.
const MOST_WORDS: usize = 200_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transcript {
    transcript: String,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    confidence: Option<f64>,
    #[serde(default)]
    words: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    word: String,
    start: f64,
    end: f64,
    #[serde(default)]
    confidence: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    summary: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Translation {
    translated_text: String,
}

/// Speech that a miner uploaded before it answered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speech {
    /// Its file.
    pub file_id: FileId,
    #[serde(with = "hex::serde")]
    sha256: [u8; 32],
    media_type: String,
}

/// Checks the output of an answer.
///
/// # Errors
/// 422 with what it must be.
pub async fn check(
    app: &App,
    task_type: TaskType,
    task: TaskId,
    miner: Hotkey,
    output: &Value,
) -> Result<()> {
    match task_type {
        TaskType::Transcription | TaskType::VideoTranscription => {
            let words = output.get("words").and_then(Value::as_array);
            for word in words.into_iter().flatten() {
                named("each word", word)?;
            }
            transcript(app, &read(output)?)
        }
        TaskType::Summarization => {
            let Summary { summary } = read(output)?;
            text(app, "summary", &summary)
        }
        TaskType::TextTranslation | TaskType::DocumentTranslation => {
            let Translation { translated_text } = read(output)?;
            text(app, "translated_text", &translated_text)
        }
        TaskType::Tts => speech(app, task, miner, &read(output)?).await,
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::invalid("output", detail)
}

/// Refuses a list, which would be taken for the members in their order.
fn named(what: &str, value: &Value) -> Result<()> {
    if value.is_object() {
        return Ok(());
    }
    Err(invalid(format!("{what} must be an object")))
}

fn read<T: for<'de> Deserialize<'de>>(output: &Value) -> Result<T> {
    named("it", output)?;
    T::deserialize(output).map_err(|error| invalid(format!("is not one of this type of task: {error}")))
}

fn bounded(app: &App, name: &str, text: &str) -> Result<()> {
    let most = GROWTH * app.config.tasks.text_bytes;
    if text.contains('\0') || text.len() > most {
        return Err(invalid(format!(
            "{name} must have at most {most} bytes and no NUL character"
        )));
    }
    Ok(())
}

fn text(app: &App, name: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(invalid(format!("{name} must not be empty")));
    }
    bounded(app, name, text)
}

fn transcript(app: &App, answer: &Transcript) -> Result<()> {
    let Transcript {
        transcript,
        language,
        confidence,
        words,
    } = answer;
    // Nothing is what a recording of silence says.
    bounded(app, "transcript", transcript)?;
    bounded(app, "language", language.as_deref().unwrap_or_default())?;
    let part = |value: &Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
    if !part(confidence) || !words.iter().all(|word| part(&word.confidence)) {
        return Err(invalid("confidence must be 0 to 1"));
    }
    let ordered = |word: &Word| word.start.is_finite() && word.end.is_finite() && word.start <= word.end;
    if words.len() > MOST_WORDS || !words.iter().all(ordered) {
        return Err(invalid(format!(
            "words must be at most {MOST_WORDS}, each with start and end in seconds"
        )));
    }
    words.iter().try_for_each(|word| bounded(app, "word", &word.word))
}

async fn speech(app: &App, task: TaskId, miner: Hotkey, answer: &Speech) -> Result<()> {
    let file = store::files::find(&app.db, answer.file_id).await?;
    let fits = file.is_some_and(|file| {
        file.task_id == Some(task) && file.hotkey == Some(miner) && file.sha256 == answer.sha256
    });
    if !fits {
        return Err(invalid(
            "file_id must be a file that you uploaded for this task, with its sha256",
        ));
    }
    if answer.media_type != "audio/wav" {
        return Err(invalid("media_type must be audio/wav"));
    }
    Ok(())
}

/// The file of an answer, if its type has one.
pub fn file(task_type: TaskType, output: &Value) -> Option<FileId> {
    match task_type {
        TaskType::Tts => Speech::deserialize(output).ok().map(|speech| speech.file_id),
        TaskType::Transcription
        | TaskType::Summarization
        | TaskType::TextTranslation
        | TaskType::DocumentTranslation
        | TaskType::VideoTranscription => None,
    }
}
