//! A node with other metadata than the dev chain behind it: a real server on the loopback address that says what it
//! was told to say, and passes on the rest. Values are made in the shape that its metadata declares.

use std::collections::BTreeMap;
use std::sync::Arc;

use codec::Encode as _;
use jsonrpsee::RpcModule;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::server::{Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use scale_info::{PortableRegistry, TypeDef, TypeDefPrimitive};
use serde_json::Value as Json;
use subxt::ext::scale_value::scale::{decode_as_type, encode_as_type};
use subxt::ext::scale_value::{Composite, Value, ValueDef};
use violet_chain::BlockRef;
use violet_devchain::DevChain;

use super::metadata::Fixture;

/// Answers by the full name of the runtime call and its arguments. An empty one is a call that traps.
pub(crate) type Answers = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// A running node; it ends when this is dropped.
pub(crate) struct Node {
    pub(crate) url: String,
    _server: ServerHandle,
}

struct Behind {
    chain: WsClient,
    metadata: Fixture,
    answers: Answers,
}

/// Passed on as they are.
const PASSED: [&str; 5] = [
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "state_getRuntimeVersion",
    "state_queryStorageAt",
];

pub(crate) async fn start(chain: &DevChain, metadata: &Fixture, answers: Answers) -> Node {
    let behind = Behind {
        chain: WsClientBuilder::default().build(chain.ws_url()).await.unwrap(),
        metadata: metadata.clone(),
        answers,
    };
    let mut module = RpcModule::new(behind);
    for name in PASSED {
        module
            .register_async_method(name, move |params, behind, _| async move {
                let params: Option<Vec<Json>> = params.parse()?;
                behind.pass(name, params.unwrap_or_default()).await
            })
            .unwrap();
    }
    module
        .register_async_method("state_call", |params, behind, _| async move {
            behind.call(params.parse()?).await
        })
        .unwrap();
    let server = Server::builder().build("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", server.local_addr().unwrap());
    Node {
        url,
        _server: server.start(module),
    }
}

impl Behind {
    async fn pass(self: Arc<Self>, name: &str, params: Vec<Json>) -> Result<Json, ErrorObjectOwned> {
        ask(&self.chain, name, params).await
    }

    async fn call(self: Arc<Self>, params: Vec<Json>) -> Result<Json, ErrorObjectOwned> {
        let name = params[0].as_str().unwrap().to_owned();
        let arguments = unhex(&params[1]);
        let told = self
            .answers
            .iter()
            .find(|((listed, with), _)| *listed == name && *with == arguments);
        match told {
            Some((_, answer)) if answer.is_empty() => {
                let message = "Client error: Execution failed: Execution aborted due to trap";
                return Err(ErrorObjectOwned::owned(4003, message, None::<()>));
            }
            Some((_, answer)) => return Ok(hex0x(answer)),
            None => {}
        }
        match name.as_str() {
            "Metadata_metadata_versions" => Ok(hex0x(vec![15_u32].encode())),
            "Metadata_metadata_at_version" => Ok(hex0x(Some(self.metadata.bytes()).encode())),
            _ => {
                let mut apis = self.metadata.0.apis.iter();
                let known = apis.any(|api| {
                    let mut methods = api.methods.iter();
                    methods.any(|method| format!("{}_{}", api.name, method.name) == name)
                });
                if known {
                    return ask(&self.chain, "state_call", params).await;
                }
                let message = format!("Exported method {name} is not found");
                Err(ErrorObjectOwned::owned(4003, message, None::<()>))
            }
        }
    }
}

async fn ask(chain: &WsClient, name: &str, params: Vec<Json>) -> Result<Json, ErrorObjectOwned> {
    let mut array = ArrayParams::new();
    for param in params {
        array.insert(param).unwrap();
    }
    chain.request(name, array).await.map_err(|error| match error {
        jsonrpsee::core::client::Error::Call(error) => error,
        error => ErrorObjectOwned::owned(1, error.to_string(), None::<()>),
    })
}

fn hex0x(bytes: impl AsRef<[u8]>) -> Json {
    Json::String(format!("0x{}", hex::encode(bytes)))
}

fn unhex(text: &Json) -> Vec<u8> {
    hex::decode(text.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

/// What the chain's runtime answers to a call at its newest block.
pub(crate) async fn answer_of(chain: &DevChain, name: &str, arguments: &[u8]) -> Vec<u8> {
    answer_at(chain, name, arguments, None).await
}

async fn answer_at(chain: &DevChain, name: &str, arguments: &[u8], at: Option<BlockRef>) -> Vec<u8> {
    let client = WsClientBuilder::default().build(chain.ws_url()).await.unwrap();
    let at = at.map(|block| Json::from(block.hash.to_string()));
    let params = vec![Json::from(name), hex0x(arguments), at.unwrap_or_default()];
    unhex(&ask(&client, "state_call", params).await.unwrap())
}

/// The answers of `get_metagraph` and `get_neurons_lite` for a subnet, in the shapes of this metadata, made from what
/// the chain's `get_selective_metagraph` says of it; and those for a subnet that does not exist.
pub(crate) async fn metagraph_answers(
    chain: &DevChain,
    metadata: &Fixture,
    (netuid, absent): (u16, u16),
    block: BlockRef,
) -> Answers {
    const FULL: &str = "SubnetInfoRuntimeApi_get_metagraph";
    const LITE: &str = "NeuronInfoRuntimeApi_get_neurons_lite";
    let types = &metadata.0.types;
    let everything: Vec<u16> = (0..77).collect();
    let name = "SubnetInfoRuntimeApi_get_selective_metagraph";
    let arguments = (netuid, everything).encode();
    let bytes = answer_at(chain, name, &arguments, Some(block)).await;
    let output = metadata.method("get_selective_metagraph").output.id;
    let selective = decode_as_type(&mut bytes.as_slice(), output, types)
        .unwrap()
        .remove_context();
    let column = |name: &str| some(&field(&some(&selective).unwrap(), name));

    let full = metadata.method("get_metagraph").output.id;
    let TypeDef::Composite(metagraph) = &types.resolve(inside(types, full)).unwrap().type_def else {
        unreachable!("it is a struct");
    };
    let fields = metagraph.fields.iter().map(|listed| {
        let name = listed.name.clone().unwrap();
        let value = match name.as_str() {
            "netuid" => Some(Value::u128(netuid.into())),
            name => column(name),
        };
        let value = value.unwrap_or_else(|| zero(types, listed.ty.id));
        (name, value)
    });
    let metagraph = Value::unnamed_variant("Some", [Value::named_composite(fields)]);

    let lite = metadata.method("get_neurons_lite").output.id;
    let neuron = inside(types, lite);
    let hotkeys = elements(&column("hotkeys").unwrap());
    let neurons = hotkeys.iter().enumerate().map(|(uid, hotkey)| {
        let mut neuron = zero(types, neuron);
        put(&mut neuron, "uid", Value::u128(uid.try_into().unwrap()));
        put(&mut neuron, "hotkey", hotkey.clone());
        for (name, from) in [
            ("coldkey", "coldkeys"),
            ("active", "active"),
            ("axon_info", "axons"),
            ("emission", "emission"),
            ("incentive", "incentives"),
            ("consensus", "consensus"),
            ("dividends", "dividends"),
            ("last_update", "last_update"),
            ("validator_permit", "validator_permit"),
        ] {
            if let Some(value) = elements(&column(from).unwrap()).get(uid) {
                put(&mut neuron, name, value.clone());
            }
        }
        neuron
    });
    let neurons = Value::unnamed_composite(neurons);
    Answers::from([
        ((FULL, netuid.encode()), encoded(types, full, &metagraph)),
        ((LITE, netuid.encode()), encoded(types, lite, &neurons)),
        ((FULL, absent.encode()), vec![0]),
        ((LITE, absent.encode()), vec![0]),
    ])
}

/// A value in the shape of a type.
pub(crate) fn encoded(types: &PortableRegistry, id: u32, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_as_type(value, id, types, &mut bytes).unwrap();
    bytes
}

/// The type within an `Option` or a list.
pub(crate) fn inside(types: &PortableRegistry, id: u32) -> u32 {
    match &types.resolve(id).unwrap().type_def {
        TypeDef::Variant(variants) => variants.variants[1].fields[0].ty.id,
        TypeDef::Sequence(sequence) => sequence.type_param.id,
        _ => unreachable!("it holds nothing"),
    }
}

/// What a type is when nothing is set: 0, false, empty, the first variant.
pub(crate) fn zero(types: &PortableRegistry, id: u32) -> Value {
    let zero = |id| zero(types, id);
    match &types.resolve(id).unwrap().type_def {
        TypeDef::Composite(composite) if composite.fields.iter().all(|field| field.name.is_some()) => {
            let fields = composite.fields.iter();
            Value::named_composite(fields.map(|field| (field.name.clone().unwrap(), zero(field.ty.id))))
        }
        TypeDef::Composite(composite) => {
            Value::unnamed_composite(composite.fields.iter().map(|field| zero(field.ty.id)))
        }
        TypeDef::Variant(variants) => {
            let first = &variants.variants[0];
            Value::unnamed_variant(
                first.name.clone(),
                first.fields.iter().map(|field| zero(field.ty.id)),
            )
        }
        TypeDef::Sequence(_) => Value::unnamed_composite([]),
        TypeDef::Array(array) => Value::unnamed_composite((0..array.len).map(|_| zero(array.type_param.id))),
        TypeDef::Tuple(tuple) => Value::unnamed_composite(tuple.fields.iter().map(|field| zero(field.id))),
        TypeDef::Compact(compact) => zero(compact.type_param.id),
        TypeDef::Primitive(TypeDefPrimitive::Bool) => Value::bool(false),
        TypeDef::Primitive(_) => Value::u128(0),
        TypeDef::BitSequence(_) => unreachable!("the metagraph has none"),
    }
}

/// Sets a field of a struct.
pub(crate) fn put(of: &mut Value, name: &str, value: Value) {
    let ValueDef::Composite(Composite::Named(fields)) = &mut of.value else {
        unreachable!("it is a struct");
    };
    let place = fields.iter_mut().find(|(listed, _)| listed == name).unwrap();
    place.1 = value;
}

fn field(of: &Value, name: &str) -> Value {
    match &of.value {
        ValueDef::Composite(Composite::Named(fields)) => {
            let mut fields = fields.iter();
            fields.find(|(listed, _)| listed == name).unwrap().1.clone()
        }
        _ => unreachable!("it is a struct"),
    }
}

fn some(of: &Value) -> Option<Value> {
    match &of.value {
        ValueDef::Variant(variant) => variant.values.values().next().cloned(),
        _ => unreachable!("it is an option"),
    }
}

fn elements(of: &Value) -> Vec<Value> {
    match &of.value {
        ValueDef::Composite(elements) => elements.values().cloned().collect(),
        _ => unreachable!("it is a list"),
    }
}
