//! The running kernel's own table, with children of the test as subjects.

#![expect(clippy::disallowed_methods, reason = "waits for its own children, with a bound")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::model::{ProcessId, Sighting, UnixMillis};
use crate::observe::process::{Table, captured};

pub(super) fn live() -> Table {
    let mut table = Table::new(Path::new("/proc"));
    table.refresh(UnixMillis(0)).unwrap();
    table
}

/// A child that sleeps until it is dropped.
pub(super) struct Sleeper(pub(super) Child);

impl Sleeper {
    pub(super) fn spawn(command: &mut Command) -> Sleeper {
        Sleeper(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    pub(super) fn new() -> Sleeper {
        Sleeper::spawn(Command::new("sleep").arg("600"))
    }

    /// One with these as its standard input and output.
    pub(super) fn with(stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").stdin(stdin).stdout(stdout).spawn().unwrap())
    }

    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that the kernel does in its own time.
#[track_caller]
pub(super) fn eventually(mut what: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "never became true");
        std::thread::yield_now();
    }
}

#[test]
fn a_child_is_listed_sighted_and_then_gone() {
    let mut child = Sleeper::new();
    let pid = child.pid();
    let mut table = live();
    let process = table.get(pid).unwrap().clone();
    assert_eq!(process.parent, i32::try_from(std::process::id()).unwrap());
    assert_eq!(process.uid, nix::unistd::geteuid().as_raw());
    assert!(table.is_alive(process.id));
    let earlier = ProcessId { start_ticks: process.id.start_ticks - 1, ..process.id };
    assert!(!table.is_alive(earlier), "another life under the same pid");
    assert!(table.ancestors(pid).iter().any(|ancestor| ancestor.id.pid == process.parent));
    let ourselves = table.get(process.parent).unwrap().id;
    assert!(table.descendants(ourselves).iter().any(|descendant| descendant.id.pid == pid));

    child.0.kill().unwrap();
    eventually(|| !table.is_alive(process.id));
    assert_eq!(table.sight(pid), Sighting::Absent, "a zombie");
    table.refresh(UnixMillis(0)).unwrap();
    assert_eq!(table.get(pid), None, "a zombie is not listed");
    child.0.wait().unwrap();
    assert_eq!(table.sight(pid), Sighting::Absent, "reaped");
}

#[test]
fn our_own_start_is_in_the_past_and_not_before_the_boot() {
    let host = crate::observe::host::read(Path::new("/proc")).unwrap();
    let mut table = live();
    table.refresh(host.booted_at).unwrap();
    let ourselves = table.get(i32::try_from(std::process::id()).unwrap()).unwrap().id;
    let started_at = table.started_at(ourselves);
    assert!(started_at > host.booted_at);
    // btime is cut to a whole second.
    let now = crate::clock::Clock::Wall.now().plus(Duration::from_secs(1));
    assert!(now.since(started_at) < Duration::from_secs(3600) && started_at <= now);
}

#[test]
fn a_thread_is_no_process() {
    let (send, receive) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        send.send(nix::unistd::gettid().as_raw()).unwrap();
        let _ = stopped.recv();
    });
    let tid = receive.recv().unwrap();
    assert_eq!(live().sight(tid), Sighting::Absent);
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_number_that_only_a_process_group_still_bears_is_no_process() {
    // The leader ends at once; a child of it stays in its group and holds the number.
    let mut leader = Command::new("sh");
    leader.args(["-c", "sleep 600 >/dev/null & echo $!"]).process_group(0);
    let mut leader = Sleeper::spawn(&mut leader);
    let orphan: i32 = leader.line().parse().unwrap();
    leader.0.wait().unwrap();
    let table = live();
    let group = table.get(orphan).map(|process| process.group);
    let seen = table.sight(leader.pid());
    let id = table.get(orphan).map(|process| process.id);
    end(orphan, id.unwrap());
    assert_eq!((group, seen), (Some(leader.pid()), Sighting::Absent));
}

/// Ends a grandchild, which is still the one that was seen.
fn end(pid: i32, id: ProcessId) {
    assert!(live().is_alive(id));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
fn an_exec_changes_the_command_line_of_the_same_process() {
    let mut shell = Command::new("sh");
    let mut child = Sleeper::spawn(shell.args(["-c", "read x; exec sleep 601"]));
    let mut table = live();
    let before = table.get(child.pid()).unwrap().clone();
    child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    eventually(|| {
        table.refresh(UnixMillis(0)).unwrap();
        table.get(child.pid()).unwrap().cmdline == b"sleep\x00601"
    });
    assert_eq!(table.get(child.pid()).unwrap().id, before.id);
}

#[test]
fn an_exec_at_any_age_shows_in_the_stat() {
    let mut shell = Command::new("sh");
    let mut child = Sleeper::spawn(shell.args(["-c", "read x; exec sh -c 'read y'"]));
    let mut table = live();
    child.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    // So long after the boot nobody is young: only the turns are left.
    let far_future = Some(Duration::from_secs(u64::from(u32::MAX)));
    eventually(|| {
        table.refresh_at(UnixMillis(0), far_future).unwrap();
        table.get(child.pid()).unwrap().cmdline == b"sh\0-c\0read y"
    });
}

#[test]
fn a_hostile_name_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(") Z 1 1\n(x)");
    std::fs::copy("/bin/sleep", &program).unwrap();
    // Another test's child that was being forked may still hold the copy open for writing.
    let mut child = None;
    eventually(|| {
        child = Command::new(&program).arg("600").spawn().ok().map(Sleeper);
        child.is_some()
    });
    let pid = child.as_ref().unwrap().pid();
    let table = live();
    let process = table.get(pid).unwrap();
    assert_eq!(process.parent, i32::try_from(std::process::id()).unwrap());
    assert!(table.is_alive(process.id));
}

#[test]
fn a_title_makes_the_gateway_and_its_padding_does_not() {
    let mut named = Command::new("sleep");
    let child = Sleeper::spawn(named.arg0("openclaw-gateway").arg("600"));
    // A spawn returns in the middle of the exec, before the arguments are there.
    eventually(|| live().get(child.pid()).unwrap().is_openclaw());
    let table = live();
    assert!(!table.get(child.pid()).unwrap().has_gateway_title());
    assert!(matches!(table.sight(child.pid()), Sighting::Present { is_openclaw: true, .. }));
}

#[test]
fn the_environment_of_a_child_is_read() {
    let mut command = Command::new("sleep");
    let child = Sleeper::spawn(command.arg("600").env_clear().env("A", "x=y").env("B", ""));
    let want = [(b"A".to_vec(), b"x=y".to_vec()), (b"B".to_vec(), Vec::new())];
    eventually(|| {
        let mut environ = live().environ(child.pid()).unwrap();
        environ.sort();
        environ == want
    });
}

#[test]
fn only_ports_that_are_listened_on_are_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let ourselves = i32::try_from(std::process::id()).unwrap();
    let ports = live().listening_ports(ourselves).unwrap();
    assert!(ports.contains(&port), "{ports:?}");
    assert!(!ports.contains(&client.local_addr().unwrap().port()));
    let child = Sleeper::new();
    // Until it has closed its copies of our descriptors.
    eventually(|| live().listening_ports(child.pid()).unwrap().is_empty());
}

#[test]
fn a_captured_socket_table_may_be_one_for_all() {
    let captured = captured::Captured::new();
    captured.process(7, 1, 1, b"x").process(8, 1, 1, b"y").link("7/fd/3", "socket:[35137]");
    captured.link("7/fd/0", "/dev/null").link("8/fd/3", "socket:[9]");
    let table = captured.table();
    let missing = std::io::ErrorKind::NotFound;
    assert_eq!(table.listening_ports(7).unwrap_err().kind(), missing, "no socket table");
    captured.file("net/tcp", b"head\n 0: 0100007F:4965 0:0 0A 0:0 00:0 0 1000 0 35137 1\n");
    assert_eq!(table.listening_ports(7).unwrap(), [18789]);
    assert_eq!(table.listening_ports(8).unwrap(), Vec::<u16>::new());
    assert_eq!(table.listening_ports(9).unwrap_err().kind(), missing, "no such process");
}

#[test]
fn a_child_shares_our_pid_namespace() {
    let child = Sleeper::new();
    assert!(live().shares_pid_namespace(child.pid()));
    assert!(!live().shares_pid_namespace(0));
}
