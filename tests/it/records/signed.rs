//! Settlements of the time when everything was signed: their bytes, and that they say the same as the later ones.
use serde_json::json;
use violet::domain::records::{
    Answer, Authentication, Digest, Evaluation, Record, RecordKind, Settlement, Signed,
};
use violet_chain::{CryptoType, Hotkey};

use super::{TAO, TASK, Vector, a_settlement, an_end_without_verdict, run, signature};

fn a_signed_settlement() -> Settlement<Signed> {
    let answer = |hotkey, digest, signature, consensus| Answer {
        hotkey: Hotkey([hotkey; 32]),
        digest: Digest([digest; 32]),
        authentication: Signed { signature },
        consensus,
    };
    let Settlement {
        netuid,
        task,
        outcome,
        reason,
        threshold,
        eligible_stake,
        at,
        ..
    } = a_settlement();
    Settlement {
        netuid,
        task,
        outcome,
        reason,
        threshold,
        eligible_stake,
        answers: vec![
            answer(1, 0x31, signature(CryptoType::Sr25519, 0x41), Some(61_234)),
            answer(2, 0x32, signature(CryptoType::Ed25519, 0x42), None),
        ],
        evaluations: vec![Evaluation {
            hotkey: Hotkey([0x91; 32]),
            stake: 51_799 * TAO,
            scores: vec![Some(61_234), None],
            authentication: Signed {
                signature: signature(CryptoType::Sr25519, 0x51),
            },
        }],
        at,
    }
}

fn a_failure() -> Settlement<Signed> {
    let Record::Settlement(Settlement { outcome, reason, .. }) = an_end_without_verdict() else {
        panic!("not a settlement")
    };
    Settlement {
        outcome,
        reason,
        eligible_stake: 0,
        answers: vec![],
        evaluations: vec![],
        ..a_signed_settlement()
    }
}

/// As they were recorded: receipts of them are out there.
pub(super) fn vectors() -> Vec<Vector> {
    let task = hex::encode(TASK.to_be_bytes());
    let settlement = vec![
        "04".to_owned() + "0100" + &task,
        // Approved is state 5, no reason.
        "05".to_owned() + "00" + "cc4c" + "00faec32ad6000000000000000000000",
        "08".into(),
        run(1, 32) + &run(0x31, 32) + "00" + &run(0x41, 64) + "0132ef",
        run(2, 32) + &run(0x32, 32) + "01" + &run(0x42, 64) + "00",
        "04".into(),
        // The first of two answers was scored.
        run(0x91, 32) + "00a6fe641c2f0000" + "0100" + "32ef" + "00" + &run(0x51, 64),
        "c8bf22a19a010000".into(),
    ];
    let failed = vec![
        "04".to_owned() + "0100" + &task,
        // Failed is state 7, NoAnswer is reason 1.
        "07".to_owned() + "0101" + "cc4c" + &run(0, 16),
        "0000".into(),
        "c8bf22a19a010000".into(),
    ];
    vec![
        (
            Record::SignedSettlement(a_signed_settlement()),
            RecordKind::Settlement,
            settlement,
            "334b9137c732263dc6516630650af1a6a7ca13b0a553c1ab8bc5626cdf01d66a",
        ),
        (
            Record::SignedSettlement(a_failure()),
            RecordKind::Settlement,
            failed,
            "2a7754eeed4a6a96512bfb4aae76c625e49004267e630adb2160db442aa2c165",
        ),
    ]
}

#[test]
fn what_receipts_show_of_a_settlement_names_what_authenticates_and_did_not_change_for_old_ones() {
    let old = json!(Record::SignedSettlement(a_signed_settlement()));
    let scheme = |crypto, byte| json!({ "crypto": crypto, "bytes": run(byte, 64) });
    assert_eq!(old["kind"], "settlement");
    assert_eq!(
        old["answers"][1],
        json!({
            "hotkey": Hotkey([2; 32]), "digest": run(0x32, 32), "signature": scheme("ed25519", 0x42), "consensus": null,
        })
    );
    assert_eq!(
        old["evaluations"][0],
        json!({
            "hotkey": Hotkey([0x91; 32]), "stake": 51_799 * TAO, "scores": [61_234, null],
            "signature": scheme("sr25519", 0x51),
        })
    );

    let new = json!(Record::Settlement(a_settlement()));
    assert_eq!(new["kind"], "settlement");
    assert_eq!(
        new["answers"][1],
        json!({
            "hotkey": Hotkey([2; 32]), "digest": run(0x32, 32), "authenticated_by": "signature",
            "signature": scheme("ed25519", 0x42), "consensus": null,
        })
    );
    assert_eq!(
        new["answers"][2],
        json!({
            "hotkey": Hotkey([3; 32]), "digest": run(0x33, 32), "authenticated_by": "key", "consensus": 3,
        })
    );
    assert_eq!(new["evaluations"][0]["authenticated_by"], "signature");
    assert_eq!(
        new["evaluations"][1],
        json!({
            "hotkey": Hotkey([0x92; 32]), "stake": 1, "scores": [null, null, null], "authenticated_by": "key",
        })
    );
}

#[test]
fn an_old_settlement_says_the_same_as_a_new_one_in_which_all_is_signed() {
    let old = Record::SignedSettlement(a_signed_settlement());
    let read = old.settlement().expect("a settlement").into_owned();
    let mut signed = a_settlement();
    signed.answers.pop();
    signed.evaluations.pop();
    signed.evaluations[0].scores.pop();
    assert_eq!(read, signed);
    let new = Record::Settlement(read);
    assert_eq!(new.settlement().as_deref(), old.settlement().as_deref());
    assert_ne!(new.digest(), old.digest());
    let keyless = |one: &Authentication| *one != Authentication::Key;
    assert!(
        signed
            .answers
            .iter()
            .all(|answer| keyless(&answer.authentication))
    );
}
