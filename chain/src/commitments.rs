//! Commitments: up to 512 bytes that a registered hotkey publishes on a subnet, such as a hash of something that it must
//! not be able to change later.

use subxt::ext::scale_value::scale::decode_as_type;
use subxt::ext::scale_value::{Value, ValueDef};

use crate::client::Client;
use crate::error::Error;
use crate::extrinsic::Call;
use crate::keys::Keypair;
use crate::outcome::{elements, field, number, variant};
use crate::query::Query;
use crate::submit::WriteError;
use crate::timelock::seal;
use crate::types::{BlockRef, Hotkey, NetUid};

const PALLET: &str = "Commitments";
/// Longest of `Data::Raw0` … `Data::Raw128`, each with a length of its own.
const LONGEST_RAW: usize = 128;
/// Longest of `Data::BigRaw`.
const LONGEST: usize = 512;
/// Longest of `Data::TimelockEncrypted`.
const LONGEST_SEALED: usize = 1024;

/// What a hotkey committed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The block of the commitment.
    pub block: u32,
    /// The bytes of its first field, whatever kind that is; encrypted still if it is timelocked.
    pub data: Vec<u8>,
}

impl Client {
    /// Publishes these bytes for the hotkey on a subnet in place of what it had there, and reads them back.
    ///
    /// The chain lets a hotkey publish some thousand bytes an epoch, each time counted as 100 at least
    /// (`SpaceLimitExceeded`).
    pub async fn set_commitment(
        &self,
        keypair: &Keypair,
        netuid: NetUid,
        data: &[u8],
    ) -> Result<BlockRef, WriteError> {
        let kind = match data.len() {
            length @ ..=LONGEST_RAW => format!("Raw{length}"),
            ..=LONGEST => "BigRaw".to_owned(),
            _ => return Err(WriteError::Unfit("a commitment has 512 bytes at most")),
        };
        let field = Value::unnamed_variant(kind, [Value::from_bytes(data)]);
        self.commit(keypair, netuid, field, data).await
    }

    /// Publishes these bytes encrypted. The chain opens them once it has this round of drand's quicknet
    /// ([`Self::revealed_commitments`]).
    pub async fn set_timelocked_commitment(
        &self,
        keypair: &Keypair,
        netuid: NetUid,
        data: &[u8],
        round: u64,
    ) -> Result<BlockRef, WriteError> {
        let sealed = seal(round, data)?;
        if sealed.len() > LONGEST_SEALED {
            return Err(WriteError::Unfit(
                "an encrypted commitment has 1024 bytes at most",
            ));
        }
        let fields = [
            ("encrypted", Value::from_bytes(&sealed)),
            ("reveal_round", Value::u128(round.into())),
        ];
        let field = Value::named_variant("TimelockEncrypted", fields);
        self.commit(keypair, netuid, field, &sealed).await
    }

    /// What the chain opened of the hotkey's timelocked commitments, each with the block of that, the oldest first.
    pub async fn revealed_commitments(
        &self,
        netuid: NetUid,
        hotkey: &Hotkey,
        block: BlockRef,
    ) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let slot = query.one(PALLET, "RevealedCommitments", (netuid.0, hotkey.0))?;
        Ok(query.send(self, block).await?.option(&slot)?.unwrap_or_default())
    }

    async fn commit(
        &self,
        keypair: &Keypair,
        netuid: NetUid,
        field: Value,
        data: &[u8],
    ) -> Result<BlockRef, WriteError> {
        let info = Value::named_composite([("fields", Value::unnamed_composite([field]))]);
        let call = Call::new(
            PALLET,
            "set_commitment",
            [("netuid", Value::u128(netuid.0.into())), ("info", info)],
        );
        let head = self.finalized().await?;
        if self.uid(netuid, &keypair.hotkey(), head).await?.is_none() {
            let (name, detail) = (
                "AccountNotAllowedCommit",
                format!("it is not registered on subnet {netuid}"),
            );
            return Err(WriteError::foretold(call.pallet, call.name, name, detail));
        }
        let block = self.submit(keypair, &call).await?.block;
        let stored = self.commitment(netuid, &keypair.hotkey(), block).await?;
        if stored.is_some_and(|stored| stored.data == data) {
            Ok(block)
        } else {
            Err(WriteError::ReadBack {
                call: call.item(),
                block,
            })
        }
    }

    /// What a hotkey has committed to on a subnet, as of a block.
    pub async fn commitment(
        &self,
        netuid: NetUid,
        hotkey: &Hotkey,
        block: BlockRef,
    ) -> Result<Option<Commitment>, Error> {
        const ENTRY: &str = "CommitmentOf";
        let runtime = self.runtime(block).await?;
        let key = runtime.storage_key(PALLET, ENTRY, (netuid.0, hotkey.0))?;
        let stored = self.stored(block, &[key]).await?;
        let Some(bytes) = stored.into_iter().next().flatten() else {
            return Ok(None);
        };
        let item = || format!("{PALLET}.{ENTRY}");
        let entry = runtime
            .metadata
            .pallet_by_name(PALLET)
            .and_then(|pallet| pallet.storage())
            .and_then(|storage| storage.entry_by_name(ENTRY))
            .ok_or_else(|| runtime.missing(item()))?;
        let registration = decode_as_type(&mut &*bytes, entry.value_ty(), runtime.metadata.types())
            .map_err(|error| runtime.decode_error(item(), error))?
            .remove_context();
        let read = || {
            let block = u32::try_from(field(&registration, "block").and_then(number)?).ok()?;
            let fields = field(field(&registration, "info")?, "fields")?;
            let mut data = Vec::new();
            if let Some((_, values)) = first_variant(fields) {
                // Of one that is timelocked, the number of the round comes after the bytes.
                values
                    .values()
                    .take(1)
                    .for_each(|value| collect(value, &mut data));
            }
            Some(Commitment { block, data })
        };
        let commitment = read();
        let unknown = || runtime.decode_error(item(), "it has no `block` and `info.fields`");
        commitment.ok_or_else(unknown).map(Some)
    }
}

/// The first field of a commitment, through the newtypes around the list of them.
fn first_variant(of: &Value) -> Option<(&str, &subxt::ext::scale_value::Composite<()>)> {
    variant(of).or_else(|| first_variant(elements(of).next()?))
}

/// All bytes of a value, in order.
fn collect(value: &Value, bytes: &mut Vec<u8>) {
    if let ValueDef::Composite(composite) = &value.value {
        composite.values().for_each(|value| collect(value, bytes));
    } else if let Some(byte) = number(value).and_then(|number| u8::try_from(number).ok()) {
        bytes.push(byte);
    }
}
