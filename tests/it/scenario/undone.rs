//! Taking back what a pass did, in the words of its own report.

use std::path::Path;

use serde_json::Value;

use crate::capture::{Capture, verdicts};

/// The number under which the repair of the subject whose id ends so was carried out.
#[track_caller]
pub(super) fn action_id(report: &Value, subject: &str) -> String {
    let verdicts = report["verdicts"].as_array().unwrap();
    let of_subject = |verdict: &&Value| {
        verdict["subject"]["id"].as_str().unwrap().ends_with(subject)
            && verdict["outcome"] == "done"
    };
    verdicts.iter().find(of_subject).unwrap()["action_id"].to_string()
}

/// Undoes an action; a second undo of it is refused.
#[track_caller]
pub(super) fn undo(capture: &Capture, id: &str) {
    let ran = capture.run(&["undo", id]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let again = capture.run(&["undo", id]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("undone already"), "{again:?}");
}

/// What was brought back is not taken away again, however old its file is.
#[track_caller]
pub(super) fn nothing_is_done_again(capture: &Capture, file: &Path, subject: &str) {
    let report = capture.json(&["run", "--once"]);
    assert_eq!(report["summary"]["acted"], 0, "{:?}", verdicts(&report));
    capture.age(file);
    let report = capture.json(&["run", "--once"]);
    let verdicts = verdicts(&report);
    assert!(verdicts.contains(&format!("hold protected {subject}")), "{verdicts:?}");
    assert_eq!(report["summary"]["acted"], 0, "{verdicts:?}");
}
