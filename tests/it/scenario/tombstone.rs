//! Backing sessions of captured states: recorded for whoever asked for them, kept when all else is lost.

#![expect(clippy::disallowed_methods, reason = "loses our own files, as a disk would")]

use std::fs;

use serde_json::Value;

use crate::capture::{Capture, assert_same, verdicts};

/// The oneshot of `agent:main:parent`, and the one of `agent:main:parent2` that hangs.
const FIRST: &str = "1329ae43-4151-4d5e-be18-4672e35dbb5d";
const SECOND: &str = "bbd63f60-8f45-438a-8ab9-01056f6fcba5";
const WRAPPER: &str = "agent:claude:acp:a6238e66-5172-4d81-95af-2c5e35a97b19";

/// Each tombstone as `id requester state`.
fn listed(capture: &Capture) -> Vec<String> {
    let list = capture.json(&["tombstones", "list"]);
    assert_eq!(list["schema"], "clawarden.tombstones/v1");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |of: &Value| {
        format!(
            "{} {} {}",
            text(&of["backing_session_id"]),
            text(&of["requester"]),
            text(&of["state"])
        )
    };
    list["tombstones"].as_array().unwrap().iter().map(line).collect()
}

fn both() -> [String; 2] {
    [format!("{FIRST} agent:main:parent live"), format!("{SECOND} agent:main:parent2 live")]
}

#[test]
fn each_backing_session_is_recorded_once_for_whoever_asked_for_it() {
    for name in ["2026.4.15-b2-acp-hung-live", "2026.4.15-b4-acp-after-restart"] {
        let capture = Capture::new(name);
        assert_eq!(listed(&capture), Vec::<String>::new());
        capture.configure("policies: { stale_lane: { mode: observe } }");
        let before = capture.contents();
        capture.json(&["run", "--once"]);
        assert_eq!(listed(&capture), both(), "{name}");
        let second = capture.json(&["run", "--once"]);
        assert_eq!(second["summary"]["acted"], 0, "{name}");
        assert_same(&capture.contents(), &before, name);
        let shown = capture.json(&["tombstones", "show", &FIRST[..6]]);
        assert_eq!(shown["owner"], "agent:main:parent");
        assert_eq!(shown["wrappers"][0]["session_key"], WRAPPER);
        assert_eq!((&shown["mode"], &shown["agent"]), (&"oneshot".into(), &"claude".into()));
        assert_eq!(shown["events"].as_array().unwrap().len(), 1);
        let explained = capture.json(&["explain", FIRST]);
        assert_eq!(explained["reason"]["code"], "on_record");
        assert_eq!(explained["evidence"]["requester"], "agent:main:parent");
    }
}

#[test]
fn a_strip_is_an_event_and_who_asked_for_it_is_still_known_although_the_journal_is_lost() {
    let capture = Capture::new("2026.4.15-b4-acp-after-restart");
    capture.configure("policies: { stale_lane: { mode: off }, zombie_task: { mode: off } }");
    capture.json(&["run", "--once"]);
    let store = capture.state_dir().join("agents/claude/sessions/sessions.json");
    let mut rows: Value = serde_json::from_slice(&fs::read(&store).unwrap()).unwrap();
    rows[WRAPPER].as_object_mut().unwrap().remove("acp");
    fs::write(&store, rows.to_string()).unwrap();
    // The record of acpx outlives the strip, but the gateway refuses what it does not know itself.
    let report = capture.json(&["run", "--once"]);
    assert_eq!(verdicts(&report), [format!("act backing_changed {FIRST}")]);
    let after = [format!("{FIRST} agent:main:parent stripped"), both()[1].clone()];
    assert_eq!(listed(&capture), after);

    let own = capture.own_files("clawarden.db");
    assert!(!own.is_empty());
    own.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(listed(&capture), after);
    capture.json(&["run", "--once"]);
    assert_eq!(listed(&capture), after);
}

#[test]
fn a_store_that_cannot_be_read_strips_nothing() {
    let capture = Capture::new("2026.4.15-b4-acp-after-restart");
    capture.configure("policies: { stale_lane: { mode: off }, zombie_task: { mode: off } }");
    capture.json(&["run", "--once"]);
    let store = capture.state_dir().join("agents/claude/sessions/sessions.json");
    fs::write(&store, "{\"torn").unwrap();
    let report = capture.json(&["run", "--once"]);
    assert_eq!(verdicts(&report), Vec::<String>::new());
    assert_eq!(listed(&capture), both());
}

#[test]
fn an_id_that_is_unknown_or_means_several_is_refused() {
    let capture = Capture::new("2026.9.6-seeded-zombies");
    capture.json(&["run", "--once"]);
    let said: Vec<_> = ["be-sess", "nobody", ""]
        .into_iter()
        .map(|id| capture.run(&["tombstones", "show", id]))
        .collect();
    assert!(said.iter().all(|ran| ran.code == Some(64)), "{said:?}");
    assert!(said[0].stderr.contains("2 backing sessions begin with be-sess: be-sess-1, be-sess-9"));
    assert_eq!(
        listed(&capture),
        [
            "be-sess-1 agent:main:main live",
            "be-sess-9 - stripped",
            "claude-sess-1 agent:main:main live"
        ]
    );
}

#[test]
fn neither_a_pause_nor_a_gateway_that_is_down_holds_it() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    assert_eq!(capture.run(&["pause", "--for", "1h"]).code, Some(0));
    capture.json(&["run", "--once"]);
    assert_eq!(listed(&capture), both());
}

#[test]
fn where_it_is_only_observed_or_off_nothing_is_written() {
    for (mode, want) in [("observe", 2), ("off", 0)] {
        let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
        capture.configure(&format!("policies: {{ tombstone: {{ mode: {mode} }} }}"));
        let report = capture.json(&["run", "--once"]);
        let seen = verdicts(&report).iter().filter(|line| line.contains("backing")).count();
        assert_eq!(seen, want, "{mode}");
        assert_eq!(listed(&capture), Vec::<String>::new());
        assert_eq!(capture.own_files("tombstones.jsonl"), Vec::<std::path::PathBuf>::new());
    }
}
