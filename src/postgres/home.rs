//! Where a cluster lives: beside the state, or elsewhere if its user cannot go there. One owner at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Uid;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::binaries::{Account, Binaries, command};
use super::{PostgresError, at, owner};

/// The oldest server whose SQL we use.
pub(super) const OLDEST_MAJOR: u32 = 14;
/// A socket address holds 108 bytes, its closing zero included.
const LONGEST_SOCKET: usize = 107;
/// Where a cluster goes when root keeps its state where no other user can go, such as under `/root`.
const SYSTEM_FOLDER: &str = "/var/lib/violet";
/// At this size the server's log is set aside (once) at the next start.
pub(super) const LOG_LIMIT: u64 = 8 << 20;

/// Where the cluster lives and who runs it. Holds the locks that keep a second owner out, in memory only.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    pub(super) log: PathBuf,
    account: Option<Account>,
    _locks: Arc<Vec<Lock>>,
}

impl Home {
    pub(super) async fn open(state: &Path) -> Result<(Self, Binaries), PostgresError> {
        let near = state.join("postgres");
        fs::create_dir_all(&near).map_err(at(&near))?;
        let near = near.canonicalize().map_err(at(&near))?;
        let mut locks = vec![Lock::take(&near)?];
        let log = near.join("log");
        let root = Uid::effective().is_root();

        // Elsewhere, if the link that `relocate` made says so.
        let here = near.join("data");
        let Ok(data) = here.canonicalize() else {
            if here.is_symlink() {
                tracing::warn!(link = %here.display(), "The cluster that this leads to is gone: making a new one.");
                fs::remove_file(&here).map_err(at(&here))?;
            }
            let account = if root {
                Some(Account::unprivileged()?)
            } else {
                None
            };
            let found = Binaries::found(account).await;
            let binaries = found.into_iter().find(|binaries| binaries.major >= OLDEST_MAJOR);
            let binaries = binaries.ok_or(PostgresError::NotInstalled)?;
            let mut folder = near.clone();
            if root {
                fs::set_permissions(&near, fs::Permissions::from_mode(0o755)).map_err(at(&near))?;
            }
            if let Some(account) = account
                && !reaches(account, &near, &binaries).await
            {
                folder = relocate(&near, account)?;
                locks.push(Lock::take(&folder)?);
                tracing::info!(state = %near.display(), folder = %folder.display(), uid = account.uid,
                    "PostgreSQL runs as a user that cannot enter the state folder; its data go elsewhere.");
            }
            return Ok((
                Self {
                    folder,
                    log,
                    account,
                    _locks: locks.into(),
                },
                binaries,
            ));
        };

        let folder = data
            .parent()
            .expect("a folder named data has a parent")
            .to_owned();
        if folder != near {
            locks.push(Lock::take(&folder)?);
        }
        // Whoever made it can go on with it after we ran it once as root.
        let owner = fs::metadata(&data).map_err(at(&data))?;
        let account = match (root, owner.uid()) {
            (false, _) => None,
            (true, 0) => Some(Account::unprivileged()?),
            (true, uid) => Some(Account {
                uid,
                gid: owner.gid(),
            }),
        };
        let version_file = data.join("PG_VERSION");
        let version = fs::read_to_string(&version_file).map_err(at(&version_file))?;
        let found = Binaries::found(account).await;
        if found.is_empty() {
            return Err(PostgresError::NotInstalled);
        }
        let Some(binaries) = found
            .into_iter()
            .find(|binaries| version.trim() == binaries.major.to_string())
        else {
            return Err(PostgresError::OtherVersion {
                data,
                major: version.trim().to_owned(),
            });
        };
        if let Some(account) = account
            && !reaches(account, &folder, &binaries).await
        {
            return Err(PostgresError::OutOfReach {
                folder,
                uid: account.uid,
            });
        }
        Ok((
            Self {
                folder,
                log,
                account,
                _locks: locks.into(),
            },
            binaries,
        ))
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        command(program, self.account, &self.folder)
    }

    fn give(&self, path: &Path) -> Result<(), PostgresError> {
        let Some(Account { uid, gid }) = self.account else {
            return Ok(());
        };
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(at(path))
    }

    /// An empty folder that only the server's user may enter, whatever was there before.
    pub(super) fn make_private_folder(&self, path: &Path) -> Result<(), PostgresError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(path)(error)),
            _ => DirBuilder::new().mode(0o700).create(path).map_err(at(path))?,
        }
        self.give(path)
    }

    /// Beside the data; in the system's folder for temporary files where that path does not suit a socket.
    pub(super) fn make_socket_folder(&self) -> Result<PathBuf, PostgresError> {
        let spare = format!("violet-{}", short_hash(&self.folder));
        // Root's own TMPDIR may be closed to the server's user.
        let temporary = if self.account.is_some() {
            "/tmp".into()
        } else {
            std::env::temp_dir()
        };
        let fits = |folder: &PathBuf| {
            let length = folder.as_os_str().len() + "/.s.PGSQL.5432".len();
            // libpq takes a comma for a list of hosts.
            length <= LONGEST_SOCKET && folder.to_str().is_some_and(|folder| !folder.contains(','))
        };
        let folder = [
            self.folder.join("socket"),
            temporary.join(&spare),
            Path::new("/tmp").join(&spare),
        ]
        .into_iter()
        .find(fits)
        .expect("the last one does");
        self.make_private_folder(&folder)?;
        Ok(folder)
    }

    /// The log, for appending, and its length.
    pub(super) fn open_log(&self) -> Result<(File, u64), PostgresError> {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_LIMIT) {
            fs::rename(&self.log, self.log.with_extension("old")).map_err(at(&self.log))?;
        }
        // The log quotes failing statements, hence private data.
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log);
        let log = log.map_err(at(&self.log))?;
        self.give(&self.log)?;
        let length = log.metadata().map_err(at(&self.log))?.len();
        Ok((log, length))
    }
}

/// An advisory lock on a folder itself: no file to leave behind, and gone with its owner, however that dies.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn take(folder: &Path) -> Result<Self, PostgresError> {
        let file = File::open(folder).map_err(at(folder))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                return Err(PostgresError::InUse {
                    folder: folder.to_owned(),
                    process: owner(&folder.join("data")),
                });
            }
            Err(fs::TryLockError::Error(error)) => {
                tracing::warn!(folder = %folder.display(), %error, "This file system has no locks on folders.");
            }
            Ok(()) => {}
        }
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, were there not children between fork and exec that have the file open too.
        let _ = self.0.unlock();
    }
}

/// A new folder under `SYSTEM_FOLDER`, and the link to it by which later starts find it.
fn relocate(near: &Path, account: Account) -> Result<PathBuf, PostgresError> {
    let system = Path::new(SYSTEM_FOLDER);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(system)
        .map_err(at(system))?;
    let name = short_hash(near);
    let link = near.join("data");
    // A folder of that name belongs to a state that was moved or removed: not ours to touch.
    for number in 1_u32.. {
        let folder = system.join(if number == 1 {
            name.clone()
        } else {
            format!("{name}-{number}")
        });
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            created => created.map_err(at(&folder))?,
        }
        std::os::unix::fs::lchown(&folder, Some(account.uid), Some(account.gid)).map_err(at(&folder))?;
        std::os::unix::fs::symlink(folder.join("data"), &link).map_err(at(&link))?;
        return Ok(folder);
    }
    unreachable!("there are not that many folders")
}

/// Whether `account` may enter `folder`: asked of the kernel, which knows all its rules.
async fn reaches(account: Account, folder: &Path, binaries: &Binaries) -> bool {
    let output = command(&binaries.program("postgres"), Some(account), folder)
        .arg("--version")
        .output()
        .await;
    output.is_ok_and(|output| output.status.success())
}

fn short_hash(path: &Path) -> String {
    hex::encode(&Sha256::digest(path.as_os_str().as_bytes())[..6])
}
