//! Which file the gateway logs into.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Scene;
use crate::observe::files::{is_gone, oddity};

/// More files than a year of days.
const ENTRIES_MAX: usize = 1_000;

/// A log file.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Whether the configuration names it. The usual one is shared by all gateways of the host.
    pub(super) is_ours: bool,
}

/// What could not be read, and why.
pub(super) type Fault = (PathBuf, String);

/// Returns the log of today, or the newest; `None` if there is none.
///
/// Measured on 2026.3.24 to 2026.9.6: `/tmp/openclaw/openclaw-<local date>.log`, whatever `TMPDIR`
/// says.
pub(super) fn find(scene: &Scene<'_>) -> Result<Option<Place>, Fault> {
    if let Some(path) = scene.configured {
        return Ok(Some(Place { path: path.to_owned(), is_ours: true }));
    }
    let uid = scene.uids.first().copied().unwrap_or_default();
    for name in ["openclaw".to_owned(), format!("openclaw-{uid}")] {
        let folder = scene.temp.join(name);
        let newest = newest(&folder, scene.uids).map_err(|reason| (folder, reason))?;
        if let Some(path) = newest {
            return Ok(Some(Place { path, is_ours: false }));
        }
    }
    Ok(None)
}

/// The names end with a date, so that the last one is the newest.
fn newest(folder: &Path, uids: &[u32]) -> Result<Option<PathBuf>, String> {
    match fs::symlink_metadata(folder) {
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) if !meta.is_dir() => {
            return Err(oddity(meta.file_type()).unwrap_or("a file").to_owned());
        }
        // Anybody can make a folder of that name.
        Ok(meta) if !uids.contains(&meta.uid()) => return Err("it is another user's".to_owned()),
        Ok(_) => {}
    }
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let names =
        entries.take(ENTRIES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_log(name)).max().map(|name| folder.join(name)))
}

fn is_log(name: &str) -> bool {
    let date = name.strip_prefix("openclaw-").and_then(|rest| rest.strip_suffix(".log"));
    let fits =
        |(at, c): (usize, char)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() };
    date.is_some_and(|date| date.len() == 10 && date.chars().enumerate().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_date_makes_a_log() {
        assert!(is_log("openclaw-2026-11-20.log"));
        for name in [
            "",
            "openclaw-.log",
            "openclaw-2026-11-20.log.gz",
            "openclaw-2026-11-2.log",
            "openclaw-2026-11-201.log",
            "openclaw-2026_11_20.log",
            "openclaw-zzzz-zz-zz.log",
            "a-2026-11-20.log",
        ] {
            assert!(!is_log(name), "{name}");
        }
    }
}
