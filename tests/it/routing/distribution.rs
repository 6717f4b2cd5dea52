//! Ten thousand draws against the weights that they should follow.
use violet::domain::routing::{Candidate, Excluded, draw, draw_seed, request_digest, weights};

use super::{TAO, candidate, fixed_candidates, usual_rule};

/// Pearson's statistic.
fn chi_square(observed: &[u32], expected: &[f64]) -> f64 {
    observed
        .iter()
        .zip(expected)
        .map(|(observed, expected)| (f64::from(*observed) - expected).powi(2) / expected)
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "weights below 2^53")]
fn as_float(weight: u128) -> f64 {
    assert!(weight < 1 << 53);
    weight as f64
}

const DRAWS: u32 = 10_000;

// Critical values of chi-square at 0.001: NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.4.
const CRITICAL_4: f64 = 18.467;
const CRITICAL_11: f64 = 31.264;

#[test]
fn the_first_pick_follows_the_weights() {
    let candidates = fixed_candidates();
    let weighed = weights(&usual_rule(), &candidates);
    let total: f64 = weighed.iter().copied().map(as_float).sum();
    let expected: Vec<f64> = weighed
        .iter()
        .map(|weight| f64::from(DRAWS) * as_float(*weight) / total)
        .collect();
    let mut observed = [0; 5];
    for number in 0..DRAWS {
        let seed = draw_seed(
            [5; 32],
            request_digest(1, [6; 16], &number.to_le_bytes(), [7; 32]),
            0,
        );
        observed[draw(seed, &candidates, &weighed, &Excluded::default(), 3)[0]] += 1;
    }
    let statistic = chi_square(&observed, &expected);
    assert!(
        statistic < CRITICAL_4,
        "{statistic}: {observed:?} against {expected:?}"
    );
}

#[test]
fn the_second_pick_follows_the_weights_of_those_left() {
    let candidates: Vec<Candidate> = (0..4u8)
        .map(|at| candidate(at.into(), at, u64::from(at) * 1000 * TAO, 100_000))
        .collect();
    let weighed = weights(&usual_rule(), &candidates);
    let total: f64 = weighed.iter().copied().map(as_float).sum();
    let pairs: Vec<(usize, usize)> = (0..4)
        .flat_map(|first| (0..4).map(move |next| (first, next)))
        .filter(|(first, next)| first != next)
        .collect();
    let expected: Vec<f64> = pairs
        .iter()
        .map(|&(first, next)| {
            let (first, next) = (as_float(weighed[first]), as_float(weighed[next]));
            f64::from(DRAWS) * first / total * next / (total - first)
        })
        .collect();
    let mut observed = vec![0; pairs.len()];
    for number in 0..DRAWS {
        let seed = draw_seed([8; 32], [9; 32], number);
        let chosen = draw(seed, &candidates, &weighed, &Excluded::default(), 2);
        let pair = pairs.iter().position(|pair| *pair == (chosen[0], chosen[1]));
        observed[pair.unwrap()] += 1;
    }
    let statistic = chi_square(&observed, &expected);
    assert!(
        statistic < CRITICAL_11,
        "{statistic}: {observed:?} against {expected:?}"
    );
}
