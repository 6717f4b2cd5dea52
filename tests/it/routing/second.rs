//! The rule `stake-mix/1` once more, from its text alone: shares nothing with `violet::domain::routing` but its types.
use std::collections::BTreeSet;

use blake2::{
    Blake2bVar,
    digest::{Update, VariableOutput},
};
use violet::domain::routing::{Candidate, Excluded, Rule};

/// BLAKE2b-256 over the concatenation.
pub(super) fn hash(preimage: &[u8]) -> [u8; 32] {
    let mut state = Blake2bVar::new(32).unwrap();
    state.update(preimage);
    let mut out = [0; 32];
    state.finalize_variable(&mut out).unwrap();
    out
}

/// A SCALE length and the bytes it counts.
pub(super) fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let mut out = match length {
        0..64 => vec![u8::try_from(length << 2).unwrap()],
        64..16_384 => u16::try_from(length << 2 | 1).unwrap().to_le_bytes().to_vec(),
        _ => (length << 2 | 2).to_le_bytes().to_vec(),
    };
    out.extend(bytes);
    out
}

pub(super) fn request(netuid: u16, account: [u8; 16], entropy: &[u8], input: [u8; 32]) -> [u8; 32] {
    let mut preimage = counted(b"violet/request/1");
    preimage.extend(netuid.to_le_bytes());
    preimage.extend(account);
    preimage.extend(counted(entropy));
    preimage.extend(input);
    hash(&preimage)
}

pub(super) fn seed(base: [u8; 32], request: [u8; 32], draw: u32) -> [u8; 32] {
    let mut preimage = counted(b"violet/draw/1");
    preimage.extend(base);
    preimage.extend(request);
    preimage.extend(draw.to_le_bytes());
    hash(&preimage)
}

pub(super) fn weights(rule: &Rule, eligible: &[Candidate]) -> Vec<u128> {
    const P: u128 = 4_294_967_296;
    let n = eligible.len() as u128;
    let mut stakes = 0u128;
    let mut performances = 0u128;
    for one in eligible {
        stakes += u128::from(one.stake);
        performances += u128::from(one.performance);
    }
    let mut all = Vec::new();
    for one in eligible {
        let f = P / n;
        let s = (P * u128::from(one.stake)).checked_div(stakes).unwrap_or(f);
        let p = (P * u128::from(one.performance))
            .checked_div(performances)
            .unwrap_or(f);
        let sum = u128::from(rule.stake) * s + u128::from(rule.performance) * p + u128::from(rule.floor) * f;
        let scaled = sum * u128::from(one.free) / u128::from(one.capacity);
        all.push(if scaled == 0 { 1 } else { scaled });
    }
    all
}

/// 2^128 mod T, by another way than the rule's own text.
fn surplus(total: u128) -> u128 {
    (u128::MAX % total + 1) % total
}

/// The x of round `j` and try `attempt`.
pub(super) fn point(seed: [u8; 32], j: u32, attempt: u32) -> u128 {
    let mut preimage = seed.to_vec();
    preimage.extend(j.to_le_bytes());
    preimage.extend(attempt.to_le_bytes());
    let digest = hash(&preimage);
    let mut x = 0u128;
    for at in (0..16).rev() {
        x = x << 8 | u128::from(digest[at]);
    }
    x
}

/// The uids chosen, and how often a number was rejected.
pub(super) fn draw(
    seed: [u8; 32],
    candidates: &[Candidate],
    weights: &[u128],
    excluded: &Excluded,
    k: usize,
) -> (Vec<u16>, u32) {
    let mut unchosen: Vec<(&Candidate, u128)> = Vec::new();
    for (one, weight) in candidates.iter().zip(weights) {
        if !excluded.uids.contains(&one.uid) {
            unchosen.push((one, *weight));
        }
    }
    let mut owners: BTreeSet<_> = excluded.coldkeys.clone();
    let (mut chosen, mut rejected) = (Vec::new(), 0);
    let rounds = k.min(unchosen.len());
    for j in 0..u32::try_from(rounds).unwrap() {
        let mut standing = unchosen.clone();
        standing.retain(|(one, _)| !owners.contains(&one.coldkey));
        if standing.is_empty() {
            standing.clone_from(&unchosen);
        }
        let total: u128 = standing.iter().map(|(_, weight)| weight).sum();
        let mut attempt = 0;
        let r = loop {
            let x = point(seed, j, attempt);
            if x <= u128::MAX - surplus(total) {
                break x % total;
            }
            attempt += 1;
            rejected += 1;
        };
        let mut running = 0;
        let mut winner = None;
        for (one, weight) in &standing {
            running += weight;
            if running > r {
                winner = Some(*one);
                break;
            }
        }
        let winner = winner.unwrap();
        owners.insert(winner.coldkey);
        unchosen.retain(|(one, _)| one.uid != winner.uid);
        chosen.push(winner.uid);
    }
    (chosen, rejected)
}
