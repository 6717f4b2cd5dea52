//! Yuma consensus: what one epoch makes of a mechanism's weights, stakes and bonds.
//!
//! Pure: [`Epoch`] in, [`Outcome`] out, no state. It follows the chain's sparse epoch step by step in the same
//! fixed-point types, so that results are equal bit by bit.

mod bonds;
mod math;
mod median;
#[cfg(test)]
mod tests;

use substrate_fixed::types::{I32F32, I64F64, I96F32};

pub use bonds::{BondRules, LiquidAlpha};
use bonds::{Market, stored};
use math::{
    Fixed, Row, ZERO, at, divide_all, normalise, normalise_rows, proportion, row_sums, sum, to_u16s,
    weigh_columns, whole,
};

/// What an epoch looks at.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// The block it runs in.
    pub block: u64,
    /// Bonds to uids taken at this block or later are dropped.
    pub last_tempo: u64,
    /// Blocks after which a silent uid is inactive.
    pub activity_cutoff: u64,
    /// The majority that sets the consensus, a part of 65535.
    pub kappa: u16,
    /// How many uids get a permit.
    pub max_validators: u16,
    /// Rao of stake weight below which a uid does not count.
    pub stake_threshold: u64,
    /// Has a permit whatever it has staked, and its weight on itself counts.
    pub owner: Option<u16>,
    pub bond_rules: BondRules,
    /// Alpha rao to share.
    pub emission: u64,
    pub uids: Vec<Uid>,
}

/// What an epoch knows of a uid.
#[derive(Clone, Debug, Default)]
pub struct Uid {
    /// Rao of stake weight.
    pub stake: I64F64,
    /// Given by the last epoch.
    pub permit: bool,
    /// The block of its last weights.
    pub last_update: u64,
    /// The block it was taken at.
    pub registered: u64,
    /// The block of its oldest commit that can still be revealed.
    pub first_commit: Option<u64>,
    /// By uid, in any scale.
    pub weights: Vec<(u16, u16)>,
    pub bonds: Vec<(u16, u16)>,
}

/// What an epoch writes, by uid. Parts are of 65535, emissions in alpha rao.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub active: Vec<bool>,
    pub permits: Vec<bool>,
    pub stake_weight: Vec<u16>,
    pub consensus: Vec<u16>,
    pub validator_trust: Vec<u16>,
    pub incentive: Vec<u16>,
    pub dividends: Vec<u16>,
    /// Empty where there is no new permit.
    pub bonds: Vec<Vec<(u16, u16)>>,
    /// What miners and validators get together.
    pub emission: Vec<u64>,
    pub server_emission: Vec<u64>,
    pub validator_emission: Vec<u64>,
}

impl Epoch {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let columns = self.uids.len();
        let active: Vec<bool> = self.uids.iter().map(|uid| self.is_active(uid)).collect();
        let stake = self.stake();
        let permits = self.permits(&stake);
        let active_stake = self.active_stake(&stake, &active);
        let weights = self.weights();

        let consensus = median::consensus(&active_stake, &weights, columns, proportion(self.kappa));
        let clipped = clip(&weights, &consensus);
        let validator_trust = row_sums(&clipped);
        let mut incentive = weigh_columns(&clipped, &active_stake, columns);
        normalise(&mut incentive);

        let bonded = self.bond_rules.apply(Market {
            weights: &weights,
            clipped: &clipped,
            consensus: &consensus,
            incentive: &incentive,
            stake: &active_stake,
            old: self.bonds(),
        });
        let shares = Shares::new(&incentive, &bonded.dividends, &active_stake, &stake);
        let bonds = bonded.bonds.iter().zip(&permits);
        Outcome {
            active,
            stake_weight: to_u16s(&stake),
            consensus: to_u16s(&consensus),
            validator_trust: to_u16s(&validator_trust),
            incentive: to_u16s(&incentive),
            dividends: to_u16s(&bonded.dividends),
            bonds: bonds
                .map(|(row, permit)| if *permit { stored(row) } else { Vec::new() })
                .collect(),
            emission: self.share(&shares.combined),
            server_emission: self.share(&shares.servers),
            validator_emission: self.share(&shares.validators),
            permits,
        }
    }

    fn is_active(&self, uid: &Uid) -> bool {
        uid.last_update.saturating_add(self.activity_cutoff) >= self.block
    }

    fn is_owner(&self, uid: usize) -> bool {
        self.owner.is_some_and(|owner| usize::from(owner) == uid)
    }

    /// Had a permit when the weights were set.
    fn may_validate(&self, uid: usize) -> bool {
        self.uids[uid].permit || self.is_owner(uid)
    }

    /// Normalised stake of those above the threshold.
    fn stake(&self) -> Vec<Fixed> {
        let counted = |(i, uid): (usize, &Uid)| {
            let counts = self.is_owner(i) || uid.stake.saturating_to_num::<u64>() >= self.stake_threshold;
            if counts { uid.stake } else { I64F64::default() }
        };
        let stake: Vec<I64F64> = self.uids.iter().enumerate().map(counted).collect();
        let total = stake
            .iter()
            .fold(I64F64::default(), |sum, x| sum.saturating_add(*x));
        stake
            .into_iter()
            .map(|x| x.checked_div(total).unwrap_or_default())
            .map(I32F32::saturating_from_num)
            .collect()
    }

    /// The greatest stakes above zero; of equal ones the higher uid. The owner always.
    fn permits(&self, stake: &[Fixed]) -> Vec<bool> {
        let mut order: Vec<usize> = (0..stake.len()).collect();
        order.sort_by_key(|uid| stake[*uid]);
        let mut permits: Vec<bool> = stake.iter().map(|x| *x != ZERO).collect();
        let without = stake.len().saturating_sub(usize::from(self.max_validators));
        order.iter().take(without).for_each(|uid| permits[*uid] = false);
        if let Some(permit) = self.owner.and_then(|owner| permits.get_mut(usize::from(owner))) {
            *permit = true;
        }
        permits
    }

    fn active_stake(&self, stake: &[Fixed], active: &[bool]) -> Vec<Fixed> {
        let counted = |(uid, x): (usize, &Fixed)| {
            let counts = active[uid] && self.may_validate(uid);
            if counts { *x } else { ZERO }
        };
        let mut counted: Vec<Fixed> = stake.iter().enumerate().map(counted).collect();
        normalise(&mut counted);
        counted
    }

    /// Normalised weights of those with a permit, without those on themselves and on uids taken since.
    fn weights(&self) -> Vec<Row> {
        let row = |(i, uid): (usize, &Uid)| -> Row {
            if !self.may_validate(i) {
                return Row::new();
            }
            let counts = |(to, _): &&(u16, u16)| {
                let j = usize::from(*to);
                self.uids.get(j).is_some_and(|of| {
                    (i != j || self.is_owner(i))
                        && uid.last_update > of.registered
                        && uid.first_commit.is_none_or(|commit| commit >= of.registered)
                })
            };
            uid.weights
                .iter()
                .filter(counts)
                .map(|(to, weight)| (*to, whole(*weight)))
                .collect()
        };
        let mut rows: Vec<Row> = self.uids.iter().enumerate().map(row).collect();
        normalise_rows(&mut rows);
        rows
    }

    /// Stored bonds without those on uids taken since the last epoch.
    fn bonds(&self) -> Vec<Vec<(u16, u16)>> {
        let old = |(to, _): &&(u16, u16)| {
            let of = self.uids.get(usize::from(*to));
            of.is_some_and(|of| self.last_tempo > of.registered)
        };
        self.uids
            .iter()
            .map(|uid| uid.bonds.iter().filter(old).copied().collect())
            .collect()
    }

    /// Rao for parts of the emission, floored.
    fn share(&self, parts: &[Fixed]) -> Vec<u64> {
        let emission = I96F32::saturating_from_num(self.emission);
        let rao = |part: &Fixed| I96F32::saturating_from_num(*part).saturating_mul(emission);
        parts.iter().map(|part| rao(part).saturating_to_num()).collect()
    }
}

/// Weights, none above the consensus of its column.
fn clip(weights: &[Row], consensus: &[Fixed]) -> Vec<Row> {
    let clip = |row: &Row| {
        row.iter()
            .map(|(column, weight)| (*column, at(consensus, *column), *weight))
            .filter(|(_, limit, weight)| limit >= weight || *limit > ZERO)
            .map(|(column, limit, weight)| (column, weight.min(limit)))
            .collect()
    };
    weights.iter().map(clip).collect()
}

/// Parts of the emission.
struct Shares {
    servers: Vec<Fixed>,
    validators: Vec<Fixed>,
    combined: Vec<Fixed>,
}

impl Shares {
    /// Incentive and dividends in equal parts; without either, stake alone.
    fn new(incentive: &[Fixed], dividends: &[Fixed], active_stake: &[Fixed], stake: &[Fixed]) -> Self {
        let both = incentive.iter().zip(dividends);
        let mut combined: Vec<Fixed> = both.map(|(one, other)| one.saturating_add(*other)).collect();
        let (mut servers, mut validators) = (incentive.to_vec(), dividends.to_vec());
        let total = sum(&combined);
        if total == ZERO {
            let nobody_active = sum(active_stake) == ZERO;
            let by = if nobody_active { stake } else { active_stake };
            return Self {
                servers,
                validators: by.to_vec(),
                combined: by.to_vec(),
            };
        }
        divide_all(&mut servers, total);
        divide_all(&mut validators, total);
        divide_all(&mut combined, total);
        Self {
            servers,
            validators,
            combined,
        }
    }
}
