//! Bonds: what a validator has put on a miner over the epochs, and the dividends they earn.

use substrate_fixed::transcendental::exp;
use substrate_fixed::types::I64F64;

use super::math::{
    Fixed, ONE, Row, ZERO, at, dense, divide, normalise, normalise_columns, proportion, scale_rows, sparse,
    to_u16, upscale_columns, weigh_rows, whole,
};

/// How bonds follow weights.
#[derive(Clone, Debug)]
pub struct BondRules {
    /// Whether bonds are kept one by one and a dividend is weighted by stake afterwards.
    pub yuma3: bool,
    /// How much the clipped weights stand in for the written ones, a part of 65535.
    pub penalty: u16,
    /// How much of a bond stays from one epoch to the next, a part of 1 000 000.
    pub moving_average: u64,
    /// How much of a bond stays where liquid alpha is on; only with `yuma3`.
    pub liquid: Option<LiquidAlpha>,
}

/// Bounds and slope of liquid alpha.
#[derive(Clone, Debug)]
pub struct LiquidAlpha {
    /// Parts of 65535.
    pub low: u16,
    pub high: u16,
    /// Hundredths.
    pub steepness: i16,
}

/// What an epoch makes of bonds.
pub(super) struct Bonded {
    pub(super) bonds: Vec<Row>,
    pub(super) dividends: Vec<Fixed>,
}

/// What the bonds are made from.
pub(super) struct Market<'a> {
    pub(super) weights: &'a [Row],
    pub(super) clipped: &'a [Row],
    pub(super) consensus: &'a [Fixed],
    pub(super) incentive: &'a [Fixed],
    /// Active stake.
    pub(super) stake: &'a [Fixed],
    /// As stored, without those to uids that were taken since the last epoch.
    pub(super) old: Vec<Vec<(u16, u16)>>,
}

impl BondRules {
    pub(super) fn apply(&self, market: Market<'_>) -> Bonded {
        let weights = self.penalised(market.weights, market.clipped, market.consensus.len());
        if self.yuma3 {
            self.third(&weights, market)
        } else {
            self.second(&weights, market)
        }
    }

    fn third(&self, weights: &[Row], market: Market<'_>) -> Bonded {
        let old = rows(market.old, proportion);
        let columns = market.consensus.len();
        let liquid = self
            .liquid
            .as_ref()
            .filter(|_| market.consensus.iter().any(|x| *x != ZERO));
        let bonds: Vec<Row> = match liquid {
            Some(liquid) => weights
                .iter()
                .zip(&old)
                .map(|(new, old)| liquid.mix(new, old, market.consensus))
                .collect(),
            None => self.mix(weights, &old, columns),
        };
        let mut shares = bonds.clone();
        normalise_columns(&mut shares, columns);
        let mut dividends: Vec<Fixed> = weigh_rows(&shares, market.incentive)
            .into_iter()
            .zip(market.stake)
            .map(|(share, stake)| share.saturating_mul(*stake))
            .collect();
        normalise(&mut dividends);
        Bonded { bonds, dividends }
    }

    fn second(&self, weights: &[Row], market: Market<'_>) -> Bonded {
        let columns = market.consensus.len();
        let mut old = rows(market.old, whole);
        normalise_columns(&mut old, columns);
        let mut new = scale_rows(weights, market.stake);
        normalise_columns(&mut new, columns);
        let mut bonds = self.mix(&new, &old, columns);
        normalise_columns(&mut bonds, columns);
        let mut dividends = weigh_rows(&bonds, market.incentive);
        normalise(&mut dividends);
        upscale_columns(&mut bonds, columns);
        Bonded { bonds, dividends }
    }

    /// Weights moved towards the clipped ones.
    fn penalised(&self, weights: &[Row], clipped: &[Row], columns: usize) -> Vec<Row> {
        if self.penalty == 0 {
            return weights.to_vec();
        }
        if self.penalty == u16::MAX {
            return clipped.to_vec();
        }
        let ratio = proportion(self.penalty);
        let mix = |(written, clipped): (&Row, &Row)| {
            let (written, clipped) = (dense(written, columns), dense(clipped, columns));
            sparse(written.into_iter().zip(clipped).map(|(written, clipped)| {
                written.saturating_add(ratio.saturating_mul(clipped.saturating_sub(written)))
            }))
        };
        weights.iter().zip(clipped).map(mix).collect()
    }

    /// One alpha for all.
    fn mix(&self, new: &[Row], old: &[Row], columns: usize) -> Vec<Row> {
        let kept = I64F64::saturating_from_num(self.moving_average) / I64F64::from_num(1_000_000);
        let alpha = ONE.saturating_sub(Fixed::saturating_from_num(kept));
        let rest = ONE.saturating_sub(alpha);
        let mix = |(new, old): (&Row, &Row)| {
            let (new, old) = (dense(new, columns), dense(old, columns));
            sparse(new.into_iter().zip(old).map(|(new, old)| {
                let new = alpha.saturating_mul(new);
                new.saturating_add(rest.saturating_mul(old))
            }))
        };
        new.iter().zip(old).map(mix).collect()
    }
}

impl LiquidAlpha {
    /// An alpha for each bond. What has no weight now is dropped, not decayed: so does the chain.
    fn mix(&self, new: &Row, old: &Row, consensus: &[Fixed]) -> Row {
        let old = dense(old, consensus.len());
        let mix = |(column, weight): &(u16, Fixed)| {
            let bond = at(&old, *column);
            let alpha = self.alpha(*weight, bond, at(consensus, *column));
            let kept = ONE.saturating_sub(alpha).saturating_mul(bond);
            let mixed = kept.saturating_add(alpha.saturating_mul(*weight)).min(ONE);
            (*column, mixed)
        };
        new.iter().map(mix).filter(|(_, bond)| *bond > ZERO).collect()
    }

    /// Near `high` where the weight is far above the consensus or far below the bond, else near `low`.
    fn alpha(&self, weight: Fixed, bond: Fixed, consensus: Fixed) -> Fixed {
        let (low, high) = (proportion(self.low), proportion(self.high));
        let distance = if weight >= bond {
            weight.saturating_sub(consensus)
        } else {
            bond.saturating_sub(weight)
        };
        let distance = distance.min(ONE).max(ZERO);
        let half = divide(ONE, whole(2));
        let slope = Fixed::saturating_from_num(self.steepness).saturating_div(Fixed::from_num(-100));
        let power = exponential(slope.saturating_mul(distance.saturating_sub(half)));
        let sigmoid = ONE.saturating_div(ONE.saturating_add(power));
        let alpha = low.saturating_add(sigmoid.saturating_mul(high.saturating_sub(low)));
        alpha.min(high).max(low)
    }
}

/// `e^x`, where `x` is kept within ±20.
fn exponential(x: Fixed) -> Fixed {
    let bound = whole(20);
    let x = x.min(bound).max(-bound);
    exp::<Fixed, Fixed>(x).unwrap_or(if x <= ZERO { ZERO } else { Fixed::max_value() })
}

fn rows(stored: Vec<Vec<(u16, u16)>>, read: impl Fn(u16) -> Fixed) -> Vec<Row> {
    let row = |row: Vec<(u16, u16)>| row.into_iter().map(|(column, x)| (column, read(x))).collect();
    stored.into_iter().map(row).collect()
}

/// A row as the chain stores it.
pub(super) fn stored(row: &Row) -> Vec<(u16, u16)> {
    row.iter().map(|(column, x)| (*column, to_u16(*x))).collect()
}
