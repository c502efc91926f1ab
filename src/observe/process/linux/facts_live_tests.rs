//! The running kernel's own facts, with children of the test as subjects.

#![expect(clippy::disallowed_methods, reason = "stops and ends its own children")]

use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::model::UnixMillis;
use crate::observe::process::Table;
use crate::observe::process::linux::files::{Directory, gone};
use crate::observe::process::linux::live_tests::{Sleeper, eventually, live};

/// Nothing is read beforehand.
fn unread() -> Table {
    Table::new(Path::new("/proc"))
}

fn ourselves() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

#[test]
fn a_child_is_alive_then_stopped_then_a_zombie_then_gone() {
    let mut child = Sleeper::new();
    let table = unread();
    let facts = || table.inspector().process(child.pid()).facts();
    eventually(|| facts().unwrap().state == 'S');
    let alive = facts().unwrap();
    assert_eq!((alive.id, alive.parent), (live().get(child.pid()).unwrap().id, ourselves()));
    assert_eq!((alive.tracer, alive.is_nested, alive.has_ended), (0, false, false));
    assert_eq!(alive.uid, nix::unistd::geteuid().as_raw());
    assert!(alive.resident.unwrap() > 4096);

    kill(Pid::from_raw(child.pid()), Signal::SIGSTOP).unwrap();
    eventually(|| facts().unwrap().state == 'T');
    child.0.kill().unwrap();
    let facts =
        |table: &Table| table.inspector().process(i32::try_from(child.0.id()).unwrap()).facts();
    eventually(|| facts(&table).unwrap().has_ended);
    let zombie = facts(&table).unwrap();
    assert_eq!((zombie.id, zombie.state, zombie.resident), (alive.id, 'Z', None));
    child.0.wait().unwrap();
    assert_eq!(
        table.inspector().process(alive.id.pid).facts().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(table.exe(alive.id.pid).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_process_that_ends_between_two_reads_is_gone() {
    let mut child = Sleeper::new();
    let directory = Directory::open(Path::new("/proc")).unwrap().process(child.pid()).unwrap();
    let mut stat = Vec::new();
    directory.read("stat", 4096, &mut stat).unwrap();
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let error = gone(directory.read("status", 4096, &mut stat).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn work_costs_processor_time() {
    let child = Sleeper::spawn(Command::new("sh").args(["-c", "while :; do :; done"]));
    let cpu = || unread().inspector().process(child.pid()).facts().unwrap().cpu;
    let before = cpu();
    eventually(|| cpu() > before);
}

#[test]
fn a_thread_has_no_facts() {
    let (send, receive) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        send.send(nix::unistd::gettid().as_raw()).unwrap();
        let _ = stopped.recv();
    });
    let tid = receive.recv().unwrap();
    assert_eq!(unread().inspector().process(tid).facts().unwrap_err().kind(), ErrorKind::NotFound);
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_hostile_name_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("foo) Z 1");
    std::fs::copy("/bin/sleep", &program).unwrap();
    // Another test's child that was being forked may still hold the copy open for writing.
    let mut child = None;
    eventually(|| {
        child = Command::new(&program).arg("600").spawn().ok().map(Sleeper);
        child.is_some()
    });
    let pid = child.as_ref().unwrap().pid();
    let facts = unread().inspector().process(pid).facts().unwrap();
    assert_eq!((facts.parent, facts.has_ended), (ourselves(), false));
    assert_eq!(unread().exe(pid).unwrap(), program);
    std::fs::write(folder.path().join("new"), "").unwrap();
    std::fs::rename(folder.path().join("new"), &program).unwrap();
    assert_eq!(unread().exe(pid).unwrap(), program, "replaced");
    assert_eq!(unread().inspector().process(pid).cwd().unwrap(), std::env::current_dir().unwrap());
}

#[test]
fn memory_is_never_more_than_what_is_resident() {
    let table = unread();
    let share = table.memory(ourselves()).unwrap();
    assert!(share > 1024 * 1024, "{share}");
    let child = Sleeper::new();
    eventually(|| {
        let resident = table.inspector().process(child.pid()).facts().unwrap().resident.unwrap();
        table.memory(child.pid()).is_some_and(|share| share > 0 && share < resident)
    });
    assert_eq!(table.memory(0), None);
}

#[test]
fn we_are_in_a_control_group() {
    // A kernel or a container without any says so.
    match unread().inspector().process(ourselves()).control_group() {
        Ok(path) => assert!(path.starts_with('/')),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData),
    }
}

#[test]
fn an_inherited_listener_makes_a_process_listen() {
    let folder = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(folder.path().join("@\n x")).unwrap();
    let over_tcp = Sleeper::with(OwnedFd::from(tcp), Stdio::null());
    let over_unix = Sleeper::with(OwnedFd::from(unix), Stdio::null());
    let neither = Sleeper::new();
    for child in [&over_tcp, &over_unix] {
        assert!(unread().listens(child.pid()).unwrap());
    }
    eventually(|| !unread().listens(neither.pid()).unwrap());
    assert_eq!(unread().listens(0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_shell_with_a_command_runs_a_tool_if_it_is_marked() {
    const COMMAND: [&str; 3] = ["sh", "-c", "read x; :"];
    let start = |program: &str, arguments: &[&str], mark: &str| {
        let mut command = Command::new(program);
        Sleeper::spawn(command.args(arguments).env_remove("CLAUDECODE").env(mark, "1"))
    };
    let leader = start("setsid", &COMMAND, "A");
    let marked = start(COMMAND[0], &COMMAND[1..], "CLAUDECODE");
    // As npx starts an adapter.
    let plain = start(COMMAND[0], &COMMAND[1..], "A");
    let is_tool = |child: &Sleeper| unread().inspector().process(child.pid()).is_tool_shell().ok();
    eventually(|| is_tool(&leader) == Some(true) && is_tool(&marked) == Some(true));
    eventually(|| is_tool(&plain) == Some(false));
    assert_eq!(is_tool(&Sleeper::new()), Some(false));
    assert!(unread().inspector().process(0).is_tool_shell().is_err());
}

#[test]
fn arguments_of_megabytes_are_bounded() {
    let mut command = Command::new("sh");
    command.args(["-c", "read x; :"]).env("CLAUDECODE", "1");
    command.args(vec!["\u{1b}[2J".repeat(25_000); 20]);
    let child = Sleeper::spawn(&mut command);
    eventually(|| unread().inspector().process(child.pid()).is_tool_shell().ok() == Some(true));
    let table = unread().anew().unwrap();
    assert!(table.get(child.pid()).unwrap().cmdline.len() <= 64 * 1024);
}

#[test]
fn a_table_made_anew_sees_what_came_since() {
    let mut table = Table::new(Path::new("/proc"));
    table.refresh(UnixMillis(7000)).unwrap();
    let mut child = Sleeper::spawn(Command::new("sh").args(["-c", "read x; exec sleep 601"]));
    let anew = table.anew().unwrap();
    assert_eq!((table.get(child.pid()), anew.was_read_in_full()), (None, true));
    let id = anew.get(child.pid()).unwrap().id;
    assert_eq!(anew.started_at(id), table.started_at(id), "of the same boot");
    child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    eventually(|| table.anew().unwrap().get(id.pid).unwrap().cmdline == b"sleep\x00601");
}
