//! What the fuzz targets have in common: how bytes become a request, and what must hold of every request.
use std::time::Duration;

use violet_chain::{
    Hotkey, VerifyingKey,
    auth::{AuthError, Body, Claim, Request, Scheme},
    btauth::{self, RequestLine, Rules},
};

/// When the vectors were signed, in nanoseconds.
const NOW: u64 = 1_752_076_800_000_000_000;
/// For whom: `//Bob`.
const RECEIVER: [u8; 32] = [
    0x8e, 0xaf, 0x04, 0x15, 0x16, 0x87, 0x73, 0x63, 0x26, 0xc9, 0xfe, 0xa1, 0x7e, 0x25, 0xfc, 0x52, 0x87,
    0x61, 0x36, 0x93, 0xc9, 0x12, 0x90, 0x9c, 0xb2, 0x26, 0xaa, 0x47, 0x94, 0xf2, 0x6a, 0x48,
];
const PURPOSE: &str = "registry";

/// The headers that a scheme reads, in the order in which its target takes their values.
pub fn names(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::Btauth1 => &[
            "x-bittensor-version",
            "x-bittensor-hotkey",
            "x-bittensor-nonce",
            "x-bittensor-signature",
            "x-bittensor-receiver",
            "x-bittensor-crypto",
        ],
        Scheme::Epistula2 => &[
            "epistula-version",
            "epistula-signed-by",
            "epistula-uuid",
            "epistula-timestamp",
            "epistula-request-signature",
            "epistula-signed-for",
        ],
        Scheme::Chutes => &[
            "x-chutes-nonce",
            "x-chutes-signature",
            "x-chutes-hotkey",
            "x-chutes-validator",
            "x-chutes-miner",
        ],
        Scheme::Fiber => &[
            "validator-hotkey",
            "miner-hotkey",
            "nonce",
            "signature",
            "symmetric-key-uuid",
        ],
        Scheme::Synapse => &[
            "bt_header_dendrite_hotkey",
            "bt_header_axon_hotkey",
            "bt_header_dendrite_nonce",
            "bt_header_dendrite_uuid",
            "computed_body_hash",
            "bt_header_dendrite_signature",
        ],
    }
}

/// Lines of headers, an empty line, and a body.
pub fn any_headers(data: &[u8]) {
    let mut headers = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if let Ok(name) = std::str::from_utf8(name) {
            headers.push((name, value.get(2..).unwrap_or_default()));
        }
    }
    look(&headers, rest);
}

/// The values of a scheme's headers, one on each line (an empty one is no header), and a body.
pub fn headers_of(scheme: Scheme, data: &[u8]) {
    let names = names(scheme);
    let mut parts = data.splitn(names.len() + 1, |byte| *byte == b'\n');
    let headers: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (*name, parts.next().unwrap_or_default()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    look(&headers, parts.next().unwrap_or_default());
}

/// Reads and checks a request in every way, and holds what comes out against what must be.
fn look(headers: &[(&str, &[u8])], body: &[u8]) {
    let Ok(claim) = Claim::read(headers) else {
        return;
    };
    let receiver = Hotkey(RECEIVER);
    let rules = |now_ns| Rules {
        receiver,
        now_ns,
        max_age: Duration::from_secs(10),
        max_ahead: Duration::from_secs(2),
    };
    // Every address that was read is there in the one spelling that it has.
    for hotkey in [Some(claim.hotkey), claim.receiver].into_iter().flatten() {
        let text = hotkey.to_string();
        assert!(headers.iter().any(|(_, value)| *value == text.as_bytes()));
    }
    for now in [0, NOW, claim.signed_ns, u64::MAX] {
        if claim.check(&rules(now)).is_ok() {
            assert!(now.abs_diff(claim.signed_ns) <= 10_000_000_000);
            assert!(claim.receiver.is_none_or(|named| named == receiver));
        }
    }
    let request = |body| Request {
        method: "POST",
        target: "/generate?stream=false",
        body,
        purpose: PURPOSE,
    };
    let Some(key) = VerifyingKey::new(claim.crypto, &claim.hotkey) else {
        return;
    };
    let longer = [body, b" "].concat();
    let declared = Body::Declared(Body::Whole(body).sha256());
    let of_declared = claim.verify(&request(declared), &key);
    match claim.verify(&request(Body::Whole(body)), &key) {
        Ok(()) => {
            assert!(claim.verify(&request(Body::Whole(&longer)), &key).is_err());
            assert!(of_declared.is_ok() || of_declared == Err(AuthError::Unbound));
        }
        Err(AuthError::Unbound) => assert_eq!(claim.scheme, Scheme::Synapse),
        Err(AuthError::BadSignature(_)) => assert!(of_declared.is_err()),
        Err(other) => panic!("{other} without a look at the window"),
    }
    // The older way to verify says the same of the scheme that has two.
    if claim.scheme == Scheme::Btauth1 {
        let old = btauth::Claim::from_headers(headers.iter().copied()).expect("it was read");
        let line = RequestLine {
            method: "POST",
            target: "/generate?stream=false",
            body_sha256: Body::Whole(body).sha256(),
        };
        let rules = rules(claim.signed_ns);
        let new = claim
            .check(&rules)
            .and_then(|()| claim.verify(&request(Body::Whole(body)), &key));
        assert_eq!(old.verify(&line, &rules).is_ok(), new.is_ok());
    }
}
