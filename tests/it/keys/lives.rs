//! The life of a key: its use, its end, its new secrets.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{KEYS, VERIFY, make, manager, rotate, with_scopes};
use crate::harness::{Reply, User, World, eventually};

/// Until it is refused.
async fn refused(user: &User) {
    let reply = eventually("the key is refused", || async {
        let reply = user.get(VERIFY).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    reply.problem(401, "/problems/unauthenticated");
}

#[tokio::test]
async fn a_key_is_shown_once_and_listed_until_it_is_revoked() {
    let world = World::start().await;
    let user = manager(&world).await;
    let made = make(&user, &json!({ "name": " my key ", "scopes": ["files"] }))
        .await
        .ok();
    let secret = made["api_key"].as_str().unwrap();
    assert_eq!(
        (&made["name"], &made["scopes"]),
        (&"my key".into(), &json!(["files:read", "files:delete"]))
    );
    assert!(secret.starts_with(made["prefix"].as_str().unwrap()) && made["prefix"] != secret);
    let stored: String = sqlx::query_scalar("select string_agg(k::text, ' ') from api_keys k")
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert!(!stored.contains(&secret[13..]), "{stored}");

    let path = format!("{KEYS}/{}", made["api_key_id"].as_str().unwrap());
    let listed = user.get(KEYS).await.ok();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed["keys"][0], user.get(&path).await.ok());
    assert!(!listed.to_string().contains(&secret[13..]), "{listed}");
    // In pages, newest first.
    let page = user.get(&format!("{KEYS}?limit=1")).await.ok();
    assert_eq!(
        (&page["keys"][0], &page["next"]),
        (&listed["keys"][0], &made["api_key_id"])
    );
    let target = format!("{KEYS}?limit=5&before={}", page["next"].as_str().unwrap());
    let page = user.get(&target).await.ok();
    let (last, first) = (&page["keys"][0], &listed["keys"][1]);
    assert_eq!(
        (&last["api_key_id"], &page["next"]),
        (&first["api_key_id"], &Value::Null)
    );

    let other = user.with_key(secret);
    other.get(VERIFY).await.ok();
    let revoked = user.delete(&path).await.ok();
    assert!(revoked["revoked_at"].is_string());
    refused(&other).await;
    assert_eq!(user.delete(&path).await.ok()["revoked_at"], revoked["revoked_at"]);
    assert_eq!(user.get(KEYS).await.ok()["keys"].as_array().unwrap().len(), 1);
    rotate(&user, &made["api_key_id"])
        .await
        .problem(409, "/problems/conflict");
    world.end().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_every_replica() {
    // Half of what was promised: a look-up may be under way while the key is revoked.
    assert!(violet::config::Config::defaults().identity.key_cache_seconds <= 1);
    let world = World::start().await;
    let replica = world.replica().await;
    let user = manager(&world).await;
    let (made, other) = with_scopes(&user, &["read"]).await;
    let there = other.at(&replica);
    let rotated = rotate(&user, &made["api_key_id"]).await.ok();
    let new = user.with_key(rotated["api_key"].as_str().unwrap()).at(&replica);
    for user in [&other, &there, &new] {
        user.get(VERIFY).await.ok();
    }
    user.delete(&format!("{KEYS}/{}", made["api_key_id"].as_str().unwrap()))
        .await
        .ok();
    // By both of its secrets.
    for user in [&other, &there, &new] {
        refused(user).await;
    }
    replica.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_key_works_until_it_expires() {
    let world = World::start().await;
    let user = manager(&world).await;
    let clock = &world.server.app.clock;
    let end = clock.now() + TimeDelta::hours(1);
    let made = make(&user, &json!({ "name": "short", "expires_at": end }))
        .await
        .ok();
    let other = user.with_key(made["api_key"].as_str().unwrap());
    let verified = other.get(VERIFY).await.ok();
    assert_eq!(verified["expires_at"], made["expires_at"]);
    clock.advance(TimeDelta::minutes(50));
    other.get(VERIFY).await.ok();
    // Whether it is still remembered or looked up again.
    clock.advance(TimeDelta::minutes(10));
    other.get(VERIFY).await.problem(401, "/problems/unauthenticated");
    user.get(VERIFY).await.ok();
    rotate(&user, &made["api_key_id"])
        .await
        .problem(409, "/problems/conflict");
    world.end().await;
}

#[tokio::test]
async fn after_a_rotation_both_secrets_work_for_a_while() {
    let world = World::start().await;
    let user = manager(&world).await;
    let (made, first) = with_scopes(&user, &["read"]).await;
    let id = &made["api_key_id"];
    let rotated = rotate(&user, id).await.ok();
    for same in ["api_key_id", "name", "scopes", "created_at", "expires_at"] {
        assert_eq!(rotated[same], made[same], "{same}");
    }
    assert!(rotated["prefix"] != made["prefix"] && rotated["api_key"] != made["api_key"]);
    let until: DateTime<Utc> = rotated["old_valid_until"].as_str().unwrap().parse().unwrap();
    let left = until - world.server.app.clock.now();
    assert!(
        left <= TimeDelta::hours(1) && left > TimeDelta::minutes(50),
        "{left}"
    );

    let second = user.with_key(rotated["api_key"].as_str().unwrap());
    let again = rotate(&user, id).await.ok();
    let third = user.with_key(again["api_key"].as_str().unwrap());
    // Each for its own time.
    for key in [&first, &second, &third] {
        assert_eq!(key.get(VERIFY).await.ok()["name"], "a key");
    }
    world.server.app.clock.advance(TimeDelta::minutes(59));
    first.get(VERIFY).await.ok();
    world.server.app.clock.advance(TimeDelta::minutes(2));
    // The memory of those that were looked up knows when they end.
    for key in [&first, &second] {
        key.get(VERIFY).await.problem(401, "/problems/unauthenticated");
    }
    third.get(VERIFY).await.ok();
    // Nobody rotates what somebody else made.
    world
        .sql("update api_keys set user_id = (select user_id from users order by user_id desc limit 1)")
        .await;
    let other = manager(&world).await;
    world
        .sql(&format!(
            "update api_keys set organization_id = (select organization_id from api_keys where hash = sha256('{}'))",
            user.key
        ))
        .await;
    world
        .sql(
            "insert into memberships (organization_id, user_id, role)
             select organization_id, user_id, 'admin' from api_keys on conflict do nothing",
        )
        .await;
    let refused = rotate(&other, id).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("somebody else")
    );
    world.end().await;
}

#[tokio::test]
async fn nobody_is_refused_while_a_key_is_rotated() {
    let world = World::start().await;
    let replica = world.replica().await;
    let user = manager(&world).await;
    let (made, first) = with_scopes(&user, &["read"]).await;
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let asking = |user: User| {
        let (stop, asked) = (&stop, &asked);
        async move {
            while !stop.load(Ordering::Relaxed) {
                user.get(VERIFY).await.ok();
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let crowd = futures_util::future::join_all((0..8).map(|number| {
        asking(if number % 2 == 0 {
            first.with_key(&first.key)
        } else {
            first.at(&replica)
        })
    }));
    let rotating = async {
        let mut secrets = vec![first.key.clone()];
        for _ in 0..5 {
            let before = asked.load(Ordering::Relaxed);
            let rotated = rotate(&user, &made["api_key_id"]).await.ok();
            secrets.push(rotated["api_key"].as_str().unwrap().to_owned());
            // Every secret so far, at both servers, while the crowd goes on.
            for secret in &secrets {
                user.with_key(secret).get(VERIFY).await.ok();
                user.with_key(secret).at(&replica).get(VERIFY).await.ok();
            }
            eventually("the crowd goes on", || async {
                (asked.load(Ordering::Relaxed) > before + 8).then_some(())
            })
            .await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(crowd, rotating);
    assert_eq!(world.count("api_keys_rotated").await, 5);
    replica.stop().await;
    world.end().await;
}

#[tokio::test]
async fn the_last_use_of_a_key_is_known_to_the_minute() {
    let world = World::start().await;
    let user = manager(&world).await;
    let (one, first) = with_scopes(&user, &["read"]).await;
    let (two, second) = with_scopes(&user, &["read"]).await;
    assert_eq!(one["last_used_at"], Value::Null);
    let path = |made: &Value| format!("{KEYS}/{}", made["api_key_id"].as_str().unwrap());
    let used = async |made: &Value| user.get(&path(made)).await.ok()["last_used_at"].clone();
    first.get(VERIFY).await.ok();
    eventually("the use is noted", || async {
        used(&one).await.as_str().map(|_| ())
    })
    .await;

    // One that was noted within the minute stays as it is; one from before is noted anew.
    let note = async |made: &Value, seconds: u32| {
        world
            .sql(&format!(
                "update api_keys set last_used_at = now() - interval '{seconds} s' where api_key_id = {}",
                made["api_key_id"].to_string().replace('"', "'")
            ))
            .await;
        used(made).await
    };
    let recent = note(&one, 5).await;
    let old = note(&two, 61).await;
    eventually("the later use is noted", || async {
        first.get(VERIFY).await.ok();
        second.get(VERIFY).await.ok();
        (used(&two).await != old).then_some(())
    })
    .await;
    assert_eq!(used(&one).await, recent);
    world.end().await;
}

#[tokio::test]
async fn a_key_in_the_query_is_taken_where_the_original_s_clients_send_it() {
    let world = World::start().await;
    let user = manager(&world).await;
    let get = async |target: &str| Reply::to(world.http.get(format!("{}{target}", world.server.url()))).await;
    let verified = get(&format!("{VERIFY}?api_key={}", user.key)).await.ok();
    assert_eq!(verified, user.get(VERIFY).await.ok());
    assert_eq!(
        (&verified["valid"], &verified["role"]),
        (&true.into(), &"client".into())
    );
    for target in ["/api/v1/tasks", KEYS, "/api/v1/miners"] {
        let reply = get(&format!("{target}?api_key={}", user.key)).await;
        assert!(reply.status == 401 || reply.status == 404, "{target}: {reply:?}");
    }
    get(VERIFY).await.problem(401, "/problems/unauthenticated");
    get(&format!("{VERIFY}?api_key=x"))
        .await
        .problem(401, "/problems/unauthenticated");
    let twice = get(&format!("{VERIFY}?api_key=x&api_key=y")).await;
    assert!(
        twice
            .problem(400, "/problems/malformed-request")
            .starts_with("api_key: ")
    );
    world.end().await;
}
