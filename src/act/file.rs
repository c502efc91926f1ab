//! The few file operations that acting needs. None follows a symbolic link in the last component,
//! none overwrites.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::io::Errno;

use crate::model::{FileStamp, LockStamp};

/// Opens a regular file for reading. A symbolic link, FIFO, device or folder is an error, and
/// none of them blocks.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// Creates a file that must not be there yet.
pub(super) fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Writes a file that must not be there yet, and syncs it.
pub(super) fn create_with(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The same, and a crash leaves all of it or nothing under its name.
pub(super) fn create_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    create_with(part.as_ref(), bytes, mode)?;
    rename_noreplace(part.as_ref(), path)
}

/// Syncs a folder, so that what was renamed or created in it survives a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What identifies the file at `path` as one incarnation of a file that is replaced by rename.
pub(super) fn stamp(path: &Path) -> io::Result<FileStamp> {
    path.symlink_metadata().map(|meta| stamp_of(&meta))
}

/// The same of an open file.
pub(super) fn stamp_of(meta: &std::fs::Metadata) -> FileStamp {
    FileStamp {
        dev: meta.dev(),
        ino: meta.ino(),
        bytes: meta.size(),
        mtime_s: meta.mtime(),
        mtime_ns: meta.mtime_nsec(),
    }
}

/// Reads the lock at `path`; everything comes from one descriptor, so identity and bytes belong
/// to one and the same file. At most `bytes_max` bytes and one more are read.
pub(super) fn lock_stamp(path: &Path, bytes_max: usize) -> io::Result<LockStamp> {
    let file = open(path)?;
    let meta = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(LockStamp { dev: meta.dev(), ino: meta.ino(), bytes })
}

/// Moves a file to a name that must be free.
pub(super) fn rename_noreplace(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot: a link fails too if the name is taken.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

/// Exchanges two files, atomically.
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Removes a file; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
