//! Transcript locks as no gateway writes them.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;

use super::{DEAD_LOCK, LOCK, gaps, nothing_is_done};
use crate::capture::{Capture, verdicts};

/// The state with these bytes as the lock that would be released.
fn with_payload(bytes: &[u8]) -> Capture {
    let capture = Capture::new(DEAD_LOCK);
    let lock = capture.sessions().join(LOCK);
    fs::write(&lock, bytes).unwrap();
    capture.age(&lock);
    capture
}

#[track_caller]
fn check(payload: &str, code: &str) {
    let report = nothing_is_done(&with_payload(payload.as_bytes()), payload);
    assert!(verdicts(&report).contains(&format!("hold {code} {LOCK}")), "{payload}: {report}");
}

#[test]
fn a_pid_that_no_holder_can_have_proves_nothing() {
    let own = std::process::id().to_string();
    let pids = ["0", "1", "-1", "-19255", "4194305", "2147483647", "99999999999999999999"];
    for pid in pids.into_iter().chain(["\"19255\"", "1.5", "null", "[]"]) {
        check(
            &format!(r#"{{"pid":{pid},"createdAt":"2026-11-20T09:00:00Z"}}"#),
            "payload_incomplete",
        );
    }
    // Ours, as another host's table has it: a stranger that is older than the lock.
    let capture =
        with_payload(format!(r#"{{"pid":{own},"createdAt":"2026-11-20T09:59:00Z"}}"#).as_bytes());
    capture.process(own.parse().unwrap(), 1, "clawarden");
    let report = nothing_is_done(&capture, "own pid");
    assert!(verdicts(&report).contains(&format!("hold holder_unknown {LOCK}")), "{report}");
}

#[test]
fn a_payload_that_is_torn_or_of_another_shape_is_left_alone() {
    let whole = fs::read_to_string(Capture::new(DEAD_LOCK).sessions().join(LOCK)).unwrap();
    let whole = whole.trim_end();
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        check(&whole[..end], "payload_incomplete");
    }
    for payload in [
        "null",
        "[]",
        "{}",
        "\u{0}",
        &"[".repeat(300),
        &whole.replace("starttime\": ", "starttime\": -"),
    ] {
        check(payload, "payload_incomplete");
    }
}

#[test]
fn a_time_in_the_future_is_no_age() {
    let payload = r#"{"pid":19255,"createdAt":"2099-01-01T00:00:00Z"}"#;
    check(payload, "too_young");
    check(r#"{"pid":19255,"createdAt":"yesterday"}"#, "payload_incomplete");
}

#[test]
fn an_empty_young_lock_is_a_writer_at_work() {
    let capture = Capture::new(DEAD_LOCK);
    fs::write(capture.sessions().join(LOCK), "").unwrap();
    let report = nothing_is_done(&capture, "young");
    assert!(verdicts(&report).contains(&format!("hold payload_incomplete {LOCK}")));
    // Not even worth a line yet.
    let listed = verdicts(&capture.json(&["plan"]));
    assert!(!listed.iter().any(|line| line.contains(LOCK)), "{listed:?}");
}

#[test]
fn what_is_no_regular_file_is_no_lock() {
    type Make<'a> = &'a dyn Fn(&Capture);
    let oddities: [(&str, Make<'_>); 4] = [
        ("a symbolic link", &|at| symlink(at.root.join("kept"), at.sessions().join(LOCK)).unwrap()),
        ("a FIFO", &|at| nix::unistd::mkfifo(&at.sessions().join(LOCK), Mode::S_IRWXU).unwrap()),
        ("a directory", &|at| fs::create_dir(at.sessions().join(LOCK)).unwrap()),
        ("larger than", &|at| fs::write(at.sessions().join(LOCK), [b' '; 5_000]).unwrap()),
    ];
    for (what, make) in oddities {
        let capture = Capture::new(DEAD_LOCK);
        fs::rename(capture.sessions().join(LOCK), capture.root.join("kept")).unwrap();
        make(&capture);
        let report = nothing_is_done(&capture, what);
        let gaps = gaps(&report);
        assert!(
            gaps.iter().any(|gap| gap.starts_with("locks: ") && gap.contains(what)),
            "{gaps:?}"
        );
        assert!(!verdicts(&report).iter().any(|line| line.contains(LOCK)));
    }
}

#[test]
fn the_dead_lock_of_a_lane_that_looks_stale_keeps_the_lane() {
    // Its lock goes first; the row is judged when nothing guards it any more.
    let capture = Capture::new("2026.4.15-a0-hung-live");
    let lock = capture.sessions().join("26699f40-6bfd-4761-90ee-714c026735f2.jsonl.lock");
    let payload = fs::read_to_string(&lock).unwrap().replace("13331", "13332");
    fs::write(&lock, payload).unwrap();
    capture.age(&lock);
    let report = capture.json(&["plan"]);
    let name = lock.file_name().unwrap().to_string_lossy();
    let want = [format!("act holder_dead {name}"), "hold lane_locked agent:main:main".to_owned()];
    assert_eq!(verdicts(&report), want);
}
