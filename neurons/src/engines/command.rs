//! Runs an installed program under limits and hands back what it wrote.
//! Never goes through a shell, never passes on our environment, and leaves no process behind: each run is a
//! process group of its own, killed whole when it is too slow, too talkative, or no longer wanted.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

/// How much of a program's complaints is kept for the error.
const STDERR_EXCERPT_BYTES: usize = 2 * 1024;

/// The folders that are searched for programs, in order. The environment is not asked.
#[derive(Clone, Debug)]
pub struct Tools {
    folders: Vec<PathBuf>,
}

impl Default for Tools {
    /// The folders where Debian and a local administrator install programs.
    fn default() -> Self {
        Self::in_folders(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from))
    }
}

impl Tools {
    /// Searches these folders, in this order.
    pub fn in_folders(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            folders: folders.into_iter().collect(),
        }
    }

    /// A program by its name, ready to be run under limits; `None` when it or `prlimit` is not installed.
    pub fn find(&self, name: &str) -> Option<Program> {
        let path = std::env::join_paths(&self.folders).ok()?;
        Some(Program {
            wrapper: self.locate("prlimit")?,
            location: self.locate(name)?,
            path,
        })
    }

    fn locate(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        self.folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|candidate| {
                candidate
                    .metadata()
                    .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
            })
    }
}

/// What one run may use. A limit on processor time and memory holds for each process of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From start to end on the clock on the wall.
    pub wall: Duration,
    /// Processor time per process; rounded up to whole seconds.
    pub cpu: Duration,
    /// Address space per process, in bytes.
    pub memory_bytes: u64,
    /// What may be written to standard output, in bytes.
    pub output_bytes: usize,
    /// The largest file that may be written, in bytes.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(60),
            cpu: Duration::from_secs(60),
            memory_bytes: 1 << 30,
            output_bytes: 8 << 20,
            file_bytes: 64 << 20,
        }
    }
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not (or no longer) installed.
    #[error("{program} is not installed")]
    Absent { program: String },
    /// It could not be started, fed or read.
    #[error("could not run {program}")]
    Io {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// It was killed after [`Limits::wall`].
    #[error("{program} took longer than {} ms", limit.as_millis())]
    TooSlow { program: String, limit: Duration },
    /// It was killed after [`Limits::output_bytes`].
    #[error("{program} wrote more than {limit} bytes")]
    TooMuchOutput { program: String, limit: usize },
    /// It ended with an error of its own, or by a signal (a limit on processor time, memory or files).
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        program: String,
        status: ExitStatus,
        stderr: String,
    },
}

/// An installed program with the wrapper that limits it.
#[derive(Clone, Debug)]
pub struct Program {
    wrapper: PathBuf,
    location: PathBuf,
    /// The search path of whatever it starts itself.
    path: OsString,
}

impl Program {
    /// Where the program was found.
    pub fn location(&self) -> &Path {
        &self.location
    }

    /// Runs it with `args` in `folder`, writes `stdin` to it, and answers what it wrote to standard output.
    /// Dropping the future kills everything that the run started.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        args: &[A],
        folder: &Path,
        stdin: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, CommandError> {
        if !self.location.is_file() {
            return Err(CommandError::Absent { program: self.name() });
        }
        let mut child = self
            .command(args, folder, limits)
            .spawn()
            .map_err(|source| self.io(source))?;
        let group = Group::of(&child);
        let outcome = tokio::time::timeout(limits.wall, self.converse(&mut child, stdin, limits)).await;
        match outcome {
            Ok(Ok(output)) => {
                group.ended();
                Ok(output)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(CommandError::TooSlow {
                program: self.name(),
                limit: limits.wall,
            }),
        }
    }

    fn command<A: AsRef<OsStr>>(&self, args: &[A], folder: &Path, limits: &Limits) -> Command {
        let cpu = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
        let mut command = Command::new(&self.wrapper);
        command
            .arg(format!("--cpu={cpu}:{}", cpu + 1))
            .arg(format!("--as={}", limits.memory_bytes))
            .arg(format!("--fsize={}", limits.file_bytes))
            .arg("--core=0")
            .arg("--")
            .arg(&self.location)
            .args(args)
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Feeds and reads at the same time, since a program that is only fed blocks when its pipe is full.
    async fn converse(
        &self,
        child: &mut Child,
        stdin: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, CommandError> {
        let (input, output, complaints) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let reading = async {
            match read_at_most(output, limits.output_bytes).await {
                Ok((bytes, false)) => Ok(bytes),
                Ok((_, true)) => Err(CommandError::TooMuchOutput {
                    program: self.name(),
                    limit: limits.output_bytes,
                }),
                Err(source) => Err(self.io(source)),
            }
        };
        let complaining = async {
            let excerpt = read_excerpt(complaints).await.map_err(|source| self.io(source))?;
            Ok(String::from_utf8_lossy(&excerpt).trim().to_owned())
        };
        let feeding = async { feed(input, stdin).await.map_err(|source| self.io(source)) };
        let (bytes, stderr, ()) = tokio::try_join!(reading, complaining, feeding)?;
        let status = child.wait().await.map_err(|source| self.io(source))?;
        if status.success() {
            Ok(bytes)
        } else {
            Err(CommandError::Failed {
                program: self.name(),
                status,
                stderr,
            })
        }
    }

    fn name(&self) -> String {
        let name = self.location.file_name().unwrap_or(self.location.as_os_str());
        name.to_string_lossy().into_owned()
    }

    fn io(&self, source: std::io::Error) -> CommandError {
        CommandError::Io {
            program: self.name(),
            source,
        }
    }
}

/// A running process group; dropping it kills the group, because killing the wrapper alone would leave the
/// program's own children behind.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    /// The group's leader was waited for: its number may belong to somebody else from now on.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = killpg(group, Signal::SIGKILL)
        {
            tracing::debug!(%group, %error, "the process group is gone already");
        }
    }
}

async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) -> std::io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    match stdin.write_all(bytes).await {
        // A program may stop reading before the end; whether that is an error, its exit status tells.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Reads to the end or just past `limit`; the flag tells that there was more.
async fn read_at_most(
    source: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let Some(source) = source else {
        return Ok((bytes, false));
    };
    source.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
    let too_much = bytes.len() > limit;
    Ok((bytes, too_much))
}

/// Keeps the beginning and reads on to the end, so that a chatty program never blocks.
async fn read_excerpt(source: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut excerpt = Vec::new();
    let Some(mut source) = source else {
        return Ok(excerpt);
    };
    let mut buffer = [0_u8; 4096];
    loop {
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            return Ok(excerpt);
        }
        let wanted = STDERR_EXCERPT_BYTES.saturating_sub(excerpt.len()).min(read);
        excerpt.extend_from_slice(&buffer[..wanted]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Program {
        Tools::default()
            .find(name)
            .expect("coreutils and util-linux are installed")
    }

    fn quick() -> Limits {
        Limits {
            wall: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    async fn sh(script: &str, limits: &Limits) -> Result<Vec<u8>, CommandError> {
        program("sh")
            .run(&["-c", script], Path::new("/"), b"", limits)
            .await
    }

    #[tokio::test]
    async fn what_is_fed_comes_back_even_when_it_is_larger_than_a_pipe() {
        let input = vec![b'x'; 3 << 20];
        let output = program("cat")
            .run::<&str>(&[], Path::new("/"), &input, &quick())
            .await
            .unwrap();
        assert_eq!(output, input);
    }

    #[tokio::test]
    async fn a_program_that_does_not_read_its_input_is_no_error() {
        let output = program("true")
            .run::<&str>(&[], Path::new("/"), &vec![0; 1 << 20], &quick())
            .await;
        assert!(output.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_absent_program_is_not_found_and_one_that_vanished_is_named() {
        assert!(Tools::default().find("no-such-program").is_none());
        assert!(Tools::in_folders([]).find("cat").is_none());
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("tool");
        std::fs::copy(program("true").location(), &copy).unwrap();
        let tools = Tools::in_folders([folder.path().to_path_buf(), "/usr/bin".into(), "/bin".into()]);
        let tool = tools.find("tool").unwrap();
        std::fs::remove_file(&copy).unwrap();
        let error = tool
            .run::<&str>(&[], Path::new("/"), b"", &quick())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, CommandError::Absent { program } if program == "tool"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_failure_carries_status_and_complaint() {
        let error = sh("echo out; echo nonsense >&2; exit 3", &quick())
            .await
            .unwrap_err();
        let CommandError::Failed { status, stderr, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((status.code(), stderr.as_str()), (Some(3), "nonsense"));
    }

    #[tokio::test]
    async fn a_long_complaint_is_cut_and_does_not_block() {
        let error = sh("head -c 500000 /dev/zero | tr '\\0' e >&2; exit 1", &quick())
            .await
            .unwrap_err();
        let CommandError::Failed { stderr, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(stderr.len(), STDERR_EXCERPT_BYTES);
    }

    #[tokio::test]
    async fn output_is_allowed_up_to_the_limit_and_not_beyond() {
        let limits = Limits {
            output_bytes: 1000,
            ..quick()
        };
        assert_eq!(sh("head -c 1000 /dev/zero", &limits).await.unwrap().len(), 1000);
        let error = sh("head -c 1001 /dev/zero; sleep 60", &limits).await.unwrap_err();
        assert!(
            matches!(error, CommandError::TooMuchOutput { limit: 1000, .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_slow_program_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("(sleep 0.6; touch {}) & sleep 60", mark.display());
        let limits = Limits {
            wall: Duration::from_millis(200),
            ..quick()
        };
        let error = sh(&script, &limits).await.unwrap_err();
        assert!(matches!(error, CommandError::TooSlow { .. }), "{error}");
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(!mark.exists(), "a child outlived its group");
    }

    #[tokio::test]
    async fn dropping_the_run_kills_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("sleep 0.6; touch {}", mark.display());
        let run = async { sh(&script, &quick()).await };
        assert!(
            tokio::time::timeout(Duration::from_millis(200), run)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(!mark.exists(), "the program outlived its run");
    }

    #[tokio::test]
    async fn processor_time_memory_and_files_are_limited() {
        let busy = Limits {
            cpu: Duration::from_secs(1),
            ..quick()
        };
        assert!(matches!(
            sh("while :; do :; done", &busy).await,
            Err(CommandError::Failed { .. })
        ));

        let greedy = "head -c 300000000 /dev/zero | tail -c 290000000 >/dev/null";
        assert!(sh(greedy, &quick()).await.is_ok());
        let small = Limits {
            memory_bytes: 100 << 20,
            ..quick()
        };
        assert!(matches!(
            sh(greedy, &small).await,
            Err(CommandError::Failed { .. })
        ));

        let folder = tempfile::tempdir().unwrap();
        let write = format!("head -c 5000 /dev/zero > {}/f", folder.path().display());
        assert!(sh(&write, &quick()).await.is_ok());
        let short = Limits {
            file_bytes: 4096,
            ..quick()
        };
        assert!(matches!(
            sh(&write, &short).await,
            Err(CommandError::Failed { .. })
        ));
    }

    #[tokio::test]
    async fn our_environment_stays_with_us() {
        let output = String::from_utf8(sh("env", &quick()).await.unwrap()).unwrap();
        let mut names: Vec<_> = output.lines().filter_map(|line| line.split('=').next()).collect();
        names.retain(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TMPDIR"]);
    }
}
