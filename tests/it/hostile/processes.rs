//! Processes that say more, or something else, than real ones.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::is_printable;
use crate::cli::stage::{GATEWAY, Ran, Stage, ran};
use crate::table::Listed;

/// Forges a line, moves the cursor, and turns the text around.
const FORGED: &str = "\nended process 1@1\r\u{1b}[2J\u{1b}[31m\u{202e}\u{7f}\nx";

const KEY: &str = "agent:claude:acp:a6238e66-5172-4d81-95af-2c5e35a97b19";

/// Nobody has its other ends, and it works in the workspace of the stage.
fn orphan(stage: &Stage, pid: i32) -> Listed {
    let cwd = stage.state_dir().join("workspace").to_string_lossy().into_owned();
    fs::create_dir_all(&cwd).unwrap();
    Listed { is_attached: false, cwd: cwd.into_bytes(), ..Listed::adapter(pid, 1) }
}

fn verdict<'a>(report: &'a Value, process: &Listed) -> &'a Value {
    let verdicts = report["verdicts"].as_array().unwrap();
    let found = verdicts.iter().find(|verdict| verdict["subject"]["id"] == process.id());
    found.unwrap_or_else(|| panic!("{}: {report:#}", process.id()))
}

/// Everything that people and programs are told, a live pass and its log included.
fn told(stage: &Stage, process: &Listed) -> Vec<Ran> {
    let pid = process.pid.to_string();
    let commands: [&[&str]; 9] = [
        &["plan", "--all"],
        &["explain", &pid],
        &["status"],
        &["run", "--once", "-vv"],
        &["run", "--once", "-vv", "--log-format", "json"],
        &["history"],
        &["plan", "--all", "--json"],
        &["explain", &pid, "--json"],
        &["history", "--json"],
    ];
    commands.map(|args| stage.run(args).exits(0)).into()
}

#[track_caller]
fn forges_nothing(told: &[Ran]) {
    for ran in told {
        for text in [&ran.stdout, &ran.stderr] {
            let is_json = text.starts_with('{');
            assert!(is_json || is_printable(text), "{ran:?}");
            for line in text.lines() {
                assert!(!line.starts_with("ended process 1@1"), "{ran:?}");
                assert!(!is_json || serde_json::from_str::<Value>(line).is_ok(), "{ran:?}");
            }
        }
    }
}

/// Writes a record that names `pid`, started at `at`.
fn record(stage: &Stage, name: &str, pid: i32, at: &str) {
    let path = stage.state_dir().join("workspace/state/sessions/r.json");
    let record = json!({
        "schema": "acpx.session.v1",
        "acpx_record_id": "r",
        "acp_session_id": "s",
        "agent_command": "node /x/node_modules/.bin/claude-agent-acp",
        "cwd": stage.state_dir().join("workspace"),
        "name": name,
        "pid": pid,
        "agent_started_at": at,
        "closed": false,
    });
    stage.write(&path, &record.to_string(), 60);
}

/// The start of a process by the wall clock, as records have it.
fn started_at(stage: &Stage, process: &Listed) -> String {
    let ticks = i64::try_from(process.start_ticks - GATEWAY.1).unwrap();
    let booted_at = stage.ago(GATEWAY.1 / 100 + 2 * 3600).0 / 1000 * 1000;
    let start = booted_at + i64::try_from(GATEWAY.1).unwrap() * 10 + ticks * 10;
    clawarden::model::UnixMillis(start).to_string()
}

#[test]
fn nothing_that_a_process_says_of_itself_forges_a_line() {
    let stage = Stage::healthy();
    let mut process = orphan(&stage, 5001);
    process.cmdline.extend(FORGED.bytes());
    process.cwd.extend(format!("/{FORGED}").bytes());
    process.name = b"foo) Z 1 1\n\x1b[2J".to_vec();
    process.environ.extend(format!("X={FORGED}\0OPENCLAW_STATE_DIR={FORGED}\0").bytes());
    process.put(&stage.path("proc"));
    let mut child = Listed::new(5002, 5001, &["node"]);
    child.exe = format!("/x/{FORGED}").into_bytes();
    child.cmdline = vec![b'\n'; 100];
    child.put(&stage.path("proc"));
    record(&stage, &format!("{KEY}{FORGED}"), 5001, &started_at(&stage, &process));
    forges_nothing(&told(&stage, &process));
    forges_nothing(&told(&stage, &child));

    let ours = orphan(&stage, 5003);
    ours.put(&stage.path("proc"));
    record(&stage, &format!("{KEY}{FORGED}"), 5003, &started_at(&stage, &ours));
    let told = told(&stage, &ours);
    forges_nothing(&told);
    let report: Value = serde_json::from_str(&told[6].stdout).unwrap();
    let verdict = verdict(&report, &ours);
    assert_eq!(verdict["evidence"]["session"], format!("{KEY}{FORGED}"), "{verdict:#}");
    assert_eq!(verdict["reason"]["code"], "unreachable", "{verdict:#}");
}

#[test]
fn a_name_with_brackets_makes_no_zombie_of_a_process() {
    let stage = Stage::healthy();
    for (pid, name) in [(5001, "foo) Z 1"), (5002, ") Z 1 1 1 0 -1 4 (x"), (5003, "((")] {
        let named = Listed { name: name.into(), ..Listed::adapter(pid, GATEWAY.0) };
        named.put(&stage.path("proc"));
    }
    let report = stage.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(report["seen"]["agents"]["ours"], 3, "{report:#}");
}

#[test]
fn a_command_line_of_megabytes_is_cut() {
    let stage = Stage::healthy();
    let mut process = orphan(&stage, 5001);
    process.cmdline.extend(vec![b'a'; 2 << 20]);
    process.put(&stage.path("proc"));
    let mut lines = orphan(&stage, 5002);
    lines.cmdline.extend("\n\0".repeat(1 << 20).bytes());
    lines.put(&stage.path("proc"));
    for process in [&process, &lines] {
        let told = told(&stage, process);
        forges_nothing(&told);
        for ran in &told {
            assert!(ran.stdout.len() < 64 << 10, "{} bytes", ran.stdout.len());
        }
        let report: Value = serde_json::from_str(&told[6].stdout).unwrap();
        let verdict = verdict(&report, process);
        assert!(verdict["evidence"]["command"].as_str().unwrap().len() <= 4096);
    }
}

#[test]
fn a_secret_of_a_command_line_is_told_nobody_and_kept_nowhere() {
    let stage = Stage::healthy();
    let secrets = [
        "--api-key",
        "hunter2-1",
        "--token=hunter2-2",
        "ANTHROPIC_API_KEY=hunter2-3",
        "sk-hunter2-444",
    ];
    let mut process = orphan(&stage, 5001);
    process.cmdline.extend(secrets.iter().flat_map(|text| text.bytes().chain([0])));
    process.environ.extend(b"SECRET=hunter2-5\0");
    process.put(&stage.path("proc"));
    let mut server = Listed::new(5002, 1, &["node", "--token", "hunter2-6"]);
    server.is_attached = false;
    server.put(&stage.path("proc"));
    for ran in told(&stage, &process).iter().chain(&told(&stage, &server)) {
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
    let report = stage.run(&["explain", "5001", "--json"]).exits(0).json();
    let command = report["evidence"]["command"].as_str().unwrap();
    assert!(command.ends_with("--api-key *** --token=*** ANTHROPIC_API_KEY=*** ***"), "{command}");
    for entry in fs::read_dir(stage.own_dir()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "kept");
    }
}

#[test]
fn ten_thousand_processes_are_looked_at_in_time() {
    let stage = Stage::healthy();
    let proc = stage.path("proc");
    for pid in 10_000..20_000 {
        Listed::put_bare(&proc, pid, if pid % 7 == 0 { 1 } else { 10_000 + pid % 100 });
    }
    let agents: Vec<_> = (5_001..5_101).map(|pid| Listed::adapter(pid, GATEWAY.0)).collect();
    for agent in &agents {
        agent.put(&proc);
    }
    let begun = Instant::now();
    let report = stage.run(&["plan", "--json"]).exits(0).json();
    let took = begun.elapsed();
    assert_eq!(report["seen"]["agents"]["ours"], 100, "{report:#}");
    assert_eq!(report["gaps"], json!([]));
    let most = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 5 });
    assert!(took < most, "{took:?}");
    let begun = Instant::now();
    let text = stage.run(&["explain", "10000"]).exits(0).stdout;
    assert!(begun.elapsed() < most && text.lines().count() < 300, "{}", text.lines().count());
    assert!(text.contains(" more\n"), "{text}");
}

/// Leases of 2026.5.28: the last one is `last`'s, all others name strangers.
fn leases(stage: &Stage, count: usize, strangers: &[i32]) {
    let lease = |number: usize| {
        json!({
            "leaseId": format!("lease-{number}"),
            "gatewayInstanceId": "i",
            "sessionKey": format!("agent:claude:acp:{number}"),
            "wrapperRoot": stage.state_dir().join("acpx"),
            "wrapperPath": stage.state_dir().join("acpx/claude-agent-acp-wrapper.mjs"),
            "rootPid": strangers[number % strangers.len()],
            "commandHash": "h",
            "startedAt": 0,
            "state": "open",
        })
    };
    let leases: Vec<_> = (0..count).map(lease).collect();
    let file = json!({ "version": 1, "leases": leases });
    stage.write(&stage.state_dir().join("acpx/process-leases.json"), &file.to_string(), 60);
}

#[test]
fn a_hundred_thousand_leases_own_only_who_names_them() {
    let stage = Stage::healthy();
    let owner = |lease: &str| format!("OPENCLAW_ACPX_LEASE_ID={lease}");
    let lost = |pid, lease: &str| {
        let process = orphan(&stage, pid).env(&["HOME=/home/user", &owner(lease)]);
        let process = Listed { cwd: b"/".to_vec(), ..process };
        process.put(&stage.path("proc"));
        process
    };
    let (first, last) = (lost(5001, "lease-0"), lost(5002, "lease-99999"));
    let nobodys = lost(5003, "lease-100000");
    let stranger = Listed { is_attached: false, ..Listed::claude(5004, 1).env(&["HOME=/home/x"]) };
    stranger.put(&stage.path("proc"));
    leases(&stage, 100_000, &[stranger.pid, GATEWAY.0, nobodys.pid]);
    let begun = Instant::now();
    let report = stage.run(&["plan", "--all", "--json"]).exits(0).json();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(report["gaps"], json!([]));
    for (process, code) in [
        (&first, "unreachable"),
        (&last, "unreachable"),
        (&nobodys, "not_owned"),
        (&stranger, "not_owned"),
    ] {
        assert_eq!(verdict(&report, process)["reason"]["code"], code, "{}", process.pid);
    }
    leases(&stage, 100_001, &[stranger.pid]);
    let report = stage.run(&["plan", "--all", "--json"]).exits(0).json();
    assert!(report["gaps"][0]["reason"].as_str().unwrap().contains("100000"), "{report:#}");
}

#[test]
fn a_record_that_names_a_stranger_owns_nobody() {
    let stage = Stage::healthy();
    let mine = |pid| Listed { is_attached: false, ..Listed::claude(pid, 1) };
    let elsewhere = mine(5001).env(&["HOME=/home/other", "CLAUDE_CODE_ENTRYPOINT=sdk-ts"]);
    let editor = Listed { is_attached: false, ..Listed::new(5002, 1, &["vim", "x.rs"]) };
    let young = mine(5003).env(&["HOME=/home/other", "CLAUDE_CODE_ENTRYPOINT=sdk-ts"]);
    let strangers = [&elsewhere, &editor, &young];
    for stranger in strangers {
        stranger.put(&stage.path("proc"));
    }
    let then = stage.ago(86_400).to_string();
    for (stranger, at) in [
        // Of an earlier life of the pid; and of this one, but another command and folder.
        (strangers[0], then.clone()),
        (strangers[1], started_at(&stage, &editor)),
        (strangers[2], started_at(&stage, &young)),
    ] {
        record(&stage, KEY, stranger.pid, &at);
        let mut command = stage.clawarden(&["run", "--once", "--all", "--json"]);
        let report = ran(&mut command).exits(0).json();
        let summary = &report["summary"];
        let acted = [&summary["failed"], &summary["changed"]];
        assert_eq!(acted.map(|count| count.as_u64().unwrap()), [0; 2], "{report:#}");
        let verdicts = report["verdicts"].as_array().unwrap().iter();
        let acts = verdicts.filter(|of| of["decision"] == "act" && of["policy"] != "tombstone");
        assert_eq!(acts.count(), 0, "{report:#}");
        let explained =
            stage.run(&["explain", &stranger.pid.to_string(), "--json"]).exits(0).json();
        let owned = &explained["evidence"]["owned"]["acpx_record (strong)"];
        assert!(owned.as_str().unwrap().starts_with("absent: record "), "{explained:#}");
    }
}
