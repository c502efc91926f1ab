//! `sessions.json` as no gateway writes it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use serde_json::{Value, json};

use super::{STALE, gaps, nothing_is_done, skipped};
use crate::capture::{Capture, verdicts};

/// A store with these bytes is seen as unreadable, in these words.
#[track_caller]
fn check_unreadable(bytes: &[u8], words: &str) {
    let capture = Capture::new(STALE);
    fs::write(capture.store(), bytes).unwrap();
    capture.age(&capture.store());
    check_gap(&capture, words);
}

#[track_caller]
fn check_gap(capture: &Capture, words: &str) {
    let report = nothing_is_done(capture, words);
    let gaps = gaps(&report);
    let named = gaps.iter().any(|gap| gap.starts_with("sessions: ") && gap.contains(words));
    assert!(named, "{words}: {gaps:?}");
    let text = capture.redacted(&capture.run(&["plan"]).stdout);
    assert!(text.contains("cannot see sessions: agents/main/sessions"), "{text}");
    let detailed = capture.run(&["plan", "--detailed-exit-code"]);
    assert_eq!(detailed.code, Some(10), "what cannot be seen is a finding");
}

#[test]
fn an_empty_or_torn_store_is_no_empty_store() {
    let whole = fs::read(Capture::new(STALE).store()).unwrap();
    check_unreadable(b"", "0 bytes");
    for end in [1, whole.len() / 2, whole.trim_ascii_end().len() - 1] {
        check_unreadable(&whole[..end], "EOF");
    }
    check_unreadable(&[&whole[..], b"}"].concat(), "trailing");
}

#[test]
fn a_store_of_another_shape_is_unreadable() {
    for text in ["[]", "null", "17", "\"x\""] {
        check_unreadable(text.as_bytes(), "an object of session rows");
    }
    check_unreadable(b"no json", "expected");
    check_unreadable(b"{\"a\": {\"status\": \"\xff\"}}", "UTF-8");
    check_unreadable("[".repeat(100_000).as_bytes(), "");
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let in_its_place = |make: &dyn Fn(&Capture)| {
        let capture = Capture::new(STALE);
        fs::rename(capture.store(), capture.root.join("store")).unwrap();
        make(&capture);
        capture
    };
    let fifo = |at: &Capture| nix::unistd::mkfifo(&at.store(), Mode::S_IRWXU).unwrap();
    check_gap(&in_its_place(&fifo), "not a regular file");
    check_gap(&in_its_place(&|at| fs::create_dir(at.store()).unwrap()), "not a regular file");
    let out = |at: &Capture| symlink(at.root.join("store"), at.store()).unwrap();
    check_gap(&in_its_place(&out), "a link out of the state directory");
    check_gap(&in_its_place(&|at| symlink("none", at.store()).unwrap()), "a dangling link");
    // Unreadable for root, too.
    check_gap(&in_its_place(&|at| symlink("sessions.json", at.store()).unwrap()), "");
}

#[test]
fn a_folder_that_cannot_be_listed_is_no_empty_folder() {
    let capture = Capture::new(STALE);
    fs::rename(capture.sessions(), capture.root.join("sessions")).unwrap();
    symlink("sessions", capture.sessions()).unwrap();
    let report = nothing_is_done(&capture, "a loop");
    assert!(gaps(&report).iter().any(|gap| gap.starts_with("sessions: ")), "{report}");
    assert!(gaps(&report).iter().any(|gap| gap.starts_with("locks: ")), "{report}");
}

#[test]
fn a_folder_without_permission_is_no_empty_folder() {
    if nix::unistd::geteuid().is_root() {
        return skipped("root may read everything; see the loop above");
    }
    let capture = Capture::new(STALE);
    let permit =
        |mode| fs::set_permissions(capture.sessions(), Permissions::from_mode(mode)).unwrap();
    permit(0o000);
    let report = capture.json(&["run", "--once", "--all"]);
    permit(0o700);
    assert_eq!(report["summary"]["acted"], 0);
    assert!(gaps(&report).iter().any(|gap| gap.starts_with("sessions: ")), "{report}");
    assert!(gaps(&report).iter().any(|gap| gap.starts_with("locks: ")), "{report}");
}

#[test]
fn a_symlinked_store_is_judged_but_never_replaced() {
    let capture = Capture::new(STALE);
    fs::rename(capture.store(), capture.sessions().join("real.json")).unwrap();
    symlink("real.json", capture.store()).unwrap();
    let report = nothing_is_done(&capture, "a link inside");
    let want = ["hold store_symlink agent:main:main", "hold store_symlink agent:main:zombie"];
    assert_eq!(verdicts(&report), want);
}

/// Changes the two stale rows.
fn edited(edit: impl Fn(&mut Value, &mut Value)) -> Capture {
    let capture = Capture::new(STALE);
    let mut rows: Value = serde_json::from_slice(&fs::read(capture.store()).unwrap()).unwrap();
    let mut take = |key: &str| rows[key].take();
    let (mut main, mut zombie) = (take("agent:main:main"), take("agent:main:zombie"));
    edit(&mut main, &mut zombie);
    (rows["agent:main:main"], rows["agent:main:zombie"]) = (main, zombie);
    fs::write(capture.store(), serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    capture.age(&capture.store());
    capture
}

#[test]
fn times_that_make_no_sense_hold_the_row() {
    let times = [
        (json!(4_102_444_800_000_i64), "in_future"),
        (json!(i64::MAX), "in_future"),
        (json!(u64::MAX), "malformed"),
        (json!(1e300), "malformed"),
        (json!(0.5), "malformed"),
        (json!("2026-11-20T07:00:00Z"), "malformed"),
        (json!([1]), "malformed"),
    ];
    for (time, code) in times {
        let capture = edited(|main, zombie| {
            main["endedAt"] = time.clone();
            zombie["startedAt"] = time.clone();
        });
        let report = nothing_is_done(&capture, &time.to_string());
        let want = ["main", "zombie"].map(|lane| format!("hold {code} agent:main:{lane}"));
        assert_eq!(verdicts(&report), want, "{time}");
    }
    for start in [json!(0), json!(-1), json!(i64::MIN), Value::Null] {
        let capture = edited(|main, zombie| {
            main["startedAt"] = start.clone();
            zombie["startedAt"] = start.clone();
        });
        let report = nothing_is_done(&capture, &start.to_string());
        let want = ["main", "zombie"].map(|lane| format!("hold malformed agent:main:{lane}"));
        assert_eq!(verdicts(&report), want, "{start}");
    }
}

#[test]
fn an_end_before_the_start_is_written_back_without_a_negative_run() {
    for end in [-1, 1] {
        let capture = edited(|main, zombie| {
            zombie["status"] = "done".into();
            main["endedAt"] = end.into();
            main.as_object_mut().unwrap().remove("runtimeMs");
        });
        capture.json(&["run", "--once"]);
        let rows: Value = serde_json::from_slice(&fs::read(capture.store()).unwrap()).unwrap();
        let main = &rows["agent:main:main"];
        assert!(main["runtimeMs"].is_null() || main["runtimeMs"] == 0, "{main}");
    }
}

#[test]
fn nesting_costs_no_stack_and_stays_as_it_is() {
    let nested = |depth| format!("{}7{}", "[".repeat(depth), "]".repeat(depth));
    let capture = Capture::new(STALE);
    let mut text = fs::read_to_string(capture.store()).unwrap();
    let deep = [("main", nested(300)), ("other", nested(30_000))];
    for (lane, value) in &deep {
        let row = format!("\"agent:main:{lane}\": {{");
        text = text.replace(&row, &format!("{row}\n    \"deep\": {value},"));
    }
    fs::write(capture.store(), &text).unwrap();
    capture.age(&capture.store());
    let ran = capture.run(&["run", "--once", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // The gateway reads such a store, so that it is no damage: what is stale is settled.
    assert_eq!(ran.json()["summary"]["acted"], 2, "{}", capture.redacted(&ran.stdout));
    let after = fs::read_to_string(capture.store()).unwrap();
    for (lane, value) in &deep {
        assert!(after.contains(&format!("\"deep\": {value},")), "{lane}");
    }
}

#[test]
fn many_rows_are_listed_without_losing_the_stale_ones() {
    let capture = edited(|_, _| {});
    let text = fs::read_to_string(capture.store()).unwrap();
    let mut rows = String::from("{");
    for number in 0..30_000 {
        rows.push_str(&format!("\"agent:main:x{number}\":{{\"status\":\"done\"}},\n"));
    }
    fs::write(capture.store(), rows + text.strip_prefix('{').unwrap()).unwrap();
    capture.age(&capture.store());
    let report = capture.json(&["plan", "--all"]);
    assert_eq!(gaps(&report), Vec::<String>::new());
    assert_eq!(report["summary"]["would_act"], 2);
}
