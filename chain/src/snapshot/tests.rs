//! Columns of odd shapes, decoded and assembled.

use codec::{Compact, Encode};
use scale_decode::error::ErrorKind;
use scale_info::{MetaType, PortableRegistry, Registry, TypeInfo};

use super::calls::Selective;
use super::*;

/// As the newest runtimes name their integers.
#[derive(Clone, Copy, Encode, TypeInfo, codec::CompactAs)]
struct TaoBalance(u64);

#[derive(Encode, TypeInfo)]
struct AccountId32([u8; 32]);

/// More fields than are wanted, in another order.
#[derive(Encode, TypeInfo)]
struct ChainAxon {
    block: u64,
    version: u32,
    ip: u128,
    port: u16,
    ip_type: u8,
    protocol: u8,
    placeholder: u8,
}

/// The columns of a metagraph: `hotkeys` neurons, every other vector one shorter.
#[derive(Encode, TypeInfo)]
struct Whole {
    netuid: Compact<u16>,
    name: Option<Vec<Compact<u8>>>,
    owner_hotkey: Option<AccountId32>,
    owner_coldkey: Option<AccountId32>,
    block: Option<Compact<u64>>,
    tempo: Option<Compact<u16>>,
    weights_version: Option<Compact<u64>>,
    commit_reveal_weights_enabled: Option<bool>,
    hotkeys: Option<Vec<AccountId32>>,
    coldkeys: Option<Vec<AccountId32>>,
    axons: Option<Vec<ChainAxon>>,
    active: Option<Vec<bool>>,
    validator_permit: Option<Vec<bool>>,
    last_update: Option<Vec<Compact<u64>>>,
    emission: Option<Vec<Compact<TaoBalance>>>,
    dividends: Option<Vec<Compact<u16>>>,
    incentives: Option<Vec<Compact<u16>>>,
    consensus: Option<Vec<Compact<u16>>>,
    block_at_registration: Option<Vec<Compact<u64>>>,
    alpha_stake: Option<Vec<Compact<TaoBalance>>>,
    tao_stake: Option<Vec<Compact<TaoBalance>>>,
    total_stake: Option<Vec<Compact<TaoBalance>>>,
    appended_by_a_newer_runtime: Option<Vec<u128>>,
}

#[derive(Encode, TypeInfo)]
struct WithoutStake {
    netuid: Compact<u16>,
}

fn whole() -> Whole {
    let tao = |amount| Some(vec![Compact(TaoBalance(amount))]);
    Whole {
        netuid: Compact(7),
        name: None,
        owner_hotkey: Some(AccountId32([1; 32])),
        owner_coldkey: Some(AccountId32([2; 32])),
        block: Some(Compact(100)),
        tempo: Some(Compact(360)),
        weights_version: Some(Compact(3)),
        commit_reveal_weights_enabled: Some(true),
        hotkeys: Some(vec![AccountId32([3; 32]), AccountId32([4; 32])]),
        coldkeys: Some(vec![AccountId32([5; 32]), AccountId32([6; 32])]),
        axons: Some(vec![ChainAxon {
            block: 1,
            version: 2,
            ip: 0x7f00_0002,
            port: 8091,
            ip_type: 4,
            protocol: 1,
            placeholder: 0,
        }]),
        active: Some(vec![true]),
        validator_permit: Some(vec![true]),
        last_update: Some(vec![Compact(90)]),
        emission: tao(11),
        dividends: Some(vec![Compact(12)]),
        incentives: Some(vec![Compact(13)]),
        consensus: Some(vec![Compact(14)]),
        block_at_registration: Some(vec![Compact(15)]),
        alpha_stake: tao(16),
        tao_stake: tao(u64::MAX),
        total_stake: tao(18),
        appended_by_a_newer_runtime: Some(vec![1]),
    }
}

fn decode<T: Encode + TypeInfo + 'static>(value: &T) -> Result<Selective, scale_decode::Error> {
    let mut registry = Registry::new();
    let id = registry.register_type(&MetaType::new::<T>()).id;
    let types = PortableRegistry::from(registry);
    Selective::decode_as_type(&mut value.encode().as_slice(), id, &types)
}

fn snapshot(value: &Whole, number: u32, netuid: u16) -> Result<Snapshot, Error> {
    let block = BlockRef {
        number,
        hash: crate::types::BlockHash([9; 32]),
    };
    let scalars = Scalars {
        stake_threshold: Rao(19),
        tao_weight: 20,
        timestamp: 21,
    };
    let columns = decode(value).unwrap().filled(461)?;
    assemble(461, NetUid(netuid), block, &columns, scalars)
}

#[test]
fn newtypes_short_columns_and_appended_fields_are_read() {
    let snapshot = snapshot(&whole(), 100, 7).unwrap();
    assert_eq!(
        (
            snapshot.owner_hotkey,
            snapshot.owner_coldkey,
            snapshot.tempo,
            snapshot.spec_version
        ),
        (Hotkey([1; 32]), Coldkey([2; 32]), 360, 461)
    );
    assert!(snapshot.commit_reveal);
    assert_eq!(
        (snapshot.stake_threshold, snapshot.tao_weight, snapshot.timestamp),
        (Rao(19), 20, 21)
    );
    let first = Neuron {
        uid: Uid(0),
        hotkey: Hotkey([3; 32]),
        coldkey: Coldkey([5; 32]),
        stake: Rao(18),
        alpha_stake: Rao(16),
        tao_stake: Rao(u64::MAX),
        validator_permit: true,
        active: true,
        registered_at: 15,
        last_update: 90,
        incentive: 13,
        dividends: 12,
        consensus: 14,
        emission: 11,
        axon: Some(Axon {
            ip: "127.0.0.2".parse().unwrap(),
            port: 8091,
            protocol: 1,
        }),
    };
    assert_eq!(snapshot.by_hotkey(&Hotkey([3; 32])), Some(&first));
    let second = snapshot.by_uid(Uid(1)).unwrap();
    assert_eq!(
        (second.hotkey, second.stake, second.axon),
        (Hotkey([4; 32]), Rao(0), None)
    );
    assert!(!second.validator_permit && !second.active);
    assert_eq!(snapshot.by_hotkey(&Hotkey([5; 32])), None);
    assert_eq!(snapshot.by_uid(Uid(2)), None);
    let json = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
}

#[test]
fn answer_for_another_question_is_inconsistent() {
    assert!(matches!(
        snapshot(&whole(), 101, 7),
        Err(Error::Inconsistent { .. })
    ));
    assert!(matches!(
        snapshot(&whole(), 100, 8),
        Err(Error::Inconsistent { .. })
    ));
    let uneven = Whole {
        coldkeys: Some(vec![]),
        ..whole()
    };
    assert!(matches!(
        snapshot(&uneven, 100, 7),
        Err(Error::Inconsistent { .. })
    ));
}

#[test]
fn what_the_chain_no_longer_fills_is_missing_by_name() {
    let emptied = Whole {
        total_stake: None,
        ..whole()
    };
    let error = snapshot(&emptied, 100, 7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SubnetInfoRuntimeApi.get_selective_metagraph.total_stake is missing in runtime 461"
    );
    let error = decode(&WithoutStake { netuid: Compact(7) }).err().unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::CannotFindField { .. }),
        "{error}"
    );
}

#[test]
fn axons_that_serve_nothing_are_none() {
    let axon = AxonInfo {
        ip: 1,
        port: 1,
        ip_type: 6,
        protocol: 0,
    };
    assert_eq!(serving(&axon).unwrap().ip, "::1".parse::<IpAddr>().unwrap());
    assert_eq!(serving(&AxonInfo { port: 0, ..axon }), None);
    assert_eq!(serving(&AxonInfo { ip: 0, ..axon }), None);
    assert_eq!(serving(&AxonInfo { ip_type: 5, ..axon }), None);
    assert_eq!(
        serving(&AxonInfo {
            ip: 1 << 32,
            ip_type: 4,
            ..axon
        }),
        None
    );
}
