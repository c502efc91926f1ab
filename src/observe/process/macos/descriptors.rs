//! The descriptors of a process.
//!
//! libproc has no structure for pipes and files, and one with a union for sockets, which only
//! unsafe code can read. So each is taken as the bytes that the kernel writes.

use std::io;

use libproc::file_info::{ListFDs, PIDFDInfo, PIDFDInfoFlavor, ProcFDType, pidfdinfo};
use libproc::proc_pid::{PIDInfo, PidInfoFlavor, listpidinfo};

use super::super::darwin::descriptor::{FILE_BYTES, FOLDERS_BYTES, PIPE_BYTES, failure};
use super::super::darwin::socket;

/// Room for so many descriptors is given at first, and at most.
const ROOM: usize = 256;
const ROOM_MAX: usize = 1 << 16;

/// `struct socket_fdinfo`.
pub(super) struct Socket(pub(super) [u8; socket::BYTES]);

/// `struct pipe_fdinfo`.
pub(super) struct Pipe(pub(super) [u8; PIPE_BYTES]);

/// `struct vnode_fdinfowithpath`.
pub(super) struct File(pub(super) [u8; FILE_BYTES]);

/// `struct proc_vnodepathinfo`.
pub(super) struct Folders(pub(super) [u8; FOLDERS_BYTES]);

impl Default for Socket {
    fn default() -> Socket {
        Socket([0; socket::BYTES])
    }
}

impl Default for Pipe {
    fn default() -> Pipe {
        Pipe([0; PIPE_BYTES])
    }
}

impl Default for File {
    fn default() -> File {
        File([0; FILE_BYTES])
    }
}

impl PIDFDInfo for Socket {
    fn flavor() -> PIDFDInfoFlavor {
        PIDFDInfoFlavor::SocketInfo
    }
}

impl PIDFDInfo for Pipe {
    fn flavor() -> PIDFDInfoFlavor {
        PIDFDInfoFlavor::PipeInfo
    }
}

impl PIDFDInfo for File {
    fn flavor() -> PIDFDInfoFlavor {
        PIDFDInfoFlavor::VNodePathInfo
    }
}

impl PIDInfo for Folders {
    fn flavor() -> PidInfoFlavor {
        PidInfoFlavor::VNodePathInfo
    }
}

/// Lists the open descriptors of a process.
pub(super) fn list(pid: i32) -> io::Result<Vec<(i32, ProcFDType)>> {
    let mut room = ROOM;
    while room <= ROOM_MAX {
        let list = listpidinfo::<ListFDs>(pid, room);
        let list = list.map_err(|error| failure(pid, "descriptors", &error))?;
        // A full list may be cut.
        if list.len() < room {
            let each = list.into_iter();
            return Ok(each.map(|info| (info.proc_fd, info.proc_fdtype.into())).collect());
        }
        room *= 4;
    }
    Err(io::Error::other(format!("pid {pid} has more than {ROOM_MAX} descriptors")))
}

/// Asks about one descriptor, which must be of the kind.
pub(super) fn read<T: PIDFDInfo>(pid: i32, descriptor: i32) -> io::Result<T> {
    pidfdinfo(pid, descriptor)
        .map_err(|error| failure(pid, &format!("descriptor {descriptor}"), &error))
}
