//! A process that is an orphan on purpose.
//!
//! It is a `sleep` with the environment and the working directory of an agent of a made-up
//! gateway. Whoever started it has ended, and nobody has the other ends of its input and output.
//!
//! A real orphan outlives whoever made it. This one has a guardian: this program once more, which
//! starts it, and ends it as soon as the demonstration has ended, however that ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setsid};
use tokio::time::Instant;

use crate::cli::Failure;
use crate::cli::demo::stage::Stage;
use crate::exit::Exit;
use crate::model::{ProcessId, Sighting};
use crate::observe::PROC;
use crate::observe::process::Table;

/// How many seconds it sleeps. The demonstration takes less.
const LIFE_S: u32 = 30;

/// Starts the process and ends before it. A shell gives no input to what it does not wait for,
/// unless that is put aside first.
const LAUNCH: &str = r#"exec 3<&0; sleep "$1" <&3 3<&- 2>/dev/null & echo $! >&2"#;

/// How long the process may take to begin.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked at until then.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Longest answer of a guardian or a shell: a pid.
const ANSWER_BYTES_MAX: u64 = 32;

/// The process. It ends with this value, or with the program that has it.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) id: ProcessId,
    /// The file name of its executable, which may be that of many programs in one.
    pub(super) program: String,
    /// Its argument, which no other process has.
    pub(super) argument: String,
    _guardian: Guardian,
}

impl Orphan {
    /// Starts it as an agent of `stage`'s gateway.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be had on this host, for people.
    pub(super) fn start(stage: &Stage) -> Result<Orphan, String> {
        let argument = format!("{LIFE_S}.{}{}", std::process::id(), stage.clock.now().0);
        let guardian = Guardian::start(stage, &argument);
        let mut guardian =
            guardian.map_err(|error| format!("no process can be started: {error}"))?;
        let pid = guardian.answer().ok_or("no `sleep` could be started")?;
        let table = Table::new(Path::new(PROC));
        let exe = table.exe(pid).ok();
        let program = exe.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        match (table.sight(pid), program) {
            (Sighting::Present { id, .. }, Some(program)) => {
                Ok(Orphan { id, program: program.to_owned(), argument, _guardian: guardian })
            }
            _ => Err(format!("{PROC} does not show the process")),
        }
    }
}

/// The process that starts the orphan, and ends it when its input is closed.
#[derive(Debug)]
struct Guardian(Child);

impl Guardian {
    fn start(stage: &Stage, argument: &str) -> io::Result<Guardian> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let child = Command::new("/proc/self/exe")
            .args(["demo", "--orphan", argument])
            .env_clear()
            .env("PATH", path)
            .env("HOME", stage.home())
            .env("OPENCLAW_CLI", "1")
            .env("OPENCLAW_STATE_DIR", stage.state_dir())
            .current_dir(stage.workspace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Guardian(child))
    }

    /// Waits for the pid of the process; `None` if there is none.
    fn answer(&mut self) -> Option<i32> {
        number(self.0.stdout.take()?)
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn number(from: impl Read) -> Option<i32> {
    let mut line = String::new();
    BufReader::new(from.take(ANSWER_BYTES_MAX)).read_line(&mut line).ok()?;
    line.trim().parse().ok()
}

/// What the guardian does.
pub(in super::super) fn guard(argument: &str) -> Result<Exit, Failure> {
    let failed = |what: &str, error: io::Error| {
        Failure::new(Exit::ActionFailed, format!("failed to {what}: {error}"))
    };
    // A terminal, in which a person might sit, keeps everything from being ended. It fails only
    // where there is none.
    let _ = setsid();
    let pid = launch(argument).map_err(|error| failed("start a `sleep`", error))?;
    let number = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData);
    let held = number
        .and_then(|number| pidfd_open(number, PidfdFlags::empty()).map_err(|error| error.kind()));
    let held = held.map_err(|error| failed("hold the `sleep`", error.into()))?;
    // What is held from here on is what was started: nothing else has its argument.
    wait_for(pid, argument).map_err(|error| failed("start a `sleep`", error))?;
    let mut out = io::stdout();
    if writeln!(out, "{pid}").and_then(|()| out.flush()).is_ok() {
        // Nothing is ever written; this is the end of whoever started us.
        let _ = io::stdin().read(&mut [0]);
    }
    #[expect(clippy::disallowed_methods, reason = "its own process, held since its start")]
    let _ = pidfd_send_signal(held, Signal::KILL);
    Ok(Exit::Success)
}

/// Starts the process and returns its pid. When this returns, its parent has ended.
fn launch(argument: &str) -> io::Result<i32> {
    let (input, _) = UnixStream::pair()?;
    let (output, _) = UnixStream::pair()?;
    let mut shell = Command::new("sh")
        .args(["-c", LAUNCH, "sh", argument])
        .stdin(Stdio::from(OwnedFd::from(input)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = shell.stderr.take().and_then(number);
    shell.wait()?;
    pid.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Waits until the process is what it is to become.
fn wait_for(pid: i32, argument: &str) -> io::Result<()> {
    let wanted = format!("sleep\0{argument}\0");
    let begun = Instant::now();
    while begun.elapsed() < BEGIN_WITHIN {
        if std::fs::read(format!("{PROC}/{pid}/cmdline"))? == wanted.as_bytes() {
            return Ok(());
        }
        thread::sleep(LOOK_EVERY);
    }
    Err(io::ErrorKind::TimedOut.into())
}
