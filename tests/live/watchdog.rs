//! The binary under test beside the gateway of one home.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output};

use crate::home::Home;
use crate::report::Report;
use crate::wait::{pass_time, seconds};

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

/// The default, which no test outlasts.
const LONG_GRACE: &str = "start_grace: 6m";

/// Ends while the gateway still recovers: from then on a repair is kept back by the proof alone.
///
/// It covers the moment (24 ms on 2026.5.28) between the gateway's removal of the locks that a killed
/// one left and its mark on their rows, in which nothing on disk tells such a row from a stale one.
const HASTY_GRACE: &str = "start_grace: 8s";

/// Recovery up to 2026.6.x finds its rows through those locks, so they must stay until it has.
const LOCKS_STAY: &str = "dead_lock: { mode: observe";

/// Runs `clawarden` as the gateway's user.
pub(crate) struct Watchdog<'h> {
    home: &'h Home,
}

impl<'h> Watchdog<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        let in_grace = changed(CONFIG, "start_grace: 20s", LONG_GRACE);
        let hasty = changed(CONFIG, "start_grace: 20s", HASTY_GRACE);
        let hasty = changed(&hasty, "dead_lock: { mode: enforce", LOCKS_STAY);
        let hastier = changed(&hasty, "after: 20s", "after: 5s");
        let lab = home.path().join("lab");
        let configs = [
            ("clawarden", CONFIG),
            ("in-grace", &in_grace),
            ("hasty", &hasty),
            ("hastier", &hastier),
        ];
        for (name, text) in configs {
            fs::write(lab.join(name).with_extension("yaml"), text).unwrap();
        }
        Self { home }
    }

    /// Lets the grace after a gateway start pass, counted from now.
    pub(crate) fn wait_out_grace(&self) {
        pass_time(seconds(20));
    }

    /// One pass.
    #[track_caller]
    pub(crate) fn pass(&self) -> Report {
        Self::report(&self.run("clawarden.yaml", &["run", "--once", "--json"]))
    }

    /// One pass that finds the gateway freshly started.
    #[track_caller]
    pub(crate) fn pass_in_grace(&self) -> Report {
        Self::report(&self.run("in-grace.yaml", &["run", "--once", "--json"]))
    }

    /// Takes back one action.
    #[track_caller]
    pub(crate) fn undo(&self, action_id: &str) {
        let said = self.run("clawarden.yaml", &["undo", action_id]);
        assert!(said.status.success(), "undo {action_id}: {said:?}");
    }

    /// Starts the daemon; it reports every pass as a line of `lab/clawarden.jsonl`.
    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_of("clawarden")
    }

    /// Starts two daemons side by side, each with a state of its own: one with little patience and
    /// one with less.
    pub(crate) fn hasty_daemons(&self) -> [Daemon; 2] {
        ["hasty", "hastier"].map(|config| self.daemon_of(config))
    }

    fn daemon_of(&self, config: &str) -> Daemon {
        let lab = self.home.path().join("lab");
        let [lines, log] = ["jsonl", "log"].map(|kind| lab.join(config).with_extension(kind));
        let child = self
            .command(&format!("{config}.yaml"), &["run", "--json"])
            .env("XDG_STATE_HOME", lab.join(config))
            .stdout(File::create(&lines).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon { child, lines, log }
    }

    fn run(&self, config: &str, args: &[&str]) -> Output {
        self.command(config, args).output().unwrap()
    }

    fn command(&self, config: &str, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_clawarden")]);
        self.home.dress(&mut command).args(args);
        command.arg("--state-dir").arg(self.home.state());
        command.arg("--config").arg(self.home.path().join("lab").join(config));
        command.env("XDG_STATE_HOME", self.home.path().join("own-state"));
        command
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
}

impl Daemon {
    /// Ends the daemon, which must not have ended by itself; returns every pass it made.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<Report> {
        let log = || fs::read_to_string(&self.log).unwrap();
        assert!(self.child.try_wait().unwrap().is_none(), "the daemon ended: {}", log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let text = fs::read_to_string(&self.lines).unwrap();
        // The last line may have been cut by the kill.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(Report::parse).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
