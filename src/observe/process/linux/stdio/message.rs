//! The messages of sock_diag(7) about UNIX sockets.

use rustix::io::Errno;

use super::unknown;
use crate::model::Peer;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const AF_UNIX: u8 = 1;
const UDIAG_SHOW_PEER: u32 = 4;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const SOCK_STREAM: u8 = 1;
const TCP_ESTABLISHED: u8 = 1;
/// Both directions.
const SHUTDOWN_MASK: u8 = 3;

/// Of every message, and of the body of a reply.
const HEADER: usize = 16;
const REQUEST: usize = 40;

/// Returns the question about one socket.
pub(super) fn request(inode: u32, sequence: u32) -> [u8; REQUEST] {
    let mut message = [0; REQUEST];
    let mut rest = &mut message[..];
    let mut put = |bytes: &[u8]| {
        let (start, end) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        start.copy_from_slice(bytes);
        rest = end;
    };
    put(&40_u32.to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&NLM_F_REQUEST.to_ne_bytes());
    put(&sequence.to_ne_bytes());
    put(&0_u32.to_ne_bytes());
    put(&[AF_UNIX, 0, 0, 0]);
    // All states, this inode, its peer, and no cookie.
    for word in [u32::MAX, inode, UDIAG_SHOW_PEER, u32::MAX, u32::MAX] {
        put(&word.to_ne_bytes());
    }
    message
}

/// Why a reply cannot be the answer to what was asked, so that nothing that follows is to be
/// trusted either.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Misfit {
    /// It is not whole, or not of the right form, sequence or socket.
    Malformed,
    /// The kernel does not let us ask.
    Refused(Errno),
}

/// Judges the reply about one socket.
///
/// A peer of inode 0 is not enough: it may be a connection that waits to be accepted. Then nothing
/// is shut down, or what its owner itself has shut down for reading: it can still be accepted, and
/// heard (measured on 6.18). When the other end is closed the kernel shuts down both directions.
pub(super) fn judge(reply: &[u8], inode: u32, sequence: u32) -> Result<Peer, Misfit> {
    let (header, body) = reply.split_at_checked(HEADER).ok_or(Misfit::Malformed)?;
    let is_whole = usize::try_from(word(header, 0)) == Ok(reply.len());
    if !is_whole || word(header, 8) != sequence {
        return Err(Misfit::Malformed);
    }
    match half(header, 4) {
        SOCK_DIAG_BY_FAMILY => judge_socket(body, inode),
        NLMSG_ERROR => judge_error(body),
        _ => Err(Misfit::Malformed),
    }
}

fn judge_socket(body: &[u8], inode: u32) -> Result<Peer, Misfit> {
    let (socket, attributes) = body.split_at_checked(HEADER).ok_or(Misfit::Malformed)?;
    if socket[0] != AF_UNIX || word(socket, 4) != inode {
        return Err(Misfit::Malformed);
    }
    let Attributes { peer, shutdown } = Attributes::parse(attributes)?;
    if socket[1] != SOCK_STREAM || socket[2] != TCP_ESTABLISHED {
        return Ok(unknown("it is not a connected stream socket"));
    }
    Ok(match (peer, shutdown) {
        (Some(peer), _) if peer != 0 => Peer::Alive,
        (Some(_), Some(bits)) if bits & SHUTDOWN_MASK == SHUTDOWN_MASK => Peer::Dead,
        (Some(_), Some(_)) => unknown("its connection may wait to be accepted"),
        _ => unknown("the kernel does not tell its peer"),
    })
}

/// The kernel reports an error where a socket is not found. That may also be one of another
/// family, or of another network namespace.
fn judge_error(body: &[u8]) -> Result<Peer, Misfit> {
    let number = body.get(..4).map(|bytes| word(bytes, 0).cast_signed());
    let errno = number.filter(|number| (-4095..0).contains(number)).ok_or(Misfit::Malformed)?;
    match Errno::from_raw_os_error(-errno) {
        Errno::NOENT => Ok(unknown("no UNIX socket of this network namespace is it")),
        errno @ (Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => Err(Misfit::Refused(errno)),
        errno => Ok(Peer::Unknown(format!("the kernel does not tell its peer: {errno}"))),
    }
}

#[derive(Debug, Default)]
struct Attributes {
    peer: Option<u32>,
    shutdown: Option<u8>,
}

impl Attributes {
    fn parse(mut rest: &[u8]) -> Result<Attributes, Misfit> {
        let mut found = Attributes::default();
        while !rest.is_empty() {
            let (length, value) = first(rest).ok_or(Misfit::Malformed)?;
            let is_new = match half(rest, 2) {
                UNIX_DIAG_PEER => {
                    let peer = value.try_into().map_err(|_| Misfit::Malformed)?;
                    found.peer.replace(u32::from_ne_bytes(peer)).is_none()
                }
                UNIX_DIAG_SHUTDOWN => {
                    let [bits] = value else { return Err(Misfit::Malformed) };
                    found.shutdown.replace(*bits).is_none()
                }
                _ => true,
            };
            if !is_new {
                return Err(Misfit::Malformed);
            }
            rest = rest.get(length.next_multiple_of(4)..).ok_or(Misfit::Malformed)?;
        }
        Ok(found)
    }
}

/// Returns length and value of the first attribute, of which the length is a part.
fn first(rest: &[u8]) -> Option<(usize, &[u8])> {
    let length = usize::from(half(rest.get(..4)?, 0));
    Some((length, rest.get(4..length)?))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reply about socket 7 in sequence 1.
    pub(crate) fn reply(kind: u8, state: u8, peer: Option<u32>, shutdown: Option<u8>) -> Vec<u8> {
        let mut message = [20_u16.to_ne_bytes(), [0; 2]].concat();
        for word in [1, 0] {
            message.extend(u32::to_ne_bytes(word));
        }
        message.extend([AF_UNIX, kind, state, 0]);
        for word in [7, 1, 2] {
            message.extend(u32::to_ne_bytes(word));
        }
        if let Some(peer) = peer {
            message.extend([8_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat());
            message.extend(peer.to_ne_bytes());
        }
        if let Some(bits) = shutdown {
            message.extend([5_u16.to_ne_bytes(), 6_u16.to_ne_bytes()].concat());
            message.extend([bits, 0, 0, 0]);
        }
        let length = u32::try_from(message.len() + 4).unwrap();
        [length.to_ne_bytes().to_vec(), message].concat()
    }

    pub(crate) fn error(number: i32) -> Vec<u8> {
        let mut message = 36_u32.to_ne_bytes().to_vec();
        message.extend([2_u16.to_ne_bytes(), [0; 2]].concat());
        for word in [1, 0, number.cast_unsigned(), 40, 0, 1, 0] {
            message.extend(word.to_ne_bytes());
        }
        message
    }

    #[track_caller]
    fn check(reply: &[u8], want: &str) {
        let found = match judge(reply, 7, 1) {
            Ok(Peer::Alive) => "alive",
            Ok(Peer::Dead) => "dead",
            Ok(Peer::Unknown(_)) => "unknown",
            Err(Misfit::Malformed) => "malformed",
            Err(Misfit::Refused(_)) => "refused",
        };
        assert_eq!(found, want, "{reply:?}");
    }

    #[test]
    fn a_question_has_the_form_that_the_kernel_wants() {
        let question = request(0x0102_0304, 9);
        assert_eq!((word(&question, 0), half(&question, 4), half(&question, 6)), (40, 20, 1));
        assert_eq!((word(&question, 8), word(&question, 12)), (9, 0));
        assert_eq!(question[16..20], [1, 0, 0, 0]);
        assert_eq!((word(&question, 20), word(&question, 24)), (u32::MAX, 0x0102_0304));
        assert_eq!((word(&question, 28), question[32..].iter().all(|&b| b == 255)), (4, true));
    }

    #[test]
    fn answers_of_the_kernel_are_judged_as_measured() {
        check(&reply(1, 1, Some(9), Some(0)), "alive");
        check(&reply(1, 1, Some(9), Some(1)), "alive");
        check(&reply(1, 1, Some(9), Some(3)), "alive");
        check(&reply(1, 1, Some(9), None), "alive");
        check(&reply(1, 1, Some(0), Some(3)), "dead");
        check(&reply(1, 1, Some(0), Some(0)), "unknown");
        check(&reply(1, 1, Some(0), Some(1)), "unknown");
        check(&reply(1, 1, Some(0), Some(2)), "unknown");
        check(&reply(1, 1, Some(0), None), "unknown");
        check(&reply(1, 1, None, Some(3)), "unknown");
        check(&reply(1, 7, None, Some(0)), "unknown");
        check(&reply(1, 7, Some(0), Some(3)), "unknown");
        check(&reply(1, 10, None, Some(0)), "unknown");
        check(&reply(2, 1, Some(0), Some(3)), "unknown");
        check(&reply(5, 1, Some(0), Some(3)), "unknown");
    }

    #[test]
    fn an_error_is_never_an_answer() {
        check(&error(-2), "unknown");
        check(&error(-22), "unknown");
        check(&error(-1), "refused");
        check(&error(-13), "refused");
        check(&error(-95), "refused");
        for number in [0, 2, i32::MIN, i32::MAX, -4096] {
            check(&error(number), "malformed");
        }
    }

    #[test]
    fn a_reply_to_something_else_is_none() {
        let dead = reply(1, 1, Some(0), Some(3));
        assert_eq!(judge(&dead, 7, 2), Err(Misfit::Malformed), "sequence");
        assert_eq!(judge(&dead, 8, 1), Err(Misfit::Malformed), "inode");
        for (at, what) in [(4, "type"), (16, "family")] {
            let mut other = dead.clone();
            other[at] = 3;
            assert_eq!(judge(&other, 7, 1), Err(Misfit::Malformed), "{what}");
        }
        assert_eq!(judge(&error(-2), 7, 2), Err(Misfit::Malformed), "sequence of an error");
    }

    #[test]
    fn a_cut_reply_is_none_wherever_it_is_cut() {
        let dead = reply(1, 1, Some(0), Some(3));
        for length in 0..dead.len() {
            check(&dead[..length], "malformed");
            // Even if it says itself that it is so short.
            let mut short = dead[..length].to_vec();
            if let Some(says) = short.get_mut(..4) {
                says.copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
            }
            assert_ne!(judge(&short, 7, 1), Ok(Peer::Dead), "{length}");
        }
        check(&[dead, vec![0; 4]].concat(), "malformed");
    }

    #[test]
    fn absurd_attributes_spoil_the_reply() {
        let dead = reply(1, 1, Some(0), Some(3));
        let at = 32;
        for length in [0_u16, 1, 3, 4, 7, 9, 100, u16::MAX] {
            let mut absurd = dead.clone();
            absurd[at..at + 2].copy_from_slice(&length.to_ne_bytes());
            check(&absurd, "malformed");
        }
        let mut twice = dead.clone();
        twice[at + 8 + 2] = 2;
        twice[at + 8] = 8;
        check(&twice, "malformed");
        let mut unknown = dead;
        unknown[at + 2] = 99;
        check(&unknown, "unknown");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = judge(&bytes, 7, 1);
            let length = u32::try_from(bytes.len() + 16).unwrap().to_ne_bytes().to_vec();
            let framed = [length, vec![20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], bytes].concat();
            let _ = judge(&framed, 7, 1);
        }
    }
}
