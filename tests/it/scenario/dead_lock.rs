//! `dead_lock` on captured states: released, kept, brought back.

use std::path::PathBuf;

use super::undone;
use crate::capture::{Capture, assert_same, verdicts};

/// State, the lock of the process that was killed, its pid.
const DEAD: [(&str, &str, i32); 2] = [
    ("2026.4.15-dead-lock", "dead-38e23391-dc8d-459c-a68e-d02ada031935.jsonl.lock", 19255),
    ("2026.7.1-dead-lock", "dead-76e1635a-c16e-42f5-9a0f-f0592804c5c1.jsonl.lock", 19632),
];

fn path(lock: &str) -> PathBuf {
    PathBuf::from("home/.openclaw/agents/main/sessions").join(lock)
}

#[test]
fn the_lock_of_the_dead_is_released_and_nothing_else_is_touched() {
    for (name, lock, _) in DEAD {
        let capture = Capture::new(name);
        let mut want = capture.contents();
        let ran = capture.run(&["run", "--once", "--json", "--detailed-exit-code"]);
        assert_eq!(ran.code, Some(11), "{ran:?}");
        assert_eq!(ran.json()["summary"]["acted"], 1);
        want.remove(&path(lock)).unwrap();
        assert_same(&capture.contents(), &want, name);
        let again = capture.json(&["run", "--once"]);
        let held = verdicts(&again);
        assert_eq!(held[0], "hold lane_locked agent:main:live-hung");
        assert_eq!(held.len(), 2);
        assert!(held[1].starts_with("hold rpc_not_asked "), "the lock of the live: {}", held[1]);
        assert_same(&capture.contents(), &want, name);
    }
}

#[test]
fn undo_brings_the_lock_back_byte_for_byte_and_it_stays() {
    for (name, lock, _) in DEAD {
        let capture = Capture::new(name);
        let before = capture.contents();
        let report = capture.json(&["run", "--once"]);
        undone::undo(&capture, &undone::action_id(&report, lock));
        // Its time as a file is that of the undo.
        let mut back = capture.contents();
        back.get_mut(&path(lock)).unwrap().modified = before[&path(lock)].modified;
        assert_same(&back, &before, name);
        let after = capture.contents();
        undone::nothing_is_done_again(&capture, &capture.sessions().join(lock), lock);
        assert_eq!(capture.contents().len(), after.len());
    }
}

#[test]
fn a_holder_whose_pid_was_given_away_is_as_dead() {
    for (name, lock, pid) in DEAD {
        let capture = Capture::new(name);
        capture.process(pid, 999_999, "vim");
        let report = capture.json(&["plan"]);
        assert_eq!(verdicts(&report)[0], format!("act holder_recycled {lock}"));
    }
}

#[test]
fn a_lock_whose_holder_lives_is_kept_whatever_its_title() {
    for (name, lock, pid) in DEAD {
        let capture = Capture::new(name);
        let bytes = std::fs::read(capture.sessions().join(lock)).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        capture.process(pid, payload["starttime"].as_u64().unwrap(), "vim");
        let before = capture.contents();
        let report = capture.json(&["run", "--once", "--all"]);
        assert!(verdicts(&report).contains(&format!("hold holder_alive {lock}")), "{name}");
        assert_same(&capture.contents(), &before, name);
    }
}
