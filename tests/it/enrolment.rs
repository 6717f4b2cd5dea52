//! Keys of neurons: how they are got, what they open, and all the ways in which they end.
use chrono::TimeDelta;
use serde_json::{Value, json};
use violet_chain::{CryptoType, Keypair};

use crate::harness::{GOOD, Neuron, Reply, World, eventually, translation};

const MINER: &str = "/api/v1/miner/authenticate";
const VALIDATOR: &str = "/api/v1/validator/authenticate";
const HEARTBEAT: &str = "/api/v1/miner/heartbeat";
const JUDGE: &str = "/api/v1/validator/tasks?wait=0";
const KEYS: &str = "/api/v1/neurons/keys";

async fn key(world: &World, neuron: &Neuron, target: &str) -> String {
    let given = neuron.enrol(world, target).await.ok();
    given["api_key"].as_str().unwrap().to_owned()
}

async fn beat(miner: &Neuron, key: &str) -> Reply {
    let body = Neuron::heartbeat_body().to_string();
    miner.with_key(key, "POST", HEARTBEAT, &body).await
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, word: &str) {
    let kind = match status {
        401 => "/problems/unauthenticated",
        403 => "/problems/forbidden",
        _ => "/problems/conflict",
    };
    let detail = reply.problem(status, kind);
    assert!(detail.contains(word), "{detail}");
}

#[tokio::test]
async fn a_neuron_is_given_a_key_for_a_signature_and_works_with_it() {
    let world = World::start().await;
    let user = world.user().await;
    let (miner, judge) = (world.silent_miner(1), world.validator(1).await);

    let credentials = miner.credentials(&world);
    let asked = miner.say(MINER, &credentials).await.ok();
    let challenge = asked["challenge"].as_str().unwrap();
    assert_eq!(
        (&asked["authenticated"], &asked["api_key"], &asked["expires_in"]),
        (&json!(false), &Value::Null, &json!(300))
    );
    assert!(!challenge.starts_with("0x"));
    for part in [
        "miner key",
        &miner.hotkey().to_string(),
        &miner.receiver.to_string(),
        "uid 0 on subnet 1 of test",
    ] {
        assert!(challenge.contains(part), "{challenge} lacks {part}");
    }
    let given = miner.say(MINER, &miner.prove(&credentials, challenge)).await.ok();
    let miner_key = given["api_key"].as_str().unwrap().to_owned();
    assert!(miner_key.starts_with("violet_miner_") && given["authenticated"] == true);
    let validator_key = key(&world, &judge, VALIDATOR).await;
    assert!(validator_key.starts_with("violet_validator_"));
    // Nothing of a key is in the database but its hash and its beginning.
    let digits = &miner_key["violet_miner_".len() + 6..];
    let found = format!("neuron_keys k where k::text like '%{digits}%'");
    assert_eq!(world.count(&found).await, 0);

    beat(&miner, &miner_key).await.ok();
    world.on_roster(&world.server, &miner).await;
    let task = user.submit(&translation(1)).await;
    let mail = format!("/api/v1/miners/{}/tasks?status=assigned&wait=0", miner.uid);
    let found = miner.with_key(&miner_key, "GET", &mail, "").await.ok();
    assert_eq!(found[0]["task_id"], task.as_str());
    let answer = miner.answer_body(&task, "Casa");
    let answers = "/api/v1/miner/answers";
    let receipt = miner
        .with_key(&miner_key, "POST", answers, &answer.to_string())
        .await;
    assert_eq!(receipt.ok()["used"], true);

    judge.offered(&task).await;
    let offered = judge.with_key(&validator_key, "GET", JUDGE, "").await.ok();
    assert_eq!(offered["tasks"][0]["task_id"], task.as_str());
    let scores = judge.evaluation_body(&task, &[(miner.hotkey(), Some(GOOD))]);
    let evaluations = "/api/v1/validator/evaluations";
    let receipt = judge
        .with_key(&validator_key, "POST", evaluations, &scores.to_string())
        .await;
    assert_eq!(receipt.ok()["accepted"], true);
    assert_eq!(user.ended(&task).await["status"], "approved");

    // Not for what is another's, nor beside a signature, nor in place of a user's key.
    assert_refused(&beat(&miner, &validator_key).await, 403, "key of a validator");
    let reply = judge.with_key(&miner_key, "GET", JUDGE, "").await;
    assert_refused(&reply, 403, "key of a miner");
    let reply = miner
        .with_key(&miner_key, "GET", "/api/v1/miners/1/tasks", "")
        .await;
    assert_refused(&reply, 403, "uid 1 is not yours");
    let mut both = miner.signed("GET", &mail, b"");
    both.push(("X-API-Key", miner_key.clone()));
    assert_refused(
        &miner.send("GET", &mail, Vec::new(), &both).await,
        401,
        "not both",
    );
    let reply = miner.with_key(&miner_key, "GET", "/api/v1/tasks", "").await;
    assert_refused(&reply, 401, "");
    assert_refused(&miner.with_key(&miner_key, "GET", KEYS, "").await, 401, "");
    world.end().await;
}

#[tokio::test]
async fn a_key_is_compared_with_what_the_original_s_clients_say() {
    let world = World::start().await;
    for (neuron, target, kind) in [
        (world.silent_miner(1), MINER, "Miner"),
        (world.validator(1).await, VALIDATOR, "Validator"),
    ] {
        let key = key(&world, &neuron, target).await;
        let credentials = neuron.credentials(&world);
        let compare = async |body: &Value| neuron.with_key(&key, "POST", target, &body.to_string()).await;
        let same = compare(&credentials).await.ok();
        assert_eq!(
            same,
            json!({
                "success": true, "authenticated": true, "uid": neuron.uid, "network": "test",
                "message": "Authentication successful",
            })
        );
        for (field, value) in [
            ("hotkey", json!(world.stranger().hotkey())),
            ("coldkey_address", json!(world.stranger().hotkey())),
            ("uid", json!(77)),
            ("network", json!("finney")),
        ] {
            let mut other = credentials.clone();
            other[field] = value;
            let text = format!("{kind} credentials do not match the provided API key");
            assert_refused(&compare(&other).await, 403, &text);
        }
        let other = if target == MINER { VALIDATOR } else { MINER };
        let reply = neuron
            .with_key(&key, "POST", other, &credentials.to_string())
            .await;
        assert_refused(&reply, 403, "this is the key of a");
    }
    world.end().await;
}

#[tokio::test]
async fn a_challenge_is_for_one_signer_one_purpose_and_one_use() {
    let world = World::start().await;
    let (miner, other) = (world.silent_miner(1), world.silent_miner(2));
    let credentials = miner.credentials(&world);
    let challenge = async || {
        let asked = miner.say(MINER, &credentials).await.ok();
        asked["challenge"].as_str().unwrap().to_owned()
    };
    let text = challenge().await;
    let right = miner.prove(&credentials, &text);

    // Signed by another, for another, changed, or never given.
    assert_refused(
        &miner.say(MINER, &other.prove(&credentials, &text)).await,
        401,
        "signature: is not",
    );
    let theirs = other.prove(&other.credentials(&world), &text);
    assert_refused(
        &other.say(MINER, &theirs).await,
        401,
        "not one for these credentials",
    );
    assert_refused(
        &miner.say(VALIDATOR, &right).await,
        401,
        "not one for these credentials",
    );
    let mut elsewhere = right.clone();
    elsewhere["uid"] = 1.into();
    assert_refused(
        &miner.say(MINER, &elsewhere).await,
        401,
        "not one for these credentials",
    );
    let end: u64 = text.split("expires ").nth(1).unwrap()[..10].parse().unwrap();
    let longer = text.replace(&end.to_string(), &(end + 1).to_string());
    let reply = miner.say(MINER, &miner.prove(&credentials, &longer)).await;
    assert_refused(&reply, 401, "not one of this server");
    let wrapped = miner.keypair.sign(format!("<Bytes>{text}</Bytes>").as_bytes());
    let mut wrong = right.clone();
    wrong["signature"] = hex::encode(wrapped).into();
    assert_refused(&miner.say(MINER, &wrong).await, 401, "signature: is not");
    wrong["signature"] = "".into();
    miner
        .say(MINER, &wrong)
        .await
        .problem(422, "/problems/malformed-request");
    for field in ["challenge", "signature"] {
        let mut half = right.clone();
        half.as_object_mut().unwrap().remove(field);
        miner.say(MINER, &half).await.invalid(field);
    }
    assert_eq!(world.count("neuron_keys").await, 0);

    // None of these used it up; with bare hex, as wallets print it, and at another replica it is good once.
    let replica = world.replica().await;
    let mut bare = right.clone();
    bare["signature"] = right["signature"].as_str().unwrap()[2..].into();
    miner.at(&replica).say(MINER, &bare).await.ok();
    assert_refused(&miner.say(MINER, &right).await, 401, "was used");
    assert_refused(&miner.at(&replica).say(MINER, &right).await, 401, "was used");
    assert_eq!(world.count("neuron_keys").await, 1);

    // Who is not there is asked nothing.
    for (field, value) in [
        ("hotkey", json!(world.stranger().hotkey())),
        ("coldkey_address", json!(other.hotkey())),
        ("uid", json!(1)),
    ] {
        let mut wrong = credentials.clone();
        wrong[field] = value;
        assert_refused(&miner.say(MINER, &wrong).await, 403, "is not registered");
    }
    assert_refused(
        &miner.say(VALIDATOR, &credentials).await,
        403,
        "no validator permit",
    );
    replica.stop().await;
    world.end().await;
}

#[tokio::test]
async fn challenges_and_keys_end_at_their_time() {
    let world = World::with(|config| config.chain.snapshot_limit_seconds = 100_000).await;
    let miner = world.silent_miner(1);
    let credentials = miner.credentials(&world);
    let challenge = async || {
        let asked = miner.say(MINER, &credentials).await.ok();
        miner.prove(&credentials, asked["challenge"].as_str().unwrap())
    };
    let clock = &world.server.app.clock;
    let early = challenge().await;
    let late = challenge().await;
    clock.advance(TimeDelta::seconds(200));
    let given = miner.say(MINER, &early).await.ok();
    clock.advance(TimeDelta::seconds(101));
    assert_refused(&miner.say(MINER, &late).await, 401, "is over");

    let key = given["api_key"].as_str().unwrap();
    beat(&miner, key).await.ok();
    let ends =
        |days: i64| format!("update neuron_keys set expires_at = expires_at + {days} * interval '1 day'");
    // 90 days from when it was made.
    world.sql(&ends(-89)).await;
    forgotten(&miner, key, 200).await;
    world.sql(&ends(-1)).await;
    forgotten(&miner, key, 401).await;
    let listed = miner.with_key(key, "POST", MINER, &credentials.to_string()).await;
    assert_refused(&listed, 401, "is over");
    world.end().await;
}

/// Waits until what was looked up before is looked up again.
async fn forgotten(miner: &Neuron, key: &str, status: u16) {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    eventually("the key is looked up again", || async {
        (beat(miner, key).await.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_neuron_lists_its_keys_and_revokes_them_everywhere() {
    let world = World::start().await;
    let replica = world.replica().await;
    let (miner, other) = (world.silent_miner(1), world.silent_miner(2));
    let (first, second) = (key(&world, &miner, MINER).await, key(&world, &miner, MINER).await);
    let there = miner.at(&replica);
    for (neuron, key) in [(&miner, &first), (&there, &first), (&miner, &second)] {
        beat(neuron, key).await.ok();
    }
    let list = miner.get(KEYS).await.ok();
    assert_eq!(list["count"], 2, "{list}");
    let shown = &list["keys"][1];
    assert_eq!((&shown["kind"], &shown["uid"]), (&json!("miner"), &json!(0)));
    assert_eq!(shown["prefix"], first[.."violet_miner_".len() + 6]);
    assert!(!list.to_string().contains(&first[20..]));

    let path = format!("{KEYS}/{}", shown["key_id"].as_str().unwrap());
    let delete = async |neuron: &Neuron| {
        let headers = neuron.signed("DELETE", &path, b"");
        neuron.send("DELETE", &path, Vec::new(), &headers).await
    };
    delete(&other).await.problem(404, "/problems/not-found");
    assert_eq!(other.get(KEYS).await.ok()["count"], 0);
    assert_eq!(delete(&miner).await.ok(), json!({ "success": true }));
    assert_refused(&beat(&miner, &first).await, 401, "was revoked");
    eventually("the key is refused at the other replica", || async {
        (beat(&there, &first).await.status == 401).then_some(())
    })
    .await;
    delete(&miner).await.problem(404, "/problems/not-found");
    beat(&miner, &second).await.ok();
    assert_eq!(miner.get(KEYS).await.ok()["count"], 1);

    for _ in 0..15 {
        key(&world, &miner, MINER).await;
    }
    assert_refused(&miner.enrol(&world, MINER).await, 409, "has 16 keys");
    replica.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_key_dies_with_registration_and_permit() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let judge = world.validator(1).await;
    let miner_key = key(&world, &miner, MINER).await;
    let judge_key = key(&world, &judge, VALIDATOR).await;
    let judging = async || judge.with_key(&judge_key, "GET", JUDGE, "").await;
    judging().await.ok();
    world.chain.set_permit(1, judge.uid, false).unwrap();
    world.next_snapshot().await;
    assert_refused(&judging().await, 403, "no validator permit");
    // The permit is the chain's to give back.
    world.chain.set_permit(1, judge.uid, true).unwrap();
    world.next_snapshot().await;
    judging().await.ok();

    beat(&miner, &miner_key).await.ok();
    let owner = world.server.app.snapshots.latest().unwrap().snapshot.neurons[0].coldkey;
    let replace = async |hotkey: [u8; 32]| {
        world.chain.replace(1, miner.uid, hotkey, owner.0).unwrap();
        world.next_snapshot().await;
    };
    replace(world.stranger().hotkey().0).await;
    assert_refused(&beat(&miner, &miner_key).await, 403, "no longer registered");
    // Even if it comes back to its place: that is another registration.
    replace(miner.hotkey().0).await;
    miner.heartbeat().await;
    assert_refused(&beat(&miner, &miner_key).await, 403, "no longer registered");
    let again = key(&world, &miner, MINER).await;
    beat(&miner, &again).await.ok();
    // At another place it is not the one meant, as a key of that uid would not be.
    world
        .sql("update neuron_keys set uid = 5 where kind = 'miner'")
        .await;
    forgotten(&miner, &again, 403).await;
    world.end().await;
}

#[tokio::test]
async fn without_enrolment_no_key_is_given_or_taken() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let key = key(&world, &miner, MINER).await;
    let mut config = world.config().clone();
    config.identity.enrolment = false;
    let closed = violet::server::Server::start(config, crate::harness::keypair(crate::harness::SERVER))
        .await
        .unwrap();
    closed.app.snapshots.first().await;
    let there = miner.at(&closed);
    let credentials = miner.credentials(&world);
    let asked = miner.say(MINER, &credentials).await.ok();
    let proved = miner.prove(&credentials, asked["challenge"].as_str().unwrap());
    for body in [&credentials, &proved] {
        assert_refused(&there.say(MINER, body).await, 403, "identity.enrolment is off");
    }
    assert_refused(&beat(&there, &key).await, 403, "identity.enrolment is off");
    there.heartbeat().await;
    closed.stop().await;
    world.end().await;
}

#[tokio::test]
async fn an_ed25519_hotkey_says_so_and_gets_a_key() {
    let world = World::start().await;
    let keypair = Keypair::from_uri(&format!("0x{}", "ed".repeat(32)), CryptoType::Ed25519).unwrap();
    let uid = world.chain.register(1, keypair.hotkey().0, [2; 32]).unwrap();
    world.next_snapshot().await;
    let mut miner = world.stranger();
    (miner.keypair, miner.uid) = (keypair, uid);
    let credentials = miner.credentials(&world);
    let asked = miner.say(MINER, &credentials).await.ok();
    let mut proved = miner.prove(&credentials, asked["challenge"].as_str().unwrap());
    proved["crypto"] = "sr25519".into();
    assert_refused(&miner.say(MINER, &proved).await, 401, "signature: is not");
    let key = key(&world, &miner, MINER).await;
    beat(&miner, &key).await.ok();
    world.on_roster(&world.server, &miner).await;
    let user = world.user().await;
    let task = user.submit(&translation(1)).await;
    // The answer is checked under the scheme that was proven.
    let answer = miner.answer_body(&task, "Casa").to_string();
    let receipt = miner
        .with_key(&key, "POST", "/api/v1/miner/answers", &answer)
        .await;
    assert_eq!(receipt.ok()["used"], true);
    world.end().await;
}
