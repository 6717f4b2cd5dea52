//! Quotas of organisations: kept by the transaction that accepts tasks, whatever other replicas accept meanwhile.
//!
//! Usually a batch is stored in one statement that also adds what it uses, and constraints of the tables refuse it when a
//! quota would be exceeded. Only then it is looked at task by task, with the organisations' rows locked.
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use moka::future::Cache;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    app::App,
    domain::{
        OrganizationId, TaskId,
        quotas::{Amounts, Quota},
        task::InputKind,
    },
    error::{Error, Result},
    store::{
        self,
        quotas::{CONSTRAINTS, Day, Override, Standing},
        submissions::NewTask,
    },
};

/// An organisation with no task left is refused without a look for this long: of tasks at the same time one may end at any
/// moment, and a quota of a day may be raised.
const REMEMBERED: Duration = Duration::from_millis(100);
const MOST_REMEMBERED: u64 = 10_000;
/// When to try again where a task must end first.
const SOON: Duration = Duration::from_secs(5);
/// Days that are shown.
const DAYS: u16 = 30;

/// Organisations that had no task left a moment ago.
#[derive(Debug)]
pub struct Exhausted(Cache<OrganizationId, (Quota, i64)>);

impl Default for Exhausted {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
        )
    }
}

/// Whether the database refused a batch because of a quota.
pub(crate) fn is_exceeded(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    constraint.is_some_and(|name| CONSTRAINTS.contains(&name))
}

/// The settings.
pub(crate) fn usual(app: &App) -> Amounts {
    app.config.quotas.into()
}

/// Refuses an organisation that had nothing left a moment ago.
///
/// # Errors
/// 429 with the quota.
pub(crate) async fn check_remembered(app: &App, organization: OrganizationId) -> Result<()> {
    match app.exhausted.0.get(&organization).await {
        Some((quota, limit)) => Err(exceeded(app, quota, limit)),
        None => Ok(()),
    }
}

/// Refuses an organisation that has nothing left, before it sends something large. What it sends is counted later.
///
/// # Errors
/// 429 with the quota.
pub async fn check(app: &App, organization: OrganizationId, input: InputKind) -> Result<()> {
    check_remembered(app, organization).await?;
    let standing = standing(app, organization).await?;
    let sounds = matches!(input, InputKind::Audio | InputKind::Video);
    check_room(app, standing, Amounts::of_task(0, u64::from(sounds), 1))
}

/// Refuses an organisation that has no room for another file, before it sends one.
///
/// # Errors
/// 429 with the quota.
pub async fn check_storage(app: &App, organization: OrganizationId) -> Result<()> {
    let standing = standing(app, organization).await?;
    let wanted = Amounts {
        stored_bytes: 1,
        ..Amounts::default()
    };
    let standing = Standing {
        // What else is used up does not matter to a file.
        used: Amounts {
            stored_bytes: standing.used.stored_bytes,
            ..Amounts::default()
        },
        ..standing
    };
    check_room(app, standing, wanted)
}

fn check_room(app: &App, standing: Standing, wanted: Amounts) -> Result<()> {
    let next = standing.used.plus(wanted);
    match next.beyond(standing.limits) {
        Some(quota) => Err(exceeded(app, quota, standing.limits.of(quota))),
        None => Ok(()),
    }
}

/// Where an organisation stands now.
async fn standing(app: &App, organization: OrganizationId) -> Result<Standing> {
    let mut found = store::quotas::read(&app.db, &[organization.into()], usual(app)).await?;
    let mut standing = found
        .pop()
        .ok_or_else(|| Error::internal("an organisation that was asked for is not there"))?;
    standing.used.concurrent_tasks = store::quotas::count_open(&app.db, organization).await?;
    Ok(standing)
}

/// Which of these tasks are beyond a quota, in their order, each with why. Until the transaction ends nobody else accepts
/// anything for their organisations.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn refuse(
    app: &App,
    db: &mut PgConnection,
    tasks: &[&NewTask],
) -> Result<HashMap<TaskId, Error>> {
    let organizations: BTreeSet<OrganizationId> = tasks.iter().map(|task| task.organization_id).collect();
    let ids: Vec<Uuid> = organizations.into_iter().map(Into::into).collect();
    let standings = store::quotas::lock(db, &ids, usual(app)).await?;
    let mut standings: HashMap<OrganizationId, Standing> = standings
        .into_iter()
        .map(|standing| (standing.organization_id, standing))
        .collect();
    let mut refused = HashMap::new();
    for task in tasks {
        let Some(standing) = standings.get_mut(&task.organization_id) else {
            continue;
        };
        let next = standing.used.plus(task.amounts());
        let Some(quota) = next.beyond(standing.limits) else {
            standing.used = next;
            continue;
        };
        let limit = standing.limits.of(quota);
        // The others depend on what it is.
        let is_of_all = matches!(quota, Quota::ConcurrentTasks | Quota::DailyTasks);
        if is_of_all && standing.used.of(quota) >= limit {
            app.exhausted.0.insert(task.organization_id, (quota, limit)).await;
        }
        metrics::counter!("violet_tasks_refused_total", "quota" => quota.name()).increment(1);
        refused.insert(task.task_id, exceeded(app, quota, limit));
    }
    Ok(refused)
}

/// That an organisation may store no more.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn storage_exceeded(app: &App, organization: OrganizationId) -> Result<Error> {
    let limits = standing(app, organization).await?.limits;
    Ok(exceeded(app, Quota::StoredBytes, limits.stored_bytes))
}

fn exceeded(app: &App, quota: Quota, limit: i64) -> Error {
    let now = app.clock.now();
    let resets_at = quota.is_daily().then(|| end_of_day(now));
    let after = resets_at.map_or(SOON, |at| (at - now).to_std().unwrap_or_default());
    Error::QuotaExceeded {
        quota,
        limit,
        resets_at,
        after,
    }
}

/// When the quotas of a day begin anew.
fn end_of_day(now: DateTime<Utc>) -> DateTime<Utc> {
    let next = now
        .date_naive()
        .checked_add_days(Days::new(1))
        .unwrap_or(NaiveDate::MAX);
    next.and_time(NaiveTime::MIN).and_utc()
}

/// What an organisation uses and may use.
#[derive(Debug)]
pub struct Usage {
    /// Of today, in UTC.
    pub standing: Standing,
    /// When the quotas of a day begin anew.
    pub resets_at: DateTime<Utc>,
    /// The last days on which something was used, newest first.
    pub days: Vec<Day>,
}

/// What an organisation uses and may use.
///
/// # Errors
/// When the database does not answer.
pub async fn usage(app: &App, organization: OrganizationId) -> Result<Usage> {
    Ok(Usage {
        standing: standing(app, organization).await?,
        resets_at: end_of_day(app.clock.now()),
        days: store::quotas::days(&app.db, organization, DAYS).await?,
    })
}

/// Sets the quotas of one organisation in place of the settings.
///
/// # Errors
/// When the database does not answer.
pub async fn set(app: &App, organization: OrganizationId, quotas: Override) -> Result<()> {
    Ok(store::quotas::set(&app.db, organization, quotas).await?)
}
