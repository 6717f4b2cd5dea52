//! `make bench`: accepted text tasks a second over HTTP, beside what pgbench reaches on the same machine in the same
//! run with one transaction of the same 1 + 3 rows for each task.
//!
//! Everything is on: key, validation, draw, three assignments, signed records, commit to disk (fsync). Server, load
//! and database share the machine; compare the ratio, not the rates. Then signed requests, beside verifying alone.
#[path = "bench/signed.rs"]
mod signed;

use std::{
    error::Error,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    task::JoinSet,
};
use violet::{config::Config, postgres::PrivateCluster, server::Server};
use violet_chain::{CryptoType, Keypair};
use violet_neurons::ServerClient;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

const ROUNDS: usize = 3;
const SECONDS: u64 = 4;
const CONNECTIONS: usize = 64;
const PGBENCH_CLIENTS: usize = 16;
/// Of 16 MB; more than a run writes.
const WAL_FILES: usize = 64;
/// So many that their places do not run out in a round.
const MINERS: usize = 12;
/// What pgbench writes for each task: the rows of a task and of three assignments in the shape of production.
const PLAIN_SCHEMA: &str = "
    create table task (id uuid primary key, subnet int not null, user_id bigint not null, kind smallint not null,
        body text not null, body_sha256 bytea not null, params jsonb not null, deadline timestamptz not null,
        created_at timestamptz not null default now());
    create table assignment (task_id uuid not null, slot smallint not null, subnet int not null,
        miner smallint not null, state smallint not null default 0, created_at timestamptz not null default now(),
        primary key (task_id, slot));
    create index assignment_open on assignment (subnet, miner) where state = 0;";
const PLAIN_TASK: &str = "\\set m random(0, 252)
with t as (insert into task (id, subnet, user_id, kind, body, body_sha256, params, deadline) \
values (gen_random_uuid(), 1, 1, 1, repeat('x', 60), decode(repeat('07', 32), 'hex'), \
'{\"lang\":\"en\",\"model\":\"x\",\"n\":3}', now() + interval '60 s') returning id) \
insert into assignment (task_id, slot, subnet, miner) \
select id, s, 1, :m + s from t, generate_series(0, 2) s;
";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = PrivateCluster::start(folder.path()).await?;
    let measured = run(&cluster, folder.path()).await;
    cluster.stop().await?;
    say(&measured?);
    Ok(())
}

fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

async fn run(cluster: &PrivateCluster, folder: &Path) -> Result<String, Failure> {
    cluster.create_database("violet").await?;
    cluster.create_database("plain").await?;
    let mut plain = PgConnection::connect(&cluster.url("plain")).await?;
    sqlx::raw_sql(PLAIN_SCHEMA).execute(&mut plain).await?;
    let script = folder.join("task.sql");
    std::fs::write(&script, PLAIN_TASK)?;
    let mut permissions = std::fs::metadata(&script)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&script, permissions)?;

    let options = violet_devchain::Options::default();
    let mut genesis = violet_devchain::Genesis::default();
    for number in 1..=MINERS {
        let key = Keypair::from_uri(&miner(number), CryptoType::Sr25519)?.hotkey().0;
        genesis.neurons.push(violet_devchain::Neuron {
            netuid: 1,
            hotkey: key,
            coldkey: key.map(|byte| !byte),
            alpha: 1_000_000_000_000,
            root: 0,
            validator_permit: false,
            axon: None,
        });
    }
    let chain = violet_devchain::spawn(genesis, options).await?;
    let mut config = Config::defaults();
    config.server.port = 0;
    config.database.url = cluster.url("violet");
    config.chain.endpoints = vec![chain.ws_url()];
    config.storage.url = folder.join("files").to_string_lossy().into_owned();
    // Nobody works the tasks off: places must not run out, and nothing may expire while it is measured.
    config.routing.capacity_limit = u16::MAX;
    config.routing.heartbeat_ttl_seconds = 600;
    config.tasks.silence_seconds = 600;
    // Counted all the same, but nobody is refused.
    let most = u32::MAX;
    let quotas = &mut config.quotas;
    (
        quotas.concurrent_tasks,
        quotas.daily_tasks,
        quotas.daily_characters,
    ) = (most, most, most);
    let limits = &mut config.limits;
    (limits.key_per_minute, limits.organization_per_minute) = (u64::MAX / 4, u64::MAX / 4);
    (limits.hotkey_per_minute, limits.address_per_minute) = (u64::MAX / 4, u64::MAX / 4);
    // They are signed before the clock runs.
    config.identity.signature_age_seconds = 600;
    let server = Server::start(config, Keypair::generate().0).await?;
    server.app.snapshots.first().await;
    let key = prepare(&server.url()).await?;
    let mut open = PgConnection::connect(&cluster.url("violet")).await?;

    make_wal_files(&mut plain).await?;

    let (mut accepted, mut written, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        // As miners would by answering: what is open stays small, on both sides.
        sqlx::raw_sql("truncate assignment").execute(&mut plain).await?;
        let pgbench = pgbench(&cluster.url("plain"), &script).await?;
        sqlx::raw_sql("truncate task_open, task_assignments")
            .execute(&mut open)
            .await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let http = load(&server, &key).await?;
        say(&format!(
            "round {round}: {http:.0} tasks accepted a second, pgbench {pgbench:.0}, ratio {:.2}",
            http / pgbench
        ));
        ratios.push(http / pgbench);
        accepted.push(http);
        written.push(pgbench);
    }
    let tasks: i64 = sqlx::query_scalar(AssertSqlSafe("select count(*) from tasks"))
        .fetch_one(&mut open)
        .await?;
    let draws: i64 = sqlx::query_scalar(AssertSqlSafe(
        "select count(*) from routing_records where kind = 'draw'",
    ))
    .fetch_one(&mut open)
    .await?;
    let commits: i64 = sqlx::query_scalar(AssertSqlSafe(
        "select count(distinct batch_id) from routing_records where kind = 'draw'",
    ))
    .fetch_one(&mut open)
    .await?;
    let text = format!(
        "medians of {ROUNDS} rounds of {SECONDS} s: {:.0} tasks accepted a second over HTTP ({CONNECTIONS} \
         connections), {:.0} with pgbench ({PGBENCH_CLIENTS} connections)\nratio of the median round {:.2}  ({tasks} tasks and {draws} \
         signed draws stored in {commits} commits)",
        median(&mut accepted),
        median(&mut written),
        median(&mut ratios)
    );
    let miners: Vec<Keypair> = (1..=MINERS)
        .map(|number| Keypair::from_uri(&miner(number), CryptoType::Sr25519))
        .collect::<Result<_, _>>()?;
    // What is measured is who asks, not thousands of tasks that nobody answered.
    sqlx::raw_sql("truncate task_open, task_assignments")
        .execute(&mut open)
        .await?;
    let text = format!("{text}\n{}", signed::measure(&server, &miners).await?);
    server.stop().await;
    chain.shutdown().await;
    Ok(text)
}

/// Makes the log's files that the run will write: a server that has been running for a while writes into its old ones, and
/// making new ones would be a part of what is measured.
async fn make_wal_files(db: &mut PgConnection) -> Result<(), Failure> {
    sqlx::raw_sql("alter system set min_wal_size = '2GB'")
        .execute(&mut *db)
        .await?;
    sqlx::raw_sql("alter system set max_wal_size = '4GB'")
        .execute(&mut *db)
        .await?;
    sqlx::raw_sql("select pg_reload_conf(); create table filler (filler int)")
        .execute(&mut *db)
        .await?;
    for _ in 0..WAL_FILES {
        sqlx::raw_sql("insert into filler values (1); select pg_switch_wal()")
            .execute(&mut *db)
            .await?;
    }
    // Makes old files new ones.
    sqlx::raw_sql("checkpoint").execute(db).await?;
    Ok(())
}

fn miner(number: usize) -> String {
    format!("//Bench{number}")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Registers a user, and miners that say they can translate.
async fn prepare(url: &str) -> Result<String, Failure> {
    for number in 1..=MINERS {
        let keypair = Keypair::from_uri(&miner(number), CryptoType::Sr25519)?;
        let client = ServerClient::connect(url, Arc::new(keypair)).await?;
        let beat = json!({
            "capacity": u16::MAX, "load": 0, "version": "bench",
            "engines": [{
                "engine": "none", "model_id": "none", "task_type": "text_translation", "languages": [],
                "pairs": [["en", "es"]], "max_input_bytes": 100_000
            }]
        });
        let _: Value = client.post("/api/v1/miner/heartbeat", &beat).await?;
    }
    let new = json!({ "email": "bench@example.org", "password": "only for this run" });
    let registered: Value = reqwest::Client::new()
        .post(format!("{url}/api/v1/auth/register"))
        .json(&new)
        .send()
        .await?
        .json()
        .await?;
    // The roster is read twice a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(registered["api_key"].as_str().ok_or("no key")?.to_owned())
}

/// Transactions a second of pgbench.
async fn pgbench(url: &str, script: &Path) -> Result<f64, Failure> {
    let program = std::env::args().nth(1).unwrap_or_else(|| "pgbench".into());
    let output = Command::new(program)
        .args([
            "-n",
            "-M",
            "prepared",
            "-c",
            &PGBENCH_CLIENTS.to_string(),
            "-j",
            "2",
            "-T",
            &SECONDS.to_string(),
        ])
        .arg("-f")
        .arg(script)
        .arg(url)
        .stderr(Stdio::piped())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|rate| rate.parse().ok())
        .ok_or_else(|| format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Accepted tasks a second.
async fn load(server: &Server, key: &str) -> Result<f64, Failure> {
    let body = "text=The+house+is+big+and+my+friend+has+a+red+book&source_language=en&target_language=es";
    let request = format!(
        "POST /api/v1/text-translation HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (request, stop, count) = (request.clone(), Arc::clone(&stop), Arc::clone(&count));
        connections.spawn(async move {
            let mut buffer = Vec::with_capacity(4096);
            while !stop.load(Ordering::Relaxed) {
                stream.write_all(request.as_bytes()).await?;
                answer(
                    &mut stream,
                    &mut buffer,
                    "HTTP/1.1 200",
                    "\"assigned_miner_count\":3",
                )
                .await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Failure>(())
        });
    }
    let (started, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let (took, done) = (started.elapsed(), count.load(Ordering::Relaxed) - before);
    stop.store(true, Ordering::Relaxed);
    while let Some(connection) = connections.join_next().await {
        connection??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let done = done as f64;
    Ok(done / took.as_secs_f64())
}

/// Reads one response, which must begin with `status` and have `part` in its body.
async fn answer(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    status: &str,
    part: &str,
) -> Result<(), Failure> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed a connection".into());
        }
        let text = std::str::from_utf8(buffer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .ok_or("no length")?;
        if body.len() < length {
            continue;
        }
        if !head.starts_with(status) || !body.contains(part) {
            return Err(format!("not {status} with {part}: {text}").into());
        }
        return Ok(());
    }
}
