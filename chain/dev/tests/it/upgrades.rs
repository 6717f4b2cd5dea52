//! A runtime upgrade in the middle of a run, seen from outside.

use codec::{Decode as _, Encode as _};
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClient;
use serde_json::{Value, json};
use subxt::Metadata;
use subxt::config::DefaultExtrinsicParamsBuilder;
use violet_devchain::{Error, SPEC_VERSION, UpgradeError};

use crate::subxt_client::{client, serve_axon, signer};
use crate::{ask, bytes, connect, hex0x, manual};

/// The metadata of one version at a block.
async fn metadata(client: &WsClient, version: u32, at: &Value) -> Metadata {
    let params = rpc_params!["Metadata_metadata_at_version", hex0x(version.encode()), at];
    let answer = bytes(&ask(client, "state_call", params).await);
    let opaque = Option::<Vec<u8>>::decode(&mut answer.as_slice())
        .unwrap()
        .unwrap();
    assert_eq!(u32::from(opaque[4]), version);
    Metadata::decode_from(&opaque).unwrap()
}

#[tokio::test]
async fn version_and_metadata_change_from_a_block_on() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let mut versions: Subscription<Value> = wire
        .subscribe(
            "chain_subscribeRuntimeVersion",
            rpc_params![],
            "chain_unsubscribeRuntimeVersion",
        )
        .await
        .unwrap();
    assert_eq!(
        versions.next().await.unwrap().unwrap()["specVersion"],
        json!(SPEC_VERSION)
    );
    let before = json!(hex0x(chain.advance(2).unwrap().hash));
    let withheld = json!(["SubtensorModule.TaoWeight", "SubnetInfoRuntimeApi"]);
    let head = ask(
        &wire,
        "dev_upgradeRuntime",
        rpc_params![SPEC_VERSION + 1, &withheld],
    )
    .await;
    let after = &head["hash"];
    assert_eq!(
        versions.next().await.unwrap().unwrap()["specVersion"],
        json!(SPEC_VERSION + 1)
    );
    let header = ask(&wire, "chain_getHeader", rpc_params![after]).await;
    assert_eq!(
        header["digest"]["logs"],
        json!(["0x08"]),
        "RuntimeEnvironmentUpdated"
    );

    for (at, spec_version, has) in [(&before, SPEC_VERSION, true), (after, SPEC_VERSION + 1, false)] {
        let version = ask(&wire, "state_getRuntimeVersion", rpc_params![at]).await;
        assert_eq!(version["specVersion"], json!(spec_version));
        for number in [14, 15, 16] {
            let metadata = metadata(&wire, number, at).await;
            let storage = metadata
                .pallet_by_name("SubtensorModule")
                .unwrap()
                .storage()
                .unwrap();
            assert_eq!(storage.entry_by_name("TaoWeight").is_some(), has);
            assert!(storage.entry_by_name("SubnetworkN").is_some());
            if number > 14 {
                assert_eq!(
                    metadata
                        .runtime_api_trait_by_name("SubnetInfoRuntimeApi")
                        .is_some(),
                    has
                );
            }
        }
        let plain = bytes(&ask(&wire, "state_getMetadata", rpc_params![at]).await);
        let plain = Metadata::decode_from(&plain).unwrap();
        let storage = plain
            .pallet_by_name("SubtensorModule")
            .unwrap()
            .storage()
            .unwrap();
        assert_eq!(storage.entry_by_name("TaoWeight").is_some(), has);
        let arguments = hex0x((1u16, vec![0u16]).encode());
        let params = rpc_params!["SubnetInfoRuntimeApi_get_selective_metagraph", arguments, at];
        let called = wire.request::<Value, _>("state_call", params).await;
        assert_eq!(called.is_ok(), has);
        if let Err(error) = called {
            let expected = "Exported method SubnetInfoRuntimeApi_get_selective_metagraph is not found";
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[tokio::test]
async fn an_open_client_signs_for_the_new_version() {
    let chain = manual().await;
    let client = client(&chain).await;
    chain.advance(1).unwrap();
    let sign = async |nonce| {
        let params = DefaultExtrinsicParamsBuilder::new()
            .immortal()
            .nonce(nonce)
            .build();
        let mut tx = client.tx().await.unwrap();
        tx.create_signed(&serve_axon(0x0808_0808, 9_100), &signer("//Miner1"), params)
            .await
            .unwrap()
    };
    let stale = sign(0).await;
    chain.upgrade_runtime(SPEC_VERSION + 9, [""; 0]).unwrap();
    let at = client.at_current_block().await.unwrap();
    assert_eq!(at.spec_version(), SPEC_VERSION + 9);
    let refused = stale.submit().await.unwrap_err();
    assert!(format!("{refused:?}").contains("1010"), "{refused:?}");
    sign(0).await.submit().await.unwrap();
    chain.advance(1).unwrap();
    let block = client.at_current_block().await.unwrap();
    assert_eq!(
        block.extrinsics().fetch().await.unwrap().len(),
        2,
        "the timestamp and it"
    );
}

#[tokio::test]
async fn a_runtime_only_becomes_newer_and_withholds_what_it_has() {
    let chain = manual().await;
    let refused = |result: Result<_, Error>| match result.unwrap_err() {
        Error::Upgrade(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(
        refused(chain.upgrade_runtime(SPEC_VERSION, [""; 0])),
        UpgradeError::NotNewer(SPEC_VERSION)
    );
    for name in ["SubtensorModule.Nothing", "Core", "SubtensorModule"] {
        assert_eq!(
            refused(chain.upgrade_runtime(SPEC_VERSION + 1, [name])),
            UpgradeError::NoSuchItem(name.to_owned())
        );
    }
    assert_eq!(chain.best().number, 0);
    chain
        .upgrade_runtime(SPEC_VERSION + 1, ["SubtensorModule.Tempo"])
        .unwrap();
    assert_eq!(
        refused(chain.upgrade_runtime(SPEC_VERSION + 1, [""; 0])),
        UpgradeError::NotNewer(SPEC_VERSION + 1)
    );
    chain
        .upgrade_runtime(
            SPEC_VERSION + 2,
            [
                "SubnetInfoRuntimeApi.get_selective_metagraph",
                "System.SS58Prefix",
            ],
        )
        .unwrap();
    let wire = connect(&chain).await;
    let head = json!(hex0x(chain.best().hash));
    let metadata = metadata(&wire, 16, &head).await;
    let subtensor = metadata.pallet_by_name("SubtensorModule").unwrap();
    assert!(
        subtensor.storage().unwrap().entry_by_name("Tempo").is_some(),
        "it is back"
    );
    let system = metadata.pallet_by_name("System").unwrap();
    assert!(system.constant_by_name("SS58Prefix").is_none());
    let api = metadata
        .runtime_api_trait_by_name("SubnetInfoRuntimeApi")
        .unwrap();
    assert!(api.method_by_name("get_selective_metagraph").is_none());
}

#[tokio::test]
async fn an_upgrade_may_bring_an_extension() {
    let chain = manual().await;
    let wire = connect(&chain).await;
    let listed = async |version: u32| {
        let metadata = metadata(&wire, version, &json!(hex0x(chain.best().hash))).await;
        let extrinsic = metadata.extrinsic();
        let extensions = extrinsic.transaction_extensions_by_version(0).unwrap();
        extensions
            .map(|extension| extension.identifier().to_owned())
            .collect::<Vec<_>>()
    };
    for (how, name) in [("empty", "CheckNothing"), ("data", "ChargeSomething")] {
        let spec = SPEC_VERSION + 1 + u32::from(how == "data");
        ask(&wire, "dev_addExtension", rpc_params![spec, how]).await;
        for version in [14, 15, 16] {
            assert_eq!(listed(version).await.last().unwrap(), name, "{version}");
        }
    }
    let upgraded = SPEC_VERSION + 3;
    ask(&wire, "dev_upgradeRuntime", rpc_params![upgraded]).await;
    assert_eq!(listed(15).await.last().unwrap(), "CheckMetadataHash");
}
