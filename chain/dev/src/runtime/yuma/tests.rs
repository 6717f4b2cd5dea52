//! Cases worked out by hand, and what holds for every epoch.

use super::*;

/// Four uids: two validators with 60 and 40 per cent of the stake, and the miners 2 and 3.
///
/// All were registered at block 0 and set weights at block 90; the epoch is at block 100.
fn epoch() -> Epoch {
    Epoch {
        block: 100,
        last_tempo: 91,
        activity_cutoff: 1_000,
        kappa: 32_767,
        max_validators: 64,
        stake_threshold: 1,
        owner: None,
        bond_rules: BondRules {
            yuma3: true,
            penalty: u16::MAX,
            moving_average: 900_000,
            liquid: None,
        },
        emission: 1_000_000,
        uids: vec![
            validator(600, &[(2, 3), (3, 1)]),
            validator(400, &[(2, 1), (3, 1)]),
            miner(),
            miner(),
        ],
    }
}

fn validator(stake: u64, weights: &[(u16, u16)]) -> Uid {
    Uid {
        stake: I64F64::from_num(stake),
        permit: true,
        weights: weights.to_vec(),
        ..miner()
    }
}

fn miner() -> Uid {
    Uid {
        last_update: 90,
        ..Uid::default()
    }
}

/// Whether two numbers are as near as rounding down to parts of 65535 leaves them.
fn near(values: &[u16], parts: &[f64]) {
    assert_eq!(values.len(), parts.len());
    for (value, part) in values.iter().zip(parts) {
        let exact = part * 65_535.0;
        assert!(
            (f64::from(*value) - exact).abs() <= 1.5,
            "{values:?} is not {parts:?}"
        );
    }
}

/// 60 per cent of the stake say 3/4 and 1/4, 40 per cent say 1/2 and 1/2; κ is a hair under 1/2, so the minority
/// is a hair over 1/2.
///
/// Miner 2: stake below 3/4 is 0.4, below the minority, so the consensus is 3/4. Miner 3: the scores are 1/4
/// (0.6) and 1/2 (0.4); below 1/2 is 0.6, above the minority, so the consensus is 1/4. Clipped, validator 1 has
/// 1/2 and 1/4, so its trust is 3/4. Ranks: miner 2 has 0.6 · 3/4 + 0.4 · 1/2 = 0.65, miner 3 has 1/4; the
/// incentives are 0.65/0.9 = 13/18 and 5/18.
///
/// New bonds are a tenth of the clipped weights, so column shares are 3/5 and 2/5 on miner 2, 1/2 each on
/// miner 3. Dividends: 0.6 · (3/5 · 13/18 + 1/2 · 5/18) = 0.6 · 103/180 and 0.4 · 77/180; of their sum
/// (61.8 + 30.8)/180 these are 618/926 and 308/926.
#[test]
fn an_epoch_by_hand() {
    let outcome = epoch().run();
    near(&outcome.stake_weight, &[0.6, 0.4, 0.0, 0.0]);
    near(&outcome.consensus, &[0.0, 0.0, 0.75, 0.25]);
    near(&outcome.validator_trust, &[1.0, 0.75, 0.0, 0.0]);
    near(&outcome.incentive, &[0.0, 0.0, 13.0 / 18.0, 5.0 / 18.0]);
    near(&outcome.dividends, &[618.0 / 926.0, 308.0 / 926.0, 0.0, 0.0]);
    assert_eq!(outcome.permits, [true, true, false, false]);
    assert_eq!(outcome.active, [true; 4]);
    // 6553.5 · 3/4 and · 1/4; validator 1's 1/2 was not above the consensus, its other 1/2 was.
    assert_eq!(outcome.bonds[0], [(2, 4_915), (3, 1_638)]);
    assert_eq!(outcome.bonds[1], [(2, 3_276), (3, 1_638)]);
    assert!(outcome.bonds[2].is_empty());
    // Miners and validators have half of the emission each, floored per uid.
    let miners = [361_111, 138_888];
    assert_eq!(outcome.server_emission[2..], miners);
    assert_eq!(outcome.emission[2..], miners);
    assert_eq!(outcome.validator_emission[..2], [333_693, 166_306]);
    assert_eq!(outcome.emission[..2], [333_693, 166_306]);
}

/// The bonds of two epochs with equal weights: a tenth, then a tenth plus nine tenths of what was stored.
#[test]
fn bonds_move_towards_weights() {
    let mut epoch = epoch();
    let first = epoch.run();
    for (uid, bonds) in epoch.uids.iter_mut().zip(&first.bonds) {
        uid.bonds.clone_from(bonds);
    }
    let second = epoch.run();
    // 0.1 · 0.75 + 0.9 · 4915/65535, and 0.1 · 0.25 + 0.9 · 1638/65535, in parts of 65535.
    assert_eq!(second.bonds[0], [(2, 9_338), (3, 3_112)]);
    // A bond to a uid taken at the block of the last epoch's end or later is gone; so is the weight.
    epoch.uids[2].registered = 91;
    let third = epoch.run();
    assert_eq!(third.bonds[0].iter().map(|(to, _)| *to).collect::<Vec<_>>(), [3]);
    epoch.uids[2].registered = 89;
    assert_eq!(epoch.run().bonds[0].len(), 2);
}

/// Of yuma 2: one new bond column is the clipped weights times stake, normalised. Miner 2: 0.45 and 0.2, so 9/13
/// and 4/13; miner 3: 0.15 and 0.1, so 3/5 and 2/5. Dividends: 9/13 · 13/18 + 3/5 · 5/18 = 2/3, and 1/3.
#[test]
fn yuma_2_by_hand() {
    let mut epoch = epoch();
    epoch.bond_rules.yuma3 = false;
    let outcome = epoch.run();
    near(&outcome.dividends, &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
    // Stored so that the greatest of a column is 1: 4/9 of 65535 is 29126.7, 2/3 is 43690.
    near(&[outcome.bonds[0][0].1, outcome.bonds[0][1].1], &[1.0, 1.0]);
    near(
        &[outcome.bonds[1][0].1, outcome.bonds[1][1].1],
        &[4.0 / 9.0, 2.0 / 3.0],
    );
}

/// With alpha bounds that are equal, liquid alpha is a moving average of that alpha, but for what has no weight.
#[test]
fn liquid_alpha_within_its_bounds() {
    let mut epoch = epoch();
    let liquid = |low, high| {
        Some(LiquidAlpha {
            low,
            high,
            steepness: 1_000,
        })
    };
    epoch.uids[0].bonds = vec![(1, 40_000), (2, 65_535)];
    epoch.bond_rules.liquid = liquid(32_768, 32_768);
    let outcome = epoch.run();
    // Half of 3/4 and half of 1; half of 1/4 and nothing; the bond to uid 1 has no weight and is dropped.
    near(&[outcome.bonds[0][0].1, outcome.bonds[0][1].1], &[0.875, 0.125]);
    assert_eq!(outcome.bonds[0].len(), 2);

    // Validator 0's bond on miner 2 fell by 1/4: sigmoid(10 · (0.25 − 0.5)) = 0.075858. Its weight on miner 3 is
    // the consensus: sigmoid(−5) = 0.0066929. Alphas are 0.7 + sigmoid · 0.2.
    epoch.bond_rules.liquid = liquid(45_875, 58_982);
    let outcome = epoch.run();
    let (fell, agreed) = (0.7 + 0.075_858 * 0.2, 0.7 + 0.006_692_9 * 0.2);
    near(
        &[outcome.bonds[0][0].1, outcome.bonds[0][1].1],
        &[1.0 - fell * 0.25, agreed * 0.25],
    );
}

/// The steeper side of the penalty: bonds follow written weights at 0, clipped ones at 65535.
#[test]
fn the_bond_penalty_chooses_between_written_and_clipped_weights() {
    let bond = |penalty| {
        let mut epoch = epoch();
        epoch.bond_rules.penalty = penalty;
        f64::from(epoch.run().bonds[1][1].1)
    };
    // Validator 1 wrote 1/2 on miner 3 and was clipped to 1/4; a tenth of that is bonded.
    for (penalty, part) in [(0, 0.05), (u16::MAX, 0.025), (32_768, 0.0375)] {
        assert!((bond(penalty) - part * 65_535.0).abs() <= 1.5, "{penalty}");
    }
}

/// Validators of less than κ of the stake cannot raise a miner that the others give nothing.
#[test]
fn a_coalition_below_kappa_cannot_raise_its_own() {
    let with = |colluding: u64| {
        let mut epoch = epoch();
        epoch.uids[0] = validator(1_000 - colluding, &[(2, 1)]);
        epoch.uids[1] = validator(colluding, &[(3, 1)]);
        epoch.run()
    };
    let below = with(499);
    assert_eq!(below.incentive, [0, 0, 65_535, 0]);
    // Out of consensus: no trust, no dividends.
    assert_eq!(below.validator_trust[1], 0);
    assert_eq!(below.dividends[1], 0);
    assert_eq!(below.dividends[0], 65_535);
    // At κ both are in consensus; above, the others are out.
    let above = with(501);
    assert_eq!(above.incentive, [0, 0, 0, 65_535]);
    assert_eq!(above.validator_trust[..2], [0, 65_535]);
}

#[test]
fn a_higher_kappa_asks_for_more_stake() {
    let incentive = |kappa| {
        let mut epoch = epoch();
        epoch.kappa = kappa;
        epoch.uids[0] = validator(600, &[(2, 1)]);
        epoch.uids[1] = validator(400, &[(3, 1)]);
        epoch.run().incentive
    };
    assert_eq!(incentive(32_767), [0, 0, 65_535, 0]);
    // With κ at 0.3 both miners have a majority, with 0.7 none.
    near(&incentive(19_660), &[0.0, 0.0, 0.6, 0.4]);
    assert_eq!(incentive(45_874), [0; 4]);
}

/// Twice the stakes and twice the weights are the same stakes and weights.
#[test]
fn scale_does_not_matter() {
    let mut scaled = epoch();
    for uid in &mut scaled.uids {
        uid.stake *= I64F64::from_num(1_048_576);
        uid.weights.iter_mut().for_each(|(_, weight)| *weight *= 4_096);
    }
    assert_eq!(scaled.run(), epoch().run());
}

#[test]
fn only_what_counts_is_counted() {
    let trust = |change: fn(&mut Epoch)| {
        let mut epoch = epoch();
        change(&mut epoch);
        epoch.run().validator_trust[1]
    };
    let whole = 49_151;
    assert_eq!(trust(|_| ()), whole);
    assert_eq!(trust(|epoch| epoch.uids[1].permit = false), 0, "no permit");
    assert_eq!(trust(|epoch| epoch.uids[1].weights = vec![(1, 9)]), 0, "itself");
    // The owner needs no permit, and may weigh itself: alone it has no majority, with the most stake it has.
    let owner = |epoch: &mut Epoch| {
        epoch.owner = Some(1);
        epoch.uids[1] = validator(700, &[(1, 1)]);
        epoch.uids[1].permit = false;
    };
    assert_eq!(trust(owner), 65_535);
    // The weights are older than the miner.
    let update = |epoch: &mut Epoch, block| {
        epoch.uids[2].registered = 50;
        epoch.uids[1].last_update = block;
    };
    let mut older = epoch();
    update(&mut older, 50);
    assert_eq!(older.run().validator_trust[1], 16_383);
    let mut newer = epoch();
    update(&mut newer, 51);
    assert_eq!(newer.run().validator_trust[1], whole);
    // The commit is older than the miner.
    let commit = |epoch: &mut Epoch, block| {
        epoch.uids[2].registered = 50;
        epoch.uids[1].first_commit = Some(block);
    };
    let mut older = epoch();
    commit(&mut older, 49);
    assert_eq!(older.run().validator_trust[1], 16_383);
    let mut newer = epoch();
    commit(&mut newer, 50);
    assert_eq!(newer.run().validator_trust[1], whole);
}

#[test]
fn silence_and_little_stake_do_not_count() {
    let mut epoch = epoch();
    // Silent for 10 blocks: the cutoff is met from one side and missed from the other.
    epoch.activity_cutoff = 10;
    assert_eq!(epoch.run().active, [true; 4]);
    epoch.activity_cutoff = 9;
    let silent = epoch.run();
    assert_eq!(silent.active, [false; 4]);
    assert_eq!(silent.incentive, [0; 4]);
    // Nobody earns, so emission follows stake.
    assert_eq!(silent.emission, [599_999, 399_999, 0, 0]);

    epoch.activity_cutoff = 10;
    epoch.stake_threshold = 400;
    assert_eq!(epoch.run().permits, [true, true, false, false]);
    epoch.stake_threshold = 401;
    let poor = epoch.run();
    assert_eq!(poor.permits, [true, false, false, false]);
    assert_eq!(poor.stake_weight, [65_535, 0, 0, 0]);
    // 0.6 · 65535 is 39321, but 0.6 is cut off at 32 bits.
    epoch.owner = Some(1);
    assert_eq!(epoch.run().stake_weight, [39_320, 26_213, 0, 0]);
}

#[test]
fn permits_go_to_the_greatest_stakes() {
    let mut epoch = epoch();
    epoch.uids[2].stake = I64F64::from_num(400);
    epoch.uids[3].stake = I64F64::from_num(10);
    let permits = |most| {
        Epoch {
            max_validators: most,
            ..epoch.clone()
        }
        .run()
        .permits
    };
    assert_eq!(permits(4), [true; 4]);
    assert_eq!(permits(3), [true, true, true, false]);
    // Of equal stakes the higher uid.
    assert_eq!(permits(2), [true, false, true, false]);
    assert_eq!(permits(0), [false; 4]);
    epoch.owner = Some(3);
    epoch.max_validators = 1;
    assert_eq!(epoch.run().permits, [true, false, false, true]);
}

#[test]
fn an_empty_subnet_has_an_empty_outcome() {
    let mut epoch = epoch();
    epoch.uids.clear();
    let outcome = epoch.run();
    assert!(outcome.emission.is_empty() && outcome.bonds.is_empty());
}

/// 64 validators who each weigh 192 miners: in a release build the mean must be under 20 ms.
#[test]
#[ignore = "a measurement: cargo test --release -p violet-devchain --lib -- --ignored --nocapture a_full_subnet"]
fn a_full_subnet_takes_less_than_20_ms() {
    let mut epoch = epoch();
    epoch.uids = (0..256u16)
        .map(|uid| {
            if uid >= 64 {
                return miner();
            }
            let weights: Vec<(u16, u16)> = (64..256u16)
                .map(|to| (to, 1 + (uid.wrapping_mul(31) ^ to.wrapping_mul(17)) % 1_000))
                .collect();
            Uid {
                bonds: weights.clone(),
                ..validator(1_000 + u64::from(uid), &weights)
            }
        })
        .collect();
    let liquid = LiquidAlpha {
        low: 45_875,
        high: 58_982,
        steepness: 1_000,
    };
    for liquid in [None, Some(liquid)] {
        epoch.bond_rules.liquid = liquid;
        let start = std::time::Instant::now();
        let runs = 50;
        for _ in 0..runs {
            std::hint::black_box(epoch.run());
        }
        let mean = start.elapsed() / runs;
        assert!(mean.as_millis() < 20, "an epoch takes {mean:?}");
        let on = epoch.bond_rules.liquid.is_some();
        std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("liquid alpha {on}: {mean:?}\n"),
        )
        .unwrap();
    }
}
