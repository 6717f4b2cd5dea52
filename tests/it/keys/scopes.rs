//! What a key may do: what its scopes name, and never more than its maker.
use serde_json::json;

use super::{KEYS, VERIFY, make, manager, rotate, with_scopes};
use crate::harness::{Reply, World, translation};

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

#[tokio::test]
async fn a_key_does_what_its_scopes_name_and_nothing_else() {
    let world = World::start().await;
    world.miners(1).await;
    let user = manager(&world).await;

    let (made, reader) = with_scopes(&user, &["read"]).await;
    assert_eq!(made["scopes"], reader.get(VERIFY).await.ok()["scopes"]);
    let task = user.submit(&translation(1)).await;
    reader.status(&task).await;
    let refused = reader.submit_raw(&translation(1)).await;
    let detail = refused.problem(403, "/problems/forbidden");
    assert!(detail.contains("tasks:text_translation"), "{detail}");
    reader.cancel(&task).await.problem(403, "/problems/forbidden");
    reader.get(KEYS).await.problem(403, "/problems/forbidden");

    let (made, speaker) = with_scopes(&user, &["tts", "tasks:text_translation"]).await;
    let scopes = made["scopes"].as_array().unwrap();
    assert!(scopes.contains(&"tasks:tts".into()) && !scopes.contains(&"tasks:transcription".into()));
    let task = speaker.submit(&translation(1)).await;
    speaker.cancel(&task).await.ok();
    let summary = Reply::to(
        speaker
            .post("/api/v1/summarization")
            .json(&json!({ "text": "A text." })),
    )
    .await;
    summary.problem(403, "/problems/forbidden");

    // Without scopes it may do what its maker may, but for managing; so may the first key of everybody.
    let made = make(&user, &json!({ "name": "all" })).await.ok();
    let all = user.with_key(made["api_key"].as_str().unwrap());
    all.submit(&translation(1)).await;
    all.get(KEYS).await.problem(403, "/problems/forbidden");
    let first = world.user().await;
    first.submit(&translation(1)).await;
    make(&first, &json!({ "name": "x" }))
        .await
        .problem(403, "/problems/forbidden");
    assert_eq!(first.get(VERIFY).await.ok()["scopes"], made["scopes"]);
    world.end().await;
}

#[tokio::test]
async fn a_key_makes_none_that_may_do_more_or_lives_longer() {
    let world = World::start().await;
    let user = manager(&world).await;
    let (_, manages) = with_scopes(&user, &["keys:manage", "tasks:read"]).await;

    let refused = make(&manages, &json!({ "name": "x", "scopes": ["tasks"] })).await;
    let detail = refused.problem(403, "/problems/forbidden");
    assert!(
        detail.contains("tasks:tts") && !detail.contains("tasks:read"),
        "{detail}"
    );
    let (made, _) = with_scopes(&manages, &["tasks:read"]).await;
    assert_eq!(made["scopes"], json!(["tasks:read"]));
    let made = make(&manages, &json!({ "name": "x" })).await.ok();
    assert_eq!(made["scopes"], json!(["tasks:read"]));

    // Nor does it get at the secret of one that may.
    let (mighty, _) = with_scopes(&user, &["tasks"]).await;
    let detail = rotate(&manages, &mighty["api_key_id"]).await;
    assert!(detail.problem(403, "/problems/forbidden").contains("tasks:tts"));

    let end = world.server.app.clock.now() + chrono::TimeDelta::days(1);
    let wish = |name, at: chrono::DateTime<chrono::Utc>| json!({ "name": name, "scopes": ["keys:manage", "tasks:read"], "expires_at": at });
    let ending = make(&user, &wish("ending", end)).await.ok();
    let ending = user.with_key(ending["api_key"].as_str().unwrap());
    let later = make(&ending, &wish("later", end + chrono::TimeDelta::seconds(1))).await;
    later.invalid("expires_at");
    make(&ending, &wish("same", end)).await.ok();
    let same = make(&ending, &json!({ "name": "unsaid" })).await.ok();
    assert_eq!(same["expires_at"].as_str().unwrap()[..19], end.to_rfc3339()[..19]);
    let refused = rotate(&ending, &made["api_key_id"]).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("lives longer")
    );
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let world = World::with(|config| {
        config.keys.most = 4;
        config.keys.longest_days = 10;
    })
    .await;
    let user = manager(&world).await;
    let unknown = make(&user, &json!({ "name": "x", "scopes": ["tasks:read", "fly"] })).await;
    let detail = unknown.invalid("scopes");
    assert!(detail.contains("\"fly\"") && detail.contains("tasks:tts") && detail.contains("keys:manage"));
    for scopes in [json!([]), json!([""]), json!(["keys"]), json!(["TASKS"])] {
        make(&user, &json!({ "name": "x", "scopes": scopes }))
            .await
            .invalid("scopes");
    }
    for name in ["", "  ", "a\nb", &"x".repeat(101)] {
        make(&user, &json!({ "name": name })).await.invalid("name");
    }
    let strange = make(&user, &json!({ "name": "x", "expires": 1 })).await;
    strange.problem(422, "/problems/malformed-request");

    let now = world.server.app.clock.now();
    for off in [-1, 0, 10 * 86_400 + 60] {
        let at = now + chrono::TimeDelta::seconds(off);
        make(&user, &json!({ "name": "x", "expires_at": at }))
            .await
            .invalid("expires_at");
    }
    assert_eq!(world.count("api_keys").await, 1);
    let at = now + chrono::TimeDelta::seconds(10 * 86_400);
    make(&user, &json!({ "name": "x".repeat(100), "expires_at": at }))
        .await
        .ok();
    for _ in 0..2 {
        make(&user, &json!({ "name": "x" })).await.ok();
    }
    let full = make(&user, &json!({ "name": "x" })).await;
    assert!(full.problem(409, "/problems/conflict").contains("4 keys"));

    // Somebody else's keys are not there.
    let other = manager(&world).await;
    let id = user.get(KEYS).await.ok()["keys"][0]["api_key_id"].clone();
    for id in [id.as_str().unwrap(), UNKNOWN] {
        let path = format!("{KEYS}/{id}");
        other.get(&path).await.problem(404, "/problems/not-found");
        other.delete(&path).await.problem(404, "/problems/not-found");
        rotate(&other, &id.into())
            .await
            .problem(404, "/problems/not-found");
    }
    assert_eq!(world.count("api_keys where revoked_at is not null").await, 0);
    world.end().await;
}

#[tokio::test]
async fn an_address_alone_gives_nobody_a_key() {
    let world = World::start().await;
    let user = manager(&world).await;
    let email: String = sqlx::query_scalar("select email from users")
        .fetch_one(&world.db)
        .await
        .unwrap();
    let url = format!("{}/api/v1/auth/generate-api-key", world.server.url());
    let asked = json!({ "email": email, "network": "finney", "uid": 3 });
    let reply = Reply::to(world.http.post(&url).json(&asked)).await;
    let detail = reply.problem(401, "/problems/unauthenticated");
    assert!(detail.contains("/api/v1/auth/api-keys"), "{detail}");
    // Not before the body is read: there need not be one.
    Reply::to(world.http.post(&url).body("{"))
        .await
        .problem(401, "/problems/unauthenticated");

    let made = Reply::to(user.post("/api/v1/auth/generate-api-key").json(&asked))
        .await
        .ok();
    assert_eq!(
        (&made["success"], &made["role"]),
        (&true.into(), &"client".into())
    );
    user.with_key(made["api_key"].as_str().unwrap())
        .get(VERIFY)
        .await
        .ok();
    user.get(VERIFY).await.ok();

    let other = manager(&world).await;
    for email in [email.as_str(), "nobody@example.org"] {
        let asked = other
            .post("/api/v1/auth/generate-api-key")
            .json(&json!({ "email": email }));
        Reply::to(asked).await.problem(403, "/problems/forbidden");
    }
    assert_eq!(world.count("api_keys").await, 3);
    world.end().await;
}
