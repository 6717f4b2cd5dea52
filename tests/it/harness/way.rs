//! A way to a node of the chain that can be cut, refused, and lead elsewhere.
use std::net::SocketAddr;

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use violet::server::Server;
use violet_devchain::DevChain;

use super::{SERVER, World, keypair};

#[derive(Clone, Copy)]
enum End {
    At(SocketAddr),
    Nowhere,
    /// Who comes is answered with this HTTP status.
    Refused(u16),
}

pub(crate) struct Way {
    address: SocketAddr,
    to: watch::Sender<End>,
    _tasks: JoinSet<()>,
}

impl Way {
    pub(crate) async fn to(chain: &DevChain) -> Self {
        let way = Self::nowhere().await;
        way.lead_to(chain);
        way
    }

    pub(crate) async fn nowhere() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it was bound");
        let (to, mut end) = watch::channel(End::Nowhere);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut links = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (near, _) = accepted.expect("a connection is accepted");
                        let end = *end.borrow();
                        links.spawn(pass(near, end));
                    }
                    changed = end.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        links.abort_all();
                    }
                }
            }
        });
        Self {
            address,
            to,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn cut(&self) {
        self.to.send_replace(End::Nowhere);
    }

    pub(crate) fn refuse(&self, status: u16) {
        self.to.send_replace(End::Refused(status));
    }

    pub(crate) fn lead_to(&self, chain: &DevChain) {
        self.to.send_replace(End::At(chain.address()));
    }

    /// The same, by the node's URL.
    pub(crate) fn lead_to_url(&self, node: &str) {
        let address = node.trim_start_matches("ws://").parse();
        self.to
            .send_replace(End::At(address.expect("a dev chain is at an address")));
    }

    /// A server on the world's database that has this way only.
    pub(crate) async fn server(&self, world: &World) -> Server {
        let mut config = world.config().clone();
        config.chain.endpoints = vec![self.url()];
        let server = Server::start(config, keypair(SERVER))
            .await
            .expect("the server starts");
        server.app.snapshots.first().await;
        server
    }
}

async fn pass(mut near: TcpStream, end: End) {
    match end {
        End::At(address) => {
            let mut far = TcpStream::connect(address).await.expect("the node is there");
            // However it ends, both sides are closed.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
        End::Refused(status) => {
            let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
            // Who is gone already was refused as well.
            let _ = near.write_all(answer.as_bytes()).await;
        }
        End::Nowhere => {}
    }
}
