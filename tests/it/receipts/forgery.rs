//! A receipt in the hands of a server that lies: any record changed, everything signed anew with its key.
use codec::Encode;
use serde_json::{Value, json};
use violet::{
    domain::{
        BatchId, TaskId, blake2b_256,
        records::{Authentication, Base, CandidateSet, Digest, Draw, Record, Settlement},
        routing::{self, Excluded, Rule},
        signing,
    },
    services::{
        recording,
        snapshots::{VRF_CONTEXT, vrf_message},
    },
};
use violet_chain::{BlockHash, BlockRef, Hotkey, Keypair};

use crate::harness::{SERVER, keypair, signature_text};

#[derive(Clone)]
pub(super) struct Forgery {
    pub(super) receipt: Value,
    pub(super) records: Vec<Record>,
    pub(super) named: Vec<Record>,
}

fn bytes(text: &Value) -> Vec<u8> {
    hex::decode(text.as_str().unwrap()).unwrap()
}

/// The key of a neuron of the tests.
pub(super) fn key_of(hotkey: Hotkey) -> Keypair {
    let number = (1..=110).find(|number| keypair(*number).hotkey() == hotkey);
    keypair(number.expect("a neuron of the genesis"))
}

impl Forgery {
    pub(super) fn of(receipt: &Value) -> Self {
        let records = |list: &str| -> Vec<Record> {
            let all = receipt[list].as_array().unwrap().iter();
            all.map(|record| Record::from_bytes(&bytes(&record["body"])).unwrap())
                .collect()
        };
        Self {
            records: records("records"),
            named: records("named"),
            receipt: receipt.clone(),
        }
    }

    /// The same with something changed, signed by the server.
    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Value {
        let mut other = self.clone();
        change(&mut other);
        other.signed_by(SERVER)
    }

    /// All records as one batch of this key.
    pub(super) fn signed_by(&self, key: u8) -> Value {
        let all: Vec<&Record> = self.records.iter().chain(&self.named).collect();
        let tree = recording::tree(all.iter().map(|record| record.to_bytes()));
        let root: [u8; 32] = (*tree.root().as_bytes()).into();
        let (id, size) = (BatchId::new(), u32::try_from(all.len()).unwrap());
        let signature = keypair(key).sign(&recording::batch_message(id, root, size));
        let mut shown: Vec<Value> = all
            .iter()
            .enumerate()
            .map(|(index, record)| {
                let path = tree.prove_inclusion(index);
                let path: Vec<String> = path.as_bytes().chunks(32).map(hex::encode).collect();
                json!({
                    "kind": record.kind(),
                    "digest": hex::encode(record.digest().0),
                    "body": hex::encode(record.to_bytes()),
                    "decoded": record,
                    "proof": {
                        "batch_id": id, "leaf_index": index, "size": size, "path": path, "root": hex::encode(root),
                        "server": keypair(key).hotkey(), "signature": signature_text(&signature),
                    },
                })
            })
            .collect();
        let mut receipt = self.receipt.clone();
        receipt["named"] = shown.split_off(self.records.len()).into();
        receipt["records"] = shown.into();
        receipt
    }

    pub(super) fn draw(&mut self, number: usize) -> &mut Draw {
        match &mut self.records[number] {
            Record::Draw(draw) => draw,
            other => panic!("not a draw: {other:?}"),
        }
    }

    pub(super) fn settlement(&mut self) -> &mut Settlement {
        match self.records.last_mut() {
            Some(Record::Settlement(settlement)) => settlement,
            other => panic!("not a settlement: {other:?}"),
        }
    }

    /// Changes what is named; who names it names it by its new digest.
    fn change_named(&mut self, mut change: impl FnMut(&mut Record)) {
        // A candidate set names its rule: changed rules first, then the sets with their new names.
        for pass in 0..2 {
            for index in 0..self.named.len() {
                let old = self.named[index].digest();
                if pass == 0 {
                    change(&mut self.named[index]);
                }
                let new = self.named[index].digest();
                self.rename(old, new);
            }
        }
    }

    fn rename(&mut self, old: Digest, new: Digest) {
        let swap = |name: &mut Digest| {
            if *name == old {
                *name = new;
            }
        };
        for record in &mut self.records {
            if let Record::Draw(draw) = record {
                swap(&mut draw.base);
                swap(&mut draw.candidate_set);
            }
        }
        for index in 0..self.named.len() {
            let before = self.named[index].digest();
            if let Record::CandidateSet(set) = &mut self.named[index] {
                swap(&mut set.rule);
            }
            let after = self.named[index].digest();
            if before != after {
                self.rename(before, after);
            }
        }
        for revealed in self.receipt["revealed"].as_array_mut().unwrap() {
            if revealed["base"] == hex::encode(old.0) {
                revealed["base"] = hex::encode(new.0).into();
            }
        }
    }

    pub(super) fn change_rules(&mut self, change: impl Fn(&mut Rule)) {
        self.change_named(|record| {
            if let Record::Rule(rule) = record {
                change(rule);
            }
        });
    }

    pub(super) fn change_sets(&mut self, change: impl Fn(&mut CandidateSet)) {
        self.change_named(|record| {
            if let Record::CandidateSet(set) = record {
                change(set);
            }
        });
    }

    pub(super) fn change_bases(&mut self, change: impl Fn(&mut Base)) {
        self.change_named(|record| {
            if let Record::Base(base) = record {
                change(base);
            }
        });
    }

    /// What draw 0 rests on.
    pub(super) fn first(&self) -> (Rule, CandidateSet, Base) {
        let Record::Draw(draw) = &self.records[0] else {
            panic!("not a draw")
        };
        let find = |digest: Digest| {
            self.named
                .iter()
                .find(|record| record.digest() == digest)
                .unwrap()
        };
        let (Record::CandidateSet(set), Record::Base(base)) = (find(draw.candidate_set), find(draw.base))
        else {
            panic!("not what a draw names")
        };
        let Record::Rule(rule) = find(set.rule) else {
            panic!("not a rule")
        };
        (rule.clone(), set.clone(), base.clone())
    }

    /// Makes the bases with another key or of another hash, and publishes them.
    pub(super) fn make_bases(&mut self, key: u8, hash: Option<[u8; 32]>) {
        let made = |base: &Base| {
            let hash = hash.map_or(base.block_hash, BlockHash);
            let number = base.block;
            let message = vrf_message(base.netuid, BlockRef { number, hash });
            let proof = keypair(key).vrf(VRF_CONTEXT, &message).unwrap();
            let output = proof
                .verify(&keypair(key).hotkey(), VRF_CONTEXT, &message)
                .unwrap();
            (hash, proof, output)
        };
        self.change_bases(|base| {
            let (hash, _, output) = made(base);
            base.server = keypair(key).hotkey();
            base.block_hash = hash;
            base.commitment = Digest(blake2b_256(&[&output]));
        });
        let mut revealed = Vec::new();
        for record in &self.named {
            if let Record::Base(base) = record {
                let (_, proof, _) = made(base);
                revealed.push(json!({
                    "base": hex::encode(record.digest().0),
                    "preout": hex::encode(proof.preout),
                    "proof": hex::encode(proof.proof),
                }));
            }
        }
        self.receipt["revealed"] = revealed.into();
    }

    /// Only the first draw, of a request with this entropy, computed by the rule from what it rests on.
    pub(super) fn drawn_anew(&self, entropy: &str, skipped: &[u16]) -> Self {
        let mut other = self.clone();
        other.records.truncate(1);
        let (rule, set, base) = other.first();
        let message = (base.netuid, base.block_hash).encode();
        let proof = keypair(SERVER).vrf(VRF_CONTEXT, &message).unwrap();
        let output = proof
            .verify(&keypair(SERVER).hotkey(), VRF_CONTEXT, &message)
            .unwrap();
        other.receipt["request"]["client_entropy"] = hex::encode(entropy).into();
        let request = &other.receipt["request"];
        let account: uuid::Uuid = request["account"].as_str().unwrap().parse().unwrap();
        let input = bytes(&request["input_digest"]).try_into().unwrap();
        let digest = routing::request_digest(base.netuid, account.into_bytes(), entropy.as_bytes(), input);
        let excluded = Excluded {
            uids: skipped.iter().copied().collect(),
            ..Excluded::default()
        };
        let weights = routing::weights(&rule, &set.candidates);
        let draw = other.draw(0);
        let seed = routing::draw_seed(output, digest, 0);
        let chosen = routing::draw(seed, &set.candidates, &weights, &excluded, draw.slots.len());
        draw.request = Digest(digest);
        draw.skipped = skipped.to_vec();
        draw.chosen = chosen
            .into_iter()
            .map(|index| set.candidates[index].uid)
            .collect();
        other
    }
}

/// Signs answers and scores anew with the keys of their neurons, who go along with the lie.
pub(super) fn sign_again(settlement: &mut Settlement) {
    let task = TaskId::from(uuid::Uuid::from_bytes(settlement.task));
    for answer in &mut settlement.answers {
        let message = signing::answer_message(settlement.netuid, task, answer.digest.0);
        sign(&mut answer.authentication, answer.hotkey, &message);
    }
    let answers = &settlement.answers;
    for evaluation in &mut settlement.evaluations {
        let hotkeys = answers.iter().map(|answer| answer.hotkey);
        let scores: Vec<_> = hotkeys.zip(evaluation.scores.iter().copied()).collect();
        let message = signing::evaluation_message(settlement.netuid, task, &scores);
        sign(&mut evaluation.authentication, evaluation.hotkey, &message);
    }
}

/// What came with a key stays as it is.
fn sign(authentication: &mut Authentication, hotkey: Hotkey, message: &[u8]) {
    if let Authentication::Signature { signature } = authentication {
        signature.bytes = key_of(hotkey).sign(message);
    }
}
