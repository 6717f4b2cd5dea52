//! Judges summaries by what of the text they carry, in how many words, and whether they add anything of their own.
//! Compares words, not meanings: a list of well-chosen words in running form would pass.
//!
//! Words are runs of letters and digits in lower case; content words have four characters or a digit; lengths are
//! characters without white space. A content word that occurs *tf* times, in *df* of the text's *S* sentences, weighs
//! (1 + 8 · (tf − 1)) · log₂(1 + S ÷ df)²: what is said again is what the text is about, unless everything says it. A
//! summary carries the weights of the different content words in it.
//! - accuracy = coverage · grounding · form · shortness, each 0 to 1:
//!   coverage = carried ÷ carried by our own summary of the same length (its most central sentences that fit), at
//!   most 1;
//!   grounding = share of the summary's content words that the text has too;
//!   form = twice the share of words of up to three letters ÷ that share in the text, at most 1 (lists of keywords
//!   have none);
//!   shortness = 1 up to 60 % of the text's length, then falling to 0 at the whole; a text of one or two sentences
//!   may be given back as it is;
//! - quality = shortness · length ÷ 5 % of the text's length (at most 300), at most 1.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Judge, NoJudgement, compare, field, part, scored, times, worthless};
use crate::wire::{AnswerToJudge, JudgeTask, Score};

/// Below this, in percent of the text, or in characters, a summary is too short.
const SHORTEST_PERCENT: usize = 5;
const SHORTEST: usize = 300;
/// Beyond this, in percent of the text, it is too long.
const LONGEST_PERCENT: usize = 60;
/// Texts of fewer sentences cannot be shortened by quoting.
const FEWEST_SENTENCES: usize = 3;
/// What a word weighs each time that it is said again, where it weighs 1 the first time.
const SAID_AGAIN: u128 = 8;

pub(super) async fn evaluate(judge: &Judge, judged: &JudgeTask) -> Result<Vec<Score>, NoJudgement> {
    let text = &judged.task.input_text.as_ref().ok_or(NoJudgement::NoInput)?.text;
    let ranked = judge.engine(&judged.task)?.rank(text).await?;
    let text = text.clone();
    let source = tokio::task::spawn_blocking(move || Source::of(&text, ranked)).await;
    let source = Arc::new(source.map_err(|_| NoJudgement::Broke)?);
    if source.weights.is_empty() {
        return Err(NoJudgement::NoYardstick("the text has no words to weigh"));
    }
    compare(judged, move |answer| score(answer, &source)).await
}

fn score(answer: &AnswerToJudge, source: &Source) -> Score {
    let Some(summary) = field(answer, "summary") else {
        return worthless(answer, "no summary");
    };
    scored(answer, source.accuracy(summary), source.quality(summary))
}

/// What summaries of one text are held against.
struct Source {
    length: usize,
    /// Most central first.
    ranked: Vec<String>,
    weights: HashMap<String, u128>,
    known: HashSet<String>,
    short_words: usize,
    words: usize,
}

impl Source {
    fn of(text: &str, ranked: Vec<String>) -> Self {
        let mut counted: HashMap<String, (u128, u64)> = HashMap::new();
        for sentence in &ranked {
            let mut seen = HashSet::new();
            for word in content(sentence) {
                let (times, sentences) = counted.entry(word.clone()).or_default();
                *times += 1;
                *sentences += u64::from(seen.insert(word));
            }
        }
        let all = ranked.len() as u64;
        let weigh = |(word, (times, sentences)): (String, (u128, u64))| {
            let rarity = u128::from(log2(all + sentences) - log2(sentences));
            (word, (1 + SAID_AGAIN * (times - 1)) * rarity * rarity)
        };
        let (short_words, words) = forms(text);
        Self {
            length: length(text),
            weights: counted.into_iter().map(weigh).collect(),
            known: content(text).collect(),
            short_words,
            words,
            ranked,
        }
    }

    fn carried(&self, text: &str) -> u128 {
        let different: HashSet<String> = content(text).collect();
        let weights = different.iter().filter_map(|word| self.weights.get(word));
        weights.sum()
    }

    /// What our own summary of at most `limit` characters carries; of a part of the most central sentence, its part.
    fn own(&self, limit: usize) -> u128 {
        let (mut own, mut left) = (String::new(), limit);
        for sentence in &self.ranked {
            let Some(rest) = left.checked_sub(length(sentence)) else {
                break;
            };
            left = rest;
            own.push_str(sentence);
            own.push(' ');
        }
        match self.ranked.first() {
            Some(first) if own.is_empty() => {
                self.carried(first) * limit as u128 / length(first).max(1) as u128
            }
            _ => self.carried(&own),
        }
    }

    fn accuracy(&self, summary: &str) -> u16 {
        let coverage = part(self.carried(summary), self.own(length(summary)));
        let form = times(self.grounding(summary), self.form(summary));
        times(times(coverage, form), self.shortness(summary))
    }

    fn quality(&self, summary: &str) -> u16 {
        let enough = (self.length * SHORTEST_PERCENT / 100).clamp(1, SHORTEST);
        let long_enough = part(length(summary) as u128, enough as u128);
        times(self.shortness(summary), long_enough)
    }

    fn grounding(&self, summary: &str) -> u16 {
        let words: Vec<_> = content(summary).collect();
        let known = words.iter().filter(|word| self.known.contains(*word)).count();
        part(known as u128, words.len() as u128)
    }

    fn form(&self, summary: &str) -> u16 {
        let (short_words, words) = forms(summary);
        if self.short_words == 0 {
            return u16::MAX;
        }
        part(
            2 * short_words as u128 * self.words as u128,
            words as u128 * self.short_words as u128,
        )
    }

    fn shortness(&self, summary: &str) -> u16 {
        let (length, whole) = (length(summary), self.length);
        if self.ranked.len() < FEWEST_SENTENCES {
            return if length <= whole { u16::MAX } else { 0 };
        }
        let beyond = whole * (100 - LONGEST_PERCENT) / 100;
        part(whole.saturating_sub(length) as u128, beyond as u128)
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let runs = text.split(|c: char| !c.is_alphanumeric());
    runs.filter(|run| !run.is_empty()).map(str::to_lowercase)
}

fn is_content(word: &str) -> bool {
    word.chars().count() > 3 || word.chars().any(char::is_numeric)
}

fn content(text: &str) -> impl Iterator<Item = String> {
    words(text).filter(|word| is_content(word))
}

/// How many words are short ones, and how many there are.
fn forms(text: &str) -> (usize, usize) {
    words(text).fold((0, 0), |(short, all), word| {
        (short + usize::from(!is_content(&word)), all + 1)
    })
}

fn length(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// The binary logarithm in units of 2⁻¹⁶, rounded down; in whole numbers, so that it is the same everywhere. 0 for 0.
fn log2(number: u64) -> u64 {
    let Some(whole) = number.checked_ilog2() else {
        return 0;
    };
    // The mantissa, 1 to 2 in units of 2⁻³¹: squaring it doubles its logarithm, a bit at a time.
    let mut mantissa = (u128::from(number) << 31) >> whole;
    let mut log = u64::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = u64::from(mantissa >= 1 << 32);
        mantissa >>= bit;
        log = log << 1 | bit;
    }
    log
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{judge, judged, numbers};
    use super::*;

    const TEXT: &str = "The harbour of the town was built by fishermen. My aunt likes green tea. Fishermen still use \
        the old harbour every morning. In summer the harbour of the town is full of visitors who watch the fishermen. \
        Nobody knows why the clock stopped! Visitors of the town buy fish at the harbour.";

    async fn scores(outputs: &[Value]) -> Vec<Score> {
        let task =
            json!({"task_type": "summarization", "source_language": "en", "input_text": {"text": TEXT}});
        judge().await.evaluate(&judged(task, outputs), None).await
    }

    #[tokio::test]
    async fn good_summaries_score_high_and_others_low() {
        let summary = |text: &str| json!({ "summary": text });
        let outputs = [
            summary("In summer the harbour of the town is full of visitors who watch the fishermen."),
            summary("Visitors of the town watch the fishermen at the old harbour."),
            summary("My aunt likes green tea. Nobody knows why the clock stopped!"),
            summary("harbour town fishermen visitors summer morning watch full built"),
            summary(TEXT),
            summary(&TEXT.repeat(2)),
            summary("The stock market of the moon fell by eleven percent on Friday."),
            summary(""),
            json!({"text": "harbour"}),
        ];
        let scores = scores(&outputs).await;
        let numbers = numbers(&scores);
        assert!(numbers[0] > 60_000 && numbers[1] > 55_000, "{numbers:?}");
        assert!(numbers[2] < 40_000, "{numbers:?}");
        assert_eq!(numbers[3..], [0; 6], "{numbers:?}");
        let parts = scores[4].parts.unwrap();
        assert_eq!((parts.accuracy, parts.quality), (0, 0));
    }

    /// Sentences of 12, 13 and 8 characters.
    fn source() -> Source {
        let ranked = ["alpha beta of.", "alpha gamma of.", "delta of."].map(str::to_owned);
        Source::of("alpha beta of. alpha gamma of. delta of.", ranked.to_vec())
    }

    #[test]
    fn values_computed_by_hand() {
        let source = source();
        // (1 + 8) · log2(1 + 3/2)², and log2(1 + 3/1)² for the others.
        let alpha = 9 * u128::from(log2(5) - log2(2)).pow(2);
        let other = 1 << 34;
        assert_eq!(source.weights["alpha"], alpha);
        assert_eq!(source.weights["delta"], other);
        assert_eq!(source.weights["beta"], other);
        assert_eq!((source.weights.len(), source.length), (4, 33));
        assert_eq!((source.short_words, source.words), (3, 8));
        assert_eq!(source.carried("Beta, beta of ALPHA"), alpha + other);
        // Our own: the first sentence has 12 characters, the second 13.
        assert_eq!(source.own(12), alpha + other);
        assert_eq!(source.own(25), alpha + 2 * other);
        assert_eq!(source.own(6), u128::midpoint(alpha, other));
        assert_eq!(source.grounding("alpha of news"), 32_767);
        // 3 of 8 words are short in the text: half of that share is enough, and 1 of 8 is two thirds of enough.
        assert_eq!(source.form("alpha beta of"), u16::MAX);
        assert_eq!(source.form("alpha beta alpha beta alpha beta alpha of"), 43_690);
        assert_eq!(source.form("alpha beta"), 0);
        // 33 characters, of which 13 may be left over beyond 20.
        assert_eq!(source.shortness(&"a".repeat(20)), u16::MAX);
        assert_eq!(source.shortness(&"a".repeat(27)), part(6, 13));
        assert_eq!(source.shortness(&"a".repeat(33)), 0);
        assert_eq!(source.accuracy("alpha beta of."), u16::MAX);
        assert_eq!(source.quality("alpha beta of."), u16::MAX);
    }

    #[test]
    fn a_summary_has_a_least_length() {
        let long = Source::of(&"word and ".repeat(1000), vec!["word and".into(); 1000]);
        assert_eq!(long.length, 7000);
        assert_eq!(long.quality(&"a".repeat(300)), u16::MAX);
        assert_eq!(long.quality(&"a".repeat(150)), 32_767);
        let short = Source::of("one two three. four. five six seven.", vec!["a".into(); 3]);
        assert_eq!(short.quality("a"), u16::MAX);
    }

    #[test]
    fn a_sentence_or_two_may_be_given_back() {
        let text = "The house is red.";
        let source = Source::of(text, vec![text.into()]);
        assert_eq!(
            (source.accuracy(text), source.quality(text)),
            (u16::MAX, u16::MAX)
        );
        assert_eq!(source.accuracy(&format!("{text} The house is red.")), 0);
    }

    #[test]
    fn logarithms_are_those_of_mathematics() {
        assert_eq!((log2(0), log2(1), log2(2), log2(1024)), (0, 0, 1 << 16, 10 << 16));
        // log2(3) = 1.584962500721, log2(10) = 3.321928094887, in units of 2^-16, rounded down.
        assert_eq!((log2(3), log2(10)), (103_872, 217_705));
        assert!((1..2000).map(log2).is_sorted());
        assert!(log2(u64::MAX) < 64 << 16);
    }
}
