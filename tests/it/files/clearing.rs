//! What nobody has any more goes from storage; what somebody has, or may have in a moment, stays.
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use super::{id, transcription};
use crate::harness::{User, World, eventually, samples};

/// The id of a file of 2024.
pub(super) const OLD: &str = "0192f0c1-2a3b-7c4d-8e5f-00000000000a";
const DAY: Duration = Duration::from_secs(86_400);

/// Makes a file a day old.
pub(super) fn age(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - DAY).unwrap();
}

/// A server that looks often.
async fn world() -> (World, User) {
    let world = World::with(|config| config.storage.sweep_seconds = 1).await;
    world.versatile(1).await;
    let user = world.user().await;
    // The folder is made with the first file.
    transcription(&user, &samples::wav(1000)).await.ok();
    (world, user)
}

fn plant(world: &World, name: &str) -> std::path::PathBuf {
    let folder = world.object_paths()[0].parent().unwrap().to_owned();
    let path = folder.join(name);
    std::fs::write(&path, b"nobody's").unwrap();
    path
}

async fn gone(path: &Path) {
    eventually("it is removed", || async { (!path.exists()).then_some(()) }).await;
}

#[tokio::test]
async fn an_object_without_a_row_is_removed_when_it_is_old() {
    let (world, user) = world().await;
    // One of ours that is as old as that.
    let accepted = transcription(&user, &samples::wav(2000)).await.ok();
    let ours = "0192f0c1-2a3b-7c4d-8e5f-000000000009";
    let file = id(&accepted, "file_id");
    let objects = world.object_paths();
    let path = objects.iter().find(|path| path.ends_with(file)).unwrap();
    let kept = path.with_file_name(ours);
    std::fs::rename(path, &kept).unwrap();
    let renamed =
        format!("update files set file_id = '{ours}', object_key = 'files/{ours}' where file_id = '{file}'");
    assert_eq!(world.sql(&renamed).await, 1);
    age(&kept);
    // Just written; of an upload that began just now, however its clock is; and what others keep here.
    let written = plant(&world, "0192f0c1-2a3b-7c4d-8e5f-000000000001");
    let begun = plant(&world, &uuid::Uuid::now_v7().to_string());
    let others = plant(&world, "read-me.txt");
    let random = plant(&world, "7f3a1c52-9d4e-4b6a-8c1d-2e3f4a5b6c7d");
    for path in [&begun, &others, &random] {
        age(path);
    }
    let orphan = plant(&world, OLD);
    age(&orphan);
    gone(&orphan).await;
    for path in [&kept, &written, &begun, &others, &random] {
        assert!(path.exists(), "{}", path.display());
    }
    assert_eq!(
        user.get(&format!("/api/v1/files/{ours}/download")).await.status,
        200
    );
    world.end().await;
}

#[tokio::test]
async fn more_than_one_round_of_them_goes_in_rounds() {
    let (world, _) = world().await;
    for number in 0..1500 {
        age(&plant(
            &world,
            &format!("0192f0c1-2a3b-7c4d-8e5f-00000000{number:04x}"),
        ));
    }
    world.stored(1).await;
    // Where it stopped is forgotten at the end, so that it begins anew.
    let again = plant(&world, OLD);
    age(&again);
    gone(&again).await;
    world.end().await;
}

#[tokio::test]
async fn one_replica_looks_at_a_time() {
    let (world, _) = world().await;
    let replica = world.replica().await;
    eventually("somebody has looked", || async {
        (world.count("storage_sweeps").await == 1).then_some(())
    })
    .await;
    let mut other = world.db.begin().await.unwrap();
    sqlx::query_scalar::<_, String>("select after from storage_sweeps for update")
        .fetch_one(&mut *other)
        .await
        .unwrap();
    let orphan = plant(&world, OLD);
    age(&orphan);
    for server in [&world.server, &replica] {
        violet::services::clearing::clear(&server.app).await.unwrap();
    }
    assert!(orphan.exists(), "two looked at the same time");
    other.rollback().await.unwrap();
    gone(&orphan).await;
    replica.stop().await;
    world.end().await;
}
