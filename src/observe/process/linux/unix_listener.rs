//! Whether a process listens on a UNIX socket.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use super::listener::{SOCKET_TABLE_BYTES_MAX, socket_table, sockets};

/// A name has at most 108 bytes; the columns before it have 60.
const LINE_BYTES_MAX: u64 = 1024;

/// `__SO_ACCEPTCON` of the kernel: somebody may connect.
const ACCEPTS: u32 = 0x1_0000;

/// Joins the sockets among the descriptors of `pid` with the table of its own network namespace.
pub(in super::super) fn listens_on_unix(root: &Path, pid: i32) -> io::Result<bool> {
    let sockets = sockets(root, pid)?;
    if sockets.is_empty() {
        return Ok(false);
    }
    let table = socket_table(root, pid, "net/unix")?;
    any_listens(BufReader::new(table.take(SOCKET_TABLE_BYTES_MAX)), &sockets)
}

/// The names in the table are anybody's and may hold line breaks. A forged line can only claim
/// that a socket listens, which keeps a process: it cannot take away the true one.
fn any_listens(mut table: impl BufRead, sockets: &BTreeMap<u64, OsString>) -> io::Result<bool> {
    let mut line = Vec::new();
    let mut bytes = 0;
    loop {
        line.clear();
        let read = table.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        bytes += read as u64;
        if read == 0 {
            break;
        }
        if listener(&line).is_some_and(|inode| sockets.contains_key(&inode)) {
            return Ok(true);
        }
    }
    // Where the table was cut, what is behind is unknown.
    if bytes >= SOCKET_TABLE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "`net/unix` is too long"));
    }
    Ok(false)
}

/// Returns the inode if the line is that of a listening socket:
/// `address: references protocol flags type state inode name`, in hexadecimal up to the state.
fn listener(line: &[u8]) -> Option<u64> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let mut text = |skip: usize| std::str::from_utf8(fields.nth(skip)?).ok();
    let flags = u32::from_str_radix(text(3)?, 16).ok()?;
    let inode = text(2)?.parse().ok()?;
    (flags & ACCEPTS != 0).then_some(inode)
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    const HEAD: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

    fn row(flags: &str, inode: u64, name: &str) -> String {
        format!("0000000000000000: 00000002 00000000 {flags} 0001 01 {inode:5} {name}\n")
    }

    #[test]
    fn a_listening_socket_is_told_by_its_flag() {
        for (line, want) in [
            (row("00010000", 35137, "/run/a b"), Some(35137)),
            (row("00010000", 7, "@\u{1b}[2J"), Some(7)),
            (row("00000000", 7, "/run/x"), None),
            (row("x", 7, ""), None),
            (HEAD.to_owned(), None),
            (String::new(), None),
            ("0: 2 0 00010000 0001 01".to_owned(), None),
        ] {
            assert_eq!(listener(line.as_bytes()), want, "{line}");
        }
        assert_eq!(listener(b"0: 2 0 00010000 0001 01 7 \xff\xfe"), Some(7));
    }

    #[test]
    fn only_the_sockets_of_the_process_count() {
        let captured = Captured::new();
        let listens = || listens_on_unix(captured.root(), 7).map_err(|error| error.kind());
        assert_eq!(listens(), Err(io::ErrorKind::NotFound), "no such process");
        captured.process(7, 1, 1, b"x").link("7/fd/0", "/dev/null");
        assert_eq!(listens(), Ok(false), "no socket, and none is looked up");
        captured.link("7/fd/3", "socket:[5]");
        assert_eq!(listens(), Err(io::ErrorKind::NotFound), "no table");
        let others = HEAD.to_owned() + &row("00010000", 6, "/a") + &row("00000000", 5, "");
        captured.file("net/unix", others.as_bytes());
        assert_eq!(listens(), Ok(false));
        captured.file("7/net/unix", row("00010000", 5, "").as_bytes());
        assert_eq!(listens(), Ok(true), "of its own namespace");
    }

    #[test]
    fn a_forged_line_hides_no_listener() {
        let sockets = BTreeMap::from([(5, "3".into())]);
        let forged = row("00000000", 9, "@\n0: 2 0 00000000 0001 01 5") + &row("00010000", 5, "/a");
        assert!(any_listens(forged.as_bytes(), &sockets).unwrap());
    }

    #[test]
    fn a_table_that_was_cut_decides_nothing() {
        let sockets = BTreeMap::from([(5, "3".into())]);
        let endless = BufReader::new(io::repeat(b'x').take(SOCKET_TABLE_BYTES_MAX));
        assert!(any_listens(endless, &sockets).is_err());
    }
}
