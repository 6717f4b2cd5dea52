//! The schemes besides `btauth/1`: what each binds, and every way in which ours is stricter.

mod spelling;
mod vectors;

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;
use violet_chain::auth::{AuthError, Body, Claim, Request, Scheme};
use violet_chain::btauth::{self, RequestLine, Rules};
use violet_chain::{CryptoType, Hotkey, Keypair, VerifyingKey};

/// When the vectors were signed, and those of milliseconds 123 ms later: 2025-07-09T16:00:00Z.
const NOW: u64 = 1_752_076_800_000_000_000;
const MILLIS: u64 = 1_752_076_800_123;
const SECOND: u64 = 1_000_000_000;
const BODY: &[u8] = br#"{"prompt": "hello"}"#;
const PURPOSE: &str = "registry";
const UUID: &str = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
const OTHERS: [Scheme; 4] = [Scheme::Epistula2, Scheme::Chutes, Scheme::Fiber, Scheme::Synapse];

fn key(uri: &str) -> Keypair {
    Keypair::from_uri(uri, CryptoType::Sr25519).unwrap()
}

fn bob() -> Hotkey {
    key("//Bob").hotkey()
}

fn rules(receiver: Hotkey, now_ns: u64) -> Rules {
    Rules {
        receiver,
        now_ns,
        max_age: Duration::from_secs(10),
        max_ahead: Duration::from_secs(2),
    }
}

fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Claim, AuthError> {
    let headers: Vec<(&str, &[u8])> = headers
        .into_iter()
        .map(|(name, value)| (name, value.as_bytes()))
        .collect();
    Claim::read(&headers)
}

fn request(body: &[u8]) -> Request<'_> {
    Request {
        method: "POST",
        target: "/any",
        body: Body::Whole(body),
        purpose: PURPOSE,
    }
}

fn check(claim: &Claim, body: &[u8], rules: &Rules) -> Result<(), AuthError> {
    claim.check(rules)?;
    let key = VerifyingKey::new(claim.crypto, &claim.hotkey).unwrap();
    claim.verify(&request(body), &key)
}

/// Alice's headers for Bob in some scheme, each replaceable.
#[derive(Clone)]
struct Signed(Scheme, Vec<(&'static str, String)>);

impl Signed {
    fn new(scheme: Scheme, body: &[u8]) -> Self {
        let (alice, bob) = (key("//Alice"), bob());
        let from = alice.hotkey();
        let sha256 = hex::encode(Sha256::digest(body));
        let sign = |message: String| hex::encode(alice.sign(message.as_bytes()));
        let headers = match scheme {
            Scheme::Btauth1 => {
                let line = RequestLine {
                    method: "POST",
                    target: "/any",
                    body_sha256: Sha256::digest(body).into(),
                };
                btauth::sign(&alice, &line, &bob, NOW)
            }
            Scheme::Epistula2 => vec![
                ("Epistula-Version", "2".into()),
                ("Epistula-Timestamp", MILLIS.to_string()),
                ("Epistula-Uuid", UUID.into()),
                ("Epistula-Signed-By", from.to_string()),
                ("Epistula-Signed-For", bob.to_string()),
                (
                    "Epistula-Request-Signature",
                    format!("0x{}", sign(format!("{sha256}.{UUID}.{MILLIS}.{bob}"))),
                ),
            ],
            Scheme::Chutes => {
                let what = if body.is_empty() { PURPOSE } else { sha256.as_str() };
                let seconds = NOW / SECOND;
                vec![
                    ("X-Chutes-Hotkey", from.to_string()),
                    ("X-Chutes-Nonce", seconds.to_string()),
                    ("X-Chutes-Signature", sign(format!("{from}:{seconds}:{what}"))),
                ]
            }
            Scheme::Fiber => vec![
                ("validator-hotkey", from.to_string()),
                ("miner-hotkey", bob.to_string()),
                ("nonce", format!("{NOW}_aZ3kQ9pL0x")),
                (
                    "signature",
                    format!("0x{}", sign(format!("{NOW}_aZ3kQ9pL0x:{bob}:{sha256}"))),
                ),
            ],
            Scheme::Synapse => {
                let fields = if body.is_empty() {
                    String::new()
                } else {
                    hex::encode(Sha3_256::digest(body))
                };
                let hash = hex::encode(Sha3_256::digest(fields));
                let message = format!("{NOW}.{from}.{bob}.{UUID}.{hash}");
                vec![
                    ("bt_header_dendrite_hotkey", from.to_string()),
                    ("bt_header_axon_hotkey", bob.to_string()),
                    ("bt_header_dendrite_nonce", NOW.to_string()),
                    ("bt_header_dendrite_uuid", UUID.into()),
                    ("computed_body_hash", hash),
                    ("bt_header_dendrite_signature", format!("0x{}", sign(message))),
                ]
            }
        };
        Self(scheme, headers)
    }

    /// The names of sender, receiver, time and signature.
    fn names(&self) -> [&'static str; 4] {
        match self.0 {
            Scheme::Btauth1 => [
                "X-Bittensor-Hotkey",
                "X-Bittensor-Receiver",
                "X-Bittensor-Nonce",
                "X-Bittensor-Signature",
            ],
            Scheme::Epistula2 => [
                "Epistula-Signed-By",
                "Epistula-Signed-For",
                "Epistula-Timestamp",
                "Epistula-Request-Signature",
            ],
            Scheme::Chutes => [
                "X-Chutes-Hotkey",
                "X-Chutes-Miner",
                "X-Chutes-Nonce",
                "X-Chutes-Signature",
            ],
            Scheme::Fiber => ["validator-hotkey", "miner-hotkey", "nonce", "signature"],
            Scheme::Synapse => [
                "bt_header_dendrite_hotkey",
                "bt_header_axon_hotkey",
                "bt_header_dendrite_nonce",
                "bt_header_dendrite_signature",
            ],
        }
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        let header = changed.1.iter_mut().find(|(header, _)| *header == name);
        value.clone_into(&mut header.unwrap().1);
        changed
    }

    fn and(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.1.push((name, value.to_owned()));
        changed
    }

    fn without(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.1.retain(|(header, _)| *header != name);
        changed
    }

    fn get(&self, name: &str) -> &str {
        &self.1.iter().find(|(header, _)| *header == name).unwrap().1
    }

    fn claim(&self) -> Result<Claim, AuthError> {
        read(self.1.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn check(&self, body: &[u8]) -> Result<(), AuthError> {
        check(&self.claim()?, body, &rules(bob(), NOW))
    }

    #[track_caller]
    fn assert_malformed(&self, name: &str, word: &str) {
        match self.claim() {
            Err(AuthError::Malformed { header, what }) if header == name && what.contains(word) => {}
            other => panic!("{name} {word}: {other:?}"),
        }
    }
}

#[test]
fn what_is_signed_verifies_with_and_without_a_body() {
    for scheme in Scheme::ALL {
        for body in [&b""[..], BODY] {
            let signed = Signed::new(scheme, body);
            signed.check(body).unwrap();
            let claim = signed.claim().unwrap();
            assert_eq!((claim.scheme, claim.crypto), (scheme, CryptoType::Sr25519));
            let lower: Vec<(String, &str)> = signed
                .1
                .iter()
                .map(|(name, value)| (name.to_lowercase(), value.as_str()))
                .collect();
            assert_eq!(
                read(lower.iter().map(|(name, value)| (name.as_str(), *value))),
                Ok(claim)
            );
        }
        assert_eq!(scheme.as_str().parse(), Ok(scheme));
    }
    assert!("epistula/1".parse::<Scheme>().is_err());
}

#[test]
fn a_declared_body_is_covered_where_the_scheme_has_its_digest() {
    for scheme in Scheme::ALL {
        let claim = Signed::new(scheme, BODY).claim().unwrap();
        let declared = Request {
            body: Body::Declared(Sha256::digest(BODY).into()),
            ..request(b"")
        };
        let key = VerifyingKey::new(claim.crypto, &claim.hotkey).unwrap();
        let expected = if scheme == Scheme::Synapse {
            Err(AuthError::Unbound)
        } else {
            Ok(())
        };
        assert_eq!(claim.verify(&declared, &key), expected, "{scheme}");
    }
}

#[test]
fn a_body_that_was_changed_added_or_taken_away_is_refused() {
    for scheme in OTHERS {
        let (with, without) = (Signed::new(scheme, BODY), Signed::new(scheme, b""));
        for (signed, body) in [
            (&with, &b"{\"prompt\": \"Hello\"}"[..]),
            (&with, b""),
            (&without, b"{}"),
        ] {
            let expected = if scheme == Scheme::Synapse {
                AuthError::Unbound
            } else {
                AuthError::BadSignature(signed.names()[3])
            };
            assert_eq!(signed.check(body), Err(expected), "{scheme}");
        }
    }
    // A hash that was made to fit a changed body is not the one that was signed.
    let other = Signed::new(Scheme::Synapse, b"{}");
    let signed = Signed::new(Scheme::Synapse, BODY);
    let forged = signed.with("computed_body_hash", other.get("computed_body_hash"));
    assert!(matches!(forged.check(b"{}"), Err(AuthError::BadSignature(_))));
}

#[test]
fn windows_are_inclusive_at_both_ends_and_nothing_unsigned_widens_them() {
    for scheme in OTHERS {
        let widened = Signed::new(scheme, BODY)
            .and("timeout", "90000")
            .and("header_size", "1")
            .and("x-max-age", "90000");
        let widened = match scheme {
            // SDK 10 takes the path of before 7.2 for this one, where nothing is too old.
            Scheme::Synapse => widened
                .and("bt_header_dendrite_version", "7001000")
                .and("bt_header_axon_version", "7001000"),
            Scheme::Epistula2 => widened.and("Epistula-Secret-Signature-0", "0x00"),
            _ => widened,
        };
        let [_, _, time, _] = widened.names();
        let claim = widened.claim().unwrap();
        let signed = claim.signed_ns;
        let at = |now| check(&claim, BODY, &rules(bob(), now));
        assert_eq!(at(signed + 10 * SECOND), Ok(()), "{scheme}");
        assert_eq!(at(signed + 10 * SECOND + 1), Err(AuthError::Stale(time)));
        assert_eq!(at(signed - 2 * SECOND), Ok(()), "{scheme}");
        assert_eq!(at(signed - 2 * SECOND - 1), Err(AuthError::Future(time)));
        assert_eq!(at(0), Err(AuthError::Future(time)));
        assert_eq!(at(u64::MAX), Err(AuthError::Stale(time)));
    }
    // Each in its unit.
    let times = OTHERS.map(|scheme| Signed::new(scheme, b"").claim().unwrap().signed_ns);
    assert_eq!(times, [MILLIS * 1_000_000, NOW, NOW, NOW]);
}

#[test]
fn a_receiver_that_is_named_must_be_us() {
    let charlie = rules(key("//Charlie").hotkey(), NOW);
    for scheme in [Scheme::Epistula2, Scheme::Fiber, Scheme::Synapse] {
        let signed = Signed::new(scheme, BODY);
        let [_, receiver, ..] = signed.names();
        let claim = signed.claim().unwrap();
        assert_eq!(
            check(&claim, BODY, &charlie),
            Err(AuthError::WrongReceiver(receiver))
        );
        // Its text is part of what is signed.
        let moved = signed.with(receiver, &charlie.receiver.to_string());
        assert!(matches!(
            check(&moved.claim().unwrap(), BODY, &charlie),
            Err(AuthError::BadSignature(_))
        ));
        if scheme == Scheme::Epistula2 {
            let unnamed = signed.without(receiver);
            assert_eq!(unnamed.claim().unwrap().receiver, None);
            assert!(matches!(unnamed.check(BODY), Err(AuthError::BadSignature(_))));
        } else {
            signed.without(receiver).assert_malformed(receiver, "is missing");
        }
    }
}

#[test]
fn headers_of_two_schemes_are_refused_and_of_none_as_well() {
    for (one, other) in [
        (Scheme::Btauth1, Scheme::Epistula2),
        (Scheme::Epistula2, Scheme::Fiber),
        (Scheme::Chutes, Scheme::Synapse),
    ] {
        let mut both = Signed::new(one, BODY);
        both.1.extend(Signed::new(other, BODY).1);
        assert_eq!(both.claim(), Err(AuthError::Mixed(one, other)));
        // One header of it is enough, and its place does not matter.
        let (name, value) = Signed::new(other, BODY).1.remove(0);
        let mut one_more = Signed::new(one, BODY);
        one_more.1.insert(0, (name, value));
        assert_eq!(one_more.claim(), Err(AuthError::Mixed(one, other)));
    }
    assert_eq!(read([]), Err(AuthError::Missing));
    assert_eq!(
        read([("nonce", "1"), ("signature", "sig1=:AA==:"), ("timeout", "12")]),
        Err(AuthError::Missing)
    );
    let both = Signed::new(Scheme::Chutes, b"")
        .and("X-Chutes-Validator", "x")
        .and("X-Chutes-Miner", "x");
    both.assert_malformed("X-Chutes-Hotkey", "another form");
}

#[test]
fn what_must_not_come_again_is_what_the_sender_made_unique() {
    for scheme in OTHERS {
        let claim = Signed::new(scheme, BODY).claim().unwrap();
        let again = Signed::new(scheme, b"").claim().unwrap();
        // Signed anew, with the same identifier; Chutes has none, and there the signature is it.
        let same = claim.once == again.once;
        assert_eq!(same, scheme != Scheme::Chutes, "{scheme}");
        assert_eq!(claim.signed_ns, again.signed_ns);
    }
    let unlike = |name: &str, value: &str, scheme| {
        let one = Signed::new(scheme, b"");
        assert_ne!(
            one.with(name, value).claim().unwrap().once,
            one.claim().unwrap().once
        );
    };
    let other = UUID.replace('b', "c");
    unlike("Epistula-Uuid", &other, Scheme::Epistula2);
    unlike("Epistula-Timestamp", "1752076800124", Scheme::Epistula2);
    unlike("bt_header_dendrite_uuid", &other, Scheme::Synapse);
    unlike("nonce", &format!("{NOW}_aZ3kQ9pL0y"), Scheme::Fiber);
}
