//! Word error rate: how many words must be changed, left out or put in to get from one text to another.
//! Case and punctuation do not count, since recognisers give none; numbers are left as they are written.

use std::collections::HashMap;

/// The counts behind a word error rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordErrors {
    /// Substitutions, deletions and insertions, as few as possible.
    pub errors: usize,
    /// Words of the reference.
    pub reference: usize,
    /// Words of the hypothesis.
    pub hypothesis: usize,
}

impl WordErrors {
    /// Errors ÷ words of the reference; may exceed 1. An empty reference counts as one word.
    pub fn rate(&self) -> f64 {
        let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        float(self.errors) / float(self.reference.max(1))
    }

    /// What is right, 0 (as many errors as words, or more) to 65535 (no error).
    pub fn accuracy(&self) -> u16 {
        let whole = self.reference.max(1) as u128;
        let right = whole.saturating_sub(self.errors as u128);
        u16::try_from(right * u128::from(u16::MAX) / whole).unwrap_or(u16::MAX)
    }
}

/// Compares the words of `hypothesis` with those of `reference`.
pub fn word_errors(reference: &str, hypothesis: &str) -> WordErrors {
    distance(&words(reference), &words(hypothesis))
}

/// What is right of `hypothesis`: max(0, 1 − word error rate) as 0..=65535; all of it when neither has a word.
///
/// The same as [`WordErrors::accuracy`], but without counting where the answer is so long that nothing can be right:
/// the work never grows beyond twice the square of the reference.
pub fn accuracy(reference: &str, hypothesis: &str) -> u16 {
    let (reference, hypothesis) = (words(reference), words(hypothesis));
    if hypothesis.len() >= 2 * reference.len().max(1) {
        return 0;
    }
    distance(&reference, &hypothesis).accuracy()
}

fn distance(reference: &[String], hypothesis: &[String]) -> WordErrors {
    // Numbers are quicker to compare than words.
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut number = |word| {
        let next = numbers.len();
        *numbers.entry(word).or_insert(next)
    };
    let reference: Vec<_> = reference.iter().map(|word| number(word)).collect();
    let hypothesis: Vec<_> = hypothesis.iter().map(|word| number(word)).collect();
    // Levenshtein's table, a row at a time: row[j] is the distance to the first j words of the hypothesis.
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (i, wanted) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, heard) in hypothesis.iter().enumerate() {
            let substituted = diagonal + usize::from(wanted != heard);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    WordErrors {
        errors: row[hypothesis.len()],
        reference: reference.len(),
        hypothesis: hypothesis.len(),
    }
}

/// Lower-case runs of letters, digits and apostrophes within a word.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let runs = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    runs.map(|run| run.trim_matches('\'').to_owned())
        .filter(|run| !run.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(reference: &str, hypothesis: &str) -> (usize, usize) {
        let WordErrors {
            errors, reference, ..
        } = word_errors(reference, hypothesis);
        (errors, reference)
    }

    #[test]
    fn changed_missing_and_added_words_count_once_each() {
        assert_eq!(errors("the cat sat", "the cat sat"), (0, 3));
        assert_eq!(errors("the cat sat", "the dog sat"), (1, 3));
        assert_eq!(errors("the cat sat", "cat sat"), (1, 3));
        assert_eq!(errors("the cat sat", "the cat sat down"), (1, 3));
        assert_eq!(errors("a b c d e", "b c x e f"), (3, 5));
        assert_eq!(errors("one two", ""), (2, 2));
        assert_eq!(errors("", "one two"), (2, 0));
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(errors("It\u{2019}s red, isn't it?", "it's RED isn't it"), (0, 4));
        assert_eq!(errors("'quoted' words", "quoted words"), (0, 2));
    }

    #[test]
    fn nothing_is_right_in_an_answer_of_twice_the_length() {
        for (reference, hypothesis) in [
            ("", ""),
            ("a", ""),
            ("", "a"),
            ("a b", "a x b"),
            ("a b", "a b c d"),
            ("a", "a a"),
        ] {
            let counted = word_errors(reference, hypothesis).accuracy();
            assert_eq!(
                accuracy(reference, hypothesis),
                counted,
                "{reference:?} {hypothesis:?}"
            );
        }
        assert_eq!(accuracy("", "..."), u16::MAX);
        let started = std::time::Instant::now();
        assert_eq!(accuracy("a b c", &"a ".repeat(500_000)), 0);
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn accuracy_is_what_is_right() {
        assert_eq!(word_errors("a b c d", "a b c d").accuracy(), u16::MAX);
        assert_eq!(word_errors("a b c d", "a b x y").accuracy(), 32767);
        assert_eq!(word_errors("a", "x y z").accuracy(), 0);
        assert!((word_errors("a b c d", "a b c x").rate() - 0.25).abs() < 1e-9);
    }
}
