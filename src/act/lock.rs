//! Moves a dead lock out of the way, and back.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::ActError;
use super::quarantine::{Manifest, aside};
use super::{Actuator, Performed, Reach, Step, file};
use crate::model::{ActionId, LockStamp, Outcome};

/// Releases the lock at `path` if it is still `expected`.
///
/// Its bytes are in quarantine before it is touched. Then it leaves its name by a rename within
/// its own folder, is compared there, and is put back if it is another one: between look and
/// rename the gateway may have taken the lock anew, and a rename cannot be told what to expect.
pub(super) fn release(
    actuator: &Actuator<'_>,
    id: ActionId,
    path: &Path,
    expected: &LockStamp,
) -> Result<Performed, ActError> {
    let mode = match look(path, expected)? {
        Found::Expected { mode } => mode,
        Found::Gone => return Ok(Performed::of(Outcome::AlreadyGone)),
        Found::Another => return Ok(Performed::changed(TAKEN_ANEW)),
    };
    let Ok(text) = String::from_utf8(expected.bytes.clone()) else {
        return Ok(Performed::changed("its payload is not UTF-8"));
    };
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    (actuator.before)(Step::Begin);
    let LockStamp { dev, ino, .. } = *expected;
    let manifest = Manifest::ReleaseLock { path: path.to_owned(), dev, ino, text, mode };
    actuator.quarantine.begin(id, &manifest)?;

    // Writing the manifest takes as long as the disk takes, and meanwhile a turn may have taken the
    // lock over. From this look to the rename it is microseconds.
    match look(path, expected)? {
        Found::Expected { .. } => {}
        Found::Gone => return Ok(Performed::of(Outcome::AlreadyGone)),
        Found::Another => return Ok(Performed::changed(TAKEN_ANEW)),
    }
    let moved = aside(folder(path), id);
    (actuator.before)(Step::Move);
    match file::rename_noreplace(path, &moved) {
        Ok(()) => finish(actuator, path, &moved, expected),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Performed::of(Outcome::AlreadyGone))
        }
        Err(source) => Err(ActError::MoveLock { path: path.to_owned(), source }),
    }
}

const TAKEN_ANEW: &str = "the lock was taken anew";

/// Completes a release whose lock lies aside at `moved`.
fn finish(
    actuator: &Actuator<'_>,
    path: &Path,
    moved: &Path,
    expected: &LockStamp,
) -> Result<Performed, ActError> {
    (actuator.before)(Step::Compare);
    // Not what was judged, or not to be read: it goes back.
    if !matches!(look(moved, expected), Ok(Found::Expected { .. })) {
        return match file::rename_noreplace(moved, path) {
            Ok(()) => Ok(Performed::changed("the lock was taken anew; it was put back")),
            Err(source) => {
                let (path, moved) = (path.to_owned(), moved.to_owned());
                Err(ActError::ReturnLock { path, moved, source })
            }
        };
    }
    let fail = |source| ActError::MoveLock { path: path.to_owned(), source };
    (actuator.before)(Step::Remove);
    file::remove(moved).map_err(fail)?;
    file::sync_folder(folder(path)).map_err(fail)?;
    (actuator.before)(Step::Verify);
    verify(path, expected)
}

/// Ends an interrupted release by what lies where.
pub(super) fn recover_release(
    actuator: &Actuator<'_>,
    id: ActionId,
    path: &Path,
    expected: &LockStamp,
) -> Result<Performed, ActError> {
    let moved = aside(folder(path), id);
    if moved.symlink_metadata().is_ok() {
        return finish(actuator, path, &moved, expected);
    }
    Ok(match look(path, expected)? {
        Found::Expected { .. } => Performed::changed("interrupted before the lock was moved"),
        Found::Gone | Found::Another => Performed::of(Outcome::Done),
    })
}

fn verify(path: &Path, expected: &LockStamp) -> Result<Performed, ActError> {
    Ok(match look(path, expected)? {
        Found::Expected { .. } => Performed {
            outcome: Outcome::Unverified,
            note: Some("the same lock is still there".to_owned()),
        },
        Found::Gone | Found::Another => Performed::of(Outcome::Done),
    })
}

enum Found {
    Expected { mode: u32 },
    Another,
    Gone,
}

/// Compares the file at `path` with what was judged: device, inode and every byte.
fn look(path: &Path, expected: &LockStamp) -> Result<Found, ActError> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        Err(source) => return Err(ActError::Look { path: path.to_owned(), source }),
    };
    match file::lock_stamp(path, expected.bytes.len()) {
        Ok(found) if found == *expected => {
            Ok(Found::Expected { mode: meta.permissions().mode() & 0o7777 })
        }
        Ok(_) => Ok(Found::Another),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Gone),
        // A link, a folder, a FIFO: whatever it is, it is not the file that was judged.
        Err(_) if !meta.is_file() => Ok(Found::Another),
        Err(source) => Err(ActError::Look { path: path.to_owned(), source }),
    }
}

/// Puts a released lock back, byte for byte, if its name is still free.
pub(super) fn restore(
    actuator: &Actuator<'_>,
    id: ActionId,
    path: &Path,
    text: &str,
    mode: u32,
) -> Result<Performed, ActError> {
    const TAKEN: &str = "there is a lock at its place again";
    if path.symlink_metadata().is_ok() {
        return Ok(Performed::changed(TAKEN));
    }
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    (actuator.before)(Step::Begin);
    let manifest = Manifest::RestoreLock { path: path.to_owned(), text: text.to_owned() };
    actuator.quarantine.begin(id, &manifest)?;
    let back = aside(folder(path), id);
    (actuator.before)(Step::WriteAside);
    let place = || -> io::Result<()> {
        file::create_with(&back, text.as_bytes(), mode)?;
        std::fs::set_permissions(&back, std::fs::Permissions::from_mode(mode))?;
        (actuator.before)(Step::Move);
        file::rename_noreplace(&back, path)?;
        file::sync_folder(folder(path))
    };
    match place() {
        Ok(()) => Ok(Performed::of(Outcome::Done)),
        Err(source) => {
            let _ = file::remove(&back);
            if source.kind() == io::ErrorKind::AlreadyExists {
                return Ok(Performed::changed(TAKEN));
            }
            Err(ActError::MoveLock { path: path.to_owned(), source })
        }
    }
}

/// Ends an interrupted [`restore`]: what lies aside is a copy, and goes. A lock at its place that
/// says something else is a newer one.
pub(super) fn recover_restore(
    id: ActionId,
    path: &Path,
    text: &str,
) -> Result<Performed, ActError> {
    let back = aside(folder(path), id);
    file::remove(&back).map_err(|source| ActError::MoveLock { path: back, source })?;
    let found = file::lock_stamp(path, text.len());
    Ok(if found.is_ok_and(|found| found.bytes == text.as_bytes()) {
        Performed::of(Outcome::Done)
    } else {
        Performed::changed("interrupted before the lock was put back")
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::act::testing::{GATEWAY, Place, alive, nothing};
    use crate::act::{recover, undo};
    use crate::model::Action;

    const DEAD: &str = r#"{"pid":41,"createdAt":"2026-04-15T10:00:00.000Z","starttime":7}"#;
    const RETAKEN: &str = r#"{"pid":41,"createdAt":"2026-04-15T10:05:00.000Z","starttime":7}"#;
    const ID: ActionId = ActionId(7);
    const UNDO: ActionId = ActionId(8);

    struct Case {
        place: Place,
        path: PathBuf,
        action: Action,
        expected: LockStamp,
    }

    fn case() -> Case {
        let place = Place::new();
        let path = place.path("a.jsonl.lock");
        fs::write(&path, DEAD).unwrap();
        let expected = file::lock_stamp(&path, DEAD.len()).unwrap();
        let action = Action::ReleaseLock {
            path: path.clone(),
            holder_pid: 41,
            expected: expected.clone(),
            gateway: GATEWAY,
        };
        Case { place, path, action, expected }
    }

    #[test]
    fn dry_run_and_live_agree_until_the_change() {
        check("as judged", |_| {}, Outcome::WouldDo, Outcome::Done);
        let gone = |path: &Path| fs::remove_file(path).unwrap();
        check("gone", gone, Outcome::AlreadyGone, Outcome::AlreadyGone);
        for (name, meanwhile) in [
            ("retaken by the same pid", (|path| fs::write(path, RETAKEN).unwrap()) as fn(&Path)),
            ("torn", |path| fs::write(path, r#"{"pi"#).unwrap()),
            ("longer", |path| fs::write(path, format!("{DEAD} ")).unwrap()),
            ("equal bytes, new inode", replace_with_twin),
            ("a link to an equal file", replace_with_link),
            ("a folder", replace_with_folder),
            ("a pipe that nobody writes", replace_with_pipe),
        ] {
            check(name, meanwhile, Outcome::Changed, Outcome::Changed);
        }
    }

    #[track_caller]
    fn check(name: &str, meanwhile: fn(&Path), dry: Outcome, live: Outcome) {
        let case = case();
        meanwhile(&case.path);
        let there = case.path.symlink_metadata().is_ok();
        let before = case.place.names();

        let actuator = case.place.actuator(Reach::DryRun, &alive, &nothing);
        assert_eq!(actuator.perform(ID, &case.action).unwrap().outcome, dry, "dry run: {name}");
        assert_eq!(case.place.names(), before, "a dry run changes nothing: {name}");

        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        assert_eq!(actuator.perform(ID, &case.action).unwrap().outcome, live, "live: {name}");
        let is_there = case.path.symlink_metadata().is_ok();
        assert_eq!(is_there, there && live != Outcome::Done, "live: {name}");
    }

    fn replace_with_twin(path: &Path) {
        let twin = path.with_extension("twin");
        fs::write(&twin, DEAD).unwrap();
        fs::rename(twin, path).unwrap();
    }

    fn replace_with_link(path: &Path) {
        let twin = path.with_extension("twin");
        fs::rename(path, &twin).unwrap();
        std::os::unix::fs::symlink(twin, path).unwrap();
    }

    fn replace_with_folder(path: &Path) {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }

    fn replace_with_pipe(path: &Path) {
        fs::remove_file(path).unwrap();
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }

    #[test]
    fn under_another_gateway_the_judgement_is_void() {
        let case = case();
        let actuator = case.place.actuator(Reach::Live, &|_| false, &nothing);
        assert_eq!(actuator.perform(ID, &case.action).unwrap().outcome, Outcome::Changed);
        assert_eq!(fs::read_to_string(&case.path).unwrap(), DEAD);
    }

    #[test]
    fn a_lock_taken_anew_in_the_last_moment_is_put_back() {
        let case = case();
        let retake = |step| {
            if step == Step::Move {
                fs::remove_file(&case.path).unwrap();
                fs::write(&case.path, RETAKEN).unwrap();
            }
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &retake);
        assert_eq!(actuator.perform(ID, &case.action).unwrap().outcome, Outcome::Changed);
        assert_eq!(fs::read_to_string(&case.path).unwrap(), RETAKEN);
        assert_eq!(case.place.names(), ["a.jsonl.lock"], "nothing is left behind");
    }

    #[test]
    fn a_lock_taken_anew_while_its_copy_is_written_never_leaves_its_name() {
        let case = case();
        let retake = |step| match step {
            Step::Begin => {
                fs::remove_file(&case.path).unwrap();
                fs::write(&case.path, RETAKEN).unwrap();
            }
            Step::Move => panic!("it was moved"),
            _ => {}
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &retake);
        assert_eq!(actuator.perform(ID, &case.action).unwrap().outcome, Outcome::Changed);
        assert_eq!(fs::read_to_string(&case.path).unwrap(), RETAKEN);
    }

    #[test]
    fn a_lock_taken_twice_in_the_last_moment_is_never_overwritten() {
        let case = case();
        let retake = |step| match step {
            Step::Move => fs::write(&case.path, RETAKEN).unwrap(),
            Step::Compare => fs::write(&case.path, "a third holder").unwrap(),
            _ => {}
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &retake);
        let error = actuator.perform(ID, &case.action).unwrap_err();
        assert!(matches!(error, ActError::ReturnLock { .. }), "{error}");
        assert_eq!(fs::read_to_string(&case.path).unwrap(), "a third holder");
        assert_eq!(fs::read_to_string(case.place.path(".clawarden-7")).unwrap(), RETAKEN);
    }

    #[test]
    fn without_a_copy_nothing_is_moved() {
        let case = case();
        fs::remove_dir_all(case.place.quarantine.path()).unwrap();
        fs::write(case.place.quarantine.path(), "in the way").unwrap();
        let error = case.place.actuator(Reach::Live, &alive, &nothing);
        let error = error.perform(ID, &case.action).unwrap_err();
        assert!(matches!(error, ActError::Quarantine { .. }), "{error}");
        assert_eq!(fs::read_to_string(&case.path).unwrap(), DEAD);
        fs::remove_file(case.place.quarantine.path()).unwrap();
    }

    #[test]
    fn undo_brings_back_every_byte_and_refuses_a_taken_place() {
        let case = case();
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        actuator.perform(ID, &case.action).unwrap();
        assert!(!case.path.exists());

        assert_eq!(undo(&actuator, ID, UNDO).unwrap().outcome, Outcome::Done);
        assert_eq!(fs::read_to_string(&case.path).unwrap(), DEAD);
        assert_eq!(undo(&actuator, ID, ActionId(9)).unwrap().outcome, Outcome::Changed);
        assert_eq!(case.place.names(), ["a.jsonl.lock"]);
    }

    #[test]
    fn a_crash_at_any_step_is_finished_or_reverted_and_never_repeated() {
        use Step::{Begin, Compare, Move, Remove, Verify};
        for (at, outcome) in [
            (Begin, Outcome::Changed),
            (Move, Outcome::Changed),
            (Compare, Outcome::Done),
            (Remove, Outcome::Done),
            (Verify, Outcome::Done),
        ] {
            let case = case();
            interrupt(&case, at);
            let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
            assert_eq!(recover(&actuator, ID).unwrap().outcome, outcome, "{at:?}");
            let left = if outcome == Outcome::Done { vec![] } else { vec!["a.jsonl.lock"] };
            assert_eq!(case.place.names(), left, "{at:?}");
            assert_eq!(recover(&actuator, ID).unwrap().outcome, outcome, "twice: {at:?}");
        }
    }

    #[test]
    fn a_crash_with_the_wrong_lock_aside_puts_it_back() {
        let case = case();
        let manifest = Manifest::ReleaseLock {
            path: case.path.clone(),
            dev: case.expected.dev,
            ino: case.expected.ino,
            text: DEAD.to_owned(),
            mode: 0o644,
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        actuator.quarantine.begin(ID, &manifest).unwrap();
        fs::write(&case.path, RETAKEN).unwrap();
        fs::rename(&case.path, case.place.path(".clawarden-7")).unwrap();

        assert_eq!(recover(&actuator, ID).unwrap().outcome, Outcome::Changed);
        assert_eq!(fs::read_to_string(&case.path).unwrap(), RETAKEN);
    }

    #[test]
    fn an_interrupted_undo_is_not_taken_for_done_because_of_a_newer_lock() {
        let case = case();
        let actuator = case.place.actuator(Reach::Live, &alive, &nothing);
        actuator.perform(ID, &case.action).unwrap();
        let manifest = Manifest::RestoreLock { path: case.path.clone(), text: DEAD.to_owned() };
        actuator.quarantine.begin(UNDO, &manifest).unwrap();
        for (lock, want) in [(RETAKEN, Outcome::Changed), (DEAD, Outcome::Done)] {
            fs::write(&case.path, lock).unwrap();
            assert_eq!(recover(&actuator, UNDO).unwrap().outcome, want);
            assert_eq!(fs::read_to_string(&case.path).unwrap(), lock);
        }
    }

    /// Ends the action before `at`, as a crash would: by unwinding, with nothing on the way that
    /// cleans up.
    fn interrupt(case: &Case, at: Step) {
        let reached = Cell::new(false);
        let stop = |step| {
            if step == at {
                reached.set(true);
                std::panic::resume_unwind(Box::new("crash"));
            }
        };
        let actuator = case.place.actuator(Reach::Live, &alive, &stop);
        let run = std::panic::AssertUnwindSafe(|| actuator.perform(ID, &case.action));
        assert!(std::panic::catch_unwind(run).is_err());
        assert!(reached.get(), "{at:?} is a step of this action");
    }
}
