//! Whether an anonymous pipe has a partner.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsRawFd as _;
use rustix::fs::OFlags;

use super::{Stream, unknown};
use crate::model::Peer;
use crate::observe::process::linux::files::Directory;

/// Returns the inode if the text of a link is that of an anonymous pipe. A named one has a path.
pub(super) fn inode(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"pipe:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Looks at the pipe through an end of its own, of the same kind as the descriptor.
///
/// That end keeps the pipe alive, so it is closed before anything else happens: meanwhile the
/// other side would not be told if the process ended. Without a partner the kernel reports a
/// hang-up to a reader, even if data is left, and an error to a writer (measured on 6.18).
pub(super) fn partner(
    table: &Directory,
    process: &Directory,
    stream: Stream,
    wanted: u64,
) -> rustix::io::Result<Peer> {
    // So it is held without being opened, and the process can no longer change what it is: by now
    // it may be a device, or a named pipe with somebody behind it.
    let held = process.file(stream.name(), OFlags::PATH)?;
    let name = format!("self/fd/{}", held.as_raw_fd());
    if inode(&table.link(&name)?) != Some(wanted) {
        return Ok(unknown("the descriptor was changed meanwhile"));
    }
    let mode = match stream {
        Stream::Input => OFlags::RDONLY,
        Stream::Output => OFlags::WRONLY,
    };
    // A named pipe would be waited for without it. This is none, but a look must never wait.
    let end = table.file(&name, mode | OFlags::NONBLOCK)?;
    let mut polled = [PollFd::new(&end, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let is_alone = polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
    Ok(if is_alone { Peer::Dead } else { Peer::Alive })
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::fstat;

    use super::*;

    #[test]
    fn only_the_pipe_that_was_seen_is_opened() {
        let (read, write) = std::io::pipe().unwrap();
        let read = OwnedFd::from(read);
        let folder = tempfile::tempdir().unwrap();
        let own = format!("/proc/self/fd/{}", read.as_raw_fd());
        std::fs::create_dir(folder.path().join("fd")).unwrap();
        std::os::unix::fs::symlink(own, folder.path().join("fd/0")).unwrap();
        let process = Directory::open(folder.path()).unwrap();
        let table = Directory::open(Path::new("/proc")).unwrap();
        let ask = |inode| partner(&table, &process, Stream::Input, inode).unwrap();
        let inode = fstat(&read).unwrap().st_ino;
        assert_eq!(ask(inode), Peer::Alive);
        assert!(matches!(ask(inode + 1), Peer::Unknown(_)), "another pipe");
        drop(write);
    }

    #[test]
    fn a_named_pipe_in_its_place_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("fd")).unwrap();
        let path = folder.path().join("fd/0");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
        let process = Directory::open(folder.path()).unwrap();
        let table = Directory::open(Path::new("/proc")).unwrap();
        let seen = partner(&table, &process, Stream::Input, inode).unwrap();
        assert!(matches!(seen, Peer::Unknown(_)), "{seen:?}");
    }
}
