//! Logins, what their tokens do, and how they end.
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::{PASSWORD, Person, events, text};
use crate::harness::{Reply, World, eventually};

const ME: &str = "/api/v1/auth/me";

#[tokio::test]
async fn a_user_logs_in_and_is_known_by_the_token() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    let me = person.get(ME).await.ok();
    assert_eq!(
        (
            me["email"].as_str(),
            me["full_name"].as_str(),
            me["role"].as_str()
        ),
        (Some("ada@example.org"), Some("ada"), Some("client"))
    );
    assert_eq!(me["organizations"][0]["role"], "owner");
    assert_eq!(me["organizations"][0]["personal"], true);
    assert!(me.get("password_hash").is_none(), "{me}");

    // The token does what the key does.
    let tasks = "/api/v1/tasks";
    let by_key = world
        .http
        .get(format!("{}{tasks}", world.server.url()))
        .header("X-API-Key", &person.key);
    assert_eq!(person.get(tasks).await.ok(), Reply::to(by_key).await.ok());

    // Both dialects, both paths, a name of the original's for each field.
    for path in ["/api/v1/auth/login", "/api/v1/auth/token"] {
        let url = format!("{}{path}", world.server.url());
        let form = [
            ("username", "Ada@example.org "),
            ("password", PASSWORD),
            ("grant_type", "password"),
        ];
        for request in [
            world.http.post(&url).form(&form),
            world
                .http
                .post(&url)
                .json(&json!({ "email": "ADA@example.org", "password": PASSWORD })),
        ] {
            let tokens = Reply::to(request).await.ok();
            assert_eq!(tokens["token_type"], "bearer");
            assert_eq!(tokens["expires_in"], 900);
            assert_eq!(tokens["user"]["email"], "ada@example.org");
            assert_eq!(tokens["organization"]["personal"], true);
            assert!(!tokens.to_string().contains(&person.key[20..]), "{tokens}");
        }
    }
    let slug = text(&me["organizations"][0]["slug"]);
    let with = |slug: &str| json!({ "email": person.email, "password": PASSWORD, "orgSlug": slug });
    let login = "/api/v1/auth/login";
    assert_eq!(
        person.open(login, &with(&slug)).await.ok()["organization"]["slug"],
        slug
    );
    person
        .open(login, &with("nobodys"))
        .await
        .problem(403, "/problems/forbidden");
    world.end().await;
}

#[tokio::test]
async fn an_address_alone_gives_nothing() {
    let world = World::start().await;
    let person = Person::register(&world, "ada").await;
    let login = "/api/v1/auth/login";
    let alone = person.open(login, &json!({ "email": person.email })).await;
    assert!(alone.invalid("password").contains("is required"));
    person
        .open(login, &json!({ "password": PASSWORD }))
        .await
        .invalid("email");
    person
        .open(login, &json!({ "email": "ada", "password": PASSWORD }))
        .await
        .invalid("email");
    // A wrong password and an unknown address are the same to a stranger.
    let wrong = person.log_in("wrong horse").await;
    let nobody = json!({ "email": "nobody@example.org", "password": "wrong horse" });
    let unknown = person.open(login, &nobody).await;
    let detail = wrong.problem(401, "/problems/unauthenticated");
    assert_eq!(detail, unknown.problem(401, "/problems/unauthenticated"));
    // So is an account that was closed.
    world.sql("update users set is_active = false").await;
    let closed = person.log_in(PASSWORD).await;
    assert_eq!(detail, closed.problem(401, "/problems/unauthenticated"));
    assert_eq!(world.count("sessions").await, 0);
    assert_eq!(events(&world, "login").await, ["refused"; 3]);
    world.end().await;
}

#[tokio::test]
async fn an_access_token_is_ours_and_ends_in_time() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    let other = Person::new(&world, "eve").await;
    assert!(person.is_in().await);
    let parts: Vec<&str> = person.access.split('.').collect();
    let others: Vec<&str> = other.access.split('.').collect();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for forged in [
        format!("{}.{}.{}", parts[0], others[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}x", person.access),
        "..".into(),
        person.refresh.clone(),
    ] {
        let thief = Person {
            access: forged,
            ..person.clone()
        };
        thief.get(ME).await.problem(401, "/problems/unauthenticated");
    }
    // Signed for another service with another secret.
    let away = World::start().await;
    person
        .at(&away.server)
        .get(ME)
        .await
        .problem(401, "/problems/unauthenticated");
    away.end().await;

    let clock = &world.server.app.clock;
    clock.advance(TimeDelta::seconds(895));
    assert!(person.is_in().await);
    clock.advance(TimeDelta::seconds(6));
    let over = person.get(ME).await;
    assert!(
        over.problem(401, "/problems/unauthenticated")
            .contains("token/refresh")
    );
    let mut person = person;
    person.take(&person.exchange(&person.refresh).await.ok());
    assert!(person.is_in().await);
    world.end().await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_its_session() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    let bystander = person.elsewhere().await;
    let first = person.refresh.clone();
    let mut person = person;
    person.take(&person.exchange(&first).await.ok());
    let second = person.refresh.clone();
    person.take(&person.exchange(&second).await.ok());
    assert!(person.is_in().await);

    // The thief's copy of the first one: within the time for lost answers, but its successor was used.
    person
        .exchange(&first)
        .await
        .problem(401, "/problems/unauthenticated");
    let newest = person.refresh.clone();
    person
        .exchange(&newest)
        .await
        .problem(401, "/problems/unauthenticated");
    assert!(!person.is_in().await, "the tokens of the family have ended");
    assert!(bystander.is_in().await, "another login goes on");
    assert_eq!(events(&world, "refresh.reused").await, ["refused"]);
    for nonsense in ["", "violet_refresh_", &bystander.key, &"x".repeat(100)] {
        person
            .exchange(nonsense)
            .await
            .problem(401, "/problems/unauthenticated");
    }
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again_for_a_moment() {
    // Long enough for a slow machine; the other side is reached by moving the time of the first exchange.
    let world = World::with(|config| config.accounts.refresh_grace_seconds = 600).await;
    let person = Person::new(&world, "ada").await;
    let lost = text(&person.exchange(&person.refresh).await.ok()["refresh_token"]);
    let second = text(&person.exchange(&person.refresh).await.ok()["refresh_token"]);
    assert_ne!(lost, second);
    // One chain, not two: what was in the lost answer does not count beside the new one once that was used.
    let third = text(&person.exchange(&second).await.ok()["refresh_token"]);
    person
        .exchange(&lost)
        .await
        .problem(401, "/problems/unauthenticated");
    person
        .exchange(&third)
        .await
        .problem(401, "/problems/unauthenticated");

    let late = person.elsewhere().await;
    late.exchange(&late.refresh).await.ok();
    world
        .sql("update refresh_tokens set used_at = used_at - interval '599 seconds'")
        .await;
    late.exchange(&late.refresh).await.ok();
    world
        .sql("update refresh_tokens set used_at = used_at - interval '2 seconds'")
        .await;
    late.exchange(&late.refresh)
        .await
        .problem(401, "/problems/unauthenticated");
    assert!(!late.is_in().await);
    world.end().await;
}

#[tokio::test]
async fn of_a_token_that_comes_at_two_servers_at_once_one_chain_is_left() {
    let world = World::with(|config| config.accounts.refresh_grace_seconds = 0).await;
    let other = world.replica().await;
    let person = Person::new(&world, "ada").await;
    let there = person.at(&other);
    let (one, two) = tokio::join!(person.exchange(&person.refresh), there.exchange(&person.refresh));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    // One got through, the other told on it: nobody goes on.
    assert_eq!(statuses, [200, 401]);
    let winner = if one.status == 200 { one } else { two }.ok();
    person
        .exchange(&text(&winner["refresh_token"]))
        .await
        .problem(401, "/problems/unauthenticated");
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn sessions_are_listed_and_end_at_every_server() {
    let world = World::start().await;
    let other = world.replica().await;
    let person = Person::new(&world, "ada").await;
    let second = person.elsewhere().await;
    let third = person.elsewhere().await;
    let listed = person.get("/api/v1/auth/sessions").await.ok();
    assert_eq!(listed["count"], 3);
    let current: Vec<_> = listed["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["address"], "127.0.0.1");

    let elsewhere = &other;
    let ended = |person: Person| async move {
        for server in [&person, &person.at(elsewhere)] {
            eventually("a session has ended", || async {
                (!server.is_in().await).then_some(())
            })
            .await;
        }
    };
    // Remembered as good by both.
    for one in [&person, &second, &third] {
        assert!(one.is_in().await && one.at(&other).is_in().await);
    }
    let seconds = second.get("/api/v1/auth/sessions").await.ok();
    let id = seconds["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["current"] == true)
        .unwrap();
    let path = format!("/api/v1/auth/sessions/{}", text(&id["session_id"]));
    let stranger = Person::new(&world, "eve").await;
    stranger
        .send(Method::DELETE, &path, &json!({}))
        .await
        .problem(404, "/problems/not-found");
    person.send(Method::DELETE, &path, &json!({})).await.ok();
    person
        .send(Method::DELETE, &path, &json!({}))
        .await
        .problem(404, "/problems/not-found");
    ended(second.clone()).await;
    second
        .exchange(&second.refresh)
        .await
        .problem(401, "/problems/unauthenticated");

    third.post("/api/v1/auth/logout", &json!({})).await.ok();
    ended(third).await;
    assert!(person.is_in().await);
    let again = person.elsewhere().await;
    assert_eq!(
        person.post("/api/v1/auth/logout/all", &json!({})).await.ok()["ended"],
        2
    );
    ended(again).await;
    assert!(stranger.is_in().await);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn an_account_that_is_closed_is_refused_at_every_server_with_its_keys() {
    let world = World::with(|config| config.identity.key_cache_seconds = 1).await;
    let other = world.replica().await;
    let person = Person::new(&world, "ada").await;
    let there = person.at(&other);
    let with_key = |url: String| {
        let request = world
            .http
            .get(format!("{url}{ME}"))
            .header("X-API-Key", &person.key);
        async { Reply::to(request).await.status }
    };
    assert!(person.is_in().await && there.is_in().await);
    assert_eq!(with_key(other.url()).await, 200);
    world.sql("update users set is_active = false").await;
    eventually("nobody lets it in", || async {
        let statuses = (with_key(world.server.url()).await, with_key(other.url()).await);
        (!person.is_in().await && !there.is_in().await && statuses == (401, 401)).then_some(())
    })
    .await;
    person
        .exchange(&person.refresh)
        .await
        .problem(401, "/problems/unauthenticated");
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_session_ends_when_nobody_refreshes_it_and_the_oldest_when_there_are_too_many() {
    let world = World::with(|config| config.accounts.sessions = 2).await;
    let person = Person::new(&world, "ada").await;
    world
        .sql("update sessions set last_used_at = last_used_at - interval '1 hour'")
        .await;
    let second = person.elsewhere().await;
    assert!(person.is_in().await);
    let third = person.elsewhere().await;
    eventually("the oldest has ended", || async {
        (!person.is_in().await).then_some(())
    })
    .await;
    assert!(second.is_in().await && third.is_in().await);
    person
        .exchange(&person.refresh)
        .await
        .problem(401, "/problems/unauthenticated");

    // A refresh moves the end on, to the life of a session from then.
    world
        .sql("update sessions set expires_at = expires_at - interval '2591000 seconds'")
        .await;
    let mut second = second;
    second.take(&second.exchange(&second.refresh).await.ok());
    world
        .sql("update sessions set expires_at = expires_at - interval '5000 seconds'")
        .await;
    assert!(second.is_in().await);
    eventually("it was not refreshed in time", || async {
        (!third.is_in().await).then_some(())
    })
    .await;
    third
        .exchange(&third.refresh)
        .await
        .problem(401, "/problems/unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    let other = person.elsewhere().await;
    let change = |current: &str, new: &str| json!({ "current_password": current, "password": new });
    let path = "/api/v1/auth/password";
    person
        .post(path, &change("wrong horse", "battery staple"))
        .await
        .problem(403, "/problems/forbidden");
    person
        .post(path, &change(PASSWORD, "short"))
        .await
        .invalid("password");
    // A key does not do it.
    let by_key = world
        .http
        .post(format!("{}{path}", world.server.url()))
        .header("X-API-Key", &person.key)
        .json(&change(PASSWORD, "battery staple"));
    Reply::to(by_key).await.problem(403, "/problems/forbidden");
    person.post(path, &change(PASSWORD, "battery staple")).await.ok();
    assert!(person.is_in().await, "who changed it stays");
    eventually("the others have ended", || async {
        (!other.is_in().await).then_some(())
    })
    .await;
    person
        .log_in(PASSWORD)
        .await
        .problem(401, "/problems/unauthenticated");
    person.log_in("battery staple").await.ok();
    assert_eq!(events(&world, "password.changed").await, ["refused", "ok"]);

    // Whoever found an open session cannot try out passwords with it.
    let mut last = 0;
    for _ in 0..8 {
        last = person
            .post(path, &change("wrong horse", "battery staple"))
            .await
            .status;
    }
    assert_eq!(last, 429);
    world.end().await;
}

#[tokio::test]
async fn a_dated_hash_is_made_anew_at_the_next_login() {
    let world = World::start().await;
    let person = Person::register(&world, "ada").await;
    let mut config = world.config().clone();
    config.identity.argon2_passes = 2;
    config.server.port = 0;
    let newer = violet::server::Server::start(config, crate::harness::keypair(crate::harness::SERVER))
        .await
        .unwrap();
    let there = person.at(&newer);
    assert_eq!(world.count("users where password_hash like '%t=2%'").await, 0);
    there
        .log_in("wrong horse")
        .await
        .problem(401, "/problems/unauthenticated");
    assert_eq!(world.count("users where password_hash like '%t=2%'").await, 0);
    there.log_in(PASSWORD).await.ok();
    assert_eq!(world.count("users where password_hash like '%t=2%'").await, 1);
    person.log_in(PASSWORD).await.ok();
    newer.stop().await;
    world.end().await;
}
