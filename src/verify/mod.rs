//! Checks a receipt without a server: every signature, every proof, and the draw and the consensus computed anew.
//!
//! What no receipt can prove is the server's statement, and reported as open: stakes (but for candidates and judges
//! whose block comes with a proof), performance, block hashes, who was passed over, which evaluations there are, and the
//! threshold. What is not recorded or published yet is missing, and without it a receipt proves nothing.
mod report;
mod settlement;
mod stakes;

use std::collections::BTreeSet;

use codec::Encode;
use ct_merkle::{InclusionProof, RootHash};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use violet_chain::{CryptoType, Hotkey, ProvedStakes, VrfProof, verify};

use crate::domain::{
    BatchId, OrganizationId, TaskId, blake2b_256,
    capability::Capability,
    records::{Base, CandidateSet, Digest, Draw, Record, RecordKind},
    routing::{self, Excluded, PERFORMANCE_SCALE, Rule},
};

use stakes::Proofs;

pub use report::{Outcome, Report};

pub(crate) use report::counted;

/// The one rule that can be computed anew here.
const RULE: &str = "stake-mix/1";

/// A receipt, as `GET /api/v1/audit/tasks/{task_id}` answers it.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct Receipt {
    pub task_id: TaskId,
    pub request: Request,
    pub records: Vec<Proved>,
    pub named: Vec<Proved>,
    pub revealed: Vec<Revealed>,
    #[serde(default)]
    pub stake_proofs: Vec<StakeProof>,
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
    pub kind: Value,
    pub digest: String,
    #[serde(with = "hex::serde")]
    pub body: Vec<u8>,
    pub decoded: Value,
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

/// Where a proof of stakes is; only its block is of interest here.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API description says what each is")]
pub struct StakeProof {
    pub block: u32,
}

/// What is named by records of the receipt.
struct Named<'a> {
    rules: Vec<(Digest, &'a Rule)>,
    bases: Vec<(Digest, &'a Base)>,
    sets: Vec<(Digest, &'a CandidateSet)>,
}

/// Checks everything that `receipt` says.
pub fn receipt(receipt: &Receipt) -> Report {
    receipt_with(receipt, &[])
}

/// Checks everything that `receipt` says, and the stakes of candidates and judges where one of these is of their block.
pub fn receipt_with(receipt: &Receipt, stakes: &[ProvedStakes]) -> Report {
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
    check_forms(receipt, &records, &named, &mut report);
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
            Record::Draw(_) | Record::SignedSettlement(_) | Record::Settlement(_) => {}
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
    let mut drawn = Drawn::new(stakes);
    let (mut draws, mut settled) = (0, false);
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
                check_draw(receipt, draw, &known, &mut drawn, &mut report);
                draws += 1;
            }
            Record::Rule(_)
            | Record::Base(_)
            | Record::CandidateSet(_)
            | Record::SignedSettlement(_)
            | Record::Settlement(_) => {}
        }
        if let Some(settlement) = record.settlement() {
            settled = true;
            settlement::check(receipt, &settlement, &drawn.hotkeys, &mut report);
            drawn.proofs.check_judges(&settlement, &mut report);
        }
    }
    if draws == 0 {
        report
            .missing
            .push("a draw: nobody was chosen yet, or the receipt withholds it".into());
    }
    if !settled {
        report
            .missing
            .push("the settlement: the task has not ended, or failed or was cancelled and gets none".into());
    }
    report.open.extend(known.bases.iter().map(|(_, base)| {
        format!(
            "that block {} has the hash {}: compare it with the chain",
            base.block, base.block_hash
        )
    }));
    drawn.proofs.conclude(receipt, draws, &mut report);
    if client_entropy.is_empty() && draws > 0 {
        report
            .open
            .push("the client sent no entropy: the draw is not grinding-proof".into());
    }
    report
}

/// What people read beside the bytes, and which kinds are where.
fn check_forms(receipt: &Receipt, records: &[Record], named: &[Record], report: &mut Report) {
    let shown = receipt.records.iter().zip(records);
    let shown = shown
        .chain(receipt.named.iter().zip(named))
        .all(|(proved, record)| {
            proved.digest == hex::encode(record.digest().0)
                && serde_json::to_value(record.kind()).is_ok_and(|kind| kind == proved.kind)
                && serde_json::to_value(record).is_ok_and(|decoded| decoded == proved.decoded)
        });
    report.check(
        shown,
        "kind, digest and content are shown as the records' bytes have them",
    );
    let draw = |record: &Record| matches!(record, Record::Draw(_));
    let of_task = |record: &Record| draw(record) || record.kind() == RecordKind::Settlement;
    report.check(
        records.iter().rev().skip(1).all(draw) && records.iter().all(of_task),
        "the task's records are its draws, and one settlement after them",
    );
    report.check(
        !named.iter().any(of_task),
        "what they name are rules, bases and candidate sets",
    );
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
        format!(
            "of {} each is in its signed batch",
            counted(all().count(), "record")
        ),
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

/// What the draws so far have used up.
struct Drawn<'a> {
    excluded: Excluded,
    hotkeys: Vec<Hotkey>,
    capability: Option<Capability>,
    proofs: Proofs<'a>,
}

impl<'a> Drawn<'a> {
    fn new(stakes: &'a [ProvedStakes]) -> Self {
        Self {
            excluded: Excluded::default(),
            hotkeys: Vec::new(),
            capability: None,
            proofs: Proofs::new(stakes),
        }
    }
}

fn check_draw(receipt: &Receipt, draw: &Draw, known: &Named<'_>, drawn: &mut Drawn<'_>, report: &mut Report) {
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
    let unknown = (rule.name != RULE).then(|| format!("{:?} is not {RULE}", rule.name));
    if let Some(problem) = rule.validate().err().or(unknown) {
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
    drawn.proofs.check(number, base, set, report);
    check_candidates(number, rule, set, drawn, report);
    let before = check_chosen(draw, set, drawn, report);

    let Some(revealed) = receipt
        .revealed
        .iter()
        .find(|revealed| revealed.base == draw.base.0)
    else {
        report.missing.push(format!(
            "the base of block {}, without which draw {number} cannot be computed anew: it is not published yet",
            base.block
        ));
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
    let mut out = before;
    out.uids.extend(&draw.skipped);
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

/// Who stood for election: each once, within the rule, and for what the draws before were for.
fn check_candidates(
    number: u32,
    rule: &Rule,
    set: &CandidateSet,
    drawn: &mut Drawn<'_>,
    report: &mut Report,
) {
    report.check(
        ascending(set.candidates.iter().map(|one| one.uid))
            && distinct(set.candidates.iter().map(|one| one.hotkey)),
        format!(
            "draw {number} had {}, in uid order, each once",
            counted(set.candidates.len(), "candidate")
        ),
    );
    report.check(
        set.candidates.iter().all(|one| {
            (1..=one.capacity).contains(&one.free)
                && one.capacity <= rule.capacity_limit
                && one.performance <= PERFORMANCE_SCALE
        }),
        format!("places and performance of the candidates of draw {number} are within the rule"),
    );
    let capability = drawn.capability.get_or_insert_with(|| set.capability.clone());
    report.check(
        *capability == set.capability,
        format!("draw {number} is for the same capability as the first"),
    );
}

/// Whether the choice is possible at all, which shows without the base. Gives who was out before this draw.
fn check_chosen(draw: &Draw, set: &CandidateSet, drawn: &mut Drawn<'_>, report: &mut Report) -> Excluded {
    let number = draw.draw;
    let candidate = |uid: &u16| set.candidates.iter().find(|one| one.uid == *uid);
    report.check(
        ascending(draw.skipped.iter().copied()) && draw.skipped.iter().all(|uid| candidate(uid).is_some()),
        format!("draw {number} skipped candidates only, in uid order"),
    );
    let before = drawn.excluded.clone();
    let mut possible = distinct(draw.slots.iter().copied()) && draw.chosen.len() <= draw.slots.len();
    for uid in &draw.chosen {
        possible &= drawn.excluded.uids.insert(*uid) && !draw.skipped.contains(uid);
        match candidate(uid) {
            Some(chosen) => {
                drawn.excluded.coldkeys.insert(chosen.coldkey);
                drawn.hotkeys.push(chosen.hotkey);
            }
            None => possible = false,
        }
    }
    report.check(
        possible,
        format!(
            "draw {number} chose candidates that it did not skip, each once for the task, one for a slot"
        ),
    );
    before
}

fn ascending<T: PartialOrd>(values: impl Iterator<Item = T>) -> bool {
    values.is_sorted_by(|one, next| one < next)
}

fn distinct<T: Ord>(mut values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.all(|value| seen.insert(value))
}
