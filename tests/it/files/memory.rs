//! What a server needs for large and for hostile bodies: measured on a process of its own, where no test and no client
//! disturbs.
use std::{fs, process::Stdio, time::Duration};

use futures_util::stream;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

use crate::harness::{Multipart, Reply, User, World, eventually, samples};

/// Everything is sent in pieces of this size.
const PIECE: usize = 1_000_000;
/// So many pieces are a large body.
const PIECES: usize = 200;
/// What the server may need for it on top of what it needs for a small one, in KiB.
const MOST: u64 = 32_000_000 / 1024;

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
pub(super) fn start(
    world: &World,
    folder: &std::path::Path,
    port: u16,
    storage: &str,
    variables: &[(&str, String)],
) -> Child {
    let config = world.config();
    let file = folder.join("violet.toml");
    let settings = format!(
        "[server]\nport = {port}\n[database]\nurl = {:?}\n[chain]\nendpoints = {:?}\n[storage]\nurl = {storage:?}\n",
        config.database.url, config.chain.endpoints
    );
    fs::write(&file, settings).unwrap();
    Command::new(env!("CARGO_BIN_EXE_violet"))
        .arg("--config")
        .arg(file)
        .args(["serve", "--wallet.path"])
        .arg(folder)
        .env_remove("DATABASE_URL")
        .env("LOG_LEVEL", "error")
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A folder with a wallet.
pub(super) async fn wallet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_violet"))
        .args(["wallet", "create", "--wallet.path"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(made.success());
    folder
}

/// A port that nobody listens on.
pub(super) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// The same user at the server on this port, once that answers.
pub(super) async fn answering(user: &User, port: u16) -> User {
    eventually("the server answers", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    user.at_url(format!("http://127.0.0.1:{port}"))
}

/// Sends a long recording, made on the way, in a language that nobody serves.
async fn send(user: &User, pieces: usize) -> Reply {
    let sound = samples::wav_of(u32::try_from(pieces * PIECE).unwrap(), 0);
    let head = Multipart::new()
        .file("audio_file", "long.wav", &sound)
        .unfinished();
    let head = head[..head.len() - 2].to_vec();
    let tail = [
        b"\r\n".to_vec(),
        Multipart::new().field("source_language", "de").bytes(),
    ]
    .concat();
    let piece = bytes::Bytes::from(vec![7; PIECE]);
    let parts = std::iter::once(bytes::Bytes::from(head))
        .chain(std::iter::repeat_n(piece, pieces))
        .chain([bytes::Bytes::from(tail)])
        .map(Ok::<_, std::io::Error>);
    let request = user
        .post("/api/v1/transcription")
        .header("content-type", Multipart::kind())
        .timeout(Duration::from_secs(120))
        .body(reqwest::Body::wrap_stream(stream::iter(parts)));
    Reply::to(request).await
}

/// Sends `begun` and then `again` for as long as the server takes it, up to a large body; gives the status and how much
/// was sent.
async fn pour(port: u16, user: &User, begun: &[u8], again: u8) -> (String, usize) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut answers, mut body) = stream.into_split();
    let head = format!(
        "POST /api/v1/transcription HTTP/1.1\r\nHost: violet\r\nX-API-Key: {}\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n",
        user.key,
        Multipart::kind(),
        begun.len() + PIECES * PIECE
    );
    body.write_all(&[head.as_bytes(), begun].concat()).await.unwrap();
    let sending = async {
        let piece = vec![again; PIECE];
        let mut sent = 0;
        while sent < PIECES * PIECE {
            // A server that has answered closes the connection.
            match body.write(&piece).await {
                Ok(taken) => sent += taken,
                Err(_) => break,
            }
        }
        sent
    };
    let mut answer = vec![0; 12];
    let answering = tokio::time::timeout(Duration::from_secs(60), answers.read_exact(&mut answer));
    let (sent, answered) = tokio::join!(sending, answering);
    answered.expect("it is answered").unwrap();
    (String::from_utf8(answer).unwrap().split_off(9), sent)
}

/// Bodies that go on and on where a parser would have to remember them.
fn endless() -> Vec<(&'static str, Vec<u8>)> {
    let file = || Multipart::new().file("audio_file", "a.wav", &samples::wav(1000));
    let header = Multipart::new().field("x", "").unfinished();
    // Cut before the empty line that ends the headers.
    let header = &header[..header.len() - 4];
    let line = header.iter().position(|byte| *byte == b'\r').expect("a line");
    let value = &[header, &b"\r\n\r\n"[..]].concat()[..];
    let nameless = String::from_utf8(value.to_vec())
        .unwrap()
        .replace("name=", "nom=");
    let many = (0..400).fold(Multipart::new(), |form, _| form.field("x", "y"));
    vec![
        ("before the first part", Vec::new()),
        ("in a header", header.to_vec()),
        ("in a value", value.to_vec()),
        ("in a part without a name", nameless.into_bytes()),
        ("after many parts", [many.unfinished(), value.to_vec()].concat()),
        (
            "in a header after the file",
            [file().unfinished(), header.to_vec()].concat(),
        ),
        ("in the line of a boundary", value[..line].to_vec()),
    ]
}

#[tokio::test]
async fn a_large_or_a_hostile_body_does_not_go_through_memory() {
    let world = World::start().await;
    let user = world.user().await;
    let folder = wallet().await;
    let port = free_port();
    let mut server = start(&world, folder.path(), port, &world.config().storage.url, &[]);
    let user = answering(&user, port).await;
    // The first takes what every upload takes.
    send(&user, 1).await.problem(422, "/problems/no-engine");
    let before = peak(&server);
    send(&user, PIECES).await.problem(422, "/problems/no-engine");
    let grown = peak(&server) - before;
    assert!(grown < MOST, "{grown} KiB for {PIECES} MB");
    for (what, begun) in endless() {
        let (status, sent) = pour(port, &user, &begun, b' ').await;
        let grown = peak(&server) - before;
        assert_eq!(status, "413", "{what}");
        assert!(sent < PIECES * PIECE / 2, "{what}: {sent} bytes were taken");
        assert!(grown < MOST, "{what}: {grown} KiB");
    }
    world.stored(0).await;
    server.kill().await.unwrap();
    world.end().await;
}
