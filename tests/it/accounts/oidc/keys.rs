//! The keys of issuers: fetched, kept, rotated, and missing.
use chrono::TimeDelta;
use futures_util::future::join_all;
use violet::issuers::Issuers;

use super::{ME, bearer, issuer, with, world_with};
use crate::{
    accounts::Person,
    harness::{Issuer, Manner, Reply, SigningKey, World, eventually},
};

/// Longer than a test takes: what happens within it is told by moving the clock.
const GAP: u64 = 3600;

fn gap() -> TimeDelta {
    TimeDelta::seconds(i64::try_from(GAP).unwrap() + 1)
}

/// Somebody whose token outlives the test.
fn lasting(world: &World, issuer: &Issuer, key: &SigningKey) -> Person {
    let claims = issuer.claims("ada");
    let end = claims["iat"].as_i64().unwrap() + 40 * 86_400;
    bearer(world, &key.sign(&with(&claims, "exp", end.into())))
}

fn is_unreachable(reply: &Reply) {
    let detail = reply.problem(503, "/problems/unavailable");
    assert!(detail.contains("keys of this token's issuer"), "{detail}");
    assert_eq!(reply.headers["retry-after"], GAP.to_string().as_str());
}

fn is_unknown(reply: &Reply) {
    let detail = reply.problem(401, "/problems/unauthenticated");
    assert!(detail.contains("`kid`"), "{detail}");
}

/// Waits until the server has asked for the keys for the first time.
async fn asked_once(issuer: &Issuer) {
    eventually("the keys are asked for", || async {
        (issuer.asked() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keys_come_and_go() {
    let [first, second] = [SigningKey::rsa("first", 0), SigningKey::rsa("second", 1)];
    let issuer = Issuer::open(&[&first]).await;
    issuer.keep(80_000);
    let world = world_with(&issuer, |settings, _| settings.refetch_seconds = GAP).await;
    let clock = &world.server.app.clock;
    let [old, new] = [&first, &second].map(|key| lasting(&world, &issuer, key));
    assert!(old.is_in().await);
    assert_eq!(issuer.asked(), 1);

    // A new one is looked for when a token names it, but not at once again.
    issuer.publish(&[&first, &second]);
    is_unknown(&new.get(ME).await);
    assert_eq!(issuer.asked(), 1);
    clock.advance(gap());
    assert!(new.is_in().await);
    assert!(old.is_in().await);
    assert_eq!(issuer.asked(), 2);

    // One that is gone counts until the keys are read again, which is when the issuer said so.
    issuer.publish(&[&second]);
    clock.advance(TimeDelta::seconds(70_000));
    assert!(old.is_in().await && new.is_in().await);
    assert_eq!(issuer.asked(), 2);
    clock.advance(TimeDelta::seconds(11_000));
    is_unknown(&old.get(ME).await);
    assert!(new.is_in().await);
    assert_eq!(issuer.asked(), 3);
    world.end().await;
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_none_at_the_issuer() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |settings, _| settings.refetch_seconds = GAP).await;
    asked_once(&issuer).await;
    let strangers: Vec<SigningKey> = (0..100)
        .map(|number| SigningKey::ec(&format!("k{number}")))
        .collect();
    let flood = async || {
        let asking = strangers.iter().map(|key| {
            let person = lasting(&world, &issuer, key);
            async move { is_unknown(&person.get(ME).await) }
        });
        join_all(asking).await;
    };
    flood().await;
    assert_eq!(issuer.asked(), 1);
    assert!(lasting(&world, &issuer, &key).is_in().await);
    for round in 2..4 {
        world.server.app.clock.advance(gap());
        flood().await;
        assert_eq!(issuer.asked(), round);
    }
    // Nobody who asks for nothing new has it asked.
    assert!(lasting(&world, &issuer, &key).is_in().await);
    assert_eq!(issuer.asked(), 3);
    world.end().await;
}

#[tokio::test]
async fn while_an_issuer_is_away_its_keys_count_for_a_while() {
    let (issuer, key) = issuer().await;
    let world = world_with(&issuer, |settings, _| {
        settings.refetch_seconds = GAP;
        settings.stale_seconds = 50_000;
    })
    .await;
    let clock = &world.server.app.clock;
    let known = lasting(&world, &issuer, &key);
    let unknown = lasting(&world, &issuer, &SigningKey::ec("new"));
    assert!(known.is_in().await);
    is_unknown(&unknown.get(ME).await);

    issuer.behave(Manner::Away);
    clock.advance(gap());
    assert!(
        known.is_in().await,
        "the keys are too old, but there are no others"
    );
    assert_eq!(issuer.asked(), 2);
    // Whether it is one of the issuer's nobody can tell now.
    is_unreachable(&unknown.get(ME).await);
    assert!(known.is_in().await);
    assert_eq!(issuer.asked(), 2);
    clock.advance(TimeDelta::seconds(45_000));
    assert!(known.is_in().await);
    assert_eq!(issuer.asked(), 3);
    // Not for ever.
    clock.advance(TimeDelta::seconds(5_000));
    is_unreachable(&known.get(ME).await);
    is_unreachable(&unknown.get(ME).await);
    issuer.behave(Manner::Well);
    is_unreachable(&known.get(ME).await);
    clock.advance(gap());
    assert!(known.is_in().await);
    is_unknown(&unknown.get(ME).await);
    // A server that never reached it knows nothing.
    issuer.behave(Manner::Away);
    let other = world.replica().await;
    is_unreachable(&known.at(&other).get(ME).await);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn issuers_that_misbehave_are_not_believed() {
    let key = SigningKey::ec("first");
    let trap = Issuer::open(&[&key]).await;
    let manners = [
        Manner::Away,
        Manner::Slow,
        Manner::Large,
        Manner::Elsewhere(trap.url.clone()),
        Manner::Another(trap.url.clone()),
        Manner::Nonsense,
    ];
    let mut issuers = Vec::new();
    for manner in &manners {
        let issuer = Issuer::open(&[&key]).await;
        issuer.behave(manner.clone());
        issuers.push(issuer);
    }
    let world = World::with(|config| {
        let settings = issuers.iter().zip(1..).map(|(issuer, number)| {
            let mut settings = issuer.settings(&format!("number-{number}"));
            settings.refetch_seconds = GAP;
            settings.timeout_seconds = 1;
            settings
        });
        config.identity.oidc = Issuers(settings.collect());
    })
    .await;
    let people: Vec<Person> = issuers
        .iter()
        .zip(0..)
        .map(|(issuer, number)| {
            let claims = with(
                &issuer.claims("ada"),
                "email",
                format!("a{number}@example.org").into(),
            );
            let end = claims["iat"].as_i64().unwrap() + 40 * 86_400;
            bearer(&world, &key.sign(&with(&claims, "exp", end.into())))
        })
        .collect();
    for person in &people {
        is_unreachable(&person.get(ME).await);
    }
    assert_eq!(trap.asked(), 0, "nobody was led there");
    assert_eq!(world.count("users").await, 0);
    // It was their manners, and nothing else.
    for issuer in &issuers {
        issuer.behave(Manner::Well);
    }
    world.server.app.clock.advance(gap());
    for person in &people {
        // One of them answers slowly on a busy machine, and is asked again later.
        eventually("the issuer is believed", || async {
            let reply = person.get(ME).await;
            if reply.status != 200 {
                world.server.app.clock.advance(gap());
            }
            (reply.status == 200).then_some(())
        })
        .await;
    }
    world.end().await;
}
