//! What calls cost, where they cost something.

use codec::{Compact, Decode as _, Encode as _};
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::WsClient;
use scale_decode::DecodeAsType;
use serde_json::Value;
use subxt::config::DefaultExtrinsicParamsBuilder;
use subxt::dynamic;
use subxt::ext::scale_value::Value as Scale;
use subxt::tx::Payload;
use subxt::utils::AccountId32;
use violet_devchain::{DevChain, Fees, Genesis};

use crate::subxt_client::{client, serve_axon, signer};
use crate::{UNIT, ask, bytes, connect, hex0x, key, manual};

/// The chain's weights of `transfer_keep_alive`, and of what every extrinsic costs, in picoseconds.
const TRANSFER: u64 = 224_051_000;
const BASE: u64 = 108_157_000;

async fn charging() -> DevChain {
    let chain = manual().await;
    chain.set_fees(Fees::Real).unwrap();
    chain
}

fn account(uri: &str) -> Scale {
    Scale::from_bytes(key(uri))
}

fn transfer(to: &str, rao: u64) -> impl Payload {
    let to = Scale::unnamed_variant("Id", [account(to)]);
    dynamic::transaction(
        "Balances",
        "transfer_keep_alive",
        vec![to, Scale::u128(rao.into())],
    )
}

/// The bytes of a signed extrinsic.
async fn signed(chain: &DevChain, from: &str, tip: u128, call: &impl Payload) -> Vec<u8> {
    let signer = signer(from);
    let wire = connect(chain).await;
    let nonce: u64 = serde_json::from_value(
        ask(
            &wire,
            "system_accountNextIndex",
            rpc_params![AccountId32(key(from)).to_string()],
        )
        .await,
    )
    .unwrap();
    let params = DefaultExtrinsicParamsBuilder::new()
        .immortal()
        .nonce(nonce)
        .tip(tip)
        .build();
    let mut tx = client(chain).await.tx().await.unwrap();
    let signed = tx.create_signed(call, &signer, params).await.unwrap();
    signed.encoded().to_vec()
}

/// What the runtime says that it will cost: picoseconds, bytes of proof, rao without the tip.
async fn estimate(wire: &WsClient, extrinsic: &[u8]) -> (u64, u64, u64) {
    let length = u32::try_from(extrinsic.len()).unwrap();
    let data = hex0x([extrinsic, &length.encode()].concat());
    let params = rpc_params!["TransactionPaymentApi_query_info", data];
    let answer = bytes(&ask(wire, "state_call", params).await);
    let (time, proof, _class, fee) =
        <(Compact<u64>, Compact<u64>, u8, u64)>::decode(&mut answer.as_slice()).unwrap();
    let told = ask(wire, "payment_queryInfo", rpc_params![hex0x(extrinsic)]).await;
    assert_eq!(told["partialFee"].as_str().unwrap(), fee.to_string());
    (time.0, proof.0, fee)
}

async fn submit(wire: &WsClient, extrinsic: &[u8]) -> Result<Value, String> {
    let sent = wire.request("author_submitExtrinsic", rpc_params![hex0x(extrinsic)]);
    sent.await
        .map_err(|error: jsonrpsee::core::client::Error| error.to_string())
}

async fn balance(chain: &DevChain, uri: &str) -> u64 {
    #[derive(DecodeAsType)]
    struct Account {
        data: Data,
    }
    #[derive(DecodeAsType)]
    struct Data {
        free: u64,
    }
    let at = client(chain).await.at_current_block().await.unwrap();
    let item = dynamic::storage::<(AccountId32,), Account>("System", "Account");
    let stored = at.storage().fetch(item, (AccountId32(key(uri)),)).await.unwrap();
    stored.decode().unwrap().data.free
}

/// `Pallet.event` of the newest block.
async fn events(chain: &DevChain) -> Vec<String> {
    let at = client(chain).await.at_current_block().await.unwrap();
    let events = at.events().fetch().await.unwrap();
    let names = events.iter().map(|event| {
        let event = event.unwrap();
        format!("{}.{}", event.pallet_name(), event.event_name())
    });
    names.collect()
}

/// A node at version 461 took 166 247 rao for an extrinsic of 142 bytes and its length.
#[tokio::test]
async fn a_transfer_costs_what_it_did_on_a_real_node() {
    let chain = charging().await;
    let wire = connect(&chain).await;
    let extrinsic = signed(&chain, "//Alice", 0, &transfer("//Bob", UNIT)).await;
    assert_eq!(extrinsic.len(), 144);
    assert_eq!(estimate(&wire, &extrinsic).await, (TRANSFER, 7_791, 166_247));
    let before = balance(&chain, "//Alice").await;
    submit(&wire, &extrinsic).await.unwrap();
    chain.advance(1).unwrap();
    assert_eq!(before - balance(&chain, "//Alice").await, UNIT + 166_247);
    assert!(
        events(&chain)
            .await
            .contains(&"TransactionPayment.TransactionFeePaid".to_owned())
    );
}

#[tokio::test]
async fn a_fee_is_of_weight_and_length_and_the_tip_comes_on_top() {
    let chain = charging().await;
    let wire = connect(&chain).await;
    let remark = dynamic::transaction("System", "remark", vec![Scale::from_bytes([7; 1_000])]);
    let extrinsic = signed(&chain, "//Alice", 12_345, &remark).await;
    let (time, _, fee) = estimate(&wire, &extrinsic).await;
    let length = u64::try_from(extrinsic.len()).unwrap();
    // Half a rao for each 1000 picoseconds, halves rounded down, and one for each byte.
    let of = |time: u64| time / 2_000 + u64::from(time % 2_000 > 1_000);
    assert_eq!(fee, of(time) + of(BASE) + length);
    let before = balance(&chain, "//Alice").await;
    submit(&wire, &extrinsic).await.unwrap();
    chain.advance(1).unwrap();
    assert_eq!(before - balance(&chain, "//Alice").await, fee + 12_345);
    // A call that fails is paid for.
    let nothing = dynamic::transaction(
        "SubtensorModule",
        "add_stake",
        vec![account("//Miner1"), Scale::u128(77), Scale::u128(UNIT.into())],
    );
    let extrinsic = signed(&chain, "//Alice", 0, &nothing).await;
    let (time, _, fee) = estimate(&wire, &extrinsic).await;
    assert_eq!(
        time,
        310_000_000 + 32 * 25_000_000 + 16 * 100_000_000 + 60_000_000
    );
    let before = balance(&chain, "//Alice").await;
    submit(&wire, &extrinsic).await.unwrap();
    chain.advance(1).unwrap();
    assert!(
        events(&chain)
            .await
            .contains(&"System.ExtrinsicFailed".to_owned())
    );
    assert_eq!(before - balance(&chain, "//Alice").await, fee);
}

#[tokio::test]
async fn what_hotkeys_do_is_free() {
    let chain = charging().await;
    let wire = connect(&chain).await;
    let weights = dynamic::transaction(
        "SubtensorModule",
        "set_weights",
        vec![
            Scale::u128(1),
            Scale::unnamed_composite([Scale::u128(0)]),
            Scale::unnamed_composite([Scale::u128(1)]),
            Scale::u128(0),
        ],
    );
    chain.set_weight_rules(1, false, 0).unwrap();
    // Neither has any TAO.
    let set = signed(&chain, "//Validator1", 0, &weights).await;
    let serve = signed(&chain, "//Miner1", 0, &serve_axon(0x7f00_0002, 8_091)).await;
    for extrinsic in [&set, &serve] {
        assert_eq!(estimate(&wire, extrinsic).await.2, 0);
        submit(&wire, extrinsic).await.unwrap();
    }
    chain.advance(1).unwrap();
    let events = events(&chain).await;
    for event in ["SubtensorModule.WeightsSet", "SubtensorModule.AxonServed"] {
        assert!(events.contains(&event.to_owned()), "{event}");
    }
}

#[tokio::test]
async fn who_cannot_pay_is_refused_and_a_rao_more_is_enough() {
    let chain = charging().await;
    let wire = connect(&chain).await;
    let remark = dynamic::transaction("System", "remark", vec![Scale::from_bytes([])]);
    let needed = {
        let extrinsic = signed(&chain, "//Alice", 0, &remark).await;
        estimate(&wire, &extrinsic).await.2
    };
    // The existential deposit of 500 rao stays.
    for (rao, enough) in [(needed + 499, false), (needed + 500, true)] {
        let given = rao - balance(&chain, "//Poor").await;
        let extrinsic = signed(&chain, "//Alice", 0, &transfer("//Poor", given)).await;
        submit(&wire, &extrinsic).await.unwrap();
        chain.advance(1).unwrap();
        let extrinsic = signed(&chain, "//Poor", 0, &remark).await;
        match submit(&wire, &extrinsic).await {
            Ok(_) => assert!(enough),
            Err(error) => {
                assert!(!enough, "{error}");
                let refused = error.contains("1010") && error.contains("Inability to pay some fees");
                assert!(refused, "{error}");
            }
        }
    }
    chain.advance(1).unwrap();
    assert_eq!(balance(&chain, "//Poor").await, 500);
}

/// The stake that the call moves; of other calls it pays none.
#[tokio::test]
async fn stake_pays_where_there_is_too_little_tao() {
    let chain = charging().await;
    let wire = connect(&chain).await;
    for owner in ["//Miner1//cold", "//Miner2//cold"] {
        let extrinsic = signed(&chain, "//Alice", 0, &transfer(owner, 600)).await;
        submit(&wire, &extrinsic).await.unwrap();
        chain.advance(1).unwrap();
    }
    let sell = |rao: u64| {
        dynamic::transaction(
            "SubtensorModule",
            "remove_stake",
            vec![account("//Miner1"), Scale::u128(1), Scale::u128(rao.into())],
        )
    };
    let extrinsic = signed(&chain, "//Miner1//cold", 0, &sell(UNIT)).await;
    let fee = estimate(&wire, &extrinsic).await.2;
    assert!(fee > 1_000_000, "{fee}");
    let before = crate::snapshot(&wire, None).await.total_stake.unwrap()[0];
    submit(&wire, &extrinsic).await.unwrap();
    chain.advance(1).unwrap();
    let after = crate::snapshot(&wire, None).await.total_stake.unwrap()[0];
    assert_eq!(before - after, UNIT + fee);
    assert_eq!(balance(&chain, "//Miner1//cold").await, UNIT + 600);
    let told = events(&chain).await;
    assert!(told.contains(&"SubtensorModule.TransactionFeePaidWithAlpha".to_owned()));
    // No stake there, a call that moves none, and an account that does not exist.
    let none = signed(&chain, "//Miner2//cold", 0, &sell(UNIT)).await;
    let remark = dynamic::transaction("System", "remark", vec![Scale::from_bytes([])]);
    let other = signed(&chain, "//Miner2//cold", 0, &remark).await;
    let nobody = signed(&chain, "//Miner3//cold", 0, &remark).await;
    for extrinsic in [none, other, nobody] {
        let error = submit(&wire, &extrinsic).await.unwrap_err();
        assert!(error.contains("Inability to pay some fees"), "{error}");
    }
}

#[tokio::test]
async fn there_are_no_fees_unless_asked_for() {
    assert_eq!(Genesis::default().fees, Fees::None);
    let head = "block_time_ms = 0\nsudo = '//Alice'\ntao_weight = 0\nstake_threshold = 0\n";
    assert_eq!(head.parse::<Genesis>().unwrap().fees, Fees::None);
    let real = format!("{head}fees = 'real'\n").parse::<Genesis>().unwrap();
    assert_eq!(real.fees, Fees::Real);
    assert!(format!("{head}fees = 'some'\n").parse::<Genesis>().is_err());

    let chain = manual().await;
    let wire = connect(&chain).await;
    let extrinsic = signed(&chain, "//Alice", 0, &transfer("//Bob", UNIT)).await;
    assert_eq!(estimate(&wire, &extrinsic).await, (TRANSFER, 7_791, 0));
    ask(&wire, "dev_setFees", rpc_params!["real"]).await;
    assert_eq!(estimate(&wire, &extrinsic).await.2, 166_247);
    ask(&wire, "dev_setFees", rpc_params!["none"]).await;
    assert_eq!(estimate(&wire, &extrinsic).await.2, 0);
}
