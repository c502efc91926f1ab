//! Whose a TCP port is.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::files::is_missing;
use super::inet_diag::{self, Listener};
use super::listener::{SOCKET_TABLE_BYTES_MAX, socket_table, sockets};

/// A socket that listens on a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Claimant {
    /// The address it is bound to.
    pub(in super::super) address: IpAddr,
    /// The user it belongs to.
    pub(in super::super) uid: u32,
    /// Whether the process that was asked about has it open.
    pub(in super::super) is_own: bool,
}

/// Returns true if an address means the same to `pid` and to us: the loopback of another network
/// namespace leads elsewhere.
pub(in super::super) fn shares_network(root: &Path, pid: i32) -> bool {
    let link = |of: &str| std::fs::read_link(root.join(of).join("ns/net"));
    matches!((link("self"), link(&pid.to_string())), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// Returns every socket that listens on `port` in the network namespace of `pid`, looked at anew.
///
/// The sockets of the process are listed before and after the tables: a socket counts as its own only
/// if it had it both times. What cannot be listed is an error.
pub(in super::super) fn claimants(root: &Path, pid: i32, port: u16) -> io::Result<Vec<Claimant>> {
    let before: BTreeSet<u64> = sockets(root, pid)?.into_keys().collect();
    let rows = match inet_diag::told(root, pid) {
        Some(all) => all.into_iter().filter(|row| row.port == port).collect(),
        None => read(root, pid, port)?,
    };
    let after = sockets(root, pid)?;
    let own = |inode| before.contains(&inode) && after.contains_key(&inode);
    let claimant =
        |row: Listener| Claimant { address: row.address, uid: row.uid, is_own: own(row.inode) };
    Ok(rows.into_iter().map(claimant).collect())
}

fn read(root: &Path, pid: i32, port: u16) -> io::Result<Vec<Listener>> {
    let mut rows = Vec::new();
    for name in ["net/tcp", "net/tcp6"] {
        match socket_table(root, pid, name) {
            Ok(table) => collect(table.take(SOCKET_TABLE_BYTES_MAX + 1), port, &mut rows)?,
            // Without IPv6 there is no second table.
            Err(error) if is_missing(&error) && name == "net/tcp6" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// Returns true if `pid` has a socket open that listens on `port` and that `other` has, too.
pub(in super::super) fn shares_listener(
    root: &Path,
    pid: i32,
    other: i32,
    port: u16,
) -> io::Result<bool> {
    let theirs = match claimants(root, other, port) {
        Ok(theirs) => theirs,
        // It has ended.
        Err(error) if is_missing(&error) || error.raw_os_error() == Some(3) => return Ok(false),
        Err(error) => return Err(error),
    };
    if !theirs.iter().any(|claimant| claimant.is_own) {
        return Ok(false);
    }
    let (ours, others) = (sockets(root, pid)?, sockets(root, other)?);
    Ok(ours.keys().any(|inode| others.contains_key(inode)))
}

fn collect(table: impl io::Read, port: u16, rows: &mut Vec<Listener>) -> io::Result<()> {
    let mut table = BufReader::new(table);
    let mut line = Vec::new();
    let mut total = 0;
    // The listening sockets come first; behind the limit none can be.
    while table.by_ref().take(1024).read_until(b'\n', &mut line)? > 0 {
        total += line.len() as u64;
        if total > SOCKET_TABLE_BYTES_MAX {
            return Err(io::Error::other("the socket table is too long"));
        }
        let text = std::str::from_utf8(&line).unwrap_or_default();
        rows.extend(parse(text, port));
        line.clear();
    }
    Ok(())
}

/// Returns the socket if the line is that of one that listens on `port`:
/// `sl local rem st queues timer retransmits uid timeout inode …`.
fn parse(line: &str, port: u16) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let (address, digits) = fields.nth(1)?.rsplit_once(':')?;
    if u16::from_str_radix(digits, 16).ok()? != port || fields.nth(1)? != "0A" {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Listener { address: parse_address(address)?, port, uid, inode })
}

/// Words of 32 bits in the byte order of the host.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(text)?).into()),
        32 if text.is_ascii() => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(&text[at * 8..at * 8 + 8])?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_address_user_and_inode() {
        let line = "   0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 35137 1 0000000000000000 100 0 0 10 0\n";
        let row = parse(line, 18_789).unwrap();
        let ours = (Ipv4Addr::LOCALHOST.into(), 1000, 35_137);
        assert_eq!((row.address, row.uid, row.inode), ours);
        assert!(parse(line, 18_790).is_none());
        assert!(parse(&line.replace(" 0A ", " 01 "), 18_789).is_none());
        for line in ["", "sl local", "0: 0100007F:4965 x 0A", "0: 01:4965 x 0A a b c 1 d 2"] {
            assert!(parse(line, 18_789).is_none(), "{line}");
        }
    }

    #[test]
    fn an_address_is_read_in_both_families() {
        assert_eq!(parse_address("00000000"), Some(Ipv4Addr::UNSPECIFIED.into()));
        let loopback = "00000000000000000000000001000000";
        assert_eq!(parse_address(loopback), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(parse_address(&"0".repeat(32)), Some(Ipv6Addr::UNSPECIFIED.into()));
        let mapped = "0000000000000000FFFF00000100007F";
        assert_eq!(parse_address(mapped), Some(Ipv4Addr::LOCALHOST.into()));
        for text in ["", "0", "0100007G", &"é".repeat(16)] {
            assert_eq!(parse_address(text), None);
        }
    }
}
