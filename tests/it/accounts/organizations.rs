//! Teams: who gets in, as what, and who gets out.
use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, Person, events, text};
use crate::harness::{PostOffice, Reply, World, eventually, translation};

const TEAM: &str = "/api/v1/organization";
const MEMBERS: &str = "/api/v1/organization/members";
const INVITATIONS: &str = "/api/v1/organization/invitations";

impl Person {
    /// Makes a team and acts for it.
    async fn found(&mut self, name: &str) -> String {
        let made = self
            .post("/api/v1/organizations", &json!({ "name": name }))
            .await
            .ok();
        let id = text(&made["organization_id"]);
        self.act_for(&id).await;
        id
    }

    pub(crate) async fn act_for(&mut self, organization: &str) {
        let body = json!({ "organization_id": organization });
        let switched = self.post("/api/v1/auth/switch", &body).await.ok();
        self.access = text(&switched["access_token"]);
    }

    async fn invite(&self, email: &str, role: &str) -> Reply {
        self.post(INVITATIONS, &json!({ "email": email, "role": role }))
            .await
    }

    async fn accept(&self, token: &str) -> Reply {
        self.post("/api/v1/invitations/accept", &json!({ "token": token }))
            .await
    }

    /// Lets somebody in, who then acts for the team.
    pub(crate) async fn let_in(&self, other: &mut Person, role: &str) {
        let invited = self.invite(&other.email, role).await.ok();
        let joined = other.accept(&text(&invited["token"])).await.ok();
        assert_eq!(joined["role"], role);
        other.act_for(&text(&joined["organization_id"])).await;
    }

    async fn make(&self, member: &Person, role: &str) -> Reply {
        let path = format!("{MEMBERS}/{}", member.id);
        self.send(Method::PATCH, &path, &json!({ "role": role })).await
    }

    async fn expel(&self, member: &Person) -> Reply {
        self.send(Method::DELETE, &format!("{MEMBERS}/{}", member.id), &json!({}))
            .await
    }

    async fn leave(&self) -> Reply {
        self.post("/api/v1/organization/leave", &json!({})).await
    }
}

/// A world with an owner, an admin, a developer and a viewer of one team.
pub(crate) async fn team() -> (World, String, [Person; 4]) {
    let world = World::start().await;
    let mut owner = Person::new(&world, "owner").await;
    let team = owner.found("Acme Corp.").await;
    let mut others = Vec::new();
    for role in ["admin", "developer", "viewer"] {
        let mut other = Person::new(&world, role).await;
        owner.let_in(&mut other, role).await;
        others.push(other);
    }
    let [admin, developer, viewer] = others.try_into().unwrap();
    (world, team, [owner, admin, developer, viewer])
}

#[tokio::test]
async fn everybody_has_an_organisation_and_may_make_another() {
    let world = World::start().await;
    let mut person = Person::new(&world, "ada").await;
    let own = person.get(TEAM).await.ok();
    assert_eq!((&own["personal"], &own["role"]), (&true.into(), &"owner".into()));
    let new = |name: &str, slug: Value| json!({ "name": name, "slug": slug });
    let path = "/api/v1/organizations";
    person.post(path, &new(" ", json!(null))).await.invalid("name");
    person.post(path, &new("Acme", json!("A!"))).await.invalid("slug");
    let made = person.post(path, &new("Acme", json!("acme"))).await.ok();
    assert_eq!((&made["slug"], &made["role"]), (&"acme".into(), &"owner".into()));
    let taken = person.post(path, &new("Acme", json!("acme"))).await;
    assert!(taken.problem(409, "/problems/conflict").contains("slug"));
    let other = person.post(path, &new("Acme", json!(null))).await.ok();
    assert!(text(&other["slug"]).starts_with("acme-"), "{other}");
    assert_eq!(person.get(path).await.ok()["count"], 3);

    // The token acts for one; the session stays with what was chosen last.
    let team = text(&made["organization_id"]);
    let before = person.access.clone();
    person.act_for(&team).await;
    assert_eq!(person.get(TEAM).await.ok()["slug"], "acme");
    let still = Person {
        access: before,
        ..person.clone()
    };
    assert_eq!(still.get(TEAM).await.ok(), own);
    person.take(&person.exchange(&person.refresh).await.ok());
    assert_eq!(person.get(TEAM).await.ok()["slug"], "acme");
    let renamed = person
        .send(
            Method::PATCH,
            TEAM,
            &json!({ "name": "Acme 2", "slug": "acme-2" }),
        )
        .await
        .ok();
    assert_eq!(
        (&renamed["name"], &renamed["slug"]),
        (&"Acme 2".into(), &"acme-2".into())
    );
    let slug = json!({ "slug": other["slug"] });
    person
        .send(Method::PATCH, TEAM, &slug)
        .await
        .problem(409, "/problems/conflict");
    let login = json!({ "email": person.email, "password": PASSWORD, "orgSlug": "acme-2" });
    assert_eq!(
        person.open("/api/v1/auth/login", &login).await.ok()["organization"]["name"],
        "Acme 2"
    );

    // Nobody joins or leaves somebody's own, nobody acts for another's.
    let id = text(&own["organization_id"]);
    person.act_for(&id).await;
    person
        .invite("eve@example.org", "viewer")
        .await
        .problem(409, "/problems/conflict");
    person.leave().await.problem(409, "/problems/conflict");
    let eve = Person::new(&world, "eve").await;
    let switch = json!({ "organization_id": team });
    eve.post("/api/v1/auth/switch", &switch)
        .await
        .problem(404, "/problems/not-found");
    world.end().await;
}

#[tokio::test]
async fn work_is_the_organisation_s_and_roles_say_who_does_it() {
    let (world, _, [owner, admin, developer, viewer]) = team().await;
    let submit = "/api/v1/text-translation";
    world.miner(1).await;
    let task = developer.post(submit, &translation(1)).await.ok();
    let path = format!("/api/v1/task/{}/status", text(&task["task_id"]));
    for member in [&owner, &admin, &developer, &viewer] {
        member.get(&path).await.ok();
    }
    let refused = viewer.post(submit, &translation(1)).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("tasks:text_translation")
    );
    let cancel = format!("/api/v1/tasks/{}/cancel", text(&task["task_id"]));
    viewer
        .post(&cancel, &json!({}))
        .await
        .problem(403, "/problems/forbidden");
    // It is not its submitter's own, nor a stranger's.
    let stranger = Person::new(&world, "eve").await;
    stranger.get(&path).await.problem(404, "/problems/not-found");
    let key = world
        .http
        .get(format!("{}{path}", world.server.url()))
        .header("X-API-Key", &developer.key);
    Reply::to(key).await.problem(404, "/problems/not-found");
    admin.post(&cancel, &json!({})).await.ok();
    world.end().await;
}

#[tokio::test]
async fn roles_are_changed_at_every_server_by_who_may() {
    let (world, _, [owner, admin, developer, viewer]) = team().await;
    let other = world.replica().await;
    assert_eq!(viewer.get(MEMBERS).await.ok()["count"], 4);
    let roles: Vec<Value> = owner.get(MEMBERS).await.ok()["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["role"].clone())
        .collect();
    assert_eq!(roles, ["owner", "admin", "developer", "viewer"]);
    for person in [&developer, &viewer] {
        person
            .make(&viewer, "admin")
            .await
            .problem(403, "/problems/forbidden");
        person.expel(&admin).await.problem(403, "/problems/forbidden");
        person
            .invite("eve@example.org", "viewer")
            .await
            .problem(403, "/problems/forbidden");
        person.get(INVITATIONS).await.problem(403, "/problems/forbidden");
    }
    // An admin does everything but with owners.
    admin
        .make(&developer, "owner")
        .await
        .problem(403, "/problems/forbidden");
    admin
        .make(&owner, "viewer")
        .await
        .problem(403, "/problems/forbidden");
    admin.expel(&owner).await.problem(403, "/problems/forbidden");
    admin
        .invite("eve@example.org", "owner")
        .await
        .problem(403, "/problems/forbidden");
    // A stranger is nobody's member.
    let stranger = Person::new(&world, "eve").await;
    admin
        .make(&stranger, "viewer")
        .await
        .problem(404, "/problems/not-found");
    admin.expel(&stranger).await.problem(404, "/problems/not-found");

    let there = viewer.at(&other);
    let invites = || async { there.get(INVITATIONS).await.status };
    assert_eq!(invites().await, 403);
    admin.make(&viewer, "admin").await.ok();
    eventually("the new role counts there", || async {
        (invites().await == 200).then_some(())
    })
    .await;
    owner.make(&viewer, "viewer").await.ok();
    eventually("the old one counts again", || async {
        (invites().await == 403).then_some(())
    })
    .await;

    // There is always an owner, however many leave at once.
    owner.leave().await.problem(409, "/problems/conflict");
    owner
        .make(&owner, "admin")
        .await
        .problem(409, "/problems/conflict");
    owner.make(&admin, "owner").await.ok();
    let (one, two) = tokio::join!(owner.leave(), admin.leave());
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(world.count("memberships where role = 'owner'").await, 5 + 1);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn who_is_out_is_out_at_every_server_with_its_keys() {
    let (world, team, [owner, admin, developer, _]) = team().await;
    let other = world.replica().await;
    // A key of the developer for the team.
    world
        .sql(&format!(
            "update api_keys set organization_id = '{team}' where user_id = '{}'",
            developer.id
        ))
        .await;
    let by_key = || async {
        let url = format!("{}{TEAM}", other.url());
        Reply::to(world.http.get(url).header("X-API-Key", &developer.key))
            .await
            .status
    };
    let there = developer.at(&other);
    assert_eq!((by_key().await, there.get(TEAM).await.status), (200, 200));
    let invited = admin.invite("friend@example.org", "viewer").await.ok();
    owner.expel(&developer).await.ok();
    eventually("the developer is out", || async {
        (by_key().await == 401 && there.get(TEAM).await.status == 401).then_some(())
    })
    .await;
    assert_eq!(world.count("api_keys where revoked_at is not null").await, 1);
    // The session goes on in the person's own organisation.
    let mut developer = developer;
    developer.take(&developer.exchange(&developer.refresh).await.ok());
    assert_eq!(developer.get(TEAM).await.ok()["personal"], true);

    // Whom the admin invited is not let in after the admin left.
    admin.leave().await.ok();
    let friend = Person::new(&world, "friend").await;
    friend.accept(&text(&invited["token"])).await.invalid("token");
    for (event, outcomes) in [
        ("member.removed", vec!["ok"]),
        ("member.left", vec!["ok"]),
        ("member.joined", vec!["ok"; 3]),
    ] {
        assert_eq!(events(&world, event).await, outcomes, "{event}");
    }
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn an_invitation_is_to_one_address_once_for_a_time() {
    let (world, _, [owner, admin, ..]) = team().await;
    owner.invite("nobody", "viewer").await.invalid("email");
    let first = owner.invite("Friend@Example.org", "viewer").await.ok();
    let second = admin.invite("friend@example.org", "developer").await.ok();
    let listed = owner.get(INVITATIONS).await.ok();
    assert_eq!(
        (&listed["count"], &listed["invitations"][0]["role"]),
        (&1.into(), &"developer".into())
    );
    assert!(!listed.to_string().contains("violet_mail_"), "{listed}");
    let (first, second) = (text(&first["token"]), text(&second["token"]));
    let friend = Person::new(&world, "friend").await;
    friend.accept(&first).await.invalid("token");
    // For nobody else, even with the token.
    let eve = Person::new(&world, "eve").await;
    eve.accept(&second).await.invalid("token");
    friend.accept("violet_mail_x").await.invalid("token");
    world
        .sql("update invitations set expires_at = now() - interval '1 second'")
        .await;
    friend.accept(&second).await.invalid("token");
    world
        .sql("update invitations set expires_at = now() + interval '1 hour'")
        .await;
    let (one, two) = tokio::join!(friend.accept(&second), friend.accept(&second));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422]);

    // Withdrawn by its organisation only. Who is in already keeps its role.
    let third = owner.invite("friend@example.org", "viewer").await.ok();
    let path = format!("{INVITATIONS}/{}", text(&third["invitation_id"]));
    let mut mallory = Person::new(&world, "mallory").await;
    mallory.found("Mallory Inc.").await;
    mallory
        .send(Method::DELETE, &path, &json!({}))
        .await
        .problem(404, "/problems/not-found");
    assert_eq!(
        friend.accept(&text(&third["token"])).await.ok()["role"],
        "developer"
    );
    admin
        .send(Method::DELETE, &path, &json!({}))
        .await
        .problem(404, "/problems/not-found");
    let fourth = owner.invite("late@example.org", "viewer").await.ok();
    let path = format!("{INVITATIONS}/{}", text(&fourth["invitation_id"]));
    admin.send(Method::DELETE, &path, &json!({})).await.ok();
    let late = Person::new(&world, "late").await;
    late.accept(&text(&fourth["token"])).await.invalid("token");
    world.end().await;
}

#[tokio::test]
async fn where_mail_is_sent_the_token_is_in_the_mail_alone() {
    let office = PostOffice::open().await;
    let world = World::with(|config| {
        config.mail.smtp_url = violet::settings::Hidden::new(&office.url);
    })
    .await;
    let mut owner = Person::new(&world, "owner").await;
    owner.found("Acme").await;
    let invited = owner.invite("friend@example.org", "developer").await.ok();
    assert_eq!(invited["token"], Value::Null);
    let letter = office.letter("friend@example.org", 1).await;
    assert!(
        letter.text.contains("Acme") && letter.text.contains("developer"),
        "{}",
        letter.text
    );
    let friend = Person::new(&world, "friend").await;
    assert_eq!(friend.accept(&letter.token()).await.ok()["role"], "developer");
    world.end().await;
}
