//! What goes wrong with the chain and its nodes while tasks flow: none is lost, none is decided on stale stake.
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::AssertSqlSafe;
use violet::server::Server;
use violet_chain::{BlockHash, EndpointStats, Snapshot};
use violet_devchain::SPEC_VERSION;

use crate::harness::{
    GOOD, Neuron, SERVER, User, Way, World, eventually, fresh_chain, keypair, nonce, sign, translation,
};

/// Longer than two rounds of the workers that draw, freeze juries and settle.
const ROUNDS: Duration = Duration::from_millis(2_300);

fn endpoint(server: &Server, way: &Way) -> EndpointStats {
    let stats = server.app.snapshots.chain_stats().unwrap();
    let mut endpoints = stats.endpoints.into_iter();
    endpoints.find(|endpoint| endpoint.name == way.url()).unwrap()
}

async fn followed(server: &Server, world: &World) {
    let head = world.chain.advance(2).unwrap();
    eventually("the new snapshot is in force", || async {
        let latest = server.app.snapshots.latest()?;
        (latest.snapshot.block.number >= head.number - head.number % 2).then_some(())
    })
    .await;
}

/// The stakes of a task's jury.
async fn jury(world: &World, task: &str) -> Vec<i64> {
    sqlx::query_scalar(AssertSqlSafe(format!(
        "select stake from task_juries where task_id = '{task}' order by stake"
    )))
    .fetch_all(&world.db)
    .await
    .unwrap()
}

async fn finish(world: &World, user: &User, miner: &Neuron, validators: &[Neuron], task: &str) {
    miner.receive(task).await;
    miner.answer(task, "Casa").await;
    for validator in validators {
        validator.judge(task, |_| Some(GOOD)).await;
    }
    world
        .sql("update task_open set done_at = done_at - interval '61 s' where judged_by")
        .await;
    assert_eq!(user.ended(task).await["status"], "approved");
}

#[tokio::test]
async fn tasks_flow_while_nodes_fail_and_refuse() {
    let ways = [Way::nowhere().await, Way::nowhere().await];
    let world = World::with(|config| {
        let node = config.chain.endpoints.remove(0);
        for way in &ways {
            way.lead_to_url(&node);
            config.chain.endpoints.push(way.url());
        }
        config.chain.silence_seconds = 1;
    })
    .await;
    let [one, two] = ways;
    let server = &world.server;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validators = world.validators().await;
    let mut tasks = vec![user.submit(&translation(1)).await];

    one.cut();
    world.next_snapshot().await;
    tasks.push(user.submit(&translation(1)).await);
    assert!(endpoint(server, &one).failures > 0);
    assert!(endpoint(server, &two).reconnects > 0);

    // The second breaks off, and the first refuses: until the second is back nothing is heard of the chain, and the
    // snapshot is young enough.
    one.refuse(429);
    two.cut();
    world.chain.advance(2).unwrap();
    eventually("the first refuses", || async {
        (endpoint(server, &one).refusals > 0).then_some(())
    })
    .await;
    tasks.push(user.submit(&translation(1)).await);
    two.lead_to(&world.chain);
    world.next_snapshot().await;

    world.chain.drop_connections();
    world.next_snapshot().await;
    tasks.push(user.submit(&translation(1)).await);
    for task in &tasks {
        finish(&world, &user, &miner, &validators, task).await;
    }
    assert_eq!(world.count("task_open").await, 0);
    world.end().await;
}

#[tokio::test]
async fn while_finality_stands_still_tasks_are_accepted_and_nothing_is_decided() {
    let world = World::with(|config| {
        config.chain.silence_seconds = 1;
    })
    .await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validators = world.validators().await;
    world.next_snapshot().await;
    let done = user.submit(&translation(1)).await;
    miner.answer(&done, "Casa").await;
    validators[0].offered(&done).await;
    let before = jury(&world, &done).await;

    world.chain.stall_finality(true);
    // Blocks that are not final change the stake; nobody may see it.
    let richest = validators[0].hotkey();
    world
        .chain
        .set_stake(1, richest.0, 90_000_000_000_000, 0)
        .unwrap();
    let app = &world.server.app;
    app.clock.advance(TimeDelta::seconds(901));
    assert!(app.snapshots.current().is_err());
    let (heartbeat, body) = (
        "/api/v1/miner/heartbeat",
        Neuron::heartbeat_body().to_string().into_bytes(),
    );
    let later = nonce() + 901_000_000_000;
    let headers = sign(&miner.keypair, &miner.receiver, "POST", heartbeat, &body, later);
    let reply = miner.send("POST", heartbeat, body, &headers).await;
    assert!(reply.problem(503, "/problems/unavailable").contains("too old"));
    assert_eq!(reply.headers["retry-after"], "5");
    // A task whose jury is not chosen yet.
    world
        .sql(&format!(
            "delete from task_juries where task_id = '{done}';
             update task_open set judged_by = false, done_at = done_at - interval '1 hour' where task_id = '{done}'"
        ))
        .await;
    let waiting = user.submit_raw(&translation(1)).await.ok();
    assert_eq!(waiting["assigned_miner_count"], 0);
    let waiting = waiting["task_id"].as_str().unwrap();
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(jury(&world, &done).await, Vec::<i64>::new());
    assert_eq!(user.status(&done).await["status"], "done");
    assert_eq!(user.status(waiting).await["status"], "pending");
    assert_eq!(app.snapshots.chain_stats().unwrap().finalized, Some(2));

    world.chain.stall_finality(false);
    world.next_snapshot().await;
    app.clock.advance(TimeDelta::seconds(-901));
    // Its time was over long before: it ends at once, judged by nobody, on the stake after the stall.
    let eligible = eventually("the jury is chosen and the task ends", || async {
        let ended = format!("select eligible_stake from task_ends where task_id = '{done}'");
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(ended))
            .fetch_optional(&world.db)
            .await
            .unwrap()
    })
    .await;
    let others: i64 = before.iter().sum::<i64>() - before.last().unwrap();
    assert_eq!(eligible, others + 90_000_000_000_000);
    assert_ne!(before.last(), Some(&90_000_000_000_000));
    world.end().await;
}

#[tokio::test]
async fn a_node_of_another_chain_decides_nothing() {
    let world = World::start().await;
    let mut config = world.config().clone();
    config.chain.genesis = Some(BlockHash([1; 32]));
    let stranger = Server::start(config.clone(), keypair(SERVER)).await.unwrap();
    tokio::time::sleep(ROUNDS).await;
    assert!(stranger.app.snapshots.latest().is_none());
    assert_eq!(stranger.app.snapshots.genesis(), None);
    let reply = world.silent_miner(1).at(&stranger);
    let reply = reply
        .post("/api/v1/miner/heartbeat", &Neuron::heartbeat_body())
        .await;
    assert!(
        reply
            .problem(503, "/problems/unavailable")
            .contains("no snapshot")
    );
    stranger.stop().await;

    config.chain.genesis = Some(BlockHash(world.chain.genesis_hash()));
    let right = Server::start(config, keypair(SERVER)).await.unwrap();
    right.app.snapshots.first().await;
    right.stop().await;

    // The chain that a running server found is the one that it stays with.
    let way = Way::to(&world.chain).await;
    let server = way.server(&world).await;
    let other = another_chain().await;
    way.lead_to(&other);
    other.advance(4).unwrap();
    eventually("the other chain is refused", || async {
        (endpoint(&server, &way).failures >= 2).then_some(())
    })
    .await;
    let latest = server.app.snapshots.latest().unwrap();
    assert_eq!(latest.snapshot.block.number, 0);
    way.lead_to(&world.chain);
    followed(&server, &world).await;
    server.stop().await;
    world.end().await;
}

/// The hashes of all bases.
async fn bases(world: &World) -> Vec<Vec<u8>> {
    sqlx::query_scalar("select block_hash from bases order by block")
        .fetch_all(&world.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn tasks_flow_while_the_runtime_changes() {
    let world = World::with(|config| config.tasks.silence_seconds = 600).await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validators = world.validators().await;
    world.next_snapshot().await;
    let of = |snapshot: &Snapshot| -> Vec<_> {
        let neurons = snapshot.neurons.iter();
        neurons
            .map(|neuron| (neuron.uid, neuron.hotkey, neuron.coldkey, neuron.validator_permit))
            .collect()
    };
    let before = of(&world.server.app.snapshots.latest().unwrap().snapshot);
    let selective = "SubnetInfoRuntimeApi.get_selective_metagraph";
    // A newer one; one without what a metagraph is best read with, which takes another way; and one that has it again.
    for (version, withheld) in [(1, None), (2, Some(selective)), (3, None)] {
        let drawn_before = user.submit(&translation(1)).await;
        let version = SPEC_VERSION + version;
        world.chain.upgrade_runtime(version, withheld).unwrap();
        // Nothing is remembered from the runtime before.
        let stake = 70_000_000_000_000 + u64::from(version);
        let richest = validators[0].hotkey();
        world.chain.set_stake(1, richest.0, stake, 0).unwrap();
        world.next_snapshot().await;
        let in_force = world.server.app.snapshots.current().unwrap().snapshot;
        assert_eq!(in_force.spec_version, version);
        assert_eq!(of(&in_force), before);
        assert_eq!(in_force.by_hotkey(&richest).unwrap().stake.0, stake);
        miner.heartbeat().await;
        let drawn_after = user.submit(&translation(1)).await;
        for task in [drawn_before, drawn_after] {
            miner.receive(&task).await;
            miner.answer(&task, "Casa").await;
            validators[0].offered(&task).await;
            assert_eq!(jury(&world, &task).await.pop(), i64::try_from(stake).ok());
            for validator in &validators {
                validator.judge(&task, |_| Some(GOOD)).await;
            }
            assert_eq!(user.ended(&task).await["status"], "approved");
        }
    }
    assert_eq!(world.count("task_open").await, 0);
    // The subnet did not change with the runtime.
    assert_eq!(world.count("neuron_history").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_fork_that_never_is_final_decides_nothing() {
    let world = World::with(|config| config.tasks.silence_seconds = 600).await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validators = world.validators().await;
    world.next_snapshot().await;
    let (chain, app) = (&world.chain, &world.server.app);
    let before = app.snapshots.latest().unwrap().snapshot;
    let first = user.submit(&translation(1)).await;

    // On the best chain the miner is gone, a stranger has its uid, and the stake is another.
    chain.stall_finality(true);
    let stranger = world.stranger();
    chain.replace(1, miner.uid, stranger.hotkey().0, [1; 32]).unwrap();
    let richest = validators[0].hotkey();
    chain.set_stake(1, richest.0, 90_000_000_000_000, 0).unwrap();
    let mut fork = Vec::new();
    for _ in 0..4 {
        fork.push(chain.advance(1).unwrap().hash.to_vec());
    }
    miner.heartbeat().await;
    let second = user.submit(&translation(1)).await;
    tokio::time::sleep(ROUNDS).await;
    for task in [&first, &second] {
        miner.receive(task).await;
    }
    let reply = stranger
        .post("/api/v1/miner/heartbeat", &Neuron::heartbeat_body())
        .await;
    reply.problem(403, "/problems/forbidden");
    assert_eq!(app.snapshots.latest().unwrap().snapshot.block, before.block);

    // Another best chain becomes final, in which none of it happened.
    chain.reorganize(6).unwrap();
    chain.stall_finality(false);
    world.next_snapshot().await;
    let after = app.snapshots.latest().unwrap().snapshot;
    assert!(after.block.number > before.block.number);
    assert_eq!(after.neurons, before.neurons);
    assert!(bases(&world).await.iter().all(|hash| !fork.contains(hash)));
    assert_eq!(world.count("neuron_history").await, 0);
    assert_eq!(world.count("assignment_ends").await, 0);
    miner.heartbeat().await;
    let third = user.submit(&translation(1)).await;
    let right = before.by_hotkey(&richest).unwrap().stake.0;
    for task in [&first, &second, &third] {
        miner.receive(task).await;
        miner.answer(task, "Casa").await;
        validators[0].offered(task).await;
        assert_eq!(jury(&world, task).await.pop(), i64::try_from(right).ok());
        for validator in &validators {
            validator.judge(task, |_| Some(GOOD)).await;
        }
        assert_eq!(user.ended(task).await["status"], "approved");
    }
    assert_eq!(world.count("task_open").await, 0);
    world.end().await;
}

/// One with another genesis.
async fn another_chain() -> violet_devchain::DevChain {
    let options = violet_devchain::Options {
        block_time: Some(Duration::ZERO),
        ..violet_devchain::Options::default()
    };
    let other = violet_devchain::spawn(violet_devchain::Genesis::default(), options)
        .await
        .unwrap();
    assert_ne!(other.genesis_hash(), fresh_chain().await.genesis_hash());
    other
}
