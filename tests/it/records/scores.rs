//! Settlements: how large they get, and the one way to write which answers were scored.
use violet::domain::records::{Answer, Authentication, Evaluation, Record, Settlement};
use violet_chain::Hotkey;

use super::{a_settlement, an_end_without_verdict};

fn settlement_of(answers: u8, evaluations: u8) -> Record {
    let whole = a_settlement();
    Record::Settlement(Settlement {
        answers: (0..answers)
            .map(|at| Answer {
                hotkey: Hotkey([at; 32]),
                consensus: Some(1),
                ..whole.answers[0].clone()
            })
            .collect(),
        evaluations: (0..evaluations)
            .map(|at| Evaluation {
                hotkey: Hotkey([at; 32]),
                scores: vec![Some(1); answers.into()],
                ..whole.evaluations[0].clone()
            })
            .collect(),
        ..whole
    })
}

/// How many bytes a settlement with these answers and evaluations has above 512 and 128 per signature.
fn excess(answers: u8, evaluations: u8) -> usize {
    let size = settlement_of(answers, evaluations).to_bytes().len();
    size.saturating_sub(512 + 128 * (usize::from(answers) + usize::from(evaluations)))
}

#[test]
fn a_settlement_has_512_bytes_and_128_per_signature() {
    for answers in 0..=10 {
        for evaluations in 0..=64 {
            let excess = excess(answers, evaluations);
            assert_eq!(excess, 0, "{answers} answers and {evaluations} evaluations");
        }
    }
    // Ten answers of 133 bytes, 64 evaluations of 128, and 66 beside them.
    assert_eq!(settlement_of(10, 64).to_bytes().len(), 10 * 133 + 64 * 128 + 66);
}

#[test]
fn what_a_key_authenticates_takes_a_byte_in_place_of_a_signature() {
    let Record::Settlement(signed) = settlement_of(10, 64) else {
        panic!("not a settlement")
    };
    let size = |settlement: &Settlement| Record::Settlement(settlement.clone()).to_bytes().len();
    let mut mixed = signed.clone();
    mixed.answers[3].authentication = Authentication::Key;
    mixed.evaluations[5].authentication = Authentication::Key;
    // The tag stays; scheme and signature go.
    assert_eq!(size(&mixed), size(&signed) - 2 * 65);
    let record = Record::Settlement(mixed);
    assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
}

/// The same settlement with another number of answers and these scores.
fn scored(answers: usize, scores: Vec<Option<u16>>) -> Settlement {
    let whole = a_settlement();
    Settlement {
        answers: vec![whole.answers[0].clone(); answers],
        evaluations: vec![Evaluation {
            scores,
            ..whole.evaluations[0].clone()
        }],
        ..whole
    }
}

/// What stands between the stake and the signature of the only evaluation.
fn scores_in(settlement: &Settlement) -> String {
    let bytes = Record::Settlement(settlement.clone()).to_bytes();
    let from = 16 + 1 + 2 + 16 + 1 + 1 + 2 + 16 + 1 + 133 * settlement.answers.len() + 1 + 32 + 8;
    hex::encode(&bytes[from..bytes.len() - 66 - 8])
}

#[test]
fn scores_are_bits_and_the_numbers_that_there_are() {
    for (scores, bytes) in [
        (vec![], "0000"),
        (vec![None], "0000"),
        (vec![Some(0)], "01000000"),
        (vec![None, Some(0x0102)], "02000201"),
        (vec![Some(0xffff), None, Some(3)], "0500ffff0300"),
        (vec![None; 10], "0000"),
        (vec![Some(1); 10], "ff030100010001000100010001000100010001000100"),
        ([vec![None; 15], vec![Some(9)]].concat(), "00800900"),
    ] {
        let settlement = scored(scores.len(), scores);
        assert_eq!(scores_in(&settlement), bytes);
        let record = Record::Settlement(settlement);
        assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
    }
}

#[test]
fn bits_without_an_answer_and_answers_without_a_bit_are_refused() {
    let settlement = scored(2, vec![Some(7), None]);
    let bytes = Record::Settlement(settlement.clone()).to_bytes();
    let bits = bytes.len() - 8 - 66 - 2 - 2;
    assert_eq!(bytes[bits..bits + 4], [1, 0, 7, 0]);
    for (at, bit) in [(bits, 4), (bits, 0x80), (bits + 1, 1), (bits + 1, 0x80)] {
        let mut changed = bytes.clone();
        changed[at] |= bit;
        // The number that the bit promises, so that nothing but the bit is wrong.
        changed.splice(bits + 4..bits + 4, [0, 0]);
        let refusal = Record::from_bytes(&changed).unwrap_err().to_string();
        assert!(refusal.contains("not there"), "{at} {bit}: {refusal}");
    }
    let mut second = bytes;
    second[bits] |= 2;
    second.splice(bits + 4..bits + 4, [8, 0]);
    let second = Record::from_bytes(&second).unwrap();
    assert_eq!(second, Record::Settlement(scored(2, vec![Some(7), Some(8)])));

    let sixteen = scored(16, vec![Some(1); 16]);
    let decoded = Record::from_bytes(&Record::Settlement(sixteen.clone()).to_bytes());
    assert_eq!(decoded.unwrap(), Record::Settlement(sixteen));
    let more = Record::Settlement(scored(17, vec![None; 17]));
    let refusal = Record::from_bytes(&more.to_bytes()).unwrap_err().to_string();
    assert!(refusal.contains("16 answers"), "{refusal}");
}

#[test]
fn a_count_of_evaluations_that_the_bytes_do_not_hold_takes_no_memory() {
    let none = an_end_without_verdict().to_bytes();
    let count = none.len() - 8 - 1;
    let claim = [&none[..count], &[0xfe, 0xff, 0xff, 0xff]].concat();
    assert!(Record::from_bytes(&claim).is_err());
}

#[test]
fn scores_read_as_a_list_in_json() {
    let json = serde_json::to_value(Record::Settlement(a_settlement())).unwrap();
    assert_eq!(
        json["evaluations"][0]["scores"],
        serde_json::json!([61_234, null, 3])
    );
}
