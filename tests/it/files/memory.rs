//! What a server needs for a large file: measured on a process of its own, where no test and no client disturbs.
use std::{fs, process::Stdio};

use futures_util::stream;
use tokio::process::{Child, Command};

use crate::harness::{Multipart, Reply, User, World, eventually, samples};

/// Pieces of the sound that is sent, of 1 MiB each.
const PIECES: usize = 128;
/// What the server may need on top of what it needs without, in KiB.
const MOST: u64 = 48 * 1024;

/// The most memory that the process ever had, in KiB.
fn peak(server: &Child) -> u64 {
    let id = server.id().expect("it runs");
    fs::read_to_string(format!("/proc/{id}/status"))
        .expect("it runs")
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("Linux tells")
}

/// The program itself, on the database and chain of a test.
fn start(world: &World, folder: &std::path::Path, port: u16) -> Child {
    let config = world.config();
    let file = folder.join("violet.toml");
    let settings = format!(
        "[server]\nport = {port}\n[database]\nurl = {:?}\n[chain]\nendpoints = {:?}\n[storage]\nurl = {:?}\n",
        config.database.url, config.chain.endpoints, config.storage.url
    );
    fs::write(&file, settings).unwrap();
    Command::new(env!("CARGO_BIN_EXE_violet"))
        .arg("--config")
        .arg(file)
        .args(["serve", "--wallet.path"])
        .arg(folder)
        .env_remove("DATABASE_URL")
        .env("LOG_LEVEL", "error")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Sends a long recording, made on the way, in a language that nobody serves.
async fn send(user: &User, pieces: usize) -> Reply {
    let sound = samples::wav_of(u32::try_from(pieces << 20).unwrap(), 0);
    let head = Multipart::new()
        .file("audio_file", "long.wav", &sound)
        .unfinished();
    let head = head[..head.len() - 2].to_vec();
    let tail = [
        b"\r\n".to_vec(),
        Multipart::new().field("source_language", "de").bytes(),
    ]
    .concat();
    let piece = bytes::Bytes::from(vec![7; 1 << 20]);
    let parts = std::iter::once(bytes::Bytes::from(head))
        .chain(std::iter::repeat_n(piece, pieces))
        .chain([bytes::Bytes::from(tail)])
        .map(Ok::<_, std::io::Error>);
    let request = user
        .post("/api/v1/transcription")
        .header("content-type", Multipart::kind())
        .timeout(std::time::Duration::from_secs(120))
        .body(reqwest::Body::wrap_stream(stream::iter(parts)));
    Reply::to(request).await
}

#[tokio::test]
async fn a_large_file_does_not_go_through_memory() {
    let world = World::start().await;
    let user = world.user().await;
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_violet"))
        .args(["wallet", "create", "--wallet.path"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(made.success());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut server = start(&world, folder.path(), port);
    let user = user.at_url(format!("http://127.0.0.1:{port}"));
    eventually("the server answers", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    // The first takes what every upload takes.
    send(&user, 1).await.problem(422, "/problems/no-engine");
    let before = peak(&server);
    send(&user, PIECES).await.problem(422, "/problems/no-engine");
    let grown = peak(&server) - before;
    assert!(grown < MOST, "{grown} KiB for {PIECES} MiB");
    world.stored(0).await;
    server.kill().await.unwrap();
    world.end().await;
}
