//! Files as they are read: by their owner, by the neurons that work with them, and by short-lived signed links. And what
//! their owner lists, counts and deletes.
use std::{ops::Range, time::Duration};

use blake2::{
    Blake2bMac,
    digest::{KeyInit, Mac, consts::U32},
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::Stream;
use violet_chain::{KeyError, Keypair};

use crate::{
    app::App,
    blobs::BlobError,
    domain::{FileId, OrganizationId, media::FileKind},
    error::{Error, Result},
    services::{
        files::object_key,
        identity::{self, Caller},
    },
    store::{
        self,
        files::File,
        storage::{Stored, Use},
    },
};

/// Makes and checks links to files.
pub struct Links([u8; 32]);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links(…)")
    }
}

impl Links {
    /// The key of links is a VRF output that is never published: every replica with the same hotkey has the same.
    ///
    /// # Errors
    /// When the key has no VRF.
    pub fn new(keypair: &Keypair) -> Result<Self, KeyError> {
        let proof = keypair.vrf(b"violet/links/1", b"")?;
        Ok(Self(
            proof
                .verify(&keypair.hotkey(), b"violet/links/1", b"")
                .unwrap_or(proof.preout),
        ))
    }

    fn mac(&self, id: FileId, expires: u64) -> Blake2bMac<U32> {
        let mut mac =
            <Blake2bMac<U32> as KeyInit>::new_from_slice(&self.0).expect("32 bytes are a key of BLAKE2b");
        mac.update(&id.bytes());
        mac.update(&expires.to_le_bytes());
        mac
    }
}

/// Where a file is handed out to whoever has the link.
#[derive(Debug)]
pub enum Link {
    /// A path of this server that works until a time.
    Path(String, DateTime<Utc>),
    /// An address in a bucket that everybody may read.
    Public(String),
}

/// A link to a file.
pub fn link(app: &App, id: FileId) -> Link {
    let settings = &app.config.storage;
    if settings.public_links {
        let base = settings.public_url.trim_end_matches('/');
        return Link::Public(format!("{base}/{}", object_key(id)));
    }
    let life = Duration::from_secs(settings.link_seconds);
    let ends = app.clock.now() + TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX);
    let expires = u64::try_from(ends.timestamp()).unwrap_or(0);
    let signature = hex::encode(app.links.mac(id, expires).finalize().into_bytes());
    let path = format!("/api/v1/files/{id}/download?expires={expires}&signature={signature}");
    Link::Path(path, ends)
}

/// Who wants to read a file.
#[derive(Debug)]
pub enum Reader {
    /// A member of an organisation, or one of its keys.
    Owner(OrganizationId),
    /// Who runs the platform.
    Administrator,
    /// A miner or validator.
    Neuron(Box<Caller>),
    /// Somebody with a link.
    Link {
        /// Unix time in seconds.
        expires: u64,
        /// Hex.
        signature: String,
    },
}

/// The metadata of a file that `reader` may read.
///
/// # Errors
/// 404 for no such file, 401 for a link that is not ours or over.
pub async fn find(app: &App, id: FileId, reader: &Reader) -> Result<File> {
    let missing = || Error::NotFound { what: "file" };
    if let Reader::Link { expires, signature } = reader {
        check_link(app, id, *expires, signature)?;
    }
    let file = store::files::find(&app.db, id).await?.ok_or_else(missing)?;
    let may = match reader {
        Reader::Link { .. } | Reader::Administrator => true,
        Reader::Owner(organization) => file.organization_id == *organization,
        Reader::Neuron(caller) => {
            let judges = identity::as_validator(app, (**caller).clone()).is_ok();
            store::files::is_worked_on(&app.db, &file, caller.neuron.hotkey, judges).await?
        }
    };
    if may { Ok(file) } else { Err(missing()) }
}

fn check_link(app: &App, id: FileId, expires: u64, signature: &str) -> Result<()> {
    let refused = || Error::Unauthenticated("this link is not valid, or its time is over".into());
    let signature = hex::decode(signature).map_err(|_| refused())?;
    app.links
        .mac(id, expires)
        .verify_slice(&signature)
        .map_err(|_| refused())?;
    if u64::try_from(app.clock.now().timestamp()).unwrap_or(u64::MAX) > expires {
        return Err(refused());
    }
    Ok(())
}

/// The bytes of a file, or a range of them.
///
/// # Errors
/// When the storage fails.
pub async fn open(
    app: &App,
    file: &File,
    range: Option<Range<u64>>,
) -> Result<impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static> {
    Ok(app.blobs.read(&file.object_key, range).await?)
}

/// One page of the files of a kind of an organisation, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    app: &App,
    organization: OrganizationId,
    kind: FileKind,
    before: Option<FileId>,
    limit: u16,
) -> Result<Vec<File>> {
    Ok(store::files::page(&app.db, organization, kind, before, limit.into()).await?)
}

/// What an organisation has stored by kind, or all of them together.
///
/// # Errors
/// When the database does not answer.
pub async fn stored(app: &App, organization: Option<OrganizationId>) -> Result<Vec<Stored>> {
    Ok(store::storage::stored(&app.db, organization).await?)
}

/// Deletes a file of an organisation: from now on nobody finds it, and its bytes are removed soon.
///
/// # Errors
/// 404 for no such file, 409 while its task goes on, and for the sample of a voice.
pub async fn delete(app: &App, organization: OrganizationId, id: FileId) -> Result<()> {
    let file = find(app, id, &Reader::Owner(organization)).await?;
    let mut transaction = app.db.begin().await?;
    if !store::files::delete(&mut *transaction, id, organization).await? {
        return Err(match file.kind {
            FileKind::TtsSpeaker => Error::Conflict("this is the sample of a voice; delete the voice".into()),
            _ if store::files::find(&mut *transaction, id).await?.is_none() => {
                Error::NotFound { what: "file" }
            }
            _ => Error::Conflict("its task goes on; cancel it, or wait until it has ended".into()),
        });
    }
    let taken = Use {
        organization: organization.into(),
        kind: file.kind,
        files: -1,
        bytes: -file.size,
    };
    store::storage::add(&mut *transaction, &[taken], None).await?;
    store::storage::remove_later(&mut *transaction, id, &file.object_key, 0.0).await?;
    transaction.commit().await?;
    Ok(())
}
