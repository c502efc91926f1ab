//! A kqueue per process, which is readable as long as the event in it is not taken.
//!
//! The event is told as the process begins to end, so that the pass it wakes may still see it. The
//! next one does not: a wake that comes early costs time only.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc::timespec;
use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};

/// A quarter of the descriptors that launchd gives to its jobs.
pub(super) const WATCHED_MAX: usize = 64;

const AT_ONCE: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

/// Returns what becomes readable when the process ends; nothing if it has ended.
pub(super) fn open(pid: i32) -> io::Result<Option<OwnedFd>> {
    let pid = usize::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let queue = Kqueue::new()?;
    let exit = KEvent::new(
        pid,
        EventFilter::EVFILT_PROC,
        EvFlags::EV_ADD | EvFlags::EV_ONESHOT,
        FilterFlag::NOTE_EXIT,
        0,
        0,
    );
    match queue.kevent(&[exit], &mut [], Some(AT_ONCE)) {
        Ok(_) => Ok(Some(queue.into())),
        // A zombie is none to the kernel here, too.
        Err(Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
