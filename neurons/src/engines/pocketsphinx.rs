//! English recognition by Pocketsphinx 0.8 (`pocketsphinx_continuous`), with words, times and posteriors.
//! Gives no punctuation and no case, and claims none.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::audio::Extractor;
use super::command::{Limits, Program, Tools};
use super::{EngineError, Profile, QualityTier, TaskType, working_folder};

const MAX_INPUT_BYTES: u64 = 100 << 20;

/// An hour of sound takes about 12 minutes.
const LIMITS: Limits = Limits {
    wall: Duration::from_secs(1800),
    cpu: Duration::from_secs(1800),
    memory_bytes: 2 << 30,
    output_bytes: 8 << 20,
    file_bytes: 16 << 20,
};

/// The acoustic model of Debian's pocketsphinx-en-us, which the program loads by default.
const MODEL: &str = "/usr/share/pocketsphinx/model/en-us/en-us";

/// What was heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transcript {
    /// The words, with one space between them.
    pub transcript: String,
    pub language: String,
    /// The mean posterior of the words, 0 to 1; absent when there is no word.
    pub confidence: Option<f64>,
    pub words: Vec<Word>,
}

/// One word with its place, in milliseconds from the beginning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    pub word: String,
    pub start_ms: u64,
    pub end_ms: u64,
    /// The recogniser's posterior, 0 to 1; not calibrated.
    pub confidence: f64,
}

#[derive(Debug)]
pub(super) struct Pocketsphinx {
    program: Program,
    extractor: Extractor,
}

/// One engine for sound and one for video, when program, model and ffmpeg are there.
pub(super) fn discover(tools: &Tools) -> Vec<(Profile, Pocketsphinx)> {
    let (Some(program), Some(extractor)) = (tools.find("pocketsphinx_continuous"), Extractor::find(tools))
    else {
        return Vec::new();
    };
    if !Path::new(MODEL).is_dir() {
        tracing::warn!("pocketsphinx is installed without its English model");
        return Vec::new();
    }
    let engine = |task_type| {
        let profile = Profile {
            engine: "pocketsphinx".into(),
            model_id: "pocketsphinx/en-us".into(),
            task_type,
            languages: vec!["en".into()],
            pairs: Vec::new(),
            max_input_bytes: MAX_INPUT_BYTES,
            quality_tier: QualityTier::Statistical,
        };
        (
            profile,
            Pocketsphinx {
                program: program.clone(),
                extractor: extractor.clone(),
            },
        )
    };
    [TaskType::Transcription, TaskType::VideoTranscription]
        .map(engine)
        .into()
}

impl Pocketsphinx {
    pub(super) async fn transcribe(&self, file: &Path) -> Result<Transcript, EngineError> {
        let folder = working_folder()?;
        let sound = self.extractor.extract(file, folder.path()).await?;
        let args: [&OsStr; 6] = [
            "-infile".as_ref(),
            sound.as_ref(),
            "-logfn".as_ref(),
            "/dev/null".as_ref(),
            "-time".as_ref(),
            "yes".as_ref(),
        ];
        let output = self.program.run(&args, folder.path(), b"", &LIMITS).await?;
        Ok(transcript(&String::from_utf8_lossy(&output)))
    }
}

/// Reads the lines `word start end posterior`; the others repeat the words without times. Markers of silence and
/// noise are left out, and so is the number of a pronunciation, as in `the(2)`.
fn transcript(output: &str) -> Transcript {
    let words: Vec<_> = output.lines().filter_map(word).collect();
    let text: Vec<_> = words.iter().map(|word| word.word.as_str()).collect();
    let transcript = text.join(" ");
    let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
    let sum: f64 = words.iter().map(|word| word.confidence).sum();
    let confidence = (count > 0).then(|| sum / f64::from(count));
    Transcript {
        transcript,
        language: "en".into(),
        confidence,
        words,
    }
}

fn word(line: &str) -> Option<Word> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let [word, start, end, posterior] = columns[..] else {
        return None;
    };
    let millis = |seconds: &str| {
        let seconds = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
        u64::try_from(seconds.as_millis()).ok()
    };
    let (start_ms, end_ms) = (millis(start)?, millis(end)?);
    let confidence = posterior
        .parse::<f64>()
        .ok()
        .filter(|posterior| posterior.is_finite())?
        .clamp(0.0, 1.0);
    if word.starts_with(['<', '[', '+']) {
        return None;
    }
    let word = word.split_once('(').map_or(word, |(word, _)| word).to_owned();
    Some(Word {
        word,
        start_ms,
        end_ms,
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Engine, Input, Output};
    use super::*;
    use crate::judge::wer::word_errors;

    const MISSING: &str = "these tests need the packages pocketsphinx, pocketsphinx-en-us, flite and ffmpeg";
    const SENTENCE: &str = "The president said that the government will help the old man go home.";

    fn engine<'a>(catalogue: &'a Catalogue, model: &str, task_type: TaskType) -> &'a Engine {
        let mut engines = catalogue.engines().iter().map(AsRef::as_ref);
        engines
            .find(|e: &&Engine| e.profile().model_id == model && e.profile().task_type == task_type)
            .expect(MISSING)
    }

    async fn hear(input: Input) -> Transcript {
        let catalogue = Catalogue::discover().await;
        let engine = engine(&catalogue, "pocketsphinx/en-us", input.task_type());
        let Output::Transcript(heard) = engine.run(&input).await.unwrap() else {
            panic!("a transcript was asked for")
        };
        heard
    }

    async fn speech(text: &str) -> super::super::audio::Speech {
        let catalogue = Catalogue::discover().await;
        let input = Input::Speech {
            text: text.into(),
            language: "en".into(),
        };
        let Output::Speech(speech) = engine(&catalogue, "flite/slt", TaskType::Tts)
            .run(&input)
            .await
            .unwrap()
        else {
            panic!("speech was asked for")
        };
        speech
    }

    #[tokio::test]
    async fn what_flite_says_is_heard() {
        let speech = speech(SENTENCE).await;
        let heard = hear(Input::Transcription {
            audio: speech.path().into(),
            language: "en-US".into(),
        })
        .await;
        let errors = word_errors(SENTENCE, &heard.transcript);
        assert!(errors.rate() < 0.2, "{:?}: {}", errors, heard.transcript);
        assert!(heard.words.is_sorted_by_key(|word| word.start_ms));
        assert!(heard.words.iter().all(|word| word.start_ms < word.end_ms));
        assert!(heard.words.last().unwrap().end_ms <= u64::try_from(speech.duration().as_millis()).unwrap());
        assert!(heard.confidence.unwrap() > 0.3);
    }

    #[tokio::test]
    async fn the_sound_of_a_video_is_heard() {
        let speech = speech(SENTENCE).await;
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("video.mp4");
        let ffmpeg = Tools::default().find("ffmpeg").expect(MISSING);
        let args: Vec<&OsStr> = [
            "-nostdin",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "color=c=red:s=64x64:r=5",
            "-i",
        ]
        .iter()
        .map(AsRef::as_ref)
        .chain([speech.path().as_os_str()])
        .chain(["-shortest", "-c:a", "aac"].iter().map(AsRef::as_ref))
        .chain([video.as_os_str()])
        .collect();
        let limits = Limits {
            memory_bytes: 4 << 30,
            ..LIMITS
        };
        ffmpeg.run(&args, folder.path(), b"", &limits).await.unwrap();
        let heard = hear(Input::Video {
            video,
            language: "en".into(),
        })
        .await;
        assert!(
            word_errors(SENTENCE, &heard.transcript).rate() < 0.35,
            "{}",
            heard.transcript
        );
    }

    #[tokio::test]
    async fn no_sound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audio.mp3");
        std::fs::write(&file, "no sound at all").unwrap();
        let catalogue = Catalogue::discover().await;
        let engine = engine(&catalogue, "pocketsphinx/en-us", TaskType::Transcription);
        let input = Input::Transcription {
            audio: file,
            language: "en".into(),
        };
        assert!(matches!(
            engine.run(&input).await,
            Err(EngineError::Unreadable { .. })
        ));
    }

    #[test]
    fn lines_with_times_are_words() {
        let output = "the old man\n<s> 0.000 0.150 0.99\nthe(2) 0.160 0.390 0.5\n<sil> 0.4 0.5 0.9\n\
            old 0.400 0.700 1.5\n[NOISE] 0.7 0.8 0.9\n++UM++ 0.8 0.9 0.9\nman 0.710 1.020 nan\n</s> 1.8 1.9 1.0\n";
        let heard = transcript(output);
        assert_eq!(heard.transcript, "the old");
        assert_eq!(
            heard.words[0],
            Word {
                word: "the".into(),
                start_ms: 160,
                end_ms: 390,
                confidence: 0.5
            }
        );
        assert_eq!(heard.confidence, Some(0.75));
        assert_eq!(transcript("").confidence, None);
    }
}
