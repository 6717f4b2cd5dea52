//! Table `invitations`.
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::{InvitationId, OrganizationId, UserId, access::OrganizationRole};

/// An invitation to be stored.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct NewInvitation<'a> {
    pub id: InvitationId,
    pub organization: OrganizationId,
    pub invited_by: UserId,
    pub email: &'a str,
    pub role: OrganizationRole,
    pub at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub hash: Option<[u8; 32]>,
}

pub(crate) async fn insert(db: impl PgExecutor<'_>, new: &NewInvitation<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        insert into invitations
            (invitation_id, organization_id, invited_by, email, role, created_at, expires_at, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        new.id as InvitationId,
        new.organization as OrganizationId,
        new.invited_by as UserId,
        new.email,
        new.role as OrganizationRole,
        new.at,
        new.expires_at,
        new.hash.as_ref().map(|hash| &hash[..]),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An invitation that can still be accepted.
#[derive(Debug)]
#[expect(missing_docs, reason = "named like the columns")]
pub struct Invitation {
    pub invitation_id: InvitationId,
    pub organization_id: OrganizationId,
    pub organization: String,
    pub invited_by: UserId,
    pub email: String,
    pub role: OrganizationRole,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The open invitations of an organisation, the newest first.
pub(crate) async fn list(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Vec<Invitation>, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"
        select i.invitation_id as "invitation_id: InvitationId", i.organization_id as "organization_id: OrganizationId",
               o.name as organization, i.invited_by as "invited_by: UserId", i.email, i.role, i.created_at, i.expires_at
        from invitations i join organizations o using (organization_id)
        where i.organization_id = $1 and i.accepted_at is null and i.withdrawn_at is null and i.expires_at > $2
        order by i.invitation_id desc
        "#,
        organization as OrganizationId,
        now,
    )
    .fetch_all(db)
    .await
}

/// An open invitation.
pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    invitation: InvitationId,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, sqlx::Error> {
    sqlx::query_as!(
        Invitation,
        r#"
        select i.invitation_id as "invitation_id: InvitationId", i.organization_id as "organization_id: OrganizationId",
               o.name as organization, i.invited_by as "invited_by: UserId", i.email, i.role, i.created_at, i.expires_at
        from invitations i join organizations o using (organization_id)
        where i.invitation_id = $1 and i.accepted_at is null and i.withdrawn_at is null and i.expires_at > $2
        "#,
        invitation as InvitationId,
        now,
    )
    .fetch_optional(db)
    .await
}

/// The link of the invitation is the one with this token from now on.
pub(crate) async fn set_hash(
    db: impl PgExecutor<'_>,
    invitation: InvitationId,
    hash: [u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update invitations set hash = $2 where invitation_id = $1",
        invitation as InvitationId,
        &hash[..],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Withdraws open invitations of an organisation: one, or all to an address. Tells how many there were.
pub(crate) async fn withdraw(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    invitation: Option<InvitationId>,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let withdrawn = sqlx::query!(
        r#"
        update invitations set withdrawn_at = $4
        where organization_id = $1 and (invitation_id = $2 or email = $3)
          and accepted_at is null and withdrawn_at is null and expires_at > $4
        "#,
        organization as OrganizationId,
        invitation as Option<InvitationId>,
        email,
        now,
    )
    .execute(db)
    .await?;
    Ok(withdrawn.rows_affected())
}

/// Accepts the invitation with this token, if it is open and to this address: where to, and as what.
pub(crate) async fn accept(
    db: impl PgExecutor<'_>,
    hash: [u8; 32],
    email: &str,
    now: DateTime<Utc>,
) -> Result<Option<(OrganizationId, OrganizationRole)>, sqlx::Error> {
    let accepted = sqlx::query!(
        r#"
        update invitations set accepted_at = $3
        where hash = $1 and email = $2 and accepted_at is null and withdrawn_at is null and expires_at > $3
        returning organization_id as "organization_id: OrganizationId", role
        "#,
        &hash[..],
        email,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(accepted.map(|accepted| (accepted.organization_id, accepted.role)))
}
