//! Captured states of real gateways, unpacked beside a process table, and the program run on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Every archive in `tests/fixtures`.
pub(crate) const ALL: [&str; 18] = [
    "2026.4.15-a0-hung-live",
    "2026.4.15-a2-after-sigkill",
    "2026.4.15-acp-attached",
    "2026.4.15-acp-killed",
    "2026.4.15-acp-lookalikes",
    "2026.4.15-acp-orphans",
    "2026.4.15-acp-restarted",
    "2026.4.15-b2-acp-hung-live",
    "2026.4.15-b3-acp-after-sigkill",
    "2026.4.15-b4-acp-after-restart",
    "2026.4.15-dead-lock",
    "2026.4.15-z1-stale-status-after-lock-contention",
    "2026.4.15-z2-stale-running-after-queued-run",
    "2026.5.28-d1-after-graceful-sigterm-with-active-run",
    "2026.6.11-after-kill9",
    "2026.7.1-dead-lock",
    "2026.9.6-after-kill9",
    "2026.9.6-seeded-zombies",
];

/// One captured state in a folder of its own.
pub(crate) struct Capture {
    _dir: TempDir,
    /// Holds `home/`, `proc/`, mostly `tmp/`, and our own `own/`.
    pub(crate) root: PathBuf,
    /// The instant that is taken as now.
    pub(crate) now: String,
}

/// How a run of the program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What of a file must not change: mode, modification time in ns, and its bytes.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) mode: u32,
    pub(crate) modified: i128,
    pub(crate) bytes: Vec<u8>,
}

/// Every file of the gateway's, by its path below the capture.
pub(crate) type Contents = BTreeMap<PathBuf, Content>;

/// Compares, and names only the files that differ.
#[track_caller]
pub(crate) fn assert_same(got: &Contents, want: &Contents, what: &str) {
    let paths: BTreeSet<&PathBuf> = got.keys().chain(want.keys()).collect();
    let differs = |path: &&PathBuf| got.get(*path) != want.get(*path);
    let differing: Vec<_> = paths
        .into_iter()
        .filter(differs)
        .map(|path| (path, got.get(path), want.get(path)))
        .collect();
    assert!(differing.is_empty(), "{what}: got and wanted {differing:#?}");
}

/// Compares with `expected/NAME.txt`, and shows the first line that differs.
#[track_caller]
pub(crate) fn assert_text(got: &str, name: &str) {
    let below = format!("tests/it/scenario/expected/{name}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&below);
    let want = fs::read_to_string(&path).unwrap_or_default();
    if got == want {
        return;
    }
    let said = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.replace('/', "-"));
    fs::write(&said, got).unwrap();
    let (said, lines) = (said.display(), || got.lines().zip(want.lines()).enumerate());
    let differs = lines().find(|(_, (got, want))| got != want);
    panic!("{below} is not what was said, which is now in {said}; got and wanted {differs:#?}");
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.len();
        write!(f, "mode {:o}, modified {}, {bytes} bytes", self.mode, self.modified)
    }
}

impl Capture {
    /// Unpacks a state with its file times, and lays out the process table of its moment.
    pub(crate) fn new(name: &str) -> Capture {
        let dir = tempfile::tempdir().unwrap();
        let fixtures = fixtures();
        let archive = fixtures.join(format!("{name}.tar.gz"));
        let tar = Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .args(["--no-same-owner", "-C"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        let root = dir.path().join(name).canonicalize().unwrap();
        let table = fs::read_to_string(fixtures.join("processes.tsv")).unwrap();
        let line = table.lines().find(|line| line.split('\t').next() == Some(name)).unwrap();
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, pid, ticks, alive, btime, now] = fields[..] else { panic!("{line}") };
        let capture = Capture { _dir: dir, root, now: now.to_owned() };
        if !capture.proc_root().exists() {
            capture.host(btime);
            if alive == "yes" {
                capture.process(pid.parse().unwrap(), ticks.parse().unwrap(), "openclaw-gateway");
            }
        }
        capture.take_over();
        capture
    }

    /// The files are those of whoever unpacks them, so the processes must be, too.
    fn take_over(&self) {
        let uid = fs::metadata(&self.root).unwrap().uid();
        let ids = fs::read_dir(self.proc_root()).unwrap().map(|entry| entry.unwrap().path());
        for path in ids.map(|process| process.join("status")).filter(|path| path.exists()) {
            let status = fs::read_to_string(&path).unwrap();
            let ours = format!("\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
            fs::write(path, status.replace("\nUid:\t0\t0\t0\t0\n", &ours)).unwrap();
        }
    }

    /// Puts a configuration into use.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.root.join("own/config/clawarden");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("clawarden.yaml"), text).unwrap();
    }

    fn host(&self, btime: &str) {
        let random = self.proc_root().join("sys/kernel/random");
        fs::create_dir_all(&random).unwrap();
        fs::write(random.join("boot_id"), "c39a1c0c-337c-45f5-81c9-f7df3d70d33e\n").unwrap();
        fs::write(self.proc_root().join("stat"), format!("btime {btime}\n")).unwrap();
    }

    /// Puts a live process into the table.
    pub(crate) fn process(&self, pid: i32, start_ticks: u64, title: &str) {
        let dir = self.proc_root().join(pid.to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("cmdline"), title).unwrap();
        let comm: String = title.chars().take(15).collect();
        let stat = format!(
            "{pid} ({comm}) S 1 {pid} {pid} 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {start_ticks} 0 0 0\n"
        );
        fs::write(dir.join("stat"), stat).unwrap();
        let status = format!(
            "Name:\t{comm}\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\n\
             TracerPid:\t0\nUid:\t0\t0\t0\t0\nNSpid:\t{pid}\n"
        );
        fs::write(dir.join("status"), status).unwrap();
    }

    pub(crate) fn proc_root(&self) -> PathBuf {
        self.root.join("proc")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.root.join("home/.openclaw")
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.state_dir().join("agents/main/sessions")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.sessions().join("sessions.json")
    }

    /// The program with this state, its processes and its moment, and nothing of our environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_on(&self.state_dir(), args)
    }

    /// The same with another state directory.
    pub(crate) fn command_on(&self, state_dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clawarden"));
        command
            .args(args)
            .arg("--proc-root")
            .arg(self.proc_root())
            .arg("--state-dir")
            .arg(state_dir)
            .env_clear()
            .env("HOME", self.root.join("home"))
            .env("TMPDIR", self.root.join("tmp"))
            .env("XDG_CONFIG_HOME", self.root.join("own/config"))
            .env("XDG_STATE_HOME", self.root.join("own/state"))
            .env("CLAWARDEN_NOW", &self.now);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args))
    }

    /// Runs the program and returns its report on standard output.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).json()
    }

    /// Text with this capture's folder written as `~`.
    /// The files of our own state whose names begin so.
    pub(crate) fn own_files(&self, begin: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.root.join("own")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if name.starts_with(begin) {
                    found.push(path);
                }
            }
        }
        found
    }

    pub(crate) fn redacted(&self, text: &str) -> String {
        text.replace(&*self.root.to_string_lossy(), "~")
    }

    /// Sets the time of a file back to an hour before the capture's now.
    pub(crate) fn age(&self, path: &Path) {
        let now: jiff::Timestamp = self.now.parse().unwrap();
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified((now - jiff::SignedDuration::from_hours(1)).into()).unwrap();
    }

    pub(crate) fn contents(&self) -> Contents {
        let mut found = Contents::new();
        for part in ["home", "tmp"] {
            walk(&self.root.join(part), &self.root, &mut found);
        }
        found
    }
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Ran {
        Ran::from(command.output().unwrap())
    }

    /// Parses standard output, which must be one JSON object on a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A verdict of a JSON report as `decision code subject`, the subject's file name for a lock.
pub(crate) fn verdicts(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let line = |verdict: &Value| {
        let id = text(&verdict["subject"]["id"]);
        let id = match text(&verdict["subject"]["kind"]).as_str() {
            "lock" => Path::new(&id).file_name().unwrap().to_string_lossy().into_owned(),
            _ => id,
        };
        format!("{} {} {id}", text(&verdict["decision"]), text(&verdict["reason"]["code"]))
    };
    report["verdicts"].as_array().unwrap().iter().map(line).collect()
}

/// The verdicts of a JSON report that are about what may be repaired: what is recorded of backing
/// sessions changes nothing, and of tasks one is only told.
pub(crate) fn of_others(report: &Value) -> Vec<String> {
    let is_record = |line: &String| {
        ["act backing_seen ", "act backing_changed "].iter().any(|words| line.starts_with(words))
    };
    let is_task = |verdict: &Value| verdict["policy"] == "zombie_task";
    let policies = report["verdicts"].as_array().unwrap().iter();
    let lines = verdicts(report).into_iter().zip(policies.map(is_task));
    lines.filter(|(line, is_task)| !is_task && !is_record(line)).map(|(line, _)| line).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn walk(dir: &Path, root: &Path, into: &mut Contents) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            walk(&path, root, into);
            continue;
        }
        let bytes = if meta.is_file() {
            fs::read(&path).unwrap()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_owned()
        } else {
            Vec::new()
        };
        let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let mode = meta.permissions().mode();
        into.insert(path.strip_prefix(root).unwrap().into(), Content { mode, modified, bytes });
    }
}
