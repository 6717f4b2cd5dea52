//! Signed requests: vectors made by other implementations, and every way in which ours is stricter.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use violet_chain::btauth::{AuthError, Claim, EMPTY_BODY_SHA256, RequestLine, Rules, sign};
use violet_chain::{CryptoType, Hotkey, Keypair};

/// The nonce of every vector: 2025-07-09T16:00:00Z.
const NONCE: u64 = 1_752_076_800_000_000_000;
const SECOND: u64 = 1_000_000_000;
const BODY: &[u8] = br#"{"prompt": "hello"}"#;
const TARGET: &str = "/generate?stream=false";

#[derive(Deserialize)]
struct Vector {
    name: String,
    uri: String,
    crypto: CryptoType,
    method: String,
    target: String,
    body: String,
    headers: BTreeMap<String, String>,
    server: Hotkey,
    expect: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("data/btauth.json")).unwrap()
}

fn rules(receiver: Hotkey, now_ns: u64) -> Rules {
    Rules {
        receiver,
        now_ns,
        max_age: Duration::from_secs(10),
        max_ahead: Duration::from_secs(2),
    }
}

fn claim<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Claim, AuthError> {
    Claim::from_headers(headers.into_iter().map(|(name, value)| (name, value.as_bytes())))
}

fn key(uri: &str) -> Keypair {
    Keypair::from_uri(uri, CryptoType::Sr25519).unwrap()
}

fn line<'a>(method: &'a str, target: &'a str, body: &[u8]) -> RequestLine<'a> {
    RequestLine {
        method,
        target,
        body_sha256: Sha256::digest(body).into(),
    }
}

/// Alice's headers for Bob, each replaceable.
struct Signed(Vec<(&'static str, String)>);

impl Signed {
    fn new() -> Self {
        Self(sign(
            &key("//Alice"),
            &line("POST", TARGET, BODY),
            &key("//Bob").hotkey(),
            NONCE,
        ))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let at = self.0.iter().position(|(header, _)| *header == name).unwrap();
        value.clone_into(&mut self.0[at].1);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(header, _)| *header != name);
        self
    }

    fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    fn get(&self, name: &str) -> &str {
        &self.0.iter().find(|(header, _)| *header == name).unwrap().1
    }

    fn claim(&self) -> Result<Claim, AuthError> {
        claim(self.0.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn check(&self) -> Result<(), AuthError> {
        self.claim()?
            .verify(&line("POST", TARGET, BODY), &rules(key("//Bob").hotkey(), NONCE))
    }

    fn malformed(&self) -> &'static str {
        match self.claim() {
            Err(AuthError::Malformed(what)) => what,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn vectors_of_other_implementations_behave_as_stated() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 12);
    for vector in vectors {
        let headers = vector
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let request = line(&vector.method, &vector.target, vector.body.as_bytes());
        let outcome = claim(headers).and_then(|claim| {
            assert_eq!(
                claim.hotkey,
                Keypair::from_uri(&vector.uri, vector.crypto).unwrap().hotkey()
            );
            assert_eq!((claim.crypto, claim.nonce), (vector.crypto, NONCE));
            claim.verify(&request, &rules(vector.server, NONCE))
        });
        let outcome = match outcome {
            Ok(()) => "ok",
            Err(AuthError::WrongReceiver) => "wrong receiver",
            Err(AuthError::BadSignature) => "bad signature",
            Err(AuthError::Malformed(_)) => "malformed",
            Err(other) => panic!("{}: {other}", vector.name),
        };
        assert_eq!(outcome, vector.expect, "{}", vector.name);
    }
}

#[test]
fn ed25519_signs_the_pinned_bytes() {
    let vector = vectors()
        .into_iter()
        .find(|vector| vector.crypto == CryptoType::Ed25519)
        .unwrap();
    let keypair = Keypair::from_uri(&vector.uri, CryptoType::Ed25519).unwrap();
    let headers = sign(
        &keypair,
        &line("POST", &vector.target, vector.body.as_bytes()),
        &vector.server,
        NONCE,
    );
    let headers: BTreeMap<String, String> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(headers, vector.headers);
}

#[test]
fn what_is_signed_verifies_and_sr25519_sends_no_crypto_header() {
    let signed = Signed::new();
    signed.check().unwrap();
    assert!(signed.0.iter().all(|(name, _)| *name != "X-Bittensor-Crypto"));
    Signed::new()
        .and("X-Bittensor-Crypto", "sr25519")
        .check()
        .unwrap();
}

#[test]
fn header_names_have_no_case_and_reserved_ones_steer_nothing() {
    let signed = Signed::new();
    let lower: Vec<(String, &str)> = signed
        .0
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.as_str()))
        .collect();
    claim(lower.iter().map(|(name, value)| (name.as_str(), *value))).unwrap();
    Signed::new()
        .and("X-Bittensor-Drand-Round", "1")
        .and("X-Bittensor-Randomness", "0x00")
        .and("timeout", "90000")
        .and("bt_header_dendrite_version", "7001000")
        .check()
        .unwrap();
}

#[test]
fn window_is_inclusive_at_both_ends() {
    let (claim, bob) = (Signed::new().claim().unwrap(), key("//Bob").hotkey());
    let at = |now| claim.verify(&line("POST", TARGET, BODY), &rules(bob, now));
    assert_eq!(at(NONCE + 10 * SECOND), Ok(()));
    assert_eq!(at(NONCE + 10 * SECOND + 1), Err(AuthError::Stale));
    assert_eq!(at(NONCE - 2 * SECOND), Ok(()));
    assert_eq!(at(NONCE - 2 * SECOND - 1), Err(AuthError::Future));
    assert_eq!(at(0), Err(AuthError::Future));
    assert_eq!(at(u64::MAX), Err(AuthError::Stale));
}

#[test]
fn order_of_checks_is_receiver_window_signature() {
    let mut claim = Signed::new().claim().unwrap();
    claim.signature = [0; 64];
    let (bob, charlie) = (key("//Bob").hotkey(), key("//Charlie").hotkey());
    let late = NONCE + 60 * SECOND;
    let request = line("POST", TARGET, BODY);
    assert_eq!(
        claim.verify(&request, &rules(charlie, late)),
        Err(AuthError::WrongReceiver)
    );
    assert_eq!(claim.verify(&request, &rules(bob, late)), Err(AuthError::Stale));
    assert_eq!(
        claim.verify(&request, &rules(bob, NONCE)),
        Err(AuthError::BadSignature)
    );
}

#[test]
fn every_part_of_the_request_is_bound() {
    let (claim, rules) = (
        Signed::new().claim().unwrap(),
        rules(key("//Bob").hotkey(), NONCE),
    );
    let bad = Err(AuthError::BadSignature);
    assert_eq!(claim.verify(&line("PUT", TARGET, BODY), &rules), bad);
    assert_eq!(claim.verify(&line("post", TARGET, BODY), &rules), bad);
    assert_eq!(
        claim.verify(&line("POST", "/generate?stream=true", BODY), &rules),
        bad
    );
    assert_eq!(claim.verify(&line("POST", "/generate", BODY), &rules), bad);
    assert_eq!(claim.verify(&line("POST", TARGET, b""), &rules), bad);
    let other = |change: fn(&mut Claim)| {
        let mut claim = claim;
        change(&mut claim);
        claim.verify(&line("POST", TARGET, BODY), &rules)
    };
    assert_eq!(other(|claim| claim.nonce += 1), bad);
    assert_eq!(other(|claim| claim.hotkey = Hotkey([1; 32])), bad);
    assert_eq!(other(|claim| claim.crypto = CryptoType::Ed25519), bad);
    assert_eq!(other(|claim| claim.signature[63] &= 0x7f), bad);
}

#[test]
fn no_header_at_all_is_missing_and_one_alone_is_malformed() {
    assert_eq!(claim([]), Err(AuthError::Missing));
    assert_eq!(
        claim([("Authorization", "Bearer x"), ("X-Bittensor", "1")]),
        Err(AuthError::Missing)
    );
    assert!(matches!(
        claim([("X-Bittensor-Randomness", "1")]),
        Err(AuthError::Malformed(_))
    ));
    for name in [
        "X-Bittensor-Version",
        "X-Bittensor-Hotkey",
        "X-Bittensor-Nonce",
        "X-Bittensor-Signature",
    ] {
        assert_eq!(
            Signed::new().without(name).malformed(),
            format!("{name} is missing")
        );
    }
    assert_eq!(
        Signed::new().without("X-Bittensor-Receiver").check(),
        Err(AuthError::WrongReceiver)
    );
}

#[test]
fn doubled_header_is_malformed_even_when_equal() {
    for (name, value) in Signed::new().0 {
        let what = Signed::new().and(name, &value).malformed();
        assert_eq!(what, format!("{name} is given twice"));
    }
    let crypto = Signed::new()
        .and("X-Bittensor-Crypto", "sr25519")
        .and("x-bittensor-crypto", "sr25519");
    assert_eq!(crypto.malformed(), "X-Bittensor-Crypto is given twice");
}

#[test]
fn version_and_crypto_have_one_spelling() {
    for version in ["", "0", "2", "01", "1.0", " 1"] {
        assert_eq!(
            Signed::new().with("X-Bittensor-Version", version).malformed(),
            "X-Bittensor-Version is not 1"
        );
    }
    for crypto in ["", "0", "1", "SR25519", "Ed25519", "ecdsa", "ml-dsa-65"] {
        let what = Signed::new().and("X-Bittensor-Crypto", crypto).malformed();
        assert_eq!(what, "X-Bittensor-Crypto is neither sr25519 nor ed25519");
    }
}

#[test]
fn nonce_is_plain_digits() {
    for nonce in [
        "",
        "1752_076800000000000",
        "+1752076800000000000",
        "-1",
        " 1752076800000000000",
        "1752076800000000000.0",
        "1.7e18",
        "0x1850",
        "01752076800000000000",
        "18446744073709551616",
        "١٧٥٢",
    ] {
        let what = Signed::new().with("X-Bittensor-Nonce", nonce).malformed();
        assert!(what.starts_with("X-Bittensor-Nonce"), "{nonce}: {what}");
    }
}

#[test]
fn signature_is_0x_and_lower_case_hex() {
    let good = Signed::new().get("X-Bittensor-Signature").to_owned();
    for signature in [
        good[2..].to_owned(),
        good.to_uppercase(),
        format!("0x{}", good[2..].to_uppercase()),
        good[..good.len() - 2].to_owned(),
        format!("{good}00"),
        format!("0x{}", "zz".repeat(64)),
    ] {
        let what = Signed::new()
            .with("X-Bittensor-Signature", &signature)
            .malformed();
        assert!(
            what.starts_with("X-Bittensor-Signature is not"),
            "{signature}: {what}"
        );
    }
}

#[test]
fn empty_signature_is_never_let_through() {
    for signature in ["", "0x"] {
        let signed = Signed::new().with("X-Bittensor-Signature", signature);
        assert_eq!(signed.malformed(), "X-Bittensor-Signature is empty");
    }
    let zero = format!("0x{}", "0".repeat(128));
    assert_eq!(
        Signed::new().with("X-Bittensor-Signature", &zero).check(),
        Err(AuthError::BadSignature)
    );
}

#[test]
fn other_spellings_of_an_address_are_refused() {
    // Alice under prefix 0, and with a byte of her address changed.
    for alias in [
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX",
        "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
        "",
        "-",
    ] {
        let what = Signed::new().with("X-Bittensor-Hotkey", alias).malformed();
        assert_eq!(what, "X-Bittensor-Hotkey is not an SS58 address with prefix 42");
        let what = Signed::new().with("X-Bittensor-Receiver", alias).malformed();
        assert_eq!(what, "X-Bittensor-Receiver is not an SS58 address with prefix 42");
    }
}

#[test]
fn wrapped_message_is_refused() {
    let alice = key("//Alice");
    let bob = key("//Bob").hotkey();
    let message = format!(
        "<Bytes>btauth/1\nsr25519\nPOST\n{TARGET}\n{}\n{NONCE}\n{}\n{bob}</Bytes>",
        hex::encode(Sha256::digest(BODY)),
        alice.hotkey(),
    );
    let signature = format!("0x{}", hex::encode(alice.sign(message.as_bytes())));
    let signed = Signed::new().with("X-Bittensor-Signature", &signature);
    assert_eq!(signed.check(), Err(AuthError::BadSignature));
}

#[test]
fn digest_of_nothing_is_the_constant() {
    assert_eq!(<[u8; 32]>::from(Sha256::digest(b"")), EMPTY_BODY_SHA256);
}
