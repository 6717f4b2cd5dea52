//! `stake-mix/1`: a second implementation, fixed vectors, the distribution of draws, and the properties that it promises.
mod distribution;
mod fixed;
mod generated;
mod second;

use std::collections::BTreeSet;

use violet::domain::routing::{Candidate, Excluded, Rule, draw, weights};
use violet_chain::{Coldkey, Hotkey};

const TAO: u64 = 1_000_000_000;

fn rule(stake: u32, performance: u32, floor: u32) -> Rule {
    Rule {
        netuid: 1,
        name: "stake-mix/1".into(),
        stake,
        performance,
        floor,
        capacity_limit: 32,
        snapshot_interval: 10,
        heartbeat_ttl_seconds: 30,
    }
}

fn usual_rule() -> Rule {
    rule(500_000, 300_000, 200_000)
}

/// A candidate that is free, with an owner of this number.
fn candidate(uid: u16, owner: u8, stake: u64, performance: u32) -> Candidate {
    Candidate {
        uid,
        hotkey: Hotkey([0xf0; 32]),
        coldkey: Coldkey([owner; 32]),
        stake,
        performance,
        free: 4,
        capacity: 4,
    }
}

fn uids(candidates: &[Candidate], chosen: &[usize]) -> Vec<u16> {
    chosen.iter().map(|&index| candidates[index].uid).collect()
}

/// The set of the fixed vectors: two miners of one owner, one without stake, one without performance.
fn fixed_candidates() -> Vec<Candidate> {
    let with = |candidate: Candidate, free, capacity| Candidate {
        free,
        capacity,
        ..candidate
    };
    vec![
        with(candidate(0, 1, 2000 * TAO, 93_750), 4, 4),
        with(candidate(3, 2, 8000 * TAO, 500_000), 1, 4),
        with(candidate(4, 2, 5000 * TAO, 0), 32, 32),
        with(candidate(9, 3, 0, 1_000_000), 3, 7),
        with(candidate(200, 4, 1000 * TAO + 7, 93_750), 2, 2),
    ]
}

#[test]
fn one_owner_is_not_drawn_twice_while_others_are_left() {
    // Owner 1 has nearly all stake in six miners; owners 2 and 3 have one each.
    let mut candidates: Vec<Candidate> = (0..6).map(|uid| candidate(uid, 1, 1 << 50, 900_000)).collect();
    candidates.push(candidate(6, 2, 1, 1));
    candidates.push(candidate(7, 3, 1, 1));
    let weighed = weights(&usual_rule(), &candidates);
    for number in 0..500 {
        let seed = second::seed([1; 32], [1; 32], number);
        let chosen = draw(seed, &candidates, &weighed, &Excluded::default(), 5);
        let owners: Vec<u8> = chosen.iter().map(|&at| candidates[at].coldkey.0[0]).collect();
        let first: BTreeSet<u8> = owners[..3].iter().copied().collect();
        assert_eq!(first, BTreeSet::from([1, 2, 3]), "{owners:?}");
        // From then on only owner 1 is left, and is used.
        assert_eq!(owners[3..], [1, 1]);
        let distinct: BTreeSet<&usize> = chosen.iter().collect();
        assert_eq!(distinct.len(), 5);
    }
}

#[test]
fn earlier_draws_exclude_their_miners_and_put_their_owners_last() {
    let candidates: Vec<Candidate> = [(0, 1), (1, 1), (2, 2), (3, 3)]
        .map(|(uid, owner)| candidate(uid, owner, 1000, 1000))
        .into();
    let weighed = weights(&usual_rule(), &candidates);
    let drawn = |seed, uids_out: &[u16], owners_out: &[u8], k| {
        let excluded = Excluded {
            uids: uids_out.iter().copied().collect(),
            coldkeys: owners_out.iter().map(|owner| Coldkey([*owner; 32])).collect(),
        };
        uids(&candidates, &draw(seed, &candidates, &weighed, &excluded, k))
    };
    for number in 0..200 {
        let seed = second::seed([2; 32], [2; 32], number);
        // 0 was drawn before: 1 has the same owner and stands back until the others are used up.
        let replacements = drawn(seed, &[0], &[1], 3);
        assert_eq!(replacements[2], 1, "{replacements:?}");
        assert!(!replacements.contains(&0));
        assert_ne!(drawn(seed, &[0], &[1], 1), [1]);
        // Only the second miner of that owner is left: it is better than nobody.
        assert_eq!(drawn(seed, &[0, 2, 3], &[1, 2, 3], 3), [1]);
        // All were drawn before.
        assert!(drawn(seed, &[0, 1, 2, 3], &[1, 2, 3], 3).is_empty());
    }
}

#[test]
fn fewer_candidates_than_slots_are_all_drawn_and_none_is_nobody() {
    let candidates = [candidate(3, 1, 10, 10), candidate(8, 2, 10, 10)];
    let weighed = weights(&usual_rule(), &candidates);
    let mut chosen = draw([1; 32], &candidates, &weighed, &Excluded::default(), 10);
    chosen.sort_unstable();
    assert_eq!(chosen, [0, 1]);
    assert!(draw([1; 32], &candidates, &weighed, &Excluded::default(), 0).is_empty());
    assert!(weights(&usual_rule(), &[]).is_empty());
    assert!(draw([1; 32], &[], &[], &Excluded::default(), 3).is_empty());
}

#[test]
fn a_miner_without_stake_or_performance_keeps_its_floor() {
    let candidates = [
        candidate(0, 1, 0, 0),
        candidate(1, 2, 100 * TAO, 500_000),
        candidate(2, 3, 100 * TAO, 500_000),
    ];
    let third = (1u128 << 32) / 3;
    let half = 1u128 << 31;
    let rich = 500_000 * half + 300_000 * half + 200_000 * third;
    assert_eq!(weights(&usual_rule(), &candidates), [200_000 * third, rich, rich]);
}

#[test]
fn where_nobody_has_stake_or_performance_all_are_equal() {
    let candidates: Vec<Candidate> = (0..3).map(|uid| candidate(uid, 1, 0, 0)).collect();
    let third = (1u128 << 32) / 3;
    assert_eq!(weights(&usual_rule(), &candidates), [1_000_000 * third; 3]);
}

#[test]
fn free_places_scale_the_weight_and_one_is_the_least() {
    let with = |free, capacity| Candidate {
        free,
        capacity,
        ..candidate(0, 1, 0, 0)
    };
    let one = |free, capacity| weights(&usual_rule(), &[with(free, capacity)])[0];
    let whole = 1_000_000u128 << 32;
    assert_eq!(one(4, 4), whole);
    assert_eq!(one(1, 4), whole / 4);
    assert_eq!(one(1, 3), whole / 3);
    assert_eq!(one(32, 32), whole);

    // No floor, no stake: nothing but the least weight is left, and it can still be drawn.
    let candidates = [candidate(0, 1, 0, 0), candidate(1, 2, u64::MAX, 1_000_000)];
    let weighed = weights(&rule(1_000_000, 0, 0), &candidates);
    assert_eq!(weighed, [1, whole]);
    assert_eq!(
        draw([1; 32], &candidates, &weighed, &Excluded::default(), 2).len(),
        2
    );
}

#[test]
fn the_largest_stakes_do_not_overflow() {
    // 4096 neurons, far more than a subnet has, each with the largest number that the chain can express.
    let largest: Vec<Candidate> = (0..4096)
        .map(|uid| Candidate {
            free: u16::MAX,
            capacity: u16::MAX,
            ..candidate(uid, 1, u64::MAX, u32::MAX)
        })
        .collect();
    let weighed = weights(&usual_rule(), &largest);
    assert_eq!(weighed, second::weights(&usual_rule(), &largest));
    // Equal shares, and 4096 divides 2^32.
    assert_eq!(weighed, vec![1_000_000 * (1u128 << 20); 4096]);
    assert_eq!(
        draw([1; 32], &largest, &weighed, &Excluded::default(), 10).len(),
        10
    );

    // One against many: the share of the one rounds down to nothing, its floor does not.
    let mut uneven = largest;
    uneven[0].stake = 1;
    let weighed = weights(&usual_rule(), &uneven);
    assert_eq!(weighed, second::weights(&usual_rule(), &uneven));
    assert_eq!(weighed[0], 500_000 * (1u128 << 20));
}

#[test]
fn parameters_that_make_no_rule_are_refused() {
    assert_eq!(usual_rule().validate(), Ok(()));
    assert_eq!(rule(1_000_000, 0, 0).validate(), Ok(()));
    for (stake, performance, floor, sum) in [
        (500_000, 300_000, 200_001, "1000001"),
        (500_000, 300_000, 199_999, "999999"),
        (0, 0, 0, "0"),
        // The sum wraps to a million in 32 bits.
        (u32::MAX, 1_000_000, 1, "4295967296"),
    ] {
        let refusal = rule(stake, performance, floor).validate().unwrap_err();
        assert!(refusal.contains(&format!("add up to {sum},")), "{refusal}");
    }
    let refused = |change: fn(&mut Rule)| {
        let mut rule = usual_rule();
        change(&mut rule);
        rule.validate().is_err()
    };
    assert!(refused(|rule| rule.capacity_limit = 0));
    assert!(refused(|rule| rule.snapshot_interval = 0));
    assert!(refused(|rule| rule.heartbeat_ttl_seconds = 0));
}
