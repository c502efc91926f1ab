//! Real processes of the tests' own, and hosts that forbid things.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A `sleep` without a terminal. It ends with the value.
#[derive(Debug)]
pub(crate) struct Sleeper {
    child: Child,
    pub(crate) pid: u32,
    /// The other ends of its input and output, where somebody has them.
    ends: Option<[UnixStream; 2]>,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sleeper {
    /// One that nobody can reach, with this argument, environment and working directory.
    pub(crate) fn orphan(argument: &str, env: &[(String, String)], cwd: &Path) -> Sleeper {
        let mut sleeper = Sleeper::attached(argument, env, cwd);
        sleeper.ends = None;
        sleeper
    }

    /// The same, with which somebody talks.
    pub(crate) fn attached(argument: &str, env: &[(String, String)], cwd: &Path) -> Sleeper {
        let (input, to) = UnixStream::pair().unwrap();
        let (output, from) = UnixStream::pair().unwrap();
        // A terminal, in which a person might sit, keeps everything from being ended.
        let child = Command::new("setsid")
            .args(["sleep", argument])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(cwd)
            .stdin(Stdio::from(OwnedFd::from(input)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        wait_for("a sleep", || exe(pid).is_some_and(|exe| exe != "setsid"));
        Sleeper { child, pid, ends: Some([to, from]) }
    }

    /// What a report calls it.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.pid, start_ticks(self.pid).unwrap())
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.ends.is_some()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

fn exe(pid: u32) -> Option<String> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = exe.file_name()?.to_string_lossy().into_owned();
    // Between fork and exec it is still this program.
    let own = std::env::current_exe().unwrap();
    (own.file_name()?.to_string_lossy() != name).then_some(name)
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

/// A test that cannot run here says so.
#[expect(clippy::print_stderr, reason = "there is no other way to say it")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
