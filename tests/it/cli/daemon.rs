//! The daemon, with real signals, real processes and a service manager of our own.
//!
//! Nothing sleeps: each wait is for an event, and ends well before the daemon's interval, so
//! that no tick can be taken for the event.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::stage::{GATEWAY, Stage};

/// Longer than any event takes on a busy machine, shorter than the interval of 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon and everything it says. Ends with the value.
pub(super) struct Daemon {
    child: Child,
    reports: Receiver<Value>,
    log: Receiver<String>,
    manager: UnixDatagram,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts `command`, a `run --json`.
    pub(super) fn start(mut command: Command, stage: &Stage) -> Daemon {
        let socket = stage.path("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut child = command
            .env("NOTIFY_SOCKET", socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let parse = |line: String| serde_json::from_str(&line).unwrap();
        let reports = lines(child.stdout.take().unwrap(), parse);
        let log = lines(child.stderr.take().unwrap(), |line| line);
        Daemon { child, reports, log, manager }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the report of the next pass.
    #[track_caller]
    pub(super) fn report(&self) -> Value {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a log line that contains `text`.
    #[track_caller]
    fn logs(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line =
                line.unwrap_or_else(|error| panic!("{error}; waited for the log line {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until the service manager is told something that begins with `text`.
    #[track_caller]
    fn tells(&self, text: &str) -> String {
        let mut buffer = [0; 4096];
        let mut seen = VecDeque::new();
        for _ in 0..1_000 {
            let length = self.manager.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{error}; waited for {text}, told: {seen:?}");
            });
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if let Some(line) = message.lines().find(|line| line.starts_with(text)) {
                return line.to_owned();
            }
            seen.push_back(message);
        }
        panic!("waited for {text}, told: {seen:?}");
    }

    #[expect(clippy::disallowed_methods, reason = "a child that was not waited for")]
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits for the end; standard output is closed by it.
    fn end(mut self) -> ExitStatus {
        while self.reports.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }
}

fn lines<T: Send + 'static>(
    from: impl Read + Send + 'static,
    parse: impl Fn(String) -> T + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(parse(line)).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn a_stop_ends_it_with_0_after_it_was_ready() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let stage = Stage::healthy();
        let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
        daemon.tells("READY=1");
        daemon.report();
        daemon.signal(signal);
        daemon.tells("STOPPING=1");
        daemon.logs("stopped by");
        assert_eq!(daemon.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_request_makes_it_look_at_once() {
    let stage = Stage::healthy();
    let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
    daemon.tells("READY=1");
    assert_eq!(daemon.report()["gateway"]["status"], "up");
    // No file event and no process exit tells of a change in a captured process table.
    std::fs::remove_dir_all(stage.path(&format!("proc/{}", GATEWAY.0))).unwrap();
    daemon.signal(Signal::SIGUSR1);
    let line = daemon.logs("looking: ");
    assert!(line.contains(&format!("pid {}", std::process::id())), "says who asked: {line}");
    assert_eq!(daemon.report()["gateway"]["status"], "down");
}

#[test]
fn what_a_person_took_back_is_not_done_again() {
    let stage = Stage::with_stale_lane();
    let before = fs::read_to_string(stage.store()).unwrap();
    let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
    assert_eq!(next_act(&daemon)["outcome"], "done");
    stage.run(&["undo", "1"]).exits(0);
    // Once the store is quiet again, the lane is found as wrong as before.
    stage.write(&stage.store(), &before, 60);
    std::iter::repeat_with(|| next_verdict(&daemon))
        .find(|verdict| verdict["reason"]["code"] == "protected")
        .unwrap();
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), before);
}

#[test]
fn a_broken_configuration_keeps_the_last_good_one_in_force_and_says_so() {
    let stage = Stage::healthy();
    stage.configure("policies: { dead_lock: { mode: observe } }\n");
    let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
    daemon.tells("READY=1");
    daemon.report();
    stage.configure("policies: { dead_lock: { mode: enforc } }\n");
    daemon.signal(Signal::SIGHUP);
    daemon.logs("configuration refused, the last good one stays in force");
    daemon.logs("enforc");
    daemon.tells("STATUS=configuration refused, the last good one is in force; gateway up");

    stage.dead_lock();
    assert_eq!(next_verdict(&daemon)["decision"], "observe");
    assert!(stage.lock().exists());

    stage.configure("policies: { dead_lock: { mode: enforce } }\n");
    daemon.signal(Signal::SIGHUP);
    assert_eq!(next_act(&daemon)["outcome"], "done");
    daemon.tells("STATUS=gateway up");
}

#[test]
fn a_dead_lock_is_released_right_after_it_appears() {
    let stage = Stage::healthy();
    let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
    daemon.tells("READY=1");
    daemon.report();
    stage.dead_lock();
    assert_eq!(next_act(&daemon)["outcome"], "done");
    assert!(!stage.lock().exists());
}

/// On the live process table: a process that listens stands for the gateway, another one takes
/// the lock and is killed.
#[test]
fn the_lock_of_a_holder_that_is_killed_is_released_at_once() {
    let stage = Stage::healthy();
    stage.configure(
        "allow_short: true\nstart_grace: 0s\npolicies: { dead_lock: { mode: enforce, min_age: 0s } }\n",
    );
    let gateway = Process::listening(&stage);
    stage.gateway(gateway.pid(), gateway.start_ticks(), 0);
    let mut holder = Process::waiting();
    let daemon = Daemon::start(stage.live(&["run", "--json"]), &stage);
    daemon.tells("READY=1");
    let report = daemon.report();
    assert_eq!(report["gateway"]["status"], "up", "{report:#}");
    assert_eq!(report["gateway"]["pid"], gateway.pid());

    let text = stage.lock_text((holder.pid(), holder.start_ticks()), 0);
    stage.write(&stage.lock(), &text, 0);
    let report = std::iter::repeat_with(|| daemon.report())
        .find(|report| report["seen"]["locks"] == 1)
        .unwrap();
    assert_eq!(report["summary"]["acted"], 0, "its holder lives: {report:#}");
    assert!(stage.lock().exists());

    holder.kill();
    let act = next_act(&daemon);
    assert_eq!(act["outcome"], "done");
    assert_eq!(act["evidence"]["holder_pid"], holder.pid());
    assert!(!stage.lock().exists());
    assert_eq!(kept(&stage), text);
}

/// On the live process table: a process that listens stands for the gateway, and starts another.
#[test]
fn a_process_that_the_gateway_starts_is_looked_at_before_the_interval_is_over() {
    let stage = Stage::healthy();
    let mut gateway = Process::listening(&stage);
    stage.gateway(gateway.pid(), gateway.start_ticks(), 0);
    let daemon = Daemon::start(stage.live(&["-v", "run", "--json"]), &stage);
    daemon.tells("READY=1");
    assert_eq!(daemon.report()["gateway"]["pid"], gateway.pid());
    daemon.logs("looking: timer");
    let mut children = Vec::new();
    let mut is_told = || {
        children.push(format!("start of pid {}", gateway.start()));
        let line = daemon.logs("looking: ");
        daemon.report();
        children.iter().any(|start| line.ends_with(start))
    };
    // A pass for another reason may see a child first; then it is not new any more.
    assert!((0..10).any(|_| is_told()));
}

/// Waits for a pass that finds something.
#[track_caller]
fn next_verdict(daemon: &Daemon) -> Value {
    let found = |report: Value| report["verdicts"].get(0).cloned();
    std::iter::repeat_with(|| daemon.report()).find_map(found).unwrap()
}

/// Waits for a pass that acts.
#[track_caller]
fn next_act(daemon: &Daemon) -> Value {
    std::iter::repeat_with(|| next_verdict(daemon))
        .find(|verdict| verdict["decision"] == "act")
        .unwrap()
}

/// What is in quarantine of action 1.
fn kept(stage: &Stage) -> String {
    let manifest = fs::read(stage.own_dir().join("quarantine/1/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["text"].as_str().unwrap().to_owned()
}

/// A process of ours that ends when its standard input does, so with this one at the latest.
struct Process {
    child: Child,
    said: Option<BufReader<ChildStdout>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn waiting() -> Process {
        let mut command = Command::new("cat");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Process { child, said: None }
    }

    /// This test program once more, which listens on a port.
    fn listening(stage: &Stage) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::daemon::child_that_listens_if_told_to", "--nocapture"])
            .env_clear()
            .envs(stage.env())
            .env(LISTEN, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut process = Process { child, said: Some(said) };
        process.says("listening");
        process
    }

    /// Makes it start a process, and returns that one's pid.
    fn start(&mut self) -> i32 {
        self.child.stdin.as_mut().unwrap().write_all(b"start\n").unwrap();
        self.says("started ").parse().unwrap()
    }

    /// Waits for a line with `text` and returns what follows it.
    fn says(&mut self, text: &str) -> String {
        let lines = self.said.as_mut().unwrap().lines().map_while(Result::ok);
        let after = |line: String| line.split_once(text).map(|(_, after)| after.to_owned());
        lines.filter_map(after).next().unwrap()
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Field 22 of its stat. Its name has no blank and no bracket.
    fn start_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.split(' ').nth(21).unwrap().parse().unwrap()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LISTEN: &str = "CLAWARDEN_IT_LISTEN";

/// Does nothing on its own; [`Process::listening`] runs it as a process of its own.
#[test]
fn child_that_listens_if_told_to() {
    if std::env::var_os(LISTEN).is_none() {
        println!("nothing to do: this is a child of another test");
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("\nlistening");
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let mut children = Vec::new();
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        // Ends with this one, which holds its standard input.
        let child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        println!("started {}", child.id());
        children.push(child);
    }
    for mut child in children {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
