//! What `proc_pidfdinfo` says of a descriptor that is no socket, and `proc_pidinfo` of the working
//! directory.

use std::io;
use std::path::PathBuf;

use super::bytes::{int, long, path};
use crate::model::{End, EndKind, Peer};

/// `struct pipe_fdinfo`: its size, `pipe_handle` and `pipe_peerhandle`.
pub(in super::super) const PIPE_BYTES: usize = 184;
pub(in super::super) const AT_PIPE: usize = 160;
pub(in super::super) const AT_PIPE_PEER: usize = 168;

/// `struct vnode_fdinfowithpath`: its size, `vi_type` and `vip_path`.
pub(in super::super) const FILE_BYTES: usize = 1200;
pub(in super::super) const AT_FILE_TYPE: usize = 160;
pub(in super::super) const AT_FILE_PATH: usize = 176;

/// `struct proc_vnodepathinfo`: its size, and `vst_dev` and `vip_path` of the working directory.
pub(in super::super) const FOLDERS_BYTES: usize = 2352;
pub(in super::super) const AT_FOLDER_DEVICE: usize = 0;
pub(in super::super) const AT_FOLDER_PATH: usize = 152;

/// `MAXPATHLEN`.
pub(in super::super) const PATH_BYTES: usize = 1024;

/// `VCHR`.
const CHARACTER_DEVICE: i32 = 4;

/// Tells of an anonymous pipe. Its number is the kernel's, disguised.
pub(in super::super) fn pipe(pipe: &[u8; PIPE_BYTES]) -> End {
    let has_other_end = long(pipe, AT_PIPE_PEER) != 0;
    let peer = if has_other_end { Peer::Alive } else { unproven() };
    end(EndKind::Pipe { inode: long(pipe, AT_PIPE) }, peer)
}

/// Tells of a file, a device or a named pipe.
pub(in super::super) fn file(file: &[u8; FILE_BYTES]) -> End {
    let name = path(file, AT_FILE_PATH, PATH_BYTES);
    let is_device = int(file, AT_FILE_TYPE) == CHARACTER_DEVICE;
    let text = name.as_os_str().as_encoded_bytes();
    if is_device && (text.starts_with(b"/dev/tty") || text == b"/dev/console") {
        return end(EndKind::Terminal(name), Peer::Unknown("it is a terminal".to_owned()));
    }
    end(EndKind::Named(name), Peer::Unknown("anybody may open it by its name".to_owned()))
}

/// Tells of a descriptor that is not open.
pub(in super::super) fn closed() -> End {
    end(EndKind::Closed, Peer::Unknown("the descriptor is closed".to_owned()))
}

/// Tells of one that cannot be looked at.
pub(in super::super) fn unreadable(why: &str) -> End {
    end(EndKind::Unreadable(why.to_owned()), Peer::Unknown(why.to_owned()))
}

/// Returns the working directory; `None` if it is gone.
pub(in super::super) fn folder(folders: &[u8; FOLDERS_BYTES]) -> Option<PathBuf> {
    let folder = path(folders, AT_FOLDER_PATH, PATH_BYTES);
    (int(folders, AT_FOLDER_DEVICE) != 0 && folder.is_absolute()).then_some(folder)
}

/// Turns a message of libproc, `return code = 0, errno = 3, message = '…'`, into an error.
pub(in super::super) fn failure(pid: i32, what: &str, message: &str) -> io::Error {
    let number = message.split("errno = ").nth(1).and_then(|rest| rest.split(',').next());
    let kind = match number.and_then(|number| number.parse::<i32>().ok()) {
        // EPERM, ESRCH, EACCES.
        Some(1 | 13) => io::ErrorKind::PermissionDenied,
        Some(3) => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{what} of pid {pid}: {message}"))
}

pub(super) fn end(what: EndKind, peer: Peer) -> End {
    End { what, peer }
}

/// The other end is closed by all that the kernel says.
pub(super) fn unproven() -> Peer {
    let why = "macOS says that the other end is closed, which was never verified on a Mac";
    Peer::Unknown(why.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::model::{Contact, Stdio};

    use super::*;

    fn pipe_bytes(peer: u64) -> [u8; PIPE_BYTES] {
        let mut bytes = [0; PIPE_BYTES];
        bytes[AT_PIPE..AT_PIPE + 8].copy_from_slice(&5_u64.to_le_bytes());
        bytes[AT_PIPE_PEER..AT_PIPE_PEER + 8].copy_from_slice(&peer.to_le_bytes());
        bytes
    }

    fn file_bytes(kind: u8, name: &[u8]) -> [u8; FILE_BYTES] {
        let mut bytes = [0; FILE_BYTES];
        bytes[AT_FILE_TYPE] = kind;
        bytes[AT_FILE_PATH..AT_FILE_PATH + name.len()].copy_from_slice(name);
        bytes
    }

    #[test]
    fn a_pipe_is_alive_or_unknown() {
        assert_eq!(pipe(&pipe_bytes(9)), end(EndKind::Pipe { inode: 5 }, Peer::Alive));
        let alone = || pipe(&pipe_bytes(0));
        assert!(matches!(alone().peer, Peer::Unknown(why) if why.contains("never verified")));
        let stdio = Stdio { input: alone(), output: alone() };
        assert_eq!(stdio.contact(), Contact::Unknown);
        let stdio = Stdio { input: alone(), output: pipe(&pipe_bytes(9)) };
        assert_eq!(stdio.contact(), Contact::Kept);
    }

    #[test]
    fn terminals_are_devices_of_that_name() {
        for name in ["/dev/ttys003", "/dev/tty", "/dev/console"] {
            assert_eq!(file(&file_bytes(4, name.as_bytes())).what, EndKind::Terminal(name.into()));
            assert_eq!(file(&file_bytes(1, name.as_bytes())).what, EndKind::Named(name.into()));
        }
        for name in ["/dev/null", "/tmp/fifo", "", "/x/dev/tty"] {
            let end = file(&file_bytes(4, name.as_bytes()));
            assert_eq!(end.what, EndKind::Named(name.into()));
            assert!(matches!(end.peer, Peer::Unknown(_)));
        }
    }

    #[test]
    fn a_name_without_end_is_cut_and_a_hostile_one_kept() {
        let long = file(&file_bytes(1, &[b'x'; PATH_BYTES]));
        assert!(matches!(long.what, EndKind::Named(name) if name.as_os_str().len() == PATH_BYTES));
        let hostile = file(&file_bytes(1, b"/\xff\x1b[2J\0/more"));
        assert!(
            matches!(hostile.what, EndKind::Named(name) if name.as_os_str().as_encoded_bytes() == b"/\xff\x1b[2J")
        );
    }

    #[test]
    fn a_working_directory_is_an_absolute_path_on_a_device() {
        let folders = |device: u8, name: &[u8]| {
            let mut bytes = [0; FOLDERS_BYTES];
            bytes[AT_FOLDER_DEVICE] = device;
            bytes[AT_FOLDER_PATH..AT_FOLDER_PATH + name.len()].copy_from_slice(name);
            folder(&bytes)
        };
        assert_eq!(folders(1, b"/Users/a"), Some("/Users/a".into()));
        assert_eq!(
            (folders(0, b"/Users/a"), folders(1, b""), folders(1, b"a")),
            (None, None, None)
        );
    }

    #[test]
    fn errors_are_told_by_their_number() {
        let kind = |message: &str| failure(7, "x", message).kind();
        let message = |errno| format!("return code = 0, errno = {errno}, message = 'no'");
        assert_eq!(kind(&message(3)), io::ErrorKind::NotFound);
        assert_eq!(kind(&message(1)), io::ErrorKind::PermissionDenied);
        for other in [&message(9)[..], "", "errno = ", "errno = x, 3", "Invalid UTF-8 sequence"] {
            assert_eq!(kind(other), io::ErrorKind::Other, "{other}");
        }
    }

    #[test]
    fn what_is_closed_or_unreadable_is_unknown() {
        let stdio = Stdio { input: closed(), output: unreadable("no") };
        assert_eq!(stdio.contact(), Contact::Unknown);
        assert_eq!(stdio.output.what, EndKind::Unreadable("no".to_owned()));
    }
}
