//! Neurons that know nothing but a key: what they need not sign, what the others must, and that a miner is eligible for as
//! long as it polls.
use serde_json::{Value, json};

use crate::harness::{GOOD, Keyed, Neuron, World, eventually, translation};

pub(crate) const MINER: &str = "/api/v1/miner/authenticate";
pub(crate) const VALIDATOR: &str = "/api/v1/validator/authenticate";
const ANSWERS: &str = "/api/v1/miner/answers";
const EVALUATIONS: &str = "/api/v1/validator/evaluations";

/// What a miner of translations says when it enrols.
fn declared(capacity: u16, pairs: &[(&str, &str)]) -> Value {
    let beat = Neuron::heartbeat_of(capacity, pairs);
    json!({ "capacity": beat["capacity"], "engines": beat["engines"] })
}

/// A miner with a key that said what it can do.
async fn keyed(world: &World, number: u8) -> Keyed {
    let miner = world.silent_miner(number);
    miner.keyed(world, MINER, &declared(4, &[("en", "es")])).await
}

fn translated(text: &str) -> Value {
    json!({ "translated_text": text })
}

fn without(body: &Value, names: &[&str]) -> Value {
    let mut body = body.clone();
    for name in names {
        body.as_object_mut().unwrap().remove(*name);
    }
    body
}

/// What the only answer of a task says of itself.
async fn authenticated_by(world: &World, task: &str) -> String {
    let row = format!("miner_responses where task_id = '{task}' and signature");
    let (null, some) = (
        world.count(&format!("{row} is null")).await,
        world.count(&format!("{row} is not null")).await,
    );
    match (null, some) {
        (1, 0) => "key".into(),
        (0, 1) => "signature".into(),
        other => panic!("{other:?} answers"),
    }
}

#[tokio::test]
async fn an_answer_without_a_signature_needs_a_key() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    miner.there(&world).await;
    let wallet = &miner.neuron;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    let signed = wallet.answer_body(&task, "Casa");

    // A signed request does not stand in for the answer's own signature, and none of its parts is left out or null.
    for names in [&["signature"][..], &["digest"], &["digest", "signature"]] {
        let reply = wallet.post_answer(&without(&signed, names)).await;
        reply.invalid(names[0]);
        let mut null = signed.clone();
        names.iter().for_each(|name| null[*name] = Value::Null);
        wallet.post_answer(&null).await.invalid(names[0]);
    }
    // A user's key is none of a neuron's, nor is a validator's a miner's.
    let unsigned = Keyed::unsigned(&task, &translated("Casa"));
    let reply = wallet
        .with_key(&user.key, "POST", ANSWERS, &unsigned.to_string())
        .await;
    reply.problem(401, "/problems/unauthenticated");
    let judge = world
        .validator(1)
        .await
        .keyed(&world, VALIDATOR, &json!({}))
        .await;
    judge.answer(&unsigned).await.problem(403, "/problems/forbidden");

    // With a key, what is there must be right.
    for (name, value, kind) in [
        ("signature", json!(""), "/problems/malformed-request"),
        (
            "signature",
            json!(format!("0x{}", "00".repeat(64))),
            "/problems/invalid-value",
        ),
        (
            "signature",
            world.silent_miner(2).answer_body(&task, "Casa")["signature"].clone(),
            "/problems/invalid-value",
        ),
        (
            "signature",
            wallet.answer_body(&task, "Otra")["signature"].clone(),
            "/problems/invalid-value",
        ),
        ("digest", json!("00".repeat(32)), "/problems/invalid-value"),
        ("digest", json!("00"), "/problems/malformed-request"),
    ] {
        let mut wrong = signed.clone();
        wrong[name] = value;
        let reply = miner.answer(&wrong).await;
        let detail = reply.problem(422, kind);
        assert!(detail.contains(name), "{detail}");
    }
    assert_eq!(world.count("miner_responses").await, 0);
    assert_eq!(
        miner.answer(&unsigned).await.ok(),
        json!({ "used": true, "first": true })
    );
    assert_eq!(authenticated_by(&world, &task).await, "key");
    let shown = user.responses(&task).await["responses"][0].clone();
    assert_eq!(shown["authenticated_by"], "key");
    assert!(shown.get("signature").is_none(), "{shown}");
    // It is as final as any.
    let again = wallet.post_answer(&wallet.answer_body(&task, "Otra")).await.ok();
    assert_eq!(again["reason"], "already_answered");
    world.end().await;
}

#[tokio::test]
async fn a_signature_that_comes_with_a_key_is_kept() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    miner.there(&world).await;
    // The digest says nothing that the server does not know.
    for names in [&[][..], &["digest"]] {
        let task = user.submit(&translation(1)).await;
        miner.receive(&task).await;
        let signed = miner.neuron.answer_body(&task, "Casa");
        assert_eq!(miner.answer(&without(&signed, names)).await.ok()["used"], true);
        assert_eq!(authenticated_by(&world, &task).await, "signature");
        let shown = user.responses(&task).await["responses"][0].clone();
        assert_eq!(shown["authenticated_by"], "signature");
        assert_eq!(shown["signature"], signed["signature"]);
    }
    world.end().await;
}

#[tokio::test]
async fn an_evaluation_without_a_signature_needs_a_key() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let judge = world
        .validator(1)
        .await
        .keyed(&world, VALIDATOR, &json!({}))
        .await;
    // Another one of the jury, so that evaluations can be replaced.
    world.validator(2).await;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    miner.answer(&task, "Casa").await;
    judge.offered(&task).await;

    let wallet = &judge.neuron;
    let signed = wallet.evaluation_body(&task, &[(miner.hotkey(), Some(GOOD))]);
    let unsigned = without(&signed, &["signature"]);
    wallet.post_evaluation(&unsigned).await.invalid("signature");
    let reply = wallet
        .with_key(&user.key, "POST", EVALUATIONS, &unsigned.to_string())
        .await;
    reply.problem(401, "/problems/unauthenticated");
    let mut wrong = signed.clone();
    wrong["scores"][0]["score"] = json!(GOOD - 1);
    judge.evaluate(&wrong).await.invalid("signature");
    assert_eq!(world.count("evaluations").await, 0);

    let kept = async || {
        let row = "evaluations where signature is";
        (
            world.count(&format!("{row} null")).await,
            world.count(&format!("{row} not null")).await,
        )
    };
    let receipt = judge.evaluate(&unsigned).await.ok();
    assert_eq!(receipt, json!({ "accepted": true, "replaced": false }));
    assert_eq!(kept().await, (1, 0));
    let receipt = judge.evaluate(&signed).await.ok();
    assert_eq!(receipt, json!({ "accepted": true, "replaced": true }));
    assert_eq!(kept().await, (0, 1));
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_dead_answers_nothing() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    miner.there(&world).await;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    let answer = Keyed::unsigned(&task, &translated("Casa"));
    let path = "/api/v1/neurons/keys";
    let id = miner.neuron.get(path).await.ok()["keys"][0]["key_id"].clone();
    let path = format!("{path}/{}", id.as_str().unwrap());
    let headers = miner.neuron.signed("DELETE", &path, b"");
    miner
        .neuron
        .send("DELETE", &path, Vec::new(), &headers)
        .await
        .ok();
    for reply in [miner.poll().await, miner.answer(&answer).await] {
        reply.problem(401, "/problems/unauthenticated");
    }
    assert_eq!(world.count("miner_responses").await, 0);
    world.end().await;
}

/// What was said was said so long ago that it does not count any more.
async fn age(world: &World) {
    world
        .sql("update miner_status set last_seen = now() - interval '10 minutes', beat_at = beat_at - interval '10 minutes'")
        .await;
}

/// A miner that nothing is heard of any more, but perhaps a poll that is still to be noted.
async fn falls_silent(world: &World, miner: &Keyed) {
    eventually("a miner is gone", || async {
        age(world).await;
        let miners = world.server.app.roster.miners();
        let known = miners.get(&miner.neuron.hotkey());
        known.is_none_or(|miner| !miner.available).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_miner_is_drawn_for_as_long_as_it_polls() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    // A key alone is no sign of life.
    assert_eq!(world.count("miner_status").await, 0);
    let nobody = user.submit_raw(&translation(1)).await;
    nobody.problem(422, "/problems/no-engine");

    miner.there(&world).await;
    let miners = world.server.app.roster.miners();
    let known = &miners[&miner.neuron.hotkey()];
    assert_eq!((known.capacity, known.offers.len()), (4, 1));
    let accepted = user.submit_raw(&translation(1)).await.ok();
    assert_eq!(accepted["auto_assigned"], true);
    miner.receive(accepted["task_id"].as_str().unwrap()).await;

    falls_silent(&world, &miner).await;
    let accepted = user.submit_raw(&translation(1)).await.ok();
    assert_eq!(accepted["auto_assigned"], false);
    // Who comes back is drawn for what waits.
    miner.receive(accepted["task_id"].as_str().unwrap()).await;
    world.end().await;
}

#[tokio::test]
async fn a_poll_that_waits_is_a_sign_of_life_all_the_time() {
    let world = World::with(|config| config.routing.heartbeat_ttl_seconds = 3).await;
    let miner = keyed(&world, 1).await;
    miner.poll().await.ok();
    let recent = "miner_status where last_seen > now() - interval '5 minutes'";
    eventually("the poll is noted", || async {
        (world.count(recent).await == 1).then_some(())
    })
    .await;
    let target = format!("/api/v1/miners/{}/tasks?wait=60", miner.uid);
    tokio::select! {
        reply = miner.get(&target) => panic!("it waits: {reply:?}"),
        () = async {
            for _ in 0..3 {
                age(&world).await;
                eventually("it is noted again", || async { (world.count(recent).await == 1).then_some(()) }).await;
            }
        } => {}
    }
    world.end().await;
}

#[tokio::test]
async fn a_heartbeat_goes_before_what_was_said_when_enrolling() {
    let world = World::start().await;
    let miner = keyed(&world, 1).await;
    let pair = || {
        let miners = world.server.app.roster.miners();
        let known = miners.get(&miner.neuron.hotkey())?;
        Some((known.capacity, known.offers.first()?.pairs.first()?.1.clone()))
    };
    let speaks = async |capacity: u16, language: &str| {
        let wanted = Some((capacity, language.to_owned()));
        eventually("the miner says something else", || async {
            (pair() == wanted).then_some(())
        })
        .await;
    };
    miner.there(&world).await;
    speaks(4, "es").await;
    let beat = Neuron::heartbeat_of(2, &[("en", "fr")]);
    miner.post("/api/v1/miner/heartbeat", &beat).await.ok();
    speaks(2, "fr").await;
    miner.poll().await.ok();
    // What is seen is noted in its order: now the poll is.
    world.validator(1).await;
    assert_eq!(
        world
            .count("miner_status where capacity = 2 and last_seen = beat_at")
            .await,
        1
    );
    // Once it is too old to count, there is the enrolment again.
    falls_silent(&world, &miner).await;
    miner.there(&world).await;
    speaks(4, "es").await;

    // Of two keys the one that polls speaks, and who enrolled without a word says nothing by polling.
    let silent = world.silent_miner(1).keyed(&world, MINER, &json!({})).await;
    let other = world
        .silent_miner(1)
        .keyed(&world, MINER, &declared(7, &[("en", "de")]))
        .await;
    other.poll().await.ok();
    speaks(7, "de").await;
    falls_silent(&world, &miner).await;
    silent.poll().await.ok();
    world.validator(2).await;
    let recent = "miner_status where last_seen > now() - interval '5 minutes'";
    assert_eq!(world.count(recent).await, 0);
    world.end().await;
}

#[tokio::test]
async fn what_is_said_when_enrolling_must_make_sense() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let judge = world.validator(1).await;
    let good = declared(4, &[("en", "es")]);
    let refused = async |neuron: &Neuron, target: &str, declared: &Value, field: &str| {
        neuron.enrol_as(&world, target, declared).await.invalid(field);
    };
    refused(&judge, VALIDATOR, &good, "engines").await;
    refused(&miner, MINER, &without(&good, &["engines"]), "capacity").await;
    let mut wrong = good.clone();
    wrong["engines"][0]["model_id"] = json!("a\0b");
    refused(&miner, MINER, &wrong, "engines").await;
    wrong["engines"] = json!(vec![good["engines"][0].clone(); 257]);
    refused(&miner, MINER, &wrong, "engines").await;
    assert_eq!(world.count("neuron_keys").await, 0);

    // One place, unless it says so.
    let miner = miner.keyed(&world, MINER, &without(&good, &["capacity"])).await;
    miner.there(&world).await;
    assert_eq!(
        world.server.app.roster.miners()[&miner.neuron.hotkey()].capacity,
        1
    );
    world.end().await;
}
