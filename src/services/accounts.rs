//! Users: registration, and keys made for them.
use std::time::Duration;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, SaltString},
};
use tokio::sync::Semaphore;

use crate::{
    app::App,
    domain::{OrganizationId, UserId},
    error::{Error, OnConstraint, Result},
    services::keys::{self, Secret},
    store::{
        self,
        accounts::{NewUser, Role, User},
    },
};

/// Passwords that are hashed at the same time.
static HASHING: Semaphore = Semaphore::const_new(8);
const LONGEST_EMAIL: usize = 254;
const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 256;

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

/// Makes a user, its personal organisation and its first key. Registration makes clients only.
///
/// # Errors
/// 422 for a malformed address or a password out of bounds, 409 when the address is taken.
pub async fn register(app: &App, email: &str, password: &str, role: Role) -> Result<Registered> {
    let email = normalize(email)?;
    let length = password.chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Err(Error::invalid(
            "password",
            format!("must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, has {length}"),
        ));
    }
    let password_hash = hash_password(app, password.to_owned()).await?;
    let user = UserId::new();
    let organization = OrganizationId::new();
    let mut tx = app.db.begin().await?;
    store::accounts::insert_user(
        &mut tx,
        &NewUser {
            user,
            organization,
            email: &email,
            password_hash: &password_hash,
            role,
        },
    )
    .await
    .on_constraint(
        "user_email_is_unique",
        Error::Conflict("this e-mail address is registered already".into()),
    )?;
    let key = keys::create(&mut tx, organization, user, "first key").await?;
    tx.commit().await?;
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
fn normalize(email: &str) -> Result<String> {
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

async fn hash_password(app: &App, password: String) -> Result<String> {
    let identity = &app.config.identity;
    let params = Params::new(
        identity.argon2_memory_kib,
        identity.argon2_passes,
        identity.argon2_lanes,
        None,
    )
    .map_err(|error| Error::internal(error.to_string()))?;
    // Each takes memory and a core for a while: strangers shall not be able to ask for hundreds at once.
    let _one_of_few = HASHING.try_acquire().map_err(|_| Error::Unavailable {
        reason: "too many registrations at once",
        after: Duration::from_secs(1),
    })?;
    // Tens of milliseconds of work on purpose: not on the threads that serve requests.
    tokio::task::spawn_blocking(move || {
        let mut salt = [0u8; 16];
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut salt).map_err(Error::internal)?;
        let salt = SaltString::encode_b64(&salt).map_err(|error| Error::internal(error.to_string()))?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| Error::internal(error.to_string()))
    })
    .await
    .map_err(Error::internal)?
}
