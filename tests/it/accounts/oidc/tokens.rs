//! Which tokens are believed.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use violet::issuers::Issuers;

use super::{ME, bearer, issuer, with, world_with};
use crate::{
    accounts::{Person, events, text},
    harness::{AUDIENCE, Issuer, Reply, SigningKey, World},
};

#[tokio::test]
async fn a_token_of_an_issuer_does_what_a_login_does() {
    let (rsa, ec) = (SigningKey::rsa("r", 0), SigningKey::ec("e"));
    let issuer = Issuer::open(&[&rsa, &ec]).await;
    let world = world_with(&issuer, |_, _| ()).await;
    let ada = bearer(&world, &rsa.sign(&issuer.claims("ada")));
    let me = ada.get(ME).await;
    let policy = me.headers["ratelimit-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("\"organization\""), "{policy}");
    let me = me.ok();
    assert_eq!(
        (&me["email"], &me["email_verified"], &me["full_name"], &me["role"]),
        (
            &"ada@example.org".into(),
            &true.into(),
            &"ada".into(),
            &"client".into()
        )
    );
    assert_eq!(me["organizations"][0]["role"], "owner");
    assert_eq!(me["organizations"][0]["personal"], true);

    // Another token, another key: the same user, in the same session.
    let claims = with(&issuer.claims("ada"), "email", "new@example.org".into());
    let again = bearer(&world, &ec.sign(&claims));
    assert_eq!(again.get(ME).await.ok()["user_id"], me["user_id"]);
    let sessions = again.get("/api/v1/auth/sessions").await.ok();
    assert_eq!(
        (&sessions["count"], &sessions["sessions"][0]["current"]),
        (&1.into(), &true.into())
    );
    let eve = bearer(&world, &ec.sign(&issuer.claims("eve")));
    assert_ne!(eve.get(ME).await.ok()["user_id"], me["user_id"]);

    // It makes keys, which outlive it, and what needs a login.
    let made = ada
        .post("/api/v1/auth/api-keys", &json!({ "name": "a key" }))
        .await
        .ok();
    let key = text(&made["api_key"]);
    let url = format!("{}{ME}", world.server.url());
    let by_key = Reply::to(world.http.get(url).header("X-API-Key", key)).await.ok();
    assert_eq!(by_key["user_id"], me["user_id"]);
    let listed = ada.get("/api/v1/auth/identities").await.ok();
    assert_eq!(
        (&listed["count"], &listed["identities"][0]["subject"]),
        (&1.into(), &"ada".into())
    );
    assert_eq!(
        listed["issuers"][0],
        json!({
            "name": "tests", "issuer": issuer.url, "audience": [AUDIENCE], "creates_accounts": true,
        })
    );
    assert_eq!(events(&world, "user.registered").await, ["ok"; 2]);
    assert_eq!(events(&world, "identity.linked").await, ["ok"; 2]);
    assert_eq!(events(&world, "login").await, ["ok"; 2]);
    world.end().await;
}

#[tokio::test]
async fn an_issuer_makes_nobody_an_administrator() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |_, _| ()).await;
    let mut claims = issuer.claims("ada");
    for claim in ["role", "roles", "admin", "platform"] {
        claims[claim] = "admin".into();
    }
    let mut ada = bearer(&world, &key.sign(&claims));
    let path = "/api/v1/admin/security-events";
    assert_eq!(ada.get(ME).await.ok()["role"], "client");
    ada.get(path).await.problem(403, "/problems/forbidden");
    // Not even whom the operator made one: that needs a password. Nor a token of ours that came of one of the issuer's.
    world.sql("update users set role = 'admin'").await;
    world.server.app.standings.forget();
    ada.get(path).await.problem(403, "/problems/forbidden");
    let own = text(&ada.get(ME).await.ok()["organization_id"]);
    ada.act_for(&own).await;
    assert!(ada.is_in().await);
    ada.get(path).await.problem(403, "/problems/forbidden");
    world.end().await;
}

/// Tokens that are almost right, with what is said about them.
fn almost_right(issuer: &Issuer, key: &SigningKey) -> Vec<(String, &'static str)> {
    let claims = issuer.claims("ada");
    let now = claims["iat"].as_i64().unwrap();
    let changed = |name: &str, value: Value| key.sign(&with(&claims, name, value));
    let mut all = vec![
        (changed("aud", "another".into()), "`aud`"),
        (changed("aud", json!([AUDIENCE, "another"])), "`azp`"),
        (changed("aud", Value::Null), "lacks"),
        (changed("exp", (now - 61).into()), "is over"),
        (changed("exp", Value::Null), "lacks"),
        (changed("exp", "tomorrow".into()), "another form"),
        (changed("nbf", (now + 600).into()), "`nbf`"),
        (changed("iat", (now + 600).into()), "`iat`"),
        (changed("iat", Value::Null), "lacks"),
        (changed("sub", "".into()), "`sub`"),
        (changed("sub", "x".repeat(256).into()), "`sub`"),
        (changed("sub", Value::Null), "lacks"),
        (changed("sub", 7.into()), "another form"),
        (changed("events", json!({ "logout": {} })), "event"),
    ];
    let header = |change: &dyn Fn(&mut Header)| {
        let mut header = key.header();
        change(&mut header);
        key.sign_with(&header, &claims)
    };
    all.extend([
        (header(&|header| header.typ = Some("logout+jwt".into())), "`typ`"),
        (header(&|header| header.crit = Some(vec!["b64".into()])), "`crit`"),
        (header(&|header| header.kid = Some("another".into())), "`kid`"),
        (header(&|header| header.alg = Algorithm::RS384), "not taken of"),
        (
            header(&|header| header.kid = Some("ec".into())),
            "another algorithm",
        ),
    ]);
    all
}

/// Tokens that the issuer did not sign.
fn forged(issuer: &Issuer, key: &SigningKey) -> Vec<(String, &'static str)> {
    let claims = issuer.claims("ada");
    let good = key.sign(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = encoded(&json!({ "alg": "none", "typ": "JWT", "kid": key.id }));
    let eve = encoded(&issuer.claims("eve"));
    let thief = SigningKey::rsa(&key.id, 1);
    let mut with_own_key = thief.header();
    with_own_key.jwk = serde_json::from_value::<Jwk>(thief.public()).ok();
    with_own_key.jku = Some(format!("{}/keys", issuer.url));
    let public = key.public();
    let shared = |secret: &[u8]| {
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    vec![
        (format!("{}.{eve}.{}", parts[0], parts[2]), "not signed by"),
        (format!("{}.{}.", parts[0], parts[1]), "not signed by"),
        (format!("{}.{}.AAAA", parts[0], parts[1]), "not signed by"),
        (format!("{none}.{}.", parts[1]), "header"),
        (format!("{none}.{}.{}", parts[1], parts[2]), "header"),
        (
            format!("{}.{}.{}", encoded(&json!({})), parts[1], parts[2]),
            "header",
        ),
        (thief.sign(&claims), "not signed by"),
        (thief.sign_with(&with_own_key, &claims), "not signed by"),
        (shared(public.to_string().as_bytes()), "not taken of"),
        (shared(&modulus), "not taken of"),
        (shared(b""), "not taken of"),
    ]
}

#[tokio::test]
async fn what_does_not_hold_is_refused_and_makes_nothing() {
    let (key, ec) = (SigningKey::rsa("rsa", 0), SigningKey::ec("ec"));
    let issuer = Issuer::open(&[&key, &ec]).await;
    let world = world_with(&issuer, |_, _| ()).await;
    let me = async |token: &str| bearer(&world, token).get(ME).await;
    for (token, why) in [almost_right(&issuer, &key), forged(&issuer, &key)].concat() {
        let reply = me(&token).await;
        let detail = reply.problem(401, "/problems/unauthenticated");
        assert!(detail.contains(why), "{why}: {detail}");
        let both = Reply::to(
            bearer(&world, &token)
                .request(reqwest::Method::GET, ME)
                .header("X-API-Key", "x"),
        )
        .await;
        both.problem(401, "/problems/unauthenticated");
    }
    // Of nobody who is known here: then it is no token of ours either.
    let claims = issuer.claims("ada");
    let long = with(&claims, "padding", "x".repeat(20_000).into());
    for token in [
        key.sign(&with(&claims, "iss", format!("{}/", issuer.url).into())),
        key.sign(&with(&claims, "iss", "violet".into())),
        key.sign(&with(&claims, "iss", json!([issuer.url]))),
        key.sign(&with(&claims, "iss", Value::Null)),
        key.sign(&long),
    ] {
        me(&token).await.problem(401, "/problems/unauthenticated");
    }
    assert_eq!(
        (world.count("users").await, world.count("user_identities").await),
        (0, 0)
    );
    assert_eq!(world.count("security_events").await, 0);
    // And in the same world, what holds.
    let now = claims["iat"].as_i64().unwrap();
    for good in [
        key.sign(&claims),
        ec.sign(&claims),
        key.sign(&with(
            &with(&claims, "aud", json!(["another", AUDIENCE])),
            "azp",
            AUDIENCE.into(),
        )),
        key.sign(&with(&claims, "nbf", now.into())),
        key.sign_with(
            &Header {
                typ: Some("at+jwt".into()),
                ..key.header()
            },
            &claims,
        ),
        key.sign_with(
            &Header {
                typ: None,
                ..key.header()
            },
            &claims,
        ),
        // There is one key for the algorithm.
        key.sign_with(
            &Header {
                kid: None,
                ..key.header()
            },
            &claims,
        ),
    ] {
        me(&good).await.ok();
    }
    world.end().await;
}

#[tokio::test]
async fn a_token_counts_until_its_end_and_a_little_longer() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |settings, _| settings.clock_skew_seconds = 300).await;
    let ada = bearer(&world, &key.sign(&issuer.claims("ada")));
    assert!(ada.is_in().await);
    let clock = &world.server.app.clock;
    clock.advance(TimeDelta::seconds(3600 + 200));
    assert!(ada.is_in().await, "within what its clock may be off");
    clock.advance(TimeDelta::seconds(101));
    let over = ada.get(ME).await;
    assert!(over.problem(401, "/problems/unauthenticated").contains("is over"));
    world.end().await;
}

#[tokio::test]
async fn issuers_are_told_apart() {
    let [one, two] = [SigningKey::ec("same"), SigningKey::ec("same")];
    let (first, second) = (Issuer::open(&[&one]).await, Issuer::open(&[&two]).await);
    let world = World::with(|config| {
        let mut settings = second.settings("second");
        settings.audience = vec!["others".into()];
        settings.jwks_url = Some(format!("{}/keys", second.url));
        config.identity.oidc = Issuers(vec![first.settings("first"), settings]);
    })
    .await;
    let of_second = with(&second.claims("ada"), "aud", "others".into());
    let of_second = with(&of_second, "email", "other@example.org".into());
    let [ada, other] =
        [one.sign(&first.claims("ada")), two.sign(&of_second)].map(|token| bearer(&world, &token));
    let id = async |person: &Person| text(&person.get(ME).await.ok()["user_id"]);
    assert_ne!(
        id(&ada).await,
        id(&other).await,
        "the same subject of two issuers"
    );
    // Neither signs for the other, and each has its own audience.
    for token in [
        two.sign(&first.claims("ada")),
        one.sign(&of_second),
        two.sign(&second.claims("ada")),
    ] {
        bearer(&world, &token)
            .get(ME)
            .await
            .problem(401, "/problems/unauthenticated");
    }
    // Tokens of ours go on beside them.
    let person = Person::new(&world, "eve").await;
    assert!(person.is_in().await);
    world.end().await;
}
