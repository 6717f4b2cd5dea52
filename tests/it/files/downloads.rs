//! Files go to their owner by key, and to whoever has a link that is ours and not over.
use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};

use super::{id, transcription, world_with_a_miner};
use crate::harness::{Reply, samples};

#[tokio::test]
async fn the_owner_and_nobody_else_downloads_by_key() {
    let (world, user) = world_with_a_miner().await;
    let content = samples::wav(300_000);
    let accepted = transcription(&user, &content).await.ok();
    let path = format!("/api/v1/files/{}/download", id(&accepted, "file_id"));
    let url = format!("{}{path}", world.server.url());

    let response = world
        .http
        .get(&url)
        .header("X-API-Key", &user.key)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let digest = hex::encode(Sha256::digest(&content));
    for (name, value) in [
        ("content-type", "audio/wav".to_owned()),
        ("content-length", content.len().to_string()),
        ("etag", format!("\"{digest}\"")),
        ("x-content-type-options", "nosniff".into()),
        (
            "content-disposition",
            "attachment; filename*=UTF-8''a%2Ewav".into(),
        ),
        ("cache-control", "private, no-cache".into()),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    assert!(
        response.bytes().await.unwrap() == content,
        "other bytes than were sent"
    );

    let other = world.user().await;
    other.get(&path).await.problem(404, "/problems/not-found");
    Reply::to(world.http.get(&url))
        .await
        .problem(401, "/problems/unauthenticated");
    Reply::to(world.http.get(&url).header("X-API-Key", "vk_nonsense"))
        .await
        .problem(401, "/problems/unauthenticated");
    // Half a link is none.
    Reply::to(world.http.get(format!("{url}?expires=99999999999")))
        .await
        .problem(401, "/problems/unauthenticated");
    user.get("/api/v1/files/0192f0c1-2a3b-7c4d-8e5f-000000000001/download")
        .await
        .problem(404, "/problems/not-found");
    user.get("/api/v1/files/None/download")
        .await
        .problem(400, "/problems/malformed-request");
    world.end().await;
}

#[tokio::test]
async fn a_link_works_as_it_was_made_and_until_it_is_over() {
    let (world, user) = world_with_a_miner().await;
    let content = samples::wav(1000);
    let accepted = transcription(&user, &content).await.ok();
    let another = transcription(&user, &samples::wav(2000)).await.ok();
    let mail = world.silent_miner(1).receive(id(&accepted, "task_id")).await;
    let url = mail["input_file"]["download_url"].as_str().unwrap();
    let fetch = async |url: &str| Reply::to(world.http.get(url)).await;
    assert_eq!(fetch(url).await.status, 200);

    let (path, signature) = url.rsplit_once("&signature=").unwrap();
    let (start, expires) = path.rsplit_once("?expires=").unwrap();
    let expires: u64 = expires.parse().unwrap();
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    for tampered in [
        format!("{path}&signature={flipped}{}", &signature[1..]),
        format!("{path}&signature={}", &signature[..62]),
        format!("{path}&signature="),
        format!("{path}&signature=no-hex"),
        format!("{start}?expires={}&signature={signature}", expires + 1),
        format!("{start}?expires={}&signature={signature}", u64::MAX),
        url.replace(id(&accepted, "file_id"), id(&another, "file_id")),
        url.replace(id(&accepted, "file_id"), "0192f0c1-2a3b-7c4d-8e5f-000000000001"),
    ] {
        assert_ne!(tampered, url);
        fetch(&tampered).await.problem(401, "/problems/unauthenticated");
    }
    // A bad link is refused whoever follows it, and a key makes it no better.
    let bad = format!("{path}&signature={flipped}{}", &signature[1..]);
    let keyed = world.http.get(bad).header("X-API-Key", &user.key);
    Reply::to(keyed).await.problem(401, "/problems/unauthenticated");

    world.server.app.clock.advance(TimeDelta::seconds(800));
    assert_eq!(fetch(url).await.status, 200);
    world.server.app.clock.advance(TimeDelta::seconds(101));
    fetch(url).await.problem(401, "/problems/unauthenticated");
    // The owner needs no link.
    let path = format!("/api/v1/files/{}/download", id(&accepted, "file_id"));
    assert_eq!(user.get(&path).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn a_link_of_one_replica_works_at_another() {
    let (world, user) = world_with_a_miner().await;
    let accepted = transcription(&user, &samples::wav(1000)).await.ok();
    let mail = world.silent_miner(1).receive(id(&accepted, "task_id")).await;
    let replica = world.replica().await;
    let url = mail["input_file"]["download_url"]
        .as_str()
        .unwrap()
        .replace(&world.server.url(), &replica.url());
    assert_eq!(Reply::to(world.http.get(url)).await.status, 200);
    replica.stop().await;
    world.end().await;
}
