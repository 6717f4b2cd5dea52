//! `PostgreSQL`'s own programs: found on this machine, and run free of our environment and privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::User;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::PostgresError;

/// A folder with a whole server: `postgres`, `initdb` and `psql` of one version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All servers of this machine that run: those of PATH in its order, then the distributions' by version.
    pub(super) async fn found(account: Option<Account>) -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // A link such as /usr/local/bin/postgres often comes without its companions: look where it leads.
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path)
            .filter_map(|folder| Some(folder.join("postgres").canonicalize().ok()?.parent()?.to_owned()))
            .collect();
        let mut packaged: Vec<(u32, PathBuf)> = Vec::new();
        for (parent, prefix, bin) in [
            ("/usr/lib/postgresql", "", "bin"),
            ("/usr", "pgsql-", "bin"),
            ("/usr/libexec", "postgresql", ""),
        ] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let major = name
                    .to_str()
                    .and_then(|name| name.strip_prefix(prefix)?.parse().ok());
                packaged.extend(major.map(|major| (major, entry.path().join(bin))));
            }
        }
        packaged.sort_by(|a, b| b.cmp(a));
        folders.extend(packaged.into_iter().map(|(_, folder)| folder));

        let mut found: Vec<Self> = Vec::new();
        for folder in folders {
            let new = found.iter().all(|binaries| binaries.folder != folder);
            let whole = ["initdb", "psql"].iter().all(|name| folder.join(name).is_file());
            if new
                && whole
                && let Some(major) = major(&folder.join("postgres"), account).await
            {
                found.push(Self { folder, major });
            }
        }
        found
    }
}

/// The major version that the server `program` gives when run as it will be run, if it does.
async fn major(program: &Path, account: Option<Account>) -> Option<u32> {
    let output = command(program, account, Path::new("/"))
        .arg("--version")
        .output()
        .await
        .ok()?;
    // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1), or 19beta1
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The user that runs the server, where we may not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    pub(super) fn unprivileged() -> Result<Self, PostgresError> {
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(PostgresError::NoAccount)
    }
}

/// A program of `PostgreSQL`, free of our environment (`PG*` variables change what it does), run as `account`.
/// Setting a uid as root drops the supplementary groups as well.
pub(super) fn command(program: &Path, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Runs a program to its end with `input`; its last line on stderr is the error.
pub(super) async fn run(
    program: &'static str,
    mut command: Command,
    input: &str,
) -> Result<(), PostgresError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let spawn_error = |source| PostgresError::Spawn {
        program: program.into(),
        source,
    };
    let mut child = command.spawn().map_err(spawn_error)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read to the end says why on stderr.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(spawn_error)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .map(str::trim)
        .rfind(|line| line.contains("error:") || line.contains("ERROR:"));
    let detail = line
        .or_else(|| text.lines().next_back())
        .map_or_else(|| output.status.to_string(), str::to_owned);
    Err(PostgresError::Program { program, detail })
}
