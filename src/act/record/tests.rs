use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::act::testing::{Place, alive, nothing};
use crate::act::{recover as recover_any, undo};
use crate::model::UnixMillis;

/// The action whose undo is tested, the undo, and one more.
const ID: ActionId = ActionId(7);
const UNDO: ActionId = ActionId(8);

const NAME: &str = "agent%3Aclaude%3Aacp%3Aeede7136-a444-4200-8045-b9369115017c%3Aoneshot%3A\
                    a2aa9af3-c50e-4611-9b4c-99171d9a252a.json";
const RECORD_ID: &str = "agent:claude:acp:eede7136-a444-4200-8045-b9369115017c:oneshot:\
                         a2aa9af3-c50e-4611-9b4c-99171d9a252a";
const AT: UnixMillis = UnixMillis(1_795_159_292_734);

/// The record of a oneshot session whose gateway was killed, as it was captured.
fn captured() -> String {
    const STATE: &str = "2026.4.15-b3-acp-after-sigkill";
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let output = Command::new("tar")
        .arg("-xzOf")
        .arg(fixtures.join(format!("{STATE}.tar.gz")))
        .arg(format!("{STATE}/home/.openclaw/workspace/state/sessions/{NAME}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the gateway itself would have written.
fn closed(open: &str) -> String {
    let text = open
        .replace(
            "  \"closed\": false,\n",
            "  \"closed\": true,\n  \"closed_at\": \"2026-11-20T07:21:32.734Z\",\n",
        )
        .replace("\"acpx\": {}", "\"acpx\": {\n    \"reset_on_next_ensure\": true\n  }");
    assert_eq!(text.lines().count(), open.lines().count() + 3);
    text
}

struct Case {
    place: Place,
    path: PathBuf,
    open: String,
    close: RecordClose,
}

fn case() -> Case {
    let place = Place::new();
    let (path, open) = (place.path(NAME), captured());
    fs::write(&path, &open).unwrap();
    let close = RecordClose {
        path: path.clone(),
        expected: file::stamp(&path).unwrap(),
        record_id: RECORD_ID.to_owned(),
        closed_at: AT,
    };
    Case { place, path, open, close }
}

impl Case {
    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn actuator<'a>(&self, before: &'a dyn Fn(Step)) -> Actuator<'a> {
        self.place.actuator(Reach::Live, &alive, before)
    }

    /// The gateway replaces the whole file by rename.
    fn gateway_writes(&self, text: &str) {
        let temporary = self.place.path("record.1.2.tmp");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &self.path).unwrap();
    }

    fn opened(&self) -> Opened {
        match look(&self.close).unwrap() {
            Found::Open(opened) => *opened,
            Found::Settled => panic!("settled"),
            Found::Changed(why) => panic!("{why}"),
        }
    }

    /// Closes it for good, as an action of its own that can be undone.
    fn close(&self) {
        let actuator = self.actuator(&nothing);
        let opened = self.opened();
        let manifest = Manifest::EndTree(Box::new(crate::act::TreeManifest {
            realm: crate::act::Realm {
                boot: crate::model::BootId("boot".to_owned()),
                pid_namespace: "pid:[1]".to_owned(),
            },
            root: crate::act::testing::GATEWAY,
            record: Some(opened.manifest.clone()),
        }));
        actuator.quarantine.begin(ID, &manifest).unwrap();
        opened.exchange(&actuator, ID).unwrap().unwrap().keep().unwrap();
    }

    #[track_caller]
    fn check_alone(&self) {
        assert_eq!(self.place.names(), [NAME], "nothing is left behind");
    }
}

#[test]
fn a_captured_record_is_closed_as_the_gateway_would() {
    let case = case();
    fs::set_permissions(&case.path, fs::Permissions::from_mode(0o640)).unwrap();
    case.close();
    assert_eq!(case.text(), closed(&case.open));
    assert_eq!(fs::metadata(&case.path).unwrap().permissions().mode() & 0o7777, 0o640);
    case.check_alone();
}

#[test]
fn what_is_gone_or_closed_needs_nothing() {
    let mut case = case();
    fs::write(&case.path, closed(&case.open)).unwrap();
    case.close.expected = file::stamp(&case.path).unwrap();
    assert!(matches!(look(&case.close), Ok(Found::Settled)));
    fs::remove_file(&case.path).unwrap();
    assert!(matches!(look(&case.close), Ok(Found::Settled)));
}

#[test]
fn what_is_no_longer_as_judged_is_left_alone() {
    for (name, spoil) in [
        (
            "written by the gateway",
            &(|case: &Case| case.gateway_writes(&case.open)) as &dyn Fn(&Case),
        ),
        ("closed by the gateway", &|case| case.gateway_writes(&closed(&case.open))),
        ("a link to an equal file", &|case| {
            let twin = case.place.path("twin");
            fs::rename(&case.path, &twin).unwrap();
            std::os::unix::fs::symlink(twin, &case.path).unwrap();
        }),
        ("a folder", &|case| {
            fs::remove_file(&case.path).unwrap();
            fs::create_dir(&case.path).unwrap();
        }),
        ("a pipe that nobody writes", &|case| {
            fs::remove_file(&case.path).unwrap();
            nix::unistd::mkfifo(&case.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
    ] {
        let case = case();
        spoil(&case);
        assert!(matches!(look(&case.close), Ok(Found::Changed(_))), "{name}");
    }
}

#[test]
fn a_record_of_somebody_else_is_left_alone() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    for folder in [false, true] {
        let mut case = case();
        let path = if folder { case.place.sessions.path() } else { &case.path };
        std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
        case.close.expected = file::stamp(&case.path).unwrap();
        match look(&case.close).unwrap() {
            Found::Changed(why) => assert_eq!(why, "the file or its folder belongs to uid 65534"),
            _ => panic!("it is not ours"),
        }
    }
}

#[test]
fn what_cannot_be_edited_safely_is_an_error_and_untouched() {
    for text in ["[]", "{}{}", "\u{0}"] {
        let mut case = case();
        fs::write(&case.path, text).unwrap();
        case.close.expected = file::stamp(&case.path).unwrap();
        assert!(matches!(look(&case.close), Err(ActError::EditRecord { .. })), "{text}");
        assert_eq!(case.text(), text);
    }
    let mut case = case();
    fs::File::create(&case.path).unwrap().set_len(RECORD_BYTES_MAX as u64 + 1).unwrap();
    case.close.expected = file::stamp(&case.path).unwrap();
    assert!(look(&case.close).is_err_and(|error| error.to_string().contains("more than")));
}

#[test]
fn no_write_of_the_gateway_is_lost_at_any_moment() {
    for at in [Step::WriteAside, Step::Move] {
        let case = case();
        let theirs = case.open.replace("oneshot thing", "other thing");
        let opened = case.opened();
        let write = |step| {
            if step == at {
                case.gateway_writes(&theirs);
            }
        };
        assert!(opened.exchange(&case.actuator(&write), ID).unwrap().is_none(), "{at:?}");
        assert_eq!(case.text(), theirs, "{at:?}");
        case.check_alone();
    }
}

#[test]
fn giving_up_brings_back_the_very_file_unless_the_gateway_has_written() {
    for (at, is_back) in [(None, true), (Some(Step::Move), false), (Some(Step::Compare), false)] {
        let case = case();
        let theirs = closed(&case.open).replace("oneshot thing", "other thing");
        let is_giving_up = Cell::new(false);
        let write = |step| {
            if is_giving_up.get() && Some(step) == at {
                case.gateway_writes(&theirs);
            }
        };
        let actuator = case.actuator(&write);
        let exchanged = case.opened().exchange(&actuator, ID).unwrap().unwrap();
        assert!(exchanged.is_in_place());
        is_giving_up.set(true);
        // After the exchange back, the gateway's write is simply the newest.
        assert_eq!(exchanged.revert().unwrap(), is_back || at == Some(Step::Compare));
        if is_back {
            assert_eq!(file::stamp(&case.path).unwrap(), case.close.expected);
        } else {
            assert_eq!(case.text(), theirs);
        }
        case.check_alone();
    }
}

#[test]
fn a_write_of_the_gateway_while_ours_is_in_place_stays() {
    let case = case();
    let has_written = Cell::new(false);
    let never_out = |step| assert!(step != Step::Move || !has_written.get(), "not for a moment");
    let actuator = case.actuator(&never_out);
    let exchanged = case.opened().exchange(&actuator, ID).unwrap().unwrap();
    let theirs = closed(&case.open).replace("oneshot thing", "other thing");
    case.gateway_writes(&theirs);
    has_written.set(true);
    assert!(!exchanged.is_in_place());
    assert!(!exchanged.revert().unwrap());
    assert_eq!(case.text(), theirs);
    case.check_alone();
}

#[test]
fn undo_brings_back_every_byte_and_only_once() {
    let case = case();
    case.close();
    let actuator = case.actuator(&nothing);
    let dry = case.place.actuator(Reach::DryRun, &alive, &nothing);
    assert_eq!(undo(&dry, ID, UNDO).unwrap().outcome, Outcome::WouldDo);
    assert_eq!(case.text(), closed(&case.open));
    assert_eq!(undo(&actuator, ID, UNDO).unwrap().outcome, Outcome::Done);
    assert_eq!(case.text(), case.open);
    assert_eq!(undo(&actuator, ID, ActionId(9)).unwrap().outcome, Outcome::Changed);
    assert_eq!(undo(&actuator, UNDO, ActionId(9)).unwrap().outcome, Outcome::Changed);
    case.check_alone();
}

#[test]
fn undo_refuses_a_record_that_has_changed_since() {
    for text in [closed(&captured()) + "\n", captured(), String::new()] {
        let case = case();
        case.close();
        case.gateway_writes(&text);
        let performed = undo(&case.actuator(&nothing), ID, UNDO).unwrap();
        assert_eq!(performed.outcome, Outcome::Changed);
        assert_eq!(case.text(), text);
    }
}

#[test]
fn an_undo_that_crashes_at_any_step_is_finished_or_reverted() {
    use Step::{Begin, Compare, Move, Remove, WriteAside};
    for (at, outcome) in [
        (Begin, Outcome::Changed),
        (WriteAside, Outcome::Changed),
        (Move, Outcome::Changed),
        (Compare, Outcome::Done),
        (Remove, Outcome::Done),
    ] {
        let case = case();
        case.close();
        let stop = |step| {
            if step == at {
                std::panic::resume_unwind(Box::new("crash"));
            }
        };
        let actuator = case.actuator(&stop);
        let run = std::panic::AssertUnwindSafe(|| undo(&actuator, ID, UNDO));
        assert!(std::panic::catch_unwind(run).is_err(), "{at:?} is a step of this");
        let actuator = case.actuator(&nothing);
        for round in 0..2 {
            let performed = recover_any(&actuator, UNDO).unwrap();
            assert_eq!(performed.outcome, outcome, "{at:?} {round}");
        }
        let want = if outcome == Outcome::Done { case.open.clone() } else { closed(&case.open) };
        assert_eq!(case.text(), want, "{at:?}");
        case.check_alone();
    }
}

#[test]
fn a_crash_after_the_gateways_write_came_out_puts_it_back() {
    for stands in [false, true] {
        let case = case();
        let theirs = case.open.replace("oneshot thing", "other thing");
        let crash = |step| match step {
            Step::Move => case.gateway_writes(&theirs),
            Step::Compare => std::panic::resume_unwind(Box::new("crash")),
            _ => {}
        };
        let (opened, actuator) = (case.opened(), case.actuator(&crash));
        actuator
            .quarantine
            .begin(ID, &Manifest::RestoreRecord(Box::new(opened.manifest.clone())))
            .unwrap();
        let run = std::panic::AssertUnwindSafe(|| opened.exchange(&actuator, ID).map(|_| ()));
        assert!(std::panic::catch_unwind(run).is_err());
        assert_eq!(case.text(), closed(&case.open), "ours is in its place, theirs is aside");
        let actuator = case.actuator(&nothing);
        let performed = recover(&actuator, ID, &opened.manifest, stands).unwrap();
        assert_eq!(performed.outcome, Outcome::Changed);
        assert_eq!(case.text(), theirs);
        case.check_alone();
    }
}

#[test]
fn a_half_written_record_aside_is_removed() {
    let case = case();
    let manifest = case.opened().manifest;
    for length in [0, 10, closed(&case.open).len() - 3] {
        fs::write(case.place.path(".clawarden-7"), &closed(&case.open)[..length]).unwrap();
        let performed = recover(&case.actuator(&nothing), ID, &manifest, false).unwrap();
        assert_eq!(performed.outcome, Outcome::Changed);
        assert_eq!(case.text(), case.open, "{length}");
        case.check_alone();
    }
}
