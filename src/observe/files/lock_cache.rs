//! All transcript locks, each folder listed again only when it has changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gated::Gated;
use super::locks::{LocksRead, list, read_lock, sighted};
use super::open::stamp;
use super::{AgentPath, gap};
use crate::model::{AgentId, Gap, Lock, Payload, Sighting, Source, UnixMillis};

/// How long a listing is believed although its folder looks unchanged. No known file system
/// needs it; it bounds what an unknown one can hide.
const LISTING_LASTS: Duration = Duration::from_secs(300);

/// The last look at each sessions folder.
#[derive(Debug, Default)]
pub struct LockCache {
    folders: BTreeMap<PathBuf, Listing>,
}

#[derive(Debug)]
struct Listing {
    listed_at: UnixMillis,
    names: Gated<Vec<Name>>,
}

/// What is known of one name in a folder.
#[derive(Debug)]
enum Name {
    /// A lock with a complete payload. The gateway writes a payload once, into a new file, and
    /// never again (2026.3.24 to 2026.7.1): what changes such a lock changes the folder.
    Complete(Lock),
    /// Empty or torn, so that its writer may still be at it; or it could not be read.
    Unsettled(PathBuf),
}

impl LockCache {
    /// Looks at all of `folders` and forgets all others.
    ///
    /// A folder with an unchanged modification time has the names it had, for creation, removal
    /// and renaming move it; writing in place does not, so that a payload is read again as long
    /// as it is incomplete. `sight` is asked once for each pid, each time. Who acts on a lock
    /// compares its stamp again.
    pub fn read_all(
        &mut self,
        root: &Path,
        folders: &[AgentPath],
        now: UnixMillis,
        sight: &dyn Fn(i32) -> Sighting,
    ) -> LocksRead {
        let seen = RefCell::new(BTreeMap::new());
        let sight_once = |pid| *seen.borrow_mut().entry(pid).or_insert_with(|| sight(pid));
        let mut old = std::mem::take(&mut self.folders);
        let mut all = LocksRead::default();
        for at in folders {
            let listing = old.remove(&at.path);
            match self.read_folder(root, at, now, listing, &mut all) {
                Ok(()) => {}
                Err(reason) => all.gaps.push(gap(Source::Locks, &at.path, reason)),
            }
        }
        all.locks = all.locks.into_iter().map(|lock| sighted(lock, &sight_once)).collect();
        all.locks.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    fn read_folder(
        &mut self,
        root: &Path,
        at: &AgentPath,
        now: UnixMillis,
        listing: Option<Listing>,
        all: &mut LocksRead,
    ) -> Result<(), String> {
        // Before the listing: what changes the folder later then differs from this stamp.
        let folder = match fs::metadata(&at.path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let stamp = stamp(&folder);
        let (listed_at, names) = match listing {
            Some(old) if old.names.is_current(stamp) && old.is_fresh(now) => {
                (old.listed_at, old.names.value)
            }
            _ => (now, list(root, at)?.into_iter().map(Name::Unsettled).collect()),
        };
        let mut kept = Vec::with_capacity(names.len());
        for name in names {
            match name.look(&at.agent, folder.uid()) {
                Ok(Some((name, lock))) => {
                    kept.push(name);
                    all.locks.push(lock);
                }
                Ok(None) => {}
                Err(gap) => {
                    kept.push(Name::Unsettled(gap.path.clone()));
                    all.gaps.push(gap);
                }
            }
        }
        let names = Gated::new(stamp, listed_at, kept);
        self.folders.insert(at.path.clone(), Listing { listed_at, names });
        Ok(())
    }
}

impl Listing {
    fn is_fresh(&self, now: UnixMillis) -> bool {
        now >= self.listed_at && now.since(self.listed_at) < LISTING_LASTS
    }
}

impl Name {
    /// Returns the lock under this name, if there still is one.
    fn look(self, agent: &AgentId, folder_uid: u32) -> Result<Option<(Name, Lock)>, Gap> {
        let path = match self {
            Name::Complete(mut lock) => {
                lock.folder_uid = folder_uid;
                return Ok(Some((Name::Complete(lock.clone()), lock)));
            }
            Name::Unsettled(path) => path,
        };
        Ok(read_lock(&path, agent, folder_uid)?.map(|lock| {
            let name = match lock.payload {
                Payload::Claim(..) => Name::Complete(lock.clone()),
                Payload::Incomplete => Name::Unsettled(path),
            };
            (name, lock)
        }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "moves a lock aside, as a release does")]

    use std::cell::Cell;
    use std::time::SystemTime;

    use tempfile::{TempDir, tempdir};

    use super::*;

    struct Bed {
        dir: TempDir,
        cache: LockCache,
        now: UnixMillis,
        sights: Cell<usize>,
    }

    impl Bed {
        fn new() -> Bed {
            let now = UnixMillis(2_000_000);
            let (dir, sights) = (tempdir().unwrap(), Cell::new(0));
            let bed = Bed { dir, cache: LockCache::default(), now, sights };
            bed.touch(1000);
            bed
        }

        fn touch(&self, second: u64) {
            let folder = fs::File::open(self.dir.path()).unwrap();
            folder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }

        /// Writes a lock and sets the time of the folder, as if it had last changed then.
        fn write(&self, name: &str, pid: i32, second: u64) {
            let payload = format!(r#"{{"pid":{pid},"createdAt":"2026-11-20T07:29:30.010Z"}}"#);
            let payload = if pid > 0 { payload } else { String::new() };
            fs::write(self.dir.path().join(format!("{name}.jsonl.lock")), payload).unwrap();
            self.touch(second);
        }

        /// The locks by name with the pids they claim, 0 for an incomplete one.
        fn look(&mut self) -> String {
            let at = AgentPath { path: self.dir.path().to_owned(), agent: "main".into() };
            let sight = |_| {
                self.sights.set(self.sights.get() + 1);
                Sighting::Absent
            };
            let read = self.cache.read_all(self.dir.path(), &[at], self.now, &sight);
            let mut seen: Vec<_> = read.locks.iter().map(describe).collect();
            seen.extend(read.gaps.into_iter().map(|gap| gap.reason));
            seen.join(" ")
        }
    }

    fn describe(lock: &Lock) -> String {
        let name = lock.path.file_name().unwrap().to_string_lossy();
        let pid = match lock.payload {
            Payload::Claim(claim, sighting) => {
                assert_eq!(sighting, Sighting::Absent);
                claim.pid
            }
            Payload::Incomplete => 0,
        };
        format!("{}={pid}", name.trim_end_matches(".jsonl.lock"))
    }

    #[test]
    fn an_unchanged_folder_is_not_listed_again_and_a_changed_one_is() {
        let mut bed = Bed::new();
        bed.write("a", 41, 1000);
        assert_eq!(bed.look(), "a=41");
        bed.write("b", 42, 1000);
        assert_eq!(bed.look(), "a=41", "same time: taken as unchanged");
        bed.touch(1001);
        assert_eq!(bed.look(), "a=41 b=42");
    }

    #[test]
    fn a_folder_that_was_young_when_it_was_listed_is_listed_again() {
        let mut bed = Bed::new();
        bed.now = UnixMillis(1_001_999);
        assert_eq!(bed.look(), "");
        bed.write("a", 41, 1000);
        bed.now = UnixMillis(1_030_000);
        assert_eq!(bed.look(), "a=41");
    }

    #[test]
    fn an_empty_lock_is_read_again_until_it_is_filled() {
        let mut bed = Bed::new();
        bed.write("a", 0, 1000);
        assert_eq!((bed.look(), bed.look()), ("a=0".to_owned(), "a=0".to_owned()));
        bed.write("a", 41, 1000);
        assert_eq!(bed.look(), "a=41");
    }

    #[test]
    fn a_name_that_could_not_be_read_is_tried_again() {
        let mut bed = Bed::new();
        let path = bed.dir.path().join("a.jsonl.lock");
        fs::write(&path, vec![b' '; 5000]).unwrap();
        bed.touch(1000);
        assert_eq!(bed.look(), "larger than 4096 bytes");
        assert_eq!(bed.look(), "larger than 4096 bytes");
        bed.write("a", 41, 1000);
        assert_eq!(bed.look(), "a=41");
    }

    #[test]
    fn a_lock_that_is_released_goes_and_one_that_is_taken_again_is_new() {
        let mut bed = Bed::new();
        bed.write("a", 41, 1000);
        assert_eq!(bed.look(), "a=41");
        fs::rename(bed.dir.path().join("a.jsonl.lock"), bed.dir.path().join("gone")).unwrap();
        bed.touch(1001);
        assert_eq!(bed.look(), "");
        bed.write("a", 42, 1002);
        assert_eq!(bed.look(), "a=42");
    }

    #[test]
    fn a_listing_is_believed_for_five_minutes_and_never_across_a_clock_step_back() {
        for (now, want) in [(2_299_999, ""), (2_300_000, "a=41"), (1_999_999, "a=41")] {
            let mut bed = Bed::new();
            assert_eq!(bed.look(), "");
            bed.write("a", 41, 1000);
            bed.now = UnixMillis(now);
            assert_eq!(bed.look(), want, "{now}");
        }
    }

    #[test]
    fn a_holder_is_looked_at_once_a_pass_and_in_every_pass() {
        let mut bed = Bed::new();
        for name in ["a", "b", "c"] {
            bed.write(name, 41, 1000);
        }
        assert_eq!(bed.look(), "a=41 b=41 c=41");
        assert_eq!(bed.sights.get(), 1);
        assert_eq!(bed.look(), "a=41 b=41 c=41");
        assert_eq!(bed.sights.get(), 2);
    }

    #[test]
    fn a_folder_that_is_no_longer_asked_for_is_forgotten() {
        let mut bed = Bed::new();
        bed.look();
        assert_eq!(bed.cache.folders.len(), 1);
        let none = bed.cache.read_all(bed.dir.path(), &[], bed.now, &|_| Sighting::Absent);
        assert_eq!((none, bed.cache.folders.len()), (LocksRead::default(), 0));
    }
}
