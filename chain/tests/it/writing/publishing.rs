//! Axons and commitments.

use violet_chain::{NetUid, Uid, WriteError};

use super::{NETUID, hotkey, refusal, running, set};

#[tokio::test]
async fn an_axon_is_served_by_the_chains_rules() {
    let (chain, client) = running().await;
    let miner = hotkey("//Miner1");
    set(&chain, "ServingRateLimit", 10_000_u64);
    let at = |text: &str| text.parse().unwrap();
    for (name, uri, address) in [
        ("HotKeyNotRegisteredInNetwork", "//Mallory", "203.0.113.7:8091"),
        ("InvalidPort", "//Miner1", "203.0.113.7:0"),
        ("InvalidIpAddress", "//Miner1", "127.0.0.1:8091"),
        ("InvalidIpAddress", "//Miner1", "255.255.255.255:8091"),
        ("InvalidIpAddress", "//Miner1", "[::1]:8091"),
    ] {
        let served = client.serve_axon(&hotkey(uri), NETUID, at(address), 7).await;
        assert_eq!(refusal(served), name, "{address}");
    }
    let block = client
        .serve_axon(&miner, NETUID, at("203.0.113.7:8091"), 7)
        .await
        .unwrap();
    let snapshot = client.snapshot(NETUID, block).await.unwrap();
    let axon = snapshot.by_uid(Uid(0)).unwrap().axon.unwrap();
    assert_eq!(
        (axon.ip.to_string(), axon.port),
        ("203.0.113.7".to_owned(), 8_091)
    );
    assert_eq!(
        refusal(client.serve_axon(&miner, NETUID, at("203.0.113.8:1"), 7).await),
        "ServingRateLimitExceeded"
    );
    client
        .serve_axon(&hotkey("//Miner2"), NETUID, at("[2001:db8::1]:1"), 7)
        .await
        .unwrap();
}

#[tokio::test]
async fn commitments_are_read_back_whatever_their_length() {
    let (_chain, client) = running().await;
    let miner = hotkey("//Miner1");
    let head = client.finalized().await.unwrap();
    let read = async |block| client.commitment(NETUID, &miner.hotkey(), block).await.unwrap();
    assert_eq!(read(head).await, None);
    for length in [0, 1, 128, 129, 512] {
        let data: Vec<u8> = (0..length).map(|at: u16| at.to_le_bytes()[0]).collect();
        let block = client.set_commitment(&miner, NETUID, &data).await.unwrap();
        let commitment = read(block).await.unwrap();
        assert_eq!((commitment.block, commitment.data), (block.number, data));
    }
    let long = client.set_commitment(&miner, NETUID, &[0; 513]).await;
    assert!(matches!(long, Err(WriteError::Unfit(_))), "{long:?}");
    assert_eq!(
        refusal(client.set_commitment(&hotkey("//Mallory"), NETUID, b"x").await),
        "AccountNotAllowedCommit"
    );
    assert_eq!(
        refusal(client.set_commitment(&miner, NetUid(9), b"x").await),
        "AccountNotAllowedCommit"
    );
    // 100, 100, 128, 129 and 512 of the 3100 of an epoch are used, so four more of the longest go.
    for _ in 0..4 {
        client.set_commitment(&miner, NETUID, &[1; 512]).await.unwrap();
    }
    assert_eq!(
        refusal(client.set_commitment(&miner, NETUID, &[2; 512]).await),
        "SpaceLimitExceeded"
    );
}

#[tokio::test]
async fn a_timelocked_commitment_is_opened_by_its_round() {
    // Round 1000 of drand's quicknet, from the tests of `timelock` 0.3.0.
    let signature =
        "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";
    let (chain, client) = running().await;
    let miner = hotkey("//Miner1");
    let block = client
        .set_timelocked_commitment(&miner, NETUID, b"known later", 1_000)
        .await
        .unwrap();
    let commitment = client.commitment(NETUID, &miner.hotkey(), block).await.unwrap();
    assert_ne!(commitment.unwrap().data, b"known later");
    let revealed = async || {
        let head = client.finalized().await.unwrap();
        client
            .revealed_commitments(NETUID, &miner.hotkey(), head)
            .await
            .unwrap()
    };
    assert_eq!(revealed().await, []);
    chain.pulse(1_000, &hex::decode(signature).unwrap()).unwrap();
    chain.advance(1).unwrap();
    let revealed = revealed().await;
    assert_eq!(revealed.len(), 1);
    assert_eq!(revealed[0].0, b"known later");
}
