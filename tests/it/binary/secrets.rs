//! No secret is in what a server logs, at its most talkative.
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{AT_ONCE, SOON, Violet, folder, free_port, serve::listens};
use crate::harness::{Database, PostOffice, Reply, eventually, keypair};

/// So much of a key is kept in clear.
const SHOWN: usize = 13;

/// What was secret in a conversation.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn keep(&mut self, what: &'static str, answer: &Value, field: &str) -> String {
        let secret = answer[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {answer}"))
            .to_owned();
        self.0.push((what, secret.clone()));
        secret
    }

    fn assert_absent(&self, log: &str) {
        for (what, secret) in &self.0 {
            assert!(secret.len() >= 10, "{what} is no secret: {secret}");
            // How a key begins is shown.
            let unknown: &str = if secret.starts_with("violet_") {
                &secret[SHOWN..]
            } else {
                secret
            };
            let found = log.lines().find(|line| line.contains(unknown));
            assert!(found.is_none(), "{what} is in the log: {found:?}");
        }
    }
}

async fn ok(request: RequestBuilder) -> Value {
    Reply::to(request).await.ok()
}

const TOKEN_SECRET: &str = "a secret of tokens that nobody shall read";

/// A server with a wallet of its own, and with `more` in its environment.
async fn started(
    folder: &Path,
    database: &Database,
    chain: &str,
    port: u16,
    more: &[(&str, &str)],
) -> Violet {
    let wallets = folder.to_str().unwrap();
    let made = Violet::start(&["wallet", "create", "--wallet.path", wallets], &[])
        .ends(AT_ONCE)
        .await;
    assert!(made.success());
    let (database, chain) = (database.url(), format!("[\"{chain}\"]"));
    let files = folder.join("files");
    let environment = [
        ("DATABASE_URL", database.as_str()),
        ("VIOLET_CHAIN__ENDPOINTS", chain.as_str()),
        ("VIOLET_STORAGE__URL", files.to_str().unwrap()),
    ];
    Violet::start(
        &["serve", "--wallet.path", wallets, "--port", &port.to_string()],
        &[&environment[..], more].concat(),
    )
}

/// A login with a wallet, and what it is for.
async fn with_wallet(http: &Client, url: &str, secrets: &mut Secrets) {
    let api = |path: &str| format!("{url}/api/v1/{path}");
    let wallet = keypair(2);
    let challenge = ok(http
        .post(api("auth/wallet/challenge"))
        .json(&json!({ "address": wallet.hotkey() })))
    .await;
    let message = challenge["message"].as_str().unwrap();
    let signature = format!("0x{}", hex::encode(wallet.sign(message.as_bytes())));
    let answered = json!({ "message": message, "signature": signature });
    let opened = ok(http.post(api("auth/wallet/login")).json(&answered)).await;
    let token = secrets.keep("a wallet's token", &opened, "access_token");
    ok(http.get(api("wallet/neurons")).bearer_auth(&token)).await;
}

#[tokio::test]
async fn a_whole_conversation_leaves_no_secret_in_the_log() {
    let office = PostOffice::open().await;
    let (database, folder, port) = (Database::create().await, folder(), free_port());
    let chain = violet_devchain::spawn(violet_devchain::Genesis::default(), Default::default())
        .await
        .unwrap();
    let more = [
        ("VIOLET_LOG", "trace"),
        ("VIOLET_ACCOUNTS__TOKEN_SECRET", TOKEN_SECRET),
        ("VIOLET_MAIL__SMTP_URL", office.url.as_str()),
    ];
    let mut server = started(folder.path(), &database, &chain.ws_url(), port, &more).await;
    let url = format!("http://127.0.0.1:{port}");
    eventually("the server is ready", || async {
        let ready = reqwest::get(format!("{url}/ready")).await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
    let http = Client::new();
    let api = |path: &str| format!("{url}/api/v1/{path}");
    let mut secrets = Secrets::default();
    for (what, secret) in [
        ("the secret of tokens", TOKEN_SECRET),
        ("a password", "a password to look for"),
        ("another password", "another password to look for"),
        ("a wrong password", "a wrong password to look for"),
    ] {
        secrets.0.push((what, secret.to_owned()));
    }
    let email = "ada@example.org";
    let credentials = |password: &str| json!({ "email": email, "password": password });
    let registered = ok(http
        .post(api("auth/register"))
        .json(&credentials("a password to look for")))
    .await;
    let key = secrets.keep("a key", &registered, "api_key");
    let wrong = http
        .post(api("auth/login"))
        .json(&credentials("a wrong password to look for"));
    Reply::to(wrong).await.problem(401, "/problems/unauthenticated");
    let tokens = ok(http
        .post(api("auth/login"))
        .json(&credentials("a password to look for")))
    .await;
    let access = secrets.keep("an access token", &tokens, "access_token");
    let refresh = secrets.keep("a refresh token", &tokens, "refresh_token");
    ok(http.get(api("auth/me")).bearer_auth(&access)).await;
    ok(http.get(api("auth/me")).header("X-API-Key", &key)).await;
    ok(http.get(api("auth/me")).bearer_auth(&key)).await;
    let next = ok(http
        .post(api("auth/token/refresh"))
        .json(&json!({ "refresh_token": refresh })))
    .await;
    let refresh = secrets.keep("the next refresh token", &next, "refresh_token");
    secrets.keep("the next access token", &next, "access_token");
    office.letter(email, 1).await;
    ok(http
        .post(api("auth/password-reset/request"))
        .json(&json!({ "email": email })))
    .await;
    for number in 1..=2 {
        secrets
            .0
            .push(("a token of a mail", office.letter(email, number).await.token()));
    }
    let token = office.letter(email, 2).await.token();
    let confirm = json!({ "token": token, "password": "another password to look for" });
    ok(http.post(api("auth/password-reset/confirm")).json(&confirm)).await;
    let reused = http
        .post(api("auth/token/refresh"))
        .json(&json!({ "refresh_token": refresh }));
    Reply::to(reused).await.problem(401, "/problems/unauthenticated");
    // Bodies that do not parse are not repeated either.
    let broken = http
        .post(api("auth/login"))
        .header("content-type", "application/json")
        .body(r#"{"email": "ada@example.org", "password": "a password to look for""#);
    Reply::to(broken)
        .await
        .problem(400, "/problems/malformed-request");

    with_wallet(&http, &url, &mut secrets).await;
    let log = server.err() + &server.out();
    assert!(
        log.contains("/api/v1/auth/token/refresh"),
        "the log says what was asked"
    );
    secrets.assert_absent(&log);
    kill(server.pid, Signal::SIGTERM).unwrap();
    assert!(server.ends(SOON).await.success());
    secrets.assert_absent(&server.err());
    chain.shutdown().await;
    database.delete().await;
}

#[tokio::test]
async fn no_key_is_logged_even_when_it_comes_in_the_query() {
    let (database, folder, port) = (Database::create().await, folder(), free_port());
    let chain = violet_devchain::spawn(violet_devchain::Genesis::default(), Default::default())
        .await
        .unwrap();
    let more = [("VIOLET_LOG", "debug")];
    let mut server = started(folder.path(), &database, &chain.ws_url(), port, &more).await;
    listens(port).await;

    let http = Client::new();
    let url = |path: &str| format!("http://127.0.0.1:{port}/api/v1/auth/{path}");
    let mut secrets = Secrets::default();
    secrets
        .0
        .push(("a password", "a very secret password".to_owned()));
    let new = json!({ "email": "me@example.org", "password": "a very secret password" });
    let registered = ok(http.post(url("register")).json(&new)).await;
    let key = secrets.keep("a key", &registered, "api_key");
    let output = Violet::start(
        &["key", "create", "me@example.org", "--scope", "keys:manage"],
        &[("DATABASE_URL", &database.url())],
    );
    let manager = said(output).await;
    secrets.0.push(("a key made by hand", manager.clone()));
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
    secrets.0.push(("a guess", guess));
    let by_manager = |path: &str| http.post(url(path)).header("X-API-Key", &manager);
    let made = ok(by_manager("api-keys").json(&json!({ "name": "x" }))).await;
    secrets.keep("another key", &made, "api_key");
    let id = made["api_key_id"].as_str().unwrap();
    let rotated = ok(by_manager(&format!("api-keys/{id}/rotate"))).await;
    secrets.keep("its next secret", &rotated, "api_key");

    kill(server.pid, Signal::SIGTERM).unwrap();
    assert!(server.ends(SOON).await.success(), "{}", server.err());
    let log = server.err() + &server.out();
    assert!(log.contains("verify-api-key"), "requests are logged: {log}");
    secrets.assert_absent(&log);
    database.delete().await;
}

/// The one line that a command prints.
async fn said(mut command: Violet) -> String {
    assert!(command.ends(AT_ONCE).await.success(), "{}", command.err());
    command.out().trim_end().to_owned()
}
