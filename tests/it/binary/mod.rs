//! The binary as it is run by hand: its starts, its ends, and what outlives those.
mod chain;
mod dev;
mod refusals;
mod secrets;
mod serve;
mod upkeep;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::harness::{Reply, translation};

/// What `violet dev` may take from Ctrl-C to its end, with work in hand and everything else running beside it.
const SOON: Duration = Duration::from_secs(60);
/// What a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(30);
/// What a start, or a task with all engines at work, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// So many tasks are accepted when something is killed in the middle of accepting more.
const ENOUGH: usize = 12;

/// A folder that the database's user may enter too.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// A `violet` of ours; what it says is in two files.
struct Violet {
    child: Child,
    pid: Pid,
    said: TempDir,
}

impl Violet {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let said = tempfile::tempdir().unwrap();
        let file = |name| fs::File::create(said.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_violet"))
            .args(arguments)
            .env_remove("DATABASE_URL")
            // Hashing is not what is tested.
            .env("VIOLET_IDENTITY__ARGON2_MEMORY_KIB", "8")
            // A stop that waits for what does not end takes too long.
            .env("VIOLET_SERVER__DRAIN_SECONDS", "300")
            .envs(environment.iter().copied())
            // Like a shell does, so that Ctrl-C reaches it and what it started in the same group.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        Self { child, pid, said }
    }

    /// `violet dev` on free ports.
    fn dev(state: &Path) -> Self {
        let state = state.to_str().unwrap();
        Self::start(
            &["dev", "--state", state, "--port", "0", "--chain-port", "0"],
            &[],
        )
    }

    fn out(&self) -> String {
        fs::read_to_string(self.said.path().join("out")).unwrap()
    }

    fn err(&self) -> String {
        fs::read_to_string(self.said.path().join("err")).unwrap()
    }

    /// Its address, once it says that it is up.
    async fn up(&mut self) -> String {
        let started = Instant::now();
        loop {
            if let Some(line) = self.out().lines().find(|line| line.starts_with("Violet is up: ")) {
                return line["Violet is up: ".len()..].to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{}\n{}", self.out(), self.err());
            assert!(started.elapsed() < PATIENCE, "{}\n{}", self.out(), self.err());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How it ends by itself within this time.
    async fn ends(&mut self, within: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(within, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("it goes on\n{}\n{}", self.out(), self.err()))
            .unwrap()
    }

    /// Ctrl-C in its terminal.
    async fn interrupted(mut self) {
        killpg(self.pid, Signal::SIGINT).unwrap();
        let status = self.ends(SOON).await;
        assert!(status.success(), "{status}\n{}\n{}", self.out(), self.err());
    }

    /// It refuses, at once, in one line.
    async fn refuses(mut self) -> String {
        let status = self.ends(AT_ONCE).await;
        assert_eq!(status.code(), Some(1), "{}", self.out());
        let err = self.err();
        let last = err.lines().last().unwrap_or_default();
        assert!(last.starts_with("violet: "), "{err}");
        last.to_owned()
    }
}

/// A process's name, parent and folder. Zombies have no folder and count as gone.
fn processes() -> Vec<(Pid, Pid, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if let (Some(parent), Ok(folder)) = (parent, fs::read_link(entry.path().join("cwd"))) {
            let parent = parent.trim().parse().unwrap();
            found.push((Pid::from_raw(pid), Pid::from_raw(parent), folder));
        }
    }
    found
}

/// Everything that a process started, and what that started.
fn descendants(of: Pid) -> Vec<Pid> {
    let all = processes();
    let mut found = vec![of];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            all.iter()
                .filter(|(_, of, _)| *of == parent)
                .map(|(pid, ..)| *pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// The server of the database that belongs to a state.
fn postgres(state: &Path) -> Pid {
    let file = state.join("postgres/data/postmaster.pid");
    let text = fs::read_to_string(file).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

/// Nothing runs that was started for this state, and what is in it are data.
#[track_caller]
fn assert_nothing_left(state: &Path, started: &[Pid]) {
    let data = state.join("postgres/data").canonicalize().unwrap();
    let alive: Vec<_> = processes()
        .into_iter()
        .filter(|(pid, _, folder)| started.contains(pid) || folder.starts_with(&data))
        .collect();
    assert!(alive.is_empty(), "{alive:?}");
    let mut folders = vec![state.to_owned(), data];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name().to_string_lossy().into_owned();
            let passing = kind.is_socket()
                || name == "socket"
                || [".pid", ".lock"].iter().any(|end| name.ends_with(end));
            assert!(!passing, "{} is left", path.display());
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
}

/// A user with a key, of a server in another process.
struct User {
    http: reqwest::Client,
    key: String,
}

impl User {
    async fn register(url: &str) -> Self {
        let http = reqwest::Client::new();
        let new = json!({ "email": "me@example.org", "password": "correct horse" });
        let registered = Reply::to(http.post(format!("{url}/api/v1/auth/register")).json(&new)).await;
        let key = registered.ok()["api_key"].as_str().unwrap().to_owned();
        Self { http, key }
    }

    async fn get(&self, url: &str, path: &str) -> Value {
        let request = self.http.get(format!("{url}{path}"));
        Reply::to(request.header("X-API-Key", &self.key)).await.ok()
    }

    /// Submits a text translation; None when the server, or its database, was not there to accept it.
    async fn try_submit(&self, url: &str, miners: u8) -> Option<String> {
        let request = self.http.post(format!("{url}/api/v1/text-translation"));
        let request = request.header("X-API-Key", &self.key).json(&translation(miners));
        let response = request.send().await.ok()?;
        let status = response.status();
        let accepted: Value = serde_json::from_slice(&response.bytes().await.ok()?).unwrap();
        if status.is_server_error() {
            return None;
        }
        assert!(status.is_success(), "{accepted}");
        Some(accepted["task_id"].as_str().unwrap().to_owned())
    }

    async fn submit(&self, url: &str, miners: u8) -> String {
        self.try_submit(url, miners).await.expect("the server answers")
    }

    /// The result, once there is one.
    async fn result(&self, url: &str, task: &str) -> String {
        let started = Instant::now();
        loop {
            let result = self
                .get(url, &format!("/api/v1/text-translation/{task}/result?wait=30"))
                .await;
            if result["available"] == true {
                return result["translated_text"].as_str().unwrap().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{result}");
        }
    }

    /// The state, once the task has ended.
    async fn end(&self, url: &str, task: &str) -> Value {
        let started = Instant::now();
        loop {
            let status = self
                .get(url, &format!("/api/v1/task/{task}/status?wait=30"))
                .await;
            if !status["settled_at"].is_null() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{status}");
        }
    }

    /// Submits without a pause, several at a time, until the server is gone; gives what was accepted.
    async fn submit_until_it_ends(&self, url: &str, enough: impl Fn()) -> Vec<String> {
        let mut accepted = Vec::new();
        loop {
            let (a, b, c) = tokio::join!(
                self.try_submit(url, 1),
                self.try_submit(url, 1),
                self.try_submit(url, 1)
            );
            let all = a.is_some() && b.is_some() && c.is_some();
            accepted.extend([a, b, c].into_iter().flatten());
            if !all {
                return accepted;
            }
            if accepted.len() == ENOUGH {
                enough();
            }
            assert!(accepted.len() < 3000, "the server does not end");
        }
    }
}
