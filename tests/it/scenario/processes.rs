//! Processes of captured states: explained word for word, judged by other settings, never signalled.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::capture::{Capture, assert_same, assert_text, of_others, verdicts};
use crate::process::{Sleeper, start_ticks};

/// A pid, and the reasons that its explanation gives, in their order.
type Explained = (i32, &'static [&'static str]);

/// The captured states with agents, and which of their processes somebody might ask about.
pub(super) const EXPLAINED: [(&str, &[Explained]); 5] = [
    (
        "2026.4.15-acp-orphans",
        &[
            (867, &["not_confirmed"]),
            (878, &["part_of_tree"]),
            // The gateway.
            (83, &["not_an_agent"]),
        ],
    ),
    (
        "2026.4.15-acp-attached",
        &[
            (1082, &["contact_kept", "record_closed"]),
            // `npm exec`, which started it.
            (1069, &["not_an_agent"]),
        ],
    ),
    (
        "2026.4.15-acp-killed",
        &[
            (878, &["not_confirmed"]),
            (1046, &["tool_running"]),
            // The shell of the tool.
            (1138, &["part_of_tree"]),
        ],
    ),
    // The adapter by which the next gateway tries whether ACP works.
    ("2026.4.15-acp-restarted", &[(878, &["not_confirmed"]), (1684, &["contact_kept"])]),
    (
        "2026.4.15-acp-lookalikes",
        &[
            // A person's claude, native and not, in tmux.
            (1366, &["contact_unknown"]),
            (1408, &["contact_unknown"]),
            // The adapter of a live editor, and one of an editor that was killed.
            (1568, &["contact_unknown"]),
            (1763, &["contact_unknown"]),
            (2444, &["not_owned"]),
            // Of another profile, with its gateway and without.
            (1913, &["contact_kept"]),
            (2521, &["other_state_dir"]),
            // A person's queue owner, and its adapter.
            (2157, &["not_an_agent"]),
            (2179, &["contact_kept"]),
            // Names: of a `sleep`, of another `sleep`, of the file that `tail` reads.
            (2325, &["not_an_agent"]),
            (2336, &["not_an_agent"]),
            (2349, &["not_an_agent"]),
            // An adapter on a named pipe.
            (2361, &["contact_unknown"]),
            // `claude -p` of an exec tool: its starter was killed; it was sent to the background.
            (2412, &["not_marked"]),
            (2427, &["contact_unknown"]),
            // An orphan whose claude somebody has stopped.
            (2653, &["guarded"]),
        ],
    ),
];

#[test]
fn each_process_is_explained_word_for_word() {
    for (name, processes) in EXPLAINED {
        let capture = Capture::new(name);
        let mut said = String::new();
        for (pid, codes) in processes {
            let pid = pid.to_string();
            let ran = capture.run(&["explain", &pid]);
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name} {pid}");
            said += &format!("$ clawarden explain {pid}\n{}\n", capture.redacted(&ran.stdout));
            let json = capture.run(&["explain", &pid, "--json"]).stdout;
            let code = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["reason"]["code"].as_str().unwrap().to_owned()
            };
            assert_eq!(json.lines().map(code).collect::<Vec<_>>(), *codes, "{name} {pid}");
        }
        assert_text(&said, &format!("explain/{name}"));
    }
}

#[test]
fn what_is_wrong_is_listed_word_for_word() {
    for (name, _) in EXPLAINED {
        let capture = Capture::new(name);
        let ran = capture.run(&["plan"]);
        assert_text(&capture.redacted(&ran.stdout), &format!("plan/{name}"));
    }
}

/// State, instant, settings, and the verdicts that they make.
type Configured = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ATTACHED: &str = "2026.4.15-acp-attached";
const ORPHANS: &str = "2026.4.15-acp-orphans";
const LATER: &str = "2026-11-20T15:04:00Z";

/// What is only done where somebody asks for it.
pub(super) const CONFIGURED: [Configured; 8] = [
    (
        ATTACHED,
        LATER,
        "policies: { leaked_process: { mode: enforce } }",
        &["act record_closed 1082@1953127"],
    ),
    (
        ATTACHED,
        "2026-11-20T14:43:00Z",
        "policies: { leaked_process: { after: 1h } }",
        &["hold closed_recently 1082@1953127"],
    ),
    (
        ATTACHED,
        LATER,
        "policies: { runaway_agent: { memory: 256MiB }, leaked_process: { mode: off } }",
        &["observe uses_memory 1082@1953127", "observe uses_memory 1210@1960312"],
    ),
    (
        // Shortly after its start an agent has used more than it ever does later.
        ATTACHED,
        "2026-11-20T14:34:00Z",
        "policies: { runaway_agent: { cpu: 1% for 1m }, leaked_process: { mode: off } }",
        &["observe uses_processor 1221@1960382"],
    ),
    (
        ATTACHED,
        LATER,
        "allow_short: true
policies: { runaway_agent: { mode: enforce, age: 32m }, leaked_process: { mode: off } }",
        &["act runs_long 1082@1953127"],
    ),
    (
        ORPHANS,
        "2026-11-20T14:32:00Z",
        "interval: 30s",
        &["hold start_grace 867@1948348", "hold start_grace 934@1948569"],
    ),
    (
        ORPHANS,
        "2026-11-20T15:01:30Z",
        "policies: { orphan_process: { min_age: 1h } }",
        &["hold too_young 867@1948348", "hold too_young 934@1948569"],
    ),
    (
        ORPHANS,
        "2026-11-20T15:01:30Z",
        "policies: { orphan_process: { families: { claude: { mode: observe } } } }",
        &["observe unreachable 867@1948348", "observe unreachable 934@1948569"],
    ),
];

#[test]
fn other_settings_make_other_verdicts_and_change_nothing() {
    for (name, now, settings, want) in CONFIGURED {
        let mut capture = Capture::new(name);
        now.clone_into(&mut capture.now);
        capture.configure(settings);
        let before = capture.contents();
        let ran = capture.run(&["plan", "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{settings}");
        assert_eq!(of_others(&ran.json()), want, "{settings}");
        assert_same(&capture.contents(), &before, name);
    }
}

#[test]
fn what_is_enforced_is_offered_and_what_is_observed_says_which_setting_to_change() {
    let capture = Capture::new(ATTACHED);
    let text = capture.run(&["explain", "1082"]).stdout;
    assert!(text.contains("\n  set policies.leaked_process.mode to enforce in the configuration"));
    let capture = Capture::new(ORPHANS);
    capture.configure("policies: { orphan_process: { families: { claude: { mode: observe } } } }");
    let text = capture.run(&["explain", "867"]).stdout;
    let next = "\n  set policies.orphan_process.mode and its families.claude.mode to enforce in";
    assert!(text.contains(next), "{text}");
}

#[test]
fn no_look_at_a_captured_state_is_waited_for() {
    let capture = Capture::new(ORPHANS);
    capture.configure("confirm: { looks: 9, gap: 10m }");
    let report = capture.json(&["plan"]);
    assert_eq!(of_others(&report), ["act unreachable 867@1948348", "act unreachable 934@1948569"]);
    let mut listed = report["verdicts"].as_array().unwrap().iter();
    let end = listed.find(|verdict| verdict["subject"]["kind"] == "process").unwrap();
    let age = &end["evidence"]["age_s"];
    assert!(age.as_u64().unwrap() > 8 * 600, "{age}");
}

/// The orphan of a killed gateway, alone, under the pid and the start of a live process.
fn impersonated(victim: &Sleeper) -> Capture {
    const CAPTURED: &str = "878";
    let capture = Capture::new("2026.4.15-acp-killed");
    let root = capture.proc_root();
    for other in ["927", "1046", "1094", "1138", "1140"] {
        fs::remove_dir_all(root.join(other)).unwrap();
    }
    let (pid, ticks) = (victim.pid, start_ticks(victim.pid).unwrap());
    let folder = root.join(pid.to_string());
    let moved = Command::new("mv").args([&root.join(CAPTURED), &folder]).status();
    assert!(moved.unwrap().success());
    let stat = fs::read_to_string(folder.join("stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let mut fields: Vec<_> = rest.split(' ').map(str::to_owned).collect();
    fields[19] = ticks.to_string();
    fs::write(folder.join("stat"), format!("{pid} (node) {}", fields.join(" "))).unwrap();
    let status = fs::read_to_string(folder.join("status")).unwrap();
    let pid = format!(":\t{pid}\n");
    fs::write(folder.join("status"), status.replace(&format!(":\t{CAPTURED}\n"), &pid)).unwrap();
    // It has run for half an hour, in this very boot.
    let now: jiff::Timestamp = capture.now.parse().unwrap();
    let ran = i64::try_from(ticks / 100).unwrap() + 1_800;
    fs::write(root.join("stat"), format!("btime {}\n", now.as_second() - ran)).unwrap();
    let boot = "sys/kernel/random/boot_id";
    fs::copy(Path::new("/proc").join(boot), root.join(boot)).unwrap();
    capture
}

#[test]
fn a_live_process_that_a_captured_state_calls_an_orphan_is_not_signalled() {
    let victim = Sleeper::attached("60", &[], Path::new("/"));
    let capture = impersonated(&victim);
    let id = victim.id();
    let planned = capture.json(&["plan"]);
    assert!(verdicts(&planned).contains(&format!("act unreachable {id}")), "{planned:#}");
    for _ in 0..2 {
        let ran = capture.run(&["run", "--once", "--json"]);
        let report = ran.json();
        let mut verdicts = report["verdicts"].as_array().unwrap().iter();
        let verdict = verdicts.find(|verdict| verdict["subject"]["id"] == id).unwrap();
        assert_ne!(verdict["outcome"], "done", "{report:#}");
        assert_eq!(report["summary"]["acted"], 0, "{report:#}");
        assert!(victim.is_alive());
    }
    let text = capture.run(&["history", "--actions"]).stdout;
    assert!(text.contains("changed: a captured process is never signalled"), "{text}");
    let fresh = impersonated(&victim);
    let text = fresh.run(&["run", "--once"]).stdout;
    for says in [format!("\ndid not end process {id}\n").as_str(), "\n4 held, 1 not done; "] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(victim.is_alive());
    // A signal that only stops would be seen, too.
    let state = fs::read_to_string(format!("/proc/{}/stat", victim.pid)).unwrap();
    assert!(state.contains(" S "), "{state}");
}
