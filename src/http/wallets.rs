//! `/api/v1/auth/wallet` and `/api/v1/wallet`: logins with a key of the chain, and what belongs to it.
use axum::{
    Json as Body,
    extract::{FromRequestParts, State},
    http::{header, request::Parts},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::{Coldkey, Hotkey};

use super::{
    extract::Json,
    neurons::Change,
    problem::ApiError,
    sessions::{DONE, Done},
};
use crate::{
    app::App,
    error::Error,
    services::{
        security::Origin,
        wallets::{self, Own},
    },
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(challenge_wallet))
        .routes(routes!(log_in_with_wallet))
        .routes(routes!(log_out_wallet))
        .routes(routes!(list_own_neurons))
}

/// A key of the chain whose owner logged in.
struct Wallet {
    key: Hotkey,
    token: String,
}

impl FromRequestParts<App> for Wallet {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let bearer = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let token = bearer.ok_or_else(|| {
            Error::Unauthenticated("the token of a wallet login is required, as Authorization: Bearer".into())
        })?;
        Ok(Self {
            key: wallets::authenticate(app, token).await?,
            token: token.to_owned(),
        })
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asking {
    /// Of a coldkey or a hotkey, in SS58.
    address: String,
}

#[derive(Serialize, ToSchema)]
struct Challenge {
    /// Sign exactly this, bare or as `<Bytes>…</Bytes>`, which is what wallets in browsers do.
    message: String,
    /// Sign and send it before.
    expires_at: DateTime<Utc>,
}

/// Ask for a text that proves, once signed, that a key is yours.
#[utoipa::path(
    post, path = "/auth/wallet/challenge", tag = "wallets",
    responses(
        (status = 200, description = "What to sign", body = Challenge),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn challenge_wallet(
    State(app): State<App>,
    Json(Asking { address }): Json<Asking>,
) -> Result<Body<Challenge>, ApiError> {
    let wallets::Challenge { message, expires_at } = wallets::challenge(&app, &address).await?;
    Ok(Body(Challenge { message, expires_at }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// The challenge, as it came.
    message: String,
    /// sr25519, as `0x` and 128 hex digits.
    #[schema(value_type = String)]
    #[serde(deserialize_with = "super::signature")]
    signature: [u8; 64],
}

#[derive(Serialize, ToSchema)]
struct LoggedIn {
    /// Send it as `Authorization: Bearer` to the operations under `/wallet`.
    access_token: String,
    /// `bearer`
    token_type: &'static str,
    #[schema(value_type = String)]
    address: Hotkey,
    /// When it is over.
    expires_at: DateTime<Utc>,
}

/// Log in with a signed challenge. Each counts once.
#[utoipa::path(
    post, path = "/auth/wallet/login", tag = "wallets",
    responses(
        (status = 200, description = "A token that reads what is the key's own", body = LoggedIn),
        (status = 401, description = "unauthenticated"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn log_in_with_wallet(
    State(app): State<App>,
    from: Origin,
    Json(Signed { message, signature }): Json<Signed>,
) -> Result<Body<LoggedIn>, ApiError> {
    let wallets::Opened {
        token,
        key,
        expires_at,
    } = wallets::login(&app, &from, &message, &signature).await?;
    Ok(Body(LoggedIn {
        access_token: token.reveal().to_owned(),
        token_type: "bearer",
        address: key,
        expires_at,
    }))
}

/// Log the wallet out: its token ends.
#[utoipa::path(
    post, path = "/wallet/logout", tag = "wallets", security(("wallet" = [])),
    responses((status = 200, description = "It has ended", body = Done), ApiError)
)]
async fn log_out_wallet(State(app): State<App>, wallet: Wallet) -> Result<Body<Done>, ApiError> {
    wallets::logout(&app, &wallet.token).await?;
    Ok(DONE)
}

/// A neuron of yours.
#[derive(Serialize, ToSchema)]
struct OwnNeuron {
    uid: u16,
    #[schema(value_type = String)]
    hotkey: Hotkey,
    #[schema(value_type = String)]
    coldkey: Coldkey,
    /// The chain's `total_stake`, in rao.
    stake_rao: u64,
    validator_permit: bool,
    active: bool,
    /// Part of 65535.
    incentive: u16,
    /// Part of 65535.
    dividends: u16,
    registered_at_block: u64,
    last_update_block: u64,
    /// What happened to it while its keys were these, the newest first; a hundred at most.
    history: Vec<Change>,
}

#[derive(Serialize, ToSchema)]
struct OwnNeurons {
    #[schema(value_type = String)]
    address: Hotkey,
    /// The block that this is of.
    block: u32,
    /// Whether the key owns the subnet.
    owns_subnet: bool,
    count: usize,
    neurons: Vec<OwnNeuron>,
}

/// List the neurons whose hotkey or coldkey you logged in with: stake, permit, history.
#[utoipa::path(
    get, path = "/wallet/neurons", tag = "wallets", security(("wallet" = [])),
    responses((status = 200, description = "All of them, as of the snapshot in force", body = OwnNeurons), ApiError)
)]
async fn list_own_neurons(State(app): State<App>, wallet: Wallet) -> Result<Body<OwnNeurons>, ApiError> {
    let (snapshot, found) = wallets::neurons(&app, wallet.key).await?;
    let neurons: Vec<OwnNeuron> = found
        .into_iter()
        .map(|Own { neuron, changes }| OwnNeuron {
            uid: neuron.uid.0,
            hotkey: neuron.hotkey,
            coldkey: neuron.coldkey,
            stake_rao: neuron.stake.0,
            validator_permit: neuron.validator_permit,
            active: neuron.active,
            incentive: neuron.incentive,
            dividends: neuron.dividends,
            registered_at_block: neuron.registered_at,
            last_update_block: neuron.last_update,
            history: changes.into_iter().map(Into::into).collect(),
        })
        .collect();
    Ok(Body(OwnNeurons {
        address: wallet.key,
        block: snapshot.block.number,
        owns_subnet: snapshot.owner_coldkey == Coldkey(wallet.key.0) || snapshot.owner_hotkey == wallet.key,
        count: neurons.len(),
        neurons,
    }))
}
