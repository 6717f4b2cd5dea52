//! Registration and API keys.
use serde_json::{Value, json};

use crate::harness::{Reply, World, eventually};

const VERIFY: &str = "/api/v1/auth/verify-api-key";

async fn register(world: &World, email: &str, password: &str) -> Reply {
    let new = json!({ "email": email, "password": password });
    Reply::to(
        world
            .http
            .post(format!("{}/api/v1/auth/register", world.server.url()))
            .json(&new),
    )
    .await
}

#[tokio::test]
async fn a_user_registers_once_and_gets_a_key_that_works() {
    let world = World::start().await;
    let registered = register(&world, " Name@Example.org", "12345678").await.ok();
    assert_eq!(
        (&registered["success"], &registered["role"]),
        (&true.into(), &"client".into())
    );
    assert_eq!(registered["email"], "name@example.org");
    let key = registered["api_key"].as_str().unwrap();

    let url = format!("{}{VERIFY}", world.server.url());
    let verified = Reply::to(world.http.get(&url).header("X-API-Key", key))
        .await
        .ok();
    assert_eq!(
        (&verified["valid"], &verified["user_id"]),
        (&true.into(), &registered["user_id"])
    );
    assert_eq!(
        Reply::to(world.http.get(&url).bearer_auth(key)).await.ok(),
        verified
    );

    // No form of the address registers twice, and of two at once one does.
    for email in ["name@example.org", "NAME@EXAMPLE.ORG"] {
        let detail = register(&world, email, "12345678").await;
        assert!(
            detail
                .problem(409, "/problems/conflict")
                .contains("registered already")
        );
    }
    let (one, two) = tokio::join!(
        register(&world, "two@example.org", "12345678"),
        register(&world, "two@example.org", "87654321")
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(
        (world.count("users").await, world.count("organizations").await),
        (2, 2)
    );

    // What is stored gives neither the key nor the password away.
    let stored: Vec<String> =
        sqlx::query_scalar("select u::text || k::text from users u join api_keys k using (user_id)")
            .fetch_all(&world.db)
            .await
            .unwrap();
    let (prefix, secret) = key.split_at(13);
    assert!(stored.iter().any(|row| row.contains(prefix)), "{stored:?}");
    assert!(
        stored
            .iter()
            .all(|row| !row.contains(secret) && !row.contains("12345678")),
        "{stored:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn what_is_no_address_or_password_is_refused() {
    let world = World::start().await;
    let long = format!("{}@example.org", "a".repeat(250));
    for email in [
        "",
        "name",
        "name@",
        "@example.org",
        "name@example",
        "name@.org",
        "name@example.",
        "a b@example.org",
        "a@b@example.org",
        "a\0@example.org",
        "a\n@example.org",
        &long,
    ] {
        register(&world, email, "12345678").await.invalid("email");
    }
    for password in ["", "1234567", &"x".repeat(257)] {
        register(&world, "name@example.org", password)
            .await
            .invalid("password");
    }
    // Characters are counted, not bytes.
    register(&world, "umlaut@example.org", &"ü".repeat(256))
        .await
        .ok();
    let url = format!("{}/api/v1/auth/register", world.server.url());
    for (body, status) in [
        (json!({}), 422),
        (json!({ "email": "name@example.org" }), 422),
        (json!({ "email": 1, "password": "12345678" }), 422),
        (Value::Null, 422),
    ] {
        Reply::to(world.http.post(&url).json(&body))
            .await
            .problem(status, "/problems/malformed-request");
    }
    let broken = world
        .http
        .post(&url)
        .header("content-type", "application/json")
        .body("{");
    Reply::to(broken)
        .await
        .problem(400, "/problems/malformed-request");
    Reply::to(world.http.post(&url).body("x"))
        .await
        .problem(415, "/problems/unsupported-media");
    assert_eq!(world.count("users").await, 1);

    // Nobody becomes an admin by asking.
    let asked = json!({ "email": "admin@example.org", "password": "12345678", "role": "admin" });
    assert_eq!(
        Reply::to(world.http.post(&url).json(&asked)).await.ok()["role"],
        "client"
    );
    assert_eq!(world.count("users where role = 'admin'").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_key_that_was_revoked_stops_working() {
    let world = World::with(|config| config.identity.key_cache_seconds = 1).await;
    let user = world.user().await;
    user.get(VERIFY).await.ok();
    world.sql("update api_keys set revoked_at = now()").await;
    let refused = eventually("the key is refused", || async {
        let reply = user.get(VERIFY).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    refused.problem(401, "/problems/unauthenticated");

    let other = world.user().await;
    world.sql("update users set is_active = false").await;
    other.get(VERIFY).await.problem(401, "/problems/unauthenticated");
    world.end().await;
}
