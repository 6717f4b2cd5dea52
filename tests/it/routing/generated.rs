//! Both implementations on thousands of generated cases.
use violet::domain::routing::{Candidate, Excluded, Rule, draw, draw_seed, request_digest, weights};
use violet_chain::{Coldkey, Hotkey};

use super::{TAO, rule, second, uids};

/// `SplitMix64` (Steele, Lea and Flood 2014): the same cases on every run.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    fn rule(&mut self) -> Rule {
        let stake = self.below(1_000_001);
        let performance = self.below(1_000_001 - stake);
        let part = |value: u64| u32::try_from(value).unwrap();
        rule(
            part(stake),
            part(performance),
            part(1_000_000 - stake - performance),
        )
    }

    fn candidates(&mut self) -> Vec<Candidate> {
        let n = self.below(40);
        let owners = 1 + self.below(12);
        // Whole sets of zeros, of maxima and of newcomers occur, besides the usual.
        let (stakes, performances) = (self.below(4), self.below(3));
        let mut uid = 0u16;
        (0..n)
            .map(|_| {
                uid += 1 + u16::try_from(self.below(7)).unwrap();
                let capacity = 1 + u16::try_from(self.below(32)).unwrap();
                Candidate {
                    uid,
                    hotkey: Hotkey(self.bytes()),
                    coldkey: Coldkey([u8::try_from(self.below(owners)).unwrap(); 32]),
                    stake: match stakes {
                        0 => 0,
                        1 => u64::MAX,
                        2 => self.next() >> self.below(64),
                        _ => self.below(100_000) * TAO,
                    },
                    performance: match performances {
                        0 => 0,
                        1 => 93_750,
                        _ => u32::try_from(self.below(1_000_001)).unwrap(),
                    },
                    free: 1 + u16::try_from(self.below(u64::from(capacity))).unwrap(),
                    capacity,
                }
            })
            .collect()
    }

    fn excluded(&mut self, candidates: &[Candidate]) -> Excluded {
        let mut excluded = Excluded::default();
        for one in candidates {
            if self.below(6) == 0 {
                excluded.uids.insert(one.uid);
            }
            if self.below(10) == 0 {
                excluded.coldkeys.insert(one.coldkey);
            }
        }
        excluded
    }
}

#[test]
fn both_implementations_agree_on_generated_cases() {
    let mut generator = Generator(1);
    let mut picks = 0;
    for case in 0..6000 {
        let rule = generator.rule();
        let candidates = generator.candidates();
        let weighed = weights(&rule, &candidates);
        assert_eq!(weighed, second::weights(&rule, &candidates), "case {case}");

        let entropy: Vec<u8> = (0..generator.below(200))
            .map(|_| generator.bytes::<1>()[0])
            .collect();
        let (netuid, account, input) = (generator.bytes(), generator.bytes(), generator.bytes());
        let netuid = u16::from_le_bytes(netuid);
        let request = request_digest(netuid, account, &entropy, input);
        assert_eq!(
            request,
            second::request(netuid, account, &entropy, input),
            "case {case}"
        );
        let (base, number) = (generator.bytes(), u32::try_from(generator.below(40)).unwrap());
        let seed = draw_seed(base, request, number);
        assert_eq!(seed, second::seed(base, request, number), "case {case}");

        let excluded = generator.excluded(&candidates);
        let k = usize::try_from(generator.below(12)).unwrap();
        let chosen = uids(&candidates, &draw(seed, &candidates, &weighed, &excluded, k));
        let (expected, _) = second::draw(seed, &candidates, &weighed, &excluded, k);
        assert_eq!(chosen, expected, "case {case}");
        picks += chosen.len();
    }
    assert!(picks > 20_000, "the cases draw too little: {picks}");
}
