//! What is open to everybody, and what is logged.
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::json;

use violet::{app::Clock, server::Server};

use crate::harness::{MODEL, Reply, World, eventually};

#[tokio::test]
async fn health_readiness_and_the_subnet_are_public() {
    let world = World::start().await;
    let get = async |path: &str| Reply::to(world.http.get(format!("{}{path}", world.server.url()))).await;
    assert_eq!(get("/health").await.ok()["status"], "healthy");
    assert_eq!(
        get("/ready").await.ok(),
        json!({ "ready": true, "database": "ok", "clock": "ok", "snapshot": "ok", "storage": "ok" })
    );
    let network = get("/api/v1/network").await.ok();
    assert_eq!(network["netuid"], 1);
    assert_eq!(network["server_hotkey"], world.server.app.hotkey.to_string());
    assert_eq!(
        network["genesis_hash"],
        format!("0x{}", hex::encode(world.chain.genesis_hash()))
    );
    assert_eq!(
        (&network["snapshot"]["block"], &network["snapshot"]["neurons"]),
        (&0.into(), &9.into())
    );
    assert_eq!(
        network["served"][3],
        json!({ "task_type": "text_translation", "languages": [], "model_ids": [] })
    );
    world.miners(1).await;
    assert_eq!(
        get("/api/v1/network").await.ok()["served"][3],
        json!({ "task_type": "text_translation", "languages": ["en-es"], "model_ids": [MODEL] })
    );
    world.next_snapshot().await;
    assert_eq!(get("/api/v1/network").await.ok()["snapshot"]["block"], 2);
    world.end().await;
}

/// Waits until this part, and no other, keeps the server from being ready; gives what is said of it.
async fn unready(world: &World, server: &Server, part: &str, make: impl Fn()) -> String {
    let ready = eventually("the server is not ready", || async {
        make();
        let reply = Reply::to(world.http.get(format!("{}/ready", server.url()))).await;
        (reply.status == 503).then_some(reply.body)
    })
    .await;
    for other in ["database", "clock", "snapshot", "storage"] {
        assert_eq!(ready[other] == "ok", other != part, "{ready}");
    }
    assert_eq!(ready["ready"], false);
    ready[part].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_keeps_the_server_from_being_ready_is_named() {
    let world = World::start().await;
    let folder = PathBuf::from(&world.config().storage.url);
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let said = unready(&world, &world.server, "storage", || ()).await;
    assert_eq!(said, "files cannot be stored");
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    eventually("files can be stored again", || async {
        let reply = Reply::to(world.http.get(format!("{}/ready", world.server.url()))).await;
        (reply.status == 200).then_some(())
    })
    .await;
    // Nothing stays of a look.
    assert!(world.objects().is_empty());

    // Measured anew again and again, until the server looks between.
    let skewed = || {
        let now = Clock::system();
        let clock = &world.server.app.clock;
        clock.measure(now, now + chrono::TimeDelta::seconds(9), now);
    };
    let said = unready(&world, &world.server, "clock", skewed).await;
    assert!(said.contains("9.0 s off"), "{said}");

    let lost = world.lost_replica().await;
    let said = unready(&world, &lost, "snapshot", || ()).await;
    assert!(!said.is_empty());
    lost.stop().await;
    world.chain.refuse(false);

    let other = world.replica().await;
    other.app.db.close().await;
    let said = unready(&world, &other, "database", || ()).await;
    assert!(said.contains("database"), "{said}");
    other.stop().await;
    world.end().await;
}

/// What a page names to be loaded: the values of its `src` and `href`.
fn loaded(page: &str) -> Vec<String> {
    let values = ["src=\"", "href=\""]
        .into_iter()
        .flat_map(|name| page.split(name).skip(1));
    values
        .filter_map(|rest| rest.split('"').next())
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn documents_and_metrics_need_no_other_host() {
    let world = World::start().await;
    let text = async |path: &str| {
        let response = world
            .http
            .get(format!("{}{path}", world.server.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    };
    let page = text("/docs/").await;
    assert_eq!(text("/").await, page, "the root leads to them");
    let files = loaded(&page);
    for kind in [".css", ".js", ".png"] {
        assert!(files.iter().any(|file| file.ends_with(kind)), "{files:?}");
    }
    for file in &files {
        let name = file.strip_prefix("./").unwrap_or(file);
        assert!(!name.contains([':', '/']), "{file} is not beside the page");
        let url = format!("{}/docs/{name}", world.server.url());
        let response = world.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}");
        if Path::new(name).extension().is_some_and(|kind| kind == "css") {
            let style = response.text().await.unwrap();
            assert!(!style.contains("@import"), "{file}");
            for url in style.split("url(").skip(1) {
                assert!(
                    url.trim_start_matches(['"', '\'']).starts_with("data:"),
                    "{file}: {url:.80}"
                );
            }
        }
    }
    // What the page does with the rest: it reads one description, from here, and has nobody check it.
    let start = text("/docs/swagger-initializer.js").await;
    assert!(
        !start.contains("//petstore") && !start.contains("http"),
        "{start}"
    );
    let plain: String = start.split_whitespace().collect();
    assert!(
        plain.contains(r#""validatorUrl":"none""#) && plain.contains(r#""/openapi.json""#),
        "{start}"
    );
    let account = text("/account").await;
    assert!(
        loaded(&account).iter().all(|file| file.starts_with("data:")),
        "{account}"
    );
    let served: serde_json::Value = serde_json::from_str(&text("/openapi.json").await).unwrap();
    assert_eq!(served, serde_json::to_value(violet::http::openapi()).unwrap());
    assert!(text("/metrics").await.contains("violet_"));
    world.end().await;
}

#[tokio::test]
async fn a_request_has_an_id_that_its_sender_may_choose() {
    let world = World::start().await;
    let url = format!("{}/health", world.server.url());
    let made = Reply::to(world.http.get(&url)).await;
    assert_eq!(made.headers["x-request-id"].len(), 36);
    let chosen = Reply::to(world.http.get(&url).header("X-Request-Id", "mine")).await;
    assert_eq!(chosen.headers["x-request-id"], "mine");
    let longest = "x".repeat(64);
    let chosen = Reply::to(world.http.get(&url).header("X-Request-Id", &longest)).await;
    assert_eq!(chosen.headers["x-request-id"], longest);
    // It is kept with events, which nobody can delete.
    for unfit in ["x".repeat(65), String::new(), "a b".into(), "<b>".into()] {
        let made = Reply::to(world.http.get(&url).header("X-Request-Id", &unfit)).await;
        assert_eq!(made.headers["x-request-id"].len(), 36, "{unfit}");
    }
    world.end().await;
}

const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// The server runs on the thread of the test, where the log is the test's.
#[tokio::test]
async fn an_error_is_logged_with_the_id_of_its_request_and_without_a_query() {
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _until_the_end = tracing::subscriber::set_default(logging);
    let world = World::start().await;
    let user = world.user().await;
    world.sql("alter table tasks rename to gone").await;
    let path = format!("/api/v1/task/{UNKNOWN}/status");
    // What is logged where is decided once, perhaps on the thread of a test without a log: decide again.
    user.get(&path).await;
    tracing::callsite::rebuild_interest_cache();
    let reply = user.get(&format!("{path}?wait=7")).await;
    reply.problem(500, "/problems/internal");
    let id = reply.headers["x-request-id"].to_str().unwrap();
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = logged
        .lines()
        .find(|line| line.contains("request failed") && line.contains(id))
        .expect(&logged);
    assert!(line.contains(&path), "{line}");
    assert!(!logged.contains("wait=7"), "{logged}");
    world.end().await;
}
