//! What the chain tells of delegates: hotkeys whose take of others' dividends is on record.

use std::collections::BTreeMap;

use codec::{Compact, Decode, Encode};
use scale_info::TypeInfo;
use substrate_fixed::types::U64F64;

use super::pallet::{
    AlphaV2, Delegates, Emission, IsNetworkMember, Owner, Tempo, TotalHotkeyAlpha, Uids, ValidatorPermit,
};
use super::{AccountId, Runtime, shares};

/// The chain reckons with so many blocks a day.
const BLOCKS_A_DAY: u64 = 7_200;

/// A delegate and who staked on it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct DelegateInfo {
    pub delegate_ss58: AccountId,
    /// A part of 65535.
    pub take: Compact<u16>,
    /// Coldkeys with what they have on each subnet.
    pub nominators: Vec<Nominator>,
    pub owner_ss58: AccountId,
    pub registrations: Vec<Compact<u16>>,
    pub validator_permits: Vec<Compact<u16>>,
    /// Rao a day for 1000 TAO on root, less the take.
    pub return_per_1000: Compact<u64>,
    /// Rao a day.
    pub total_daily_return: Compact<u64>,
}

/// A subnet, and what a coldkey has there.
pub type Place = (Compact<u16>, Compact<u64>);

/// A coldkey with what it has on each subnet.
pub type Nominator = (AccountId, Vec<Place>);

/// A delegate, and what a coldkey has there.
pub type Delegated = (DelegateInfo, Place);

/// All delegates.
pub fn all() -> Vec<DelegateInfo> {
    Delegates::<Runtime>::iter_keys()
        .map(|hotkey| info(&hotkey, true))
        .collect()
}

/// A delegate; `None` if the hotkey is none.
pub fn one(hotkey: &AccountId) -> Option<DelegateInfo> {
    Delegates::<Runtime>::contains_key(hotkey).then(|| info(hotkey, true))
}

/// What a coldkey has on delegates.
pub fn of(coldkey: &AccountId) -> Vec<Delegated> {
    let places = Delegates::<Runtime>::iter_keys().flat_map(|hotkey| {
        let shares = AlphaV2::<Runtime>::iter_prefix((&hotkey, coldkey));
        let netuids: Vec<u16> = shares.map(|(netuid, _)| netuid).collect();
        netuids.into_iter().map(move |netuid| (hotkey.clone(), netuid))
    });
    places
        .map(|(hotkey, netuid)| {
            let stake = shares::stake(&hotkey, coldkey, netuid);
            (info(&hotkey, false), (Compact(netuid), Compact(stake)))
        })
        .collect()
}

fn info(hotkey: &AccountId, with_nominators: bool) -> DelegateInfo {
    let mut nominators: BTreeMap<AccountId, Vec<Place>> = BTreeMap::new();
    if with_nominators {
        for ((coldkey, netuid), _) in AlphaV2::<Runtime>::iter_prefix((hotkey,)) {
            let stake = shares::stake(hotkey, &coldkey, netuid);
            let places = nominators.entry(coldkey).or_default();
            places.push((Compact(netuid), Compact(stake)));
        }
    }
    let member = IsNetworkMember::<Runtime>::iter_prefix(hotkey).filter(|(_, member)| *member);
    let mut registrations: Vec<u16> = member.map(|(netuid, _)| netuid).collect();
    registrations.sort_unstable();
    let mut permits = Vec::new();
    let mut daily = U64F64::from_num(0);
    for netuid in &registrations {
        let Some(uid) = Uids::<Runtime>::get(netuid, hotkey).map(usize::from) else {
            continue;
        };
        if ValidatorPermit::<Runtime>::get(netuid).get(uid) == Some(&true) {
            permits.push(Compact(*netuid));
        }
        let emission = Emission::<Runtime>::get(netuid).get(uid).copied();
        let epochs =
            U64F64::from_num(BLOCKS_A_DAY).checked_div(U64F64::from_num(Tempo::<Runtime>::get(netuid)));
        let emitted = U64F64::from_num(emission.unwrap_or_default());
        daily = daily.saturating_add(emitted.saturating_mul(epochs.unwrap_or_default()));
    }
    let take = Delegates::<Runtime>::get(hotkey);
    DelegateInfo {
        delegate_ss58: hotkey.clone(),
        take: Compact(take),
        nominators: nominators.into_iter().collect(),
        owner_ss58: Owner::<Runtime>::get(hotkey),
        registrations: registrations.into_iter().map(Compact).collect(),
        validator_permits: permits,
        return_per_1000: Compact(per_1000(take, daily, TotalHotkeyAlpha::<Runtime>::get(hotkey, 0))),
        total_daily_return: Compact(daily.to_num()),
    }
}

/// Of what is emitted in a day, the part of 1000 TAO on root, less the take.
fn per_1000(take: u16, daily: U64F64, root: u64) -> u64 {
    let kept = U64F64::from_num(take) / U64F64::from_num(u16::MAX);
    let thousands = U64F64::from_num(root) / U64F64::from_num(1_000_000_000_000u64);
    let rest = daily.saturating_mul(U64F64::from_num(1) - kept);
    rest.checked_div(thousands).map_or(0, U64F64::saturating_to_num)
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};

    fn account(uri: &str) -> AccountId {
        AccountId::new(public_key(uri).unwrap())
    }

    const ALPHA: u64 = 1_000_000_000;

    #[test]
    fn a_delegate_is_told_with_its_nominators_and_its_return() {
        BasicExternalities::execute_with_storage(&mut Genesis::default().storage(None), || {
            assert_eq!(all().len(), 3, "the validators, which have stake on root");
            assert_eq!(one(&account("//Miner1")), None);
            let hotkey = account("//Validator1");
            shares::increase(&hotkey, &account("//Mallory"), 1, 7 * ALPHA);
            Emission::<Runtime>::mutate(1, |emission| emission[4] = 5 * ALPHA);
            let told = one(&hotkey).unwrap();
            assert_eq!(
                (told.owner_ss58.clone(), told.take.0),
                (account("//Validator1//cold"), 11_796)
            );
            assert_eq!(told.registrations, [Compact(1)]);
            assert_eq!(told.validator_permits, [Compact(1)]);
            let mut by_mallory = told
                .nominators
                .iter()
                .filter(|(who, _)| *who == account("//Mallory"));
            assert_eq!(by_mallory.next().unwrap().1, [(Compact(1), Compact(7 * ALPHA))]);
            // An epoch of 10 blocks is 720 times a day; there are 10 000 TAO on root.
            assert_eq!(told.total_daily_return.0, 720 * 5 * ALPHA);
            let less_take = 360_000_000_000 - 360_000_000_000 * 11_796 / 65_535;
            assert!(
                told.return_per_1000.0.abs_diff(less_take) <= 1,
                "{:?}",
                told.return_per_1000
            );
            let (delegate, place) = of(&account("//Mallory")).pop().unwrap();
            assert_eq!(delegate.delegate_ss58, hotkey);
            assert!(delegate.nominators.is_empty());
            assert_eq!(place, (Compact(1), Compact(7 * ALPHA)));
        });
    }

    #[test]
    fn nothing_on_root_is_no_return() {
        assert_eq!(per_1000(0, U64F64::from_num(5), 0), 0);
        assert_eq!(per_1000(0, U64F64::from_num(5), 1_000_000_000_000), 5);
        assert_eq!(per_1000(u16::MAX, U64F64::from_num(5), 1_000_000_000_000), 0);
    }
}
