//! Stake weight computed from storage, as the chain's `get_stake_weights_for_network` does it: what its epoch and its
//! metagraph call `total_stake`.
//!
//! The chain counts in `U96F32` and `I64F64`. Here every value is held as the same bits (32 fractional ones) in a
//! `u128` and floored where the chain floors, so results are equal to the rao. A product is of a `u64` and a fraction
//! of at most 1, so nothing overflows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::client::Client;
use crate::error::Error;
use crate::query::Query;
use crate::runtime::Runtime;
use crate::snapshot::PALLET;
use crate::types::{BlockRef, Hotkey, NetUid, Rao, Snapshot, Uid};

/// Fractional bits of `U96F32`.
const FRACTION: u32 = 32;
/// The subnet whose alpha is TAO.
pub(crate) const ROOT: u16 = 0;

/// A hotkey's stake weight on one subnet, in rao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StakeWeight {
    /// Alpha, less what its children have and with what its parents give (`get_inherited_for_hotkey_on_subnet`).
    pub alpha: Rao,
    /// Root stake likewise, by the parents and children that it has on the subnet, before it is weighted.
    pub tao: Rao,
    /// `alpha` and `tao` times the weight of root stake; the chain's `total_stake`.
    pub total: Rao,
}

/// What stake weight is computed from. Proportions are parts of `u64::MAX`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// `TotalHotkeyAlpha` of the hotkey on the subnet, in rao.
    pub alpha: u64,
    /// `TotalHotkeyAlpha` of the hotkey on root, in rao.
    pub root: u64,
    /// The proportion of each of its children (`ChildKeys` on the subnet).
    pub children: Vec<u64>,
    /// For each of its parents (`ParentKeys` on the subnet): the proportion, and the parent's own alpha and root.
    pub parents: Vec<(u64, u64, u64)>,
}

/// A neuron whose stake the chain gives otherwise than storage says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Its place in the subnet.
    pub uid: Uid,
    /// Its identity.
    pub hotkey: Hotkey,
    /// As the snapshot has it.
    pub given: StakeWeight,
    /// As computed from storage.
    pub computed: StakeWeight,
}

impl Holdings {
    /// The stake weight that follows (`get_stake_weights_for_hotkey_on_subnet`). `tao_weight` is a part of `u64::MAX`.
    pub fn weight(&self, netuid: NetUid, tao_weight: u64) -> StakeWeight {
        let parents = |root: bool| {
            let part = move |&(proportion, alpha, tao): &(u64, u64, u64)| {
                (proportion, if root { tao } else { alpha })
            };
            self.parents.iter().map(part)
        };
        // On root itself nothing is inherited.
        let alpha = if netuid.0 == ROOT {
            self.root
        } else {
            inherited(self.alpha, &self.children, parents(false))
        };
        let tao = inherited(self.root, &self.children, parents(true));
        StakeWeight {
            alpha: Rao(alpha),
            tao: Rao(tao),
            total: Rao(total(alpha, tao, tao_weight)),
        }
    }
}

/// `n / u64::MAX` with 32 fractional bits, floored.
fn fraction(n: u64) -> u128 {
    (u128::from(n) << FRACTION) / u128::from(u64::MAX)
}

/// Own stake less the children's part, and the part of each parent's stake.
fn inherited(own: u64, children: &[u64], parents: impl Iterator<Item = (u64, u64)>) -> u64 {
    let part = |proportion, stake| u128::from(stake) * fraction(proportion);
    let given: u128 = children.iter().map(|&proportion| part(proportion, own)).sum();
    let received: u128 = parents.map(|(proportion, stake)| part(proportion, stake)).sum();
    let bits = (u128::from(own) << FRACTION).saturating_sub(given) + received;
    u64::try_from(bits >> FRACTION).unwrap_or(u64::MAX)
}

/// Alpha plus weighted root stake; the chain's `I64F64` saturates at `i64::MAX`.
fn total(alpha: u64, tao: u64, tao_weight: u64) -> u64 {
    const MAX: u64 = i64::MAX.unsigned_abs();
    let weighted = u128::from(tao.min(MAX)) * fraction(tao_weight);
    let bits = (u128::from(alpha.min(MAX)) << FRACTION) + weighted;
    u64::try_from(bits >> FRACTION).unwrap_or(MAX).min(MAX)
}

/// Reads and computes, in the order of the hotkeys: one question for them, and one for the parents that are not among
/// them.
pub(crate) async fn read(
    client: &Client,
    runtime: &Runtime,
    (netuid, block): (NetUid, BlockRef),
    hotkeys: &[[u8; 32]],
    tao_weight: u64,
) -> Result<Vec<StakeWeight>, Error> {
    const STAKE: &str = "TotalHotkeyAlpha";
    type Relations = Vec<(u64, [u8; 32])>;
    let on = |subnet: u16| move |hotkey: &[u8; 32]| (*hotkey, subnet);

    let mut query = Query::new(runtime);
    let alpha = query.many::<u64, _>(PALLET, STAKE, hotkeys.iter().map(on(netuid.0)))?;
    let root = query.many::<u64, _>(PALLET, STAKE, hotkeys.iter().map(on(ROOT)))?;
    let children = query.many::<Relations, _>(PALLET, "ChildKeys", hotkeys.iter().map(on(netuid.0)))?;
    let parents = query.many::<Relations, _>(PALLET, "ParentKeys", hotkeys.iter().map(on(netuid.0)))?;
    let answer = query.send(client, block).await?;
    let (children, parents) = (answer.all(&children)?, answer.all(&parents)?);
    let own = answer.all(&alpha)?.into_iter().zip(answer.all(&root)?);
    let mut own: BTreeMap<[u8; 32], (u64, u64)> = hotkeys.iter().copied().zip(own).collect();

    let others: BTreeSet<[u8; 32]> = parents.iter().flatten().map(|(_, parent)| *parent).collect();
    let others: Vec<[u8; 32]> = others.into_iter().filter(|key| !own.contains_key(key)).collect();
    if !others.is_empty() {
        let mut query = Query::new(runtime);
        let alpha = query.many::<u64, _>(PALLET, STAKE, others.iter().map(on(netuid.0)))?;
        let root = query.many::<u64, _>(PALLET, STAKE, others.iter().map(on(ROOT)))?;
        let answer = query.send(client, block).await?;
        let theirs = answer.all(&alpha)?.into_iter().zip(answer.all(&root)?);
        own.extend(others.into_iter().zip(theirs));
    }

    let stake = |key: &[u8; 32]| own.get(key).copied().unwrap_or_default();
    let weights = hotkeys
        .iter()
        .zip(children.iter().zip(&parents))
        .map(|(hotkey, (children, parents))| {
            let (alpha, root) = stake(hotkey);
            let parents = parents.iter().map(|(proportion, parent)| {
                let (alpha, root) = stake(parent);
                (*proportion, alpha, root)
            });
            let holdings = Holdings {
                alpha,
                root,
                children: children.iter().map(|(proportion, _)| *proportion).collect(),
                parents: parents.collect(),
            };
            holdings.weight(netuid, tao_weight)
        });
    Ok(weights.collect())
}

impl Client {
    /// Stake weight of these hotkeys on a subnet, computed from storage and in their order.
    ///
    /// Two questions at most, of four keys for each hotkey and two for each parent that is not among them.
    pub async fn stake_weights(
        &self,
        netuid: NetUid,
        block: BlockRef,
        hotkeys: &[Hotkey],
    ) -> Result<Vec<StakeWeight>, Error> {
        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let weight = query.one::<u64>(PALLET, "TaoWeight", ())?;
        let weight = query.send(self, block).await?.value(&weight)?;
        let hotkeys: Vec<[u8; 32]> = hotkeys.iter().map(|hotkey| hotkey.0).collect();
        read(self, &runtime, (netuid, block), &hotkeys, weight).await
    }

    /// The neurons of a snapshot whose stake is not what storage at its block says; none when all is well.
    pub async fn verify_stake(&self, snapshot: &Snapshot) -> Result<Vec<Mismatch>, Error> {
        let hotkeys: Vec<Hotkey> = snapshot.neurons.iter().map(|neuron| neuron.hotkey).collect();
        let computed = self
            .stake_weights(snapshot.netuid, snapshot.block, &hotkeys)
            .await?;
        let compared = snapshot
            .neurons
            .iter()
            .zip(computed)
            .map(|(neuron, computed)| Mismatch {
                uid: neuron.uid,
                hotkey: neuron.hotkey,
                given: StakeWeight {
                    alpha: neuron.alpha_stake,
                    tao: neuron.tao_stake,
                    total: neuron.stake,
                },
                computed,
            });
        Ok(compared
            .filter(|compared| compared.given != compared.computed)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = u64::MAX / 2;
    const SUBNET: NetUid = NetUid(1);

    fn weight(holdings: &Holdings, tao_weight: u64) -> (u64, u64, u64) {
        let weight = holdings.weight(SUBNET, tao_weight);
        (weight.alpha.0, weight.tao.0, weight.total.0)
    }

    #[test]
    fn own_stake_counts_whole_and_root_stake_by_its_weight() {
        let own = Holdings {
            alpha: 1_000,
            root: 500,
            ..Holdings::default()
        };
        assert_eq!(weight(&own, 0), (1_000, 500, 1_000));
        assert_eq!(weight(&own, u64::MAX), (1_000, 500, 1_500));
        // A half is 2^31 - 1 of 2^32, so 500 of root count 249.99…
        assert_eq!(weight(&own, HALF), (1_000, 500, 1_249));
    }

    #[test]
    fn parts_go_to_children_and_come_from_parents_in_both_kinds() {
        let child = Holdings {
            alpha: 10,
            root: 0,
            children: vec![],
            parents: vec![(HALF, 1_000, 400), (u64::MAX, 7, 3)],
        };
        // 10 + 499.99… + 7 of alpha, 199.99… + 3 of root: floored once, at the end.
        assert_eq!(weight(&child, u64::MAX), (516, 202, 718));
        let parent = Holdings {
            alpha: 1_000,
            root: 400,
            children: vec![HALF, HALF],
            parents: vec![],
        };
        // What is left of twice "a hair under a half" is a fraction of one rao.
        assert_eq!(weight(&parent, u64::MAX), (0, 0, 0));
        let greedy = Holdings {
            children: vec![u64::MAX, HALF],
            ..parent
        };
        assert_eq!(weight(&greedy, u64::MAX), (0, 0, 0));
    }

    #[test]
    fn root_inherits_nothing_in_alpha() {
        let holdings = Holdings {
            alpha: 100,
            root: 100,
            children: vec![u64::MAX],
            parents: vec![],
        };
        assert_eq!(holdings.weight(NetUid(0), 0).alpha, Rao(100));
        assert_eq!(holdings.weight(SUBNET, 0).alpha, Rao(0));
    }

    #[test]
    fn sums_saturate_as_the_chains_numbers_do() {
        let most = u64::MAX / 2;
        let rich = Holdings {
            alpha: u64::MAX,
            root: u64::MAX,
            ..Holdings::default()
        };
        assert_eq!(weight(&rich, 0), (u64::MAX, u64::MAX, most));
        assert_eq!(weight(&rich, u64::MAX), (u64::MAX, u64::MAX, most));
        let heir = Holdings {
            parents: vec![(u64::MAX, u64::MAX, 0), (u64::MAX, u64::MAX, 0)],
            ..Holdings::default()
        };
        assert_eq!(weight(&heir, 0).0, u64::MAX);
    }
}
