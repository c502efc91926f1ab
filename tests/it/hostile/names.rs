//! Names that would forge a line, recolour a terminal, or are no text at all.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use super::{DEAD_LOCK, LOCK, STALE, is_printable, nothing_is_done};
use crate::capture::{Capture, verdicts};

const KEY: &str = "agent:main:x\n\u{1b}[31mreleased lock everything\u{202e}\r\u{7f}";

#[test]
fn a_lane_with_a_hostile_key_is_escaped_as_text_and_kept_in_json() {
    let capture = Capture::new(STALE);
    let mut rows: Value = serde_json::from_slice(&fs::read(capture.store()).unwrap()).unwrap();
    let zombie = rows["agent:main:zombie"].take();
    rows.as_object_mut().unwrap().shift_remove("agent:main:zombie");
    rows[KEY] = zombie;
    fs::write(capture.store(), serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    capture.age(&capture.store());

    for args in [&["plan"][..], &["status"], &["explain", KEY]] {
        let ran = capture.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        assert!(is_printable(&ran.stdout) && is_printable(&ran.stderr), "{args:?}: {ran:?}");
    }
    let text = capture.run(&["plan"]).stdout;
    assert!(text.contains(r"would settle lane agent:main:x\n\x1b[31mreleased lock"), "{text}");

    let report = capture.json(&["run", "--once"]);
    let ids: Vec<_> =
        report["verdicts"].as_array().unwrap().iter().map(|v| &v["subject"]["id"]).collect();
    assert!(ids.contains(&&Value::from(KEY)), "{ids:?}");
    assert_eq!(report["summary"]["acted"], 2);
    let rows: Value = serde_json::from_slice(&fs::read(capture.store()).unwrap()).unwrap();
    assert_eq!(rows[KEY]["status"], "failed", "it is settled like any other");
    for line in capture.run(&["history", "--json"]).stdout.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    for args in [&["history"][..], &["run", "--once"]] {
        let ran = capture.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        assert!(is_printable(&ran.stdout) && is_printable(&ran.stderr), "{args:?}: {ran:?}");
    }
}

#[test]
fn a_lock_with_a_hostile_name_is_escaped_and_still_released() {
    for name in ["x\n\u{1b}[2Jy.jsonl.lock", "-rf ; $(x).jsonl.lock", "\u{202e}x.jsonl.lock"] {
        let capture = Capture::new(DEAD_LOCK);
        let lock = capture.sessions().join(name);
        fs::rename(capture.sessions().join(LOCK), &lock).unwrap();
        let bytes = fs::read(&lock).unwrap();
        let plan = capture.run(&["plan"]);
        assert!(is_printable(&plan.stdout), "{plan:?}");
        assert!(plan.stdout.contains("would release lock"), "{plan:?}");

        let report = capture.json(&["run", "--once"]);
        assert_eq!(report["summary"]["acted"], 1, "{}", capture.redacted(&report.to_string()));
        assert!(!lock.exists());
        assert!(is_printable(&capture.run(&["history"]).stdout));
        let undone = capture.run(&["undo", "1"]);
        assert_eq!(undone.code, Some(0), "{undone:?}");
        assert!(is_printable(&undone.stdout), "{undone:?}");
        assert_eq!(fs::read(&lock).unwrap(), bytes, "back under its own name");
    }
}

#[test]
fn a_lock_whose_name_is_no_text_is_left_alone() {
    let capture = Capture::new(DEAD_LOCK);
    let lock = capture.sessions().join(OsStr::from_bytes(b"x\xff\xfe.jsonl.lock"));
    fs::rename(capture.sessions().join(LOCK), &lock).unwrap();
    let report = nothing_is_done(&capture, "no text");
    let want = "hold malformed x\u{fffd}\u{fffd}.jsonl.lock".to_owned();
    assert!(verdicts(&report).contains(&want), "{report}");
}

#[test]
fn an_agent_folder_with_a_hostile_name_is_escaped() {
    let capture = Capture::new(STALE);
    let agents = capture.state_dir().join("agents");
    for name in [&b"a\nb\x1b[1m"[..], b"\xff\xfe"] {
        let folder = agents.join(OsStr::from_bytes(name)).join("sessions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sessions.json"), "torn").unwrap();
    }
    let ran = capture.run(&["plan", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(is_printable(&ran.stdout) && is_printable(&ran.stderr), "{ran:?}");
    assert_eq!(capture.json(&["plan"])["gaps"].as_array().unwrap().len(), 2);
}

#[test]
fn a_process_title_cannot_forge_a_line() {
    let capture = Capture::new(STALE);
    capture.process(4242, 1, "openclaw\u{1b}[2J\nreleased lock");
    capture.process(4243, 1, "openclaw-gateway\u{1b}[2J");
    let ran = capture.run(&["plan", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(is_printable(&ran.stdout) && is_printable(&ran.stderr), "{ran:?}");
}
