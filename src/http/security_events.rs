//! `/api/v1/admin/security-events` and `/api/v1/organization/security-events`: what happened around accounts.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Page, Query},
    principal::{Administrator, SignedMay},
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{OrganizationId, UserId, access::may},
    services::security,
    store::security_events::{Event, Filter},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_security_events))
        .routes(routes!(list_own_security_events))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Of this name, such as `login`.
    event: Option<String>,
    /// `ok` or `refused`.
    outcome: Option<String>,
    /// Done by this user.
    user_id: Option<UserId>,
    /// Not before this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
}

/// Of whom.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Concerning this organisation.
    organization_id: Option<OrganizationId>,
}

#[derive(Serialize, ToSchema)]
struct Events {
    count: usize,
    events: Vec<Event>,
    /// What to send as `before` for the next page; null when this is the last.
    next: Option<i64>,
}

async fn page(
    app: &App,
    which: Which,
    organization: Option<OrganizationId>,
    page: Page<i64>,
) -> Result<Body<Events>, ApiError> {
    let Which {
        event,
        outcome,
        user_id,
        since,
        until,
    } = which;
    let filter = Filter {
        organization,
        user: user_id,
        event,
        outcome,
        since,
        until,
        before: page.before,
    };
    let limit = page.limit();
    let mut events = security::list(app, &filter, limit + 1).await?;
    let is_last = events.len() <= usize::from(limit);
    events.truncate(limit.into());
    Ok(Body(Events {
        count: events.len(),
        next: events.last().map(|last| last.event_id).filter(|_| !is_last),
        events,
    }))
}

/// List what happened around accounts: logins, passwords, keys, members. For administrators of the platform.
#[utoipa::path(
    get, path = "/admin/security-events", tag = "administration", security(("session" = ["admin"])),
    params(Which, Of, Page<i64>),
    responses((status = 200, description = "A page of events, newest first", body = Events), ApiError)
)]
async fn list_security_events(
    State(app): State<App>,
    _who: Administrator,
    Query(which): Query<Which>,
    Query(Of { organization_id }): Query<Of>,
    Query(wanted): Query<Page<i64>>,
) -> Result<Body<Events>, ApiError> {
    page(&app, which, organization_id, wanted).await
}

/// List what happened around the organisation: logins for it, keys, members.
#[utoipa::path(
    get, path = "/organization/security-events", tag = "organisations", security(("session" = ["security:read"])),
    params(Which, Page<i64>),
    responses((status = 200, description = "A page of events, newest first", body = Events), ApiError)
)]
async fn list_own_security_events(
    State(app): State<App>,
    who: SignedMay<may::ReadSecurityEvents>,
    Query(which): Query<Which>,
    Query(wanted): Query<Page<i64>>,
) -> Result<Body<Events>, ApiError> {
    page(&app, which, Some(who.actor().organization), wanted).await
}
