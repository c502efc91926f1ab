//! Reads the leases of a state directory, each source again only when it has changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lease::{LEASES_MAX, Leases, Part};
use super::{lease_file, lease_rows};
use crate::model::{Era, Gap, Source, UnixMillis};
use crate::observe::files::{Gated, is_gone, open_below, stamp};
use crate::observe::kept::Kept;
use crate::observe::sqlite::{self, SqliteError};

/// The last look at the sources of leases.
#[derive(Debug, Default)]
pub struct LeaseReader {
    rows: Kept<Arc<Part>>,
    file: FileReader,
    instance: FileReader,
}

impl LeaseReader {
    /// Reads all leases of `state_dir` at `now`, and tells what could not be read. To find nothing
    /// changed takes five stats.
    ///
    /// The database (2026.6.11 and later) counts before the files (2026.5.28), which it has taken
    /// over; both are read, whatever the era, since a process may be older than an update. A
    /// database that is newer than any that was tested, or not understood, is not opened.
    ///
    /// Never call this while `openclaw` maintenance runs, or while this process has the database
    /// open: see [`crate::observe::sqlite`].
    pub fn read(&mut self, state_dir: &Path, era: &Era, now: UnixMillis) -> (Leases, Vec<Gap>) {
        let database = state_dir.join("state/openclaw.sqlite");
        let file = state_dir.join("acpx/process-leases.json");
        let instance = state_dir.join("gateway-instance-id");
        let read = [
            (self.rows(&database, era, now), database),
            (self.file.read(state_dir, &file, now, lease_file::leases), file),
            (self.instance.read(state_dir, &instance, now, lease_file::instance), instance),
        ];
        let (mut parts, mut gaps) = (Vec::new(), Vec::new());
        for (part, path) in read {
            match part {
                Ok(part) => {
                    if part.is_cut {
                        gaps.push(gap(
                            &path,
                            format!("more than {LEASES_MAX} leases, or too long ones"),
                        ));
                    }
                    parts.push(part);
                }
                Err(reason) => gaps.push(gap(&path, reason)),
            }
        }
        (Leases::new(parts), gaps)
    }

    fn rows(&mut self, path: &Path, era: &Era, now: UnixMillis) -> Result<Arc<Part>, String> {
        if fs::symlink_metadata(path).is_err_and(|error| is_gone(&error)) {
            return Ok(Arc::default());
        }
        match era {
            Era::Newer { what: why } | Era::Unknown { why } => {
                return Err(format!("not opened: {why}"));
            }
            Era::Files | Era::Hybrid | Era::Sqlite => {}
        }
        match self.rows.read(path, now, |path| sqlite::query(path, lease_rows::read).map(Arc::new))
        {
            Ok(part) => Ok(part),
            Err(SqliteError::Missing { .. }) => Ok(Arc::default()),
            Err(error) => Err(crate::error::chain(&error)),
        }
    }
}

fn gap(path: &Path, reason: String) -> Gap {
    Gap { source: Source::Leases, path: PathBuf::from(path), reason }
}

/// The last look at one file.
#[derive(Debug, Default)]
struct FileReader {
    kept: Option<Gated<Result<Arc<Part>, String>>>,
}

impl FileReader {
    /// Returns what `parse` said of the file when it last had its present stamp, or says now. A
    /// file that is missing says nothing.
    fn read(
        &mut self,
        state_dir: &Path,
        path: &Path,
        now: UnixMillis,
        parse: fn(File, u64) -> Result<Part, String>,
    ) -> Result<Arc<Part>, String> {
        // A link is never taken as unchanged: this is the stamp of the name itself.
        if let Some(kept) = &self.kept
            && fs::symlink_metadata(path).is_ok_and(|meta| kept.is_current(stamp(&meta)))
        {
            return kept.value.clone();
        }
        self.kept = None;
        let Some(opened) = open_below(state_dir, path)? else { return Ok(Arc::default()) };
        let value = parse(opened.file, opened.meta.len()).map(Arc::new);
        self.kept = Some(Gated::new(stamp(&opened.meta), now, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use nix::sys::stat::Mode;
    use rusqlite::Connection;
    use tempfile::{TempDir, tempdir};

    use super::*;

    const LATE: UnixMillis = UnixMillis(i64::MAX);
    const DATABASE: &str = "state/openclaw.sqlite";
    const FILE: &str = "acpx/process-leases.json";
    const INSTANCE: &str = "gateway-instance-id";

    struct Bed {
        dir: TempDir,
        reader: LeaseReader,
        era: Era,
    }

    impl Bed {
        fn new() -> Bed {
            let dir = tempdir().unwrap();
            for folder in ["state", "acpx"] {
                fs::create_dir(dir.path().join(folder)).unwrap();
            }
            Bed { dir, reader: LeaseReader::default(), era: Era::Hybrid }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Writes in place, as of a second.
        fn write(&self, name: &str, text: &str, second: u64) {
            fs::write(self.path(name), text).unwrap();
            let file = fs::File::options().write(true).open(self.path(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }

        fn leases(&self, ids: &[&str]) {
            let entry = |id: &&str| format!("{{\"leaseId\":\"{id}\",\"rootPid\":7}}");
            let entries: Vec<_> = ids.iter().map(entry).collect();
            self.write(FILE, &format!("{{\"leases\":[{}]}}", entries.join(",")), 1000);
        }

        fn database(&self, ids: &[&str]) -> Connection {
            let db = Connection::open(self.path(DATABASE)).unwrap();
            db.execute_batch(
                "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS plugin_state_entries
                   (plugin_id, namespace, entry_key, value_json, created_at, expires_at);",
            )
            .unwrap();
            for id in ids {
                db.execute(INSERT, [id]).unwrap();
            }
            db
        }

        /// Returns ids of leases, ids of gateways, and paths and reasons of gaps.
        fn look(&mut self) -> String {
            let (leases, gaps) = self.reader.read(self.dir.path(), &self.era, LATE);
            let ids = leases.iter().map(|(id, lease)| match lease.root_pid {
                Some(pid) => format!("{id}={pid}"),
                None => id.to_owned(),
            });
            let instances = leases.instance_ids().map(|id| format!("@{id}"));
            let gaps = gaps.iter().map(|gap| {
                let name = gap.path.strip_prefix(self.dir.path()).unwrap().display();
                format!("[{name}: {}]", gap.reason)
            });
            ids.chain(instances).chain(gaps).collect::<Vec<_>>().join(" ")
        }
    }

    const INSERT: &str = "INSERT INTO plugin_state_entries
        VALUES ('acpx', 'process-leases', ?1, '{\"rootPid\":8}', 0, NULL)";

    #[test]
    fn a_state_directory_without_leases_has_none_in_any_era() {
        let mut bed = Bed::new();
        for era in [Era::Files, Era::Sqlite, Era::Unknown { why: "new".to_owned() }] {
            bed.era = era;
            assert_eq!(bed.look(), "");
        }
    }

    #[test]
    fn every_source_is_read_and_the_database_counts_first() {
        let mut bed = Bed::new();
        bed.leases(&["a", "b"]);
        bed.write(INSTANCE, "id\n", 1000);
        bed.database(&["a"]).close().unwrap();
        assert_eq!(bed.look(), "a=8 a=7 b=7 @id");
        let (leases, _) = bed.reader.read(bed.dir.path(), &bed.era, LATE);
        assert_eq!(leases.get("a").and_then(|lease| lease.root_pid), Some(8));
    }

    #[test]
    fn an_unchanged_source_is_not_read_again_and_a_changed_one_is() {
        let mut bed = Bed::new();
        bed.leases(&["a"]);
        bed.write(INSTANCE, "id", 1000);
        bed.database(&[]).close().unwrap();
        assert_eq!(bed.look(), "a=7 @id");
        bed.leases(&["b"]);
        bed.write(INSTANCE, "di", 1000);
        assert_eq!(bed.look(), "a=7 @id", "same inode, size and time: taken as unchanged");
        bed.write(INSTANCE, "di", 1001);
        bed.write(FILE, "{\"leases\":[]}", 1001);
        bed.database(&["c"]).close().unwrap();
        assert_eq!(bed.look(), "c=8 @di");
    }

    #[test]
    fn a_broken_source_is_a_gap_beside_what_can_be_read() {
        let mut bed = Bed::new();
        bed.leases(&["a"]);
        bed.write(INSTANCE, &"x".repeat(5000), 1000);
        bed.write(DATABASE, "no database at all", 1000);
        let gaps = "[state/openclaw.sqlite: read database `DIR`: it is not a SQLite database] \
             [gateway-instance-id: larger than 4096 bytes]";
        let gaps = gaps.replace("DIR", &bed.path(DATABASE).display().to_string());
        let want = format!("a=7 {gaps}");
        assert_eq!((bed.look(), bed.look()), (want.clone(), want));
        bed.write(FILE, "{", 1001);
        assert!(
            bed.look().starts_with("[state") && bed.look().contains("[acpx/process-leases.json")
        );
    }

    #[test]
    fn a_database_that_is_newer_or_not_understood_is_not_opened() {
        let mut bed = Bed::new();
        bed.leases(&["a"]);
        bed.database(&["b"]).close().unwrap();
        bed.era = Era::Newer { what: "schema 99".to_owned() };
        assert_eq!(bed.look(), "a=7 [state/openclaw.sqlite: not opened: schema 99]");
        bed.era = Era::Unknown { why: "both".to_owned() };
        assert_eq!(bed.look(), "a=7 [state/openclaw.sqlite: not opened: both]");
    }

    #[test]
    fn a_database_in_the_midst_of_a_write_shows_what_was_committed() {
        let mut bed = Bed::new();
        let writer = bed.database(&["a"]);
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        writer.execute(INSERT, ["b"]).unwrap();
        assert_eq!(bed.look(), "a=8");
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(bed.look(), "a=8 b=8");
    }

    #[test]
    fn nothing_odd_is_opened_or_followed() {
        let (mut bed, outside) = (Bed::new(), tempdir().unwrap());
        nix::unistd::mkfifo(&bed.path(FILE), Mode::S_IRWXU).unwrap();
        fs::write(outside.path().join("id"), "id").unwrap();
        symlink(outside.path().join("id"), bed.path(INSTANCE)).unwrap();
        symlink("openclaw.sqlite", bed.path(DATABASE)).unwrap();
        let seen = bed.look();
        let want = "[acpx/process-leases.json: a FIFO] \
             [gateway-instance-id: a link out of the state directory]";
        assert!(seen.ends_with(want) && seen.contains("it is not a regular file"), "{seen}");
    }

    #[test]
    fn more_leases_than_are_kept_are_a_gap_and_no_end() {
        let mut bed = Bed::new();
        let ids: Vec<_> = (0..=LEASES_MAX).map(|n| n.to_string()).collect();
        bed.leases(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let (leases, gaps) = bed.reader.read(bed.dir.path(), &bed.era, LATE);
        assert_eq!((leases.iter().count(), gaps.len()), (LEASES_MAX, 1));
        assert_eq!(gaps[0].reason, "more than 100000 leases, or too long ones");
    }
}
