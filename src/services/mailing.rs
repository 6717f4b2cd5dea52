//! Mail: queued in the database, sent by a worker, tried again for a while.
//!
//! What is queued has no secret. A link is made when its mail is sent, and each try makes another. Whether anybody has the
//! address is found out then, too.
use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use sqlx::PgConnection;

use crate::{
    app::App,
    error::{Causes, Error, Result},
    services::{hub::Topic, lockout::seconds, secrets::Secret},
    store::{
        self,
        mails::{Purpose, Waiting},
    },
};

/// Tokens in links start with this.
pub(crate) const TOKEN: &str = "violet_mail_";
/// Mails that are sent at the same time.
const AT_ONCE: i64 = 8;
/// How long a mail server may take for one mail.
const PATIENCE: Duration = Duration::from_secs(15);
/// After the first failure, in seconds; doubled by each further one.
const FIRST_WAIT: u64 = 10;
const LONGEST_WAIT: u64 = 6 * 3600;

/// Whether mails go anywhere.
pub fn is_configured(app: &App) -> bool {
    !app.config.mail.smtp_url.reveal().is_empty() || app.config.mail.log_links
}

/// # Errors
/// 503 when mails go nowhere.
pub(crate) fn require(app: &App) -> Result<()> {
    if is_configured(app) {
        return Ok(());
    }
    Err(Error::Unavailable {
        reason: "this server sends no mail (its setting mail.smtp_url is empty); ask who runs it",
        after: Duration::from_secs(3600),
    })
}

/// Queues a mail, with the statements of the same transaction.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn queue(
    app: &App,
    db: &mut PgConnection,
    purpose: Purpose,
    recipient: &str,
    about: Option<uuid::Uuid>,
) -> Result<()> {
    Ok(store::mails::insert(db, purpose, recipient, about, app.clock.now()).await?)
}

/// There is something to send, for whichever replica is first.
pub(crate) fn wake(app: &App) {
    app.hub.wake(Topic::Mail);
}

/// Sends what is due.
///
/// # Errors
/// When the database does not answer. A mail server that does not is logged.
pub async fn send_due(app: &App) -> Result<()> {
    if !is_configured(app) {
        return Ok(());
    }
    loop {
        let now = app.clock.now();
        // Whoever dies while sending leaves it to the others.
        let again = now + seconds(4 * PATIENCE.as_secs());
        let due = store::mails::take(&app.db, AT_ONCE, now, again).await?;
        if due.is_empty() {
            return Ok(());
        }
        let sent = futures_util::future::join_all(due.iter().map(|mail| deliver(app, mail))).await;
        sent.into_iter().collect::<Result<()>>()?;
    }
}

async fn deliver(app: &App, mail: &Waiting) -> Result<()> {
    let outcome = match compose(app, mail).await? {
        None => Ok(()),
        Some(letter) => send(app, mail, letter).await,
    };
    let Err(error) = outcome else {
        return Ok(store::mails::delete(&app.db, mail.mail_id).await?);
    };
    metrics::counter!("violet_mails_failed_total").increment(1);
    if mail.attempts >= app.config.mail.attempts {
        tracing::error!(purpose = ?mail.purpose, error = %Causes(error.as_ref()), "a mail is given up");
        return Ok(store::mails::delete(&app.db, mail.mail_id).await?);
    }
    let doublings = u32::try_from(mail.attempts - 1).unwrap_or(0).min(20);
    let wait = (FIRST_WAIT << doublings).min(LONGEST_WAIT);
    tracing::warn!(purpose = ?mail.purpose, again_in_s = wait, error = %Causes(error.as_ref()), "a mail was not sent");
    Ok(store::mails::postpone(&app.db, mail.mail_id, app.clock.now() + seconds(wait)).await?)
}

/// What a mail says. Its link is a secret.
struct Letter {
    subject: &'static str,
    text: String,
    link: Option<Secret>,
}

/// What there is to say, if there still is something.
async fn compose(app: &App, mail: &Waiting) -> Result<Option<Letter>> {
    let settings = &app.config.accounts;
    if mail.purpose == Purpose::Invitation {
        return invitation(app, mail).await;
    }
    let Some(account) = store::users::by_email(&app.db, &mail.recipient).await? else {
        return Ok(None);
    };
    let now = app.clock.now();
    let (subject, life, page, text) = match mail.purpose {
        Purpose::VerifyEmail if account.email_verified_at.is_some() => return Ok(None),
        Purpose::VerifyEmail => (
            "Confirm your e-mail address",
            settings.verify_seconds,
            "verify",
            "Somebody registered at Violet with this address. If it was you, confirm it here:",
        ),
        Purpose::ResetPassword => (
            "Choose another password",
            settings.reset_seconds,
            "reset",
            "Somebody asked for another password for your account at Violet. If it was you, choose it here; otherwise \
             nothing happens:",
        ),
        Purpose::PasswordChanged | Purpose::Invitation => {
            return Ok(Some(Letter {
                subject: "Your password was changed",
                text: "The password of your account at Violet was changed, and its sessions ended. If it was not you, \
                       ask for another password at once.\n"
                    .into(),
                link: None,
            }));
        }
    };
    let token = Secret::random(TOKEN)?;
    store::mails::insert_token(
        &app.db,
        token.hash(),
        mail.purpose,
        account.user_id,
        now + seconds(life),
    )
    .await?;
    Ok(Some(letter(app, subject, text, page, &token, life)))
}

async fn invitation(app: &App, mail: &Waiting) -> Result<Option<Letter>> {
    let now = app.clock.now();
    let Some(about) = mail.about else {
        return Ok(None);
    };
    let Some(found) = store::invitations::find(&app.db, about.into(), now).await? else {
        return Ok(None);
    };
    let token = Secret::random(TOKEN)?;
    store::invitations::set_hash(&app.db, found.invitation_id, token.hash()).await?;
    let text = format!(
        "You are invited to the organisation \"{}\" at Violet, as {}. Register with this address if you have not, then \
         join here:",
        found.organization,
        found.role.name()
    );
    let life = u64::try_from((found.expires_at - now).num_seconds()).unwrap_or(0);
    Ok(Some(letter(
        app,
        "You are invited to an organisation",
        &text,
        "invite",
        &token,
        life,
    )))
}

fn letter(app: &App, subject: &'static str, text: &str, page: &str, token: &Secret, life: u64) -> Letter {
    // Behind a #: what is there reaches no server and no log of one.
    let base = app.config.accounts.public_url.trim_end_matches('/');
    let link = format!("{base}/account#{page}={}", token.reveal());
    let hours = life.div_ceil(3600);
    Letter {
        subject,
        text: format!("{text}\n\n{link}\n\nThe link works once, for {hours} h.\n"),
        link: Some(Secret::of(link)),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn send(app: &App, mail: &Waiting, letter: Letter) -> Result<(), Failure> {
    let settings = &app.config.mail;
    let Letter { subject, text, link } = letter;
    if settings.smtp_url.reveal().is_empty() {
        let link = link.as_ref().map_or("none", Secret::reveal);
        tracing::warn!(
            to = mail.recipient,
            subject,
            link,
            "instead of a mail, since mail.log_links is set"
        );
        return Ok(());
    }
    let message = Message::builder()
        .from(settings.from.parse::<Mailbox>()?)
        .to(mail.recipient.parse::<Mailbox>()?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(settings.smtp_url.reveal())?
        .timeout(Some(PATIENCE))
        .build();
    tokio::time::timeout(PATIENCE, transport.send(message)).await??;
    metrics::counter!("violet_mails_sent_total").increment(1);
    Ok(())
}
