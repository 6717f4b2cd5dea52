//! The one error an operation returns. It knows nothing of HTTP.
use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
pub use violet_chain::Causes;

use crate::domain::quotas::Quota;

/// What an operation may answer instead of a result. Texts address the caller, name the thing and the remedy.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("{what} not found")]
    NotFound { what: &'static str },
    #[error("{0}")]
    Conflict(String),
    /// A value that cannot be taken; `field` is its name on the wire.
    #[error("{field}: {detail}")]
    Invalid { field: &'static str, detail: String },
    /// A value that is larger than its limit.
    #[error("{field}: {detail}")]
    TooLarge { field: &'static str, detail: String },
    /// Content of another kind than the operation takes.
    #[error("{field}: {detail}")]
    UnsupportedMedia { field: &'static str, detail: String },
    /// A request that broke off, or is not what it says it is.
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    Forbidden(String),
    /// Nobody can do what is asked; says what is served.
    #[error("{0}")]
    NoEngine(String),
    /// The same `Idempotency-Key` came with another request.
    #[error("this Idempotency-Key was used for another request; use a new one")]
    KeyReused,
    /// Asked too often; nothing was done.
    #[error("{reason}; try again in {} s", after.as_secs().max(1))]
    TooMany { reason: String, after: Duration },
    /// More than the organisation may use.
    #[error("{} in your organisation at most; {}", quota_limit(*quota, *limit), quota_remedy(*resets_at))]
    QuotaExceeded {
        quota: Quota,
        limit: i64,
        /// When a new day begins; without, when a task ends.
        resets_at: Option<DateTime<Utc>>,
        after: Duration,
    },
    #[error("{reason}; try again in {} s", after.as_secs())]
    Unavailable { reason: &'static str, after: Duration },
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What every operation returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refused value.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            detail: detail.into(),
        }
    }

    /// Something that should not happen, with what led to it.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// The same error for each of those that waited for one result.
    pub fn shared(error: &Arc<Self>) -> Self {
        match **error {
            Self::Unavailable { reason, after } => Self::Unavailable { reason, after },
            _ => Self::internal(Arc::clone(error)),
        }
    }
}

fn quota_limit(quota: Quota, limit: i64) -> String {
    format!("{limit} {}", quota.what())
}

fn quota_remedy(resets_at: Option<DateTime<Utc>>) -> String {
    resets_at.map_or_else(
        || "wait until one of them ends".into(),
        |at| {
            format!(
                "the next day begins at {}",
                at.to_rfc3339_opts(SecondsFormat::Secs, true)
            )
        },
    )
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // The database is away or busy: the caller may try again, nothing was stored.
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                tracing::warn!(error = %crate::error::Causes(&error), "the database does not answer");
                Self::Unavailable {
                    reason: "the database does not answer",
                    after: Duration::from_secs(2),
                }
            }
            error if is_passing(&error) => {
                tracing::warn!(error = %Causes(&error), "the database asks to try again");
                Self::Unavailable {
                    reason: "the database is busy or restarting",
                    after: Duration::from_secs(1),
                }
            }
            error => Self::Internal(Box::new(error)),
        }
    }
}

/// Whether the same may succeed a moment later: SQLSTATE classes 40 (deadlock, serialization), 53 (no resources) and
/// 57 (shutdown, restart).
fn is_passing(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["40", "53", "57"].iter().any(|class| code.starts_with(class)))
}

/// Turns a violated constraint, by name, into the error it means.
pub trait OnConstraint<T> {
    /// `error` when the constraint `name` was violated, otherwise what the database said.
    fn on_constraint(self, name: &str, error: Error) -> Result<T>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    fn on_constraint(self, name: &str, error: Error) -> Result<T> {
        self.map_err(|e| match e.as_database_error().and_then(|e| e.constraint()) {
            Some(violated) if violated == name => error,
            _ => e.into(),
        })
    }
}
