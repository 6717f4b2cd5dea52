//! A `PostgreSQL` cluster of our own, from the machine's binaries, for whoever sets no `DATABASE_URL`.
//!
//! It listens on a Unix socket only, runs as an unprivileged user when we are root, survives a crash of ours, and
//! leaves no process, socket or lock file behind. It refuses to share a cluster, to upgrade one, and to speak SQL
//! beyond `CREATE DATABASE`: that is the store's business.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use self::binaries::{Binaries, run};
use self::home::{Home, LOG_LIMIT, OLDEST_MAJOR};

mod binaries;
mod home;
#[cfg(test)]
mod tests;

/// Only names the socket file: nothing listens on TCP.
const PORT: u16 = 5432;
/// The superuser of the cluster. Whoever can open the socket's folder is it.
const ROLE: &str = "violet";
/// How the folders of half-made clusters begin.
const DRAFT: &str = "data.new-";
/// Recovery after a crash can take a while; an ordinary start takes a fraction of a second.
const START_PATIENCE: Duration = Duration::from_secs(180);
/// Fast shutdown ends with a checkpoint, which is slow on a slow disk.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// For a server that was told to drop everything, and for backends that outlive a killed one.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);

/// For a small development machine. Given as arguments, so that they hold for older clusters too.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "shared_buffers=128MB",
    "fsync=on",
    "wal_compression=on",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_checkpoints=off",
    "lc_messages=C",
    "cluster_name=violet",
];

/// Why there is no private cluster. Each is one line that names what to install, stop or remove.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No folder holds a whole server that runs.
    #[error(
        "no PostgreSQL server of version {OLDEST_MAJOR} or later found: install one (`apt-get install postgresql`), \
         or set DATABASE_URL to a database that runs elsewhere"
    )]
    NotInstalled,
    /// The cluster on disk was made by another major version.
    #[error(
        "the cluster in {} was made by PostgreSQL {major}, which is not installed: \
         install postgresql-{major}, or remove that folder to start afresh",
        data.display()
    )]
    OtherVersion {
        /// The cluster's data folder.
        data: PathBuf,
        /// Its version, as `PG_VERSION` has it.
        major: String,
    },
    /// A living process of ours holds the cluster.
    #[error(
        "the PostgreSQL cluster in {} is in use by another violet{}: stop that one first",
        folder.display(),
        process.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The folder of the cluster.
        folder: PathBuf,
        /// Who holds it, where that is known.
        process: Option<i32>,
    },
    /// We are root, and nobody else is there to run the server.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it: make one \
         (`useradd --system postgres`), or set DATABASE_URL to a database that runs elsewhere"
    )]
    NoAccount,
    /// We are root, and the user that owns the cluster cannot go there any more.
    #[error("the user that owns the cluster (uid {uid}) cannot enter {}: open it to that user", folder.display())]
    OutOfReach {
        /// The folder of the cluster.
        folder: PathBuf,
        /// The owner of its data.
        uid: u32,
    },
    /// A file or folder could not be read, made or removed.
    #[error("cannot use {} for PostgreSQL", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One of `PostgreSQL`'s programs could not be run at all.
    #[error("cannot run {}", program.display())]
    Spawn {
        /// Its path.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One of `PostgreSQL`'s programs said no.
    #[error("{program} failed: {detail}")]
    Program {
        /// `initdb` or `psql`.
        program: &'static str,
        /// Its last words.
        detail: String,
    },
    /// The server ended, or was not ready in time.
    #[error("PostgreSQL did not start: {detail} (log: {})", log.display())]
    Start {
        /// Its last complaint, or how long we waited.
        detail: String,
        /// Where it says more.
        log: PathBuf,
    },
    /// The server ended while it was needed.
    #[error(
        "PostgreSQL ended by itself ({status}); the next start recovers its data (log: {})",
        log.display()
    )]
    Ended {
        /// How it ended.
        status: String,
        /// Where it may say why.
        log: PathBuf,
    },
    /// The server did not obey. The data are safe: the next start recovers them.
    #[error("PostgreSQL (process {0}) did not stop when asked and was killed")]
    Stop(i32),
}

/// A running `PostgreSQL` server of our own, on data that outlive it.
///
/// End it with [`stop`](Self::stop). Dropping it stops the server too, at once and without a checkpoint.
#[derive(Debug)]
pub struct PrivateCluster {
    child: Child,
    binaries: Binaries,
    home: Home,
    socket: PathBuf,
}

impl PrivateCluster {
    /// Starts the cluster that belongs to the state folder `state`, which is made if need be; the first start
    /// creates the cluster. Returns when it takes connections.
    ///
    /// A server that a crash of ours left behind is stopped first. The server's log is `<state>/postgres/log`.
    pub async fn start(state: &Path) -> Result<Self, PostgresError> {
        let (home, binaries) = Home::open(state).await?;
        let data = home.data();
        evict(&data).await?;
        sweep(&home.folder);
        if !data.exists() {
            tracing::info!(version = binaries.major, folder = %data.display(), "Creating a PostgreSQL cluster.");
            create(&home, &binaries).await?;
        }
        let socket = home.make_socket_folder()?;
        let asked = Instant::now();
        loop {
            let (log, log_start) = home.open_log()?;
            let child = serve(&home, &binaries, &socket, log)?;
            let mut cluster = Self {
                child,
                binaries: binaries.clone(),
                home: home.clone(),
                socket: socket.clone(),
            };
            let Err(detail) = cluster.ready().await else {
                tracing::info!(version = binaries.major, folder = %data.display(), "PostgreSQL runs.");
                return Ok(cluster);
            };
            let detail = detail.unwrap_or_else(|| last_complaint(&home.log, log_start));
            // After a killed server its backends may need a moment to notice; the kernel counts them.
            if !detail.contains("is still in use") || asked.elapsed() > ABORT_PATIENCE {
                return Err(PostgresError::Start {
                    detail,
                    log: home.log.clone(),
                });
            }
            // Dropping this one removes the socket's folder.
            drop(cluster);
            home.make_socket_folder()?;
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// The address of a database of this cluster, for sqlx and libpq alike. It depends on no `PG*` variable.
    pub fn url(&self, database: &str) -> String {
        let database = percent_encode(database.as_bytes());
        let socket = percent_encode(self.socket.as_os_str().as_bytes());
        format!("postgres://{ROLE}@localhost:{PORT}/{database}?host={socket}&sslmode=disable")
    }

    /// Creates a database, unless it is there.
    pub async fn create_database(&self, name: &str) -> Result<(), PostgresError> {
        // psql quotes the name itself, both as a literal and (through format) as an identifier.
        let script = "SELECT format('CREATE DATABASE %I', :'name') \
                      WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec\n";
        let mut psql = self.home.command(&self.binaries.program("psql"));
        psql.args([
            "-X",
            "-q",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            ROLE,
            "-d",
            "postgres",
        ]);
        psql.arg("-p")
            .arg(PORT.to_string())
            .arg("-h")
            .arg(&self.socket)
            .arg("-v")
            .arg(format!("name={name}"));
        run("psql", psql, script).await
    }

    /// Stops the server in its orderly way, waits for it, and removes its socket's folder.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        let Some(pid) = self.pid() else { return Ok(()) };
        for (signal, patience) in [(Signal::SIGINT, STOP_PATIENCE), (Signal::SIGQUIT, ABORT_PATIENCE)] {
            // It may end between the two: then there is nobody to signal, and the wait returns at once.
            let _ = kill(pid, signal);
            if timeout(patience, self.child.wait()).await.is_ok() {
                return Ok(());
            }
        }
        // `drop` kills it.
        Err(PostgresError::Stop(pid.as_raw()))
    }

    /// Comes back when the server ended without being asked, and says how.
    pub async fn ended(&mut self) -> PostgresError {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        PostgresError::Ended {
            status,
            log: self.home.log.clone(),
        }
    }

    /// `Err(None)`: it ended, and its log says why. `Err(Some(…))`: it is not ready in time.
    async fn ready(&mut self) -> Result<(), Option<String>> {
        let asked = Instant::now();
        let mut told = 0;
        while asked.elapsed() < START_PATIENCE {
            let Some(pid) = self.pid() else { return Err(None) };
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(None);
            }
            // pg_ctl waits for the same two lines of this file.
            let text = fs::read_to_string(self.home.data().join("postmaster.pid")).unwrap_or_default();
            let mut lines = text.lines();
            if lines.next() == Some(pid.to_string().as_str())
                && lines.nth(6).is_some_and(|status| status.trim() == "ready")
            {
                return Ok(());
            }
            if asked.elapsed().as_secs() / 5 > told {
                told = asked.elapsed().as_secs() / 5;
                tracing::info!(
                    seconds = asked.elapsed().as_secs(),
                    "Waiting for PostgreSQL to recover its data."
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(Some(format!("not ready after {} s", START_PATIENCE.as_secs())))
    }

    /// None once it ended and we know it.
    fn pid(&self) -> Option<Pid> {
        self.child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // Immediate shutdown loses nothing that was committed and removes pid file and socket, unlike SIGKILL,
            // which follows (from the child's own drop) if this does not help.
            let _ = kill(pid, Signal::SIGQUIT);
            let asked = std::time::Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < ABORT_PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.socket) {
            tracing::debug!(folder = %self.socket.display(), %error, "The socket's folder stays behind.");
        }
    }
}

/// Removes what a crash of ours interrupted.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(DRAFT.as_bytes())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(folder = %entry.path().display(), %error, "A half-made cluster stays behind for now.");
        }
    }
}

/// Makes the cluster beside its place and moves it there, so that a half-made one is never taken for whole.
async fn create(home: &Home, binaries: &Binaries) -> Result<(), PostgresError> {
    // A name of our own: an initdb that a crash of ours left behind may still be at work in another draft.
    let draft = home.folder.join(format!("{DRAFT}{}", std::process::id()));
    home.make_private_folder(&draft)?;
    let mut initdb = home.command(&binaries.program("initdb"));
    initdb.args([
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth-local=trust",
        "--auth-host=reject",
    ]);
    initdb
        .arg(format!("--username={ROLE}"))
        .arg("--pgdata")
        .arg(&draft);
    run("initdb", initdb, "").await?;
    fs::rename(&draft, home.data()).map_err(at(&draft))
}

fn serve(home: &Home, binaries: &Binaries, socket: &Path, log: File) -> Result<Child, PostgresError> {
    let program = binaries.program("postgres");
    let errors = log.try_clone().map_err(at(&home.log))?;
    let mut postgres = home.command(&program);
    // Its own process group: Ctrl-C in a terminal reaches us, and we end it after our own connections.
    postgres.process_group(0).stdout(log).stderr(errors);
    postgres
        .arg("-D")
        .arg(home.data())
        .arg("-p")
        .arg(PORT.to_string());
    for setting in SETTINGS {
        postgres.args(["-c", setting]);
    }
    // A list of folders; the quotes make spaces part of the name.
    let mut folders = OsString::from("unix_socket_directories=\"");
    folders.push(socket.to_str().expect("chosen so").replace('"', "\"\""));
    folders.push("\"");
    postgres.arg("-c").arg(folders);
    postgres
        .spawn()
        .map_err(|source| PostgresError::Spawn { program, source })
}

/// Stops what a crash of ours left running on `data`, and removes its pid file: `PostgreSQL` takes a pid that was
/// given to another process of the same user for a living server, and would refuse to start.
async fn evict(data: &Path) -> Result<(), PostgresError> {
    let file = data.join("postmaster.pid");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(&file)(error)),
    };
    if !Path::new("/proc/self/cmdline").exists() {
        // PostgreSQL judges for itself.
        return Ok(());
    }
    if let Some(pid) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .filter(|pid| *pid > 1)
    {
        let pid = Pid::from_raw(pid);
        for (signal, patience) in [
            (Signal::SIGINT, STOP_PATIENCE),
            (Signal::SIGQUIT, ABORT_PATIENCE),
            (Signal::SIGKILL, ABORT_PATIENCE),
        ] {
            if !is_server_of(pid, data) {
                break;
            }
            tracing::info!(%pid, %signal, "Stopping the PostgreSQL that an earlier run left behind.");
            match kill(pid, signal) {
                // ESRCH: it ended by itself just now.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(at(&file)(error.into())),
            }
            let asked = Instant::now();
            while is_server_of(pid, data) && asked.elapsed() < patience {
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&file)(error)),
        _ => Ok(()),
    }
}

/// The process whose server runs on `data`: the lock on a folder does not say who has it.
fn owner(data: &Path) -> Option<i32> {
    let data = data.canonicalize().ok()?;
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let server = Pid::from_raw(text.lines().next()?.parse().ok()?);
    if !is_server_of(server, &data) {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{server}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok()
}

/// Whether `pid` is a `postgres -D data`. (Its backends rename themselves; a zombie has no arguments.)
fn is_server_of(pid: Pid, data: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let mut arguments = line.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    program.ends_with(b"/postgres")
        && arguments.any(|argument| argument == b"-D")
        && line
            .split(|byte| *byte == 0)
            .any(|argument| argument == data.as_os_str().as_bytes())
}

/// What the server said last in its log after byte `start`, preferably a reason to give up.
fn last_complaint(log: &Path, start: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut log| {
        log.seek(SeekFrom::Start(start))?;
        log.take(LOG_LIMIT).read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let fatal = text.lines().rev().find_map(|line| {
        let at = line.find("FATAL:").or_else(|| line.find("PANIC:"))?;
        Some(line[at..].to_owned())
    });
    match (fatal, text.lines().next_back(), read) {
        (Some(line), _, _) => line,
        (None, Some(line), _) => line.to_owned(),
        (None, None, _) => "it ended without a word".to_owned(),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PostgresError + '_ {
    |source| PostgresError::File {
        path: path.to_owned(),
        source,
    }
}

fn percent_encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => write!(text, "%{byte:02X}").expect("a String takes everything"),
        }
    }
    text
}
