//! The models that users of the original API know by name, as seed 000 lists them.
use super::TaskType;

/// A model of the catalogue. That it is here says nothing of whether somebody serves it.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// What `model_id` names it by.
    pub id: &'static str,
    /// The types of task that it is asked for.
    pub task_types: &'static [TaskType],
    /// For people.
    pub description: &'static str,
    /// The types in which the original takes it when none is named.
    pub default_for: &'static [TaskType],
    /// Languages of its input; empty when the catalogue names none.
    pub languages: &'static [&'static str],
    /// Source and target, for a model of one pair.
    pub pair: Option<(&'static str, &'static str)>,
}

const SPEECH: &[TaskType] = &[TaskType::Transcription, TaskType::VideoTranscription];
const VOICE: &[TaskType] = &[TaskType::Tts];
const SUMMARY: &[TaskType] = &[TaskType::Summarization];
const TRANSLATION: &[TaskType] = &[TaskType::TextTranslation, TaskType::DocumentTranslation];
const SUMMARY_AND_TRANSLATION: &[TaskType] = &[
    TaskType::Summarization,
    TaskType::TextTranslation,
    TaskType::DocumentTranslation,
];

/// Those of all Whisper models.
const WHISPER: &[&str] = &[
    "en", "es", "fr", "de", "it", "pt", "ru", "ja", "ko", "zh", "ar", "hi",
];
const ENGLISH: &[&str] = &["en"];

const fn model(id: &'static str, task_types: &'static [TaskType], description: &'static str) -> Model {
    Model {
        id,
        task_types,
        description,
        default_for: &[],
        languages: &[],
        pair: None,
    }
}

const fn whisper(id: &'static str, description: &'static str) -> Model {
    Model {
        languages: WHISPER,
        ..model(id, SPEECH, description)
    }
}

const fn opus(id: &'static str, target: &'static str, description: &'static str) -> Model {
    Model {
        pair: Some(("en", target)),
        ..model(id, TRANSLATION, description)
    }
}

const fn default(model: Model, default_for: &'static [TaskType]) -> Model {
    Model { default_for, ..model }
}

/// All of them.
pub const MODELS: &[Model] = &[
    default(
        whisper("openai/whisper-tiny", "Whisper, the smallest and fastest"),
        &[TaskType::Transcription],
    ),
    whisper("openai/whisper-base", "Whisper, base"),
    whisper("openai/whisper-small", "Whisper, small"),
    whisper("openai/whisper-medium", "Whisper, medium"),
    whisper("openai/whisper-large", "Whisper, the largest and best"),
    whisper("openai/whisper-large-v2", "Whisper, large, second version"),
    default(
        model(
            "tts_models/multilingual/multi-dataset/xtts_v2",
            VOICE,
            "Coqui XTTS v2: many languages, clones voices",
        ),
        VOICE,
    ),
    model(
        "tts_models/multilingual/multi-dataset/your_tts",
        VOICE,
        "Coqui YourTTS: many languages",
    ),
    Model {
        languages: ENGLISH,
        ..model(
            "tts_models/en/ljspeech/tacotron2-DDC",
            VOICE,
            "Tacotron 2, one voice",
        )
    },
    Model {
        languages: ENGLISH,
        ..model("tts_models/en/vctk/vits", VOICE, "VITS, many voices")
    },
    default(
        model("facebook/bart-large-cnn", SUMMARY, "BART, large, for summaries"),
        SUMMARY,
    ),
    model("facebook/bart-base", SUMMARY, "BART, base"),
    model("google/pegasus-xsum", SUMMARY, "Pegasus: summaries in own words"),
    default(
        model(
            "facebook/mbart-large-50-many-to-many-mmt",
            TRANSLATION,
            "mBART 50: between any two of fifty languages",
        ),
        &[TaskType::TextTranslation],
    ),
    model("t5-small", SUMMARY_AND_TRANSLATION, "T5, small"),
    opus("Helsinki-NLP/opus-mt-en-es", "es", "Marian, English to Spanish"),
    opus("Helsinki-NLP/opus-mt-en-fr", "fr", "Marian, English to French"),
    opus("Helsinki-NLP/opus-mt-en-de", "de", "Marian, English to German"),
    opus("Helsinki-NLP/opus-mt-en-zh", "zh", "Marian, English to Chinese"),
];

/// The ids that may be asked for in this type of task, whether or not somebody serves them right now.
pub fn known(task_type: TaskType) -> impl Iterator<Item = &'static Model> {
    MODELS
        .iter()
        .filter(move |model| model.task_types.contains(&task_type))
}

/// What is asked for in this type of task when no model is named, as the original does.
pub fn default_for(task_type: TaskType) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.default_for.contains(&task_type))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_the_defaults_are_those_of_the_original() {
        let ids: BTreeSet<_> = MODELS.iter().map(|model| model.id).collect();
        assert_eq!(ids.len(), MODELS.len());
        for &task_type in TaskType::ALL {
            let has_one = !matches!(
                task_type,
                TaskType::DocumentTranslation | TaskType::VideoTranscription
            );
            let defaults: Vec<_> = known(task_type)
                .filter(|model| model.default_for.contains(&task_type))
                .map(|model| model.id)
                .collect();
            assert_eq!(defaults.len(), usize::from(has_one), "{task_type:?}");
            assert_eq!(
                default_for(task_type).map(|model| model.id),
                defaults.first().copied()
            );
        }
    }
}
