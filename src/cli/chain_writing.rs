//! `violet chain`, what writes: weights, where a hotkey serves, and commitments.
use std::{net::SocketAddr, path::Path, process::ExitCode};

use clap::Args;
use violet_chain::{Client, Keypair, NetUid, Uid, Weights, WeightsSet, WriteError};

use super::{
    Failure, WalletArgs,
    chain::{Endpoint, Place, mechanism},
    print,
};

/// On whose behalf, and where.
#[derive(Debug, Args)]
struct Writer {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    wallet: WalletArgs,
    /// The subnet.
    #[arg(long, default_value_t = 1)]
    netuid: u16,
}

impl Writer {
    async fn open(&self, config: Option<&Path>) -> Result<(Keypair, Client, NetUid), Failure> {
        let keypair = self.wallet.open()?.keypair()?;
        Ok((keypair, self.endpoint.connect(config).await?, NetUid(self.netuid)))
    }
}

/// Sets weights in the way that the subnet asks for, and waits until they are final.
#[derive(Debug, Args)]
pub(crate) struct SetWeights {
    #[command(flatten)]
    writer: Writer,
    /// The mechanism, where the subnet has several.
    #[arg(long, default_value_t = 0)]
    mechanism: u8,
    /// The version of the validator, if the subnet asks for one.
    #[arg(long, default_value_t = 0)]
    version_key: u64,
    /// Uids with scores of any scale, such as `3:0.9 5:0.4`.
    #[arg(required = true, value_name = "UID:SCORE", value_parser = scored)]
    scores: Vec<(Uid, f64)>,
}

fn scored(text: &str) -> Result<(Uid, f64), String> {
    let wrong = || format!("{text:?} is not a uid and a score, such as 3:0.9");
    let (uid, score) = text.split_once(':').ok_or_else(wrong)?;
    let uid = uid.parse().map_err(|_| wrong())?;
    let score: f64 = score.parse().map_err(|_| wrong())?;
    if !score.is_finite() || score < 0.0 {
        return Err(wrong());
    }
    Ok((Uid(uid), score))
}

impl SetWeights {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (keypair, client, netuid) = self.writer.open(config).await?;
        let weights = Weights::from_scores(netuid, self.scores)
            .on_mechanism(self.mechanism)
            .with_version_key(self.version_key);
        match client.set_weights(&keypair, &weights).await? {
            WeightsSet::Plain { block } => print(&format!("weights set at block {}", block.number)),
            WeightsSet::Timelocked { block, epoch, round } => print(&format!(
                "weights committed at block {}, in epoch {epoch}; the chain opens them with round {round} of drand",
                block.number
            )),
            WeightsSet::Hashed(commit) => {
                print(&format!(
                    "weights committed at block {}; waiting for epoch {} to reveal them",
                    commit.block.number, commit.reveal_epoch
                ));
                let mut heads = client.finalized_heads();
                let block = loop {
                    heads.next().await;
                    match client.reveal_weights(&keypair, &commit).await {
                        Err(WriteError::Refused { name, .. }) if name == "RevealTooEarly" => {}
                        revealed => break revealed?,
                    }
                };
                print(&format!("weights revealed at block {}", block.number));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the weights that uids have set.
#[derive(Debug, Args)]
pub(crate) struct ShowWeights {
    #[command(flatten)]
    place: Place,
    /// The mechanism, where the subnet has several.
    #[arg(long, default_value_t = 0)]
    mechanism: u8,
}

impl ShowWeights {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (client, netuid, head) = self.place.open(config).await?;
        let snapshot = client.snapshot(netuid, head).await?;
        mechanism(&client, netuid, self.mechanism, head).await?;
        let mut lines = vec![format!(
            "subnet {netuid} at block {} ({})",
            head.number, head.hash
        )];
        for neuron in snapshot.neurons.iter().filter(|neuron| neuron.validator_permit) {
            let row = client.weights(netuid, self.mechanism, neuron.uid, head).await?;
            let row: Vec<String> = row.iter().map(|(uid, value)| format!("{uid}:{value}")).collect();
            let row = if row.is_empty() {
                "none".to_owned()
            } else {
                row.join(" ")
            };
            lines.push(format!("{:>5}  {}  {row}", neuron.uid, neuron.hotkey));
        }
        print(&lines.join("\n"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Publishes where a hotkey serves. Nothing in Violet asks for it: its miners poll.
#[derive(Debug, Args)]
pub(crate) struct ServeAxon {
    #[command(flatten)]
    writer: Writer,
    /// The version of what serves there.
    #[arg(long, default_value_t = 0)]
    version: u32,
    /// The address, such as `203.0.113.7:8091`. The chain takes no 127.0.0.1.
    address: SocketAddr,
}

impl ServeAxon {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let (keypair, client, netuid) = self.writer.open(config).await?;
        let block = client
            .serve_axon(&keypair, netuid, self.address, self.version)
            .await?;
        print(&format!(
            "{} serves at {} since block {}",
            keypair.hotkey(),
            self.address,
            block.number
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Publishes up to 512 bytes for a hotkey.
#[derive(Debug, Args)]
pub(crate) struct Commit {
    #[command(flatten)]
    writer: Writer,
    /// A text, or bytes as `0x` and hex digits.
    data: String,
}

impl Commit {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        let data = match self.data.strip_prefix("0x") {
            Some(digits) => {
                hex::decode(digits).map_err(|error| format!("{:?} is no hex after 0x: {error}", self.data))?
            }
            None => self.data.into_bytes(),
        };
        let (keypair, client, netuid) = self.writer.open(config).await?;
        let block = client.set_commitment(&keypair, netuid, &data).await?;
        print(&format!(
            "{} committed to {} bytes at block {}",
            keypair.hotkey(),
            data.len(),
            block.number
        ));
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_uids_and_numbers() {
        assert_eq!(scored("3:0.9"), Ok((Uid(3), 0.9)));
        for wrong in ["3", "3:", ":1", "3:-1", "3:inf", "65536:1", "3:1:1"] {
            assert!(scored(wrong).is_err(), "{wrong}");
        }
    }
}
