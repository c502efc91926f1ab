#[cfg(test)]
mod crash;
#[cfg(test)]
mod left_alone;
#[cfg(test)]
mod meanwhile;
#[cfg(test)]
mod world;

use std::cell::{Cell, RefCell};
use std::fs;

use nix::sys::signal::SigSet;
use rustix::process::Signal;

use super::*;
use crate::act::undo;
use world::{Bent, CLOSED, Grove, ID, RECORD, Stage, THREE, record, signal, until};

/// Without what a parent that does not reap adds: here, that is up to the init of the machine.
fn note(performed: &Performed) -> &str {
    let note = performed.note.as_deref().unwrap_or_default();
    let zombie = note.contains("is a zombie of").then(|| note.rfind("; pid")).flatten();
    &note[..zombie.unwrap_or(note.len())]
}

#[test]
fn a_tree_of_three_levels_ends_and_says_what_was_freed() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let performed = stage.end(&grove.tree_end()).unwrap();
    assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
    assert_eq!(note(&performed), "3 processes ended, 15 MiB freed");
    grove.check_gone();
}

#[test]
fn while_anything_stands_still_no_signal_ends_or_stops_us() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let masks = RefCell::new(Vec::new());
    let before = |step| {
        if matches!(step, Step::Stop | Step::Terminate) {
            masks.borrow_mut().push(SigSet::thread_get_mask().unwrap());
        }
    };
    let performed = stage.end_with(&grove.tree_end(), &Bent::default(), &before).unwrap();
    assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
    assert_eq!(masks.borrow().len(), 6);
    for ends in ["SIGTERM", "SIGINT", "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU"] {
        let ends = ends.parse().unwrap();
        assert!(masks.borrow().iter().all(|mask| mask.contains(ends)), "{ends}");
        assert!(!SigSet::thread_get_mask().unwrap().contains(ends), "{ends}");
    }
}

#[test]
fn a_parent_that_does_not_reap_is_named() {
    let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
    let performed = stage.end(&grove.tree_end()).unwrap();
    let want = format!(
        "1 process ended, 5 MiB freed; pid {} is a zombie of pid {}, which does not reap it",
        grove.root.pid,
        std::process::id()
    );
    assert_eq!(performed, Performed { outcome: Outcome::Done, note: Some(want) });
}

#[test]
fn a_dry_run_says_how_much_it_would_end_and_signals_nobody() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let census = Bent::default();
    let before = |step| panic!("{step:?}");
    let actuator = Actuator { reach: Reach::DryRun, ..stage.actuator(&census, &before) };
    let mut end = grove.tree_end();
    end.record = Some(record(grove.folder.path()));
    let performed = actuator.perform(ID, &world::action(&end)).unwrap();
    let note = Some("3 processes to end, 15 MiB to free".to_owned());
    assert_eq!(performed, Performed { outcome: Outcome::WouldDo, note });
    assert_eq!(fs::read_dir(stage.quarantine.path()).unwrap().count(), 0);
    grove.check_unharmed();

    // As the live run would have it. The boot is asked there only: that of a captured table differs.
    fs::write(&end.record.as_ref().unwrap().path, "{}").unwrap();
    assert_eq!(actuator.perform(ID, &world::action(&end)).unwrap().outcome, Outcome::Changed);
}

#[test]
fn one_that_ignores_sigterm_is_killed_and_counted() {
    // What ignores a signal hands that down to what it starts.
    let script = r#"sh -c 'trap "" TERM; echo > "$DIR/ready"; sleep 600; :' & wait"#;
    let (grove, stage) = (Grove::grow(script, 3), Stage::new());
    until("the trap is set", || grove.path("ready").exists());
    let end = TreeEnd { term_wait: Duration::from_millis(300), ..grove.tree_end() };
    let performed = stage.end(&end).unwrap();
    assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
    assert!(note(&performed).ends_with("; 2 had to be killed"), "{performed:?}");
    grove.check_gone();
}

#[test]
fn what_a_handler_of_sigterm_starts_ends_too() {
    let script = r#"trap 'sleep 600 &' TERM; echo > "$DIR/ready"; while :; do sleep 0.1; done"#;
    let (grove, stage) = (Grove::grow(script, 2), Stage::new());
    until("the trap is set", || grove.path("ready").exists());
    let end = TreeEnd { term_wait: Duration::from_millis(500), ..grove.tree_end() };
    let before = |step| {
        // What has lost its parent is found no more.
        if step == Step::Kill {
            grove.look();
        }
    };
    let performed = stage.end_with(&end, &Bent::default(), &before).unwrap();
    assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
    grove.check_gone();
}

#[test]
fn what_is_gone_already_is_no_failure() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let end = grove.tree_end();
    signal(grove.root, Signal::KILL);
    until("the root has ended", || !grove.ids().contains(&grove.root));
    let performed = stage.end_with(&end, &Bent::default(), &|step| panic!("{step:?}")).unwrap();
    assert_eq!(performed.outcome, Outcome::AlreadyGone);
    grove.check_nothing_stands_still();
    assert_eq!(grove.look().len(), 2, "what was below it is judged anew");
}

#[test]
fn a_hurry_ends_the_wait_and_nothing_is_killed() {
    let script = r#"trap "" TERM; echo > "$DIR/ready"; while :; do sleep 1; done"#;
    let (grove, stage) = (Grove::grow(script, 2), Stage::new());
    until("the trap is set", || grove.path("ready").exists());
    let end = grove.tree_end();
    let census = Bent::default();
    let is_told = Cell::new(false);
    let before = |step| {
        assert_ne!(step, Step::Kill);
        is_told.set(is_told.get() || step == Step::Continue);
    };
    let hurry = || is_told.get();
    let actuator = Actuator { hurry: &hurry, ..stage.actuator(&census, &before) };
    let performed = actuator.perform(ID, &world::action(&end)).unwrap();
    assert_eq!(performed.outcome, Outcome::Unverified);
    assert!(note(&performed).starts_with("asked to stop while they were ending; "));
    assert!(grove.ids().contains(&grove.root));
    grove.check_nothing_stands_still();
}

#[test]
fn a_panic_at_any_step_leaves_nothing_that_stands_still() {
    for at in 1.. {
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let count = Cell::new(0);
        let stop = |_| {
            count.set(count.get() + 1);
            if count.get() == at {
                std::panic::resume_unwind(Box::new("crash"));
            }
        };
        let end = grove.tree_end();
        let run = std::panic::AssertUnwindSafe(|| stage.end_with(&end, &Bent::default(), &stop));
        let run = std::panic::catch_unwind(run);
        grove.check_nothing_stands_still();
        if let Ok(performed) = run {
            assert_eq!(performed.unwrap().outcome, Outcome::Done);
            // Begin, three times each Stop, Terminate and Continue, and Verify.
            assert_eq!(at, 12);
            break;
        }
    }
}

#[test]
fn the_record_is_closed_with_the_tree_and_opened_again_by_an_undo() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let close = record(grove.folder.path());
    let end = TreeEnd { record: Some(close.clone()), ..grove.tree_end() };
    let performed = stage.end(&end).unwrap();
    assert_eq!(performed.outcome, Outcome::Done);
    assert_eq!(note(&performed), "3 processes ended, 15 MiB freed; its session record is closed");
    assert_eq!(fs::read_to_string(&close.path).unwrap(), CLOSED);
    assert_eq!(fs::read_dir(grove.folder.path()).unwrap().count(), 1, "nothing is left behind");

    let census = Bent::default();
    let actuator = stage.actuator(&census, &|_| {});
    let performed = undo(&actuator, ID, ActionId(8)).unwrap();
    let note = "only its session record; ended processes cannot be brought back".to_owned();
    assert_eq!(performed, Performed { outcome: Outcome::Done, note: Some(note) });
    assert_eq!(fs::read_to_string(&close.path).unwrap(), RECORD);
    assert_eq!(undo(&actuator, ActionId(8), ActionId(9)).unwrap().outcome, Outcome::Changed);
    assert_eq!(undo(&actuator, ID, ActionId(10)).unwrap().outcome, Outcome::Changed);
}

#[test]
fn without_a_record_an_undo_changes_nothing() {
    let (grove, stage) = (Grove::grow("exec sleep 600", 1), Stage::new());
    stage.end(&grove.tree_end()).unwrap();
    let census = Bent::default();
    let performed = undo(&stage.actuator(&census, &|_| {}), ID, ActionId(8)).unwrap();
    assert_eq!(performed, Performed::changed("ended processes cannot be brought back"));
}

#[test]
fn what_is_kept_of_it_is_written_so_and_read_again() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let close = record(grove.folder.path());
    let end = TreeEnd { record: Some(close.clone()), ..grove.tree_end() };
    stage.end(&end).unwrap();
    let kept = |name| fs::read_to_string(stage.quarantine.path().join("7").join(name)).unwrap();
    let realm = untouchable::here().unwrap();
    let want = serde_json::json!({
        "kind": "end_tree",
        "realm": { "boot": realm.boot.0, "pid_namespace": realm.pid_namespace },
        "root": { "pid": grove.root.pid, "start_ticks": grove.root.start_ticks },
        "record": {
            "path": close.path,
            "read": close.expected,
            "before": RECORD,
            "after": CLOSED,
        },
    });
    let text = kept("manifest.json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), want);
    let census = Bent::default();
    let quarantine = stage.actuator(&census, &|_| {}).quarantine;
    let manifest = quarantine.manifest(ID).unwrap().unwrap();
    assert_eq!(serde_json::to_string_pretty(&manifest).unwrap(), text);

    let stops = end.members.iter().map(|id| {
        format!("{{\"stop\":{{\"pid\":{},\"start_ticks\":{}}}}}\n", id.pid, id.start_ticks)
    });
    let want = stops.collect::<String>() + "\"terminate\"\n\"continued\"\n";
    assert_eq!(kept("stopped.jsonl"), want);
}
