//! Access tokens: JWTs that say who logged in and for which organisation. What that person may do is not in them; it is
//! looked up, so that it can be taken away.
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    app::App,
    domain::{OrganizationId, SessionId, UserId},
    error::{Error, Result},
    services::{
        lockout::seconds,
        secrets::{self, Secret},
    },
    store,
};

const ISSUER: &str = "violet";
/// The name of the shared secret in the database.
const SECRET: &str = "access_tokens";

/// What an access token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: UserId,
    /// By which login.
    pub session: SessionId,
    /// For whom.
    pub organization: OrganizationId,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    org: OrganizationId,
    iat: i64,
    exp: i64,
}

/// The key of all access tokens, read when the first one is needed.
#[derive(Default)]
pub struct Tokens(OnceCell<Keys>);

struct Keys {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

async fn keys(app: &App) -> Result<&Keys> {
    app.tokens
        .0
        .get_or_try_init(|| async {
            let configured = app.config.accounts.token_secret.reveal().as_bytes();
            let secret = if configured.is_empty() {
                let fresh: [u8; 32] = secrets::random()?;
                let mut connection = app.db.acquire().await?;
                store::sessions::secret(&mut connection, SECRET, &fresh).await?
            } else {
                configured.to_vec()
            };
            Ok(Keys {
                signing: EncodingKey::from_secret(&secret),
                checking: DecodingKey::from_secret(&secret),
            })
        })
        .await
}

/// Whether this looks like an access token and not like a key.
pub fn is_one(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Makes an access token.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn sign(app: &App, access: Access) -> Result<Secret> {
    let Access {
        user,
        session,
        organization,
    } = access;
    let now = app.clock.now();
    let life = seconds(app.config.accounts.access_seconds);
    let claims = Claims {
        iss: ISSUER.into(),
        sub: user,
        sid: session,
        org: organization,
        iat: now.timestamp(),
        exp: (now + life).timestamp(),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys(app).await?.signing)
        .map(Secret::of)
        .map_err(Error::internal)
}

/// What an access token says, if it is one of ours and not over.
///
/// # Errors
/// 401 with what to do.
pub async fn read(app: &App, token: &str) -> Result<Access> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_issuer(&[ISSUER]);
    rules.set_required_spec_claims(&["iss", "exp"]);
    // By our clock, below.
    rules.validate_exp = false;
    let refused = |why: &str| Error::Unauthenticated(format!("this access token {why}"));
    let claims = jsonwebtoken::decode::<Claims>(token, &keys(app).await?.checking, &rules)
        .map_err(|_| refused("is not valid; log in at /api/v1/auth/login"))?
        .claims;
    if claims.exp <= app.clock.now().timestamp() {
        return Err(refused("is over; get another at /api/v1/auth/token/refresh"));
    }
    Ok(Access {
        user: claims.sub,
        session: claims.sid,
        organization: claims.org,
    })
}
