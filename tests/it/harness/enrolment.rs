//! A neuron that is given a key, as its operator would do it.
use serde_json::{Value, json};

use super::{Neuron, Reply, World, signature_text};

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
        let credentials = self.credentials(world);
        let asked = self.say(target, &credentials).await.ok();
        let challenge = asked["challenge"].as_str().expect("a challenge");
        self.say(target, &self.prove(&credentials, challenge)).await
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
