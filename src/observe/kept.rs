//! What was read from databases, kept until they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::SETTLES_AFTER;
use super::sqlite::{self, SqliteError, Stamp};
use crate::model::UnixMillis;

/// One answer for each database. To look whether it still holds takes two stats.
#[derive(Debug)]
pub(super) struct Kept<T> {
    answers: BTreeMap<PathBuf, (Stamp, T)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { answers: BTreeMap::new() }
    }
}

impl<T: Clone> Kept<T> {
    /// Returns what `read` said of the database at `path` when it last had its present content,
    /// or says now. `now` is an instant before this.
    ///
    /// # Errors
    ///
    /// Returns what `read` does, and an error if the database cannot be looked at. No error is
    /// kept.
    pub(super) fn read(
        &mut self,
        path: &Path,
        now: UnixMillis,
        read: impl FnOnce(&Path) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        // Before the content: what changes it later then differs from this stamp.
        let stamp = sqlite::stamp(path)?;
        if let Some((known, answer)) = self.answers.get(path)
            && *known == stamp
        {
            return Ok(answer.clone());
        }
        self.answers.remove(path);
        let answer = read(path)?;
        if is_settled(stamp, now) {
            self.answers.insert(path.to_owned(), (stamp, answer.clone()));
        }
        Ok(answer)
    }
}

/// Returns true if a write after `now` cannot leave the same stamp behind.
fn is_settled(stamp: Stamp, now: UnixMillis) -> bool {
    stamp.db.into_iter().chain(stamp.wal).all(|file| {
        let millis = i64::try_from(file.mtime_ns / 1_000_000).unwrap_or(i64::MAX);
        now.since(UnixMillis(millis)) >= SETTLES_AFTER
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    const LATE: UnixMillis = UnixMillis(i64::MAX);

    struct Bed {
        dir: tempfile::TempDir,
        kept: Kept<usize>,
        reads: usize,
    }

    impl Bed {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        #[track_caller]
        fn check(&mut self, now: UnixMillis, is_read: bool) {
            let (path, before) = (self.path("a.sqlite"), self.reads);
            let reads = &mut self.reads;
            let read = |_: &Path| {
                *reads += 1;
                Ok(*reads)
            };
            let answer = self.kept.read(&path, now, read).unwrap();
            assert_eq!((answer, self.reads), (self.reads, before + usize::from(is_read)));
        }
    }

    fn bed() -> Bed {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.sqlite"), "x").unwrap();
        Bed { dir, kept: Kept::default(), reads: 0 }
    }

    #[test]
    fn an_unchanged_database_is_read_once() {
        let mut bed = bed();
        bed.check(LATE, true);
        bed.check(LATE, false);
    }

    #[test]
    fn a_change_of_either_file_is_noticed() {
        let mut bed = bed();
        bed.check(LATE, true);
        fs::write(bed.path("a.sqlite-wal"), "x").unwrap();
        bed.check(LATE, true);
        bed.check(LATE, false);
        let append = |name: &str| {
            let mut file = fs::OpenOptions::new().append(true).open(bed.path(name)).unwrap();
            file.write_all(b"x").unwrap();
        };
        append("a.sqlite");
        append("a.sqlite-wal");
        bed.check(LATE, true);
        bed.check(LATE, false);
    }

    #[test]
    fn a_database_written_just_now_or_in_the_future_is_read_again() {
        let mut bed = bed();
        let written = fs::metadata(bed.path("a.sqlite")).unwrap().modified().unwrap();
        let millis = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let written = UnixMillis(i64::try_from(millis).unwrap());
        for now in [UnixMillis(0), written, UnixMillis(written.0 + 1999)] {
            bed.check(now, true);
            bed.check(now, true);
        }
        bed.check(UnixMillis(written.0 + 2001), true);
        bed.check(UnixMillis(written.0 + 2001), false);
    }

    #[test]
    fn no_error_is_kept() {
        let mut bed = bed();
        let path = bed.path("a.sqlite");
        let fails = |path: &Path| Err(SqliteError::NotDatabase { path: path.to_owned() });
        assert!(bed.kept.read(&path, LATE, fails).is_err());
        bed.check(LATE, true);
        fs::write(&path, "other").unwrap();
        assert!(bed.kept.read(&path, LATE, fails).is_err());
        bed.check(LATE, true);
    }
}
