//! Logins at other issuers: whose they are, what sessions their tokens act in, and how they are linked and unlinked.
//!
//! An identity has one session at a time. It ends like any other, and then every token ends that was issued before;
//! a newer one begins the next session. So whatever ends sessions ends these tokens too.
use chrono::{DateTime, Utc};

use crate::{
    app::App,
    domain::{IdentityId, OrganizationId, SessionId, UserId, oidc::Known},
    error::{Error, OnConstraint as _, Result},
    services::{
        accounts::normalize,
        lockout::seconds,
        mailing,
        oidc::{self, Issuer},
        security::{Happened, Origin, What},
        sessions,
        tokens::Access,
    },
    store::{
        self,
        accounts::{NewUser, Role},
        identities::{Found, Identity, NewIdentity},
        mails::Purpose,
    },
};

/// Identities of one user.
const MOST: usize = 20;

/// What the tokens of an identity do, as it was looked up lately.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    access: Access,
    /// Tokens count that were issued after this,
    after: Option<DateTime<Utc>>,
    /// and up to this they were seen.
    newest: DateTime<Utc>,
}

/// What a token of an identity leads to.
enum Way {
    /// It acts in the session that there is.
    In(Login),
    /// It would, once something is written: it is new, or its session must be, or must act for another organisation.
    Change,
    /// It was issued before a session ended.
    Ended,
}

fn way(found: &Found, issued_at: DateTime<Utc>, now: DateTime<Utc>) -> Way {
    let ended = found
        .ended_at
        .map(|ended| found.newest_token.map_or(ended, |newest| newest.max(ended)));
    let refused = [found.refused_until, ended].into_iter().flatten().max();
    if refused.is_some_and(|until| issued_at <= until) {
        return Way::Ended;
    }
    let goes_on = found.ended_at.is_none() && found.expires_at.is_some_and(|expires| expires > now);
    match (found.session_id, found.acts_for, found.newest_token) {
        (Some(session), Some(organization), Some(newest)) if goes_on && issued_at <= newest => {
            Way::In(Login {
                access: Access {
                    user: found.user_id,
                    session,
                    organization,
                },
                after: found.refused_until,
                newest,
            })
        }
        _ => Way::Change,
    }
}

/// For whom a token of an issuer acts. Who is new gets an account, where the issuer's settings say so.
///
/// # Errors
/// 401 for a token that does not count, 403 for somebody who has no account here, 503 when the issuer's keys are unknown.
pub async fn log_in(app: &App, from: &Origin, issuer: &Issuer, token: &str) -> Result<Access> {
    let known = oidc::verify(app, issuer, token).await?;
    let key = (issuer.settings.name.clone(), known.subject.clone());
    let cached = app.standings.logins.get(&key).await.filter(|login| {
        let after = login.after.is_none_or(|after| known.issued_at > after);
        after && known.issued_at <= login.newest
    });
    if let Some(login) = cached {
        return Ok(login.access);
    }
    let entered = enter(app, from, issuer, &known).await;
    let login = match entered {
        Ok(login) => login,
        Err(error) => {
            let refused = matches!(error, Error::Forbidden(_) | Error::Unauthenticated(_));
            if refused && app.issuers.is_to_be_noted(issuer, &known.subject).await {
                Happened::refused(What::IdentityRefused, from)
                    .to(name(issuer, &known))
                    .note(app, &app.db)
                    .await?;
            }
            return Err(error);
        }
    };
    app.standings.logins.insert(key, login).await;
    Ok(login.access)
}

/// How the log of security events calls somebody.
fn name(issuer: &Issuer, known: &Known) -> String {
    format!("{} {}", issuer.settings.name, known.subject)
}

async fn enter(app: &App, from: &Origin, issuer: &Issuer, known: &Known) -> Result<Login> {
    let find = || store::identities::find(&app.db, &issuer.settings.issuer, &known.subject);
    let found = if let Some(found) = find().await? {
        found
    } else {
        create(app, from, issuer, known).await?;
        find().await?.ok_or_else(|| stranger(issuer))?
    };
    go_on(app, from, issuer, known, found).await
}

fn stranger(issuer: &Issuer) -> Error {
    Error::Forbidden(format!(
        "this login of {} is linked to no account; log in with your password and link it at /api/v1/auth/identities",
        issuer.settings.name
    ))
}

fn check_active(found: &Found) -> Result<()> {
    if found.is_active {
        return Ok(());
    }
    Err(Error::Unauthenticated("this account is closed".into()))
}

/// What a token of a known identity does.
async fn go_on(app: &App, from: &Origin, issuer: &Issuer, known: &Known, found: Found) -> Result<Login> {
    let ended = || {
        Error::Unauthenticated("the session of this token has ended; get a new token from its issuer".into())
    };
    let now = app.clock.now();
    check_active(&found)?;
    match way(&found, known.issued_at, now) {
        Way::In(login) => return Ok(login),
        Way::Ended => return Err(ended()),
        Way::Change => {}
    }
    let mut tx = app.db.begin().await?;
    // As it is when no other request, here or elsewhere, changes it.
    let found = store::identities::lock(&mut tx, &issuer.settings.issuer, &known.subject)
        .await?
        .ok_or_else(|| stranger(issuer))?;
    check_active(&found)?;
    match way(&found, known.issued_at, now) {
        Way::In(login) => return Ok(login),
        Way::Ended => return Err(ended()),
        Way::Change => {}
    }
    let organization = found.acts_for.unwrap_or(found.own);
    let is_over = found.ended_at.is_some() || found.expires_at.is_none_or(|expires| expires <= now);
    let (session, after) = match found.session_id.filter(|_| !is_over) {
        Some(session) => {
            let expires_at = now + seconds(app.config.accounts.refresh_seconds);
            store::sessions::extend(&mut *tx, session, organization, now, expires_at).await?;
            (session, found.refused_until)
        }
        None => begin(app, &mut tx, from, &found, organization).await?,
    };
    store::identities::saw_token(&mut *tx, found.identity_id, known.issued_at).await?;
    tx.commit().await?;
    Ok(Login {
        access: Access {
            user: found.user_id,
            session,
            organization,
        },
        after,
        newest: found
            .newest_token
            .map_or(known.issued_at, |newest| newest.max(known.issued_at)),
    })
}

/// The next session of an identity, and up to when tokens do not count in it.
async fn begin(
    app: &App,
    db: &mut sqlx::PgConnection,
    from: &Origin,
    found: &Found,
    organization: OrganizationId,
) -> Result<(SessionId, Option<DateTime<Utc>>)> {
    let session = sessions::begin(app, db, from, found.user_id, organization).await?;
    // What was shown before the session ended has ended, whatever its issuer's clock said.
    let ended = found
        .ended_at
        .and_then(|ended| found.newest_token.max(Some(ended)));
    let after = found.refused_until.max(ended);
    store::identities::set_session(&mut *db, found.identity_id, session, after).await?;
    Happened::new(What::Login, from)
        .by(found.user_id)
        .of(organization)
        .to(session)
        .note(app, db)
        .await?;
    Ok((session, after))
}

/// Makes a user of somebody whom only its issuer knows.
async fn create(app: &App, from: &Origin, issuer: &Issuer, known: &Known) -> Result<()> {
    if !issuer.settings.create_accounts {
        return Err(stranger(issuer));
    }
    let no = |why: &str| Error::Forbidden(format!("this token makes no account: {why}"));
    let email = known.email.as_deref().and_then(|email| normalize(email).ok());
    let email = email.ok_or_else(|| no("it has no `email`; ask its issuer for the scope email"))?;
    if issuer.settings.require_verified_email && !known.is_verified {
        return Err(no("its issuer has not verified the address (`email_verified`)"));
    }
    let (user, organization) = (UserId::new(), OrganizationId::new());
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let new = NewUser {
        user,
        organization,
        email: &email,
        password_hash: None,
        full_name: known.full_name.as_deref(),
        role: Role::Client,
    };
    let taken =
        "somebody has its address; log in with your password and link this login at /api/v1/auth/identities";
    let made = store::accounts::insert_user(&mut tx, &new)
        .await
        .on_constraint("user_email_is_unique", no(taken));
    let identity = NewIdentity {
        id: IdentityId::new(),
        user,
        issuer: &issuer.settings.issuer,
        subject: &known.subject,
        email: Some(&email),
        at: now,
    };
    let inserted = match made {
        Ok(()) => store::identities::insert(&mut *tx, &identity).await?,
        Err(error @ Error::Forbidden(_)) => {
            drop(tx);
            // Perhaps it was the same login at the same time.
            let found = store::identities::find(&app.db, &issuer.settings.issuer, &known.subject).await?;
            return found.map(|_| ()).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    if !inserted {
        return Ok(());
    }
    Happened::new(What::Registered, from)
        .by(user)
        .of(organization)
        .to(&email)
        .note(app, &mut *tx)
        .await?;
    Happened::new(What::IdentityLinked, from)
        .by(user)
        .of(organization)
        .to(name(issuer, known))
        .note(app, &mut *tx)
        .await?;
    if known.is_verified {
        store::users::verified(&mut *tx, user, now).await?;
    } else if mailing::is_configured(app) {
        mailing::queue(app, &mut tx, Purpose::VerifyEmail, &email, None).await?;
    }
    tx.commit().await?;
    mailing::wake(app);
    Ok(())
}

/// Links a login at another issuer, which this token shows, to a user who logged in with its password.
///
/// # Errors
/// 403 for a session that is itself of another issuer, 409 when the login is somebody else's or there are too many, 422
/// for a token that does not count.
pub async fn link(
    app: &App,
    from: &Origin,
    (user, session): (UserId, SessionId),
    token: &str,
) -> Result<Identity> {
    let refused = |why: &str| Error::invalid("token", why);
    let issuer = oidc::issuer(app, token).ok_or_else(|| refused("is of no issuer that is known here"))?;
    let known = match oidc::verify(app, issuer, token).await {
        Err(Error::Unauthenticated(why)) => return Err(refused(&why)),
        verified => verified?,
    };
    if issuer.settings.require_verified_email && !known.is_verified {
        return Err(refused(
            "has no address that its issuer verified (`email_verified`)",
        ));
    }
    let mut tx = app.db.begin().await?;
    if store::identities::has_session(&mut *tx, session).await? {
        // Else whoever gets hold of a token could make itself a second way in.
        let text =
            "this needs a login with your password (/api/v1/auth/login), not a token of another issuer";
        return Err(Error::Forbidden(text.into()));
    }
    store::users::lock(&mut *tx, user).await?;
    let email = known.email.as_deref().and_then(|email| normalize(email).ok());
    let new = NewIdentity {
        id: IdentityId::new(),
        user,
        issuer: &issuer.settings.issuer,
        subject: &known.subject,
        email: email.as_deref(),
        at: app.clock.now(),
    };
    let inserted = store::identities::insert(&mut *tx, &new).await?;
    let all = store::identities::list(&mut *tx, user).await?;
    let is_this = |one: &&Identity| one.issuer == new.issuer && one.subject == new.subject;
    let Some(linked) = all.iter().find(is_this) else {
        drop(tx);
        let happened = Happened::refused(What::IdentityLinked, from).by(user);
        happened.to(name(issuer, &known)).note(app, &app.db).await?;
        return Err(Error::Conflict("this login is linked to another account".into()));
    };
    if inserted {
        if all.len() > MOST {
            return Err(Error::Conflict(format!(
                "an account has {MOST} linked logins at most"
            )));
        }
        Happened::new(What::IdentityLinked, from)
            .by(user)
            .to(name(issuer, &known))
            .note(app, &mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(linked.clone())
}

/// The logins at other issuers that are linked to a user.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Identity>> {
    Ok(store::identities::list(&app.db, user).await?)
}

/// Unlinks a login at another issuer; its tokens end.
///
/// # Errors
/// 404 when it is none of the user's, 409 when it is the only way into the account.
pub async fn unlink(app: &App, from: &Origin, user: UserId, identity: IdentityId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let has_password = store::users::lock(&mut *tx, user).await?;
    let all = store::identities::list(&mut *tx, user).await?;
    let linked = all
        .iter()
        .find(|one| one.identity_id == identity)
        .ok_or(Error::NotFound { what: "identity" })?;
    if !has_password && all.len() == 1 {
        let text = "this is the only way into your account; choose a password first, at \
                    /api/v1/auth/password-reset/request";
        return Err(Error::Conflict(text.into()));
    }
    if let Some(session) = store::identities::delete(&mut *tx, user, identity).await? {
        store::sessions::end(&mut *tx, user, session, app.clock.now()).await?;
    }
    Happened::new(What::IdentityUnlinked, from)
        .by(user)
        .to(format!("{} {}", linked.issuer, linked.subject))
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(())
}
