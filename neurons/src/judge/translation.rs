//! Judges translations of texts and documents against our own: chrF for accuracy, length and unknown-word marks for
//! quality. A better engine than ours is scored by its likeness to ours; that is the limit of this judge.
//!
//! - accuracy = chrF of the answer against our own translation (see [`super::chrf`]);
//! - quality = shorter ÷ longer of both (characters without white space), times the share of words without the mark
//!   `*` of an unknown word, beyond the marks that our own translation has.

use super::chrf::chrf;
use super::{Judge, NoJudgement, compare, field, part, scored, worthless};
use crate::wire::{AnswerToJudge, JudgeTask, Score};

pub(super) async fn evaluate(judge: &Judge, judged: &JudgeTask) -> Result<Vec<Score>, NoJudgement> {
    let own = judge.own_text(&judged.task).await?;
    compare(judged, move |answer| score(answer, &own.text)).await
}

fn score(answer: &AnswerToJudge, own: &str) -> Score {
    let Some(translated) = field(answer, "translated_text") else {
        return worthless(answer, "no translated_text");
    };
    scored(answer, chrf(translated, own), quality(translated, own))
}

fn quality(translated: &str, own: &str) -> u16 {
    let length = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count() as u128;
    let marks = |text: &str| {
        text.split_whitespace()
            .filter(|word| word.starts_with('*'))
            .count()
    };
    let (theirs, ours) = (length(translated), length(own));
    let words = translated.split_whitespace().count();
    let unmarked = words - marks(translated).saturating_sub(marks(own)).min(words);
    part(
        theirs.min(ours) * unmarked as u128,
        theirs.max(ours) * words as u128,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use violet_chain::Hotkey;

    use super::super::tests::judge;
    use super::*;
    use crate::wire::Parts;

    fn judged(pair: (&str, &str), text: &str, answers: &[(&str, f64)]) -> JudgeTask {
        let answers: Vec<_> = (1..)
            .zip(answers)
            .map(|(number, (translated, seconds)): (u8, _)| {
                json!({"hotkey": Hotkey([number; 32]), "uid": number, "output": {"translated_text": translated},
                    "model_id": "m", "engine": "e", "digest": "00", "seconds": seconds, "usual_seconds": 1.0})
            })
            .collect();
        let task = json!({"task_id": "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5", "task_type": "text_translation",
            "source_language": pair.0, "target_language": pair.1, "requested_model": "neural/best",
            "input_text": {"text": text}, "input_file": null, "answers": answers});
        serde_json::from_value(task).unwrap()
    }

    async fn scores(judged: &JudgeTask) -> Vec<Score> {
        judge().await.evaluate(judged, None).await
    }

    #[tokio::test]
    async fn good_answers_score_high_and_others_in_their_order() {
        let answers = [
            ("La casa es roja.", 0.3),
            ("La casa es roja.", 4.0),
            ("La casa está roja.", 0.3),
            ("*The *house es roja", 0.3),
            ("xxxxx", 0.1),
        ];
        let scores = scores(&judged(("en", "es"), "The house is red.", &answers)).await;
        let numbers: Vec<_> = scores
            .iter()
            .map(|score| score.score.expect("apertium-eng-spa is needed"))
            .collect();
        assert_eq!(numbers[0], u16::MAX);
        assert_eq!(
            scores[1].parts.unwrap(),
            Parts {
                accuracy: u16::MAX,
                speed: 16383,
                quality: u16::MAX
            }
        );
        assert!(
            numbers.is_sorted_by(|a, b| a > b) || numbers[1] < numbers[2],
            "{numbers:?}"
        );
        assert!(numbers[2] > numbers[3] && numbers[3] > numbers[4], "{numbers:?}");
        assert_eq!(numbers[4], 0);
        assert_eq!(scores[3].hotkey, Hotkey([4; 32]));
    }

    #[tokio::test]
    async fn no_engine_for_the_pair_abstains() {
        let scores = scores(&judged(
            ("de", "zh"),
            "Das Haus ist rot.",
            &[("房子是红色的", 1.0)],
        ))
        .await;
        assert_eq!((scores.len(), scores[0].score, scores[0].parts), (1, None, None));
        assert!(scores[0].comment.as_deref().unwrap().contains("de to zh"));
    }

    #[tokio::test]
    async fn an_answer_without_its_field_is_worth_nothing() {
        let mut task = judged(("en", "es"), "The house is red.", &[("La casa es roja.", 0.3)]);
        task.answers[0].output = json!({"summary": "La casa es roja."});
        assert_eq!(scores(&task).await[0].score, Some(0));
    }

    #[test]
    fn quality_sees_length_and_marks() {
        assert_eq!(quality("uno dos", "uno dos"), u16::MAX);
        assert_eq!(quality("uno", "uno dos"), 32767);
        assert_eq!(quality("*one dos", "uno doss"), 32767);
        assert_eq!(quality("*uno dos", "*uno dos"), u16::MAX);
        assert_eq!(quality("", "uno"), 0);
    }
}
