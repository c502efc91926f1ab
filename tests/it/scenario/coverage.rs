//! Every policy and every reason to act is shown by a captured state, or named here.

use std::collections::BTreeSet;
use std::path::Path;

use clawarden::model::{ActReason, Policy};

use super::reports::CONCLUSIONS;
use crate::capture::Capture;

/// Reasons that no single look at a captured state can give, and the test that holds them.
const ELSEWHERE: [(&str, &str, &str); 2] = [
    (
        // A pid that was given to another process: a process table of our own making.
        "holder_recycled",
        "tests/it/scenario/dead_lock.rs",
        "a_holder_whose_pid_was_given_away_is_as_dead",
    ),
    (
        // Two looks, 20 minutes apart, at a run that makes no sign of life.
        "silent",
        "src/policy/stale_lane/mod.rs",
        "silence_proves_something_once_it_has_lasted_and_acts_only_by_name",
    ),
];

#[test]
fn each_reason_to_act_is_shown_by_a_captured_state() {
    let lines = CONCLUSIONS.iter().flat_map(|(.., verdicts)| *verdicts);
    let shown: BTreeSet<&str> =
        lines.filter_map(|line| line.strip_prefix("act ")?.split(' ').next()).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(code, ..)| *code).collect();
    assert_eq!(shown.intersection(&elsewhere).count(), 0, "named twice");
    let all: BTreeSet<&str> = ActReason::CODES.iter().copied().collect();
    assert_eq!(&shown | &elsewhere, all);
    for (code, file, test) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = std::fs::read_to_string(path).unwrap();
        let is_test = |indent: &str| source.contains(&format!("#[test]\n{indent}fn {test}("));
        assert!(is_test("") || is_test("    "), "{code}: {file} has no {test}");
    }
}

#[test]
fn each_policy_acts_on_a_captured_state() {
    let mut acting = BTreeSet::new();
    for name in ["2026.7.1-dead-lock", "2026.4.15-z1-stale-status-after-lock-contention"] {
        let report = Capture::new(name).json(&["plan"]);
        for verdict in report["verdicts"].as_array().unwrap() {
            if verdict["decision"] == "act" {
                acting.insert(verdict["policy"].as_str().unwrap().to_owned());
            }
        }
    }
    let all: BTreeSet<String> = Policy::ALL.iter().map(|policy| policy.name().to_owned()).collect();
    assert_eq!(acting, all);
}
