//! A gateway in front of a node, as public nodes have one: a real WebSocket server that passes everything on, and
//! does to it what a test asks for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use violet_devchain::{DevChain, Head};

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The handshake is answered with this HTTP status.
    Status(u16),
    /// Connections are closed with this code, new ones after the handshake.
    Close(u16),
    /// Every request is answered with this JSON-RPC error.
    Code(i32),
    /// No state is there any more.
    Discarded,
    /// The node stands still: this is its finalized head, and nobody is told of another.
    Frozen(Head),
    /// Another hash for block 0.
    Genesis([u8; 32]),
    /// The runtime says that it is of this version.
    Spec(u32),
    /// Answers and heads do not come, although the connection stands.
    Silent,
    /// The connection ends with a request for this method, before it is passed on or right after.
    CutAt {
        method: &'static str,
        passed_on: bool,
    },
}

/// Stops when it is dropped.
pub(crate) struct Gateway {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// Connections that were tried.
    tries: Mutex<u32>,
    /// Connections that are open.
    open: Mutex<u32>,
    /// Methods that were called, runtime APIs by their own name.
    calls: Mutex<Vec<String>>,
}

impl Gateway {
    pub(crate) async fn to(chain: &DevChain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, watched) = watch::channel(Fault::None);
        let seen = Arc::new(Seen::default());
        let (node, noting) = (chain.ws_url(), Arc::clone(&seen));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *noting.tries.lock().unwrap() += 1;
                connections.spawn(serve(stream, node.clone(), watched.clone(), Arc::clone(&noting)));
            }
        });
        Self {
            address,
            fault,
            seen,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    pub(crate) fn tries(&self) -> u32 {
        *self.seen.tries.lock().unwrap()
    }

    pub(crate) fn open(&self) -> u32 {
        *self.seen.open.lock().unwrap()
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        let calls = self.seen.calls.lock().unwrap();
        calls.iter().filter(|called| *called == method).count()
    }
}

async fn serve(mut stream: TcpStream, node: String, mut watched: watch::Receiver<Fault>, seen: Arc<Seen>) {
    let fault = watched.borrow().clone();
    if let Fault::Status(status) = fault {
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(mut near) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let (mut far, _) = tokio_tungstenite::connect_async(node).await.unwrap();
    *seen.open.lock().unwrap() += 1;
    loop {
        let fault = watched.borrow_and_update().clone();
        if let Fault::Close(code) = fault {
            let reason = CloseFrame {
                code: code.into(),
                reason: "policy".into(),
            };
            let _ = near.close(Some(reason)).await;
            // What is not read would reset the connection, and the reason be lost.
            while let Some(Ok(_)) = near.next().await {}
            break;
        }
        tokio::select! {
            message = near.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                let request: Value = serde_json::from_str(&text).unwrap();
                note(&seen, &request);
                if let Fault::CutAt { method, passed_on } = &fault
                    && request["method"] == *method
                {
                    if *passed_on {
                        far.send(Message::Text(text)).await.unwrap();
                        // Until the node has it, which it says at once.
                        let _ = far.next().await;
                    }
                    break;
                }
                let passed_on = match answer(&fault, &request) {
                    Some(answer) => near.send(Message::text(answer.to_string())).await,
                    None => far.send(Message::Text(text)).await,
                };
                if passed_on.is_err() {
                    break;
                }
            }
            message = far.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                let mut told: Value = serde_json::from_str(&text).unwrap();
                let news = told.get("method").is_some();
                if fault == Fault::Silent || (news && matches!(fault, Fault::Frozen(_))) {
                    continue;
                }
                if let (Fault::Spec(spec), Some(version)) = (&fault, told.pointer_mut("/result/specVersion")) {
                    *version = json!(spec);
                }
                if near.send(Message::text(told.to_string())).await.is_err() {
                    break;
                }
            }
            changed = watched.changed() => if changed.is_err() { break },
        }
    }
    *seen.open.lock().unwrap() -= 1;
}

fn note(seen: &Seen, request: &Value) {
    let method = request["method"].as_str().unwrap();
    let name = match method {
        "state_call" => request["params"][0].as_str().unwrap(),
        method => method,
    };
    seen.calls.lock().unwrap().push(name.to_owned());
}

/// What the gateway answers itself.
fn answer(fault: &Fault, request: &Value) -> Option<Value> {
    let method = request["method"].as_str().unwrap();
    let id = &request["id"];
    let result = |result: String| Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    let error = |code: i32, message: &str| {
        let error = json!({ "code": code, "message": message });
        Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    };
    match fault {
        Fault::Code(code) => error(*code, "rate limit exceeded"),
        Fault::Discarded if method.starts_with("state_") => error(
            4003,
            "Client error: UnknownBlock: State already discarded for 0x00",
        ),
        Fault::Frozen(head) if method == "chain_getFinalizedHead" => {
            result(format!("0x{}", hex::encode(head.hash)))
        }
        Fault::Genesis(hash) if method == "chain_getBlockHash" && request["params"][0] == 0 => {
            result(format!("0x{}", hex::encode(hash)))
        }
        _ => None,
    }
}
