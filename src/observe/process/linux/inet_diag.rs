//! The TCP sockets that listen, as sock_diag(7) tells them.
//!
//! `/proc/PID/net/tcp` and `tcp6` tell the same, but walk every bucket for established connections,
//! even when they are empty: 5 ms each on a host of 16 GiB, against 0.05 ms for this (6.18).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::claimants::shares_network;

/// A socket that listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Listener {
    /// The address it is bound to.
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// The user it belongs to.
    pub(super) uid: u32,
    pub(super) inode: u64,
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// Something changed while it was told: a socket may be missing.
const NLM_F_DUMP_INTR: u16 = 0x10;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;

const HEADER: usize = 16;
const REQUEST: usize = 72;
/// `inet_diag_msg`; attributes follow.
const SOCKET: usize = 72;

/// The kernel answers before the question has been sent.
const PATIENCE: Duration = Duration::from_millis(200);
/// Most that it puts into one message.
const MESSAGE_BYTES_MAX: usize = 32 << 10;
/// Of each family. A host has a few dozen.
const LISTENERS_MAX: usize = 16 << 10;

/// Returns every socket that listens in the network namespace of `pid`, if that is ours and the
/// kernel tells. Else the tables are to be read.
pub(super) fn told(root: &Path, pid: i32) -> Option<Vec<Listener>> {
    let is_live = root == Path::new("/proc");
    if is_live && shares_network(root, pid) { ask().ok() } else { None }
}

fn ask() -> io::Result<Vec<Listener>> {
    let (raw, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::NETLINK, raw, flags, Some(SOCK_DIAG))?;
    // From here on nobody but the kernel can send to it.
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    for timeout in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(&socket, timeout, Some(PATIENCE))?;
    }
    let mut found = Vec::new();
    for (family, sequence) in [(AF_INET, 1), (AF_INET6, 2)] {
        match dump(&socket, family, sequence, &mut found) {
            // Without IPv6 there are no sockets of it.
            Err(error) if family == AF_INET6 && is_unknown(&error) => {}
            other => other?,
        }
    }
    Ok(found)
}

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [Errno::NOENT, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
    unknown.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Asks for all sockets of one family that listen.
fn dump(socket: &OwnedFd, family: u8, sequence: u32, found: &mut Vec<Listener>) -> io::Result<()> {
    let question = request(family, sequence);
    retry_on_intr(|| send(socket, &question, SendFlags::NOSIGNAL))?;
    let most = found.len() + LISTENERS_MAX;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    loop {
        // With TRUNC the length is that of the whole message, even if there is no room for it.
        let (_, length) = retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::TRUNC))?;
        let whole = buffer.get(..length).filter(|whole| !whole.is_empty()).ok_or_else(confused)?;
        if read(whole, family, sequence, found)? {
            return Ok(());
        }
        if found.len() > most {
            return Err(confused());
        }
    }
}

fn request(family: u8, sequence: u32) -> [u8; REQUEST] {
    let mut message = [0; REQUEST];
    message[..4].copy_from_slice(&72_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message[16..18].copy_from_slice(&[family, IPPROTO_TCP]);
    message[20..24].copy_from_slice(&(1_u32 << TCP_LISTEN).to_ne_bytes());
    message
}

/// Takes in what one message tells. Returns true if it is the last one.
fn read(mut rest: &[u8], family: u8, sequence: u32, found: &mut Vec<Listener>) -> io::Result<bool> {
    while !rest.is_empty() {
        let length = usize::try_from(word(rest, 0)?).unwrap_or(usize::MAX);
        let message = rest.get(..length).ok_or_else(confused)?;
        let body = message.get(HEADER..).ok_or_else(confused)?;
        if word(message, 8)? != sequence || half(message, 6)? & NLM_F_DUMP_INTR != 0 {
            return Err(confused());
        }
        match half(message, 4)? {
            SOCK_DIAG_BY_FAMILY => found.push(socket(body, family)?),
            NLMSG_DONE | NLMSG_ERROR => return end(body),
            _ => return Err(confused()),
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The last message says whether it is complete.
fn end(body: &[u8]) -> io::Result<bool> {
    match word(body, 0)?.cast_signed() {
        0 => Ok(true),
        number @ -4095..0 => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(confused()),
    }
}

fn socket(body: &[u8], family: u8) -> io::Result<Listener> {
    let body = body.get(..SOCKET).ok_or_else(confused)?;
    if body[..2] != [family, TCP_LISTEN] {
        return Err(confused());
    }
    let address = match family {
        AF_INET => Ipv4Addr::from(part(body, 8)?).into(),
        _ => Ipv6Addr::from(part(body, 8)?).to_canonical(),
    };
    let (uid, inode) = (word(body, 64)?, word(body, 68)?.into());
    Ok(Listener { address, port: u16::from_be_bytes(part(body, 4)?), uid, inode })
}

fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    part(bytes, at).map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> io::Result<u16> {
    part(bytes, at).map(u16::from_ne_bytes)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    let part = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    part.ok_or_else(confused)
}

fn confused() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's socket table gives no sensible answer")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;

    use proptest::prelude::*;

    use super::*;

    /// A message of sequence 1 about a socket of 127.0.0.1:18789.
    fn message() -> Vec<u8> {
        let mut message = vec![0; HEADER + SOCKET + 8];
        message[..4].copy_from_slice(&96_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        message[16..18].copy_from_slice(&[AF_INET, TCP_LISTEN]);
        message[20..22].copy_from_slice(&18_789_u16.to_be_bytes());
        message[24..28].copy_from_slice(&[127, 0, 0, 1]);
        message[80..84].copy_from_slice(&1000_u32.to_ne_bytes());
        message[84..88].copy_from_slice(&35_137_u32.to_ne_bytes());
        message
    }

    fn last(kind: u16, number: i32) -> Vec<u8> {
        let mut message = vec![0; HEADER + 4];
        message[..4].copy_from_slice(&20_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        message[16..].copy_from_slice(&number.to_ne_bytes());
        message
    }

    fn listeners(bytes: &[u8]) -> Result<(Vec<Listener>, bool), io::ErrorKind> {
        let mut found = Vec::new();
        let is_last = read(bytes, AF_INET, 1, &mut found).map_err(|error| error.kind())?;
        Ok((found, is_last))
    }

    #[test]
    fn the_kernel_tells_of_a_socket_what_its_table_tells() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(socket) = TcpListener::bind(address) else { continue };
            let bound = socket.local_addr().unwrap();
            let inode = rustix::fs::fstat(socket.as_fd()).unwrap().st_ino;
            let uid = rustix::process::geteuid().as_raw();
            let ours = Listener { address: bound.ip(), port: bound.port(), uid, inode };
            let pid = i32::try_from(std::process::id()).unwrap();
            match told(Path::new("/proc"), pid) {
                Some(found) => assert!(found.contains(&ours), "{ours:?} is not among {found:?}"),
                None => eprintln!("skipped: this kernel does not tell"),
            }
        }
    }

    #[test]
    fn the_kernel_is_not_asked_about_a_captured_table_or_a_process_elsewhere() {
        let captured = tempfile::tempdir().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(told(captured.path(), pid), None);
        assert_eq!(told(Path::new("/proc"), 0), None, "whose namespace is not known");
    }

    #[test]
    fn a_message_has_address_port_user_and_inode() {
        let address = Ipv4Addr::LOCALHOST.into();
        let ours = Listener { address, port: 18_789, uid: 1000, inode: 35_137 };
        assert_eq!(listeners(&message()), Ok((vec![ours.clone()], false)));
        let whole = [message(), message(), last(NLMSG_DONE, 0)].concat();
        assert_eq!(listeners(&whole), Ok((vec![ours.clone(), ours], true)));
    }

    #[test]
    fn what_may_be_incomplete_is_an_error() {
        let changed = |at: usize, byte: u8| {
            let mut message = message();
            message[at] = byte;
            message
        };
        let confused = Err(io::ErrorKind::InvalidData);
        for (at, byte, what) in [
            (0, 92, "a length that cuts it"),
            (0, 120, "a length beyond the end"),
            (0, 0, "no length"),
            (4, 9, "another type"),
            (6, NLM_F_DUMP_INTR as u8, "changed meanwhile"),
            (8, 2, "another sequence"),
            (16, AF_INET6, "another family"),
            (17, 1, "another state"),
        ] {
            let bytes = [changed(at, byte), last(NLMSG_DONE, 0)].concat();
            assert_eq!(listeners(&bytes), confused, "{what}");
        }
        for cut in 1..message().len() {
            assert_eq!(listeners(&message()[..cut]), confused, "cut after {cut}");
        }
        assert_eq!(listeners(&last(NLMSG_ERROR, -2)), Err(io::ErrorKind::NotFound));
        assert_eq!(listeners(&last(NLMSG_DONE, -1)), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(listeners(&last(NLMSG_DONE, 7)), confused);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = listeners(&bytes);
            let mut message = message();
            message.truncate(20);
            message.extend(bytes);
            let _ = listeners(&message);
        }
    }
}
