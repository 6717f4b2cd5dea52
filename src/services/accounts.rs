//! Users: registration, and keys made for them.
use crate::{
    app::App,
    domain::{OrganizationId, UserId},
    error::{Error, OnConstraint, Result},
    services::{
        keys, mailing, passwords,
        secrets::Secret,
        security::{Happened, Origin, What},
    },
    store::{
        self,
        accounts::{NewUser, Role, User},
        mails::Purpose,
    },
};

const LONGEST_EMAIL: usize = 254;
const LONGEST_NAME: usize = 200;

/// A user that was just made.
#[derive(Debug)]
pub struct Registered {
    /// Its id.
    pub user: UserId,
    /// Lower-cased.
    pub email: String,
    /// Its first key.
    pub key: Secret,
}

/// A user to be made.
pub struct Registration<'a> {
    /// It names the account.
    pub email: &'a str,
    /// In clear.
    pub password: &'a str,
    /// How it wants to be called.
    pub full_name: Option<&'a str>,
    /// Of those who register this is `Client`.
    pub role: Role,
    /// Whether somebody answers for the address, so that no mail need go there.
    pub is_verified: bool,
}

impl std::fmt::Debug for Registration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Makes a user, its personal organisation and its first key.
///
/// # Errors
/// 422 for a malformed address, a long name or a password out of bounds, 409 when the address is taken.
pub async fn register(app: &App, from: &Origin, new: Registration<'_>) -> Result<Registered> {
    let Registration {
        email,
        password,
        full_name,
        role,
        is_verified,
    } = new;
    let email = normalize(email)?;
    passwords::check_bounds(password)?;
    let full_name = full_name.map(str::trim).filter(|name| !name.is_empty());
    if full_name.is_some_and(|name| name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control))
    {
        return Err(Error::invalid(
            "full_name",
            format!("must have at most {LONGEST_NAME} characters, on one line"),
        ));
    }
    let password_hash = passwords::hash(app, password.to_owned()).await?;
    let user = UserId::new();
    let organization = OrganizationId::new();
    let mut tx = app.db.begin().await?;
    store::accounts::insert_user(
        &mut tx,
        &NewUser {
            user,
            organization,
            email: &email,
            password_hash: Some(&password_hash),
            full_name,
            role,
        },
    )
    .await
    .on_constraint(
        "user_email_is_unique",
        Error::Conflict("this e-mail address is registered already".into()),
    )?;
    let key = keys::create(&mut tx, organization, user, "first key").await?;
    Happened::new(What::Registered, from)
        .by(user)
        .of(organization)
        .to(&email)
        .note(app, &mut *tx)
        .await?;
    if is_verified {
        store::users::verified(&mut *tx, user, app.clock.now()).await?;
    } else if mailing::is_configured(app) {
        mailing::queue(app, &mut tx, Purpose::VerifyEmail, &email, None).await?;
    }
    tx.commit().await?;
    mailing::wake(app);
    Ok(Registered { user, email, key })
}

/// The user with this address, as its operator.
///
/// # Errors
/// 404 when nobody has it.
pub async fn find(app: &App, email: &str) -> Result<User> {
    let email = normalize(email)?;
    store::accounts::find_by_email(&app.db, &email)
        .await?
        .ok_or(Error::NotFound { what: "user" })
}

/// The address in lower case, if it looks like one. Whether it exists is found out by writing to it.
pub(crate) fn normalize(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let looks_right = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.starts_with('.') && !domain.ends_with('.')
    });
    let clean =
        !email.chars().any(|c| c.is_control() || c.is_whitespace()) && email.matches('@').count() == 1;
    if looks_right && clean && email.len() <= LONGEST_EMAIL {
        Ok(email)
    } else {
        Err(Error::invalid(
            "email",
            "must be an e-mail address such as name@example.org",
        ))
    }
}
