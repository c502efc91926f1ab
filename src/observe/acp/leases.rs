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
                        gaps.push(gap(&path, format!("more than {LEASES_MAX} leases")));
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
