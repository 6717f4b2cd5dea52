//! The Python SDKs as they come from their registry, against the dev chain: what they read equals what is read here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use subxt::utils::AccountId32;
use subxt::{OnlineClient, SubstrateConfig, dynamic};
use violet_chain::{Client, Hyperparameter, Hyperparameters, NetUid, Snapshot};
use violet_devchain::{DevChain, Genesis, Options};

const NETUID: NetUid = NetUid(1);

/// What the scripts set, 1 to 3 to 0.6, as the chain keeps it.
const WEIGHTS: [[u16; 2]; 3] = [[0, 21_845], [1, 65_535], [2, 13_107]];

/// A Python with the packages of a list, made the first time.
fn interpreter(list: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/python-sdk");
    let made = Command::new(script).arg(list).stderr(Stdio::inherit()).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{list} could not be installed");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim_end())
}

/// Runs a script against the chain and gives what it prints.
async fn run(list: &str, script: &str, chain: &DevChain) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let (list, url) = (list.to_owned(), chain.ws_url());
    let run = move || {
        let python = interpreter(&list);
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(python);
        command.arg(script).arg(url).arg(home.path());
        // What they keep on disk must not meet another run's.
        command.env("HOME", home.path()).env_remove("PYTHONPATH");
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The same in the words of the scripts.
fn neurons(snapshot: &Snapshot) -> Value {
    let neurons = snapshot.neurons.iter().map(|neuron| {
        json!({
            "uid": neuron.uid.0,
            "hotkey": neuron.hotkey.to_string(),
            "coldkey": neuron.coldkey.to_string(),
            "stake": neuron.stake.0,
            "alpha_stake": neuron.alpha_stake.0,
            "tao_stake": neuron.tao_stake.0,
            "validator_permit": neuron.validator_permit,
            "active": neuron.active,
            "registered_at": neuron.registered_at,
            "last_update": neuron.last_update,
            "incentive": neuron.incentive,
            "dividends": neuron.dividends,
            "consensus": neuron.consensus,
            "emission": neuron.emission,
            "axon": neuron.axon.map(|axon| format!("{}:{}", axon.ip, axon.port)),
        })
    });
    neurons.collect()
}

/// Compares each value that was read here. The first SDK gives fixed-point numbers as their bits.
fn same_hyperparameters(ours: &Hyperparameters, theirs: &Value) {
    for (name, value) in &ours.values {
        // One of them has a name of its own for this.
        let theirs = match theirs.get(name) {
            Some(value) => value,
            None if name == "max_weights_limit" => &theirs["max_weight_limit"],
            None => panic!("{name} is missing in {theirs}"),
        };
        let same = match value {
            Hyperparameter::Bool(value) => theirs.as_bool() == Some(*value),
            Hyperparameter::Integer(value) => theirs.as_u64().map(u128::from) == Some(*value),
            Hyperparameter::Fixed(value) => theirs.as_f64().is_some_and(|theirs| {
                [theirs, theirs / 2f64.powi(64)]
                    .iter()
                    .any(|theirs| (theirs - value).abs() < 1e-9)
            }),
            Hyperparameter::Other(value) => panic!("{name} is {value}"),
        };
        assert!(same, "{name}: {value} and {theirs}");
    }
}

/// Balance of an account, and what a registration costs, in rao at a block.
async fn balance_and_burn(chain: &DevChain, account: &str, at: (u32, u32)) -> (u64, u64) {
    #[derive(scale_decode::DecodeAsType)]
    struct Account {
        data: Data,
    }
    #[derive(scale_decode::DecodeAsType)]
    struct Data {
        free: u64,
    }
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.ws_url())
        .await
        .unwrap();
    let account: AccountId32 = account.parse().unwrap();
    let entry = dynamic::storage::<(AccountId32,), Account>("System", "Account");
    let block = api.at_block(at.0).await.unwrap();
    let read = block.storage().fetch(entry, (account,)).await.unwrap();
    let balance = read.decode().unwrap().data.free;
    let entry = dynamic::storage::<(u16,), u64>("SubtensorModule", "Burn");
    let block = api.at_block(at.1).await.unwrap();
    let read = block.storage().fetch(entry, (NETUID.0,)).await.unwrap();
    (balance, read.decode().unwrap())
}

/// What a script says of a validator's stake, of which all is its owner's, and of delegates.
fn same_stakes(snapshot: &Snapshot, uid: usize, said: &Value) {
    let validator = &snapshot.neurons[uid];
    assert_eq!(said["price"], 1.0);
    assert_eq!(said["owner"], validator.coldkey.to_string());
    assert_eq!(said["netuids"], json!([NETUID.0]));
    assert_eq!(said["staked"], validator.alpha_stake.0);
    assert_eq!(said["children"], json!([]));
    assert_eq!(
        said["delegated"],
        json!([[0, validator.tao_stake.0], [NETUID.0, validator.alpha_stake.0]])
    );
    // Delegates are those with root stake here, and their take is the least.
    let permitted = snapshot.neurons.iter().filter(|neuron| neuron.validator_permit);
    let mut delegates: Vec<String> = permitted.map(|neuron| neuron.hotkey.to_string()).collect();
    delegates.sort();
    assert_eq!(said["delegates"], json!(delegates));
    let [owner, take, registrations, permits] = said["delegate"].as_array().unwrap().as_slice() else {
        panic!("{}", said["delegate"])
    };
    assert_eq!(owner, &said["owner"]);
    assert!((take.as_f64().unwrap() - 0.18).abs() < 1e-4, "{take}");
    assert_eq!((registrations, permits), (&json!([NETUID.0]), &json!([NETUID.0])));
}

/// What a script says against what is read here at the block that it names.
async fn compare(chain: &DevChain, said: &Value) {
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let number = u32::try_from(said["block"].as_u64().unwrap()).unwrap();
    let block = client.block_at(number).await.unwrap().unwrap();
    let snapshot = client.snapshot(NETUID, block).await.unwrap();
    assert_eq!(said["neurons"], neurons(&snapshot));
    assert_eq!(said["spec_version"], snapshot.spec_version);
    assert_eq!(said["tempo"], snapshot.tempo);
    assert_eq!(said["owner_hotkey"], snapshot.owner_hotkey.to_string());
    assert_eq!(said["owner_coldkey"], snapshot.owner_coldkey.to_string());

    let hyperparameters = client.hyperparameters(NETUID, block).await.unwrap();
    assert_eq!((hyperparameters.version, hyperparameters.values.len()), (3, 33));
    same_hyperparameters(&hyperparameters, &said["hyperparameters"]);

    assert_eq!(said["weights"], json!(WEIGHTS));
    let uid = |name: &str| usize::try_from(said[name].as_u64().unwrap()).unwrap();
    let validator = &snapshot.neurons[uid("validator")];
    assert!(validator.last_update > 100 && validator.last_update <= u64::from(number));
    let waited = &said["waited"];
    assert!(waited[1].as_u64() > waited[0].as_u64(), "{waited}");

    same_stakes(&snapshot, uid("validator"), said);

    let registered_at = u32::try_from(snapshot.neurons[uid("registered")].registered_at).unwrap();
    let payer = said["payer"].as_str().unwrap();
    let (balance, burn) = balance_and_burn(chain, payer, (number, registered_at)).await;
    assert_eq!(said["balance"], balance);
    // The registration raised the price by 1.26, as it is stored with 64 fractional bits.
    let paid = u128::from(said["paid"].as_u64().unwrap());
    assert_eq!(u128::from(burn), (paid * 0x1_428f_5c28_f5c2_9000) >> 64);
}

/// What a script says of the subnet that it registered, and of what its pool gives for 10 TAO.
async fn same_subnet(chain: &DevChain, netuid: u16, said: &Value) {
    let said = &said["founded"];
    assert_eq!(said["netuid"], netuid);
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let number = u32::try_from(said["block"].as_u64().unwrap()).unwrap();
    let block = client.block_at(number).await.unwrap().unwrap();
    let snapshot = client.snapshot(NetUid(netuid), block).await.unwrap();
    assert_eq!(said["owner"], snapshot.owner_coldkey.to_string());
    assert_eq!(said["hotkeys"], json!([snapshot.owner_hotkey.to_string()]));
    assert_eq!(snapshot.neurons.len(), 1);
    // Its pool holds the cost, and as much alpha as makes the price. The fee is 33 of 65535.
    let [before, after] = [0, 1].map(|at| said["prices"][at].as_u64().unwrap());
    assert!(after > before, "{}", said["prices"]);
    let paid = 10_000_000_000 - 5_035_477;
    let unit = 1_000_000_000;
    // It costs less with each block.
    let [asked, cost] = ["cost", "locked"].map(|name| u128::from(said[name].as_u64().unwrap()));
    assert!(cost <= asked && cost > asked / 2, "{cost} of {asked}");
    let got = cost * unit / u128::from(before) * paid / (cost + paid);
    let [alpha, fee, slippage] = [0, 1, 2].map(|at| said["quoted"][at].as_u64().unwrap());
    // The price is told with nine digits.
    let is = |value: u64, expected: u128| u128::from(value).abs_diff(expected) <= 20;
    assert!(is(alpha, got), "{alpha} and not {got}");
    assert!(is(slippage, paid * unit / u128::from(before) - got), "{slippage}");
    assert_eq!(fee, 5_035_477);
    assert_eq!(said["staked"], alpha);
    assert_eq!(snapshot.neurons[0].alpha_stake.0, alpha);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_python_sdks_read_what_is_read_here() {
    let options = Options {
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    let chain = violet_devchain::spawn(Genesis::default(), options).await.unwrap();
    let miner = violet_devchain::public_key("//Miner1").unwrap();
    chain
        .set_axon(NETUID.0, miner, Some("10.1.2.3:8091".parse().unwrap()))
        .unwrap();
    // Who has a uid may set weights from block 100 on. Blocks may be as quick as they are made.
    chain.advance(101).unwrap();
    chain.set_block_time(Duration::from_millis(250));
    // Subnets come one after the other, the second for twice as much.
    let limit = [
        sp_core::twox_128(b"SubtensorModule"),
        sp_core::twox_128(b"NetworkRateLimit"),
    ]
    .concat();
    chain.set_storage(&limit, Some(&0u64.to_le_bytes())).unwrap();
    let said = run("bittensor-11.3.0", "sdk11.py", &chain).await;
    compare(&chain, &said).await;
    assert_eq!(said["subnets"], json!([0, NETUID.0]));
    same_subnet(&chain, 2, &said).await;
    let first = &said["founded"];
    assert_eq!(
        (first["cost"].as_u64(), first["prices"][0].as_u64()),
        (Some(1_000_000_000_000), Some(1_000_000_000))
    );
    let said = run("bittensor-10.5.0", "sdk10.py", &chain).await;
    compare(&chain, &said).await;
    assert_eq!(said["subnets"], json!([0, NETUID.0, 2]));
    let cost = said["founded"]["cost"].as_u64().unwrap();
    assert!(cost > 1_900_000_000_000 && cost < 2_000_000_000_000, "{cost}");
    same_subnet(&chain, 3, &said).await;
}
