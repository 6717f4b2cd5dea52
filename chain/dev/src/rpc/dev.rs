//! `dev_*`: the cheats, for clients in any language. What cuts connections does so after it has answered.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::{Value, json};

use super::{Answer, Arguments, INVALID_PARAMS, Refusal, hash, refusal, to_hex};
use crate::controls::Controls;
use crate::devchain::{Error, Head};
use crate::genesis::public_key;
use crate::node::Node;

/// A cheat that could not be done.
const CHEAT_FAILED: i32 = 5001;

/// As many blocks as one call may ask for.
const MOST_BLOCKS: u32 = 100_000;

/// So long an answer has to leave before connections are cut.
const CUT_AFTER: Duration = Duration::from_millis(100);

type Cheat = fn(&Arc<Controls>, &mut Arguments<'_>) -> Answer;

/// Each with the parameters it takes.
const CHEATS: &[(&str, Cheat)] = &[
    // [count = 1]
    ("dev_advance", |controls, arguments| {
        let count = arguments.optional()?.unwrap_or(1);
        if count > MOST_BLOCKS {
            return Err(refusal(
                INVALID_PARAMS,
                format_args!("at most {MOST_BLOCKS} blocks at once"),
            ));
        }
        Ok(shown(controls.advance(count)?))
    }),
    // [milliseconds], 0 for blocks only when asked
    ("dev_setBlockTime", |controls, arguments| {
        controls.set_block_time(Duration::from_millis(arguments.next()?));
        Ok(Value::Null)
    }),
    // [stalled]
    ("dev_stallFinality", |controls, arguments| {
        controls.stall_finality(arguments.next()?);
        Ok(Value::Null)
    }),
    // [depth]
    ("dev_reorganize", |controls, arguments| {
        Ok(shown(controls.reorganize(arguments.next()?)?))
    }),
    // [specVersion, withheld = []]
    ("dev_upgradeRuntime", |controls, arguments| {
        let spec_version = arguments.next()?;
        let withheld: Option<Vec<String>> = arguments.optional()?;
        Ok(shown(
            controls.upgrade_runtime(spec_version, withheld.unwrap_or_default())?,
        ))
    }),
    // [specVersion, "empty" | "data"]
    ("dev_addExtension", |controls, arguments| {
        Ok(shown(
            controls.add_extension(arguments.next()?, arguments.next()?)?,
        ))
    }),
    // [kept]
    ("dev_pruneStates", |controls, arguments| {
        controls.prune_states(arguments.next()?);
        Ok(Value::Null)
    }),
    // []
    ("dev_snapshot", |controls, _| Ok(json!(controls.snapshot()))),
    // [snapshot]
    ("dev_revert", |controls, arguments| {
        Ok(shown(controls.revert(arguments.next()?)?))
    }),
    // [hash], null for the truth
    ("dev_claimGenesis", |controls, arguments| {
        let claimed = arguments
            .optional::<String>()?
            .map(|text| hash(&text))
            .transpose()?;
        controls.claim_genesis(claimed.map(|hash| hash.0));
        Ok(Value::Null)
    }),
    // ["true" | "refused" | "forged"]
    ("dev_giveProofs", |controls, arguments| {
        controls.give_proofs(arguments.next()?);
        Ok(Value::Null)
    }),
    // []
    ("dev_dropConnections", |controls, _| {
        let acting = Arc::clone(controls);
        controls.later(CUT_AFTER, move || acting.drop_connections());
        Ok(Value::Null)
    }),
    // ["close" | {"http": status} | {"error": code}, milliseconds]
    ("dev_refuse", |controls, arguments| {
        let how: Refusal = arguments.next()?;
        let time = Duration::from_millis(arguments.next()?);
        let (begins, ends) = (Arc::clone(controls), Arc::clone(controls));
        controls.later(CUT_AFTER, move || begins.refuse_with(Some(how)));
        controls.later(CUT_AFTER + time, move || ends.refuse_with(None));
        Ok(Value::Null)
    }),
    // [netuid, hotkey, alpha, root]
    ("dev_setStake", |controls, arguments| {
        let (netuid, hotkey) = (arguments.next()?, key(arguments)?);
        controls.set_stake(netuid, hotkey, arguments.next()?, arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [netuid, uid, rao]
    ("dev_misstateStake", |controls, arguments| {
        controls.misstate_stake(arguments.next()?, arguments.next()?, arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [netuid, uid, permit]
    ("dev_setPermit", |controls, arguments| {
        controls.set_permit(arguments.next()?, arguments.next()?, arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [netuid, hotkey, coldkey]
    ("dev_register", |controls, arguments| {
        let uid = controls.register(arguments.next()?, key(arguments)?, key(arguments)?)?;
        Ok(json!(uid))
    }),
    // [netuid, uid, hotkey, coldkey]
    ("dev_replace", |controls, arguments| {
        let (netuid, uid) = (arguments.next()?, arguments.next()?);
        controls.replace(netuid, uid, key(arguments)?, key(arguments)?)?;
        Ok(Value::Null)
    }),
    // [oldHotkey, newHotkey]
    ("dev_swapHotkey", |controls, arguments| {
        controls.swap_hotkey(key(arguments)?, key(arguments)?)?;
        Ok(Value::Null)
    }),
    // [oldColdkey, newColdkey]
    ("dev_swapColdkey", |controls, arguments| {
        controls.swap_coldkey(key(arguments)?, key(arguments)?)?;
        Ok(Value::Null)
    }),
    // [rao]
    ("dev_setStakeThreshold", |controls, arguments| {
        controls.set_stake_threshold(arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [netuid, commitReveal, rateLimit]
    ("dev_setWeightRules", |controls, arguments| {
        controls.set_weight_rules(arguments.next()?, arguments.next()?, arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [netuid, tao, alpha]
    ("dev_setPool", |controls, arguments| {
        controls.set_pool(arguments.next()?, arguments.next()?, arguments.next()?)?;
        Ok(Value::Null)
    }),
    // ["none" | "real"]
    ("dev_setFees", |controls, arguments| {
        controls.set_fees(arguments.next()?)?;
        Ok(Value::Null)
    }),
    // [round, signature]
    ("dev_pulse", |controls, arguments| {
        controls.pulse(arguments.next()?, &arguments.bytes()?)?;
        Ok(Value::Null)
    }),
    // [netuid, hotkey, "address:port"], null for none
    ("dev_setAxon", |controls, arguments| {
        let (netuid, hotkey) = (arguments.next()?, key(arguments)?);
        controls.set_axon(netuid, hotkey, arguments.optional()?)?;
        Ok(Value::Null)
    }),
];

pub(super) fn register(
    module: &mut RpcModule<Node>,
    controls: &Arc<Controls>,
) -> Result<(), RegisterMethodError> {
    for (name, cheat) in CHEATS {
        let controls = Arc::clone(controls);
        module.register_method(name, move |params, _, _| {
            cheat(&controls, &mut Arguments::of(&params))
        })?;
    }
    Ok(())
}

fn shown(head: Head) -> Value {
    json!({ "number": head.number, "hash": to_hex(head.hash) })
}

/// An ss58 address or a secret URI such as `//Alice`.
fn key(arguments: &mut Arguments<'_>) -> Result<[u8; 32], ErrorObjectOwned> {
    let text: String = arguments.next()?;
    public_key(&text).ok_or_else(|| {
        refusal(
            INVALID_PARAMS,
            format_args!("{text:?} is neither a secret URI nor an ss58 address"),
        )
    })
}

impl From<Error> for ErrorObjectOwned {
    fn from(error: Error) -> Self {
        refusal(CHEAT_FAILED, error)
    }
}
