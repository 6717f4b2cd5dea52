//! A metagraph by one runtime call, with the scalars that no call carries read beside it.

use scale_decode::DecodeAsType;

use super::{At, AxonInfo, Columns, ScalarSlots, Scalars};
use crate::error::Error;
use crate::query::Query;
use crate::runtime::Runtime;

pub(super) const API: &str = "SubnetInfoRuntimeApi";
pub(super) const SELECTIVE: &str = "get_selective_metagraph";
const FULL: &str = "get_metagraph";

/// The positions of the fields below in `SelectiveMetagraph`; the chain fills no others.
const FIELDS: [u16; 21] = [
    0, 5, 6, 7, 8, 26, 46, 52, 53, 55, 56, 57, 59, 60, 61, 62, 63, 66, 67, 68, 69,
];

/// What is wanted of `SelectiveMetagraph`, where a field that was not asked for is `None`.
#[derive(DecodeAsType)]
pub(super) struct Selective {
    netuid: u16,
    owner_hotkey: Option<[u8; 32]>,
    owner_coldkey: Option<[u8; 32]>,
    block: Option<u64>,
    tempo: Option<u16>,
    weights_version: Option<u64>,
    commit_reveal_weights_enabled: Option<bool>,
    hotkeys: Option<Vec<[u8; 32]>>,
    coldkeys: Option<Vec<[u8; 32]>>,
    axons: Option<Vec<AxonInfo>>,
    active: Option<Vec<bool>>,
    validator_permit: Option<Vec<bool>>,
    last_update: Option<Vec<u64>>,
    emission: Option<Vec<u64>>,
    dividends: Option<Vec<u16>>,
    incentives: Option<Vec<u16>>,
    consensus: Option<Vec<u16>>,
    block_at_registration: Option<Vec<u64>>,
    alpha_stake: Option<Vec<u64>>,
    tao_stake: Option<Vec<u64>>,
    total_stake: Option<Vec<u64>>,
}

impl Selective {
    /// A field that was asked for and stayed empty is one that this runtime no longer fills: an error by its name.
    pub(super) fn filled(self, runtime: u32) -> Result<Columns, Error> {
        macro_rules! filled {
            ($($field:ident),* $(,)?) => {
                Columns {
                    netuid: self.netuid,
                    $( $field: self.$field.ok_or_else(|| Error::Missing {
                        item: format!("{API}.{SELECTIVE}.{}", stringify!($field)),
                        spec_version: runtime,
                    })?, )*
                }
            };
        }
        Ok(filled! {
            owner_hotkey, owner_coldkey, block, tempo, weights_version, commit_reveal_weights_enabled, hotkeys,
            coldkeys, axons, active, validator_permit, last_update, emission, dividends, incentives, consensus,
            block_at_registration, alpha_stake, tao_stake, total_stake,
        })
    }
}

/// By `get_selective_metagraph`: about 33 kB for 256 neurons.
pub(super) async fn selective(at: At<'_>) -> Result<(Columns, Scalars), Error> {
    let runtime = at.runtime;
    let input = runtime.api_input(API, SELECTIVE, (at.netuid.0, FIELDS.to_vec()))?;
    let (metagraph, scalars) = call::<Selective>(at, SELECTIVE, input).await?;
    Ok((metagraph.filled(runtime.spec_version)?, scalars))
}

/// By `get_metagraph`: the same names, none of them optional, and everything else too.
pub(super) async fn full(at: At<'_>) -> Result<(Columns, Scalars), Error> {
    let input = at.runtime.api_input(API, FULL, (at.netuid.0,))?;
    call(at, FULL, input).await
}

/// The call and the scalars side by side.
async fn call<T: DecodeAsType>(
    at: At<'_>,
    method: &str,
    (name, arguments): (String, Vec<u8>),
) -> Result<(T, Scalars), Error> {
    let runtime: &Runtime = at.runtime;
    let mut query = Query::new(runtime);
    let slots = ScalarSlots::ask(&mut query)?;
    let (metagraph, answer) = tokio::try_join!(
        at.client.call(at.block, &name, &arguments),
        query.send(at.client, at.block)
    )?;
    let scalars = slots.read(&answer)?;
    let metagraph: Option<T> = runtime.api_output(API, method, &metagraph)?;
    let metagraph = metagraph.ok_or(Error::NoSuchSubnet {
        netuid: at.netuid,
        block: at.block,
    })?;
    Ok((metagraph, scalars))
}
