//! `stale_lane` on captured states: settled, and brought back.

use std::path::PathBuf;

use serde_json::Value;

use super::undone;
use crate::capture::{Capture, Contents, assert_same, of_others, verdicts};

/// State, and of each stale row: key, its end, and how long it ran in ms.
///
/// An end that the gateway wrote stays, with its own figure of the time it took. Else it is the last sign of life: none of these rows has a
/// transcript, so it is the start itself.
type Settled = (&'static str, i64, i64);
const STALE: [(&str, &[Settled]); 4] = [
    ("2026.4.15-z1-stale-status-after-lock-contention", &[MAIN, ZOMBIE]),
    ("2026.4.15-z2-stale-running-after-queued-run", &[MAIN, RACE, ZOMBIE]),
    ("2026.4.15-b2-acp-hung-live", &[HANG2, MAIN, RACE, ZOMBIE]),
    ("2026.4.15-b4-acp-after-restart", &[HANG2, MAIN, RACE, ZOMBIE]),
];
const MAIN: Settled = ("agent:main:main", 1_795_159_424_275, 12);
const RACE: Settled = ("agent:main:race", 1_795_159_693_767, 19);
const ZOMBIE: Settled = ("agent:main:zombie", 1_795_100_000_000, 0);
const HANG2: Settled = ("agent:main:hang2", 1_795_159_797_926, 0);

fn store() -> PathBuf {
    "home/.openclaw/agents/main/sessions/sessions.json".into()
}

/// The lines of a store without the three fields that a settled row may differ in.
fn other_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let fields: [&[u8]; 3] = [b"    \"status\": ", b"    \"endedAt\": ", b"    \"runtimeMs\": "];
    let of_run = |line: &&[u8]| fields.iter().any(|field| line.starts_with(field));
    bytes.split(|&byte| byte == b'\n').filter(|line| !of_run(line)).collect()
}

/// The states at once: a rewrite waits for the store to be quiet.
fn in_each(check: impl Fn(&str, &[Settled]) + Sync) {
    std::thread::scope(|scope| {
        for (name, rows) in STALE {
            let check = &check;
            scope.spawn(move || check(name, rows));
        }
    });
}

#[test]
fn stale_rows_end_as_failed_and_come_back_byte_for_byte() {
    in_each(|name, rows| {
        let capture = Capture::new(name);
        let before = capture.contents();
        let ran = capture.run(&["run", "--once", "--json", "--detailed-exit-code"]);
        assert_eq!(ran.code, Some(11), "{name}: {ran:?}");
        let report = ran.json();
        let acts = of_others(&report).iter().filter(|line| line.starts_with("act")).count();
        assert_eq!(acts, rows.len(), "{name}");
        let records =
            verdicts(&report).iter().filter(|line| line.starts_with("act backing")).count();
        assert_eq!(report["summary"]["acted"], rows.len() + records, "{name}");
        check_settled(name, &before, &capture.contents(), rows);

        let settled = capture.contents();
        let second = capture.json(&["run", "--once"]);
        assert_eq!(second["summary"]["acted"], 0, "{name}: {:?}", verdicts(&second));
        assert_same(&capture.contents(), &settled, name);

        for (key, ..) in rows {
            undone::undo(&capture, &undone::action_id(&report, key));
        }
        let bytes = |contents: &Contents| contents[&store()].bytes.clone();
        assert_eq!(text(&bytes(&capture.contents())), text(&bytes(&before)), "{name}");
        for (key, ..) in rows {
            undone::nothing_is_done_again(&capture, &capture.store(), key);
        }
        assert_eq!(text(&bytes(&capture.contents())), text(&bytes(&before)), "{name}");
    });
}

/// Only the store has changed, and in it only the three fields of the stale rows.
#[track_caller]
fn check_settled(name: &str, before: &Contents, after: &Contents, rows: &[Settled]) {
    let (mut before, mut after) = (before.clone(), after.clone());
    let (old, new) = (before.remove(&store()).unwrap(), after.remove(&store()).unwrap());
    assert_same(&after, &before, name);
    assert_eq!(new.mode, old.mode, "{name}");
    assert_eq!(other_lines(&new.bytes), other_lines(&old.bytes), "{name}");
    let mut want: Value = serde_json::from_slice(&old.bytes).unwrap();
    for (key, ended_at, runtime_ms) in rows {
        want[key]["status"] = "failed".into();
        want[key]["endedAt"] = (*ended_at).into();
        want[key]["runtimeMs"] = (*runtime_ms).into();
    }
    assert_eq!(serde_json::from_slice::<Value>(&new.bytes).unwrap(), want, "{name}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn undo_of_one_row_leaves_the_others_settled() {
    let capture = Capture::new("2026.4.15-z2-stale-running-after-queued-run");
    let report = capture.json(&["run", "--once"]);
    undone::undo(&capture, &undone::action_id(&report, "agent:main:race"));
    let rows: Value = serde_json::from_slice(&std::fs::read(capture.store()).unwrap()).unwrap();
    let status = |key: &str| rows[key]["status"].as_str().unwrap().to_owned();
    assert_eq!(status("agent:main:race"), "running");
    assert_eq!(status("agent:main:main"), "failed");
    assert_eq!(status("agent:main:zombie"), "failed");
}
