//! A snapshot of a subnet of 256 neurons beside the `metagraph` of the Python SDKs, on one dev chain: time, requests,
//! bytes. Medians of several.
//!
//! `cargo run --release -p violet-chain --example snapshot [PYTHON...]`, with what `scripts/python-sdk` prints.

use std::error::Error;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use tokio::process::Command;
use violet_chain::{Client, NetUid};
use violet_devchain::{DevChain, Genesis, Neuron, Options};

const NEURONS: u16 = 256;
const VALIDATORS: u16 = 64;
const SNAPSHOTS: usize = 51;
const METAGRAPHS: usize = 11;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it measures for a reader")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options {
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    let chain = violet_devchain::spawn(genesis(), options).await?;
    let client = Client::connect(&[chain.ws_url()]).await?;
    let block = client.finalized().await?;
    // The first one fetches the metadata.
    let first = client.snapshot(NetUid(1), block).await?;
    assert_eq!(first.neurons.len(), usize::from(NEURONS));

    let before = client.stats();
    let mut times = Vec::new();
    for _ in 0..SNAPSHOTS {
        let start = Instant::now();
        client.snapshot(NetUid(1), block).await?;
        times.push(start.elapsed());
    }
    let after = client.stats();
    let snapshot = median(times);
    let raw = raw(&chain).await?;
    let bytes = (after.received_bytes - before.received_bytes) / SNAPSHOTS as u64;
    println!(
        "snapshot of {NEURONS} uids: {snapshot:.1?}, of it {:.1?} beside the node's answer; {} kB, half of it of SCALE",
        snapshot.saturating_sub(raw),
        bytes / 1_000
    );
    for (method, count) in &after.calls {
        let count = count - before.calls.get(method).copied().unwrap_or_default();
        if count > 0 {
            println!("  {} × {method}", count / SNAPSHOTS as u64);
        }
    }
    for python in std::env::args().skip(1) {
        let metagraph = metagraph(&python, &chain).await?;
        println!(
            "{}: {metagraph:.1?}, {:.0} times as long",
            Path::new(&python)
                .ancestors()
                .nth(2)
                .and_then(Path::file_name)
                .unwrap_or_default()
                .display(),
            metagraph.as_secs_f64() / snapshot.as_secs_f64()
        );
    }
    Ok(())
}

/// How long the node's answer to the greater of a snapshot's two calls takes.
async fn raw(chain: &DevChain) -> Result<Duration, Box<dyn Error>> {
    let client = WsClientBuilder::default().build(chain.ws_url()).await?;
    // Netuid 1 and the 21 numbers of fields, as the snapshot asks.
    let fields = [
        0u16, 5, 6, 7, 8, 26, 46, 52, 53, 55, 56, 57, 59, 60, 61, 62, 63, 66, 67, 68, 69,
    ];
    let mut input = vec![1, 0, 21 << 2];
    input.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    let input = format!("0x{}", hex::encode(input));
    let mut times = Vec::new();
    for _ in 0..SNAPSHOTS {
        let start = Instant::now();
        let method = "SubnetInfoRuntimeApi_get_selective_metagraph";
        let answer: String = client.request("state_call", rpc_params![method, &input]).await?;
        assert!(answer.len() > 50_000);
        times.push(start.elapsed());
    }
    Ok(median(times))
}

async fn metagraph(python: &str, chain: &DevChain) -> Result<Duration, Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/bench.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(chain.ws_url())
        .arg(METAGRAPHS.to_string());
    command.env("HOME", home.path()).stderr(Stdio::inherit());
    let output = command.output().await?;
    if !output.status.success() {
        return Err(format!("{python} failed").into());
    }
    let printed = String::from_utf8(output.stdout)?;
    let times = printed
        .lines()
        .map(|line| Ok(Duration::from_secs_f64(line.parse::<f64>()? / 1_000.0)));
    Ok(median(times.collect::<Result<_, std::num::ParseFloatError>>()?))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// One subnet, full, with addresses and stake of all sizes.
fn genesis() -> Genesis {
    let mut genesis = Genesis::default();
    genesis.neurons.clear();
    for uid in 0..NEURONS {
        let [low, high] = uid.to_le_bytes();
        let mut key = [7; 32];
        key[..2].copy_from_slice(&[low, high]);
        let rao = 1_000_000_000 * u64::from(uid).pow(3);
        genesis.neurons.push(Neuron {
            netuid: 1,
            hotkey: key,
            coldkey: key.map(|byte| !byte),
            alpha: rao,
            root: rao / 3,
            validator_permit: uid >= NEURONS - VALIDATORS,
            axon: Some(([10, 0, high, low], 8091).into()),
        });
    }
    genesis
}
