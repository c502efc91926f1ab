//! Killed at every step, and looked after by the next start: nothing is left standing still,
//! nothing is signalled that was not ours, and nothing is ended by the recovery.
//!
//! The process that is killed is this test program, run once more.

use std::cell::Cell;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use nix::sys::signal::{Signal as NixSignal, raise};
use rustix::process::Signal;

use super::world::{
    Bent, CLOSED, Grove, ID, RECORD, SENTINEL, Stage, THREE, action, actuator, record, signal,
    until,
};
use crate::act::end_tree::notes::{Note, Notes};
use crate::act::end_tree::*;
use crate::act::{Quarantine, Realm, recover};
use crate::model::{EndCause, RecordClose, UnixMillis};

/// What the child does: `end`, `give_up` when everything stands still, or `recover`.
const WORK: &str = "CLAWARDEN_TEST_WORK";
/// Before which of its steps, counted from 1, it gets which signal.
const AT: &str = "CLAWARDEN_TEST_AT";
const SIGNAL: &str = "CLAWARDEN_TEST_SIGNAL";
const QUARANTINE: &str = "CLAWARDEN_TEST_QUARANTINE";
/// Where it writes what that step is.
const STEP: &str = "CLAWARDEN_TEST_STEP";
/// The tree, root first, as `pid@start_ticks` joined by commas.
const TREE: &str = "CLAWARDEN_TEST_TREE";
const RECORD_PATH: &str = "CLAWARDEN_TEST_RECORD";
/// A process that the look finds below the tree, although it is not.
const STRANGER: &str = "CLAWARDEN_TEST_STRANGER";
/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// Ends a tree, or is killed before step `at`. Returns which step that was.
fn run(
    work: &str,
    at: usize,
    signal: NixSignal,
    stage: &Stage,
    grove: &Grove,
    close: &RecordClose,
) -> (ExitStatus, String) {
    let step = stage.quarantine.path().join("step");
    let mut command = child(work, at, stage, grove);
    let command = command.env(SIGNAL, (signal as i32).to_string()).env(STEP, &step);
    let child = command.env(RECORD_PATH, &close.path).output().unwrap();
    let ended_by = child.status.signal();
    assert!(child.status.success() || ended_by == Some(signal as i32), "{child:#?}");
    let named = fs::read_to_string(&step).unwrap_or_default();
    let _ = fs::remove_file(step);
    (child.status, named)
}

fn child(work: &str, at: usize, stage: &Stage, grove: &Grove) -> Command {
    let tree: Vec<_> = grove.tree_end().members.iter().map(ProcessId::subject_id).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "act::end_tree::tests::crash::child_that_is_told_what_to_do"])
        .env(WORK, work)
        .env(AT, at.to_string())
        .env(SIGNAL, (NixSignal::SIGKILL as i32).to_string())
        .env(QUARANTINE, stage.quarantine.path())
        .env(TREE, tree.join(","));
    command
}

/// Does nothing on its own; the other tests of this file run it as a process of its own.
#[test]
fn child_that_is_told_what_to_do() {
    let Ok(work) = std::env::var(WORK) else { return };
    let env = |name: &str| std::env::var(name).unwrap();
    let at: usize = env(AT).parse().unwrap();
    let signal = NixSignal::try_from(env(SIGNAL).parse::<i32>().unwrap()).unwrap();
    let count = Cell::new(0);
    let before = |step: Step| {
        count.set(count.get() + 1);
        if count.get() == at {
            fs::write(env(STEP), format!("{step:?}")).unwrap();
            raise(signal).unwrap();
        }
    };
    let quarantine = PathBuf::from(env(QUARANTINE));
    let judge = |nth| match work.as_str() {
        "give_up" if nth == 2 => Err("it has been reached".to_owned()),
        _ => Ok(()),
    };
    let bend = |_, tree: &mut Vec<Member>| {
        let stranger = std::env::var(STRANGER).ok().map(|subject| process(&subject));
        let like = tree.last().cloned().zip(stranger);
        tree.extend(like.map(|(last, id)| Member { id, ..last }));
    };
    let census = Bent { judge: &judge, bend: &bend, ..Bent::default() };
    let actuator = actuator(&quarantine, &census, &before);
    if work == "recover" {
        recover(&actuator, ID).unwrap();
        return;
    }
    let tree = env(TREE);
    let members: Vec<_> = tree.split(',').map(process).collect();
    let path = PathBuf::from(env(RECORD_PATH));
    let record = RecordClose {
        expected: crate::act::file::stamp(&path).unwrap(),
        path,
        record_id: "agent:claude:acp:x:oneshot:y".to_owned(),
        closed_at: UnixMillis(1_795_159_292_734),
    };
    let end = TreeEnd {
        boot: untouchable::here().unwrap().boot,
        root: members[0],
        members,
        cause: EndCause::Orphan,
        term_wait: Duration::from_millis(300),
        record: Some(record).filter(|_| work != "not_permitted"),
    };
    let performed = actuator.perform(ID, &action(&end));
    match performed {
        Err(ActError::Signal { id, .. }) if work == "not_permitted" => {
            assert_eq!(Some(id.subject_id()), std::env::var(STRANGER).ok());
        }
        other => assert!(other.is_ok() && work != "not_permitted", "{other:?}"),
    }
}

fn process(subject: &str) -> ProcessId {
    let (pid, start_ticks) = subject.split_once('@').unwrap();
    ProcessId { pid: pid.parse().unwrap(), start_ticks: start_ticks.parse().unwrap() }
}

fn look_after(stage: &Stage) -> Performed {
    let census = Bent::default();
    recover(&stage.actuator(&census, &|_| {}), ID).unwrap()
}

/// Every step is killed once, all at the same time: they wait more than they work.
fn at_every_step(work: &str, script: &str, steps: &str) {
    let sentinel = Grove::grow(SENTINEL, 2);
    let steps: Vec<&str> = steps.split(' ').collect();
    let told = steps.iter().position(|step| *step == "Terminate").unwrap_or(steps.len());
    std::thread::scope(|scope| {
        for (place, step) in steps.iter().enumerate() {
            scope.spawn(move || killed(work, script, place + 1, step, place >= told));
        }
    });
    let (grove, stage) = (Grove::grow(script, 3), Stage::new());
    let close = record(grove.folder.path());
    let end = run(work, steps.len() + 1, NixSignal::SIGKILL, &stage, &grove, &close);
    assert!(end.0.success() && end.1.is_empty(), "these are all: {end:?}");
    sentinel.check_unnoticed();
}

fn killed(work: &str, script: &str, at: usize, step: &str, was_told: bool) {
    let (grove, stage) = (Grove::grow(script, 3), Stage::new());
    until("it is ready", || script == THREE || grove.path("ready").exists());
    let _ = fs::remove_file(grove.path("ready"));
    let close = record(grove.folder.path());
    let (_, killed_before) = run(work, at, NixSignal::SIGKILL, &stage, &grove, &close);
    let performed = look_after(&stage);
    let case = format!("killed before step {at}, {step}: {performed:?}");
    assert_eq!(killed_before, step, "{case}");
    let (want, text) = if !was_told {
        grove.check_unharmed();
        (Outcome::Changed, RECORD)
    } else if grove.look().is_empty() {
        (Outcome::Done, CLOSED)
    } else {
        (Outcome::Unverified, CLOSED)
    };
    assert_eq!(performed.outcome, want, "{case}");
    grove.check_nothing_stands_still();
    assert_eq!(fs::read_to_string(&close.path).unwrap(), text, "{case}");
    assert_eq!(fs::read_dir(grove.folder.path()).unwrap().count(), 1, "{case}");
    assert_eq!(look_after(&stage).outcome, want, "once more: {case}");
}

#[test]
fn a_crash_at_any_step_leaves_nothing_that_stands_still() {
    let steps = "Begin WriteAside Move Compare Stop Stop Stop Terminate Terminate Terminate \
                 Continue Continue Continue Verify Remove";
    at_every_step("end", THREE, steps);
}

#[test]
fn a_crash_at_any_step_of_a_kill_leaves_nothing_that_stands_still() {
    let script = r#"sh -c 'trap "" TERM; echo > "$DIR/ready"; while :; do sleep 600; done' & wait"#;
    let steps = "Begin WriteAside Move Compare Stop Stop Stop Terminate Terminate Terminate \
                 Continue Continue Continue Stop Stop Kill Kill Verify Remove";
    at_every_step("end", script, steps);
}

#[test]
fn a_crash_at_any_step_of_giving_up_leaves_everything_as_it_was() {
    let steps = "Begin WriteAside Move Compare Stop Stop Stop Continue Continue Continue \
                 Move Compare Remove";
    at_every_step("give_up", THREE, steps);
}

#[test]
fn a_recovery_that_crashes_is_recovered() {
    // Before the third is stopped, and before the first is continued, all of them told to end.
    for end_at in [7, 11] {
        for at in 1.. {
            let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
            let close = record(grove.folder.path());
            run("end", end_at, NixSignal::SIGKILL, &stage, &grove, &close);
            assert!(grove.look().iter().filter(|(_, state)| *state == 'T').count() > 1);
            let (status, step) = run("recover", at, NixSignal::SIGKILL, &stage, &grove, &close);
            let performed = look_after(&stage);
            let want = if end_at == 7 { Outcome::Changed } else { Outcome::Done };
            assert_eq!(performed.outcome, want, "{end_at} {at} {step}");
            grove.check_nothing_stands_still();
            let text = if end_at == 7 { RECORD } else { CLOSED };
            assert_eq!(fs::read_to_string(&close.path).unwrap(), text, "{end_at} {at} {step}");
            assert_eq!(fs::read_dir(grove.folder.path()).unwrap().count(), 1);
            if status.success() {
                assert!(at > 2, "{at}");
                break;
            }
        }
    }
}

#[test]
fn a_signal_to_us_waits_until_everything_runs() {
    for at in 5..=7 {
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let close = record(grove.folder.path());
        let (status, step) = run("end", at, NixSignal::SIGTERM, &stage, &grove, &close);
        assert_eq!((status.signal(), step.as_str()), (Some(NixSignal::SIGTERM as i32), "Stop"));
        grove.check_nothing_stands_still();
        until("all of them have ended", || grove.look().is_empty());
        assert_eq!(look_after(&stage).outcome, Outcome::Done);
    }
}

#[test]
fn one_that_we_may_not_signal_leaves_all_of_them_running() {
    let (stage, stranger) = (Stage::new(), Grove::grow(SENTINEL, 2));
    let mut command = Command::new("sh");
    command.args(["-c", THREE]).uid(NOBODY).current_dir("/");
    let may = nix::unistd::geteuid().is_root()
        && Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .uid(NOBODY)
            .output()
            .is_ok();
    if !may {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let grove = Grove::of(command, tempfile::tempdir().unwrap(), 3);
    let close = record(grove.folder.path());
    std::os::unix::fs::chown(stage.quarantine.path(), Some(NOBODY), None).unwrap();
    std::os::unix::fs::chown(grove.folder.path(), Some(NOBODY), None).unwrap();
    let mut command = child("not_permitted", 0, &stage, &grove);
    let command = command.env(STRANGER, stranger.root.subject_id()).env(RECORD_PATH, &close.path);
    let output = command.uid(NOBODY).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert!(stage.quarantine.path().join("7/stopped.jsonl").exists(), "they were stopped");
    grove.check_unharmed();
    stranger.check_unnoticed();
}

/// A crash that left these notes in that realm.
fn noted(stage: &Stage, realm: Realm, root: ProcessId, notes: &[Note]) {
    let quarantine = Quarantine::new(stage.quarantine.path().to_owned());
    let manifest = TreeManifest { realm, root, record: None };
    quarantine.begin(ID, &Manifest::EndTree(Box::new(manifest))).unwrap();
    Notes::create(&quarantine, ID).unwrap().add(notes).unwrap();
}

#[test]
fn only_the_very_process_of_the_very_boot_that_was_noted_is_continued() {
    let here = untouchable::here().unwrap();
    let boot = Realm { boot: crate::model::BootId("another".to_owned()), ..here.clone() };
    let namespace = Realm { pid_namespace: "pid:[1]".to_owned(), ..here.clone() };
    let own = |id: ProcessId| id;
    let other = |id: ProcessId| ProcessId { start_ticks: id.start_ticks - 1, ..id };
    for (realm, as_noted, runs) in [
        (&here, &own as &dyn Fn(ProcessId) -> ProcessId, true),
        (&here, &other, false),
        (&boot, &own, false),
        (&namespace, &own, false),
    ] {
        let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
        signal(grove.root, Signal::STOP);
        until("it stands still", || grove.look()[0].1 == 'T');
        noted(&stage, realm.clone(), grove.root, &[Note::Stop(as_noted(grove.root))]);
        assert_eq!(look_after(&stage).outcome, Outcome::Changed);
        assert_eq!(grove.look()[0].1 != 'T', runs, "{realm:?}");
    }
}

#[test]
fn what_somebody_else_stops_after_we_continued_it_stays_so() {
    let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
    signal(grove.root, Signal::STOP);
    until("it stands still", || grove.look()[0].1 == 'T');
    let notes = [Note::Stop(grove.root), Note::Terminate, Note::Continued];
    noted(&stage, untouchable::here().unwrap(), grove.root, &notes);
    assert_eq!(look_after(&stage).outcome, Outcome::Unverified);
    assert_eq!(grove.look()[0].1, 'T');
}

#[test]
fn a_torn_note_keeps_nobody_from_being_continued() {
    let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
    noted(&stage, untouchable::here().unwrap(), grove.root, &[Note::Stop(grove.root)]);
    let path = stage.quarantine.path().join("7/stopped.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    assert_eq!(
        whole,
        format!(
            "{{\"stop\":{{\"pid\":{},\"start_ticks\":{}}}}}\n",
            grove.root.pid, grove.root.start_ticks
        )
    );
    for torn in ["{\"stop\":{\"pid\":1", "\u{0}\u{0}", "\"term"] {
        signal(grove.root, Signal::STOP);
        until("it stands still", || grove.look()[0].1 == 'T');
        fs::write(&path, format!("{torn}\n{whole}{torn}")).unwrap();
        assert_eq!(look_after(&stage).outcome, Outcome::Changed);
        until("it runs", || grove.look()[0].1 != 'T');
    }
}

#[test]
fn a_dry_run_of_a_recovery_touches_nothing() {
    let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
    noted(&stage, untouchable::here().unwrap(), grove.root, &[Note::Stop(grove.root)]);
    signal(grove.root, Signal::STOP);
    until("it stands still", || grove.look()[0].1 == 'T');
    let census = Bent::default();
    let actuator = stage.actuator(&census, &|_| {});
    let actuator = Actuator { reach: Reach::DryRun, ..actuator };
    assert_eq!(recover(&actuator, ID).unwrap().outcome, Outcome::WouldDo);
    assert_eq!(grove.look()[0].1, 'T');
}
