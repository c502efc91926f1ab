//! Bad input, through the program: each says clearly what it is, and nothing is done.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests put bad things in the place of good ones"
)]

mod config;
mod damage;
mod gaps;
mod lock;
mod memory;
mod names;
mod place;
mod processes;
mod store;
mod user;

use serde_json::Value;

use crate::capture::{Capture, assert_same};

/// A state with two stale rows; both would be settled.
const STALE: &str = "2026.4.15-z1-stale-status-after-lock-contention";

/// A state with one dead lock; it would be released.
const DEAD_LOCK: &str = "2026.4.15-dead-lock";

/// The lock of [`DEAD_LOCK`] whose holder is dead.
const LOCK: &str = "dead-38e23391-dc8d-459c-a68e-d02ada031935.jsonl.lock";

/// Runs a pass and returns its report. It completes, says nothing else, and touches nothing.
#[track_caller]
fn nothing_is_done(capture: &Capture, what: &str) -> Value {
    let before = capture.contents();
    let ran = capture.run(&["run", "--once", "--all", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{what}: {ran:?}");
    let report = ran.json();
    let summary = &report["summary"];
    for count in ["acted", "would_act", "failed", "unverified", "changed"] {
        assert_eq!(summary[count], 0, "{what}: {}", capture.redacted(&report.to_string()));
    }
    assert_same(&capture.contents(), &before, what);

    let text = capture.run(&["plan", "--all"]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "{what}: {text:?}");
    assert!(is_printable(&text.stdout), "{what}: {text:?}");
    report
}

/// What could not be seen, as `source: reason`.
fn gaps(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let gaps = report["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| format!("{}: {}", text(&gap["source"]), text(&gap["reason"]))).collect()
}

/// Nothing in it moves a cursor, recolours, or hides.
fn is_printable(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'))
}

/// A test that cannot run here says so.
#[expect(clippy::print_stderr, reason = "there is no other way to say it")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
