//! Judges translations against our own: chrF for accuracy, length and unknown-word marks for quality.
//! A better engine than ours is scored by its likeness to ours; that is the limit of this judge.

use std::error::Error;

use super::chrf::chrf;
use super::{abstain, overall, part, speed};
use crate::engines::{Catalogue, Input, Output};
use crate::wire::{AnswerToJudge, JudgeTask, Parts, Score, translation_input, wanted};

pub(super) async fn evaluate(catalogue: &Catalogue, judged: &JudgeTask) -> Vec<Score> {
    let Some(Input::Translation {
        text,
        source_language,
        target_language,
    }) = translation_input(&judged.task)
    else {
        return abstain(judged, "the task has no text or no languages");
    };
    // Whatever model the task asked for: ours is only the yardstick.
    let Some(engine) = catalogue.find(&wanted(&judged.task).any_model()) else {
        return abstain(
            judged,
            &format!("no engine for {source_language} to {target_language}"),
        );
    };
    let input = Input::Translation {
        text: text.clone(),
        source_language,
        target_language,
    };
    match engine.run(&input).await {
        Ok(Output::Translation { translated_text: own }) => judged
            .answers
            .iter()
            .map(|answer| score(answer, &text, &own))
            .collect(),
        Ok(_) => abstain(judged, "our own engine made no translation"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "our own translation failed");
            abstain(judged, "our own translation failed")
        }
    }
}

fn score(answer: &AnswerToJudge, source: &str, own: &str) -> Score {
    let Some(translated) = answer
        .output
        .get("translated_text")
        .and_then(|text| text.as_str())
    else {
        let comment = Some("no translated_text".to_owned());
        return Score {
            hotkey: answer.hotkey,
            score: Some(0),
            parts: None,
            comment,
        };
    };
    let parts = Parts {
        accuracy: chrf(translated, own),
        speed: speed(answer),
        quality: quality(translated, source, own),
    };
    Score {
        hotkey: answer.hotkey,
        score: Some(overall(parts)),
        parts: Some(parts),
        comment: None,
    }
}

/// The shorter length ÷ the longer one (ours and theirs, in characters without white space), times the share of
/// words without the mark `*` of an unknown word that the source does not have.
fn quality(translated: &str, source: &str, own: &str) -> u16 {
    let length = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count() as u128;
    let marks = |text: &str| {
        text.split_whitespace()
            .filter(|word| word.starts_with('*'))
            .count()
    };
    let (theirs, ours) = (length(translated), length(own));
    let words = translated.split_whitespace().count();
    let unmarked = words - marks(translated).saturating_sub(marks(source)).min(words);
    part(
        theirs.min(ours) * unmarked as u128,
        theirs.max(ours) * words as u128,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use violet_chain::Hotkey;

    use super::super::Judge;
    use super::*;

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
        Judge::new(Catalogue::discover().await).evaluate(judged).await
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
        assert_eq!(quality("uno dos", "one two", "uno dos"), u16::MAX);
        assert_eq!(quality("uno", "one two", "uno dos"), 32767);
        assert_eq!(quality("*one dos", "one two", "uno doss"), 32767);
        assert_eq!(quality("*uno dos", "*one two", "*uno dos"), u16::MAX);
        assert_eq!(quality("", "one", "uno"), 0);
    }
}
