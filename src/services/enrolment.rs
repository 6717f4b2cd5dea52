//! Keys for neurons that know nothing but a key: minted for a signature of the hotkey over a challenge, and dead with
//! its registration.
use std::time::Duration;

use blake2::{
    Blake2bMac,
    digest::{KeyInit, Mac, consts::U32},
};
use chrono::TimeDelta;
use moka::future::Cache;
use violet_chain::{Coldkey, CryptoType, Hotkey, KeyError, Keypair, Neuron, Snapshot, verify};

use crate::{
    app::App,
    domain::{
        NeuronKeyId,
        capability::{self, Offer},
        enrolment::{Challenge, NeuronKind, Wish},
    },
    error::{Error, Result},
    services::{
        identity::Caller,
        nonces::{Nonce, Seen},
        secrets::{self, Secret, hash},
        snapshots,
    },
    store::{
        self,
        neuron_keys::{Declared, NeuronKey},
    },
};

/// A challenge is to be signed within this. Longer than any window of signatures by default, and remembered as long.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(300);
/// Keys that a hotkey may have at a time.
const MOST_KEYS: usize = 16;
/// How long a key that was looked up is remembered: one that was revoked at another replica works no longer.
const REMEMBERED: Duration = Duration::from_secs(1);
const LARGEST_CACHE: u64 = 10_000;
/// Digits of a key after what it begins with that are kept in clear, to recognise it by.
const SHOWN: usize = 6;
const CONTEXT: &[u8] = b"violet/challenges/1";
const SECOND: u64 = 1_000_000_000;

/// Seals challenges, and remembers keys for a moment.
pub struct Enrolment {
    seal: [u8; 32],
    keys: Cache<[u8; 32], NeuronKey>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment(…)")
    }
}

impl Enrolment {
    /// The key of seals is a VRF output that is never published: every replica with the same hotkey has the same, and
    /// each takes the challenges of all.
    ///
    /// # Errors
    /// When the key has no VRF.
    pub fn new(keypair: &Keypair) -> Result<Self, KeyError> {
        let proof = keypair.vrf(CONTEXT, b"")?;
        let seal = proof.verify(&keypair.hotkey(), CONTEXT, b"");
        Ok(Self {
            seal: seal.unwrap_or(proof.preout),
            keys: Cache::builder()
                .max_capacity(LARGEST_CACHE)
                .time_to_live(REMEMBERED)
                .build(),
        })
    }

    fn mac(&self, challenge: &Challenge) -> Blake2bMac<U32> {
        let mut mac =
            <Blake2bMac<U32> as KeyInit>::new_from_slice(&self.seal).expect("32 bytes are a key of BLAKE2b");
        mac.update(challenge.text().as_bytes());
        mac
    }
}

/// What keys begin with: whose they are, and something for a scanner for leaked secrets to find.
const fn prefix(kind: NeuronKind) -> &'static str {
    match kind {
        NeuronKind::Miner => "violet_miner_",
        NeuronKind::Validator => "violet_validator_",
    }
}

/// Whose key this says it is.
pub fn kind_of(key: &str) -> Option<NeuronKind> {
    NeuronKind::ALL
        .iter()
        .copied()
        .find(|kind| key.starts_with(prefix(*kind)))
}

fn unauthenticated(text: &str) -> Error {
    Error::Unauthenticated(text.to_owned())
}

/// Who a neuron says it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its hotkey.
    pub hotkey: Hotkey,
    /// Its owner.
    pub coldkey: Coldkey,
    /// Its place.
    pub uid: u16,
    /// What it calls the chain.
    pub network: String,
}

/// The neuron of these credentials, if the snapshot has it and it may have a key of this kind.
fn neuron(app: &App, kind: NeuronKind, credentials: &Credentials) -> Result<Neuron> {
    let snapshot = app.snapshots.current()?.snapshot;
    let found = snapshot
        .by_hotkey(&credentials.hotkey)
        .filter(|neuron| neuron.uid.0 == credentials.uid && neuron.coldkey == credentials.coldkey)
        .cloned();
    let neuron = found.ok_or_else(|| {
        Error::Forbidden(format!(
            "hotkey {} of coldkey {} is not registered at uid {} of subnet {} as of block {}",
            credentials.hotkey,
            credentials.coldkey,
            credentials.uid,
            app.config.netuid,
            snapshot.block.number
        ))
    })?;
    if kind == NeuronKind::Validator && !snapshots::may_judge(app, &snapshot, &neuron) {
        return Err(Error::Forbidden(format!(
            "hotkey {} has no validator permit, or too little stake, as of block {}",
            neuron.hotkey, snapshot.block.number
        )));
    }
    Ok(neuron)
}

fn wish(app: &App, kind: NeuronKind, credentials: Credentials) -> Result<Wish> {
    if !app.config.identity.enrolment {
        return Err(Error::Forbidden(
            "no keys are given to neurons here: the server's setting identity.enrolment is off".into(),
        ));
    }
    let Credentials {
        hotkey,
        coldkey,
        uid,
        network,
    } = credentials;
    if !Challenge::is_network(&network) {
        return Err(Error::invalid("network", "must be a short name such as finney"));
    }
    Ok(Wish {
        kind,
        netuid: app.config.netuid,
        server: app.hotkey,
        hotkey,
        coldkey,
        uid,
        network,
    })
}

/// A text for a registered neuron to sign. Nothing is stored for it.
///
/// # Errors
/// 403 when the snapshot has no such neuron, or enrolment is off; 422 for a network that is no name.
pub fn challenge(app: &App, kind: NeuronKind, credentials: &Credentials) -> Result<String> {
    let wish = wish(app, kind, credentials.clone())?;
    neuron(app, kind, credentials)?;
    let random: [u8; 16] = secrets::random()?;
    let challenge = Challenge {
        wish,
        random: hex::encode(random),
        expires: app.clock.now_nanos() / SECOND + CHALLENGE_LIFE.as_secs(),
    };
    let seal = app.enrolment.mac(&challenge).finalize().into_bytes().into();
    Ok(challenge.sealed(seal))
}

/// A challenge with its signature.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The text, as it was given.
    pub challenge: String,
    /// How the hotkey signs.
    pub crypto: CryptoType,
    /// Its signature over the text.
    pub signature: [u8; 64],
}

/// What a miner says of itself with the answer to a challenge, if it does.
///
/// # Errors
/// 422 for a declaration that makes no sense.
pub fn declared(
    kind: NeuronKind,
    engines: Option<Vec<Offer>>,
    capacity: Option<u16>,
) -> Result<Option<Declared>> {
    let Some(engines) = engines else {
        return match capacity {
            Some(_) => Err(Error::invalid("capacity", "is of engines, and there are none")),
            None => Ok(None),
        };
    };
    if kind == NeuronKind::Validator {
        return Err(Error::invalid("engines", "are what miners have"));
    }
    capability::check(&engines).map_err(|error| Error::invalid("engines", error))?;
    Ok(Some(Declared {
        capacity: capacity.unwrap_or(1),
        engines,
    }))
}

/// Mints a key for a challenge that the hotkey signed. Each challenge is good for one.
///
/// # Errors
/// 401 when the challenge is not ours for these credentials, is over or was used, or the signature is not the hotkey's;
/// 403 like [`challenge`]; 409 when it has too many keys.
pub async fn enrol(
    app: &App,
    kind: NeuronKind,
    credentials: Credentials,
    proof: &Proof,
    declared: Option<&Declared>,
) -> Result<(Secret, NeuronKey)> {
    let network = credentials.network.clone();
    let wish = wish(app, kind, credentials.clone())?;
    let (challenge, seal) = Challenge::read(&proof.challenge, wish)
        .ok_or_else(|| unauthenticated("challenge: is not one for these credentials"))?;
    app.enrolment
        .mac(&challenge)
        .verify_slice(&seal)
        .map_err(|_| unauthenticated("challenge: is not one of this server"))?;
    let now = app.clock.now();
    let issued = challenge.expires.saturating_sub(CHALLENGE_LIFE.as_secs());
    if app.clock.now_nanos() / SECOND > challenge.expires {
        return Err(unauthenticated("challenge: is over; ask for another one"));
    }
    let hotkey = credentials.hotkey;
    if !verify(
        proof.crypto,
        &hotkey,
        proof.challenge.as_bytes(),
        &proof.signature,
    ) {
        return Err(unauthenticated(
            "signature: is not the hotkey's over the challenge",
        ));
    }
    let neuron = neuron(app, kind, &credentials)?;
    spend(app, hotkey, issued, &challenge).await?;
    let secret = Secret::random(prefix(kind))?;
    let new = NeuronKey {
        neuron_key_id: NeuronKeyId::new(),
        kind,
        netuid: app.config.netuid,
        uid: neuron.uid.0,
        hotkey,
        crypto: proof.crypto,
        registered_at: registration(&neuron),
        network,
        prefix: secret.reveal()[..prefix(kind).len() + SHOWN].to_owned(),
        created_at: now,
        expires_at: now + TimeDelta::days(app.config.identity.neuron_key_days.into()),
    };
    let mut tx = app.db.begin().await?;
    store::neuron_keys::lock(&mut tx, hotkey).await?;
    let known = store::neuron_keys::of_hotkey(&mut *tx, new.netuid, hotkey, now).await?;
    if known.len() >= MOST_KEYS {
        return Err(Error::Conflict(format!(
            "this hotkey has {MOST_KEYS} keys; revoke one first"
        )));
    }
    store::neuron_keys::insert(&mut *tx, &new, declared, secret.hash()).await?;
    tx.commit().await?;
    tracing::info!(hotkey = %hotkey, uid = new.uid, kind = kind.name(), key = new.prefix, "a neuron got a key");
    Ok((secret, new))
}

/// The block of the registration, as it is stored.
fn registration(neuron: &Neuron) -> i64 {
    i64::try_from(neuron.registered_at).unwrap_or(i64::MAX)
}

/// Takes note of a challenge, once for all replicas, where requests are remembered.
async fn spend(app: &App, hotkey: Hotkey, issued: u64, challenge: &Challenge) -> Result<()> {
    let digest = hash(&challenge.text());
    let mut once = [0; 8];
    once.copy_from_slice(&digest[..8]);
    let nonce = Nonce {
        public_key: hotkey.0,
        // The end of the second, which may be the one in which the memory of requests began.
        nanos: i64::try_from((issued + 1) * SECOND).unwrap_or(i64::MAX),
        once: u64::from_le_bytes(once),
    };
    match app.nonces.submit(nonce).await? {
        Seen::First => Ok(()),
        Seen::Again => Err(unauthenticated("challenge: was used; ask for another one")),
        Seen::BeforeEpoch => Err(unauthenticated(
            "challenge: was given before the server's memory of requests began; ask for another one",
        )),
    }
}

/// The neuron that a key stands for, checked against the snapshot.
///
/// # Errors
/// 401 when it is none, was revoked or is over; 403 when it is of the other kind, its neuron is no longer registered as
/// it was, or enrolment is off; 503 when the snapshot is too old to tell.
pub async fn authenticate(app: &App, kind: NeuronKind, key: &str) -> Result<(Caller, NeuronKey)> {
    let refused = || {
        unauthenticated(
            "sign the request; or send a neuron's key as X-API-Key, where this one is none, was revoked or is over",
        )
    };
    let other = kind_of(key).ok_or_else(refused)?;
    let hash = secrets::hash_of_form(prefix(other), key).ok_or_else(refused)?;
    let found = if let Some(found) = app.enrolment.keys.get(&hash).await {
        found
    } else {
        let found = store::neuron_keys::find(&app.db, hash).await?;
        let found = found.ok_or_else(refused)?;
        app.enrolment.keys.insert(hash, found.clone()).await;
        found
    };
    if found.expires_at <= app.clock.now() {
        return Err(refused());
    }
    if !app.config.identity.enrolment {
        return Err(Error::Forbidden(
            "keys of neurons are not taken here: the server's setting identity.enrolment is off".into(),
        ));
    }
    if found.kind != kind {
        return Err(Error::Forbidden(format!(
            "this is the key of a {}, and the operation is for {}s",
            found.kind.name(),
            kind.name()
        )));
    }
    let snapshot = app.snapshots.current()?.snapshot;
    let neuron = of_key(app, &snapshot, &found).cloned().ok_or_else(|| {
        Error::Forbidden(format!(
            "hotkey {} is no longer registered at uid {} of subnet {} as it was when it got this key, as of block {}",
            found.hotkey, found.uid, found.netuid, snapshot.block.number
        ))
    })?;
    let caller = Caller {
        neuron,
        crypto: found.crypto,
        key: Some(found.neuron_key_id),
        snapshot,
    };
    Ok((caller, found))
}

/// The neuron of a key, while its registration is the one that it was minted for.
fn of_key<'a>(app: &App, snapshot: &'a Snapshot, key: &NeuronKey) -> Option<&'a Neuron> {
    let neuron = snapshot.by_hotkey(&key.hotkey)?;
    let same = neuron.uid.0 == key.uid
        && key.netuid == app.config.netuid
        && registration(neuron) == key.registered_at;
    same.then_some(neuron)
}

/// Compares credentials with those of a key, as clients of old ask for it.
///
/// # Errors
/// 403 when they differ.
pub fn compare(caller: &Caller, key: &NeuronKey, credentials: &Credentials) -> Result<()> {
    let Credentials {
        hotkey,
        coldkey,
        uid,
        network,
    } = credentials;
    let same = caller.neuron.hotkey == *hotkey
        && caller.neuron.coldkey == *coldkey
        && caller.neuron.uid.0 == *uid
        && key.network == *network;
    if same {
        Ok(())
    } else {
        let kind = match key.kind {
            NeuronKind::Miner => "Miner",
            NeuronKind::Validator => "Validator",
        };
        Err(Error::Forbidden(format!(
            "{kind} credentials do not match the provided API key"
        )))
    }
}

/// The keys of a hotkey that work, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, hotkey: Hotkey) -> Result<Vec<NeuronKey>> {
    let now = app.clock.now();
    Ok(store::neuron_keys::of_hotkey(&app.db, app.config.netuid, hotkey, now).await?)
}

/// Revokes a key of a hotkey: here at once, at other replicas within a second.
///
/// # Errors
/// 404 when it has no such key, or none that still works.
pub async fn revoke(app: &App, hotkey: Hotkey, id: NeuronKeyId) -> Result<()> {
    if !store::neuron_keys::revoke(&app.db, hotkey, id).await? {
        return Err(Error::NotFound { what: "key" });
    }
    app.enrolment.keys.invalidate_all();
    Ok(())
}
