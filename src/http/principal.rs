//! Who is asking, as handler arguments: ask for one and the request is authenticated.
use std::{marker::PhantomData, ops::Deref};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request},
    http::{StatusCode, header, request::Parts},
};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use violet_chain::auth::{self, AuthError, Body, Claim};

use super::{
    API_KEY,
    client_address::origin,
    extract::{check_declared_length, whole},
    limiting,
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{
        OrganizationId, SessionId, UserId,
        access::{Grant, Needs, OrganizationRole},
        enrolment::NeuronKind,
    },
    error::Error,
    services::{
        enrolment, identities,
        identity::{self, Caller, Group},
        keys::{self, Key, Maker},
        limiting::Subject,
        oidc,
        organizations::Actor,
        seeing::Sight,
        standing::{self, Standing},
        submitting::Owner,
        tokens,
    },
    store::accounts::Role,
};

/// A user with an API key or an access token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) user: UserId,
    /// On whose behalf.
    pub(crate) organization: OrganizationId,
    /// As what.
    pub(crate) role: OrganizationRole,
    /// What it may do there.
    pub(crate) grant: Grant,
    /// When the key that it uses stops working.
    pub(crate) until: Option<DateTime<Utc>>,
    /// What it is on the platform.
    platform: Role,
    /// The login behind an access token.
    session: Option<SessionId>,
}

impl Client {
    pub(crate) fn owner(self) -> Owner {
        Owner {
            organization: self.organization,
            user: self.user,
        }
    }

    pub(crate) fn maker(self) -> Maker {
        Maker {
            user: self.user,
            organization: self.organization,
            grant: self.grant,
            until: self.until,
        }
    }

    pub(crate) fn actor(self) -> Actor {
        Actor {
            user: self.user,
            organization: self.organization,
            role: self.role,
        }
    }

    /// Whether it runs the platform, and logged in.
    pub(crate) fn is_administrator(self) -> bool {
        self.platform == Role::Admin && self.session.is_some()
    }

    /// Whoever has this key: it may do what its maker may, as far as its scopes go.
    pub(super) async fn with_key(parts: &Parts, app: &App, key: &Key) -> Result<Self, ApiError> {
        admit_key(parts, app, key).await?;
        let Standing { role, platform } = standing::of_member(app, key.user, key.organization).await?;
        Ok(Self {
            user: key.user,
            organization: key.organization,
            role,
            grant: Grant::of(role).and(key.scope),
            until: key.expires_at,
            platform,
            session: None,
        })
    }

    /// Whoever has this access token, of ours or of another issuer.
    async fn with_token(parts: &Parts, app: &App, token: &str) -> Result<Self, ApiError> {
        let access = match oidc::issuer(app, token) {
            Some(issuer) => identities::log_in(app, &origin(parts, app), issuer, token).await?,
            None => tokens::read(app, token).await?,
        };
        let Standing { role, platform } = standing::of_session(app, access).await?;
        limiting::admit(parts, app, &[Subject::Organization(access.organization)]).await?;
        Ok(Self {
            user: access.user,
            organization: access.organization,
            role,
            grant: Grant::of(role),
            until: None,
            platform,
            session: Some(access.session),
        })
    }
}

/// The bearer token of a request.
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// The key that came with a request.
pub(super) fn presented(parts: &Parts) -> Result<&str, ApiError> {
    let key = parts.headers.get("x-api-key").and_then(|key| key.to_str().ok());
    key.or_else(|| bearer(parts)).ok_or_else(|| {
        Error::Unauthenticated(
            "credentials are required; send an API key as X-API-Key, or an access token as Authorization: Bearer"
                .into(),
        )
        .into()
    })
}

/// Counts a request by this key.
async fn admit_key(parts: &Parts, app: &App, key: &Key) -> Result<(), ApiError> {
    let subjects = [Subject::Key(key.id), Subject::Organization(key.organization)];
    limiting::admit(parts, app, &subjects).await
}

impl FromRequestParts<App> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts).filter(|text| tokens::is_one(text));
        if let Some(token) = token
            && !parts.headers.contains_key("x-api-key")
        {
            return Self::with_token(parts, app, token).await;
        }
        let key = keys::authenticate(app, presented(parts)?).await?;
        Self::with_key(parts, app, &key).await
    }
}

/// A user who logged in: keys do not reach what takes this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedIn {
    pub(crate) client: Client,
    pub(crate) session: SessionId,
}

impl SignedIn {
    /// The user and its login.
    pub(crate) fn login(self) -> (UserId, SessionId) {
        (self.client.user, self.session)
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let client = Client::from_request_parts(parts, app).await?;
        let session = client.session.ok_or_else(|| {
            Error::Forbidden("this needs a login (/api/v1/auth/login); API keys do not do it".into())
        })?;
        Ok(Self { client, session })
    }
}

/// A user who logged in and has the permission `P`: keys never do this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedMay<P>(Client, PhantomData<P>);

impl<P> SignedMay<P> {
    /// Who acts, for whom, as what.
    pub(crate) fn actor(&self) -> Actor {
        self.0.actor()
    }
}

impl<P: Needs> FromRequestParts<App> for SignedMay<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedIn { client, .. } = SignedIn::from_request_parts(parts, app).await?;
        May::<P>::check(client).map(|May(client, _)| Self(client, PhantomData))
    }
}

/// Who runs the platform, and logged in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Administrator;

impl FromRequestParts<App> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedIn { client, .. } = SignedIn::from_request_parts(parts, app).await?;
        match client.platform {
            Role::Admin => Ok(Self),
            Role::Client => Err(Error::Forbidden("this is for administrators of the platform".into()).into()),
        }
    }
}

/// A client that has the permission `P`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct May<P>(Client, PhantomData<P>);

impl<P> Deref for May<P> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl<P: Needs> FromRequestParts<App> for May<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Self::check(Client::from_request_parts(parts, app).await?)
    }
}

impl<P: Needs> May<P> {
    fn check(client: Client) -> Result<Self, ApiError> {
        if client.grant.allows(P::PERMISSION) {
            return Ok(Self(client, PhantomData));
        }
        Err(Error::Forbidden(format!(
            "this needs the permission {}, which your role in the organisation or the scopes of your key leave out",
            P::PERMISSION.name()
        ))
        .into())
    }
}

/// A registered miner that signed a request without a body, or has a key.
#[derive(Clone, Debug)]
pub(crate) struct Miner(pub(crate) Caller);

impl FromRequestParts<App> for Miner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let credential = credential(parts, app, NeuronKind::Miner).await?;
        Ok(Self(credential.admit(parts, app, Body::EMPTY).await?))
    }
}

/// A permitted validator that signed a request without a body, or has a key.
#[derive(Clone, Debug)]
pub(crate) struct Validator(pub(crate) Caller);

impl FromRequestParts<App> for Validator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let credential = credential(parts, app, NeuronKind::Validator).await?;
        let caller = credential.admit(parts, app, Body::EMPTY).await?;
        Ok(Self(permitted(app, caller)?))
    }
}

/// A registered neuron of whatever kind that signed a request without a body with its hotkey.
#[derive(Clone, Debug)]
pub(crate) struct Signer(pub(crate) Caller);

impl FromRequestParts<App> for Signer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let claim = identity::claim(app, Group::Keys, &headers(parts))?;
        let credential = Credential::Signature(Box::new(claim), Group::Keys);
        Ok(Self(credential.admit(parts, app, Body::EMPTY).await?))
    }
}

/// A registered miner and the JSON body that it signed, or sent with a key.
#[derive(Debug)]
pub(crate) struct MinerJson<T>(pub(crate) Caller, pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for MinerJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (caller, body) = authenticated_body(request, app, NeuronKind::Miner).await?;
        Ok(Self(caller, parse(&body)?))
    }
}

/// A permitted validator and the JSON body that it signed, or sent with a key.
#[derive(Debug)]
pub(crate) struct ValidatorJson<T>(pub(crate) Caller, pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for ValidatorJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (caller, body) = authenticated_body(request, app, NeuronKind::Validator).await?;
        let caller = permitted(app, caller)?;
        Ok(Self(caller, parse(&body)?))
    }
}

fn permitted(app: &App, caller: Caller) -> Result<Caller, ApiError> {
    let caller = identity::as_validator(app, caller)?;
    app.sights.note(Sight::Validator(caller.neuron.hotkey));
    Ok(caller)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
        ApiError::malformed(status, format!("JSON body: {error}"))
    })
}

fn headers(parts: &Parts) -> Vec<(&str, &[u8])> {
    parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// What a neuron shows before there is any reason to look at a body.
#[derive(Debug)]
pub(super) enum Credential {
    /// A claim that holds as far as it can be checked without the body.
    Signature(Box<Claim>, Group),
    /// A key that holds.
    Key(Box<Caller>),
}

/// Whether a request claims to be a neuron's by a signature.
pub(super) fn is_signed(parts: &Parts) -> bool {
    Claim::read(&headers(parts)) != Err(AuthError::Missing)
}

/// A registered neuron that signed a request without a body, or has a key of this kind.
pub(super) async fn neuron(parts: &Parts, app: &App, kind: NeuronKind) -> Result<Caller, ApiError> {
    let credential = credential(parts, app, kind).await?;
    credential.admit(parts, app, Body::EMPTY).await
}

pub(super) async fn credential(parts: &Parts, app: &App, kind: NeuronKind) -> Result<Credential, ApiError> {
    let headers = headers(parts);
    let mut keys = parts.headers.get_all(API_KEY).iter();
    let Some(key) = keys.next() else {
        let group = Group::Neuron(kind);
        let claim = identity::claim(app, group, &headers)?;
        return Ok(Credential::Signature(Box::new(claim), group));
    };
    if keys.next().is_some() || Claim::read(&headers) != Err(AuthError::Missing) {
        let text = "send one X-API-Key or a signature, not both";
        return Err(Error::Unauthenticated(text.into()).into());
    }
    let key = key.to_str().unwrap_or_default();
    let (caller, _) = enrolment::authenticate(app, kind, key).await?;
    Ok(Credential::Key(Box::new(caller)))
}

impl Credential {
    /// Who it is, once the credential holds for the request and this body.
    pub(super) async fn admit(self, parts: &Parts, app: &App, body: Body<'_>) -> Result<Caller, ApiError> {
        let (claim, group) = match self {
            Self::Key(caller) => {
                limiting::admit(parts, app, &[Subject::Hotkey(caller.neuron.hotkey)]).await?;
                return Ok(*caller);
            }
            Self::Signature(claim, group) => (claim, group),
        };
        // Nested routers see a shortened path; what was signed is the one on the wire.
        let uri = parts
            .extensions
            .get::<OriginalUri>()
            .map_or(&parts.uri, |original| &original.0);
        let target = uri
            .path_and_query()
            .map_or_else(|| uri.path(), |target| target.as_str());
        let request = auth::Request {
            method: parts.method.as_str(),
            target,
            body,
            purpose: group.purpose(),
        };
        let caller = identity::admit(app, &claim, &request).await?;
        limiting::admit(parts, app, &[Subject::Hotkey(caller.neuron.hotkey)]).await?;
        Ok(caller)
    }
}

async fn authenticated_body(
    request: Request,
    app: &App,
    kind: NeuronKind,
) -> Result<(Caller, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let credential = credential(&parts, app, kind).await?;
    let limit = app.config.identity.signed_body_bytes;
    check_declared_length(&parts.headers, limit)?;
    let body = whole(body, limit).await?;
    let caller = credential.admit(&parts, app, Body::Whole(&body)).await?;
    Ok((caller, body))
}
