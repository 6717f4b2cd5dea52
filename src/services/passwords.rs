//! Passwords: hashed with argon2id, compared without telling who has an account, changed, and chosen anew by mail.
use std::time::Duration;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordVerifier as _, Version,
    password_hash::{PasswordHasher, SaltString},
};
use tokio::sync::Semaphore;

use crate::{
    app::App,
    domain::{SessionId, UserId},
    error::{Error, Result},
    services::{
        accounts::normalize,
        lockout::{self, Subject},
        mailing, secrets,
        security::{Happened, Origin, What},
    },
    store::{self, mails::Purpose},
};

/// Passwords that are hashed at the same time: each takes memory and a core for a while.
static HASHING: Semaphore = Semaphore::const_new(8);
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
const SHORTEST: usize = 8;
const LONGEST: usize = 256;
/// Of a hash, in bytes.
const OUTPUT: usize = 32;

/// Refuses what cannot become a password.
pub(crate) fn check_bounds(password: &str) -> Result<()> {
    let length = password.chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid(
        "password",
        format!("must have {SHORTEST} to {LONGEST} characters, has {length}"),
    ))
}

fn params(app: &App) -> Result<Params> {
    let identity = &app.config.identity;
    Params::new(
        identity.argon2_memory_kib,
        identity.argon2_passes,
        identity.argon2_lanes,
        Some(OUTPUT),
    )
    .map_err(|error| Error::internal(error.to_string()))
}

/// Does work that takes tens of milliseconds on purpose: few at once, and not on the threads that serve requests.
async fn slowly<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let busy = || Error::Unavailable {
        reason: "too many passwords are being looked at",
        after: Duration::from_secs(1),
    };
    let turn = tokio::time::timeout(PATIENCE, HASHING.acquire()).await;
    let _one_of_few = turn.map_err(|_| busy())?.map_err(Error::internal)?;
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// What is kept of a password.
///
/// # Errors
/// 503 when too many are being hashed.
pub(crate) async fn hash(app: &App, password: String) -> Result<String> {
    let params = params(app)?;
    slowly(move || {
        let salt: [u8; 16] = secrets::random()?;
        let salt = SaltString::encode_b64(&salt).map_err(|error| Error::internal(error.to_string()))?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| Error::internal(error.to_string()))
    })
    .await
}

/// What is compared with when nobody has the address: of the same cost, and the hash of nothing.
fn nobodys(params: &Params) -> String {
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        "A".repeat(22),
        "A".repeat(43)
    )
}

/// Whether this is the password behind `stored`. Without one it is not, after the same work.
///
/// # Errors
/// 503 when too many are being hashed.
pub(crate) async fn matches(app: &App, stored: Option<String>, password: String) -> Result<bool> {
    let nobodys = nobodys(&params(app)?);
    slowly(move || {
        let is_somebodys = stored.is_some();
        let stored = stored.unwrap_or(nobodys);
        let stored = PasswordHash::new(&stored).map_err(|error| Error::internal(error.to_string()))?;
        let same = Argon2::default().verify_password(password.as_bytes(), &stored);
        Ok(same.is_ok() && is_somebodys)
    })
    .await
}

/// Whether the settings have changed since this was hashed.
pub(crate) fn is_dated(app: &App, stored: &str) -> bool {
    let Ok(wanted) = params(app) else {
        return false;
    };
    PasswordHash::new(stored)
        .ok()
        .and_then(|stored| Params::try_from(&stored).ok())
        .is_some_and(|found| {
            (found.m_cost(), found.t_cost(), found.p_cost())
                != (wanted.m_cost(), wanted.t_cost(), wanted.p_cost())
        })
}

/// Takes another password, from somebody who knows the one before; ends the other sessions.
///
/// # Errors
/// 403 when the current password is wrong or there is none, 422 when the new one is out of bounds, 429 after too many
/// wrong ones.
pub async fn change(
    app: &App,
    from: &Origin,
    (user, session): (UserId, SessionId),
    current: &str,
    password: &str,
) -> Result<()> {
    check_bounds(password)?;
    let account = store::users::by_id(&app.db, user)
        .await?
        .ok_or(Error::NotFound { what: "user" })?;
    let Some(stored) = account.password_hash else {
        return Err(Error::Forbidden(
            "this account has no password yet; /api/v1/auth/password-reset/request sends a link to choose one".into(),
        ));
    };
    let subjects = (
        Subject::account(app, &account.email),
        Subject::address(app, from.address),
    );
    // Who found an open session shall not be able to try out passwords with it.
    lockout::count(app, &[&subjects.0, &subjects.1]).await?;
    if !matches(app, Some(stored), current.to_owned()).await? {
        let happened = Happened::refused(What::PasswordChanged, from)
            .by(user)
            .of(account.organization_id);
        happened.note(app, &app.db).await?;
        return Err(Error::Forbidden("current_password is wrong".into()));
    }
    let password_hash = hash(app, password.to_owned()).await?;
    let mut tx = app.db.begin().await?;
    lockout::forgive(app, &mut tx, &subjects.0, &subjects.1).await?;
    store::users::set_password(&mut *tx, user, &password_hash).await?;
    store::sessions::end_all(&mut *tx, user, Some(session), app.clock.now()).await?;
    store::mails::spend_all(&mut *tx, user, Purpose::ResetPassword, app.clock.now()).await?;
    Happened::new(What::PasswordChanged, from)
        .by(user)
        .of(account.organization_id)
        .note(app, &mut *tx)
        .await?;
    if mailing::is_configured(app) {
        mailing::queue(app, &mut tx, Purpose::PasswordChanged, &account.email, None).await?;
    }
    tx.commit().await?;
    app.standings.forget();
    mailing::wake(app);
    Ok(())
}

/// Has a link mailed that does what `purpose` says, if somebody has this address. Nothing here depends on whether
/// somebody has.
///
/// # Errors
/// 503 without mail, 422 for what is no address, 429 for too many.
pub async fn request_mail(app: &App, from: &Origin, purpose: Purpose, email: &str) -> Result<()> {
    mailing::require(app)?;
    let email = normalize(email)?;
    lockout::count(app, &[&Subject::mails(app, from.address)]).await?;
    let mut tx = app.db.begin().await?;
    mailing::queue(app, &mut tx, purpose, &email, None).await?;
    if purpose == Purpose::ResetPassword {
        Happened::new(What::ResetRequested, from)
            .to(&email)
            .note(app, &mut *tx)
            .await?;
    }
    tx.commit().await?;
    mailing::wake(app);
    Ok(())
}

fn spent() -> Error {
    Error::invalid(
        "token",
        "is none of ours, was used, or is too old; ask for another mail",
    )
}

/// Takes another password, from somebody who got the mail; ends all sessions.
///
/// # Errors
/// 422 for a token that does not count or a password out of bounds.
pub async fn reset(app: &App, from: &Origin, token: &str, password: &str) -> Result<()> {
    check_bounds(password)?;
    let token = secrets::hash_of_form(mailing::TOKEN, token).ok_or_else(spent)?;
    let password_hash = hash(app, password.to_owned()).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let user = store::mails::spend(&mut *tx, token, Purpose::ResetPassword, now)
        .await?
        .ok_or_else(spent)?;
    let account = store::users::by_id(&mut *tx, user).await?.ok_or_else(spent)?;
    store::mails::spend_all(&mut *tx, user, Purpose::ResetPassword, now).await?;
    store::users::set_password(&mut *tx, user, &password_hash).await?;
    if account.email_verified_at.is_none() {
        // Whoever made the account with another's address does not keep a way in.
        store::identities::delete_all(&mut *tx, user).await?;
        store::api_keys::revoke_all(&mut *tx, user).await?;
    }
    // Who reads the mail has the address.
    store::users::verified(&mut *tx, user, now).await?;
    store::sessions::end_all(&mut *tx, user, None, now).await?;
    lockout::forget_account(&mut tx, &Subject::account(app, &account.email)).await?;
    Happened::new(What::PasswordReset, from)
        .by(user)
        .of(account.organization_id)
        .note(app, &mut *tx)
        .await?;
    mailing::queue(app, &mut tx, Purpose::PasswordChanged, &account.email, None).await?;
    tx.commit().await?;
    app.standings.forget();
    mailing::wake(app);
    Ok(())
}

/// The address is the user's: it got the mail.
///
/// # Errors
/// 422 for a token that does not count.
pub async fn verify_email(app: &App, from: &Origin, token: &str) -> Result<()> {
    let token = secrets::hash_of_form(mailing::TOKEN, token).ok_or_else(spent)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let user = store::mails::spend(&mut *tx, token, Purpose::VerifyEmail, now)
        .await?
        .ok_or_else(spent)?;
    store::users::verified(&mut *tx, user, now).await?;
    Happened::new(What::EmailVerified, from)
        .by(user)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Takes another password for a user, as its operator; ends all sessions.
///
/// # Errors
/// 404 when nobody has this address, 422 when the password is out of bounds.
pub async fn set(app: &App, email: &str, password: &str) -> Result<()> {
    check_bounds(password)?;
    let email = normalize(email)?;
    let password_hash = hash(app, password.to_owned()).await?;
    let mut tx = app.db.begin().await?;
    let account = store::users::by_email(&mut *tx, &email)
        .await?
        .ok_or(Error::NotFound { what: "user" })?;
    store::users::set_password(&mut *tx, account.user_id, &password_hash).await?;
    store::sessions::end_all(&mut *tx, account.user_id, None, app.clock.now()).await?;
    lockout::forget_account(&mut tx, &Subject::account(app, &email)).await?;
    Happened::new(What::PasswordReset, &Origin::local())
        .of(account.organization_id)
        .to(account.user_id)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
