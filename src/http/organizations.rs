//! `/api/v1/organizations`, `/api/v1/organization` and `/api/v1/invitations`: teams, their members and who joins.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Json, Path},
    principal::{Client, May, SignedIn, SignedMay},
    problem::ApiError,
    sessions::{DONE, Done, Organization},
};
use crate::{
    app::App,
    domain::{
        InvitationId, UserId,
        access::{OrganizationRole, may},
    },
    error::Error,
    services::{organizations, security::Origin, sessions},
    store::{invitations::Invitation as StoredInvitation, memberships::Member as StoredMember},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_organizations, create_organization))
        .routes(routes!(get_organization, rename_organization))
        .routes(routes!(list_members))
        .routes(routes!(change_member, remove_member))
        .routes(routes!(leave_organization))
        .routes(routes!(list_invitations, invite_member))
        .routes(routes!(withdraw_invitation))
        .routes(routes!(accept_invitation))
}

#[derive(Serialize, ToSchema)]
struct Organizations {
    count: usize,
    organizations: Vec<Organization>,
}

/// List the organisations that you are a member of, your own first.
#[utoipa::path(
    get, path = "/organizations", tag = "organisations", security(("api_key" = [])),
    responses((status = 200, description = "All of them", body = Organizations), ApiError)
)]
async fn list_organizations(State(app): State<App>, client: Client) -> Result<Body<Organizations>, ApiError> {
    let (_, found) = sessions::me(&app, client.user).await?;
    let organizations: Vec<Organization> = found.into_iter().map(Into::into).collect();
    Ok(Body(Organizations {
        count: organizations.len(),
        organizations,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOrganization {
    /// 1 to 100 characters.
    name: String,
    /// A short name: 3 to 50 of a-z, 0-9 and -. Made of the name unless it is given.
    slug: Option<String>,
}

/// Make an organisation; you own it. `/auth/switch` lets you act for it.
#[utoipa::path(
    post, path = "/organizations", tag = "organisations", security(("session" = [])),
    responses(
        (status = 200, description = "It is there", body = Organization),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn create_organization(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Json(new): Json<NewOrganization>,
) -> Result<Body<Organization>, ApiError> {
    let NewOrganization { name, slug } = new;
    let made = organizations::create(&app, &from, who.client.user, &name, slug.as_deref()).await?;
    Ok(Body(made.into()))
}

/// Read the organisation that your credentials act for.
#[utoipa::path(
    get, path = "/organization", tag = "organisations", security(("api_key" = [])),
    responses((status = 200, description = "The organisation, with your role", body = Organization), ApiError)
)]
async fn get_organization(State(app): State<App>, client: Client) -> Result<Body<Organization>, ApiError> {
    let found = organizations::get(&app, client.user, client.organization).await?;
    Ok(Body(found.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Renaming {
    name: Option<String>,
    slug: Option<String>,
}

/// Give the organisation another name, or another slug.
#[utoipa::path(
    patch, path = "/organization", tag = "organisations", security(("session" = ["organization:manage"])),
    responses(
        (status = 200, description = "The organisation as it is now", body = Organization),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn rename_organization(
    State(app): State<App>,
    from: Origin,
    who: SignedMay<may::ManageOrganization>,
    Json(Renaming { name, slug }): Json<Renaming>,
) -> Result<Body<Organization>, ApiError> {
    if name.is_none() && slug.is_none() {
        return Err(Error::invalid("name", "or slug must be given").into());
    }
    let renamed = organizations::rename(&app, &from, who.actor(), name.as_deref(), slug.as_deref()).await?;
    Ok(Body(renamed.into()))
}

/// Somebody in the organisation.
#[derive(Serialize, ToSchema)]
struct Member {
    user_id: UserId,
    email: String,
    full_name: Option<String>,
    role: OrganizationRole,
    /// Since when.
    created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct Members {
    count: usize,
    members: Vec<Member>,
}

/// List who is in the organisation, and as what.
#[utoipa::path(
    get, path = "/organization/members", tag = "organisations", security(("api_key" = ["members:read"])),
    responses((status = 200, description = "Everybody", body = Members), ApiError)
)]
async fn list_members(
    State(app): State<App>,
    client: May<may::ReadMembers>,
) -> Result<Body<Members>, ApiError> {
    let found = organizations::members(&app, client.organization).await?;
    let members: Vec<Member> = found
        .into_iter()
        .map(|member| {
            let StoredMember {
                user_id,
                email,
                full_name,
                role,
                created_at,
            } = member;
            Member {
                user_id,
                email,
                full_name,
                role,
                created_at,
            }
        })
        .collect();
    Ok(Body(Members {
        count: members.len(),
        members,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: OrganizationRole,
}

/// Give a member another role.
///
/// Only owners make owners, and change what owners are. The last owner stays one.
#[utoipa::path(
    patch, path = "/organization/members/{user_id}", tag = "organisations", security(("session" = ["members:manage"])),
    params(("user_id" = UserId, Path)),
    responses((status = 200, description = "It has it", body = Done), (status = 409, description = "conflict"), ApiError)
)]
async fn change_member(
    State(app): State<App>,
    from: Origin,
    who: SignedMay<may::ManageMembers>,
    Path(id): Path<UserId>,
    Json(NewRole { role }): Json<NewRole>,
) -> Result<Body<Done>, ApiError> {
    organizations::set_role(&app, &from, who.actor(), id, role).await?;
    Ok(DONE)
}

/// Take a member out. The keys that it made for the organisation end.
#[utoipa::path(
    delete, path = "/organization/members/{user_id}", tag = "organisations", security(("session" = ["members:manage"])),
    params(("user_id" = UserId, Path)),
    responses((status = 200, description = "It is out", body = Done), (status = 409, description = "conflict"), ApiError)
)]
async fn remove_member(
    State(app): State<App>,
    from: Origin,
    who: SignedMay<may::ManageMembers>,
    Path(id): Path<UserId>,
) -> Result<Body<Done>, ApiError> {
    organizations::remove(&app, &from, who.actor(), id).await?;
    Ok(DONE)
}

/// Leave the organisation that your access token acts for. The keys that you made for it end.
#[utoipa::path(
    post, path = "/organization/leave", tag = "organisations", security(("session" = [])),
    responses((status = 200, description = "You are out", body = Done), (status = 409, description = "conflict"), ApiError)
)]
async fn leave_organization(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
) -> Result<Body<Done>, ApiError> {
    organizations::remove(&app, &from, who.client.actor(), who.client.user).await?;
    Ok(DONE)
}

/// An invitation that can be accepted.
#[derive(Serialize, ToSchema)]
struct Invitation {
    invitation_id: InvitationId,
    email: String,
    role: OrganizationRole,
    invited_by: UserId,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<StoredInvitation> for Invitation {
    fn from(invitation: StoredInvitation) -> Self {
        let StoredInvitation {
            invitation_id,
            organization_id: _,
            organization: _,
            invited_by,
            email,
            role,
            created_at,
            expires_at,
        } = invitation;
        Self {
            invitation_id,
            email,
            role,
            invited_by,
            created_at,
            expires_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Invitations {
    count: usize,
    invitations: Vec<Invitation>,
}

/// List the invitations that can be accepted, the newest first.
#[utoipa::path(
    get, path = "/organization/invitations", tag = "organisations", security(("session" = ["members:manage"])),
    responses((status = 200, description = "All of them", body = Invitations), ApiError)
)]
async fn list_invitations(
    State(app): State<App>,
    who: SignedMay<may::ManageMembers>,
) -> Result<Body<Invitations>, ApiError> {
    let found = organizations::invitations(&app, who.actor().organization).await?;
    let invitations: Vec<Invitation> = found.into_iter().map(Into::into).collect();
    Ok(Body(Invitations {
        count: invitations.len(),
        invitations,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    email: String,
    role: OrganizationRole,
}

#[derive(Serialize, ToSchema)]
struct Invited {
    #[serde(flatten)]
    invitation: Invitation,
    /// What to hand to whom you invited, where this server sends no mail; shown once. Otherwise null: it is in the mail.
    token: Option<String>,
}

/// Invite somebody by e-mail address; an invitation to the same address before ends.
///
/// Whoever accepts it must have logged in with that address.
#[utoipa::path(
    post, path = "/organization/invitations", tag = "organisations", security(("session" = ["members:manage"])),
    responses(
        (status = 200, description = "It can be accepted", body = Invited),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "too-many-requests"),
        ApiError
    )
)]
async fn invite_member(
    State(app): State<App>,
    from: Origin,
    who: SignedMay<may::ManageMembers>,
    Json(Invite { email, role }): Json<Invite>,
) -> Result<Body<Invited>, ApiError> {
    let invited = organizations::invite(&app, &from, who.actor(), &email, role).await?;
    Ok(Body(Invited {
        invitation: invited.invitation.into(),
        token: invited.token.map(|token| token.reveal().to_owned()),
    }))
}

/// Take an invitation back.
#[utoipa::path(
    delete, path = "/organization/invitations/{invitation_id}", tag = "organisations",
    security(("session" = ["members:manage"])),
    params(("invitation_id" = InvitationId, Path)),
    responses((status = 200, description = "Nobody can accept it any more", body = Done), ApiError)
)]
async fn withdraw_invitation(
    State(app): State<App>,
    from: Origin,
    who: SignedMay<may::ManageMembers>,
    Path(id): Path<InvitationId>,
) -> Result<Body<Done>, ApiError> {
    organizations::withdraw(&app, &from, who.actor(), id).await?;
    Ok(DONE)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// From the mail.
    token: String,
}

/// Accept an invitation to your e-mail address. `/auth/switch` lets you act for the organisation.
#[utoipa::path(
    post, path = "/invitations/accept", tag = "organisations", security(("session" = [])),
    responses(
        (status = 200, description = "You are a member", body = Organization),
        (status = 422, description = "invalid-value"),
        ApiError
    )
)]
async fn accept_invitation(
    State(app): State<App>,
    from: Origin,
    who: SignedIn,
    Json(Accept { token }): Json<Accept>,
) -> Result<Body<Organization>, ApiError> {
    let joined = organizations::accept(&app, &from, who.client.user, &token).await?;
    Ok(Body(joined.into()))
}
