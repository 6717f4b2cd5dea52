//! Spellings of keys, hashes and numbers.

use violet_chain::{BlockHash, Coldkey, CryptoType, Hotkey, NetUid, ParseError, Rao};

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const ALICE_HEX: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

#[test]
fn address_round_trips_as_text_json_and_scale() {
    let hotkey: Hotkey = ALICE.parse().unwrap();
    assert_eq!(hex::encode(hotkey.0), ALICE_HEX);
    assert_eq!(
        (hotkey.to_string(), format!("{hotkey:?}")),
        (ALICE.to_owned(), format!("Hotkey({ALICE})"))
    );
    assert_eq!(serde_json::to_string(&hotkey).unwrap(), format!("\"{ALICE}\""));
    assert_eq!(
        serde_json::from_str::<Coldkey>(&format!("\"{ALICE}\"")).unwrap(),
        Coldkey(hotkey.0)
    );
    assert_eq!(codec::Encode::encode(&hotkey), hotkey.0);
}

#[test]
fn one_key_has_one_spelling() {
    // Alice under prefix 0 (Polkadot) and 2 (Kusama).
    for alias in [
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F",
        &two_byte_prefix_42(),
    ] {
        assert_eq!(alias.parse::<Hotkey>(), Err(ParseError::Ss58Prefix), "{alias}");
    }
    for wrong in [
        "",
        "5",
        "0x",
        ALICE_HEX,
        &ALICE[..47],
        &format!("{ALICE} "),
        &format!(" {ALICE}"),
    ] {
        assert_eq!(wrong.parse::<Hotkey>(), Err(ParseError::Ss58), "{wrong}");
    }
    let with_path = format!("{ALICE}//Bob");
    assert_eq!(with_path.parse::<Hotkey>(), Err(ParseError::Ss58));
    let other_checksum = ALICE.replace("utQY", "utQZ");
    assert_eq!(other_checksum.parse::<Hotkey>(), Err(ParseError::Ss58));
}

/// Alice with prefix 42 in the two-byte form, which some decoders take.
fn two_byte_prefix_42() -> String {
    let mut bytes = vec![0b0100_1010, 0b1000_0000];
    bytes.extend(hex::decode(ALICE_HEX).unwrap());
    let mut hashed = b"SS58PRE".to_vec();
    hashed.extend(&bytes);
    bytes.extend(&sp_core::blake2_512(&hashed)[..2]);
    base58(&bytes)
}

fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(ALPHABET[usize::try_from(*digit).unwrap()]))
        .collect()
}

#[test]
fn block_hash_is_0x_and_lower_case() {
    let text = format!("0x{}", "ab".repeat(32));
    let hash: BlockHash = text.parse().unwrap();
    assert_eq!((hash, hash.to_string()), (BlockHash([0xab; 32]), text.clone()));
    assert_eq!(
        serde_json::from_str::<BlockHash>(&format!("\"{text}\"")).unwrap(),
        hash
    );
    for wrong in [&text[2..], &text.to_uppercase(), &text[..64], ""] {
        assert_eq!(wrong.parse::<BlockHash>(), Err(ParseError::Hash), "{wrong}");
    }
}

#[test]
fn numbers_are_bare_and_crypto_types_lower_case() {
    assert_eq!(
        serde_json::to_string(&(NetUid(1), Rao(u64::MAX))).unwrap(),
        "[1,18446744073709551615]"
    );
    assert_eq!(NetUid(7).to_string(), "7");
    assert_eq!(
        serde_json::to_string(&CryptoType::Ed25519).unwrap(),
        "\"ed25519\""
    );
    assert_eq!("sr25519".parse(), Ok(CryptoType::Sr25519));
    assert_eq!("SR25519".parse::<CryptoType>(), Err(ParseError::CryptoType));
}
