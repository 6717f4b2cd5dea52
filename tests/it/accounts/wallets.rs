//! Logins with a key of the chain.
use reqwest::Method;
use serde_json::{Value, json};
use violet_chain::Keypair;

use super::{Person, events, text};
use crate::harness::{Reply, World, keypair};

const CHALLENGE: &str = "/api/v1/auth/wallet/challenge";
const LOGIN: &str = "/api/v1/auth/wallet/login";
const NEURONS: &str = "/api/v1/wallet/neurons";

async fn post(world: &World, target: &str, body: &Value) -> Reply {
    Reply::to(
        world
            .http
            .post(format!("{}{target}", world.server.url()))
            .json(body),
    )
    .await
}

async fn challenge(world: &World, key: &Keypair) -> String {
    let body = json!({ "address": key.hotkey() });
    text(&post(world, CHALLENGE, &body).await.ok()["message"])
}

fn answer(key: &Keypair, message: &str, signed: &str) -> Value {
    let signature = format!("0x{}", hex::encode(key.sign(signed.as_bytes())));
    json!({ "message": message, "signature": signature })
}

async fn neurons(world: &World, token: &str) -> Reply {
    let url = format!("{}{NEURONS}", world.server.url());
    Reply::to(world.http.request(Method::GET, url).bearer_auth(token)).await
}

#[tokio::test]
async fn who_signs_reads_its_own_neurons() {
    let world = World::start().await;
    let hotkey = keypair(2);
    for wrap in [false, true] {
        let message = challenge(&world, &hotkey).await;
        assert!(!message.starts_with("0x"), "{message}");
        assert!(
            message.contains("http://localhost:8000") && message.contains("Subnet: 1"),
            "{message}"
        );
        let wrapped = format!("<Bytes>{message}</Bytes>");
        let signed = if wrap { &wrapped } else { &message };
        let answered = answer(&hotkey, &message, signed);
        let opened = post(&world, LOGIN, &answered).await.ok();
        assert_eq!(opened["address"], hotkey.hotkey().to_string().as_str());
        let token = text(&opened["access_token"]);
        let own = neurons(&world, &token).await.ok();
        assert_eq!((&own["count"], &own["owns_subnet"]), (&1.into(), &false.into()));
        let neuron = &own["neurons"][0];
        assert_eq!(
            (&neuron["uid"], &neuron["validator_permit"]),
            (&1.into(), &false.into())
        );
        assert!(
            neuron["stake_rao"].as_u64() > Some(0) && neuron["history"].is_array(),
            "{neuron}"
        );

        // Each challenge counts once.
        let again = post(&world, LOGIN, &answered).await;
        assert!(
            again
                .problem(401, "/problems/unauthenticated")
                .contains("was used")
        );
        // The token does nothing else, and nothing after its end.
        for other in ["/api/v1/auth/me", "/api/v1/tasks"] {
            let url = format!("{}{other}", world.server.url());
            Reply::to(world.http.get(url).bearer_auth(&token))
                .await
                .problem(401, "/problems/unauthenticated");
        }
        let logout = format!("{}/api/v1/wallet/logout", world.server.url());
        Reply::to(world.http.post(logout).bearer_auth(&token)).await.ok();
        neurons(&world, &token)
            .await
            .problem(401, "/problems/unauthenticated");
    }
    assert_eq!(events(&world, "wallet.login").await, ["ok", "ok"]);
    // A key that has no neuron has none.
    let stranger = keypair(250);
    let message = challenge(&world, &stranger).await;
    let opened = post(&world, LOGIN, &answer(&stranger, &message, &message))
        .await
        .ok();
    let token = text(&opened["access_token"]);
    assert_eq!(neurons(&world, &token).await.ok()["count"], 0);
    world
        .sql("update wallet_sessions set expires_at = now() - interval '1 second'")
        .await;
    neurons(&world, &token)
        .await
        .problem(401, "/problems/unauthenticated");
    let person = Person::new(&world, "ada").await;
    neurons(&world, &person.access)
        .await
        .problem(401, "/problems/unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn only_what_this_server_asked_is_an_answer() {
    // Many wrong ones from one address.
    let world = World::with(|config| {
        let patience = &mut config.accounts.login_per_address;
        (patience.free, patience.lock_after) = (1_000, 2_000);
    })
    .await;
    let (key, thief) = (keypair(2), keypair(3));
    for wrong in ["", "0x00", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQ"] {
        post(&world, CHALLENGE, &json!({ "address": wrong }))
            .await
            .invalid("address");
    }
    let message = challenge(&world, &key).await;
    let seconds = "2000-01-01T00:00:00Z";
    let expires = message
        .lines()
        .find(|line| line.starts_with("Expires: "))
        .unwrap();
    for changed in [
        message.replace(&key.hotkey().to_string(), &thief.hotkey().to_string()),
        message.replace(expires, &format!("Expires: {seconds}")),
        message.replace(expires, "Expires: 2999-01-01T00:00:00Z"),
        message.replace("Subnet: 1", "Subnet: 2"),
        format!("{message}\n"),
        format!("x\n{message}"),
        format!("{message}\nAddress: {}", thief.hotkey()),
        message.replacen("Nonce: ", "Nonce: 00", 1),
        message.lines().take(7).collect::<Vec<_>>().join("\n"),
        String::new(),
    ] {
        for by in [&key, &thief] {
            let reply = post(&world, LOGIN, &answer(by, &changed, &changed)).await;
            assert!(
                reply
                    .problem(401, "/problems/unauthenticated")
                    .contains("none of this server"),
                "{changed}"
            );
        }
    }
    // Another's signature, an empty one, one of another text, one wrapped twice.
    let refused = [
        answer(&thief, &message, &message),
        json!({ "message": message, "signature": format!("0x{}", "0".repeat(128)) }),
        answer(&key, &message, "something else"),
        answer(
            &key,
            &message,
            &format!("<Bytes><Bytes>{message}</Bytes></Bytes>"),
        ),
    ];
    for body in &refused {
        let reply = post(&world, LOGIN, body).await;
        assert!(
            reply
                .problem(401, "/problems/unauthenticated")
                .contains("not signed")
        );
    }
    assert_eq!(events(&world, "wallet.login").await, ["refused"; 4]);
    for signature in ["", "0x", "00"] {
        let body = json!({ "message": message, "signature": signature });
        post(&world, LOGIN, &body)
            .await
            .problem(422, "/problems/malformed-request");
    }
    // Another server's challenge.
    let away = World::start().await;
    let theirs = challenge(&away, &key).await;
    post(&world, LOGIN, &answer(&key, &theirs, &theirs))
        .await
        .problem(401, "/problems/unauthenticated");
    away.end().await;
    // At two servers at once it counts at one; and a replica knows the challenges of the others.
    let other = world.replica().await;
    let body = answer(&key, &message, &message);
    let there = world.http.post(format!("{}{LOGIN}", other.url())).json(&body);
    let (here, there) = tokio::join!(post(&world, LOGIN, &body), Reply::to(there));
    let mut statuses = [here.status, there.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    // Too late.
    let message = challenge(&world, &key).await;
    world.server.app.clock.advance(chrono::TimeDelta::seconds(301));
    let late = post(&world, LOGIN, &answer(&key, &message, &message)).await;
    assert!(late.problem(401, "/problems/unauthenticated").contains("is over"));
    other.stop().await;
    world.end().await;
}
