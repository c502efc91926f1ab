//! The binary under test beside the gateway of one home.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::Value;

use crate::home::Home;
use crate::process::Process;
use crate::report::Report;
use crate::wait::{pass_time, seconds, until};

/// Thresholds short enough for a test; every policy that repairs by default enforces.
///
/// `after` is longer than any pause between two turns of a busy lane: under load 2026.4.15 leaves a
/// row `running` with an `endedAt` until the next turn of the lane begins.
const CONFIG: &str = "\
interval: 1s
confirm: { looks: 2, gap: 1s }
start_grace: 20s
allow_short: true
policies:
  stale_lane: { mode: enforce, after: 20s, repair: [settle] }
  dead_lock: { mode: enforce, min_age: 1s }
";

/// [`CONFIG`], and agents are ended as soon as they are proven to be orphans.
const REAPER: &str = "\
interval: 1s
confirm: { looks: 2, gap: 1s }
start_grace: 5s
allow_short: true
limits: { actions_per_pass: 50, actions_per_hour: 500 }
policies:
  stale_lane: { mode: enforce, after: 20s, repair: [settle] }
  dead_lock: { mode: enforce, min_age: 1s }
  orphan_process: { mode: enforce, min_age: 1s, term_wait: 3s }
  leaked_process: { mode: observe, after: 1s }
";

/// Laid over `config/unattended.yaml`, which ends agents of every family.
const SHORT: &str = "\
interval: 1s
confirm: { looks: 2, gap: 1s }
start_grace: 5s
allow_short: true
policies:
  dead_lock: { min_age: 1s }
  orphan_process: { min_age: 1s, term_wait: 3s }
  leaked_process: { after: 1s }
";

/// The default, which no test outlasts.
const LONG_GRACE: &str = "start_grace: 6m";

/// Ends while the gateway still recovers: from then on a repair is kept back by the proof alone.
///
/// It covers the moment (24 ms on 2026.5.28) between the gateway's removal of the locks that a killed
/// one left and its mark on their rows, in which nothing on disk tells such a row from a stale one.
const HASTY_GRACE: &str = "start_grace: 8s";

/// What hangs on a live gateway is its own business, unless the user says otherwise.
const LEAKS_STAY: &str = "leaked_process: { mode: observe";

/// Recovery up to 2026.6.x finds its rows through those locks, so they must stay until it has.
const LOCKS_STAY: &str = "dead_lock: { mode: observe";

/// Runs `clawarden` as the gateway's user.
pub(crate) struct Watchdog<'h> {
    home: &'h Home,
    config: &'static str,
    grace_s: u64,
}

impl<'h> Watchdog<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        let in_grace = changed(CONFIG, "start_grace: 20s", LONG_GRACE);
        let hasty = changed(CONFIG, "start_grace: 20s", HASTY_GRACE);
        let hasty = changed(&hasty, "dead_lock: { mode: enforce", LOCKS_STAY);
        let hastier = changed(&hasty, "after: 20s", "after: 5s");
        let eager = changed(REAPER, LEAKS_STAY, "leaked_process: { mode: enforce");
        let configs = [
            ("clawarden", CONFIG),
            ("reaper", REAPER),
            ("eager", &eager),
            ("in-grace", &in_grace),
            ("hasty", &hasty),
            ("hastier", &hastier),
        ];
        for (name, text) in configs {
            fs::write(home.note(name).with_extension("yaml"), text).unwrap();
        }
        Self { home, config: "clawarden", grace_s: 20 }
    }

    /// One that ends orphans, and does not wait for long.
    pub(crate) fn reaper(home: &'h Home) -> Self {
        Self { config: "reaper", grace_s: 5, ..Self::new(home) }
    }

    /// One that ends all it can.
    pub(crate) fn eager(home: &'h Home) -> Self {
        Self { config: "eager", grace_s: 5, ..Self::new(home) }
    }

    /// The shipped configuration for hosts that nobody watches, with short thresholds.
    pub(crate) fn unattended(home: &'h Home) -> Self {
        let folder = home.note("unattended");
        fs::create_dir_all(folder.join("clawarden.d")).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/unattended.yaml");
        fs::copy(shipped, folder.join("clawarden.yaml")).unwrap();
        fs::write(folder.join("clawarden.d/short.yaml"), SHORT).unwrap();
        Self { config: "unattended/clawarden", grace_s: 5, ..Self::new(home) }
    }

    /// One with a configuration of its own, which is kept as `name`.
    pub(crate) fn with(home: &'h Home, name: &'static str, config: &str) -> Self {
        fs::write(home.note(name).with_extension("yaml"), config).unwrap();
        Self { home, config: name, grace_s: 5 }
    }

    /// Lets the grace after a gateway start pass, counted from now.
    pub(crate) fn wait_out_grace(&self) {
        pass_time(seconds(self.grace_s));
    }

    /// One pass.
    #[track_caller]
    pub(crate) fn pass(&self) -> Report {
        Self::report(&self.run(self.config, &["run", "--once", "--json"]))
    }

    /// One pass that says by its exit code what it did.
    #[track_caller]
    pub(crate) fn detailed_pass(&self) -> (Report, Option<i32>) {
        let said = self.run(self.config, &["run", "--once", "--json", "--detailed-exit-code"]);
        (Report::parse(&String::from_utf8_lossy(&said.stdout)), said.status.code())
    }

    /// Every action of the journal.
    #[track_caller]
    pub(crate) fn history(&self) -> Vec<Value> {
        let said = self.run(self.config, &["history", "--actions", "--json"]);
        assert!(said.status.success(), "history: {said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that is on record of backing sessions.
    #[track_caller]
    pub(crate) fn tombstones(&self) -> Vec<Value> {
        let said = self.run(self.config, &["tombstones", "list", "--json"]);
        assert!(said.status.success(), "tombstones: {said:?}");
        let list: Value = serde_json::from_slice(&said.stdout).unwrap();
        list["tombstones"].as_array().unwrap().clone()
    }

    /// What is said about one process.
    #[track_caller]
    pub(crate) fn explain(&self, process: Process) -> String {
        let said = self.run(self.config, &["explain", &process.subject()]);
        assert!(said.status.success(), "explain {}: {said:?}", process.subject());
        String::from_utf8(said.stdout).unwrap()
    }

    /// What a pass would do.
    #[track_caller]
    pub(crate) fn plan(&self) -> Report {
        Self::report(&self.run(self.config, &["plan", "--json"]))
    }

    /// What a pass would do, and why it leaves everything else alone.
    #[track_caller]
    pub(crate) fn plan_of_all(&self) -> Report {
        Self::report(&self.run(self.config, &["plan", "--all", "--json"]))
    }

    /// One pass that finds the gateway freshly started.
    #[track_caller]
    pub(crate) fn pass_in_grace(&self) -> Report {
        let mut command = self.command("in-grace", &["run", "--once", "--json"]);
        Self::report(&self.remember(&mut command, self.config).output().unwrap())
    }

    /// Takes back one action.
    #[track_caller]
    pub(crate) fn undo(&self, action_id: &str) {
        let said = self.run(self.config, &["undo", action_id]);
        assert!(said.status.success(), "undo {action_id}: {said:?}");
    }

    /// Leaves `subject` alone from now on.
    #[track_caller]
    pub(crate) fn protect(&self, subject: &str) {
        let said = self.run(self.config, &["protect", subject, "--for", "1h"]);
        assert!(said.status.success(), "protect {subject}: {said:?}");
    }

    /// Starts the daemon; it reports every pass as a line of `lab/<config>.jsonl`.
    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_of(self.config)
    }

    /// Starts two daemons side by side, each with a state of its own: one with little patience and
    /// one with less.
    pub(crate) fn hasty_daemons(&self) -> [Daemon; 2] {
        ["hasty", "hastier"].map(|config| self.daemon_of(config))
    }

    fn daemon_of(&self, config: &str) -> Daemon {
        let [lines, log] = ["jsonl", "log"].map(|kind| self.home.note(config).with_extension(kind));
        let child = self
            .command(config, &["run", "--json"])
            .stdout(File::create(&lines).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon { child, lines, log, parse: Report::parse }
    }

    fn run(&self, config: &str, args: &[&str]) -> Output {
        self.command(config, args).output().unwrap()
    }

    fn command(&self, config: &str, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_clawarden")]);
        self.home.dress(&mut command).args(args);
        command.arg("--state-dir").arg(self.home.state());
        let file = self.home.note(config).with_extension("yaml");
        command.arg("--config").arg(file);
        self.remember(&mut command, config);
        command
    }

    /// Gives `command` the memory of the watchdog of that configuration.
    fn remember<'c>(&self, command: &'c mut Command, config: &str) -> &'c mut Command {
        command.env("XDG_STATE_HOME", self.home.note(config).with_extension("memory"))
    }

    #[track_caller]
    fn report(said: &Output) -> Report {
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{}\n{text}", String::from_utf8_lossy(&said.stderr));
        Report::parse(&text)
    }
}

#[track_caller]
fn changed(config: &str, from: &str, to: &str) -> String {
    let changed = config.replace(from, to);
    assert_ne!(changed, config);
    changed
}

/// The running daemon; it ends with this value.
pub(crate) struct Daemon {
    child: Child,
    lines: PathBuf,
    log: PathBuf,
    parse: fn(&str) -> Report,
}

impl Daemon {
    /// Bears repairs without effect, after which the next rung is tried.
    pub(crate) fn climbing(mut self) -> Self {
        self.parse = Report::of_a_climb;
        self
    }

    /// Every whole pass so far.
    #[track_caller]
    pub(crate) fn passes(&self) -> Vec<Report> {
        let text = fs::read_to_string(&self.lines).unwrap();
        // The last line may not be whole yet, or may have been cut by a kill.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(self.parse).collect()
    }

    /// Waits for so many more whole passes.
    #[track_caller]
    pub(crate) fn wait_for_passes(&self, count: usize) {
        let before = self.passes().len();
        until("the daemon makes its passes", seconds(300), || {
            (self.passes().len() >= before + count).then_some(())
        });
    }

    /// How often it has done something so far.
    #[track_caller]
    pub(crate) fn actions(&self) -> usize {
        self.passes().iter().map(|pass| pass.acts().len()).sum()
    }

    /// Ends the daemon, which must not have ended by itself; returns every pass it made.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<Report> {
        let log = || fs::read_to_string(&self.log).unwrap();
        assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended: {}", log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.passes()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
