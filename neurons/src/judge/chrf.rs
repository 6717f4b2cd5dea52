//! chrF, the character n-gram F-score of Popović (2015), in integers, so that every machine gets the same score.
//! Counts characters (not bytes) with all white space removed; knows nothing of words or languages.

use std::collections::HashMap;

/// The longest n-gram.
const MAX_ORDER: usize = 6;
/// β²: recall counts four times as much as precision.
const BETA_SQUARED: u128 = 4;
/// Fixed point of the means.
const ONE: u128 = 1 << 32;

/// How close `hypothesis` is to `reference`: 0 (nothing in common) to 65535 (the same but for white space).
///
/// Precision and recall are averaged over the orders 1..=6 that the reference is long enough for, then combined
/// with β = 2. A hypothesis too short for an order has precision and recall 0 there. An empty reference is matched
/// by nothing.
pub fn chrf(hypothesis: &str, reference: &str) -> u16 {
    let (hypothesis, reference) = (characters(hypothesis), characters(reference));
    let orders = reference.len().min(MAX_ORDER);
    if orders == 0 {
        return 0;
    }
    let (mut precision, mut recall) = (0, 0);
    for n in 1..=orders {
        let common = common(&hypothesis, &reference, n);
        precision += share(common, hypothesis.len().saturating_sub(n - 1));
        recall += share(common, reference.len() - (n - 1));
    }
    let (precision, recall) = (precision / orders as u128, recall / orders as u128);
    let denominator = BETA_SQUARED * precision + recall;
    if denominator == 0 {
        return 0;
    }
    let score = (1 + BETA_SQUARED) * precision * recall / denominator;
    u16::try_from(score * u128::from(u16::MAX) / ONE).unwrap_or(u16::MAX)
}

fn characters(text: &str) -> Vec<char> {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// How many n-grams both have, each counted as often as in the text that has it less often.
fn common(hypothesis: &[char], reference: &[char], n: usize) -> usize {
    let mut left: HashMap<&[char], usize> = HashMap::new();
    for gram in reference.windows(n) {
        *left.entry(gram).or_default() += 1;
    }
    let mut common = 0;
    for gram in hypothesis.windows(n) {
        if let Some(left) = left.get_mut(gram).filter(|left| **left > 0) {
            *left -= 1;
            common += 1;
        }
    }
    common
}

fn share(part: usize, whole: usize) -> u128 {
    if whole == 0 {
        0
    } else {
        part as u128 * ONE / whole as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_all_and_no_common_character_nothing() {
        for text in ["a", "ab", "La casa es roja.", "日本語のテキスト", "ααα βββ"] {
            assert_eq!(chrf(text, text), u16::MAX, "{text}");
        }
        assert_eq!(chrf("xyz", "abc"), 0);
        assert_eq!(chrf("", "abc"), 0);
        assert_eq!(chrf("abc", ""), 0);
        assert_eq!(chrf("", ""), 0);
        assert_eq!(chrf(" \n", "\t"), 0);
    }

    #[test]
    fn white_space_does_not_count() {
        assert_eq!(chrf("La casa\nes roja.", "La casa es  roja."), u16::MAX);
    }

    #[test]
    fn values_computed_by_hand() {
        // Orders 1..=4, each with P = R: 3/4, 2/3, 1/2, 0; mean 23/48.
        assert_eq!(chrf("abcd", "abce"), 31402);
        // P = (1 + 1 + 0)/3 = 2/3, R = (2/3 + 1/2 + 0)/3 = 7/18; 5PR/(4P + R) = 14/33.
        assert_eq!(chrf("ab", "abc"), 27802);
        // The other way round recall is full where it can be: P = (2/3 + 1/2)/2 = 7/12, R = 1; F = 7/8.
        assert_eq!(chrf("abc", "ab"), 57343);
        // Repetition is clipped: n = 1 has P = 1/4, R = 1.
        assert_eq!(chrf("aaaa", "a"), 40959);
    }

    #[test]
    fn a_sentence_as_a_plain_floating_point_program_scores_it() {
        let score = chrf(
            "El perro grande duerme en la casa.",
            "El gran perro duerme en casa.",
        );
        assert_eq!(score, 35813);
    }

    #[test]
    fn closer_texts_score_higher() {
        let reference = "El gato duerme en la casa roja.";
        let near = chrf("El gato duerme en la casa verde.", reference);
        let far = chrf("Los perros corren por el campo.", reference);
        assert!(near > 50_000 && far < 20_000, "{near} {far}");
    }
}
