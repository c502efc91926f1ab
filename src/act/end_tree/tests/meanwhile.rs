//! What goes on beside, below and in a tree while it is ended.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::world::{Bent, Grove, SENTINEL, Stage, until};
use crate::act::end_tree::pinned::{Pin, Stop, pin};
use crate::act::end_tree::*;

/// Does what is written to its pipe, which nothing but this reads.
const OBEY: &str = r#"
    exec 3<> "$DIR/$1"
    if [ "$1" = b ]; then sleep 600 & fi
    while read -r command <&3; do
        case $command in
            exit) exit 0 ;;
            exec) exec sleep 601 ;;
            fork) sleep 602 & ;;
        esac
    done"#;

/// A tree whose root is `a`, above `b`, above one that sleeps.
fn obedient() -> Grove {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("obey"), OBEY).unwrap();
    for name in ["a", "b"] {
        nix::unistd::mkfifo(&folder.path().join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    Grove::grow_in(folder, r#"sh "$DIR/obey" b & exec sh "$DIR/obey" a"#, 3)
}

/// Tells one to do something, and waits until that is done, or it stands still and cannot.
fn tell(grove: &Grove, name: &str, command: &str) {
    let ids = grove.ids();
    // Told to end, some may have done so.
    let [a, b, _] = ids[..] else { return };
    let pid = if name == "a" { a.pid } else { b.pid };
    let mut pipe = OpenOptions::new();
    // A pipe that is open both ways is never waited for.
    let pipe = pipe.read(true).write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    writeln!(pipe.open(grove.path(name)).unwrap(), "{command}").unwrap();
    until("it has obeyed, or cannot", || {
        let state = Stat::of(pid).unwrap().map_or('X', |stat| stat.state);
        let is_done = match command {
            "exec" => {
                fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"601\0"))
            }
            "fork" => grove.look().len() > ids.len(),
            _ => false,
        };
        is_done || matches!(state, 'T' | 'Z' | 'X')
    });
}

#[test]
fn whatever_one_of_them_does_between_two_steps_all_of_them_end_and_nothing_stands_still() {
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            for command in ["exit", "exec", "fork"] {
                scope.spawn(move || check_told(name, command));
            }
        }
    });
}

/// Before every step once.
fn check_told(name: &str, command: &str) {
    for at in 1.. {
        let (grove, stage) = (obedient(), Stage::new());
        let count = Cell::new(0);
        let before = |_| {
            count.set(count.get() + 1);
            if count.get() == at {
                tell(&grove, name, command);
            }
        };
        let performed = stage.end_with(&grove.tree_end(), &Bent::default(), &before).unwrap();
        let case = format!("{name} {command} before step {at}: {performed:?}");
        assert_eq!(performed.outcome, Outcome::Done, "{case}");
        grove.check_gone();
        if count.get() < at {
            assert!(at > 8, "{case}");
            break;
        }
    }
}

#[test]
fn a_tree_that_never_stops_forking_ends_or_runs_on() {
    let script = r#"echo > "$DIR/ready"; while :; do sleep 0.01 & done"#;
    for _ in 0..5 {
        let (grove, stage) = (Grove::grow("sleep 600 & wait", 2), Stage::new());
        let bomb = Grove::grow_in(tempfile::tempdir().unwrap(), &format!("(:); {script}"), 1);
        until("it forks", || bomb.path("ready").exists());
        let performed = stage.end(&bomb.tree_end()).unwrap();
        match performed.outcome {
            Outcome::Done => bomb.check_gone(),
            Outcome::Changed => bomb.check_nothing_stands_still(),
            _ => panic!("{performed:?}"),
        }
        grove.check_unharmed();
    }
}

/// Forks from several threads at once, and reaps what has ended. It ignores SIGTERM: else its other
/// threads run, and may fork, until one of them takes that signal. SIGKILL takes all at once.
const THREADS: &str = r#"
import os, signal, subprocess, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def fork():
    while True:
        subprocess.Popen(["sleep", "0.01"]).wait()
for _ in range(4): threading.Thread(target=fork).start()
open(os.environ["DIR"] + "/ready", "w").close()
time.sleep(600)
"#;

#[test]
fn a_process_that_forks_from_many_threads_ends_with_all_that_they_started() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("threads.py"), THREADS).unwrap();
        let stage = Stage::new();
        let grove = Grove::grow_in(folder, r#"exec python3 "$DIR/threads.py""#, 1);
        until("it forks", || grove.path("ready").exists() && grove.ids().len() > 2);
        let end = TreeEnd { term_wait: Duration::from_millis(200), ..grove.tree_end() };
        let performed = stage.end(&end).unwrap();
        assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
        grove.check_gone();
        // One that was missed has another parent by now, and is still below nobody.
        let missed = || {
            let text = fs::read_dir("/proc").unwrap().filter_map(|entry| {
                let environ = fs::read(entry.ok()?.path().join("environ")).ok()?;
                Some(String::from_utf8_lossy(&environ).into_owned())
            });
            let folder = format!("DIR={}\0", grove.folder.path().display());
            text.filter(|environ| environ.contains(&folder)).count()
        };
        assert_eq!(missed(), 0);
    }
}

#[test]
fn a_process_stands_still_when_the_last_of_its_threads_does() {
    let script = "import ctypes, threading, time\n\
                  threading.Thread(target=time.sleep, args=(600,)).start()\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    // As soon as its first thread has ended, it counts as none that lives.
    let grove = Grove::of(command, tempfile::tempdir().unwrap(), 0);
    let leader = || Stat::of(grove.root.pid).unwrap().unwrap().state;
    until("its first thread has ended, and it lives on", || leader() == 'Z');
    let Pin::Held(process, 'Z') = pin(grove.root).unwrap() else { panic!("it lives") };
    assert!(process.running_thread().unwrap().is_some());
    assert!(process.signal(Signal::STOP).unwrap());
    assert_eq!(process.wait_until_still().unwrap(), Stop::Stopped);
    assert_eq!(process.running_thread().unwrap(), None);
    assert!(process.signal(Signal::KILL).unwrap());
    until("it has ended", || process.has_ended().unwrap());
    assert_eq!(process.wait_until_still().unwrap(), Stop::Ended);
}

#[test]
fn beside_ten_thousand_forks_nobody_else_is_signalled() {
    let sentinels: Vec<_> =
        (0..3).map(|_| Grove::grow_in(tempfile::tempdir().unwrap(), SENTINEL, 2)).collect();
    let mut churn = Command::new("sh")
        .args(["-c", "i=0; while [ $i -lt 10000 ]; do (:); i=$((i+1)); done"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut trees = 0;
    while churn.try_wait().unwrap().is_none() {
        let (grove, stage) = (Grove::grow("sleep 600 & sleep 600 & wait", 3), Stage::new());
        let performed = stage.end(&grove.tree_end()).unwrap();
        assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
        grove.check_gone();
        trees += 1;
    }
    assert!(trees > 0);
    assert!(churn.wait().unwrap().success(), "it forked to its end");
    sentinels.iter().for_each(Grove::check_unnoticed);
}
