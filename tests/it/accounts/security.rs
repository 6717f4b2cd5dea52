//! The log of security events: what is in it, who reads it, and that nobody changes it.
use serde_json::{Value, json};

use super::{PASSWORD, Person, events, organizations::team};
use crate::harness::World;

const ADMIN: &str = "/api/v1/admin/security-events";
const OWN: &str = "/api/v1/organization/security-events";

fn names(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn nobody_changes_what_happened() {
    let world = World::start().await;
    Person::new(&world, "ada").await;
    let before = world.count("security_events").await;
    assert!(before >= 2);
    for statement in [
        "update security_events set outcome = 'ok'",
        "update security_events set outcome = 'ok' where false",
        "delete from security_events",
        "truncate security_events",
    ] {
        let error = sqlx::raw_sql(statement).execute(&world.db).await.unwrap_err();
        assert!(
            error.to_string().contains("never changed"),
            "{statement}: {error}"
        );
    }
    assert_eq!(world.count("security_events").await, before);
    world.end().await;
}

/// Pages, one after the other, are the whole.
async fn in_pages(owner: &Person) {
    let mut paged = Vec::new();
    let mut next = Value::Null;
    loop {
        let before = if next.is_null() {
            String::new()
        } else {
            format!("&before={next}")
        };
        let page = owner.get(&format!("{OWN}?limit=2{before}")).await.ok();
        paged.extend(names(&page));
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(paged, names(&owner.get(OWN).await.ok()));
}

#[tokio::test]
async fn an_organisation_reads_its_own_and_administrators_read_all() {
    let (world, team, [owner, admin, developer, viewer]) = team().await;
    for person in [&developer, &viewer] {
        person.get(OWN).await.problem(403, "/problems/forbidden");
        person.get(ADMIN).await.problem(403, "/problems/forbidden");
    }
    let page = admin.get(OWN).await.ok();
    let found = names(&page);
    assert_eq!(page["count"], found.len());
    for (event, count) in [
        ("organization.made", 1),
        ("member.invited", 3),
        ("member.joined", 3),
    ] {
        assert_eq!(
            found.iter().filter(|found| *found == event).count(),
            count,
            "{event}: {found:?}"
        );
    }
    let all = page["events"].as_array().unwrap();
    assert!(all.iter().all(|event| event["organization_id"] == team.as_str()));
    assert!(
        all.iter()
            .all(|event| event["address"] == "127.0.0.1" && event["request_id"].is_string())
    );
    // What came with an answer finds its event.
    let reply = owner
        .post(
            "/api/v1/organization/invitations",
            &json!({ "email": "x@example.org", "role": "viewer" }),
        )
        .await;
    let id = reply.headers["x-request-id"].to_str().unwrap().to_owned();
    let newest = owner.get(&format!("{OWN}?limit=1")).await.ok();
    assert_eq!(
        (&newest["events"][0]["request_id"], &newest["count"]),
        (&id.as_str().into(), &1.into())
    );

    in_pages(&owner).await;
    // Filters.
    let of = |query: &str| format!("{OWN}?{query}");
    let invited = owner.get(&of("event=member.invited")).await.ok();
    assert_eq!(names(&invited), ["member.invited"; 4]);
    let by_developer = owner
        .get(&of(&format!("user_id={}&event=member.joined", developer.id)))
        .await
        .ok();
    assert_eq!(by_developer["count"], 1);
    assert_eq!(owner.get(&of("outcome=refused")).await.ok()["count"], 0);
    assert_eq!(
        owner.get(&of("until=2020-01-01T00:00:00Z")).await.ok()["count"],
        0
    );
    let since = owner
        .get(&of("since=2020-01-01T00:00:00Z&event=member.invited"))
        .await
        .ok();
    assert_eq!(since["count"], 4);
    // Not even by asking for another's.
    let elsewhere = owner
        .get(&of(&format!("organization_id={}", developer.id)))
        .await
        .ok();
    assert!(names(&elsewhere).contains(&"organization.made".to_owned()));

    let mut operator = Person::new(&world, "operator").await;
    operator.log_in("wrong horse").await;
    world
        .sql(&format!(
            "update users set role = 'admin' where user_id = '{}'",
            operator.id
        ))
        .await;
    operator.take(&operator.log_in(PASSWORD).await.ok());
    let all = names(&operator.get(ADMIN).await.ok());
    assert!(
        all.len() > found.len() && all.contains(&"user.registered".to_owned()),
        "{all:?}"
    );
    let of_team = operator
        .get(&format!("{ADMIN}?organization_id={team}"))
        .await
        .ok();
    assert_eq!(names(&of_team), names(&owner.get(OWN).await.ok()));
    let refused = operator
        .get(&format!("{ADMIN}?outcome=refused&event=login"))
        .await
        .ok();
    assert_eq!(refused["events"][0]["subject"], operator.email.as_str());
    // A failed login for somebody is shown to that somebody.
    assert_eq!(names(&operator.get(&of("outcome=refused")).await.ok()), ["login"]);
    world.end().await;
}

#[tokio::test]
async fn an_event_is_there_if_and_only_if_what_it_tells_is() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    // What cannot be noted is not done.
    world
        .sql("alter table security_events rename to security_events_gone")
        .await;
    person.log_in(PASSWORD).await.problem(500, "/problems/internal");
    person
        .post("/api/v1/auth/logout", &json!({}))
        .await
        .problem(500, "/problems/internal");
    world
        .sql("alter table security_events_gone rename to security_events")
        .await;
    assert!(person.is_in().await);
    assert_eq!(world.count("sessions where ended_at is null").await, 1);
    assert_eq!(events(&world, "logout").await, Vec::<String>::new());
    world.end().await;
}
