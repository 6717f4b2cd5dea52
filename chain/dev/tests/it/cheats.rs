//! The cheats, seen from outside.

use std::time::Duration;

use codec::Encode as _;
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::{Value, json};
use violet_devchain::{CheatError, Error, Genesis, Options, spawn};

use crate::{UNIT, ask, bytes, connect, hex0x, item, key, manual, snapshot};

#[tokio::test]
async fn two_chains_of_one_genesis_have_one_hash() {
    let (one, other) = (manual().await, manual().await);
    assert_eq!(one.genesis_hash(), other.genesis_hash());
    assert_ne!(one.address(), other.address());
    let genesis = Genesis {
        stake_threshold: 1,
        ..Genesis::default()
    };
    let different = spawn(genesis, Options::default()).await.unwrap();
    assert_ne!(one.genesis_hash(), different.genesis_hash());
}

#[tokio::test]
async fn stake_and_permits_move_in_a_block_of_their_own() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let before = ask(&client, "chain_getHead", rpc_params![]).await;
    chain.set_stake(1, key("//Miner1"), 7 * UNIT, 0).unwrap();
    chain.set_permit(1, 0, true).unwrap();
    assert_eq!((chain.best().number, chain.finalized()), (2, chain.best()));
    let after = snapshot(&client, None).await;
    assert_eq!(after.total_stake.unwrap()[0], 7 * UNIT);
    assert!(after.permits.unwrap()[0]);
    let past = snapshot(&client, Some(&before)).await;
    assert_eq!(past.total_stake.unwrap()[0], 1_000 * UNIT);
    assert!(!past.permits.unwrap()[0]);
}

#[tokio::test]
async fn a_neuron_is_registered_and_replaced() {
    let chain = manual().await;
    let client = connect(&chain).await;
    assert_eq!(chain.register(1, key("//New"), key("//New//cold")).unwrap(), 8);
    let hotkeys = snapshot(&client, None).await.hotkeys.unwrap();
    assert_eq!((hotkeys.len(), hotkeys[8]), (9, key("//New")));

    chain.replace(1, 4, key("//Newer"), key("//Newer//cold")).unwrap();
    let graph = snapshot(&client, None).await;
    let (hotkeys, permits, stake) = (
        graph.hotkeys.unwrap(),
        graph.permits.unwrap(),
        graph.total_stake.unwrap(),
    );
    assert_eq!((hotkeys.len(), hotkeys[4]), (9, key("//Newer")));
    assert!(!permits[4], "a permit goes with its holder");
    assert_eq!(stake[4], 0);
    let hashed = |key: [u8; 32]| [sp_core::blake2_128(&key).as_slice(), &key].concat();
    let uid_of = |uri: &str| hex0x([item("Uids"), 1u16.encode(), hashed(key(uri))].concat());
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![uid_of("//Validator1")]).await,
        Value::Null
    );
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![uid_of("//Newer")]).await,
        json!("0x0400")
    );
}

#[tokio::test]
async fn a_cheat_that_cannot_be_makes_no_block() {
    let chain = manual().await;
    let refused = |result: Result<(), Error>| match result.unwrap_err() {
        Error::Cheat(error) => error,
        other => panic!("{other}"),
    };
    let (hotkey, coldkey) = (key("//Miner1"), key("//Miner1//cold"));
    assert_eq!(
        refused(chain.set_stake(9, hotkey, 1, 1)),
        CheatError::UnknownSubnet(9)
    );
    assert_eq!(
        refused(chain.set_permit(1, 8, true)),
        CheatError::UnknownUid { netuid: 1, uid: 8 }
    );
    assert_eq!(
        refused(chain.register(1, hotkey, coldkey).map(drop)),
        CheatError::AlreadyRegistered(1)
    );
    assert_eq!(
        refused(chain.replace(1, 7, key("//N"), coldkey)),
        CheatError::OwnersUid { netuid: 1, uid: 7 }
    );
    assert_eq!(
        refused(chain.set_axon(1, key("//Mallory"), None)),
        CheatError::NotRegistered(1)
    );
    assert_eq!(chain.best().number, 0);
}

#[tokio::test]
async fn a_full_subnet_takes_nobody() {
    let chain = manual().await;
    for uid in 8..256u16 {
        assert_eq!(
            chain
                .register(1, key(&format!("//N{uid}")), key("//Owner"))
                .unwrap(),
            uid
        );
    }
    let full = chain.register(1, key("//Late"), key("//Owner")).unwrap_err();
    assert!(matches!(full, Error::Cheat(CheatError::Full(1))), "{full}");
}

#[tokio::test]
async fn the_threshold_and_an_axon_are_stored() {
    let chain = manual().await;
    let client = connect(&chain).await;
    // With their root stake the validators weigh 51 800, 33 600 and 20 900.
    assert_eq!(snapshot(&client, None).await.validators, Some(vec![6, 5, 4]));
    chain.set_stake_threshold(33_000 * UNIT).unwrap();
    assert_eq!(snapshot(&client, None).await.validators, Some(vec![5, 4]));
    chain.set_stake_threshold(5).unwrap();
    let threshold = ask(
        &client,
        "state_getStorage",
        rpc_params![hex0x(item("StakeThreshold"))],
    )
    .await;
    assert_eq!(bytes(&threshold), 5u64.encode());
    let hotkey = key("//Miner1");
    let hashed = [sp_core::blake2_128(&hotkey).as_slice(), &hotkey].concat();
    let axon = hex0x([item("Axons"), 1u16.encode(), hashed].concat());
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![&axon]).await,
        Value::Null
    );
    chain
        .set_axon(1, hotkey, Some("127.0.0.1:9100".parse().unwrap()))
        .unwrap();
    let stored = ask(&client, "state_getStorage", rpc_params![&axon]).await;
    let expected = (3u64, 0u32, 0x7f00_0001_u128, 9_100u16, 4u8, 4u8, 0u8, 0u8).encode();
    assert_eq!(bytes(&stored), expected);
    chain.set_axon(1, hotkey, None).unwrap();
    assert_eq!(
        ask(&client, "state_getStorage", rpc_params![&axon]).await,
        Value::Null
    );
}

#[tokio::test]
async fn finality_stalls_and_catches_up() {
    let chain = manual().await;
    let client = connect(&chain).await;
    let mut heads: Subscription<Value> = client
        .subscribe(
            "chain_subscribeFinalizedHeads",
            rpc_params![],
            "chain_unsubscribeFinalizedHeads",
        )
        .await
        .unwrap();
    assert_eq!(heads.next().await.unwrap().unwrap()["number"], json!("0x0"));
    chain.stall_finality(true);
    chain.advance(3).unwrap();
    assert_eq!((chain.best().number, chain.finalized().number), (3, 0));
    chain.stall_finality(false);
    assert_eq!(chain.finalized().number, 3);
    assert_eq!(
        heads.next().await.unwrap().unwrap()["number"],
        json!("0x3"),
        "only the newest is told"
    );
    chain.advance(1).unwrap();
    assert_eq!(heads.next().await.unwrap().unwrap()["number"], json!("0x4"));
}

#[tokio::test]
async fn dropped_connections_come_back_and_refused_ones_do_not() {
    let chain = manual().await;
    let client = connect(&chain).await;
    chain.drop_connections();
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    let client = connect(&chain).await;
    assert_eq!(
        ask(&client, "system_health", rpc_params![]).await["peers"],
        json!(0)
    );

    chain.refuse(true);
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    assert!(
        client
            .request::<Value, _>("system_health", rpc_params![])
            .await
            .is_err()
    );
    assert!(WsClientBuilder::default().build(chain.ws_url()).await.is_err());
    chain.refuse(false);
    let client = connect(&chain).await;
    assert_eq!(
        ask(&client, "system_health", rpc_params![]).await["peers"],
        json!(0)
    );
}

#[tokio::test]
async fn a_chain_stops_when_dropped_or_shut_down() {
    let chain = manual().await;
    let (address, client) = (chain.address(), connect(&chain).await);
    drop(chain);
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    // The port is free again, and can be asked for by number.
    let options = Options {
        port: address.port(),
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    let chain = spawn(Genesis::default(), options.clone()).await.unwrap();
    let client = connect(&chain).await;
    let taken = spawn(Genesis::default(), options).await.err().unwrap();
    assert!(matches!(taken, Error::Listen { .. }), "{taken}");
    chain.shutdown().await;
    tokio::time::timeout(Duration::from_secs(60), client.on_disconnect())
        .await
        .unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
