//! A neuron that is given a key, as its operator would do it.
use serde_json::{Value, json};

use super::{MODEL, Neuron, Reply, World, eventually, signature_text};

/// A neuron of which nothing is used but its key.
pub(crate) struct Keyed {
    pub(crate) key: String,
    pub(crate) uid: u16,
    /// With its wallet: for what it could do if it had it.
    pub(crate) neuron: Neuron,
}

impl Keyed {
    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.neuron.with_key(&self.key, "GET", target, "").await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Reply {
        self.neuron
            .with_key(&self.key, "POST", target, &body.to_string())
            .await
    }

    /// Posts a body of this kind.
    pub(crate) async fn send(&self, target: &str, kind: &str, body: &str) -> Reply {
        let headers = [("X-API-Key", self.key.clone()), ("content-type", kind.to_owned())];
        self.neuron
            .send("POST", target, body.as_bytes().to_vec(), &headers)
            .await
    }

    /// Posts a form.
    pub(crate) async fn form(&self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
                format!("{name}={value}")
            })
            .collect();
        self.send(target, "application/x-www-form-urlencoded", &pairs.join("&"))
            .await
    }

    /// The open assignments, without waiting.
    pub(crate) async fn poll(&self) -> Reply {
        let target = format!("/api/v1/miners/{}/tasks?status=assigned", self.uid);
        self.get(&target).await
    }

    /// Polls until the task is there.
    pub(crate) async fn receive(&self, task: &str) -> Value {
        eventually("the miner gets its assignment", || async {
            let mail = self.poll().await.ok();
            let mut mail = mail.as_array().expect("a bare array").iter();
            mail.find(|mail| mail["task_id"] == task).cloned()
        })
        .await
    }

    /// Polls until `server` knows it.
    pub(crate) async fn there(&self, world: &World) {
        self.poll().await.ok();
        world.on_roster(&world.server, &self.neuron).await;
    }

    /// An answer with nothing but what was made, and by what.
    pub(crate) fn unsigned(task: &str, output: &Value) -> Value {
        json!({ "task_id": task, "output": output, "model_id": MODEL, "engine": "test" })
    }

    pub(crate) async fn answer(&self, body: &Value) -> Reply {
        self.post("/api/v1/miner/answers", body).await
    }

    /// Waits until this validator is offered the task.
    pub(crate) async fn offered(&self, task: &str) -> Value {
        eventually("the validator is offered the task", || async {
            let page = self.get("/api/v1/validator/tasks").await.ok();
            let mut tasks = page["tasks"].as_array().expect("a list of tasks").iter();
            tasks.find(|offered| offered["task_id"] == task).cloned()
        })
        .await
    }

    pub(crate) async fn evaluate(&self, body: &Value) -> Reply {
        self.post("/api/v1/validator/evaluations", body).await
    }
}

impl Neuron {
    /// What it says about itself.
    pub(crate) fn credentials(&self, world: &World) -> Value {
        let snapshot = world.server.app.snapshots.latest().expect("a snapshot").snapshot;
        // A stranger says the owner of whoever is in its place.
        let neuron = snapshot
            .by_hotkey(&self.hotkey())
            .unwrap_or(&snapshot.neurons[usize::from(self.uid)]);
        json!({
            "hotkey": self.hotkey(), "coldkey_address": neuron.coldkey, "uid": self.uid, "network": "test",
        })
    }

    /// Posts without any credentials.
    pub(crate) async fn say(&self, target: &str, body: &Value) -> Reply {
        self.send("POST", target, body.to_string().into_bytes(), &[])
            .await
    }

    /// Answers a challenge.
    pub(crate) fn prove(&self, credentials: &Value, challenge: &str) -> Value {
        let mut body = credentials.clone();
        body["signature"] = signature_text(&self.keypair.sign(challenge.as_bytes())).into();
        body["crypto"] = self.keypair.crypto().as_str().into();
        body["challenge"] = challenge.into();
        body
    }

    /// Both steps at `/api/v1/miner/authenticate` or the validators' of it.
    pub(crate) async fn enrol(&self, world: &World, target: &str) -> Reply {
        self.enrol_as(world, target, &json!({})).await
    }

    /// The same, and what a miner says of itself.
    pub(crate) async fn enrol_as(&self, world: &World, target: &str, declared: &Value) -> Reply {
        let credentials = self.credentials(world);
        let asked = self.say(target, &credentials).await.ok();
        let challenge = asked["challenge"].as_str().expect("a challenge");
        let mut body = self.prove(&credentials, challenge);
        let members = declared.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(members);
        self.say(target, &body).await
    }

    /// Gives the wallet away: from now on there is a key. A miner says what it can do, like a heartbeat.
    pub(crate) async fn keyed(self, world: &World, target: &str, declared: &Value) -> Keyed {
        let given = self.enrol_as(world, target, declared).await.ok();
        Keyed {
            key: given["api_key"].as_str().expect("a key").to_owned(),
            uid: self.uid,
            neuron: self,
        }
    }

    /// Sends a request with a key and no signature.
    pub(crate) async fn with_key(&self, key: &str, method: &str, target: &str, body: &str) -> Reply {
        let headers = [("X-API-Key", key.to_owned())];
        self.send(method, target, body.as_bytes().to_vec(), &headers)
            .await
    }

    /// What is refused on the way to a key: one that is none, one too many, a network without a name, and a place that
    /// is not its own.
    pub(crate) async fn refused_enrolments(&self, world: &World, target: &str) -> Vec<Reply> {
        let mut body = self.credentials(world);
        let headers = [("X-API-Key", "garbage".to_owned())];
        let mut refused = vec![
            self.send("POST", target, body.to_string().into_bytes(), &headers)
                .await,
        ];
        for _ in 0..16 {
            self.enrol(world, target).await.ok();
        }
        refused.push(self.enrol(world, target).await);
        body["network"] = "a b".into();
        refused.push(self.say(target, &body).await);
        body["network"] = "test".into();
        body["uid"] = 99.into();
        refused.push(self.say(target, &body).await);
        refused
    }
}
