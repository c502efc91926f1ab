//! Standard input and output of one process, and who has their other ends.

mod answers;
mod diag;
#[cfg(test)]
mod live_tests;
mod message;
mod pipe;
mod sockets;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::io::Errno;

use super::super::Ask;
use super::files::Directory;
use super::listener::socket_inode;
use super::stat::{STAT_BYTES_MAX, Stat};
use crate::model::{End, EndKind, Peer, Stdio};

pub use sockets::Sockets;

/// One of the two descriptors that matter. The third may be a log file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stream {
    Input,
    Output,
}

impl Stream {
    /// Returns the name of the descriptor in the directory of a process.
    fn name(self) -> &'static str {
        match self {
            Stream::Input => "fd/0",
            Stream::Output => "fd/1",
        }
    }
}

/// One process, and what may be asked about it.
#[derive(Debug)]
struct Subject<'a> {
    table: &'a Directory,
    process: &'a Directory,
    is_live: bool,
    sockets: &'a Sockets,
    ask: Ask,
}

/// Looks at a process in its table, both of which are held, or could not be opened.
pub(super) fn stdio(
    at: Result<(&Directory, &Directory), Errno>,
    is_live: bool,
    sockets: &Sockets,
    ask: Ask,
) -> Stdio {
    match at {
        Ok((table, process)) => {
            let subject = Subject { table, process, is_live, sockets, ask };
            let input = subject.end(Stream::Input);
            // One end keeps contact, and a question to the kernel costs more than all the rest.
            let ask = match ask {
                Ask::Sockets | Ask::Pipes if input.peer == Peer::Alive => Ask::Nobody,
                other => other,
            };
            Stdio { input, output: Subject { ask, ..subject }.end(Stream::Output) }
        }
        Err(errno) => Stdio { input: unreadable(errno), output: unreadable(errno) },
    }
}

impl Subject<'_> {
    fn end(&self, stream: Stream) -> End {
        let link = match self.process.link(stream.name()) {
            Ok(link) => link,
            Err(Errno::NOENT) if self.is_running() => {
                let peer = Peer::Unknown("the descriptor is closed".to_owned());
                return End { what: EndKind::Closed, peer };
            }
            Err(errno) => return unreadable(errno),
        };
        let what = kind(link);
        let peer = match &what {
            EndKind::Socket { .. } | EndKind::Pipe { .. } if self.ask == Ask::Nobody => {
                unknown("not asked, as the answer would decide nothing")
            }
            EndKind::Socket { inode } => self.sockets.peer(*inode),
            EndKind::Pipe { inode } => self.pipe(stream, *inode),
            EndKind::Terminal(_) => unknown("it is a terminal"),
            EndKind::Named(_) => unknown("anybody may open it by its name"),
            EndKind::Closed | EndKind::Unreadable(_) => unknown("it cannot be looked at"),
        };
        End { what, peer }
    }

    fn pipe(&self, stream: Stream, inode: u64) -> Peer {
        if !matches!(self.ask, Ask::Pipes | Ask::Both) {
            return unknown("the pipe was not opened to ask");
        }
        if !self.is_live {
            return self.sockets.peer(inode);
        }
        pipe::partner(self.table, self.process, stream, inode)
            .unwrap_or_else(|errno| Peer::Unknown(format!("the pipe cannot be opened: {errno}")))
    }

    /// A process that has ended shows no descriptors, too.
    fn is_running(&self) -> bool {
        let mut stat = Vec::new();
        self.process.read("stat", STAT_BYTES_MAX, &mut stat).is_ok()
            && Stat::parse(&stat).is_some_and(|stat| !stat.has_ended())
    }
}

/// Tells what a descriptor is by the text of its link. Only what the kernel names itself, and
/// not by a path, can never be opened again by others.
fn kind(link: Vec<u8>) -> EndKind {
    if let Some(inode) = socket_inode(&link) {
        return EndKind::Socket { inode };
    }
    if let Some(inode) = pipe::inode(&link) {
        return EndKind::Pipe { inode };
    }
    let terminals: [&[u8]; 3] = [b"/dev/pts/", b"/dev/tty", b"/dev/console"];
    let is_terminal = terminals.iter().any(|start| link.starts_with(start));
    let path = PathBuf::from(OsString::from_vec(link));
    if is_terminal { EndKind::Terminal(path) } else { EndKind::Named(path) }
}

fn unreadable(errno: Errno) -> End {
    let why = match errno {
        Errno::NOENT | Errno::SRCH => "there is no such process, or it is hidden".to_owned(),
        other => other.to_string(),
    };
    End { what: EndKind::Unreadable(why.clone()), peer: Peer::Unknown(why) }
}

fn unknown(why: &str) -> Peer {
    Peer::Unknown(why.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::model::Contact;
    use crate::observe::process::captured::Captured;

    use super::*;

    #[track_caller]
    fn check(link: &[u8], want: EndKind) {
        assert_eq!(kind(link.to_vec()), want);
    }

    #[test]
    fn a_descriptor_is_told_by_its_link() {
        check(b"socket:[35137]", EndKind::Socket { inode: 35137 });
        check(b"pipe:[7]", EndKind::Pipe { inode: 7 });
        for terminal in ["/dev/pts/0", "/dev/tty", "/dev/ttyS0", "/dev/console"] {
            check(terminal.as_bytes(), EndKind::Terminal(terminal.into()));
        }
        for name in [
            "/dev/null",
            "/tmp/fifo",
            "/tmp/a (deleted)",
            "/tmp/pipe:[7]",
            "/tmp/x socket:[7]",
            "anon_inode:[eventfd]",
            "pipe:[]",
            "pipe:[7] (deleted)",
            "socket:[-7]",
            "socket:[99999999999999999999]",
            "",
        ] {
            check(name.as_bytes(), EndKind::Named(name.into()));
        }
    }

    fn captured(input: &str, output: &str) -> Captured {
        let captured = Captured::new();
        captured.process(9, 1, 5, b"x").link("9/fd/0", input).link("9/fd/1", output);
        captured
    }

    fn look(captured: &Captured, ask: Ask) -> Stdio {
        let sockets = Sockets::new(captured.root(), false);
        let table = Directory::open(captured.root()).unwrap();
        let process = table.process(9);
        let at = process.as_ref().map(|process| (&table, process)).map_err(|errno| *errno);
        stdio(at, false, &sockets, ask)
    }

    #[test]
    fn a_capture_tells_who_had_the_other_ends() {
        let captured = captured("socket:[5]", "pipe:[6]");
        assert_eq!(look(&captured, Ask::Pipes).contact(), Contact::Unknown, "no answers");
        captured.file("sockets", b"5 dead\n6 dead\n");
        assert_eq!(look(&captured, Ask::Pipes).contact(), Contact::Lost);
        assert_eq!(
            look(&captured, Ask::Sockets).contact(),
            Contact::Unknown,
            "the pipe is not asked"
        );
        captured.file("sockets", b"5 dead\n6 alive\n");
        assert_eq!(look(&captured, Ask::Pipes).contact(), Contact::Kept);
        captured.file("sockets", b"6 dead\n");
        let stdio = look(&captured, Ask::Pipes);
        assert_eq!(stdio.contact(), Contact::Unknown);
        assert_eq!(stdio.input.what, EndKind::Socket { inode: 5 });
    }

    #[test]
    fn nobody_is_asked_what_decides_nothing() {
        let captured = captured("socket:[5]", "socket:[6]");
        captured.file("sockets", b"5 alive\n6 dead\n");
        let peers = |ask| {
            let Stdio { input, output } = look(&captured, ask);
            let is_unknown = [&input, &output].map(|end| matches!(end.peer, Peer::Unknown(_)));
            assert_eq!(input.what, EndKind::Socket { inode: 5 });
            assert_eq!(output.what, EndKind::Socket { inode: 6 });
            is_unknown
        };
        assert_eq!(peers(Ask::Sockets), [false, true], "contact is kept");
        assert_eq!(peers(Ask::Nobody), [true, true]);
        assert_eq!(peers(Ask::BothSockets), [false, false]);
        assert_eq!(peers(Ask::Both), [false, false]);
        captured.file("sockets", b"5 dead\n6 alive\n");
        assert_eq!(peers(Ask::Sockets), [false, false]);
    }

    #[test]
    fn names_and_terminals_prove_nothing_whatever_a_capture_says() {
        let captured = captured("/dev/null", "/dev/pts/3");
        captured.file("sockets", b"0 dead\n");
        let stdio = look(&captured, Ask::Pipes);
        assert_eq!(stdio.input.what, EndKind::Named("/dev/null".into()));
        assert_eq!(stdio.output.what, EndKind::Terminal("/dev/pts/3".into()));
        assert_eq!(stdio.contact(), Contact::Unknown);
    }

    #[test]
    fn a_missing_descriptor_is_closed_only_of_a_process_that_runs() {
        let captured = Captured::new();
        captured.process(9, 1, 5, b"x");
        assert_eq!(look(&captured, Ask::Pipes).input.what, EndKind::Closed);
        captured.state(9, 'Z', 1, 5);
        assert!(matches!(look(&captured, Ask::Pipes).input.what, EndKind::Unreadable(_)));
        captured.without(9);
        assert!(matches!(look(&captured, Ask::Pipes).output.what, EndKind::Unreadable(_)));
    }
}
