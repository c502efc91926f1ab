//! Real processes of the tests' own, and hosts that forbid things.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A `sleep` without a terminal and without the process that started it. It ends with the value.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) pid: u32,
    start_ticks: u64,
    /// The other ends of its input and output, where somebody has them.
    ends: Option<[UnixStream; 2]>,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if self.is_alive() {
            let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
        }
    }
}

impl Sleeper {
    /// One that nobody can reach, with this argument, environment and working directory.
    pub(crate) fn orphan(argument: &str, env: &[(String, String)], cwd: &Path) -> Sleeper {
        Sleeper::named("sleep", argument, env, cwd)
    }

    /// The same by another name.
    pub(crate) fn named(
        program: &str,
        argument: &str,
        env: &[(String, String)],
        cwd: &Path,
    ) -> Sleeper {
        let mut sleeper = Sleeper::start(program, argument, env, cwd);
        sleeper.ends = None;
        sleeper
    }

    /// One with which somebody talks.
    pub(crate) fn attached(argument: &str, env: &[(String, String)], cwd: &Path) -> Sleeper {
        Sleeper::start("sleep", argument, env, cwd)
    }

    fn start(program: &str, argument: &str, env: &[(String, String)], cwd: &Path) -> Sleeper {
        // A shell gives no input to what it does not wait for, unless that is put aside first.
        const LAUNCH: &str = r#"exec 3<&0; "$1" "$2" <&3 3<&- 2>/dev/null & echo $! >&2"#;
        let (input, to) = UnixStream::pair().unwrap();
        let (output, from) = UnixStream::pair().unwrap();
        // A terminal, in which a person might sit, keeps everything from being ended.
        let mut shell = Command::new("setsid")
            .args(["sh", "-c", LAUNCH, "sh", program, argument])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(cwd)
            .stdin(Stdio::from(OwnedFd::from(input)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(shell.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let pid: u32 = said.trim().parse().unwrap();
        shell.wait().unwrap();
        let sleeper =
            Sleeper { pid, start_ticks: start_ticks(pid).unwrap(), ends: Some([to, from]) };
        wait_for("a sleep", || texts(pid, "cmdline").last().is_some_and(|last| last == argument));
        wait_for("a sleep", || texts(pid, "cmdline").len() == 2);
        sleeper
    }

    /// What a report calls it.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.pid, self.start_ticks)
    }

    /// The file name of its executable, which may be that of many programs in one.
    pub(crate) fn exe(&self) -> String {
        let exe = fs::read_link(format!("/proc/{}/exe", self.pid)).unwrap();
        exe.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.ends.is_some()
    }

    pub(crate) fn is_alive(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks) && !has_ended(self.pid)
    }
}

/// What follows the name in `/proc/PID/stat`: the state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Returns true if nothing runs under the pid any more.
pub(crate) fn has_ended(pid: u32) -> bool {
    stat(pid).is_none_or(|stat| matches!(stat[0].as_str(), "Z" | "X"))
}

/// The NUL-separated texts of a file in `/proc/PID`.
pub(crate) fn texts(pid: u32, name: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap();
    let texts = bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    texts.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same command where the kernel refuses its socket tables, as it does in a service whose
/// `RestrictAddressFamilies=` lacks `AF_NETLINK`; `None` where that cannot be had.
pub(crate) fn without_netlink(command: &Command) -> Option<Command> {
    const REFUSE: &str = r#"
import ctypes, os, platform, struct, sys
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]  # socket(2)
steps = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, 16),
         (0x06, 0, 0, 0x00050000 | 97), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"#;
    under(&["python3", "-c", REFUSE], command)
}

/// The same command in a network namespace of its own, where no socket of ours can be found;
/// `None` where that cannot be had.
pub(crate) fn without_network(command: &Command) -> Option<Command> {
    let is_root = nix::unistd::geteuid().is_root();
    under(if is_root { &["unshare", "-n"] } else { &["unshare", "-rn"] }, command)
}

/// Runs `command` by another program, which passes on nothing of our environment.
fn under(by: &[&str], command: &Command) -> Option<Command> {
    let with = || {
        let mut with = Command::new(by[0]);
        with.args(&by[1..]);
        with
    };
    if !with().arg("true").output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut with = with();
    with.args(["env", "-i"]);
    for (name, value) in command.get_envs() {
        let mut word = name.to_owned();
        word.push("=");
        word.push(value?);
        with.arg(word);
    }
    with.arg(command.get_program()).args(command.get_args());
    with.current_dir(command.get_current_dir().map_or_else(|| PathBuf::from("/"), Path::to_owned));
    Some(with)
}

/// Beside a gateway in a container, of which nothing can be told, nothing is ended.
pub(crate) fn is_in_the_way(said: &str) -> bool {
    let why = said.lines().find(|line| line.contains("cannot be told whether the gateway runs"));
    why.inspect(|why| skipped(why)).is_some()
}

/// A test that cannot run here says so.
#[expect(clippy::print_stderr, reason = "there is no other way to say it")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
