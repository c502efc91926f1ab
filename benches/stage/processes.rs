//! Processes: captured ones, idle ones, and one that a gateway cannot be told from.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::State;
use super::agents::{Pair, Programs};
use crate::measure::floor;

/// The title of a gateway, which is all that its command line is.
const TITLE: &str = "openclaw-gateway";
/// Where the programs of its agents are, in its `TMPDIR`.
const PROGRAMS: &str = "programs";
/// The gateway of a captured table: pid and start ticks.
pub(crate) const CAPTURED_GATEWAY: (u32, u64) = (4999, 4242);

/// Captures a table of `count` idle processes and a gateway that listens on `port`.
pub(crate) fn capture(root: &Path, count: u32, state_dir: &Path, port: u16) {
    for number in 1..=count {
        captured(root, number + 1000, "sleep", b"sleep\x003600\0");
    }
    let (pid, _) = CAPTURED_GATEWAY;
    captured(root, pid, TITLE, TITLE.as_bytes());
    let folder = root.join(pid.to_string());
    fs::write(folder.join("environ"), format!("OPENCLAW_STATE_DIR={}\0", state_dir.display()))
        .unwrap();
    fs::create_dir(folder.join("fd")).unwrap();
    for descriptor in 0..60 {
        symlink(
            format!("socket:[{}]", 77_000 + descriptor),
            folder.join(format!("fd/{descriptor}")),
        )
        .unwrap();
    }
    fs::create_dir(folder.join("net")).unwrap();
    let row = format!(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
         0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77007 1\n"
    );
    fs::write(folder.join("net/tcp"), row).unwrap();
    fs::write(root.join("stat"), "btime 1795000000\n").unwrap();
}

fn captured(root: &Path, pid: u32, name: &str, cmdline: &[u8]) {
    let folder = root.join(pid.to_string());
    fs::create_dir_all(&folder).unwrap();
    let rest = "0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4242 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1";
    let stat = format!("{pid} ({name}) S 1 {pid} {pid} {rest} 1 1 1 1 1 1 1 1 1 1\n");
    fs::write(folder.join("stat"), stat).unwrap();
    fs::write(folder.join("cmdline"), cmdline).unwrap();
}

/// Children that do nothing until this is dropped, or we end in any way.
pub(crate) struct Idle {
    held: Option<PipeWriter>,
    children: Vec<Child>,
}

impl Idle {
    pub(crate) fn start(count: usize) -> Idle {
        let (end, held) = std::io::pipe().unwrap();
        let start = |end: PipeReader| Command::new("cat").stdin(end).spawn().unwrap();
        let children = (0..count).map(|_| start(end.try_clone().unwrap())).collect();
        Idle { held: Some(held), children }
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.children.iter().map(Child::id)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.held = None;
        self.children.iter_mut().for_each(|child| drop(child.wait()));
    }
}

/// A process with title, environment, lock, databases and port of a gateway of 2026.7.1. It starts
/// as many agents as a byte of its standard input says, and ends when that does.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
    /// Its `TMPDIR`, which has its lock.
    pub(crate) tmp: PathBuf,
}

impl Gateway {
    /// Starts one for `state_dir`, which may not exist yet.
    pub(crate) fn start(state_dir: &Path, tmp: PathBuf) -> Gateway {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg0(TITLE)
            .env("OPENCLAW_STATE_DIR", state_dir)
            .env("TMPDIR", &tmp)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = [0; 2];
        child.stdout.as_mut().unwrap().read_exact(&mut port).unwrap();
        let gateway = Gateway { child, port: u16::from_be_bytes(port), tmp };
        gateway.lock(&state_dir.join("openclaw.json"));
        gateway
    }

    /// Returns pid and start ticks.
    pub(crate) fn id(&self) -> (u32, u64) {
        let pid = self.child.id();
        (pid, floor::stat(Path::new("/proc"), pid).unwrap())
    }

    /// Makes it start adapters with one `claude` each.
    pub(crate) fn start_agents(&mut self, pairs: u8) {
        Programs::install(self.tmp.join(PROGRAMS));
        self.child.stdin.as_mut().unwrap().write_all(&[pairs]).unwrap();
        self.child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    fn lock(&self, config: &Path) {
        let folder = self.tmp.join(format!("openclaw-{}", rustix::process::geteuid().as_raw()));
        fs::create_dir_all(&folder).unwrap();
        let hash = Sha256::digest(config.as_os_str().as_encoded_bytes());
        let name: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let (pid, ticks) = self.id();
        let text = format!(
            r#"{{"pid":{pid},"createdAt":"2026-11-20T07:29:30.010Z","configPath":"{}","startTime":{ticks},"port":{}}}"#,
            config.display(),
            self.port
        );
        fs::write(folder.join(format!("gateway.{name}.lock")), text).unwrap();
    }

    /// Plays the gateway if that is what this process was started for; never returns then.
    pub(crate) fn play() -> bool {
        if std::env::args_os().next().is_none_or(|title| title != TITLE) {
            return false;
        }
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _others: Vec<File> = (0..60).map(|_| File::open("/dev/null").unwrap()).collect();
        let dir = PathBuf::from(std::env::var_os("OPENCLAW_STATE_DIR").unwrap());
        let [state, workspace] = ["state", "workspace"].map(|name| dir.join(name));
        for folder in [&state, &workspace] {
            fs::create_dir_all(folder).unwrap();
        }
        let db = Connection::open(state.join("openclaw.sqlite")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode=WAL;
             CREATE TABLE IF NOT EXISTS task_runs (
                 owner_key TEXT, child_session_key TEXT, requester_session_key TEXT, status TEXT);
             PRAGMA user_version=1;",
        )
        .unwrap();
        let port = socket.local_addr().unwrap().port();
        std::io::stdout().write_all(&port.to_be_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
        std::thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\n");
            }
        });
        let programs = Programs::at(std::env::temp_dir().join(PROGRAMS));
        let mut pairs: Vec<Pair> = Vec::new();
        let mut more = [0];
        while std::io::stdin().read_exact(&mut more).is_ok() {
            pairs.extend((0..more[0]).map(|_| programs.pair(&workspace)));
            std::io::stdout().write_all(&more).unwrap();
            std::io::stdout().flush().unwrap();
        }
        true
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.stdin = None;
        let _ = self.child.wait();
    }
}

/// Makes the large state directory of a gateway that runs.
pub(crate) fn large(root: &Path) -> (Gateway, State) {
    let dir = root.join("home/.openclaw");
    fs::create_dir_all(&dir).unwrap();
    let gateway = Gateway::start(&dir, root.join("tmp"));
    let state = State::large(dir, gateway.port, gateway.id());
    (gateway, state)
}
