//! Nodes that refuse, stand still, forget, lie or change their runtime, while another one or none takes over.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use violet_chain::{BlockHash, BlockRef, Client, EndpointStats, Error, FinalizedHeads, NetUid, Options};
use violet_devchain::{DevChain, Genesis, Head};

use crate::gateway::{Fault, Gateway};

const PATIENCE: Duration = Duration::from_secs(60);
const NETUID: NetUid = NetUid(1);
const SILENCE: Duration = Duration::from_millis(300);

async fn spawn() -> DevChain {
    let options = violet_devchain::Options {
        block_time: Some(Duration::ZERO),
        ..violet_devchain::Options::default()
    };
    violet_devchain::spawn(Genesis::default(), options).await.unwrap()
}

/// A chain, two gateways to it, and a client that has both; it is patient unless a test is about silence.
async fn two_ways(silence: Duration) -> (DevChain, [Gateway; 2], Client) {
    let chain = spawn().await;
    let ways = [Gateway::to(&chain).await, Gateway::to(&chain).await];
    let client = Client::with(Options {
        endpoints: ways.iter().map(Gateway::url).collect(),
        silence,
        ..Options::default()
    });
    let client = client.await.unwrap();
    (chain, ways, client)
}

fn block(head: Head) -> BlockRef {
    BlockRef {
        number: head.number,
        hash: BlockHash(head.hash),
    }
}

async fn next(heads: &mut FinalizedHeads) -> BlockRef {
    timeout(PATIENCE, heads.next()).await.expect("a head comes")
}

fn endpoint(client: &Client, way: &Gateway) -> EndpointStats {
    let mut endpoints = client.stats().endpoints.into_iter();
    endpoints.find(|endpoint| endpoint.name == way.url()).unwrap()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "it does not come about that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_next_endpoint_takes_over_without_losing_a_block() {
    let (chain, [first, second], client) = two_ways(PATIENCE).await;
    let mut heads = client.finalized_heads();
    assert_eq!(next(&mut heads).await.number, 0);
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        eventually("there is one connection", || (from.open(), to.open()) == (1, 0)).await;
        to.set(Fault::None);
        from.set(Fault::Close(1001));
        let made = chain.advance(1).unwrap();
        assert_eq!(next(&mut heads).await, block(made));
        let snapshot = client.snapshot(NETUID, block(made)).await.unwrap();
        assert_eq!(snapshot.block, block(made));
    }
    let of_first = endpoint(&client, &first);
    assert_eq!(
        (of_first.reconnects, of_first.failures, of_first.refusals),
        (3, 3, 0)
    );
    let subscriptions = [&first, &second].map(|way| way.calls("chain_subscribeFinalizedHeads"));
    assert_eq!(subscriptions, [4, 3], "one subscription a connection");
    // What was asked is what was counted.
    let stats = client.stats();
    for method in [
        "chain_getHeader",
        "state_queryStorageAt",
        "chain_subscribeFinalizedHeads",
    ] {
        let seen = first.calls(method) + second.calls(method);
        assert_eq!(stats.calls[method], seen as u64, "{method}");
    }
    assert_eq!(stats.finalized, Some(6));
    assert!(stats.silent_for.unwrap() < PATIENCE);
    // Six metagraphs of the genesis, and metadata: twice as long in hex.
    assert!(stats.received_bytes > 100_000, "{}", stats.received_bytes);
}

#[tokio::test]
async fn who_refuses_is_left_alone_and_another_asked() {
    for fault in [
        Fault::Status(403),
        Fault::Status(429),
        Fault::Close(1008),
        Fault::Code(-32004),
        Fault::Code(-32005),
    ] {
        let chain = spawn().await;
        let [first, second] = [Gateway::to(&chain).await, Gateway::to(&chain).await];
        // Refused are those who come; the others while they are there.
        if matches!(fault, Fault::Status(_)) {
            first.set(fault.clone());
        }
        let client = Client::connect(&[first.url(), second.url()]).await.unwrap();
        first.set(fault.clone());
        let made = chain.advance(1).unwrap();
        assert_eq!(client.finalized().await.unwrap(), block(made), "{fault:?}");
        let (tries, of_first) = (first.tries(), endpoint(&client, &first));
        assert_eq!(of_first.refusals, 1, "{fault:?}");
        assert_eq!(second.open(), 1, "{fault:?}");
        // The other one breaks off again and again: the first is still left alone.
        for _ in 0..3 {
            chain.drop_connections();
            let made = chain.advance(1).unwrap();
            assert_eq!(client.finalized().await.unwrap(), block(made), "{fault:?}");
        }
        assert_eq!(first.tries(), tries, "{fault:?}");
    }
}

#[tokio::test]
async fn who_is_refused_everywhere_asks_seldom() {
    let chain = spawn().await;
    let way = Gateway::to(&chain).await;
    let client = Client::connect(&[way.url()]).await.unwrap();
    let mut heads = client.finalized_heads();
    next(&mut heads).await;
    way.set(Fault::Close(1008));
    eventually("the connection is gone", || way.open() == 0).await;
    way.set(Fault::Status(429));
    let started = Instant::now();
    let asked = timeout(Duration::from_secs(2), async {
        tokio::join!(heads.next(), async {
            loop {
                let error = client.finalized().await.unwrap_err();
                assert!(error.is_temporary(), "{error:?}");
            }
        })
    });
    asked.await.map(|_| ()).expect_err("nobody answers");
    // One connection, and none for five seconds since it was refused.
    assert_eq!(way.tries(), 1);
    way.set(Fault::None);
    let made = chain.advance(1).unwrap();
    assert_eq!(next(&mut heads).await, block(made));
    // Twice the shortest delay is the longest with jitter, and a try to subscribe comes every few seconds.
    let (least, most) = (Duration::from_secs(5), PATIENCE);
    assert!(
        (least..most).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_node_that_stands_still_is_left_for_one_that_goes_on() {
    for silent in [false, true] {
        let (chain, [first, second], client) = two_ways(SILENCE).await;
        let mut heads = client.finalized_heads();
        assert_eq!(next(&mut heads).await, block(chain.finalized()));
        first.set(if silent {
            Fault::Silent
        } else {
            Fault::Frozen(chain.finalized())
        });
        let made = chain.advance(3).unwrap();
        assert_eq!(next(&mut heads).await, block(made));
        assert_eq!(client.finalized().await.unwrap(), block(made));
        eventually("there is one connection", || {
            (first.open(), second.open()) == (0, 1)
        })
        .await;
        if silent {
            assert!(endpoint(&client, &first).failures > 0);
            continue;
        }
        let behind = endpoint(&client, &first);
        assert_eq!((behind.finalized, behind.behind), (Some(0), Some(3)));
        assert_eq!(endpoint(&client, &second).behind, Some(0));
    }
}

#[tokio::test]
async fn when_the_chain_stands_still_nobody_is_left() {
    let (chain, [first, second], client) = two_ways(SILENCE).await;
    let mut heads = client.finalized_heads();
    next(&mut heads).await;
    chain.stall_finality(true);
    let started = Instant::now();
    // The best chain goes on; it is never used.
    chain.advance(5).unwrap();
    let waited = 5 * SILENCE;
    timeout(waited, heads.next()).await.expect_err("nothing is final");
    let stats = client.stats();
    assert_eq!(stats.finalized, Some(0));
    assert!(stats.silent_for.unwrap() + SILENCE >= waited);
    assert_eq!(
        (first.open(), first.calls("chain_subscribeFinalizedHeads")),
        (1, 1)
    );
    // A look a silence, and one on its way.
    let most = started.elapsed().div_duration_f64(SILENCE) + 1.0;
    assert!(f64::from(second.tries()) <= most, "{} of {most}", second.tries());
    eventually("the other one is looked at", || second.tries() >= 2).await;
    assert_eq!(second.calls("chain_subscribeFinalizedHeads"), 0);
    eventually("no connection of a look stays", || second.open() == 0).await;
    chain.stall_finality(false);
    assert_eq!(next(&mut heads).await, block(chain.finalized()));
}

#[tokio::test]
async fn an_endpoint_far_behind_is_taken_only_when_there_is_no_other() {
    let (chain, [first, second], client) = two_ways(PATIENCE).await;
    let mut heads = client.finalized_heads();
    let genesis = next(&mut heads).await;
    second.set(Fault::Frozen(chain.finalized()));
    let mut made = chain.finalized();
    while made.number < 6 {
        made = chain.advance(1).unwrap();
        assert_eq!(next(&mut heads).await, block(made));
    }
    // Six behind is too much: the first one is waited for.
    for _ in 0..3 {
        chain.drop_connections();
        assert_eq!(found(&client).await, block(made));
        eventually("there is one connection", || {
            (first.open(), second.open()) == (1, 0)
        })
        .await;
    }
    first.set(Fault::Status(500));
    chain.drop_connections();
    assert_eq!(found(&client).await, genesis);
    assert_eq!(endpoint(&client, &second).reconnects, 1);
}

/// The newest block of whichever endpoint answers in the end.
async fn found(client: &Client) -> BlockRef {
    let answer = timeout(PATIENCE, async {
        loop {
            match client.finalized().await {
                Ok(found) => break found,
                Err(error) => assert!(error.is_temporary(), "{error:?}"),
            }
        }
    });
    answer.await.expect("an endpoint answers")
}

#[tokio::test]
async fn a_discarded_state_is_read_from_an_archive_node() {
    let chain = spawn().await;
    let (way, archive) = (Gateway::to(&chain).await, Gateway::to(&chain).await);
    let of = |archive_endpoints: Vec<String>| Options {
        endpoints: vec![way.url()],
        archive_endpoints,
        ..Options::default()
    };
    let without = Client::with(of(Vec::new())).await.unwrap();
    let with = Client::with(of(vec![archive.url()])).await.unwrap();
    let old = block(chain.finalized());
    chain.advance(1).unwrap();
    let expected = with.snapshot(NETUID, old).await.unwrap();
    assert_eq!(archive.tries(), 0, "it is asked only for what is discarded");

    way.set(Fault::Discarded);
    let error = without.snapshot(NETUID, old).await.unwrap_err();
    assert!(matches!(error, Error::StateDiscarded { .. }), "{error:?}");
    assert_eq!(with.snapshot(NETUID, old).await.unwrap(), expected);
    assert_eq!((archive.tries(), archive.open()), (1, 1));
    assert_eq!(way.open(), 2, "a node that forgets is no node that fails");

    archive.set(Fault::Discarded);
    let error = with.snapshot(NETUID, old).await.unwrap_err();
    assert!(matches!(error, Error::StateDiscarded { .. }), "{error:?}");
    // An archive of another chain is none.
    let liar = Gateway::to(&chain).await;
    liar.set(Fault::Genesis([1; 32]));
    let misled = Client::with(of(vec![liar.url()])).await.unwrap();
    let error = misled.snapshot(NETUID, old).await.unwrap_err();
    assert!(matches!(error, Error::OtherChain { .. }), "{error:?}");
}

#[tokio::test]
async fn a_node_that_lies_about_its_genesis_is_refused() {
    let chain = spawn().await;
    let liar = Gateway::to(&chain).await;
    liar.set(Fault::Genesis([1; 32]));
    let genesis = Some(BlockHash(chain.genesis_hash()));
    let of = |endpoints: Vec<String>| Options {
        endpoints,
        genesis,
        ..Options::default()
    };
    let error = Client::with(of(vec![liar.url()])).await.unwrap_err();
    assert!(matches!(error, Error::OtherChain { .. }), "{error:?}");
    let honest = Gateway::to(&chain).await;
    let client = Client::with(of(vec![liar.url(), honest.url()])).await.unwrap();
    assert_eq!(Some(client.genesis_hash()), genesis);
    assert_eq!(client.finalized().await.unwrap(), block(chain.finalized()));
    assert_eq!((liar.open(), honest.open()), (0, 1));
    assert_eq!(endpoint(&client, &liar).failures, 1);
    // Who is not told which chain it is believes the first; the next must be the same.
    let believing = Client::connect(&[liar.url(), honest.url()]).await.unwrap();
    assert_eq!(believing.genesis_hash(), BlockHash([1; 32]));
    liar.set(Fault::Status(500));
    chain.drop_connections();
    let error = believing.finalized().await.unwrap_err();
    assert!(
        error.is_temporary() || matches!(error, Error::OtherChain { .. }),
        "{error:?}"
    );
    assert_eq!(honest.calls("state_call"), 0);
}

#[tokio::test]
async fn an_upgrade_while_running_is_read_with_its_own_metadata() {
    let chain = spawn().await;
    let way = Gateway::to(&chain).await;
    let client = Client::connect(&[way.url()]).await.unwrap();
    let fetched = || way.calls("Metadata_metadata_at_version");
    let before = client.snapshot(NETUID, block(chain.finalized())).await.unwrap();
    assert_eq!(
        (before.spec_version, fetched()),
        (violet_devchain::SPEC_VERSION, 1)
    );
    let upgraded = violet_devchain::SPEC_VERSION + 1;
    way.set(Fault::Spec(upgraded));
    let made = block(chain.advance(1).unwrap());
    // Who asks at once waits for one fetch.
    let (one, other) = tokio::join!(
        Box::pin(client.snapshot(NETUID, made)),
        Box::pin(client.snapshot(NETUID, made))
    );
    assert_eq!(one.unwrap().spec_version, upgraded);
    assert_eq!(other.unwrap().neurons, before.neurons);
    assert_eq!(fetched(), 2);
    // A block of before is read with the metadata of before.
    way.set(Fault::None);
    assert_eq!(client.snapshot(NETUID, before.block).await.unwrap(), before);
    assert_eq!(fetched(), 2);
}
