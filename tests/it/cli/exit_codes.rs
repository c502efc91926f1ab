//! Exit codes, each through the program itself.

use std::process::Stdio;

use super::daemon::Daemon;
use super::stage::{Ran, STALE, Stage, ran};

#[track_caller]
fn check(stage: &Stage, args: &[&str], code: i32, says: &str) -> Ran {
    let ran = stage.run(args).exits(code);
    assert!(ran.stdout.contains(says) || ran.stderr.contains(says), "{says}: {ran:#?}");
    ran
}

#[test]
fn a_healthy_gateway_is_0_whoever_asks() {
    let stage = Stage::healthy();
    for args in [&["plan", "--detailed-exit-code"][..], &["run", "--once"], &["status"]] {
        check(&stage, args, 0, "gateway up");
    }
}

#[test]
fn findings_are_10_and_repairs_11_only_if_details_are_asked_for() {
    let stage = Stage::with_stale_lane();
    check(&stage, &["plan"], 0, "would settle");
    check(&stage, &["plan", "--detailed-exit-code"], 10, "would settle");
    check(&stage, &["run", "--once", "--dry-run", "--detailed-exit-code"], 10, "would settle");
    check(&stage, &["run", "--once", "--detailed-exit-code"], 11, "settled");
    check(&stage, &["run", "--once", "--detailed-exit-code"], 0, "");
}

#[test]
fn an_action_that_failed_is_1_and_says_what_is_in_the_way() {
    let stage = Stage::with_dead_lock();
    stage.run(&["resume"]).exits(0);
    stage.write(&stage.own_dir().join("quarantine/1/manifest.json"), "in the way", 0);
    let report = stage.run(&["run", "--once", "--json"]).exits(1).json();
    assert_eq!(report["summary"]["failed"], 1, "{report:#}");
    let error = report["verdicts"][0]["error"].as_str().unwrap();
    assert!(error.contains("quarantine/1/manifest.json"), "{error}");
    assert!(stage.lock().exists(), "without a copy nothing is moved");
}

#[test]
fn a_wrong_command_line_or_clock_is_64() {
    let stage = Stage::healthy();
    check(&stage, &["mend"], 64, "mend");
    check(&stage, &["run", "--dry-run"], 64, "--once");
    check(&stage, &["pause", "--for", "5"], 64, "such as `90s`");
    check(&stage, &["history", "--policy", "dead_lok"], 64, "dead_lock");
    check(&stage, &["undo", "last"], 64, "expected a number");
    check(&stage, &["explain", "agent:main:nobody"], 64, "no lane, lock or process");
    for command in [&["run", "--once"][..], &["plan"], &["status"], &["undo", "1"], &["demo"]] {
        for now in ["yesterday", "", "2026-13-01T00:00:00Z"] {
            let ran = ran(stage.clawarden(command).env("CLAWARDEN_NOW", now)).exits(64);
            assert!(ran.stderr.contains("CLAWARDEN_NOW"), "{command:?} {now}: {ran:#?}");
        }
    }
    assert!(!stage.path("own").exists(), "and nothing was written");
}

#[test]
fn a_clock_that_is_not_even_text_is_64_and_not_the_wall_clock() {
    use std::os::unix::ffi::OsStrExt;
    let stage = Stage::healthy();
    let now = std::ffi::OsStr::from_bytes(b"2026-11-20T10:00:00Z\xff");
    ran(stage.clawarden(&["plan"]).env("CLAWARDEN_NOW", now)).exits(64);
}

#[test]
fn a_state_directory_that_is_not_there_is_69() {
    let stage = Stage::healthy();
    let nowhere = stage.path("nowhere");
    for command in ["plan", "status", "history"] {
        check(&stage, &[command, "--state-dir", nowhere.to_str().unwrap()], 69, "nowhere");
    }
    check(&stage, &["run", "--once", "--state-dir", nowhere.to_str().unwrap()], 69, "nowhere");
}

#[test]
fn own_state_that_cannot_be_written_is_73_and_nothing_is_done() {
    let stage = Stage::with_dead_lock();
    stage.write(&stage.path("file"), "", 0);
    for command in [&["run", "--once"][..], &["pause", "--for", "1h"], &["undo", "1"]] {
        let ran = ran(stage.clawarden(command).env("XDG_STATE_HOME", stage.path("file")));
        assert!(ran.exits(73).stderr.contains("file"), "{command:?}");
    }
    let inside = stage.state_dir().join("own");
    let ran = ran(stage.clawarden(&["run", "--once"]).env("XDG_STATE_HOME", &inside)).exits(73);
    assert!(ran.stderr.contains("STATE_DIRECTORY"), "{ran:#?}");
    assert!(stage.lock().exists() && !inside.exists());
}

#[test]
fn a_second_instance_is_75_and_everything_beside_it_works() {
    let stage = Stage::with_stale_lane();
    let daemon = Daemon::start(stage.clawarden(&["run", "--json"]), &stage);
    let report = daemon.report();
    assert_eq!(report["summary"]["acted"], 1, "{report:#}");
    check(&stage, &["run", "--once"], 75, &format!("as pid {};", daemon.pid()));
    check(&stage, &["run"], 75, "already runs");
    for args in [
        &["plan"][..],
        &["status"],
        &["history"],
        &["pause", "--for", "1h"],
        &["resume"],
        &["protect", STALE, "--for", "1h"],
        &["unprotect", STALE],
        &["undo", "1"],
    ] {
        stage.run(args).exits(0);
    }
    check(&stage, &["status"], 0, &format!("clawarden runs as pid {}\n", daemon.pid()));
    drop(daemon);
    check(&stage, &["status"], 0, "clawarden does not run now; start it with: clawarden run\n");
    check(&stage, &["run", "--once"], 0, "");
}

#[test]
fn a_bad_configuration_is_78_names_every_mistake_and_does_nothing() {
    let stage = Stage::with_dead_lock();
    stage.configure("interval: 30\npolicies:\n  dead_lok: { mode: enforce }\n");
    for args in [&["run", "--once"][..], &["run"], &["plan"], &["check-config"]] {
        let ran = check(&stage, args, 78, "clawarden.yaml:1:11:");
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(":3:3:"), "{ran:#?}");
    }
    assert!(stage.lock().exists() && !stage.path("own").exists());
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let stage = Stage::with_stale_lane();
    for args in [&["plan"][..], &["plan", "--json"], &["--help"], &["run", "--once"]] {
        let mut child =
            stage.clawarden(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
