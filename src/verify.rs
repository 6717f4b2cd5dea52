//! Checks a receipt without a server: every signature, every proof, and the draw and the consensus computed anew.
//!
//! Trusts the rule, and as the server's statement what no receipt can prove: stakes, performance, block hashes, who was
//! passed over, and the threshold.
use std::collections::BTreeSet;

use codec::Encode;
use ct_merkle::{InclusionProof, RootHash};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use violet_chain::{CryptoType, Hotkey, VrfProof, verify};

use crate::domain::{
    BatchId, OrganizationId, TaskId, TaskState, blake2b_256,
    consensus::{self, Scored},
    records::{Base, CandidateSet, Digest, Draw, Record, Settlement},
    routing::{self, Excluded, Rule},
    signing,
};

/// A receipt, as `GET /api/v1/audit/tasks/{task_id}` answers it.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Receipt {
    pub task_id: TaskId,
    pub request: Request,
    pub records: Vec<Proved>,
    pub named: Vec<Proved>,
    pub revealed: Vec<Revealed>,
}

#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Request {
    pub netuid: u16,
    pub account: OrganizationId,
    #[serde(with = "hex::serde")]
    pub client_entropy: Vec<u8>,
    #[serde(with = "hex::serde")]
    pub input_digest: [u8; 32],
}

#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Proved {
    #[serde(with = "hex::serde")]
    pub body: Vec<u8>,
    pub proof: Proof,
}

#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Proof {
    pub batch_id: BatchId,
    pub leaf_index: u32,
    pub size: u32,
    pub path: Vec<String>,
    #[serde(with = "hex::serde")]
    pub root: [u8; 32],
    pub server: Hotkey,
    pub signature: String,
}

#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Revealed {
    #[serde(with = "hex::serde")]
    pub base: [u8; 32],
    #[serde(with = "hex::serde")]
    pub preout: [u8; 32],
    #[serde(with = "hex::serde")]
    pub proof: [u8; 64],
}

/// What was checked.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What holds, in words.
    pub holds: Vec<String>,
    /// What does not.
    pub broken: Vec<String>,
    /// What this receipt cannot prove, or not yet.
    pub open: Vec<String>,
}

impl Report {
    /// Whether nothing is broken.
    pub fn is_sound(&self) -> bool {
        self.broken.is_empty()
    }

    fn check(&mut self, holds: bool, what: impl Into<String>) {
        let list = if holds { &mut self.holds } else { &mut self.broken };
        list.push(what.into());
    }
}

/// What is named by records of the receipt.
struct Named<'a> {
    rules: Vec<(Digest, &'a Rule)>,
    bases: Vec<(Digest, &'a Base)>,
    sets: Vec<(Digest, &'a CandidateSet)>,
}

/// Checks everything that `receipt` says.
pub fn receipt(receipt: &Receipt) -> Report {
    let mut report = Report::default();
    let decode = |proved: &Proved| Record::from_bytes(&proved.body);
    let (records, named): (Result<Vec<_>, _>, Result<Vec<_>, _>) = (
        receipt.records.iter().map(decode).collect(),
        receipt.named.iter().map(decode).collect(),
    );
    let (Ok(records), Ok(named)) = (records, named) else {
        report.check(false, "every record is canonical SCALE");
        return report;
    };
    check_proofs(receipt, &mut report);

    let mut known = Named {
        rules: Vec::new(),
        bases: Vec::new(),
        sets: Vec::new(),
    };
    for record in &named {
        match record {
            Record::Rule(rule) => known.rules.push((record.digest(), rule)),
            Record::Base(base) => known.bases.push((record.digest(), base)),
            Record::CandidateSet(set) => known.sets.push((record.digest(), set)),
            Record::Draw(_) | Record::Settlement(_) => {}
        }
    }
    let Request {
        netuid,
        account,
        client_entropy,
        input_digest,
    } = &receipt.request;
    let request = routing::request_digest(*netuid, account.bytes(), client_entropy, *input_digest);
    // Whoever may choose among keys may choose among bases.
    let signer = receipt.records.first().map(|proved| proved.proof.server);
    report.check(
        known.bases.iter().all(|(_, base)| Some(base.server) == signer),
        "the bases are made with the key that signed",
    );
    let mut excluded = Excluded::default();
    let mut drawn: Vec<Hotkey> = Vec::new();
    let (mut draws, mut settlements) = (0, 0);
    for record in &records {
        match record {
            Record::Draw(draw) => {
                report.check(
                    draw.draw == draws
                        && draw.task == receipt.task_id.bytes()
                        && draw.netuid == *netuid
                        && draw.request.0 == request
                        && draw.client_entropy != client_entropy.is_empty(),
                    format!("draw {draws} is this task's and tied to its request"),
                );
                check_draw(receipt, draw, &known, &mut excluded, &mut report);
                let candidates = find(&known.sets, draw.candidate_set)
                    .into_iter()
                    .flat_map(|set| &set.candidates);
                drawn.extend(
                    candidates
                        .filter(|one| draw.chosen.contains(&one.uid))
                        .map(|candidate| candidate.hotkey),
                );
                draws += 1;
            }
            Record::Settlement(settlement) => {
                settlements += 1;
                check_settlement(receipt, settlement, &drawn, &mut report);
            }
            Record::Rule(_) | Record::Base(_) | Record::CandidateSet(_) => {}
        }
    }
    report.check(settlements <= 1, "the task was settled once at most");
    if draws == 0 || settlements == 0 {
        report.open.push(format!(
            "there are {draws} draws and {settlements} settlements yet"
        ));
    }
    if client_entropy.is_empty() && draws > 0 {
        report
            .open
            .push("the client sent no entropy: the draw is not grinding-proof".into());
    }
    report
}

fn check_proofs(receipt: &Receipt, report: &mut Report) {
    let all = || receipt.records.iter().chain(&receipt.named);
    let included = all().all(|proved| {
        let Proof {
            leaf_index,
            size,
            path,
            root,
            ..
        } = &proved.proof;
        let path: Option<Vec<u8>> = path
            .iter()
            .map(|hash| hex::decode(hash).ok())
            .collect::<Option<Vec<_>>>()
            .map(|path| path.concat());
        let root = RootHash::<Sha256>::new((*root).into(), u64::from(*size));
        path.and_then(|path| InclusionProof::<Sha256>::try_from_bytes(path).ok())
            .is_some_and(|proof| {
                leaf_index < size
                    && root
                        .verify_inclusion(&proved.body, u64::from(*leaf_index), &proof)
                        .is_ok()
            })
    });
    report.check(
        included,
        format!("{} records are in their signed batches", all().count()),
    );
    let signed = all().all(|proved| {
        let Proof {
            batch_id,
            size,
            root,
            server,
            signature,
            ..
        } = &proved.proof;
        let message = [&b"violet/batch/1"[..], &(batch_id.bytes(), root, size).encode()].concat();
        let bytes = signature
            .strip_prefix("0x")
            .and_then(|digits| hex::decode(digits).ok());
        bytes
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .is_some_and(|signature| verify(CryptoType::Sr25519, server, &message, &signature))
    });
    report.check(signed, "every batch is signed by the server's hotkey");
    let mut servers: Vec<Hotkey> = all().map(|proved| proved.proof.server).collect();
    servers.dedup();
    report.check(servers.len() <= 1, "one hotkey signed them all");
    report.open.extend(
        servers
            .first()
            .map(|server| format!("that {server} is the server's hotkey: compare it")),
    );
}

fn find<'a, T>(all: &[(Digest, &'a T)], digest: Digest) -> Option<&'a T> {
    all.iter()
        .find(|(known, _)| *known == digest)
        .map(|(_, value)| *value)
}

fn check_draw(
    receipt: &Receipt,
    draw: &Draw,
    known: &Named<'_>,
    excluded: &mut Excluded,
    report: &mut Report,
) {
    let number = draw.draw;
    let Some((set, base)) = find(&known.sets, draw.candidate_set).zip(find(&known.bases, draw.base)) else {
        report.check(
            false,
            format!("draw {number} names a candidate set and a base of this receipt"),
        );
        return;
    };
    let Some(rule) = find(&known.rules, set.rule) else {
        report.check(
            false,
            format!("the candidate set of draw {number} names a rule of this receipt"),
        );
        return;
    };
    if let Err(problem) = rule.validate() {
        report.check(false, format!("the rule of draw {number}: {problem}"));
        return;
    }
    report.check(
        set.block == base.block
            && [set.netuid, base.netuid, rule.netuid] == [draw.netuid; 3]
            && base.block.is_multiple_of(rule.snapshot_interval),
        format!(
            "draw {number} used the snapshot of block {} for stake and base",
            base.block
        ),
    );
    let ordered = set.candidates.windows(2).all(|pair| pair[0].uid < pair[1].uid);
    report.check(
        ordered,
        format!(
            "the {} candidates of draw {number} are in uid order",
            set.candidates.len()
        ),
    );

    let mut out = excluded.clone();
    out.uids.extend(&draw.skipped);
    let chosen: Vec<_> = draw
        .chosen
        .iter()
        .filter_map(|uid| set.candidates.iter().find(|one| one.uid == *uid))
        .collect();
    excluded.uids.extend(&draw.chosen);
    excluded
        .coldkeys
        .extend(chosen.iter().map(|candidate| candidate.coldkey));

    let Some(revealed) = receipt
        .revealed
        .iter()
        .find(|revealed| revealed.base == draw.base.0)
    else {
        report
            .open
            .push(format!("the base of block {} is not published yet", base.block));
        return;
    };
    let vrf = VrfProof {
        preout: revealed.preout,
        proof: revealed.proof,
    };
    let message = (base.netuid, base.block_hash).encode();
    let output = vrf.verify(&base.server, b"violet/base/1", &message);
    report.check(
        output.is_some_and(|output| Digest(blake2b_256(&[&output])) == base.commitment),
        format!(
            "the base of block {} is the server's VRF of its hash, as committed before",
            base.block
        ),
    );
    let Some(output) = output else { return };
    let seed = routing::draw_seed(output, draw.request.0, number);
    let weights = routing::weights(rule, &set.candidates);
    let again: Vec<u16> = routing::draw(seed, &set.candidates, &weights, &out, draw.slots.len())
        .into_iter()
        .map(|index| set.candidates[index].uid)
        .collect();
    report.check(
        again == draw.chosen,
        format!("draw {number} computed anew chooses uids {:?}", draw.chosen),
    );
}

fn distinct(mut hotkeys: impl Iterator<Item = Hotkey>) -> bool {
    let mut seen = BTreeSet::new();
    hotkeys.all(|hotkey| seen.insert(hotkey))
}

fn check_settlement(receipt: &Receipt, settlement: &Settlement, drawn: &[Hotkey], report: &mut Report) {
    let task = receipt.task_id;
    report.check(
        settlement.task == task.bytes() && settlement.netuid == receipt.request.netuid,
        "the settlement is this task's",
    );
    let answering = settlement.answers.iter().map(|answer| answer.hotkey);
    let judging = settlement.evaluations.iter().map(|evaluation| evaluation.hotkey);
    report.check(
        distinct(answering) && distinct(judging),
        "nobody answers or judges twice",
    );
    report.check(
        settlement
            .answers
            .iter()
            .all(|answer| drawn.contains(&answer.hotkey)),
        "only miners that were drawn answer",
    );
    report
        .open
        .push("the validators' stakes are the server's statement: compare them with the chain".into());
    let answers = settlement.answers.iter().all(|answer| {
        let message = signing::answer_message(settlement.netuid, task, answer.digest.0);
        verify(
            answer.signature.crypto,
            &answer.hotkey,
            &message,
            &answer.signature.bytes,
        )
    });
    report.check(
        answers,
        format!("{} answers are signed by their miners", settlement.answers.len()),
    );
    let evaluations = settlement.evaluations.iter().all(|evaluation| {
        let scores: Vec<_> = settlement
            .answers
            .iter()
            .map(|answer| answer.hotkey)
            .zip(evaluation.scores.iter().copied())
            .collect();
        let message = signing::evaluation_message(settlement.netuid, task, &scores);
        evaluation.scores.len() == settlement.answers.len()
            && verify(
                evaluation.signature.crypto,
                &evaluation.hotkey,
                &message,
                &evaluation.signature.bytes,
            )
    });
    report.check(
        evaluations,
        format!(
            "{} evaluations are signed by their validators",
            settlement.evaluations.len()
        ),
    );
    let verdict = matches!(settlement.outcome, TaskState::Approved | TaskState::Rejected);
    let medians: Vec<Option<u16>> = (0..settlement.answers.len())
        .map(|index| {
            let scores: Vec<Scored> = settlement
                .evaluations
                .iter()
                .filter_map(|evaluation| {
                    let score = (*evaluation.scores.get(index)?)?;
                    Some(Scored {
                        score,
                        stake: evaluation.stake,
                    })
                })
                .collect();
            consensus::weighted_median(&scores).filter(|_| verdict)
        })
        .collect();
    let stated: Vec<Option<u16>> = settlement.answers.iter().map(|answer| answer.consensus).collect();
    report.check(
        medians == stated,
        "the stake-weighted medians computed anew are the consensus",
    );
    let best = stated.iter().flatten().max().copied();
    let approved = best.is_some_and(|best| best >= settlement.threshold);
    let scored: u128 = settlement
        .evaluations
        .iter()
        .filter(|evaluation| evaluation.scores.iter().any(Option::is_some))
        .map(|evaluation| u128::from(evaluation.stake))
        .sum();
    let quorum = 2 * scored > settlement.eligible_stake;
    report.check(
        quorum == verdict && (!verdict || (settlement.outcome == TaskState::Approved) == approved),
        format!(
            "the outcome ({}) follows from them and from the stake that scored",
            settlement.outcome.name()
        ),
    );
}
