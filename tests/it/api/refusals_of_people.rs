//! What the operations for accounts, organisations and wallets refuse, and who asks them.
use reqwest::Method;
use serde_json::{Value, json};
use violet::server::Server;

use super::{
    errors::Walk,
    operation::{Operation, UNKNOWN},
};
use crate::{
    accounts::{PASSWORD, Person},
    harness::{Reply, SERVER, World, keypair},
};

/// Somebody with a team who runs the platform.
pub(super) async fn operator(world: &World) -> Person {
    let mut person = Person::new(world, "operator").await;
    let made = person
        .post(
            "/api/v1/organizations",
            &json!({ "name": "Acme", "slug": "acme" }),
        )
        .await
        .ok();
    person.act_for(made["organization_id"].as_str().unwrap()).await;
    world
        .sql("update users set role = 'admin' where email = 'operator@example.org'")
        .await;
    person
}

/// The token of a wallet that logged in.
pub(super) async fn wallet(world: &World) -> String {
    let url = world.server.url();
    let key = keypair(2);
    let asked = world
        .http
        .post(format!("{url}/api/v1/auth/wallet/challenge"))
        .json(&json!({ "address": key.hotkey() }));
    let message = Reply::to(asked).await.ok()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let signature = format!("0x{}", hex::encode(key.sign(message.as_bytes())));
    let answered = world
        .http
        .post(format!("{url}/api/v1/auth/wallet/login"))
        .json(&json!({ "message": message, "signature": signature }));
    Reply::to(answered).await.ok()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A body that an operation asks the database about.
pub(super) fn body(path: &str, fresh: &str) -> Value {
    let email = format!("{}@example.org", &fresh[7..20]);
    let token = format!("violet_mail_{}", "0".repeat(64));
    let message = format!(
        "Address: {}\nExpires: 2999-01-01T00:00:00Z\nNonce: {}",
        keypair(2).hotkey(),
        "0".repeat(64)
    );
    match path.trim_start_matches("/api/v1/auth/") {
        "register" | "login" | "token" => json!({ "email": email, "password": "long enough" }),
        "token/refresh" => json!({ "refresh_token": format!("violet_refresh_{}", "0".repeat(64)) }),
        "password-reset/request" | "verify-email/request" => json!({ "email": email }),
        "password-reset/confirm" => json!({ "token": token, "password": "long enough" }),
        "verify-email/confirm" => json!({ "token": token }),
        "wallet/challenge" => json!({ "address": keypair(2).hotkey() }),
        "wallet/login" => json!({ "message": message, "signature": format!("0x{}", "0".repeat(128)) }),
        _ => json!({}),
    }
}

/// Where addresses must be verified, somebody whose is not.
pub(super) async fn refuse_unverified(walk: &mut Walk, operations: &[Operation]) {
    let mut config = walk.world.config().clone();
    config.accounts.require_verified_email = true;
    let strict = Server::start(config, keypair(SERVER)).await.unwrap();
    for operation in operations {
        let login = ["/api/v1/auth/login", "/api/v1/auth/token"].contains(&operation.path.as_str());
        if !login && !operation.asks_for("api_key") && !operation.asks_for("session") {
            continue;
        }
        let body = json!({ "email": walk.person.email, "password": PASSWORD });
        let target = operation.target();
        let reply = walk
            .send(&strict, operation, &target, body.to_string().into())
            .await;
        assert_eq!(reply.status, 403, "{operation:?}");
        walk.see(operation, &reply);
    }
    strict.stop().await;
}

/// Nobody may try again for a while.
async fn hold_back(walk: &mut Walk, operation: &Operation, target: &str, body: &Value) {
    let text = body.to_string();
    walk.send(&walk.world.server, operation, target, text.clone().into())
        .await;
    walk.world
        .sql("update login_attempts set next_at = now() + interval '1 hour'")
        .await;
    let reply = walk.see_answer(operation, target, text).await;
    reply.problem(429, "/problems/too-many-requests");
    walk.world.sql("delete from login_attempts").await;
}

pub(super) async fn refuse(walk: &mut Walk, operation: &Operation, target: &str) {
    let unknown = body(&operation.path, "violet_0123456789abcdef0123");
    let plain: Vec<Value> = match (
        operation.method.as_str(),
        operation.path.trim_start_matches("/api/v1/"),
    ) {
        (_, "auth/token/refresh" | "auth/password-reset/confirm" | "auth/verify-email/confirm") => {
            vec![unknown]
        }
        (_, "auth/login" | "auth/token" | "auth/wallet/login") => {
            hold_back(walk, operation, target, &unknown).await;
            vec![unknown]
        }
        (_, "auth/password-reset/request" | "auth/verify-email/request") => {
            hold_back(walk, operation, target, &unknown).await;
            vec![json!({ "email": "nobody" })]
        }
        (_, "auth/wallet/challenge") => vec![json!({ "address": "x" })],
        (_, "auth/password") => {
            let change = |new: &str| json!({ "current_password": "wrong horse", "password": new });
            hold_back(walk, operation, target, &change("long enough")).await;
            vec![change("short")]
        }
        (_, "auth/switch") => vec![json!({ "organization_id": UNKNOWN })],
        ("POST", "organizations") => vec![json!({ "name": "" }), json!({ "name": "a", "slug": "acme" })],
        ("PATCH", "organization") => {
            let taken = "update organizations set slug = 'taken' where personal and name like 'operator%'";
            walk.world.sql(taken).await;
            vec![json!({ "nome": "a" }), json!({ "slug": "taken" })]
        }
        (_, "organization/leave") => vec![json!({})],
        ("POST", "organization/invitations") => {
            let invite = |email: &str| json!({ "email": email, "role": "viewer" });
            hold_back(walk, operation, target, &invite("a@example.org")).await;
            refuse_in_own(walk, operation, &invite("a@example.org")).await;
            vec![invite("nobody")]
        }
        (_, "organization/members/{user_id}") => {
            // Nobody, and the last owner.
            let own = target.replace(UNKNOWN, &walk.person.id);
            walk.see_answer(operation, &own, json!({ "role": "viewer" }).to_string())
                .await;
            vec![json!({ "role": "viewer" })]
        }
        ("POST", "auth/identities") => {
            // Of nobody, and of somebody else.
            let (issuer, key) = &walk.issuer;
            let token = key.sign(&issuer.claims("taken"));
            let taken = format!(
                "insert into user_identities (identity_id, user_id, issuer, subject, created_at)
                select gen_random_uuid(), user_id, '{}', 'taken', now() from users
                where email not like 'operator%' limit 1",
                issuer.url
            );
            walk.world.sql(&taken).await;
            vec![json!({ "token": "x" }), json!({ "token": token })]
        }
        (_, "auth/identities/{identity_id}") => {
            refuse_the_only_way(walk, operation, target).await;
            vec![]
        }
        (_, "invitations/accept") => vec![json!({ "token": "violet_mail_" })],
        _ => vec![],
    };
    for body in plain {
        walk.see_answer(operation, target, body.to_string()).await;
    }
}

/// Nobody loses the only way into an account.
async fn refuse_the_only_way(walk: &mut Walk, operation: &Operation, target: &str) {
    let only = UNKNOWN.replace("000000000001", "000000000007");
    let id = walk.person.id.clone();
    let linked = format!(
        "insert into user_identities (identity_id, user_id, issuer, subject, created_at)
        values ('{only}', '{id}', 'https://example.org', 'a', now());
        update users set password_hash = null where user_id = '{id}'"
    );
    walk.world.sql(&linked).await;
    walk.see_answer(operation, &target.replace(UNKNOWN, &only), "")
        .await;
    // All have the same password here.
    let again = format!(
        "update users set password_hash = (select max(password_hash) from users) where user_id = '{id}';
        delete from user_identities where identity_id = '{only}'"
    );
    walk.world.sql(&again).await;
}

/// The same for the person's own organisation, which nobody else joins.
async fn refuse_in_own(walk: &mut Walk, operation: &Operation, body: &Value) {
    let mut alone = walk.person.clone();
    alone.take(&alone.log_in(PASSWORD).await.ok());
    let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
    let reply = alone.send(method, &operation.path, body).await;
    reply.problem(409, "/problems/conflict");
    walk.see(operation, &reply);
}
