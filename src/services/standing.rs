//! Whether whom we know may still act, and as what: asked of the database, and remembered for a second or two.
use std::time::Duration;

use moka::future::Cache;

use crate::{
    app::App,
    domain::{OrganizationId, SessionId, UserId, access::OrganizationRole},
    error::{Error, Result},
    services::{identities::Login, tokens::Access},
    store::{self, accounts::Role, memberships},
};

const LARGEST_CACHE: u64 = 100_000;

/// A member in good standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In the organisation.
    pub role: OrganizationRole,
    /// On the platform.
    pub platform: Role,
}

/// Good standings that were looked up lately. The others are looked up each time.
#[derive(Debug)]
pub struct Standings {
    members: Cache<(Option<SessionId>, UserId, OrganizationId), Standing>,
    /// Logins at other issuers, by issuer and subject.
    pub(super) logins: Cache<(String, String), Login>,
}

impl Standings {
    /// Remembers each for at most `life`.
    pub fn new(life: Duration) -> Self {
        Self {
            members: Cache::builder()
                .max_capacity(LARGEST_CACHE)
                .time_to_live(life)
                .build(),
            logins: Cache::builder()
                .max_capacity(LARGEST_CACHE)
                .time_to_live(life)
                .build(),
        }
    }

    /// Forgets them all: something changed here.
    pub fn forget(&self) {
        self.members.invalidate_all();
        self.logins.invalidate_all();
    }
}

/// The standing of whoever has this access token.
///
/// # Errors
/// 401 when session, account or membership have ended.
pub async fn of_session(app: &App, access: Access) -> Result<Standing> {
    let Access {
        user,
        session,
        organization,
    } = access;
    let key = (Some(session), user, organization);
    if let Some(standing) = app.standings.members.get(&key).await {
        return Ok(standing);
    }
    let found = store::memberships::of_session(&app.db, session, user, organization, app.clock.now()).await?;
    let found = found.ok_or_else(|| {
        Error::Unauthenticated("this session has ended; log in at /api/v1/auth/login".into())
    })?;
    let standing = good(app, found)?;
    app.standings.members.insert(key, standing).await;
    Ok(standing)
}

/// The standing of somebody who acts for an organisation with a key.
///
/// # Errors
/// 401 when account or membership have ended.
pub async fn of_member(app: &App, user: UserId, organization: OrganizationId) -> Result<Standing> {
    let key = (None, user, organization);
    if let Some(standing) = app.standings.members.get(&key).await {
        return Ok(standing);
    }
    let found = store::memberships::of_user(&app.db, user, organization).await?;
    let found =
        found.ok_or_else(|| Error::Unauthenticated("the account of this key's maker is closed".into()))?;
    let standing = good(app, found)?;
    app.standings.members.insert(key, standing).await;
    Ok(standing)
}

fn good(app: &App, found: memberships::Standing) -> Result<Standing> {
    let memberships::Standing {
        platform,
        role,
        is_verified,
    } = found;
    if app.config.accounts.require_verified_email && !is_verified {
        return Err(unverified());
    }
    let role = role.ok_or_else(|| {
        Error::Unauthenticated(
            "these credentials act for an organisation that their user is no member of any more; \
             refresh the session"
                .into(),
        )
    })?;
    Ok(Standing { role, platform })
}

pub(crate) fn unverified() -> Error {
    Error::Forbidden(
        "this e-mail address is not verified yet; the link in the mail does that, and \
         /api/v1/auth/verify-email/request sends another"
            .into(),
    )
}
