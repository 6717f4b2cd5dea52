//! Speech in many languages by eSpeak NG, one engine for all of them.
//! Intelligible to people, not to recognisers; markup and phoneme input are switched off.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use super::audio::Speech;
use super::command::{Limits, Program, Tools};
use super::{EngineError, Profile, QualityTier, TaskType, best_offer, probe_folder, working_folder};

/// About half an hour of speech, which still can be sent.
const MAX_INPUT_BYTES: u64 = 16 * 1024;

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    output_bytes: 1 << 20,
    file_bytes: 512 << 20,
};

#[derive(Debug)]
pub(super) struct Espeak {
    program: Program,
    languages: Vec<String>,
}

/// One engine with every language that `espeak-ng --voices` lists.
pub(super) async fn discover(tools: &Tools) -> Vec<(Profile, Espeak)> {
    let Some(program) = tools.find("espeak-ng") else {
        return Vec::new();
    };
    let listed = match program.run(&["--voices"], probe_folder(), b"", &LIMITS).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "espeak-ng is installed but lists no voices");
            return Vec::new();
        }
    };
    let languages = languages(&String::from_utf8_lossy(&listed));
    if languages.is_empty() {
        return Vec::new();
    }
    let profile = Profile {
        engine: "espeak-ng".into(),
        model_id: "espeak-ng/default".into(),
        task_type: TaskType::Tts,
        languages: languages.clone(),
        pairs: Vec::new(),
        max_input_bytes: MAX_INPUT_BYTES,
        quality_tier: QualityTier::Rule,
    };
    vec![(profile, Espeak { program, languages })]
}

/// The tags of the second column, and those in parentheses that a voice also answers to, as in
/// `2 en-gb --/M English_(Great_Britain) gmw/en (en 2)`.
fn languages(listed: &str) -> Vec<String> {
    let mut tags = BTreeSet::new();
    for line in listed.lines().skip(1) {
        let mut columns = line.split_whitespace();
        tags.extend(columns.nth(1).map(str::to_lowercase));
        let others = columns
            .skip(3)
            .filter_map(|word| word.rsplit_once('(').map(|(_, tag)| tag.to_lowercase()));
        tags.extend(others.filter(|tag| !tag.is_empty()));
    }
    tags.into_iter().collect()
}

impl Espeak {
    pub(super) async fn speak(&self, text: &str, language: &str) -> Result<Speech, EngineError> {
        let voice =
            best_offer(&self.languages, language).ok_or(EngineError::Unfit("no voice for the language"))?;
        let folder = working_folder()?;
        let (input, output) = (folder.path().join("text.txt"), folder.path().join("speech.wav"));
        tokio::fs::write(&input, plain(text))
            .await
            .map_err(EngineError::Folder)?;
        let args: [&OsStr; 6] = [
            "-v".as_ref(),
            voice.as_ref(),
            "-w".as_ref(),
            output.as_ref(),
            "-f".as_ref(),
            input.as_ref(),
        ];
        self.program.run(&args, folder.path(), b"", &LIMITS).await?;
        Speech::in_folder(folder, output)
    }
}

/// Without control characters, and without `[[`, which starts phonemes.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|&c| c == '\n' || c == '\t' || !c.is_control())
        .collect();
    text.replace("[[", "[ [")
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Input, Output, Wanted};
    use super::*;

    #[tokio::test]
    async fn many_languages_are_spoken() {
        let catalogue = Catalogue::discover().await;
        for (language, text) in [
            ("de", "Das Haus ist rot."),
            ("hi", "घर लाल है।"),
            ("pt-AO", "A casa é vermelha."),
        ] {
            let wanted = Wanted {
                task_type: TaskType::Tts,
                language: Some(language),
                target_language: None,
                model_id: None,
                require_model: false,
                voice: None,
            };
            let engine = catalogue
                .find(&wanted)
                .expect("this test needs the package espeak-ng");
            assert_eq!(engine.profile().model_id, "espeak-ng/default");
            let input = Input::Speech {
                text: text.into(),
                language: language.into(),
            };
            let Output::Speech(speech) = engine.run(&input).await.unwrap() else {
                panic!("speech was asked for")
            };
            assert!(
                speech.duration() > Duration::from_millis(500),
                "{language}: {:?}",
                speech.duration()
            );
        }
    }

    #[test]
    fn tags_are_read_from_both_columns() {
        let listed = "Pty Language Age/Gender VoiceName File Other Languages\n \
            2  en-gb   --/M  English_(Great_Britain)  gmw/en  (en 2)\n \
            5  cmn     --/M  Chinese  sit/cmn  (zh-cmn 5)(zh 5)\n";
        assert_eq!(languages(listed), ["cmn", "en", "en-gb", "zh", "zh-cmn"]);
        assert!(languages("").is_empty());
    }

    #[test]
    fn phonemes_and_control_characters_are_defused() {
        assert_eq!(plain("a[[b\0\u{1b}c\n"), "a[ [bc\n");
    }
}
