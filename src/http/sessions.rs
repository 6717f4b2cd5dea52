//! `/api/v1/auth`: logins, their tokens and their end.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{FewFields, Json, Path},
    principal::{Client, SignedIn},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{OrganizationId, SessionId, UserId, access::OrganizationRole},
    error::Error,
    services::{
        security::Origin,
        sessions::{self, Credentials, Opened},
    },
    store::{accounts::Role, memberships::Membership, sessions::Session, users::Account},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(issue_token))
        .routes(routes!(refresh_token))
        .routes(routes!(switch_organization))
        .routes(routes!(logout))
        .routes(routes!(logout_everywhere))
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
        .routes(routes!(read_me))
}

/// What a login takes, as JSON or as a form. `username` is another name of `email`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes fields that are read by name")]
struct Login {
    email: String,
    password: String,
    /// The short name of the organisation to act for; without it your own. `org_slug` is another name of it.
    #[schema(rename = "orgSlug")]
    org_slug: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    success: bool,
    /// Send it as `Authorization: Bearer`, until it is over.
    access_token: String,
    /// `bearer`
    token_type: &'static str,
    /// Seconds that the access token works.
    expires_in: u64,
    /// Exchange it for the next pair at `/auth/token/refresh`; it works once.
    refresh_token: String,
    user: User,
    organization: Organization,
    user_id: UserId,
    email: String,
    role: Role,
    message: &'static str,
}

impl From<Opened> for Tokens {
    fn from(opened: Opened) -> Self {
        let Opened {
            access,
            expires_in,
            refresh,
            account,
            organization,
        } = opened;
        Self {
            success: true,
            access_token: access.reveal().to_owned(),
            token_type: "bearer",
            expires_in,
            refresh_token: refresh.reveal().to_owned(),
            user_id: account.user_id,
            email: account.email.clone(),
            role: account.role,
            user: account.into(),
            organization: organization.into(),
            message: "Logged in. API keys are made at /api/v1/auth/api-keys.",
        }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    user_id: UserId,
    email: String,
    full_name: Option<String>,
    /// On the platform.
    role: Role,
    is_active: bool,
    /// Whether mail to the address was shown to arrive.
    email_verified: bool,
    created_at: DateTime<Utc>,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self {
            user_id: account.user_id,
            email: account.email,
            full_name: account.full_name,
            role: account.role,
            is_active: true,
            email_verified: account.email_verified_at.is_some(),
            created_at: account.created_at,
        }
    }
}

/// An organisation, with your role in it.
#[derive(Serialize, ToSchema)]
pub(super) struct Organization {
    organization_id: OrganizationId,
    name: String,
    slug: String,
    /// Your own, which nobody else joins.
    personal: bool,
    role: OrganizationRole,
    created_at: DateTime<Utc>,
}

impl From<Membership> for Organization {
    fn from(membership: Membership) -> Self {
        let Membership {
            organization_id,
            name,
            slug,
            personal,
            role,
            created_at,
        } = membership;
        Self {
            organization_id,
            name,
            slug,
            personal,
            role,
            created_at,
        }
    }
}

async fn log_in(app: &App, from: &Origin, FewFields(mut fields): FewFields) -> Result<Tokens, ApiError> {
    let mut either = |one, other| match fields.optional(one) {
        Ok(None) => fields.optional(other),
        found => found,
    };
    let email = either("email", "username")?.ok_or_else(|| Error::invalid("email", "is required"))?;
    let slug = either("orgSlug", "org_slug")?;
    let password = fields.optional("password")?.ok_or_else(|| {
        Error::invalid(
            "password",
            "is required; an address alone gives no key and no session to anybody",
        )
    })?;
    let credentials = Credentials {
        email: &email,
        password: &password,
        slug: slug.as_deref(),
    };
    Ok(sessions::login(app, from, credentials).await?.into())
}

/// Log in with e-mail address and password.
///
/// Too many failures hold back the account and the caller's address for a while, whether the account exists or not.
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts",
    request_body(content((Login = "application/json"), (Login = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The tokens of a new session", body = Tokens),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn login(State(app): State<App>, from: Origin, fields: FewFields) -> Result<Body<Tokens>, ApiError> {
    log_in(&app, &from, fields).await.map(Body)
}

/// Log in: another name of `/auth/login`.
#[utoipa::path(
    post, path = "/auth/token", tag = "accounts",
    request_body(content((Login = "application/json"), (Login = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The tokens of a new session", body = Tokens),
        (status = 401, description = "unauthenticated"),
        (status = 403, description = "forbidden"),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn issue_token(
    State(app): State<App>,
    from: Origin,
    fields: FewFields,
) -> Result<Body<Tokens>, ApiError> {
    log_in(&app, &from, fields).await.map(Body)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: String,
}

/// Exchange a refresh token for a new pair of tokens.
///
/// It works once. Sent again later, it ends the session: then two have it. Within a few seconds it may be sent again, in
/// case the answer was lost, as long as the new pair was not used; send one request at a time.
#[utoipa::path(
    post, path = "/auth/token/refresh", tag = "accounts",
    responses(
        (status = 200, description = "The next tokens", body = Tokens),
        (status = 401, description = "unauthenticated"),
        ApiError
    )
)]
async fn refresh_token(
    State(app): State<App>,
    from: Origin,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<Body<Tokens>, ApiError> {
    Ok(Body(sessions::refresh(&app, &from, &refresh_token).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Switch {
    organization_id: OrganizationId,
}

#[derive(Serialize, ToSchema)]
struct Switched {
    /// Acts for the other organisation; the one before still acts for the one before.
    access_token: String,
    /// `bearer`
    token_type: &'static str,
    expires_in: u64,
    organization: Organization,
}

/// Act for another of your organisations.
///
/// The session keeps it: refreshed tokens act for it too. If you are taken out of it, they act for your own again.
#[utoipa::path(
    post, path = "/auth/switch", tag = "accounts", security(("session" = [])),
    responses(
        (status = 200, description = "An access token that acts for it", body = Switched),
        (status = 404, description = "not-found"),
        ApiError
    )
)]
async fn switch_organization(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Json(Switch { organization_id }): Json<Switch>,
) -> Result<Body<Switched>, ApiError> {
    let chosen = |one: &Membership| one.organization_id == organization_id;
    let (access, organization) = sessions::switch(&app, &from, who.login(), chosen).await?;
    Ok(Body(Switched {
        access_token: access.reveal().to_owned(),
        token_type: "bearer",
        expires_in: app.config.accounts.access_seconds,
        organization: organization.into(),
    }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    success: bool,
}

pub(super) const DONE: Body<Done> = Body(Done { success: true });

/// Log out: this session ends, with all its tokens.
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts", security(("session" = [])),
    responses((status = 200, description = "It has ended", body = Done), ApiError)
)]
async fn logout(State(app): State<App>, from: Origin, who: SignedIn) -> Result<Body<Done>, ApiError> {
    sessions::logout(&app, &from, who.login()).await?;
    Ok(DONE)
}

#[derive(Serialize, ToSchema)]
struct Ended {
    success: bool,
    /// How many sessions there were.
    ended: u64,
}

/// Log out everywhere: all your sessions end.
#[utoipa::path(
    post, path = "/auth/logout/all", tag = "accounts", security(("session" = [])),
    responses((status = 200, description = "They have ended", body = Ended), ApiError)
)]
async fn logout_everywhere(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
) -> Result<Body<Ended>, ApiError> {
    let ended = sessions::logout_everywhere(&app, &from, who.client.user).await?;
    Ok(Body(Ended { success: true, ended }))
}

/// One of your sessions.
#[derive(Serialize, ToSchema)]
struct OpenSession {
    session_id: SessionId,
    organization_id: OrganizationId,
    created_at: DateTime<Utc>,
    /// When it was opened or refreshed last.
    last_used_at: DateTime<Utc>,
    /// When it ends unless it is refreshed.
    expires_at: DateTime<Utc>,
    /// From where it was opened.
    address: String,
    /// With what it was opened.
    user_agent: String,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    count: usize,
    sessions: Vec<OpenSession>,
}

/// List your sessions, the last used first.
#[utoipa::path(
    get, path = "/auth/sessions", tag = "accounts", security(("session" = [])),
    responses((status = 200, description = "Those that go on", body = Sessions), ApiError)
)]
async fn list_sessions(State(app): State<App>, who: SignedIn) -> Result<Body<Sessions>, ApiError> {
    let found = sessions::list(&app, who.client.user).await?;
    let sessions: Vec<OpenSession> = found
        .into_iter()
        .map(|session| {
            let Session {
                session_id,
                organization_id,
                created_at,
                last_used_at,
                expires_at,
                address,
                user_agent,
            } = session;
            OpenSession {
                session_id,
                organization_id,
                created_at,
                last_used_at,
                expires_at,
                address,
                user_agent,
                current: session_id == who.session,
            }
        })
        .collect();
    Ok(Body(Sessions {
        count: sessions.len(),
        sessions,
    }))
}

/// End one of your sessions.
#[utoipa::path(
    delete, path = "/auth/sessions/{session_id}", tag = "accounts", security(("session" = [])),
    params(("session_id" = SessionId, Path)),
    responses((status = 200, description = "It has ended", body = Done), ApiError)
)]
async fn end_session(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Path(id): Path<SessionId>,
) -> Result<Body<Done>, ApiError> {
    sessions::end(&app, &from, who.client.user, id).await?;
    Ok(DONE)
}

#[derive(Serialize, ToSchema)]
struct Me {
    #[serde(flatten)]
    user: User,
    /// The one that these credentials act for.
    organization_id: OrganizationId,
    /// All that you are a member of.
    organizations: Vec<Organization>,
}

/// Read who you are, and where you are a member.
#[utoipa::path(
    get, path = "/auth/me", tag = "accounts", security(("api_key" = [])),
    responses((status = 200, description = "You", body = Me), ApiError)
)]
async fn read_me(State(app): State<App>, client: Client) -> Result<Body<Me>, ApiError> {
    let (account, organizations) = sessions::me(&app, client.user).await?;
    Ok(Body(Me {
        user: account.into(),
        organization_id: client.organization,
        organizations: organizations.into_iter().map(Into::into).collect(),
    }))
}
