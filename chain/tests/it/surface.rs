//! The list of what is read.

use violet_chain::surface::{Finding, Report, Status, Surface};

#[test]
fn bundled_list_is_whole() {
    let surface = Surface::bundled();
    let vital: Vec<String> = surface
        .storage
        .iter()
        .filter(|item| item.required && item.ways.is_empty())
        .map(|item| format!("{}.{}", item.pallet, item.entry))
        .collect();
    assert_eq!(
        vital,
        [
            "SubtensorModule.StakeThreshold",
            "SubtensorModule.TaoWeight",
            "Timestamp.Now"
        ]
    );
    let metagraph = surface
        .api
        .iter()
        .find(|item| item.method == "get_selective_metagraph")
        .unwrap();
    assert_eq!(
        metagraph
            .fields
            .iter()
            .filter(|field| field.index.is_some())
            .count(),
        21
    );
    assert!(surface.storage.iter().all(|item| !item.without.is_empty()));
    assert!(surface.api.iter().all(|item| !item.without.is_empty()));
}

#[test]
fn unknown_words_in_a_list_are_refused() {
    let list = "[[storage]]\npallet = 'A'\nentry = 'B'\nkeys = []\nvalue = 'u8'\nsince = 1\nwithout = ''\n";
    assert_eq!(Surface::parse(list).unwrap().storage.len(), 1);
    assert!(Surface::parse(&format!("{list}hasher = 'Identity'\n")).is_err());
}

#[test]
fn bytes_that_are_no_metadata_are_an_error() {
    for bytes in [&b""[..], b"meta", b"meta\x10", &[0xff; 64], &[0]] {
        assert!(Surface::bundled().check_metadata(bytes).is_err());
    }
}

#[test]
fn only_what_is_required_fails_a_report() {
    let finding = |status, required| Finding {
        item: "A.b".into(),
        status,
        ways: Vec::new(),
        required,
        without: "nothing works".into(),
    };
    let changed = Status::Changed {
        expected: "u64".into(),
        found: "u128".into(),
    };
    let report = |findings| Report {
        spec_version: 1,
        findings,
    };
    assert!(
        report(vec![
            finding(Status::Found, true),
            finding(Status::Missing, false)
        ])
        .is_ok()
    );
    let bad = report(vec![
        finding(Status::Found, true),
        finding(changed, true),
        finding(Status::Missing, true),
    ]);
    assert!(!bad.is_ok());
    assert_eq!(bad.problems().count(), 2);
    let text = bad.to_string();
    assert!(
        text.contains("CHANGED  A.b: u128 instead of u64 (nothing works)"),
        "{text}"
    );
    assert!(text.contains("MISSING  A.b (nothing works)"), "{text}");
}
