//! The reference validator's judgement: integer scores of answers, the same on every machine.
//! Abstains where it has no engine or no rule; it never guesses a score.
//!
//! Every judgement has three parts of 0..65535: accuracy, speed and quality; the modules say what each means for
//! their task type. Overall = 0.7 accuracy + 0.2 speed + 0.1 quality, and nothing where accuracy is nothing.

pub mod chrf;
pub mod wer;

mod references;
mod speech;
mod summary;
mod transcription;
mod translation;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::references::{Reference, References};
use crate::client::{FetchError, Fetched, Fetcher};
use crate::engines::{Catalogue, Engine, EngineError, Output, TaskType};
use crate::wire::{self, AnswerToJudge, File, JudgeTask, Parts, Score, Task, wanted};
use violet_chain::Causes;

/// Answers within this time are as quick as anybody needs.
const QUICK: Duration = Duration::from_millis(500);
/// The longest that is spent on one task.
const LONGEST: Duration = Duration::from_secs(14 * 60);
/// What is left of the time to post the evaluation.
const TO_POST: Duration = Duration::from_secs(10);
/// What a judgement gets at least, however little time is left: most need no more.
const LEAST: Duration = Duration::from_secs(5);

/// Judges answers by its own engines.
#[derive(Debug)]
pub struct Judge {
    catalogue: Catalogue,
    fetcher: Fetcher,
    references: References,
}

/// Why a task is not judged; the text is the comment of the abstentions.
#[derive(Debug, thiserror::Error)]
enum NoJudgement {
    #[error("the task lacks its input or its languages")]
    NoInput,
    #[error("no engine for {0}")]
    NoEngine(String),
    #[error("the input file could not be had")]
    NoFile(#[source] FetchError),
    #[error("our own run failed")]
    Engine(#[from] EngineError),
    #[error("no yardstick: {0}")]
    NoYardstick(&'static str),
    #[error("the comparison broke")]
    Broke,
}

impl Judge {
    /// A judge that can say something about what `catalogue` can do itself, and gets files by `fetcher`.
    pub fn new(catalogue: Catalogue, fetcher: Fetcher) -> Self {
        Self {
            catalogue,
            fetcher,
            references: References::default(),
        }
    }

    /// One score for each answer of the task, in their order. Takes at most `left`, which is what the server leaves
    /// for it, and never more than 14 minutes; abstains from what is not judged by then.
    pub async fn evaluate(&self, judged: &JudgeTask, left: Option<Duration>) -> Vec<Score> {
        let left = left.map_or(LONGEST, |left| left.saturating_sub(TO_POST).clamp(LEAST, LONGEST));
        let until = Instant::now() + left;
        let Ok(judgement) = tokio::time::timeout_at(until + LEAST / 2, self.judge(judged, until)).await
        else {
            return abstain(judged, "out of time");
        };
        judgement.unwrap_or_else(|why| {
            tracing::info!(task.id = %judged.task.task_id, error = %Causes(&why), "not judged");
            abstain(judged, &why.to_string())
        })
    }

    async fn judge(&self, judged: &JudgeTask, until: Instant) -> Result<Vec<Score>, NoJudgement> {
        match judged.task.task_type {
            TaskType::TextTranslation | TaskType::DocumentTranslation => {
                translation::evaluate(self, judged).await
            }
            TaskType::Transcription | TaskType::VideoTranscription => {
                transcription::evaluate(self, judged).await
            }
            TaskType::Tts => speech::evaluate(self, judged, until).await,
            TaskType::Summarization => summary::evaluate(self, judged).await,
        }
    }

    /// Our engine for the task. Whatever model the task asked for: ours is only the yardstick.
    fn engine(&self, task: &Task) -> Result<&Arc<Engine>, NoJudgement> {
        let wanted = wanted(task).any_model();
        let found = self.catalogue.find(&wanted);
        found.ok_or_else(|| {
            let language = wanted.language.unwrap_or("an unknown language");
            NoJudgement::NoEngine(match wanted.target_language {
                Some(target) => format!("{language} to {target}"),
                None => format!("{} in {language}", wanted.task_type),
            })
        })
    }

    /// What our engine makes of the task's input; made once per task.
    async fn own_text(&self, task: &Task) -> Result<Arc<Reference>, NoJudgement> {
        let engine = self.engine(task)?;
        let run = async {
            let limit = engine.profile().max_input_bytes;
            let file = match &task.input_file {
                Some(file) => Some(self.fetch(file, limit).await?),
                None => None,
            };
            let input = wire::input(task, engine.profile(), file.as_ref().map(Fetched::path));
            let text = match engine.run(&input.ok_or(NoJudgement::NoInput)?).await? {
                Output::Translation { translated_text } => translated_text,
                Output::Transcript(transcript) => transcript.transcript,
                Output::Summary { summary } => summary,
                Output::Speech(_) => return Err(NoJudgement::NoYardstick("speech is no text")),
            };
            Ok(Reference {
                text,
                duration: Duration::ZERO,
            })
        };
        self.references.get_or(task.task_id, run).await
    }

    async fn fetch(&self, file: &File, limit: u64) -> Result<Fetched, NoJudgement> {
        let fetched = self.fetcher.fetch(file, limit).await;
        fetched.map_err(NoJudgement::NoFile)
    }
}

/// Scores each answer on a thread where arithmetic holds nobody up.
async fn compare(
    judged: &JudgeTask,
    score: impl Fn(&AnswerToJudge) -> Score + Send + 'static,
) -> Result<Vec<Score>, NoJudgement> {
    let answers = judged.answers.clone();
    let scores = tokio::task::spawn_blocking(move || answers.iter().map(score).collect());
    scores.await.map_err(|_| NoJudgement::Broke)
}

/// An abstention for each answer.
fn abstain(judged: &JudgeTask, why: &str) -> Vec<Score> {
    judged
        .answers
        .iter()
        .map(|answer| abstained(answer, why))
        .collect()
}

fn abstained(answer: &AnswerToJudge, why: &str) -> Score {
    Score {
        hotkey: answer.hotkey,
        score: None,
        parts: None,
        comment: Some(why.to_owned()),
    }
}

/// For an answer that is none.
fn worthless(answer: &AnswerToJudge, why: &str) -> Score {
    Score {
        score: Some(0),
        ..abstained(answer, why)
    }
}

fn scored(answer: &AnswerToJudge, accuracy: u16, quality: u16) -> Score {
    let parts = Parts {
        accuracy,
        speed: speed(answer),
        quality,
    };
    Score {
        hotkey: answer.hotkey,
        score: Some(overall(parts)),
        parts: Some(parts),
        comment: None,
    }
}

/// A text field of the answer's output.
fn field<'a>(answer: &'a AnswerToJudge, name: &str) -> Option<&'a str> {
    answer.output.get(name)?.as_str()
}

/// The product of two parts, each taken as 0 to 1.
fn times(left: u16, right: u16) -> u16 {
    part(u128::from(left) * u128::from(right), u128::from(u16::MAX).pow(2))
}

/// 0.7 accuracy + 0.2 speed + 0.1 quality; nothing for an answer that has nothing in common with what it should be,
/// however quick it was.
fn overall(parts: Parts) -> u16 {
    if parts.accuracy == 0 {
        return 0;
    }
    let tenths = 7 * u32::from(parts.accuracy) + 2 * u32::from(parts.speed) + u32::from(parts.quality);
    u16::try_from(tenths / 10).unwrap_or(u16::MAX)
}

/// usual ÷ taken, at most 1: twice the usual time gives half. Reckoned in whole milliseconds; half a second is
/// never slow, and where nothing is usual yet, nobody is slow.
fn speed(answer: &AnswerToJudge) -> u16 {
    let Some(usual) = answer.usual_seconds else {
        return u16::MAX;
    };
    // A time that is no duration was not measured by a sane server: neither reward nor punish beyond the usual.
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(QUICK);
    let usual = duration(usual).max(QUICK).as_millis();
    let taken = duration(answer.seconds).as_millis().max(usual);
    part(usual, taken)
}

/// `part` ÷ `whole` as 0..=65535; 0 when the whole is 0.
fn part(part: u128, whole: u128) -> u16 {
    if whole == 0 {
        return 0;
    }
    u16::try_from(part.saturating_mul(u128::from(u16::MAX)) / whole).unwrap_or(u16::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};
    use violet_chain::Hotkey;

    use super::*;

    /// A judge with every engine of this machine. Files of its tasks have no host to come from.
    pub(super) async fn judge() -> Judge {
        Judge::new(Catalogue::discover().await, Fetcher::from_nowhere())
    }

    /// A task with these outputs as its answers, each in 0.3 of the usual 1 s.
    pub(super) fn judged(mut task: Value, outputs: &[Value]) -> JudgeTask {
        let answers = (1..).zip(outputs).map(|(number, output): (u8, _)| {
            json!({"hotkey": Hotkey([number; 32]), "uid": number, "output": output, "model_id": "m", "engine": "e",
                "digest": "00", "seconds": 0.3, "usual_seconds": 1.0})
        });
        task["task_id"] = json!("0192f0c1-2a3b-7c4d-8e5f-60718293a4b5");
        task["answers"] = answers.collect();
        serde_json::from_value(task).unwrap()
    }

    pub(super) fn numbers(scores: &[Score]) -> Vec<u16> {
        let number = |score: &Score| score.score.expect("a score, not an abstention");
        scores.iter().map(number).collect()
    }

    #[tokio::test]
    async fn whoever_has_no_engine_or_no_time_abstains() {
        for task_type in TaskType::ALL {
            let task = json!({"task_type": task_type, "source_language": "xx", "target_language": "yy",
                "input_text": {"text": "Text."}});
            let scores = judge()
                .await
                .evaluate(&judged(task, &[json!({}), json!({})]), None)
                .await;
            assert_eq!(scores.len(), 2, "{task_type}");
            assert!(
                scores
                    .iter()
                    .all(|score| score.score.is_none() && score.comment.is_some()),
                "{task_type}"
            );
        }
        // A file that cannot be had.
        let task = json!({"task_type": "transcription", "source_language": "en", "input_file": {"file_id": "f",
            "file_type": "audio/wav", "file_size": 10, "sha256": "00", "download_url": "/file"}});
        let scores = judge()
            .await
            .evaluate(&judged(task, &[json!({"transcript": "x"})]), None)
            .await;
        assert_eq!(
            scores[0].comment.as_deref(),
            Some("the input file could not be had")
        );
    }

    #[test]
    fn a_product_of_parts_is_a_part() {
        assert_eq!(times(u16::MAX, u16::MAX), u16::MAX);
        assert_eq!(times(32_768, u16::MAX), 32_768);
        assert_eq!(times(32_768, 32_768), 16_384);
        assert_eq!(times(0, u16::MAX), 0);
    }

    fn answer(seconds: f64, usual_seconds: Option<f64>) -> AnswerToJudge {
        AnswerToJudge {
            hotkey: Hotkey([7; 32]),
            output: json!({}),
            file: None,
            model_id: "m".into(),
            engine: "e".into(),
            seconds,
            usual_seconds,
        }
    }

    #[test]
    fn speed_is_full_up_to_the_usual_and_falls_off_beyond() {
        assert_eq!(speed(&answer(1.0, Some(2.0))), u16::MAX);
        assert_eq!(speed(&answer(2.0, Some(2.0))), u16::MAX);
        assert_eq!(speed(&answer(4.0, Some(2.0))), 32767);
        assert_eq!(speed(&answer(20.0, Some(2.0))), 6553);
        assert_eq!(speed(&answer(9.0, None)), u16::MAX);
    }

    #[test]
    fn trifles_and_nonsense_do_not_count() {
        assert_eq!(speed(&answer(0.4, Some(0.1))), u16::MAX);
        assert_eq!(speed(&answer(1.0, Some(0.1))), 32767);
        for odd in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(speed(&answer(odd, Some(1.0))), u16::MAX);
            assert_eq!(speed(&answer(0.3, Some(odd))), u16::MAX);
        }
    }

    #[test]
    fn parts_are_weighed_seven_two_one() {
        let parts = |accuracy, speed, quality| Parts {
            accuracy,
            speed,
            quality,
        };
        assert_eq!(overall(parts(u16::MAX, u16::MAX, u16::MAX)), u16::MAX);
        assert_eq!(overall(parts(10_000, 20_000, 30_000)), 14_000);
        assert_eq!(overall(parts(0, u16::MAX, u16::MAX)), 0);
    }
}
