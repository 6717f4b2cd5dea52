//! Signed requests a second through the whole stack, beside a loop that verifies signatures and does nothing else.
use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};
use violet::server::Server;
use violet_chain::{
    Keypair, VerifyingKey,
    btauth::{self, EMPTY_BODY_SHA256, RequestLine},
};

use super::{CONNECTIONS, Failure, answer};

/// Of each connection, signed before the clock runs.
const REQUESTS: usize = 400;
/// How long the loop runs.
const LOOP: Duration = Duration::from_secs(2);

/// What a number of requests took.
struct Taken {
    wall: Duration,
    /// Of this process: the server's and the load's, not the database's.
    cpu: Duration,
}

/// Measures and says it in some lines.
pub(crate) async fn measure(server: &Server, miners: &[Keypair]) -> Result<String, Failure> {
    let snapshot = server.app.snapshots.current()?.snapshot;
    let uid = |keypair: &Keypair| {
        let found = snapshot.by_hotkey(&keypair.hotkey());
        found
            .map(|neuron| neuron.uid.0)
            .ok_or("a miner is not registered")
    };
    let now = server.app.clock.now_nanos();
    let (mut mail, mut refused) = (Vec::new(), Vec::new());
    for connection in 0..CONNECTIONS {
        let keypair = &miners[connection % miners.len()];
        let own = format!("/api/v1/miners/{}/tasks?wait=0", uid(keypair)?);
        let nonce =
            |round: usize, at: usize| now + ((round * CONNECTIONS + connection) * REQUESTS + at) as u64;
        let signed = |target: &str, round: usize| -> Vec<Vec<u8>> {
            (0..REQUESTS)
                .map(|at| signed(server, keypair, target, nonce(round, at)))
                .collect()
        };
        mail.push(signed(&own, 0));
        // Everything but the mail: who asks for another's is refused once it is known who asks.
        refused.push(signed("/api/v1/miners/65535/tasks", 1));
    }
    let plain = b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec();
    let plain = vec![vec![plain; REQUESTS]; CONNECTIONS];

    let mail = send(server.address, mail, "HTTP/1.1 200").await?;
    let refused = send(server.address, refused, "HTTP/1.1 403").await?;
    let plain = send(server.address, plain, "HTTP/1.1 200").await?;
    let keypair = miners[0].clone();
    let (loops, alone) = tokio::task::spawn_blocking(move || verify_only(&keypair)).await??;

    let count = f64::from(u32::try_from(CONNECTIONS * REQUESTS)?);
    let rate = count / mail.wall.as_secs_f64();
    let micros = |taken: &Taken| taken.cpu.as_secs_f64() * 1e6 / count;
    let beyond = micros(&refused) - micros(&plain) - alone;
    Ok(format!(
        "signed requests: {rate:.0} a second over HTTP ({CONNECTIONS} connections, a miner's mail), {loops:.0} \
         signatures verified a second by a loop on all cores\nratio {:.2}  (CPU of server and load: {:.0} us a request \
         for mail, {:.0} us signed and refused after all checks, {:.0} us unsigned; a verification alone {alone:.0} us: \
         the checks beyond the signature cost {beyond:.0} us)",
        rate / loops,
        micros(&mail),
        micros(&refused),
        micros(&plain),
    ))
}

fn signed(server: &Server, keypair: &Keypair, target: &str, nonce: u64) -> Vec<u8> {
    let line = RequestLine {
        method: "GET",
        target,
        body_sha256: EMPTY_BODY_SHA256,
    };
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n");
    for (name, value) in btauth::sign(keypair, &line, &server.app.hotkey, nonce) {
        head.extend([name, ": ", &value, "\r\n"]);
    }
    (head + "\r\n").into_bytes()
}

/// Sends what each connection has, one after the other; all answers must begin with `expected`.
async fn send(
    address: SocketAddr,
    requests: Vec<Vec<Vec<u8>>>,
    expected: &'static str,
) -> Result<Taken, Failure> {
    let mut streams = Vec::new();
    for requests in requests {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push((stream, requests));
    }
    let (started, before) = (Instant::now(), cpu()?);
    let mut connections = JoinSet::new();
    for (mut stream, requests) in streams {
        connections.spawn(async move {
            let mut buffer = Vec::with_capacity(4096);
            for request in requests {
                stream.write_all(&request).await?;
                answer(&mut stream, &mut buffer, expected, "").await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(connection) = connections.join_next().await {
        connection??;
    }
    Ok(Taken {
        wall: started.elapsed(),
        cpu: cpu()?.saturating_sub(before),
    })
}

/// What this process has taken of the processors.
fn cpu() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let times = [usage.user_time(), usage.system_time()];
    let micros: i64 = times
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum();
    Ok(Duration::from_micros(micros.try_into()?))
}

/// Verifications a second on all cores, and the microseconds of one, with a key that is decoded already.
fn verify_only(keypair: &Keypair) -> Result<(f64, f64), Failure> {
    let message = b"btauth/1: as long as what is signed of a request, about three hundred bytes".repeat(4);
    let signature = keypair.sign(&message);
    let key = VerifyingKey::new(keypair.crypto(), &keypair.hotkey()).ok_or("no key")?;
    let shared = Arc::new((key, message, signature));
    let before = cpu()?;
    let threads: Vec<_> = (0..thread::available_parallelism()?.get())
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (key, message, signature) = &*shared;
                let (started, mut count) = (Instant::now(), 0u32);
                while started.elapsed() < LOOP {
                    assert!(key.verify(message, signature));
                    count += 1;
                }
                f64::from(count) / started.elapsed().as_secs_f64()
            })
        })
        .collect();
    let mut rate = 0.0;
    for thread in threads {
        rate += thread.join().map_err(|_| "the loop panicked")?;
    }
    let cpu = cpu()?.saturating_sub(before);
    Ok((rate, cpu.as_secs_f64() * 1e6 / (rate * LOOP.as_secs_f64())))
}
