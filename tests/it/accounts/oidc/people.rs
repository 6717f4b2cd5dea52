//! Whose tokens are, and how long they count.
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ME, bearer, issuer, with, world_with};
use crate::{
    accounts::{PASSWORD, Person, events, text},
    harness::{Issuer, PostOffice, SigningKey, eventually},
};

const IDENTITIES: &str = "/api/v1/auth/identities";

async fn link(person: &Person, token: &str) -> crate::harness::Reply {
    person.post(IDENTITIES, &json!({ "token": token })).await
}

/// A token that was issued so many seconds from now, as far as the issuer's clock goes.
fn issued(issuer: &Issuer, key: &SigningKey, subject: &str, seconds: i64) -> String {
    let claims = issuer.claims(subject);
    let at = claims["iat"].as_i64().unwrap() + seconds;
    key.sign(&with(&claims, "iat", at.into()))
}

async fn out(person: &Person) {
    eventually("a token does not count any more", || async {
        (!person.is_in().await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_equal_address_is_no_way_into_an_account() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |_, _| ()).await;
    let other = world.replica().await;
    let ada = Person::new(&world, "ada").await;
    let token = key.sign(&issuer.claims("ada"));
    let thief = bearer(&world, &token);
    for server in [&world.server, &other] {
        let reply = thief.at(server).get(ME).await;
        let detail = reply.problem(403, "/problems/forbidden");
        assert!(detail.contains(IDENTITIES), "{detail}");
    }
    assert_eq!(
        (world.count("users").await, world.count("user_identities").await),
        (1, 0)
    );
    // Each server notes it, but not each time.
    for _ in 0..20 {
        thief.get(ME).await.problem(403, "/problems/forbidden");
    }
    let noted = events(&world, "identity.refused").await.len();
    assert!((2..20).contains(&noted), "{noted}");

    // Whoever has the password links it.
    let eve = Person::new(&world, "eve").await;
    let linked = link(&ada, &token).await.ok();
    assert_eq!(link(&ada, &token).await.ok(), linked);
    link(&eve, &token).await.problem(409, "/problems/conflict");
    for server in [&world.server, &other] {
        eventually("the token is its user's", || async {
            let me = thief.at(server).get(ME).await;
            (me.status == 200 && me.body["user_id"] == ada.id.as_str()).then_some(())
        })
        .await;
    }
    // A token is no password: it links nothing, nor does one of ours that came of it.
    let second = key.sign(&issuer.claims("second"));
    link(&thief, &second).await.problem(403, "/problems/forbidden");
    let mut exchanged = thief.clone();
    exchanged
        .act_for(&text(&thief.get(ME).await.ok()["organization_id"]))
        .await;
    link(&exchanged, &second)
        .await
        .problem(403, "/problems/forbidden");
    for wrong in [
        String::new(),
        ada.access.clone(),
        SigningKey::ec("first").sign(&issuer.claims("ada")),
        key.sign(&with(&issuer.claims("ada"), "email_verified", false.into())),
        key.sign(&with(&issuer.claims("ada"), "aud", "others".into())),
    ] {
        link(&ada, &wrong).await.invalid("token");
    }
    let path = format!("{IDENTITIES}/{}", text(&linked["identity_id"]));
    eve.send(Method::DELETE, &path, &json!({}))
        .await
        .problem(404, "/problems/not-found");
    ada.send(Method::DELETE, &path, &json!({})).await.ok();
    for server in [&world.server, &other] {
        eventually("the token is nobody's", || async {
            (thief.at(server).get(ME).await.status == 403).then_some(())
        })
        .await;
    }
    exchanged.get(ME).await.problem(401, "/problems/unauthenticated");
    assert!(ada.is_in().await);
    assert_eq!(events(&world, "identity.linked").await, ["ok", "refused"]);
    assert_eq!(events(&world, "identity.unlinked").await, ["ok"]);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_ends_sessions_ends_tokens() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |settings, _| settings.clock_skew_seconds = 300).await;
    let other = world.replica().await;
    let token = |seconds| issued(&issuer, &key, "ada", seconds);
    let first = bearer(&world, &token(-60));
    assert!(first.is_in().await && first.at(&other).is_in().await);
    first.post("/api/v1/auth/logout", &json!({})).await.ok();
    out(&first).await;
    out(&first.at(&other)).await;
    let ended = first.get(ME).await;
    assert!(
        ended
            .problem(401, "/problems/unauthenticated")
            .contains("its issuer")
    );
    // One that was issued before, whether it was seen or not.
    assert!(!bearer(&world, &token(-10)).is_in().await);

    // A newer one is a new login. The older one stays out, at every server.
    let second = bearer(&world, &token(100));
    assert!(second.is_in().await && second.at(&other).is_in().await);
    assert!(!first.is_in().await && !first.at(&other).is_in().await);
    assert_eq!(second.get("/api/v1/auth/sessions").await.ok()["count"], 1);
    second.post("/api/v1/auth/logout/all", &json!({})).await.ok();
    // Its issuer's clock was ahead of ours: what was shown has ended all the same, and begins nothing.
    assert!(!second.is_in().await);
    assert!(!bearer(&world, &token(90)).is_in().await);
    assert_eq!(world.count("sessions").await, 2);
    let third = bearer(&world, &token(200));
    assert!(third.is_in().await);

    // A session that nobody ended, but that was not used for long, is followed by another.
    world
        .sql("update sessions set expires_at = now() - interval '1 second'")
        .await;
    eventually("there is another session", || async {
        (third.is_in().await && world.count("sessions where expires_at > now()").await == 1).then_some(())
    })
    .await;
    assert_eq!(world.count("sessions").await, 4);
    // What is forgotten of sessions is not forgotten of tokens.
    world
        .sql("update sessions set ended_at = now(), expires_at = now() - interval '100 days'")
        .await;
    world
        .sql("update sessions set ended_at = now() - interval '50 days'")
        .await;
    violet::services::sessions::sweep(&world.server.app)
        .await
        .unwrap();
    assert_eq!(world.count("sessions").await, 1);
    out(&third).await;
    let fourth = bearer(&world, &token(250));
    assert!(fourth.is_in().await && fourth.at(&other).is_in().await);

    world.sql("update users set is_active = false").await;
    for server in [&world.server, &other] {
        out(&fourth.at(server)).await;
    }
    assert!(!bearer(&world, &token(260)).is_in().await);
    assert_eq!(world.count("users").await, 1);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn of_first_tokens_at_two_servers_at_once_one_account_is_made() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |_, _| ()).await;
    let other = world.replica().await;
    for subject in ["ada", "eve", "joe"] {
        let token = key.sign(&issuer.claims(subject));
        // The address has changed in between: it is the same subject.
        let changed = with(
            &issuer.claims(subject),
            "email",
            format!("{subject}2@example.org").into(),
        );
        let changed = key.sign(&changed);
        let people: Vec<Person> = (0..8)
            .map(|number| {
                let server = if number % 2 == 0 { &world.server } else { &other };
                bearer(&world, if number < 4 { &token } else { &changed }).at(server)
            })
            .collect();
        let mut found: Vec<Value> = Vec::new();
        for reply in join_all(people.iter().map(|person| person.get(ME))).await {
            found.push(reply.ok()["user_id"].clone());
        }
        found.dedup();
        assert_eq!(found.len(), 1, "{found:?}");
    }
    for table in ["users", "user_identities", "organizations", "sessions"] {
        assert_eq!(world.count(table).await, 3, "{table}");
    }
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn settings_say_who_gets_an_account() {
    let (issuer, key) = issuer().await;
    for (create, verified, claim, value, made) in [
        (false, false, "name", json!("ada"), false),
        (true, true, "email_verified", json!(false), false),
        (true, true, "email_verified", Value::Null, false),
        (true, true, "email_verified", json!("true"), true),
        (true, false, "email_verified", json!(false), true),
        (true, false, "email", Value::Null, false),
        (true, false, "email", json!("nobody"), false),
    ] {
        let world = world_with(&issuer, |settings, _| {
            settings.create_accounts = create;
            settings.require_verified_email = verified;
        })
        .await;
        let holds = value == "true";
        let ada = bearer(&world, &key.sign(&with(&issuer.claims("ada"), claim, value)));
        let reply = ada.get(ME).await;
        if made {
            assert_eq!(reply.ok()["email_verified"], holds);
        } else {
            reply.problem(403, "/problems/forbidden");
        }
        assert_eq!(world.count("users").await, i64::from(made));
        assert_eq!(world.count("organizations").await, i64::from(made));
        world.end().await;
    }
}

#[tokio::test]
async fn who_comes_by_an_issuer_has_no_password_until_it_asks_for_one() {
    let office = PostOffice::open().await;
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |settings, config| {
        settings.require_verified_email = false;
        config.mail.smtp_url = violet::settings::Hidden::new(&office.url);
    })
    .await;
    let mut ada = bearer(&world, &issued(&issuer, &key, "ada", -5));
    let identities = ada.get(IDENTITIES).await.ok();
    let path = format!(
        "{IDENTITIES}/{}",
        text(&identities["identities"][0]["identity_id"])
    );
    ada.email = "ada@example.org".into();
    // To a stranger it is an account like any other.
    for password in ["", PASSWORD] {
        ada.log_in(password)
            .await
            .problem(401, "/problems/unauthenticated");
    }
    let change = json!({ "current_password": "", "password": PASSWORD });
    let reply = ada.post("/api/v1/auth/password", &change).await;
    assert!(
        reply
            .problem(403, "/problems/forbidden")
            .contains("password-reset")
    );
    let only = ada.send(Method::DELETE, &path, &json!({})).await;
    assert!(only.problem(409, "/problems/conflict").contains("only way"));

    let choose = async |person: &Person, letter: usize| {
        let asked = json!({ "email": person.email });
        person
            .open("/api/v1/auth/password-reset/request", &asked)
            .await
            .ok();
        let token = office.letter(&person.email, letter).await.token();
        let chosen = json!({ "token": token, "password": PASSWORD });
        person
            .open("/api/v1/auth/password-reset/confirm", &chosen)
            .await
            .ok();
    };
    choose(&ada, 1).await;
    out(&ada).await;
    let newer = bearer(&world, &issued(&issuer, &key, "ada", 30));
    assert!(newer.is_in().await, "what was linked stays linked");
    ada.take(&ada.log_in(PASSWORD).await.ok());
    ada.send(Method::DELETE, &path, &json!({})).await.ok();
    eventually("the token is nobody's", || async {
        (newer.get(ME).await.status == 403).then_some(())
    })
    .await;

    // Who made an account with another's address is out once its owner shows up.
    let claims = with(&issuer.claims("mallory"), "email", "eve@example.org".into());
    let mallory = bearer(&world, &key.sign(&with(&claims, "email_verified", false.into())));
    assert_eq!(mallory.get(ME).await.ok()["email_verified"], false);
    let mut eve = mallory.clone();
    eve.email = "eve@example.org".into();
    // The first letter asks to verify the address.
    choose(&eve, 2).await;
    eve.take(&eve.log_in(PASSWORD).await.ok());
    assert_eq!(eve.get(IDENTITIES).await.ok()["count"], 0);
    eventually("the stranger is out", || async {
        (mallory.get(ME).await.status == 403).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn tokens_act_for_the_organisation_of_their_session() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |_, _| ()).await;
    let other = world.replica().await;
    let ada = bearer(&world, &key.sign(&issuer.claims("ada")));
    let own = text(&ada.get(ME).await.ok()["organization_id"]);
    let made = ada
        .post("/api/v1/organizations", &json!({ "name": "Acme" }))
        .await
        .ok();
    let team = text(&made["organization_id"]);
    ada.clone().act_for(&team).await;
    let acts_for = async |organization: &str| {
        for server in [&world.server, &other] {
            let person = ada.at(server);
            eventually("the token acts for the other organisation", || async {
                let me = person.get(ME).await;
                (me.status == 200 && me.body["organization_id"] == organization).then_some(())
            })
            .await;
        }
    };
    acts_for(&team).await;
    assert_eq!(ada.get("/api/v1/organization").await.ok()["role"], "owner");
    // Who is taken out goes on in its own.
    world
        .sql(&format!(
            "delete from memberships where organization_id = '{team}'"
        ))
        .await;
    acts_for(&own).await;
    other.stop().await;
    world.end().await;
}
