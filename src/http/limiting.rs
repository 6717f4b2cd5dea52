//! Limits of requests: everybody is counted by address until it is known who it is, and then as that.
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{client_address::client_address, problem::ApiError};
use crate::{
    app::App,
    domain::rates::{STRETCH, Standing},
    services::limiting::{self, Subject},
};

/// Headers that say who is asking.
const CREDENTIALS: &[&str] = &[
    "x-api-key",
    "authorization",
    "x-bittensor-hotkey",
    "epistula-signed-by",
    "x-chutes-hotkey",
    "validator-hotkey",
    "bt_header_dendrite_hotkey",
];

/// What a request counts for; who recognises its sender says so here.
#[derive(Clone, Debug)]
pub(super) struct Tally(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    address: Subject,
    /// Of the address with the credentials that were shown.
    hint: Option<u64>,
    /// When it was counted for the address.
    charged_at: Option<u64>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    recognised: bool,
    standings: Vec<(Subject, Standing)>,
}

impl Tally {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its sender is no stranger: the address is given back what was counted for it.
    pub(super) async fn recognised(&self, app: &App) {
        if std::mem::replace(&mut self.known().recognised, true) {
            return;
        }
        if let Some(at) = self.0.charged_at {
            app.rates.give_back(self.0.address, at, limiting::now(app));
        }
        if let Some(hint) = self.0.hint {
            app.rates.recognise(hint).await;
        }
    }
}

impl FromRequestParts<App> for Tally {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts, app))
    }
}

impl Tally {
    /// That of a request.
    fn of(parts: &Parts, app: &App) -> Self {
        let tally = parts.extensions.get::<Self>().cloned();
        tally.unwrap_or_else(|| Self::uncounted(parts, app))
    }

    fn uncounted(parts: &Parts, app: &App) -> Self {
        let address = client_address(parts, app);
        let shown: Vec<&[u8]> = CREDENTIALS
            .iter()
            .filter_map(|name| parts.headers.get(*name))
            .map(HeaderValue::as_bytes)
            .collect();
        Self(Arc::new(Counted {
            address: Subject::address(address),
            hint: (!shown.is_empty()).then(|| app.rates.hint(address, &shown)),
            charged_at: None,
            known: Mutex::default(),
        }))
    }

    fn charged(&self, at: u64) -> Self {
        let Counted { address, hint, .. } = *self.0;
        Self(Arc::new(Counted {
            address,
            hint,
            charged_at: Some(at),
            known: Mutex::default(),
        }))
    }
}

/// Counts a request of somebody who was recognised.
pub(super) async fn admit(parts: &Parts, app: &App, subjects: &[Subject]) -> Result<(), ApiError> {
    let tally = Tally::of(parts, app);
    tally.recognised(app).await;
    let admission = app.rates.admit(subjects, limiting::now(app)).await;
    let checked = admission.check();
    tally.known().standings = admission.standings;
    Ok(checked?)
}

/// Counts requests of the API before anything is done for them, and tells the sender where it stands.
///
/// Whoever is unknown counts for its address until it is recognised. One that was lately is let pass first, so that
/// nobody is shut out by strangers at the same address; if it is none after all, it counts afterwards.
pub(super) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let mut tally = Tally::uncounted(&parts, &app);
    let address = tally.0.address;
    let mut standings = Vec::new();
    if !tally.0.hint.is_some_and(|hint| app.rates.knows(hint)) {
        let now = limiting::now(&app);
        let admission = app.rates.admit(&[address], now).await;
        standings.clone_from(&admission.standings);
        if let Err(error) = admission.check() {
            let mut refusal = ApiError::from(error).into_response();
            tell(refusal.headers_mut(), &standings);
            return refusal;
        }
        tally = tally.charged(now);
    }
    parts.extensions.insert(tally.clone());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let known = std::mem::take(&mut *tally.known());
    if known.recognised {
        standings = known.standings;
    } else if tally.0.charged_at.is_none() {
        app.rates.charge(address, limiting::now(&app));
    }
    tell(response.headers_mut(), &standings);
    response
}

/// Where the sender stands: as the IETF's draft has it, for each limit, and in the way of before, for the nearest one.
fn tell(headers: &mut HeaderMap, standings: &[(Subject, Standing)]) {
    let Some((_, nearest)) = standings.iter().min_by_key(|(_, standing)| standing.remaining) else {
        return;
    };
    let list = |item: &dyn Fn(&str, &Standing) -> String| {
        let items: Vec<String> = standings
            .iter()
            .map(|(subject, standing)| item(subject.name(), standing))
            .collect();
        items.join(", ")
    };
    let window = STRETCH / 1000;
    let policy = list(&|name, standing| format!("\"{name}\";q={};w={window}", standing.limit));
    let state =
        list(&|name, standing| format!("\"{name}\";r={};t={}", standing.remaining, seconds(standing)));
    for (name, value) in [
        ("ratelimit-policy", policy),
        ("ratelimit", state),
        ("ratelimit-limit", nearest.limit.to_string()),
        ("ratelimit-remaining", nearest.remaining.to_string()),
        ("ratelimit-reset", seconds(nearest).to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Rounded up.
fn seconds(standing: &Standing) -> u64 {
    standing.reset.as_secs() + u64::from(standing.reset.subsec_nanos() > 0)
}
