//! Sessions: a login, the tokens that come of it, and its end.
//!
//! A refresh token counts once. Sent again it ends its session, since then two have it, and nobody can tell which of them
//! is the user; unless its successor was not used yet and the first time was a moment ago: then the answer was lost.
use crate::{
    app::App,
    domain::{OrganizationId, SessionId, UserId},
    error::{Error, Result},
    services::{
        accounts::normalize,
        lockout::{self, Subject, seconds},
        passwords,
        secrets::{self, Secret},
        security::{Happened, Origin, What},
        standing,
        tokens::{self, Access},
    },
    store::{
        self,
        memberships::Membership,
        sessions::{NewSession, Presented, Session},
        users::Account,
    },
};

/// Refresh tokens start with this.
const REFRESH: &str = "violet_refresh_";
const LONGEST_AGENT: usize = 200;

/// The tokens of a session, and whose they are.
#[derive(Debug)]
pub struct Opened {
    /// Sent with each request.
    pub access: Secret,
    /// How long that works, in seconds.
    pub expires_in: u64,
    /// Exchanged for the next ones.
    pub refresh: Secret,
    /// Who logged in.
    pub account: Account,
    /// For whom it acts.
    pub organization: Membership,
}

/// Who wants to log in.
pub struct Credentials<'a> {
    /// The account.
    pub email: &'a str,
    /// In clear.
    pub password: &'a str,
    /// For which organisation; the personal one unless it is said.
    pub slug: Option<&'a str>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Opens a session.
///
/// # Errors
/// 401 for a wrong address or password, the same for both; 403 for an organisation that is not the user's, or an address
/// that has yet to be verified; 429 after too many failures.
pub async fn login(app: &App, from: &Origin, credentials: Credentials<'_>) -> Result<Opened> {
    let Credentials {
        email,
        password,
        slug,
    } = credentials;
    let email = normalize(email)?;
    let account_subject = Subject::account(app, &email);
    let address_subject = Subject::address(app, from.address);
    let counted = lockout::count(app, &[&account_subject, &address_subject]).await?;
    let account = store::users::by_email(&app.db, &email).await?;
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let concerned = account.as_ref().map(|account| account.organization_id);
    let right = passwords::matches(app, stored, password.to_owned()).await?;
    let Some(account) = account.filter(|_| right) else {
        let whats = [Some(What::Login), counted.locks.then_some(What::LoginLocked)];
        for what in whats.into_iter().flatten() {
            let happened = Happened::refused(what, from).to(&email);
            let happened = match concerned {
                Some(organization) => happened.of(organization),
                None => happened,
            };
            happened.note(app, &app.db).await?;
        }
        return Err(Error::Unauthenticated(
            "e-mail address or password is wrong".into(),
        ));
    };
    if app.config.accounts.require_verified_email && account.email_verified_at.is_none() {
        return Err(standing::unverified());
    }
    let is_dated = account
        .password_hash
        .as_ref()
        .is_some_and(|stored| passwords::is_dated(app, stored));
    let rehashed = if is_dated {
        Some(passwords::hash(app, password.to_owned()).await?)
    } else {
        None
    };
    let mut tx = app.db.begin().await?;
    lockout::forgive(app, &mut tx, &account_subject, &address_subject).await?;
    if let Some(rehashed) = rehashed {
        store::users::set_password(&mut *tx, account.user_id, &rehashed).await?;
    }
    let mut organizations = store::memberships::list(&mut *tx, account.user_id).await?;
    let wanted = organizations.iter().position(|organization| match slug {
        Some(slug) => organization.slug == slug,
        None => organization.organization_id == account.organization_id,
    });
    let organization = wanted
        .map(|at| organizations.swap_remove(at))
        .ok_or_else(|| Error::Forbidden("you are no member of an organisation with this name".into()))?;
    let session = begin(app, &mut tx, from, account.user_id, organization.organization_id).await?;
    let refresh = Secret::random(REFRESH)?;
    store::sessions::insert_token(&mut *tx, session, refresh.hash(), app.clock.now()).await?;
    Happened::new(What::Login, from)
        .by(account.user_id)
        .of(organization.organization_id)
        .to(session)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    opened(app, session, refresh, account, organization).await
}

/// A new session of a user, still without tokens; others end when there are too many.
pub(super) async fn begin(
    app: &App,
    db: &mut sqlx::PgConnection,
    from: &Origin,
    user: UserId,
    organization: OrganizationId,
) -> Result<SessionId> {
    let settings = &app.config.accounts;
    let now = app.clock.now();
    let session = SessionId::new();
    let user_agent: String = from.user_agent.chars().take(LONGEST_AGENT).collect();
    store::sessions::insert(
        &mut *db,
        &NewSession {
            id: session,
            user,
            organization,
            at: now,
            expires_at: now + seconds(settings.refresh_seconds),
            address: &from.address.to_string(),
            user_agent: &user_agent,
        },
    )
    .await?;
    store::sessions::end_surplus(&mut *db, user, settings.sessions, now).await?;
    Ok(session)
}

async fn opened(
    app: &App,
    session: SessionId,
    refresh: Secret,
    account: Account,
    organization: Membership,
) -> Result<Opened> {
    let access = Access {
        user: account.user_id,
        session,
        organization: organization.organization_id,
    };
    Ok(Opened {
        access: tokens::sign(app, access).await?,
        expires_in: app.config.accounts.access_seconds,
        refresh,
        account,
        organization,
    })
}

/// Exchanges a refresh token for the next one and an access token.
///
/// # Errors
/// 401 for a token that does not count; if it was used before, its session has ended now.
pub async fn refresh(app: &App, from: &Origin, token: &str) -> Result<Opened> {
    let refused = || {
        Error::Unauthenticated(
            "this refresh token is not valid, or its session has ended; log in at /api/v1/auth/login".into(),
        )
    };
    let hash = secrets::hash_of_form(REFRESH, token).ok_or_else(refused)?;
    let now = app.clock.now();
    let settings = &app.config.accounts;
    let mut tx = app.db.begin().await?;
    let presented = store::sessions::lock_presented(&mut tx, hash)
        .await?
        .filter(|presented| presented.ended_at.is_none() && presented.expires_at > now)
        .ok_or_else(refused)?;
    let Presented {
        session_id,
        user_id,
        used_at,
        successor,
        ..
    } = presented;
    let next = Secret::random(REFRESH)?;
    if let Some(used_at) = used_at {
        let unused = match &successor {
            Some(successor) => store::sessions::is_unused(&mut *tx, successor).await?,
            None => false,
        };
        // Without grace there is none, however clocks of replicas differ.
        let grace = settings.refresh_grace_seconds;
        let again = grace > 0 && now - used_at <= seconds(grace);
        if !(unused && again) {
            store::sessions::end(&mut *tx, user_id, session_id, now).await?;
            Happened::refused(What::RefreshReused, from)
                .by(user_id)
                .of(presented.organization_id)
                .to(session_id)
                .note(app, &mut *tx)
                .await?;
            tx.commit().await?;
            app.standings.forget();
            return Err(refused());
        }
        // The answer with it was lost, or is somebody else's: it shall not count beside the new one.
        if let Some(successor) = &successor {
            store::sessions::exchange(&mut *tx, successor, next.hash(), now).await?;
        }
    }
    store::sessions::exchange(&mut *tx, &hash, next.hash(), now).await?;
    store::sessions::insert_token(&mut *tx, session_id, next.hash(), now).await?;
    let account = store::users::by_id(&mut *tx, user_id)
        .await?
        .ok_or_else(refused)?;
    let organizations = store::memberships::list(&mut *tx, user_id).await?;
    // Who was taken out of an organisation goes on in its own.
    let organization = [presented.organization_id, account.organization_id]
        .iter()
        .find_map(|wanted| organizations.iter().find(|one| one.organization_id == *wanted))
        .cloned()
        .ok_or_else(refused)?;
    let expires_at = now + seconds(settings.refresh_seconds);
    store::sessions::extend(
        &mut *tx,
        session_id,
        organization.organization_id,
        now,
        expires_at,
    )
    .await?;
    tx.commit().await?;
    opened(app, session_id, next, account, organization).await
}

/// Lets a session act for another organisation of its user, and gives the access token for that.
///
/// # Errors
/// 404 when it is none of the user's.
pub async fn switch(
    app: &App,
    from: &Origin,
    (user, session): (UserId, SessionId),
    chosen: impl Fn(&Membership) -> bool,
) -> Result<(Secret, Membership)> {
    let mut tx = app.db.begin().await?;
    let organizations = store::memberships::list(&mut *tx, user).await?;
    let organization = organizations
        .into_iter()
        .find(chosen)
        .ok_or(Error::NotFound { what: "organisation" })?;
    store::sessions::switch(&mut *tx, session, organization.organization_id).await?;
    Happened::new(What::OrganizationSwitched, from)
        .by(user)
        .of(organization.organization_id)
        .to(session)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    // Tokens of other issuers say nothing of organisations: they act for the session's.
    app.standings.forget();
    let access = Access {
        user,
        session,
        organization: organization.organization_id,
    };
    Ok((tokens::sign(app, access).await?, organization))
}

/// Ends the session that asks.
///
/// # Errors
/// When the database does not answer.
pub async fn logout(app: &App, from: &Origin, (user, session): (UserId, SessionId)) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::sessions::end(&mut *tx, user, session, app.clock.now()).await?;
    Happened::new(What::Logout, from)
        .by(user)
        .to(session)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(())
}

/// Ends all sessions of a user; tells how many there were.
///
/// # Errors
/// When the database does not answer.
pub async fn logout_everywhere(app: &App, from: &Origin, user: UserId) -> Result<u64> {
    let mut tx = app.db.begin().await?;
    let ended = store::sessions::end_all(&mut *tx, user, None, app.clock.now()).await?;
    Happened::new(What::SessionsEnded, from)
        .by(user)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(ended)
}

/// Ends one session of a user.
///
/// # Errors
/// 404 when it is none of the user's, or has ended.
pub async fn end(app: &App, from: &Origin, user: UserId, session: SessionId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if !store::sessions::end(&mut *tx, user, session, app.clock.now()).await? {
        return Err(Error::NotFound { what: "session" });
    }
    Happened::new(What::SessionEnded, from)
        .by(user)
        .to(session)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(())
}

/// The sessions of a user that go on, the last used first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>> {
    Ok(store::sessions::list(&app.db, user, app.clock.now()).await?)
}

/// A user, with its organisations.
///
/// # Errors
/// 401 when the account was closed a moment ago.
pub async fn me(app: &App, user: UserId) -> Result<(Account, Vec<Membership>)> {
    let account = store::users::by_id(&app.db, user)
        .await?
        .ok_or_else(|| Error::Unauthenticated("this account is closed".into()))?;
    Ok((account, store::memberships::list(&app.db, user).await?))
}

/// Forgets sessions, tokens and failures that nobody can use any more.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(app: &App) -> Result<()> {
    // Its refresh tokens are kept for as long: who sends one then is told that the session has ended.
    let now = app.clock.now();
    let before = now - seconds(app.config.accounts.refresh_seconds);
    store::sessions::delete_before(&app.db, before).await?;
    store::mails::delete_tokens_before(&app.db, before).await?;
    let forgotten = now - seconds(app.config.accounts.forget_failures_seconds);
    store::login_attempts::delete_before(&app.db, forgotten).await?;
    Ok(())
}
