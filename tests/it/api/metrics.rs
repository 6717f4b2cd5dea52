//! What /metrics tells, and in which words.
use std::collections::BTreeSet;

use violet::{issuers::Issuers, server::Server};

use crate::harness::{
    GOOD, Issuer, Reply, SERVER, SigningKey, User, World, eventually, keypair, translation,
};

async fn metrics(world: &World) -> String {
    let request = world.http.get(format!("{}/metrics", world.server.url()));
    request.send().await.unwrap().text().await.unwrap()
}

/// The names that ARCHITECTURE.md lists.
fn listed() -> BTreeSet<String> {
    let text = include_str!("../../../ARCHITECTURE.md");
    text.lines()
        .filter_map(|line| line.strip_prefix("| `violet_"))
        .filter_map(|line| line.split('`').next())
        .map(|name| format!("violet_{}", name.split('{').next().unwrap()))
        .collect()
}

/// More requests and more tasks than there may be.
async fn refuse(world: &World, user: &User) {
    let mut config = world.config().clone();
    config.limits.key_per_minute = 1;
    let strict = Server::start(config, keypair(SERVER)).await.unwrap();
    eventually("the limit is reached", || async {
        let reply = user.at(&strict).get("/api/v1/usage").await;
        (reply.status == 429).then_some(())
    })
    .await;
    strict.stop().await;
    world
        .sql("insert into organization_quotas (organization_id, daily_tasks) select organization_id, 0 from users")
        .await;
    assert_eq!(user.submit_raw(&translation(1)).await.status, 429);
}

#[tokio::test]
async fn every_metric_that_is_listed_is_there_with_its_meaning() {
    let issuer = Issuer::open(&[&SigningKey::ec("its own")]).await;
    let world = World::with(|config| config.identity.oidc = Issuers(vec![issuer.settings("tests")])).await;
    let user = world.user().await;
    let forged = SigningKey::ec("another").sign(&issuer.claims("somebody"));
    let url = format!("{}/api/v1/auth/me", world.server.url());
    let reply = Reply::to(world.http.get(url).bearer_auth(forged)).await;
    assert_eq!(reply.status, 401);
    let miner = world.miners(1).await.remove(0);
    let validator = world.validator(1).await;
    let task = user.submit(&translation(1)).await;
    miner.answer(&task, "Casa").await;
    assert_eq!(miner.answer(&task, "Casa").await["used"], false);
    validator.judge(&task, |_| Some(GOOD)).await;
    world
        .sql("update task_open set done_at = done_at - interval '61 s'")
        .await;
    user.ended(&task).await;
    refuse(&world, &user).await;
    user.get("/api/v1/nothing").await;
    user.get(&format!("/api/v1/made-up/{task}")).await;
    let url = format!("{}/health", world.server.url());
    let odd = reqwest::Method::from_bytes(b"ODD").unwrap();
    Reply::to(world.http.request(odd, &url)).await;

    let described = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# HELP violet_"))
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, help)| help.len() > 10)
            .map(|(name, _)| format!("violet_{name}"))
            .collect()
    };
    // Gauges are set every few seconds.
    let text = eventually("all metrics are there", || async {
        let text = metrics(&world).await;
        (described(&text) == listed()).then_some(text)
    })
    .await;
    for sample in [
        "violet_tasks_accepted_total{task_type=\"text_translation\"} ",
        "violet_answers_total{used=\"true\"} ",
        "violet_answers_total{used=\"false\"} ",
        "violet_evaluations_total{accepted=\"true\"} ",
        "violet_tasks_settled_total{state=\"approved\"} ",
        "violet_draws_total ",
        "violet_oidc_fetches_total{issuer=\"tests\",outcome=\"ok\"} ",
        "violet_oidc_tokens_refused_total{issuer=\"tests\",reason=\"key\"} ",
        "violet_requests_refused_total{limit=\"key\"} ",
        "violet_tasks_refused_total{quota=\"daily_tasks\"} ",
        "violet_http_request_seconds_count{route=\"/api/v1/text-translation\",method=\"POST\",status=\"200\"} ",
        "violet_http_request_seconds_count{route=\"/api/v1/task/{task_id}/status\",method=\"GET\",status=\"200\"} ",
        "violet_http_request_seconds_count{route=\"unmatched\",method=\"GET\",status=\"404\"} ",
        "violet_http_request_seconds_count{route=\"/health\",method=\"other\",status=\"405\"} ",
        "le=\"60\"",
    ] {
        assert!(text.contains(sample), "{sample} is missing:\n{text}");
    }
    // Neither ids nor what strangers make up become labels.
    for never in [task.as_str(), "made-up", "ODD", "/api/v1/nothing"] {
        assert!(!text.contains(never), "{never}");
    }
    world.end().await;
}
