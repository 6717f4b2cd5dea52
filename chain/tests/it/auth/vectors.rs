//! Vectors made by other implementations: all of them raw, those of the schemes that are taken by their headers.

use std::collections::BTreeMap;

use serde::Deserialize;
use violet_chain::auth::AuthError;
use violet_chain::{CryptoType, Hotkey, VerifyingKey, verify};

use super::{NOW, bob, read, request, rules};

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    crypto: CryptoType,
    public_key: String,
    message: String,
    signature: String,
    valid: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

impl Vector {
    fn hotkey(&self) -> Hotkey {
        Hotkey(hex::decode(&self.public_key).unwrap().try_into().unwrap())
    }

    fn message(&self) -> Vec<u8> {
        hex::decode(&self.message).unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../data/auth.json")).unwrap()
}

#[test]
fn all_raw_vectors_verify_as_stated() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 38);
    assert_eq!(vectors.iter().filter(|vector| !vector.valid).count(), 6);
    for vector in vectors {
        let verified = <[u8; 64]>::try_from(hex::decode(&vector.signature).unwrap())
            .is_ok_and(|signature| verify(vector.crypto, &vector.hotkey(), &vector.message(), &signature));
        assert_eq!(verified, vector.valid, "{}", vector.name);
    }
}

#[test]
fn vectors_with_headers_behave_as_stated() {
    let mut seen = Vec::new();
    let vectors = vectors();
    for vector in vectors.iter().filter(|vector| !vector.headers.is_empty()) {
        let name = vector.name.as_str();
        let headers = vector
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let body = hex::decode(&vector.body).unwrap();
        let claim = match name {
            "dendrite-empty-signature-NEGATIVE" => {
                assert!(matches!(
                    read(headers),
                    Err(AuthError::Malformed { what: "is empty", .. })
                ));
                seen.push(name);
                continue;
            }
            "fiber-encrypted" => {
                assert!(matches!(read(headers), Err(AuthError::Malformed { header, .. })
                    if header == "symmetric-key-uuid"));
                seen.push(name);
                continue;
            }
            // It says what the other side is to know, and is no request.
            "axon-v10-response" => {
                assert!(matches!(read(headers), Err(AuthError::Malformed { .. })));
                seen.push(name);
                continue;
            }
            _ => read(headers).unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        assert_eq!(claim.hotkey, vector.hotkey(), "{name}");
        claim.check(&rules(bob(), NOW)).unwrap();
        let key = VerifyingKey::new(claim.crypto, &claim.hotkey).unwrap();
        match name {
            // The body of the one and the fields of the other are not covered in a way that can be checked.
            "dendrite-v10-empty-hash-fields" => {
                assert_eq!(claim.verify(&request(&body), &key), Err(AuthError::Unbound));
                claim.verify(&request(b""), &key).unwrap();
                assert_eq!(claim.message(&request(b"")).unwrap().as_bytes(), vector.message());
            }
            "dendrite-v10-two-hash-fields" => {
                for body in [&b""[..], b"['hello']world"] {
                    assert_eq!(claim.verify(&request(body), &key), Err(AuthError::Unbound));
                }
            }
            _ => {
                claim
                    .verify(&request(&body), &key)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                let message = claim.message(&request(&body)).unwrap();
                assert_eq!(message.as_bytes(), vector.message(), "{name}");
                let longer = [&body[..], b" "].concat();
                assert!(claim.verify(&request(&longer), &key).is_err(), "{name}");
            }
        }
        seen.push(name);
    }
    assert_eq!(
        seen,
        [
            "epistula-v2-signed-for",
            "epistula-v2-no-signed-for",
            "dendrite-v10-empty-hash-fields",
            "dendrite-v10-two-hash-fields",
            "axon-v10-response",
            "dendrite-empty-signature-NEGATIVE",
            "fiber-plain",
            "fiber-encrypted",
            "chutes-user-body",
            "chutes-user-purpose",
            "chutes-validator-to-miner",
        ]
    );
    // The other schemes of the vectors are not taken.
    let taken = ["epistula/2", "bittensor-synapse", "fiber", "chutes"];
    assert!(
        vectors
            .iter()
            .all(|vector| vector.headers.is_empty() || taken.contains(&vector.scheme.as_str()))
    );
}
