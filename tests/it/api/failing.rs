//! Errors that every operation answers when something around it fails, or when it was asked too often.
use std::time::Duration;

use reqwest::Method;
use sqlx::{AssertSqlSafe, Connection as _};
use violet::server::Server;

use super::{
    errors::Walk,
    operation::Operation,
    refusals::{self, languages},
};
use crate::harness::{Reply, SERVER, keypair};

/// Every operation that asks the database asks one of these first.
const ASKED: [&str; 11] = [
    "api_keys",
    "auth_nonces",
    "login_attempts",
    "mail_tokens",
    "neuron_keys",
    "refresh_tokens",
    "server_secrets",
    "sessions",
    "stake_proofs",
    "users",
    "wallet_sessions",
];

/// More requests than a stranger may send.
pub(super) async fn exceed(walk: &mut Walk, operations: &[Operation]) {
    let mut config = walk.world.config().clone();
    config.limits.address_per_minute = 1;
    let strict = Server::start(config, keypair(SERVER)).await.unwrap();
    let limited = |operation: &&Operation| operation.named().iter().any(|error| error.2 == 429);
    for operation in operations.iter().filter(limited) {
        loop {
            let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
            let url = format!("{}{}", strict.url(), operation.target());
            let reply = Reply::to(walk.world.http.request(method, url)).await;
            // The first one, and another one in the next minute.
            if reply.status == 429 {
                walk.see(operation, &reply);
                break;
            }
        }
    }
    strict.stop().await;

    let nothing = "insert into organization_quotas (organization_id, concurrent_tasks, stored_bytes)
        select organization_id, 0, 0 from organizations";
    walk.world.sql(nothing).await;
    let limited = |operation: &&Operation| {
        let named = operation.named();
        named.iter().any(|error| error.3 == "/problems/quota-exceeded")
    };
    for operation in operations.iter().filter(limited) {
        let reply = walk
            .submit(operation, &languages(operation, "es"), "a-quota")
            .await;
        walk.see(operation, &reply);
    }
    walk.world.sql("delete from organization_quotas").await;
}

/// The operation as somebody would call it whose key no server has looked up yet.
async fn ask_anew(walk: &Walk, server: &Server, operation: &Operation) -> Reply {
    let target = operation.target();
    let fresh = format!("violet_{}", hex::encode(rand::random::<[u8; 32]>()));
    if operation.asks_for("api_key") {
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
        let url = format!("{}{target}", server.url());
        return Reply::to(walk.world.http.request(method, url).header("X-API-Key", fresh)).await;
    }
    if operation.enrols() {
        let body = walk.miner.credentials(&walk.world);
        let key = format!("violet_miner_{}", &fresh[7..]);
        let request = walk.world.http.post(format!("{}{target}", server.url()));
        return Reply::to(request.header("X-API-Key", key).json(&body)).await;
    }
    if operation.is_for_keys() {
        let key = format!("violet_miner_{}", &fresh[7..]);
        let request = walk.world.http.post(format!("{}{target}", server.url()));
        return Reply::to(request.header("X-API-Key", key)).await;
    }
    server.app.standings.forget();
    let body = refusals::body(&operation.path, &fresh);
    let body = if ["DELETE", "GET"].contains(&operation.method.as_str()) {
        Vec::new()
    } else {
        body.to_string().into()
    };
    walk.send(server, operation, &target, body).await
}

/// A database that is broken, away, or slow.
pub(super) async fn break_the_database(walk: &mut Walk, operations: &[Operation]) {
    let asking: Vec<&Operation> = operations
        .iter()
        .filter(|operation| operation.named().iter().any(|error| error.2 == 500))
        .collect();
    // One that remembers nothing.
    let broken = walk.world.replica().await;
    let renaming = ASKED.map(|table| format!("alter table {table} rename to {table}_gone"));
    walk.world.sql(&renaming.join(";")).await;
    for operation in &asking {
        let reply = ask_anew(walk, &broken, operation).await;
        walk.see(operation, &reply);
    }
    let renaming = ASKED.map(|table| format!("alter table {table}_gone rename to {table}"));
    walk.world.sql(&renaming.join(";")).await;
    broken.stop().await;

    let away = walk.world.replica().await;
    away.app.db.close().await;
    away.app.writing.close().await;
    for operation in &asking {
        let reply = ask_anew(walk, &away, operation).await;
        walk.see(operation, &reply);
    }
    away.stop().await;

    let mut config = walk.world.config().clone();
    config.server.longest_wait_seconds = 0;
    config.server.request_seconds = 1;
    config.server.upload_seconds = 1;
    let slow = Server::start(config, keypair(SERVER)).await.unwrap();
    slow.app.snapshots.first().await;
    let mut connection = walk.world.db.acquire().await.unwrap();
    let mut held = connection.begin().await.unwrap();
    let lock = format!("lock table {} in access exclusive mode", ASKED.join(", "));
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *held)
        .await
        .unwrap();
    let asked = asking.iter().map(|operation| ask_anew(walk, &slow, operation));
    let replies = tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(asked))
        .await
        .unwrap();
    held.rollback().await.unwrap();
    drop(connection);
    for (operation, reply) in asking.iter().zip(&replies) {
        walk.see(operation, reply);
    }
    slow.stop().await;
}
