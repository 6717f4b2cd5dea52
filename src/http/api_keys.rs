//! `/api/v1/auth/api-keys`, and what the original has in its place.
use std::sync::Arc;

use axum::{
    Json as Body,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Json, Page, Path, Query},
    principal::{Client, May, presented},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{ApiKeyId, OrganizationId, UserId, access::may},
    error::Error,
    services::{
        keys::{self, Key, Made, Wish},
        security::Origin,
    },
    store::{accounts::Role, api_keys::Listed},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, make_key))
        .routes(routes!(read_key, revoke_key))
        .routes(routes!(rotate_key))
        .routes(routes!(generate_api_key))
        .routes(routes!(verify_api_key))
}

/// A key as its organisation sees it: never the key itself.
#[derive(Debug, Serialize, ToSchema)]
struct ApiKey {
    api_key_id: ApiKeyId,
    name: String,
    /// The first characters, to recognise it by.
    prefix: String,
    /// What it may do, as far as its maker may.
    scopes: Vec<&'static str>,
    /// Who made it; it acts in this user's name.
    user_id: UserId,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Listed> for ApiKey {
    fn from(key: Listed) -> Self {
        let scopes = key.scope().names();
        let Listed {
            api_key_id,
            user_id,
            prefix,
            name,
            scopes: _,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        } = key;
        Self {
            api_key_id,
            name,
            prefix,
            scopes,
            user_id,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ApiKeys {
    keys: Vec<ApiKey>,
    /// Where the next page begins, as `before`; null after the last one.
    next: Option<ApiKeyId>,
}

/// List the API keys of your organisation.
///
/// Those that were revoked are left out.
#[utoipa::path(
    get, path = "/auth/api-keys", tag = "accounts", security(("api_key" = ["keys:manage"])), params(Page<ApiKeyId>),
    responses((status = 200, description = "Newest first", body = ApiKeys), ApiError)
)]
async fn list_keys(
    State(app): State<App>,
    client: May<may::ManageKeys>,
    Query(page): Query<Page<ApiKeyId>>,
) -> Result<Body<ApiKeys>, ApiError> {
    let limit = page.limit();
    let keys = keys::list(&app, client.organization, page.before, limit).await?;
    let next = keys
        .last()
        .filter(|_| keys.len() == usize::from(limit))
        .map(|key| key.api_key_id);
    Ok(Body(ApiKeys {
        keys: keys.into_iter().map(ApiKey::from).collect(),
        next,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewApiKey {
    /// What it is for; 1 to 100 characters.
    name: String,
    /// Permissions, such as `tasks:read`, or bundles: `tasks`, `files`, `network`, `read`, `tts`, `stt`. Without, all that
    /// you may do, but for what ends in `:manage`: that must be named.
    scopes: Option<Vec<String>>,
    /// When it stops working. Without, it works until it is revoked, or as long as the key that makes it.
    expires_at: Option<DateTime<Utc>>,
}

/// A key with its secret.
#[derive(Serialize, ToSchema)]
struct NewSecret {
    #[serde(flatten)]
    #[schema(inline)]
    key: ApiKey,
    /// Shown once; keep it. Send it as `X-API-Key`.
    api_key: String,
    /// After a rotation: until when the old secret works.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_valid_until: Option<DateTime<Utc>>,
}

impl From<Made> for NewSecret {
    fn from(made: Made) -> Self {
        let Made {
            secret,
            key,
            old_valid_until,
        } = made;
        Self {
            key: key.into(),
            api_key: secret.reveal().to_owned(),
            old_valid_until,
        }
    }
}

/// Make an API key.
///
/// It acts in your name, and may do what its scopes name, as far as you may. A key may make others only with the scope
/// `keys:manage`, none of which may do more or live longer than itself.
#[utoipa::path(
    post, path = "/auth/api-keys", tag = "accounts", security(("api_key" = ["keys:manage"])), request_body = NewApiKey,
    responses(
        (status = 200, description = "The key, with its secret", body = NewSecret),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn make_key(
    State(app): State<App>,
    client: May<may::ManageKeys>,
    from: Origin,
    Json(new): Json<NewApiKey>,
) -> Result<Body<NewSecret>, ApiError> {
    let NewApiKey {
        name,
        scopes,
        expires_at,
    } = new;
    let wish = Wish {
        name,
        scopes,
        expires_at,
    };
    Ok(Body(keys::make(&app, client.maker(), &from, wish).await?.into()))
}

/// Look at an API key.
#[utoipa::path(
    get, path = "/auth/api-keys/{key_id}", tag = "accounts", security(("api_key" = ["keys:manage"])),
    params(("key_id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The key", body = ApiKey), ApiError)
)]
async fn read_key(
    State(app): State<App>,
    client: May<may::ManageKeys>,
    Path(id): Path<ApiKeyId>,
) -> Result<Body<ApiKey>, ApiError> {
    Ok(Body(keys::read(&app, client.organization, id).await?.into()))
}

/// Revoke an API key.
///
/// It is refused everywhere within 2 seconds, also by a secret that a rotation left working. Repeating it changes
/// nothing.
#[utoipa::path(
    delete, path = "/auth/api-keys/{key_id}", tag = "accounts", security(("api_key" = ["keys:manage"])),
    params(("key_id" = ApiKeyId, Path, description = "The key")),
    responses((status = 200, description = "The key, revoked", body = ApiKey), ApiError)
)]
async fn revoke_key(
    State(app): State<App>,
    client: May<may::ManageKeys>,
    from: Origin,
    Path(id): Path<ApiKeyId>,
) -> Result<Body<ApiKey>, ApiError> {
    let revoked = keys::revoke(&app, client.organization, Some(client.user), &from, id).await?;
    Ok(Body(revoked.into()))
}

/// Give an API key of yours a new secret.
///
/// The old one works for an hour more (a setting), so that whoever uses it can change over in its own time. Id, name,
/// scopes and expiry stay.
#[utoipa::path(
    post, path = "/auth/api-keys/{key_id}/rotate", tag = "accounts", security(("api_key" = ["keys:manage"])),
    params(("key_id" = ApiKeyId, Path, description = "The key")),
    responses(
        (status = 200, description = "The key, with its new secret", body = NewSecret),
        (status = 409, description = "conflict"),
        ApiError
    )
)]
async fn rotate_key(
    State(app): State<App>,
    client: May<may::ManageKeys>,
    from: Origin,
    Path(id): Path<ApiKeyId>,
) -> Result<Body<NewSecret>, ApiError> {
    Ok(Body(keys::rotate(&app, client.maker(), &from, id).await?.into()))
}

/// What the original's clients send; what else they send is ignored.
#[derive(Debug, Deserialize, ToSchema)]
struct Generate {
    /// Your own address.
    email: String,
}

#[derive(Serialize, ToSchema)]
struct Generated {
    success: bool,
    /// Shown once; keep it.
    api_key: String,
    role: Role,
    message: &'static str,
}

/// Make another API key for yourself, as the original's clients ask for it.
///
/// Unlike there, the address alone gives nobody a key: your credentials must come along, with the permission to manage
/// keys. Keys that you have go on working. `POST /api/v1/auth/api-keys` does the same, with scopes and expiry.
#[utoipa::path(
    post, path = "/auth/generate-api-key", tag = "accounts", security(("api_key" = ["keys:manage"])), request_body = Generate,
    responses(
        (status = 200, description = "The new key", body = Generated),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn generate_api_key(
    State(app): State<App>,
    Generator(client): Generator,
    from: Origin,
    Json(Generate { email }): Json<Generate>,
) -> Result<Body<Generated>, ApiError> {
    let (made, role) = keys::make_for(&app, client.maker(), &from, &email).await?;
    Ok(Body(Generated {
        success: true,
        api_key: made.secret.reveal().to_owned(),
        role,
        message: "Keep this key: it is not shown again. The keys that you have go on working.",
    }))
}

/// The key in the query, for clients that cannot send a header.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InQuery {
    /// The key, for clients that send it here; in a header it is safer.
    api_key: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Verified {
    valid: bool,
    user_id: UserId,
    organization_id: OrganizationId,
    /// What its maker is on the platform.
    role: Role,
    /// As its maker named it.
    name: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    expires_at: Option<DateTime<Utc>>,
    message: &'static str,
}

/// Check the API key that is sent along.
#[utoipa::path(
    get, path = "/auth/verify-api-key", tag = "accounts", security(("api_key" = [])), params(InQuery),
    responses((status = 200, description = "Whose key it is, and what it may do", body = Verified), ApiError)
)]
async fn verify_api_key(Presented(key, client): Presented) -> Body<Verified> {
    Body(Verified {
        valid: true,
        user_id: key.user,
        organization_id: key.organization,
        role: key.role,
        name: key.name.clone(),
        scopes: client.grant.names(),
        expires_at: key.expires_at,
        message: "This key works.",
    })
}

/// A key that works, in a header or in the query.
struct Presented(Arc<Key>, Client);

impl FromRequestParts<App> for Presented {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(InQuery { api_key }) = Query::from_request_parts(parts, app).await?;
        let key = match &api_key {
            Some(key) => key,
            None => presented(parts)?,
        };
        let key = keys::authenticate(app, key).await?;
        let client = Client::with_key(parts, app, &key).await?;
        Ok(Self(key, client))
    }
}

/// Somebody who may make keys; others are told what has changed since the original.
struct Generator(Client);

impl FromRequestParts<App> for Generator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match May::<may::ManageKeys>::from_request_parts(parts, app).await {
            Ok(client) => Ok(Self(*client)),
            Err(error) if error.status() == StatusCode::UNAUTHORIZED => Err(Error::Unauthenticated(
                "an e-mail address alone gives nobody a key; send your credentials along, here or to POST \
                 /api/v1/auth/api-keys"
                    .into(),
            )
            .into()),
            Err(error) => Err(error),
        }
    }
}
