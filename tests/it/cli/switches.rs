//! `pause`, `protect` and `undo`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use clawarden::journal::{Intent, Journal};
use clawarden::model::{BootId, Policy, Subject, SubjectKind, UnixMillis};
use serde_json::{Value, json};

use super::stage::{DEAD, GATEWAY, STALE, Stage, ran};

const HOUR: Duration = Duration::from_secs(3600);
const COOLDOWN: Duration = Duration::from_secs(15 * 60);

/// The decisions of a live pass, as `decision code`.
fn decisions(report: &Value) -> Vec<String> {
    let decision = |verdict: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {}", text(&verdict["decision"]), text(&verdict["reason"]["code"]))
    };
    report["verdicts"].as_array().unwrap().iter().map(decision).collect()
}

fn pass(stage: &Stage, later: Duration) -> Vec<String> {
    decisions(&stage.run_later(later, &["run", "--once", "--json"]).exits(0).json())
}

#[test]
fn a_pause_holds_everything_until_it_is_over_or_ended() {
    let stage = Stage::with_stale_lane();
    stage.dead_lock();
    let said = stage.run(&["pause", "--for", "1h", "--reason", "an\u{1b}upgrade"]).exits(0);
    assert!(said.stdout.contains(&stage.now.plus(HOUR).to_string()), "{said:#?}");
    assert_eq!(pass(&stage, Duration::ZERO), ["hold paused", "hold paused"]);
    let status = stage.run(&["status"]).exits(0).stdout;
    assert!(status.contains("paused until") && status.contains("upgrade"), "{status}");
    assert!(!status.contains('\u{1b}'));
    assert!(stage.lock().exists());
    stage.run(&["resume"]).exits(0);
    assert!(stage.run(&["resume"]).exits(0).stdout.contains("nothing was paused"));
    stage.run(&["pause", "--for", "1h"]).exits(0);
    assert_eq!(pass(&stage, HOUR)[0], "act holder_dead", "over to the second");
}

#[test]
fn a_protection_holds_its_subject_and_no_other() {
    let stage = Stage::with_stale_lane();
    stage.dead_lock();
    // As reports print it: below the state directory.
    let lock = "agents/main/sessions/nightly.jsonl.lock";
    let plan = stage.run(&["plan"]).exits(0).stdout;
    assert!(plan.contains(&format!("would release lock {lock}\n")), "{plan}");
    let said = stage.run(&["protect", lock, "--for", "2h"]).exits(0).stdout;
    assert!(!said.contains("is called so"), "{said}");
    assert_eq!(pass(&stage, Duration::ZERO), ["hold protected", "act older_than_gateway"]);
    assert!(stage.lock().exists());
    stage.run(&["unprotect", lock]).exits(0);
    assert!(stage.run(&["unprotect", lock]).exits(0).stdout.contains("was not protected"));
    assert_eq!(pass(&stage, Duration::ZERO), ["act holder_dead"]);
    let did = stage.run(&["history", "--actions", "--subject", lock]).exits(0).stdout;
    assert!(did.contains("release"), "{did}");
}

#[test]
fn a_protection_of_what_is_not_there_stands_and_says_so() {
    let stage = Stage::with_stale_lane();
    let said = stage.run(&["protect", "agent:main:telegrm", "--for", "2h"]).exits(0).stdout;
    assert!(said.contains("no lane, lock or process is called so now"), "{said}");
    for lane in [STALE, "agent:main:main"] {
        let said = stage.run(&["protect", lane, "--for", "2h", "--json"]).exits(0).json();
        assert_eq!(said["seen"], true, "{said}");
    }
}

#[test]
fn a_pid_means_the_process_that_has_it_now() {
    let stage = Stage::healthy();
    let (pid, gone) = (&GATEWAY.0.to_string(), &DEAD.0.to_string());
    let id = format!("{}@{}", GATEWAY.0, GATEWAY.1);
    let protect = |subject: &str| {
        let said = stage.run(&["protect", subject, "--for", "1d", "--json"]).exits(0).json();
        (said["subject"].as_str().unwrap().to_owned(), said["seen"].as_bool())
    };
    for subject in [pid, &id] {
        assert_eq!(protect(subject), (id.clone(), Some(true)));
        let ended = stage.run(&["unprotect", subject, "--json"]).exits(0).json();
        assert_eq!((&ended["subject"], &ended["was_protected"]), (&json!(id), &json!(true)));
    }
    let earlier = format!("{pid}@{}", GATEWAY.1 - 1);
    for subject in [gone, &earlier, &format!("+{pid}"), "1", "99999999999"] {
        assert_eq!(protect(subject), (subject.to_owned(), Some(false)), "no live process");
    }
    for (subject, says) in [
        (gone, format!("there is no live process with the pid {gone}\n")),
        (&earlier, format!("that process has ended; pid {pid} is another one now, {id}\n")),
        (&format!("+{pid}"), format!("+{pid} is no lane, lock or process of ")),
        (&"0".to_owned(), "nothing can be seen of pid 0\n".to_owned()),
    ] {
        let unknown = stage.run(&["explain", subject]).exits(64).stderr;
        assert!(unknown.contains(&says), "{unknown}");
    }
    let rows = json!({ (pid): { "sessionId": "a", "status": "done", "updatedAt": 1 } });
    stage.write(&stage.store(), &rows.to_string(), 60);
    assert_eq!(protect(pid), (pid.clone(), Some(true)), "a lane is called so");
}

#[test]
fn a_pid_of_this_host_is_asked_of_its_kernel() {
    let stage = Stage::healthy();
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = child.id().to_string();
    let protect = || ran(&mut stage.live(&["protect", &pid, "--for", "1d"])).exits(0).stdout;
    let said = protect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.starts_with(&format!("{pid}@")) && !said.contains("is called so"), "{said}");
    assert!(protect().starts_with(&format!("{pid} is left alone")), "its number is free");
}

#[test]
fn a_pid_selects_what_was_done_about_that_process_and_what_it_holds() {
    let stage = Stage::healthy();
    stage.run(&["resume"]).exits(0);
    let mut journal = Journal::open_beside(&stage.own_dir()).unwrap();
    for ticks in [GATEWAY.1, GATEWAY.1 - 1] {
        let id = format!("{}@{ticks}", GATEWAY.0);
        journal.intend(&about_process(id, stage.now)).unwrap();
    }
    drop(journal);
    let pid = GATEWAY.0.to_string();
    let did = stage.run(&["history", "--subject", &pid, "--json"]).exits(0).json_lines();
    assert_eq!((did.len(), &did[0]["action_id"]), (1, &json!(1)), "of this life alone");
    let explained = stage.run(&["explain", &pid]).exits(0).stdout;
    assert!(explained.contains("action 1 end_tree"), "{explained}");
    stage.write(&stage.lock(), &stage.lock_text(GATEWAY, 600), 600);
    let explained = stage.run(&["explain", &pid, "--json"]).exits(0).json_lines();
    let kinds: Vec<_> = explained.iter().map(|line| &line["subject"]["kind"]).collect();
    assert_eq!(kinds, ["lock", "lock", "process"], "by dead_lock and held_lock: {explained:#?}");
}

fn about_process(id: String, intended_at: UnixMillis) -> Intent {
    Intent {
        pass_id: "p".to_owned(),
        boot_id: BootId("b".to_owned()),
        policy: Policy::OrphanProcess,
        subject: Subject { kind: SubjectKind::Process, id },
        incarnation: "i".to_owned(),
        kind: "end_tree".to_owned(),
        detail: "{}".to_owned(),
        reason_code: "r".to_owned(),
        reason_text: "because".to_owned(),
        intended_at,
        undo_of: None,
    }
}

#[test]
fn an_undo_brings_back_what_was_and_protects_it_for_a_day() {
    let stage = Stage::with_stale_lane();
    let before = fs::read_to_string(stage.store()).unwrap();
    assert_eq!(pass(&stage, Duration::ZERO), ["act older_than_gateway"]);
    let settled = fs::read_to_string(stage.store()).unwrap();
    let dry = stage.run(&["undo", "1", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains("can be undone"), "{dry:#?}");
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), settled);

    let said = stage.run(&["undo", "1"]).exits(0).stdout;
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), before);
    let until = stage.now.plus(24 * HOUR);
    let advice =
        format!("it is protected until {until}; end that with: clawarden unprotect '{STALE}'\n");
    assert!(said.ends_with(&advice), "{said}");
    assert_eq!(pass(&stage, COOLDOWN), ["hold protected"]);
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), before);

    stage.run(&["unprotect", STALE]).exits(0);
    assert_eq!(pass(&stage, COOLDOWN), ["act older_than_gateway"]);
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), settled);
}

#[test]
fn an_undo_does_not_shorten_a_protection() {
    let stage = Stage::with_dead_lock();
    let lock = stage.lock().to_string_lossy().into_owned();
    pass(&stage, Duration::ZERO);
    stage.run(&["protect", &lock, "--for", "7d"]).exits(0);
    let undone = stage.run(&["undo", "1", "--json"]).exits(0).json();
    assert_eq!(undone["protected_until"], stage.now.plus(7 * 24 * HOUR).to_string());
}

#[test]
fn an_undo_refuses_what_is_unknown_undone_or_no_longer_the_same() {
    let stage = Stage::with_dead_lock();
    let refused = |id: &str, code: i32, why: &str| {
        let ran = stage.run(&["undo", id]).exits(code);
        assert!(ran.stderr.contains(why) || ran.stdout.contains(why), "{ran:#?}");
    };
    refused("1", 64, "there is no action 1");
    refused("nightly", 64, "nightly");
    pass(&stage, Duration::ZERO);
    stage.write(&stage.lock(), "{}", 0);
    refused("1", 1, "there is a lock at its place again");
    assert_eq!(fs::read_to_string(stage.lock()).unwrap(), "{}");
    refused("2", 1, "action 2 changed nothing (changed)");
    let protected = stage.run(&["status", "--json"]).exits(0).json()["protected"].clone();
    assert_eq!(protected, Value::Array(Vec::new()), "nothing was put back");

    fs::write(stage.lock(), "").unwrap();
    stage.remove(&stage.lock());
    stage.run(&["undo", "1"]).exits(0);
    refused("1", 1, "action 1 is undone already, by action 3");
}

#[test]
fn an_undo_of_a_row_that_has_changed_since_leaves_it() {
    let stage = Stage::with_stale_lane();
    pass(&stage, Duration::ZERO);
    let text = fs::read_to_string(stage.store()).unwrap().replace("failed", "running");
    stage.write(&stage.store(), &text, 60);
    let refused = stage.run(&["undo", "1"]).exits(1);
    assert!(refused.stdout.contains("the row has changed since"), "{refused:#?}");
    assert_eq!(fs::read_to_string(stage.store()).unwrap(), text);
}
