//! Signed requests over HTTP: what a neuron must send, and what is refused.
use std::time::Duration;

use serde_json::json;
use violet_chain::{CryptoType, Keypair};

use crate::harness::{GOOD, Neuron, Reply, World, eventually, keypair, nonce, sign, translation};

const HEARTBEAT: &str = "/api/v1/miner/heartbeat";
const JUDGE: &str = "/api/v1/validator/tasks?wait=0";
const SECOND: u64 = 1_000_000_000;

fn body() -> Vec<u8> {
    Neuron::heartbeat_body().to_string().into_bytes()
}

#[track_caller]
fn assert_refused(reply: &Reply, word: &str) {
    let detail = reply.problem(401, "/problems/unauthenticated");
    assert!(detail.contains(word), "{detail}");
    assert!(reply.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_signed_request_counts_once_and_within_its_window_only() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let headers = miner.signed("POST", HEARTBEAT, &body());
    let beat = miner.send("POST", HEARTBEAT, body(), &headers).await.ok();
    assert_eq!(
        beat,
        json!({ "uid": 0, "ttl_seconds": 300, "interval_seconds": 100 })
    );
    assert_refused(
        &miner.send("POST", HEARTBEAT, body(), &headers).await,
        "seen before",
    );

    let at = async |nonce: u64| {
        let headers = sign(&miner.keypair, &miner.receiver, "POST", HEARTBEAT, &body(), nonce);
        miner.send("POST", HEARTBEAT, body(), &headers).await
    };
    assert_refused(&at(nonce() - 11 * SECOND).await, "too old");
    assert_refused(&at(nonce() + 60 * SECOND).await, "future");
    at(nonce() + SECOND).await.ok();
    world.end().await;
}

#[tokio::test]
async fn what_was_signed_before_the_memory_of_requests_began_is_refused() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let early = miner.signed("POST", HEARTBEAT, &body());
    // What a crash of the database leaves of unlogged tables. The first request after it begins a new memory.
    world.sql("truncate auth_nonces, auth_nonce_epoch").await;
    let first = miner.post(HEARTBEAT, &Neuron::heartbeat_body()).await;
    assert_refused(&first, "memory");
    // The server's clock is the database's, which may be some milliseconds ahead.
    eventually("a new request counts", || async {
        let reply = miner.post(HEARTBEAT, &Neuron::heartbeat_body()).await;
        (reply.status == 200).then_some(())
    })
    .await;
    assert_refused(&miner.send("POST", HEARTBEAT, body(), &early).await, "memory");
    world.end().await;
}

#[tokio::test]
async fn nothing_of_a_signed_request_can_be_changed() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let mail = format!("/api/v1/miners/{}/tasks?status=assigned&wait=0", miner.uid);

    let foreign = sign(
        &miner.keypair,
        &keypair(9).hotkey(),
        "POST",
        HEARTBEAT,
        &body(),
        nonce(),
    );
    assert_refused(&miner.send("POST", HEARTBEAT, body(), &foreign).await, "Receiver");

    let headers = || miner.signed("POST", HEARTBEAT, &body());
    let other = Neuron::heartbeat_of(5, &[("en", "es")]).to_string().into_bytes();
    assert_refused(
        &miner.send("POST", HEARTBEAT, other, &headers()).await,
        "does not fit",
    );
    let query = format!("{HEARTBEAT}?x=1");
    assert_refused(
        &miner.send("POST", &query, body(), &headers()).await,
        "does not fit",
    );
    let refusals = "/api/v1/miner/refusals";
    assert_refused(
        &miner.send("POST", refusals, body(), &headers()).await,
        "does not fit",
    );

    let signed = miner.signed("POST", &mail, b"");
    assert_refused(
        &miner.send("GET", &mail, Vec::new(), &signed).await,
        "does not fit",
    );
    let signed = miner.signed("GET", &mail, b"");
    let longer = mail.replace("wait=0", "wait=60");
    assert_refused(
        &miner.send("GET", &longer, Vec::new(), &signed).await,
        "does not fit",
    );

    // Somebody else's signature under this hotkey, and the other way round.
    let thief = world.stranger();
    let mut headers = thief.signed("POST", HEARTBEAT, &body());
    replace(&mut headers, "X-Bittensor-Hotkey", &miner.hotkey().to_string());
    assert_refused(
        &miner.send("POST", HEARTBEAT, body(), &headers).await,
        "does not fit",
    );
    // A scheme that is not the key's.
    let mut headers = miner.signed("POST", HEARTBEAT, &body());
    headers.push(("X-Bittensor-Crypto", "ed25519".into()));
    assert_refused(
        &miner.send("POST", HEARTBEAT, body(), &headers).await,
        "does not fit",
    );
    assert_eq!(world.count("miner_status").await, 0);
    world.end().await;
}

fn replace(headers: &mut [(&'static str, String)], name: &str, value: &str) {
    let header = headers
        .iter_mut()
        .find(|(other, _)| *other == name)
        .expect("it is signed with this header");
    value.clone_into(&mut header.1);
}

/// SS58 with any prefix bytes: other networks' spellings of a key, and the long one of prefix 42.
fn address(prefix: &[u8], key: [u8; 32]) -> String {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    use blake2::{Blake2b512, Digest};
    let payload = [prefix, &key].concat();
    let checksum = Blake2b512::new()
        .chain_update(b"SS58PRE")
        .chain_update(&payload)
        .finalize();
    let bytes = [&payload, &checksum[..2]].concat();
    let mut digits: Vec<usize> = Vec::new();
    for byte in &bytes {
        let mut carry = usize::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    digits.extend(bytes.iter().take_while(|byte| **byte == 0).map(|_| 0));
    digits
        .iter()
        .rev()
        .map(|digit| char::from(ALPHABET[*digit]))
        .collect()
}

#[tokio::test]
async fn headers_have_one_spelling() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let key = miner.hotkey().0;
    assert_eq!(address(&[42], key), miner.hotkey().to_string());
    let refused = async |name: &'static str, value: &str, word: &str| {
        let mut headers = miner.signed("POST", HEARTBEAT, &body());
        replace(&mut headers, name, value);
        assert_refused(&miner.send("POST", HEARTBEAT, body(), &headers).await, word);
    };
    refused("X-Bittensor-Hotkey", &address(&[0], key), "prefix 42").await;
    refused("X-Bittensor-Hotkey", &address(&[0x4a, 0x80], key), "prefix 42").await;
    refused("X-Bittensor-Hotkey", &hex::encode(key), "prefix 42").await;
    refused(
        "X-Bittensor-Receiver",
        &address(&[0], miner.receiver.0),
        "prefix 42",
    )
    .await;
    refused("X-Bittensor-Signature", "", "empty").await;
    refused("X-Bittensor-Signature", "0x", "empty").await;
    refused(
        "X-Bittensor-Signature",
        &format!("0x{}", "0".repeat(128)),
        "does not fit",
    )
    .await;
    refused("X-Bittensor-Signature", &"0".repeat(128), "128").await;
    refused("X-Bittensor-Nonce", &format!("0{}", nonce()), "plain digits").await;
    refused("X-Bittensor-Nonce", "-1", "plain digits").await;
    refused("X-Bittensor-Nonce", "99999999999999999999999", "plain digits").await;
    refused("X-Bittensor-Version", "2", "not 1").await;

    for left_out in 0..5 {
        let mut headers = miner.signed("POST", HEARTBEAT, &body());
        let (name, _) = headers.remove(left_out);
        assert_refused(&miner.send("POST", HEARTBEAT, body(), &headers).await, name);
    }
    let mut headers = miner.signed("POST", HEARTBEAT, &body());
    headers.push(("X-Bittensor-Nonce", nonce().to_string()));
    assert_refused(&miner.send("POST", HEARTBEAT, body(), &headers).await, "twice");
    assert_refused(
        &miner.send("POST", HEARTBEAT, body(), &[]).await,
        "no X-Bittensor",
    );
    world.end().await;
}

#[tokio::test]
async fn registration_permit_and_stake_are_those_of_the_snapshot() {
    let world = World::start().await;
    let forbidden = async |neuron: &Neuron, target: &str, word: &str| {
        let reply = neuron.get(target).await;
        let detail = reply.problem(403, "/problems/forbidden");
        assert!(detail.contains(word), "{detail}");
    };
    let stranger = world.stranger();
    let reply = stranger.post(HEARTBEAT, &Neuron::heartbeat_body()).await;
    assert!(
        reply
            .problem(403, "/problems/forbidden")
            .contains("not registered")
    );
    forbidden(&stranger, JUDGE, "not registered").await;
    let miner = world.silent_miner(1);
    forbidden(&miner, JUDGE, "no validator permit").await;
    let evaluation = miner.evaluation_body("0192f0c1-2a3b-7c4d-8e5f-000000000001", &[]);
    miner
        .post_evaluation(&evaluation)
        .await
        .problem(403, "/problems/forbidden");
    forbidden(
        &miner,
        "/api/v1/miners/1/tasks?status=assigned",
        "uid 1 is not yours; yours is 0",
    )
    .await;

    let validator = world.validator(1).await;
    world.chain.set_permit(1, validator.uid, false).unwrap();
    validator.get(JUDGE).await.ok();
    world.next_snapshot().await;
    forbidden(&validator, JUDGE, "no validator permit").await;
    world.chain.set_permit(1, validator.uid, true).unwrap();
    world
        .chain
        .set_stake(1, validator.hotkey().0, 999_000_000_000, 0)
        .unwrap();
    world.next_snapshot().await;
    forbidden(&validator, JUDGE, "too little stake").await;

    // A miner that lost its uid is a stranger; who has it now is not.
    let mut replacement = world.stranger();
    replacement.uid = miner.uid;
    world
        .chain
        .replace(1, miner.uid, replacement.hotkey().0, [1; 32])
        .unwrap();
    world.next_snapshot().await;
    forbidden(&miner, "/api/v1/miners/0/tasks?status=assigned", "not registered").await;
    assert!(replacement.mail(0).await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn an_ed25519_hotkey_works_like_any_other() {
    let world = World::start().await;
    let keypair = Keypair::from_uri(&format!("0x{}", "ed".repeat(32)), CryptoType::Ed25519).unwrap();
    let uid = world.chain.register(1, keypair.hotkey().0, [2; 32]).unwrap();
    world.next_snapshot().await;
    let mut miner = world.stranger();
    (miner.keypair, miner.uid) = (keypair, uid);
    miner.heartbeat().await;
    world.on_roster(&world.server, &miner).await;
    let validator = world.validator(1).await;
    let user = world.user().await;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    assert_eq!(miner.answer(&task, "Casa").await["used"], true);
    validator.judge(&task, |_| Some(GOOD)).await;
    assert_eq!(user.ended(&task).await["status"], "approved");
    world.end().await;
}

#[tokio::test]
async fn a_signed_body_has_a_limit() {
    let world = World::start().await;
    let miner = world.silent_miner(1);
    let sized = |bytes: usize| {
        let mut body = body();
        body.resize(bytes, b' ');
        body
    };
    let reply = async |bytes: usize| {
        let headers = miner.signed("POST", HEARTBEAT, &sized(bytes));
        miner.send("POST", HEARTBEAT, sized(bytes), &headers).await
    };
    reply(1 << 20).await.ok();
    let reply = reply((1 << 20) + 1).await;
    assert!(reply.problem(413, "/problems/too-large").contains("1048576"));
    world.end().await;
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_refuses_and_a_new_one_ends_that() {
    let world = World::with(|config| config.chain.snapshot_limit_seconds = 3).await;
    let miner = world.silent_miner(1);
    let url = format!("{}/ready", world.server.url());
    Reply::to(world.http.get(&url)).await.ok();
    world.chain.stall_finality(true);
    world.chain.advance(2).unwrap();
    let reply = eventually("the snapshot gets too old", || async {
        let reply = miner.post(HEARTBEAT, &Neuron::heartbeat_body()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert!(reply.problem(503, "/problems/unavailable").contains("too old"));
    assert_eq!(reply.headers["retry-after"], "5");
    let ready = Reply::to(world.http.get(&url)).await;
    assert_eq!((ready.status, &ready.body["ready"]), (503, &false.into()));
    assert!(ready.body["snapshot"].as_str().unwrap().contains("too old"));

    world.chain.stall_finality(false);
    world.next_snapshot().await;
    miner.heartbeat().await;
    world.end().await;
}

#[tokio::test]
async fn without_a_snapshot_neurons_are_refused_and_tasks_wait() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let lost = world.lost_replica().await;
    let reply = miner.at(&lost).post(HEARTBEAT, &Neuron::heartbeat_body()).await;
    assert!(
        reply
            .problem(503, "/problems/unavailable")
            .contains("no snapshot")
    );
    let network = Reply::to(world.http.get(format!("{}/api/v1/network", lost.url())))
        .await
        .ok();
    assert!(network["snapshot"].is_null());

    let task = user.at(&lost).submit(&translation(1)).await;
    // The other replica has one, and draws.
    tokio::time::timeout(Duration::from_secs(60), miner.receive(&task))
        .await
        .unwrap();
    lost.stop().await;
    world.end().await;
}
