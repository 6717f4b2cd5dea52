//! Judges speech by hearing it: our recogniser's words against the text that was to be spoken.
//! English only, since there is no recogniser for others here; it hears words, not beauty.
//!
//! With *w* the word error rate of what is heard against the task's text:
//! - accuracy = min(1, max(0, 1 − w(answer)) ÷ (1 − w(our own speech of the same text))), so that what the recogniser
//!   cannot do is not held against anybody; where it understands less than a quarter of our own, nobody is judged;
//! - quality = duration · loudness · clarity, each 0 to 1:
//!   duration = 2 · shorter ÷ longer of the answer's and our own, at most 1;
//!   loudness = share of 20 ms frames above −42 dB ÷ 0.3, at most 1;
//!   clarity = (2 % − share of samples at the end of the scale) ÷ 1.9 %, between 0 and 1.
//!
//! What is no WAV file with plain samples, or sounds for more than 10 s and four times as long as ours, is worth
//! nothing, and is not listened to.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::references::Reference;
use super::wer::{WordErrors, word_errors};
use super::{Judge, NoJudgement, abstained, field, part, scored, times, worthless};
use crate::engines::{Catalogue, Engine, EngineError, Input, Output, Sound, TaskType, Wanted, measure};
use crate::wire::{AnswerToJudge, File, JudgeTask, MAX_UPLOAD_BYTES, Score, wanted};
use violet_chain::Causes;

/// A minute of the wrong sound need not be heard.
const TOO_LONG: Duration = Duration::from_secs(10);

/// What was found about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Heard { accuracy: u16, quality: u16 },
    Worthless(&'static str),
    Unknown(&'static str),
}

/// The yardstick for all answers of a task.
struct Listener<'a> {
    engine: &'a Engine,
    text: &'a str,
    /// Words that were understood of our own speech, and how long it sounds.
    understood: usize,
    duration: Duration,
}

pub(super) async fn evaluate(
    judge: &Judge,
    judged: &JudgeTask,
    until: Instant,
) -> Result<Vec<Score>, NoJudgement> {
    let text = &judged.task.input_text.as_ref().ok_or(NoJudgement::NoInput)?.text;
    let language = wanted(&judged.task).language.unwrap_or("en");
    let engine = recogniser(&judge.catalogue, language)?;
    let own = judge
        .references
        .get_or(judged.task.task_id, own(judge, engine, text, language));
    let own = own.await?;
    let WordErrors {
        errors, reference, ..
    } = word_errors(text, &own.text);
    let understood = reference.saturating_sub(errors);
    if understood == 0 || 4 * understood < reference {
        return Err(NoJudgement::NoYardstick(
            "our recogniser does not understand this text",
        ));
    }
    let listener = Listener {
        engine,
        text,
        understood,
        duration: own.duration,
    };
    let (mut scores, mut heard) = (Vec::new(), HashMap::new());
    for answer in &judged.answers {
        let finding = tokio::time::timeout_at(until, listener.finding(judge, answer, &mut heard)).await;
        scores.push(match finding.unwrap_or(Finding::Unknown("out of time")) {
            Finding::Heard { accuracy, quality } => scored(answer, accuracy, quality),
            Finding::Worthless(why) => worthless(answer, why),
            Finding::Unknown(why) => abstained(answer, why),
        });
    }
    Ok(scores)
}

fn recogniser<'a>(catalogue: &'a Catalogue, language: &str) -> Result<&'a Engine, NoJudgement> {
    let found = catalogue.find(&wish(TaskType::Transcription, language));
    let missing = || NoJudgement::NoEngine(format!("hearing {language}"));
    found.map(AsRef::as_ref).ok_or_else(missing)
}

fn wish(task_type: TaskType, language: &str) -> Wanted<'_> {
    Wanted {
        task_type,
        language: Some(language),
        target_language: None,
        model_id: None,
        require_model: false,
        voice: None,
    }
}

/// What our recogniser understands of our own speech. The language without its region: the closest voice to a region
/// may be one that people understand and recognisers do not.
async fn own(judge: &Judge, engine: &Engine, text: &str, language: &str) -> Result<Reference, NoJudgement> {
    let language = language.split(['-', '_']).next().unwrap_or(language);
    let speaker = judge.catalogue.find(&wish(TaskType::Tts, language));
    let speaker = speaker.ok_or_else(|| NoJudgement::NoEngine(format!("speaking {language}")))?;
    let input = Input::Speech {
        text: text.to_owned(),
        language: language.to_owned(),
    };
    let Output::Speech(speech) = speaker.run(&input).await? else {
        return Err(NoJudgement::NoYardstick("we made no speech"));
    };
    Ok(Reference {
        text: hear(engine, speech.path()).await?,
        duration: speech.duration(),
    })
}

async fn hear(engine: &Engine, file: &Path) -> Result<String, EngineError> {
    let languages = &engine.profile().languages;
    let input = Input::Transcription {
        audio: file.to_owned(),
        language: languages.first().cloned().unwrap_or_default(),
    };
    match engine.run(&input).await? {
        Output::Transcript(transcript) => Ok(transcript.transcript),
        _ => Err(EngineError::Output("no transcript")),
    }
}

impl Listener<'_> {
    /// The same file is heard once, however many answer with it.
    async fn finding(
        &self,
        judge: &Judge,
        answer: &AnswerToJudge,
        heard: &mut HashMap<String, Finding>,
    ) -> Finding {
        let Some(file) = &answer.file else {
            return Finding::Worthless("no file");
        };
        // What the miner signed is the digest in its output; the server only says where to find the file.
        let Some(signed) = field(answer, "sha256").map(str::to_lowercase) else {
            return Finding::Worthless("no sha256");
        };
        if let Some(finding) = heard.get(&signed) {
            return finding.clone();
        }
        let signed_file = File {
            sha256: signed.clone(),
            ..file.clone()
        };
        let finding = match judge.fetcher.fetch(&signed_file, MAX_UPLOAD_BYTES).await {
            Ok(fetched) => self.finding_of(fetched.path()).await,
            Err(error) => {
                tracing::warn!(
                    file.id = file.file_id,
                    error = %Causes(&error),
                    "no file to hear"
                );
                Finding::Unknown("the file could not be had as it was signed")
            }
        };
        heard.insert(signed, finding.clone());
        finding
    }

    async fn finding_of(&self, file: &Path) -> Finding {
        let sound = match measure(file).await {
            Ok(sound) => sound,
            Err(error) => return failed(&error),
        };
        if sound.duration.is_zero() {
            return Finding::Worthless("no sound");
        }
        if sound.duration > TOO_LONG.max(4 * self.duration) {
            return Finding::Worthless("far too long for the text");
        }
        match hear(self.engine, file).await {
            Ok(transcript) => Finding::Heard {
                accuracy: accuracy(self.text, &transcript, self.understood),
                quality: quality(&sound, self.duration),
            },
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &EngineError) -> Finding {
    if error.is_of_input() {
        return Finding::Worthless("no WAV file that can be read");
    }
    tracing::warn!(error = %Causes(error), "hearing failed");
    Finding::Unknown("our own hearing failed")
}

fn accuracy(text: &str, heard: &str, understood: usize) -> u16 {
    let WordErrors {
        errors, reference, ..
    } = word_errors(text, heard);
    part(reference.saturating_sub(errors) as u128, understood as u128)
}

fn quality(sound: &Sound, own: Duration) -> u16 {
    let (theirs, ours) = (sound.duration.as_millis(), own.as_millis());
    let duration = part(2 * theirs.min(ours), theirs.max(ours));
    let loudness = part(u128::from(sound.loud_frames) * 10, u128::from(sound.frames) * 3);
    let clipped = u128::from(sound.clipped_samples) * 1_000_000 / u128::from(sound.samples.max(1));
    let clarity = part(20_000_u128.saturating_sub(clipped), 19_000);
    times(times(duration, loudness), clarity)
}

#[cfg(test)]
mod tests {
    use super::super::tests::judge;
    use super::*;

    const TEXT: &str = "The president said that the government will help the old man go home.";

    fn sound(millis: u64, frames: u64, loud_frames: u64, clipped_samples: u64) -> Sound {
        Sound {
            duration: Duration::from_millis(millis),
            frames,
            loud_frames,
            samples: 100_000,
            clipped_samples,
        }
    }

    #[test]
    fn quality_computed_by_hand() {
        let own = Duration::from_secs(4);
        assert_eq!(quality(&sound(4000, 200, 150, 0), own), u16::MAX);
        // Half and twice the time, 30 % loud and 0.1 % clipped are still good.
        assert_eq!(quality(&sound(2000, 100, 30, 0), own), u16::MAX);
        assert_eq!(quality(&sound(8000, 400, 120, 100), own), u16::MAX);
        // A quarter of the time; 15 % loud; 1.05 % clipped: half each.
        assert_eq!(quality(&sound(1000, 50, 50, 0), own), 32_767);
        assert_eq!(quality(&sound(4000, 200, 30, 0), own), 32_767);
        assert_eq!(quality(&sound(4000, 200, 200, 1050), own), 32_767);
        assert_eq!(quality(&sound(4000, 200, 0, 0), own), 0);
        assert_eq!(quality(&sound(4000, 200, 200, 2000), own), 0);
        assert_eq!(quality(&sound(10, 0, 0, 0), own), 0);
    }

    #[test]
    fn accuracy_is_relative_to_what_is_understood_of_our_own() {
        assert_eq!(accuracy("a b c d", "a b c d", 4), u16::MAX);
        assert_eq!(accuracy("a b c d", "a b c", 3), u16::MAX);
        assert_eq!(accuracy("a b c d", "a b c d", 3), u16::MAX);
        assert_eq!(accuracy("a b c d", "a b", 4), 32_767);
        assert_eq!(accuracy("a b c d", "x y", 2), 0);
    }

    async fn spoken(judge: &Judge, model: &str, text: &str) -> crate::engines::Speech {
        let wish = Wanted {
            model_id: Some(model),
            ..wish(TaskType::Tts, "en")
        };
        let speaker = judge.catalogue.find(&wish).unwrap();
        assert_eq!(
            speaker.profile().model_id,
            model,
            "flite and espeak-ng are needed"
        );
        let input = Input::Speech {
            text: text.into(),
            language: "en".into(),
        };
        let Output::Speech(speech) = speaker.run(&input).await.unwrap() else {
            panic!("speech was asked for")
        };
        speech
    }

    #[tokio::test]
    async fn right_speech_is_heard_and_other_files_are_not() {
        let judge = judge().await;
        let engine = recogniser(&judge.catalogue, "en-US").expect("pocketsphinx is needed");
        let own = own(&judge, engine, TEXT, "en-US").await.unwrap();
        let errors = word_errors(TEXT, &own.text);
        let listener = Listener {
            engine,
            text: TEXT,
            understood: errors.reference - errors.errors,
            duration: own.duration,
        };
        let full = |finding: &Finding| match *finding {
            Finding::Heard { accuracy, quality } => (accuracy, quality),
            _ => panic!("{finding:?}"),
        };
        let same = listener
            .finding_of(spoken(&judge, "flite/slt", TEXT).await.path())
            .await;
        assert_eq!(full(&same), (u16::MAX, u16::MAX));
        let voice = listener
            .finding_of(spoken(&judge, "flite/rms", TEXT).await.path())
            .await;
        assert!(full(&voice).0 > 45_000 && full(&voice).1 > 60_000, "{voice:?}");
        let other = "Green fish never drink cold tea before a long winter night in summer.";
        let wrong = listener
            .finding_of(spoken(&judge, "flite/slt", other).await.path())
            .await;
        assert!(full(&wrong).0 < 16_000, "{wrong:?}");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let long = spoken(&judge, "flite/slt", &TEXT.repeat(6)).await;
        assert_eq!(
            listener.finding_of(long.path()).await,
            Finding::Worthless("far too long for the text")
        );
        // Silence of a second: heard as nothing.
        let mut silence = std::fs::read(long.path()).unwrap();
        silence.truncate(32_000);
        silence[44..].fill(0);
        std::fs::write(&file, &silence).unwrap();
        assert_eq!(
            listener.finding_of(&file).await,
            Finding::Heard {
                accuracy: 0,
                quality: 0
            }
        );
        for odd in [&b"garbage"[..], &silence[..44], b""] {
            std::fs::write(&file, odd).unwrap();
            let finding = listener.finding_of(&file).await;
            assert!(matches!(finding, Finding::Worthless(_)), "{finding:?}");
        }
    }
}
