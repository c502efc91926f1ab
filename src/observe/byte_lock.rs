//! Asks the kernel who holds a POSIX lock on a file, without taking one.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Returns the pid of a process that holds a lock on any of the `len` bytes from `start`, and
/// `None` if nobody does. The pid is 0 if the holder is not in our pid namespace.
///
/// Locks of this process do not count, and those that it holds on this very file are lost: the
/// kernel drops them when any descriptor of the file is closed.
///
/// # Errors
///
/// Returns an error if the file cannot be opened or is a symlink, or if the kernel refuses.
pub(super) fn holder(path: &Path, start: i64, len: i64) -> io::Result<Option<i32>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    #[expect(clippy::cast_possible_truncation, reason = "lock types are 0, 1 and 2 by POSIX")]
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
    Ok((i32::from(lock.l_type) != i32::from(libc::F_UNLCK as i16)).then_some(lock.l_pid))
}
