//! `/api/v1/auth`
use axum::{Json as Body, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{extract::Json, problem::ApiError};
use crate::{
    app::App,
    domain::UserId,
    services::{
        accounts::{self, Registration},
        security::Origin,
    },
    store::accounts::Role,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register_user))
}

#[derive(Deserialize, ToSchema)]
struct Register {
    /// An e-mail address; it names the account.
    email: String,
    /// 8 to 256 characters.
    password: String,
    /// How you want to be called; at most 200 characters.
    full_name: Option<String>,
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").finish_non_exhaustive()
    }
}

#[derive(Serialize, ToSchema)]
struct Registered {
    success: bool,
    user_id: UserId,
    email: String,
    role: Role,
    /// Shown once; keep it. Send it as `X-API-Key`.
    api_key: String,
    message: &'static str,
}

/// Register, and get an API key.
#[utoipa::path(
    post, path = "/auth/register", tag = "accounts",
    responses(
        (status = 200, description = "The account and its first key", body = Registered),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn register_user(
    State(app): State<App>,
    from: Origin,
    Json(new): Json<Register>,
) -> Result<Body<Registered>, ApiError> {
    let Register {
        email,
        password,
        full_name,
    } = new;
    let new = Registration {
        email: &email,
        password: &password,
        full_name: full_name.as_deref(),
        role: Role::Client,
        is_verified: false,
    };
    let registered = accounts::register(&app, &from, new).await?;
    Ok(Body(Registered {
        success: true,
        user_id: registered.user,
        email: registered.email,
        role: Role::Client,
        api_key: registered.key.reveal().to_owned(),
        message: "Keep this key: it is not shown again.",
    }))
}
