//! API keys: how they look, how they are stored, whom they stand for, and what they may do.
use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    app::App,
    domain::{ApiKeyId, OrganizationId, UserId, access::Grant},
    error::{Error, Result},
    services::{
        accounts, key_bounds as bounds,
        secrets::{self, Secret},
        security::{Happened, Origin, What},
        seeing::Sight,
    },
    store::{
        self,
        accounts::Role,
        api_keys::{Found, Listed, NewKey},
    },
};

/// Keys start with this, so that a scanner for leaked secrets can find them.
const PREFIX: &str = "violet_";
/// What is kept in clear, to recognise a key by.
const SHOWN: usize = PREFIX.len() + 6;
const LARGEST_CACHE: u64 = 100_000;
/// The last use of a key is noted to this.
const USE: TimeDelta = TimeDelta::seconds(60);

/// Keys looked up lately, by hash.
#[derive(Debug)]
pub struct KeyCache(Cache<[u8; 32], Arc<Key>>);

impl KeyCache {
    /// Remembers each for at most `life`: a revoked key works no longer than that.
    pub fn new(life: Duration) -> Self {
        Self(
            Cache::builder()
                .max_capacity(LARGEST_CACHE)
                .time_to_live(life)
                .build(),
        )
    }
}

/// A key that works.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id; a rotation keeps it.
    pub id: ApiKeyId,
    /// Who made it, and in whose name it acts.
    pub user: UserId,
    /// What that user is on the platform.
    pub role: Role,
    /// On whose behalf.
    pub organization: OrganizationId,
    /// As its maker named it.
    pub name: String,
    /// What it may do at most, whatever its maker may.
    pub scope: Grant,
    /// When it stops working by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When this secret stops working, by expiry or because another one took its place.
    ends: Option<DateTime<Utc>>,
}

impl From<Found> for Key {
    fn from(found: Found) -> Self {
        Self {
            id: found.api_key_id,
            user: found.user_id,
            role: found.role,
            organization: found.organization_id,
            name: found.name,
            scope: scope(found.scopes.as_deref()),
            expires_at: found.expires_at,
            ends: [found.expires_at, found.valid_until].into_iter().flatten().min(),
        }
    }
}

/// What stored scopes allow.
fn scope(stored: Option<&[String]>) -> Grant {
    stored.map_or_else(Grant::without_scopes, Grant::of_stored)
}

/// Who makes or changes keys, and what it may do itself.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// In whose name the keys act.
    pub user: UserId,
    /// On whose behalf.
    pub organization: OrganizationId,
    /// No key gets more than this.
    pub grant: Grant,
    /// No key lives longer than the one that makes it.
    pub until: Option<DateTime<Utc>>,
}

/// What is asked of a new key.
#[derive(Debug, Default)]
pub struct Wish {
    /// What the key is for.
    pub name: String,
    /// Permissions and bundles; without, all that its maker may do, but for managing.
    pub scopes: Option<Vec<String>>,
    /// When it stops working; without, when the key that makes it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was just made, or has a new secret.
#[derive(Debug)]
pub struct Made {
    /// Shown once.
    pub secret: Secret,
    /// The key.
    pub key: Listed,
    /// After a rotation: until when the old secret works.
    pub old_valid_until: Option<DateTime<Utc>>,
}

impl Listed {
    /// What it may do at most.
    pub fn scope(&self) -> Grant {
        scope(self.scopes.as_deref())
    }
}

/// Makes the first key of a user, which may do all that the user may, but for managing.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn create(
    db: &mut PgConnection,
    organization: OrganizationId,
    user: UserId,
    name: &str,
) -> Result<Secret> {
    let secret = Secret::random(PREFIX)?;
    insert(db, &secret, organization, user, name, None, None).await?;
    Ok(secret)
}

async fn insert(
    db: &mut PgConnection,
    secret: &Secret,
    organization: OrganizationId,
    user: UserId,
    name: &str,
    scopes: Option<&[String]>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<ApiKeyId> {
    let id = ApiKeyId::new();
    let new = NewKey {
        id,
        organization,
        user,
        prefix: &secret.reveal()[..SHOWN],
        hash: secret.hash(),
        name,
        scopes,
        expires_at,
    };
    store::api_keys::insert(db, &new).await?;
    Ok(id)
}

/// Makes a key, no mightier and no longer-lived than its maker.
///
/// # Errors
/// 422 for a name, a scope or an expiry that cannot be, 403 for a scope that its maker does not have, 409 when the
/// organisation has as many as it may.
pub async fn make(app: &App, maker: Maker, from: &Origin, wish: Wish) -> Result<Made> {
    let name = bounds::name(&wish.name)?;
    let grant = bounds::grant(maker.grant, wish.scopes.as_deref())?;
    let scopes: Vec<String> = grant.names().into_iter().map(ToOwned::to_owned).collect();
    let expires_at = bounds::expiry(app, maker.until, wish.expires_at)?;
    let mut tx = app.db.begin().await?;
    let most = app.config.keys.most;
    if store::api_keys::count_locked(&mut tx, maker.organization).await? >= i64::from(most) {
        return Err(Error::Conflict(format!(
            "the organisation has {most} keys that work already; revoke one first"
        )));
    }
    let secret = Secret::random(PREFIX)?;
    let id = insert(
        &mut tx,
        &secret,
        maker.organization,
        maker.user,
        &name,
        Some(&scopes),
        expires_at,
    )
    .await?;
    let key = store::api_keys::read(&mut *tx, maker.organization, id).await?;
    Happened::new(What::KeyMade, from)
        .by(maker.user)
        .of(maker.organization)
        .to(format!("{id} {name}"))
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Made {
        secret,
        key: key.ok_or_else(unknown)?,
        old_valid_until: None,
    })
}

/// Makes a key for the caller, who must be the one with this address.
///
/// # Errors
/// 403 when it is somebody else's, and as for [`make`].
pub async fn make_for(app: &App, maker: Maker, from: &Origin, email: &str) -> Result<(Made, Role)> {
    let owner = match accounts::find(app, email).await {
        Ok(user) if user.user_id == maker.user => user,
        Ok(_) | Err(Error::NotFound { .. }) => {
            return Err(Error::Forbidden("email: this is not your address".into()));
        }
        Err(error) => return Err(error),
    };
    let wish = Wish {
        name: "generated".into(),
        ..Wish::default()
    };
    Ok((make(app, maker, from, wish).await?, owner.role))
}

fn unknown() -> Error {
    Error::NotFound { what: "API key" }
}

/// Gives a key a new secret. The old one works for a while longer, so that its users can change over one by one.
///
/// # Errors
/// 404 when the organisation has no such key, 403 when it is somebody else's or may do more than the caller, 409 when it
/// does not work any more.
pub async fn rotate(app: &App, maker: Maker, from: &Origin, id: ApiKeyId) -> Result<Made> {
    let key = store::api_keys::read(&app.db, maker.organization, id)
        .await?
        .ok_or_else(unknown)?;
    // Whoever has the secret acts in the name of the key's maker.
    if key.user_id != maker.user {
        return Err(Error::Forbidden(
            "somebody else made this key: revoke it, and make one of your own".into(),
        ));
    }
    let beyond = key.scope().beyond(maker.grant).names();
    if !beyond.is_empty() {
        return Err(Error::Forbidden(format!(
            "this key may do more than you: {}",
            beyond.join(", ")
        )));
    }
    let now = app.clock.now();
    if let Some(own) = maker.until
        && key.expires_at.is_none_or(|at| at > own)
    {
        return Err(Error::Forbidden(
            "this key lives longer than the one you use".into(),
        ));
    }
    if key.revoked_at.is_some() || key.expires_at.is_some_and(|at| at <= now) {
        return Err(Error::Conflict(
            "this key does not work any more: make another one".into(),
        ));
    }
    let secret = Secret::random(PREFIX)?;
    let grace = app.config.keys.grace_seconds;
    let mut tx = app.db.begin().await?;
    let rotated = store::api_keys::rotate(
        &mut *tx,
        maker.organization,
        id,
        &secret.reveal()[..SHOWN],
        secret.hash(),
        f64::from(grace),
    )
    .await?;
    if rotated {
        Happened::new(What::KeyRotated, from)
            .by(maker.user)
            .of(maker.organization)
            .to(format!("{id} {}", key.name))
            .note(app, &mut *tx)
            .await?;
    }
    let key = store::api_keys::read(&mut *tx, maker.organization, id).await?;
    tx.commit().await?;
    match key {
        Some(key) if rotated => Ok(Made {
            secret,
            key,
            old_valid_until: Some(now + TimeDelta::seconds(i64::from(grace))),
        }),
        _ => Err(Error::Conflict(
            "this key was revoked just now: make another one".into(),
        )),
    }
}

/// Revokes a key: it is refused at once here, and within the life of the cache elsewhere. Repeating it changes nothing.
///
/// # Errors
/// 404 when the organisation has no such key.
pub async fn revoke(
    app: &App,
    organization: OrganizationId,
    by: Option<UserId>,
    from: &Origin,
    id: ApiKeyId,
) -> Result<Listed> {
    let mut tx = app.db.begin().await?;
    if store::api_keys::revoke(&mut *tx, organization, id).await? {
        let mut happened = Happened::new(What::KeyRevoked, from).of(organization).to(id);
        if let Some(user) = by {
            happened = happened.by(user);
        }
        happened.note(app, &mut *tx).await?;
    }
    tx.commit().await?;
    // Its secrets are not known here; the others are looked up again in a moment.
    app.keys.0.invalidate_all();
    read(app, organization, id).await
}

/// A key of an organisation, revoked or not.
///
/// # Errors
/// 404 when the organisation has no such key.
pub async fn read(app: &App, organization: OrganizationId, id: ApiKeyId) -> Result<Listed> {
    store::api_keys::read(&app.db, organization, id)
        .await?
        .ok_or_else(unknown)
}

/// The keys of an organisation that were not revoked, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    app: &App,
    organization: OrganizationId,
    before: Option<ApiKeyId>,
    limit: u16,
) -> Result<Vec<Listed>> {
    Ok(store::api_keys::list(&app.db, organization, before, limit).await?)
}

/// The key with this secret.
///
/// # Errors
/// 401 when it is none of ours, was revoked or replaced, has expired, or belongs to an account that is closed.
pub async fn authenticate(app: &App, key: &str) -> Result<Arc<Key>> {
    let refused = || {
        Error::Unauthenticated(
            "an API key is required and this one is not valid; send yours as X-API-Key".to_owned(),
        )
    };
    // Whatever does not even look like a key need not reach the database.
    let hash = secrets::hash_of_form(PREFIX, key).ok_or_else(refused)?;
    // Who asks while it is looked up waits for the same answer.
    let found = app.keys.0.try_get_with(hash, look_up(app, hash)).await;
    let key = found.map_err(|error| match &*error {
        Error::NotFound { .. } => refused(),
        _ => Error::shared(&error),
    })?;
    match key.ends {
        Some(at) if at <= app.clock.now() => Err(refused()),
        _ => Ok(key),
    }
}

async fn look_up(app: &App, hash: [u8; 32]) -> Result<Arc<Key>> {
    let found = store::api_keys::find(&app.db, hash).await?.ok_or_else(unknown)?;
    // At most once in the life of the cache, so this costs no request anything.
    if found.last_used_at.is_none_or(|at| at < app.clock.now() - USE) {
        app.sights.note(Sight::Key(found.api_key_id));
    }
    Ok(Arc::new(found.into()))
}

/// Writes down that keys were used.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn note_use(db: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "a minute")]
    let rest = USE.num_seconds() as f64;
    store::api_keys::used(db, ids, rest).await?;
    Ok(())
}

/// Forgets secrets that were replaced long enough ago.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(app: &App) -> Result<()> {
    store::api_keys::forget_rotated(&app.db).await?;
    Ok(())
}
