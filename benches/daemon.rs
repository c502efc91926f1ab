//! What the program costs as it is shipped: idle daemon, one-shot commands, size.
//!
//! `cargo bench --bench daemon [-- PROCESSES SECONDS]`: 3,000 idle processes, 200 agents with 500
//! files each, 2,000 locks, a store of 15 MB, a gateway that is up; each daemon is watched for
//! 90 s, from a minute after its start on. Variables `MALLOC_…` are handed on to it.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;
mod stage;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use measure::{Budget, Table, cpu_ms, floor, status_kib, wall_ms};
use stage::State;
use stage::processes::{self, Gateway, Idle};

const PROGRAM: &str = env!("CARGO_BIN_EXE_clawarden");
const PROCESSES: usize = 3000;
const SECONDS: usize = 90;
const RUNS: usize = 15;
/// The shipped one.
const INTERVAL: u64 = 30;
/// So many times as often, to tell what one pass costs from what a minute costs.
const HURRY: u64 = 10;

fn main() {
    if Gateway::play() {
        return;
    }
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let processes = numbers.next().unwrap_or(PROCESSES);
    let seconds = numbers.next().unwrap_or(SECONDS);

    let mut table = Table::default();
    let size = fs::metadata(PROGRAM).unwrap().len() as f64;
    table.row("binary", "MiB", 0.0, size / 1024.0 / 1024.0, Budget::AtMost(8.0));
    let root = tempfile::tempdir().unwrap();
    let empty = State::empty(root.path().join("empty/home/.openclaw"), 9);
    let _idle = Idle::start(processes);
    let (_gateway, state) = processes::large(root.path());
    let large = Bed { home: root.path(), state: &state };
    let empty = Bed { home: &root.path().join("empty"), state: &empty };
    watch(&large, &empty, seconds, &mut table);
    once(&large, &empty, &mut table);
    table.print();
}

/// Measures daemons, all at the same time.
fn watch(large: &Bed, empty: &Bed, seconds: usize, table: &mut Table) {
    let idle = Command::new("sleep").arg("600").spawn().unwrap();
    let idle = Watched(idle);
    let nothing = empty.daemon("nothing", INTERVAL);
    let usual = large.daemon("usual", INTERVAL);
    let hurried = large.daemon("hurried", INTERVAL / HURRY);
    // Younger processes are read in every pass.
    sleep(Duration::from_secs(65));
    let before = [cpu(&usual.0), cpu(&hurried.0), cpu(&nothing.0)];
    sleep(Duration::from_secs(seconds as u64));
    let after = [cpu(&usual.0), cpu(&hurried.0), cpu(&nothing.0)];
    let floor_rss = rss(&idle.0);
    let share = |which: usize| (after[which] - before[which]) / (seconds as f64 * 1e3) * 100.0;

    table.row("idle daemon, 30 s", "% CPU", 0.0, share(0), Budget::AtMost(0.1));
    let scaled = share(1) / HURRY as f64;
    table.row("idle daemon, 3 s, a tenth of it", "% CPU", 0.0, scaled, Budget::AtMost(0.1));
    table.row("idle daemon, nothing to watch", "% CPU", 0.0, share(2), Budget::Any);
    table.row("resident (floor: sleep)", "MiB", floor_rss, rss(&usual.0), Budget::AtMost(10.0));
    let own = status_kib(&usual.0.id().to_string(), "RssAnon:").unwrap() / 1024.0;
    table.row("of which its own memory", "MiB", 0.0, own, Budget::Any);
    table.row("resident, nothing to watch", "MiB", floor_rss, rss(&nothing.0), Budget::Any);
    let peak = status_kib(&usual.0.id().to_string(), "VmHWM:").unwrap() / 1024.0;
    table.row("resident at most, with a store of 15 MB", "MiB", 0.0, peak, Budget::Any);
    let threads = status_kib(&usual.0.id().to_string(), "Threads:").unwrap();
    table.row("threads", "", 0.0, threads, Budget::Any);
}

/// Measures commands that look once. Floor: `true`, and to read all the same.
fn once(large: &Bed, empty: &Bed, table: &mut Table) {
    let spawn = children_ms(&|| assert!(Command::new("true").status().unwrap().success()));
    let processes = cpu_ms(5, || floor::identify_all(Path::new("/proc")));
    let stores = large.state.stores();
    let files = cpu_ms(5, || {
        let rows: usize = stores.iter().map(|path| floor::store(path)).sum();
        rows + floor::read_locks(&large.state.folders)
    });
    let plan = ["plan"].as_slice();
    for (what, bed, command, floor) in [
        ("plan, no agents", empty, plan, spawn + processes),
        ("plan", large, plan, spawn + processes + files),
        ("run --once", large, &["run", "--once"], spawn + processes + files),
    ] {
        let ours = children_ms(&|| bed.run("once", command));
        table.row(what, "ms CPU", floor, ours, Budget::AtMost(60.0 + floor));
        let wall = wall_ms(RUNS, || bed.run("once", command));
        table.row(&format!("{what}, on the clock"), "ms", 0.0, wall, Budget::Any);
    }
}

/// A state directory, and the home of whoever runs the program for it.
struct Bed<'a> {
    home: &'a Path,
    state: &'a State,
}

impl Bed<'_> {
    /// Starts a daemon with memory of its own.
    fn daemon(&self, name: &str, interval: u64) -> Watched {
        let config = self.home.join(format!("{name}.yaml"));
        fs::write(&config, format!("interval: {interval}s\n")).unwrap();
        let log = fs::File::create(self.home.join(format!("{name}.log"))).unwrap();
        let mut command = self.command(name);
        command.arg("--config").arg(&config).arg("run").stderr(log);
        Watched(command.spawn().unwrap())
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        let status = self.command(name).args(arguments).stderr(Stdio::inherit()).status().unwrap();
        assert!(status.success(), "{arguments:?}: {status}");
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("HOME", self.home.join("home"))
            .env("XDG_STATE_HOME", self.home.join(name))
            .env("TMPDIR", self.home.join("tmp"))
            .envs(std::env::vars().filter(|(name, _)| name.starts_with("MALLOC_")))
            .arg("--state-dir")
            .arg(&self.state.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// A child that does not outlive us.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rss(child: &Child) -> f64 {
    status_kib(&child.id().to_string(), "VmRSS:").unwrap() / 1024.0
}

/// CPU time of all its threads, in ms; exact, where user and system time count in ticks.
fn cpu(child: &Child) -> f64 {
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    let nanos = |path: &Path| -> f64 {
        let text = fs::read_to_string(path).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    threads.map(|thread| nanos(&thread.path().join("schedstat"))).sum::<f64>() / 1e6
}

/// CPU time of the children that `work` starts and waits for, in ms: the mean of some runs, for it
/// is counted in ticks.
fn children_ms(work: &dyn Fn()) -> f64 {
    let all = || {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
        (ticks(16) + ticks(17)) * 1e3 / rustix::param::clock_ticks_per_second() as f64
    };
    let before = all();
    (0..RUNS).for_each(|_| work());
    (all() - before) / RUNS as f64
}
