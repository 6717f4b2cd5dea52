//! The client against a real chain: FRAME behind JSON-RPC on the loopback address.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use violet_chain::surface::Surface;
use violet_chain::{
    Axon, BlockHash, BlockRef, Client, Coldkey, Error, FinalizedHeads, Hotkey, NetUid, Rao, Snapshot, Uid,
};
use violet_devchain::{DevChain, Genesis, Head, Options};

const PATIENCE: Duration = Duration::from_secs(60);
const NETUID: NetUid = NetUid(1);

/// A chain that makes blocks only when asked.
async fn spawn(genesis: Genesis) -> DevChain {
    let options = Options {
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    violet_devchain::spawn(genesis, options).await.unwrap()
}

async fn start() -> (DevChain, Client) {
    let chain = spawn(Genesis::default()).await;
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    (chain, client)
}

fn block(head: Head) -> BlockRef {
    BlockRef {
        number: head.number,
        hash: BlockHash(head.hash),
    }
}

async fn newest(client: &Client) -> Snapshot {
    let block = client.finalized().await.unwrap();
    client.snapshot(NETUID, block).await.unwrap()
}

async fn next(heads: &mut FinalizedHeads) -> BlockRef {
    timeout(PATIENCE, heads.next()).await.expect("a head comes")
}

#[tokio::test]
async fn snapshot_equals_the_genesis() {
    let (chain, client) = start().await;
    let genesis = Genesis::default();
    let snapshot = newest(&client).await;

    assert_eq!(snapshot.netuid, NETUID);
    assert_eq!(snapshot.block, block(chain.finalized()));
    assert_eq!(snapshot.spec_version, violet_devchain::SPEC_VERSION);
    let subnet = &genesis.subnets[0];
    assert_eq!(snapshot.tempo, subnet.tempo);
    assert_eq!(snapshot.owner_hotkey, Hotkey(subnet.owner_hotkey));
    assert_eq!(snapshot.owner_coldkey, Coldkey(subnet.owner_coldkey));
    assert_eq!(snapshot.stake_threshold, Rao(genesis.stake_threshold));
    assert_eq!(snapshot.tao_weight, genesis.tao_weight);

    assert_eq!(snapshot.neurons.len(), genesis.neurons.len());
    for ((uid, neuron), expected) in (0..).zip(&snapshot.neurons).zip(&genesis.neurons) {
        assert_eq!(neuron.uid, Uid(uid));
        assert_eq!(
            (neuron.hotkey, neuron.coldkey),
            (Hotkey(expected.hotkey), Coldkey(expected.coldkey))
        );
        assert_eq!(
            (neuron.alpha_stake, neuron.tao_stake),
            (Rao(expected.alpha), Rao(expected.root))
        );
        // The weight has 32 fractional bits there, and the sum is floored.
        let weight = (u128::from(genesis.tao_weight) << 32) / u128::from(u64::MAX);
        let root = u64::try_from((u128::from(expected.root) * weight) >> 32).unwrap();
        assert_eq!(neuron.stake, Rao(expected.alpha + root));
        assert_eq!(neuron.validator_permit, expected.validator_permit);
        assert_eq!(neuron.axon, None);
        assert_eq!(snapshot.by_hotkey(&neuron.hotkey), Some(neuron));
        assert_eq!(snapshot.by_uid(neuron.uid), Some(neuron));
    }
}

#[tokio::test]
async fn a_snapshot_has_the_time_of_its_own_block() {
    let now = || {
        let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        u64::try_from(since.as_millis()).expect("a time of this age")
    };
    let (chain, client) = start().await;
    assert_eq!(newest(&client).await.timestamp, 0, "genesis has no time");
    let before = now();
    let first = block(chain.advance(1).unwrap());
    let after = now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    chain.advance(1).unwrap();
    let earlier = client.snapshot(NETUID, first).await.unwrap().timestamp;
    assert!((before..=after).contains(&earlier), "{earlier}");
    assert!(newest(&client).await.timestamp > after);
}

#[tokio::test]
async fn blocks_are_the_chains() {
    let (chain, client) = start().await;
    assert_eq!(client.genesis_hash(), BlockHash(chain.genesis_hash()));
    let first = chain.advance(1).unwrap();
    let last = chain.advance(3).unwrap();
    assert_eq!(client.finalized().await.unwrap(), block(last));
    assert_eq!(client.block_at(first.number).await.unwrap(), Some(block(first)));
    assert_eq!(client.block_at(last.number).await.unwrap(), Some(block(last)));
    assert_eq!(
        client.block_at(0).await.unwrap().unwrap().hash,
        client.genesis_hash()
    );
    assert_eq!(client.block_at(last.number + 1).await.unwrap(), None);
}

#[tokio::test]
async fn number_that_is_not_final_yet_is_no_block() {
    let (chain, client) = start().await;
    chain.stall_finality(true);
    let best = chain.advance(2).unwrap();
    assert_eq!(client.block_at(best.number).await.unwrap(), None);
    chain.stall_finality(false);
    chain.advance(1).unwrap();
    assert_eq!(client.block_at(best.number).await.unwrap(), Some(block(best)));
}

#[tokio::test]
async fn changes_show_at_their_block_and_not_before() {
    let (chain, client) = start().await;
    let before = newest(&client).await;
    let miner = before.neurons[0].hotkey;

    chain.set_stake(NETUID.0, miner.0, 7_000, 0).unwrap();
    chain.set_permit(NETUID.0, 0, true).unwrap();
    chain.set_stake_threshold(5).unwrap();
    chain
        .set_axon(NETUID.0, miner.0, Some("127.0.0.1:8091".parse().unwrap()))
        .unwrap();
    let (newcomer, coldkey) = ([7; 32], [8; 32]);
    let uid = chain.register(NETUID.0, newcomer, coldkey).unwrap();
    let after = newest(&client).await;

    let changed = after.by_hotkey(&miner).unwrap();
    assert_eq!(
        (changed.stake, changed.alpha_stake, changed.tao_stake),
        (Rao(7_000), Rao(7_000), Rao(0))
    );
    assert!(changed.validator_permit);
    assert_eq!(after.stake_threshold, Rao(5));
    let (ip, port) = ("127.0.0.1".parse().unwrap(), 8091);
    assert!(
        matches!(changed.axon, Some(axon) if (axon.ip, axon.port) == (ip, port)),
        "{changed:?}"
    );
    let added = after.by_uid(Uid(uid)).unwrap();
    assert_eq!(
        (added.hotkey, added.coldkey),
        (Hotkey(newcomer), Coldkey(coldkey))
    );
    assert_eq!((added.stake, added.validator_permit), (Rao(0), false));
    assert_eq!(added.registered_at, u64::from(after.block.number));
    assert_eq!(after.neurons.len(), before.neurons.len() + 1);

    chain.replace(NETUID.0, 1, [9; 32], coldkey).unwrap();
    let replaced = newest(&client).await;
    assert_eq!(replaced.by_hotkey(&before.neurons[1].hotkey), None);
    assert_eq!(replaced.by_uid(Uid(1)).unwrap().hotkey, Hotkey([9; 32]));

    let again = client.snapshot(NETUID, before.block).await.unwrap();
    assert_eq!(again, before);
}

#[tokio::test]
async fn ipv6_axon_is_read() {
    let (chain, client) = start().await;
    let miner = newest(&client).await.neurons[0].hotkey;
    chain
        .set_axon(NETUID.0, miner.0, Some("[2001:db8::1]:9000".parse().unwrap()))
        .unwrap();
    let axon = newest(&client).await.neurons[0].axon.unwrap();
    assert_eq!(
        axon,
        Axon {
            ip: "2001:db8::1".parse().unwrap(),
            port: 9000,
            ..axon
        }
    );
    chain.set_axon(NETUID.0, miner.0, None).unwrap();
    assert_eq!(newest(&client).await.neurons[0].axon, None);
}

#[tokio::test]
async fn absent_subnet_and_unknown_block_are_errors() {
    let (_chain, client) = start().await;
    let block = client.finalized().await.unwrap();
    let error = client.snapshot(NetUid(99), block).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NoSuchSubnet {
                netuid: NetUid(99),
                ..
            }
        ),
        "{error:?}"
    );
    let unknown = BlockRef {
        hash: BlockHash([1; 32]),
        ..block
    };
    let error = client.snapshot(NETUID, unknown).await.unwrap_err();
    assert!(matches!(error, Error::Rpc { .. }), "{error:?}");
    let elsewhere = BlockRef {
        number: block.number + 1,
        ..block
    };
    let error = client.snapshot(NETUID, elsewhere).await.unwrap_err();
    assert!(matches!(error, Error::Inconsistent { .. }), "{error:?}");
}

#[tokio::test]
async fn heads_come_with_the_hash_that_the_chain_gives_them() {
    let (chain, client) = start().await;
    let mut heads = client.finalized_heads();
    assert_eq!(next(&mut heads).await, block(chain.finalized()));
    for _ in 0..3 {
        let made = chain.advance(1).unwrap();
        assert_eq!(next(&mut heads).await, block(made));
    }
    // A wait that is given up loses nothing.
    assert!(timeout(Duration::from_millis(50), heads.next()).await.is_err());
    let made = chain.advance(1).unwrap();
    assert_eq!(next(&mut heads).await, block(made));
}

#[tokio::test]
async fn dropped_connections_are_made_again() {
    let (chain, client) = start().await;
    let mut heads = client.finalized_heads();
    next(&mut heads).await;
    for _ in 0..3 {
        chain.drop_connections();
        let made = chain.advance(1).unwrap();
        assert_eq!(next(&mut heads).await, block(made));
        assert_eq!(newest(&client).await.block, block(made));
    }
    chain.drop_connections();
    assert_eq!(newest(&client).await.block, block(chain.finalized()));
}

#[tokio::test]
async fn outage_is_temporary_and_ends() {
    let (chain, client) = start().await;
    let mut heads = client.finalized_heads();
    next(&mut heads).await;
    chain.refuse(true);
    let error = timeout(PATIENCE, client.finalized())
        .await
        .expect("it gives up")
        .unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.is_temporary(),
        "{error:?}"
    );
    let made = chain.advance(2).unwrap();
    assert!(timeout(Duration::from_millis(100), heads.next()).await.is_err());
    chain.refuse(false);
    assert_eq!(next(&mut heads).await, block(made));
    assert_eq!(newest(&client).await.block, block(made));
}

#[tokio::test]
async fn next_endpoint_takes_over() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let chain = spawn(Genesis::default()).await;
    let client = Client::connect(&[format!("ws://{closed}"), chain.ws_url()])
        .await
        .unwrap();
    assert_eq!(
        newest(&client).await.neurons.len(),
        Genesis::default().neurons.len()
    );
}

#[tokio::test]
async fn endpoint_of_another_chain_is_never_used() {
    let chain = spawn(Genesis::default()).await;
    let other = spawn(Genesis {
        stake_threshold: 1,
        ..Genesis::default()
    })
    .await;
    assert_ne!(chain.genesis_hash(), other.genesis_hash());
    let client = Client::connect(&[chain.ws_url(), other.ws_url()]).await.unwrap();
    chain.refuse(true);
    let error = timeout(PATIENCE, client.finalized())
        .await
        .expect("it gives up")
        .unwrap_err();
    assert!(
        matches!(error, Error::OtherChain { .. } | Error::Unreachable { .. }),
        "{error:?}"
    );
    chain.refuse(false);
    let answer = timeout(PATIENCE, async {
        loop {
            match client.finalized().await {
                Ok(block) => return block,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    assert_eq!(
        answer.await.expect("the right one is found again"),
        block(chain.finalized())
    );
}

#[tokio::test]
async fn surface_holds_on_a_live_node_and_in_its_metadata() {
    let (chain, client) = start().await;
    let at = block(chain.finalized());
    let live = Surface::bundled().check(&client, at).await.unwrap();
    assert_eq!(live.spec_version, violet_devchain::SPEC_VERSION);
    assert!(live.is_ok(), "{live}");
    let metadata = client.metadata(at).await.unwrap();
    assert!(metadata.starts_with(b"meta"));
    assert_eq!(Surface::bundled().check_metadata(&metadata).unwrap(), live);
    let wrapped = codec::Encode::encode(&Some(metadata));
    assert_eq!(Surface::bundled().check_metadata(&wrapped).unwrap(), live);
}

#[tokio::test]
async fn what_a_runtime_lacks_is_found_by_name() {
    let list = "
        [[storage]]
        pallet = 'SubtensorModule'
        entry = 'NoSuchThing'
        keys = []
        value = 'u64'
        since = 1
        without = 'nothing'
        [[storage]]
        pallet = 'SubtensorModule'
        entry = 'Tempo'
        keys = [{ hasher = 'Twox64Concat', type = 'u16' }]
        value = 'u64'
        since = 1
        required = false
        without = 'nothing'
        [[api]]
        trait = 'SubnetInfoRuntimeApi'
        method = 'get_selective_metagraph'
        inputs = ['u16', 'Vec<u16>']
        output = 'Option<struct>'
        fields = [{ index = 9, name = 'tempo', type = 'Option<u16>' }, { name = 'axons.colour', type = 'u8' }]
        since = 1
        without = 'nothing'
    ";
    let (chain, client) = start().await;
    let report = Surface::parse(list)
        .unwrap()
        .check(&client, block(chain.finalized()))
        .await
        .unwrap();
    let lines: Vec<String> = report.problems().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "MISSING  SubtensorModule.NoSuchThing (nothing)",
            "CHANGED  SubtensorModule.Tempo: (Identity u16) -> u16 instead of (Twox64Concat u16) -> u64 (nothing)",
            "CHANGED  SubnetInfoRuntimeApi.get_selective_metagraph.tempo: 8: Option<u16> instead of 9: Option<u16> (nothing)",
            "MISSING  SubnetInfoRuntimeApi.get_selective_metagraph.axons.colour (nothing)",
        ]
    );
    assert!(!report.is_ok());
}

#[tokio::test]
async fn requests_side_by_side_share_one_connection() {
    let (chain, client) = start().await;
    let at = block(chain.finalized());
    chain.drop_connections();
    let all = futures_util::future::join_all((0..64).map(|_| client.snapshot(NETUID, at))).await;
    for snapshot in all {
        assert_eq!(snapshot.unwrap().block, at);
    }
}
