//! How the chain fares at the size of the real one: 64 subnets of 256 neurons, 1 000 blocks.
//!
//! `cargo run --release -p violet-devchain --example size`

use std::time::{Duration, Instant};

use violet_devchain::{Genesis, Neuron, Options, Subnet, spawn};

const SUBNETS: u16 = 64;
const NEURONS: u16 = 256;
const BLOCKS: u32 = 1_000;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it measures for a reader")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let genesis = genesis();
    let options = Options {
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    let start = Instant::now();
    let chain = spawn(genesis.clone(), options).await?;
    println!("ready after {} ms", start.elapsed().as_millis());
    let before = resident()?;
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    // Each block changes the stake of one hotkey, beside what every block does.
    for (neuron, rao) in genesis.neurons.iter().cycle().zip(1..=u64::from(BLOCKS)) {
        let start = Instant::now();
        chain.set_stake(neuron.netuid, neuron.hotkey, rao, rao)?;
        slowest = slowest.max(start.elapsed());
    }
    let mean = start.elapsed() / BLOCKS;
    println!("a block takes {mean:?}, the slowest {slowest:?}");
    println!(
        "{BLOCKS} blocks grow memory by {} MB",
        resident()?.saturating_sub(before) / 1_000
    );
    let start = Instant::now();
    let file = std::env::temp_dir().join(format!("violet-devchain-size-{}", std::process::id()));
    chain.save(&file)?;
    println!(
        "saved in {} ms, {} MB",
        start.elapsed().as_millis(),
        file.metadata()?.len() / 1_000_000
    );
    std::fs::remove_file(file)?;
    Ok(())
}

fn genesis() -> Genesis {
    let key = |kind: u8, netuid: u16, uid: u16| {
        let mut key = [kind; 32];
        key[..2].copy_from_slice(&netuid.to_le_bytes());
        key[2..4].copy_from_slice(&uid.to_le_bytes());
        key
    };
    let subnets = (1..=SUBNETS).map(|netuid| Subnet {
        netuid,
        tempo: 360,
        owner_coldkey: key(1, netuid, 0),
        owner_hotkey: key(2, netuid, 0),
    });
    let uids = (1..=SUBNETS).flat_map(|netuid| (0..NEURONS).map(move |uid| (netuid, uid)));
    let neurons = uids.map(|(netuid, uid)| Neuron {
        netuid,
        hotkey: key(3, netuid, uid),
        coldkey: key(4, netuid, uid),
        alpha: 1_000_000_000 * u64::from(uid),
        root: 0,
        validator_permit: uid < 64,
        axon: None,
    });
    Genesis {
        subnets: subnets.collect(),
        neurons: neurons.collect(),
        ..Genesis::default()
    }
}

/// The resident memory of this process in kB.
fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}
