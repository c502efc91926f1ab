//! The made-up state directories, and the process table of the first.
//!
//! Rows, locks and process files are laid out as those of a real 2026.4.15, with times moved so
//! that they end now.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::SHIPPED;
use crate::model::UnixMillis;
use crate::observe::{PROC, Variables};

/// Pid and start of the made-up gateway, and of the killed command-line run.
const GATEWAY: (i32, u64) = (4711, 25_200_000);
const KILLED: (i32, u64) = (40_112, 25_900_000);

/// Clock ticks per second of the made-up table.
const TICKS: u64 = 100;

const HOUR: u64 = 3_600;

/// Everything that one state directory of the demonstration needs, in one temporary folder.
pub(super) struct Stage {
    root: PathBuf,
    now: UnixMillis,
    /// Where processes are looked at.
    pub(super) proc_root: PathBuf,
    /// The clock of its judgements.
    pub(super) clock: Clock,
}

/// Makes an empty folder that nobody else may look into.
fn folder(name: &str, now: UnixMillis) -> io::Result<PathBuf> {
    let name = format!("clawarden-demo-{name}-{}-{:x}", std::process::id(), now.0);
    let root = std::env::temp_dir().join(name);
    fs::DirBuilder::new().mode(0o700).create(&root)?;
    root.canonicalize()
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed is a small folder below the system's own temporary one.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Stage {
    /// A gateway that runs, and its processes, as they are at `now`.
    pub(super) fn restarted(now: UnixMillis) -> io::Result<Stage> {
        let root = folder("restarted", now)?;
        let (proc_root, clock) = (root.join("proc"), Clock::Frozen(now));
        let stage = Stage { root, now, proc_root, clock };
        stage.configure(SHIPPED[0].1)?;
        stage.state()?;
        stage.processes()?;
        Ok(stage)
    }

    /// A gateway that does not run any more, beside the processes of this host.
    pub(super) fn crashed() -> io::Result<Stage> {
        let now = Clock::Wall.now();
        let root = folder("crashed", now)?;
        let stage = Stage { root, now, proc_root: PROC.into(), clock: Clock::Wall };
        fs::create_dir_all(stage.workspace())?;
        stage.write(&stage.state_dir().join("agents/main/sessions/sessions.json"), "{}\n", 0)?;
        // Nobody listens on it, whatever other gateways there are.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = format!("{{ \"gateway\": {{ \"mode\": \"local\", \"port\": {port} }} }}\n");
        stage.write(&stage.state_dir().join("openclaw.json"), &config, 0)?;
        Ok(stage)
    }

    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.home().join(".openclaw")
    }

    /// Where the agents of its gateway work.
    pub(super) fn workspace(&self) -> PathBuf {
        self.state_dir().join("workspace")
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.root.join("clawarden.yaml")
    }

    /// Writes the configuration of its watchdog.
    pub(super) fn configure(&self, yaml: &str) -> io::Result<()> {
        fs::write(self.configuration(), yaml)
    }

    pub(super) fn own_state(&self) -> PathBuf {
        self.root.join("own")
    }

    /// The environment of the made-up gateway's user.
    pub(super) fn env(&self) -> Variables {
        let (home, tmp) = (self.home(), self.root.join("tmp"));
        Box::new(move |name| match name {
            "HOME" => Some(home.to_string_lossy().into_owned()),
            "TMPDIR" => Some(tmp.to_string_lossy().into_owned()),
            _ => None,
        })
    }

    fn ago(&self, seconds: u64) -> UnixMillis {
        self.now.minus(Duration::from_secs(seconds))
    }

    /// The boot that makes the gateway two hours old.
    fn booted_at(&self) -> UnixMillis {
        let boot = self.ago(GATEWAY.1 / TICKS + 2 * HOUR);
        UnixMillis(boot.0 / 1000 * 1000)
    }

    fn state(&self) -> io::Result<()> {
        let config = self.state_dir().join("openclaw.json");
        self.write(&config, r#"{ "gateway": { "mode": "local" } }"#, 0)?;
        let sessions = self.state_dir().join("agents/main/sessions");
        self.write(&sessions.join("sessions.json"), &self.store(), 60)?;
        for (session, age) in [("stale", 26 * HOUR), ("nightly", 40 * 60), ("busy", 5)] {
            self.write(
                &sessions.join(format!("{session}.jsonl")),
                "{\"type\":\"session\"}\n",
                age,
            )?;
        }
        let lock = |(pid, ticks): (i32, u64), age| {
            let at = self.ago(age);
            format!(
                "{{\n  \"pid\": {pid},\n  \"createdAt\": \"{at}\",\n  \"starttime\": {ticks}\n}}"
            )
        };
        self.write(&sessions.join("nightly.jsonl.lock"), &lock(KILLED, 40 * 60), 40 * 60)?;
        self.write(&sessions.join("busy.jsonl.lock"), &lock(GATEWAY, 5 * 60), 5 * 60)?;
        self.gateway_lock(&config)
    }

    fn store(&self) -> String {
        let row = |session: &str, status: &str, started: u64, end: &str| {
            let started = self.ago(started).0;
            format!(
                "{{\n    \"sessionId\": \"{session}\",\n    \"updatedAt\": {started},\n    \
                 \"status\": \"{status}\",\n    \"startedAt\": {started}{end},\n    \
                 \"abortedLastRun\": false\n  }}"
            )
        };
        let end = self.ago(3 * HOUR).0;
        let ended = format!(",\n    \"endedAt\": {end},\n    \"runtimeMs\": 4000");
        format!(
            "{{\n  \"agent:main:main\": {},\n  \"agent:main:telegram\": {},\n  \
             \"agent:main:nightly\": {}\n}}\n",
            row("busy", "running", 5 * 60, ""),
            row("stale", "running", 26 * HOUR, ""),
            row("nightly", "done", 3 * HOUR + 4, &ended),
        )
    }

    fn gateway_lock(&self, config: &Path) -> io::Result<()> {
        use sha2::{Digest, Sha256};
        let config = config.to_string_lossy();
        let hash = Sha256::digest(config.as_bytes());
        let name: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let uid = nix::unistd::geteuid();
        let folder = self.root.join("tmp").join(format!("openclaw-{uid}"));
        let (pid, ticks) = GATEWAY;
        let at = self.ago(2 * HOUR - 2);
        let payload = serde_json::json!({
            "pid": pid, "createdAt": at.to_string(), "configPath": config, "startTime": ticks,
        });
        self.write(&folder.join(format!("gateway.{name}.lock")), &payload.to_string(), 0)
    }

    fn processes(&self) -> io::Result<()> {
        let proc = &self.proc_root;
        let btime = self.booted_at().0 / 1000;
        self.write(&proc.join("stat"), &format!("cpu 0 0 0 0\nbtime {btime}\n"), 0)?;
        self.write(&proc.join("sys/kernel/random/boot_id"), "00000000-demo\n", 0)?;
        let (pid, ticks) = GATEWAY;
        let of = proc.join(pid.to_string());
        let stat = format!(
            "{pid} (openclaw-gatewa) S 1 {pid} {pid} 0 -1 4194560 0 0 0 0 9 3 0 0 20 0 11 0 \
             {ticks} 0 0\n"
        );
        let uid = nix::unistd::geteuid();
        let status = format!(
            "Name:\topenclaw-gatewa\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\n\
             Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}\n"
        );
        self.write(&of.join("stat"), &stat, 0)?;
        self.write(&of.join("status"), &status, 0)?;
        self.write(&of.join("cmdline"), "openclaw-gateway\0", 0)
    }

    /// Writes a file that is `age` seconds old, and the folders above it.
    fn write(&self, path: &Path, text: &str, age: u64) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
        let millis = u64::try_from(self.ago(age).0).unwrap_or_default();
        let at = std::time::UNIX_EPOCH + Duration::from_millis(millis);
        fs::File::options().write(true).open(path)?.set_modified(at)
    }
}
