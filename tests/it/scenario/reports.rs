//! What is concluded of each captured state: every verdict, and the whole text.

use std::path::Path;

use crate::capture::{ALL, Capture, Ran, assert_same, verdicts};

/// Name, gateway (`status era pid`), and every verdict of `plan --all` in its order.
type Conclusion = (&'static str, &'static str, &'static [&'static str]);

pub(super) const CONCLUSIONS: [Conclusion; 13] = [
    (
        "2026.4.15-a0-hung-live",
        "up files 13331",
        &[
            "hold holder_alive 26699f40-6bfd-4761-90ee-714c026735f2.jsonl.lock",
            "hold lane_locked agent:main:main",
        ],
    ),
    (
        "2026.4.15-a2-after-sigkill",
        "down files null",
        &[
            "hold gateway_down a8eac65f-acb5-40e6-9df0-145c834c1399.jsonl.lock",
            "hold gateway_down agent:main:hang2",
            "hold gateway_down agent:main:main",
            "hold gateway_down agent:main:race",
            "hold gateway_down agent:main:zombie",
        ],
    ),
    (
        // The pid in the record of the child is dead, and the child lives.
        "2026.4.15-b2-acp-hung-live",
        "up files 10703",
        &[
            "hold no_proof agent:claude:acp:eede7136-a444-4200-8045-b9369115017c",
            "act older_than_gateway agent:main:hang2",
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
        ],
    ),
    (
        "2026.4.15-b3-acp-after-sigkill",
        "down files null",
        &[
            "hold gateway_down agent:claude:acp:eede7136-a444-4200-8045-b9369115017c",
            "hold gateway_down agent:main:hang2",
            "hold gateway_down agent:main:main",
            "hold gateway_down agent:main:race",
            "hold gateway_down agent:main:zombie",
        ],
    ),
    (
        "2026.4.15-b4-acp-after-restart",
        "up files 17104",
        &[
            "act older_than_gateway agent:main:hang2",
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
        ],
    ),
    (
        "2026.4.15-dead-lock",
        "up files 18991",
        &[
            "hold holder_alive 9d4b1a4d-31b3-4500-8612-2cc445040d74.jsonl.lock",
            "act holder_dead dead-38e23391-dc8d-459c-a68e-d02ada031935.jsonl.lock",
            "hold lane_locked agent:main:live-hung",
        ],
    ),
    (
        "2026.4.15-z1-stale-status-after-lock-contention",
        "up files 13331",
        &["act ended_but_running agent:main:main", "act older_than_gateway agent:main:zombie"],
    ),
    (
        "2026.4.15-z2-stale-running-after-queued-run",
        "up files 13331",
        &[
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
        ],
    ),
    (
        "2026.5.28-d1-after-graceful-sigterm-with-active-run",
        "down files null",
        &["hold gateway_down agent:main:x"],
    ),
    (
        "2026.6.11-after-kill9",
        "down hybrid null",
        &[
            "hold gateway_down 0912ec86-d442-4527-a828-974e47806a6d.jsonl.lock",
            "hold gateway_down b79fe839-717b-444a-ba06-8854777cc7f3.jsonl.lock",
            "hold gateway_down agent:main:lab2",
            "hold gateway_down agent:main:main",
        ],
    ),
    (
        "2026.7.1-dead-lock",
        "up hybrid 19530",
        &[
            "hold holder_alive 08dc6085-8389-47ce-9891-6dce71eca195.jsonl.lock",
            "act holder_dead dead-76e1635a-c16e-42f5-9a0f-f0592804c5c1.jsonl.lock",
            "hold lane_locked agent:main:live-hung",
        ],
    ),
    ("2026.9.6-after-kill9", "down sqlite null", &[]),
    ("2026.9.6-seeded-zombies", "down sqlite null", &[]),
];

/// The states in which everything that runs is alive, or nothing runs at all.
const NOTHING_TO_DO: [&str; 7] = [
    "2026.4.15-a0-hung-live",
    "2026.4.15-a2-after-sigkill",
    "2026.4.15-b3-acp-after-sigkill",
    "2026.5.28-d1-after-graceful-sigterm-with-active-run",
    "2026.6.11-after-kill9",
    "2026.9.6-after-kill9",
    "2026.9.6-seeded-zombies",
];

#[test]
fn each_state_gets_the_verdicts_that_it_deserves() {
    for (name, gateway, want) in CONCLUSIONS {
        let capture = Capture::new(name);
        let before = capture.contents();
        let report = capture.json(&["plan", "--all"]);
        assert_eq!(verdicts(&report), want, "{name}");
        let seen = &report["gateway"];
        let seen = format!("{} {} {}", seen["status"], seen["era"], seen["pid"]).replace('"', "");
        assert_eq!(seen, gateway, "{name}");
        assert_eq!(report["gaps"], serde_json::json!([]), "{name}");
        assert_eq!(report["dry_run"], true);
        let acts = want.iter().filter(|line| line.starts_with("act")).count();
        let summary = serde_json::json!({
            "acted": 0, "would_act": acts, "observed": 0, "held": want.len() - acts,
            "failed": 0, "unverified": 0, "changed": 0,
        });
        assert_eq!(report["summary"], summary, "{name}");
        assert_same(&capture.contents(), &before, name);
        assert!(!capture.root.join("own").exists(), "{name}: a plan remembers nothing");
    }
}

#[test]
fn each_state_is_reported_word_for_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenario/expected");
    for name in ALL {
        let capture = Capture::new(name);
        let ran = capture.run(&["plan", "--all"]);
        let want = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        assert_eq!(capture.redacted(&ran.stdout), want, "{name}");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn what_is_healthy_is_left_out_unless_asked_for() {
    let capture = Capture::new("2026.4.15-a0-hung-live");
    let (all, some) = (capture.json(&["plan", "--all"]), capture.json(&["plan"]));
    assert_eq!(verdicts(&all).len(), 2);
    assert_eq!(verdicts(&some), ["hold lane_locked agent:main:main"], "old, so worth a line");
    // Six minutes into its run it is not.
    let mut young = capture.command(&["plan", "--json"]);
    young.env("CLAWARDEN_NOW", "2026-11-20T07:28:00Z");
    assert_eq!(verdicts(&Ran::of(young).json()), Vec::<String>::new());
}

#[test]
fn the_live_and_the_stopped_are_left_alone_whoever_asks() {
    for name in NOTHING_TO_DO {
        let capture = Capture::new(name);
        let before = capture.contents();
        for _ in 0..2 {
            let report = capture.json(&["run", "--once", "--all"]);
            assert_eq!(report["summary"]["acted"], 0, "{name}");
            let acts = verdicts(&report).iter().filter(|line| !line.starts_with("hold")).count();
            assert_eq!(acts, 0, "{name}");
        }
        assert_same(&capture.contents(), &before, name);
    }
}

#[test]
fn every_archive_is_judged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".tar.gz").map(str::to_owned))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ALL);
    let judged: Vec<&str> = CONCLUSIONS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(judged, ALL);
}
