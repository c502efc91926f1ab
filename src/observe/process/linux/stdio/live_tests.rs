//! The running kernel's answers about the descriptors of children.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use rustix::io::Errno;

use crate::model::{Contact, End, EndKind, Peer, Stdio};
use crate::observe::process::linux::live_tests::{Sleeper, eventually, live};

use super::*;

fn look(child: &Sleeper) -> Stdio {
    let table = live();
    let sockets = table.sockets();
    let stdio = table.inspector().process(child.pid()).stdio(&sockets, Ask::Pipes);
    assert_eq!(sockets.gap(), None);
    stdio
}

#[track_caller]
fn stays(child: &Sleeper, want: Contact) {
    let stdio = look(child);
    assert_eq!(stdio.contact(), want, "{stdio:?}");
}

/// Death may be seen late, never early: another test that is between fork and exec holds a copy of
/// every descriptor for a moment.
#[track_caller]
fn becomes(child: &Sleeper, want: Contact) {
    eventually(|| look(child).contact() == want);
}

/// A socket pair as Node makes them: our end, and that of the child.
fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours.into(), theirs.into())
}

#[test]
fn a_parent_that_ends_the_input_still_listens_to_the_output() {
    let ((input, its_input), (output, its_output)) = (pair(), pair());
    let child = Sleeper::with(its_input, its_output);
    stays(&child, Contact::Kept);
    assert_eq!(look(&child).input.peer, Peer::Alive);
    drop(input);
    eventually(|| look(&child).input.peer == Peer::Dead);
    stays(&child, Contact::Kept);
    drop(output);
    becomes(&child, Contact::Lost);
}

#[test]
fn a_parent_that_only_shuts_down_is_not_gone() {
    let (ours, its_input) = UnixStream::pair().unwrap();
    let its_output = its_input.try_clone().unwrap();
    let child = Sleeper::with(OwnedFd::from(its_input), OwnedFd::from(its_output));
    ours.shutdown(Shutdown::Write).unwrap();
    stays(&child, Contact::Kept);
    ours.shutdown(Shutdown::Both).unwrap();
    stays(&child, Contact::Kept);
    drop(ours);
    becomes(&child, Contact::Lost);
}

#[test]
fn contact_is_lost_with_the_last_process_that_holds_the_other_ends() {
    let ((input, its_input), (output, its_output)) = (pair(), pair());
    let child = Sleeper::with(its_input, its_output);
    let mut holder = Sleeper::with(input, output);
    for _ in 0..100 {
        stays(&child, Contact::Kept);
    }
    holder.0.kill().unwrap();
    becomes(&child, Contact::Lost);
}

#[test]
fn a_connection_that_waits_to_be_accepted_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let connection = UnixStream::connect(&path).unwrap();
    let (one, two) = (connection.try_clone().unwrap(), connection.try_clone().unwrap());
    let child = Sleeper::with(OwnedFd::from(one), OwnedFd::from(two));
    stays(&child, Contact::Unknown);
    // It will never read, but may still be heard.
    connection.shutdown(Shutdown::Read).unwrap();
    stays(&child, Contact::Unknown);
    let (mut accepted, _) = listener.accept().unwrap();
    stays(&child, Contact::Kept);
    (&connection).write_all(b"x").unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    drop(accepted);
    becomes(&child, Contact::Lost);
}

#[test]
fn a_connection_is_lost_with_the_listener_that_never_accepted_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let connection = UnixStream::connect(&path).unwrap();
    let its_output = connection.try_clone().unwrap();
    let child = Sleeper::with(OwnedFd::from(connection), OwnedFd::from(its_output));
    stays(&child, Contact::Unknown);
    drop(listener);
    becomes(&child, Contact::Lost);
}

#[test]
fn listeners_and_datagrams_prove_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let child = Sleeper::with(OwnedFd::from(listener), OwnedFd::from(theirs));
    stays(&child, Contact::Unknown);
    drop(ours);
    for _ in 0..100 {
        stays(&child, Contact::Unknown);
    }
}

#[test]
fn sockets_of_the_network_are_not_judged() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let its_output = stream.try_clone().unwrap();
    let child = Sleeper::with(OwnedFd::from(stream), OwnedFd::from(its_output));
    drop(listener.accept().unwrap());
    drop(listener);
    stays(&child, Contact::Unknown);
}

#[test]
fn pipes_are_lost_once_writer_and_reader_are_gone_even_with_data_left() {
    let (its_input, mut input) = std::io::pipe().unwrap();
    let (output, its_output) = std::io::pipe().unwrap();
    let child = Sleeper::with(its_input, its_output);
    stays(&child, Contact::Kept);
    input.write_all(b"left").unwrap();
    assert_eq!(look(&child).input.peer, Peer::Alive);
    drop(input);
    eventually(|| look(&child).input.peer == Peer::Dead);
    stays(&child, Contact::Kept);
    drop(output);
    becomes(&child, Contact::Lost);
}

#[test]
fn a_pipe_is_not_opened_unless_that_is_asked_for() {
    let (its_input, input) = std::io::pipe().unwrap();
    let (output, its_output) = std::io::pipe().unwrap();
    let child = Sleeper::with(its_input, its_output);
    drop((input, output));
    becomes(&child, Contact::Lost);
    let table = live();
    let stdio = table.inspector().process(child.pid()).stdio(&table.sockets(), Ask::Sockets);
    assert!(matches!(&stdio.input.what, EndKind::Pipe { .. }));
    assert_eq!(stdio.contact(), Contact::Unknown);
}

#[test]
fn pipes_are_judged_even_where_sockets_are_refused() {
    let (_other, its_input) = pair();
    let (_output, its_output) = std::io::pipe().unwrap();
    let child = Sleeper::with(its_input, its_output);
    let sockets = Sockets::opened_by(|| Err(Errno::AFNOSUPPORT.into()));
    let stdio = live().inspector().process(child.pid()).stdio(&sockets, Ask::Pipes);
    assert!(matches!(stdio.input.peer, Peer::Unknown(_)));
    assert_eq!(stdio.output.peer, Peer::Alive);
    assert!(sockets.gap().is_some());
}

#[test]
fn what_has_a_name_is_not_opened_and_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let child = Sleeper::with(fifo, std::process::Stdio::null());
    let stdio = look(&child);
    assert_eq!(stdio.contact(), Contact::Unknown);
    assert_eq!(stdio.input.what, EndKind::Named(path));
    assert_eq!(stdio.output.what, EndKind::Named("/dev/null".into()));
}

#[test]
fn closed_descriptors_prove_nothing() {
    let child = Sleeper::spawn(Command::new("sh").args(["-c", "exec sleep 600 <&- >&-"]));
    let is_closed = |end: End| end.what == EndKind::Closed;
    eventually(|| is_closed(look(&child).input) && is_closed(look(&child).output));
    stays(&child, Contact::Unknown);
}

#[test]
fn a_process_that_has_ended_has_no_contact_to_judge() {
    let ((input, its_input), (output, its_output)) = (pair(), pair());
    let mut child = Sleeper::with(its_input, its_output);
    child.0.kill().unwrap();
    drop((input, output));
    let is_unreadable = |end: End| matches!(end.what, EndKind::Unreadable(_));
    eventually(|| is_unreadable(look(&child).input));
    child.0.wait().unwrap();
    assert!(is_unreadable(look(&child).output));
    stays(&child, Contact::Unknown);
}
