//! Wallet files: what is written is read back, and the traps that real files hold.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use violet_chain::wallet::WalletError;
use violet_chain::{CryptoType, Keypair, Wallet};

const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
/// Alice's secret as schnorrkel writes it, and as polkadot.js does (scalar times 8).
const ALICE_PRIVATE: &str = "0x33a6f3093f158a7109f679410bef1a0c54168145e0cecb4df006c1c2fffb1f09925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011";
const ALICE_SCALED: &str = "0x98319d4ff8a9508c4bb0cf0b5a78d760a0b2082c02775e6e82370816fedfff48925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011";
const ALICE_SEED: &str = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
/// The mnemonic of Substrate's development accounts, and its own account.
const MNEMONIC: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
const MNEMONIC_ADDRESS: &str = "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV";

fn wallet(folder: &TempDir) -> Wallet {
    Wallet::new(Some(folder.path()), "miner", "default").unwrap()
}

fn with_hotkey(content: &str) -> (TempDir, Wallet) {
    let folder = TempDir::new().unwrap();
    let wallet = wallet(&folder);
    fs::create_dir_all(wallet.hotkey_file().parent().unwrap()).unwrap();
    fs::write(wallet.hotkey_file(), content).unwrap();
    (folder, wallet)
}

fn read(content: &str) -> Result<Keypair, WalletError> {
    with_hotkey(content).1.keypair()
}

fn read_json(content: &Value) -> Result<Keypair, WalletError> {
    read(&content.to_string())
}

#[test]
fn created_hotkey_is_read_back_and_private() {
    let folder = TempDir::new().unwrap();
    let wallet = wallet(&folder);
    let (keypair, mnemonic) = wallet.create().unwrap();
    assert_eq!(wallet.keypair().unwrap().hotkey(), keypair.hotkey());
    assert_eq!(
        Keypair::from_uri(&mnemonic, CryptoType::Sr25519)
            .unwrap()
            .hotkey(),
        keypair.hotkey()
    );
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&wallet.hotkey_file()), 0o600);
    assert_eq!(mode(wallet.hotkey_file().parent().unwrap()), 0o700);

    let fields: Value = serde_json::from_slice(&fs::read(wallet.hotkey_file()).unwrap()).unwrap();
    assert_eq!(fields["ss58Address"], keypair.hotkey().to_string());
    assert_eq!(fields["secretPhrase"], mnemonic);
    assert_eq!(fields["cryptoType"], 1);
    assert_eq!(fields["secretSeed"].as_str().unwrap().len(), 66);
    let public = wallet.hotkey_file().with_file_name("defaultpub.txt");
    let public: Value = serde_json::from_slice(&fs::read(public).unwrap()).unwrap();
    let names: Vec<&String> = public.as_object().unwrap().keys().collect();
    assert_eq!(names, ["accountId", "cryptoType", "publicKey", "ss58Address"]);
}

#[test]
fn existing_hotkey_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    let wallet = wallet(&folder);
    let (keypair, _) = wallet.create().unwrap();
    assert!(matches!(wallet.create(), Err(WalletError::Exists { .. })));
    assert_eq!(wallet.keypair().unwrap().hotkey(), keypair.hotkey());
}

#[test]
fn saved_ed25519_hotkey_without_a_phrase_is_read_back() {
    let folder = TempDir::new().unwrap();
    let keypair = Keypair::from_uri("//Alice", CryptoType::Ed25519).unwrap();
    wallet(&folder).save(&keypair, None).unwrap();
    let again = wallet(&folder).keypair().unwrap();
    assert_eq!(
        (again.hotkey(), again.crypto()),
        (keypair.hotkey(), CryptoType::Ed25519)
    );
}

#[test]
fn private_key_is_read_in_whichever_form_fits_the_address() {
    for private in [ALICE_PRIVATE, &ALICE_PRIVATE[2..], ALICE_SCALED] {
        for crypto in [json!(1), json!("1"), json!("sr25519"), json!(0), Value::Null] {
            let file = json!({"privateKey": private, "ss58Address": ALICE, "cryptoType": crypto});
            let keypair = read_json(&file).unwrap();
            assert_eq!(
                (keypair.hotkey().to_string().as_str(), keypair.crypto()),
                (ALICE, CryptoType::Sr25519)
            );
        }
    }
}

#[test]
fn crypto_type_may_be_missing_or_wrong_for_ed25519_too() {
    let ed25519 = Keypair::from_uri("//Alice", CryptoType::Ed25519).unwrap();
    let seed = "0xabf8e5bdbe30c65656c0a3cbd181ff8a56294a69dfedd27982aace4a76909115";
    for crypto in [json!(0), json!("ed25519"), json!(1), Value::Null] {
        let file = json!({
            "privateKey": seed, "ss58Address": ed25519.hotkey().to_string(), "cryptoType": crypto,
        });
        assert_eq!(read_json(&file).unwrap().crypto(), CryptoType::Ed25519);
    }
}

#[test]
fn seed_or_phrase_alone_is_enough_and_keys_may_have_a_leading_space() {
    let seed = json!({" secretSeed": ALICE_SEED, " ss58Address": ALICE, "secretPhrase": null});
    assert_eq!(read_json(&seed).unwrap().hotkey().to_string(), ALICE);
    let phrase = json!({"secretPhrase": MNEMONIC, "ss58Address": MNEMONIC_ADDRESS});
    assert_eq!(read_json(&phrase).unwrap().hotkey().to_string(), MNEMONIC_ADDRESS);
    let no_address = json!({
        "secretSeed": ALICE_SEED,
        "publicKey": "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
    });
    assert_eq!(read_json(&no_address).unwrap().hotkey().to_string(), ALICE);
}

#[test]
fn bare_files_are_read() {
    for (content, address) in [
        (format!("{MNEMONIC}\n"), MNEMONIC_ADDRESS),
        (ALICE_SEED.to_owned(), ALICE),
        (ALICE_SEED[2..].to_owned(), ALICE),
        (ALICE_PRIVATE.to_owned(), ALICE),
    ] {
        assert_eq!(read(&content).unwrap().hotkey().to_string(), address);
    }
    assert!(
        matches!(read("//Alice"), Err(WalletError::Form { .. })),
        "a key that everybody knows"
    );
}

#[test]
fn secret_of_another_account_is_refused_by_name() {
    let file = json!({"privateKey": ALICE_PRIVATE, "ss58Address": MNEMONIC_ADDRESS, "cryptoType": 1});
    let (_folder, wallet) = with_hotkey(&file.to_string());
    let error = wallet.keypair().unwrap_err();
    assert!(matches!(&error, WalletError::Mismatch { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("hotkeys/default") && text.contains(MNEMONIC_ADDRESS),
        "{text}"
    );
    assert!(!text.contains("33a6f309"), "the secret is shown");
}

#[test]
fn encrypted_and_foreign_files_are_named_for_what_they_are() {
    for content in ["$NACL\u{1}\u{2}", "$ANSIBLE_VAULT;1.1;AES256\n6162", "gAAAAABk"] {
        assert!(
            matches!(read(content), Err(WalletError::Encrypted { .. })),
            "{content}"
        );
    }
    let export = json!({"encoded": "x", "encoding": {"type": ["none"]}, "address": ALICE});
    let error = read_json(&export).unwrap_err().to_string();
    assert!(error.contains("polkadot.js"), "{error}");
    for content in ["", "{", "hello", "0x1234"] {
        assert!(
            matches!(read(content), Err(WalletError::Form { .. })),
            "{content}"
        );
    }
    let public_only = json!({"ss58Address": ALICE, "cryptoType": 1});
    assert!(matches!(read_json(&public_only), Err(WalletError::Form { .. })));
    let alias = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
    let alias = json!({"privateKey": ALICE_PRIVATE, "ss58Address": alias});
    assert!(matches!(read_json(&alias), Err(WalletError::Address { .. })));
}

#[test]
fn missing_file_is_named_and_binary_is_no_panic() {
    let folder = TempDir::new().unwrap();
    let error = wallet(&folder).keypair().unwrap_err();
    assert!(matches!(error, WalletError::Missing { .. }));
    assert!(error.to_string().contains("miner/hotkeys/default; "), "{error}");
    let (_folder, wallet) = with_hotkey("");
    fs::write(wallet.hotkey_file(), b"$NACL\xff\xfe\x00").unwrap();
    assert!(matches!(wallet.keypair(), Err(WalletError::Encrypted { .. })));
    fs::write(wallet.hotkey_file(), b"\xff\xfe").unwrap();
    assert!(matches!(wallet.keypair(), Err(WalletError::Form { .. })));
}

#[test]
fn coldkey_is_read_from_its_public_file() {
    let folder = TempDir::new().unwrap();
    let wallet = wallet(&folder);
    fs::create_dir_all(wallet.coldkeypub_file().parent().unwrap()).unwrap();
    for content in [
        json!({"ss58Address": ALICE, "accountId": "0x"}).to_string(),
        format!("{ALICE}\n"),
    ] {
        fs::write(wallet.coldkeypub_file(), content).unwrap();
        assert_eq!(wallet.coldkey().unwrap().to_string(), ALICE);
    }
    fs::write(wallet.coldkeypub_file(), "{}").unwrap();
    assert!(matches!(wallet.coldkey(), Err(WalletError::Form { .. })));
}

#[test]
fn names_lead_nowhere_else_and_the_home_folder_is_found() {
    for name in ["", ".", "..", "../x", "a/b", ".hidden"] {
        assert!(
            matches!(Wallet::new(None, name, "default"), Err(WalletError::Name(_))),
            "{name}"
        );
        assert!(
            matches!(Wallet::new(None, "default", name), Err(WalletError::Name(_))),
            "{name}"
        );
    }
    let default = Wallet::new(None, "default", "default").unwrap();
    assert!(
        default
            .hotkey_file()
            .ends_with(".bittensor/wallets/default/hotkeys/default")
    );
    let tilde = Wallet::new(Some(Path::new("~/.bittensor/wallets")), "default", "default").unwrap();
    assert_eq!(tilde, default);
}
