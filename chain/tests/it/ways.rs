//! A metagraph in every way: the dev chain's state behind a node whose metadata lacks one call after the other.

use codec::Encode as _;
use violet_chain::surface::Way;
use violet_chain::{BlockRef, Client, Error, Hotkey, NetUid, Rao, Snapshot, Uid};
use violet_devchain::{DevChain, Genesis};

use crate::harness::metadata::{Fixture, fixture};
use crate::harness::node::{self, Answers, metagraph_answers};
use crate::harness::state::{key, manual_chain, of_hotkey, of_subnet, set};

const NETUID: NetUid = NetUid(1);
const ABSENT: NetUid = NetUid(99);
const HALF: u64 = u64::MAX / 2;

/// What 461 declares, with the first calls gone.
fn with(way: Way) -> Fixture {
    let gone = ["get_selective_metagraph", "get_metagraph", "get_neurons_lite"];
    let gone = &gone[..Way::ALL.iter().position(|listed| *listed == way).unwrap()];
    gone.iter()
        .fold(fixture(461), |metadata, method| metadata.without_api(method))
}

/// A state with something in every column, some of them shorter than the subnet.
async fn eventful(chain: &DevChain) {
    let hotkey = |uri: &str| violet_devchain::public_key(uri).unwrap();
    let (miner, validator, stranger) = (hotkey("//Miner1"), hotkey("//Validator1"), hotkey("//Stranger"));
    let relation = |proportion: u64, of: [u8; 32]| vec![(proportion, of)].encode();
    let subnet = NETUID.0;
    set(
        chain,
        vec![
            (of_subnet("Incentive", subnet), vec![1_u16, 2, 3].encode()),
            (of_subnet("Dividends", subnet), vec![4_u16, 5].encode()),
            (of_subnet("Consensus", subnet), vec![6_u16; 8].encode()),
            (of_subnet("Emission", subnet), vec![u64::MAX, 7].encode()),
            (of_subnet("LastUpdate", subnet), vec![8_u64, 9].encode()),
            (of_subnet("Active", subnet), vec![true, false, true].encode()),
            (of_subnet("Tempo", subnet), 77_u16.encode()),
            (of_subnet("WeightsVersionKey", subnet), 12_u64.encode()),
            (of_hotkey("ChildKeys", validator, subnet), relation(HALF, miner)),
            (
                of_hotkey("ParentKeys", miner, subnet),
                [(HALF, validator), (u64::MAX, stranger)].to_vec().encode(),
            ),
            // A parent that is registered nowhere.
            (
                of_hotkey("TotalHotkeyAlpha", stranger, subnet),
                1_000_u64.encode(),
            ),
            (of_hotkey("TotalHotkeyAlpha", stranger, 0), 500_u64.encode()),
        ],
    )
    .await;
    chain
        .set_axon(subnet, miner, Some("[2001:db8::1]:9000".parse().unwrap()))
        .unwrap();
    chain
        .set_axon(subnet, validator, Some("127.0.0.2:8091".parse().unwrap()))
        .unwrap();
}

async fn read(url: &str, block: BlockRef) -> (Snapshot, Way) {
    let client = Client::connect(&[url.to_owned()]).await.unwrap();
    client.snapshot_and_way(NETUID, block).await.unwrap()
}

async fn newest(chain: &DevChain) -> BlockRef {
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    client.finalized().await.unwrap()
}

#[tokio::test]
async fn all_ways_read_the_same() {
    let chain = manual_chain(Genesis::default()).await;
    eventful(&chain).await;
    let direct = Client::connect(&[chain.ws_url()]).await.unwrap();
    let block = direct.finalized().await.unwrap();
    let (expected, way) = read(&chain.ws_url(), block).await;
    assert_eq!(way, Way::Selective);

    let validator = expected.by_uid(Uid(4)).unwrap();
    let miner = expected.by_uid(Uid(0)).unwrap();
    assert_eq!(
        (
            miner.incentive,
            miner.dividends,
            miner.emission,
            miner.last_update
        ),
        (1, 4, u64::MAX, 8)
    );
    assert_eq!(
        (validator.incentive, validator.consensus, validator.active),
        (0, 6, false)
    );
    assert!(validator.axon.is_some() && miner.axon.unwrap().ip.is_ipv6());
    // A child has a half of its parent's 50 000 alpha and all of the stranger's, besides its own 1 000.
    assert_eq!(
        miner.alpha_stake,
        Rao(1_000_000_000_000 + 24_999_999_988_358 + 1_000)
    );
    assert_eq!((expected.tempo, expected.weights_version), (77, 12));
    assert_eq!(direct.verify_stake(&expected).await.unwrap(), []);
    let mut lying = expected.clone();
    lying.neurons[3].stake.0 += 1;
    let found = direct.verify_stake(&lying).await.unwrap();
    assert_eq!(
        (found.len(), found[0].uid, found[0].given.total.0),
        (1, Uid(3), found[0].computed.total.0 + 1)
    );

    let answers = at(&chain, block).await;
    for way in Way::ALL {
        let metadata = with(way);
        let node = node::start(&chain, &metadata, answers.clone()).await;
        let (snapshot, by) = read(&node.url, block).await;
        assert_eq!(by, way);
        assert_eq!(snapshot, expected, "{way}");

        let client = Client::connect(std::slice::from_ref(&node.url)).await.unwrap();
        let error = client.snapshot(ABSENT, block).await.unwrap_err();
        assert!(
            matches!(error, Error::NoSuchSubnet { netuid: ABSENT, .. }),
            "{way}: {error:?}"
        );
        let elsewhere = BlockRef {
            number: block.number + 1,
            ..block
        };
        let error = client.snapshot(NETUID, elsewhere).await.unwrap_err();
        assert!(matches!(error, Error::Inconsistent { .. }), "{way}: {error:?}");
    }
}

/// The answers that the calls would give at this block, where the chain's own would be of a later one.
/// Its own calls, one after the other withheld.
#[tokio::test]
async fn the_dev_chain_has_every_way() {
    let chain = manual_chain(Genesis::default()).await;
    eventful(&chain).await;
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let (expected, _) = read(&chain.ws_url(), client.finalized().await.unwrap()).await;
    let gone = [
        "SubnetInfoRuntimeApi.get_selective_metagraph",
        "SubnetInfoRuntimeApi.get_metagraph",
        "NeuronInfoRuntimeApi.get_neurons_lite",
    ];
    for (withheld, way) in Way::ALL.into_iter().enumerate() {
        let spec_version = expected.spec_version + 1 + u32::try_from(withheld).unwrap();
        chain
            .upgrade_runtime(spec_version, gone[..withheld].iter().copied())
            .unwrap();
        chain.advance(1).unwrap();
        let block = client.finalized().await.unwrap();
        let (snapshot, by) = read(&chain.ws_url(), block).await;
        assert_eq!(by, way);
        let same = Snapshot {
            block: expected.block,
            spec_version: expected.spec_version,
            timestamp: expected.timestamp,
            ..snapshot
        };
        assert_eq!(same, expected, "{way}");
    }
}

async fn at(chain: &DevChain, block: BlockRef) -> Answers {
    metagraph_answers(chain, &fixture(461), (NETUID.0, ABSENT.0), block).await
}

#[tokio::test]
async fn nothing_is_read_where_no_way_is_whole() {
    let chain = manual_chain(Genesis::default()).await;
    let metadata = with(Way::Storage).without_entry("Keys");
    let node = node::start(&chain, &metadata, Answers::new()).await;
    let client = Client::connect(std::slice::from_ref(&node.url)).await.unwrap();
    let block = client.finalized().await.unwrap();
    let error = client.snapshot(NETUID, block).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "SubnetInfoRuntimeApi.get_selective_metagraph is missing in runtime 461"
    );
}

#[tokio::test]
async fn a_call_that_no_longer_fills_a_column_gives_way_to_the_next() {
    let chain = manual_chain(Genesis::default()).await;
    let block = newest(&chain).await;
    let (expected, _) = read(&chain.ws_url(), block).await;
    let mut answers = at(&chain, block).await;
    // What the chain answers when nothing was asked for: netuid 0, and nothing else.
    let arguments = [NETUID.0.encode(), FIELDS.to_vec().encode()].concat();
    let empty = [vec![1], vec![0; 77]].concat();
    answers.insert(("SubnetInfoRuntimeApi_get_selective_metagraph", arguments), empty);
    let node = node::start(&chain, &fixture(461), answers).await;
    let (snapshot, way) = read(&node.url, block).await;
    assert_eq!((way, snapshot), (Way::Full, expected));
}

#[tokio::test]
async fn a_call_that_fails_in_the_runtime_gives_way_to_the_next() {
    let chain = manual_chain(Genesis::default()).await;
    let block = newest(&chain).await;
    let (expected, _) = read(&chain.ws_url(), block).await;
    let answers = Answers::from([
        (
            ("SubnetInfoRuntimeApi_get_metagraph", NETUID.0.encode()),
            Vec::new(),
        ),
        (
            ("NeuronInfoRuntimeApi_get_neurons_lite", NETUID.0.encode()),
            Vec::new(),
        ),
    ]);
    let node = node::start(&chain, &with(Way::Full), answers).await;
    let (snapshot, way) = read(&node.url, block).await;
    assert_eq!((way, snapshot), (Way::Storage, expected));
}

/// What a selective metagraph is asked for.
const FIELDS: [u16; 21] = [
    0, 5, 6, 7, 8, 26, 46, 52, 53, 55, 56, 57, 59, 60, 61, 62, 63, 66, 67, 68, 69,
];

#[tokio::test]
async fn recorded_neurons_of_a_real_node_are_read() {
    let chain = manual_chain(Genesis::default()).await;
    let recorded: serde_json::Value = serde_json::from_str(include_str!("data/recorded-461.json")).unwrap();
    let neurons = hex::decode(
        recorded["get_neurons_lite"]
            .as_str()
            .unwrap()
            .trim_start_matches("0x"),
    )
    .unwrap();
    let answers = Answers::from([(
        ("NeuronInfoRuntimeApi_get_neurons_lite", NETUID.0.encode()),
        neurons,
    )]);
    let node = node::start(&chain, &with(Way::Lite), answers).await;
    let client = Client::connect(std::slice::from_ref(&node.url)).await.unwrap();
    let block = client.finalized().await.unwrap();
    let (snapshot, way) = client.snapshot_and_way(NETUID, block).await.unwrap();
    assert_eq!((way, snapshot.neurons.len()), (Way::Lite, 1));
    let neuron = &snapshot.neurons[0];
    assert_eq!(
        (neuron.hotkey, neuron.active, neuron.validator_permit),
        (Hotkey([0; 32]), true, false)
    );
    assert_eq!((neuron.emission, neuron.last_update, neuron.axon), (0, 0, None));
}

#[tokio::test]
async fn a_subnet_of_2500_is_read_in_pieces() {
    const COUNT: u16 = 2_500;
    let chain = manual_chain(Genesis::default()).await;
    let hotkey = |uid: u16| {
        let mut hotkey = [7; 32];
        hotkey[..2].copy_from_slice(&uid.to_be_bytes());
        hotkey
    };
    let keys = (0..COUNT).map(|uid| (key("Keys", &(NETUID.0, uid).encode()), hotkey(uid).to_vec()));
    let last = hotkey(COUNT - 1);
    let more = [
        (of_subnet("SubnetworkN", NETUID.0), COUNT.encode()),
        (of_hotkey("TotalHotkeyAlpha", last, NETUID.0), 5_u64.encode()),
    ];
    set(&chain, keys.chain(more).collect()).await;
    let block = newest(&chain).await;
    let (expected, way) = read(&chain.ws_url(), block).await;
    assert_eq!((way, expected.neurons.len()), (Way::Selective, 2_500));
    assert_eq!(expected.by_uid(Uid(COUNT - 1)).unwrap().stake, Rao(5));
    let node = node::start(&chain, &with(Way::Storage), Answers::new()).await;
    let (snapshot, way) = read(&node.url, block).await;
    assert_eq!(way, Way::Storage);
    assert_eq!(snapshot, expected);
}

#[tokio::test]
async fn mechanisms_have_columns_of_their_own() {
    let chain = manual_chain(Genesis::default()).await;
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let only = client
        .mechanisms(NETUID, client.finalized().await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        (only.len(), only[0].share, only[0].last_update.len()),
        (1, 65_535, 8)
    );

    let hashed = [&sp_core::twox_64(&NETUID.0.encode())[..], &NETUID.0.encode()].concat();
    let second = 4_096 + NETUID.0;
    set(
        &chain,
        vec![
            (key("MechanismCountCurrent", &hashed), vec![2]),
            (of_subnet("Incentive", NETUID.0), vec![1_u16].encode()),
            (of_subnet("Incentive", second), vec![2_u16, 3].encode()),
            (of_subnet("LastUpdate", second), vec![4_u64].encode()),
            (
                key("MechanismEmissionSplit", &hashed),
                vec![60_000_u16, 5_535].encode(),
            ),
        ],
    )
    .await;
    // The node's metadata declares the split, whatever the chain's own does.
    let node = node::start(&chain, &fixture(461), Answers::new()).await;
    let client = Client::connect(std::slice::from_ref(&node.url)).await.unwrap();
    let both = client
        .mechanisms(NETUID, client.finalized().await.unwrap())
        .await
        .unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(
        (both[0].share, both[0].incentives.as_slice()),
        (60_000, &[1_u16][..])
    );
    assert_eq!((both[1].id, both[1].share), (1, 5_535));
    assert_eq!(
        (both[1].incentives.as_slice(), both[1].last_update.as_slice()),
        (&[2_u16, 3][..], &[4_u64][..])
    );
}

#[tokio::test]
async fn a_snapshot_of_256_is_small() {
    let template = Genesis::default();
    let neurons = (0..256_u16).map(|uid| {
        let mut neuron = template.neurons[4].clone();
        neuron.hotkey[..2].copy_from_slice(&uid.to_be_bytes());
        neuron.axon = Some("127.0.0.2:8091".parse().unwrap());
        neuron
    });
    let genesis = Genesis {
        neurons: neurons.collect(),
        ..template.clone()
    };
    let chain = manual_chain(genesis).await;
    // Compact integers are as long as their values are large.
    let parts = vec![40_000_u16; 256].encode();
    set(
        &chain,
        vec![
            (of_subnet("Incentive", NETUID.0), parts.clone()),
            (of_subnet("Dividends", NETUID.0), parts.clone()),
            (of_subnet("Consensus", NETUID.0), parts),
            (
                of_subnet("Emission", NETUID.0),
                vec![u64::from(u32::MAX); 256].encode(),
            ),
            (
                of_subnet("LastUpdate", NETUID.0),
                vec![7_000_000_u64; 256].encode(),
            ),
        ],
    )
    .await;
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let block = client.finalized().await.unwrap();
    assert_eq!(read(&chain.ws_url(), block).await.0.neurons.len(), 256);
    let selective = node::answer_of(
        &chain,
        "SubnetInfoRuntimeApi_get_selective_metagraph",
        &(NETUID.0, FIELDS.to_vec()).encode(),
    )
    .await;
    let others = at(&chain, block).await;
    let size = |call: &'static str| others[&(call, NETUID.0.encode())].len();
    let full = size("SubnetInfoRuntimeApi_get_metagraph");
    let lite = size("NeuronInfoRuntimeApi_get_neurons_lite");
    assert!(selective.len() <= 40_000, "{}", selective.len());
    assert!(selective.len() < full && selective.len() < lite, "{full} {lite}");
}
