//! The life of a task: what it may be, what it may become, and how long it may take.
use std::time::Duration;

use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How many miners work on a task unless its owner says otherwise.
pub const DEFAULT_MINERS: u8 = 3;
/// The most miners that one task may ask for.
pub const MOST_MINERS: u8 = 10;
/// Draws per slot: the first miner and two replacements.
pub const DRAWS_PER_SLOT: u8 = 3;
/// A task that nobody could be drawn for fails after this long; a slot that fell vacant waits no longer either.
pub const PENDING_LIMIT: Duration = Duration::from_secs(3600);
/// A vacant slot beside answers waits this long for somebody to be free: the verdict waits for it.
pub const VACANCY_LIMIT: Duration = Duration::from_secs(60);

/// What a task asks for. The wire names are those of the original API.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
    Encode,
    Decode,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "task_type", rename_all = "snake_case")]
pub enum TaskType {
    /// Speech becomes text.
    #[codec(index = 0)]
    Transcription,
    /// Text becomes speech.
    #[codec(index = 1)]
    Tts,
    /// A text becomes a shorter one.
    #[codec(index = 2)]
    Summarization,
    /// A text in one language becomes a text in another.
    #[codec(index = 3)]
    TextTranslation,
    /// A document in one language becomes a text in another.
    #[codec(index = 4)]
    DocumentTranslation,
    /// The speech of a video becomes text.
    #[codec(index = 5)]
    VideoTranscription,
}

impl TaskType {
    /// Every type, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::Transcription,
        Self::Tts,
        Self::Summarization,
        Self::TextTranslation,
        Self::DocumentTranslation,
        Self::VideoTranscription,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcription => "transcription",
            Self::Tts => "tts",
            Self::Summarization => "summarization",
            Self::TextTranslation => "text_translation",
            Self::DocumentTranslation => "document_translation",
            Self::VideoTranscription => "video_transcription",
        }
    }

    /// What its input is.
    pub fn input(self) -> InputKind {
        match self {
            Self::Tts | Self::Summarization | Self::TextTranslation => InputKind::Text,
            Self::Transcription => InputKind::Audio,
            Self::DocumentTranslation => InputKind::Document,
            Self::VideoTranscription => InputKind::Video,
        }
    }

    /// Whether it goes from one language to another.
    pub fn is_translation(self) -> bool {
        matches!(self, Self::TextTranslation | Self::DocumentTranslation)
    }

    /// What is usual for an input of `size`, in milliseconds: half of the speed score is given at it.
    ///
    /// Sizes are characters of text and bytes of files. The constants are what the offline engines of the default set
    /// need on two cores: a cold start of some hundred milliseconds, a millisecond a character of translation, a fifth
    /// of the playing time of 16 kHz audio (32 bytes a millisecond), a fraction of that of video.
    pub fn usual_millis(self, size: u64) -> u64 {
        match self {
            Self::TextTranslation => size.saturating_add(500),
            Self::Summarization => 500 + size / 50,
            Self::Tts => 500 + size / 2,
            Self::Transcription => 1000 + size / 160,
            Self::VideoTranscription => 2000 + size / 20,
            Self::DocumentTranslation => 1500 + size / 10,
        }
    }

    /// How long a miner has from assignment to answer: forty times what is usual, a minute at least, an hour at most.
    pub fn deadline(self, size: u64) -> Duration {
        let patience = Duration::from_millis(self.usual_millis(size).saturating_mul(40));
        patience.clamp(Duration::from_secs(60), Duration::from_secs(3600))
    }
}

/// What a task's input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Text, kept with the task.
    Text,
    /// A file with sound.
    Audio,
    /// A file with moving pictures.
    Video,
    /// A PDF, DOCX or text file.
    Document,
}

/// How urgent its owner says a task is. Ageing lifts old tasks, so nothing starves.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "task_priority", rename_all = "snake_case")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal.
    High,
    /// Before everything.
    Urgent,
}

impl std::str::FromStr for Priority {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "low" => Ok(Self::Low),
            "normal" => Ok(Self::Normal),
            "high" => Ok(Self::High),
            "urgent" => Ok(Self::Urgent),
            _ => Err(()),
        }
    }
}

/// Where a task is, as its owner sees it. Derived from rows, never stored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "task_state", rename_all = "snake_case")]
pub enum TaskState {
    /// Stored; no eligible miner exists right now.
    Pending,
    /// Miners were drawn.
    Assigned,
    /// A miner was seen to have it.
    InProgress,
    /// A first valid answer can be read.
    Completed,
    /// Every assignment is answered, expired or refused.
    Done,
    /// The validators' consensus reached the threshold.
    Approved,
    /// The validators' consensus stayed below the threshold.
    Rejected,
    /// Nobody could do it; the reason says why.
    Failed,
    /// Withdrawn by its owner.
    Cancelled,
}

impl TaskState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Assigned,
        Self::InProgress,
        Self::Completed,
        Self::Done,
        Self::Approved,
        Self::Rejected,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether a task in this state may go to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use TaskState::{
            Approved, Assigned, Cancelled, Completed, Done, Failed, InProgress, Pending, Rejected,
        };
        match self {
            Pending => matches!(next, Assigned | Failed | Cancelled),
            // An answer may be the first sign of life, and the only one that was outstanding.
            Assigned => matches!(next, InProgress | Completed | Done | Failed | Cancelled),
            InProgress => matches!(next, Completed | Done | Failed | Cancelled),
            Completed => matches!(next, Done | Cancelled),
            Done => matches!(next, Approved | Rejected | Cancelled),
            Approved | Rejected | Failed | Cancelled => false,
        }
    }

    /// Whether nothing follows. (`done` also ends when it is settled without a verdict.)
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Approved | Self::Rejected | Self::Failed | Self::Cancelled
        )
    }

    /// The state that a filter names: by its name on the wire, or by what earlier APIs called it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "distributed" => Some(Self::Assigned),
            "processing" => Some(Self::InProgress),
            name => Self::ALL.iter().copied().find(|state| state.name() == name),
        }
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Done => "done",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What the open row of a live task says about it.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Draws made so far.
    pub draws: u32,
    /// Slots whose assignment is neither answered nor given up.
    pub outstanding: u16,
    /// Valid answers stored.
    pub answered: u16,
    /// Whether a miner was seen to have it.
    pub seen: bool,
    /// Whether all assignments ended.
    pub done: bool,
}

impl Progress {
    /// The state of a task that has not ended.
    pub fn state(self) -> TaskState {
        let Self {
            draws,
            outstanding: _,
            answered,
            seen,
            done,
        } = self;
        if done {
            TaskState::Done
        } else if answered > 0 {
            TaskState::Completed
        } else if seen {
            TaskState::InProgress
        } else if draws > 0 {
            TaskState::Assigned
        } else {
            TaskState::Pending
        }
    }
}

/// Why a task ended, or why it has no verdict.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "task_reason", rename_all = "snake_case")]
pub enum Reason {
    /// No miner that can do it appeared in time.
    NoEligibleMiner,
    /// Every miner that was drawn expired or refused.
    NoAnswer,
    /// The owner withdrew it.
    Cancelled,
    /// Validators with more than half of the stake did not judge in time, or too few might judge at all.
    Quorum,
    /// Validators with half of the stake or more had no judge for it.
    Abstained,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_is_decided() {
        use TaskState::{
            Approved, Assigned, Cancelled, Completed, Done, Failed, InProgress, Pending, Rejected,
        };
        let legal = [
            (Pending, vec![Assigned, Failed, Cancelled]),
            (Assigned, vec![InProgress, Completed, Done, Failed, Cancelled]),
            (InProgress, vec![Completed, Done, Failed, Cancelled]),
            (Completed, vec![Done, Cancelled]),
            (Done, vec![Approved, Rejected, Cancelled]),
            (Approved, vec![]),
            (Rejected, vec![]),
            (Failed, vec![]),
            (Cancelled, vec![]),
        ];
        assert_eq!(legal.len(), TaskState::ALL.len());
        for (from, to) in legal {
            for next in TaskState::ALL {
                assert_eq!(from.may_become(*next), to.contains(next), "{from:?} to {next:?}");
            }
            assert_eq!(from.is_terminal(), to.is_empty());
        }
    }

    #[test]
    fn states_are_found_by_name_and_by_older_names() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::named(state.name()), Some(*state));
        }
        assert_eq!(TaskState::named("distributed"), Some(TaskState::Assigned));
        assert_eq!(TaskState::named("processing"), Some(TaskState::InProgress));
        for unknown in ["", "Assigned", "settled", "pending "] {
            assert_eq!(TaskState::named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_assignment_lasts_from_a_minute_to_an_hour() {
        let millis = |task_type: TaskType, size| task_type.deadline(size).as_millis();
        for task_type in TaskType::ALL {
            assert_eq!(millis(*task_type, u64::MAX), 3_600_000, "{task_type:?}");
            assert!(millis(*task_type, 0) >= 60_000, "{task_type:?}");
        }
        // Forty times 1.5 s is a minute, and forty times 90 s an hour.
        let translation = |size| millis(TaskType::TextTranslation, size);
        let short = [0, 999, 1000, 1001].map(translation);
        assert_eq!(short, [60_000, 60_000, 60_000, 60_040]);
        let long = [89_499, 89_500, 89_501].map(translation);
        assert_eq!(long, [3_599_960, 3_600_000, 3_600_000]);
    }

    #[test]
    fn what_is_usual_grows_with_the_input() {
        // Without an input, and by how many units of it a millisecond or more is added.
        for (task_type, none, sizes) in [
            (TaskType::TextTranslation, 500, [(0, 0), (1, 1), (1000, 1000)]),
            (TaskType::Summarization, 500, [(49, 0), (50, 1), (10_000, 200)]),
            (TaskType::Tts, 500, [(1, 0), (2, 1), (1000, 500)]),
            // A second of 16 kHz takes a fifth of it.
            (TaskType::Transcription, 1000, [(159, 0), (160, 1), (32_000, 200)]),
            (
                TaskType::VideoTranscription,
                2000,
                [(19, 0), (20, 1), (1_000_000, 50_000)],
            ),
            (
                TaskType::DocumentTranslation,
                1500,
                [(9, 0), (10, 1), (1000, 100)],
            ),
        ] {
            assert_eq!(task_type.usual_millis(0), none, "{task_type:?}");
            for (size, more) in sizes {
                assert_eq!(
                    task_type.usual_millis(size),
                    none + more,
                    "{task_type:?} of {size}"
                );
            }
        }
    }

    #[test]
    fn the_state_follows_from_the_open_row() {
        let new = Progress {
            draws: 0,
            outstanding: 0,
            answered: 0,
            seen: false,
            done: false,
        };
        assert_eq!(new.state(), TaskState::Pending);
        let drawn = Progress {
            draws: 1,
            outstanding: 3,
            ..new
        };
        assert_eq!(drawn.state(), TaskState::Assigned);
        assert_eq!(Progress { seen: true, ..drawn }.state(), TaskState::InProgress);
        let first = Progress {
            answered: 1,
            outstanding: 2,
            ..drawn
        };
        assert_eq!(first.state(), TaskState::Completed);
        assert_eq!(
            Progress {
                done: true,
                outstanding: 0,
                ..first
            }
            .state(),
            TaskState::Done
        );
    }
}
