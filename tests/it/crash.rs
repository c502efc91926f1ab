//! Killed at every step of an action, and started again: nothing is repeated, nothing forgotten.
//!
//! The process that is killed is this test program, run once more: it does what the program does,
//! with a hook that sends it SIGKILL. What it left is then for the real program.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use clawarden::act::{Reach, Step};
use clawarden::clock::Clock;
use clawarden::config;
use clawarden::journal::{self, ActionLock, Instance, Journal};
use clawarden::model::ActionId;
use clawarden::observe::Observer;
use clawarden::observe::locate::{Request, locate};
use clawarden::pass::Passes;
use nix::sys::signal::{Signal, raise};
use serde_json::Value;

use crate::cli::stage::{STALE, Stage};

/// What the child does: `pass`, `undo` (of action 1) or `recover`.
const WORK: &str = "CLAWARDEN_IT_WORK";
/// The step before which it is killed.
const KILL_BEFORE: &str = "CLAWARDEN_IT_KILL_BEFORE";
const PROC_ROOT: &str = "CLAWARDEN_IT_PROC_ROOT";

const STEPS: [Step; 13] = [
    Step::Begin,
    Step::WriteAside,
    Step::TakeStoreLock,
    Step::Move,
    Step::Compare,
    Step::Remove,
    Step::Stop,
    Step::Terminate,
    Step::Continue,
    Step::Kill,
    Step::Call,
    Step::Verify,
    Step::Conclude,
];

/// Longer than the cool-down, shorter than the protection after an undo.
const LATER: Duration = Duration::from_secs(16 * 60);

/// What a restart makes of an action that was killed before `step`; `None` if the action has no
/// such step. Every step is named, so that a new one stops the build.
type Fate = fn(Step) -> Option<&'static str>;

fn release(step: Step) -> Option<&'static str> {
    match step {
        Step::Begin | Step::Move => Some("changed"),
        Step::Compare | Step::Remove | Step::Verify | Step::Conclude => Some("done"),
        Step::WriteAside | Step::TakeStoreLock => None,
        Step::Stop | Step::Terminate | Step::Continue | Step::Kill | Step::Call => None,
    }
}

fn settle(step: Step) -> Option<&'static str> {
    match step {
        Step::Begin | Step::WriteAside | Step::TakeStoreLock | Step::Move => Some("changed"),
        Step::Compare | Step::Remove | Step::Verify | Step::Conclude => Some("done"),
        Step::Stop | Step::Terminate | Step::Continue | Step::Kill | Step::Call => None,
    }
}

fn undo_of_release(step: Step) -> Option<&'static str> {
    match step {
        Step::Begin | Step::WriteAside | Step::Move => Some("changed"),
        Step::Conclude => Some("done"),
        Step::TakeStoreLock | Step::Compare | Step::Remove | Step::Verify => None,
        Step::Stop | Step::Terminate | Step::Continue | Step::Kill | Step::Call => None,
    }
}

fn undo_of_settle(step: Step) -> Option<&'static str> {
    match step {
        Step::Begin | Step::WriteAside | Step::TakeStoreLock | Step::Move => Some("changed"),
        Step::Compare | Step::Remove | Step::Conclude => Some("done"),
        Step::Verify => None,
        Step::Stop | Step::Terminate | Step::Continue | Step::Kill | Step::Call => None,
    }
}

#[test]
fn a_release_that_was_killed_is_finished_or_tried_again_and_never_repeated() {
    at_every_step(release, |step, fate| killed_pass(Stage::with_dead_lock(), step, fate));
}

#[test]
fn a_settle_that_was_killed_is_finished_or_tried_again_and_never_repeated() {
    at_every_step(settle, |step, fate| killed_pass(Stage::with_stale_lane(), step, fate));
}

#[test]
fn an_undo_of_a_release_that_was_killed_is_finished_or_can_be_asked_for_again() {
    at_every_step(undo_of_release, |step, fate| killed_undo(Stage::with_dead_lock(), step, fate));
}

#[test]
fn an_undo_of_a_settle_that_was_killed_is_finished_or_can_be_asked_for_again() {
    at_every_step(undo_of_settle, |step, fate| killed_undo(Stage::with_stale_lane(), step, fate));
}

#[test]
fn a_recovery_that_was_killed_is_recovered() {
    for step in [Step::Compare, Step::Remove, Step::Verify] {
        let stage = Stage::with_dead_lock();
        assert!(is_killed(&stage, "pass", Step::Compare));
        assert!(is_killed(&stage, "recover", step), "{step:?}");
        let report = stage.run(&["run", "--once", "--json"]).exits(0).json();
        assert_eq!(recovered(&report), [(1, "done")], "{step:?}");
        check_nothing_left(&stage);
        check_all_concluded(&stage, 1);
    }
}

#[test]
fn what_a_killed_pass_did_not_get_to_is_done_by_the_next() {
    let stage = Stage::with_stale_lane();
    stage.dead_lock();
    assert!(is_killed(&stage, "pass", Step::Begin), "locks come first");
    let report = stage.run(&["run", "--once", "--json"]).exits(0).json();
    assert_eq!(recovered(&report), [(1, "changed")]);
    assert_eq!(report["summary"]["acted"], 1, "the lane: {report:#}");
    assert!(stage.lock().exists(), "the lock cools down");
    let report = stage.run_later(LATER, &["run", "--once", "--json"]).exits(0).json();
    assert_eq!(report["summary"]["acted"], 1, "the lock: {report:#}");
    assert!(!stage.lock().exists());
    check_all_concluded(&stage, 3);
}

/// Runs `case` for every step that the action has, at the same time: they wait more than they
/// work. Of the others, shows that the action does not have them.
fn at_every_step(fate: Fate, case: impl Fn(Step, Option<&'static str>) + Sync) {
    std::thread::scope(|scope| {
        for step in STEPS {
            let case = &case;
            scope.spawn(move || case(step, fate(step)));
        }
    });
}

fn killed_pass(stage: Stage, step: Step, fate: Option<&'static str>) {
    let before = Seen::of(&stage);
    assert_eq!(is_killed(&stage, "pass", step), fate.is_some(), "{step:?}");
    let Some(fate) = fate else { return };
    let report = stage.run(&["run", "--once", "--json"]).exits(0).json();
    assert_eq!(recovered(&report), [(1, fate)], "{step:?}");
    assert_eq!(report["summary"]["acted"], 0, "not twice within the cool-down: {report:#}");
    check_nothing_left(&stage);
    check_all_concluded(&stage, 1);
    let repaired = if fate == "done" {
        let repaired = check_repaired(&stage, &before, 1);
        rest(&stage);
        let report = stage.run_later(LATER, &["run", "--once", "--json"]).exits(0).json();
        assert_eq!(report["summary"]["acted"], 0, "never again: {report:#}");
        repaired
    } else {
        assert_eq!(Seen::of(&stage), before, "{step:?}");
        assert_eq!(report["verdicts"][0]["reason"]["code"], "cooling_down", "{report:#}");
        let report = stage.run_later(LATER, &["run", "--once", "--json"]).exits(0).json();
        assert_eq!(report["summary"]["acted"], 1, "not forgotten: {report:#}");
        check_repaired(&stage, &before, 2)
    };
    let acted = if fate == "done" { "1" } else { "2" };
    assert_eq!(Seen::of(&stage), repaired);
    rest(&stage);
    stage.run(&["undo", acted]).exits(0);
    assert_eq!(Seen::of(&stage), before, "{step:?}");
    check_nothing_left(&stage);
}

fn killed_undo(stage: Stage, step: Step, fate: Option<&'static str>) {
    let before = Seen::of(&stage);
    let report = stage.run(&["run", "--once", "--json"]).exits(0).json();
    assert_eq!(report["summary"]["acted"], 1, "{report:#}");
    let repaired = check_repaired(&stage, &before, 1);
    rest(&stage);
    assert_eq!(is_killed(&stage, "undo", step), fate.is_some(), "{step:?}");
    let Some(fate) = fate else { return };
    let report = stage.run(&["run", "--once", "--json"]).exits(0).json();
    assert_eq!(recovered(&report), [(2, fate)], "{step:?}");
    assert_eq!(report["summary"]["acted"], 0, "{report:#}");
    check_nothing_left(&stage);
    check_all_concluded(&stage, 2);
    rest(&stage);
    let again = stage.run(&["undo", "1"]);
    if fate == "done" {
        let again = again.exits(1);
        assert!(again.stderr.contains("undone already, by action 2"), "{again:#?}");
    } else {
        assert_ne!(Seen::of(&stage), repaired);
        again.exits(0);
    }
    assert_eq!(Seen::of(&stage), before, "{step:?}");
    let report = stage.run_later(LATER, &["run", "--once", "--json"]).exits(0).json();
    assert_eq!(report["verdicts"][0]["reason"]["code"], "protected", "{report:#}");
    assert_eq!(Seen::of(&stage), before, "{step:?}");
}

/// What an action may change: the store and the lock, byte for byte.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    store: String,
    lock: Option<String>,
}

impl Seen {
    fn of(stage: &Stage) -> Seen {
        let store = fs::read_to_string(stage.store()).unwrap();
        Seen { store, lock: fs::read_to_string(stage.lock()).ok() }
    }
}

/// Exactly what action `id` says it repairs is repaired, and nothing else has changed.
#[track_caller]
fn check_repaired(stage: &Stage, before: &Seen, id: i64) -> Seen {
    let manifest = stage.own_dir().join(format!("quarantine/{id}/manifest.json"));
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let text = |name: &str| manifest[name].as_str().unwrap().to_owned();
    let want = if manifest["kind"] == "release_lock" {
        assert_eq!(before.lock, Some(text("text")), "kept byte for byte");
        Seen { lock: None, ..before.clone() }
    } else {
        let store = before.store.replace(&text("before"), &text("after"));
        Seen { store, ..before.clone() }
    };
    assert_eq!(Seen::of(stage), want);
    assert_ne!(want, *before);
    if before.lock.is_none() {
        let store: Value = serde_json::from_str(&want.store).unwrap();
        assert_eq!(store[STALE]["status"], "failed");
        assert!(store[STALE]["endedAt"].is_i64());
    }
    want
}

#[track_caller]
fn check_nothing_left(stage: &Stage) {
    let ours = |name: &String| name.starts_with(".clawarden-") || name == "sessions.json.lock";
    let names = stage.names();
    assert!(!names.iter().any(ours), "{names:?}");
}

/// Every intent has an outcome.
#[track_caller]
fn check_all_concluded(stage: &Stage, actions: usize) {
    let lines = stage.run(&["history", "--actions", "--json"]).exits(0).json_lines();
    assert_eq!(lines.len(), actions, "{lines:#?}");
    assert!(lines.iter().all(|line| line["outcome"].is_string()), "{lines:#?}");
}

fn recovered(report: &Value) -> Vec<(i64, &str)> {
    let pair = |found: &'_ Value| found["action_id"].as_i64().unwrap();
    let found = report["recovered"].as_array().unwrap();
    found.iter().map(|found| (pair(found), found["outcome"].as_str().unwrap())).collect()
}

/// Lets the store look as if it had not been written for a minute.
fn rest(stage: &Stage) {
    let text = fs::read_to_string(stage.store()).unwrap();
    stage.write(&stage.store(), &text, 60);
}

/// Runs the child; true if it came to `step` and was killed there.
fn is_killed(stage: &Stage, work: &str, step: Step) -> bool {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_kills_itself_if_told_to", "--nocapture"])
        .env_clear()
        .envs(stage.env())
        .env(WORK, work)
        .env(KILL_BEFORE, format!("{step:?}"))
        .env(PROC_ROOT, stage.path("proc"))
        .env("CLAWARDEN_NOW", stage.now.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let killed = child.status.signal() == Some(Signal::SIGKILL as i32);
    assert!(killed || child.status.success(), "{work} {step:?}: {child:#?}");
    killed
}

/// Does nothing on its own; the other tests of this file run it as a process of its own.
#[test]
fn child_that_kills_itself_if_told_to() {
    let Ok(work) = std::env::var(WORK) else {
        println!("nothing to do: this is a child of the other tests");
        return;
    };
    if work == "undo" {
        let mut passes = passes(|dir| Journal::open_beside(dir).unwrap());
        let _lock = ActionLock::take(&passes.dir, Duration::ZERO).unwrap();
        let record = passes.journal.action(ActionId(1)).unwrap().unwrap();
        passes.undo(&record, "").unwrap().performed.unwrap();
        return;
    }
    let mut instance = None;
    let mut passes = passes(|dir| {
        let instance = instance.insert(Instance::take(dir).unwrap());
        Journal::open(instance, Clock::from_env().unwrap().now()).unwrap().journal
    });
    if work == "recover" {
        passes.recover().unwrap();
    } else {
        passes.run(&|| false).unwrap();
    }
}

fn passes(journal: impl FnOnce(&std::path::Path) -> Journal) -> Passes {
    let env = |name: &str| std::env::var(name).ok();
    let config = config::load(None, &env).unwrap().config;
    let install = locate(&Request { state_dir: None, env: &env }).unwrap();
    let home = journal::state_home(&|name| std::env::var_os(name)).unwrap();
    let dir = journal::prepare(&home, &install.state_dir).unwrap();
    let proc_root = std::env::var_os(PROC_ROOT).unwrap();
    let observer = Observer::new(install, proc_root.as_ref(), Box::new(env));
    let (journal, clock) = (journal(&dir), Clock::from_env().unwrap());
    let passes = Passes::new(config, observer, journal, dir, Reach::Live, clock);
    Passes { before: kill_oneself, ..passes }
}

fn kill_oneself(step: Step) {
    if std::env::var(KILL_BEFORE).is_ok_and(|wanted| wanted == format!("{step:?}")) {
        raise(Signal::SIGKILL).unwrap();
    }
}
