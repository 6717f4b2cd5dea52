//! Miners and validators: signed requests, checked in the order shape, receiver, window, signature, nonce,
//! registration. Nothing unsigned steers a check.
use std::{sync::Arc, time::Duration};

use violet_chain::{
    CryptoType, Neuron, Snapshot,
    btauth::{AuthError, Claim, RequestLine, Rules},
};

use crate::{
    app::App,
    error::{Error, Result},
    services::{
        nonces::{Nonce, Seen},
        snapshots,
    },
};

/// A neuron that signed the request at hand.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its row in the snapshot.
    pub neuron: Neuron,
    /// The scheme of its key.
    pub crypto: CryptoType,
    /// The snapshot it was found in.
    pub snapshot: Arc<Snapshot>,
}

fn unauthenticated(error: &AuthError) -> Error {
    Error::Unauthenticated(error.to_string())
}

/// Checks what can be checked before the body is read: shape, receiver, window and signature over a declared digest.
///
/// # Errors
/// 401 with what is wrong.
pub fn verify<'a>(
    app: &App,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    request: &RequestLine<'_>,
) -> Result<Claim> {
    let claim = Claim::from_headers(headers).map_err(|error| unauthenticated(&error))?;
    let identity = &app.config.identity;
    let rules = Rules {
        receiver: app.hotkey,
        now_ns: app.clock.now_nanos(),
        max_age: Duration::from_secs(identity.signature_age_seconds),
        max_ahead: Duration::from_secs(identity.signature_ahead_seconds),
    };
    claim
        .verify(request, &rules)
        .map_err(|error| unauthenticated(&error))?;
    Ok(claim)
}

/// Spends the nonce of a verified claim and finds its neuron in the snapshot.
///
/// # Errors
/// 401 for a replay, 403 when the hotkey is not registered, 503 when the snapshot is too old to tell.
pub async fn admit(app: &App, claim: &Claim) -> Result<Caller> {
    let nanos = i64::try_from(claim.nonce)
        .map_err(|_| Error::Unauthenticated("X-Bittensor-Nonce: out of range".into()))?;
    match app
        .nonces
        .submit(Nonce {
            public_key: claim.hotkey.0,
            nanos,
        })
        .await?
    {
        Seen::First => {}
        Seen::Again => {
            return Err(Error::Unauthenticated(
                "X-Bittensor-Nonce: this request was seen before".into(),
            ));
        }
        Seen::BeforeEpoch => {
            return Err(Error::Unauthenticated(
                "X-Bittensor-Nonce: signed before the server's memory of requests began; sign it again"
                    .into(),
            ));
        }
    }
    let snapshot = app.snapshots.current()?.snapshot;
    let neuron = snapshot.by_hotkey(&claim.hotkey).cloned().ok_or_else(|| {
        Error::Forbidden(format!(
            "hotkey {} is not registered on subnet {} as of block {}",
            claim.hotkey, app.config.netuid, snapshot.block.number
        ))
    })?;
    Ok(Caller {
        neuron,
        crypto: claim.crypto,
        snapshot,
    })
}

/// The caller, if it may judge.
///
/// # Errors
/// 403 without a validator permit or with too little stake.
pub fn as_validator(app: &App, caller: Caller) -> Result<Caller> {
    let Caller { neuron, snapshot, .. } = &caller;
    if snapshots::may_judge(app, snapshot, neuron) {
        return Ok(caller);
    }
    let why = if neuron.validator_permit {
        "has too little stake"
    } else {
        "has no validator permit"
    };
    Err(Error::Forbidden(format!(
        "hotkey {} {why} as of block {}",
        neuron.hotkey, snapshot.block.number
    )))
}
