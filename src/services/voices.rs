//! Voices that speech can be asked in: those for everybody, and those that an organisation made of a sample.
//!
//! A task keeps the sample that its voice had when it was submitted. So a sample that was replaced or deleted stays until
//! no task with it goes on, and at least as long as one may be on its way into the database.
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    app::App,
    domain::{FileId, OrganizationId, capability, media::FileKind, task::InputKind},
    error::{Error, OnConstraint as _, Result},
    services::{
        files::{Received, Rules, object_key},
        quotas,
    },
    store::{self, storage::Use, voices::Voice},
};

/// More than there are for everybody.
const FOR_EVERYBODY: i64 = 100;
const LONGEST_NAME: usize = 100;
const LONGEST_DISPLAY_NAME: usize = 200;
/// How many names a refusal lists.
const LISTED: usize = 20;

/// What is taken for a sample.
pub fn rules(app: &App) -> Rules {
    Rules {
        kind: InputKind::Audio,
        field: "audio_file",
        limit: app.config.storage.voice_bytes,
    }
}

/// The voices that an organisation may ask for.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, organization: OrganizationId) -> Result<Vec<Voice>> {
    let most = i64::from(app.config.storage.voices) + FOR_EVERYBODY;
    Ok(store::voices::of(&app.db, organization, None, most).await?)
}

/// The voice that a task asks for.
///
/// # Errors
/// 422 with names of some that there are.
pub(crate) async fn wanted(app: &App, organization: OrganizationId, name: &str) -> Result<Voice> {
    if let Some(voice) = find(app, organization, name).await? {
        return Ok(voice);
    }
    let names: Vec<String> = list(app, organization)
        .await?
        .into_iter()
        .map(|voice| voice.voice_name)
        .collect();
    let more = if names.len() > LISTED {
        " or another of /api/v1/voices"
    } else {
        ""
    };
    let listed = names[..names.len().min(LISTED)].join(", ");
    Err(Error::invalid(
        "voice_name",
        format!("must be one of {listed}{more}"),
    ))
}

async fn find(app: &App, organization: OrganizationId, name: &str) -> Result<Option<Voice>> {
    Ok(store::voices::of(&app.db, organization, Some(name), 1)
        .await?
        .pop())
}

/// What a voice is called, as it came.
#[derive(Debug)]
pub struct Said {
    /// For people.
    pub display_name: Option<String>,
    /// What it speaks.
    pub language: Option<String>,
}

impl Said {
    fn check(&self) -> Result<()> {
        let Self {
            display_name,
            language,
        } = self;
        if let Some(name) = display_name
            && (name.trim().is_empty()
                || name.chars().count() > LONGEST_DISPLAY_NAME
                || name.chars().any(char::is_control))
        {
            return Err(Error::invalid(
                "display_name",
                format!("must have 1 to {LONGEST_DISPLAY_NAME} characters, all printable"),
            ));
        }
        match language {
            Some(tag) if !capability::is_language(tag) => Err(Error::invalid(
                "language",
                "must be a language tag such as en or pt-BR",
            )),
            _ => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    if name.is_empty()
        || name.chars().count() > LONGEST_NAME
        || name.trim() != name
        || !name.chars().all(allowed)
    {
        return Err(Error::invalid(
            "voice_name",
            format!(
                "must have 1 to {LONGEST_NAME} letters, digits, spaces or any of . _ - and begin and end with no space"
            ),
        ));
    }
    Ok(())
}

/// Makes a voice of a sample.
///
/// # Errors
/// 422 for a name that is off, 409 for one that is taken or when there are as many as may be, 429 when the organisation
/// may store no more.
pub async fn create(
    app: &App,
    organization: OrganizationId,
    name: &str,
    said: Said,
    sample: Received,
) -> Result<Voice> {
    check_name(name)?;
    said.check()?;
    let taken = || Error::Conflict(format!("there is a voice {name} already; PUT changes it"));
    if find(app, organization, name).await?.is_some() {
        return Err(taken());
    }
    let Said {
        display_name,
        language,
    } = said;
    let display_name = display_name.unwrap_or_else(|| name.to_owned());
    let language = language.unwrap_or_else(|| "en".into());
    let transaction = app.db.begin().await?;
    let uses = [used(organization, 1, sample.bytes())];
    let mut transaction = add(app, transaction, organization, &uses).await?;
    // What was added is locked until the end, so that this is exact.
    let most = app.config.storage.voices;
    if store::voices::count(&mut *transaction, organization).await? >= i64::from(most) {
        return Err(Error::Conflict(format!(
            "there are {most} voices, and may be no more; delete one"
        )));
    }
    let key = sample.object_key();
    store::files::insert_sample(&mut *transaction, organization, &sample.to_store(&key)).await?;
    let wording = (display_name.as_str(), language.as_str());
    store::voices::insert(&mut *transaction, organization, name, wording, sample.id)
        .await
        .on_constraint("voice_name_of_organization", taken())?;
    sample.hold.keep();
    transaction.commit().await?;
    find(app, organization, name).await?.ok_or_else(missing)
}

/// Changes a voice. A new sample is stored before the old one goes.
///
/// # Errors
/// 404 for no voice of this name, 409 for one for everybody, 422 for a value that is off, 429 when the organisation may
/// store no more.
pub async fn change(
    app: &App,
    organization: OrganizationId,
    name: &str,
    said: Said,
    sample: Option<Received>,
) -> Result<Voice> {
    said.check()?;
    let mut transaction = app.db.begin().await?;
    let Some((voice, old)) = store::voices::lock(&mut *transaction, organization, name).await? else {
        transaction.rollback().await?;
        return Err(not_own(app, organization, name).await?);
    };
    if let Some(sample) = &sample {
        let key = sample.object_key();
        store::files::insert_sample(&mut *transaction, organization, &sample.to_store(&key)).await?;
        let mut uses = vec![used(organization, 1, sample.bytes())];
        if let Some(old) = old {
            uses.push(retire(app, &mut transaction, organization, old).await?);
        }
        transaction = add(app, transaction, organization, &uses).await?;
    }
    let Said {
        display_name,
        language,
    } = said;
    let file = sample.as_ref().map(|sample| sample.id);
    store::voices::update(
        &mut *transaction,
        voice,
        display_name.as_deref(),
        language.as_deref(),
        file,
    )
    .await?;
    if let Some(sample) = &sample {
        sample.hold.keep();
    }
    transaction.commit().await?;
    find(app, organization, name).await?.ok_or_else(missing)
}

/// Deletes a voice. Tasks that were submitted with it keep its sample until they have ended.
///
/// # Errors
/// 404 for no voice of this name, 409 for one for everybody.
pub async fn delete(app: &App, organization: OrganizationId, name: &str) -> Result<()> {
    let mut transaction = app.db.begin().await?;
    let Some((voice, file)) = store::voices::lock(&mut *transaction, organization, name).await? else {
        transaction.rollback().await?;
        return Err(not_own(app, organization, name).await?);
    };
    if let Some(file) = file {
        let used = retire(app, &mut transaction, organization, file).await?;
        store::storage::add(&mut *transaction, &[used], None).await?;
    }
    store::voices::delete(&mut *transaction, voice).await?;
    transaction.commit().await?;
    Ok(())
}

fn missing() -> Error {
    Error::NotFound { what: "voice" }
}

/// Why a voice of this name cannot be changed.
async fn not_own(app: &App, organization: OrganizationId, name: &str) -> Result<Error> {
    Ok(match find(app, organization, name).await? {
        Some(Voice {
            organization_id: None,
            ..
        }) => Error::Conflict(format!("the voice {name} is for everybody, and stays as it is")),
        _ => missing(),
    })
}

/// Puts a sample on the list of what is to be removed; what that frees.
async fn retire(app: &App, db: &mut PgConnection, organization: OrganizationId, file: FileId) -> Result<Use> {
    let size = store::files::find(&mut *db, file)
        .await?
        .map_or(0, |file| file.size);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a setting")]
    let after = app.config.storage.orphan_seconds as f64;
    store::storage::remove_later(&mut *db, file, &object_key(file), after).await?;
    Ok(used(organization, -1, -size))
}

fn used(organization: OrganizationId, files: i64, bytes: i64) -> Use {
    Use {
        organization: organization.into(),
        kind: FileKind::TtsSpeaker,
        files,
        bytes,
    }
}

/// Adds what an organisation stores, or names the quota that a constraint kept.
async fn add<'a>(
    app: &App,
    mut transaction: Transaction<'a, Postgres>,
    organization: OrganizationId,
    uses: &[Use],
) -> Result<Transaction<'a, Postgres>> {
    let limit = quotas::usual(app).stored_bytes;
    match store::storage::add(&mut *transaction, uses, Some(limit)).await {
        Ok(()) => Ok(transaction),
        Err(error) if quotas::is_exceeded(&error) => {
            // Who has a connection and wants another one could wait for others who do.
            transaction.rollback().await?;
            Err(quotas::storage_exceeded(app, organization).await?)
        }
        Err(error) => Err(error.into()),
    }
}
