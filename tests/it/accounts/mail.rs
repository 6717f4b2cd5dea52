//! What is sent by mail, over real SMTP, and what its links do.
use serde_json::json;

use super::{PASSWORD, Person, events};
use crate::harness::{PostOffice, Reply, World, eventually};

const REQUEST: &str = "/api/v1/auth/password-reset/request";
const CONFIRM: &str = "/api/v1/auth/password-reset/confirm";

async fn world_with(office: &PostOffice) -> World {
    World::with(|config| {
        config.mail.smtp_url = violet::settings::Hidden::new(&office.url);
        config.accounts.public_url = "https://violet.example.org/".into();
    })
    .await
}

/// Waits until nothing is to be sent: the same mail is not queued twice.
async fn all_sent(world: &World) {
    eventually("the queue is empty", || async {
        (world.count("mails").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew_by_mail() {
    let office = PostOffice::open().await;
    let world = world_with(&office).await;
    let person = Person::new(&world, "ada").await;
    let welcome = office.letter(&person.email, 1).await;
    assert!(
        welcome
            .text
            .contains("https://violet.example.org/account#verify=3D"),
        "{}",
        welcome.text
    );

    let known = person.open(REQUEST, &json!({ "email": person.email })).await.ok();
    let unknown = person
        .open(REQUEST, &json!({ "email": "nobody@example.org" }))
        .await
        .ok();
    assert_eq!(known, unknown);
    let letter = office.letter(&person.email, 2).await;
    assert!(
        letter.text.contains("Subject: Choose another password"),
        "{}",
        letter.text
    );
    let token = letter.token();
    // Nothing that is kept does what the link does.
    let kept: Vec<String> = sqlx::query_scalar(
        "select t::text from mail_tokens t union all select m::text from mails m
         union all select e::text from security_events e",
    )
    .fetch_all(&world.db)
    .await
    .unwrap();
    assert!(
        !kept.is_empty() && kept.iter().all(|row| !row.contains(&token[12..])),
        "{kept:?}"
    );

    let confirm = |token: &str, password: &str| json!({ "token": token, "password": password });
    person
        .open(CONFIRM, &confirm(&token, "short"))
        .await
        .invalid("password");
    // The token of another purpose, one of nobody, half of one.
    for wrong in [
        welcome.token(),
        format!("violet_mail_{}", "0".repeat(64)),
        token[..40].to_owned(),
    ] {
        person
            .open(CONFIRM, &confirm(&wrong, "battery staple"))
            .await
            .invalid("token");
    }
    assert!(person.is_in().await);
    person
        .open(CONFIRM, &confirm(&token, "battery staple"))
        .await
        .ok();
    person
        .open(CONFIRM, &confirm(&token, "another staple"))
        .await
        .invalid("token");
    person
        .log_in(PASSWORD)
        .await
        .problem(401, "/problems/unauthenticated");
    person.log_in("battery staple").await.ok();
    eventually("all sessions have ended", || async {
        (!person.is_in().await).then_some(())
    })
    .await;
    // The address was not known to be theirs: whoever registered it keeps nothing.
    eventually("the key is refused", || async {
        let usage = person.http.get(format!("{}/api/v1/usage", person.url));
        let reply = Reply::to(usage.header("X-API-Key", &person.key)).await;
        (reply.status == 401).then_some(())
    })
    .await;
    let notice = office.letter(&person.email, 3).await;
    assert!(
        notice.text.contains("Subject: Your password was changed"),
        "{}",
        notice.text
    );
    assert_eq!(events(&world, "password.reset").await, ["ok"]);
    assert!(office.letters().iter().all(|letter| letter.to == person.email));
    world.end().await;
}

#[tokio::test]
async fn a_link_works_for_its_time_and_until_the_password_is_another() {
    let office = PostOffice::open().await;
    let world = world_with(&office).await;
    let person = Person::new(&world, "ada").await;
    let ask = || async { person.open(REQUEST, &json!({ "email": person.email })).await.ok() };
    let confirm = |token: String| json!({ "token": token, "password": "battery staple" });
    office.letter(&person.email, 1).await;
    ask().await;
    let first = office.letter(&person.email, 2).await.token();
    all_sent(&world).await;
    ask().await;
    let second = office.letter(&person.email, 3).await.token();
    let lives = "mail_tokens where purpose = 'reset_password' and expires_at <= now() + interval '1 hour'
                 and expires_at > now() + interval '40 minutes'";
    assert_eq!(world.count(lives).await, 2);
    let change = json!({ "current_password": PASSWORD, "password": PASSWORD });
    person.post("/api/v1/auth/password", &change).await.ok();
    // Both were for the password before.
    person.open(CONFIRM, &confirm(first)).await.invalid("token");
    person.open(CONFIRM, &confirm(second)).await.invalid("token");
    office.letter(&person.email, 4).await;
    all_sent(&world).await;
    ask().await;
    let third = office.letter(&person.email, 5).await.token();
    world.sql("update mail_tokens set expires_at = now() - interval '1 second' where purpose = 'reset_password'").await;
    person
        .open(CONFIRM, &confirm(third.clone()))
        .await
        .invalid("token");
    world
        .sql("update mail_tokens set expires_at = now() + interval '1 hour' where purpose = 'reset_password'")
        .await;
    person.open(CONFIRM, &confirm(third)).await.ok();
    world.end().await;
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_tried_again_and_holds_nobody() {
    let office = PostOffice::open().await;
    let world = world_with(&office).await;
    office.close(true);
    let person = Person::new(&world, "ada").await;
    person.open(REQUEST, &json!({ "email": person.email })).await.ok();
    // Asked again while it waits: one mail.
    person.open(REQUEST, &json!({ "email": person.email })).await.ok();
    eventually("both were tried", || async {
        (world.count("mails where attempts > 0").await == 2).then_some(())
    })
    .await;
    assert_eq!(world.count("mails").await, 2);
    assert!(office.letters().is_empty());
    office.close(false);
    // Its time is moved for as long as a worker may still write it.
    eventually("they are sent after all", || async {
        world.sql("update mails set next_at = now()").await;
        (office.letters().len() >= 2 && world.count("mails").await == 0).then_some(())
    })
    .await;

    // After so many tries it is given up.
    office.close(true);
    person.open(REQUEST, &json!({ "email": person.email })).await.ok();
    eventually("it is given up", || async {
        world.sql("update mails set next_at = now(), attempts = 10").await;
        (world.count("mails").await == 0).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn nobody_home_is_nobody_s_problem() {
    let world = World::with(|config| {
        // Nothing listens there.
        config.mail.smtp_url = violet::settings::Hidden::new("smtp://127.0.0.1:9");
    })
    .await;
    let person = Person::new(&world, "ada").await;
    eventually("the mail was tried", || async {
        (world.count("mails where attempts > 0").await == 1).then_some(())
    })
    .await;
    assert!(person.is_in().await);
    world.end().await;
}

#[tokio::test]
async fn without_mail_the_operation_says_so() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    for path in [REQUEST, "/api/v1/auth/verify-email/request"] {
        let reply = person.open(path, &json!({ "email": person.email })).await;
        assert!(
            reply
                .problem(503, "/problems/unavailable")
                .contains("mail.smtp_url")
        );
    }
    assert_eq!(world.count("mails").await, 0);
    world.end().await;
}

#[tokio::test]
async fn where_addresses_must_be_verified_nobody_gets_in_before() {
    let office = PostOffice::open().await;
    let world = World::with(|config| {
        config.mail.smtp_url = violet::settings::Hidden::new(&office.url);
        config.accounts.require_verified_email = true;
    })
    .await;
    let person = Person::register(&world, "ada").await;
    let with_key = || async {
        let url = format!("{}/api/v1/auth/me", world.server.url());
        Reply::to(world.http.get(url).header("X-API-Key", &person.key)).await
    };
    let first = office.letter(&person.email, 1).await;
    all_sent(&world).await;
    person
        .log_in("wrong horse")
        .await
        .problem(401, "/problems/unauthenticated");
    assert!(
        person
            .log_in(PASSWORD)
            .await
            .problem(403, "/problems/forbidden")
            .contains("verify-email")
    );
    with_key().await.problem(403, "/problems/forbidden");

    person
        .open(
            "/api/v1/auth/verify-email/request",
            &json!({ "email": person.email }),
        )
        .await
        .ok();
    let second = office.letter(&person.email, 2).await;
    let confirm = "/api/v1/auth/verify-email/confirm";
    person
        .open(confirm, &json!({ "token": second.token() }))
        .await
        .ok();
    person
        .open(confirm, &json!({ "token": second.token() }))
        .await
        .invalid("token");
    person
        .open(confirm, &json!({ "token": "violet_mail_" }))
        .await
        .invalid("token");
    assert_eq!(person.log_in(PASSWORD).await.ok()["user"]["email_verified"], true);
    assert_eq!(with_key().await.ok()["email_verified"], true);
    all_sent(&world).await;
    // One more would be for nothing, and the other link still only says what is known.
    person
        .open(
            "/api/v1/auth/verify-email/request",
            &json!({ "email": person.email }),
        )
        .await
        .ok();
    eventually("the queue is empty", || async {
        (world.count("mails").await == 0).then_some(())
    })
    .await;
    person
        .open(confirm, &json!({ "token": first.token() }))
        .await
        .ok();
    assert_eq!(office.letters().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn mails_to_strangers_are_few() {
    let office = PostOffice::open().await;
    let world = World::with(|config| {
        config.mail.smtp_url = violet::settings::Hidden::new(&office.url);
        config.accounts.mails_per_address.free = 2;
        config.accounts.mails_per_address.lock_after = 3;
    })
    .await;
    let person = Person::register(&world, "ada").await;
    for number in 0..2 {
        person
            .open(REQUEST, &json!({ "email": format!("user{number}@example.org") }))
            .await
            .ok();
    }
    world
        .sql("update login_attempts set next_at = next_at + interval '100 seconds'")
        .await;
    let reply = person
        .open(REQUEST, &json!({ "email": "user3@example.org" }))
        .await;
    reply.problem(429, "/problems/too-many-requests");
    person.log_in(PASSWORD).await.ok();
    world.end().await;
}

#[tokio::test]
async fn the_page_of_the_links_is_there_and_calls_nobody_else() {
    let world = World::start().await;
    let reply = world
        .http
        .get(format!("{}/account", world.server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    let policy = reply.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"));
    assert_eq!(reply.headers()["referrer-policy"], "no-referrer");
    let page = reply.text().await.unwrap();
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    for path in ["auth/password-reset/confirm", "auth/verify-email/confirm"] {
        assert!(page.contains(path) && description["paths"].get(format!("/api/v1/{path}")).is_some());
    }
    world.end().await;
}
