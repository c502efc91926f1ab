//! A configuration of nothing but mistakes.

use std::fs;

use super::DEAD_LOCK;
use crate::capture::{Capture, assert_same};

/// Mistakes, each with the place where it is to be shown.
const MISTAKES: [(&str, &str); 15] = [
    ("intervall: 30s", "1:1"),
    ("interval: 30", "2:11"),
    ("confirm: { looks: two }", "3:19"),
    ("start_grace: 1s", "4:14"),
    ("limits:", ""),
    ("  actions_per_pass: -1", "6:21"),
    ("  cooldown: 15 minutes of fame", "7:13"),
    ("policies:", ""),
    ("  dead_lock: { mode: enforced }", "9:22"),
    ("  stale_lane: { mode: enforce, mode: off, repair: [settel] }", "10:32"),
    ("  zombie_lane: { mode: off }", "11:3"),
    ("  orphan_process: { families: { zed: { mode: enforce }, Zed: { mode: off } } }", "12:57"),
    ("  runaway_agent: { cpu: 90%, memory: 2GB, age: -1d }", "13:38"),
    ("  leaked_process: { after: 0s }", "14:28"),
    ("gateway: [a, b]", "15:10"),
];

#[test]
fn every_mistake_is_named_with_its_place_and_nothing_is_done() {
    let capture = Capture::new(DEAD_LOCK);
    let before = capture.contents();
    let file = capture.root.join("bad.yaml");
    let text: String = MISTAKES.iter().map(|(line, _)| format!("{line}\n")).collect();
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    for args in [
        &["run", "--once", "--config", name][..],
        &["plan", "--config", name],
        &["run", "--config", name],
        &["check-config", name],
    ] {
        let ran = capture.run(args);
        assert_eq!(ran.code, Some(78), "{args:?}: {ran:?}");
        let said = capture.redacted(&format!("{}{}", ran.stdout, ran.stderr));
        for (line, place) in MISTAKES.iter().filter(|(_, place)| !place.is_empty()) {
            assert!(said.contains(&format!("~/bad.yaml:{place}: ")), "{line}: {said}");
        }
        let carets =
            said.lines().filter(|line| line.trim_start_matches([' ', '|']).starts_with('^'));
        assert!(carets.count() >= 10, "{said}");
        assert!(!said.contains('\u{1b}'));
    }
    assert_same(&capture.contents(), &before, "bad configuration");
    assert!(!capture.root.join("own").exists(), "not even our own state is made");
}

#[test]
fn what_is_no_configuration_at_all_is_refused_like_one() {
    let capture = Capture::new(DEAD_LOCK);
    let file = capture.root.join("bad.yaml");
    let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n";
    let deep = "[".repeat(10_000);
    for bytes in [
        b"\xff\xfe".as_slice(),
        b"\0",
        b"[]",
        b"mode",
        b"a: \x1b[31m",
        bomb.as_bytes(),
        deep.as_bytes(),
    ] {
        fs::write(&file, bytes).unwrap();
        let ran = capture.run(&["run", "--once", "--config", file.to_str().unwrap()]);
        assert_eq!(ran.code, Some(78), "{bytes:?}: {ran:?}");
        assert!(ran.stderr.contains("bad.yaml:"), "{ran:?}");
        assert!(super::is_printable(&ran.stderr), "{ran:?}");
    }
    let ran = capture.run(&["run", "--once", "--config", "/nowhere/at/all.yaml"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
}
