//! Writing to the state of a dev chain: its sudo account sets storage, as it may on any chain that has the pallet.

use std::time::Duration;

use codec::Encode as _;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClientBuilder;
use serde_json::Value as Json;
use sp_core::{Pair as _, blake2_128, sr25519, twox_128};
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::ext::scale_value::Value;
use subxt::tx::DynamicPayload;
use subxt::utils::{AccountId32, MultiSignature};
use subxt::{OnlineClient, SubstrateConfig, dynamic};
use violet_devchain::{DevChain, Genesis, Options};

struct Signer(sr25519::Pair);

impl subxt::tx::Signer<SubstrateConfig> for Signer {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.public().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload).0)
    }
}

/// A chain that makes blocks only when asked.
pub(crate) async fn manual_chain(genesis: Genesis) -> DevChain {
    let options = Options {
        block_time: Some(Duration::ZERO),
        ..Options::default()
    };
    violet_devchain::spawn(genesis, options).await.unwrap()
}

/// Sets storage in one block.
pub(crate) async fn set(chain: &DevChain, items: Vec<(Vec<u8>, Vec<u8>)>) {
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.ws_url())
        .await
        .unwrap();
    let call = dynamic::transaction("System", "set_storage", (items,));
    let call = api.tx().await.unwrap().call_data(&call).unwrap();
    // `Sudo.sudo` holds a call as its bytes.
    let call = [vec![12, 0], call].concat();
    let call = api.tx().await.unwrap().from_call_data_bytes(&call).unwrap();
    let alice = Signer(sr25519::Pair::from_string("//Alice", None).unwrap());
    let mut client = api.tx().await.unwrap();
    let submitted = client
        .sign_and_submit_then_watch_default(&call, &alice)
        .await
        .unwrap();
    chain.advance(1).unwrap();
    submitted.wait_for_finalized_success().await.unwrap();
}

/// A call, made elsewhere than here.
pub(crate) type Call = DynamicPayload<Vec<Value>>;

/// Gives an account a TAO.
pub(crate) fn transfer_to(uri: &str) -> Call {
    let to = sr25519::Pair::from_string(uri, None).unwrap().public();
    let to = Value::unnamed_variant("Id", [Value::from_bytes(to.0)]);
    dynamic::transaction(
        "Balances",
        "transfer_keep_alive",
        vec![to, Value::u128(1_000_000_000)],
    )
}

/// Says something.
pub(crate) fn remark() -> Call {
    dynamic::transaction("System", "remark", vec![Value::from_bytes(b"first")])
}

/// Sends a call with this nonce and tip to the pool, as somebody else does who has the key. Gives the node's words for a
/// refusal.
pub(crate) async fn rival(
    chain: &DevChain,
    uri: &str,
    nonce: u64,
    tip: u128,
    call: &Call,
) -> Result<(), String> {
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(chain.ws_url())
        .await
        .unwrap();
    let signer = Signer(sr25519::Pair::from_string(uri, None).unwrap());
    let params = DefaultExtrinsicParamsBuilder::new()
        .immortal()
        .nonce(nonce)
        .tip(tip)
        .build();
    let mut tx = api.tx().await.unwrap();
    let signed = tx.create_signed(call, &signer, params).await.unwrap();
    let node = WsClientBuilder::default().build(chain.ws_url()).await.unwrap();
    let bytes = format!("0x{}", hex::encode(signed.encoded()));
    let sent = node.request::<Json, _>("author_submitExtrinsic", rpc_params![bytes]);
    sent.await.map(drop).map_err(|error| error.to_string())
}

/// The key of an entry of `SubtensorModule` below keys that are hashed already.
pub(crate) fn key(entry: &str, hashed: &[u8]) -> Vec<u8> {
    [&twox_128(b"SubtensorModule"), &twox_128(entry.as_bytes()), hashed].concat()
}

/// The key of an entry by `netuid`, hashed by `Identity`.
pub(crate) fn of_subnet(entry: &str, netuid: u16) -> Vec<u8> {
    key(entry, &netuid.encode())
}

/// The key of an entry by hotkey, hashed by `Blake2_128Concat`, and `netuid`.
pub(crate) fn of_hotkey(entry: &str, hotkey: [u8; 32], netuid: u16) -> Vec<u8> {
    let hashed = [&blake2_128(&hotkey)[..], &hotkey, &netuid.encode()].concat();
    key(entry, &hashed)
}
