//! What `proc_pidfdinfo` says of a socket: `struct socket_fdinfo`.

use super::bytes::{int, long, short};
use super::descriptor::{end, unproven};
use crate::model::{End, EndKind, Peer};

/// The size of the structure, and where in it the fields are that matter here. Those of a kind lie
/// in the union `soi_proto`.
pub(in super::super) const BYTES: usize = 792;
pub(in super::super) const AT_HANDLE: usize = 160;
pub(in super::super) const AT_TYPE: usize = 176;
pub(in super::super) const AT_OPTIONS: usize = 188;
pub(in super::super) const AT_STATE: usize = 192;
pub(in super::super) const AT_KIND: usize = 256;
pub(in super::super) const AT_PROTO: usize = 264;
/// `insi_lport` and `tcpsi_state` of `struct tcp_sockinfo`.
pub(in super::super) const AT_TCP_PORT: usize = AT_PROTO + 4;
pub(in super::super) const AT_TCP_STATE: usize = AT_PROTO + 80;
/// `unsi_conn_so` and `unsi_conn_pcb` of `struct un_sockinfo`.
pub(in super::super) const AT_UNIX_SOCKET: usize = AT_PROTO;
pub(in super::super) const AT_UNIX_PCB: usize = AT_PROTO + 8;

/// `SOCKINFO_TCP` and `SOCKINFO_UN`.
const TCP: i32 = 2;
const UNIX: i32 = 3;

/// `SOCK_STREAM`.
const STREAM: i32 = 1;

/// `TSI_S_LISTEN`.
const LISTEN: i32 = 1;

/// `SO_ACCEPTCONN` of `soi_options`.
const ACCEPTS: i16 = 0x2;

/// `SOI_S_ISCONNECTED` and `SOI_S_ISCONNECTING` of `soi_state`.
const CONNECTED: i16 = 0x6;

/// `SOI_S_ISDISCONNECTED`, `SOI_S_CANTSENDMORE` and `SOI_S_CANTRCVMORE`: what is left when the
/// other end has been closed.
const DISCONNECTED: i16 = 0x2030;

/// A socket that waits for connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Listening {
    /// On a TCP port.
    Tcp(u16),
    /// On a path.
    Unix,
}

/// Returns what a socket listens on, `None` if it does not.
pub(in super::super) fn listening(socket: &[u8; BYTES]) -> Option<Listening> {
    match int(socket, AT_KIND) {
        TCP if int(socket, AT_TCP_STATE) == LISTEN => {
            // The port is in network order, in the lower half of an int.
            let port = [socket[AT_TCP_PORT], socket[AT_TCP_PORT + 1]];
            Some(Listening::Tcp(u16::from_be_bytes(port)))
        }
        UNIX if short(socket, AT_OPTIONS) & ACCEPTS != 0 => Some(Listening::Unix),
        _ => None,
    }
}

/// Tells what a descriptor is that is a socket, and who has its other end. Its number is the
/// kernel's, disguised and without meaning but to tell two apart.
pub(in super::super) fn socket(socket: &[u8; BYTES]) -> End {
    end(EndKind::Socket { inode: long(socket, AT_HANDLE) }, peer(socket))
}

fn peer(socket: &[u8; BYTES]) -> Peer {
    let state = short(socket, AT_STATE);
    if int(socket, AT_KIND) != UNIX || int(socket, AT_TYPE) != STREAM {
        return Peer::Unknown("only pairs of UNIX sockets can be judged".to_owned());
    }
    // A connection that waits to be accepted has another end here, other than on Linux.
    if long(socket, AT_UNIX_SOCKET) != 0 || long(socket, AT_UNIX_PCB) != 0 {
        return Peer::Alive;
    }
    if state & CONNECTED == 0 && state & DISCONNECTED == DISCONNECTED {
        return unproven();
    }
    Peer::Unknown("it has no other end, and none is known to have been closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fields: &[(usize, &[u8])]) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (at, value) in fields {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        bytes
    }

    fn tcp(state: u8, port: u16) -> [u8; BYTES] {
        bytes(&[(AT_KIND, &[2]), (AT_TCP_STATE, &[state]), (AT_TCP_PORT, &port.to_be_bytes())])
    }

    fn unix(kind: u8, state: i16, other: u64, pcb: u64) -> [u8; BYTES] {
        bytes(&[
            (AT_HANDLE, &7_u64.to_le_bytes()),
            (AT_KIND, &[3]),
            (AT_TYPE, &[kind]),
            (AT_STATE, &state.to_le_bytes()),
            (AT_UNIX_SOCKET, &other.to_le_bytes()),
            (AT_UNIX_PCB, &pcb.to_le_bytes()),
        ])
    }

    #[track_caller]
    fn check(bytes: &[u8; BYTES], want: &str) {
        let got = match socket(bytes).peer {
            Peer::Alive => "alive".to_owned(),
            Peer::Dead => "dead".to_owned(),
            Peer::Unknown(why) => why,
        };
        assert!(got.contains(want), "{got}");
    }

    #[test]
    fn only_listening_sockets_listen() {
        assert_eq!(listening(&tcp(1, 18789)), Some(Listening::Tcp(18789)));
        for state in [0, 2, 4, 5, 10, 99] {
            assert_eq!(listening(&tcp(state, 18789)), None, "{state}");
        }
        let listener = bytes(&[(AT_KIND, &[3]), (AT_OPTIONS, &[2])]);
        assert_eq!(listening(&listener), Some(Listening::Unix));
        assert_eq!(listening(&bytes(&[(AT_KIND, &[3])])), None);
        // The same bytes mean something else in another kind.
        for kind in [0, 1, 4, 5, 6, 7] {
            let mut other = tcp(1, 1);
            other[AT_KIND] = kind;
            other[AT_OPTIONS] = 2;
            assert_eq!(listening(&other), None, "{kind}");
        }
    }

    #[test]
    fn an_open_other_end_is_alive() {
        check(&unix(1, 0x0102, 9, 9), "alive");
        check(&unix(1, 0x0102, 0, 9), "alive");
        check(&unix(1, 0x2030, 9, 0), "alive");
        assert_eq!(socket(&unix(1, 2, 9, 9)).what, EndKind::Socket { inode: 7 });
    }

    /// Whatever the kernel says: what was never seen on a Mac is no proof.
    #[test]
    fn nothing_is_dead() {
        check(&unix(1, 0x2030, 0, 0), "never verified");
        check(&unix(1, 0x2130, 0, 0), "never verified");
        for state in [0, 0x2000, 0x2010, 0x2020, 0x30, 0x2032, 0x2034, 2] {
            check(&unix(1, state, 0, 0), "it has no other end");
        }
        check(&unix(2, 0x2030, 0, 0), "only pairs");
        check(&tcp(4, 1), "only pairs");
        check(&[0; BYTES], "only pairs");
        check(&[0xff; BYTES], "only pairs");
    }
}
