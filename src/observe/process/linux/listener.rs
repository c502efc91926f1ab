//! The TCP ports a process listens on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use super::after_boot;
use super::files::is_missing;
use super::inet_diag;
use crate::model::ProcessId;

/// A host with 100,000 connections has a table of 15 MB; the listening ones come first.
pub(super) const SOCKET_TABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// For so long a new listening socket beside known ones may go unnoticed. Where the kernel does not
/// tell what listens, reading the socket tables takes 5 ms each, even when they are empty (6.18).
const TABLES_LAST: Duration = Duration::from_secs(300);

/// Which sockets processes were found to listen on, kept from pass to pass.
#[derive(Debug, Default)]
pub(in super::super) struct Listeners {
    known: RefCell<BTreeMap<ProcessId, Known>>,
}

#[derive(Debug)]
struct Known {
    read_at: Duration,
    sockets: Vec<Socket>,
}

/// A listening socket. It stops listening only when it is closed: `shutdown` could do the same,
/// which servers do not.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Socket {
    descriptor: OsString,
    inode: u64,
    port: u16,
}

impl Listeners {
    /// Returns the ports that the process under `pid` listens on, in ascending order.
    ///
    /// `listed` is who that is, and when by the time since the boot: of the same process, what was
    /// read in the last five minutes is only looked at, whether each descriptor still is the socket
    /// that it was. A young process may yet begin to listen elsewhere: what was read of it holds
    /// for as long as it had lived by then. Without `listed`, and for a process that did not
    /// listen, all is read anew.
    pub(in super::super) fn ports(
        &self,
        root: &Path,
        pid: i32,
        listed: Option<(ProcessId, Duration)>,
    ) -> io::Result<Vec<u16>> {
        let Some((id, uptime)) = listed else { return Ok(ports(&listening(root, pid)?)) };
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get(&id).filter(|known| known.is_current(root, id, uptime)) {
            return Ok(ports(&known.sockets));
        }
        known.remove(&id);
        let sockets = listening(root, pid)?;
        let ports = ports(&sockets);
        known.insert(id, Known { read_at: uptime, sockets });
        Ok(ports)
    }

    /// Forgets all processes but those.
    pub(in super::super) fn retain(&mut self, is_listed: impl Fn(ProcessId) -> bool) {
        self.known.get_mut().retain(|&id, _| is_listed(id));
    }
}

impl Known {
    fn is_current(&self, root: &Path, id: ProcessId, uptime: Duration) -> bool {
        let descriptors = root.join(format!("{}/fd", id.pid));
        let is_open = |socket: &Socket| {
            let target = std::fs::read_link(descriptors.join(&socket.descriptor));
            let inode = target.ok().and_then(|target| socket_inode(target.as_os_str().as_bytes()));
            inode == Some(socket.inode)
        };
        let lasts = self.read_at.saturating_sub(after_boot(id.start_ticks)).min(TABLES_LAST);
        let is_fresh = uptime >= self.read_at && uptime - self.read_at < lasts;
        is_fresh && !self.sockets.is_empty() && self.sockets.iter().all(is_open)
    }
}

fn ports(sockets: &[Socket]) -> Vec<u16> {
    let ports: BTreeSet<u16> = sockets.iter().map(|socket| socket.port).collect();
    ports.into_iter().collect()
}

/// Joins the sockets among the descriptors of `pid` with those that listen in its own network
/// namespace.
fn listening(root: &Path, pid: i32) -> io::Result<Vec<Socket>> {
    let sockets = sockets(root, pid)?;
    let known = |port, inode| {
        let descriptor = sockets.get(&inode)?.clone();
        Some(Socket { descriptor, inode, port })
    };
    if let Some(all) = inet_diag::told(root, pid) {
        return Ok(all.iter().filter_map(|of| known(of.port, of.inode)).collect());
    }
    let mut found = Vec::new();
    let mut tables = 0;
    for name in ["net/tcp", "net/tcp6"] {
        match socket_table(root, pid, name) {
            Ok(table) => {
                tables += 1;
                collect(BufReader::new(table.take(SOCKET_TABLE_BYTES_MAX)), &sockets, &mut found)?;
            }
            // Without IPv6 there is no second table.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if tables == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(found)
}

/// Opens a socket table of the network namespace of `pid`; a captured table may have one for all.
pub(super) fn socket_table(root: &Path, pid: i32, name: &str) -> io::Result<File> {
    match File::open(root.join(pid.to_string()).join(name)) {
        Err(error) if is_missing(&error) => File::open(root.join(name)),
        other => other,
    }
}

/// Returns all sockets among the descriptors of `pid`, by inode.
pub(super) fn sockets(root: &Path, pid: i32) -> io::Result<BTreeMap<u64, OsString>> {
    let mut sockets = BTreeMap::new();
    for descriptor in std::fs::read_dir(root.join(format!("{pid}/fd")))? {
        let descriptor = descriptor?;
        match std::fs::read_link(descriptor.path()) {
            Ok(target) => {
                let inode = socket_inode(target.as_os_str().as_bytes());
                sockets.extend(inode.map(|inode| (inode, descriptor.file_name())));
            }
            // Closed since the listing.
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

pub(super) fn socket_inode(target: &[u8]) -> Option<u64> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn collect(
    mut table: impl io::BufRead,
    sockets: &BTreeMap<u64, OsString>,
    found: &mut Vec<Socket>,
) -> io::Result<()> {
    let mut line = Vec::new();
    while table.by_ref().take(1024).read_until(b'\n', &mut line)? > 0 {
        let listener = std::str::from_utf8(&line).ok().and_then(parse);
        found.extend(listener.and_then(|(port, inode)| {
            let descriptor = sockets.get(&inode)?.clone();
            Some(Socket { descriptor, inode, port })
        }));
        line.clear();
    }
    Ok(())
}

/// Returns port and inode if the line is that of a listening socket:
/// `sl local rem st queues timer retransmits uid timeout inode …`, in hexadecimal up to `st`.
fn parse(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((u16::from_str_radix(port, 16).ok()?, inode))
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    #[test]
    fn only_listening_sockets_have_a_port() {
        let line = |state: &str| {
            format!(
                "   0: 0100007F:4965 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 \
                 1000        0 35137 1 0000000000000000 100 0 0 10 0\n"
            )
        };
        assert_eq!(parse(&line("0A")), Some((18789, 35137)));
        assert_eq!(parse(&line("01")), None);
        let six = "0: 00000000000000000000000001000000:1F90 0:0 0A 0:0 00:0 0 0 0 7 1";
        assert_eq!(parse(six), Some((8080, 7)));
        for line in ["", "  sl  local_address rem_address   st", "0: x y 0A", "0: a:FFFFF b:0 0A"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_socket_is_told_by_its_link() {
        assert_eq!(socket_inode(b"socket:[35137]"), Some(35137));
        for target in
            [&b"pipe:[7]"[..], b"socket:[]", b"socket:[7", b"/socket:[7]", b"socket:[\xff]"]
        {
            assert_eq!(socket_inode(target), None);
        }
    }

    #[test]
    fn an_endless_line_is_no_socket() {
        let mut found = Vec::new();
        let long = vec![b'x'; 100_000];
        collect(&long[..], &BTreeMap::from([(7, "3".into())]), &mut found).unwrap();
        assert_eq!(found, []);
    }

    #[test]
    fn tables_are_read_again_when_old_or_once_a_socket_is_closed() {
        let captured = Captured::new();
        let table = |port: &str| {
            let row = format!("0: 0100007F:{port} 0:0 0A 0:0 00:0 0 0 0 7 1\n");
            captured.file("net/tcp", row.as_bytes());
        };
        captured.process(9, 1, 5, b"x").link("9/fd/3", "socket:[7]");
        let listeners = Listeners::default();
        let check = |start_ticks, uptime: Option<u64>, want: &[u16]| {
            let id = ProcessId { pid: 9, start_ticks };
            let listed = uptime.map(|uptime| (id, Duration::from_secs(uptime)));
            assert_eq!(listeners.ports(captured.root(), 9, listed).unwrap(), want);
        };
        table("1F90");
        check(0, Some(1000), &[8080]);
        table("1F91");
        check(0, Some(1299), &[8080]);
        check(1, Some(1299), &[8081]);
        check(0, None, &[8081]);
        check(0, Some(1300), &[8081]);

        table("1F92");
        check(0, Some(1300), &[8081]);
        captured.without(9).process(9, 1, 5, b"x").link("9/fd/3", "socket:[8]");
        check(0, Some(1301), &[]);
        captured.without(9).process(9, 1, 5, b"x").link("9/fd/3", "socket:[7]");
        check(0, Some(1302), &[8082]);
    }

    #[test]
    fn what_was_read_of_a_young_process_holds_for_as_long_again() {
        let captured = Captured::new();
        captured.process(9, 1, 0, b"x").link("9/fd/3", "socket:[7]");
        let listeners = Listeners::default();
        for (uptime, port, want) in [(10, "1F90", 8080), (19, "1F91", 8080), (20, "1F91", 8081)] {
            let row = format!("0: 0100007F:{port} 0:0 0A 0:0 00:0 0 0 0 7 1\n");
            captured.file("net/tcp", row.as_bytes());
            let id = ProcessId { pid: 9, start_ticks: 0 };
            let listed = Some((id, Duration::from_secs(uptime)));
            assert_eq!(listeners.ports(captured.root(), 9, listed).unwrap(), [want]);
        }
    }
}
