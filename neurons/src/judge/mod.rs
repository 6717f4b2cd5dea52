//! The reference validator's judgement: integer scores of answers, the same on every machine.
//! Abstains where it has no engine or no rule; it never guesses a score.

pub mod chrf;
pub mod wer;

mod translation;

use std::time::Duration;

use crate::engines::{Catalogue, TaskType};
use crate::wire::{AnswerToJudge, JudgeTask, Parts, Score};

/// Answers within this time are as quick as anybody needs.
const QUICK: Duration = Duration::from_millis(500);

/// Judges answers by its own engines.
#[derive(Clone, Debug)]
pub struct Judge {
    catalogue: Catalogue,
}

impl Judge {
    /// A judge that can say something about what `catalogue` can do itself.
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue }
    }

    /// One score for each answer of the task, in their order.
    pub async fn evaluate(&self, judged: &JudgeTask) -> Vec<Score> {
        match judged.task.task_type {
            TaskType::TextTranslation => translation::evaluate(&self.catalogue, judged).await,
            other => abstain(judged, &format!("no judge for {other}")),
        }
    }
}

/// An abstention for each answer.
fn abstain(judged: &JudgeTask, why: &str) -> Vec<Score> {
    let scores = judged.answers.iter().map(|answer| Score {
        hotkey: answer.hotkey,
        score: None,
        parts: None,
        comment: Some(why.to_owned()),
    });
    scores.collect()
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
mod tests {
    use serde_json::json;
    use violet_chain::Hotkey;

    use super::*;

    fn answer(seconds: f64, usual_seconds: Option<f64>) -> AnswerToJudge {
        AnswerToJudge {
            hotkey: Hotkey([7; 32]),
            output: json!({}),
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
