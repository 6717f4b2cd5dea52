//! Change of the subnet: kept as history once, and acted on.
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use violet::server::Server;
use violet_chain::{Coldkey, Hotkey};

use crate::harness::{BAD, GOOD, Neuron, Reply, User, Way, World, eventually, keypair, translation};

const VALIDATOR_TASKS: &str = "/api/v1/validator/tasks?wait=0";
/// Longer than two rounds of the worker that ends assignments.
const ROUNDS: Duration = Duration::from_millis(2_300);
/// uids of the genesis.
const NEURONS: u16 = 9;

fn mail_of(uid: u16) -> String {
    format!("/api/v1/miners/{uid}/tasks?status=assigned")
}

/// The owner of a neuron of the genesis.
fn coldkey(number: u8) -> String {
    Coldkey([number ^ 0xff; 32]).to_string()
}

async fn at_block(server: &Server, number: u32) {
    eventually("the snapshot of this block is in force", || async {
        let latest = server.app.snapshots.latest()?;
        (latest.snapshot.block.number >= number).then_some(())
    })
    .await;
}

async fn history(user: &User, uid: u16) -> Vec<Value> {
    let page = user.get(&format!("/api/v1/neurons/{uid}/history")).await.ok();
    let changes = page["changes"].as_array().unwrap().clone();
    assert_eq!(
        (&page["success"], &page["count"], &page["next"]),
        (&true.into(), &changes.len().into(), &Value::Null)
    );
    changes
}

/// The changes of a uid, oldest first, without what is the same for all of one snapshot.
async fn told(user: &User, uid: u16) -> Vec<Value> {
    let mut changes = history(user, uid).await;
    changes.reverse();
    for change in &mut changes {
        let change = change.as_object_mut().unwrap();
        for member in ["id", "after_block", "after_time", "block", "time"] {
            change.remove(member).unwrap();
        }
    }
    changes
}

async fn outcomes(world: &World, task: &str) -> Vec<(i32, String)> {
    sqlx::query_as(AssertSqlSafe(format!(
        "select uid, outcome::text from assignment_ends where task_id = '{task}' order by ended_at"
    )))
    .fetch_all(&world.db)
    .await
    .unwrap()
}

/// The miner that has the task alone.
async fn holder<'a>(world: &World, miners: &'a [Neuron], task: &str) -> &'a Neuron {
    let uids = world.open_uids(task).await;
    assert_eq!(uids.len(), 1);
    miners.iter().find(|miner| miner.uid == uids[0]).unwrap()
}

#[tokio::test]
async fn what_happens_is_kept_once_by_however_many_servers() {
    let world = World::start().await;
    let other = world.replica().await;
    let user = world.user().await;
    assert_eq!(history(&user, 0).await, Vec::<Value>::new());
    assert_eq!(history(&user, u16::MAX).await, Vec::<Value>::new());
    world.next_snapshot().await;
    let chain = &world.chain;
    let new = |number: u8| keypair(number).hotkey();
    assert_eq!(chain.register(1, new(240).0, [1; 32]).unwrap(), NEURONS);
    world.next_snapshot().await;
    let change = history(&user, NEURONS).await.remove(0);
    let expected = json!({
        "change": "registered", "hotkey": new(240), "coldkey": Coldkey([1; 32]), "after_block": 2, "block": 4,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(change[member], *value, "{change}");
    }
    assert!(change["after_time"].as_str().unwrap() < change["time"].as_str().unwrap());
    assert_eq!(change.as_object().unwrap().len(), 8, "{change}");

    // Several things until the next snapshot, which two servers take.
    chain.stall_finality(true);
    let genesis = |number: u8| keypair(number).hotkey();
    chain.replace(1, 0, new(241).0, [2; 32]).unwrap();
    chain.swap_hotkey(genesis(2).0, new(242).0).unwrap();
    chain.swap_coldkey([3 ^ 0xff; 32], [3; 32]).unwrap();
    chain
        .set_axon(1, genesis(4).0, Some("192.0.2.1:8091".parse().unwrap()))
        .unwrap();
    chain.set_permit(1, 4, true).unwrap();
    chain.set_permit(1, 8, false).unwrap();
    chain.advance(1).unwrap();
    chain.stall_finality(false);
    world.next_snapshot().await;
    at_block(&other, chain.finalized().number / 2 * 2).await;
    assert_eq!(world.count("neuron_history").await, 1 + 7);
    let (one, two, four) = (genesis(1), genesis(2), genesis(4));
    assert_eq!(
        told(&user, 0).await,
        [
            json!({ "change": "deregistered", "hotkey": one, "coldkey": coldkey(1), "replaced_by": new(241) }),
            json!({ "change": "registered", "hotkey": new(241), "coldkey": Coldkey([2; 32]), "instead_of": one }),
        ]
    );
    assert_eq!(
        told(&user, 1).await,
        [
            json!({ "change": "hotkey_swapped", "hotkey": new(242), "coldkey": coldkey(2), "former_hotkey": two })
        ]
    );
    assert_eq!(
        told(&user, 2).await,
        [json!({
            "change": "coldkey_swapped", "hotkey": genesis(3), "coldkey": Coldkey([3; 32]),
            "former_coldkey": coldkey(3),
        })]
    );
    assert_eq!(
        told(&user, 3).await,
        [
            json!({ "change": "axon_changed", "hotkey": four, "coldkey": coldkey(4), "axon": "192.0.2.1:8091" })
        ]
    );
    assert_eq!(told(&user, 4).await[0]["change"], "permit_gained");
    assert_eq!(told(&user, 8).await[0]["change"], "permit_lost");
    assert!(history(&user, 5).await.is_empty());

    // Nothing happened: nothing is added, by nobody.
    world.next_snapshot().await;
    at_block(&other, chain.finalized().number / 2 * 2).await;
    assert_eq!(world.count("neuron_history").await, 8);
    assert_eq!(world.count("neurons").await, i64::from(NEURONS) + 1);
    other.stop().await;
    let metrics = world.http.get(format!("{}/metrics", world.server.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("violet_neuron_changes_total{kind=\"hotkey_swapped\"} "));
    world.end().await;
}

#[tokio::test]
async fn what_happened_while_no_server_was_up_is_kept_and_read_in_pages() {
    let world = World::start().await;
    let user = world.user().await;
    world.next_snapshot().await;
    let hotkey = keypair(3).hotkey();
    let serve = |port: u16| Some(format!("192.0.2.1:{port}").parse().unwrap());
    for port in [1, 2] {
        world.chain.set_axon(1, hotkey.0, serve(port)).unwrap();
        world.next_snapshot().await;
    }
    let last = world.server.app.snapshots.latest().unwrap().snapshot.block.number;
    let world = world
        .restart_after(async |chain| {
            for port in [3, 4] {
                chain.set_axon(1, hotkey.0, serve(port)).unwrap();
            }
            chain.set_permit(1, 2, true).unwrap();
            chain.advance(4).unwrap();
            chain
        })
        .await;
    at_block(&world.server, last + 2).await;
    let user = user.at(&world.server);
    let all = history(&user, 2).await;
    let said: Vec<(&Value, &Value, &Value)> = all
        .iter()
        .map(|change| (&change["change"], &change["former_axon"], &change["axon"]))
        .collect();
    let axon = |port: u16| json!(format!("192.0.2.1:{port}"));
    assert_eq!(
        said,
        [
            (&json!("axon_changed"), &axon(2), &axon(4)),
            (&json!("permit_gained"), &Value::Null, &Value::Null),
            (&json!("axon_changed"), &axon(1), &axon(2)),
            (&json!("axon_changed"), &Value::Null, &axon(1)),
        ]
    );
    assert_eq!(all[0]["after_block"], last);

    // A page at a time, to the end.
    let path = "/api/v1/neurons/2/history";
    let (mut pages, mut next) = (Vec::new(), format!("{path}?limit=3"));
    loop {
        let page = user.get(&next).await.ok();
        pages.push(page["changes"].as_array().unwrap().clone());
        let Some(before) = page["next"].as_i64() else {
            break;
        };
        next = format!("{path}?limit=3&before={before}");
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(pages.concat(), all);
    let whole = user.get(&format!("{path}?limit=4")).await.ok();
    assert_eq!((&whole["count"], &whole["next"]), (&4.into(), &Value::Null));

    // A restart alone is no change.
    let world = world.restart().await;
    world.next_snapshot().await;
    assert_eq!(world.count("neuron_history").await, 4);
    world.end().await;
}

/// The miner that has a task is no longer who it was: `leave` gives its neuron the other hotkey.
async fn goes_to_another(leave: impl Fn(&World, &Neuron, Hotkey)) {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(3).await;
    let task = user.submit(&translation(1)).await;
    let gone = holder(&world, &miners, &task).await;
    gone.receive(&task).await;
    let mut newcomer = world.stranger();
    newcomer.uid = gone.uid;
    leave(&world, gone, newcomer.hotkey());
    world.next_snapshot().await;
    let refused = gone.get(&mail_of(gone.uid)).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("not registered")
    );
    let late = gone.post_answer(&gone.answer_body(&task, "Casa")).await;
    late.problem(403, "/problems/forbidden");
    eventually("somebody else has it", || async {
        let uids = world.open_uids(&task).await;
        (uids.len() == 1 && uids != [gone.uid]).then_some(())
    })
    .await;
    let ended = (i32::from(gone.uid), "deregistered".to_owned());
    assert_eq!(outcomes(&world, &task).await, [ended]);
    // It let nothing go by.
    let kept = format!(
        "miner_performance where hotkey = '\\x{}'",
        hex::encode(gone.hotkey().0)
    );
    assert_eq!(world.count(&kept).await, 0);
    let second = holder(&world, &miners, &task).await;
    assert_eq!(second.answer(&task, "Casa").await["used"], true);
    assert_eq!(user.ended(&task).await["status"], "done");

    // Who has the uid now is a miner like any other, and has nothing of the old one.
    assert!(newcomer.mail(0).await.is_empty());
    for miner in miners.iter().filter(|miner| miner.uid != gone.uid) {
        miner.heartbeat().await;
    }
    newcomer.heartbeat().await;
    world.on_roster(&world.server, &newcomer).await;
    // Candidates of a new one, not those of a moment before.
    world.next_snapshot().await;
    let task = user.submit(&translation(3)).await;
    assert!(world.open_uids(&task).await.contains(&newcomer.uid));
    newcomer.receive(&task).await;
    assert_eq!(newcomer.answer(&task, "Casa").await["used"], true);
    world.end().await;
}

#[tokio::test]
async fn what_a_deregistered_miner_had_goes_to_another() {
    goes_to_another(|world, gone, new| world.chain.replace(1, gone.uid, new.0, [1; 32]).unwrap()).await;
}

#[tokio::test]
async fn what_a_swapped_hotkey_had_goes_to_another() {
    goes_to_another(|world, gone, new| world.chain.swap_hotkey(gone.hotkey().0, new.0).unwrap()).await;
}

#[tokio::test]
async fn an_answer_stays_when_its_miner_is_gone() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let validators = world.validators().await;
    let task = user.submit(&translation(2)).await;
    assert_eq!(miners[0].answer(&task, "Casa").await["used"], true);
    for (miner, number) in miners.iter().zip([240, 241]) {
        let new = keypair(number).hotkey();
        world.chain.replace(1, miner.uid, new.0, [number; 32]).unwrap();
    }
    world.next_snapshot().await;
    // Nobody is left for the second slot.
    let offered = validators[0].offered(&task).await;
    assert_eq!(offered["answers"].as_array().unwrap().len(), 1);
    assert_eq!(outcomes(&world, &task).await, [(1, "deregistered".to_owned())]);
    for validator in &validators {
        validator.judge(&task, |_| Some(GOOD)).await;
    }
    assert_eq!(user.ended(&task).await["status"], "approved");
    let result = user.result(&task).await;
    assert_eq!(result["translated_text"], "Casa");
    let responses = user.responses(&task).await;
    assert_eq!(
        responses["responses"][0]["hotkey"],
        miners[0].hotkey().to_string()
    );
    world.end().await;
}

#[tokio::test]
async fn who_came_back_elsewhere_is_not_drawn_for_the_same_task_again() {
    let world = World::start().await;
    let user = world.user().await;
    let mut miner = world.miner(1).await;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    world
        .chain
        .replace(1, 0, keypair(240).hotkey().0, [1; 32])
        .unwrap();
    let uid = world.chain.register(1, miner.hotkey().0, [2; 32]).unwrap();
    world.next_snapshot().await;
    let status = user.ended(&task).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&"failed".into(), &"no_answer".into())
    );
    assert_eq!(outcomes(&world, &task).await, [(0, "deregistered".to_owned())]);
    // For others it is.
    miner.uid = uid;
    miner.heartbeat().await;
    let task = user.submit(&translation(1)).await;
    assert_eq!(world.open_uids(&task).await, [uid]);
    miner.receive(&task).await;
    assert_eq!(miner.answer(&task, "Casa").await["used"], true);
    world.end().await;
}

#[tokio::test]
async fn a_server_that_lags_takes_nothing_from_a_newcomer() {
    let world = World::with(|config| config.tasks.silence_seconds = 600).await;
    let way = Way::to(&world.chain).await;
    let other = way.server(&world).await;
    way.cut();
    let mut newcomer = world.stranger();
    newcomer.uid = world.chain.register(1, newcomer.hotkey().0, [1; 32]).unwrap();
    world.next_snapshot().await;
    newcomer.heartbeat().await;
    world.on_roster(&world.server, &newcomer).await;
    let user = world.user().await;
    let task = user.submit(&translation(1)).await;
    assert_eq!(world.open_uids(&task).await, [newcomer.uid]);
    // Both servers look for what is overdue meanwhile; this one does not know it.
    tokio::time::sleep(ROUNDS).await;
    let known = other.app.snapshots.latest().unwrap().snapshot;
    assert!(known.by_hotkey(&newcomer.hotkey()).is_none());
    assert!(newcomer.has(&task).await);
    assert_eq!(newcomer.answer(&task, "Casa").await["used"], true);

    // And what it sees later is nothing that was not known.
    assert_eq!(world.count("neuron_history").await, 1);
    way.lead_to(&world.chain);
    at_block(&other, 2).await;
    assert_eq!(world.count("neuron_history").await, 1);
    other.stop().await;
    world.end().await;
}

/// The validators on the jury of a task that is done.
async fn jury(world: &World, task: &str) -> Vec<Hotkey> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select validator from task_juries where task_id = '{task}' order by stake desc"
    )))
    .fetch_all(&world.db)
    .await
    .unwrap();
    rows.into_iter()
        .map(|key| Hotkey(key.try_into().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_jury_stays_as_it_was_chosen_and_the_next_one_is_of_those_who_may() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let validators = world.validators().await;
    let [one, two, three] = &validators[..] else {
        panic!("three validators")
    };
    let first = user.submit(&translation(1)).await;
    miner.answer(&first, "Casa").await;
    // The first has most of the stake and says its word; then its permit is gone, and the third's hotkey.
    one.judge(&first, |_| Some(GOOD)).await;
    two.offered(&first).await;
    let chosen = jury(&world, &first).await;
    assert_eq!(chosen, [one.hotkey(), two.hotkey(), three.hotkey()]);
    world.chain.set_permit(1, one.uid, false).unwrap();
    world
        .chain
        .replace(1, three.uid, keypair(240).hotkey().0, [1; 32])
        .unwrap();
    world.next_snapshot().await;
    let refused: Reply = one.get(VALIDATOR_TASKS).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("no validator permit")
    );
    let refused = three.get(VALIDATOR_TASKS).await;
    assert!(
        refused
            .problem(403, "/problems/forbidden")
            .contains("not registered")
    );
    assert_eq!(jury(&world, &first).await, chosen);
    two.judge(&first, |_| Some(BAD)).await;
    // Nobody waits for the third longer than the patience; what the first said counts with its stake.
    world
        .sql("update task_open set done_at = done_at - interval '61 s' where judged_by")
        .await;
    assert_eq!(user.ended(&first).await["status"], "approved");
    let stakes: i64 = sqlx::query_scalar("select eligible_stake from task_ends")
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert_eq!(stakes, 95_000 * 1_000_000_000);

    miner.heartbeat().await;
    let second = user.submit(&translation(1)).await;
    miner.receive(&second).await;
    miner.answer(&second, "Casa").await;
    two.offered(&second).await;
    assert_eq!(jury(&world, &second).await, [two.hotkey()]);
    world.end().await;
}
