//! The files of a process table, opened relative to a directory that is held.

use std::ffi::CString;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, RawDir, fstat, openat, readlinkat};
use rustix::io::Errno;

/// Room for `PID/FILE`.
type Name = [u8; 48];

/// What one look at a file of a process table came to.
#[derive(Debug)]
pub(super) enum Failure {
    /// No such directory or file, or its process ended while it was read.
    Gone,
    /// Anything else: no permission, an I/O error, contents that make no sense.
    Unreadable,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        match errno {
            Errno::NOENT | Errno::SRCH => Failure::Gone,
            _ => Failure::Unreadable,
        }
    }
}

/// Returns the error, `NotFound` if the process has ended.
pub(super) fn gone(errno: Errno) -> io::Error {
    match errno {
        Errno::SRCH => io::ErrorKind::NotFound.into(),
        other => other.into(),
    }
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Returns the error for contents that make no sense.
pub(super) fn malformed(pid: i32, file: &str) -> io::Error {
    let text = format!("`{file}` of pid {pid} is incomplete or malformed");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A name in the listing of a process table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Listed {
    pub(super) pid: i32,
    pub(super) inode: u64,
}

/// A directory that is held open: the table's, or that of one process. The latter means this
/// one process for ever: once it has ended, every read says ESRCH.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
}

impl Directory {
    pub(super) fn open(path: &Path) -> rustix::io::Result<Directory> {
        directory_at(rustix::fs::CWD, path)
    }

    /// Opens the directory of `pid`.
    pub(super) fn process(&self, pid: i32) -> rustix::io::Result<Directory> {
        let mut name: Name = [0; 48];
        directory_at(&self.fd, in_process(pid, "", &mut name))
    }

    /// Opens a directory inside this one.
    pub(super) fn directory(&self, name: &str) -> rustix::io::Result<Directory> {
        directory_at(&self.fd, name)
    }

    /// Lists the processes, or the threads of one, by number. The buffer is scratch space.
    pub(super) fn list(&self, into: &mut Vec<Listed>, buffer: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        buffer.clear();
        buffer.reserve(32 * 1024);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if let Some(pid) = number(entry.file_name().to_bytes()) {
                into.push(Listed { pid, inode: entry.ino() });
            }
        }
        if !into.is_sorted() {
            into.sort_unstable();
        }
        Ok(())
    }

    /// Returns inode and owner of this directory; that of a process is its effective user.
    pub(super) fn stamp(&self) -> rustix::io::Result<(u64, u32)> {
        fstat(&self.fd).map(|stat| (stat.st_ino, stat.st_uid))
    }

    /// Reads a file, at most `most` bytes of it, into the emptied buffer.
    pub(super) fn read(
        &self,
        name: &str,
        most: usize,
        into: &mut Vec<u8>,
    ) -> rustix::io::Result<()> {
        read_at(&self.fd, name, most, into)
    }

    /// Returns the text of a symlink.
    pub(super) fn link(&self, name: &str) -> rustix::io::Result<Vec<u8>> {
        readlinkat(&self.fd, name, Vec::new()).map(CString::into_bytes)
    }

    /// Opens a file.
    pub(super) fn file(&self, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        openat(&self.fd, name, flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// Reads a file of `pid`, at most `most` bytes of it, into the emptied buffer.
    pub(super) fn read_of(
        &self,
        pid: i32,
        file: &str,
        most: usize,
        into: &mut Vec<u8>,
    ) -> rustix::io::Result<()> {
        let mut name: Name = [0; 48];
        read_at(&self.fd, in_process(pid, file, &mut name), most, into)
    }
}

fn directory_at<P: rustix::path::Arg>(base: impl AsFd, path: P) -> rustix::io::Result<Directory> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(base, path, flags, Mode::empty()).map(|fd| Directory { fd })
}

fn read_at<P: rustix::path::Arg>(
    base: impl AsFd,
    path: P,
    most: usize,
    into: &mut Vec<u8>,
) -> rustix::io::Result<()> {
    into.clear();
    let file = openat(base, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    while into.len() < most {
        if into.capacity() - into.len() < 2048 {
            into.reserve(4096);
        }
        match rustix::io::read(&file, spare_capacity(into)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    into.truncate(most);
    Ok(())
}

/// Writes `PID/FILE`. The longest is far shorter than the room for it.
fn in_process<'a>(pid: i32, file: &str, name: &'a mut Name) -> &'a [u8] {
    let mut rest = &mut name[..];
    let written = write!(rest, "{pid}/{file}");
    let free = rest.len();
    debug_assert!(written.is_ok());
    let length = name.len() - free;
    &name[..length]
}

/// Reads a pid. Sign, leading zero and anything beside digits make it a name of something else.
fn number(name: &[u8]) -> Option<i32> {
    if !name.first()?.is_ascii_digit() || name[0] == b'0' {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_positive_numbers_are_pids() {
        for (name, want) in [
            ("1", Some(1)),
            ("2147483647", Some(i32::MAX)),
            ("2147483648", None),
            ("0", None),
            ("007", None),
            ("+7", None),
            ("-7", None),
            ("7a", None),
            ("self", None),
            ("", None),
        ] {
            assert_eq!(number(name.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("7")).unwrap();
        std::fs::write(root.path().join("7/cmdline"), vec![b'x'; 10_000]).unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let mut buffer = b"old".to_vec();
        for (most, want) in [(10, 10), (10_000, 10_000), (70_000, 10_000)] {
            directory.read_of(7, "cmdline", most, &mut buffer).unwrap();
            assert_eq!(buffer.len(), want);
        }
        directory.process(7).unwrap().read("cmdline", 3, &mut buffer).unwrap();
        assert_eq!(buffer, b"xxx");
        assert_eq!(directory.read_of(8, "cmdline", 3, &mut buffer), Err(Errno::NOENT));
    }
}
