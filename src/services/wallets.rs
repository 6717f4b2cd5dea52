//! Logins with a key of the chain, from a wallet in a browser: who proves a coldkey or a hotkey reads what is its own.
//!
//! A challenge is a text that the server seals and does not keep: strangers can ask for as many as they like. What was
//! answered is kept until it is over, so that it counts once, whichever server it was answered to.
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::OnceCell;
use violet_chain::{Coldkey, CryptoType, Hotkey, Neuron, Snapshot};

use crate::{
    app::App,
    domain::blake2b_256,
    error::{Error, Result},
    services::{
        lockout::{self, Subject, seconds},
        neurons,
        secrets::{self, Secret},
        security::{Happened, Origin, What},
    },
    store::{self, neurons::Recorded},
};

/// Tokens of wallet sessions start with this.
pub(crate) const TOKEN: &str = "violet_wallet_";
/// The first line: nothing else that is signed in this ecosystem begins like it, and never with 0x.
const PURPOSE: &str = "Violet: log in with a wallet. This moves no funds.";
/// The name of the shared secret in the database.
const SECRET: &str = "wallet_challenges";
/// Changes of a neuron that are shown.
const CHANGES: u16 = 100;

/// The key that seals challenges, read when the first one is made.
#[derive(Default)]
pub struct Seal(OnceCell<Vec<u8>>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// A text to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Exactly what is signed, bare or between `<Bytes>` and `</Bytes>`.
    pub message: String,
    /// It counts until then.
    pub expires_at: DateTime<Utc>,
}

/// The text for a key, before it is sealed.
fn text(app: &App, key: Hotkey, expires_at: DateTime<Utc>, nonce: &str) -> String {
    format!(
        "{PURPOSE}\nAt: {}\nServer: {}\nSubnet: {}\nAddress: {key}\nExpires: {}\nNonce: {nonce}",
        app.config.accounts.public_url,
        app.hotkey,
        app.config.netuid,
        expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

async fn seal(app: &App, text: &str) -> Result<String> {
    let key = app
        .wallet_seal
        .0
        .get_or_try_init(|| async {
            let fresh: [u8; 32] = secrets::random()?;
            let mut connection = app.db.acquire().await?;
            Ok::<_, Error>(store::sessions::secret(&mut connection, SECRET, &fresh).await?)
        })
        .await?;
    Ok(hex::encode(blake2b_256(&[key, text.as_bytes()])))
}

fn address(text: &str) -> Result<Hotkey> {
    text.parse()
        .map_err(|error| Error::invalid("address", format!("{error}")))
}

/// Makes a challenge for whoever says to have this key.
///
/// # Errors
/// 422 for what is no address.
pub async fn challenge(app: &App, address_text: &str) -> Result<Challenge> {
    let key = address(address_text)?;
    let nonce = hex::encode(secrets::random::<32>()?);
    let expires_at = app.clock.now() + seconds(app.config.accounts.wallet_challenge_seconds);
    let text = text(app, key, expires_at, &nonce);
    let seal = seal(app, &text).await?;
    Ok(Challenge {
        message: format!("{text}\nSeal: {seal}"),
        expires_at,
    })
}

/// A wallet that logged in.
#[derive(Debug)]
pub struct Opened {
    /// Sent with each request.
    pub token: Secret,
    /// Whose.
    pub key: Hotkey,
    /// Until when it works.
    pub expires_at: DateTime<Utc>,
}

/// Opens a session for whoever signed a challenge of ours.
///
/// # Errors
/// 401 for a text that is not ours, is over, was used, or was not signed by the key in it; 429 after too many of those.
pub async fn login(app: &App, from: &Origin, message: &str, signature: &[u8; 64]) -> Result<Opened> {
    let caller = Subject::address(app, from.address);
    lockout::count(app, &[&caller]).await?;
    let refused = |why: &str| Error::Unauthenticated(format!("this challenge {why}"));
    let ours = || refused("is none of this server");
    let line = |name: &str| {
        let mut lines = message.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().filter(|_| lines.next().is_none()).ok_or_else(ours)
    };
    let key = address(line("Address: ")?).map_err(|_| ours())?;
    let nonce = line("Nonce: ")?;
    let nonce_bytes: [u8; 32] = hex::decode(nonce)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(ours)?;
    let expires_at = DateTime::parse_from_rfc3339(line("Expires: ")?)
        .map_err(|_| ours())?
        .to_utc();
    // Made again and compared whole: nothing can be added to it or left out.
    let text = text(app, key, expires_at, nonce);
    let seal = seal(app, &text).await?;
    let whole = format!("{text}\nSeal: {seal}");
    // Of equal hashes, so that the time tells nothing of the seal.
    if secrets::hash(&whole) != secrets::hash(message) {
        return Err(ours());
    }
    let now = app.clock.now();
    if expires_at <= now {
        return Err(refused("is over; ask for another"));
    }
    if !signed(&key, message, signature) {
        Happened::refused(What::WalletLogin, from)
            .to(key)
            .note(app, &app.db)
            .await?;
        return Err(refused("was not signed by the key that it names"));
    }
    let token = Secret::random(TOKEN)?;
    let ends = now + seconds(app.config.accounts.wallet_seconds);
    let mut tx = app.db.begin().await?;
    if !store::wallets::spend(&mut *tx, nonce_bytes, expires_at).await? {
        return Err(refused("was used; ask for another"));
    }
    store::wallets::insert(&mut *tx, token.hash(), key.0, now, ends).await?;
    lockout::take_back(app, &mut tx, &caller).await?;
    Happened::new(What::WalletLogin, from)
        .to(key)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Opened {
        token,
        key,
        expires_at: ends,
    })
}

/// Whether the key signed this text, or the text as wallets in browsers wrap it so that it is no transaction.
fn signed(key: &Hotkey, message: &str, signature: &[u8; 64]) -> bool {
    let wrapped = format!("<Bytes>{message}</Bytes>");
    [message, wrapped.as_str()]
        .iter()
        .any(|text| violet_chain::verify(CryptoType::Sr25519, key, text.as_bytes(), signature))
}

/// Whose a token is.
///
/// # Errors
/// 401 when it is none of ours or over.
pub async fn authenticate(app: &App, token: &str) -> Result<Hotkey> {
    let refused = || Error::Unauthenticated("log in with a wallet at /api/v1/auth/wallet/challenge".into());
    let hash = secrets::hash_of_form(TOKEN, token).ok_or_else(refused)?;
    let found = store::wallets::find(&app.db, hash, app.clock.now()).await?;
    found.map(Hotkey).ok_or_else(refused)
}

/// Ends a session.
///
/// # Errors
/// When the database does not answer.
pub async fn logout(app: &App, token: &str) -> Result<()> {
    Ok(store::wallets::delete(&app.db, secrets::hash(token)).await?)
}

/// A neuron of a key, and what happened to it while it was that key's.
#[derive(Debug)]
pub struct Own {
    /// As it is in the snapshot.
    pub neuron: Neuron,
    /// The newest first.
    pub changes: Vec<Recorded>,
}

/// The neurons whose hotkey or coldkey this is, and the snapshot that says so.
///
/// # Errors
/// 503 without a snapshot to go by.
pub async fn neurons(app: &App, key: Hotkey) -> Result<(std::sync::Arc<Snapshot>, Vec<Own>)> {
    let snapshot = app.snapshots.current()?.snapshot;
    let mut all = Vec::new();
    for neuron in &snapshot.neurons {
        if neuron.hotkey != key && neuron.coldkey != Coldkey(key.0) {
            continue;
        }
        let mut changes = neurons::history(app, neuron.uid.0, None, CHANGES).await?;
        changes.retain(|change| change.hotkey == neuron.hotkey || change.coldkey == neuron.coldkey);
        all.push(Own {
            neuron: neuron.clone(),
            changes,
        });
    }
    Ok((snapshot, all))
}

/// Forgets what is over.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(app: &App) -> Result<()> {
    let mut connection = app.db.acquire().await?;
    Ok(store::wallets::delete_expired(&mut connection, app.clock.now()).await?)
}
