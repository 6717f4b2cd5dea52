//! `/api/v1/usage`
use axum::{Json as Body, extract::State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{principal::May, problem::ApiError};
use crate::{
    app::App,
    domain::{
        OrganizationId,
        access::may,
        quotas::{Amounts, Quota},
    },
    services::quotas,
    store::quotas::Day,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_usage))
}

/// A quota, and what is used of it.
#[derive(Debug, Serialize, ToSchema)]
struct Used {
    used: i64,
    /// Null: there is none.
    limit: Option<i64>,
    remaining: Option<i64>,
}

impl Used {
    fn of(quota: Quota, used: Amounts, limits: Amounts) -> Self {
        let used = used.of(quota);
        let limit = Some(limits.of(quota)).filter(|limit| *limit != i64::MAX);
        Self {
            used,
            limit,
            remaining: limit.map(|limit| (limit - used).max(0)),
        }
    }
}

/// What was used on a day.
#[derive(Debug, Serialize, ToSchema)]
struct DayOfUse {
    day: NaiveDate,
    tasks: i64,
    characters: i64,
    audio_seconds: f64,
}

impl From<Day> for DayOfUse {
    fn from(day: Day) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let audio_seconds = day.audio_millis as f64 / 1000.0;
        Self {
            day: day.day,
            tasks: day.tasks,
            characters: day.characters,
            audio_seconds,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    organization_id: OrganizationId,
    /// Tasks that have not ended.
    concurrent_tasks: Used,
    daily_tasks: Used,
    /// Of texts; documents do not count.
    daily_characters: Used,
    /// Of recordings and videos; exact for WAV, and otherwise an estimate by size.
    daily_audio_seconds: Used,
    /// Bytes of all files, those that miners answered with included.
    stored_bytes: Used,
    /// When the quotas of a day begin anew: midnight in UTC.
    resets_at: DateTime<Utc>,
    /// The last 30 days on which something was used, newest first.
    days: Vec<DayOfUse>,
}

/// What your organisation uses, and what it may use.
#[utoipa::path(
    get, path = "/usage", tag = "accounts", security(("api_key" = ["usage:read"])),
    responses((status = 200, description = "Today, and the days before", body = Usage), ApiError)
)]
async fn get_usage(State(app): State<App>, client: May<may::ReadUsage>) -> Result<Body<Usage>, ApiError> {
    let quotas::Usage {
        standing,
        resets_at,
        days,
    } = quotas::usage(&app, client.organization).await?;
    let used = |quota| Used::of(quota, standing.used, standing.limits);
    Ok(Body(Usage {
        organization_id: client.organization,
        concurrent_tasks: used(Quota::ConcurrentTasks),
        daily_tasks: used(Quota::DailyTasks),
        daily_characters: used(Quota::DailyCharacters),
        daily_audio_seconds: used(Quota::DailyAudioSeconds),
        stored_bytes: used(Quota::StoredBytes),
        resets_at,
        days: days.into_iter().map(DayOfUse::from).collect(),
    }))
}
