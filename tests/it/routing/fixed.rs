//! Literals that a third implementation made (Python: `hashlib.blake2b` and big integers), and the boundary of rejection.
use violet::domain::routing::{Excluded, draw, draw_seed, request_digest, weights};
use violet_chain::Coldkey;

use super::{candidate, fixed_candidates, second, uids, usual_rule};

#[test]
fn the_digest_of_a_request_is_fixed() {
    let account: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    // Compact length 16 and "violet/request/1", netuid, account, compact length and entropy, input digest.
    let head = "4076696f6c65742f726571756573742f310201000102030405060708090a0b0c0d0e0f";
    let input = "11".repeat(32);
    for (entropy, scale, digest) in [
        (
            &b"key-1"[..],
            "146b65792d31",
            "24f895b452ce9adb2fce9cf5149148260ac74cb52109fa07388caef4859a783a",
        ),
        (
            &b""[..],
            "00",
            "57fe6fe806961b95994e3d56d1d4c8321c2b653115a22df446f4f223c13311a8",
        ),
    ] {
        let preimage = hex::decode(format!("{head}{scale}{input}")).unwrap();
        assert_eq!(hex::encode(second::hash(&preimage)), digest);
        assert_eq!(
            hex::encode(request_digest(0x0102, account, entropy, [0x11; 32])),
            digest
        );
    }
}

/// The request of the fixed vectors.
const REQUEST: &str = "24f895b452ce9adb2fce9cf5149148260ac74cb52109fa07388caef4859a783a";
const SEEDS: [&str; 3] = [
    "f59cd4e3d8ec6052fd8c269b317b0cd7d668fce2b22e108d8994619916b6e09b",
    "bf973d8a4ec8aa093294a4ed5c84f461b241b8aa279da0641cd23fdfd4c3719f",
    "5777741851c19c3af277d78a983742cbef73056f655f3e862636516a690ccaae",
];

fn fixed_seed(number: u32) -> [u8; 32] {
    let request = hex::decode(REQUEST).unwrap().try_into().unwrap();
    draw_seed([0x22; 32], request, number)
}

#[test]
fn the_seeds_of_draws_are_fixed() {
    for (number, digest) in (0u32..).zip(SEEDS) {
        // Compact length 13 and "violet/draw/1", base, request digest, draw.
        let preimage = format!(
            "3476696f6c65742f647261772f31{}{REQUEST}0{number}000000",
            "22".repeat(32)
        );
        assert_eq!(hex::encode(second::hash(&hex::decode(preimage).unwrap())), digest);
        assert_eq!(hex::encode(fixed_seed(number)), digest);
    }
}

#[test]
fn the_weights_and_draws_of_a_set_are_fixed() {
    let candidates = fixed_candidates();
    let weighed = weights(&usual_rule(), &candidates);
    assert_eq!(
        weighed,
        [
            511_816_935_500_000,
            406_828_846_475_000,
            842_887_331_300_000,
            400_863_614_271_428,
            377_599_208_000_000
        ]
    );
    // Of the owner of 3 and 4 one comes first; the other is last, when no other owner is left.
    let all = [[4, 9, 0, 200, 3], [0, 200, 3, 9, 4], [200, 3, 0, 9, 4]];
    // Without 0 and 3, whose owners were drawn before: 4 is the second owner's and comes last.
    let replacements = [[9, 200, 4], [200, 9, 4], [9, 200, 4]];
    let earlier = Excluded {
        uids: [0, 3].into(),
        coldkeys: [Coldkey([1; 32]), Coldkey([2; 32])].into(),
    };
    for number in 0..3u32 {
        let at = usize::try_from(number).unwrap();
        let seed = fixed_seed(number);
        let drawn =
            |excluded: &Excluded, k| uids(&candidates, &draw(seed, &candidates, &weighed, excluded, k));
        assert_eq!(drawn(&Excluded::default(), 5), all[at]);
        assert_eq!(drawn(&Excluded::default(), 3), all[at][..3]);
        assert_eq!(drawn(&Excluded::default(), 1), all[at][..1]);
        assert_eq!(drawn(&earlier, 3), replacements[at]);
    }
}

/// A seed whose first number is known, and above 2^127: a sum T of the weights above 2^127 accepts exactly x < T.
const HIGH: [u8; 32] = [2; 32];

#[test]
fn a_number_at_the_boundary_is_rejected_and_below_it_taken() {
    let x = second::point(HIGH, 0, 0);
    assert!(x > 1 << 127);
    let candidates = [candidate(0, 1, 0, 0), candidate(1, 2, 0, 0)];
    let first = |weighed: [u128; 2]| draw(HIGH, &candidates, &weighed, &Excluded::default(), 1);
    let rejected = |weighed: [u128; 2]| second::draw(HIGH, &candidates, &weighed, &Excluded::default(), 1).1;

    // T = x + 1: the largest number that is taken, and the last point of the last candidate.
    assert_eq!(rejected([x, 1]), 0);
    assert_eq!(first([x, 1]), [1]);
    assert_eq!(first([x + 1, 0]), [0]);

    // T = x: the smallest number that is rejected. Reduced it would be 0; the next try decides instead.
    assert!(rejected([1, x - 1]) >= 1);
    assert_eq!(first([1, x - 1]), [1]);

    // T a power of two divides 2^128: nothing is rejected.
    assert_eq!(rejected([1 << 126, 1 << 126]), 0);
    let reduced = x % (1 << 127);
    assert_eq!(first([1 << 126, 1 << 126]), [usize::from(reduced >= 1 << 126)]);
}

#[test]
fn rejected_numbers_are_tried_again_alike_by_both() {
    // T = 2^127 + 1 rejects about every second number.
    let candidates = [candidate(0, 1, 0, 0), candidate(1, 2, 0, 0)];
    let weighed = [1 << 127, 1];
    let mut rejections = 0;
    for number in 0..1000 {
        let seed = second::seed([3; 32], [4; 32], number);
        let chosen = draw(seed, &candidates, &weighed, &Excluded::default(), 1);
        let (expected, rejected) = second::draw(seed, &candidates, &weighed, &Excluded::default(), 1);
        assert_eq!(uids(&candidates, &chosen), expected);
        rejections += rejected;
    }
    assert!((800..1200).contains(&rejections), "{rejections}");
}
