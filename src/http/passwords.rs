//! `/api/v1/auth`: passwords and the links that come by mail.
use axum::{Json as Body, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::Json,
    principal::SignedIn,
    problem::ApiError,
    sessions::{DONE, Done},
};
use crate::{
    app::App,
    services::{passwords, security::Origin},
    store::mails::Purpose,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(change_password))
        .routes(routes!(request_password_reset))
        .routes(routes!(confirm_password_reset))
        .routes(routes!(request_email_verification))
        .routes(routes!(confirm_email))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    current_password: String,
    /// 8 to 256 characters.
    password: String,
}

/// Choose another password; your other sessions end. API keys go on.
#[utoipa::path(
    post, path = "/auth/password", tag = "accounts", security(("session" = [])),
    responses(
        (status = 200, description = "It is changed", body = Done),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn change_password(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Json(change): Json<Change>,
) -> Result<Body<Done>, ApiError> {
    let Change {
        current_password,
        password,
    } = change;
    passwords::change(&app, &from, who.login(), &current_password, &password).await?;
    Ok(DONE)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    email: String,
}

/// Have a link mailed to you that lets you choose another password.
///
/// The answer is the same whether anybody has the address. Without mail on this server it is 503.
#[utoipa::path(
    post, path = "/auth/password-reset/request", tag = "accounts",
    responses(
        (status = 200, description = "If somebody has this address, a mail goes there", body = Done),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn request_password_reset(
    State(app): State<App>,
    from: Origin,
    Json(Address { email }): Json<Address>,
) -> Result<Body<Done>, ApiError> {
    passwords::request_mail(&app, &from, Purpose::ResetPassword, &email).await?;
    Ok(DONE)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// From the link.
    token: String,
    /// 8 to 256 characters.
    password: String,
}

/// Choose another password, with the token from the mail. All your sessions end; API keys go on.
#[utoipa::path(
    post, path = "/auth/password-reset/confirm", tag = "accounts",
    responses(
        (status = 200, description = "It is changed", body = Done),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn confirm_password_reset(
    State(app): State<App>,
    from: Origin,
    Json(Reset { token, password }): Json<Reset>,
) -> Result<Body<Done>, ApiError> {
    passwords::reset(&app, &from, &token, &password).await?;
    Ok(DONE)
}

/// Have a link mailed to you that confirms your address.
///
/// The answer is the same whether anybody has the address. Without mail on this server it is 503.
#[utoipa::path(
    post, path = "/auth/verify-email/request", tag = "accounts",
    responses(
        (status = 200, description = "If somebody has this address and has yet to confirm it, a mail goes there", body = Done),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn request_email_verification(
    State(app): State<App>,
    from: Origin,
    Json(Address { email }): Json<Address>,
) -> Result<Body<Done>, ApiError> {
    passwords::request_mail(&app, &from, Purpose::VerifyEmail, &email).await?;
    Ok(DONE)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    /// From the link.
    token: String,
}

/// Confirm your e-mail address, with the token from the mail.
#[utoipa::path(
    post, path = "/auth/verify-email/confirm", tag = "accounts",
    responses(
        (status = 200, description = "It is confirmed", body = Done),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn confirm_email(
    State(app): State<App>,
    from: Origin,
    Json(Confirm { token }): Json<Confirm>,
) -> Result<Body<Done>, ApiError> {
    passwords::verify_email(&app, &from, &token).await?;
    Ok(DONE)
}
