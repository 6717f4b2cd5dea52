//! What a genesis may say, and how a wrong one is refused.

use violet_devchain::{Genesis, GenesisError};

use crate::{UNIT, key};

const HEAD: &str = "block_time_ms = 0\nsudo = '//Alice'\ntao_weight = 0\nstake_threshold = 0\n";
const SUBNET: &str =
    "[[subnets]]\nnetuid = 1\ntempo = 10\nowner_coldkey = '//Owner'\nowner_hotkey = '//Owner//hot'\n";

fn error(text: &str) -> String {
    text.parse::<Genesis>().unwrap_err().to_string()
}

#[test]
fn the_default_is_the_development_network() {
    let genesis = Genesis::default();
    assert_eq!(genesis.block_time_ms, 1_000);
    assert!(!genesis.epochs);
    assert_eq!(genesis.sudo, key("//Alice"));
    assert_eq!(genesis.neurons.len(), 8);
    assert_eq!(genesis.subnets.len(), 1);
    assert_eq!(genesis.subnets[0].tempo, 10);
    let uids: Vec<[u8; 32]> = genesis.neurons.iter().map(|neuron| neuron.hotkey).collect();
    assert_eq!(uids[0], key("//Miner1"));
    assert_eq!(uids[4], key("//Validator1"));
    assert_eq!(uids[7], genesis.subnets[0].owner_hotkey);
    let alpha: Vec<u64> = genesis.neurons.iter().map(|neuron| neuron.alpha / UNIT).collect();
    assert_eq!(alpha, [1_000, 4_000, 2_500, 500, 50_000, 30_000, 20_000, 1_000]);
    let permits: Vec<bool> = genesis
        .neurons
        .iter()
        .map(|neuron| neuron.validator_permit)
        .collect();
    assert_eq!(permits, [false, false, false, false, true, true, true, false]);
    assert!(
        genesis
            .accounts
            .iter()
            .any(|account| account.account == key("//Mallory"))
    );
    assert!(!uids.contains(&key("//Mallory")));
}

#[test]
fn epochs_are_off_unless_asked_for() {
    assert!(!HEAD.parse::<Genesis>().unwrap().epochs);
    let on = format!("{HEAD}epochs = true\n").parse::<Genesis>().unwrap();
    assert!(on.epochs);
}

#[test]
fn keys_are_uris_or_addresses() {
    let address = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    assert_eq!(key(address), key("//Alice"));
    // With a password it is another key, made from the phrase itself.
    assert_ne!(key("//Alice"), key("//Alice///password"));
    assert_eq!(
        violet_devchain::public_key(
            "bottom drive obey lake curtain smoke basket hold race lonely fit walk//Alice"
        ),
        Some(key("//Alice"))
    );
    assert_eq!(violet_devchain::public_key(&crate::hex0x(key("//Alice"))), None);
    let accounts = format!("{HEAD}[[accounts]]\naccount = '{address}'\nbalance = 500\n");
    assert_eq!(
        accounts.parse::<Genesis>().unwrap().accounts[0].account,
        key("//Alice")
    );
}

#[test]
fn an_axon_is_an_address() {
    let neuron = "[[neurons]]\nnetuid = 1\nhotkey = '//M'\ncoldkey = '//C'\naxon = '127.0.0.1:9100'\n";
    let genesis: Genesis = format!("{HEAD}{SUBNET}{neuron}").parse().unwrap();
    assert_eq!(genesis.neurons[0].axon, Some("127.0.0.1:9100".parse().unwrap()));
}

#[test]
fn an_error_names_the_field_and_the_neuron() {
    let neuron = "[[neurons]]\nnetuid = 1\nhotkey = '//M'\ncoldkey = '//C'\n";
    let bad = "[[neurons]]\nnetuid = 1\nhotkey = '//N'\ncoldkey = 'not a key'\n";
    let message = error(&format!("{HEAD}{SUBNET}{neuron}{bad}"));
    assert_eq!(
        message,
        "neurons[1].coldkey is neither a secret URI nor an ss58 address: \"not a key\""
    );
    let message = error(&format!("{HEAD}{SUBNET}{neuron}{neuron}"));
    assert_eq!(message, "neurons[1].hotkey is registered on the subnet before");
    let message = error(&format!("{HEAD}{neuron}"));
    assert_eq!(message, "neurons[0].netuid names subnet 1, which is not listed");
    let message = error(&format!("{HEAD}{SUBNET}{SUBNET}"));
    assert_eq!(message, "subnets[1].netuid is listed before");
    let message = error(&format!("{HEAD}{}", SUBNET.replace("netuid = 1", "netuid = 0")));
    assert_eq!(message, "subnets[0].netuid is 0, which is root");
    let message = error(&format!("{HEAD}[[accounts]]\naccount = '//Bob'\nbalance = 499\n"));
    assert_eq!(
        message,
        "accounts[0].balance is below the existential deposit of 500 rao"
    );
    let message = error(&HEAD.replace("//Alice", ""));
    assert_eq!(message, "sudo is neither a secret URI nor an ss58 address: \"\"");
}

#[tokio::test]
async fn a_genesis_made_by_hand_is_checked_too() {
    let mut genesis = Genesis::default();
    genesis.accounts[1].balance = u64::MAX;
    let refused = violet_devchain::spawn(genesis, violet_devchain::Options::default())
        .await
        .err()
        .unwrap();
    let violet_devchain::Error::Genesis(source) = refused else {
        panic!("{refused}")
    };
    assert_eq!(
        source.to_string(),
        "accounts[1].balance makes all balances together exceed 2^64 - 1 rao"
    );
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    let refused = format!("{HEAD}surprise = 1\n").parse::<Genesis>().unwrap_err();
    let GenesisError::Toml(source) = refused else {
        panic!("{refused}")
    };
    assert!(source.to_string().contains("surprise"), "{source}");
    let refused = "sudo = '//Alice'".parse::<Genesis>().unwrap_err();
    let GenesisError::Toml(source) = refused else {
        panic!("{refused}")
    };
    assert!(source.to_string().contains("missing field"), "{source}");
}
