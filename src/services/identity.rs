//! Miners and validators: signed requests, checked in the order shape, scheme, receiver, window, signature,
//! registration, nonce. Nothing unsigned steers a check.
use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use violet_chain::{
    CryptoType, Hotkey, Neuron, Snapshot, VerifyingKey,
    auth::{AuthError, Claim, Request, Scheme},
    btauth::Rules,
    verify,
};

use crate::{
    app::App,
    domain::{NeuronKeyId, enrolment::NeuronKind},
    error::{Error, Result},
    services::{
        nonces::{Nonce, Seen},
        snapshots,
    },
};

/// More than any subnet has neurons, with either kind of key.
const LARGEST_RING: u64 = 65_536;
/// Who has not been heard of for so long may be decoded again.
const IDLE: Duration = Duration::from_secs(600);

/// Whom a group of operations is for. Each has schemes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Operations of miners or of validators.
    Neuron(NeuronKind),
    /// What a neuron does with its own keys. Of what binds no target, one request could be made another.
    Keys,
}

impl Group {
    /// Operations of miners.
    pub const MINER: Self = Self::Neuron(NeuronKind::Miner);
    /// Operations of validators.
    pub const VALIDATOR: Self = Self::Neuron(NeuronKind::Validator);

    /// What `chutes` signs where there is no body.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Neuron(kind) => kind.name(),
            Self::Keys => "keys",
        }
    }

    /// Its schemes, and where that is said.
    fn schemes(self, app: &App) -> (&[Scheme], &'static str) {
        let schemes = &app.config.identity.schemes;
        match self {
            Self::Neuron(NeuronKind::Miner) => {
                (&schemes.miner, "the server's setting identity.schemes.miner has")
            }
            Self::Neuron(NeuronKind::Validator) => (
                &schemes.validator,
                "the server's setting identity.schemes.validator has",
            ),
            Self::Keys => (&[Scheme::Btauth1], "keys are managed by"),
        }
    }
}

/// Public keys that were decoded. Only who is registered has a place: strangers take none, however many they are.
#[derive(Debug)]
pub struct KeyRing(Cache<(Hotkey, CryptoType), VerifyingKey>);

impl Default for KeyRing {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(LARGEST_RING)
                .time_to_idle(IDLE)
                .build(),
        )
    }
}

impl KeyRing {
    /// The key, decoded now or before.
    async fn get(&self, claim: &Claim) -> Option<VerifyingKey> {
        match self.0.get(&(claim.hotkey, claim.crypto)).await {
            Some(key) => Some(key),
            None => VerifyingKey::new(claim.crypto, &claim.hotkey),
        }
    }

    /// Whether this hotkey has a place.
    pub fn has(&self, hotkey: Hotkey) -> bool {
        [CryptoType::Sr25519, CryptoType::Ed25519]
            .iter()
            .any(|crypto| self.0.contains_key(&(hotkey, *crypto)))
    }

    /// How many have one.
    pub async fn count(&self) -> u64 {
        self.0.run_pending_tasks().await;
        self.0.entry_count()
    }
}

/// A neuron whose request is at hand.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its row in the snapshot.
    pub neuron: Neuron,
    /// The scheme of its hotkey.
    pub crypto: CryptoType,
    /// The key that it was given and sent. None when it signed.
    pub key: Option<NeuronKeyId>,
    /// The snapshot it was found in.
    pub snapshot: Arc<Snapshot>,
}

fn unauthenticated(error: &AuthError) -> Error {
    Error::Unauthenticated(error.to_string())
}

/// What can be said before the body is read: the claim, when it is well-formed, of a scheme that is on, for this server
/// and from within the window.
///
/// # Errors
/// 401 with what is wrong.
pub fn claim(app: &App, group: Group, headers: &[(&str, &[u8])]) -> Result<Claim> {
    let claim = Claim::read(headers).map_err(|error| unauthenticated(&error))?;
    let (schemes, said) = group.schemes(app);
    if !schemes.contains(&claim.scheme) {
        let on: Vec<&str> = schemes.iter().map(|scheme| scheme.as_str()).collect();
        return Err(Error::Unauthenticated(format!(
            "{} is switched off here: {said} {}",
            claim.scheme,
            on.join(", ")
        )));
    }
    let window = app.config.identity.window(claim.scheme);
    let rules = Rules {
        receiver: app.hotkey,
        now_ns: app.clock.now_nanos(),
        max_age: Duration::from_secs(window.age_seconds),
        max_ahead: Duration::from_secs(window.ahead_seconds),
    };
    claim.check(&rules).map_err(|error| unauthenticated(&error))?;
    Ok(claim)
}

/// Checks the signature, finds the neuron in the snapshot, and spends the nonce. Strangers' nonces are not kept, so that
/// none of them can fill the store: nothing of theirs counts even once.
///
/// # Errors
/// 401 for a signature that does not fit and for a replay, 403 when the hotkey is not registered, 503 when the snapshot
/// is too old to tell.
pub async fn admit(app: &App, claim: &Claim, request: &Request<'_>) -> Result<Caller> {
    let key = app.ring.get(claim).await;
    let key = key
        .ok_or_else(|| claim.bad_signature())
        .and_then(|key| claim.verify(request, &key).map(|()| key))
        .map_err(|error| unauthenticated(&error))?;
    let snapshot = app.snapshots.current()?.snapshot;
    let neuron = snapshot.by_hotkey(&claim.hotkey).cloned().ok_or_else(|| {
        Error::Forbidden(format!(
            "hotkey {} is not registered on subnet {} as of block {}",
            claim.hotkey, app.config.netuid, snapshot.block.number
        ))
    })?;
    spend(app, claim).await?;
    let place = (claim.hotkey, claim.crypto);
    if !app.ring.0.contains_key(&place) {
        app.ring.0.insert(place, key).await;
    }
    Ok(Caller {
        neuron,
        crypto: claim.crypto,
        key: None,
        snapshot,
    })
}

impl Caller {
    /// The signature of the caller's hotkey over `message`, if it holds. Whoever has a key signs nothing, or may.
    ///
    /// # Errors
    /// 422 for a wrong one, and when there is none, but the request is signed.
    pub fn signature(
        &self,
        signature: Option<[u8; 64]>,
        message: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<[u8; 64]>> {
        let Some(bytes) = signature else {
            return match self.key {
                Some(_) => Ok(None),
                None => Err(Error::invalid(
                    "signature",
                    "is required: only who sends a key in place of signed requests leaves it out",
                )),
            };
        };
        if verify(self.crypto, &self.neuron.hotkey, &message(), &bytes) {
            return Ok(Some(bytes));
        }
        Err(Error::invalid("signature", "is not the hotkey's over this"))
    }
}

/// Takes note of a verified claim, once for all replicas.
async fn spend(app: &App, claim: &Claim) -> Result<()> {
    let nanos = i64::try_from(claim.signed_ns)
        .map_err(|_| Error::Unauthenticated("the time of the signature is out of range".into()))?;
    let nonce = Nonce {
        public_key: claim.hotkey.0,
        nanos,
        once: claim.once,
    };
    match app.nonces.submit(nonce).await? {
        Seen::First => Ok(()),
        Seen::Again => Err(Error::Unauthenticated(
            "this signed request was seen before: sign each one anew".into(),
        )),
        Seen::BeforeEpoch => Err(Error::Unauthenticated(
            "signed before the server's memory of requests began; sign it again".into(),
        )),
    }
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
