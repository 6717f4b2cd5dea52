//! Snapshots and bases: their age, gaps, several servers of which one lost the chain, and a chain that begins again.
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sqlx::AssertSqlSafe;
use violet::{server::Server, services::snapshots::InForce};

use crate::harness::{User, Way, World, eventually, fresh_chain, translation};

/// Longer than the time between two looks of a server at the bases of the others.
const LOOKED: Duration = Duration::from_millis(1300);

async fn at_block(server: &Server, number: u32) -> InForce {
    eventually("the snapshot of this block is in force", || async {
        let latest = server.app.snapshots.latest();
        latest.filter(|latest| latest.snapshot.block.number == number)
    })
    .await
}

/// The hashes of the blocks whose bases the task was drawn with.
async fn drawn_with(world: &World, task: &str) -> Vec<Vec<u8>> {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "select b.block_hash from routing_records r join bases b on position(b.record in r.body) > 0
         where r.task_id = '{task}' and r.kind = 'draw' order by r.batch_id"
    )))
    .fetch_all(&world.db)
    .await
    .unwrap()
}

async fn submit(user: &User) -> (String, i64) {
    let accepted = user.submit_raw(&translation(1)).await.ok();
    let task = accepted["task_id"].as_str().unwrap().to_owned();
    (task, accepted["assigned_miner_count"].as_i64().unwrap())
}

#[tokio::test]
async fn a_server_without_the_chain_stops_drawing_when_another_has_a_later_base() {
    let world = World::start().await;
    let way = Way::to(&world.chain).await;
    let other = way.server(&world).await;
    let there = world.user().await.at(&other);
    let miner = world.miner(1).await;
    world.on_roster(&other, &miner).await;
    world.next_snapshot().await;
    let old = at_block(&other, 2).await;

    way.cut();
    world.next_snapshot().await;
    // The later base is younger than five seconds, and looked at.
    world
        .sql("update bases set made_at = now() + interval '1 hour' where block = 4")
        .await;
    tokio::time::sleep(LOOKED).await;
    eventually("the old base is drawn with", || async {
        other.app.snapshots.drawable().ok()
    })
    .await;
    let (task, assigned) = submit(&there).await;
    assert_eq!(assigned, 1);
    assert_eq!(drawn_with(&world, &task).await, [old.snapshot.block.hash.0]);

    // It is older.
    world
        .sql("update bases set made_at = now() - interval '6 seconds' where block = 4")
        .await;
    eventually("nothing is drawn with the old base", || async {
        other.app.snapshots.drawable().err()
    })
    .await;
    assert!(world.server.app.snapshots.drawable().is_ok());
    let (task, assigned) = submit(&there).await;
    assert_eq!(assigned, 0);
    let new = world.server.app.snapshots.latest().unwrap();
    // The server that has the chain draws instead; requests go on at the other.
    eventually("the task is drawn for", || async {
        Some(world.open_uids(&task).await).filter(|uids| !uids.is_empty())
    })
    .await;
    assert_eq!(drawn_with(&world, &task).await, [new.snapshot.block.hash.0]);
    miner.at(&other).heartbeat().await;

    way.lead_to(&world.chain);
    at_block(&other, 4).await;
    // A new task goes behind those that wait, until this server has seen that none does.
    eventually("it draws again, and nothing waits", || async {
        (other.app.snapshots.drawable().is_ok() && !other.app.roster.any_waiting()).then_some(())
    })
    .await;
    let (task, assigned) = submit(&there).await;
    assert_eq!(assigned, 1);
    assert_eq!(drawn_with(&world, &task).await, [new.snapshot.block.hash.0]);
    other.stop().await;
    world.end().await;
}

#[tokio::test]
async fn who_cannot_look_for_later_bases_does_not_draw() {
    let world = World::start().await;
    let drawable = || world.server.app.snapshots.drawable();
    let mut locked = world.db.begin().await.unwrap();
    sqlx::raw_sql("lock table bases in access exclusive mode")
        .execute(&mut *locked)
        .await
        .unwrap();
    let started = Instant::now();
    let refusal = eventually("nothing is drawn", || async { drawable().err() }).await;
    assert!(refusal.to_string().contains("was not asked"), "{refusal}");
    // The last look was a second before at most, and is good for eight.
    assert!(
        started.elapsed() > Duration::from_millis(6500),
        "{:?}",
        started.elapsed()
    );
    assert!(world.server.app.snapshots.current().is_ok());
    locked.rollback().await.unwrap();
    eventually("draws go on", || async { drawable().ok() }).await;
    world.end().await;
}

#[tokio::test]
async fn the_age_of_a_snapshot_is_that_of_its_block() {
    let world = World::start().await;
    let before = world.server.app.clock.now();
    world.next_snapshot().await;
    let late = Duration::from_millis(1500);
    tokio::time::sleep(late).await;
    let replica = world.replica().await;
    let app = &replica.app;
    let snapshot = at_block(&replica, 2).await;
    let age = snapshot.age(app.clock.now());
    // The servers measured the database's clock each for itself.
    let (inexact, least) = (Duration::from_secs(1), Duration::from_millis(500));
    let most = (app.clock.now() - before).to_std().unwrap() + inexact;
    assert!((least..=most).contains(&age), "{age:?} of {most:?}");

    // The limit is the block's age: 900 s.
    let left = TimeDelta::seconds(900) - TimeDelta::from_std(age).unwrap();
    app.clock.advance(left - TimeDelta::seconds(100));
    assert!(app.snapshots.current().is_ok());
    app.clock.advance(TimeDelta::seconds(101));
    let refusal = app.snapshots.current().unwrap_err().to_string();
    assert!(refusal.contains("too old"), "{refusal}");
    assert!(app.snapshots.drawable().is_err());
    // A block from the future is not older than now.
    app.clock.advance(TimeDelta::seconds(-2000));
    assert_eq!(snapshot.age(app.clock.now()), Duration::ZERO);
    assert!(app.snapshots.current().is_ok());
    replica.stop().await;
    world.end().await;
}

async fn missed(world: &World) -> Vec<(i64, i64, String)> {
    sqlx::query_as("select block, last_block, reason from missed_snapshots order by block")
        .fetch_all(&world.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_gap_is_one_row_whether_the_server_ran_or_not() {
    let world = World::start().await;
    world.next_snapshot().await;
    world.next_snapshot().await;
    assert_eq!(missed(&world).await, []);
    // Nobody was there for 6 to 12.
    let world = world
        .restart_after(async |chain| {
            chain.advance(11).unwrap();
            chain
        })
        .await;
    at_block(&world.server, 14).await;
    let down = (6, 12, "no server was following the chain".to_owned());
    assert_eq!(missed(&world).await, std::slice::from_ref(&down));

    // A restart between two snapshots, and one of a server whose place another one took, miss nothing.
    let world = world.restart().await;
    let way = Way::to(&world.chain).await;
    let other = way.server(&world).await;
    way.cut();
    world.next_snapshot().await;
    world.next_snapshot().await;
    way.lead_to(&world.chain);
    at_block(&other, 18).await;
    assert_eq!(missed(&world).await, std::slice::from_ref(&down));
    other.stop().await;

    world.chain.stall_finality(true);
    world.chain.advance(4).unwrap();
    world.chain.stall_finality(false);
    at_block(&world.server, 22).await;
    let ran = (20, 20, "a later block was final first".to_owned());
    assert_eq!(missed(&world).await, [down, ran]);
    world.end().await;
}

#[tokio::test]
async fn a_base_of_a_chain_that_began_again_is_not_drawn_with() {
    let world = World::start().await;
    let genesis = at_block(&world.server, 0).await;
    world.next_snapshot().await;
    world.next_snapshot().await;
    world
        .sql("update bases set made_at = made_at - interval '1 minute'")
        .await;
    let world = world
        .restart_after(async |old| {
            old.shutdown().await;
            fresh_chain().await
        })
        .await;
    // The same block, hence the same base, which two later ones have made public.
    let again = at_block(&world.server, 0).await;
    assert_eq!(
        (again.snapshot.block, again.base),
        (genesis.snapshot.block, genesis.base)
    );
    let user = world.user().await;
    let miner = world.miner(1).await;
    let (task, assigned) = submit(&user).await;
    assert_eq!(assigned, 0);
    tokio::time::sleep(2 * LOOKED).await;
    assert!(world.open_uids(&task).await.is_empty());
    miner.heartbeat().await;

    world.next_snapshot().await;
    let second = world.chain.finalized();
    eventually("the task is drawn for", || async {
        Some(world.open_uids(&task).await).filter(|uids| !uids.is_empty())
    })
    .await;
    assert_eq!(drawn_with(&world, &task).await, [second.hash]);
    assert_eq!(missed(&world).await, []);
    world.end().await;
}

#[tokio::test]
async fn a_running_server_follows_a_chain_that_began_again() {
    let world = World::start().await;
    let way = Way::to(&world.chain).await;
    let other = way.server(&world).await;
    for _ in 0..3 {
        world.next_snapshot().await;
    }
    let old = at_block(&other, 6).await;
    let fresh = fresh_chain().await;
    way.lead_to(&fresh);
    // Its genesis is no later than what is in force.
    tokio::time::sleep(LOOKED).await;
    assert_eq!(at_block(&other, 6).await.snapshot.block, old.snapshot.block);
    let head = fresh.advance(2).unwrap();
    let new = at_block(&other, 2).await;
    assert_eq!(new.snapshot.block.hash.0, head.hash);
    // A node that is behind takes nothing back: the old chain's newest block is of before.
    way.lead_to(&world.chain);
    tokio::time::sleep(LOOKED).await;
    assert_eq!(at_block(&other, 2).await.snapshot.block, new.snapshot.block);
    other.stop().await;
    fresh.shutdown().await;
    world.end().await;
}
