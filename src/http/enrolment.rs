//! Keys for neurons that cannot sign requests, and what their neurons do with them.
use axum::{
    Json as Body,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::{Coldkey, CryptoType, Hotkey};

use super::{
    API_KEY,
    extract::{Json, Path},
    principal::Signer,
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{NeuronKeyId, capability::Offer, enrolment::NeuronKind},
    error::Error,
    services::enrolment::{self, Credentials, Proof},
    store::neuron_keys::NeuronKey,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(authenticate_miner))
        .routes(routes!(authenticate_validator))
        .routes(routes!(list_neuron_keys))
        .routes(routes!(revoke_neuron_key))
}

/// Who a neuron says it is; with `challenge` and `signature` the answer to a challenge.
#[derive(Debug, Deserialize, ToSchema)]
struct Authenticate {
    #[schema(value_type = String)]
    hotkey: Hotkey,
    /// The hotkey's owner.
    #[schema(value_type = String)]
    coldkey_address: Coldkey,
    uid: u16,
    /// What the neuron calls the chain, such as `finney`.
    network: String,
    /// The text that was given to be signed, unchanged.
    challenge: Option<String>,
    /// The hotkey's signature over its bytes: 128 hex digits, with or without 0x.
    #[serde(default, deserialize_with = "some_signature")]
    #[schema(value_type = Option<String>)]
    signature: Option<[u8; 64]>,
    /// How the hotkey signs: `sr25519` unless it says `ed25519`.
    #[schema(value_type = Option<String>)]
    crypto: Option<CryptoType>,
    /// What a miner can do, as a heartbeat says it; sent with `signature`. Then polling with the key is all that makes it
    /// eligible.
    engines: Option<Vec<Offer>>,
    /// Assignments that it takes at once; 1 unless it says so. Goes with `engines`.
    capacity: Option<u16>,
}

fn some_signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 64]>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Some)
        .ok_or_else(|| D::Error::custom("signature: must be 128 hex digits"))
}

/// Which of its members there are depends on the step.
#[derive(Serialize, ToSchema)]
struct Authenticated {
    success: bool,
    /// Whether the neuron is known now: by its key, or by its signature.
    authenticated: bool,
    uid: u16,
    network: String,
    message: &'static str,
    /// To be signed by the hotkey and sent back with `signature`, within `expires_in` seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    /// Shown once; keep it. Send it as `X-API-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    /// When the key ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

/// The key that was sent along, whatever it is worth.
struct SentKey(Option<String>);

impl FromRequestParts<App> for SentKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let key = parts.headers.get(API_KEY);
        Ok(Self(key.map(|key| key.to_str().unwrap_or_default().to_owned())))
    }
}

/// Get a key for a miner that cannot sign requests, in two steps; or check the key that is sent along.
///
/// 1. Without a key and without `signature`: the answer has a `challenge`, a text for the hotkey to sign as it is.
/// 2. With `challenge` and `signature`: the answer has an `api_key`, which opens the operations of miners in place of
///    signed requests. It ends with the hotkey's registration at this uid, after 90 days by default, or when it is
///    revoked. A hotkey may have 16. Answers need no signature then, and the receipt says so. With `engines`, what the
///    miner can do is known: each poll with this key counts as a heartbeat that says so.
///
/// With a key and without `signature`, it is compared with what the body says.
#[utoipa::path(
    post, path = "/miner/authenticate", tag = "miners", security((), ("neuron_key" = [])),
    responses(
        (status = 200, description = "A challenge, a key, or that the key fits", body = Authenticated),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn authenticate_miner(
    State(app): State<App>,
    SentKey(key): SentKey,
    Json(body): Json<Authenticate>,
) -> Result<Body<Authenticated>, ApiError> {
    authenticate(&app, NeuronKind::Miner, key, body).await
}

/// Get a key for a validator that cannot sign requests, like a miner; or check the key that is sent along.
///
/// The key opens the operations of validators as long as the hotkey may judge. Evaluations need no signature then, and
/// the receipt says so.
#[utoipa::path(
    post, path = "/validator/authenticate", tag = "validators", security((), ("neuron_key" = [])),
    responses(
        (status = 200, description = "A challenge, a key, or that the key fits", body = Authenticated),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn authenticate_validator(
    State(app): State<App>,
    SentKey(key): SentKey,
    Json(body): Json<Authenticate>,
) -> Result<Body<Authenticated>, ApiError> {
    authenticate(&app, NeuronKind::Validator, key, body).await
}

async fn authenticate(
    app: &App,
    kind: NeuronKind,
    key: Option<String>,
    body: Authenticate,
) -> Result<Body<Authenticated>, ApiError> {
    let Authenticate {
        hotkey,
        coldkey_address,
        uid,
        network,
        challenge,
        signature,
        crypto,
        engines,
        capacity,
    } = body;
    let credentials = Credentials {
        hotkey,
        coldkey: coldkey_address,
        uid,
        network: network.clone(),
    };
    let answer = |authenticated, message| Authenticated {
        success: true,
        authenticated,
        uid,
        network,
        message,
        challenge: None,
        expires_in: None,
        api_key: None,
        expires_at: None,
    };
    Ok(Body(match (challenge, signature, key) {
        (Some(challenge), Some(signature), _) => {
            let proof = Proof {
                challenge,
                crypto: crypto.unwrap_or(CryptoType::Sr25519),
                signature,
            };
            let declared = enrolment::declared(kind, engines, capacity)?;
            let (secret, new) = enrolment::enrol(app, kind, credentials, &proof, declared.as_ref()).await?;
            Authenticated {
                api_key: Some(secret.reveal().to_owned()),
                expires_at: Some(new.expires_at),
                ..answer(true, "Keep this key: it is not shown again.")
            }
        }
        (None, None, Some(key)) => {
            let (caller, key) = enrolment::authenticate(app, kind, &key).await?;
            enrolment::compare(&caller, &key, &credentials)?;
            answer(true, "Authentication successful")
        }
        (None, None, None) => Authenticated {
            challenge: Some(enrolment::challenge(app, kind, &credentials)?),
            expires_in: Some(enrolment::CHALLENGE_LIFE.as_secs()),
            ..answer(
                false,
                "Sign the challenge with the hotkey and send it back with the signature.",
            )
        },
        (None, Some(_), _) => return Err(Error::invalid("challenge", "is what signature is over").into()),
        (Some(_), None, _) => return Err(Error::invalid("signature", "is missing").into()),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct KeyList {
    success: bool,
    count: usize,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Key {
    key_id: NeuronKeyId,
    kind: NeuronKind,
    uid: u16,
    /// What it begins with.
    prefix: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<NeuronKey> for Key {
    fn from(key: NeuronKey) -> Self {
        Self {
            key_id: key.neuron_key_id,
            kind: key.kind,
            uid: key.uid,
            prefix: key.prefix,
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// List the keys of the hotkey that signs this: those that were not revoked and are not over. `btauth/1` alone.
#[utoipa::path(
    get, path = "/neurons/keys", tag = "neurons", security(("btauth" = [])),
    responses((status = 200, description = "Newest first", body = KeyList), ApiError)
)]
async fn list_neuron_keys(State(app): State<App>, Signer(caller): Signer) -> Result<Body<KeyList>, ApiError> {
    let keys = enrolment::list(&app, caller.neuron.hotkey).await?;
    let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
    Ok(Body(KeyList {
        success: true,
        count: keys.len(),
        keys,
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Revoked {
    success: bool,
}

/// Revoke a key of the hotkey that signs this, for all servers within a second. `btauth/1` alone.
#[utoipa::path(
    delete, path = "/neurons/keys/{key_id}", tag = "neurons", security(("btauth" = [])),
    params(("key_id" = NeuronKeyId, Path)),
    responses((status = 200, description = "It is refused from now on", body = Revoked), ApiError)
)]
async fn revoke_neuron_key(
    State(app): State<App>,
    Signer(caller): Signer,
    Path(id): Path<NeuronKeyId>,
) -> Result<Body<Revoked>, ApiError> {
    enrolment::revoke(&app, caller.neuron.hotkey, id).await?;
    Ok(Body(Revoked { success: true }))
}
