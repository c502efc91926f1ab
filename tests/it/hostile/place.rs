//! Folders that are missing, elsewhere, or shared.

use std::fs;
use std::path::Path;

use super::{DEAD_LOCK, LOCK, STALE, nothing_is_done, skipped};
use crate::capture::{Capture, Ran, assert_same, verdicts};

#[test]
fn a_state_directory_that_is_not_there_is_said_by_name() {
    let capture = Capture::new(STALE);
    fs::rename(capture.state_dir(), capture.root.join("moved")).unwrap();
    for args in [&["plan"][..], &["run", "--once"], &["status"], &["explain", "x"]] {
        let ran = capture.run(args);
        assert_eq!(ran.code, Some(69), "{args:?}: {ran:?}");
        let said = capture.redacted(&ran.stderr);
        assert!(said.contains("~/home/.openclaw") && said.lines().count() == 1, "{said}");
        assert_eq!(ran.stdout, "");
    }
    assert!(!capture.state_dir().exists() && !capture.root.join("own").exists());
}

#[test]
fn a_state_directory_that_is_a_file_is_no_state_directory() {
    let capture = Capture::new(STALE);
    fs::rename(capture.state_dir(), capture.root.join("moved")).unwrap();
    fs::write(capture.state_dir(), "").unwrap();
    let ran = capture.run(&["run", "--once"]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
}

#[test]
fn without_a_place_for_its_own_state_nothing_is_done() {
    let capture = Capture::new(DEAD_LOCK);
    let before = capture.contents();
    fs::write(capture.root.join("own"), "a file").unwrap();
    let ran = capture.run(&["run", "--once"]);
    assert_eq!(ran.code, Some(73), "{ran:?}");
    assert!(capture.redacted(&ran.stderr).contains("~/own/state"), "{ran:?}");
    assert_same(&capture.contents(), &before, "no own state");
}

#[test]
fn its_own_state_may_lie_on_another_file_system() {
    let shm = Path::new("/dev/shm");
    let Ok(own) = tempfile::Builder::new().prefix("clawarden-it").tempdir_in(shm) else {
        return skipped("there is no /dev/shm to write to");
    };
    let capture = Capture::new(DEAD_LOCK);
    let run = |args: &[&str]| {
        let mut command = capture.command(args);
        command.env("XDG_STATE_HOME", own.path());
        Ran::of(command)
    };
    let lock = capture.sessions().join(LOCK);
    let bytes = fs::read(&lock).unwrap();
    let ran = run(&["run", "--once", "--json"]);
    assert_eq!(ran.json()["summary"]["acted"], 1, "{ran:?}");
    assert!(!lock.exists());
    assert_eq!(run(&["undo", "1"]).code, Some(0));
    assert_eq!(fs::read(&lock).unwrap(), bytes);
    let left: Vec<_> =
        fs::read_dir(capture.sessions()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("clawarden")), "{left:?}");
}

#[test]
fn with_another_tmpdir_than_the_gateways_it_is_unknown_and_not_down() {
    for name in [STALE, DEAD_LOCK] {
        let capture = Capture::new(name);
        fs::rename(capture.root.join("tmp"), capture.root.join("tmp-of-the-gateway")).unwrap();
        fs::create_dir(capture.root.join("tmp")).unwrap();
        let report = nothing_is_done(&capture, name);
        assert_eq!(report["gateway"]["status"], "unknown", "{report}");
        let dead = verdicts(&report).iter().filter(|line| line.contains("gateway_unknown")).count();
        assert!(dead > 0, "{report}");
    }
}

#[test]
fn two_state_directories_on_one_host_do_not_mix() {
    let capture = Capture::new(STALE);
    let other = capture.root.join("home/.openclaw-other");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(capture.state_dir()).arg(&other).status();
    assert!(copied.unwrap().success());
    let before = fs::read(other.join("agents/main/sessions/sessions.json")).unwrap();
    let report = capture.json(&["run", "--once"]);
    assert_eq!(report["summary"]["acted"], 2);
    assert_eq!(fs::read(other.join("agents/main/sessions/sessions.json")).unwrap(), before);

    // The gateway of the one is not the gateway of the other.
    let report = Ran::of(capture.command_on(&other, &["run", "--once", "--json"])).json();
    let want = ["hold gateway_down agent:main:main", "hold gateway_down agent:main:zombie"];
    assert_eq!(verdicts(&report), want, "{report}");
    // And neither is its journal.
    let history = Ran::of(capture.command_on(&other, &["history"]));
    assert!(!history.stdout.contains("settle"), "{history:?}");
}
