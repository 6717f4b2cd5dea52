//! Proofs of stakes: `violet chain prove` has one made by a node, `violet audit verify-stake` needs none.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use violet_chain::{BlockHash, ProvedStakes};

use super::{
    Failure,
    audit::{proved, read_proof},
    chain::Place,
    counted, print,
};

/// Saves a proof of stakes.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    place: Place,
    /// Where to write it; stakes-NETUID-BLOCK.proof by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (client, netuid, block) = self.place.open(config).await?;
        let (proof, proved) = client.prove_stake(netuid, block).await?;
        let file = self
            .out
            .unwrap_or_else(|| format!("stakes-{netuid}-{}.proof", block.number).into());
        let bytes = proof.to_bytes();
        std::fs::write(&file, &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        print(&format!(
            "the stakes of {} of subnet {} at block {} ({}): {} bytes in {}",
            counted(proved.neurons.len(), "neuron"),
            netuid,
            block.number,
            block.hash,
            bytes.len(),
            file.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Checks a proof of stakes.
#[derive(Debug, Args)]
pub(crate) struct VerifyStake {
    /// What `violet chain prove` wrote, or `GET /api/v1/audit/bases/{block}/proof` answered.
    file: PathBuf,
    /// The hash of the block, from a source that you trust; a proof of another block is refused.
    #[arg(long, value_name = "HASH")]
    block_hash: Option<BlockHash>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl VerifyStake {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let proof = read_proof(&self.file)?;
        if let Some(expected) = self.block_hash.filter(|hash| *hash != proof.block_hash()) {
            let (file, found) = (self.file.display(), proof.block_hash());
            return Err(format!("{file}: it is of block {found}, not of {expected}").into());
        }
        let proved = proved(&self.file, &proof)?;
        print(&if self.json {
            serde_json::to_string_pretty(&proved)?
        } else {
            table(&proved, self.block_hash.is_some())
        });
        Ok(ExitCode::SUCCESS)
    }
}

fn table(proved: &ProvedStakes, trusted: bool) -> String {
    let ProvedStakes { block, neurons, .. } = proved;
    let mut text = format!(
        "{:>5}  {:<48}  {:<48}  {:>20}",
        "uid", "hotkey", "coldkey", "stake (rao)"
    );
    for neuron in neurons {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:>5}  {:<48}  {:<48}  {:>20}",
            neuron.uid.0, neuron.hotkey, neuron.coldkey, neuron.stake.total.0
        );
    }
    let _ = write!(
        text,
        "\nproved: this is subnet {} in the state of block {} ({})",
        proved.netuid, block.number, block.hash
    );
    if !trusted {
        text.push_str("\nopen: that this is the hash of a final block: compare it with the chain");
    }
    text
}
