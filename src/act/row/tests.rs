use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::act::testing::{GATEWAY, Place, alive, nothing};
use crate::act::{ActError, recover as recover_any, undo};
use crate::model::{Action, UnixMillis, WriteProtocol};

const ID: ActionId = ActionId(7);
const UNDO: ActionId = ActionId(8);

/// As the gateway lays it out, with a row that looks like the wanted one and text that must not
/// change.
const STORE: &str = r#"{
  "agent:main:other": {
    "sessionId": "s2",
    "status": "running",
    "startedAt": 1000
  },
  "agent:main:main": {
    "sessionId": "s1",
    "updatedAt": 1795100000000,
    "status": "running",
    "startedAt": 1795100000000,
    "label": "\"status\": \"running\" é 😀",
    "x": [1, {"status": "running"}]
  }
}
"#;

const SETTLED: &str = r#"{
  "agent:main:other": {
    "sessionId": "s2",
    "status": "running",
    "startedAt": 1000
  },
  "agent:main:main": {
    "sessionId": "s1",
    "updatedAt": 1795100000000,
    "status": "failed",
    "endedAt": 1795100005000,
    "runtimeMs": 5000,
    "startedAt": 1795100000000,
    "label": "\"status\": \"running\" é 😀",
    "x": [1, {"status": "running"}]
  }
}
"#;

struct Case {
    place: Place,
    store: PathBuf,
    edit: RowEdit,
}

impl Case {
    fn action(&self) -> Action {
        Action::Settle(Box::new(self.edit.clone()))
    }

    fn settle(&self, before: &dyn Fn(Step)) -> Result<Performed, ActError> {
        self.place.actuator(Reach::Live, &alive, before).perform(ID, &self.action())
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.store).unwrap()
    }
}

fn case(protocol: WriteProtocol) -> Case {
    let place = Place::new();
    let store = place.path("sessions.json");
    fs::write(&store, STORE).unwrap();
    let key: SessionKey = "agent:main:main".into();
    let expected = format::read_row(&row_text(&store, &key).unwrap().unwrap()).unwrap();
    let edit = RowEdit {
        store: store.clone(),
        key,
        expected,
        transcript: Transcript::Missing,
        ended_at: UnixMillis(1_795_100_005_000),
        runtime_ms: 5_000,
        protocol,
        gateway: GATEWAY,
    };
    age(&store, 60);
    Case { place, store, edit }
}

fn age(path: &Path, seconds: u64) {
    let at = crate::clock::Clock::Wall.now().minus(Duration::from_secs(seconds));
    let at = std::time::UNIX_EPOCH + Duration::from_millis(at.0 as u64);
    fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

const ALL: [WriteProtocol; 3] =
    [WriteProtocol::LockFile, WriteProtocol::QuietStore, WriteProtocol::Both];

#[test]
fn only_the_end_of_the_run_is_written() {
    for protocol in ALL {
        let case = case(protocol);
        fs::set_permissions(&case.store, fs::Permissions::from_mode(0o640)).unwrap();
        let performed = case.settle(&nothing).unwrap();
        assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
        assert_eq!(case.text(), SETTLED);
        assert_eq!(case.place.names(), ["sessions.json"], "nothing is left behind");
        let mode = fs::metadata(&case.store).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o640);
    }
}

#[test]
fn a_lock_beside_a_transcript_in_another_folder_stops_the_settle() {
    let mut case = case(WriteProtocol::QuietStore);
    let elsewhere = case.place.quarantine.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let file = elsewhere.join("s1.jsonl");
    let named = format!("\"sessionId\": \"s1\",\n    \"sessionFile\": {file:?},");
    fs::write(&case.store, STORE.replace("\"sessionId\": \"s1\",", &named)).unwrap();
    age(&case.store, 60);
    case.edit.expected.session_file = Some(file.clone());
    fs::write(elsewhere.join("s1.jsonl.lock"), "{}").unwrap();
    assert_eq!(case.settle(&nothing).unwrap().outcome, Outcome::Changed);
    fs::remove_file(elsewhere.join("s1.jsonl.lock")).unwrap();
    assert_eq!(case.settle(&nothing).unwrap().outcome, Outcome::Done);
}

#[test]
fn extended_attributes_are_kept() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let case = case(WriteProtocol::QuietStore);
    match setxattr(&case.store, "user.note", b"mine", XattrFlags::empty()) {
        Ok(()) => {}
        Err(rustix::io::Errno::NOTSUP) => {
            eprintln!("skipped: this file system has no extended attributes");
            return;
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(case.settle(&nothing).unwrap().outcome, Outcome::Done);
    let mut value = [0; 8];
    let length = getxattr(&case.store, "user.note", &mut value).unwrap();
    assert_eq!(&value[..length], b"mine");
}

#[test]
fn a_dry_run_changes_nothing_and_agrees() {
    let case = case(WriteProtocol::Both);
    let actuator = case.place.actuator(Reach::DryRun, &alive, &nothing);
    assert_eq!(actuator.perform(ID, &case.action()).unwrap().outcome, Outcome::WouldDo);
    assert_eq!(case.text(), STORE);
    assert_eq!(case.place.names(), ["sessions.json"]);
    assert!(crate::act::testing::names(case.place.quarantine.path()).is_empty());

    fs::write(&case.store, STORE.replace("1795100000000,\n    \"label", "9,\n    \"label"))
        .unwrap();
    age(&case.store, 60);
    assert_eq!(actuator.perform(ID, &case.action()).unwrap().outcome, Outcome::Changed);
}

#[track_caller]
fn check_untouched(name: &str, protocol: WriteProtocol, spoil: impl Fn(&Case)) {
    let case = case(protocol);
    spoil(&case);
    let before = case.text();
    let performed = case.settle(&nothing).unwrap();
    assert_eq!(performed.outcome, Outcome::Changed, "{name}: {performed:?}");
    assert_eq!(case.text(), before, "{name}");
    assert!(!case.place.names().iter().any(|name| name.starts_with(".claw")), "{name}");
}

#[test]
fn what_is_no_longer_as_judged_is_left_alone() {
    let set = |case: &Case, text: String| {
        fs::write(&case.store, text).unwrap();
        age(&case.store, 60);
    };
    check_untouched("a new run", WriteProtocol::LockFile, |case| {
        set(case, STORE.replace("\"startedAt\": 1795100000000", "\"startedAt\": 1795100000001"));
    });
    check_untouched("a new message", WriteProtocol::LockFile, |case| {
        set(case, STORE.replace("\"updatedAt\": 1795100000000", "\"updatedAt\": 1795100000001"));
    });
    check_untouched("marked by recovery", WriteProtocol::LockFile, |case| {
        set(case, STORE.replace("\"label\":", "\"abortedLastRun\": true, \"label\":"));
    });
    check_untouched("the row is gone", WriteProtocol::LockFile, |case| {
        set(case, "{}".to_owned());
    });
    check_untouched("a live lock appeared", WriteProtocol::LockFile, |case| {
        fs::write(case.place.path("s1.jsonl.lock"), "{}").unwrap();
    });
    check_untouched("the gateway holds the store", WriteProtocol::LockFile, |case| {
        fs::write(case.place.path("sessions.json.lock"), "{}").unwrap();
    });
    check_untouched("the store is not quiet", WriteProtocol::QuietStore, |case| {
        age(&case.store, 1);
    });
    check_untouched("the store is not quiet", WriteProtocol::Both, |case| age(&case.store, 1));
}

#[test]
fn a_store_that_falls_quiet_is_written_and_one_that_does_not_is_left() {
    for (falls_quiet, outcome) in [(true, Outcome::Done), (false, Outcome::Changed)] {
        let case = case(WriteProtocol::QuietStore);
        age(&case.store, 0);
        let wait = |_| {
            if falls_quiet {
                age(&case.store, 3);
            }
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        let actuator = Actuator { wait: &wait, ..actuator };
        assert_eq!(actuator.perform(ID, &case.action()).unwrap().outcome, outcome);
        assert_eq!(case.text(), if falls_quiet { SETTLED } else { STORE });
    }
}

#[test]
fn a_lock_of_somebody_else_survives() {
    let case = case(WriteProtocol::LockFile);
    fs::write(case.place.path("sessions.json.lock"), "theirs").unwrap();
    case.settle(&nothing).unwrap();
    let lock = fs::read_to_string(case.place.path("sessions.json.lock")).unwrap();
    assert_eq!(lock, "theirs");
}

#[test]
fn under_another_gateway_the_judgement_is_void() {
    let case = case(WriteProtocol::LockFile);
    let actuator = case.place.actuator(Reach::Live, &|_| false, &nothing);
    assert_eq!(actuator.perform(ID, &case.action()).unwrap().outcome, Outcome::Changed);
    assert_eq!(case.text(), STORE);
}

#[test]
fn a_gateway_that_ends_while_the_new_store_is_written_stops_the_settle() {
    let case = case(WriteProtocol::LockFile);
    let ended = Cell::new(false);
    let is_alive = |_| !ended.get();
    let before = |step| ended.set(ended.get() || step == Step::WriteAside);
    let actuator = case.place.actuator(Reach::Live, &is_alive, &before);
    assert_eq!(actuator.perform(ID, &case.action()).unwrap().outcome, Outcome::Changed);
    assert_eq!((case.text().as_str(), case.place.names()), (STORE, vec!["sessions.json".into()]));
}

#[test]
fn a_moving_transcript_stops_the_settle() {
    let mut case = case(WriteProtocol::LockFile);
    let transcript = case.place.path("s1.jsonl");
    fs::write(&transcript, "12345").unwrap();
    age(&transcript, 100);
    let stamp = file::stamp(&transcript).unwrap();
    let modified_at = UnixMillis(stamp.mtime_s * 1000 + stamp.mtime_ns / 1_000_000);
    case.edit.transcript = Transcript::Present { bytes: 5, modified_at };
    let grow = |step| {
        if step == Step::WriteAside {
            fs::write(&transcript, "123456").unwrap();
        }
    };
    assert_eq!(case.settle(&grow).unwrap().outcome, Outcome::Changed);
    assert_eq!(case.text(), STORE);
}

#[test]
fn a_transcript_that_is_begun_stops_the_settle() {
    let case = case(WriteProtocol::LockFile);
    fs::write(case.place.path("s1.jsonl"), "12345").unwrap();
    assert_eq!(case.settle(&nothing).unwrap().outcome, Outcome::Changed);
    assert_eq!(case.text(), STORE);
}

/// The gateway replaces the whole file by rename.
fn gateway_writes(case: &Case, text: &str) {
    let temporary = case.place.path("sessions.json.gateway.tmp");
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, &case.store).unwrap();
}

#[test]
fn no_write_of_the_gateway_is_lost_at_any_moment() {
    let theirs = STORE.replace("\"s2\"", "\"s3\"");
    for at in [Step::Begin, Step::WriteAside, Step::TakeStoreLock, Step::Move] {
        let case = case(WriteProtocol::LockFile);
        let write = |step| {
            if step == at {
                gateway_writes(&case, &theirs);
            }
        };
        assert_eq!(case.settle(&write).unwrap().outcome, Outcome::Changed, "{at:?}");
        assert_eq!(case.text(), theirs, "{at:?}");
        assert_eq!(case.place.names(), ["sessions.json"], "{at:?}");
    }
}

#[test]
fn two_writes_of_the_gateway_around_the_exchange_leave_the_newer_one_and_keep_the_older() {
    let (first, second) = (STORE.replace("\"s2\"", "\"s3\""), STORE.replace("\"s2\"", "\"s4\""));
    let case = case(WriteProtocol::LockFile);
    let write = |step| match step {
        Step::Move => gateway_writes(&case, &first),
        Step::Compare => gateway_writes(&case, &second),
        _ => {}
    };
    assert_eq!(case.settle(&write).unwrap().outcome, Outcome::Changed);
    assert_eq!(case.text(), second);
    let kept = case.place.quarantine.path().join("7/superseded.json");
    assert_eq!(fs::read_to_string(kept).unwrap(), first);
    assert_eq!(case.place.names(), ["sessions.json"]);
}

#[test]
fn the_next_run_may_begin_at_once() {
    let case = case(WriteProtocol::LockFile);
    let next = STORE.replace("\"startedAt\": 1795100000000", "\"startedAt\": 1795100009000");
    let write = |step| {
        if step == Step::Verify {
            gateway_writes(&case, &next);
        }
    };
    assert_eq!(case.settle(&write).unwrap().outcome, Outcome::Done);
    assert_eq!(case.text(), next);
}

#[test]
fn a_settle_that_the_gateway_takes_back_is_unverified() {
    let case = case(WriteProtocol::LockFile);
    let write = |step| {
        if step == Step::Verify {
            gateway_writes(&case, STORE);
        }
    };
    assert_eq!(case.settle(&write).unwrap().outcome, Outcome::Unverified);
}

#[test]
fn a_linked_store_is_never_written() {
    let case = case(WriteProtocol::LockFile);
    let elsewhere = case.place.quarantine.path().join("elsewhere.json");
    fs::rename(&case.store, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &case.store).unwrap();
    assert_eq!(case.settle(&nothing).unwrap().outcome, Outcome::Changed);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), STORE);
}

#[test]
fn undo_restores_the_row_field_by_field() {
    for relaid in [false, true] {
        let case = case(WriteProtocol::LockFile);
        case.settle(&nothing).unwrap();
        if relaid {
            // Written again by the gateway: other layout, another row changed.
            let value: Value = serde_json::from_str(&SETTLED.replace("\"s2\"", "\"s9\"")).unwrap();
            gateway_writes(&case, &value.to_string());
        }
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        assert_eq!(undo(&actuator, ID, UNDO).unwrap().outcome, Outcome::Done);
        let want = if relaid { STORE.replace("\"s2\"", "\"s9\"") } else { STORE.to_owned() };
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&case.text()), value(&want));
        assert!(relaid || case.text() == want, "every byte is back");
    }
}

#[test]
fn undo_refuses_a_row_that_has_changed_since() {
    let case = case(WriteProtocol::LockFile);
    case.settle(&nothing).unwrap();
    let newer = SETTLED.replace("\"updatedAt\": 1795100000000", "\"updatedAt\": 1795100000001");
    gateway_writes(&case, &newer);
    let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
    assert_eq!(undo(&actuator, ID, UNDO).unwrap().outcome, Outcome::Changed);
    assert_eq!(case.text(), newer);
}

#[test]
fn a_crash_at_any_step_is_finished_or_reverted_and_never_repeated() {
    use Step::{Begin, Compare, Move, Remove, TakeStoreLock, Verify, WriteAside};
    for (at, outcome) in [
        (Begin, Outcome::Changed),
        (WriteAside, Outcome::Changed),
        (TakeStoreLock, Outcome::Changed),
        (Move, Outcome::Changed),
        (Compare, Outcome::Done),
        (Remove, Outcome::Done),
        (Verify, Outcome::Done),
    ] {
        let case = case(WriteProtocol::LockFile);
        interrupt(&case, at);
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        for round in 0..2 {
            assert_eq!(recover_any(&actuator, ID).unwrap().outcome, outcome, "{at:?} {round}");
        }
        let want = if outcome == Outcome::Done { SETTLED } else { STORE };
        assert_eq!(case.text(), want, "{at:?}");
        assert_eq!(case.place.names(), ["sessions.json"], "{at:?}");
    }
}

#[test]
fn a_crash_after_the_gateways_write_came_out_puts_it_back() {
    let theirs = STORE.replace("\"s2\"", "\"s3\"");
    let case = case(WriteProtocol::QuietStore);
    let crash = |step| match step {
        Step::Move => gateway_writes(&case, &theirs),
        Step::Compare => std::panic::resume_unwind(Box::new("crash")),
        _ => {}
    };
    let run = std::panic::AssertUnwindSafe(|| case.settle(&crash));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(case.text(), SETTLED, "ours is in its place, theirs is aside");

    let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
    assert_eq!(recover_any(&actuator, ID).unwrap().outcome, Outcome::Changed);
    assert_eq!((case.text(), case.place.names()), (theirs, vec!["sessions.json".to_owned()]));
}

#[test]
fn a_half_written_store_aside_is_removed() {
    let case = case(WriteProtocol::QuietStore);
    interrupt(&case, Step::Move);
    let left = case.place.path(".clawarden-7");
    for length in [0, 10, STORE.len() - 3] {
        fs::write(&left, &STORE[..length]).unwrap();
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        assert_eq!(recover_any(&actuator, ID).unwrap().outcome, Outcome::Changed);
        assert_eq!((case.text().as_str(), case.place.names().len()), (STORE, 1), "{length}");
    }
}

/// Ends the action before `at`, as a crash would; a lock that was held stays behind.
fn interrupt(case: &Case, at: Step) {
    let lock = case.place.path("sessions.json.lock");
    let held = Cell::new(None);
    let stop = |step| {
        if step == at {
            held.set(fs::read(&lock).ok());
            std::panic::resume_unwind(Box::new("crash"));
        }
    };
    let run = std::panic::AssertUnwindSafe(|| case.settle(&stop));
    assert!(std::panic::catch_unwind(run).is_err(), "{at:?} is a step of this action");
    if let Some(bytes) = held.take() {
        fs::write(&lock, bytes).unwrap();
    }
}
