//! Extrinsics on their way into a final block.
//!
//! An extrinsic whose fate is unknown is looked for in the final blocks, by its hash and its nonce, before anything else
//! is sent. What is sent meanwhile is the same bytes, which the chain takes once. A new one is signed only when the old
//! one cannot be included any more, or has the same nonce, so that at most one of them is.

use std::time::Duration;

use backon::BackoffBuilder as _;
use codec::{Decode as _, Encode as _};
use serde::Deserialize;
use serde_json::Value as Json;
use subxt::ext::jsonrpsee::core::client::Subscription;

use crate::client::{Client, insert, parse_hex};
use crate::endpoint::delays;
use crate::error::Error;
use crate::extrinsic::{Call, LIFE, Signed, Terms};
use crate::keys::Keypair;
use crate::outcome;
use crate::rpc::Number;
use crate::surface::{Kind, expect_listed};
use crate::types::{BlockHash, BlockRef, Hotkey};

/// How often an extrinsic is signed anew.
const TRIES: u32 = 4;
/// Shortest and longest delay before a next try, without jitter.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(6)];
/// How long new final blocks are waited for before the same bytes are sent once more.
const PATIENCE: Duration = Duration::from_secs(6);

/// The names that subtensor's `CustomTransactionError` gives to the codes of its pool.
const POOL_CODES: [&str; 28] = [
    "ColdkeyInSwapSchedule",
    "StakeAmountTooLow",
    "BalanceTooLow",
    "SubnetNotExists",
    "HotkeyAccountDoesntExist",
    "NotEnoughStakeToWithdraw",
    "RateLimitExceeded",
    "InsufficientLiquidity",
    "SlippageTooHigh",
    "TransferDisallowed",
    "HotKeyNotRegisteredInNetwork",
    "InvalidIpAddress",
    "ServingRateLimitExceeded",
    "InvalidPort",
    "ZeroMaxAmount",
    "InvalidRevealRound",
    "CommitNotFound",
    "CommitBlockNotInRevealRange",
    "InputLengthsUnequal",
    "UidNotFound",
    "EvmKeyAssociateRateLimitExceeded",
    "ColdkeySwapDisputed",
    "InvalidRealAccount",
    "FailedShieldedTxParsing",
    "InvalidShieldedTxPubKeyHash",
    "NonAssociatedColdKey",
    "DelegateTakeTooLow",
    "DelegateTakeTooHigh",
];

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The chain refuses it, or would: it was not sent then.
    #[error("{call} is refused: {name}{}{detail}", if detail.is_empty() { "" } else { ", " })]
    Refused {
        /// `Pallet.call`.
        call: String,
        /// The chain's name of the error.
        name: String,
        /// Its words, or what was compared.
        detail: String,
        /// Who said so.
        by: Refuser,
    },
    /// It was sent several times, and each time it was not included.
    #[error("{call} was not included in {tries} tries: {last}")]
    NotIncluded {
        /// `Pallet.call`.
        call: String,
        /// How often it was signed.
        tries: u32,
        /// What became of the last one.
        last: String,
    },
    /// The chain took it and has something else now.
    #[error("{call} is final at block {}, but the chain does not have what was written", block.number)]
    ReadBack {
        /// `Pallet.call`.
        call: String,
        /// The block that holds it.
        block: BlockRef,
    },
    /// It cannot be written down as the chain takes it.
    #[error("{0}")]
    Unfit(&'static str),
    /// The chain could not be read.
    #[error(transparent)]
    Chain(#[from] Error),
}

/// Who refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuser {
    /// This crate, by the chain's rules and state, before anything was sent.
    Check,
    /// The pool of a node.
    Pool,
    /// The runtime, in a block.
    Block,
}

impl WriteError {
    /// What the chain would refuse, by the name that it has for it.
    pub(crate) fn foretold(pallet: &str, call: &str, name: &str, detail: String) -> Self {
        expect_listed(Kind::Error, || format!("{pallet}.{name}"));
        Self::Refused {
            call: format!("{pallet}.{call}"),
            name: name.to_owned(),
            detail,
            by: Refuser::Check,
        }
    }

    /// The chain's name of the error, where it refuses.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// A final block that holds an extrinsic, which did what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Included {
    /// The block.
    pub block: BlockRef,
    /// Its place there.
    pub index: u32,
    /// Its own hash.
    pub hash: BlockHash,
}

/// One that is on its way.
struct Sending {
    signed: Signed,
    signer: Hotkey,
    nonce: u32,
    born: u32,
    /// The final blocks up to this number do not hold it.
    searched: u32,
}

/// What a node says of one that it watches.
enum Word {
    Final(BlockHash),
    /// It left the pool, by the node's word for it.
    Gone(String),
    /// The connection ended, or nobody knows.
    Lost,
}

/// What became of one.
enum Fate {
    Final(Found),
    /// It is not included, or cannot be any more.
    Gone(String),
    /// The pool refuses it for what it is.
    Refused(String, String),
}

#[derive(Clone, Copy)]
struct Found {
    parent: BlockRef,
    block: BlockRef,
    index: u32,
}

#[derive(Deserialize)]
struct Block {
    block: Body,
}

#[derive(Deserialize)]
struct Body {
    header: Header,
    extrinsics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    parent_hash: BlockHash,
    number: Number,
}

impl Client {
    /// Signs the call, sends it, and waits until it is in a final block and did what it should, as long as that takes:
    /// bound it with a timeout where silence must be noticed.
    pub(crate) async fn submit(&self, keypair: &Keypair, call: &Call) -> Result<Included, WriteError> {
        let mut delays = delays(AGAIN).build();
        let mut last = String::new();
        for round in 1..=TRIES {
            let mut sending = self.prepare(keypair, call).await?;
            match self.deliver(&mut sending).await? {
                Fate::Final(found) => return self.included(call, &sending, found).await,
                Fate::Refused(name, detail) => {
                    return Err(WriteError::Refused {
                        call: call.item(),
                        name,
                        detail,
                        by: Refuser::Pool,
                    });
                }
                Fate::Gone(why) => {
                    tracing::warn!(
                        call = call.item(),
                        nonce = sending.nonce,
                        why,
                        "an extrinsic was not included"
                    );
                    last = why;
                }
            }
            if round < TRIES {
                tokio::time::sleep(delays.next().unwrap_or(AGAIN[1])).await;
            }
        }
        Err(WriteError::NotIncluded {
            call: call.item(),
            tries: TRIES,
            last,
        })
    }

    async fn prepare(&self, keypair: &Keypair, call: &Call) -> Result<Sending, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            transaction_version: u32,
        }
        let born = self.finalized().await?;
        let runtime = self.runtime(born).await?;
        let at = born.hash.to_string();
        let version: Version = self
            .ask("state_getRuntimeVersion", |params| insert(params, &at))
            .await?;
        let signer = keypair.hotkey();
        let nonce = self.next_nonce(&signer).await?;
        let terms = Terms {
            transaction_version: version.transaction_version,
            genesis: self.genesis_hash(),
            born,
            nonce,
        };
        let signed = runtime.sign(keypair, &runtime.call_data(call)?, &terms)?;
        Ok(Sending {
            signed,
            signer,
            nonce,
            born: born.number,
            searched: born.number,
        })
    }

    /// The nonce after those that are included or wait in the node's pool.
    async fn next_nonce(&self, account: &Hotkey) -> Result<u32, Error> {
        let account = account.to_string();
        self.ask("system_accountNextIndex", |params| insert(params, &account))
            .await
    }

    async fn deliver(&self, sending: &mut Sending) -> Result<Fate, Error> {
        let mut sent = false;
        loop {
            let word = match self.link().watch(&sending.signed.bytes).await {
                Ok(subscription) => {
                    sent = true;
                    follow(subscription).await
                }
                Err(Error::Rpc { code, message, .. }) if !sent && code != ALREADY_KNOWN => {
                    return Ok(refused(&message));
                }
                Err(error @ Error::Rpc { .. }) => {
                    // A node that was sent it before may say so in many ways; the blocks tell.
                    tracing::debug!(%error, "an extrinsic was sent again");
                    Word::Lost
                }
                Err(error) if !error.is_temporary() => return Err(error),
                Err(error) => {
                    // The answer may have got lost, and not the request.
                    sent = true;
                    tracing::warn!(%error, "the fate of an extrinsic is unknown");
                    Word::Lost
                }
            };
            match word {
                Word::Final(hash) => {
                    if let Some(found) = self.look_into(hash, &sending.signed.hash).await? {
                        return Ok(Fate::Final(found));
                    }
                }
                Word::Gone(why) => {
                    let next = self.next_nonce(&sending.signer).await?;
                    if next <= sending.nonce && self.search(sending).await?.is_none() {
                        // One with the same nonce replaces it, wherever it may still wait.
                        return Ok(Fate::Gone(why));
                    }
                }
                Word::Lost => {}
            }
            if let Some(fate) = self.settle(sending).await? {
                return Ok(fate);
            }
        }
    }

    /// What the final blocks say; `None` when they leave it open for some seconds.
    async fn settle(&self, sending: &mut Sending) -> Result<Option<Fate>, Error> {
        let mut heads = self.finalized_heads();
        let until = tokio::time::Instant::now() + PATIENCE;
        while let Ok(head) = tokio::time::timeout_at(until, heads.next()).await {
            if let Some(found) = self.search(sending).await? {
                return Ok(Some(Fate::Final(found)));
            }
            let answer = self
                .call(head, "AccountNonceApi_account_nonce", &sending.signer.encode())
                .await?;
            let used = u32::decode(&mut &*answer).unwrap_or_default();
            // The blocks up to this head were all searched.
            if sending.searched >= head.number && used > sending.nonce {
                return Ok(Some(Fate::Gone("another extrinsic has its nonce".into())));
            }
            if sending.searched > sending.born + LIFE {
                return Ok(Some(Fate::Gone("it was not included in its time".into())));
            }
        }
        Ok(None)
    }

    /// Looks for it in the final blocks that were not searched yet.
    async fn search(&self, sending: &mut Sending) -> Result<Option<Found>, Error> {
        let head = self.finalized().await?;
        while sending.searched < head.number {
            let number = sending.searched + 1;
            let Some(block) = self.block_at(number).await? else {
                break;
            };
            let found = self.look_into(block.hash, &sending.signed.hash).await?;
            sending.searched = number;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn look_into(&self, block: BlockHash, wanted: &[u8; 32]) -> Result<Option<Found>, Error> {
        const METHOD: &str = "chain_getBlock";
        let at = block.to_string();
        let answer: Option<Block> = self.ask(METHOD, |params| insert(params, &at)).await?;
        let Body { header, extrinsics } = answer
            .ok_or_else(|| Error::Response {
                method: METHOD,
                source: "the node does not know a final block".into(),
            })?
            .block;
        for (index, extrinsic) in (0..).zip(&extrinsics) {
            if sp_core::blake2_256(&parse_hex(METHOD, extrinsic)?) == *wanted {
                let number = header.number.0;
                return Ok(Some(Found {
                    parent: BlockRef {
                        number: number.saturating_sub(1),
                        hash: header.parent_hash,
                    },
                    block: BlockRef { number, hash: block },
                    index,
                }));
            }
        }
        Ok(None)
    }

    async fn included(&self, call: &Call, sending: &Sending, found: Found) -> Result<Included, WriteError> {
        let Found { parent, block, index } = found;
        match outcome::read(self, parent, block, index).await? {
            Ok(()) => Ok(Included {
                block,
                index,
                hash: BlockHash(sending.signed.hash),
            }),
            Err(outcome::Named { name, detail }) => Err(WriteError::Refused {
                call: call.item(),
                name,
                detail,
                by: Refuser::Block,
            }),
        }
    }
}

/// "Transaction Already Imported".
const ALREADY_KNOWN: i32 = 1013;

/// What an error of the pool means for an extrinsic that it never had.
fn refused(message: &str) -> Fate {
    let reason = message.rsplit(": ").next().unwrap_or(message);
    if message.contains("Custom error") {
        let name = reason
            .parse()
            .ok()
            .and_then(|code: usize| POOL_CODES.get(code).copied());
        let name = name.map_or_else(|| format!("Custom{reason}"), str::to_owned);
        return Fate::Refused(name, String::new());
    }
    // Those cannot be cured by other terms.
    for (words, name) in [
        ("Inability to pay some fees", "Payment"),
        ("Transaction call is not expected", "Call"),
        ("Transaction would exhaust", "ExhaustsResources"),
    ] {
        if message.contains(words) {
            return Fate::Refused(name.to_owned(), message.to_owned());
        }
    }
    Fate::Gone(message.to_owned())
}

async fn follow(mut subscription: Subscription<Json>) -> Word {
    while let Some(Ok(status)) = subscription.next().await {
        if let Some(word) = status.as_str() {
            if matches!(word, "dropped" | "invalid") {
                return Word::Gone(word.to_owned());
            }
            continue;
        }
        if let Some(hash) = status["finalized"].as_str() {
            return hash.parse().map_or(Word::Lost, Word::Final);
        }
        if status.get("usurped").is_some() {
            return Word::Gone("usurped".to_owned());
        }
        if status.get("finalityTimeout").is_some() {
            return Word::Lost;
        }
    }
    Word::Lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_pool_are_told_apart() {
        let name = |message: &str| match refused(message) {
            Fate::Refused(name, _) => Some(name),
            Fate::Gone(_) => None,
            Fate::Final(_) => unreachable!(),
        };
        assert_eq!(
            name("Invalid Transaction: Custom error: 6").as_deref(),
            Some("RateLimitExceeded")
        );
        assert_eq!(
            name("Invalid Transaction: Custom error: 27").as_deref(),
            Some("DelegateTakeTooHigh")
        );
        assert_eq!(
            name("Invalid Transaction: Custom error: 255").as_deref(),
            Some("Custom255")
        );
        assert_eq!(
            name("Invalid Transaction: Inability to pay some fees (e.g. account balance too low)").as_deref(),
            Some("Payment")
        );
        assert_eq!(name("Invalid Transaction: Transaction is outdated"), None);
        assert_eq!(name("Priority is too low: (1 vs 1)"), None);
    }
}
