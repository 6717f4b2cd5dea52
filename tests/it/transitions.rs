//! Every state of a task against everything that could change it: what is legal changes it, and nothing else does.
use serde_json::Value;
use violet::services::roster;

use crate::harness::{BAD, GOOD, Neuron, User, World, eventually, translation};

/// What is tried with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    Cancel,
    Answer,
    Evaluate,
}

/// What is stored of a task, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: String,
    is_settled: bool,
    open: i64,
    ends: i64,
    jurors: i64,
    assignments: i64,
}

struct Stage {
    world: World,
    user: User,
    /// Two that translate to Spanish, one to French whose only place is taken, one to German.
    miners: Vec<Neuron>,
    validator: Neuron,
}

impl Stage {
    async fn new() -> Self {
        let world = World::with(|config| {
            // Nothing ends because the machine is busy.
            config.tasks.silence_seconds = 86_400;
            config.routing.heartbeat_ttl_seconds = 86_400;
        })
        .await;
        let user = world.user().await;
        let mut miners = Vec::new();
        for (number, capacity, target) in [(1, 32, "es"), (2, 32, "es"), (3, 1, "fr"), (4, 32, "de")] {
            let miner = world.silent_miner(number);
            let heartbeat = Neuron::heartbeat_of(capacity, &[("en", target)]);
            miner.post("/api/v1/miner/heartbeat", &heartbeat).await.ok();
            world.on_roster(&world.server, &miner).await;
            miners.push(miner);
        }
        let validator = world.validator(1).await;
        let stage = Self {
            world,
            user,
            miners,
            validator,
        };
        stage.submit("fr", 1).await;
        // What was read while the draw was committed does not count it yet.
        for _ in 0..2 {
            roster::refresh(&stage.world.server.app).await.unwrap();
        }
        stage
    }

    async fn submit(&self, target: &str, count: u8) -> String {
        let mut fields = translation(count);
        fields["target_language"] = target.into();
        let task = self.user.submit(&fields).await;
        self.world
            .sql("update task_assignments set deadline = deadline + interval '1 day'")
            .await;
        task
    }

    async fn seen(&self, task: &str) -> Seen {
        let status = self.user.status(task).await;
        let count = async |table: &str| {
            self.world
                .count(&format!("{table} where task_id = '{task}'"))
                .await
        };
        Seen {
            status: status["status"].as_str().unwrap().to_owned(),
            is_settled: !status["settled_at"].is_null(),
            open: count("task_open").await,
            ends: count("task_ends").await,
            jurors: count("task_juries").await,
            assignments: count("task_assignments").await,
        }
    }

    /// A task that both have answered and the validator may judge.
    async fn judged(&self) -> String {
        let task = self.submit("es", 2).await;
        for miner in &self.miners[..2] {
            assert_eq!(miner.answer(&task, "Casa").await["used"], true);
        }
        self.validator.offered(&task).await;
        task
    }

    async fn ended_with(&self, score: Option<u16>) -> String {
        let task = self.judged().await;
        self.validator.judge(&task, |_| score).await;
        self.user.ended(&task).await;
        task
    }

    /// A task in this state, and the miner that would answer it.
    async fn bring(&self, state: &str) -> (String, &Neuron) {
        let [_, second, busy, german] = &self.miners[..] else {
            panic!("four miners")
        };
        match state {
            "pending" => (self.submit("fr", 1).await, busy),
            "assigned" => (self.submit("es", 2).await, second),
            "in_progress" => {
                let task = self.submit("es", 2).await;
                second.receive(&task).await;
                eventually("the miner was seen to have it", || async {
                    (self.seen(&task).await.status == "in_progress").then_some(())
                })
                .await;
                (task, second)
            }
            "completed" => {
                let task = self.submit("es", 2).await;
                self.miners[0].answer(&task, "Casa").await;
                (task, second)
            }
            "done" => (self.judged().await, second),
            "unverified" => (self.ended_with(None).await, second),
            "approved" => (self.ended_with(Some(GOOD)).await, second),
            "rejected" => (self.ended_with(Some(BAD)).await, second),
            "failed" => {
                let task = self.submit("de", 1).await;
                assert_eq!(german.refuse(&task).await["released"], true);
                self.user.ended(&task).await;
                (task, german)
            }
            "cancelled" => {
                let task = self.submit("es", 2).await;
                self.user.cancel(&task).await.ok();
                (task, second)
            }
            other => panic!("{other} is no state"),
        }
    }

    /// Tries something; whether it was taken, and otherwise why not.
    async fn attempt(&self, what: Try, task: &str, miner: &Neuron) -> (bool, Value) {
        match what {
            Try::Cancel => {
                let reply = self.user.cancel(task).await;
                if reply.status == 200 {
                    assert_eq!(reply.body["status"], "cancelled");
                    (true, Value::Null)
                } else {
                    (false, reply.problem(409, "/problems/conflict").into())
                }
            }
            Try::Answer => {
                let receipt = miner.answer(task, "Casa").await;
                (receipt["used"] == true, receipt["reason"].clone())
            }
            Try::Evaluate => {
                let scores = [&self.miners[0], &self.miners[1]].map(|miner| (miner.hotkey(), Some(GOOD)));
                let receipt = self.validator.evaluate(task, &scores).await;
                (receipt["accepted"] == true, receipt["reason"].clone())
            }
        }
    }
}

/// What may follow, by which try.
type Legal = &'static [(Try, &'static str)];

/// For each state: what it is called, whether it is an end, and what may follow.
const STATES: [(&str, &str, bool, Legal); 10] = [
    ("pending", "pending", false, &[(Try::Cancel, "cancelled")]),
    (
        "assigned",
        "assigned",
        false,
        &[(Try::Cancel, "cancelled"), (Try::Answer, "completed")],
    ),
    (
        "in_progress",
        "in_progress",
        false,
        &[(Try::Cancel, "cancelled"), (Try::Answer, "completed")],
    ),
    (
        "completed",
        "completed",
        false,
        &[(Try::Cancel, "cancelled"), (Try::Answer, "done")],
    ),
    (
        "done",
        "done",
        false,
        &[(Try::Cancel, "cancelled"), (Try::Evaluate, "approved")],
    ),
    ("unverified", "done", true, &[]),
    ("approved", "approved", true, &[]),
    ("rejected", "rejected", true, &[]),
    ("failed", "failed", true, &[]),
    ("cancelled", "cancelled", true, &[]),
];

/// Why an answer to a task in this state does not count.
fn why_unused(state: &str) -> &'static str {
    match state {
        "pending" => "not_assigned",
        "failed" | "cancelled" => "task_ended",
        _ => "already_answered",
    }
}

#[tokio::test]
async fn each_legal_transition_happens_and_no_other() {
    let stage = Stage::new().await;
    for (state, name, ended, legal) in STATES {
        for what in [Try::Cancel, Try::Answer, Try::Evaluate] {
            let (task, miner) = stage.bring(state).await;
            let before = stage.seen(&task).await;
            assert_eq!(
                (before.status.as_str(), before.is_settled),
                (name, ended),
                "{state}"
            );
            assert_eq!(
                (before.open, before.ends),
                (i64::from(!ended), i64::from(ended)),
                "{state}"
            );
            if ended {
                assert_eq!((before.jurors, before.assignments), (0, 0), "{state}");
            }
            let (taken, why) = stage.attempt(what, &task, miner).await;
            let next = legal.iter().find(|(by, _)| *by == what).map(|(_, next)| *next);
            assert_eq!(taken, next.is_some(), "{what:?} in {state}: {why}");
            let Some(next) = next else {
                match what {
                    Try::Cancel => assert!(why.as_str().unwrap().contains(name), "{why}"),
                    Try::Answer => assert_eq!(why, why_unused(state), "{state}"),
                    Try::Evaluate => assert_eq!(why, "not_a_judge", "{state}"),
                }
                assert_eq!(stage.seen(&task).await, before, "{what:?} in {state}");
                continue;
            };
            let after = eventually("the task is in the next state", || async {
                Some(stage.seen(&task).await).filter(|after| after.status == next)
            })
            .await;
            let ends = matches!(next, "cancelled" | "approved");
            assert_eq!(
                (after.is_settled, after.ends),
                (ends, i64::from(ends)),
                "{what:?} in {state}"
            );
            assert_eq!(after.open, i64::from(!ends), "{what:?} in {state}");
            if ends {
                assert_eq!((after.jurors, after.assignments), (0, 0), "{what:?} in {state}");
            } else {
                // An answer takes its assignment with it.
                assert_eq!(after.assignments, before.assignments - 1, "{what:?} in {state}");
            }
        }
    }
    stage.world.end().await;
}
