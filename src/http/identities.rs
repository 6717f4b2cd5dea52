//! `/api/v1/auth/identities`: logins at other issuers (OIDC) that are linked to a user.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Json, Path},
    principal::SignedIn,
    problem::ApiError,
    sessions::{DONE, Done},
};
use crate::{
    app::App,
    domain::IdentityId,
    services::{identities, security::Origin},
    store::identities::Identity,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_identities, link_identity))
        .routes(routes!(unlink_identity))
}

/// A login at another issuer that is linked to you.
#[derive(Serialize, ToSchema)]
struct LinkedIdentity {
    identity_id: IdentityId,
    /// What this server calls the issuer; nothing when its tokens are not taken any more.
    issuer_name: Option<String>,
    /// As tokens have it (`iss`).
    issuer: String,
    /// Who you are there (`sub`).
    subject: String,
    /// The address that it had when it was linked.
    email: Option<String>,
    created_at: DateTime<Utc>,
    /// When the newest token that you sent here was issued.
    newest_token_at: Option<DateTime<Utc>>,
}

impl LinkedIdentity {
    fn of(app: &App, identity: Identity) -> Self {
        let Identity {
            identity_id,
            issuer,
            subject,
            email,
            created_at,
            newest_token,
        } = identity;
        let known = app.issuers.all().iter().find(|one| one.settings.issuer == issuer);
        Self {
            identity_id,
            issuer_name: known.map(|known| known.settings.name.clone()),
            issuer,
            subject,
            email,
            created_at,
            newest_token_at: newest_token,
        }
    }
}

/// An issuer whose tokens are taken here.
#[derive(Serialize, ToSchema)]
struct TakenIssuer {
    name: String,
    issuer: String,
    /// For whom its tokens must be issued (`aud`), one of these.
    audience: Vec<String>,
    /// Whether who is new gets an account by sending a token.
    creates_accounts: bool,
}

#[derive(Serialize, ToSchema)]
struct Identities {
    count: usize,
    identities: Vec<LinkedIdentity>,
    /// The issuers whose tokens are taken.
    issuers: Vec<TakenIssuer>,
}

/// List your logins at other issuers, and the issuers whose tokens are taken here.
#[utoipa::path(
    get, path = "/auth/identities", tag = "accounts", security(("session" = [])),
    responses((status = 200, description = "Those that are linked to you, the oldest first", body = Identities), ApiError)
)]
async fn list_identities(State(app): State<App>, who: SignedIn) -> Result<Body<Identities>, ApiError> {
    let found = identities::list(&app, who.client.user).await?;
    let identities: Vec<LinkedIdentity> = found
        .into_iter()
        .map(|identity| LinkedIdentity::of(&app, identity))
        .collect();
    let issuers = app.issuers.all().iter().map(|one| TakenIssuer {
        name: one.settings.name.clone(),
        issuer: one.settings.issuer.clone(),
        audience: one.settings.audience.clone(),
        creates_accounts: one.settings.create_accounts,
    });
    Ok(Body(Identities {
        count: identities.len(),
        identities,
        issuers: issuers.collect(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Linking {
    /// A token of the issuer, issued for this server.
    token: String,
}

impl std::fmt::Debug for Linking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linking").finish_non_exhaustive()
    }
}

/// Link a login at another issuer: from then on its tokens, as `Authorization: Bearer`, act as yours.
///
/// You log in here with your password for that. An equal e-mail address links nothing.
#[utoipa::path(
    post, path = "/auth/identities", tag = "accounts", security(("session" = [])),
    responses(
        (status = 200, description = "It is linked", body = LinkedIdentity),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn link_identity(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Json(Linking { token }): Json<Linking>,
) -> Result<Body<LinkedIdentity>, ApiError> {
    let linked = identities::link(&app, &from, who.login(), &token).await?;
    Ok(Body(LinkedIdentity::of(&app, linked)))
}

/// Unlink a login at another issuer; its tokens end at once.
#[utoipa::path(
    delete, path = "/auth/identities/{identity_id}", tag = "accounts", security(("session" = [])),
    params(("identity_id" = IdentityId, Path)),
    responses(
        (status = 200, description = "It is unlinked", body = Done),
        (status = 409, description = "conflict"),
        ApiError
    )
)]
async fn unlink_identity(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Path(id): Path<IdentityId>,
) -> Result<Body<Done>, ApiError> {
    identities::unlink(&app, &from, who.client.user, id).await?;
    Ok(DONE)
}
