//! Real sockets, and who holds them.
//!
//! A child that some other test is starting holds copies of our descriptors until its exec, so that
//! what is to be found free of others is awaited.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, listen, socket, sockopt};
use tokio::time::Instant;

use crate::model::{ProcessId, Sighting, UnixMillis};
use crate::observe::process::Table;

struct World {
    table: Table,
    own: ProcessId,
}

impl World {
    fn new() -> World {
        let mut table = Table::new(Path::new("/proc"));
        table.refresh(UnixMillis::default()).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let Sighting::Present { id: own, .. } = table.sight(pid) else { panic!("we are alive") };
        World { table, own }
    }

    fn ask(&mut self, port: u16) -> Result<Vec<IpAddr>, String> {
        self.table.refresh(UnixMillis::default()).unwrap();
        self.table.owns_listener(self.own, port)
    }

    #[track_caller]
    fn check(&mut self, port: u16, want: impl Fn(&Result<Vec<IpAddr>, String>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.ask(port);
            if want(&found) {
                return;
            }
            assert!(Instant::now() < deadline, "{found:?}");
        }
    }
}

fn says(words: &'static str) -> impl Fn(&Result<Vec<IpAddr>, String>) -> bool {
    move |found| found.as_ref().is_err_and(|reason| reason.contains(words))
}

fn listener() -> (TcpListener, u16) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A process that has this socket open, and does nothing with it.
struct Holder(Child);

impl Holder {
    fn new(socket: impl Into<OwnedFd>) -> Holder {
        let stdin = Stdio::from(socket.into());
        Holder(Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_port_of_ones_own_is_owned_with_its_address() {
    let mut world = World::new();
    let (_socket, port) = listener();
    world.check(port, |found| *found == Ok(vec![Ipv4Addr::LOCALHOST.into()]));
    let all = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = all.local_addr().unwrap().port();
    world.check(port, |found| *found == Ok(vec![Ipv4Addr::UNSPECIFIED.into()]));
}

#[test]
fn the_port_of_another_process_is_not_owned() {
    let mut world = World::new();
    let (socket, port) = listener();
    let _other = Holder::new(socket);
    world.check(port, says("belongs to another process"));
}

#[test]
fn a_port_is_not_owned_while_a_child_has_its_socket_too() {
    let mut world = World::new();
    let (socket, port) = listener();
    let heir = Holder::new(socket.try_clone().unwrap());
    world.check(port, says(&*format!("pid {} has the socket", heir.0.id()).leak()));
    drop(heir);
    world.check(port, Result::is_ok);
}

#[test]
fn a_port_is_not_owned_beside_a_twin() {
    let mut world = World::new();
    let twin = |port| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
        listen(&socket, 8).unwrap();
        TcpListener::from(socket)
    };
    let ours = twin(0);
    let port = ours.local_addr().unwrap().port();
    let theirs = Holder::new(twin(port));
    world.check(port, says("listens on port"));
    drop(theirs);
    world.check(port, Result::is_ok);
}

#[test]
fn a_port_that_was_closed_is_not_owned() {
    let mut world = World::new();
    let (socket, port) = listener();
    world.check(port, Result::is_ok);
    drop(socket);
    world.check(port, says("does not listen on port"));
}

#[test]
fn another_process_under_the_same_pid_owns_nothing() {
    let mut world = World::new();
    let (_socket, port) = listener();
    world.own.start_ticks += 1;
    world.check(port, says("is not the process any more"));
}

#[test]
fn a_captured_state_owns_nothing() {
    let (_socket, port) = listener();
    let table = Table::new(Path::new("/nowhere"));
    let own = World::new().own;
    assert!(table.owns_listener(own, port).unwrap_err().contains("captured"));
}

/// Its loopback is another one: whatever listens on the port here is not it.
#[cfg(target_os = "linux")]
#[test]
fn a_process_in_another_network_is_not_what_a_port_leads_to() {
    let there = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sleep", "60"])
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut there) = there else { return eprintln!("skipped: there is no unshare") };
    let pid = i32::try_from(there.id()).unwrap();
    let mut table = Table::new(Path::new("/proc"));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if there.try_wait().unwrap().is_some() {
            return eprintln!("skipped: no network namespace may be made here");
        }
        table.refresh(UnixMillis::default()).unwrap();
        let Sighting::Present { id, .. } = table.sight(pid) else { continue };
        let said = table.listens_alone(id, 18_789);
        if said.as_ref().is_err_and(|why| why.contains("not provably in our network namespace")) {
            break;
        }
        assert!(Instant::now() < deadline, "{said:?}");
    }
    there.kill().unwrap();
    there.wait().unwrap();
}
