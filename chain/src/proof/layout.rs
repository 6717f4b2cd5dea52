//! Where the values behind stake weights are in storage, and what they are: fixed, so that a proof needs no metadata to
//! be checked. Who makes a proof compares this with the runtime's own metadata first.

use std::collections::{BTreeMap, BTreeSet};

use codec::{Decode, DecodeAll as _, Encode as _};
use sp_core::{blake2_128, twox_128};
use subxt::ext::frame_decode::helpers::IntoEncodableValues;
use subxt::ext::frame_decode::storage::StorageTypeInfo as _;

use super::{ProofError, ProvedNeuron, ProvedStakes};
use crate::error::Error;
use crate::runtime::Runtime;
use crate::shape;
use crate::snapshot::PALLET;
use crate::stake::{Holdings, ROOT};
use crate::types::{BlockRef, Coldkey, Hotkey, NetUid, Uid};

const TAO_WEIGHT: &str = "TaoWeight";
const COUNT: &str = "SubnetworkN";
const KEYS: &str = "Keys";
const OWNER: &str = "Owner";
const ALPHA: &str = "TotalHotkeyAlpha";
const CHILDREN: &str = "ChildKeys";
const PARENTS: &str = "ParentKeys";

/// What `TaoWeight` is where nothing is stored.
const DEFAULT_TAO_WEIGHT: u64 = 971_718_665_099_567_868;

type Key = Vec<u8>;
type Account = [u8; 32];
/// Proportion in parts of `u64::MAX`, and whose child or parent it is.
type Relations = Vec<(u64, Account)>;

fn key(entry: &str, hashed: &[u8]) -> Key {
    let (pallet, entry) = (twox_128(PALLET.as_bytes()), twox_128(entry.as_bytes()));
    [&pallet, &entry, hashed].concat()
}

/// By numbers, which the chain hashes by `Identity`.
fn by_numbers(entry: &str, numbers: &[u16]) -> Key {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    key(entry, &numbers)
}

/// By an account, which the chain hashes by `Blake2_128Concat`, and numbers.
fn by_account(entry: &str, account: &Account, numbers: &[u16]) -> Key {
    let hash = blake2_128(account);
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    key(entry, &[&hash[..], account, &numbers].concat())
}

/// That the runtime keeps these entries as they are read here: keys, types and what counts where nothing is stored.
pub(super) fn check(runtime: &Runtime) -> Result<(), Error> {
    let (netuid, uid, account) = (0x0201, 0x0403, [5; 32]);
    let accounts = "Vec<(u64, [u8; 32])>";
    let none = Relations::new().encode();
    let zero = 0_u64.encode();
    let nobody = Account::default().encode();
    let weight = DEFAULT_TAO_WEIGHT.encode();
    expect(runtime, (TAO_WEIGHT, "u64", &weight), (), &key(TAO_WEIGHT, &[]))?;
    let at = by_numbers(COUNT, &[netuid]);
    expect(runtime, (COUNT, "u16", &0_u16.encode()), (netuid,), &at)?;
    let at = by_numbers(KEYS, &[netuid, uid]);
    expect(runtime, (KEYS, "[u8; 32]", &nobody), (netuid, uid), &at)?;
    let at = by_account(OWNER, &account, &[]);
    expect(runtime, (OWNER, "[u8; 32]", &nobody), (account,), &at)?;
    for (entry, ty, default) in [
        (ALPHA, "u64", &zero),
        (CHILDREN, accounts, &none),
        (PARENTS, accounts, &none),
    ] {
        let at = by_account(entry, &account, &[netuid]);
        expect(runtime, (entry, ty, default), (account, netuid), &at)?;
    }
    Ok(())
}

fn expect(
    runtime: &Runtime,
    (entry, ty, default): (&'static str, &str, &[u8]),
    keys: impl IntoEncodableValues,
    expected: &[u8],
) -> Result<(), Error> {
    let item = || format!("{PALLET}.{entry}");
    let at = runtime.storage_key(PALLET, entry, keys)?;
    let metadata = &runtime.metadata;
    let info = metadata.storage_info(PALLET, entry);
    let info = info.map_err(|_| runtime.missing(item()))?;
    let as_expected = at == expected
        && shape::name(metadata.types(), info.value_id) == ty
        && info.default_value.as_deref() == Some(default);
    if as_expected {
        return Ok(());
    }
    Err(Error::Decode {
        item: item(),
        spec_version: runtime.spec_version,
        source: "it is not kept as proofs of this version read it".into(),
    })
}

/// Values as they become known, by key; `None` for what is known to be absent.
pub(super) struct Gathered {
    netuid: NetUid,
    values: BTreeMap<Key, Option<Vec<u8>>>,
}

impl Gathered {
    pub(super) fn new(netuid: NetUid) -> Self {
        Self {
            netuid,
            values: BTreeMap::new(),
        }
    }

    pub(super) fn extend(&mut self, keys: Vec<Key>, values: Vec<Option<Vec<u8>>>) {
        self.values.extend(keys.into_iter().zip(values));
    }

    /// The keys to be read next, in order, which depend on what was read before; none when everything is there.
    pub(super) fn wanted(&self) -> Result<Vec<Key>, ProofError> {
        let rounds = [Self::of_subnet, Self::of_uids, Self::of_neurons, Self::of_parents];
        for round in rounds {
            let keys: BTreeSet<Key> = round(self)?.into_iter().collect();
            let unread = keys.into_iter().filter(|key| !self.values.contains_key(key));
            let unread: Vec<Key> = unread.collect();
            if !unread.is_empty() {
                return Ok(unread);
            }
        }
        Ok(Vec::new())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is one of the rounds")]
    fn of_subnet(&self) -> Result<Vec<Key>, ProofError> {
        Ok(vec![key(TAO_WEIGHT, &[]), self.count_key()])
    }

    fn of_uids(&self) -> Result<Vec<Key>, ProofError> {
        let uids = 0..self.count()?;
        Ok(uids.map(|uid| by_numbers(KEYS, &[self.netuid.0, uid])).collect())
    }

    fn of_neurons(&self) -> Result<Vec<Key>, ProofError> {
        let mut keys = Vec::new();
        for hotkey in self.hotkeys()? {
            keys.push(by_account(OWNER, &hotkey, &[]));
            keys.push(by_account(CHILDREN, &hotkey, &[self.netuid.0]));
            keys.push(by_account(PARENTS, &hotkey, &[self.netuid.0]));
            keys.extend(self.stake_keys(&hotkey));
        }
        Ok(keys)
    }

    fn of_parents(&self) -> Result<Vec<Key>, ProofError> {
        let mut keys = Vec::new();
        for hotkey in self.hotkeys()? {
            let parents = self.relations(PARENTS, &hotkey)?;
            keys.extend(parents.iter().flat_map(|(_, parent)| self.stake_keys(parent)));
        }
        Ok(keys)
    }

    fn count_key(&self) -> Key {
        by_numbers(COUNT, &[self.netuid.0])
    }

    fn stake_keys(&self, account: &Account) -> [Key; 2] {
        [self.netuid.0, ROOT].map(|netuid| by_account(ALPHA, account, &[netuid]))
    }

    /// A value that was read, or the default where nothing is stored.
    fn value<T: Decode>(&self, entry: &'static str, key: &Key, default: T) -> Result<T, ProofError> {
        match self.values.get(key).ok_or(ProofError::Nodes)? {
            Some(bytes) => T::decode_all(&mut &**bytes).map_err(|_| ProofError::Value(entry)),
            None => Ok(default),
        }
    }

    fn count(&self) -> Result<u16, ProofError> {
        match self.value(COUNT, &self.count_key(), 0)? {
            0 => Err(ProofError::Empty),
            count => Ok(count),
        }
    }

    fn hotkeys(&self) -> Result<Vec<Account>, ProofError> {
        let nobody = Account::default();
        let keys = self.of_uids()?;
        keys.iter().map(|key| self.value(KEYS, key, nobody)).collect()
    }

    fn relations(&self, entry: &'static str, account: &Account) -> Result<Relations, ProofError> {
        let key = by_account(entry, account, &[self.netuid.0]);
        self.value(entry, &key, Vec::new())
    }

    /// Own alpha, and own root stake.
    fn own(&self, account: &Account) -> Result<[u64; 2], ProofError> {
        let [alpha, root] = self.stake_keys(account);
        Ok([self.value(ALPHA, &alpha, 0)?, self.value(ALPHA, &root, 0)?])
    }

    /// What follows from the values, once nothing is wanted any more.
    pub(super) fn stakes(&self, block: BlockRef) -> Result<ProvedStakes, ProofError> {
        let tao_weight = self.value(TAO_WEIGHT, &key(TAO_WEIGHT, &[]), DEFAULT_TAO_WEIGHT)?;
        let neuron = |(uid, hotkey): (u16, Account)| {
            let [alpha, root] = self.own(&hotkey)?;
            let children = self.relations(CHILDREN, &hotkey)?;
            let parents = self.relations(PARENTS, &hotkey)?.into_iter();
            let parents = parents.map(|(proportion, parent)| {
                let [alpha, root] = self.own(&parent)?;
                Ok((proportion, alpha, root))
            });
            let holdings = Holdings {
                alpha,
                root,
                children: children.iter().map(|(proportion, _)| *proportion).collect(),
                parents: parents.collect::<Result<_, _>>()?,
            };
            let owner = by_account(OWNER, &hotkey, &[]);
            Ok(ProvedNeuron {
                uid: Uid(uid),
                hotkey: Hotkey(hotkey),
                coldkey: Coldkey(self.value(OWNER, &owner, Account::default())?),
                stake: holdings.weight(self.netuid, tao_weight),
            })
        };
        let neurons = (0..).zip(self.hotkeys()?).map(neuron);
        Ok(ProvedStakes {
            netuid: self.netuid,
            block,
            tao_weight,
            neurons: neurons.collect::<Result<_, ProofError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(metadata: &[u8]) -> Runtime {
        Runtime::from_metadata(metadata).unwrap()
    }

    #[test]
    fn the_layout_is_that_of_every_runtime_we_have_seen() {
        for metadata in [
            &include_bytes!("../../tests/it/data/metadata-365.scale")[..],
            include_bytes!("../../tests/it/data/metadata-424.scale"),
            include_bytes!("../../tests/it/data/metadata-461.scale"),
        ] {
            check(&runtime(metadata)).unwrap();
        }
    }

    #[test]
    fn another_layout_is_told_by_the_entry() {
        let metadata = include_bytes!("../../tests/it/data/metadata-461.scale");
        let runtime = runtime(metadata);
        let of_uid = by_numbers(KEYS, &[1, 2]);
        let right = (KEYS, "[u8; 32]", &[0; 32][..]);
        expect(&runtime, right, (1_u16, 2_u16), &of_uid).unwrap();
        let wrong = [
            (("Keys", "[u8; 33]", &[0; 32][..]), of_uid.clone()),
            (("Keys", "[u8; 32]", &[1; 32]), of_uid.clone()),
            (("Keys", "[u8; 32]", &[0; 32]), by_numbers(KEYS, &[2, 1])),
        ];
        for (expected, at) in wrong {
            let error = expect(&runtime, expected, (1_u16, 2_u16), &at).unwrap_err();
            assert!(error.to_string().contains("SubtensorModule.Keys"), "{error}");
        }
    }
}
