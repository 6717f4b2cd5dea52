//! Quotas of organisations: kept exactly, at one server and at two, and told.
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use violet::config::Config;

use crate::harness::{Multipart, Reply, User, World, eventually, samples, translation};

async fn world(change: impl FnOnce(&mut Config)) -> World {
    let world = World::with(|config| {
        // Nobody works the tasks off, and there is always room.
        config.routing.capacity_limit = 1000;
        change(config);
    })
    .await;
    world.versatile(1).await;
    world
}

/// The problem that names this quota.
#[track_caller]
fn exceeded(reply: &Reply, quota: &str, limit: i64) {
    let detail = reply.problem(429, "/problems/quota-exceeded");
    assert!(detail.contains(&limit.to_string()), "{detail}");
    assert_eq!(
        (&reply.body["quota"], &reply.body["limit"]),
        (&quota.into(), &limit.into())
    );
    let after: i64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    if quota == "concurrent_tasks" {
        assert_eq!(reply.body["resets_at"], Value::Null);
        assert!(after <= 60);
    } else {
        let resets_at: DateTime<Utc> = reply.body["resets_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(resets_at.timestamp() % 86_400, 0, "{resets_at}");
        assert!((1..=86_400).contains(&after), "{after}");
    }
}

async fn usage(user: &User) -> Value {
    user.get("/api/v1/usage").await.ok()
}

/// How many of `count` tasks at each of these are accepted at once; the others are beyond the quota.
async fn accepted(users: &[User], count: usize, quota: &str, limit: i64) -> i64 {
    let accepted = AtomicU64::new(0);
    let asking = users
        .iter()
        .flat_map(|user| (0..count).map(move |_| user))
        .map(|user| {
            let accepted = &accepted;
            async move {
                let reply = user.submit_raw(&translation(1)).await;
                if reply.status == 200 {
                    accepted.fetch_add(1, Ordering::Relaxed);
                } else {
                    exceeded(&reply, quota, limit);
                }
            }
        });
    futures_util::future::join_all(asking).await;
    accepted.into_inner().try_into().unwrap()
}

#[tokio::test]
async fn tasks_at_the_same_time_are_counted_exactly_by_two_servers() {
    let world = world(|config| config.quotas.concurrent_tasks = 20).await;
    let other = world.replica().await;
    world.on_roster(&other, &world.silent_miner(1)).await;
    let user = world.user().await;
    let both = [user.with_key(&user.key), user.at(&other)];
    assert_eq!(accepted(&both, 20, "concurrent_tasks", 20).await, 20);
    assert_eq!(world.count("task_open").await, 20);
    exceeded(&user.submit_raw(&translation(1)).await, "concurrent_tasks", 20);
    assert_eq!(
        usage(&user).await["concurrent_tasks"],
        json!({ "used": 20, "limit": 20, "remaining": 0 })
    );
    // Nobody else is touched.
    let somebody = world.user().await;
    somebody.submit(&translation(1)).await;

    // As many end, so many may come, wherever.
    let listed = user.get("/api/v1/tasks").await.ok();
    for task in listed.as_array().unwrap().iter().take(7) {
        user.cancel(task["task_id"].as_str().unwrap()).await.ok();
    }
    assert_eq!(usage(&user).await["concurrent_tasks"]["used"], 13);
    eventually("there is room again", || async {
        let reply = user.submit_raw(&translation(1)).await;
        (reply.status == 200).then_some(())
    })
    .await;
    // What was refused a moment ago is remembered for a moment, at most.
    eventually("the quota is used up again", || async {
        user.at(&other).submit_raw(&translation(1)).await;
        (world.count("task_open").await == 21).then_some(())
    })
    .await;
    assert_eq!(accepted(&both, 5, "concurrent_tasks", 20).await, 0);
    assert_eq!(world.count("task_open").await, 21);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn the_quotas_of_a_day_are_counted_exactly_by_two_servers() {
    let world = world(|config| config.quotas.daily_tasks = 15).await;
    let other = world.replica().await;
    world.on_roster(&other, &world.silent_miner(1)).await;
    let user = world.user().await;
    let both = [user.with_key(&user.key), user.at(&other)];
    // A day may end meanwhile: then everything is counted anew.
    let day = today(&world);
    let first = accepted(&both, 12, "daily_tasks", 15).await;
    if day != today(&world) {
        return world.end().await;
    }
    assert_eq!(first, 15);
    let used = usage(&user).await;
    assert_eq!(
        used["daily_tasks"],
        json!({ "used": 15, "limit": 15, "remaining": 0 })
    );
    assert_eq!(used["days"][0]["tasks"], 15);
    // That a task ends does not make room.
    world.sql("delete from task_open").await;
    exceeded(&user.submit_raw(&translation(1)).await, "daily_tasks", 15);

    // A new day does.
    world.sql("update organization_days set day = day - 1").await;
    eventually("it is another day", || async {
        (user.submit_raw(&translation(1)).await.status == 200).then_some(())
    })
    .await;
    let used = usage(&user).await;
    assert_eq!(
        (&used["days"][0]["tasks"], &used["days"][1]["tasks"]),
        (&1.into(), &15.into())
    );
    assert_eq!(used["daily_tasks"]["remaining"], 14);
    other.stop().await;
    world.end().await;
}

/// The day, as servers count.
fn today(world: &World) -> i64 {
    world.server.app.clock.now().timestamp() / 86_400
}

#[tokio::test]
async fn characters_and_seconds_of_sound_are_counted() {
    let world = world(|config| {
        config.quotas.daily_characters = 40;
        config.quotas.daily_audio_seconds = 3;
    })
    .await;
    let user = world.user().await;
    let say = async |text: &str| {
        let asked = json!({ "text": text, "required_miner_count": 1 });
        Reply::to(user.post("/api/v1/tts").json(&asked)).await
    };
    // Characters, not bytes.
    say(&"ü".repeat(30)).await.ok();
    exceeded(&say(&"x".repeat(11)).await, "daily_characters", 40);
    say(&"x".repeat(10)).await.ok();
    exceeded(&say("x").await, "daily_characters", 40);
    assert_eq!(
        usage(&user).await["daily_characters"],
        json!({ "used": 40, "limit": 40, "remaining": 0 })
    );

    let transcribe = async |user: &User, millis: usize| {
        let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(millis * 32));
        Reply::to(form.put(user.post("/api/v1/transcription"))).await
    };
    let before = world.objects().len();
    transcribe(&user, 2000).await.ok();
    world.stored(before + 1).await;
    // What is refused leaves no file.
    exceeded(&transcribe(&user, 1500).await, "daily_audio_seconds", 3);
    world.stored(before + 1).await;
    transcribe(&user, 900).await.ok();
    let used = usage(&user).await;
    assert_eq!(used["daily_audio_seconds"]["limit"], 3);
    let seconds = used["days"][0]["audio_seconds"].as_f64().unwrap();
    assert!((2.9..3.0).contains(&seconds), "{seconds}");
    world.end().await;
}

#[tokio::test]
async fn an_organisation_may_have_quotas_of_its_own() {
    let world = world(|config| config.quotas.concurrent_tasks = 2).await;
    let (user, other) = (world.user().await, world.user().await);
    let own = async |quota: &str| {
        world
            .sql(&format!(
                "insert into organization_quotas (organization_id, concurrent_tasks)
                 select organization_id, {quota} from api_keys where hash = sha256('{}')
                 on conflict (organization_id) do update set concurrent_tasks = excluded.concurrent_tasks",
                user.key
            ))
            .await;
    };
    own("3").await;
    for user in [&user, &other] {
        user.submit(&translation(1)).await;
        user.submit(&translation(1)).await;
    }
    exceeded(&other.submit_raw(&translation(1)).await, "concurrent_tasks", 2);
    user.submit(&translation(1)).await;
    exceeded(&user.submit_raw(&translation(1)).await, "concurrent_tasks", 3);
    own("0").await;
    eventually("nothing may be submitted", || async {
        let reply = user.submit_raw(&translation(1)).await;
        (reply.body["limit"] == 0).then_some(())
    })
    .await;
    own("null").await;
    eventually("the setting holds again", || async {
        let reply = user.submit_raw(&translation(1)).await;
        (reply.body["limit"] == 2).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_batch_in_which_some_is_beyond_a_quota_stores_the_rest() {
    let world = world(|config| config.quotas.daily_tasks = 5).await;
    let users = [world.user().await, world.user().await, world.user().await];
    let day = today(&world);
    let first = accepted(&users, 8, "daily_tasks", 5).await;
    if day == today(&world) {
        assert_eq!(first, 15);
        assert_eq!(world.count("tasks").await, 15);
    }
    // A key under which nothing was stored is free, and one under which something was finds it.
    let user = world.user().await;
    let submit = async |key: &str| {
        let request = user
            .translate()
            .header("Idempotency-Key", key)
            .json(&translation(1));
        Reply::to(request).await
    };
    let task = submit("first").await.ok();
    for number in 0..8 {
        submit(&format!("key {number}").replace(' ', "-")).await;
    }
    if day == today(&world) {
        assert_eq!(world.count("idempotency_keys").await, 5);
        exceeded(&submit("one-more").await, "daily_tasks", 5);
        assert_eq!(submit("first").await.ok()["task_id"], task["task_id"]);
        world.sql("update organization_days set day = day - 1").await;
        eventually("the key is free", || async {
            (submit("one-more").await.status == 200).then_some(())
        })
        .await;
    }
    world.end().await;
}

#[tokio::test]
async fn an_upload_that_could_not_be_accepted_is_refused_before_it_is_sent() {
    let world = world(|config| config.quotas.concurrent_tasks = 1).await;
    let user = world.user().await;
    user.submit(&translation(1)).await;
    // Without its end: the server does not wait for it.
    let body = Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(1000))
        .unfinished();
    let request = user
        .post("/api/v1/transcription")
        .header("content-type", Multipart::kind())
        .header("content-length", "1000000")
        .body(reqwest::Body::wrap_stream(futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, std::io::Error>(body)]),
            futures_util::stream::pending(),
        )));
    exceeded(&Reply::to(request).await, "concurrent_tasks", 1);
    world.end().await;
}

#[tokio::test]
async fn a_repeated_upload_finds_its_task_when_the_quota_is_used_up() {
    let world = world(|config| config.quotas.daily_tasks = 1).await;
    let user = world.user().await;
    let transcribe = async |user: &User, key: &str, bytes: usize| {
        let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(bytes));
        let request = user.post("/api/v1/transcription").header("Idempotency-Key", key);
        Reply::to(form.put(request)).await
    };
    let day = today(&world);
    let first = transcribe(&user, "key-1", 32_000).await.ok();
    let again = transcribe(&user, "key-1", 32_000).await;
    let other_file = transcribe(&user, "key-1", 32_002).await;
    let other_key = transcribe(&user, "key-2", 32_000).await;
    // The key is each organisation's own.
    let somebody = world.user().await;
    transcribe(&somebody, "key-0", 32_000).await.ok();
    let borrowed = transcribe(&somebody, "key-1", 32_000).await;
    if day == today(&world) {
        let again = again.ok();
        assert_eq!(
            (&again["task_id"], &again["file_id"]),
            (&first["task_id"], &first["file_id"])
        );
        other_file.problem(422, "/problems/idempotency-key-reused");
        exceeded(&other_key, "daily_tasks", 1);
        exceeded(&borrowed, "daily_tasks", 1);
        assert_eq!(world.count("tasks").await, 2);
        world.stored(2).await;
    }
    world.end().await;
}

#[test]
fn there_are_quotas_unless_the_settings_take_them_away() {
    let quotas = Config::defaults().quotas;
    for limit in [
        quotas.concurrent_tasks,
        quotas.daily_tasks,
        quotas.daily_characters,
        quotas.daily_audio_seconds,
    ] {
        assert!(limit > 0);
    }
}
