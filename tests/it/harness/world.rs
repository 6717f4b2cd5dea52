//! Database, chain and server of one test.
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use violet::{config::Config, server::Server};
use violet_devchain::{DevChain, Genesis, Options};

use super::{Neuron, User, database::Database, keypair};

/// Miners of the genesis, uids from 0.
pub(crate) const MINERS: u8 = 6;
/// Validators of the genesis, uids after the miners'. The first has more than half of the stake.
const VALIDATOR_ALPHA: [u64; 3] = [60_000, 20_000, 15_000];
const ALPHA: u64 = 1_000_000_000;
const NETUID: u16 = 1;
/// Key of the server; those of the neurons are below.
pub(crate) const SERVER: u8 = 200;
const SNAPSHOT_INTERVAL: u32 = 2;
const HEARTBEAT_TTL: u32 = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks every few milliseconds until there is something; a test that waits too long fails and says for what.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "it does not come about in time that {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Key number and uid of miner 1, 2 …; and of validator 1, 2, 3.
fn miner_number(number: u8) -> (u8, u16) {
    assert!((1..=MINERS).contains(&number));
    (number, u16::from(number) - 1)
}

fn validator_number(number: u8) -> (u8, u16) {
    assert!((1..=3).contains(&number));
    (100 + number, u16::from(MINERS + number) - 1)
}

fn genesis() -> Genesis {
    let neuron = |number: u8, alpha: u64, validator_permit| violet_devchain::Neuron {
        netuid: NETUID,
        hotkey: keypair(number).hotkey().0,
        coldkey: [number ^ 0xff; 32],
        alpha: alpha * ALPHA,
        root: 0,
        validator_permit,
        axon: None,
    };
    let miners = (1..=MINERS).map(|number| neuron(number, 500 * u64::from(number), false));
    let validators = (1..)
        .zip(VALIDATOR_ALPHA)
        .map(|(number, alpha)| neuron(validator_number(number).0, alpha, true));
    Genesis {
        block_time_ms: 0,
        accounts: Vec::new(),
        subnets: vec![violet_devchain::Subnet {
            netuid: NETUID,
            tempo: 10,
            owner_coldkey: [0x77; 32],
            owner_hotkey: [0x78; 32],
        }],
        neurons: miners.chain(validators).collect(),
        stake_threshold: 1_000 * ALPHA,
        ..Genesis::default()
    }
}

/// A chain at its beginning: all of them have the same genesis.
pub(crate) async fn fresh_chain() -> DevChain {
    violet_devchain::spawn(genesis(), Options::default())
        .await
        .expect("a free port is taken")
}

pub(crate) struct World {
    pub(crate) db: PgPool,
    pub(crate) chain: DevChain,
    pub(crate) server: Server,
    pub(crate) http: reqwest::Client,
    config: Config,
    database: Database,
    files: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the defaults of tests.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (database, chain) = tokio::join!(Database::create(), fresh_chain());
        let mut config = Config::defaults();
        config.server.port = 0;
        config.server.drain_seconds = 5;
        config.database.url = database.url();
        config.database.connections = 8;
        config.chain.endpoints = vec![chain.ws_url()];
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        config.storage.url = files.path().to_string_lossy().into_owned();
        config.routing.snapshot_interval = SNAPSHOT_INTERVAL;
        // Nobody is lost because the machine is busy; where that is the subject a test moves the times.
        config.routing.heartbeat_ttl_seconds = HEARTBEAT_TTL;
        config.tasks.silence_seconds = 300;
        // Tests ask often, all from one address.
        config.limits.address_per_minute = 1_000_000;
        // Hashing is not what is tested.
        config.identity.argon2_memory_kib = 8;
        config.identity.argon2_passes = 1;
        change(&mut config);
        let server = start(&config).await;
        let db = PgPoolOptions::new()
            .max_connections(2)
            .connect(&config.database.url)
            .await;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(90))
            .build();
        Self {
            db: db.expect("the database is there"),
            chain,
            server,
            http: http.expect("no unusual setting"),
            config,
            database,
            files,
        }
    }

    /// Another server on the same database and chain, with the same key.
    pub(crate) async fn replica(&self) -> Server {
        start(&self.config).await
    }

    /// What the server was started with.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A server that cannot reach the chain.
    pub(crate) async fn lost_replica(&self) -> Server {
        self.chain.refuse(true);
        Server::start(self.config.clone(), keypair(SERVER))
            .await
            .expect("the chain is not needed to start")
    }

    /// Stops the server and starts another one in its place.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async |chain| chain).await
    }

    /// The same, after something happened to the chain, which may be another one now.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(DevChain) -> DevChain) -> Self {
        let Self {
            db,
            chain,
            server,
            http,
            mut config,
            database,
            files,
        } = self;
        server.stop().await;
        let chain = meanwhile(chain).await;
        config.chain.endpoints = vec![chain.ws_url()];
        let server = start(&config).await;
        Self {
            db,
            chain,
            server,
            http,
            config,
            database,
            files,
        }
    }

    /// Cleans up after a test that passed.
    pub(crate) async fn end(self) {
        self.server.stop().await;
        self.db.close().await;
        self.chain.shutdown().await;
        self.database.delete().await;
    }

    pub(crate) async fn user(&self) -> User {
        User::register(self).await
    }

    /// Miner 1, 2 … without a heartbeat.
    pub(crate) fn silent_miner(&self, number: u8) -> Neuron {
        let (number, uid) = miner_number(number);
        Neuron::new(self, number, uid)
    }

    /// Miner 1, 2 … that can be drawn.
    pub(crate) async fn miner(&self, number: u8) -> Neuron {
        let miner = self.silent_miner(number);
        miner.heartbeat().await;
        self.on_roster(&self.server, &miner).await;
        miner
    }

    /// Miners 1 to `count`, all of which can be drawn.
    pub(crate) async fn miners(&self, count: u8) -> Vec<Neuron> {
        let mut miners = Vec::new();
        for number in 1..=count {
            miners.push(self.silent_miner(number));
            miners.last().expect("just pushed").heartbeat().await;
        }
        for miner in &miners {
            self.on_roster(&self.server, miner).await;
        }
        miners
    }

    /// Miners 1 to `count`, all of which can be drawn for every type of task.
    pub(crate) async fn versatile(&self, count: u8) -> Vec<Neuron> {
        let mut miners = Vec::new();
        for number in 1..=count {
            let miner = self.silent_miner(number);
            miner
                .post("/api/v1/miner/heartbeat", &Neuron::heartbeat_of_all())
                .await
                .ok();
            miners.push(miner);
        }
        for miner in &miners {
            self.on_roster(&self.server, miner).await;
        }
        miners
    }

    /// The names of the files in storage; one that is still written has a `#` in its name.
    pub(crate) fn objects(&self) -> Vec<String> {
        let names = self.object_paths().into_iter().filter_map(|path| {
            let name = path.file_name()?.to_string_lossy();
            Some(name.into_owned())
        });
        names.collect()
    }

    /// Where they are.
    pub(crate) fn object_paths(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.files.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is there") {
                let entry = entry.expect("it can be read");
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    /// Waits until there are so many files in storage, whole or not.
    pub(crate) async fn stored(&self, count: usize) -> Vec<String> {
        eventually("storage has the right number of files", || async {
            Some(self.objects()).filter(|objects| objects.len() == count)
        })
        .await
    }

    /// Waits until `server` knows this miner.
    pub(crate) async fn on_roster(&self, server: &Server, miner: &Neuron) {
        eventually("a miner is on the roster", || async {
            server
                .app
                .roster
                .miners()
                .get(&miner.hotkey())
                .filter(|miner| miner.available)
                .map(|_| ())
        })
        .await;
    }

    /// Validator 1, 2 or 3, known to the server so that it may judge.
    pub(crate) async fn validator(&self, number: u8) -> Neuron {
        let (number, uid) = validator_number(number);
        let validator = Neuron::new(self, number, uid);
        validator.judgeable(0).await;
        // It is noted a moment after the request.
        let seen = format!(
            "validator_seen where hotkey = '\\x{}'",
            hex::encode(validator.hotkey().0)
        );
        eventually("the validator was seen", || async {
            (self.count(&seen).await == 1).then_some(())
        })
        .await;
        validator
    }

    /// All three validators.
    pub(crate) async fn validators(&self) -> Vec<Neuron> {
        vec![
            self.validator(1).await,
            self.validator(2).await,
            self.validator(3).await,
        ]
    }

    /// A key that is registered nowhere.
    pub(crate) fn stranger(&self) -> Neuron {
        Neuron::new(self, 250, 0)
    }

    /// Makes blocks until a new snapshot is in force.
    pub(crate) async fn next_snapshot(&self) {
        let head = self.chain.advance(SNAPSHOT_INTERVAL).expect("blocks can be made");
        let wanted = head.number - head.number % SNAPSHOT_INTERVAL;
        eventually("the snapshot is in force", || async {
            self.server
                .app
                .snapshots
                .latest()
                .filter(|current| current.snapshot.block.number >= wanted)
        })
        .await;
    }

    /// Runs a statement that changes what a test cannot wait for.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&self.db)
            .await
            .expect("the statement is right")
            .rows_affected()
    }

    pub(crate) async fn count(&self, what: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}")))
            .fetch_one(&self.db)
            .await
            .expect("the query is right")
    }

    /// The uids that have the task open.
    pub(crate) async fn open_uids(&self, task: &str) -> Vec<u16> {
        let uids: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select uid from task_assignments where task_id = '{task}' order by slot"
        )))
        .fetch_all(&self.db)
        .await
        .expect("the query is right");
        uids.into_iter()
            .map(|uid| u16::try_from(uid).expect("a uid"))
            .collect()
    }
}

async fn start(config: &Config) -> Server {
    let server = Server::start(config.clone(), keypair(SERVER))
        .await
        .expect("the server starts");
    tokio::time::timeout(PATIENCE, server.app.snapshots.first())
        .await
        .expect("the first snapshot comes");
    server
}
