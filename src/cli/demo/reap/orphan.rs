//! A process that is an orphan on purpose.
//!
//! It is a `sleep` with the environment and the working directory of an agent of a made-up
//! gateway. The other ends of its input and output are closed as soon as it is started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use tokio::time::Instant;

use crate::cli::Failure;
use crate::cli::demo::stage::Stage;
use crate::exit::Exit;
use crate::model::{ProcessId, Sighting};
use crate::observe::PROC;
use crate::observe::process::Table;

const PROGRAM: &str = "sleep";

/// How many seconds it sleeps. The demonstration takes less.
const LIFE_S: u32 = 30;

/// How long it may take to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);

/// How often it is asked whether it has begun, or ended.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The process. It ends with this value, or with the program that has it, whatever becomes of them.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) id: ProcessId,
    /// The file name of its executable, which may be that of many programs in one.
    pub(super) program: String,
    /// Its argument, which no other process has.
    pub(super) argument: String,
    _keeper: Keeper,
}

impl Orphan {
    /// Starts it as an agent of `stage`'s gateway.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be had on this host, for people.
    pub(super) fn start(stage: &Stage) -> Result<Orphan, String> {
        let argument = format!("{LIFE_S}.{}{}", std::process::id(), stage.clock.now().0);
        let child = spawn(stage, &argument);
        let child = child.map_err(|error| format!("no process can be started: {error}"))?;
        let pid = i32::try_from(child.id()).unwrap_or_default();
        let keeper = Keeper::of(child);
        let (id, program) = begun(pid, &keeper)?;
        Ok(Orphan { id, program, argument, _keeper: keeper })
    }
}

/// Starts this program once more, to become the `sleep`: between its start and that, it leaves the
/// terminal, in which a person might sit, and binds its life to ours.
fn spawn(stage: &Stage, argument: &str) -> io::Result<Child> {
    let (input, _) = UnixStream::pair()?;
    let (output, _) = UnixStream::pair()?;
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    Command::new("/proc/self/exe")
        .args(["demo", "--orphan", argument])
        .env_clear()
        .env("PATH", path)
        .env("HOME", stage.home())
        .env("OPENCLAW_CLI", "1")
        .env("OPENCLAW_STATE_DIR", stage.state_dir())
        .current_dir(stage.workspace())
        .stdin(Stdio::from(OwnedFd::from(input)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::null())
        .spawn()
}

/// What the started program does. Returns only if it fails.
pub(in super::super) fn become_orphan(argument: &str) -> Failure {
    // Should the demonstration have ended before this, the sleep ends by itself.
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    let error = match bound.and_then(|()| setsid()) {
        Ok(_) => Command::new(PROGRAM).arg(argument).exec(),
        Err(error) => error.into(),
    };
    Failure::new(Exit::ActionFailed, format!("failed to become a `{PROGRAM}`: {error}"))
}

/// Waits until the process is no longer this program, and returns what it is.
fn begun(pid: i32, keeper: &Keeper) -> Result<(ProcessId, String), String> {
    let table = Table::new(Path::new(PROC));
    let own = table.exe(i32::try_from(std::process::id()).unwrap_or_default());
    let own = own.map_err(|error| format!("{PROC} does not show this program: {error}"))?;
    let program = |exe: PathBuf| Some(exe.file_name()?.to_str()?.to_owned());
    let started = Instant::now();
    while started.elapsed() < BEGIN_WITHIN && !keeper.is_done() {
        if let (Ok(exe), Sighting::Present { id, .. }) = (table.exe(pid), table.sight(pid))
            && exe != own
            && let Some(program) = program(exe)
        {
            return Ok((id, program));
        }
        thread::sleep(ASK_EVERY);
    }
    Err(format!("no `{PROGRAM}` could be started"))
}

/// Owns the child: reaps it when it ends, so that it does not stay as a zombie, and ends it when
/// nobody wants it any more.
#[derive(Debug)]
struct Keeper {
    /// Dropped to end the child.
    wanted: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn of(child: Child) -> Keeper {
        let (wanted, is_wanted) = channel();
        let thread = thread::spawn(move || keep(child, &is_wanted));
        Keeper { wanted: Some(wanted), thread: Some(thread) }
    }

    /// Returns true if the child has ended.
    fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn keep(mut child: Child, is_wanted: &Receiver<()>) {
    while matches!(child.try_wait(), Ok(None)) {
        if is_wanted.recv_timeout(ASK_EVERY) != Err(RecvTimeoutError::Timeout) {
            // It may have ended just now, which is as good.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.wanted.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
