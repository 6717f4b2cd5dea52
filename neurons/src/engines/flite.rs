//! English speech by Flite, one engine per voice.
//! Speaks what can be written in ASCII; typographic marks are brought there, other characters are left out.

use std::ffi::OsStr;
use std::time::Duration;

use super::audio::Speech;
use super::command::{Limits, Program, Tools};
use super::{EngineError, Profile, QualityTier, TaskType, probe_folder, working_folder};

const MAX_INPUT_BYTES: u64 = 16 * 1024;

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(120),
    cpu: Duration::from_secs(120),
    memory_bytes: 1 << 30,
    output_bytes: 1 << 20,
    file_bytes: 256 << 20,
};

/// The general voices; others of Flite speak the time of day only.
const VOICES: [&str; 5] = ["slt", "rms", "awb", "kal16", "kal"];

/// One voice.
#[derive(Debug)]
pub(super) struct Flite {
    program: Program,
    voice: &'static str,
}

/// One engine per general voice that is built in.
pub(super) async fn discover(tools: &Tools) -> Vec<(Profile, Flite)> {
    let Some(program) = tools.find("flite") else {
        return Vec::new();
    };
    let listed = match program.run(&["-lv"], probe_folder(), b"", &LIMITS).await {
        Ok(listed) => String::from_utf8_lossy(&listed).into_owned(),
        Err(error) => {
            tracing::warn!(%error, "flite is installed but lists no voices");
            return Vec::new();
        }
    };
    let installed = |voice: &&str| listed.split_whitespace().any(|listed| listed == *voice);
    let engine = |voice| {
        let profile = Profile {
            engine: "flite".into(),
            model_id: format!("flite/{voice}"),
            task_type: TaskType::Tts,
            languages: vec!["en".into()],
            pairs: Vec::new(),
            max_input_bytes: MAX_INPUT_BYTES,
            quality_tier: QualityTier::Statistical,
        };
        (
            profile,
            Flite {
                program: program.clone(),
                voice,
            },
        )
    };
    VOICES.into_iter().filter(installed).map(engine).collect()
}

impl Flite {
    pub(super) async fn speak(&self, text: &str) -> Result<Speech, EngineError> {
        let folder = working_folder()?;
        let (input, output) = (folder.path().join("text.txt"), folder.path().join("speech.wav"));
        let text = ascii(text);
        if !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(EngineError::Unfit("nothing in the text can be spoken in English"));
        }
        tokio::fs::write(&input, text)
            .await
            .map_err(EngineError::Folder)?;
        // With -f it never waits for standard input.
        let args: [&OsStr; 6] = [
            "-voice".as_ref(),
            self.voice.as_ref(),
            "-f".as_ref(),
            input.as_ref(),
            "-o".as_ref(),
            output.as_ref(),
        ];
        self.program.run(&args, folder.path(), b"", &LIMITS).await?;
        Speech::in_folder(folder, output)
    }
}

fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2018}' | '\u{2019}' => ascii.push('\''),
            '\u{201c}' | '\u{201d}' => ascii.push('"'),
            '\u{2013}' | '\u{2014}' => ascii.push_str(" - "),
            '\u{2026}' => ascii.push_str("..."),
            c if c.is_whitespace() => ascii.push(if c == '\n' { '\n' } else { ' ' }),
            c if c.is_ascii() && !c.is_ascii_control() => ascii.push(c),
            _ => {}
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Input, Output};
    use super::*;

    #[tokio::test]
    async fn every_voice_speaks() {
        let catalogue = Catalogue::discover().await;
        let engines = catalogue
            .engines()
            .iter()
            .filter(|engine| engine.profile().engine == "flite");
        let engines: Vec<_> = engines.collect();
        assert_eq!(engines.len(), VOICES.len(), "this test needs the package flite");
        for engine in engines {
            let input = Input::Speech {
                text: "The house is red.".into(),
                language: "en-GB".into(),
            };
            let Output::Speech(speech) = engine.run(&input).await.unwrap() else {
                panic!("speech was asked for")
            };
            let (duration, path) = (speech.duration(), speech.path().to_owned());
            assert!(
                duration > Duration::from_millis(700) && duration < Duration::from_secs(3),
                "{duration:?}"
            );
            assert!(path.exists());
            drop(speech);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_spoken_is_refused() {
        let engines = discover(&Tools::default()).await;
        let (_, flite) = engines.first().expect("this test needs the package flite");
        assert!(matches!(
            flite.speak("房子是红色的").await,
            Err(EngineError::Unfit(_))
        ));
        assert_eq!(
            ascii("It\u{2019}s \u{201c}good\u{201d}\u{2014}caf\u{e9}\u{0}\u{a0}x"),
            "It's \"good\" - caf x"
        );
    }
}
