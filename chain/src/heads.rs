//! Finalized blocks as they come, through lost connections and changes of endpoint. It fills no gaps: after an
//! outage the newest block comes first, and [`Client::block_at`] has those between. When none comes for long, the
//! other endpoints are asked whether the chain or the node stands still.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff};
use codec::Encode as _;
use serde_json::value::RawValue;
use subxt::config::substrate::SubstrateHeader;
use subxt::ext::jsonrpsee::core::client::Subscription;
use subxt::ext::jsonrpsee::core::params::ArrayParams;
use subxt::utils::H256;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::client::Client;
use crate::endpoint::delays;
use crate::error::Error;
use crate::rpc::LAG;
use crate::types::{BlockHash, BlockRef};

type Header = SubstrateHeader<H256>;

/// Shortest and longest delay before the next try to subscribe, without jitter. Endpoints that are left alone for
/// longer are not asked meanwhile.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
/// In silences: how often the other endpoints are asked although blocks come.
const ROUTINE: u32 = 10;

/// A subscription to finalized heads; see [`Client::finalized_heads`].
pub struct FinalizedHeads {
    client: Client,
    subscription: Option<Subscription<Box<RawValue>>>,
    last: Option<BlockRef>,
    delays: ExponentialBackoff,
    /// When a block came, and when the other endpoints were asked.
    heard: Instant,
    looked: Instant,
}

impl FinalizedHeads {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            subscription: None,
            last: None,
            delays: delays(AGAIN).build(),
            heard: Instant::now(),
            looked: Instant::now(),
        }
    }

    /// The next finalized block; the first call gives the newest one at once. Waits as long as it takes, over every
    /// outage, so bound it with a timeout where silence must be noticed. Safe to cancel.
    pub async fn next(&mut self) -> BlockRef {
        loop {
            match timeout_at(self.look_at(), self.head()).await {
                Ok(Ok(block)) => {
                    self.delays = delays(AGAIN).build();
                    if self.last != Some(block) {
                        self.last = Some(block);
                        self.heard = Instant::now();
                        return block;
                    }
                }
                Ok(Err(error)) => {
                    self.subscription = None;
                    warn!(%error, "no finalized heads, subscribing again");
                    let delay = self.delays.next().unwrap_or(AGAIN[1]);
                    tokio::time::sleep(delay).await;
                }
                Err(_) => {
                    let silent = self.heard.elapsed() >= self.client.silence();
                    self.looked = Instant::now();
                    let known = self.last.map_or(0, |block| block.number);
                    if self.client.link().look(known, if silent { 0 } else { LAG }).await {
                        self.subscription = None;
                    }
                }
            }
        }
    }

    fn look_at(&self) -> Instant {
        let silence = self.client.silence();
        (self.heard.max(self.looked) + silence).min(self.looked + ROUTINE * silence)
    }

    /// [`Self::next`] as a stream without end.
    pub fn into_stream(self) -> impl futures_util::Stream<Item = BlockRef> + Send {
        futures_util::stream::unfold(self, |mut heads| async move { Some((heads.next().await, heads)) })
    }

    async fn head(&mut self) -> Result<BlockRef, Error> {
        const METHOD: &str = "chain_subscribeFinalizedHeads";
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            none => none.insert(
                self.client
                    .link()
                    .subscribe(METHOD, ArrayParams::new(), "chain_unsubscribeFinalizedHeads")
                    .await?,
            ),
        };
        let wrong = |source| Error::Response {
            method: METHOD,
            source,
        };
        let header = subscription
            .next()
            .await
            .ok_or_else(|| wrong("the connection ended".into()))?;
        let header = header.map_err(|error| wrong(error.into()))?;
        self.client.link().counters.received(header.get().len());
        let header: Header = serde_json::from_str(header.get()).map_err(|error| wrong(error.into()))?;
        let number = u32::try_from(header.number).map_err(|error| wrong(error.into()))?;
        self.client.link().counters.heard(number);
        self.client.rest().await;
        Ok(BlockRef {
            number,
            hash: hash(&header),
        })
    }
}

/// A head comes without its hash; the hash of a block is BLAKE2b-256 of its header in SCALE.
fn hash(header: &Header) -> BlockHash {
    BlockHash(sp_core::blake2_256(&header.encode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block 67 of a local subtensor, runtime 461.
    const HEADER: &str = r#"{
        "parentHash": "0xd9f2d5c7e6b387e32b3f41d7808094cc966fbbbbd4709d96471c52d9b1a2b2aa",
        "number": "0x43",
        "stateRoot": "0x815cfdbecf3bd34e34508b7366cad9324a29a726dd9ff49faf81d6d26c58772e",
        "extrinsicsRoot": "0x9ddd3b757c35964f7379450aed9ae14aff2072f4e8db526349cbc5c9206d9411",
        "digest": {"logs": [
            "0x066175726120eb66a7aa01000000",
            "0x0466726f6e88018dd58d0e3eb0d20f8d46b1ec1bbef20372f701df3b386ac4f001ad2c4a80bef200",
            "0x0561757261010112b97c1477303aa2d41bfd3f82ee05a51bf1bcbbcf70f3039f4751dc20285467d6e130c534eea714f2618a5887558914e54c86d8cfc5f64a3419d14e47326387"
        ]}
    }"#;

    #[test]
    fn hash_of_a_header_is_the_chains() {
        let header: Header = serde_json::from_str(HEADER).unwrap();
        let expected = "0x3c56d5098b9ddbc5a1826fb13af5eae5e599d3c6c9bdb3f9d257905ec2b64e31";
        assert_eq!(
            (header.number, hash(&header).to_string()),
            (67, expected.to_owned())
        );
    }
}
