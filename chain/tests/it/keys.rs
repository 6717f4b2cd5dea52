//! Keys, signatures and the verifiable random function.

use violet_chain::{CryptoType, Hotkey, KeyError, Keypair, VrfProof, verify};

const CONTEXT: &[u8] = b"violet/base/1";
const MNEMONIC: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";

fn alice() -> Keypair {
    Keypair::from_uri("//Alice", CryptoType::Sr25519).unwrap()
}

#[test]
fn uris_give_the_known_accounts() {
    for (uri, crypto, address) in [
        (
            "//Alice",
            CryptoType::Sr25519,
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        ),
        (
            "//Bob",
            CryptoType::Sr25519,
            "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
        ),
        (
            "//Alice",
            CryptoType::Ed25519,
            "5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu",
        ),
        (
            "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a",
            CryptoType::Sr25519,
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        ),
    ] {
        let keypair = Keypair::from_uri(uri, crypto).unwrap();
        assert_eq!(
            (keypair.hotkey().to_string().as_str(), keypair.crypto()),
            (address, crypto)
        );
    }
    let with_path = Keypair::from_uri(&format!("{MNEMONIC}//Alice"), CryptoType::Sr25519).unwrap();
    assert_eq!(with_path.hotkey(), alice().hotkey());
}

#[test]
fn a_bad_uri_is_an_error_that_keeps_the_secret() {
    let error = Keypair::from_uri("top secret words", CryptoType::Sr25519).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret words"));
    assert!(
        !format!("{:?}", alice()).contains("33a6f309"),
        "the secret is shown"
    );
}

#[test]
fn generated_key_comes_back_from_its_mnemonic() {
    let (keypair, mnemonic) = Keypair::generate();
    assert_eq!(mnemonic.split(' ').count(), 12);
    let again = Keypair::from_uri(&mnemonic, CryptoType::Sr25519).unwrap();
    assert_eq!(keypair.hotkey(), again.hotkey());
    assert_ne!(Keypair::generate().0.hotkey(), keypair.hotkey());
}

#[test]
fn signatures_verify_and_nothing_else_does() {
    for crypto in [CryptoType::Sr25519, CryptoType::Ed25519] {
        let keypair = Keypair::from_uri("//Alice", crypto).unwrap();
        let (hotkey, signature) = (keypair.hotkey(), keypair.sign(b"message"));
        assert!(verify(crypto, &hotkey, b"message", &signature));
        assert!(!verify(crypto, &hotkey, b"massage", &signature));
        assert!(!verify(crypto, &Hotkey([7; 32]), b"message", &signature));
        assert!(!verify(crypto, &hotkey, b"message", &[0; 64]));
        let other = if crypto == CryptoType::Sr25519 {
            CryptoType::Ed25519
        } else {
            CryptoType::Sr25519
        };
        assert!(!verify(other, &hotkey, b"message", &signature));
        for at in 0..64 {
            let mut tampered = signature;
            tampered[at] ^= 1;
            assert!(
                !verify(crypto, &hotkey, b"message", &tampered),
                "{crypto} byte {at}"
            );
        }
    }
}

#[test]
fn marker_bit_is_required() {
    let mut signature = alice().sign(b"message");
    assert_eq!(signature[63] & 0x80, 0x80);
    signature[63] &= 0x7f;
    assert!(!verify(
        CryptoType::Sr25519,
        &alice().hotkey(),
        b"message",
        &signature
    ));
}

#[test]
fn neutral_sr25519_key_signs_nothing() {
    let mut signature = [0; 64];
    signature[63] = 0x80;
    // To the curve it is a signature of whatever there is.
    let key = schnorrkel::PublicKey::from_bytes(&[0; 32]).unwrap();
    let of_curve = schnorrkel::Signature::from_bytes(&signature).unwrap();
    key.verify_simple(b"substrate", b"any", &of_curve).unwrap();
    assert!(!verify(CryptoType::Sr25519, &Hotkey([0; 32]), b"any", &signature));
}

#[test]
fn small_order_ed25519_key_signs_nothing() {
    // The identity point as key, and as R with s = 0: plain verification takes it for any message.
    let mut key = [0; 32];
    key[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!verify(
        CryptoType::Ed25519,
        &Hotkey(key),
        b"anything",
        &signature
    ));
}

#[test]
fn vrf_output_is_one_and_anyone_can_check_it() {
    let hotkey = alice().hotkey();
    let first = alice().vrf(CONTEXT, b"block").unwrap();
    let second = alice().vrf(CONTEXT, b"block").unwrap();
    assert_ne!(first.proof, second.proof, "the proof is randomised");
    assert_eq!(first.preout, second.preout);
    let output = first.verify(&hotkey, CONTEXT, b"block").unwrap();
    assert_eq!(second.verify(&hotkey, CONTEXT, b"block"), Some(output));
    assert_eq!(first.output(&hotkey, CONTEXT, b"block"), Some(output));
    let other = alice().vrf(CONTEXT, b"another block").unwrap();
    assert_ne!(other.verify(&hotkey, CONTEXT, b"another block"), Some(output));
}

#[test]
fn tampered_vrf_is_refused() {
    let hotkey = alice().hotkey();
    let bob = Keypair::from_uri("//Bob", CryptoType::Sr25519).unwrap();
    let proof = alice().vrf(CONTEXT, b"block").unwrap();
    assert_eq!(proof.verify(&bob.hotkey(), CONTEXT, b"block"), None);
    assert_eq!(proof.verify(&hotkey, CONTEXT, b"black"), None);
    assert_eq!(proof.verify(&hotkey, b"violet/base/2", b"block"), None);
    for at in 0..64 {
        let mut tampered = proof;
        tampered.proof[at] ^= 1;
        assert_eq!(
            tampered.verify(&hotkey, CONTEXT, b"block"),
            None,
            "proof byte {at}"
        );
    }
    for at in 0..32 {
        let mut tampered = proof;
        tampered.preout[at] ^= 1;
        assert_eq!(
            tampered.verify(&hotkey, CONTEXT, b"block"),
            None,
            "pre-output byte {at}"
        );
    }
    let swapped = VrfProof {
        preout: bob.vrf(CONTEXT, b"block").unwrap().preout,
        ..proof
    };
    assert_eq!(swapped.verify(&hotkey, CONTEXT, b"block"), None);
}

#[test]
fn vrf_fits_schnorrkel_and_is_sr25519_only() {
    // The same evaluation by schnorrkel alone, from the bytes that travel.
    let proof = alice().vrf(CONTEXT, b"block").unwrap();
    let key = schnorrkel::PublicKey::from_bytes(&alice().hotkey().0).unwrap();
    let preout = schnorrkel::vrf::VRFPreOut::from_bytes(&proof.preout).unwrap();
    let wire = schnorrkel::vrf::VRFProof::from_bytes(&proof.proof).unwrap();
    let transcript = schnorrkel::signing_context(CONTEXT).bytes(b"block");
    let (in_out, _) = key.vrf_verify(transcript, &preout, &wire).unwrap();
    assert_eq!(
        Some(in_out.make_bytes::<[u8; 32]>(CONTEXT)),
        proof.verify(&alice().hotkey(), CONTEXT, b"block")
    );

    let ed25519 = Keypair::from_uri("//Alice", CryptoType::Ed25519).unwrap();
    assert!(matches!(
        ed25519.vrf(CONTEXT, b"block"),
        Err(KeyError::NoVrf(CryptoType::Ed25519))
    ));
}

#[test]
fn vrf_proof_travels_as_hex_and_scale() {
    let proof = alice().vrf(CONTEXT, b"block").unwrap();
    let json = serde_json::to_string(&proof).unwrap();
    assert!(json.starts_with(r#"{"preout":"0x"#), "{json}");
    assert_eq!(serde_json::from_str::<VrfProof>(&json).unwrap(), proof);
    let scale = codec::Encode::encode(&proof);
    assert_eq!(scale.len(), 96);
    assert_eq!(
        <VrfProof as codec::Decode>::decode(&mut scale.as_slice()).unwrap(),
        proof
    );
}
