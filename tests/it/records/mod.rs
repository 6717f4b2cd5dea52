//! The canonical bytes of records: literals that another implementation made (Python, from the description of SCALE),
//! what is refused, how large records get, and the bytes that neurons sign, as the server and the neurons build them.
use codec::{Decode, Encode};
use violet::domain::{
    TaskId, TaskState, TaskType,
    capability::Capability,
    records::{
        Answer, Authentication, Base, CandidateSet, Digest, Draw, Evaluation, Record, RecordKind, Settlement,
        Signature,
    },
    routing::{Candidate, Rule},
    signing,
    task::Reason,
};
use violet_chain::{BlockHash, Coldkey, CryptoType, Hotkey, NetUid};
use violet_neurons::signing as neuron;

mod scores;
mod signed;

const TASK: u128 = 0x0192_f0c1_2a3b_7c4d_8e5f_6071_8293_a4b5;
const TAO: u64 = 1_000_000_000;

/// Compact length 15 and "violet/record/1".
const VERSION: &str = "3c76696f6c65742f7265636f72642f31";

/// `count` times the byte `value`, as hex.
fn run(value: u8, count: usize) -> String {
    hex::encode([value]).repeat(count)
}

fn signature(crypto: CryptoType, value: u8) -> Signature {
    Signature {
        crypto,
        bytes: [value; 64],
    }
}

fn a_rule() -> Record {
    Record::Rule(Rule {
        netuid: 1,
        name: "stake-mix/1".into(),
        stake: 500_000,
        performance: 300_000,
        floor: 200_000,
        capacity_limit: 32,
        snapshot_interval: 10,
        heartbeat_ttl_seconds: 30,
    })
}

fn a_base() -> Record {
    Record::Base(Base {
        netuid: 1,
        block: 120,
        block_hash: BlockHash([0xb1; 32]),
        server: Hotkey([0x5e; 32]),
        commitment: Digest([0xc0; 32]),
    })
}

fn a_candidate_set() -> Record {
    Record::CandidateSet(CandidateSet {
        netuid: 1,
        rule: Digest([0xd1; 32]),
        block: 120,
        capability: Capability {
            task_type: TaskType::TextTranslation,
            source_language: "en".into(),
            target_language: Some("es".into()),
            model: None,
        },
        candidates: vec![
            Candidate {
                uid: 0,
                hotkey: Hotkey([1; 32]),
                coldkey: Coldkey([0xa1; 32]),
                stake: 2000 * TAO,
                performance: 93_750,
                free: 4,
                capacity: 4,
            },
            Candidate {
                uid: 7,
                hotkey: Hotkey([2; 32]),
                coldkey: Coldkey([0xa2; 32]),
                stake: u64::MAX,
                performance: 1_000_000,
                free: 1,
                capacity: 32,
            },
        ],
    })
}

fn draw_of(slots: Vec<u8>, skipped: Vec<u16>, chosen: Vec<u16>) -> Record {
    Record::Draw(Draw {
        netuid: 1,
        task: TASK.to_be_bytes(),
        draw: 2,
        request: Digest([0xe1; 32]),
        client_entropy: true,
        base: Digest([0xd2; 32]),
        candidate_set: Digest([0xd3; 32]),
        slots,
        skipped,
        chosen,
        at: 1_763_640_000_123,
    })
}

fn a_draw() -> Record {
    draw_of(vec![0, 2], vec![5, 300], vec![7, 0])
}

fn a_settlement() -> Settlement {
    let signed = |crypto, value| Authentication::Signature {
        signature: signature(crypto, value),
    };
    let answer = |hotkey, digest, authentication, consensus| Answer {
        hotkey: Hotkey([hotkey; 32]),
        digest: Digest([digest; 32]),
        authentication,
        consensus,
    };
    Settlement {
        netuid: 1,
        task: TASK.to_be_bytes(),
        outcome: TaskState::Approved,
        reason: None,
        threshold: 19_660,
        eligible_stake: 106_297 * u128::from(TAO),
        answers: vec![
            answer(1, 0x31, signed(CryptoType::Sr25519, 0x41), Some(61_234)),
            answer(2, 0x32, signed(CryptoType::Ed25519, 0x42), None),
            answer(3, 0x33, Authentication::Key, Some(3)),
        ],
        evaluations: vec![
            Evaluation {
                hotkey: Hotkey([0x91; 32]),
                stake: 51_799 * TAO,
                scores: vec![Some(61_234), None, Some(3)],
                authentication: signed(CryptoType::Sr25519, 0x51),
            },
            Evaluation {
                hotkey: Hotkey([0x92; 32]),
                stake: 1,
                scores: vec![None; 3],
                authentication: Authentication::Key,
            },
        ],
        at: 1_763_640_000_456,
    }
}

fn an_end_without_verdict() -> Record {
    Record::Settlement(Settlement {
        outcome: TaskState::Failed,
        reason: Some(Reason::NoAnswer),
        eligible_stake: 0,
        answers: vec![],
        evaluations: vec![],
        ..a_settlement()
    })
}

/// A record, its kind, its bytes field by field, and its digest.
type Vector = (Record, RecordKind, Vec<String>, &'static str);

/// One of each kind of records.
fn vectors() -> Vec<Vector> {
    let task = "0192f0c12a3b7c4d8e5f60718293a4b5".to_owned();
    let rule = vec![
        "00".to_owned() + "0100",
        "2c7374616b652d6d69782f31".into(),
        "20a10700".to_owned() + "e0930400" + "400d0300",
        "2000".to_owned() + "0a000000" + "1e000000",
    ];
    let base = vec![
        "01".to_owned() + "0100" + "78000000",
        run(0xb1, 32) + &run(0x5e, 32) + &run(0xc0, 32),
    ];
    let candidate_set = vec![
        "02".to_owned() + "0100" + &run(0xd1, 32) + "78000000",
        // Task type 3, "en", Some("es"), no model.
        "03".to_owned() + "08656e" + "01086573" + "00",
        // Two candidates.
        "08".into(),
        "0000".to_owned() + &run(1, 32) + &run(0xa1, 32),
        "00204aa9d1010000".to_owned() + "366e0100" + "0400" + "0400",
        "0700".to_owned() + &run(2, 32) + &run(0xa2, 32),
        "ffffffffffffffff".to_owned() + "40420f00" + "0100" + "2000",
    ];
    let draw = vec![
        "03".to_owned() + "0100" + &task + "02000000",
        run(0xe1, 32) + "01" + &run(0xd2, 32) + &run(0xd3, 32),
        "080002".to_owned() + "0805002c01" + "0807000000",
        "7bbe22a19a010000".into(),
    ];
    let settlement = vec![
        "05".to_owned() + "0100" + &task,
        // Approved is state 5, no reason.
        "05".to_owned() + "00" + "cc4c" + "00faec32ad6000000000000000000000",
        "0c".into(),
        // By a signature (0) of sr25519 (0) and of ed25519 (1), and by a key (1).
        run(1, 32) + &run(0x31, 32) + "0000" + &run(0x41, 64) + "0132ef",
        run(2, 32) + &run(0x32, 32) + "0001" + &run(0x42, 64) + "00",
        run(3, 32) + &run(0x33, 32) + "01" + "010300",
        "08".into(),
        // The first and the third of three answers were scored; then none.
        run(0x91, 32) + "00a6fe641c2f0000" + "0500" + "32ef0300" + "0000" + &run(0x51, 64),
        run(0x92, 32) + "0100000000000000" + "0000" + "01",
        "c8bf22a19a010000".into(),
    ];
    let failed = vec![
        "05".to_owned() + "0100" + &task,
        // Failed is state 7, NoAnswer is reason 1.
        "07".to_owned() + "0101" + "cc4c" + &run(0, 16),
        "0000".into(),
        "c8bf22a19a010000".into(),
    ];
    let mut all = vec![
        (
            a_rule(),
            RecordKind::Rule,
            rule,
            "052f9d69dc04b1869774d38fea6eadbec10f826987e3df886e5ff392b4d02e4c",
        ),
        (
            a_base(),
            RecordKind::Base,
            base,
            "8ce76a13b2e097d032cbb5f5386e348db9093faebd7680a422d2d4be591ae03b",
        ),
        (
            a_candidate_set(),
            RecordKind::CandidateSet,
            candidate_set,
            "ce3a0eb22582c76e3c410de3f67592fb331acac63d0db6be726461ffaa4fbfac",
        ),
        (
            a_draw(),
            RecordKind::Draw,
            draw,
            "cd12fc6a7598c3c756539cd80c38f6fbc2fe44b392acdb9eaa09786968ac82e5",
        ),
        (
            Record::Settlement(a_settlement()),
            RecordKind::Settlement,
            settlement,
            "8121ce0dab685db4750ec336824906aa99a858971e47b550ed8552aa80925c8a",
        ),
        (
            an_end_without_verdict(),
            RecordKind::Settlement,
            failed,
            "d88dec3e0653ce935b9e42f8627a510888874a8b826de6d8d2793151cac62761",
        ),
    ];
    all.extend(signed::vectors());
    all
}

#[test]
fn the_bytes_and_digests_of_every_kind_are_fixed() {
    for (record, kind, fields, digest) in vectors() {
        assert_eq!(
            hex::encode(record.to_bytes()),
            VERSION.to_owned() + &fields.concat()
        );
        assert_eq!(hex::encode(record.digest().0), digest, "{kind:?}");
        assert_eq!(record.kind(), kind);
    }
}

#[test]
fn what_is_encoded_is_read_back() {
    for (record, ..) in vectors() {
        assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
    }
}

#[test]
fn another_version_is_refused() {
    for (record, kind, ..) in vectors() {
        let body = &record.to_bytes()[VERSION.len() / 2..];
        for version in ["violet/record/2", "violet/record/", ""] {
            let other = [version.encode().as_slice(), body].concat();
            let refusal = Record::from_bytes(&other).unwrap_err().to_string();
            assert!(refusal.contains("version"), "{kind:?}: {refusal}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for (record, kind, ..) in vectors() {
        for tail in [&[0u8][..], &[0xff; 3]] {
            let longer = [&record.to_bytes(), tail].concat();
            let refusal = Record::from_bytes(&longer).unwrap_err().to_string();
            assert!(refusal.contains("after the end"), "{kind:?}: {refusal}");
        }
    }
}

#[test]
fn a_truncated_record_is_refused_wherever_it_ends() {
    for (record, kind, ..) in vectors() {
        let bytes = record.to_bytes();
        for end in 0..bytes.len() {
            assert!(
                Record::from_bytes(&bytes[..end]).is_err(),
                "{kind:?} of {end} bytes"
            );
        }
    }
}

#[test]
fn values_that_do_not_exist_are_refused() {
    let bytes = Record::Settlement(a_settlement()).to_bytes();
    let version = VERSION.len() / 2;
    // Kind, then netuid and task, then the outcome.
    for (place, first_unknown) in [(version, 6u8), (version + 1 + 2 + 16, 9)] {
        for value in [first_unknown, 0xff] {
            let mut changed = bytes.clone();
            changed[place] = value;
            assert!(Record::from_bytes(&changed).is_err(), "{value} at {place}");
        }
    }
}

#[test]
fn a_length_that_the_bytes_do_not_hold_takes_no_memory() {
    // A candidate set that claims 2^30 − 1 candidates, in 70 bytes.
    let set = a_candidate_set().to_bytes();
    let count = set.len() - 1 - 2 * 82;
    let claim = [&set[..count], &[0xfe, 0xff, 0xff, 0xff]].concat();
    assert!(Record::from_bytes(&claim).is_err());
}

#[test]
fn every_change_of_a_byte_changes_the_record() {
    // Canonical: one record has one encoding. What another sequence of bytes decodes to encodes to that sequence.
    for (record, kind, ..) in vectors() {
        let bytes = record.to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(other) = Record::from_bytes(&changed) {
                assert_ne!(other, record, "{kind:?} at {at}");
                assert_eq!(other.to_bytes(), changed, "{kind:?} at {at}");
            }
        }
    }
}

#[test]
fn a_draw_of_ten_slots_has_at_most_a_thousand_bytes() {
    // A full subnet: whoever was not chosen filled up since the set was frozen.
    let draw = draw_of((0..10).collect(), (10..256).collect(), (0..10).collect());
    let size = draw.to_bytes().len();
    assert!(size <= 1000, "{size} bytes");
}

#[test]
fn server_and_neurons_sign_the_same_bytes_for_an_answer() {
    let task = uuid::Uuid::from_u128(TASK);
    let output = serde_json::json!({"translated_text": "La casa es roja."});
    let canonical = concat!(
        r#"{"engine":"apertium","model_id":"apertium/eng-spa","#,
        r#""output":{"translated_text":"La casa es roja."}}"#
    );
    let digest = signing::answer_digest(canonical.as_bytes());
    assert_eq!(
        hex::encode(digest),
        "ce2594e034dac1749be771fc4ef8c13569b3eb229581b7fe9a2227fc6e22a7c5"
    );
    assert_eq!(
        neuron::answer_digest("apertium", "apertium/eng-spa", &output).unwrap(),
        digest
    );
    let message = signing::answer_message(0x0102, TaskId::from(task), digest);
    assert_eq!(
        hex::encode(&message),
        [
            // "violet/answer/1", netuid, task id, digest.
            "76696f6c65742f616e737765722f31",
            "0201",
            "0192f0c12a3b7c4d8e5f60718293a4b5",
            "ce2594e034dac1749be771fc4ef8c13569b3eb229581b7fe9a2227fc6e22a7c5",
        ]
        .concat()
    );
    assert_eq!(neuron::answer_message(NetUid(0x0102), task, &digest), message);
}

#[test]
fn server_and_neurons_sign_the_same_bytes_for_an_evaluation() {
    let task = uuid::Uuid::from_u128(TASK);
    let sets: [Vec<(Hotkey, Option<u16>)>; 3] = [
        vec![(Hotkey([0xee; 32]), None), (Hotkey([0x11; 32]), Some(61_234))],
        vec![],
        (0..10u16)
            .map(|at| (Hotkey([u8::try_from(255 - 7 * at).unwrap(); 32]), Some(at * 7000)))
            .collect(),
    ];
    for scores in sets {
        let message = signing::evaluation_message(7, TaskId::from(task), &scores);
        let digest = neuron::evaluation_digest(scores.clone());
        assert_eq!(neuron::evaluation_message(NetUid(7), task, &digest), message);
        let turned: Vec<_> = scores.iter().rev().copied().collect();
        assert_eq!(
            signing::evaluation_message(7, TaskId::from(task), &turned),
            message
        );
    }
    let pair = [(Hotkey([0xee; 32]), None), (Hotkey([0x11; 32]), Some(61_234))];
    assert_eq!(
        hex::encode(signing::evaluation_message(1, TaskId::from(task), &pair)),
        [
            // "violet/evaluation/1", netuid, task id, and BLAKE2b-256 of 08 ‖ 11…11 ‖ 0132ef ‖ ee…ee ‖ 00.
            "76696f6c65742f6576616c756174696f6e2f31",
            "0100",
            "0192f0c12a3b7c4d8e5f60718293a4b5",
            "aad826fedc5adb0d11482ba5cc43ab788194ce569fea29bd924c97161709537c",
        ]
        .concat()
    );
}

#[test]
fn a_capability_without_target_or_with_a_model_is_told_apart() {
    let with = |target: Option<&str>, model: Option<&str>| Capability {
        task_type: TaskType::TextTranslation,
        source_language: "en".into(),
        target_language: target.map(Into::into),
        model: model.map(Into::into),
    };
    let all = [
        with(None, None),
        with(Some("es"), None),
        with(None, Some("es")),
        with(Some("es"), Some("es")),
    ];
    let mut bytes: Vec<Vec<u8>> = all.iter().map(Encode::encode).collect();
    for (capability, bytes) in all.iter().zip(&bytes) {
        assert_eq!(Capability::decode(&mut &bytes[..]).as_ref(), Ok(capability));
    }
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), all.len());
}
