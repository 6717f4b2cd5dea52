//! The routing rule `stake-mix/1`: weights and draws, exact, in integers, recomputable by anybody.
//!
//! Everything here is a pure function of what the records say.
use std::collections::BTreeSet;

use codec::{Decode, Encode};
use violet_chain::{Coldkey, Hotkey};

use super::blake2b_256;

/// The unit of shares: 2^32.
pub const SHARE: u128 = 1 << 32;
/// What the three weights of the rule add up to.
pub const WHOLE: u32 = 1_000_000;
/// Performance is given in parts per million.
pub const PERFORMANCE_SCALE: u32 = 1_000_000;

/// The parameters of the rule, recorded whenever they change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Rule {
    /// The subnet they hold for.
    pub netuid: u16,
    /// `stake-mix/1`.
    pub name: String,
    /// Weight of the stake share, in parts of a million.
    pub stake: u32,
    /// Weight of the performance share, in parts of a million.
    pub performance: u32,
    /// Weight of the equal share that lets newcomers be tried, in parts of a million.
    pub floor: u32,
    /// The most open assignments of one miner, whatever it declares.
    pub capacity_limit: u16,
    /// Snapshots are taken at block numbers that are multiples of this.
    pub snapshot_interval: u32,
    /// A heartbeat older than this many seconds does not count.
    pub heartbeat_ttl_seconds: u32,
}

impl Rule {
    /// Checks that the three weights add up to a million and that no limit is zero.
    ///
    /// # Errors
    /// Names the parameter that is off.
    pub fn validate(&self) -> Result<(), String> {
        let sum = u64::from(self.stake) + u64::from(self.performance) + u64::from(self.floor);
        if sum != u64::from(WHOLE) {
            return Err(format!("the routing weights add up to {sum}, not {WHOLE}"));
        }
        if self.capacity_limit == 0 || self.snapshot_interval == 0 || self.heartbeat_ttl_seconds == 0 {
            return Err("capacity_limit, snapshot_interval and heartbeat_ttl_seconds must be above 0".into());
        }
        Ok(())
    }
}

/// A miner that can do the task, as it stood when the candidate set was frozen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Candidate {
    /// Its place in the metagraph.
    pub uid: u16,
    /// Who it is.
    pub hotkey: Hotkey,
    /// Who owns it: one owner is not drawn twice for a task while others are left.
    pub coldkey: Coldkey,
    /// `total_stake` of the chain, in rao.
    pub stake: u64,
    /// 0..=1 000 000, the server's statement.
    pub performance: u32,
    /// Assignments it can take right now; above zero.
    pub free: u16,
    /// Assignments it can have open at once.
    pub capacity: u16,
}

/// The weight of each candidate: `max(1, ⌊(Ws·s + Wp·p + Wf·f) · free / capacity⌋)`.
///
/// `s` and `p` are shares of stake and performance in 2^32nds (equal shares where a sum is zero), `f` the equal
/// share. Terms are added so that a single zero does not silence a miner.
pub fn weights(rule: &Rule, candidates: &[Candidate]) -> Vec<u128> {
    let count = candidates.len() as u128;
    if count == 0 {
        return Vec::new();
    }
    let equal = SHARE / count;
    let all_stake: u128 = candidates
        .iter()
        .map(|candidate| u128::from(candidate.stake))
        .sum();
    let all_performance: u128 = candidates
        .iter()
        .map(|candidate| u128::from(candidate.performance))
        .sum();
    let share = |part: u128, sum: u128| (SHARE * part).checked_div(sum).unwrap_or(equal);
    candidates
        .iter()
        .map(|candidate| {
            let stake = share(u128::from(candidate.stake), all_stake);
            let performance = share(u128::from(candidate.performance), all_performance);
            let mix = u128::from(rule.stake) * stake
                + u128::from(rule.performance) * performance
                + u128::from(rule.floor) * equal;
            (mix * u128::from(candidate.free) / u128::from(candidate.capacity.max(1))).max(1)
        })
        .collect()
}

/// What ties a draw to its request: BLAKE2b-256 of SCALE("violet/request/1", netuid, account, entropy, input digest).
///
/// `account` is the organisation's id, `entropy` the client's `Idempotency-Key` or `Violet-Nonce` (empty when the
/// client sent none). The task id, which the server makes, does not enter.
pub fn request_digest(netuid: u16, account: [u8; 16], entropy: &[u8], input_digest: [u8; 32]) -> [u8; 32] {
    blake2b_256(&[&("violet/request/1", netuid, account, entropy, input_digest).encode()])
}

/// The seed of a draw: BLAKE2b-256 of SCALE("violet/draw/1", base, request digest, draw).
pub fn draw_seed(base: [u8; 32], request_digest: [u8; 32], draw: u32) -> [u8; 32] {
    blake2b_256(&[&("violet/draw/1", base, request_digest, draw).encode()])
}

/// Who may not be chosen in a draw, and which owners come last.
#[derive(Clone, Debug, Default)]
pub struct Excluded {
    /// Passed over in this draw or drawn for this task before.
    pub uids: BTreeSet<u16>,
    /// Owners of miners that were drawn for this task before.
    pub coldkeys: BTreeSet<Coldkey>,
}

/// Draws up to `count` candidates; returns their indices in the order in which they were chosen.
///
/// In round j those whose owner was not used yet in this task stand for election, or all that are left when there
/// is none. With T the sum of their weights, x the first 16 bytes (little-endian) of
/// BLAKE2b-256(seed ‖ j ‖ try), rejected while x > 2^128 − 1 − (2^128 mod T), the chosen one is the first, in uid
/// order, whose running sum exceeds x mod T.
pub fn draw(
    seed: [u8; 32],
    candidates: &[Candidate],
    weights: &[u128],
    excluded: &Excluded,
    count: usize,
) -> Vec<usize> {
    let mut left: Vec<usize> = (0..candidates.len())
        .filter(|&index| !excluded.uids.contains(&candidates[index].uid))
        .collect();
    let mut used = excluded.coldkeys.clone();
    let mut chosen = Vec::with_capacity(count.min(left.len()));
    for round in 0..u32::try_from(count).unwrap_or(u32::MAX) {
        let fresh: Vec<usize> = left
            .iter()
            .copied()
            .filter(|&index| !used.contains(&candidates[index].coldkey))
            .collect();
        let standing = if fresh.is_empty() { &left } else { &fresh };
        let total: u128 = standing.iter().map(|&index| weights[index]).sum();
        if total == 0 {
            break;
        }
        let mut point = uniform(seed, round, total);
        let winner = standing
            .iter()
            .copied()
            .find(|&index| {
                if point < weights[index] {
                    return true;
                }
                point -= weights[index];
                false
            })
            .expect("the point lies below the sum of the weights");
        used.insert(candidates[winner].coldkey);
        left.retain(|&index| index != winner);
        chosen.push(winner);
    }
    chosen
}

/// A number below `total`, each with the same probability.
fn uniform(seed: [u8; 32], round: u32, total: u128) -> u128 {
    // 2^128 mod T; what lies above the last whole multiple of T would favour small numbers.
    let surplus = (u128::MAX - total + 1) % total;
    let mut attempt = 0u32;
    loop {
        let hash = blake2b_256(&[&seed, &round.to_le_bytes(), &attempt.to_le_bytes()]);
        let x = u128::from_le_bytes(hash[..16].try_into().expect("16 of 32 bytes"));
        if x <= u128::MAX - surplus {
            return x % total;
        }
        attempt += 1;
    }
}
