//! Tasks of captured states that nothing works on: found in every place, and taken out of all of them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::capture::{Capture, Ran, assert_same};

/// The first task of the run that hung when its gateway was killed, and the session that worked on it.
const TASK: &str = "a104a0d0-4373-4e3e-bc09-ef4493b05a4f";
const CHILD: &str = "agent:claude:acp:eede7136-a444-4200-8045-b9369115017c";
const RUN: &str = "d6b9e59b-00f0-41d9-bc8e-b81837c0c483";
const RECORD: &str = "eede7136-a444-4200-8045-b9369115017c%3Aoneshot%3A";

/// Every verdict of the policy, as `decision code subject`.
fn judged(report: &Value) -> Vec<String> {
    let of_tasks = |verdict: &&Value| verdict["policy"] == "zombie_task";
    let line = |verdict: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (decision, code) = (text(&verdict["decision"]), text(&verdict["reason"]["code"]));
        format!("{decision} {code} {}", text(&verdict["subject"]["id"]))
    };
    report["verdicts"].as_array().unwrap().iter().filter(of_tasks).map(line).collect()
}

#[test]
fn one_task_is_found_in_all_four_places_and_a_finished_one_in_none() {
    let capture = Capture::new("2026.4.15-b4-acp-after-restart");
    let found = judged(&capture.json(&["plan"]));
    assert!(found.contains(&format!("hold task_by_hand {TASK}")), "{found:?}");
    assert_eq!(found.len(), 2, "the other is the call that its gateway did not survive: {found:?}");
    for name in [TASK, &TASK[..4], CHILD, RUN, "demo-hang"] {
        let task = capture.json(&["tasks", "explain", name]);
        assert_eq!(task["subject"]["id"], TASK, "{name}");
        let evidence = &task["evidence"];
        assert_eq!(
            evidence["disagreement"],
            "cli task running, acp task running, subagent task failed, acp task running, \
             session ended, registered run ended, record open"
        );
        let places = evidence["places"].as_array().unwrap();
        assert_eq!(places.len(), 4 + 3 + 3, "rows, flows, and three files: {places:#?}");
        for file in ["agents/claude/sessions/sessions.json", "subagents/runs.json", RECORD] {
            let names = |place: &Value| place.as_str().unwrap().contains(file);
            assert!(places.iter().any(names), "{file}: {places:#?}");
        }
    }
}

#[test]
fn a_stopped_gateway_leaves_a_way_out_and_all_of_an_agent_is_what_is_old_enough() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let text = capture.run(&["tasks"]).stdout;
    assert!(text.contains("tasks purge ") && text.ends_with(" --dry-run\n"), "{text}");
    let all = |now: &str| {
        let arguments = ["tasks", "purge", "--all", "--agent", "claude", "--dry-run"];
        let mut command = capture.command(&arguments);
        command.env("CLAWARDEN_NOW", now);
        Ran::of(command).stdout
    };
    assert!(all("2026-11-20T08:35:00Z").contains(TASK));
    assert_eq!(all("2026-11-20T07:40:00Z"), "there is nothing to purge\n");
}

#[test]
fn a_live_session_is_left_alone_however_late_although_its_recorded_process_is_dead() {
    let capture = Capture::new("2026.4.15-b2-acp-hung-live");
    for now in [None, Some("2026-11-20T10:00:00Z")] {
        let mut command = capture.command(&["plan", "--json"]);
        command.envs(now.map(|now| ("CLAWARDEN_NOW", now)));
        let found = judged(&Ran::of(command).json());
        assert!(found.iter().all(|line| !line.contains(TASK)), "{found:?}");
    }
}

#[test]
fn a_purge_takes_one_task_out_of_every_place_and_undo_brings_all_of_it_back() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let before = capture.contents();
    let rows = rows(&capture.state_dir());
    let said = capture.json(&["tasks", "purge", TASK, "--dry-run"]);
    assert_eq!(said["outcome"], "would_do");
    assert_same(&capture.contents(), &before, "a dry run");

    let purged = capture.json(&["tasks", "purge", &TASK[..8]]);
    assert_eq!(
        (&purged["outcome"], &purged["schema"]),
        (&"done".into(), &"clawarden.purge/v1".into())
    );
    assert_eq!(said["places"], purged["places"]);
    let state = capture.state_dir();
    assert!(!names(&state, CHILD) && !names(&state, RUN), "no place names it any more");
    let (kept, gone): (Vec<_>, Vec<_>) = rows.iter().partition(|row| !row.contains(RUN));
    assert_eq!((self::rows(&state), gone.len()), (kept.into_iter().cloned().collect(), 4));
    // Everything else is as it was, to the byte.
    let untouched = |path: &Path| {
        let name = path.to_string_lossy();
        !["sqlite", "runs.json", RECORD, "claude/sessions/sessions.json"]
            .iter()
            .any(|part| name.contains(part))
    };
    let others = |contents: &crate::capture::Contents| {
        contents
            .iter()
            .filter(|(path, _)| untouched(path))
            .map(|(p, c)| (p.clone(), c.clone()))
            .collect()
    };
    assert_same(&others(&capture.contents()), &others(&before), "the others");

    let id = purged["action_id"].to_string();
    let ran = capture.run(&["undo", &id, "--dry-run"]);
    assert!(ran.stdout.ends_with("can be undone; nothing was changed\n"), "{ran:?}");
    super::undone::undo(&capture, &id);
    assert_eq!(self::rows(&state), rows);
    for (path, content) in
        before.iter().filter(|(path, _)| !path.to_string_lossy().contains("sqlite"))
    {
        assert_eq!(fs::read(capture.root.join(path)).unwrap(), content.bytes, "{}", path.display());
    }
    assert!(names(&state, CHILD));
}

#[test]
fn nothing_is_purged_beside_a_gateway_nor_in_a_database_that_only_it_may_change() {
    for (name, task) in [
        ("2026.4.15-b4-acp-after-restart", TASK),
        ("2026.9.6-seeded-zombies", "00000102-0000-4000-8000-000000000000"),
    ] {
        let capture = Capture::new(name);
        let before = capture.contents();
        let ran = capture.run(&["tasks", "purge", task]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_same(&capture.contents(), &before, name);
    }
}

#[test]
fn what_is_no_task_or_may_be_several_is_refused() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    for name in ["nobody", "a1", "agent:main:nobody"] {
        let ran = capture.run(&["tasks", "purge", name]);
        assert_eq!(ran.code, Some(64), "{ran:?}");
    }
    let labels = "UPDATE task_runs SET label = 'x', run_id = task_id";
    change(&capture, labels);
    let ran = capture.run(&["tasks", "purge", "x"]);
    assert!(ran.stderr.ends_with(" and 12 more; say which\n"), "{ran:?}");
}

/// Changes the task database, as the gateway might have.
fn change(capture: &Capture, sql: &str) {
    let db = capture.state_dir().join("tasks/runs.sqlite");
    rusqlite::Connection::open(db).unwrap().execute_batch(sql).unwrap();
}

/// What a purge would take out.
fn places(capture: &Capture) -> Vec<String> {
    let said = capture.json(&["tasks", "purge", TASK, "--dry-run"]);
    let places = said["places"].as_array().unwrap().iter();
    places.map(|place| place.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_flow_with_a_step_of_another_run_stays() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let flows = |places: &[String]| places.iter().filter(|at| at.contains("flow_runs")).count();
    assert_eq!(flows(&places(&capture)), 3);
    let flow = "(SELECT parent_flow_id FROM task_runs WHERE task_id LIKE '8aff%')";
    change(
        &capture,
        &format!("UPDATE task_runs SET parent_flow_id = {flow} WHERE task_id LIKE '971a%'"),
    );
    assert_eq!(flows(&places(&capture)), 2, "each of them once");
    let other = "9c7dc667-79b2-4f0c-b152-7db326b115e2";
    change(
        &capture,
        &format!("UPDATE task_runs SET parent_flow_id = {flow} WHERE task_id = '{other}'"),
    );
    assert_eq!(flows(&places(&capture)), 1);
    assert_eq!(capture.json(&["tasks", "purge", TASK])["outcome"], "done");
}

#[test]
fn a_session_that_another_run_is_not_over_with_stays() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let of_session = |places: &[String]| places.iter().filter(|at| at.ends_with(".json")).count();
    assert_eq!(of_session(&places(&capture)), 1, "its record");
    let other = "9c7dc667-79b2-4f0c-b152-7db326b115e2";
    change(
        &capture,
        &format!("UPDATE task_runs SET child_session_key = '{CHILD}' WHERE task_id = '{other}'"),
    );
    assert_eq!(of_session(&places(&capture)), 0);
    assert!(!places(&capture).iter().any(|at| at.contains("sessions.json")));
}

#[test]
fn a_whole_id_means_its_task_whatever_labels_say() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    change(&capture, &format!("UPDATE task_runs SET label = '{TASK}' WHERE task_id LIKE '3192%'"));
    assert_eq!(capture.json(&["tasks", "explain", TASK])["subject"]["id"], TASK);
}

#[test]
fn history_calls_a_purge_that_is_done_no_failure() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    assert_eq!(capture.json(&["tasks", "purge", TASK])["outcome"], "done");
    let ran = capture.run(&["history"]);
    assert!(ran.stdout.contains(": done: taken out of: "), "{ran:?}");
    let action = capture.json(&["history", "--policy", "zombie_task"]);
    assert_eq!(action["error"], Value::Null);
}

#[test]
fn all_of_an_agent_are_not_those_of_another() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let purged = |agent: &str| {
        let all = ["tasks", "purge", "--all", "--agent", agent, "--dry-run", "--json"];
        let ran = capture.run(&all);
        let ids = ran.stdout.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["task_id"].as_str().unwrap().to_owned()
        });
        ids.collect::<Vec<_>>()
    };
    let other = "9c7dc667-79b2-4f0c-b152-7db326b115e2";
    assert_eq!((purged("claude"), purged("main")), (vec![TASK.to_owned()], vec![other.to_owned()]));
    // No session of an agent, whatever its second part says.
    change(
        &capture,
        &format!(
            "UPDATE task_runs SET child_session_key = 'hook:claude:1' WHERE task_id = '{other}'"
        ),
    );
    assert_eq!(purged("claude"), [TASK]);
    assert!(purged("main").is_empty() && purged("clau").is_empty());
}

#[test]
fn nothing_is_written_behind_a_link_out_of_the_state_directory() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let (tasks, elsewhere) = (capture.state_dir().join("tasks"), capture.root.join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    for entry in fs::read_dir(&tasks).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, elsewhere.join(from.file_name().unwrap())).unwrap();
    }
    fs::remove_dir_all(&tasks).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &tasks).unwrap();
    let before = capture.contents();
    let ran = capture.run(&["tasks", "purge", TASK]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("runs.sqlite: a link out of the state directory"), "{ran:?}");
    assert_same(&capture.contents(), &before, "all of it");
}

#[test]
fn what_could_not_be_seen_is_not_called_fine() {
    let capture = Capture::new("2026.4.15-b3-acp-after-sigkill");
    let tasks = capture.state_dir().join("tasks/runs.sqlite");
    fs::write(tasks, "no database at all".repeat(9)).unwrap();
    let ran = capture.run(&["tasks"]);
    assert!(ran.stdout.contains("no task that could be seen looks wrong"), "{ran:?}");
}

/// Whether any file below `folder` has this text; what was said in conversations is not asked.
fn names(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return names(&path, text);
        }
        let is_transcript = path.extension().is_some_and(|extension| extension == "jsonl");
        let bytes = fs::read(&path).unwrap();
        !is_transcript && bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

/// Every row of the task database, from a copy: to look changes nothing.
fn rows(state: &Path) -> Vec<String> {
    use rusqlite::types::Value;
    let copy = tempfile::tempdir().unwrap();
    for name in ["runs.sqlite", "runs.sqlite-wal"] {
        let from = state.join("tasks").join(name);
        if from.exists() {
            fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let db = rusqlite::Connection::open(copy.path().join("runs.sqlite")).unwrap();
    let mut statement = db.prepare("SELECT * FROM task_runs ORDER BY task_id").unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..width).map(|at| Ok(format!("{:?}", row.get::<_, Value>(at)?)));
        Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}
