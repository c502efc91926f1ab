//! Whose other end is open: the answers of one pass.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::answers;
use super::diag::{Diag, Silence};
use super::unknown;
use crate::model::Peer;

/// Answers who has the other end of a socket, during one pass: what was answered once stays.
///
/// The kernel is asked from the first question on; that of a captured table never is. There
/// `ROOT/sockets` has its answers, one line per socket or pipe: `INODE alive` or `INODE dead`.
#[derive(Debug)]
pub struct Sockets {
    source: RefCell<Source>,
    known: RefCell<BTreeMap<u64, Peer>>,
}

#[derive(Debug)]
enum Source {
    NotAsked(fn() -> Result<Diag, Silence>),
    Kernel(Diag),
    Captured,
    Silent(String),
}

impl Sockets {
    /// Begins a pass over the table of `root`.
    pub(in super::super::super) fn new(root: &Path, is_live: bool) -> Sockets {
        if is_live {
            return Sockets::opened_by(Diag::open);
        }
        let (source, known) = match answers::read(root) {
            Ok(known) => (Source::Captured, known),
            Err(why) => (Source::Silent(why), BTreeMap::new()),
        };
        Sockets { source: RefCell::new(source), known: RefCell::new(known) }
    }

    pub(super) fn opened_by(open: fn() -> Result<Diag, Silence>) -> Sockets {
        let source = RefCell::new(Source::NotAsked(open));
        Sockets { source, known: RefCell::default() }
    }

    /// Returns why sockets could not be judged, if that is so. Asked after the last look, as a
    /// kernel that answers may fall silent.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        match &*self.source.borrow() {
            Source::Silent(why) => Some(why.clone()),
            Source::NotAsked(_) | Source::Kernel(_) | Source::Captured => None,
        }
    }

    /// Returns who has the other end of the socket, or of the pipe of a captured table.
    pub(super) fn peer(&self, inode: u64) -> Peer {
        let known = self.known.borrow().get(&inode).cloned();
        known.unwrap_or_else(|| {
            let peer = self.source.borrow_mut().ask(inode);
            self.known.borrow_mut().insert(inode, peer.clone());
            peer
        })
    }
}

impl Source {
    fn ask(&mut self, inode: u64) -> Peer {
        if let Source::NotAsked(open) = self {
            *self =
                open().map_or_else(|silence| Source::Silent(silence.to_string()), Source::Kernel);
        }
        let answer = match self {
            Source::Kernel(diag) => match u32::try_from(inode) {
                Ok(inode) => diag.ask(inode),
                Err(_) => return unknown("its inode is beyond what the kernel can be asked for"),
            },
            Source::Captured => return unknown("the capture does not tell its peer"),
            Source::Silent(why) => return unknown(why),
            Source::NotAsked(_) => return unknown("the kernel was not asked"),
        };
        answer.unwrap_or_else(|silence| {
            let why = silence.to_string();
            *self = Source::Silent(why.clone());
            Peer::Unknown(why)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use rustix::io::Errno;

    use super::super::message::tests::{error, reply};
    use super::*;

    /// Sockets that are answered by what is in the other end already; it is returned, too.
    fn answered(replies: &[Vec<u8>]) -> (Sockets, UnixDatagram) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        for reply in replies {
            kernel.send(reply).unwrap();
        }
        let sockets = Sockets::opened_by(Diag::open);
        *sockets.source.borrow_mut() = Source::Kernel(Diag::over(ours.into()).unwrap());
        (sockets, kernel)
    }

    fn sequence(mut reply: Vec<u8>, sequence: u32) -> Vec<u8> {
        reply[8..12].copy_from_slice(&sequence.to_ne_bytes());
        reply
    }

    fn dead() -> Vec<u8> {
        reply(1, 1, Some(0), Some(3))
    }

    #[track_caller]
    fn is_unknown(peer: &Peer) -> bool {
        matches!(peer, Peer::Unknown(_))
    }

    #[test]
    fn a_kernel_that_refuses_is_asked_once_and_is_a_gap() {
        let opens: [fn() -> Result<Diag, Silence>; 5] = [
            || Err(Errno::ACCESS.into()),
            || Err(Errno::AFNOSUPPORT.into()),
            || Err(Errno::PROTONOSUPPORT.into()),
            || Err(Errno::NOSYS.into()),
            || Err(Errno::MFILE.into()),
        ];
        for open in opens {
            let sockets = Sockets::opened_by(open);
            assert_eq!(sockets.gap(), None, "not asked yet");
            assert!(is_unknown(&sockets.peer(7)));
            assert!(sockets.gap().unwrap().contains("refused"));
        }
        let sockets = Sockets::opened_by(|| Err(Errno::PERM.into()));
        assert!(is_unknown(&sockets.peer(7)));
        let gap = sockets.gap().unwrap();
        assert!(gap.contains("not permitted"), "{gap}");
        assert_eq!(sockets.peer(8), Peer::Unknown(gap));
    }

    #[test]
    fn an_inode_is_asked_once_in_a_pass() {
        let (sockets, kernel) = answered(&[dead()]);
        assert_eq!((sockets.peer(7), sockets.peer(7)), (Peer::Dead, Peer::Dead));
        let mut question = [0; 64];
        assert_eq!(kernel.recv(&mut question).unwrap(), 40);
        kernel.set_nonblocking(true).unwrap();
        assert!(kernel.recv(&mut question).is_err(), "asked again");
        assert!(is_unknown(&sockets.peer(u64::from(u32::MAX) + 8)), "not the socket of inode 7");
        assert!(kernel.recv(&mut question).is_err());
        assert_eq!(sockets.gap(), None);
    }

    #[test]
    fn a_socket_that_is_not_found_is_unknown_and_no_gap() {
        let (sockets, _kernel) = answered(&[error(-2), sequence(dead(), 2)]);
        assert!(is_unknown(&sockets.peer(8)));
        assert_eq!((sockets.peer(7), sockets.gap()), (Peer::Dead, None));
    }

    #[test]
    fn after_an_answer_to_something_else_nothing_is_believed() {
        let too_long = [dead(), vec![0; 2000]].concat();
        // Whole as far as there is room for it.
        let mut cut = dead();
        cut[..4].copy_from_slice(&1024_u32.to_ne_bytes());
        cut.extend([976_u16.to_ne_bytes(), 99_u16.to_ne_bytes()].concat());
        cut.resize(1025, 0);
        let short = dead()[..40].to_vec();
        for first in [sequence(dead(), 9), short, too_long, cut, error(0), vec![0]] {
            let (sockets, _kernel) = answered(&[first, sequence(dead(), 2), dead()]);
            assert!(is_unknown(&sockets.peer(7)));
            assert!(is_unknown(&sockets.peer(8)));
            assert!(sockets.gap().unwrap().contains("no sensible answer"));
        }
    }

    #[test]
    fn a_kernel_that_does_not_answer_is_not_waited_for_twice() {
        let (sockets, kernel) = answered(&[]);
        assert!(is_unknown(&sockets.peer(7)));
        let gap = sockets.gap().unwrap();
        assert!(kernel.send(&sequence(dead(), 2)).is_err(), "nobody listens any more");
        assert_eq!(sockets.peer(8), Peer::Unknown(gap));
        let (sockets, kernel) = answered(&[]);
        drop(kernel);
        assert!(is_unknown(&sockets.peer(7)));
        assert!(sockets.gap().unwrap().contains("refused"));
    }

    #[test]
    fn a_refusal_in_the_midst_keeps_what_was_answered() {
        let (sockets, _kernel) = answered(&[dead(), sequence(error(-1), 2)]);
        assert_eq!(sockets.peer(7), Peer::Dead);
        assert!(is_unknown(&sockets.peer(8)));
        assert_eq!(sockets.peer(7), Peer::Dead);
        assert!(sockets.gap().unwrap().contains("not permitted"));
    }

    #[test]
    fn captured_sockets_that_make_no_sense_are_a_gap() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("sockets"), "7 dead\nnonsense\n").unwrap();
        let sockets = Sockets::new(root.path(), false);
        assert!(is_unknown(&sockets.peer(7)));
        assert!(sockets.gap().unwrap().contains("line 2"));
    }
}
