//! Opens foreign files without following, blocking or waking anything.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::model::{FileStamp, UnixMillis};

/// A file that was opened, and what it is.
pub(in crate::observe) struct Opened {
    /// The file, for reading.
    pub(in crate::observe) file: File,
    /// What the descriptor says of it.
    pub(in crate::observe) meta: Metadata,
    /// Whether the name it was asked for by is a symbolic link.
    pub(in crate::observe) is_symlink: bool,
}

/// Opens the regular file at `path`. A symbolic link is followed if it stays below `root`.
///
/// `None`: there is no such file.
///
/// # Errors
///
/// Returns the reason, for people.
pub(in crate::observe) fn open_below(root: &Path, path: &Path) -> Result<Option<Opened>, String> {
    let named = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let is_symlink = named.file_type().is_symlink();
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if is_gone(&error) && is_symlink => return Err("a dangling link".to_owned()),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !is_below(root, path, &real) {
        return Err("a link out of the state directory".to_owned());
    }
    // To open a device can already do something to it.
    if let Some(what) = fs::symlink_metadata(&real).ok().and_then(|m| oddity(m.file_type())) {
        return Err(what.to_owned());
    }
    match open_regular(&real) {
        Ok(Ok((file, meta))) => Ok(Some(Opened { file, meta, is_symlink })),
        Ok(Err(what)) => Err(what.to_owned()),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Opens the regular file at `path` itself, never what a link there points to. What is there
/// but no regular file is `Ok(Err(what))`, with what it is instead.
///
/// # Errors
///
/// Returns an error if it cannot be opened.
pub(in crate::observe) fn open_regular(
    path: &Path,
) -> io::Result<Result<(File, Metadata), &'static str>> {
    // A FIFO without a writer would block an open without O_NONBLOCK for ever, and opening a
    // terminal could make it ours.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => {
            let meta = file.metadata()?;
            Ok(oddity(meta.file_type()).map_or(Ok((file, meta)), Err))
        }
        Err(error) => match fs::symlink_metadata(path).ok().and_then(|m| oddity(m.file_type())) {
            Some(what) => Ok(Err(what)),
            None => Err(error),
        },
    }
}

/// Returns what a file is, if it is no regular file.
pub(in crate::observe) fn oddity(kind: fs::FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_symlink() => Some("a symbolic link"),
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a FIFO"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Returns true if `real`, which `path` leads to, is where `path` claims to be: below `root`, or
/// in its own folder if the user configured a place outside of it.
pub(super) fn is_below(root: &Path, path: &Path, real: &Path) -> bool {
    let home = if path.starts_with(root) { root } else { path.parent().unwrap_or(root) };
    fs::canonicalize(home).is_ok_and(|home| real.starts_with(home))
}

/// Returns true if the error says that there is no such file.
pub(in crate::observe) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns what identifies this incarnation of a file.
pub(in crate::observe) fn stamp(meta: &Metadata) -> FileStamp {
    FileStamp {
        dev: meta.dev(),
        ino: meta.ino(),
        bytes: meta.size(),
        mtime_s: meta.mtime(),
        mtime_ns: meta.mtime_nsec(),
    }
}

/// Returns when the file was last written, by the file system's clock.
pub(super) fn modified_at(meta: &Metadata) -> UnixMillis {
    UnixMillis(meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use tempfile::tempdir;

    use super::*;

    #[track_caller]
    fn check(root: &Path, path: &Path, want: Result<Option<bool>, &str>) {
        let got = open_below(root, path).map(|opened| opened.map(|opened| opened.is_symlink));
        assert_eq!(got, want.map_err(str::to_owned), "{}", path.display());
    }

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_blocks() {
        let dir = tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("file"), "x").unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        check(root, &root.join("file"), Ok(Some(false)));
        check(root, &root.join("none"), Ok(None));
        check(root, &root.join("file/below"), Ok(None));
        check(root, root, Err("a directory"));
        check(root, &root.join("fifo"), Err("a FIFO"));
        check(root, &root.join("socket"), Err("a socket"));
        check(Path::new("/dev"), Path::new("/dev/null"), Err("a device"));
    }

    #[test]
    fn what_takes_a_files_place_before_the_open_is_not_opened_either() {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("real"), "x").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).unwrap();
        for (name, want) in [("link", "a symbolic link"), ("fifo", "a FIFO")] {
            let opened = open_regular(&dir.path().join(name)).unwrap();
            assert_eq!(opened.map(drop), Err(want));
        }
    }

    #[test]
    fn a_link_is_followed_only_below_the_root() {
        let (dir, outside) = (tempdir().unwrap(), tempdir().unwrap());
        let root = dir.path().join("state");
        fs::create_dir_all(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "x").unwrap();
        fs::write(outside.path().join("file"), "x").unwrap();
        symlink("real/file", root.join("inside")).unwrap();
        symlink(outside.path().join("file"), root.join("outside")).unwrap();
        symlink(outside.path(), root.join("folder")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        check(&root, &root.join("inside"), Ok(Some(true)));
        check(&root, &root.join("outside"), Err("a link out of the state directory"));
        check(&root, &root.join("folder/file"), Err("a link out of the state directory"));
        check(&root, &root.join("dangling"), Err("a dangling link"));
        assert!(open_below(&root, &root.join("loop")).is_err());
    }

    #[test]
    fn the_root_may_itself_be_a_link_and_a_store_may_be_configured_elsewhere() {
        let (dir, outside) = (tempdir().unwrap(), tempdir().unwrap());
        fs::create_dir(dir.path().join("real")).unwrap();
        symlink("real", dir.path().join("state")).unwrap();
        fs::write(dir.path().join("real/file"), "x").unwrap();
        fs::write(outside.path().join("file"), "x").unwrap();
        let root = dir.path().join("state");
        check(&root, &root.join("file"), Ok(Some(false)));
        check(&root, &outside.path().join("file"), Ok(Some(false)));
    }
}
