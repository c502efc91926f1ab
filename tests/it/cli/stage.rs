//! A state directory, a captured process table and the real program on them.
//!
//! Rows, locks and process files are those of a 2026.4.15. Times are relative to the start of
//! the test: a store without a lock is judged by the wall clock too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use clawarden::clock::Clock;
use clawarden::model::UnixMillis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Pid and start ticks of the gateway, two hours old, and of a dead process.
pub(crate) const GATEWAY: (i32, u64) = (4711, 25_200_000);
pub(crate) const DEAD: (i32, u64) = (40_112, 25_900_000);
const TICKS_PER_S: u64 = 100;

/// The lane that is stale on [`Stage::with_stale_lane`].
pub(crate) const STALE: &str = "agent:main:telegram";

/// The lane that is only locked on [`Stage::with_locked_lane`].
pub(crate) const LOCKED: &str = "agent:main:nightly";

/// Everything one run of the program looks at.
pub(crate) struct Stage {
    root: TempDir,
    /// The instant of every judgement, unless a command says otherwise.
    pub(crate) now: UnixMillis,
}

impl Stage {
    /// A healthy gateway with one healthy lane.
    pub(crate) fn healthy() -> Stage {
        let stage = Stage { root: tempfile::tempdir().unwrap(), now: Clock::Wall.now() };
        stage.gateway(GATEWAY.0, GATEWAY.1, 2 * HOUR);
        stage.captured_gateway();
        stage.rows(&[("agent:main:main", row("busy", "done", &stage, HOUR))]);
        stage
    }

    /// [`Stage::healthy`], and a lane that says running since before the gateway's start.
    pub(crate) fn with_stale_lane() -> Stage {
        let stage = Stage::healthy();
        stage.stale_lane();
        stage
    }

    /// [`Stage::healthy`], and a lock of a dead process.
    pub(crate) fn with_dead_lock() -> Stage {
        let stage = Stage::healthy();
        stage.dead_lock();
        stage
    }

    /// [`Stage::with_dead_lock`], on the transcript of a lane whose row says `done`.
    pub(crate) fn with_locked_lane() -> Stage {
        let stage = Stage::with_dead_lock();
        stage.rows(&[(LOCKED, row("nightly", "done", &stage, HOUR))]);
        stage
    }

    /// Adds the stale lane.
    pub(crate) fn stale_lane(&self) {
        let rows = [
            ("agent:main:main", row("busy", "done", self, HOUR)),
            (STALE, row("stale", "running", self, 26 * HOUR)),
        ];
        self.rows(&rows);
        self.write(&self.sessions().join("stale.jsonl"), "{\"type\":\"session\"}\n", 26 * HOUR);
    }

    /// Adds the dead lock.
    pub(crate) fn dead_lock(&self) {
        self.write(&self.lock(), &self.lock_text(DEAD, 40 * MINUTE), 40 * MINUTE);
    }

    /// What a lock says that such a process took `age_s` seconds ago.
    pub(crate) fn lock_text(&self, (pid, ticks): (i32, u64), age_s: u64) -> String {
        let at = self.ago(age_s);
        format!("{{\n  \"pid\": {pid},\n  \"createdAt\": \"{at}\",\n  \"starttime\": {ticks}\n}}")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("home/.openclaw")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.state_dir().join("agents/main/sessions")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.sessions().join("sessions.json")
    }

    /// The lock that is dead on [`Stage::with_dead_lock`].
    pub(crate) fn lock(&self) -> PathBuf {
        self.sessions().join("nightly.jsonl.lock")
    }

    /// A path in the stage's own folder, existing or not.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Clawarden's own folder for this state directory. It must have run.
    pub(crate) fn own_dir(&self) -> PathBuf {
        let mut watches = fs::read_dir(self.path("own/clawarden")).unwrap();
        watches.next().unwrap().unwrap().path()
    }

    /// Returns the instant `seconds` before now.
    pub(crate) fn ago(&self, seconds: u64) -> UnixMillis {
        self.now.minus(Duration::from_secs(seconds))
    }

    /// The program, not yet started, on the captured process table.
    pub(crate) fn clawarden(&self, args: &[&str]) -> Command {
        let mut command = self.live(args);
        command.arg("--proc-root").arg(self.path("proc"));
        command.env("CLAWARDEN_NOW", self.now.to_string());
        command
    }

    /// The same on the processes and the clock of this host.
    pub(crate) fn live(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clawarden"));
        command.env_clear().envs(self.env()).args(args).current_dir(self.root.path());
        command
    }

    /// The environment of the gateway's user.
    pub(crate) fn env(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("HOME", self.path("home")),
            ("TMPDIR", self.path("tmp")),
            ("XDG_STATE_HOME", self.path("own")),
        ]
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.clawarden(args))
    }

    /// Runs the program `later` than now.
    pub(crate) fn run_later(&self, later: Duration, args: &[&str]) -> Ran {
        let now = self.now.plus(later).to_string();
        ran(self.clawarden(args).env("CLAWARDEN_NOW", now))
    }

    /// The names in the sessions folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.sessions()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Writes the configuration file that a run finds.
    pub(crate) fn configure(&self, yaml: &str) {
        self.write(&self.user_config(), yaml, 0);
    }

    pub(crate) fn user_config(&self) -> PathBuf {
        self.path("home/.config/clawarden/clawarden.yaml")
    }

    #[expect(clippy::disallowed_methods, reason = "the test plays the gateway")]
    pub(crate) fn remove(&self, path: &Path) {
        fs::remove_file(path).unwrap();
    }

    /// Writes the gateway's lock and configuration.
    pub(crate) fn gateway(&self, pid: i32, ticks: u64, age_s: u64) {
        let config = self.state_dir().join("openclaw.json");
        self.write(&config, r#"{ "gateway": { "mode": "local" } }"#, 0);
        let config = config.to_string_lossy();
        let hash = Sha256::digest(config.as_bytes());
        let name: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = self.path("tmp").join(format!("openclaw-{}", nix::unistd::geteuid()));
        let payload = json!({
            "pid": pid,
            "createdAt": self.ago(age_s.saturating_sub(2)).to_string(),
            "configPath": config,
            "startTime": ticks,
        });
        self.write(&folder.join(format!("gateway.{name}.lock")), &payload.to_string(), 0);
    }

    fn captured_gateway(&self) {
        let proc = self.path("proc");
        let (pid, ticks) = GATEWAY;
        let btime = self.ago(ticks / TICKS_PER_S + 2 * HOUR).0 / 1000;
        self.write(&proc.join("stat"), &format!("cpu 0 0 0 0\nbtime {btime}\n"), 0);
        self.write(&proc.join("sys/kernel/random/boot_id"), "00000000-test\n", 0);
        let stat = format!(
            "{pid} (openclaw-gatewa) S 1 {pid} {pid} 0 -1 4194560 0 0 0 0 9 3 0 0 20 0 11 0 \
             {ticks} 0 0\n"
        );
        let uid = nix::unistd::geteuid();
        let status = format!(
            "Name:\topenclaw-gatewa\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\n\
             Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}\n"
        );
        let of = proc.join(pid.to_string());
        self.write(&of.join("stat"), &stat, 0);
        self.write(&of.join("status"), &status, 0);
        self.write(&of.join("cmdline"), "openclaw-gateway\0", 0);
    }

    /// Writes the store, a minute old. Numbers and order are as written.
    fn rows(&self, rows: &[(&str, Value)]) {
        let rows: serde_json::Map<String, Value> =
            rows.iter().map(|(key, row)| ((*key).to_owned(), row.clone())).collect();
        let text = serde_json::to_string_pretty(&rows).unwrap();
        self.write(&self.store(), &format!("{text}\n"), MINUTE);
    }

    /// Writes a file that is `age_s` seconds old, and the folders above it.
    pub(crate) fn write(&self, path: &Path, text: &str, age_s: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let at = Duration::from_millis(u64::try_from(self.ago(age_s).0).unwrap());
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
    }
}

fn row(session: &str, status: &str, stage: &Stage, age_s: u64) -> Value {
    let started = stage.ago(age_s).0;
    let mut row = json!({
        "sessionId": session,
        "updatedAt": started,
        "status": status,
        "startedAt": started,
        "abortedLastRun": false,
    });
    if status == "done" {
        row["endedAt"] = json!(started + 4_000);
        row["runtimeMs"] = json!(4_000);
    }
    row
}

/// A run of the program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` if it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Ran {
    /// Expects an exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output as one JSON object.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value = serde_json::from_str(&self.stdout);
        value.unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Standard output as JSON Lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
