//! Mechanisms of a subnet. Each has its own weights, hence its own incentives and last updates; everything else of a
//! metagraph is the subnet's.

use serde::Serialize;

use crate::client::Client;
use crate::error::Error;
use crate::query::Query;
use crate::snapshot::PALLET;
use crate::types::{BlockRef, NetUid};

const COUNT: &str = "MechanismCountCurrent";
const SPLIT: &str = "MechanismEmissionSplit";
/// `GLOBAL_MAX_SUBNET_COUNT` of the chain: mechanism `m` of subnet `s` is stored under `m * 4096 + s`.
const SUBNETS: u16 = 4096;
/// `MAX_MECHANISM_COUNT` of the chain: what an index can hold.
const MAX: u8 = 16;
/// All of the emission, as the chain splits it.
const WHOLE: u16 = u16::MAX;

/// Under what a mechanism of a subnet is stored.
pub(crate) const fn index(netuid: NetUid, mechanism: u8) -> u16 {
    (mechanism as u16)
        .saturating_mul(SUBNETS)
        .saturating_add(netuid.0)
}

/// One mechanism of a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mechanism {
    /// Its number; the first is 0.
    pub id: u8,
    /// Its share of the subnet's emission, a part of 65535.
    pub share: u16,
    /// By uid, each a part of 65535. May be shorter than the subnet.
    pub incentives: Vec<u16>,
    /// By uid: the block of the last weights or commit. May be shorter than the subnet.
    pub last_update: Vec<u64>,
}

impl Client {
    /// The mechanisms of a subnet at a block, in two questions; one mechanism where the runtime knows of none.
    pub async fn mechanisms(&self, netuid: NetUid, block: BlockRef) -> Result<Vec<Mechanism>, Error> {
        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let count = runtime
            .has_storage(PALLET, COUNT)
            .then(|| query.one::<u8>(PALLET, COUNT, (netuid.0,)))
            .transpose()?;
        let split = runtime
            .has_storage(PALLET, SPLIT)
            .then(|| query.one::<Vec<u16>>(PALLET, SPLIT, (netuid.0,)))
            .transpose()?;
        let answer = query.send(self, block).await?;
        let count = count.map_or(Ok(1), |slot| answer.value(&slot))?.clamp(1, MAX);
        let split = split.map_or(Ok(None), |slot| answer.option(&slot))?;

        let indices = || (0..count).map(|mechanism| (index(netuid, mechanism),));
        let mut query = Query::new(&runtime);
        let incentives = query.many(PALLET, "Incentive", indices())?;
        let last_update = query.many(PALLET, "LastUpdate", indices())?;
        let answer = query.send(self, block).await?;
        let columns = answer
            .all(&incentives)?
            .into_iter()
            .zip(answer.all(&last_update)?);
        Ok((0..count)
            .zip(shares(count, split))
            .zip(columns)
            .map(|((id, share), (incentives, last_update))| Mechanism {
                id,
                share,
                incentives,
                last_update,
            })
            .collect())
    }
}

/// The split as stored, or an even one of which the first mechanism gets the rest, as the chain does it.
fn shares(count: u8, split: Option<Vec<u16>>) -> Vec<u16> {
    let count = usize::from(count);
    if let Some(split) = split.filter(|split| split.len() == count) {
        return split;
    }
    let parts = u16::try_from(count.max(1)).unwrap_or(1);
    let mut shares = vec![WHOLE / parts; count];
    if let Some(first) = shares.first_mut() {
        *first += WHOLE % parts;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_stored_or_even() {
        assert_eq!(shares(1, None), [65_535]);
        assert_eq!(shares(2, None), [32_768, 32_767]);
        assert_eq!(shares(2, Some(vec![60_000, 5_535])), [60_000, 5_535]);
        // A split of another number of mechanisms is no split of these.
        assert_eq!(shares(2, Some(vec![65_535])), [32_768, 32_767]);
    }
}
