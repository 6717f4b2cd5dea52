//! Table `security_events`: written and read, never changed.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::{OrganizationId, UserId};

/// Something that happened around an account, to be kept.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewEvent<'a> {
    pub event: &'a str,
    pub refused: bool,
    pub user: Option<UserId>,
    pub organization: Option<OrganizationId>,
    pub subject: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<&'a str>,
}

pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    new: &NewEvent<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into security_events (at, event, outcome, user_id, organization_id, subject, address, request_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        now,
        new.event,
        if new.refused { "refused" } else { "ok" },
        new.user as Option<UserId>,
        new.organization as Option<OrganizationId>,
        new.subject,
        new.address,
        new.request_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An event as it was kept.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SecurityEvent)]
pub struct Event {
    /// Its place in the order of events.
    pub event_id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: String,
    /// `ok` or `refused`.
    pub outcome: String,
    /// Who did it, if that is known.
    pub user_id: Option<UserId>,
    /// Whom it concerns, if an organisation.
    pub organization_id: Option<OrganizationId>,
    /// What it was done to: an address, a session, a member, a key.
    pub subject: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// The `x-request-id` of the request.
    pub request_id: Option<String>,
}

/// Which events; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Filter {
    pub organization: Option<OrganizationId>,
    pub user: Option<UserId>,
    pub event: Option<String>,
    pub outcome: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub before: Option<i64>,
}

/// A page of events, newest first.
pub(crate) async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as!(
        Event,
        r#"
        select event_id, at, event, outcome, user_id as "user_id: UserId",
               organization_id as "organization_id: OrganizationId", subject, address, request_id
        from security_events
        where ($1::uuid is null or organization_id = $1) and ($2::uuid is null or user_id = $2)
          and ($3::text is null or event = $3) and ($4::text is null or outcome = $4)
          and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6)
          and ($7::bigint is null or event_id < $7)
        order by event_id desc limit $8
        "#,
        filter.organization as Option<OrganizationId>,
        filter.user as Option<UserId>,
        filter.event,
        filter.outcome,
        filter.since,
        filter.until,
        filter.before,
        limit,
    )
    .fetch_all(db)
    .await
}
