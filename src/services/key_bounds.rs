//! What a new key may be: its name, its scopes and its end, none of which go beyond those of its maker.
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::App,
    domain::{access::Grant, scopes},
    error::{Error, Result},
};

const LONGEST_NAME: usize = 100;

/// What a key is called.
pub(super) fn name(name: &str) -> Result<String> {
    let name = name.trim();
    let length = name.chars().count();
    if name.chars().any(char::is_control) || !(1..=LONGEST_NAME).contains(&length) {
        return Err(Error::invalid(
            "name",
            format!("must have 1 to {LONGEST_NAME} printable characters"),
        ));
    }
    Ok(name.to_owned())
}

/// What a key with these scopes may do, all of which its maker must have.
pub(super) fn grant(own: Grant, scopes: Option<&[String]>) -> Result<Grant> {
    let Some(asked) = scopes else {
        return Ok(own.and(Grant::without_scopes()));
    };
    let mut grant = Grant::only([]);
    for scope in asked {
        let named = Grant::of_scope(scope).ok_or_else(|| {
            let shown: String = scope.chars().take(40).collect();
            let known = scopes::all().join(", ");
            Error::invalid("scopes", format!("{shown:?} is none of {known}"))
        })?;
        grant = Grant::only(grant.permissions().chain(named.permissions()));
    }
    if grant == Grant::only([]) {
        return Err(Error::invalid("scopes", "must name at least one"));
    }
    let beyond = grant.beyond(own).names();
    if !beyond.is_empty() {
        return Err(Error::Forbidden(format!(
            "nobody gives more than it has: {} is not yours to give",
            beyond.join(", ")
        )));
    }
    Ok(grant)
}

/// When a new key ends.
pub(super) fn expiry(
    app: &App,
    own: Option<DateTime<Utc>>,
    asked: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    // As exact as it is stored.
    let asked = asked.and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros()));
    let Some(at) = asked.or(own) else {
        return Ok(None);
    };
    let (now, days) = (app.clock.now(), app.config.keys.longest_days);
    if at <= now {
        return Err(Error::invalid("expires_at", "must be in the future"));
    }
    if at > now + TimeDelta::days(i64::from(days)) {
        return Err(Error::invalid(
            "expires_at",
            format!("must be within {days} days; leave it out for a key without an end"),
        ));
    }
    match own {
        Some(own) if at > own => Err(Error::invalid(
            "expires_at",
            format!(
                "must not be after that of the key that makes it, {}",
                own.to_rfc3339()
            ),
        )),
        _ => Ok(Some(at)),
    }
}
