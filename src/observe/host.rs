//! The host, its boot and its clocks.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::model::{BootId, Host, UnixMillis};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;

/// The boot of a captured table that does not say which.
const CAPTURED_BOOT: &str = "captured";

/// The boot id has 36 characters.
const BOOT_ID_BYTES_MAX: usize = 64;

/// `/proc/stat` has a line per processor and one of all interrupts, before `btime`.
const STAT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why the host could not be read.
#[derive(Debug, Error)]
pub enum HostError {
    /// A file of the process table could not be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no boot id in its file.
    #[error("find a boot id in `{}`", path.display())]
    BootId {
        /// The file.
        path: PathBuf,
    },
    /// There is no boot time in its file.
    #[error("find the boot time, `btime`, in `{}`", path.display())]
    BootTime {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the facts about the host, or those of a captured table: that has no clock, and may lack
/// the boot id. The user id is ours in any case.
///
/// # Errors
///
/// Returns an error if boot id or boot time cannot be read or make no sense.
pub fn read(root: &Path) -> Result<Host, HostError> {
    let is_live = root == Path::new("/proc");
    let (boot_id, booted_at) = if is_live { platform::boot()? } else { boot_in(root, false)? };
    Ok(Host {
        boot_id,
        booted_at,
        slept: is_live.then(platform::slept),
        euid: nix::unistd::geteuid().as_raw(),
    })
}

/// Reads the boot from the files of a process table.
fn boot_in(root: &Path, is_live: bool) -> Result<(BootId, UnixMillis), HostError> {
    Ok((boot_id(root, is_live)?, booted_at(root)?))
}

fn boot_id(root: &Path, is_live: bool) -> Result<BootId, HostError> {
    let path = root.join("sys/kernel/random/boot_id");
    let text = match bounded(&path, BOOT_ID_BYTES_MAX as u64) {
        Ok(text) => text,
        Err(error) if !is_live && error.kind() == io::ErrorKind::NotFound => {
            return Ok(BootId(CAPTURED_BOOT.to_owned()));
        }
        Err(source) => return Err(HostError::Read { path, source }),
    };
    match std::str::from_utf8(text.trim_ascii()) {
        Ok(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(BootId(id.to_owned()))
        }
        _ => Err(HostError::BootId { path }),
    }
}

fn booted_at(root: &Path) -> Result<UnixMillis, HostError> {
    let path = root.join("stat");
    match bounded(&path, STAT_BYTES_MAX) {
        Ok(text) => boot_time(&text).ok_or(HostError::BootTime { path }),
        Err(source) => Err(HostError::Read { path, source }),
    }
}

/// Finds `btime SECONDS`.
fn boot_time(stat: &[u8]) -> Option<UnixMillis> {
    let mut lines = stat.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"btime "))?;
    let seconds: i64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    seconds.checked_mul(1000).map(UnixMillis)
}

fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut contents)?;
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root(boot_id: Option<&str>, stat: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("stat"), stat).unwrap();
        if let Some(boot_id) = boot_id {
            let folder = root.path().join("sys/kernel/random");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("boot_id"), boot_id).unwrap();
        }
        root
    }

    #[test]
    fn a_captured_table_has_its_own_boot_and_no_clock() {
        let root = root(Some("3d6a-b1\n"), "cpu 1 2\nbtime 1795159292\nprocesses 3\n");
        let host = read(root.path()).unwrap();
        assert_eq!(host.boot_id, BootId("3d6a-b1".to_owned()));
        assert_eq!(host.booted_at, UnixMillis(1_795_159_292_000));
        assert_eq!(host.slept, None);
    }

    #[test]
    fn a_captured_table_need_not_say_which_boot() {
        let root = root(None, "btime 7\n");
        assert_eq!(read(root.path()).unwrap().boot_id, BootId("captured".to_owned()));
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_file() {
        for (boot_id, stat, want) in [
            (Some(" \n"), "btime 7\n", "boot_id"),
            (Some("a\u{1b}b"), "btime 7\n", "boot_id"),
            (None, "", "btime"),
            (None, "btime x\n", "btime"),
            (None, "btime 9223372036854775807\n", "btime"),
            (None, "xbtime 7\n", "btime"),
        ] {
            let error = read(root(boot_id, stat).path()).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(read(empty.path()), Err(HostError::Read { .. })));
    }

    #[test]
    fn the_running_host_is_read() {
        let host = read(Path::new("/proc")).unwrap();
        assert_eq!(host.boot_id.0.len(), 36);
        assert!(host.slept.is_some());
        let uptime = crate::clock::Clock::Wall.now().since(host.booted_at);
        assert!(!uptime.is_zero(), "{uptime:?}");
    }
}
