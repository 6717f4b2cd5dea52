//! The log of security events: who did what around accounts, from where, and how it came out.
//!
//! An event is written in the transaction of what it tells, so neither is there without the other. What strangers can
//! cause without end (refused signatures, attempts while an account is locked) is counted in the metrics instead.
use std::net::IpAddr;

use sqlx::PgExecutor;

use crate::{
    app::App,
    domain::{OrganizationId, UserId},
    error::Result,
    store::{
        self,
        security_events::{Event, Filter, NewEvent},
    },
};

/// Where a request came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The caller's address.
    pub address: IpAddr,
    /// The program, as it calls itself; cut off when long.
    pub user_agent: String,
    /// The id that the answer has.
    pub request_id: Option<String>,
}

impl Origin {
    /// From the command line.
    pub fn local() -> Self {
        Self {
            address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            user_agent: "command line".into(),
            request_id: None,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum What {
    Registered,
    Login,
    LoginLocked,
    Logout,
    SessionEnded,
    SessionsEnded,
    RefreshReused,
    PasswordChanged,
    PasswordReset,
    ResetRequested,
    EmailVerified,
    OrganizationMade,
    OrganizationRenamed,
    MemberInvited,
    InvitationWithdrawn,
    MemberJoined,
    MemberRoleChanged,
    MemberRemoved,
    MemberLeft,
    OrganizationSwitched,
    KeyMade,
    KeyRotated,
    KeyRevoked,
    WalletLogin,
    IdentityLinked,
    IdentityUnlinked,
    IdentityRefused,
}

impl What {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "user.registered",
            Self::Login => "login",
            Self::LoginLocked => "login.locked",
            Self::Logout => "logout",
            Self::SessionEnded => "session.ended",
            Self::SessionsEnded => "sessions.ended",
            Self::RefreshReused => "refresh.reused",
            Self::PasswordChanged => "password.changed",
            Self::PasswordReset => "password.reset",
            Self::ResetRequested => "password.reset_requested",
            Self::EmailVerified => "email.verified",
            Self::OrganizationMade => "organization.made",
            Self::OrganizationRenamed => "organization.renamed",
            Self::MemberInvited => "member.invited",
            Self::InvitationWithdrawn => "invitation.withdrawn",
            Self::MemberJoined => "member.joined",
            Self::MemberRoleChanged => "member.role_changed",
            Self::MemberRemoved => "member.removed",
            Self::MemberLeft => "member.left",
            Self::OrganizationSwitched => "organization.switched",
            Self::KeyMade => "key.made",
            Self::KeyRotated => "key.rotated",
            Self::KeyRevoked => "key.revoked",
            Self::WalletLogin => "wallet.login",
            Self::IdentityLinked => "identity.linked",
            Self::IdentityUnlinked => "identity.unlinked",
            Self::IdentityRefused => "identity.refused",
        }
    }
}

/// Something that happened, to be noted.
#[derive(Clone, Debug)]
pub struct Happened<'a> {
    what: What,
    refused: bool,
    from: &'a Origin,
    user: Option<UserId>,
    organization: Option<OrganizationId>,
    subject: Option<String>,
}

impl<'a> Happened<'a> {
    /// It went well.
    pub fn new(what: What, from: &'a Origin) -> Self {
        Self {
            what,
            refused: false,
            from,
            user: None,
            organization: None,
            subject: None,
        }
    }

    /// It was refused.
    pub fn refused(what: What, from: &'a Origin) -> Self {
        Self {
            refused: true,
            ..Self::new(what, from)
        }
    }

    /// Who did it.
    #[must_use]
    pub fn by(self, user: UserId) -> Self {
        Self {
            user: Some(user),
            ..self
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub fn of(self, organization: OrganizationId) -> Self {
        Self {
            organization: Some(organization),
            ..self
        }
    }

    /// What it was done to.
    #[must_use]
    pub fn to(self, subject: impl std::fmt::Display) -> Self {
        Self {
            subject: Some(subject.to_string()),
            ..self
        }
    }

    /// Notes it, with the statements of the same transaction.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note(self, app: &App, db: impl PgExecutor<'_>) -> Result<()> {
        let Self {
            what,
            refused,
            from,
            user,
            organization,
            subject,
        } = self;
        let new = NewEvent {
            event: what.name(),
            refused,
            user,
            organization,
            subject,
            address: Some(from.address.to_string()),
            request_id: from.request_id.as_deref(),
        };
        store::security_events::insert(db, &new, app.clock.now()).await?;
        let outcome = if refused { "refused" } else { "ok" };
        metrics::counter!("violet_security_events_total", "event" => what.name(), "outcome" => outcome)
            .increment(1);
        Ok(())
    }
}

/// A page of events, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, filter: &Filter, limit: u16) -> Result<Vec<Event>> {
    Ok(store::security_events::list(&app.db, filter, i64::from(limit)).await?)
}
