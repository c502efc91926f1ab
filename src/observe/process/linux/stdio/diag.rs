//! A conversation with the kernel about its UNIX sockets.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::message::{Misfit, judge, request};
use crate::model::Peer;

/// The kernel answers before the question has been sent, in some microseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// A reply has 48 bytes (6.18); newer kernels may tell more.
const REPLY_BYTES_MAX: usize = 1024;

/// Why there is no conversation, or no more.
#[derive(Debug)]
pub(super) enum Silence {
    /// It cannot be begun, or the kernel does not answer at all.
    Refused(io::Error),
    /// The kernel answers, but not to what was asked.
    Confused,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Refused(error) => write!(f, "the kernel's socket table is refused: {error}"),
            Silence::Confused => f.write_str("the kernel's socket table gives no sensible answer"),
        }
    }
}

impl From<Errno> for Silence {
    fn from(errno: Errno) -> Silence {
        Silence::Refused(errno.into())
    }
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Silence {
        Silence::Refused(error)
    }
}

/// A socket over which the kernel answers.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    sequence: u32,
}

impl Diag {
    /// Opens it, and makes sure that this kernel answers, by a socket whose peer is known.
    pub(super) fn open() -> Result<Diag, Silence> {
        let raw = SocketType::RAW;
        let socket =
            socket_with(AddressFamily::NETLINK, raw, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        // From here on nobody but the kernel can send to it.
        connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        let mut diag = Diag::over(socket)?;
        let (one, _other) = UnixStream::pair()?;
        match u32::try_from(fstat(&one)?.st_ino).map(|inode| diag.ask(inode)) {
            Ok(Ok(Peer::Alive)) => Ok(diag),
            Ok(Err(silence)) => Err(silence),
            // A kernel without unix_diag finds no UNIX socket at all.
            Ok(Ok(_)) | Err(_) => Err(Silence::Refused(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Begins a conversation over a connected socket.
    pub(super) fn over(socket: OwnedFd) -> Result<Diag, Silence> {
        for timeout in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, timeout, Some(PATIENCE))?;
        }
        Ok(Diag { socket, sequence: 0 })
    }

    /// Asks about one socket. After a silence nothing more is to be asked: what comes later could
    /// be the answer to an earlier question.
    pub(super) fn ask(&mut self, inode: u32) -> Result<Peer, Silence> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = request(inode, self.sequence);
        retry_on_intr(|| send(&self.socket, &question, SendFlags::NOSIGNAL))?;
        let mut reply = [0; REPLY_BYTES_MAX];
        // With TRUNC the length is that of the whole message, even if there is no room for it.
        let (_, length) = retry_on_intr(|| recv(&self.socket, &mut reply[..], RecvFlags::TRUNC))?;
        let whole = reply.get(..length).ok_or(Silence::Confused)?;
        judge(whole, inode, self.sequence).map_err(|misfit| match misfit {
            Misfit::Malformed => Silence::Confused,
            Misfit::Refused(errno) => errno.into(),
        })
    }
}
