//! Hyperparameters by each version of the chain's call.

use codec::Encode as _;
use scale_info::{TypeDefPrimitive, Variant};
use subxt::ext::scale_value::Value;
use violet_chain::{Client, Error, Hyperparameter, Hyperparameters, NetUid};
use violet_devchain::Genesis;

use crate::harness::metadata::{Fixture, field, fixture};
use crate::harness::node::{self, Answers, encoded, inside, put, zero};
use crate::harness::state::manual_chain;

const NETUID: NetUid = NetUid(1);

/// Asks a node of this metadata, which gives this answer to one of the calls.
async fn ask(metadata: &Fixture, call: &'static str, answer: Vec<u8>) -> Result<Hyperparameters, Error> {
    let chain = manual_chain(Genesis::default()).await;
    let answers = Answers::from([((call, NETUID.0.encode()), answer)]);
    let node = node::start(&chain, metadata, answers).await;
    let client = Client::connect(std::slice::from_ref(&node.url)).await.unwrap();
    let block = client.finalized().await.unwrap();
    client.hyperparameters(NETUID, block).await
}

fn integer(read: &Hyperparameters, name: &str) -> Option<u128> {
    match read.get(name) {
        Some(Hyperparameter::Integer(value)) => Some(*value),
        _ => None,
    }
}

#[tokio::test]
async fn version_3_is_read_with_values_of_a_new_kind() {
    let mut metadata = fixture(461);
    let word = metadata.primitive(TypeDefPrimitive::U32);
    metadata.variants("HyperparamValue").push(Variant {
        name: "Range".into(),
        fields: vec![field("low", word), field("high", word)],
        index: 99,
        docs: Vec::new(),
    });
    let types = &metadata.0.types;
    let output = metadata.method("get_subnet_hyperparams_v3").output.id;
    let entry = |name: &str, value: Value| {
        let name = Value::from_bytes(name.as_bytes());
        Value::named_composite([("name", name), ("value", value)])
    };
    let one = |kind: &str, value: Value| Value::unnamed_variant(kind, [value]);
    let bits = Value::named_composite([("bits", Value::i128(-(3 << 31)))]);
    let range = [("low", Value::u128(1)), ("high", Value::u128(2))];
    let entries = Value::unnamed_composite([
        entry("kappa", one("U16", Value::u128(32_767))),
        entry("yuma3", one("Bool", Value::bool(true))),
        entry("min_burn", one("TaoBalance", Value::u128(500_000))),
        entry("most", one("U128", Value::u128(u128::MAX))),
        entry("steepness", one("I32F32", bits)),
        entry("range", Value::named_variant("Range", range)),
    ]);
    let answer = encoded(types, output, &Value::unnamed_variant("Some", [entries]));
    let call = "SubnetInfoRuntimeApi_get_subnet_hyperparams_v3";
    let read = ask(&metadata, call, answer).await.unwrap();
    assert_eq!((read.version, read.spec_version, read.netuid), (3, 461, NETUID));
    assert_eq!(integer(&read, "kappa"), Some(32_767));
    assert_eq!(integer(&read, "min_burn"), Some(500_000));
    assert_eq!(read.get("yuma3"), Some(&Hyperparameter::Bool(true)));
    assert_eq!(read.get("steepness"), Some(&Hyperparameter::Fixed(-1.5)));
    assert_eq!(read.get("nothing"), None);
    let json = serde_json::to_string(&read).unwrap();
    assert!(json.contains(r#""values":{"kappa":32767,"yuma3":true,"min_burn":500000,"most":340282366920938463463374607431768211455,"steepness":-1.5,"range":""#), "{json}");
}

#[tokio::test]
async fn version_2_is_read_where_there_is_no_third() {
    let metadata = fixture(365);
    let types = &metadata.0.types;
    let output = metadata.method("get_subnet_hyperparams_v2").output.id;
    let mut fields = zero(types, inside(types, output));
    put(&mut fields, "tempo", Value::u128(360));
    put(&mut fields, "transfers_enabled", Value::bool(true));
    let bits = Value::named_composite([("bits", Value::i128(1_000 << 32))]);
    put(&mut fields, "alpha_sigmoid_steepness", bits);
    let answer = encoded(types, output, &Value::unnamed_variant("Some", [fields]));
    let call = "SubnetInfoRuntimeApi_get_subnet_hyperparams_v2";
    let read = ask(&metadata, call, answer).await.unwrap();
    assert_eq!((read.version, read.values.len()), (2, 33));
    assert_eq!(integer(&read, "tempo"), Some(360));
    assert_eq!(read.get("transfers_enabled"), Some(&Hyperparameter::Bool(true)));
    assert_eq!(
        read.get("alpha_sigmoid_steepness"),
        Some(&Hyperparameter::Fixed(1_000.0))
    );
}

#[tokio::test]
async fn version_1_as_recorded_from_a_real_node_is_read() {
    let metadata = fixture(461)
        .without_api("get_subnet_hyperparams_v3")
        .without_api("get_subnet_hyperparams_v2");
    let recorded: serde_json::Value = serde_json::from_str(include_str!("data/recorded-461.json")).unwrap();
    let answer = recorded["get_subnet_hyperparams"].as_str().unwrap();
    let answer = hex::decode(answer.trim_start_matches("0x")).unwrap();
    let call = "SubnetInfoRuntimeApi_get_subnet_hyperparams";
    let read = ask(&metadata, call, answer).await.unwrap();
    assert_eq!((read.version, read.values.len()), (1, 27));
    for (name, value) in [
        ("rho", 10),
        ("kappa", 32_767),
        ("tempo", 100),
        ("activity_cutoff", 1_388),
        ("max_burn", 100_000_000_000),
        ("bonds_moving_avg", 900_000),
        ("alpha_low", 45_875),
    ] {
        assert_eq!(integer(&read, name), Some(value), "{name}");
    }
    assert_eq!(
        read.get("commit_reveal_weights_enabled"),
        Some(&Hyperparameter::Bool(true))
    );
    assert_eq!(
        read.get("liquid_alpha_enabled"),
        Some(&Hyperparameter::Bool(false))
    );
}

#[tokio::test]
async fn absent_subnets_and_absent_calls_are_errors() {
    let call = "SubnetInfoRuntimeApi_get_subnet_hyperparams_v3";
    let error = ask(&fixture(461), call, vec![0]).await.unwrap_err();
    assert!(
        matches!(error, Error::NoSuchSubnet { netuid: NETUID, .. }),
        "{error:?}"
    );
    let none = fixture(365)
        .without_api("get_subnet_hyperparams_v2")
        .without_api("get_subnet_hyperparams");
    let error = ask(&none, call, vec![0]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "SubnetInfoRuntimeApi.get_subnet_hyperparams_v3 is missing in runtime 461"
    );
}

/// The dev chain's own, each version withheld after the other.
#[tokio::test]
async fn the_dev_chain_answers_by_each_version() {
    let chain = manual_chain(Genesis::default()).await;
    let client = Client::connect(&[chain.ws_url()]).await.unwrap();
    let gone = [
        "SubnetInfoRuntimeApi.get_subnet_hyperparams_v3",
        "SubnetInfoRuntimeApi.get_subnet_hyperparams_v2",
    ];
    let mut newest: Option<Hyperparameters> = None;
    for (withheld, (version, count)) in [(3, 33), (2, 33), (1, 27)].into_iter().enumerate() {
        let spec_version = violet_devchain::SPEC_VERSION + 1 + u32::try_from(withheld).unwrap();
        chain
            .upgrade_runtime(spec_version, gone[..withheld].iter().copied())
            .unwrap();
        chain.advance(1).unwrap();
        let block = client.finalized().await.unwrap();
        let read = client.hyperparameters(NETUID, block).await.unwrap();
        assert_eq!((read.version, read.values.len()), (version, count));
        let first = newest.get_or_insert_with(|| read.clone());
        let shared = read
            .values
            .iter()
            .filter_map(|(name, value)| Some((name, value, first.get(name)?)));
        let shared: Vec<_> = shared.collect();
        assert!(shared.len() >= 20, "{shared:?}");
        assert!(shared.iter().all(|(_, old, new)| old == new), "{shared:?}");
    }
    let first = newest.unwrap();
    assert_eq!(integer(&first, "tempo"), Some(10));
    assert_eq!(
        first.get("alpha_sigmoid_steepness"),
        Some(&Hyperparameter::Fixed(1_000.0))
    );
    let absent = client.hyperparameters(NetUid(9), first.block).await;
    assert!(matches!(absent, Err(Error::NoSuchSubnet { .. })), "{absent:?}");
}
