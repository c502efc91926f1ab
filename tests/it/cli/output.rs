//! What programs read: JSON, colour, the configuration commands.

use std::fs;

use super::stage::{LOCKED, STALE, Stage, ran};

#[test]
fn the_json_of_every_command_parses_and_begins_with_its_schema() {
    let stage = Stage::with_stale_lane();
    stage.dead_lock();
    let lock = stage.lock().to_string_lossy().into_owned();
    for (args, schema) in [
        (&["plan"][..], "pass"),
        (&["plan", "--all"], "pass"),
        (&["explain", STALE], "explain"),
        (&["explain", "agent:main:main"], "explain"),
        (&["explain", &lock], "explain"),
        (&["run", "--once"], "pass"),
        (&["status"], "status"),
        (&["history"], "history"),
        (&["history", "--actions"], "history"),
        (&["undo", "1", "--dry-run"], "undo"),
        (&["undo", "1"], "undo"),
        (&["pause", "--for", "1h", "--reason", "upgrade"], "control"),
        (&["resume"], "control"),
        (&["protect", STALE, "--for", "1h"], "control"),
        (&["unprotect", STALE], "control"),
        (&["check-config"], "check-config"),
        (&["config", "show"], "config"),
        (&["config", "init"], "config-init"),
        (&["demo"], "pass"),
    ] {
        let ran = stage.run(&[args, &["--json"]].concat()).exits(0);
        assert!(!ran.json_lines().is_empty(), "{args:?}");
        let begin = format!("{{\"schema\":\"clawarden.{schema}/v1\",");
        for line in ran.stdout.lines() {
            assert!(line.starts_with(&begin), "{args:?}: {line}");
        }
    }
    let schema = stage.run(&["config", "schema", "--json"]).exits(0).json();
    assert!(schema["$schema"].is_string() && schema["properties"]["policies"].is_object());
}

#[test]
fn history_tells_what_was_found_and_done_one_object_per_line() {
    let stage = Stage::with_stale_lane();
    assert_eq!(stage.run(&["history", "--json"]).exits(0).stdout, "", "nothing yet");
    stage.run(&["run", "--once"]).exits(0);
    let lines = stage.run(&["history", "--json"]).exits(0).json_lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["entry"].as_str().unwrap(), line["subject"]["id"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("verdict", STALE), ("action", STALE)]);
    let action = &lines[1];
    assert_eq!((&action["outcome"], &action["undone_by"]), (&"done".into(), &().into()));
    let count = |args: &[&str]| stage.run(args).exits(0).json_lines().len();
    assert_eq!(count(&["history", "--json", "--actions"]), 1);
    assert_eq!(count(&["history", "--json", "--policy", "dead_lock"]), 0);
    assert_eq!(count(&["history", "--json", "--subject", STALE]), 2);
}

#[test]
fn a_bad_configuration_in_json_names_file_line_and_column() {
    let stage = Stage::healthy();
    stage.configure("interval: 30\nlimits: { cooldow: 15m }\n");
    let report = stage.run(&["check-config", "--json"]).exits(78).json();
    assert_eq!(report["ok"], false);
    let places: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(1, 11), (2, 11)]);
    assert_eq!(report["problems"][0]["file"], *stage.user_config().to_string_lossy());
}

#[test]
fn config_init_never_overwrites() {
    let stage = Stage::healthy();
    let file = stage.user_config();
    stage.run(&["config", "init"]).exits(0);
    stage.run(&["check-config"]).exits(0);
    assert!(fs::read_to_string(&file).unwrap().contains("stale_lane"));
    stage.configure("interval: 7s # mine\n");
    for like in ["default", "observe", "unattended"] {
        let ran = stage.run(&["config", "init", "--like", like]).exits(73);
        assert!(ran.stderr.contains("left as it was"), "{ran:#?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "interval: 7s # mine\n");
    let shown = stage.run(&["config", "show", "--origin"]).exits(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("interval: 7s")).unwrap();
    assert!(line.contains("clawarden.yaml:1"), "{line}");
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let stage = Stage::with_stale_lane();
    let is_coloured = |args: &[&str], no_color: Option<&str>| {
        let mut command = stage.clawarden(args);
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        ran(&mut command).exits(0).stdout.contains('\u{1b}')
    };
    assert!(is_coloured(&["plan", "--color", "always"], None));
    assert!(is_coloured(&["plan", "--color", "always"], Some("1")), "asked for by name");
    assert!(!is_coloured(&["plan"], None), "a pipe");
    assert!(!is_coloured(&["plan", "--color", "never"], None));
    assert!(!is_coloured(&["plan", "--color", "always", "--json"], None));
}

#[test]
fn what_was_repaired_is_still_explained_by_the_command_that_the_report_prints() {
    let stage = Stage::with_stale_lane();
    stage.dead_lock();
    stage.run(&["run", "--once"]).exits(0);
    let lock = "agents/main/sessions/nightly.jsonl.lock";
    for (subject, says) in [(lock, "is not there any more"), (STALE, "does not say `running`")] {
        let text = stage.run(&["explain", subject]).exits(0).stdout;
        assert!(text.contains(says) && text.contains("\nearlier\n"), "{subject}: {text}");
        let json = stage.run(&["explain", subject, "--json"]).exits(0).json();
        assert_eq!(json["earlier"][0]["outcome"], "done", "{json:#}");
    }
}

#[test]
fn a_lane_that_is_only_locked_is_explained_by_its_lock() {
    let stage = Stage::with_locked_lane();
    let lock = stage.lock().to_string_lossy().into_owned();
    for subject in [LOCKED, "nightly"] {
        let explained = stage.run(&["explain", subject, "--json"]).exits(0).json();
        assert_eq!(explained["subject"]["id"], lock, "{subject}: {explained:#}");
        assert_eq!(explained["reason"]["code"], "holder_dead", "{subject}: {explained:#}");
    }
    let text = stage.run(&["explain", LOCKED]).exits(0).stdout;
    assert!(text.contains("does not say `running`; there is a lock on its transcript"), "{text}");
}
