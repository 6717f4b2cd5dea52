//! Organisations: who is in them, as what, and how one gets in and out.
use crate::{
    app::App,
    domain::{InvitationId, OrganizationId, UserId, access::OrganizationRole},
    error::{Error, OnConstraint as _, Result},
    services::{
        accounts::normalize,
        lockout::{self, Subject, seconds},
        mailing,
        secrets::{self, Secret},
        security::{Happened, Origin, What},
    },
    store::{
        self,
        invitations::{Invitation, NewInvitation},
        mails::Purpose,
        memberships::{Member, Membership, NewOrganization},
    },
};

const LONGEST_NAME: usize = 100;
const SLUG: std::ops::RangeInclusive<usize> = 3..=50;
/// Organisations that somebody is in.
const MOST_ORGANIZATIONS: usize = 100;
/// Open invitations of an organisation.
const MOST_INVITATIONS: usize = 100;

/// Who acts, for which organisation, as what.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// For whom.
    pub organization: OrganizationId,
    /// As what.
    pub role: OrganizationRole,
}

fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    Err(Error::invalid(
        "name",
        format!("must have 1 to {LONGEST_NAME} characters, on one line"),
    ))
}

fn check_slug(slug: &str) -> Result<&str> {
    let clean = slug
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if clean && SLUG.contains(&slug.len()) && !slug.starts_with('-') && !slug.ends_with('-') {
        return Ok(slug);
    }
    Err(Error::invalid(
        "slug",
        "must have 3 to 50 of a-z, 0-9 and -, which is neither first nor last",
    ))
}

/// A short name that nobody else has thought of.
fn slug_of(name: &str) -> Result<String> {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut slug = words.join("-");
    slug.truncate(30);
    let suffix: [u8; 4] = secrets::random()?;
    Ok(format!("{}-{}", slug.trim_end_matches('-'), hex::encode(suffix))
        .trim_start_matches('-')
        .to_owned())
}

fn taken() -> Error {
    Error::Conflict("another organisation has this slug".into())
}

/// Makes an organisation, owned by whoever makes it.
///
/// # Errors
/// 422 for a name or slug that cannot be taken, 409 for a slug that is taken or too many organisations.
pub async fn create(
    app: &App,
    from: &Origin,
    user: UserId,
    name: &str,
    slug: Option<&str>,
) -> Result<Membership> {
    let name = check_name(name)?;
    let slug = match slug {
        Some(slug) => check_slug(slug)?.to_owned(),
        None => slug_of(name)?,
    };
    let organization = OrganizationId::new();
    let mut tx = app.db.begin().await?;
    if store::memberships::list(&mut *tx, user).await?.len() >= MOST_ORGANIZATIONS {
        return Err(Error::Conflict(format!(
            "nobody is in more than {MOST_ORGANIZATIONS} organisations"
        )));
    }
    let new = NewOrganization {
        id: organization,
        name,
        slug: &slug,
        owner: user,
    };
    store::memberships::insert_organization(&mut tx, &new)
        .await
        .on_constraint("organization_slug_is_unique", taken())?;
    Happened::new(What::OrganizationMade, from)
        .by(user)
        .of(organization)
        .to(&slug)
        .note(app, &mut *tx)
        .await?;
    let made = one(&mut tx, user, organization).await?;
    tx.commit().await?;
    Ok(made)
}

async fn one(db: &mut sqlx::PgConnection, user: UserId, organization: OrganizationId) -> Result<Membership> {
    let all = store::memberships::list(db, user).await?;
    all.into_iter()
        .find(|one| one.organization_id == organization)
        .ok_or(Error::NotFound { what: "organisation" })
}

/// The organisation that somebody acts for.
///
/// # Errors
/// When the database does not answer.
pub async fn get(app: &App, user: UserId, organization: OrganizationId) -> Result<Membership> {
    let mut connection = app.db.acquire().await?;
    one(&mut connection, user, organization).await
}

/// Gives an organisation another name or slug.
///
/// # Errors
/// 422 for one that cannot be taken, 409 for a slug that is taken.
pub async fn rename(
    app: &App,
    from: &Origin,
    actor: Actor,
    name: Option<&str>,
    slug: Option<&str>,
) -> Result<Membership> {
    let name = name.map(check_name).transpose()?;
    let slug = slug.map(check_slug).transpose()?;
    let mut tx = app.db.begin().await?;
    store::memberships::rename(&mut *tx, actor.organization, name, slug)
        .await
        .on_constraint("organization_slug_is_unique", taken())?;
    Happened::new(What::OrganizationRenamed, from)
        .by(actor.user)
        .of(actor.organization)
        .note(app, &mut *tx)
        .await?;
    let renamed = one(&mut tx, actor.user, actor.organization).await?;
    tx.commit().await?;
    Ok(renamed)
}

/// Everybody in an organisation.
///
/// # Errors
/// When the database does not answer.
pub async fn members(app: &App, organization: OrganizationId) -> Result<Vec<Member>> {
    Ok(store::memberships::members(&app.db, organization).await?)
}

/// Locks an organisation that others may be in.
async fn lock_team(db: &mut sqlx::PgConnection, organization: OrganizationId) -> Result<()> {
    match store::memberships::lock(db, organization).await? {
        Some(false) => Ok(()),
        Some(true) => Err(Error::Conflict(
            "this is somebody's own organisation, which nobody else joins or leaves; make another with \
             POST /api/v1/organizations"
                .into(),
        )),
        None => Err(Error::NotFound { what: "organisation" }),
    }
}

/// What the actor is now: since it was looked up it may have become less.
async fn current(db: &mut sqlx::PgConnection, actor: Actor) -> Result<OrganizationRole> {
    store::memberships::role_of(db, actor.organization, actor.user)
        .await?
        .ok_or_else(|| Error::Forbidden("you are no member of this organisation any more".into()))
}

fn check_may_give(acting: OrganizationRole, roles: &[OrganizationRole]) -> Result<()> {
    if roles.iter().all(|role| acting.may_give(*role)) {
        return Ok(());
    }
    Err(Error::Forbidden(
        "only owners make owners, and change what owners are".into(),
    ))
}

async fn keep_an_owner(db: &mut sqlx::PgConnection, organization: OrganizationId) -> Result<()> {
    if store::memberships::owners(db, organization).await? > 1 {
        return Ok(());
    }
    Err(Error::Conflict(
        "an organisation has an owner, and this is the last; make another member owner first".into(),
    ))
}

/// Makes a member something else.
///
/// # Errors
/// 404 for nobody in it, 403 for what is for owners, 409 for the last owner or a personal organisation.
pub async fn set_role(
    app: &App,
    from: &Origin,
    actor: Actor,
    member: UserId,
    role: OrganizationRole,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    lock_team(&mut tx, actor.organization).await?;
    let acting = current(&mut tx, actor).await?;
    let before = store::memberships::role_of(&mut *tx, actor.organization, member)
        .await?
        .ok_or(Error::NotFound { what: "member" })?;
    check_may_give(acting, &[before, role])?;
    if before == OrganizationRole::Owner && role != OrganizationRole::Owner {
        keep_an_owner(&mut tx, actor.organization).await?;
    }
    store::memberships::set_role(&mut *tx, actor.organization, member, role).await?;
    Happened::new(What::MemberRoleChanged, from)
        .by(actor.user)
        .of(actor.organization)
        .to(format!("{member} {} to {}", before.name(), role.name()))
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(())
}

/// Takes a member out, with the keys that it made; or lets the actor leave.
///
/// # Errors
/// 404 for nobody in it, 403 for what is for owners, 409 for the last owner or a personal organisation.
pub async fn remove(app: &App, from: &Origin, actor: Actor, member: UserId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    lock_team(&mut tx, actor.organization).await?;
    let acting = current(&mut tx, actor).await?;
    let role = store::memberships::role_of(&mut *tx, actor.organization, member)
        .await?
        .ok_or(Error::NotFound { what: "member" })?;
    let leaves = member == actor.user;
    if !leaves {
        check_may_give(acting, &[role])?;
    }
    if role == OrganizationRole::Owner {
        keep_an_owner(&mut tx, actor.organization).await?;
    }
    store::memberships::remove(&mut tx, actor.organization, member, app.clock.now()).await?;
    let what = if leaves {
        What::MemberLeft
    } else {
        What::MemberRemoved
    };
    Happened::new(what, from)
        .by(actor.user)
        .of(actor.organization)
        .to(member)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(())
}

/// An invitation that was just made.
#[derive(Debug)]
pub struct Invited {
    /// What was made.
    pub invitation: Invitation,
    /// Where no mail is sent: what to hand to whom was invited. Otherwise the mail alone has it.
    pub token: Option<Secret>,
}

/// Invites whoever has this address.
///
/// The invitation is to the address: who accepts it must have logged in with it. So the token may be shown to the inviter
/// where no mail is sent: it lets in nobody else.
///
/// # Errors
/// 422 for what is no address, 403 for a role that only owners give, 409 for a personal organisation or too many, 429.
pub async fn invite(
    app: &App,
    from: &Origin,
    actor: Actor,
    email: &str,
    role: OrganizationRole,
) -> Result<Invited> {
    let email = normalize(email)?;
    let mails = mailing::is_configured(app);
    if mails {
        lockout::count(app, &[&Subject::mails(app, from.address)]).await?;
    }
    let now = app.clock.now();
    let id = InvitationId::new();
    let token = (!mails).then(|| Secret::random(mailing::TOKEN)).transpose()?;
    let mut tx = app.db.begin().await?;
    lock_team(&mut tx, actor.organization).await?;
    check_may_give(current(&mut tx, actor).await?, &[role])?;
    // The newest counts.
    store::invitations::withdraw(&mut *tx, actor.organization, None, Some(&email), now).await?;
    let open = store::invitations::list(&mut *tx, actor.organization, now).await?;
    if open.len() >= MOST_INVITATIONS {
        return Err(Error::Conflict(format!(
            "{MOST_INVITATIONS} invitations are open; withdraw one first"
        )));
    }
    let new = NewInvitation {
        id,
        organization: actor.organization,
        invited_by: actor.user,
        email: &email,
        role,
        at: now,
        expires_at: now + seconds(app.config.accounts.invitation_seconds),
        hash: token.as_ref().map(Secret::hash),
    };
    store::invitations::insert(&mut *tx, &new).await?;
    if mails {
        mailing::queue(app, &mut tx, Purpose::Invitation, &email, Some(id.into())).await?;
    }
    Happened::new(What::MemberInvited, from)
        .by(actor.user)
        .of(actor.organization)
        .to(format!("{email} as {}", role.name()))
        .note(app, &mut *tx)
        .await?;
    let invitation = store::invitations::find(&mut *tx, id, now)
        .await?
        .ok_or(Error::NotFound { what: "invitation" })?;
    tx.commit().await?;
    mailing::wake(app);
    Ok(Invited { invitation, token })
}

/// The open invitations of an organisation.
///
/// # Errors
/// When the database does not answer.
pub async fn invitations(app: &App, organization: OrganizationId) -> Result<Vec<Invitation>> {
    Ok(store::invitations::list(&app.db, organization, app.clock.now()).await?)
}

/// Takes an invitation back.
///
/// # Errors
/// 404 when it is none of the organisation's, or not open.
pub async fn withdraw(app: &App, from: &Origin, actor: Actor, invitation: InvitationId) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if store::invitations::withdraw(&mut *tx, actor.organization, Some(invitation), None, now).await? == 0 {
        return Err(Error::NotFound { what: "invitation" });
    }
    Happened::new(What::InvitationWithdrawn, from)
        .by(actor.user)
        .of(actor.organization)
        .to(invitation)
        .note(app, &mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Joins the organisation that a token invites to. Who is in it already stays what it is.
///
/// # Errors
/// 422 for a token that does not count, or was for another address.
pub async fn accept(app: &App, from: &Origin, user: UserId, token: &str) -> Result<Membership> {
    let refused = || {
        Error::invalid(
            "token",
            "invites nobody (any more), or somebody with another e-mail address than you logged in with",
        )
    };
    let hash = secrets::hash_of_form(mailing::TOKEN, token).ok_or_else(refused)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let account = store::users::by_id(&mut *tx, user).await?.ok_or_else(refused)?;
    let (organization, role) = store::invitations::accept(&mut *tx, hash, &account.email, now)
        .await?
        .ok_or_else(refused)?;
    store::memberships::insert(&mut *tx, organization, user, role).await?;
    Happened::new(What::MemberJoined, from)
        .by(user)
        .of(organization)
        .to(role.name())
        .note(app, &mut *tx)
        .await?;
    let joined = one(&mut tx, user, organization).await?;
    tx.commit().await?;
    app.standings.forget();
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_names() {
        for (name, begin) in [
            ("Acme Corp.", "acme-corp-"),
            ("  --  ", ""),
            ("Ünïcode", "n-code-"),
            (&"long ".repeat(20), "long-long-long-long-long-long-"),
        ] {
            let slug = slug_of(name).unwrap();
            assert!(slug.starts_with(begin), "{slug}");
            assert_eq!(slug.len(), begin.len() + 8, "{slug}");
            check_slug(&slug).unwrap();
        }
        for slug in ["ab", "-abc", "abc-", "Abc", "a b", "ä--b", &"a".repeat(51)] {
            assert!(check_slug(slug).is_err(), "{slug}");
        }
        for name in ["", " ", "a\nb", &"x".repeat(101)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        check_slug("abc").unwrap();
        check_slug(&"a".repeat(50)).unwrap();
        check_name(&"ü".repeat(100)).unwrap();
    }
}
