//! Failed logins slow down the next ones. Time is moved, not waited for.
use serde_json::{Value, json};
use violet::domain::lockout::Patience;

use super::{PASSWORD, Person, events};
use crate::harness::{Reply, World};

const TOO_MANY: &str = "/problems/too-many-requests";

/// Waits of an hour, so that no slow machine sits one out.
fn patience(free: u32) -> Patience {
    Patience {
        free,
        lock_after: free + 1,
        lock_seconds: 36_000,
        longest_seconds: 360_000,
    }
}

async fn strict(account: u32, address: u32) -> World {
    World::with(|config| {
        config.accounts.login_per_account = patience(account);
        config.accounts.login_per_address = patience(address);
    })
    .await
}

fn retry_after(reply: &Reply) -> u64 {
    reply.problem(429, TOO_MANY);
    reply.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Moves all waits to their end, except for the last second.
async fn wait(world: &World, seconds: u64) {
    let moved = format!(
        "update login_attempts set next_at = next_at - interval '{seconds} seconds',
                last_at = last_at - interval '{seconds} seconds'"
    );
    world.sql(&moved).await;
}

#[tokio::test]
async fn an_account_is_held_back_and_let_in_again_whether_it_exists_or_not() {
    for email in ["ada@example.org", "nobody@example.org"] {
        let world = strict(2, 1000).await;
        let person = Person::register(&world, "ada").await;
        let other = world.replica().await;
        let there = person.at(&other);
        let wrong = json!({ "email": email, "password": "wrong horse" });
        let login =
            |person: Person, body: Value| async move { person.open("/api/v1/auth/login", &body).await };
        let mut details = Vec::new();
        // The second failure makes everybody wait, at each server.
        for at in [&person, &there] {
            let reply = login(at.clone(), wrong.clone()).await;
            details.push(reply.problem(401, "/problems/unauthenticated").to_owned());
        }
        let right = json!({ "email": email, "password": PASSWORD });
        let held = [
            login(person.clone(), right.clone()).await,
            login(there.clone(), wrong.clone()).await,
        ];
        for reply in &held {
            // A second, for which this test may be too slow: then the database says so.
            if reply.status == 429 {
                assert_eq!(retry_after(reply), 1);
            }
        }
        world.sql("delete from login_attempts").await;
        for _ in 0..2 {
            login(person.clone(), wrong.clone())
                .await
                .problem(401, "/problems/unauthenticated");
        }
        wait(&world, 1).await;
        // The third locks, for ten hours: not even the right password helps.
        login(there.clone(), wrong.clone())
            .await
            .problem(401, "/problems/unauthenticated");
        assert_eq!(
            events(&world, "login.locked").await.last().map(String::as_str),
            Some("refused")
        );
        let reply = login(person.clone(), right.clone()).await;
        let seconds = retry_after(&reply);
        assert!((35_000..=36_000).contains(&seconds), "{seconds}");
        wait(&world, 35_000).await;
        login(there.clone(), right.clone()).await.problem(429, TOO_MANY);
        // One more failure doubles it.
        wait(&world, 1_000).await;
        login(person.clone(), wrong.clone())
            .await
            .problem(401, "/problems/unauthenticated");
        let seconds = retry_after(&login(there.clone(), right.clone()).await);
        assert!((70_000..=72_000).contains(&seconds), "{seconds}");
        wait(&world, 72_000).await;
        let reply = login(person.clone(), right).await;
        if email == person.email {
            reply.ok();
            // All is forgiven.
            login(person.clone(), wrong.clone())
                .await
                .problem(401, "/problems/unauthenticated");
            person.log_in(PASSWORD).await.ok();
        } else {
            reply.problem(401, "/problems/unauthenticated");
        }
        other.stop().await;
        world.end().await;
    }
}

#[tokio::test]
async fn an_address_is_held_back_whatever_its_accounts() {
    let world = strict(1000, 3).await;
    let person = Person::register(&world, "ada").await;
    for number in 0..3 {
        // One's own logins in between change nothing.
        person.log_in(PASSWORD).await.ok();
        let wrong = json!({ "email": format!("user{number}@example.org"), "password": "wrong horse" });
        person
            .open("/api/v1/auth/login", &wrong)
            .await
            .problem(401, "/problems/unauthenticated");
    }
    world
        .sql("update login_attempts set next_at = next_at + interval '100 seconds'")
        .await;
    person.log_in(PASSWORD).await.problem(429, TOO_MANY);
    wait(&world, 101).await;
    person.log_in(PASSWORD).await.ok();
    world.end().await;
}

#[tokio::test]
async fn many_at_once_are_no_way_around() {
    let world = strict(3, 1000).await;
    let person = Person::register(&world, "ada").await;
    let guesses = (0..30).map(|_| person.log_in("wrong horse"));
    let replies = futures_util::future::join_all(guesses).await;
    let looked_at = replies.iter().filter(|reply| reply.status == 401).count();
    let held = replies.iter().filter(|reply| reply.status == 429).count();
    assert_eq!(looked_at + held, 30);
    // Three are free; the wait after them is a second, which a slow machine may sit out once, into the lock.
    assert!((3..=4).contains(&looked_at), "{looked_at}");
    world.end().await;
}

#[tokio::test]
async fn failures_are_forgotten_after_a_day() {
    let world = strict(3, 1000).await;
    let person = Person::register(&world, "ada").await;
    let fail = || async {
        person
            .log_in("wrong horse")
            .await
            .problem(401, "/problems/unauthenticated")
            .len()
    };
    for _ in 0..2 {
        fail().await;
    }
    wait(&world, 86_300).await;
    fail().await;
    assert_eq!(
        world
            .count("login_attempts where subject like 'account:%' and failures = 3")
            .await,
        1
    );
    wait(&world, 86_500).await;
    fail().await;
    assert_eq!(
        world
            .count("login_attempts where subject like 'account:%' and failures = 1")
            .await,
        1
    );
    world.end().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_whose_failures_they_are() {
    for (trusted, expected) in [(true, 401), (false, 429)] {
        let world = World::with(|config| {
            config.accounts.login_per_account = patience(1000);
            config.accounts.login_per_address = patience(1);
            if trusted {
                config
                    .server
                    .trusted_proxies
                    .0
                    .push("127.0.0.0/8".parse().unwrap());
            }
        })
        .await;
        let from = |address: &'static str, number: u32| {
            let wrong = json!({ "email": format!("user{number}@example.org"), "password": "wrong horse" });
            let url = format!("{}/api/v1/auth/login", world.server.url());
            let request = world
                .http
                .post(url)
                .header("X-Forwarded-For", address)
                .json(&wrong);
            async { Reply::to(request).await }
        };
        from("198.51.100.1", 1)
            .await
            .problem(401, "/problems/unauthenticated");
        world
            .sql("update login_attempts set next_at = next_at + interval '100 seconds'")
            .await;
        from("198.51.100.1", 2).await.problem(429, TOO_MANY);
        assert_eq!(from("198.51.100.2", 3).await.status, expected);
        world.end().await;
    }
}
