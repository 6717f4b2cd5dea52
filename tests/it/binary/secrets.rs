//! What `violet serve` logs holds no key, wherever it was sent.
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::{AT_ONCE, SOON, Violet, folder, free_port, serve::listens};
use crate::harness::{Database, Reply};

#[tokio::test]
async fn no_key_is_logged_even_when_it_comes_in_the_query() {
    let (database, folder, port) = (Database::create().await, folder(), free_port());
    let chain = violet_devchain::spawn(violet_devchain::Genesis::default(), Default::default())
        .await
        .unwrap();
    let wallets = folder.path().to_str().unwrap();
    let made = Violet::start(&["wallet", "create", "--wallet.path", wallets], &[])
        .ends(AT_ONCE)
        .await;
    assert!(made.success());
    let mut server = Violet::start(
        &["serve", "--wallet.path", wallets, "--port", &port.to_string()],
        &[
            ("DATABASE_URL", &database.url()),
            ("VIOLET_CHAIN__ENDPOINTS", &format!("[\"{}\"]", chain.ws_url())),
            (
                "VIOLET_STORAGE__URL",
                folder.path().join("files").to_str().unwrap(),
            ),
            ("VIOLET_LOG", "debug"),
        ],
    );
    listens(port).await;

    let http = reqwest::Client::new();
    let url = |path: &str| format!("http://127.0.0.1:{port}/api/v1/auth/{path}");
    let new = json!({ "email": "me@example.org", "password": "a very secret password" });
    let registered = Reply::to(http.post(url("register")).json(&new)).await.ok();
    let secret = |reply: &Value| reply["api_key"].as_str().unwrap().to_owned();
    let key = secret(&registered);
    let output = Violet::start(
        &["key", "create", "me@example.org", "--scope", "keys:manage"],
        &[("DATABASE_URL", &database.url())],
    );
    let manager = said(output).await;
    let mut secrets = vec![key.clone(), manager.clone()];
    // Good and bad, wherever it may be.
    let guess = format!("violet_{}", "5".repeat(64));
    for key in [&key, &guess] {
        for path in ["verify-api-key", "api-keys", "nothing"] {
            let target = url(&format!("{path}?api_key={key}"));
            Reply::to(http.get(&target)).await;
            Reply::to(http.get(&target).header("X-API-Key", key)).await;
            Reply::to(http.get(&target).bearer_auth(key)).await;
        }
    }
    secrets.push(guess);
    let by_manager = |path: &str| http.post(url(path)).header("X-API-Key", &manager);
    let made = Reply::to(by_manager("api-keys").json(&json!({ "name": "x" }))).await;
    assert_eq!(made.status, 200, "{made:?}");
    let id = made.body["api_key_id"].as_str().unwrap().to_owned();
    secrets.push(secret(&made.body));
    let rotated = Reply::to(by_manager(&format!("api-keys/{id}/rotate"))).await.ok();
    secrets.push(secret(&rotated));

    kill(server.pid, Signal::SIGTERM).unwrap();
    assert!(server.ends(SOON).await.success(), "{}", server.err());
    let log = server.err() + &server.out();
    assert!(log.contains("verify-api-key"), "requests are logged: {log}");
    assert!(!log.contains("a very secret password"));
    for secret in secrets {
        let unknown = secret.get(13..).unwrap();
        assert!(!log.contains(unknown), "{secret} is in the log");
    }
    database.delete().await;
}

/// The one line that a command prints.
async fn said(mut command: Violet) -> String {
    assert!(command.ends(AT_ONCE).await.success(), "{}", command.err());
    command.out().trim_end().to_owned()
}
