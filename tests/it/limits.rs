//! How often somebody may ask: of each kind of caller, at one server and at two.
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use reqwest::header::HeaderMap;
use serde_json::json;
use violet::{
    config::Config,
    domain::rates,
    server::Server,
    services::downloads::{self, Link},
};

use crate::harness::{Reply, User, World, eventually};

const VERIFY: &str = "/api/v1/auth/verify-api-key";

async fn world(change: impl FnOnce(&mut Config)) -> World {
    let world = World::with(|config| {
        // Clocks are moved.
        config.identity.signature_age_seconds = 3600;
        change(config);
    })
    .await;
    begin_stretch(&[&world.server]);
    world
}

/// Moves the clocks to the begin of a stretch, so that none ends while requests are counted.
fn begin_stretch(servers: &[&Server]) {
    let stretch = i64::try_from(rates::STRETCH).unwrap();
    let left = stretch - servers[0].app.clock.now().timestamp_millis() % stretch;
    for server in servers {
        server.app.clock.advance(TimeDelta::milliseconds(left + 100));
    }
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers[name].to_str().unwrap().parse().unwrap()
}

fn too_many(reply: &Reply) -> &str {
    reply.problem(429, "/problems/too-many-requests")
}

#[tokio::test]
async fn a_key_and_its_organisation_have_limits_and_every_answer_says_where_they_stand() {
    let world = world(|config| {
        config.limits.key_per_minute = 10;
        config.limits.organization_per_minute = 15;
    })
    .await;
    let user = world.user().await;
    for used in 1..=10 {
        let reply = user.get(VERIFY).await;
        assert_eq!(number(&reply.headers, "ratelimit-limit"), 10);
        assert_eq!(number(&reply.headers, "ratelimit-remaining"), 10 - used);
        assert!((1..=120).contains(&number(&reply.headers, "ratelimit-reset")));
        assert_eq!(
            reply.headers["ratelimit-policy"],
            "\"key\";q=10;w=60, \"organization\";q=15;w=60"
        );
        let state = reply.headers["ratelimit"].to_str().unwrap().to_owned();
        let expected = format!("\"key\";r={};t=", 10 - used);
        assert!(state.starts_with(&expected), "{state}");
        assert!(
            state.contains(&format!("\"organization\";r={};t=", 15 - used)),
            "{state}"
        );
        reply.ok();
    }
    let refused = user.get(VERIFY).await;
    assert!(too_many(&refused).contains("this key"), "{refused:?}");
    assert_eq!(number(&refused.headers, "ratelimit-remaining"), 0);
    let wait = number(&refused.headers, "retry-after");
    assert!(
        refused.body["detail"]
            .as_str()
            .unwrap()
            .contains(&format!("in {wait} s"))
    );

    // Another key of the same organisation, until that is at its end; and somebody else.
    let hash = format!("sha256('{}')", user.key);
    let other = format!("violet_{}", "a".repeat(64));
    world
        .sql(&format!(
            "insert into api_keys (api_key_id, organization_id, user_id, prefix, hash, name)
             select gen_random_uuid(), organization_id, user_id, 'violet_aaaaaa', sha256('{other}'), 'other'
             from api_keys where hash = {hash}"
        ))
        .await;
    let other = user.with_key(&other);
    for _ in 0..5 {
        other.get(VERIFY).await.ok();
    }
    assert!(too_many(&other.get(VERIFY).await).contains("the organisation"));
    world.user().await.get(VERIFY).await.ok();

    // Before its time is over it is refused still, then not.
    let clock = &world.server.app.clock;
    clock.advance(TimeDelta::seconds(i64::try_from(wait).unwrap() - 10));
    too_many(&user.get(VERIFY).await);
    clock.advance(TimeDelta::seconds(20));
    user.get(VERIFY).await.ok();
    world.end().await;
}

#[tokio::test]
async fn two_servers_keep_a_limit_together() {
    const LIMIT: u64 = 160;
    let world = world(|config| config.limits.key_per_minute = LIMIT).await;
    let other = world.replica().await;
    let moved = world.server.app.clock.now() - other.app.clock.now();
    other.app.clock.advance(moved);
    begin_stretch(&[&world.server, &other]);
    let user = world.user().await;
    let through = AtomicU64::new(0);
    let asking = async |user: User| {
        for _ in 0..60 {
            let reply = user.get(VERIFY).await;
            if reply.status == 200 {
                through.fetch_add(1, Ordering::Relaxed);
            } else {
                too_many(&reply);
            }
        }
    };
    let crowd = (0..6).map(|number| {
        asking(match number % 2 {
            0 => user.with_key(&user.key),
            _ => user.at(&other),
        })
    });
    futures_util::future::join_all(crowd).await;
    let through = through.into_inner();
    // As it is stated: a sixteenth more for each replica.
    assert!((LIMIT..=LIMIT + 2 * LIMIT / 16).contains(&through), "{through}");
    // By now both know.
    too_many(&user.get(VERIFY).await);
    too_many(&user.at(&other).get(VERIFY).await);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn without_the_table_of_rates_each_server_keeps_the_limits_alone() {
    let world = world(|config| config.limits.key_per_minute = 10).await;
    let user = world.user().await;
    world.sql("alter table rates rename to gone").await;
    for _ in 0..10 {
        user.get(VERIFY).await.ok();
    }
    too_many(&user.get(VERIFY).await);
    world.sql("alter table gone rename to rates").await;
    world.end().await;
}

#[tokio::test]
async fn strangers_are_counted_by_address_and_shut_nobody_else_out() {
    const LIMIT: usize = 12;
    let world = world(|config| config.limits.address_per_minute = LIMIT as u64).await;
    world.versatile(1).await;
    let user = world.user().await;
    user.get(VERIFY).await.ok();
    let miner = world.silent_miner(1);
    let url = world.server.url();
    let link = spoken(&world, &user).await;

    // Neither keys and signatures that are good nor links count as strangers.
    let mut remaining = Vec::new();
    for _ in 0..LIMIT {
        user.get(VERIFY).await.ok();
        miner.get("/api/v1/miners/0/tasks").await.ok();
        Reply::to(world.http.get(&link)).await;
        let reply = Reply::to(world.http.get(format!("{url}/api/v1/network"))).await;
        remaining.push(reply.status);
    }
    let let_in = remaining.iter().filter(|status| **status == 200).count();
    // Registering was one request.
    assert_eq!(let_in, LIMIT - 1, "{remaining:?}");
    let anybody = Reply::to(world.http.get(format!("{url}/api/v1/network"))).await;
    assert!(too_many(&anybody).contains("address"));
    assert_eq!(number(&anybody.headers, "ratelimit-limit"), LIMIT as u64);
    for path in [
        "/api/v1/auth/register",
        "/api/v1/transcription",
        "/api/v1/nothing",
    ] {
        too_many(&Reply::to(world.http.post(format!("{url}{path}")).json(&json!({}))).await);
    }
    let guess = world
        .http
        .get(format!("{url}{VERIFY}"))
        .header("X-API-Key", format!("violet_{}", "0".repeat(64)));
    too_many(&Reply::to(guess).await);
    // Those who were recognised before still are, and what is no part of the API has no limit.
    user.get(VERIFY).await.ok();
    miner.get("/api/v1/miners/0/tasks").await.ok();
    assert_eq!(
        Reply::to(world.http.get(format!("{url}/health"))).await.status,
        200
    );
    assert_eq!(
        Reply::to(world.http.get(format!("{url}/openapi.json")))
            .await
            .status,
        200
    );

    world.server.app.clock.advance(TimeDelta::minutes(2));
    Reply::to(world.http.get(format!("{url}/api/v1/network")))
        .await
        .ok();
    world.end().await;
}

/// A link to a file of this user.
async fn spoken(world: &World, user: &User) -> String {
    let asked = user
        .post("/api/v1/tts")
        .json(&json!({ "text": "A text.", "required_miner_count": 1 }));
    let task = Reply::to(asked).await.ok()["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let miner = world.silent_miner(1);
    miner.receive(&task).await;
    let file = miner
        .upload(&task, &crate::harness::samples::wav(1000))
        .await
        .ok();
    let id = file["file_id"].as_str().unwrap().parse().unwrap();
    match downloads::link(&world.server.app, id) {
        Link::Path(path, _) => format!("{}{path}", world.server.url()),
        Link::Public(url) => url,
    }
}

#[tokio::test]
async fn credentials_that_went_bad_count_for_the_address_again() {
    let world = world(|config| config.limits.address_per_minute = 5).await;
    let user = world.user().await;
    user.get(VERIFY).await.ok();
    world.sql("update api_keys set revoked_at = now()").await;
    eventually("the key is refused", || async {
        (user.get(VERIFY).await.status == 401).then_some(())
    })
    .await;
    // Known as it was, it is looked at each time; others at the address are not let in any more.
    for _ in 0..6 {
        user.get(VERIFY).await.problem(401, "/problems/unauthenticated");
    }
    let network = world.http.get(format!("{}/api/v1/network", world.server.url()));
    too_many(&Reply::to(network).await);
    world.end().await;
}

#[tokio::test]
async fn a_hotkey_has_a_limit_of_its_own() {
    let world = world(|config| config.limits.hotkey_per_minute = 5).await;
    let (one, two) = (world.silent_miner(1), world.silent_miner(2));
    for _ in 0..5 {
        one.get("/api/v1/miners/0/tasks").await.ok();
    }
    let refused = one.get("/api/v1/miners/0/tasks").await;
    assert!(too_many(&refused).contains("hotkey"), "{refused:?}");
    two.get("/api/v1/miners/1/tasks").await.ok();
    // No strangers, so no charge to the address.
    assert_eq!(refused.headers["ratelimit-policy"], "\"hotkey\";q=5;w=60");
    world.end().await;
}

#[test]
fn the_defaults_leave_neurons_at_full_pace_alone() {
    let limits = Config::defaults().limits;
    // 32 places, each with a poll, an upload and an answer in two seconds, and a heartbeat in ten.
    assert!(limits.hotkey_per_minute >= 32 * 3 * 30 + 6);
    assert!(limits.address_per_minute < limits.key_per_minute);
    assert!(limits.key_per_minute <= limits.organization_per_minute);
}
