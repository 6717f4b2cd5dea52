//! Counts failures, and keeps whoever had too many from trying again for a while. Shared by all replicas.
use std::net::IpAddr;

use chrono::TimeDelta;

use crate::{
    app::App,
    domain::lockout::Patience,
    error::{Error, Result},
    services::secrets,
    store,
};

/// What may be tried at once could be tried since then: for another replica, or for a request that waited its turn, this
/// moment may still be to come.
const LONG_AGO: TimeDelta = TimeDelta::hours(1);

/// Whom failures count against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    name: String,
    patience: Patience,
}

impl Subject {
    /// An account, whether there is one or not.
    pub fn account(app: &App, email: &str) -> Self {
        Self {
            // Strangers choose it: hashed, it has one length and no surprise.
            name: format!("account:{}", hex::encode(secrets::hash(email))),
            patience: app.config.accounts.login_per_account,
        }
    }

    /// Where logins come from.
    pub fn address(app: &App, address: IpAddr) -> Self {
        Self {
            name: format!("address:{}", network(address)),
            patience: app.config.accounts.login_per_address,
        }
    }

    /// Where mails are asked for.
    pub fn mails(app: &App, address: IpAddr) -> Self {
        Self {
            name: format!("mails:{}", network(address)),
            patience: app.config.accounts.mails_per_address,
        }
    }
}

/// Who has one address of IPv6 has as many as it likes; what it has is a network.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// What counting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// If this attempt fails it is the first that locks somebody out.
    pub locks: bool,
}

/// Counts an attempt as a failure, against all subjects or none. It is counted before it is known how it ends: attempts
/// at the same time are no way around a wait.
///
/// # Errors
/// 429 when one of them must wait; the same for accounts that exist and those that do not.
pub async fn count(app: &App, subjects: &[&Subject]) -> Result<Counted> {
    let now = app.clock.now();
    let forgotten = now - seconds(app.config.accounts.forget_failures_seconds);
    let mut names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    names.sort();
    let mut tx = app.db.begin().await?;
    let mut found = store::login_attempts::lock(&mut tx, &names, now - LONG_AGO).await?;
    let wait = found.iter().map(|attempts| attempts.next_at - now).max();
    if let Some(wait) = wait.filter(|wait| *wait > TimeDelta::zero()) {
        // Nothing is counted: whoever cannot try does not fail.
        metrics::counter!("violet_logins_held_back_total").increment(1);
        return Err(Error::TooMany {
            reason: "too many failed attempts".into(),
            after: (wait + TimeDelta::milliseconds(999)).to_std().unwrap_or_default(),
        });
    }
    let mut locks = false;
    for attempts in &mut found {
        let Some(subject) = subjects.iter().find(|subject| subject.name == attempts.subject) else {
            continue;
        };
        let before = if attempts.last_at < forgotten {
            0
        } else {
            attempts.failures
        };
        attempts.failures = before.saturating_add(1);
        attempts.last_at = now;
        let failures = u32::try_from(attempts.failures).unwrap_or(u32::MAX);
        let wait = subject.patience.wait(failures);
        if !wait.is_zero() {
            attempts.next_at = now + seconds(wait.as_secs());
        }
        locks |= subject.patience.locks_at(failures);
        store::login_attempts::set(&mut *tx, attempts).await?;
    }
    tx.commit().await?;
    Ok(Counted { locks })
}

/// An attempt went well: the account begins anew, the address had one failure less.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn forgive(
    app: &App,
    db: &mut sqlx::PgConnection,
    account: &Subject,
    address: &Subject,
) -> Result<()> {
    store::login_attempts::forget(&mut *db, &account.name).await?;
    take_back(app, db, address).await
}

/// An attempt went well: there was one failure less.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn take_back(app: &App, db: &mut sqlx::PgConnection, subject: &Subject) -> Result<()> {
    Ok(store::login_attempts::take_back(db, &subject.name, app.clock.now() - LONG_AGO).await?)
}

/// Nothing counts against the account any more.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn forget_account(db: &mut sqlx::PgConnection, account: &Subject) -> Result<()> {
    Ok(store::login_attempts::forget(db, &account.name).await?)
}

/// A span of time; longer ones than a century are one.
pub(crate) fn seconds(seconds: u64) -> TimeDelta {
    const CENTURY: u64 = 36_525 * 86_400;
    TimeDelta::seconds(i64::try_from(seconds.min(CENTURY)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ipv6_a_network_counts() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}
