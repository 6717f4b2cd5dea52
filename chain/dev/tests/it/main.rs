//! The dev chain as its users meet it: over a real socket, and by its cheats.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cheats;
mod epochs;
mod faults;
mod fees;
mod forks;
mod genesis;
mod methods;
mod other_pallets;
mod rpc;
mod saved;
mod subxt_client;
mod surface;
mod upgrades;

use std::time::Duration;

use codec::{Compact, Decode, Encode as _};
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use violet_devchain::{DevChain, Genesis, Options, public_key, spawn};

/// 1 alpha or 1 TAO in rao.
const UNIT: u64 = 1_000_000_000;

/// The development network, making blocks only when asked.
async fn manual() -> DevChain {
    spawn(
        Genesis::default(),
        Options {
            port: 0,
            block_time: Some(Duration::ZERO),
            ..Options::default()
        },
    )
    .await
    .unwrap()
}

/// A plain HTTP request; gives the answer with its head.
async fn post(chain: &DevChain, body: &Value) -> String {
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        chain.address(),
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(chain.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Does it until it is so, for a minute.
async fn eventually(mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..6_000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}

async fn connect(chain: &DevChain) -> WsClient {
    WsClientBuilder::default().build(chain.ws_url()).await.unwrap()
}

async fn ask(
    client: &WsClient,
    method: &str,
    params: impl jsonrpsee::core::traits::ToRpcParams + Send,
) -> Value {
    client.request(method, params).await.unwrap()
}

fn key(uri: &str) -> [u8; 32] {
    public_key(uri).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

fn hex0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// The storage key of an item of `SubtensorModule`, the hashed keys to be added.
fn item(name: &str) -> Vec<u8> {
    [
        sp_core::twox_128(b"SubtensorModule"),
        sp_core::twox_128(name.as_bytes()),
    ]
    .concat()
}

fn subnetwork_n() -> String {
    hex0x([item("SubnetworkN"), 1u16.encode()].concat())
}

/// The columns of a selective metagraph that the tests look at.
#[derive(Debug, PartialEq)]
struct Columns {
    netuid: u16,
    block: Option<u64>,
    hotkeys: Option<Vec<[u8; 32]>>,
    permits: Option<Vec<bool>>,
    total_stake: Option<Vec<u64>>,
    /// Permit holders above the threshold, the smallest stake first.
    validators: Option<Vec<u16>>,
    fields_after: usize,
}

type Vec16 = Option<Vec<Compact<u16>>>;
type Vec64 = Option<Vec<Compact<u64>>>;

fn next<T: Decode>(input: &mut &[u8]) -> T {
    T::decode(input).unwrap()
}

fn plain(column: Vec64) -> Option<Vec<u64>> {
    column.map(|values| values.into_iter().map(|value| value.0).collect())
}

/// Reads the metagraph off its bytes field by field, asking that nothing is left over.
fn columns(answer: &[u8]) -> Columns {
    let input = &mut &*answer;
    assert_eq!(next::<u8>(input), 1, "there is such a subnet");
    let netuid = next::<Compact<u16>>(input).0;
    next::<Option<Vec<Compact<u8>>>>(input);
    next::<Option<Vec<Compact<u8>>>>(input);
    assert_eq!(next::<u8>(input), 0, "identity");
    next::<Option<Compact<u64>>>(input);
    next::<Option<[u8; 32]>>(input);
    next::<Option<[u8; 32]>>(input);
    let block = next::<Option<Compact<u64>>>(input).map(|block| block.0);
    next::<Option<Compact<u16>>>(input);
    // last_step … tao_in_emission, pending_*, subnet_volume: compact integers all.
    for _ in 9..=20 {
        next::<Option<Compact<u128>>>(input);
    }
    assert_eq!(next::<u8>(input), 0, "moving_price");
    for _ in 22..=33 {
        next::<Option<Compact<u64>>>(input);
    }
    next::<Option<bool>>(input);
    next::<Option<bool>>(input);
    for _ in 36..=45 {
        next::<Option<Compact<u64>>>(input);
    }
    next::<Option<bool>>(input);
    next::<Option<Compact<u64>>>(input);
    next::<Option<bool>>(input);
    for _ in 49..=51 {
        next::<Option<Compact<u64>>>(input);
    }
    let hotkeys = next(input);
    next::<Option<Vec<[u8; 32]>>>(input);
    assert_eq!(next::<u8>(input), 0, "identities");
    next::<Option<Vec<[u8; 34]>>>(input);
    next::<Option<Vec<bool>>>(input);
    let permits = next(input);
    next::<Vec16>(input);
    next::<Vec64>(input);
    next::<Vec64>(input);
    for _ in 61..=65 {
        next::<Vec16>(input);
    }
    for _ in 66..=68 {
        next::<Vec64>(input);
    }
    let total_stake = plain(next(input));
    next::<Option<Vec<([u8; 32], Compact<u64>)>>>(input);
    next::<Option<Vec<([u8; 32], Compact<u64>)>>>(input);
    let validators = next::<Vec16>(input).map(|uids| uids.into_iter().map(|uid| uid.0).collect());
    assert_eq!(next::<u8>(input), 0, "commitments are not asked for");
    let mut fields_after = 0;
    while !input.is_empty() {
        next::<Vec64>(input);
        fields_after += 1;
    }
    Columns {
        netuid,
        block,
        hotkeys,
        permits,
        total_stake,
        validators,
        fields_after,
    }
}

/// The columns the facts of a snapshot need, at a block.
async fn snapshot(client: &WsClient, at: Option<&Value>) -> Columns {
    let indexes: Vec<u16> = vec![
        0, 5, 6, 7, 8, 9, 10, 23, 26, 27, 28, 29, 30, 46, 47, 52, 53, 55, 56, 57, 59, 60, 61, 62, 63, 66, 67,
        68, 69, 72,
    ];
    let method = "SubnetInfoRuntimeApi_get_selective_metagraph";
    let answer = ask(
        client,
        "state_call",
        rpc_params![method, hex0x((1u16, indexes).encode()), at],
    )
    .await;
    columns(&bytes(&answer))
}
