//! `violet chain`: what it prints, and how it ends.
use std::{path::Path, time::Duration};

use serde_json::Value;
use violet_chain::wallet::Wallet;
use violet_devchain::{DevChain, Genesis, Options};

use super::{AT_ONCE, PATIENCE, Violet};

async fn chain() -> DevChain {
    violet_devchain::spawn(Genesis::default(), Options::default())
        .await
        .unwrap()
}

/// Runs it to its end: the code, and what it printed.
async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut violet = Violet::start(arguments, &[]);
    let status = violet.ends(AT_ONCE).await;
    (status.code(), violet.out(), violet.err())
}

#[tokio::test]
async fn doctor_passes_what_is_whole_and_fails_what_is_not() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("chain/tests/it/data");
    for spec in ["365", "424", "461"] {
        let file = folder.join(format!("metadata-{spec}.scale"));
        let (code, out, _) = run(&["chain", "doctor", "--metadata", file.to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{out}");
        assert!(out.starts_with(&format!("runtime {spec}\n")), "{out}");
        assert!(
            out.ends_with("a metagraph is read by get_selective_metagraph\nnothing vital is gone\n"),
            "{out}"
        );
    }

    // The same file with one name misspelt: as long as before, and one item short.
    let whole = std::fs::read(folder.join("metadata-461.scale")).unwrap();
    let name = b"StakeThreshold";
    let at = whole
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    let mut broken = whole.clone();
    broken[at] = b'X';
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("broken.scale");
    std::fs::write(&file, &broken).unwrap();
    let (code, out, _) = run(&["chain", "doctor", "--metadata", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("\nMISSING  SubtensorModule.StakeThreshold (no snapshot: "),
        "{out}"
    );
    assert!(
        out.ends_with("\nVITAL: 1 gone or changed: SubtensorModule.StakeThreshold\n"),
        "{out}"
    );
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let (code, _, err) = run(&["chain", "doctor", "--metadata", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the metadata cannot be read"), "{err}");
}

#[tokio::test]
async fn doctor_and_metagraph_read_a_node() {
    let chain = chain().await;
    let url = chain.ws_url();
    let (code, out, _) = run(&["chain", "doctor", "--url", &url, "--json"]).await;
    assert_eq!(code, Some(0), "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["spec_version"], violet_devchain::SPEC_VERSION);

    let (code, out, err) = run(&["chain", "metagraph", "--url", &url, "--json", "--verify"]).await;
    assert_eq!(code, Some(0), "{err}");
    let snapshot: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(snapshot["neurons"].as_array().unwrap().len(), 8);
    assert!(
        err.ends_with("the stake of all 8 neurons is what storage says\n"),
        "{err}"
    );
    // Without an address it is that of the settings.
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), format!("[chain]\nendpoints = [{url:?}]\n")).unwrap();
    let file = settings.path().to_str().unwrap();
    let (code, of_settings, _) = run(&["--config", file, "chain", "metagraph", "--json"]).await;
    assert_eq!(code, Some(0), "{of_settings}");
    let (code, out, _) = run(&["chain", "metagraph", "--url", &url, "--mechanism", "0"]).await;
    assert_eq!((code, out.lines().count()), (Some(0), 10), "{out}");
    // Of any final block.
    for what in ["metagraph", "hyperparameters", "weights"] {
        let (code, out, err) = run(&["chain", what, "--url", &url, "--block", "0"]).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(out.starts_with("subnet 1 at block 0 (0x"), "{out}");
        let (code, _, err) = run(&["chain", what, "--url", &url, "--block", "999999"]).await;
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("block 999999 is not final yet"), "{err}");
    }
    let (code, _, err) = run(&["chain", "metagraph", "--url", &url, "--mechanism", "1"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("subnet 1 has no mechanism 1 at block "), "{err}");
}

#[tokio::test]
async fn stakes_are_proved_by_a_node_and_checked_without_one() {
    let chain = chain().await;
    let url = chain.ws_url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proof");
    let name = file.to_str().unwrap();
    let (code, out, err) = run(&["chain", "prove", "--url", &url, "--block", "0", "--out", name]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("the stakes of 8 neurons of subnet 1 at block 0 (0x"),
        "{out}"
    );
    let ahead = [
        "chain",
        "prove",
        "--url",
        &url,
        "--block",
        "4000000000",
        "--out",
        name,
    ];
    let (code, _, err) = run(&ahead).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("block 4000000000 is not final yet"), "{err}");
    let hash = format!("0x{}", hex::encode(chain.genesis_hash()));
    chain.shutdown().await;

    let (code, out, _) = run(&["audit", "verify-stake", name]).await;
    assert_eq!((code, out.lines().count()), (Some(0), 1 + 8 + 2), "{out}");
    assert!(
        out.contains("\nopen: that this is the hash of a final block"),
        "{out}"
    );
    let (code, out, _) = run(&["audit", "verify-stake", name, "--block-hash", &hash, "--json"]).await;
    assert_eq!(code, Some(0));
    let stakes: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(stakes["block"]["hash"], hash);
    assert_eq!(stakes["neurons"].as_array().unwrap().len(), 8);
    let other = format!("0x{}", "11".repeat(32));
    let (code, _, err) = run(&["audit", "verify-stake", name, "--block-hash", &other]).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("it is of block {hash}, not of {other}")),
        "{err}"
    );

    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (code, _, err) = run(&["audit", "verify-stake", name]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("the proof does not hold"), "{err}");
    std::fs::write(&file, b"nothing").unwrap();
    let (code, _, err) = run(&["audit", "verify-stake", name]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("not a proof of stakes"), "{err}");
}

#[tokio::test]
async fn weights_axons_and_commitments_are_written_by_hand() {
    let options = Options {
        block_time: Some(Duration::from_millis(100)),
        ..Options::default()
    };
    let chain = violet_devchain::spawn(Genesis::default(), options).await.unwrap();
    let (url, wallets) = (chain.ws_url(), tempfile::tempdir().unwrap());
    let wallet = Wallet::new(Some(wallets.path()), "validator", "default").unwrap();
    let hotkey = wallet.create().unwrap().0.hotkey();
    let folder = wallets.path().to_str().unwrap();
    let write = async |arguments: &[&str]| {
        let ours = [
            "--url",
            &url,
            "--wallet.path",
            folder,
            "--wallet.name",
            "validator",
        ];
        let arguments = [&["chain"], &arguments[..1], &ours, &arguments[1..]].concat();
        let mut violet = Violet::start(&arguments, &[]);
        let status = violet.ends(PATIENCE).await;
        (status.code(), violet.out(), violet.err())
    };

    let (code, _, err) = write(&["set-weights", "0:1"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("refused: HotKeyNotRegisteredInSubNet"), "{err}");
    let uid = chain.register(1, hotkey.0, [9; 32]).unwrap();
    chain.set_stake(1, hotkey.0, 9_000_000_000_000, 0).unwrap();
    chain.set_permit(1, uid, true).unwrap();
    chain.set_weight_rules(1, false, 0).unwrap();
    let (code, out, err) = write(&["set-weights", "0:1", "2:0.5"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("weights set at block "), "{out}");
    let (code, out, err) = run(&["chain", "weights", "--url", &url]).await;
    assert_eq!(code, Some(0), "{err}");
    let row = format!("    {uid}  {hotkey}  0:65535 2:32768\n");
    assert!(out.ends_with(&row), "{out}");
    let (code, _, err) = run(&["chain", "weights", "--url", &url, "--mechanism", "7"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("subnet 1 has no mechanism 7 at block "), "{err}");
    let (code, _, err) = write(&["commit", "0x0g"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("\"0x0g\" is no hex after 0x"), "{err}");

    let (code, _, err) = write(&["serve-axon", "203.0.113.7:8091"]).await;
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = write(&["commit", "0x0102"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(" committed to 2 bytes at block "), "{out}");
}
