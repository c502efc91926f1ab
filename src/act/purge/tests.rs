//! | what is taken out | what fails |
//! |---|---|
//! | `stopped` before each place | `a_gateway_that_starts_in_the_middle_finds_everything_as_it_was` |
//! | `revert` in `carry_out` | the same |
//! | `settle` in `recover` | `a_crash_at_any_step_leaves_all_or_nothing` |
//! | `expected` in `rows::change` | `what_has_changed_since_is_left_alone` |
//! | `from` in `Change::file` | `what_is_written_in_the_middle_stays` |

use std::cell::Cell as Counter;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::*;
use crate::act::testing::{Place, alive, nothing};
use crate::model::{Cell, TaskId};

const SESSIONS: &str = "{\n \"agent:claude:acp:1\": {\"status\": \"failed\", \"x\": [1, {}]},\n \
    \"agent:claude:acp:2\": {\"status\":\"done\"}\n}\n";
const RUNS: &str = r#"{"version":2,"runs":{"q":{"endedAt":5},"r":{"startedAt":1}}}"#;
const RECORD: &str = r#"{"acpx_record_id":"1"}"#;
const ID: ActionId = ActionId(7);
const UNDO: ActionId = ActionId(8);

struct Bed {
    place: Place,
    purge: TaskPurge,
}

fn bed() -> Bed {
    let place = Place::new();
    for (name, text) in [("sessions.json", SESSIONS), ("r/runs.json", RUNS), ("w/1.json", RECORD)] {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        fs::write(place.path(name), text).unwrap();
    }
    let database = place.path("runs.sqlite");
    let db = Connection::open(&database).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL;
         CREATE TABLE task_runs (task_id TEXT PRIMARY KEY, n INTEGER);
         INSERT INTO task_runs VALUES ('1', 5), ('2', NULL), ('3', 7);",
    )
    .unwrap();
    let row = |id: &str, n| RowCopy {
        table: "task_runs".to_owned(),
        column: "task_id".to_owned(),
        id: id.to_owned(),
        cells: vec![("task_id".to_owned(), Cell::Text(id.to_owned())), ("n".to_owned(), n)],
    };
    let at = |name: &str| (place.path(name), file::stamp(&place.path(name)).unwrap());
    let member = |name: &str, keys: &[&str]| {
        let (path, stamp) = at(name);
        (path, stamp, keys.iter().map(|&key| key.to_owned()).collect())
    };
    let purge = TaskPurge {
        id: TaskId("1".to_owned()),
        rows: vec![(database, vec![row("1", Cell::Integer(5)), row("2", Cell::Null)])],
        members: vec![
            member("sessions.json", &["agent:claude:acp:1"]),
            member("r/runs.json", &["runs", "r"]),
        ],
        files: vec![at("w/1.json")],
    };
    Bed { place, purge }
}

/// What is in each place: files by name, and the ids in the database.
fn content(bed: &Bed) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    for folder in ["", "r", "w"] {
        for entry in fs::read_dir(bed.place.path(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.to_string_lossy().contains("sqlite") {
                let name = path.strip_prefix(bed.place.sessions.path()).unwrap();
                content.insert(name.display().to_string(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let db = Connection::open(bed.place.path("runs.sqlite")).unwrap();
    let mut statement = db.prepare("SELECT task_id, n FROM task_runs ORDER BY 1").unwrap();
    let rows = statement.query_map([], |row| {
        Ok(format!("{} {:?}", row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    content.insert("task_runs".to_owned(), rows.join(", "));
    content
}

fn purged() -> BTreeMap<String, String> {
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    BTreeMap::from([
        text("sessions.json", "{\n \"agent:claude:acp:2\": {\"status\":\"done\"}\n}\n"),
        text("r/runs.json", r#"{"version":2,"runs":{"q":{"endedAt":5}}}"#),
        text("task_runs", "3 Some(7)"),
    ])
}

fn down() -> Result<(), String> {
    Ok(())
}

fn with<T>(
    bed: &Bed,
    stopped: &dyn Fn() -> Result<(), String>,
    before: &dyn Fn(Step),
    work: impl FnOnce(&Actuator<'_>) -> T,
) -> T {
    let actuator = bed.place.actuator(Reach::Live, &alive, before);
    work(&Actuator { stopped, ..actuator })
}

fn run(bed: &Bed) -> Performed {
    with(bed, &down, &nothing, |actuator| purge(actuator, ID, &bed.purge)).unwrap()
}

fn take_back(bed: &Bed) -> Performed {
    let undone = |actuator: &Actuator<'_>| crate::act::undo(actuator, ID, UNDO);
    with(bed, &down, &nothing, undone).unwrap()
}

#[test]
fn nothing_but_the_task_goes_and_all_of_it_comes_back() {
    let bed = bed();
    let before = content(&bed);
    assert_eq!(run(&bed).outcome, Outcome::Done);
    assert_eq!(content(&bed), purged());
    assert_eq!(take_back(&bed).outcome, Outcome::Done);
    assert_eq!(content(&bed), before);
    // Twice is once.
    let again = with(&bed, &down, &nothing, |actuator| crate::act::undo(actuator, ID, ActionId(9)));
    assert_eq!(again.unwrap().outcome, Outcome::Changed);
    assert_eq!(content(&bed), before);
}

#[test]
fn a_dry_run_changes_nothing() {
    let bed = bed();
    let before = content(&bed);
    let actuator = bed.place.actuator(Reach::DryRun, &alive, &nothing);
    let actuator = Actuator { stopped: &down, ..actuator };
    assert_eq!(purge(&actuator, ID, &bed.purge).unwrap().outcome, Outcome::WouldDo);
    assert_eq!(content(&bed), before);
    assert!(fs::read_dir(bed.place.quarantine.path()).unwrap().next().is_none());
}

#[test]
fn a_gateway_that_starts_in_the_middle_finds_everything_as_it_was() {
    let looks = {
        let (bed, looks) = (bed(), Counter::new(0));
        let count = || {
            looks.set(looks.get() + 1);
            Ok(())
        };
        with(&bed, &count, &nothing, |actuator| purge(actuator, ID, &bed.purge)).unwrap();
        looks.get()
    };
    assert!(looks >= 6, "{looks}");
    for starts_at in 1..=looks {
        let (bed, looks) = (bed(), Counter::new(0));
        let before = content(&bed);
        let starts = || {
            looks.set(looks.get() + 1);
            if looks.get() < starts_at { Ok(()) } else { Err("the gateway is starting".to_owned()) }
        };
        let done = with(&bed, &starts, &nothing, |actuator| purge(actuator, ID, &bed.purge));
        let done = done.unwrap();
        assert_eq!(done.outcome, Outcome::Changed, "{starts_at}");
        assert!(done.note.unwrap().contains("the gateway is starting"));
        assert_eq!(content(&bed), before, "{starts_at}");
    }
}

/// Ends it before its `at`th step; false if it has fewer.
fn crash(bed: &Bed, at: usize, work: impl FnOnce(&Actuator<'_>)) -> bool {
    let steps = Counter::new(0);
    let before = |_: Step| {
        steps.set(steps.get() + 1);
        assert!(steps.get() != at, "a crash, on purpose");
    };
    let run = || with(bed, &down, &before, work);
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

fn recovered(bed: &Bed, id: ActionId) -> Performed {
    with(bed, &down, &nothing, |actuator| crate::act::recover(actuator, id)).unwrap()
}

#[test]
fn a_crash_at_any_step_leaves_all_or_nothing() {
    let mut crashes = 0;
    for at in 1.. {
        let bed = bed();
        let before = content(&bed);
        if !crash(&bed, at, |actuator| drop(purge(actuator, ID, &bed.purge))) {
            break;
        }
        crashes += 1;
        let outcome = recovered(&bed, ID).outcome;
        let want = if outcome == Outcome::Done { purged() } else { before };
        assert_eq!(content(&bed), want, "step {at}: {outcome}");
    }
    assert!(crashes >= 10, "{crashes}");
}

#[test]
fn a_crash_of_its_undo_leaves_all_or_nothing_too() {
    for at in 1.. {
        let bed = bed();
        let before = content(&bed);
        run(&bed);
        if !crash(&bed, at, |actuator| drop(crate::act::undo(actuator, ID, UNDO))) {
            break;
        }
        let outcome = recovered(&bed, UNDO).outcome;
        let want = if outcome == Outcome::Done { before } else { purged() };
        assert_eq!(content(&bed), want, "step {at}: {outcome}");
    }
}

#[test]
fn after_a_crash_nothing_is_touched_beside_a_gateway_and_an_undo_helps_later() {
    let bed = bed();
    let before = content(&bed);
    assert!(crash(&bed, 6, |actuator| drop(purge(actuator, ID, &bed.purge))));
    let half = content(&bed);
    let up = || Err("the gateway is up".to_owned());
    let left = with(&bed, &up, &nothing, |actuator| crate::act::recover(actuator, ID)).unwrap();
    assert_eq!(left.outcome, Outcome::Unverified);
    assert_eq!(content(&bed), half);
    let refused = with(&bed, &up, &nothing, |actuator| crate::act::undo(actuator, ID, UNDO));
    assert_eq!(refused.unwrap().outcome, Outcome::Changed);
    let back = take_back(&bed);
    assert_eq!(back.outcome, Outcome::Done, "{:?}", back.note);
    let mut after = content(&bed);
    after.retain(|name, _| !name.contains(".clawarden-"));
    assert_eq!(after, before);
}

#[test]
fn what_has_changed_since_is_left_alone() {
    let change = |name: &str| {
        let bed = bed();
        match name {
            "task_runs" => {
                let db = Connection::open(bed.place.path("runs.sqlite")).unwrap();
                db.execute("UPDATE task_runs SET n = 6 WHERE task_id = '2'", []).unwrap();
            }
            name => fs::write(bed.place.path(name), "{}").unwrap(),
        }
        bed
    };
    for name in ["task_runs", "sessions.json", "r/runs.json", "w/1.json"] {
        let bed = change(name);
        let before = content(&bed);
        assert_eq!(run(&bed).outcome, Outcome::Changed, "{name}");
        assert_eq!(content(&bed), before, "{name}");
    }
}

#[test]
fn what_is_written_in_the_middle_stays() {
    for name in ["sessions.json", "r/runs.json", "w/1.json"] {
        let (bed, text) = (bed(), r#"{"written":"meanwhile"}"#);
        let mut before = content(&bed);
        before.insert(name.to_owned(), text.to_owned());
        let write = |step: Step| {
            if step == Step::Begin {
                fs::write(bed.place.path(name), text).unwrap();
            }
        };
        let done = with(&bed, &down, &write, |actuator| purge(actuator, ID, &bed.purge)).unwrap();
        assert_eq!((done.outcome, content(&bed)), (Outcome::Changed, before), "{name}");
    }
}

#[test]
fn what_is_written_over_ours_stays_and_an_undo_puts_the_rest_back() {
    let bed = bed();
    let before = content(&bed);
    let write = |step: Step| {
        if step == Step::Verify {
            fs::write(bed.place.path("sessions.json"), r#"{"new":{}}"#).unwrap();
        }
    };
    let done = with(&bed, &down, &write, |actuator| purge(actuator, ID, &bed.purge));
    let cause = std::error::Error::source(&done.unwrap_err()).unwrap().to_string();
    assert!(cause.contains("clawarden undo 7"), "{cause}");
    assert_eq!(take_back(&bed).outcome, Outcome::Done);
    let mut after = content(&bed);
    let sessions = after.remove("sessions.json").unwrap();
    assert_eq!(sessions, r#"{"new":{},"agent:claude:acp:1": {"status": "failed", "x": [1, {}]}}"#);
    assert!(after.iter().all(|(name, text)| before[name] == *text), "{after:?}");
}

#[test]
fn what_was_left_aside_is_not_in_the_way_of_putting_back() {
    let bed = bed();
    let before = content(&bed);
    let fails = |step: Step| assert!(step != Step::Remove, "it cannot be removed, on purpose");
    let run = || with(&bed, &down, &fails, |actuator| drop(purge(actuator, ID, &bed.purge)));
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    let back = |actuator: &Actuator<'_>| {
        let Ok(Some(Manifest::PurgeTask(manifest))) = actuator.quarantine.manifest(ID) else {
            panic!("no manifest")
        };
        let parts = manifest.parts.into_iter().enumerate().map(|(number, part)| {
            let kept = |when| kept(actuator, ID, number, when).unwrap();
            Change::new(ID, Planned { part, before: kept("before"), after: kept("after") })
        });
        revert(actuator, &parts.collect::<Vec<_>>()).unwrap();
    };
    with(&bed, &down, &nothing, back);
    assert_eq!(content(&bed), before);
}

#[test]
fn what_lies_aside_of_somebody_else_stays() {
    let bed = bed();
    let aside = bed.place.path(".clawarden-7");
    fs::write(&aside, "of an earlier life").unwrap();
    let before = content(&bed);
    assert!(with(&bed, &down, &nothing, |actuator| purge(actuator, ID, &bed.purge)).is_err());
    assert_eq!(content(&bed), before);
}

#[test]
fn into_a_store_that_was_written_since_only_the_row_is_put_back() {
    let bed = bed();
    run(&bed);
    fs::write(bed.place.path("sessions.json"), r#"{"new":{}}"#).unwrap();
    assert_eq!(take_back(&bed).outcome, Outcome::Done);
    let now = fs::read_to_string(bed.place.path("sessions.json")).unwrap();
    assert_eq!(now, r#"{"new":{},"agent:claude:acp:1": {"status": "failed", "x": [1, {}]}}"#);
}

#[test]
fn a_file_comes_back_with_its_mode_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let bed = bed();
    let (path, mode) = (bed.place.path("w/1.json"), 0o666);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    run(&bed);
    take_back(&bed);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
}

#[test]
fn what_is_named_anew_is_never_written_over() {
    let bed = bed();
    run(&bed);
    fs::write(bed.place.path("sessions.json"), r#"{"agent:claude:acp:1":{"new":1}}"#).unwrap();
    let before = content(&bed);
    assert_eq!(take_back(&bed).outcome, Outcome::Changed);
    assert_eq!(content(&bed), before);
}

#[test]
fn a_link_or_a_file_of_somebody_else_is_not_written() {
    let bed = bed();
    let elsewhere = bed.place.path("elsewhere.json");
    fs::copy(bed.place.path("sessions.json"), &elsewhere).unwrap();
    fs::remove_file(bed.place.path("sessions.json")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, bed.place.path("sessions.json")).unwrap();
    assert_eq!(run(&bed).outcome, Outcome::Changed);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), SESSIONS);
}
