//! Judges what was written down of speech, in sound and video, against our own recogniser's run on the same file.
//! A better recogniser than ours is scored by its likeness to ours; that is the limit of this judge.
//!
//! With *n* words in our transcript and *e* the fewest words to change, leave out or put in (case and punctuation do
//! not count, numbers are left as they are):
//! - accuracy = max(0, 1 − e ÷ n); full when neither heard a word, nothing when only one of us did;
//! - quality = fewer words ÷ more words of the two; half of it when `words` are given whose places are nonsense.

use serde_json::Value;

use super::{Judge, NoJudgement, compare, field, part, scored, wer, worthless};
use crate::wire::{AnswerToJudge, JudgeTask, Score};

pub(super) async fn evaluate(judge: &Judge, judged: &JudgeTask) -> Result<Vec<Score>, NoJudgement> {
    let own = judge.own_text(&judged.task).await?;
    compare(judged, move |answer| score(answer, &own.text)).await
}

fn score(answer: &AnswerToJudge, own: &str) -> Score {
    let Some(transcript) = field(answer, "transcript") else {
        return worthless(answer, "no transcript");
    };
    scored(
        answer,
        wer::accuracy(own, transcript),
        quality(transcript, own, answer.output.get("words")),
    )
}

fn quality(transcript: &str, own: &str, words: Option<&Value>) -> u16 {
    let (theirs, ours) = (wer::words(transcript).len(), wer::words(own).len());
    let ratio = if theirs == ours {
        u16::MAX
    } else {
        part(theirs.min(ours) as u128, theirs.max(ours) as u128)
    };
    if words.is_none_or(are_in_order) {
        ratio
    } else {
        ratio / 2
    }
}

/// Whether each word ends no earlier than it starts, and starts no earlier than the one before.
fn are_in_order(words: &Value) -> bool {
    let mut last = 0.0;
    let mut words = words.as_array().into_iter().flatten();
    words.all(|word| {
        let place = |name: &str| word.get(name)?.as_f64();
        let (Some(start), Some(end)) = (place("start"), place("end")) else {
            return false;
        };
        let ordered = start >= last && end >= start;
        last = start;
        ordered
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::judged;
    use super::*;

    fn scores(own: &str, outputs: &[Value]) -> Vec<Score> {
        let task = judged(json!({"task_type": "transcription"}), outputs);
        task.answers.iter().map(|answer| score(answer, own)).collect()
    }

    #[test]
    fn values_computed_by_hand() {
        let outputs = [
            json!({"transcript": "The old man, go home!"}),
            // One of five words changed; one left out; all of them others.
            json!({"transcript": "the old man went home"}),
            json!({"transcript": "the old man home"}),
            json!({"transcript": "completely different words were said"}),
            json!({"transcript": ""}),
            json!({"text": "the old man go home"}),
        ];
        let scores = scores("the old man go home", &outputs);
        let parts: Vec<_> = scores
            .iter()
            .map(|score| score.parts.map(|parts| (parts.accuracy, parts.quality)))
            .collect();
        let full = u16::MAX;
        assert_eq!(
            parts,
            [
                Some((full, full)),
                Some((52_428, full)),
                Some((52_428, 52_428)),
                Some((0, full)),
                Some((0, 0)),
                None,
            ]
        );
        // 0.7 · 52428 + 0.2 · 65535 + 0.1 · 65535.
        assert_eq!(scores[1].score, Some(56_360));
        assert_eq!(scores[3].score, Some(0));
        assert_eq!(scores[5].score, Some(0));
    }

    #[test]
    fn silence_is_heard_by_both_or_by_none() {
        let outputs = [json!({"transcript": ""}), json!({"transcript": "hello"})];
        let scores = scores(" ", &outputs);
        assert_eq!((scores[0].score, scores[1].score), (Some(u16::MAX), Some(0)));
    }

    #[test]
    fn places_that_are_nonsense_halve_the_quality() {
        let word = |start: f64, end: f64| json!({"word": "a", "start": start, "end": end});
        let quality = |words: Value| quality("a b", "a b", Some(&words));
        assert_eq!(quality(json!([])), u16::MAX);
        assert_eq!(quality(json!([word(0.0, 0.2), word(0.2, 0.5)])), u16::MAX);
        for odd in [
            json!([word(0.5, 0.2)]),
            json!([word(0.3, 0.4), word(0.2, 0.5)]),
            json!([word(-1.0, 0.5)]),
            json!([{"word": "a"}]),
        ] {
            assert_eq!(quality(odd), u16::MAX / 2);
        }
    }
}
