//! Extractive summaries in plain Rust: sentences that resemble many others matter (Mihalcea and Tarau, 2004).
//! Quotes the text and writes nothing of its own; needs languages that put blanks between words.

use std::collections::BTreeMap;

use super::{EngineError, Profile, QualityTier, TaskType};

const MAX_INPUT_BYTES: u64 = 256 * 1024;
/// Beyond this many sentences only the first are looked at; the work grows with the square.
const MAX_SENTENCES: usize = 1500;
/// The most sentences of a summary for which no length was given.
const USUAL_LONGEST: usize = 10;
const DAMPING: f64 = 0.85;
const ROUNDS: usize = 60;
const SETTLED: f64 = 1e-7;

/// Languages that write blanks between words and end sentences with `.`, `!` or `?`.
const LANGUAGES: [&str; 26] = [
    "af", "ca", "cs", "da", "de", "en", "eo", "es", "et", "eu", "fi", "fr", "gl", "hr", "hu", "id", "it",
    "nb", "nl", "pl", "pt", "ro", "ru", "sv", "tr", "uk",
];

#[derive(Debug)]
pub(super) struct TextRank;

/// Always there.
pub(super) fn discover() -> Vec<(Profile, TextRank)> {
    let profile = Profile {
        engine: "textrank".into(),
        model_id: "textrank/1".into(),
        task_type: TaskType::Summarization,
        languages: LANGUAGES.map(String::from).into(),
        pairs: Vec::new(),
        max_input_bytes: MAX_INPUT_BYTES,
        quality_tier: QualityTier::Heuristic,
    };
    vec![(profile, TextRank)]
}

impl TextRank {
    /// The `max_sentences` most central sentences, in the order of the text; a fifth of them when no number is given.
    pub(super) async fn summarize(
        &self,
        text: &str,
        max_sentences: Option<usize>,
    ) -> Result<String, EngineError> {
        let text = text.to_owned();
        // A second of arithmetic must not hold up the heartbeats.
        let summary = tokio::task::spawn_blocking(move || summary(&text, max_sentences)).await;
        summary.map_err(|_| EngineError::Output("the ranking broke"))
    }

    /// All sentences, the most central first.
    pub(super) async fn rank(&self, text: &str) -> Result<Vec<String>, EngineError> {
        let text = text.to_owned();
        let ranked = tokio::task::spawn_blocking(move || {
            let (mut sentences, order) = ranked(&text);
            let sentence = |index: usize| std::mem::take(&mut sentences[index]);
            order.into_iter().map(sentence).collect()
        });
        ranked.await.map_err(|_| EngineError::Output("the ranking broke"))
    }
}

/// The sentences in their order, and their numbers by falling rank.
fn ranked(text: &str) -> (Vec<String>, Vec<usize>) {
    let mut sentences = sentences(text);
    sentences.truncate(MAX_SENTENCES);
    let ranks = ranks(&sentences);
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));
    (sentences, order)
}

fn summary(text: &str, max_sentences: Option<usize>) -> String {
    let (sentences, mut order) = ranked(text);
    let usual = || sentences.len().div_ceil(5).min(USUAL_LONGEST);
    order.truncate(max_sentences.unwrap_or_else(usual).max(1));
    order.sort_unstable();
    order
        .into_iter()
        .map(|index| sentences[index].as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Splits after `.`, `!`, `?` and `…` before a blank, and at empty lines; not after an initial or one of a few
/// abbreviations. White space within a sentence becomes one blank.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut sentence: Vec<&str> = Vec::new();
        for word in paragraph.split_whitespace() {
            sentence.push(word);
            if ends_sentence(word) {
                sentences.push(sentence.join(" "));
                sentence.clear();
            }
        }
        if !sentence.is_empty() {
            sentences.push(sentence.join(" "));
        }
    }
    sentences
}

fn ends_sentence(word: &str) -> bool {
    const ABBREVIATIONS: [&str; 14] = [
        "mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "no", "sr", "sra", "z.b",
    ];
    let core = word.trim_end_matches(['"', '\'', ')', ']', '»', '”', '’']);
    let Some(stem) = core.strip_suffix('.') else {
        return core.ends_with(['!', '?', '…']);
    };
    let stem = stem
        .trim_start_matches(['(', '"', '\'', '«', '“', '‘'])
        .to_lowercase();
    stem.chars().count() > 1 && !ABBREVIATIONS.contains(&stem.as_str())
}

/// `PageRank` over the cosine of the sentences' TF-IDF vectors. Everything is added in one order, so that the same
/// text gives the same ranks.
fn ranks(sentences: &[String]) -> Vec<f64> {
    let vectors = vectors(sentences);
    let count = vectors.len();
    let mut similar = vec![vec![0.0; count]; count];
    for a in 0..count {
        for b in a + 1..count {
            let cosine = dot(&vectors[a], &vectors[b]);
            similar[a][b] = cosine;
            similar[b][a] = cosine;
        }
    }
    let out: Vec<f64> = similar.iter().map(|row| row.iter().sum()).collect();
    let even = 1.0 / float(count.max(1));
    let mut ranks = vec![even; count];
    for _ in 0..ROUNDS {
        // What lonely sentences hold is shared out evenly.
        let lonely: f64 = (0..count).filter(|&b| out[b] <= 0.0).map(|b| ranks[b]).sum();
        let next: Vec<f64> = (0..count)
            .map(|a| {
                let given = (0..count)
                    .filter(|&b| out[b] > 0.0)
                    .map(|b| ranks[b] * similar[b][a] / out[b]);
                (1.0 - DAMPING) * even + DAMPING * (given.sum::<f64>() + lonely * even)
            })
            .collect();
        let moved: f64 = ranks.iter().zip(&next).map(|(old, new)| (old - new).abs()).sum();
        ranks = next;
        if moved < SETTLED {
            break;
        }
    }
    ranks
}

/// TF-IDF vectors of length 1, as pairs of word number and weight, ordered by number.
fn vectors(sentences: &[String]) -> Vec<Vec<(usize, f64)>> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut counted: Vec<BTreeMap<usize, usize>> = Vec::with_capacity(sentences.len());
    for sentence in sentences {
        let mut counts = BTreeMap::new();
        for word in sentence
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 1)
        {
            let next = numbers.len();
            *counts
                .entry(*numbers.entry(word.to_owned()).or_insert(next))
                .or_default() += 1;
        }
        counted.push(counts);
    }
    let mut containing = vec![0_usize; numbers.len()];
    for word in counted.iter().flat_map(BTreeMap::keys) {
        containing[*word] += 1;
    }
    let unit = |counts: &BTreeMap<usize, usize>| {
        let weight = |word: usize, count: usize| {
            float(count) * (float(sentences.len()) / float(containing[word])).ln()
        };
        let vector: Vec<_> = counts
            .iter()
            .map(|(&word, &count)| (word, weight(word, count)))
            .collect();
        let length = vector
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f64>()
            .sqrt();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        vector
            .into_iter()
            .map(|(word, weight)| (word, weight * scale))
            .collect()
    };
    counted.iter().map(unit).collect()
}

fn dot(left: &[(usize, f64)], right: &[(usize, f64)]) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some((a, x)), Some((b, y))) = (left.get(i), right.get(j)) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                sum += x * y;
                i += 1;
                j += 1;
            }
        }
    }
    sum
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Input, Output};
    use super::*;

    const TEXT: &str = "The harbour of the town was built by fishermen. My aunt likes green tea. Fishermen still use \
        the old harbour every morning. In summer the harbour of the town is full of visitors who watch the fishermen. \
        Nobody knows why the clock stopped! Visitors of the town buy fish at the harbour.";

    #[tokio::test]
    async fn central_sentences_are_quoted_in_their_order() {
        let catalogue = Catalogue::discover().await.only(&[TaskType::Summarization]);
        let input = Input::Summary {
            text: TEXT.into(),
            language: "en".into(),
            max_sentences: Some(2),
        };
        let Output::Summary { summary } = catalogue.engines()[0].run(&input).await.unwrap() else {
            panic!("a summary was asked for")
        };
        let quoted = sentences(&summary);
        assert_eq!(quoted.len(), 2);
        assert!(
            quoted
                .iter()
                .all(|sentence| TEXT.contains(sentence.as_str()) && sentence.contains("harbour"))
        );
        assert!(TEXT.find(&quoted[0]) < TEXT.find(&quoted[1]));
        assert!(summary.contains("In summer the harbour"), "{summary}");
    }

    #[test]
    fn few_or_equal_sentences_are_no_trouble() {
        assert_eq!(summary("One sentence.", Some(3)), "One sentence.");
        assert_eq!(
            summary("Same words. Same words. Same words.", Some(2)),
            "Same words. Same words."
        );
        assert_eq!(summary("", Some(3)), "");
        assert_eq!(summary("No end", Some(0)), "No end");
    }

    #[tokio::test]
    async fn a_fifth_is_usual_and_the_rank_begins_with_it() {
        assert_eq!(sentences(&summary(TEXT, None)).len(), 2);
        assert_eq!(sentences(&summary(&TEXT.repeat(20), None)).len(), USUAL_LONGEST);
        assert_eq!(summary("", None), "");
        let rank = TextRank.rank(TEXT).await.unwrap();
        assert_eq!(rank.len(), 6);
        assert!(
            sentences(&summary(TEXT, Some(2)))
                .iter()
                .all(|central| rank[..2].contains(central))
        );
    }

    #[test]
    fn abbreviations_and_initials_end_no_sentence() {
        let split = sentences(
            "Mr. Smith met J. Doe (Dr. Who). \"Why?\" he asked, e.g. today. Line\nbreak here.\n\nTitle",
        );
        let wanted = [
            "Mr. Smith met J. Doe (Dr. Who).",
            "\"Why?\"",
            "he asked, e.g. today.",
            "Line break here.",
            "Title",
        ];
        assert_eq!(split, wanted);
    }

    #[test]
    fn ranks_sum_to_one_and_a_long_text_is_quick() {
        let ranks_of = |text: &str| ranks(&sentences(text));
        assert!((ranks_of(TEXT).iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let started = std::time::Instant::now();
        assert!(!summary(&TEXT.repeat(100), Some(5)).is_empty());
        assert!(
            started.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }
}
