//! The consensus of a column: the highest weight that at least κ of the stake supports.

use super::math::{Fixed, Row, ZERO, normalise, sum};

/// The consensus of every column. Rows without active stake have no say; a weight nobody wrote counts as zero.
pub(super) fn consensus(stake: &[Fixed], weights: &[Row], columns: usize, kappa: Fixed) -> Vec<Fixed> {
    let mut voices: Vec<Fixed> = stake.iter().copied().filter(|x| *x > ZERO).collect();
    normalise(&mut voices);
    let total = sum(&voices);
    let minority = total.saturating_sub(kappa);

    let mut scores = vec![vec![ZERO; voices.len()]; columns];
    let rows = stake.iter().zip(weights).filter(|(stake, _)| **stake > ZERO);
    for (voice, (_, row)) in rows.enumerate() {
        for (column, weight) in row {
            if let Some(scores) = scores.get_mut(usize::from(*column)) {
                scores[voice] = *weight;
            }
        }
    }
    scores
        .iter()
        .map(|scores| median(&voices, scores, minority, total))
        .collect()
}

/// The score at which the stake strictly below is at most the minority, by partition at the middle element, as
/// the chain searches for it: sums of parts are rounded alike.
fn median(stake: &[Fixed], scores: &[Fixed], minority: Fixed, total: Fixed) -> Fixed {
    let mut part: Vec<usize> = (0..stake.len()).collect();
    let (mut low, mut high) = (ZERO, total);
    loop {
        let Some(pivot) = part.get(part.len() / 2).map(|i| scores[*i]) else {
            return ZERO;
        };
        if part.len() == 1 {
            return pivot;
        }
        let below: Vec<usize> = part.iter().copied().filter(|i| scores[*i] < pivot).collect();
        let above: Vec<usize> = part.iter().copied().filter(|i| scores[*i] > pivot).collect();
        let staked = |part: &[usize]| part.iter().fold(ZERO, |sum, i| sum.saturating_add(stake[*i]));
        let up_to = low.saturating_add(staked(&below));
        let from = high.saturating_sub(staked(&above));
        if minority < up_to && !below.is_empty() {
            (part, high) = (below, up_to);
        } else if from <= minority && !above.is_empty() {
            (part, low) = (above, from);
        } else {
            return pivot;
        }
    }
}
