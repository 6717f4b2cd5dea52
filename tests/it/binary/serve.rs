//! `violet serve`, ended in the middle of work.
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use tokio_util::sync::CancellationToken;
use violet_chain::{CryptoType, Keypair};

use super::{AT_ONCE, ENOUGH, SOON, User, Violet, folder, free_port};
use crate::harness::{Database, eventually};

/// `violet serve` with this wallet, on a database and a chain that outlive it.
fn serve(folder: &Path, database: &Database, chain: &str, port: u16) -> Violet {
    let wallets = folder.to_str().unwrap();
    Violet::start(
        &["serve", "--wallet.path", wallets, "--port", &port.to_string()],
        &[
            ("DATABASE_URL", &database.url()),
            ("VIOLET_DATABASE__CONNECTIONS", "8"),
            ("VIOLET_CHAIN__ENDPOINTS", &format!("[\"{chain}\"]")),
            ("VIOLET_STORAGE__URL", folder.join("files").to_str().unwrap()),
            ("VIOLET_ROUTING__SNAPSHOT_INTERVAL", "2"),
        ],
    )
}

pub(super) async fn listens(port: u16) {
    eventually("the server listens", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_server_accepted_is_done_by_the_next() {
    let (database, folder, port) = (Database::create().await, folder(), free_port());
    let chain = violet_devchain::spawn(violet_devchain::Genesis::default(), Default::default())
        .await
        .unwrap();
    let made = Violet::start(
        &[
            "wallet",
            "create",
            "--wallet.path",
            folder.path().to_str().unwrap(),
        ],
        &[],
    )
    .ends(AT_ONCE)
    .await;
    assert!(made.success());
    let mut server = serve(folder.path(), &database, &chain.ws_url(), port);
    listens(port).await;

    let url = format!("http://127.0.0.1:{port}");
    let stop = CancellationToken::new();
    let keypair = |uri| Keypair::from_uri(uri, CryptoType::Sr25519).unwrap();
    let catalogue = violet_neurons::Catalogue::discover().await;
    let miner = violet_neurons::Miner::new(violet_neurons::MinerOptions::new(
        url.clone(),
        keypair("//Miner1"),
        catalogue.clone(),
    ));
    let validator = violet_neurons::Validator::new(violet_neurons::ValidatorOptions::new(
        url.clone(),
        keypair("//Validator1"),
        catalogue,
    ));
    let neurons = async {
        let (mined, judged) = tokio::join!(miner.run(stop.clone()), validator.run(stop.clone()));
        (mined.unwrap(), judged.unwrap())
    };
    let using = async {
        let user = User::register(&url).await;
        eventually("the miner is known", || async {
            let metrics = user.http.get(format!("{url}/metrics")).send().await.ok()?;
            let metrics = metrics.text().await.ok()?;
            metrics.contains("\nviolet_miners_available 1\n").then_some(())
        })
        .await;
        let accepted = user
            .submit_until_it_ends(&url, || kill(server.pid, Signal::SIGKILL).unwrap())
            .await;
        server.ends(SOON).await;
        assert!(accepted.len() >= ENOUGH, "{accepted:?}");

        let mut server = serve(folder.path(), &database, &chain.ws_url(), port);
        listens(port).await;
        for task in &accepted {
            assert!(user.result(&url, task).await.contains("casa"));
        }
        let ended = user.end(&url, &accepted[0]).await;
        assert!(
            ["approved", "done"].contains(&ended["status"].as_str().unwrap()),
            "{ended}"
        );
        stop.cancel();
        kill(server.pid, Signal::SIGTERM).unwrap();
        assert!(server.ends(SOON).await.success(), "{}", server.err());
    };
    tokio::join!(neurons, using);
    database.delete().await;
}
