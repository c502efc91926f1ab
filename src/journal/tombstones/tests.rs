#![expect(clippy::disallowed_methods, reason = "loses our own files, as a disk would")]

use std::fs;

use super::super::testing::{Folder, NOW, at, check_not_written, fill};
use super::*;
use crate::model::{BackingFacts, TombstoneEventKind, TombstoneState};

fn event(id: &str, kind: TombstoneEventKind, requester: &str) -> TombstoneEvent {
    let facts = BackingFacts {
        requester: Some(requester.into()),
        wrapper: Some("agent:claude:acp:1".into()),
        session_id: Some("s1".into()),
        cwd: Some("/w".into()),
        ..BackingFacts::default()
    };
    let state = match kind {
        TombstoneEventKind::Stripped => TombstoneState::Stripped,
        _ => TombstoneState::Live,
    };
    TombstoneEvent { backing_id: id.into(), at: NOW, kind, state, facts }
}

fn some() -> Vec<TombstoneEvent> {
    vec![
        event("a", TombstoneEventKind::Recorded, "p"),
        event("b", TombstoneEventKind::Recorded, "q"),
        event("a", TombstoneEventKind::Stripped, "p"),
    ]
}

fn sum(events: &[TombstoneEvent]) -> Tombstones {
    let mut all = Tombstones::default();
    events.iter().for_each(|event| all.apply(event));
    all
}

fn jsonl(folder: &Folder) -> std::path::PathBuf {
    folder.dir.path().join("tombstones.jsonl")
}

fn wipe(folder: &Folder) {
    for name in ["clawarden.db", "clawarden.db-wal", "clawarden.db-shm"] {
        let _ = fs::remove_file(folder.dir.path().join(name));
    }
}

#[test]
fn what_was_recorded_is_there_for_the_next_process_and_beside_it() {
    let folder = Folder::new();
    let mut daemon = folder.open();
    assert_eq!(*daemon.tombstones().unwrap(), Tombstones::default());
    folder.beside().record_tombstones(&some()[..2]).unwrap();
    assert_eq!(*daemon.tombstones().unwrap(), sum(&some()[..2]));
    daemon.record_tombstones(&some()[2..]).unwrap();
    assert_eq!(*daemon.tombstones().unwrap(), sum(&some()));
    drop(daemon);
    assert_eq!(*folder.open().tombstones().unwrap(), sum(&some()));
    assert_eq!(fs::read_to_string(jsonl(&folder)).unwrap().lines().count(), 3);
}

#[test]
fn they_survive_the_loss_of_the_database_and_go_back_into_the_next_one() {
    let folder = Folder::new();
    folder.open().record_tombstones(&some()).unwrap();
    wipe(&folder);
    let mut reader = Journal::open_read_only(folder.dir.path()).unwrap();
    assert_eq!(*reader.tombstones().unwrap(), sum(&some()));
    let mut next = folder.open();
    assert_eq!(*next.tombstones().unwrap(), sum(&some()));
    let more = event("c", TombstoneEventKind::Recorded, "p");
    next.record_tombstones(std::slice::from_ref(&more)).unwrap();
    let want = sum(&[some(), vec![more]].concat());
    assert_eq!(*next.tombstones().unwrap(), want);
    drop(next);
    fs::remove_file(jsonl(&folder)).unwrap();
    assert_eq!(*folder.open().tombstones().unwrap(), want);
}

#[test]
fn of_an_edited_copy_only_the_whole_lines_count_and_a_second_claim_is_a_dispute() {
    let folder = Folder::new();
    let claims = [
        event("a", TombstoneEventKind::Recorded, "p"),
        event("a", TombstoneEventKind::Recorded, "thief"),
        event("b", TombstoneEventKind::Recorded, "q"),
    ];
    folder.open().record_tombstones(&claims).unwrap();
    let text = fs::read_to_string(jsonl(&folder)).unwrap();
    fs::write(jsonl(&folder), text.replace("\"q\"", "\"thief\"")).unwrap();
    wipe(&folder);
    let mut journal = folder.open();
    let all = journal.tombstones().unwrap();
    assert_eq!(all.get(&"b".into()), None);
    let found = all.get(&"a".into()).unwrap();
    assert_eq!(found.facts.requester, Some("p".into()));
    assert_eq!(found.disputed_by, ["thief".into()]);
    let problems = journal.tombstone_problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("tombstones.jsonl:3: its checksum"), "{problems:?}");
}

#[test]
fn a_copy_that_cannot_be_read_is_a_problem_and_holds_nothing_up() {
    let folder = Folder::new();
    fs::create_dir(jsonl(&folder)).unwrap();
    let mut journal = folder.open();
    assert!(journal.tombstones().unwrap().0.is_empty());
    assert!(journal.tombstone_problems()[0].contains("tombstones.jsonl"));
}

#[test]
fn nothing_is_ever_changed_or_deleted_not_even_by_hand() {
    let folder = Folder::new();
    folder.open().record_tombstones(&some()).unwrap();
    for sql in ["DELETE FROM tombstone_events", "UPDATE tombstone_events SET facts = '{}'"] {
        let error = folder.raw().execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[test]
fn a_look_that_sees_the_same_again_is_written_once_an_hour() {
    let folder = Folder::new();
    let mut journal = folder.open();
    journal.record_tombstones(&some()).unwrap();
    let (a, unknown) = (BackingId::from("a"), BackingId::from("x"));
    let seen = |journal: &mut Journal, at: UnixMillis| {
        let before = journal.db.total_changes();
        journal.see_tombstones(&BTreeSet::from([&a, &unknown]), at).unwrap();
        journal.db.total_changes() != before
    };
    assert!(!seen(&mut folder.open(), at(3600)), "nothing was read yet");
    journal.tombstones = None;
    journal.tombstones().unwrap();
    assert!(!seen(&mut journal, at(3600)));
    assert!(seen(&mut journal, at(3601)));
    assert!(!seen(&mut journal, at(3602)));
    let last = journal.last_seen().unwrap();
    assert_eq!((last[&a], last.len()), (at(3601), 2));
}

#[test]
fn what_could_not_be_stored_is_not_remembered() {
    let folder = Folder::new();
    let mut journal = folder.open();
    fill(&journal);
    let many: Vec<_> =
        (0..2000).map(|n| event(&n.to_string(), TombstoneEventKind::Recorded, "p")).collect();
    check_not_written(journal.record_tombstones(&many), "free space");
    assert!(journal.tombstones().unwrap().0.is_empty());
    assert!(!jsonl(&folder).exists());
}

#[test]
fn what_the_copy_could_not_take_is_not_in_the_database_either() {
    let folder = Folder::new();
    let mut journal = folder.open();
    journal.record_tombstones(&some()[..1]).unwrap();
    fs::remove_file(jsonl(&folder)).unwrap();
    fs::create_dir(jsonl(&folder)).unwrap();
    let error = journal.record_tombstones(&some()[1..]).unwrap_err();
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    assert_eq!(*journal.tombstones().unwrap(), sum(&some()[..1]));
}

#[test]
fn a_journal_of_an_earlier_version_has_none() {
    let folder = Folder::new();
    drop(folder.version_1());
    let mut journal = Journal::open_read_only(folder.dir.path()).unwrap();
    assert_eq!(*journal.tombstones().unwrap(), Tombstones::default());
    assert!(journal.last_seen().unwrap().is_empty());
}
