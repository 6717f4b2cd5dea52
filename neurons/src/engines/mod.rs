//! Engines turn a typed input into a typed output, and say who they are and what they serve.
//! What is not installed is not offered; an engine never claims a model other than its own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub mod command;

mod apertium;
mod audio;
mod catalogue;
mod document;
mod espeak;
mod flite;
mod pocketsphinx;
mod textrank;
mod wav;

pub use self::audio::Speech;
pub use self::catalogue::{Catalogue, Wanted};
pub use self::pocketsphinx::{Transcript, Word};

pub(crate) use self::wav::{Sound, measure};

use self::apertium::Apertium;
use self::catalogue::{best_offer, pair_fit};
use self::command::CommandError;
use self::document::DocumentReader;
use self::espeak::Espeak;
use self::flite::Flite;
use self::pocketsphinx::Pocketsphinx;
use self::textrank::TextRank;

/// What is asked for; the names are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    Transcription,
    Tts,
    Summarization,
    TextTranslation,
    DocumentTranslation,
    VideoTranscription,
}

impl TaskType {
    /// All of them, in the order of the API description.
    pub const ALL: [Self; 6] = [
        Self::Transcription,
        Self::Tts,
        Self::Summarization,
        Self::TextTranslation,
        Self::DocumentTranslation,
        Self::VideoTranscription,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transcription => "transcription",
            Self::Tts => "tts",
            Self::Summarization => "summarization",
            Self::TextTranslation => "text_translation",
            Self::DocumentTranslation => "document_translation",
            Self::VideoTranscription => "video_transcription",
        }
    }
}

impl std::fmt::Display for TaskType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an engine comes to its output, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityTier {
    Neural,
    Statistical,
    Rule,
    Heuristic,
}

/// Who an engine is and what it serves. Languages are BCP 47 tags (`en`, `en-US`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The program or algorithm, e.g. `apertium`.
    pub engine: String,
    /// What is reported with every output, e.g. `apertium/eng-spa`.
    pub model_id: String,
    pub task_type: TaskType,
    /// The languages served; empty for translation.
    pub languages: Vec<String>,
    /// Source and target; empty for everything but translation.
    pub pairs: Vec<(String, String)>,
    /// The largest input taken, in bytes.
    pub max_input_bytes: u64,
    pub quality_tier: QualityTier,
}

/// What an engine works on: a text, or a file that stays where it is while the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Text from one language into another.
    Translation {
        text: String,
        source_language: String,
        target_language: String,
    },
    /// The text of a document (plain, DOCX, PDF) from one language into another.
    Document {
        document: PathBuf,
        source_language: String,
        target_language: String,
    },
    /// Text to be spoken.
    Speech { text: String, language: String },
    /// Speech to be written down.
    Transcription { audio: PathBuf, language: String },
    /// Speech in a video to be written down.
    Video { video: PathBuf, language: String },
    /// Text to be shortened.
    Summary {
        text: String,
        language: String,
        /// `None`: as many as suit the text.
        max_sentences: Option<usize>,
    },
}

impl Input {
    /// The task type that this input belongs to.
    pub fn task_type(&self) -> TaskType {
        match self {
            Self::Translation { .. } => TaskType::TextTranslation,
            Self::Document { .. } => TaskType::DocumentTranslation,
            Self::Speech { .. } => TaskType::Tts,
            Self::Transcription { .. } => TaskType::Transcription,
            Self::Video { .. } => TaskType::VideoTranscription,
            Self::Summary { .. } => TaskType::Summarization,
        }
    }
}

/// What an engine made.
#[derive(Debug)]
pub enum Output {
    /// Of [`Input::Translation`] and [`Input::Document`].
    Translation { translated_text: String },
    /// Of [`Input::Speech`].
    Speech(Speech),
    /// Of [`Input::Transcription`] and [`Input::Video`].
    Transcript(Transcript),
    /// Of [`Input::Summary`].
    Summary { summary: String },
}

/// Why an engine made nothing.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine does not serve this task type, language or pair.
    #[error("{model_id} does not serve this input")]
    NotServed { model_id: String },
    /// More than [`Profile::max_input_bytes`].
    #[error("the input has {bytes} bytes, more than {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    /// Of a kind that the engine cannot work on.
    #[error("the input is unfit: {0}")]
    Unfit(&'static str),
    /// Broken, or not what it says it is.
    #[error("the input cannot be read as {kind}")]
    Unreadable {
        kind: &'static str,
        #[source]
        source: CommandError,
    },
    /// Nothing to work on.
    #[error("the input is empty")]
    Empty,
    /// The program behind the engine failed.
    #[error("the engine's program failed")]
    Command(#[from] CommandError),
    /// The program answered something that is no output.
    #[error("the engine's output is unusable: {0}")]
    Output(&'static str),
    /// A file or working folder could not be made or read.
    #[error("a file cannot be read or written")]
    Folder(#[source] std::io::Error),
}

impl EngineError {
    /// Whether it is the input's fault, which another run or another machine with the same engine would find too.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::NotServed { .. }
            | Self::TooLarge { .. }
            | Self::Unfit(_)
            | Self::Unreadable { .. }
            | Self::Empty => true,
            Self::Command(_) | Self::Output(_) | Self::Folder(_) => false,
        }
    }

    /// [`Self::Unreadable`] when a program ended with an error over its input.
    fn reading(kind: &'static str, error: CommandError) -> Self {
        match error {
            source @ CommandError::Failed { .. } => Self::Unreadable { kind, source },
            error => Self::Command(error),
        }
    }
}

#[derive(Debug)]
enum Kind {
    Translator(Apertium),
    DocumentTranslator(Apertium, DocumentReader),
    Flite(Flite),
    Espeak(Espeak),
    Pocketsphinx(Pocketsphinx),
    TextRank(TextRank),
}

/// One model of one installed engine.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    kind: Kind,
}

impl Engine {
    /// Who it is and what it serves.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Works on `input`. Dropping the future ends the work and everything it started.
    pub async fn run(&self, input: &Input) -> Result<Output, EngineError> {
        self.check(input)?;
        match (&self.kind, input) {
            (Kind::Translator(apertium), Input::Translation { text, .. }) => {
                let translated_text = apertium.translate(text).await?;
                Ok(Output::Translation { translated_text })
            }
            (Kind::DocumentTranslator(apertium, reader), Input::Document { document, .. }) => {
                let translated_text = apertium.translate_long(&reader.text(document).await?).await?;
                Ok(Output::Translation { translated_text })
            }
            (Kind::Flite(flite), Input::Speech { text, .. }) => flite.speak(text).await.map(Output::Speech),
            (Kind::Espeak(espeak), Input::Speech { text, language }) => {
                espeak.speak(text, language).await.map(Output::Speech)
            }
            (
                Kind::Pocketsphinx(pocketsphinx),
                Input::Transcription { audio: file, .. } | Input::Video { video: file, .. },
            ) => pocketsphinx.transcribe(file).await.map(Output::Transcript),
            (
                Kind::TextRank(textrank),
                Input::Summary {
                    text, max_sentences, ..
                },
            ) => {
                let summary = textrank.summarize(text, *max_sentences).await?;
                Ok(Output::Summary { summary })
            }
            _ => Err(self.not_served()),
        }
    }

    /// The sentences of `text`, the most central first, when this engine works by ranking sentences.
    pub(crate) async fn rank(&self, text: &str) -> Result<Vec<String>, EngineError> {
        self.check_text(text)?;
        match &self.kind {
            Kind::TextRank(textrank) => textrank.rank(text).await,
            _ => Err(self.not_served()),
        }
    }

    /// Task type, languages, and size.
    fn check(&self, input: &Input) -> Result<(), EngineError> {
        let Profile {
            task_type,
            languages,
            pairs,
            ..
        } = &self.profile;
        let served = match input {
            Input::Translation {
                source_language,
                target_language,
                ..
            }
            | Input::Document {
                source_language,
                target_language,
                ..
            } => pair_fit(pairs, source_language, target_language).is_some(),
            Input::Speech { language, .. }
            | Input::Transcription { language, .. }
            | Input::Video { language, .. }
            | Input::Summary { language, .. } => best_offer(languages, language).is_some(),
        };
        if input.task_type() != *task_type || !served {
            return Err(self.not_served());
        }
        match input {
            Input::Translation { text, .. } | Input::Speech { text, .. } | Input::Summary { text, .. } => {
                self.check_text(text)
            }
            Input::Document { document: file, .. }
            | Input::Transcription { audio: file, .. }
            | Input::Video { video: file, .. } => self.check_file(file),
        }
    }

    fn check_file(&self, file: &Path) -> Result<(), EngineError> {
        let bytes = file.metadata().map_err(EngineError::Folder)?.len();
        let limit = self.profile.max_input_bytes;
        match bytes {
            0 => Err(EngineError::Empty),
            bytes if bytes > limit => Err(EngineError::TooLarge { bytes, limit }),
            _ => Ok(()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), EngineError> {
        let (bytes, limit) = (text.len() as u64, self.profile.max_input_bytes);
        if bytes > limit {
            return Err(EngineError::TooLarge { bytes, limit });
        }
        if text.trim().is_empty() {
            return Err(EngineError::Empty);
        }
        Ok(())
    }

    fn not_served(&self) -> EngineError {
        EngineError::NotServed {
            model_id: self.profile.model_id.clone(),
        }
    }
}

/// A folder of its own for one run, removed with it.
fn working_folder() -> Result<tempfile::TempDir, EngineError> {
    tempfile::Builder::new()
        .prefix("violet-engine-")
        .tempdir()
        .map_err(EngineError::Folder)
}

/// The folder for probes, which write nothing.
fn probe_folder() -> &'static Path {
    Path::new("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_types_have_their_names_on_the_wire() {
        for task_type in TaskType::ALL {
            let json = serde_json::to_value(task_type).unwrap();
            assert_eq!(json, task_type.as_str());
            assert_eq!(serde_json::from_value::<TaskType>(json).unwrap(), task_type);
        }
    }
}
